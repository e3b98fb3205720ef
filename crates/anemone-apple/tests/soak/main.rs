//! Long runs over the fake, that end with nothing left, and what a run costs on our side of the seam.
//!
//! The tests have the process for themselves, one after the other: they look at its memory.

#[path = "../seam/engine.rs"]
mod engine;

mod allocations;

use std::sync::{Mutex, MutexGuard, PoisonError};

use anemone_apple::fake::{Fake, Machine};
use anemone_apple::neural::{Loaded, Program, QualityOfService};
use anemone_apple::{COMPILES, Framework, Log, Surface};
use tempfile::TempDir;

/// A machine whose models have their files in a folder of their own: one in memory, where the system has such a thing,
/// since tens of thousands of files on a disk that others use take minutes.
fn machine() -> (Machine, TempDir) {
    let folder = ["/dev/shm"].into_iter().find_map(|memory| tempfile::tempdir_in(memory).ok());
    let folder = folder.unwrap_or_else(|| tempfile::tempdir().unwrap());
    let temporary = folder.path().to_path_buf();
    (Machine { temporary, ..engine::machine() }, folder)
}

/// Ends a test: nothing is left, on the disk neither.
fn finish(fake: Fake, folder: &TempDir) -> usize {
    let report = fake.finish();
    report.check();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    report.compiled
}

/// The turn of a test.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

const CYCLES: usize = 10_000;
const EVALUATIONS: usize = 1_000_000;

/// How much more memory a process may have after a long run than after a tenth of it. What the heap does not give back
/// to the system is not the same from run to run; one object or surface that is lost in each cycle is more.
const SLACK: usize = 4 << 20;

/// A text that no other number has.
fn text(n: usize) -> String {
    format!("# soak {n}\nmain inputs x:1x1x4 outputs y:1x1x4")
}

fn load(framework: &Framework, text: &str) -> Loaded {
    Loaded::new(framework, &Program { text, weights: &[] }, QualityOfService::Default).unwrap()
}

/// The surfaces of a model of [`text`].
fn surfaces(model: &Loaded) -> (Surface, Surface) {
    let p = &model.attributes().procedures[0];
    (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap())
}

/// Compiles, loads, runs and unloads.
fn cycle(framework: &Framework, text: &str) {
    let model = load(framework, text);
    let (x, y) = surfaces(&model);
    x.write().unwrap()[..4].copy_from_slice(&2.5f32.to_le_bytes());
    model.request("main", &[("x", &x)], &[("y", &y)]).unwrap().run().unwrap();
    assert_eq!(y.read().unwrap()[..4], 2.5f32.to_le_bytes());
}

/// The memory that the process has, in bytes; 0 where the system does not say.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Does something so often, and compares the memory after a tenth of it with that at the end.
fn flat(times: usize, mut what: impl FnMut(usize)) {
    let mut early = 0;
    for n in 0..times {
        if n == times / 10 {
            early = resident();
        }
        what(n);
    }
    let late = resident();
    assert!(late <= early + SLACK, "{early} bytes after {} times, {late} after {times}", times / 10);
}

/// Rows G29, T12: objects, surfaces, files, memory.
#[test]
fn ten_thousand_programs_are_compiled_and_leave_nothing() {
    let _turn = turn();
    // A process may compile so many programs; each fake is a process of its own.
    let (machine, folder) = machine();
    let mut process: Option<(Fake, Framework)> = None;
    let mut compiled = 0;
    let end = |process: Option<(Fake, Framework)>| {
        process.map_or(0, |(fake, framework)| {
            drop(framework);
            finish(fake, &folder)
        })
    };
    flat(CYCLES, |n| {
        if n % COMPILES == 0 {
            compiled += end(process.take());
            let fake = Fake::new(machine.clone());
            let framework = fake.open().unwrap();
            process = Some((fake, framework));
        }
        cycle(&process.as_ref().unwrap().1, &text(n));
    });
    compiled += end(process.take());
    assert_eq!(compiled, CYCLES);
}

/// Rows G29, H29: a load from the cache is no compilation.
#[test]
fn ten_thousand_loads_from_the_cache_leave_nothing() {
    let _turn = turn();
    let (machine, folder) = machine();
    let fake = Fake::new(machine);
    let framework = fake.open().unwrap();
    let texts: Vec<String> = (CYCLES..CYCLES + 10).map(text).collect();
    flat(CYCLES, |n| cycle(&framework, &texts[n % texts.len()]));
    assert_eq!(framework.spent(), (texts.len(), 0));
    drop(framework);
    assert_eq!(finish(fake, &folder), texts.len());
}

/// Rows G29, H14: and memory stays flat.
#[test]
fn a_million_evaluations_leave_nothing() {
    let _turn = turn();
    let (machine, folder) = machine();
    let fake = Fake::new(machine);
    let framework = fake.open().unwrap();
    let model = load(&framework, &text(CYCLES + 10));
    let (x, y) = surfaces(&model);
    x.write().unwrap()[..4].copy_from_slice(&7.0f32.to_le_bytes());
    let mut request = model.request("main", &[("x", &x)], &[("y", &y)]).unwrap();
    flat(EVALUATIONS, |_| request.run().unwrap());
    assert_eq!(y.read().unwrap()[..4], 7.0f32.to_le_bytes());
    drop((request, x, y, model, framework));
    finish(fake, &folder);
}

/// Row H14: what was bound is sent again.
#[test]
fn a_run_of_a_bound_request_is_one_message() {
    let _turn = turn();
    let (machine, folder) = machine();
    let fake = Fake::new(machine);
    let log = Log::new();
    let framework = fake.open_logged(&log).unwrap();
    let model = load(&framework, &text(CYCLES + 11));
    let (x, y) = surfaces(&model);
    let mut request = model.request("main", &[("x", &x)], &[("y", &y)]).unwrap();
    for _ in 0..3 {
        log.take();
        request.run().unwrap();
        let [line] = &log.lines()[..] else { panic!("more or less than one message") };
        assert!(
            line.starts_with("-[_ANEInMemoryModel evaluateWithQoS:options:request:error:] (21, "),
            "{line}"
        );
    }
    drop((request, x, y, model, framework));
    finish(fake, &folder);
}

/// Rows H14, N4: nothing above the seam.
#[test]
fn a_run_of_a_bound_request_allocates_nothing() {
    let _turn = turn();
    let (machine, folder) = machine();
    let fake = Fake::new(machine);
    let framework = fake.raw(|abi| Framework::over(allocations::beneath(abi), None)).unwrap();
    let model = load(&framework, &text(CYCLES + 12));
    let (x, y) = surfaces(&model);
    // The measure measures: to bind a request anew allocates.
    let (mut request, binding) =
        allocations::above(|| model.request("main", &[("x", &x)], &[("y", &y)]).unwrap());
    assert!(binding > 10, "{binding}");
    for _ in 0..3 {
        let (result, running) = allocations::above(|| request.run());
        result.unwrap();
        assert_eq!(running, 0, "a run allocates");
    }
    assert!(allocations::below() > 0, "the fake allocates, and that is told apart");
    drop((request, x, y, model, framework));
    finish(fake, &folder);
}
