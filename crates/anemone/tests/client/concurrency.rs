//! Evaluations that nobody waits for, and pools of requests.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use anemone::{Error, Model, Request, RequestPool, Surface};

use crate::gate::{Held, held_on_each_engine};
use crate::{PATIENCE, mil};

/// Doubles four numbers.
const DOUBLE: &str = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
    tensor<fp16, [4]> y = mul(x = x, y = fp16(2)); } -> (y); }";

const SOON: Duration = Duration::from_millis(1);

fn double(held: &Held) -> Model {
    held.client.compile(mil(DOUBLE)).unwrap()
}

fn busy(result: Result<(), Error>) -> bool {
    matches!(result, Err(Error::Surface(_)))
}

/// Waits until nothing has a surface.
fn free(surface: &Surface) {
    let begin = std::time::Instant::now();
    while surface.lock_mut().is_err() {
        assert!(begin.elapsed() < PATIENCE, "the surface is not given back");
        std::thread::sleep(SOON);
    }
}

struct Unpark(std::thread::Thread, AtomicUsize);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// Row K1: a waker of the standard library is all that it needs; while it is under way all is locked.
#[test]
fn a_future_of_no_runtime() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        model.write_input_f32(0, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        let (x, y) = (model.input_surface(0).unwrap().clone(), model.output_surface(0).unwrap().clone());
        held.close();
        {
            let mut evaluation = pin!(model.eval_async());
            let unpark = Arc::new(Unpark(std::thread::current(), AtomicUsize::new(0)));
            let waker = Waker::from(unpark.clone());
            let mut context = Context::from_waker(&waker);
            assert!(evaluation.as_mut().poll(&mut context).is_pending() && !evaluation.is_done());
            assert!(x.lock_mut().is_err() && y.lock().is_err());
            held.open();
            let result = loop {
                match evaluation.as_mut().poll(&mut context) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => std::thread::park_timeout(PATIENCE),
                }
            };
            result.unwrap();
            assert_eq!(unpark.1.load(Ordering::SeqCst), 1);
        }
        let mut y = [0.0; 4];
        model.read_output_f32(0, &mut y).unwrap();
        assert_eq!(y, [2.0, 4.0, 6.0, 8.0]);
        model.eval_async().wait().unwrap();
    });
}

/// Row K1: what is dropped under way goes on, and gives everything back at its end.
#[test]
fn a_future_may_be_dropped() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        model.write_input_f32(0, &[3.0; 4]).unwrap();
        let (x, y) = (model.input_surface(0).unwrap().clone(), model.output_surface(0).unwrap().clone());
        held.close();
        drop(model.eval_async());
        // Everything says that it is busy, also to the borrow checker's blind eye.
        assert!(busy(model.write_input_f32(0, &[0.0; 4])));
        assert!(busy(model.read_output_f32(0, &mut [0.0; 4])));
        assert!(busy(model.eval()));
        assert!(busy(model.eval_async().wait()));
        // Not even the model is needed any more.
        drop(model);
        assert!(y.lock().is_err());
        held.open();
        free(&y);
        free(&x);
        assert_eq!(y.read(|numbers| numbers[0]), half::f16::from_f32(6.0).to_bits());
    });
}

/// Row K2: exactly once: at the end, at a failure, and when nothing was started.
#[test]
fn a_callback_is_called_once() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        model.write_input_f32(0, &[3.0; 4]).unwrap();
        let (told, hears) = mpsc::channel();
        for round in 0..20 {
            let (told, y) = (told.clone(), model.output_surface(0).unwrap().clone());
            model.eval_async_with_callback(move |result| {
                // The surfaces are free by now.
                let free = y.lock_mut().is_ok();
                told.send((round, result.is_ok(), free)).unwrap();
            });
            assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), (round, true, true));
        }
        let lock = model.input_surface(0).unwrap().lock_mut().unwrap();
        let told = { told };
        model.eval_async_with_callback(move |result| told.send((99, result.is_ok(), true)).unwrap());
        assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), (99, false, true));
        drop(lock);
        assert!(hears.recv().is_err(), "every callback is gone after one call");
        // A callback may run the request again, and may panic.
        let model = Arc::new(std::sync::Mutex::new(model));
        let (again, (told, hears)) = (model.clone(), mpsc::channel());
        model.lock().unwrap().eval_async_with_callback(move |first| {
            first.unwrap();
            again.lock().unwrap().eval_async_with_callback(move |second| told.send(second.is_ok()).unwrap());
            drop(again);
            std::panic::resume_unwind(Box::new("a callback that panics harms nobody"));
        });
        assert!(hears.recv_timeout(PATIENCE).unwrap());
        model.lock().unwrap().eval().unwrap();
    });
}

