//! Convolutions over lines, planes and volumes, and their transposes.
//!
//! Tensors are `[batch, channels, depth, height, width]`, weights `[out, in / groups, kernel]` (those of a transposed
//! convolution `[in, out / groups, kernel]`). Sums are carried in `f32` and rounded once to the dtype of the result;
//! how far one is from the exact sum is bounded by `n · 2^-24 · Σ|x·w|` for the `n` products that it adds. Halves may be
//! made of fewer products (`conv/winograd.rs`), with an error that also the largest of 6 x 6 elements around it counts for.
//!
//! ```
//! use anemone_kernels::{Window, conv::{Conv, conv}, finish::Finish};
//! // A line of three, and a kernel of two: differences of neighbours.
//! let window = Window::new([1, 1, 3], [1, 1, 2], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
//! let sizes = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
//! let mut y = [0.0f32; 2];
//! conv(1, &mut y, &[1.0, 4.0, 9.0], &[-1.0f32, 1.0], Finish::default(), &sizes);
//! assert_eq!(y, [3.0, 5.0]);
//! ```

mod channels_last;
mod plane;
mod sweep;
mod tiles;
mod windows;
mod winograd;

pub use channels_last::{conv_channels_last, fits_channels_last};
pub use tiles::{ConvWeights, conv_tiles, fits_tiles};

use macro_rules_attribute::apply;
use smallvec::SmallVec;

use crate::compiled::compiled_here;
use crate::finish::Finish;
use crate::gemm::{Bias, Matrix, add_product, gemm_batched};
use crate::scratch::{Scratch, scratch};
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};
use crate::{Float, Window, scratch};

/// What is convolved: the window and the channels.
///
/// ```
/// use anemone_kernels::{Window, conv::Conv};
/// // 3 by 3 over images of 8 by 8, with a border of 1 around: as many pixels come out.
/// let window = Window::new([1, 8, 8], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
/// let sizes = Conv { window, batch: 1, in_channels: 3, out_channels: 16, groups: 1 };
/// assert_eq!((sizes.window.input_len(), sizes.window.output_len(), sizes.window.kernel_len()), (64, 64, 9));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// How the kernel slides over the input. For a transposed convolution, how it slides in the convolution that is
    /// transposed: over the result, to give the input.
    pub window: Window,
    /// How many inputs there are.
    pub batch: usize,
    /// The channels of one input.
    pub in_channels: usize,
    /// The channels of one result.
    pub out_channels: usize,
    /// Into how many groups the channels fall; each group is convolved by itself.
    pub groups: usize,
}

/// Planes of so many windows and less are small: they stay in the second-level cache as rows of windows, and threads divide
/// them by channels; larger ones are divided by lines.
const SMALL_PLANE: usize = 512;

impl Conv {
    pub(crate) fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    pub(crate) fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Checks all lengths; `inputs` and `outputs` are the elements of one channel.
    pub(crate) fn check(
        &self,
        inputs: usize,
        outputs: usize,
        [x, y, w]: [usize; 3],
        weights: [usize; 2],
        bias: Option<&[f32]>,
    ) {
        assert!(self.window.check(), "the sizes of a window fit into memory");
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "groups are of the same size"
        );
        let product = |a: [usize; 3]| a[0].checked_mul(a[1])?.checked_mul(a[2]);
        assert_eq!(product([self.batch, self.in_channels, inputs]), Some(x), "the input has its channels");
        assert_eq!(product([self.batch, self.out_channels, outputs]), Some(y), "the result has its channels");
        let kernel = self.window.kernel_len();
        assert_eq!(product([weights[0], weights[1], kernel]), Some(w), "there is a weight for each product");
        assert!(bias.is_none_or(|b| b.len() == self.out_channels), "a bias has one number for each channel");
    }

    /// On how many threads this is worth to run.
    fn threads(&self, threads: usize) -> usize {
        let windows = self.window.output_len().saturating_mul(self.batch);
        let each = self.group_in().saturating_mul(self.window.kernel_len());
        if windows.saturating_mul(each).saturating_mul(self.out_channels) < 1 << 16 { 1 } else { threads }
    }
}

