//! Reductions, softmax and normalisations along one axis.
//!
//! A tensor is seen as `[outer, length, inner]`: [`Lanes`] of `length` elements that lie `inner` apart. Sums are
//! carried in `f64`, so that their error is far below the rounding of the result to `f32`; those of halves that lie side
//! by side in `f32` for up to 512 of them, whose error is far below the rounding to halves.
//!
//! ```
//! use anemone_kernels::norm::{Lanes, Reduction, reduce};
//! // The means of the two columns of a matrix of 2 by 2.
//! let mut means = [0.0f32; 2];
//! reduce(1, &mut means, &[1.0, 2.0, 3.0, 6.0], Lanes::along(&[2, 2], 0..1), Reduction::Mean);
//! assert_eq!(means, [2.0, 4.0]);
//! ```

use std::ops::Range;

use macro_rules_attribute::apply;

use crate::binary::{maximum, minimum};
use crate::compiled::compiled_here;
use crate::math::exp_below_one;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::{Float, scratch};

/// The lanes of a tensor: `outer · inner` runs of `length` elements, which lie `inner` apart.
///
/// ```
/// use anemone_kernels::norm::Lanes;
/// // The columns of a matrix of 4 by 3.
/// let columns = Lanes { outer: 1, length: 4, inner: 3 };
/// assert_eq!(columns, Lanes::along(&[4, 3], 0..1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// The product of the dimensions before the axis.
    pub outer: usize,
    /// The dimension of the axis.
    pub length: usize,
    /// The product of the dimensions behind the axis.
    pub inner: usize,
}

impl Lanes {
    /// The lanes along the dimensions `axes` of a shape, which are taken as one.
    ///
    /// ```
    /// use anemone_kernels::norm::Lanes;
    /// assert_eq!(Lanes::along(&[2, 3, 4, 5], 1..3), Lanes { outer: 2, length: 12, inner: 5 });
    /// ```
    ///
    /// # Panics
    ///
    /// When the axes lie outside the shape.
    pub fn along(shape: &[usize], axes: Range<usize>) -> Self {
        let product = |dims: &[usize]| dims.iter().product();
        Self {
            outer: product(&shape[..axes.start]),
            inner: product(&shape[axes.end..]),
            length: product(&shape[axes]),
        }
    }

    fn elements(&self) -> Option<usize> {
        self.outer.checked_mul(self.length)?.checked_mul(self.inner)
    }
}

/// How many elements of neighbouring lanes are worked on at a time, and how many make a task.
const WIDTH: usize = 64;
const TASK: usize = 1 << 14;

/// Calls `work` with groups of lanes: their elements widened, as rows of as many as the group has lanes; the number of
/// lanes; where the group starts in the tensor; and which result is that of its first lane.
fn groups<T: Float>(
    threads: usize,
    x: &[T],
    lanes: Lanes,
    work: impl Fn(&mut [f32], usize, usize, usize) + Sync,
) {
    let Lanes { outer, length, inner } = lanes;
    assert_eq!(lanes.elements(), Some(x.len()), "the lanes are those of the tensor");
    let across = inner.div_ceil(WIDTH);
    let grain = TASK.div_ceil(length.saturating_mul(inner.clamp(1, WIDTH)).max(1));
    parallel_for(threads, outer * across, grain, |tasks| {
        let mut wide = scratch::floats(length * inner.min(WIDTH));
        for task in tasks {
            let (o, column) = (task / across, task % across * WIDTH);
            let width = WIDTH.min(inner - column);
            let start = o * length * inner + column;
            let wide = &mut wide[..length * width];
            if width == inner {
                T::widen(wide, &x[start..start + length * inner]);
            } else {
                for (row, wide) in wide.chunks_exact_mut(width).enumerate() {
                    T::widen(wide, &x[start + row * inner..][..width]);
                }
            }
            work(wide, width, start, o * inner + column);
        }
    });
}

/// Calls `change` with groups of lanes as rows and their number, and writes what it leaves there to `y`.
fn update<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    lanes: Lanes,
    change: impl Fn(&mut [f32], usize) + Sync,
) {
    assert_eq!(y.len(), x.len(), "a normalisation gives as many elements as it takes");
    let inner = lanes.inner;
    let y = Shared::new(y);
    groups(threads, x, lanes, |wide, width, start, _| {
        change(wide, width);
        // Where a group has all lanes, its rows follow each other.
        let run = if width == inner { wide.len() } else { width };
        for (row, wide) in wide.chunks_exact(run.max(1)).enumerate() {
            let at = start + row * inner;
            // SAFETY: a group of lanes is in one task only, and lanes do not overlap.
            T::narrow(unsafe { y.slice(at..at + run) }, wide);
        }
    });
}

