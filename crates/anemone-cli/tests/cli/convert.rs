//! `convert`.

use super::{Folder, SMALL, anemone, anemone_fed};

/// The program without its head: a package always says who built it, and text need not.
fn functions(text: &str) -> &str {
    &text[text.find("func ").unwrap()..]
}

#[test]
fn every_form_holds_the_same_program() {
    let folder = Folder::new();
    let mut path = folder.file("small.mil", SMALL);
    let printed = anemone_fed(&["print", "-"], SMALL.as_bytes()).exits(0).out;
    let ran = |path: &str| anemone(&["run", path, "--json"]).exits(0).json()["outputs"].clone();
    let expected = ran(&path);
    for out in ["a.mlpackage", "b.mlmodelc", "c/model.mil", "d.mlmodelc", "e.mlpackage"] {
        let out = folder.path(out);
        let said = anemone(&["convert", &path, &out]).exits(0).out;
        assert!(said.starts_with("written to "), "{said}");
        let again = anemone(&["print", &out]).exits(0).out;
        assert_eq!(functions(&again), functions(&printed), "{out}");
        assert_eq!(ran(&out), expected, "{out}");
        path = out;
    }
}

#[test]
fn what_is_there_is_replaced_on_request_only() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let out = folder.path("small.mlmodelc");
    assert_eq!(anemone(&["convert", &path, &out, "-q"]).exits(0).out, "");
    anemone(&["convert", &path, &out]).exits(2).complains("use `--force`");
    anemone(&["convert", &path, &out, "--force"]).exits(0);
    anemone(&["convert", &path, &path, "--force"]).exits(2).complains("are the same");
    anemone(&["convert", &path, &folder.path("small.onnx")]).exits(2).complains("`.mlpackage`");
}

#[test]
fn the_dialect_is_chosen() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL.replace("ios18", "ios16"));
    let out = folder.path("old.mil");
    anemone(&["convert", &path, &out, "--dialect", "1.0"]).exits(0);
    assert!(std::fs::read_to_string(&out).unwrap().starts_with("program(1.0)"));
}
