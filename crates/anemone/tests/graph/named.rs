//! The methods of the crate `ane`: shapes and numbers.

use anemone::{
    Convolution2dDescriptor, ConvolutionTranspose2dDescriptor, Graph, PadFillMode, PadMode, Shape, Tensor,
    with,
};

use super::{built, graph, halves, run};

const VALID: PadMode = PadMode::Valid;
const SAME: PadMode = PadMode::Same;

/// Asserts what a method gives of inputs of these shapes and numbers, handle and run alike.
#[track_caller]
fn check<const N: usize>(
    inputs: [([usize; 4], &[f64]); N],
    method: impl FnOnce(&mut Graph, [Tensor; N]) -> Tensor,
    shape: [usize; 4],
    wanted: &[f64],
) {
    let (mut g, tensors) = graph(inputs.map(|i| i.0));
    let y = method(&mut g, tensors);
    assert!(g.diagnostics().is_empty(), "{}", g.diagnostics());
    assert_eq!(y.shape(), Some(Shape::from(shape)), "the shape that the handle carries");
    let given: Vec<_> =
        inputs.iter().enumerate().map(|(i, (s, v))| (format!("input_{i}"), halves(s, v))).collect();
    let given: Vec<_> = given.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let outputs = run(&built(&g), &given);
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].0, "output_0");
    assert_eq!(outputs[0].1.shape(), shape);
    for (i, (found, wanted)) in outputs[0].1.to_f64s().into_iter().zip(wanted).enumerate() {
        let near = found == *wanted || (found - wanted).abs() <= 2e-3 * wanted.abs().max(0.5);
        assert!(near, "element {i} is {found}, wanted is {wanted}");
    }
    assert_eq!(outputs[0].1.len(), wanted.len());
}

/// A column of numbers: `[1, 1, 1, n]`.
fn row(v: &[f64]) -> ([usize; 4], &[f64]) {
    ([1, 1, 1, v.len()], v)
}

/// One input, element by element.
#[track_caller]
fn unary(method: impl FnOnce(&mut Graph, Tensor) -> Tensor, x: &[f64], wanted: &[f64]) {
    check([row(x)], |g, [x]| method(g, x), [1, 1, 1, x.len()], wanted);
}

/// Rows F2, F4, F1: an empty graph, an input, a constant of one number.
#[test]
fn an_input_and_a_number() {
    check(
        [row(&[1.0, 2.0])],
        |g, [x]| {
            let half = g.constant_with_scalar(0.5, Shape::channels(1));
            g.multiplication(x, half)
        },
        [1, 1, 1, 2],
        &[0.5, 1.0],
    );
}

/// Rows F8, F9, F10, F11, F12, F13, F14: two tensors, element by element; a dimension of 1 goes with any other.
#[test]
fn two_tensors_element_by_element() {
    type Binary = fn(&mut Graph, Tensor, Tensor) -> Tensor;
    let rows: [(Binary, [f64; 4]); 7] = [
        (Graph::addition, [3.0, 5.0, 2.0, 4.0]),
        (Graph::subtraction, [1.0, -1.0, 0.0, -2.0]),
        (Graph::multiplication, [2.0, 6.0, 1.0, 3.0]),
        (Graph::division, [2.0, 2.0 / 3.0, 1.0, 1.0 / 3.0]),
        (Graph::power, [2.0, 8.0, 1.0, 1.0]),
        (|g, x, y| g.maximum(x, y), [2.0, 3.0, 1.0, 3.0]),
        (|g, x, y| g.minimum(x, y), [1.0, 2.0, 1.0, 1.0]),
    ];
    for (method, wanted) in rows {
        let (x, y) = ([1, 2, 1, 1], [1, 1, 1, 2]);
        check([(x, &[2.0, 1.0]), (y, &[1.0, 3.0])], |g, [x, y]| method(g, x, y), [1, 2, 1, 2], &wanted);
    }
}

/// Rows F15, F16, F17, F18, F19, F20: one tensor, element by element.
#[test]
fn one_tensor_element_by_element() {
    unary(Graph::absolute, &[-2.0, 3.0], &[2.0, 3.0]);
    unary(Graph::square_root, &[4.0, 2.25], &[2.0, 1.5]);
    unary(Graph::reciprocal_square_root, &[4.0, 0.25], &[0.5, 2.0]);
    unary(Graph::exponent, &[0.0, 1.0, 12.0], &[1.0, 1.0f64.exp(), f64::INFINITY]);
    unary(Graph::logarithm, &[1.0, 2.0], &[0.0, 2.0f64.ln()]);
    unary(Graph::reciprocal, &[4.0, -0.5], &[0.25, -2.0]);
}

