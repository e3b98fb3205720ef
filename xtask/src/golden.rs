//! `cargo xtask golden`: the golden vectors and models, computed anew.

use std::path::Path;
use std::process::Command;

use crate::{Stop, tools};

/// Runs `golden/generate.py` and, unless families are named, `golden/models.py`, in an environment of their own unless
/// an interpreter is given; false when they found differences.
pub(crate) fn run(check: bool, python: Option<&Path>, families: &[String]) -> Result<bool, Stop> {
    let root = tools::root();
    let golden = root.join("golden");
    let python = match python {
        Some(python) => python.to_path_buf(),
        None => tools::python(&root.join("target/golden"), &golden.join("requirements.txt"))?.join("python"),
    };
    let mut same = script(&python, &golden.join("generate.py"), check, families)?;
    if families.is_empty() {
        same &= script(&python, &golden.join("models.py"), check, &[])?;
    }
    Ok(same)
}

/// Runs one of the scripts; false when it compared and found differences.
fn script(python: &Path, path: &Path, check: bool, families: &[String]) -> Result<bool, Stop> {
    let mut command = Command::new(python);
    command.arg(path).args(check.then_some("--check")).args(families);
    let status = command.status().map_err(|e| format!("{} does not start: {e}", python.display()))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) if check => Ok(false),
        _ => Err(format!("{} failed: {status}", path.display()).into()),
    }
}
