//! `legalise`.

use super::{Folder, anemone};

/// A program with an op that no engine has.
const FAR: &str = r#"program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 8]> x) {
            tensor<fp16, [1, 8]> t = tan(x = x)[name = string("t")];
            tensor<fp16, [1, 8]> y = relu(x = t);
        } -> (y);
}"#;

#[test]
fn what_is_refused_is_written_with_other_ops() {
    let folder = Folder::new();
    let path = folder.file("far.mil", FAR);
    let check = |path: &str| anemone(&["check", path, "--chip", "m4", "--route", "direct", "-q"]);
    check(&path).exits(1);
    let ran = |path: &str| anemone(&["run", path, "--json"]).exits(0).json()["outputs"][0]["type"].clone();
    for out in ["a.mil", "b.mlmodelc", "c.mlpackage"] {
        let out = folder.path(out);
        let report = anemone(&["legalise", &path, &out, "--chip", "m4", "--json"]).exits(0).json();
        assert_eq!((&report["ok"], &report["left"]), (&true.into(), &serde_json::json!([])));
        let change = &report["changes"][0];
        assert_eq!(
            (&change["rule"], &change["name"], &change["op"]),
            (&"tan".into(), &"t".into(), &"tan".into())
        );
        check(&out).exits(0);
        assert_eq!(ran(&out), ran(&path));
    }
}

#[test]
fn what_is_left_is_said() {
    let folder = Folder::new();
    let path = folder.file(
        "odd.mil",
        FAR.replace(
            "tan(x = x)",
            "random_uniform(shape = tensor<int32, [2]>([1, 8]), low = fp16(0), high = fp16(1))",
        ),
    );
    let out = folder.path("out.mil");
    let ran = anemone(&["legalise", &path, &out, "--chip", "m4"]).exits(1);
    assert!(ran.out.contains("left as it is:") && ran.out.contains("random_uniform"), "{}", ran.out);
    anemone(&["legalise", &path, &out, "--chip", "m4"]).exits(2).complains("--force");
    anemone(&["legalise", &path, &out, "--chip", "m9", "--force"]).exits(2).complains("m1 to m6");
    let wrong = folder.file("wrong.mil", FAR.replace("tan(", "tann("));
    anemone(&["legalise", &wrong, &folder.path("w.mil"), "--chip", "m4"]).exits(1).complains("unknown-op");
}
