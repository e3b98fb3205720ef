//! Parts of programs and instances of models, which are experimental.

use std::path::Path;

use anemone_apple::fake::{Faults, Machine, Tables};
use anemone_apple::neural::Loaded;
use anemone_apple::neural::experimental::{ProcedureWeights, ProgramParts, instance};
use anemone_apple::{Error, Feature};

use crate::engine::machine;
use crate::scene::{COPY, Folder, Job, Scene};

/// The engine's messages without those that read handles.
fn sent(scene: &Scene) -> Vec<String> {
    scene.sent().into_iter().filter(|s| !s.contains("andle]")).collect()
}

/// Rows U10, U11, U14: a program, a controller and a mapper are made of the handle of what is loaded.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn parts_are_made_as_the_framework_makes_them() {
    let scene = Scene::new();
    let folder = Folder::new("parts", COPY);
    for model in [scene.text("parts of a program", COPY), scene.package(&folder).unwrap()] {
        let mut job = Job::new(&model);
        scene.log.take();
        let parts = ProgramParts::new(&model, 3).unwrap();
        let lines = scene.lines();
        let handle = model.diagnostics().model_program_handle.unwrap();
        let expected = [
            "-[_ANEModel programHandle]".to_string(),
            "-[_ANEModel intermediateBufferHandle]".into(),
            format!(
                "+[_ANEProgramForEvaluation programWithHandle:intermediateBufferHandle:queueDepth:] ({handle}, 0, 3)"
            ),
            format!("+[_ANEDeviceController controllerWithProgramHandle:] ({handle})"),
            "-[_ANEDeviceController programHandle]".into(),
            "+[_ANEProgramIOSurfacesMapper mapperWithController:] (_ANEDeviceController".into(),
        ];
        let matches = |(line, e): (&String, &String)| line.starts_with(e.as_str());
        assert!(lines.len() == 6 && lines.iter().zip(&expected).all(matches), "{lines:#?}");
        job.put(4.0);
        sent(&scene);
        parts.run(&mut job.request).unwrap();
        assert_eq!(job.get(), 4.0);
        assert!(sent(&scene)[1].starts_with("-[_ANEProgramForEvaluation processRequest:"));
        {
            let mut mapped = parts.map(&mut job.request).unwrap();
            assert!(mapped.request().is_mapped());
            mapped.request().run().unwrap();
        }
        assert!(!job.request.is_mapped());
        parts.map(&mut job.request).unwrap().unmap().unwrap();
        let map = [
            "-[_ANEProgramIOSurfacesMapper validateRequest:model:]",
            "-[_ANEProgramIOSurfacesMapper mapIOSurfacesWithModel:request:cacheInference:error:]",
        ];
        let unmap = "-[_ANEProgramIOSurfacesMapper unmapIOSurfacesWithModel:request:error:]";
        let sent: Vec<String> = sent(&scene).into_iter().filter(|s| s.contains("Mapper")).collect();
        assert_eq!(sent, [&map[..], &[unmap], &map, &[unmap]].concat());
    }
    scene.end();
}

/// Rows T2, U11: what fails is told, and nothing stays mapped for ever.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn mappings_of_our_own_end_whatever_happens() {
    let scene = Scene::on(machine(), Faults { mapping_fails: true, ..Faults::default() });
    let model = scene.text("parts that fail", COPY);
    let mut job = Job::new(&model);
    let parts = ProgramParts::new(&model, 127).unwrap();
    let code =
        |e: &Error, code| matches!(e, Error::Refused(r) if r.error.as_ref().is_some_and(|e| e.code == code));
    let e = parts.map(&mut job.request).unwrap_err();
    assert!(code(&e, 13) && !job.request.is_mapped(), "{e}");
    scene.fake.set_faults(Faults { unmapping_fails: true, ..Faults::default() });
    let e = parts.map(&mut job.request).unwrap().unmap().unwrap_err();
    assert!(code(&e, 14), "{e}");
    // The request has the mapping still: it is not mapped twice, and unmapped at the end.
    assert!(matches!(parts.map(&mut job.request), Err(Error::Invalid(_))));
    drop(job);
    // A request of another model is none of theirs.
    let mut other = Job::new(&scene.text("parts of another", COPY));
    assert!(matches!(parts.run(&mut other.request), Err(Error::Invalid(_))));
    assert!(matches!(parts.map(&mut other.request), Err(Error::Invalid(_))));
    for queue in [0, 128, usize::MAX] {
        assert!(matches!(ProgramParts::new(&model, queue), Err(Error::Invalid(_))));
    }
    drop((parts, other, model));
    scene.end();
}

