//! Ops that move elements between channels or batches and blocks of space.

use anemone_kernels::layout;
use anemone_kernels::scratch::scratch;

use super::fast::{Ready, dims, for_bits, ready};
use super::loops::shape_of;
use super::moves::{
    View, bad_value, exact, factor, joined, known_ints, of_rank, one, permuted, result, strides, viewed,
};
use super::row::*;

const DEPTH_TO_SPACE: &[Edition] =
    &[edition(Ios15, &[tensor("x", FLOATS).domain('T'), tensor("block_size", I32).constant()])];

const PIXEL_SHUFFLE: &[Edition] =
    &[edition(Ios15, &[tensor("x", FLOATS).domain('T'), tensor("upscale_factor", I32).constant()])];

const PIXEL_UNSHUFFLE: &[Edition] =
    &[edition(Ios16, &[tensor("x", FLOATS).domain('T'), tensor("downscale_factor", &[UInt32]).constant()])];

const BATCH_TO_SPACE: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("block_shape", I32).constant(),
        tensor("crops", I32).constant(),
    ],
)];

const SPACE_TO_BATCH: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", FLOATS).domain('T'),
        tensor("block_shape", I32).constant(),
        tensor("paddings", I32).constant(),
    ],
)];

/// The quotient, or the fault that names the dimension.
fn divided(args: &Args<'_>, axis: &str, dim: Dim, by: u64, param: &'static str) -> Result<Dim, Fault> {
    match dim {
        Dim::Known(n) if n % by != 0 => Err(Fault::of(
            "x",
            &codes::SHAPE_MISMATCH,
            format!("`x` of `{}` has {axis} {n}, which is not a multiple of {by}", args.op.name),
        )
        .against(param)),
        dim => Ok(dim.map(|n| n / by)),
    }
}

fn times(dim: Dim, by: u64) -> Dim {
    dim.map(|n| n.saturating_mul(by))
}

/// The result of an op that moves channels into blocks of space.
fn infer_to_space(args: &Args<'_>, param: &'static str) -> Result<Vec<Type>, Fault> {
    let x = of_rank(args, "x", 4)?;
    let f = factor(args, param)?;
    let channels = divided(args, "channels", x.shape[1], f.saturating_mul(f), param)?;
    let shape = [x.shape[0], channels, times(x.shape[2], f), times(x.shape[3], f)];
    result(args, x.dtype, shape.into_iter().collect())
}

/// The result of an op that moves blocks of space into channels.
fn infer_to_depth(args: &Args<'_>, param: &'static str) -> Result<Vec<Type>, Fault> {
    let x = of_rank(args, "x", 4)?;
    let f = factor(args, param)?;
    let height = divided(args, "height", x.shape[2], f, param)?;
    let width = divided(args, "width", x.shape[3], f, param)?;
    let channels = times(x.shape[1], f.saturating_mul(f));
    result(args, x.dtype, [x.shape[0], channels, height, width].into_iter().collect())
}

/// Moves channels into blocks of space. `blocks_first` says whether the position in the block or the channel of the
/// result counts first in the channels of `x`.
fn to_space(args: &Args<'_>, param: &'static str, blocks_first: bool) -> Result<View, Fault> {
    infer_to_space(args, param)?;
    let (f, s) = (factor(args, param)? as usize, dims(args, "x")?);
    let c = s[1] / (f * f);
    let shape = [s[0], c, s[2] * f, s[3] * f];
    Ok(if blocks_first {
        permuted(&[s[0], f, f, c, s[2], s[3]], &[0, 3, 4, 1, 5, 2], &shape)
    } else {
        permuted(&[s[0], c, f, f, s[2], s[3]], &[0, 1, 4, 2, 5, 3], &shape)
    })
}