/// What a lane is reduced to.
///
/// ```
/// use anemone_kernels::norm::{Lanes, Reduction, reduce};
/// let mut y = [0.0f32];
/// reduce(1, &mut y, &[3.0, -4.0], Lanes::along(&[2], 0..1), Reduction::L2);
/// assert_eq!(y, [5.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum of the magnitudes.
    L1,
    /// The square root of the sum of the squares.
    L2,
    /// The logarithm of the sum.
    LogSum,
    /// The logarithm of the sum of the powers of e, from which the largest is taken out first; that element itself
    /// where it is infinite.
    LogSumExp,
    /// The largest element, NaN if there is one; negative infinity of none.
    Max,
    /// The sum divided by the number of elements; NaN of none.
    Mean,
    /// The smallest element, NaN if there is one; infinity of none.
    Min,
    /// The product; 1 of none.
    Product,
    /// The sum; 0 of none.
    Sum,
    /// The sum of the squares.
    SumSquare,
}

/// Reduces each lane of `x` to one element of `y`.
///
/// ```
/// use anemone_kernels::norm::{Lanes, Reduction, reduce};
/// let mut y = [0.0f32; 2];
/// reduce(1, &mut y, &[1.0, 2.0, 3.0, 4.0], Lanes { outer: 1, length: 2, inner: 2 }, Reduction::Sum);
/// assert_eq!(y, [4.0, 6.0]);
/// ```
///
/// # Panics
///
/// When the lanes are not those of `x`, or `y` has not one element for each.
#[apply(compiled_here)]
pub fn reduce<T: Float>(threads: usize, y: &mut [T], x: &[T], lanes: Lanes, reduction: Reduction) {
    assert_eq!(
        Some(y.len()),
        lanes.outer.checked_mul(lanes.inner),
        "a reduction has one result for each lane"
    );
    let Lanes { length, inner, .. } = lanes;
    let y = Shared::new(y);
    if matches!(reduction, Reduction::Sum | Reduction::Mean)
        && T::as_f32s(x).is_none()
        && inner == 1
        && length > 0
    {
        assert_eq!(lanes.elements(), Some(x.len()), "the lanes are those of the tensor");
        return parallel_for(threads, lanes.outer, TASK.div_ceil(length), |tasks| {
            let mut sums = scratch::floats(tasks.len());
            let x = &x[tasks.start * length..tasks.end * length];
            let divisor = if reduction == Reduction::Mean { length as f64 } else { 1.0 };
            simd::dispatch(SumHalves { x, length, divisor, sums: &mut sums });
            // SAFETY: a lane is in one task only.
            T::narrow(unsafe { y.slice(tasks) }, &sums);
        });
    }
    if let (true, Reduction::Sum | Reduction::Mean) = (T::as_f32s(x).is_none(), reduction) {
        assert_eq!(lanes.elements(), Some(x.len()), "the lanes are those of the tensor");
        let (across, grain) = (inner.div_ceil(WIDTH), TASK.div_ceil(length.saturating_mul(WIDTH).max(1)));
        let divisor = if reduction == Reduction::Mean { length as f64 } else { 1.0 };
        return parallel_for(threads, lanes.outer * across, grain, |tasks| {
            for task in tasks {
                let (outer, column) = (task / across, task % across * WIDTH);
                let (x, width) = (&x[outer * length * inner..][..length * inner], WIDTH.min(inner - column));
                let mut sums = [0.0; WIDTH];
                simd::dispatch(SumRows { x, inner, column, divisor, sums: &mut sums[..width] });
                let first = outer * inner + column;
                // SAFETY: a group of lanes is in one task only.
                T::narrow(unsafe { y.slice(first..first + width) }, &sums[..width]);
            }
        });
    }
    groups(threads, x, lanes, |wide, width, _, first| {
        let mut results = [0.0; WIDTH];
        let results = &mut results[..width];
        simd::dispatch(Reduce { rows: wide, results, reduction, length: lanes.length });
        // SAFETY: a group of lanes is in one task only.
        T::narrow(unsafe { y.slice(first..first + width) }, results);
    });
}

/// The index of the largest or smallest element of each lane: the first of equals, a NaN before all.
///
/// ```
/// use anemone_kernels::norm::{Lanes, arg_max};
/// let mut y = [0; 1];
/// arg_max(1, &mut y, &[1.0f32, 3.0, 3.0], Lanes { outer: 1, length: 3, inner: 1 }, false);
/// assert_eq!(y, [1]);
/// ```
///
/// # Panics
///
/// As [`reduce`].
#[apply(compiled_here)]
pub fn arg_max<T: Float>(threads: usize, y: &mut [i32], x: &[T], lanes: Lanes, smallest: bool) {
    assert_eq!(
        Some(y.len()),
        lanes.outer.checked_mul(lanes.inner),
        "a reduction has one result for each lane"
    );
    let y = Shared::new(y);
    groups(threads, x, lanes, |wide, width, _, first| {
        if smallest {
            wide.iter_mut().for_each(|v| *v = -*v);
        }
        let mut best = [f32::NEG_INFINITY; WIDTH];
        let mut at = [0; WIDTH];
        for (row, wide) in wide.chunks_exact(width).enumerate() {
            for ((best, at), &v) in best.iter_mut().zip(&mut at).zip(wide) {
                if v > *best || v.is_nan() && !best.is_nan() {
                    (*best, *at) = (v, row as i32);
                }
            }
        }
        // SAFETY: a group of lanes is in one task only.
        unsafe { y.slice(first..first + width) }.copy_from_slice(&at[..width]);
    });
}

