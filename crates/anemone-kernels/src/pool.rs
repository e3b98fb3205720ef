//! Pooling: one number for each window.
//!
//! ```
//! use anemone_kernels::{Window, pool::{Pooling, pool}};
//! let pairs = Window::new([1, 1, 4], [1, 1, 2], [1, 1, 2], [1; 3], [0; 3], [0; 3]).unwrap();
//! let mut y = [0.0f32; 2];
//! pool(1, &mut y, &[1.0, 3.0, 5.0, 9.0], &pairs, Pooling::Average { padding: false });
//! assert_eq!(y, [2.0, 7.0]);
//! ```

use std::ops::Range;

use macro_rules_attribute::apply;

use crate::compiled::compiled_here;
use crate::scratch::scratch;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::{Float, Window, scratch};

/// What a window becomes.
///
/// ```
/// use anemone_kernels::{Window, pool::{Pooling, pool}};
/// let all = Window::new([1, 1, 2], [1, 1, 2], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
/// let of = |pooling| {
///     let mut y = [0.0f32];
///     pool(1, &mut y, &[3.0, 4.0], &all, pooling);
///     y[0]
/// };
/// assert_eq!((of(Pooling::Max), of(Pooling::Average { padding: true }), of(Pooling::Norm)), (4.0, 3.5, 5.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest element, NaN if there is one; negative infinity for a window that covers none.
    Max,
    /// The mean of the elements; 0 for a window that covers none.
    Average {
        /// Whether the zeros of the padding count. What lies behind the padding never counts.
        padding: bool,
    },
    /// The square root of the sum of the squares.
    Norm,
}

/// Pools each of the planes (or lines, or volumes) that lie one behind the other in `x`.
///
/// Sums are carried in `f32`, in the order of the window's elements.
///
/// ```
/// use anemone_kernels::{Window, pool::{Pooling, pool}};
/// let w = Window::new([1, 2, 4], [1, 2, 2], [1, 2, 2], [1; 3], [0; 3], [0; 3]).unwrap();
/// let mut y = [0.0f32; 2];
/// pool(1, &mut y, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &w, Pooling::Max);
/// assert_eq!(y, [6.0, 8.0]);
/// ```
///
/// # Panics
///
/// When `x` and `y` do not hold the same number of planes, or the window's sizes do not fit into memory.
#[apply(compiled_here)]
pub fn pool<T: Float>(threads: usize, y: &mut [T], x: &[T], window: &Window, pooling: Pooling) {
    assert!(window.check(), "the sizes of a window fit into memory");
    let (inputs, outputs) = (window.input_len(), window.output_len());
    if y.is_empty() {
        return;
    }
    let planes = y.len() / outputs.max(1);
    assert!(
        outputs > 0 && y.len() == planes * outputs && x.len() == planes * inputs,
        "the input and the result have the same number of planes"
    );
    let taps = window.kernel_len();
    let threads = if y.len().saturating_mul(taps) < 1 << 14 { 1 } else { threads };
    // Windows are handled in blocks of whole lines, each a task, whose intermediate values stay in the first-level cache.
    let width = window.output[2];
    let size = outputs.min((1024 / width).max(1) * width);
    let blocks = outputs.div_ceil(size);
    let y = Shared::new(y);
    parallel_for(threads, planes * blocks, (1usize << 14).div_ceil(size.saturating_mul(taps)), |tasks| {
        let mut element = scratch::<T>(size);
        let (mut wide, mut result) = (scratch::floats(size), scratch::floats(size));
        let mut columns = scratch::floats(if pooling == Pooling::Max { 2 * window.input[2] + 1 } else { 0 });
        for task in tasks {
            let (plane, block) = (task / blocks, task % blocks * size);
            let windows = block..outputs.min(block + size);
            let volume = &x[plane * inputs..][..inputs];
            let result = &mut result[..windows.len()];
            let mut by_taps = |result: &mut [f32], windows: Range<usize>| {
                let n = windows.len();
                let (element, wide) = (&mut element[..n], &mut wide[..n]);
                let fill = if pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 };
                result.fill(fill);
                for tap in 0..taps {
                    window.read(element, volume, tap, windows.clone(), T::from_f32(fill));
                    T::widen(wide, element);
                    let pairs = result.iter_mut().zip(wide.iter());
                    match pooling {
                        Pooling::Max => {
                            pairs.for_each(|(r, &v)| *r = if v > *r || v.is_nan() { v } else { *r });
                        }
                        Pooling::Average { .. } => pairs.for_each(|(r, &v)| *r += v),
                        Pooling::Norm => pairs.for_each(|(r, &v)| *r += v * v),
                    }
                }
            };
            match pooling {
                Pooling::Max => window.lines(windows.clone(), |place, depth, height, across| {
                    let result = &mut result[place..][..across.len()];
                    let line = [depth, height];
                    let columns = &mut columns;
                    if !simd::dispatch(Largest { result: &mut *result, columns, volume, window, line }) {
                        by_taps(result, windows.start + place..windows.start + place + across.len());
                    }
                }),
                Pooling::Average { padding } => {
                    by_taps(result, windows.clone());
                    divide_by_count(result, window, windows.clone(), padding);
                }
                Pooling::Norm => {
                    by_taps(result, windows.clone());
                    result.iter_mut().for_each(|r| *r = r.sqrt());
                }
            }
            let start = plane * outputs;
            // SAFETY: a block of windows of a plane is in one task only.
            T::narrow(unsafe { y.slice(start + windows.start..start + windows.end) }, result);
        }
    });
}

