//! Making a plan: kernels are prepared, values get places.

use std::cell::Cell;
use std::collections::HashMap;

use super::fuse::{Fuse, Group};
use super::states::Steps;
use super::{Bytes, Io, Place, Plan, Step};
use crate::chip::Numerics;
use crate::mil::op::{Access, After, Arg, Args, Fast, Meaning, Prepared, Reader, Run, Slot, Unmade};
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

impl Plan {
    /// Makes a plan of these steps of a function, whose constants have been computed.
    ///
    /// `None` when the function is not of the kind that can be planned: when a shape is not known, when it has lists or
    /// strings, or when a step runs blocks.
    ///
    /// With a chip's arithmetic no step is done by the kernel of another.
    pub(crate) fn of(
        function: &Function,
        steps: &[&Checked],
        constants: &[Option<Datum>],
        numerics: Numerics,
    ) -> Option<Self> {
        Builder::new(function, constants, numerics).build(steps)
    }

    /// Whether the kernel of a step makes the parts of an argument itself, which another step would make whole.
    pub(crate) fn takes_parts(
        function: &Function,
        constants: &[Option<Datum>],
        reader: &Checked,
        maker: &Checked,
    ) -> bool {
        let mut builder = Builder::new(function, constants, Numerics::Ieee);
        builder.leave_unmade(&[maker]);
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
        }
    }
}

/// A group with its kernel.
pub(super) struct Work<'s> {
    group: Group<'s>,
    pub(super) kernel: Prepared,
    by_meaning: bool,
    /// Whether the kernel finds the elements of its first argument in its result.
    pub(super) updates: bool,
    /// What the kernel is given, and what it writes.
    pub(super) reads: Vec<ValueId>,
    pub(super) writes: Vec<Target>,
}

/// What a kernel writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Target {
    Value(ValueId),
    State(usize),
}

impl<'s> Work<'s> {
    fn new(group: Group<'s>, kernel: Prepared, by_meaning: bool) -> Self {
        let reads = group.reads().collect();
        let writes = group.last().outputs.iter().map(|&o| Target::Value(o)).collect();
        let updates = !by_meaning && matches!(group.head.op.fast, Fast::Updating(_));
        Self { group, kernel, by_meaning, updates, reads, writes }
    }

    /// A copy from a state, or into one, for the sake of a step.
    fn copy(step: &'s Checked, reads: Vec<ValueId>, writes: Vec<Target>) -> Self {
        let kernel = Prepared::sure(|run| run.copy(&Reader::Given(0)));
        let group = Group { head: step, tail: Vec::new() };
        Self { group, kernel, by_meaning: false, updates: false, reads, writes }
    }
}

/// The steps that a plan has to do, before they are fused.
struct Kept<'s> {
    steps: Vec<&'s Checked>,
    /// The first step that reads each state.
    readers: HashMap<ValueId, &'s Checked>,
}

struct Builder<'a> {
    function: &'a Function,
    constants: &'a [Option<Datum>],
    numerics: Numerics,
    plan: Plan,
    /// Where values are, once that is known.
    places: HashMap<ValueId, Place>,
    /// Values that have the elements of another one. What lies in a state before the run is the value of the parameter.
    aliases: HashMap<ValueId, ValueId>,
    /// Constants that nobody makes whole, and the steps that would.
    unmade: HashMap<ValueId, &'a Checked>,
}

/// The bytes of a tensor that a plan can place.
fn size(ty: &Type) -> Option<(TensorType, usize)> {
    let ty = match ty {
        Type::State(held) => held.as_tensor()?,
        ty => ty.as_tensor()?,
    };
    let elements = usize::try_from(ty.shape.elements()?).ok()?;
    (ty.dtype != crate::types::DType::String).then(|| (ty.clone(), ty.dtype.bytes_of(elements)))
}

