//! The nightly Rust that some tasks need.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::tools;

/// Its name, with the date: another one may find other things, write another form, or lack parts.
pub(crate) const TOOLCHAIN: &str = "nightly-2026-05-20";

/// Installs the toolchain with these components, unless they are there.
pub(crate) fn install(components: &[&str]) -> Result<(), String> {
    let mut list = Command::new("rustup");
    list.args(["component", "list", "--installed", "--toolchain", TOOLCHAIN]).stderr(Stdio::null());
    let output = list.output().map_err(|e| format!("rustup does not start: {e}"))?;
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && components.iter().all(|c| found.lines().any(|line| line.starts_with(c))) {
        return Ok(());
    }
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal", "--no-self-update"]);
    install.args(components.iter().flat_map(|c| ["--component", c]));
    tools::fetch(&mut install)
}

/// Its cargo, called at the root of the repository. What it builds lies in a folder of its own, since what another
/// toolchain has built fits badly.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN, "cargo"]).env("CARGO_TARGET_DIR", folder()).current_dir(tools::root());
    command
}

/// Where it builds.
pub(crate) fn folder() -> PathBuf {
    tools::root().join("target").join(TOOLCHAIN)
}