/// Divides the power of e of each element by the sum of those of its lane. The largest element of the lane is
/// subtracted first, so that no power overflows. An element that lies `d` below it becomes a number within `4 + d` ulp
/// of the exact one, and 0 where its power is below the normal numbers.
///
/// ```
/// use anemone_kernels::norm::{Lanes, softmax};
/// let mut y = [0.0f32; 2];
/// softmax(1, &mut y, &[5.0, 5.0], Lanes { outer: 1, length: 2, inner: 1 });
/// assert_eq!(y, [0.5, 0.5]);
/// ```
///
/// # Panics
///
/// When the lanes are not those of `x`, or `y` has another length.
#[apply(compiled_here)]
pub fn softmax<T: Float>(threads: usize, y: &mut [T], x: &[T], lanes: Lanes) {
    let halves = T::as_f32s(&[]).is_none();
    update(threads, y, x, lanes, |rows, width| simd::dispatch(Softmax { rows, width, halves }));
}

/// What is applied to each lane after it got mean 0 and deviation 1: one number for each of its elements.
///
/// ```
/// use anemone_kernels::norm::{Affine, Lanes, layer_norm};
/// let affine = Affine { gamma: None, beta: Some(&[10.0, 20.0]) };
/// let mut y = [0.0f32; 2];
/// layer_norm(1, &mut y, &[1.0, 3.0], Lanes::along(&[2], 0..1), affine, 0.0);
/// assert_eq!(y, [9.0, 21.0]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine<'a> {
    /// The factors.
    pub gamma: Option<&'a [f32]>,
    /// What is added.
    pub beta: Option<&'a [f32]>,
}

impl Affine<'_> {
    fn check(&self, n: usize) {
        for numbers in [self.gamma, self.beta].into_iter().flatten() {
            assert_eq!(numbers.len(), n, "gamma and beta have one number for each place that they apply to");
        }
    }

    fn at(&self, i: usize) -> (f32, f32) {
        (self.gamma.map_or(1.0, |g| g[i]), self.beta.map_or(0.0, |b| b[i]))
    }
}

/// Gives each lane mean 0 and deviation 1: `(x - mean) / √(variance + epsilon)`, then `· gamma + beta`, with one
/// `gamma` and `beta` for each place in a lane.
///
/// ```
/// use anemone_kernels::norm::{Affine, Lanes, layer_norm};
/// let mut y = [0.0f32; 2];
/// let affine = Affine { gamma: Some(&[1.0, 2.0]), beta: None };
/// layer_norm(1, &mut y, &[1.0, 3.0], Lanes { outer: 1, length: 2, inner: 1 }, affine, 0.0);
/// assert_eq!(y, [-1.0, 2.0]);
/// ```
///
/// # Panics
///
/// When the lanes are not those of `x`, or a slice has another length than they say.
#[apply(compiled_here)]
pub fn layer_norm<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    lanes: Lanes,
    affine: Affine<'_>,
    epsilon: f64,
) {
    affine.check(lanes.length);
    update(threads, y, x, lanes, |rows, width| {
        simd::dispatch(Standardize { rows, width, length: lanes.length, affine, epsilon });
    });
}

/// As [`layer_norm`] for lanes side by side, each of which is one of `channels`: with one `gamma` and `beta` for each
/// channel.
///
/// ```
/// use anemone_kernels::norm::{Affine, instance_norm};
/// let mut y = [0.0f32; 4];
/// let affine = Affine { gamma: None, beta: Some(&[0.0, 10.0]) };
/// instance_norm(1, &mut y, &[1.0, 3.0, 5.0, 7.0], 2, 2, affine, 0.0);
/// assert_eq!(y, [-1.0, 1.0, 9.0, 11.0]);
/// ```
///
/// # Panics
///
/// When `x` is not made of lanes of `length` elements, or a slice has another length.
#[apply(compiled_here)]
pub fn instance_norm<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    channels: usize,
    length: usize,
    affine: Affine<'_>,
    epsilon: f64,
) {
    affine.check(channels);
    assert_eq!(y.len(), x.len(), "a normalisation gives as many elements as it takes");
    let lanes = Lanes { outer: x.len().checked_div(length).unwrap_or(0), length, inner: 1 };
    let y = Shared::new(y);
    groups(threads, x, lanes, |wide, _, start, lane| {
        simd::dispatch(Standardize { rows: wide, width: 1, length, affine: Affine::default(), epsilon });
        let (gamma, beta) = affine.at(lane % channels);
        wide.iter_mut().for_each(|v| *v = *v * gamma + beta);
        // SAFETY: a lane is in one task only.
        T::narrow(unsafe { y.slice(start..start + length) }, wide);
    });
}

