//! Judging engines: is each result what its op means?

use anemone::bundle::Weights;
use anemone::chip::{Chip, Numerics};
use anemone::device::compare::agree;
use anemone::device::{self, Engine, Observed, Options, Outputs, States};
use anemone::mil::Program;
use anemone::mil::op::{Fault, Meaning, Tolerance};
use anemone::types::{DType, Datum, Tensor, Type};
use anemone::verify::{self, Function};

use crate::Case;
use crate::sensitive::slack;

/// Runs every function of a program on both engines.
///
/// Verification must accept the program. Each step of the cpu engine must give what its op means on the same
/// arguments, within the tolerance of the op; one thread and two must give the same bits, and leave the same bits in
/// the states; and both engines must refuse the same runs. With the arithmetic of a chip, threads and plans change no bit.
///
/// # Errors
///
/// What is not so, in words.
pub fn engines(case: &Case) -> Result<(), String> {
    let report = verify::verify(&case.program, &Weights::none());
    let Some(verified) = report.verified else {
        return Err(format!("the program is refused: {}", report.diagnostics));
    };
    (0..case.inputs.len()).try_for_each(|i| {
        let inputs = case.inputs_of(i);
        let checked = &verified.functions()[i];
        function(checked, &inputs)?;
        [Chip::M1, Chip::M6].into_iter().try_for_each(|chip| on_chip(checked, &inputs, chip))
    })
}

/// Verifies a program, and runs what is accepted on both engines, with inputs of zeros: whatever the program is, nothing
/// panics, and no run takes much memory or time. Says whether the program is accepted.
pub fn survives(program: &Program) -> bool {
    let report = verify::verify(program, &Weights::none());
    assert_eq!(report.verified.is_none(), report.diagnostics.has_errors());
    let Some(verified) = report.verified else { return false };
    let ways = [
        (Engine::Reference, Numerics::Ieee),
        (Engine::Cpu, Numerics::Ieee),
        (Engine::Cpu, Numerics::Chip(Chip::M1)),
        (Engine::Reference, Numerics::Chip(Chip::M6)),
    ];
    for (function, (engine, numerics)) in verified.functions().iter().flat_map(|f| ways.map(|way| (f, way))) {
        let options = Options { threads: 1, memory: 1 << 20, turns: 100, numerics };
        let Ok(model) = device::load(function, engine, &options) else { continue };
        let Ok(states) = model.new_states() else { continue };
        let zeros = |f: &device::Feature| -> Option<Tensor> {
            let ty = f.ty.as_tensor()?;
            let shape: Vec<usize> = ty.shape.iter().map(|d| d.known().unwrap_or(2) as usize).collect();
            // Inputs count against the memory of the harness, not of the run.
            let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            elements.filter(|&n| n <= 1 << 16)?;
            Tensor::zeros(ty.dtype, &shape).ok()
        };
        let inputs = model.inputs().iter().map(|f| Some((&*f.name, zeros(f)?)));
        if let Some(inputs) = inputs.collect::<Option<Vec<_>>>() {
            let _ = model.run(&inputs, &states);
        }
    }
    true
}

/// What a run gives: results and states, or the code with which it is refused.
type Run = Result<(Outputs, States), &'static str>;

/// Runs one function on both engines, as [`engines`] does.
///
/// # Errors
///
/// As [`engines`].
pub fn function(function: &Function, inputs: &[(&str, Tensor)]) -> Result<(), String> {
    let with = |engine, numerics, threads, observer: &mut dyn FnMut(&Observed<'_>)| -> Run {
        let options = Options { threads, memory: 1 << 28, turns: 100, numerics };
        let mut run = || {
            let model = device::load(function, engine, &options)?;
            let states = model.new_states()?;
            Ok((model.run_observed(inputs, &states, observer)?, states))
        };
        run().map_err(|e: device::Error| e.diagnostic().code.name)
    };
    let on = |engine, threads, observer: &mut dyn FnMut(&Observed<'_>)| {
        with(engine, Numerics::Ieee, threads, observer)
    };
    let mut wrong = Ok(());
    let one = on(Engine::Cpu, 1, &mut |step| {
        if wrong.is_ok() {
            wrong = judge(step);
        }
    });
    wrong?;
    let two = on(Engine::Cpu, 2, &mut |_| {});
    let reference = on(Engine::Reference, 1, &mut |_| {});
    let code = |run: &Run| run.as_ref().err().copied().unwrap_or("nothing");
    if code(&one) != code(&reference) {
        return Err(format!("cpu is refused with {}, reference with {}", code(&one), code(&reference)));
    }
    let (Ok(one), Ok(two)) = (&one, &two) else {
        return if code(&one) == code(&two) {
            Ok(())
        } else {
            Err("the threads decide whether it runs".into())
        };
    };
    for ((name, a), (_, b)) in one.0.iter().zip(&two.0) {
        bits(a, b).map_err(|e| format!("`{name}` depends on the number of threads: {e}"))?;
    }
    for ((name, a), b) in one.1.iter().zip(two.1.values()) {
        let (a, b) = (a.read().into(), b.read().into());
        bits(&a, &b).map_err(|e| format!("the state `{name}` depends on the number of threads: {e}"))?;
    }
    Ok(())
}

