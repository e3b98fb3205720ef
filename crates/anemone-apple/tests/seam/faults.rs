//! Each way in which the system misbehaves, and how it is noticed or survived.

use std::time::{Duration, Instant};

use anemone_apple::fake::{Fake, Faults, Gate, Machine, Tables};
use anemone_apple::messages::MESSAGES;
use anemone_apple::neural::{Loaded, Model, Program, QualityOfService, Request, first_dispatch};
use anemone_apple::{AFTER_FAILURE, COMPILES, Error, Feature, Finding, Framework, LOADED, Surface, survey};

use crate::engine::machine;
use crate::lifecycle::{load, run_sum};
use crate::scene::PATIENCE;

/// A fake that misbehaves, and its framework.
fn with(faults: Faults) -> (Fake, Framework) {
    let fake = Fake::with(machine(), faults);
    let framework = fake.open().unwrap();
    (fake, framework)
}

/// A fake as [`with`], with a temporary directory of its own: the first dispatch is the same program everywhere.
fn apart(faults: Faults) -> (Fake, Framework, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::with(Machine { temporary: folder.path().to_path_buf(), ..machine() }, faults);
    let framework = fake.open().unwrap();
    (fake, framework, folder)
}

/// A program that no other test has: the files of equal programs are in one folder.
fn program(text: &str) -> Program<'_> {
    Program { text, weights: &[] }
}

/// Ends a test: after everything that went wrong nothing is left.
fn finish(fake: Fake, framework: Framework) {
    drop(framework);
    fake.finish().check();
}

/// Rows T1, T4: the words of the compiler are kept.
#[test]
fn a_compiler_that_fails_is_quoted_and_can_be_asked_again() {
    let words = "_ANECompiler : ANECCompile() FAILED: err=()";
    let (fake, framework) = with(Faults { compile_error: Some(words.into()), ..Faults::default() });
    let p = program("# compile error\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let e = load(&framework, &p).unwrap_err();
    assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().unwrap().description == words), "{e}");
    fake.set_faults(Faults::default());
    run_sum(&load(&framework, &p).unwrap()).unwrap();
    finish(fake, framework);
}

/// Rows O1, T1: NO without an error.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_compiler_that_says_nothing_is_an_error_that_says_what_is_known() {
    let (fake, framework) = with(Faults { compile_silently_fails: true, ..Faults::default() });
    let p = program("# silent\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let e = load(&framework, &p).unwrap_err();
    assert!(matches!(&e, Error::Refused(r) if r.error.is_none()), "{e}");
    assert!(e.to_string().contains("compiled too many programs"), "{e}");
    fake.set_faults(Faults::default());
    run_sum(&load(&framework, &p).unwrap()).unwrap();
    finish(fake, framework);
}

/// Row O8: after a failure the next compilation waits, however the compiler has failed.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_compilation_waits_until_the_compiler_is_there_again() {
    let p = program("# pace\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    for (faults, words) in [
        (Faults { compile_error: Some("no".into()), ..Faults::default() }, "no ("),
        (Faults { dying_compiler: 1, ..Faults::default() }, "it is there again after some seconds"),
    ] {
        let (fake, framework) = with(faults);
        let e = load(&framework, &p).unwrap_err();
        assert!(e.to_string().contains(words), "{e}");
        fake.set_faults(Faults::default());
        assert_eq!(fake.clock().now(), Duration::ZERO, "who is refused is told at once");
        run_sum(&load(&framework, &p).unwrap()).unwrap();
        assert_eq!(fake.clock().now(), AFTER_FAILURE);
        // What is cached needs no compiler.
        run_sum(&load(&framework, &p).unwrap()).unwrap();
        assert_eq!(fake.clock().now(), AFTER_FAILURE);
        finish(fake, framework);
    }
    // Whoever does not wait is noticed.
    let (fake, framework) = with(Faults { compile_error: Some("no".into()), ..Faults::default() });
    assert!(load(&framework, &p).is_err());
    drop(framework);
    let another = fake.open().unwrap();
    assert!(load(&another, &p).is_err());
    drop(another);
    let report = fake.finish();
    assert!(report.wrong[0].contains("was starting anew"), "{:?}", report.wrong);
}

