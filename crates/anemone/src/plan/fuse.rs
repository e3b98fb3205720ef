//! Which ops are done by the kernel of the op before them.
//!
//! A kernel that is [`Fast::Finishing`], or one of [`Fast::Planes`], puts its results through elementwise ops before it writes them. What such an op
//! reads must be read by it alone: an activation, the sum with a residual, a gate (`x · f(x)`). Each op rounds as it
//! would by itself, so that a fused plan gives the same bits.

use std::collections::HashMap;

use anemone_kernels::binary::Binary;

use super::build::Known;
use crate::mil::op::{After, Arg, Fast, MOST_AFTER};
use crate::ops::{Function as Elementwise, function};
use crate::types::Type;
use crate::verify::{Input, Step, ValueId};

/// A step, and the ops that its kernel does after it.
#[derive(Debug)]
pub(super) struct Group<'s> {
    pub(super) head: &'s Step,
    pub(super) tail: Vec<Following<'s>>,
}

/// An op that follows, and the other tensor that it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Following<'s> {
    pub(super) step: &'s Step,
    pub(super) what: After,
    /// The other tensor, which the kernel is given behind all that it is given before.
    other: Option<ValueId>,
    /// The step that is a gate.
    gate: Option<&'s Step>,
}

impl<'s> Group<'s> {
    /// The step whose results are those of the group.
    pub(super) fn last(&self) -> &'s Step {
        self.tail.last().map_or(self.head, |f| f.step)
    }

    /// All that the group reads, in the order in which its kernel is given it.
    pub(super) fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        let head = self.head.inputs.iter().flat_map(Input::values).copied();
        head.chain(self.others())
    }

    /// The other tensors that the ops behind its own read.
    pub(super) fn others(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.tail.iter().filter_map(|f| f.other)
    }

    /// Whether it only copies, to a state or from one: constants too.
    pub(super) fn copies(&self) -> bool {
        matches!(self.head.op.fast, Fast::State(_))
    }

    /// All its steps, in order.
    pub(super) fn steps(&self) -> impl Iterator<Item = &'s Step> + '_ {
        let tail = self.tail.iter().flat_map(|f| f.gate.into_iter().chain([f.step]));
        std::iter::once(self.head).chain(tail)
    }

    /// The steps, each by itself.
    pub(super) fn apart(self) -> impl Iterator<Item = Group<'s>> {
        let steps: Vec<&Step> = self.steps().collect();
        steps.into_iter().map(|head| Group { head, tail: Vec::new() })
    }
}

/// What the steps of a function do, as far as fusing looks at it.
pub(super) struct Fuse<'a> {
    pub(super) known: &'a Known<'a>,
    /// The results of what is planned.
    pub(super) outputs: &'a [ValueId],
    /// The value whose elements a value has.
    pub(super) base: &'a dyn Fn(ValueId) -> ValueId,
}

