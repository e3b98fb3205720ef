//! The names and forms of the crate `ane`: four dimensions of fp16.

use super::{Graph, Options, Shape, Tensor};
use crate::source::{Diagnostic, Span, codes};
use crate::with;

/// How a window goes over the edges.
///
/// ```
/// use anemone::{Graph, PadMode, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 4, 64));
/// let [valid, same] = [PadMode::Valid, PadMode::Same].map(|mode| g.max_pool(x, 3, 3, 1, 1, mode));
/// assert_eq!((valid.shape(), same.shape()), (Some(Shape::spatial(1, 2, 62)), x.shape()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// It stays inside.
    #[default]
    Valid,
    /// The result has an element for each step, the input divided by the stride; where the padding is odd, the odd
    /// element comes first (`same_lower` of MIL), but in transposed convolutions, where it comes last (`same`).
    Same,
}

impl PadMode {
    fn name(self) -> &'static str {
        match self {
            PadMode::Valid => "valid",
            PadMode::Same => "same_lower",
        }
    }
}

/// What lies beyond the edges.
///
/// ```
/// use anemone::{Graph, PadFillMode, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 4, 64));
/// let y = g.pad(x, 1, 1, 2, 2, PadFillMode::Reflect, 0.0);
/// assert_eq!(y.shape(), Some(Shape::spatial(1, 6, 68)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadFillMode {
    /// One number.
    #[default]
    Constant,
    /// The elements inside of the edge, mirrored; the edge itself is not repeated.
    Reflect,
    /// The element at the edge.
    Replicate,
}

/// How [`Graph::convolution_2d`] goes over its input. [`Graph::conv`] has strides, dilations and any padding.
///
/// ```
/// use anemone::{Convolution2dDescriptor, PadMode};
/// let same = Convolution2dDescriptor { pad_mode: PadMode::Same, ..Default::default() };
/// assert_eq!(same.groups, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution2dDescriptor {
    /// Into how many groups the channels are cut, each of which sees itself alone.
    pub groups: usize,
    /// How the kernel goes over the edges.
    pub pad_mode: PadMode,
}

impl Default for Convolution2dDescriptor {
    fn default() -> Self {
        Self { groups: 1, pad_mode: PadMode::Valid }
    }
}

/// How [`Graph::convolution_transpose_2d`] goes over its result.
///
/// ```
/// use anemone::ConvolutionTranspose2dDescriptor;
/// let twice = ConvolutionTranspose2dDescriptor { stride_height: 2, stride_width: 2, ..Default::default() };
/// assert_eq!(twice.groups, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvolutionTranspose2dDescriptor {
    /// Into how many groups the channels are cut, each of which sees itself alone.
    pub groups: usize,
    /// Rows of the result from an element of the input to the next.
    pub stride_height: usize,
    /// Columns of the result from an element of the input to the next.
    pub stride_width: usize,
    /// How the kernel goes over the edges.
    pub pad_mode: PadMode,
}

impl Default for ConvolutionTranspose2dDescriptor {
    fn default() -> Self {
        Self { groups: 1, stride_height: 1, stride_width: 1, pad_mode: PadMode::Valid }
    }
}

/// Writes methods that are an op of one or two tensors under another name.
macro_rules! renamed {
    ($($(#[$doc:meta])* $name:ident($($x:ident),*) = $op:literal;)*) => {
        impl Graph {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&mut self, $($x: Tensor),*) -> Tensor {
                let at = self.place();
                self.one(at, $op, with! { $($x: $x),* })
            }
        )*}
    };
}

renamed! {
    /// `x + y`, element by element; a dimension of 1 goes with any other.
    addition(x, y) = "add";
    /// `x - y`, element by element; a dimension of 1 goes with any other.
    subtraction(x, y) = "sub";
    /// `x * y`, element by element; a dimension of 1 goes with any other.
    multiplication(x, y) = "mul";
    /// `x / y`, element by element; a dimension of 1 goes with any other.
    division(x, y) = "real_div";
    /// `x` to the power of `y`, element by element; a dimension of 1 goes with any other.
    power(x, y) = "pow";
    /// The magnitude of each element.
    absolute(x) = "abs";
    /// The square root of each element.
    square_root(x) = "sqrt";
    /// e to the power of each element. From 11.1 on the result is infinite in fp16.
    exponent(x) = "exp";
}

