//! The ops of MIL, one method each.
//!
//! Written by `BLESS=1 cargo test -p anemone --test graph_ops` from the op table.

use super::{Arg, Graph, Options, Tensor, Tensors};

/// Writes a method for an op: required parameters, then whether there are options, and what it gives.
macro_rules! ops {
    ($($(#[$doc:meta])* $method:ident = $op:literal ($($required:ident),*) $($options:ident)? -> $results:ty;)*) => {
        impl Graph {$(
            $(#[$doc])*
            #[track_caller]
            #[allow(clippy::too_many_arguments)] // The op has as many.
            pub fn $method(&mut self, $($required: impl Into<Arg>,)* $($options: impl Into<Options>)?) -> $results {
                let at = self.place();
                #[allow(unused_mut)] // Not every op has options.
                let mut given = vec![$((stringify!($required).into(), $required.into())),*];
                $(given.extend($options.into().into_vec());)?
                self.call(at, $op, given).into()
            }
        )*}
    };
}

ops! {
    /// The magnitude of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    abs = "abs" (x) -> Tensor;

    /// The arc cosine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    acos = "acos" (x) -> Tensor;

    /// x + y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    add = "add" (x, y) -> Tensor;

    /// An image rotated, scaled, sheared and moved.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `transform_matrix`: fp16 or fp32
    /// - `output_height`: int32; constant
    /// - `output_width`: int32; constant
    /// - `sampling_mode`: string; constant
    /// - `padding_mode`: string; constant
    /// - `padding_value`: fp16 or fp32; constant
    /// - `coordinates_mode`: string; constant
    /// - `align_corners`: bool; constant
    affine = "affine" (x, transform_matrix, output_height, output_width, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners) -> Tensor;

    /// The places of the elements along an axis, in their order.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; -1 if not given
    /// - `ascending`: bool; constant; false if not given
    argsort = "argsort" (x) options -> Tensor;

    /// The arc sine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    asin = "asin" (x) -> Tensor;

    /// The arc tangent of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    atan = "atan" (x) -> Tensor;

    /// The inverse hyperbolic tangent of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    atanh = "atanh" (x) -> Tensor;

    /// The mean of each window.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `kernel_sizes`: int32; constant
    /// - `pad_type`: string; constant
    ///
    /// Options:
    ///
    /// - `exclude_padding_from_average`: bool; constant; false if not given
    /// - `strides`: int32; constant
    /// - `pad`: int32; constant
    /// - `ceil_mode`: bool; constant; false if not given
    mil_avg_pool = "avg_pool" (x, kernel_sizes, pad_type) options -> Tensor;

    /// x with zeros outside a band around the diagonal of its matrices.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `lower`: int32; constant; -1 if not given
    /// - `upper`: int32; constant; -1 if not given
    band_part = "band_part" (x) options -> Tensor;

    /// x less the mean of its channel, divided by its deviation, times gamma, plus beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `mean`: fp16 or fp32; constant
    /// - `variance`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `gamma`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    /// - `epsilon`: fp16 or fp32; constant; 1e-5 if not given
    batch_norm = "batch_norm" (x, mean, variance) options -> Tensor;

    /// Batches moved into blocks of space, which is then cropped.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `block_shape`: int32; constant
    /// - `crops`: int32; constant
    batch_to_space = "batch_to_space" (x, block_shape, crops) -> Tensor;

    /// x in another dtype.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `dtype`: string; constant
    cast = "cast" (x, dtype) -> Tensor;

    /// x rounded up to a whole number.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ceil = "ceil" (x) -> Tensor;

    /// x, or alpha * x where x is negative; at most beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    clamped_relu = "clamped_relu" (x, alpha, beta) -> Tensor;

    /// The most probable label, and the probability of each.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `probabilities`: fp32
    /// - `classes`: a list; constant
    classify = "classify" (probabilities, classes) -> [Tensor; 2];

    /// x held between alpha and beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    clip = "clip" (x, alpha, beta) -> Tensor;

    /// Tensors joined along an axis.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `values`: several
    /// - `axis`: int32; constant
    ///
    /// Options:
    ///
    /// - `interleave`: bool; constant; false if not given
    mil_concat = "concat" (values, axis) options -> Tensor;

    /// Scale * (data - zero point), for a tensor or along an axis.
    ///
    /// As of ios16.
    ///
    /// Arguments:
    ///
    /// - `quantized_data`: int8 or uint8; constant
    /// - `zero_point`: fp32, int8 or uint8; constant
    /// - `scale`: fp16 or fp32; constant
    /// - `axis`: int32; constant
    constexpr_affine_dequantize = "constexpr_affine_dequantize" (quantized_data, zero_point, scale, axis) -> Tensor;

    /// Scale * (data - offset), block by block.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `data`: fp16, fp32, int4, int8, uint4 or uint8; constant
    /// - `scale`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `offset`: fp16, fp32, int4, int8, uint4 or uint8; constant
    constexpr_blockwise_shift_scale = "constexpr_blockwise_shift_scale" (data, scale) options -> Tensor;

    /// a constant of dtype fp16 as fp32.
    ///
    /// As of ios16, with these parameters as of ios18.
    ///
    /// Arguments:
    ///
    /// - `source_val`: fp16; constant
    /// - `output_dtype`: string; constant
    constexpr_cast = "constexpr_cast" (source_val, output_dtype) -> Tensor;

    /// The entries of a palette that indices name.
    ///
    /// As of ios16, with these parameters as of ios18.
    ///
    /// Arguments:
    ///
    /// - `indices`: uint1, uint2, uint3, uint4, uint6 or uint8; constant
    /// - `lut`: fp16, fp32, int8 or uint8; constant
    ///
    /// Options:
    ///
    /// - `vector_axis`: int32; constant
    ///
    /// Older opsets have `shape`, which [`Graph::op`] takes.
    constexpr_lut_to_dense = "constexpr_lut_to_dense" (indices, lut) options -> Tensor;

    /// The entries of a palette that the indices of a sparse tensor name.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `indices_mask`: uint1; constant
    /// - `indices_nonzero_data`: uint1, uint2, uint3, uint4, uint6 or uint8; constant
    /// - `lut`: fp16, fp32, int8 or uint8; constant
    ///
    /// Options:
    ///
    /// - `vector_axis`: int32; constant
    constexpr_lut_to_sparse = "constexpr_lut_to_sparse" (indices_mask, indices_nonzero_data, lut) options -> [Tensor; 2];

    /// The values of a sparse tensor, scaled and shifted block by block.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `data_mask`: uint1; constant
    /// - `nonzero_data`: fp16, fp32, int4, int8, uint4 or uint8; constant
    /// - `scale`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `offset`: fp16, fp32, int4, int8, uint4 or uint8; constant
    constexpr_sparse_blockwise_shift_scale = "constexpr_sparse_blockwise_shift_scale" (data_mask, nonzero_data, scale) options -> [Tensor; 2];

    /// Values where a mask is set, and zeros elsewhere.
    ///
    /// As of ios16, with these parameters as of ios18.
    ///
    /// Arguments:
    ///
    /// - `nonzero_data`: fp16, fp32, int4, int8, uint4 or uint8; constant
    /// - `mask`: uint1; constant
    ///
    /// Older opsets have `shape`, which [`Graph::op`] takes.
    constexpr_sparse_to_dense = "constexpr_sparse_to_dense" (nonzero_data, mask) -> Tensor;

    /// Weighted sums over the window of each output.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `weight`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `bias`: fp16 or fp32
    /// - `strides`: int32; constant
    /// - `pad_type`: string; constant; `"valid"` if not given
    /// - `pad`: int32; constant
    /// - `dilations`: int32; constant
    /// - `groups`: int32; constant; 1 if not given
    conv = "conv" (x, weight) options -> Tensor;

    /// a convolution whose weights are bytes with a scale and a bias.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `weight`: uint8
    /// - `quantization_type`: string; constant
    /// - `quant_scale`: fp16 or fp32; constant
    /// - `quant_bias`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `bias`: uint8; constant
    /// - `nbits`: int32; constant; 8 if not given
    /// - `strides`: int32; constant
    /// - `pad_type`: string; constant; `"valid"` if not given
    /// - `pad`: int32; constant
    /// - `dilations`: int32; constant
    /// - `groups`: int32; constant; 1 if not given
    conv_quantized = "conv_quantized" (x, weight, quantization_type, quant_scale, quant_bias) options -> Tensor;

    /// Weighted copies of each input to its window of the output.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `weight`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `bias`: fp16 or fp32
    /// - `pad`: int32; constant
    /// - `output_shape`: int32; constant
    /// - `pad_type`: string; constant; `"valid"` if not given
    /// - `strides`: int32; constant
    /// - `dilations`: int32; constant
    /// - `groups`: int32; constant; 1 if not given
    conv_transpose = "conv_transpose" (x, weight) options -> Tensor;

    /// Sets a state, and results in its new value.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `state`: a state
    /// - `value`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    coreml_update_state = "coreml_update_state" (state, value) -> Tensor;

    /// The cosine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    cos = "cos" (x) -> Tensor;

    /// The hyperbolic cosine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    cosh = "cosh" (x) -> Tensor;

    /// x without a border of its last two axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `crop_height`: int32; constant
    /// - `crop_width`: int32; constant
    crop = "crop" (x, crop_height, crop_width) -> Tensor;

    /// Boxes cut out of images and resized.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `boxes`: fp16, fp32 or uint16
    ///
    /// Options:
    ///
    /// - `box_indices`: int32 or uint16
    /// - `target_height`: int32; constant; 1 if not given
    /// - `target_width`: int32; constant; 1 if not given
    /// - `normalized_coordinates`: bool; constant; false if not given
    /// - `spatial_scale`: fp32; constant; 1.0 if not given
    /// - `box_coordinate_mode`: string; constant; `"CORNERS_HEIGHT_FIRST"` if not given
    /// - `sampling_mode`: string; constant; `"DEFAULT"` if not given
    /// - `pad_value`: fp16 or fp32; constant; 0.0 if not given
    ///
    /// Older opsets have `roi`, which [`Graph::op`] takes.
    crop_resize = "crop_resize" (x, boxes) options -> Tensor;

    /// The running sum along an axis.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 0 if not given
    /// - `exclusive`: bool; constant; false if not given
    /// - `reverse`: bool; constant; false if not given
    cumsum = "cumsum" (x) options -> Tensor;

    /// Channels moved into blocks of space; the position in the block counts first, as in TensorFlow.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `block_size`: int32; constant
    depth_to_space = "depth_to_space" (x, block_size) -> Tensor;

    /// Scale * (input - zero_point).
    ///
    /// As of ios17.
    ///
    /// Arguments:
    ///
    /// - `input`: int8 or uint8
    /// - `scale`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `zero_point`: int8 or uint8; constant
    /// - `axis`: int32; constant
    dequantize = "dequantize" (input, scale) options -> Tensor;

    /// Products of matrices over the channels of images.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `values`: several
    /// - `equation`: string; constant
    einsum = "einsum" (values, equation) -> Tensor;

    /// x, or alpha * (e^x - 1) where x is negative.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    elu = "elu" (x, alpha) -> Tensor;

    /// Whether x = y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    equal = "equal" (x, y) -> Tensor;

    /// The Gauss error function of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    erf = "erf" (x) -> Tensor;

    /// e to the power of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    exp = "exp" (x) -> Tensor;

    /// 2 to the power of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    exp2 = "exp2" (x) -> Tensor;

    /// x with new dimensions of 1.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `axes`: int32; constant
    expand_dims = "expand_dims" (x, axes) -> Tensor;

    /// a tensor of one value.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `shape`: int32
    ///
    /// Options:
    ///
    /// - `value`: bool, fp16, fp32 or int32; constant; 0.0 if not given
    fill = "fill" (shape) options -> Tensor;

    /// a tensor of one value, shaped like another.
    ///
    /// As of ios16.
    ///
    /// Arguments:
    ///
    /// - `ref_tensor`: bool, fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `value`: bool, fp16, fp32 or int32; constant; 0.0 if not given
    fill_like = "fill_like" (ref_tensor) options -> Tensor;

    /// x as a matrix: the dimensions before an axis, and those from it on.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 1 if not given
    flatten2d = "flatten2d" (x) options -> Tensor;

    /// x rounded down to a whole number.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    floor = "floor" (x) -> Tensor;

    /// x / y, rounded down to a whole number.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    floor_div = "floor_div" (x, y) -> Tensor;

    /// The slices of x along an axis that indices name.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `indices`: int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 0 if not given
    /// - `batch_dims`: int32; constant; 0 if not given
    /// - `validate_indices`: bool; constant; false if not given
    gather = "gather" (x, indices) options -> Tensor;

    /// The elements of x along an axis that indices name one by one.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `indices`: int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 0 if not given
    /// - `validate_indices`: bool; constant; false if not given
    gather_along_axis = "gather_along_axis" (x, indices) options -> Tensor;

    /// The slices of x that tuples of indices name.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `indices`: int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `batch_dims`: int32; constant; 0 if not given
    /// - `validate_indices`: bool; constant; false if not given
    gather_nd = "gather_nd" (x, indices) options -> Tensor;

    /// x times the share of the normal distribution below x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `mode`: string; constant; `"EXACT"` if not given
    gelu = "gelu" (x) options -> Tensor;

    /// Whether x > y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    greater = "greater" (x, y) -> Tensor;

    /// Whether x >= y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    greater_equal = "greater_equal" (x, y) -> Tensor;

    /// a recurrent network with gates for what it forgets and keeps.
    ///
    /// As of ios15, with these parameters as of ios18.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `initial_h`: fp16 or fp32
    /// - `weight_ih`: fp16 or fp32; constant
    /// - `weight_hh`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `bias`: fp16 or fp32; constant
    /// - `direction`: string; constant; `"forward"` if not given
    /// - `output_sequence`: bool; constant; false if not given
    /// - `recurrent_activation`: string; constant; `"sigmoid"` if not given
    /// - `activation`: string; constant; `"tanh"` if not given
    /// - `reset_after`: bool; constant
    /// - `input_bias`: fp16 or fp32; constant
    gru = "gru" (x, initial_h, weight_ih, weight_hh) options -> [Tensor; 2];

    /// x itself.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: anything
    identity = "identity" (x) -> Tensor;

    /// Each channel of each sample, with mean 0 and deviation 1, times gamma, plus beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `gamma`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    /// - `epsilon`: fp16 or fp32; constant; 1e-5 if not given
    mil_instance_norm = "instance_norm" (x) options -> Tensor;

    /// 1 / (x + epsilon).
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `epsilon`: fp16 or fp32; constant; 0.0001 if not given
    inverse = "inverse" (x) options -> Tensor;

    /// x divided by the square root of the sum of squares over its last three dimensions.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `epsilon`: fp16 or fp32; constant; 1e-6 if not given
    l2_norm = "l2_norm" (x) options -> Tensor;

    /// The Euclidean norm of each window.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `kernel_sizes`: int32; constant
    /// - `pad_type`: string; constant
    ///
    /// Options:
    ///
    /// - `strides`: int32; constant
    /// - `pad`: int32; constant
    /// - `ceil_mode`: bool; constant; false if not given
    l2_pool = "l2_pool" (x, kernel_sizes, pad_type) options -> Tensor;

    /// The elements along axes, with mean 0 and deviation 1, times gamma, plus beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `gamma`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    /// - `epsilon`: fp16 or fp32; constant; 1e-5 if not given
    layer_norm = "layer_norm" (x) options -> Tensor;

    /// x, or alpha * x where x is negative.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    leaky_relu = "leaky_relu" (x, alpha) -> Tensor;

    /// Whether x < y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    less = "less" (x, y) -> Tensor;

    /// Whether x <= y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    less_equal = "less_equal" (x, y) -> Tensor;

    /// The product of x and the transposed weight, plus a bias.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `weight`: fp16, fp32 or int32; constant
    ///
    /// Options:
    ///
    /// - `bias`: fp16, fp32 or int32; constant
    mil_linear = "linear" (x, weight) options -> Tensor;

    /// Alpha * x + beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    linear_activation = "linear_activation" (x, alpha, beta) -> Tensor;

    /// Several items, stacked.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `ls`: a list
    /// - `indices`: int32
    list_gather = "list_gather" (ls, indices) -> Tensor;

    /// The number of items.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `ls`: a list
    list_length = "list_length" (ls) -> Tensor;

    /// One item.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `ls`: a list
    /// - `index`: int32
    list_read = "list_read" (ls, index) -> Tensor;

    /// The list with the rows of a tensor written to items.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `ls`: a list
    /// - `indices`: int32
    /// - `value`: bool, fp16, fp32 or int32
    list_scatter = "list_scatter" (ls, indices, value) -> Tensor;

    /// The list with one item written.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `ls`: a list
    /// - `index`: int32
    /// - `value`: bool, fp16, fp32 or int32
    list_write = "list_write" (ls, index, value) -> Tensor;

    /// x divided by (k + alpha times the mean of squares of the neighbouring channels)^beta.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `size`: int32; constant
    ///
    /// Options:
    ///
    /// - `alpha`: fp16 or fp32; constant; 0.0001 if not given
    /// - `beta`: fp16 or fp32; constant; 0.75 if not given
    /// - `k`: fp16 or fp32; constant; 1.0 if not given
    local_response_norm = "local_response_norm" (x, size) options -> Tensor;

    /// The natural logarithm of x + epsilon.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `epsilon`: fp16 or fp32; constant; 1e-45 if not given
    log = "log" (x) options -> Tensor;

    /// Whether x and y are true.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool
    /// - `y`: bool
    logical_and = "logical_and" (x, y) -> Tensor;

    /// Whether x is false.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool
    logical_not = "logical_not" (x) -> Tensor;

    /// Whether x or y is true.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool
    /// - `y`: bool
    logical_or = "logical_or" (x, y) -> Tensor;

    /// Whether one of x and y is true.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool
    /// - `y`: bool
    logical_xor = "logical_xor" (x, y) -> Tensor;

    /// a recurrent network with a memory behind gates.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `initial_h`: fp16 or fp32
    /// - `initial_c`: fp16 or fp32
    /// - `weight_ih`: fp16 or fp32; constant
    /// - `weight_hh`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `bias`: fp16 or fp32; constant
    /// - `peephole`: fp16 or fp32; constant
    /// - `weight_ih_back`: fp16 or fp32; constant
    /// - `weight_hh_back`: fp16 or fp32; constant
    /// - `bias_back`: fp16 or fp32; constant
    /// - `peephole_back`: fp16 or fp32; constant
    /// - `direction`: string; constant; `"forward"` if not given
    /// - `output_sequence`: bool; constant; false if not given
    /// - `recurrent_activation`: string; constant; `"sigmoid"` if not given
    /// - `cell_activation`: string; constant; `"tanh"` if not given
    /// - `activation`: string; constant; `"tanh"` if not given
    /// - `clip`: fp16 or fp32; constant
    lstm = "lstm" (x, initial_h, initial_c, weight_ih, weight_hh) options -> [Tensor; 3];

    /// a list whose items are not written yet.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `elem_shape`: several; constant
    ///
    /// Options:
    ///
    /// - `init_length`: int32; 1 if not given
    /// - `dynamic_length`: bool; constant; true if not given
    /// - `dtype`: string; constant; `"fp32"` if not given
    make_list = "make_list" (elem_shape) options -> Tensor;

    /// The product of two matrices, or of batches of them.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `transpose_x`: bool; constant; false if not given
    /// - `transpose_y`: bool; constant; false if not given
    matmul = "matmul" (x, y) options -> Tensor;

    /// The largest element of each window.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `kernel_sizes`: int32; constant
    /// - `pad_type`: string; constant
    ///
    /// Options:
    ///
    /// - `strides`: int32; constant
    /// - `pad`: int32; constant
    /// - `ceil_mode`: bool; constant; false if not given
    mil_max_pool = "max_pool" (x, kernel_sizes, pad_type) options -> Tensor;

    /// The larger of x and y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    maximum = "maximum" (x, y) -> Tensor;

    /// The smaller of x and y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    minimum = "minimum" (x, y) -> Tensor;

    /// The remainder of x / y, with the sign of y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    r#mod = "mod" (x, y) -> Tensor;

    /// x * y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    mul = "mul" (x, y) -> Tensor;

    /// Of boxes that overlap, those with the highest score.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `boxes`: fp16 or fp32
    /// - `scores`: fp16 or fp32
    /// - `iou_threshold`: fp16 or fp32; constant
    /// - `max_boxes`: int32; constant
    ///
    /// Options:
    ///
    /// - `per_class_suppression`: bool; constant; false if not given
    ///
    /// Older opsets have `score_threshold`, which [`Graph::op`] takes.
    non_maximum_suppression = "non_maximum_suppression" (boxes, scores, iou_threshold, max_boxes) options -> Tensors;

    /// The places of the elements that are not zero.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    non_zero = "non_zero" (x) -> Tensor;

    /// Whether x is not y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    not_equal = "not_equal" (x, y) -> Tensor;

    /// Vectors that are on at an index and off elsewhere.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `indices`: int32
    /// - `one_hot_vector_size`: int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; -1 if not given
    /// - `on_value`: bool, fp16, fp32 or int32; constant; 1 if not given
    /// - `off_value`: bool, fp16, fp32 or int32; constant; 0 if not given
    one_hot = "one_hot" (indices, one_hot_vector_size) options -> Tensor;

    /// x with a border.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `pad`: int32
    ///
    /// Options:
    ///
    /// - `mode`: string; constant; `"constant"` if not given
    /// - `constant_val`: fp16 or fp32; constant; 0.0 if not given
    mil_pad = "pad" (x, pad) options -> Tensor;

    /// Channels moved into blocks of space; the channel counts first, as in PyTorch.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `upscale_factor`: int32; constant
    pixel_shuffle = "pixel_shuffle" (x, upscale_factor) -> Tensor;

    /// Blocks of space moved into channels: the inverse of pixel_shuffle.
    ///
    /// As of ios16.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `downscale_factor`: uint32; constant
    pixel_unshuffle = "pixel_unshuffle" (x, downscale_factor) -> Tensor;

    /// x to the power of y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    pow = "pow" (x, y) -> Tensor;

    /// x, or alpha * x where x is negative, with an alpha for each channel.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    prelu = "prelu" (x, alpha) -> Tensor;

    /// Input / scale, rounded to the even of two, plus zero_point, held to the range of a byte.
    ///
    /// As of ios17.
    ///
    /// Arguments:
    ///
    /// - `input`: fp16 or fp32
    /// - `scale`: fp16 or fp32; constant
    /// - `output_dtype`: string; constant
    ///
    /// Options:
    ///
    /// - `zero_point`: int8 or uint8; constant
    /// - `axis`: int32; constant
    quantize = "quantize" (input, scale, output_dtype) options -> Tensor;

    /// 1 with probability prob, else 0, in each place of a tensor.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `shape`: int32
    ///
    /// Options:
    ///
    /// - `prob`: fp16 or fp32; constant; 0.5 if not given
    /// - `seed`: int32; constant; -1 if not given
    random_bernoulli = "random_bernoulli" (shape) options -> Tensor;

    /// Indices drawn with the probabilities, or the logits, of the last dimension of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `mode`: string; constant; `"logits"` if not given
    /// - `size`: int32; constant; 1 if not given
    /// - `seed`: int32; constant; -1 if not given
    random_categorical = "random_categorical" (x) options -> Tensor;

    /// Numbers of the normal distribution in each place of a tensor.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `shape`: int32
    ///
    /// Options:
    ///
    /// - `mean`: fp16 or fp32; constant; 0.0 if not given
    /// - `stddev`: fp16 or fp32; constant; 1.0 if not given
    /// - `seed`: int32; constant; -1 if not given
    random_normal = "random_normal" (shape) options -> Tensor;

    /// Numbers between low and high, all equally likely, in each place of a tensor.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `shape`: int32
    ///
    /// Options:
    ///
    /// - `low`: fp16 or fp32; constant; 0.0 if not given
    /// - `high`: fp16 or fp32; constant; 1.0 if not given
    /// - `seed`: int32; constant; -1 if not given
    random_uniform = "random_uniform" (shape) options -> Tensor;

    /// The numbers from start up to end, by steps.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `end`: fp16, fp32 or int32
    /// - `start`: fp16, fp32 or int32
    /// - `step`: fp16, fp32 or int32
    range_1d = "range_1d" (end, start, step) -> Tensor;

    /// The value of a state.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `input`: a state
    read_state = "read_state" (input) -> Tensor;

    /// x / y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    real_div = "real_div" (x, y) -> Tensor;

    /// The index of the largest element along an axis, the first of equals.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; -1 if not given
    /// - `keep_dims`: bool; constant; false if not given
    /// - `output_dtype`: string; constant; `"int32"` if not given
    reduce_argmax = "reduce_argmax" (x) options -> Tensor;

    /// The index of the smallest element along an axis, the first of equals.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; -1 if not given
    /// - `keep_dims`: bool; constant; false if not given
    /// - `output_dtype`: string; constant; `"int32"` if not given
    reduce_argmin = "reduce_argmin" (x) options -> Tensor;

    /// The sum of the magnitudes over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_l1_norm = "reduce_l1_norm" (x) options -> Tensor;

    /// The square root of the sum of squares over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_l2_norm = "reduce_l2_norm" (x) options -> Tensor;

    /// The logarithm of the sum over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_log_sum = "reduce_log_sum" (x) options -> Tensor;

    /// The logarithm of the sum of e^x over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_log_sum_exp = "reduce_log_sum_exp" (x) options -> Tensor;

    /// The largest element over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    mil_reduce_max = "reduce_max" (x) options -> Tensor;

    /// The mean over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    mil_reduce_mean = "reduce_mean" (x) options -> Tensor;

    /// The smallest element over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    mil_reduce_min = "reduce_min" (x) options -> Tensor;

    /// The product over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_prod = "reduce_prod" (x) options -> Tensor;

    /// The sum over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    mil_reduce_sum = "reduce_sum" (x) options -> Tensor;

    /// The sum of squares over axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    /// - `keep_dims`: bool; constant; false if not given
    reduce_sum_square = "reduce_sum_square" (x) options -> Tensor;

    /// The larger of x and 0.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    relu = "relu" (x) -> Tensor;

    /// x held between 0 and 6.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    relu6 = "relu6" (x) -> Tensor;

    /// An image sampled at coordinates.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `coordinates`: fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `sampling_mode`: string; constant
    /// - `padding_mode`: string; constant
    /// - `padding_value`: fp16 or fp32; constant
    /// - `coordinates_mode`: string; constant
    /// - `align_corners`: bool; constant
    resample = "resample" (x, coordinates, sampling_mode, padding_mode, padding_value, coordinates_mode, align_corners) -> Tensor;

    /// x in another shape.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `shape`: int8, int16 or int32
    reshape = "reshape" (x, shape) -> Tensor;

    /// x in a shape put together from the dimensions of other tensors.
    ///
    /// As of ios16, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `ref_tensors`: several
    /// - `begins`: several; constant
    /// - `ends`: several; constant
    /// - `end_masks`: several; constant
    reshape_like = "reshape_like" (x, ref_tensors, begins, ends, end_masks) -> Tensor;

    /// The last dimensions stretched or shrunk to a shape.
    ///
    /// As of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `shape`: int16, int32, uint16 or uint32
    /// - `resized_dims`: uint32; constant
    ///
    /// Options:
    ///
    /// - `interpolation_mode`: string; constant; `"LINEAR"` if not given
    /// - `sampling_mode`: string; constant; `"DEFAULT"` if not given
    resize = "resize" (x, shape, resized_dims) options -> Tensor;

    /// An image stretched or shrunk to a size, between its pixels.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `target_size_height`: int32; constant; 1 if not given
    /// - `target_size_width`: int32; constant; 1 if not given
    /// - `sampling_mode`: string; constant; `"DEFAULT"` if not given
    resize_bilinear = "resize_bilinear" (x) options -> Tensor;

    /// An image stretched or shrunk to a size, by its nearest pixels.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `target_size_height`: int32; constant
    /// - `target_size_width`: int32; constant
    resize_nearest_neighbor = "resize_nearest_neighbor" (x, target_size_height, target_size_width) -> Tensor;

    /// x with axes reversed.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    reverse = "reverse" (x) options -> Tensor;

    /// x with the first elements of each sequence reversed.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `lengths`: int8, int16 or int32
    ///
    /// Options:
    ///
    /// - `seq_axis`: int32; constant; 0 if not given
    /// - `batch_axis`: int32; constant; 0 if not given
    reverse_sequence = "reverse_sequence" (x, lengths) options -> Tensor;

    /// a network whose output is also its next input.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `initial_h`: fp16 or fp32
    /// - `weight_ih`: fp16 or fp32; constant
    /// - `weight_hh`: fp16 or fp32; constant
    ///
    /// Options:
    ///
    /// - `bias`: fp16 or fp32; constant
    /// - `direction`: string; constant; `"forward"` if not given
    /// - `output_sequence`: bool; constant; false if not given
    /// - `activation`: string; constant; `"tanh"` if not given
    rnn = "rnn" (x, initial_h, weight_ih, weight_hh) options -> [Tensor; 2];

    /// x rounded to the nearest whole number, of two to the even one.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    round = "round" (x) -> Tensor;

    /// 1 / sqrt(x + epsilon).
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `epsilon`: fp16 or fp32; constant; 1e-12 if not given
    rsqrt = "rsqrt" (x) options -> Tensor;

    /// Softmax(query · keyᵀ / √E + attn_mask) · value, with E the length of a query.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `query`: fp16 or fp32
    /// - `key`: fp16 or fp32
    /// - `value`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `attn_mask`: bool, fp16 or fp32
    scaled_dot_product_attention = "scaled_dot_product_attention" (query, key, value) options -> Tensor;

    /// Alpha * tanh(beta * x).
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    scaled_tanh = "scaled_tanh" (x, alpha, beta) -> Tensor;

    /// Data with slices along an axis updated where indices name them.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `data`: fp16, fp32 or int32
    /// - `indices`: int32
    /// - `updates`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 0 if not given
    /// - `mode`: string; constant; `"add"` if not given
    /// - `validate_indices`: bool; constant; false if not given
    scatter = "scatter" (data, indices, updates) options -> Tensor;

    /// Data with elements along an axis updated where indices name them one by one.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `data`: fp16, fp32 or int32
    /// - `indices`: int32
    /// - `updates`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; 0 if not given
    /// - `mode`: string; constant; `"add"` if not given
    /// - `validate_indices`: bool; constant; false if not given
    scatter_along_axis = "scatter_along_axis" (data, indices, updates) options -> Tensor;

    /// Data with slices updated where tuples of indices name them.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `data`: fp16, fp32 or int32
    /// - `indices`: int32
    /// - `updates`: fp16, fp32 or int32
    ///
    /// Options:
    ///
    /// - `mode`: string; constant; `"add"` if not given
    /// - `validate_indices`: bool; constant; false if not given
    scatter_nd = "scatter_nd" (data, indices, updates) options -> Tensor;

    /// a where cond is true, b elsewhere.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `cond`: bool
    /// - `a`: bool, fp16, fp32 or int32
    /// - `b`: bool, fp16, fp32 or int32
    select = "select" (cond, a, b) -> Tensor;

    /// The dimensions of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    shape = "shape" (x) -> Tensor;

    /// 1 / (1 + e^-x).
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    sigmoid = "sigmoid" (x) -> Tensor;

    /// Alpha * x + beta, held between 0 and 1.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    sigmoid_hard = "sigmoid_hard" (x, alpha, beta) -> Tensor;

    /// -1, 0 or 1: the sign of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    sign = "sign" (x) -> Tensor;

    /// x * sigmoid(x).
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    silu = "silu" (x) -> Tensor;

    /// The sine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    sin = "sin" (x) -> Tensor;

    /// The hyperbolic sine of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    sinh = "sinh" (x) -> Tensor;

    /// a part of x, as NumPy's begin:end:stride takes it.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `begin`: int8, int16 or int32
    /// - `end`: int8, int16 or int32
    ///
    /// Options:
    ///
    /// - `stride`: int8, int16 or int32; constant
    /// - `begin_mask`: bool; constant
    /// - `end_mask`: bool; constant
    /// - `squeeze_mask`: bool; constant
    slice_by_index = "slice_by_index" (x, begin, end) options -> Tensor;

    /// a part of x, by its begin and size.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `begin`: int8, int16 or int32
    /// - `size`: int8, int16 or int32
    slice_by_size = "slice_by_size" (x, begin, size) -> Tensor;

    /// x with a part of it replaced.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `update`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `begin`: int8, int16 or int32
    /// - `end`: int8, int16 or int32
    ///
    /// Options:
    ///
    /// - `stride`: int8, int16 or int32; constant
    /// - `begin_mask`: bool; constant
    /// - `end_mask`: bool; constant
    /// - `squeeze_mask`: bool; constant
    slice_update = "slice_update" (x, update, begin, end) options -> Tensor;

    /// All windows along an axis, on an axis of their own.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `axis`: int32; constant
    /// - `size`: int32; constant
    ///
    /// Options:
    ///
    /// - `stride`: int32; constant; 1 if not given
    sliding_windows = "sliding_windows" (x, axis, size) options -> Tensor;

    /// e^x divided by its sum along an axis.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `axis`: int32; constant; -1 if not given
    softmax = "softmax" (x) options -> Tensor;

    /// Ln(1 + e^x).
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    softplus = "softplus" (x) -> Tensor;

    /// Alpha * ln(1 + e^(beta * x)), with an alpha and a beta for each channel.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    /// - `beta`: fp16 or fp32; constant
    softplus_parametric = "softplus_parametric" (x, alpha, beta) -> Tensor;

    /// x / (1 + |x|).
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    softsign = "softsign" (x) -> Tensor;

    /// Blocks of padded space moved into batches.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `block_shape`: int32; constant
    /// - `paddings`: int32; constant
    space_to_batch = "space_to_batch" (x, block_shape, paddings) -> Tensor;

    /// Blocks of space moved into channels: the inverse of depth_to_space.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `block_size`: int32; constant
    space_to_depth = "space_to_depth" (x, block_size) -> Tensor;

    /// x cut along an axis.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    /// - `axis`: int32; constant
    ///
    /// Options:
    ///
    /// - `num_splits`: int32; constant
    /// - `split_sizes`: int32; constant
    split = "split" (x, axis) options -> Tensors;

    /// The square root of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    sqrt = "sqrt" (x) -> Tensor;

    /// x * x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    square = "square" (x) -> Tensor;

    /// x without its dimensions of 1.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `axes`: int32; constant
    squeeze = "squeeze" (x) options -> Tensor;

    /// Tensors joined along a new axis.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `values`: several
    /// - `axis`: int32; constant
    stack = "stack" (values, axis) -> Tensor;

    /// x - y.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `y`: fp16, fp32 or int32
    sub = "sub" (x, y) -> Tensor;

    /// The tangent of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    tan = "tan" (x) -> Tensor;

    /// The hyperbolic tangent of x.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    tanh = "tanh" (x) -> Tensor;

    /// The tensor that lies in a strided buffer.
    ///
    /// As of ios17.
    ///
    /// Arguments:
    ///
    /// - `input`: anything
    tensor_buffer_to_tensor = "tensor_buffer_to_tensor" (input) -> Tensor;

    /// a strided buffer that holds a tensor.
    ///
    /// As of ios17.
    ///
    /// Arguments:
    ///
    /// - `input`: any dtype
    /// - `strides`: int64; constant
    /// - `interleave_factors`: uint8; constant
    tensor_to_tensor_buffer = "tensor_to_tensor_buffer" (input, strides, interleave_factors) -> Tensor;

    /// The larger of x and alpha.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32 or int32
    /// - `alpha`: fp16, fp32 or int32; constant
    threshold = "threshold" (x, alpha) -> Tensor;

    /// x, or 0 where x is less than alpha.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    /// - `alpha`: fp16 or fp32; constant
    thresholded_relu = "thresholded_relu" (x, alpha) -> Tensor;

    /// x repeated along its axes.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32 or int32
    /// - `reps`: int32
    tile = "tile" (x, reps) -> Tensor;

    /// The largest or smallest elements along an axis, and their places.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16, fp32, int8, int16, int32, uint8 or uint16
    ///
    /// Options:
    ///
    /// - `k`: int8, int16 or int32; constant; 1 if not given
    /// - `axis`: int32; constant; -1 if not given
    /// - `ascending`: bool; constant; false if not given
    /// - `sort`: bool; constant; true if not given
    /// - `return_indices`: bool; constant; true if not given
    /// - `output_indices_dtype`: string; constant; `"int32"` if not given
    topk = "topk" (x) options -> Tensors;

    /// x with its axes permuted.
    ///
    /// As of ios15, with these parameters as of ios17.
    ///
    /// Arguments:
    ///
    /// - `x`: bool, fp16, fp32, int8, int16, int32, uint8 or uint16
    /// - `perm`: int32; constant
    transpose = "transpose" (x, perm) -> Tensor;

    /// An image stretched or shrunk by factors, between its pixels.
    ///
    /// As of ios15, with these parameters as of ios16.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `scale_factor_height`: fp32 or int32; constant; 1 if not given
    /// - `scale_factor_width`: fp32 or int32; constant; 1 if not given
    /// - `align_corners`: bool; constant; true if not given
    /// - `half_pixel_centers`: bool; constant
    upsample_bilinear = "upsample_bilinear" (x) options -> Tensor;

    /// An image stretched or shrunk by factors, by its pixels.
    ///
    /// As of ios15.
    ///
    /// Arguments:
    ///
    /// - `x`: fp16 or fp32
    ///
    /// Options:
    ///
    /// - `scale_factor_height`: fp32 or int32; constant; 1 if not given
    /// - `scale_factor_width`: fp32 or int32; constant; 1 if not given
    upsample_nearest_neighbor = "upsample_nearest_neighbor" (x) options -> Tensor;

    /// Sets a state, and has no result.
    ///
    /// As of ios18.
    ///
    /// Arguments:
    ///
    /// - `input`: a state
    /// - `data`: fp16 or fp32
    write_state = "write_state" (input, data) -> ();
}
