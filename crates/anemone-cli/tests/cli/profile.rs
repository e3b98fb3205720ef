//! `profile`.

use std::fs;

use super::{Folder, SMALL, anemone};

#[test]
fn steps_are_timed_beside_their_limits() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let report = anemone(&["profile", &path, "--iters", "7", "--threads", "1", "--json"]).exits(0).json();
    assert_eq!((&report["iterations"], &report["threads"]), (&7.into(), &1.into()));
    let steps = report["steps"].as_array().unwrap();
    assert!(!steps.is_empty());
    let work: u64 = steps.iter().map(|s| s["multiply_adds"].as_u64().unwrap()).sum();
    assert_eq!(work, 12);
    for step in steps {
        let number = |name: &str| step[name].as_f64().unwrap();
        assert!(
            number("us") > 0.0 && number("share_of_limit") > 0.0 && number("written_bytes") > 0.0,
            "{step}"
        );
    }
    assert!(report["limit_gflops"].as_f64().unwrap() > 0.1);
    let ran = anemone(&["profile", &path, "--iters", "2", "--top", "1"]).exits(0);
    assert!(ran.out.contains("main on cpu") && ran.out.contains("slowest steps"), "{}", ran.out);
}

#[test]
fn a_profile_is_a_page_and_a_trace() {
    let folder = Folder::new();
    let path = folder.file("a<b&c.mil", SMALL);
    let (page, trace) = (folder.path("profile.html"), folder.path("profile.json"));
    anemone(&["profile", &path, "--iters", "2", "--html", &page, "--trace", &trace]).exits(0);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    // It is a page of its own, and what a file is called is text.
    assert!(
        !page.contains("<script") && !page.contains("http") && page.contains("a&lt;b&amp;c.mil"),
        "{page}"
    );
    let trace: serde_json::Value = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut at = 0.0;
    for event in events.iter().filter(|e| e["ph"] == "X") {
        assert_eq!(event["ts"].as_f64().unwrap(), at, "one step follows the other");
        at += event["dur"].as_f64().unwrap();
    }
    assert!(at > 0.0);
}

#[test]
fn what_has_no_plan_is_refused() {
    let folder = Folder::new();
    let open = "program(1.3) { func main<ios18>(tensor<fp16, [?]> x) { tensor<fp16, [?]> y = relu(x = x); } -> (y); }";
    let ran = anemone(&["profile", &folder.file("open.mil", open)]).exits(1);
    assert!(ran.err.contains("has no plan") && ran.err.contains("anemone bench"), "{}", ran.err);
}

#[test]
fn a_chip_stands_beside_this_machine() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let page = folder.path("profile.html");
    let arguments = ["profile", &path, "--iters", "2", "--chip", "m4"];
    let report = anemone(&[&arguments[..], &["--html", &page, "--json"]].concat()).exits(0).json();
    let chip = &report["chip"];
    assert_eq!(
        (&chip["chip"], &chip["route"], &chip["refused"]),
        (&"m4".into(), &"direct".into(), &0.into())
    );
    assert!(chip["ms"].as_f64().unwrap() > 0.05 && chip["peak_gflops"].as_f64().unwrap() > 10_000.0);
    assert_eq!(
        (&chip["segments"][0]["where"], chip["segments"].as_array().unwrap().len()),
        (&"ane".into(), 1)
    );
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["chip"]["us"].as_f64().is_some()), "{report}");
    assert!(steps.iter().any(|step| step["chip"]["us"].as_f64() > Some(0.0)), "{report}");
    let told = anemone(&arguments).exits(0).out;
    assert!(told.contains("predicted for M4 (direct)") && told.contains("waits for"), "{told}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("Beside a chip") && page.contains("Roofline") && page.contains("<th>m4"), "{page}");
    let report = anemone(&["profile", &path, "--iters", "2", "--json"]).exits(0).json();
    assert!(report.get("chip").is_none() && report["steps"][0].get("chip").is_none());
}
