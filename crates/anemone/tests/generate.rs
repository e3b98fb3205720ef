//! Programs of `mil::generate`, as PyTorch has them: the runs below `golden/generators`, whose README says how they are made.
//! Each runs on both engines, and on the hardware's path over a stand-in for Apple's side.

#[path = "golden/near.rs"]
mod near;
#[path = "ane/software.rs"]
mod software;
#[path = "golden/vectors.rs"]
mod vectors;

use std::collections::BTreeSet;

use anemone::device::{self, Engine, Options};
use anemone::graph::Built;
use anemone::mil::generate::{self, FfnWeights, QkvWeights, weights};
use anemone::mil::op::Tolerance;
use anemone::source::Diagnostics;
use anemone::types::{DType, Tensor};
use anemone::{Chip, Client, CompileOptions, blob, bundle};
use anemone_apple::fake::Fake;
use half::f16;
use near::{Wanted, Within};
use vectors::{files, lines, named};

type Made = Result<Built, Diagnostics>;

/// A line: dimensions, weights and inputs by name.
struct Line<'a>(Vec<(&'a str, Tensor)>);

impl Line<'_> {
    fn tensor(&self, name: &str) -> Tensor {
        let found = self.0.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("there is no `{name}`")).1.clone()
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        self.tensor(name).to_f64s().into_iter().map(|v| v as f32).collect()
    }

    fn dims<const N: usize>(&self) -> [usize; N] {
        let dims: Vec<usize> = self.tensor("dims").to_i64s().into_iter().map(|d| d as usize).collect();
        dims.try_into().unwrap_or_else(|dims| panic!("{N} dimensions are wanted: {dims:?}"))
    }
}

/// A generator of a block forward: dimensions, and weights.
type Forward<'a> = &'a dyn Fn(usize, usize, usize, &[f32], &[f32]) -> Made;

/// The program of a line.
fn program(name: &str, line: &Line<'_>) -> Made {
    let w = |name: &str| line.numbers(name);
    let dense = |make: fn(usize, usize, usize, &[f32]) -> Made, weights: &str| {
        let [a, b, c] = line.dims();
        make(a, b, c, &w(weights))
    };
    let gated = |make: &dyn Fn(usize, usize, usize, &FfnWeights<'_>) -> Made| {
        let [dim, hidden, seq] = line.dims();
        make(dim, hidden, seq, &FfnWeights { w1: &w("w1"), w2: &w("w2"), w3: &w("w3") })
    };
    let squared = |make: Forward<'_>| {
        let [dim, hidden, seq] = line.dims();
        make(dim, hidden, seq, &w("w1"), &w("w2"))
    };
    let qkv = |make: &dyn Fn(&QkvWeights<'_>) -> Made| {
        make(&QkvWeights { norm: &w("norm"), wq: &w("wq"), wk: &w("wk"), wv: &w("wv") })
    };
    match name {
        "conv" => dense(generate::conv, "weights"),
        "conv_fp32" => dense(generate::conv_fp32, "weights"),
        "conv_fp16" => dense(generate::conv_fp16, "weights"),
        "conv_fp16_io" => dense(generate::conv_fp16_io, "weights"),
        "matmul" => dense(generate::matmul, "weights"),
        "classifier_forward" => dense(generate::classifier_forward, "embed"),
        "classifier_backward" => dense(generate::classifier_backward, "embed"),
        "sdpa_apply_forward" => dense(generate::sdpa_apply_forward, "wo"),
        "sdpa_backward_1" => dense(generate::sdpa_backward_1, "wo"),
        "conv_dynamic_fp16" => {
            let [inputs, outputs, places] = line.dims();
            generate::conv_dynamic_fp16(inputs, outputs, places)
        }
        "dynamic_matmul" => {
            let [inputs, outputs, batch] = line.dims();
            generate::dynamic_matmul(inputs, outputs, batch)
        }
        "identity" => {
            let [channels, places] = line.dims();
            generate::identity(channels, places)
        }
        "identity_fp16_io" => {
            let [channels, places] = line.dims();
            generate::identity_fp16_io(channels, places)
        }
        "scale_fp16_io" => {
            let [places] = line.dims();
            generate::scale_fp16_io(places, w("factor")[0])
        }
        "rms_norm" => {
            let [channels, places] = line.dims();
            // As the line writes it: the shortest decimals of an fp32.
            let epsilon = w("epsilon")[0].to_string().parse().unwrap();
            generate::rms_norm(channels, places, epsilon, &w("weights"))
        }
        "final_rms_norm" | "rms_norm_backward" => {
            let [dim, seq] = line.dims();
            match name {
                "final_rms_norm" => generate::final_rms_norm(dim, seq, &w("weights")),
                _ => generate::rms_norm_backward(dim, seq, &w("weights")),
            }
        }
        "final_rms_norm_dynamic" | "rms_norm_backward_dynamic" | "softmax_vocab" => {
            let [dim, seq] = line.dims();
            match name {
                "final_rms_norm_dynamic" => generate::final_rms_norm_dynamic(dim, seq),
                "rms_norm_backward_dynamic" => generate::rms_norm_backward_dynamic(dim, seq),
                _ => generate::softmax_vocab(dim, seq),
            }
        }
        "ffn_forward" => gated(&generate::ffn_forward),
        "ffn_backward" => gated(&generate::ffn_backward),
        "ffn_forward_rms" => gated(&|d, h, s, three| generate::ffn_forward_rms(d, h, s, &w("norm"), three)),
        "ffn_forward_taps" => gated(&|d, h, s, three| generate::ffn_forward_taps(d, h, s, &w("norm"), three)),
        "ffn_forward_relu2" => squared(&generate::ffn_forward_relu2),
        "ffn_backward_relu2" => squared(&generate::ffn_backward_relu2),
        "ffn_forward_rms_relu2" => {
            squared(&|d, h, s, w1, w2| generate::ffn_forward_rms_relu2(d, h, s, &w("norm"), w1, w2))
        }
        "ffn_forward_taps_relu2" => {
            squared(&|d, h, s, w1, w2| generate::ffn_forward_taps_relu2(d, h, s, &w("norm"), w1, w2))
        }
        "sdpa" => {
            let [head_dim, heads, seq] = line.dims();
            generate::sdpa(head_dim, heads, seq)
        }
        "sdpa_backward_2" => {
            let [dim, heads, seq] = line.dims();
            generate::sdpa_backward_2(dim, heads, seq)
        }
        "gqa_expand" => {
            let [kv_heads, q_heads, head_dim, seq] = line.dims();
            generate::gqa_expand(kv_heads, q_heads, head_dim, seq)
        }
        "qkv_forward_rms" => {
            let [dim, seq] = line.dims();
            qkv(&|weights| generate::qkv_forward_rms(dim, seq, weights))
        }
        "qkv_backward" => {
            let [dim, seq] = line.dims();
            generate::qkv_backward(dim, seq, &w("wq"), &w("wk"), &w("wv"))
        }
        "sdpa_forward" => {
            let [dim, heads, seq] = line.dims();
            qkv(&|weights| generate::sdpa_forward(dim, heads, seq, weights, &w("wo")))
        }
        "sdpa_forward_taps" => {
            let [dim, heads, seq] = line.dims();
            qkv(&|weights| generate::sdpa_forward_taps(dim, heads, seq, weights, &w("wo")))
        }
        other => panic!("`{other}` is no generator that this test knows"),
    }
}

