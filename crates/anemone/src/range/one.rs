//! Functions of one number: halves are so few that all of them are put through the function.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::Call;
use super::interval::Range;
use crate::chip::Numerics;
use crate::mil::Opset;
use crate::mil::op::Op;
use crate::ops;
use crate::ops::silicon;
use crate::types::{DType, Datum, Tensor, f16};

/// What functions give for every half, which the steps of a function share.
#[derive(Default)]
pub(super) struct Tables(HashMap<String, Option<Table>>);

/// What a function gives for every half but NaN, in order, and for NaN.
struct Table {
    numbers: Vec<f64>,
    of_nan: Vec<f64>,
}

/// Every half but NaN, in order; -0 stands before 0.
fn halves() -> impl Iterator<Item = f16> {
    let negative = (0x8000..=0xfc00).rev().map(f16::from_bits);
    negative.chain((0..=0x7c00).map(f16::from_bits))
}

/// The place of 0 among [`halves`].
const ZERO: usize = 0x7c01;

/// The halves that are NaN.
fn not_numbers() -> impl Iterator<Item = f16> {
    (0x7c01..=0x7fff).chain(0xfc01..=0xffff).map(f16::from_bits)
}

/// The place of a number among [`halves`]: that of the nearest; of 0, that of -0.
fn place(x: f64) -> usize {
    let near = f16::from_f64(x);
    let magnitude = usize::from(near.to_bits() & 0x7fff);
    if x <= 0.0 { ZERO - 1 - magnitude } else { ZERO + magnitude }
}

