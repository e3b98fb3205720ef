//! What all commands have in common, and the commands that need no file.

use std::process::{Command, Stdio};

use super::{Folder, SMALL, anemone};

const COMMANDS: &[&str] = &[
    "check",
    "run",
    "verify",
    "bench",
    "print",
    "fmt",
    "convert",
    "ops",
    "explain",
    "info",
    "doctor",
    "completions",
];

#[test]
fn every_command_has_help_with_examples() {
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let help = anemone(&[command, flag]).exits(0).out;
            assert!(help.contains("Usage: anemone "), "{command} {flag}");
            assert!(help.contains("Examples:"), "{command} {flag}");
            let example = format!("anemone {command}");
            assert!(help.split("Examples:").nth(1).unwrap().contains(&example), "{command} {flag}");
        }
    }
    let help = anemone(&["--help"]).exits(0).out;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in:\n{help}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    anemone(&[]).exits(2).complains("Usage:");
    anemone(&["frobnicate"]).exits(2).complains("unrecognized subcommand");
    anemone(&["info", "--frobnicate"]).exits(2).complains("unexpected argument");
    anemone(&["check"]).exits(2).complains("PATH");
    anemone(&["run", "x.mil", "--device", "gpu"]).exits(2).complains("possible values");
    anemone(&["run", "x.mil", "--numerics", "m7"]).exits(2).complains("m1");
    anemone(&["run", "x.mil", "-i", "x"]).exits(2).complains("NAME=FILE.npy");
    anemone(&["run", "x.mil", "--threads", "0"]).exits(2).complains("1..=1024");
    anemone(&["verify", "x.mil"]).exits(2).complains("--case");
    anemone(&["verify", "x.mil", "--case", "c.json", "-i", "x=y.npy"])
        .exits(2)
        .complains("cannot be used with");
}

#[test]
fn a_missing_file_exits_with_2_and_is_named() {
    for command in ["check", "run", "bench", "print", "fmt"] {
        anemone(&[command, "no-such-file.mil"]).exits(2).complains("`no-such-file.mil` cannot be read");
    }
    anemone(&["verify", "no-such-file.mil", "-e", "y=y.npy"]).exits(2).complains("no-such-file.mil");
    anemone(&["convert", "no-such-file.mil", "out.mlmodelc"]).exits(2).complains("no-such-file.mil");
}

