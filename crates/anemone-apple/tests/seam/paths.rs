//! The ways in which a request reaches the engine.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::{EvaluateOptions, QualityOfService, Request};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene};
use crate::tables::tables;

type Run = fn(&mut Request) -> Result<(), Error>;

/// Each way with the messages that it sends for a model of text and for one from a folder.
const WAYS: [(Run, &[&str], &[&str]); 4] = [
    // Row L1: through the model.
    (
        Request::run,
        &["-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]"],
        &["-[_ANEClient evaluateWithModel:options:request:qos:error:]"],
    ),
    // Rows H16, L4: around the model, without the daemon.
    (
        Request::run_direct,
        &["-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]"],
        &["-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]"],
    ),
    // Row L3: through the program.
    (
        Request::run_program,
        &[
            "+[_ANEQoSMapper queueIndexForQoS:]",
            "-[_ANEInMemoryModel program]",
            "-[_ANEProgramForEvaluation processRequest:model:qos:qIndex:modelStringID:options:returnValue:error:]",
        ],
        &[
            "+[_ANEQoSMapper queueIndexForQoS:]",
            "-[_ANEModel program]",
            "-[_ANEProgramForEvaluation processRequest:model:qos:qIndex:modelStringID:options:returnValue:error:]",
        ],
    ),
    // Row L2: at real-time priority.
    (
        Request::run_real_time,
        &["-[_ANEClient evaluateRealTimeWithModel:options:request:error:]"],
        &["-[_ANEClient evaluateRealTimeWithModel:options:request:error:]"],
    ),
];

/// Rows H9, H14, H16, L1, L2, L3, L4, U1, U10: one request, four ways.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn all_ways_give_the_same_results_with_the_messages_that_are_known() {
    let scene = Scene::new();
    let folder = Folder::new("paths", COPY);
    let text = scene.text("paths", COPY);
    let package = scene.package(&folder).unwrap();
    // The client is asked for once.
    scene.framework.require(Feature::Direct).unwrap();
    let mut jobs = [Job::new(&text), Job::new(&package)];
    jobs.iter_mut().for_each(|j| j.request.run_direct().unwrap());
    for (i, (run, of_text, of_package)) in WAYS.into_iter().enumerate() {
        for (job, expected) in jobs.iter_mut().zip([of_text, of_package]) {
            job.put(i as f32 + 0.5);
            scene.sent();
            run(&mut job.request).unwrap();
            assert_eq!(scene.sent(), expected);
            assert_eq!(job.get(), i as f32 + 0.5);
        }
    }
    drop((jobs, text, package));
    scene.end();
}

/// Rows L1, L2, L3, L4: a lock that is held is an error and not a hang.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn every_way_tells_why_it_failed_and_gives_the_surfaces_back() {
    let scene = Scene::on(machine(), Faults { evaluate_status: Some(0x12), ..Faults::default() });
    let model = scene.text("paths that fail", COPY);
    let mut job = Job::new(&model);
    for (run, ..) in WAYS {
        let e = run(&mut job.request).unwrap_err();
        assert!(e.to_string().contains("evaluate without it"), "{e}");
        job.put(1.0);
        let lock = job.y.read().unwrap();
        let e = run(&mut job.request).unwrap_err();
        assert!(matches!(e, Error::Surface(_)), "{e}");
        drop(lock);
    }
    drop((job, model));
    scene.end();
}

/// Rows H27, J9: the number of the quality, the keys of the options.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn quality_and_options_are_sent_as_they_were_asked_for() {
    let scene = Scene::new();
    let text = format!("# quality\n{COPY}");
    let program = anemone_apple::neural::Program { text: &text, weights: &[] };
    for quality in QualityOfService::ALL {
        let model = anemone_apple::neural::Loaded::new(&scene.framework, &program, quality).unwrap();
        assert_eq!(model.quality(), quality);
        let mut job = Job::new(&model);
        scene.lines();
        let options =
            EvaluateOptions { disable_io_fences_use_shared_events: true, enable_fw_to_fw_signal: true };
        job.request.run_with(options).unwrap();
        drop((job, model));
        let lines = scene.lines();
        let number = format!("] ({}, ", quality.value());
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("evaluateWithQoS") && lines[0].contains(&number), "{lines:#?}");
        assert!(lines[1].contains("unloadWithQoS") && lines[1].contains(&number), "{lines:#?}");
    }
    scene.end();
}

