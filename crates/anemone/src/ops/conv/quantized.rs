//! The weights of `conv_quantized`.

use anemone_kernels::scratch::scratch;

use super::{Layer, infer_conv_quantized, with_kernels};
use crate::ops::fast::{Numbers, Ready, dims, ready_if};
use crate::ops::row::*;

/// What makes weights of the numbers of a quantised convolution: for each output, or for all, a factor and a summand.
struct Scales {
    scale: Vec<f64>,
    bias: Vec<f64>,
}

impl Scales {
    fn of(args: &Args<'_>) -> Result<Self, Fault> {
        if args.str("quantization_type") == Some("lut") {
            return Err(Fault::of(
                "quantization_type",
                &codes::NO_MEANING,
                "`conv_quantized` has no parameter for the table that the `quantization_type` `lut` needs",
            )
            .help("use `constexpr_lut_to_dense` and `conv`"));
        }
        let all = |param| args.tensor(param).map(Tensor::to_f64s);
        Ok(Self { scale: all("quant_scale")?, bias: all("quant_bias")? })
    }

    /// The weight that a number stands for.
    fn apply(&self, number: f64, output: usize) -> f64 {
        let of = |values: &[f64]| values.get(output).or(values.first()).copied().unwrap_or(0.0);
        number * of(&self.scale) + of(&self.bias)
    }
}

/// The weights of a quantised convolution.
pub(in crate::ops) fn dequantized(args: &Args<'_>) -> Result<Vec<f64>, Fault> {
    infer_conv_quantized(args)?;
    let (weight, scales) = (args.tensor("weight")?, Scales::of(args)?);
    let per_output = weight.len() / weight.shape()[0].max(1);
    let dense = |(i, w)| scales.apply(w, i / per_output.max(1));
    Ok(weight.to_f64s().into_iter().enumerate().map(dense).collect())
}

/// A convolution with weights in single precision: made once, or of weights that are given in every run.
pub(super) fn fast_conv_quantized(args: &Args<'_>, types: &[Type]) -> Ready {
    let layer = Layer::read(args, false)?;
    let windows = layer.forward(args)?;
    let shape = dims(args, "weight")?;
    let Reader::Given(at) = args.reader("weight")? else {
        let weight = Tensor::from_f64s(Fp32, &shape, &dequantized(args)?)?;
        return with_kernels(args, types, &layer, &windows, (Fp32, Reader::Constant(weight)), false);
    };
    let Some(conv) = with_kernels(args, types, &layer, &windows, (Fp32, Reader::Given(at)), false)? else {
        return Ok(None);
    };
    let (weight, scales) = (Numbers::<f64>::of(args, "weight")?, Scales::of(args)?);
    let (elements, per_output) = (shape.iter().product::<usize>(), shape[1..].iter().product::<usize>());
    ready_if(move |run| {
        let mut dense = scratch::<f32>(elements);
        for (i, (to, &w)) in dense.iter_mut().zip(&*weight.read(run)).enumerate() {
            *to = scales.apply(w, i / per_output.max(1)) as f32;
        }
        run.with(at, bytemuck::cast_slice(&dense), |run| conv.run(run))
    })
}
