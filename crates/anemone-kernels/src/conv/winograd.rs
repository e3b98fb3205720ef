//! Convolutions with kernels of 3 x 3 by a quarter of the products: `F(4x4, 3x3)` of Winograd.
//!
//! Of 6 x 6 elements of a channel, and of a kernel, 36 numbers each are made that lie apart from those of other channels by
//! nothing but their place; their products are summed over the channels, and of the 36 sums the 4 x 4 results are made. The
//! numbers are values of polynomials at 0, ±√½, ±√2 and infinity. With these points, and not with the usual 0, ±1, ±2, a result is
//! about as near to the exact one as the direct sum: its mean error is twice that of the direct sum, and about a hundredth of
//! what the rounding to a half leaves. So results in halves are computed so, and those in `f32` are not.
//!
//! Where elements are of different magnitude, an error has that of the largest of its tile, also in windows that do not meet it. Let
//! `m` be the sum over the channels of the largest `|x|` of the tile times the largest `|w|` of the kernel. The rows of the three matrices
//! give the bound `(n + 40) · 620 · 2^-24 · m` for sums of at most `n` inputs, 512 of which are added to each other before others are;
//! what tests find, also where sums cancel, is within `40 · 2^-24 · m`, when the direct sum is allowed `9 n · 2^-24 · m`.
//!
//! Kernels are kept as they are, since their 36 numbers would take four times (in `f32` eight times) the memory: they are made
//! again in each run, for a panel of channels and a block of inputs, which takes about as long as reading them would.
//!
//! What is not finite spreads over the 16 results of a tile. Those that come out so are therefore summed again directly.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;
use std::sync::Arc;

use super::Conv;
use crate::Float;
use crate::finish::{Finish, Place};
use crate::gemm::Matrix;
use crate::packed::Packed;
use crate::scratch::{Floats, floats};
use crate::simd::{self, Kernel, MAX_LANES, Simd};
use crate::threads::{Shared, parallel_chunks, parallel_for, parallel_tasks};
use crate::tile::{self, Added, Band, Lines, Panels, panel_width};

/// The results of a tile along a line, and the elements that they read.
const OUT: usize = 4;
const IN: usize = 6;
const POINTS: usize = IN * IN;

/// So many inputs of a panel are multiplied at a time: their numbers stay in the second-level cache.
const DEPTH: usize = 128;

/// So many numbers of tiles are held at a time.
const HELD: usize = 1 << 18;

/// What the places of one point are apart from those of the next beyond what they take, so that not all lie in one set of
/// a cache.
const APART: usize = 16;

/// Whether results in halves are sooner computed so than directly.
pub(super) fn pays(conv: &Conv) -> bool {
    let w = &conv.window;
    if w.kernel != [1, 3, 3] || w.strides[1..] != [1; 2] || w.dilations[1..] != [1; 2] {
        return false;
    }
    let results = w.output_len() as f64;
    let tiles = (w.output[1].div_ceil(OUT) * w.output[2].div_ceil(OUT)) as f64;
    let (inputs, channels) = (conv.group_in() as f64, conv.group_out() as f64);
    let filled = conv.group_out().next_multiple_of(panel_width()) as f64;
    // Instructions that multiply, or that are as long, with vectors of 16.
    let direct = results * 9.0 * inputs * channels / 16.0;
    let products = tiles * POINTS as f64 * inputs * filled / 16.0;
    let made = tiles * inputs * 18.0 + inputs * filled * 9.0 + tiles * filled * 18.0;
    products * 1.1 + made < 0.8 * direct
}

/// How the results fall into tiles, and tiles into segments: as many side by side as fill a vector with results of a line.
#[derive(Clone, Copy)]
struct Tiling {
    /// The lines of results, and the results of a line.
    results: [usize; 2],
    /// The tiles of a line.
    across: usize,
    /// The tiles of a segment, and the segments of a line.
    each: usize,
    segments: usize,
    /// The elements of a line that is laid out.
    line: usize,
    /// From an element to the next: its channels.
    depth: usize,
}

impl Tiling {
    fn of(conv: &Conv) -> Self {
        let [_, height, width] = conv.window.output;
        let (across, each) = (width.div_ceil(OUT), (panel_width() / (2 * OUT)).max(1));
        let (segments, line) = (across.div_ceil(each), across * OUT + IN - OUT);
        let depth = conv.group_in().next_multiple_of(MAX_LANES);
        Self { results: [height, width], across, each, segments, line, depth }
    }

