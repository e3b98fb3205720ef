//! The elementwise ops on vectors of fp16 and fp32.

use anemone_kernels::binary::{
    Binary, Comparison, Operand, binary as apply_binary, compare as apply_compare, map as zip,
};
use anemone_kernels::math::{Unary, map, unary as apply_unary};
use anemone_kernels::threads::parallel_chunks;
use anemone_kernels::{Float as _, layout};

use crate::ops::fast::{Following, Ready, dims, for_bits, for_float, ready};
use crate::ops::loops::{number, shape_of, stretched};
use crate::ops::row::*;
use crate::types::f16;

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
pub(in crate::ops) fn unary(args: &Args<'_>, _: &[Type]) -> Ready {
    let (dtype, x) = (args.ty("x")?.dtype, args.reader("x")?);
    if dtype == Int32 {
        return if args.after.is_empty() { unary_of_ints(args, x) } else { Ok(None) };
    }
    for_float!(dtype, T => match (kernel(args)?, args.op.scalar) {
        (Some(f), _) => {
            let following = Following::of(args);
            ready(move |run| {
                let (x, stages) = (run.read::<T>(&x), following.stages(run));
                apply_unary(run.threads, run.write(0), x, f, &stages);
            })
        }
        (None, Scalar::Unary(f)) if args.after.is_empty() => ready(move |run| {
            let x: &[T] = run.read(&x);
            map(run.threads, run.write(0), x, |v| f(f64::from(v)) as f32);
        }),
        _ => Ok(None),
    })
}

/// An op of whole numbers, which wrap around.
fn unary_of_ints(args: &Args<'_>, x: Reader) -> Ready {
    match args.op.name {
        "abs" => by_blocks(x, each(i32::wrapping_abs)),
        "exp2" => by_blocks(x, each(|x| if (0..32).contains(&x) { 1i32.wrapping_shl(x as u32) } else { 0 })),
        "sign" => by_blocks(x, each(i32::signum)),
        "square" => by_blocks(x, each(|x: i32| x.wrapping_mul(x))),
        "threshold" => {
            let alpha = number(args, "alpha")? as i32;
            by_blocks(x, each(move |x: i32| x.max(alpha)))
        }
        _ => Ok(None),
    }
}

/// An operand that is broadcast to the shape of the result.
struct Stretched {
    reader: Reader,
    strides: Vec<usize>,
}

impl Stretched {
    fn of(args: &Args<'_>, param: &'static str, shape: &[usize]) -> Result<Self, Fault> {
        Ok(Self { reader: args.reader(param)?, strides: stretched(&dims(args, param)?, shape) })
    }

    fn read<'b, 'd: 'b, T: bytemuck::Pod>(&'b self, run: &Run<'_, 'd>) -> Operand<'b, T> {
        Operand { data: run.read(&self.reader), strides: &self.strides }
    }
}

/// Two operands of an op, broadcast to its result, and a function of each pair of their elements.
pub(in crate::ops) fn zipped<A: bytemuck::Pod + Sync, Z: bytemuck::Pod + Send>(
    args: &Args<'_>,
    types: &[Type],
    f: impl Fn(A, A) -> Z + Send + Sync + 'static,
) -> Ready {
    let shape = shape_of(&types[0]);
    let (x, y) = (Stretched::of(args, "x", &shape)?, Stretched::of(args, "y", &shape)?);
    ready(move |run| {
        let (x, y) = (x.read(run), y.read(run));
        zip::<A, Z>(run.threads, run.write(0), &shape, x, y, &f);
    })
}

/// Arithmetic on whole numbers, which wrap around.
fn binary_of_ints(args: &Args<'_>, types: &[Type]) -> Ready {
    match (args.op.name, args.op.scalar) {
        ("add", _) => zipped(args, types, i32::wrapping_add),
        ("maximum", _) => zipped(args, types, |x: i32, y: i32| x.max(y)),
        ("minimum", _) => zipped(args, types, |x: i32, y: i32| x.min(y)),
        ("mul", _) => zipped(args, types, i32::wrapping_mul),
        ("sub", _) => zipped(args, types, i32::wrapping_sub),
        (_, Scalar::Binary(_, g)) => zipped(args, types, move |x: i32, y: i32| g(x.into(), y.into()) as i32),
        _ => Ok(None),
    }
}

/// Quotients and remainders of floats, which are rounded once.
fn divided(args: &Args<'_>, types: &[Type]) -> Ready {
    let Scalar::Binary(f, _) = args.op.scalar else { return Ok(None) };
    match args.ty("x")?.dtype {
        Fp32 => zipped(args, types, move |x: f32, y: f32| f(x.into(), y.into()) as f32),
        Fp16 => zipped(args, types, move |x: f16, y: f16| {
            f16::from_f64(Fp16.round(f(x.to_f32().into(), y.to_f32().into())))
        }),
        _ => Ok(None),
    }
}

