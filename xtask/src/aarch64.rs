//! `cargo xtask aarch64`: what has parts of its own for ARM, tested on an emulated one.

use std::path::Path;
use std::process::Command;

use crate::{Stop, tools};

/// A system without libraries: its executables need nothing of the machine that emulates them, and the linker that
/// comes with Rust makes them.
const TARGET: &str = "aarch64-unknown-linux-musl";

/// What is tested, and on which processor: `max` has everything there is; `cortex-a72` has NEON without arithmetic on
/// halves, where halves are converted in another way. Two tests of the seam start themselves anew, which the emulator does
/// not do for them.
const TESTS: [(&str, &[&str]); 3] = [
    ("max", &["--lib"]),
    ("max", &["--test", "seam", "--", "--skip", "ends_the_process", "--skip", "another_process_maps"]),
    ("cortex-a72", &["--lib", "--", "half", "halves", "fp16", "portable", "vectors"]),
];

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    tools::target(TARGET)
        .map_err(|e| Stop::Lacking(format!("there is no Rust library for {TARGET}: {e}")))?;
    let emulator = emulator()?;
    let folder = tools::root().join("target/aarch64");
    let library = folder.join("libdl.a");
    // All of musl is in one library. Those that C links besides are empty; Rust does not bring them.
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&library, "!<arch>\n"))
        .map_err(|e| format!("{}: {e}", library.display()))?;
    let mut good = true;
    for (processor, tests) in TESTS {
        let mut command = Command::new("cargo");
        // The same packages each time, so that their dependencies are built once.
        command.args(["test", "--locked", "--profile", "emulated", "--target", TARGET]);
        command.args(["--package", "anemone-kernels", "--package", "anemone-apple"]);
        command.args(["--features", "anemone-apple/fake"]).args(tests);
        command
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
            .env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS",
                format!("-L native={}", folder.display()),
            )
            .current_dir(tools::root());
        if let Some(emulator) = &emulator {
            let runner = format!("{emulator} -cpu {processor}");
            println!("== {runner}: {}", tests.join(" "));
            command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER", runner);
        }
        good &= command.status().map_err(|e| format!("cargo does not start: {e}"))?.success();
    }
    Ok(good)
}

/// What runs executables for ARM; nothing does on ARM itself.
fn emulator() -> Result<Option<&'static str>, Stop> {
    if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
        return Ok(None);
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| std::env::split_paths(&paths).any(|p| Path::new(&p).join(name).is_file());
    let found = ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find(is_there);
    let lacking = || Stop::Lacking("there is no qemu-aarch64: install qemu-user-static or qemu-user".into());
    found.map(Some).ok_or_else(lacking)
}
