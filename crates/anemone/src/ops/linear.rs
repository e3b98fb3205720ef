//! Matrix products: `linear`, `matmul`, `einsum`.
//!
//! Floats are summed in f64 and rounded once; whole numbers wrap around, as NumPy's do.

#[cfg(test)]
mod tests;
mod whole;

use std::sync::Arc;

use anemone_kernels::Float;
use anemone_kernels::finish::Finish;
use anemone_kernels::fours;
use anemone_kernels::gemm::{self, Bias, Matrix, gemm_batched};
use anemone_kernels::layout;
use anemone_kernels::packed::{self, Packed};
use anemone_kernels::scratch::scratch;

use super::fast::{Following, Ready, Singles, dims, elements, for_float, idle, nothing, ready};
use super::loops::{broadcast, shape_of, stretched, walk};
use super::row::*;
use super::window::{not_known, room, zeros};
use whole::{Number, Products};

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

/// The sum of the products of two rows.
fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::default(), |sum, (&a, &b)| sum.plus_product(a, b))
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
    let y = if all_whole { linear::<i64>(args) } else { linear::<f64>(args) }?;
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
        y.extend((0..outputs).map(|o| dot(x, &weights[o * inputs..][..inputs]).plus(bias[o])));
    }
    T::tensor(x.dtype(), &shape, y)
}

/// From so many bytes on, the weights of a single row are read where they are: no cache near the processor holds them, and
/// beside a file that they are mapped from, packed ones would take the memory once more.
const IN_PLACE: usize = 1 << 18;

/// One product of matrices, for `x` of any rank.
/// The weights of a layer, as they are read.
enum Weights<W> {
    /// Where they lie.
    InPlace,
    Packed(Arc<Packed<W>>),
    Widened(Arc<Packed<f32>>),
}

impl<W: Float + crate::types::Element> Weights<W> {
    fn of(constant: &Tensor, rows: usize, outputs: usize) -> Self {
        let weights = elements::<W>(constant);
        if rows == 1 && constant.bytes().len() >= IN_PLACE {
            return Self::InPlace;
        }
        if rows > 1 || weights.len() > WIDENED {
            return Self::Packed(Packed::shared(weights, outputs));
        }
        let mut wide = vec![0.0; weights.len()];
        W::widen(&mut wide, weights);
        Self::Widened(Packed::shared(&wide, outputs))
    }
}

/// So many weights are widened when the layer is loaded, if one row meets them: the nearest cache holds them so too, and to
/// widen them each time would take longer than to multiply.
const WIDENED: usize = 1 << 13;

fn fast_linear(args: &Args<'_>, types: &[Type]) -> Ready {
    let (x_type, weight_type) = (args.ty("x")?, args.ty("weight")?);
    let (x, weight, bias) = (args.reader("x")?, args.reader("weight")?, Singles::opt(args, "bias")?);
    let shape = shape_of(&types[0]);
    let &[outputs, inputs] = &dims(args, "weight")?[..] else { return Ok(None) };
    if nothing(types) {
        return idle();
    }
    let rows = shape[..shape.len() - 1].iter().product();
    if x_type.dtype.is_int() || weight_type.dtype.is_int() {
        let (x, y) = ([inputs, 1], [1, inputs]);
        let products = Products { items: vec![(0, 0)], sizes: [rows, inputs, outputs], x, y };
        return products.ready(args, types, ["x", "weight"]);
    }
    let following = Following::of(args);
    for_float!(x_type.dtype, X => for_float!(weight_type.dtype, W => {
    if rows == 1
        && inputs.is_multiple_of(8)
        && outputs.saturating_mul(inputs) >= IN_PLACE / 2
        && let Some(parts) = args.parts("weight")?
    {
        let looked_up = parts.fours(inputs);
        return ready(move |run| {
            let (x, stages) = (run.read::<X>(&x), following.stages(run));
            let bias = bias.as_ref().map(|b| b.read(run));
            let finish = Finish { bias: bias.as_deref(), stages: &stages };
            if let Some((codes, weights)) = &looked_up {
                return fours::row(run.threads, run.write(0), x, codes.bytes(), weights, finish);
            }
            let make = |start: usize, to: &mut [W]| parts.make(start, bytemuck::cast_slice_mut(to));
            packed::row_made(run.threads, run.write(0), x, make, finish);
        });
    }
    if let Reader::Constant(constant) = &weight {
        let weights = Weights::<W>::of(constant, rows, outputs);
        return ready(move |run| {
            let (x, stages) = (run.read::<X>(&x), following.stages(run));
            let bias = bias.as_ref().map(|b| b.read(run));
            let finish = Finish { bias: bias.as_deref(), stages: &stages };
            let x_rows = Matrix::new(x, rows, inputs);
            match &weights {
                Weights::Packed(packed) => packed::linear(run.threads, run.write(0), x_rows, packed, finish),
                Weights::Widened(packed) => packed::linear(run.threads, run.write(0), x_rows, packed, finish),
                Weights::InPlace => {
                    let weights = run.read::<W>(&weight);
                    packed::row(run.threads, run.write(0), x, weights, finish);
                }
            }
        });
    }
    if !args.after.is_empty() {
        return Ok(None);
    }
    ready(move |run| {
        let bias = bias.as_ref().map(|b| b.read(run));
        let bias = bias.as_deref().map_or(Bias::None, Bias::Columns);
        let x = Matrix::<X>::new(run.read(&x), rows, inputs);
        let weight = Matrix::<W>::new(run.read(&weight), outputs, inputs).transposed();
        gemm::gemm(run.threads, run.write::<X>(0), x, weight, bias);
    })
    }))
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
    let z = if whole { matmul::<i64>(args, dtype) } else { matmul::<f64>(args, dtype) }?;
    Ok(vec![z.into()])
}

