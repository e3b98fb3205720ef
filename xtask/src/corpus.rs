//! `cargo xtask corpus`: every model below a folder, through the command line as a user calls it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long one call of the command line may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came of one model.
struct Row {
    path: String,
    ops: u64,
    result: Result<String, String>,
    check_ms: u128,
    run_ms: Option<f64>,
}

/// Goes through the folder; false when any row failed.
pub(crate) fn run(folder: &Path, output: Option<&Path>, only: Option<&str>) -> Result<bool, String> {
    let anemone = build()?;
    let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut found = Found::default();
    walk(folder, &mut found)?;
    let wanted = |p: &Path| only.is_none_or(|o| p.to_string_lossy().contains(o));
    let name = |p: &Path| p.strip_prefix(folder).unwrap_or(p).display().to_string();
    let mut rows = Vec::new();
    for path in found.models.iter().filter(|p| wanted(p)) {
        let draft = found.drafts.contains(path);
        eprint!("{} … ", name(path));
        let row = model(&anemone, path, name(path), draft, scratch.path());
        eprintln!("{}", row.result.as_ref().map_or_else(|e| format!("FAILED: {e}"), Clone::clone));
        rows.push(row);
    }
    for (package, member, text) in found.pairs.iter().filter(|(p, ..)| wanted(p)) {
        let start = Instant::now();
        let result = pair(&anemone, package, member.as_deref(), text, scratch.path());
        eprintln!("pair {} … {}", name(package), if result.is_ok() { "same text" } else { "FAILED" });
        let path = format!("{} → model.mil", name(package));
        rows.push(Row { path, ops: 0, result, check_ms: start.elapsed().as_millis(), run_ms: None });
    }
    for case in found.cases.iter().filter(|p| wanted(p)) {
        for device in ["reference", "cpu"] {
            let start = Instant::now();
            let model = case.with_file_name("model.mlpackage");
            let out = call(&anemone, &["verify", &text(&model), "--case", &text(case), "--device", device]);
            let result = match out {
                Ok(o) if o.code == 0 => Ok(format!("verified on {device}")),
                Ok(o) => Err(format!("verify on {device}: {}", last_line(&o))),
                Err(e) => Err(e),
            };
            eprintln!("case {} on {device} … {}", name(case), result.as_ref().map_or("FAILED", |_| "ok"));
            let path = name(case);
            rows.push(Row { path, ops: 0, result, check_ms: start.elapsed().as_millis(), run_ms: None });
        }
    }
    let table = table(&rows);
    match output {
        Some(path) => fs::write(path, &table).map_err(|e| format!("{}: {e}", path.display()))?,
        None => print!("{table}"),
    }
    let failed = rows.iter().filter(|r| r.result.is_err()).count();
    eprintln!("{} rows, {failed} failed", rows.len());
    if rows.is_empty() {
        return Err(format!("{} holds no models", folder.display()));
    }
    Ok(failed == 0)
}

/// Builds the command line and says where it is.
fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new("cargo")
        .args(["build", "--release", "--package", "anemone-cli"])
        .current_dir(&root)
        .status()
        .map_err(|e| e.to_string())?;
    if !status.success() {
        return Err("the command line does not build".into());
    }
    // This task was built into the folder in which cargo puts the command line too.
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    Ok(own.with_file_name(format!("anemone{}", std::env::consts::EXE_SUFFIX)))
}

/// What a folder holds.
#[derive(Default)]
struct Found {
    models: Vec<PathBuf>,
    drafts: HashSet<PathBuf>,
    /// A package, which member of its pipeline, and the text that Apple's compiler made of it.
    pairs: Vec<(PathBuf, Option<String>, PathBuf)>,
    cases: Vec<PathBuf>,
}

