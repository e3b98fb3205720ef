//! `cargo xtask api`: the public items of the libraries, compared with those that are recorded, and with the examples of
//! their documentation.

mod examples;

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Stop, nightly, tools};

/// The libraries, with the features that they are looked at with.
const LIBRARIES: [(&str, &[&str]); 3] =
    [("anemone", &["--all-features"]), ("anemone-apple", &[]), ("anemone-kernels", &[])];

/// The libraries all of whose public items are shown by examples.
const SHOWN: [&str; 3] = ["anemone", "anemone-apple", "anemone-kernels"];

/// Compares, or writes; false when something is gone that is recorded.
pub(crate) fn run(write: bool) -> Result<bool, Stop> {
    nightly::install(&["rustc", "cargo"])
        .map_err(|e| Stop::Lacking(format!("there is no {}: {e}", nightly::TOOLCHAIN)))?;
    let mut good = true;
    for (name, features) in LIBRARIES {
        let items = items(name, features)?;
        let path = tools::root().join("crates").join(name).join("api.txt");
        if write {
            std::fs::write(&path, &items).map_err(|e| format!("{}: {e}", path.display()))?;
            println!("{name}: {} items", items.lines().count());
            continue;
        }
        let recorded = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let Changes { gone, new } = changes(&recorded, &items);
        new.iter().for_each(|line| println!("+ {line}"));
        gone.iter().for_each(|line| println!("- {line}"));
        println!(
            "{name}: {} items, {} gone or changed, {} new",
            items.lines().count(),
            gone.len(),
            new.len()
        );
        good &= gone.is_empty();
    }
    for name in SHOWN {
        let folder = tools::root().join("crates").join(name);
        let recorded = std::fs::read_to_string(folder.join("api.txt")).map_err(|e| format!("{name}: {e}"))?;
        for item in examples::missing(&folder, &recorded)? {
            println!("no example shows {item}");
        }
    }
    if !good {
        println!("who uses these items has to change: `cargo xtask api --write` records that it is meant");
    }
    Ok(good)
}

/// The public items of a library, a line each.
fn items(name: &str, features: &[&str]) -> Result<String, Stop> {
    let mut rustdoc = nightly::cargo();
    rustdoc.args(["rustdoc", "--quiet", "--locked", "--lib", "--package", name]).args(features);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"]);
    let status = rustdoc.status().map_err(|e| format!("rustup does not start: {e}"))?;
    if !status.success() {
        return Err(format!("rustdoc failed for {name}: {status}").into());
    }
    let json = format!("{}.json", name.replace('-', "_"));
    read(&nightly::folder().join("doc").join(json))
}

/// What rustdoc has written, without what is derived or follows from the other items.
fn read(json: &Path) -> Result<String, Stop> {
    let api = public_api::Builder::from_rustdoc_json(json)
        .sorted(true)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|e| format!("{}: {e}", json.display()))?;
    Ok(api.to_string())
}

/// What differs between two lists of items.
#[derive(Debug, PartialEq)]
struct Changes<'a> {
    gone: Vec<&'a str>,
    new: Vec<&'a str>,
}

fn changes<'a>(recorded: &'a str, found: &'a str) -> Changes<'a> {
    let [recorded, found] = [recorded, found].map(|t| t.lines().collect::<BTreeSet<_>>());
    Changes {
        gone: recorded.difference(&found).copied().collect(),
        new: found.difference(&recorded).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::examples::without_generics;
    use super::*;

    #[test]
    fn an_item_that_is_gone_is_told_from_one_that_is_new() {
        let check = |recorded: &str, found: &str, gone: &[&str], new: &[&str]| {
            assert_eq!(changes(recorded, found), Changes { gone: gone.to_vec(), new: new.to_vec() });
        };
        check("a\nb\n", "b\na\n", &[], &[]);
        check("fn f(u8)\n", "fn f(u16)\nfn g()\n", &["fn f(u8)"], &["fn f(u16)", "fn g()"]);
        check("", "", &[], &[]);
    }

    /// The pages that say what became of the calls of other interfaces name items that there are.
    #[test]
    fn names_on_the_pages_are_items() {
        let root = tools::root();
        let text = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        let list = |name| without_generics(&text(root.join("crates").join(name).join("api.txt")));
        let items: String = LIBRARIES.map(|(name, _)| list(name)).concat();
        let header = text(root.join("crates/anemone-c/include/anemone.h"));
        let known = |name: &str| {
            let whole = |text: &str, name: &str| {
                text.match_indices(name).any(|(at, _)| {
                    let after = text[at + name.len()..].chars().next();
                    !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                })
            };
            whole(&items, &format!("::{name}")) || name.starts_with("ane_") && whole(&header, name)
        };
        let (mut wrong, mut count) = (Vec::new(), 0);
        for page in ["ane", "go", "internals", "rane"] {
            let path = format!("docs/coming-from-{page}.md");
            for row in text(root.join(&path)).lines().filter(|l| l.starts_with("| ")) {
                let ours = row.replace("\\|", "").split('|').nth(2).unwrap_or_default().to_owned();
                for name in ours.split('`').skip(1).step_by(2).filter(|n| !n.contains(' ')) {
                    count += 1;
                    if !known(name) {
                        wrong.push(format!("{path}: `{name}`"));
                    }
                }
            }
        }
        assert!(
            wrong.is_empty() && count > 150,
            "{count} names, of which there are not\n{}",
            wrong.join("\n")
        );
    }
}
