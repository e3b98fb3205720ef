//! Ops that put the elements of one tensor in another order.

use anemone_kernels::layout;

use super::fast::{Numbers, Ready, dims, for_bits, idle, ready, ready_if};
use super::moves::{
    MOVED17, View, bad_value, exact, expect_length, factor, joined, known_axis, known_int, known_ints,
    of_rank, one, permuted, result, strides, unusable, viewed,
};
use super::row::*;

const TRANSPOSE: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("perm", I32).constant()]),
    edition(Ios17, &[tensor("x", MOVED17).domain('T'), tensor("perm", I32).constant()]),
];

const REVERSE: &[Edition] = &[
    edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T'), tensor("axes", I32).constant().or(Absent)]),
    edition(Ios17, &[tensor("x", MOVED17).domain('T'), tensor("axes", I32).constant().or(Absent)]),
];

const REVERSE_SEQUENCE: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS_BOOL).domain('T'),
            tensor("lengths", I32),
            tensor("seq_axis", I32).constant().or(Int(0)),
            tensor("batch_axis", I32).constant().or(Int(0)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", MOVED17).domain('T'),
            tensor("lengths", &[Int8, Int16, Int32]).domain('U'),
            tensor("seq_axis", I32).constant().or(Int(0)),
            tensor("batch_axis", I32).constant().or(Int(0)),
        ],
    ),
];

const SLIDING_WINDOWS: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("axis", I32).constant(),
            tensor("size", I32).constant(),
            tensor("stride", I32).constant().or(Int(1)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", MOVED17).domain('T'),
            tensor("axis", I32).constant(),
            tensor("size", I32).constant(),
            tensor("stride", I32).constant().or(Int(1)),
        ],
    ),
];

const BAND_PART: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", NUMS_BOOL).domain('T'),
        tensor("lower", I32).constant().or(Int(-1)),
        tensor("upper", I32).constant().or(Int(-1)),
    ],
)];

