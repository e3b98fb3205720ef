//! The elementwise ops on vectors of fp16 and fp32.

use anemone_kernels::binary::{
    Binary, Comparison, Operand, binary as apply_binary, compare as apply_compare, map as zip,
};
use anemone_kernels::math::{Unary, map, unary as apply_unary};
use anemone_kernels::threads::parallel_chunks;
use anemone_kernels::{Float as _, layout};

use crate::ops::fast::{Found, bits, elements, filled, for_bits, for_float, moved};
use crate::ops::loops::{number, shape_of, stretched};
use crate::ops::row::*;
use crate::types::{Element, f16};

/// The kernel of an op of `x`, and of scalars beside it.
fn kernel(args: &Args<'_>) -> Result<Option<Unary>, Fault> {
    let scalar = |param| number(args, param).map(|v| v as f32);
    Ok(Some(match args.op.name {
        "abs" => Unary::Abs,
        "ceil" => Unary::Ceil,
        "clip" => Unary::Clip { low: scalar("alpha")?, high: scalar("beta")? },
        "cos" => Unary::Cos,
        "elu" => Unary::Elu { alpha: scalar("alpha")? },
        "erf" => Unary::Erf,
        "exp" => Unary::Exp,
        "exp2" => Unary::Exp2,
        "floor" => Unary::Floor,
        "gelu" => match args.str("mode") {
            Some("TANH_APPROXIMATION") => Unary::GeluTanh,
            Some("SIGMOID_APPROXIMATION") => Unary::GeluSigmoid,
            _ => Unary::Gelu,
        },
        "inverse" => Unary::Inverse { epsilon: scalar("epsilon")? },
        "leaky_relu" => Unary::LeakyRelu { alpha: scalar("alpha")? },
        "linear_activation" => Unary::Linear { alpha: scalar("alpha")?, beta: scalar("beta")? },
        "log" => Unary::Log { epsilon: scalar("epsilon")? },
        "relu" => Unary::Relu,
        "relu6" => Unary::Clip { low: 0.0, high: 6.0 },
        "round" => Unary::Round,
        "rsqrt" => Unary::Rsqrt { epsilon: scalar("epsilon")? },
        "scaled_tanh" => Unary::ScaledTanh { alpha: scalar("alpha")?, beta: scalar("beta")? },
        "sigmoid" => Unary::Sigmoid,
        "sigmoid_hard" => Unary::SigmoidHard { alpha: scalar("alpha")?, beta: scalar("beta")? },
        "sign" => Unary::Sign,
        "silu" => Unary::Silu,
        "sin" => Unary::Sin,
        "softplus" => Unary::Softplus,
        "softsign" => Unary::Softsign,
        "sqrt" => Unary::Sqrt,
        "square" => Unary::Square,
        "tanh" => Unary::Tanh,
        "threshold" => Unary::Clip { low: scalar("alpha")?, high: f32::INFINITY },
        "thresholded_relu" => Unary::ThresholdedRelu { alpha: scalar("alpha")? },
        _ => return Ok(None),
    }))
}

/// An op of `x`: by its kernel, or else by its scalar function on several threads.
pub(in crate::ops) fn unary(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let x = args.tensor("x")?;
    if x.dtype() == Int32 {
        return unary_of_ints(args, types, context);
    }
    for_float!(x.dtype(), T => {
        let x = elements::<T>(x);
        match (kernel(args)?, args.op.scalar) {
            (Some(f), _) => filled(types, |y: &mut [T]| apply_unary(context.threads, y, x, f)),
            (None, Scalar::Unary(f)) => filled(types, |y: &mut [T]| {
                map(context.threads, y, x, |v| f(f64::from(v)) as f32);
            }),
            _ => Ok(None),
        }
    })
}

