//! What a call costs besides the kernels: `cargo bench -p anemone --bench calls`.
//!
//! The same small program runs in every row, and its results are compared before anything is measured. The first row is the
//! plan alone, on slices; what a row takes more is the way there. Rows over the stand-in for Apple's side have in them what
//! the stand-in does to compute, which on a Mac is the engine.

#[path = "../tests/ane/software.rs"]
mod software;

use anemone::chip::Chip;
use anemone::device::{self, Engine, Options};
use anemone::graph::Built;
use anemone::types::{DType, Tensor};
use anemone::{Client, CompileOptions, Executable, Graph, Shape, TensorData};
use anemone_apple::fake::Fake;
use divan::Bencher;

fn main() {
    divan::main();
}

/// 128 numbers, in surfaces without and with padding between the rows.
const SHAPES: [Form; 2] = [
    Form { name: "dense", shape: Shape { batch: 1, channels: 2, height: 1, width: 64 } },
    Form { name: "padded", shape: Shape { batch: 1, channels: 4, height: 8, width: 4 } },
];

struct Form {
    name: &'static str,
    shape: Shape,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// `relu(x + x)`.
fn graph(shape: Shape) -> Graph {
    let mut g = Graph::new();
    let x = g.placeholder(shape);
    let twice = g.addition(x, x);
    g.relu(twice);
    g
}

fn built(shape: Shape) -> Built {
    graph(shape).build().expect("the graph is right")
}

fn input() -> Vec<f32> {
    (0..128).map(|i| i as f32 - 64.0).collect()
}

/// Panics unless these are the results.
fn check(found: &[f32]) {
    let wanted: Vec<f32> = input().iter().map(|x| (x + x).max(0.0)).collect();
    assert_eq!(found, wanted);
}

fn tensor(shape: Shape) -> Tensor {
    let numbers: Vec<f64> = input().into_iter().map(f64::from).collect();
    Tensor::from_f64s(DType::Fp16, &shape.dims(), &numbers).expect("the numbers fit")
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f64s().into_iter().map(|v| v as f32).collect()
}

fn options() -> Options {
    Options { threads: 1, ..Options::default() }
}

/// The plan, on slices.
#[divan::bench(args = &SHAPES)]
fn a_plan(bencher: Bencher<'_, '_>, form: &Form) {
    let built = built(form.shape);
    let model = device::load(built.verified.main(), Engine::Cpu, &options()).expect("it loads");
    let plan = model.plan().expect("all shapes are known");
    let (x, mut y) = (tensor(form.shape), tensor(form.shape));
    let mut arena = plan.arena();
    let results = y.bytes_mut().expect("the tensor is ours alone");
    let mut run = || plan.run(&mut arena, &[x.bytes()], &mut [&mut *results], &mut [], 1).expect("it runs");
    run();
    bencher.bench_local(&mut run);
    check(&numbers(&y));
}

/// The loaded function, on tensors, which gives new ones.
#[divan::bench(args = &SHAPES)]
fn b_device(bencher: Bencher<'_, '_>, form: &Form) {
    let built = built(form.shape);
    let model = device::load(built.verified.main(), Engine::Cpu, &options()).expect("it loads");
    let (x, states) = (tensor(form.shape), model.new_states().expect("there are none"));
    let run = || model.run(&[("input_0", x.clone())], &states).expect("it runs");
    check(&numbers(run()[0].1.as_tensor().expect("it is a tensor")));
    bencher.bench_local(run);
}

/// A program on an engine, and its tensors.
struct Setting {
    exe: Executable,
    x: TensorData,
    y: TensorData,
    /// What the engine stands on, if it is not ours.
    _fake: Option<Fake>,
}

impl Setting {
    fn new(client: &Client, shape: Shape, fake: Option<Fake>) -> Self {
        let exe = graph(shape).compile_on(client, CompileOptions::default()).expect("it compiles");
        let [x, y] = [(); 2].map(|()| TensorData::on(client, shape).expect("there is room"));
        x.copy_from_f32(&input());
        exe.run_cached(&[&x], &[&y]).expect("it runs");
        check(&y.read_f32());
        Self { exe, x, y, _fake: fake }
    }

    fn software(form: &Form) -> Self {
        Self::new(&Client::software(Chip::M4), form.shape, None)
    }

    fn fake(form: &Form) -> Self {
        let fake = Fake::new(software::machine(Engine::Cpu));
        let client = Client::over(&fake.open().expect("the tables are those of a system that works"));
        Self::new(&client, form.shape, Some(fake))
    }

    fn run_cached(&self) {
        self.exe.run_cached(&[&self.x], &[&self.y]).expect("it runs");
    }

    fn run(&self) {
        self.exe.run(&[&self.x], &[&self.y]).expect("it runs");
    }
}

#[divan::bench(args = &SHAPES)]
fn c_run_cached_on_cpu(bencher: Bencher<'_, '_>, form: &Form) {
    let s = Setting::software(form);
    bencher.bench_local(|| s.run_cached());
}

/// With a binding that is made for the run.
#[divan::bench(args = &SHAPES)]
fn d_run_on_cpu(bencher: Bencher<'_, '_>, form: &Form) {
    let s = Setting::software(form);
    bencher.bench_local(|| s.run());
}

#[divan::bench(args = &SHAPES)]
fn e_run_cached_over_the_stand_in(bencher: Bencher<'_, '_>, form: &Form) {
    let s = Setting::fake(form);
    bencher.bench_local(|| s.run_cached());
}

/// With a binding that is made for the run.
#[divan::bench(args = &SHAPES)]
fn f_run_over_the_stand_in(bencher: Bencher<'_, '_>, form: &Form) {
    let s = Setting::fake(form);
    bencher.bench_local(|| s.run());
}
