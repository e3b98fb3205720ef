//! Functions of two elements, with broadcasting.
//!
//! ```
//! use anemone_kernels::binary::{Binary, Operand, binary};
//! // Each row of x, times a number of y.
//! let (x, y) = (Operand { data: &[1.0f32, 2.0, 3.0, 4.0], strides: &[2, 1] }, Operand { data: &[2.0, 10.0], strides: &[1, 0] });
//! let mut z = [0.0; 4];
//! binary(1, &mut z, &[2, 2], x, y, Binary::Mul, &[]);
//! assert_eq!(z, [2.0, 4.0, 30.0, 40.0]);
//! ```

use std::ops::Range;

use macro_rules_attribute::apply;
use smallvec::SmallVec;

use crate::Float;
use crate::compiled::compiled_here;
use crate::finish::{self, Finish, Stage};
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_chunks, parallel_for};

/// A function of two elements. Each is rounded once.
///
/// ```
/// use anemone_kernels::binary::{Binary, Operand, binary};
/// let row = |data| Operand { data, strides: &[1] };
/// let mut z = [0.0f32];
/// binary(1, &mut z, &[1], row(&[2.0]), row(&[3.0]), Binary::Pow, &[]);
/// assert_eq!(z, [8.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `x + y`.
    Add,
    /// `x / y`.
    Div,
    /// The larger; NaN if either is.
    Max,
    /// The smaller; NaN if either is.
    Min,
    /// `x · y`.
    Mul,
    /// `x` to the power of `y`.
    Pow,
    /// `x - y`.
    Sub,
}

/// A comparison of two elements. All but [`Comparison::NotEqual`] are false for NaNs.
///
/// ```
/// use anemone_kernels::binary::{Comparison, Operand, compare};
/// let row = |data| Operand { data, strides: &[1] };
/// let mut z = [0; 2];
/// compare(1, &mut z, &[2], row(&[1.0f32, f32::NAN]), row(&[2.0, 2.0]), Comparison::Less);
/// assert_eq!(z, [1, 0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `x = y`.
    Equal,
    /// `x > y`.
    Greater,
    /// `x ≥ y`.
    GreaterEqual,
    /// `x < y`.
    Less,
    /// `x ≤ y`.
    LessEqual,
    /// `x ≠ y`.
    NotEqual,
}

/// The larger of two numbers; NaN if either is.
#[inline(always)]
pub(crate) fn maximum(x: f32, y: f32) -> f32 {
    if x > y || x.is_nan() { x } else { y }
}

/// The smaller of two numbers; NaN if either is.
#[inline(always)]
pub(crate) fn minimum(x: f32, y: f32) -> f32 {
    if x < y || x.is_nan() { x } else { y }
}

/// An operand: its elements, and how far apart neighbours along each dimension of the result lie in it. A stride of 0
/// repeats an element.
///
/// ```
/// use anemone_kernels::binary::{Binary, Operand, binary};
/// // One number beside three: its stride is 0.
/// let (x, y) = (Operand { data: &[1.0f32, 2.0, 3.0], strides: &[1] }, Operand { data: &[10.0], strides: &[0] });
/// let mut z = [0.0; 3];
/// binary(1, &mut z, &[3], x, y, Binary::Sub, &[]);
/// assert_eq!(z, [-9.0, -8.0, -7.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// One stride for each dimension of the result.
    pub strides: &'a [usize],
}

impl<T> Operand<'_, T> {
    fn check(&self, shape: &[usize]) {
        assert_eq!(self.strides.len(), shape.len(), "an operand has a stride for each dimension");
        let steps = shape.iter().zip(self.strides).map(|(&n, &s)| n.saturating_sub(1).saturating_mul(s));
        let last = steps.fold(0usize, usize::saturating_add);
        assert!(shape.contains(&0) || last < self.data.len(), "an operand lies within its slice");
    }
}

