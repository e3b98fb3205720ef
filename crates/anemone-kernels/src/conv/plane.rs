//! Depthwise convolutions of planes with a small square kernel, some lines at a time.

use std::ops::Range;

use super::Conv;
use super::windows::{LayOut, Windows};
use crate::finish::{self, Finish, Place};
use crate::scratch::floats;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::{Float, Window};

/// Whether [`planes`] computes the windows of each channel.
pub(super) fn fits(window: &Window) -> bool {
    let &Window { kernel, strides, dilations, input, output, before, .. } = window;
    let planes = kernel[0] == 1 && input[0] == 1 && output[0] == 1 && before[0] == 0;
    planes
        && kernel[1] == kernel[2]
        && strides[1] == strides[2]
        && dilations[1..] == [1, 1]
        && matches!((kernel[1], strides[1]), (3 | 5, 1 | 2))
        && Windows::fit(window)
}

/// Convolves each channel by itself, each sum from the first tap to the last; the stages are done in registers.
pub(super) fn planes<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let window = &conv.window;
    let windows = Windows::laid_out(conv);
    let y = Shared::new(y);
    let grain = (1usize << 14).div_ceil(window.output_len().saturating_mul(window.kernel_len()));
    parallel_for(threads, conv.batch * conv.out_channels, grain, |planes| {
        let (y, windows) = (&y, &windows);
        match (window.kernel[1], window.strides[1]) {
            (3, 1) => simd::dispatch(Sum::<T, W, 3, 1> { y, x, weights, finish, conv, windows, planes }),
            (3, _) => simd::dispatch(Sum::<T, W, 3, 2> { y, x, weights, finish, conv, windows, planes }),
            (_, 1) => simd::dispatch(Sum::<T, W, 5, 1> { y, x, weights, finish, conv, windows, planes }),
            _ => simd::dispatch(Sum::<T, W, 5, 2> { y, x, weights, finish, conv, windows, planes }),
        }
    });
}

struct Sum<'a, T, W, const K: usize, const STRIDE: usize> {
    y: &'a Shared<'a, T>,
    x: &'a [T],
    weights: &'a [W],
    finish: Finish<'a, T>,
    conv: &'a Conv,
    windows: &'a Windows,
    planes: Range<usize>,
}

