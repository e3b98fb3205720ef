//! Hints for shapes, slices, gathers, scatters, sorts, and what is filled.

use anemone::types::{DType, Datum, Tensor};

use super::{Hint, axes, axis, by_table};
use crate::draft::Draft;

pub(super) fn propose(d: &mut Draft<'_, '_, '_, '_>) -> Hint {
    Some(match d.op.name {
        "reshape" => reshape(d),
        "reshape_like" => reshape_like(d),
        "expand_dims" => expand_dims(d),
        "squeeze" => squeeze(d),
        "transpose" => transpose(d),
        "identity" => identity(d),
        "reverse_sequence" => reverse_sequence(d),
        "sliding_windows" => sliding_windows(d),
        "band_part" => band_part(d),
        "concat" | "stack" => joined(d),
        "split" => split(d),
        "tile" => tile(d),
        "fill" => fill(d),
        "fill_like" => fill_like(d),
        "range_1d" => range(d),
        "one_hot" => one_hot(d),
        "slice_by_index" => slice(d, None),
        "slice_update" => slice(d, Some("update")),
        "slice_by_size" => slice_by_size(d),
        "gather" => gather(d),
        "gather_along_axis" => along(d, "x"),
        "scatter_along_axis" => along(d, "data"),
        "gather_nd" => nd(d, "x"),
        "scatter_nd" => nd(d, "data"),
        "scatter" => scatter(d),
        "topk" => topk(d),
        "random_bernoulli" | "random_normal" | "random_uniform" => random(d),
        "random_categorical" => categorical(d),
        _ => return None,
    })
}

fn signed(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&n| n as i64).collect()
}

fn reshape(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 0..=5)?;
    let mut left: usize = x.iter().product();
    let mut shape = Vec::new();
    for _ in 0..d.b.dice.below(4) {
        let divisors: Vec<usize> = (1..=left).filter(|n| left.is_multiple_of(*n)).take(12).collect();
        if divisors.is_empty() {
            break;
        }
        let n = d.b.dice.one(&divisors);
        shape.push(n as i64);
        left /= n;
    }
    if left != 1 || d.b.dice.chance(30) {
        let at = d.b.dice.below(shape.len() + 1);
        shape.insert(at, left as i64);
    }
    if left > 0 && !shape.is_empty() && d.b.dice.chance(30) {
        let at = d.b.dice.below(shape.len());
        shape[at] = -1;
    }
    d.ints("shape", &shape)
}

fn reshape_like(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    // The shape in one or two pieces, each in a tensor with something around it.
    let cut = d.b.dice.below(x.len() + 1);
    for part in [&x[..cut], &x[cut..]] {
        if part.is_empty() {
            continue;
        }
        let (before, after) = (d.b.dice.below(3), d.b.dice.below(2));
        let shape: Vec<usize> = [vec![1; before], part.to_vec(), vec![2; after]].concat();
        let tensor = d.b.dice.tensor(DType::Int32, &shape)?;
        d.given("ref_tensors", tensor)?;
        let mask = after == 0 && d.b.dice.chance(50);
        d.given("begins", Tensor::scalar(DType::Int32, before as f64))?;
        d.given("ends", Tensor::scalar(DType::Int32, (before + part.len()) as f64))?;
        d.given("end_masks", Tensor::scalar(DType::Bool, f64::from(u8::from(mask))))?;
    }
    Some(())
}

fn expand_dims(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 0..=4)?;
    let more = 1 + d.b.dice.below(5 - x.len());
    let mut axes = axes(d, x.len() + more);
    axes.truncate(more);
    // They are axes of the result.
    let rank = (x.len() + axes.len()) as i64;
    let axes: Vec<i64> = axes.into_iter().filter(|a| (-rank..rank).contains(a)).collect();
    d.ints("axes", &axes)
}

fn squeeze(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.tensor(
        "x",
        |s| s.contains(&1),
        |b| {
            let rank = 1 + b.dice.below(5);
            let mut shape = b.dice.shape(rank, b.limits.elements);
            let at = b.dice.below(rank);
            shape[at] = 1;
            shape
        },
    )?;
    if d.wants("axes") {
        let ones: Vec<i64> = (0..x.len()).filter(|&i| x[i] == 1).map(|i| i as i64).collect();
        let taken = 1 + d.b.dice.below(ones.len());
        d.ints("axes", &ones[..taken.min(ones.len())])?;
    }
    Some(())
}

