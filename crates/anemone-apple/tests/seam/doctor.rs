//! Checkups of machines of all kinds, and the replay of what was recorded.

use anemone_apple::doctor::{Checkup, Places, State, over};
use anemone_apple::fake::{Fake, Faults, Machine, Tables};
use anemone_apple::{Finding, Recording};

use crate::engine::machine;
use crate::tables::tables;

/// Examines a fake machine, of which nothing is left afterwards. All checkups compile one program: the machine gets a
/// temporary directory of its own.
fn examine(machine: Machine, faults: Faults) -> Checkup {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().to_path_buf();
    let places = Places { temporary: temporary.clone(), caches: Some(temporary.clone()) };
    let fake = Fake::with(Machine { temporary, ..machine }, faults);
    let checkup = fake.raw(|abi| over(abi, &places, "over the fake, not on hardware,"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    fake.finish().check();
    checkup
}

/// Examines one that works.
fn examine_sound(machine: Machine) -> Checkup {
    examine(machine, Faults::default())
}

#[track_caller]
fn finds(checkup: &Checkup, check: &str, state: State, words: &str) {
    let item =
        checkup.items.iter().find(|i| i.check == check).unwrap_or_else(|| panic!("no {check}: {checkup}"));
    assert_eq!(item.state, state, "{checkup}");
    assert!(item.says.contains(words), "{checkup}");
}

/// Row I1: the checkup ends with a dispatch whose output is compared.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_sound_machine_is_said_to_be_sound() {
    let checkup = examine_sound(machine());
    assert!(checkup.works(), "{checkup}");
    assert!(checkup.items.iter().all(|i| i.state == State::Fine), "{checkup}");
    finds(&checkup, "engine", State::Fine, "h16g (1 engines, 16 cores), macOS 25F84");
    finds(&checkup, "dispatch", State::Fine, "with the right results");
    assert!(checkup.messages.iter().all(|m| m.finding == Finding::Found));
    assert!(checkup.to_string().starts_with("ok       classes       all "), "{checkup}");
}

/// Row T10: class, selector, expected and found prototype.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn what_is_missing_or_has_changed_is_named() {
    let with = |name: &str| examine_sound(Machine { tables: tables(name), ..machine() });
    let checkup = with("missing-selectors");
    assert!(checkup.works(), "the rest works: {checkup}");
    finds(&checkup, "messages", State::Warning, "mapIOSurfacesWithRequest:cacheInference:error:] is missing");
    finds(&checkup, "features", State::Warning, "mapping of surfaces");
    let checkup = with("changed-encoding");
    assert!(!checkup.works());
    finds(
        &checkup,
        "messages",
        State::Failed,
        "compileWithQoS:options:error:] is `B@:q@^@` and not `B@:I@^@`",
    );
    finds(&checkup, "framework", State::Failed, "this macOS has changed");
    finds(&checkup, "dispatch", State::Skipped, "");
    let checkup = with("macos-13");
    finds(&checkup, "features", State::Warning, "chaining");
}

/// Row I4: a compilation there may hang.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_virtual_machine_is_not_asked_to_compile() {
    let checkup = examine_sound(Machine { virtual_machine: true, ..machine() });
    assert!(!checkup.works());
    finds(&checkup, "engine", State::Failed, "none");
    finds(&checkup, "machine", State::Failed, "virtual machine");
    finds(&checkup, "dispatch", State::Skipped, "no engine");
}

/// Rows L14, N14: a dispatch counts when its output is right, and not before.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn an_engine_that_is_out_of_order_is_found() {
    let with = |faults: Faults| examine(machine(), faults);
    let checkup = with(Faults { zero_outputs: true, ..Faults::default() });
    assert!(!checkup.works());
    finds(&checkup, "dispatch", State::Failed, "zeros");
    let checkup = with(Faults { compile_silently_fails: true, ..Faults::default() });
    finds(&checkup, "dispatch", State::Failed, "without a reason");
    let checkup = with(Faults { evaluate_status: Some(0x1d), ..Faults::default() });
    finds(&checkup, "dispatch", State::Failed, "0x1d");
}

/// Row T9: the temporary directory, and that of caches.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn folders_that_cannot_be_written_are_found() {
    let nowhere = std::path::PathBuf::from("/nowhere/at/all");
    let fake = Fake::new(Machine { virtual_machine: true, ..machine() });
    let places = Places { temporary: nowhere.clone(), caches: Some(nowhere) };
    let checkup = fake.raw(|abi| over(abi, &places, "over the fake"));
    finds(&checkup, "temporary", State::Failed, "/nowhere/at/all cannot be written");
    finds(&checkup, "caches", State::Warning, "cannot be written");
    fake.finish().check();
}

/// Row P13: elsewhere nothing pretends.
#[test]
#[cfg_attr(miri, ignore = "opens libraries")]
fn off_a_mac_a_checkup_says_what_it_would_do() {
    if cfg!(target_vendor = "apple") {
        return;
    }
    let checkup = anemone_apple::doctor::examine();
    assert!(!checkup.works() && checkup.recording.is_none());
    finds(&checkup, "frameworks", State::Failed, "AppleNeuralEngine");
    finds(&checkup, "dispatch", State::Skipped, "on a Mac, a small program is compiled");
}

/// The folder of recorded logs.
fn logs() -> std::path::PathBuf {
    format!("{}/../../fixtures/logs", env!("CARGO_MANIFEST_DIR")).into()
}

/// Every log below `fixtures/logs` is replayed: the same is done over a fake with the tables of the system on which it
/// was recorded, and what is sent must be the same. `BLESS=1` records those anew that are of the fake.
/// Rows H8, T10: a log is a test of the whole protocol.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn what_was_recorded_is_sent_again() {
    if std::env::var_os("BLESS").is_some() {
        for name in ["macos-13", "macos-26.5"] {
            let recording = examine_sound(Machine { tables: tables(name), ..machine() }).recording.unwrap();
            std::fs::write(logs().join(format!("fake-{name}.log")), recording.to_string()).unwrap();
        }
    }
    let mut replayed = 0;
    for entry in std::fs::read_dir(logs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "log") {
            continue;
        }
        let recorded = Recording::parse(&std::fs::read_to_string(&path).unwrap());
        let recorded = recorded.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tables = Tables::recorded(&recorded);
        let sent = examine_sound(Machine { tables, ..machine() }).recording.unwrap();
        if let Some(difference) = recorded.difference(&sent) {
            panic!("{}: {difference}", path.display());
        }
        replayed += 1;
    }
    assert!(replayed >= 2, "{replayed}");
}

/// Row H8: the first message that differs.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn a_difference_to_what_was_recorded_is_named() {
    let one = examine_sound(machine()).recording.unwrap();
    let read = Recording::parse(&one.to_string()).unwrap();
    assert_eq!(read, one);
    assert!(one.lines().len() > read.protocol().len());
    let mended =
        one.to_string().replace("loadWithQoS:options:error:] (21,", "loadWithQoS:options:error:] (33,");
    let difference = Recording::parse(&mended).unwrap().difference(&one).unwrap();
    let recorded = "-[_ANEInMemoryModel loadWithQoS:options:error:] (33, NSDictionary, _) = 1";
    assert_eq!(difference.recorded.as_deref(), Some(recorded));
}
