//! Matrix products: `linear`, `matmul`, `einsum`.
//!
//! Floats are summed in f64 and rounded once; whole numbers wrap around, as NumPy's do.

use std::num::Wrapping;
use std::ops::{Add, Mul};

use super::loops::{broadcast, stretched, walk};
use super::row::*;
use super::window::{not_known, room, zeros};

const LINEAR: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("weight", NUMS).domain('T').constant(),
            tensor("bias", NUMS).domain('T').constant().or(Absent),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("weight", NUMS).domain('U').constant(),
            tensor("bias", NUMS).domain('U').constant().or(Absent),
        ],
    ),
];

const MATMUL: &[Edition] = &[
    edition(
        Ios15,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("y", NUMS).domain('T'),
            tensor("transpose_x", BOOL).constant().or(Bool(false)),
            tensor("transpose_y", BOOL).constant().or(Bool(false)),
        ],
    ),
    edition(
        Ios17,
        &[
            tensor("x", NUMS).domain('T'),
            tensor("y", NUMS).domain('U'),
            tensor("transpose_x", BOOL).constant().or(Bool(false)),
            tensor("transpose_y", BOOL).constant().or(Bool(false)),
        ],
    ),
];

const EINSUM: &[Edition] = &[edition(
    Ios15,
    &[Parameter::new("values", Kind::Tuple, DTypes::of(FLOATS)), tensor("equation", STR).constant()],
)];

/// A number that products are summed in: f64, or whole numbers that wrap around.
trait Number: Copy + Default + Add<Output = Self> + Mul<Output = Self> {
    fn all(x: &Tensor) -> Vec<Self>;
    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault>;
}

impl Number for f64 {
    fn all(x: &Tensor) -> Vec<Self> {
        x.to_f64s()
    }

    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault> {
        Ok(Tensor::from_f64s(dtype, shape, &values)?)
    }
}

impl Number for Wrapping<i64> {
    fn all(x: &Tensor) -> Vec<Self> {
        x.to_i64s().into_iter().map(Wrapping).collect()
    }

    fn tensor(dtype: DType, shape: &[usize], values: Vec<Self>) -> Result<Tensor, Fault> {
        Ok(Tensor::from_i64s(dtype, shape, &values.into_iter().map(|v| v.0).collect::<Vec<_>>())?)
    }
}

/// The sum of the products of two rows.
fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::default(), |sum, (&a, &b)| sum + a * b)
}

/// The rows of a matrix: `count` of `len`, or the same stored column by column.
fn rows<T: Number>(matrix: &[T], count: usize, len: usize, transposed: bool) -> Vec<T> {
    if !transposed {
        return matrix.to_vec();
    }
    (0..count).flat_map(|i| (0..len).map(move |k| matrix[k * count + i])).collect()
}

fn infer_linear(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let (x, weight) = (args.ty("x")?, args.ty("weight")?);
    if weight.rank() != 2 {
        return Err(Fault::of(
            "weight",
            &codes::WRONG_RANK,
            format!("`weight` of `linear` has {} dimensions, where the op takes 2", weight.rank()),
        )
        .help("give the outputs, then the inputs"));
    }
    let Some(&inputs) = x.shape.last() else {
        return Err(Fault::of("x", &codes::WRONG_RANK, "`x` of `linear` is a scalar")
            .help("give a tensor whose last dimension is that of `weight`"));
    };
    if !inputs.fits(weight.shape[1]) {
        return Err(Fault::of(
            "x",
            &codes::SHAPE_MISMATCH,
            format!(
                "the last dimension of `x` is {inputs}, but `weight` of shape {} takes {} inputs",
                weight.shape, weight.shape[1]
            ),
        )
        .against("weight"));
    }
    if let Some(bias) = args.opt_ty("bias")
        && !(bias.rank() == 1 && bias.shape[0].fits(weight.shape[0]))
    {
        return Err(Fault::of(
            "bias",
            &codes::SHAPE_MISMATCH,
            format!(
                "`bias` of `linear` is of shape {}, where `weight` of shape {} needs [{}]",
                bias.shape, weight.shape, weight.shape[0]
            ),
        )
        .against("weight"));
    }
    let mut shape = x.shape.clone();
    shape[x.rank() - 1] = weight.shape[0];
    Ok(vec![Type::tensor(x.dtype, shape)])
}

