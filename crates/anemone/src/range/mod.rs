//! Between which numbers the values of a function lie, and what that means on a chip.
//!
//! [`bounds`] goes through a function with ranges in the place of values: constants are known, inputs lie in the ranges that are
//! given, and each op says what it makes of them. No run on inputs in these ranges leaves the bounds. They are as wide as they
//! must be when every element of a value may be anything in its range, and so often much wider than what a run shows.
//!
//! ```
//! use anemone::{Chip, bundle::Weights, chip::Numerics, range::{self, Kind, Range}, text, verify};
//! let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2]> x) {
//!     tensor<fp16, [1, 2]> a = softmax(x = x, axis = int32(-1));
//!     tensor<fp16, [1, 1]> y = linear(x = a, weight = tensor<fp16, [1, 2]>([[30000, 40000]])); } -> (y); }";
//! let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
//! let bounds = range::bounds(verified.main(), &[], Numerics::Chip(Chip::M4))?;
//! assert_eq!(bounds.of_step(0).hi, 1.0);
//! let found = &bounds.findings()[0];
//! assert_eq!((found.kind, found.name.as_str(), found.reaches), (Kind::SumOverflows, "y", 70000.0));
//! assert!(found.change().contains("2^-2"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod finding;
mod interval;
mod one;
mod relations;
mod rounding;
mod rules;
mod sums;
#[cfg(test)]
mod tests;

pub use finding::{Certainty, Finding, Kind};
pub use interval::Range;
pub use sums::Sums;

use std::collections::HashMap;

use crate::chip::{Chip, Numerics};
use crate::int8;
use crate::mil::Name;
use crate::mil::op::{Arg, Args, Meaning, Slot};
use crate::ops::silicon::{self, Rule, Unit};
use crate::source::{Diagnostic, Diagnostics, Span, codes, suggest};
use crate::types::{DType, Datum, Tensor, Type};
use crate::verify::{Body, Content, Function, Input, Step, ValueId};
use one::Tables;
use relations::Givers;
use rules::Outcome;

/// Beyond this a slice that begins within the width saturates on older chips.
const SLICE_LIMIT: f64 = 4094.0;

/// Constants are computed from others as long as all of them are no larger.
const MOST_BYTES: usize = 1 << 32;

/// Between which numbers the values of a function lie: see [`bounds`].
///
/// ```
/// use anemone::{bundle::Weights, chip::Numerics, range::{self, Range}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let bounds = range::bounds(verified.main(), &[("x", Range::new(-2.0, 3.0))], Numerics::Ieee)?;
/// let y = verified.main().body.outputs[0];
/// assert_eq!((bounds.of(y), bounds.of_step(0), bounds.findings().len()), (Range::new(0.0, 3.0), Range::new(0.0, 3.0), 0));
/// // Only with the arithmetic of a chip anything is found.
/// assert_eq!(bounds.chip(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The steps in the order of the program, those of nested blocks behind the op around them. Those that are computed once,
    /// when the program is loaded, are none.
    pub steps: Vec<StepBounds>,
    values: Vec<Range>,
    numerics: Numerics,
}

/// What is known of one step.
///
/// ```
/// # use anemone::{bundle::Weights, chip::Numerics, range::{self, Range}, text, verify};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = square(x = x); } -> (y); }";
/// # let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let bounds = range::bounds(verified.main(), &[("x", Range::new(-300.0, 3.0))], Numerics::Ieee)?;
/// let square = &bounds.steps[0];
/// // Halves end at 65504, and 90000 is stored as infinity.
/// assert_eq!((square.op, square.exact.hi, square.result.hi), ("square", f64::INFINITY, f64::INFINITY));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StepBounds {
    /// The op.
    pub op: &'static str,
    /// The name of its first result.
    pub name: Name,
    /// Where the name of the op stands in the text.
    pub span: Span,
    /// Its first result; a step that gives nothing has none.
    pub value: Option<ValueId>,
    /// What its arguments span, as they are stored.
    pub arguments: Option<Range>,
    /// What its first result spans before it is stored.
    pub exact: Range,
    /// What its first result spans as it is stored.
    pub result: Range,
    /// The sums that it makes of products.
    pub sums: Option<Sums>,
    /// The rule by which the chip computes it, where it is work of the chip's engine.
    pub rule: Option<&'static Rule>,
    /// Whether a constant among its arguments is infinite.
    reads_infinity: bool,
}

