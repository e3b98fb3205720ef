//! What the software engine's threads hand over, in every order in which they may meet: `cargo xtask loom`.
//!
//! Everything is made anew in each order: client, model, surfaces, events. Programs are tiny, and computed in one step.
#![cfg(loom)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anemone::{
    Chip, Client, CompileOptions, Error, Model, ModelType, Pipeline, RequestPool, SharedEvent,
    SharedEventEvalOptions, bundle,
};
use loom::thread;

/// Loom's time stands still: a wait with an end has none.
const LONG: Duration = Duration::from_secs(60);

const INCREMENT: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1]> x) {
    tensor<fp16, [1]> y = add(x = x, y = fp16(1)); } -> (y); }";

/// Tries every order of the threads of `body` in which none is interrupted more often than this.
fn explore(interruptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(body);
}

fn model() -> Model {
    let options = CompileOptions { mil_text: INCREMENT.into(), threads: 1, ..CompileOptions::default() };
    Client::software(Chip::M4).compile(options).unwrap()
}

/// A package of the same program, which is there for as long as the folder.
struct Package(tempfile::TempDir);

impl Package {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mil, path) = (folder.path().join("model.mil"), folder.path().join("model.mlmodelc"));
        std::fs::write(&mil, INCREMENT).unwrap();
        bundle::write_mlmodelc(&bundle::open(&mil).unwrap(), &path).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("model.mlmodelc")
    }
}

/// A client, and a model that may have events.
fn with_events(package_path: PathBuf) -> (Client, Model) {
    let client = Client::software(Chip::M4);
    let model_type = ModelType::Package;
    let options = CompileOptions { model_type, package_path, threads: 1, ..CompileOptions::default() };
    let model = client.compile(options).unwrap();
    (client, model)
}

const PLAIN: SharedEventEvalOptions =
    SharedEventEvalOptions { disable_io_fences_use_shared_events: false, enable_fw_to_fw_signal: false };

fn put(model: &mut Model, value: f32) {
    model.write_input_f32(0, &[value]).unwrap();
}

fn get(model: &Model) -> f32 {
    let mut y = [0.0];
    model.read_output_f32(0, &mut y).unwrap();
    y[0]
}

/// Row K1: in every order.
#[test]
fn an_evaluation_is_waited_for() {
    explore(3, || {
        let mut model = model();
        put(&mut model, 1.0);
        model.eval_async().wait().unwrap();
        assert_eq!(get(&model), 2.0);
        model.eval().unwrap();
    });
}

/// Row K1: in every order.
#[test]
fn a_future_is_woken() {
    explore(3, || {
        let mut model = model();
        put(&mut model, 1.0);
        loom::future::block_on(model.eval_async()).unwrap();
        assert_eq!(get(&model), 2.0);
    });
}

/// Rows K1, K2, H7: in every order.
#[test]
fn what_is_dropped_under_way_ends() {
    explore(3, || {
        let mut model = model();
        put(&mut model, 1.0);
        let calls = Arc::new(AtomicUsize::new(0));
        let (y, counter) = (model.output_surface(0).unwrap().clone(), calls.clone());
        model.eval_async_with_callback(move |result| {
            result.unwrap();
            assert!(y.lock().is_ok(), "the surfaces are free by now");
            counter.fetch_add(1, Ordering::Relaxed);
        });
        // Whoever is last to let go of it ends the threads, be it one of them.
        drop(model);
        // All threads have ended when loom looks at the next order; it ends the test if one cannot.
        let _ = calls;
    });
}

/// Row K4: in every order.
#[test]
fn a_pool_lends_each_request_once() {
    explore(2, || {
        let pool = RequestPool::new(&model(), 1).unwrap();
        let other = pool.clone();
        let user = move |pool: &RequestPool, value: f32| {
            let mut request = pool.acquire().unwrap();
            request.write_input_f32(0, &[value]).unwrap();
            request.eval().unwrap();
            let mut y = [0.0];
            request.read_output_f32(0, &mut y).unwrap();
            assert_eq!(y, [value + 1.0]);
        };
        let thread = thread::spawn(move || user(&other, 1.0));
        user(&pool, 5.0);
        thread.join().unwrap();
        assert!(pool.try_acquire().unwrap().is_some());
    });
}

