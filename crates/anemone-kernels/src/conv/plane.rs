//! One plane of a depthwise convolution with a small square kernel, some lines at a time.

use crate::finish::Finish;
use crate::simd::{self, Kernel, Simd};
use crate::{Float, Window};

/// How the lines of a padded plane lie for windows that are `stride` apart: each is cut into as many parts, of which the
/// first has the columns 0, `stride`, 2 · `stride`…
#[derive(Clone, Copy)]
pub(super) struct Plane {
    kernel: usize,
    stride: usize,
    part: usize,
    lines: usize,
    width: usize,
}

impl Plane {
    /// A plane whose parts are so long, if its kernel is one of those that are computed here. They are long enough for
    /// windows up to the next whole vector.
    pub(super) fn of(window: &Window, part: usize) -> Option<Self> {
        let &Window { kernel, strides, dilations, output, .. } = window;
        let fits = kernel[0] == 1
            && output[0] == 1
            && kernel[1] == kernel[2]
            && strides[1] == strides[2]
            && dilations[1..] == [1, 1]
            && matches!((kernel[1], strides[1]), (3 | 5, 1 | 2));
        fits.then_some(Self {
            kernel: kernel[1],
            stride: strides[1],
            part,
            lines: output[1],
            width: output[2],
        })
    }

    /// Writes the sums of all lines, each from that of the first tap to that of the last, rounded and put through stages
    /// that are done in registers; they lie from `start` on among all results.
    pub(super) fn sum<T: Float>(
        &self,
        y: &mut [T],
        x: &[f32],
        weights: &[f32],
        bias: f32,
        finish: Finish<'_, T>,
        start: usize,
    ) {
        let plane = *self;
        match (self.kernel, self.stride) {
            (3, 1) => simd::dispatch(Sum::<T, 3, 1> { plane, y, x, weights, bias, finish, start }),
            (3, _) => simd::dispatch(Sum::<T, 3, 2> { plane, y, x, weights, bias, finish, start }),
            (_, 1) => simd::dispatch(Sum::<T, 5, 1> { plane, y, x, weights, bias, finish, start }),
            _ => simd::dispatch(Sum::<T, 5, 2> { plane, y, x, weights, bias, finish, start }),
        }
    }
}

struct Sum<'a, T, const K: usize, const STRIDE: usize> {
    plane: Plane,
    y: &'a mut [T],
    x: &'a [f32],
    weights: &'a [f32],
    bias: f32,
    finish: Finish<'a, T>,
    start: usize,
}

impl<T: Float, const K: usize, const STRIDE: usize> Kernel for Sum<'_, T, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let Plane { part, lines, width, .. } = self.plane;
        let reach = ((lines - 1) * STRIDE + K) * part * STRIDE;
        assert!(
            self.x.len() >= reach && part >= width.max(S::LANES) + (K - 1) / STRIDE,
            "the plane has all lines, and they are long enough"
        );
        let weights = std::array::from_fn(|y| std::array::from_fn(|x| simd.splat(self.weights[y * K + x])));
        // Lines that follow each other read the same ones: a line is loaded once for all of them.
        let most = if K == 3 { 4 } else { 2 };
        let mut line = 0;
        while line < lines {
            line += match lines - line {
                left if left >= 4 && most == 4 => self.lines::<S, 4>(simd, line, &weights),
                left if left >= 2 => self.lines::<S, 2>(simd, line, &weights),
                _ => self.lines::<S, 1>(simd, line, &weights),
            };
        }
    }
}

impl<T: Float, const K: usize, const STRIDE: usize> Sum<'_, T, K, STRIDE> {
    /// The sums of so many lines from this one on; gives their number.
    #[inline(always)]
    fn lines<S: Simd, const R: usize>(&mut self, simd: S, line: usize, weights: &[[S::V; K]; K]) -> usize {
        let Plane { part, width, .. } = self.plane;
        for at in (0..width).step_by(S::LANES) {
            // The last vector ends where the line does; what it computes twice are the same bits.
            let at = at.min(width.saturating_sub(S::LANES));
            let mut sums = [simd.splat(self.bias); R];
            for (r, sum) in sums.iter_mut().enumerate() {
                for (y, weights) in weights.iter().enumerate() {
                    for (x, &weight) in weights.iter().enumerate() {
                        let first = ((line + r) * STRIDE + y) * part * STRIDE;
                        let from = first + x % STRIDE * part + x / STRIDE + at;
                        // SAFETY: `line + r` is one of the lines, and `at + LANES` at most their width or the lanes of a
                        // vector, so that the assertion of `run` holds the vector within its part of a line.
                        let elements = unsafe { self.x.get_unchecked(from..from + S::LANES) };
                        *sum = simd.mul_add(simd.load(elements), weight, *sum);
                    }
                }
            }
            for (r, sum) in sums.into_iter().enumerate() {
                let from = (line + r) * width + at;
                let y = &mut self.y[from..][..width.min(S::LANES)];
                self.finish.write_vectors(simd, y, [sum], self.start + from);
            }
        }
        R
    }
}