/// Multiplies the elements of each channel with its factor and adds its offset; the tensor is
/// `[batch, channels, length]`, which [`Lanes`] say with `length` the channels and `inner` the length. The product
/// and sum are exact and rounded once.
///
/// ```
/// use anemone_kernels::norm::{Lanes, scale_channels};
/// let mut y = [0.0f32; 4];
/// let lanes = Lanes { outer: 1, length: 2, inner: 2 };
/// scale_channels(1, &mut y, &[1.0, 2.0, 3.0, 4.0], lanes, &[2.0, 10.0], &[0.0, 1.0]);
/// assert_eq!(y, [2.0, 4.0, 31.0, 41.0]);
/// ```
///
/// # Panics
///
/// When the lanes are not those of `x`, or a slice has another length.
#[apply(compiled_here)]
pub fn scale_channels<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    lanes: Lanes,
    factors: &[f64],
    offsets: &[f64],
) {
    assert!(factors.len() == lanes.length && offsets.len() == lanes.length, "each channel has two numbers");
    let channels = lanes.length;
    // Each channel of each sample is a run of elements.
    let runs = Lanes { outer: lanes.outer * channels, length: lanes.inner, inner: 1 };
    assert_eq!(y.len(), x.len(), "a normalisation gives as many elements as it takes");
    let y = Shared::new(y);
    groups(threads, x, runs, |wide, _, start, run| {
        let (factor, offset) = (factors[run % channels], offsets[run % channels]);
        simd::dispatch(Scale { wide, factor, offset });
        // SAFETY: a run is in one task only.
        T::narrow(unsafe { y.slice(start..start + wide.len()) }, wide);
    });
}

struct Scale<'a> {
    wide: &'a mut [f32],
    factor: f64,
    offset: f64,
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for v in self.wide.iter_mut() {
            *v = (f64::from(*v) * self.factor + self.offset) as f32;
        }
    }
}

/// How many sums of one lane are carried side by side.
const SUMS: usize = 32;

/// The sum of `f` of each element of a lane.
macro_rules! sum {
    ($lane:expr, |$x:ident| $f:expr) => {{
        let lane: &[f32] = $lane;
        let mut sums = [0.0f64; SUMS];
        let mut chunks = lane.chunks_exact(SUMS);
        for chunk in chunks.by_ref() {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                let $x = f64::from(x);
                *sum += $f;
            }
        }
        for (sum, &x) in sums.iter_mut().zip(chunks.remainder()) {
            let $x = f64::from(x);
            *sum += $f;
        }
        sums.iter().sum::<f64>()
    }};
}

/// The largest or smallest of a lane, by one of the functions of `binary`.
macro_rules! extreme {
    ($lane:expr, $start:expr, $f:ident) => {{
        let lane: &[f32] = $lane;
        let mut best = [$start; SUMS];
        let mut chunks = lane.chunks_exact(SUMS);
        for chunk in chunks.by_ref() {
            for (best, &x) in best.iter_mut().zip(chunk) {
                *best = $f(*best, x);
            }
        }
        for (best, &x) in best.iter_mut().zip(chunks.remainder()) {
            *best = $f(*best, x);
        }
        let mut all = $start;
        for &x in &best {
            all = $f(all, x);
        }
        // Of zeros of both signs the last counts, whichever of the sums it fell into.
        if all == 0.0 { lane.iter().copied().rfind(|&x| x == 0.0).unwrap_or(all) } else { all }
    }};
}

struct Reduce<'a> {
    rows: &'a [f32],
    results: &'a mut [f32],
    reduction: Reduction,
    length: usize,
}

impl Kernel for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, results, reduction, length } = self;
        let finish = |sum: f64| match reduction {
            Reduction::Mean => sum / length as f64,
            Reduction::L2 => sum.sqrt(),
            Reduction::LogSum => sum.ln(),
            _ => sum,
        } as f32;
        if let [result] = results {
            *result = match reduction {
                Reduction::Max => extreme!(rows, f32::NEG_INFINITY, maximum),
                Reduction::Min => extreme!(rows, f32::INFINITY, minimum),
                Reduction::LogSumExp => {
                    let top = extreme!(rows, f32::NEG_INFINITY, maximum);
                    log_sum_exp(rows.iter().fold(0.0, |sum, &x| sum + above(x, top)), top)
                }
                Reduction::Product => finish(rows.iter().fold(1.0, |product, &x| product * f64::from(x))),
                Reduction::Sum | Reduction::Mean | Reduction::LogSum => finish(sum!(rows, |x| x)),
                Reduction::L1 => finish(sum!(rows, |x| x.abs())),
                Reduction::SumSquare | Reduction::L2 => finish(sum!(rows, |x| x * x)),
            };
            return;
        }
        let width = results.len();
        let mut sums = [0.0f64; WIDTH];
        macro_rules! each_row {
            ($all:expr, |$x:ident, $sum:ident| $new:expr) => {
                for row in rows.chunks_exact(width) {
                    for ($sum, &$x) in $all.iter_mut().zip(row) {
                        *$sum = $new;
                    }
                }
            };
        }
        match reduction {
            Reduction::Max => {
                results.fill(f32::NEG_INFINITY);
                each_row!(results, |x, best| maximum(*best, x));
                return;
            }
            Reduction::Min => {
                results.fill(f32::INFINITY);
                each_row!(results, |x, best| minimum(*best, x));
                return;
            }
            Reduction::LogSumExp => {
                let mut tops = [f32::NEG_INFINITY; WIDTH];
                each_row!(tops, |x, top| maximum(x, *top));
                for row in rows.chunks_exact(width) {
                    for ((sum, &top), &x) in sums.iter_mut().zip(&tops).zip(row) {
                        *sum += above(x, top);
                    }
                }
                let lanes = results.iter_mut().zip(&sums).zip(&tops);
                lanes.for_each(|((result, &sum), &top)| *result = log_sum_exp(sum, top));
                return;
            }
            Reduction::Product => {
                sums.fill(1.0);
                each_row!(sums, |x, product| *product * f64::from(x));
            }
            Reduction::Sum | Reduction::Mean | Reduction::LogSum => {
                each_row!(sums, |x, sum| *sum + f64::from(x));
            }
            Reduction::L1 => each_row!(sums, |x, sum| *sum + f64::from(x.abs())),
            Reduction::SumSquare | Reduction::L2 => {
                each_row!(sums, |x, sum| *sum + f64::from(x) * f64::from(x));
            }
        }
        for (result, &sum) in results.iter_mut().zip(&sums) {
            *result = finish(sum);
        }
    }
}