impl Tables {
    /// What an op gives of `x`, of halves, and of constants of one number; `None` where that is not all that it takes, or
    /// where it refuses them.
    pub(super) fn apply(&mut self, call: &Call<'_>) -> Option<Range> {
        if call.args.ty("x").ok()?.dtype != DType::Fp16 {
            return None;
        }
        let mut key = format!("{} {}", call.args.op.name, call.numerics());
        let mut constants: Vec<(&'static str, Datum)> = Vec::new();
        for param in call.args.edition.params.iter().map(|p| p.name).filter(|&p| p != "x" && call.args.has(p))
        {
            let value = call.constant(param).filter(|value| value.len() == 1)?;
            match value.as_strings() {
                Some(words) => write!(key, " {param} {words:?}").ok()?,
                None => write!(key, " {param} {} {:?}", value.dtype(), value.to_f64s()).ok()?,
            }
            constants.push((param, value.reshaped(&[]).ok()?.into()));
        }
        let x = call.as_it_is("x")?;
        self.table(key, call.args.op, call.args.opset, call.numerics(), constants)?.within(x)
    }

    /// What a chip multiplies with where it divides by numbers of a range.
    pub(super) fn inverse(&mut self, call: &Call<'_>) -> Option<Range> {
        let (inverse, numerics) = (ops::find("inverse")?, call.numerics());
        let epsilon = ("epsilon", Tensor::scalar(DType::Fp16, 0.0).into());
        let key = format!("inverse {numerics} of a divisor");
        self.table(key, inverse, call.args.opset, numerics, vec![epsilon])?.within(call.as_it_is("y")?)
    }

    fn table(
        &mut self,
        key: String,
        op: &'static Op,
        opset: Opset,
        numerics: Numerics,
        constants: Vec<(&'static str, Datum)>,
    ) -> Option<&Table> {
        let make = || {
            let x: Vec<f16> = halves().chain(not_numbers()).collect();
            let x = Tensor::from_slice(&[x.len()], &x).ok()?;
            let arguments: Vec<(&str, Datum)> = std::iter::once(("x", x.into())).chain(constants).collect();
            let results = match numerics {
                Numerics::Ieee => ops::evaluate(op, opset, &arguments),
                Numerics::Chip(chip) => silicon::evaluate(op, opset, &arguments, chip, 1),
            };
            let mut numbers = results.ok()?.first()?.as_tensor()?.to_f64s();
            let of_nan = numbers.split_off(ZERO + 1 + usize::from(f16::INFINITY.to_bits()));
            Some(Table { numbers, of_nan })
        };
        self.0.entry(key).or_insert_with(make).as_ref()
    }
}

impl Table {
    /// What the function gives of the halves in a range.
    fn within(&self, x: Range) -> Option<Range> {
        let last = if x.hi == 0.0 { ZERO } else { place(x.hi) };
        let numbers = self.numbers.get(place(x.lo)..=last)?;
        let of_nan = if x.nan { &self.of_nan[..] } else { &[] };
        Some(Range::spanning(numbers.iter().chain(of_nan).copied()))
    }
}

/// What a function of one number is, as far as other dtypes than halves need it.
pub(super) struct Shape {
    op: &'static str,
    /// What it gives lies here.
    codomain: [f64; 2],
    /// Where it turns from rising to falling or back; `None` where more is to be known than that.
    turns: Option<&'static [f64]>,
}

const INF: f64 = f64::INFINITY;
const ANY: [f64; 2] = [-INF, INF];
const POSITIVE: [f64; 2] = [0.0, INF];
const RISES: Option<&[f64]> = Some(&[]);

const fn shape(op: &'static str, codomain: [f64; 2], turns: Option<&'static [f64]>) -> Shape {
    Shape { op, codomain, turns }
}

/// Ops that give for each element of `x` a number that depends on it and on constants.
static SHAPES: &[Shape] = &[
    shape("abs", POSITIVE, Some(&[0.0])),
    shape("acos", [0.0, 3.15], None),
    shape("asin", [-1.58, 1.58], None),
    shape("atan", [-1.58, 1.58], RISES),
    shape("atanh", ANY, None),
    shape("ceil", ANY, RISES),
    shape("clamped_relu", ANY, Some(&[0.0])),
    shape("clip", ANY, RISES),
    shape("cos", [-1.0, 1.0], None),
    shape("cosh", [1.0, INF], Some(&[0.0])),
    shape("elu", ANY, None),
    shape("erf", [-1.0, 1.0], RISES),
    shape("exp", POSITIVE, RISES),
    shape("exp2", POSITIVE, RISES),
    shape("floor", ANY, RISES),
    shape("gelu", [-0.171, INF], None),
    shape("inverse", ANY, None),
    shape("leaky_relu", ANY, Some(&[0.0])),
    shape("linear_activation", ANY, RISES),
    shape("log", ANY, None),
    shape("relu", POSITIVE, RISES),
    shape("relu6", [0.0, 6.0], RISES),
    shape("round", ANY, RISES),
    shape("rsqrt", POSITIVE, None),
    shape("scaled_tanh", ANY, RISES),
    shape("sigmoid", [0.0, 1.0], RISES),
    shape("sigmoid_hard", [0.0, 1.0], RISES),
    shape("sign", [-1.0, 1.0], RISES),
    shape("silu", [-0.279, INF], None),
    shape("sin", [-1.0, 1.0], None),
    shape("sinh", ANY, RISES),
    shape("softplus", POSITIVE, RISES),
    shape("softsign", [-1.0, 1.0], RISES),
    shape("sqrt", POSITIVE, None),
    shape("square", POSITIVE, Some(&[0.0])),
    shape("tan", ANY, None),
    shape("tanh", [-1.0, 1.0], RISES),
    shape("threshold", ANY, RISES),
    shape("thresholded_relu", ANY, None),
];

impl Shape {
    /// That of an op, if it is one of one number.
    pub(super) fn of(op: &str) -> Option<&'static Self> {
        SHAPES.iter().find(|shape| shape.op == op)
    }

    /// What the function gives lies here.
    pub(super) fn codomain(&self) -> Range {
        Range::new(self.codomain[0], self.codomain[1])
    }

    /// What the op gives; the codomain where `x` is no half and the function is not known well enough.
    pub(super) fn apply(&self, call: &Call<'_>, tables: &mut Tables) -> Option<Range> {
        let x = call.range("x")?;
        let halves = call.args.ty("x").ok()?.dtype == DType::Fp16;
        let found = if halves { tables.apply(call) } else { self.at_ends(call, x) };
        found.or(call.chip.is_none().then(|| Range { nan: true, ..self.codomain() }))
    }

    /// From what the op gives at the ends and where it turns.
    fn at_ends(&self, call: &Call<'_>, x: Range) -> Option<Range> {
        let turns = self.turns?.iter().copied().filter(|&t| x.contains(t));
        let points: Vec<f64> = [x.lo, x.hi].into_iter().chain(turns).collect();
        let dtype = call.args.ty("x").ok()?.dtype;
        let points = Tensor::from_f64s(dtype, &[points.len()], &points).ok()?;
        let rest = call.args.edition.params.iter().map(|p| p.name).filter(|&name| name != "x");
        let mut arguments: Vec<(&str, Datum)> = vec![("x", points.into())];
        for param in rest.filter(|name| call.args.has(name)) {
            arguments.push((param, call.constant(param)?.clone().into()));
        }
        let results = ops::evaluate(call.args.op, call.args.opset, &arguments).ok()?;
        let result = Range::of(results.first()?.as_tensor()?);
        if result.nan {
            return None;
        }
        Some(Range { nan: x.nan, ..result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_in_order_and_found_again() {
        let all: Vec<f16> = halves().collect();
        assert!(all.is_sorted() && all.len() == 2 * 0x7c01);
        for (i, half) in all.iter().enumerate() {
            let at = place(half.to_f64());
            assert!(at == i || half.to_f64() == 0.0 && at + 1 == i, "{half} is at {at}, not at {i}");
        }
    }
}
