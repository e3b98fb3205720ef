//! What is known of an op on a chip and route, whatever its arguments.

use std::borrow::Cow;

use super::{OpRow, Phase, Route, Target};
use crate::chip::{Chip, Confidence, Evidence, Profile};

/// Whether something holds, as far as anybody knows.
///
/// ```
/// use anemone::place::Known;
/// let nobody_tried: Known = None;
/// assert_ne!(nobody_tried, Some(false));
/// ```
pub type Known = Option<bool>;

/// What is known of an op on a chip, each by itself: that a table attests an op does not say that it compiles, and what
/// compiles and runs may give wrong numbers.
///
/// ```
/// use anemone::place::Facts;
/// let attested = Facts { attested: Some(true), ..Facts::default() };
/// assert_eq!((attested.compiles, attested.correct), (None, None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Some table of Apple's says that the engine takes it.
    pub attested: Known,
    /// The engine's compiler makes a program of it.
    pub compiles: Known,
    /// The program runs.
    pub runs: Known,
    /// What it gives was compared, and is right.
    pub correct: Known,
}

/// How the engine does an op.
///
/// ```
/// use anemone::place::Form;
/// assert!(Form::Bridged.is_on_engine() && !Form::Later.is_on_engine());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// By itself.
    Native,
    /// Only through a decomposition, a bridge, or inside a larger graph.
    Bridged,
    /// Not at all: the compiler computes it.
    Folded,
    /// Not on this chip, but on later ones.
    Later,
    /// Not at all: no engine has it, or not in this form.
    Refused,
}

impl Form {
    /// Whether the op can be part of what the engine is given.
    pub const fn is_on_engine(self) -> bool {
        matches!(self, Form::Native | Form::Bridged | Form::Folded)
    }
}

/// What is known of an op on a target, whatever its arguments.
///
/// ```
/// use anemone::{Chip, place::{self, Route, Target}};
/// let direct = |chip| place::row("gelu").on(Target { route: Route::Direct, ..Target::new(chip) });
/// // On an M5 it compiles and runs; nobody compared what it gives.
/// assert_eq!((direct(Chip::M5).facts.compiles, direct(Chip::M5).facts.correct), (Some(true), None));
/// // On an M4 nobody tried: that the engine takes it is inferred of the M5.
/// assert_eq!((direct(Chip::M4).form.is_on_engine(), direct(Chip::M4).facts.compiles), (true, None));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    /// How the engine does it.
    pub form: Form,
    /// What of it is known, each by itself.
    pub facts: Facts,
    /// The reason, in a sentence.
    pub why: Cow<'static, str>,
    /// How that is known.
    pub evidence: Evidence,
    /// When a refusal shows.
    pub phase: Phase,
}

/// What was found when an op was compiled for the engine alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// It compiles, runs, and gives what it should.
    Correct,
    /// It compiles and runs; nobody compared the result.
    Reachable,
    /// The compiler fails.
    Fails,
    /// The front end refuses it.
    Walled,
    /// Nobody tried.
    Untried,
}

pub(super) const GUIDE: &str = "the ANE guide";
pub(super) const SWEEP: Evidence = Evidence::measured("ANEForge's sweep of the MIL vocabulary");
pub(super) const STUDY: Evidence = Evidence::measured("the M6 study").on("macOS 27");

/// How the guide knows of a chip: it ran M1, M2 and M5, and predicts the others from the compiler's tables.
pub(super) fn guide(chip: Chip) -> Evidence {
    let confidence = match chip {
        Chip::M1 | Chip::M2 | Chip::M5 => Confidence::Measured,
        Chip::M3 | Chip::M4 => Confidence::Predicted,
        Chip::M6 => Confidence::Inferred,
    };
    Evidence::new(GUIDE, confidence)
}

/// Whether something was seen on the chip itself, or stands in its compiler: what is inferred of kin is no fact of it.
pub(super) fn is_known(evidence: Evidence) -> bool {
    evidence.confidence <= Confidence::Read
}

/// Weakens evidence of one chip for another.
fn seen_on(evidence: Evidence, seen: &[Chip], chip: Chip) -> Evidence {
    if seen.contains(&chip) { evidence } else { evidence.at_most(Confidence::Inferred) }
}

