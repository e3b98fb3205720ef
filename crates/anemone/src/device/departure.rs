//! Where a chip's arithmetic departs from IEEE's: each step of a run with the chip's, beside IEEE's on the same arguments.

use super::{Engine, Error, Observed, Options, load};
use crate::chip::{Chip, Numerics};
use crate::mil::Name;
use crate::mil::op::{Args, Meaning};
use crate::ops::silicon::{self, Unit};
use crate::range::{self, Range};
use crate::source::Span;
use crate::types::{DType, Datum, Tensor, Type};
use crate::verify::Function;

/// What a step gives with a chip's arithmetic, beside what IEEE's gives of the same arguments.
///
/// ```
/// use anemone::{Chip, bundle::Weights, device::{self, Cause, Departure, Options}, text, types::{DType, Tensor}, verify};
/// let program = text::parse(
///     "program(1.3) { func main<ios18>(tensor<fp16, [1, 3]> x, tensor<fp16, [3, 1]> y) {
///         tensor<fp16, [1, 1]> z = matmul(x = x, y = y); } -> (z); }",
/// )?;
/// let verified = verify::verify(&program, &Weights::none()).verified.unwrap();
/// let x = Tensor::from_f64s(DType::Fp16, &[1, 3], &[30000.0, 30000.0, -30000.0])?;
/// let y = Tensor::from_f64s(DType::Fp16, &[3, 1], &[1.0; 3])?;
/// let found = device::departures(verified.main(), Chip::M4, &[("x", x), ("y", y)], &Options::default())?;
/// let matmul: &Departure = &found[0];
/// assert_eq!((matmul.op, matmul.cause(), matmul.overflown), ("matmul", Cause::Overflow, 1));
/// assert!(matmul.exceeds(0.5) && matmul.limit() < 65504.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Departure {
    /// The op.
    pub op: &'static str,
    /// The name of its first result.
    pub name: Name,
    /// Where it stands in the text.
    pub span: Span,
    /// What computes it on the chip.
    pub unit: Unit,
    /// How many elements the result has.
    pub elements: usize,
    /// The largest finite magnitude of IEEE's result.
    pub largest: f64,
    /// The largest magnitude that a sum could have reached, with weights that are constant and activations as large as the
    /// largest one that was there.
    pub bound: Option<f64>,
    /// The largest finite difference, relative to `largest`.
    pub distance: f64,
    /// The element with it: where it is, and what the chip and IEEE's arithmetic give.
    pub worst: Option<(usize, f64, f64)>,
    /// How many are infinite on the chip alone.
    pub overflown: usize,
    /// How many are zero on the chip alone.
    pub vanished: usize,
    /// The largest magnitude of those with IEEE's arithmetic.
    pub lost: f64,
    /// How many are finite on the chip alone.
    pub read_as_numbers: usize,
}

/// Why a result departs.
///
/// ```
/// use anemone::device::Cause;
/// assert!(Cause::Overflow.sentence().contains("32768"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Sums reach 32768 on their way, or results 65504.
    Overflow,
    /// What a slice moves is larger than 4094.
    Saturated,
    /// Infinite and undefined arguments are read as numbers.
    ReadAsNumbers,
    /// Products are too small for the grid of sums.
    Vanished,
    /// A table of 33 knots stands for the function.
    Table,
    /// The chip's arithmetic is not known: only how it stores.
    Unknown,
    /// Products and results are rounded differently.
    Rounding,
}

impl Cause {
    /// The cause in words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Cause::Overflow => "sums that reach 32768 on their way, and results beyond 65504, are infinite",
            Cause::Saturated => "a slice that begins within the width makes numbers beyond 4094 infinite",
            Cause::ReadAsNumbers => "the engine reads infinity as 65536, and NaN as a larger number",
            Cause::Vanished => "products below the grid of 2^-16 are dropped or rounded to it",
            Cause::Table => "the engine looks the function up between 33 knots",
            Cause::Unknown => "how the chip computes this is not known; only the rounding of the result is",
            Cause::Rounding => "products are rounded to multiples of 2^-16, and results half away from zero",
        }
    }
}

impl Departure {
    /// Why the result departs, if it does.
    pub fn cause(&self) -> Cause {
        match self.unit {
            Unit::Slice if self.overflown > 0 => Cause::Saturated,
            _ if self.overflown > 0 => Cause::Overflow,
            _ if self.read_as_numbers > 0 => Cause::ReadAsNumbers,
            Unit::MultiplyAccumulate | Unit::Attention if self.vanished > 0 => Cause::Vanished,
            Unit::Table => Cause::Table,
            Unit::Unknown => Cause::Unknown,
            _ => Cause::Rounding,
        }
    }

