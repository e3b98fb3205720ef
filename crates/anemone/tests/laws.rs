//! Laws over the whole op table, on calls and programs that `anemone-smith` makes: no op is named here that has no
//! reason to be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anemone::bundle::{self, Weights};
use anemone::chip::{Chip, Numerics};
use anemone::device::{self, Engine, Options, Outputs};
use anemone::mil::op::{Default, Edition, Op, Scalar};
use anemone::mil::{Block, Call, Operand, Opset, Param, Program};
use anemone::range::{self, Range};
use anemone::source::Span;
use anemone::types::{DType, Tensor};
use anemone::verify::{self, Verified};
use anemone::{ops, text};
use anemone_smith::{Case, Limits, bytes_of, case_of_seed, judge, one_call};
use arbitrary::Unstructured;

/// How many calls of each edition of an op a law is tried on.
const CALLS: usize = 40;

/// What is wrong, gathered so that one fault does not hide the others.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    /// Notes what is wrong with a case; a panic is, too.
    fn hold(&mut self, what: &str, law: impl FnOnce() -> Result<(), String>) {
        let held = catch_unwind(AssertUnwindSafe(law)).unwrap_or_else(|_| Err("it panics".to_string()));
        self.0.extend(held.err().map(|why| format!("{what}: {why}")));
    }

    #[track_caller]
    fn finish(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Holds a law on random calls of each edition of each op, of several sizes.
fn on_calls(seed: u64, law: impl Fn(&Case) -> Result<(), String>) {
    let mut faults = Faults::default();
    let sizes = [1 << 6, 1 << 11, 1 << 15].map(|elements| Limits { elements, ..Limits::default() });
    for op in ops::all() {
        for Edition { since, .. } in op.editions {
            let cases = (seed..seed + 20 * CALLS as u64).filter_map(|seed| {
                let limits = &sizes[seed as usize % sizes.len()];
                Some((seed, one_call(&mut Unstructured::new(&bytes_of(seed, 512)), op, *since, limits)?))
            });
            let mut held = 0;
            for (seed, case) in cases.take(CALLS) {
                faults.hold(&format!("`{}` of {since}, seed {seed}", op.name), || law(&case));
                held += 1;
            }
            assert_eq!(held, CALLS, "`{}` of {since}: too few proposals are accepted", op.name);
        }
    }
    faults.finish();
}

fn verified(program: &Program, weights: &Weights) -> Result<Verified, String> {
    let report = verify::verify(program, weights);
    report.verified.ok_or_else(|| format!("it is refused: {}", report.diagnostics))
}

/// Runs each function of a program, in the order of the case that it comes from; a refusal is given by its code.
fn run(
    case: &Case,
    verified: &Verified,
    engine: Engine,
) -> Result<Vec<Result<Outputs, &'static str>>, String> {
    let options = Options { threads: 1, memory: 1 << 28, turns: 100, ..Options::default() };
    let functions = case.program.functions.iter().enumerate();
    functions
        .map(|(i, f)| {
            let function = verified.function(&f.name).ok_or_else(|| format!("`{}` is lost", f.name))?;
            let run = || {
                let model = device::load(function, engine, &options)?;
                model.run(&case.inputs_of(i), &model.new_states()?)
            };
            Ok(run().map_err(|e| e.diagnostic().code.name))
        })
        .collect()
}

#[test]
fn inference_foresees_the_types_of_the_results() {
    on_calls(1_000, |case| {
        let verified = verified(&case.program, &Weights::none())?;
        let Ok(outputs) = &run(case, &verified, Engine::Reference)?[0] else { return Ok(()) };
        for (value, (name, datum)) in verified.main().outputs().zip(outputs) {
            let is_buffer = matches!(value.ty, anemone::types::Type::Buffer(_));
            if !value.ty.fits(&datum.ty()) && !is_buffer {
                return Err(format!("`{name}` was inferred to be `{}` and is `{}`", value.ty, datum.ty()));
            }
        }
        Ok(())
    });
}

/// Also: with one thread and with two the same bits.
#[test]
fn the_cpu_engine_gives_what_ops_mean() {
    on_calls(2_000, judge::engines);
}

