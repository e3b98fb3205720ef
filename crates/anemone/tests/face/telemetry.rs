//! What the engine, its models and the machine say about themselves.

use std::time::Duration;

use anemone::device::Engine;
use anemone::telemetry::*;
use anemone::{Chip, Client, CompileOptions, Model};
use anemone_apple::fake::{Fake, Faults, Machine, Tables};
use proptest::prelude::*;

use crate::metrics::{metrics, named};
use crate::{on_each_engine, software};

const RELU: &str = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 4]> x) {
    tensor<fp16, [1, 1, 1, 4]> y = relu(x = x); } -> (y); }";

fn model(client: &Client, perf_stats_mask: u32) -> Model {
    client.compile(CompileOptions { mil_text: RELU.into(), perf_stats_mask, ..Default::default() }).unwrap()
}

/// Runs a test over a machine that is not as the others.
fn over(machine: Machine, faults: Faults, test: impl Fn(&Client)) {
    let fake = Fake::with(machine, faults);
    test(&Client::over(&fake.open().unwrap()));
    fake.finish().check();
}

/// Rows N3, N4, H15: an evaluation says how long it took, whichever engine; and its results are there.
#[test]
fn evaluations_say_how_long_they_took() {
    on_each_engine(|client| {
        let mut model = model(client, 15);
        model.write_input_f32(0, &[-1.0, 1.0, 2.0, 3.0]).unwrap();
        let stats = eval_with_stats(&mut model).unwrap();
        let mut y = [0.0; 4];
        model.read_output_f32(0, &mut y).unwrap();
        assert_eq!(y, [0.0, 1.0, 2.0, 3.0]);
        assert!(stats.available() && stats.hw_execution_ns.is_some_and(|ns| ns > 0));
        assert!(eval_hw_time_only(&mut model).unwrap().is_some());
        assert!(HwTimer::new(&mut model).eval().unwrap().is_some());
        if client.is_hardware() {
            assert_eq!(stats.hw_execution_ns, Some(123_456));
            assert_eq!(stats.to_string(), "engine 123.5µs, 1024 raw bytes");
            assert_eq!((stats.perf_stats_entries, stats.perf_counter_data.len()), (1, 0));
        }
    });
}

/// Rows N2, N3: who has not asked for statistics has none, and not zero.
#[test]
fn what_is_not_asked_for_is_absent() {
    over(software::machine(Engine::Cpu), Faults::default(), |client| {
        let mut model = model(client, 0);
        let stats = eval_with_stats(&mut model).unwrap();
        assert_eq!((&stats, stats.available()), (&EvalStats::default(), false));
        assert_eq!(eval_hw_time_only(&mut model).unwrap(), None);
        assert_eq!(stats.to_string(), "nothing measured");
        assert_eq!(metrics(|s| stats.report_metrics(s)), []);
    });
}

/// Rows N3, N5, N10: counters have places, names where there are any, and values; the placeholder is none.
#[test]
fn counters_are_named() {
    assert_eq!(PERF_COUNTER_PLACEHOLDER, "kANE_UKNOWN");
    let entitled = Machine { entitled: true, ..software::machine(Engine::Cpu) };
    over(entitled, Faults::default(), |client| {
        let stats = eval_with_stats(&mut model(client, 15)).unwrap();
        assert_eq!((stats.perf_counters.len(), stats.perf_counters_truncated), (27, false));
        assert_eq!(stats.perf_counter_data.len(), 27 * 8);
        let third = PerfCounter { index: 3, name: Some("kANE_COUNTER_3".into()), value: 203 };
        assert_eq!(stats.perf_counters[3], third);
        assert_eq!(stats.perf_counters[0x18].name, None);
        let metrics = metrics(|s| stats.report_metrics(s));
        for metric in [
            ("hw-ns/op", 123_456.0),
            ("kane-counter-3/op", 203.0),
            ("perf-counter-24/op", 224.0),
            ("perf-counter-bytes/op", 216.0),
            ("raw-stats-bytes/op", 1024.0),
            ("perf-stats-entries/op", 1.0),
        ] {
            assert!(metrics.contains(&named(&[metric])[0]), "{metric:?} in {metrics:?}");
        }
        assert_eq!(metrics.len(), 27 + 4);
    });
}

