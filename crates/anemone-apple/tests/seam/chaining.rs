//! Chains, as far as they are known.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::experimental::Chain;
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, PATIENCE, Scene};

fn entitled() -> Machine {
    Machine { entitled: true, ..machine() }
}

fn chain(job: &Job) -> Result<Chain, Error> {
    Chain::new(job.request.model(), "main", &[("x", &job.x)], &[("y", &job.y)])
}

/// Rows L6, L7, L8, U7, U8, U9, T2: a chain is described as it should be, and refused with error 15.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_process_without_entitlements_is_refused_with_advice() {
    let scene = Scene::new();
    let folder = Folder::new("chaining-refused", COPY);
    for model in [scene.text("chaining refused", COPY), scene.package(&folder).unwrap()] {
        let job = Job::new(&model);
        scene.sent();
        let e = chain(&job).unwrap().prepare().unwrap_err();
        assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().is_some_and(|e| e.code == 15)), "{e}");
        assert!(e.to_string().contains("share a surface between two models"), "{e}");
        let sent = scene.sent();
        let expected = [
            "+[IOSurfaceSharedEvent new]",
            "+[_ANEBuffer bufferWithIOSurfaceObject:symbolIndex:source:]",
            "+[_ANEBuffer bufferWithIOSurfaceObject:symbolIndex:source:]",
            "+[_ANEIOSurfaceOutputSets objectWithstatsSurRef:outputBuffer:]",
            "+[_ANESharedSignalEvent signalEventWithValue:symbolIndex:eventType:sharedEvent:]",
            "+[_ANEChainingRequest chainingRequestWithInputs:outputSets:lbInputSymbolId:lbOutputSymbolId:\
             procedureIndex:signalEvents:transactionHandle:fwEnqueueDelay:memoryPoolId:]",
            "-[_ANEChainingRequest validate]",
            "-[_ANEClient prepareChainingWithModel:options:chainingReq:qos:error:]",
        ];
        let sent: Vec<&String> = sent.iter().filter(|s| !s.contains("Connection")).collect();
        assert_eq!(sent, expected);
        // The surfaces are nobody's.
        job.put(1.0);
    }
    scene.end();
}

/// Rows K8, L9, L10, L11, U9: a round enqueues its outputs, then says that its inputs are ready.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn rounds_are_run_where_chains_are_accepted() {
    let scene = Scene::on(entitled(), Faults::default());
    let job = Job::new(&scene.text("chaining", COPY));
    let mut chain = chain(&job).unwrap().prepare().unwrap();
    for round in 1..=3 {
        job.put(round as f32);
        scene.lines();
        chain.run(PATIENCE).unwrap();
        assert_eq!((chain.rounds(), job.get()), (round, round as f32));
        let lines: Vec<String> =
            scene.lines().into_iter().filter(|l| !l.contains("[IOSurfaceSharedEvent")).collect();
        let value = format!("isOpenLoop:] (0, 0, {round}, 0, 0)");
        let expected = [
            &*value,
            "-[_ANEClient enqueueSetsWithModel:outputSet:options:qos:error:]",
            "inputBuffersWithProcedureIndex:inputBufferInfoIndex:inputFreeValue:executionDelay:] (0, NSArray",
            "-[_ANEClient buffersReadyWithModel:inputBuffers:options:qos:error:]",
        ];
        let matches = |(line, e): (&String, &&str)| line.contains(e);
        assert!(lines.len() == 4 && lines.iter().zip(&expected).all(matches), "{lines:#?}");
    }
    // A surface that is locked keeps the round from being begun.
    let lock = job.y.read().unwrap();
    assert!(matches!(chain.run(PATIENCE), Err(Error::Surface(_))));
    drop(lock);
    chain.run(PATIENCE).unwrap();
    assert_eq!(chain.rounds(), 4);
    drop((chain, job));
    scene.end();
}

/// Row L11: what may still be written is never given back.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_round_that_fails_is_never_taken_for_done() {
    let scene = Scene::on(entitled(), Faults { evaluate_status: Some(0x1d), ..Faults::default() });
    let job = Job::new(&scene.text("chaining that fails", COPY));
    let mut chain = chain(&job).unwrap().prepare().unwrap();
    assert!(matches!(chain.run(PATIENCE), Err(Error::Refused(_))));
    // The driver had its outputs already: nobody can say what it does with them.
    assert!(job.y.read().is_err());
    let e = chain.run(PATIENCE).unwrap_err();
    assert!(e.to_string().contains("an earlier round"), "{e}");
    // What the engine may still write stays for ever, and with it the model.
    drop((chain, job));
    assert_eq!((scene.framework.spent(), scene.fake.report().loaded), ((1, 1), 1));
    scene.fake.report().files.iter().for_each(|f| std::fs::remove_dir_all(f).unwrap());
}

/// Rows L6, L15: by name, and completely.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_chain_binds_what_a_request_binds() {
    let scene = Scene::new();
    let model = scene.text("chaining bound", COPY);
    let job = Job::new(&model);
    let (x, y) = (&job.x, &job.y);
    for (function_inputs, outputs, words) in [
        (vec![("q", x)], vec![("y", y)], "there is no input `q`"),
        (vec![("x", x)], vec![], "the output `y` has no surface"),
        (vec![("x", x)], vec![("y", x)], "bound a second time"),
    ] {
        let e = Chain::new(&model, "main", &function_inputs, &outputs).unwrap_err();
        assert!(matches!(&e, Error::Invalid(m) if m.contains(words)), "{e}");
    }
    drop((job, model));
    scene.end();
}

/// Row T10: a class that is missing turns off chains, and nothing else.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_chains_says_so() {
    let tables = Tables::newest().without("_ANEChainingRequest");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let job = Job::new(&scene.text("chaining lacking", COPY));
    let e = chain(&job).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::Chaining, .. }), "{e}");
    drop(job);
    scene.end();
}
