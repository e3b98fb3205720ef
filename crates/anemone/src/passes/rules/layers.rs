//! Sums, products and windows.

use super::kernels::{others, padding};
use super::{PARTS, floats, number, table};
use crate::chip::Quantity;
use crate::passes::draft::{Draft, ints, reshape, transpose};
use crate::passes::site::Site;
use crate::types::DType;

/// The count is divided between what comes before the sum and what comes after: so neither does the sum overflow, nor do
/// its terms vanish.
pub(super) fn mean(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let axes = site.axes("axes", x.len())?;
    let count = axes.iter().map(|&a| x[a] as f64).product::<f64>();
    let before = 2f64.powf((count.log2() / 2.0).round());
    let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
    let mut draft = Draft::default();
    let scaled = draft.step(dtype, &x, &format!("mul(x = arg_x, y = {})", number(dtype, 1.0 / before)));
    let sum = draft.step(
        dtype,
        &dims,
        &format!(
            "reduce_sum(x = {scaled}, axes = {}, keep_dims = bool({}))",
            ints(&axes),
            site.flag("keep_dims")?
        ),
    );
    Some(draft.result(dtype, &dims, &format!("mul(x = {sum}, y = {})", number(dtype, before / count))))
}

pub(super) fn prod(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let axes = site.axes("axes", x.len())?;
    if axes.len() > 1 {
        return one_by_one(site, "reduce_prod", &axes);
    }
    let &axis = axes.first()?;
    let n = x[axis];
    if !(2..=PARTS).contains(&n) {
        return None;
    }
    let mut one = x.clone();
    one[axis] = 1;
    let mut draft = Draft::default();
    let call = format!("split(x = arg_x, num_splits = int32({n}), axis = int32({axis}))");
    let mut parts = draft.steps(n as usize, dtype, &one, &call);
    while parts.len() > 1 {
        parts = parts
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => draft.step(dtype, &one, &format!("mul(x = {a}, y = {b})")),
                _ => pair[0].clone(),
            })
            .collect();
    }
    let product = parts.pop()?;
    match site.flag("keep_dims")? {
        true => Some(draft.result(dtype, &dims, &format!("identity(x = {product})"))),
        false if dims.is_empty() => None,
        false => Some(draft.result(dtype, &dims, &reshape(&product, &dims))),
    }
}

/// A reduction over one axis after the other.
fn one_by_one(site: &Site<'_>, op: &str, axes: &[usize]) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut now = site.dims("x")?;
    let mut draft = Draft::default();
    let mut x = "arg_x".to_string();
    for &axis in axes {
        now[axis] = 1;
        let call = format!("{op}(x = {x}, axes = tensor<int32, [1]>([{axis}]), keep_dims = bool(true))");
        x = draft.step(dtype, &now, &call);
    }
    (!dims.is_empty()).then(|| draft.result(dtype, &dims, &reshape(&x, &dims)))
}

pub(super) fn cumsum(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let axis = site.axis("axis", 0, dims.len())?;
    let (n, last) = (dims[axis], dims.len() - 1);
    if n > 1024 {
        return None;
    }
    let (exclusive, reverse) = (site.flag("exclusive")?, site.flag("reverse")?);
    let before = |i: i64, o: i64| if reverse { i - o } else { o - i };
    let triangle = table(dtype, n, n, |i, o| if exclusive { before(i, o) > 0 } else { before(i, o) >= 0 })?;
    let mut draft = Draft::default();
    let triangle = draft.constant(triangle);
    if dims.len() == 1 {
        let row = draft.reshape("arg_x", dtype, &[1, n]);
        let sums = draft.step(dtype, &[1, n], &format!("matmul(x = {row}, y = {triangle})"));
        return Some(draft.result(dtype, &dims, &reshape(&sums, &dims)));
    }
    if axis == last {
        return Some(draft.result(dtype, &dims, &format!("matmul(x = arg_x, y = {triangle})")));
    }
    let mut order: Vec<usize> = (0..dims.len()).collect();
    order.swap(axis, last);
    let mut turned = dims.clone();
    turned.swap(axis, last);
    let there = draft.transpose("arg_x", dtype, &dims, &order);
    let sums = draft.step(dtype, &turned, &format!("matmul(x = {there}, y = {triangle})"));
    Some(draft.result(dtype, &dims, &transpose(&sums, &order)))
}

/// Whether a pool adds nothing around its input.
fn is_valid(site: &Site<'_>) -> Option<bool> {
    let pads = site.ints("pad").unwrap_or_default();
    let kind = site.word_or("pad_type", "valid")?;
    Some(kind == "valid" || kind == "custom" && pads.iter().all(|&n| n == 0))
}

