//! A program that is too deep or too heavy for one, as several that run one behind the other.
//!
//! A value that a later program needs is an output of the one that makes it, and an input of the later one, by its own name.
//! Constants go into each program that reads them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Change, checked};
use crate::bundle::Weights;
use crate::mil::{Block, Function, Name, Param, Program, Use};
use crate::place::{self, Target};
use crate::source::{Code, Span, codes};
use crate::types::{DType, Type};

/// What a program that is divided has less of.
const TOO_MUCH: &[&Code] =
    &[&codes::GRAPH_DEPTH, &codes::WEIGHT_BYTES, &codes::WEIGHT_TENSORS, &codes::COMPILE_BUDGET];

/// Divides a program where it is too much for one, and says where. What has several functions, states or flexible shapes
/// stays whole.
pub(super) fn divide(program: Program, weights: &Weights, target: Target) -> (Vec<Program>, Vec<Change>) {
    let divided = match &program.functions[..] {
        [function] if function.attributes.is_empty() && is_too_much(&program, weights, target) => {
            Whole::of(function).and_then(|whole| whole.divided(&program, weights, target))
        }
        _ => None,
    };
    divided.unwrap_or_else(|| (vec![program], Vec::new()))
}

/// Whether a program is refused by the gate, counts as it does: then it is no part to end with.
fn is_too_much(program: &Program, weights: &Weights, target: Target) -> bool {
    let Ok(verified) = checked(program, weights) else { return true };
    let hazards = place::place(verified.main(), target).hazards;
    hazards.iter().any(|h| TOO_MUCH.iter().any(|c| c.name == h.name))
}

/// A function as its calls hang together.
struct Whole<'a> {
    function: &'a Function,
    /// What each call reads.
    reads: Vec<HashSet<&'a Name>>,
    /// The call that gives a name.
    from: HashMap<&'a Name, usize>,
    /// Whether a call depends on constants only.
    is_constant: Vec<bool>,
    /// The last call that reads what a call gives, or one more than there are where the function gives it.
    last: Vec<usize>,
}

impl<'a> Whole<'a> {
    fn of(function: &'a Function) -> Option<Self> {
        if function.params.iter().any(|p| matches!(p.ty, Type::State(_))) {
            return None;
        }
        let calls = &function.body.calls;
        let mut reads = Vec::new();
        let mut from = HashMap::new();
        let mut is_constant = Vec::new();
        let mut last = vec![0; calls.len()];
        for (i, call) in calls.iter().enumerate() {
            let mut read = HashSet::new();
            super::reads(call, &mut read);
            let givers: Vec<Option<&usize>> = read.iter().map(|n| from.get(*n)).collect();
            let free = call.op.as_str().starts_with("random_") || !call.blocks.is_empty();
            is_constant.push(!free && givers.iter().all(|g| g.is_some_and(|&g| is_constant[g])));
            givers.into_iter().flatten().for_each(|&g| last[g] = i);
            from.extend(call.outputs.iter().map(|o| (&o.name, i)));
            reads.push(read);
        }
        for output in &function.body.outputs {
            // What is given as it was taken, or is constant, belongs to no part.
            let &giver = from.get(&output.name).filter(|&&g| !is_constant[g])?;
            last[giver] = calls.len();
        }
        Some(Self { function, reads, from, is_constant, last })
    }

