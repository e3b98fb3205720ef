//! What ranges mean on a chip.

use super::interval::Range;
use super::sums::LIMIT;
use super::{Bounds, SLICE_LIMIT, StepBounds};
use crate::chip::Chip;
use crate::mil::Name;
use crate::ops::silicon::{Knowledge, Unit};
use crate::source::Span;
use crate::verify::ValueId;

/// What can go wrong with numbers on a chip.
///
/// ```
/// use anemone::range::Kind;
/// assert_eq!((Kind::SumOverflows.word(), Kind::SumOverflows.limit()), ("sum-overflows", 32768.0));
/// assert!(Kind::ProductVanishes.sentence().contains("dropped"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sums of products reach 32768 on their way.
    SumOverflows,
    /// Results are beyond 65504.
    ResultOverflows,
    /// A slice that begins within the width moves numbers beyond 4094.
    SliceSaturates,
    /// Products are too small for the grid of sums.
    ProductVanishes,
    /// Results are smaller than any normal half.
    Subnormal,
    /// Infinite constants are read as numbers.
    ReadAsNumber,
}

impl Kind {
    /// Its name, as tables and JSON have it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::SumOverflows => "sum-overflows",
            Kind::ResultOverflows => "result-overflows",
            Kind::SliceSaturates => "slice-saturates",
            Kind::ProductVanishes => "product-vanishes",
            Kind::Subnormal => "subnormal",
            Kind::ReadAsNumber => "read-as-number",
        }
    }

    /// The magnitude at which it happens.
    pub const fn limit(self) -> f64 {
        match self {
            Kind::SumOverflows => LIMIT,
            Kind::ResultOverflows => 65504.0,
            Kind::SliceSaturates => SLICE_LIMIT,
            Kind::ProductVanishes => 1.0 / 131_072.0,
            Kind::Subnormal => 1.0 / 16384.0,
            Kind::ReadAsNumber => 65536.0,
        }
    }

    /// What happens on the chip.
    pub const fn sentence(self) -> &'static str {
        match self {
            Kind::SumOverflows => "a sum that reaches 32768 on its way is infinite, whatever is added behind",
            Kind::ResultOverflows => "results beyond 65504 are infinite, and the next op reads 65536",
            Kind::SliceSaturates => "a slice that begins within the width makes numbers beyond 4094 infinite",
            Kind::ProductVanishes => {
                "products below 2^-17 are dropped, and others rounded to multiples of 2^-16"
            }
            Kind::Subnormal => "results below 2^-14 have fewer digits, and their products vanish in sums",
            Kind::ReadAsNumber => "the engine reads infinity as 65536, and NaN as a larger number",
        }
    }
}

/// How sure it is that something happens.
///
/// ```
/// use anemone::range::Certainty;
/// assert_eq!(Certainty::Seen.word(), "seen");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// The bounds do not rule it out.
    Possible,
    /// It happens whatever the inputs are, within their ranges.
    Sure,
    /// It happened in a run on samples.
    Seen,
}

impl Certainty {
    /// The word: `possible`, `sure` or `seen`.
    pub const fn word(self) -> &'static str {
        ["possible", "sure", "seen"][self as usize]
    }
}

/// Something that the bounds of a function do not rule out, or that was seen in a run.
///
/// ```
/// use anemone::{Chip, bundle::Weights, chip::Numerics, range::{self, Certainty, Kind, Range}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [8]> x) {
///     tensor<fp16, [8]> y = mul(x = x, y = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let bounds = range::bounds(verified.main(), &[("x", Range::new(-300.0, 300.0))], Numerics::Chip(Chip::M6))?;
/// let found = &bounds.findings()[0];
/// assert_eq!(
///     (found.kind, found.reaches, found.certainty, found.is_first),
///     (Kind::ResultOverflows, 90000.0, Certainty::Possible, true),
/// );
/// assert_eq!(found.change(), "scale the arguments down, so that results are 2^-1 as large, and back behind it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Finding {
    /// What can happen.
    pub kind: Kind,
    /// The step: one of [`Bounds::steps`].
    pub step: usize,
    /// The op.
    pub op: &'static str,
    /// The name of its first result.
    pub name: Name,
    /// Where the name of the op stands in the text.
    pub span: Span,
    /// The first result of the step.
    pub value: Option<ValueId>,
    /// The magnitude that can be reached: of what vanishes, the largest one.
    pub reaches: f64,
    /// How sure it is that it happens.
    pub certainty: Certainty,
    /// Whether no argument can be infinite, so that the cause is not an earlier op.
    pub is_first: bool,
    /// How well the rule of the op is known on the chip.
    pub knowledge: Knowledge,
    /// Where the rule is from.
    pub source: &'static str,
}

