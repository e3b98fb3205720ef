//! Relations between values that ranges of single values do not show: a number divided by the root of the mean of squares that
//! it is one of, one less than the largest of those that it is one of, one divided by a sum that it is a part of.
//!
//! Norms and softmax are bounded by these when they are written as primitives.

use std::collections::HashMap;

use super::Walk;
use super::interval::Range;
use crate::types::Datum;
use crate::verify::{Body, Step, ValueId};

/// How far results may be from what exact arithmetic gives: the tables of a chip are off by a hundredth at most.
const SLACK: f64 = 1.03;

/// So many numbers are summed in single precision with an error below the slack.
const TERMS: f64 = 131072.0;

/// What a square may lose where halves have few bits: half of the last one, and on chips that read no subnormals all.
const LOST: f64 = 1.0 / 16384.0;

/// The steps of a function, by what they give.
#[derive(Default)]
pub(super) struct Givers<'a>(HashMap<ValueId, &'a Step>);

impl<'a> Givers<'a> {
    pub(super) fn of(body: &'a Body) -> Self {
        let mut givers = Self::default();
        givers.add(body);
        givers
    }

    fn add(&mut self, body: &'a Body) {
        for step in &body.steps {
            self.0.extend(step.outputs.iter().map(|&o| (o, step)));
            step.blocks.iter().for_each(|b| self.add(b));
        }
    }

    /// The step of one of these ops that gives a value.
    fn op(&self, value: ValueId, ops: &[&str]) -> Option<&'a Step> {
        self.0.get(&value).copied().filter(|s| ops.contains(&s.op.name))
    }
}

/// What a parameter of a step is bound to.
fn param(step: &Step, name: &str) -> Option<ValueId> {
    let at = step.edition.params.iter().position(|p| p.name == name)?;
    step.inputs.get(at)?.values().first().copied()
}

/// Both operands of a step, in both orders.
fn operands(step: &Step) -> Option<[(ValueId, ValueId); 2]> {
    let (x, y) = (param(step, "x")?, param(step, "y")?);
    Some([(x, y), (y, x)])
}