/// The largest elements of a line of windows: those of columns first, which neighbours share, and then across.
///
/// Gives whether that is so. Which of several NaN a window becomes, and which of two zeros, its order says: nothing is said of a
/// line that reads a NaN, or the zero that is negative.
struct Largest<'a, T> {
    result: &'a mut [f32],
    /// Room for two lines of the input, and one more.
    columns: &'a mut [f32],
    volume: &'a [T],
    window: &'a Window,
    /// The depth and the height of the line.
    line: [usize; 2],
}

impl<T: Float> Kernel for Largest<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        let Self { result, columns, volume, window, line } = self;
        let [_, height, width] = window.input;
        let (wide, columns) = columns.split_at_mut(width);
        columns.fill(f32::NEG_INFINITY);
        let mut odd = 0;
        for tap in (0..window.kernel_len()).step_by(window.kernel[2]) {
            let [kd, kh, _] = window.tap(tap);
            let (Some(d), Some(h)) = (window.source(0, line[0], kd), window.source(1, line[1], kh)) else {
                continue;
            };
            let elements = &volume[(d * height + h) * width..][..width];
            let elements = T::as_f32s(elements).unwrap_or_else(|| {
                T::widen(wide, elements);
                &*wide
            });
            for (largest, &v) in columns.iter_mut().zip(elements) {
                odd |= u32::from(v.is_nan()) | u32::from(v.to_bits() == (-0.0f32).to_bits());
                *largest = if v > *largest { v } else { *largest };
            }
        }
        if odd != 0 {
            return false;
        }
        result.fill(f32::NEG_INFINITY);
        let larger = |(r, &v): (&mut f32, &f32)| *r = if v > *r { v } else { *r };
        for tap in 0..window.kernel[2] {
            let inside = window.inside(2, tap);
            if inside.is_empty() {
                continue;
            }
            let first = inside.start * window.strides[2] + tap * window.dilations[2] - window.before[2];
            let (result, from) = (&mut result[inside], &columns[first..]);
            match window.strides[2] {
                1 => result.iter_mut().zip(from).for_each(larger),
                // Pairs, of which the compiler makes vectors. Behind the last column there is room for half of one.
                2 => result.iter_mut().zip(from.as_chunks::<2>().0).for_each(|(r, [v, _])| larger((r, v))),
                stride => result.iter_mut().zip(from.iter().step_by(stride)).for_each(larger),
            }
        }
        true
    }
}