pub(super) fn global_pool(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, window) = (site.dims("x")?, site.ints("kernel_sizes")?);
    let inner = x.get(2..)?;
    if !is_valid(site)?
        || !inner.iter().zip(&window).all(|(&d, &k)| d as i64 == k)
        || inner.len() != window.len()
    {
        return None;
    }
    let axes: Vec<i64> = (2..x.len() as i64).collect();
    let call = format!("reduce_mean(x = arg_x, axes = {}, keep_dims = bool(true))", ints(&axes));
    Some(Draft::default().result(dtype, &dims, &call))
}

/// The largest of `k` is the largest of `k - p + 1`, each of which is the largest of `p`. Of the padding the first window meets
/// as much as it can meet together with numbers.
pub(super) fn max_pool(site: &Site<'_>) -> Option<Draft> {
    /// The first window, which every chip takes.
    const FIRST: i64 = 8;
    let (dtype, dims) = floats(site)?;
    let (mut x, window) = (site.dims("x")?, site.ints("kernel_sizes")?);
    let sizes: Vec<u64> = window.iter().filter_map(|&k| u64::try_from(k).ok()).collect();
    if sizes.len() + 2 != x.len() || window.iter().all(|&k| k <= FIRST) || site.flag("ceil_mode")? {
        return None;
    }
    let ones = vec![1; window.len()];
    let strides = site.value("strides").map_or(Some(ones.clone()), |_| site.ints("strides"))?;
    let pads = padding(site, &x, &sizes, &strides, &ones)?;
    let first: Vec<i64> = window.iter().map(|&k| k.min(FIRST)).collect();
    let second: Vec<i64> = window.iter().zip(&first).map(|(k, p)| k - p + 1).collect();
    let met: Vec<i64> =
        pads.iter().enumerate().map(|(i, &n)| first.get(i / 2).map_or(0, |p| n.min(p - 1))).collect();
    let rest: Vec<i64> = pads.iter().zip(&met).map(|(n, m)| n - m).collect();
    for ((d, p), ends) in x[2..].iter_mut().zip(&first).zip(met.chunks_exact(2)) {
        *d = d.checked_add_signed(ends[0] + ends[1] + 1 - p)?;
    }
    let of = |x: &str, window: &[i64], strides: &[i64], pads: &[i64]| {
        let [window, strides, pads] = [window, strides, pads].map(ints);
        format!(
            "max_pool(x = {x}, kernel_sizes = {window}, strides = {strides}, pad_type = string(\"custom\"), pad = {pads}, \
             ceil_mode = bool(false))"
        )
    };
    let mut draft = Draft::default();
    let between = draft.step(dtype, &x, &of("arg_x", &first, &ones, &met));
    Some(draft.result(dtype, &dims, &of(&between, &second, &strides, &rest)))
}

pub(super) fn inner(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, y) = (site.dims("x")?, site.dims("y")?);
    let (turn_x, turn_y) = (site.flag("transpose_x")?, site.flag("transpose_y")?);
    let at = |dims: &[u64], back: usize| dims.len().checked_sub(back);
    let (ax, ay) = (at(&x, if turn_x { 2 } else { 1 })?, at(&y, if turn_y { 1 } else { 2 })?);
    let inner = x[ax];
    let limit = site.target.chip.limit(Quantity::Inner, site.target.profile).value;
    if inner <= limit || inner < 2 {
        return None;
    }
    let mut draft = Draft::default();
    let half = inner / 2;
    let parts = [(0, half), (half, inner - half)].map(|(begin, size)| {
        (draft.slice("arg_x", dtype, &x, ax, begin, size), draft.slice("arg_y", dtype, &y, ay, begin, size))
    });
    let [a, b] = parts.map(|(x, y)| {
        let call =
            format!("matmul(x = {x}, y = {y}, transpose_x = bool({turn_x}), transpose_y = bool({turn_y}))");
        draft.step(dtype, &dims, &call)
    });
    Some(draft.result(dtype, &dims, &format!("add(x = {a}, y = {b})")))
}

pub(super) fn attention(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (query, key) = (site.dims("query")?, site.dims("key")?);
    let (&width, &keys) = (query.last()?, key.get(key.len().checked_sub(2)?)?);
    let mut scores = dims.clone();
    *scores.last_mut()? = keys;
    let mut draft = Draft::default();
    let scale = 1.0 / (width as f64).sqrt();
    let scaled = draft.step(dtype, &query, &format!("mul(x = arg_query, y = {})", number(dtype, scale)));
    let mut s = draft.step(
        dtype,
        &scores,
        &format!("matmul(x = {scaled}, y = arg_key, transpose_x = bool(false), transpose_y = bool(true))"),
    );
    match site.dtype("attn_mask") {
        None => {}
        Some(DType::Bool) => {
            let far = number(dtype, -30000.0);
            s = draft.step(dtype, &scores, &format!("select(cond = arg_attn_mask, a = {s}, b = {far})"));
        }
        Some(_) => s = draft.step(dtype, &scores, &format!("add(x = {s}, y = arg_attn_mask)")),
    }
    let weights = draft.step(dtype, &scores, &format!("softmax(x = {s}, axis = int32(-1))"));
    let call =
        format!("matmul(x = {weights}, y = arg_value, transpose_x = bool(false), transpose_y = bool(false))");
    Some(draft.result(dtype, &dims, &call))
}

