//! The multiply-accumulate unit: convolutions and products of matrices.

use anemone_kernels::conv::Conv;
use anemone_kernels::gemm::Matrix;
use anemone_kernels::silicon::{
    self as unit, Bias, conv, conv_transpose, conv_winograd, product, product_batched,
};

use super::halves::{Halves, narrow};
use super::{bytes, sums};
use crate::chip::Chip;
use crate::ops::conv::{dequantized, for_engines};
use crate::ops::fast::{Ready, dims, idle, nothing, ready};
use crate::ops::linear::{Matmul, Rows};
use crate::ops::loops::shape_of;
use crate::ops::row::*;
use crate::types::f16;

pub(super) fn prepare(args: &Args<'_>, types: &[Type], chip: Chip) -> Ready {
    if nothing(types) {
        return idle();
    }
    match args.op.name {
        "linear" => linear(args, types),
        "matmul" => match chip {
            Chip::M1 | Chip::M2 => Ok(sums::dot(args, types)?.or(matmul(args)?)),
            _ => matmul(args),
        },
        "einsum" => einsum(args, types),
        "conv_quantized" => {
            let weight = Tensor::from_f64s(Fp32, &dims(args, "weight")?, &dequantized(args)?)?;
            convolution(args, types, Halves::Known(narrow(&weight)), chip)
        }
        _ if args.ty("x")?.dtype == Int8 => bytes::prepare(args, types),
        _ => match Halves::of(args, "weight")? {
            Some(weight) => convolution(args, types, weight, chip),
            None => Ok(None),
        },
    }
}

/// The bias of a layer, if it has one; `None` if it is no half.
fn bias(args: &Args<'_>) -> Result<Option<Option<Halves>>, Fault> {
    if !args.has("bias") {
        return Ok(Some(None));
    }
    Ok(Halves::of(args, "bias")?.map(Some))
}

fn linear(args: &Args<'_>, types: &[Type]) -> Ready {
    let shape = shape_of(&types[0]);
    let rows = shape[..shape.len() - 1].iter().product();
    let &[outputs, inputs] = &dims(args, "weight")?[..] else { return Ok(None) };
    let all = (Halves::of(args, "x")?, Halves::of(args, "weight")?, bias(args)?);
    let (Some(x), Some(weight), Some(bias)) = all else { return Ok(None) };
    ready(move |run| {
        let bias = bias.as_ref().map(|b| b.decoded(run));
        let bias = bias.as_deref().map_or(Bias::None, Bias::Columns);
        let x = Matrix::new(x.read(run), rows, inputs);
        let weight = Matrix::new(weight.read(run), outputs, inputs).transposed();
        product(run.threads, run.write(0), x, weight, bias);
    })
}

fn matmul(args: &Args<'_>) -> Ready {
    let (Some(x), Some(y)) = (Halves::of(args, "x")?, Halves::of(args, "y")?) else { return Ok(None) };
    let products = Matmul::of(args)?;
    ready(move |run| {
        let (a, b) = products.matrices(x.read(run), y.read(run));
        product_batched(run.threads, run.write(0), a, b, &products.items, Bias::None);
    })
}

fn einsum(args: &Args<'_>, types: &[Type]) -> Ready {
    let mut readers = args.readers("values");
    let (Some(x), Some(y)) = (readers.next(), readers.next()) else { return Ok(None) };
    let rows = Rows::of(args, types);
    ready(move |run| {
        let (a, b) = rows.matrices::<f16>(run.read(&x), run.read(&y));
        let threads = run.threads;
        rows.place(threads, run.write(0), |z: &mut [f16]| {
            product_batched(threads, z, a, b, &rows.items, Bias::None)
        });
    })
}

/// Whether a chip computes a step by Winograd's way.
pub(crate) fn takes_winograd(args: &Args<'_>, types: &[Type], chip: Chip) -> bool {
    let convolves = args.op.name == "conv";
    let conv = convolves.then(|| for_engines(args, types, false).ok().flatten()).flatten();
    conv.is_some_and(|c| shares_products(args, &c, chip))
}

fn shares_products(args: &Args<'_>, conv: &Conv, chip: Chip) -> bool {
    chip >= Chip::M5 && args.op.name != "conv_transpose" && unit::takes_winograd(conv)
}

/// On chips as of the M5 convolutions of the kind that Winograd's way is for take it.
fn convolution(args: &Args<'_>, types: &[Type], weight: Halves, chip: Chip) -> Ready {
    let transposed = args.op.name == "conv_transpose";
    let all = (for_engines(args, types, transposed)?, Halves::of(args, "x")?, bias(args)?);
    let (Some(c), Some(x), Some(bias)) = all else { return Ok(None) };
    let shared = shares_products(args, &c, chip);
    ready(move |run| {
        let bias = bias.as_ref().map(|b| b.decoded(run));
        let (threads, x, weight) = (run.threads, x.read(run), weight.read(run));
        let way = match (transposed, shared) {
            (true, _) => conv_transpose,
            (_, true) => conv_winograd,
            _ => conv,
        };
        way(threads, run.write(0), x, weight, bias.as_deref(), &c);
    })
}