fn compute_linear(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let (x, weight) = (args.tensor("x")?, args.tensor("weight")?);
    let all_whole = [Some(x), Some(weight), args.value("bias")].iter().flatten().all(|t| t.dtype().is_int());
    let y = if all_whole { linear::<Wrapping<i64>>(args) } else { linear::<f64>(args) }?;
    Ok(vec![y.into()])
}

fn linear<T: Number>(args: &Args<'_>) -> Result<Tensor, Fault> {
    infer_linear(args)?;
    let (x, weight) = (args.tensor("x")?, args.tensor("weight")?);
    let (outputs, inputs) = (weight.shape()[0], weight.shape()[1]);
    let mut shape = x.shape().to_vec();
    shape[x.rank() - 1] = outputs;
    let mut y = room(x.dtype(), &shape)?;
    if shape.contains(&0) {
        return T::tensor(x.dtype(), &shape, y);
    }
    let bias = if args.has("bias") { T::all(args.tensor("bias")?) } else { vec![T::default(); outputs] };
    let (xs, weights) = (T::all(x), T::all(weight));
    for row in 0..shape[..x.rank() - 1].iter().product() {
        let x = &xs[row * inputs..][..inputs];
        y.extend((0..outputs).map(|o| dot(x, &weights[o * inputs..][..inputs]) + bias[o]));
    }
    T::tensor(x.dtype(), &shape, y)
}

/// An operand of `matmul`: its shape with the last two dimensions as the product reads them.
struct Operand {
    batch: Shape,
    rows: Dim,
    columns: Dim,
    transposed: bool,
}

/// The operand `x` (`first`) or `y` of `matmul`. One of rank 1 is a row at the left and a column at the right.
fn operand(args: &Args<'_>, param: &'static str, flag: &'static str, first: bool) -> Result<Operand, Fault> {
    let ty = args.ty(param)?;
    let transposed = args.bool(flag).unwrap_or(false);
    let one = Dim::Known(1);
    match ty.rank() {
        0 => Err(Fault::of(param, &codes::WRONG_RANK, format!("`{param}` of `matmul` is a scalar"))
            .help("give a tensor of one or more dimensions, or use `mul`")),
        1 if transposed => Err(Fault::of(
            flag,
            &codes::BAD_VALUE,
            format!("`{flag}` of `matmul` is true, but `{param}` has one dimension"),
        )
        .against(param)
        .help(format!("leave out `{flag}`"))),
        1 => {
            let (rows, columns) = if first { (one, ty.shape[0]) } else { (ty.shape[0], one) };
            Ok(Operand { batch: Shape::scalar(), rows, columns, transposed: false })
        }
        rank => {
            let (mut rows, mut columns) = (ty.shape[rank - 2], ty.shape[rank - 1]);
            if transposed {
                std::mem::swap(&mut rows, &mut columns);
            }
            let batch = ty.shape[..rank - 2].iter().copied().collect();
            Ok(Operand { batch, rows, columns, transposed })
        }
    }
}

/// The operands of `matmul`, and the dimensions that its result has before the last two.
fn operands(args: &Args<'_>) -> Result<(Operand, Operand, Shape), Fault> {
    let x = operand(args, "x", "transpose_x", true)?;
    let y = operand(args, "y", "transpose_y", false)?;
    let (xs, ys) = (&args.ty("x")?.shape, &args.ty("y")?.shape);
    if !x.columns.fits(y.rows) {
        return Err(Fault::of(
            "y",
            &codes::SHAPE_MISMATCH,
            format!("`matmul` sums over {} elements of `x` {xs} and {} of `y` {ys}", x.columns, y.rows),
        )
        .against("x")
        .help("the columns of `x` and the rows of `y` must be as many; `transpose_x` and `transpose_y` swap them"));
    }
    let batch = broadcast(&x.batch, &y.batch).ok_or_else(|| {
        Fault::of(
            "y",
            &codes::SHAPE_MISMATCH,
            format!(
                "the batch {} of `y` does not broadcast with the batch {} of `x` in `matmul`",
                y.batch, x.batch
            ),
        )
        .against("x")
        .help("each dimension but the last two, counted from the last, must be equal or 1 on one side")
    })?;
    Ok((x, y, batch))
}

