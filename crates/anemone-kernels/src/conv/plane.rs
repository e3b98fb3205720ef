//! Depthwise convolutions of planes with a small square kernel, some lines at a time.

use std::ops::Range;

use super::{Conv, SMALL_PLANE};
use crate::finish::{self, Finish, Place};
use crate::scratch::floats;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
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
    let y = &Shared::new(y);
    // Large planes are divided as the convolutions before and after divide them, by lines, and small ones by channels.
    let (count, all) = (conv.batch * conv.out_channels, window.output[1]);
    let bands = if window.output_len() > SMALL_PLANE { threads.min(all / BAND).max(1) } else { 1 };
    let grain = (bands << 14).div_ceil(window.output_len().saturating_mul(window.kernel_len()));
    parallel_for(threads, bands * count, grain, |tasks| {
        for band in tasks.start / count..tasks.end.div_ceil(count) {
            let planes = tasks.start.max(band * count)..tasks.end.min((band + 1) * count);
            let planes = planes.start - band * count..planes.end - band * count;
            let lines = band * all / bands..(band + 1) * all / bands;
            match (window.kernel[1], window.strides[1]) {
                (3, 1) => simd::dispatch(Sum::<T, W, 3, 1> { y, x, weights, finish, conv, planes, lines }),
                (3, _) => simd::dispatch(Sum::<T, W, 3, 2> { y, x, weights, finish, conv, planes, lines }),
                (_, 1) => simd::dispatch(Sum::<T, W, 5, 1> { y, x, weights, finish, conv, planes, lines }),
                _ => simd::dispatch(Sum::<T, W, 5, 2> { y, x, weights, finish, conv, planes, lines }),
            }
        }
    });
}

/// The fewest lines of a plane that are a thread's own: what lies between two threads is laid out twice.
const BAND: usize = 8;

struct Sum<'a, T, W, const K: usize, const STRIDE: usize> {
    y: &'a Shared<'a, T>,
    x: &'a [T],
    weights: &'a [W],
    finish: Finish<'a, T>,
    conv: &'a Conv,
    planes: Range<usize>,
    /// Of each plane these.
    lines: Range<usize>,
}

impl<T: Float, W: Float, const K: usize, const STRIDE: usize> Kernel for Sum<'_, T, W, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { y, x, weights, finish, conv, planes, lines } = self;
        let (inputs, outputs) = (conv.window.input_len(), conv.window.output_len());
        let [_, all, width] = conv.window.output;
        let layout = Layout::<STRIDE>::of(simd, &conv.window);
        // A large plane is laid out some lines at a time, so that they stay in the first-level cache, and small ones some
        // at a time, since what has just been written cannot be read at once.
        let strip = (LAID_OUT / layout.line).saturating_sub(K) / STRIDE;
        let strip = strip.clamp(4, lines.len().max(4)).min(lines.len());
        let rows = (strip - 1) * STRIDE + K;
        let plane_len = rows * layout.line;
        let together = if strip < lines.len() { 1 } else { (LAID_OUT / plane_len).clamp(1, 16) };
        // Vectors may read past the last line.
        let mut laid_out = floats(together * plane_len + 2 * simd::MAX_LANES);
        laid_out.fill(0.0);
        for first in planes.clone().step_by(together) {
            let planes = first..planes.end.min(first + together);
            for from in lines.clone().step_by(strip) {
                let taken = strip.min(lines.end - from);
                for (plane, to) in planes.clone().zip(laid_out.chunks_exact_mut(plane_len)) {
                    let (sample, channel) = (plane / conv.out_channels, plane % conv.out_channels);
                    let source = sample * conv.in_channels + channel / conv.group_out();
                    layout.write(simd, to, &x[source * inputs..][..inputs], from * STRIDE, strip < all);
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
                    // SAFETY: a line of a plane is in one task only.
                    let y = unsafe { y.slice(at..at + taken * width) };
                    let bias = simd.splat(finish.bias.map_or(0.0, |b| b[channel]));
                    let x = &laid_out[i * plane_len..];
                    let plane = Plane { x, layout, width, finish, at };
                    // Lines that follow each other read the same ones: a line is loaded once for all of them. The last ones
                    // may be computed twice, which gives the same bits.
                    if taken < 4 {
                        for line in 0..taken {
                            plane.lines::<S, K, 1>(simd, y, line, &wide, bias);
                        }
                        continue;
                    }
                    for line in (0..taken).step_by(4) {
                        plane.lines::<S, K, 4>(simd, y, line.min(taken - 4), &wide, bias);
                    }
                }
            }
        }
    }
}

