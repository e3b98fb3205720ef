//! Ops that make a tensor of few numbers.

use super::fast::{Numbers, Ready, bits, for_bits, ready};
use super::loops::shape_of;
use super::moves::{
    as_declared, bad_value, dims_of, exact, joined, known_axis, length, offsets, one, result,
};
use super::row::*;
use crate::types::{MAX_ELEMENTS, MAX_RANK, f16};

const FILL: &[Edition] = &[edition(
    Ios15,
    &[tensor("shape", I32), tensor("value", NUMS_BOOL).domain('T').constant().or(Float(0.0))],
)];

const FILL_LIKE: &[Edition] = &[edition(
    Ios16,
    &[
        tensor("ref_tensor", NUMS_BOOL).domain('T'),
        tensor("value", NUMS_BOOL).domain('U').constant().or(Float(0.0)),
    ],
)];

const RANGE_1D: &[Edition] = &[edition(
    Ios15,
    &[tensor("end", NUMS).domain('T'), tensor("start", NUMS).domain('T'), tensor("step", NUMS).domain('T')],
)];

const ONE_HOT: &[Edition] = &[edition(
    Ios15,
    &[
        tensor("indices", I32),
        tensor("one_hot_vector_size", I32),
        tensor("axis", I32).constant().or(Int(-1)),
        tensor("on_value", NUMS_BOOL).domain('T').constant().or(Int(1)),
        tensor("off_value", NUMS_BOOL).domain('T').constant().or(Int(0)),
    ],
)];

/// The value to fill with; 0 of dtype fp32 unless it is given.
fn value(args: &Args<'_>) -> Result<Tensor, Fault> {
    if !args.has("value") {
        return Ok(Tensor::scalar(Fp32, 0.0));
    }
    single(args, "value")
}

/// The one element of a parameter.
fn single(args: &Args<'_>, param: &'static str) -> Result<Tensor, Fault> {
    let t = args.tensor(param)?;
    if t.len() == 1 { Ok(t.clone()) } else { Err(bad_value(args, param, "it must be one number")) }
}

fn dtype_of_value(args: &Args<'_>) -> DType {
    args.opt_ty("value").map_or(Fp32, |t| t.dtype)
}

fn infer_fill(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let rank = length(args, "shape")?;
    let dtype = dtype_of_value(args);
    match (args.ints("shape"), rank) {
        (Some(dims), _) => result(args, dtype, dims_of(args, "shape", &dims)?),
        (None, Dim::Known(n)) => result(args, dtype, Shape::unknown(n.min(MAX_RANK as u64 + 1) as usize)),
        (None, Dim::Unknown) => as_declared(args, "shape", dtype),
    }
}

fn infer_fill_like(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    result(args, dtype_of_value(args), args.ty("ref_tensor")?.shape.clone())
}

/// The value, at every place of the shape.
fn compute_fill(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = shape_of(&(args.op.infer)(args)?[0]);
    one(value(args)?.pick(&shape, offsets(0, &shape, &vec![0; shape.len()]))?)
}

fn fast_fill(args: &Args<'_>, _: &[Type]) -> Ready {
    let value = value(args)?;
    for_bits!(value.dtype(), E => {
        let value = bits::<E>(&value)[0];
        ready(move |run| run.write(0).fill(value))
    })
}

/// The length of the range. It is computed in the dtype, as NumPy does, since a quotient that rounds to a whole
/// number decides whether `end` itself is left out.
fn range_length(args: &Args<'_>, start: f64, end: f64, step: f64) -> Result<u64, Fault> {
    let rounded = |v: f64| match args.opt_ty("start").map(|t| t.dtype) {
        Some(Fp16) => f16::from_f32(v as f32).to_f64(),
        Some(Fp32) => f64::from(v as f32),
        _ => v,
    };
    if step == 0.0 {
        return Err(bad_value(args, "step", "it is 0"));
    }
    let steps = rounded(rounded(end - start) / step).ceil();
    if steps.is_nan() {
        return Err(bad_value(args, "step", "the range is not a number of steps long"));
    }
    if steps > MAX_ELEMENTS as f64 {
        return Err(Fault::new(
            &codes::TENSOR_TOO_LARGE,
            format!("the range from {start} to {end} by {step} has too many elements"),
        ));
    }
    Ok(steps.max(0.0) as u64)
}

fn infer_range(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let dtype = args.ty("start")?.dtype;
    let bounds = (args.float("start"), args.float("end"), args.float("step"));
    let count = match bounds {
        (Some(start), Some(end), Some(step)) => Dim::Known(range_length(args, start, end, step)?),
        _ => Dim::Unknown,
    };
    result(args, dtype, [count].into_iter().collect())
}