/// Sums lanes that lie one behind the other, each of `length` elements, which have fewer digits than `f32`.
struct SumHalves<'a, T> {
    x: &'a [T],
    length: usize,
    divisor: f64,
    sums: &'a mut [f32],
}

impl<T: Float> Kernel for SumHalves<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (to, lane) in self.sums.iter_mut().zip(self.x.chunks_exact(self.length)) {
            let mut all = 0.0;
            for block in lane.chunks(512) {
                let mut sums = [simd.splat(0.0); 4];
                for from in block.chunks(4 * S::LANES) {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let v = if from.len() == 4 * S::LANES {
                            T::load(simd, &from[i * S::LANES..])
                        } else {
                            T::load_some(simd, from.get(i * S::LANES..).unwrap_or_default())
                        };
                        *sum = simd.add(*sum, v);
                    }
                }
                let [a, b, c, d] = sums;
                all += f64::from(simd.sum(simd.add(simd.add(a, b), simd.add(c, d))));
            }
            *to = (all / self.divisor) as f32;
        }
    }
}

/// Sums the rows of a matrix, which have fewer digits than `f32`: so many neighbouring columns from one on.
struct SumRows<'a, T> {
    x: &'a [T],
    inner: usize,
    column: usize,
    divisor: f64,
    sums: &'a mut [f32],
}

impl<T: Float> Kernel for SumRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut all = [0.0f64; WIDTH];
        let width = self.sums.len();
        for block in self.x.chunks(64 * self.inner) {
            let mut sums = [0.0; WIDTH];
            let mut first = 0;
            while first + 4 * S::LANES <= width {
                let mut four = [simd.splat(0.0); 4];
                for row in block.chunks_exact(self.inner) {
                    let row = &row[self.column + first..][..4 * S::LANES];
                    for (i, sum) in four.iter_mut().enumerate() {
                        *sum = simd.add(*sum, T::load(simd, &row[i * S::LANES..]));
                    }
                }
                for (sum, to) in four.into_iter().zip(sums[first..].chunks_exact_mut(S::LANES)) {
                    simd.store(to, sum);
                }
                first += 4 * S::LANES;
            }
            for at in (first..width).step_by(S::LANES) {
                let mut sum = simd.splat(0.0);
                for row in block.chunks_exact(self.inner) {
                    let row = &row[self.column + at..self.column + width];
                    let v = if row.len() >= S::LANES { T::load(simd, row) } else { T::load_some(simd, row) };
                    sum = simd.add(sum, v);
                }
                simd.store_some(&mut sums[at..], sum);
            }
            all.iter_mut().zip(sums).for_each(|(all, sum)| *all += f64::from(sum));
        }
        self.sums.iter_mut().zip(all).for_each(|(to, all)| *to = (all / self.divisor) as f32);
    }
}

/// The power of e of how far an element lies above the largest.
#[inline(always)]
fn above(x: f32, top: f32) -> f64 {
    (f64::from(x) - f64::from(top)).exp()
}

/// The logarithm of a sum that was divided by the power of e of `top`.
#[inline(always)]
fn log_sum_exp(sum: f64, top: f32) -> f32 {
    if top.is_infinite() { top } else { (sum.ln() + f64::from(top)) as f32 }
}

