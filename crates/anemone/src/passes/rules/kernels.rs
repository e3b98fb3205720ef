//! Convolutions that are too large, and what becomes one.

use super::{PARTS, floats, number, table};
use crate::passes::draft::{Draft, ints};
use crate::passes::site::Site;
use crate::types::Tensor;
use crate::verify::Content;

/// The length of the parts of a kernel, which every chip takes.
const PART: u64 = 8;

/// Numbers of dimensions as MIL has them.
fn signed(dims: &[u64]) -> Vec<i64> {
    dims.iter().map(|&d| d as i64).collect()
}

/// The arguments of the call but for these, as they are.
fn others(site: &Site<'_>, but: &[&str]) -> String {
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
    let all = |param| site.value(param).map_or(Some(vec![1; kernel.len()]), |_| site.ints(param));
    let (strides, dilations) = (all("strides")?, all("dilations")?);
    let pads = padding(site, &x, kernel, &strides, &dilations)?;
    let mut draft = Draft::default();
    let mut given = "arg_x".to_string();
    if pads.iter().any(|&n| n > 0) {
        for (d, ends) in x[2..].iter_mut().zip(pads.chunks_exact(2)) {
            *d = d.checked_add((ends[0] + ends[1]) as u64)?;
        }
        let ends = ints(&[vec![0; 4], pads].concat());
        let zero = number(dtype, 0.0);
        let call =
            format!("pad(x = arg_x, pad = {ends}, mode = string(\"constant\"), constant_val = {zero})");
        given = draft.step(dtype, &x, &call);
    }
    let part = |draft: &mut Draft, from: &str, whole: &[u64], begin: i64, size: u64| {
        let mut begins = vec![0; whole.len()];
        begins[axis + 2] = begin;
        let mut shape = whole.to_vec();
        shape[axis + 2] = size;
        let call =
            format!("slice_by_size(x = {from}, begin = {}, size = {})", ints(&begins), ints(&signed(&shape)));
        draft.step(dtype, &shape, &call)
    };
    let rest = others(site, &["x", "weight", "bias", "pad", "pad_type"]);
    let none = ints(&vec![0; 2 * kernel.len()]);
    let (stride, dilation) = (strides[axis], dilations[axis]);
    let mut sum: Option<String> = None;
    for begin in (0..length).step_by(PART as usize) {
        let size = PART.min(length - begin);
        let meets = (dims[axis + 2] as i64 - 1).checked_mul(stride)? + (size as i64 - 1) * dilation + 1;
        let x = part(&mut draft, &given, &x, begin as i64 * dilation, meets as u64);
        let weight = part(&mut draft, "arg_weight", &w, begin as i64, size);
        let bias = if begin == 0 && site.value("bias").is_some() { ", bias = arg_bias" } else { "" };
        let call = format!(
            "conv(x = {x}, weight = {weight}{bias}{rest}, pad_type = string(\"valid\"), pad = {none})"
        );
        let one = draft.step(dtype, &dims, &call);
        sum = Some(match sum {
            None => one,
            Some(sum) => draft.step(dtype, &dims, &format!("add(x = {sum}, y = {one})")),
        });
    }
    Some(draft.result(dtype, &dims, &format!("identity(x = {})", sum?)))
}

/// One item of the batch after the other.
pub(super) fn batch(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let count = *x.first()?;
    if !(2..=PARTS).contains(&count) || !matches!(site.value("weight")?.content, Content::Computed) {
        return None;
    }
    let rest = others(site, &["x"]);
    let (mut one, mut result) = (signed(&x), dims.clone());
    (one[0], *result.first_mut()?) = (1, 1);
    let mut draft = Draft::default();
    let mut parts = Vec::new();
    for i in 0..count as i64 {
        let mut begin = vec![0; x.len()];
        begin[0] = i;
        let shape: Vec<u64> = one.iter().map(|&d| d as u64).collect();
        let call = format!("slice_by_size(x = arg_x, begin = {}, size = {})", ints(&begin), ints(&one));
        let item = draft.step(dtype, &shape, &call);
        parts.push(draft.step(dtype, &result, &format!("conv(x = {item}{rest})")));
    }
    let parts = parts.join(", ");
    Some(draft.result(
        dtype,
        &dims,
        &format!("concat(values = ({parts}), axis = int32(0), interleave = bool(false))"),
    ))
}

