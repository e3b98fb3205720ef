//! Depthwise convolutions of planes whose channels lie last: of each place the elements of all channels side by side.
//!
//! A vector has neighbouring channels of one place. What a window reads lies whole places and lines apart, so that nothing is laid
//! out and no lane is empty, however small a plane is. Some columns are walked down together: each element of them is read once for
//! all the results that meet it. Sums are those of planes that lie channel after channel, bit for bit.

use std::ops::Range;

use macro_rules_attribute::apply;

use super::Conv;
use super::plane::fits;
use crate::Float;
use crate::compiled::compiled_here;
use crate::finish::{Finish, Place};
use crate::simd::{self, Kernel, MAX_LANES, Simd};
use crate::threads::{Shared, parallel_for};

/// Whether [`conv_channels_last`] computes it: each channel by itself, with a kernel of 3 x 3 or 5 x 5 and strides of 1 or 2.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, fits_channels_last}};
/// let window = Window::new([1, 8, 8], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
/// let sizes = Conv { window, batch: 1, in_channels: 16, out_channels: 16, groups: 16 };
/// assert!(fits_channels_last(&sizes) && !fits_channels_last(&Conv { groups: 1, ..sizes }));
/// ```
pub fn fits_channels_last(conv: &Conv) -> bool {
    fits(&conv.window) && conv.group_in() == 1 && conv.group_out() == 1
}

/// Computes the convolution of planes whose channels lie last: `x` is `[batch, height, width, channels]`, and so is the result.
/// The weights are `[kernel, channels]`.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, conv_channels_last}, finish::Finish};
/// // A plane of one element with two channels, of which each meets the middle of its own kernel.
/// let window = Window::new([1; 3], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
/// let sizes = Conv { window, batch: 1, in_channels: 2, out_channels: 2, groups: 2 };
/// let (mut weights, mut y) = ([0.0f32; 18], [0.0f32; 2]);
/// weights[8..10].copy_from_slice(&[3.0, -1.0]);
/// conv_channels_last(1, &mut y, &[10.0, 20.0], &weights, Finish::bias(Some(&[0.5, 0.0])), &sizes);
/// assert_eq!(y, [30.5, -20.0]);
/// ```
///
/// # Panics
///
/// As [`conv`](super::conv), and when the convolution is [none of these](fits_channels_last).
#[apply(compiled_here)]
pub fn conv_channels_last<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[f32],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let window = &conv.window;
    assert!(fits_channels_last(conv), "each channel is convolved by itself, with a small square kernel");
    let lengths = [x.len(), y.len(), weights.len()];
    conv.check(window.input_len(), window.output_len(), lengths, [conv.out_channels, 1], finish.bias);
    finish.check(y.len());
    if y.is_empty() {
        return;
    }
    let whole = finish;
    let (finish, left) = whole.split();
    let results = &Shared::new(&mut *y);
    let threads = conv.threads(threads);
    // Of many lines each thread has its own, as it has rows of its own in the products before and after. Few would have too many
    // in common: there it has channels of its own.
    let (lines, vectors) = (window.output[1], (conv.out_channels / MAX_LANES).max(1));
    let by_lines = lines >= MANY * window.kernel[1];
    let parts = threads.clamp(1, if by_lines { lines } else { vectors });
    let of = |all: usize, part: usize| part * all / parts..(part + 1) * all / parts;
    parallel_for(threads, conv.batch * parts, 1, |tasks| {
        for task in tasks {
            let (sample, part) = (task / parts, task % parts);
            let (mut lines, mut channels) = (0..lines, 0..conv.out_channels);
            if by_lines {
                lines = of(lines.end, part);
            } else {
                let vectors = of(vectors, part);
                let end = if part + 1 == parts { channels.end } else { vectors.end * MAX_LANES };
                channels = vectors.start * MAX_LANES..end;
            }
            let part = Part { y: results, x, weights, finish, conv, sample, lines, channels };
            match (window.kernel[1], window.strides[1]) {
                (3, 1) => simd::dispatch(Columns::<T, 3, 1, 7>(part)),
                (3, _) => simd::dispatch(Columns::<T, 3, 2, 4>(part)),
                (_, 1) => simd::dispatch(Columns::<T, 5, 1, 4>(part)),
                _ => simd::dispatch(Columns::<T, 5, 2, 3>(part)),
            }
        }
    });
    if left {
        whole.after(threads, y);
    }
}

