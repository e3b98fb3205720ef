//! Convolutions of bytes with bytes: an op of chips alone, which no program names.

use anemone_kernels::silicon::conv_int8;

use super::halves::Halves;
use crate::ops::conv::for_engines;
use crate::ops::fast::{Ready, idle, nothing, ready};
use crate::ops::row::*;

/// A convolution of bytes with constant bytes: the sums of products, times the number of their channel, plus the bias.
///
/// `crate::int8` puts it in the place of `conv` where a chip computes on the bytes that `dequantize` gives numbers to.
pub(crate) static CONV: Op = Op {
    name: "conv",
    summary: "a convolution of bytes, whose sums are scaled",
    editions: &[edition(
        Ios17,
        &[
            tensor("x", &[Int8]),
            tensor("weight", &[Int8]).constant(),
            tensor("scale", F32).constant(),
            tensor("bias", FLOATS).constant().or(Absent),
            tensor("strides", I32).constant().or(Absent),
            tensor("pad_type", STR).constant().or(Str("valid")),
            tensor("pad", I32).constant().or(Absent),
            tensor("dilations", I32).constant().or(Absent),
            tensor("groups", I32).constant().or(Int(1)),
        ],
    )],
    results: Results::Exactly(1),
    infer: |args| Ok(args.declared.to_vec()),
    meaning: Meaning::Compute(compute),
    fast: Fast::Prepared(prepare),
    tolerance: Tolerance::Exact,
    scalar: Scalar::None,
};

/// The kernels; `None` of a call without elements.
pub(super) fn prepare(args: &Args<'_>, types: &[Type]) -> Ready {
    if nothing(types) {
        return idle();
    }
    let Some(conv) = for_engines(args, types, false)? else { return Ok(None) };
    let (x, weight, scales) = (args.reader("x")?, args.reader("weight")?, args.tensor("scale")?.to_f64s());
    let bias = if args.has("bias") { Halves::of(args, "bias")? } else { None };
    ready(move |run| {
        let bias = bias.as_ref().map(|b| b.decoded(run));
        let (threads, x, weight) = (run.threads, run.read(&x), run.read(&weight));
        conv_int8(threads, run.write(0), (x, 0), weight, &scales, bias.as_deref(), &conv);
    })
}

fn compute(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    match prepare(args, types)? {
        Some(prepared) => prepared.results(&[], types, 1),
        None => {
            Err(Fault::new(&codes::NO_MEANING, "a convolution of bytes of this shape cannot be computed"))
        }
    }
}