/// Rows D13, T1: two processes with one program share its folder, and one may remove it while the other compiles.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn files_that_another_process_removes_are_written_once_more() {
    let text = "# vanishing\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5";
    let compile = |framework: &Framework| {
        let quality = QualityOfService::Default;
        Model::describe(framework, &program(text))?.compile(quality)
    };
    let (fake, framework) = with(Faults { vanishing_folders: 1, ..Faults::default() });
    run_sum(&load(&framework, &program(text)).unwrap()).unwrap();
    finish(fake, framework);
    // Twice is no accident; the first time a file is gone, the second time the folder.
    let (fake, framework) = with(Faults { vanishing_folders: 2, ..Faults::default() });
    let e = compile(&framework).unwrap_err();
    assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().is_some_and(|e| e.code == 16)), "{e}");
    assert!(e.to_string().contains("another model with the same program may have removed it"), "{e}");
    assert_eq!(fake.clock().now(), Duration::ZERO);
    // So in a load that has to compile, since the cache was emptied.
    let compiled = compile(&framework).unwrap();
    compiled.purge().unwrap();
    fake.set_faults(Faults { vanishing_folders: 1, ..Faults::default() });
    run_sum(&compiled.load(QualityOfService::Default).unwrap()).unwrap();
    finish(fake, framework);
}

/// Rows H4, T1: once, after a pause.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_load_that_is_refused_for_a_moment_is_tried_again() {
    let (fake, framework) = with(Faults { busy_loads: 1, ..Faults::default() });
    let p = program("# busy\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    run_sum(&load(&framework, &p).unwrap()).unwrap();
    assert_eq!(fake.clock().now(), Duration::from_millis(100));
    // Two refusals are more than a moment.
    fake.set_faults(Faults { busy_loads: 2, ..Faults::default() });
    let e = load(&framework, &p).unwrap_err();
    assert!(e.to_string().contains("unload some"), "{e}");
    assert_eq!(framework.spent(), (1, 0), "what was not loaded is not counted");
    run_sum(&load(&framework, &p).unwrap()).unwrap();
    finish(fake, framework);
}

/// Rows O7, T1, T2, T4: what compiles may still fail when it is run.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_status_of_the_driver_is_explained_and_gives_the_surfaces_back() {
    let faults = Faults { evaluate_status: Some(0x1d), after_evaluations: 2, ..Faults::default() };
    let (fake, framework) = with(faults);
    let p = program("# status\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let model = load(&framework, &p).unwrap();
    run_sum(&model).unwrap();
    run_sum(&model).unwrap();
    let e = run_sum(&model).unwrap_err();
    assert!(e.to_string().contains("each row takes a multiple of 64 bytes"), "{e}");
    let (mut request, surfaces) = bound(&model);
    assert!(request.run().is_err());
    surfaces.iter().for_each(|s| drop(s.write().unwrap()));
    fake.set_faults(Faults::default());
    request.run().unwrap();
    drop((request, surfaces, model));
    finish(fake, framework);
}

/// The only function of a model, bound to surfaces.
fn bound(model: &Loaded) -> (Request, Vec<Surface>) {
    let p = &model.attributes().procedures[0];
    let surfaces: Vec<Surface> =
        p.inputs.iter().chain(&p.outputs).map(|s| model.surface(s).unwrap()).collect();
    let (inputs, outputs) = surfaces.split_at(p.inputs.len());
    let names = |symbols: &'_ [anemone_apple::neural::Symbol]| -> Vec<String> {
        symbols.iter().map(|s| s.name.clone()).collect()
    };
    let (given, taken) = (names(&p.inputs), names(&p.outputs));
    let inputs: Vec<_> = given.iter().map(String::as_str).zip(inputs).collect();
    let outputs: Vec<_> = taken.iter().map(String::as_str).zip(outputs).collect();
    (model.request(&p.name, &inputs, &outputs).unwrap(), surfaces)
}

/// Rows L14, N14: results are compared before anything is believed.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn zeros_that_nobody_explains_are_found_by_the_first_dispatch() {
    let (fake, framework, _folder) = apart(Faults { zero_outputs: true, ..Faults::default() });
    let e = first_dispatch(&framework, PATIENCE).unwrap_err();
    assert!(e.to_string().contains("zeros"), "{e}");
    fake.set_faults(Faults::default());
    let fine = first_dispatch(&framework, PATIENCE).unwrap();
    assert!(fine.cached, "the program was compiled before");
    finish(fake, framework);
}

