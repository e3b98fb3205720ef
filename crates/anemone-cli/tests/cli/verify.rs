//! `verify`.

use super::{Folder, SMALL, anemone};

fn small(folder: &Folder) -> (String, String) {
    let path = folder.file("small.mil", SMALL);
    let x = folder.array("x.npy", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    (path, format!("x={x}"))
}

/// Row N14: with what was expected, by distances, and where they part first.
#[test]
fn outputs_are_compared() {
    let folder = Folder::new();
    let (path, x) = small(&folder);
    let y = format!("y={}", folder.array("y.npy", &[2, 2], &[8.0, 10.0, 20.0, 22.01]));
    for device in ["reference", "cpu"] {
        let ran = anemone(&["verify", &path, "-i", &x, "-e", &y, "--device", device]).exits(0);
        assert!(ran.out.contains("ok on"), "{}", ran.out);
    }
    let report = anemone(&["verify", &path, "-i", &x, "-e", &y, "--rtol", "1e-5", "--json"]).exits(1).json();
    assert_eq!(report["ok"], false);
    let row = &report["steps"][0]["outputs"][0];
    assert_eq!(row["first_bad"]["index"], serde_json::json!([1, 1]));
    assert_eq!((&row["outside"], &row["elements"]), (&1.into(), &4.into()));
    assert!((row["max_abs"].as_f64().unwrap() - 0.01).abs() < 1e-5);
    assert!((row["rel"].as_f64().unwrap() - 0.01 / 22.01).abs() < 1e-6);
    assert!(row["cosine"].as_f64().unwrap() > 0.999);
    assert_eq!(row["nan"], serde_json::json!({"found": 0, "expected": 0}));
    anemone(&["verify", &path, "-i", &x, "-e", &y, "--rtol", "0", "--atol", "0.02"]).exits(0);
    let ran = anemone(&["verify", &path, "-i", &x, "-e", &y, "--rtol", "1e-5"]).exits(1);
    assert!(ran.out.contains("y[1, 1] is 22, and 22.01 is expected"), "{}", ran.out);
}

#[test]
fn wrong_use_is_the_users_fault() {
    let folder = Folder::new();
    let (path, x) = small(&folder);
    let y = folder.array("y.npy", &[2, 2], &[0.0; 4]);
    anemone(&["verify", &path, "-i", &x, "-e", &format!("yy={y}")]).exits(2).complains("did you mean `y`?");
    anemone(&["verify", &path, "-e", &format!("y={y}")]).exits(2).complains("input-missing");
    anemone(&["verify", &path, "-e", &format!("y={y}"), "--rtol", "-1"]).exits(2);
    anemone(&["verify", &path, "--case", &y]).exits(2).complains("is not a recorded case");
    let empty = folder.file("empty.json", r#"{"steps": []}"#);
    anemone(&["verify", &path, "--case", &empty]).exits(2).complains("has no steps");
}

/// Row T6: an output of another shape is wrong.
#[test]
fn another_shape_fails() {
    let folder = Folder::new();
    let (path, x) = small(&folder);
    let y = format!("y={}", folder.array("y.npy", &[4], &[0.0; 4]));
    let ran = anemone(&["verify", &path, "-i", &x, "-e", &y]).exits(1);
    assert!(ran.out.contains("`tensor<fp32, [4]>` is expected"), "{}", ran.out);
}

/// Row M2: step by step.
#[test]
fn states_carry_on_through_a_case() {
    let folder = Folder::new();
    let text = r#"program(1.3) { func main<ios18>(tensor<fp16, [2]> x, state<tensor<fp16, [2]>> sum) {
        tensor<fp16, [2]> before = read_state(input = sum);
        tensor<fp16, [2]> y = add(x = before, y = x);
        write_state(data = y, input = sum);
    } -> (y); }"#;
    let path = folder.file("sum.mil", text);
    folder.array("x.npy", &[2], &[1.0, 2.0]);
    folder.array("one.npy", &[2], &[1.0, 2.0]);
    folder.array("two.npy", &[2], &[2.0, 4.0]);
    let case = r#"{"name": "sum", "tolerance": null, "steps": [
        {"function": "main", "inputs": [{"name": "x", "file": "x.npy", "dtype": "float32"}],
         "outputs": [{"name": "y", "file": "one.npy"}, {"name": "original", "file": "one.npy"}], "states_after": []},
        {"function": "main", "inputs": [{"name": "x", "file": "x.npy"}],
         "outputs": [{"name": "y", "file": "two.npy"}], "states_after": [{"name": "sum", "file": "two.npy"}]}]}"#;
    let case = folder.file("case.json", case);
    for device in ["reference", "cpu"] {
        let ran = anemone(&["verify", &path, "--case", &case, "--device", device, "--json"]).exits(0);
        let report = ran.json();
        assert_eq!(report["steps"][0]["skipped"], serde_json::json!(["original"]));
        assert_eq!(report["steps"][1]["outputs"][1]["state"], true);
    }
    anemone(&["verify", &path, "--case", &case]).exits(0).complains("has no output `original`");
    let forgets = std::fs::read_to_string(&case).unwrap().replace("two.npy", "one.npy");
    let forgets = folder.file("forgets.json", forgets);
    let ran = anemone(&["verify", &path, "--case", &forgets]).exits(1);
    assert!(ran.out.contains("sum (state)") && ran.out.contains("step 2: y[0] is 2"), "{}", ran.out);
}
