//! What the tests of several families share: a call of an op, checked in all that the contract promises.

use super::row::*;
use crate::mil::op::{Arg, Slot};

/// Runs an op by its meaning. Inference must foresee the types of the results, exactly when it is told everything,
/// and without contradiction when it is told only the ranks and the parameters that must be constant.
pub(super) fn run(op: &str, opset: Opset, arguments: &[(&str, Datum)]) -> Result<Vec<Tensor>, Fault> {
    let op = super::find(op).expect("the op has a row");
    let types: Vec<Type> = arguments.iter().map(|(_, d)| d.ty()).collect();
    let vague: Vec<Type> = types.iter().map(forget).collect();
    let inferred = infer(op, opset, arguments, &types, true);
    let foreseen = infer(op, opset, arguments, &vague, false);
    let results = super::evaluate(op, opset, arguments)?;
    let results: Vec<Tensor> =
        results.iter().map(|d| d.as_tensor().expect("the ops of these tests give tensors").clone()).collect();
    let found: Vec<Type> = results.iter().map(|t| t.ty().into()).collect();
    assert_eq!(inferred.expect("inference accepts what the meaning computes"), found);
    let foreseen = foreseen.expect("inference accepts unknown dimensions where it accepts these");
    assert_eq!(foreseen.len(), found.len());
    for (foreseen, found) in foreseen.iter().zip(&found) {
        assert!(foreseen.fits(found), "inferred {foreseen} where the meaning gives {found}");
    }
    if let Results::Exactly(n) = op.results {
        assert_eq!(n, found.len());
    }
    Ok(results)
}

/// The types that an op gives, from these types of its arguments; values of arguments that need not be constant are
/// left out unless `values` are to be known.
pub(super) fn infer(
    op: &'static Op,
    opset: Opset,
    arguments: &[(&str, Datum)],
    types: &[Type],
    values: bool,
) -> Result<Vec<Type>, Fault> {
    let edition = op.edition(opset).expect("the op is in this opset");
    for (name, _) in arguments {
        assert!(edition.params.iter().any(|p| p.name == *name), "`{}` has no parameter `{name}`", op.name);
    }
    let slots = edition
        .params
        .iter()
        .map(|p| {
            let given: Vec<Arg<'_>> = arguments
                .iter()
                .zip(types)
                .filter(|((name, _), _)| *name == p.name)
                .map(|((_, d), ty)| Arg { ty, value: (values || p.constant).then_some(d) })
                .collect();
            match (p.kind, given.as_slice()) {
                (_, []) => Slot::Absent,
                (Kind::Tuple, _) => Slot::Many(given),
                (_, [one, ..]) => Slot::One(*one),
            }
        })
        .collect();
    (op.infer)(&Args { op, opset, edition, slots, declared: &[] })
}

/// The type with the dimensions forgotten.
fn forget(ty: &Type) -> Type {
    match ty {
        Type::Tensor(t) => Type::tensor(t.dtype, Shape::unknown(t.rank())),
        other => other.clone(),
    }
}

/// A tensor argument.
pub(super) fn arg(dtype: DType, shape: &[usize], values: &[f64]) -> Datum {
    Tensor::from_f64s(dtype, shape, values).expect("the test states as many values as the shape has").into()
}

/// A tensor argument whose elements count 1, 2, 3, …
pub(super) fn count(dtype: DType, shape: &[usize]) -> Datum {
    let values: Vec<f64> = (1..=shape.iter().product::<usize>()).map(|v| v as f64).collect();
    arg(dtype, shape, &values)
}

/// The arguments in a line such as `strides=[2,1] groups=4 scale=0.5 ceil_mode=true pad_type=same`.
pub(super) fn words(line: &str) -> Vec<(&str, Datum)> {
    line.split_whitespace()
        .map(|word| {
            let (name, value) = word.split_once('=').expect("the test writes name=value");
            let tensor = if let Some(list) = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                let numbers: Vec<i64> = list.split(',').map(|n| n.parse().expect("a number")).collect();
                Tensor::from_i64s(Int32, &[numbers.len()], &numbers).expect("a list of numbers is a tensor")
            } else if let Ok(number) = value.parse::<i32>() {
                Tensor::scalar(Int32, number.into())
            } else if let Ok(number) = value.parse::<f64>() {
                Tensor::scalar(Fp32, number)
            } else if let Ok(flag) = value.parse::<bool>() {
                Tensor::scalar(DType::Bool, f64::from(u8::from(flag)))
            } else {
                Tensor::string(value)
            };
            (name, tensor.into())
        })
        .collect()
}

/// Asserts that the call is refused with this code.
#[track_caller]
pub(super) fn refuses(op: &str, opset: Opset, code: &str, arguments: &[(&str, Datum)]) {
    match run(op, opset, arguments) {
        Err(fault) => assert_eq!(fault.code.name, code, "{fault}"),
        Ok(results) => panic!("`{op}` gives {results:?} where it must refuse with `{code}`"),
    }
}
