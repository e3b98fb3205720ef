//! `cargo xtask fuzz`: every fuzz target for some time.

use std::path::Path;
use std::process::Command;

/// Runs the targets one after the other; false when one of them found something.
pub(crate) fn run(seconds: u64, only: Option<&str>) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = Command::new("cargo")
        .args(["fuzz", "list"])
        .current_dir(&root)
        .output()
        .map_err(|e| format!("cargo fuzz does not start: {e}"))?;
    if !list.status.success() {
        return Err("`cargo fuzz list` failed: install it with `cargo install cargo-fuzz`".into());
    }
    let mut clean = true;
    for target in String::from_utf8_lossy(&list.stdout).lines() {
        if only.is_some_and(|o| o != target) {
            continue;
        }
        println!("== {target}, {seconds} s");
        // The sanitizers need options of the nightly compiler; the stable one takes them when it is told to.
        let status = Command::new("cargo")
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["fuzz", "run", "--sanitizer", "none", target, "--"])
            .args([format!("-max_total_time={seconds}"), "-rss_limit_mb=2048".into(), "-timeout=20".into()])
            .args(["-max_len=65536", "-print_final_stats=1"])
            .current_dir(&root)
            .status()
            .map_err(|e| e.to_string())?;
        if !status.success() {
            println!("!! {target} found something: see fuzz/artifacts/{target}");
            clean = false;
        }
    }
    Ok(clean)
}
