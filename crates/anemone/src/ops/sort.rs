//! Ops that order elements, and the one that finds those that are not zero.
//!
//! Equal elements keep their order, and NaN comes last whichever way is sorted, as with NumPy.

use std::cmp::Ordering;

use anemone_kernels::layout;
use anemone_kernels::scratch::{Scratch, scratch};
use anemone_kernels::sort::order;

use super::fast::{Ready, dims, for_bits, idle, nothing, ready};
use super::moves::{around, bad_value, exact, known_axis, known_int, one, result, tensor_type};
use super::row::*;
use crate::types::f16;

const TOPK: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("k", I32).constant().or(Int(1)),
            tensor("axis", I32).constant().or(Int(-1)),
            tensor("ascending", BOOL).constant().or(Bool(false)),
        ],
    ),
    edition(
        Ios16,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("k", I32).constant().or(Int(1)),
            tensor("axis", I32).constant().or(Int(-1)),
            tensor("ascending", BOOL).constant().or(Bool(false)),
            tensor("sort", BOOL).constant().or(Bool(true)),
            tensor("return_indices", BOOL).constant().or(Bool(true)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS17).domain('T'),
            tensor("k", &[Int8, Int16, Int32]).domain('K').constant().or(Int(1)),
            tensor("axis", I32).constant().or(Int(-1)),
            tensor("ascending", BOOL).constant().or(Bool(false)),
            tensor("sort", BOOL).constant().or(Bool(true)),
            tensor("return_indices", BOOL).constant().or(Bool(true)),
            tensor("output_indices_dtype", STR).constant().or(Str("int32")),
        ],
    ),
];

const ARGSORT: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("x", NUMS).domain('T'),
        tensor("axis", I32).constant().or(Int(-1)),
        tensor("ascending", BOOL).constant().or(Bool(false)),
    ],
)];

const NON_ZERO: &[Edition] = &[edition(Ios15, &[tensor("x", NUMS_BOOL).domain('T')])];

/// For each line along the axis, the places of its elements in their order; `take` of them.
///
/// The results are offsets into `x`, in the row-major order of a tensor that is `take` long along the axis, and the
/// places along the axis.
fn ordered(x: &Tensor, axis: usize, ascending: bool, take: usize) -> (Vec<usize>, Vec<i64>) {
    let n = x.shape()[axis];
    let inner: usize = x.shape()[axis + 1..].iter().product();
    let outer: usize = x.shape()[..axis].iter().product();
    // Every dtype that is sorted has its values in f64 exactly.
    let values = x.to_f64s();
    let mut offsets = vec![0; outer * take * inner];
    let mut places = vec![0; outer * take * inner];
    let mut line: Vec<usize> = Vec::with_capacity(n);
    for o in 0..outer {
        for i in 0..inner {
            let at = |k: usize| (o * n + k) * inner + i;
            line.clear();
            line.extend(0..n);
            line.sort_by(|&a, &b| {
                let (a, b) = (values[at(a)], values[at(b)]);
                let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                a.is_nan().cmp(&b.is_nan()).then(if ascending { order } else { order.reverse() })
            });
            for (k, &place) in line.iter().take(take).enumerate() {
                let to = (o * take + k) * inner + i;
                offsets[to] = at(place);
                places[to] = place as i64;
            }
        }
    }
    (offsets, places)
}

/// The axis, how many elements are taken along it, and the dtype of the indices if they are wanted.
fn top(args: &Args<'_>, x: &Shape) -> Result<(usize, Dim, Option<DType>), Fault> {
    let axis = known_axis(args, "axis", x.rank())?;
    let take = match (known_int(args, "k")?, x[axis]) {
        (-1, dim) if args.edition.since >= Ios17 => dim,
        (k, _) if k < 0 => return Err(bad_value(args, "k", format_args!("{k} is negative"))),
        (k, Dim::Known(n)) if k as u64 > n => {
            let why = format_args!("{k} elements cannot be taken of {n} along axis {axis}").to_string();
            return Err(bad_value(args, "k", why).against("x"));
        }
        (k, _) => Dim::Known(k as u64),
    };
    if args.bool("return_indices") == Some(false) {
        if args.has("output_indices_dtype") {
            let why = "`return_indices` is false, so that there are no indices";
            return Err(bad_value(args, "output_indices_dtype", why).against("return_indices"));
        }
        return Ok((axis, take, None));
    }
    match args.str("output_indices_dtype").unwrap_or("int32") {
        "int32" => Ok((axis, take, Some(Int32))),
        "uint16" => Ok((axis, take, Some(UInt16))),
        other => {
            let why = format_args!("`{other}` is not int32 or uint16").to_string();
            Err(bad_value(args, "output_indices_dtype", why))
        }
    }
}