    /// Whether the result departs by more than so much of its largest magnitude, or in what is finite.
    pub fn exceeds(&self, tolerance: f64) -> bool {
        self.overflown > 0 || self.read_as_numbers > 0 || self.distance > tolerance
    }

    /// The largest magnitude that the unit gives as a finite number.
    pub fn limit(&self) -> f64 {
        match self.unit {
            Unit::MultiplyAccumulate | Unit::Attention => 32768.0,
            _ => 65504.0,
        }
    }
}

/// Runs a function with a chip's arithmetic, and gives of each step that is work of its engine what IEEE's arithmetic would
/// give of the same arguments: so what one step does is not blamed on those after it.
///
/// ```
/// use anemone::{Chip, bundle::Weights, device::{self, Options}, text, types::{DType, Tensor}, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) {
///     tensor<fp16, [2]> y = add(x = x, y = x); tensor<fp16, [2]> z = gelu(x = y, mode = string(\"EXACT\")); } -> (z); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let x = Tensor::from_f64s(DType::Fp16, &[2], &[0.0, 1.0])?;
/// let found = device::departures(verified.main(), Chip::M4, &[("x", x)], &Options::default())?;
/// // The table of GELU does not give 0 at 0; sums of halves are exact.
/// let first = found.iter().find(|step| step.exceeds(1e-5)).unwrap();
/// assert_eq!(first.op, "gelu");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`load`] and [`Loaded::run`](super::Loaded::run).
pub fn departures(
    function: &Function,
    chip: Chip,
    inputs: &[(&str, Tensor)],
    options: &Options,
) -> Result<Vec<Departure>, Error> {
    let options = Options { numerics: Numerics::Chip(chip), ..options.clone() };
    let model = load(function, Engine::Cpu, &options)?;
    let mut found = Vec::new();
    model.run_observed(inputs, &model.new_states()?, &mut |observed| {
        found.extend(departure(function, observed, options.threads));
    })?;
    Ok(found)
}

/// How a step that has run with a chip's arithmetic departs, if it is work of the chip's engine.
pub(super) fn departure(function: &Function, observed: &Observed<'_>, threads: usize) -> Option<Departure> {
    let op = observed.args.op.name;
    let rule = silicon::rule(op)?;
    let (chips, ieee) = (halves(observed.results)?, ieee(observed.args, observed.results, threads)?);
    let output = observed.step.outputs.first();
    let mut departure = Departure {
        op,
        name: output.map_or_else(|| op.into(), |&o| function.value(o).name.clone()),
        span: observed.step.span,
        unit: rule.unit,
        elements: chips.len(),
        largest: 0.0,
        bound: bound(observed.args),
        distance: 0.0,
        worst: None,
        overflown: 0,
        vanished: 0,
        lost: 0.0,
        read_as_numbers: 0,
    };
    departure.compare(&chips, &ieee);
    Some(departure)
}

impl Departure {
    fn compare(&mut self, chips: &[f64], ieee: &[f64]) {
        let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
        self.largest = ieee.iter().fold(0.0, |largest, &x| finite(x).max(largest));
        let mut most = -1.0;
        for (at, (&chip, &ieee)) in chips.iter().zip(ieee).enumerate() {
            let both = chip.is_finite() && ieee.is_finite();
            self.overflown += usize::from(!chip.is_finite() && ieee.is_finite());
            self.read_as_numbers += usize::from(chip.is_finite() && !ieee.is_finite());
            if chip == 0.0 && ieee != 0.0 {
                self.vanished += 1;
                self.lost = self.lost.max(finite(ieee));
            }
            let difference = if both { (chip - ieee).abs() } else { 0.0 };
            // One that is finite on one side only is worse than any that is on both.
            let weight = if chip.is_finite() == ieee.is_finite() { difference } else { f64::INFINITY };
            if weight > most {
                most = weight;
                self.worst = (weight > 0.0).then_some((at, chip, ieee));
            }
            self.distance = self.distance.max(difference);
        }
        self.distance = if self.largest > 0.0 { self.distance / self.largest } else { self.distance };
    }
}

