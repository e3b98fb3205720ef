//! Moves: what goes elsewhere and stays what it is.

use super::{PARTS, TABLE, floats, number, table};
use crate::passes::draft::{Draft, concat as joined, ints, reshape};
use crate::passes::site::Site;
use crate::types::{DType, Tensor};

pub(super) fn concat(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let axis = site.axis("axis", 0, dims.len())?;
    // What is too long is not taken in parts either.
    if site.flag("interleave")? || site.long_axis(&dims).is_some() {
        return None;
    }
    let mut draft = Draft::default();
    let (mut before, mut sum) = (0, None);
    let parts: Vec<u64> =
        site.values("values").map(|v| v.ty.as_tensor()?.shape.get(axis)?.known()).collect::<Option<_>>()?;
    for (i, part) in parts.iter().enumerate() {
        let mut pad = vec![0; 2 * dims.len()];
        pad[2 * axis] = before;
        pad[2 * axis + 1] = (dims[axis] - part) as i64 - before;
        before += *part as i64;
        let call = format!(
            "pad(x = arg_values_{i}, pad = {}, mode = string(\"constant\"), constant_val = {})",
            ints(&pad),
            number(dtype, 0.0)
        );
        let padded = draft.step(dtype, &dims, &call);
        sum = Some(match sum {
            None => padded,
            Some(sum) => draft.step(dtype, &dims, &format!("add(x = {sum}, y = {padded})")),
        });
    }
    Some(draft.result(dtype, &dims, &format!("identity(x = {})", sum?)))
}

pub(super) fn tile(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let (mut now, times) = (site.dims("x")?, site.ints("reps")?);
    let count = times.iter().try_fold(1i64, |a, &n| a.checked_mul(n))?;
    if times.iter().any(|&n| n < 1) || count > PARTS as i64 || now.len() != times.len() {
        return None;
    }
    let mut draft = Draft::default();
    let mut x = "arg_x".to_string();
    for (axis, &n) in times.iter().enumerate().filter(|&(_, &n)| n > 1) {
        now[axis] *= n as u64;
        x = draft.step(dtype, &now, &joined(&vec![x; n as usize], axis));
    }
    Some(draft.result(dtype, &dims, &format!("identity(x = {x})")))
}

pub(super) fn band(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let [.., rows, columns] = dims[..] else { return None };
    let (lower, upper) = (site.int_or("lower", -1)?, site.int_or("upper", -1)?);
    let inside = |r: i64, c: i64| (lower < 0 || r - c <= lower) && (upper < 0 || c - r <= upper);
    let mut draft = Draft::default();
    let mask = draft.constant(table(DType::Bool, rows, columns, inside)?);
    Some(draft.result(dtype, &dims, &format!("select(cond = {mask}, a = arg_x, b = {})", number(dtype, 0.0))))
}

pub(super) fn windows(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let axis = site.axis("axis", 0, x.len())?;
    let (size, stride) = (site.int_or("size", 1)?, site.int_or("stride", 1)?);
    let count = dims[axis];
    if count > PARTS {
        return None;
    }
    let mut draft = Draft::default();
    let (size, stride) = (u64::try_from(size).ok()?, u64::try_from(stride).ok()?);
    let parts: Vec<String> =
        (0..count).map(|i| draft.slice("arg_x", dtype, &x, axis, i * stride, size)).collect();
    Some(draft.result(dtype, &dims, &format!("stack(values = ({}), axis = int32({axis}))", parts.join(", "))))
}

pub(super) fn like(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    Some(Draft::default().result(dtype, &dims, &reshape("arg_x", &dims)))
}