fn transpose(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let mut perm = signed(&(0..x.len()).collect::<Vec<_>>());
    for i in (1..perm.len()).rev() {
        let other = d.b.dice.below(i + 1);
        perm.swap(i, other);
    }
    if d.b.dice.chance(20) {
        perm.iter_mut().for_each(|p| *p -= x.len() as i64);
    }
    d.ints("perm", &perm)
}

/// `identity` takes what there is: lists, states and dicts too.
fn identity(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    if !d.b.items.is_empty() && d.b.dice.chance(60) {
        let at = d.b.dice.below(d.b.items.len());
        let item = d.b.items[at].clone();
        if !matches!(item.value, Datum::State(_)) {
            return d.item("x", &item);
        }
    }
    d.ranked("x", 0..=5).map(|_| ())
}

fn reverse_sequence(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 2..=4)?;
    let axes = axes(d, x.len());
    let (&sequence, batch) = (axes.first()?, axes.get(1).copied());
    let of = |a: i64| a.rem_euclid(x.len() as i64);
    let batch = batch.unwrap_or(if of(sequence) == 0 { 1 } else { 0 });
    let longest = x[of(sequence) as usize] as i64;
    let lengths: Vec<i64> = (0..x[of(batch) as usize]).map(|_| d.b.dice.within(0, longest)).collect();
    d.ints("lengths", &lengths)?;
    d.int("seq_axis", sequence)?;
    d.int("batch_axis", batch)
}

fn sliding_windows(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    let at = axis(d, &x)?;
    let extent = x[at.rem_euclid(x.len() as i64) as usize] as i64;
    d.int("axis", at)?;
    let size = d.b.dice.within(1, extent);
    d.int("size", size)?;
    if d.wants("stride") {
        let stride = d.b.dice.within(1, 3);
        d.int("stride", stride)?;
    }
    Some(())
}

fn band_part(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 2..=4)?;
    for name in ["lower", "upper"] {
        if d.wants(name) {
            let n = d.b.dice.within(-1, 4);
            d.int(name, n)?;
        }
    }
    Some(())
}

fn joined(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let stack = d.op.name == "stack";
    let first = d.ranked("values", if stack { 0..=4 } else { 1..=5 })?;
    let rank = first.len() as i64 + i64::from(stack);
    let at = d.b.dice.within(-rank, rank - 1);
    // The first value has decided the dtype of all; the table does not say that they must agree.
    let dtype = d.first_dtype("values")?;
    let same = stack || d.b.dice.chance(50);
    for _ in 0..d.b.dice.below(3) {
        let mut shape = first.clone();
        if !same {
            shape[at.rem_euclid(rank) as usize] = d.b.dice.extent().min(9);
        }
        let tensor = d.b.dice.tensor(dtype, &shape)?;
        d.given("values", tensor)?;
    }
    d.int("axis", at)?;
    if d.wants("interleave") {
        let interleave = same && d.b.dice.chance(50);
        d.flag("interleave", interleave)?;
    }
    Some(())
}

fn split(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let at = axis(d, &x)?;
    let extent = x[at.rem_euclid(x.len() as i64) as usize];
    d.int("axis", at)?;
    if d.b.dice.chance(50) {
        let parts: Vec<usize> = (1..=extent.min(5)).filter(|n| extent % n == 0).collect();
        if parts.is_empty() {
            return None;
        }
        let n = d.b.dice.one(&parts);
        return d.int("num_splits", n as i64);
    }
    let mut sizes = Vec::new();
    let mut left = extent;
    for _ in 0..d.b.dice.below(3) {
        let n = d.b.dice.below(left + 1);
        sizes.push(n as i64);
        left -= n;
    }
    sizes.push(left as i64);
    d.ints("split_sizes", &sizes)
}

fn tile(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let reps: Vec<i64> =
        x.iter().map(|_| if d.b.dice.chance(50) { 1 } else { d.b.dice.within(1, 3) }).collect();
    d.ints("reps", &reps)
}

fn some_shape(d: &mut Draft<'_, '_, '_, '_>) -> Vec<i64> {
    let rank = 1 + d.b.dice.below(4);
    signed(&d.b.dice.shape(rank, 256))
}

fn fill(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let shape = some_shape(d);
    d.ints("shape", &shape)?;
    if d.wants("value") {
        d.shaped("value", &[])?;
    }
    Some(())
}

fn fill_like(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("ref_tensor", 0..=4)?;
    if d.wants("value") {
        d.shaped("value", &[])?;
    }
    Some(())
}