/// Computes the convolution of `x` with `weights`.
///
/// Pointwise ones are products of matrices, depthwise ones are computed directly, all others as products with the
/// windows written out, block by block.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, conv}, finish::Finish};
/// let window = Window::new([1, 1, 4], [1, 1, 3], [1; 3], [1; 3], [0, 0, 1], [0, 0, 1]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let mut y = [0.0f32; 4];
/// conv(1, &mut y, &[1.0, 2.0, 3.0, 4.0], &[1.0f32, 0.0, -1.0], Finish::bias(Some(&[10.0])), &c);
/// assert_eq!(y, [8.0, 8.0, 8.0, 13.0]);
/// ```
///
/// # Panics
///
/// When a slice has another length than `conv` says, the groups do not divide the channels, or the window's sizes
/// do not fit into memory.
#[apply(compiled_here)]
pub fn conv<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let (inputs, outputs) = (conv.window.input_len(), conv.window.output_len());
    let lengths = [x.len(), y.len(), weights.len()];
    conv.check(inputs, outputs, lengths, [conv.out_channels, conv.group_in()], finish.bias);
    finish.check(y.len());
    if y.is_empty() {
        return;
    }
    let threads = conv.threads(threads);
    if conv.window.is_pointwise() && conv.groups == 1 {
        let w = Matrix::new(weights, conv.out_channels, conv.in_channels);
        let x = Matrix::new(x, conv.in_channels, inputs);
        let items: SmallVec<[_; 16]> = (0..conv.batch).map(|n| (0, n * conv.in_channels * inputs)).collect();
        gemm_batched(threads, y, w, x, &items, finish.bias.map_or(Bias::None, Bias::Rows));
        finish.after(threads, y);
    } else if conv.group_in() == 1 && plane::fits(&conv.window) {
        let (own, left) = finish.split();
        plane::planes(threads, y, x, weights, own, conv);
        if left {
            finish.after(threads, y);
        }
    } else if let Some(plane) = Phases::of(&conv.window)
        && conv.group_in() == 1
    {
        depthwise(threads, y, x, weights, finish, conv, &plane);
    } else {
        by_blocks(threads, y, x, weights, finish, conv);
    }
}

/// How many elements of a window are written out at once.
const DEPTH: usize = 1024;

/// Writes out what the windows read, block by block, and multiplies.
fn by_blocks<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.input_len(), window.output_len(), window.kernel_len());
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    let depth = group_in * taps;
    // A block of windows is written out once for at most `rows` channels of the result. Small results are cut finer
    // to have work for several threads.
    let columns = outputs.min(256);
    let mut rows = group_out.min(256);
    while conv.batch * conv.groups * outputs.div_ceil(columns) * group_out.div_ceil(rows) < 4 && rows > 64 {
        rows = (rows / 2).next_multiple_of(16);
    }
    let (down, across) = (group_out.div_ceil(rows), outputs.div_ceil(columns));
    let y = Shared::new(y);
    parallel_for(threads, conv.batch * conv.groups * down * across, 1, |tasks| {
        let step = depth.min(DEPTH);
        let mut written = scratch::<T>(step * columns);
        let mut sums = scratch::floats(rows * columns);
        for task in tasks {
            let (item, block) = (task / (down * across), task % (down * across));
            let (n, group) = (item / conv.groups, item % conv.groups);
            let (i, j) = (block % down * rows, block / down * columns);
            let channels = i..group_out.min(i + rows);
            let windows = j..outputs.min(j + columns);
            let width = windows.len();
            let first = group * group_out;
            let sums = &mut sums[..channels.len() * width];
            for (sums, channel) in sums.chunks_exact_mut(width).zip(channels.clone()) {
                sums.fill(finish.bias.map_or(0.0, |b| b[first + channel]));
            }
            let x = &x[(n * conv.in_channels + group * group_in) * inputs..][..group_in * inputs];
            let w = Matrix::new(&weights[first * depth..][..group_out * depth], group_out, depth);
            for start in (0..depth).step_by(step.max(1)) {
                let end = depth.min(start + step);
                let len = (end - start) * width;
                let written = &mut written[..len];
                for (line, row) in written.chunks_exact_mut(width).zip(start..end) {
                    let volume = &x[row / taps * inputs..][..inputs];
                    window.read(line, volume, row % taps, windows.clone(), T::zeroed());
                }
                add_product(
                    sums,
                    w.block(channels.clone(), start..end),
                    Matrix::new(written, end - start, width),
                );
            }
            for (sums, channel) in sums.chunks_exact_mut(width).zip(channels) {
                let start = (n * conv.out_channels + first + channel) * outputs + windows.start;
                // SAFETY: a block of windows and channels is in one task only.
                finish.write(unsafe { y.slice(start..start + width) }, sums, start);
            }
        }
    });
}