/// The dtype of the product: where the two differ, one must be constant, and it takes the dtype of the other.
fn product_dtype(args: &Args<'_>) -> Result<DType, Fault> {
    let (x, y) = (args.ty("x")?.dtype, args.ty("y")?.dtype);
    if x == y {
        return Ok(x);
    }
    match (args.value("x").is_some(), args.value("y").is_some()) {
        (false, true) => Ok(x),
        (true, false) => Ok(y),
        // When the program runs, every value is known, and what was inferred before stands.
        (true, true) => Ok(args.declared.first().and_then(Type::as_tensor).map_or(x, |t| t.dtype)),
        (false, false) => Err(Fault::of(
            "y",
            &codes::DTYPE_MISMATCH,
            format!("`x` of `matmul` is {x} and `y` is {y}, and neither is constant"),
        )
        .against("x")
        .help("cast one of them")),
    }
}

fn infer_matmul(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let dtype = product_dtype(args)?;
    let (x, y, batch) = operands(args)?;
    let mut shape: Vec<Dim> = batch.to_vec();
    if args.ty("x")?.rank() > 1 {
        shape.push(x.rows);
    }
    if args.ty("y")?.rank() > 1 {
        shape.push(y.columns);
    }
    Ok(vec![Type::tensor(dtype, shape.into_iter().collect::<Shape>())])
}

fn compute_matmul(args: &Args<'_>, types: &[Type]) -> Result<Vec<Datum>, Fault> {
    let dtype =
        types.first().and_then(Type::as_tensor).map_or_else(|| product_dtype(args), |t| Ok(t.dtype))?;
    let whole = args.tensor("x")?.dtype().is_int() && args.tensor("y")?.dtype().is_int();
    let z = if whole { matmul::<Wrapping<i64>>(args, dtype) } else { matmul::<f64>(args, dtype) }?;
    Ok(vec![z.into()])
}

fn matmul<T: Number>(args: &Args<'_>, dtype: DType) -> Result<Tensor, Fault> {
    let (x, y, batch) = operands(args)?;
    let shape = infer_matmul(args)?[0].as_tensor().and_then(|t| t.shape.known()).unwrap_or_default();
    let mut z = room(dtype, &shape)?;
    if shape.contains(&0) {
        return T::tensor(dtype, &shape, z);
    }
    let size = |d: Dim| d.known().unwrap_or(0) as usize;
    let (m, k, n) = (size(x.rows), size(x.columns), size(y.columns));
    let (batch, x_batch, y_batch) = (
        batch.known().unwrap_or_default(),
        x.batch.known().unwrap_or_default(),
        y.batch.known().unwrap_or_default(),
    );
    let (xs, ys) = (T::all(args.tensor("x")?), T::all(args.tensor("y")?));
    walk(&batch, [&stretched(&x_batch, &batch), &stretched(&y_batch, &batch)], |[i, j]| {
        let x = rows(&xs[i * m * k..][..m * k], m, k, x.transposed);
        let y = rows(&ys[j * k * n..][..k * n], n, k, !y.transposed);
        for i in 0..m {
            z.extend((0..n).map(|j| dot(&x[i * k..][..k], &y[j * k..][..k])));
        }
    });
    T::tensor(dtype, &shape, z)
}

/// Whether an equation is `canonical` but for the names of its letters.
fn same_equation(equation: &str, canonical: &str) -> bool {
    let mark = |c: char| matches!(c, ',' | '-' | '>');
    let pairs = || equation.chars().zip(canonical.chars());
    equation.chars().count() == canonical.len()
        && pairs().all(|(e, c)| mark(e) == mark(c) && (!mark(e) || e == c))
        && pairs().all(|(e, c)| pairs().all(|(f, d)| (e == f) == (c == d)))
}