/// Finds between which numbers the values of a function lie, with this arithmetic.
///
/// Inputs of which no range is given hold any finite number of their dtype; states hold anything. A range that is given of a
/// state is what it holds when the run begins.
///
/// ```
/// use anemone::{bundle::Weights, chip::Numerics, range::{self, Range}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 8]> x) {
///     tensor<fp16, [1, 8]> n = layer_norm(x = x, axes = tensor<int32, [1]>([1])); } -> (n); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let bounds = range::bounds(verified.main(), &[], Numerics::Ieee)?;
/// // Of 8 numbers none is further from their mean than the square root of 8 deviations.
/// assert!(bounds.of_step(0).hi < 2.9);
/// assert!(range::bounds(verified.main(), &[("y", Range::point(0.0))], Numerics::Ieee).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `input-unknown` when a range is given of what the function has not.
pub fn bounds(
    function: &Function,
    given: &[(&str, Range)],
    numerics: Numerics,
) -> Result<Bounds, Diagnostics> {
    let on_bytes = int8::on_bytes(function, numerics);
    let function = on_bytes.as_ref().unwrap_or(function);
    let mut walk = Walk {
        function,
        numerics,
        ranges: vec![Range::UNKNOWN; function.values.len()],
        constants: HashMap::new(),
        types: HashMap::new(),
        bytes: 0,
        tables: Tables::default(),
        givers: Givers::of(&function.body),
        steps: Vec::new(),
    };
    walk.begin(given)?;
    walk.body(&function.body);
    Ok(Bounds { steps: walk.steps, values: walk.ranges, numerics })
}

impl Bounds {
    /// What a value spans.
    pub fn of(&self, value: ValueId) -> Range {
        self.values[value.index()]
    }

    /// What the first result of a step spans: one of [`Bounds::steps`].
    pub fn of_step(&self, step: usize) -> Range {
        self.steps[step].result
    }

    /// The chip whose arithmetic this is.
    pub fn chip(&self) -> Option<Chip> {
        match self.numerics {
            Numerics::Chip(chip) => Some(chip),
            Numerics::Ieee => None,
        }
    }
}

/// One call, as the rules see it.
struct Call<'a> {
    args: Args<'a>,
    /// The types of the results, as far as they are known.
    types: &'a [Type],
    /// The chip, if the step is computed by one of its rules.
    chip: Option<Chip>,
    /// Whether it is a convolution that shares products.
    by_winograd: bool,
    /// What the values of each parameter span as they are stored, in the order of the edition.
    spans: Vec<Vec<Range>>,
    /// Whether `x` and `y` are one value.
    is_square: bool,
}

impl<'a> Call<'a> {
    fn spans(&self, param: &str) -> &[Range] {
        let at = self.args.edition.params.iter().position(|p| p.name == param);
        at.and_then(|i| self.spans.get(i)).map_or(&[], Vec::as_slice)
    }

    fn numerics(&self) -> Numerics {
        self.chip.map_or(Numerics::Ieee, Numerics::Chip)
    }

    /// What a parameter spans as it is stored, or its default.
    fn as_it_is(&self, param: &'static str) -> Option<Range> {
        let given = self.spans(param).iter().copied().reduce(Range::or);
        given.or_else(|| self.args.float(param).map(Range::point))
    }

    /// What a parameter spans as it is read.
    fn range(&self, param: &'static str) -> Option<Range> {
        self.as_it_is(param).map(|range| self.read(range))
    }

    fn read(&self, range: Range) -> Range {
        if self.chip.is_some() { rounding::read(range) } else { range }
    }

    /// What each value of a parameter spans as it is read.
    fn many(&self, param: &str) -> Vec<Range> {
        self.spans(param).iter().map(|&range| self.read(range)).collect()
    }

