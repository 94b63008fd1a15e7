//! When rows of the source were written last.
//!
//! Whoever copies an estate that is in use must know what was written after the copy. Cassandra keeps the write time of every cell;
//! of a deleted row nothing is left that a SELECT shows.

use crate::schema_map::TableMapping;
use crate::source::cells::each_row;
use crate::source::{ColumnKind, CqlType, Page, SelectItem, Selection, Table};

/// Kong writes it with every update of a row.
const WRITTEN_ALWAYS: &str = "ws_id";

/// Adds to what is read of `table` what tells when a row was written last: the write time of `ws_id`, or where there is none,
/// those of all columns that hold one value.
pub(super) fn select(mapping: &mut TableMapping, table: &Table) {
    let regular = || {
        table
            .columns
            .iter()
            .filter(|column| column.kind == ColumnKind::Regular && holds_one_value(&column.ty))
    };
    let always = regular().find(|column| column.name == WRITTEN_ALWAYS);
    let columns: Vec<_> = always.map_or_else(|| regular().collect(), |column| vec![column]);
    for column in columns {
        mapping.selection.items.push(SelectItem::WriteTime(column.name.clone()));
        mapping.types.push(CqlType::Bigint);
    }
}

/// Others have a write time per element, which no SELECT of 3.11 shows.
fn holds_one_value(ty: &CqlType) -> bool {
    !matches!(
        ty,
        CqlType::List(_)
            | CqlType::Set(_)
            | CqlType::Map(..)
            | CqlType::Tuple(_)
            | CqlType::Udt { .. }
            | CqlType::Counter
            | CqlType::Other(_)
    )
}

/// Rows of `page` that were written after `since`, and when the last one was; both in microseconds since 1970.
pub fn written_after(selection: &Selection, page: &Page, since: i64) -> (u64, Option<i64>) {
    let is_time = |item: &SelectItem| matches!(item, SelectItem::WriteTime(_));
    let Some(from) = selection.items.iter().position(is_time) else { return (0, None) };
    let (mut rows, mut newest) = (0, None);
    each_row(page, selection.items.len(), |cells| {
        let times = cells.iter().skip(from).flatten().filter_map(|cell| <[u8; 8]>::try_from(*cell).ok());
        let written = times.map(i64::from_be_bytes).max().filter(|time| *time > since);
        rows += u64::from(written.is_some());
        newest = newest.max(written);
    });
    (rows, newest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_newest_cell_of_a_row_counts() {
        let items = [
            SelectItem::Column("id".into()),
            SelectItem::WriteTime("a".into()),
            SelectItem::WriteTime("b".into()),
        ];
        let selection = Selection { table: "t".into(), items: items.to_vec() };
        let mut body = Vec::new();
        for times in [[Some(5_i64), None], [Some(7), Some(9)], [None, None], [Some(3), Some(8)]] {
            body.extend_from_slice(&[0, 0, 0, 1, b'x']);
            for time in times {
                match time {
                    None => body.extend_from_slice(&(-1_i32).to_be_bytes()),
                    Some(time) => body.extend_from_slice(&[&[0, 0, 0, 8][..], &time.to_be_bytes()].concat()),
                }
            }
        }
        let page = Page { rows: 4, body: Bytes::from(body), read_at: 0 };
        assert_eq!(written_after(&selection, &page, 7), (2, Some(9)));
        assert_eq!(written_after(&selection, &page, 9), (0, None));
    }
}
