//! A table of text, which can be printed and parsed.

use std::fmt;

/// The text of an empty cell.
pub const NOTHING: &str = "-";

/// A table with named rows and columns. Names and cells contain no white space.
#[derive(Debug)]
pub struct Table {
    /// The names of the columns. The first is the heading of the names of the rows.
    columns: Vec<String>,
    /// The rows: a name, then a cell per column.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table without rows, whose first column contains the names of the rows.
    pub fn new<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Table {
        Table {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with its name first.
    pub fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// Adds a row, unless all its cells are empty.
    pub fn push_if_any(&mut self, row: Vec<String>) {
        if row[1..].iter().any(|cell| cell != NOTHING) {
            self.push(row);
        }
    }

    /// Returns the cell in a row and a column, unless it is empty.
    pub fn cell(&self, row: &str, column: &str) -> Option<&str> {
        let column = self.columns.iter().position(|name| name == column)?;
        let row = self.rows.iter().find(|cells| cells[0] == row)?;
        Some(row[column].as_str()).filter(|&cell| cell != NOTHING)
    }

    /// Parses the output of `Display`. Lines that start with `#` are comments.
    pub fn parse(text: &str) -> Option<Table> {
        let split = |line: &str| {
            line.split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        let mut lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let mut table = Table::new(split(lines.next()?));
        for line in lines {
            let row = split(line);
            if row.len() != table.columns.len() {
                return None;
            }
            table.push(row);
        }
        Some(table)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || [&self.columns].into_iter().chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines().map(|line| line[column].len()).max().unwrap_or(0))
            .collect();
        for line in lines() {
            write!(f, "{:<1$}", line[0], widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_printed_table_parses_to_the_same_table() {
        let mut table = Table::new(["workload", "instructions", "syscalls"]);
        table.push(vec!["spawn_join".into(), "560".into(), "0.02".into()]);
        table.push(vec!["idle".into(), "-".into(), "1.00".into()]);
        let read = Table::parse(&format!("# a comment\n\n{table}")).expect("it parses");
        assert_eq!(read.to_string(), table.to_string());
        assert_eq!(read.cell("spawn_join", "syscalls"), Some("0.02"));
        assert_eq!(read.cell("idle", "instructions"), None);
        assert_eq!(read.cell("other", "instructions"), None);
    }

    #[test]
    fn a_row_of_the_wrong_length_is_an_error() {
        assert!(Table::parse("a b\n1 2\n3\n").is_none());
    }
}
