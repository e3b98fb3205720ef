//! Where each op of a program runs on a chip, and why.
//!
//! Three routes lead to the engine, and they take different programs. Core ML asks for each op whether the engine could do
//! it, and then divides the program so that it is fastest. The direct route compiles the whole program for the engine or
//! not at all. The E5RT route does so too, and has bridges for some ops. [`place`] says for each op where it goes on a
//! [`Target`], with the reason, the cheapest change that would move it, and the evidence. What is said of one op stands in
//! one table, a row an op.
//!
//! ```
//! use anemone::{Chip, place::{self, Form, Route, Target}};
//! let direct = Target { route: Route::Direct, ..Target::new(Chip::M4) };
//! let refused: Vec<_> = place::rows().filter(|row| row.form_on(direct) == Form::Refused).collect();
//! println!("{} ops compile for no engine", refused.len());
//! # assert!(!refused.is_empty());
//! ```

mod ask;
pub mod cost;
mod hazards;
mod reports;
mod rules;
mod segment;
mod support;
mod table;

pub(crate) use rules::{extent_of, long_axes};
pub use segment::{LAUNCH_MS, OUTPUT_MS, SWITCH_MS, Segment};
pub use support::{Facts, Form, Known, Support};
pub use table::{OpRow, Part, row, rows};

use std::borrow::Cow;
use std::collections::HashMap;

use crate::chip::{Chip, Evidence, Profile, Rates};
use crate::mil::Name;
pub use crate::source::Phase;
use crate::source::{Code, Diagnostic, Diagnostics, Severity, Span, codes};
use crate::verify::{Body, Function, Step};
use ask::{Ask, Folded};
use cost::Model;
use hazards::Seen;

/// The way by which a program comes to the engine.
///
/// ```
/// use anemone::place::Route;
/// assert_eq!(Route::Direct.name().parse(), Ok(Route::Direct));
/// assert!(Route::Direct.is_whole() && !Route::CoreMl.is_whole());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Route {
    /// Core ML: the program is divided between engine, CPU and, if wanted, GPU.
    #[default]
    CoreMl,
    /// MIL compiled for the engine alone, as anemone itself does: the engine takes all of it, or none.
    Direct,
    /// The E5 runtime, whose compiler has bridges and decompositions that MIL alone does not reach.
    E5rt,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 3] = [Route::CoreMl, Route::Direct, Route::E5rt];

    /// Its name: `core-ml`, `direct` or `e5rt`.
    pub const fn name(self) -> &'static str {
        ["core-ml", "direct", "e5rt"][self as usize]
    }

    /// Whether the engine takes the whole program or nothing of it.
    pub const fn is_whole(self) -> bool {
        !matches!(self, Route::CoreMl)
    }
}

impl std::str::FromStr for Route {
    type Err = String;

    /// The route of this name.
    fn from_str(name: &str) -> Result<Self, String> {
        Route::ALL
            .into_iter()
            .find(|r| r.name() == name)
            .ok_or_else(|| format!("there is no route `{name}`; there is core-ml, direct and e5rt"))
    }
}

/// What a program is placed on.
///
/// ```
/// use anemone::{Chip, chip::Profile, place::{Route, Target}};
/// let target = Target { route: Route::Direct, ..Target::new(Chip::M4) };
/// assert_eq!((target.profile, target.gpu), (Profile::Permissive, false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The chip.
    pub chip: Chip,
    /// The way to its engine.
    pub route: Route,
    /// Which side to take where sources contradict each other.
    pub profile: Profile,
    /// Whether Core ML may use the GPU too.
    pub gpu: bool,
}

impl Target {
    /// Core ML on this chip with CPU and engine, permissive.
    pub const fn new(chip: Chip) -> Self {
        Self { chip, route: Route::CoreMl, profile: Profile::Permissive, gpu: false }
    }
}

/// Where an op runs.
///
/// ```
/// assert_eq!(anemone::place::Where::Ane.word(), "ane");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Where {
    /// On the engine.
    Ane,
    /// On the GPU.
    Gpu,
    /// On the CPU.
    Cpu,
    /// Nowhere: the program is refused.
    Refused,
}

impl Where {
    /// The word: `ane`, `gpu`, `cpu` or `refused`.
    pub const fn word(self) -> &'static str {
        ["ane", "gpu", "cpu", "refused"][self as usize]
    }
}