/// An op of whole numbers, which wrap around.
fn unary_of_ints(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (x, threads) = (elements::<i32>(args.tensor("x")?), context.threads);
    match args.op.name {
        "abs" => by_blocks(threads, types, x, each(i32::wrapping_abs)),
        "exp2" => by_blocks(
            threads,
            types,
            x,
            each(|x| if (0..32).contains(&x) { 1i32.wrapping_shl(x as u32) } else { 0 }),
        ),
        "sign" => by_blocks(threads, types, x, each(i32::signum)),
        "square" => by_blocks(threads, types, x, each(|x: i32| x.wrapping_mul(x))),
        "threshold" => {
            let alpha = number(args, "alpha")? as i32;
            by_blocks(threads, types, x, each(move |x: i32| x.max(alpha)))
        }
        _ => Ok(None),
    }
}

/// Two operands of an op, broadcast to its result, and a function of each pair of their elements.
fn zipped<A: bytemuck::Pod + Sync, Z: bytemuck::Pod + Send>(
    args: &Args<'_>,
    types: &[Type],
    context: &Context<'_>,
    f: impl Fn(A, A) -> Z + Sync,
) -> Found {
    let (x, y, shape) = (args.tensor("x")?, args.tensor("y")?, shape_of(&types[0]));
    let (over_x, over_y) = (stretched(x.shape(), &shape), stretched(y.shape(), &shape));
    let (x, y) = (Operand { data: bits(x), strides: &over_x }, Operand { data: bits(y), strides: &over_y });
    let Some(dtype) = types[0].as_tensor().map(|t| t.dtype) else { return Ok(None) };
    Ok(Some(vec![moved(dtype, &shape, |z: &mut [Z]| zip(context.threads, z, &shape, x, y, f))?]))
}

/// Arithmetic on whole numbers, which wrap around.
fn binary_of_ints(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    match (args.op.name, args.op.scalar) {
        ("add", _) => zipped(args, types, context, i32::wrapping_add),
        ("maximum", _) => zipped(args, types, context, |x: i32, y: i32| x.max(y)),
        ("minimum", _) => zipped(args, types, context, |x: i32, y: i32| x.min(y)),
        ("mul", _) => zipped(args, types, context, i32::wrapping_mul),
        ("sub", _) => zipped(args, types, context, i32::wrapping_sub),
        (_, Scalar::Binary(_, g)) => {
            zipped(args, types, context, |x: i32, y: i32| g(x.into(), y.into()) as i32)
        }
        _ => Ok(None),
    }
}

/// Quotients and remainders of floats, which are rounded once.
fn divided(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let Scalar::Binary(f, _) = args.op.scalar else { return Ok(None) };
    match args.tensor("x")?.dtype() {
        Fp32 => zipped(args, types, context, |x: f32, y: f32| f(x.into(), y.into()) as f32),
        Fp16 => zipped(args, types, context, |x: f16, y: f16| {
            f16::from_f64(Fp16.round(f(x.to_f32().into(), y.to_f32().into())))
        }),
        _ => Ok(None),
    }
}

/// An op of two bools.
pub(super) fn logical(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    match args.op.name {
        "logical_and" => zipped(args, types, context, |x: u8, y: u8| u8::from((x != 0) & (y != 0))),
        "logical_or" => zipped(args, types, context, |x: u8, y: u8| u8::from((x != 0) | (y != 0))),
        _ => zipped(args, types, context, |x: u8, y: u8| u8::from((x != 0) != (y != 0))),
    }
}

/// `logical_not`.
pub(super) fn not(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    bools(context.threads, types, args.tensor("x")?.bytes(), |x| x == 0)
}

