//! Workers that are real processes: this program starts itself.
//!
//! It has no test harness, since that writes to the standard output, which is the worker's pipe.
#![allow(clippy::print_stderr, reason = "a test program without a harness says itself how its tests end")]

#[path = "../seam/engine.rs"]
mod engine;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anemone_apple::fake::{Fake, Faults, Machine};
use anemone_apple::neural::{Program, QualityOfService};
use anemone_apple::worker::{Worker, serve};
use anemone_apple::{AFTER_FAILURE, COMPILES, Error, Framework};

/// What says to a process that it is a worker, and of which kind; and where its machine has its files.
const KIND: &str = "ANEMONE_TEST_WORKER";
const FOLDER: &str = "ANEMONE_TEST_FOLDER";

const QUALITY: QualityOfService = QualityOfService::Default;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Ok(kind) = std::env::var(KIND) {
        return work(&kind);
    }
    let tests: &[(&str, fn())] = &[
        ("programs_are_compiled_elsewhere_and_loaded_here", programs_are_compiled_elsewhere_and_loaded_here),
        ("a_worker_that_has_used_its_budget_is_replaced", a_worker_that_has_used_its_budget_is_replaced),
        ("a_worker_that_dies_is_replaced", a_worker_that_dies_is_replaced),
        ("a_worker_that_falls_silent_is_replaced", a_worker_that_falls_silent_is_replaced),
        ("a_worker_that_hangs_is_ended", a_worker_that_hangs_is_ended),
        ("another_program_is_no_worker", another_program_is_no_worker),
        ("refusals_come_through", refusals_come_through),
        ("weights_come_through", weights_come_through),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut failed = 0;
    for (name, test) in tests {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(test));
        failed += usize::from(result.is_err());
        let how = if result.is_ok() { "ok" } else { "FAILED" };
        eprintln!("test {name} ... {how}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A machine that shares its cache with those of the same folder.
fn machine(folder: &Path) -> Machine {
    let (temporary, cache) = (folder.join("temporary"), folder.join("cache"));
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::create_dir_all(&cache).unwrap();
    Machine { temporary, cache: Some(cache), ..engine::machine() }
}

/// What a worker does.
fn work(kind: &str) -> ExitCode {
    let folder = std::env::var_os(FOLDER).unwrap();
    let faults = match kind {
        "silent" => Faults { compile_silently_fails: true, ..Faults::default() },
        _ => Faults::default(),
    };
    let fake = Fake::new(machine(Path::new(&folder)));
    let framework = fake.open().unwrap();
    let (input, output) = (std::io::stdin(), std::io::stdout());
    match kind {
        "hangs at once" => std::thread::sleep(PATIENCE),
        "another" => output.lock().write_all(b"hello, here is another program").unwrap(),
        "hangs" => {
            serve(&framework, &b""[..], &output).unwrap();
            std::thread::sleep(PATIENCE);
        }
        // Everything works once; then the faults are there.
        "dies" | "silent" => {
            let mut once = Once { input: input.lock(), after: || fake.set_faults(faults.clone()), reads: 0 };
            once.reads = usize::from(kind == "dies");
            serve(&framework, once, &output).unwrap();
        }
        _ => serve(&framework, input.lock(), &output).unwrap(),
    }
    drop(framework);
    fake.finish().check();
    ExitCode::SUCCESS
}

/// An input after whose first piece something changes.
struct Once<R, F> {
    input: R,
    after: F,
    /// 1 for one that ends the process after the first piece.
    reads: usize,
}

impl<R: std::io::Read, F: FnMut()> std::io::Read for Once<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.reads {
            0 => self.reads = 10,
            1 => self.reads = 2,
            2 => std::process::exit(3),
            _ => (self.after)(),
        }
        Ok(read)
    }
}

/// A worker of a kind.
fn worker(kind: &'static str, folder: &Path, patience: Duration) -> Worker {
    let folder = folder.to_path_buf();
    let command = move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(KIND, kind).env(FOLDER, &folder);
        command
    };
    Worker::new(command, patience)
}

/// This process: its machine, and what is left of it.
fn here(test: impl FnOnce(&Fake, &Framework, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::new(machine(folder.path()));
    let framework = fake.open().unwrap();
    test(&fake, &framework, folder.path());
    drop(framework);
    fake.finish().check();
    let left = std::fs::read_dir(folder.path().join("temporary")).unwrap().count();
    assert_eq!(left, 0, "files of models are left");
}

fn text(n: usize) -> String {
    format!("# worker {n}\nmain inputs x:1x1x4 outputs y:1x1x4")
}

fn program(text: &str) -> Program<'_> {
    Program { text, weights: &[] }
}