fn infer_einsum(args: &Args<'_>) -> Result<Vec<Type>, Fault> {
    let values = args.many("values");
    let [x, y] = values else {
        return Err(Fault::of(
            "values",
            &codes::SHAPE_MISMATCH,
            format!("`einsum` multiplies two tensors, and `values` has {}", values.len()),
        ));
    };
    let (Some(x), Some(y)) = (x.ty.as_tensor(), y.ty.as_tensor()) else {
        return Err(Fault::of("values", &codes::WRONG_KIND, "`values` of `einsum` must be tensors"));
    };
    if x.dtype != y.dtype {
        return Err(Fault::of(
            "values",
            &codes::DTYPE_MISMATCH,
            format!("the tensors of `einsum` must have one dtype, and are {} and {}", x.dtype, y.dtype),
        )
        .help("cast one of them"));
    }
    let equation = args.str("equation").ok_or_else(|| not_known(args, "equation"))?;
    let rank = if same_equation(equation, "abcd,adce->abce") {
        4
    } else if same_equation(equation, "abc,cbd->abd") {
        3
    } else {
        return Err(Fault::of(
            "equation",
            &codes::BAD_VALUE,
            format!("`einsum` does not compute the equation `{equation}`"),
        )
        .help("use `nchw,nwhu->nchu` or `chw,whr->chr`, or `transpose` and `matmul`"));
    };
    if x.rank() != rank || y.rank() != rank {
        return Err(Fault::of(
            "values",
            &codes::WRONG_RANK,
            format!(
                "the equation `{equation}` takes tensors of rank {rank}, and `values` are {} and {}",
                x.shape, y.shape
            ),
        )
        .against("equation"));
    }
    let mismatch = |what: &str| {
        Fault::of(
            "values",
            &codes::SHAPE_MISMATCH,
            format!("the tensors {} and {} of `einsum` do not agree in {what}", x.shape, y.shape),
        )
        .against("equation")
    };
    let (a, b) = (&x.shape[rank - 3..], &y.shape[rank - 3..]);
    if !a[2].fits(b[0]) {
        return Err(mismatch("the dimension that is summed over"));
    }
    let stretch = |a: Dim, b: Dim, what| {
        broadcast(&[a].into_iter().collect(), &[b].into_iter().collect())
            .map(|s| s[0])
            .ok_or_else(|| mismatch(what))
    };
    let mut shape = Vec::new();
    if rank == 4 {
        shape.push(stretch(x.shape[0], y.shape[0], "the batch")?);
    }
    shape.extend([a[0], stretch(a[1], b[1], "the dimension before the last")?, b[2]]);
    Ok(vec![Type::tensor(x.dtype, shape.into_iter().collect::<Shape>())])
}

fn compute_einsum(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = infer_einsum(args)?[0].as_tensor().and_then(|t| t.shape.known()).unwrap_or_default();
    let value = |i: usize| {
        args.many("values")[i].value.and_then(Datum::as_tensor).ok_or_else(|| not_known(args, "values"))
    };
    let (x, y) = (value(0)?, value(1)?);
    let mut z = zeros(x.dtype(), &shape)?;
    // Rank 3 is rank 4 with a batch of 1.
    let four = |shape: &[usize]| {
        [if shape.len() == 4 { shape[0] } else { 1 }]
            .into_iter()
            .chain(shape[shape.len() - 3..].iter().copied())
            .collect::<Vec<_>>()
    };
    let (x_shape, y_shape, z_shape) = (four(x.shape()), four(y.shape()), four(&shape));
    let [batch, channels, height, columns] = [z_shape[0], z_shape[1], z_shape[2], z_shape[3]];
    let sum = x_shape[3];
    let (xs, ys) = (x.to_f64s(), y.to_f64s());
    let at = |i: usize, size: usize| if size == 1 { 0 } else { i };
    for n in 0..batch {
        for c in 0..channels {
            for h in 0..height {
                let to = &mut z[((n * channels + c) * height + h) * columns..][..columns];
                let from = (at(n, x_shape[0]) * channels + c) * x_shape[2] + at(h, x_shape[2]);
                for (w, &x) in xs[from * sum..][..sum].iter().enumerate() {
                    let row = (at(n, y_shape[0]) * sum + w) * y_shape[2] + at(h, y_shape[2]);
                    for (z, y) in to.iter_mut().zip(&ys[row * columns..][..columns]) {
                        *z += x * y;
                    }
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &z)?.into()])
}

/// A row of this family.
const fn product(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: crate::mil::op::Infer,
    compute: crate::mil::op::Compute,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast: None,
        tolerance: Tolerance::Sum(8),
        scalar: Scalar::None,
    }
}

