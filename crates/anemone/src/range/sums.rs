//! Sums of products: how large they can become, on their way too, and how small their products are.

use super::Call;
use super::interval::Range;
use crate::types::{DType, Tensor};

/// Products at or above this are never dropped.
const DROPPED: f64 = 1.0 / 32768.0;

/// What sums of products span.
///
/// ```
/// use anemone::{Chip, bundle::Weights, chip::Numerics, range::{self, Range}, text, verify};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2]> x) {
///     tensor<fp16, [1, 1]> y = linear(x = x, weight = tensor<fp16, [1, 2]>([[2, -2]]), bias = tensor<fp16, [1]>([10])); } -> (y); }";
/// let verified = verify::verify(&text::parse(text)?, &Weights::none()).verified.unwrap();
/// let bounds = range::bounds(verified.main(), &[("x", Range::new(0.0, 100.0))], Numerics::Chip(Chip::M4))?;
/// let sums = bounds.steps[0].sums.unwrap();
/// assert_eq!((sums.result, sums.reach, sums.product), (Range::new(-190.0, 210.0), 210.0, 200.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    /// The sums, in exact arithmetic.
    pub result: Range,
    /// The largest magnitude of a sum on its way, whatever the order of its terms.
    pub reach: f64,
    /// The largest magnitude of a product.
    pub product: f64,
    /// How far a chip's sums may be from exact ones, since products are rounded and dropped.
    pub(super) error: f64,
    /// The weights that are constant and not 0: how many there are, and of how many every product is dropped.
    pub weights: Option<(usize, usize)>,
}

/// Gathers the sums of one op.
struct Gathered {
    x: Range,
    sums: Option<Sums>,
}

impl Gathered {
    /// Of products with elements of this range, and with the zeros around them if there is padding.
    fn new(x: Range, padded: bool) -> Self {
        let x = if padded { x.or(Range::point(0.0)) } else { x };
        Self { x, sums: None }
    }

    /// A sum of the products with these weights, that begins at a bias.
    fn row(&mut self, weights: impl Iterator<Item = f64>, bias: Range) {
        let (mut lo, mut hi) = (bias.lo, bias.hi);
        let (mut least, mut most) = (bias.lo, bias.hi);
        let (mut product, mut error) = (0.0f64, 1.0 / 65536.0);
        let (mut all, mut lost) = (0, 0);
        let largest = self.x.largest();
        for w in weights.filter(|&w| w != 0.0) {
            let (a, b) = (w * self.x.lo, w * self.x.hi);
            let (a, b) = if a < b { (a, b) } else { (b, a) };
            lo += a;
            hi += b;
            least += a.min(0.0);
            most += b.max(0.0);
            let magnitude = w.abs() * largest;
            product = product.max(magnitude);
            error += magnitude.min(DROPPED);
            all += 1;
            lost += usize::from(magnitude < 2f64.powi(-17));
        }
        self.add(Sums {
            result: Range { nan: bias.nan || self.x.nan, ..Range::new(lo, hi) },
            reach: least.abs().max(most.abs()),
            product,
            error,
            weights: Some((all, lost)),
        });
    }

    /// Sums of so many products of elements with others, none of which is known.
    fn products(&mut self, y: Range, terms: f64, bias: Range) {
        let term = self.x.times(y);
        let on_the_way = term.or(Range::point(0.0)).repeated(terms).plus(bias);
        self.add(Sums {
            result: term.repeated(terms).plus(bias),
            reach: on_the_way.largest(),
            product: term.largest(),
            error: terms * term.largest().min(DROPPED) + 1.0 / 65536.0,
            weights: None,
        });
    }

    fn add(&mut self, other: Sums) {
        self.sums = Some(match self.sums {
            None => other,
            Some(sums) => Sums {
                result: sums.result.or(other.result),
                reach: sums.reach.max(other.reach),
                product: sums.product.max(other.product),
                error: sums.error.max(other.error),
                weights: match (sums.weights, other.weights) {
                    (Some(a), Some(b)) => Some((a.0 + b.0, a.1 + b.1)),
                    _ => None,
                },
            },
        });
    }
}

/// The sums of an op that multiplies and adds; `None` if not enough is known of it.
pub(super) fn sums(call: &Call<'_>) -> Option<Sums> {
    let sums = match call.args.op.name {
        "linear" => layer(call)?,
        "conv" => convolution(call)?,
        "conv_transpose" => transposed(call)?,
        "matmul" => product(call)?,
        "einsum" => einsum(call)?,
        _ => return None,
    };
    // Infinite activations times 0, and infinities of both signs, are not numbers.
    let known = sums.result.lo.is_finite() && sums.result.hi.is_finite() && sums.reach.is_finite();
    (known && !sums.result.nan).then_some(sums)
}