/// How a padded plane lies in memory for a depthwise convolution: each of its lines is cut into as many parts as
/// the stride, the columns 0, s, 2s… first, so that neighbouring windows read neighbouring elements.
struct Phases {
    /// The padded depth and height.
    lines: [usize; 2],
    /// The length of one part of a line.
    part: usize,
    /// The elements of all lines.
    len: usize,
    /// Where the elements of the first window lie.
    taps: Scratch<usize>,
}

impl Phases {
    /// The layout, unless strides or padding make it much larger than what is read and written.
    fn of(window: &Window) -> Option<Self> {
        let reach = |d: usize| (window.kernel[d] - 1) * window.dilations[d];
        let lines = [0, 1].map(|d| (window.output[d] - 1) * window.strides[d] + reach(d) + 1);
        // Vectors may read past the last window of a line, never past the next part.
        let part = window.output[2].next_multiple_of(simd::MAX_LANES) + reach(2) / window.strides[2];
        let len = lines[0].checked_mul(lines[1])?.checked_mul(part)?.checked_mul(window.strides[2])?;
        if len > 8 * (window.input_len() + window.output_len()) + (1 << 16) {
            return None;
        }
        let line = part * window.strides[2];
        let mut taps = scratch(window.kernel_len());
        for (tap, place) in taps.iter_mut().enumerate() {
            let [d, h, w] = window.tap(tap);
            let shift = w * window.dilations[2];
            *place = (d * window.dilations[0] * lines[1] + h * window.dilations[1]) * line
                + shift % window.strides[2] * part
                + shift / window.strides[2];
        }
        Some(Self { lines, part, len, taps })
    }

    /// Lays a plane out; `wide` has room for it.
    fn fill<T: Float>(&self, to: &mut [f32], plane: &[T], wide: &mut [f32], window: &Window) {
        to.fill(0.0);
        let plane = match T::as_f32s(plane) {
            Some(plane) => plane,
            None => {
                T::widen(wide, plane);
                &*wide
            }
        };
        let [_, height, width] = window.input;
        let (stride, before) = (window.strides[2], window.before[2]);
        let line_len = self.part * stride;
        for (i, to) in to.chunks_exact_mut(line_len).enumerate() {
            let (d, h) = (i / self.lines[1], i % self.lines[1]);
            let (Some(d), Some(h)) = (d.checked_sub(window.before[0]), h.checked_sub(window.before[1]))
            else {
                continue;
            };
            if d >= window.input[0] || h >= height {
                continue;
            }
            let line = &plane[(d * height + h) * width..][..width.min(line_len.saturating_sub(before))];
            if stride == 1 {
                to[before.min(line_len)..][..line.len()].copy_from_slice(line);
                continue;
            }
            for (phase, to) in to.chunks_exact_mut(self.part).enumerate() {
                // The first element of this phase: w + before is phase, phase + stride, ….
                let first = (phase + stride - before % stride) % stride;
                let to = to.get_mut((first + before) / stride..).unwrap_or(&mut []);
                let from = line.get(first..).unwrap_or(&[]);
                if stride == 2 {
                    // Pairs, of which the compiler makes vectors.
                    let (pairs, last) = from.as_chunks::<2>();
                    to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                    if let (Some(to), Some(last)) = (to.get_mut(pairs.len()), last.first()) {
                        *to = *last;
                    }
                } else {
                    to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &v)| *to = v);
                }
            }
        }
    }
}

