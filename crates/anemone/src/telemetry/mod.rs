//! What the engine, its models and the machine say about themselves.
//!
//! What nobody says is `None`, and never 0: most of it is asked of private classes, one thing at a time, and each macOS
//! and each kind of model says some of it. Every type says whether it has [anything](EvalStats::available), prints itself
//! in a line, and reports itself to a [`MetricSink`] under names that begin and end the same from run to
//! run.
//!
//! ```
//! use anemone::{Chip, Client, CompileOptions, telemetry};
//! let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
//! let client = Client::software(Chip::M4);
//! let options = CompileOptions { mil_text: text.into(), perf_stats_mask: 15, ..Default::default() };
//! let mut model = client.compile(options)?;
//! let stats = telemetry::eval_with_stats(&mut model)?;
//! assert!(stats.hw_execution_ns.is_some() && stats.perf_counters.is_empty());
//! assert_eq!(telemetry::snapshot(&client).device.num_cores, Some(16));
//! assert!(!telemetry::probe_diagnostics(&model).available(), "the software engine has no queues");
//! # Ok::<(), anemone::Error>(())
//! ```

mod evaluation;
mod events;
mod machine;
mod power;

pub use evaluation::{
    Diagnostics, EvalStats, HwTimer, PERF_COUNTER_PLACEHOLDER, PerfCounter, eval_hw_time_only,
    eval_with_stats, probe_diagnostics,
};
pub use events::{
    EvalTelemetry, EventTiming, eval_with_signal_timing, model_telemetry, telemetry_with_signal,
};
pub use machine::{
    CacheInfo, ClientInfo, ClientSnapshot, DeviceSnapshot, probe_cache_info, probe_client_info, snapshot,
};
pub use power::{PowerSample, parse_powermetrics};

use std::fmt;

use crate::client::MetricSink;

/// A name for a metric, of what the firmware calls it: ASCII letters in lower case and digits, with one `-` for each run of
/// other characters between them.
///
/// ```
/// use anemone::telemetry::sanitize_metric_name;
/// assert_eq!(sanitize_metric_name("ANE.HW_Cycles (total)"), "ane-hw-cycles-total");
/// ```
pub fn sanitize_metric_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let mut out = String::with_capacity(name.len());
    for word in words {
        if !out.is_empty() {
            out.push('-');
        }
        out.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    out
}

/// Reports a number, if it is known.
fn report(sink: &mut dyn MetricSink, value: Option<impl Into<f64>>, unit: &str) {
    if let Some(value) = value {
        sink.report_metric(value.into(), unit);
    }
}

/// A large number as a metric has it.
fn metric(value: u64) -> f64 {
    value as f64
}

/// What is known, in a line.
fn line(f: &mut fmt::Formatter<'_>, parts: &[Option<String>], nothing: &str) -> fmt::Result {
    let mut known = parts.iter().flatten().peekable();
    if known.peek().is_none() {
        return f.write_str(nothing);
    }
    for (i, part) in known.enumerate() {
        write!(f, "{}{part}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

/// So many of something.
fn several(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
