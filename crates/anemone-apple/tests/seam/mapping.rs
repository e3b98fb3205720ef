//! Surfaces that are mapped ahead, and tensors that do not lie at the beginning of theirs.

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::{Error, Feature, Surface};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene, get, put};

/// The mapping messages with their cache of the inference: `map 1`, `unmap`.
fn mappings(scene: &Scene) -> Vec<String> {
    let one = |line: String| {
        let (message, rest) = line.split_once("] (")?;
        if message.contains(" unmapIOSurfaces") {
            return Some("unmap".into());
        }
        let cache = rest.split(", ").find(|a| *a == "0" || *a == "1")?;
        message.contains(" mapIOSurfaces").then(|| format!("map {cache}"))
    };
    scene.lines().into_iter().filter_map(one).collect()
}

/// Row K5: once each, also when the request is dropped.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn what_is_mapped_is_unmapped_before_the_model_is_unloaded() {
    let scene = Scene::new();
    let folder = Folder::new("mapping", COPY);
    for model in [scene.text("mapping", COPY), scene.package(&folder).unwrap()] {
        let mut job = Job::new(&model);
        assert!(!job.request.is_mapped());
        job.request.map().unwrap();
        job.request.map().unwrap();
        assert!(job.request.is_mapped());
        job.put(8.0);
        job.request.run().unwrap();
        assert_eq!(job.get(), 8.0);
        job.request.unmap().unwrap();
        job.request.unmap().unwrap();
        assert!(!job.request.is_mapped());
        job.request.map().unwrap();
        drop(model);
        // The last that has the model is the request.
        drop(job);
        assert_eq!(mappings(&scene), ["map 1", "unmap", "map 1", "unmap"]);
    }
    scene.end();
}

/// Rows T2, U3: with the cache of the inference, then without; it runs all the same.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn mapping_is_tried_without_the_cache_and_may_fail() {
    let scene = Scene::on(machine(), Faults { cached_mapping_fails: true, ..Faults::default() });
    let mut job = Job::new(&scene.text("mapping that fails", COPY));
    job.request.map().unwrap();
    assert_eq!(mappings(&scene), ["map 1", "map 0"]);
    job.request.unmap().unwrap();
    scene.fake.set_faults(Faults { mapping_fails: true, ..Faults::default() });
    let e = job.request.map().unwrap_err();
    assert!(matches!(&e, Error::Refused(r) if r.error.as_ref().is_some_and(|e| e.code == 13)), "{e}");
    assert_eq!(mappings(&scene), ["unmap", "map 1", "map 0"]);
    assert!(!job.request.is_mapped());
    // It runs all the same.
    job.put(1.5);
    job.request.run().unwrap();
    assert_eq!(job.get(), 1.5);
    drop(job);
    assert_eq!(mappings(&scene), [""; 0]);
    scene.end();
}

/// Rows G28, H9, U6: a surface object with a start.
#[test]
fn a_tensor_may_lie_behind_others_in_its_surface() {
    let scene = Scene::new();
    let model = scene.text("parts", "main inputs a:1x1x4 b:1x1x4 outputs y:1x1x4");
    let all = Surface::new(&scene.framework, 3 * 64).unwrap();
    let (a, b) = (all.from_byte(64).unwrap(), all.from_byte(64).unwrap().from_byte(64).unwrap());
    assert_eq!((a.start(), a.size(), b.start(), b.size()), (64, 128, 128, 64));
    assert!(a == b && a == all, "parts are of one surface");
    put(&all, 100.0);
    put(&a, 3.0);
    put(&b, 4.0);
    let y = Surface::new(&scene.framework, 128).unwrap();
    let part = y.from_byte(64).unwrap();
    model.request("main", &[("a", &a), ("b", &b)], &[("y", &part)]).unwrap().run().unwrap();
    assert_eq!((get(&part), get(&y)), (7.0, 0.0));
    // One surface is not read and written, wherever.
    let e = model.request("main", &[("a", &a), ("b", &b)], &[("y", &all)]).unwrap_err();
    assert!(e.to_string().contains("bound a second time"), "{e}");
    // The rest of it is too small.
    let last = Surface::new(&scene.framework, 70).unwrap();
    let short = last.from_byte(64).unwrap();
    let e = model.request("main", &[("a", &a), ("b", &b)], &[("y", &short)]).unwrap_err();
    assert!(e.to_string().contains("has 6 bytes"), "{e}");
    for start in [1, 63, 192, 256, usize::MAX] {
        assert!(matches!(all.from_byte(start), Err(Error::Surface(_))), "{start}");
    }
    let lines = scene.log.lines();
    assert!(lines.iter().any(|l| l.contains("objectWithIOSurface:startOffset:]")));
    drop((all, a, b, y, part, last, short, model));
    scene.end();
}

/// Row T10: each by itself.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_mapping_or_parts_says_so() {
    let tables = Tables::newest()
        .without("+[_ANEIOSurfaceObject objectWithIOSurface:startOffset:]")
        .without("-[_ANEClient unmapIOSurfacesWithModel:request:]");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let model = scene.text("mapping lacking", COPY);
    let mut job = Job::new(&model);
    let e = job.request.map().unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::Mapping, .. }), "{e}");
    let wide = Surface::new(&scene.framework, 128).unwrap();
    let part = wide.from_byte(64).unwrap();
    let e = model.request("main", &[("x", &part)], &[("y", &job.y)]).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::Parts, .. }), "{e}");
    job.request.run().unwrap();
    drop((job, wide, part, model));
    scene.end();
}