pub(super) fn pad(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let value = site.float_or("constant_val", 0.0)?;
    let (mut now, pad) = (site.dims("x")?, site.ints("pad")?);
    if site.word_or("mode", "constant")? != "constant" || value == 0.0 || pad.iter().any(|&n| n < 0) {
        return None;
    }
    // The padding of the last axes, when it is not that of all.
    let first = now.len().checked_sub(pad.len() / 2)?;
    let mut draft = Draft::default();
    let mut x = "arg_x".to_string();
    for (axis, ends) in pad.chunks_exact(2).enumerate().map(|(i, ends)| (first + i, ends)) {
        let mut edge = |n: i64| {
            let mut shape = now.clone();
            shape[axis] = n as u64;
            let elements = shape.iter().try_fold(1u64, |a, &d| a.checked_mul(d))?;
            let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
            let values = (elements <= TABLE).then(|| vec![value; elements as usize])?;
            Some(draft.constant(Tensor::from_f64s(dtype, &shape, &values).ok()?))
        };
        let mut parts = Vec::new();
        if ends[0] > 0 {
            parts.push(edge(ends[0])?);
        }
        parts.push(x.clone());
        if ends[1] > 0 {
            parts.push(edge(ends[1])?);
        }
        if parts.len() > 1 {
            now[axis] += (ends[0] + ends[1]) as u64;
            x = draft.step(dtype, &now, &joined(&parts, axis));
        }
    }
    Some(draft.result(dtype, &dims, &format!("identity(x = {x})")))
}

/// The parts that are read, sliced out.
pub(super) fn parts(site: &Site<'_>) -> Option<Draft> {
    let x = site.dims("x")?;
    let dtype = site.dtype("x")?;
    let axis = site.axis("axis", 0, x.len())?;
    let mut draft = Draft::default();
    let mut begin = vec![0; x.len()];
    for (i, &output) in site.step.outputs.iter().enumerate() {
        let dims = site.result_dims(i)?;
        if site.is_read(output) {
            let size: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
            let call = format!("slice_by_size(x = arg_x, begin = {}, size = {})", ints(&begin), ints(&size));
            draft.output(i, dtype, &dims, &call);
        }
        begin[axis] += *dims.get(axis)? as i64;
    }
    Some(draft)
}

/// Batch and channels are one axis here, so that five dimensions are enough. Where the place in the block counts before the
/// channel, both are exchanged first, or last.
pub(super) fn shuffle(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let (param, is_up, blocks_first) = match site.step.op.name {
        "pixel_shuffle" => ("upscale_factor", true, false),
        "pixel_unshuffle" => ("downscale_factor", false, false),
        "depth_to_space" => ("block_size", true, true),
        _ => ("block_size", false, true),
    };
    let factor = site.ints(param)?;
    let factor = u64::try_from(*factor.first()?).ok().filter(|&r| r > 1)?;
    // The larger picture, and its channels.
    let (large, small) = if is_up { (&dims, &x) } else { (&x, &dims) };
    let (&[n, c, ..], &[_, _, h, w]) = (&large[..], &small[..]) else { return None };
    let (block, all) = (factor.checked_mul(factor)?, n.checked_mul(c)?);
    let places = h.checked_mul(w)?;
    let mut draft = Draft::default();
    let mut given = "arg_x".to_string();
    if is_up && blocks_first {
        let apart = [n, block, c, places];
        given = draft.reshape(&given, dtype, &apart);
        given = draft.transpose(&given, dtype, &apart, &[0, 2, 1, 3]);
    }
    let (apart, order) = if is_up {
        ([all, factor, factor, h, w], [0, 3, 1, 4, 2])
    } else {
        ([all, h, factor, w, factor], [0, 2, 4, 1, 3])
    };
    given = draft.reshape(&given, dtype, &apart);
    given = draft.transpose(&given, dtype, &apart, &order);
    if !is_up && blocks_first {
        let apart = [n, c, block, places];
        given = draft.reshape(&given, dtype, &apart);
        given = draft.transpose(&given, dtype, &apart, &[0, 2, 1, 3]);
    }
    Some(draft.result(dtype, &dims, &reshape(&given, &dims)))
}