impl Fuse<'_> {
    /// Puts steps, which are in order, into groups, which are in order too.
    pub(super) fn groups<'s>(&self, steps: Vec<&'s Step>) -> Vec<Group<'s>> {
        let readers = self.readers(&steps);
        let read_by = |v: ValueId| readers.get(&v).copied().unwrap_or_default();
        // A group that went into a later one is none any more.
        let mut groups: Vec<Option<Group<'s>>> = Vec::with_capacity(steps.len());
        // The group whose only result a value is.
        let mut made: HashMap<ValueId, usize> = HashMap::new();
        for step in steps {
            let at = groups.len();
            match self.follows(step, &groups, &made, &read_by) {
                Some((before, mut following)) => {
                    if let Some([result]) = following.gate.map(|gate| &gate.outputs[..]) {
                        groups[made[result]] = None;
                    }
                    // It is done where its last op stood: all that it reads is there by then.
                    let group = groups[before].take().map(|mut group| {
                        if let After::Binary { other, .. } = &mut following.what {
                            *other = group.reads().count();
                        }
                        group.tail.push(following);
                        group
                    });
                    groups.push(group);
                }
                None => groups.push(Some(Group { head: step, tail: Vec::new() })),
            }
            if let [result] = step.outputs[..] {
                made.insert(result, at);
            }
        }
        groups.into_iter().flatten().collect()
    }

    /// How often each value is read, and once more if it is a result of the function.
    fn readers(&self, steps: &[&Step]) -> HashMap<ValueId, usize> {
        let mut readers = HashMap::new();
        let mut read = |v: ValueId| *readers.entry((self.base)(v)).or_default() += 1;
        steps.iter().for_each(|step| step.reads(&mut read));
        self.outputs.iter().copied().for_each(read);
        readers
    }

    /// The group that a step can follow, and how.
    fn follows<'s>(
        &self,
        step: &'s Step,
        groups: &[Option<Group<'s>>],
        made: &HashMap<ValueId, usize>,
        read_by: &dyn Fn(ValueId) -> usize,
    ) -> Option<(usize, Following<'s>)> {
        let [result] = step.outputs[..] else { return None };
        let ty = &self.known.function.value(result).ty;
        let one = |param: usize| match step.inputs.get(param)? {
            Input::One(v) => Some(*v),
            Input::Absent | Input::Many(_) => None,
        };
        // The group that gives a value and can go on, if the value is as large as the result.
        let open = |v: ValueId, readers: usize| {
            let base = (self.base)(v);
            let at = *made.get(&base)?;
            let group = groups[at].as_ref()?;
            let fits = matches!(group.head.op.fast, Fast::Finishing(_) | Fast::Planes(..))
                && group.tail.len() < MOST_AFTER
                && self.as_large(base, ty)
                && read_by(base) == readers;
            fits.then_some(at)
        };
        let following = |what, other, gate| Following { step, what, other, gate };
        match self.elementwise(step)? {
            Elementwise::Unary(f) => {
                let at = open(one(0)?, 1)?;
                Some((at, following(After::Unary(f), None, None)))
            }
            Elementwise::Binary(f) => {
                let (x, y) = (one(0)?, one(1)?);
                let same = |v: ValueId| {
                    self.known.constants[v.index()].is_none() && &self.known.function.value(v).ty == ty
                };
                let sides = [(x, y, false), (y, x, true)];
                // x · f(x): two read x, of which one is the gate, which is read once.
                let gated = sides.into_iter().filter(|_| f == Binary::Mul).find_map(|(v, gate, _)| {
                    let base = (self.base)(gate);
                    let gate = groups[*made.get(&base)?].as_ref()?;
                    let Elementwise::Unary(f) = self.elementwise(gate.head)? else { return None };
                    let [Input::One(of), ..] = gate.head.inputs[..] else { return None };
                    let alone =
                        gate.tail.is_empty() && read_by(base) == 1 && same(v) && self.as_large(base, ty);
                    if !alone || (self.base)(of) != (self.base)(v) {
                        return None;
                    }
                    Some((open(v, 2)?, following(After::Gate(f), None, Some(gate.head))))
                });
                if gated.is_some() {
                    return gated;
                }
                // Of two groups the later one, whose kernel is then not held up.
                let found = sides
                    .into_iter()
                    .filter(|&(v, other, _)| same(v) && same(other) && (self.base)(v) != (self.base)(other))
                    .filter_map(|(v, other, swapped)| Some((open(v, 1)?, other, swapped)))
                    .max_by_key(|&(at, ..)| at);
                let (at, other, swapped) = found?;
                Some((at, following(After::Binary { f, other: 0, swapped }, Some(other), None)))
            }
        }
    }

    /// The function of an elementwise op of floats.
    fn elementwise(&self, step: &Step) -> Option<Elementwise> {
        let arg = |v: ValueId| Arg {
            ty: &self.known.function.value(v).ty,
            value: self.known.constants[v.index()].as_ref(),
        };
        function(&step.args(&[], arg))
    }

    /// Whether a value has the dtype and number of elements of a type.
    fn as_large(&self, v: ValueId, ty: &Type) -> bool {
        match (&self.known.function.value(v).ty, ty) {
            (Type::Tensor(a), Type::Tensor(b)) => {
                a.dtype == b.dtype && a.shape.elements().is_some() && a.shape.elements() == b.shape.elements()
            }
            _ => false,
        }
    }
}