/// The bias of each output.
struct Biases {
    each: Option<Vec<f64>>,
    all: Range,
}

impl Biases {
    fn of(call: &Call<'_>) -> Self {
        let each = call.constant("bias").map(Tensor::to_f64s);
        Self { each, all: call.range("bias").unwrap_or(Range::point(0.0)) }
    }

    fn at(&self, output: usize) -> Range {
        self.each.as_ref().and_then(|b| b.get(output)).map_or(self.all, |&b| Range::point(b))
    }
}

fn layer(call: &Call<'_>) -> Option<Sums> {
    let (mut gathered, biases) = (Gathered::new(call.range("x")?, false), Biases::of(call));
    let weights = call.constant("weight")?;
    let length = *weights.shape().last()?;
    rows(call, weights, length, |o, row| gathered.row(row.iter().copied(), biases.at(o)));
    gathered.sums
}

/// The rows of a tensor of weights, as the engine reads them.
fn rows(call: &Call<'_>, weights: &Tensor, length: usize, mut each: impl FnMut(usize, &[f64])) {
    let numbers = call.weights(weights);
    numbers.chunks(length.max(1)).enumerate().for_each(|(o, row)| each(o, row));
}

fn convolution(call: &Call<'_>) -> Option<Sums> {
    let biases = Biases::of(call);
    let shape = call.shape("weight")?;
    let length: usize = shape.get(1..)?.iter().product();
    let mut gathered = Gathered::new(call.range("x")?, true);
    let Some(weights) = call.constant("weight") else {
        gathered.products(call.range("weight")?, length as f64, biases.all);
        return gathered.sums;
    };
    rows(call, weights, length, |o, row| gathered.row(row.iter().copied(), biases.at(o)));
    let sums = gathered.sums?;
    if !call.by_winograd {
        return Some(sums);
    }
    Some(winograd(call, weights, &biases, sums))
}

/// What a chip stores of scaled sums of bytes; infinities where sums can reach 2^31 on their way.
pub(super) fn of_bytes(call: &Call<'_>) -> Option<Range> {
    let (weights, scales) = (call.constant("weight")?, call.constant("scale")?.to_f64s());
    let (mut sums, mut results, biases) = (Gathered::new(call.range("x")?, true), None, Biases::of(call));
    let length = weights.shape().get(1..)?.iter().product::<usize>();
    for (output, row) in weights.to_f64s().chunks(length.max(1)).enumerate() {
        let mut one = Gathered::new(sums.x, false);
        one.row(row.iter().copied(), Range::point(0.0));
        let sum = one.sums?;
        let result = sum.result.times(Range::point(*scales.get(output)?)).plus(biases.at(output));
        results = Some(results.map_or(result, |all: Range| all.or(result)));
        sums.add(sum);
    }
    let overflows = sums.sums?.reach >= 2f64.powi(31);
    if overflows { Some(Range { nan: false, ..Range::UNKNOWN }) } else { results }
}

/// Of four sums that results are made of, each may be larger than the results.
fn winograd(call: &Call<'_>, weights: &Tensor, biases: &Biases, mut sums: Sums) -> Sums {
    /// What rounding a half changes, at most, relative to it.
    const ROUNDED: f64 = 1.0 / 1024.0;
    let x = call.range("x").unwrap_or(Range::UNKNOWN).or(Range::point(0.0));
    let difference = (x.hi - x.lo) * (1.0 + ROUNDED);
    let sum = 2.0 * x.largest() * (1.0 + ROUNDED);
    let data = [difference, sum, difference, difference].map(|v| v.min(65536.0));
    let length = weights.shape()[1..].iter().product();
    let mut error = 0.0f64;
    rows(call, weights, length, |_, row| {
        let mut reach = [0.0; 4];
        for g in row.chunks_exact(3) {
            let u = [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]];
            for i in 0..4 {
                // The smallest numbers are rounded to a multiple of theirs.
                reach[i] += (u[i].abs() * (1.0 + ROUNDED) + 2f64.powi(-24)) * data[i];
            }
        }
        let rounded: f64 = reach.iter().sum::<f64>() * 2.5 * ROUNDED;
        let dropped = row.len() as f64 * 4.0 * DROPPED;
        error = error.max(rounded + dropped + row.len() as f64 * 2f64.powi(-22) * sum.max(1.0));
        sums.reach = reach.into_iter().fold(sums.reach, f64::max);
    });
    sums.reach = sums.reach.max(sums.result.largest() + biases.all.largest());
    sums.error += error;
    sums
}

