//! `cargo xtask miri`: unsafe code, interpreted by Miri.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::{Stop, nightly};

/// What the nightly Rust needs besides.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// The tests of the seam over the fake, those of its modules, and those of the interfaces above it.
const SEAM: &[&str] = &["--package", "anemone-apple", "--features", "fake", "--test", "seam"];
const APPLE: &[&str] = &["--package", "anemone-apple", "--features", "fake", "--lib"];
const KERNELS: &[&str] = &["--package", "anemone-kernels", "--lib"];
const FACE: &[&str] = &["--package", "anemone", "--test", "face"];
const CLIENT: &[&str] = &["--package", "anemone", "--test", "client"];

/// Files, which the fake keeps as the system does, and the clock of this machine; no address is made of a number.
const FLAGS: &str = "-Zmiri-disable-isolation -Zmiri-strict-provenance";

/// What one process interprets.
struct Job {
    name: &'static str,
    tests: &'static [&'static str],
    /// Which of them, as arguments of a test program.
    only: &'static [&'static str],
    /// More flags of Miri.
    flags: &'static str,
}

/// The longest come first, so that no processor is left with them at the end. Miri's stricter model of which pointer may
/// reach what sees everything; the other one, which takes longer, what hands pointers to threads and callbacks.
const JOBS: [Job; 7] = [
    Job { name: "seam", tests: SEAM, only: &["--skip", "rows::"], flags: "" },
    Job { name: "messages", tests: SEAM, only: &["rows::"], flags: "" },
    Job {
        name: "seam, tree borrows",
        tests: SEAM,
        only: &[
            "a_handler_that_is_called_twice",
            "dropped_under_way",
            "misuse::bytes",
            "found_by_its_number",
        ],
        flags: "-Zmiri-tree-borrows",
    },
    Job {
        name: "kernels",
        tests: KERNELS,
        // What takes longer has no unsafe code that these do not have.
        only: &[
            "threads::",
            "scratch::",
            "are_joined_where",
            "padding_far_larger",
            "batches_are_products",
            "what_is_placed",
            "strides_may_lead_back",
            "channels_are_scaled",
            "covers_nothing_is_empty",
            "slices_of_every_length",
            "is_refused",
        ],
        // Threads that help wait for work until the process ends.
        flags: "-Zmiri-ignore-leaks",
    },
    // Requests of the software engine: dropped under way, on one surface in the order of events, and with states.
    Job {
        name: "requests",
        tests: CLIENT,
        only: &["a_future_may_be_dropped", "evaluations_share_a_surface", "sequences_have_their_own_states"],
        flags: "",
    },
    // Surfaces, and the guards of their bytes and numbers.
    Job {
        name: "guards",
        tests: FACE,
        only: &[
            "bytes_are_reached_in_place",
            "copies_are_the_same_surface",
            "several_guards_read_at_once",
            "what_is_overwritten_is_not_read",
        ],
        flags: "",
    },
    Job { name: "surfaces of the host", tests: APPLE, only: &["host::", "made_once"], flags: "" },
];

/// Runs the tests; false when one failed.
pub(crate) fn run() -> Result<bool, Stop> {
    nightly::install(&COMPONENTS)
        .map_err(|e| Stop::Lacking(format!("there is no {} with Miri: {e}", nightly::TOOLCHAIN)))?;
    let begin = Instant::now();
    for tests in [SEAM, APPLE, KERNELS, FACE, CLIENT] {
        let status = miri(tests, "").arg("--no-run").status();
        if !status.map_err(|e| format!("rustup does not start: {e}"))?.success() {
            return Ok(false);
        }
    }
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(job) = JOBS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = interpret(job, begin);
            results.lock().expect("nobody panics").push((job.name, result));
        }
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (0..processors.min(JOBS.len())).for_each(|_| drop(scope.spawn(work)));
    });
    let mut good = true;
    for (name, result) in results.into_inner().expect("nobody panics") {
        let Outcome { summaries, errors } = result?;
        summaries.iter().for_each(|s| println!("{name}: {s}"));
        if let Some(errors) = errors {
            eprintln!("{name} failed:\n{errors}");
            good = false;
        }
    }
    println!("{} s", begin.elapsed().as_secs());
    Ok(good)
}

/// What came of a job.
struct Outcome {
    /// The last lines of its test programs.
    summaries: Vec<String>,
    /// What it said when it has failed.
    errors: Option<String>,
}

/// Runs a job, and says of each test when it has ended.
fn interpret(job: &Job, begin: Instant) -> Result<Outcome, String> {
    let mut command = miri(job.tests, job.flags);
    command.arg("--").args(job.only).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("rustup does not start: {e}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut summaries) = (String::new(), Vec::new());
    let errors = std::thread::scope(|scope| {
        let errors = scope.spawn(|| {
            let mut text = Vec::new();
            // What cannot be read is not there.
            let _ = stderr.map(|mut s| s.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        });
        for line in stdout.into_iter().flat_map(|s| BufReader::new(s).lines()).map_while(Result::ok) {
            if line.starts_with("test result") {
                summaries.push(line.clone());
            } else if line.starts_with("test ") && !line.contains("... ignored") {
                println!("{:>4} s  {}: {line}", begin.elapsed().as_secs(), job.name);
            }
            output.push_str(&line);
            output.push('\n');
        }
        errors.join().unwrap_or_default()
    });
    let status = child.wait().map_err(|e| e.to_string())?;
    Ok(Outcome { summaries, errors: (!status.success()).then(|| output + &errors) })
}

/// Miri for these tests.
fn miri(tests: &[&str], flags: &str) -> Command {
    let mut command = nightly::cargo();
    command
        .args(["miri", "test", "--locked"])
        .args(tests)
        .env("MIRIFLAGS", format!("{FLAGS} {flags}"))
        // Tests that panic on purpose would find the names of all that called them, which takes long.
        .env("RUST_BACKTRACE", "0");
    command
}