fn walk(folder: &Path, found: &mut Found) -> Result<(), String> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .collect();
    entries.sort();
    for path in entries {
        let ext = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let file_name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        match ext {
            "mlpackage" | "mlmodelc" | "mil" | "mlmodel" if !path.is_dir() || fs::read_dir(&path).is_ok() => {
                // A folder is a bundle only if it looks like one: names of plain folders end in anything.
                let bundle = path.is_file()
                    || ["Manifest.json", "model.mil", "coremldata.bin"].iter().any(|f| path.join(f).exists());
                if bundle { found.models.push(path) } else { walk(&path, found)? }
            }
            _ if path.is_dir() => walk(&path, found)?,
            _ if file_name == "case.json" => found.cases.push(path),
            _ if file_name == "INDEX.tsv" => {
                for row in rows_of(&path)? {
                    if row("parses").as_deref() == Some("n")
                        && let Some(file) = row("file")
                    {
                        found.drafts.insert(folder.join(file));
                    }
                }
            }
            _ if file_name == "PAIRS.tsv" => {
                for row in rows_of(&path)? {
                    if let (Some(package), Some(text)) = (row("mlpackage"), row("model_mil")) {
                        let member = row("pipeline_model").filter(|m| !m.is_empty());
                        found.pairs.push((folder.join(package), member, folder.join(text)));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The rows of a table of tab-separated values, each as a function from a column's name to its cell.
fn rows_of(path: &Path) -> Result<Vec<impl Fn(&str) -> Option<String>>, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.lines().map(|l| l.split('\t').map(str::to_string).collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    Ok(lines
        .map(|cells| {
            let header = header.clone();
            move |column: &str| header.iter().position(|h| h == column).and_then(|i| cells.get(i).cloned())
        })
        .collect())
}

/// What a call of the command line gave.
struct Output {
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    took: Duration,
}

fn call(anemone: &Path, args: &[&str]) -> Result<Output, String> {
    let start = Instant::now();
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let file = |p: &Path| fs::File::create(p).map_err(|e| e.to_string());
    let mut child = Command::new(anemone)
        .args(args)
        .stdin(Stdio::null())
        .stdout(file(&out)?)
        .stderr(file(&err)?)
        .spawn()
        .map_err(|e| format!("{}: {e}", anemone.display()))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("`anemone {}` takes longer than {} s", args[0], PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let read = |p: &Path| fs::read(p).map_err(|e| e.to_string());
    let code = status.code().unwrap_or(-1);
    Ok(Output { code, stdout: read(&out)?, stderr: read(&err)?, took: start.elapsed() })
}

fn model(anemone: &Path, path: &Path, name: String, draft: bool, scratch: &Path) -> Row {
    let mut row = Row { path: name, ops: 0, result: Err(String::new()), check_ms: 0, run_ms: None };
    row.result = checked(anemone, path, draft, scratch, &mut row.ops, &mut row.check_ms, &mut row.run_ms);
    row
}

fn checked(
    anemone: &Path,
    path: &Path,
    draft: bool,
    scratch: &Path,
    ops: &mut u64,
    check_ms: &mut u128,
    run_ms: &mut Option<f64>,
) -> Result<String, String> {
    let path_text = text(path);
    let check = call(anemone, &["check", &path_text, "--json"])?;
    *check_ms = check.took.as_millis();
    let json: Value = serde_json::from_slice(&check.stdout)
        .map_err(|e| format!("check printed no JSON ({e}): {}", last_line(&check)))?;
    let codes: Vec<&str> = list(&json["diagnostics"]).iter().filter_map(|d| d["code"].as_str()).collect();
    if draft {
        let placed = list(&json["diagnostics"]).iter().any(|d| d["line"].as_u64().is_some());
        return match (check.code, placed) {
            (1, true) => Ok(format!("refused: {}", codes.first().unwrap_or(&""))),
            (code, _) => Err(format!("a draft: check exits {code}, with a position: {placed}")),
        };
    }
    if check.code == 1 && codes == ["not-a-program"] {
        let kind = json["diagnostics"][0]["message"].as_str().unwrap_or_default();
        return Ok(format!("refused: {kind}"));
    }
    if check.code != 0 {
        return Err(format!("check exits {}: {}", check.code, first_error(&json)));
    }
    *ops = list(&json["functions"]).iter().filter_map(|f| f["ops"].as_u64()).sum();

    let (first, second) = (scratch.join("first.mil"), scratch.join("second.mil"));
    for (from, to) in [(path, &first), (first.as_path(), &second)] {
        let print = call(anemone, &["print", &text(from)])?;
        if print.code != 0 {
            return Err(format!("print exits {}: {}", print.code, last_line(&print)));
        }
        fs::write(to, print.stdout).map_err(|e| e.to_string())?;
    }
    if fs::read(&first).ok() != fs::read(&second).ok() {
        return Err("printing what was printed gives other bytes".into());
    }
    let again = call(anemone, &["check", &text(&first)])?;
    if again.code != 0 {
        return Err(format!("check of what was printed exits {}: {}", again.code, last_line(&again)));
    }

    if codes.iter().any(|c| matches!(*c, "blob-missing" | "lfs-pointer")) {
        return Ok("checked; its weights are not there".into());
    }
    let run = call(anemone, &["run", &path_text, "--json"])?;
    if run.code != 0 {
        return Err(format!("run exits {}: {}", run.code, last_line(&run)));
    }
    let json: Value = serde_json::from_slice(&run.stdout).map_err(|e| format!("run printed no JSON: {e}"))?;
    *run_ms = json["ms"].as_f64();
    let outputs = list(&json["outputs"]);
    if outputs.is_empty() {
        return Err("run gave no outputs".into());
    }
    for o in outputs {
        if o["finite"].as_bool() == Some(false) {
            return Err(format!("the output {} is not finite", o["name"]));
        }
    }
    Ok("ran".into())
}

/// Converts a package and compares the text with the one that Apple's compiler wrote, its two version strings aside.
fn pair(
    anemone: &Path,
    package: &Path,
    member: Option<&str>,
    wanted: &Path,
    scratch: &Path,
) -> Result<String, String> {
    let out = scratch.join("out.mlmodelc");
    let _ = fs::remove_dir_all(&out);
    let convert = call(anemone, &["convert", &text(package), &text(&out)])?;
    if convert.code != 0 {
        return Err(format!("convert exits {}: {}", convert.code, last_line(&convert)));
    }
    let made = match member {
        Some(n) => out.join(format!("model{n}/model.mil")),
        None => out.join("model.mil"),
    };
    let read = |p: &Path| fs::read_to_string(p).map_err(|e| format!("{}: {e}", p.display()));
    let (made, wanted) = (without_versions(&read(&made)?), without_versions(&read(wanted)?));
    if made == wanted {
        return Ok(format!("the text of Apple's compiler, {} bytes", wanted.len()));
    }
    let line = made.lines().zip(wanted.lines()).position(|(a, b)| a != b);
    Err(format!("the text differs from line {} on", line.map_or(0, |l| l + 1)))
}

/// A text without the entries of `buildInfo` in which Apple's compiler names itself.
fn without_versions(text: &str) -> String {
    let mut text = text.to_string();
    for key in ["coremlc-component-MIL", "coremlc-version"] {
        if let Some(start) = text.find(&format!("{{\"{key}\""))
            && let Some(length) = text[start..].find('}')
        {
            let mut end = start + length + 1;
            if text[end..].starts_with(", ") {
                end += 2;
            }
            text.replace_range(start..end, "");
        }
    }
    text
}

fn table(rows: &[Row]) -> String {
    let mut t = String::from("| model | ops | result | check ms | run ms |\n|---|--:|---|--:|--:|\n");
    for r in rows {
        let result = match &r.result {
            Ok(s) => s.clone(),
            Err(e) => format!("**failed**: {e}"),
        };
        let ops = if r.ops == 0 { String::new() } else { r.ops.to_string() };
        let run = r.run_ms.map_or(String::new(), |m| format!("{m:.1}"));
        let _ =
            writeln!(t, "| {} | {ops} | {} | {} | {run} |", r.path, result.replace('|', "\\|"), r.check_ms);
    }
    t
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

fn text(p: &Path) -> String {
    p.to_string_lossy().into_owned()
}

fn first_error(json: &Value) -> String {
    let errors = list(&json["diagnostics"]);
    let first = errors.iter().find(|d| d["severity"] == "error");
    first.map_or_else(String::new, |d| {
        format!(
            "{} ({}:{}): {}",
            d["code"],
            d["line"],
            d["column"],
            d["message"].as_str().unwrap_or_default()
        )
    })
}

fn last_line(o: &Output) -> String {
    let text = String::from_utf8_lossy(if o.stderr.is_empty() { &o.stdout } else { &o.stderr }).into_owned();
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or("it printed nothing").trim().to_string()
}