fn matmul<T: Number>(args: &Args<'_>, dtype: DType) -> Result<Tensor, Fault> {
    let (x, y, batch) = operands(args)?;
    let shape = shape_of(&infer_matmul(args)?[0]);
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

/// The products of a `matmul`, of `m` rows, `k` inputs and `n` columns each.
pub(super) struct Matmul {
    pub(super) m: usize,
    pub(super) k: usize,
    pub(super) n: usize,
    /// Whether the matrices lie column by column.
    pub(super) by_columns: [bool; 2],
    /// Where the matrices of each product start.
    pub(super) items: Vec<(usize, usize)>,
    /// From row to row and from column to column of both, as they are stored.
    steps: [[usize; 2]; 2],
}

impl Matmul {
    /// As the kernels take them. Where `y` is one matrix, the batch of `x` is rows of one product.
    pub(super) fn of(args: &Args<'_>) -> Result<Self, Fault> {
        let (left, right, batch) = operands(args)?;
        let known = |s: &Shape| s.known().unwrap_or_default();
        let size = |d: Dim| d.known().unwrap_or(0) as usize;
        let (mut m, k, n) = (size(left.rows), size(left.columns), size(right.columns));
        let (batch, mut x_batch, y_batch) = (known(&batch), known(&left.batch), known(&right.batch));
        let by_columns = [left.transposed, right.transposed];
        let mut places = vec![(0, 0)];
        if x_batch == batch && !left.transposed && y_batch.iter().all(|&d| d == 1) {
            m *= batch.iter().product::<usize>();
            x_batch.clear();
        } else {
            places.clear();
            let strides = [&x_batch, &y_batch].map(|own| stretched(own, &batch));
            walk(&batch, [&strides[0], &strides[1]], |[i, j]| places.push((i, j)));
        }
        let written = |turned, [rows, columns]: [usize; 2]| [if turned { rows } else { columns }, 1];
        let mut products = Self {
            m,
            k,
            n,
            by_columns,
            items: Vec::new(),
            steps: [written(by_columns[0], [m, k]), written(by_columns[1], [k, n])],
        };
        let xs = products.lie(args, 0, &x_batch);
        let ys = products.lie(args, 1, &y_batch);
        products.items = places.into_iter().map(|(i, j)| (xs[i], ys[j])).collect();
        Ok(products)
    }

    /// Finds where the matrices of `x` (0) or `y` (1) start. A view is read where it lies, if sums have the same order then.
    fn lie(&mut self, args: &Args<'_>, operand: usize, batch: &[usize]) -> Vec<usize> {
        let [rows, columns] = [[self.m, self.k], [self.k, self.n]][operand];
        let shape = if self.by_columns[operand] { [columns, rows] } else { [rows, columns] };
        let order = |products: &Self| {
            let (x, y) = products.matrices::<f32, f32>(&[], &[]);
            gemm::order(x, y)
        };
        let written = self.steps[operand];
        let viewed = args.view(["x", "y"][operand], |view| {
            let (starts, mut steps) = view.matrices(&[batch, &shape].concat())?;
            for i in 0..2 {
                if shape[i] == 1 {
                    steps[i] = written[i];
                }
            }
            let before = order(self);
            self.steps[operand] = steps;
            (!steps.contains(&0) && order(self) == before).then_some(starts)
        });
        viewed.unwrap_or_else(|| {
            self.steps[operand] = written;
            (0..batch.iter().product()).map(|item| item * rows * columns).collect()
        })
    }

    /// The matrices of the first product.
    pub(super) fn matrices<'d, X: Float, Y: Float>(
        &self,
        x: &'d [X],
        y: &'d [Y],
    ) -> (Matrix<'d, X>, Matrix<'d, Y>) {
        let &Self { m, k, n, by_columns: [x_turned, y_turned], steps: [[a, b], [c, d]], .. } = self;
        let x = if x_turned {
            Matrix::strided(x, k, m, a, b).transposed()
        } else {
            Matrix::strided(x, m, k, a, b)
        };
        let y = if y_turned {
            Matrix::strided(y, n, k, c, d).transposed()
        } else {
            Matrix::strided(y, k, n, c, d)
        };
        (x, y)
    }
}

