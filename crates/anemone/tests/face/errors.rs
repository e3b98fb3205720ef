//! What goes wrong behind the interfaces, and what is said of it.

use anemone::device::Engine;
use anemone::driver::{Program, Source, Surface};
use anemone::{Client, CompileOptions, Error, Graph, ModelType, Shape, TensorData};
use anemone_apple::fake::{Fake, Faults, Machine, Tables};

use crate::software;

const COPY: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 64]> x) {
    tensor<fp16, [1, 1, 1, 64]> y = identity(x = x); } -> (y); }";

const SHAPE: Shape = Shape::spatial(1, 1, 64);

/// What a client over a machine that misbehaves gives.
fn over<R>(machine: Machine, faults: Faults, test: impl FnOnce(&Client) -> R) -> R {
    let fake = Fake::with(machine, faults);
    let result = test(&Client::over(&fake.open().unwrap()));
    let report = fake.report();
    assert!(report.wrong.is_empty() && report.surfaces == 0 && report.loaded == 0, "{report:?}");
    result
}

fn machine() -> Machine {
    software::machine(Engine::Cpu)
}

/// A kernel is compiled, loaded and run once.
fn kernel(client: &Client) -> Result<(), Error> {
    let mut program = Program::compile_on(client, &Source::from_text(COPY, 1, 64, 1, 64), &[])?;
    program.load()?;
    let [x, y] = [TensorData::on(client, SHAPE)?, TensorData::on(client, SHAPE)?];
    program.run(x.surface(), y.surface())
}

/// A graph is compiled and run once, in this way.
fn graph(client: &Client, cached: bool) -> Result<(), Error> {
    let mut g = Graph::new();
    let x = g.placeholder(SHAPE);
    g.relu(x);
    let exe = g.compile_on(client, CompileOptions::default())?;
    let [x, y] = [exe.new_input(0)?, exe.new_output(0)?];
    if cached { exe.run_cached(&[&x], &[&y]) } else { exe.run(&[&x], &[&y]) }
}

/// Faults of Apple's side, with the kind of error and a word of what is said.
fn faults() -> [(Faults, &'static str, &'static str); 5] {
    [
        (
            Faults { compile_error: Some("ANECCompile() FAILED: out of mood".into()), ..Faults::default() },
            "Compile",
            "out of mood",
        ),
        (Faults { compile_silently_fails: true, ..Faults::default() }, "Compile", "compile"),
        (Faults { busy_loads: 9, ..Faults::default() }, "ModelLoad", "load"),
        (Faults { evaluate_status: Some(0x1d), ..Faults::default() }, "Eval", "0x1d"),
        (Faults { surface_limit: Some(16), ..Faults::default() }, "Surface", "surface"),
    ]
}

fn kind(e: &Error) -> String {
    format!("{e:?}").split(['(', ' ']).next().unwrap_or_default().to_string()
}

/// Rows T1, T3, G11: each failure of a kernel has its kind, and the words of Apple's code.
#[test]
fn failures_of_kernels_have_their_kind() {
    over(machine(), Faults::default(), |client| kernel(client).unwrap());
    for (faults, expected, word) in faults() {
        let e = over(machine(), faults, |client| kernel(client).unwrap_err());
        assert_eq!(kind(&e), expected, "{e:?}");
        assert!(e.to_string().contains(word), "{e}");
    }
    assert!(matches!(Surface::new(0), Err(Error::Surface(_))));
    // Files cannot be written below a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let machine = Machine { temporary: file.path().join("below"), ..machine() };
    let e = over(machine, Faults::default(), |client| kernel(client).unwrap_err());
    assert_eq!(kind(&e), "Io", "{e:?}");
}