impl Walk<'_> {
    /// Where the first result of a step lies by its relation to what it is computed of.
    pub(super) fn related(&self, step: &Step) -> Option<Range> {
        let nothing_below_zero = Range::new(0.0, f64::INFINITY);
        match step.op.name {
            "mul" | "pow" if self.is_square(*step.outputs.first()?, param(step, "x")?) => {
                Some(nothing_below_zero)
            }
            "mul" => operands(step)?
                .into_iter()
                .find_map(|(a, b)| self.times_inverse_root(a, b).or_else(|| self.times_inverse_sum(a, b))),
            "real_div" => {
                let (a, b) = (param(step, "x")?, param(step, "y")?);
                self.over_root(a, b).or_else(|| self.over_norm(a, b)).or_else(|| self.over_sum(a, b))
            }
            "sub" => {
                let (x, most) = (param(step, "x")?, param(step, "y")?);
                self.is_largest(most, x).then(|| Range::new(f64::NEG_INFINITY, 0.0))
            }
            // However it is rounded, a sum of no negative numbers is none.
            "reduce_sum" | "reduce_mean" => {
                let least = if self.holds_one(step) { 1.0 / SLACK } else { 0.0 };
                (self.range(param(step, "x")?).lo >= 0.0).then(|| Range::new(least, f64::INFINITY))
            }
            _ => None,
        }
    }

    fn range(&self, value: ValueId) -> Range {
        self.ranges[value.index()]
    }

    /// The number that a value is everywhere, if it is a constant of one.
    fn number(&self, value: ValueId) -> Option<f64> {
        let tensor = self.datum(value).and_then(Datum::as_tensor).filter(|t| t.len() == 1)?;
        tensor.to_f64s().first().copied()
    }

    /// The shape of a value, if it is known.
    fn dims(&self, value: ValueId) -> Option<Vec<u64>> {
        self.function.value(value).ty.as_tensor()?.shape.iter().map(|d| d.known()).collect()
    }

    /// How many elements each result of a reduction is made of, if each element meets its own where the two are computed with.
    fn terms(&self, reduction: &Step) -> Option<f64> {
        let (x, y) = (self.dims(param(reduction, "x")?)?, self.dims(*reduction.outputs.first()?)?);
        let own = x.len() == y.len() && x.iter().zip(&y).all(|(a, b)| a == b || *b == 1);
        let count = |d: &[u64]| d.iter().map(|&n| n as f64).product::<f64>();
        let terms = count(&x) / count(&y).max(1.0);
        (own && (1.0..=TERMS).contains(&terms)).then_some(terms)
    }

    /// Whether nothing on the way to a value is infinite, where infinities are numbers.
    fn is_finite(&self, value: ValueId) -> bool {
        self.numerics == crate::chip::Numerics::Ieee || self.range(value).is_bounded()
    }

    /// The least `s / a²` of a value that is `s`, made of the squares of all `a`; and the least that it may be.
    fn squares_of(&self, value: ValueId, a: ValueId) -> Option<f64> {
        if !self.is_finite(value) {
            return None;
        }
        if let Some(step) = self.givers.op(value, &["mul"]) {
            let scaled = |(x, k)| Some(self.squares_of(x, a)? * self.number(k).filter(|&k| k > 0.0)?);
            return operands(step)?.into_iter().find_map(scaled);
        }
        if let Some(step) = self.givers.op(value, &["real_div"]) {
            let by = self.number(param(step, "y")?).filter(|&n| n > 0.0)?;
            return Some(self.squares_of(param(step, "x")?, a)? / by);
        }
        let step = self.givers.op(value, &["reduce_mean", "reduce_sum", "reduce_sum_square"])?;
        let (x, terms) = (param(step, "x")?, self.terms(step)?);
        let of_squares = match step.op.name {
            "reduce_sum_square" => x == a,
            _ => self.is_square(x, a) && self.is_finite(x),
        };
        let part = if step.op.name == "reduce_mean" { 1.0 / terms } else { 1.0 };
        of_squares.then_some(part)
    }

    fn is_square(&self, value: ValueId, a: ValueId) -> bool {
        let Some(step) = self.givers.op(value, &["square", "mul", "pow"]) else { return false };
        let (x, y) = (param(step, "x"), param(step, "y"));
        x == Some(a)
            && match step.op.name {
                "square" => true,
                "mul" => y == Some(a),
                _ => y.and_then(|y| self.number(y)) == Some(2.0),
            }
    }

    /// The most that `|a| / sqrt(t)` is, of a value that is `t` or has something added to it, and of what more is added.
    fn most(&self, t: ValueId, a: ValueId, more: f64) -> Option<f64> {
        let part = self.squares_of(t, a).or_else(|| {
            let step = self.givers.op(t, &["add", "maximum"])?;
            let with = |(x, e)| self.squares_of(x, a).filter(|_| self.number(e).is_some_and(|e| e >= 0.0));
            operands(step)?.into_iter().find_map(with)
        })?;
        let least = self.range(t).lo + more;
        let fits = self.range(a).is_bounded() && self.is_finite(t) && least > 0.0;
        // Each of the squares, and their sum twice, may lose something that counts where the sum is small.
        let lost = part * LOST + LOST / 512.0;
        fits.then(|| ((1.0 + lost / least) / part).sqrt() * SLACK)
    }

    /// `a` times the inverse of the root of its squares.
    fn times_inverse_root(&self, a: ValueId, r: ValueId) -> Option<Range> {
        let step = self.givers.op(r, &["rsqrt", "pow", "inverse", "real_div"])?;
        let x = param(step, "x")?;
        let most = match step.op.name {
            "rsqrt" => {
                let epsilon = param(step, "epsilon").and_then(|e| self.number(e)).unwrap_or(0.0).max(0.0);
                self.most(x, a, epsilon)?
            }
            "pow" if self.number(param(step, "y")?)? == -0.5 => self.most(x, a, 0.0)?,
            "inverse" => self.most(self.rooted(x)?, a, 0.0)?,
            "real_div" if self.number(x)? == 1.0 => self.most(self.rooted(param(step, "y")?)?, a, 0.0)?,
            _ => return None,
        };
        self.range(r).is_bounded().then(|| Range::new(-most, most))
    }

    /// What a value is the root of.
    fn rooted(&self, value: ValueId) -> Option<ValueId> {
        let step = self.givers.op(value, &["sqrt", "pow"])?;
        let half = step.op.name == "sqrt" || self.number(param(step, "y")?)? == 0.5;
        param(step, "x").filter(|_| half)
    }

    /// Whether the inverse of a value is finite.
    fn has_inverse(&self, value: ValueId) -> bool {
        self.range(value).lo > 1.0 / 32768.0 && self.is_finite(value)
    }

    fn over_root(&self, a: ValueId, s: ValueId) -> Option<Range> {
        let most = self.most(self.rooted(s)?, a, 0.0)?;
        self.has_inverse(s).then(|| Range::new(-most, most))
    }

    /// `a` over the length of all of them, or what that is held to at least.
    fn over_norm(&self, a: ValueId, s: ValueId) -> Option<Range> {
        let held = self.givers.op(s, &["maximum", "add"]).and_then(operands);
        let norms = held.into_iter().flatten().filter(|(_, e)| self.number(*e).is_some_and(|e| e >= 0.0));
        let mut norms = norms.map(|(n, _)| n).chain([s]);
        let is_norm = |n: ValueId| {
            let norm = self.givers.op(n, &["reduce_l2_norm"]);
            norm.is_some_and(|step| param(step, "x") == Some(a) && self.terms(step).is_some())
        };
        // Where squares vanish, what is left is small beside what the length is held to.
        let least = self.range(s).lo;
        let fits = norms.any(is_norm) && self.has_inverse(s) && self.range(a).is_bounded();
        fits.then(|| {
            let most = (1.0 + LOST / (least * least)).sqrt() * SLACK;
            Range::new(-most, most)
        })
    }

    /// Whether a value is the largest of those that each `x` is one of.
    fn is_largest(&self, value: ValueId, x: ValueId) -> bool {
        let step = self.givers.op(value, &["reduce_max"]);
        step.is_some_and(|s| param(s, "x") == Some(x) && self.terms(s).is_some())
    }

    /// Whether one of the terms of a sum is 1: the exponential of the difference of the largest and itself.
    fn holds_one(&self, sum: &Step) -> bool {
        if sum.op.name != "reduce_sum" {
            return false;
        }
        let shape = |step: &Step| step.outputs.first().and_then(|&o| self.dims(o));
        let found = || {
            let e = self.givers.op(param(sum, "x")?, &["exp"])?;
            let d = self.givers.op(param(e, "x")?, &["sub"])?;
            let (x, most) = (param(d, "x")?, param(d, "y")?);
            let largest = self.givers.op(most, &["reduce_max"]).filter(|_| self.is_largest(most, x))?;
            // The sum is over those of which the largest was found.
            Some(self.range(x).is_bounded() && self.terms(sum).is_some() && shape(largest) == shape(sum))
        };
        found().unwrap_or(false)
    }

    fn over_sum(&self, e: ValueId, s: ValueId) -> Option<Range> {
        let sum = self.givers.op(s, &["reduce_sum"]).filter(|step| param(step, "x") == Some(e))?;
        let fits = self.range(e).lo >= 0.0 && self.range(e).is_bounded() && self.terms(sum).is_some();
        (fits && self.has_inverse(s) && self.range(s).lo > 0.01).then(|| Range::new(0.0, SLACK))
    }

    fn times_inverse_sum(&self, e: ValueId, r: ValueId) -> Option<Range> {
        self.over_sum(e, param(self.givers.op(r, &["inverse"])?, "x")?)
    }
}