/// Rows K4, K5: in every order.
#[test]
fn a_request_returns_at_the_end_of_its_evaluation() {
    explore(2, || {
        let pool = RequestPool::new(&model(), 1).unwrap();
        let mut request = pool.acquire().unwrap();
        drop(request.eval_async());
        request.release();
        // It is not lent before its end: then nothing of it would be locked.
        let mut request = pool.acquire().unwrap();
        request.write_input_f32(0, &[1.0]).unwrap();
        drop(request.eval_async());
        pool.close();
        drop(request);
    });
}

/// Row K5: in every order.
#[test]
fn who_waits_for_a_request_hears_of_the_end() {
    explore(2, || {
        let pool = RequestPool::new(&model(), 1).unwrap();
        let kept = pool.acquire().unwrap();
        let other = pool.clone();
        let waits = thread::spawn(move || other.acquire().map(drop).is_err());
        pool.close();
        assert!(waits.join().unwrap());
        drop(kept);
    });
}

/// Rows J3, J4: in every order.
#[test]
fn who_waits_for_a_value_is_woken() {
    explore(3, || {
        let event = SharedEvent::on(&Client::software(Chip::M4)).unwrap();
        let (other, third) = (event.clone(), event.clone());
        let one = thread::spawn(move || other.wait(1, LONG) && other.signaled_value() >= 1);
        let two = thread::spawn(move || third.signal(2));
        // One of the two may come too late, and no value falls.
        let late = event.signal(1);
        assert!(event.wait(2, LONG) && one.join().unwrap());
        two.join().unwrap().unwrap();
        assert!(late.is_ok() || event.signaled_value() == 2);
    });
}

/// Rows J7, J8: in every order.
#[test]
fn an_evaluation_begins_when_its_event_comes() {
    let package = Package::new();
    let path = package.path();
    explore(2, move || {
        let (client, mut model) = with_events(path.clone());
        let (before, after) = (SharedEvent::on(&client).unwrap(), SharedEvent::on(&client).unwrap());
        put(&mut model, 1.0);
        let other = before.clone();
        let host = thread::spawn(move || other.signal(1).unwrap());
        model.eval_bidirectional_events(&before, 1, &after, 1, PLAIN).unwrap();
        assert!(after.wait(1, LONG));
        // When the event is signalled the surfaces are free.
        assert_eq!(get(&model), 2.0);
        model.finish(LONG).unwrap();
        host.join().unwrap();
    });
}

/// Row J7: in every order.
#[test]
fn a_wait_without_an_end_is_told() {
    let package = Package::new();
    let path = package.path();
    explore(2, move || {
        let (client, mut model) = with_events(path.clone());
        let event = SharedEvent::on(&client).unwrap();
        let port = event.port();
        let host = thread::spawn(move || drop(event));
        // Either there is no event any more, or nobody who could signal it.
        match model.eval_with_wait_event(port, 1, PLAIN) {
            Err(Error::Invalid(_)) => {}
            Ok(()) => assert!(matches!(model.finish(LONG), Err(Error::NeverSignaled { value: 1, .. }))),
            Err(e) => panic!("{e}"),
        }
        host.join().unwrap();
        model.eval().unwrap();
    });
}

/// Row J12: in every order.
#[test]
fn a_pipeline_goes_on() {
    let package = Package::new();
    let path = package.path();
    explore(1, move || {
        let (client, mut model) = with_events(path.clone());
        let mut pipeline = Pipeline::on(&client).unwrap();
        put(&mut model, 1.0);
        pipeline.ane_to_metal(&mut model).unwrap();
        let (ane, metal) = (pipeline.ane_event().clone(), pipeline.metal_event().clone());
        let stage = thread::spawn(move || {
            assert!(ane.wait(1, LONG));
            metal.signal(1).unwrap();
            ane.wait(2, LONG)
        });
        let mut next = model.new_request().unwrap();
        let (ane, metal) = (pipeline.ane_event(), pipeline.metal_event());
        next.run_with_events(&[(metal, 1)], &[(ane, 2)], PLAIN).unwrap();
        assert!(stage.join().unwrap());
        next.finish(LONG).unwrap();
        model.finish(LONG).unwrap();
        assert_eq!(get(&model), 2.0);
    });
}