/// Makes weights of the elements of a lane, of which the largest is 1; gives their sum, carried in `f32` for up to 512 of
/// them. A NaN is no largest one, but leaves its trace in the sum.
#[inline(always)]
pub(crate) fn weigh<S: Simd>(lane: &mut [f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (whole, rest) = lane.as_chunks_mut::<SUMS>();
    // What is left is filled up with elements that have no weight.
    let mut last = [f32::NEG_INFINITY; SUMS];
    last[..rest.len()].copy_from_slice(rest);
    let mut tops = last;
    for chunk in &*whole {
        tops.iter_mut().zip(chunk).for_each(|(top, &x)| *top = larger(*top, x));
    }
    let top = halved(tops, larger);
    let mut all = 0.0;
    for block in whole.chunks_mut(512 / SUMS) {
        let mut sums = [0.0; SUMS];
        block.iter_mut().for_each(|chunk| powers::<S>(chunk, top, &mut sums));
        all += f64::from(halved(sums, |a, b| a + b));
    }
    if !rest.is_empty() {
        let mut sums = [0.0; SUMS];
        powers::<S>(&mut last, top, &mut sums);
        rest.copy_from_slice(&last[..rest.len()]);
        all += f64::from(halved(sums, |a, b| a + b));
    }
    all as f32
}

/// Puts the power of e of how far each element lies above the largest in its place, and adds it to a sum.
#[inline(always)]
fn powers<S: Simd>(chunk: &mut [f32; SUMS], top: f32, sums: &mut [f32; SUMS]) {
    for (sum, x) in sums.iter_mut().zip(chunk) {
        *x = exp_below_one::<S>(*x - top);
        *sum += *x;
    }
}

/// What a function makes of numbers, half of them with the other half at a time.
#[inline(always)]
fn halved(mut numbers: [f32; SUMS], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = SUMS / 2;
    while width > 0 {
        for i in 0..width {
            numbers[i] = f(numbers[i], numbers[i + width]);
        }
        width /= 2;
    }
    numbers[0]
}

struct Softmax<'a> {
    rows: &'a mut [f32],
    width: usize,
    /// Whether the results have so few digits that sums in `f32` do.
    halves: bool,
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, width, halves } = self;
        if width == 1 {
            let sum = weigh::<S>(rows);
            if halves {
                let scale = 1.0 / sum;
                rows.iter_mut().for_each(|x| *x *= scale);
            } else {
                let sum = sum!(rows, |x| x) as f32;
                rows.iter_mut().for_each(|x| *x /= sum);
            }
            return;
        }
        let (mut top, mut sums) = ([f32::NEG_INFINITY; WIDTH], [0.0f64; WIDTH]);
        for row in rows.chunks_exact(width) {
            for (top, &x) in top.iter_mut().zip(row) {
                *top = maximum(x, *top);
            }
        }
        for row in rows.chunks_exact_mut(width) {
            for ((x, &top), sum) in row.iter_mut().zip(&top).zip(&mut sums) {
                *x = exp_below_one::<S>(*x - top);
                *sum += f64::from(*x);
            }
        }
        for row in rows.chunks_exact_mut(width) {
            for (x, &sum) in row.iter_mut().zip(&sums) {
                *x /= sum as f32;
            }
        }
    }
}

/// The sum of how far each element of a lane lies above `from`, and that of the squares.
#[inline(always)]
fn moments<S: Simd>(lane: &[f32], from: f64) -> [f64; 2] {
    let mut sums = [[0.0f64; SUMS]; 2];
    let (chunks, rest) = lane.as_chunks::<SUMS>();
    let mut last = [from as f32; SUMS];
    for chunk in chunks {
        add_moments::<S>(&mut sums, chunk, from);
    }
    last[..rest.len()].copy_from_slice(rest);
    add_moments::<S>(&mut sums, &last, from);
    sums.map(|sums| sums.iter().sum())
}

#[inline(always)]
fn add_moments<S: Simd>(sums: &mut [[f64; SUMS]; 2], elements: &[f32; SUMS], from: f64) {
    for i in 0..SUMS {
        let above = f64::from(elements[i]) - from;
        sums[0][i] += above;
        sums[1][i] = if S::FUSED { above.mul_add(above, sums[1][i]) } else { above * above + sums[1][i] };
    }
}

struct Standardize<'a> {
    rows: &'a mut [f32],
    width: usize,
    length: usize,
    affine: Affine<'a>,
    epsilon: f64,
}

