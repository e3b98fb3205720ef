//! Convolutions: `conv`, `conv_transpose`, `conv_quantized`, over one to three spatial dimensions.
//!
//! Every product is summed in f64, and the sum rounded once. Padding is zeros: an infinite weight over it makes a NaN.

mod quantized;
#[cfg(test)]
mod tests;

use anemone_kernels::Float as _;
use anemone_kernels::conv as kernels;
use anemone_kernels::finish::Finish;
use anemone_kernels::gemm::Matrix;
use anemone_kernels::packed::{self, Packed};

pub(super) use self::quantized::dequantized;
use self::quantized::fast_conv_quantized;
use super::fast::{Following, Ready, Singles, dims, elements, for_float, idle, nothing, ready};
use super::loops::shape_of;
use super::row::*;
use super::window::{
    Run, SPATIAL, Window, Windows, for_kernels, not_known, numbers, room, runs, spatial, zeros,
};
use crate::mil::op::{self, ChannelsLast};

const CONV: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("weight", FLOATS).domain('T'),
            tensor("bias", FLOATS).domain('T').constant().or(Absent),
            tensor("strides", I32).constant().or(Absent),
            tensor("pad_type", STR).constant().or(Str("valid")),
            tensor("pad", I32).constant().or(Absent),
            tensor("dilations", I32).constant().or(Absent),
            tensor("groups", I32).constant().or(Int(1)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("weight", FLOATS).domain('U'),
            tensor("bias", FLOATS).domain('U').or(Absent),
            tensor("strides", I32).constant().or(Absent),
            tensor("pad_type", STR).constant().or(Str("valid")),
            tensor("pad", I32).constant().or(Absent),
            tensor("dilations", I32).constant().or(Absent),
            tensor("groups", I32).constant().or(Int(1)),
        ],
    ),
];

const CONV_TRANSPOSE: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("weight", FLOATS).domain('T').constant(),
            tensor("bias", FLOATS).domain('T').constant().or(Absent),
            tensor("pad", I32).constant().or(Absent),
            tensor("output_shape", I32).constant().or(Absent),
            tensor("pad_type", STR).constant().or(Str("valid")),
            tensor("strides", I32).constant().or(Absent),
            tensor("dilations", I32).constant().or(Absent),
            tensor("groups", I32).constant().or(Int(1)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", FLOATS).domain('T'),
            tensor("weight", FLOATS).domain('U'),
            tensor("bias", FLOATS).domain('U').or(Absent),
            tensor("pad", I32).constant().or(Absent),
            tensor("output_shape", I32).constant().or(Absent),
            tensor("pad_type", STR).constant().or(Str("valid")),
            tensor("strides", I32).constant().or(Absent),
            tensor("dilations", I32).constant().or(Absent),
            tensor("groups", I32).constant().or(Int(1)),
        ],
    ),
];

const CONV_QUANTIZED: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("weight", &[UInt8]).domain('U'),
        tensor("bias", &[UInt8]).domain('U').constant().or(Absent),
        tensor("quantization_type", STR).constant(),
        tensor("nbits", I32).constant().or(Int(8)),
        tensor("quant_scale", FLOATS).domain('T').constant(),
        tensor("quant_bias", FLOATS).domain('T').constant(),
        tensor("strides", I32).constant().or(Absent),
        tensor("pad_type", STR).constant().or(Str("valid")),
        tensor("pad", I32).constant().or(Absent),
        tensor("dilations", I32).constant().or(Absent),
        tensor("groups", I32).constant().or(Int(1)),
    ],
)];

/// What inference says of a convolution.
struct Layer {
    spatial: usize,
    groups: u64,
    windows: Windows,
    channels: Dim,
}

