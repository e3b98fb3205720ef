//! What the software engine does when it is asked to misbehave, on each interface, beside what comes of the same faults
//! over the stand-in for Apple's side.

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anemone::chip::{Chip, Numerics};
use anemone::device::Engine;
use anemone::driver::{Program, Source, Surface};
use anemone::faults::{Call, Fault, Faults, MODES, When};
use anemone::{
    Client, CompileOptions, Error, Graph, Model, ModelType, Shape, SharedEvent, SharedEventEvalOptions,
    TensorData,
};
use anemone_apple::fake::{self, Fake, Gate, Machine, Tables};

use crate::software;

const LONG: Duration = Duration::from_secs(60);

/// A client that these faults strike.
fn struck(faults: &Faults) -> Client {
    Client::software_with_faults(Chip::M4, Numerics::Ieee, faults)
}

fn one(fault: Fault, when: When) -> Faults {
    Faults::none().with(fault, when)
}

/// What an error says, in a line.
fn told(e: &Error) -> String {
    let kind = format!("{e:?}").split(['(', ' ']).next().unwrap_or_default().to_string();
    match e {
        Error::Compile(a) | Error::ModelLoad(a) | Error::Eval(a) | Error::VirtualClientUnavailable(a) => {
            format!("{kind} {} {}: {e}", a.class, a.code)
        }
        _ => format!("{kind}: {e}"),
    }
}

fn outcome<T>(result: Result<T, Error>, shown: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|e| told(&e), shown)
}

fn options(text: &str) -> CompileOptions {
    CompileOptions { mil_text: text.into(), ..CompileOptions::default() }
}

/// A program that adds a number, in numbers of this dtype, and repeats its result if it is to.
fn program(number: u32, dtype: &str, tile: bool) -> String {
    let (last, body) = match tile {
        true => (64, "tile(x = a, reps = r)"),
        false => (32, "identity(x = a)"),
    };
    format!(
        "program(1.3) {{ func main<ios18>(tensor<{dtype}, [1, 1, 1, 32]> x) {{
            {dtype} n = const()[val = {dtype}({number})];
            tensor<int32, [4]> r = const()[val = tensor<int32, [4]>([1, 1, 1, 2])];
            tensor<{dtype}, [1, 1, 1, 32]> a = add(x = x, y = n);
            tensor<{dtype}, [1, 1, 1, {last}]> y = {body}; }} -> (y); }}"
    )
}

fn evaluated(model: &mut Model, value: f32) -> String {
    let mut run = || {
        model.write_input_f32(0, &[value; 32])?;
        model.eval()?;
        let mut y = vec![0.0; model.outputs()[0].layout.logical_elements()];
        model.read_output_f32(0, &mut y)?;
        assert!(y.iter().all(|v| *v == y[0]), "{y:?}");
        Ok(y[0].to_string())
    };
    outcome(run(), |y| y)
}

/// Three programs are compiled and loaded, each is run three times and let go.
fn story(client: &Client, dtype: &str, tile: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 1..=3 {
        match client.compile(options(&program(number, dtype, tile))) {
            Ok(mut model) => lines.extend((1u8..=3).map(|i| evaluated(&mut model, f32::from(10 * i)))),
            Err(e) => lines.push(told(&e)),
        }
    }
    lines
}

/// The same story on the hardware's path.
fn on_hardware(machine: Machine, faults: fake::Faults, dtype: &str, tile: bool) -> Vec<String> {
    let fake = Fake::with(machine, faults);
    story(&Client::over(&fake.open().unwrap()), dtype, tile)
}

fn machine() -> Machine {
    software::machine(Engine::Cpu)
}