    /// All segments, and all tiles.
    fn all(&self) -> [usize; 2] {
        let down = self.results[0].div_ceil(OUT);
        [down * self.segments, down * self.across]
    }

    /// The tiles before this segment.
    fn before(&self, segment: usize) -> usize {
        segment / self.segments * self.across + segment % self.segments * self.each
    }

    /// The lines that are laid out.
    fn lines(&self) -> usize {
        self.results[0].next_multiple_of(OUT) + IN - OUT
    }
}

/// Computes a convolution that [pays], with weights in panels for each group.
pub(super) fn tiles<T: Float, W: Float>(
    threads: usize,
    y: &Shared<'_, T>,
    x: &[T],
    weights: &[Arc<Packed<W>>],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let tiling = Tiling::of(conv);
    let [segments, tiles] = tiling.all();
    // Several threads have groups of their own, if these are not small.
    let mut groups = (tiles * POINTS * tiling.depth).div_ceil(HELD);
    if tiles / groups.next_multiple_of(threads) >= 24 {
        groups = groups.next_multiple_of(threads);
    }
    let group = segments.div_ceil(groups);
    let groups = segments.div_ceil(group);
    for image in 0..conv.batch * conv.groups {
        let (sample, of) = (image / conv.groups, image % conv.groups);
        let x = &x[(sample * conv.in_channels + of * conv.group_in()) * conv.window.input_len()..];
        let laid_out = lay_out(threads, x, &tiling, conv);
        let start = sample * conv.out_channels + of * conv.group_out();
        let bias = finish.bias.map(|bias| &bias[of * conv.group_out()..][..conv.group_out()]);
        let image = Image {
            x: &laid_out,
            weights: &weights[of],
            y,
            start: start * conv.window.output_len(),
            finish: Finish { bias, ..finish },
            tiling,
        };
        let outer = if groups < threads { 1 } else { threads };
        parallel_for(outer, groups, 1, |tasks| {
            for task in tasks {
                image.compute(threads, task * group..segments.min((task + 1) * group));
            }
        });
    }
}

/// Writes the elements of all channels side by side, in lines that tiles fill, with zeros around.
fn lay_out<T: Float>(threads: usize, x: &[T], tiling: &Tiling, conv: &Conv) -> Floats {
    let ([_, height, width], before) = (conv.window.input, conv.window.before);
    let (line, channels) = (tiling.line * tiling.depth, conv.group_in());
    let mut to = floats(tiling.lines() * line);
    parallel_chunks(threads, &mut to, line, (1 << 14) / line + 1, |i, to| {
        to.fill(0.0);
        if let Some(i) = i.checked_sub(before[1]).filter(|&i| i < height) {
            // Windows that were put together by hand may read less than a line.
            let room = tiling.line.saturating_sub(before[2]).min(width);
            let from = Matrix::strided(&x[i * width..], room, channels, 1, height * width);
            tile::write(&mut to[(tiling.line - room).min(before[2]) * tiling.depth..], tiling.depth, from);
        }
    });
    to
}

/// One group of one input.
struct Image<'a, T, W> {
    /// What [`lay_out`] has written.
    x: &'a [f32],
    weights: &'a Packed<W>,
    y: &'a Shared<'a, T>,
    /// Where its first result lies.
    start: usize,
    finish: Finish<'a, T>,
    tiling: Tiling,
}