/// Where a line is run.
enum On<'a> {
    Engine(Engine),
    Client(&'a Client),
}

/// Runs a line.
fn check(name: &str, cells: &[String], on: &On<'_>) -> Result<(), String> {
    let [_source, within, _note, rest @ ..] = cells else { return Err("has too few cells".into()) };
    let arrow = rest.iter().position(|c| c == "->").ok_or("has no results")?;
    let line = Line(named(&rest[..arrow]));
    let results = named(&rest[arrow + 1..]);
    let built = program(name, &line).map_err(|e| e.to_string())?;
    if !built.warnings.is_empty() {
        return Err(built.warnings.to_string());
    }
    let found = match on {
        On::Engine(engine) => on_engine(&built, &line, *engine)?,
        On::Client(client) => on_client(&built, &line, client).map_err(|e| e.to_string())?,
    };
    if found.len() != results.len() {
        return Err(format!("{} results", found.len()));
    }
    for (found, (name, tensor)) in found.iter().zip(&results) {
        let wanted = Wanted { tensor, within: Within::parse(within), tolerance: Tolerance::Exact };
        wanted.check(found).map_err(|e| format!("`{name}` {e}"))?;
    }
    Ok(())
}

fn on_engine(built: &Built, line: &Line<'_>, engine: Engine) -> Result<Vec<Tensor>, String> {
    let main = built.verified.main();
    let model = device::load(main, engine, &Options { threads: 2, ..Options::default() });
    let model = model.map_err(|e| e.to_string())?;
    let inputs: Vec<(&str, Tensor)> = main.inputs().map(|v| (&*v.name, line.tensor(&v.name))).collect();
    let states = model.new_states().map_err(|e| e.to_string())?;
    let found = model.run(&inputs, &states).map_err(|e| e.to_string())?;
    found.iter().map(|(_, datum)| datum.as_tensor().cloned().ok_or("gives no tensor".into())).collect()
}