/// Row K2: what an op finds out when it runs is told too.
#[test]
fn a_failure_is_told_at_the_end() {
    let client = anemone::Client::software(anemone::Chip::M4);
    let text = "program(1.3) { func main<ios18>(tensor<int32, [1]> i) {
        tensor<fp16, [1]> y = gather(x = tensor<fp16, [2]>([1, 2]), indices = i, axis = int32(0), validate_indices = bool(true)); } -> (y); }";
    let mut model = client.compile(mil(text)).unwrap();
    model.write_input_elements(0, &[5i32]).unwrap();
    assert!(matches!(model.eval_async().wait(), Err(Error::Program(_))));
    let (told, hears) = mpsc::channel();
    model.eval_async_with_callback(move |result| told.send(result).unwrap());
    assert!(matches!(hears.recv_timeout(PATIENCE).unwrap(), Err(Error::Program(_))));
}

/// Row K1: after a time-out the model says that it is busy, until it can be used again.
#[test]
fn a_time_out_is_not_the_end_of_a_model() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        model.write_input_f32(0, &[3.0; 4]).unwrap();
        held.close();
        let e = model.eval_within(SOON).unwrap_err();
        assert!(matches!(e, Error::TimedOut { .. }) && e.to_string().contains("`main`"), "{e}");
        assert!(busy(model.eval()));
        held.open();
        free(&model.input_surface(0).unwrap().clone());
        free(&model.output_surface(0).unwrap().clone());
        model.eval_within(PATIENCE).unwrap();
        let mut y = [0.0; 4];
        model.read_output_f32(0, &mut y).unwrap();
        assert_eq!(y, [6.0; 4]);
    });
}

/// Rows K4, T12: ⚠ two in flight that write one surface would give the results of neither.
#[test]
fn two_in_flight_on_one_output_are_refused() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        model.write_input_f32(0, &[3.0; 4]).unwrap();
        let (x, y) = (model.input_surface(0).unwrap().clone(), model.output_surface(0).unwrap().clone());
        let mut same = model.bind(&[&x], &[&y]).unwrap();
        // Reading the same input is fine.
        let mut other = model.new_request().unwrap();
        let z = other.output_surfaces()[0].clone();
        let mut reader = model.bind(&[&x], &[&z]).unwrap();
        held.close();
        let first = model.eval_async();
        assert!(busy(same.start().wait()) && busy(same.run()));
        let second = reader.start();
        // That of the model belongs to it.
        assert!(busy(other.start().wait()));
        held.open();
        first.wait().unwrap();
        second.wait().unwrap();
        same.run().unwrap();
        other.run().unwrap();
    });
}

/// Row K3: as many as the hardware has in flight, and at least one.
#[test]
fn the_depth_of_a_pool_has_limits() {
    held_on_each_engine(0, |held| {
        let model = double(held);
        for depth in [0, 128, usize::MAX] {
            let e = RequestPool::new(&model, depth).unwrap_err();
            assert!(matches!(&e, Error::Invalid(why) if why.contains("1 to 127")), "{e}");
        }
        for depth in [1, 127] {
            assert_eq!(RequestPool::new(&model, depth).unwrap().depth(), depth);
        }
    });
}

/// Row K4: ⚠ every request has surfaces of its own: results do not mix.
#[test]
fn results_of_a_pool_do_not_mix() {
    held_on_each_engine(0, |held| {
        let model = double(held);
        let pool = RequestPool::new(&model, 3).unwrap();
        std::thread::scope(|s| {
            for thread in 0..6 {
                let pool = &pool;
                s.spawn(move || {
                    for round in 0..20 {
                        let value = (thread * 100 + round) as f32;
                        let mut request = pool.acquire().unwrap();
                        request.write_input_f32("x", &[value; 4]).unwrap();
                        if round % 2 == 0 {
                            request.eval().unwrap();
                        } else {
                            request.eval_async().wait().unwrap();
                        }
                        let mut y = [0.0; 4];
                        request.read_output_f32("y", &mut y).unwrap();
                        assert_eq!(y, [2.0 * value; 4]);
                        request.release();
                    }
                });
            }
        });
        let all: Vec<_> = (0..3).map(|_| pool.try_acquire().unwrap().unwrap()).collect();
        let ids = |r: &anemone::PooledRequest| (r.input_surfaces()[0].id(), r.output_surfaces()[0].id());
        assert!(ids(&all[0]) != ids(&all[1]) && ids(&all[1]) != ids(&all[2]));
        assert!(pool.try_acquire().unwrap().is_none());
        assert!(matches!(pool.acquire_within(SOON), Err(Error::TimedOut { .. })));
    });
}