/// Convolves each channel by itself.
fn depthwise<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
    phases: &Phases,
) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.input_len(), window.output_len(), window.kernel_len());
    let width = window.output[2];
    let all = Shared::new(y);
    let grain = (1usize << 14).div_ceil(outputs.saturating_mul(taps));
    parallel_for(threads, conv.batch * conv.out_channels, grain, |planes| {
        let mut laid_out = scratch::floats(phases.len);
        let mut line = scratch::floats(width.next_multiple_of(simd::MAX_LANES));
        let mut wide_plane = scratch::floats(if T::as_f32s(&[]).is_some() { 0 } else { inputs });
        let mut wide = scratch::floats(taps);
        let mut held = None;
        for plane in planes {
            let (n, channel) = (plane / conv.out_channels, plane % conv.out_channels);
            let source = n * conv.in_channels + channel / conv.group_out();
            if held != Some(source) {
                phases.fill(&mut laid_out, &x[source * inputs..][..inputs], &mut wide_plane, window);
                held = Some(source);
            }
            W::widen(&mut wide, &weights[channel * taps..][..taps]);
            // SAFETY: a plane is in one task only.
            let y = unsafe { all.slice(plane * outputs..(plane + 1) * outputs) };
            let bias = finish.bias.map_or(0.0, |b| b[channel]);
            let at = plane * outputs;
            for (i, y) in y.chunks_exact_mut(width).enumerate() {
                let (d, h) = (i / window.output[1], i % window.output[1]);
                let first = (d * window.strides[0] * phases.lines[1] + h * window.strides[1])
                    * (phases.part * window.strides[2]);
                simd::dispatch(Line {
                    y: &mut line,
                    x: &laid_out[first..],
                    taps: &phases.taps,
                    weights: &wide,
                    bias,
                });
                finish.write(y, &mut line[..width], at + i * width);
            }
        }
    });
}

/// One line of a depthwise convolution.
struct Line<'a> {
    /// A whole number of vectors.
    y: &'a mut [f32],
    x: &'a [f32],
    taps: &'a [usize],
    weights: &'a [f32],
    bias: f32,
}

impl Kernel for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for i in (0..self.y.len()).step_by(S::LANES) {
            let mut sum = simd.splat(self.bias);
            for (&tap, &w) in self.taps.iter().zip(self.weights) {
                sum = simd.mul_add(simd.load(&self.x[i + tap..]), simd.splat(w), sum);
            }
            simd.store(&mut self.y[i..], sum);
        }
    }
}

/// Computes the transposed convolution of `x` with `weights`: each element of `x` adds its window, times the
/// weights, to the result.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, conv_transpose}};
/// // The convolution that is transposed gives 2 windows of 5 elements.
/// let window = Window::new([1, 1, 5], [1, 1, 3], [1, 1, 2], [1; 3], [0; 3], [0; 3]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let mut y = [0.0f32; 5];
/// conv_transpose(1, &mut y, &[1.0, 10.0], &[1.0f32, 2.0, 3.0], None, &c);
/// assert_eq!(y, [1.0, 2.0, 13.0, 20.0, 30.0]);
/// ```
///
/// # Panics
///
/// As [`conv`].
#[apply(compiled_here)]
pub fn conv_transpose<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &[W],
    bias: Option<&[f32]>,
    conv: &Conv,
) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.output_len(), window.input_len(), window.kernel_len());
    let lengths = [x.len(), y.len(), weights.len()];
    conv.check(inputs, outputs, lengths, [conv.in_channels, conv.group_out()], bias);
    if y.is_empty() {
        return;
    }
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    // A task makes whole planes, so that each element of the result is added to by one thread, in one order.
    let channels = (256 / taps).min((1 << 20) / outputs).clamp(1, group_out);
    let columns = inputs.min(256);
    let down = group_out.div_ceil(channels);
    let y = Shared::new(y);
    parallel_for(conv.threads(threads), conv.batch * conv.groups * down, 1, |tasks| {
        let mut products = scratch::floats(channels * taps * columns);
        let mut sums = scratch::floats(channels * outputs);
        for task in tasks {
            let (item, i) = (task / down, task % down * channels);
            let (n, group) = (item / conv.groups, item % conv.groups);
            let channels = i..group_out.min(i + channels);
            let first = group * group_out;
            let sums = &mut sums[..channels.len() * outputs];
            for (sums, channel) in sums.chunks_exact_mut(outputs).zip(channels.clone()) {
                sums.fill(bias.map_or(0.0, |b| b[first + channel]));
            }
            let row = group_out * taps;
            let w = Matrix::new(&weights[group * group_in * row..][..group_in * row], group_in, row);
            let w = w.block(0..group_in, channels.start * taps..channels.end * taps).transposed();
            let x = &x[(n * conv.in_channels + group * group_in) * inputs..][..group_in * inputs];
            let x = Matrix::new(x, group_in, inputs);
            for j in (0..inputs).step_by(columns.max(1)) {
                let windows = j..inputs.min(j + columns);
                let products = &mut products[..w.rows() * windows.len()];
                products.fill(0.0);
                add_product(products, w, x.block(0..group_in, windows.clone()));
                for (line, row) in products.chunks_exact(windows.len()).zip(0..) {
                    let plane = &mut sums[row / taps * outputs..][..outputs];
                    scatter(plane, line, window, row % taps, windows.clone());
                }
            }
            for (sums, channel) in sums.chunks_exact(outputs).zip(channels) {
                let start = (n * conv.out_channels + first + channel) * outputs;
                // SAFETY: a plane of the result is in one task only.
                T::narrow(unsafe { y.slice(start..start + outputs) }, sums);
            }
        }
    });
}

