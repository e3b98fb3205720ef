//! Whole models as other runtimes are measured with them, run by anemone.
//!
//! `anemone-bench make FOLDER…` writes the models of these folders as `model.mlpackage` beside their weights.
//! `anemone-bench serve --workload NAME --dir FOLDER --threads N --out FILE` loads one, runs its case, writes the
//! result to the file, and then runs it as often as it is told on its standard input, each time saying how long that took.
//! `anemone-bench casts` measures casts between fp16 and fp32.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

mod casts;
mod models;
mod serve;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why something could not be done.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The package that `make` writes into a folder.
pub(crate) fn package(folder: &Path) -> PathBuf {
    folder.join("model.mlpackage")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result =
        match arguments.split_first() {
            Some((task, folders)) if task == "make" => make(folders),
            Some((task, options)) if task == "serve" => serve::serve(options),
            Some((task, [])) if task == "casts" => casts::measure(),
            _ => Err("the tasks are `make FOLDER…`, `serve --dir FOLDER --threads N --out FILE` and `casts`"
                .into()),
        };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", serde_json::json!({ "event": "error", "error": error.to_string() }));
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(folders: &[String]) -> Result<(), Failure> {
    for folder in folders {
        let folder = Path::new(folder);
        let built = models::Folder::open(folder)?.build()?;
        let path = package(folder);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        anemone::bundle::write_mlpackage(&built.bundle(), &path)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Prints a line of JSON at once.
fn say(event: &serde_json::Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}")?;
    Ok(out.flush()?)
}
