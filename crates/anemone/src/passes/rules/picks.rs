//! Ops that choose: where what is chosen is constant, it is sliced out.

use super::{PARTS, TABLE, floats, table};
use crate::passes::draft::{Draft, concat, reshape};
use crate::passes::site::Site;
use crate::types::DType;

/// Runs of numbers that follow each other: where each begins, and how long it is.
fn runs(places: &[u64]) -> Vec<(u64, u64)> {
    places.chunk_by(|a, b| a + 1 == *b).map(|run| (run[0], run.len() as u64)).collect()
}

/// The product of dimensions.
fn product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |a, &d| a.checked_mul(d))
}

/// Constant indices, counted from the front, of an axis of this length.
fn places(site: &Site<'_>, param: &str, length: u64) -> Option<Vec<u64>> {
    let from_front =
        |i: i64| u64::try_from(if i < 0 { i + length as i64 } else { i }).ok().filter(|&i| i < length);
    site.ints(param)?.into_iter().map(from_front).collect()
}

/// The places of the middle one of three axes: slices, or the product with a matrix of ones where there are too many.
fn picked(draft: &mut Draft, x: &str, dtype: DType, dims: [u64; 3], places: &[u64]) -> Option<String> {
    let result = [dims[0], places.len() as u64, dims[2]];
    let runs = runs(places);
    if runs.len() as u64 > PARTS {
        let ones = table(dtype, result[1], dims[1], |r, c| places[r as usize] == c as u64)?;
        let ones = draft.constant(ones);
        let call =
            format!("matmul(x = {ones}, y = {x}, transpose_x = bool(false), transpose_y = bool(false))");
        return dtype.is_float().then(|| draft.step(dtype, &result, &call));
    }
    let mut parts: Vec<String> =
        runs.iter().map(|&(begin, size)| draft.slice(x, dtype, &dims, 1, begin, size)).collect();
    if parts.len() == 1 {
        return parts.pop();
    }
    (!parts.is_empty()).then(|| draft.step(dtype, &result, &concat(&parts, 1)))
}

/// What is before an axis, the axis, and what is behind it.
fn around(dims: &[u64], axis: usize) -> Option<[u64; 3]> {
    Some([product(&dims[..axis])?, dims[axis], product(&dims[axis + 1..])?])
}

pub(super) fn gather(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let x = site.dims("x")?;
    let axis = site.axis("axis", 0, x.len())?;
    if site.int_or("batch_dims", 0)? != 0 {
        return None;
    }
    let flat = around(&x, axis)?;
    let places = places(site, "indices", x[axis])?;
    let mut draft = Draft::default();
    let rows = draft.reshape("arg_x", dtype, &flat);
    let found = picked(&mut draft, &rows, dtype, flat, &places)?;
    Some(draft.result(dtype, &dims, &reshape(&found, &dims)))
}

/// Each index is a place of the first axes, which are made one.
pub(super) fn gather_nd(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let (x, indices) = (site.dims("x")?, site.dims("indices")?);
    let depth = usize::try_from(*indices.last()?).ok().filter(|&k| (1..=x.len()).contains(&k))?;
    if site.int_or("batch_dims", 0)? != 0 {
        return None;
    }
    let given = site.ints("indices")?;
    let place = |index: &[i64]| {
        index.iter().zip(&x).try_fold(0u64, |at, (&i, &d)| {
            let i = u64::try_from(if i < 0 { i + d as i64 } else { i }).ok().filter(|&i| i < d)?;
            at.checked_mul(d)?.checked_add(i)
        })
    };
    let places: Vec<u64> = given.chunks(depth).map(place).collect::<Option<_>>()?;
    let flat = [1, product(&x[..depth])?, product(&x[depth..])?];
    let mut draft = Draft::default();
    let rows = draft.reshape("arg_x", dtype, &flat);
    let found = picked(&mut draft, &rows, dtype, flat, &places)?;
    Some(draft.result(dtype, &dims, &reshape(&found, &dims)))
}

/// Indices that are the same for all other axes are those of a `gather`.
pub(super) fn gather_along(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let (x, shape) = (site.dims("x")?, site.dims("indices")?);
    let axis = site.axis("axis", 0, x.len())?;
    let places = places(site, "indices", x[axis])?;
    let [_, count, behind] = around(&shape, axis)?;
    let (count, behind) = (usize::try_from(count).ok()?, usize::try_from(behind).ok()?);
    if count == 0 || behind == 0 || places.len() > TABLE as usize {
        return None;
    }
    let one: Vec<u64> = (0..count).map(|i| places.get(i * behind).copied()).collect::<Option<_>>()?;
    let same = places.iter().enumerate().all(|(i, &p)| p == one[i / behind % count]);
    let flat = around(&x, axis).filter(|_| same)?;
    let mut draft = Draft::default();
    let rows = draft.reshape("arg_x", dtype, &flat);
    let found = picked(&mut draft, &rows, dtype, flat, &one)?;
    Some(draft.result(dtype, &dims, &reshape(&found, &dims)))
}

