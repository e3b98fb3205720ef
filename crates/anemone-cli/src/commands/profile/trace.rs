//! A run in the trace-event format, which ui.perfetto.dev and `chrome://tracing` open.

use serde_json::json;

use super::Report;

/// One run of median steps, one after the other, with the bytes of the arena as a counter beside it.
pub(super) fn of(report: &Report<'_>) -> String {
    let mut events = vec![
        json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": report.path } }),
        json!({ "ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": { "name": report.function } }),
    ];
    let mut at = 0.0;
    for step in &report.steps {
        events.push(json!({
            "ph": "X", "pid": 1, "tid": 1, "ts": at, "dur": step.us, "name": step.op, "cat": step.op,
            "args": {
                "result": step.name, "multiply_adds": step.multiply_adds, "read_bytes": step.read_bytes,
                "written_bytes": step.written_bytes, "gflops": step.gflops, "gb_s": step.gb_s,
                "share_of_limit": step.share_of_limit,
            },
        }));
        events.push(json!({
            "ph": "C", "pid": 1, "ts": at, "name": "arena", "args": { "bytes": step.arena_bytes },
        }));
        at += step.us;
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events }).to_string()
}
