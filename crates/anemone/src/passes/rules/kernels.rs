//! Convolutions that are too large, and what becomes one.

use super::{PARTS, TABLE, floats, number, table};
use crate::passes::draft::{Draft, concat, ints, reshape};
use crate::passes::site::Site;
use crate::types::{DType, Tensor};
use crate::verify::Content;

/// The length of the parts of a kernel, which every chip takes.
const PART: u64 = 8;

/// The arguments of the call but for these, as they are.
pub(super) fn others(site: &Site<'_>, but: &[&str]) -> String {
    let given = site.call.arguments.iter().map(|a| a.name.as_str()).filter(|p| !but.contains(p));
    given.map(|p| format!(", {p} = arg_{p}")).collect()
}

/// What a convolution or a pool adds before and behind each axis; `None` also if its sizes are not sensible ones.
pub(super) fn padding(
    site: &Site<'_>,
    x: &[u64],
    kernel: &[u64],
    strides: &[i64],
    dilations: &[i64],
) -> Option<Vec<i64>> {
    let sensible = |list: &[i64]| list.len() == kernel.len() && list.iter().all(|n| (1..1 << 20).contains(n));
    let sizes = kernel.iter().all(|k| (1..1 << 20).contains(k)) && x.len() == kernel.len() + 2;
    if !sizes || !sensible(strides) || !sensible(dilations) {
        return None;
    }
    let none = vec![0; 2 * kernel.len()];
    let pads = match site.word_or("pad_type", "valid")? {
        "valid" => none,
        "custom" => site.value("pad").map_or(Some(none), |_| site.ints("pad"))?,
        kind @ ("same" | "same_lower") => {
            let mut pads = Vec::new();
            for (((&n, &k), &s), &d) in x[2..].iter().zip(kernel).zip(strides).zip(dilations) {
                let n = i64::try_from(n).ok()?;
                let last = (n.checked_add(s - 1)? / s - 1) * s;
                let needed = (last - n + (k as i64 - 1) * d + 1).max(0);
                let (less, more) = (needed / 2, needed - needed / 2);
                pads.extend(if kind == "same" { [less, more] } else { [more, less] });
            }
            pads
        }
        _ => return None,
    };
    (pads.len() == 2 * kernel.len() && pads.iter().all(|n| (0..1 << 31).contains(n))).then_some(pads)
}

/// The sum of convolutions with parts of the kernel along its longest axis, each of the part of the input that it meets.
pub(super) fn kernel(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (mut x, w) = (site.dims("x")?, site.dims("weight")?);
    let is_constant = matches!(site.value("weight")?.content, Content::Constant(_));
    if !is_constant || x.len() != w.len() || dims.len() != w.len() || w.len() < 3 {
        return None;
    }
    let kernel = &w[2..];
    let (axis, &length) = kernel.iter().enumerate().max_by_key(|(_, k)| **k)?;
    if length <= PART || length > PARTS {
        return None;
    }
    let [strides, dilations] = steps(site, kernel)?;
    let pads = padding(site, &x, kernel, &strides, &dilations)?;
    let mut draft = Draft::default();
    let given = padded(&mut draft, dtype, &mut x, &pads)?;
    let rest = others(site, &["x", "weight", "bias", "pad", "pad_type"]);
    let none = ints(&vec![0; 2 * kernel.len()]);
    let (stride, dilation) = (strides[axis], dilations[axis]);
    let mut terms = Vec::new();
    for begin in (0..length).step_by(PART as usize) {
        let size = PART.min(length - begin);
        let meets = (dims[axis + 2] as i64 - 1).checked_mul(stride)? + (size as i64 - 1) * dilation + 1;
        let part = draft.slice(&given, dtype, &x, axis + 2, begin * dilation as u64, meets as u64);
        let weight = draft.slice("arg_weight", dtype, &w, axis + 2, begin, size);
        let bias = if begin == 0 && site.value("bias").is_some() { ", bias = arg_bias" } else { "" };
        let call = format!(
            "conv(x = {part}, weight = {weight}{bias}{rest}, pad_type = string(\"valid\"), pad = {none})"
        );
        terms.push(draft.step(dtype, &dims, &call));
    }
    let sum = draft.sum(dtype, &dims, terms)?;
    Some(draft.result(dtype, &dims, &format!("identity(x = {sum})")))
}

