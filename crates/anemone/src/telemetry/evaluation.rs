//! What an evaluation took, and how a model's queues are.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{line, metric, report, sanitize_metric_name, several};
use crate::client::{MetricSink, Model, ModelType};
use crate::error::Error;

/// What the firmware calls a counter that has no name, as it spells it. No counter here has this name.
///
/// ```
/// use anemone::telemetry::{PERF_COUNTER_PLACEHOLDER, sanitize_metric_name};
/// assert_eq!(sanitize_metric_name(PERF_COUNTER_PLACEHOLDER), "kane-uknown");
/// ```
pub const PERF_COUNTER_PLACEHOLDER: &str = "kANE_UKNOWN";

/// The most counters that are read.
const MOST_COUNTERS: usize = 256;

/// A counter of the engine.
///
/// ```
/// use anemone::telemetry::PerfCounter;
/// let counter = PerfCounter { index: 0, name: Some("cycles".into()), value: 7 };
/// assert_eq!(counter.name.as_deref(), Some("cycles"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PerfCounter {
    /// Its place.
    pub index: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its value.
    pub value: u64,
}

/// What the engine says about an evaluation.
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
/// assert!(stats.available() && stats.perf_counters.is_empty());
/// assert!(!telemetry::EvalStats::default().available());
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
/// use anemone::telemetry::EvalStats;
/// let nothing = EvalStats::default();
/// nothing.report_metrics(&mut units); // of any benchmark
/// assert!(!nothing.available() && units.0.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EvalStats {
    /// The nanoseconds that the engine took, without the way to it and back. The software engine's are those of the wall
    /// clock, with the moving of tensors in and out of surfaces.
    pub hw_execution_ns: Option<u64>,
    /// The bytes of the counters; empty if there are none.
    pub perf_counter_data: Vec<u8>,
    /// All that the engine has written, whatever it means; empty if it wrote nothing.
    pub raw_stats_data: Vec<u8>,
    /// The counters. Systems that are sold give none.
    pub perf_counters: Vec<PerfCounter>,
    /// Whether there are more counters than the 256 that are read.
    pub perf_counters_truncated: bool,
    /// How many entries the engine has written, one for each procedure.
    pub perf_stats_entries: usize,
}

impl EvalStats {
    /// Whether the engine has said anything.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }

    /// Reports what is known: `hw-ns/op`, each counter by its name, `perf-counter-bytes/op`, `raw-stats-bytes/op`,
    /// `perf-counters-truncated/op`, `perf-stats-entries/op`.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        let some = |n: usize| (n > 0).then_some(metric(n as u64));
        report(sink, self.hw_execution_ns.map(metric), "hw-ns/op");
        for counter in &self.perf_counters {
            let name = counter.name.as_deref().map(sanitize_metric_name).filter(|n| !n.is_empty());
            let name = name.unwrap_or_else(|| format!("perf-counter-{}", counter.index));
            sink.report_metric(metric(counter.value), &format!("{name}/op"));
        }
        report(sink, some(self.perf_counter_data.len()), "perf-counter-bytes/op");
        report(sink, some(self.raw_stats_data.len()), "raw-stats-bytes/op");
        report(sink, self.perf_counters_truncated.then_some(1.0), "perf-counters-truncated/op");
        report(sink, some(self.perf_stats_entries), "perf-stats-entries/op");
    }
}

impl fmt::Display for EvalStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |n: usize, what| (n > 0).then(|| several(n as u64, what));
        let parts = [
            self.hw_execution_ns.map(|ns| format!("engine {:.1?}", Duration::from_nanos(ns))),
            some(self.perf_counters.len(), "counter"),
            some(self.raw_stats_data.len(), "raw byte"),
        ];
        line(f, &parts, "nothing measured")
    }
}

/// Runs a model, and says what the engine has gathered. On hardware it gathers what
/// [`perf_stats_mask`](crate::CompileOptions::perf_stats_mask) asked for when the model was compiled.
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
/// println!("{stats}");
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// As [`Model::eval`].
pub fn eval_with_stats(model: &mut Model) -> Result<EvalStats, Error> {
    let request = model.request_mut();
    let hw_execution_ns = request.run_timed()?;
    let told = request.statistics()?.unwrap_or_default();
    let counter = |c: anemone_apple::neural::Counter| PerfCounter {
        index: c.index,
        name: c.name.filter(|n| n != PERF_COUNTER_PLACEHOLDER),
        value: c.value,
    };
    Ok(EvalStats {
        hw_execution_ns,
        perf_counters_truncated: told.counter_data.len() / 8 > MOST_COUNTERS,
        perf_counter_data: told.counter_data,
        raw_stats_data: told.raw,
        perf_counters: told.counters.into_iter().take(MOST_COUNTERS).map(counter).collect(),
        perf_stats_entries: told.entries,
    })
}

