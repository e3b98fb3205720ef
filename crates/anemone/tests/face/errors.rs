//! What goes wrong behind the interfaces, and what is said of it.

use anemone::device::Engine;
use anemone::driver::{Program, Source, Surface};
use anemone::{Client, CompileOptions, Error, Graph, Shape, TensorData};
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
