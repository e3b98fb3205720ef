//! Shared events, and evaluations that wait for them and signal them.

use std::time::Duration;

use anemone::{Chip, Client, CompileOptions, Error, Model, ModelType, SharedEvent, SharedEventEvalOptions};

use crate::gate::held_on_each_engine;
use crate::{PATIENCE, each_engine, mil, on_each_engine, package};

const SOON: Duration = Duration::from_millis(5);

/// Adds one to four numbers.
const INCREMENT: &str = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
    tensor<fp16, [4]> y = add(x = x, y = fp16(1)); } -> (y); }";

/// A model from a package. What had events stays loaded on the hardware, so that the stand-in is not asked to be empty.
pub(crate) fn increment(client: &Client) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let package_path = package(INCREMENT, folder.path());
    let options =
        CompileOptions { model_type: ModelType::Package, package_path, ..CompileOptions::default() };
    client.compile(options).unwrap()
}

pub(crate) fn put(model: &mut Model, value: f32) {
    model.write_input_f32("x", &[value; 4]).unwrap();
}

pub(crate) fn get(model: &Model) -> f32 {
    let mut y = [0.0; 4];
    model.read_output_f32("y", &mut y).unwrap();
    y[0]
}

const PLAIN: SharedEventEvalOptions =
    SharedEventEvalOptions { disable_io_fences_use_shared_events: false, enable_fw_to_fw_signal: false };

/// Rows J1, J3, J4, J5: signalled, read, waited for with an end; ⚠ a value never falls.
#[test]
fn a_value_only_grows() {
    on_each_engine(|client| {
        let event = SharedEvent::on(client).unwrap();
        assert_eq!(event.signaled_value(), 0);
        for value in [0, 3, 3, 1 << 40] {
            event.signal(value).unwrap();
            assert_eq!(event.signaled_value(), value);
        }
        assert!(matches!(event.signal(7), Err(Error::Invalid(why)) if why.contains("cannot be lowered")));
        assert_eq!(event.signaled_value(), 1 << 40);
        assert!(event.wait(1 << 40, Duration::ZERO) && event.wait(0, Duration::ZERO));
        let (reached, took) = event.time_wait((1 << 40) + 1, SOON);
        assert!(!reached && took >= SOON);
        let (reached, took) = event.time_wait(5, PATIENCE);
        assert!(reached && took < PATIENCE);
        event.close();
    });
    SharedEvent::new().unwrap().signal(1).unwrap();
}

/// Rows J3, J4: every waiter, at its own value, in whatever order they come.
#[test]
fn who_waits_is_woken() {
    on_each_engine(|client| {
        let event = SharedEvent::on(client).unwrap();
        std::thread::scope(|s| {
            let waiters: Vec<_> = (1..=4)
                .map(|n| {
                    let event = event.clone();
                    s.spawn(move || event.wait(n, PATIENCE) && event.signaled_value() >= n)
                })
                .collect();
            for n in 1..=4 {
                event.signal(n).unwrap();
            }
            assert!(waiters.into_iter().all(|w| w.join().unwrap()));
        });
    });
}

/// Row J2: the event behind a port, while there is one.
#[test]
fn an_event_is_opened_by_its_port() {
    on_each_engine(|client| {
        let event = SharedEvent::on(client).unwrap();
        let port = event.port();
        let same = SharedEvent::from_port_on(client, port).unwrap();
        event.signal(5).unwrap();
        assert_eq!(same.signaled_value(), 5);
        same.signal(6).unwrap();
        assert!(event.wait(6, Duration::ZERO));
        assert_ne!(SharedEvent::on(client).unwrap().port(), port);
        let e = SharedEvent::from_port_on(client, u32::MAX).unwrap_err();
        assert!(matches!(&e, Error::Invalid(why) if why.contains(&format!("port {}", u32::MAX))), "{e}");
    });
    // The port is that of the event while there is a copy of it.
    let client = Client::software(Chip::M4);
    let event = SharedEvent::on(&client).unwrap();
    let (port, copy) = (event.port(), event.clone());
    drop(event);
    assert!(SharedEvent::from_port_on(&client, port).is_ok());
    drop(copy);
    assert!(matches!(SharedEvent::from_port_on(&client, port), Err(Error::Invalid(_))));
}

/// Row J10: models of MIL text cannot have events, on no engine.
#[test]
fn models_of_text_are_refused() {
    on_each_engine(|client| {
        let mut model = client.compile(mil(INCREMENT)).unwrap();
        let event = SharedEvent::on(client).unwrap();
        let port = event.port();
        for result in [
            model.eval_with_signal_event(port, 1, PLAIN),
            model.eval_with_wait_event(port, 0, PLAIN),
            model.eval_bidirectional(port, 0, port, 1, PLAIN),
            model.eval_with_signal(&event, 1, PLAIN),
        ] {
            assert!(matches!(result, Err(Error::SharedEventRequiresPackage)));
        }
        event.signal(1).unwrap();
        model.eval().unwrap();
    });
}

