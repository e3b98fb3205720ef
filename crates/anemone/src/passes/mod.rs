//! Rewrites that keep what a program means.
//!
//! [`legalise`] makes of a program that an engine refuses one that it takes: ops that it lacks are written with ops that it
//! has, windows and sums that are too large are divided, and what is too deep or too heavy for one program becomes several
//! that run one behind the other. Each rewrite of an op is a row of [`RULES`], and each one that was made is a [`Change`].
//! Results stay within the roundings of the ops that stand in for others; inputs and outputs keep their names and types.
//!
//! ```
//! use anemone::passes;
//! for rule in passes::RULES.iter().filter(|rule| rule.ops == ["cosh"]) {
//!     println!("{}: {}", rule.name, rule.what);
//! }
//! ```

mod chain;
mod draft;
mod rules;
mod site;
#[cfg(test)]
mod tests;
mod tidy;

use std::collections::{HashMap, HashSet};

use crate::bundle::Weights;
use crate::mil::{Binding, Block, Call, Name, Operand, Program};
use crate::place::{self, OpPlacement, Target, Where};
use crate::source::{Code, Diagnostics, codes};
use crate::verify::{self, Verified};
pub use rules::RULES;
use site::Site;

/// A rewrite: when it is made, and what it writes.
///
/// ```
/// use anemone::passes::RULES;
/// let rule = RULES.iter().find(|r| r.name == "gelu").unwrap();
/// assert_eq!((rule.ops, rule.what), (&["gelu"][..], "`erf` or `tanh`, and `mul` and `add`"));
/// ```
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// The ops that it rewrites; none stands for any.
    pub ops: &'static [&'static str],
    /// When.
    pub when: &'static str,
    /// What stands there afterwards.
    pub what: &'static str,
    /// The hazards for which it is made too; without, it is made only where the engine refuses the op.
    pub cures: &'static [&'static Code],
    /// The lines that stand for the call, or `None` if it is of another form.
    write: fn(&Site<'_>) -> Option<draft::Draft>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("name", &self.name).field("ops", &self.ops).finish_non_exhaustive()
    }
}

/// A rewrite that was made.
///
/// ```
/// use anemone::{Chip, bundle::Weights, passes, place::{Route, Target}, text};
/// let program = text::parse("program(1.3) { func main<ios18>(tensor<fp16, [1, 8]> x) {
///     tensor<fp16, [1, 8]> y = cosh(x = x); } -> (y); }")?;
/// let target = Target { route: Route::Direct, ..Target::new(Chip::M4) };
/// let change = &passes::legalise(&program, &Weights::none(), target)?.changes[0];
/// assert_eq!((change.op.as_str(), change.name.as_str(), change.what), ("cosh", "y", "two `exp`"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The rule: one of [`RULES`], `divide` where a program was cut in two, or `order` where inputs or outputs changed places.
    pub rule: &'static str,
    /// The function.
    pub function: Name,
    /// The first result of the op that was rewritten, or before which the program was cut; or the input or output.
    pub name: Name,
    /// The op; empty of an input or output.
    pub op: Name,
    /// What stands there now.
    pub what: &'static str,
}

/// What came of a program.
///
/// ```
/// use anemone::{Chip, bundle::Weights, passes, place::{Route, Target}, text};
/// let program = text::parse("program(1.3) { func main<ios18>(tensor<int32, [1, 8]> x) {
///     tensor<int32, [1, 8]> y = abs(x = x); } -> (y); }")?;
/// // What is given is in whole numbers, and stays so.
/// let target = Target { route: Route::Direct, ..Target::new(Chip::M4) };
/// let done = passes::legalise(&program, &Weights::none(), target)?;
/// assert!(done.changes.is_empty() && done.left[0].1.op == "abs");
/// assert_eq!(done.programs, [program]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Debug)]
pub struct Legalised {
    /// The program; or several that run in this order: an output of one is the input of this name of those behind it.
    pub programs: Vec<Program>,
    /// What was rewritten, in the order in which it was done.
    pub changes: Vec<Change>,
    /// Ops that the engine still does not take: the function, and where the op would run.
    pub left: Vec<(Name, OpPlacement)>,
}

/// How often the whole program is gone through: what one rule writes another may have to rewrite.
const ROUNDS: usize = 6;