pub(super) static OPS: &[Op] = &[
    product(
        "linear",
        "the product of x and the transposed weight, plus a bias",
        LINEAR,
        infer_linear,
        compute_linear,
    ),
    product(
        "matmul",
        "the product of two matrices, or of batches of them",
        MATMUL,
        infer_matmul,
        compute_matmul,
    ),
    product(
        "einsum",
        "products of matrices over the channels of images",
        EINSUM,
        infer_einsum,
        compute_einsum,
    ),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{arg, count, infers, refuse, tensors, words};
    use super::*;

    /// Both operands count from 1; what is expected is what `numpy.matmul` and `numpy.einsum` give.
    #[track_caller]
    fn check(op: &str, x: &[usize], y: &[usize], rest: &str, shape: &[usize], values: &[i32]) {
        for (opset, dtype) in [(Ios15, Fp32), (Ios17, Fp16), (Ios18, Int32)] {
            let names = match op {
                "linear" => ["x", "weight"],
                "matmul" => ["x", "y"],
                _ if dtype == Int32 => continue,
                _ => ["values"; 2],
            };
            let mut arguments = vec![(names[0], count(dtype, x)), (names[1], count(dtype, y))];
            arguments.extend(words(rest));
            let z = tensors(op, opset, &arguments).unwrap();
            assert_eq!(z[0].dtype(), dtype);
            assert_eq!(z[0].shape(), shape);
            assert_eq!(z[0].to_f64s(), values.iter().map(|&v| v.into()).collect::<Vec<f64>>());
        }
    }

    #[test]
    #[rustfmt::skip]
    fn products() {
        check("linear", &[2], &[3, 2], "", &[3], &[5, 11, 17]);
        check("linear", &[2, 3], &[2, 3], "", &[2, 2], &[14, 32, 32, 77]);
        check("linear", &[2, 1, 2], &[1, 2], "", &[2, 1, 1], &[5, 11]);
        check("linear", &[1, 1, 1, 1, 2], &[2, 2], "", &[1, 1, 1, 1, 2], &[5, 11]);
        check("linear", &[2, 0], &[3, 0], "", &[2, 3], &[0; 6]);
        check("linear", &[0, 2], &[3, 2], "", &[0, 3], &[]);
        check("matmul", &[3], &[3], "", &[], &[14]);
        check("matmul", &[2], &[2, 3], "", &[3], &[9, 12, 15]);
        check("matmul", &[2], &[2, 2, 1], "", &[2, 1], &[5, 11]);
        check("matmul", &[2, 3], &[3], "", &[2], &[14, 32]);
        check("matmul", &[2, 2, 1], &[1], "", &[2, 2], &[1, 2, 3, 4]);
        check("matmul", &[2, 3], &[3, 2], "", &[2, 2], &[22, 28, 49, 64]);
        check("matmul", &[3, 2], &[3, 2], "transpose_x=true", &[2, 2], &[35, 44, 44, 56]);
        check("matmul", &[2, 3], &[2, 3], "transpose_y=true", &[2, 2], &[14, 32, 32, 77]);
        check("matmul", &[2, 1], &[1, 2], "transpose_x=true transpose_y=true", &[1, 1], &[5]);
        check("matmul", &[2, 1, 2], &[2, 1], "", &[2, 1, 1], &[5, 11]);
        check("matmul", &[2, 1, 1, 2], &[2, 2, 1], "", &[2, 2, 1, 1], &[5, 11, 11, 25]);
        check("matmul", &[2, 0], &[0, 2], "", &[2, 2], &[0; 4]);
        check("matmul", &[0, 2, 3], &[3, 1], "", &[0, 2, 1], &[]);
        check("einsum", &[1, 2, 1, 2], &[1, 2, 1, 3], "equation=nchw,nwhu->nchu", &[1, 2, 1, 3], &[9, 12, 15, 19, 26, 33]);
        check("einsum", &[1, 1, 2, 2], &[1, 2, 2, 1], "equation=bchq,bqhk->bchk", &[1, 1, 2, 1], &[7, 22]);
        check("einsum", &[2, 1, 1, 1], &[1, 1, 2, 2], "equation=nchw,nwhu->nchu", &[2, 1, 2, 2], &[1, 2, 3, 4, 2, 4, 6, 8]);
        check("einsum", &[1, 2, 2], &[2, 2, 1], "equation=chw,whr->chr", &[1, 2, 1], &[7, 22]);
        check("einsum", &[2, 2, 1], &[1, 1, 2], "equation=abc,cbd->abd", &[2, 2, 2], &[1, 2, 2, 4, 3, 6, 4, 8]);
        check("einsum", &[2, 2, 0], &[0, 1, 1], "equation=chw,whr->chr", &[2, 2, 1], &[0; 4]);
    }

    #[test]
    fn a_bias_is_added_and_may_be_of_another_dtype() {
        let call = |opset, dtype, bias| {
            let weight = count(dtype, &[2, 2]);
            tensors("linear", opset, &[("x", count(Fp16, &[2])), ("weight", weight), ("bias", bias)]).unwrap()
        };
        assert_eq!(call(Ios15, Fp16, arg(Fp16, &[2], &[0.5, -1.0]))[0].to_f64s(), [5.5, 10.0]);
        let y = call(Ios17, Fp32, arg(Fp32, &[2], &[0.5, -1.0]));
        assert_eq!((y[0].dtype(), y[0].to_f64s()), (Fp16, vec![5.5, 10.0]));
    }

    #[test]
    fn whole_numbers_wrap_around() {
        let x = arg(Int32, &[1], &[65536.0]);
        let y = arg(Int32, &[1, 1], &[65537.0]);
        assert_eq!(
            tensors("matmul", Ios15, &[("x", x.clone()), ("y", y.clone())]).unwrap()[0].to_i64s(),
            [65536]
        );
        assert_eq!(tensors("linear", Ios15, &[("x", x), ("weight", y)]).unwrap()[0].to_i64s(), [65536]);
    }

    #[test]
    fn sums_are_rounded_once() {
        let x = arg(Fp16, &[3], &[2048.0, 1.0, 1.0]);
        let y = arg(Fp16, &[3], &[1.0; 3]);
        assert_eq!(tensors("matmul", Ios15, &[("x", x), ("y", y)]).unwrap()[0].to_f64s(), [2050.0]);
    }

    #[test]
    fn of_two_dtypes_the_one_that_is_not_constant_wins() {
        let (x, y) = (count(Fp16, &[1, 2]), count(Fp32, &[2, 1]));
        let (x_type, y_type) = (x.ty(), y.ty());
        let both = [("x", x), ("y", y)];
        let unknown = [("x", x_type), ("y", y_type)];
        infers("matmul", Ios17, &both, &unknown[..1], "tensor<fp16, [1, 1]>");
        infers("matmul", Ios17, &both, &unknown[1..], "tensor<fp32, [1, 1]>");
        infers("matmul", Ios17, &both, &unknown, "dtype-mismatch");
    }

    #[test]
    fn refusals() {
        let refused = |op: &str, x: &[usize], y: &[usize], rest: &str, code: &str| {
            let names = match op {
                "linear" => ["x", "weight"],
                "matmul" => ["x", "y"],
                _ => ["values"; 2],
            };
            let mut arguments = vec![(names[0], count(Fp32, x)), (names[1], count(Fp32, y))];
            arguments.extend(words(rest));
            refuse(op, Ios15, &arguments, code);
        };
        refused("linear", &[], &[2, 2], "", "wrong-rank");
        refused("linear", &[2], &[2], "", "wrong-rank");
        refused("linear", &[3], &[2, 2], "", "shape-mismatch");
        refused("linear", &[2], &[2, 2], "bias=[1,2,3]", "shape-mismatch");
        refused("linear", &[2], &[2, 2], "bias=1", "shape-mismatch");
        refused("matmul", &[], &[1], "", "wrong-rank");
        refused("matmul", &[1], &[], "", "wrong-rank");
        refused("matmul", &[2], &[3], "", "shape-mismatch");
        refused("matmul", &[2, 3], &[2, 3], "", "shape-mismatch");
        refused("matmul", &[2, 1, 1], &[3, 1, 1], "", "shape-mismatch");
        refused("matmul", &[2], &[2], "transpose_x=true", "bad-value");
        refused("matmul", &[2], &[2], "transpose_y=true", "bad-value");
        refused("einsum", &[1, 1, 1], &[1, 1, 1], "equation=ij,jk->ik", "bad-value");
        refused("einsum", &[1, 1, 1], &[1, 1, 1], "equation=chw,whc->chc", "bad-value");
        refused("einsum", &[1, 1], &[1, 1], "equation=chw,whr->chr", "wrong-rank");
        refused("einsum", &[1, 1, 2], &[1, 1, 1], "equation=chw,whr->chr", "shape-mismatch");
        refused("einsum", &[1, 2, 1], &[1, 3, 1], "equation=chw,whr->chr", "shape-mismatch");
        refused("einsum", &[2, 1, 1, 1], &[3, 1, 1, 1], "equation=nchw,nwhu->nchu", "shape-mismatch");
        let three =
            [("values", count(Fp32, &[1])), ("values", count(Fp32, &[1])), ("values", count(Fp32, &[1]))];
        refuse("einsum", Ios15, &three, "shape-mismatch");
        let mixed = [("values", count(Fp32, &[1])), ("values", count(Fp16, &[1]))];
        refuse("einsum", Ios15, &mixed, "dtype-mismatch");
    }
}
