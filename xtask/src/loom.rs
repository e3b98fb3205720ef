//! `cargo xtask loom`: what threads hand over, in every order in which they may meet.

use std::process::Command;

use crate::{Stop, tools};

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    let root = tools::root();
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    // The pool of the kernels, the seam with its stand-in, and what the software engine does with threads of its own. Loom's
    // threads have stacks of 32 KiB, whatever they run: too few for programs in code that is not optimised at all, while the
    // pool runs closures of its tests, and the kernels take long to optimise.
    let tests: [(&str, &str, &[&str]); 3] = [
        ("anemone-kernels", "0", &["--lib", "threads::orders"]),
        ("anemone-apple", "1", &["--features", "fake", "--test", "loom"]),
        ("anemone", "1", &["--test", "loom"]),
    ];
    for (package, level, which) in tests {
        let status = Command::new("cargo")
            .args(["test", "--locked", "--package", package])
            .args(which)
            .env("RUSTFLAGS", format!("{flags} --cfg loom"))
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", level)
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