impl<T: Float, W: Float> Image<'_, T, W> {
    /// The results of some segments.
    fn compute(&self, threads: usize, segments: Range<usize>) {
        let (depth, width, inputs) = (self.tiling.depth, panel_width(), self.weights.inputs() / 9);
        let first = self.tiling.before(segments.start);
        let count = self.tiling.before(segments.end) - first;
        // A single row would be summed in another order than one among others.
        let rows = count.next_multiple_of(2);
        let stride = rows * depth + APART;
        let mut made = floats(POINTS * stride);
        let all = Shared::new(&mut made);
        parallel_for(threads, count, (1 << 12) / depth + 1, |tiles| {
            simd::dispatch(Inputs { to: &all, stride, x: self.x, tiling: self.tiling, first, tiles });
        });
        parallel_tasks(threads, self.weights.outputs().div_ceil(width), |panels| {
            let block = DEPTH.min(inputs);
            let kernel = block * width + APART;
            let mut kernels = floats(POINTS * kernel);
            let place = rows * width + APART;
            let mut sums = floats(POINTS * place);
            for panel in panels {
                let weights = self.weights.panels(panel..panel + 1);
                sums.fill(0.0);
                for from in (0..inputs).step_by(block) {
                    let block = block.min(inputs - from);
                    let part = &weights[from * 9 * width..][..block * 9 * width];
                    simd::dispatch(Kernels { to: &mut kernels, stride: kernel, from: part });
                    let points = sums.chunks_exact_mut(place).zip(kernels.chunks_exact(kernel));
                    for (i, (sums, kernels)) in points.enumerate() {
                        let x = Lines { data: &made[i * stride + from..], stride: depth };
                        let panels = Panels::written(kernels, block, width, width);
                        let ends = Added { sums, stride: width, columns: width };
                        simd::dispatch(Band { x, rows, inputs: block, panels, ends });
                    }
                }
                let segments = segments.clone();
                simd::dispatch(Results { image: self, panel, sums: &sums, stride: place, first, segments });
            }
        });
    }

    /// Sums again what is not finite of some results of a line: for each so many lanes, of which the first are channels from one on.
    #[cold]
    fn mend(&self, sums: &mut [f32], lanes: usize, channels: Range<usize>, [line, first]: [usize; 2]) {
        let (depth, width) = (self.tiling.depth, panel_width());
        for (i, sums) in sums.chunks_exact_mut(lanes).enumerate() {
            for (channel, sum) in channels.clone().zip(sums).filter(|(_, sum)| !sum.is_finite()) {
                let panel = self.weights.panels(channel / width..channel / width + 1);
                *sum = 0.0;
                for (k, weights) in panel.chunks_exact(width).enumerate() {
                    let (input, tap) = (k / 9, k % 9);
                    let place = (line + tap / 3) * self.tiling.line + first + i + tap % 3;
                    *sum += self.x[place * depth + input] * weights[channel % width].to_f32();
                }
            }
        }
    }
}

/// Makes the numbers of some tiles.
struct Inputs<'a> {
    to: &'a Shared<'a, f32>,
    /// From a point to the next.
    stride: usize,
    x: &'a [f32],
    tiling: Tiling,
    /// The first tile that is held.
    first: usize,
    tiles: Range<usize>,
}

impl Kernel for Inputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { to, stride, x, tiling: Tiling { across, line, depth, .. }, first, tiles } = self;
        for tile in tiles {
            let (down, right) = ((first + tile) / across, (first + tile) % across);
            let x = &x[(down * line + right) * OUT * depth..][..((IN - 1) * line + IN) * depth];
            for channel in (0..depth).step_by(S::LANES) {
                let mut half = [[simd.splat(0.0); IN]; IN];
                for j in 0..IN {
                    let mut d = [simd.splat(0.0); IN];
                    for (i, d) in d.iter_mut().enumerate() {
                        *d = simd.load(&x[(i * line + j) * depth + channel..]);
                    }
                    let d = of_inputs(simd, d);
                    for i in 0..IN {
                        half[i][j] = d[i];
                    }
                }
                for (i, half) in half.into_iter().enumerate() {
                    for (j, v) in of_inputs(simd, half).into_iter().enumerate() {
                        let at = (i * IN + j) * stride + tile * depth + channel;
                        // SAFETY: a tile is in one task only.
                        simd.store(unsafe { to.slice(at..at + S::LANES) }, v);
                    }
                }
            }
        }
    }
}

/// Makes the numbers of the kernels of some inputs with a panel of channels.
struct Kernels<'a, W> {
    to: &'a mut [f32],
    stride: usize,
    from: &'a [W],
}

impl<W: Float> Kernel for Kernels<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = 2 * S::LANES;
        for (input, from) in self.from.chunks_exact(9 * width).enumerate() {
            for part in [0, S::LANES] {
                let mut half = [[simd.splat(0.0); 3]; IN];
                for j in 0..3 {
                    let mut g = [simd.splat(0.0); 3];
                    for (i, g) in g.iter_mut().enumerate() {
                        *g = W::load(simd, &from[(i * 3 + j) * width + part..]);
                    }
                    let g = of_kernel(simd, g);
                    for i in 0..IN {
                        half[i][j] = g[i];
                    }
                }
                for (i, half) in half.into_iter().enumerate() {
                    for (j, v) in of_kernel(simd, half).into_iter().enumerate() {
                        simd.store(&mut self.to[(i * IN + j) * self.stride + input * width + part..], v);
                    }
                }
            }
        }
    }
}