impl Layer {
    /// Reads what `conv` and `conv_transpose` share. The weight is `[out, in / groups, …]` in the one and
    /// `[in, out / groups, …]` in the other.
    fn read(args: &Args<'_>, transposed: bool) -> Result<Self, Fault> {
        let op = args.op.name;
        let spatial = spatial(args, SPATIAL)?;
        let (x, weight) = (args.ty("x")?, args.ty("weight")?);
        if weight.rank() != x.rank() {
            return Err(Fault::of(
                "weight",
                &codes::WRONG_RANK,
                format!("`weight` of `{op}` has {} dimensions, where `x` has {}", weight.rank(), x.rank()),
            )
            .against("x")
            .help("give the two channel dimensions, then one for each spatial dimension of `x`"));
        }
        if weight.shape[2..].contains(&Dim::Known(0)) {
            return Err(Fault::of(
                "weight",
                &codes::SHAPE_MISMATCH,
                format!("`weight` of `{op}` is of shape {}, whose kernel has no element", weight.shape),
            ));
        }
        let groups = args.int("groups").ok_or_else(|| not_known(args, "groups"))?;
        let groups = u64::try_from(groups).ok().filter(|&g| g > 0).ok_or_else(|| {
            Fault::of(
                "groups",
                &codes::BAD_VALUE,
                format!("`groups` of `{op}` is {groups}, where 1 is the least"),
            )
        })?;
        let divided = |param: &'static str, what: &str, channels: Dim| match channels {
            Dim::Known(c) if c % groups != 0 => Err(Fault::of(
                "groups",
                &codes::SHAPE_MISMATCH,
                format!("`groups` of `{op}` is {groups}, which does not divide the {c} {what} of `{param}`"),
            )
            .against(param)),
            c => Ok(c.map(|c| c / groups)),
        };
        let inputs = divided("x", "channels", x.shape[1])?;
        let (takes, channels) = if transposed {
            (weight.shape[0], weight.shape[1].map(|c| c.saturating_mul(groups)))
        } else {
            divided("weight", "output channels", weight.shape[0])?;
            (weight.shape[1], weight.shape[0])
        };
        let wanted = if transposed { x.shape[1] } else { inputs };
        if !takes.fits(wanted) {
            let of = match groups {
                1 => "".into(),
                _ => format!(" in {groups} groups"),
            };
            return Err(Fault::of(
                "weight",
                &codes::SHAPE_MISMATCH,
                format!(
                    "`weight` of `{op}` is of shape {}, where the {} channels of `x`{of} need {wanted} in dimension {}",
                    weight.shape,
                    x.shape[1],
                    usize::from(!transposed)
                ),
            )
            .against("x"));
        }
        if let Some(bias) = args.opt_ty("bias")
            && !(bias.rank() == 1 && bias.shape[0].fits(channels))
        {
            return Err(Fault::of(
                "bias",
                &codes::SHAPE_MISMATCH,
                format!("`bias` of `{op}` is of shape {}, where `weight` needs [{channels}]", bias.shape),
            )
            .against("weight"));
        }
        let windows = Windows::read(args, "weight", spatial)?;
        Ok(Self { spatial, groups, windows, channels })
    }

    /// The windows that lie on `x`.
    fn forward(&self, args: &Args<'_>) -> Result<[Window; SPATIAL], Fault> {
        let (x, weight) = (dims(args, "x")?, dims(args, "weight")?);
        three(self.spatial, |i| self.windows.window(i, x[2 + i], weight[2 + i]))
    }

    /// The windows that lie on the result of the transposed form.
    fn transposed(&self, args: &Args<'_>) -> Result<[Window; SPATIAL], Fault> {
        let (x, weight) = (dims(args, "x")?, dims(args, "weight")?);
        let asked = asked_shape(args, self)?;
        three(self.spatial, |i| {
            let asked = asked.as_ref().map(|a| a[2 + i]);
            self.windows.window_transposed(i, x[2 + i], weight[2 + i], asked)
        })
    }
}

fn infer_conv(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let layer = Layer::read(args, false)?;
    let (x, weight) = (args.ty("x")?, args.ty("weight")?);
    let mut shape = vec![x.shape[0], layer.channels];
    for i in 0..layer.spatial {
        shape.push(layer.windows.output(i, x.shape[2 + i], weight.shape[2 + i])?);
    }
    Ok(vec![Type::tensor(x.dtype, shape.into_iter().collect::<Shape>())])
}

