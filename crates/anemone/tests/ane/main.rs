//! The path to Apple's engine, over a stand-in for Apple's side that computes with this library: every program gives
//! what it gives when it is run without the detour, to the bit.

mod software;

use std::fs;
use std::path::{Path, PathBuf};

use anemone::bundle;
use anemone::device::ane::{Compiled, Error, Framework, Loaded, Settings, Source};
use anemone::device::{self, Engine, Options};
use anemone::mil::Value;
use anemone::types::{DType, Tensor, Type};
use anemone::verify::{self, Verified};
use anemone_apple::Log;
use anemone_apple::doctor::{self, Places};
use anemone_apple::fake::{Fake, Faults};
use software::machine;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Numbers that differ from element to element.
fn counting(dtype: DType, shape: &[usize]) -> Tensor {
    let n = shape.iter().product::<usize>();
    let numbers: Vec<f64> = (0..n)
        .map(|i| if dtype.is_float() { (i * 37 % 101) as f64 / 64.0 - 0.5 } else { (i % 3) as f64 })
        .collect();
    Tensor::from_f64s(dtype, shape, &numbers).expect("the numbers fit")
}

fn inputs(model: &device::Loaded) -> Option<Vec<(&str, Tensor)>> {
    let one = |f: &device::Feature| match &f.ty {
        Type::Tensor(t) => Some(counting(t.dtype, &t.shape.known()?)),
        _ => None,
    };
    model.inputs().iter().map(|f| Some((&*f.name, one(f)?))).collect()
}

fn load(framework: &Framework, source: &Source) -> Result<Loaded, Error> {
    Compiled::of_source(framework, source, Settings::default())?.load()
}

/// Runs every function of a program on the way over Apple's side and without it, and compares the bits.
fn compare(name: &str, framework: &Framework, source: &Source, verified: &Verified) -> Result<(), String> {
    let model = load(framework, source).map_err(|e| format!("{name}: {e}"))?;
    for function in verified.functions() {
        let options = Options { threads: 1, ..Options::default() };
        let Ok(direct) = device::load(function, Engine::Cpu, &options) else { continue };
        let Some(given) = inputs(&direct) else { continue };
        let expected = direct.new_states().and_then(|s| direct.run(&given, &s));
        // Twice, since the second run uses the surfaces of the first.
        for _ in 0..2 {
            match (model.run(&function.name, &given), &expected) {
                (Ok(found), Ok(expected)) => {
                    for ((n, a), (_, b)) in found.iter().zip(expected) {
                        let (Some(a), Some(b)) = (a.as_tensor(), b.as_tensor()) else { continue };
                        if !a.same_bits(b) {
                            return Err(format!("{name}: `{n}` differs"));
                        }
                    }
                }
                // What the program refuses to compute is refused on both ways.
                (Err(_), Err(_)) => {}
                (a, b) => return Err(format!("{name}: {a:?} on the one way, {b:?} on the other")),
            }
        }
    }
    Ok(())
}

/// Every model below a folder that is made of files of these endings.
fn models(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.to_string_lossy();
        if [".mil", ".mlpackage", ".mlmodelc"].iter().any(|e| name.ends_with(e)) {
            found.push(path);
        } else if path.is_dir() {
            models(&path, found);
        }
    }
}

#[test]
fn programs_give_the_same_on_the_way_over_apples_side() {
    let mut paths = Vec::new();
    models(&root().join("corpus/right"), &mut paths);
    assert!(paths.len() > 30, "there were more models once: {}", paths.len());
    let (mut ran, mut left_out, mut wrong) = (0, Vec::new(), Vec::new());
    for path in paths {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let bundle = bundle::open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let Some(verified) = verify::verify(&bundle.program, &bundle.weights).verified else { continue };
        match Source::of(&bundle.program, &verified, &bundle.weights) {
            // What the engine does not take is said to be that, and nothing else.
            Err(why) if why.iter().all(|d| d.code.name == "not-for-ane" || d.code.name == "blob-missing") => {
                left_out.push(name);
            }
            Err(why) => wrong.push(format!("{name}: {why}")),
            Ok(source) => {
                // A fake of its own for each, since a process may compile so many programs only.
                let fake = Fake::new(machine(Engine::Cpu));
                let framework = fake.open().unwrap();
                match compare(&name, &framework, &source, &verified) {
                    Ok(()) => ran += 1,
                    Err(e) => wrong.push(e),
                }
                drop(framework);
                fake.finish().check();
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 20, "only {ran} programs ran; left out: {left_out:#?}");
}

const LINEAR: &str =
    "program(1.3) { func main<ios18>(tensor<fp16, [1, 3, 1, 5]> b, tensor<fp16, [1, 3, 1, 5]> a) {
    tensor<fp16, [1, 3, 1, 5]> d = sub(x = a, y = b);
    tensor<fp16, [1, 3, 1, 5]> y = mul(x = d, y = fp16(2)); } -> (y, d); }";

fn source(text: &str) -> (Source, Verified) {
    let program = anemone::text::parse(text).unwrap();
    let weights = bundle::Weights::none();
    let report = verify::verify(&program, &weights);
    let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
    (Source::of(&program, &verified, &weights).unwrap(), verified)
}

fn f16s(values: [f64; 15]) -> Tensor {
    Tensor::from_f64s(DType::Fp16, &[1, 3, 1, 5], &values).unwrap()
}

