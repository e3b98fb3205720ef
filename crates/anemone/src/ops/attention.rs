//! Attention: each query looks at all keys and takes a mean of the values.

use anemone_kernels::attention::{Attention, Mask, Rows, attention};
use anemone_kernels::scratch::scratch;

use super::activation::softmax;
use super::fast::{Elements, Ready, Singles, dims, for_float, ready};
use super::loops::{broadcast, floats, from_floats, room, shape_of, stretched, walk};
use super::row::*;

pub(super) static OPS: &[Op] = &[Op {
    name: "scaled_dot_product_attention",
    summary: "softmax(query · keyᵀ / √E + attn_mask) · value, with E the length of a query",
    editions: &[edition(
        Ios18,
        &[
            tensor("query", FLOATS).domain('T'),
            tensor("key", FLOATS).domain('T'),
            tensor("value", FLOATS).domain('T'),
            tensor("attn_mask", &[DType::Bool, Fp16, Fp32]).domain('M').or(Absent),
        ],
    )],
    results: Results::Exactly(1),
    infer,
    meaning: Meaning::Compute(compute),
    fast: Fast::Strided(fast),
    tolerance: Tolerance::Sum(8),
    scalar: Scalar::None,
}];

fn infer(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (query, key, value) = (args.ty("query")?, args.ty("key")?, args.ty("value")?);
    let rank = query.rank();
    if rank < 3 {
        let message =
            format!("`query` has {rank} dimensions; attention needs at least 3: batch, length and embedding");
        return Err(Fault::of("query", &codes::WRONG_RANK, message));
    }
    for (param, ty) in [("key", key), ("value", value)] {
        if ty.rank() != rank {
            let message = format!("`{param}` has {} dimensions and `query` has {rank}", ty.rank());
            return Err(Fault::of(param, &codes::WRONG_RANK, message).against("query"));
        }
    }
    // Batches of all three, then the lengths and embeddings that meet in a product.
    let (length, embedding) = (rank - 2, rank - 1);
    let batches = (0..length).flat_map(|axis| [("key", "query", axis), ("value", "query", axis)]);
    for (param, other, axis) in batches.chain([("key", "query", embedding), ("value", "key", length)]) {
        let (a, b) = (&args.ty(param)?.shape, &args.ty(other)?.shape);
        if !a[axis].fits(b[axis]) {
            let message =
                format!("dimension {axis} of `{param}` is {} and that of `{other}` is {}", a[axis], b[axis]);
            return Err(Fault::of(param, &codes::SHAPE_MISMATCH, message).against(other));
        }
    }
    check_mask(args, &query.shape, &key.shape)?;
    let mut shape = query.shape.clone();
    for axis in 0..length {
        shape[axis] = shape[axis].or(key.shape[axis]).or(value.shape[axis]);
    }
    shape[embedding] = value.shape[embedding];
    Ok(vec![Type::tensor(query.dtype, shape)])
}

/// The mask must stretch to one number for each query and key; along the keys it does not stretch.
fn check_mask(args: &Args<'_>, query: &Shape, key: &Shape) -> Result<(), Fault> {
    let Some(mask) = args.opt_ty("attn_mask") else { return Ok(()) };
    let mut scores = query.clone();
    scores[query.rank() - 1] = key[key.rank() - 2];
    let along_keys = mask.shape.last().is_some_and(|d| d.fits(scores[query.rank() - 1]));
    // What the mask may not do is to stretch the scores.
    let fits = broadcast(&scores, &mask.shape).is_some_and(|s| s.fits(&scores));
    if along_keys && fits {
        return Ok(());
    }
    let message =
        format!("`attn_mask` of shape {} does not broadcast to the scores, of shape {scores}", mask.shape);
    Err(Fault::of("attn_mask", &codes::SHAPE_MISMATCH, message)
        .against("key")
        .help("its last dimension is the number of keys; each other one must be that of the scores, or 1"))
}

