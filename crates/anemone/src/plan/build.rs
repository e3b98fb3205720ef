//! Making a plan: kernels are prepared, values get places.

use std::cell::Cell;
use std::collections::HashMap;

use super::bands::Together;
use super::blocks::Blocks;
use super::fuse::{Fuse, Group};
use super::layout::ChannelsLast;
use super::meaning;
use super::states::Steps;
use super::views::Viewed;
use super::{Bytes, Io, Kernel, Place, Plan, Step};
use crate::chip::Numerics;
use crate::mil::op::{Access, After, Arg, Args, Fast, Prepared, Reader, Source, Unmade, View};
use crate::ops::silicon;
use crate::types::{Datum, Tensor, TensorType, Type};
use crate::verify::{Function, Input, Step as Checked, ValueId};
use crate::work;

/// A value on its way to a place.
#[derive(Clone, Copy)]
struct Life {
    bytes: usize,
    /// The last step that reads it; those of a function's results never end.
    last: usize,
}

/// What is known of a function before it runs.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) function: &'a Function,
    /// The values that are constant, as far as they have been computed.
    pub(crate) constants: &'a [Option<Datum>],
    /// With a chip's arithmetic no step is done by the kernel of another.
    pub(crate) numerics: Numerics,
    /// The most turns of a loop.
    pub(crate) turns: u64,
}

/// What a plan is made of: a function, or a block of one, which also takes what it reads from outside.
pub(super) struct Frame<'a> {
    pub(super) inputs: Vec<ValueId>,
    pub(super) states: Vec<ValueId>,
    pub(super) outputs: Vec<ValueId>,
    pub(super) steps: Vec<&'a Checked>,
}

impl Plan {
    /// Makes a plan of these steps of a function.
    ///
    /// `None` when the function is not of the kind that can be planned: when a shape is not known, when it has lists or
    /// strings, or when a block reads or writes a state.
    pub(crate) fn of<'a>(known: &Known<'a>, steps: Vec<&'a Checked>) -> Option<Self> {
        let function = known.function;
        let is_state = |p: &ValueId| matches!(function.value(*p).ty, Type::State(_));
        let (states, inputs) = function.params.iter().partition(|p| is_state(p));
        Self::of_frame(known, Frame { inputs, states, outputs: function.body.outputs.clone(), steps })
    }

    pub(super) fn of_frame<'a>(known: &Known<'a>, frame: Frame<'a>) -> Option<Self> {
        Builder::new(known, frame).build()
    }

    /// Whether the kernel of a step makes the parts of an argument itself, which another step would make whole.
    pub(crate) fn takes_parts<'a>(known: &Known<'a>, reader: &'a Checked, maker: &'a Checked) -> bool {
        let (inputs, states, outputs) = Default::default();
        let mut builder = Builder::new(known, Frame { inputs, states, outputs, steps: vec![maker] });
        builder.leave_unmade();
        let group = Group { head: reader, tail: Vec::new() };
        !builder.unmade.is_empty() && builder.prepared(&group).is_some()
    }

    fn empty() -> Self {
        Self {
            steps: Vec::new(),
            slots: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            copies: Vec::new(),
            constants: Vec::new(),
            controls: 0,
        }
    }
}

/// A group with its kernel.
pub(super) struct Work<'s> {
    pub(super) group: Group<'s>,
    /// The groups that are done with it in bands, and how many bands there are.
    pub(super) others: Vec<Group<'s>>,
    bands: usize,
    pub(super) kernel: Kernel,
    pub(super) by_meaning: bool,
    /// Whether anything that it reads or writes lies with its channels last.
    pub(super) channels_last: bool,
    /// Whether the kernel finds the elements of its first argument in its result.
    pub(super) updates: bool,
    /// What the kernel is given, and what it writes.
    pub(super) reads: Vec<ValueId>,
    pub(super) writes: Vec<Target>,
    /// Constants that it is given when it runs.
    given: Vec<ValueId>,
}

/// What a kernel writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Target {
    Value(ValueId),
    State(usize),
}

