//! Where the windows of a convolution of planes read, and how what they read is written side by side.

use std::ops::Range;

use smallvec::SmallVec;

use super::Conv;
use crate::scratch::{Floats, Scratch, floats, scratch};
use crate::simd::{self, Kernel, Simd};
use crate::threads::parallel_chunks;
use crate::{Float, Window};

/// Windows on planes that are laid out so that neighbouring windows of a line read neighbouring elements: padded, and with
/// strides cut into phases. A phase of a plane has each `stride`th line and column of it, from one on.
pub(super) struct Windows {
    window: Window,
    /// From a channel to the next.
    plane: usize,
    /// From a line of windows to the next, and how many windows it has.
    line: usize,
    width: usize,
    /// The lines of a phase, and the phases that windows read: their first line and column.
    lines: usize,
    phases: SmallVec<[[usize; 2]; 4]>,
    as_they_are: bool,
    /// Where the element of each tap of each channel lies, counted from that of the first, and the farthest of them.
    taps: Scratch<usize>,
    farthest: usize,
}

/// Lines and columns of a phase.
fn extent(w: &Window) -> [usize; 2] {
    [1, 2].map(|d| w.output[d] + (w.kernel[d] - 1) * w.dilations[d] / w.strides[d])
}

/// Whether windows read the input as it is.
fn as_they_are(w: &Window) -> bool {
    let reach = |d: usize| w.output[d] + (w.kernel[d] - 1) * w.dilations[d];
    w.strides == [w.strides[0], 1, 1]
        && w.before == [0; 3]
        && reach(1) <= w.input[1]
        && reach(2) <= w.input[2]
}

impl Windows {
    /// Whether planes that are laid out are not much larger than what is read and written.
    pub(super) fn fit(w: &Window) -> bool {
        let [lines, line] = extent(w);
        let phases = (w.strides[1].min(w.kernel[1])).saturating_mul(w.strides[2].min(w.kernel[2]));
        let len = lines.saturating_mul(line).saturating_mul(phases);
        w.check() && len <= 8 * (w.input_len() + w.output_len()) + (1 << 16)
    }

    /// Those of a convolution, on planes that are laid out if they must be.
    pub(super) fn new(conv: &Conv) -> Self {
        let as_they_are = as_they_are(&conv.window);
        let w = conv.window;
        let mut phases = SmallVec::<[[usize; 2]; 4]>::new();
        let mut taps = scratch(conv.group_in() * w.kernel_len());
        let [lines, line] = if as_they_are { [w.input[1], w.input[2]] } else { extent(&w) };
        for (tap, place) in taps[..w.kernel_len()].iter_mut().enumerate() {
            let [_, down, right] = w.tap(tap);
            let (down, right) = (down * w.dilations[1], right * w.dilations[2]);
            let phase = [down % w.strides[1], right % w.strides[2]];
            let number = phases.iter().position(|&p| p == phase).unwrap_or_else(|| {
                phases.push(phase);
                phases.len() - 1
            });
            *place = (number * lines + down / w.strides[1]) * line + right / w.strides[2];
        }
        let plane = phases.len() * lines * line;
        for at in w.kernel_len()..taps.len() {
            taps[at] = taps[at - w.kernel_len()] + plane;
        }
        let farthest = taps.iter().copied().max().unwrap_or(0);
        // Lines that follow each other without a gap are one.
        let width = if line == w.output[2] { w.output_len() } else { w.output[2] };
        Self { window: w, plane, line, width, lines, phases, as_they_are, taps, farthest }
    }

    /// Whether windows read the input as it is.
    pub(super) fn as_they_are(&self) -> bool {
        self.as_they_are
    }

    /// How many elements a window reads.
    pub(super) fn taps(&self) -> usize {
        self.taps.len()
    }

    /// From a channel to the next.
    pub(super) fn plane(&self) -> usize {
        self.plane
    }

    /// Lays the planes of all channels out.
    pub(super) fn lay_out<T: Float>(&self, threads: usize, x: &[T], conv: &Conv) -> Floats {
        let inputs = self.window.input_len();
        let mut planes = floats(conv.batch * conv.in_channels * self.plane);
        parallel_chunks(threads, &mut planes, self.plane, (1 << 14) / self.plane + 1, |i, to| {
            simd::dispatch(LayOut { to, x: &x[i * inputs..(i + 1) * inputs], windows: self });
        });
        planes
    }

    /// Writes the elements that some windows read to panels of `width` columns: those of each tap side by side. In columns
    /// that are left in the last panel there are zeros.
    pub(super) fn fill<X: Float>(&self, to: &mut [f32], width: usize, x: &[X], windows: Range<usize>) {
        simd::dispatch(Fill { to, width, x, windows, of: self });
    }
}

/// Lays one plane out.
struct LayOut<'a, T> {
    to: &'a mut [f32],
    x: &'a [T],
    windows: &'a Windows,
}

