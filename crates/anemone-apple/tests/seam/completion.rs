//! Evaluations whose end is reported to a block.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use anemone_apple::fake::{self, Faults, Gate, Instance, Machine, Program, Tables};
use anemone_apple::{Error, Feature};

use crate::engine::{Adder, machine};
use crate::scene::{COPY, Folder, Job, PATIENCE, Scene, get};

/// Rows K1, K2, U5: the handler is set, the call returns, the callback comes once.
#[test]
fn the_end_is_told_once_and_then_the_surfaces_are_free() {
    let scene = Scene::new();
    let folder = Folder::new("completion", COPY);
    let models = [scene.text("completion", COPY), scene.package(&folder).unwrap()];
    for model in models {
        let mut job = Job::new(&model);
        for round in 1..=3 {
            job.put(round as f32);
            let (told, hears) = mpsc::channel();
            let y = job.y.clone();
            scene.sent();
            let pending = job.request.start_then(move |result| {
                // The result can be read in the callback already.
                told.send((result, get(&y))).unwrap();
            });
            pending.wait_for(PATIENCE).unwrap();
            assert!(pending.is_done());
            assert_eq!(pending.result(), Some(Ok(())));
            assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), (Ok(()), round as f32));
            assert!(hears.recv_timeout(PATIENCE).is_err(), "the callback is gone after one call");
            let sent = scene.sent();
            assert_eq!(sent.len(), 2, "{sent:#?}");
            assert_eq!(sent[0], "-[_ANERequest setCompletionHandler:]");
            assert!(sent[1].contains("evaluateWith"), "{sent:#?}");
        }
        // A run that waits takes the handler away, once.
        job.put(9.0);
        job.request.run().unwrap();
        assert_eq!(scene.sent()[0], "-[_ANERequest setCompletionHandler:]");
        job.request.run().unwrap();
        assert_eq!(scene.sent().len(), 1);
        assert_eq!(job.get(), 9.0);
    }
    scene.end();
}

/// Row K2: also when nothing was sent.
#[test]
fn a_failure_is_told_as_well() {
    let faults = Faults { evaluate_status: Some(0x1d), ..Faults::default() };
    let scene = Scene::on(machine(), faults);
    let mut job = Job::new(&scene.text("completion that fails", COPY));
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let pending = job.request.start_then(move |result| {
        assert!(result.is_err());
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let e = pending.wait().unwrap_err();
    assert!(e.to_string().contains("multiple of 64 bytes"), "{e}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // What is refused before anything is sent is told in the same way, on this thread.
    let lock = job.x.write().unwrap();
    let counter = calls.clone();
    scene.sent();
    let pending = job.request.start_then(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    assert!(matches!(pending.wait(), Err(Error::Surface(_))));
    assert_eq!((calls.load(Ordering::SeqCst), scene.sent().len()), (2, 0));
    drop(lock);
    drop(job);
    scene.end();
}

/// Rows K4, K7, G18: two in flight on one output are noticed.
#[test]
fn while_it_is_under_way_nobody_has_the_surfaces_or_the_request() {
    let gate = Gate::closed();
    let scene = Scene::on(machine(), Faults { hang: Some(gate.clone()), ..Faults::default() });
    let model = scene.text("completion under way", COPY);
    let mut job = Job::new(&model);
    let pending = job.request.start();
    assert!(!pending.is_done() && pending.result().is_none());
    assert_eq!(model.diagnostics().async_in_flight, Some(1));
    assert!(job.x.write().is_err() && job.y.read().is_err());
    assert!(matches!(job.request.run(), Err(Error::Surface(_))));
    assert!(matches!(job.request.start().wait(), Err(Error::Surface(_))));
    assert!(matches!(job.request.map(), Err(Error::Surface(_))));
    // Two in flight that write the same surface would give results of neither; reading the same one is fine.
    let mut other = model.request("main", &[("x", &job.x)], &[("y", &job.y)]).unwrap();
    assert!(matches!(other.run(), Err(Error::Surface(_))));
    let y = model.surface(&model.attributes().procedures[0].outputs[0]).unwrap();
    let mut third = model.request("main", &[("x", &job.x)], &[("y", &y)]).unwrap();
    let second = third.start();
    let e = pending.wait_for(Duration::from_millis(1)).unwrap_err();
    assert!(matches!(e, Error::TimedOut { .. }), "{e}");
    // This driver gives up after a while, and says so.
    gate.open();
    assert!(matches!(pending.wait(), Err(Error::Refused(_))));
    assert!(second.wait().is_err());
    assert_eq!(model.diagnostics().async_in_flight, Some(0));
    drop((job, other, third, y, model));
    scene.end();
}

/// Rows K1, K2, H7: the model is unloaded after the last evaluation.
#[test]
fn what_is_dropped_under_way_stays_until_the_end() {
    let gate = Gate::closed();
    let scene = Scene::on(machine(), Faults { hang: Some(gate.clone()), ..Faults::default() });
    let Job { mut request, x, y } = Job::new(&scene.text("completion dropped", COPY));
    let (told, hears) = mpsc::channel();
    drop(request.start_then(move |result| told.send(result).unwrap()));
    drop((request, x));
    assert_eq!(scene.framework.spent(), (1, 1), "the model is loaded until its evaluation has ended");
    assert!(y.read().is_err());
    gate.open();
    assert!(hears.recv_timeout(PATIENCE).unwrap().is_err());
    drop(y);
    // The model is unloaded by a thread of its own.
    scene.end();
}

/// Row K2: the callback is called where nothing is locked.
#[test]
fn a_callback_may_run_the_request_again_and_may_panic() {
    let scene = Scene::new();
    let job = Job::new(&scene.text("completion again", COPY));
    job.put(5.0);
    let (told, hears) = mpsc::channel();
    let shared = Arc::new(std::sync::Mutex::new(job));
    let again = shared.clone();
    let pending = shared.lock().unwrap().request.start_then(move |first| {
        first.unwrap();
        let mut job = again.lock().unwrap();
        // The engine runs the same request again; the end of that is told to somebody else.
        let told = told.clone();
        drop(job.request.start_then(move |second| told.send(second).unwrap()));
        drop(job);
        panic!("a callback that panics harms nobody");
    });
    pending.wait().unwrap();
    hears.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(shared.lock().unwrap().get(), 5.0);
    drop(shared);
    scene.end();
}

/// Row K2: only the first call counts, also where all is gone that it was about.
#[test]
fn a_handler_that_is_called_twice_is_seen_and_harms_nobody() {
    for is_waited_for in [true, false] {
        let gate = Gate::closed();
        let faults = Faults { completes_twice: Some(gate.clone()), ..Faults::default() };
        let scene = Scene::on(machine(), faults);
        let mut job = Job::new(&scene.text("completion twice", COPY));
        job.put(2.0);
        let (told, hears) = mpsc::channel();
        let pending = job.request.start_then(move |result| told.send(result).unwrap());
        let pending = Some(pending).filter(|_| is_waited_for);
        assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), Ok(()));
        if let Some(pending) = &pending {
            pending.wait_for(PATIENCE).unwrap();
            assert_eq!((pending.told(), job.get()), (1, 2.0));
        }
        // The request, its surfaces and its model end: there is only the block of the engine.
        drop(job);
        gate.open();
        if let Some(pending) = pending {
            let begin = Instant::now();
            while pending.told() < 2 {
                assert!(begin.elapsed() < PATIENCE, "the handler is not called again");
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(pending.result(), Some(Ok(())));
        }
        assert!(hears.recv_timeout(PATIENCE).is_err(), "the callback is gone after one call");
        scene.end();
    }
}

struct Woken(mpsc::Sender<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
    }
}

/// Row K1: a waker of the standard library is all that it needs.
#[test]
fn it_is_a_future_of_no_runtime() {
    let gate = Gate::closed();
    let scene = Scene::on(machine(), Faults { hang: Some(gate.clone()), ..Faults::default() });
    let mut job = Job::new(&scene.text("completion awaited", COPY));
    let mut pending = pin!(job.request.start());
    let (wakes, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Woken(wakes)));
    let mut context = Context::from_waker(&waker);
    assert!(pending.as_mut().poll(&mut context).is_pending());
    gate.open();
    woken.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(pending.as_mut().poll(&mut context), Poll::Ready(Err(Error::Refused(_)))));
    drop(job);
    scene.end();
}

