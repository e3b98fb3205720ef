//! What the tests of every family are written with: one line runs one op on values.

use super::{evaluate, find};
use crate::mil::Opset;
use crate::mil::op::{Arg, Args, Fault, Kind, Slot};
use crate::types::{DType, Datum, Shape, Tensor, TensorType, Type};

/// A tensor of any numeric dtype.
pub(super) fn t(dtype: DType, shape: &[usize], values: &[f64]) -> Tensor {
    Tensor::from_f64s(dtype, shape, values).unwrap()
}

/// An fp32 vector.
pub(super) fn f(values: &[f64]) -> Tensor {
    t(DType::Fp32, &[values.len()], values)
}

/// An fp16 vector.
pub(super) fn h(values: &[f64]) -> Tensor {
    t(DType::Fp16, &[values.len()], values)
}

/// An int32 vector.
pub(super) fn i(values: &[i64]) -> Tensor {
    Tensor::from_i64s(DType::Int32, &[values.len()], values).unwrap()
}

/// A vector of bools.
pub(super) fn b(values: &[bool]) -> Tensor {
    Tensor::from_bools(&[values.len()], values).unwrap()
}

/// An fp32 scalar.
pub(super) fn f1(value: f64) -> Tensor {
    Tensor::scalar(DType::Fp32, value)
}

/// An int32 scalar.
pub(super) fn i1(value: i64) -> Tensor {
    Tensor::scalar(DType::Int32, value as f64)
}

/// A bool scalar.
pub(super) fn b1(value: bool) -> Tensor {
    Tensor::scalar(DType::Bool, f64::from(u8::from(value)))
}

/// A string scalar.
pub(super) fn s(value: &str) -> Tensor {
    Tensor::string(value)
}

/// The results of an op, whose types must be those that inference gives with all values known, and must fit those
/// that it gives with no dimension known.
pub(super) fn run(op: &str, opset: Opset, arguments: &[(&str, Tensor)]) -> Result<Vec<Tensor>, Fault> {
    let op = find(op).unwrap_or_else(|| panic!("no op {op}"));
    let given: Vec<(&str, Datum)> = arguments.iter().map(|(n, t)| (*n, t.clone().into())).collect();
    let results = evaluate(op, opset, &given)?;

    let edition = op.edition(opset).unwrap();
    for known in [true, false] {
        let types: Vec<Type> = given
            .iter()
            .map(|(name, d)| {
                let ty = d.as_tensor().unwrap().ty();
                let constant = edition.params.iter().any(|p| p.name == *name && p.constant);
                if known || constant {
                    ty.into()
                } else {
                    TensorType::new(ty.dtype, Shape::unknown(ty.rank())).into()
                }
            })
            .collect();
        let slots = edition
            .params
            .iter()
            .map(|p| {
                let of_p: Vec<_> = (0..given.len())
                    .filter(|&k| given[k].0 == p.name)
                    .map(|k| Arg { ty: &types[k], value: (known || p.constant).then_some(&given[k].1) })
                    .collect();
                match (p.kind, of_p.as_slice()) {
                    (_, []) => Slot::Absent,
                    (Kind::Tuple, _) => Slot::Many(of_p),
                    (_, [one, ..]) => Slot::One(*one),
                }
            })
            .collect();
        let declared: Vec<Type> = results.iter().map(Datum::ty).collect();
        let args = Args { op, opset, edition, slots, declared: &declared };
        let inferred = (op.infer)(&args)
            .unwrap_or_else(|e| panic!("{op:?}: inference with known={known} refuses what evaluates: {e}"));
        assert_eq!(inferred.len(), results.len(), "{op:?}: the number of results");
        for (ty, result) in inferred.iter().zip(&results) {
            if known {
                assert_eq!(*ty, result.ty(), "{op:?}: the inferred type is not the type of the result");
            } else {
                assert!(ty.fits(&result.ty()), "{op:?}: {ty} does not fit {}", result.ty());
            }
        }
    }
    Ok(results.into_iter().map(|d| d.as_tensor().unwrap().clone()).collect())
}

/// Checks the one result of an op: dtype, shape and each element, which may differ by one part in a million
/// in fp32, and in no other dtype.
#[track_caller]
pub(super) fn check(op: &str, opset: Opset, arguments: &[(&str, Tensor)], expected: &Tensor) {
    let results = run(op, opset, arguments).unwrap_or_else(|e| panic!("{op}: {e}"));
    let [result] = results.as_slice() else { panic!("{op} gives {} results", results.len()) };
    assert_eq!((result.dtype(), result.shape()), (expected.dtype(), expected.shape()), "{op}: {result:?}");
    let near = if result.dtype() == DType::Fp32 { 1e-6 } else { 0.0 };
    let same = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= near * b.abs();
    let all = result.to_f64s().iter().zip(expected.to_f64s()).all(|(&a, b)| same(a, b));
    assert!(all, "{op} gives {result:?}, not {expected:?}");
}

/// Checks that an op refuses the arguments with this code, for this parameter.
#[track_caller]
pub(super) fn refuse(op: &str, opset: Opset, arguments: &[(&str, Tensor)], code: &str, param: Option<&str>) {
    match run(op, opset, arguments) {
        Ok(results) => panic!("{op} gives {results:?} instead of {code}"),
        Err(fault) => assert_eq!((fault.code.name, fault.param), (code, param), "{op}: {fault}"),
    }
}