/// Row T12: nothing is given back that may still be written.
#[test]
fn an_engine_that_hangs_keeps_what_it_may_still_write() {
    let gate = Gate::closed();
    let (fake, framework) = with(Faults { hang: Some(gate.clone()), ..Faults::default() });
    let p = program("# hang\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let model = load(&framework, &p).unwrap();
    let (request, surfaces) = bound(&model);
    drop(model);
    let e = request.run_within(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(e, Error::TimedOut { .. }), "{e}");
    // The engine is not done: the surfaces are its own, and the program stays loaded.
    assert!(surfaces.iter().all(|s| s.read().is_err()));
    assert_eq!(framework.spent().1, 1);
    // When it is, everything is given back.
    gate.open();
    // The thread gives back one after the other.
    let given_back = || framework.spent().1 == 0 && surfaces.iter().all(|s| s.write().is_ok());
    let patient = Instant::now();
    while !given_back() {
        assert!(patient.elapsed() < PATIENCE, "the request is never given up");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(surfaces);
    // The thread has the request until it has ended.
    fake.settle(PATIENCE);
    finish(fake, framework);
}

/// Row T1: the client gives up after half a minute.
#[test]
fn who_has_patience_hears_of_the_systems_own_time_out() {
    let (fake, framework) = with(Faults { hang: Some(Gate::opened()), ..Faults::default() });
    let p = program("# patience\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let (request, surfaces) = bound(&load(&framework, &p).unwrap());
    let e = request.run_within(PATIENCE).unwrap_err();
    assert!(e.to_string().contains("too many requests wait"), "{e}");
    fake.set_faults(Faults::default());
    let (request, others) = bound(&load(&framework, &p).unwrap());
    let mut request = request.run_within(PATIENCE).unwrap();
    request.run().unwrap();
    drop((request, surfaces, others));
    finish(fake, framework);
}

/// Rows O1, T2: the 129th load.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn places_that_are_lost_end_in_an_error_that_says_so() {
    let (fake, framework) = with(Faults { budget_leaks: true, ..Faults::default() });
    let p = program("# leak\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let mut loads = 0;
    let e = loop {
        match load(&framework, &p) {
            Ok(model) => drop(model),
            Err(e) => break e,
        }
        loads += 1;
        assert!(loads < 1000, "the fake loses no places");
    };
    assert!(loads >= LOADED, "{loads}");
    assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().unwrap().code == 6), "{e}");
    assert!(e.to_string().contains("a new process has them again"), "{e}");
    finish(fake, framework);
}

/// Rows O1, O2, O4, T2: counted, and refused while there is still a word to say.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn the_budget_ends_before_the_system_falls_silent() {
    let (fake, framework) = with(Faults::default());
    assert_eq!(framework.left(), (COMPILES, LOADED));
    for n in 0..COMPILES {
        // How many batches of sixty programs fit.
        assert_eq!(framework.left().0 / 60, usize::from(n <= COMPILES - 60));
        let text = format!("# budget {n}\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
        drop(load(&framework, &program(&text)).unwrap());
    }
    let one_more = "# one more\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5";
    let e = load(&framework, &program(one_more)).unwrap_err();
    assert!(matches!(e, Error::CompileBudgetExhausted { spent: COMPILES, .. }), "{e}");
    assert_eq!(framework.left(), (0, LOADED));
    // What is cached can still be loaded.
    let cached = "# budget 7\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5";
    run_sum(&load(&framework, &program(cached)).unwrap()).unwrap();
    finish(fake, framework);
}

/// Row T8: programs of one process are not kept apart.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_process_that_a_tile_has_spoiled_says_so_and_another_is_sound() {
    let (fake, framework, _folder) = apart(Faults { tile_poisons: true, ..Faults::default() });
    let tile = program("# y = tile(\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    let plain = program("# after a tile\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
    run_sum(&load(&framework, &plain).unwrap()).unwrap();
    run_sum(&load(&framework, &tile).unwrap()).unwrap();
    let e = run_sum(&load(&framework, &plain).unwrap()).unwrap_err();
    assert!(e.to_string().contains("`tile`"), "{e}");
    assert!(first_dispatch(&framework, PATIENCE).is_err(), "the first dispatch notices");
    finish(fake, framework);
    let (fake, framework) = with(Faults::default());
    run_sum(&load(&framework, &plain).unwrap()).unwrap();
    finish(fake, framework);
}

/// Rows G11, T1: too large, or not to be locked.
#[test]
fn surfaces_that_cannot_be_made_or_locked_are_errors() {
    let (fake, framework) = with(Faults { surface_limit: Some(1 << 20), ..Faults::default() });
    assert!(matches!(Surface::new(&framework, 2 << 20), Err(Error::Surface(_))));
    let surface = Surface::new(&framework, 100).unwrap();
    fake.set_faults(Faults { lock_fails: true, ..Faults::default() });
    assert!(surface.read().is_err() && surface.write().is_err());
    fake.set_faults(Faults::default());
    surface.write().unwrap()[99] = 7;
    assert_eq!(surface.read().unwrap()[99], 7);
    drop(surface);
    finish(fake, framework);
}

/// Row T10: the whole table, one message after the other.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn each_selector_that_is_removed_turns_off_its_feature_and_no_other() {
    for (at, row) in MESSAGES.iter().enumerate() {
        let tables = Tables::newest().without(&row.to_string());
        let fake = Fake::new(Machine { tables, ..Machine::default() });
        if fake.raw(|abi| survey(&abi))[at].1 == Finding::Found {
            // A class above has it too.
            continue;
        }
        if row.feature == Feature::Core {
            let Err(Error::Drift { message, found: None, .. }) = fake.open() else {
                panic!("row {at}, {row}, is not missed");
            };
            assert_eq!(message, row.to_string());
        } else {
            let framework = fake.open().unwrap();
            for feature in Feature::ALL {
                assert_eq!(framework.require(*feature).is_err(), *feature == row.feature, "{row}: {feature}");
            }
            let e = framework.require(row.feature).unwrap_err().to_string();
            assert!(e.contains(&row.to_string()), "{e}");
        }
        fake.finish().check();
    }
}

