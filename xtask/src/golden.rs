//! `cargo xtask golden`: the golden vectors and models, computed anew.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `golden/generate.py` and, unless families are named, `golden/models.py`, in a fresh environment unless an
/// interpreter is given; false when they found differences.
pub(crate) fn run(check: bool, python: Option<&Path>, families: &[String]) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let golden = root.join("golden");
    let python = match python {
        Some(python) => python.to_path_buf(),
        None => environment(&root.join("target/golden"), &golden.join("requirements.txt"))?,
    };
    let mut same = script(&python, &golden.join("generate.py"), check, families)?;
    if families.is_empty() {
        same &= script(&python, &golden.join("models.py"), check, &[])?;
    }
    Ok(same)
}

/// Runs one of the scripts; false when it compared and found differences.
fn script(python: &Path, path: &Path, check: bool, families: &[String]) -> Result<bool, String> {
    let mut command = Command::new(python);
    command.arg(path).args(check.then_some("--check")).args(families);
    let status = command.status().map_err(|e| format!("{} does not start: {e}", python.display()))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) if check => Ok(false),
        _ => Err(format!("{} failed: {status}", path.display())),
    }
}

/// Makes an environment with these requirements and nothing else, and gives its interpreter.
fn environment(folder: &Path, requirements: &Path) -> Result<PathBuf, String> {
    call("python3", [OsStr::new("-m"), "venv".as_ref(), "--clear".as_ref(), folder.as_ref()])?;
    let python = folder.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    call(&python, pip.iter().map(OsStr::new).chain([requirements.as_ref()]))?;
    Ok(python)
}

fn call<'a>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), String> {
    let name = program.as_ref().to_string_lossy().into_owned();
    let status =
        Command::new(program).args(arguments).status().map_err(|e| format!("{name} does not start: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}")) }
}