impl Kernel for Standardize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rows, width, length, affine, epsilon } = self;
        let n = length as f64;
        if width == 1 {
            // From the first element on, no sum of squares is much larger than the variance.
            let first = rows.first().copied().map_or(0.0, f64::from);
            let [sum, squares] = moments::<S>(rows, first);
            let variance = (squares - sum * (sum / n)) / n;
            let variance = if variance < 0.0 { 0.0 } else { variance };
            let scale = 1.0 / (variance + epsilon).sqrt();
            let mean = first + sum / n;
            for x in rows.iter_mut() {
                *x = ((f64::from(*x) - mean) * scale) as f32;
            }
            if let Some(gamma) = affine.gamma {
                for (x, g) in rows.iter_mut().zip(gamma) {
                    *x *= g;
                }
            }
            if let Some(beta) = affine.beta {
                for (x, b) in rows.iter_mut().zip(beta) {
                    *x += b;
                }
            }
            return;
        }
        let (mut means, mut scales) = ([0.0f64; WIDTH], [0.0f64; WIDTH]);
        for row in rows.chunks_exact(width) {
            for (mean, &x) in means.iter_mut().zip(row) {
                *mean += f64::from(x);
            }
        }
        for mean in &mut means {
            *mean /= n;
        }
        for row in rows.chunks_exact(width) {
            for ((sum, &mean), &x) in scales.iter_mut().zip(&means).zip(row) {
                let d = f64::from(x) - mean;
                *sum += d * d;
            }
        }
        for scale in &mut scales {
            *scale = 1.0 / (*scale / n + epsilon).sqrt();
        }
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let (gamma, beta) = affine.at(i);
            for ((x, &mean), &scale) in row.iter_mut().zip(&means).zip(&scales) {
                *x = ((f64::from(*x) - mean) * scale) as f32 * gamma + beta;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::{close, floats};

    const SHAPES: [Lanes; 7] = [
        Lanes { outer: 1, length: 1, inner: 1 },
        Lanes { outer: 5, length: 77, inner: 1 },
        Lanes { outer: 2, length: 1000, inner: 1 },
        Lanes { outer: 3, length: 16, inner: 7 },
        Lanes { outer: 2, length: 33, inner: 150 },
        Lanes { outer: 0, length: 3, inner: 2 },
        Lanes { outer: 2, length: 3, inner: 0 },
    ];

    /// The elements of each lane as floats.
    fn of<T: Float>(x: &[T], lanes: Lanes) -> Vec<Vec<f64>> {
        let lane = |o: usize, i: usize| {
            (0..lanes.length)
                .map(|l| f64::from(x[(o * lanes.length + l) * lanes.inner + i].to_f32()))
                .collect()
        };
        (0..lanes.outer)
            .flat_map(|o| (0..lanes.inner).map(move |i| (o, i)))
            .map(|(o, i)| lane(o, i))
            .collect()
    }

    fn same_bits<T: Float>(a: &[T], b: &[T]) -> bool {
        bytemuck::cast_slice::<T, u8>(a) == bytemuck::cast_slice::<T, u8>(b)
    }

    fn check_reductions<T: Float>(lanes: Lanes) {
        let x: Vec<T> = floats(lanes.elements().unwrap(), 7);
        for reduction in [
            Reduction::L1,
            Reduction::L2,
            Reduction::LogSumExp,
            Reduction::Max,
            Reduction::Product,
            Reduction::Mean,
            Reduction::Min,
            Reduction::Sum,
            Reduction::SumSquare,
        ] {
            let mut y = vec![T::zeroed(); lanes.outer * lanes.inner];
            reduce(1, &mut y, &x, lanes, reduction);
            let mut two = y.clone();
            reduce(2, &mut two, &x, lanes, reduction);
            assert!(same_bits(&y, &two));
            for (y, lane) in y.iter().zip(of(&x, lanes)) {
                let sum = |f: fn(f64) -> f64| lane.iter().copied().map(f).sum::<f64>();
                let exact = match reduction {
                    Reduction::L1 => sum(f64::abs),
                    Reduction::L2 => sum(|x| x * x).sqrt(),
                    Reduction::LogSum => sum(|x| x).ln(),
                    Reduction::LogSumExp => sum(f64::exp).ln(),
                    Reduction::Product => lane.iter().product(),
                    Reduction::Max => lane.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Reduction::Mean => sum(|x| x) / lane.len() as f64,
                    Reduction::Min => lane.iter().copied().fold(f64::INFINITY, f64::min),
                    Reduction::Sum => sum(|x| x),
                    Reduction::SumSquare => sum(|x| x * x),
                };
                // Products of many elements are so small that `f32` has few digits left for them.
                let bound = 1e-7 * exact.abs() + 2f64.powi(-149);
                close(*y, exact, bound, &format!("{reduction:?} of {lanes:?}"));
            }
        }
        for smallest in [false, true] {
            let mut y = vec![0; lanes.outer * lanes.inner];
            arg_max(2, &mut y, &x, lanes, smallest);
            for (y, lane) in y.into_iter().zip(of(&x, lanes)) {
                let better = |a: f64, b: f64| if smallest { a < b } else { a > b };
                let best = (0..lane.len()).reduce(|b, i| if better(lane[i], lane[b]) { i } else { b });
                assert_eq!(Some(y as usize), best);
            }
        }
    }

    #[test]
    fn reductions_are_those_of_the_definition() {
        for lanes in SHAPES {
            check_reductions::<f32>(lanes);
            check_reductions::<f16>(lanes);
        }
    }

    #[test]
    fn reductions_of_nothing_and_of_nans() {
        let none = Lanes { outer: 2, length: 0, inner: 1 };
        let of = |reduction| {
            let mut y = [9.0f32; 2];
            reduce(1, &mut y, &[], none, reduction);
            y[1]
        };
        assert_eq!((of(Reduction::Sum), of(Reduction::Max)), (0.0, f32::NEG_INFINITY));
        assert!(of(Reduction::Mean).is_nan());
        for inner in [1, 2] {
            let x = [1.0, 2.0, f32::NAN, f32::NAN, 0.0, 5.0];
            let lanes = Lanes { outer: 2 / inner, length: 3, inner };
            let mut y = [0.0; 2];
            reduce(1, &mut y, &x, lanes, Reduction::Max);
            assert!(y[0].is_nan() && y[1].is_nan());
        }
        let mut y = [0; 2];
        arg_max(
            1,
            &mut y,
            &[1.0, f32::NAN, f32::NAN, 2.0, 2.0, 1.0],
            Lanes { outer: 2, length: 3, inner: 1 },
            false,
        );
        assert_eq!(y, [1, 0]);
    }

    fn check_softmax<T: Float>(lanes: Lanes) {
        let x: Vec<T> =
            floats::<f32>(lanes.elements().unwrap(), 8).iter().map(|v| T::from_f32(v * 20.0)).collect();
        let mut y = vec![T::zeroed(); x.len()];
        softmax(1, &mut y, &x, lanes);
        let mut two = y.clone();
        softmax(2, &mut two, &x, lanes);
        assert!(same_bits(&y, &two));
        for (found, lane) in of(&y, lanes).into_iter().zip(of(&x, lanes)) {
            let top = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = lane.iter().map(|x| (x - top).exp()).sum();
            for (y, x) in found.into_iter().zip(lane) {
                let exact = (x - top).exp() / sum;
                close(T::from_f32(y as f32), exact, (4.0 + top - x) * 2f64.powi(-24) * exact, "softmax");
            }
        }
    }

    #[test]
    fn softmax_is_that_of_the_definition() {
        for lanes in SHAPES {
            check_softmax::<f32>(lanes);
            check_softmax::<f16>(lanes);
        }
        let mut y = [0.0f32; 6];
        let inf = f32::INFINITY;
        softmax(1, &mut y, &[-inf, 0.0, 0.0, inf, 0.0, 1.0], Lanes { outer: 2, length: 3, inner: 1 });
        assert_eq!(y[..3], [0.0, 0.5, 0.5]);
        assert!(y[3].is_nan());
    }

    /// The exact normalisation of a lane.
    fn standardized(lane: &[f64], epsilon: f64) -> Vec<f64> {
        let n = lane.len() as f64;
        let mean = lane.iter().sum::<f64>() / n;
        let variance = lane.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        lane.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect()
    }

    fn check_norms<T: Float>(lanes: Lanes) {
        // A mean far from 0 would cost digits if sums were carried in f32.
        let x: Vec<T> =
            floats::<f32>(lanes.elements().unwrap(), 9).iter().map(|v| T::from_f32(v + 50.0)).collect();
        let (gamma, beta) = (floats::<f32>(lanes.length, 10), floats::<f32>(lanes.length, 11));
        let mut y = vec![T::zeroed(); x.len()];
        let mut two = y.clone();
        for affine in [
            Affine::default(),
            Affine { gamma: Some(&gamma), beta: None },
            Affine { gamma: Some(&gamma), beta: Some(&beta) },
        ] {
            layer_norm(1, &mut y, &x, lanes, affine, 1e-5);
            layer_norm(2, &mut two, &x, lanes, affine, 1e-5);
            assert!(same_bits(&y, &two));
            for (found, lane) in of(&y, lanes).into_iter().zip(of(&x, lanes)) {
                for (i, (y, exact)) in found.into_iter().zip(standardized(&lane, 1e-5)).enumerate() {
                    let (g, b) = affine.at(i);
                    let (product, b) = (exact * f64::from(g), f64::from(b));
                    let bound = 3e-7 * (product.abs() + b.abs());
                    close(T::from_f32(y as f32), product + b, bound, "layer_norm");
                }
            }
        }
        if lanes.inner != 1 {
            return;
        }
        for channels in [1, lanes.outer.max(1)] {
            let affine =
                Affine { gamma: Some(&gamma[..1].repeat(channels)), beta: Some(&beta[..1].repeat(channels)) };
            instance_norm(2, &mut y, &x, channels, lanes.length, affine, 1e-5);
            for (found, lane) in of(&y, lanes).into_iter().zip(of(&x, lanes)) {
                for (y, exact) in found.into_iter().zip(standardized(&lane, 1e-5)) {
                    let (product, b) = (exact * f64::from(gamma[0]), f64::from(beta[0]));
                    close(
                        T::from_f32(y as f32),
                        product + b,
                        3e-7 * (product.abs() + b.abs()),
                        "instance_norm",
                    );
                }
            }
        }
    }

    #[test]
    fn normalisations_are_those_of_the_definition() {
        for lanes in SHAPES {
            check_norms::<f32>(lanes);
            check_norms::<f16>(lanes);
        }
    }

    #[test]
    fn channels_are_scaled() {
        let (n, channels, inner) = (3, 5, 70);
        let x: Vec<f16> = floats(n * channels * inner, 12);
        let (factors, offsets) = ([1.5, -2.0, 0.1, 0.0, 3.0], [0.0, 1.0, -0.3, 7.0, 0.01]);
        let mut y = vec![f16::ZERO; x.len()];
        scale_channels(2, &mut y, &x, Lanes { outer: n, length: channels, inner }, &factors, &offsets);
        for (i, (y, x)) in y.iter().zip(&x).enumerate() {
            let c = i / inner % channels;
            close(*y, x.to_f64() * factors[c] + offsets[c], 1e-7, "scale");
        }
    }
}
