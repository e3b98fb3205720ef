//! What tasks need beside cargo: targets of rustup, and Python packages in an environment below `target/`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Stop;

/// How long a download may take, with what is built of it.
const DOWNLOAD: Duration = Duration::from_secs(1800);

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// Runs a command that fetches something; says why it did not succeed.
pub(crate) fn fetch(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{name} failed: {status}")),
            None if start.elapsed() > DOWNLOAD => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} took more than {} s", DOWNLOAD.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Makes an environment with these requirements and nothing else, or takes the one that was made of the same, and
/// gives its folder of programs.
pub(crate) fn python(folder: &Path, requirements: &Path) -> Result<PathBuf, Stop> {
    let programs = folder.join("bin");
    let (made_of, wanted) = (folder.join("requirements.txt"), std::fs::read(requirements));
    let wanted = wanted.map_err(|e| format!("{}: {e}", requirements.display()))?;
    if std::fs::read(&made_of).is_ok_and(|made| made == wanted) {
        return Ok(programs);
    }
    let lacking = |e| Stop::Lacking(format!("{} cannot be installed: {e}", requirements.display()));
    let venv = [OsStr::new("-m"), "venv".as_ref(), "--clear".as_ref(), folder.as_ref()];
    fetch(Command::new("python3").args(venv)).map_err(lacking)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    fetch(Command::new(programs.join("python")).args(install).arg(requirements)).map_err(lacking)?;
    std::fs::write(&made_of, wanted).map_err(|e| format!("{}: {e}", made_of.display()))?;
    Ok(programs)
}

/// What rustc prints about itself.
pub(crate) fn rustc(print: &str) -> Result<String, Stop> {
    let output = Command::new("rustc").args(["--print", print]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| format!("rustc does not start: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether the standard library of a target is there, or could be added.
pub(crate) fn target(name: &str) -> Result<(), String> {
    let sysroot = rustc("sysroot").map_err(|e| e.to_string())?;
    if Path::new(&sysroot).join("lib/rustlib").join(name).join("lib").is_dir() {
        return Ok(());
    }
    fetch(Command::new("rustup").args(["target", "add", name]))
}