/// Rows J6, J8: the value comes when the outputs are written.
#[test]
fn an_evaluation_signals_its_end() {
    held_on_each_engine(1, |held| {
        let mut model = increment(&held.client);
        let event = SharedEvent::on(&held.client).unwrap();
        for round in 1..=3 {
            put(&mut model, round as f32);
            held.close();
            if round == 2 {
                model.eval_with_signal(&event, round, PLAIN).unwrap();
            } else {
                model.eval_with_signal_event(event.port(), round, PLAIN).unwrap();
            }
            assert_eq!(event.signaled_value(), round - 1);
            // Under way, everything belongs to the engine, also the value.
            assert!(matches!(model.read_output_f32(0, &mut [0.0; 4]), Err(Error::Surface(_))));
            assert!(matches!(model.eval(), Err(Error::Surface(_))));
            assert!(matches!(model.eval_with_signal(&event, round + 1, PLAIN), Err(Error::Surface(_))));
            held.open();
            assert!(event.wait(round, PATIENCE));
            assert_eq!(get(&model), round as f32 + 1.0);
        }
        model.finish(PATIENCE).unwrap();
        model.finish(Duration::ZERO).unwrap();
        model.eval().unwrap();
    });
}

/// Rows J7, J8: nothing begins before what is waited for has come.
#[test]
fn an_evaluation_waits_and_signals() {
    each_engine(1, |client| {
        let mut model = increment(client);
        let (before, after) = (SharedEvent::on(client).unwrap(), SharedEvent::on(client).unwrap());
        for round in 1..=3 {
            put(&mut model, round as f32);
            if round == 2 {
                model.eval_bidirectional_events(&before, round, &after, round, PLAIN).unwrap();
            } else {
                model.eval_bidirectional(before.port(), round, after.port(), round, PLAIN).unwrap();
            }
            let e = model.finish(SOON).unwrap_err();
            let (words, reached) =
                (format!("waits for {round} of the shared event "), format!("has reached {}", round - 1));
            assert!(matches!(e, Error::TimedOut { .. }), "{e}");
            assert!(e.to_string().contains(&words) && e.to_string().contains(&reached), "{e}");
            assert!(matches!(model.write_input_f32(0, &[9.0; 4]), Err(Error::Surface(_))));
            before.signal(round).unwrap();
            assert!(after.wait(round, PATIENCE));
            model.finish(PATIENCE).unwrap();
            assert_eq!(get(&model), round as f32 + 1.0);
        }
        model.eval_with_wait(&before, 3, PLAIN).unwrap();
        model.finish(PATIENCE).unwrap();
        model.eval_with_wait_event(before.port(), 2, PLAIN).unwrap();
        model.finish(PATIENCE).unwrap();
    });
}

/// Rows J7, L13: the output of one is the input of the next; events keep them in order, in whatever order they start.
#[test]
fn evaluations_share_a_surface_in_order() {
    each_engine(1, |client| {
        let mut first = increment(client);
        let shared = first.output_surface(0).unwrap().clone();
        let end = first.new_request().unwrap().output_surfaces()[0].clone();
        let mut second = first.bind(&[&shared], &[&end]).unwrap();
        let (one, two) = (SharedEvent::on(client).unwrap(), SharedEvent::on(client).unwrap());
        for round in 1..=10 {
            put(&mut first, round as f32);
            let start_second = |second: &mut anemone::Request| {
                second.run_with_events(&[(&one, round)], &[(&two, round)], PLAIN).unwrap();
            };
            if round % 2 == 0 {
                start_second(&mut second);
                first.eval_with_signal(&one, round, PLAIN).unwrap();
            } else {
                first.eval_with_signal(&one, round, PLAIN).unwrap();
                start_second(&mut second);
            }
            assert!(two.wait(round, PATIENCE));
            let mut y = [0.0; 4];
            second.read_output_f32(0, &mut y).unwrap();
            assert_eq!(y, [round as f32 + 2.0; 4]);
        }
    });
}

