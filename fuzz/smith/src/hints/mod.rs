//! Proposals of arguments: what the op table says of the parameters suffices for many ops; the others have hints.

mod images;
mod moves;
mod sums;
mod weights;

use anemone::mil::op::{Default, Kind, Parameter};
use anemone::types::{DType, Tensor};

use crate::draft::Draft;

/// Proposes arguments for a call; `None` when there is nothing to propose.
pub(crate) fn propose(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    sums::propose(d)
        .or_else(|| moves::propose(d))
        .or_else(|| images::propose(d))
        .or_else(|| weights::propose(d))
        .unwrap_or_else(|| by_table(d, &[]))
}

/// A hint for an op, `None` when this file has none for it.
type Hint = Option<Option<()>>;

/// Words that a parameter of this name takes in some op.
fn words(name: &str) -> &'static [&'static str] {
    match name {
        "dtype" => &["fp16", "fp32", "int32", "bool", "int8", "uint8", "int16", "uint16"],
        "output_dtype" => &["int32", "uint16", "int8", "uint8"],
        "mode" => &["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION", "logits", "probs"],
        _ => &["default"],
    }
}

/// Proposes an argument for each parameter that has none yet: the first tensor is of any shape, and the others are of
/// the same or broadcast to it; axes are axes of it. Parameters that are left out stay out.
pub(crate) fn by_table(d: &mut Draft<'_, '_, '_, '_>, left_out: &[&str]) -> Option<()> {
    let mut first: Option<Vec<usize>> = None;
    for p in d.edition.params {
        if d.is_given(p.name) || left_out.contains(&p.name) || !d.wants(p.name) {
            continue;
        }
        if p.constant {
            by_name(d, p, first.as_deref().unwrap_or_default())?;
            continue;
        }
        if p.kind != Kind::Tensor {
            return None;
        }
        match &first {
            None => first = Some(d.ranked(p.name, 0..=5)?),
            Some(shape) => {
                let other = broadcast(d, shape);
                d.shaped(p.name, &other)?;
            }
        }
    }
    Some(())
}

/// Proposes a constant by the name and default of its parameter.
fn by_name(d: &mut Draft<'_, '_, '_, '_>, p: &'static Parameter, shape: &[usize]) -> Option<()> {
    let rank = shape.len() as i64;
    match (p.name, p.default) {
        (_, Default::Bool(_)) => {
            let value = d.b.dice.chance(50);
            d.flag(p.name, value)
        }
        ("axis", _) => {
            let axis = axis(d, shape)?;
            d.int("axis", axis)
        }
        ("axes", _) => {
            if rank == 0 {
                return None;
            }
            let axes = axes(d, shape.len());
            d.ints("axes", &axes)
        }
        (name, _) if p.dtypes.contains(DType::String) && !p.dtypes.contains(DType::Fp32) => {
            d.word(name, words(name))
        }
        (name, _) => {
            let dtype = d.dtype(name);
            let value = d.b.dice.one(&[0.5, 1.0, 0.25, 2.0, -1.5, 0.0, 6.0, 1e-3, 100.0]);
            d.given(name, Tensor::scalar(dtype, value))
        }
    }
}

/// An axis of a tensor of this shape, counted from either end.
pub(crate) fn axis(d: &mut Draft<'_, '_, '_, '_>, shape: &[usize]) -> Option<i64> {
    let rank = shape.len() as i64;
    (rank > 0).then(|| d.b.dice.within(-rank, rank - 1))
}

/// Some axes, each at most once, counted from either end, in any order.
pub(crate) fn axes(d: &mut Draft<'_, '_, '_, '_>, rank: usize) -> Vec<i64> {
    let mut all: Vec<i64> = (0..rank as i64).collect();
    for i in (1..all.len()).rev() {
        let other = d.b.dice.below(i + 1);
        all.swap(i, other);
    }
    all.truncate(1 + d.b.dice.below(rank));
    if d.b.dice.chance(40) {
        // Neighbours in order are what models have, and what kernels are written for.
        all.sort_unstable();
    }
    all.iter().map(|&a| if d.b.dice.chance(40) { a - rank as i64 } else { a }).collect()
}

/// A shape that broadcasts with this one.
pub(crate) fn broadcast(d: &mut Draft<'_, '_, '_, '_>, shape: &[usize]) -> Vec<usize> {
    match d.b.dice.below(10) {
        0..5 => shape.to_vec(),
        5 => Vec::new(),
        6 => shape[d.b.dice.below(shape.len() + 1)..].to_vec(),
        7 => {
            // One more dimension, in front.
            let more = 1 + d.b.dice.below(3);
            let longer: Vec<usize> = [more].iter().chain(shape).copied().collect();
            if longer.len() > 5 { shape.to_vec() } else { longer }
        }
        _ => shape.iter().map(|&n| if d.b.dice.chance(50) { 1 } else { n }).collect(),
    }
}