/// Makes results of sums, and writes them.
struct Results<'a, 'b, T, W> {
    image: &'a Image<'b, T, W>,
    panel: usize,
    sums: &'a [f32],
    stride: usize,
    first: usize,
    segments: Range<usize>,
}

impl<T: Float, W: Float> Kernel for Results<'_, '_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { image, panel, sums, stride, first, segments } = self;
        let tiling = &image.tiling;
        let [height, width] = tiling.results;
        for segment in segments {
            let (down, right) =
                (segment / tiling.segments * OUT, segment % tiling.segments * tiling.each * OUT);
            let tile = tiling.before(segment) - first;
            let count = tiling.each.min(tiling.across - right / OUT);
            let len = S::LANES.min(width - right);
            for part in [0, S::LANES] {
                let channel = 2 * panel * S::LANES + part;
                let channels = image.weights.outputs().saturating_sub(channel).min(S::LANES);
                if channels == 0 {
                    break;
                }
                let mut lines = [[[simd.splat(0.0)]; MAX_LANES]; OUT];
                for k in 0..count {
                    let at = (tile + k) * 2 * S::LANES + part;
                    let mut half = [[simd.splat(0.0); IN]; OUT];
                    for j in 0..IN {
                        let mut m = [simd.splat(0.0); IN];
                        for (i, m) in m.iter_mut().enumerate() {
                            *m = simd.load(&sums[(i * IN + j) * stride + at..]);
                        }
                        let m = of_sums(simd, m);
                        for i in 0..OUT {
                            half[i][j] = m[i];
                        }
                    }
                    for (line, half) in lines.iter_mut().zip(half) {
                        for (j, v) in of_sums(simd, half).into_iter().enumerate() {
                            line[k * OUT + j] = [v];
                        }
                    }
                }
                // Zero, unless one of them is not finite.
                let mut finite = simd.splat(0.0);
                for line in &lines {
                    for v in line {
                        finite = simd.mul_add(v[0], simd.splat(0.0), finite);
                    }
                }
                let finite = simd.sum(finite) == 0.0;
                let bias = match image.finish.bias {
                    Some(bias) => simd.load_some(&bias[channel..][..channels]),
                    None => simd.splat(0.0),
                };
                for (i, line) in lines.iter_mut().enumerate().take(height - down) {
                    if !finite {
                        let mut sums = [0.0; MAX_LANES * MAX_LANES];
                        for (v, sums) in line[..len].iter().zip(sums.chunks_exact_mut(S::LANES)) {
                            simd.store(sums, v[0]);
                        }
                        let some = &mut sums[..len * S::LANES];
                        image.mend(some, S::LANES, channel..channel + channels, [down + i, right]);
                        for (v, sums) in line[..len].iter_mut().zip(sums.chunks_exact(S::LANES)) {
                            v[0] = simd.load(sums);
                        }
                    }
                    for v in line.iter_mut() {
                        v[0] = simd.add(bias, v[0]);
                    }
                    simd.transpose(line[..S::LANES].as_flattened_mut());
                    let at = image.start + (channel * height + down + i) * width + right;
                    let place = Place { at, stride: height * width, count: channels, len };
                    // SAFETY: a segment and a channel are in one task only.
                    unsafe { image.finish.rows(simd, image.y, *line, place) };
                }
            }
        }
    }
}

/// The values of a line of six elements at the points.
#[inline(always)]
fn of_inputs<S: Simd>(simd: S, d: [S::V; IN]) -> [S::V; IN] {
    let (near, far) = (simd.splat(FRAC_1_SQRT_2), simd.splat(SQRT_2));
    let (minus_near, minus_far) = (simd.splat(-FRAC_1_SQRT_2), simd.splat(-SQRT_2));
    let (half, two, more) = (simd.splat(-0.5), simd.splat(-2.0), simd.splat(-2.5));
    let even = [simd.mul_add(two, d[2], d[4]), simd.mul_add(half, d[2], d[4])];
    let odd = [simd.mul_add(half, d[3], d[1]), simd.mul_add(two, d[3], d[1])];
    [
        simd.add(simd.mul_add(more, d[2], d[0]), d[4]),
        simd.mul_add(minus_far, odd[0], even[0]),
        simd.mul_add(far, odd[0], even[0]),
        simd.mul_add(minus_near, odd[1], even[1]),
        simd.mul_add(near, odd[1], even[1]),
        simd.add(simd.mul_add(more, d[3], d[1]), d[5]),
    ]
}

