//! What the tests of the families share: running one op, and holding inference against meaning.

use std::sync::Arc;

use crate::device::compare::agree;
use crate::mil::Opset;
use crate::mil::op::{Arg, Args, Fault, Kind, Meaning, Op, Slot};
use crate::types::{DType, Datum, Shape, Tensor, Type, f16};

/// A tensor of dtype fp32.
pub(super) fn f32s(shape: &[usize], values: &[f32]) -> Datum {
    Tensor::from_slice(shape, values).unwrap().into()
}

/// A tensor of dtype fp16.
pub(super) fn f16s(shape: &[usize], values: &[f32]) -> Datum {
    Tensor::from_slice(shape, &values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()).unwrap().into()
}

/// A tensor of dtype int32.
pub(super) fn i32s(shape: &[usize], values: &[i32]) -> Datum {
    Tensor::from_slice(shape, values).unwrap().into()
}

/// A tensor of any whole-number dtype or bool.
pub(super) fn ints(dtype: DType, shape: &[usize], values: &[i64]) -> Datum {
    Tensor::from_i64s(dtype, shape, values).unwrap().into()
}

/// A vector of dtype int32.
pub(super) fn vec32(values: &[i32]) -> Datum {
    i32s(&[values.len()], values)
}

/// The tensor 0, 1, 2, … of dtype fp32.
pub(super) fn iota(shape: &[usize]) -> Datum {
    let n: usize = shape.iter().product();
    f32s(shape, &(0..n).map(|i| i as f32).collect::<Vec<_>>())
}

/// A tensor of any numeric dtype.
pub(super) fn arg(dtype: DType, shape: &[usize], values: &[f64]) -> Datum {
    Tensor::from_f64s(dtype, shape, values).expect("the test states as many values as the shape has").into()
}

/// The tensor 1, 2, 3, … of any numeric dtype.
pub(super) fn count(dtype: DType, shape: &[usize]) -> Datum {
    let values: Vec<f64> = (1..=shape.iter().product::<usize>()).map(|v| v as f64).collect();
    arg(dtype, shape, &values)
}

/// A scalar of dtype int32.
pub(super) fn int(value: i32) -> Datum {
    i32s(&[], &[value])
}

/// A scalar of dtype bool.
pub(super) fn flag(value: bool) -> Datum {
    ints(DType::Bool, &[], &[value.into()])
}

/// A vector of bools.
pub(super) fn flags(values: &[bool]) -> Datum {
    Tensor::from_bools(&[values.len()], values).unwrap().into()
}

/// A scalar string.
pub(super) fn text(value: &str) -> Datum {
    Tensor::string(value).into()
}

/// A tensor of strings.
pub(super) fn texts(shape: &[usize], values: &[&str]) -> Datum {
    Tensor::from_strings(shape, values.iter().map(|&s| Arc::from(s)).collect()).unwrap().into()
}

/// The arguments in a line such as `strides=[2,1] groups=4 scale=0.5 ceil_mode=true pad_type=same`.
pub(super) fn words(line: &str) -> Vec<(&str, Datum)> {
    line.split_whitespace()
        .map(|word| {
            let (name, value) = word.split_once('=').expect("the test writes name=value");
            let tensor = if let Some(list) = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                let numbers: Vec<i64> = list.split(',').map(|n| n.parse().expect("a number")).collect();
                Tensor::from_i64s(DType::Int32, &[numbers.len()], &numbers)
                    .expect("a list of numbers is a tensor")
            } else if let Ok(number) = value.parse::<i32>() {
                Tensor::scalar(DType::Int32, number.into())
            } else if let Ok(number) = value.parse::<f64>() {
                Tensor::scalar(DType::Fp32, number)
            } else if let Ok(flag) = value.parse::<bool>() {
                Tensor::scalar(DType::Bool, f64::from(u8::from(flag)))
            } else {
                Tensor::string(value)
            };
            (name, tensor.into())
        })
        .collect()
}

