//! The message table against the method tables of systems.

use anemone_apple::fake::{Fake, Machine, Tables, unimplemented};
use anemone_apple::{Error, Feature, Finding};

pub(crate) fn tables(name: &str) -> Tables {
    let path = format!("{}/../../fixtures/runtime/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Tables::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn fake(name: &str) -> Fake {
    Fake::new(Machine { tables: tables(name), ..Machine::default() })
}

/// Row T10: so that no test can avoid one.
#[test]
fn the_fake_implements_every_message() {
    assert_eq!(unimplemented(), [""; 0]);
}

/// Rows U1, U2, U3, U4, U5, U6, U7, U8, U9, U10, U11, U12, U13, U14: each prototype against the method tables.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn every_message_is_as_the_newest_system_has_it() {
    let fake = fake("macos-26.5");
    let framework = fake.open().unwrap();
    let lacking: Vec<_> = framework
        .findings()
        .filter(|(_, f)| **f != Finding::Found)
        .map(|(r, f)| format!("{r} {f:?}"))
        .collect();
    assert_eq!(lacking, [""; 0]);
    assert!(Feature::ALL.iter().all(|f| framework.require(*f).is_ok()));
}

/// Row T10: an error and not undefined behaviour.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_changed_prototype_of_the_core_keeps_it_closed() {
    let fake = fake("changed-encoding");
    let Err(Error::Drift { message, expected, found }) = fake.open() else { panic!("it has opened") };
    assert_eq!(message, "-[_ANEInMemoryModel compileWithQoS:options:error:]");
    assert_eq!((expected.as_str(), found.as_deref()), ("B@:I@^@", Some("B@:q@^@")));
}

/// Rows I1, T10: feature by feature.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_missing_selector_turns_off_what_needs_it_and_nothing_else() {
    let fake = fake("missing-selectors");
    let framework = fake.open().unwrap();
    for feature in Feature::ALL {
        let missing = [Feature::Mapping, Feature::RealTime].contains(feature);
        assert_eq!(framework.require(*feature).is_err(), missing, "{feature}");
    }
    let e = framework.require(Feature::Mapping).unwrap_err().to_string();
    assert!(e.contains("mapIOSurfacesWithRequest:cacheInference:error:"), "{e}");
}

/// Row T10: without events, chains and hints.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn an_older_system_has_what_it_had() {
    let fake = fake("macos-13");
    let framework = fake.open().unwrap();
    for feature in Feature::ALL {
        let later = [Feature::SharedEvents, Feature::Chaining, Feature::SessionHints, Feature::NewerRequests];
        let later = later.contains(feature);
        assert_eq!(framework.require(*feature).is_err(), later, "{feature}");
    }
}
