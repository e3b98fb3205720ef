//! Depthwise convolutions of planes with a small square kernel, line after line of the input: of small planes, and with strides.
//!
//! A vector has neighbouring results of a line, or those of two planes, one in each half. What all of them read of a line of the
//! input lies in one vector or two, from which it is picked for each tap. So nothing is laid out, and each line is read once for all
//! the results that meet it, the sums of which are carried down the plane.

use std::ops::Range;

use super::Conv;
use crate::Float;
use crate::finish::{Finish, Stage};
use crate::scratch::scratch;
use crate::simd::{Kernel, MAX_LANES, Simd};
use crate::threads::Shared;

/// The sums of some lines of some planes. The stages are done in registers.
pub(super) struct Sweep<'a, T, W, const K: usize, const STRIDE: usize> {
    pub(super) y: &'a Shared<'a, T>,
    pub(super) x: &'a [T],
    pub(super) weights: &'a [W],
    pub(super) finish: Finish<'a, T>,
    pub(super) conv: &'a Conv,
    pub(super) planes: Range<usize>,
    /// Of each plane these.
    pub(super) lines: Range<usize>,
}

/// The results that a vector has in each line, and where what they read lies.
#[derive(Clone, Copy)]
struct Column<S: Simd, const K: usize> {
    /// The first result, and how many there are.
    first: usize,
    len: usize,
    /// Where in a line the vectors start that are read: in one plane or in two.
    from: [usize; 2],
    /// What each tap picks from them.
    taps: [S::Places; K],
    halves: Halves<S>,
}

/// How the lanes of a second plane come into a vector that both share, and out of it.
#[derive(Clone, Copy)]
struct Halves<S: Simd> {
    /// Those of the first plane from one vector, and those of the second from another.
    own: S::Places,
    /// Those of the second plane, from the first lane on.
    shared: S::Places,
}

/// Up to two planes that share vectors: the lanes of the second come `apart` behind those of the first.
#[derive(Clone, Copy)]
struct Planes {
    numbers: [usize; 2],
    count: usize,
    apart: usize,
}

impl<T: Float, W: Float, const K: usize, const STRIDE: usize> Kernel for Sweep<'_, T, W, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (from, to) = (self.conv.window.input[2], self.conv.window.output[2]);
        // Vectors may read past the end of the last planes, and so those are copied, with zeros behind them: only for who reads
        // them, since another thread may have written them.
        let inputs = self.conv.window.input_len();
        let near = self.planes.clone().next_back().is_some_and(|plane| self.left(plane) < inputs + MAX_LANES);
        let copied = if near { self.x.len().min(inputs * (1 + MAX_LANES / inputs)) } else { 0 };
        let mut last = scratch::<T>(copied + MAX_LANES);
        last[..copied].copy_from_slice(&self.x[self.x.len() - copied..]);
        last[copied..].fill(T::zeroed());
        // The elements of another tensor lie side by side, and those of two planes do not.
        let alone = self.finish.stages.iter().any(|stage| matches!(stage, Stage::Binary { .. }));
        if !alone && from <= S::LANES && 2 * to <= S::LANES {
            let half = S::LANES / 2;
            let column = self.column(simd, 0..to, half);
            for first in self.planes.clone().step_by(2) {
                let count = 2.min(self.planes.end - first);
                let numbers = [first, first + count - 1];
                self.down::<S, 2>(simd, &last, &column, Planes { numbers, count, apart: half });
            }
            return;
        }
        // So many results read no more than two vectors.
        let most = S::LANES.min((2 * S::LANES - K) / STRIDE + 1);
        let count = to.div_ceil(most);
        let width = to.div_ceil(count);
        let together = (HELD / inputs).max(1);
        for first in self.planes.clone().step_by(together) {
            let planes = first..self.planes.end.min(first + together);
            for at in 0..count {
                // The last ones may be computed twice, which gives the same bits.
                let first = (at * width).min(to - width);
                let column = self.column(simd, first..first + width, 0);
                let one = column.from[1] == column.from[0];
                for plane in planes.clone() {
                    let planes = Planes { numbers: [plane; 2], count: 1, apart: 0 };
                    if one {
                        self.down::<S, 1>(simd, &last, &column, planes);
                    } else {
                        self.down::<S, 2>(simd, &last, &column, planes);
                    }
                }
            }
        }
    }
}

/// The most lines of results that a line of the input meets.
const LIVE: usize = 5;

/// Planes of so many elements are read from a second-level cache again for each vector of a line.
const HELD: usize = 1 << 16;

