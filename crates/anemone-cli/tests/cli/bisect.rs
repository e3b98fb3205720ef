//! `bisect`, and the arithmetic of chips in `run`.

use super::{Folder, anemone};

/// A sum that overflows on its way.
const SUM: &str = "program(1.3) {
    func main<ios18>(tensor<fp16, [1, 3]> x) {
        tensor<fp16, [1, 3]> h = relu(x = x);
        tensor<fp16, [1, 1]> y = linear(x = h, weight = tensor<fp16, [1, 3]>([[1, 1, -1]]), bias = tensor<fp16, [1]>([0]));
    } -> (y);
}
";

/// Row X18: with which arithmetic the engines compute.
#[test]
fn runs_follow_the_arithmetic_that_is_asked_for() {
    let folder = Folder::new();
    let path = folder.file("sum.mil", SUM);
    let x = format!("x={}", folder.array("x.npy", &[1, 3], &[30000.0, 30000.0, 30000.0]));
    let value = |numerics: &str, device: &str| {
        let arguments = ["run", &path, "-i", &x, "--numerics", numerics, "--device", device, "--json"];
        anemone(&arguments).exits(0).json()["outputs"][0]["inf"].clone()
    };
    for device in ["cpu", "reference"] {
        assert_eq!(value("ieee", device), 0);
        assert_eq!(value("m1", device), 1);
        assert_eq!(value("M6", device), 1);
    }
    anemone(&["run", &path, "--numerics", "m7"]).exits(2);
}

#[test]
fn the_first_op_that_departs_is_named() {
    let folder = Folder::new();
    let path = folder.file("sum.mil", SUM);
    let large = format!("x={}", folder.array("large.npy", &[1, 3], &[30000.0, 30000.0, 30000.0]));
    let told = anemone(&["bisect", &path, "-i", &large, "--numerics", "m1", "--all"]).exits(1);
    assert!(told.out.contains("`y` (linear) is the first op that departs on m1"), "{}", told.out);
    assert!(told.out.contains("at [0, 0]: inf on m1, 30000 with ieee"), "{}", told.out);
    assert!(told.out.contains("sums of such activations can reach 90000"), "{}", told.out);
    let report = anemone(&["bisect", &path, "-i", &large, "--json"]).exits(1).json();
    assert_eq!((&report["first"]["op"], &report["first"]["overflown"]), (&"linear".into(), &1.into()));
    let small = format!("x={}", folder.array("small.npy", &[1, 3], &[3.0, 4.0, 5.0]));
    let told = anemone(&["bisect", &path, "-i", &small]).exits(0);
    assert!(told.out.contains("no op departs"), "{}", told.out);
    anemone(&["bisect", &path, "--numerics", "ieee"]).exits(2);
}