/// What the table says of an op on a target.
pub(super) fn of(row: &OpRow, target: Target) -> Support {
    if let (Profile::Strict, Some((why, source))) = (target.profile, row.strict)
        && target.route.is_whole()
    {
        let evidence = Evidence::claimed(source);
        return refused(Form::Refused, Facts::default(), Cow::Borrowed(why), evidence, Phase::Lower);
    }
    match target.route {
        Route::E5rt => by_family(row, target.chip),
        Route::Direct => alone(row, target.chip),
        Route::CoreMl => attested(row, target.chip),
    }
}

fn refused(form: Form, facts: Facts, why: Cow<'static, str>, evidence: Evidence, phase: Phase) -> Support {
    Support { form, facts, why, evidence, phase }
}

fn on_engine(form: Form, facts: Facts, evidence: Evidence, note: &'static str) -> Support {
    let why = match (note, form) {
        ("", Form::Bridged) => "the engine does it through a decomposition or a bridge".into(),
        ("", _) => "the engine has the op".into(),
        (note, _) => Cow::Borrowed(note),
    };
    Support { form, facts, why, evidence, phase: Phase::Lower }
}

/// By the guide's matrix of ops and families.
fn by_family(row: &OpRow, chip: Chip) -> Support {
    let evidence = guide(chip);
    let form = row.form(chip);
    let ran = evidence.confidence == Confidence::Measured;
    let sure = |yes: bool| ran.then_some(yes);
    if form.is_on_engine() {
        let facts =
            Facts { attested: Some(true), compiles: sure(true), runs: sure(true), correct: sure(true) };
        return on_engine(form, facts, evidence, row.note);
    }
    let facts = Facts { attested: Some(false), compiles: sure(false), ..Facts::default() };
    refused(form, facts, not_there(row, chip), evidence, Phase::Lower)
}

/// Why an op is on no engine, or not on this one.
fn not_there(row: &OpRow, chip: Chip) -> Cow<'static, str> {
    let later = Chip::ALL.into_iter().find(|c| *c > chip && row.form(*c).is_on_engine());
    match later {
        Some(later) => format!("`{}` comes with {later}", row.op).into(),
        None => format!("the engine has no `{}`", row.op).into(),
    }
}

/// Compiled for the engine alone.
fn alone(row: &OpRow, chip: Chip) -> Support {
    let later = row.form(chip) == Form::Later;
    if later {
        return by_family(row, chip);
    }
    // The sweep ran on an M5: of other chips nobody knows that it compiles, though it is likely.
    let evidence = seen_on(SWEEP, &[Chip::M5], chip);
    let tried = |yes| is_known(evidence).then_some(yes);
    match row.alone {
        Alone::Correct | Alone::Reachable => {
            let correct = if row.alone == Alone::Correct { tried(true) } else { None };
            let facts = Facts { attested: None, compiles: tried(true), runs: tried(true), correct };
            on_engine(Form::Native, facts, evidence, row.note)
        }
        Alone::Fails | Alone::Walled => {
            let walled = row.alone == Alone::Walled;
            let why = match walled {
                true => format!("the front end of the compiler takes no `{}` for the engine alone", row.op),
                false => format!("the compiler makes nothing of `{}` for the engine alone", row.op),
            };
            let phase = if walled { Phase::Type } else { Phase::Lower };
            let facts = Facts { compiles: tried(false), ..Facts::default() };
            refused(Form::Refused, facts, why.into(), evidence, phase)
        }
        Alone::Untried => {
            let mut support = by_family(row, chip);
            support.evidence = support.evidence.at_most(Confidence::Inferred);
            support.facts = Facts { attested: support.facts.attested, ..Facts::default() };
            support
        }
    }
}

/// As Core ML asks the compiler's validators.
fn attested(row: &OpRow, chip: Chip) -> Support {
    if row.form(chip) == Form::Later {
        return by_family(row, chip);
    }
    let evidence = seen_on(STUDY, &[Chip::M4], chip);
    let facts = |yes| Facts { attested: Some(yes), ..Facts::default() };
    match row.core_ml {
        Some(true) => on_engine(Form::Native, facts(true), evidence, row.note),
        Some(false) => {
            let why = format!("Core ML finds no `{}` on the engine", row.op);
            refused(Form::Refused, facts(false), why.into(), evidence, Phase::Lower)
        }
        None => {
            let mut support = by_family(row, chip);
            support.evidence = support.evidence.at_most(Confidence::Inferred);
            support.facts = facts(support.form.is_on_engine());
            support
        }
    }
}