/// Where one op of a program runs, and why.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, Form, Target}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64]> x) {
///     tensor<fp16, [1, 64]> y = sin(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let sin = &place::place(verified.main(), Target::new(Chip::M1)).ops[0];
/// assert_eq!((sin.form, sin.why.as_ref()), (Form::Later, "`sin` comes with m3"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpPlacement {
    /// The op.
    pub op: &'static str,
    /// The name of its first result.
    pub name: Name,
    /// Where the name of the op stands in the text.
    pub span: Span,
    /// Where it runs.
    pub at: Where,
    /// How the engine does it, if it does.
    pub form: Form,
    /// What is known of the op in this form on this chip.
    pub facts: Facts,
    /// When a refusal shows, if it is refused.
    pub phase: Option<Phase>,
    /// Why it runs there, in a sentence.
    pub why: Cow<'static, str>,
    /// The cheapest change that would bring it to the engine, if it is not there.
    pub change: Option<Cow<'static, str>>,
    /// How that is known.
    pub evidence: Evidence,
    /// What goes wrong with it although the engine takes it.
    pub hazards: Vec<&'static Code>,
}

impl OpPlacement {
    /// Whether the engine could run it, wherever it was put.
    pub fn on_engine(&self) -> bool {
        self.form.is_on_engine()
    }
}

/// Where the ops of a function run.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, OpPlacement, Target, Where}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64, 32, 32]> x) {
///     tensor<fp16, [1, 64, 32, 32]> y = relu(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let placement = place::place(verified.main(), Target::new(Chip::M4));
/// let relu: &OpPlacement = &placement.ops[0];
/// // Core ML keeps a program this small on the CPU, although the engine could run it.
/// assert!(relu.at == Where::Cpu && relu.on_engine());
/// assert_eq!((placement.count(Where::Ane), placement.count(Where::Cpu)), (0, 1));
/// assert!(placement.overhead_ms() >= 0.0);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug)]
pub struct Placement {
    /// What it is placed on.
    pub target: Target,
    /// The name of the function.
    pub function: Name,
    /// Its ops in the order of the program, those of nested blocks behind the op around them. Constants are not ops.
    pub ops: Vec<OpPlacement>,
    /// Runs of ops at one place, in order; one that is refused stands by itself.
    pub segments: Vec<Segment>,
    /// What goes wrong with the function as a whole, although the engine takes it.
    pub hazards: Vec<&'static Code>,
    /// What is refused, as diagnostics: errors on routes that take the whole program or nothing.
    pub diagnostics: Diagnostics,
}

impl Placement {
    /// How many ops run there.
    pub fn count(&self, at: Where) -> usize {
        self.ops.iter().filter(|o| o.at == at).count()
    }

    /// What is paid for launching segments and switching between devices, in milliseconds.
    pub fn overhead_ms(&self) -> f64 {
        self.segments.iter().map(|s| s.launch_ms + s.switch_ms + s.output_ms).sum()
    }
}

/// Says where each op of a function runs on a target.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, Route, Target, Where}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64]> x) {
///     tensor<fp16, [1, 64]> y = relu(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let direct = Target { route: Route::Direct, ..Target::new(Chip::M4) };
/// let placement = place::place(verified.main(), direct);
/// // Compiled for the engine alone, all of it is there: one launch, and nothing else.
/// assert_eq!(placement.count(Where::Ane), 1);
/// assert!(placement.overhead_ms() > 0.0 && placement.segments.len() == 1);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn place(function: &Function, target: Target) -> Placement {
    let folded = Folded::of(function, target.route);
    let mut judged = Vec::with_capacity(function.steps());
    let mut diagnostics = Diagnostics::default();
    let mut costs = Vec::with_capacity(function.steps());
    let mut model = Model::of(function, Rates::of(target.chip));
    walk(&function.body, &mut |step| {
        let ask = Ask::new(function, step, &folded, target);
        let placement = judge(&ask);
        if let Some((code, note)) = &placement.1 {
            diagnostics.push(diagnostic(&placement.0, code, note.as_ref(), target));
        }
        costs.push(segment::times(model.counted(step), &placement.0, target));
        judged.push(placement.0);
    });
    let seen = Seen::of(function, &folded, target);
    if let Some(layers) = hazards::too_deep(&seen) {
        leave(&mut judged, &mut costs, layers);
    }
    let (found, hazards) = hazards::find(&seen, &mut judged);
    for hazard in found {
        diagnostics.push(hazard);
    }
    let segments = segment::segments(&mut judged, &costs, function, target);
    diagnostics.sort();
    Placement { target, function: function.name.clone(), ops: judged, segments, hazards, diagnostics }
}