/// Row T12: errors leak as little as successes.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn mixes_of_faults_are_reproducible_and_leave_nothing_behind() {
    let mut outcomes = [0; 2];
    for seed in 0..60 {
        let faults = Faults::seeded(seed);
        assert_eq!(format!("{faults:?}"), format!("{:?}", Faults::seeded(seed)));
        let wrong_is_possible = faults.zero_outputs;
        let (fake, framework) = with(faults.clone());
        let text = format!("# mix {seed} y = tile(\nmain inputs a:2x1x5 b:2x1x5 outputs y:2x1x5");
        for _ in 0..3 {
            let outcome = sum(&framework, &program(&text));
            outcomes[usize::from(outcome.is_ok())] += 1;
            // There are errors and results, and a wrong result only where nothing could tell.
            if let Ok(right) = outcome {
                assert!(right || wrong_is_possible, "seed {seed}: a wrong result with {faults:?}");
            }
        }
        drop(framework);
        fake.finish().check();
    }
    assert!(outcomes.iter().all(|&n| n > 20), "{outcomes:?}");
}

/// Runs a sum once, and says whether the result was right.
fn sum(framework: &Framework, program: &Program<'_>) -> Result<bool, Error> {
    let quality = QualityOfService::Default;
    let model = Model::describe(framework, program)?.compile(quality)?.load(quality)?;
    let p = model.attributes().procedures[0].clone();
    let one = |s| model.surface(s);
    let (a, b, y) = (one(&p.inputs[0])?, one(&p.inputs[1])?, one(&p.outputs[0])?);
    a.write()?[..4].copy_from_slice(&3.0f32.to_le_bytes());
    b.write()?[..4].copy_from_slice(&4.0f32.to_le_bytes());
    let request = model.request("main", &[("a", &a), ("b", &b)], &[("y", &y)])?;
    request.run_within(PATIENCE)?;
    Ok(y.read()?[..4] == 7.0f32.to_le_bytes())
}
