//! Tasks of this repository that need a loop or an if: `cargo xtask --help`.
#![forbid(unsafe_code)]
// A task is a terminal program.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod aarch64;
mod api;
mod bench;
mod corpus;
mod fuzz;
mod golden;
mod loom;
mod macho;
mod macos;
mod miri;
mod mutate;
mod nightly;
mod pages;
mod rows;
mod silicon;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Tasks of this repository.
#[derive(Parser)]
enum Task {
    /// Compares the public items of the libraries with those that are recorded, in `crates/*/api.txt`.
    ///
    /// The exit code is 1 when an item is gone or has another signature; items that are new are only named. Needs rustup,
    /// which adds a nightly Rust.
    Api {
        /// Records the items that there are.
        #[arg(long)]
        write: bool,
    },
    /// Measures whole models beside other runtimes, in one run, and prints tables.
    ///
    /// Needs the harness that runs the others, and a quiet machine: it takes some minutes.
    Bench(bench::Args),
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
    /// Makes each program below a folder wrong in one way after the other, and says what is found.
    ///
    /// Prints for each way how many mutants have an error, and how many have exactly one, at the place that was changed. The exit
    /// code is 1 when one has none, or when fewer than 95 % have exactly one.
    Mutate {
        /// The folder of models.
        folder: PathBuf,
        /// How many of the others to show, of each way.
        #[arg(long, default_value_t = 0)]
        show: usize,
    },
    /// Runs each fuzz target for some seconds (needs cargo-fuzz).
    Fuzz {
        /// How long each target runs.
        #[arg(default_value_t = 60)]
        seconds: u64,
        /// Only this target.
        target: Option<String>,
    },
    /// Computes the golden vectors and models anew, in a Python environment of their own (needs python3 and the network).
    ///
    /// The exit code is 1 when `--check` found a difference.
    Golden {
        /// Compares with the committed files instead of writing them.
        #[arg(long)]
        check: bool,
        /// An interpreter that has golden/requirements.txt already, instead of an environment below target/.
        #[arg(long)]
        python: Option<PathBuf>,
        /// Only these families (names of files in golden/cases), and no models.
        families: Vec<String>,
    },
    /// Builds and links everything for macOS on Apple silicon, on any system, and checks what is linked: no framework.
    ///
    /// Needs python3 and the network once: zig, which links, is installed below target/.
    Macos,
    /// Runs what has parts of its own for ARM on an emulated one: the kernels, the seam over the fake, the engines.
    ///
    /// Needs qemu-aarch64 (in Debian: qemu-user-static).
    Aarch64,
    /// Interprets the seam over the fake, and the kernels without vector instructions, with Miri.
    ///
    /// Needs rustup, which adds a nightly Rust with Miri.
    Miri,
    /// Tries every order in which threads may meet in the seam.
    Loom,
    /// Has a browser draw the pages that `check` and `profile` write, and looks at what it drew.
    ///
    /// Needs chromium.
    Pages {
        /// Where to keep pictures of the pages.
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Says which rows of a table of features have a test, by docs/rows.md and the comments of tests.
    ///
    /// The table has its rows below headings such as `### 1.H Compile`. Without it the rows of docs/rows.md are taken. The
    /// exit code is 1 when a row has neither a test nor a reason, or when page and tests disagree.
    Rows {
        /// The table of features, in Markdown.
        features: Option<PathBuf>,
        /// Only these sections, such as A,D-P.
        #[arg(long)]
        sections: Option<String>,
        /// First writes the tests into docs/rows.md, with lines for rows that it lacks.
        #[arg(long)]
        write: bool,
    },
    /// Holds the models of the chips against what was measured on them.
    #[command(subcommand)]
    Silicon(silicon::What),
}

/// Why a task did not come to its end.
enum Stop {
    /// Something failed.
    Failed(String),
    /// This machine lacks what the task needs.
    Lacking(String),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Failed(because) | Self::Lacking(because)) = self;
        f.write_str(because)
    }
}

impl From<String> for Stop {
    fn from(because: String) -> Self {
        Self::Failed(because)
    }
}

/// The exit code is 0 when all is well, 1 when something was found, 2 when the task failed, and 3 when this machine lacks
/// what it needs.
fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Api { write } => api::run(write),
        Task::Bench(args) => bench::run(&args),
        Task::Corpus { folder, output, only } => {
            corpus::run(&folder, output.as_deref(), only.as_deref()).map_err(Stop::from)
        }
        Task::Mutate { folder, show } => mutate::run(&folder, show).map_err(Stop::from),
        Task::Fuzz { seconds, target } => fuzz::run(seconds, target.as_deref()).map_err(Stop::from),
        Task::Golden { check, python, families } => golden::run(check, python.as_deref(), &families),
        Task::Macos => macos::run(),
        Task::Aarch64 => aarch64::run(),
        Task::Miri => miri::run(),
        Task::Loom => loom::run(),
        Task::Pages { keep } => pages::run(keep.as_deref()),
        Task::Rows { features, sections, write } => {
            rows::run(features.as_deref(), sections.as_deref(), write)
        }
        Task::Silicon(what) => silicon::run(&what).map_err(Stop::from),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Stop::Failed(because)) => {
            eprintln!("error: {because}");
            ExitCode::from(2)
        }
        Err(Stop::Lacking(because)) => {
            eprintln!("left out: {because}");
            ExitCode::from(3)
        }
    }
}