fn fast_matmul(args: &Args<'_>, types: &[Type]) -> Ready {
    let (x_type, y_type) = (args.ty("x")?.dtype, args.ty("y")?.dtype);
    let (x, y) = (args.reader("x")?, args.reader("y")?);
    if nothing(types) {
        return idle();
    }
    let products = Matmul::of(args)?;
    if x_type.is_int() || y_type.is_int() {
        let Matmul { m, k, n, by_columns, items, steps: [x, y] } = products;
        let turned = |by_columns, [a, b]: [usize; 2]| if by_columns { [b, a] } else { [a, b] };
        let (x, y) = (turned(by_columns[0], x), turned(by_columns[1], y));
        return Products { items, sizes: [m, k, n], x, y }.ready(args, types, ["x", "y"]);
    }
    let of_x = types[0].as_tensor().map(|t| t.dtype) == Some(x_type);
    for_float!(x_type, X => for_float!(y_type, Y => ready(move |run| {
        let (a, b) = products.matrices::<X, Y>(run.read(&x), run.read(&y));
        if of_x {
            gemm_batched(run.threads, run.write::<X>(0), a, b, &products.items, Bias::None);
        } else {
            gemm_batched(run.threads, run.write::<Y>(0), a, b, &products.items, Bias::None);
        }
    })))
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

/// The shapes of the tensors of `einsum` and of its result, with a batch, which is 1 where they have none.
fn with_batch(args: &Args<'_>, shape: &[usize]) -> [[usize; 4]; 3] {
    let four = |shape: &[usize]| match *shape {
        [n, c, h, w] => [n, c, h, w],
        [c, h, w] => [1, c, h, w],
        _ => {
            unreachable!("inference accepts two tensors of rank 3 and 4 only, whose shapes are known by now")
        }
    };
    let of = |i: usize| {
        let ty = args.many("values").get(i).and_then(|a| a.ty.as_tensor());
        four(&ty.and_then(|t| t.shape.known()).unwrap_or_default())
    };
    [of(0), of(1), four(shape)]
}

/// The offset of batch `n` and row `h` in a tensor of this shape, whose dimensions of 1 stretch.
fn start(shape: &[usize; 4], n: usize, h: usize) -> usize {
    let at = |i: usize, size: usize| if size == 1 { 0 } else { i };
    (at(n, shape[0]) * shape[1] * shape[2] + at(h, shape[2])) * shape[3]
}

fn compute_einsum(args: &Args<'_>, _: &[Type]) -> Result<Vec<Datum>, Fault> {
    let shape = shape_of(&infer_einsum(args)?[0]);
    let value = |i: usize| {
        let arg = args.many("values").get(i);
        arg.and_then(|a| a.value?.as_tensor()).ok_or_else(|| not_known(args, "values"))
    };
    let (x, y) = (value(0)?, value(1)?);
    let [x_shape, y_shape, z_shape] = with_batch(args, &shape);
    let mut z = zeros(x.dtype(), &shape)?;
    if shape.contains(&0) {
        return Ok(vec![Tensor::zeros(x.dtype(), &shape)?.into()]);
    }
    let (xs, ys) = (x.to_f64s(), y.to_f64s());
    let [batch, channels, height, columns] = z_shape;
    let sum = x_shape[3];
    for n in 0..batch {
        for c in 0..channels {
            for h in 0..height {
                let to = &mut z[((n * channels + c) * height + h) * columns..][..columns];
                let from = start(&x_shape, n, h) + c * x_shape[2] * sum;
                for (w, &x) in xs[from..][..sum].iter().enumerate() {
                    let row = start(&y_shape, n, h) + w * y_shape[2] * columns;
                    for (z, y) in to.iter_mut().zip(&ys[row..][..columns]) {
                        *z += x * y;
                    }
                }
            }
        }
    }
    Ok(vec![Tensor::from_f64s(x.dtype(), &shape, &z)?.into()])
}

/// The products of an `einsum`: one for each row `h` of each of the batch, whose results are rows that lie apart.
pub(super) struct Rows {
    /// The shapes of `x`, of `y` and of the result, with a batch.
    shapes: [[usize; 4]; 3],
    /// Where the matrices of each product start.
    pub(super) items: Vec<(usize, usize)>,
}

impl Rows {
    pub(super) fn of(args: &Args<'_>, types: &[Type]) -> Self {
        let shapes @ [x, y, [batch, _, height, _]] = with_batch(args, &shape_of(&types[0]));
        let rows = (0..batch).flat_map(|n| (0..height).map(move |h| (start(&x, n, h), start(&y, n, h))));
        Self { shapes, items: rows.collect() }
    }

    /// The matrices of the first product.
    pub(super) fn matrices<'d, T: Float>(&self, x: &'d [T], y: &'d [T]) -> (Matrix<'d, T>, Matrix<'d, T>) {
        let [x_shape, y_shape, [_, channels, _, columns]] = self.shapes;
        let sum = x_shape[3];
        let x = Matrix::strided(x, channels, sum, x_shape[2] * sum, 1);
        (x, Matrix::strided(y, sum, columns, y_shape[2] * columns, 1))
    }

    /// Puts the products where they belong, which `multiply` writes one behind the other.
    pub(super) fn place<T: Float>(&self, threads: usize, z: &mut [T], multiply: impl Fn(&mut [T])) {
        let [.., shape @ [_, channels, height, columns]] = self.shapes;
        if height == 1 {
            return multiply(z);
        }
        let mut products = scratch::<T>(z.len());
        multiply(&mut products);
        let strides = [height * channels * columns, columns, channels * columns, 1];
        layout::copy(threads, z, &shape, &products, 0, &strides);
    }
}