/// How much of the arguments inference knows.
#[derive(Clone, Copy, PartialEq)]
enum Know {
    /// All values, as when the program runs.
    Values,
    /// The values of parameters that must be constant, as when the program is compiled.
    Constants,
    /// Nothing but ranks, and the values of constants: every dimension may change.
    Ranks,
}

fn blurred(ty: Type) -> Type {
    match ty {
        Type::Tensor(mut t) => {
            t.shape = Shape::unknown(t.rank());
            t.into()
        }
        other => other,
    }
}

fn with<R>(
    op: &str,
    opset: Opset,
    arguments: &[(&str, Datum)],
    know: Know,
    declared: &[Type],
    f: impl FnOnce(&Args<'_>) -> R,
) -> R {
    let op: &'static Op = super::find(op).unwrap_or_else(|| panic!("no op `{op}`"));
    let edition = op.edition(opset).unwrap_or_else(|| panic!("`{}` is not in {opset}", op.name));
    for (name, _) in arguments {
        assert!(edition.params.iter().any(|p| p.name == *name), "`{}` has no `{name}` in {opset}", op.name);
    }
    let constant = |name: &str| edition.params.iter().any(|p| p.name == name && p.constant);
    let types: Vec<Type> = arguments
        .iter()
        .map(|(name, d)| if know == Know::Ranks && !constant(name) { blurred(d.ty()) } else { d.ty() })
        .collect();
    let slots = edition
        .params
        .iter()
        .map(|p| {
            let given: Vec<Arg<'_>> = arguments
                .iter()
                .zip(&types)
                .filter(|((name, _), _)| *name == p.name)
                .map(|((_, d), ty)| Arg { ty, value: (know == Know::Values || p.constant).then_some(d) })
                .collect();
            match (p.kind, given.as_slice()) {
                (_, []) => Slot::Absent,
                (Kind::Tuple, _) => Slot::Many(given),
                (_, [one, ..]) => Slot::One(*one),
            }
        })
        .collect();
    f(&Args { op, opset, edition, slots, declared, after: &[], unmade: &[] })
}

/// Computes one op, and asserts that what inference says before and during the run fits what the meaning gives.
pub(super) fn run(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> Result<Vec<Datum>, Fault> {
    let running = |declared: &[Type]| {
        with(op, opset, arguments, Know::Values, declared, |args| {
            let types = (args.op.infer)(args)?;
            let Meaning::Compute(compute) = args.op.meaning else {
                panic!("`{op}` has no meaning of its own")
            };
            let results = compute(args, &types)?;
            fit(op, "when it runs", &types, &results);
            Ok::<_, Fault>(results)
        })
    };
    let results = running(&[])?;
    for (know, when) in [(Know::Constants, "with constants known"), (Know::Ranks, "with ranks known")] {
        match with(op, opset, arguments, know, &[], |args| (args.op.infer)(args)) {
            // A program declares what was inferred when it was written, and inference reads it again in the run.
            Ok(types) => fit(op, when, &types, &running(&types)?),
            // The rank of the result may depend on the length of an argument.
            Err(fault) => {
                assert!(know == Know::Ranks && fault.code.name == "bad-value", "`{op}` {when}: {fault}");
            }
        }
    }
    Ok(results)
}

/// The results of [`run`], which are tensors.
pub(super) fn tensors(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> Result<Vec<Tensor>, Fault> {
    let tensor = |d: Datum| d.as_tensor().unwrap_or_else(|| panic!("`{op}` gave {d:?}")).clone();
    Ok(run(op, opset, arguments)?.into_iter().map(tensor).collect())
}

fn fit(op: &str, when: &str, types: &[Type], results: &[Datum]) {
    assert_eq!(types.len(), results.len(), "`{op}` {when}");
    for (ty, result) in types.iter().zip(results) {
        assert!(ty.fits(&result.ty()), "`{op}` {when}: inferred {ty}, gave {}", result.ty());
    }
}

/// Asserts that an op gives exactly these results.
#[track_caller]
pub(super) fn check(op: &str, opset: Opset, arguments: &[(&str, Datum)], expected: &[Datum]) {
    let results = run(op, opset, arguments).unwrap_or_else(|fault| panic!("`{op}`: {fault}"));
    assert_eq!(results.len(), expected.len(), "`{op}`");
    for (result, expected) in results.iter().zip(expected) {
        let (result, expected) = (result.as_tensor().unwrap(), expected.as_tensor().unwrap());
        let all =
            |t: &Tensor| t.as_strings().map_or_else(|| format!("{:?}", t.to_f64s()), |s| format!("{s:?}"));
        assert!(
            result.same_bits(expected),
            "`{op}` gave {} {}\nexpected {} {}",
            result.ty(),
            all(result),
            expected.ty(),
            all(expected)
        );
    }
}

/// Asserts that an op refuses these arguments, with this code.
#[track_caller]
pub(super) fn refuse(op: &str, opset: Opset, arguments: &[(&str, Datum)], code: &str) {
    match run(op, opset, arguments) {
        Ok(results) => panic!("`{op}` gave {results:?}"),
        Err(fault) => assert_eq!(fault.code.name, code, "{fault}"),
    }
}

/// What is inferred when some parameters have only a type; all others are known.
pub(super) fn infer(
    op: &str,
    opset: Opset,
    arguments: &[(&str, Datum)],
    unknown: &[(&str, Type)],
) -> Result<Vec<Type>, Fault> {
    with(op, opset, arguments, Know::Values, &[], |args| {
        let slots = args
            .edition
            .params
            .iter()
            .zip(&args.slots)
            .map(|(p, slot)| {
                let given: Vec<Arg<'_>> = unknown
                    .iter()
                    .filter(|(name, _)| *name == p.name)
                    .map(|(_, ty)| Arg { ty, value: None })
                    .collect();
                match (p.kind, given.as_slice()) {
                    (_, []) => slot.clone(),
                    (Kind::Tuple, _) => Slot::Many(given),
                    (_, [one, ..]) => Slot::One(*one),
                }
            })
            .collect();
        (args.op.infer)(&Args {
            op: args.op,
            opset,
            edition: args.edition,
            slots,
            declared: &[],
            after: &[],
            unmade: &[],
        })
    })
}

/// Asserts what [`infer`] gives: types, or the code of a fault.
#[track_caller]
pub(super) fn infers(
    op: &str,
    opset: Opset,
    arguments: &[(&str, Datum)],
    unknown: &[(&str, Type)],
    expected: &str,
) {
    let found = match infer(op, opset, arguments, unknown) {
        Ok(types) => types.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        Err(fault) => fault.code.name.to_string(),
    };
    assert_eq!(found, expected, "`{op}`");
}

/// Numbers between -1 and 1, the same for the same seed.
pub(super) fn random(dtype: DType, shape: &[usize], seed: u64) -> Datum {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f64> = (0..shape.iter().product::<usize>())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect();
    arg(dtype, shape, &values)
}

/// What an op means, without anything asserted: for measuring.
pub(super) fn by_meaning(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> Vec<Datum> {
    with(op, opset, arguments, Know::Values, &[], |args| {
        let types = (args.op.infer)(args).unwrap_or_else(|fault| panic!("`{op}`: {fault}"));
        let Meaning::Compute(compute) = args.op.meaning else { panic!("`{op}` has no meaning of its own") };
        compute(args, &types).unwrap_or_else(|fault| panic!("`{op}`: {fault}"))
    })
}

/// What the kernels of an op give on one thread.
pub(super) fn by_kernels(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> Vec<Datum> {
    with(op, opset, arguments, Know::Values, &[], |args| {
        let types = (args.op.infer)(args).unwrap_or_else(|fault| panic!("`{op}`: {fault}"));
        assert!(args.op.fast.has_kernels(), "`{op}` has no kernels");
        args.op
            .fast_results(args, &types, 1)
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("`{op}` has no fast way for this"))
    })
}

/// Asserts that the fast way of an op gives what its meaning gives, within its tolerance, with one thread and with
/// several. False when this case has no fast way.
#[track_caller]
pub(super) fn fast_agrees(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> bool {
    with(op, opset, arguments, Know::Values, &[], |args| {
        let types = (args.op.infer)(args).unwrap_or_else(|fault| panic!("`{op}`: {fault}"));
        let Meaning::Compute(compute) = args.op.meaning else { panic!("`{op}` has no meaning of its own") };
        let exact = compute(args, &types).unwrap_or_else(|fault| panic!("`{op}`: {fault}"));
        assert!(args.op.fast.has_kernels(), "`{op}` has no kernels");
        let mut given = [1, 3].map(|threads| {
            args.op.fast_results(args, &types, threads).unwrap_or_else(|fault| panic!("fast `{op}`: {fault}"))
        });
        let (Some(several), Some(found)) = (given[1].take(), given[0].take()) else { return false };
        fit(op, "fast", &types, &found);
        for (result, (found, several)) in found.iter().zip(&several).enumerate() {
            let (found, exact) = (found.as_tensor().unwrap(), exact[result].as_tensor().unwrap());
            assert!(found.same_bits(several.as_tensor().unwrap()), "`{op}` depends on the number of threads");
            agree(found, exact, args.op.tolerance).unwrap_or_else(|e| panic!("`{op}`: {e}"));
        }
        for planned in planned(args, &types) {
            let pairs = planned.iter().zip(&found);
            let same = |(a, b): (&Datum, &Datum)| a.as_tensor().unwrap().same_bits(b.as_tensor().unwrap());
            assert!(
                pairs.into_iter().all(same),
                "`{op}` gives {planned:?} in a plan, and {found:?} by itself"
            );
        }
        true
    })
}

/// What the kernels of an op give as in plans, where they are prepared with some values and read the others when they
/// run: with those of constants, and with all but those of one parameter. What cannot be prepared so is left out.
fn planned(args: &Args<'_>, types: &[Type]) -> Vec<Vec<Datum>> {
    let later: Vec<&str> = args.edition.params.iter().filter(|p| !p.constant).map(|p| p.name).collect();
    let given = args.edition.params.iter().flat_map(|p| args.many(p.name));
    let given: Vec<&[u8]> =
        given.map(|arg| arg.value.and_then(Datum::as_tensor).map_or(&[][..], Tensor::bytes)).collect();
    let mut found = Vec::new();
    for unknown in std::iter::once(&later[..]).chain(later.chunks(1)) {
        let slots = args.edition.params.iter().zip(&args.slots).map(|(p, slot)| match slot {
            Slot::One(arg) if unknown.contains(&p.name) => Slot::One(Arg { value: None, ty: arg.ty }),
            Slot::Many(many) if unknown.contains(&p.name) => {
                Slot::Many(many.iter().map(|arg| Arg { value: None, ty: arg.ty }).collect())
            }
            slot => slot.clone(),
        });
        let (op, opset, edition) = (args.op, args.opset, args.edition);
        let args =
            Args { op, opset, edition, slots: slots.collect(), declared: &[], after: &[], unmade: &[] };
        match op.prepared(&args, types) {
            Ok(None) => {}
            Ok(Some(prepared)) => {
                let results = prepared.results(&given, types, 2);
                found.push(results.unwrap_or_else(|fault| panic!("`{}` in a plan: {fault}", op.name)));
            }
            Err(fault) => assert_eq!(fault.code.name, "not-constant", "`{}` in a plan: {fault}", op.name),
        }
    }
    found
}