/// Rows T1, T2: what an application sees is what it sees over Apple's side with the same fault, to the word.
#[test]
fn faults_show_as_they_do_on_the_path_to_the_hardware() {
    let none = fake::Faults::default;
    let refused = || Some("_ANECompiler : ANECCompile() FAILED: err=()".to_string());
    for (faults, theirs, tile) in [
        ("", none(), false),
        ("compile-refused", fake::Faults { compile_error: refused(), ..none() }, false),
        ("compile-silent", fake::Faults { compile_silently_fails: true, ..none() }, false),
        ("compiler-dies=..1", fake::Faults { dying_compiler: 1, ..none() }, false),
        ("compiler-dies=..2", fake::Faults { dying_compiler: 2, ..none() }, false),
        ("folder-vanishes=..1", fake::Faults { vanishing_folders: 1, ..none() }, false),
        ("load-busy=..1", fake::Faults { busy_loads: 1, ..none() }, false),
        ("load-busy=..2", fake::Faults { busy_loads: 2, ..none() }, false),
        ("load-busy=..3", fake::Faults { busy_loads: 3, ..none() }, false),
        (
            "evaluate-refused=3..",
            fake::Faults { evaluate_status: Some(0x1d), after_evaluations: 2, ..none() },
            false,
        ),
        ("evaluate-timeout", fake::Faults { hang: Some(Gate::opened()), ..none() }, false),
        ("zero-outputs", fake::Faults { zero_outputs: true, ..none() }, false),
        ("tile-poisons", fake::Faults { tile_poisons: true, ..none() }, true),
        ("tile-poisons", fake::Faults { tile_poisons: true, ..none() }, false),
        ("surface-refused", fake::Faults { surface_limit: Some(16), ..none() }, false),
    ] {
        let ours = story(&struck(&faults.parse().unwrap()), "fp16", tile);
        assert_eq!(ours, on_hardware(machine(), theirs, "fp16", tile), "{faults}");
    }
    // The words have a folder of the machine in them, or are those of another reason.
    let kinds = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|l| l.split(':').next().unwrap().to_string()).collect()
    };
    let ours = |faults: &str| kinds(story(&struck(&faults.parse().unwrap()), "fp16", false));
    let vanishing = fake::Faults { vanishing_folders: 2, ..none() };
    assert_eq!(
        ours("folder-vanishes=..2")[1..],
        kinds(on_hardware(machine(), vanishing, "fp16", false))[1..]
    );
    assert_eq!(ours("folder-vanishes=..2")[0], "Compile com.apple.appleneuralengine 16");
    assert!(ours("virtual-machine").iter().all(|l| l.starts_with("VirtualClientUnavailable")));
}

/// Rows O1, O4, H4: places that are lost run out, and a budget that is spent is told before the system goes silent.
#[test]
fn what_a_process_may_have_runs_out() {
    let theirs = Fake::with(machine(), fake::Faults { budget_leaks: true, ..fake::Faults::default() });
    let run_out = |client: &Client| {
        let text = program(1, "fp16", false);
        let failed = (1..200).find_map(|i| Some((i, told(&client.compile(options(&text)).err()?))));
        failed.expect("places run out")
    };
    let ours = run_out(&struck(&one(Fault::PlacesLeak, When::Always)));
    assert_eq!(ours, run_out(&Client::over(&theirs.open().unwrap())));
    assert!(ours.0 == 128 && ours.1.starts_with("ModelLoad com.apple.appleneuralengine 6"), "{ours:?}");

    let faults = one(Fault::CompileBudget, When::From(111));
    let (ours, fake) = (struck(&faults), Fake::new(machine()));
    let spent = |client: &Client| {
        let compile = |i: u32| client.compile(options(&program(i, "fp16", false)));
        (1..200).find_map(|i| Some((i, told(&compile(i).err()?)))).unwrap()
    };
    assert_eq!(spent(&ours), spent(&Client::over(&fake.open().unwrap())));
    assert_eq!(faults.strikes().len(), 1);
}

/// Programs that are lost are found again by whoever compiles them anew; others are lost with them.
#[test]
fn a_daemon_that_restarts_loses_all_programs() {
    let faults = one(Fault::ProgramLost, When::Nth(2));
    let client = struck(&faults);
    let [mut a, mut b] = [1, 2].map(|n| client.compile(options(&program(n, "fp16", false))).unwrap());
    assert_eq!(evaluated(&mut a, 1.0), "2");
    for lost in [evaluated(&mut b, 1.0), evaluated(&mut a, 1.0), evaluated(&mut b, 1.0)] {
        assert!(lost.starts_with("Eval com.apple.appleneuralengine 23: "), "{lost}");
    }
    let mut again = client.compile(options(&program(2, "fp16", false))).unwrap();
    assert_eq!(evaluated(&mut again, 1.0), "3");
    assert_eq!(faults.strikes().iter().map(|s| s.number).collect::<Vec<_>>(), [2, 3, 4]);
}