/// `x` with zeros around its last axes, whose dimensions grow.
fn padded(draft: &mut Draft, dtype: DType, x: &mut [u64], pads: &[i64]) -> Option<String> {
    if pads.iter().all(|&n| n == 0) {
        return Some("arg_x".to_string());
    }
    for (d, ends) in x[2..].iter_mut().zip(pads.chunks_exact(2)) {
        *d = d.checked_add((ends[0] + ends[1]) as u64)?;
    }
    let (ends, zero) = (ints(&[&[0; 4], pads].concat()), number(dtype, 0.0));
    let call = format!("pad(x = arg_x, pad = {ends}, mode = string(\"constant\"), constant_val = {zero})");
    Some(draft.step(dtype, x, &call))
}

/// The strides and dilations of a kernel, 1 where the call has none.
fn steps(site: &Site<'_>, kernel: &[u64]) -> Option<[Vec<i64>; 2]> {
    let all = |param| site.value(param).map_or(Some(vec![1; kernel.len()]), |_| site.ints(param));
    Some([all("strides")?, all("dilations")?])
}

/// The sum of the transposed convolutions with the parts of the kernel along its longest axis, each put where its part
/// stands; the padding is cut off at the end.
pub(super) fn transposed(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, w) = (site.dims("x")?, site.dims("weight")?);
    let is_constant = matches!(site.value("weight")?.content, Content::Constant(_));
    if !is_constant
        || x.len() != w.len()
        || dims.len() != w.len()
        || w.len() < 3
        || site.value("output_shape").is_some()
    {
        return None;
    }
    let kernel = &w[2..];
    let (axis, &length) = kernel.iter().enumerate().max_by_key(|(_, k)| **k)?;
    let pads = match site.word_or("pad_type", "valid")? {
        "valid" => vec![0; 2 * kernel.len()],
        "custom" => site.value("pad").map_or(Some(vec![0; 2 * kernel.len()]), |_| site.ints("pad"))?,
        _ => return None,
    };
    let [strides, dilations] = steps(site, kernel)?;
    let small = |list: &[i64]| list.len() == kernel.len() && list.iter().all(|n| (1..1 << 20).contains(n));
    let fits = pads.len() == 2 * kernel.len() && pads.iter().all(|n| (0..1 << 20).contains(n));
    if length <= PART || length > PARTS || !small(&strides) || !small(&dilations) || !fits {
        return None;
    }
    // What an axis has before the padding is cut off.
    let extent = |i: usize, k: u64| {
        (x[i + 2].checked_sub(1)?)
            .checked_mul(strides[i] as u64)?
            .checked_add((k - 1) * dilations[i] as u64 + 1)
    };
    let mut full = dims.clone();
    for (i, &k) in kernel.iter().enumerate() {
        full[i + 2] = extent(i, k)?;
    }
    let rest = others(site, &["x", "weight", "bias", "pad", "pad_type"]);
    let none = ints(&vec![0; 2 * kernel.len()]);
    let mut draft = Draft::default();
    let mut terms = Vec::new();
    for begin in (0..length).step_by(PART as usize) {
        let size = PART.min(length - begin);
        let weight = draft.slice("arg_weight", dtype, &w, axis + 2, begin, size);
        let mut part = full.clone();
        part[axis + 2] = extent(axis, size)?;
        let call = format!(
            "conv_transpose(x = arg_x, weight = {weight}{rest}, pad_type = string(\"valid\"), pad = {none})"
        );
        let one = draft.step(dtype, &part, &call);
        let mut ends = vec![0; 2 * full.len()];
        ends[2 * (axis + 2)] = begin as i64 * dilations[axis];
        ends[2 * (axis + 2) + 1] = (full[axis + 2] - part[axis + 2]) as i64 - ends[2 * (axis + 2)];
        let (ends, zero) = (ints(&ends), number(dtype, 0.0));
        let call =
            format!("pad(x = {one}, pad = {ends}, mode = string(\"constant\"), constant_val = {zero})");
        terms.push(draft.step(dtype, &full, &call));
    }
    let mut sum = draft.sum(dtype, &full, terms)?;
    if full != dims {
        let mut begins = vec![0; full.len()];
        for (i, ends) in pads.chunks_exact(2).enumerate() {
            begins[i + 2] = ends[0] as u64;
        }
        sum = draft.block(&sum, dtype, &begins, &dims);
    }
    Some(match bias_of(site, &mut draft, dtype, &dims) {
        Some(bias) => draft.result(dtype, &dims, &format!("add(x = {sum}, y = {bias})")),
        None => draft.result(dtype, &dims, &format!("identity(x = {sum})")),
    })
}