    fn divided(
        &self,
        program: &Program,
        weights: &Weights,
        target: Target,
    ) -> Option<(Vec<Program>, Vec<Change>)> {
        let end = self.last.len();
        let fits = |from: usize, to: usize| !is_too_much(&self.part(program, from, to), weights, target);
        let (mut programs, mut changes) = (Vec::new(), Vec::new());
        let mut start = 0;
        while !fits(start, end) {
            // As many calls as fit.
            let (mut most, mut above) = (start, end);
            while above - most > 1 {
                let middle = most + (above - most) / 2;
                if fits(start, middle) {
                    most = middle;
                } else {
                    above = middle;
                }
            }
            let at = self.cut(start, most)?;
            programs.push(self.part(program, start, at));
            let call = (at..end).find(|&i| !self.is_constant[i]).map(|i| &self.function.body.calls[i])?;
            changes.push(Change {
                rule: "divide",
                function: self.function.name.clone(),
                name: call.outputs.first()?.name.clone(),
                op: call.op.clone(),
                what: "the first op of the next program",
            });
            start = at;
        }
        programs.push(self.part(program, start, end));
        Some((programs, changes))
    }

    /// Where to cut before a call: in the last quarter of what fits, where the least is handed on.
    fn cut(&self, start: usize, most: usize) -> Option<usize> {
        let late = start + (most - start) * 3 / 4;
        let best = |from: usize| {
            (from.max(start + 1)..=most).filter_map(|at| Some((self.handed_on(at)?, most - at)))
        };
        let (_, before) = best(late).min().or_else(|| best(start).min_by_key(|&(_, before)| before))?;
        Some(most - before)
    }

    /// How many bits are handed on where the calls are cut; nothing where not all of it is floats of known sizes.
    fn handed_on(&self, at: usize) -> Option<u64> {
        let mut bits = 0u64;
        for (i, call) in self.function.body.calls[..at].iter().enumerate() {
            if self.is_constant[i] || self.last[i] < at || self.last[i] == self.last.len() {
                continue;
            }
            for output in &call.outputs {
                let ty = output.ty.as_tensor().filter(|t| matches!(t.dtype, DType::Fp16 | DType::Fp32))?;
                bits = bits.saturating_add(ty.shape.elements()?.saturating_mul(ty.dtype.bits() as u64));
            }
        }
        Some(bits)
    }

    /// The calls between two places as a program.
    fn part(&self, program: &Program, start: usize, end: usize) -> Program {
        let calls = &self.function.body.calls;
        let mut needed: BTreeSet<usize> = (start..end).filter(|&i| !self.is_constant[i]).collect();
        let mut open: Vec<usize> = needed.iter().copied().collect();
        let mut taken: HashSet<&Name> = HashSet::new();
        while let Some(i) = open.pop() {
            for name in &self.reads[i] {
                match self.from.get(*name) {
                    Some(&g) if self.is_constant[g] => {
                        if needed.insert(g) {
                            open.push(g);
                        }
                    }
                    Some(&g) if g >= start => {}
                    _ => {
                        taken.insert(name);
                    }
                }
            }
        }
        let own = |at: usize| calls[at].outputs.iter();
        let earlier = (0..start).filter(|&i| !self.is_constant[i]).flat_map(own);
        let all = self.function.params.iter().chain(earlier);
        let params: Vec<Param> = all.filter(|p| taken.contains(&p.name)).cloned().collect();
        let given: HashSet<&Name> = self.function.body.outputs.iter().map(|o| &o.name).collect();
        let read_later = |name: &Name| self.reads[end..].iter().any(|r| r.contains(name));
        let here = (start..end).filter(|&i| !self.is_constant[i] && self.last[i] >= end);
        let mut outputs: Vec<Use> = here
            .flat_map(own)
            .filter(|o| !given.contains(&o.name) && read_later(&o.name))
            .map(|o| Use { name: o.name.clone(), span: Span::default() })
            .collect();
        let is_here = |name: &Name| self.from.get(name).is_some_and(|g| (start..end).contains(g));
        outputs.extend(self.function.body.outputs.iter().filter(|o| is_here(&o.name)).cloned());
        let calls = needed.into_iter().map(|i| calls[i].clone()).collect();
        let function = Function {
            params,
            body: Block { calls, outputs, ..self.function.body.clone() },
            ..self.function.clone()
        };
        Program { functions: vec![function], ..program.clone() }
    }
}