/// The output shape that a `conv_transpose` states, if it does.
fn asked_shape(args: &Args<'_>, layer: &Layer) -> Result<Option<Vec<u64>>, Fault> {
    let x = args.ty("x")?;
    let Some(asked) = numbers(args, "output_shape", x.rank(), 0)? else { return Ok(None) };
    let fixed: Shape = [x.shape[0], layer.channels].into_iter().collect();
    let stated: Shape = asked[..2].iter().copied().collect();
    if !fixed.fits(&stated) {
        return Err(Fault::of(
            "output_shape",
            &codes::SHAPE_MISMATCH,
            format!(
                "`output_shape` of `conv_transpose` starts with {stated}, where `x` and `weight` give {fixed}"
            ),
        )
        .help("give the batch and the output channels first, then the spatial dimensions"));
    }
    if asked[2..].contains(&0) {
        return Err(Fault::of(
            "output_shape",
            &codes::BAD_VALUE,
            "`output_shape` of `conv_transpose` has a spatial dimension of 0",
        ));
    }
    Ok(Some(asked))
}

fn infer_conv_transpose(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let layer = Layer::read(args, true)?;
    let (x, weight) = (args.ty("x")?, args.ty("weight")?);
    if args.str("pad_type").is_some_and(|p| p.eq_ignore_ascii_case("same_lower")) {
        return Err(Fault::of(
            "pad_type",
            &codes::BAD_VALUE,
            "`pad_type` of `conv_transpose` is `same_lower`, which only `conv` and the poolings take",
        )
        .help("use `valid`, `same` or `custom`"));
    }
    if let Some(asked) = asked_shape(args, &layer)? {
        return Ok(vec![Type::tensor(x.dtype, asked.into_iter().collect::<Shape>())]);
    }
    let mut shape = vec![x.shape[0], layer.channels];
    for i in 0..layer.spatial {
        shape.push(layer.windows.output_transposed(i, x.shape[2 + i], weight.shape[2 + i])?);
    }
    Ok(vec![Type::tensor(x.dtype, shape.into_iter().collect::<Shape>())])
}

fn infer_conv_quantized(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let types = infer_conv(args)?;
    match args.str("quantization_type") {
        Some("linear" | "lut") => {}
        Some(other) => {
            return Err(Fault::of(
                "quantization_type",
                &codes::BAD_VALUE,
                format!("`quantization_type` of `conv_quantized` is `{other}`"),
            )
            .help("use `linear` or `lut`"));
        }
        None => return Err(not_known(args, "quantization_type")),
    }
    if let Some(bits) = args.int("nbits").filter(|b| !(1..=8).contains(b)) {
        return Err(Fault::of("nbits", &codes::BAD_VALUE, format!("`nbits` of `conv_quantized` is {bits}"))
            .help("use 1 to 8"));
    }
    let outputs = args.ty("weight")?.shape[0];
    for param in ["quant_scale", "quant_bias"] {
        let shape = &args.ty(param)?.shape;
        if shape.elements().is_some_and(|n| n != 1 && !Dim::Known(n).fits(outputs)) {
            return Err(Fault::of(
                param,
                &codes::SHAPE_MISMATCH,
                format!("`{param}` of `conv_quantized` is of shape {shape}"),
            )
            .against("weight")
            .help(format!("give one number, or one for each of the {outputs} output channels")));
        }
    }
    Ok(types)
}

/// A convolution whose sizes are known: two tensors of channels, of which one is the other's windows.
struct Sizes {
    batch: usize,
    groups: usize,
    /// Channels in each group of the tensor that the windows lie on.
    under: usize,
    /// Channels in each group of the tensor that has an element for each window.
    over: usize,
    /// Elements of one channel of either.
    under_len: usize,
    over_len: usize,
    stride: usize,
    /// Where each element of the kernel meets what lies under it.
    runs: Vec<Vec<Run>>,
}

impl Sizes {
    /// `weight` is the shape `[over, under / groups, …]`.
    fn new(batch: usize, groups: usize, weight: &[usize], over: usize, windows: &[Window; SPATIAL]) -> Self {
        Self {
            batch,
            groups,
            under: weight[1],
            over: over / groups,
            under_len: windows.iter().map(|w| w.input).product(),
            over_len: windows.iter().map(|w| w.output).product(),
            stride: windows[SPATIAL - 1].stride,
            runs: runs(windows),
        }
    }

    /// Calls `each` with the number of the channel over, of the channel under, and the first element of the kernel
    /// between them, for each pair that the groups connect.
    fn pairs(&self, mut each: impl FnMut(usize, usize, usize)) {
        for n in 0..self.batch {
            for g in 0..self.groups {
                for o in 0..self.over {
                    for u in 0..self.under {
                        let row = g * self.over + o;
                        each(
                            n * self.groups * self.over + row,
                            (n * self.groups + g) * self.under + u,
                            (row * self.under + u) * self.runs.len(),
                        );
                    }
                }
            }
        }
    }