/// The batch is divided into a place in the block and an item, and the place goes beside height and width, one by one.
pub(super) fn to_space(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (&[_, c, h, w], &[n, _, _, _]) = (&site.dims("x")?[..], &dims[..]) else { return None };
    let [a, b] = block(site)?;
    let crops = site.ints("crops")?;
    let (&top, &left) = (crops.first()?, crops.get(2)?);
    let rows = n.checked_mul(c)?.checked_mul(h)?;
    let mut draft = Draft::default();
    let apart = [a.checked_mul(b)?, rows, w];
    let mut x = draft.reshape("arg_x", dtype, &apart);
    x = draft.transpose(&x, dtype, &apart, &[1, 2, 0]);
    let apart = [rows, w, a, b];
    x = draft.reshape(&x, dtype, &apart);
    x = draft.transpose(&x, dtype, &apart, &[0, 2, 1, 3]);
    let whole = [n, c, h.checked_mul(a)?, w.checked_mul(b)?];
    if whole[..] == dims[..] {
        return Some(draft.result(dtype, &dims, &reshape(&x, &dims)));
    }
    x = draft.reshape(&x, dtype, &whole);
    let begins = [0, 0, u64::try_from(top).ok()?, u64::try_from(left).ok()?];
    let part = draft.block(&x, dtype, &begins, &dims);
    Some(draft.result(dtype, &dims, &format!("identity(x = {part})")))
}

/// The way back.
pub(super) fn to_batch(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (&[n, c, height, width], &[_, _, h, w]) = (&site.dims("x")?[..], &dims[..]) else { return None };
    let [a, b] = block(site)?;
    let pads = site.ints("paddings")?;
    let mut draft = Draft::default();
    let mut x = "arg_x".to_string();
    if pads.iter().any(|&p| p != 0) {
        let whole = [n, c, h.checked_mul(a)?, w.checked_mul(b)?];
        let (ends, zero) = (ints(&[&[0; 4], &pads[..]].concat()), number(dtype, 0.0));
        let call =
            format!("pad(x = arg_x, pad = {ends}, mode = string(\"constant\"), constant_val = {zero})");
        x = draft.step(dtype, &whole, &call);
    } else if [height, width] != [h.checked_mul(a)?, w.checked_mul(b)?] {
        return None;
    }
    let rows = n.checked_mul(c)?.checked_mul(h)?;
    let apart = [rows, a, w, b];
    x = draft.reshape(&x, dtype, &apart);
    x = draft.transpose(&x, dtype, &apart, &[0, 2, 1, 3]);
    let apart = [rows, w, a.checked_mul(b)?];
    x = draft.reshape(&x, dtype, &apart);
    x = draft.transpose(&x, dtype, &apart, &[2, 0, 1]);
    Some(draft.result(dtype, &dims, &reshape(&x, &dims)))
}

fn block(site: &Site<'_>) -> Option<[u64; 2]> {
    let sizes = site.ints("block_shape")?;
    let [a, b] = sizes[..] else { return None };
    Some([u64::try_from(a).ok()?, u64::try_from(b).ok()?])
}

/// A few branches at a time, and what they make again.
pub(super) fn join(site: &Site<'_>) -> Option<Draft> {
    /// How many are joined at a time.
    const FEW: usize = 8;
    let (dtype, dims) = site.result()?;
    let is_stack = site.step.op.name == "stack";
    let axis = site.axis("axis", 0, dims.len())?;
    let sizes: Vec<u64> = if is_stack {
        vec![1; site.values("values").count()]
    } else {
        site.values("values").map(|v| v.ty.as_tensor()?.shape.get(axis)?.known()).collect::<Option<_>>()?
    };
    if sizes.len() <= FEW || (!is_stack && site.flag("interleave")?) {
        return None;
    }
    let mut draft = Draft::default();
    let mut parts = Vec::new();
    for (c, sizes) in sizes.chunks(FEW).enumerate() {
        let values: Vec<String> = (0..sizes.len()).map(|i| format!("arg_values_{}", c * FEW + i)).collect();
        let mut part = dims.clone();
        part[axis] = sizes.iter().sum();
        let call = match is_stack {
            true => format!("stack(values = ({}), axis = int32({axis}))", values.join(", ")),
            false => joined(&values, axis),
        };
        parts.push(draft.step(dtype, &part, &call));
    }
    Some(draft.result(dtype, &dims, &joined(&parts, axis)))
}