/// Rows F21, F22, F23, F24, F25, F26, F27, F28, F29: activations.
#[test]
fn activations() {
    let x = [-2.0, 0.5];
    unary(|g, x| g.relu(x), &x, &[0.0, 0.5]);
    unary(|g, x| g.sigmoid(x), &x, &[0.1192, 0.6225]);
    unary(|g, x| g.tanh(x), &x, &[-0.9640, 0.4621]);
    unary(|g, x| g.leaky_relu(x, 0.25), &x, &[-0.5, 0.5]);
    unary(|g, x| g.elu(x, 2.0), &x, &[2.0 * (-2.0f64).exp_m1(), 0.5]);
    unary(|g, x| g.hard_sigmoid(x, 0.25, 0.5), &[-4.0, 1.0, 4.0], &[0.0, 0.75, 1.0]);
    unary(|g, x| g.linear(x, 3.0, -1.0), &x, &[-7.0, 0.5]);
    unary(|g, x| g.softplus(x), &x, &[0.1269, 0.9741]);
    unary(|g, x| g.softsign(x), &x, &[-2.0 / 3.0, 1.0 / 3.0]);
}

/// Row F30: there are fused forms, and the composition gives the same.
#[test]
fn gelu_and_silu_are_ops_and_can_be_composed() {
    unary(|g, x| g.gelu(x, with! { mode: "TANH_APPROXIMATION" }), &[1.0, -1.0], &[0.8412, -0.1588]);
    unary(|g, x| g.silu(x), &[1.0, -1.0], &[0.7311, -0.2689]);
    let composed = |g: &mut Graph, x| {
        let s = g.sigmoid(x);
        g.multiplication(x, s)
    };
    unary(composed, &[1.0, -1.0], &[0.7311, -0.2689]);
}

/// Rows F6, D11: a dense layer over channels, weights row by row as PyTorch has them.
#[test]
fn a_dense_layer_sums_over_channels() {
    let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(
        [([1, 2, 1, 2], &[1.0, 2.0, 10.0, 20.0])],
        |g, [x]| g.inner_product(x, &weights, 2, 3),
        [1, 3, 1, 2],
        &[21.0, 42.0, 43.0, 86.0, 65.0, 130.0],
    );
}

/// Row C8: the convolution of a dense layer gives the bits of MIL's `linear`.
#[test]
fn a_dense_layer_is_linear() {
    let (mut g, [x]) = graph([[1, 3, 1, 5]]);
    let weights: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let columns = g.inner_product(x, &weights, 3, 4);
    let rows = g.transpose(x, [0, 2, 3, 1]);
    let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
    let linear = g.mil_linear(rows, halves(&[4, 3], &weights), ());
    let linear = g.transpose(linear, [0, 3, 1, 2]);
    g.output("conv", columns);
    g.output("linear", linear);
    let x = halves(&[1, 3, 1, 5], &(0..15).map(|i| f64::from(i).cos()).collect::<Vec<_>>());
    let found = run(&built(&g), &[("input_0", x)]);
    assert!(found[0].1.same_bits(&found[1].1), "{found:?}");
}

/// Row F7: matrices in the last two dimensions, each of which may be transposed; batches broadcast.
#[test]
fn matrices_multiply() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let wanted = [4.0, 5.0, 10.0, 11.0];
    let at: Vec<f64> = [0, 3, 1, 4, 2, 5].map(|i| a[i]).to_vec();
    let bt: Vec<f64> = [0, 2, 4, 1, 3, 5].map(|i| b[i]).to_vec();
    let (wide, tall) = ([1, 1, 2, 3], [1, 1, 3, 2]);
    let multiply = |tx, ty| move |g: &mut Graph, [x, y]: [Tensor; 2]| g.matrix_multiplication(x, y, tx, ty);
    let out = [1, 1, 2, 2];
    check([(wide, &a), (tall, &b)], multiply(false, false), out, &wanted);
    check([(tall, &at), (tall, &b)], multiply(true, false), out, &wanted);
    check([(wide, &a), (wide, &bt)], multiply(false, true), out, &wanted);
    check([(tall, &at), (wide, &bt)], multiply(true, true), out, &wanted);
    let twice = [wanted, wanted].concat();
    let b2 = [b, b].concat();
    check([(wide, &a), ([2, 1, 3, 2], &b2)], multiply(false, false), [2, 1, 2, 2], &twice);
}

