//! The meaning of single ops against the results of coremltools, which are in `facts/values.tsv`.

use anemone::mil::{Opset, OpsetName};
use anemone::ops;
use anemone::types::{DType, Datum, Tensor};

/// The items of a list with commas.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|item| !item.is_empty())
}

/// A tensor written as `dtype|shape|values`.
fn tensor(text: &str) -> Tensor {
    let [dtype, shape, values] = text.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    if dtype == "string" {
        return Tensor::string(values);
    }
    let shape: Vec<usize> = items(shape).map(|n| n.parse().unwrap()).collect();
    let values: Vec<f64> = items(values).map(|n| n.parse().unwrap()).collect();
    Tensor::from_f64s(DType::from_name(dtype).unwrap(), &shape, &values).unwrap()
}

/// Whether a result is as near as the arithmetic of NumPy, which rounds every step to the dtype, can bring it.
fn near(found: &Tensor, wanted: &Tensor) -> bool {
    let relative = match wanted.dtype() {
        DType::Fp16 => 3e-3,
        DType::Fp32 => 2e-5,
        _ => 0.0,
    };
    let close =
        |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= relative * (b.abs() + 0.05);
    found.ty() == wanted.ty() && found.to_f64s().iter().zip(wanted.to_f64s()).all(|(&a, b)| close(a, b))
}

#[test]
fn ops_give_what_coremltools_gives() {
    let mut wrong = Vec::new();
    for line in include_str!("facts/values.tsv").lines().filter(|l| !l.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [op, opset, arguments @ .., wanted] = cells.as_slice() else { panic!("{line}") };
        let opset: Opset = OpsetName::from(*opset).known().unwrap();
        let arguments: Vec<(&str, Datum)> = arguments
            .iter()
            .map(|a| a.split_once('=').unwrap())
            .map(|(name, value)| (name, tensor(value).into()))
            .collect();
        let wanted = tensor(&wanted[1..]);
        match ops::evaluate(ops::find(op).unwrap(), opset, &arguments) {
            Ok(found) if found[0].as_tensor().is_some_and(|t| near(t, &wanted)) => {}
            found => wrong.push(format!("{line}\n  gives {found:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
