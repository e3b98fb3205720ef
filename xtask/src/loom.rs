//! `cargo xtask loom`: what threads hand over, in every order in which they may meet.

use std::process::Command;

use crate::{Stop, tools};

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    let root = tools::root();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let status = Command::new("cargo")
        .args(["test", "--locked", "--package", "anemone-apple", "--features", "fake", "--test", "loom"])
        .env("RUSTFLAGS", format!("{flags} --cfg loom"))
        // Other flags are another build of everything.
        .env("CARGO_TARGET_DIR", root.join("target/loom"))
        .current_dir(&root)
        .status()
        .map_err(|e| format!("cargo does not start: {e}"))?;
    Ok(status.success())
}