/// An op of `x` and `y`.
pub(super) fn binary(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (a, b) = (args.tensor("x")?, args.tensor("y")?);
    if a.dtype() == Int32 {
        return binary_of_ints(args, types, context);
    }
    let f = match args.op.name {
        "add" => Binary::Add,
        "maximum" => Binary::Max,
        "minimum" => Binary::Min,
        "mul" => Binary::Mul,
        "pow" => Binary::Pow,
        "real_div" => Binary::Div,
        "sub" => Binary::Sub,
        _ => return divided(args, types, context),
    };
    let shape = shape_of(&types[0]);
    let (over_a, over_b) = (stretched(a.shape(), &shape), stretched(b.shape(), &shape));
    for_float!(a.dtype(), T => {
        let (x, y) = (elements::<T>(a), elements::<T>(b));
        // By far the most powers are squares.
        if f == Binary::Pow && y.len() == 1 && y[0] == T::from_f32(2.0) && x.len() == shape.iter().product::<usize>() {
            return filled(types, |z: &mut [T]| apply_unary(context.threads, z, x, Unary::Square));
        }
        let (x, y) = (Operand { data: x, strides: &over_a }, Operand { data: y, strides: &over_b });
        filled(types, |z: &mut [T]| apply_binary(context.threads, z, &shape, x, y, f))
    })
}

/// A comparison of `x` and `y`.
pub(super) fn compare(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (a, b) = (args.tensor("x")?, args.tensor("y")?);
    if a.dtype() == Int32 {
        return compare_ints(args, types, context);
    }
    let f = match args.op.name {
        "equal" => Comparison::Equal,
        "greater" => Comparison::Greater,
        "greater_equal" => Comparison::GreaterEqual,
        "less" => Comparison::Less,
        "less_equal" => Comparison::LessEqual,
        "not_equal" => Comparison::NotEqual,
        _ => return Ok(None),
    };
    let shape = shape_of(&types[0]);
    let (over_a, over_b) = (stretched(a.shape(), &shape), stretched(b.shape(), &shape));
    for_float!(a.dtype(), T => {
        let (x, y) = (elements::<T>(a), elements::<T>(b));
        let (x, y) = (Operand { data: x, strides: &over_a }, Operand { data: y, strides: &over_b });
        let compared = moved(DType::Bool, &shape, |z: &mut [u8]| {
            apply_compare(context.threads, z, &shape, x, y, f);
        })?;
        Ok(Some(vec![compared]))
    })
}

/// A comparison of whole numbers.
fn compare_ints(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    match args.op.name {
        "equal" => zipped(args, types, context, |x: i32, y: i32| u8::from(x == y)),
        "greater" => zipped(args, types, context, |x: i32, y: i32| u8::from(x > y)),
        "greater_equal" => zipped(args, types, context, |x: i32, y: i32| u8::from(x >= y)),
        "less" => zipped(args, types, context, |x: i32, y: i32| u8::from(x < y)),
        "less_equal" => zipped(args, types, context, |x: i32, y: i32| u8::from(x <= y)),
        "not_equal" => zipped(args, types, context, |x: i32, y: i32| u8::from(x != y)),
        _ => Ok(None),
    }
}

/// `select`, of any dtype of whole bytes.
pub(super) fn select(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (cond, a, b) = (args.tensor("cond")?, args.tensor("a")?, args.tensor("b")?);
    if a.dtype() != b.dtype() || cond.dtype() != DType::Bool {
        return Ok(None);
    }
    let shape = shape_of(&types[0]);
    let over = |t: &Tensor| stretched(t.shape(), &shape);
    Ok(for_bits!(a.dtype(), E => {
        let chosen = moved(a.dtype(), &shape, |to: &mut [E]| {
            let (cond, over_cond) = (cond.bytes(), over(cond));
            let (a, b) = ((bits(a), &over(a)[..]), (bits(b), &over(b)[..]));
            layout::select(context.threads, to, &shape, (cond, &over_cond), a, b);
        })?;
        Some(vec![chosen])
    }))
}

/// How many elements are cast at a time.
const BLOCK: usize = 1 << 12;

