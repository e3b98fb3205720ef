//! Bundles made in code, written, opened, and broken.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

use super::model::{ModelFile, PROGRAM};
use super::*;
use crate::blob::pack_weights;
use crate::mil::{BlobRef, Value};
use crate::text;
use crate::types::{DType, TensorType};

/// One program with everything that a package can hold.
const EVERYTHING: &str = r#"program(1.3)
[buildInfo = dict<string, string>({{"coremltools-version", "9.0"}})]
{
    func main<ios18>(state<tensor<fp16, [2, 4]>> cache, tensor<fp16, [2, 4]> x) {
            tensor<fp16, [2, 4]> w = const()[name = string("w"), val = tensor<fp16, [2, 4]>(BLOBFILE(path = string("@model_path/weights/a.bin"), offset = uint64(64)))];
            tensor<fp16, [2, 4]> v = const()[name = string("v"), val = tensor<fp16, [2, 4]>(BLOBFILE(path = string("@model_path/weights/b.bin"), offset = uint64(64)))];
            tensor<int32, [2]> axes = const()[name = string("axes"), val = tensor<int32, [2]>([0, -1])];
            tensor<bool, [3]> mask = const()[name = string("mask"), val = tensor<bool, [3]>([true, false, true])];
            tensor<string, [2]> words = const()[name = string("words"), val = tensor<string, [2]>(["a \"b\"", ""])];
            fp16 half = const()[name = string("half"), val = fp16(0x1p-1)];
            int4 small = const()[name = string("small"), val = int4(-8)];
            uint64 large = const()[name = string("large"), val = uint64(18446744073709551615)];
            tensor<fp16, [2, 4]> a = read_state(input = cache)[name = string("a")];
            tensor<fp16, [2, 4]> b = add(x = a, y = w)[name = string("b")];
            bool p = const()[name = string("p"), val = bool(true)];
            tensor<fp16, [2, 4]> c = cond(pred = p)[name = string("c")] block () {
                    tensor<fp16, [2, 4]> c0 = mul(x = b, y = fp16(0x1.8p+1));
                } -> (c0) block () {
                    tensor<fp16, [2, 4]> c1 = mul(x = v, y = half);
                } -> (c1);
            write_state(data = c, input = cache)[name = string("write")];
            tensor<fp16, [4, 4]> y = concat(axis = int32(0), interleave = bool(false), values = (c, x))[name = string("y")];
        } -> (y);
}"#;

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// A folder with the program and its two weight files.
fn everything() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "weights/a.bin", pack_weights(&[0x3c00; 8]));
    write(folder.path(), "weights/b.bin", pack_weights(&[0x4000; 8]));
    let path = write(folder.path(), "all.mil", EVERYTHING);
    (folder, path)
}

fn refused(path: impl AsRef<Path>) -> &'static str {
    match open(path.as_ref()) {
        Err(Error::Refused { diagnostics, .. }) => diagnostics.iter().next().unwrap().code.name,
        other => panic!("{other:?}"),
    }
}