impl<T: Float, W: Float, const K: usize, const STRIDE: usize> Kernel for Sum<'_, T, W, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, weights, finish, conv, windows, planes } = self;
        let (inputs, outputs) = (conv.window.input_len(), conv.window.output_len());
        let [_, lines, width] = conv.window.output;
        // A large plane is laid out some lines at a time, so that they stay in the first-level cache, and small ones some
        // at a time, since what has just been written cannot be read at once.
        let line = windows.phases() * windows.line();
        let strip = (LAID_OUT / line).saturating_sub(K).clamp(4, lines.max(4)).min(lines);
        let phase_lines = strip + (K - 1) / STRIDE;
        let together = if strip < lines { 1 } else { (LAID_OUT / (phase_lines * line)).clamp(1, 16) };
        // Vectors may read past the last line.
        let mut laid_out = floats(together * phase_lines * line + 2 * simd::MAX_LANES);
        laid_out.fill(0.0);
        // Each line lies where all lines with the same padding do, so that this is written once.
        let phase = phase_lines * windows.line();
        let plane_len = phase * windows.phases();
        for first in planes.clone().step_by(together) {
            let planes = first..planes.end.min(first + together);
            for from in (0..lines).step_by(strip) {
                let taken = strip.min(lines - from);
                for (plane, to) in planes.clone().zip(laid_out.chunks_exact_mut(plane_len)) {
                    let (sample, channel) = (plane / conv.out_channels, plane % conv.out_channels);
                    let source = sample * conv.in_channels + channel / conv.group_out();
                    let x = &x[source * inputs..][..inputs];
                    let lines = from..from + phase_lines;
                    LayOut { to, x, windows, lines, padding: false }.run(simd);
                }
                for (i, plane) in planes.clone().enumerate() {
                    let channel = plane % conv.out_channels;
                    let mut taps = [0.0; 32];
                    let weights = &weights[channel * K * K..][..K * K];
                    for (to, weights) in taps.chunks_mut(S::LANES).zip(weights.chunks(S::LANES)) {
                        simd.store(to, W::load_some(simd, weights));
                    }
                    let mut wide = [[simd.splat(0.0); K]; K];
                    for (i, wide) in wide.as_flattened_mut().iter_mut().enumerate() {
                        *wide = simd.splat(taps[i]);
                    }
                    let at = plane * outputs + from * width;
                    // SAFETY: a plane is in one task only.
                    let y = unsafe { y.slice(at..at + taken * width) };
                    let bias = simd.splat(finish.bias.map_or(0.0, |b| b[channel]));
                    let x = &laid_out[i * plane_len..];
                    let plane = Plane { x, line: windows.line(), phase, width, finish, at };
                    // Lines that follow each other read the same ones: a line is loaded once for all of them.
                    let most = if K == 3 { 4 } else { 2 };
                    let mut line = 0;
                    while line < taken {
                        line += match taken - line {
                            left if left >= 4 && most == 4 => {
                                plane.lines::<S, K, STRIDE, 4>(simd, y, line, &wide, bias)
                            }
                            left if left >= 2 => plane.lines::<S, K, STRIDE, 2>(simd, y, line, &wide, bias),
                            _ => plane.lines::<S, K, STRIDE, 1>(simd, y, line, &wide, bias),
                        };
                    }
                }
            }
        }
    }
}

/// How many elements are laid out at a time.
const LAID_OUT: usize = 1 << 12;

/// One plane that is laid out.
struct Plane<'a, T> {
    x: &'a [f32],
    line: usize,
    phase: usize,
    width: usize,
    finish: Finish<'a, T>,
    /// Where its results lie among all.
    at: usize,
}

impl<T: Float> Plane<'_, T> {
    /// The sums of so many lines from this one on; gives their number.
    #[inline(always)]
    fn lines<S: Simd, const K: usize, const STRIDE: usize, const R: usize>(
        &self,
        simd: S,
        y: &mut [T],
        first: usize,
        weights: &[[S::V; K]; K],
        bias: S::V,
    ) -> usize {
        let &Self { x, line, phase, width, finish, .. } = self;
        for at in (0..width).step_by(S::LANES) {
            // The last vector ends where the line does; what it computes twice are the same bits.
            let at = at.min(width.saturating_sub(S::LANES));
            let farthest = (STRIDE * STRIDE - 1) * phase + (first + R - 1 + (K - 1) / STRIDE) * line;
            let x = &x[at..][..farthest + (K - 1) / STRIDE + S::LANES];
            let mut sums = [[bias]; R];
            for (r, [sum]) in sums.iter_mut().enumerate() {
                for (i, weights) in weights.iter().enumerate() {
                    for (j, &weight) in weights.iter().enumerate() {
                        let from = (i % STRIDE * STRIDE + j % STRIDE) * phase
                            + (first + r + i / STRIDE) * line
                            + j / STRIDE;
                        // SAFETY: `r < R`, and `i` and `j` are less than `K`, so that the vector lies within the slice.
                        let elements = unsafe { x.get_unchecked(from..from + S::LANES) };
                        *sum = simd.mul_add(simd.load(elements), weight, *sum);
                    }
                }
            }
            let (place, len) = (first * width + at, width.min(S::LANES));
            finish.vectors(simd, &mut sums, Place { at: self.at + place, stride: width, count: R, len });
            for (r, sum) in sums.into_iter().enumerate() {
                finish::write(simd, &mut y[place + r * width..][..len], sum);
            }
        }
        R
    }
}
