//! What the machine, the client, the cache and a model say about themselves.

use anemone_apple::Error;
use anemone_apple::fake::{Fake, Faults, Machine, Tables};
use anemone_apple::neural::{Cache, ClientInfo, DeviceInfo, Diagnostics, Model, Program, QualityOfService};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene};

/// Rows I1, U14: each field is one message to the class.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_machine_says_what_it_is() {
    let scene = Scene::new();
    let info = DeviceInfo::read(&scene.framework);
    let expected = DeviceInfo {
        has_engine: Some(true),
        engines: Some(1),
        cores: Some(16),
        architecture: Some("h16g".into()),
        sub_type: Some("h16".into()),
        board: Some(256),
        product: Some("macOS".into()),
        build: Some("25F84".into()),
        is_virtual_machine: Some(false),
        is_internal_build: Some(false),
    };
    assert_eq!(info, expected);
    assert_eq!(scene.sent().len(), 10);
    scene.end();
}

/// Rows I1, T10: a missing or changed selector is an unknown field.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn what_the_machine_does_not_say_is_unknown_and_not_wrong() {
    let tables = Tables::newest()
        .without("+[_ANEDeviceInfo numANEs]")
        .with("+[_ANEDeviceInfo aneBoardType]", c"i16@0:8");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let info = DeviceInfo::read(&scene.framework);
    assert_eq!((info.engines, info.board, info.cores), (None, None, Some(16)));
    scene.end();
    let tables = Tables::newest().without("_ANEDeviceInfo");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    assert_eq!(DeviceInfo::read(&scene.framework), DeviceInfo::default());
    scene.end();
}

/// Row I4: by the machine and by the client.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_virtual_machine_is_told_from_a_mac() {
    for virtual_machine in [false, true] {
        let scene = Scene::on(Machine { virtual_machine, ..machine() }, Faults::default());
        let info = DeviceInfo::read(&scene.framework);
        assert_eq!(info.has_engine, Some(!virtual_machine));
        assert_eq!(info.is_virtual_machine, Some(virtual_machine));
        let client = ClientInfo::read(&scene.framework).unwrap();
        let expected =
            ClientInfo { is_virtual: Some(virtual_machine), answers: Some(true), is_restricted: Some(false) };
        assert_eq!(client, expected);
        let sent = [
            "+[_ANEClient sharedPrivateConnection]",
            "+[_ANEClient sharedConnection]",
            "-[_ANEClient isVirtualClient]",
            "-[_ANEClient echo:]",
            "-[_ANEClient allowRestrictedAccess]",
        ];
        assert_eq!(scene.sent()[10..], sent);
        scene.end();
    }
}

/// Rows H29, H30: whether a program is compiled, and away with it.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_cache_is_asked_by_identity() {
    let scene = Scene::new();
    let text = format!("# cache\n{COPY}");
    let quality = QualityOfService::Default;
    let describe = || Model::describe(&scene.framework, &Program { text: &text, weights: &[] }).unwrap();
    let model = describe();
    let identity = model.identity().to_string();
    let cache = Cache::new(&scene.framework).unwrap();
    assert!(!cache.has(&identity).unwrap() && !model.is_cached().unwrap());
    let model = model.compile(quality).unwrap();
    assert!(cache.has(&identity).unwrap() && model.is_cached().unwrap());
    cache.purge(&identity).unwrap();
    assert!(!cache.has(&identity).unwrap() && !model.is_cached().unwrap());
    drop(model);
    let model = describe().compile(quality).unwrap();
    model.purge().unwrap();
    assert!(!cache.has(&identity).unwrap());
    assert!(matches!(cache.has("a\0b"), Err(Error::Invalid(_))));
    let sent = scene.sent();
    for selector in [
        "-[_ANEInMemoryModel compiledModelExists]",
        "-[_ANEInMemoryModel purgeCompiledModel]",
        "-[_ANEClient compiledModelExistsMatchingHash:]",
        "-[_ANEClient purgeCompiledModelMatchingHash:]",
    ] {
        assert!(sent.iter().any(|s| s == selector), "{selector} is not sent");
    }
    drop((cache, model));
    scene.end();
}

/// Rows N6, O9, U3, U4, U10: depths, states, handles and what is in flight.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_loaded_model_says_how_its_queues_are() {
    let scene = Scene::new();
    let folder = Folder::new("diagnostics", COPY);
    let (text, package) = (scene.text("diagnostics", COPY), scene.package(&folder).unwrap());
    let d = text.diagnostics();
    assert_eq!(d.program_handle, d.model_program_handle);
    assert!(d.program_handle.is_some_and(|h| h > 0));
    let all = Diagnostics {
        queue_depth: Some(127),
        model_queue_depth: Some(127),
        program_queue_depth: Some(127),
        state: Some(3),
        model_state: Some(3),
        async_in_flight: Some(0),
        statistics_mask: Some(0),
        has_mapper: Some(true),
        ..d
    };
    assert_eq!(d, all);
    // A model from a folder is one object, not two.
    let d = package.diagnostics();
    assert_eq!((d.queue_depth, d.state, d.program_handle, d.statistics_mask), (None, None, None, None));
    assert_eq!((d.model_queue_depth, d.model_state, d.async_in_flight), (Some(127), Some(3), Some(0)));
    // Each loaded model has a name of its own for the daemon.
    let (first, second) = (text.uuid().unwrap(), package.uuid().unwrap());
    assert!(first != second && first.len() == 36, "{first}, {second}");
    drop((text, package));
    scene.end();
}

/// Rows N6, T10: absent is not zero.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn what_a_model_does_not_say_is_unknown() {
    let tables = Tables::newest()
        .without("-[_ANEProgramForEvaluation currentAsyncRequestsInFlight]")
        .without("-[_ANEInMemoryModel queueDepth]")
        .without("-[_ANEModel getUUID]")
        .without("-[_ANEModel mapper]");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let model = scene.text("diagnostics that lack", COPY);
    let d = model.diagnostics();
    assert_eq!((d.async_in_flight, d.queue_depth, d.model_queue_depth), (None, None, Some(127)));
    assert_eq!((d.has_mapper, model.uuid()), (None, None));
    Job::new(&model).request.run().unwrap();
    drop(model);
    scene.end();
}

/// Rows K3, O9: other depths are refused before anything is sent.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_queue_has_one_to_127_places() {
    let scene = Scene::new();
    let text = format!("# depth\n{COPY}");
    let describe = || Model::describe(&scene.framework, &Program { text: &text, weights: &[] }).unwrap();
    for depth in [0, 128, usize::MAX] {
        let e = describe().with_queue_depth(depth).unwrap_err();
        assert!(matches!(e, Error::Invalid(_)), "{e}");
    }
    assert!(!scene.sent().iter().any(|s| s.contains("setQueueDepth")));
    for depth in [1, 127] {
        drop(describe().with_queue_depth(depth).unwrap());
        let line = scene.lines().into_iter().find(|l| l.contains("setQueueDepth:")).unwrap();
        assert!(line.ends_with(&format!("({depth}) = _")), "{line}");
    }
    scene.end();
}

/// Rows I1, T2: no engine is an answer and not a failure.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_framework_without_an_engine_opens_and_says_so() {
    let fake = Fake::new(Machine { virtual_machine: true, engine: None, ..machine() });
    let framework = fake.open().unwrap();
    assert_eq!(DeviceInfo::read(&framework).has_engine, Some(false));
    drop(framework);
    fake.finish().check();
}