/// The least that is added before a logarithm or reciprocal; 0 is what the mathematics say.
const EPSILON: f64 = 0.0;

impl Graph {
    /// A dense layer with constant weights, over the channels of each column: `y[o] = Σ w[o, i] * x[i]`.
    ///
    /// The weights are `[output_channels, input_channels]`, row by row, as PyTorch's `nn.Linear` has them, and are stored
    /// in fp16. The program has a convolution with a kernel of one element, which is what the engine is made for.
    #[track_caller]
    pub fn inner_product(
        &mut self,
        source: Tensor,
        weights: &[f32],
        input_channels: usize,
        output_channels: usize,
    ) -> Tensor {
        let at = self.place();
        let shape = Shape { batch: output_channels, ..Shape::channels(input_channels) };
        let Some(weights) = self.halves(weights, shape, at) else { return self.refused() };
        let weight = self.constant_at(Ok(weights), at);
        self.one(at, "conv", with! { x: source, weight: weight })
    }

    /// The product of the matrices in the last two dimensions, of which each may be transposed first.
    #[track_caller]
    pub fn matrix_multiplication(
        &mut self,
        x: Tensor,
        y: Tensor,
        transpose_x: bool,
        transpose_y: bool,
    ) -> Tensor {
        let at = self.place();
        self.one(at, "matmul", with! { x: x, y: y, transpose_x: transpose_x, transpose_y: transpose_y })
    }

    /// 1 over the square root of each element. [`Graph::rsqrt`] adds an epsilon first.
    #[track_caller]
    pub fn reciprocal_square_root(&mut self, x: Tensor) -> Tensor {
        let at = self.place();
        self.one(at, "rsqrt", with! { x: x, epsilon: EPSILON })
    }

    /// The natural logarithm of each element. [`Graph::log`] adds an epsilon first.
    #[track_caller]
    pub fn logarithm(&mut self, x: Tensor) -> Tensor {
        let at = self.place();
        self.one(at, "log", with! { x: x, epsilon: EPSILON })
    }

    /// 1 over each element. [`Graph::inverse`] adds an epsilon first.
    #[track_caller]
    pub fn reciprocal(&mut self, x: Tensor) -> Tensor {
        let at = self.place();
        self.one(at, "inverse", with! { x: x, epsilon: EPSILON })
    }

    /// `alpha * x + beta`, held between 0 and 1. The program has `linear_activation` and `clip`.
    #[track_caller]
    pub fn hard_sigmoid(&mut self, x: Tensor, alpha: f64, beta: f64) -> Tensor {
        let at = self.place();
        let line = self.one(at, "linear_activation", with! { x: x, alpha: alpha, beta: beta });
        self.one(at, "clip", with! { x: line, alpha: 0.0, beta: 1.0 })
    }

    /// `alpha * x + beta`. MIL's `linear`, a dense layer, is [`Graph::mil_linear`].
    #[track_caller]
    pub fn linear(&mut self, x: Tensor, alpha: f64, beta: f64) -> Tensor {
        let at = self.place();
        self.one(at, "linear_activation", with! { x: x, alpha: alpha, beta: beta })
    }

    /// The part of a tensor that starts at `begin` and is of this size.
    #[track_caller]
    pub fn slice(&mut self, x: Tensor, begin: [usize; 4], size: [usize; 4]) -> Tensor {
        let at = self.place();
        self.one(at, "slice_by_size", with! { x: x, begin: begin, size: size })
    }

    /// Tensors behind each other along an axis: 0 is the batch, 1 channels, 2 rows, 3 columns.
    #[track_caller]
    pub fn concat(&mut self, values: &[Tensor], axis: usize) -> Tensor {
        let at = self.place();
        self.one(at, "concat", with! { values: values, axis: axis, interleave: false })
    }

    /// All elements as channels: `[1, elements, 1, 1]`.
    #[track_caller]
    pub fn flatten_2d(&mut self, x: Tensor) -> Tensor {
        let at = self.place();
        self.one(at, "reshape", with! { x: x, shape: [1i64, -1, 1, 1] })
    }

