//! Programs of several functions: each is a procedure with symbol indices of its own.

use anemone_apple::fake::Faults;
use anemone_apple::neural::{Loaded, Package, QualityOfService};
use anemone_apple::{Error, Log};

use crate::engine::machine;
use crate::scene::{Folder, Job, PATIENCE, Scene, get, put};

/// Three functions; results of the second are doubled, of the third tripled.
const MANY: &str = "one inputs x:1x1x4 outputs y:1x1x4\n\
                    two inputs q:1x1x4 p:1x1x4 outputs z:1x1x4 w:1x1x4\n\
                    three inputs x:2x1x4 outputs y:2x1x4";

fn check(model: &Loaded) {
    let procedures = &model.attributes().procedures;
    let indices: Vec<_> = procedures
        .iter()
        .map(|p| {
            let names = |s: &[anemone_apple::neural::Symbol]| -> Vec<(String, u64)> {
                s.iter().map(|s| (s.name.clone(), s.index)).collect()
            };
            (p.name.as_str(), p.index, names(&p.inputs), names(&p.outputs))
        })
        .collect();
    let named = |list: &[(&str, u64)]| list.iter().map(|(n, i)| (n.to_string(), *i)).collect::<Vec<_>>();
    assert_eq!(
        indices,
        [
            ("one", 0, named(&[("x", 0)]), named(&[("y", 0)])),
            ("two", 1, named(&[("p", 1), ("q", 2)]), named(&[("w", 1), ("z", 2)])),
            ("three", 2, named(&[("x", 3)]), named(&[("y", 3)])),
        ]
    );
    let mut one = Job::of(model, "one");
    let mut three = Job::of(model, "three");
    let two = model.procedure("two").unwrap();
    let surface = |i: usize| model.surface(&two.inputs[i]).unwrap();
    let (p, q, w, z) = (surface(0), surface(1), surface(0), surface(1));
    let mut both = model.request("two", &[("q", &q), ("p", &p)], &[("w", &w), ("z", &z)]).unwrap();
    for k in 1..=3 {
        let k = k as f32;
        one.put(k);
        three.put(k);
        put(&p, k);
        put(&q, 10.0 * k);
        one.request.run().unwrap();
        both.run_direct().unwrap();
        three.request.run_program().unwrap();
        assert_eq!((one.get(), get(&w), get(&z), three.get()), (k, 22.0 * k, 22.0 * k, 3.0 * k));
    }
    // All at once: they are of one program, but not on one surface.
    let pending = [one.request.start(), both.start(), three.request.start()];
    pending.iter().for_each(|p| p.wait_for(PATIENCE).unwrap());
    assert_eq!(one.request.procedure().name, "one");
    assert_eq!((both.inputs().len(), both.outputs().len()), (2, 2));
}

/// Rows H1, U4: symbols are counted through all functions.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn each_function_has_its_indices_and_is_run_by_them() {
    let scene = Scene::logged(machine(), Faults::default(), Log::new());
    let folder = Folder::new("procedures", MANY);
    check(&scene.text("procedures", MANY));
    check(&scene.package(&folder).unwrap());
    // The model from a folder is asked for the indices besides, for each function.
    let sent = scene.log.lines();
    let asked = |s: &str| sent.iter().filter(|l| l.contains(s)).count();
    assert_eq!(asked("-[_ANEModel inputSymbolIndicesForProcedureIndex:]"), 3);
    assert_eq!(asked("-[_ANEModel outputSymbolIndicesForProcedureIndex:]"), 3);
    assert_eq!(asked("-[NSIndexSet containsIndex:]"), 8);
    scene.end();
}

/// Rows L15, T6: with the names that there are.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_function_that_is_not_there_and_names_of_another_are_refused() {
    let scene = Scene::new();
    let model = scene.text("procedures refused", MANY);
    let job = Job::of(&model, "one");
    let (x, y) = (&job.x, &job.y);
    for (function, inputs, outputs, words) in [
        ("four", vec![("x", x)], vec![("y", y)], "it has `one`, `two`, `three`"),
        ("two", vec![("x", x)], vec![("w", y)], "there is `p`, `q`"),
        ("two", vec![("p", x)], vec![("w", y)], "`q` has no surface"),
        ("one", vec![("x", x), ("x", x)], vec![("y", y)], "given twice"),
        ("one", vec![("x", x)], vec![("y", x)], "bound a second time"),
        ("three", vec![("x", x)], vec![("y", y)], "has 64 bytes, and it needs 128"),
    ] {
        let e = model.request(function, &inputs, &outputs).unwrap_err();
        assert!(matches!(&e, Error::Invalid(m) if m.contains(words)), "{e}");
    }
    drop((job, model));
    scene.end();
}

/// Rows D10, H29: until it is purged.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn a_folder_that_changes_under_a_cached_model_changes_nothing() {
    let scene = Scene::new();
    let folder = Folder::new("procedures-changed", MANY);
    drop(scene.package(&folder).unwrap());
    std::fs::write(folder.path().join("model.mil"), "one inputs x:1x1x8 outputs y:1x1x8").unwrap();
    check(&scene.package(&folder).unwrap());
    let quality = QualityOfService::Default;
    let package = Package::describe(&scene.framework, folder.path(), Package::KEY).unwrap();
    package.purge().unwrap();
    let model = package.compile(quality).unwrap().load(quality).unwrap();
    assert_eq!(model.attributes().procedures.len(), 1);
    drop(model);
    scene.end();
}