/// What is said of a program on several chips: each thing once, with the chips that it is said of.
///
/// The diagnostics are taken out of the placements.
///
/// ```
/// use anemone::{Chip, bundle::Weights, place::{self, Target}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 64]> x) {
///     tensor<fp16, [1, 64]> y = tan(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let mut placements = Chip::ALL.map(|chip| place::place(verified.main(), Target::new(chip)));
/// let said = place::together(&mut placements);
/// assert!(said.iter().count() == 1 && said.to_string().contains("on m1, m2, m3, m4, m5, m6: "));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn together<'p>(placements: impl IntoIterator<Item = &'p mut Placement>) -> Diagnostics {
    let mut places = HashMap::new();
    let mut found: Vec<(Vec<&'static str>, String, Diagnostic)> = Vec::new();
    for placement in placements {
        let chip = placement.target.chip.name();
        for d in std::mem::take(&mut placement.diagnostics) {
            let what = d.message.strip_prefix(&on(chip)).unwrap_or(&d.message).to_string();
            let key = (placement.function.clone(), d.code.name, d.span(), what.clone());
            let at = *places.entry(key).or_insert(found.len());
            match found.get_mut(at) {
                Some((chips, _, first)) => {
                    chips.push(chip);
                    let new = d.notes.into_iter().filter(|n| !first.notes.contains(n)).collect::<Vec<_>>();
                    first.notes.extend(new);
                }
                None => found.push((vec![chip], what, d)),
            }
        }
    }
    let mut all = Diagnostics::default();
    for (chips, what, d) in found {
        all.push(Diagnostic { message: format!("{}{what}", on(&chips.join(", "))), ..d });
    }
    all.sort();
    all
}

/// How messages about chips begin.
fn on(chips: &str) -> String {
    format!("on {chips}: ")
}

/// Gives every op to the CPU, since the program is too deep for the engine's compiler.
fn leave(ops: &mut [OpPlacement], costs: &mut [segment::Times], layers: u64) {
    let ours = ops.iter_mut().zip(costs).filter(|(op, _)| op.on_engine() && op.form != Form::Folded);
    for (op, cost) in ours {
        op.form = Form::Refused;
        op.at = Where::Cpu;
        op.why =
            format!("the program is {layers} layers deep, and Core ML leaves one so deep to the CPU").into();
        op.change = Some(Cow::Borrowed("divide the program into several that run one behind the other"));
        op.evidence = Evidence::measured("the M6 study").on("macOS 27");
        cost.leave_engine();
    }
}

/// Visits every step, those of blocks behind the step around them.
fn walk(body: &Body, each: &mut dyn FnMut(&Step)) {
    for step in &body.steps {
        each(step);
        step.blocks.iter().for_each(|b| walk(b, each));
    }
}

/// What is to be said of a refusal besides the reason: its kind, and what is at the place.
type Said = (&'static Code, Cow<'static, str>);

/// Judges one op by itself: whether the engine takes it. Where Core ML then puts it, the segments say.
fn judge(ask: &Ask<'_>) -> (OpPlacement, Option<Said>) {
    let step = ask.step;
    let name = step.outputs.first().map_or_else(|| Name::from(""), |&o| ask.function.value(o).name.clone());
    let mut op = OpPlacement {
        op: step.op.name,
        name,
        span: step.span,
        at: Where::Ane,
        form: Form::Native,
        facts: Facts::default(),
        phase: None,
        why: Cow::Borrowed(""),
        change: None,
        evidence: Evidence::read("the op table"),
        hazards: Vec::new(),
    };
    // The weights of `constexpr_` ops are expanded by the compiler or by the engine: their rows say which.
    if ask.folded.is_folded(step) && !step.op.name.starts_with("constexpr_") {
        op.form = Form::Folded;
        op.why = Cow::Borrowed("it depends on constants only, and is computed when the program is compiled");
        op.evidence = Evidence::read("the ANE guide");
        return (op, None);
    }
    let row = table::row(step.op.name);
    let support = support::of(row, ask.target);
    op.facts = support.facts;
    op.form = support.form;
    op.evidence = support.evidence;
    op.why = support.why;
    let refusal = if support.form.is_on_engine() {
        rules::refusal(row, ask).map(|r| {
            op.facts = r.facts(op.facts);
            (r.form, r.code, r.label, r.why, Some(r.change), r.evidence, r.phase)
        })
    } else {
        let change = (!row.instead.is_empty()).then_some(Cow::Borrowed(row.instead));
        let why = std::mem::take(&mut op.why);
        let label = Cow::Borrowed("not an op of this engine");
        Some((support.form, &codes::CHIP_OP, label, why, change, support.evidence, support.phase))
    };
    let Some((form, code, label, why, change, evidence, phase)) = refusal else { return (op, None) };
    (op.form, op.why, op.change, op.evidence) = (form, why, change, evidence);
    op.phase = Some(phase);
    op.at = if ask.target.route.is_whole() { Where::Refused } else { Where::Cpu };
    (op, Some((code, label)))
}

/// What is said of an op that the engine does not take.
fn diagnostic(op: &OpPlacement, code: &'static Code, label: &str, target: Target) -> Diagnostic {
    let d = Diagnostic::new(code, format!("{}{}", on(target.chip.name()), op.why))
        .at(op.span, label)
        .note(format!("{}", op.evidence))
        .in_phase(op.phase.unwrap_or(code.phase));
    let d = match &op.change {
        Some(change) => d.help(change.clone()),
        None => d,
    };
    if target.route.is_whole() {
        return d.fatal();
    }
    // Core ML runs it elsewhere, which is no fault of the program.
    Diagnostic { severity: Severity::Note, ..d }
}

#[cfg(test)]
mod tests;