/// Planes of so many times the lines of a kernel are divided by lines.
const MANY: usize = 5;

/// Some lines and channels of the results. The stages are done in registers.
struct Part<'a, T> {
    y: &'a Shared<'a, T>,
    x: &'a [T],
    weights: &'a [f32],
    finish: Finish<'a, T>,
    conv: &'a Conv,
    sample: usize,
    lines: Range<usize>,
    channels: Range<usize>,
}

/// The sums of a part, of `C` columns at a time: as many as there are registers for, if vectors are the longest.
struct Columns<'a, T, const K: usize, const STRIDE: usize, const C: usize>(Part<'a, T>);

/// So many columns at a time of shorter vectors. It was not measured.
const FEW: usize = 2;

/// The most lines of results that a line of the input meets.
const LIVE: usize = 5;

/// The sums of columns in the lines that a line of the input meets, the newest first.
type Sums<V, const C: usize> = [[V; C]; LIVE];

impl<T: Float, const K: usize, const STRIDE: usize, const C: usize> Kernel for Columns<'_, T, K, STRIDE, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (channels, width) = (self.0.channels.clone(), self.0.conv.window.output[2]);
        let most = if S::LANES == MAX_LANES { C } else { FEW };
        for channel in channels.clone().step_by(S::LANES) {
            // What is left of the channels, and of the columns, is computed with others again, which gives the same bits.
            let channel = channel.min(channels.end.saturating_sub(S::LANES)).max(channels.start);
            for column in (0..width).step_by(most) {
                let place = [column.min(width.saturating_sub(most)), channel];
                if S::LANES == MAX_LANES {
                    self.down::<S, C>(simd, place);
                } else {
                    self.down::<S, FEW>(simd, place);
                }
            }
        }
    }
}

impl<T: Float, const K: usize, const STRIDE: usize, const MOST: usize> Columns<'_, T, K, STRIDE, MOST> {
    /// The results of `C` columns, of as many channels as a vector has, from these on.
    #[inline(always)]
    fn down<S: Simd, const C: usize>(&self, simd: S, [column, channel]: [usize; 2]) {
        let &Part { y, weights, finish, conv, sample, ref lines, .. } = &self.0;
        let (channels, live) = (conv.out_channels, K.div_ceil(STRIDE));
        let len = channels.min(S::LANES);
        let zero = simd.splat(0.0);
        let mut wide = [[zero; K]; K];
        for (tap, wide) in wide.as_flattened_mut().iter_mut().enumerate() {
            *wide = some(simd, &weights[tap * channels + channel..], len);
        }
        let bias = finish.bias.map_or(zero, |bias| some(simd, &bias[channel..], len));
        let mut sums = [[[zero; C]; LIVE]; STRIDE];
        for newest in lines.start..lines.end + live - 1 {
            // Of each phase of lines the sums are carried apart, as they are of planes that lie by themselves.
            let place = [newest, column, channel];
            sums[0] = self.line::<S, C, 0>(simd, sums[0], bias, &wide, place);
            if STRIDE == 2 {
                sums[1] = self.line::<S, C, 1>(simd, sums[1], zero, &wide, place);
            }
            let Some(line) = (newest + 1).checked_sub(live).filter(|line| *line >= lines.start) else {
                continue;
            };
            let mut done = [[zero]; C];
            for (c, done) in done.iter_mut().enumerate() {
                done[0] = sums[0][live - 1][c];
                for sums in &sums[1..] {
                    done[0] = simd.add(done[0], sums[live - 1][c]);
                }
            }
            let at = (sample * conv.window.output[1] + line) * conv.window.output[2] + column;
            // A line may have fewer.
            let count = C.min(conv.window.output[2]);
            let place = Place { at: at * channels + channel, stride: channels, count, len };
            // SAFETY: a channel of a line is in one task only.
            unsafe { finish.rows(simd, y, done, place) };
        }
    }

    /// The sums after one more line of the input, whose newest results start with `start`.
    #[inline(always)]
    fn line<S: Simd, const C: usize, const PHASE: usize>(
        &self,
        simd: S,
        sums: Sums<S::V, C>,
        start: S::V,
        weights: &[[S::V; K]; K],
        [newest, first, channel]: [usize; 3],
    ) -> Sums<S::V, C> {
        let mut sums = [[start; C], sums[0], sums[1], sums[2], sums[3]];
        let &Part { x, conv, sample, .. } = &self.0;
        let (channels, [_, height, width]) = (conv.out_channels, conv.window.input);
        let [_, above, before] = conv.window.before;
        let line = (newest * STRIDE + PHASE).wrapping_sub(above);
        if line >= height {
            return sums;
        }
        let x = &x[(sample * height + line) * width * channels..][..width * channels];
        for i in 0..(C - 1) * STRIDE + K {
            let column = (first * STRIDE + i).wrapping_sub(before);
            let mut v = simd.splat(0.0);
            if column < width {
                v = some(simd, &x[column * channels + channel..], channels);
            }
            for (older, sums) in sums.iter_mut().enumerate().take(K.div_ceil(STRIDE)) {
                for (c, sum) in sums.iter_mut().enumerate() {
                    let tap = i.wrapping_sub(c * STRIDE);
                    if tap < K && older * STRIDE + PHASE < K {
                        *sum = simd.mul_add(v, weights[older * STRIDE + PHASE][tap], *sum);
                    }
                }
            }
        }
        sums
    }
}