/// Row O1: the compilation is not of this process.
fn programs_are_compiled_elsewhere_and_loaded_here() {
    here(|fake, framework, folder| {
        let mut worker = worker("plain", folder, PATIENCE);
        for n in 0..3 {
            // The second time everything is in the cache.
            for _ in 0..2 {
                let model = worker.load(framework, &program(&text(n)), QUALITY).unwrap();
                let p = &model.attributes().procedures[0];
                let (x, y) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap());
                x.write().unwrap()[..4].copy_from_slice(&1.5f32.to_le_bytes());
                model.request("main", &[("x", &x)], &[("y", &y)]).unwrap().run().unwrap();
                assert_eq!(y.read().unwrap()[..4], 1.5f32.to_le_bytes());
            }
        }
        assert_eq!((worker.started(), framework.spent(), fake.report().compiled), (1, (0, 0), 0));
    });
}

/// Rows O1, O4: and what it compiled stays in the cache.
fn a_worker_that_has_used_its_budget_is_replaced() {
    here(|_, framework, folder| {
        let mut worker = worker("plain", folder, PATIENCE);
        for n in 0..COMPILES + 5 {
            worker.compile(&program(&text(n)), QUALITY).unwrap();
        }
        assert_eq!(worker.started(), 2);
        drop(worker);
        // The cache outlives the workers.
        let last = text(COMPILES + 4);
        let model = anemone_apple::neural::Model::describe(framework, &program(&last)).unwrap();
        assert!(model.is_cached().unwrap());
        drop(model.compile(QUALITY).unwrap().load(QUALITY).unwrap());
        assert_eq!(framework.spent(), (0, 0));
    });
}

fn a_worker_that_dies_is_replaced() {
    here(|_, _, folder| {
        let mut worker = worker("dies", folder, PATIENCE);
        for n in 0..3 {
            worker.compile(&program(&text(n)), QUALITY).unwrap();
        }
        assert_eq!(worker.started(), 3);
    });
}

fn a_worker_that_falls_silent_is_replaced() {
    here(|_, _, folder| {
        let mut worker = worker("silent", folder, PATIENCE);
        for n in 0..3 {
            worker.compile(&program(&text(n)), QUALITY).unwrap();
        }
        assert!(worker.started() > 1, "{}", worker.started());
    });
}

/// Row O8: a compilation that stalls takes a process that can be ended.
fn a_worker_that_hangs_is_ended() {
    here(|_, framework, folder| {
        for kind in ["hangs", "hangs at once"] {
            let mut worker = worker(kind, folder, Duration::from_millis(200));
            let begin = Instant::now();
            let e = worker.load(framework, &program(&text(0)), QUALITY).unwrap_err();
            assert!(matches!(e, Error::TimedOut { .. }), "{e}");
            assert!(begin.elapsed() < PATIENCE / 2, "it was waited for");
        }
    });
}

fn another_program_is_no_worker() {
    here(|_, _, folder| {
        let e = worker("another", folder, PATIENCE).compile(&program(&text(0)), QUALITY).unwrap_err();
        assert!(e.to_string().contains("it is another program"), "{e}");
        let mut none = Worker::new(|| Command::new("/nowhere/anemone"), PATIENCE);
        let e = none.compile(&program(&text(0)), QUALITY).unwrap_err();
        assert!(e.to_string().contains("cannot be started"), "{e}");
        assert_eq!(none.started(), 0);
    });
}

/// Row O8: the pause after a failure is kept here, since the process may be replaced.
fn refusals_come_through() {
    here(|fake, framework, folder| {
        let mut worker = worker("plain", folder, PATIENCE).with_clock(fake.clock());
        let e = worker.load(framework, &program("nonsense"), QUALITY).unwrap_err();
        assert!(matches!(&e, Error::Refused(r) if r.error.is_some()), "{e}");
        assert!(e.to_string().contains("InvalidMILProgram"), "{e}");
        assert_eq!(fake.clock().now(), Duration::ZERO);
        let weights = [("weights/w.bin", &[1u8][..])];
        let e = worker.compile(&Program { text: &text(1), weights: &weights }, QUALITY).unwrap_err();
        assert!(e.to_string().contains("must be named @model_path/"), "{e}");
        // It works on.
        worker.compile(&program(&text(2)), QUALITY).unwrap();
        assert_eq!((worker.started(), fake.clock().now()), (1, AFTER_FAILURE));
    });
}

fn weights_come_through() {
    here(|_, framework, folder| {
        let mut worker = worker("plain", folder, PATIENCE);
        let mut bytes = vec![0u8; 3 << 20];
        bytes[0] = 9;
        let weights = [("@model_path/weights/bias.bin", &bytes[..])];
        let text = text(1);
        let model = worker.load(framework, &Program { text: &text, weights: &weights }, QUALITY).unwrap();
        let p = &model.attributes().procedures[0];
        let (x, y) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap());
        model.request("main", &[("x", &x)], &[("y", &y)]).unwrap().run().unwrap();
        assert_eq!(y.read().unwrap()[..4], 9f32.to_le_bytes());
        assert_eq!(framework.spent().0, 0);
    });
}
