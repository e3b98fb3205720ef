//! What the tests of the numeric ops are written with: short names of tensors, and results that are near enough.

use super::testing;
use crate::mil::Opset;
use crate::mil::op::Fault;
use crate::types::{DType, Datum, Tensor};

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

/// The results of an op. What inference foresees must fit them.
fn run(op: &str, opset: Opset, arguments: &[(&str, Tensor)]) -> Result<Vec<Tensor>, Fault> {
    let arguments: Vec<(&str, Datum)> = arguments.iter().map(|(name, t)| (*name, t.clone().into())).collect();
    let results = testing::run(op, opset, &arguments)?;
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