/// `cast`. Floats are cut toward zero and held to the range of a whole-number dtype; whole numbers wrap around.
pub(super) fn cast(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let x = args.tensor("x")?;
    let Some(to) = types[0].as_tensor().map(|t| t.dtype) else { return Ok(None) };
    let threads = context.threads;
    match (x.dtype(), to) {
        (from, to) if from == to => Ok(Some(vec![x.clone().into()])),
        (Fp16, Fp32) => by_blocks(threads, types, elements(x), |y: &mut [f32], x| f16::widen(y, x)),
        (Fp32, Fp16) => by_blocks(threads, types, elements(x), |y: &mut [f16], x| f16::narrow(y, x)),
        (Fp16, _) => from_float(threads, types, to, elements(x), f16::to_f32),
        (Fp32, _) => from_float(threads, types, to, elements(x), |v: f32| v),
        (Int8, _) => from_int(threads, types, to, elements(x), |v: i8| v.into()),
        (Int16, _) => from_int(threads, types, to, elements(x), |v: i16| v.into()),
        (Int32, _) => from_int(threads, types, to, elements(x), |v: i32| v),
        (UInt8, _) => from_int(threads, types, to, elements(x), |v: u8| v.into()),
        (UInt16, _) => from_int(threads, types, to, elements(x), |v: u16| v.into()),
        (DType::Bool, _) => from_int(threads, types, to, x.bytes(), |v| i32::from(v != 0)),
        _ => Ok(None),
    }
}

/// Floats as whole numbers or bools.
fn from_float<A: Copy + Sync>(
    threads: usize,
    types: &[Type],
    to: DType,
    x: &[A],
    wide: impl Fn(A) -> f32 + Sync,
) -> Found {
    match to {
        Int8 => by_blocks(threads, types, x, each(|v| wide(v) as i8)),
        Int16 => by_blocks(threads, types, x, each(|v| wide(v) as i16)),
        Int32 => by_blocks(threads, types, x, each(|v| wide(v) as i32)),
        UInt8 => by_blocks(threads, types, x, each(|v| wide(v) as u8)),
        UInt16 => by_blocks(threads, types, x, each(|v| wide(v) as u16)),
        DType::Bool => bools(threads, types, x, |v| wide(v) != 0.0),
        _ => Ok(None),
    }
}

/// Whole numbers, which 32 bits hold, in another dtype.
fn from_int<A: Copy + Sync>(
    threads: usize,
    types: &[Type],
    to: DType,
    x: &[A],
    wide: impl Fn(A) -> i32 + Sync,
) -> Found {
    match to {
        // A whole number that `f32` cannot hold exactly is infinite in fp16.
        Fp16 => by_blocks(threads, types, x, each(|v| f16::from_f32(wide(v) as f32))),
        Fp32 => by_blocks(threads, types, x, each(|v| wide(v) as f32)),
        Int8 => by_blocks(threads, types, x, each(|v| wide(v) as i8)),
        Int16 => by_blocks(threads, types, x, each(|v| wide(v) as i16)),
        Int32 => by_blocks(threads, types, x, each(&wide)),
        UInt8 => by_blocks(threads, types, x, each(|v| wide(v) as u8)),
        UInt16 => by_blocks(threads, types, x, each(|v| wide(v) as u16)),
        DType::Bool => bools(threads, types, x, |v| wide(v) != 0),
        _ => Ok(None),
    }
}

/// Whether something holds of each element.
fn bools<A: Copy + Sync>(threads: usize, types: &[Type], x: &[A], f: impl Fn(A) -> bool + Sync) -> Found {
    let y = moved(DType::Bool, &shape_of(&types[0]), |y: &mut [u8]| {
        parallel_chunks(threads, y, BLOCK, 8, |i, y| each(|x| u8::from(f(x)))(y, &x[i * BLOCK..]));
    })?;
    Ok(Some(vec![y]))
}

/// A function of slices from one of elements.
fn each<A: Copy, B>(f: impl Fn(A) -> B) -> impl Fn(&mut [B], &[A]) {
    move |y, x| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x))
}

/// The result of a function of slices of the same length.
fn by_blocks<A: Sync, B: Element + Send>(
    threads: usize,
    types: &[Type],
    x: &[A],
    f: impl Fn(&mut [B], &[A]) + Sync,
) -> Found {
    filled(types, |y: &mut [B]| {
        parallel_chunks(threads, y, BLOCK, 8, |i, y| f(y, &x[i * BLOCK..][..y.len()]));
    })
}
