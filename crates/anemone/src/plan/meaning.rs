//! Steps without prepared kernels: they are computed on tensors, which are copied.

use super::build::{Known, size};
use crate::mil::op::{Arg, Args, Meaning, Prepared, Reader, Run, Slot};
use crate::ops::silicon;
use crate::types::{Datum, Tensor, TensorType, Type};
use crate::verify::{Input, Step, ValueId};

/// A kernel that computes a step by the meaning of its op, with results of these types.
///
/// `None` for an op that has none, and when a value is no tensor that can be placed.
pub(super) fn kernel(known: &Known<'_>, step: &Step, types: Vec<Type>) -> Option<Prepared> {
    let Meaning::Compute(compute) = step.op.meaning else { return None };
    let (op, opset, edition) = (step.op, step.opset, step.edition);
    let (function, numerics) = (known.function, known.numerics);
    // What each argument is: a constant, or a tensor of this type at this place.
    enum Argument {
        Constant(Type, Datum),
        Given(Type, TensorType, usize),
    }
    let mut at = 0;
    let mut argument = |v: &ValueId| {
        let ty = function.value(*v).ty.clone();
        let here = at;
        at += 1;
        match &known.constants[v.index()] {
            Some(datum) => Some(Argument::Constant(ty, datum.clone())),
            None => Some(Argument::Given(ty.clone(), size(&ty)?.0, here)),
        }
    };
    let arguments = step
        .inputs
        .iter()
        .map(|i| i.values().iter().map(&mut argument).collect::<Option<Vec<_>>>())
        .collect::<Option<Vec<_>>>()?;
    let kinds: Vec<Option<bool>> = step
        .inputs
        .iter()
        .map(|i| match i {
            Input::Absent => None,
            Input::One(_) => Some(false),
            Input::Many(_) => Some(true),
        })
        .collect();
    Some(Prepared::new(move |run: &mut Run<'_, '_>| {
        let tensor = |ty: &TensorType, at: usize| {
            let shape = ty.shape.known().unwrap_or_default();
            let reader = Reader::Given(at);
            Tensor::from_bytes(ty.dtype, &shape, run.read(&reader)).map(Datum::from)
        };
        let data: Vec<Vec<Datum>> = arguments
            .iter()
            .map(|list| {
                list.iter()
                    .map(|k| match k {
                        Argument::Constant(_, datum) => Ok(datum.clone()),
                        Argument::Given(_, ty, at) => tensor(ty, *at),
                    })
                    .collect::<Result<_, _>>()
            })
            .collect::<Result<_, _>>()?;
        let ty = |k: &'_ Argument| match k {
            Argument::Constant(ty, _) | Argument::Given(ty, ..) => ty.clone(),
        };
        let all: Vec<Vec<Type>> = arguments.iter().map(|list| list.iter().map(ty).collect()).collect();
        let slots = kinds
            .iter()
            .enumerate()
            .map(|(i, kind)| {
                let arg = |j: usize| Arg { ty: &all[i][j], value: Some(&data[i][j]) };
                match kind {
                    None => Slot::Absent,
                    Some(false) => Slot::One(arg(0)),
                    Some(true) => Slot::Many((0..data[i].len()).map(arg).collect()),
                }
            })
            .collect();
        let args = Args { op, opset, edition, slots, declared: &types, after: &[], unmade: &[] };
        let found = silicon::prepare(&args, &types, numerics)?;
        let found = found.map(|p| p.results(&[], &types, run.threads));
        let results = found.unwrap_or_else(|| compute(&args, &types))?;
        for (i, result) in results.iter().enumerate() {
            if let Some(tensor) = result.as_tensor() {
                run.write::<u8>(i).copy_from_slice(tensor.bytes());
            }
        }
        Ok(())
    }))
}
