//! Steps that run blocks: a choice, or a loop.
//!
//! Each block is a plan of its own, whose inputs are its parameters and what it reads from outside. The variables of a loop
//! lie in two places by turns: the body reads one and writes the other.

use std::collections::HashSet;

use anemone_kernels::memory::Buffer;

use super::build::{Frame, Known, size};
use super::{Arena, Plan, endless};
use crate::mil::op::{Control, Meaning, recycled};
use crate::source::{Diagnostic, Span};
use crate::types::{DType, Type};
use crate::verify::{Body, Step, ValueId};

/// The blocks of a step, ready to run.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Which of the plan's steps with blocks it is.
    pub(super) at: usize,
    /// Those of a choice are for true and false, those of a loop the condition and the body.
    pub(super) plans: [Plan; 2],
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Choice,
    Loop {
        /// The bytes of each variable; `None` of one that the body hands on as it was.
        variables: Vec<Option<usize>>,
        turns: u64,
        span: Span,
    },
}

/// The memory of a step with blocks while it runs.
#[derive(Debug, Default)]
pub(super) struct Turns {
    arenas: [Arena; 2],
    /// What the variables of a loop are, and what they become.
    variables: [Vec<Buffer>; 2],
    /// Room for what a block reads and writes, empty between turns.
    given: Vec<&'static [u8]>,
    written: Vec<&'static mut [u8]>,
}

impl Blocks {
    /// Plans the blocks of a step, and says what they read from outside: the step reads that too.
    pub(super) fn of(known: &Known<'_>, step: &Step, at: usize) -> Option<(Self, Vec<ValueId>)> {
        let Meaning::Control(control) = step.op.meaning else { return None };
        let [first, second] = &step.blocks[..] else { return None };
        let captured = captured(known, &step.blocks);
        let tensor = |v: &ValueId| {
            let ty = &known.function.value(*v).ty;
            (!matches!(ty, Type::State(_))).then(|| size(ty)).flatten().map(|(ty, _)| ty)
        };
        captured.iter().map(tensor).collect::<Option<Vec<_>>>()?;
        // Types that are declared once more are the same.
        let bound = |to: &[ValueId], values: &[ValueId]| {
            let same = |(a, b): (&ValueId, &ValueId)| tensor(a).is_some_and(|a| tensor(b) == Some(a));
            to.len() == values.len() && to.iter().zip(values).all(same)
        };
        let plan = |body: &Body, outputs: Vec<ValueId>| {
            let inputs = body.params.iter().chain(&captured).copied().collect();
            let constant = |v: &ValueId| known.constants[v.index()].is_some();
            // What is constant has been computed.
            let steps = body.steps.iter().filter(|s| s.outputs.is_empty() || !s.outputs.iter().all(constant));
            Plan::of_frame(known, Frame { inputs, states: Vec::new(), outputs, steps: steps.collect() })
        };
        let (plans, kind) = match control {
            Control::Cond => {
                let fit =
                    [first, second].iter().all(|b| b.params.is_empty() && bound(&step.outputs, &b.outputs));
                let plans = [plan(first, first.outputs.clone())?, plan(second, second.outputs.clone())?];
                (fit.then_some(plans)?, Kind::Choice)
            }
            Control::While => {
                let given: Vec<ValueId> = step.inputs.iter().flat_map(|i| i.values()).copied().collect();
                let same = [&first.params, &second.params, &second.outputs, &step.outputs];
                let flag =
                    first.outputs.iter().map(|v| Some(tensor(v)?.dtype)).collect::<Option<Vec<_>>>()?;
                if !same.iter().all(|values| bound(&given, values)) || flag != [DType::Bool] {
                    return None;
                }
                let changes = |(after, before): &(&ValueId, &ValueId)| after != before;
                let pairs = || second.outputs.iter().zip(&second.params);
                let bytes = |v: &ValueId| size(&known.function.value(*v).ty).map(|(_, bytes)| bytes);
                let variables = pairs().map(|pair| changes(&pair).then(|| bytes(pair.0)).flatten()).collect();
                let changed = pairs().filter(changes).map(|(after, _)| *after).collect();
                let plans = [plan(first, first.outputs.clone())?, plan(second, changed)?];
                (plans, Kind::Loop { variables, turns: known.turns, span: step.span })
            }
        };
        Some((Self { at, plans, kind }, captured))
    }