fn compute_range(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let dtype = args.ty("start")?.dtype;
    let number = |param| single(args, param).map(|t| t.to_f64s()[0]);
    let (start, step) = (number("start")?, number("step")?);
    let count = range_length(args, start, number("end")?, step)? as usize;
    let values: Vec<f64> = (0..count).map(|i| start + i as f64 * step).collect();
    one(Tensor::from_f64s(dtype, &[count], &values)?)
}

fn fast_range(args: &Args<'_>, _: &[Type]) -> Ready {
    let number = |param| single(args, param).map(|t| t.to_f64s()[0]);
    let (start, step) = (number("start")?, number("step")?);
    let at = move |i: usize| start + i as f64 * step;
    match args.ty("start")?.dtype {
        Fp32 => ready(move |run| run.write(0).iter_mut().enumerate().for_each(|(i, y)| *y = at(i) as f32)),
        Int32 => ready(move |run| run.write(0).iter_mut().enumerate().for_each(|(i, y)| *y = at(i) as i32)),
        _ => Ok(None),
    }
}

/// The values on and off the marked places, of one dtype: that of the one that is given, or int32.
fn on_and_off(args: &Args<'_>) -> Result<(Tensor, Tensor), Fault> {
    let dtype = hot_dtype(args);
    let number =
        |param, or: f64| if args.has(param) { single(args, param) } else { Ok(Tensor::scalar(dtype, or)) };
    Ok((number("on_value", 1.0)?, number("off_value", 0.0)?))
}

fn hot_dtype(args: &Args<'_>) -> DType {
    args.opt_ty("on_value").or(args.opt_ty("off_value")).map_or(Int32, |t| t.dtype)
}

fn infer_one_hot(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let indices = args.ty("indices")?;
    let axis = known_axis(args, "axis", indices.rank() + 1)?;
    let size = match args.int("one_hot_vector_size") {
        Some(n) => Dim::Known(
            u64::try_from(n)
                .map_err(|_| bad_value(args, "one_hot_vector_size", format_args!("{n} is negative")))?,
        ),
        None => Dim::Unknown,
    };
    let mut dims = indices.shape.to_vec();
    dims.insert(axis, size);
    result(args, hot_dtype(args), dims.into_iter().collect())
}

/// An index that lies outside the vector marks nothing.
fn compute_one_hot(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let types = infer_one_hot(args)?;
    let shape = shape_of(&types[0]);
    let indices = args.tensor("indices")?;
    let axis = known_axis(args, "axis", shape.len())?;
    let (on, off) = on_and_off(args)?;
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let marks = indices.to_i64s();
    let places = (0..marks.len() * size).map(|at| {
        let (outer, place, i) = (at / inner / size, at / inner % size, at % inner);
        usize::from(marks[outer * inner + i] == place as i64)
    });
    one(joined(&[&off, &on])?.pick(&shape, places)?)
}

fn fast_one_hot(args: &Args<'_>, types: &[Type]) -> Ready {
    let shape = shape_of(&types[0]);
    let axis = known_axis(args, "axis", shape.len())?;
    let (on, off) = on_and_off(args)?;
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let marks = Numbers::<i64>::of(args, "indices")?;
    for_bits!(on.dtype(), E => {
        let (one, zero) = (bits::<E>(&on)[0], bits::<E>(&off)[0]);
        ready(move |run| {
            let marks = marks.read(run);
            let to = run.write(0);
            to.fill(zero);
            for (at, mark) in marks.iter().enumerate() {
                if let Some(place) = usize::try_from(*mark).ok().filter(|&place| place < size) {
                    to[(at / inner * size + place) * inner + at % inner] = one;
                }
            }
        })
    })
}

const ONE: Results = Results::Exactly(1);

