//! Shared events, and evaluations that wait for them and signal them.

use std::time::Duration;

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::{EvaluateOptions, Events, SharedEvent};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, PATIENCE, Scene};

const NOT_LONG: Duration = Duration::from_millis(20);

/// Rows J1, J3, J4: signalled, read, waited for with an end.
#[test]
fn a_value_only_grows() {
    let scene = Scene::new();
    let event = SharedEvent::new(&scene.framework).unwrap();
    assert_eq!(event.value(), 0);
    for value in [0, 3, 3, 1 << 40] {
        event.signal(value).unwrap();
        assert_eq!(event.value(), value);
    }
    let e = event.signal(7).unwrap_err();
    assert!(matches!(&e, Error::Invalid(m) if m.contains("cannot be lowered")), "{e}");
    assert!(event.wait(1 << 40, Duration::ZERO));
    let begin = std::time::Instant::now();
    assert!(!event.wait((1 << 40) + 1, NOT_LONG));
    assert!(begin.elapsed() >= NOT_LONG);
    drop(event);
    scene.end();
}

/// Rows J3, J4: every waiter, at its own value.
#[test]
fn who_waits_is_woken_by_another_thread() {
    let scene = Scene::new();
    let event = SharedEvent::new(&scene.framework).unwrap();
    std::thread::scope(|s| {
        let waiters: Vec<_> = (1..=4)
            .map(|n| {
                s.spawn({
                    let event = &event;
                    move || event.wait(n, PATIENCE)
                })
            })
            .collect();
        for n in 1..=4 {
            event.signal(n).unwrap();
        }
        assert!(waiters.into_iter().all(|w| w.join().unwrap()));
    });
    drop(event);
    scene.end();
}

/// Row J2: two objects of one event.
#[test]
fn an_event_is_opened_by_its_port() {
    let scene = Scene::new();
    let event = SharedEvent::new(&scene.framework).unwrap();
    let port = event.port();
    assert_eq!(port, event.port());
    let same = SharedEvent::from_port(&scene.framework, port).unwrap();
    assert!(event != same, "another object of the same event");
    event.signal(5).unwrap();
    assert_eq!(same.value(), 5);
    same.signal(6).unwrap();
    assert!(event.wait(6, Duration::ZERO));
    let e = SharedEvent::from_port(&scene.framework, port + 1).unwrap_err();
    assert!(matches!(e, Error::Unexpected { .. }), "{e}");
    let sent = scene.sent();
    assert!(sent.iter().any(|s| s == "+[IOSurfaceSharedEvent alloc]"), "{sent:#?}");
    assert!(sent.iter().any(|s| s == "-[IOSurfaceSharedEvent initWithMachPort:]"), "{sent:#?}");
    drop((event, same));
    scene.end();
}

/// Row J10: events need a model from a folder.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn programs_of_text_are_refused_before_anything_is_sent() {
    let scene = Scene::new();
    let event = SharedEvent::new(&scene.framework).unwrap();
    let mut job = Job::new(&scene.text("events of text", COPY));
    scene.sent();
    let events = Events { wait: &[], signal: &[(&event, 1)] };
    let e = job.request.run_with_events(&events, EvaluateOptions::default()).unwrap_err();
    assert!(matches!(&e, Error::Invalid(m) if m.contains("need a model from a folder")), "{e}");
    assert_eq!(scene.sent(), [""; 0]);
    event.signal(1).unwrap();
    job.request.run().unwrap();
    drop((job, event));
    scene.end();
}

/// Rows J6, J8, J9, J13, U13: kind 5 at the first output; objects are used again with other values.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn an_evaluation_signals_its_end() {
    let scene = Scene::new();
    let folder = Folder::new("events-signal", COPY);
    let event = SharedEvent::new(&scene.framework).unwrap();
    let mut job = Job::new(&scene.package(&folder).unwrap());
    let options = EvaluateOptions { disable_io_fences_use_shared_events: true, ..EvaluateOptions::default() };
    for round in 1..=3 {
        job.put(round as f32);
        scene.sent();
        let events = Events { wait: &[], signal: &[(&event, round)] };
        let mut run = job.request.run_with_events(&events, options).unwrap();
        run.wait(PATIENCE).unwrap();
        assert!(run.is_done());
        assert_eq!((event.value(), job.get()), (round, round as f32));
        let lines: Vec<String> =
            scene.lines().into_iter().filter(|l| !l.contains("[IOSurfaceSharedEvent")).collect();
        let mut expected = vec![
            "-[_ANEClient mapIOSurfacesWithModel:request:cacheInference:error:]",
            // The kind 5, at the first output, as others do. The first is ours, which tells the end.
            "+[_ANESharedSignalEvent signalEventWithValue:symbolIndex:eventType:sharedEvent:] (1, 0, 5, ",
            "+[_ANESharedSignalEvent signalEventWithValue:symbolIndex:eventType:sharedEvent:] (1, 0, 5, ",
            "+[_ANESharedEvents sharedEventsWithSignalEvents:waitEvents:] (NSArray",
            "-[_ANERequest setSharedEvents:] (_ANESharedEvents",
            "-[_ANEClient evaluateWithModel:options:request:qos:error:]",
        ];
        if round > 1 {
            // The objects are used again.
            let set = "-[_ANESharedSignalEvent setValue:] (";
            expected = vec![set, set, expected[5]];
        }
        let matches = |(line, e): (&String, &&str)| line.starts_with(*e);
        assert!(lines.len() == expected.len() && lines.iter().zip(&expected).all(matches), "{lines:#?}");
    }
    // A run that waits takes the events away.
    scene.sent();
    job.request.run().unwrap();
    assert_eq!(scene.sent()[0], "-[_ANERequest setSharedEvents:]");
    drop((job, event));
    scene.end_with(1);
}