/// A mean over a window is a convolution of each channel by itself.
pub(super) fn average(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, window) = (site.dims("x")?, site.ints("kernel_sizes")?);
    let pads = site.ints("pad").unwrap_or_default();
    let is_valid = match site.word_or("pad_type", "valid")? {
        "valid" => true,
        "custom" => pads.iter().all(|&n| n == 0),
        _ => false,
    };
    let counts_all = is_valid || !site.flag("exclude_padding_from_average")?;
    let sizes: Vec<usize> = window.iter().filter_map(|&k| usize::try_from(k).ok()).collect();
    let area = sizes.iter().try_fold(1usize, |a, &k| a.checked_mul(k))?;
    let channels = *x.get(1)?;
    if site.flag("ceil_mode")? || !counts_all || sizes.len() + 2 != x.len() || area == 0 {
        return None;
    }
    let elements = usize::try_from(channels).ok()?.checked_mul(area).filter(|&n| n <= 1 << 22)?;
    let shape = [vec![channels as usize, 1], sizes].concat();
    let mut draft = Draft::default();
    let weight = Tensor::from_f64s(dtype, &shape, &vec![1.0 / area as f64; elements]).ok()?;
    let weight = draft.constant(weight);
    let rest = others(site, &["x", "kernel_sizes", "ceil_mode", "exclude_padding_from_average"]);
    Some(draft.result(
        dtype,
        &dims,
        &format!("conv(x = arg_x, weight = {weight}, groups = int32({channels}){rest})"),
    ))
}

/// The weights divided by a power of two so that no sum of products with numbers of magnitude 1 is too large, and the result
/// multiplied by it.
pub(super) fn overflow(site: &Site<'_>) -> Option<Draft> {
    /// The largest sum that is wanted, well below where sums end.
    const SUM: f64 = 16384.0;
    let (dtype, dims) = floats(site)?;
    let (op, w) = (site.step.op.name, site.dims("weight")?);
    // A `linear` takes no weights that are computed.
    let given = site.constant("weight").filter(|w| w.len() <= 1 << 22)?;
    let weights = given.to_f64s();
    let per_sum = weights.len().checked_div(usize::try_from(*w.first()?).ok()?).filter(|&n| n > 0)?;
    let sums = weights.chunks(per_sum).map(|row| row.iter().map(|w| w.abs()).sum::<f64>());
    let largest = sums.fold(0.0, f64::max);
    if !(largest.is_finite() && largest > SUM) {
        return None;
    }
    let scale = 2f64.powf((largest / SUM).log2().ceil());
    let rest = others(site, &["weight", "bias"]);
    let mut draft = Draft::default();
    let scaled: Vec<f64> = weights.iter().map(|w| w / scale).collect();
    let small = draft.constant(Tensor::from_f64s(dtype, given.shape(), &scaled).ok()?);
    let sums = draft.step(dtype, &dims, &format!("{op}(weight = {small}{rest})"));
    let back = format!("mul(x = {sums}, y = {})", number(dtype, scale));
    if site.value("bias").is_none() {
        return Some(draft.result(dtype, &dims, &back));
    }
    let large = draft.step(dtype, &dims, &back);
    let mut bias = "arg_bias".to_string();
    if op == "conv" {
        let mut shape = vec![1; dims.len()];
        *shape.get_mut(1)? = *w.first()?;
        bias =
            draft.step(dtype, &shape, &format!("reshape(x = arg_bias, shape = {})", ints(&signed(&shape))));
    }
    Some(draft.result(dtype, &dims, &format!("add(x = {large}, y = {bias})")))
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