/// Whether every value of a run lies between its bounds, with this arithmetic.
fn within_bounds(case: &Case, numerics: Numerics, engine: Engine) -> Result<(), String> {
    let verified = verified(&case.program, &Weights::none())?;
    for (i, f) in case.program.functions.iter().enumerate() {
        let function = verified.function(&f.name).ok_or_else(|| format!("`{}` is lost", f.name))?;
        let inputs = case.inputs_of(i);
        let given: Vec<(&str, Range)> = inputs.iter().map(|(name, x)| (*name, Range::of(x))).collect();
        let bounds = range::bounds(function, &given, numerics).map_err(|d| d.to_string())?;
        let options = Options { threads: 1, memory: 1 << 28, turns: 100, numerics };
        let Ok(model) = device::load(function, engine, &options) else { return Ok(()) };
        let mut outside = None;
        // What a run refuses in the end, it has computed before.
        let _ = model.run_observed(&inputs, &model.new_states().map_err(|e| e.to_string())?, &mut |seen| {
            for (&id, datum) in seen.step.outputs.iter().zip(seen.results) {
                let Some(numbers) = datum.as_tensor().filter(|t| t.as_strings().is_none()) else { continue };
                let bound = bounds.of(id);
                let wrong = numbers.to_f64s().into_iter().find(|&x| !bound.contains(x));
                let tell =
                    |x| format!("`{}` gives {x}, outside of {bound}, with {numerics}", seen.step.op.name);
                outside = outside.take().or(wrong.map(tell));
            }
        });
        if let Some(why) = outside {
            return Err(why);
        }
    }
    Ok(())
}

/// No run on inputs in the ranges that are given leaves the bounds, with any arithmetic.
#[test]
fn no_value_leaves_its_bounds() {
    // Each call is tried with one of them, since all halves are put through some of the functions.
    let arithmetics = [
        (Numerics::Ieee, Engine::Reference),
        (Numerics::Ieee, Engine::Cpu),
        (Numerics::Chip(Chip::M1), Engine::Cpu),
        (Numerics::Chip(Chip::M4), Engine::Cpu),
        (Numerics::Chip(Chip::M6), Engine::Cpu),
    ];
    let turn = std::cell::Cell::new(0);
    let held = |case: &Case| {
        let (numerics, engine) = arithmetics[turn.replace(turn.get() + 1) % arithmetics.len()];
        within_bounds(case, numerics, engine)
    };
    on_calls(3_000, held);
    let mut faults = Faults::default();
    for seed in 0..300 {
        let case = case_of_seed(seed, &Limits { elements: 1 << 8, ..Limits::default() });
        faults.hold(&format!("seed {seed}"), || held(&case));
    }
    faults.finish();
}

/// The parameters besides `x` of an op that computes each element of `x` by itself, with numbers for them.
fn elementwise(op: &Op) -> Option<Vec<(&'static str, &'static str)>> {
    let rest = op.edition(Opset::Ios17)?.params.split_first().filter(|(x, _)| x.name == "x")?.1;
    // Vectors with an element for each channel are not scalars, and norms read all of `x`.
    let other = ["prelu", "softplus_parametric"].contains(&op.name) || op.name.ends_with("_norm");
    if other || !matches!(op.scalar, Scalar::Unary(_)) && rest.is_empty() {
        return None;
    }
    rest.iter()
        .map(|p| match (p.name, op.name) {
            ("alpha", "sigmoid_hard") => Some((p.name, "fp16(0x1p-2)")),
            ("alpha", _) => Some((p.name, "fp16(0x1.8p-1)")),
            ("beta", _) => Some((p.name, "fp16(0x1.4p+0)")),
            ("epsilon", _) if p.default != Default::Required => Some((p.name, "fp16(0x1p-10)")),
            ("mode", "gelu") => Some((p.name, "string(\"EXACT\")")),
            ("dtype", "cast") => Some((p.name, "string(\"fp16\")")),
            _ => None,
        })
        .collect()
}

#[test]
fn ops_of_one_number_are_right_for_every_fp16() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let all = Tensor::from_bytes(DType::Fp16, &[1 << 16], &all).unwrap();
    let mut faults = Faults::default();
    let mut seen = 0;
    for op in ops::all() {
        let Some(rest) = elementwise(op) else { continue };
        let mut ways = vec![rest];
        if op.name == "gelu" {
            let of = |mode| vec![("mode", mode)];
            ways.push(of("string(\"TANH_APPROXIMATION\")"));
            ways.push(of("string(\"SIGMOID_APPROXIMATION\")"));
        }
        seen += 1;
        for rest in ways {
            let rest: String = rest.iter().map(|(name, value)| format!(", {name} = {value}")).collect();
            let ty = if op.name == "logical_not" { continue } else { "tensor<fp16, [65536]>" };
            let program = format!(
                "program(1.3) {{ func main<ios17>({ty} x) {{ {ty} y = {}(x = x{rest}); }} -> (y); }}",
                op.name
            );
            faults.hold(&program, || {
                let program = text::parse(&program).map_err(|e| e.to_string())?;
                judge::function(verified(&program, &Weights::none())?.main(), &[("x", all.clone())])
            });
        }
    }
    assert!(seen >= 39, "only {seen} ops are taken for elementwise");
    faults.finish();
}

