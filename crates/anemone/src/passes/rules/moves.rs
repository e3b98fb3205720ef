//! Moves: what goes elsewhere and stays what it is.

use super::{PARTS, floats, number, table};
use crate::passes::draft::{Draft, ints};
use crate::passes::site::Site;
use crate::types::{DType, Tensor};

pub(super) fn concat(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let axis = site.axis("axis", 0, dims.len())?;
    if site.flag("interleave")? {
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
        let values = vec![x.as_str(); n as usize].join(", ");
        let call = format!("concat(values = ({values}), axis = int32({axis}), interleave = bool(false))");
        x = draft.step(dtype, &now, &call);
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
    let mut one = x.clone();
    one[axis] = size as u64;
    let sizes: Vec<i64> = one.iter().map(|&d| d as i64).collect();
    let parts: Vec<String> = (0..count as i64)
        .map(|i| {
            let mut begin = vec![0; x.len()];
            begin[axis] = i * stride;
            let call = format!("slice_by_size(x = arg_x, begin = {}, size = {})", ints(&begin), ints(&sizes));
            draft.step(dtype, &one, &call)
        })
        .collect();
    Some(draft.result(dtype, &dims, &format!("stack(values = ({}), axis = int32({axis}))", parts.join(", "))))
}

pub(super) fn like(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    Some(Draft::default().result(dtype, &dims, &format!("reshape(x = arg_x, shape = {})", ints(&shape))))
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
            let values = (elements <= 1 << 22).then(|| vec![value; elements as usize])?;
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
            let call = format!(
                "concat(values = ({}), axis = int32({axis}), interleave = bool(false))",
                parts.join(", ")
            );
            x = draft.step(dtype, &now, &call);
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

/// Batch and channels are one axis here, so that five dimensions are enough.
pub(super) fn shuffle(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let is_up = site.step.op.name == "pixel_shuffle";
    let factor = site.ints(if is_up { "upscale_factor" } else { "downscale_factor" })?;
    let factor = u64::try_from(*factor.first()?).ok().filter(|&r| r > 1)?;
    // The larger picture, and its channels.
    let (large, small) = if is_up { (&dims, &x) } else { (&x, &dims) };
    let (&[n, c, ..], &[_, _, h, w]) = (&large[..], &small[..]) else { return None };
    let n = n.checked_mul(c)?;
    let (apart, order) = if is_up {
        ([n, factor, factor, h, w], [0, 3, 1, 4, 2])
    } else {
        ([n, h, factor, w, factor], [0, 2, 4, 1, 3])
    };
    let turned = order.map(|i| apart[i as usize]);
    let as_shape = |dims: &[u64]| ints(&dims.iter().map(|&d| d as i64).collect::<Vec<_>>());
    let mut draft = Draft::default();
    let split = draft.step(dtype, &apart, &format!("reshape(x = arg_x, shape = {})", as_shape(&apart)));
    let moved = draft.step(dtype, &turned, &format!("transpose(x = {split}, perm = {})", ints(&order)));
    Some(draft.result(dtype, &dims, &format!("reshape(x = {moved}, shape = {})", as_shape(&dims))))
}