/// Rows J7, J8, J13, U13: nothing begins before what is waited for has come.
#[test]
fn an_evaluation_waits_for_events_and_signals_others() {
    let scene = Scene::new();
    let folder = Folder::new("events-both", COPY);
    let (before, after) =
        (SharedEvent::new(&scene.framework).unwrap(), SharedEvent::new(&scene.framework).unwrap());
    let model = scene.package(&folder).unwrap();
    let mut job = Job::new(&model);
    let options = EvaluateOptions { enable_fw_to_fw_signal: true, ..EvaluateOptions::default() };
    for round in 1..=2 {
        job.put(10.0 * round as f32);
        let events = Events { wait: &[(&before, round)], signal: &[(&after, round)] };
        let mut run = job.request.run_with_events(&events, options).unwrap();
        assert!(!run.is_done() && after.value() == round - 1);
        assert!(matches!(run.wait(NOT_LONG), Err(Error::TimedOut { .. })));
        assert_eq!(model.diagnostics().async_in_flight, Some(1));
        // Until then everything belongs to the engine, also the value that it is to signal.
        assert!(job.x.write().is_err() && job.y.read().is_err());
        assert!(matches!(job.request.run(), Err(Error::Surface(_))));
        let e = after.signal(round).unwrap_err();
        assert!(matches!(&e, Error::Invalid(m) if m.contains("an evaluation under way")), "{e}");
        before.signal(round).unwrap();
        run.wait(PATIENCE).unwrap();
        assert_eq!((after.value(), job.get()), (round, 10.0 * round as f32));
        after.signal(round).unwrap();
    }
    let sent = scene.sent();
    assert!(sent.iter().any(|s| s == "+[_ANESharedWaitEvent waitEventWithValue:sharedEvent:eventType:]"));
    assert!(sent.iter().any(|s| s == "-[_ANESharedWaitEvent setValue:]"));
    drop((job, model, before, after));
    scene.end_with(1);
}

/// Row J8: an event of ours tells the end.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn an_evaluation_that_only_waits_has_an_end_of_its_own() {
    let scene = Scene::new();
    let folder = Folder::new("events-wait", COPY);
    let before = SharedEvent::new(&scene.framework).unwrap();
    let mut job = Job::new(&scene.package(&folder).unwrap());
    for round in 1..=2 {
        job.put(round as f32);
        let events = Events { wait: &[(&before, round)], signal: &[] };
        let mut run = job.request.run_with_events(&events, EvaluateOptions::default()).unwrap();
        assert!(!run.is_done());
        before.signal(round).unwrap();
        run.wait(PATIENCE).unwrap();
        assert_eq!(job.get(), round as f32);
    }
    let made = scene.sent().iter().filter(|s| *s == "+[IOSurfaceSharedEvent new]").count();
    assert_eq!(made, 2, "one to wait for, and one for the end, which is used again");
    drop((job, before));
    scene.end_with(1);
}

/// Rows J7, L13: what one writes the other reads, in order.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn one_evaluation_waits_for_another_on_one_surface() {
    let scene = Scene::new();
    let folder = Folder::new("events-chain", COPY);
    let (first, second) =
        (SharedEvent::new(&scene.framework).unwrap(), SharedEvent::new(&scene.framework).unwrap());
    let model = scene.package(&folder).unwrap();
    let mut a = Job::new(&model);
    let z = model.surface(&model.attributes().procedures[0].outputs[0]).unwrap();
    let mut b = model.request("main", &[("x", &a.y)], &[("y", &z)]).unwrap();
    a.put(4.0);
    let options = EvaluateOptions::default();
    // The second is started first; events keep the surface between them in order.
    let events = Events { wait: &[(&first, 1)], signal: &[(&second, 1)] };
    let mut later = b.run_with_events(&events, options).unwrap();
    let mut sooner =
        a.request.run_with_events(&Events { wait: &[], signal: &[(&first, 1)] }, options).unwrap();
    later.wait(PATIENCE).unwrap();
    sooner.wait(PATIENCE).unwrap();
    assert_eq!(crate::scene::get(&z), 4.0);
    drop((a, b, z, model, first, second));
    scene.end_with(1);
}