fn infer_topk(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    let (axis, take, indices) = top(args, &x.shape)?;
    let mut shape = x.shape.clone();
    shape[axis] = take;
    [Some(x.dtype), indices]
        .into_iter()
        .flatten()
        .map(|dtype| tensor_type(args, dtype, shape.clone()))
        .collect()
}

/// The elements are always given in their order, which is one of the orders that `sort = false` allows.
fn compute_topk(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let (axis, take, indices) = top(args, &Shape::from(x.shape()))?;
    let mut shape = x.shape().to_vec();
    shape[axis] = take.known().unwrap_or(0) as usize;
    let (offsets, places) = ordered(x, axis, args.bool("ascending").unwrap_or(false), shape[axis]);
    let mut results = vec![x.pick(&shape, offsets)?.into()];
    if let Some(dtype) = indices {
        results.push(Tensor::from_i64s(dtype, &shape, &places)?.into());
    }
    Ok(results)
}

/// How the kernel orders the elements of a call.
struct Order {
    x: Reader,
    dtype: DType,
    /// The elements before, along and behind the axis.
    sizes: [usize; 3],
    take: usize,
    ascending: bool,
}

impl Order {
    /// Nothing where the kernel does not order them.
    fn of(args: &Args<'_>, axis: usize, take: usize) -> Result<Option<Self>, Fault> {
        let (dtype, shape) = (args.ty("x")?.dtype, dims(args, "x")?);
        let sizes = around(&shape, axis);
        let known = matches!(dtype, Fp16 | Fp32 | Int8 | Int16 | Int32 | UInt8 | UInt16);
        if !known || shape.contains(&0) || u32::try_from(shape[axis]).is_err() {
            return Ok(None);
        }
        let ascending = args.bool("ascending").unwrap_or(false);
        Ok(Some(Self { x: args.reader("x")?, dtype, sizes, take, ascending }))
    }

    /// The places of the first elements in their order.
    fn places(&self, run: &Run<'_, '_>) -> Scratch<usize> {
        let [outer, _, inner] = self.sizes;
        let mut places = scratch(outer * self.take * inner);
        macro_rules! ordered {
            ($type:ty) => {{
                let x: &[$type] = run.read(&self.x);
                order(run.threads, &mut places, x, self.sizes, self.take, self.ascending);
            }};
        }
        match self.dtype {
            Fp16 => ordered!(f16),
            Fp32 => ordered!(f32),
            Int8 => ordered!(i8),
            Int16 => ordered!(i16),
            UInt8 => ordered!(u8),
            UInt16 => ordered!(u16),
            _ => ordered!(i32),
        }
        places
    }
}

fn fast_topk(args: &Args<'_>, types: &[Type]) -> Ready {
    let x = args.ty("x")?;
    let (axis, take, indices) = top(args, &x.shape)?;
    let take = take.known().unwrap_or(0) as usize;
    if nothing(types) {
        return idle();
    }
    let Some(order) = Order::of(args, axis, take)? else { return Ok(None) };
    let [outer, n, inner] = order.sizes;
    for_bits!(x.dtype, E => ready(move |run| {
        let (x, places) = (run.read::<E>(&order.x), order.places(run));
        layout::look_up_each(run.threads, run.write(0), x, &places, [outer, n, take, inner]);
        match indices {
            Some(Int32) => each(run.write(1), &places, |place| place as i32),
            Some(_) => each(run.write(1), &places, |place| place as u16),
            None => {}
        }
    }))
}

/// Writes places as elements of a tensor.
fn each<T>(to: &mut [T], places: &[usize], f: fn(usize) -> T) {
    to.iter_mut().zip(places).for_each(|(to, &place)| *to = f(place));
}

