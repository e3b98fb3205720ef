//! What a graph becomes: text, weights, packages, several functions.

use anemone::{Shape, bundle, graph as builder, text, verify};

use super::{built, graph, halves, run};

/// Rows F26, F48, B18: the text of a program, which is the same every time.
#[test]
fn the_text_of_a_program() {
    let (mut g, [x]) = graph([[1, 2, 1, 64]]);
    let y = g.inner_product(x, &[1.0, 2.0, 3.0, 4.0], 2, 2);
    let z = g.hard_sigmoid(y, 0.25, 0.5);
    let ones = g.constant_with_scalar(1.0, Shape::spatial(2, 1, 64));
    let z = g.addition(z, ones);
    g.max_pool(z, 1, 2, 1, 2, anemone::PadMode::Same);
    let wanted = r#"program(1.3)
{
    func main<ios18>(tensor<fp16, [1, 2, 1, 64]> input_0) {
            tensor<fp16, [2, 2, 1, 1]> const_0 = const()[name = string("const_0"), val = tensor<fp16, [2, 2, 1, 1]>([[[[0x1p+0]], [[0x1p+1]]], [[[0x1.8p+1]], [[0x1p+2]]]])];
            tensor<fp16, [1, 2, 1, 64]> conv_1 = conv(weight = const_0, x = input_0)[name = string("conv_1")];
            tensor<fp16, [1, 2, 1, 64]> linear_activation_2 = linear_activation(alpha = fp16(0x1p-2), beta = fp16(0x1p-1), x = conv_1)[name = string("linear_activation_2")];
            tensor<fp16, [1, 2, 1, 64]> clip_3 = clip(alpha = fp16(0x0p+0), beta = fp16(0x1p+0), x = linear_activation_2)[name = string("clip_3")];
            tensor<fp16, [1, 2, 1, 64]> const_4 = const()[name = string("const_4"), val = fp16(0x1p+0)];
            tensor<fp16, [1, 2, 1, 64]> add_5 = add(x = clip_3, y = const_4)[name = string("add_5")];
            tensor<fp16, [1, 2, 1, 32]> output_0 = max_pool(ceil_mode = bool(false), kernel_sizes = tensor<int32, [2]>([1, 2]), pad_type = string("same_lower"), strides = tensor<int32, [2]>([1, 2]), x = add_5)[name = string("output_0")];
        } -> (output_0);
}"#;
    assert_eq!(built(&g).text(), wanted);
}

/// A program with every form of constant that a graph writes.
fn mlp() -> builder::Built {
    let (mut g, [x]) = graph([[1, 4, 1, 64]]);
    let weights: Vec<f32> = (0..32).map(|i| i as f32 / 16.0 - 1.0).collect();
    let h = g.inner_product(x, &weights, 4, 8);
    let bias = g.constant_with_scalar(0.25, Shape::spatial(8, 1, 64));
    let h = g.addition(h, bias);
    let h = g.gelu(h, ());
    let y = g.inner_product(h, &weights, 8, 4);
    let y = g.add(y, 0.5);
    g.output("y", y);
    g.output("hidden", h);
    built(&g)
}

/// Row D4: constants of ten and more elements lie in the weight file, and equal ones once.
#[test]
fn weights_are_stored_once() {
    let program = mlp();
    let blobs = bundle::blobs(&program.program);
    assert_eq!(blobs.iter().map(|b| b.offset).collect::<Vec<_>>(), [64, 64]);
}

/// Row F55: the program can be printed and saved, and what is read again gives the same.
#[test]
fn a_program_can_be_saved_and_read_again() {
    let program = mlp();
    let x = || halves(&[1, 4, 1, 64], &(0..256).map(|i| f64::from(i) / 64.0 - 2.0).collect::<Vec<_>>());
    let wanted = run(&program, &[("input_0", x())]);
    assert_eq!(wanted.iter().map(|o| o.0.as_str()).collect::<Vec<_>>(), ["y", "hidden"]);

    let parsed = text::parse(&program.text()).unwrap();
    assert_eq!(text::print(&parsed), program.text());

    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("mlp.mlpackage");
    let compiled = folder.path().join("mlp.mlmodelc");
    let mil = folder.path().join("mlp.mil");
    bundle::write_mlpackage(&program.bundle(), &package).unwrap();
    bundle::write_mlmodelc(&program.bundle(), &compiled).unwrap();
    bundle::write_mil(&program.bundle(), &mil).unwrap();
    for path in [package, compiled, mil] {
        let read = bundle::open(&path).unwrap();
        let report = verify::verify(&read.program, &read.weights);
        let verified = report.verified.unwrap_or_else(|| panic!("{}", report.diagnostics));
        assert!(report.diagnostics.is_empty(), "a constant is one number: {}", report.diagnostics);
        let again = builder::Built {
            program: read.program,
            weights: read.weights,
            verified,
            warnings: report.diagnostics,
        };
        for ((name, found), (wanted_name, wanted)) in run(&again, &[("input_0", x())]).iter().zip(&wanted) {
            assert_eq!(name, wanted_name);
            assert!(found.same_bits(wanted), "{}", path.display());
        }
    }
}