/// The probabilities of a row of thousands are so small that their products with small values are dropped; a power of two
/// changes no digit of them.
pub(super) fn probabilities(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    let (turn_x, turn_y) = (site.flag("transpose_x")?, site.flag("transpose_y")?);
    if !site.is_given_by("x", "softmax") {
        return None;
    }
    let mut draft = Draft::default();
    let large = draft.step(dtype, &x, &format!("mul(x = arg_x, y = {})", number(dtype, 64.0)));
    let call =
        format!("matmul(x = {large}, y = arg_y, transpose_x = bool({turn_x}), transpose_y = bool({turn_y}))");
    let product = draft.step(dtype, &dims, &call);
    Some(draft.result(dtype, &dims, &format!("mul(x = {product}, y = {})", number(dtype, 1.0 / 64.0))))
}

/// What stands before the last axis is rows.
pub(super) fn linear(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let mut before = site.dims("x")?;
    let given = before.pop()?;
    let &gives = dims.last()?;
    if before.len() < 4 {
        return None;
    }
    let rows = before.iter().try_fold(1u64, |a, &d| a.checked_mul(d))?;
    let bias = if site.value("bias").is_some() { ", bias = arg_bias" } else { "" };
    let mut draft = Draft::default();
    let x = draft.reshape("arg_x", dtype, &[rows, given]);
    let y = draft.step(dtype, &[rows, gives], &format!("linear(x = {x}, weight = arg_weight{bias})"));
    Some(draft.result(dtype, &dims, &reshape(&y, &dims)))
}

/// What stands before the last two axes is one axis; a factor that has nothing there stays a matrix.
pub(super) fn batches(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let (x, y) = (site.dims("x")?, site.dims("y")?);
    if x.len().max(y.len()) < 5 {
        return None;
    }
    let split = |dims: &[u64]| {
        let at = dims.len().checked_sub(2)?;
        let before = dims[..at].iter().try_fold(1u64, |a, &d| a.checked_mul(d))?;
        Some((before, [dims[at], dims[at + 1]]))
    };
    let ((bx, mx), (by, my), (b, m)) = (split(&x)?, split(&y)?, split(&dims)?);
    // Both have all of them in the same order, or one has none.
    let leading =
        |dims: &[u64]| dims[..dims.len() - 2].iter().copied().skip_while(|&d| d == 1).collect::<Vec<_>>();
    let same = leading(&x) == leading(&y) || bx == 1 || by == 1;
    if !same || b != bx.max(by) {
        return None;
    }
    let mut draft = Draft::default();
    let mut flat = |name: &str, before: u64, matrix: [u64; 2]| match before {
        1 => draft.reshape(name, dtype, &matrix),
        _ => draft.reshape(name, dtype, &[before, matrix[0], matrix[1]]),
    };
    let (x, y) = (flat("arg_x", bx, mx), flat("arg_y", by, my));
    let (turn_x, turn_y) = (site.flag("transpose_x")?, site.flag("transpose_y")?);
    let call =
        format!("matmul(x = {x}, y = {y}, transpose_x = bool({turn_x}), transpose_y = bool({turn_y}))");
    let result: Vec<u64> = if b == 1 { m.to_vec() } else { vec![b, m[0], m[1]] };
    let product = draft.step(dtype, &result, &call);
    Some(draft.result(dtype, &dims, &reshape(&product, &dims)))
}

/// A power of two changes no digit, but of numbers near the least.
pub(super) fn slice(site: &Site<'_>) -> Option<Draft> {
    let (dtype, dims) = floats(site)?;
    let x = site.dims("x")?;
    // Bounds are constant and the tensor is not too long, or the engine refuses it all the same.
    site.ints("begin")?;
    if site.long_axis(&x).is_some() {
        return None;
    }
    let rest = others(site, &["x"]);
    let mut draft = Draft::default();
    let small = draft.step(dtype, &x, &format!("mul(x = arg_x, y = {})", number(dtype, 1.0 / 16.0)));
    let part = draft.step(dtype, &dims, &format!("{}(x = {small}{rest})", site.step.op.name));
    Some(draft.result(dtype, &dims, &format!("mul(x = {part}, y = {})", number(dtype, 16.0))))
}