impl<T: Float> Kernel for LayOut<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let &Windows { window: w, line, lines, ref phases, .. } = self.windows;
        let [_, height, width] = w.input;
        let [down, right] = [w.strides[1], w.strides[2]];
        let mut wide = floats(if right > 2 { width } else { 0 });
        self.to.fill(0.0);
        for (number, phase) in phases.iter().enumerate() {
            // With strides of 2 the second phase of columns, which follows the first, is made with it.
            let both = right == 2 && phases.get(number + 1) == Some(&[phase[0], 1]);
            if right == 2 && phase[1] == 1 {
                continue;
            }
            // The first column of the phase that is not padding, and the element that lies there.
            let left = w.before[2].saturating_sub(phase[1]).div_ceil(right).min(line);
            let skipped = (left * right + phase[1]).saturating_sub(w.before[2]).min(width);
            let count = (width - skipped).div_ceil(right).min(line - left);
            for i in 0..lines {
                let first = (number * lines + i) * line;
                let from = (i * down + phase[0]).checked_sub(w.before[1]).filter(|&from| from < height);
                let Some(from) = from else { continue };
                let from = &self.x[from * width..][..width];
                if right == 2 {
                    let (one, other) = self.to[first..].split_at_mut(line);
                    let other = if both { &mut other[(lines - 1) * line..][..line] } else { &mut [] };
                    split(simd, [one, other], from, w.before[2]);
                    continue;
                }
                let to = &mut self.to[first + left..][..count];
                if right == 1 {
                    widen(simd, to, &from[skipped..skipped + count]);
                } else {
                    widen(simd, &mut wide, from);
                    let from = wide[skipped..].iter().step_by(right);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Parts the elements of a line, of which the first lies so far behind its start, into those at even and at odd places.
#[inline(always)]
fn split<S: Simd, T: Float>(simd: S, [even, odd]: [&mut [f32]; 2], from: &[T], before: usize) {
    let [first, second] = if before.is_multiple_of(2) { [even, odd] } else { [odd, even] };
    let first = first.get_mut(before / 2..).unwrap_or_default();
    let second = second.get_mut(before.div_ceil(2)..).unwrap_or_default();
    for (i, from) in from.chunks(2 * S::LANES).enumerate() {
        let [one, two] = if from.len() == 2 * S::LANES {
            [T::load(simd, from), T::load(simd, &from[S::LANES..])]
        } else {
            [T::load_some(simd, from), T::load_some(simd, from.get(S::LANES..).unwrap_or_default())]
        };
        let [one, two] = simd.pairs(one, two);
        let to = first.get_mut(i * S::LANES..).unwrap_or_default();
        let len = to.len().min(from.len().div_ceil(2));
        write(simd, &mut to[..len], one);
        let to = second.get_mut(i * S::LANES..).unwrap_or_default();
        let len = to.len().min(from.len() / 2);
        write(simd, &mut to[..len], two);
    }
}

/// Writes every element as `f32`.
#[inline(always)]
fn widen<S: Simd, T: Float>(simd: S, to: &mut [f32], from: &[T]) {
    for (to, from) in to.chunks_mut(S::LANES).zip(from.chunks(S::LANES)) {
        let v = if from.len() == S::LANES { T::load(simd, from) } else { T::load_some(simd, from) };
        write(simd, to, v);
    }
}

struct Fill<'a, X> {
    to: &'a mut [f32],
    width: usize,
    x: &'a [X],
    windows: Range<usize>,
    of: &'a Windows,
}

impl<X: Float> Kernel for Fill<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { to, width, x, windows, of } = self;
        // Vectors of neighbours: where each goes, how many there is room for in its panel, and where it lies. It may reach
        // into the next one, which is written after it.
        let panel = of.taps.len() * width;
        let mut vectors = scratch::<[usize; 3]>(windows.len() + S::LANES);
        let (mut count, mut at) = (0, windows.start);
        let (mut line, mut column) = (at / of.width, at % of.width);
        let (mut start, mut place) = (0, 0);
        while at < windows.end {
            let len = S::LANES.min(of.width - column).min(windows.end - at).min(width - place);
            vectors[count] = [start + place, S::LANES.min(width - place), line * of.line + column];
            (count, at, column, place) = (count + 1, at + len, column + len, place + len);
            if column == of.width {
                (line, column) = (line + 1, 0);
            }
            if place == width && at < windows.end {
                (start, place) = (start + panel, 0);
            }
        }
        let vectors = &vectors[..count];
        // Of a single panel, vectors may also reach into the next tap.
        let most = |of: usize| vectors.iter().map(|v| v[of]).max().unwrap_or(0);
        let inside = of.farthest + most(2) + S::LANES <= x.len();
        let fast = if inside && (start == 0 || vectors.iter().all(|v| v[1] == S::LANES)) {
            let room = (to.len() + width).saturating_sub(most(0) + S::LANES);
            of.taps.len().min(room / width)
        } else {
            0
        };
        for (k, &tap) in of.taps[..fast].iter().enumerate() {
            for &[place, _, from] in vectors {
                // SAFETY: no tap is farther than the farthest, so that this lies within what the condition checks.
                let x = unsafe { x.get_unchecked(tap + from..tap + from + S::LANES) };
                // SAFETY: `place + S::LANES + k · width` is at most `room + most(0) + S::LANES - width`, which is the length.
                let to = unsafe { to.get_unchecked_mut(k * width + place..k * width + place + S::LANES) };
                simd.store(to, X::load(simd, x));
            }
        }
        for (k, &tap) in of.taps.iter().enumerate().skip(fast) {
            for &[place, room, from] in vectors {
                let v = X::load_some(simd, &x[tap + from..]);
                write(simd, &mut to[k * width + place..][..room], v);
            }
        }
        let zeros = start + place..if place > 0 { start + width } else { start };
        for k in 0..of.taps.len() {
            to[k * width..][zeros.clone()].fill(0.0);
        }
    }
}

/// Writes a vector, or as much of it as there is room for.
#[inline(always)]
fn write<S: Simd>(simd: S, to: &mut [f32], v: S::V) {
    if to.len() >= S::LANES { simd.store(to, v) } else { simd.store_some(to, v) }
}