fn range(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let step = d.b.dice.one(&[1.0, 2.0, -1.0, 3.0, 0.5]);
    let start = d.b.dice.within(-3, 5) as f64;
    let count = d.b.dice.within(0, 20) as f64;
    d.float("start", start)?;
    d.float("end", start + step * count)?;
    d.float("step", step)
}

fn one_hot(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let rank = d.b.dice.below(4);
    let shape = d.b.dice.shape(rank, 128);
    let size = 1 + d.b.dice.below(9);
    indices(d, "indices", &shape, size)?;
    d.int("one_hot_vector_size", size as i64)?;
    if d.wants("axis") {
        let at = d.b.dice.within(-(rank as i64) - 1, rank as i64);
        d.int("axis", at)?;
    }
    for name in ["on_value", "off_value"] {
        if d.wants(name) {
            d.shaped(name, &[])?;
        }
    }
    Some(())
}

/// Indices of places along a dimension of this extent; negative ones count from its end.
fn indices(d: &mut Draft<'_, '_, '_, '_>, name: &str, shape: &[usize], extent: usize) -> Option<()> {
    let dtype = d.dtype(name);
    let negative = dtype.is_signed_int() && d.b.dice.chance(30);
    let count: usize = shape.iter().product();
    if count > 0 && extent == 0 {
        return None;
    }
    let mut numbers = d.b.dice.numbers();
    let values: Vec<i64> = (0..count)
        .map(|_| {
            numbers.below(extent) as i64 - if negative && numbers.below(2) == 0 { extent as i64 } else { 0 }
        })
        .collect();
    d.given(name, Tensor::from_i64s(dtype, shape, &values).ok()?)
}

fn slice(d: &mut Draft<'_, '_, '_, '_>, update: Option<&str>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let (mut begin, mut end, mut stride, mut shape) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut from_begin, mut to_end, mut squeezed) = (Vec::new(), Vec::new(), Vec::new());
    for &n in &x {
        let n = n as i64;
        let step: i64 = if d.b.dice.chance(25) { d.b.dice.one(&[2, 3, -1, -2]) } else { 1 };
        let (mut b, mut e) = (d.b.dice.within(0, n), d.b.dice.within(0, n));
        if b > e {
            std::mem::swap(&mut b, &mut e);
        }
        if d.b.dice.chance(40) {
            (b, e) = (0, n);
        }
        let squeeze = n > 0 && d.b.dice.chance(12);
        if squeeze {
            (b, e) = (b.min(n - 1), b.min(n - 1) + 1);
        }
        let (begins, ends) = (!squeeze && d.b.dice.chance(15), !squeeze && d.b.dice.chance(15));
        let step = if squeeze { 1 } else { step };
        let (low, high) =
            if step > 0 { (if begins { 0 } else { b }, if ends { n } else { e }) } else { (b, e) };
        if !squeeze {
            shape.push(((high - low).max(0) as usize).div_ceil(step.unsigned_abs() as usize));
        }
        let negative = |v: i64, d: &mut Draft<'_, '_, '_, '_>| {
            if v < n && v > 0 && d.b.dice.chance(25) { v - n } else { v }
        };
        if step > 0 {
            begin.push(negative(b, d));
            end.push(negative(e, d));
        } else {
            // Backwards from the last to the first of them.
            begin.push(e - 1);
            end.push(b - 1);
        }
        stride.push(step);
        from_begin.push(begins && step > 0);
        to_end.push((ends && step > 0) || (step < 0 && b == 0));
        squeezed.push(squeeze);
    }
    if let Some(update) = update {
        d.shaped(update, &shape)?;
    }
    d.ints("begin", &begin)?;
    d.ints("end", &end)?;
    if stride.iter().any(|&s| s != 1) || d.wants("stride") {
        d.ints("stride", &stride)?;
    }
    for (name, mask) in [("begin_mask", from_begin), ("end_mask", to_end), ("squeeze_mask", squeezed)] {
        if mask.contains(&true) || d.wants(name) {
            d.given(name, Tensor::from_bools(&[mask.len()], &mask).ok()?)?;
        }
    }
    Some(())
}

fn slice_by_size(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=5)?;
    let begin: Vec<i64> = x.iter().map(|&n| d.b.dice.within(0, n as i64 - 1)).collect();
    let size: Vec<i64> = x
        .iter()
        .zip(&begin)
        .map(|(&n, &b)| if d.b.dice.chance(20) { -1 } else { d.b.dice.within(0, n as i64 - b) })
        .collect();
    d.ints("begin", &begin)?;
    d.ints("size", &size)
}