/// Adds each of `values` to the `tap`th element of its window.
fn scatter(volume: &mut [f32], values: &[f32], window: &Window, tap: usize, windows: std::ops::Range<usize>) {
    let [_, height, width] = window.input;
    let [kd, kh, kw] = window.tap(tap);
    let inside = window.inside(2, kw);
    window.lines(windows, |place, d, h, widths| {
        let (Some(d), Some(h)) = (window.source(0, d, kd), window.source(1, h, kh)) else {
            return;
        };
        let line = &mut volume[(d * height + h) * width..][..width];
        let from = inside.start.clamp(widths.start, widths.end);
        let end = inside.end.clamp(from, widths.end);
        if from == end {
            return;
        }
        let values = &values[place + from - widths.start..place + end - widths.start];
        let first = from * window.strides[2] + kw * window.dilations[2] - window.before[2];
        for (to, v) in line[first..].iter_mut().step_by(window.strides[2]).zip(values) {
            *to += v;
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::binary::Binary;
    use crate::finish::Stage;
    use crate::math::Unary;
    use half::f16;

    use super::*;
    use crate::testing::{close, floats};

    /// Visits every product of a convolution: the places in the input, the weights and the result.
    fn products(conv: &Conv, mut each: impl FnMut(usize, usize, usize)) {
        let w = &conv.window;
        let [_, height, width] = w.output;
        let [_, in_height, in_width] = w.input;
        for n in 0..conv.batch {
            for o in 0..conv.out_channels {
                for c in 0..conv.group_in() {
                    let source = n * conv.in_channels + o / conv.group_out() * conv.group_in() + c;
                    for tap in 0..w.kernel_len() {
                        for at in 0..w.output_len() {
                            let place = [at / width / height, at / width % height, at % width];
                            let read: Option<Vec<_>> =
                                (0..3).map(|d| w.source(d, place[d], w.tap(tap)[d])).collect();
                            if let Some(r) = read {
                                each(
                                    source * w.input_len() + (r[0] * in_height + r[1]) * in_width + r[2],
                                    (o * conv.group_in() + c) * w.kernel_len() + tap,
                                    (n * conv.out_channels + o) * w.output_len() + at,
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    fn compare<T: Float>(y: &[T], exact: &[(f64, f64)], what: &str) {
        for (y, (sum, size)) in y.iter().zip(exact) {
            close(*y, *sum, 4e-6 * size, what);
        }
    }

    fn check<T: Float, W: Float>(conv: &Conv) {
        let w = &conv.window;
        let x: Vec<T> = floats(conv.batch * conv.in_channels * w.input_len(), 1);
        let weights: Vec<W> = floats(conv.out_channels * conv.group_in() * w.kernel_len(), 2);
        let bias: Vec<f32> = floats(conv.out_channels, 3);
        for bias in [None, Some(&*bias)] {
            let start = |i: usize| bias.map_or(0.0, |b| f64::from(b[i / w.output_len() % conv.out_channels]));
            let mut exact: Vec<_> =
                (0..conv.batch * conv.out_channels * w.output_len()).map(|i| (start(i), 1.0)).collect();
            products(conv, |i, k, o| {
                let product = f64::from(x[i].to_f32()) * f64::from(weights[k].to_f32());
                exact[o].0 += product;
                exact[o].1 += product.abs();
            });
            let mut y = vec![T::zeroed(); exact.len()];
            super::conv(1, &mut y, &x, &weights, Finish::bias(bias), conv);
            compare(&y, &exact, &format!("{conv:?}"));
            let mut two = y.clone();
            super::conv(2, &mut two, &x, &weights, Finish::bias(bias), conv);
            assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&two));
            by_blocks(1, &mut two, &x, &weights, Finish::bias(bias), conv);
            compare(&two, &exact, &format!("by blocks {conv:?}"));
            // Stages change no bit, whichever way computes the sums, in registers and behind them.
            let add = Stage::Binary { f: Binary::Add, other: &y, swapped: false };
            let clip = Stage::Unary(Unary::Clip { low: -0.5, high: 0.75 });
            let below = Stage::Binary { f: Binary::Sub, other: &y, swapped: true };
            let mut staged = y.clone();
            super::conv(2, &mut staged, &x, &weights, Finish { bias, stages: &[add, clip] }, conv);
            let doubled = |y: &T| T::from_f32(T::from_f32(2.0 * y.to_f32()).to_f32().clamp(-0.5, 0.75));
            assert!(staged.iter().copied().eq(y.iter().map(doubled)), "{conv:?}");
            let stages = [Stage::Unary(Unary::Relu), below];
            super::conv(2, &mut staged, &x, &weights, Finish { bias, stages: &stages }, conv);
            let below = y.iter().map(|y| T::from_f32(y.to_f32().min(0.0)));
            assert!(staged.iter().copied().eq(below), "{conv:?}");
        }

        // The transpose: the channels change their parts, and so do the input and the result.
        let transposed = Conv { in_channels: conv.out_channels, out_channels: conv.in_channels, ..*conv };
        let x: Vec<T> = floats(conv.batch * conv.out_channels * w.output_len(), 4);
        let bias: Vec<f32> = floats(conv.in_channels, 5);
        let start = |i: usize| f64::from(bias[i / w.input_len() % conv.in_channels]);
        let mut exact: Vec<_> =
            (0..conv.batch * conv.in_channels * w.input_len()).map(|i| (start(i), 1.0)).collect();
        products(conv, |i, k, o| {
            let product = f64::from(x[o].to_f32()) * f64::from(weights[k].to_f32());
            exact[i].0 += product;
            exact[i].1 += product.abs();
        });
        let mut y = vec![T::zeroed(); exact.len()];
        conv_transpose(1, &mut y, &x, &weights, Some(&bias), &transposed);
        compare(&y, &exact, &format!("transposed {conv:?}"));
        let mut two = y.clone();
        conv_transpose(2, &mut two, &x, &weights, Some(&bias), &transposed);
        assert_eq!(bytemuck::cast_slice::<T, u8>(&y), bytemuck::cast_slice::<T, u8>(&two));
    }

    #[test]
    fn convolutions_and_their_transposes_are_those_of_the_definition() {
        let one = [1; 3];
        let cases = [
            // Pointwise.
            (Window::new([1, 5, 9], one, one, one, [0; 3], [0; 3]), 2, 20, 33, 1),
            (Window::new([1, 1, 1], one, one, one, [0; 3], [0; 3]), 1, 64, 10, 1),
            // General, with every kind of padding, stride and dilation.
            (Window::new([1, 9, 10], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 2, 5, 7, 1),
            (Window::new([1, 20, 22], [1, 3, 3], [1, 2, 2], one, [0, 0, 1], [0, 1, 0]), 1, 3, 80, 1),
            (Window::new([1, 8, 9], [1, 2, 3], [1, 3, 1], [1, 2, 2], [0, 3, 0], [0, 0, 4]), 1, 6, 4, 2),
            (Window::new([1, 1, 40], [1, 1, 7], [1, 1, 3], one, [0, 0, 6], [0; 3]), 2, 12, 6, 3),
            (Window::new([1, 1, 30], [1, 1, 9], one, one, [0, 0, 4], [0, 0, 4]), 1, 130, 20, 1),
            (Window::new([4, 5, 6], [2, 3, 2], [1, 2, 1], one, [1, 1, 0], [0, 1, 1]), 1, 3, 4, 1),
            // Depthwise.
            (Window::new([1, 11, 19], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 2, 5, 5, 5),
            (Window::new([1, 11, 40], [1, 5, 3], [1, 2, 2], [1, 1, 2], [0, 2, 1], [0, 2, 1]), 1, 4, 8, 4),
            (Window::new([1, 13, 37], [1, 5, 5], one, one, [0, 2, 2], [0, 2, 2]), 1, 3, 3, 3),
            (Window::new([1, 15, 30], [1, 3, 3], [1, 2, 2], one, [0, 1, 0], [0, 0, 1]), 2, 3, 6, 3),
            (Window::new([1, 14, 15], [1, 5, 5], [1, 2, 2], one, [0, 2, 1], [0, 1, 3]), 1, 4, 4, 4),
            (Window::new([1, 7, 7], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 1, 40, 40, 40),
            (Window::new([1, 7, 16], [1, 5, 5], [1, 2, 2], one, [0, 2, 2], [0, 2, 2]), 1, 20, 20, 20),
            (Window::new([1, 2, 3], [1, 3, 3], one, one, [0, 2, 1], [0, 0, 2]), 1, 3, 3, 3),
            (Window::new([1, 4, 5], [1, 3, 3], one, one, [0, 4, 0], [0, 0, 5]), 1, 3, 3, 3),
            // Few lines.
            (Window::new([1, 1, 40], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 1, 3, 3, 3),
            (Window::new([1, 2, 35], [1, 5, 5], one, one, [0, 2, 2], [0, 2, 2]), 2, 3, 3, 3),
            (Window::new([1, 3, 36], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 1, 2, 2, 2),
            // Planes that are laid out some lines at a time.
            (Window::new([1, 90, 61], [1, 3, 3], one, one, [0, 1, 1], [0, 1, 1]), 1, 2, 2, 2),
            (Window::new([1, 131, 83], [1, 5, 5], [1, 2, 2], one, [0, 2, 2], [0, 2, 2]), 1, 2, 2, 2),
            (Window::new([1, 1, 33], [1, 1, 31], [1, 1, 3], one, [0, 0, 15], [0, 0, 15]), 1, 6, 6, 6),
            (Window::new([5, 6, 7], [3, 3, 3], [2, 1, 1], one, [1, 1, 1], [1, 1, 1]), 1, 3, 3, 3),
        ];
        for (window, batch, in_channels, out_channels, groups) in cases {
            let conv = Conv { window: window.unwrap(), batch, in_channels, out_channels, groups };
            check::<f32, f32>(&conv);
            check::<f16, f16>(&conv);
            check::<f16, f32>(&conv);
        }
    }

    #[test]
    fn planes_that_are_swept_are_the_same_with_all_instructions() {
        for (input, kernel, stride, before, channels) in [
            ([7, 7], 3, 1, [1, 1], 5),
            ([7, 7], 5, 1, [2, 2], 4),
            ([14, 14], 3, 2, [1, 1], 3),
            ([14, 14], 5, 1, [2, 2], 2),
            ([3, 4], 3, 2, [0, 1], 7),
            ([2, 2], 3, 1, [1, 1], 9),
            ([9, 61], 3, 2, [1, 1], 2),
            ([23, 64], 5, 2, [2, 2], 2),
            ([5, 33], 3, 2, [1, 0], 1),
        ] {
            let window = Window::new(
                [1, input[0], input[1]],
                [1, kernel, kernel],
                [1, stride, stride],
                [1; 3],
                [0, before[0], before[1]],
                [0, kernel / 2, kernel / 2],
            );
            let window = window.unwrap();
            let conv =
                Conv { window, batch: 2, in_channels: channels, out_channels: channels, groups: channels };
            let x: Vec<f16> = floats(2 * channels * window.input_len(), 1);
            let weights: Vec<f16> = floats(channels * window.kernel_len(), 2);
            let bias: Vec<f32> = floats(channels, 3);
            let mut direct = vec![f16::ZERO; 2 * channels * window.output_len()];
            by_blocks(1, &mut direct, &x, &weights, Finish::bias(Some(&bias)), &conv);
            simd::with_each(|rank| {
                let mut y = vec![f16::NAN; direct.len()];
                super::conv(1, &mut y, &x, &weights, Finish::bias(Some(&bias)), &conv);
                for (i, (y, direct)) in y.iter().zip(&direct).enumerate() {
                    close(*y, direct.to_f64(), 1e-3, &format!("{rank} {conv:?} {i}"));
                }
            });
        }
    }

    #[test]
    fn padding_far_larger_than_the_input_needs_no_memory() {
        let far = 1 << 40;
        let w =
            Window::new([1, 1, 1], [1, 1, 1], [1, far, far], [1; 3], [0, far, far], [0, far, far]).unwrap();
        let conv = Conv { window: w, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
        let mut y = [9.0f32; 9];
        super::conv(2, &mut y, &[3.0], &[2.0f32], Finish::default(), &conv);
        assert_eq!(y, [0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
