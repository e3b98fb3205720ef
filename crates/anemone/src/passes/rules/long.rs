//! Axes that are longer than the engine's: what is long is made in parts.
//!
//! Each op reads slices of what is long, and its results become one with `concat`; of these the engine takes neither. The
//! parts are alike wherever an axis is as long, so that `tidy::joins` has the ops read each other's parts: then nothing is
//! long but what the program itself takes or gives.

use super::kernels::{others, padding};
use super::{PARTS, TABLE, floats, number};
use crate::passes::draft::{Draft, concat, ints, reshape};
use crate::passes::site::Site;
use crate::types::{DType, Tensor};
use crate::verify::Content;

/// Where each part of an axis begins, and how long it is: as few as there can be of at most `most` elements, and alike where
/// a few more are. Each holds a multiple of `unit` elements.
fn parts(length: u64, unit: u64, most: u64) -> Option<Vec<(u64, u64)>> {
    let count = length.checked_div(unit)?;
    let least = count.div_ceil((most / unit).max(1));
    let alike = (least..=2 * least + 6).find(|&n| n > 0 && count % n == 0);
    let size = count.div_ceil(alike.unwrap_or(least)).checked_mul(unit)?;
    if size == 0 || length.div_ceil(size) > PARTS {
        return None;
    }
    let part = |i: u64| (i * size, size.min(length - i * size));
    Some((0..length.div_ceil(size)).map(part).collect()).filter(|p: &Vec<_>| p.len() > 1)
}

pub(super) fn long(site: &Site<'_>) -> Option<Draft> {
    if site.step.outputs.len() != 1 {
        return None;
    }
    match site.step.op.name {
        "reshape" | "expand_dims" | "squeeze" => reshaped(site),
        "linear" => product(site),
        "softmax" => softmax(site).or_else(|| cut(site)),
        op if op.starts_with("reduce_") => reduced(site).or_else(|| cut(site)),
        _ => cut(site),
    }
}

/// How a parameter is read to make a part of the result.
enum Reach {
    /// The same places of this axis.
    Along(usize),
    /// What windows meet, that are `size` long, stand `stride` apart, and begin `before` in front of the axis.
    Windows { axis: usize, size: u64, stride: u64, before: i64 },
}

/// Which parameters are divided with an axis of the result, and how; `None` where the result is not made of parts.
fn reach(site: &Site<'_>, axis: usize) -> Option<Vec<(&'static str, Reach)>> {
    let one = |size, stride, before| vec![("x", Reach::Windows { axis, size, stride, before })];
    Some(match site.step.op.name {
        "conv" | "max_pool" | "avg_pool" if axis > 1 => {
            let (windows, i) = (windows(site)?, axis - 2);
            one(*windows.sizes.get(i)?, *windows.strides.get(i)?, *windows.pads.get(2 * i)?)
        }
        "pad" if site.word_or("mode", "constant")? == "constant" => one(1, 1, *ends(site)?.get(2 * axis)?),
        "slice_by_size" => one(1, 1, site.ints("begin")?.get(axis)?.checked_neg()?),
        _ => site.along(axis)?.into_iter().map(|(param, at)| (param, Reach::Along(at))).collect(),
    })
}

/// The windows of a convolution or a pool along each inner axis.
struct Windows {
    /// From their first element to their last.
    sizes: Vec<u64>,
    strides: Vec<u64>,
    /// What is added before and behind each axis.
    pads: Vec<i64>,
}

fn windows(site: &Site<'_>) -> Option<Windows> {
    let x = site.dims("x")?;
    let is_conv = site.step.op.name == "conv";
    let kernel: Vec<u64> = match is_conv {
        true => site.dims("weight")?.get(2..)?.to_vec(),
        false => {
            site.ints("kernel_sizes")?.into_iter().map(|k| u64::try_from(k).ok()).collect::<Option<_>>()?
        }
    };
    if !is_conv && site.flag("ceil_mode")? {
        return None;
    }
    let all = |param| site.value(param).map_or(Some(vec![1; kernel.len()]), |_| site.ints(param));
    let (strides, dilations) =
        (all("strides")?, if is_conv { all("dilations")? } else { vec![1; kernel.len()] });
    let pads = padding(site, &x, &kernel, &strides, &dilations)?;
    let sizes = kernel.iter().zip(&dilations).map(|(&k, &d)| (k - 1).checked_mul(d as u64)?.checked_add(1));
    let strides = strides.iter().map(|&s| s as u64).collect();
    Some(Windows { sizes: sizes.collect::<Option<_>>()?, strides, pads })
}