/// Rewrites what the engine of a target refuses, as far as there are rules for it.
///
/// # Errors
///
/// What [`verify`](verify::verify) finds: only programs that are right can be rewritten.
///
/// ```
/// use anemone::{Chip, bundle::Weights, passes, place::Target, text};
/// let program = text::parse("program(1.3) { func main<ios18>(tensor<fp16, [1, 8]> x) {
///     tensor<fp16, [1, 8]> y = tan(x = x); } -> (y); }")?;
/// let done = passes::legalise(&program, &Weights::none(), Target::new(Chip::M4))?;
/// assert_eq!((done.changes[0].rule, done.left.len()), ("tan", 0));
/// let ops: Vec<&str> = done.programs[0].functions[0].body.calls.iter().map(|c| c.op.as_str()).collect();
/// assert_eq!(ops, ["sin", "cos", "real_div"]);
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
pub fn legalise(program: &Program, weights: &Weights, target: Target) -> Result<Legalised, Diagnostics> {
    checked(program, weights)?;
    let mut done = Legalised { programs: Vec::new(), changes: Vec::new(), left: Vec::new() };
    // First, since of a program that is too deep Core ML takes no op; and again, since rewriting makes it deeper.
    let (parts, cuts) = chain::divide(program.clone(), weights, target);
    done.changes.extend(cuts);
    for part in parts {
        let part = rewritten(part, weights, target, &mut done.changes)?;
        let (parts, cuts) = chain::divide(part, weights, target);
        done.changes.extend(cuts);
        for mut part in parts {
            let verified = checked(&part, weights)?;
            for (at, function) in verified.functions().iter().enumerate() {
                let placement = place::place(function, target);
                if placement.hazards.iter().any(|h| h.name == codes::OUTPUT_ORDER.name) {
                    done.changes.extend(tidy::order(&mut part.functions[at]));
                }
                let left = placement.ops.into_iter().filter(is_off);
                done.left.extend(left.map(|op| (function.name.clone(), op)));
            }
            done.programs.push(part);
        }
    }
    Ok(done)
}

/// The program with other ops in the places of those that the engine does not take.
fn rewritten(
    mut program: Program,
    weights: &Weights,
    target: Target,
    changes: &mut Vec<Change>,
) -> Result<Program, Diagnostics> {
    let mut verified = checked(&program, weights)?;
    let first = changes.len();
    let mut tried = Tried::default();
    for _ in 0..ROUNDS {
        let drafts = drafts(&program, &verified, target, &tried);
        if drafts.is_empty() {
            break;
        }
        let all = applied(&program, &drafts, target);
        let Ok(v) = checked(&all, weights) else {
            settle(&mut program, &drafts, (weights, target), changes, &mut tried);
            verified = checked(&program, weights)?;
            continue;
        };
        let next = self::drafts(&all, &v, target, &tried);
        let vain = vain(&v, &drafts, &next, target);
        if !vain.is_empty() {
            tried.unfit.extend(vain);
            continue;
        }
        for draft in &drafts {
            changes.push(change(&program, draft));
            tried.note(draft);
        }
        (program, verified) = (all, v);
    }
    if changes[first..].iter().any(|c| c.rule == "fp32") {
        tidy::casts(&mut program);
    }
    Ok(program)
}

/// Makes the rewrites that fit, of which some do not: halves are tried, and halves of these.
fn settle(
    program: &mut Program,
    drafts: &[Written],
    (weights, target): (&Weights, Target),
    changes: &mut Vec<Change>,
    tried: &mut Tried,
) {
    let all = applied(program, drafts, target);
    match (checked(&all, weights), drafts) {
        (Ok(_), _) => {
            for draft in drafts {
                changes.push(change(program, draft));
                tried.note(draft);
            }
            *program = all;
        }
        (Err(_), [draft]) => {
            tried.unfit.insert((draft.function, draft.rule.name, draft.name.clone()));
        }
        (Err(_), _) => {
            let (before, behind) = drafts.split_at(drafts.len() / 2);
            settle(program, before, (weights, target), changes, tried);
            settle(program, behind, (weights, target), changes, tried);
        }
    }
}

/// What stands for a call, by one rule.
struct Written {
    /// Which function of the program, and its name.
    function: usize,
    within: Name,
    /// The first result of the call.
    name: Name,
    rule: &'static Rule,
    calls: Vec<Call>,
}

