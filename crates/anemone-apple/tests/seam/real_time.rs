//! Real-time tasks, and hints about what a session needs.

use anemone_apple::fake::{Fake, Faults, Machine};
use anemone_apple::neural::{RealTimeTask, SessionHint, SessionReport};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene};

fn entitled() -> Machine {
    Machine { entitled: true, ..machine() }
}

/// The messages that begin and end tasks.
fn tasks(scene: &Scene) -> Vec<String> {
    scene.sent().into_iter().filter(|s| s.contains("RealTimeTask")).collect()
}

const BEGIN: &str = "-[_ANEClient beginRealTimeTask]";
const END: &str = "-[_ANEClient endRealTimeTask]";

/// Rows L2, U1: an error, a panic, a task within a task.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_task_ends_whatever_happens_in_it() {
    let scene = Scene::on(entitled(), Faults::default());
    let mut job = Job::new(&scene.text("real time", COPY));
    job.put(2.0);
    {
        let _task = RealTimeTask::begin(&scene.framework).unwrap();
        job.request.run_real_time().unwrap();
    }
    assert_eq!((job.get(), tasks(&scene)), (2.0, vec![BEGIN.to_string(), END.into()]));
    // An error.
    scene.fake.set_faults(Faults { evaluate_status: Some(0x1d), ..Faults::default() });
    let run = |job: &mut Job| {
        let _task = RealTimeTask::begin(&scene.framework)?;
        job.request.run_real_time()
    };
    assert!(matches!(run(&mut job), Err(Error::Refused(_))));
    assert_eq!(tasks(&scene), [BEGIN, END]);
    // A panic.
    let panicked = std::thread::scope(|s| {
        s.spawn(|| {
            let _task = RealTimeTask::begin(&scene.framework).unwrap();
            panic!("in the middle of a task");
        })
        .join()
    });
    assert!(panicked.is_err());
    assert_eq!(tasks(&scene), [BEGIN, END]);
    // Tasks within a task.
    let outer = RealTimeTask::begin(&scene.framework).unwrap();
    drop(RealTimeTask::begin(&scene.framework).unwrap());
    drop(outer);
    assert_eq!(tasks(&scene), [BEGIN, BEGIN, END, END]);
    drop(job);
    scene.end();
}

/// Row L2: the entitlement is for the task alone.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_task_that_was_not_begun_is_not_ended_and_evaluation_works_without() {
    let scene = Scene::new();
    let e = RealTimeTask::begin(&scene.framework).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::RealTime, .. }), "{e}");
    assert!(e.to_string().contains("only entitled processes"), "{e}");
    assert_eq!(tasks(&scene), [BEGIN]);
    let mut job = Job::new(&scene.text("real time without a task", COPY));
    job.put(6.0);
    job.request.run_real_time().unwrap();
    assert_eq!(job.get(), 6.0);
    drop(job);
    scene.end();
}

/// Row L2: begin and end are counted.
#[test]
#[cfg_attr(miri, ignore = "what is left on purpose is memory that the interpreter misses")]
fn a_task_that_is_never_ended_is_noticed_by_the_fake() {
    let fake = Fake::new(entitled());
    let framework = fake.open().unwrap();
    std::mem::forget(RealTimeTask::begin(&framework).unwrap());
    let report = fake.finish();
    assert!(report.wrong[0].contains("were not ended"), "{:?}", report.wrong);
}

#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn hints_are_given_and_answered() {
    let scene = Scene::new();
    let folder = Folder::new("hints", COPY);
    for model in [scene.text("hints", COPY), scene.package(&folder).unwrap()] {
        let hint = |hint| model.session_hint(hint).unwrap();
        for energy_efficient in [false, true] {
            let report = hint(SessionHint::Start { energy_efficient });
            let pages = SessionReport { total_pages: Some(64), resident_pages: Some(64), status: None };
            assert_eq!(report, pages);
        }
        assert_eq!(hint(SessionHint::Info), SessionReport { status: Some(1), ..SessionReport::default() });
        assert_eq!(hint(SessionHint::Stop), SessionReport::default());
        assert_eq!(hint(SessionHint::Abort), SessionReport::default());
    }
    let sent = scene.sent();
    let hints = sent.iter().filter(|s| s.contains("sessionHintWithModel:hint:options:report:error:"));
    assert_eq!(hints.count(), 10);
    scene.end();
}
