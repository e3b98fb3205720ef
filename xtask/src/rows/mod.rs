//! `cargo xtask rows`: which rows of a table of features have a test, by `docs/rows.md` and the tags of tests.

mod page;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::{Stop, tools};
use page::{Page, State};

/// The name of a row: the letters of its section, its number there, and perhaps a small letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    section: String,
    number: u32,
    letter: String,
}

impl Id {
    /// Reads a name such as `H14` or `B20a`.
    fn parse(text: &str) -> Option<Self> {
        let (section, rest) = text.split_at(text.find(|c: char| c.is_ascii_digit())?);
        let (number, letter) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let capitals = !section.is_empty() && section.bytes().all(|b| b.is_ascii_uppercase());
        let small = letter.len() <= 1 && letter.bytes().all(|b| b.is_ascii_lowercase());
        (capitals && small).then_some(())?;
        Some(Self { section: section.into(), number: number.parse().ok()?, letter: letter.into() })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.section, self.number, self.letter)
    }
}

/// Compares tests, page and, if there is one, a table of features; false when a row of these sections has neither test nor
/// reason. With `write` the page is first brought up to the tests.
pub(crate) fn run(features: Option<&Path>, sections: Option<&str>, write: bool) -> Result<bool, Stop> {
    let root = tools::root();
    let wanted = sections.map(parse_sections).transpose()?;
    let chosen = |id: &Id| wanted.as_ref().is_none_or(|w| w.contains(&id.section));
    let tests = tags::of(&root)?;
    let path = root.join("docs/rows.md");
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut page = Page::parse(&read(&path)?)?;
    let items = features.map(|f| read(f).map(|text| items(&text))).transpose()?;
    if write {
        let rows = items.iter().flat_map(|i| i.keys()).filter(|id| chosen(id)).chain(tests.keys());
        rows.for_each(|id| page.add(id));
        page.set_tests(&tests);
        std::fs::write(&path, page.to_string()).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let complaints = page.complaints(&tests);
    complaints.iter().for_each(|c| eprintln!("{c}"));
    let items = items.unwrap_or_else(|| page.rows().map(|r| (r.id.clone(), r.words.clone())).collect());
    let uncovered = report(&page, items.iter().filter(|(id, _)| chosen(id)));
    Ok(complaints.is_empty() && uncovered == 0)
}

/// Prints a line for each section, and one for each row without test and reason; how many of these there are.
fn report<'a>(page: &Page, items: impl Iterator<Item = (&'a Id, &'a String)>) -> usize {
    let mut sections: BTreeMap<&str, BTreeMap<State, Vec<String>>> = BTreeMap::new();
    for (id, item) in items {
        let row = page.row(id);
        let state = row.map_or(State::Open, page::Row::state);
        let says = format!("  {id}  {}{item}", if row.is_none() { "(not in docs/rows.md) " } else { "" });
        sections.entry(&id.section).or_default().entry(state).or_default().push(says);
    }
    let count = |states: &BTreeMap<State, Vec<String>>, state| states.get(&state).map_or(0, Vec::len);
    let mut open = 0;
    println!("section  tested  excused  open");
    for (section, states) in &sections {
        let [tested, excused, left] =
            [State::Tested, State::Excused, State::Open].map(|state| count(states, state));
        println!("{section:7}  {tested:6}  {excused:7}  {left:4}");
        states.get(&State::Open).into_iter().flatten().for_each(|row| println!("{row}"));
        open += left;
    }
    println!("{open} open");
    open
}

/// Reads sections such as `A,D-P`: letters and ranges of them.
fn parse_sections(text: &str) -> Result<Vec<String>, String> {
    let wrong = |part: &str| format!("`{part}` is no section: sections are letters such as A,D-P");
    let letter = |part: &str| match part.trim().as_bytes() {
        [c] if c.is_ascii_uppercase() => Ok(*c),
        _ => Err(wrong(part)),
    };
    let mut sections = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (letter(first)?, letter(last)?);
        if first > last {
            return Err(wrong(part));
        }
        sections.extend((first..=last).map(|c| char::from(c).to_string()));
    }
    Ok(sections)
}

/// The rows of a table of features: what each is about. They are lines of tables below headings such as `### 1.H Compile`;
/// the rows of a table without names are called by the letter of the heading and their place.
fn items(text: &str) -> BTreeMap<Id, String> {
    let mut items = BTreeMap::new();
    let mut section = None;
    let mut place = 0;
    for line in text.lines() {
        if line.starts_with('#') {
            section =
                line.strip_prefix("### 1.").and_then(|title| title.split(' ').next()).map(str::to_string);
            place = 0;
        }
        let (Some(section), Some(cells)) = (&section, line.strip_prefix('|')) else { continue };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        let [first, second, ..] = cells[..] else { continue };
        place += 1;
        // The first two lines are the heads of the columns and a rule.
        if place <= 2 {
            continue;
        }
        let (id, item) = match Id::parse(first) {
            Some(id) => (id, second),
            None => (Id { section: section.clone(), number: place - 2, letter: String::new() }, first),
        };
        items.insert(id, item.to_string());
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_letters_and_ranges() {
        assert_eq!(parse_sections("A,D-F").unwrap(), ["A", "D", "E", "F"]);
        for wrong in ["", "a", "D-", "F-D", "A,,B", "AB"] {
            assert!(parse_sections(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rows_are_read_from_the_tables_of_their_sections() {
        let text = "## 1. Table\n| id | item |\n|---|---|\n| X1 | elsewhere |\n\
                    ### 1.A Shapes\n\n| id | item | more |\n|---|---|---|\n| A1 | a shape | x |\n| A1a | a layout | y |\n\
                    ### 1.U Classes\n| class | what |\n|---|---|\n| `First`, `Other` | x |\n| `Second` | y |\n\
                    ## 2. Else\n| B1 | not a row |\n";
        let found: Vec<_> = items(text).into_iter().map(|(id, item)| format!("{id} {item}")).collect();
        assert_eq!(found, ["A1 a shape", "A1a a layout", "U1 `First`, `Other`", "U2 `Second`"]);
    }

    /// The page names every test that says which rows it stands for, and no other.
    #[test]
    fn the_page_and_the_tests_agree() {
        let root = tools::root();
        let page = Page::parse(&std::fs::read_to_string(root.join("docs/rows.md")).unwrap()).unwrap();
        let complaints = page.complaints(&tags::of(&root).unwrap());
        assert!(complaints.is_empty(), "{}\nrun `cargo xtask rows --write`", complaints.join("\n"));
        assert!(page.rows().any(|row| row.state() == State::Tested));
    }
}