fn fast_argsort(args: &Args<'_>, types: &[Type]) -> Ready {
    if nothing(types) {
        return idle();
    }
    let x = args.ty("x")?;
    let axis = known_axis(args, "axis", x.rank())?;
    let Some(order) = Order::of(args, axis, dims(args, "x")?[axis])? else { return Ok(None) };
    ready(move |run| {
        let places = order.places(run);
        each(run.write(0), &places, |place| place as i32);
    })
}

fn infer_argsort(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let x = args.ty("x")?;
    known_axis(args, "axis", x.rank())?;
    result(args, Int32, x.shape.clone())
}

fn compute_argsort(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let x = args.tensor("x")?;
    let axis = known_axis(args, "axis", x.rank())?;
    let (_, places) = ordered(x, axis, args.bool("ascending").unwrap_or(false), x.shape()[axis]);
    one(Tensor::from_i64s(Int32, x.shape(), &places)?)
}

fn infer_non_zero(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let rank = args.ty("x")?.rank();
    result(args, Int32, [Dim::Unknown, rank.into()].into_iter().collect())
}

/// Line by line, so that the indices of the other dimensions are counted up and not divided out.
fn compute_non_zero(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    fn places<T: Copy>(shape: &[usize], x: &[T], is_zero: impl Fn(T) -> bool) -> (usize, Vec<i32>) {
        let (mut rows, mut places) = (0, Vec::new());
        let mut index = vec![0; shape.len()];
        for line in x.chunks_exact(shape.last().copied().unwrap_or(1).max(1)) {
            for (i, &v) in line.iter().enumerate() {
                if !is_zero(v) {
                    if let Some(last) = index.last_mut() {
                        *last = i as i32;
                    }
                    places.extend_from_slice(&index);
                    rows += 1;
                }
            }
            for axis in (0..shape.len().saturating_sub(1)).rev() {
                index[axis] += 1;
                if (index[axis] as usize) < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        (rows, places)
    }
    let x = args.tensor("x")?;
    let (rows, places) = match (x.as_slice::<f16>(), x.as_slice::<f32>(), x.as_slice::<i32>()) {
        (Some(x16), ..) => places(x.shape(), x16, |v| v.to_bits() & 0x7fff == 0),
        (_, Some(x32), _) => places(x.shape(), x32, |v| v == 0.0),
        (.., Some(whole)) => places(x.shape(), whole, |v| v == 0),
        _ if x.dtype() == DType::Bool => places(x.shape(), x.bytes(), |v| v == 0),
        _ => places(x.shape(), &x.to_f64s(), |v| v == 0.0),
    };
    one(Tensor::from_slice(&[rows, x.rank()], &places)?)
}

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Prepared(fast_topk),
        ..exact(
            "topk",
            "the largest or smallest elements along an axis, and their places",
            TOPK,
            Results::Inferred,
            infer_topk,
            compute_topk,
        )
    },
    Op {
        fast: Fast::Prepared(fast_argsort),
        ..exact(
            "argsort",
            "the places of the elements along an axis, in their order",
            ARGSORT,
            Results::Exactly(1),
            infer_argsort,
            compute_argsort,
        )
    },
    exact(
        "non_zero",
        "the places of the elements that are not zero",
        NON_ZERO,
        Results::Exactly(1),
        infer_non_zero,
        compute_non_zero,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn topk_takes_the_largest() {
        let x = || ("x", f32s(&[2, 3], &[1.0, 3.0, 2.0, 6.0, 4.0, 5.0]));
        let k = |k| ("k", int(k));
        let results = |values: &[f32], places: &[i32]| {
            let shape = [2, values.len() / 2];
            [f32s(&shape, values), i32s(&shape, places)]
        };
        check("topk", Ios15, &[x()], &results(&[3.0, 6.0], &[1, 0]));
        check("topk", Ios15, &[x(), k(2)], &results(&[3.0, 2.0, 6.0, 5.0], &[1, 2, 0, 2]));
        let up = ("ascending", flag(true));
        check("topk", Ios15, &[x(), k(2), up], &results(&[1.0, 2.0, 4.0, 5.0], &[0, 2, 1, 2]));
        let columns = [x(), k(1), ("axis", int(0))];
        check("topk", Ios15, &columns, &[f32s(&[1, 3], &[6.0, 4.0, 5.0]), i32s(&[1, 3], &[1, 1, 1])]);
        check("topk", Ios15, &[x(), k(0)], &results(&[], &[]));
        let all = [x(), k(-1), ("output_indices_dtype", text("uint16"))];
        let places = ints(UInt16, &[2, 3], &[1, 2, 0, 0, 2, 1]);
        check("topk", Ios17, &all, &[f32s(&[2, 3], &[3.0, 2.0, 1.0, 6.0, 5.0, 4.0]), places]);
        let alone = [x(), ("return_indices", flag(false)), ("sort", flag(false))];
        check("topk", Ios16, &alone, &[f32s(&[2, 1], &[3.0, 6.0])]);
        check("topk", Ios15, &[("x", iota(&[0, 2]))], &[f32s(&[0, 1], &[]), i32s(&[0, 1], &[])]);
    }

    #[test]
    fn ties_keep_their_order_and_nan_comes_last() {
        let x = || ("x", f32s(&[4], &[1.0, f32::NAN, 2.0, 1.0]));
        check("argsort", Ios15, &[x()], &[vec32(&[2, 0, 3, 1])]);
        check("argsort", Ios15, &[x(), ("ascending", flag(true))], &[vec32(&[0, 3, 2, 1])]);
        let x = ints(Int8, &[3], &[-128, 127, 0]);
        let results = [ints(Int8, &[3], &[127, 0, -128]), vec32(&[1, 2, 0])];
        check("topk", Ios17, &[("x", x), ("k", int(3))], &results);
    }

    #[test]
    fn topk_refuses() {
        let no = |opset, line: &[(&'static str, Datum)], code| {
            refuse("topk", opset, &[&[("x", iota(&[2, 3]))], line].concat(), code);
        };
        no(Ios15, &[("k", int(4))], "bad-value");
        no(Ios15, &[("k", int(-1))], "bad-value");
        no(Ios15, &[("axis", int(2))], "index-out-of-range");
        no(Ios17, &[("output_indices_dtype", text("int8"))], "bad-value");
        let both = [("output_indices_dtype", text("int32")), ("return_indices", flag(false))];
        no(Ios17, &both, "bad-value");
    }

    #[test]
    fn argsort_gives_places() {
        // np.argsort(-x, axis=0, kind="stable")
        let x = ("x", i32s(&[2, 2], &[1, 4, 3, 4]));
        check("argsort", Ios15, &[x.clone(), ("axis", int(0))], &[i32s(&[2, 2], &[1, 0, 0, 1])]);
        check("argsort", Ios15, &[x], &[i32s(&[2, 2], &[1, 0, 1, 0])]);
        check("argsort", Ios15, &[("x", iota(&[2, 0]))], &[i32s(&[2, 0], &[])]);
        refuse("argsort", Ios15, &[("x", iota(&[]))], "index-out-of-range");
    }

    #[test]
    fn non_zero_gives_places() {
        // np.transpose(np.nonzero(x))
        let x = f32s(&[2, 2], &[0.0, -1.0, f32::NAN, -0.0]);
        check("non_zero", Ios15, &[("x", x)], &[i32s(&[2, 2], &[0, 1, 1, 0])]);
        check("non_zero", Ios15, &[("x", flags(&[false, false]))], &[i32s(&[0, 1], &[])]);
        check("non_zero", Ios15, &[("x", iota(&[0, 3]))], &[i32s(&[0, 2], &[])]);
        check("non_zero", Ios15, &[("x", int(5))], &[i32s(&[1, 0], &[])]);
        let values = [0.0, 1.0, -0.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let places = i32s(&[3, 3], &[0, 0, 1, 1, 0, 0, 1, 1, 1]);
        for dtype in [Fp16, Fp32, Int32, DType::Bool] {
            check(
                "non_zero",
                Ios15,
                &[("x", arg(dtype, &[2, 2, 2], &values))],
                std::slice::from_ref(&places),
            );
        }
    }
}