/// Rows J3, J7: an evaluation that would wait for itself, or signal what has come.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn events_that_cannot_work_are_refused() {
    let scene = Scene::new();
    let folder = Folder::new("events-refused", COPY);
    let (one, two) =
        (SharedEvent::new(&scene.framework).unwrap(), SharedEvent::new(&scene.framework).unwrap());
    one.signal(3).unwrap();
    let model = scene.package(&folder).unwrap();
    let mut job = Job::new(&model);
    scene.sent();
    let options = EvaluateOptions::default();
    for (events, words) in [
        (Events { wait: &[], signal: &[(&one, 3)] }, "that has reached 3"),
        (Events { wait: &[(&one, 4)], signal: &[(&one, 4)] }, "signals 4 itself"),
        (Events { wait: &[], signal: &[(&one, 5), (&one, 4)] }, "another one is to signal 5"),
    ] {
        let e = job.request.run_with_events(&events, options).unwrap_err();
        assert!(matches!(&e, Error::Invalid(m) if m.contains(words)), "{e}");
    }
    assert!(!scene.sent().iter().any(|s| s.contains("evaluate")));
    // Nothing is promised any more, and nothing is lost.
    one.signal(4).unwrap();
    // Several are under way that signal one event, each a higher value.
    let events = Events { wait: &[(&two, 1)], signal: &[(&one, 5)] };
    let mut run = job.request.run_with_events(&events, options).unwrap();
    let mut other = Job::new(&model);
    let e = other.request.run_with_events(&Events { wait: &[], signal: &[(&one, 5)] }, options).unwrap_err();
    assert!(e.to_string().contains("another one is to signal 5"), "{e}");
    let events = Events { wait: &[(&one, 5)], signal: &[(&one, 6)] };
    let mut next = other.request.run_with_events(&events, options).unwrap();
    two.signal(1).unwrap();
    next.wait(PATIENCE).unwrap();
    run.wait(PATIENCE).unwrap();
    assert_eq!(one.value(), 6);
    drop((job, other, model, one, two));
    scene.end_with(1);
}

/// Rows J6, H7: the engine keeps what it uses.
#[test]
fn what_is_dropped_under_way_stays_until_its_events_came() {
    let scene = Scene::new();
    let folder = Folder::new("events-dropped", COPY);
    let before = SharedEvent::new(&scene.framework).unwrap();
    let Job { mut request, x, y } = Job::new(&scene.package(&folder).unwrap());
    let events = Events { wait: &[(&before, 1)], signal: &[] };
    drop(request.run_with_events(&events, EvaluateOptions::default()).unwrap());
    drop((request, x));
    assert!(y.read().is_err());
    before.signal(1).unwrap();
    let begin = std::time::Instant::now();
    while y.read().is_err() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(y.read().is_ok());
    drop((y, before));
    scene.end_with(1);
}

/// Rows J2, G18: an event that another one raises says nothing about the end of an evaluation.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn surfaces_are_kept_although_somebody_raises_the_event() {
    let scene = Scene::new();
    let folder = Folder::new("events-raised", COPY);
    let (before, after) =
        (SharedEvent::new(&scene.framework).unwrap(), SharedEvent::new(&scene.framework).unwrap());
    let mut job = Job::new(&scene.package(&folder).unwrap());
    job.put(6.0);
    // The same event by its port: another process could have raised it as well.
    let elsewhere = SharedEvent::from_port(&scene.framework, after.port()).unwrap();
    let events = Events { wait: &[(&before, 1)], signal: &[(&after, 1)] };
    let mut run = job.request.run_with_events(&events, EvaluateOptions::default()).unwrap();
    elsewhere.signal(1).unwrap();
    assert!(after.wait(1, Duration::ZERO) && !run.is_done());
    assert!(job.x.write().is_err() && job.y.read().is_err());
    before.signal(1).unwrap();
    run.wait(PATIENCE).unwrap();
    assert_eq!(job.get(), 6.0);
    drop((job, before, after, elsewhere));
    scene.end_with(1);
}

/// Row T10: a class that is missing turns off events only.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_events_says_so() {
    let tables = Tables::newest().without("_ANESharedEvents");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let e = SharedEvent::new(&scene.framework).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::SharedEvents, .. }), "{e}");
    let e = SharedEvent::from_port(&scene.framework, 1).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::SharedEvents, .. }), "{e}");
    scene.end();
}