/// Rows N3, N10: what is known of an evaluation is reported, and nothing else.
#[test]
fn statistics_are_reported() {
    let counter = |index, name: &str, value| PerfCounter { index, name: Some(name.into()), value };
    let stats = EvalStats {
        hw_execution_ns: Some(1234),
        perf_counter_data: vec![0; 3],
        raw_stats_data: vec![0; 2],
        perf_counters: vec![counter(0, "ANE.HW Cycles", 100), counter(5, "()", 7)],
        perf_counters_truncated: true,
        perf_stats_entries: 2,
    };
    let expected = [
        ("hw-ns/op", 1234.0),
        ("ane-hw-cycles/op", 100.0),
        ("perf-counter-5/op", 7.0),
        ("perf-counter-bytes/op", 3.0),
        ("raw-stats-bytes/op", 2.0),
        ("perf-counters-truncated/op", 1.0),
        ("perf-stats-entries/op", 2.0),
    ];
    assert_eq!(metrics(|s| stats.report_metrics(s)), named(&expected));
    assert_eq!(stats.to_string(), "engine 1.2µs, 2 counters, 2 raw bytes");
    let one = EvalStats { raw_stats_data: vec![1], ..EvalStats::default() };
    assert_eq!((one.available(), one.to_string().as_str()), (true, "1 raw byte"));
}

/// Rows N6, N10: queues, handles, states; what this macOS does not say is absent.
#[test]
fn models_say_how_their_queues_are() {
    over(software::machine(Engine::Cpu), Faults::default(), |client| {
        let told = probe_diagnostics(&model(client, 0));
        let handle = told.program_handle.unwrap();
        let all = Diagnostics {
            model_queue_depth: Some(127),
            program_class: Some("_ANEInMemoryModel".into()),
            async_requests_in_flight: Some(0),
            program_queue_depth: Some(127),
            program_handle: Some(handle),
            model_state: Some(3),
        };
        assert_eq!(told, all);
        let line = format!(
            "_ANEInMemoryModel, queue of 127, 0 in flight, program's queue of 127, handle {handle:#x}, state 3"
        );
        assert_eq!(told.to_string(), line);
        let expected = [
            ("model-queue-depth", 127.0),
            ("async-in-flight", 0.0),
            ("program-queue-depth", 127.0),
            ("program-handle", handle as f64),
            ("model-state", 3.0),
        ];
        assert_eq!(metrics(|s| told.report_metrics(s)), named(&expected));
    });
    let tables = Tables::newest()
        .without("-[_ANEProgramForEvaluation currentAsyncRequestsInFlight]")
        .without("-[_ANEInMemoryModel queueDepth]")
        .without("-[_ANEModel queueDepth]");
    over(Machine { tables, ..software::machine(Engine::Cpu) }, Faults::default(), |client| {
        let told = probe_diagnostics(&model(client, 0));
        assert_eq!((told.async_requests_in_flight, told.model_queue_depth), (None, None));
        assert!(told.program_class.is_some());
    });
    let none = probe_diagnostics(&model(&Client::software(Chip::M4), 0));
    assert_eq!((none.available(), none.to_string().as_str()), (false, "nothing known"));
    assert_eq!(metrics(|s| none.report_metrics(s)), []);
}

/// Rows N7, N8, I1: all that is known of a Mac, of a guest, and of the software engine; unknown is not zero.
#[test]
fn the_machine_is_known_as_far_as_it_says() {
    over(software::machine(Engine::Cpu), Faults::default(), |client| {
        let known = snapshot(client);
        assert_eq!((known.device.has_ane, known.device.is_vm), (Some(true), Some(false)));
        assert_eq!((known.client.num_cores, known.client.capability_mask), (Some(16), None));
        assert_eq!(known.client, probe_client_info(client));
        assert_eq!(known.cache, probe_cache_info(client));
        let folder = known.cache.cache_dir.as_ref().unwrap().display().to_string();
        assert_eq!(known.to_string(), format!("16 cores, h16g, macOS 25F84, cache {folder}"));
        assert_eq!(known.client.to_string(), "16 cores, h16g");
        assert_eq!(known.cache.to_string(), format!("cache {folder}"));
        assert_eq!(known.device.to_string(), "16 cores, h16g, macOS 25F84");
    });
    let tables =
        Tables::newest().without("+[_ANEDeviceInfo numANEs]").without("+[_ANEDeviceInfo aneBoardType]");
    over(Machine { tables, ..software::machine(Engine::Cpu) }, Faults::default(), |client| {
        let known = snapshot(client);
        assert_eq!(
            (known.device.num_anes, known.device.board_type, known.client.num_anes),
            (None, None, None)
        );
        let names = metrics(|s| known.report_metrics(s));
        assert!(!names.iter().any(|(n, _)| n == "ane-count" || n == "ane-board-type"), "{names:?}");
    });
    over(Machine { virtual_machine: true, ..software::machine(Engine::Cpu) }, Faults::default(), |client| {
        let known = snapshot(client);
        assert_eq!(known.device.is_vm, Some(true));
        assert!(known.client.capability_mask.is_some() && known.client.data_interface_version.is_some());
        assert!(known.to_string().contains("a virtual machine, capabilities 0x"), "{known}");
    });
    let software = snapshot(&Client::software(Chip::M1));
    assert_eq!((software.device.has_ane, software.device.is_vm), (Some(false), None));
    assert_eq!((software.cache.available(), software.client.num_cores), (false, Some(16)));
    let nothing = ClientSnapshot::default();
    assert_eq!((nothing.available(), nothing.to_string().as_str()), (false, "nothing known"));
    assert_eq!(metrics(|s| nothing.report_metrics(s)), []);
}