/// The bias of the call, shaped to be added to its result.
pub(super) fn bias_of(site: &Site<'_>, draft: &mut Draft, dtype: DType, dims: &[u64]) -> Option<String> {
    site.value("bias")?;
    let mut shape = vec![1; dims.len()];
    *shape.get_mut(1)? = *dims.get(1)?;
    Some(draft.reshape("arg_bias", dtype, &shape))
}

/// The sum over the places of the kernel: each is a matrix, and meets a part of the input.
pub(super) fn runtime_weight(site: &Site<'_>) -> Option<Draft> {
    /// The most places of a kernel that are written one by one.
    const PLACES: u64 = 64;
    let (dtype, dims) = floats(site)?;
    let (mut x, w) = (site.dims("x")?, site.dims("weight")?);
    let computed = matches!(site.value("weight")?.content, Content::Computed);
    let &[1, outputs, height, width] = &dims[..] else { return None };
    if !computed
        || x.len() != 4
        || w.len() != 4
        || site.int_or("groups", 1)? != 1
        || w[2].checked_mul(w[3])? > PLACES
    {
        return None;
    }
    let [strides, dilations] = steps(site, &w[2..])?;
    let pads = padding(site, &x, &w[2..], &strides, &dilations)?;
    let places = height.checked_mul(width)?;
    let mut draft = Draft::default();
    let given = padded(&mut draft, dtype, &mut x, &pads)?;
    let mut terms = Vec::new();
    for (i, j) in (0..w[2]).flat_map(|i| (0..w[3]).map(move |j| (i, j))) {
        let (top, left) = (i * dilations[0] as u64, j * dilations[1] as u64);
        let part = [1, x[1], height, width];
        let one = if strides.iter().all(|&s| s == 1) {
            if part[..] == x[..] {
                given.clone()
            } else {
                draft.block(&given, dtype, &[0, 0, top, left], &part)
            }
        } else {
            let end = |at: u64, n: u64, stride: i64| (at + (n - 1) * stride as u64 + 1) as i64;
            let begin = ints(&[0, 0, top as i64, left as i64]);
            let ends = ints(&[1, x[1] as i64, end(top, height, strides[0]), end(left, width, strides[1])]);
            let steps = ints(&[1, 1, strides[0], strides[1]]);
            draft.step(
                dtype,
                &part,
                &format!("slice_by_index(x = {given}, begin = {begin}, end = {ends}, stride = {steps})"),
            )
        };
        let flat = draft.reshape(&one, dtype, &[x[1], places]);
        let weight = match w[2..] {
            [1, 1] => "arg_weight".to_string(),
            _ => draft.block("arg_weight", dtype, &[0, 0, i, j], &[outputs, x[1], 1, 1]),
        };
        let matrix = draft.reshape(&weight, dtype, &[outputs, x[1]]);
        let product =
            format!("matmul(x = {matrix}, y = {flat}, transpose_x = bool(false), transpose_y = bool(false))");
        terms.push(draft.step(dtype, &[outputs, places], &product));
    }
    let mut sum = draft.sum(dtype, &[outputs, places], terms)?;
    if site.value("bias").is_some() {
        let column = draft.reshape("arg_bias", dtype, &[outputs, 1]);
        sum = draft.step(dtype, &[outputs, places], &format!("add(x = {sum}, y = {column})"));
    }
    Some(draft.result(dtype, &dims, &reshape(&sum, &dims)))
}