/// The elements of a result of halves.
fn halves(results: &[Datum]) -> Option<Vec<f64>> {
    let tensor = results.first()?.as_tensor()?;
    (tensor.dtype() == DType::Fp16).then(|| tensor.to_f64s())
}

/// What IEEE's arithmetic gives.
fn ieee(args: &Args<'_>, results: &[Datum], threads: usize) -> Option<Vec<f64>> {
    let types: Vec<Type> = results.iter().map(Datum::ty).collect();
    let Meaning::Compute(compute) = args.op.meaning else { return None };
    let fast = args.op.fast_results(args, &types, threads).ok().flatten();
    halves(&fast.map_or_else(|| compute(args, &types), Ok).ok()?)
}

/// The largest sum of magnitudes of a row of weights, times the largest activation.
fn bound(args: &Args<'_>) -> Option<f64> {
    let halves = args.ty("x").is_ok_and(|x| x.dtype == DType::Fp16);
    if !halves || !matches!(args.op.name, "conv" | "linear") {
        return None;
    }
    let x = args.value("x")?.to_f64s();
    let largest = x.into_iter().filter(|x| x.is_finite()).fold(0.0, |m, x| x.abs().max(m));
    Some(range::sums_of(args, Range::new(-largest, largest))?.reach)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Weights;
    use crate::{text, verify};

    fn check(chip: Chip, x: &[f64], body: &str, cause: Cause, exceeds: bool) {
        let n = x.len();
        let text =
            format!("program(1.3) {{ func main<ios18>(tensor<fp16, [1, {n}]> x) {{ {body} }} -> (z); }}");
        let report = verify::verify(&text::parse(&text).unwrap(), &Weights::none());
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        let x = Tensor::from_f64s(DType::Fp16, &[1, n], x).unwrap();
        let found = departures(verified.main(), chip, &[("x", x)], &Options::default()).unwrap();
        let last = found.last().unwrap();
        assert_eq!((last.cause(), last.exceeds(0.01)), (cause, exceeds), "{body}: {last:?}");
    }

    #[test]
    fn departures_have_causes() {
        let linear = "tensor<fp16, [1, 1]> z = linear(x = x, weight = tensor<fp16, [1, 2]>([[1, 1]]), \
            bias = tensor<fp16, [1]>([0]));";
        check(Chip::M1, &[20000.0, 20000.0], linear, Cause::Overflow, true);
        check(Chip::M1, &[1e-6, 1e-6], linear, Cause::Vanished, true);
        check(Chip::M4, &[1.0, 2.0], linear, Cause::Rounding, false);
        let tanh = "tensor<fp16, [1, 2]> z = tanh(x = x);";
        check(Chip::M4, &[0.3, 0.6], tanh, Cause::Table, false);
        let sub = "tensor<fp16, [1, 2]> z = sub(x = x, y = x);";
        check(Chip::M6, &[f64::INFINITY, 1.0], sub, Cause::ReadAsNumbers, true);
        let slice = "tensor<fp16, [1, 1]> z = slice_by_index(x = x, begin = tensor<int32, [2]>([0, 1]), \
            end = tensor<int32, [2]>([1, 2]));";
        check(Chip::M1, &[0.0, 5000.0], slice, Cause::Saturated, true);
        check(Chip::M4, &[0.0, 5000.0], slice, Cause::Rounding, false);
        let sum = "tensor<fp16, [1]> z = reduce_sum(x = x, axes = tensor<int32, [1]>([1]), keep_dims = bool(false));";
        check(Chip::M4, &[2048.0, 1.0], sum, Cause::Unknown, false);
    }

    #[test]
    fn bounds_are_those_of_the_weights() {
        let body = "tensor<fp16, [1, 1]> z = linear(x = x, weight = tensor<fp16, [1, 2]>([[2, -3]]), \
            bias = tensor<fp16, [1]>([10]));";
        let text =
            format!("program(1.3) {{ func main<ios18>(tensor<fp16, [1, 2]> x) {{ {body} }} -> (z); }}");
        let verified = verify::verify(&text::parse(&text).unwrap(), &Weights::none()).verified.unwrap();
        let x = Tensor::from_f64s(DType::Fp16, &[1, 2], &[100.0, -50.0]).unwrap();
        let found = departures(verified.main(), Chip::M4, &[("x", x)], &Options::default()).unwrap();
        assert_eq!((found[0].bound, found[0].limit(), found[0].largest), (Some(510.0), 32768.0, 360.0));
    }
}
