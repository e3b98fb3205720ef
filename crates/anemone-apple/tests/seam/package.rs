//! Models from folders.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::{Package, QualityOfService};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene};

const QUALITY: QualityOfService = QualityOfService::Default;

/// Rows H22, H28, H30, U1, U4: the messages, in order.
#[test]
fn a_folder_is_compiled_loaded_run_and_unloaded_through_the_client() {
    let scene = Scene::new();
    let folder = Folder::new("package", COPY);
    let model = scene.package(&folder).unwrap();
    assert!(model.is_package());
    assert!(model.identity().ends_with("package.mlmodelc#s"), "{}", model.identity());
    let mut job = Job::new(&model);
    job.put(3.0);
    job.request.run().unwrap();
    assert_eq!(job.get(), 3.0);
    drop((job, model));
    let expected = [
        "+[_ANEModel modelAtURL:key:]",
        "+[_ANEClient sharedPrivateConnection]",
        "+[_ANEClient sharedConnection]",
        "-[_ANEClient compiledModelExistsFor:]",
        "-[_ANEClient compileModel:options:qos:error:]",
        "-[_ANEClient loadModel:options:qos:error:]",
        "-[_ANEModel modelAttributes]",
        "-[_ANEModel inputSymbolIndicesForProcedureIndex:]",
        "-[_ANEModel outputSymbolIndicesForProcedureIndex:]",
        "+[_ANERequest requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:sharedEvents:transactionHandle:]",
        "-[_ANERequest validate]",
        "-[_ANEClient evaluateWithModel:options:request:qos:error:]",
        "-[_ANEClient unloadModel:options:qos:error:]",
    ];
    assert_eq!(scene.sent(), expected);
    assert!(folder.path().join("model.mil").exists(), "the folder is the caller's");
    assert_eq!(scene.framework.spent(), (1, 0));
    scene.end();
}

/// Row H22: both ways, the same bytes.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_program_gives_the_same_results_from_a_folder_as_from_text() {
    let scene = Scene::new();
    let functions = "main inputs b:3x2x5 a:3x2x5 outputs y:3x2x5";
    let folder = Folder::new("package-same", functions);
    let (text, package) = (scene.text("package same", functions), scene.package(&folder).unwrap());
    assert_eq!(text.attributes(), package.attributes());
    let results: Vec<Vec<u8>> = [&text, &package]
        .into_iter()
        .map(|model| {
            let p = model.procedure("main").unwrap();
            let (a, b) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.inputs[1]).unwrap());
            let y = model.surface(&p.outputs[0]).unwrap();
            for (k, surface) in [&a, &b].into_iter().enumerate() {
                for (i, bytes) in surface.write().unwrap().chunks_exact_mut(4).enumerate() {
                    bytes.copy_from_slice(&((i * (k + 1)) as f32).to_le_bytes());
                }
            }
            model.request("main", &[("a", &a), ("b", &b)], &[("y", &y)]).unwrap().run().unwrap();
            let read = y.read().unwrap();
            read.to_vec()
        })
        .collect();
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0][4..8], 3.0_f32.to_le_bytes());
    drop((text, package));
    scene.end();
}

/// Rows H29, H30: by folder and key.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn what_is_cached_is_not_compiled_again_unless_it_is_purged() {
    let scene = Scene::new();
    let folder = Folder::new("package-cached", COPY);
    let describe = |key| Package::describe(&scene.framework, folder.path(), key).unwrap();
    assert!(!describe("s").is_cached().unwrap());
    drop(describe("s").compile(QUALITY).unwrap().load(QUALITY).unwrap());
    assert!(describe("s").is_cached().unwrap());
    drop(describe("s").compile(QUALITY).unwrap().load(QUALITY).unwrap());
    assert_eq!(scene.fake.report().compiled, 1);
    // Another key is another model.
    assert!(!describe("t").is_cached().unwrap());
    describe("s").purge().unwrap();
    assert!(!describe("s").is_cached().unwrap());
    drop(describe("s").compile(QUALITY).unwrap().load(QUALITY).unwrap());
    assert_eq!(scene.fake.report().compiled, 2);
    scene.end();
}

/// Row U4: a model whose symbols contradict its attributes cannot be bound, and gives its place back.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn symbols_that_contradict_the_attributes_are_refused() {
    let scene = Scene::on(machine(), Faults { other_symbols: true, ..Faults::default() });
    let folder = Folder::new("package-symbols", "main inputs b:1x1x4 a:1x1x4 outputs y:1x1x4");
    let e = scene.package(&folder).unwrap_err();
    let words = "no index 0 for `a` of `main`, which the attributes have";
    assert!(matches!(&e, Error::Unexpected { gave, .. } if gave == words), "{e}");
    assert_eq!((scene.framework.spent(), scene.fake.report().loaded), ((1, 0), 0));
    // A model of text is not asked: its wrapper does not answer.
    drop(scene.text("package symbols", COPY));
    scene.fake.set_faults(Faults::default());
    drop(scene.package(&folder).unwrap());
    scene.end();
}

/// Rows H28, T2: no file, no key, no folder.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn folders_without_a_model_are_refused_before_anything_is_sent() {
    let scene = Scene::new();
    let (empty, full) = (Folder::empty("package-empty"), Folder::new("package-full", COPY));
    for (path, key, words) in [
        (empty.path(), "s", "neither `model.mil` nor `model.espresso.net`"),
        (full.path(), "", "an empty key"),
        (std::path::Path::new("/there/is/nothing"), "s", "/there/is/nothing"),
    ] {
        let e = Package::describe(&scene.framework, path, key).unwrap_err();
        assert!(matches!(e, Error::Invalid(_)) && e.to_string().contains(words), "{e}");
    }
    assert_eq!(scene.sent(), [""; 0]);
    scene.end();
}

/// Rows H4, T2: a refusal costs no place among the loaded.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_daemon_has_its_say_and_the_place_is_given_back() {
    let scene = Scene::on(machine(), Faults { busy_loads: 1, ..Faults::default() });
    // A load that is refused for a moment is tried again.
    let folder = Folder::new("package-busy", COPY);
    drop(scene.package(&folder).unwrap());
    scene.fake.set_faults(Faults { busy_loads: 2, ..Faults::default() });
    assert!(matches!(scene.package(&folder).unwrap_err(), Error::Refused(_)));
    assert_eq!(scene.framework.spent(), (1, 0));
    let nonsense = Folder::new("package-nonsense", "nonsense");
    let e = scene.package(&nonsense).unwrap_err();
    assert!(e.to_string().contains("InvalidMILProgram"), "{e}");
    // A folder of the older form is sent without a kind: the translator of that form has it.
    let older = Folder::empty("package-older");
    std::fs::write(older.path().join("model.espresso.net"), "{}").unwrap();
    let e = scene.package(&older).unwrap_err();
    assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().is_some_and(|e| e.code == 9)), "{e}");
    assert_eq!(scene.framework.spent(), (3, 0));
    scene.end();
}

/// Row T10: programs of text work on.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_models_in_folders_says_so() {
    let tables = Tables::newest().without("+[_ANEModel modelAtURL:key:]");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let folder = Folder::new("package-lacking", COPY);
    let e = scene.package(&folder).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::Package, .. }), "{e}");
    let model = scene.text("package lacking", COPY);
    Job::new(&model).request.run().unwrap();
    drop(model);
    scene.end();
}