/// One item of the batch after the other.
pub(super) fn batch(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let count = *x.first()?;
    if !(2..=PARTS).contains(&count) || !matches!(site.value("weight")?.content, Content::Computed) {
        return None;
    }
    let (op, rest) = (site.step.op.name, others(site, &["x"]));
    let mut result = dims.clone();
    *result.first_mut()? = 1;
    let mut draft = Draft::default();
    let mut parts = Vec::new();
    for i in 0..count {
        let item = draft.slice("arg_x", dtype, &x, 0, i, 1);
        parts.push(draft.step(dtype, &result, &format!("{op}(x = {item}{rest})")));
    }
    Some(draft.result(dtype, &dims, &concat(&parts, 0)))
}

/// A mean over a window is a convolution of each channel by itself. Where padding does not count, what is near the edges is
/// made larger again.
pub(super) fn average(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, window) = (site.dims("x")?, site.ints("kernel_sizes")?);
    let sizes: Vec<u64> =
        window.iter().map(|&k| u64::try_from(k).ok().filter(|&k| k > 0)).collect::<Option<_>>()?;
    let area = sizes.iter().try_fold(1u64, |a, &k| a.checked_mul(k))?;
    let channels = *x.get(1)?;
    if site.flag("ceil_mode")? || sizes.len() + 2 != x.len() || channels.checked_mul(area)? > TABLE {
        return None;
    }
    let [strides, ones] = steps(site, &sizes)?;
    let pads = padding(site, &x, &sizes, &strides, &ones)?;
    let shape: Vec<usize> = [channels, 1].iter().chain(&sizes).map(|&d| d as usize).collect();
    let mut draft = Draft::default();
    let weight = vec![1.0 / area as f64; (channels * area) as usize];
    let weight = draft.constant(Tensor::from_f64s(dtype, &shape, &weight).ok()?);
    let rest = others(site, &["x", "kernel_sizes", "ceil_mode", "exclude_padding_from_average"]);
    let call = format!("conv(x = arg_x, weight = {weight}, groups = int32({channels}){rest})");
    if !site.flag("exclude_padding_from_average")? || pads.iter().all(|&n| n == 0) {
        return Some(draft.result(dtype, &dims, &call));
    }
    if dims.get(2..)?.iter().try_fold(1u64, |a, &d| a.checked_mul(d))? > TABLE {
        return None;
    }
    let mut shares = vec![1.0];
    for (i, &k) in sizes.iter().enumerate() {
        let inside = |o: u64| {
            let first = o as i64 * strides[i] - pads[2 * i];
            let count = (first + k as i64).min(x[i + 2] as i64) - first.max(0);
            k as f64 / count.max(1) as f64
        };
        shares = shares.iter().flat_map(|s| (0..dims[i + 2]).map(move |o| s * inside(o))).collect();
    }
    let shape: Vec<usize> = [1, 1].iter().chain(&dims[2..]).map(|&d| d as usize).collect();
    let shares = draft.constant(Tensor::from_f64s(dtype, &shape, &shares).ok()?);
    let mean = draft.step(dtype, &dims, &call);
    Some(draft.result(dtype, &dims, &format!("mul(x = {mean}, y = {shares})")))
}

/// The constant weights of an op that sums products, the parameter that they are bound to, and how many belong to one sum.
fn weights<'a>(site: &Site<'a>) -> Option<(&'static str, &'a Tensor, usize)> {
    let param = if site.step.op.name == "matmul" { "y" } else { "weight" };
    if param == "y" && !site.flag("transpose_y")? {
        return None;
    }
    // A `linear` takes no weights that are computed.
    let given = site.constant(param).filter(|w| w.len() as u64 <= TABLE)?;
    let per_sum = if param == "y" {
        given.shape().last().copied()?
    } else {
        given.len().checked_div(*given.shape().first()?)?
    };
    (per_sum > 0).then_some((param, given, per_sum))
}