    /// Adds to each element over the weighted sum of what lies under its window.
    fn gather(&self, under: &[f64], weight: &[f64], over: &mut [f64]) {
        self.pairs(|o, u, w| {
            let to = &mut over[o * self.over_len..][..self.over_len];
            let from = &under[u * self.under_len..][..self.under_len];
            for (runs, &w) in self.runs.iter().zip(&weight[w..]) {
                if !w.is_finite() && runs.iter().map(|r| r.len).sum::<usize>() < to.len() {
                    padded_with(w, runs, to);
                }
                for run in runs {
                    let to = &mut to[run.output..][..run.len];
                    if self.stride == 1 {
                        to.iter_mut().zip(&from[run.input..]).for_each(|(y, x)| *y += w * x);
                    } else {
                        let from = from[run.input..].iter().step_by(self.stride);
                        to.iter_mut().zip(from).for_each(|(y, x)| *y += w * x);
                    }
                }
            }
        });
    }

    /// Adds to what lies under each window the weighted element over it.
    fn scatter(&self, over: &[f64], weight: &[f64], under: &mut [f64]) {
        self.pairs(|o, u, w| {
            let from = &over[o * self.over_len..][..self.over_len];
            let to = &mut under[u * self.under_len..][..self.under_len];
            for (runs, &w) in self.runs.iter().zip(&weight[w..]) {
                for run in runs {
                    let from = &from[run.output..][..run.len];
                    if self.stride == 1 {
                        to[run.input..].iter_mut().zip(from).for_each(|(y, x)| *y += w * x);
                    } else {
                        let to = to[run.input..].iter_mut().step_by(self.stride);
                        to.zip(from).for_each(|(y, x)| *y += w * x);
                    }
                }
            }
        });
    }
}

/// What a weight that is not finite makes of the zeros of the padding: a NaN for each element without a run.
fn padded_with(weight: f64, runs: &[Run], over: &mut [f64]) {
    let mut next = 0;
    for (start, end) in runs.iter().map(|r| (r.output, r.output + r.len)).chain([(over.len(), over.len())]) {
        over[next..start].iter_mut().for_each(|y| *y += weight * 0.0);
        next = end;
    }
}

/// The windows along the last dimensions of all three; dimensions that the tensors do not have come first.
fn three(
    spatial: usize,
    window: impl Fn(usize) -> Result<Window, Fault>,
) -> Result<[Window; SPATIAL], Fault> {
    let mut windows = [Window::ONE; SPATIAL];
    for i in 0..spatial {
        windows[SPATIAL - spatial + i] = window(i)?;
    }
    Ok(windows)
}

/// The result before anything is summed: the bias of each channel.
fn biased(args: &Args<'_>, dtype: DType, shape: &[usize]) -> Result<Vec<f64>, Fault> {
    if !args.has("bias") {
        return zeros(dtype, shape);
    }
    let mut y = room(dtype, shape)?;
    if !shape.contains(&0) {
        let bias = args.tensor("bias")?.to_f64s();
        let len = shape[2..].iter().product();
        for _ in 0..shape[0] {
            bias.iter().for_each(|&b| y.extend(std::iter::repeat_n(b, len)));
        }
    }
    Ok(y)
}

/// The convolution of `x` with these weights.
fn convolve(args: &Args<'_>, weights: &[f64]) -> Result<Vec<Datum>, Fault> {
    let layer = Layer::read(args, false)?;
    let (x, weight) = (args.tensor("x")?, args.tensor("weight")?);
    let windows = layer.forward(args)?;
    let (batch, channels) = (x.shape()[0], weight.shape()[0]);
    let outputs = windows[SPATIAL - layer.spatial..].iter().map(|w| w.output);
    let shape: Vec<usize> = [batch, channels].into_iter().chain(outputs).collect();
    let mut y = biased(args, x.dtype(), &shape)?;
    if !y.is_empty() {
        let sizes = Sizes::new(batch, layer.groups as usize, weight.shape(), channels, &windows);
        sizes.gather(&x.to_f64s(), weights, &mut y);
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &y)?.into()])
}

fn compute_conv(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    convolve(args, &args.tensor("weight")?.to_f64s())
}

