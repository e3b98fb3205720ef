//! What a report says, as a list.

use anemone::MetricSink;

#[derive(Default)]
struct Sink(Vec<(String, f64)>);

impl MetricSink for Sink {
    fn report_metric(&mut self, value: f64, unit: &str) {
        self.0.push((unit.into(), value));
    }
}

/// The metrics that somebody reports, in order.
pub(crate) fn metrics(report: impl FnOnce(&mut dyn MetricSink)) -> Vec<(String, f64)> {
    let mut sink = Sink::default();
    report(&mut sink);
    sink.0
}

/// A list to compare with.
pub(crate) fn named(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(n, v)| (n.to_string(), *v)).collect()
}