/// An op of two bools.
pub(super) fn logical(args: &Args<'_>, types: &[Type]) -> Ready {
    match args.op.name {
        "logical_and" => zipped(args, types, |x: u8, y: u8| u8::from((x != 0) & (y != 0))),
        "logical_or" => zipped(args, types, |x: u8, y: u8| u8::from((x != 0) | (y != 0))),
        _ => zipped(args, types, |x: u8, y: u8| u8::from((x != 0) != (y != 0))),
    }
}

/// `logical_not`.
pub(super) fn not(args: &Args<'_>, _: &[Type]) -> Ready {
    by_blocks(args.reader("x")?, each(|x: u8| u8::from(x == 0)))
}

/// The kernel of an op of `x` and `y`.
fn binary_kernel(args: &Args<'_>) -> Option<Binary> {
    Some(match args.op.name {
        "add" => Binary::Add,
        "maximum" => Binary::Max,
        "minimum" => Binary::Min,
        "mul" => Binary::Mul,
        "pow" => Binary::Pow,
        "real_div" => Binary::Div,
        "sub" => Binary::Sub,
        _ => return None,
    })
}

/// What the kernel of another op can do after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    /// A function of `x`, which is the only argument that is not constant.
    Unary(Unary),
    /// A function of `x` and `y`.
    Binary(Binary),
}

/// The function of an elementwise op of floats, if a kernel has it.
pub(crate) fn function(args: &Args<'_>) -> Option<Function> {
    let floats = args.ty("x").is_ok_and(|ty| matches!(ty.dtype, Fp16 | Fp32));
    if !floats || !matches!(args.op.fast, Fast::Finishing(_)) {
        return None;
    }
    let unary = kernel(args).ok().flatten().map(Function::Unary);
    unary.or_else(|| binary_kernel(args).map(Function::Binary))
}

/// An op of `x` and `y`.
pub(super) fn binary(args: &Args<'_>, types: &[Type]) -> Ready {
    let dtype = args.ty("x")?.dtype;
    if dtype == Int32 {
        return if args.after.is_empty() { binary_of_ints(args, types) } else { Ok(None) };
    }
    let Some(f) = binary_kernel(args) else {
        return if args.after.is_empty() { divided(args, types) } else { Ok(None) };
    };
    let shape = shape_of(&types[0]);
    let two = |t: &Tensor| t.len() == 1 && t.to_f64s()[0] == 2.0;
    // By far the most powers are squares.
    let squares = f == Binary::Pow && args.value("y").is_some_and(two) && dims(args, "x")? == shape;
    let (f, second) = if squares { (Binary::Mul, "x") } else { (f, "y") };
    let (x, y) = (Stretched::of(args, "x", &shape)?, Stretched::of(args, second, &shape)?);
    let following = Following::of(args);
    for_float!(dtype, T => ready(move |run| {
        let (x, y, stages) = (x.read::<T>(run), y.read(run), following.stages(run));
        apply_binary(run.threads, run.write(0), &shape, x, y, f, &stages);
    }))
}

