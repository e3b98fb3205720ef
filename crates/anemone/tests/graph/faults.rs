//! Wrong calls: each is said once, at the line that called, and nothing panics.

use anemone::graph::Options;
use anemone::source::{Place, render};
use anemone::types::{self, DType};
use anemone::{Convolution2dDescriptor, Graph, PadFillMode, PadMode, Shape, Tensor, with};

use super::graph;

/// Asserts that a call is refused with this code and no other, and that the handle it gives silences what follows.
#[track_caller]
fn refuse<const N: usize>(
    inputs: [[usize; 4]; N],
    call: impl FnOnce(&mut Graph, [Tensor; N]) -> Tensor,
    code: &str,
) {
    let (mut g, tensors) = graph(inputs);
    let y = call(&mut g, tensors);
    let z = g.relu(y);
    g.addition(z, z);
    g.output("y", z);
    let wrong = g.build().expect_err("the call is wrong");
    let codes: Vec<_> = wrong.iter().map(|d| d.code.name).collect();
    assert_eq!(codes, [code], "{wrong}");
    let place = &wrong.iter().next().unwrap().labels[0].place;
    assert!(matches!(place, Place::Rust(at) if at.file().ends_with("faults.rs")), "{place:?}");
}

const X: [usize; 4] = [1, 4, 2, 64];

/// Rows F3, F5, D9: a constant has as many numbers, or bytes, as its shape needs.
#[test]
fn a_constant_of_another_length() {
    refuse([], |g, []| g.constant(&[1.0, 2.0], Shape::channels(3)), "shape-mismatch");
    refuse([], |g, []| g.constant_with_f16_bytes(&[0, 0, 0], Shape::channels(1)), "shape-mismatch");
    refuse([], |g, []| g.constant_with_f16_bytes(&[0, 0], Shape::channels(2)), "shape-mismatch");
    refuse([], |g, []| g.constant_with_scalar(1.0, Shape::spatial(1 << 30, 1 << 30, 1)), "tensor-too-large");
    refuse([], |g, []| g.constant(&[], Shape::spatial(usize::MAX, 2, 1)), "shape-mismatch");
    refuse([], |g, []| g.placeholder(Shape::spatial(1 << 30, 1 << 30, 1)), "tensor-too-large");
}

/// Row F6: as many weights as inputs times outputs, and as many inputs as channels.
#[test]
fn a_dense_layer_that_does_not_fit() {
    refuse([X], |g, [x]| g.inner_product(x, &[1.0; 7], 4, 2), "shape-mismatch");
    refuse([X], |g, [x]| g.inner_product(x, &[1.0; 6], 3, 2), "shape-mismatch");
    refuse([X], |g, [x]| g.inner_product(x, &[], usize::MAX, 2), "shape-mismatch");
}

/// Rows F7, F8, F9: inner dimensions are equal; others are equal or 1.
#[test]
fn shapes_that_do_not_go_together() {
    refuse([X, X], |g, [x, y]| g.matrix_multiplication(x, y, false, false), "shape-mismatch");
    refuse([X, [1, 3, 2, 64]], |g, [x, y]| g.addition(x, y), "shape-mismatch");
    refuse([X, [1, 4, 2, 32]], |g, [x, y]| g.subtraction(x, y), "shape-mismatch");
    refuse([X, [1, 4, 2, 32]], |g, [x, y]| g.maximum(x, y), "shape-mismatch");
}

/// Rows F31, F32, F33, F34, A14: moves to where nothing is.
#[test]
fn moves_that_go_nowhere() {
    refuse([X], |g, [x]| g.reshape(x, Shape::channels(5)), "shape-mismatch");
    refuse([X], |g, [x]| g.transpose(x, [0, 1, 1, 2]), "bad-value");
    refuse([X], |g, [x]| g.transpose(x, [0, 1, 2, 4]), "index-out-of-range");
    refuse([X], |g, [x]| g.slice(x, [0, 0, 0, 1], [1, 4, 2, 64]), "index-out-of-range");
    refuse([], |g, []| g.concat(&[], 1), "bad-value");
    refuse([X, [1, 4, 3, 64]], |g, [x, y]| g.concat(&[x, y], 1), "shape-mismatch");
    refuse([X], |g, [x]| g.concat(&[x], 4), "index-out-of-range");
    refuse([X], |g, [x]| g.reduce_sum(x, 4), "index-out-of-range");
    refuse([X], |g, [x]| g.soft_max(x, -5), "index-out-of-range");
}