/// Rows T10, U11: without controllers a mapper is made of the handle itself, and without mappers of nothing.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn a_macos_without_parts_says_so() {
    let tables = Tables::newest().without("_ANEProgramIOSurfacesMapper");
    let scene = Scene::on(Machine { tables, ..machine() }, Faults::default());
    let e = ProgramParts::new(&scene.text("parts lacking", COPY), 1).unwrap_err();
    assert!(matches!(e, Error::Unavailable { feature: Feature::ProgramParts, .. }), "{e}");
    scene.end();
    let scene = Scene::on(machine(), Faults { no_controllers: true, ..Faults::default() });
    let model = scene.text("parts without a controller", COPY);
    let mut job = Job::new(&model);
    let parts = ProgramParts::new(&model, 1).unwrap();
    parts.map(&mut job.request).unwrap().unmap().unwrap();
    assert!(scene.sent().iter().any(|s| s == "+[_ANEProgramIOSurfacesMapper mapperWithProgramHandle:]"));
    drop((parts, job, model));
    scene.end();
}

/// The weights of an instance, made and asked for.
fn adapter(base: &Loaded) -> Result<Loaded, Error> {
    let weights: &[(&str, &Path)] = &[("w", Path::new("/tmp/adapter.bin"))];
    instance(base, "adapter", &[ProcedureWeights { procedure: "main", weights }])
}

/// Rows U4, U14: weights, functions and parameters of an instance, and what refuses it.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn an_instance_is_asked_for_with_its_weights() {
    for entitled in [false, true] {
        let scene = Scene::on(Machine { entitled, ..machine() }, Faults::default());
        let folder = Folder::new(&format!("instance-{entitled}"), COPY);
        let base = scene.package(&folder).unwrap();
        scene.sent();
        let result = adapter(&base);
        let mut expected = vec![
            "+[_ANEWeight weightWithSymbolAndURL:weightURL:]",
            "+[_ANEProcedureData procedureDataWithSymbol:weightArray:]",
            "+[_ANEModelInstanceParameters withProcedureData:procedureArray:]",
            "-[_ANEModel modelURL]",
            "-[_ANEModel key]",
            "-[_ANEModel modelAttributes]",
            "+[_ANEModel modelAtURL:key:modelAttributes:]",
            "-[_ANEModel getCacheURLIdentifier]",
            "-[_ANEClient loadModelNewInstance:options:modelInstParams:qos:error:]",
        ];
        if entitled {
            expected.push("-[_ANEModel modelAttributes]");
        }
        assert_eq!(scene.sent(), expected);
        match result {
            Ok(loaded) => {
                assert!(loaded.identity().ends_with("#s#adapter"), "{}", loaded.identity());
                assert_ne!(loaded.uuid(), base.uuid());
                let mut job = Job::new(&loaded);
                job.put(2.0);
                job.request.run().unwrap();
                assert_eq!((job.get(), scene.framework.spent().1), (2.0, 2));
            }
            Err(e) => {
                assert!(!entitled && e.to_string().contains("only Apple's own processes"), "{e}");
                assert_eq!(scene.framework.spent().1, 1, "its place is given back");
            }
        }
        // A model of text has no folder that another instance could be of.
        let e = adapter(&scene.text("instance of text", COPY)).unwrap_err();
        assert!(matches!(e, Error::Invalid(_)), "{e}");
        drop(base);
        scene.end();
    }
}
