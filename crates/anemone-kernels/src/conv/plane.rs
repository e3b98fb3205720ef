//! Depthwise convolutions of planes with a small square kernel, some lines at a time.

use std::ops::Range;

use super::sweep::Sweep;
use super::{Conv, SMALL_PLANE};
use crate::finish::{Finish, Place};
use crate::scratch::floats;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::tile::panel_width;
use crate::{Float, Window};

/// Whether [`planes`] computes the windows of each channel.
pub(super) fn fits(window: &Window) -> bool {
    let &Window { kernel, strides, dilations, input, output, before, .. } = window;
    let planes = kernel[0] == 1 && input[0] == 1 && output[0] == 1 && before[0] == 0;
    // What windows read beside the plane is less than a kernel wide.
    let inside = |d: usize| {
        let end = (output[d].max(1) - 1) * strides[d] + 1;
        input[d] > 0 && before[d] < kernel[d] && end <= input[d] + before[d]
    };
    planes
        && kernel[1] == kernel[2]
        && strides[1] == strides[2]
        && dilations[1..] == [1, 1]
        && matches!((kernel[1], strides[1]), (3 | 5, 1 | 2))
        && inside(1)
        && inside(2)
}

/// Convolves each channel by itself; the stages are done in registers.
pub(super) fn planes<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let window = &conv.window;
    let y = &Shared::new(y);
    // Lines that fill several vectors are laid out, so that taps read neighbours where they lie; of others they are picked.
    let wide = window.output[2] > panel_width() / 2;
    // Large planes are divided as the convolutions before and after divide them, by lines, and small ones by channels.
    let (count, all) = (conv.batch * conv.out_channels, window.output[1]);
    let bands = if window.output_len() > SMALL_PLANE { threads.min(all / BAND).max(1) } else { 1 };
    let grain = (bands << 14).div_ceil(window.output_len().saturating_mul(window.kernel_len()));
    parallel_for(threads, bands * count, grain, |tasks| {
        for band in tasks.start / count..tasks.end.div_ceil(count) {
            let planes = tasks.start.max(band * count)..tasks.end.min((band + 1) * count);
            let planes = planes.start - band * count..planes.end - band * count;
            // Of two bands one goes from the last plane to the first: results of both share cache lines, in which threads must not
            // write at the same time.
            let planes = if band % 2 == 0 { planes } else { count - planes.end..count - planes.start };
            let lines = band * all / bands..(band + 1) * all / bands;
            match (window.kernel[1], window.strides[1]) {
                (3, 1) if wide => {
                    simd::dispatch(Sum::<T, W, 3> { y, x, weights, finish, conv, planes, lines })
                }
                (_, 1) if wide => {
                    simd::dispatch(Sum::<T, W, 5> { y, x, weights, finish, conv, planes, lines })
                }
                (3, 1) => simd::dispatch(Sweep::<T, W, 3, 1> { y, x, weights, finish, conv, planes, lines }),
                (3, _) => simd::dispatch(Sweep::<T, W, 3, 2> { y, x, weights, finish, conv, planes, lines }),
                (_, 1) => simd::dispatch(Sweep::<T, W, 5, 1> { y, x, weights, finish, conv, planes, lines }),
                _ => simd::dispatch(Sweep::<T, W, 5, 2> { y, x, weights, finish, conv, planes, lines }),
            }
        }
    });
}

/// The fewest lines of a plane that are a thread's own: what lies between two threads is laid out twice.
const BAND: usize = 8;

/// The sums of some lines of some planes whose windows follow each other.
struct Sum<'a, T, W, const K: usize> {
    y: &'a Shared<'a, T>,
    x: &'a [T],
    weights: &'a [W],
    finish: Finish<'a, T>,
    conv: &'a Conv,
    planes: Range<usize>,
    /// Of each plane these.
    lines: Range<usize>,
}

impl<T: Float, W: Float, const K: usize> Kernel for Sum<'_, T, W, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, weights, finish, conv, planes, lines } = self;
        let (inputs, outputs) = (conv.window.input_len(), conv.window.output_len());
        let [_, all, width] = conv.window.output;
        let layout = Layout::of(simd, &conv.window);
        // A large plane is laid out some lines at a time, about as many each time, so that they stay in the first-level cache; and
        // small ones some at a time, since what has just been written cannot be read at once.
        let most = (LAID_OUT / layout.line).saturating_sub(K).max(LINES);
        let strip = lines.len().div_ceil(lines.len().div_ceil(most));
        let strip = strip.next_multiple_of(LINES).min(lines.len());
        let rows = strip - 1 + K;
        let plane_len = rows * layout.line;
        let together = if strip < lines.len() { 1 } else { (LAID_OUT / plane_len).clamp(1, 16) };
        // Vectors may read past the last line.
        let mut laid_out = floats(together * plane_len + 2 * simd::MAX_LANES);
        laid_out.fill(0.0);
        // What lies beside these lines another thread may have written: it is asked for while the planes before are computed.
        let (above, height, reach) = (conv.window.before[1], layout.input[0], K - 1);
        let beside = [
            lines.start.saturating_sub(above)..lines.start,
            lines.end..(lines.end + reach - above).min(height),
        ];
        for first in planes.clone().step_by(together) {
            let next = planes.end.min(first + together)..planes.end.min(first + 2 * together);
            let planes = first..next.start;
            for plane in next {
                let source = plane / conv.out_channels * conv.in_channels
                    + plane % conv.out_channels / conv.group_out();
                for line in beside.iter().flat_map(Range::clone) {
                    let line = &x[source * inputs + line * layout.input[1]..][..layout.input[1]];
                    line.chunks(32).for_each(|part| simd::prefetch(part, 0));
                    simd::prefetch(&line[line.len() - 1..], 0);
                }
            }
            for from in lines.clone().step_by(strip) {
                let taken = strip.min(lines.end - from);
                for (plane, to) in planes.clone().zip(laid_out.chunks_exact_mut(plane_len)) {
                    let (sample, channel) = (plane / conv.out_channels, plane % conv.out_channels);
                    let source = sample * conv.in_channels + channel / conv.group_out();
                    let to = &mut to[..(taken - 1 + K) * layout.line];
                    layout.write(simd, to, &x[source * inputs..][..inputs], from, strip < all);
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
                    let bias = simd.splat(finish.bias.map_or(0.0, |b| b[channel]));
                    let x = &laid_out[i * plane_len..];
                    let plane = Plane { x, layout, width, finish, at };
                    // Lines that follow each other read the same ones: a line is loaded once for all of them. The last ones
                    // may be computed twice, which gives the same bits.
                    let mut line = 0;
                    while line < taken {
                        let first = |count| line.min(taken - count);
                        line += match (taken, taken - line) {
                            (LINES.., 3..) => plane.lines::<S, K, LINES>(simd, y, first(LINES), &wide, bias),
                            (2.., _) => plane.lines::<S, K, 2>(simd, y, first(2), &wide, bias),
                            _ => plane.lines::<S, K, 1>(simd, y, line, &wide, bias),
                        };
                    }
                }
            }
        }
    }
}