impl<T: Float, W: Float, const K: usize, const STRIDE: usize> Sweep<'_, T, W, K, STRIDE> {
    /// What some results of a line read; those of a second plane are so many lanes behind, if that is not 0.
    #[inline(always)]
    fn column<S: Simd>(&self, simd: S, results: Range<usize>, apart: usize) -> Column<S, K> {
        let (width, before) = (self.conv.window.input[2], self.conv.window.before[2]);
        let from = (results.start * STRIDE).saturating_sub(before);
        let end = ((results.end - 1) * STRIDE + K).saturating_sub(before).min(width);
        let (planes, second) = match apart {
            0 if end <= from + S::LANES => (1, from),
            0 => (1, from + S::LANES),
            _ => (2, from),
        };
        let mut taps = [simd.places(&[u8::MAX; MAX_LANES]); K];
        for (tap, places) in taps.iter_mut().enumerate() {
            let mut lanes = [u8::MAX; MAX_LANES];
            for plane in 0..planes {
                for (lane, result) in results.clone().enumerate() {
                    let element = (result * STRIDE + tap).checked_sub(before).filter(|&e| e < width);
                    let place = element.map(|e| e - from + plane * S::LANES);
                    lanes[plane * apart + lane] = place.map_or(u8::MAX, |place| place as u8);
                }
            }
            *places = simd.places(&lanes);
        }
        let (mut own, mut shared) = ([u8::MAX; MAX_LANES], [u8::MAX; MAX_LANES]);
        for lane in 0..S::LANES {
            own[lane] = if lane < apart { lane } else { S::LANES + lane } as u8;
            shared[lane] = (lane + apart) as u8;
        }
        let halves = Halves { own: simd.places(&own), shared: simd.places(&shared) };
        Column { first: results.start, len: results.len(), from: [from, second], taps, halves }
    }

    /// How many elements of the input there are from the plane on that this one of the result reads.
    #[inline(always)]
    fn left(&self, plane: usize) -> usize {
        let conv = self.conv;
        let source =
            plane / conv.out_channels * conv.in_channels + plane % conv.out_channels / conv.group_out();
        self.x.len() - source * conv.window.input_len()
    }

    /// The results of a vector in all lines, which are read in `N` vectors.
    #[inline(always)]
    fn down<S: Simd, const N: usize>(&self, simd: S, last: &[T], column: &Column<S, K>, planes: Planes) {
        let Self { weights, finish, conv, ref lines, .. } = *self;
        let window = &conv.window;
        let (inputs, [_, height, width]) = (window.input_len(), window.input);
        let channel = planes.numbers.map(|plane| plane % conv.out_channels);
        let (both, Halves { own, .. }) = (planes.apart > 0, &column.halves);
        let mut wide = [[simd.splat(0.0); K]; K];
        let weights = channel.map(|channel| &weights[channel * K * K..][..K * K]);
        let mut numbers = [[0.0; 2 * MAX_LANES]; 2];
        for (numbers, weights) in numbers.iter_mut().zip(weights) {
            for (to, weights) in numbers.chunks_mut(S::LANES).zip(weights.chunks(S::LANES)) {
                simd.store(to, W::load_some(simd, weights));
            }
        }
        for (i, wide) in wide.as_flattened_mut().iter_mut().enumerate() {
            *wide = simd.splat(numbers[0][i]);
            if both {
                *wide = simd.pick(own, [*wide, simd.splat(numbers[1][i])]);
            }
        }
        let [one, other] = channel.map(|channel| finish.bias.map_or(0.0, |bias| bias[channel]));
        let mut bias = simd.splat(one);
        if both {
            bias = simd.pick(own, [bias, simd.splat(other)]);
        }
        let x = planes.numbers.map(|plane| {
            let left = self.left(plane);
            if left < inputs + MAX_LANES {
                &last[last.len() - MAX_LANES - left..]
            } else {
                &self.x[self.x.len() - left..]
            }
        });
        let across = window.output[2];
        let starts = planes.numbers.map(|plane| plane * window.output_len() + column.first);
        // Of each phase of lines the sums are carried apart, so that they need not wait for each other: those of the lines of
        // results that a line of the input meets, the newest first.
        let live = K.div_ceil(STRIDE);
        let zero = simd.splat(0.0);
        let mut sums = [[zero; LIVE]; STRIDE];
        for newest in lines.start..lines.end + live - 1 {
            for (phase, sums) in sums.iter_mut().enumerate() {
                let first = if phase == 0 { bias } else { zero };
                *sums = [first, sums[0], sums[1], sums[2], sums[3]];
                let line = (newest * STRIDE + phase).wrapping_sub(window.before[1]);
                if line >= height {
                    continue;
                }
                let mut from = [T::load(simd, &x[0][line * width + column.from[0]..]); 2];
                if N == 2 {
                    from[1] = T::load(simd, &x[1][line * width + column.from[1]..]);
                }
                let mut taps = [zero; K];
                for (tap, places) in taps.iter_mut().zip(&column.taps) {
                    *tap = simd.pick(places, from);
                }
                for older in 0..live {
                    if older * STRIDE + phase < K {
                        for (tap, weight) in taps.iter().zip(&wide[older * STRIDE + phase]) {
                            sums[older] = simd.mul_add(*tap, *weight, sums[older]);
                        }
                    }
                }
            }
            if newest + 1 < lines.start + live {
                continue;
            }
            let line = newest + 1 - live;
            let mut sum = sums[0][live - 1];
            for sums in &sums[1..] {
                sum = simd.add(sum, sums[live - 1]);
            }
            let at = line * across;
            let [sum] = finish.vectors(simd, [sum], starts[0] + at, column.len);
            // Where lines follow each other more may be written, which the next ones write over.
            let follow = column.len == across;
            for (plane, start) in starts.into_iter().enumerate().take(planes.count) {
                // SAFETY: lines of a plane are in one task only.
                let y = unsafe { self.y.slice(start + at..start + lines.end * across - column.first) };
                let sum = if plane == 0 { sum } else { simd.pick(&column.halves.shared, [sum; 2]) };
                if follow && y.len() >= S::LANES {
                    T::store(simd, y, sum);
                } else {
                    T::store_some(simd, &mut y[..column.len], sum);
                }
            }
        }
    }
}