    /// The tensor of a parameter, if it is constant.
    fn constant(&self, param: &'static str) -> Option<&'a Tensor> {
        self.args.value(param)
    }

    /// The numbers of constant weights, as they are multiplied.
    fn weights(&self, weights: &Tensor) -> Vec<f64> {
        let numbers = weights.to_f64s();
        if self.chip.is_some() { rounding::read_weights(&numbers) } else { numbers }
    }

    /// The shape of a parameter, if it is known.
    fn shape(&self, param: &'static str) -> Option<Vec<usize>> {
        self.args.opt_ty(param)?.shape.known()
    }

    /// The dtype of a result.
    fn dtype(&self, result: usize) -> Option<DType> {
        Some(self.types.get(result)?.as_tensor()?.dtype)
    }

    /// The part of the chip that computes the step.
    fn unit(&self) -> Option<Unit> {
        self.chip.and_then(|_| silicon::rule(self.args.op.name)).map(|rule| rule.unit)
    }
}

/// Goes through a function.
struct Walk<'a> {
    function: &'a Function,
    numerics: Numerics,
    ranges: Vec<Range>,
    /// What is computed of constants alone.
    constants: HashMap<ValueId, Datum>,
    /// Their types.
    types: HashMap<ValueId, Type>,
    /// How large they are.
    bytes: usize,
    tables: Tables,
    givers: Givers<'a>,
    steps: Vec<StepBounds>,
}