fn fast_einsum(args: &Args<'_>, types: &[Type]) -> Ready {
    let mut readers = args.readers("values");
    let (Some(x), Some(y), Some(ty)) = (readers.next(), readers.next(), types[0].as_tensor()) else {
        return Ok(None);
    };
    if nothing(types) {
        return idle();
    }
    let rows = Rows::of(args, types);
    for_float!(ty.dtype, T => ready(move |run| {
        let (a, b) = rows.matrices::<T>(run.read(&x), run.read(&y));
        let threads = run.threads;
        rows.place(threads, run.write(0), |z: &mut [T]| gemm_batched(threads, z, a, b, &rows.items, Bias::None));
    }))
}

/// A row of this family.
const fn product(
    name: &'static str,
    summary: &'static str,
    editions: &'static [Edition],
    infer: Infer,
    compute: Compute,
    fast: Fast,
) -> Op {
    Op {
        name,
        summary,
        editions,
        results: Results::Exactly(1),
        infer,
        meaning: Meaning::Compute(compute),
        fast,
        // What f32 loses in a sum grows slowly with its terms, since lanes and blocks are summed apart: with the
        // thousands of terms that layers have, it stays within a few epsilons of the largest result.
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
        Fast::Finishing(fast_linear),
    ),
    product(
        "matmul",
        "the product of two matrices, or of batches of them",
        MATMUL,
        infer_matmul,
        compute_matmul,
        Fast::Strided(fast_matmul),
    ),
    product(
        "einsum",
        "products of matrices over the channels of images",
        EINSUM,
        infer_einsum,
        compute_einsum,
        Fast::Prepared(fast_einsum),
    ),
];