/// Moves blocks of space into channels: the inverse of [`to_space`].
fn to_depth(args: &Args<'_>, param: &'static str, blocks_first: bool) -> Result<View, Fault> {
    infer_to_depth(args, param)?;
    let (f, s) = (factor(args, param)? as usize, dims(args, "x")?);
    let (h, w) = (s[2] / f, s[3] / f);
    let perm = if blocks_first { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
    Ok(permuted(&[s[0], s[1], h, f, w, f], &perm, &[s[0], s[1] * f * f, h, w]))
}

/// Exactly `N` numbers, none of them less than `least`.
fn numbers<const N: usize>(args: &Args<'_>, param: &'static str, least: u64) -> Result<[u64; N], Fault> {
    let all = known_ints(args, param)?.into_iter().map(u64::try_from).collect::<Result<Vec<_>, _>>();
    match all.map(<[u64; N]>::try_from) {
        Ok(Ok(numbers)) if numbers.iter().all(|&n| n >= least) => Ok(numbers),
        _ => Err(bad_value(args, param, format_args!("it must be {N} numbers of {least} or more"))),
    }
}

fn infer_batch_to_space(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = of_rank(args, "x", 4)?;
    let [a, b] = numbers(args, "block_shape", 1)?;
    let [top, bottom, left, right] = numbers(args, "crops", 0)?;
    let batch = divided(args, "batch", x.shape[0], a.saturating_mul(b), "block_shape")?;
    let cropped = |dim: Dim, by: u64, crop: u64| match times(dim, by) {
        Dim::Known(n) if n < crop => {
            Err(bad_value(args, "crops", format_args!("it takes {crop} away from a dimension of {n}")))
        }
        dim => Ok(dim.map(|n| n - crop)),
    };
    let height = cropped(x.shape[2], a, top.saturating_add(bottom))?;
    let width = cropped(x.shape[3], b, left.saturating_add(right))?;
    result(args, x.dtype, [batch, x.shape[1], height, width].into_iter().collect())
}

fn compute_batch_to_space(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    infer_batch_to_space(args)?;
    let [a, b] = numbers(args, "block_shape", 1)?;
    let [top, bottom, left, right] = numbers(args, "crops", 0)?;
    let [a, b, top, bottom, left, right] = [a, b, top, bottom, left, right].map(|n| n as usize);
    let s = x.shape();
    let (n, c) = (s[0] / (a * b), s[1]);
    let (height, width) = (s[2] * a - top - bottom, s[3] * b - left - right);
    let rows = places([n, c, height, width]).map(|[i, j, y, z]| {
        let (y, z) = (y + top, z + left);
        let block = (y % a) * b + z % b;
        (((block * n + i) * c + j) * s[2] + y / a) * s[3] + z / b
    });
    one(x.pick(&[n, c, height, width], rows)?)
}

fn infer_space_to_batch(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = of_rank(args, "x", 4)?;
    let [a, b] = numbers(args, "block_shape", 1)?;
    let [top, bottom, left, right] = numbers(args, "paddings", 0)?;
    let padded = |dim: Dim, pad: u64| dim.map(|n| n.saturating_add(pad));
    let height = padded(x.shape[2], top.saturating_add(bottom));
    let width = padded(x.shape[3], left.saturating_add(right));
    let height = divided(args, "padded height", height, a, "block_shape")?;
    let width = divided(args, "padded width", width, b, "block_shape")?;
    let batch = times(x.shape[0], a.saturating_mul(b));
    result(args, x.dtype, [batch, x.shape[1], height, width].into_iter().collect())
}

fn compute_space_to_batch(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    infer_space_to_batch(args)?;
    let [a, b] = numbers(args, "block_shape", 1)?;
    let [top, bottom, left, right] = numbers(args, "paddings", 0)?;
    let [a, b, top, bottom, left, right] = [a, b, top, bottom, left, right].map(|n| n as usize);
    let s = x.shape();
    let shape = [s[0] * a * b, s[1], (s[2] + top + bottom) / a, (s[3] + left + right) / b];
    let padding = x.len();
    let all = joined(&[x, &Tensor::zeros(x.dtype(), &[1])?])?;
    let rows = places(shape).map(|[i, j, y, z]| {
        let (block, i) = (i / s[0], i % s[0]);
        let y = (y * a + block / b).wrapping_sub(top);
        let z = (z * b + block % b).wrapping_sub(left);
        if y < s[2] && z < s[3] { ((i * s[1] + j) * s[2] + y) * s[3] + z } else { padding }
    });
    one(all.pick(&shape, rows)?)
}

/// Batches become blocks of space, which is then cropped.
fn fast_batch_to_space(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, s, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let [a, b] = numbers(args, "block_shape", 1)?.map(|n| n as usize);
    let [top, _, left, _] = numbers(args, "crops", 0)?.map(|n| n as usize);
    let shape = shape_of(&types[0]);
    if shape.contains(&0) {
        return ready(|_| ());
    }
    let view = [a, b, s[0] / (a * b), s[1], s[2], s[3]];
    let whole = [view[2], s[1], s[2] * a, s[3] * b];
    let spread = permuted(&view, &[2, 3, 4, 0, 5, 1], &whole);
    if whole[..] == shape {
        return spread.ready(args, "x");
    }
    let start = top * whole[3] + left;
    let cropped = View { dims: shape.clone(), shape, start, steps: strides(&whole) }.copy();
    let spread = spread.copy();
    for_bits!(dtype, E => ready(move |run| {
        let x: &[E] = run.read(&x);
        let mut whole = scratch::<E>(x.len());
        spread.run(run.threads, &mut whole, x);
        cropped.run(run.threads, run.write(0), &whole);
    }))
}

/// Space is padded, and its blocks become batches.
fn fast_space_to_batch(args: &Args<'_>, types: &[Type]) -> Ready {
    let (dtype, s, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let [a, b] = numbers(args, "block_shape", 1)?.map(|n| n as usize);
    let [top, bottom, left, right] = numbers(args, "paddings", 0)?.map(|n| n as usize);
    let shape = shape_of(&types[0]);
    let whole = [s[0], s[1], s[2] + top + bottom, s[3] + left + right];
    let view = [s[0], s[1], shape[2], a, shape[3], b];
    let cut = permuted(&view, &[3, 5, 0, 1, 2, 4], &shape);
    if whole[..] == s {
        return cut.ready(args, "x");
    }
    let cut = cut.copy();
    for_bits!(dtype, E => ready(move |run| {
        let x: &[E] = run.read(&x);
        let mut padded = scratch::<E>(whole.iter().product());
        padded.fill(0);
        layout::place(&mut padded, &whole, &[0, 0, top, left], x, &s);
        cut.run(run.threads, run.write(0), &padded);
    }))
}

/// The places of a tensor of four dimensions, in order.
fn places([n, c, h, w]: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
    let count = n * c * h * w;
    (0..count).map(move |i| [i / w / h / c, i / w / h % c, i / w % h, i % w])
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    viewed!(
        "depth_to_space",
        "channels moved into blocks of space; the position in the block counts first, as in TensorFlow",
        DEPTH_TO_SPACE,
        |args| infer_to_space(args, "block_size"),
        |args| to_space(args, "block_size", true),
    ),
    viewed!(
        "space_to_depth",
        "blocks of space moved into channels: the inverse of depth_to_space",
        DEPTH_TO_SPACE,
        |args| infer_to_depth(args, "block_size"),
        |args| to_depth(args, "block_size", true),
    ),
    viewed!(
        "pixel_shuffle",
        "channels moved into blocks of space; the channel counts first, as in PyTorch",
        PIXEL_SHUFFLE,
        |args| infer_to_space(args, "upscale_factor"),
        |args| to_space(args, "upscale_factor", false),
    ),
    viewed!(
        "pixel_unshuffle",
        "blocks of space moved into channels: the inverse of pixel_shuffle",
        PIXEL_UNSHUFFLE,
        |args| infer_to_depth(args, "downscale_factor"),
        |args| to_depth(args, "downscale_factor", false),
    ),
    Op {
        fast: Fast::Prepared(fast_batch_to_space),
        ..exact(
            "batch_to_space",
            "batches moved into blocks of space, which is then cropped",
            BATCH_TO_SPACE,
            ONE,
            infer_batch_to_space,
            compute_batch_to_space,
        )
    },
    Op {
        fast: Fast::Prepared(fast_space_to_batch),
        ..exact(
            "space_to_batch",
            "blocks of padded space moved into batches",
            SPACE_TO_BATCH,
            ONE,
            infer_space_to_batch,
            compute_space_to_batch,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// Runs an op on 0, 1, 2, … and asserts which elements stand where.
    #[track_caller]
    fn moves(op: &str, from: &[usize], line: &[(&str, Datum)], to: &[usize], order: &[i32]) {
        let args = [&[("x", iota(from))], line].concat();
        let expected: Vec<f32> = order.iter().map(|&v| v as f32).collect();
        check(op, Ios17, &args, &[f32s(to, &expected)]);
    }

    #[test]
    fn blocks_move_between_channels_and_space() {
        // np.arange(8).reshape(1, 2, 2, 2, 1, 1) with the axes (0, 3, 4, 1, 5, 2): the block counts first.
        let block = [("block_size", int(2))];
        moves("depth_to_space", &[1, 8, 1, 1], &block, &[1, 2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]);
        moves("space_to_depth", &[1, 2, 2, 2], &block, &[1, 8, 1, 1], &[0, 4, 1, 5, 2, 6, 3, 7]);
        // torch.pixel_shuffle: the channel counts first.
        let up = [("upscale_factor", int(2))];
        moves("pixel_shuffle", &[1, 8, 1, 1], &up, &[1, 2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]);
        moves("pixel_shuffle", &[1, 4, 1, 2], &up, &[1, 1, 2, 4], &[0, 2, 1, 3, 4, 6, 5, 7]);
        let down = [("downscale_factor", ints(UInt32, &[], &[2]))];
        moves("pixel_unshuffle", &[1, 1, 2, 4], &down, &[1, 4, 1, 2], &[0, 2, 1, 3, 4, 6, 5, 7]);
        moves("pixel_shuffle", &[0, 4, 1, 2], &up, &[0, 1, 2, 4], &[]);
        let no = |op, shape: &[usize], param, n, code| {
            refuse(op, Ios15, &[("x", iota(shape)), (param, int(n))], code);
        };
        no("depth_to_space", &[1, 6, 1, 1], "block_size", 2, "shape-mismatch");
        no("space_to_depth", &[1, 1, 3, 2], "block_size", 2, "shape-mismatch");
        no("depth_to_space", &[4, 1, 1], "block_size", 2, "wrong-rank");
        no("depth_to_space", &[1, 4, 1, 1], "block_size", 0, "bad-value");
        no("pixel_shuffle", &[1, 4, 1, 1], "upscale_factor", i32::MAX, "shape-mismatch");
    }

    #[test]
    fn blocks_move_between_batches_and_space() {
        // tf.space_to_batch(np.arange(4).reshape(1, 2, 2, 1), [2, 2], [[0, 0], [0, 0]])
        let around = |name, block: [i32; 2], numbers: [i32; 4]| {
            [("block_shape", vec32(&block)), (name, i32s(&[2, 2], &numbers))]
        };
        let none = [0; 4];
        moves(
            "space_to_batch",
            &[1, 1, 2, 2],
            &around("paddings", [2, 2], none),
            &[4, 1, 1, 1],
            &[0, 1, 2, 3],
        );
        // One column of zeros before, one behind.
        let padded = around("paddings", [1, 2], [0, 0, 1, 1]);
        moves("space_to_batch", &[1, 1, 1, 2], &padded, &[2, 1, 1, 2], &[0, 1, 0, 0]);
        moves("batch_to_space", &[4, 1, 1, 1], &around("crops", [2, 2], none), &[1, 1, 2, 2], &[0, 1, 2, 3]);
        // tf.batch_to_space(np.arange(8).reshape(4, 1, 2, 1), [2, 2], [[0, 0], [1, 0]])
        let cropped = around("crops", [2, 2], [0, 0, 1, 0]);
        moves("batch_to_space", &[4, 1, 1, 2], &cropped, &[1, 1, 2, 3], &[2, 1, 3, 6, 5, 7]);
        // Two batches, two channels.
        let there = run(
            "space_to_batch",
            Ios15,
            &[&[("x", iota(&[2, 2, 4, 2]))], &around("paddings", [2, 1], [1, 1, 0, 0])[..]].concat(),
        )
        .unwrap();
        let back = [&[("x", there[0].clone())], &around("crops", [2, 1], [1, 1, 0, 0])[..]].concat();
        check("batch_to_space", Ios15, &back, &[iota(&[2, 2, 4, 2])]);
        let no = |op, shape: &[usize], line: &[(&'static str, Datum)], code| {
            refuse(op, Ios15, &[&[("x", iota(shape))], line].concat(), code);
        };
        no("batch_to_space", &[3, 1, 1, 1], &around("crops", [2, 2], none), "shape-mismatch");
        no("batch_to_space", &[4, 1, 1, 1], &around("crops", [2, 2], [2, 1, 0, 0]), "bad-value");
        no("space_to_batch", &[1, 1, 3, 2], &around("paddings", [2, 2], none), "shape-mismatch");
        no("space_to_batch", &[1, 1, 2, 2], &around("paddings", [0, 2], none), "bad-value");
        no("space_to_batch", &[1, 1, 2, 2], &around("paddings", [2, 2], [-1, 1, 0, 0]), "bad-value");
        no("space_to_batch", &[1, 2, 2], &around("paddings", [2, 2], none), "wrong-rank");
    }
}