/// Row K4: a request that is released under way returns at its end, and not before.
#[test]
fn a_request_that_is_under_way_is_not_lent() {
    held_on_each_engine(0, |held| {
        let model = double(held);
        let pool = RequestPool::new(&model, 1).unwrap();
        let mut request = pool.acquire().unwrap();
        held.close();
        drop(request.eval_async());
        // The second one is refused at once, which is not the end of the first.
        assert!(busy(request.eval_async().wait()));
        request.release();
        assert!(pool.try_acquire().unwrap().is_none());
        held.open();
        let mut request = pool.acquire_within(PATIENCE).unwrap();
        request.eval().unwrap();
        let (told, hears) = mpsc::channel();
        request.eval_async_with_callback(move |result| told.send(result.is_ok()).unwrap());
        assert!(hears.recv_timeout(PATIENCE).unwrap());
        held.close();
        assert!(matches!(request.eval_within(SOON), Err(Error::TimedOut { .. })));
        // Whoever closes the pool does not wait for it.
        drop(request);
        pool.close();
        held.open();
    });
}

/// Row K5: closing ends every mapping, and tells those who wait.
#[test]
fn closing_a_pool_ends_its_mappings() {
    held_on_each_engine(0, |held| {
        let model = double(held);
        let pool = RequestPool::new(&model, 4).unwrap();
        let mut kept = pool.acquire().unwrap();
        let waits = {
            let rest: Vec<_> = (0..3).map(|_| pool.acquire().unwrap()).collect();
            let other = pool.clone();
            let waits = std::thread::spawn(move || {
                // The first that are released may come before the end.
                while other.acquire().is_ok() {}
            });
            pool.close();
            drop(rest);
            waits
        };
        waits.join().unwrap();
        assert!(matches!(pool.try_acquire(), Err(Error::Invalid(_))));
        pool.close();
        // What is in use stays so.
        kept.eval().unwrap();
        kept.release();
        let lines = held.log.lines();
        let sent = |what: &str| lines.iter().filter(|l| l.contains(what)).count();
        let mappings = if held.client.is_hardware() { 4 } else { 0 };
        assert_eq!((sent(" mapIOSurfaces"), sent(" unmapIOSurfaces")), (mappings, mappings), "{lines:#?}");
    });
}

/// Row K6: one model is compiled while another one runs.
#[test]
fn compilations_and_evaluations_overlap() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        held.close();
        let evaluation = model.eval_async();
        let next = held.client.compile(mil(&DOUBLE.replace("fp16(2)", "fp16(3)"))).unwrap();
        assert!(!evaluation.is_done());
        held.open();
        evaluation.wait().unwrap();
        drop(next);
    });
}

/// Rows L1, L2, L3, L4: every way to the engine gives the same results, and what is busy is busy on all of them.
#[test]
fn every_way_to_the_engine_gives_the_same() {
    held_on_each_engine(0, |held| {
        let mut model = double(held);
        type Way = fn(&mut Request) -> Result<(), Error>;
        let ways: [(Way, &str); 4] = [
            (Request::run, "evaluateWithQoS:options:request:error:"),
            (Request::run_direct, "doEvaluateDirectWithModel:"),
            (Request::run_real_time, "evaluateRealTimeWithModel:"),
            (Request::run_program, "processRequest:model:"),
        ];
        for (i, (run, message)) in ways.into_iter().enumerate() {
            model.write_input_f32(0, &[i as f32; 4]).unwrap();
            held.log.take();
            run(model.request_mut()).unwrap();
            let sent = held.log.lines().iter().any(|line| line.contains(message));
            assert_eq!(sent, held.client.is_hardware(), "{message}");
            let mut y = [0.0; 4];
            model.read_output_f32(0, &mut y).unwrap();
            assert_eq!(y, [2.0 * i as f32; 4]);
        }
        held.close();
        let surface = model.input_surface(0).unwrap().clone();
        drop(model.eval_async());
        for (run, _) in ways {
            assert!(busy(run(model.request_mut())));
        }
        held.open();
        free(&surface);
    });
}