    /// The sum along an axis, of which 1 element stays.
    #[track_caller]
    pub fn reduce_sum(&mut self, x: Tensor, axis: i64) -> Tensor {
        let at = self.place();
        self.reduce(at, "reduce_sum", x, axis)
    }

    /// The mean along an axis, of which 1 element stays.
    #[track_caller]
    pub fn reduce_mean(&mut self, x: Tensor, axis: i64) -> Tensor {
        let at = self.place();
        self.reduce(at, "reduce_mean", x, axis)
    }

    /// The smallest element along an axis, of which 1 element stays.
    #[track_caller]
    pub fn reduce_min(&mut self, x: Tensor, axis: i64) -> Tensor {
        let at = self.place();
        self.reduce(at, "reduce_min", x, axis)
    }

    /// The largest element along an axis, of which 1 element stays.
    #[track_caller]
    pub fn reduce_max(&mut self, x: Tensor, axis: i64) -> Tensor {
        let at = self.place();
        self.reduce(at, "reduce_max", x, axis)
    }

    fn reduce(&mut self, at: Span, op: &str, x: Tensor, axis: i64) -> Tensor {
        self.one(at, op, with! { x: x, axes: [axis], keep_dims: true })
    }

    /// Softmax along an axis; -1 is the last.
    #[track_caller]
    pub fn soft_max(&mut self, x: Tensor, axis: i64) -> Tensor {
        let at = self.place();
        self.one(at, "softmax", with! { x: x, axis: axis })
    }

    /// Each channel of each sample with the mean 0 and the variance 1, times its parameter.
    ///
    /// `params` holds a factor for each channel, in any shape, and must be a constant. [`Graph::mil_instance_norm`] also
    /// adds something.
    #[track_caller]
    pub fn instance_norm(&mut self, source: Tensor, params: Tensor, epsilon: f64) -> Tensor {
        let at = self.place();
        let gamma = self.vector(params, at);
        self.one(at, "instance_norm", with! { x: source, gamma: gamma, epsilon: epsilon })
    }

    /// A convolution with strides of 1.
    ///
    /// The weights are `Shape { batch: out, channels: in / groups, height, width }`, and the bias has a number for each
    /// channel of the result, in any shape.
    #[track_caller]
    pub fn convolution_2d(
        &mut self,
        source: Tensor,
        weights: Tensor,
        bias: Option<Tensor>,
        descriptor: &Convolution2dDescriptor,
    ) -> Tensor {
        let at = self.place();
        self.convolution(at, source, weights, bias, descriptor)
    }

    /// A convolution with a kernel of one element: a dense layer over the channels.
    #[track_caller]
    pub fn convolution_2d_1x1(&mut self, source: Tensor, weights: Tensor, bias: Option<Tensor>) -> Tensor {
        let at = self.place();
        self.pointwise(at, source, weights, bias)
    }

    /// A convolution with a kernel of one element whose weights, `[out, in, 1, 1]`, are computed when the program runs.
    ///
    /// It works for every batch and height. Of the hardware that is known for a batch of 1 only.
    #[track_caller]
    pub fn convolution_2d_1x1_dynamic(&mut self, source: Tensor, weights: Tensor) -> Tensor {
        let at = self.place();
        self.pointwise(at, source, weights, None)
    }

    fn pointwise(&mut self, at: Span, source: Tensor, weights: Tensor, bias: Option<Tensor>) -> Tensor {
        let own = weights.shape().filter(|_| weights.graph == self.id);
        if let Some(shape) = own.filter(|s| (s.height, s.width) != (1, 1)) {
            let message = format!("`weights` is of shape {shape}, where a kernel of one element is wanted");
            let d = Diagnostic::new(&codes::SHAPE_MISMATCH, message)
                .help("give `[out, in, 1, 1]`, or use `convolution_2d`");
            self.refuse(d, at, "in this convolution");
            return self.refused();
        }
        self.convolution(at, source, weights, bias, &Convolution2dDescriptor::default())
    }

    fn convolution(
        &mut self,
        at: Span,
        source: Tensor,
        weights: Tensor,
        bias: Option<Tensor>,
        descriptor: &Convolution2dDescriptor,
    ) -> Tensor {
        let bias = bias.map(|b| self.vector(b, at));
        let options = with! {
            x: source,
            weight: weights,
            bias: bias,
            pad_type: descriptor.pad_mode.name(),
            groups: descriptor.groups
        };
        self.one(at, "conv", options)
    }

