//! The ops by families: a page of examples, without items.
//!
//! Each example writes a few ops and says what comes out. In all of them `of` makes a constant of fp32, `ints` one of int32
//! and `bools` one of bool, of these dimensions and numbers; `run` builds the graph, runs it on the reference engine, and
//! gives the numbers of each result that nothing else reads, in the order in which the results were made, rounded to three
//! places. What an op takes in full says the documentation of its method.
//!
//! # Elementwise, of one tensor
//!
//! The result has the shape and dtype of `x`. Angles are radians.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[4], &[-1.5, -0.5, 0.5, 2.5]);
//! g.abs(x);
//! g.absolute(x); // The name in the crate `ane`.
//! g.sign(x);
//! g.floor(x);
//! g.ceil(x);
//! g.round(x); // To even where two are equally near.
//! g.square(x);
//! g.clip(x, -1.0, 1.0);
//! g.threshold(x, 0.0); // No less than that.
//! let expected = [
//!     [1.5, 0.5, 0.5, 2.5],
//!     [1.5, 0.5, 0.5, 2.5],
//!     [-1.0, -1.0, 1.0, 1.0],
//!     [-2.0, -1.0, 0.0, 2.0],
//!     [-1.0, 0.0, 1.0, 3.0],
//!     [-2.0, 0.0, 0.0, 2.0],
//!     [2.25, 0.25, 0.25, 6.25],
//!     [-1.0, -0.5, 0.5, 1.0],
//!     [0.0, 0.0, 0.5, 2.5],
//! ];
//! assert_eq!(run(&g), expected);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[0.25, 0.5]);
//! g.sin(x);
//! g.cos(x);
//! g.tan(x);
//! g.asin(x);
//! g.acos(x);
//! g.atan(x);
//! assert_eq!(run(&g), [[0.247, 0.479], [0.969, 0.878], [0.255, 0.546], [0.253, 0.524], [1.318, 1.047], [0.245, 0.464]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[0.25, 0.5]);
//! g.sinh(x);
//! g.cosh(x);
//! g.tanh(x);
//! g.atanh(x);
//! g.exp(x);
//! g.exponent(x);
//! g.exp2(x);
//! g.erf(x);
//! assert_eq!(run(&g)[..4], [[0.253, 0.521], [1.031, 1.128], [0.245, 0.462], [0.255, 0.549]]);
//! assert_eq!(run(&g)[4..], [[1.284, 1.649], [1.284, 1.649], [1.189, 1.414], [0.276, 0.52]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[0.25, 4.0]);
//! g.sqrt(x);
//! g.square_root(x);
//! g.log(x, ()); // Of x and an epsilon, as that of `inverse` and `rsqrt`.
//! g.logarithm(x);
//! g.inverse(x, ());
//! g.reciprocal(x);
//! g.rsqrt(x, ());
//! g.reciprocal_square_root(x);
//! assert_eq!(run(&g)[..4], [[0.5, 2.0], [0.5, 2.0], [-1.386, 1.386], [-1.386, 1.386]]);
//! assert_eq!(run(&g)[4..], [[3.998, 0.25], [4.0, 0.25], [2.0, 0.5], [2.0, 0.5]]);
//! ```
//!
//! # Activations
//!
//! The result has the shape and dtype of `x`; the numbers behind `x` are constants.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[3], &[-1.0, 0.5, 8.0]);
//! g.relu(x);
//! g.relu6(x);
//! g.leaky_relu(x, 0.1);
//! g.clamped_relu(x, 0.1, 4.0); // As `leaky_relu`, and no more than 4.
//! g.thresholded_relu(x, 1.0); // Less than 1 is 0.
//! g.elu(x, 1.0);
//! g.linear_activation(x, 2.0, 1.0); // 2 x + 1.
//! g.linear(x, 2.0, 1.0); // The same by the name of the crate `ane`.
//! g.sigmoid_hard(x, 0.2, 0.5); // 0.2 x + 0.5, held between 0 and 1.
//! g.hard_sigmoid(x, 0.2, 0.5);
//! assert_eq!(run(&g)[..5], [[0.0, 0.5, 8.0], [0.0, 0.5, 6.0], [-0.1, 0.5, 8.0], [-0.1, 0.5, 4.0], [0.0, 0.0, 8.0]]);
//! assert_eq!(run(&g)[5..], [[-0.632, 0.5, 8.0], [-1.0, 2.0, 17.0], [-1.0, 2.0, 17.0], [0.3, 0.6, 1.0], [0.3, 0.6, 1.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[-1.0, 0.5]);
//! g.sigmoid(x);
//! g.silu(x); // x sigmoid(x)
//! g.gelu(x, with! { mode: "EXACT" });
//! g.softplus(x); // log(1 + exp(x))
//! g.softsign(x); // x / (1 + |x|)
//! g.scaled_tanh(x, 2.0, 0.5); // 2 tanh(x / 2)
//! g.softmax(x, ());
//! assert_eq!(run(&g)[..4], [[0.269, 0.622], [-0.269, 0.311], [-0.159, 0.346], [0.313, 0.974]]);
//! assert_eq!(run(&g)[4..], [[-0.5, 0.333], [-0.924, 0.49], [0.182, 0.818]]);
//!
//! // Some have numbers for each channel.
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 2, 1, 1], &[-1.0, -1.0]);
//! g.prelu(x, [0.5, 0.25]);
//! g.softplus_parametric(x, [1.0, 2.0], [1.0, 1.0]); // alpha log(1 + exp(beta x))
//! assert_eq!(run(&g), [[-0.5, -0.25], [0.313, 0.627]]);
//! # use anemone::with;
//! ```
//!
//! # Elementwise, of two tensors
//!
//! Dimensions of 1 stretch to those of the other tensor. A number beside a tensor has its dtype.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[7.0, -7.0]);
//! g.add(x, 2.0);
//! g.sub(x, 2.0);
//! g.mul(x, 2.0);
//! g.real_div(x, 2.0);
//! g.floor_div(x, 2.0);
//! g.r#mod(x, 2.0); // What `floor_div` leaves.
//! g.pow(x, 2.0);
//! g.maximum(x, 2.0);
//! g.minimum(x, 2.0);
//! assert_eq!(run(&g)[..4], [[9.0, -5.0], [5.0, -9.0], [14.0, -14.0], [3.5, -3.5]]);
//! assert_eq!(run(&g)[4..], [[3.0, -4.0], [1.0, 1.0], [49.0, 49.0], [7.0, 2.0], [2.0, -7.0]]);
//!
//! // Under the names of the crate `ane`, of tensors only.
//! let mut g = Graph::new();
//! let (x, y) = (of(&mut g, &[2], &[7.0, -7.0]), of(&mut g, &[1], &[2.0]));
//! g.addition(x, y);
//! g.subtraction(x, y);
//! g.multiplication(x, y);
//! g.division(x, y);
//! g.power(x, y);
//! assert_eq!(run(&g), [[9.0, -5.0], [5.0, -9.0], [14.0, -14.0], [3.5, -3.5], [49.0, 49.0]]);
//! ```
//!
//! # Comparisons, bools, choices and dtypes
//!
//! Comparisons give bools; `select` takes from `a` where the condition holds, else from `b`.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let (x, y) = (of(&mut g, &[3], &[1.0, 2.0, 3.0]), of(&mut g, &[3], &[2.0, 2.0, 2.0]));
//! g.equal(x, y);
//! g.not_equal(x, y);
//! g.less(x, y);
//! g.less_equal(x, y);
//! g.greater(x, y);
//! g.greater_equal(x, y);
//! assert_eq!(run(&g)[..3], [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
//! assert_eq!(run(&g)[3..], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]);
//!
//! let mut g = Graph::new();
//! let (a, b) = (bools(&mut g, &[true, true, false]), bools(&mut g, &[true, false, false]));
//! g.logical_and(a, b);
//! g.logical_or(a, b);
//! g.logical_xor(a, b);
//! g.logical_not(a);
//! assert_eq!(run(&g), [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
//!
//! let mut g = Graph::new();
//! let (x, some) = (of(&mut g, &[3], &[1.5, -2.5, 3.5]), bools(&mut g, &[true, false, true]));
//! let zeros = g.fill_like(x, with! { value: 0.0f32 });
//! g.select(some, x, zeros);
//! let whole = g.cast(x, "int32"); // Toward zero.
//! g.non_zero(some); // The places of what is not 0, a row each.
//! g.identity(whole);
//! assert_eq!(run(&g), [vec![1.5, 0.0, 3.5], vec![0.0, 2.0], vec![1.0, -2.0, 3.0]]);
//! # use anemone::with;
//! ```
//!
//! # Sums and other reductions
//!
//! They keep a dimension of 1 with `keep_dims`; without `axes` they reduce all. The forms without `mil_` take one axis, and keep it.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! let rows = || with! { axes: [1], keep_dims: false };
//! g.mil_reduce_sum(x, rows());
//! g.mil_reduce_mean(x, rows());
//! g.mil_reduce_max(x, rows());
//! g.mil_reduce_min(x, rows());
//! g.reduce_prod(x, rows());
//! g.reduce_l1_norm(x, rows());
//! g.reduce_l2_norm(x, rows());
//! g.reduce_sum_square(x, rows());
//! g.reduce_log_sum(x, rows());
//! g.reduce_log_sum_exp(x, rows());
//! g.reduce_argmax(x, with! { axis: 1, keep_dims: false });
//! g.reduce_argmin(x, with! { axis: 1, keep_dims: false });
//! assert_eq!(run(&g)[..5], [[3.0, 7.0], [1.5, 3.5], [2.0, 4.0], [1.0, 3.0], [2.0, 12.0]]);
//! assert_eq!(run(&g)[5..10], [[3.0, 7.0], [2.236, 5.0], [5.0, 25.0], [1.099, 1.946], [2.313, 4.313]]);
//! assert_eq!(run(&g)[10..], [[1.0, 1.0], [0.0, 0.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! g.reduce_sum(x, 3);
//! g.reduce_mean(x, 3);
//! g.reduce_max(x, 3);
//! g.reduce_min(x, 3);
//! g.soft_max(x, 3);
//! g.cumsum(x, with! { axis: 3 });
//! assert_eq!(run(&g)[..4], [[3.0, 7.0], [1.5, 3.5], [2.0, 4.0], [1.0, 3.0]]);
//! assert_eq!(run(&g)[4..], [[0.269, 0.731, 0.269, 0.731], [1.0, 3.0, 3.0, 7.0]]);
//! # use anemone::with;
//! ```
//!
//! # Products of matrices
//!
//! `linear` of MIL has rows of weights, one for each output, and a bias.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 2], &[1.0, 2.0]);
//! let w = of(&mut g, &[2, 2], &[1.0, 10.0, 100.0, 1000.0]);
//! g.matmul(x, w, ());
//! g.matmul(x, w, with! { transpose_y: true });
//! g.matrix_multiplication(x, w, false, true);
//! g.mil_linear(x, w, with! { bias: [0.5f32, 0.25] });
//! assert_eq!(run(&g), [[201.0, 2010.0], [21.0, 2100.0], [21.0, 2100.0], [21.5, 2100.25]]);
//!
//! // For each column: the channels of one tensor by a matrix of the other.
//! let mut g = Graph::new();
//! let (x, y) = (of(&mut g, &[1, 1, 2], &[1.0, 2.0]), of(&mut g, &[2, 1, 1], &[3.0, 4.0]));
//! g.einsum(vec![x, y], "chw,whr->chr");
//! assert_eq!(run(&g), [[11.0]]);
//!
//! // Two queries of one dimension look at two keys, of which each has a value.
//! let mut g = Graph::new();
//! let (q, k) = (of(&mut g, &[1, 2, 1], &[0.0, 9.0]), of(&mut g, &[1, 2, 1], &[0.0, 1.0]));
//! let v = of(&mut g, &[1, 2, 1], &[1.0, 3.0]);
//! g.scaled_dot_product_attention(q, k, v, ());
//! assert_eq!(run(&g), [[2.0, 3.0]]);
//! # use anemone::with;
//! ```
//!
//! # Convolutions
//!
//! Weights are `[out, in / groups, height, width]`, those of transposed ones `[in, out / groups, height, width]`.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 1, 3], &[1.0, 2.0, 3.0]);
//! let w = of(&mut g, &[1, 1, 2], &[1.0, -1.0]);
//! g.conv(x, w, ());
//! g.conv(x, w, with! { strides: [2], pad_type: "custom", pad: [1, 0] });
//! g.conv_transpose(x, w, ());
//! assert_eq!(run(&g), [vec![-1.0, -1.0], vec![-1.0, -1.0], vec![1.0, 1.0, 1.0, -3.0]]);
//!
//! // With one scale and bias for all weights: w * 0.5 + 1.
//! let mut g = Graph::with_opset(Opset::Ios15);
//! let x = of(&mut g, &[1, 1, 2], &[1.0, 2.0]);
//! let w = packed(DType::UInt8, &[1, 1, 2], &[2, 4]);
//! g.conv_quantized(x, w, "linear", [0.5f32], [1.0f32], ());
//! assert_eq!((g.opset(), run(&g)), (Opset::Ios15, vec![vec![8.0]]));
//!
//! // With the names and forms of the crate `ane`, of fp16.
//! let mut g = Graph::new();
//! let x = g.constant(&[1.0, 2.0, 3.0], Shape::spatial(1, 1, 3));
//! let w = g.constant(&[1.0, -1.0], Shape::spatial(1, 1, 2));
//! g.convolution_2d(x, w, None, &Convolution2dDescriptor::default());
//! g.convolution_transpose_2d(x, w, None, &ConvolutionTranspose2dDescriptor::default());
//! let two = g.constant_with_scalar(2.0, Shape::channels(1));
//! g.convolution_2d_1x1(x, two, None);
//! g.convolution_2d_1x1_dynamic(x, two);
//! g.inner_product(x, &[2.0], 1, 1);
//! assert_eq!(run(&g)[..2], [vec![-1.0, -1.0], vec![1.0, 1.0, 1.0, -3.0]]);
//! assert_eq!(run(&g)[2..], [[2.0, 4.0, 6.0], [2.0, 4.0, 6.0], [2.0, 4.0, 6.0]]);
//! # use anemone::{Convolution2dDescriptor, ConvolutionTranspose2dDescriptor, Shape, mil::Opset, with};
//! ```
//!
//! # Windows, borders and images
//!
//! Rows and columns are the last two dimensions.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
//! g.mil_max_pool(x, [2], "valid", with! { strides: [2] });
//! g.mil_avg_pool(x, [2], "valid", with! { strides: [2] });
//! g.l2_pool(x, [2], "valid", with! { strides: [2] }); // The root of the sum of squares.
//! g.sliding_windows(x, 2, 3, ());
//! g.mil_pad(x, [1, 0], with! { constant_val: 9.0f32 });
//! assert_eq!(run(&g)[..3], [[2.0, 4.0], [1.5, 3.5], [2.236, 5.0]]);
//! assert_eq!(run(&g)[3..], [vec![1.0, 2.0, 3.0, 2.0, 3.0, 4.0], vec![9.0, 1.0, 2.0, 3.0, 4.0]]);
//!
//! // By the names of the crate `ane`: kernel, strides, and what lies around.
//! let mut g = Graph::new();
//! let x = g.constant(&[1.0, 2.0, 3.0, 4.0], Shape::spatial(1, 2, 2));
//! g.max_pool(x, 2, 2, 2, 2, PadMode::Valid);
//! g.avg_pool(x, 2, 2, 2, 2, PadMode::Valid);
//! g.global_avg_pool(x);
//! g.pad(x, 0, 0, 1, 0, PadFillMode::Constant, 0.0);
//! assert_eq!(run(&g), [vec![4.0], vec![2.5], vec![2.5], vec![0.0, 1.0, 2.0, 0.0, 3.0, 4.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 1, 1, 2], &[1.0, 3.0]);
//! g.upsample_nearest_neighbor(x, with! { scale_factor_width: 2.0f32 });
//! g.upsample_bilinear(x, with! { scale_factor_width: 2.0f32, align_corners: true });
//! g.resize_nearest_neighbor(x, 1, 4);
//! g.resize_bilinear(x, with! {
//!     target_size_height: 1, target_size_width: 3, sampling_mode: "STRICT_ALIGN_CORNERS"
//! });
//! let size = packed(DType::UInt32, &[2], &[1, 4]);
//! g.resize(x, size, packed(DType::UInt32, &[], &[2]), with! { interpolation_mode: "NEAREST_NEIGHBOR" });
//! g.crop(x, [0, 0], [1, 0]);
//! assert_eq!(run(&g)[0], [1.0, 1.0, 3.0, 3.0]);
//! assert_eq!(run(&g)[1], [1.0, 1.667, 2.333, 3.0]);
//! assert_eq!(run(&g)[2], [1.0, 1.0, 3.0, 3.0]);
//! assert_eq!(run(&g)[3], [1.0, 2.0, 3.0]);
//! assert_eq!(run(&g)[4], [1.0, 1.0, 3.0, 3.0]);
//! assert_eq!(run(&g)[5], [3.0]);
//!
//! // Images whose pixels are looked up at places that are moved by one to the right, and at places that are given.
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 1, 1, 2], &[1.0, 3.0]);
//! let moved = of(&mut g, &[1, 6], &[1.0, 0.0, -2.0, 0.0, 1.0, 0.0]);
//! g.affine(x, moved, 1, 2, "bilinear", "constant", 0.0f32, "normalized_minus_one_to_one", true);
//! let places = of(&mut g, &[1, 1, 1, 2], &[0.5, 0.0]);
//! g.resample(x, places, "bilinear", "constant", 0.0f32, "unnormalized", true);
//! let whole = of(&mut g, &[1, 4], &[0.0, 0.0, 0.0, 1.0]);
//! g.crop_resize(x, whole, with! {
//!     target_height: 1, target_width: 2, normalized_coordinates: false, box_coordinate_mode: "CORNERS_HEIGHT_FIRST"
//! });
//! assert_eq!(run(&g), [[0.0, 1.0].to_vec(), vec![2.0], vec![1.0, 3.0]]);
//!
//! // Boxes, by centre and size, of which the first two are nearly the same.
//! let mut g = Graph::new();
//! let boxes = of(&mut g, &[1, 4, 3], &[1.0, 1.1, 9.0, 1.0, 1.0, 9.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
//! let scores = of(&mut g, &[1, 1, 3], &[0.5, 0.9, 0.3]);
//! let found = g.non_maximum_suppression(boxes, scores, 0.5f32, 2, ());
//! g.output("places", found[2]);
//! assert_eq!((found.len(), run(&g)), (3, vec![vec![1.0, 2.0]]));
//! # use anemone::{PadFillMode, PadMode, Shape, with};
//! ```
//!
//! # Normalisations
//!
//! What is normal has the mean 0 and the deviation 1, or the length 1.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 2, 2], &[1.0, 3.0, 10.0, 30.0]);
//! g.layer_norm(x, with! { axes: [2] });
//! g.mil_instance_norm(x, with! { gamma: [1.0f32, 2.0], beta: [0.0f32, 1.0] });
//! g.batch_norm(x, [2.0f32, 20.0], [1.0f32, 100.0], ());
//! assert_eq!(run(&g), [[-1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, -1.0, 3.0], [-1.0, 1.0, -1.0, 1.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 2, 1, 1], &[3.0, 4.0]);
//! g.l2_norm(x, ());
//! g.local_response_norm(x, 1, with! { alpha: 1.0f32, beta: 1.0f32, k: 1.0f32 }); // x / (1 + x²)
//! assert_eq!(run(&g), [[0.6, 0.8], [0.3, 0.235]]);
//!
//! let mut g = Graph::new();
//! let x = g.constant(&[1.0, 3.0], Shape::spatial(1, 1, 2));
//! let factor = g.constant(&[2.0], Shape::channels(1));
//! g.instance_norm(x, factor, 1e-5);
//! assert_eq!(run(&g), [[-2.0, 2.0]]);
//! # use anemone::{Shape, with};
//! ```
//!
//! # Shapes
//!
//! The elements stay as they are; one dimension may be -1, which is what is left.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
//! for (y, expected) in [
//!     (g.reshape(x, [3, -1]), "tensor<fp32, [3, 2]>"),
//!     (g.expand_dims(x, [0]), "tensor<fp32, [1, 1, 2, 3]>"),
//!     (g.squeeze(x, with! { axes: [0] }), "tensor<fp32, [2, 3]>"),
//!     (g.flatten2d(x, with! { axis: 2 }), "tensor<fp32, [2, 3]>"),
//!     (g.shape(x), "tensor<int32, [3]>"),
//! ] {
//!     assert_eq!(g.type_of(y).unwrap().to_string(), expected);
//! }
//! // Dimensions 0 to 2 become the first of the other tensor.
//! let like = of(&mut g, &[2, 9], &[0.0; 18]);
//! let y = g.reshape_like(x, vec![like, x], [0, 2], [1, 3], [false, false]);
//! assert_eq!(g.type_of(y).unwrap().to_string(), "tensor<fp32, [2, 3]>");
//! let image = g.constant_with_scalar(0.0, Shape::spatial(2, 3, 4));
//! assert_eq!(g.flatten_2d(image).shape(), Some(Shape::channels(24)));
//! # use anemone::{Shape, with};
//! ```
//!
//! # Parts
//!
//! Negative places count from the end.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[5], &[0.0, 1.0, 2.0, 3.0, 4.0]);
//! g.slice_by_index(x, [1], [-1], with! { stride: [2] });
//! g.slice_by_size(x, [3], [2]);
//! g.slice_update(x, [9.0f32, 8.0], [1], [3], ());
//! g.tile(x, [2]);
//! g.reverse(x, with! { axes: [0] });
//! g.gather(x, [4, 0], with! { axis: 0 });
//! assert_eq!(run(&g)[..2], [vec![1.0, 3.0], vec![3.0, 4.0]]);
//! assert_eq!(run(&g)[2], [0.0, 9.0, 8.0, 3.0, 4.0]);
//! assert_eq!(run(&g)[3], [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
//! assert_eq!(run(&g)[4..], [vec![4.0, 3.0, 2.0, 1.0, 0.0], vec![4.0, 0.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! let y = of(&mut g, &[2, 2], &[5.0, 6.0, 7.0, 8.0]);
//! g.mil_concat(vec![x, y], 0, with! { interleave: false });
//! g.stack(vec![x, y], 1);
//! g.transpose(x, [1, 0]);
//! g.band_part(x, with! { lower: 0, upper: -1 }); // What lies below the diagonal is 0.
//! let parts = g.split(x, 1, with! { num_splits: 2 });
//! let columns: Vec<_> = parts.iter().copied().collect();
//! g.add(columns[0], columns[1]);
//! assert_eq!((parts.len(), parts.is_empty()), (2, false));
//! assert_eq!(run(&g)[0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
//! assert_eq!(run(&g)[1], [1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]);
//! assert_eq!(run(&g)[2..], [vec![1.0, 3.0, 2.0, 4.0], vec![1.0, 2.0, 0.0, 4.0], vec![3.0, 7.0]]);
//!
//! // By the names of the crate `ane`, for four dimensions.
//! let mut g = Graph::new();
//! let x = g.constant(&[1.0, 2.0, 3.0, 4.0], Shape::spatial(1, 2, 2));
//! g.slice(x, [0, 0, 1, 0], [1, 1, 1, 2]);
//! g.concat(&[x, x], 2);
//! assert_eq!(run(&g), [vec![3.0, 4.0], vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]]);
//! # use anemone::{Shape, with};
//! ```
//!
//! # Places, and the orders of elements
//!
//! `scatter` and its kin put updates where `gather` and its kin would take elements.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
//! let (ones, diagonal) = (ints(&mut g, &[1, 2], &[1, 0]), ints(&mut g, &[2, 2], &[0, 0, 1, 1]));
//! g.gather_along_axis(x, ones, with! { axis: 0 });
//! g.gather_nd(x, diagonal, ());
//! let (row, pair) = (of(&mut g, &[1, 2], &[10.0, 20.0]), of(&mut g, &[2], &[10.0, 20.0]));
//! g.scatter(x, [1], row, with! { axis: 0, mode: "update" });
//! g.scatter_along_axis(x, ones, row, with! { axis: 0, mode: "add" });
//! g.scatter_nd(x, diagonal, pair, with! { mode: "add" });
//! assert_eq!(run(&g)[..2], [[3.0, 2.0], [1.0, 4.0]]);
//! assert_eq!(run(&g)[2..], [[1.0, 2.0, 10.0, 20.0], [1.0, 22.0, 13.0, 4.0], [11.0, 2.0, 3.0, 24.0]]);
//!
//! let mut g = Graph::new();
//! let x = of(&mut g, &[3], &[2.0, 3.0, 1.0]);
//! g.argsort(x, with! { ascending: true });
//! let best = g.topk(x, with! { k: 2 });
//! g.mul(best[0], 1.0);
//! g.mul(best[1], 1);
//! assert_eq!(run(&g), [vec![2.0, 0.0, 1.0], vec![3.0, 2.0], vec![1.0, 0.0]]);
//!
//! // The first one and the first two elements of each row, backwards.
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! g.reverse_sequence(x, [1, 2], with! { seq_axis: 1, batch_axis: 0 });
//! assert_eq!(run(&g), [[1.0, 2.0, 3.0, 5.0, 4.0, 6.0]]);
//! # use anemone::with;
//! ```
//!
//! # Blocks of pixels
//!
//! Channels become pixels, and pixels channels or samples.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[1, 4, 1, 1], &[1.0, 2.0, 3.0, 4.0]);
//! let y = g.depth_to_space(x, 2);
//! assert_eq!(y.shape(), Some(Shape::spatial(1, 2, 2)));
//! assert_eq!(g.pixel_shuffle(x, 2).shape(), y.shape());
//! assert_eq!(g.space_to_depth(y, 2).shape(), x.shape());
//! assert_eq!(g.pixel_unshuffle(y, packed(DType::UInt32, &[], &[2])).shape(), x.shape());
//! let none = packed(DType::Int32, &[2, 2], &[0; 4]);
//! let samples = g.space_to_batch(y, [2, 2], none.clone());
//! assert_eq!(samples.shape(), Some(Shape { batch: 4, ..Shape::channels(1) }));
//! assert_eq!(g.batch_to_space(samples, [2, 2], none).shape(), y.shape());
//! # use anemone::Shape;
//! ```
//!
//! # Tensors from nothing
//!
//! Random numbers are the same for the same seed.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! g.fill([2], with! { value: 7.0f32 });
//! g.range_1d(7, 1, 2); // End, start, step.
//! let hot = ints(&mut g, &[2], &[2, 0]);
//! g.one_hot(hot, 3, with! { on_value: 1.0f32, off_value: 0.0f32 });
//! assert_eq!(run(&g), [vec![7.0, 7.0], vec![1.0, 3.0, 5.0], vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0]]);
//!
//! let mut g = Graph::new();
//! g.random_uniform([1000], with! { low: 0.0f32, high: 2.0f32, seed: 7 });
//! g.random_normal([1000], with! { mean: 1.0f32, stddev: 0.5f32, seed: 7 });
//! g.random_bernoulli([1000], with! { prob: 1.0f32, seed: 7 });
//! let chances = of(&mut g, &[1, 2], &[0.0, 1.0]);
//! g.random_categorical(chances, with! { mode: "probs", size: 10, seed: 7 });
//! let [uniform, normal, ones, drawn] = run(&g).try_into().unwrap();
//! let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
//! assert!((mean(&uniform) - 1.0).abs() < 0.1 && (mean(&normal) - 1.0).abs() < 0.1);
//! assert_eq!((mean(&ones), mean(&drawn)), (1.0, 1.0));
//! # use anemone::with;
//! ```
//!
//! # Sequences
//!
//! Time is the first dimension of `x`, then samples, then numbers. The results are all outputs and the last ones.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 1, 1], &[1.0, 1.0]);
//! let (h, w) = (of(&mut g, &[1, 1], &[0.0]), of(&mut g, &[1, 1], &[0.5]));
//! let [_, last] = g.rnn(x, h, w, w, with! { activation: "tanh" });
//! g.output("h", last);
//! assert_eq!(run(&g), [[0.624]]); // tanh(0.5 + 0.5 tanh(0.5))
//!
//! // The gates of an LSTM, input, forget, output and cell, and of a GRU, reset, output and cell, lie one behind another.
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2, 1, 1], &[1.0, 1.0]);
//! let zero = of(&mut g, &[1, 1], &[0.0]);
//! let (four, three) = (of(&mut g, &[4, 1], &[0.5; 4]), of(&mut g, &[3, 1], &[0.5; 3]));
//! let [_, h, c] = g.lstm(x, zero, zero, four, four, ());
//! let [_, gru] = g.gru(x, zero, three, three, ());
//! for (name, last) in [("h", h), ("c", c), ("gru", gru)] {
//!     g.output(name, last);
//! }
//! let found = run(&g);
//! assert!(found.len() == 3 && found.iter().flatten().all(|&v| v > 0.0 && v < 1.0), "{found:?}");
//! # use anemone::with;
//! ```
//!
//! # Lists and states
//!
//! A list is a value: writing gives a new one. A state outlives the run.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let empty = g.make_list([2], with! { init_length: 2, dtype: "fp32" });
//! let (a, b) = (of(&mut g, &[2], &[1.0, 2.0]), of(&mut g, &[2], &[3.0, 4.0]));
//! let one = g.list_write(empty, 0, a);
//! let both = g.list_write(one, 1, b);
//! g.list_read(both, 1);
//! g.list_length(both);
//! g.list_gather(both, [1, 0]);
//! let rows = of(&mut g, &[2, 2], &[5.0, 6.0, 7.0, 8.0]);
//! let other = g.list_scatter(empty, [1, 0], rows);
//! g.list_read(other, 0);
//! assert_eq!(run(&g), [vec![3.0, 4.0], vec![2.0], vec![3.0, 4.0, 1.0, 2.0], vec![7.0, 8.0]]);
//!
//! let mut g = Graph::new();
//! let state = g.state("counter", &[1]);
//! let before = g.read_state(state);
//! let after = g.add(before, 1.0);
//! g.write_state(state, after);
//! let then = g.read_state(state);
//! g.output("count", then);
//! assert_eq!(run(&g), [[1.0]]);
//!
//! // One op that sets and gives; programs that are stored have the two.
//! let mut g = Graph::new();
//! let state = g.state("last", &[2]);
//! let value = of(&mut g, &[2], &[1.5, 2.5]);
//! let value = g.cast(value, "fp16");
//! let now = g.coreml_update_state(state, value);
//! g.output("now", now);
//! assert_eq!(run(&g), [[1.5, 2.5]]);
//! # use anemone::with;
//! ```
//!
//! # Compressed constants
//!
//! What a program stores in few bits. The ops whose names begin with `constexpr_` are computed when a program is loaded, `quantize` and `dequantize` when it runs.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let x = of(&mut g, &[2], &[1.0, -2.0]);
//! let codes = g.quantize(x, 0.5f32, "int8", ());
//! g.dequantize(codes, 0.5f32, ());
//! assert_eq!(run(&g), [[1.0, -2.0]]);
//!
//! let mut g = Graph::new();
//! let codes = packed(DType::Int8, &[2], &[1, 3]);
//! let scaled = g.constexpr_blockwise_shift_scale(codes, packed(DType::Fp16, &[1], &[2]), ()); // 2 code
//! let looked_up = g.constexpr_lut_to_dense(packed(DType::UInt1, &[2], &[1, 0]), packed(DType::Fp16, &[1, 2, 1], &[5, 6]), ());
//! let mask = packed(DType::UInt1, &[3], &[1, 0, 1]);
//! let spread = g.constexpr_sparse_to_dense(packed(DType::Fp16, &[2], &[7, 8]), mask.clone());
//! for constant in [scaled, looked_up, spread] {
//!     g.mul(constant, 1.0);
//! }
//! assert_eq!(run(&g), [vec![2.0, 6.0], vec![6.0, 5.0], vec![7.0, 0.0, 8.0]]);
//!
//! // What is sparse may be in codes too: then the numbers that are not 0 come out, with the mask.
//! let mut g = Graph::new();
//! let [mask_of, numbers] = g.constexpr_lut_to_sparse(
//!     mask.clone(), packed(DType::UInt1, &[2], &[1, 0]), packed(DType::Fp16, &[1, 2, 1], &[5, 6]), (),
//! );
//! let first = g.constexpr_sparse_to_dense(numbers, mask_of);
//! let [mask_of, numbers] = g.constexpr_sparse_blockwise_shift_scale(
//!     mask, packed(DType::Int8, &[2], &[1, 3]), packed(DType::Fp16, &[1], &[2]), (),
//! );
//! let second = g.constexpr_sparse_to_dense(numbers, mask_of);
//! g.mul(first, 1.0);
//! g.mul(second, 1.0);
//! assert_eq!(run(&g), [[6.0, 0.0, 5.0], [2.0, 0.0, 6.0]]);
//!
//! // The forms of iOS 16.
//! let mut g = Graph::with_opset(Opset::Ios16);
//! let codes = packed(DType::Int8, &[1, 2], &[1, 3]);
//! let (zero, scale) = (packed(DType::Int8, &[], &[1]), packed(DType::Fp16, &[], &[2]));
//! let dense = g.constexpr_affine_dequantize(codes, zero, scale, 0); // 2 (code - 1)
//! let wide = g.constexpr_cast(packed(DType::Fp16, &[2], &[1, 2]), "fp32");
//! g.mul(dense, 1.0);
//! g.mul(wide, 1.0);
//! assert_eq!(run(&g), [[0.0, 4.0], [1.0, 2.0]]);
//!
//! // With Rust's numbers.
//! let mut g = Graph::new();
//! let shape = Shape::channels(2);
//! let affine = g.constant_affine(&[1, 3], &[0.5], &[], 0, shape);
//! let blocks = g.constant_blockwise(&[1, 3], DType::Int4, &[0.5], [1, 1, 1, 1], shape);
//! let palette = g.constant_palette(&[1, 0], &[5.0, 6.0], shape);
//! let sparse = g.constant_sparse(&[0.0, 6.0], shape);
//! let bytes = g.constant_with_f16_bytes(&[0x00, 0x3c, 0x00, 0x40], shape); // 1 and 2
//! for constant in [affine, blocks, palette, sparse, bytes] {
//!     g.mul(constant, 2.0);
//! }
//! assert_eq!(run(&g), [[1.0, 3.0], [1.0, 3.0], [12.0, 10.0], [0.0, 12.0], [2.0, 4.0]]);
//! assert!(g.diagnostics().is_empty());
//! # use anemone::{Shape, mil::Opset, with};
//! ```
//!
//! # What Core ML writes around a program
//!
//! Classes of probabilities, and tensors as strided buffers.
//!
//! ```
//! # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/run.rs")); }
//! # use run::*;
//! let mut g = Graph::new();
//! let chances = of(&mut g, &[3], &[0.2, 0.7, 0.1]);
//! let names = types::Tensor::from_strings(&[3], ["cat", "dog", "fish"].map(Into::into).to_vec()).unwrap();
//! let [label, all] = g.classify(chances, names);
//! assert_eq!(g.type_of(label).unwrap().to_string(), "string");
//! assert_eq!(g.type_of(all).unwrap().to_string(), "dict<string, fp64>");
//!
//! let mut g = Graph::new();
//! let x = g.input("x", DType::Fp16, &[1, 5]);
//! let buffer = g.tensor_to_tensor_buffer(x, packed(DType::Int64, &[2], &[32, 1]), packed(DType::UInt8, &[2], &[1, 1]));
//! let back = g.tensor_buffer_to_tensor(buffer);
//! assert_eq!(g.type_of(back), g.type_of(x));
//! ```
