//! Surveying runs: which numbers the values of a function were, and what a chip made of them.

use super::departure::departure;
use super::{Engine, Error, Options, load};
use crate::chip::Numerics;
use crate::range::{Bounds, Certainty, Finding, Kind, Range};
use crate::types::{DType, Tensor};
use crate::verify::{Function, ValueId};

/// Which numbers the elements of a value were, over all samples.
///
/// ```
/// use anemone::{Chip, bundle::Weights, chip::Numerics, device::{self, Options}, range::Range, text, types::{DType, Tensor}, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2]> x) {
///     tensor<fp16, [1, 1]> y = linear(x = x, weight = tensor<fp16, [1, 2]>([[1, 1]])); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let samples = [[1.0, 2.0], [30000.0, 20000.0]].map(|x| vec![("x", Tensor::from_f64s(DType::Fp16, &[1, 2], &x).unwrap())]);
/// let options = Options { numerics: Numerics::Chip(Chip::M4), ..Options::default() };
/// let survey = device::survey(verified.main(), &samples, &options)?;
/// let y = survey.of(verified.main().body.outputs[0]).unwrap();
/// assert_eq!((y.range, y.elements, y.infinite, y.overflown), (Range::point(3.0), 2, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// What the finite elements span; 0 if none is.
    pub range: Range,
    /// How many elements there were.
    pub elements: usize,
    /// How many of them were infinite.
    pub infinite: usize,
    /// How many were NaN.
    pub nan: usize,
    /// How many were 0.
    pub zero: usize,
    /// How many were smaller than the normal numbers of the dtype, and not 0.
    pub subnormal: usize,
    /// How many were infinite with the chip's arithmetic alone, on the arguments that they had.
    pub overflown: usize,
    /// How many were 0 with the chip's arithmetic alone.
    pub vanished: usize,
    /// The largest magnitude of those with IEEE's arithmetic.
    pub lost: f64,
    /// How many were finite with the chip's arithmetic alone.
    pub read_as_numbers: usize,
}

impl Spread {
    fn of(tensor: &Tensor) -> Self {
        let least = match tensor.dtype() {
            DType::Fp16 => 2f64.powi(-14),
            DType::Fp32 => f64::from(f32::MIN_POSITIVE),
            _ => 0.0,
        };
        let numbers = tensor.to_f64s();
        let count = |f: fn(f64) -> bool| numbers.iter().filter(|&&x| f(x)).count();
        let finite = || numbers.iter().copied().filter(|x| x.is_finite());
        let (lo, hi) = (finite().reduce(f64::min), finite().reduce(f64::max));
        Self {
            range: lo.zip(hi).map_or(Range::point(0.0), |(lo, hi)| Range::new(lo, hi)),
            elements: numbers.len(),
            infinite: count(f64::is_infinite),
            nan: count(f64::is_nan),
            zero: count(|x| x == 0.0),
            subnormal: numbers.iter().filter(|x| **x != 0.0 && x.abs() < least).count(),
            overflown: 0,
            vanished: 0,
            lost: 0.0,
            read_as_numbers: 0,
        }
    }

    /// Elements of both.
    fn and(self, other: Self) -> Self {
        let finite = |spread: &Self| spread.elements > spread.infinite + spread.nan;
        let range = match (finite(&self), finite(&other)) {
            (true, true) => self.range.or(other.range),
            (false, true) => other.range,
            _ => self.range,
        };
        Self {
            range,
            elements: self.elements + other.elements,
            infinite: self.infinite + other.infinite,
            nan: self.nan + other.nan,
            zero: self.zero + other.zero,
            subnormal: self.subnormal + other.subnormal,
            overflown: self.overflown + other.overflown,
            vanished: self.vanished + other.vanished,
            lost: self.lost.max(other.lost),
            read_as_numbers: self.read_as_numbers + other.read_as_numbers,
        }
    }
}

/// What runs on samples showed: see [`survey`].
///
/// ```
/// use anemone::{bundle::Weights, device::{self, Options}, range::Range, text, types::{DType, Tensor}, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let x = Tensor::from_f64s(DType::Fp16, &[2], &[-1.0, 3.0])?;
/// let survey = device::survey(verified.main(), &[vec![("x", x)]], &Options::default())?;
/// assert_eq!(survey.of(verified.main().params[0]).unwrap().range, Range::new(-1.0, 3.0));
/// assert_eq!(survey.of(verified.main().body.outputs[0]).unwrap().zero, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Survey {
    spreads: Vec<Option<Spread>>,
}

impl Survey {
    /// Which numbers a value was; nothing of constants, and of what did not run.
    pub fn of(&self, value: ValueId) -> Option<Spread> {
        *self.spreads.get(value.index())?
    }