impl Walk<'_> {
    fn begin(&mut self, given: &[(&str, Range)]) -> Result<(), Diagnostics> {
        for (value, range) in self.function.values.iter().zip(&mut self.ranges) {
            if let Content::Constant(Datum::Tensor(tensor)) = &value.content {
                *range = Range::of(tensor);
            }
        }
        for &id in &self.function.params {
            let value = self.function.value(id);
            let range = given.iter().find(|(name, _)| value.name == **name).map(|&(_, range)| range);
            let finite = || value.ty.as_tensor().map_or(Range::UNKNOWN, |t| Range::of_dtype(t.dtype));
            self.ranges[id.index()] = range.unwrap_or_else(finite);
            if writes_within(&self.function.body, id, false) {
                self.ranges[id.index()] = Range::UNKNOWN;
            }
        }
        let names: Vec<&str> =
            self.function.params.iter().map(|&p| self.function.value(p).name.as_str()).collect();
        let Some((wrong, _)) = given.iter().find(|(name, _)| !names.contains(name)) else { return Ok(()) };
        let d = Diagnostic::new(&codes::INPUT_UNKNOWN, format!("the function has no input `{wrong}`"));
        Err(match suggest(wrong, names.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help(format!("its inputs are `{}`", names.join("`, `"))),
        }
        .into())
    }

    fn body(&mut self, body: &Body) {
        for step in &body.steps {
            if !self.fold(step) {
                self.step(step);
            }
        }
    }

    /// Computes a step all of whose arguments are constants, as whoever loads the program does.
    fn fold(&mut self, step: &Step) -> bool {
        let inputs = || step.inputs.iter().flat_map(Input::values);
        let known = inputs().next().is_some()
            && inputs().all(|&v| self.datum(v).is_some())
            && !step.outputs.is_empty()
            && step.blocks.is_empty()
            && !step.op.name.starts_with("random_");
        let Meaning::Compute(compute) = step.op.meaning else { return false };
        if !known {
            return false;
        }
        let declared: Vec<Type> = step.outputs.iter().map(|&o| self.function.value(o).ty.clone()).collect();
        let results = {
            let args = self.args(step, &declared);
            (step.op.infer)(&args).and_then(|types| {
                let size = |ty: &Type| {
                    let tensor = ty.as_tensor().filter(|t| t.shape.elements().is_some())?;
                    Some(tensor.dtype.bytes_of(usize::try_from(tensor.shape.elements()?).ok()?))
                };
                let bytes = types.iter().map(size).sum::<Option<usize>>().unwrap_or(0);
                if self.bytes.saturating_add(bytes) > MOST_BYTES {
                    return Ok((bytes, None));
                }
                let fast = step.op.fast_results(&args, &types, 1)?;
                Ok((bytes, Some(fast.map_or_else(|| compute(&args, &types), Ok)?)))
            })
        };
        let Ok((bytes, Some(results))) = results else { return true };
        self.bytes += bytes;
        for (&id, datum) in step.outputs.iter().zip(results) {
            self.ranges[id.index()] = datum.as_tensor().map_or(Range::UNKNOWN, Range::of);
            self.types.insert(id, datum.ty());
            self.constants.insert(id, datum);
        }
        true
    }

    /// A value that is known.
    fn datum(&self, id: ValueId) -> Option<&Datum> {
        match &self.function.value(id).content {
            Content::Constant(datum) => Some(datum),
            _ => self.constants.get(&id),
        }
    }

    fn args<'a>(&'a self, step: &Step, declared: &'a [Type]) -> Args<'a> {
        step.args(declared, |id| {
            let ty = self.types.get(&id).unwrap_or(&self.function.value(id).ty);
            Arg { ty, value: self.datum(id) }
        })
    }

    fn step(&mut self, step: &Step) {
        if !step.blocks.is_empty() {
            return self.control(step);
        }
        self.write(step);
        let types: Vec<Type> = step.outputs.iter().map(|&o| self.function.value(o).ty.clone()).collect();
        let mut tables = std::mem::take(&mut self.tables);
        let (results, bounds) = {
            let args = self.args(step, &types);
            let on_chip = self.on_chip(&args, &types);
            let chip = on_chip.unwrap_or(None);
            let by_winograd = chip.is_some_and(|chip| silicon::takes_winograd(&args, &types, chip));
            let span = |input: &Input| input.values().iter().map(|id| self.ranges[id.index()]).collect();
            let spans: Vec<Vec<Range>> = step.inputs.iter().map(span).collect();
            let is_square = is_square(step);
            let call = Call { args, types: &types, chip, by_winograd, spans, is_square };
            let mut outcome = on_chip.and_then(|_| rules::outcome(&call, &mut tables)).unwrap_or_default();
            if let Some(related) = self.related(step) {
                outcome.held = Some(outcome.held.map_or(related, |held| held.within(related)));
            }
            let results = results(&call, &outcome);
            let infinite = |arg: &Arg<'_>| arg.value.and_then(Datum::as_tensor).is_some_and(is_infinite);
            let bounds = StepBounds {
                op: step.op.name,
                name: step
                    .outputs
                    .first()
                    .map_or_else(|| "".into(), |&o| self.function.value(o).name.clone()),
                span: step.span,
                value: step.outputs.first().copied(),
                arguments: call.spans.iter().flatten().copied().reduce(Range::or),
                reads_infinity: call.args.slots.iter().flat_map(arguments).any(infinite),
                exact: outcome.exact.first().copied().unwrap_or(Range::UNKNOWN),
                result: results.first().copied().unwrap_or(Range::UNKNOWN),
                sums: outcome.sums,
                rule: chip.and_then(|_| silicon::rule(step.op.name)),
            };
            (results, bounds)
        };
        self.tables = tables;
        for (id, range) in step.outputs.iter().zip(results) {
            self.ranges[id.index()] = range;
        }
        self.steps.push(bounds);
    }

    /// The chip whose rule computes a step, if one does; nothing if that is only known when it runs.
    fn on_chip(&self, args: &Args<'_>, types: &[Type]) -> Option<Option<Chip>> {
        let Numerics::Chip(chip) = self.numerics else { return Some(None) };
        if silicon::rule(args.op.name).is_none() {
            return Some(None);
        }
        let known = types.iter().all(Type::is_known)
            && args.slots.iter().flat_map(arguments).all(|a| a.ty.is_known());
        if !known {
            return None;
        }
        let prepared = silicon::prepare_alone(args, types, self.numerics).ok()?;
        Some(prepared.map(|_| chip))
    }

    /// Of two blocks one runs, and of a loop nobody knows how often it does.
    fn control(&mut self, step: &Step) {
        for block in &step.blocks {
            for p in &block.params {
                self.ranges[p.index()] = Range::UNKNOWN;
            }
            self.body(block);
        }
        if step.op.name != "cond" {
            return;
        }
        for (i, id) in step.outputs.iter().enumerate() {
            let given = step.blocks.iter().map(|b| b.outputs.get(i).map(|o| self.ranges[o.index()]));
            let all = given.reduce(|a, b| Some(a?.or(b?)));
            self.ranges[id.index()] = all.flatten().unwrap_or(Range::UNKNOWN);
        }
    }

    /// What is written to a state is read from it later.
    fn write(&mut self, step: &Step) {
        if let Some((state, value)) = written(step) {
            let both = self.ranges[state.index()].or(self.ranges[value.index()]);
            self.ranges[state.index()] = both;
        }
    }
}