/// Rows J3, J7: what cannot work is refused at once, and changes nothing.
#[test]
fn events_that_cannot_work_are_refused() {
    each_engine(1, |client| {
        let mut model = increment(client);
        let one = SharedEvent::on(client).unwrap();
        one.signal(3).unwrap();
        let port = one.port();
        for (result, words) in [
            (model.eval_with_signal(&one, 3, PLAIN), "that has reached 3"),
            (model.eval_with_signal_event(port, 2, PLAIN), "that has reached 3"),
            (model.eval_bidirectional(port, 4, port, 4, PLAIN), "signals 4 itself"),
            (model.eval_with_wait_event(u32::MAX, 1, PLAIN), "no shared event"),
        ] {
            let e = result.unwrap_err();
            assert!(matches!(&e, Error::Invalid(why) if why.contains(words)), "{e}");
        }
        // Several are under way that signal one event, each a higher value.
        let two = SharedEvent::on(client).unwrap();
        model.eval_bidirectional_events(&two, 1, &one, 5, PLAIN).unwrap();
        let mut other = model.new_request().unwrap();
        let e = other.run_with_events(&[], &[(&one, 5)], PLAIN).unwrap_err();
        assert!(e.to_string().contains("another one is to signal 5"), "{e}");
        assert!(one.signal(5).unwrap_err().to_string().contains("is to signal 5"));
        other.run_with_events(&[(&one, 5)], &[(&one, 6)], PLAIN).unwrap();
        one.signal(4).unwrap();
        two.signal(1).unwrap();
        other.finish(PATIENCE).unwrap();
        model.finish(PATIENCE).unwrap();
        assert_eq!(one.signaled_value(), 6);
    });
    let software = Client::software(Chip::M4);
    let fake = anemone_apple::fake::Fake::new(crate::software::machine(anemone::device::Engine::Cpu));
    let hardware = Client::over(&fake.open().unwrap());
    let event = SharedEvent::on(&hardware).unwrap();
    let e = increment(&software).eval_with_signal(&event, 1, PLAIN).unwrap_err();
    assert!(e.to_string().contains("another engine"), "{e}");
}

/// Rows J7, T12: ⚠ a wait for what nobody can signal any more ends, with event and value, and so do those behind it.
#[test]
fn a_wait_without_an_end_is_told_at_once() {
    let client = Client::software(Chip::M4);
    let mut model = increment(&client);
    let (one, two) = (SharedEvent::on(&client).unwrap(), SharedEvent::on(&client).unwrap());
    one.signal(2).unwrap();
    let port = one.port();
    model.eval_bidirectional_events(&one, 3, &two, 1, PLAIN).unwrap();
    let mut next = model.new_request().unwrap();
    next.run_with_events(&[(&two, 1)], &[], PLAIN).unwrap();
    drop(two);
    drop(one);
    let e = model.finish(PATIENCE).unwrap_err();
    assert!(matches!(e, Error::NeverSignaled { port: p, value: 3, reached: 2 } if p == port), "{e}");
    assert!(matches!(next.finish(PATIENCE), Err(Error::NeverSignaled { value: 1, reached: 0, .. })));
    // Everything was given back.
    put(&mut model, 1.0);
    model.eval().unwrap();
    next.run().unwrap();
}

/// Row J6: the events of an evaluation that fails do not come, and it says why.
#[test]
fn a_failure_signals_nothing() {
    let client = Client::software(Chip::M4);
    let text = "program(1.3) { func main<ios18>(tensor<int32, [1]> i) {
        tensor<fp16, [1]> y = gather(x = tensor<fp16, [2]>([1, 2]), indices = i, axis = int32(0), validate_indices = bool(true)); } -> (y); }";
    let folder = tempfile::tempdir().unwrap();
    let package_path = package(text, folder.path());
    let options =
        CompileOptions { model_type: ModelType::Package, package_path, ..CompileOptions::default() };
    let mut model = client.compile(options).unwrap();
    model.write_input_elements(0, &[5i32]).unwrap();
    let event = SharedEvent::on(&client).unwrap();
    model.eval_with_signal(&event, 1, PLAIN).unwrap();
    assert!(matches!(model.finish(PATIENCE), Err(Error::Program(_))));
    assert_eq!(event.signaled_value(), 0);
    // The value is free again.
    event.signal(1).unwrap();
}

/// Row J9: the options reach the hardware.
#[test]
fn options_are_sent() {
    held_on_each_engine(1, |held| {
        let mut model = increment(&held.client);
        let event = SharedEvent::on(&held.client).unwrap();
        for (i, (fences, firmware)) in [(false, false), (true, false), (true, true)].into_iter().enumerate() {
            held.log.take();
            let options = SharedEventEvalOptions {
                disable_io_fences_use_shared_events: fences,
                enable_fw_to_fw_signal: firmware,
            };
            model.eval_with_signal(&event, i as u64 + 1, options).unwrap();
            model.finish(PATIENCE).unwrap();
            let lines = held.log.lines().join("\n");
            // The names are not in the log; how many there are is.
            let entries = format!("(_, _, {})", usize::from(fences) + usize::from(firmware));
            assert_eq!(lines.contains(&entries), held.client.is_hardware(), "{lines}");
        }
    });
}

/// Rows J6, H7: what is dropped under way stays until its events came.
#[test]
fn a_model_may_be_dropped_before_its_events_come() {
    each_engine(1, |client| {
        let mut model = increment(client);
        put(&mut model, 4.0);
        let y = model.output_surface(0).unwrap().clone();
        let (before, after) = (SharedEvent::on(client).unwrap(), SharedEvent::on(client).unwrap());
        model.eval_bidirectional_events(&before, 1, &after, 1, PLAIN).unwrap();
        drop(model);
        assert!(y.lock().is_err());
        before.signal(1).unwrap();
        assert!(after.wait(1, PATIENCE));
        let begin = std::time::Instant::now();
        while y.lock().is_err() && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(y.read(|numbers| numbers[0]), half::f16::from_f32(5.0).to_bits());
    });
}
