//! `check`.

use std::fs;

use super::{Folder, SMALL, anemone, anemone_fed};

#[test]
fn a_good_program_is_described() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let report = anemone(&["check", &path, "--json"]).exits(0).json();
    assert_eq!(
        report,
        serde_json::json!({
            "path": path,
            "ok": true,
            "functions": [{
                "name": "main",
                "opset": "ios18",
                "inputs": [{"name": "x", "type": "tensor<fp16, [2, 3]>"}],
                "outputs": [{"name": "y", "type": "tensor<fp16, [2, 2]>"}],
                "ops": 2,
            }],
            "diagnostics": [],
            "placement": [],
            "cost": null,
        })
    );
    let text = anemone(&["check", &path]).exits(0).out;
    assert_eq!(
        text,
        "main (ios18): 2 ops\n  takes x: tensor<fp16, [2, 3]>\n  gives y: tensor<fp16, [2, 2]>\nok\n"
    );
    assert_eq!(anemone(&["check", "-q", &path]).exits(0).out, "");
}

#[test]
fn a_bad_program_is_underlined() {
    let folder = Folder::new();
    let path = folder.file("bad.mil", SMALL.replace("matmul(", "matmull("));
    let ran = anemone(&["check", &path]).exits(1);
    assert!(ran.out.contains("error[unknown-op]"), "{}", ran.out);
    assert!(ran.out.contains("bad.mil:6:"), "{}", ran.out);
    assert!(ran.out.contains("^^^^^^^"), "{}", ran.out);
    assert!(ran.out.ends_with("1 error\n"), "{}", ran.out);
    let report = anemone(&["check", &path, "--json"]).exits(1).json();
    assert_eq!(report["ok"], false);
    let d = &report["diagnostics"][0];
    assert_eq!((&d["code"], &d["severity"]), (&"unknown-op".into(), &"error".into()));
    assert_eq!((&d["line"], &d["column"]), (&6.into(), &38.into()));
    assert!(d["message"].as_str().unwrap().contains("matmull"));
    assert!(d["help"].as_str().unwrap().contains("matmul"));
}

#[test]
fn faults_of_the_text_are_positioned_too() {
    let report =
        anemone_fed(&["check", "-", "--json"], b"program(1.3) {\n  func main<ios18>(x) {} -> (x);\n}");
    let report = report.exits(1).json();
    assert_eq!(report["diagnostics"][0]["line"], 2);
    assert_eq!(report["functions"], serde_json::json!([]));
    anemone_fed(&["check", "-"], b"\xff\xfe").exits(1);
    anemone_fed(&["check", "-"], b"").exits(1);
}

#[test]
fn warnings_do_not_fail() {
    let folder = Folder::new();
    let path = folder.file("unused.mil", SMALL.replace("-> (y)", "-> (p)"));
    let ran = anemone(&["check", &path]).exits(0);
    assert!(ran.out.contains("warning[unused-value]"), "{}", ran.out);
    assert!(ran.out.ends_with("ok, 1 warning\n"), "{}", ran.out);
    assert_eq!(anemone(&["check", &path, "-q"]).exits(0).out, "");
}

#[test]
fn a_package_is_underlined_in_what_is_printed_of_it() {
    let folder = Folder::new();
    let path = folder.file("bad.mil", SMALL.replace("tensor<fp16, [2, 2]> p", "tensor<fp16, [2, 9]> p"));
    let package = folder.path("bad.mlpackage");
    anemone(&["convert", &path, &package]).exits(0).complains("errors and was written as it is");
    let ran = anemone(&["check", &package]).exits(1);
    assert!(ran.out.contains("bad.mlpackage (printed):"), "{}", ran.out);
    assert!(ran.out.contains("tensor<fp16, [2, 9]> p"), "{}", ran.out);
    // The position is the one in what `print` prints.
    let report = anemone(&["check", &package, "--json"]).exits(1).json();
    let printed = anemone(&["print", &package]).exits(0).out;
    let d = &report["diagnostics"][0];
    let line = printed.lines().nth(d["line"].as_u64().unwrap() as usize - 1).unwrap();
    assert!(line.contains("[2, 9]> p"), "{line}");
}

