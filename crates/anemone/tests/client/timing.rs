//! How long evaluations with events take.

use anemone::telemetry::{self, Diagnostics, EvalStats, EvalTelemetry, EventTiming};
use anemone::{Client, CompileOptions, Error, Model, ModelType, SharedEvent, SharedEventEvalOptions};

use crate::metrics::{metrics, named};
use crate::{PATIENCE, each_engine, mil, on_each_engine, package};

const INCREMENT: &str = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
    tensor<fp16, [4]> y = add(x = x, y = fp16(1)); } -> (y); }";

const PLAIN: SharedEventEvalOptions =
    SharedEventEvalOptions { disable_io_fences_use_shared_events: false, enable_fw_to_fw_signal: false };

fn increment(client: &Client) -> Model {
    let folder = tempfile::tempdir().unwrap();
    let package_path = package(INCREMENT, folder.path());
    client
        .compile(CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() })
        .unwrap()
}

/// Row N9: until the evaluation was handed over, until it had ended, and how the model's queues are then.
#[test]
fn evaluations_with_events_are_timed() {
    each_engine(1, |client| {
        let mut model = increment(client);
        let event = SharedEvent::on(client).unwrap();
        for value in 1..4 {
            model.write_input_f32("x", &[value as f32; 4]).unwrap();
            let timing =
                telemetry::eval_with_signal_timing(&mut model, event.port(), value, PLAIN, PATIENCE).unwrap();
            assert!(timing.enqueue_ns > Some(0) && timing.total_ns >= timing.enqueue_ns, "{timing}");
            assert_eq!(event.signaled_value(), value);
            let mut y = [0.0; 4];
            model.read_output_f32("y", &mut y).unwrap();
            assert_eq!(y, [value as f32 + 1.0; 4]);
        }
        let known = telemetry::telemetry_with_signal(&mut model, event.port(), 9, PLAIN, PATIENCE).unwrap();
        assert!(known.available() && known.timing.available() && !known.stats.available());
        assert_eq!(known.diagnostics.program_class.as_deref(), client.is_hardware().then_some("_ANEModel"));
        let again = telemetry::eval_with_signal_timing(&mut model, event.port(), 9, PLAIN, PATIENCE);
        assert!(matches!(again, Err(Error::Invalid(_))));
    });
    on_each_engine(|client| {
        let event = SharedEvent::on(client).unwrap();
        let mut model = client.compile(mil(INCREMENT)).unwrap();
        let result = telemetry::eval_with_signal_timing(&mut model, event.port(), 1, PLAIN, PATIENCE);
        assert!(matches!(result, Err(Error::SharedEventRequiresPackage)));
    });
}

/// Rows N9, N10: in a line and as metrics; what was not measured is not there.
#[test]
fn times_are_reported() {
    let timing = EventTiming { enqueue_ns: Some(1_500), total_ns: Some(2_000_000) };
    let known = EvalTelemetry {
        stats: EvalStats { hw_execution_ns: Some(900), ..EvalStats::default() },
        diagnostics: Diagnostics { model_state: Some(3), ..Diagnostics::default() },
        timing: timing.clone(),
    };
    let expected =
        [("hw-ns/op", 900.0), ("model-state", 3.0), ("enqueue-ns/op", 1500.0), ("total-ns/op", 2e6)];
    assert_eq!(metrics(|sink| known.report_metrics(sink)), named(&expected));
    assert_eq!(timing.to_string(), "enqueue 1.5µs, total 2.0ms");
    assert_eq!(known.to_string(), "engine 900.0ns, state 3, enqueue 1.5µs, total 2.0ms");
    let unknown = EvalTelemetry::default();
    assert_eq!(metrics(|sink| unknown.report_metrics(sink)), []);
    assert_eq!(unknown.to_string(), "nothing known");
    assert_eq!(EventTiming::default().to_string(), "nothing measured");
}