/// What was there, with rows of the new in their places: both stand behind each other, and rows are chosen of that.
pub(super) fn scatter(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let updates = site.dims("updates")?;
    let axis = site.axis("axis", 0, dims.len())?;
    let places = places(site, "indices", dims[axis])?;
    let mut seen = places.clone();
    seen.sort_unstable();
    seen.dedup();
    if site.dims("indices")?.len() != 1 || seen.len() != places.len() || updates.len() != dims.len() {
        return None;
    }
    let flat = around(&dims, axis)?;
    let new = [flat[0], places.len() as u64, flat[2]];
    let mut draft = Draft::default();
    let data = draft.reshape("arg_data", dtype, &flat);
    let mut rows = draft.reshape("arg_updates", dtype, &new);
    let op = match site.word_or("mode", "add")? {
        "update" => None,
        "add" => Some("add"),
        "sub" => Some("sub"),
        "mul" => Some("mul"),
        "div" => Some("real_div"),
        "max" => Some("maximum"),
        "min" => Some("minimum"),
        _ => return None,
    };
    if let Some(op) = op {
        let old = picked(&mut draft, &data, dtype, flat, &places)?;
        rows = draft.step(dtype, &new, &format!("{op}(x = {old}, y = {rows})"));
    }
    let both = [flat[0], flat[1].checked_add(new[1])?, flat[2]];
    let all = draft.step(dtype, &both, &concat(&[data, rows], 1));
    let from = |p: u64| places.iter().position(|&q| q == p).map_or(p, |i| flat[1] + i as u64);
    if flat[1] > TABLE {
        return None;
    }
    let chosen: Vec<u64> = (0..flat[1]).map(from).collect();
    let found = picked(&mut draft, &all, dtype, both, &chosen)?;
    Some(draft.result(dtype, &dims, &reshape(&found, &dims)))
}

/// The part that is new between those that stay, axis by axis from the last one on.
pub(super) fn update(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let update = site.dims("update")?;
    let set = |param| site.value(param).map_or(Some(Vec::new()), |_| site.ints(param));
    let (begin, open, squeezed) = (site.ints("begin")?, set("begin_mask")?, set("squeeze_mask")?);
    let ones = set("stride")?.iter().all(|&s| s == 1);
    if update.len() != dims.len() || begin.len() != dims.len() || !ones || squeezed.iter().any(|&m| m != 0) {
        return None;
    }
    let first = |axis: usize| {
        let (b, d) = (begin[axis], dims[axis] as i64);
        let b = if open.get(axis) == Some(&1) {
            0
        } else if b < 0 {
            b + d
        } else {
            b
        };
        u64::try_from(b).ok().filter(|b| b + update[axis] <= dims[axis])
    };
    let first: Vec<u64> = (0..dims.len()).map(first).collect::<Option<_>>()?;
    let mut draft = Draft::default();
    let mut middle = "arg_update".to_string();
    for axis in (0..dims.len()).rev() {
        // As long as the new along the axes before, and all of it along those behind.
        let mut part: Vec<u64> = update[..axis].iter().chain(&dims[axis..]).copied().collect();
        let mut at: Vec<u64> = first[..axis].to_vec();
        at.resize(dims.len(), 0);
        let end = first[axis] + update[axis];
        let mut parts = Vec::new();
        for (begin, size) in [(0, first[axis]), (end, dims[axis] - end)] {
            if begin == end {
                parts.push(middle.clone());
            }
            if size > 0 {
                (at[axis], part[axis]) = (begin, size);
                parts.push(draft.block("arg_x", dtype, &at, &part));
            }
        }
        if parts.len() > 1 {
            part[axis] = dims[axis];
            middle = draft.step(dtype, &part, &concat(&parts, axis));
        }
    }
    Some(draft.result(dtype, &dims, &format!("identity(x = {middle})")))
}

/// Of each item of the batch the beginning is reversed, and the rest stays.
pub(super) fn reverse_sequence(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let (along, batch) = (site.axis("seq_axis", 0, dims.len())?, site.axis("batch_axis", 0, dims.len())?);
    let lengths = site.ints("lengths")?;
    if lengths.len() as u64 != dims[batch] || dims[batch] > PARTS || along == batch {
        return None;
    }
    let mut draft = Draft::default();
    let mut one = dims.clone();
    one[batch] = 1;
    let mut items = Vec::new();
    for (i, &length) in lengths.iter().enumerate() {
        let length = u64::try_from(length).ok().filter(|&n| n <= dims[along])?;
        let item = draft.slice("arg_x", dtype, &dims, batch, i as u64, 1);
        if length < 2 {
            items.push(item);
            continue;
        }
        let mut start = one.clone();
        start[along] = length;
        let beginning = draft.slice(&item, dtype, &one, along, 0, length);
        let call = format!("reverse(x = {beginning}, axes = tensor<int32, [1]>([{along}]))");
        let mut turned = draft.step(dtype, &start, &call);
        if length < dims[along] {
            let rest = draft.slice(&item, dtype, &one, along, length, dims[along] - length);
            turned = draft.step(dtype, &one, &concat(&[turned, rest], along));
        }
        items.push(turned);
    }
    Some(match &items[..] {
        [item] => draft.result(dtype, &dims, &format!("identity(x = {item})")),
        _ => draft.result(dtype, &dims, &concat(&items, batch)),
    })
}

/// The numbers of a shape that is fixed.
pub(super) fn shape(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = site.result()?;
    let numbers: Vec<f64> = site.dims("x")?.iter().map(|&d| d as f64).collect();
    let mut draft = Draft::default();
    let numbers = draft.constant(crate::types::Tensor::from_f64s(dtype, &[numbers.len()], &numbers).ok()?);
    Some(draft.result(dtype, &dims, &format!("identity(x = {numbers})")))
}