/// Rows F31, F32, F33, F34, F35, A14, B15: elements move, and keep their values.
#[test]
fn moves() {
    let x = ([1, 2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]);
    check([x], |g, [x]| g.reshape(x, Shape::spatial(3, 2, 1)), [1, 3, 2, 1], x.1);
    check([x], |g, [x]| g.transpose(x, [0, 3, 2, 1]), [1, 3, 1, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check([x], |g, [x]| g.slice(x, [0, 1, 0, 1], [1, 1, 1, 2]), [1, 1, 1, 2], &[5.0, 6.0]);
    check([x], |g, [x]| g.flatten_2d(x), [1, 6, 1, 1], x.1);
    let y = ([1, 2, 1, 1], &[7.0, 8.0][..]);
    check([x, y], |g, [x, y]| g.concat(&[x, y], 3), [1, 2, 1, 4], &[1.0, 2.0, 3.0, 7.0, 4.0, 5.0, 6.0, 8.0]);
}

/// Rows F36, F37, F38, F39, F40: along an axis, also counted from the back.
#[test]
fn reductions_and_softmax() {
    let x = ([1, 2, 1, 2], &[1.0, 2.0, 5.0, 8.0][..]);
    check([x], |g, [x]| g.reduce_sum(x, 1), [1, 1, 1, 2], &[6.0, 10.0]);
    check([x], |g, [x]| g.reduce_mean(x, -1), [1, 2, 1, 1], &[1.5, 6.5]);
    check([x], |g, [x]| g.reduce_min(x, 3), [1, 2, 1, 1], &[1.0, 5.0]);
    check([x], |g, [x]| g.reduce_max(x, -3), [1, 1, 1, 2], &[5.0, 8.0]);
    check([x], |g, [x]| g.soft_max(x, -1), [1, 2, 1, 2], &[0.2689, 0.7311, 0.0474, 0.9526]);
}

/// Rows F41, C25: the factor of each channel may have any shape; MIL's form has an addend too.
#[test]
fn a_channel_is_normalised() {
    let x = ([1, 2, 1, 2], &[1.0, 3.0, 10.0, 14.0][..]);
    let wanted = [-2.0, 2.0, -3.0, 3.0];
    for shape in [Shape::channels(2), Shape::spatial(1, 1, 2)] {
        let norm = |g: &mut Graph, [x]: [Tensor; 1]| {
            let params = g.constant(&[2.0, 3.0], shape);
            g.instance_norm(x, params, 1e-5)
        };
        check([x], norm, x.0, &wanted);
    }
    let with_beta = |g: &mut Graph, [x]: [Tensor; 1]| {
        g.mil_instance_norm(x, with! { gamma: [2.0, 3.0], beta: [1.0, 0.0], epsilon: 1e-5 })
    };
    check([x], with_beta, x.0, &[-1.0, 3.0, -3.0, 3.0]);
}

/// Rows F42, F43, F44, F48: weights `[out, in / groups, height, width]`, a bias of any shape, and every batch.
#[test]
fn convolutions() {
    let x = ([2, 1, 1, 4], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][..]);
    let conv = |pad_mode, bias: Option<f32>| {
        move |g: &mut Graph, [x]: [Tensor; 1]| {
            let w = g.constant(&[1.0, 10.0], Shape::spatial(1, 1, 2));
            let bias = bias.map(|b| g.constant(&[b], Shape::channels(1)));
            g.convolution_2d(x, w, bias, &Convolution2dDescriptor { groups: 1, pad_mode })
        }
    };
    let valid = [21.0, 32.0, 43.0, 65.0, 76.0, 87.0];
    check([x], conv(VALID, None), [2, 1, 1, 3], &valid);
    check([x], conv(VALID, Some(1.0)), [2, 1, 1, 3], &valid.map(|v| v + 1.0));
    // The odd element of the padding comes first.
    let same = [10.0, 21.0, 32.0, 43.0, 50.0, 65.0, 76.0, 87.0];
    check([x], conv(SAME, None), [2, 1, 1, 4], &same);

    let depthwise = |g: &mut Graph, [x]: [Tensor; 1]| {
        let w = g.constant(&[2.0, 3.0], Shape { batch: 2, channels: 1, height: 1, width: 1 });
        let desc = Convolution2dDescriptor { groups: 2, ..Default::default() };
        g.convolution_2d(x, w, None, &desc)
    };
    check([([1, 2, 1, 1], &[1.0, 1.0])], depthwise, [1, 2, 1, 1], &[2.0, 3.0]);
    let pointwise = |g: &mut Graph, [x]: [Tensor; 1]| {
        let w = g.constant(&[1.0, 2.0], Shape { batch: 1, channels: 2, height: 1, width: 1 });
        let bias = g.constant_with_scalar(0.5, Shape::channels(1));
        g.convolution_2d_1x1(x, w, Some(bias))
    };
    check([([1, 2, 1, 1], &[1.0, 4.0])], pointwise, [1, 1, 1, 1], &[9.5]);
}

/// Rows F45, C9: weights that are computed when the program runs; the height stays.
#[test]
fn a_convolution_with_weights_of_the_run() {
    check(
        [([1, 2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), ([1, 2, 1, 1], &[1.0, 10.0])],
        |g, [x, w]| g.convolution_2d_1x1_dynamic(x, w),
        [1, 1, 2, 2],
        &[51.0, 62.0, 73.0, 84.0],
    );
}

/// Rows F46, F47, C10: the result of a transposed convolution without padding is longer than input times stride.
#[test]
fn transposed_convolutions() {
    let deconv = |stride_width, pad_mode| {
        move |g: &mut Graph, [x]: [Tensor; 1]| {
            let w = g.constant(&[1.0, 10.0, 100.0], Shape::spatial(1, 1, 3));
            let desc = ConvolutionTranspose2dDescriptor { stride_width, pad_mode, ..Default::default() };
            g.convolution_transpose_2d(x, w, None, &desc)
        }
    };
    let x = row(&[1.0, 2.0]);
    check([x], deconv(1, VALID), [1, 1, 1, 4], &[1.0, 12.0, 120.0, 200.0]);
    check([x], deconv(2, VALID), [1, 1, 1, 5], &[1.0, 10.0, 102.0, 20.0, 200.0]);
    check([x], deconv(2, SAME), [1, 1, 1, 4], &[1.0, 10.0, 102.0, 20.0]);
}

/// Rows F50, F51, F52, C40: poolings; padding counts as zeros in a mean.
#[test]
fn poolings() {
    let x = row(&[1.0, 4.0, 2.0, 8.0, 6.0]);
    check([x], |g, [x]| g.max_pool(x, 1, 2, 1, 2, VALID), [1, 1, 1, 2], &[4.0, 8.0]);
    check([x], |g, [x]| g.max_pool(x, 1, 2, 1, 2, SAME), [1, 1, 1, 3], &[1.0, 4.0, 8.0]);
    check([x], |g, [x]| g.avg_pool(x, 1, 2, 1, 2, VALID), [1, 1, 1, 2], &[2.5, 5.0]);
    check([x], |g, [x]| g.avg_pool(x, 1, 2, 1, 2, SAME), [1, 1, 1, 3], &[0.5, 3.0, 7.0]);
    let excluded = |g: &mut Graph, [x]: [Tensor; 1]| {
        g.mil_avg_pool(x, [1, 2], "same_lower", with! { strides: [1, 2], exclude_padding_from_average: true })
    };
    check([x], excluded, [1, 1, 1, 3], &[1.0, 3.0, 7.0]);
    check([([1, 2, 1, 2], &[1.0, 2.0, 3.0, 5.0])], |g, [x]| g.global_avg_pool(x), [1, 2, 1, 1], &[1.5, 4.0]);
}

/// Rows F53, F49, C41, B15: padding of rows and columns, in three ways.
#[test]
fn padding() {
    let x = ([1, 1, 1, 3], &[1.0, 2.0, 3.0][..]);
    let pad = |t, l, r, mode| move |g: &mut Graph, [x]: [Tensor; 1]| g.pad(x, t, 0, l, r, mode, 9.0);
    let rows = [9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 9.0].map(|v| v);
    check([x], pad(1, 0, 1, PadFillMode::Constant), [1, 1, 2, 4], &rows);
    check([x], pad(0, 2, 1, PadFillMode::Reflect), [1, 1, 1, 6], &[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    check([x], pad(0, 1, 2, PadFillMode::Replicate), [1, 1, 1, 6], &[1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
}

/// Rows F3, F5, D8, D9: constants are rounded to the nearest, halves to even, as bytes are taken as they are.
#[test]
fn constants_are_rounded_once() {
    // Halfway between two numbers of fp16: the even one, which is below in one case and above in the other.
    let (below, above) = (1.0 + 2f32.powi(-11), 1.0 + 3.0 * 2f32.powi(-11));
    let add = |bytes: bool| {
        move |g: &mut Graph, [x]: [Tensor; 1]| {
            let c = match bytes {
                true => g.constant_with_f16_bytes(&[0x00, 0x3c, 0x02, 0x3c], Shape::spatial(1, 1, 2)),
                false => g.constant(&[below, above], Shape::spatial(1, 1, 2)),
            };
            g.multiplication(x, c)
        }
    };
    for bytes in [false, true] {
        check([row(&[1.0, 1.0])], add(bytes), [1, 1, 1, 2], &[1.0, 1.0 + 2f64.powi(-9)]);
    }
}

/// Rows A1, A2, A3: the shape of the document.
#[test]
fn shapes() {
    assert_eq!(Shape { batch: 2, channels: 3, height: 4, width: 5 }.total_elements(), 120);
    assert_eq!(Shape::spatial(3, 4, 5).dims(), [1, 3, 4, 5]);
    assert_eq!(Shape::channels(6).dims(), [1, 6, 1, 1]);
    assert_eq!(Shape::spatial(usize::MAX, 2, 2).total_elements(), usize::MAX, "it does not wrap");
    assert_eq!(Shape::spatial(usize::MAX, 2, 0).total_elements(), 0);
}