/// Divides each sum by the number of elements that its window covers.
fn divide_by_count(sums: &mut [f32], window: &Window, windows: Range<usize>, padding: bool) {
    let mut widths = scratch::<usize>(window.output[2]);
    widths.iter_mut().enumerate().for_each(|(w, count)| *count = window.count(2, w, padding));
    window.lines(windows, |place, d, h, columns| {
        let lines = window.count(0, d, padding) * window.count(1, h, padding);
        for (sum, count) in sums[place..].iter_mut().zip(&widths[columns]) {
            *sum /= (lines * count).max(1) as f32;
        }
    });
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::{close, floats};

    fn check<T: Float>(planes: usize, window: &Window) {
        let x: Vec<T> = floats(planes * window.input_len(), 5);
        for pooling in [
            Pooling::Max,
            Pooling::Average { padding: true },
            Pooling::Average { padding: false },
            Pooling::Norm,
        ] {
            let mut y = vec![T::zeroed(); planes * window.output_len()];
            pool(1, &mut y, &x, window, pooling);
            let mut two = y.clone();
            pool(2, &mut two, &x, window, pooling);
            assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&two));
            let [_, height, width] = window.output;
            for (i, y) in y.into_iter().enumerate() {
                let (plane, at) = (i / window.output_len(), i % window.output_len());
                let at = [at / width / height, at / width % height, at % width];
                let read: Vec<f64> = (0..window.kernel_len())
                    .filter_map(|tap| {
                        let s: Option<Vec<usize>> =
                            (0..3).map(|d| window.source(d, at[d], window.tap(tap)[d])).collect();
                        let s = s?;
                        let [_, height, width] = window.input;
                        let place = (s[0] * height + s[1]) * width + s[2];
                        Some(f64::from(x[plane * window.input_len() + place].to_f32()))
                    })
                    .collect();
                let sum: f64 = read.iter().sum();
                let exact = match pooling {
                    Pooling::Max => read.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Pooling::Average { padding } => {
                        let all: usize = (0..3).map(|d| window.count(d, at[d], true)).product();
                        sum / if padding { all } else { read.len() }.max(1) as f64
                    }
                    Pooling::Norm => read.iter().map(|v| v * v).sum::<f64>().sqrt(),
                };
                close(y, exact, 1e-6, "pool");
            }
        }
    }

    #[test]
    fn windows_become_what_the_definition_says() {
        let window = |input, kernel, strides, dilations, pads| {
            Window::new(input, kernel, strides, dilations, pads, pads).unwrap()
        };
        for w in [
            window([1, 1, 17], [1, 1, 3], [1, 1, 2], [1; 3], [0, 0, 1]),
            window([1, 40, 41], [1, 5, 5], [1; 3], [1; 3], [0, 2, 2]),
            window([1, 13, 10], [1, 3, 2], [1, 2, 2], [1, 2, 1], [0, 1, 1]),
            window([4, 5, 6], [2, 2, 2], [2, 1, 1], [1; 3], [0; 3]),
            window([1, 1, 1], [1, 1, 1], [1, 1, 1], [1; 3], [0; 3]),
        ] {
            check::<f32>(3, &w);
            check::<f16>(3, &w);
            // One more window along each dimension, which reaches past the padding.
            let more = Window { output: w.output.map(|n| n + 1), ..w };
            check::<f32>(3, &more);
        }
    }

    /// A line with a NaN or the other zero gives what its elements give one after the other, and so do lines beside it.
    #[test]
    fn the_largest_of_columns_is_that_of_all() {
        let pads = [0, 1, 1];
        for (strides, input) in [([1, 1, 1], [1, 9, 33]), ([1, 2, 2], [1, 12, 21]), ([1, 2, 3], [1, 9, 40])] {
            let w = Window::new(input, [1, 3, 3], strides, [1; 3], pads, pads).unwrap();
            let mut x: Vec<f32> = floats(w.input_len(), 7);
            x.iter_mut().for_each(|v| *v = v.max(0.0));
            for (at, odd) in [(3, -0.0), (40, f32::NAN), (5 * input[2] + 7, -0.0)] {
                x[at] = odd;
                let mut y = vec![9.0; w.output_len()];
                pool(1, &mut y, &x, &w, Pooling::Max);
                let [_, height, width] = w.output;
                for (i, y) in y.iter().enumerate() {
                    let at = [i / width / height, i / width % height, i % width];
                    let mut largest = f32::NEG_INFINITY;
                    for tap in 0..w.kernel_len() {
                        let s = [0, 1, 2].map(|d| w.source(d, at[d], w.tap(tap)[d]));
                        if let [Some(_), Some(h), Some(column)] = s {
                            let v = x[h * input[2] + column];
                            largest = if v > largest || v.is_nan() { v } else { largest };
                        }
                    }
                    assert_eq!(y.to_bits(), largest.to_bits(), "{w:?} {i}");
                }
            }
        }
    }

    #[test]
    fn a_nan_is_the_largest_and_what_covers_nothing_is_empty() {
        let w = Window::new([1, 1, 4], [1, 1, 2], [1, 1, 2], [1; 3], [0; 3], [0; 3]).unwrap();
        let x = [f32::NAN, 1.0, 2.0, f32::NAN];
        let mut y = [0.0; 2];
        pool(1, &mut y, &x, &w, Pooling::Max);
        assert!(y[0].is_nan() && y[1].is_nan());
        let w = Window { output: [1, 1, 3], ..w };
        let mut y = [9.0f32; 3];
        pool(1, &mut y, &[1.0; 4], &w, Pooling::Average { padding: true });
        assert_eq!(y, [1.0, 1.0, 0.0]);
    }
}