/// Writes `f` of the elements of `x` and `y`, put through stages, to `z`, whose dimensions are `shape`.
///
/// ```
/// use anemone_kernels::binary::{Binary, Operand, binary};
/// let x = Operand { data: &[1.0f32, 2.0, 3.0], strides: &[0, 1] };
/// let y = Operand { data: &[10.0f32, 20.0], strides: &[1, 0] };
/// let mut z = [0.0f32; 6];
/// binary(1, &mut z, &[2, 3], x, y, Binary::Add, &[]);
/// assert_eq!(z, [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
/// ```
///
/// # Panics
///
/// When `z` has not as many elements as the shape, or an operand reaches past its slice.
#[apply(compiled_here)]
pub fn binary<T: Float>(
    threads: usize,
    z: &mut [T],
    shape: &[usize],
    x: Operand<'_, T>,
    y: Operand<'_, T>,
    f: Binary,
    stages: &[Stage<'_, T>],
) {
    let finish = Finish { bias: None, stages };
    finish.check(z.len());
    let walk = Walk::over(shape, x, y);
    if !matches!(f, Binary::Div | Binary::Pow) && walk.steps.iter().all(|&s| s < 2) && finish.in_registers() {
        let z = walk.results(z);
        return parallel_for(threads, walk.tasks(), walk.grain(), |tasks| {
            simd::dispatch(Direct { z: &z, x: x.data, y: y.data, f, finish, walk: &walk, tasks });
        });
    }
    zip(threads, z, &walk, x, y, |at, z, a, b| {
        simd::dispatch(Apply { a: &mut *a, b, f });
        finish.write(z, a, at);
    });
}

/// Writes whether a comparison of the elements of `x` and `y` holds, as 0 or 1, to `z`, whose dimensions are `shape`.
///
/// ```
/// use anemone_kernels::binary::{Comparison, Operand, compare};
/// let x = Operand { data: &[1.0f32, 2.0, 3.0], strides: &[1] };
/// let y = Operand { data: &[2.0f32], strides: &[0] };
/// let mut z = [0; 3];
/// compare(1, &mut z, &[3], x, y, Comparison::LessEqual);
/// assert_eq!(z, [1, 1, 0]);
/// ```
///
/// # Panics
///
/// As [`binary`].
#[apply(compiled_here)]
pub fn compare<T: Float>(
    threads: usize,
    z: &mut [u8],
    shape: &[usize],
    x: Operand<'_, T>,
    y: Operand<'_, T>,
    f: Comparison,
) {
    let walk = Walk::over(shape, x, y);
    zip(threads, z, &walk, x, y, |_, z, a, b| simd::dispatch(Compare { z, a, b, f }));
}

/// Writes any function of the elements of `x` and `y`, of any plain types, to `z`, whose dimensions are `shape`.
///
/// ```
/// use anemone_kernels::binary::{Operand, map};
/// let x = Operand { data: &[7, -7], strides: &[1] };
/// let y = Operand { data: &[2], strides: &[0] };
/// let mut z = [0; 2];
/// map(1, &mut z, &[2], x, y, i32::div_euclid);
/// assert_eq!(z, [3, -4]);
/// ```
///
/// # Panics
///
/// As [`binary`].
pub fn map<A: Copy + Sync, Z: Send>(
    threads: usize,
    z: &mut [Z],
    shape: &[usize],
    x: Operand<'_, A>,
    y: Operand<'_, A>,
    f: impl Fn(A, A) -> Z + Sync,
) {
    x.check(shape);
    y.check(shape);
    let (shape, [over_x, over_y]) = collapse(shape, [x.strides, y.strides]);
    let (lines, inner) = (shape.split_last().map_or(&[][..], |(_, s)| s), *shape.last().unwrap_or(&1));
    assert_eq!(
        z.len(),
        lines.iter().product::<usize>() * inner,
        "the result has as many elements as its shape"
    );
    if z.is_empty() {
        return;
    }
    let rank = lines.len();
    let step = |strides: &[usize]| strides.get(rank).copied().unwrap_or(0);
    let (step_x, step_y) = (step(&over_x), step(&over_y));
    // A chunk is a line, or a part of one.
    let part = if lines.iter().all(|&n| n == 1) { inner.min(16 * BLOCK) } else { inner };
    parallel_chunks(threads, z, part, (16 * BLOCK).div_ceil(part), |chunk, z| {
        let first = chunk * part;
        let (mut rest, place) = (first / inner, first % inner);
        let (mut i, mut j) = (place * step_x, place * step_y);
        for d in (0..rank).rev() {
            i += rest % lines[d] * over_x[d];
            j += rest % lines[d] * over_y[d];
            rest /= lines[d];
        }
        let (x, y) = (&x.data[i..], &y.data[j..]);
        match (step_x, step_y) {
            (1, 1) => z.iter_mut().zip(x).zip(y).for_each(|((z, &x), &y)| *z = f(x, y)),
            (1, 0) => z.iter_mut().zip(x).for_each(|(z, &x)| *z = f(x, y[0])),
            (0, 1) => z.iter_mut().zip(y).for_each(|(z, &y)| *z = f(x[0], y)),
            _ => z.iter_mut().enumerate().for_each(|(k, z)| *z = f(x[k * step_x], y[k * step_y])),
        }
    });
}

/// How many elements are computed at a time.
const BLOCK: usize = 1024;

/// A walk over a result and two operands, run by run.
struct Walk {
    /// The dimensions before the last, and the last, of those that are left when neighbours are joined.
    lines: Dims,
    inner: usize,
    over: [Dims; 2],
    /// From an element to the next in each operand.
    steps: [usize; 2],
    /// How many runs a line falls into.
    parts: usize,
}

impl Walk {
    fn over<T>(shape: &[usize], x: Operand<'_, T>, y: Operand<'_, T>) -> Self {
        x.check(shape);
        y.check(shape);
        let (mut lines, over) = collapse(shape, [x.strides, y.strides]);
        let inner = lines.pop().unwrap_or(1);
        let rank = lines.len();
        let steps = [0, 1].map(|k: usize| over[k].get(rank).copied().unwrap_or(0));
        Self { parts: inner.div_ceil(BLOCK), lines, inner, over, steps }
    }

    /// The result, to write.
    fn results<'z, R>(&self, z: &'z mut [R]) -> Shared<'z, R> {
        let count = self.lines.iter().product::<usize>() * self.inner;
        assert_eq!(z.len(), count, "the result has as many elements as its shape");
        Shared::new(z)
    }

    /// How many runs there are. Each is a line, or a part of one.
    fn tasks(&self) -> usize {
        self.lines.iter().product::<usize>() * self.parts
    }

    /// How many of them are worth a thread.
    fn grain(&self) -> usize {
        (16 * BLOCK).div_ceil(self.inner.clamp(1, BLOCK))
    }

    /// The elements of a run, and where it starts in both operands.
    fn run(&self, task: usize) -> (Range<usize>, [usize; 2]) {
        let (line, part) = (task / self.parts, task % self.parts * BLOCK);
        let mut starts = self.steps.map(|step| part * step);
        let mut rest = line;
        for (d, &n) in self.lines.iter().enumerate().rev() {
            let at = rest % n;
            rest /= n;
            starts[0] += at * self.over[0][d];
            starts[1] += at * self.over[1][d];
        }
        let start = line * self.inner + part;
        (start..start + BLOCK.min(self.inner - part), starts)
    }
}