/// A program without places in a text, and with what has no order sorted by name.
fn bare(program: &Program) -> Program {
    fn params(params: &mut [Param]) {
        params.iter_mut().for_each(|p| (p.span, p.ty_span) = (Span::default(), Span::default()));
    }
    fn call(c: &mut Call) {
        (c.span, c.op_span) = (Span::default(), Span::default());
        params(&mut c.outputs);
        for a in &mut c.arguments {
            a.span = Span::default();
            let operands = match &mut a.binding {
                anemone::mil::Binding::One(o) => std::slice::from_mut(o),
                anemone::mil::Binding::Many(o) => o,
            };
            for o in operands {
                match o {
                    Operand::Name(u) => u.span = Span::default(),
                    Operand::Value(_, span) => *span = Span::default(),
                }
            }
        }
        for a in &mut c.attributes {
            (a.span, a.value_span) = (Span::default(), Span::default());
        }
        c.arguments.sort_by(|a, b| a.name.cmp(&b.name));
        c.attributes.sort_by(|a, b| a.name.cmp(&b.name));
        c.blocks.iter_mut().for_each(block);
    }
    fn block(b: &mut Block) {
        b.span = Span::default();
        params(&mut b.params);
        b.outputs.iter_mut().for_each(|o| o.span = Span::default());
        b.calls.iter_mut().for_each(call);
    }
    let mut program = program.clone();
    for f in &mut program.functions {
        (f.span, f.opset_span) = (Span::default(), Span::default());
        params(&mut f.params);
        block(&mut f.body);
        f.params.sort_by(|a, b| a.name.cmp(&b.name));
    }
    program.functions.sort_by(|a, b| a.name.cmp(&b.name));
    program
}

#[test]
fn what_is_printed_is_parsed_to_the_same_program() {
    let mut faults = Faults::default();
    for seed in 0..400 {
        let case = case_of_seed(seed, &Limits::default());
        faults.hold(&format!("seed {seed}"), || {
            let printed = text::print(&case.program);
            let again = text::parse(&printed).map_err(|e| e.to_string())?;
            match bare(&again) == bare(&case.program) {
                true => Ok(()),
                false => Err(format!("it came back as another:\n{}\n{printed}", text::print(&again))),
            }
        });
    }
    faults.finish();
}

/// Compares what two programs gave, bit by bit.
fn same_bits(
    form: &str,
    found: &[Result<Outputs, &str>],
    expected: &[Result<Outputs, &str>],
) -> Result<(), String> {
    for (found, expected) in found.iter().zip(expected) {
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                for ((name, a), (_, b)) in found.iter().zip(expected) {
                    judge::bits(a, b).map_err(|e| format!("`{name}` of the {form}: {e}"))?;
                }
            }
            (Err(a), Err(b)) if a == b => {}
            _ => return Err(format!("the {form} gives {found:?}, and should give {expected:?}")),
        }
    }
    Ok(())
}

#[test]
fn a_program_is_the_same_as_text_as_a_package_and_compiled() {
    let limits = Limits { packable: true, ..Limits::default() };
    let folder = tempfile::tempdir().unwrap();
    let mut faults = Faults::default();
    let mut packed = 0;
    for seed in 0..80 {
        let case = case_of_seed(seed, &limits);
        faults.hold(&format!("seed {seed}"), || {
            let built = run(&case, &verified(&case.program, &Weights::none())?, Engine::Cpu)?;
            let path = folder.path().join(format!("{seed}.mil"));
            std::fs::write(&path, text::print(&case.program)).map_err(|e| e.to_string())?;
            let read = bundle::open(&path).map_err(|e| e.to_string())?;
            let of = |b: &bundle::Bundle| run(&case, &verified(&b.program, &b.weights)?, Engine::Cpu);
            same_bits("text", &of(&read)?, &built)?;
            let path = folder.path().join(format!("{seed}.mlmodelc"));
            bundle::write_mlmodelc(&read, &path).map_err(|e| e.to_string())?;
            let read = bundle::open(&path).map_err(|e| e.to_string())?;
            same_bits("compiled model", &of(&read)?, &built)?;
            let path = folder.path().join(format!("{seed}.mlpackage"));
            bundle::write_mlpackage(&read, &path).map_err(|e| e.to_string())?;
            let read = bundle::open(&path).map_err(|e| e.to_string())?;
            same_bits("package", &of(&read)?, &built)?;
            packed += 1;
            Ok(())
        });
    }
    assert!(packed > 40 || !faults.0.is_empty(), "only {packed} programs have a package");
    faults.finish();
}