fn blob(bundle: &Bundle, call: usize) -> BlobRef {
    match &bundle.program.functions[0].body.calls[call].attribute("val").unwrap().value {
        Value::Blob(blob) => blob.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_survives_every_form() {
    let (folder, path) = everything();
    let text = open(&path).unwrap();
    assert_eq!((text.form, text.specification_version), (Form::Text, None));
    let at = |name: &str| folder.path().join(name);

    let written = write_mlpackage(&text, at("all.mlpackage")).unwrap();
    assert!(written.notes.is_empty());
    let package = open(at("all.mlpackage")).unwrap();
    assert_eq!((package.form, package.specification_version), (Form::Package, Some(9)));
    let (a, b) = (blob(&package, 0), blob(&package, 1));
    assert_eq!((&*a.path, a.offset), ("@model_path/weights/weight.bin", 64));
    assert_eq!((&*b.path, b.offset), ("@model_path/weights/weight.bin", 192));
    assert_eq!(package.weights.get(&a).unwrap().to_f64s(), [1.0; 8]);
    assert_eq!(package.weights.get(&b).unwrap().to_f64s(), [2.0; 8]);

    let print = |b: &Bundle| text::print(&b.program);
    let paths =
        |s: &str| s.replace("offset = uint64(192)", "offset = uint64(64)").replace("weight.bin", "a.bin");
    assert_eq!(paths(&print(&package)), EVERYTHING.replace("b.bin", "a.bin"));

    write_mlmodelc(&package, at("all.mlmodelc")).unwrap();
    let compiled = open(at("all.mlmodelc")).unwrap();
    assert_eq!((compiled.form, compiled.specification_version), (Form::Compiled, Some(9)));
    assert_eq!(print(&compiled), print(&package));
    assert_eq!(compiled.description, package.description);
    assert_eq!(compiled.weights.get(&b).unwrap().to_f64s(), [2.0; 8]);

    write_mlpackage(&compiled, at("again.mlpackage")).unwrap();
    let model = |name: &str| fs::read(at(name).join("Data/com.apple.CoreML/model.mlmodel")).unwrap();
    let again = open(at("again.mlpackage")).unwrap();
    assert_eq!(print(&again), print(&package));
    // The second description has an empty metadata message, which is one message more and says nothing.
    assert_eq!(again.description, package.description);
    write_mlpackage(&again, at("third.mlpackage")).unwrap();
    assert_eq!(model("third.mlpackage"), model("again.mlpackage"));

    write_mil(&again, at("out/again.mil")).unwrap();
    assert_eq!(print(&open(at("out/again.mil")).unwrap()), print(&package));
    assert_eq!(
        fs::read(at("out/weights/weight.bin")).unwrap(),
        fs::read(at("all.mlpackage/Data/com.apple.CoreML/weights/weight.bin")).unwrap()
    );

    let bare = write(folder.path(), "bare.mlmodel", model("third.mlpackage"));
    assert_eq!(print(&open(bare).unwrap()), print(&package));
}

#[test]
fn the_same_program_gives_the_same_package() {
    let (folder, path) = everything();
    let bundle = open(path).unwrap();
    let files = |name: &str| {
        write_mlpackage(&bundle, folder.path().join(name)).unwrap();
        let read = |p: &str| fs::read(folder.path().join(name).join(p)).unwrap();
        ["Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"]
            .map(read)
    };
    assert_eq!(files("a.mlpackage"), files("b.mlpackage"));
}

#[test]
fn a_single_weight_file_is_copied_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let text = EVERYTHING.replace("weights/b.bin", "weights/a.bin");
    let path = write(folder.path(), "model.mil", text);
    let mut bytes = pack_weights(&[0x3c00; 8]);
    bytes.extend([7; 1000]);
    write(folder.path(), "weights/a.bin", &bytes);
    write_mlpackage(&open(path).unwrap(), folder.path().join("x.mlpackage")).unwrap();
    let written = folder.path().join("x.mlpackage/Data/com.apple.CoreML/weights/weight.bin");
    assert_eq!(fs::read(written).unwrap(), bytes);
}

#[test]
fn weights_that_are_not_there_are_noted_unless_they_must_be_merged() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.mil", EVERYTHING);
    let bundle = open(path).unwrap();
    assert_eq!(write_mlmodelc(&bundle, folder.path().join("x.mlmodelc")).unwrap().notes.len(), 2);
    match write_mlpackage(&bundle, folder.path().join("x.mlpackage")) {
        Err(Error::Refused { diagnostics, .. }) => assert!(diagnostics.has_errors()),
        other => panic!("{other:?}"),
    }
    assert!(!folder.path().join("x.mlpackage").exists());
}