const ATTENTION: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 2, 32]> q, tensor<fp16, [1, 1, 2, 2]> m) {
    tensor<fp16, [1, 1, 2, 32]> y = scaled_dot_product_attention(query = q, key = q, value = q, attn_mask = m);
    } -> (y); }";

const CONV: &str =
    "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 32]> x, tensor<fp16, [1, 1, 1, 1]> w) {
    tensor<fp16, [1, 1, 1, 32]> y = conv(x = x, weight = w, strides = tensor<int32, [2]>([1, 1]),
        pad_type = string(\"valid\"), pad = tensor<int32, [4]>([0, 0, 0, 0]),
        dilations = tensor<int32, [2]>([1, 1]), groups = int32(1)); } -> (y); }";

/// What a program gives of these inputs.
fn result(faults: &Faults, text: &str, inputs: &[&[f32]]) -> Vec<f32> {
    let mut model = struck(faults).compile(options(text)).unwrap();
    for (i, values) in inputs.iter().enumerate() {
        model.write_input_f32(i, values).unwrap();
    }
    model.eval().unwrap();
    let mut y = vec![0.0; model.outputs()[0].layout.logical_elements()];
    model.read_output_f32(0, &mut y).unwrap();
    y
}

/// Rows C9, C27, X3: what is ignored in silence gives other numbers, which are those of a program without it.
#[test]
fn what_is_ignored_gives_other_numbers() {
    let all = |faults| Faults::none().with(faults, When::Always);
    let (first, second) = ([1.0; 32], [3.0; 32]);
    let q = [first, second].concat();
    let hidden = [0.0, -20000.0, 0.0, -20000.0]; // nobody sees the second row
    assert_eq!(result(&Faults::none(), ATTENTION, &[&q, &hidden]), [first, first].concat());
    let ignored = result(&all(Fault::MaskIgnored), ATTENTION, &[&q, &hidden]);
    assert!(ignored.iter().all(|v| *v > 2.5), "{ignored:?}");
    let faults = all(Fault::WeightsIgnored);
    assert_eq!(result(&Faults::none(), CONV, &[&second, &[2.0]]), [6.0; 32]);
    assert_eq!(result(&faults, CONV, &[&second, &[2.0]]), [0.0; 32]);
    assert_eq!(faults.strikes().len(), 1);
    let fp32 = program(1, "fp32", false);
    assert_eq!(result(&Faults::none(), &fp32, &[&second]), [4.0; 32]);
    assert_eq!(result(&all(Fault::Fp32Zeros), &fp32, &[&second]), [1.0; 32]);
    // A program that has none of it is not struck.
    let every: Faults = "mask-ignored,weights-ignored,fp32-zeros".parse().unwrap();
    assert_eq!(result(&every, &program(1, "fp16", false), &[&second]), [4.0; 32]);
    assert!(every.strikes().is_empty());
}

/// Results that are old are those of the run before; the next run is right.
#[test]
fn stale_outputs_are_those_of_the_run_before() {
    let faults = one(Fault::StaleOutputs, When::Nth(2));
    let mut model = struck(&faults).compile(options(&program(1, "fp16", false))).unwrap();
    let lines: Vec<String> = [1.0, 2.0, 3.0].map(|v| evaluated(&mut model, v)).into();
    assert_eq!(lines, ["2", "2", "4"]);
}

fn package() -> (tempfile::TempDir, CompileOptions) {
    let folder = tempfile::tempdir().unwrap();
    let (mil, package) = (folder.path().join("m.mil"), folder.path().join("m.mlmodelc"));
    std::fs::write(&mil, program(1, "fp16", false)).unwrap();
    anemone::bundle::write_mlmodelc(&anemone::bundle::open(&mil).unwrap(), &package).unwrap();
    let options =
        CompileOptions { model_type: ModelType::Package, package_path: package, ..Default::default() };
    (folder, options)
}

