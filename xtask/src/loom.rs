//! `cargo xtask loom`: what threads hand over, in every order in which they may meet.

use std::process::Command;

use crate::{Stop, tools};

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    let root = tools::root();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // The seam with its stand-in, and what the software engine does with threads of its own.
    for (package, features) in [("anemone-apple", "fake"), ("anemone", "")] {
        let status = Command::new("cargo")
            .args(["test", "--locked", "--package", package, "--features", features, "--test", "loom"])
            .env("RUSTFLAGS", format!("{flags} --cfg loom"))
            // Loom's threads have stacks of 32 KiB, whatever they run: too few for code that is not optimised at all.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            // Other flags are another build of everything.
            .env("CARGO_TARGET_DIR", root.join("target/loom"))
            .current_dir(&root)
            .status()
            .map_err(|e| format!("cargo does not start: {e}"))?;
        if !status.success() {
            return Ok(false);
        }
    }
    Ok(true)
}