const FLEXIBLE: &str = r#"program(1.0)
[buildInfo = dict<tensor<string, []>, tensor<string, []>>({})]
{
    func main<ios16>(tensor<fp16, [1, ?, ?]> x) [FlexibleShapeInformation = tuple<tuple<tensor<string, []>, dict<tensor<string, []>, tensor<int32, [?]>>>, tuple<tensor<string, []>, dict<tensor<string, []>, list<tensor<int32, [2]>, ?>>>>((("DefaultShapes", {{"x", [1, 1, 1]}}), ("RangeDims", {{"x", [[1, 1], [1, 2048], [1, -1]]}})))] {
            tensor<fp16, [1, ?, ?]> y = relu(x = x);
        } -> (y);
}"#;

#[test]
fn ranges_of_shapes_are_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.mil", FLEXIBLE);
    write_mlpackage(&open(path).unwrap(), folder.path().join("x.mlpackage")).unwrap();
    let package = open(folder.path().join("x.mlpackage")).unwrap();
    assert_eq!(text::print(&package.program), FLEXIBLE);
    assert_eq!(package.specification_version, Some(7));
    let input = &package.description.as_ref().unwrap().functions[0].inputs[0];
    let FeatureKind::Array(array) = &input.kind else { panic!("{input:?}") };
    let range = |lower, upper| SizeRange { lower, upper };
    assert_eq!(array.shape, [1, 1, 1]);
    let ranges = vec![range(1, Some(1)), range(1, Some(2048)), range(1, None)];
    assert_eq!(array.flexibility, Flexibility::Ranges(ranges));
}

#[test]
fn choices_of_shapes_and_several_functions_are_carried_over() {
    let enumerated = |key: [&str; 2], name: &str| {
        format!(
            r#"    func {name}<ios17>(tensor<fp32, [?]> x) [FlexibleShapeInformation = tuple<tuple<string, dict<string, tensor<int32, [?]>>>, tuple<string, dict<string, dict<string, tensor<int32, [?]>>>>>((("DefaultShapes", {{{{"x", [4]}}}}), ("EnumeratedShapes", {{{{"{}", {{{{"x", [4]}}}}}}, {{"{}", {{{{"x", [8]}}}}}}}})))] {{
            tensor<fp32, [?]> y = relu(x = x);
        }} -> (y);
"#,
            key[0], key[1]
        )
    };
    let program = |key: [&str; 2]| {
        let functions = enumerated(key, "first") + &enumerated(key, "second");
        format!("program(1.3)\n[buildInfo = dict<string, string>({{}})]\n{{\n{functions}}}")
    };
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.mil", program(["543d0f94", "697b758f"]));
    write_mlpackage(&open(path).unwrap(), folder.path().join("x.mlpackage")).unwrap();
    let package = open(folder.path().join("x.mlpackage")).unwrap();
    let description = package.description.as_ref().unwrap();
    assert_eq!(
        description.functions.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        ["first", "second"]
    );
    assert_eq!(description.default_function.as_deref(), Some("first"));
    let FeatureKind::Array(array) = &description.functions[1].inputs[0].kind else { panic!() };
    assert_eq!(array.flexibility, Flexibility::Enumerated(vec![vec![4], vec![8]]));
    // The keys are hashes, those of Apple's compiler of an unknown kind.
    let text = text::print(&package.program);
    let keys: Vec<&str> = text.match_indices("\", {{\"x\"").map(|(i, _)| &text[i - 10..i]).collect();
    let keys: Vec<&str> = keys.into_iter().filter_map(|k| k.strip_prefix("{\"")).collect();
    assert_eq!(keys.len(), 4);
    let (a, b) = (keys[0], keys[1]);
    assert_eq!(text.replace("[4]", "[8]"), program([a, b]).replace("[4]", "[8]"));
}