#[test]
fn the_version_is_printed() {
    assert_eq!(anemone(&["--version"]).exits(0).out, format!("anemone {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn colour_is_drawn_on_request_only() {
    let folder = Folder::new();
    let bad = folder.file("bad.mil", SMALL.replace("matmul", "matmull"));
    let plain = anemone(&["check", &bad]).exits(1).out;
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let coloured = anemone(&["--color", "always", "check", &bad]).exits(1).out;
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert!(!anemone(&["check", &bad, "--color=never"]).exits(1).out.contains('\u{1b}'));
    assert!(anemone(&["--color=always", "ops", "--help"]).exits(0).out.contains("\u{1b}["));
}

/// Runs a command whose reader goes away at once.
fn with_a_closed_pipe(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_anemone"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_broken_pipe_is_success() {
    let folder = Folder::new();
    let model = folder.file("small.mil", SMALL);
    for arguments in [
        &["ops"][..],
        &["ops", "--json"],
        &["explain"],
        &["info"],
        &["--help"],
        &["completions", "zsh"],
        &["check", &model],
        &["print", &model],
        &["run", &model],
        &["run", &model, "--json"],
    ] {
        assert_eq!(with_a_closed_pipe(arguments), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn every_diagnostic_is_explained() {
    let list = anemone(&["explain"]).exits(0).out;
    let codes: Vec<&str> = list.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(codes.len() > 50);
    for code in ["unknown-op", "shape-mismatch", codes[0], codes[codes.len() - 1]] {
        let page = anemone(&["explain", code]).exits(0).out;
        assert!(page.starts_with(&format!("# {code}")), "{page}");
    }
    assert_eq!(
        anemone(&["explain", "error[unknown-op]"]).exits(0).out,
        anemone(&["explain", "unknown-op"]).exits(0).out
    );
    anemone(&["explain", "unknwon-op"]).exits(2).complains("did you mean `unknown-op`?");
    anemone(&["explain", "zzz"]).exits(2).complains("lists all");
}

#[test]
fn ops_are_listed_as_a_table_and_as_json() {
    let table = anemone(&["ops"]).exits(0).out;
    assert!(table.starts_with("OP "));
    assert!(table.lines().any(|l| l.starts_with("relu ")));
    let rows = anemone(&["ops", "--json"]).exits(0).json();
    let rows = rows.as_array().unwrap();
    let matmul: Vec<_> = rows.iter().filter(|r| r["op"] == "matmul").collect();
    assert_eq!(matmul.iter().map(|r| r["opset"].as_str().unwrap()).collect::<Vec<_>>(), ["ios15", "ios17"]);
    for row in rows {
        assert!(row["reference"].is_boolean() && row["cpu"].is_boolean(), "{row}");
        assert!(row["params"].is_array() && !row["tolerance"].is_null(), "{row}");
    }
    let x = &matmul[0]["params"][0];
    assert_eq!((x["name"].as_str(), x["required"].as_bool()), (Some("x"), Some(true)));
    let flag = matmul[0]["params"].as_array().unwrap().iter().find(|p| p["name"] == "transpose_x").unwrap();
    assert_eq!((&flag["default"], &flag["constant"]), (&false.into(), &true.into()));

    let one = anemone(&["ops", "matmul"]).exits(0).out;
    assert!(one.contains("transpose_x") && one.contains("ios17"), "{one}");
    assert_eq!(anemone(&["ops", "matmul", "--json"]).exits(0).json().as_array().unwrap().len(), 2);
    anemone(&["ops", "matmull"]).exits(2).complains("did you mean `matmul`?");
    anemone(&["ops", "complex_stft"]).exits(2).complains("inside coremltools");
}

#[test]
fn info_says_what_there_is() {
    let info = anemone(&["info", "--json"]).exits(0).json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["engines"], serde_json::json!(["reference", "cpu"]));
    assert!(info["threads"].as_u64().unwrap() > 0);
    assert_eq!(info["frameworks"][0]["name"], "AppleNeuralEngine");
    assert!(anemone(&["info"]).exits(0).out.contains("hardware"));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = anemone(&["completions", shell]).exits(0).out;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} {command}");
        }
    }
    anemone(&["completions", "tcsh"]).exits(2);
}

#[test]
#[cfg(not(target_vendor = "apple"))]
fn a_doctor_without_a_patient_says_so_and_exits_with_2() {
    let ran = anemone(&["doctor"]).exits(2);
    assert!(ran.out.starts_with("failed   frameworks    AppleNeuralEngine, IOSurface,"), "{}", ran.out);
    assert!(ran.out.contains("on a Mac, a small program is compiled, loaded and run"), "{}", ran.out);
    let json = anemone(&["doctor", "--json"]).exits(2).json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["device"], serde_json::Value::Null);
    assert_eq!(json["checks"][0]["check"], "frameworks");
    assert_eq!(json["checks"][0]["state"], "failed");
    let folder = Folder::new();
    let file = folder.path("doctor.log");
    anemone(&["doctor", "--record", &file]).exits(2).complains("nothing to record");
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
#[cfg(not(target_vendor = "apple"))]
fn a_worker_without_an_engine_says_so_and_exits_with_2() {
    anemone(&["compile-worker"]).exits(2).complains("AppleNeuralEngine cannot be opened");
    assert!(
        !anemone(&["--help"]).exits(0).out.contains("compile-worker"),
        "it is for processes, not for people"
    );
}
