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

/// A program of many layers becomes several, which are run one behind the other, and give what it gives.
#[test]
fn what_is_too_deep_is_divided() {
    let folder = Folder::new();
    let mut text =
        "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [1, 8]> x, tensor<fp16, [1, 8]> late) {\n\
                    tensor<fp16, [8, 8]> w = const()[val = fp16(0.125)];\n\
                    tensor<fp16, [1, 8]> v0 = linear(x = x, weight = w);\n"
            .to_string();
    for i in 1..600 {
        let op = match i % 50 {
            0 => format!("linear(x = v{}, weight = w)", i - 1),
            7 => format!("add(x = v{}, y = late)", i - 1),
            _ => format!("mul(x = v{}, y = fp16(1.01))", i - 1),
        };
        text += &format!("tensor<fp16, [1, 8]> v{i} = {op};\n");
    }
    text += "} -> (v599, v1);\n}\n";
    let path = folder.file("deep.mil", text);
    let out = folder.path("fixed.mil");
    let report = anemone(&["legalise", &path, &out, "--chip", "m4", "--json"]).exits(0).json();
    let parts = report["parts"].as_array().unwrap();
    assert!(parts.len() == 2 && report["changes"][0]["rule"] == "divide", "{report}");
    let chain: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path("fixed.chain.json")).unwrap()).unwrap();
    assert_eq!(&chain["parts"], &report["parts"]);
    let whole = folder.path("whole");
    anemone(&["run", &path, "-o", &whole, "--seed", "5", "-q"]).exits(0);
    // What nobody gives is drawn by its name, so that each part draws what the whole program draws.
    let chained = folder.path("chained");
    for part in parts {
        let path = part["path"].as_str().unwrap();
        anemone(&["check", path, "--chip", "m4", "--route", "direct", "-q"]).exits(0);
        let mut args: Vec<String> =
            ["run", path, "-o", &chained, "--seed", "5", "-q"].map(str::to_string).to_vec();
        for input in part["inputs"].as_array().unwrap() {
            let input = input.as_str().unwrap();
            let made = format!("{chained}/{input}.npy");
            if std::path::Path::new(&made).exists() {
                args.extend(["-i".to_string(), format!("{input}={made}")]);
            }
        }
        anemone(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    }
    for output in ["v599", "v1"] {
        let of = |folder: &str| std::fs::read(format!("{folder}/{output}.npy")).unwrap();
        assert!(of(&whole) == of(&chained), "{output}");
    }
}

/// The direct route has its surfaces in the order of their names.
#[test]
fn inputs_and_outputs_are_put_in_order() {
    let folder = Folder::new();
    let text = "program(1.3)\n{\n    func main<ios18>(tensor<fp16, [1, 32]> b, tensor<fp16, [1, 32]> a) {\n\
                tensor<fp16, [1, 32]> z = sub(x = b, y = a);\ntensor<fp16, [1, 32]> y = relu(x = z);\n} -> (z, y);\n}\n";
    let path = folder.file("order.mil", text);
    let package = folder.path("order.mlpackage");
    anemone(&["convert", &path, &package, "-q"]).exits(0);
    for (from, to) in [(&path, "out.mil"), (&package, "out.mlpackage")] {
        let out = folder.path(to);
        let report = anemone(&["legalise", from, &out, "--chip", "m4", "--json"]).exits(0).json();
        let what: Vec<&str> =
            report["changes"].as_array().unwrap().iter().map(|c| c["what"].as_str().unwrap()).collect();
        assert_eq!(what, ["inputs in the order of their names", "outputs in the order of their names"]);
        assert_eq!(report["parts"][0]["inputs"], serde_json::json!(["a", "b"]));
        assert_eq!(report["parts"][0]["outputs"], serde_json::json!(["y", "z"]));
        let said = anemone(&["check", &out, "--chip", "m4", "--route", "direct", "--json"]).exits(0).json();
        assert!(
            said["diagnostics"].as_array().unwrap().iter().all(|d| d["code"] != "output-order"),
            "{said}"
        );
        let ran = |path: &str| {
            let outputs = anemone(&["run", path, "--json"]).exits(0).json()["outputs"].clone();
            let mut all: Vec<String> = outputs.as_array().unwrap().iter().map(|o| o.to_string()).collect();
            all.sort();
            all
        };
        assert_eq!(ran(&out), ran(from));
    }
}
