//! Observing a run: each step with what it read and what it gave.

use std::time::{Duration, Instant};

use super::run::{Computed, Planned, Values};
use crate::mil::op::{Arg, Args, Slot};
use crate::types::{Datum, State, Type};
use crate::verify::{Input, Step};

/// A step that has run: see [`Loaded::run_observed`](super::Loaded::run_observed).
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let x = Tensor::from_f64s(DType::Fp16, &[4], &[-1.0, 0.0, 1.0, 2.0])?;
/// let mut seen = Vec::new();
/// model.run_observed(&[("x", x)], &model.new_states()?, &mut |observed| {
///     seen.push((observed.step.op.name, observed.results[0].as_tensor().unwrap().to_f64s()));
/// })?;
/// assert_eq!(seen, [("relu", vec![0.0, 0.0, 1.0, 2.0])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub struct Observed<'a> {
    /// The step.
    pub step: &'a Step,
    /// Its arguments, with the values that they had before the step: a state is a copy, which the step has not changed.
    pub args: &'a Args<'a>,
    /// Its results, in the order of [`Step::outputs`].
    pub results: &'a [Datum],
    /// How long it took; of a step with blocks, with the steps in them and what observes those.
    pub elapsed: Duration,
}

/// What is kept of a step before it runs.
pub(super) struct Before {
    /// The arguments in the order of the step's inputs.
    arguments: Vec<(Type, Datum)>,
    start: Instant,
}

impl Before {
    pub(super) fn new(step: &Step, values: &Values<'_>) -> Self {
        let arguments = step
            .inputs
            .iter()
            .flat_map(Input::values)
            .map(|&id| {
                let arg = values.arg(id);
                let datum = match arg.value.expect("a value that is bound is known") {
                    Datum::State(s) => Datum::State(State::new(s.read())),
                    other => other.clone(),
                };
                (arg.ty.clone(), datum)
            })
            .collect();
        Self { arguments, start: Instant::now() }
    }

    /// Shows the step to the observer, now that it has run.
    pub(super) fn show(
        self,
        planned: &Planned,
        results: &[Computed],
        observer: &mut dyn FnMut(&Observed<'_>),
    ) {
        let elapsed = self.start.elapsed();
        let step = &planned.step;
        let mut arguments = self.arguments.iter().map(|(ty, datum)| Arg { ty, value: Some(datum) });
        let slots = step
            .inputs
            .iter()
            .map(|input| match input {
                Input::Absent => Slot::Absent,
                Input::One(_) => arguments.next().map_or(Slot::Absent, Slot::One),
                Input::Many(ids) => Slot::Many(arguments.by_ref().take(ids.len()).collect()),
            })
            .collect();
        let (op, opset, edition) = (step.op, step.opset, step.edition);
        let args = Args { op, opset, edition, slots, declared: &planned.types, after: &[], unmade: &[] };
        let results: Vec<Datum> = results.iter().map(|r| r.datum.clone()).collect();
        observer(&Observed { step, args: &args, results: &results, elapsed });
    }
}