/// The axes of `x` in the order of the result.
fn permutation(args: &Args<'_>, rank: usize) -> Result<Vec<usize>, Fault> {
    expect_length(args, "perm", rank)?;
    let perm = known_ints(args, "perm")?
        .into_iter()
        .map(|axis| args.normal_axis("perm", axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    if perm.len() != rank || !(0..rank).all(|axis| perm.contains(&axis)) {
        return Err(bad_value(args, "perm", "it must name each axis once"));
    }
    Ok(perm)
}

fn infer_transpose(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let perm = permutation(args, x.rank())?;
    result(args, x.dtype, perm.into_iter().map(|axis| x.shape[axis]).collect())
}

fn transposed(args: &Args<'_>) -> Result<View, Fault> {
    let own = dims(args, "x")?;
    let perm = permutation(args, own.len())?;
    let shape: Vec<usize> = perm.iter().map(|&axis| own[axis]).collect();
    Ok(permuted(&own, &perm, &shape))
}

/// The axes to reverse: all, unless some are named.
fn reversed_axes(args: &Args<'_>, rank: usize) -> Result<Vec<bool>, Fault> {
    let mut reversed = vec![!args.has("axes"); rank];
    if args.has("axes") {
        for axis in known_ints(args, "axes")? {
            // As with NumPy's flip, an axis that is named twice is reversed twice.
            reversed[args.normal_axis("axes", axis, rank)?] ^= true;
        }
    }
    Ok(reversed)
}

fn infer_reverse(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    reversed_axes(args, x.rank())?;
    Ok(vec![x.clone().into()])
}

fn reversed(args: &Args<'_>) -> Result<View, Fault> {
    let shape = dims(args, "x")?;
    let mut steps = strides(&shape);
    let mut start = 0;
    for (axis, backwards) in reversed_axes(args, shape.len())?.into_iter().enumerate() {
        if backwards {
            start += shape[axis].saturating_sub(1) * steps[axis] as usize;
            steps[axis] = -steps[axis];
        }
    }
    Ok(View { dims: shape.clone(), shape, start, steps })
}

fn infer_reverse_sequence(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let seq = known_axis(args, "seq_axis", x.rank())?;
    let batch = known_axis(args, "batch_axis", x.rank())?;
    if seq == batch {
        return Err(bad_value(args, "batch_axis", "it is the same axis as `seq_axis`").against("seq_axis"));
    }
    let count = of_rank(args, "lengths", 1)?.shape[0];
    if !count.fits(x.shape[batch]) {
        return Err(Fault::of(
            "lengths",
            &codes::SHAPE_MISMATCH,
            format!("`lengths` of `reverse_sequence` has {count} numbers for {} batches", x.shape[batch]),
        )
        .against("x"));
    }
    Ok(vec![x.clone().into()])
}

/// How the sequences of a call lie in `x`.
#[derive(Clone, Copy)]
struct Sequences {
    /// Their length, and how far apart their elements are.
    dim: usize,
    step: usize,
    /// How many there are beside each other, and how far apart.
    batches: usize,
    next: usize,
}

impl Sequences {
    fn of(args: &Args<'_>) -> Result<Self, Fault> {
        infer_reverse_sequence(args)?;
        let shape = dims(args, "x")?;
        let seq = known_axis(args, "seq_axis", shape.len())?;
        let batch = known_axis(args, "batch_axis", shape.len())?;
        let steps = super::loops::strides(&shape);
        Ok(Self { dim: shape[seq], step: steps[seq], batches: shape[batch], next: steps[batch] })
    }

    /// Refuses lengths that are not those of beginnings.
    fn check(&self, lengths: impl IntoIterator<Item = i64>) -> Result<(), Fault> {
        let dim = self.dim;
        let bad = lengths.into_iter().find(|&n| n < 0 || n > dim as i64);
        bad.map_or(Ok(()), |bad| {
            let why = format_args!("{bad} is not between 0 and {dim}, the length of the sequences");
            Err(unusable("reverse_sequence", "lengths", why))
        })
    }

    /// For a place of the result, the place of its element.
    fn from(&self, at: usize, length: impl Fn(usize) -> usize) -> usize {
        let place = at / self.step % self.dim;
        let length = length(at / self.next % self.batches);
        if place < length { at - place * self.step + (length - 1 - place) * self.step } else { at }
    }
}

fn compute_reverse_sequence(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, sequences) = (args.tensor("x")?, Sequences::of(args)?);
    let lengths = args.tensor("lengths")?.to_i64s();
    sequences.check(lengths.iter().copied())?;
    one(x.pick(x.shape(), (0..x.len()).map(|at| sequences.from(at, |batch| lengths[batch] as usize)))?)
}

/// Elements before the sequences and the batches move together.
fn fast_reverse_sequence(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, x, sequences) = (args.ty("x")?.dtype, args.reader("x")?, Sequences::of(args)?);
    let lengths = Numbers::<i64>::of(args, "lengths")?;
    let together = sequences.step.min(sequences.next);
    for_bits!(dtype, E => ready_if(move |run| {
        let (x, lengths) = (run.read::<E>(&x), lengths.read(run));
        sequences.check(lengths.iter().copied())?;
        layout::runs(run.threads, run.write(0), x, together, |i| {
            Some(sequences.from(i * together, |batch| lengths[batch] as usize))
        });
        Ok(())
    }))
}

/// The axis, and the number of windows along it.
fn windows(args: &Args<'_>, x: &Shape) -> Result<(usize, u64, u64, Dim), Fault> {
    let axis = known_axis(args, "axis", x.rank())?;
    let (size, stride) = (factor(args, "size")?, factor(args, "stride")?);
    let count = match x[axis] {
        Dim::Known(n) if n < size => {
            return Err(bad_value(args, "size", format_args!("{size} is more than the dimension of {n}")));
        }
        dim => dim.map(|n| (n - size) / stride + 1),
    };
    Ok((axis, size, stride, count))
}

fn infer_sliding_windows(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let (axis, size, _, count) = windows(args, &x.shape)?;
    let mut dims = x.shape.to_vec();
    dims[axis] = count;
    dims.insert(axis + 1, Dim::Known(size));
    result(args, x.dtype, dims.into_iter().collect())
}

fn all_windows(args: &Args<'_>) -> Result<View, Fault> {
    let mut shape = dims(args, "x")?;
    let (axis, size, stride, count) = windows(args, &Shape::from(&shape[..]))?;
    let mut steps = strides(&shape);
    shape[axis] = count.known().unwrap_or(0) as usize;
    shape.insert(axis + 1, size as usize);
    // One window alone is never left, and its stride may be any number.
    steps.insert(axis, if shape[axis] > 1 { steps[axis] * stride as isize } else { 0 });
    Ok(View { dims: shape.clone(), shape, start: 0, steps })
}

fn infer_band_part(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    known_int(args, "lower")?;
    known_int(args, "upper")?;
    if x.rank() < 2 {
        return Err(Fault::of(
            "x",
            &codes::WRONG_RANK,
            format!("`x` of `band_part` has {} dimensions and must have 2 or more", x.rank()),
        ));
    }
    Ok(vec![x.clone().into()])
}

