//! Which public items are shown by no example that runs.
//!
//! `api.txt` says what is public. A module, type, trait, function, macro or constant has an example of its own; a method is
//! called in an example of its type, of a method of that, or in one that names the type. Sources are formatted, so that
//! indentation tells items of modules from methods.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the sources of a library show.
#[derive(Debug, Default)]
struct Shown {
    /// Whether each item of this name outside of impls has an example.
    items: BTreeMap<String, bool>,
    /// The modules that have one, by their paths.
    modules: BTreeSet<String>,
    examples: Vec<Example>,
}

/// An example.
#[derive(Debug, Default)]
struct Example {
    /// The item that it belongs to: of a method its type.
    of: String,
    /// All its words.
    words: BTreeSet<String>,
    /// Those of them that it calls.
    called: BTreeSet<String>,
}

/// What no example shows, of the items that are recorded for a library.
pub(crate) fn missing(library: &Path, recorded: &str) -> Result<Vec<String>, String> {
    let mut shown = Shown::default();
    let sources = library.join("src");
    let mut files = Vec::new();
    collect(&sources, &mut files)?;
    let name = library.file_name().map(|n| n.to_string_lossy().replace('-', "_")).unwrap_or_default();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let within = file.strip_prefix(&sources).unwrap_or(&file).with_extension("");
        let steps = within.iter().map(|s| s.to_string_lossy()).filter(|s| s != "mod" && s != "lib");
        let module: Vec<String> =
            std::iter::once(name.clone().into()).chain(steps).map(|s| s.into()).collect();
        shown.read(&module.join("::"), &text);
    }
    Ok(unshown(&name, &shown, recorded))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The code of the examples in some documentation that are compiled and run.
fn examples(documentation: &[&str]) -> Vec<String> {
    let (mut found, mut open): (Vec<String>, Option<(bool, String)>) = (Vec::new(), None);
    for line in documentation {
        let line = line.trim();
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some((runs, code))) => {
                if *runs {
                    found.push(std::mem::take(code));
                }
                open = None;
            }
            (Some(attributes), None) => {
                let runs = matches!(attributes.trim(), "" | "rust" | "should_panic");
                open = Some((runs, String::new()));
            }
            (None, Some((_, code))) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

impl Shown {
    /// Reads a source file, which is the module of this path.
    fn read(&mut self, module: &str, text: &str) {
        let inner: Vec<&str> = text.lines().filter_map(|l| l.trim().strip_prefix("//!")).collect();
        let of_module = examples(&inner);
        if !of_module.is_empty() {
            self.modules.insert(module.into());
        }
        self.examples.extend(of_module.iter().map(|code| Example::of("", code)));
        let (mut documentation, mut owner) = (Vec::new(), String::new());
        for line in text.lines() {
            let code = line.trim();
            if let Some(words) = code.strip_prefix("///") {
                documentation.push(words);
                continue;
            }
            if code.is_empty() || code.starts_with("//") || code.starts_with("#[") {
                continue;
            }
            if !line.starts_with(char::is_whitespace) {
                owner = item(code).or_else(|| implements(code)).unwrap_or_default().into();
            }
            let found = examples(&documentation);
            self.examples.extend(found.iter().map(|code| Example::of(&owner, code)));
            documentation.clear();
            if (line.starts_with("pub ") || line.starts_with("macro_rules!"))
                && let Some(name) = item(code)
            {
                let shown = self.items.entry(name.into()).or_insert(true);
                *shown &= !found.is_empty();
            }
            self.rename(code);
        }
    }

    /// Notes what is public under another name, `pub use a::{B as C}`, as shown where the first one is.
    fn rename(&mut self, code: &str) {
        if !code.starts_with("pub use") {
            return;
        }
        let words: Vec<&str> =
            code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
        for three in words.windows(3) {
            if let [_, "as", new] = three {
                self.items.entry((*new).into()).or_insert(true);
            }
        }
    }

    /// Whether an example shows this method of this type.
    fn shows(&self, owner: &str, method: &str) -> bool {
        self.examples.iter().any(|e| e.called.contains(method) && (e.of == owner || e.words.contains(owner)))
    }
}

impl Example {
    /// What an example calls are names before `(`, before `::<…>(`, and behind `::`.
    fn of(item: &str, code: &str) -> Self {
        let mut example = Self { of: item.into(), ..Self::default() };
        let name = |c: char| c.is_alphanumeric() || c == '_';
        let mut start = None;
        for (at, c) in code.char_indices().chain([(code.len(), ' ')]) {
            if name(c) {
                start.get_or_insert(at);
                continue;
            }
            let Some(from) = start.take() else { continue };
            let (word, rest) = (&code[from..at], &code[at..]);
            if rest.starts_with('(') || rest.starts_with("::<") || code[..from].ends_with("::") {
                example.called.insert(word.into());
            }
            example.words.insert(word.into());
        }
        example
    }
}

/// The type whose methods a line begins: that of `impl<T> Type<T>` and `impl Trait for Type`.
fn implements(code: &str) -> Option<&str> {
    let rest = code.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(generics) => generics.split_once("> ")?.1,
        None => rest,
    };
    let rest = rest.split_once(" for ").map_or(rest, |(_, of)| of);
    let path = rest.trim().split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next()?;
    path.rsplit("::").next()
}