/// The largest sum of magnitudes that belongs to one sum.
fn largest(weights: &[f64], per_sum: usize) -> f64 {
    weights.chunks(per_sum).map(|row| row.iter().map(|w| w.abs()).sum::<f64>()).fold(0.0, f64::max)
}

/// The weights divided by a power of two so that no sum of products with numbers of magnitude 1 is too large, and the result
/// multiplied by it.
pub(super) fn overflow(site: &Site<'_>) -> Option<Draft> {
    /// The largest sum that is wanted, well below where sums end.
    const SUM: f64 = 16384.0;
    let (_, given, per_sum) = weights(site)?;
    let largest = largest(&given.to_f64s(), per_sum);
    let scale = 2f64.powf((largest / SUM).log2().ceil());
    (largest.is_finite() && largest > SUM).then(|| scaled(site, scale))?
}

/// The weights multiplied by a power of two, so that their products with small numbers are large enough to be kept.
pub(super) fn vanish(site: &Site<'_>) -> Option<Draft> {
    /// The largest sum that is wanted: far from where sums end, since nobody knows all that is given.
    const SUM: f64 = 64.0;
    let (_, given, per_sum) = weights(site)?;
    let largest = largest(&given.to_f64s(), per_sum);
    // A power of two that the dtype has, as its inverse.
    let scale = 2f64.powf((largest / SUM).log2().ceil().max(-14.0));
    (largest > 0.0 && scale < 1.0).then(|| scaled(site, scale))?
}

/// The op with its weights divided by a number, and its result multiplied by it.
fn scaled(site: &Site<'_>, scale: f64) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let op = site.step.op.name;
    let (param, given, _) = weights(site)?;
    let rest = others(site, &[param, "bias"]);
    let mut draft = Draft::default();
    let numbers: Vec<f64> = given.to_f64s().iter().map(|w| w / scale).collect();
    let numbers = draft.constant(Tensor::from_f64s(dtype, given.shape(), &numbers).ok()?);
    let sums = draft.step(dtype, &dims, &format!("{op}({param} = {numbers}{rest})"));
    let back = format!("mul(x = {sums}, y = {})", number(dtype, scale));
    if site.value("bias").is_none() {
        return Some(draft.result(dtype, &dims, &back));
    }
    let sums = draft.step(dtype, &dims, &back);
    let bias = match op {
        "conv" => bias_of(site, &mut draft, dtype, &dims)?,
        _ => "arg_bias".to_string(),
    };
    Some(draft.result(dtype, &dims, &format!("add(x = {sums}, y = {bias})")))
}

/// The sum over neighbouring channels is a convolution with a band of ones. The numbers are made small before they are
/// squared, so that squares do not overflow; what then vanishes is nothing beside `k`.
pub(super) fn neighbours(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let size = site.int_or("size", 0).filter(|n| (1..1 << 20).contains(n))?;
    let (alpha, beta) = (site.float_or("alpha", 1e-4)?, site.float_or("beta", 0.75)?);
    let k = site.float_or("k", 1.0)?;
    let &channels = dims.get(1)?;
    if dims.len() < 3 || alpha < 0.0 || k < 0.25 {
        return None;
    }
    let (back, forward) = (size / 2, (size - 1) / 2);
    let band = table(dtype, channels, channels, |o, i| (o - back..=o + forward).contains(&i))?;
    let shape = [vec![channels as usize; 2], vec![1; dims.len() - 2]].concat();
    let band = Tensor::from_f64s(dtype, &shape, &band.to_f64s()).ok()?;
    let n = |value| number(dtype, value);
    let mut draft = Draft::default();
    let band = draft.constant(band);
    let mut step = |call: String| draft.step(dtype, &dims, &call);
    let small = step(format!("mul(x = arg_x, y = {})", n((alpha / size as f64).sqrt())));
    let squares = step(format!("square(x = {small})"));
    let sums = step(format!("conv(x = {squares}, weight = {band})"));
    let base = step(format!("add(x = {sums}, y = {})", n(k)));
    let scale = step(format!("pow(x = {base}, y = {})", n(-beta)));
    Some(draft.result(dtype, &dims, &format!("mul(x = arg_x, y = {scale})")))
}