    /// What the bounds do not rule out and what was seen, in the order of the program.
    ///
    /// ```
    /// use anemone::{Chip, bundle::Weights, chip::Numerics, device::{self, Options}, text, types::{DType, Tensor}, verify};
    /// use anemone::range::{self, Certainty, Kind};
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2]> x) {
    ///     tensor<fp16, [1, 1]> y = linear(x = x, weight = tensor<fp16, [1, 2]>([[1, 1]])); } -> (y); }";
    /// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
    /// let (main, numerics) = (verified.main(), Numerics::Chip(Chip::M4));
    /// let bounds = range::bounds(main, &[], numerics)?;
    /// let x = Tensor::from_f64s(DType::Fp16, &[1, 2], &[1e-6, 1e-6])?;
    /// let survey = device::survey(main, &[vec![("x", x)]], &Options { numerics, ..Options::default() })?;
    /// let findings = survey.findings(&bounds);
    /// let found: Vec<_> = findings.iter().map(|f| (f.kind, f.certainty)).collect();
    /// assert_eq!(found, [(Kind::SumOverflows, Certainty::Possible), (Kind::ProductVanishes, Certainty::Seen)]);
    /// // What is lost is the sum of two small products.
    /// assert!((findings[1].reaches - 2e-6).abs() < 1e-7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn findings(&self, bounds: &Bounds) -> Vec<Finding> {
        let mut all = bounds.findings();
        for finding in &mut all {
            let seen = finding.value.and_then(|value| self.of(value)).is_some_and(|s| match finding.kind {
                Kind::SumOverflows | Kind::ResultOverflows | Kind::SliceSaturates => s.overflown > 0,
                Kind::ProductVanishes => s.vanished > 0,
                Kind::Subnormal => s.subnormal > 0,
                Kind::ReadAsNumber => s.read_as_numbers > 0,
            });
            if seen {
                finding.certainty = Certainty::Seen;
            }
        }
        for step in &bounds.steps {
            let Some((value, spread)) = step.value.and_then(|value| Some((value, self.of(value)?))) else {
                continue;
            };
            // A few small numbers are among those of every value, and beside large ones nothing can be done for them.
            let small = spread.subnormal * 2 > spread.elements - spread.zero && spread.range.largest() < 1.0;
            let kinds = [
                (Kind::ProductVanishes, spread.vanished > 0 && step.sums.is_some()),
                (Kind::Subnormal, small),
                (Kind::ReadAsNumber, spread.read_as_numbers > 0),
            ];
            for (kind, _) in kinds.into_iter().filter(|&(_, seen)| seen) {
                let told = all.iter().any(|f| f.value == Some(value) && f.kind == kind);
                let reaches = match kind {
                    Kind::ReadAsNumber => f64::INFINITY,
                    Kind::ProductVanishes => spread.lost,
                    _ => spread.range.largest(),
                };
                all.extend(bounds.seen(value, kind, reaches).filter(|_| !told));
            }
        }
        all.sort_by_key(|finding| finding.step);
        all
    }
}

/// Runs a function on samples on the cpu engine, and says which numbers its values were. With a chip's arithmetic it also says
/// of each step what the chip alone made of them.
///
/// ```
/// use anemone::{bundle::Weights, device::{self, Options}, text, types::{DType, Tensor}, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1]> x) { tensor<fp16, [1]> y = exp(x = x); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let sample = |x| vec![("x", Tensor::from_f64s(DType::Fp16, &[1], &[x]).unwrap())];
/// let survey = device::survey(verified.main(), &[sample(0.0), sample(20.0)], &Options::default())?;
/// let y = survey.of(verified.main().body.outputs[0]).unwrap();
/// assert_eq!((y.range.hi, y.infinite, y.elements), (1.0, 1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`load`] and [`Loaded::run`](super::Loaded::run).
pub fn survey(
    function: &Function,
    samples: &[Vec<(&str, Tensor)>],
    options: &Options,
) -> Result<Survey, Error> {
    let model = load(function, Engine::Cpu, options)?;
    let mut spreads: Vec<Option<Spread>> = vec![None; function.values.len()];
    let mut note = |value: ValueId, spread: Spread| {
        let known = &mut spreads[value.index()];
        *known = Some(known.map_or(spread, |known| known.and(spread)));
    };
    for sample in samples {
        for &param in &function.params {
            let given = sample.iter().find(|(name, _)| function.value(param).name == **name);
            given.into_iter().for_each(|(_, tensor)| note(param, Spread::of(tensor)));
        }
        model.run_observed(sample, &model.new_states()?, &mut |observed| {
            let departs = match options.numerics {
                Numerics::Chip(_) => departure(function, observed, options.threads),
                Numerics::Ieee => None,
            };
            for (i, (&output, datum)) in observed.step.outputs.iter().zip(observed.results).enumerate() {
                let Some(tensor) = datum.as_tensor().filter(|t| t.as_strings().is_none()) else { continue };
                let mut spread = Spread::of(tensor);
                if let Some(departs) = departs.as_ref().filter(|_| i == 0) {
                    spread.overflown = departs.overflown;
                    spread.vanished = departs.vanished;
                    spread.lost = departs.lost;
                    spread.read_as_numbers = departs.read_as_numbers;
                }
                note(output, spread);
            }
        })?;
    }
    Ok(Survey { spreads })
}