/// Rows F42, F45, F46, F50: kernels that do not fit what they go over.
#[test]
fn windows_that_do_not_fit() {
    let weights = |g: &mut Graph, shape: Shape| g.constant(&vec![0.0; shape.total_elements()], shape);
    let conv = |shape: Shape, bias: Option<usize>, groups| {
        move |g: &mut Graph, [x]: [Tensor; 1]| {
            let w = weights(g, shape);
            let bias = bias.map(|n| weights(g, Shape::channels(n)));
            g.convolution_2d(x, w, bias, &Convolution2dDescriptor { groups, ..Default::default() })
        }
    };
    let shape = |batch, channels, height| Shape { batch, channels, height, width: 1 };
    refuse([X], conv(shape(8, 3, 1), None, 1), "shape-mismatch");
    refuse([X], conv(shape(8, 4, 3), None, 1), "shape-mismatch");
    refuse([X], conv(shape(8, 4, 1), Some(7), 1), "shape-mismatch");
    refuse([X], conv(shape(8, 2, 1), None, 3), "shape-mismatch");
    refuse([X], conv(shape(8, 4, 1), None, 0), "bad-value");
    refuse([X], conv(shape(8, 4, 1), None, usize::MAX), "value-range");
    refuse([X, X], |g, [x, w]| g.convolution_2d_1x1_dynamic(x, w), "shape-mismatch");
    refuse([X], |g, [x]| g.max_pool(x, 3, 1, 1, 1, PadMode::Valid), "shape-mismatch");
    refuse([X], |g, [x]| g.avg_pool(x, 1, 1, 0, 1, PadMode::Valid), "bad-value");
    refuse([X], |g, [x]| g.pad(x, 2, 0, 0, 0, PadFillMode::Reflect, 0.0), "bad-value");
}

/// Row F41: a factor for each channel, known when the program is compiled.
#[test]
fn parameters_of_a_norm() {
    refuse(
        [X],
        |g, [x]| {
            let three = g.constant(&[1.0; 3], Shape::channels(3));
            g.instance_norm(x, three, 1e-5)
        },
        "shape-mismatch",
    );
    refuse([X, [1, 4, 1, 1]], |g, [x, p]| g.instance_norm(x, p, 1e-5), "not-constant");
}

/// Row A6: a tensor of another graph, and one that is not there.
#[test]
fn tensors_that_are_not_of_this_graph() {
    let (_, [foreign]) = graph([X]);
    refuse([X], |g, [x]| g.addition(x, foreign), "undefined-name");
    refuse([X], |g, [_]| g.convolution_2d_1x1(foreign, foreign, Some(foreign)), "undefined-name");
    refuse([X], |g, [x]| g.split(x, 1, with! { num_splits: 2 })[2], "result-count");
    let mut g = Graph::new();
    g.output("y", foreign);
    assert_eq!(g.diagnostics().errors(), 1);
    assert!(g.type_of(foreign).is_none());
}

/// Rows B17, B19, B4: ops and parameters that are not there, or not yet.
#[test]
fn ops_that_the_opset_does_not_have() {
    refuse([X], |g, [x]| g.op("rellu", with! { x: x })[0], "unknown-op");
    refuse([X], |g, [_]| g.op("relu", ())[0], "missing-parameter");
    refuse([X], |g, [x]| g.softmax(x, with! { axes: [1] }), "unknown-parameter");
    refuse([X], |g, [x]| g.softmax(x, with! { axis: 1, axis: 2 }), "duplicate-argument");
    refuse([X], |g, [x]| g.softmax(x, with! { x: x }), "duplicate-argument");
    let mut g = Graph::with_opset(anemone::mil::Opset::Ios17);
    let x = g.placeholder(Shape::spatial(1, 64, 64));
    g.scaled_dot_product_attention(x, x, x, ());
    assert!(g.build().unwrap_err().to_string().contains("came with ios18"));
}

