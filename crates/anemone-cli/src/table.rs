//! Tables whose columns stand below each other.

use std::io::{self, Write};

use anemone::source::escape;

use crate::terminal::{Terminal, style};

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is printed when all its rows are known.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Cells may hold what a file says: control characters are made visible.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|c| escape(&c).replace('\n', " ")).collect());
    }

    /// Prints the table: a heading, then the rows.
    pub(crate) fn print(&self, terminal: &mut Terminal) -> io::Result<()> {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, (heading, _))| {
                let cells = self.rows.iter().filter_map(|r| r.get(i));
                cells.map(|c| c.chars().count()).chain([heading.len()]).max().unwrap_or(0)
            })
            .collect();
        let heading = self.line(&widths, self.columns.iter().map(|(h, _)| *h));
        let heading = terminal.paint(style::HEADING, &heading);
        writeln!(terminal, "{heading}")?;
        for row in &self.rows {
            writeln!(terminal, "{}", self.line(&widths, row.iter().map(String::as_str)))?;
        }
        Ok(())
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        for ((cell, &width), (_, align)) in cells.zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let room = " ".repeat(width - cell.chars().count());
            match align {
                Align::Left => line.extend([cell, &room]),
                Align::Right => line.extend([&room, cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}