/// Row B21: what a program says of what built it stays, and one that says nothing is given what the compiler asks for.
#[test]
fn the_text_says_what_built_it() {
    let with = |info: &str| {
        let (source, _) = source(&LINEAR.replacen("program(1.3)", &format!("program(1.3)\n{info}"), 1));
        let program = anemone::text::parse(source.text()).unwrap();
        let info: Vec<_> = program.attributes.iter().filter(|a| a.name == "buildInfo").collect();
        assert_eq!(info.len(), 1, "{}", source.text());
        let Value::Dict(_, pairs) = &info[0].value else { panic!("{}", source.text()) };
        let words = |value: &Value| value.as_str().unwrap().to_owned();
        pairs.iter().map(|(key, value)| (words(key), words(value))).collect::<Vec<_>>()
    };
    let own = "[buildInfo = dict<string, string>({{\"coremlc-version\", \"3600.16.1\"}})]";
    assert_eq!(with(own), [("coremlc-version".to_owned(), "3600.16.1".to_owned())]);
    let keys: Vec<String> = with("").into_iter().map(|(key, _)| key).collect();
    let wanted = [
        "coremlc-component-MIL",
        "coremlc-version",
        "coremltools-component-milinternal",
        "coremltools-version",
    ];
    assert_eq!(keys, wanted);
}

#[test]
fn literals_get_a_const_and_statements_a_name() {
    let (source, _) = source(LINEAR);
    let text = source.text();
    assert!(text.contains("fp16 y_y = const()[name = string(\"y_y\"), val = fp16(0x1p+1)];"), "{text}");
    assert!(text.contains("mul(x = d, y = y_y)[name = string(\"y\")]"), "{text}");
}

#[test]
fn a_second_run_sends_one_message() {
    let fake = Fake::new(machine(Engine::Cpu));
    let log = Log::new();
    let framework = fake.open_logged(&log).unwrap();
    let model = load(&framework, &source(LINEAR).0).unwrap();
    let (a, b) = (f16s([3.0; 15]), f16s([1.0; 15]));
    let run = || model.run("main", &[("a", a.clone()), ("b", b.clone())]).unwrap();
    run();
    log.take();
    let outputs = run();
    assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [4.0; 15]);
    assert_eq!(outputs[1].1.as_tensor().unwrap().to_f64s(), [2.0; 15]);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]"), "{lines:?}");
    drop((model, framework));
    fake.finish().check();
}

#[test]
fn threads_have_surfaces_of_their_own() {
    let fake = Fake::new(machine(Engine::Cpu));
    let framework = fake.open().unwrap();
    let model = load(&framework, &source(LINEAR).0).unwrap();
    std::thread::scope(|scope| {
        for t in 0..4 {
            let model = &model;
            scope.spawn(move || {
                for i in 0..50 {
                    let (a, b) = (f16s([f64::from(t * 50 + i); 15]), f16s([f64::from(t); 15]));
                    let outputs = model.run("main", &[("a", a), ("b", b)]).unwrap();
                    let expected = f64::from(t * 50 + i - t);
                    assert_eq!(outputs[1].1.as_tensor().unwrap().to_f64s(), [expected; 15]);
                }
            });
        }
    });
    drop((model, framework));
    fake.finish().check();
}

#[test]
fn what_is_given_is_compared_before_anything_is_sent() {
    let fake = Fake::new(machine(Engine::Cpu));
    let framework = fake.open().unwrap();
    let model = load(&framework, &source(LINEAR).0).unwrap();
    let refused =
        |function: &str, inputs: &[(&str, Tensor)]| model.run(function, inputs).unwrap_err().to_string();
    let x = || f16s([0.0; 15]);
    assert!(refused("main", &[("a", x())]).contains("`b` is not given"));
    assert!(refused("main", &[("a", x()), ("b", x()), ("c", x())]).contains("no input `c`"));
    assert!(refused("other", &[]).contains("no function `other`"));
    let wide = Tensor::from_f64s(DType::Fp32, &[1, 3, 1, 5], &[0.0; 15]).unwrap();
    assert!(refused("main", &[("a", wide), ("b", x())]).contains("input-type"));
    drop((model, framework));
    fake.finish().check();
}

#[test]
fn a_refusal_of_the_engine_keeps_its_words_and_says_what_to_do() {
    let faults = Faults { evaluate_status: Some(0x1d), ..Faults::default() };
    let fake = Fake::with(machine(Engine::Cpu), faults);
    let framework = fake.open().unwrap();
    let model = load(&framework, &source(LINEAR).0).unwrap();
    let e = model.run("main", &[("a", f16s([0.0; 15])), ("b", f16s([0.0; 15]))]).unwrap_err().to_string();
    assert!(e.contains("status=0x1d") && e.contains("multiple of 64 bytes"), "{e}");
    // The next run finds everything in order.
    fake.set_faults(Faults::default());
    model.run("main", &[("a", f16s([0.0; 15])), ("b", f16s([0.0; 15]))]).unwrap();
    drop((model, framework));
    fake.finish().check();
}

#[test]
fn a_checkup_makes_its_first_dispatch() {
    let fake = Fake::new(machine(Engine::Reference));
    let folder = tempfile::tempdir().unwrap();
    let places = Places { temporary: folder.path().to_path_buf(), caches: None };
    let checkup = fake.raw(|abi| doctor::over(abi, &places, "over a fake"));
    assert!(checkup.works(), "{checkup}");
    fake.finish().check();
}