fn compute_band_part(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    infer_band_part(args)?;
    let (lower, upper) = (known_int(args, "lower")?, known_int(args, "upper")?);
    let (rows, columns) = (x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]);
    let zero = x.len();
    let all = joined(&[x, &Tensor::zeros(x.dtype(), &[1])?])?;
    let from = (0..x.len()).map(|at| {
        let (m, n) = ((at / columns % rows) as i64, (at % columns) as i64);
        let inside = (lower < 0 || m - n <= lower) && (upper < 0 || n - m <= upper);
        if inside { at } else { zero }
    });
    one(all.pick(x.shape(), from)?)
}

/// Of each row, the part within the band.
fn fast_band_part(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, shape, x) = (args.ty("x")?.dtype, dims(args, "x")?, args.reader("x")?);
    let (lower, upper) = (known_int(args, "lower")?, known_int(args, "upper")?);
    let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    if shape.contains(&0) {
        return idle();
    }
    let column = move |n: i64| usize::try_from(n).unwrap_or(0).min(columns);
    for_bits!(dtype, E => ready(move |run| {
        let x: &[E] = run.read(&x);
        let lines = run.write::<E>(0).chunks_exact_mut(columns).zip(x.chunks_exact(columns));
        for (i, (to, from)) in lines.enumerate() {
            let row = (i % rows) as i64;
            let start = if lower < 0 { 0 } else { column(row.saturating_sub(lower)) };
            let end = if upper < 0 { columns } else { column(row.saturating_add(upper).saturating_add(1)) };
            to.fill(0);
            if start < end {
                to[start..end].copy_from_slice(&from[start..end]);
            }
        }
    }))
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    viewed!("transpose", "x with its axes permuted", TRANSPOSE, infer_transpose, transposed),
    viewed!("reverse", "x with axes reversed", REVERSE, infer_reverse, reversed),
    Op {
        fast: Fast::Prepared(fast_reverse_sequence),
        ..exact(
            "reverse_sequence",
            "x with the first elements of each sequence reversed",
            REVERSE_SEQUENCE,
            ONE,
            infer_reverse_sequence,
            compute_reverse_sequence,
        )
    },
    viewed!(
        "sliding_windows",
        "all windows along an axis, on an axis of their own",
        SLIDING_WINDOWS,
        infer_sliding_windows,
        all_windows,
    ),
    Op {
        fast: Fast::Prepared(fast_band_part),
        ..exact(
            "band_part",
            "x with zeros outside a band around the diagonal of its matrices",
            BAND_PART,
            ONE,
            infer_band_part,
            compute_band_part,
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
        let mut args = vec![("x", iota(from))];
        args.extend(line.iter().cloned());
        let expected: Vec<f32> = order.iter().map(|&v| v as f32).collect();
        check(op, Ios17, &args, &[f32s(to, &expected)]);
    }

    #[test]
    fn transpose_permutes_axes() {
        // np.arange(6).reshape(2, 3).transpose(1, 0)
        moves("transpose", &[2, 3], &[("perm", vec32(&[1, 0]))], &[3, 2], &[0, 3, 1, 4, 2, 5]);
        moves("transpose", &[2, 3], &[("perm", vec32(&[-1, -2]))], &[3, 2], &[0, 3, 1, 4, 2, 5]);
        // np.arange(8).reshape(2, 2, 2).transpose(2, 0, 1)
        moves("transpose", &[2, 2, 2], &[("perm", vec32(&[2, 0, 1]))], &[2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]);
        moves("transpose", &[0, 3], &[("perm", vec32(&[1, 0]))], &[3, 0], &[]);
        moves("transpose", &[], &[("perm", vec32(&[]))], &[], &[0]);
        let perm = ("perm", vec32(&[1, 0]));
        let x = texts(&[2, 2], &["a", "b", "c", "d"]);
        check("transpose", Ios15, &[("x", x), perm.clone()], &[texts(&[2, 2], &["a", "c", "b", "d"])]);
        let x = ints(Int4, &[2, 2], &[1, -2, 3, -4]);
        check("transpose", Ios15, &[("x", x), perm], &[ints(Int4, &[2, 2], &[1, 3, -2, -4])]);
        let refuses = |perm: &[i32], code| {
            refuse("transpose", Ios15, &[("x", iota(&[2, 3])), ("perm", vec32(perm))], code);
        };
        refuses(&[0, 0], "bad-value");
        refuses(&[0], "shape-mismatch");
        refuses(&[0, 2], "index-out-of-range");
    }

    #[test]
    fn reverse_flips_axes() {
        moves("reverse", &[2, 3], &[], &[2, 3], &[5, 4, 3, 2, 1, 0]);
        moves("reverse", &[2, 3], &[("axes", vec32(&[-1]))], &[2, 3], &[2, 1, 0, 5, 4, 3]);
        moves("reverse", &[2, 3], &[("axes", vec32(&[0]))], &[2, 3], &[3, 4, 5, 0, 1, 2]);
        moves("reverse", &[2], &[("axes", vec32(&[]))], &[2], &[0, 1]);
        moves("reverse", &[0, 2], &[], &[0, 2], &[]);
        moves("reverse", &[], &[], &[], &[0]);
        let x = ints(DType::Bool, &[3], &[1, 0, 0]);
        check("reverse", Ios15, &[("x", x)], &[ints(DType::Bool, &[3], &[0, 0, 1])]);
        refuse("reverse", Ios15, &[("x", iota(&[2])), ("axes", vec32(&[1]))], "index-out-of-range");
    }

    #[test]
    fn reverse_sequence_reverses_beginnings() {
        // tf.reverse_sequence(np.arange(6).reshape(2, 3), [2, 3], seq_axis=1, batch_axis=0)
        let with = |lengths: &[i32], seq, batch| {
            [("lengths", vec32(lengths)), ("seq_axis", int(seq)), ("batch_axis", int(batch))]
        };
        moves("reverse_sequence", &[2, 3], &with(&[2, 3], 1, 0), &[2, 3], &[1, 0, 2, 5, 4, 3]);
        moves("reverse_sequence", &[2, 3], &with(&[2, 1, 0], -2, 1), &[2, 3], &[3, 1, 2, 0, 4, 5]);
        moves("reverse_sequence", &[0, 3], &with(&[], 1, 0), &[0, 3], &[]);
        let no = |line: &[(&'static str, Datum)], code| {
            refuse("reverse_sequence", Ios15, &[&[("x", iota(&[2, 3]))], line].concat(), code);
        };
        no(&with(&[2, 4], 1, 0), "bad-value");
        no(&with(&[2, -1], 1, 0), "bad-value");
        no(&with(&[2], 1, 0), "shape-mismatch");
        no(&with(&[2, 3], 0, 0), "bad-value");
        no(&with(&[2, 3], 2, 0), "index-out-of-range");
    }

    #[test]
    fn sliding_windows_overlap() {
        let with = |axis, size, stride| [("axis", int(axis)), ("size", int(size)), ("stride", int(stride))];
        moves("sliding_windows", &[4], &with(0, 2, 1), &[3, 2], &[0, 1, 1, 2, 2, 3]);
        moves("sliding_windows", &[5], &with(-1, 2, 3), &[2, 2], &[0, 1, 3, 4]);
        // np.lib.stride_tricks.sliding_window_view(np.arange(6).reshape(3, 2), 2, 0).transpose(0, 2, 1)
        moves("sliding_windows", &[3, 2], &with(0, 2, 1), &[2, 2, 2], &[0, 1, 2, 3, 2, 3, 4, 5]);
        moves("sliding_windows", &[2], &with(0, 2, i32::MAX), &[1, 2], &[0, 1]);
        let no = |size, stride| {
            refuse(
                "sliding_windows",
                Ios15,
                &[&[("x", iota(&[2]))], &with(0, size, stride)[..]].concat(),
                "bad-value",
            );
        };
        no(3, 1);
        no(0, 1);
        no(1, 0);
    }

    #[test]
    fn band_part_keeps_a_band() {
        let with = |lower, upper| [("lower", int(lower)), ("upper", int(upper))];
        moves("band_part", &[3, 3], &with(0, -1), &[3, 3], &[0, 1, 2, 0, 4, 5, 0, 0, 8]);
        moves("band_part", &[3, 3], &with(-1, 0), &[3, 3], &[0, 0, 0, 3, 4, 0, 6, 7, 8]);
        moves("band_part", &[3, 3], &with(0, 0), &[3, 3], &[0, 0, 0, 0, 4, 0, 0, 0, 8]);
        moves("band_part", &[2, 1, 3], &with(0, 1), &[2, 1, 3], &[0, 1, 0, 3, 4, 0]);
        moves("band_part", &[2, 0], &with(0, 1), &[2, 0], &[]);
        refuse("band_part", Ios15, &[("x", iota(&[2]))], "wrong-rank");
    }
}
