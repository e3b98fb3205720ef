//! A call that may be rewritten, as the rules read it.

use crate::mil::Call;
use crate::mil::op::Arg;
use crate::ops::along;
use crate::place::{self, Target};
use crate::types::{DType, Tensor, TensorType};
use crate::verify::{Content, Function, Step, Value, ValueId};

/// A call of a verified function.
pub(super) struct Site<'a> {
    pub(super) function: &'a Function,
    pub(super) step: &'a Step,
    pub(super) call: &'a Call,
    pub(super) target: Target,
}

impl<'a> Site<'a> {
    /// What a parameter is bound to; the first, where it takes several.
    pub(super) fn value(&self, param: &str) -> Option<&'a Value> {
        self.values(param).next()
    }

    /// What a parameter is bound to, one or several.
    pub(super) fn values(&self, param: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let at = self.step.edition.params.iter().position(|p| p.name == param);
        let bound = at.and_then(|at| self.step.inputs.get(at)).map_or(&[][..], |i| i.values());
        let function = self.function;
        bound.iter().map(move |&v| function.value(v))
    }

    pub(super) fn tensor(&self, param: &str) -> Option<&'a TensorType> {
        self.value(param)?.ty.as_tensor()
    }

    pub(super) fn dtype(&self, param: &str) -> Option<DType> {
        Some(self.tensor(param)?.dtype)
    }

    pub(super) fn dims(&self, param: &str) -> Option<Vec<u64>> {
        dims(self.tensor(param)?)
    }

    /// Whether a step of this op gives what the parameter is bound to.
    pub(super) fn is_given_by(&self, param: &str, op: &str) -> bool {
        let at = self.step.edition.params.iter().position(|p| p.name == param);
        let bound = at.and_then(|at| self.step.inputs.get(at)).and_then(|i| i.values().first());
        let mut steps = self.function.body.steps.iter().filter(|s| s.op.name == op);
        bound.is_some_and(|v| steps.any(|s| s.outputs.contains(v)))
    }

    /// The first result.
    pub(super) fn result(&self) -> Option<(DType, Vec<u64>)> {
        let &output = self.step.outputs.first()?;
        Some((self.function.value(output).ty.as_tensor()?.dtype, self.result_dims(0)?))
    }

    /// The dimensions of a result.
    pub(super) fn result_dims(&self, i: usize) -> Option<Vec<u64>> {
        let &output = self.step.outputs.get(i)?;
        dims(self.function.value(output).ty.as_tensor()?)
    }

    /// Whether a step reads a value, or the function gives it.
    pub(super) fn is_read(&self, value: ValueId) -> bool {
        let body = &self.function.body;
        let mut read = body.outputs.contains(&value);
        for step in &body.steps {
            step.reads(|v| read |= v == value);
        }
        read
    }

    /// The arguments that an axis of the only result divides, and along which of their axes.
    pub(super) fn along(&self, axis: usize) -> Option<Vec<(&'static str, usize)>> {
        let arg = |id| {
            let value = self.function.value(id);
            let known = match &value.content {
                Content::Constant(datum) => Some(datum),
                _ => None,
            };
            Arg { ty: &value.ty, value: known }
        };
        along(&self.step.args(&[], arg), self.result()?.1.len(), axis)
    }

    /// The most elements that the engine takes along an axis of so many.
    pub(super) fn longest(&self, axis: usize, rank: usize) -> u64 {
        self.target.chip.limit(place::extent_of(axis, rank).0, self.target.profile).value
    }

    /// The axes that are longer than the engine's.
    pub(super) fn long_axes(&self, dims: &[u64]) -> impl Iterator<Item = usize> {
        place::long_axes(self.target, dims)
    }

    /// The first axis that is longer than the engine's.
    pub(super) fn long_axis(&self, dims: &[u64]) -> Option<usize> {
        self.long_axes(dims).next()
    }

    /// A constant.
    pub(super) fn constant(&self, param: &str) -> Option<&'a Tensor> {
        match &self.value(param)?.content {
            Content::Constant(datum) => datum.as_tensor(),
            _ => None,
        }
    }

    /// Whole numbers that are constant.
    pub(super) fn ints(&self, param: &str) -> Option<Vec<i64>> {
        Some(self.constant(param)?.to_i64s())
    }

    /// One whole number, this one when the call has none. `None` when it is not constant.
    pub(super) fn int_or(&self, param: &str, default: i64) -> Option<i64> {
        match self.value(param) {
            None => Some(default),
            Some(_) => self.ints(param)?.first().copied(),
        }
    }

    /// A bool, false when the call has none. `None` when it is not constant.
    pub(super) fn flag(&self, param: &str) -> Option<bool> {
        self.int_or(param, 0).map(|n| n != 0)
    }

    /// A number, this one when the call has none. `None` when it is not constant.
    pub(super) fn float_or(&self, param: &str, default: f64) -> Option<f64> {
        match self.value(param) {
            None => Some(default),
            Some(_) => self.constant(param)?.to_f64s().first().copied(),
        }
    }

    /// A word, this one when the call has none. `None` when it is not constant.
    pub(super) fn word_or(&self, param: &str, default: &'a str) -> Option<&'a str> {
        match self.value(param) {
            None => Some(default),
            Some(_) => self.constant(param)?.as_strings()?.first().map(|s| &**s),
        }
    }

    /// An axis, counted from the front.
    pub(super) fn axis(&self, param: &str, default: i64, rank: usize) -> Option<usize> {
        let axis = self.int_or(param, default)?;
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(axis).ok().filter(|&a| a < rank)
    }

    /// Axes counted from the front, all of them when the call names none.
    pub(super) fn axes(&self, param: &str, rank: usize) -> Option<Vec<usize>> {
        let Some(axes) = self.value(param).map(|_| self.ints(param)) else {
            return Some((0..rank).collect());
        };
        let from_front =
            |a: i64| usize::try_from(if a < 0 { a + rank as i64 } else { a }).ok().filter(|&a| a < rank);
        axes?.into_iter().map(from_front).collect()
    }
}

fn dims(ty: &TensorType) -> Option<Vec<u64>> {
    ty.shape.iter().map(|d| d.known()).collect()
}