    /// A transposed convolution: each element of the input adds the kernel to the result.
    ///
    /// The weights are `Shape { batch: in, channels: out / groups, height, width }`. Of `n` elements along a dimension the
    /// result has `(n - 1) * stride + kernel`, or `n * stride` when it is [`PadMode::Same`].
    #[track_caller]
    pub fn convolution_transpose_2d(
        &mut self,
        source: Tensor,
        weights: Tensor,
        bias: Option<Tensor>,
        descriptor: &ConvolutionTranspose2dDescriptor,
    ) -> Tensor {
        let at = self.place();
        let bias = bias.map(|b| self.vector(b, at));
        let pad_type = match descriptor.pad_mode {
            PadMode::Valid => "valid",
            PadMode::Same => "same",
        };
        let options = with! {
            x: source,
            weight: weights,
            bias: bias,
            pad_type: pad_type,
            strides: [descriptor.stride_height, descriptor.stride_width],
            groups: descriptor.groups
        };
        self.one(at, "conv_transpose", options)
    }

    /// The largest element under each window.
    #[track_caller]
    pub fn max_pool(
        &mut self,
        x: Tensor,
        kernel_height: usize,
        kernel_width: usize,
        stride_height: usize,
        stride_width: usize,
        pad_mode: PadMode,
    ) -> Tensor {
        let at = self.place();
        let options = windows(x, [kernel_height, kernel_width], [stride_height, stride_width], pad_mode);
        self.one(at, "max_pool", options)
    }

    /// The mean of the elements under each window; padding counts as zeros. [`Graph::mil_avg_pool`] can leave it out.
    #[track_caller]
    pub fn avg_pool(
        &mut self,
        x: Tensor,
        kernel_height: usize,
        kernel_width: usize,
        stride_height: usize,
        stride_width: usize,
        pad_mode: PadMode,
    ) -> Tensor {
        let at = self.place();
        let options = windows(x, [kernel_height, kernel_width], [stride_height, stride_width], pad_mode);
        self.one(at, "avg_pool", options.and("exclude_padding_from_average", false))
    }

    /// The mean of each channel: `[batch, channels, 1, 1]`.
    #[track_caller]
    pub fn global_avg_pool(&mut self, x: Tensor) -> Tensor {
        let at = self.place();
        self.one(at, "reduce_mean", with! { x: x, axes: [2, 3], keep_dims: true })
    }

    /// Adds rows and columns around each channel. `value` is what they are filled with by [`PadFillMode::Constant`].
    #[track_caller]
    #[allow(clippy::too_many_arguments)] // The order of the document.
    pub fn pad(
        &mut self,
        x: Tensor,
        top: usize,
        bottom: usize,
        left: usize,
        right: usize,
        mode: PadFillMode,
        value: f64,
    ) -> Tensor {
        let at = self.place();
        let mode = match mode {
            PadFillMode::Constant => "constant",
            PadFillMode::Reflect => "reflect",
            PadFillMode::Replicate => "replicate",
        };
        self.one(at, "pad", with! { x: x, pad: [top, bottom, left, right], mode: mode, constant_val: value })
    }

    /// All elements of a tensor in one dimension, which is how MIL takes a number for each channel.
    fn vector(&mut self, tensor: Tensor, at: Span) -> Tensor {
        let Some(shape) = tensor.shape().filter(|_| tensor.graph == self.id) else { return tensor };
        let elements = shape.total_elements();
        match self.constant_of(tensor).and_then(|v| v.to_tensor()) {
            Some(number) if number.rank() == 0 => {
                self.constant_at(number.pick(&[elements], std::iter::repeat_n(0, elements)), at)
            }
            Some(numbers) => self.constant_at(numbers.reshaped(&[elements]), at),
            None => self.one(at, "reshape", with! { x: tensor, shape: [-1] }),
        }
    }
}

/// The arguments of a pooling.
fn windows(x: Tensor, kernel: [usize; 2], strides: [usize; 2], pad_mode: PadMode) -> Options {
    with! { x: x, kernel_sizes: kernel, strides: strides, pad_type: pad_mode.name(), ceil_mode: false }
}