fn compute(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (query, key, value) = (floats(args, "query")?, floats(args, "key")?, floats(args, "value")?);
    let dims = args.tensor("query")?.shape();
    let rank = dims.len();
    let (keys, embedding) = (args.tensor("key")?.shape()[rank - 2], dims[rank - 1]);
    let width = args.tensor("value")?.shape()[rank - 1];
    let scale = (embedding as f64).sqrt();

    // One step for each query, with the place where its row of the mask starts.
    let rows = &dims[..rank - 1];
    let queries = rows[rank - 2].max(1);
    let (mask, steps) = mask_of(args, rows, keys)?;
    let mut out = room(&shape_of(&types[0]))?;
    let mut weights = room(&[keys])?;
    let mut row = 0;
    walk(rows, [&steps], |[masked]| {
        let q = &query[row * embedding..][..embedding];
        let first = row / queries * keys;
        weights.clear();
        weights.extend((0..keys).map(|k| {
            let score = dot(q, &key[(first + k) * embedding..][..embedding]) / scale;
            mask.as_ref().map_or(score, |mask| score + mask[masked + k])
        }));
        softmax(&mut weights);
        out.extend((0..width).map(|e| {
            let sum = |sum, (k, weight): (usize, &f64)| sum + weight * value[(first + k) * width + e];
            weights.iter().enumerate().fold(0.0, sum)
        }));
        row += 1;
    });
    from_floats(types, &out)
}

/// How large an attention is, and its mask.
pub(super) fn described(args: &Args<'_>) -> Result<(Attention, Option<Masked>), Fault> {
    let shape = dims(args, "query")?;
    let (rows, embedding) = shape.split_at(shape.len() - 1);
    let (embedding, width) = (embedding[0], *dims(args, "value")?.last().unwrap_or(&0));
    let (queries, keys) = (rows[rows.len() - 1], dims(args, "key")?[rows.len() - 1]);
    let batch = rows[..rows.len() - 1].iter().product();
    let mask = Masked::of(args, rows, keys)?;
    Ok((Attention { batch, queries, keys, embedding, width }, mask))
}

fn fast(args: &Args<'_>, _: &[Type]) -> Ready {
    let dtype = args.ty("query")?.dtype;
    let (sizes, mask) = described(args)?;
    let [q, k, v] = ["query", "key", "value"].map(|param| Placed::of(args, param));
    let (q, k, v) = (q?, k?, v?);
    let scale = 1.0 / (sizes.embedding as f32).sqrt();
    for_float!(dtype, T => ready(move |run| {
        let numbers = mask.as_ref().map(|m| m.numbers(run));
        let mask = mask.as_ref().zip(numbers.as_deref()).map(|(m, numbers)| Mask { numbers, starts: &m.starts });
        let (q, k, v) = (q.rows::<T>(run), k.rows(run), v.rows(run));
        attention(run.threads, run.write(0), q, k, v, mask, scale, &sizes);
    }))
}

/// Where queries, keys or values lie.
struct Placed {
    reader: Reader,
    starts: Vec<usize>,
    stride: usize,
}

impl Placed {
    fn of(args: &Args<'_>, param: &'static str) -> Result<Self, Fault> {
        let (reader, shape) = (args.reader(param)?, dims(args, param)?);
        let (batch, rows) = shape.split_at(shape.len() - 2);
        let batch = batch.iter().product::<usize>();
        let (each, len) = (rows.iter().product::<usize>(), rows[1]);
        // The elements of a row lie side by side.
        let viewed = args.view(param, |view| {
            let (starts, [row, element]) = view.matrices(&shape)?;
            (element == 1 || len == 1).then_some((starts, row))
        });
        let (starts, stride) = viewed.unwrap_or_else(|| ((0..batch).map(|item| item * each).collect(), len));
        Ok(Self { reader, starts, stride })
    }

    fn rows<'b, 'd: 'b, T: bytemuck::Pod>(&'b self, run: &Run<'_, 'd>) -> Rows<'b, T> {
        Rows { data: run.read(&self.reader), starts: &self.starts, stride: self.stride }
    }
}

/// A mask, as the kernel takes it.
pub(super) struct Masked {
    added: Added,
    /// Where the numbers of each query start.
    pub(super) starts: Vec<usize>,
}