/// Rows T4, T3: the same of executables; what is bound must be of the engine; a way that is missing says so.
#[test]
fn failures_of_executables_have_their_kind() {
    for cached in [false, true] {
        over(machine(), Faults::default(), |client| graph(client, cached).unwrap());
        for (faults, expected, word) in faults() {
            let e = over(machine(), faults, |client| graph(client, cached).unwrap_err());
            assert_eq!(kind(&e), expected, "{e:?}");
            assert!(e.to_string().contains(word), "{e}");
        }
    }
    if let Err(e) = Client::hardware() {
        assert!(matches!(e, Error::NoAne), "{e}");
    }
    let tables = Tables::newest()
        .without("-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]")
        .without("_ANEPerformanceStats");
    over(Machine { tables, ..machine() }, Faults::default(), |client| {
        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        g.relu(x);
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let [x, y] = [exe.new_input(0).unwrap(), exe.new_output(0).unwrap()];
        let host = TensorData::from_surface(
            Client::software(Default::default()).surface(x.layout()).unwrap(),
            SHAPE,
        );
        let e = exe.run(&[&host.unwrap()], &[&y]).unwrap_err();
        assert!(matches!(e, Error::Surface(_)), "{e:?}");
        let e = exe.run_cached_direct(&[&x], &[&y]).unwrap_err();
        assert_eq!(kind(&e), "UnsupportedSelector", "{e:?}");
        let e = exe.run_cached_with_stats(&[&x], &[&y]).unwrap_err();
        assert_eq!(kind(&e), "UnsupportedSelector", "{e:?}");
        exe.run_cached(&[&x], &[&y]).unwrap();
    });
    let told = over(machine(), Faults { no_counters: true, ..Faults::default() }, |client| {
        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        g.relu(x);
        let exe = g.compile_on(client, CompileOptions::default()).unwrap();
        let [x, y] = [exe.new_input(0).unwrap(), exe.new_output(0).unwrap()];
        x.copy_from_f32(&[2.0; 64]);
        let e = exe.run_cached_with_stats(&[&x], &[&y]).unwrap_err();
        // It has run.
        assert_eq!(*y.read_f32(), [2.0; 64]);
        e
    });
    assert!(told.to_string().contains("did not say how long"), "{told}");
}

/// What a call says that a user got wrong.
#[track_caller]
fn says<T>(result: Result<T, Error>, words: &str) {
    let e = result.err().expect("it is wrong").to_string();
    assert!(e.contains(words), "{e}");
}

/// Rows B13, H21: what is wrong with a text is said with its line and column, and what is wrong with options by their names.
#[test]
fn mistakes_of_a_user_are_told_where_they_are() {
    let client = Client::software(anemone::chip::Chip::M4);
    let text = |text: &str| CompileOptions { mil_text: text.into(), ..CompileOptions::default() };
    says(client.compile(text(&COPY.replace("identity", "identify"))), "(line 2, column 37)");
    says(client.compile(text("hello")), "(line 1, column 1)");
    let source = Source::from_text(COPY.replace("identity", "identify"), 1, 64, 1, 64);
    says(Program::compile_on(&client, &source, &[]), "(line 2, column 37)");
    says(Program::compile_on(&client, &Source::from_text(COPY, 1, 64, 2, 64), &[]), "column");
    let nothing = Source::matmul(0, 1, 1);
    says(Program::compile_on(&client, &nothing, &[]), "1 rows of 0 numbers and 1 columns has no elements (");

    let package = || CompileOptions { model_type: ModelType::Package, ..CompileOptions::default() };
    says(client.compile(package()), "give `package_path`");
    let both = CompileOptions { mil_text: COPY.into(), package_path: "a.mlmodelc".into(), ..package() };
    says(client.compile(both), "set `model_type` to `ModelType::Mil`");
    let missing = CompileOptions { package_path: "not/there.mlmodelc".into(), ..package() };
    let e = client.compile(missing).unwrap_err().to_string();
    assert_eq!(e.matches("not/there.mlmodelc").count(), 1, "{e}");

    let mut model = client.compile(text(COPY)).unwrap();
    says(model.write_input_fp16_channels(0, 1, &[0.0; 64]), "`x` has no channel 1: it has 1");
    says(
        model.write_input_fp16_channels(0, 0, &[0.0; 2]),
        "in whole channels of 64, takes 64, and 2 were given",
    );
    says(model.bind(&[], &[]), "the list of inputs takes 1, and 0 were given");
}

/// Row E6: a constant that fp16 does not hold becomes infinite, and that is told.
#[test]
fn constants_that_become_infinite_are_told() {
    for (number, told) in [(65504.0, 0), (65519.0, 0), (1e6, 1), (f32::INFINITY, 0)] {
        let mut g = Graph::new();
        let x = g.placeholder(SHAPE);
        let many = g.constant(&[number; 64], SHAPE);
        let one = g.constant_with_scalar(number, SHAPE);
        let y = g.addition(x, many);
        g.addition(y, one);
        let warnings = g.build().unwrap().warnings;
        assert_eq!(warnings.iter().count(), 2 * told, "{number}: {warnings}");
    }
}

/// Row G13: a panic of a closure's caller names the caller's line.
#[test]
fn panics_name_the_line_of_the_caller() {
    let surface = Surface::new(64).unwrap();
    let file = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new({
        let (file, here) = (file.clone(), std::thread::current().id());
        move |info| {
            // Other tests panic too.
            if std::thread::current().id() == here {
                *file.lock().unwrap() = info.location().map_or_else(String::new, |l| l.file().into());
            }
        }
    }));
    let both = std::panic::AssertUnwindSafe(|| surface.write(|_| surface.read(|_| ())));
    let panicked = std::panic::catch_unwind(both).is_err();
    std::panic::set_hook(before);
    assert!(panicked && file.lock().unwrap().ends_with("errors.rs"), "{file:?}");
}
