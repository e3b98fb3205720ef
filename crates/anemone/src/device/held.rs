//! The states of a plan while it runs.

use super::States;
use crate::plan::Plan;
use crate::types::{State, Tensor};

/// The states of a plan in its order, and their values while a run has them. What is kept here is allocated once.
#[derive(Debug)]
pub(crate) struct Held {
    states: Vec<State>,
    /// In which order they are taken: the same for all runs, so that two never wait for each other.
    order: Vec<usize>,
    values: Vec<Option<Tensor>>,
}

impl Held {
    /// The states that a plan needs; `None` when one is missing, or of another type, or when one is there twice, which
    /// cannot be taken twice.
    pub(crate) fn new(plan: &Plan, states: &States) -> Option<Self> {
        let mut found = Vec::with_capacity(plan.states().len());
        for io in plan.states() {
            let state = states.get(&io.name)?;
            if state.read().ty() != io.ty {
                return None;
            }
            found.push(state.clone());
        }
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by_key(|&i| found[i].place());
        if order.windows(2).any(|pair| found[pair[0]].place() == found[pair[1]].place()) {
            return None;
        }
        Some(Self { values: vec![None; found.len()], states: found, order })
    }

    /// Takes all states, for as long as what is returned lives.
    pub(crate) fn take(&mut self) -> HeldValues<'_> {
        for &i in &self.order {
            self.values[i] = Some(self.states[i].take());
        }
        HeldValues(self)
    }
}

/// The values of states, which get them back at the end.
pub(crate) struct HeldValues<'h>(&'h mut Held);

impl HeldValues<'_> {
    /// Their elements, in the order of the plan. A copy is made of those that somebody shares.
    pub(crate) fn bytes_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let values = self.0.values.iter_mut().flatten();
        values.map(|tensor| tensor.bytes_mut().expect("no state of a plan holds strings"))
    }
}

impl Drop for HeldValues<'_> {
    fn drop(&mut self) {
        for (state, value) in self.0.states.iter().zip(&mut self.0.values) {
            if let Some(value) = value.take() {
                state.give_back(value);
            }
        }
    }
}