impl<'s> Work<'s> {
    fn new(group: Group<'s>, kernel: Prepared, by_meaning: bool, channels_last: bool) -> Self {
        let reads = group.reads().collect();
        let writes = group.last().outputs.iter().map(|&o| Target::Value(o)).collect();
        let updates = !by_meaning && matches!(group.head.op.fast, Fast::Updating(_));
        Self {
            by_meaning,
            channels_last,
            updates,
            ..Self::of(group, Kernel::Prepared(kernel), reads, writes)
        }
    }

    fn of(group: Group<'s>, kernel: Kernel, reads: Vec<ValueId>, writes: Vec<Target>) -> Self {
        let (others, given) = Default::default();
        let (by_meaning, channels_last, updates) = (false, false, false);
        Self { group, others, bands: 1, kernel, by_meaning, channels_last, updates, reads, writes, given }
    }

    /// Steps that are done together, in order.
    pub(super) fn band(groups: Vec<Group<'s>>, together: Together) -> Option<Self> {
        let Together { kernel, bands, reads, given } = together;
        let writes = groups.last()?.last().outputs.iter().map(|&o| Target::Value(o)).collect();
        let mut groups = groups.into_iter();
        let of = Self::of(groups.next()?, Kernel::Prepared(kernel), reads, writes);
        Some(Self { others: groups.collect(), bands, given, ..of })
    }

    /// The step whose results are written.
    fn last(&self) -> &'s Checked {
        self.others.last().unwrap_or(&self.group).last()
    }

    /// All groups, in order.
    fn groups(&self) -> impl Iterator<Item = &Group<'s>> {
        std::iter::once(&self.group).chain(&self.others)
    }

    /// A step that runs blocks, which read values from outside.
    fn control(group: Group<'s>, blocks: Blocks, captured: Vec<ValueId>) -> Self {
        let reads = group.reads().chain(captured).collect();
        let writes = group.head.outputs.iter().map(|&o| Target::Value(o)).collect();
        Self::of(group, Kernel::Blocks(Box::new(blocks)), reads, writes)
    }

    /// A copy from a state, or into one, for the sake of a step.
    fn copy(step: &'s Checked, reads: Vec<ValueId>, writes: Vec<Target>) -> Self {
        let kernel = Kernel::Prepared(Prepared::sure(|run| run.copy(&Reader::Given(0))));
        Self::of(Group { head: step, tail: Vec::new() }, kernel, reads, writes)
    }

    /// Whether it cannot refuse.
    pub(super) fn is_sure(&self) -> bool {
        matches!(&self.kernel, Kernel::Prepared(kernel) if kernel.is_sure())
    }
}

/// The steps that a plan has to do, before they are fused.
pub(super) struct Kept<'s> {
    pub(super) steps: Vec<&'s Checked>,
    /// The first step that reads each state.
    readers: HashMap<ValueId, &'s Checked>,
}

pub(super) struct Builder<'a> {
    pub(super) known: Known<'a>,
    pub(super) frame: Frame<'a>,
    plan: Plan,
    /// Where values are, once that is known.
    places: HashMap<ValueId, Place>,
    /// Values that have the elements of another one. What lies in a state before the run is the value of the parameter.
    pub(super) aliases: HashMap<ValueId, ValueId>,
    /// Constants that nobody makes whole, and the steps that would.
    pub(super) unmade: HashMap<ValueId, &'a Checked>,
    /// Values that nobody makes, since all that read them go by strides.
    pub(super) views: HashMap<ValueId, Viewed>,
}

/// The bytes of a tensor that a plan can place.
pub(super) fn size(ty: &Type) -> Option<(TensorType, usize)> {
    let ty = match ty {
        Type::State(held) => held.as_tensor()?,
        ty => ty.as_tensor()?,
    };
    let elements = usize::try_from(ty.shape.elements()?).ok()?;
    (ty.dtype != crate::types::DType::String).then(|| (ty.clone(), ty.dtype.bytes_of(elements)))
}

impl<'a> Builder<'a> {
    fn new(known: &Known<'a>, frame: Frame<'a>) -> Self {
        let (places, aliases, unmade, views) = Default::default();
        Self { known: *known, frame, plan: Plan::empty(), places, aliases, unmade, views }
    }

