//! What compiles, and then goes wrong in silence, or costs more than anybody wants to pay.
//!
//! A hazard is never an error: the program is taken. Each is a diagnostic with a page, and says what to do.

mod interface;
mod ops;
mod program;
mod reported;

use super::ask::{Ask, Folded};
use super::{self as place, OpPlacement, Target};
use crate::chip::Evidence;
use crate::source::{Code, Diagnostic, Span};
use crate::verify::{Body, Function, Step, ValueId};

pub(super) use program::too_deep;

/// What the hazards read: the function, and for each of its steps where it was placed.
pub(super) struct Seen<'a> {
    pub(super) function: &'a Function,
    pub(super) folded: &'a Folded,
    pub(super) target: Target,
    /// The steps in the order of the placements.
    steps: Vec<&'a Step>,
    /// The step that gives each value, as a position in `steps`.
    from: Vec<Option<u32>>,
    /// How often each value is read.
    reads: Vec<u32>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(function: &'a Function, folded: &'a Folded, target: Target) -> Self {
        let count = function.values.len();
        let mut seen = Self {
            function,
            folded,
            target,
            steps: Vec::new(),
            from: vec![None; count],
            reads: vec![0; count],
        };
        seen.block(&function.body);
        seen
    }

    fn block(&mut self, body: &'a Body) {
        for step in &body.steps {
            let at = self.steps.len() as u32;
            self.steps.push(step);
            step.outputs.iter().for_each(|o| self.from[o.index()] = Some(at));
            let given = step.inputs.iter().flat_map(|i| i.values());
            given.for_each(|v| self.reads[v.index()] += 1);
            step.blocks.iter().for_each(|b| self.block(b));
        }
        body.outputs.iter().for_each(|o| self.reads[o.index()] += 1);
    }

    /// The step that gives a value.
    fn giver(&self, value: ValueId) -> Option<&'a Step> {
        self.from[value.index()].map(|i| self.steps[i as usize])
    }

    fn is_read(&self, value: ValueId) -> bool {
        self.reads[value.index()] > 0
    }
}

/// A hazard at a place.
struct Hazard {
    code: &'static Code,
    message: String,
    label: &'static str,
    help: &'static str,
    evidence: Evidence,
    /// Whether the op gives wrong numbers: not only where it is unlucky.
    wrong: bool,
}

impl Hazard {
    fn new(
        code: &'static Code,
        message: String,
        label: &'static str,
        help: &'static str,
        evidence: Evidence,
    ) -> Self {
        Self { code, message, label, help, evidence, wrong: false }
    }

    /// The op gives wrong numbers whatever it is given.
    fn wrong(mut self) -> Self {
        self.wrong = true;
        self
    }

    fn diagnostic(self, target: Target, span: Span) -> Diagnostic {
        Diagnostic::new(self.code, format!("{}{}", place::on(target.chip.name()), self.message))
            .at(span, self.label)
            .note(self.evidence.to_string())
            .help(self.help)
    }
}

/// Looks for the hazards of a function, and writes down which ops have one, and which give wrong numbers. Gives the
/// diagnostics, and the kinds of those that the function has as a whole.
pub(super) fn find(seen: &Seen<'_>, placed: &mut [OpPlacement]) -> (Vec<Diagnostic>, Vec<&'static Code>) {
    let mut found = Vec::new();
    for (i, &step) in seen.steps.iter().enumerate() {
        let op = &mut placed[i];
        if !op.on_engine() || seen.folded.is_folded(step) {
            continue;
        }
        let ask = Ask::new(seen.function, step, seen.folded, seen.target);
        for hazard in ops::ALL.iter().filter_map(|look| look(&ask, seen)) {
            if hazard.wrong {
                op.facts.correct = Some(false);
            }
            op.hazards.push(hazard.code);
            found.push(hazard.diagnostic(seen.target, step.span));
        }
    }
    let mut whole: Vec<(Hazard, Span)> = program::find(seen, placed);
    found.extend(program::of_ops(seen, placed).into_iter().map(|(h, span)| h.diagnostic(seen.target, span)));
    whole.extend(interface::find(seen));
    let codes = whole.iter().map(|(h, _)| h.code).collect();
    found.extend(whole.into_iter().map(|(h, span)| h.diagnostic(seen.target, span)));
    (found, codes)
}

#[cfg(test)]
mod tests;