/// How many lines of results are computed together.
const LINES: usize = 4;

/// How many elements are laid out at a time.
const LAID_OUT: usize = 1 << 12;

/// How planes are laid out: as lines of whole vectors, before each of which a vector of zeros pads it and the one before.
#[derive(Clone, Copy)]
struct Layout {
    /// Lines, and elements of a line.
    input: [usize; 2],
    /// Lines of zeros before the first.
    before: usize,
    /// From a line to the next.
    line: usize,
    /// Where in a line the element lies that the first window meets with its first tap.
    start: usize,
}

impl Layout {
    #[inline(always)]
    fn of<S: Simd>(_: S, window: &Window) -> Self {
        let [_, height, width] = window.input;
        let [_, above, before] = window.before;
        let line = (1 + width.div_ceil(S::LANES)) * S::LANES;
        Self { input: [height, width], before: above, line, start: S::LANES - before }
    }

    /// Lays out as many lines as there is room for, from one of the padded plane on. Lines of zeros are there already, if not
    /// only a part of the plane is.
    #[inline(always)]
    fn write<S: Simd, T: Float>(&self, simd: S, to: &mut [f32], x: &[T], from: usize, part: bool) {
        let [height, width] = self.input;
        let lines = to.len() / self.line;
        let above = self.before.saturating_sub(from).min(lines);
        let first = (from + above - self.before).min(height);
        let taken = (lines - above).min(height - first);
        if part {
            to[..above * self.line].fill(0.0);
            to[(above + taken) * self.line..].fill(0.0);
        }
        let whole = width / S::LANES * S::LANES;
        let lines = to[above * self.line..].chunks_exact_mut(self.line);
        for (to, x) in lines.zip(x[first * width..][..taken * width].chunks_exact(width)) {
            let to = &mut to[S::LANES..];
            for at in (0..whole).step_by(S::LANES) {
                simd.store(&mut to[at..], T::load(simd, &x[at..]));
            }
            if whole < width {
                simd.store(&mut to[whole..], T::load_some(simd, &x[whole..]));
            }
        }
    }
}

/// One plane that is laid out.
struct Plane<'a, T> {
    x: &'a [f32],
    layout: Layout,
    width: usize,
    finish: Finish<'a, T>,
    /// Where its results lie among all.
    at: usize,
}

impl<T: Float> Plane<'_, T> {
    /// The sums of so many lines from this one on; gives their number.
    #[inline(always)]
    fn lines<S: Simd, const K: usize, const R: usize>(
        &self,
        simd: S,
        y: &Shared<'_, T>,
        first: usize,
        weights: &[[S::V; K]; K],
        bias: S::V,
    ) -> usize {
        let &Self { x, layout: Layout { line, start, .. }, width, finish, .. } = self;
        for at in (0..width).step_by(S::LANES) {
            // The last vector ends where the line does; what it computes twice are the same bits.
            let at = at.min(width.saturating_sub(S::LANES));
            let x = &x[first * line + start + at..];
            let x = &x[..(R + K - 2) * line + K - 1 + S::LANES];
            let mut sums = [[bias]; R];
            for (r, [sum]) in sums.iter_mut().enumerate() {
                for (i, weights) in weights.iter().enumerate() {
                    for (j, &weight) in weights.iter().enumerate() {
                        let from = (r + i) * line + j;
                        // SAFETY: `r < R`, and `i` and `j` are less than `K`, so that the vector lies within the slice.
                        let elements = unsafe { x.get_unchecked(from..from + S::LANES) };
                        *sum = simd.mul_add(simd.load(elements), weight, *sum);
                    }
                }
            }
            let (at, len) = (self.at + first * width + at, width.min(S::LANES));
            // SAFETY: a line of a plane is in one task only.
            unsafe { finish.rows(simd, y, sums, Place { at, stride: width, count: R, len }) };
        }
        R
    }
}