/// Runs one function with the arithmetic of a chip on one thread and on two, on the plan and step by step: the bits are the
/// same.
///
/// # Errors
///
/// What differs.
pub fn on_chip(function: &Function, inputs: &[(&str, Tensor)], chip: Chip) -> Result<(), String> {
    let run = |threads, planned: bool| {
        let options = Options { threads, memory: 1 << 28, turns: 100, numerics: Numerics::Chip(chip) };
        let model = device::load(function, Engine::Cpu, &options)?;
        let states = model.new_states()?;
        match planned {
            true => model.run(inputs, &states),
            false => model.run_observed(inputs, &states, &mut |_| {}),
        }
    };
    let code = |e: device::Error| e.diagnostic().code.name;
    let (one, two) = (run(1, true).map_err(code), run(2, false).map_err(code));
    match (&one, &two) {
        (Ok(one), Ok(two)) => one.iter().zip(two).try_for_each(|((name, a), (_, b))| {
            bits(a, b).map_err(|e| format!("`{name}` depends on how it runs as on {chip}: {e}"))
        }),
        (Err(one), Err(two)) if one == two => Ok(()),
        (one, two) => Err(format!(
            "on {chip}: {:?} on the plan, {:?} step by step",
            one.as_ref().err(),
            two.as_ref().err()
        )),
    }
}

/// Compares the bits of two values.
///
/// # Errors
///
/// What differs, in words.
pub fn bits(found: &Datum, expected: &Datum) -> Result<(), String> {
    each(found, expected, &|a, b| {
        if a.same_bits(b) { Ok(()) } else { Err(format!("{a:?} is found where {b:?} is expected")) }
    })
}

/// Compares the results of a step with what its op means on the same arguments.
///
/// # Errors
///
/// What differs, in words.
pub fn judge(step: &Observed<'_>) -> Result<(), String> {
    let op = step.step.op;
    let Meaning::Compute(compute) = op.meaning else { return Ok(()) };
    let refused = |fault: Fault| format!("`{}` was computed and means nothing: {fault}", op.name);
    let types = (op.infer)(step.args).map_err(refused)?;
    let found: Vec<Type> = step.results.iter().map(Datum::ty).collect();
    // In a buffer lies a tensor.
    let fits = |(t, f): (&Type, &Type)| matches!(t, Type::Buffer(_)) || t.fits(f);
    if types.len() != found.len() || !types.iter().zip(&found).all(fits) {
        return Err(format!("`{}` gives {found:?}, and inference says {types:?}", op.name));
    }
    let expected = compute(step.args, &types).map_err(refused)?;
    let agree = |(found, wanted): (&Datum, &Datum)| same(found, wanted, op.tolerance);
    let agreed = step.results.iter().zip(&expected).try_for_each(agree);
    let judged = match (agreed, op.tolerance) {
        (Err(why), Tolerance::Sum(_)) => {
            let slack = slack(step.args, compute, &expected);
            let near = |(found, wanted): (&Datum, &Datum)| within(found, wanted, slack);
            if step.results.iter().zip(&expected).all(near) {
                Ok(())
            } else {
                Err(format!("{why}, and changes of last bits explain {slack:e}"))
            }
        }
        (agreed, _) => agreed,
    };
    judged.map_err(|why| format!("`{}`: {why}", op.name))
}

/// Whether two tensors differ by so much at most. An infinite slack lets numbers that are not finite be anything.
fn within(found: &Datum, expected: &Datum, slack: f64) -> bool {
    let (Some(found), Some(expected)) = (found.as_tensor(), expected.as_tensor()) else { return false };
    let largest = expected.to_f64s().iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    let rounding = if expected.dtype() == DType::Fp16 { 2f64.powi(-10) } else { 2f64.powi(-20) } * largest;
    let near = |(a, b): (&f64, &f64)| {
        slack.is_infinite() || a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= slack + rounding
    };
    found.to_f64s().iter().zip(&expected.to_f64s()).all(near)
}

/// Compares two values, whose tensors may differ by a tolerance.
///
/// # Errors
///
/// What differs, in words.
pub fn same(found: &Datum, expected: &Datum, tolerance: Tolerance) -> Result<(), String> {
    each(found, expected, &|a, b| agree(a, b, tolerance).map_err(|e| e.to_string()))
}

/// Compares the tensors of two values.
fn each(
    found: &Datum,
    expected: &Datum,
    tensors: &dyn Fn(&Tensor, &Tensor) -> Result<(), String>,
) -> Result<(), String> {
    match (found, expected) {
        (Datum::Tensor(a), Datum::Tensor(b)) => tensors(a, b),
        (Datum::List { items: a, .. }, Datum::List { items: b, .. }) if a.len() == b.len() => {
            a.iter().zip(b).try_for_each(|pair| match pair {
                (Some(a), Some(b)) => tensors(a, b),
                (None, None) => Ok(()),
                _ => Err("an item is there in one list only".to_string()),
            })
        }
        (Datum::Dict(a), Datum::Dict(b)) if a.len() == b.len() => {
            a.iter().zip(b).try_for_each(|(a, b)| tensors(&a.0, &b.0).and_then(|()| tensors(&a.1, &b.1)))
        }
        (Datum::State(a), Datum::State(b)) => tensors(&a.read(), &b.read()),
        _ => Err(format!("{found:?} is found where {expected:?} is expected")),
    }
}
