//! `cargo xtask macos`: executables for macOS, linked on any system, and what they are linked to.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::macho::{self, Executable};
use crate::{Stop, tools};

const TARGET: &str = "aarch64-apple-darwin";

/// What an executable may be linked to: C's library, and what Rust's standard library asks of it. No framework is
/// among them, not even a public one: all are opened when they are needed.
const LINKED: [&str; 3] =
    ["/usr/lib/libSystem.B.dylib", "/usr/lib/libiconv.2.dylib", "/usr/lib/libcharset.1.dylib"];

/// The oldest macOS that starts them: the first whose frameworks take what is sent.
const OLDEST: &str = "13.0";

/// What the command line opens by its path.
const OPENED: &[u8] = b"/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine";

/// Builds the library, the command line and all examples, and looks at each executable; false when one is linked to
/// what it should not be.
pub(crate) fn run() -> Result<bool, Stop> {
    let root = tools::root();
    let tools = tools::python(&root.join("target/zig"), &root.join("xtask/macos-requirements.txt"))?;
    let mut good = true;
    let executables = build(&root, &tools)?;
    for path in &executables {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let faults = match macho::read(&bytes) {
            Ok(executable) => {
                println!(
                    "{name}: macOS {}, linked to {}",
                    executable.oldest,
                    executable.libraries.join(", ")
                );
                faults(&executable, name == "anemone", &bytes)
            }
            Err(e) => vec![e],
        };
        for fault in &faults {
            println!("!! {name}: {fault}");
        }
        good &= faults.is_empty();
    }
    Ok(good && !executables.is_empty())
}

/// What is wrong with an executable.
fn faults(executable: &Executable, opens: bool, bytes: &[u8]) -> Vec<String> {
    let linked = executable.libraries.iter().filter(|l| !LINKED.contains(&l.as_str()));
    let mut faults: Vec<String> =
        linked.map(|l| format!("it is linked to {l}, which is to be opened at run time")).collect();
    if !executable.libraries.iter().any(|l| l == LINKED[0]) {
        faults.push(format!("it is not linked to {}", LINKED[0]));
    }
    if executable.oldest != OLDEST {
        faults.push(format!("it needs macOS {}, not {OLDEST}", executable.oldest));
    }
    if !executable.signed {
        faults.push("it has no code signature: a Mac does not start it".into());
    }
    if opens && !bytes.windows(OPENED.len()).any(|w| w == OPENED) {
        faults.push("it does not know the path of the engine's framework".into());
    }
    faults
}

/// Builds everything, and gives the paths of the executables.
fn build(root: &Path, tools: &Path) -> Result<Vec<PathBuf>, Stop> {
    let mut command = Command::new(tools.join("cargo-zigbuild"));
    command.args(["zigbuild", "--locked", "--profile", "link", "--target", TARGET]);
    command.args(["--workspace", "--exclude", "xtask", "--lib", "--bins", "--examples"]);
    command.arg("--message-format=json-render-diagnostics");
    standard_library(&mut command)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([tools.to_path_buf()].into_iter().chain(std::env::split_paths(&path)));
    // An SDK would only add to what can be linked by mistake: the one that is named has nothing in it.
    let sdk = root.join("target/zig/sdk");
    std::fs::create_dir_all(&sdk).map_err(|e| format!("{}: {e}", sdk.display()))?;
    command
        .env("PATH", path.map_err(|e| e.to_string())?)
        .env("SDKROOT", sdk)
        .env("MACOSX_DEPLOYMENT_TARGET", OLDEST)
        .env("CARGO_ZIGBUILD_CACHE_DIR", root.join("target/zig/cache"))
        .env("ZIG_GLOBAL_CACHE_DIR", root.join("target/zig/cache"))
        .current_dir(root);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cargo-zigbuild does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("the build for {TARGET} failed: {}", output.status).into());
    }
    let lines = output.stdout.split(|&b| b == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    Ok(messages.filter_map(|m| m["executable"].as_str().map(PathBuf::from)).collect())
}

/// Sees to it that there is a standard library: rustup's, or one that cargo builds of its source.
fn standard_library(command: &mut Command) -> Result<(), Stop> {
    let Err(because) = tools::target(TARGET) else { return Ok(()) };
    let source = Path::new(&tools::rustc("sysroot")?).join("lib/rustlib/src/rust/library/Cargo.lock");
    if !source.is_file()
        && tools::fetch(Command::new("rustup").args(["component", "add", "rust-src"])).is_err()
    {
        return Err(Stop::Lacking(format!(
            "neither Rust's library for {TARGET} nor its source is there: {because}"
        )));
    }
    println!("Rust's library for {TARGET} cannot be fetched ({because}): it is built of its source");
    // The stable compiler builds it when it is told that it may.
    command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    Ok(())
}