/// The state that a step writes, and what.
fn written(step: &Step) -> Option<(ValueId, ValueId)> {
    let (state, value) = match step.op.name {
        "write_state" => ("input", "data"),
        "coreml_update_state" => ("state", "value"),
        _ => return None,
    };
    let of = |param| {
        let at = step.edition.params.iter().position(|p| p.name == param)?;
        step.inputs.get(at)?.values().first().copied()
    };
    Some((of(state)?, of(value)?))
}

/// Whether a block writes a state, perhaps again and again.
fn writes_within(body: &Body, state: ValueId, nested: bool) -> bool {
    body.steps.iter().any(|step| {
        nested && written(step).is_some_and(|(s, _)| s == state)
            || step.blocks.iter().any(|b| writes_within(b, state, true))
    })
}

/// Whether `x` and `y` of a step are one value.
fn is_square(step: &Step) -> bool {
    let of = |name| step.edition.params.iter().position(|p| p.name == name).and_then(|i| step.inputs.get(i));
    of("x").is_some_and(|x| !x.values().is_empty() && Some(x) == of("y"))
}

/// Whether an element of a constant is infinite or NaN; of large ones, which are weights, none is.
fn is_infinite(constant: &Tensor) -> bool {
    const LARGE: usize = 1 << 16;
    constant.dtype().is_float() && constant.len() <= LARGE && !Range::of(constant).is_bounded()
}

/// The sums that an op makes of its constant weights and of `x` in a range.
pub(crate) fn sums_of(args: &Args<'_>, x: Range) -> Option<Sums> {
    let spans =
        args.edition.params.iter().map(|p| if p.name == "x" { vec![x] } else { Vec::new() }).collect();
    let args = Args { slots: args.slots.clone(), ..*args };
    sums::sums(&Call { args, types: &[], chip: None, by_winograd: false, spans, is_square: false })
}

/// Where all results of an op lie, whatever it is given, if that has two ends.
pub(crate) fn codomain(op: &str) -> Option<Range> {
    let found = if op == "softmax" { Range::new(0.0, 1.0) } else { one::Shape::of(op)?.codomain() };
    Some(found).filter(Range::is_bounded)
}

/// What a parameter is bound to.
fn arguments<'s, 'a>(slot: &'s Slot<'a>) -> &'s [Arg<'a>] {
    match slot {
        Slot::Absent => &[],
        Slot::One(arg) => std::slice::from_ref(arg),
        Slot::Many(many) => many,
    }
}

/// What the results span as they are stored.
fn results(call: &Call<'_>, outcome: &Outcome) -> Vec<Range> {
    let stored = |(i, ty): (usize, &Type)| {
        let (Some(&exact), Some(tensor)) = (outcome.exact.get(i), ty.as_tensor()) else {
            return Range::UNKNOWN;
        };
        if outcome.is_moved && call.chip.is_none() {
            return exact;
        }
        let stored = rules::stored(call, exact, tensor.dtype);
        match outcome.held {
            Some(held) if i == 0 => stored.within(held),
            _ => stored,
        }
    };
    call.types.iter().enumerate().map(stored).collect()
}