/// The values of a line of three weights at the points, over what each point's polynomial has there.
#[inline(always)]
fn of_kernel<S: Simd>(simd: S, g: [S::V; 3]) -> [S::V; IN] {
    let zero = simd.splat(0.0);
    let near = simd.mul_add(simd.splat(-1.0 / 3.0), g[2], simd.mul_add(simd.splat(-2.0 / 3.0), g[0], zero));
    let far = simd.mul_add(simd.splat(1.0 / 3.0), g[2], simd.mul_add(simd.splat(1.0 / 6.0), g[0], zero));
    [
        g[0],
        simd.mul_add(simd.splat(-2.0 / 3.0 * FRAC_1_SQRT_2), g[1], near),
        simd.mul_add(simd.splat(2.0 / 3.0 * FRAC_1_SQRT_2), g[1], near),
        simd.mul_add(simd.splat(SQRT_2 / 6.0), g[1], far),
        simd.mul_add(simd.splat(-SQRT_2 / 6.0), g[1], far),
        g[2],
    ]
}

/// A line of four results of the sums at the points.
#[inline(always)]
fn of_sums<S: Simd>(simd: S, m: [S::V; IN]) -> [S::V; OUT] {
    let (zero, minus) = (simd.splat(0.0), simd.splat(-1.0));
    let sums = [simd.add(m[1], m[2]), simd.add(m[3], m[4])];
    let differences = [simd.mul_add(minus, m[2], m[1]), simd.mul_add(minus, m[4], m[3])];
    let odd = simd.mul_add(simd.splat(2.0), differences[1], differences[0]);
    let even = simd.mul_add(simd.splat(4.0), sums[1], sums[0]);
    let cubic = simd.mul_add(simd.splat(8.0), differences[1], differences[0]);
    [
        simd.add(m[0], simd.add(sums[0], sums[1])),
        simd.mul_add(simd.splat(FRAC_1_SQRT_2), odd, zero),
        simd.mul_add(simd.splat(0.5), even, zero),
        simd.mul_add(simd.splat(0.5 * FRAC_1_SQRT_2), cubic, m[5]),
    ]
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::Window;
    use crate::conv::{ConvWeights, conv_tiles};
    use crate::finish::Stage;
    use crate::math::Unary;
    use crate::testing;

    /// The exact results, and for each the sum over the channels of the largest element of its tile times the largest weight.
    fn exact(x: &[f16], weights: &[f16], bias: &[f32], conv: &Conv) -> Vec<[f64; 2]> {
        let (w, group_in) = (&conv.window, conv.group_in());
        let mut results = Vec::new();
        for plane in 0..conv.batch * conv.out_channels {
            let (n, channel) = (plane / conv.out_channels, plane % conv.out_channels);
            let first = n * conv.in_channels + channel / conv.group_out() * group_in;
            let kernels = &weights[channel * group_in * 9..][..group_in * 9];
            for at in 0..w.output_len() {
                let [line, column] = [at / w.output[2], at % w.output[2]];
                let [mut sum, mut size] = [f64::from(bias[channel]), 0.0];
                for (c, kernel) in kernels.chunks(9).enumerate() {
                    let x = &x[(first + c) * w.input_len()..][..w.input_len()];
                    let element = |i: usize, j: usize| {
                        let (i, j) = (i.checked_sub(w.before[1])?, j.checked_sub(w.before[2])?);
                        (i < w.input[1] && j < w.input[2]).then(|| x[i * w.input[2] + j].to_f64())
                    };
                    for (tap, weight) in kernel.iter().enumerate() {
                        if let Some(x) = element(line + tap / 3, column + tap % 3) {
                            sum += x * weight.to_f64();
                        }
                    }
                    let places =
                        (0..POINTS).map(|i| [line / OUT * OUT + i / IN, column / OUT * OUT + i % IN]);
                    let tile =
                        places.filter_map(|[i, j]| element(i, j)).fold(0.0, |m, x| f64::max(m, x.abs()));
                    size += tile * kernel.iter().fold(0.0, |m, w| f64::max(m, w.to_f64().abs()));
                }
                results.push([sum, size]);
            }
        }
        results
    }

    /// What is computed, with the bits that any number of threads gives.
    fn computed(x: &[f16], weights: &[f16], finish: Finish<'_, f16>, conv: &Conv) -> Vec<f16> {
        assert!(pays(conv), "{conv:?}");
        let ready = ConvWeights::new::<f16>(weights, conv);
        let [one, other] = [1, 3].map(|threads| {
            let mut y = vec![f16::NAN; conv.batch * conv.out_channels * conv.window.output_len()];
            conv_tiles(threads, &mut y, x, &ready, finish, conv);
            y
        });
        assert!(one.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits()), "{conv:?}");
        one
    }

    fn conv_of(
        plane: [usize; 2],
        [before, after]: [[usize; 2]; 2],
        channels: [usize; 2],
        groups: usize,
    ) -> Conv {
        let pads = [before, after].map(|[h, w]| [0, h, w]);
        let window =
            Window::new([1, plane[0], plane[1]], [1, 3, 3], [1; 3], [1; 3], pads[0], pads[1]).unwrap();
        Conv { window, batch: 2, in_channels: channels[0], out_channels: channels[1], groups }
    }

    /// How far results may be from the exact ones before they are rounded, over what [`exact`] gives.
    const BOUND: f64 = 40.0 / (1 << 24) as f64;

    /// Sums that are hard: of terms that cancel, of elements of all magnitudes, and of the largest and smallest halves.
    #[test]
    fn hard_sums_are_as_near_as_is_said() {
        let conv = conv_of([12, 22], [[1; 2]; 2], [32, 48], 1);
        let (inputs, count) = (conv.window.input_len(), conv.window.input_len() * 64);
        let (numbers, factors) = (testing::floats::<f32>(count, 5), testing::floats::<f32>(48 * 32 * 9, 6));
        type Of<'a> = &'a dyn Fn(usize) -> f32;
        let plain: [Of<'_>; 2] = [&|i| numbers[i], &|i| factors[i]];
        let pairs: [Of<'_>; 2] = [&|i| 3e4 * numbers[i / inputs / 2 * 2 * inputs + i % inputs], &|i| {
            factors[i / 18 * 18 + i % 9] * if i / 9 % 2 == 0 { 1.0 } else { -1.0 }
        }];
        let cases: [(&str, [Of<'_>; 2]); 8] = [
            ("channels that cancel each other", pairs),
            (
                "kernels whose weights sum to nothing",
                [&|i| 300.0 + 4.0 * numbers[i], &|i| {
                    [1.0, -2.0, 1.0, -2.0, 4.0, -2.0, 1.0, -2.0, 1.0][i % 9]
                }],
            ),
            (
                "large elements beside small ones",
                [&|i| numbers[i] * if i % 37 == 0 { 6.5e3 } else { 1e-3 }, plain[1]],
            ),
            ("all magnitudes", [&|i| numbers[i] * 2f32.powi(i as i32 % 39 - 26), plain[1]]),
            (
                "all magnitudes of weights",
                [&|i| 1e-4 * numbers[i], &|i| factors[i] * 2f32.powi(i as i32 * 7 % 39 - 24)],
            ),
            ("elements below the normal ones", [&|i| 6e-5 * numbers[i], plain[1]]),
            ("weights below the normal ones", [plain[0], &|i| 6e-5 * factors[i]]),
            ("the largest weights", [&|i| 1e-5 * numbers[i], &|i| 65504f32.copysign(factors[i])]),
        ];
        for (name, [x, weight]) in cases {
            let x: Vec<f16> = (0..count).map(|i| f16::from_f32(x(i))).collect();
            let weights: Vec<f16> = (0..factors.len()).map(|i| f16::from_f32(weight(i))).collect();
            let exact = exact(&x, &weights, &[0.0; 48], &conv);
            for (i, (y, [exact, size])) in
                computed(&x, &weights, Finish::default(), &conv).into_iter().zip(exact).enumerate()
            {
                testing::close(y, exact, BOUND * size, &format!("{name}: {i}"));
            }
        }
    }

    #[test]
    fn every_processor_gives_results_as_near_as_is_said() {
        for (plane, channels) in [([13, 35], [24, 40]), ([7, 7], [40, 64])] {
            let conv = conv_of(plane, [[1; 2]; 2], channels, 1);
            let x = testing::floats::<f16>(2 * conv.in_channels * conv.window.input_len(), 1);
            let weights = testing::floats::<f16>(conv.out_channels * conv.group_in() * 9, 2);
            let exact = exact(&x, &weights, &vec![0.0; channels[1]], &conv);
            simd::with_each(|rank| {
                let ready = [Arc::new(Packed::new(&weights, channels[1]))];
                let mut y = vec![f16::NAN; exact.len()];
                tiles(1, &Shared::new(&mut y), &x, &ready, Finish::default(), &conv);
                for (i, (&y, &[exact, size])) in y.iter().zip(&exact).enumerate() {
                    testing::close(y, exact, BOUND * size, &format!("{conv:?} with {rank}: {i}"));
                }
            });
        }
    }

    #[test]
    fn windows_that_were_put_together_by_hand_read_what_they_say() {
        for (output, before) in
            [([12, 17], [1, 1]), ([21, 30], [1, 1]), ([12, 16], [40, 3]), ([12, 16], [0, 30])]
        {
            let mut conv = conv_of([16, 20], [[1; 2]; 2], [32, 32], 1);
            conv.window.output = [1, output[0], output[1]];
            conv.window.before = [0, before[0], before[1]];
            let x = testing::floats::<f16>(2 * conv.in_channels * conv.window.input_len(), 1);
            let weights = testing::floats::<f16>(conv.out_channels * conv.group_in() * 9, 2);
            let y = computed(&x, &weights, Finish::default(), &conv);
            for (i, (y, [exact, size])) in
                y.into_iter().zip(exact(&x, &weights, &[0.0; 32], &conv)).enumerate()
            {
                testing::close(y, exact, BOUND * (size + 1.0), &format!("{conv:?}: {i}"));
            }
        }
    }

    #[test]
    fn results_are_as_near_as_is_said() {
        for (plane, pads, channels, groups) in [
            ([16, 16], [[1; 2]; 2], [16, 32], 1),
            ([7, 7], [[1; 2]; 2], [40, 64], 1),
            ([13, 35], [[0, 2], [1, 0]], [24, 40], 1),
            ([11, 14], [[0; 2]; 2], [150, 60], 1),
            ([21, 12], [[1; 2]; 2], [64, 64], 2),
            ([60, 61], [[1; 2]; 2], [32, 32], 1),
        ] {
            let conv = conv_of(plane, pads, channels, groups);
            let x = testing::floats::<f16>(2 * conv.in_channels * conv.window.input_len(), 1);
            let weights = testing::floats::<f16>(conv.out_channels * conv.group_in() * 9, 2);
            let bias = testing::floats::<f32>(conv.out_channels, 3);
            let exact = exact(&x, &weights, &bias, &conv);
            let y = computed(&x, &weights, Finish::bias(Some(&bias)), &conv);
            for (i, (&y, [exact, size])) in y.iter().zip(exact).enumerate() {
                testing::close(y, exact, BOUND * (size + 1.0), &format!("{conv:?}: {i}"));
            }
            let residual = testing::floats::<f16>(y.len(), 4);
            let add = Stage::Binary { f: crate::binary::Binary::Add, other: &residual, swapped: false };
            let stages = [add, Stage::Unary(Unary::Relu)];
            let staged = computed(&x, &weights, Finish { bias: Some(&bias), stages: &stages }, &conv);
            for ((&staged, &y), &residual) in staged.iter().zip(&y).zip(&residual) {
                let sum = f16::from_f32(y.to_f32() + residual.to_f32()).to_f32();
                assert_eq!(staged, f16::from_f32(sum.max(0.0)), "{conv:?}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_in_its_windows() {
        let conv = conv_of([12, 18], [[1; 2]; 2], [16, 48], 1);
        let mut x = testing::floats::<f16>(2 * conv.in_channels * conv.window.input_len(), 1);
        let weights = testing::floats::<f16>(conv.out_channels * conv.group_in() * 9, 2);
        for (at, v) in [(40, f16::INFINITY), (301, f16::NEG_INFINITY), (1000, f16::NAN), (4000, f16::MAX)] {
            x[at] = v;
        }
        let exact = exact(&x, &weights, &[0.0; 48], &conv);
        let y = computed(&x, &weights, Finish::default(), &conv);
        assert!(y.iter().any(|y| y.is_nan()) && y.contains(&f16::INFINITY) && y.contains(&f16::NEG_INFINITY));
        for (i, (y, [exact, size])) in y.into_iter().zip(exact).enumerate() {
            let bound = if size.is_finite() { BOUND * size } else { 1e-3 };
            testing::close(y, exact, bound, &format!("{i}"));
        }
    }
}