/// A comparison of `x` and `y`.
pub(super) fn compare(args: &Args<'_>, types: &[Type]) -> Ready {
    let dtype = args.ty("x")?.dtype;
    if dtype == Int32 {
        return compare_ints(args, types);
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
    let (x, y) = (Stretched::of(args, "x", &shape)?, Stretched::of(args, "y", &shape)?);
    for_float!(dtype, T => ready(move |run| {
        let (x, y) = (x.read::<T>(run), y.read(run));
        apply_compare(run.threads, run.write(0), &shape, x, y, f);
    }))
}

/// A comparison of whole numbers.
fn compare_ints(args: &Args<'_>, types: &[Type]) -> Ready {
    match args.op.name {
        "equal" => zipped(args, types, |x: i32, y: i32| u8::from(x == y)),
        "greater" => zipped(args, types, |x: i32, y: i32| u8::from(x > y)),
        "greater_equal" => zipped(args, types, |x: i32, y: i32| u8::from(x >= y)),
        "less" => zipped(args, types, |x: i32, y: i32| u8::from(x < y)),
        "less_equal" => zipped(args, types, |x: i32, y: i32| u8::from(x <= y)),
        "not_equal" => zipped(args, types, |x: i32, y: i32| u8::from(x != y)),
        _ => Ok(None),
    }
}

/// `select`, of any dtype of whole bytes.
pub(super) fn select(args: &Args<'_>, types: &[Type]) -> Ready {
    let dtype = args.ty("a")?.dtype;
    if dtype != args.ty("b")?.dtype || args.ty("cond")?.dtype != DType::Bool {
        return Ok(None);
    }
    let shape = shape_of(&types[0]);
    let of = |param| Stretched::of(args, param, &shape);
    let (cond, a, b) = (of("cond")?, of("a")?, of("b")?);
    for_bits!(dtype, E => ready(move |run| {
        let (a, b) = ((run.read::<E>(&a.reader), &a.strides[..]), (run.read(&b.reader), &b.strides[..]));
        let cond = (run.read(&cond.reader), &cond.strides[..]);
        layout::select(run.threads, run.write(0), &shape, cond, a, b);
    }))
}

/// How many elements are cast at a time.
const BLOCK: usize = 1 << 12;

/// `cast`. Floats are cut toward zero and held to the range of a whole-number dtype; whole numbers wrap around.
pub(super) fn cast(args: &Args<'_>, types: &[Type]) -> Ready {
    let (from, x) = (args.ty("x")?.dtype, args.reader("x")?);
    let Some(to) = types[0].as_tensor().map(|t| t.dtype) else { return Ok(None) };
    match (from, to) {
        (from, to) if from == to => by_blocks(x, |y: &mut [u8], x: &[u8]| y.copy_from_slice(x)),
        (Fp16, Fp32) => by_blocks(x, |y: &mut [f32], x| f16::widen(y, x)),
        (Fp32, Fp16) => by_blocks(x, |y: &mut [f16], x| f16::narrow(y, x)),
        (Fp16, _) => from_float(x, to, f16::to_f32),
        (Fp32, _) => from_float(x, to, |v: f32| v),
        (Int8, _) => from_int(x, to, |v: i8| v.into()),
        (Int16, _) => from_int(x, to, |v: i16| v.into()),
        (Int32, _) => from_int(x, to, |v: i32| v),
        (UInt8, _) => from_int(x, to, |v: u8| v.into()),
        (UInt16, _) => from_int(x, to, |v: u16| v.into()),
        (DType::Bool, _) => from_int(x, to, |v: u8| i32::from(v != 0)),
        _ => Ok(None),
    }
}

/// Floats as whole numbers or bools.
fn from_float<A: bytemuck::Pod + Sync>(
    x: Reader,
    to: DType,
    wide: impl Fn(A) -> f32 + Send + Sync + 'static,
) -> Ready {
    match to {
        Int8 => by_blocks(x, each(move |v| wide(v) as i8)),
        Int16 => by_blocks(x, each(move |v| wide(v) as i16)),
        Int32 => by_blocks(x, each(move |v| wide(v) as i32)),
        UInt8 => by_blocks(x, each(move |v| wide(v) as u8)),
        UInt16 => by_blocks(x, each(move |v| wide(v) as u16)),
        DType::Bool => by_blocks(x, each(move |v| u8::from(wide(v) != 0.0))),
        _ => Ok(None),
    }
}

/// Whole numbers, which 32 bits hold, in another dtype.
fn from_int<A: bytemuck::Pod + Sync>(
    x: Reader,
    to: DType,
    wide: impl Fn(A) -> i32 + Send + Sync + 'static,
) -> Ready {
    match to {
        // A whole number that `f32` cannot hold exactly is infinite in fp16.
        Fp16 => by_blocks(x, each(move |v| f16::from_f32(wide(v) as f32))),
        Fp32 => by_blocks(x, each(move |v| wide(v) as f32)),
        Int8 => by_blocks(x, each(move |v| wide(v) as i8)),
        Int16 => by_blocks(x, each(move |v| wide(v) as i16)),
        Int32 => by_blocks(x, each(wide)),
        UInt8 => by_blocks(x, each(move |v| wide(v) as u8)),
        UInt16 => by_blocks(x, each(move |v| wide(v) as u16)),
        DType::Bool => by_blocks(x, each(move |v| u8::from(wide(v) != 0))),
        _ => Ok(None),
    }
}

/// A function of slices from one of elements.
fn each<A: Copy, B>(f: impl Fn(A) -> B) -> impl Fn(&mut [B], &[A]) {
    move |y, x| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x))
}

/// The result of a function of slices of the same length.
fn by_blocks<A: bytemuck::Pod + Sync, B: bytemuck::Pod + Send>(
    x: Reader,
    f: impl Fn(&mut [B], &[A]) + Send + Sync + 'static,
) -> Ready {
    ready(move |run| {
        let x: &[A] = run.read(&x);
        let threads = run.threads;
        parallel_chunks(threads, run.write::<B>(0), BLOCK, 8, |i, y| f(y, &x[i * BLOCK..][..y.len()]));
    })
}