/// What was tried already, by function.
#[derive(Default)]
struct Tried {
    /// Rules that wrote for a call what does not pass the gate, or is refused too.
    unfit: HashSet<(usize, &'static str, Name)>,
    /// Calls that a cure has written: some are of the op that it cures, and look as dangerous.
    cures: HashSet<(usize, Name)>,
}

impl Tried {
    fn note(&mut self, draft: &Written) {
        if !draft.rule.cures.is_empty() {
            let names = draft.calls.iter().flat_map(|c| &c.outputs).map(|o| (draft.function, o.name.clone()));
            self.cures.extend(names);
        }
    }
}

/// What the first rule that has something to write makes of each call that is refused or has a hazard.
fn drafts(program: &Program, verified: &Verified, target: Target, tried: &Tried) -> Vec<Written> {
    let mut drafts = Vec::new();
    for function in verified.functions() {
        let Some(at) = program.functions.iter().position(|w| w.name == function.name) else { continue };
        let written = &program.functions[at];
        let calls: HashMap<&Name, &Call> =
            written.body.calls.iter().filter_map(|c| Some((&c.outputs.first()?.name, c))).collect();
        let mut names = HashSet::new();
        names.extend(written.params.iter().map(|p| p.name.to_string()));
        bound(&written.body, &mut names);
        let placement = place::place(function, target);
        let ops: HashMap<&Name, &OpPlacement> = placement.ops.iter().map(|op| (&op.name, op)).collect();
        for step in &function.body.steps {
            let Some(&output) = step.outputs.first() else { continue };
            let name = &function.value(output).name;
            let (Some(&call), Some(&op)) = (calls.get(name), ops.get(name)) else { continue };
            let site = Site { function, step, call, target };
            let asked = |rule: &&Rule| {
                let here = rule.ops.is_empty() || rule.ops.contains(&step.op.name);
                let hazard = op.hazards.iter().any(|h| rule.cures.iter().any(|c| c.name == h.name));
                let needed = is_off(op) || hazard && !tried.cures.contains(&(at, name.clone()));
                here && needed && !tried.unfit.contains(&(at, rule.name, name.clone()))
            };
            let found = RULES.iter().filter(asked).find_map(|rule| {
                let calls = (rule.write)(&site)?.calls(call, name, &names)?;
                Some(Written { function: at, within: function.name.clone(), name: name.clone(), rule, calls })
            });
            if let Some(found) = found {
                names.extend(found.calls.iter().flat_map(|c| &c.outputs).map(|o| o.name.to_string()));
                drafts.push(found);
            }
        }
    }
    drafts
}

/// The drafts of which the engine takes nothing, and no rule writes anything else: what is refused is not the op, but a shape
/// or a dtype.
fn vain(
    verified: &Verified,
    drafts: &[Written],
    next: &[Written],
    target: Target,
) -> Vec<(usize, &'static str, Name)> {
    let mut vain = Vec::new();
    let goes_on: HashSet<(&Name, &Name)> = next.iter().map(|d| (&d.within, &d.name)).collect();
    for function in verified.functions() {
        let placement = place::place(function, target);
        let off: HashMap<&Name, bool> = placement.ops.iter().map(|op| (&op.name, is_off(op))).collect();
        let here = drafts.iter().filter(|d| d.within == function.name);
        for draft in here.filter(|d| d.rule.cures.is_empty()) {
            let mut names = draft.calls.iter().filter_map(|c| Some(&c.outputs.first()?.name));
            if names.all(|n| off.get(n) == Some(&true) && !goes_on.contains(&(&function.name, n))) {
                vain.push((draft.function, draft.rule.name, draft.name.clone()));
            }
        }
    }
    vain
}

/// Adds all names that a block binds.
fn bound(block: &Block, names: &mut HashSet<String>) {
    names.extend(block.params.iter().map(|p| p.name.to_string()));
    for call in &block.calls {
        names.extend(call.outputs.iter().map(|o| o.name.to_string()));
        call.blocks.iter().for_each(|b| bound(b, names));
    }
}

/// The names that a call reads from around it.
fn reads<'a>(call: &'a Call, read: &mut HashSet<&'a Name>) {
    for argument in &call.arguments {
        let operands = match &argument.binding {
            Binding::One(o) => std::slice::from_ref(o),
            Binding::Many(all) => all,
        };
        read.extend(operands.iter().filter_map(|o| match o {
            Operand::Name(used) => Some(&used.name),
            Operand::Value(..) => None,
        }));
    }
    for block in &call.blocks {
        let mut inside = HashSet::new();
        block.calls.iter().for_each(|c| reads(c, &mut inside));
        inside.extend(block.outputs.iter().map(|o| &o.name));
        for bound in block.params.iter().chain(block.calls.iter().flat_map(|c| &c.outputs)) {
            inside.remove(&bound.name);
        }
        read.extend(inside);
    }
}

/// Whether the engine does not take an op, whatever became of it.
fn is_off(op: &OpPlacement) -> bool {
    op.at == Where::Refused || !op.on_engine()
}

fn checked(program: &Program, weights: &Weights) -> Result<Verified, Diagnostics> {
    let report = verify::verify(program, weights);
    report.verified.ok_or(report.diagnostics)
}

fn change(program: &Program, draft: &Written) -> Change {
    let function = &program.functions[draft.function];
    let call = function.body.calls.iter().find(|c| c.outputs.first().is_some_and(|o| o.name == draft.name));
    Change {
        rule: draft.rule.name,
        function: function.name.clone(),
        name: draft.name.clone(),
        op: call.map_or_else(|| Name::from(""), |c| c.op.clone()),
        what: draft.rule.what,
    }
}

/// The program with what was written in the places of the calls that it stands for.
fn applied(program: &Program, drafts: &[Written], target: Target) -> Program {
    let mut program = program.clone();
    for (f, function) in program.functions.iter_mut().enumerate() {
        let mut written: HashMap<&Name, &Written> =
            drafts.iter().filter(|d| d.function == f).map(|d| (&d.name, d)).collect();
        if written.is_empty() {
            continue;
        }
        let calls = std::mem::take(&mut function.body.calls);
        for call in calls {
            let draft = call.outputs.first().and_then(|o| written.remove(&o.name));
            match draft {
                Some(draft) => function.body.calls.extend(draft.calls.iter().cloned()),
                None => function.body.calls.push(call),
            }
        }
        tidy::joins(function, |dims| place::long_axes(target, dims).next().is_some());
    }
    program
}
