//! Where the values of states lie.
//!
//! A `read_state` names what lies in the state, and a value that is written is computed in the state's own memory, so that
//! neither costs a copy. That is right as long as nobody needs what lay there before: [`Residents`] looks at who reads
//! what when, in the order in which the plan runs, and where it is not right a step copies. What a run writes before it is
//! refused is what the program has written: nothing that can refuse stands between what is computed in a state and the
//! `write_state` that says so.

use std::collections::HashMap;

use super::build::{Target, Work};
use crate::verify::ValueId;

/// Which values lie in states.
#[derive(Default)]
pub(super) struct Residents {
    /// The states in which results of steps are computed.
    pub(super) of: HashMap<ValueId, usize>,
    /// Of states whose first value is still needed when they are written: the state, and the step before which it is
    /// copied.
    pub(super) loads: Vec<(usize, usize)>,
    /// The copies into states that nothing is left to do for.
    pub(super) done: Vec<usize>,
}

/// A copy into a state.
#[derive(Clone, Copy)]
struct Store {
    at: usize,
    value: ValueId,
}

/// What is known of the steps when that is decided.
pub(super) struct Steps<'a, 's> {
    pub(super) work: &'a [Work<'s>],
    /// The last step that reads each value, `usize::MAX` for results of the function.
    pub(super) last: &'a HashMap<ValueId, usize>,
    /// The value whose elements a value has.
    pub(super) base: &'a dyn Fn(ValueId) -> ValueId,
}

impl Steps<'_, '_> {
    /// Decides for each state, whose first value is called as the parameter.
    pub(super) fn residents(&self, states: &[ValueId]) -> Residents {
        let mut residents = Residents::default();
        let mut made = HashMap::new();
        for (at, work) in self.work.iter().enumerate() {
            for target in &work.writes {
                if let Target::Value(v) = target {
                    made.insert(*v, at);
                }
            }
        }
        for (state, &first) in states.iter().enumerate() {
            let stores: Vec<Store> = (0..self.work.len())
                .filter(|&at| matches!(self.work[at].writes[..], [Target::State(s)] if s == state))
                .map(|at| Store { at, value: (self.base)(self.work[at].reads[0]) })
                .collect();
            self.decide(state, first, &stores, &made, &mut residents);
        }
        residents
    }

    fn decide(
        &self,
        state: usize,
        first: ValueId,
        stores: &[Store],
        made: &HashMap<ValueId, usize>,
        residents: &mut Residents,
    ) {
        let Some(&Store { at: written, .. }) = stores.first() else { return };
        // The value that lies in the state, as far as somebody reads it there.
        let mut lies = Some(first);
        let loaded = self.last.get(&first).is_some_and(|&last| last > written);
        if loaded {
            lies = None;
        }
        for (i, store) in stores.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| stores[i].at);
            let after = stores.get(i + 1).map(|s| s.at);
            let there = made.get(&store.value).copied().filter(|&p| {
                !residents.of.contains_key(&store.value) && self.fits(p, store, before, after, lies)
            });
            if let Some(p) = there {
                residents.of.insert(store.value, state);
                residents.done.push(store.at);
                lies = Some(store.value);
                if i == 0 && loaded {
                    residents.loads.push((state, p));
                }
            } else {
                lies = None;
                if i == 0 && loaded {
                    residents.loads.push((state, written));
                }
            }
        }
    }

    /// Whether the step `p` may compute a value in the state that it is written to.
    fn fits(
        &self,
        p: usize,
        store: &Store,
        before: Option<usize>,
        after: Option<usize>,
        lies: Option<ValueId>,
    ) -> bool {
        let last = |v: ValueId| self.last.get(&v).copied();
        let in_order = before.is_none_or(|w| w < p);
        // What lies there is not needed any more, or is what the step changes.
        let over = lies.and_then(last).is_none_or(|last| last < p || last == p && self.changes(p, lies));
        // Nobody needs it when the next value has come.
        let short = after.is_none_or(|w| last(store.value).is_none_or(|last| last <= w));
        let kernel = &self.work[p];
        let sure = (kernel.updates || kernel.is_sure())
            && self.work[p + 1..store.at].iter().all(|work| work.is_sure());
        in_order && over && short && sure
    }

    /// Whether a step writes over the elements of this value, which it reads once.
    fn changes(&self, p: usize, value: Option<ValueId>) -> bool {
        let work = &self.work[p];
        let mut reads = work.reads.iter().map(|&v| Some((self.base)(v)));
        work.updates && reads.next() == Some(value) && reads.all(|v| v != value)
    }
}