#[test]
fn what_no_package_can_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let code = |text: &str| {
        let path = write(folder.path(), "model.mil", text);
        match write_mlpackage(&open(path).unwrap(), folder.path().join("x.mlpackage")) {
            Err(Error::Refused { diagnostics, .. }) => diagnostics.iter().next().unwrap().code.name,
            other => panic!("{other:?}"),
        }
    };
    let one = |param: &str, op: &str| {
        format!(
            "program(1.3) {{ func main<ios18>({param} x) {{ tensor<fp16, [4]> y = {op}(x = x); }} -> (y); }}"
        )
    };
    assert_eq!(code(&one("tensor<bool, [4]>", "relu")), "no-package-form");
    assert_eq!(code(&one("tensor<fp16, [4]>", "relu<ios17>")), "no-package-form");
    let buffer = "tensor_buffer<fp16, shape=[4], strides=[1], interleave_factors=[1]>";
    assert_eq!(code(&one(buffer, "relu")), "no-package-form");
    let deep = (0..55).fold("tensor<fp16, [4]> y = relu(x = x);".to_string(), |inner, i| {
        format!(
            "tensor<fp16, [4]> z{i} = cond(pred = x) block () {{ {inner} }} -> (x) block () {{ }} -> (x);"
        )
    });
    let deep = format!("program(1.3) {{ func main<ios18>(tensor<fp16, [4]> x) {{ {deep} }} -> (x); }}");
    assert_eq!(code(&deep), "no-package-form");
}

/// A package whose model file has these bytes.
fn package(folder: &Path, model: &[u8]) -> PathBuf {
    let path = folder.join("x.mlpackage");
    write(&path, "Data/com.apple.CoreML/model.mlmodel", model);
    write(&path, "Manifest.json", manifest("com.apple.CoreML/model.mlmodel"));
    path
}

fn manifest(path: &str) -> String {
    format!(
        r#"{{"fileFormatVersion": "1.0.0", "itemInfoEntries": {{"A": {{"author": "com.apple.CoreML",
        "description": "", "name": "model.mlmodel", "path": "{path}"}}}}, "rootModelIdentifier": "A"}}"#
    )
}

fn model_of(number: u32, model: &[u8]) -> Vec<u8> {
    let kind = ModelKind::of(number).unwrap();
    ModelFile { specification_version: 7, description: &[], updatable: false, kind, model }.encode()
}

#[test]
fn no_length_of_a_model_file_and_no_byte_of_it_makes_opening_panic() {
    let (folder, path) = everything();
    write_mlpackage(&open(path).unwrap(), folder.path().join("y.mlpackage")).unwrap();
    let model = fs::read(folder.path().join("y.mlpackage/Data/com.apple.CoreML/model.mlmodel")).unwrap();
    let open_bytes = |bytes: &[u8]| open::open_model(Path::new("x"), bytes, Form::Package, Weights::none());
    for length in 0..model.len() {
        assert!(open_bytes(&model[..length]).is_err());
    }
    for i in 0..model.len() {
        for flip in [1, 0xff] {
            let mut bytes = model.clone();
            bytes[i] ^= flip;
            if let Ok(bundle) = open_bytes(&bytes) {
                assert!(!text::print(&bundle.program).is_empty());
            }
        }
    }
}

#[test]
fn manifests_that_lead_out_of_the_package_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = package(folder.path(), &model_of(PROGRAM, &[]));
    write(folder.path(), "outside.mlmodel", model_of(PROGRAM, &[]));
    for inside in ["../../outside.mlmodel", "a/../../../outside.mlmodel", "/etc/passwd", "..", "x\\u0000y"] {
        fs::write(path.join("Manifest.json"), manifest(inside)).unwrap();
        assert_eq!(refused(&path), "path-escape", "{inside}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path().join("outside.mlmodel"), path.join("Data/link")).unwrap();
        fs::write(path.join("Manifest.json"), manifest("link")).unwrap();
        assert_eq!(refused(&path), "path-escape");
    }
    fs::write(path.join("Manifest.json"), manifest("com.apple.CoreML")).unwrap();
    assert_eq!(refused(&path), "model-missing");
    fs::write(path.join("Manifest.json"), manifest("nowhere")).unwrap();
    assert_eq!(refused(&path), "model-missing");
    for broken in ["", "{", "[]", "{\"rootModelIdentifier\": \"B\"}", &"[".repeat(100_000)] {
        fs::write(path.join("Manifest.json"), broken).unwrap();
        assert_eq!(refused(&path), "manifest-invalid", "{broken:.10}");
    }
    fs::remove_file(path.join("Manifest.json")).unwrap();
    assert_eq!(refused(&path), "manifest-missing");
}