/// What hangs is given up when it is let go, or when nobody has the faults any more; nobody waits in a thread.
#[test]
fn what_hangs_is_let_go() {
    let faults: Faults = "hangs=1/1".parse().unwrap();
    let client = struck(&faults);
    let model = client.compile(options(&program(1, "fp16", false))).unwrap();
    let mut requests: Vec<_> = (0..20).map(|_| model.new_request().unwrap()).collect();
    let (tell, hear) = mpsc::channel();
    for request in &mut requests {
        let tell = tell.clone();
        request.start_then(move |r| tell.send(told(&r.unwrap_err())).unwrap());
    }
    assert!(hear.try_recv().is_err());
    let busy = requests[0].run().unwrap_err();
    assert!(matches!(busy, Error::Surface(_)), "{busy}");
    faults.release();
    for _ in 0..20 {
        let line = hear.recv_timeout(LONG).unwrap();
        assert!(line.starts_with("Eval com.apple.appleneuralengine 3: "), "{line}");
    }
    // One that waits in its call is let go by another thread, a future by the last copy.
    let (started, start) = mpsc::channel();
    let (mut first, mut second) = (requests.remove(0), requests.remove(0));
    let waiting = std::thread::spawn(move || {
        started.send(()).unwrap();
        first.run().unwrap_err()
    });
    start.recv().unwrap();
    while faults.calls(Call::Evaluate) < 21 {
        std::thread::yield_now();
    }
    {
        let mut future = pin!(second.start());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        drop((faults, client));
        let Poll::Ready(Err(e)) = future.poll(&mut context) else { panic!("nobody has the faults") };
        assert!(matches!(e, Error::Eval(_)), "{e}");
    }
    assert!(matches!(waiting.join().unwrap(), Error::Eval(_)));
    assert!(matches!(second.run().unwrap_err(), Error::Eval(_)), "what nobody could let go does not hang");
}

/// A compiler that does not come back keeps its thread, and no other.
#[test]
fn a_compiler_that_stalls_goes_on() {
    let faults = one(Fault::CompilerStalls, When::Nth(1));
    let client = struck(&faults);
    let text = program(1, "fp16", false);
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| client.compile(options(&text)).map(drop));
        while faults.calls(Call::Compile) == 0 {
            std::thread::yield_now();
        }
        client.compile(options(&text)).unwrap();
        assert!(!stalled.is_finished());
        faults.release();
        stalled.join().unwrap().unwrap();
    });
}

/// Row K1: the events of an evaluation that is lost do not come, and who waits for its end is late.
#[test]
fn events_that_are_lost_do_not_come() {
    let faults = one(Fault::EventsLost, When::Nth(2));
    let client = struck(&faults);
    let (_folder, options) = package();
    let mut model = client.compile(options).unwrap();
    let done = SharedEvent::on(&client).unwrap();
    let how = SharedEventEvalOptions::default();
    model.eval_with_signal(&done, 1, how).unwrap();
    assert!(done.wait(1, LONG));
    model.finish(LONG).unwrap();
    model.eval_with_signal(&done, 2, how).unwrap();
    assert!(!done.wait(2, Duration::ZERO));
    assert!(matches!(model.finish(Duration::ZERO), Err(Error::TimedOut { .. })));
    faults.release();
    assert!(matches!(model.finish(LONG), Err(Error::Eval(_))));
    assert_eq!(done.signaled_value(), 1);
    model.eval_with_signal(&done, 3, how).unwrap();
    assert!(done.wait(3, LONG));
}

/// Rows L1, L2, L3, L4: a system without the other ways has the first one; statistics that are not there are an error.
#[test]
fn what_a_system_lacks_is_said_where_it_is_asked_for() {
    let faults: Faults = "shortcut-missing,no-statistics,slow=1".parse().unwrap();
    let client = struck(&faults);
    let mut request = client.compile(options(&program(1, "fp16", false))).unwrap().new_request().unwrap();
    let tables = Tables::newest()
        .without("-[_ANEClient doEvaluateDirectWithModel:options:request:qos:error:]")
        .without("-[_ANEClient evaluateRealTimeWithModel:options:request:error:]");
    let fake = Fake::new(Machine { tables, ..machine() });
    let theirs = Client::over(&fake.open().unwrap());
    let mut other = theirs.compile(options(&program(1, "fp16", false))).unwrap().new_request().unwrap();
    for request in [&mut request, &mut other] {
        request.run().unwrap();
        for e in [request.run_direct(), request.run_real_time()] {
            let e = e.unwrap_err();
            assert!(matches!(e, Error::UnsupportedSelector(_)), "{e:?}");
        }
    }
    assert!(matches!(request.run_program(), Err(Error::UnsupportedSelector(_))));
    let mut g = Graph::new();
    let x = g.placeholder(Shape::spatial(1, 1, 64));
    g.relu(x);
    let exe = g.compile_on(&client, CompileOptions::default()).unwrap();
    let [x, y] = [exe.new_input(0).unwrap(), exe.new_output(0).unwrap()];
    exe.run_cached(&[&x], &[&y]).unwrap();
    let e = exe.run_cached_with_stats(&[&x], &[&y]).unwrap_err();
    assert!(e.to_string().contains("did not say how long"), "{e}");
    assert_eq!(faults.strikes()[0].fault, Fault::Slow);
}