impl Finding {
    /// What to do against it.
    pub fn change(&self) -> String {
        let power = |larger: f64, smaller: f64| (larger / smaller).log2().ceil().max(1.0);
        match self.kind {
            Kind::SumOverflows => {
                let k = power(self.reaches, 32752.0);
                format!(
                    "scale the weights by 2^-{k}, and the result by 2^{k} behind the op, or where it is small again"
                )
            }
            Kind::ResultOverflows if self.reaches.is_finite() => {
                let k = power(self.reaches, 65504.0);
                format!("scale the arguments down, so that results are 2^-{k} as large, and back behind it")
            }
            Kind::ResultOverflows => {
                "hold the arguments in a range with `clip`, or give the inputs a range".into()
            }
            Kind::SliceSaturates if self.reaches.is_finite() => {
                let k = power(self.reaches, SLICE_LIMIT);
                format!("slice along another axis, or scale by 2^-{k} before and by 2^{k} behind it")
            }
            Kind::SliceSaturates => "slice along another axis".into(),
            Kind::ProductVanishes if self.reaches == 0.0 => {
                "scale the weights up, and the result down behind the op".into()
            }
            Kind::ProductVanishes => {
                let k = power(1.0 / 64.0, self.reaches);
                format!("scale the weights by 2^{k}, and the result by 2^-{k} behind the op")
            }
            Kind::Subnormal => {
                let k = power(1.0, self.reaches);
                format!("scale the arguments, so that results are 2^{k} as large")
            }
            Kind::ReadAsNumber => {
                "use -40000 for what a mask takes away, and finite numbers elsewhere".into()
            }
        }
    }
}

impl Bounds {
    /// Something that was seen of the first result of a step, which may be more than the bounds say.
    pub(crate) fn seen(&self, value: ValueId, kind: Kind, reaches: f64) -> Option<Finding> {
        let at = self.steps.iter().position(|step| step.value == Some(value))?;
        Found { kind, reaches, certainty: Certainty::Seen }.finding(at, &self.steps[at], self.chip()?)
    }

    /// What the bounds do not rule out on the chip whose arithmetic they are of, in the order of the program.
    pub fn findings(&self) -> Vec<Finding> {
        let Some(chip) = self.chip() else { return Vec::new() };
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(i, step)| find(step)?.finding(i, step, chip)).collect()
    }
}

/// What was found of a step, before it is told.
struct Found {
    kind: Kind,
    reaches: f64,
    certainty: Certainty,
}

impl Found {
    fn finding(self, i: usize, step: &StepBounds, chip: Chip) -> Option<Finding> {
        let rule = step.rule?;
        let arguments = step.arguments.unwrap_or(Range::point(0.0));
        Some(Finding {
            kind: self.kind,
            step: i,
            op: step.op,
            name: step.name.clone(),
            span: step.span,
            value: step.value,
            reaches: self.reaches,
            certainty: self.certainty,
            is_first: arguments.is_bounded(),
            knowledge: rule.on(chip),
            source: rule.note,
        })
    }
}

/// The worst that a step can do.
fn find(step: &StepBounds) -> Option<Found> {
    let rule = step.rule?;
    let found = |kind, reaches, sure| {
        let certainty = if sure { Certainty::Sure } else { Certainty::Possible };
        Some(Found { kind, reaches, certainty })
    };
    let result = step.result;
    if step.reads_infinity {
        return found(Kind::ReadAsNumber, f64::INFINITY, true);
    }
    let multiplies = matches!(rule.unit, Unit::MultiplyAccumulate | Unit::Attention);
    match &step.sums {
        Some(sums) if sums.reach + sums.error >= LIMIT => {
            let outside = sums.result.lo >= LIMIT || sums.result.hi <= -LIMIT;
            return found(Kind::SumOverflows, sums.reach, outside);
        }
        Some(sums) if sums.product > 0.0 && sums.product < Kind::ProductVanishes.limit() => {
            return found(Kind::ProductVanishes, sums.product, true);
        }
        None if multiplies && !step.exact.is_bounded() => {
            return found(Kind::SumOverflows, f64::INFINITY, false);
        }
        _ => {}
    }
    if rule.unit == Unit::Slice {
        let x = step.arguments.unwrap_or(Range::UNKNOWN).largest();
        return if x > SLICE_LIMIT { found(Kind::SliceSaturates, x, false) } else { None };
    }
    if result.lo == f64::NEG_INFINITY || result.hi == f64::INFINITY {
        let sure = result.lo == f64::INFINITY || result.hi == f64::NEG_INFINITY;
        return found(Kind::ResultOverflows, step.exact.largest(), sure);
    }
    let small = result.largest();
    let subnormal = small > 0.0 && small < Kind::Subnormal.limit();
    if subnormal { found(Kind::Subnormal, small, true) } else { None }
}