/// Rows N8, N10: a snapshot as JSON and as metrics.
#[test]
fn a_snapshot_is_written_down() {
    let known = ClientSnapshot {
        device: DeviceSnapshot {
            has_ane: Some(true),
            num_cores: Some(16),
            architecture: Some("h16g".into()),
            product: Some("macOS".into()),
            build_version: Some("25F84".into()),
            is_vm: Some(true),
            num_anes: Some(2),
            sub_type: Some("h16".into()),
            board_type: Some(256),
            internal_build: Some(false),
        },
        client: ClientInfo {
            num_cores: Some(16),
            capability_mask: Some(255),
            data_interface_version: Some(3),
            precompiled_binary_supported: Some(true),
            ..ClientInfo::default()
        },
        cache: CacheInfo { cache_dir: Some("/Library/Caches/com.apple.aned/25F84".into()) },
    };
    let json = serde_json::to_string_pretty(&known).unwrap();
    assert_eq!(json, include_str!("snapshot.json").trim_end());
    let expected = [
        ("ane-cores", 16.0),
        ("ane-count", 2.0),
        ("ane-board-type", 256.0),
        ("ane-is-vm", 1.0),
        ("ane-client-cores", 16.0),
        ("ane-capability-mask", 255.0),
        ("ane-data-interface-version", 3.0),
        ("ane-precompiled-binary-supported", 1.0),
        ("ane-cache-available", 1.0),
    ];
    assert_eq!(metrics(|s| known.report_metrics(s)), named(&expected));
    let line = "16 cores, 2 engines, h16g, macOS 25F84, a virtual machine, capabilities 0xff, cache /Library/Caches/com.apple.aned/25F84";
    assert_eq!(known.to_string(), line);
}

/// Row N13: samples of the system's tool, with what each has.
#[test]
fn watts_are_read() {
    let [first, second] = parse_powermetrics(include_str!("powermetrics.txt"))[..] else { panic!() };
    let expected = PowerSample {
        elapsed: Some(Duration::from_micros(1_004_210)),
        cpu_watts: Some(0.041),
        gpu_watts: Some(0.002),
        ane_watts: Some(2.31),
        combined_watts: Some(2.353),
    };
    assert_eq!(first, expected);
    assert_eq!((second.cpu_watts, second.gpu_watts, second.ane_watts), (Some(0.5), Some(0.0), None));
    assert_eq!(parse_powermetrics(""), []);
    assert_eq!(parse_powermetrics("ANE Power: 3 mW")[0].ane_watts, Some(0.003));
    for nonsense in
        ["ANE Power: mW", "ANE Power: -1 mW", "ANE Power: inf mW", "ANE Power: 1e999 W", "ANE Power: 1 kW"]
    {
        assert_eq!(parse_powermetrics(nonsense), [], "{nonsense}");
    }
    assert_eq!(
        parse_powermetrics("*** Sampled system activity (-1ms elapsed) ***"),
        [PowerSample::default()]
    );
}

proptest! {
    /// Row N11: names have letters, digits and single hyphens between them, whatever they are made of.
    #[test]
    fn names_of_metrics_are_plain(name in "\\PC{0,40}") {
        let plain = sanitize_metric_name(&name);
        prop_assert!(plain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        prop_assert!(!plain.starts_with('-') && !plain.ends_with('-') && !plain.contains("--"));
        prop_assert_eq!(&sanitize_metric_name(&plain), &plain);
        let kept = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>();
        prop_assert_eq!(kept(&plain), kept(&name));
    }

    /// Row N13: whatever is read, nothing breaks.
    #[test]
    fn any_text_is_read(text in "(\\*\\*\\* Sampled system activity \\(|ANE Power: |ms elapsed|[0-9.e+-]{0,9}| mW|\n){0,30}") {
        for sample in parse_powermetrics(&text) {
            prop_assert!(sample.ane_watts.is_none_or(|w| w >= 0.0 && w.is_finite()));
        }
    }
}
