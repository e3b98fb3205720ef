//! What a client is asked to compile, and how.

use std::path::PathBuf;
use std::time::Duration;

/// Where a program comes from.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, ModelType};
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let model = Client::software(Chip::M4).compile(options)?;
/// assert_eq!((model.compile_model_type(), model.inputs()[0].name.as_str()), (ModelType::Package, "image"));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelType {
    /// MIL text and weights in memory.
    #[default]
    Mil,
    /// A folder: a compiled `.mlmodelc`. The software engine takes an `.mlpackage` too.
    Package,
}

/// A weight file that MIL text names.
///
/// ```
/// use anemone::{CompileOptions, WeightFile, blob};
/// let file = WeightFile { path: "@model_path/weights/w.bin".into(), blob: blob::pack_weights(&[0x3c00]) };
/// let options = CompileOptions { weight_files: vec![file], ..Default::default() };
/// assert_eq!(options.weight_files[0].blob.len(), 130);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightFile {
    /// The path with which the text names it, such as `@model_path/weights/layer1.bin`.
    pub path: String,
    /// Its bytes: see [`crate::blob`].
    pub blob: Vec<u8>,
}

/// What to compile, and how. Everything has a default; give what matters.
///
/// ```
/// use anemone::CompileOptions;
/// let options = CompileOptions { mil_text: b"program(1.3) { }".to_vec(), ..Default::default() };
/// assert_eq!(options.quality().unwrap().value(), 21);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// Where the program comes from.
    pub model_type: ModelType,
    /// The program's text, of [`ModelType::Mil`].
    pub mil_text: Vec<u8>,
    /// The weight file that the text names as [`CompileOptions::weight_path`]; empty if there is none.
    pub weight_blob: Vec<u8>,
    /// The path of the weight file; if empty, `@model_path/weights/weight.bin`.
    pub weight_path: String,
    /// Weight files by their paths, beside the one above.
    pub weight_files: Vec<WeightFile>,
    /// The folder, of [`ModelType::Package`].
    pub package_path: PathBuf,
    /// The key by which the system knows a package; if empty, `s`.
    pub model_key: String,
    /// The quality of service in Apple's numbers: 9, 17, 21, 25 or 33; 0 is 21.
    pub qos: u32,
    /// Which statistics evaluations gather: a mask of four bits, or 0 for none.
    pub perf_stats_mask: u32,
    /// The function of the program; if empty, the first.
    pub function: String,
    /// How many threads the software engine may use; 0 for as many as the machine has. The bits of the results do not
    /// depend on it.
    pub threads: usize,
}

/// The path of a weight file that has none of its own.
pub(super) const WEIGHT_PATH: &str = "@model_path/weights/weight.bin";

/// How long a compilation took.
///
/// ```
/// use anemone::CompileStats;
/// let stats = CompileStats { compile_ns: 2_000_000, load_ns: 500_000, total_ns: 2_600_000 };
/// assert!(stats.available() && !CompileStats::default().available());
/// assert_eq!(stats.to_string(), "compile 2.0ms, load 500.0µs, total 2.6ms");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileStats {
    /// The nanoseconds of the compilation, of the wall clock.
    pub compile_ns: u64,
    /// The nanoseconds of the load.
    pub load_ns: u64,
    /// The nanoseconds of both, and of what lies between.
    pub total_ns: u64,
}

/// What takes measurements, such as a benchmark that prints them.
///
/// ```
/// use anemone::{CompileStats, MetricSink};
/// struct Lines(Vec<String>);
/// impl MetricSink for Lines {
///     fn report_metric(&mut self, value: f64, unit: &str) {
///         self.0.push(format!("{value} {unit}"));
///     }
/// }
/// let mut lines = Lines(Vec::new());
/// CompileStats { compile_ns: 2, load_ns: 1, total_ns: 3 }.report_metrics(&mut lines);
/// assert_eq!(lines.0[0], "2 compile-ns/op");
/// ```
pub trait MetricSink {
    /// Takes a value and the unit that it is in, such as `compile-ns/op`.
    fn report_metric(&mut self, value: f64, unit: &str);
}

impl CompileStats {
    /// Whether anything was measured.
    pub fn available(&self) -> bool {
        self.total_ns > 0
    }

    /// Reports `compile-ns/op`, `load-ns/op` and `compile-total-ns/op`, if anything was measured.
    pub fn report_metrics(&self, sink: &mut dyn MetricSink) {
        if self.available() {
            sink.report_metric(self.compile_ns as f64, "compile-ns/op");
            sink.report_metric(self.load_ns as f64, "load-ns/op");
            sink.report_metric(self.total_ns as f64, "compile-total-ns/op");
        }
    }
}

impl std::fmt::Display for CompileStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.available() {
            return f.write_str("nothing measured");
        }
        let [compile, load, total] = [self.compile_ns, self.load_ns, self.total_ns].map(Duration::from_nanos);
        write!(f, "compile {compile:.1?}, load {load:.1?}, total {total:.1?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Sink(Vec<(String, f64)>);

    impl MetricSink for Sink {
        fn report_metric(&mut self, value: f64, unit: &str) {
            self.0.push((unit.into(), value));
        }
    }

    /// Rows N10, N12, H18: statistics of a compilation report and print themselves; absent ones say so.
    #[test]
    fn statistics_are_reported() {
        let stats = CompileStats { compile_ns: 12_500_000, load_ns: 2_000_000, total_ns: 14_600_000 };
        let mut sink = Sink::default();
        stats.report_metrics(&mut sink);
        let units: Vec<_> = sink.0.iter().map(|(u, v)| (u.as_str(), *v)).collect();
        assert_eq!(units, [("compile-ns/op", 12.5e6), ("load-ns/op", 2e6), ("compile-total-ns/op", 14.6e6)]);
        assert_eq!(stats.to_string(), "compile 12.5ms, load 2.0ms, total 14.6ms");

        let none = CompileStats::default();
        let mut sink = Sink::default();
        none.report_metrics(&mut sink);
        assert!(sink.0.is_empty() && !none.available());
        assert_eq!(none.to_string(), "nothing measured");
    }
}
