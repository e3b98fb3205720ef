//! What the strict profile refuses, written so that no report speaks against it.

use super::kernels::{bias_of, others};
use super::{PARTS, TABLE, floats, number};
use crate::chip::{Profile, Quantity};
use crate::passes::draft::{Draft, concat, shape};
use crate::passes::site::Site;

fn is_strict(site: &Site<'_>) -> bool {
    site.target.profile == Profile::Strict
}

pub(super) fn bias(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    if !is_strict(site) || site.value("bias").is_none() {
        return None;
    }
    let rest = others(site, &["x", "bias"]);
    let mut draft = Draft::default();
    let sums = draft.step(dtype, &dims, &format!("{}(x = arg_x{rest})", site.step.op.name));
    let bias = bias_of(site, &mut draft, dtype, &dims)?;
    Some(draft.result(dtype, &dims, &format!("add(x = {sums}, y = {bias})")))
}

/// What is padded is masked, so that its exponential is 0.
pub(super) fn power_of_two(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let axis = site.axis("axis", -1, dims.len())?;
    let mut long = dims.clone();
    long[axis] = dims[axis].checked_next_power_of_two()?;
    if !is_strict(site) || long[axis] == dims[axis] || long[axis] > TABLE {
        return None;
    }
    let mut draft = Draft::default();
    let mut ends = vec![0; 2 * dims.len()];
    ends[2 * axis + 1] = long[axis] - dims[axis];
    let pad = |x: &str| {
        format!(
            "pad(x = {x}, pad = {}, mode = string(\"constant\"), constant_val = {})",
            shape(&ends),
            number(dtype, 0.0)
        )
    };
    let padded = draft.step(dtype, &long, &pad("arg_x"));
    let mut mask = vec![1; dims.len()];
    mask[axis] = long[axis];
    let numbers: Vec<f64> = (0..long[axis]).map(|i| if i < dims[axis] { 0.0 } else { -30000.0 }).collect();
    let places: Vec<usize> = mask.iter().map(|&d| d as usize).collect();
    let mask = draft.constant(crate::types::Tensor::from_f64s(dtype, &places, &numbers).ok()?);
    let masked = draft.step(dtype, &long, &format!("add(x = {padded}, y = {mask})"));
    let parts = draft.step(dtype, &long, &format!("softmax(x = {masked}, axis = int32({axis}))"));
    let begin = vec![0; dims.len()];
    let slice = format!("slice_by_size(x = {parts}, begin = {}, size = {})", shape(&begin), shape(&dims));
    Some(draft.result(dtype, &dims, &slice))
}

pub(super) fn slice_of_input(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let stride = site.value("stride").map_or(Some(Vec::new()), |_| site.ints("stride"))?;
    // A dimension that is squeezed away would need a `reshape` behind it.
    if !(is_strict(site) || site.long_axis(&x).is_some())
        || dims.len() != x.len()
        || stride.iter().any(|&s| s != 1)
    {
        return None;
    }
    let open = site.value("begin_mask").map_or(Some(Vec::new()), |_| site.ints("begin_mask"))?;
    let begins = site.ints("begin")?;
    let place = |(i, &b): (usize, &i64)| {
        let b = if open.get(i) == Some(&1) { 0 } else { b };
        let b = if b < 0 { b.checked_add_unsigned(*x.get(i)?)? } else { b };
        u64::try_from(b).ok()
    };
    let begins: Vec<u64> = begins.iter().enumerate().map(place).collect::<Option<_>>()?;
    let slice = format!("slice_by_size(x = arg_x, begin = {}, size = {})", shape(&begins), shape(&dims));
    Some(Draft::default().result(dtype, &dims, &slice))
}

/// The difference of a number and itself is its product with 0.
pub(super) fn zero(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let is_zero = |param| site.constant(param).is_some_and(|t| t.rank() == 0 && t.to_f64s() == [0.0]);
    let other = ["x", "y"].into_iter().zip(["y", "x"]).find_map(|(a, b)| is_zero(a).then_some(b))?;
    if !is_strict(site) {
        return None;
    }
    Some(Draft::default().result(dtype, &dims, &format!("sub(x = arg_{other}, y = arg_{other})")))
}

pub(super) fn outputs(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (weight, most) =
        (site.dims("weight")?, site.target.chip.limit(Quantity::OutputChannels, site.target.profile).value);
    let &all = weight.first()?;
    if all <= most || all.div_ceil(most) > PARTS || site.int_or("groups", 1)? != 1 {
        return None;
    }
    let rest = others(site, &["weight", "bias"]);
    let mut draft = Draft::default();
    let mut parts = Vec::new();
    for begin in (0..all).step_by(usize::try_from(most).ok()?) {
        let size = most.min(all - begin);
        let of_weight = draft.slice("arg_weight", dtype, &weight, 0, begin, size);
        let bias = match site.value("bias") {
            Some(_) => format!(", bias = {}", draft.slice("arg_bias", dtype, &[all], 0, begin, size)),
            None => String::new(),
        };
        let mut part = dims.clone();
        *part.get_mut(1)? = size;
        parts.push(draft.step(dtype, &part, &format!("conv(weight = {of_weight}{bias}{rest})")));
    }
    Some(draft.result(dtype, &dims, &concat(&parts, 1)))
}

pub(super) fn repeat(site: &Site<'_>) -> Option<Draft> {
    /// The most copies of a tensor.
    const COPIES: u64 = 64;
    let (dtype, dims) = floats(site)?;
    let &batch = dims.first().filter(|_| is_strict(site) && dims.len() >= 4)?;
    let repeats = |p: &&str| {
        let own = site.dims(p).filter(|d| !d.is_empty() && site.constant(p).is_none());
        own.is_some_and(|d| d.len() < dims.len() || d[0] < batch)
    };
    let small = ["x", "y"].into_iter().find(repeats)?;
    let other = if small == "x" { "y" } else { "x" };
    let mut shape = vec![1; dims.len()];
    let own = site.dims(small)?;
    shape.splice(dims.len() - own.len().., own);
    if batch > COPIES || shape[0] != 1 {
        return None;
    }
    let mut draft = Draft::default();
    let one = draft.reshape(&format!("arg_{small}"), dtype, &shape);
    shape[0] = batch;
    let all = draft.step(dtype, &shape, &concat(&vec![one; batch as usize], 0));
    Some(draft.result(dtype, &dims, &format!("mul(x = arg_{other}, y = {all})")))
}

pub(super) fn square(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    Some(Draft::default().result(dtype, &dims, "mul(x = arg_x, y = arg_x)"))
}