/// As many elements as a vector has, or all `len` of them if those are fewer.
#[inline(always)]
fn some<S: Simd, T: Float>(simd: S, from: &[T], len: usize) -> S::V {
    if len >= S::LANES { T::load(simd, from) } else { T::load_some(simd, &from[..len]) }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::super::conv;
    use super::*;
    use crate::Window;
    use crate::finish::Stage;
    use crate::math::Unary;
    use crate::testing::floats;

    /// The elements of channels, one place after the other.
    fn turned<T: Float>(x: &[T], channels: usize, planes: usize) -> Vec<T> {
        let plane = x.len() / channels / planes;
        (0..x.len())
            .map(|i| x[(i / channels / plane * channels + i % channels) * plane + i / channels % plane])
            .collect()
    }

    fn check<T: Float>(window: Window, channels: usize, batch: usize) {
        let sizes = Conv { window, batch, in_channels: channels, out_channels: channels, groups: channels };
        let x: Vec<T> = floats(batch * channels * window.input_len(), 1);
        let weights: Vec<f32> = floats(channels * window.kernel_len(), 2);
        let bias: Vec<f32> = floats(channels, 3);
        let stages = [Stage::Unary(Unary::Clip { low: 0.0, high: 1.5 })];
        for finish in [Finish::default(), Finish { bias: Some(&bias), stages: &stages }] {
            let mut y = vec![T::from_f32(f32::NAN); batch * channels * window.output_len()];
            conv(1, &mut y, &x, &weights, finish, &sizes);
            let (x, y) = (turned(&x, channels, batch), turned(&y, channels, batch));
            let weights = turned(&weights, channels, 1);
            for threads in [1, 3] {
                let mut last = vec![T::from_f32(f32::NAN); y.len()];
                conv_channels_last(threads, &mut last, &x, &weights, finish, &sizes);
                assert_eq!(last, y, "{sizes:?}");
            }
        }
    }

    #[test]
    fn channels_that_lie_last_change_no_bit() {
        for (input, kernel, stride, before, after) in [
            ([1, 1], 3, 1, [1, 1], [1, 1]),
            ([2, 3], 5, 1, [2, 2], [2, 2]),
            ([7, 7], 3, 1, [1, 1], [1, 1]),
            ([7, 7], 5, 1, [2, 2], [2, 2]),
            ([14, 9], 3, 2, [1, 1], [1, 1]),
            ([17, 8], 3, 1, [1, 1], [1, 1]),
            ([14, 15], 5, 2, [2, 1], [2, 3]),
            ([5, 33], 3, 1, [0, 2], [1, 0]),
            ([6, 28], 5, 2, [1, 2], [2, 1]),
        ] {
            let window = Window::new(
                [1, input[0], input[1]],
                [1, kernel, kernel],
                [1, stride, stride],
                [1; 3],
                [0, before[0], before[1]],
                [0, after[0], after[1]],
            );
            for (channels, batch) in [(3, 1), (16, 2), (41, 1)] {
                check::<f32>(window.unwrap(), channels, batch);
                check::<f16>(window.unwrap(), channels, batch);
            }
        }
    }
}