#[test]
fn what_is_no_program_is_refused() {
    let folder = Folder::new();
    // A model file that holds a neural network of the old format.
    let legacy = folder.file("old.mlmodel", [8, 4, 18, 0, 0xa2, 0x1f, 3, 0xff, 0xff, 0xff]);
    let ran = anemone(&["check", &legacy]).exits(1);
    assert!(ran.out.contains("error[not-a-program]") && ran.out.contains("neuralNetwork"), "{}", ran.out);
    let report = anemone(&["check", &legacy, "--json"]).exits(1).json();
    assert_eq!(report["diagnostics"][0]["code"], "not-a-program");
    let empty = folder.path("empty.mlpackage");
    std::fs::create_dir(&empty).unwrap();
    let ran = anemone(&["check", &empty]).exits(1);
    assert!(ran.out.contains("manifest-missing"), "{}", ran.out);
    anemone(&["run", &empty]).exits(1).complains("manifest-missing");
}

/// A program with an op that no engine has, in a dtype that it does not compute in.
const FAR: &str = r#"program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 64, 32, 32]> x) {
            tensor<fp16, [1, 64, 32, 32]> t = tan(x = x);
            tensor<fp16, [1, 64, 32, 32]> y = relu(x = t);
        } -> (y);
}"#;

/// Rows O11, X15, X19: where each op runs, why, and how that is known.
#[test]
fn chips_are_asked_for_each_op() {
    let folder = Folder::new();
    let path = folder.file("far.mil", FAR);
    // Core ML refuses nothing.
    let report = anemone(&["check", &path, "--chip", "m4,m1", "--json"]).exits(0).json();
    let rows = report["placement"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let row = &rows[2];
    assert_eq!((&row["op"], &row["name"], &row["chip"]), (&"tan".into(), &"t".into(), &"m4".into()));
    assert_eq!((&row["where"], &row["on_engine"]), (&"cpu".into(), &false.into()));
    assert_eq!(row["evidence"]["confidence"], "measured");
    assert!(row["why"].as_str().unwrap().contains("tan") && row["change"].as_str().is_some());
    assert_eq!(rows[3]["facts"]["attested"], true);
    assert_eq!(report["diagnostics"][0]["severity"], "note");
    // The direct route takes all or nothing.
    let report = anemone(&["check", &path, "--chip", "m4", "--route", "direct", "--json"]).exits(1).json();
    let d = &report["diagnostics"][0];
    assert_eq!((&d["code"], &d["line"], &d["column"]), (&"chip-op".into(), &4.into(), &47.into()));
    // What is refused says when, and how that is known.
    assert_eq!((&d["phase"], d["notes"].as_array().map(Vec::len)), (&"lower".into(), Some(1)));
    let text = anemone(&["check", &path, "--chip", "all"]).exits(0).out;
    assert_eq!(text.matches("main on m").count(), 6, "{text}");
    anemone(&["check", &path, "--chip", "m7"]).exits(2).complains("m1 to m6");
    anemone(&["check", &path, "--route", "direct"]).exits(2).complains("--chip");
}

/// Rows X1, X6: what is known of an op on each chip, and of a chip, with who says so.
#[test]
fn facts_of_chips_reach_the_user() {
    let report = anemone(&["ops", "gather", "--json"]).exits(0).json();
    let engines = report[0]["engines"].as_array().unwrap();
    assert_eq!(engines.len(), 18);
    let on =
        |chip: &str, route: &str| engines.iter().find(|e| e["chip"] == chip && e["route"] == route).unwrap();
    // Core ML's validators attest what the compiler makes nothing of by itself.
    assert_eq!(on("m4", "core-ml")["facts"]["attested"], true);
    assert_eq!(on("m5", "direct")["facts"]["compiles"], false);
    assert_eq!(on("m5", "direct")["evidence"]["confidence"], "measured");
    let chip = anemone(&["info", "--chip", "m4", "--json"]).exits(0).json();
    let limits = chip["limits"].as_array().unwrap();
    let of = |what: &str| limits.iter().find(|l| l["what"] == what).unwrap();
    let depth = of("layers that depend on each other");
    assert_eq!((&depth["value"], &depth["strict"]["value"]), (&"512".into(), &"60".into()));
    assert_eq!(depth["strict"]["evidence"]["confidence"], "claimed");
    assert!(anemone(&["info", "--chip", "m1"]).exits(0).out.contains("texture engine"));
}

/// Rows O5, X14: what a call takes, where the program was placed.
#[test]
fn times_are_predicted_for_chips() {
    let folder = Folder::new();
    let path = folder.file("near.mil", FAR.replace("tan(", "tanh("));
    let cost = |more: &[&str]| {
        let args = [&["check", &*path, "--json", "--chip"], more].concat();
        anemone(&args).exits(0).json()["cost"].clone()
    };
    let direct = cost(&["m4,m1", "--route", "direct"]);
    let ms = direct["ms"].as_f64().unwrap();
    let parts = ["dispatch_ms", "wake_ms", "copies_ms", "engine_ms", "elsewhere_ms", "switches_ms"];
    let sum: f64 = parts.iter().map(|p| direct[p].as_f64().unwrap()).sum();
    assert!((ms - sum).abs() < 1e-9 && direct["engine_ms"].as_f64().unwrap() > 0.0, "{direct}");
    assert_eq!((&direct["chip"], direct["all"].as_array().unwrap().len()), (&"m1".into(), 2));
    assert!(direct["rates"].as_array().unwrap().iter().any(|r| r["evidence"]["confidence"] == "measured"));
    assert_eq!(direct["ops"].as_array().unwrap().len(), 2);
    // Core ML leaves so small a program to the CPU, where there is nothing to dispatch or compile.
    let divided = cost(&["m4"]);
    assert_eq!((&divided["dispatch_ms"], &divided["compile_ms"]), (&0.0.into(), &0.0.into()));
    let text = anemone(&["check", &path, "--chip", "m4", "--route", "direct"]).exits(0).out;
    assert!(text.contains("predicted: ") && text.contains("dispatch"), "{text}");
}

/// Row V8: what Core ML divides a program into, and what it pays between the parts.
#[test]
fn segments_are_listed_with_their_switches() {
    let ty = "tensor<fp16, [1, 512, 64, 64]>";
    let conv = |to: &str, of: &str| {
        format!(
            "{ty} {to} = conv(x = {of}, weight = w, strides = tensor<int32, [2]>([1, 1]), pad_type = string(\"valid\"), \
             pad = tensor<int32, [4]>([0, 0, 0, 0]), dilations = tensor<int32, [2]>([1, 1]), groups = int32(1));"
        )
    };
    let weights = "tensor<fp16, [512, 512, 1, 1]> w = const()[val = fp16(0.5)];";
    let (a, y) = (conv("a", "x"), conv("y", "t"));
    let body = format!("{weights} {a} {ty} t = tan(x = a); {y}");
    let folder = Folder::new();
    let program = format!("program(1.3) {{ func main<ios18>({ty} x) {{ {body} }} -> (y); }}");
    let path = folder.file("divided.mil", program);
    let page = folder.path("check.html");
    let cost = anemone(&["check", &path, "--chip", "m4", "--json"]).exits(0).json()["cost"].clone();
    let segments = cost["segments"].as_array().unwrap();
    let places: Vec<_> = segments.iter().map(|s| (s["where"].as_str().unwrap(), &s["steps"])).collect();
    assert_eq!(places, [("ane", &1.into()), ("cpu", &1.into()), ("ane", &1.into())]);
    let sum = |of: &str| segments.iter().map(|s| s[of].as_f64().unwrap()).sum::<f64>() / 1e3;
    for (of, whole) in [("dispatch_us", "dispatch_ms"), ("switch_us", "switches_ms")] {
        let whole = cost[whole].as_f64().unwrap();
        assert!(whole > 0.0 && (sum(of) - whole).abs() < 1e-9, "{of}: {cost}");
    }
    let told = anemone(&["check", &path, "--chip", "m4", "--html", &page]).exits(0).out;
    assert!(told.contains("3 segments") && told.contains("segment  from"), "{told}");
    assert!(fs::read_to_string(page).unwrap().contains("<h3>Segments</h3>"));
}

/// What code hosts read: a result for each diagnostic, with the lines of the text, and the rules that they name.
#[test]
fn code_hosts_are_told() {
    let folder = Folder::new();
    let path = folder.file("far off.mil", FAR);
    let out = folder.path("check.sarif");
    let args = ["check", &path, "--chip", "m4", "--route", "direct", "--sarif", &out, "-q"];
    anemone(&args).exits(1);
    let read = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&out).unwrap()).unwrap();
    let report = read();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    for r in results {
        assert_eq!(rules[r["ruleIndex"].as_u64().unwrap() as usize]["id"], r["ruleId"]);
        let place = &r["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("/far%20off.mil"), "{place}");
    }
    let tan = results.iter().find(|r| r["ruleId"] == "chip-op").unwrap();
    assert_eq!(tan["level"], "error");
    assert!(tan["message"]["text"].as_str().unwrap().contains("\nhelp: "));
    let region = &tan["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (&region["startLine"], &region["startColumn"], &region["endColumn"]),
        (&4.into(), &47.into(), &50.into())
    );
    // A package has no lines.
    let package = folder.path("far.mlpackage");
    anemone(&["convert", &path, &package, "-q"]).exits(0);
    anemone(&["check", &package, "--chip", "m4", "--route", "direct", "--sarif", &out, "-q"]).exits(1);
    assert!(read()["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"].is_null());
    // What is fine gives a report of nothing.
    anemone(&["check", &folder.file("small.mil", SMALL), "--sarif", &out, "-q"]).exits(0);
    assert_eq!(read()["runs"][0]["results"], serde_json::json!([]));
}

