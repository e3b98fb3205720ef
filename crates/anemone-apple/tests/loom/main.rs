//! What threads share and hand over, in every order in which they may meet: `cargo xtask loom`.
//!
//! The machine, its framework and a model are made once, outside: they hold nothing that loom watches. The fake takes
//! no turn with loom, so that each of its calls is one step.
#![cfg(loom)]

#[path = "../seam/engine.rs"]
mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anemone_apple::fake::Fake;
use anemone_apple::neural::{Events, Loaded, Package, Program, QualityOfService, Request, SharedEvent};
use anemone_apple::{Error, Framework, Surface};
use loom::cell::UnsafeCell;
use loom::thread;

/// What every order begins with.
struct Scene {
    fake: Fake,
    framework: Framework,
    model: Loaded,
}

const COPY: &str = "main inputs x:1x1x4 outputs y:1x1x4";

impl Scene {
    fn new() -> Self {
        let fake = Fake::new(engine::machine());
        let framework = fake.open().unwrap();
        let program = Program { text: COPY, weights: &[] };
        let model = Loaded::new(&framework, &program, QualityOfService::Default).unwrap();
        Self { fake, framework, model }
    }

    /// Tries every order of the threads of `body`. In none a rule of the fake is broken.
    fn explore(self, body: impl Fn(&Framework, &Loaded) + Send + Sync + 'static) {
        let (framework, model) = (self.framework.clone(), self.model.clone());
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || body(&framework, &model));
        let report = self.fake.report();
        assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
        assert_eq!(report.surfaces, 0);
    }
}

/// A request of [`COPY`] with its surfaces.
fn job(model: &Loaded) -> (Request, Surface, Surface) {
    let p = model.procedure("main").unwrap();
    let (x, y) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap());
    x.write().unwrap()[..4].copy_from_slice(&7f32.to_le_bytes());
    (model.request("main", &[("x", &x)], &[("y", &y)]).unwrap(), x, y)
}

fn first(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes[..4].try_into().unwrap())
}

/// Rows G18, T12: in every order.
#[test]
fn a_surface_has_one_writer_or_many_readers() {
    Scene::new().explore(|framework, _| {
        let surface = Surface::new(framework, 64).unwrap();
        // Loom ends the test when this is read and written at once, or without an order between the two.
        let cell = Arc::new(UnsafeCell::new(0));
        let write = |surface: &Surface, cell: &UnsafeCell<i32>| {
            if let Ok(_guard) = surface.write() {
                // SAFETY: loom looks that nobody else has it.
                cell.with_mut(|c| unsafe { *c += 1 });
            }
        };
        let (s, c) = (surface.clone(), cell.clone());
        let writer = thread::spawn(move || write(&s, &c));
        let (s, c) = (surface.clone(), cell.clone());
        let reader = thread::spawn(move || {
            if let Ok(_guard) = s.read() {
                // SAFETY: loom looks that nobody writes it.
                c.with(|c| assert!((0..=2).contains(unsafe { &*c })));
            }
        });
        write(&surface, &cell);
        writer.join().unwrap();
        reader.join().unwrap();
        assert!(surface.write().is_ok(), "every use was given back");
    });
}

/// Rows G18, H14: in every order.
#[test]
fn an_evaluation_has_its_surfaces_alone() {
    Scene::new().explore(|_, model| {
        let (mut request, x, y) = job(model);
        let evaluation = thread::spawn(move || request.run());
        if let Ok(bytes) = y.read() {
            assert!([0.0, 7.0].contains(&first(&bytes)));
        }
        if let Ok(mut bytes) = x.write() {
            bytes[..4].copy_from_slice(&7f32.to_le_bytes());
        }
        match evaluation.join().unwrap() {
            Ok(()) => assert_eq!(first(&y.read().unwrap()), 7.0),
            Err(e) => assert!(matches!(e, Error::Surface(_)), "{e}"),
        }
        assert!(x.write().is_ok() && y.write().is_ok(), "every use was given back");
    });
}

/// Row K4: in every order.
#[test]
fn two_evaluations_that_write_one_surface_never_meet() {
    Scene::new().explore(|_, model| {
        let (mut one, x, y) = job(model);
        let mut other = model.request("main", &[("x", &x)], &[("y", &y)]).unwrap();
        let evaluation = thread::spawn(move || one.run());
        let results = [other.run(), evaluation.join().unwrap()];
        assert!(results.iter().any(Result::is_ok), "one of them has its turn");
        assert!(x.write().is_ok() && y.write().is_ok(), "every use was given back");
    });
}

/// Rows K1, K2: in every order.
#[test]
fn the_end_is_told_once_and_nobody_waits_for_ever() {
    Scene::new().explore(|_, model| {
        let (mut request, _x, y) = job(model);
        let calls = Arc::new(AtomicUsize::new(0));
        let (counter, output) = (calls.clone(), y.clone());
        let pending = request.start_then(move |result| {
            result.unwrap();
            assert_eq!(first(&output.read().unwrap()), 7.0, "the surfaces are free by now");
            counter.fetch_add(1, Ordering::Relaxed);
        });
        pending.wait().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        request.run().unwrap();
    });
}

/// Row K1: in every order.
#[test]
fn a_future_is_woken() {
    Scene::new().explore(|_, model| {
        let (mut request, _x, y) = job(model);
        loom::future::block_on(request.start()).unwrap();
        assert_eq!(first(&y.read().unwrap()), 7.0);
    });
}

/// Rows K1, H7: in every order.
#[test]
fn what_is_dropped_under_way_is_given_back_at_the_end() {
    Scene::new().explore(|_, model| {
        let (mut request, _x, y) = job(model);
        let pending = request.start();
        drop(request);
        pending.wait().unwrap();
        assert_eq!(first(&y.read().unwrap()), 7.0);
    });
}

/// Row J3: in every order.
#[test]
fn a_promised_value_is_signalled_by_its_evaluation_alone() {
    let folder = tempfile::Builder::new().suffix(".mlmodelc").tempdir().unwrap();
    std::fs::write(folder.path().join("model.mil"), COPY).unwrap();
    let mut scene = Scene::new();
    let quality = QualityOfService::Default;
    let package = Package::describe(&scene.framework, folder.path(), Package::KEY).unwrap();
    scene.model = package.compile(quality).unwrap().load(quality).unwrap();
    scene.explore(|framework, model| {
        let (mut request, _x, y) = job(model);
        let event = SharedEvent::new(framework).unwrap();
        let other = event.clone();
        let raiser = thread::spawn(move || other.signal(1).is_ok());
        let events = Events { signal: &[(&event, 1)], ..Events::default() };
        let run = request.run_with_events(&events, Default::default());
        // Either the evaluation was promised first, or the other one had raised the event; both never.
        match run {
            Ok(mut run) => {
                while !run.is_done() {
                    thread::yield_now();
                }
                assert_eq!(first(&y.read().unwrap()), 7.0);
                raiser.join().unwrap();
            }
            Err(e) => {
                assert!(matches!(e, Error::Invalid(_)), "{e}");
                assert!(raiser.join().unwrap());
            }
        }
        assert_eq!(event.value(), 1);
    });
}
