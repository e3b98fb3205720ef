//! `docs/rows.md`: text with a table for each section, a line for each row.
//!
//! `| H14 | what it is | tests | why none, or what is left |`

use std::fmt;

use super::Id;
use super::tags::{Test, Tests};

/// The page: lines of text and rows.
#[derive(Debug)]
pub(super) struct Page(Vec<Line>);

#[derive(Debug)]
enum Line {
    Text(String),
    Row(Row),
}

/// A row of the page.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    /// What it is, in our words.
    pub(super) words: String,
    /// The tests, as they are written: links to their files.
    tests: String,
    /// Why there is no test, or what is left to do.
    note: String,
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// A test stands for it.
    Tested,
    /// There is none, for a reason.
    Excused,
    /// Something is left to do.
    Open,
}

/// How the note of a row begins in which something is left to do.
const OPEN: &str = "open";

impl Row {
    pub(super) fn state(&self) -> State {
        if self.note.split([':', ' ']).next() == Some(OPEN) {
            State::Open
        } else if !self.tests.is_empty() {
            State::Tested
        } else if self.note.is_empty() {
            State::Open
        } else {
            State::Excused
        }
    }
}

/// Tests as they are written in the page.
fn written(tests: &[Test]) -> String {
    let links: Vec<String> = tests.iter().map(|t| format!("[{}](../{})", t.name, t.file)).collect();
    links.join(", ")
}

impl Page {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let id = cells.get(1).and_then(|c| Id::parse(c));
            lines.push(match (id, cells.as_slice()) {
                (Some(id), ["", _, words, tests, note, ""]) => {
                    let [words, tests, note] = [words, tests, note].map(|cell| (*cell).to_string());
                    Line::Row(Row { id, words, tests, note })
                }
                (Some(id), _) => return Err(format!("docs/rows.md: the row {id} has not four cells")),
                (None, _) => Line::Text(line.to_string()),
            });
        }
        Ok(Self(lines))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().filter_map(|line| if let Line::Row(row) = line { Some(row) } else { None })
    }

    pub(super) fn row(&self, id: &Id) -> Option<&Row> {
        self.rows().find(|row| row.id == *id)
    }

    /// Adds a row without words, if there is none of this name: behind the one before it in its section, or in a section of
    /// its own at the end.
    pub(super) fn add(&mut self, id: &Id) {
        if self.row(id).is_some() {
            return;
        }
        let before = |line: &Line| matches!(line, Line::Row(r) if r.id.section == id.section && r.id < *id);
        let within = |line: &Line| matches!(line, Line::Row(r) if r.id.section == id.section);
        let place =
            self.0.iter().rposition(before).map(|at| at + 1).or_else(|| self.0.iter().position(within));
        let row = Row { id: id.clone(), words: String::new(), tests: String::new(), note: OPEN.into() };
        match place {
            Some(at) => self.0.insert(at, Line::Row(row)),
            None => {
                let head = [
                    "",
                    &format!("## {}", id.section),
                    "",
                    "| row | what it is | tests | otherwise |",
                    "|---|---|---|---|",
                ];
                self.0.extend(head.map(|line| Line::Text(line.to_string())));
                self.0.push(Line::Row(row));
            }
        }
    }

    /// Brings the tests of all rows up to date. A row that was only open is so no more when it has a test, and is so again
    /// when it has lost it.
    pub(super) fn set_tests(&mut self, tests: &Tests) {
        for line in &mut self.0 {
            let Line::Row(row) = line else { continue };
            row.tests = tests.get(&row.id).map(|t| written(t)).unwrap_or_default();
            match (row.tests.is_empty(), row.note.as_str()) {
                (false, OPEN) => row.note.clear(),
                (true, "") => row.note = OPEN.into(),
                _ => {}
            }
        }
    }

    /// What is wrong: rows that are not as the tests say, that are there twice or not at all, or that say nothing.
    pub(super) fn complaints(&self, tests: &Tests) -> Vec<String> {
        let mut wrong = Vec::new();
        for id in tests.keys().filter(|id| self.row(id).is_none()) {
            wrong.push(format!("docs/rows.md lacks the row {id}, which a test stands for"));
        }
        let mut seen: Vec<&Id> = Vec::new();
        for row in self.rows() {
            let (id, expected) = (&row.id, tests.get(&row.id).map(|t| written(t)).unwrap_or_default());
            if seen.contains(&id) {
                wrong.push(format!("docs/rows.md has the row {id} twice"));
            }
            seen.push(id);
            if row.tests != expected {
                wrong.push(format!("docs/rows.md has other tests for the row {id} than there are"));
            }
            if row.words.is_empty() {
                wrong.push(format!("docs/rows.md does not say what the row {id} is"));
            }
            if row.tests.is_empty() && row.note.is_empty() {
                wrong.push(format!("docs/rows.md has neither a test nor a reason for the row {id}"));
            }
        }
        wrong
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            match line {
                Line::Text(text) => writeln!(f, "{text}")?,
                Line::Row(Row { id, words, tests, note }) => {
                    let cells = [&id.to_string(), words, tests, note];
                    let cell = |c: &&String| if c.is_empty() { " ".into() } else { format!(" {c} ") };
                    writeln!(f, "|{}|", cells.iter().map(cell).collect::<Vec<String>>().join("|"))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Rows\n\n## A\n\n| row | what it is | tests | otherwise |\n|---|---|---|---|\n\
                        | A1 | one | [a](../x.rs) | |\n| A3 | three | | open |\n| A4 | four | | a reason |\n";

    fn id(name: &str) -> Id {
        Id::parse(name).unwrap()
    }

    fn tests(of: &[(&str, &str)]) -> Tests {
        let test = |name: &str| vec![Test { name: name.into(), file: "x.rs".into() }];
        of.iter().map(|(row, name)| (id(row), test(name))).collect()
    }

    #[test]
    fn a_page_is_written_as_it_was_read() {
        let page = Page::parse(TEXT).unwrap();
        assert_eq!(page.to_string(), TEXT);
        let states: Vec<State> = page.rows().map(Row::state).collect();
        assert_eq!(states, [State::Tested, State::Open, State::Excused]);
        assert_eq!(page.complaints(&tests(&[("A1", "a")])), [""; 0]);
        assert!(Page::parse("| A1 | one | two |\n").is_err());
    }

    #[test]
    fn tests_are_renewed_and_words_are_kept() {
        let mut page = Page::parse(TEXT).unwrap();
        let now = tests(&[("A3", "b"), ("A2", "c"), ("B1", "d")]);
        assert_eq!(page.complaints(&now).len(), 4);
        now.keys().for_each(|id| page.add(id));
        page.set_tests(&now);
        let expected = "| A1 | one | | open |\n| A2 | | [c](../x.rs) | |\n| A3 | three | [b](../x.rs) | |\n\
                        | A4 | four | | a reason |\n\n## B\n\n| row | what it is | tests | otherwise |\n\
                        |---|---|---|---|\n| B1 | | [d](../x.rs) | |\n";
        assert!(page.to_string().ends_with(expected), "{page}");
        // What is left is that two rows have no words.
        let left = page.complaints(&now);
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn what_is_left_to_do_keeps_a_row_open() {
        let row = |tests: &str, note: &str| Row {
            id: id("A1"),
            words: "one".into(),
            tests: tests.into(),
            note: note.into(),
        };
        assert_eq!(row("[a](../x.rs)", "open: the rest").state(), State::Open);
        assert_eq!(row("[a](../x.rs)", "the rest is elsewhere").state(), State::Tested);
        assert_eq!(row("", "").state(), State::Open);
    }
}
