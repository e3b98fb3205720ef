//! The models below `golden/models`: packages that coremltools made, with what PyTorch computes.

use std::path::{Path, PathBuf};

use super::{Folder, anemone};

/// The folders of the models.
fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models");
    let entries = std::fs::read_dir(folder).expect("the models are there");
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("the folder can be read").path()).collect();
    found.sort();
    assert!(found.len() >= 40, "only {} models are there", found.len());
    found
}

/// The arguments as the command line takes them.
fn shown(path: &Path) -> String {
    path.to_str().expect("the path is UTF-8").to_string()
}

#[test]
fn models_are_without_fault_and_print_to_a_fixed_point() {
    let folder = Folder::new();
    for model in models() {
        let package = shown(&model.join("model.mlpackage"));
        anemone(&["check", &package]).exits(0);
        let once = anemone(&["print", &package]).exits(0).out;
        let twice = anemone(&["print", &folder.file("once.mil", &once)]).exits(0).out;
        assert!(once == twice, "{package} prints differently once parsed");
    }
}