/// What `pad` adds before and behind each axis, where that is nothing less than 0.
fn ends(site: &Site<'_>) -> Option<Vec<i64>> {
    let (rank, pad) = (site.dims("x")?.len(), site.ints("pad")?);
    let first = (2 * rank).checked_sub(pad.len())?;
    pad.iter().all(|&n| n >= 0).then(|| [vec![0; first], pad].concat())
}

/// The op on parts, where every element of its result is made of a part of what it reads.
fn cut(site: &Site<'_>) -> Option<Draft> {
    (0..site.result()?.1.len()).find_map(|axis| cut_along(site, axis))
}

/// The op on the parts of an axis; `None` where neither it nor what is read for it is too long.
fn cut_along(site: &Site<'_>, axis: usize) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let cuts = reach(site, axis)?;
    // As much of the result as the engine takes, and of which it takes what is read.
    let mut most = site.longest(axis, dims.len());
    let mut is_long = dims[axis] > most;
    for (param, reach) in &cuts {
        let own = site.dims(param)?;
        let (&Reach::Along(at) | &Reach::Windows { axis: at, .. }) = reach;
        let limit = site.longest(at, own.len());
        is_long |= *own.get(at)? > limit;
        most = most.min(match *reach {
            Reach::Along(_) => limit,
            Reach::Windows { size, stride, .. } => limit.checked_sub(size)? / stride + 1,
        });
    }
    if !is_long || cuts.is_empty() {
        return None;
    }
    let mut draft = Draft::default();
    let mut made = Vec::new();
    for (begin, size) in parts(dims[axis], 1, most)? {
        let mut part = dims.clone();
        part[axis] = size;
        made.push(one(site, &mut draft, (dtype, &part), (axis, begin), &cuts)?);
    }
    Some(draft.result(dtype, &dims, &concat(&made, axis)))
}

