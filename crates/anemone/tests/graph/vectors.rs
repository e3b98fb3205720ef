//! The recorded cases of all ops, called through the methods of the builder.

use std::fs;
use std::path::Path;

use anemone::device::{self, Engine, Options as Limits};
use anemone::graph::{Arg, Options};
use anemone::mil::Opset;
use anemone::mil::op::{Default, Kind, Op};
use anemone::types::{DType, Datum, Tensor};
use anemone::{Graph, ops};

use super::methods;

/// A tensor written as `dtype|shape|values`.
fn tensor(text: &str) -> Tensor {
    let [dtype, shape, values] = text.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let items =
        |text: &str| text.split(',').filter(|i| !i.is_empty()).map(str::to_string).collect::<Vec<_>>();
    let dims: Vec<usize> = items(shape).iter().map(|n| n.parse().unwrap()).collect();
    match DType::from_name(dtype).unwrap() {
        DType::String if shape.is_empty() => Tensor::string(values),
        DType::String => Tensor::from_strings(&dims, values.split(',').map(Into::into).collect()).unwrap(),
        dtype if dtype.is_float() => {
            let values: Vec<f64> = items(values).iter().map(|n| n.parse().unwrap()).collect();
            Tensor::from_f64s(dtype, &dims, &values).unwrap()
        }
        dtype => {
            let values = items(values);
            let values: Vec<i64> = values
                .iter()
                .map(|n| n.parse().unwrap_or_else(|_| n.parse::<u64>().unwrap() as i64))
                .collect();
            Tensor::from_i64s(dtype, &dims, &values).unwrap()
        }
    }
}

/// Calls an op in a graph with these arguments, of which those that need not be constant are inputs, and holds what it
/// gives against what the op gives by itself.
fn check(op: &'static Op, opset: Opset, arguments: &[(&str, Datum)]) -> Result<(), String> {
    let edition = op.edition(opset).ok_or("the opset does not have the op")?;
    let newest = op.editions.last().ok_or("the op has no edition")?;
    let mut g = Graph::with_opset(opset);
    let mut inputs = Vec::new();
    let mut given: Vec<(&str, Arg)> = Vec::new();
    for p in edition.params {
        let values = arguments.iter().filter(|(name, _)| *name == p.name).filter_map(|(_, d)| d.as_tensor());
        let mut handles = Vec::new();
        for value in values.clone() {
            handles.push(if p.constant || edition.in_attributes {
                g.constant_tensor(value.clone())
            } else {
                let name = format!("in{}", inputs.len());
                inputs.push((name.clone(), value.clone()));
                g.input(&name, value.dtype(), value.shape())
            });
        }
        match (p.kind, handles.as_slice()) {
            (_, []) => {}
            (Kind::Tuple, _) => given.push((p.name, handles.into())),
            (_, [one, ..]) => given.push((p.name, (*one).into())),
        }
    }
    let required: Vec<_> =
        newest.params.iter().filter(|p| p.default == Default::Required).map(|p| p.name).collect();
    let of = |name: &str| given.iter().find(|(n, _)| *n == name).map(|(_, a)| a.clone());
    let options = |all: bool| {
        let rest = given.iter().filter(|(n, _)| all || !required.contains(n));
        rest.fold(Options::new(), |o, (n, a)| o.and(n, a.clone()))
    };
    let takes = |name: &str| newest.params.iter().any(|p| p.name == name);
    let results = match required.iter().all(|n| of(n).is_some()) && given.iter().all(|(n, _)| takes(n)) {
        true => {
            methods::call(&mut g, op.name, |name| of(name).unwrap(), options(false)).ok_or("no method")?
        }
        // An older opset has other parameters.
        false => g.op(op.name, options(true)).into_iter().collect(),
    };
    for (i, &result) in results.iter().enumerate() {
        g.output(&format!("out{i}"), result);
    }
    let built = g.build().map_err(|wrong| wrong.to_string())?;
    let model = device::load(built.verified.main(), Engine::Reference, &Limits::default())
        .map_err(|e| format!("does not load: {e}"))?;
    let inputs: Vec<_> = inputs.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let found = model.run(&inputs, &device::States::new()).map_err(|e| format!("does not run: {e}"))?;
    let wanted = ops::evaluate(op, opset, arguments).map_err(|e| e.to_string())?;
    for ((_, found), wanted) in found.iter().zip(&wanted) {
        let (Some(found), Some(wanted)) = (found.as_tensor(), wanted.as_tensor()) else { continue };
        if !found.same_bits(wanted) {
            return Err(format!("gives {found:?}, and the op by itself {wanted:?}"));
        }
    }
    match found.len() == wanted.len() {
        true => Ok(()),
        false => Err(format!("gives {} results, and the op by itself {}", found.len(), wanted.len())),
    }
}

/// Rows F55, C46: every op has a method, and gives through it what it gives by itself.
#[test]
fn every_recorded_case_goes_through_the_builder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/vectors");
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for op in ops::all() {
        let Ok(text) = fs::read_to_string(folder.join(format!("{}.tsv", op.name))) else { continue };
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with('#')) {
            let cells: Vec<_> = line.split('\t').collect();
            let arguments = cells[4..].iter().take_while(|c| **c != "->").map(|c| c.split_once('=').unwrap());
            let arguments: Vec<(&str, Datum)> = arguments.map(|(n, t)| (n, tensor(t).into())).collect();
            cases += 1;
            if let Err(e) = check(op, Opset::from_name(cells[0]).unwrap(), &arguments) {
                wrong.push(format!("{}.tsv:{}: {e}", op.name, number + 1));
            }
        }
    }
    assert!(cases > 2000, "there are {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}
