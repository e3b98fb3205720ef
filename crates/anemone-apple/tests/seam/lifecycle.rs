//! From a program to its results, and what is left after it.

use anemone_apple::fake::{Fake, Report};
use anemone_apple::neural::{Loaded, Program, QualityOfService};
use anemone_apple::{Error, Framework, Log};

use crate::engine::machine;

/// Two inputs whose alphabetical order is not that of the program, and rows that are not a multiple of 64 bytes.
pub(crate) const SUM: Program<'static> =
    Program { text: "main inputs b:2x1x5 a:2x1x5 outputs y:2x1x5", weights: &[] };

pub(crate) fn load(framework: &Framework, program: &Program<'_>) -> Result<Loaded, Error> {
    Loaded::new(framework, program, QualityOfService::Default)
}

/// Runs a model once on inputs that count, and compares the results.
pub(crate) fn run_sum(model: &Loaded) -> Result<(), Error> {
    let symbols = &model.attributes().procedures[0];
    let surfaces: Vec<_> = symbols.inputs.iter().map(|s| model.surface(s)).collect::<Result<_, _>>()?;
    let output = model.surface(&symbols.outputs[0])?;
    for (k, surface) in surfaces.iter().enumerate() {
        let symbol = &symbols.inputs[k];
        let mut bytes = surface.write()?;
        for c in 0..symbol.channels {
            for w in 0..symbol.width {
                let at = c * symbol.plane_stride + w * 4;
                let value = (10 * (k + 1) * (c * symbol.width + w)) as f32;
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    let inputs: Vec<_> = symbols.inputs.iter().map(|s| s.name.as_str()).zip(&surfaces).collect();
    let mut request = model.request("main", &inputs, &[("y", &output)])?;
    request.run()?;
    let bytes = output.read()?;
    let symbol = &symbols.outputs[0];
    for c in 0..symbol.channels {
        for w in 0..symbol.width {
            let at = c * symbol.plane_stride + w * 4;
            let found = f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            assert_eq!(found, 30.0 * (c * symbol.width + w) as f32);
        }
    }
    Ok(())
}

/// Rows H1, H2, H4, H5, H7, H25, D13: the whole way, and the folder is gone.
#[test]
fn a_program_is_compiled_loaded_run_and_leaves_nothing() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    let model = load(&framework, &SUM).unwrap();
    let names: Vec<_> = model.attributes().procedures[0].inputs.iter().map(|s| s.name.clone()).collect();
    assert_eq!(names, ["a", "b"], "symbols are in alphabetical order");
    assert_eq!(model.attributes().procedures[0].inputs[0].row_stride, 64);
    run_sum(&model).unwrap();
    run_sum(&model).unwrap();
    assert_eq!((fake.report().loaded, framework.spent()), (1, (1, 1)));
    drop(model);
    let end: Report = fake.report();
    assert_eq!((end.loaded, framework.spent()), (0, (1, 0)));
    drop(framework);
    fake.finish().check();
    end.check();
}

/// Rows H3, H8, H9, H11, H13, L1, U2, U3, U5: in this order, and no other.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_messages_of_a_run_are_those_that_are_known_to_work() {
    let fake = Fake::new(machine());
    let log = Log::new();
    let framework = fake.open_logged(&log).unwrap();
    let model = load(&framework, &SUM).unwrap();
    run_sum(&model).unwrap();
    drop(model);
    let sent: Vec<String> = log
        .lines()
        .into_iter()
        .filter(|l| l.contains("[_ANE") && !l.contains("IOSurfaceObject"))
        // Objects without their numbers.
        .map(|l| l.split('#').map(|p| p.trim_start_matches(|c: char| c.is_ascii_digit())).collect())
        .collect();
    let expected = [
        "+[_ANEInMemoryModelDescriptor modelWithMILText:weights:optionsPlist:] (NSData, NSDictionary, nil) = _ANEInMemoryModelDescriptor",
        "+[_ANEInMemoryModel inMemoryModelWithDescriptor:] (_ANEInMemoryModelDescriptor) = _ANEInMemoryModel",
        "-[_ANEInMemoryModel hexStringIdentifier] () = NSString",
        "-[_ANEInMemoryModel localModelPath] () = NSString",
        "-[_ANEInMemoryModel compiledModelExists] () = 0",
        "-[_ANEInMemoryModel compileWithQoS:options:error:] (21, NSDictionary, _) = 1",
        "-[_ANEInMemoryModel loadWithQoS:options:error:] (21, NSDictionary, _) = 1",
        "-[_ANEInMemoryModel model] () = _ANEModel",
        "-[_ANEModel modelAttributes] () = NSDictionary",
        "+[_ANERequest requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:sharedEvents:transactionHandle:] (NSArray, NSArray, NSArray, NSArray, nil, nil, NSNumber, nil, nil) = _ANERequest",
        "-[_ANERequest validate] () = 1",
        "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:] (21, NSDictionary, _ANERequest, _) = 1",
        "-[_ANEInMemoryModel unloadWithQoS:error:] (21, _) = 1",
    ];
    assert_eq!(sent, expected);
    drop(framework);
    fake.finish().check();
}

/// Row H29: the identity is the text and its weights.
#[test]
#[cfg_attr(miri, ignore = "many times what another test does once")]
fn what_was_compiled_is_not_compiled_again() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    for _ in 0..3 {
        run_sum(&load(&framework, &SUM).unwrap()).unwrap();
    }
    assert_eq!(fake.report().compiled, 1);
    drop(framework);
    fake.finish().check();
}