/// The name of the item that a line begins.
fn item(code: &str) -> Option<&str> {
    let code = code.strip_prefix("pub ").unwrap_or(code);
    let kinds = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules!"];
    let mut words = code.split(|c: char| c.is_whitespace() || "<({:;=".contains(c)).filter(|w| !w.is_empty());
    let mut last = words.next()?;
    for word in words {
        if kinds.contains(&last) && !["fn", "unsafe", "extern", "async"].contains(&word) {
            return Some(word);
        }
        if !kinds.contains(&last) && !["const", "unsafe", "async", "extern"].contains(&last) {
            return None;
        }
        last = word;
    }
    None
}

/// Lines of `api.txt` without what stands in angle brackets.
pub(super) fn without_generics(lines: &str) -> String {
    let (mut depth, mut last, mut out) = (0, ' ', String::new());
    for c in lines.chars() {
        match c {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        last = c;
    }
    out
}

fn unshown(library: &str, shown: &Shown, recorded: &str) -> Vec<String> {
    let (mut missing, mut of_a_trait) = (BTreeSet::new(), false);
    for line in recorded.lines().map(without_generics) {
        if line.starts_with("impl") {
            of_a_trait = line.contains(" for ");
        }
        let Some(rest) = line.strip_prefix("pub ") else { continue };
        let rest = rest.strip_prefix("const fn").map_or(rest.to_owned(), |r| format!("fn{r}"));
        let rest = rest.strip_prefix("unsafe ").map_or(rest.clone(), Into::into);
        let mut words = rest.split(|c: char| c.is_whitespace() || "(;".contains(c));
        let (Some(kind), Some(path)) = (words.next(), words.next()) else { continue };
        let path = path.trim_end_matches([':', '!']);
        // What a trait gives to types of others is shown by the trait.
        if !path.starts_with(library) {
            continue;
        }
        let mut steps = path.rsplit("::");
        let (Some(name), owner) = (steps.next(), steps.next().unwrap_or_default()) else { continue };
        let member = owner.starts_with(char::is_uppercase);
        if !member && kind != "use" {
            of_a_trait = false;
        }
        let fine = match kind {
            "mod" => shown.modules.contains(path),
            "fn" if member => of_a_trait || shown.shows(owner, name),
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "macro" if !member => {
                shown.items.get(name).copied().unwrap_or(false)
            }
            _ => true,
        };
        if !fine {
            missing.insert(format!("{kind} {path}"));
        }
    }
    missing.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools;

    fn check(source: &str, recorded: &str, expected: &[&str]) {
        let mut shown = Shown::default();
        shown.read("lib::part", source);
        assert_eq!(unshown("lib", &shown, recorded), expected, "{source}");
    }

    #[test]
    fn what_has_no_example_is_found() {
        let shown = "//! ```\n//! lib::part::f(1);\n//! ```\n\n/// ```\n/// f(2);\n/// let x = X::new().grow(3);\n/// ```\npub fn f(n: u8) {}\n";
        check(shown, "pub mod lib::part\npub fn lib::part::f(u8)\n", &[]);
        check(shown, "pub fn lib::part::X::grow(&self, u8)\npub fn lib::part::X<T>::new() -> Self\n", &[]);
        check(shown, "pub fn lib::part::X::shrink(&self)\n", &["fn lib::part::X::shrink"]);
        check(shown, "impl core::fmt::Debug for lib::part::X\npub fn lib::part::X::fmt(&self)\n", &[]);
        check("/// Nothing.\npub struct X;\n", "pub struct lib::part::X\n", &["struct lib::part::X"]);
        check(
            "/// ```text\n/// x\n/// ```\npub const X: u8 = 1;\n",
            "pub const lib::part::X: u8\n",
            &["const lib::part::X"],
        );
        check(
            "/// ```\n/// X;\n/// ```\n#[derive(Debug)]\npub(crate) struct Y;\npub struct X;\n",
            "pub struct lib::part::X\n",
            &["struct lib::part::X"],
        );
        check("", "pub mod lib::part\n", &["mod lib::part"]);
    }

    /// The libraries all of whose items are shown.
    #[test]
    fn every_public_item_has_an_example() {
        let mut all = Vec::new();
        for library in super::super::SHOWN {
            let folder = tools::root().join("crates").join(library);
            let recorded = std::fs::read_to_string(folder.join("api.txt")).unwrap();
            all.extend(missing(&folder, &recorded).unwrap());
        }
        assert!(all.is_empty(), "{} items are shown by no example:\n{}", all.len(), all.join("\n"));
    }
}