/// A norm or a softmax of primitives, with the numbers that it is given.
fn normed(
    rows: usize,
    columns: usize,
    way: usize,
    epsilon: f64,
    numbers: &[f64],
) -> Result<(Verified, Tensor), String> {
    let ty = format!("tensor<fp16, [{rows}, {columns}]>");
    let one = format!("tensor<fp16, [{rows}, 1]>");
    let along = "axes = tensor<int32, [1]>([1]), keep_dims = bool(true)";
    let centred = format!("{one} c = reduce_mean(x = x, {along}); {ty} a = sub(x = x, y = c);");
    let kept = format!("{ty} a = mul(x = x, y = fp16(1));");
    let mean = format!(
        "{ty} s = mul(x = a, y = a); {one} m = reduce_mean(x = s, {along}); {one} t = add(x = m, y = fp16({epsilon:?}));"
    );
    let sum = format!(
        "{ty} s = square(x = a); {one} m = reduce_sum(x = s, {along}); {one} t = maximum(x = m, y = fp16({epsilon:?}));"
    );
    let root = format!("{one} r = rsqrt(x = t, epsilon = fp16({epsilon:?})); {ty} z = mul(x = a, y = r);");
    let power = format!("{one} r = pow(x = t, y = fp16(-0.5)); {ty} z = mul(x = r, y = a);");
    let over = format!("{one} r = sqrt(x = t); {ty} z = real_div(x = a, y = r);");
    let length = format!(
        "{one} n = reduce_l2_norm(x = x, {along}); {one} r = maximum(x = n, y = fp16({epsilon:?})); {ty} z = real_div(x = x, y = r);"
    );
    let softmax = format!(
        "{one} m = reduce_max(x = x, {along}); {ty} d = sub(x = x, y = m); {ty} e = exp(x = d); {one} t = reduce_sum(x = e, {along}); {ty} z = real_div(x = e, y = t);"
    );
    let bodies = [
        format!("{kept} {mean} {root}"),
        format!("{centred} {mean} {over}"),
        format!("{kept} {sum} {power}"),
        format!("{centred} {sum} {root}"),
        length,
        softmax,
    ];
    let text =
        format!("program(1.3) {{ func main<ios18>({ty} x) {{ {} }} -> (z); }}", bodies[way % bodies.len()]);
    let program = text::parse(&text).map_err(|d| format!("{d}\n{text}"))?;
    let x = Tensor::from_f64s(DType::Fp16, &[rows, columns], numbers).map_err(|e| e.to_string())?;
    Ok((verified(&program, &Weights::none())?, x))
}

/// What is bounded by a relation between values stays within: large numbers, small ones, and one among zeros.
#[test]
fn norms_of_primitives_stay_within_their_bounds() {
    let arithmetics =
        [Numerics::Ieee, Numerics::Chip(Chip::M1), Numerics::Chip(Chip::M4), Numerics::Chip(Chip::M6)];
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    for i in 0..600 {
        let (rows, columns) = (1 + i % 3, [1, 2, 3, 7, 64, 300][i / 3 % 6]);
        let size = [1e-7, 1e-4, 1e-2, 1.0, 100.0, 250.0, 3000.0, 60000.0][i / 7 % 8];
        let epsilon = [0.0, 2f64.powi(-24), 1e-5, 1e-3][i / 5 % 4];
        let sparse = i % 4 == 0;
        let numbers: Vec<f64> = (0..rows * columns)
            .map(|k| if sparse && k % columns != 0 { 0.0 } else { size * (2.0 * random() - 1.0) })
            .collect();
        let (verified, x) = normed(rows, columns, i, epsilon, &numbers).unwrap();
        let numerics = arithmetics[i % arithmetics.len()];
        let bounds = range::bounds(verified.main(), &[("x", Range::of(&x))], numerics).unwrap();
        let model =
            device::load(verified.main(), Engine::Cpu, &Options { numerics, ..Options::default() }).unwrap();
        let outputs = model.run(&[("x", x)], &model.new_states().unwrap()).unwrap();
        let found = outputs[0].1.as_tensor().unwrap().to_f64s();
        let bound = bounds.of(verified.main().body.outputs[0]);
        let wrong = found.into_iter().find(|&z| !bound.contains(z));
        assert!(
            wrong.is_none(),
            "{wrong:?} is outside of {bound} with {numerics}: {rows} x {columns} of {size}, {epsilon}, {i}"
        );
    }
}
