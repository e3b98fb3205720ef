//! Tasks of this repository that need a loop or an if: `cargo xtask --help`.
#![forbid(unsafe_code)]
// A task is a terminal program.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod corpus;
mod fuzz;
mod golden;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Tasks of this repository.
#[derive(Parser)]
enum Task {
    /// Checks, prints and runs every model below a folder, and writes a table of what came of it.
    ///
    /// Models that the folder's INDEX.tsv marks as drafts (column `parses` = n) and models of the old kinds must be
    /// refused. Pairs listed in a PAIRS.tsv must convert to the same text. Recorded cases (case.json) must verify on
    /// both engines. The exit code is 1 when any row failed.
    Corpus {
        /// The folder.
        folder: PathBuf,
        /// Where to write the table, in Markdown; it is printed otherwise.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Only paths that contain this text.
        #[arg(long)]
        only: Option<String>,
    },
    /// Runs each fuzz target for some seconds (needs cargo-fuzz).
    Fuzz {
        /// How long each target runs.
        #[arg(default_value_t = 60)]
        seconds: u64,
        /// Only this target.
        target: Option<String>,
    },
    /// Computes the golden vectors and models anew, in a fresh Python environment (needs python3 and the network).
    ///
    /// The exit code is 1 when `--check` found a difference.
    Golden {
        /// Compares with the committed files instead of writing them.
        #[arg(long)]
        check: bool,
        /// An interpreter that has golden/requirements.txt already, instead of a fresh environment.
        #[arg(long)]
        python: Option<PathBuf>,
        /// Only these families (names of files in golden/cases), and no models.
        families: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Corpus { folder, output, only } => corpus::run(&folder, output.as_deref(), only.as_deref()),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()),
        Task::Golden { check, python, families } => golden::run(check, python.as_deref(), &families),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}