#[test]
fn programs_that_are_broken_inside_are_refused() {
    use super::proto::*;
    let folder = tempfile::tempdir().unwrap();
    let refused_program = |program: &proto::Program| {
        let model = model_of(PROGRAM, &program.encode_to_vec());
        refused(package(folder.path(), &model))
    };
    let tensor = |rank: i64, sizes: &[u64]| ValueType {
        r#type: Some(ValueTypeKind::Tensor(TensorType {
            data_type: DataType::Float16 as i32,
            rank,
            dimensions: sizes
                .iter()
                .map(|&size| Dimension {
                    dimension: Some(DimensionKind::Constant(ConstantDimension { size })),
                })
                .collect(),
        })),
    };
    let with = |ty: ValueType, bytes: Option<Vec<u8>>| {
        let value = bytes.map(|values| {
            let value = Some(TensorValueKind::Bytes(RepeatedBytes { values }));
            ValueKind::Immediate(ImmediateValue { value: Some(ImmediateKind::Tensor(TensorValue { value })) })
        });
        let value = proto::Value { doc_string: String::new(), r#type: Some(ty), value };
        let operation = Operation {
            r#type: "const".into(),
            attributes: [("val".to_string(), value)].into(),
            ..Operation::default()
        };
        let block = Block { operations: vec![operation], ..Block::default() };
        let function = proto::Function {
            opset: "CoreML7".into(),
            block_specializations: [("CoreML7".to_string(), block)].into(),
            ..proto::Function::default()
        };
        proto::Program { functions: [("main".to_string(), function)].into(), ..proto::Program::default() }
    };
    let two = || Some(vec![0; 4]);
    assert_eq!(refused_program(&proto::Program::default()), "no-function");
    assert_eq!(refused_program(&with(tensor(1, &[3]), two())), "value-shape");
    assert_eq!(refused_program(&with(tensor(1, &[1 << 60]), two())), "value-shape");
    assert_eq!(refused_program(&with(tensor(2, &[u64::MAX, u64::MAX]), two())), "value-shape");
    assert_eq!(refused_program(&with(tensor(1 << 60, &[2]), two())), "protobuf-invalid");
    assert_eq!(refused_program(&with(tensor(-1, &[]), two())), "protobuf-invalid");
    assert_eq!(refused_program(&with(tensor(65, &[1; 65]), two())), "bad-dimension");
    assert_eq!(refused_program(&with(tensor(1, &[2]), None)), "protobuf-invalid");
    assert_eq!(refused_program(&with(ValueType::default(), two())), "protobuf-invalid");

    let rename = |f: &dyn Fn(&mut proto::Function)| {
        let mut program = with(tensor(1, &[2]), two());
        f(program.functions.get_mut("main").unwrap());
        program
    };
    assert!(open(package(folder.path(), &model_of(PROGRAM, &rename(&|_| {}).encode_to_vec()))).is_ok());
    assert_eq!(refused_program(&rename(&|f| f.opset = "CoreML8".into())), "protobuf-invalid");
    let inject = "x) -> (y); func z<ios15>(tensor<fp16, [1]> a".to_string();
    let input = NamedValueType { name: inject, r#type: Some(tensor(1, &[2])) };
    assert_eq!(refused_program(&rename(&|f| f.inputs = vec![input.clone()])), "protobuf-invalid");
}

#[test]
fn messages_inside_of_messages_have_an_end() {
    let folder = tempfile::tempdir().unwrap();
    // Types in types, and operations in blocks in operations, without end.
    let wrap = |field: u8, inner: Vec<u8>| {
        let mut out = vec![field << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend(inner);
        out
    };
    let types = (0..5_000).fold(Vec::new(), |inner, _| wrap(3, wrap(1, inner)));
    let blocks = (0..5_000).fold(Vec::new(), |inner, _| wrap(3, wrap(4, inner)));
    let value = wrap(2, types);
    for (field, inner) in [(4, wrap(2, value)), (2, wrap(2, wrap(3, wrap(2, blocks))))] {
        let model = model_of(PROGRAM, &wrap(field, inner));
        assert_eq!(refused(package(folder.path(), &model)), "too-deep");
    }
}

#[test]
fn models_of_other_kinds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ModelKind::ALL {
        let path = package(folder.path(), &model_of(kind.number, &[]));
        let expected = if kind.is_program() { "no-function" } else { "not-a-program" };
        assert_eq!(refused(&path), expected);
    }
    let compiled = folder.path().join("y.mlmodelc");
    write(&compiled, "coremldata.bin", [500u32.to_le_bytes(), [0; 4]].concat());
    assert_eq!(refused(&compiled), "not-a-program");
    write(&compiled, "coremldata.bin", 502u32.to_le_bytes());
    assert_eq!(refused(&compiled), "model-missing");
    write(&compiled, "coremldata.bin", []);
    assert_eq!(refused(&compiled), "model-missing");
}

#[test]
fn a_pipeline_keeps_its_stages() {
    let (folder, path) = everything();
    let at = |name: &str| folder.path().join(name);
    write_mlpackage(&open(path).unwrap(), at("one.mlpackage")).unwrap();
    let program = fs::read(at("one.mlpackage/Data/com.apple.CoreML/model.mlmodel")).unwrap();
    let nms = model_of(610, &[1, 2, 3]);
    let names = ["detect", "suppress"];
    let model = model_of(202, &ModelFile::encode_stages(&[program, nms.clone()], &names));
    let path = package(folder.path(), &model);
    let weights = "Data/com.apple.CoreML/weights/weight.bin";
    write(&path, weights, fs::read(at("one.mlpackage").join(weights)).unwrap());

    let check = |bundle: &Bundle, names: [&str; 2]| {
        let found: Vec<_> = bundle.stages.iter().map(|s| (s.name.as_str(), s.kind.number)).collect();
        assert_eq!(found, [(names[0], PROGRAM), (names[1], 610)]);
        assert_eq!(bundle.program.functions[0].body.calls.len(), 14);
        assert_eq!(bundle.weights.get(&blob(bundle, 1)).unwrap().to_f64s(), [2.0; 8]);
    };
    let bundle = open(&path).unwrap();
    check(&bundle, names);
    let written = write_mlmodelc(&bundle, at("x.mlmodelc")).unwrap();
    assert_eq!(written.notes.len(), 1);
    assert_eq!(fs::read(at("x.mlmodelc/model1/model.mlmodel")).unwrap(), nms);
    let compiled = open(at("x.mlmodelc")).unwrap();
    check(&compiled, names);
    write_mlpackage(&compiled, at("again.mlpackage")).unwrap();
    check(&open(at("again.mlpackage")).unwrap(), names);
    assert!(at("again.mlpackage/Data/com.apple.CoreML/weights/0-weight.bin").exists());
}

#[test]
fn a_bundle_takes_the_place_of_a_bundle_and_of_nothing_else() {
    let (folder, path) = everything();
    let at = |name: &str| folder.path().join(name);
    let bundle = open(path).unwrap();
    write(folder.path(), "precious/thesis.txt", "forty years");
    assert!(matches!(write_mlmodelc(&bundle, at("precious")), Err(Error::Io { .. })));
    assert!(matches!(write_mlpackage(&bundle, at("all.mil")), Err(Error::Io { .. })));
    assert!(matches!(write_mlpackage(&bundle, at("no/such/folder/x.mlpackage")), Err(Error::Io { .. })));
    assert_eq!(fs::read(at("precious/thesis.txt")).unwrap(), b"forty years");

    write_mlpackage(&bundle, at("x.mlpackage")).unwrap();
    write(&at("x.mlpackage"), "left over", "");
    // A bundle may take its own place: its weights are mapped while they are copied.
    let own = open(at("x.mlpackage")).unwrap();
    write_mlpackage(&own, at("x.mlpackage")).unwrap();
    assert!(!at("x.mlpackage/left over").exists());
    assert!(open(at("x.mlpackage")).unwrap().weights.get(&blob(&own, 1)).is_ok());

    // What is beside a text file belongs to others too.
    write(folder.path(), "other/weights/a.bin", "something else");
    assert!(matches!(write_mil(&bundle, at("other/all.mil")), Err(Error::Io { .. })));
    assert_eq!(fs::read(at("other/weights/a.bin")).unwrap(), b"something else");
    write_mil(&bundle, at("all.mil")).unwrap();
    write_mil(&bundle, at("as_folder")).unwrap();
    assert!(at("as_folder/weights/b.bin").exists() && at("as_folder/model.mil").exists());

    let left = |p: &Path| {
        fs::read_dir(p).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().ends_with(".tmp"))
    };
    assert!(!left(folder.path()) && !left(&at("other")) && !left(&at("as_folder/weights")));
}

