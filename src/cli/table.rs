//! How do rows stand in a terminal? In columns as wide as their widest cell; colours on a terminal only.

use std::fmt::Write as _;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// For a terminal.
    Colours,
    /// For all else.
    Plain,
}

impl Paint {
    /// For a terminal, or not. `NO_COLOR` (no-color.org) is honoured.
    pub(super) fn of(is_terminal: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if is_terminal && wanted { Self::Colours } else { Self::Plain }
    }

    /// A heading.
    pub(super) fn heading(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Rows under the names of their columns.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self { rows: vec![columns.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub(super) fn add<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The table, each line indented; numbers stand to the right.
    pub(super) fn print(&self, indent: &str, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let chars = |text: &String| text.chars().count();
        let width = |column| self.rows.iter().filter_map(|row| row.get(column)).map(chars).max().unwrap_or_default();
        let is_number = |text: &String| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        let mut lines = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate().take(columns) {
                let numbers = self.rows.iter().skip(1).all(|row| row.get(column).is_some_and(is_number));
                let gap = " ".repeat(width(column) - chars(cell));
                let (before, after) = if numbers { (gap, String::new()) } else { (String::new(), gap) };
                let _ = write!(line, "{before}{cell}{after}  ");
            }
            let line = line.trim_end();
            let line = if number == 0 { paint.dim(line) } else { line.to_owned() };
            let _ = writeln!(lines, "{indent}{line}");
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let mut table = Table::new(["N", "NAME", "WHAT"]);
        table.add(["7".to_owned(), "ä".to_owned(), "x".to_owned()]);
        table.add(["12".to_owned(), "longer".to_owned(), String::new()]);
        assert_eq!(table.print("  ", Paint::Plain), "   N  NAME    WHAT\n   7  ä       x\n  12  longer\n");
        assert!(table.print("", Paint::Colours).starts_with("\u{1b}[2m N  NAME    WHAT\u{1b}[0m\n"));
    }
}
