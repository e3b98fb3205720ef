//! What the engine says about an evaluation.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::{Statistics, StatisticsMask};
use anemone_apple::{Error, Feature, Plist};

use crate::engine::machine;
use crate::scene::{COPY, Job, Scene};

const MASK: StatisticsMask = StatisticsMask::ALL;

/// Row N2: a load takes it back.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_mask_is_set_before_compilation_before_and_after_the_load_on_both_objects() {
    let scene = Scene::new();
    let model = scene.text_with("statistics", COPY, MASK).unwrap();
    assert_eq!(model.statistics(), Some(MASK));
    assert_eq!(model.diagnostics().statistics_mask, Some(15));
    let seen: Vec<String> = scene
        .lines()
        .into_iter()
        .filter_map(|l| {
            let (message, rest) = l.split_once("] (")?;
            let (class, selector) = message.split_once(' ')?;
            ["setPerfStatsMask:", "compileWithQoS:options:error:", "loadWithQoS:options:error:"]
                .contains(&selector)
                .then(|| {
                    format!(
                        "{} {}",
                        class.trim_start_matches("-["),
                        rest.split([')', ',']).next().unwrap_or("")
                    )
                })
        })
        .collect();
    let expected = [
        "_ANEInMemoryModel 15", // before the compilation there is no inner model
        "_ANEInMemoryModel 21", // compile
        "_ANEInMemoryModel 15",
        "_ANEModel 15",
        "_ANEInMemoryModel 21", // load
        "_ANEInMemoryModel 15",
        "_ANEModel 15",
    ];
    assert_eq!(seen, expected);
    drop(model);
    scene.end();
}

/// Rows H15, N1, N3, N4, U12: in nanoseconds, read without a message to the daemon.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_time_on_the_engine_is_told_also_for_what_was_cached() {
    let scene = Scene::new();
    for _ in 0..2 {
        let model = scene.text_with("statistics told", COPY, MASK).unwrap();
        let mut job = Job::new(&model);
        assert_eq!(job.request.statistics().unwrap(), None, "nothing was evaluated yet");
        for value in [1.0, 2.0] {
            job.put(value);
            job.request.run().unwrap();
            let statistics = job.request.statistics().unwrap().unwrap();
            assert_eq!(statistics.nanoseconds, Some(123_456));
            // A system that is sold has no counters.
            assert_eq!((statistics.counters, statistics.reported), (vec![], None));
            assert_eq!(job.get(), value);
        }
        // An evaluation that nobody waits for is told of as well.
        let mut other = Job::new(&model);
        other.request.start().wait().unwrap();
        assert!(other.request.statistics().unwrap().is_some());
    }
    assert_eq!(scene.fake.report().compiled, 1);
    let sent = scene.sent();
    for message in [
        "+[_ANEPerformanceStatsIOSurface objectWithIOSurface:statType:]",
        "-[_ANERequest perfStatsArray]",
        "-[_ANERequest perfStats]",
        "-[_ANEPerformanceStats hwExecutionTime]",
        "-[_ANEPerformanceStats perfCounterData]",
        "-[_ANEPerformanceStats performanceCounters]",
    ] {
        assert!(sent.iter().any(|s| s == message), "{message} is not sent");
    }
    scene.end();
}

/// Rows N3, N5: and the placeholder is no name.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn counters_have_names_where_there_are_any() {
    let scene = Scene::on(Machine { entitled: true, ..machine() }, Faults::default());
    let mut job = Job::new(&scene.text_with("statistics with counters", COPY, MASK).unwrap());
    job.request.run().unwrap();
    let statistics = job.request.statistics().unwrap().unwrap();
    assert_eq!(statistics.counters.len(), 27);
    let counter = &statistics.counters[3];
    assert_eq!((counter.index, counter.value), (3, 203));
    assert_eq!(counter.name.as_deref(), Some("kANE_COUNTER_3"));
    // What the system makes of them itself is kept as it is.
    let reported = statistics.reported.unwrap();
    assert_eq!(reported.get("kANE_IN_FLIGHT").and_then(Plist::as_number), Some(0));
    // The last ones have no name; Apple's placeholder is none.
    assert_eq!(statistics.counters[0x18].name, None);
    // Without the object the numbers are read where the engine has written them.
    scene.fake.set_faults(Faults { no_stats_object: true, ..Faults::default() });
    let mut bare = Job::new(job.request.model());
    bare.request.run().unwrap();
    let statistics = bare.request.statistics().unwrap().unwrap();
    assert_eq!((statistics.nanoseconds, statistics.counters.len()), (Some(123_456), 27));
    assert_eq!((statistics.counters[3].value, &statistics.counters[3].name), (103, &None));
    drop((job, bare));
    scene.end();
}

/// Rows N1, N2: no counters, no object, no mask.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn what_is_not_told_is_unknown_and_not_zero() {
    let scene = Scene::on(machine(), Faults { no_counters: true, ..Faults::default() });
    let mut job = Job::new(&scene.text_with("statistics untold", COPY, MASK).unwrap());
    job.put(1.0);
    job.request.run().unwrap();
    assert_eq!((job.request.statistics().unwrap(), job.get()), (None, 1.0));
    // Who asks for none has none, and pays for none.
    scene.fake.set_faults(Faults::default());
    let mut plain = Job::new(&scene.text("statistics unwanted", COPY));
    scene.sent();
    plain.request.run().unwrap();
    assert_eq!(plain.request.statistics().unwrap(), None);
    assert_eq!(scene.sent().len(), 1);
    drop((job, plain));
    scene.end();
}

/// Row N2: more bits would be taken for none.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn masks_have_four_bits() {
    for bits in [0, 0x10, 0x1f, 0xff, u32::MAX] {
        assert!(matches!(StatisticsMask::new(bits), Err(Error::Invalid(_))), "{bits:#x}");
    }
    let scene = Scene::new();
    for bits in 1..=0xf {
        let mask = StatisticsMask::new(bits).unwrap();
        assert_eq!(mask.bits(), bits);
        assert_eq!(mask.system_driver_bits(&scene.framework).unwrap(), mask.driver_bits());
    }
    assert_eq!(scene.sent().len(), 15);
    scene.end();
}

/// Rows N1, U12: what goes into an object of statistics comes out of it.
#[test]
fn statistics_are_read_as_they_were_made() {
    let scene = Scene::new();
    Statistics::check(&scene.framework).unwrap();
    let lines = scene.lines();
    assert!(
        lines[0].starts_with("+[_ANEPerformanceStats statsWithHardwareExecutionNS:] (123456789)"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "-[_ANEPerformanceStats hwExecutionTime] () = 123456789");
    scene.end();
}

/// Row T10: nothing else is off.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_statistics_says_so() {
    let tables = Tables::newest().without("_ANEPerformanceStats");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let e = scene.text_with("statistics lacking", COPY, MASK).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::PerformanceStats, .. }), "{e}");
    assert!(MASK.system_driver_bits(&scene.framework).is_err());
    scene.end();
}