#[test]
fn files_of_no_known_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| write(folder.path(), name, bytes);
    assert_eq!(refused(path("a.zip", b"PK\x03\x04....")), "unknown-file");
    assert_eq!(refused(path("weight.bin", &pack_weights(&[0; 4]))), "unknown-file");
    assert_eq!(refused(path("empty", b"")), "unknown-file");
    assert_eq!(refused(path("pointer", b"version https://git-lfs.github.com/spec/v1\n")), "lfs-pointer");
    assert_eq!(refused(path("p.mil", b"version https://git-lfs.github.com/spec/v1\n")), "lfs-pointer");
    assert_eq!(refused(path("p.mlmodel", b"version https://git-lfs.github.com/spec/v1\n")), "lfs-pointer");
    assert_eq!(refused(path("broken.mlmodel", b"\xff\xff")), "protobuf-invalid");
    assert_eq!(refused(path("latin.mil", b"program(1.3) // \xe9")), "bad-encoding");
    assert_eq!(refused(folder.path()), "unknown-file");
    fs::create_dir(folder.path().join("x.mlmodelc")).unwrap();
    fs::create_dir(folder.path().join("x.mlpackage")).unwrap();
    assert_eq!(refused(folder.path().join("x.mlmodelc")), "model-missing");
    assert_eq!(refused(folder.path().join("x.mlpackage")), "manifest-missing");
    assert!(matches!(open(folder.path().join("nowhere")), Err(Error::Io { .. })));
    let named_otherwise = path("text", format!("// a comment\n/* another */ {EVERYTHING}").as_bytes());
    assert_eq!(open(named_otherwise).unwrap().form, Form::Text);
}