/// Calls `f` with where a run of the result begins, the run, and the widened elements of both operands.
fn zip<T: Float, R: Send>(
    threads: usize,
    z: &mut [R],
    walk: &Walk,
    x: Operand<'_, T>,
    y: Operand<'_, T>,
    f: impl Fn(usize, &mut [R], &mut [f32], &[f32]) + Sync,
) {
    let z = walk.results(z);
    parallel_for(threads, walk.tasks(), walk.grain(), |tasks| {
        let (mut a, mut b) = ([0.0; BLOCK], [0.0; BLOCK]);
        for task in tasks {
            let (run, [i, j]) = walk.run(task);
            let (a, b) = (&mut a[..run.len()], &mut b[..run.len()]);
            read(a, &x.data[i..], walk.steps[0]);
            read(b, &y.data[j..], walk.steps[1]);
            // SAFETY: a run is in one task only.
            f(run.start, unsafe { z.slice(run) }, a, b);
        }
    });
}

/// Runs whose elements lie side by side or are one, from operands to results without a stop in memory.
struct Direct<'a, T> {
    z: &'a Shared<'a, T>,
    x: &'a [T],
    y: &'a [T],
    f: Binary,
    finish: Finish<'a, T>,
    walk: &'a Walk,
    tasks: Range<usize>,
}

impl<T: Float> Kernel for Direct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { z, x, y, f, finish, walk, tasks } = self;
        for task in tasks {
            let (run, [i, j]) = walk.run(task);
            // SAFETY: a run is in one task only.
            let z = unsafe { z.slice(run.clone()) };
            let [x, y] =
                [Elements::of(simd, &x[i..], walk.steps[0]), Elements::of(simd, &y[j..], walk.steps[1])];
            for at in (0..z.len()).step_by(S::LANES) {
                // The last vector ends where the run does; what it computes twice are the same bits.
                let len = z.len().min(S::LANES);
                let at = at.min(z.len() - len);
                let (x, y) = (x.vector(simd, at, len), y.vector(simd, at, len));
                let v = match f {
                    Binary::Add => simd.add(x, y),
                    Binary::Sub => simd.mul_add(simd.splat(-1.0), y, x),
                    Binary::Max => simd.maximum(x, y),
                    Binary::Min => simd.minimum(x, y),
                    _ => simd.mul(x, y),
                };
                let v = finish.vectors(simd, [v], run.start + at, len);
                finish::write(simd, &mut z[at..at + len], v);
            }
        }
    }
}

