//! `cargo xtask miri`: unsafe code, interpreted by Miri.

use std::process::{Command, Stdio};

use crate::{Stop, tools};

/// What is interpreted: the arguments of `cargo miri test`, under both models of which pointer may reach what.
const TESTS: [&[&str]; 2] = [
    &["--package", "anemone-apple", "--features", "fake", "--test", "seam"],
    &["--package", "anemone-kernels", "--lib"],
];

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    if !is_there() {
        let install = ["toolchain", "install", "nightly", "--profile", "minimal"];
        let parts = ["--component", "miri", "--component", "rust-src"];
        tools::fetch(Command::new("rustup").args(install).args(parts))
            .map_err(|e| Stop::Lacking(format!("there is no nightly Rust with Miri: {e}")))?;
    }
    let mut good = true;
    for aliasing in ["", "-Zmiri-tree-borrows"] {
        for tests in TESTS {
            println!("== {} {aliasing}", tests.join(" "));
            let status = Command::new("rustup")
                .args(["run", "nightly", "cargo", "miri", "test", "--locked"])
                .args(tests)
                // The fake keeps files, as the system does.
                .env("MIRIFLAGS", format!("-Zmiri-disable-isolation -Zmiri-strict-provenance {aliasing}"))
                .current_dir(tools::root())
                .status()
                .map_err(|e| format!("rustup does not start: {e}"))?;
            good &= status.success();
        }
    }
    Ok(good)
}

fn is_there() -> bool {
    let mut version = Command::new("rustup");
    version
        .args(["run", "nightly", "cargo", "miri", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|s| s.success())
}