/// Runs a model, and says how many nanoseconds the engine took: [`EvalStats::hw_execution_ns`] alone. `None` if the engine
/// does not say.
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
/// if let Some(nanoseconds) = telemetry::eval_hw_time_only(&mut model)? {
///     println!("{nanoseconds} ns");
/// }
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// As [`Model::eval`].
pub fn eval_hw_time_only(model: &mut Model) -> Result<Option<u64>, Error> {
    model.request_mut().run_timed()
}

/// Runs a model again and again, and says each time how long the engine took. On hardware nothing is allocated for it on
/// this side of the system.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, telemetry::HwTimer};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// # let mut model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// let mut timer = HwTimer::new(&mut model);
/// let fastest = (0..3).map(|_| timer.eval()).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min();
/// assert!(fastest.is_some());
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct HwTimer<'a>(&'a mut Model);

impl<'a> HwTimer<'a> {
    /// The timer of a model.
    pub fn new(model: &'a mut Model) -> Self {
        Self(model)
    }

    /// Runs the model, and says how many nanoseconds the engine took.
    ///
    /// # Errors
    ///
    /// As [`Model::eval`].
    pub fn eval(&mut self) -> Result<Option<u64>, Error> {
        eval_hw_time_only(self.0)
    }
}

/// How a model's queues are. The software engine has none.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// use anemone::telemetry;
/// let model = model()?;
/// let diagnostics = telemetry::probe_diagnostics(&model);
/// assert_eq!(diagnostics.model_queue_depth, None); // the software engine has no queues
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
/// use anemone::telemetry::Diagnostics;
/// let nothing = Diagnostics::default();
/// nothing.report_metrics(&mut units); // of any benchmark
/// assert!(!nothing.available() && units.0.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnostics {
    /// How many evaluations may wait, as the model has it.
    pub model_queue_depth: Option<i64>,
    /// The class of the model: `_ANEInMemoryModel` for one of text, `_ANEModel` for one of a package.
    pub program_class: Option<String>,
    /// How many evaluations that nobody waits for are under way.
    pub async_requests_in_flight: Option<i64>,
    /// How many evaluations may wait, as the program has it.
    pub program_queue_depth: Option<i64>,
    /// What the driver knows the program by.
    pub program_handle: Option<u64>,
    /// The state of the model: 3 is loaded.
    pub model_state: Option<u64>,
}

/// Asks a model how its queues are.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// use anemone::telemetry;
/// let model = model()?;
/// assert_eq!(telemetry::probe_diagnostics(&model), telemetry::Diagnostics::default());
/// # Ok::<(), anemone::Error>(())
/// ```
pub fn probe_diagnostics(model: &Model) -> Diagnostics {
    let Some(told) = model.request().diagnostics() else { return Diagnostics::default() };
    let class = match model.compile_model_type() {
        ModelType::Mil => "_ANEInMemoryModel",
        ModelType::Package => "_ANEModel",
    };
    Diagnostics {
        model_queue_depth: told.queue_depth.or(told.model_queue_depth).map(i64::from),
        program_class: Some(class.into()),
        async_requests_in_flight: told.async_in_flight,
        program_queue_depth: told.program_queue_depth.map(i64::from),
        program_handle: told.program_handle.or(told.model_program_handle),
        model_state: told.state.or(told.model_state),
    }
}

impl Diagnostics {
    /// Whether anything is known.
    pub fn available(&self) -> bool {
        *self != Self::default()
    }

    /// Reports what is known: `model-queue-depth`, `async-in-flight`, `program-queue-depth`, `program-handle`,
    /// `model-state`.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        let signed = |n: Option<i64>| n.map(|n| n as f64);
        report(sink, signed(self.model_queue_depth), "model-queue-depth");
        report(sink, signed(self.async_requests_in_flight), "async-in-flight");
        report(sink, signed(self.program_queue_depth), "program-queue-depth");
        report(sink, self.program_handle.map(metric), "program-handle");
        report(sink, self.model_state.map(metric), "model-state");
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.program_class.clone(),
            self.model_queue_depth.map(|n| format!("queue of {n}")),
            self.async_requests_in_flight.map(|n| format!("{n} in flight")),
            self.program_queue_depth.map(|n| format!("program's queue of {n}")),
            self.program_handle.map(|h| format!("handle {h:#x}")),
            self.model_state.map(|s| format!("state {s}")),
        ];
        line(f, &parts, "nothing known")
    }
}