    /// How many bytes a run needs.
    pub(super) fn arena_bytes(&self) -> usize {
        let arenas: usize = self.plans.iter().map(Plan::arena_bytes).sum();
        let variables = match &self.kind {
            Kind::Choice => 0,
            Kind::Loop { variables, .. } => variables.iter().flatten().sum(),
        };
        arenas + 2 * variables
    }

    /// Makes the memory for runs.
    pub(super) fn turns(&self) -> Turns {
        let buffers = || match &self.kind {
            Kind::Choice => Vec::new(),
            Kind::Loop { variables, .. } => variables.iter().flatten().map(|&n| Buffer::zeroed(n)).collect(),
        };
        let arenas = self.plans.each_ref().map(Plan::arena);
        Turns { arenas, variables: [buffers(), buffers()], ..Turns::default() }
    }

    /// Runs the blocks on what the step reads, and writes its results.
    pub(super) fn run(
        &self,
        memory: &mut Turns,
        threads: usize,
        reads: &[&[u8]],
        writes: &mut [&mut [u8]],
    ) -> Result<(), Diagnostic> {
        let [first, second] = &self.plans;
        let (arenas, rooms) = (&mut memory.arenas, (&mut memory.given, &mut memory.written));
        let [first_arena, second_arena] = arenas;
        let (variables, turns, span) = match &self.kind {
            Kind::Choice => {
                let (chosen, captured) = reads.split_first().expect("a choice reads what it depends on");
                return match truth(chosen) {
                    true => first.run(first_arena, captured, writes, &mut [], threads),
                    false => second.run(second_arena, captured, writes, &mut [], threads),
                };
            }
            Kind::Loop { variables, turns, span } => (variables, *turns, *span),
        };
        let (initial, captured) = reads.split_at(variables.len());
        let [now, next] = &mut memory.variables;
        let changing = initial.iter().zip(variables).filter_map(|(given, bytes)| bytes.and(Some(given)));
        now.iter_mut().zip(changing).for_each(|(to, from)| to.bytes_mut().copy_from_slice(from));
        for _ in 0..turns {
            let mut given: Vec<&[u8]> = recycled(std::mem::take(rooms.0));
            let mut changed = now.iter().map(Buffer::bytes);
            given.extend(initial.iter().zip(variables).map(|(initial, bytes)| match bytes {
                Some(_) => changed.next().expect("a variable that changes has a buffer"),
                None => initial,
            }));
            let current = given.len();
            given.extend(captured);
            let mut flag = [0];
            first.run(first_arena, &given, &mut [&mut flag], &mut [], threads)?;
            if !truth(&flag) {
                writes.iter_mut().zip(&given[..current]).for_each(|(to, from)| to.copy_from_slice(from));
                *rooms.0 = recycled(given);
                return Ok(());
            }
            let mut written: Vec<&mut [u8]> = recycled(std::mem::take(rooms.1));
            written.extend(next.iter_mut().map(Buffer::bytes_mut));
            second.run(second_arena, &given, &mut written, &mut [], threads)?;
            (*rooms.0, *rooms.1) = (recycled(given), recycled(written));
            std::mem::swap(now, next);
        }
        Err(endless(turns, span))
    }
}

/// Whether the first element of a tensor of booleans is true.
fn truth(flag: &[u8]) -> bool {
    flag.first().is_some_and(|&b| b != 0)
}

/// What blocks read from outside, but for constants.
fn captured(known: &Known<'_>, blocks: &[Body]) -> Vec<ValueId> {
    fn bind(block: &Body, own: &mut HashSet<ValueId>) {
        own.extend(&block.params);
        for step in &block.steps {
            own.extend(&step.outputs);
            step.blocks.iter().for_each(|b| bind(b, own));
        }
    }
    let mut seen = HashSet::new();
    blocks.iter().for_each(|b| bind(b, &mut seen));
    let mut captured = Vec::new();
    let mut read = |v: ValueId| {
        if known.constants[v.index()].is_none() && seen.insert(v) {
            captured.push(v);
        }
    };
    for block in blocks {
        block.steps.iter().for_each(|step| step.reads(&mut read));
        block.outputs.iter().copied().for_each(&mut read);
    }
    captured
}
