//! `run`.

use super::{Folder, SMALL, anemone, read_array};

#[test]
fn a_run_is_described_as_json() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let x = folder.array("x.npy", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    for device in ["auto", "cpu", "reference"] {
        let input = format!("x={x}");
        let report = anemone(&["run", &path, "-i", &input, "--device", device, "--json"]).exits(0).json();
        assert_eq!((&report["path"], &report["function"]), (&path.as_str().into(), &"main".into()));
        assert_eq!(report["device"], if device == "auto" { "cpu" } else { device });
        assert_eq!(
            (&report["inputs"][0]["converted_from"], &report["inputs"][0]["dtype"]),
            (&"fp32".into(), &"fp16".into())
        );
        let y = &report["outputs"][0];
        assert_eq!(
            (&y["name"], &y["type"], &y["dtype"]),
            (&"y".into(), &"tensor<fp16, [2, 2]>".into(), &"fp16".into())
        );
        assert_eq!(y["shape"], serde_json::json!([2, 2]));
        assert_eq!(y["values"], serde_json::json!([8.0, 10.0, 20.0, 22.0]));
        assert_eq!((&y["min"], &y["max"], &y["mean"]), (&8.0.into(), &22.0.into(), &15.0.into()));
        assert_eq!((&y["finite"], &y["nan"], &y["inf"]), (&true.into(), &0.into(), &0.into()));
        assert!(report["ms"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn outputs_are_written_and_can_be_read_again() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let out = folder.path("deep/out");
    let ran = anemone(&["run", &path, "-o", &out]).exits(0);
    assert!(ran.out.contains("OUTPUT") && ran.out.contains("y = ["), "{}", ran.out);
    let (header, data) = read_array(format!("{out}/y.npy"));
    assert_eq!(header, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }");
    assert_eq!(data.len(), 8);
    let expected = format!("y={out}/y.npy");
    // The same seed gives the same inputs; `verify` wants them as a file.
    let x = folder.array("x.npy", &[2, 3], &[0.5; 6]);
    anemone(&["run", &path, "-i", &format!("x={x}"), "-o", &out]).exits(0);
    anemone(&["verify", &path, "-i", &format!("x={x}"), "-e", &expected]).exits(0);
    // Nothing but the output is left in the folder.
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn the_seed_decides() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let values = |seed: &str, threads: &str| {
        let ran = anemone(&["run", &path, "--seed", seed, "--threads", threads, "--json"]).exits(0).json();
        ran["outputs"][0]["values"].clone()
    };
    assert_eq!(values("7", "1"), values("7", "2"));
    assert_ne!(values("7", "1"), values("8", "1"));
}

#[test]
fn inputs_that_do_not_fit_are_the_users_fault() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let wrong = folder.array("wrong.npy", &[3, 2], &[0.0; 6]);
    let right = folder.array("right.npy", &[2, 3], &[0.0; 6]);
    anemone(&["run", &path, "-i", &format!("x={wrong}")]).exits(2).complains("the shapes differ");
    anemone(&["run", &path, "-i", &format!("xx={right}")]).exits(2).complains("did you mean `x`?");
    anemone(&["run", &path, "-i", "x=no-such.npy"]).exits(2).complains("`no-such.npy` cannot be opened");
    anemone(&["run", &path, "-i", &format!("x={path}")]).exits(2).complains("cannot be read as a .npy file");
    anemone(&["run", &path, "-f", "mian"]).exits(2).complains("did you mean `main`?");
    anemone(&["run", &path, "--device", "ane"]).exits(2).complains("there is no Neural Engine here");
}

#[test]
fn a_program_that_does_not_verify_is_not_run() {
    let folder = Folder::new();
    let path = folder.file("bad.mil", SMALL.replace("matmul(", "matmull("));
    let ran = anemone(&["run", &path]).exits(1);
    assert_eq!(ran.out, "");
    ran.complains("error[unknown-op]");
}

#[test]
fn what_is_not_finite_is_a_warning() {
    let folder = Folder::new();
    let path = folder.file("small.mil", SMALL);
    let x = folder.array("x.npy", &[2, 3], &[f32::NAN, 0.0, 0.0, 40000.0, 0.0, 40000.0]);
    let input = format!("x={x}");
    let ran =
        anemone(&["run", &path, "-i", &input]).exits(0).complains("`y` holds 2 NaN and 2 infinite elements");
    assert!(ran.out.contains("NaN"), "{}", ran.out);
    let y = anemone(&["run", &path, "-i", &input, "--json"]).exits(0).json()["outputs"][0].clone();
    assert_eq!(
        (&y["finite"], &y["nan"], &y["inf"], &y["min"]),
        (&false.into(), &2.into(), &2.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_hostile_shape_is_refused_before_it_is_made() {
    let folder = Folder::new();
    let big = "program(1.3) { func main<ios18>(tensor<fp16, [1048576, 1048576]> x) { \
               tensor<fp16, [1048576, 1048576]> y = relu(x = x); } -> (y); }";
    let path = folder.file("big.mil", big);
    anemone(&["run", &path]).exits(1).complains("too large to be made from a seed");
}

#[test]
fn open_dimensions_take_the_default_shape() {
    let folder = Folder::new();
    let text = r#"program(1.3) { func main<ios18>(tensor<fp16, [?, 2]> x)
        [FlexibleShapeInformation = tuple<tuple<string, dict<string, tensor<int32, [?]>>>, tuple<string, dict<string, list<tensor<int32, [2]>, ?>>>>((("DefaultShapes", {{"x", [3, 2]}}), ("RangeDims", {{"x", [[1, 9], [2, 2]]}})))]
        { tensor<fp16, [?, 2]> y = relu(x = x); } -> (y); }"#;
    let path = folder.file("flexible.mil", text);
    let y = anemone(&["run", &path, "--json"]).exits(0).json()["outputs"][0].clone();
    assert_eq!(y["shape"], serde_json::json!([3, 2]));
    let x = folder.array("x.npy", &[5, 2], &[1.0; 10]);
    let y = anemone(&["run", &path, "-i", &format!("x={x}"), "--json"]).exits(0).json()["outputs"][0].clone();
    assert_eq!(y["shape"], serde_json::json!([5, 2]));
}

#[test]
fn a_classifier_names_its_best() {
    let folder = Folder::new();
    let text = r#"program(1.3) { func main<ios18>(tensor<fp32, [3]> x) {
        string label, dict<string, fp64> scores = classify(classes = list<string, 3>(["cat", "dog", "été"]), probabilities = x);
    } -> (label, scores); }"#;
    let path = folder.file("classifier.mil", text);
    let x = format!("x={}", folder.array("x.npy", &[3], &[0.25, 0.25, 0.5]));
    let out = folder.path("out");
    let ran = anemone(&["run", &path, "-i", &x, "-o", &out]).exits(0);
    assert!(ran.out.contains("label = \"été\"") && ran.out.contains("scores, largest first:"), "{}", ran.out);
    let outputs = anemone(&["run", &path, "-i", &x, "--json"]).exits(0).json()["outputs"].clone();
    assert_eq!(
        (&outputs[0]["values"], &outputs[0]["min"]),
        (&serde_json::json!(["été"]), &serde_json::Value::Null)
    );
    assert_eq!(outputs[1]["top"][0], serde_json::json!({"key": "été", "value": 0.5}));
    let (header, data) = read_array(format!("{out}/scores.keys.npy"));
    assert!(header.contains("'<U3'") && header.contains("(3,)"), "{header}");
    assert_eq!(&data[..8], b"c\0\0\0a\0\0\0");
    assert_eq!(read_array(format!("{out}/scores.values.npy")).1.len(), 24);
    let label = format!("label={out}/label.npy");
    anemone(&["verify", &path, "-i", &x, "-e", &label]).exits(0);
    let other = format!("x={}", folder.array("other.npy", &[3], &[0.5, 0.25, 0.25]));
    let ran = anemone(&["verify", &path, "-i", &other, "-e", &label]).exits(1);
    assert!(ran.out.contains("label is \"cat\", and \"été\" is expected"), "{}", ran.out);
}