#[test]
fn the_description_must_fit_the_program() {
    let (folder, path) = everything();
    let bundle = open(path).unwrap();
    write_mlpackage(&bundle, folder.path().join("y.mlpackage")).unwrap();
    let file = folder.path().join("y.mlpackage/Data/com.apple.CoreML/model.mlmodel");
    let bytes = fs::read(&file).unwrap();
    let model = ModelFile::new(&bytes).unwrap();
    let mut d = description::decode(model.description).unwrap();
    d.functions[0].inputs[0].name = "z".into();
    let changed = description::encode(&d, false);
    let bytes = ModelFile { description: &changed, ..model }.encode();
    fs::write(&file, bytes).unwrap();
    assert_eq!(refused(folder.path().join("y.mlpackage")), "interface-mismatch");
}

#[test]
fn every_kind_of_feature_survives_its_message() {
    let feature = |kind| Feature { name: "f".into(), description: "d".into(), kind, optional: true };
    let array = |flexibility| ArrayFeature {
        dtype: Some(DType::Int32),
        shape: vec![1, 2],
        flexibility,
        default: Some(3.0),
    };
    let range = SizeRange { lower: 1, upper: None };
    let sizes = Flexibility::Enumerated(vec![vec![3, 4], vec![5, 6]]);
    let image = |sizes| ImageFeature { height: 3, width: 4, colour: Colour::Bgr, sizes };
    let features: Vec<Feature> = [
        FeatureKind::Int64,
        FeatureKind::Double,
        FeatureKind::String,
        FeatureKind::Image(image(sizes.clone())),
        FeatureKind::Image(image(Flexibility::Ranges(vec![range; 2]))),
        FeatureKind::Array(array(Flexibility::Fixed)),
        FeatureKind::Array(array(sizes)),
        FeatureKind::Dictionary(Key::String),
        FeatureKind::Sequence { item: Key::Int64, length: range },
        FeatureKind::State(array(Flexibility::Ranges(vec![range; 2]))),
        FeatureKind::Unknown,
    ]
    .map(feature)
    .to_vec();
    let interface = |name: &str| Interface {
        name: name.into(),
        inputs: features.clone(),
        outputs: features[..2].to_vec(),
        states: features[2..4].to_vec(),
        predicted_feature: Some("f".into()),
        predicted_probabilities: None,
    };
    let metadata = Metadata {
        short_description: "what".into(),
        version: "1".into(),
        author: "who".into(),
        license: "how".into(),
        user_defined: [("k".to_string(), "v".to_string())].into(),
    };
    let one = Description { functions: vec![interface("main")], default_function: None, metadata };
    assert_eq!(description::decode(&description::encode(&one, false)).unwrap(), one);
    let two = Description {
        functions: vec![interface("a"), interface("b")],
        default_function: Some("b".into()),
        metadata: Metadata::default(),
    };
    assert_eq!(description::decode(&description::encode(&two, true)).unwrap(), two);
}

