//! Plain text tables for a terminal, a log or a change ticket.

/// Rows of text under a header; columns marked numeric are right-aligned.
#[derive(Debug, Clone)]
pub struct TextTable {
    header: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

impl TextTable {
    /// A table with these columns.
    pub fn new(header: &[(&str, Align)]) -> Self {
        Self {
            header: header.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, without trailing blanks.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = self
            .header
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let cells =
                    self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
                cells.fold(name.chars().count(), usize::max)
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::from(" ");
            for ((cell, width), (_, align)) in cells.zip(&widths).zip(&self.header) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                match align {
                    Align::Left => text.push_str(&format!(" {cell}{pad}")),
                    Align::Right => text.push_str(&format!(" {pad}{cell}")),
                }
                text.push(' ');
            }
            text.trim_end().to_owned()
        };
        let mut lines = vec![line(&mut self.header.iter().map(|(name, _)| name.as_str()))];
        lines.push(format!(
            "  {}",
            "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1))
        ));
        lines.extend(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
        lines.join("\n") + "\n"
    }
}

/// A count with a comma between groups of three digits.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and what is counted: `1 row`, `2,000 rows`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A duration in the two largest units that matter: `0.8 s`, `12 s`, `3 min 5 s`, `1 h 20 min`.
pub fn spoken(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_aligned() {
        let mut table = TextTable::new(&[("table", Align::Left), ("rows", Align::Right)]);
        table.row(["consumers".to_owned(), grouped(1_234_567)]);
        table.row(["acls".to_owned(), grouped(7)]);
        assert_eq!(
            table.render(),
            "  table           rows\n  --------------------\n  consumers  1,234,567\n  acls               7\n"
        );
    }

    #[test]
    fn one_of_a_kind_has_no_plural() {
        assert_eq!((counted(1, "row"), counted(2_000, "row")), ("1 row".to_owned(), "2,000 rows".to_owned()));
    }

    #[test]
    fn durations_are_spoken_in_two_units() {
        use std::time::Duration;
        let spoken_seconds = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!(spoken(Duration::from_millis(840)), "0.8 s");
        assert_eq!((spoken_seconds(59), spoken_seconds(185)), ("59 s".to_owned(), "3 min 5 s".to_owned()));
        assert_eq!(spoken_seconds(4_800), "1 h 20 min");
    }
}