fn compute_conv_quantized(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    convolve(args, &dequantized(args)?)
}

fn compute_conv_transpose(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let layer = Layer::read(args, true)?;
    let (x, weight) = (args.tensor("x")?, args.tensor("weight")?);
    let windows = layer.transposed(args)?;
    let (batch, groups) = (x.shape()[0], layer.groups as usize);
    let outputs = windows[SPATIAL - layer.spatial..].iter().map(|w| w.input);
    let shape: Vec<usize> = [batch, weight.shape()[1] * groups].into_iter().chain(outputs).collect();
    let mut y = biased(args, x.dtype(), &shape)?;
    if !y.is_empty() {
        let sizes = Sizes::new(batch, groups, weight.shape(), x.shape()[1], &windows);
        sizes.scatter(&x.to_f64s(), &weight.to_f64s(), &mut y);
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &y)?.into()])
}

fn fast_conv(args: &Args<'_>, types: &[Type]) -> Ready {
    let layer = Layer::read(args, false)?;
    let weight = (args.ty("weight")?.dtype, args.reader("weight")?);
    with_kernels(args, types, &layer, &layer.forward(args)?, weight, false)
}

/// The pointwise or depthwise convolution that a call is, if its kernels also compute it with channels last.
fn last(args: &Args<'_>, types: &[Type]) -> Option<kernels::Conv> {
    args.value("weight")?;
    let conv = for_engines(args, types, false).ok()??;
    // A window of the only channel is neither.
    let fits = if conv.groups == 1 { conv.window.is_pointwise() } else { kernels::fits_channels_last(&conv) };
    fits.then_some(conv)
}

fn layer_last(args: &Args<'_>, types: &[Type]) -> Option<op::Layer> {
    let conv = last(args, types)?;
    Some(if conv.groups == 1 { op::Layer::Product } else { op::Layer::Depthwise })
}

fn fast_conv_last(args: &Args<'_>, types: &[Type]) -> Ready {
    conv_last(args, types, true)
}

/// What a layer reads of a single sample may also lie in columns.
fn fast_conv_entering(args: &Args<'_>, types: &[Type]) -> Ready {
    match last(args, types) {
        Some(conv) if conv.groups == 1 && conv.batch == 1 => conv_last(args, types, false),
        _ => Ok(None),
    }
}

/// A pointwise convolution is a layer whose rows are the places; a depthwise one has kernels of its own.
fn conv_last(args: &Args<'_>, types: &[Type], x_lies_last: bool) -> Ready {
    let Some(conv) = last(args, types) else { return Ok(None) };
    let (x, weight, bias) = (args.reader("x")?, args.tensor("weight")?, Singles::opt(args, "bias")?);
    let following = Following::of(args);
    for_float!(args.ty("x")?.dtype, X => for_float!(weight.dtype(), W => {
        let weight = elements::<W>(weight);
        if conv.groups == 1 {
            let weights = Packed::shared(weight, conv.out_channels);
            let (rows, inputs) = (conv.batch * conv.window.output_len(), conv.in_channels);
            return ready(move |run| {
                let (x, stages) = (run.read::<X>(&x), following.stages(run));
                let x = if x_lies_last {
                    Matrix::new(x, rows, inputs)
                } else {
                    Matrix::new(x, inputs, rows).transposed()
                };
                let bias = bias.as_ref().map(|b| b.read(run));
                let finish = Finish { bias: bias.as_deref(), stages: &stages };
                packed::linear(run.threads, run.write(0), x, &weights, finish);
            });
        }
        let taps = conv.window.kernel_len();
        let of_tap = |tap| weight.iter().skip(tap).step_by(taps).map(|w| w.to_f32());
        let weights: Vec<f32> = (0..taps).flat_map(of_tap).collect();
        ready(move |run| {
            let (x, stages) = (run.read::<X>(&x), following.stages(run));
            let bias = bias.as_ref().map(|b| b.read(run));
            let finish = Finish { bias: bias.as_deref(), stages: &stages };
            kernels::conv_channels_last(run.threads, run.write(0), x, &weights, finish, &conv);
        })
    }))
}

fn fast_conv_transpose(args: &Args<'_>, types: &[Type]) -> Ready {
    let layer = Layer::read(args, true)?;
    let weight = (args.ty("weight")?.dtype, args.reader("weight")?);
    with_kernels(args, types, &layer, &layer.transposed(args)?, weight, true)
}

