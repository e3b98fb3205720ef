//! Whole models as other runtimes are measured with them, run by anemone.
//!
//! `anemone-bench make FOLDER…` writes the models of these folders as `model.mlpackage` beside their weights.
//! `anemone-bench serve --workload NAME --dir FOLDER --threads N --out FILE` loads one, runs its case, writes the
//! result to the file, and then runs it as often as it is told on its standard input, each time saying how long that took.
//! `anemone-bench reread FOLDER…` has files lie in the page cache alike, whoever wrote them.
//! `anemone-bench casts` measures casts between fp16 and fp32.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

mod casts;
mod models;
mod serve;

use std::fs::File;
use std::io::{Read, Write};
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
            Some((task, folders)) if task == "reread" => reread(folders),
            Some((task, [])) if task == "casts" => casts::measure(),
            _ => Err("the tasks are `make FOLDER…`, `reread FOLDER…`, `serve --dir FOLDER --threads N --out FILE` and `casts`"
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

/// Lets the page cache forget all files of folders, and reads them again.
///
/// How a file lies there depends on how it was written: one that was written in large pieces lies in large pages, and engines that map
/// it read a sixth faster than those whose file was written in small ones. Files that were read lie alike.
fn reread(folders: &[String]) -> Result<(), Failure> {
    let mut paths: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(path)? {
                paths.push(entry?.path());
            }
            continue;
        }
        let mut file = File::open(&path)?;
        // What has not come to the disk is not forgotten.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        let mut piece = vec![0; 1 << 20];
        while file.read(&mut piece)? > 0 {}
    }
    Ok(())
}

/// Prints a line of JSON at once.
fn say(event: &serde_json::Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{event}")?;
    Ok(out.flush()?)
}
