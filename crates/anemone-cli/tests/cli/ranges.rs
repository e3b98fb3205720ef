//! `check --ranges`.

use super::{Folder, anemone};

const LAYERS: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 3]> x) {
        tensor<fp16, [1, 3]> h = relu(x = x);
        tensor<fp16, [1, 1]> y = linear(x = h, weight = tensor<fp16, [1, 3]>([[1, 1, -1]]), bias = tensor<fp16, [1]>([0]));
        tensor<fp16, [1, 1]> z = sigmoid(x = y);
    } -> (z);
}
";

#[test]
fn what_the_bounds_do_not_rule_out_is_told() {
    let folder = Folder::new();
    let path = folder.file("layers.mil", LAYERS);
    let told = anemone(&["check", &path, "--chip", "m4", "--ranges"]).exits(0).out;
    assert!(told.contains("ranges of main on m4: with x in [-65504, 65504]"), "{told}");
    assert!(
        told.contains(
            "sum-overflows (possible) at `y` (linear): it can reach 131008, and the limit is 32768"
        ),
        "{told}"
    );
    assert!(told.contains("to change it: scale the weights by 2^-2"), "{told}");
    let small = ["check", &path, "--chip", "m4", "--ranges", "--range", "x=-100:100"];
    let told = anemone(&small).exits(0).out;
    assert!(told.contains("of 3 ops that compute on the engine 3 stay in its range"), "{told}");
    let report = anemone(&[&small[..], &["--json"]].concat()).exits(0).json();
    let ops = &report["ranges"][0]["ops"];
    assert_eq!(ops[1]["bounds"], serde_json::json!({"low": -100.0, "high": 200.0, "nan": false}));
    assert_eq!((&ops[1]["sums"], &ops[1]["seen"]), (&200.0.into(), &serde_json::Value::Null));
}

#[test]
fn samples_show_what_happens() {
    let folder = Folder::new();
    let path = folder.file("layers.mil", LAYERS);
    let sample = |name: &str, x: &[f32]| format!("x={}", folder.array(name, &[1, 3], x));
    let (small, large) = (sample("small.npy", &[1.0, 2.0, -3.0]), sample("large.npy", &[30000.0; 3]));
    let arguments = ["check", &path, "--chip", "m1,m4", "--ranges", "-i", &small, "-i", &large];
    let report = anemone(&[&arguments[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(report["ranges"].as_array().unwrap().len(), 2);
    let m1 = &report["ranges"][0];
    assert_eq!((&m1["chip"], &m1["samples"]), (&"m1".into(), &2.into()));
    let seen = &m1["ops"][1]["seen"];
    assert_eq!((&seen["elements"], &seen["infinite"], &seen["overflown"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!((&seen["low"], &seen["high"]), (&3.0.into(), &3.0.into()));
    let first = &m1["findings"][0];
    assert_eq!((&first["kind"], &first["certainty"]), (&"sum-overflows".into(), &"seen".into()));
    let told = anemone(&arguments).exits(0).out;
    assert!(told.contains("samples: 2 elements in [3, 3], 1 infinite on the chip alone"), "{told}");
    anemone(&["check", &path, "--chip", "m4", "--ranges", "--seed", "1"]).exits(0);
}

#[test]
fn ranges_are_refused_by_name_and_form() {
    let folder = Folder::new();
    let path = folder.file("layers.mil", LAYERS);
    let refused = |rest: &[&str]| anemone(&[&["check", &path][..], rest].concat()).exits(2).err;
    assert!(refused(&["--ranges"]).contains("--chip"));
    assert!(refused(&["--chip", "m4", "--ranges", "--range", "x=1"]).contains("LOW:HIGH"));
    assert!(
        refused(&["--chip", "m4", "--ranges", "--range", "q=0:1"]).contains("no function has an input `q`")
    );
    assert!(refused(&["--chip", "m4", "--ranges", "-i", "q=x.npy"]).contains("no input `q`"));
}