/// The elements of an operand, one after the other, or the same one for ever.
enum Elements<'a, T, V> {
    Many(&'a [T]),
    One(V),
}

impl<'a, T: Float, V: Copy> Elements<'a, T, V> {
    #[inline(always)]
    fn of<S: Simd<V = V>>(simd: S, from: &'a [T], step: usize) -> Self {
        if step == 1 { Self::Many(from) } else { Self::One(simd.splat(from[0].to_f32())) }
    }

    #[inline(always)]
    fn vector<S: Simd<V = V>>(&self, simd: S, at: usize, len: usize) -> V {
        match self {
            Self::One(v) => *v,
            Self::Many(from) if len == S::LANES => T::load(simd, &from[at..]),
            Self::Many(from) => T::load_some(simd, &from[at..at + len]),
        }
    }
}

/// Widens elements that lie `step` apart.
fn read<T: Float>(to: &mut [f32], from: &[T], step: usize) {
    match step {
        0 => to.fill(from[0].to_f32()),
        1 => T::widen(to, &from[..to.len()]),
        _ => to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, v)| *to = v.to_f32()),
    }
}

/// One number for each dimension, kept on the stack for those that tensors have.
pub(crate) type Dims = SmallVec<[usize; 8]>;

/// Joins neighbouring dimensions that every operand walks through with one stride, and leaves out those of 1.
pub(crate) fn collapse<const N: usize>(shape: &[usize], strides: [&[usize]; N]) -> (Dims, [Dims; N]) {
    let mut dims = Dims::new();
    let mut over: [Dims; N] = std::array::from_fn(|_| Dims::new());
    for (d, &n) in shape.iter().enumerate() {
        if n == 1 {
            continue;
        }
        let joins = |k: usize| over[k].last().is_some_and(|&s| s == strides[k][d] * n);
        if !dims.is_empty() && (0..N).all(joins) {
            *dims.last_mut().expect("there is one") *= n;
            for k in 0..N {
                *over[k].last_mut().expect("there is one") = strides[k][d];
            }
        } else {
            dims.push(n);
            for k in 0..N {
                over[k].push(strides[k][d]);
            }
        }
    }
    (dims, over)
}

pub(crate) struct Apply<'a> {
    pub(crate) a: &'a mut [f32],
    pub(crate) b: &'a [f32],
    pub(crate) f: Binary,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { a, b, f } = self;
        macro_rules! each {
            (|$x:ident, $y:ident| $z:expr) => {
                for (x, &$y) in a.iter_mut().zip(b) {
                    let $x = *x;
                    *x = $z;
                }
            };
        }
        match f {
            Binary::Add => each!(|x, y| x + y),
            Binary::Div => each!(|x, y| x / y),
            Binary::Max => each!(|x, y| maximum(x, y)),
            Binary::Min => each!(|x, y| minimum(x, y)),
            Binary::Mul => each!(|x, y| x * y),
            Binary::Pow => each!(|x, y| f64::from(x).powf(f64::from(y)) as f32),
            Binary::Sub => each!(|x, y| x - y),
        }
    }
}

struct Compare<'a> {
    z: &'a mut [u8],
    a: &'a [f32],
    b: &'a [f32],
    f: Comparison,
}