/// Each interface is struck at its calls, and the application knows by what.
#[test]
fn drivers_clients_and_graphs_are_struck_alike() {
    const TEXT: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 64]> x) {
        tensor<fp16, [1, 1, 1, 64]> y = relu(x = x); } -> (y); }";
    let driver = |client: &Client| {
        let mut program = Program::compile_on(client, &Source::from_text(TEXT, 1, 64, 1, 64), &[])?;
        program.load()?;
        let [x, y] = [Surface::with_shape(1, 64)?, Surface::with_shape(1, 64)?];
        program.run(&x, &y)
    };
    let model = |client: &Client| client.compile(options(TEXT))?.eval();
    let graph = |client: &Client| {
        let mut g = Graph::new();
        let x = g.placeholder(Shape::spatial(1, 1, 64));
        g.relu(x);
        let exe = g.compile_on(client, CompileOptions::default())?;
        let shape = Shape::spatial(1, 1, 64);
        exe.run(&[&TensorData::with_f32(&[1.0; 64], shape)], &[&TensorData::new(shape)])
    };
    for (fault, kind) in [
        (Fault::CompileRefused, "Compile "),
        (Fault::LoadRefused, "ModelLoad "),
        (Fault::EvaluateRefused, "Eval "),
    ] {
        type Use<'a> = &'a dyn Fn(&Client) -> Result<(), Error>;
        for attempt in [&driver as Use<'_>, &model, &graph] {
            let faults = one(fault, When::Nth(1));
            let client = struck(&faults);
            let e = told(&attempt(&client).unwrap_err());
            assert!(e.starts_with(kind), "{e}");
            attempt(&client).unwrap();
            let call = fault.mode().call;
            assert_eq!(
                faults.strikes().iter().map(ToString::to_string).collect::<Vec<_>>(),
                [format!("{call} 1: {fault}")]
            );
        }
    }
}

/// Row T1: no mix makes the engine panic, and one mix does the same twice.
#[test]
fn mixes_do_the_same_in_every_run() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let run = || {
            let faults = Faults::seeded(seed);
            let client = struck(&faults);
            let lines = [("fp16", false), ("fp32", false), ("fp16", true)].map(|(d, t)| story(&client, d, t));
            (lines, faults.strikes(), faults.waited())
        };
        let (lines, strikes, waited) = run();
        assert_eq!((lines, strikes.clone(), waited), run(), "{}", Faults::seeded(seed));
        seen.extend(strikes.iter().map(|s| s.fault));
    }
    let here = |f: &Fault| !matches!(f, Fault::SurfaceRefused) || seen.contains(f);
    assert!(seen.len() >= 14 && seen.iter().all(here), "{seen:?}");
}

/// A fault without a test here would be one that is only listed.
#[test]
fn every_fault_is_tried() {
    let here = include_str!("faults.rs");
    for mode in MODES {
        let (name, variant) = (format!("\"{}", mode.name), format!("Fault::{:?}", mode.fault));
        let listed = here.contains(&name) || here.contains(&format!(",{}", mode.name));
        assert!(listed || here.contains(&variant), "{} is not tried", mode.name);
    }
}

/// What stands between the prose and the table of `docs/faults.md`.
const MARK: &str =
    "<!-- From here on the page is written by `BLESS=1 cargo test -p anemone --test face faults`. -->\n";

#[test]
fn the_page_of_faults_has_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (prose, table) = page.split_once(MARK).expect("the page has the mark");
    let mut want =
        String::from("\n| fault | strikes | shows as | what helps | evidence |\n|---|---|---|---|---|\n");
    for m in MODES {
        want += &format!("| `{}` | {} | {} | {} | {} |\n", m.name, m.call, m.shows, m.helps, m.evidence);
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{prose}{MARK}{want}")).unwrap();
    } else {
        assert!(table == want, "docs/faults.md is old: BLESS=1 cargo test -p anemone --test face faults");
    }
}