/// How many elements are laid out at a time.
const LAID_OUT: usize = 1 << 12;

/// How planes are laid out: as padded lines, each of `STRIDE` parts, of which the first has each `STRIDE`th element from the
/// first on. A part is a vector of zeros, which pads it and the one before, and whole vectors of elements.
#[derive(Clone, Copy)]
struct Layout<const STRIDE: usize> {
    /// Lines, and elements of a line.
    input: [usize; 2],
    /// Lines of zeros before the first.
    before: usize,
    /// From a part to the next, and from a line to the next.
    part: usize,
    line: usize,
    /// Where in a line the elements lie that the first window meets with its first taps; later taps meet their neighbours.
    starts: [usize; STRIDE],
}

impl<const STRIDE: usize> Layout<STRIDE> {
    #[inline(always)]
    fn of<S: Simd>(_: S, window: &Window) -> Self {
        let [_, height, width] = window.input;
        let [_, above, before] = window.before;
        let part = (1 + width.div_ceil(STRIDE * S::LANES)) * S::LANES;
        let mut starts = [0; STRIDE];
        for (tap, start) in starts.iter_mut().enumerate() {
            // From the first element back to that of the tap, in whole strides.
            let back = before.saturating_sub(tap).div_ceil(STRIDE);
            *start = (back * STRIDE + tap - before) * part + S::LANES - back;
        }
        Self { input: [height, width], before: above, part, line: STRIDE * part, starts }
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
        let (whole, left) = (width / (STRIDE * S::LANES), width % (STRIDE * S::LANES));
        let lines = to[above * self.line..].chunks_exact_mut(self.line);
        for (to, x) in lines.zip(x[first * width..][..taken * width].chunks_exact(width)) {
            if STRIDE == 1 {
                let (to, x) = (&mut to[S::LANES..], x);
                for at in (0..whole * S::LANES).step_by(S::LANES) {
                    simd.store(&mut to[at..], T::load(simd, &x[at..]));
                }
                if left > 0 {
                    let at = whole * S::LANES;
                    simd.store(&mut to[at..], T::load_some(simd, &x[at..]));
                }
                continue;
            }
            let (even, odd) = to.split_at_mut(self.part);
            let (even, odd) = (&mut even[S::LANES..], &mut odd[S::LANES..]);
            for at in (0..whole * S::LANES).step_by(S::LANES) {
                let pair = [T::load(simd, &x[2 * at..]), T::load(simd, &x[2 * at + S::LANES..])];
                let [one, two] = simd.pairs(pair[0], pair[1]);
                simd.store(&mut even[at..], one);
                simd.store(&mut odd[at..], two);
            }
            if left > 0 {
                let at = whole * S::LANES;
                let x = &x[2 * at..];
                let pair = if left >= S::LANES {
                    [T::load(simd, x), T::load_some(simd, &x[S::LANES..])]
                } else {
                    [T::load_some(simd, x), simd.splat(0.0)]
                };
                let [one, two] = simd.pairs(pair[0], pair[1]);
                simd.store(&mut even[at..], one);
                simd.store(&mut odd[at..], two);
            }
        }
    }
}

/// One plane that is laid out.
struct Plane<'a, T, const STRIDE: usize> {
    x: &'a [f32],
    layout: Layout<STRIDE>,
    width: usize,
    finish: Finish<'a, T>,
    /// Where its results lie among all.
    at: usize,
}

impl<T: Float, const STRIDE: usize> Plane<'_, T, STRIDE> {
    /// The sums of so many lines from this one on.
    #[inline(always)]
    fn lines<S: Simd, const K: usize, const R: usize>(
        &self,
        simd: S,
        y: &mut [T],
        first: usize,
        weights: &[[S::V; K]; K],
        bias: S::V,
    ) {
        let &Self { x, layout: Layout { line, starts, .. }, width, finish, .. } = self;
        for at in (0..width).step_by(S::LANES) {
            // The last vector ends where the line does; what it computes twice are the same bits.
            let at = at.min(width.saturating_sub(S::LANES));
            let x = &x[first * STRIDE * line + at..];
            let farthest = starts.iter().max().map_or(0, |start| start + (K - 1) / STRIDE);
            let x = &x[..((R - 1) * STRIDE + K - 1) * line + farthest + S::LANES];
            let mut sums = [[bias]; R];
            for (r, [sum]) in sums.iter_mut().enumerate() {
                for (i, weights) in weights.iter().enumerate() {
                    for (j, &weight) in weights.iter().enumerate() {
                        let from = (r * STRIDE + i) * line + starts[j % STRIDE] + j / STRIDE;
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
    }
}
