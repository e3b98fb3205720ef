//! The elementwise ops on vectors of fp16 and fp32.

use anemone_kernels::binary::{
    Binary, Comparison, Operand, binary as apply_binary, compare as apply_compare,
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

/// An op of `x` and `y`.
pub(super) fn binary(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let (a, b) = (args.tensor("x")?, args.tensor("y")?);
    let f = match args.op.name {
        "add" => Binary::Add,
        "maximum" => Binary::Max,
        "minimum" => Binary::Min,
        "mul" => Binary::Mul,
        "pow" => Binary::Pow,
        "real_div" => Binary::Div,
        "sub" => Binary::Sub,
        _ => return Ok(None),
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

/// `cast` between fp16, fp32, int32 and bool.
pub(super) fn cast(args: &Args<'_>, types: &[Type], context: &Context<'_>) -> Found {
    let x = args.tensor("x")?;
    let Some(to) = types[0].as_tensor().map(|t| t.dtype) else { return Ok(None) };
    if to == x.dtype() {
        return Ok(Some(vec![x.clone().into()]));
    }
    let threads = context.threads;
    match (x.dtype(), to) {
        (Fp16, Fp32) => by_blocks(threads, types, elements(x), |y: &mut [f32], x| f16::widen(y, x)),
        (Fp32, Fp16) => by_blocks(threads, types, elements(x), |y: &mut [f16], x| f16::narrow(y, x)),
        // A whole number that `f32` cannot hold exactly is infinite in fp16.
        (Int32, Fp16) => by_blocks(threads, types, elements(x), each(|v: i32| f16::from_f32(v as f32))),
        (Int32, Fp32) => by_blocks(threads, types, elements(x), each(|v: i32| v as f32)),
        (Fp16, Int32) => by_blocks(threads, types, elements(x), each(|v: f16| v.to_f32() as i32)),
        (Fp32, Int32) => by_blocks(threads, types, elements(x), each(|v: f32| v as i32)),
        (DType::Bool, Fp16) => {
            by_blocks(threads, types, x.bytes(), each(|v| if v != 0 { f16::ONE } else { f16::ZERO }))
        }
        (DType::Bool, Fp32) => by_blocks(threads, types, x.bytes(), each(f32::from)),
        (DType::Bool, Int32) => by_blocks(threads, types, x.bytes(), each(i32::from)),
        _ => Ok(None),
    }
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
