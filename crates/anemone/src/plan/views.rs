//! Which values nobody writes, since all that read them go by strides.
//!
//! An op that moves elements ([`Fast::Viewing`]) gives a [`View`]: a transpose, a part, keys that are repeated for the heads
//! of a group. Where every reader takes the view ([`Args::view`](crate::mil::op::Args::view)), or moves elements of it on, the
//! step goes, and its readers are given the tensor that the view is of. Their sums run in the same order, so that no bit
//! changes; a kernel to which the order would be another one does not take the view.

use std::collections::{HashMap, HashSet};

use super::build::{Builder, Kept};
use super::fuse::Group;
use crate::chip::Numerics;
use crate::mil::op::{Access, Fast, View};
use crate::verify::{Input, Step, ValueId};

/// A value that nobody makes.
#[derive(Clone)]
pub(super) struct Viewed {
    /// The value that it is a view of, which somebody makes.
    pub(super) of: ValueId,
    pub(super) view: View,
    /// The ops that lead from the one to the other.
    pub(super) through: Vec<&'static str>,
}

impl Builder<'_> {
    /// Leaves out the steps whose results are read by strides alone.
    pub(super) fn leave_views(&mut self, kept: &mut Kept<'_>) {
        if self.known.numerics != Numerics::Ieee {
            return;
        }
        self.views = self.all_views(&kept.steps);
        let results: Vec<ValueId> = self.frame.outputs.iter().map(|&o| self.base(o)).collect();
        self.views.retain(|id, _| !results.contains(&self.aliases.get(id).copied().unwrap_or(*id)));
        loop {
            let made: HashSet<ValueId> = kept.steps.iter().flat_map(|step| self.must_be_made(step)).collect();
            if made.is_empty() {
                break;
            }
            self.views.retain(|id, _| !made.contains(&self.aliases.get(id).copied().unwrap_or(*id)));
        }
        kept.steps.retain(|step| !self.is_left_out(step));
        // From here on who reads a view reads what it is of.
        for (id, viewed) in &self.views {
            self.aliases.insert(*id, viewed.of);
        }
    }

    /// All views of tensors that are no views themselves, by their names and those of the same elements.
    fn all_views(&self, steps: &[&Step]) -> HashMap<ValueId, Viewed> {
        // What a state holds at first is copied whole if somebody needs it after the state was set: a part is copied instead.
        let sets = |step: &&&Step| matches!(step.op.fast, Fast::State(Access::Write | Access::Update));
        let set: HashSet<ValueId> = steps
            .iter()
            .filter(sets)
            .filter_map(|step| step.inputs.first()?.values().first().copied())
            .collect();
        let mut views: HashMap<ValueId, Viewed> = HashMap::new();
        for step in steps {
            let (Fast::Viewing(_, all), Some(Input::One(x))) = (step.op.fast, step.inputs.first()) else {
                continue;
            };
            if self.known.constants[x.index()].is_some() {
                continue;
            }
            let x = self.base(*x);
            if set.contains(&x) {
                continue;
            }
            let types = self.types(step);
            let shown = all(&step.args(&types, |v| self.arg(v))).ok().flatten().unwrap_or_default();
            for (&result, view) in step.outputs.iter().zip(shown) {
                let (view, of, mut through) = match views.get(&x) {
                    None => (Some(view), x, Vec::new()),
                    Some(before) => (view.of(&before.view), before.of, before.through.clone()),
                };
                through.push(step.op.name);
                views.extend(view.map(|view| (result, Viewed { of, view, through })));
            }
        }
        let names = self.aliases.iter().filter_map(|(id, of)| Some((*id, views.get(of)?.clone())));
        let names: Vec<_> = names.collect();
        views.extend(names);
        views
    }

    /// Whether nobody needs a step, since all of its results are views.
    fn is_left_out(&self, step: &Step) -> bool {
        matches!(step.op.fast, Fast::Viewing(..)) && step.outputs.iter().all(|o| self.views.contains_key(o))
    }

    /// The values that a step needs to be made, of those that are views.
    fn must_be_made(&self, step: &Step) -> Vec<ValueId> {
        if self.is_left_out(step) {
            return Vec::new();
        }
        // One that is carried out makes all of its results.
        let mut all = step.outputs.clone();
        step.reads(|v| all.push(v));
        all.retain(|v| self.views.contains_key(v));
        if !all.is_empty() && matches!(step.op.fast, Fast::Strided(_) | Fast::Viewing(..)) {
            let (_, taken) = self.prepared_of(&Group { head: step, tail: Vec::new() });
            all.retain(|v| !taken.contains(v));
        }
        all.into_iter().map(|v| self.base(v)).collect()
    }
}