/// Rows B18, C24: a number beside a tensor is of its dtype; one that is given with another is refused.
#[test]
fn numbers_have_the_dtype_of_what_they_go_with() {
    let (mut g, [x]) = graph([X]);
    let y = g.leaky_relu(x, 0.5);
    let y = g.layer_norm(y, with! { axes: [1], epsilon: 0.001 });
    let y = g.mul(y, 2);
    let single = g.cast(y, "fp32");
    g.mul(single, 2);
    let text = super::built(&g).text();
    for part in
        ["alpha = fp16(0x1p-1)", "epsilon = fp16(0x1.064p-10)", "y = fp16(0x1p+1)", "y = fp32(0x1p+1)"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let single = || types::Tensor::scalar(DType::Fp32, 0.5);
    refuse([X], |g, [x]| g.mul(x, single()), "dtype-mismatch");
    let gamma = || types::Tensor::from_f64s(DType::Fp16, &[4], &[1.0; 4]).unwrap();
    let mixed = move || with! { axes: [1], gamma: gamma(), epsilon: single() };
    refuse([X], move |g, [x]| g.layer_norm(x, mixed()), "dtype-mismatch");
}

/// A number that fp16 does not hold is refused; one that becomes 0 is doubtful.
#[test]
fn numbers_that_do_not_fit() {
    refuse([X], |g, [x]| g.add(x, 1e6), "value-range");
    refuse([X], |g, [x]| g.reshape(x, [1i64 << 40, 1]), "value-range");
    refuse([X], |g, [x]| g.softmax(x, with! { axis: 0.5 }), "wrong-dtype");
    refuse([X], |g, [x]| g.softmax(x, with! { axis: "last" }), "wrong-dtype");
    let (mut g, [x]) = graph([X]);
    g.layer_norm(x, with! { axes: [1], epsilon: 1e-12 });
    let warnings = super::built(&g).warnings;
    assert_eq!(warnings.iter().map(|d| d.code.name).collect::<Vec<_>>(), ["value-rounded"]);
}

/// Row B23: names are MIL's, and of one thing each.
#[test]
fn names() {
    let named = |a: &'static str| move |g: &mut Graph, []: [Tensor; 0]| g.input(a, DType::Fp16, &[1]);
    for bad in ["", "1", "a b", "é", "a.b", "a@b", "%relu_0"] {
        refuse([], named(bad), "unexpected-character");
    }
    refuse([X], |g, [_]| g.input("input_0", DType::Fp16, &[1]), "duplicate-name");
    let (mut g, [x]) = graph([X]);
    g.output("x", x);
    g.output("x", x);
    assert_eq!(g.build().unwrap_err().to_string().matches("duplicate-name").count(), 1);
}

/// Row B22: what leads to no output is left out, and a warning says so; a function without a result is refused.
#[test]
fn what_nothing_needs() {
    let (mut g, [x]) = graph([X]);
    let y = g.relu(x);
    let _ = g.sigmoid(x);
    g.constant(&[1.0], Shape::channels(1));
    g.output("y", y);
    let built = super::built(&g);
    assert_eq!(built.program.functions[0].body.calls.len(), 1);
    assert_eq!(built.warnings.iter().map(|d| d.code.name).collect::<Vec<_>>(), ["unused-value"]);
    let (mut g, [x, _]) = graph([X, X]);
    g.relu(x);
    let warnings = super::built(&g).warnings;
    assert_eq!(warnings.iter().map(|d| d.code.name).collect::<Vec<_>>(), ["unused-parameter"]);
    assert!(warnings.iter().all(|d| d.location().is_some()));
    let (g, [_]) = graph([X]);
    assert_eq!(g.build().unwrap_err().iter().next().unwrap().code.name, "no-output");
}

/// Row B24: the line that called, and those where its arguments were made.
#[test]
fn a_fault_points_at_the_lines_that_made_it() {
    let mut g = Graph::new();
    let (made, x) = (line!(), g.placeholder(Shape::spatial(4, 1, 64)));
    let y = g.placeholder(Shape::spatial(3, 1, 64));
    let (called, _) = (line!(), g.addition(x, y));
    let wrong = g.build().unwrap_err();
    let d = wrong.iter().next().unwrap();
    let lines: Vec<_> = d.labels.iter().map(|l| (&l.place, l.text.as_str())).collect();
    let at = |i: usize| match lines[i].0 {
        Place::Rust(at) => at.line(),
        other => panic!("{other:?}"),
    };
    assert_eq!((at(0), lines[0].1), (called, "in this `add`"));
    assert_eq!((at(1), lines[1].1), (made + 1, "`y` is `tensor<fp16, [1, 3, 1, 64]>`"));
    assert_eq!((at(2), lines[2].1), (made, "`x` is `tensor<fp16, [1, 4, 1, 64]>`"));
    assert_eq!(d.location().unwrap().line(), called);
    assert!(wrong.to_string().contains(&format!("faults.rs:{called}:")), "{wrong}");

    let drawn = render(d, None, false);
    let column = d.location().unwrap().column();
    assert!(drawn.contains(&format!("faults.rs:{called}:{column}")), "{drawn}");
    assert!(drawn.contains("let (called, _) = (line!(), g.addition(x, y));"), "{drawn}");
    assert!(drawn.contains("^^^^^^^^ in this `add`"), "{drawn}");
    assert!(drawn.contains("----------- `x` is `tensor<fp16, [1, 4, 1, 64]>`"), "{drawn}");
}

/// Of a file that is not here the place is named all the same.
#[test]
fn a_place_whose_file_is_not_here_is_named() {
    // The lines of a macro of the compiler's are in a file that nobody has.
    let mut g = Graph::new();
    let x = g.placeholder(Shape::channels(1));
    let y = [x].map(|x| x)[0];
    g.op("add", Options::new().and("x", y));
    let d = g.build().unwrap_err();
    let mut d = d.iter().next().unwrap().clone();
    d.labels = d.labels.into_iter().map(|l| anemone::source::Label { place: elsewhere(), ..l }).collect();
    let drawn = render(&d, None, false);
    let Place::Rust(at) = elsewhere() else { unreachable!("it is made so") };
    assert!(drawn.contains(&at.to_string()), "{drawn}");
}

/// A place in the standard library.
fn elsewhere() -> Place {
    let mut found = None;
    std::hint::black_box(&mut found).get_or_insert_with(std::panic::Location::caller);
    Place::Rust(found.expect("it was put there"))
}
