//! What the rules read of a step.

use crate::chip::{Limit, Quantity};
use crate::mil::op::{Arg, Args};
use crate::types::{DType, TensorType};
use crate::verify::{Body, Content, Function, Step, ValueId};

use super::{Route, Target};

/// Which values are known when the program is compiled: constants, and what is computed of them alone.
pub(super) struct Folded {
    values: Vec<bool>,
    /// Whether the shape of a fixed tensor is one of them: Core ML folds it before the engine's compiler sees it.
    shapes: bool,
}

impl Folded {
    pub(super) fn of(function: &Function, route: Route) -> Self {
        let values = function.values.iter().map(|v| v.content.is_constant()).collect();
        let mut folded = Self { values, shapes: route == Route::CoreMl };
        folded.block(&function.body);
        folded
    }

    fn block(&mut self, body: &Body) {
        for step in &body.steps {
            step.blocks.iter().for_each(|b| self.block(b));
            if self.folds(step) {
                step.outputs.iter().for_each(|o| self.values[o.index()] = true);
            }
        }
    }

    /// The results of random ops and of state are never known.
    fn folds(&self, step: &Step) -> bool {
        let random = step.op.name.starts_with("random_");
        if random || !step.blocks.is_empty() || step.inputs.is_empty() {
            return false;
        }
        if step.op.name == "shape" {
            return self.shapes && step.certain;
        }
        let mut all = true;
        step.reads(|v| all &= self.values[v.index()]);
        all
    }

    pub(super) fn knows(&self, value: ValueId) -> bool {
        self.values[value.index()]
    }

    /// Whether everything that the step gives is known when the program is compiled.
    pub(super) fn is_folded(&self, step: &Step) -> bool {
        !step.outputs.is_empty() && step.outputs.iter().all(|&o| self.knows(o))
    }
}

/// One step, as the rules see it.
pub(super) struct Ask<'a> {
    pub(super) function: &'a Function,
    pub(super) step: &'a Step,
    pub(super) folded: &'a Folded,
    pub(super) args: Args<'a>,
    pub(super) target: Target,
}

impl<'a> Ask<'a> {
    pub(super) fn new(function: &'a Function, step: &'a Step, folded: &'a Folded, target: Target) -> Self {
        let args = step.args(&[], |id| {
            let value = function.value(id);
            let known = match &value.content {
                Content::Constant(datum) => Some(datum),
                _ => None,
            };
            Arg { ty: &value.ty, value: known }
        });
        Self { function, step, folded, args, target }
    }

    /// The limit of the chip.
    pub(super) fn limit(&self, quantity: Quantity) -> Limit {
        self.target.chip.limit(quantity, self.target.profile)
    }

    /// The values that a parameter is bound to.
    fn values(&self, param: &str) -> &'a [ValueId] {
        let at = self.step.edition.params.iter().position(|p| p.name == param);
        at.and_then(|i| self.step.inputs.get(i)).map_or(&[], |i| i.values())
    }

    /// The first value that a parameter is bound to.
    pub(super) fn value(&self, param: &str) -> Option<ValueId> {
        self.values(param).first().copied()
    }

    /// Whether a parameter is given, and only known when the program runs.
    pub(super) fn at_run_time(&self, param: &str) -> bool {
        self.values(param).iter().any(|&v| !self.folded.knows(v))
    }

    /// The type of a parameter's tensor.
    pub(super) fn ty(&self, param: &'static str) -> Option<&'a TensorType> {
        self.args.opt_ty(param)
    }

    /// The extents of a parameter's tensor, if all are known.
    pub(super) fn dims(&self, param: &'static str) -> Option<Vec<u64>> {
        known(self.ty(param)?)
    }

    /// The type of a result.
    pub(super) fn result(&self, i: usize) -> Option<&'a TensorType> {
        self.function.value(*self.step.outputs.get(i)?).ty.as_tensor()
    }

    /// The tensors that are not known when the program is compiled, each with the name of its parameter.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &'a TensorType)> {
        let (function, folded) = (self.function, self.folded);
        let params = self.step.edition.params.iter().zip(&self.step.inputs);
        params.flat_map(move |(p, input)| {
            let run = input.values().iter().filter(|&&v| !folded.knows(v));
            run.filter_map(move |&v| Some((p.name, function.value(v).ty.as_tensor()?)))
        })
    }

    /// The results.
    pub(super) fn results(&self) -> impl Iterator<Item = &'a TensorType> {
        let function = self.function;
        self.step.outputs.iter().filter_map(move |&o| function.value(o).ty.as_tensor())
    }

    /// The dtype that the op computes in: that of the first tensor that is given.
    pub(super) fn dtype(&self) -> Option<DType> {
        self.given().next().map(|(_, t)| t.dtype)
    }
}

/// The extents of a type, if all are known.
pub(super) fn known(ty: &TensorType) -> Option<Vec<u64>> {
    ty.shape.iter().map(|d| d.known()).collect()
}