/// A page that needs nothing but a browser, with a box for each op in the colour of its place.
#[test]
fn a_page_shows_the_program_on_a_chip() {
    let folder = Folder::new();
    let path = folder.file("a<b&c.mil", FAR);
    let out = folder.path("check.html");
    anemone(&["check", &path, "--chip", "m4,m1", "--route", "direct", "--html", &out, "-q"]).exits(1);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(
        !page.contains("<script") && !page.contains("http") && page.contains("a&lt;b&amp;c.mil"),
        "{page}"
    );
    for what in [
        "main on m4 (direct)",
        "main on m1 (direct)",
        "class=\"node refused\" data-op=\"tan\" data-name=\"t\"",
        "class=\"node ane\" data-op=\"relu\" data-name=\"y\"",
        "data-code=\"chip-op\"",
        "aria-label=\"Roofline\"",
    ] {
        assert!(page.contains(what), "no {what} in {page}");
    }
    // Every element that is opened in a picture is closed there.
    for picture in page.split("<svg").skip(1).map(|p| p.split("</svg>").next().unwrap()) {
        assert_eq!(picture.matches("<g ").count(), picture.matches("</g>").count());
        assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
    }
    assert_eq!(page.matches("class=\"read\"").count(), 2, "one line for each chip: {page}");
    // Without a chip there is what is wrong, and nothing else.
    anemone(&["check", &folder.file("bad.mil", SMALL.replace("add(", "addd(")), "--html", &out, "-q"])
        .exits(1);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.contains("data-code=\"unknown-op\"") && !page.contains("<svg"), "{page}");
}