/// What is added to the scores.
enum Added {
    /// These numbers.
    Numbers(Singles),
    /// Nothing where a bool is set, and elsewhere so little that no weight is left.
    Bools(Reader),
}

impl Masked {
    fn of(args: &Args<'_>, rows: &[usize], keys: usize) -> Result<Option<Self>, Fault> {
        let Some(ty) = args.opt_ty("attn_mask") else { return Ok(None) };
        let mut starts = room(rows)?;
        walk(rows, [&steps(&dims(args, "attn_mask")?, rows, keys)], |[start]| starts.push(start));
        let added = match (ty.dtype, args.value("attn_mask")) {
            (DType::Bool, Some(mask)) => Added::Numbers(Singles::Widened(
                mask.bytes().iter().map(|&b| if b == 0 { f32::NEG_INFINITY } else { 0.0 }).collect(),
            )),
            (DType::Bool, None) => Added::Bools(args.reader("attn_mask")?),
            _ => Added::Numbers(Singles::of(args, "attn_mask")?),
        };
        Ok(Some(Self { added, starts }))
    }

    pub(super) fn numbers<'b, 'd: 'b>(&'b self, run: &Run<'_, 'd>) -> Elements<'b, f32> {
        match &self.added {
            Added::Numbers(numbers) => numbers.read(run),
            Added::Bools(bools) => {
                let bools: &[u8] = run.read(bools);
                let mut added = scratch::<f32>(bools.len());
                let pairs = added.iter_mut().zip(bools);
                pairs.for_each(|(to, &set)| *to = if set == 0 { f32::NEG_INFINITY } else { 0.0 });
                Elements::Own(added)
            }
        }
    }
}

/// The strides with which the rows of queries read a mask of this shape.
fn steps(mask: &[usize], rows: &[usize], keys: usize) -> Vec<usize> {
    let mut steps = stretched(mask, &[rows, &[keys]].concat());
    steps.pop();
    steps
}