/// Of a transposed convolution, where each result is a sum over some of the taps.
fn transposed(call: &Call<'_>) -> Option<Sums> {
    let biases = Biases::of(call);
    let shape = call.shape("weight")?;
    let &[inputs, outputs, ..] = &shape[..] else { return None };
    let taps: usize = shape[2..].iter().product();
    let groups = usize::try_from(call.args.int("groups")?).ok().filter(|&g| g > 0)?;
    let within = inputs.checked_div(groups)?;
    let mut gathered = Gathered::new(call.range("x")?, true);
    let Some(weights) = call.constant("weight") else {
        gathered.products(call.range("weight")?.or(Range::point(0.0)), (within * taps) as f64, biases.all);
        return gathered.sums;
    };
    let numbers = call.weights(weights);
    for (group, block) in numbers.chunks((within * outputs * taps).max(1)).enumerate() {
        for output in 0..outputs {
            let of = |input: &[f64]| input[output * taps..][..taps].to_vec();
            let row = block.chunks_exact((outputs * taps).max(1)).flat_map(of);
            gathered.row(row, biases.at(group * outputs + output));
        }
    }
    gathered.sums
}

fn product(call: &Call<'_>) -> Option<Sums> {
    let none = Range::point(0.0);
    let inner = |param, transposed: bool| {
        let shape = call.shape(param)?;
        let vector = shape.len() < 2;
        // The axis that is summed over, and how many lie behind it.
        let last = (param == "x") != transposed || vector;
        Some((*shape.iter().rev().nth(usize::from(!last))?, if last { 1 } else { *shape.last()? }))
    };
    let flag = |param| call.args.bool(param) == Some(true);
    let (x, y) = (call.range("x")?, call.range("y")?);
    let (other, weights, (length, apart)) = match (call.constant("x"), call.constant("y")) {
        (_, Some(weights)) => (x, weights, inner("y", flag("transpose_y"))?),
        (Some(weights), None) => (y, weights, inner("x", flag("transpose_x"))?),
        (None, None) => {
            let mut gathered = Gathered::new(x, false);
            gathered.products(y, inner("x", flag("transpose_x"))?.0 as f64, none);
            return gathered.sums;
        }
    };
    let mut gathered = Gathered::new(other, false);
    let numbers = call.weights(weights);
    for matrix in numbers.chunks_exact((length * apart).max(1)) {
        for column in 0..apart {
            gathered.row(matrix[column..].iter().step_by(apart).copied(), none);
        }
    }
    gathered.sums
}

fn einsum(call: &Call<'_>) -> Option<Sums> {
    let (inputs, output) = call.args.str("equation")?.split_once("->")?;
    let (a, b) = inputs.split_once(',')?;
    let (x, y) = (*call.many("values").first()?, *call.many("values").get(1)?);
    let shapes = call.args.many("values").iter().map(|v| v.ty.as_tensor()?.shape.known());
    let shapes: Vec<Vec<usize>> = shapes.collect::<Option<_>>()?;
    let labels = [a.trim(), b.trim()];
    let mut terms = 1.0;
    let mut seen = Vec::new();
    for (labels, shape) in labels.iter().zip(&shapes) {
        for (label, &extent) in labels.chars().zip(shape) {
            if !output.contains(label) && !seen.contains(&label) {
                seen.push(label);
                terms *= extent as f64;
            }
        }
    }
    let mut gathered = Gathered::new(x, false);
    gathered.products(y, terms, Range::point(0.0));
    gathered.sums
}

/// What a chip stores of sums: infinities where they can leave the range on their way.
pub(super) fn on_chip(sums: &Sums) -> Range {
    let result = sums.result.wider(sums.error);
    if sums.reach + sums.error < LIMIT {
        return result;
    }
    Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: false }
}

/// Where sums of products become infinite.
pub(super) const LIMIT: f64 = 32768.0;

/// How far kernels may be from exact sums: so many times the epsilon of the dtype, of the largest sum on its way.
pub(super) fn on_other_machines(sums: &Sums, dtype: DType) -> Range {
    let epsilon = if dtype == DType::Fp16 { 2f64.powi(-10) } else { 2f64.powi(-20) };
    sums.result.wider(sums.reach * epsilon.min(2f64.powi(-16)))
}