fn gather(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    let at = axis(d, &x)?.rem_euclid(x.len() as i64) as usize;
    let batch = if d.has("batch_dims") && d.b.dice.chance(25) { d.b.dice.below(at + 1) } else { 0 };
    let rank = d.b.dice.below(3);
    let behind = d.b.dice.shape(rank, 16);
    indices(d, "indices", &[&x[..batch], &behind].concat(), x[at])?;
    if at > 0 || d.wants("axis") {
        d.int("axis", at as i64)?;
    }
    if batch > 0 || d.wants("batch_dims") {
        d.int("batch_dims", batch as i64)?;
    }
    checks(d)
}

fn checks(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    for name in ["validate_indices"] {
        if d.wants(name) {
            let value = d.b.dice.chance(50);
            d.flag(name, value)?;
        }
    }
    if d.has("updates") && d.wants("mode") {
        d.word("mode", &["add", "update", "sub", "mul", "div", "max", "min"])?;
    }
    Some(())
}

fn along(d: &mut Draft<'_, '_, '_, '_>, data: &str) -> Option<()> {
    let x = d.ranked(data, 1..=4)?;
    let at = axis(d, &x)?;
    let place = at.rem_euclid(x.len() as i64) as usize;
    let mut shape = x.clone();
    shape[place] = d.b.dice.below(6);
    indices(d, "indices", &shape, x[place])?;
    d.shaped("updates", &shape)?;
    if place > 0 || d.wants("axis") {
        d.int("axis", at)?;
    }
    checks(d)
}

fn nd(d: &mut Draft<'_, '_, '_, '_>, data: &str) -> Option<()> {
    let x = d.ranked(data, 1..=4)?;
    let batch = if d.has("batch_dims") && d.b.dice.chance(25) { d.b.dice.below(x.len()) } else { 0 };
    let depth = 1 + d.b.dice.below(x.len() - batch);
    let rank = d.b.dice.below(3);
    let outer = [&x[..batch], &d.b.dice.shape(rank, 16)].concat();
    let smallest = x[batch..batch + depth].iter().copied().min()?;
    indices(d, "indices", &[&outer[..], &[depth]].concat(), smallest)?;
    d.shaped("updates", &[&outer, &x[batch + depth..]].concat())?;
    if batch > 0 || d.wants("batch_dims") {
        d.int("batch_dims", batch as i64)?;
    }
    checks(d)
}

fn scatter(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("data", 1..=4)?;
    let at = axis(d, &x)?;
    let place = at.rem_euclid(x.len() as i64) as usize;
    let rank = d.b.dice.below(3);
    let shape = d.b.dice.shape(rank, 16);
    indices(d, "indices", &shape, x[place])?;
    d.shaped("updates", &[&x[..place], &shape, &x[place + 1..]].concat())?;
    if place > 0 || d.wants("axis") {
        d.int("axis", at)?;
    }
    checks(d)
}

fn topk(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let x = d.ranked("x", 1..=4)?;
    let at = axis(d, &x)?;
    let extent = x[at.rem_euclid(x.len() as i64) as usize];
    d.int("axis", at)?;
    if d.wants("k") {
        let least = if d.b.dice.chance(10) { -1 } else { 1 };
        let k = d.b.dice.within(least, extent.min(100) as i64);
        d.int("k", k)?;
    }
    if d.wants("output_indices_dtype") {
        d.word("output_indices_dtype", &["int32", "int16", "uint16", "int8", "uint8"])?;
    }
    by_table(d, &["k", "axis", "output_indices_dtype"])
}

fn random(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    let shape = some_shape(d);
    d.ints("shape", &shape)?;
    let seed = d.b.dice.within(-1, 1000);
    d.int("seed", seed)?;
    for (name, value) in [("prob", 0.25), ("mean", 1.0), ("stddev", 2.0), ("low", -1.0), ("high", 3.0)] {
        if d.wants(name) {
            d.float(name, value)?;
        }
    }
    Some(())
}

fn categorical(d: &mut Draft<'_, '_, '_, '_>) -> Option<()> {
    d.ranked("x", 1..=3)?;
    if d.wants("mode") {
        d.word("mode", &["logits", "probs"])?;
    }
    let size = d.b.dice.within(1, 5);
    d.int("size", size)?;
    d.int("seed", 7)
}