/// What is added to the scores, and the strides with which the rows of queries read it. A bool says whether a query
/// looks at a key.
fn mask_of(args: &Args<'_>, rows: &[usize], keys: usize) -> Result<(Option<Vec<f64>>, Vec<usize>), Fault> {
    if !args.has("attn_mask") {
        return Ok((None, vec![0; rows.len()]));
    }
    let mask = args.tensor("attn_mask")?;
    let mut added = floats(args, "attn_mask")?;
    if mask.dtype() == DType::Bool {
        added.iter_mut().for_each(|x| *x = if *x == 0.0 { f64::NEG_INFINITY } else { 0.0 });
    }
    Ok((Some(added), steps(mask.shape(), rows, keys)))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

#[cfg(test)]
mod tests {
    use crate::mil::Opset::*;
    use crate::ops::check::*;
    use crate::types::DType::*;
    use crate::types::Tensor;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    const OP: &str = "scaled_dot_product_attention";

    fn qkv(q: Tensor, k: Tensor, v: Tensor) -> Vec<(&'static str, Tensor)> {
        vec![("query", q), ("key", k), ("value", v)]
    }

    /// Two queries, three keys, E = 1, so that the scores are the products themselves: [0, 1, 2] and [0, -1, -2].
    fn small() -> Vec<(&'static str, Tensor)> {
        qkv(
            t(Fp32, &[1, 2, 1], &[1.0, -1.0]),
            t(Fp32, &[1, 3, 1], &[0.0, 1.0, 2.0]),
            t(Fp32, &[1, 3, 2], &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]),
        )
    }

    fn masked(mask: Tensor) -> Vec<(&'static str, Tensor)> {
        [small(), vec![("attn_mask", mask)]].concat()
    }

    #[test]
    fn without_a_mask() {
        // w = softmax([0, 1, 2]) = [0.09003057, 0.24472847, 0.66524096]; w @ v, and with w reversed
        let y = [2.5752103826044412, 25.752103826044414, 1.4247896173955588, 14.247896173955588];
        check(OP, Ios18, &small(), &t(Fp32, &[1, 2, 2], &y));
    }

    #[test]
    fn scores_are_divided_by_the_root_of_the_embedding() {
        // softmax([8 / sqrt(4), 0]) = [0.98201379, 0.01798621]
        let q = t(Fp16, &[1, 1, 4], &[2.0; 4]);
        let k = t(Fp16, &[1, 2, 4], &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let v = t(Fp16, &[1, 2, 1], &[1.0, 0.0]);
        check(OP, Ios18, &qkv(q, k, v), &t(Fp16, &[1, 1, 1], &[0.9820137900379085]));
    }

    #[test]
    fn bool_masks_choose_and_float_masks_add() {
        let only = |k: usize| [k as f64 + 1.0, 10.0 * (k as f64 + 1.0)];
        let y = t(Fp32, &[1, 2, 2], &[only(1), only(0)].concat());
        check(OP, Ios18, &masked(t(Bool, &[2, 3], &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0])), &y);
        check(OP, Ios18, &masked(t(Fp16, &[1, 2, 3], &[-INF, 0.0, -INF, 0.0, -INF, -INF])), &y);
        // One row for both queries: softmax([0, 1]) = [0.26894142, 0.73105858] and reversed.
        let y = [1.73105858, 17.3105858, 1.26894142, 12.6894142];
        check(OP, Ios18, &masked(t(Bool, &[3], &[1.0, 1.0, 0.0])), &t(Fp32, &[1, 2, 2], &y));
        // The mask levels the scores of the first query.
        let y = [2.0, 20.0, 1.1490628728, 11.490628728];
        check(OP, Ios18, &masked(f(&[0.0, -1.0, -2.0])), &t(Fp32, &[1, 2, 2], &y));
        // A query that may look at nothing.
        check(OP, Ios18, &masked(b(&[false; 3])), &t(Fp32, &[1, 2, 2], &[NAN; 4]));
    }

    #[test]
    fn batches_and_heads() {
        // One key each: the result is its value.
        let (q, k) = (t(Fp32, &[2, 2, 1, 1], &[1.0; 4]), t(Fp32, &[2, 2, 1, 1], &[5.0; 4]));
        let v = t(Fp32, &[2, 2, 1, 1], &[1.0, 2.0, 3.0, 4.0]);
        check(OP, Ios18, &qkv(q, k, v.clone()), &v);
    }

    #[test]
    fn nothing_to_look_at() {
        let of = |l, s, y: &[f64]| {
            let zeros = |shape: &[usize]| Tensor::zeros(Fp32, shape).unwrap();
            check(
                OP,
                Ios18,
                &qkv(zeros(&[1, l, 1]), zeros(&[1, s, 1]), zeros(&[1, s, 2])),
                &t(Fp32, &[1, l, 2], y),
            );
        };
        of(0, 2, &[]);
        of(1, 0, &[0.0, 0.0]);
    }

    #[test]
    fn shapes_that_do_not_meet() {
        let x = |shape: &[usize]| Tensor::zeros(Fp32, shape).unwrap();
        let bad = |q: &[usize], k: &[usize], v: &[usize], code, param| {
            refuse(OP, Ios18, &qkv(x(q), x(k), x(v)), code, Some(param));
        };
        bad(&[2, 2], &[2, 2], &[2, 2], "wrong-rank", "query");
        bad(&[1, 2, 2], &[2, 2], &[1, 2, 2], "wrong-rank", "key");
        bad(&[1, 2, 2], &[2, 2, 2], &[1, 2, 2], "shape-mismatch", "key");
        bad(&[1, 2, 2], &[1, 2, 3], &[1, 2, 2], "shape-mismatch", "key");
        bad(&[1, 2, 2], &[1, 3, 2], &[1, 2, 2], "shape-mismatch", "value");
        for mask in [&[2, 1][..], &[3, 3], &[2, 2, 3], &[1, 1, 2, 3], &[]] {
            refuse(OP, Ios18, &masked(x(mask)), "shape-mismatch", Some("attn_mask"));
        }
    }
}
