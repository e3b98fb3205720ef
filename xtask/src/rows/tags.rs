//! Tests that say which rows they stand for, in a comment of its own line: `/// Row H14: …`, `// Rows H14, H15: …`.
//!
//! A comment within a test is that test's; one before a function that it documents is that function's; any other, such as one
//! in a table of cases, is of the next test of its file.

use std::collections::BTreeMap;
use std::path::Path;

use super::Id;

/// A test: its function and its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) file: String,
}

/// The tests of each row.
pub(super) type Tests = BTreeMap<Id, Vec<Test>>;

/// The folders that hold tests.
const FOLDERS: [&str; 4] = ["crates", "xtask", "fuzz/smith", "examples"];

/// Every row that a test of the repository says it stands for.
pub(super) fn of(root: &Path) -> Result<Tests, String> {
    let mut tests = Tests::new();
    for folder in FOLDERS.map(|f| root.join(f)) {
        walk(root, &folder, &mut tests)?;
    }
    for list in tests.values_mut() {
        list.sort();
        list.dedup();
    }
    Ok(tests)
}

fn walk(root: &Path, folder: &Path, tests: &mut Tests) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
            walk(root, &path, tests)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            for (id, name) in read(&text).map_err(|e| format!("{file}: {e}"))? {
                tests.entry(id).or_default().push(Test { name, file: file.clone() });
            }
        }
    }
    Ok(())
}

/// The rows of a line, if it is a comment that names some: one whose first word behind `Row` is a name.
fn rows(line: &str) -> Result<Option<Vec<Id>>, String> {
    let rest = line.trim_start().strip_prefix("//").map(|c| c.trim_start_matches('/').trim_start());
    let list = rest.and_then(|r| r.strip_prefix("Rows ").or_else(|| r.strip_prefix("Row ")));
    let Some(list) = list.filter(|l| l.split([',', ':', ' ']).next().and_then(Id::parse).is_some()) else {
        return Ok(None);
    };
    let (ids, _) = list.split_once(':').ok_or_else(|| format!("there is no `:` after `{list}`"))?;
    let id = |name: &str| Id::parse(name).ok_or_else(|| format!("`{name}` is no name of a row"));
    ids.split(", ").map(id).collect::<Result<_, _>>().map(Some)
}

/// The name of the function that a line begins to define.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// The rows of a file, each with the test that stands for it.
fn read(text: &str) -> Result<Vec<(Id, String)>, String> {
    let mut found = Vec::new();
    // Rows whose test comes; whether their comment documents what comes next.
    let mut pending: Vec<Id> = Vec::new();
    let mut documents = false;
    let mut is_test = false;
    // The test that we are in, and the line with which it ends.
    let mut within: Option<(String, String)> = None;
    for line in text.lines() {
        if let Some(ids) = rows(line)? {
            match &within {
                Some((name, _)) => found.extend(ids.into_iter().map(|id| (id, name.clone()))),
                None => {
                    pending.extend(ids);
                    documents |= line.trim_start().starts_with("///");
                }
            }
            continue;
        }
        if within.as_ref().is_some_and(|(_, end)| line == end) {
            within = None;
        }
        let trimmed = line.trim_start();
        if within.is_some() || trimmed.starts_with("//") {
            continue;
        }
        if trimmed.starts_with("#[") {
            is_test |= trimmed == "#[test]";
            continue;
        }
        if let Some(name) = function(line) {
            if is_test || documents {
                found.extend(pending.drain(..).map(|id| (id, name.to_string())));
            }
            if is_test {
                let indent = &line[..line.len() - trimmed.len()];
                within = Some((name.to_string(), format!("{indent}}}")));
            }
        }
        // Whatever it was, it was not the function that a comment before it documents.
        (is_test, documents) = (false, false);
    }
    match pending.first() {
        Some(id) => Err(format!("no test follows the comment that names the row {id}")),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> =
            read(text).unwrap().iter().map(|(id, name)| format!("{id} {name}")).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_tag_is_of_the_test_that_it_documents_or_is_in() {
        let row = |ids: &str| format!("// {ids}: why");
        let (one, two) = (row("Row A1"), row("Rows A2, B13"));
        check(&format!("/{one}\n#[test]\nfn a() {{\n    x();\n}}\n"), &["A1 a"]);
        check(
            &format!("#[test]\nfn a() {{\n    {one}\n    if x {{\n    }}\n    {two}\n}}\n"),
            &["A1 a", "A2 a", "B13 a"],
        );
        // A table, and a helper between it and the test.
        let table = format!("const T: [u8; 1] = [\n    {one}\n    1,\n];\nfn help() {{\n}}\n");
        check(&format!("{table}{two}\n#[test]\nfn a() {{}}\n"), &["A1 a", "A2 a", "B13 a"]);
        // Without a harness a test is a function like others.
        check(&format!("/{one}\nfn a() {{\n}}\n#[test]\nfn b() {{\n}}\n"), &["A1 a"]);
        check("/// Row by row: not a name.\nfn a() {}\n// Rows of bytes\n", &[]);
    }

    #[test]
    fn a_tag_without_a_test_is_an_error() {
        for (tag, words) in [
            ("Row A1: nothing", "the row A1"),
            ("Rows A1, A2 and A3: and", "`A2 and A3` is no name"),
            ("Rows A1, A2", "no `:`"),
        ] {
            let e = read(&format!("fn a() {{\n}}\n// {tag}\n")).unwrap_err();
            assert!(e.contains(words), "{e}");
        }
    }
}