/// Rows D5, D10, H11, H29: other bytes are another program.
#[test]
fn weights_are_a_part_of_the_program() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    let text = "main inputs x:1x1x1 outputs y:1x1x1";
    for bias in [1u8, 7] {
        let weights = [("@model_path/weights/bias.bin", &[bias][..])];
        let model = load(&framework, &Program { text, weights: &weights }).unwrap();
        let p = &model.attributes().procedures[0];
        let (x, y) = (model.surface(&p.inputs[0]).unwrap(), model.surface(&p.outputs[0]).unwrap());
        model.request("main", &[("x", &x)], &[("y", &y)]).unwrap().run().unwrap();
        assert_eq!(y.read().unwrap()[..4], f32::from(bias).to_le_bytes());
    }
    assert_eq!(fake.report().compiled, 2);
    drop(framework);
    fake.finish().check();
}

/// Rows H7, D13: who unloads takes nothing from the others.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn equal_programs_share_a_folder_in_peace() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    let first = load(&framework, &SUM).unwrap();
    let second = load(&framework, &SUM).unwrap();
    drop(first);
    run_sum(&second).unwrap();
    let third = load(&framework, &SUM).unwrap();
    drop(second);
    run_sum(&third).unwrap();
    drop(third);
    drop(framework);
    fake.finish().check();
}

/// Rows T1, T5: what it says comes through.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn the_compiler_has_its_say() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    let e = load(&framework, &Program { text: "nonsense", weights: &[] }).unwrap_err();
    assert!(e.to_string().contains("InvalidMILProgram"), "{e}");
    drop(framework);
    fake.finish().check();
}

/// Rows D3, D13, T11: no way out, nothing twice, nothing in the place of another.
#[test]
#[cfg_attr(miri, ignore = "no unsafe code that another test does not run")]
fn names_of_weight_files_stay_below_the_folder() {
    let fake = Fake::new(machine());
    let framework = fake.open().unwrap();
    for name in [
        "weights/a.bin",
        "@model_path/../a.bin",
        "@model_path//etc/passwd",
        "@model_path/",
        "@model_path/a/../../b",
        "@model_path/model.mil",
    ] {
        let weights = [(name, &[0u8][..])];
        let e = load(&framework, &Program { text: SUM.text, weights: &weights }).unwrap_err();
        assert!(matches!(e, Error::Invalid(_)), "{name}: {e}");
    }
    let weights = [("@model_path/a", &[0u8][..]); 2];
    let e = load(&framework, &Program { text: SUM.text, weights: &weights }).unwrap_err();
    assert!(e.to_string().contains("given twice"), "{e}");
    drop(framework);
    fake.finish().check();
}
