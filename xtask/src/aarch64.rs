//! `cargo xtask aarch64`: what has parts of its own for ARM, tested on an emulated one.

use std::path::Path;
use std::process::Command;

use crate::{Stop, tools};

/// A system without libraries: its executables need nothing of the machine that emulates them, and the linker that
/// comes with Rust makes them.
const TARGET: &str = "aarch64-unknown-linux-musl";

/// The processors: one with NEON alone, and one with all that there is, arithmetic on halves included.
const PROCESSORS: [&str; 2] = ["cortex-a72", "max"];

/// Runs the tests of the kernels on each processor, and those of the seam and of the engines on one; false when a
/// test failed.
pub(crate) fn run() -> Result<bool, Stop> {
    tools::target(TARGET)
        .map_err(|e| Stop::Lacking(format!("there is no Rust library for {TARGET}: {e}")))?;
    if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        return Ok(tests(None, &KERNELS)? && tests(None, &SEAM)? && tests(None, &ENGINES)?);
    }
    let emulator = ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find(|name| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|folder| Path::new(&folder).join(name).is_file())
    });
    let emulator = emulator.ok_or_else(|| {
        Stop::Lacking("there is no qemu-aarch64: install qemu-user or qemu-user-static".into())
    })?;
    let mut good = true;
    for processor in PROCESSORS {
        let runner = format!("{emulator} -cpu {processor}");
        println!("== {runner}");
        good &= tests(Some(&runner), &KERNELS)?;
        if processor == "max" {
            good &= tests(Some(&runner), &SEAM)?;
            good &= tests(Some(&runner), &ENGINES)?;
        }
    }
    Ok(good)
}

const KERNELS: [&str; 3] = ["--package", "anemone-kernels", "--lib"];
const SEAM: [&str; 6] = ["--package", "anemone-apple", "--features", "fake", "--test", "seam"];
const ENGINES: [&str; 4] = ["--package", "anemone", "--test", "device"];

fn tests(runner: Option<&str>, which: &[&str]) -> Result<bool, Stop> {
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "--profile", "emulated", "--target", TARGET]).args(which);
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld").current_dir(tools::root());
    if let Some(runner) = runner {
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER", runner);
    }
    let status = command.status().map_err(|e| format!("cargo does not start: {e}"))?;
    Ok(status.success())
}