pub(super) static OPS: &[Op] = &[
    Op {
        fast: Fast::Prepared(fast_fill),
        ..exact("fill", "a tensor of one value", FILL, ONE, infer_fill, compute_fill)
    },
    Op {
        fast: Fast::Prepared(fast_fill),
        ..exact(
            "fill_like",
            "a tensor of one value, shaped like another",
            FILL_LIKE,
            ONE,
            infer_fill_like,
            compute_fill,
        )
    },
    Op {
        fast: Fast::Prepared(fast_range),
        ..exact(
            "range_1d",
            "the numbers from start up to end, by steps",
            RANGE_1D,
            ONE,
            infer_range,
            compute_range,
        )
    },
    Op {
        fast: Fast::Prepared(fast_one_hot),
        ..exact(
            "one_hot",
            "vectors that are on at an index and off elsewhere",
            ONE_HOT,
            ONE,
            infer_one_hot,
            compute_one_hot,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn fill_repeats_a_value() {
        check("fill", Ios15, &[("shape", vec32(&[2, 1]))], &[f32s(&[2, 1], &[0.0, 0.0])]);
        check("fill", Ios15, &[("shape", vec32(&[2])), ("value", int(7))], &[vec32(&[7, 7])]);
        check("fill", Ios15, &[("shape", vec32(&[])), ("value", flag(true))], &[flag(true)]);
        check("fill", Ios15, &[("shape", vec32(&[0, 2]))], &[f32s(&[0, 2], &[])]);
        refuse("fill", Ios15, &[("shape", vec32(&[-1]))], "bad-value");
        refuse("fill", Ios15, &[("shape", vec32(&[i32::MAX, i32::MAX]))], "tensor-too-large");
        refuse("fill", Ios15, &[("shape", vec32(&[i32::MAX, i32::MAX, 0]))], "tensor-too-large");
        refuse("fill", Ios15, &[("shape", vec32(&[1; 65]))], "wrong-rank");
        refuse("fill", Ios15, &[("shape", vec32(&[1])), ("value", vec32(&[1, 2]))], "bad-value");
        let like = [("ref_tensor", vec32(&[1, 2])), ("value", f16s(&[], &[0.5]))];
        check("fill_like", Ios16, &like, &[f16s(&[2], &[0.5, 0.5])]);
        check("fill_like", Ios16, &like[..1], &[f32s(&[2], &[0.0, 0.0])]);
    }

    #[test]
    fn range_1d_counts_by_steps() {
        let counts = |start: Datum, end: Datum, step: Datum, expected: Datum| {
            check("range_1d", Ios15, &[("start", start), ("end", end), ("step", step)], &[expected]);
        };
        counts(int(0), int(3), int(1), vec32(&[0, 1, 2]));
        counts(int(5), int(0), int(-2), vec32(&[5, 3, 1]));
        counts(int(3), int(0), int(1), vec32(&[]));
        counts(int(i32::MIN), int(i32::MAX), int(i32::MAX), vec32(&[i32::MIN, -1, i32::MAX - 1]));
        let f = |v: f32| f32s(&[], &[v]);
        // np.arange(np.float32(0), np.float32(0.3), np.float32(0.1)) has 3 elements: the quotient rounds to 3.
        counts(f(0.0), f(0.3), f(0.1), f32s(&[3], &[0.0, 0.1, 0.2]));
        counts(f(1.0), f(2.5), f(0.5), f32s(&[3], &[1.0, 1.5, 2.0]));
        let h = |v: f32| f16s(&[], &[v]);
        counts(h(0.0), h(0.25), h(0.1), f16s(&[3], &[0.0, 0.1, 0.2]));
        let no = |start: Datum, end: Datum, step: Datum, code| {
            refuse("range_1d", Ios15, &[("start", start), ("end", end), ("step", step)], code);
        };
        no(int(0), int(1), int(0), "bad-value");
        no(f(0.0), f(f32::NAN), f(1.0), "bad-value");
        no(f(0.0), f(f32::MAX), f(1.0), "tensor-too-large");
    }

    #[test]
    fn one_hot_marks_a_place() {
        let hot = |line: &[(&'static str, Datum)], expected: Datum| {
            let x = [("indices", vec32(&[1, 0])), ("one_hot_vector_size", int(3))];
            check("one_hot", Ios15, &[&x, line].concat(), &[expected]);
        };
        hot(&[], i32s(&[2, 3], &[0, 1, 0, 1, 0, 0]));
        hot(&[("axis", int(0))], i32s(&[3, 2], &[0, 1, 1, 0, 0, 0]));
        hot(&[("axis", int(-2))], i32s(&[3, 2], &[0, 1, 1, 0, 0, 0]));
        let on = ("on_value", f32s(&[], &[5.0]));
        hot(std::slice::from_ref(&on), f32s(&[2, 3], &[0.0, 5.0, 0.0, 5.0, 0.0, 0.0]));
        hot(&[on, ("off_value", f32s(&[], &[-1.0]))], f32s(&[2, 3], &[-1.0, 5.0, -1.0, 5.0, -1.0, -1.0]));
        let x = [("indices", vec32(&[-1, 9])), ("one_hot_vector_size", int(2))];
        check("one_hot", Ios15, &x, &[i32s(&[2, 2], &[0; 4])]);
        let x = [("indices", int(1)), ("one_hot_vector_size", int(2))];
        check("one_hot", Ios15, &x, &[vec32(&[0, 1])]);
        let x = [("indices", vec32(&[1])), ("one_hot_vector_size", int(0))];
        check("one_hot", Ios15, &x, &[i32s(&[1, 0], &[])]);
        let x = [("indices", vec32(&[])), ("one_hot_vector_size", int(2)), ("axis", int(0))];
        check("one_hot", Ios15, &x, &[i32s(&[2, 0], &[])]);
        let x = [("indices", int(1)), ("one_hot_vector_size", int(-2))];
        refuse("one_hot", Ios15, &x, "bad-value");
        let x = [("indices", int(1)), ("one_hot_vector_size", int(2)), ("axis", int(1))];
        refuse("one_hot", Ios15, &x, "index-out-of-range");
    }
}