/// What the kernels convolve in this call, unless it has no element or its windows are none of theirs.
pub(super) fn for_engines(
    args: &Args<'_>,
    types: &[Type],
    transposed: bool,
) -> Result<Option<kernels::Conv>, Fault> {
    let layer = Layer::read(args, transposed)?;
    let windows = if transposed { layer.transposed(args)? } else { layer.forward(args)? };
    sizes(args, types, &layer, &windows)
}

fn sizes(
    args: &Args<'_>,
    types: &[Type],
    layer: &Layer,
    windows: &[Window; SPATIAL],
) -> Result<Option<kernels::Conv>, Fault> {
    let (shape, own) = (shape_of(&types[0]), dims(args, "x")?);
    let Some(window) = for_kernels(windows) else { return Ok(None) };
    if own.contains(&0) || dims(args, "weight")?.contains(&0) {
        return Ok(None);
    }
    Ok(Some(kernels::Conv {
        window,
        batch: shape[0],
        in_channels: own[1],
        out_channels: shape[1],
        groups: layer.groups as usize,
    }))
}

/// The kernels choose the way: products of matrices, with the windows written out or not, or sums over taps.
fn with_kernels(
    args: &Args<'_>,
    types: &[Type],
    layer: &Layer,
    windows: &[Window; SPATIAL],
    (weight_dtype, weight): (DType, Reader),
    transposed: bool,
) -> Ready {
    let dtype = args.ty("x")?.dtype;
    if nothing(types) {
        return idle();
    }
    let Some(conv) = sizes(args, types, layer, windows)? else { return Ok(None) };
    let (x, bias, following) = (args.reader("x")?, Singles::opt(args, "bias")?, Following::of(args));
    for_float!(dtype, X => for_float!(weight_dtype, W => {
        if let (false, true, Reader::Constant(weight)) = (transposed, kernels::fits_tiles(&conv), &weight) {
            let ready_weights = kernels::ConvWeights::new::<X>(elements::<W>(weight), &conv);
            return ready(move |run| {
                let (x, stages) = (run.read::<X>(&x), following.stages(run));
                let bias = bias.as_ref().map(|b| b.read(run));
                let finish = Finish { bias: bias.as_deref(), stages: &stages };
                kernels::conv_tiles(run.threads, run.write(0), x, &ready_weights, finish, &conv);
            });
        }
        if transposed {
            return ready(move |run| {
                let (x, weight) = (run.read::<X>(&x), run.read::<W>(&weight));
                let bias = bias.as_ref().map(|b| b.read(run));
                kernels::conv_transpose(run.threads, run.write(0), x, weight, bias.as_deref(), &conv);
            });
        }
        ready(move |run| {
            let (x, weight) = (run.read::<X>(&x), run.read::<W>(&weight));
            let (bias, stages) = (bias.as_ref().map(|b| b.read(run)), following.stages(run));
            let finish = Finish { bias: bias.as_deref(), stages: &stages };
            kernels::conv(run.threads, run.write(0), x, weight, finish, &conv);
        })
    }))
}

/// A row of this family.
const fn convolution(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: Infer,
    compute: Compute,
    fast: Fast,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast,
        // What f32 loses in a sum grows slowly with its terms, since lanes and blocks are summed apart: with the
        // thousands of terms that layers have, it stays within a few epsilons of the largest result.
        tolerance: Tolerance::Sum(8),
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    convolution(
        "conv",
        "weighted sums over the window of each output",
        CONV,
        infer_conv,
        compute_conv,
        Fast::Planes(
            fast_conv,
            ChannelsLast { layer: layer_last, prepare: fast_conv_last, enter: fast_conv_entering },
        ),
    ),
    convolution(
        "conv_transpose",
        "weighted copies of each input to its window of the output",
        CONV_TRANSPOSE,
        infer_conv_transpose,
        compute_conv_transpose,
        Fast::Prepared(fast_conv_transpose),
    ),
    convolution(
        "conv_quantized",
        "a convolution whose weights are bytes with a scale and a bias",
        CONV_QUANTIZED,
        infer_conv_quantized,
        compute_conv_quantized,
        Fast::Prepared(fast_conv_quantized),
    ),
];