    /// Finds the steps that make constants and were not carried out: who reads those makes them part by part.
    fn leave_unmade(&mut self) {
        let constant = |v: &ValueId| self.known.constants[v.index()].is_some();
        for step in &self.frame.steps {
            if let (Fast::InParts(..), [result]) = (step.op.fast, &step.outputs[..])
                && !constant(result)
                && step.inputs.iter().flat_map(Input::values).all(constant)
            {
                self.unmade.insert(*result, step);
            }
        }
    }

    fn build(mut self) -> Option<Plan> {
        // A control-flow op has the types that it declares, and its blocks those of their steps.
        if self.frame.steps.iter().any(|step| !step.certain && step.blocks.is_empty()) {
            return None;
        }
        let function = self.known.function;
        let io = |&id: &ValueId| {
            let value = function.value(id);
            let (ty, bytes) = size(&value.ty)?;
            Some(Io { name: value.name.clone(), ty, bytes })
        };
        let Frame { inputs, states, outputs, .. } = &self.frame;
        self.plan.inputs = inputs.iter().map(io).collect::<Option<_>>()?;
        self.plan.states = states.iter().map(io).collect::<Option<_>>()?;
        self.plan.outputs = outputs.iter().map(io).collect::<Option<_>>()?;
        let inputs = inputs.iter().enumerate().map(|(i, &p)| (p, Place::Input(i)));
        self.places.extend(inputs.chain(states.iter().enumerate().map(|(i, &p)| (p, Place::State(i)))));
        self.leave_unmade();
        let mut kept = self.kept();
        self.leave_views(&mut kept);
        let mut work = self.work(kept.steps)?;
        self.place_states(&mut work, &kept.readers);
        self.results();
        let mut lives = self.lives(&work)?;
        let mut free: Vec<usize> = Vec::new();
        // The last step that reads the value of a slot, the slot, the bytes of the value.
        let mut held: Vec<(usize, usize, usize)> = Vec::new();
        for (at, work) in work.into_iter().enumerate() {
            self.update_in_place(at, &work, &mut lives, &mut held);
            for target in &work.writes {
                if let Target::Value(o) = *target
                    && !self.places.contains_key(&o)
                {
                    let life = lives.get(&o)?;
                    let slot = self.slot(&mut free, life.bytes);
                    held.push((life.last.max(at), slot, life.bytes));
                    self.places.insert(o, Place::Slot(slot));
                }
            }
            let live = held.iter().map(|&(.., bytes)| bytes).sum();
            let planned = self.step(work, live)?;
            self.plan.steps.push(planned);
            held.retain(|&(last, slot, _)| {
                if last <= at {
                    free.push(slot);
                }
                last > at
            });
        }
        Some(self.plan)
    }