impl<'a> Builder<'a> {
    fn new(function: &'a Function, constants: &'a [Option<Datum>], numerics: Numerics) -> Self {
        let (places, aliases, unmade) = Default::default();
        Self { function, constants, numerics, plan: Plan::empty(), places, aliases, unmade }
    }

    /// Finds the steps that make constants and were not carried out: who reads those makes them part by part.
    fn leave_unmade(&mut self, steps: &[&'a Checked]) {
        let constant = |v: &ValueId| self.constants[v.index()].is_some();
        for step in steps {
            if let (Fast::InParts(..), [result]) = (step.op.fast, &step.outputs[..])
                && !constant(result)
                && step.inputs.iter().flat_map(Input::values).all(constant)
            {
                self.unmade.insert(*result, step);
            }
        }
    }

    fn build(mut self, steps: &[&'a Checked]) -> Option<Plan> {
        let function = self.function;
        let io = |id: ValueId| {
            let value = function.value(id);
            let (ty, bytes) = size(&value.ty)?;
            Some(Io { name: value.name.clone(), ty, bytes })
        };
        let is_state = |p: &ValueId| matches!(function.value(*p).ty, Type::State(_));
        let (states, inputs): (Vec<ValueId>, Vec<ValueId>) =
            function.params.iter().partition(|p| is_state(p));
        self.plan.inputs = inputs.iter().map(|&p| io(p)).collect::<Option<_>>()?;
        self.plan.states = states.iter().map(|&p| io(p)).collect::<Option<_>>()?;
        self.plan.outputs = function.body.outputs.iter().map(|&o| io(o)).collect::<Option<_>>()?;
        let inputs = inputs.into_iter().enumerate().map(|(i, p)| (p, Place::Input(i)));
        self.places.extend(inputs.chain(states.iter().enumerate().map(|(i, &p)| (p, Place::State(i)))));
        self.leave_unmade(steps);
        let kept = self.kept(steps);
        let mut work = self.work(kept.steps, &states)?;
        self.place_states(&mut work, &states, &kept.readers);
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
    fn kept<'s>(&mut self, steps: &[&'s Checked]) -> Kept<'s> {
        let mut needed = vec![false; self.function.values.len()];
        self.function.body.outputs.iter().for_each(|o| needed[o.index()] = true);
        let mut kept = Vec::new();
        for step in steps.iter().rev() {
            let sets = matches!(step.op.fast, Fast::State(Access::Write | Access::Update));
            if !sets && !step.outputs.is_empty() && !step.outputs.iter().any(|o| needed[o.index()]) {
                continue;
            }
            step.inputs.iter().flat_map(Input::values).for_each(|v| needed[v.index()] = true);
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
                    let given = given.find(|v| self.constants[v.index()].is_none());
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
        let one = |a: ValueId, b: ValueId| match (&self.constants[a.index()], &self.constants[b.index()]) {
            (Some(x), Some(y)) => {
                let same = |(x, y): (&Tensor, &Tensor)| {
                    x.bytes().len() <= COMPARED
                        && (x.dtype(), x.shape(), x.bytes()) == (y.dtype(), y.shape(), y.bytes())
                        && x.dtype() != crate::types::DType::String
                };
                a == b || x.as_tensor().zip(y.as_tensor()).is_some_and(same)
            }
            (None, None) => {
                self.base(a) == self.base(b) && self.function.value(a).ty == self.function.value(b).ty
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
    fn place_states<'s>(
        &mut self,
        work: &mut Vec<Work<'s>>,
        states: &[ValueId],
        readers: &HashMap<ValueId, &'s Checked>,
    ) {
        let mut last: HashMap<ValueId, usize> = HashMap::new();
        for (at, work) in work.iter().enumerate() {
            last.extend(work.reads.iter().map(|&v| (self.base(v), at)));
        }
        last.extend(self.function.body.outputs.iter().map(|&o| (self.base(o), usize::MAX)));
        let base = |v: ValueId| self.base(v);
        let residents = Steps { work, last: &last, base: &base }.residents(states);
        self.places.extend(residents.of.iter().map(|(&value, &state)| (value, Place::State(state))));
        let mut loads = Vec::new();
        for (state, before) in residents.loads {
            let (param, Some(&reader)) = (states[state], readers.get(&states[state])) else { continue };
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
    fn base(&self, id: ValueId) -> ValueId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// Gives the function's results their places; where that is not a step's to write, it is copied at the end.
    fn results(&mut self) {
        let function = self.function;
        for (i, &o) in function.body.outputs.iter().enumerate() {
            let base = self.base(o);
            let given = self.constants[base.index()].is_some() || self.places.contains_key(&base);
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
        let constant = self.constants[id.index()].as_ref().and_then(Datum::as_tensor);
        let tensor = constant.expect("a value is a constant, an input, or the result of an earlier step");
        self.plan.constants.push(tensor.clone());
        let place = Place::Constant(self.plan.constants.len() - 1);
        self.places.insert(id, place);
        place
    }

    /// Fuses steps, and prepares their kernels; a group whose kernel does not take in what follows falls apart.
    fn work<'s>(&self, steps: Vec<&'s Checked>, states: &[ValueId]) -> Option<Vec<Work<'s>>> {
        let fuse = Fuse { function: self.function, constants: self.constants, base: &|v| self.base(v) };
        let mut work = Vec::new();
        let groups = match self.numerics {
            Numerics::Ieee => fuse.groups(steps),
            Numerics::Chip(_) => steps.into_iter().map(|head| Group { head, tail: Vec::new() }).collect(),
        };
        for group in groups {
            if let Fast::State(_) = group.head.op.fast {
                let mut values = group.head.inputs.iter().flat_map(Input::values);
                let state = values.next().and_then(|v| states.iter().position(|s| s == v))?;
                let reads = values.copied().collect();
                work.push(Work::copy(group.head, reads, vec![Target::State(state)]));
                continue;
            }
            if let Some(kernel) = self.prepared(&group) {
                work.push(Work::new(group, kernel, false));
                continue;
            }
            for group in group.apart() {
                let prepared = self.prepared(&group);
                let by_meaning = prepared.is_none();
                let types = self.types(group.head);
                let kernel = prepared.map_or_else(|| self.unprepared(group.head, &types), Some)?;
                work.push(Work::new(group, kernel, by_meaning));
            }
        }
        Some(work)
    }

    fn types(&self, step: &Checked) -> Vec<Type> {
        step.outputs.iter().map(|&o| self.function.value(o).ty.clone()).collect()
    }

    /// The kernel of a group.
    fn prepared(&self, group: &Group<'_>) -> Option<Prepared> {
        let types = self.types(group.head);
        let arg =
            |v: ValueId| Arg { ty: &self.function.value(v).ty, value: self.constants[v.index()].as_ref() };
        let after: Vec<After> = group.tail.iter().map(|f| f.what).collect();
        let maker = |input: &Input| match input {
            Input::One(v) => self.unmade.get(v).map(|step| step.args(&[], arg)),
            Input::Absent | Input::Many(_) => None,
        };
        let given = group.head.inputs.iter().enumerate();
        let unmade: Vec<Unmade<'_>> = given
            .filter_map(|(param, input)| Some(Unmade { param, by: maker(input)?, taken: Cell::new(false) }))
            .collect();
        let args = Args { after: &after, unmade: &unmade, ..group.head.args(&types, arg) };
        // What is refused may be known when it runs; else it is refused again then, with its place.
        let kernel = match silicon::prepare_alone(&args, &types, self.numerics) {
            Ok(None) => group.head.op.fast.prepare()?(&args, &types),
            prepared => prepared,
        };
        let kernel = kernel.ok().flatten()?;
        unmade.iter().all(|unmade| unmade.taken.get()).then_some(kernel)
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
                let (_, bytes) = size(&self.function.value(o).ty)?;
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
        let function = self.function;
        let Work { group, mut kernel, by_meaning, updates, reads: values, writes } = work;
        let mut reads = values
            .iter()
            .map(|&v| {
                let base = self.base(v);
                // Constants were taken in.
                let taken_in = self.constants[v.index()].is_some() || self.unmade.contains_key(&v);
                if taken_in && !group.copies() {
                    return Some(None);
                }
                let len = size(&function.value(v).ty)?.1;
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
                let constant = self.constants[first.index()].as_ref().and_then(Datum::as_tensor);
                kernel = kernel.copying(constant.map_or(Reader::Given(0), |t| Reader::Constant(t.clone())));
            }
        }
        let last = group.last();
        let op = group.head.op;
        let name = last.outputs.first().map_or_else(|| op.name.into(), |&o| function.value(o).name.clone());
        let taken_in = |v: &&ValueId| self.constants[v.index()].is_some() && !group.copies();
        let made = values.iter().filter_map(|v| self.unmade.get(v)).flat_map(|step| &step.inputs);
        let constants = values.iter().chain(made.flat_map(Input::values)).filter(taken_in);
        let constants = constants.filter_map(|v| size(&function.value(*v).ty)).map(|(_, bytes)| bytes).sum();
        // Of what is only taken from, no more is read than is written.
        let written = writes.iter().map(|at| at.len).sum();
        let read = |(i, (value, at)): (usize, (&ValueId, &Option<Bytes>))| {
            let constant =
                || size(&function.value(*value).ty).filter(|_| self.constants[value.index()].is_some());
            let bytes =
                at.map(|at| at.len).or_else(|| constant().map(|(_, bytes)| bytes)).unwrap_or_default();
            if i == 0 && work::takes(op) { bytes.min(written) } else { bytes }
        };
        let read = values.iter().zip(&reads).enumerate().map(read).sum();
        let multiply_adds = work::of_step(function, group.head).unwrap_or_default();
        let after = group.tail.iter().map(|f| f.step.op).collect();
        let results =
            group.steps().filter_map(|s| Some(function.value(*s.outputs.first()?).name.clone())).collect();
        let span = group.head.span;
        Some(Step {
            op,
            after,
            name,
            results,
            span,
            kernel,
            by_meaning,
            multiply_adds,
            constants,
            read,
            live,
            reads,
            writes,
        })
    }

    /// A step without prepared kernels: it is computed on tensors, which are copied.
    fn unprepared(&self, step: &Checked, types: &[Type]) -> Option<Prepared> {
        let Meaning::Compute(compute) = step.op.meaning else { return None };
        let (op, opset, edition) = (step.op, step.opset, step.edition);
        let (function, numerics) = (self.function, self.numerics);
        // What each argument is: a constant, or a tensor of this type at this place.
        enum Known {
            Constant(Type, Datum),
            Given(Type, TensorType, usize),
        }
        let mut at = 0;
        let mut known = |v: &ValueId| {
            let ty = function.value(*v).ty.clone();
            let here = at;
            at += 1;
            if self.unmade.contains_key(v) {
                return None;
            }
            match &self.constants[v.index()] {
                Some(datum) => Some(Known::Constant(ty, datum.clone())),
                None => Some(Known::Given(ty.clone(), size(&ty)?.0, here)),
            }
        };
        let arguments = step
            .inputs
            .iter()
            .map(|i| i.values().iter().map(&mut known).collect::<Option<Vec<_>>>())
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
        let types = types.to_vec();
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
                            Known::Constant(_, datum) => Ok(datum.clone()),
                            Known::Given(_, ty, at) => tensor(ty, *at),
                        })
                        .collect::<Result<_, _>>()
                })
                .collect::<Result<_, _>>()?;
            let ty = |k: &'_ Known| match k {
                Known::Constant(ty, _) | Known::Given(ty, ..) => ty.clone(),
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
}