fn on_client(built: &Built, line: &Line<'_>, client: &Client) -> Result<Vec<Tensor>, anemone::Error> {
    let mut model = client.compile_program(&built.program, &built.weights, &CompileOptions::default())?;
    for i in 0..model.num_inputs() {
        let numbers = line.numbers(&model.inputs()[i].name);
        model.write_input_f32(i, &numbers)?;
    }
    model.eval()?;
    let mut found = Vec::new();
    for (i, port) in model.outputs().iter().enumerate() {
        let mut numbers = vec![0.0; port.shape.iter().product()];
        model.read_output_f32(i, &mut numbers)?;
        let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
        found.push(Tensor::from_f64s(port.dtype, &port.shape, &numbers).unwrap());
    }
    Ok(found)
}

/// Rows P10, Q8: each program gives what PyTorch gives, and gradients are those of its autograd.
#[test]
fn programs_give_what_pytorch_gives() {
    let fake = Fake::new(software::machine(Engine::Cpu));
    let client = Client::over(&fake.open().unwrap());
    let mut everywhere = vec![(On::Client(&client), "the hardware's path".to_string())];
    everywhere.extend(Engine::ALL.map(|e| (On::Engine(e), e.to_string())));
    let (mut wrong, mut names) = (Vec::new(), BTreeSet::new());
    for path in files("generators", "tsv") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        for (number, cells) in lines(&path) {
            for (on, where_) in &everywhere {
                if let Err(e) = check(name, &cells, on) {
                    wrong.push(format!("generators/{name}.tsv:{number} ({}), {where_}: {e}", cells[2]));
                }
            }
        }
        names.insert(name.to_string());
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    // The page lists every program, and those of states, which have a test of their own.
    names.extend(["read_state", "update_state"].map(str::to_string));
    let page = include_str!("../../../docs/generate.md").split("## Coming from").next().unwrap();
    let first = |line: &'static str| line.strip_prefix("| `")?.split(['(', '`']).next();
    assert_eq!(names, page.lines().filter_map(first).map(str::to_string).collect());
    drop(client);
    fake.finish().check();
}

/// Rows P10, C45: ⚠ a state is written and read by ops that a stored program may have.
#[test]
fn states_are_written_and_read() {
    let shape = [1, 2, 1, 32];
    let built = generate::update_state("kept", shape).unwrap();
    let ops: Vec<&str> = built.program.functions[0].body.calls.iter().map(|c| &*c.op).collect();
    assert_eq!(ops, ["write_state", "read_state"]);
    let read = generate::read_state("kept", shape).unwrap();
    let zeros = Tensor::from_f64s(DType::Fp16, &shape, &[0.0; 64]).unwrap();
    for engine in Engine::ALL {
        let load = |b: &Built| device::load(b.verified.main(), engine, &Options::default()).unwrap();
        let (update, read) = (load(&built), load(&read));
        let states = update.new_states().unwrap();
        let one = |outputs: Vec<(_, anemone::types::Datum)>| outputs[0].1.as_tensor().unwrap().to_f64s();
        assert_eq!(one(read.run(&[], &read.new_states().unwrap()).unwrap()), zeros.to_f64s());
        for value in [1.5, -2.0] {
            let value = Tensor::from_f64s(DType::Fp16, &shape, &[value; 64]).unwrap();
            assert_eq!(one(update.run(&[("value", value.clone())], &states).unwrap()), value.to_f64s());
            // The other program has a state of the same name and type.
            assert_eq!(one(read.run(&[], &states).unwrap()), value.to_f64s());
        }
    }
}

/// Row P10: programs are printed, saved and read again, and compiled by the client.
#[test]
fn programs_are_saved_and_compiled() {
    let norm = [1.0; 64];
    let square = [0.125; 4096];
    let weights = QkvWeights { norm: &norm, wq: &square, wk: &square, wv: &square };
    let built = generate::sdpa_forward_taps(64, 4, 32, &weights, &square).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attention.mlpackage");
    bundle::write_mlpackage(&built.bundle(), &path).unwrap();
    let read = bundle::open(&path).unwrap();
    let client = Client::software(Chip::M4);
    let mut results = Vec::new();
    for (program, weights) in [(&built.program, &built.weights), (&read.program, &read.weights)] {
        let mut model = client.compile_program(program, weights, &CompileOptions::default()).unwrap();
        let x: Vec<f32> = (0..2048).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
        model.write_input_f32("x", &x).unwrap();
        model.eval().unwrap();
        let mut out = vec![0.0; 5 * 2048];
        model.read_output_f32("out", &mut out).unwrap();
        results.push(out);
    }
    assert_eq!(results[0], results[1]);
}

/// Row P10: what does not fit together is a diagnostic at the line that asked for it.
#[test]
fn what_does_not_fit_is_refused_here() {
    let line = line!() + 2;
    let results = [
        generate::conv(2, 3, 4, &[0.0; 5]),
        generate::conv_fp32(2, 3, 4, &[0.0; 5]),
        generate::conv_fp16_io(0, 3, 4, &[0.0; 1]),
        generate::rms_norm(2, 3, -1.0, &[0.0; 2]),
        generate::rms_norm(2, 3, f64::NAN, &[0.0; 2]),
        generate::final_rms_norm(2, 3, &[0.0; 3]),
        generate::rms_norm_backward(usize::MAX, 3, &[0.0; 3]),
        generate::classifier_backward(2, 3, 4, &[0.0; 5]),
        generate::sdpa_apply_forward(6, 4, 3, &[0.0; 36]),
        generate::sdpa_apply_forward(6, 0, 3, &[0.0; 36]),
        generate::sdpa_apply_forward(6, 2, usize::MAX, &[0.0; 36]),
        generate::sdpa_backward_2(usize::MAX, usize::MAX, usize::MAX),
        generate::gqa_expand(2, 5, 4, 3),
        generate::gqa_expand(0, 4, 4, 3),
        generate::gqa_expand(1, usize::MAX, 4, 3),
        generate::identity(usize::MAX, 1),
        generate::dynamic_matmul(usize::MAX, usize::MAX, usize::MAX),
        generate::read_state("1", [1, 1, 1, 1]),
    ];
    for (i, result) in results.into_iter().enumerate() {
        let Err(diagnostics) = result else { panic!("the program {i} is not refused") };
        for d in diagnostics {
            let place = d.to_string();
            let here = format!("generate.rs:{}:", line + i as u32);
            assert!(place.contains(&here), "{i}: {place} is not at {here}");
        }
    }
}

/// Row D14: makers of weights: a file of fp16, the identity, a causal mask, rotary tables for any base, a turned matrix.
#[test]
fn weights_that_are_made() {
    let file = weights::blob(&[1.0, -2.5, 65504.0, 1e-8]).unwrap();
    let reader = blob::Reader::new(&file).unwrap();
    let record = reader.record(64).unwrap();
    assert_eq!((reader.count(), record.dtype, record.elements()), (1, DType::Fp16, 4));
    let halves: Vec<f32> =
        file[record.data].chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect();
    assert_eq!(halves, [1.0, -2.5, 65504.0, 0.0]);
    assert_eq!(file, blob::pack_weights(&[0x3c00, 0xc100, 0x7bff, 0]));
    weights::blob(&[]).unwrap_err();

    assert_eq!(weights::identity(3).unwrap(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(weights::identity(0).unwrap().is_empty());
    let h = weights::HIDDEN;
    assert_eq!(weights::causal_mask(3).unwrap(), [0.0, h, h, 0.0, 0.0, h, 0.0, 0.0, 0.0]);
    assert!(weights::causal_mask(0).unwrap().is_empty());
    for result in [weights::identity(usize::MAX), weights::causal_mask(1 << 20)] {
        result.unwrap_err();
    }
    assert_eq!(weights::transposed(&[1.0, 2.0, 3.0, 4.0], 4, 1).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(
        weights::transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2).unwrap(),
        [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
    );
    weights::transposed(&[1.0], 1, 2).unwrap_err();

    // NumPy: p / theta ** (np.arange(0, 8, 2) / 8), for p = 3.
    for (theta, angles) in [
        (weights::ROPE_THETA, [3.0, 0.3, 0.03, 0.003]),
        (500_000.0, [3.0, 0.112_818_092_8, 0.004_242_640_8, 0.000_159_548_61]),
    ] {
        let (cos, sin) = weights::rope(4, 8, theta).unwrap();
        assert_eq!((cos.len(), sin.len()), (32, 32));
        assert_eq!((&cos[..8], &sin[..8]), (&[1.0; 8][..], &[0.0; 8][..]));
        for (pair, angle) in angles.into_iter().enumerate() {
            let angle: f64 = angle;
            for i in [24 + 2 * pair, 25 + 2 * pair] {
                assert!((f64::from(cos[i]) - angle.cos()).abs() < 1e-6, "{theta} {i}");
                assert!((f64::from(sin[i]) - angle.sin()).abs() < 1e-6, "{theta} {i}");
            }
        }
    }
    for (seq, head_dim, theta) in
        [(4, 3, 1e4), (4, 0, 1e4), (4, 8, 0.0), (4, 8, f64::NAN), (usize::MAX, 8, 1e4)]
    {
        weights::rope(seq, head_dim, theta).unwrap_err();
    }
}