/// Rows T2, T10: nothing is sent that is not there.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_way_that_this_macos_lacks_is_refused_and_the_others_work() {
    let tables = Tables::newest()
        .without("-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]")
        .without("-[_ANEClient evaluateRealTimeWithModel:options:request:error:]");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let model = scene.text("paths that lack", COPY);
    let mut job = Job::new(&model);
    for (run, feature) in
        [(Request::run_direct as Run, Feature::Direct), (Request::run_real_time, Feature::RealTime)]
    {
        scene.lines();
        let e = run(&mut job.request).unwrap_err();
        assert!(matches!(&e, Error::Unavailable { feature: f, .. } if *f == feature), "{e}");
        assert_eq!(scene.sent(), [""; 0]);
    }
    job.request.run_program().unwrap();
    job.request.run().unwrap();
    drop((job, model));
    scene.end();
}

/// Rows H10, U5: the newer form of a request where this macOS has it, and the older one where it does not.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn requests_are_made_in_the_newer_form_where_there_is_one() {
    let older =
        "requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:";
    let newer = format!("{older}sharedEvents:transactionHandle:");
    for (name, selector, arguments) in [("macos-26.5", newer.as_str(), 9), ("macos-13", older, 7)] {
        let scene = Scene::on(Machine { tables: tables(name), ..machine() }, Faults::default());
        let model = scene.text("requests", COPY);
        scene.lines();
        let mut job = Job::new(&model);
        let lines = scene.lines();
        let made = lines[0].strip_prefix(&format!("+[_ANERequest {selector}] (")).unwrap();
        let given: Vec<&str> = made.split(") = ").next().unwrap().split(", ").collect();
        assert_eq!(given.len(), arguments, "{made}");
        // No weights, no statistics, no events, no transaction.
        assert!(given.iter().enumerate().all(|(i, g)| (*g == "nil") == [4, 5, 7, 8].contains(&i)), "{made}");
        assert!(lines[1].starts_with("-[_ANERequest validate] () = 1"), "{lines:#?}");
        job.put(1.5);
        job.request.run().unwrap();
        assert_eq!(job.get(), 1.5);
        drop((job, model));
        scene.end();
    }
}

/// Rows H12, L13: two programs on one surface give what one program of both gives, without a copy between them.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn programs_that_share_a_surface_give_what_one_program_gives() {
    let scene = Scene::new();
    // The second function of a program doubles what it is given; the second of the second does so again.
    let twice = "one inputs x:1x1x4 outputs y:1x1x4\ntwo inputs x:1x1x4 outputs y:1x1x4";
    let four = format!("{twice}\nthree inputs x:1x1x4 outputs y:1x1x4\nfour inputs x:1x1x4 outputs y:1x1x4");
    let (first, second) = (scene.text("first", twice), scene.text("second", twice));
    let mut a = Job::of(&first, "two");
    let y = second.surface(&second.procedure("two").unwrap().outputs[0]).unwrap();
    let mut b = second.request("two", &[("x", &a.y)], &[("y", &y)]).unwrap();
    let mut whole = Job::of(&scene.text("whole", &four), "four");
    for value in [1.0, 2.5, -3.0] {
        a.put(value);
        whole.put(value);
        scene.sent();
        a.request.run().unwrap();
        b.run().unwrap();
        assert_eq!(scene.sent().len(), 2, "a message each, and nothing between them");
        whole.request.run().unwrap();
        assert_eq!((crate::scene::get(&y), whole.get()), (4.0 * value, 4.0 * value));
    }
    drop((a, b, y, whole, first, second));
    scene.end();
}
