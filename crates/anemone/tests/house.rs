//! The rules of the house that no compiler checks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The floor of each module, from the table in ARCHITECTURE.md.
fn floors() -> BTreeMap<String, u32> {
    let text = read("ARCHITECTURE.md");
    let mut floors = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let [_, floor, modules, _, _, _] = cells.as_slice()
            && let Ok(floor) = floor.parse()
        {
            for module in modules.split(',') {
                floors.insert(module.trim().trim_matches('`').to_string(), floor);
            }
        }
    }
    floors
}

/// The module of a path: a module within another has a floor of its own if the table has a row for it.
fn with_a_row(floors: &BTreeMap<String, u32>, path: &[&str]) -> String {
    let inner = path.iter().take(2).copied().collect::<Vec<_>>().join("::");
    if floors.contains_key(&inner) { inner } else { path[0].to_string() }
}

#[test]
fn a_module_imports_lower_floors_only() {
    let floors = floors();
    assert!(floors.len() > 5, "the floors table of ARCHITECTURE.md was not found");
    let src = root().join("crates/anemone/src");
    let mut seen = Vec::new();
    let mut wrong = Vec::new();
    let files = rust_files(&src);
    // Tests may look anywhere: those of a file, and whole modules of tests.
    let declares_as_test = |file: &Path, module: &str| {
        let text = fs::read_to_string(file).unwrap();
        text.contains(&format!("#[cfg(test)]\nmod {module};"))
    };
    for file in &files {
        let folder = file.parent().unwrap();
        let module = file.file_stem().unwrap().to_str().unwrap();
        let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
        if parents.iter().any(|p| files.contains(p) && declares_as_test(p, module)) {
            continue;
        }
        let relative = file.strip_prefix(&src).unwrap();
        let path: Vec<&str> =
            relative.iter().map(|part| part.to_str().unwrap().trim_end_matches(".rs")).collect();
        let module = with_a_row(&floors, &path);
        if module == "lib" {
            continue;
        }
        let Some(&floor) = floors.get(&module) else {
            wrong.push(format!("`{module}` has no row in the floors table"));
            continue;
        };
        seen.push(module.clone());
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            // Documentation may look anywhere too.
            if line.trim_start().starts_with("//") {
                continue;
            }
            for part in line.split("crate::").skip(1) {
                let of = |path: &str| {
                    let path: Vec<&str> = path
                        .split("::")
                        .map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
                        .collect();
                    with_a_row(&floors, &path)
                };
                let targets: Vec<String> = match part.strip_prefix('{') {
                    Some(list) => list.split([',', '}']).map(|t| of(t.trim())).collect(),
                    None => vec![of(part)],
                };
                for target in targets {
                    if let Some(&other) = floors.get(&target)
                        && other > floor
                    {
                        let at = format!("{}:{}", relative.display(), number + 1);
                        wrong.push(format!(
                            "{at}: `{module}` (floor {floor}) looks up at `{target}` ({other})"
                        ));
                    }
                }
            }
        }
    }
    for module in floors.keys() {
        if !seen.contains(module) {
            wrong.push(format!("the floors table names `{module}`, which does not exist"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_commands_of_the_readme_are_those_that_ci_runs() {
    let readme = read("README.md");
    let ci = read(".ci/run");
    let commands: Vec<&str> =
        readme.lines().filter_map(|l| l.strip_prefix("$ ")).filter(|l| l.starts_with("cargo ")).collect();
    assert!(commands.len() >= 2, "README.md shows its commands in lines that start with `$ cargo`");
    for command in &commands[..2] {
        assert!(ci.lines().any(|l| l.trim().ends_with(command)), ".ci/run does not call `{command}`");
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "golden/README.md"]
            .map(|d| root().join(d))
            .to_vec();
    documents.extend(fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().path()));
    let mut wrong = Vec::new();
    for document in documents.iter().filter(|d| d.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere = link.contains("://") || link.is_empty();
            if !elsewhere && !document.parent().unwrap().join(link).exists() {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    // Sources and documents also name documents as they are called from the root.
    for folder in ["crates", "docs", "golden", "fuzz/fuzz_targets", "fuzz/smith"] {
        for file in rust_files(&root().join(folder)).into_iter().chain(documents.iter().cloned()) {
            let text = fs::read_to_string(&file).unwrap();
            for part in text.split("`docs/").skip(1) {
                let name = part.split('`').next().unwrap();
                let is_document = name.ends_with(".md") && !name.contains(['<', '*', '…']);
                let beside = file.ancestors().any(|a| a.join("docs").join(name).exists());
                if is_document && !beside {
                    wrong.push(format!("{}: docs/{name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The crates that have unsafe code; ARCHITECTURE.md calls them islands.
const ISLANDS: [&str; 3] = ["anemone-apple", "anemone-c", "anemone-kernels"];

#[test]
fn unsafe_code_lives_in_the_island_crates() {
    let mut islands = Vec::new();
    // The fuzz targets have no root of a library: libFuzzer's macro writes what is unsafe there.
    let folders = ["", "crates", "fuzz"].map(|f| fs::read_dir(root().join(f)).unwrap());
    for entry in folders.into_iter().flatten() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for file in ["src/lib.rs", "src/main.rs"].map(|f| folder.join(f)).into_iter().filter(|f| f.exists()) {
            if !fs::read_to_string(&file).unwrap().contains("#![forbid(unsafe_code)]") {
                islands.push(name.clone());
            }
        }
    }
    islands.sort();
    assert_eq!(islands, ISLANDS);
    let table = read("ARCHITECTURE.md");
    for island in ISLANDS {
        assert!(table.contains(&format!("| `{island}` | unsafe island: ")), "{island} has no row");
    }
}

#[test]
fn each_diagnostic_has_a_row_and_each_page_a_diagnostic() {
    let folder = root().join("crates/anemone/docs/diagnostics");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let code = name.trim_end_matches(".md");
        assert!(
            anemone::source::codes::find(code).is_some(),
            "docs/diagnostics/{name} belongs to no diagnostic"
        );
    }
}
