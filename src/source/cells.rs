//! Walking the cells of a page: each a big-endian `i32` length, negative for NULL, and that many bytes.

use bytes::Bytes;

use super::Page;

/// One cell of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    Value(&'a [u8]),
}

/// Reads one cell from the front of `rest`; `None` when the bytes end before the cell does.
pub(super) fn cell<'a>(rest: &mut &'a [u8]) -> Option<Cell<'a>> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = tail;
        return Some(Cell::Null);
    };
    let (value, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(Cell::Value(value))
}

/// Bytes of the widest of `rows` rows of `columns` cells; `None` when `body` is not exactly that many rows.
pub(super) fn widest_row(body: &[u8], rows: usize, columns: usize) -> Option<usize> {
    let mut rest = body;
    let mut widest = 0;
    for _ in 0..rows {
        let before = rest.len();
        for _ in 0..columns {
            cell(&mut rest)?;
        }
        widest = widest.max(before - rest.len());
    }
    rest.is_empty().then_some(widest)
}

/// The rows of a page as owned cells, `None` when its body is not that many rows of `columns` cells. For the few rows that are
/// read as values; bulk data is shaped from the bytes as they are.
pub fn rows_of(page: &Page, columns: usize) -> Option<Vec<Vec<Option<Bytes>>>> {
    let mut rest: &[u8] = &page.body;
    let mut owned = || {
        cell(&mut rest).map(|cell| match cell {
            Cell::Null => None,
            Cell::Value(value) => Some(Bytes::copy_from_slice(value)),
        })
    };
    (0..page.rows).map(|_| (0..columns).map(|_| owned()).collect()).collect()
}

/// Shows the cells of each row of a page; false when its body is not that many rows of `columns` cells.
pub fn each_row<'a>(page: &'a Page, columns: usize, mut show: impl FnMut(&[Option<&'a [u8]>])) -> bool {
    let mut rest: &[u8] = &page.body;
    let mut cells = Vec::with_capacity(columns);
    for _ in 0..page.rows {
        cells.clear();
        for _ in 0..columns {
            match cell(&mut rest) {
                Some(Cell::Null) => cells.push(None),
                Some(Cell::Value(value)) => cells.push(Some(value)),
                None => return false,
            }
        }
        show(&cells);
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(cells: &[Option<&[u8]>]) -> Vec<u8> {
        let mut body = Vec::new();
        for cell in cells {
            match cell {
                Some(bytes) => {
                    body.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                    body.extend(*bytes);
                }
                None => body.extend((-1_i32).to_be_bytes()),
            }
        }
        body
    }

    #[test]
    fn the_widest_row_counts_its_lengths() {
        let body = body(&[Some(b"a"), None, Some(b"abcdef"), Some(b"")]);
        assert_eq!(widest_row(&body, 2, 2), Some(14));
        assert_eq!(widest_row(&[], 0, 2), Some(0));
    }

    #[test]
    fn bytes_missing_or_left_over_are_noticed() {
        let body = body(&[Some(b"a"), None]);
        assert_eq!(widest_row(&body, 1, 1), None);
        assert_eq!(widest_row(&body, 1, 3), None);
        assert_eq!(widest_row(&body[..4], 1, 1), None);
        assert_eq!(widest_row(&i32::MAX.to_be_bytes(), 1, 1), None);
    }

    #[test]
    fn null_and_empty_are_told_apart() {
        let page = Page { rows: 1, body: body(&[None, Some(b"")]).into(), read_at: 0 };
        assert_eq!(rows_of(&page, 2), Some(vec![vec![None, Some(Bytes::new())]]));
        assert_eq!(rows_of(&page, 3), None);
    }
}