#[test]
fn weights_in_another_folder_of_the_package_are_found() {
    let (folder, path) = everything();
    let at = |name: &str| folder.path().join(name);
    write_mlpackage(&open(path).unwrap(), at("x.mlpackage")).unwrap();
    fs::rename(at("x.mlpackage/Data/com.apple.CoreML/weights"), at("x.mlpackage/Data/elsewhere")).unwrap();
    let manifest = fs::read_to_string(at("x.mlpackage/Manifest.json")).unwrap();
    let moved = manifest.replace("com.apple.CoreML/weights", "elsewhere");
    fs::write(at("x.mlpackage/Manifest.json"), moved).unwrap();
    let bundle = open(at("x.mlpackage")).unwrap();
    assert_eq!(bundle.weights.get(&blob(&bundle, 1)).unwrap().to_f64s(), [2.0; 8]);
    let ty = TensorType::new(DType::Fp16, &[8][..]);
    let escape = BlobRef { ty, path: "@model_path/weights/../../w.bin".into(), offset: 64 };
    assert_eq!(bundle.weights.get(&escape).unwrap_err().code.name, "blob-path");
}

#[test]
fn metadata_has_the_form_of_foundation() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.mil", FLEXIBLE);
    let mut bundle = open(path).unwrap();
    let mut description = interface::of(&bundle.program).unwrap();
    description.metadata.license = "https://example.org".into();
    bundle.description = Some(description);
    write_mlmodelc(&bundle, folder.path().join("1 x-y.mlmodelc")).unwrap();
    let text = fs::read_to_string(folder.path().join("1 x-y.mlmodelc/metadata.json")).unwrap();
    let has = |part: &str| assert!(text.contains(part), "{part} is not in {text}");
    assert!(
        text.starts_with("[\n  {\n    \"availability\" : {\n      \"iOS\" : \"16.0\",\n")
            && text.ends_with("\n  }\n]")
    );
    has("    \"modelParameters\" : [\n\n    ],\n");
    has("\"license\" : \"https:\\/\\/example.org\"");
    has("\"generatedClassName\" : \"_1_x_y\"");
    has("\"shapeRange\" : \"[[1, 1], [1, 2048], [1, -1]]\"");
    has("\"formattedType\" : \"MultiArray (Float16 1 × 1 × 1)\"");
    has("\"Ios16.relu\" : 1\n");
    has("\"computePrecision\" : \"Float16\"");
}