impl Kernel for Compare<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { z, a, b, f } = self;
        macro_rules! each {
            (|$x:ident, $y:ident| $z:expr) => {
                for ((z, &$x), &$y) in z.iter_mut().zip(a).zip(b) {
                    *z = u8::from($z);
                }
            };
        }
        match f {
            Comparison::Equal => each!(|x, y| x == y),
            Comparison::Greater => each!(|x, y| x > y),
            Comparison::GreaterEqual => each!(|x, y| x >= y),
            Comparison::Less => each!(|x, y| x < y),
            Comparison::LessEqual => each!(|x, y| x <= y),
            Comparison::NotEqual => each!(|x, y| x != y),
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use smallvec::smallvec;

    use super::*;
    use crate::testing::floats;

    #[test]
    fn dimensions_are_joined_where_all_operands_allow_it() {
        let (dims, [a, b]) = collapse(&[2, 1, 3, 4], [&[12, 12, 4, 1], &[0, 0, 4, 1]]);
        assert_eq!((dims, a, b), (smallvec![2, 12], smallvec![12, 1], smallvec![0, 1]));
        let (dims, [a]) = collapse(&[1, 1], [&[1, 1]]);
        assert_eq!((dims, a), (smallvec![], smallvec![]));
        let (dims, [a]) = collapse(&[5, 6, 7], [&[0, 0, 0]]);
        assert_eq!((dims, a), (smallvec![210], smallvec![0]));
    }

    fn check<T: Float>(shape: &[usize], over_x: &[usize], over_y: &[usize]) {
        let n: usize = shape.iter().product();
        let (x, y): (Vec<T>, Vec<T>) = (floats(n.max(1), 1), floats(n.max(1), 2));
        let (a, b) = (Operand { data: &x, strides: over_x }, Operand { data: &y, strides: over_y });
        let mut pairs = vec![(0, 0)];
        for (d, &n) in shape.iter().enumerate() {
            pairs = pairs
                .iter()
                .flat_map(|&(i, j)| (0..n).map(move |k| (i + k * over_x[d], j + k * over_y[d])))
                .collect();
        }
        let mut z = vec![T::zeroed(); n];
        let mut truth = vec![0; n];
        for threads in [1, 2] {
            for (f, exact) in [
                (Binary::Add, (|x, y| x + y) as fn(f32, f32) -> f32),
                (Binary::Sub, |x, y| x - y),
                (Binary::Mul, |x, y| x * y),
                (Binary::Div, |x, y| x / y),
                (Binary::Max, f32::max),
                (Binary::Min, f32::min),
                (Binary::Pow, |x, y| f64::from(x).powf(f64::from(y)) as f32),
            ] {
                binary(threads, &mut z, shape, a, b, f, &[]);
                let mut mapped = vec![T::zeroed(); n];
                let of = |x: T, y: T| T::from_f32(exact(x.to_f32(), y.to_f32()));
                map(threads, &mut mapped, shape, a, b, of);
                for ((z, mapped), &(i, j)) in z.iter().zip(&mapped).zip(&pairs) {
                    let exact = of(x[i], y[j]);
                    assert!(*mapped == exact || exact.to_f32().is_nan(), "{f:?} {shape:?}");
                    let both_nan = z.to_f32().is_nan() && exact.to_f32().is_nan();
                    assert!(*z == exact || both_nan, "{f:?} {shape:?}");
                }
            }
            for (f, exact) in [
                (Comparison::Equal, (|x, y| x == y) as fn(&T, &T) -> bool),
                (Comparison::NotEqual, |x, y| x != y),
                (Comparison::Less, |x, y| x < y),
                (Comparison::LessEqual, |x, y| x <= y),
                (Comparison::Greater, |x, y| x > y),
                (Comparison::GreaterEqual, |x, y| x >= y),
            ] {
                compare(threads, &mut truth, shape, a, b, f);
                for (z, &(i, j)) in truth.iter().zip(&pairs) {
                    assert_eq!(*z == 1, exact(&x[i], &y[j]), "{f:?} {shape:?}");
                }
            }
        }
    }

    #[test]
    fn every_pattern_of_broadcasting() {
        for (shape, over_x, over_y) in [
            (&[][..], &[][..], &[][..]),
            (&[0, 3], &[3, 1], &[0, 1]),
            (&[3000], &[1], &[1]),
            (&[5000], &[1], &[0]),
            (&[1, 7, 30, 31], &[0, 930, 31, 1], &[0, 1, 0, 0]),
            (&[40, 60], &[0, 1], &[1, 0]),
            (&[3, 4, 5], &[20, 5, 1], &[1, 3, 12]),
        ] {
            check::<f32>(shape, over_x, over_y);
            check::<f16>(shape, over_x, over_y);
        }
    }

    #[test]
    fn a_nan_is_the_largest_and_the_smallest() {
        for (x, y) in [(f32::NAN, 1.0), (1.0, f32::NAN)] {
            assert!(maximum(x, y).is_nan() && minimum(x, y).is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "an operand lies within its slice")]
    fn an_operand_that_reaches_past_its_slice_is_refused() {
        let x = Operand { data: &[1.0f32; 3], strides: &[1] };
        binary(1, &mut [0.0; 4], &[4], x, x, Binary::Add, &[]);
    }
}
