//! The times of evaluations with events, and all that is known of an evaluation.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Diagnostics, EvalStats, line, metric, probe_diagnostics, report};
use crate::client::{MetricSink, Model, SharedEventEvalOptions};
use crate::error::Error;

/// How long an evaluation with events took, in nanoseconds of the wall clock.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent, telemetry};
/// use std::time::Duration;
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
/// let client = Client::software(Chip::M4);
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let mut model = client.compile(options)?;
/// let event = SharedEvent::on(&client)?;
/// let long = Duration::from_secs(60);
/// let timing = telemetry::eval_with_signal_timing(&mut model, event.port(), 1, Default::default(), long)?;
/// assert!(timing.available() && timing.enqueue_ns <= timing.total_ns);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// # struct Units(Vec<String>);
/// # impl anemone::MetricSink for Units {
/// #     fn report_metric(&mut self, _: f64, unit: &str) {
/// #         self.0.push(unit.into());
/// #     }
/// # }
/// # let mut units = Units(Vec::new());
///
/// use anemone::telemetry::EventTiming;
/// let nothing = EventTiming::default();
/// nothing.report_metrics(&mut units); // of any benchmark
/// assert!(!nothing.available() && units.0.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventTiming {
    /// Until the evaluation was handed over.
    pub enqueue_ns: Option<u64>,
    /// Until it had ended.
    pub total_ns: Option<u64>,
}

impl EventTiming {
    /// Whether anything was measured.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }

    /// Reports what is known: `enqueue-ns/op`, `total-ns/op`.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        report(sink, self.enqueue_ns.map(metric), "enqueue-ns/op");
        report(sink, self.total_ns.map(metric), "total-ns/op");
    }

    fn parts(&self) -> [Option<String>; 2] {
        let shown = |what, ns: Option<u64>| ns.map(|ns| format!("{what} {:.1?}", Duration::from_nanos(ns)));
        [shown("enqueue", self.enqueue_ns), shown("total", self.total_ns)]
    }
}

impl fmt::Display for EventTiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, &self.parts(), "nothing measured")
    }
}

/// Runs a model that signals the event behind a port when it has ended, waits for that end so long, and says how long both
/// took.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent, telemetry};
/// use std::time::Duration;
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
/// let client = Client::software(Chip::M4);
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let mut model = client.compile(options)?;
/// let event = SharedEvent::on(&client)?;
/// let long = Duration::from_secs(60);
/// let timing = telemetry::eval_with_signal_timing(&mut model, event.port(), 1, Default::default(), long)?;
/// assert_eq!(event.signaled_value(), 1);
/// println!("{timing}");
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// As [`Model::eval_with_signal_event`] and [`Model::finish`].
pub fn eval_with_signal_timing(
    model: &mut Model,
    signal_port: u32,
    signal_value: u64,
    options: SharedEventEvalOptions,
    within: Duration,
) -> Result<EventTiming, Error> {
    let begin = Instant::now();
    let so_far = || Some(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1));
    model.eval_with_signal_event(signal_port, signal_value, options)?;
    let enqueue_ns = so_far();
    model.finish(within)?;
    Ok(EventTiming { enqueue_ns, total_ns: so_far() })
}

/// All that is known of an evaluation.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, telemetry};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// # let mut model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// let stats = telemetry::eval_with_stats(&mut model)?;
/// let known = telemetry::model_telemetry(&model, stats);
/// assert!(known.stats.available() && !known.timing.available());
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// # struct Units(Vec<String>);
/// # impl anemone::MetricSink for Units {
/// #     fn report_metric(&mut self, _: f64, unit: &str) {
/// #         self.0.push(unit.into());
/// #     }
/// # }
/// # let mut units = Units(Vec::new());
///
/// use anemone::telemetry::EvalTelemetry;
/// let nothing = EvalTelemetry::default();
/// nothing.report_metrics(&mut units); // of any benchmark
/// assert!(!nothing.available() && units.0.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EvalTelemetry {
    /// What the engine says.
    pub stats: EvalStats,
    /// How the model's queues are.
    pub diagnostics: Diagnostics,
    /// How long it took, if it was one with events.
    pub timing: EventTiming,
}

/// What is known of a model and of an evaluation of it that [`eval_with_stats`](super::eval_with_stats) has run.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// use anemone::telemetry;
/// let mut model = model()?;
/// let stats = telemetry::eval_with_stats(&mut model)?;
/// let all = telemetry::model_telemetry(&model, stats);
/// assert!(all.stats.available() && !all.timing.available());
/// # Ok::<(), anemone::Error>(())
/// ```
pub fn model_telemetry(model: &Model, stats: EvalStats) -> EvalTelemetry {
    EvalTelemetry { stats, diagnostics: probe_diagnostics(model), timing: EventTiming::default() }
}

/// As [`eval_with_signal_timing`], with how the model's queues are afterwards.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent, telemetry};
/// use std::time::Duration;
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
/// let client = Client::software(Chip::M4);
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let mut model = client.compile(options)?;
/// let event = SharedEvent::on(&client)?;
/// let long = Duration::from_secs(60);
/// let all = telemetry::telemetry_with_signal(&mut model, event.port(), 1, Default::default(), long)?;
/// println!("{all}");
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// As [`eval_with_signal_timing`].
pub fn telemetry_with_signal(
    model: &mut Model,
    signal_port: u32,
    signal_value: u64,
    options: SharedEventEvalOptions,
    within: Duration,
) -> Result<EvalTelemetry, Error> {
    let timing = eval_with_signal_timing(model, signal_port, signal_value, options, within)?;
    Ok(EvalTelemetry { timing, ..model_telemetry(model, EvalStats::default()) })
}

impl EvalTelemetry {
    /// Whether anything is known.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }

    /// Reports all that is known.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        self.stats.report_metrics(sink);
        self.diagnostics.report_metrics(sink);
        self.timing.report_metrics(sink);
    }
}

impl fmt::Display for EvalTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |known: bool, part: &dyn fmt::Display| known.then(|| part.to_string());
        let parts = [
            known(self.stats.available(), &self.stats),
            known(self.diagnostics.available(), &self.diagnostics),
            known(self.timing.available(), &self.timing),
        ];
        line(f, &parts, "nothing known")
    }
}