/// The part of the result that begins there.
fn one(
    site: &Site<'_>,
    draft: &mut Draft,
    (dtype, part): (DType, &[u64]),
    (axis, begin): (usize, u64),
    cuts: &[(&'static str, Reach)],
) -> Option<String> {
    let op = site.step.op.name;
    let size = part[axis];
    let (mut arguments, mut replaced) = (Vec::new(), Vec::new());
    for (param, reach) in cuts {
        replaced.push(*param);
        match *reach {
            Reach::Along(at) => {
                let slices = sliced(site, draft, param, at, begin, size)?;
                arguments.push(match param {
                    &"values" => format!("values = ({})", slices.join(", ")),
                    _ => format!("{param} = {}", slices.first()?),
                });
            }
            Reach::Windows { axis: at, size: window, stride, before } => {
                let own = site.dims(param)?;
                let first = i64::try_from(begin.checked_mul(stride)?).ok()? - before;
                let end = first + i64::try_from((size - 1).checked_mul(stride)? + window).ok()?;
                let length = i64::try_from(own[at]).ok()?;
                let (from, to) = (first.clamp(0, length), end.clamp(0, length));
                if from >= to {
                    return None;
                }
                let (from, meets) = (from as u64, (to - from) as u64);
                let around = [(from as i64) - first, end - to];
                if op == "slice_by_size" {
                    let mut begins: Vec<u64> = site
                        .ints("begin")?
                        .into_iter()
                        .map(|b| u64::try_from(b).ok())
                        .collect::<Option<_>>()?;
                    *begins.get_mut(at)? = from;
                    return Some(draft.block("arg_x", dtype, &begins, part));
                }
                let x = draft.slice("arg_x", site.dtype("x")?, &own, at, from, meets);
                arguments.push(format!("x = {x}"));
                let mut pads = if op == "pad" { ends(site)? } else { windows(site)?.pads };
                let i = if op == "pad" { at } else { at - 2 };
                pads.get_mut(2 * i..2 * i + 2)?.copy_from_slice(&around);
                arguments.push(format!("pad = {}", ints(&pads)));
                replaced.push("pad");
                if op != "pad" {
                    arguments.push("pad_type = string(\"custom\")".to_string());
                    replaced.push("pad_type");
                }
            }
        }
    }
    let rest = others(site, &replaced);
    Some(draft.step(dtype, part, &format!("{op}({}{rest})", arguments.join(", "))))
}

/// A part of each value that a parameter is bound to; of a constant, the constant part.
fn sliced(
    site: &Site<'_>,
    draft: &mut Draft,
    param: &'static str,
    axis: usize,
    begin: u64,
    size: u64,
) -> Option<Vec<String>> {
    let is_many = param == "values";
    let mut slices = Vec::new();
    for (i, value) in site.values(param).enumerate() {
        let ty = value.ty.as_tensor()?;
        let own: Vec<u64> = ty.shape.iter().map(|d| d.known()).collect::<Option<_>>()?;
        let constant = match &value.content {
            Content::Constant(datum) => datum.as_tensor().filter(|t| t.len() as u64 <= TABLE),
            _ => None,
        };
        let name = if is_many { format!("arg_{param}_{i}") } else { format!("arg_{param}") };
        slices.push(match constant {
            Some(whole) => draft.constant(part_of(whole, axis, begin as usize, size as usize)?),
            None => draft.slice(&name, ty.dtype, &own, axis, begin, size),
        });
    }
    Some(slices)
}

/// Some places of an axis of a constant.
fn part_of(whole: &Tensor, axis: usize, begin: usize, size: usize) -> Option<Tensor> {
    let mut shape = whole.shape().to_vec();
    let length = std::mem::replace(shape.get_mut(axis)?, size);
    let row = shape[axis + 1..].iter().product::<usize>();
    let before = shape[..axis].iter().product::<usize>();
    whole
        .pick(&shape, (0..before).flat_map(|b| (b * length + begin) * row..(b * length + begin + size) * row))
        .ok()
}

/// What `linear` computes, as a product whose sums or columns another rule divides.
fn product(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, weight) = (site.dims("x")?, site.dims("weight")?);
    let is_long = [&x, &dims].iter().any(|d| site.long_axis(d).is_some());
    if !is_long || x.len() < 2 {
        return None;
    }
    let call = "matmul(x = arg_x, y = arg_weight, transpose_x = bool(false), transpose_y = bool(true))";
    let mut draft = Draft::default();
    if site.value("bias").is_none() {
        return Some(draft.result(dtype, &dims, call));
    }
    let sums = draft.step(dtype, &dims, call);
    let bias = draft.reshape("arg_bias", dtype, &[1, *weight.first()?]);
    Some(draft.result(dtype, &dims, &format!("add(x = {sums}, y = {bias})")))
}

/// A reduction along a long axis: of its parts, and of what comes of them.
fn reduced(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let op = site.step.op.name;
    let axis = site.long_axis(&x)?;
    let joint = match op {
        "reduce_sum" | "reduce_sum_square" | "reduce_l1_norm" | "reduce_mean" => "add",
        "reduce_max" => "maximum",
        "reduce_min" => "minimum",
        _ => return None,
    };
    if !site.axes("axes", x.len())?.contains(&axis) {
        return None;
    }
    let rest = others(site, &["x"]);
    let mut draft = Draft::default();
    let mut terms = Vec::new();
    for (begin, size) in parts(x[axis], 1, site.longest(axis, x.len()))? {
        let part = draft.slice("arg_x", dtype, &x, axis, begin, size);
        let term = draft.step(dtype, &dims, &format!("{op}(x = {part}{rest})"));
        terms.push(match op {
            "reduce_mean" => {
                let share = number(dtype, size as f64 / x[axis] as f64);
                draft.step(dtype, &dims, &format!("mul(x = {term}, y = {share})"))
            }
            _ => term,
        });
    }
    let whole = joined(&mut draft, dtype, &dims, joint, terms)?;
    Some(draft.result(dtype, &dims, &format!("identity(x = {whole})")))
}

/// What an op of two makes of several, one after the other.
fn joined(draft: &mut Draft, dtype: DType, dims: &[u64], op: &str, terms: Vec<String>) -> Option<String> {
    terms.into_iter().reduce(|a, b| draft.step(dtype, dims, &format!("{op}(x = {a}, y = {b})")))
}

/// Along a long axis: powers of the distance from the largest of all parts, through the sum over all of them.
fn softmax(site: &Site<'_>) -> Option<Draft> {
    /// The most powers of at most 1 whose sum a half holds.
    const MOST: u64 = 1 << 15;
    let (dtype, dims) = floats(site)?;
    let axis = site.axis("axis", -1, dims.len())?;
    let most = site.longest(axis, dims.len());
    if dims[axis] <= most || dims[axis] > MOST {
        return None;
    }
    let mut one = dims.clone();
    one[axis] = 1;
    let along = format!("axes = tensor<int32, [1]>([{axis}]), keep_dims = bool(true)");
    let mut draft = Draft::default();
    let mut cuts = Vec::new();
    for (begin, size) in parts(dims[axis], 1, most)? {
        let mut part = dims.clone();
        part[axis] = size;
        cuts.push((draft.slice("arg_x", dtype, &dims, axis, begin, size), part));
    }
    let tops = cuts.iter().map(|(x, _)| draft.step(dtype, &one, &format!("reduce_max(x = {x}, {along})")));
    let tops = tops.collect();
    let top = joined(&mut draft, dtype, &one, "maximum", tops)?;
    let mut powers = Vec::new();
    for (x, part) in &cuts {
        let below = draft.step(dtype, part, &format!("sub(x = {x}, y = {top})"));
        powers.push(draft.step(dtype, part, &format!("exp(x = {below})")));
    }
    let sums = powers.iter().map(|p| draft.step(dtype, &one, &format!("reduce_sum(x = {p}, {along})")));
    let sums = sums.collect();
    let sum = draft.sum(dtype, &one, sums)?;
    let shares = powers.iter().zip(&cuts);
    let shares: Vec<String> = shares
        .map(|(p, (_, part))| draft.step(dtype, part, &format!("real_div(x = {p}, y = {sum})")))
        .collect();
    Some(draft.result(dtype, &dims, &concat(&shares, axis)))
}

/// The same elements in another shape: those of some rows before, and of some rows behind.
fn reshaped(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let x = site.dims("x")?;
    // The axes that become others, from where as many elements stand before them on both sides to where as many do again.
    let is_long =
        |dims: &[u64], axes: &std::ops::Range<usize>| site.long_axes(dims).any(|a| axes.contains(&a));
    let (from, to) = groups(&x, &dims)?.into_iter().find(|(f, t)| is_long(&x, f) || is_long(&dims, t))?;
    // Rows are along the first of these axes; how many elements has one of them?
    let first = |dims: &[u64], axes: std::ops::Range<usize>| {
        let at = axes.clone().find(|&a| dims[a] != 1)?;
        let row = dims[at + 1..axes.end].iter().try_fold(1u64, |n, &d| n.checked_mul(d))?;
        Some((at, row))
    };
    let ((from, row), (to, its_row)) = (first(&x, from)?, first(&dims, to)?);
    let unit = (row / gcd(row, its_row)).checked_mul(its_row)?;
    let most = site
        .longest(from, x.len())
        .saturating_mul(row)
        .min(site.longest(to, dims.len()).saturating_mul(its_row));
    let mut draft = Draft::default();
    let mut made = Vec::new();
    for (begin, size) in parts(x[from].checked_mul(row)?, unit, most)? {
        let part = draft.slice("arg_x", dtype, &x, from, begin / row, size / row);
        let mut its = dims.clone();
        its[to] = size / its_row;
        made.push(draft.step(dtype, &its, &reshape(&part, &its)));
    }
    Some(draft.result(dtype, &dims, &concat(&made, to)))
}

type Axes = std::ops::Range<usize>;

/// The axes of two shapes of as many elements, in groups that hold as many on either side.
fn groups(from: &[u64], to: &[u64]) -> Option<Vec<(Axes, Axes)>> {
    if from.contains(&0) || to.contains(&0) {
        return None;
    }
    let mut groups = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < from.len() && j < to.len() {
        let (begin, its) = (i, j);
        let (mut n, mut m) = (from[i], to[j]);
        (i, j) = (i + 1, j + 1);
        while n != m {
            if n < m {
                n = n.checked_mul(*from.get(i)?)?;
                i += 1;
            } else {
                m = m.checked_mul(*to.get(j)?)?;
                j += 1;
            }
        }
        groups.push((begin..i, its..j));
    }
    Some(groups)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