/// Row T10: a selector that is missing turns off the waiting for it only.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_completion_handlers_says_so() {
    let tables = Tables::newest().without("-[_ANERequest setCompletionHandler:]");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let mut job = Job::new(&scene.text("completion lacking", COPY));
    let e = job.request.start().wait().unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::Completion, .. }), "{e}");
    job.request.run().unwrap();
    drop(job);
    scene.end();
}

/// An engine whose evaluations end when a second program was compiled, and not before.
#[derive(Default)]
struct Meanwhile {
    compiled: Mutex<usize>,
    more: Condvar,
}

struct Engine(Arc<Meanwhile>);
struct Gated(Arc<dyn Program>, Arc<Meanwhile>);
struct GatedInstance(Box<dyn Instance>, Arc<Meanwhile>);

impl fake::Engine for Engine {
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn Program>, String> {
        let program = Adder.compile(text, weights)?;
        *self.0.compiled.lock().unwrap() += 1;
        self.0.more.notify_all();
        Ok(Arc::new(Gated(program, self.0.clone())))
    }
}

impl Program for Gated {
    fn procedures(&self) -> Vec<fake::Procedure> {
        self.0.procedures()
    }

    fn load(&self) -> Result<Box<dyn Instance>, String> {
        Ok(Box::new(GatedInstance(self.0.load()?, self.1.clone())))
    }
}

impl Instance for GatedInstance {
    fn run(&mut self, procedure: usize, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
        let compiled = self.1.compiled.lock().unwrap();
        let (compiled, _) = self.1.more.wait_timeout_while(compiled, PATIENCE, |n| *n < 2).unwrap();
        if *compiled < 2 {
            return Err("nothing was compiled meanwhile".into());
        }
        drop(compiled);
        self.0.run(procedure, inputs)
    }
}

/// Rows H12, K6: a program is compiled and loaded while another one runs.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_program_is_compiled_while_another_runs() {
    let engine = Some(Arc::new(Engine(Arc::default())) as Arc<dyn fake::Engine>);
    let scene = Scene::on(Machine { engine, ..machine() }, Faults::default());
    let mut first = Job::new(&scene.text("compiled first", COPY));
    first.put(1.0);
    // It cannot end before the other one is compiled, which happens here, on this thread.
    let pending = first.request.start();
    let mut second = Job::new(&scene.text("compiled meanwhile", COPY));
    second.put(2.0);
    pending.wait_for(PATIENCE).unwrap();
    second.request.run().unwrap();
    assert_eq!((first.get(), second.get()), (1.0, 2.0));
    drop((first, second));
    scene.end();
}