    /// The steps whose results somebody needs, without those that only name the elements of another value.
    fn kept(&mut self) -> Kept<'a> {
        let mut needed = vec![false; self.known.function.values.len()];
        self.frame.outputs.iter().for_each(|o| needed[o.index()] = true);
        let mut kept = Vec::new();
        for step in self.frame.steps.iter().rev() {
            let sets = matches!(step.op.fast, Fast::State(Access::Write | Access::Update));
            if !sets && !step.outputs.is_empty() && !step.outputs.iter().any(|o| needed[o.index()]) {
                continue;
            }
            step.reads(|v| needed[v.index()] = true);
            kept.push(*step);
        }
        kept.reverse();
        let mut readers = HashMap::new();
        // What each state holds, where it was set.
        let mut holds: HashMap<ValueId, ValueId> = HashMap::new();
        // The steps that compute something of a value, by the first one that they read.
        let mut done: HashMap<ValueId, Vec<&Checked>> = HashMap::new();
        kept.retain(|step| {
            let mut values = step.inputs.iter().flat_map(Input::values).copied();
            let (first, second) = (values.next(), values.next());
            let result = step.outputs.first().copied();
            match (step.op.fast, first) {
                (Fast::Alias, Some(of)) if step.outputs.len() == 1 => {
                    self.aliases.extend(result.map(|result| (result, self.base(of))));
                    false
                }
                (Fast::State(Access::Read), Some(state)) => {
                    readers.entry(state).or_insert(*step);
                    let held = holds.get(&state).copied().unwrap_or(state);
                    self.aliases.extend(result.map(|result| (result, held)));
                    false
                }
                (Fast::State(_), Some(state)) => {
                    let new = second.map_or(state, |v| self.base(v));
                    self.aliases.extend(result.map(|result| (result, new)));
                    // What is there already need not be set.
                    holds.insert(state, new).unwrap_or(state) != new
                }
                _ if result.is_some_and(|result| self.unmade.contains_key(&result)) => false,
                _ => {
                    let mut given = step.inputs.iter().flat_map(Input::values);
                    let given = given.find(|v| self.known.constants[v.index()].is_none());
                    let Some(given) = given.filter(|_| step.blocks.is_empty()) else { return true };
                    let others = done.entry(self.base(*given)).or_default();
                    let Some(same) = others.iter().find(|other| self.same(step, other)) else {
                        others.push(step);
                        return true;
                    };
                    let bases = same.outputs.iter().map(|&o| self.base(o)).collect::<Vec<_>>();
                    self.aliases.extend(step.outputs.iter().copied().zip(bases));
                    false
                }
            }
        });
        Kept { steps: kept, readers }
    }

    /// Whether two steps compute the same: an op has no memory, so that it gives the same results for the same arguments.
    fn same(&self, a: &Checked, b: &Checked) -> bool {
        /// Larger constants are not looked at: two of them are the same if they are one value.
        const COMPARED: usize = 1 << 10;
        let one = |a: ValueId, b: ValueId| match (
            &self.known.constants[a.index()],
            &self.known.constants[b.index()],
        ) {
            (Some(x), Some(y)) => {
                let same = |(x, y): (&Tensor, &Tensor)| {
                    x.bytes().len() <= COMPARED
                        && (x.dtype(), x.shape(), x.bytes()) == (y.dtype(), y.shape(), y.bytes())
                        && x.dtype() != crate::types::DType::String
                };
                a == b || x.as_tensor().zip(y.as_tensor()).is_some_and(same)
            }
            (None, None) => {
                self.base(a) == self.base(b)
                    && self.known.function.value(a).ty == self.known.function.value(b).ty
            }
            _ => false,
        };
        let all = |(a, b): (&Input, &Input)| {
            let (a, b) = (a.values(), b.values());
            a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| one(a, b))
        };
        std::ptr::eq(a.op, b.op)
            && std::ptr::eq(a.edition, b.edition)
            && self.types(a) == self.types(b)
            && a.inputs.len() == b.inputs.len()
            && a.inputs.iter().zip(&b.inputs).all(all)
    }

    /// Decides which values lie in states, and inserts copies where they cannot.
    fn place_states<'s>(&mut self, work: &mut Vec<Work<'s>>, readers: &HashMap<ValueId, &'s Checked>) {
        let mut last: HashMap<ValueId, usize> = HashMap::new();
        for (at, work) in work.iter().enumerate() {
            last.extend(work.reads.iter().map(|&v| (self.base(v), at)));
        }
        last.extend(self.frame.outputs.iter().map(|&o| (self.base(o), usize::MAX)));
        let base = |v: ValueId| self.base(v);
        let residents = Steps { work, last: &last, base: &base }.residents(&self.frame.states);
        self.places.extend(residents.of.iter().map(|(&value, &state)| (value, Place::State(state))));
        let mut loads = Vec::new();
        for (state, before) in residents.loads {
            let (param, Some(&reader)) = (self.frame.states[state], readers.get(&self.frame.states[state]))
            else {
                continue;
            };
            let first = work.iter().position(|w| w.reads.iter().any(|&v| self.base(v) == param));
            let Some(&copy) = reader.outputs.first() else { continue };
            // From here on the copy is meant where the first value of the state was.
            self.aliases.remove(&copy);
            self.aliases.values_mut().filter(|of| **of == param).for_each(|of| *of = copy);
            let (reads, writes) = (vec![param], vec![Target::Value(copy)]);
            loads.push((first.map_or(before, |first| first.min(before)), Work::copy(reader, reads, writes)));
        }
        let mut all: Vec<Option<Work<'s>>> = std::mem::take(work).into_iter().map(Some).collect();
        residents.done.into_iter().for_each(|at| all[at] = None);
        for (at, step) in all.into_iter().enumerate() {
            work.extend(loads.extract_if(.., |(before, _)| *before == at).map(|(_, load)| load));
            work.extend(step);
        }
    }

    /// Gives the result of a step that changes its first argument the place of that, where nobody else needs it.
    fn update_in_place(
        &mut self,
        at: usize,
        work: &Work<'_>,
        lives: &mut HashMap<ValueId, Life>,
        held: &mut [(usize, usize, usize)],
    ) {
        let (true, [Target::Value(result)], Some(&of)) = (work.updates, &work.writes[..], work.reads.first())
        else {
            return;
        };
        let of = self.base(of);
        let (Some(Place::Slot(slot)), Some(life)) = (self.places.get(&of).copied(), lives.get(&of)) else {
            return;
        };
        let alone = life.last == at && work.reads.iter().filter(|&&v| self.base(v) == of).count() == 1;
        if !alone || self.places.contains_key(result) {
            return;
        }
        let Some(Life { last, .. }) = lives.get(result).copied() else { return };
        if let Some(held) = held.iter_mut().find(|h| h.1 == slot) {
            held.0 = last.max(at);
            self.places.insert(*result, Place::Slot(slot));
        }
    }

    /// The value whose elements this one has.
    pub(super) fn base(&self, id: ValueId) -> ValueId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// Gives the function's results their places; where that is not a step's to write, it is copied at the end.
    fn results(&mut self) {
        for i in 0..self.frame.outputs.len() {
            let base = self.base(self.frame.outputs[i]);
            let given = self.known.constants[base.index()].is_some() || self.places.contains_key(&base);
            if given {
                let from = self.place(base);
                self.plan.copies.push((from, i));
            } else {
                self.places.insert(base, Place::Output(i));
            }
        }
    }

    /// Where a value is that has a place, or is constant.
    fn place(&mut self, id: ValueId) -> Place {
        if let Some(&place) = self.places.get(&id) {
            return place;
        }
        let constant = self.known.constants[id.index()].as_ref().and_then(Datum::as_tensor);
        let tensor = constant.expect("a value is a constant, an input, or the result of an earlier step");
        self.plan.constants.push(tensor.clone());
        let place = Place::Constant(self.plan.constants.len() - 1);
        self.places.insert(id, place);
        place
    }

    /// Fuses steps, and prepares their kernels; a group whose kernel does not take in what follows falls apart.
    fn work(&mut self, steps: Vec<&'a Checked>) -> Option<Vec<Work<'a>>> {
        let fuse = Fuse { known: &self.known, outputs: &self.frame.outputs, base: &|v| self.base(v) };
        let mut work = Vec::new();
        let (groups, layout) = match self.known.numerics {
            Numerics::Ieee => {
                let groups = fuse.groups(steps);
                let layout = self.lay_out(&groups);
                (groups, layout)
            }
            Numerics::Chip(_) => {
                let alone = |head| Group { head, tail: Vec::new() };
                (steps.into_iter().map(alone).collect(), ChannelsLast::default())
            }
        };
        for group in groups {
            if let Fast::State(_) = group.head.op.fast {
                let mut values = group.head.inputs.iter().flat_map(Input::values);
                let state = values.next().and_then(|v| self.frame.states.iter().position(|s| s == v))?;
                let reads = values.copied().collect();
                work.push(Work::copy(group.head, reads, vec![Target::State(state)]));
                continue;
            }
            if !group.head.blocks.is_empty() {
                let (blocks, captured) = Blocks::of(&self.known, group.head, self.plan.controls)?;
                self.plan.controls += 1;
                work.push(Work::control(group, blocks, captured));
                continue;
            }
            if let (Some(kernel), last) = self.laid_out(&group, &layout) {
                work.push(Work::new(group, kernel, false, last));
                continue;
            }
            for group in group.apart() {
                let (prepared, last) = self.laid_out(&group, &layout);
                let by_meaning = prepared.is_none();
                let kernel = match prepared {
                    Some(kernel) => kernel,
                    None => self.between(&group, &layout, self.by_meaning(group.head)?, [false; 2]),
                };
                work.push(Work::new(group, kernel, by_meaning, last));
            }
        }
        Some(match self.known.numerics {
            Numerics::Ieee => self.banded(work),
            Numerics::Chip(_) => work,
        })
    }

    pub(super) fn types(&self, step: &Checked) -> Vec<Type> {
        step.outputs.iter().map(|&o| self.known.function.value(o).ty.clone()).collect()
    }

    pub(super) fn arg(&self, v: ValueId) -> Arg<'_> {
        Arg { ty: &self.known.function.value(v).ty, value: self.known.constants[v.index()].as_ref() }
    }

    /// The kernel of a group.
    pub(super) fn prepared(&self, group: &Group<'_>) -> Option<Prepared> {
        self.prepared_of(group).0
    }

    /// The kernel of a group, if it takes all that nobody makes; and what it takes of that.
    pub(super) fn prepared_of(&self, group: &Group<'_>) -> (Option<Prepared>, Vec<ValueId>) {
        let view = |v: ValueId| self.views.get(&v).map(|viewed| &viewed.view);
        self.prepared_as(group, &self.types(group.head), &|v| self.arg(v), &view)
    }

    /// The same, with results of these types, and these arguments and views.
    pub(super) fn prepared_as<'v>(
        &'v self,
        group: &Group<'_>,
        types: &'v [Type],
        arg: &dyn Fn(ValueId) -> Arg<'v>,
        view: &dyn Fn(ValueId) -> Option<&'v View>,
    ) -> (Option<Prepared>, Vec<ValueId>) {
        let after: Vec<After> = group.tail.iter().map(|f| f.what).collect();
        let from = |v: ValueId| match (view(v), self.unmade.get(&v)) {
            (Some(view), _) => Some(Source::View(view)),
            (None, Some(maker)) => Some(Source::Parts(maker.args(&[], arg))),
            (None, None) => None,
        };
        let (mut values, mut unmade) = (Vec::new(), Vec::new());
        for (param, input) in group.head.inputs.iter().enumerate() {
            if let Input::One(v) = *input
                && let Some(from) = from(v)
            {
                values.push(v);
                unmade.push(Unmade { param, from, taken: Cell::new(false) });
            }
        }
        let args = Args { after: &after, unmade: &unmade, ..group.head.args(types, arg) };
        // What is refused may be known when it runs; else it is refused again then, with its place.
        let kernel = match silicon::prepare_alone(&args, types, self.known.numerics) {
            Ok(None) => group.head.op.fast.prepare().map_or(Ok(None), |prepare| prepare(&args, types)),
            prepared => prepared,
        };
        let Some(kernel) = kernel.ok().flatten() else { return (None, Vec::new()) };
        // One that is given twice is taken twice, or it must be made.
        let not: Vec<ValueId> =
            values.iter().zip(&unmade).filter(|(_, unmade)| !unmade.taken.get()).map(|(&v, _)| v).collect();
        values.retain(|v| !not.contains(v));
        (not.is_empty().then_some(kernel), values)
    }

    /// A step without prepared kernels. They alone take what nobody makes.
    fn by_meaning(&self, step: &Checked) -> Option<Prepared> {
        let mut read = step.inputs.iter().flat_map(Input::values);
        if read.any(|v| self.unmade.contains_key(v) || self.views.contains_key(v)) {
            return None;
        }
        meaning::kernel(&self.known, step, self.types(step))
    }

    /// How long the results of steps are needed.
    fn lives(&self, work: &[Work<'_>]) -> Option<HashMap<ValueId, Life>> {
        let mut lives = HashMap::new();
        for (at, work) in work.iter().enumerate() {
            for &v in &work.reads {
                if let Some(life) = lives.get_mut(&self.base(v)) {
                    let life: &mut Life = life;
                    life.last = at;
                }
            }
            for target in &work.writes {
                let Target::Value(o) = *target else { continue };
                let (_, bytes) = size(&self.known.function.value(o).ty)?;
                lives.insert(o, Life { bytes, last: at });
            }
        }
        Some(lives)
    }

    /// A slot of the arena for so many bytes: the free one that fits best, the largest free one grown, or a new one.
    fn slot(&mut self, free: &mut Vec<usize>, bytes: usize) -> usize {
        let slots = &mut self.plan.slots;
        let fitting = (0..free.len()).filter(|&i| slots[free[i]] >= bytes).min_by_key(|&i| slots[free[i]]);
        let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&i| slots[free[i]]));
        match chosen {
            Some(i) => {
                let slot = free.swap_remove(i);
                slots[slot] = slots[slot].max(bytes);
                slot
            }
            None => {
                slots.push(bytes);
                slots.len() - 1
            }
        }
    }

    fn step(&mut self, work: Work<'_>, live: usize) -> Option<Step> {
        let function = self.known.function;
        let last = work.last();
        let named = |s: &Checked| Some(function.value(*s.outputs.first()?).name.clone());
        let results = work.groups().flat_map(Group::steps).filter_map(named).collect();
        let sums = work.groups().filter_map(|g| work::of_step(function, g.head));
        let multiply_adds = sums.fold(0, u64::saturating_add);
        let heads = work.others.iter().map(|g| g.head.op).map(Some);
        let heads = std::iter::once(None).chain(heads);
        let after = heads
            .zip(work.groups())
            .flat_map(|(head, g)| head.into_iter().chain(g.tail.iter().map(|f| f.step.op)));
        let after = after.collect();
        let Work { group, bands, mut kernel, by_meaning, channels_last, updates, .. } = work;
        let (values, writes, given) = (work.reads, work.writes, work.given);
        let takes_in = matches!(kernel, Kernel::Prepared(_)) && !group.copies();
        let mut reads = values
            .iter()
            .map(|&v| {
                let base = self.base(v);
                // Constants were taken in.
                let constant = self.known.constants[v.index()].is_some() && !given.contains(&v);
                if constant && takes_in || self.unmade.contains_key(&v) {
                    return Some(None);
                }
                let whole = self.views.get(&v).map_or(v, |viewed| viewed.of);
                let len = size(&function.value(whole).ty)?.1;
                Some(Some(Bytes { place: self.place(base), len }))
            })
            .collect::<Option<Vec<_>>>()?;
        let target = |target: &Target| match *target {
            Target::Value(o) => Some(Bytes { place: self.places[&o], len: size(&function.value(o).ty)?.1 }),
            Target::State(i) => Some(Bytes { place: Place::State(i), len: self.plan.states[i].bytes }),
        };
        let writes = writes.iter().map(target).collect::<Option<Vec<_>>>()?;
        if updates {
            let first = values.first().copied()?;
            let in_place = reads[0].map(|at| at.place) == writes.first().map(|at| at.place);
            if in_place {
                // It is found where it is changed.
                reads[0] = None;
            } else {
                let constant = self.known.constants[first.index()].as_ref().and_then(Datum::as_tensor);
                let from = constant.map_or(Reader::Given(0), |t| Reader::Constant(t.clone()));
                if let Kernel::Prepared(prepared) = kernel {
                    kernel = Kernel::Prepared(prepared.copying(from));
                }
            }
        }
        let op = group.head.op;
        let name = last.outputs.first().map_or_else(|| op.name.into(), |&o| function.value(o).name.clone());
        let taken_in = |v: &&ValueId| self.known.constants[v.index()].is_some() && takes_in;
        let made = values.iter().filter_map(|v| self.unmade.get(v)).flat_map(|step| &step.inputs);
        let constants = values.iter().chain(made.flat_map(Input::values)).filter(taken_in);
        let constants = constants.filter_map(|v| size(&function.value(*v).ty)).map(|(_, bytes)| bytes);
        let constants = constants.sum::<usize>() + kernel.constant_bytes();
        // Of what is only taken from, no more is read than is written.
        let written = writes.iter().map(|at| at.len).sum();
        let read = |(i, (value, at)): (usize, (&ValueId, &Option<Bytes>))| {
            let own = size(&function.value(*value).ty).map_or(0, |(_, bytes)| bytes);
            // Of a view no more is read than it shows.
            let constant = if self.known.constants[value.index()].is_some() { own } else { 0 };
            let bytes = at.map_or(constant, |at| at.len.min(own));
            if i == 0 && work::takes(op) { bytes.min(written) } else { bytes }
        };
        let read = values.iter().zip(&reads).enumerate().map(read).sum();
        let through = |v: &ValueId| self.views.get(v).map_or_else(Vec::new, |viewed| viewed.through.clone());
        let through = values.iter().map(through).collect();
        let span = group.head.span;
        Some(Step {
            op,
            after,
            name,
            results,
            span,
            kernel,
            by_meaning,
            channels_last,
            bands,
            multiply_adds,
            constants,
            read,
            live,
            reads,
            through,
            writes,
        })
    }
}
