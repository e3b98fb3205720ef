//! Convolutions of planes with weights that were made ready once, as products of matrices that are never written out.
//!
//! Large planes are columns: a panel is so many windows side by side, for each tap of each channel the elements that the
//! windows read there, and meets all rows of weights. Of small planes the windows are rows, which meet panels of weights:
//! those are then read once, and no column is empty. Sums are the same either way, but for a single row. Kernels of 3 x 3
//! may have a way of their own, with fewer products: `winograd`.

use std::iter::StepBy;
use std::ops::Range;
use std::slice::Iter;
use std::sync::Arc;

use macro_rules_attribute::apply;

use crate::Float;
use crate::compiled::compiled_here;
use crate::finish::Finish;
use crate::gemm::Bias;
use crate::packed::{self, Packed};
use crate::scratch::floats;
use crate::simd;
use crate::threads::{Shared, parallel_for, parallel_tasks};
use crate::tile::{
    Band, Bands, Blocks, GROUP, Panels, Parts, Rounded, TILE_ROWS, Transposed, panel_width, tile_rows,
};

use super::windows::Windows;
use super::{Conv, SMALL_PLANE, winograd};

/// The weights of a convolution, as they are read.
///
/// ```
/// use anemone_kernels::conv::{Conv, ConvWeights, conv_tiles, fits_tiles};
/// use anemone_kernels::{Window, finish::Finish};
/// let window = Window::new([1, 2, 2], [1; 3], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
/// let sizes = Conv { window, batch: 1, in_channels: 1, out_channels: 8, groups: 1 };
/// assert!(fits_tiles(&sizes));
/// let weights = ConvWeights::new::<f32>(&[2.0f32; 8], &sizes);
/// let mut y = [0.0f32; 32];
/// conv_tiles(1, &mut y, &[1.0, 2.0, 3.0, 4.0], &weights, Finish::default(), &sizes);
/// assert_eq!(y[28..], [2.0, 4.0, 6.0, 8.0]);
/// ```
#[derive(Debug)]
pub struct ConvWeights<W> {
    form: Form<W>,
    /// Whether the panels are for Winograd's way.
    winograd: bool,
}

#[derive(Debug)]
enum Form<W> {
    /// Rows of weights for panels of windows, in [`Blocks`]: those of each group by themselves.
    Blocks(Arc<Rows<W>>),
    /// Panels of weights for rows of windows, for each group.
    Panels(Vec<Arc<Packed<W>>>),
}

/// The weights of each group in the order in which tiles of outputs read them: input after input, each of all outputs of
/// the tile.
#[derive(Debug)]
struct Rows<W>(Vec<W>);

impl<W: Float> Rows<W> {
    /// Those of some outputs of each group; packed once, however many have the same weights.
    fn shared(weights: &[W], inputs: usize, rows: usize) -> Arc<Self> {
        let holds = |kept: &Self| {
            let mut left = &kept.0[..];
            Self::runs(weights, inputs, rows).all(|run| {
                let (own, rest) = left.split_at(run.len());
                left = rest;
                run.zip(own).all(|(a, b)| bytemuck::bytes_of(a) == bytemuck::bytes_of(b))
            })
        };
        let make = || {
            let mut lines = Vec::with_capacity(weights.len());
            Self::runs(weights, inputs, rows).for_each(|run| lines.extend(run));
            Self(lines)
        };
        packed::shared(weights, rows, holds, make)
    }

    /// The weights of one input and all outputs of a tile, run after run.
    fn runs(weights: &[W], inputs: usize, rows: usize) -> impl Iterator<Item = StepBy<Iter<'_, W>>> {
        let groups = weights.chunks(rows.saturating_mul(inputs).max(1));
        groups.flat_map(move |group| {
            tile_rows(rows).flat_map(move |tile| {
                let lines = &group[tile.start * inputs..tile.end * inputs];
                (0..inputs).map(move |k| lines[k..].iter().step_by(inputs))
            })
        })
    }
}

impl<W: Float> ConvWeights<W> {
    /// Makes the weights `[out, in / groups, kernel]` of a convolution ready whose results are of type `T`. Halves may be
    /// computed by fewer products than numbers of 32 bits. What somebody in this process has made of the same weights is
    /// shared.
    ///
    /// # Panics
    ///
    /// When there is not a weight for each product.
    pub fn new<T: Float>(weights: &[W], conv: &Conv) -> Self {
        let (inputs, rows) = (conv.group_in() * conv.window.kernel_len(), conv.group_out());
        assert_eq!(
            Some(weights.len()),
            inputs.checked_mul(conv.out_channels),
            "there is a weight for each product"
        );
        let groups = weights.chunks(rows.saturating_mul(inputs).max(1));
        // Rounding to halves leaves far more than what Winograd's way loses.
        let winograd = T::as_f32s(&[]).is_none() && winograd::pays(conv);
        if winograd || windows_are_rows(conv) {
            let form = Form::Panels(groups.map(|group| Packed::shared(group, rows)).collect());
            return Self { form, winograd };
        }
        Self { form: Form::Blocks(Rows::shared(weights, inputs, rows)), winograd }
    }
}

/// Whether windows are better taken as rows, by the tiles that either way has, and what else it does.
fn windows_are_rows(conv: &Conv) -> bool {
    let (windows, inputs) = (conv.window.output_len(), conv.group_in() * conv.window.kernel_len());
    let width = panel_width();
    // In cycles: each tile takes one for each of its rows and elements, and some to end.
    let tiles = |rows: usize, columns: usize, end: usize| {
        let each = (rows * inputs) as f64 + (rows.div_ceil(TILE_ROWS) * end) as f64;
        columns.div_ceil(width) as f64 * each
    };
    let channels = conv.group_out();
    // Weights are widened, for some panels at a time.
    let passes = windows.div_ceil(width).div_ceil((GROUP / (inputs * width).max(1)).max(1));
    let widened = |passes: usize| (passes * channels * inputs) as f64 / 10.0;
    let as_columns = tiles(channels, windows, 60) + widened(passes);
    windows <= SMALL_PLANE && tiles(windows, channels, 300) + widened(1) < as_columns
}

/// Whether [`conv_tiles`] computes it: a convolution of planes, with enough output channels in each group for a panel to
/// be worth its making.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, fits_tiles}};
/// let window = Window::new([1, 8, 8], [1, 3, 3], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
/// let sizes = Conv { window, batch: 1, in_channels: 16, out_channels: 16, groups: 1 };
/// assert!(fits_tiles(&sizes) && !fits_tiles(&Conv { groups: 16, ..sizes }), "each channel by itself is another way");
/// ```
pub fn fits_tiles(conv: &Conv) -> bool {
    let w = &conv.window;
    let planes = w.kernel[0] == 1 && w.input[0] == 1 && w.output[0] == 1 && w.before[0] == 0;
    planes && conv.group_out() >= 8 && Windows::fit(w)
}

/// Computes the convolution of planes, each result with the bias of its channel, rounded, and put through stages.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, ConvWeights, conv_tiles}};
/// use anemone_kernels::{finish::{Finish, Stage}, math::Unary};
/// let window = Window::new([1, 1, 4], [1, 1, 3], [1; 3], [1; 3], [0, 0, 1], [0, 0, 1]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let weights = ConvWeights::new::<f32>(&[1.0f32, 0.0, -1.0], &c);
/// let mut y = [0.0f32; 4];
/// let finish = Finish { bias: Some(&[1.5]), stages: &[Stage::Unary(Unary::Relu)] };
/// conv_tiles(1, &mut y, &[1.0, 2.0, 3.0, 4.0], &weights, finish, &c);
/// assert_eq!(y, [0.0, 0.0, 0.0, 4.5]);
/// ```
///
/// # Panics
///
/// As [`conv`](super::conv), when the convolution is one of volumes, and when the weights are those of another one.
#[apply(compiled_here)]
pub fn conv_tiles<T: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &ConvWeights<W>,
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let w = &conv.window;
    assert!(w.input[0] == 1 && w.kernel[0] == 1 && w.output[0] == 1, "the convolution is one of planes");
    let weight_count = match &weights.form {
        Form::Blocks(rows) => rows.0.len(),
        Form::Panels(groups) => groups.iter().map(|packed| packed.inputs() * packed.outputs()).sum(),
    };
    let lengths = [x.len(), y.len(), weight_count];
    conv.check(w.input_len(), w.output_len(), lengths, [conv.out_channels, conv.group_in()], finish.bias);
    finish.check(y.len());
    if y.is_empty() || conv.group_in() == 0 {
        return bare(y, finish, conv);
    }
    let threads = conv.threads(threads);
    if let (true, Form::Panels(groups)) = (weights.winograd, &weights.form) {
        assert!(winograd::pays(conv), "the weights are those of this convolution");
        let (own, left) = finish.split();
        winograd::tiles(threads, &Shared::new(&mut *y), x, groups, own, conv);
        if left {
            finish.after(threads, y);
        }
        return;
    }
    let windows = Windows::new(conv);
    if windows.as_they_are() {
        return products(threads, y, x, &windows, weights, finish, conv);
    }
    let padded = windows.lay_out(threads, x, conv);
    products(threads, y, &padded[..], &windows, weights, finish, conv);
}

/// The results of a convolution without input channels.
fn bare<T: Float>(y: &mut [T], finish: Finish<'_, T>, conv: &Conv) {
    let len = conv.window.output_len().max(1);
    for (i, y) in y.chunks_mut(len).enumerate() {
        let mut sums = vec![finish.bias.map_or(0.0, |b| b[i % conv.out_channels]); y.len()];
        finish.write(y, &mut sums, i * len);
    }
}

/// The convolution of planes that are laid out.
fn products<T: Float, X: Float, W: Float>(
    threads: usize,
    y: &mut [T],
    x: &[X],
    windows: &Windows,
    weights: &ConvWeights<W>,
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let whole = finish;
    let (finish, left) = whole.split();
    let results = Shared::new(&mut *y);
    match &weights.form {
        Form::Blocks(rows) => as_columns(threads, &results, x, windows, &rows.0, finish, conv),
        Form::Panels(groups) => as_rows(threads, &results, x, windows, groups, finish, conv),
    }
    if left {
        whole.after(threads, y);
    }
}

/// How many weights are widened at a time, if rows have no more of them: so many that they stay in the caches beside panels.
const WIDENED: usize = 1 << 14;

/// Elements that at most so many rows meet are sooner widened again for each tile than written as panels.
const IN_PLACE: usize = 4 * TILE_ROWS;

/// Panels of windows, met by all rows of weights.
fn as_columns<T: Float, X: Float, W: Float>(
    threads: usize,
    y: &Shared<'_, T>,
    x: &[X],
    windows: &Windows,
    weights: &[W],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let (width, outputs, inputs) = (panel_width(), conv.window.output_len(), windows.taps());
    let channels = conv.group_out();
    let count = outputs.div_ceil(width);
    let images = conv.batch * conv.groups;
    // As many panels at a time as can be held: results are then written in longer parts.
    let rows =
        (WIDENED / inputs / TILE_ROWS * TILE_ROWS).clamp(TILE_ROWS, channels.next_multiple_of(TILE_ROWS));
    let held = if rows >= channels { GROUP / 4 } else { GROUP };
    let group = (held / (inputs * width)).max(1);
    // Several threads have a few tasks each. Of a small plane each writes its windows anew, and has channels of its own if there
    // are enough: their weights it then widens once. Of a large one it has windows of its own.
    let enough = if threads > 1 { threads.saturating_mul(2) } else { 1 };
    let by_channels = outputs <= SMALL_PLANE && channels / (4 * TILE_ROWS) >= threads;
    let across = if by_channels { 1 } else { enough };
    let group = group.min((images * count).div_ceil(across)).min(count);
    let groups = count.div_ceil(group);
    let groups = if by_channels { groups } else { groups.next_multiple_of(threads.max(1)).min(count) };
    // Groups differ by one panel at most, so that threads have as much to do.
    let (group, border) = (count.div_ceil(groups), |group: usize| group * count / groups);
    let parts = enough.div_ceil(images * groups).min(channels.div_ceil(4 * TILE_ROWS));
    let parts = Parts::of(channels, channels.div_ceil(parts).next_multiple_of(TILE_ROWS));
    let in_place = conv.window.is_pointwise() && channels <= IN_PLACE;
    parallel_tasks(threads, images * groups * parts.count, |tasks| {
        let mut panels = floats(group * inputs * width);
        let mut wide =
            floats(if W::as_f32s(&[]).is_none() { Parts::of(channels, rows).most() * inputs } else { 0 });
        let (mut held, mut widened) = (None, None);
        for task in tasks {
            let (image, at) = (task / (groups * parts.count), task / parts.count % groups);
            let (sample, in_group) = (image / conv.groups, image % conv.groups);
            let (part, at, taken) =
                (parts.range(task % parts.count), border(at), border(at + 1) - border(at));
            let x = &x[(sample * conv.in_channels + in_group * conv.group_in()) * windows.plane()..];
            let end = outputs.min((at + taken) * width);
            // What windows of a single element read lies side by side already, but for the last panel.
            let whole = if in_place { end / width - at } else { 0 };
            if whole < taken && held != Some((image, at)) {
                let len = (taken - whole) * inputs * width;
                windows.fill(&mut panels[..len], width, x, (at + whole) * width..end);
                held = Some((image, at));
            }
            let steps = Parts::of(part.len(), rows);
            for step in (0..steps.count).map(|at| steps.range(at)) {
                let taken = step.len();
                let channel = in_group * channels + part.start + step.start;
                let blocks = &weights[channel * inputs..][..taken * inputs];
                let blocks = W::as_f32s(blocks).unwrap_or_else(|| {
                    if widened != Some(channel) {
                        W::widen(&mut wide[..blocks.len()], blocks);
                        widened = Some(channel);
                    }
                    &wide[..blocks.len()]
                });
                let bias = finish.bias.map_or(Bias::None, |bias| Bias::Rows(&bias[channel..]));
                // SAFETY: a window and a channel are in one task only.
                let ends = |from: usize, to: usize| unsafe {
                    let start = (sample * conv.out_channels + channel) * outputs + from;
                    Rounded::new(y, start, outputs, to - from, bias, finish.stages)
                };
                let (x_rows, border) = (Blocks(blocks), (at + whole) * width);
                if whole > 0 {
                    let data = &x[at * width..];
                    let panels =
                        Panels { data, stride: outputs, distance: width, columns: whole * width, next: &[] };
                    let ends = ends(at * width, border);
                    simd::dispatch(Band { x: x_rows, rows: taken, inputs, panels, ends });
                }
                if border < end {
                    let panels = Panels::written(&panels, inputs, width, end - border);
                    let ends = ends(border, end);
                    simd::dispatch(Band { x: x_rows, rows: taken, inputs, panels, ends });
                }
            }
        }
    });
}

/// Rows of windows, which meet all panels of weights.
fn as_rows<T: Float, X: Float, W: Float>(
    threads: usize,
    y: &Shared<'_, T>,
    x: &[X],
    windows: &Windows,
    weights: &[Arc<Packed<W>>],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let (outputs, inputs) = (conv.window.output_len(), windows.taps());
    let (channels, group_in) = (conv.group_out(), conv.group_in());
    let bands = Bands::of(threads, outputs, channels);
    for image in 0..conv.batch * conv.groups {
        let (sample, group) = (image / conv.groups, image % conv.groups);
        let x = &x[(sample * conv.in_channels + group * group_in) * windows.plane()..];
        let compute = |own: Range<usize>| {
            let mut blocks = floats(own.len() * inputs);
            let all = Shared::new(&mut blocks);
            let parts = Parts::of(own.len(), TILE_ROWS);
            parallel_for(bands.threads, parts.count, (1 << 13) / (TILE_ROWS * inputs) + 1, |tasks| {
                for part in tasks.map(|at| parts.range(at)) {
                    // SAFETY: a part is in one task only.
                    let to = unsafe { all.slice(part.start * inputs..part.end * inputs) };
                    for rows in tile_rows(part.len()) {
                        let to = &mut to[rows.start * inputs..rows.end * inputs];
                        let first = own.start + part.start;
                        windows.fill(to, rows.len(), x, first + rows.start..first + rows.end);
                    }
                }
            });
            packed::tiles(bands.threads, Blocks(&blocks), own.len(), &weights[group], |first, columns| {
                let channel = group * channels + columns.start;
                let start = (sample * conv.out_channels + channel) * outputs + own.start + first;
                let bias = finish.bias.map(|bias| &bias[channel..channel + columns.len()]);
                // SAFETY: a window and a channel are in one task only.
                unsafe { Transposed::new(y, start, outputs, columns.len(), Finish { bias, ..finish }) }
            });
        };
        parallel_tasks(threads, bands.count, |tasks| tasks.for_each(|at| compute(bands.range(at))));
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::Window;
    use crate::binary::Binary;
    use crate::finish::Stage;
    use crate::math::Unary;
    use crate::testing::{self, close};

    #[test]
    fn the_same_weights_are_made_ready_once() {
        let sizes = |side: usize, kernel: usize| {
            let window =
                Window::new([1, side, side], [1, kernel, kernel], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
            Conv { window, batch: 1, in_channels: 64, out_channels: 128, groups: 1 }
        };
        let (large, small) = (sizes(40, 1), sizes(6, 3));
        let weights = testing::floats::<f16>(128 * 64 * 9, 1);
        let one = |conv: &Conv| {
            let n = conv.out_channels * conv.in_channels * conv.window.kernel_len();
            ConvWeights::new::<f16>(&weights[..n], conv)
        };
        // Which form a convolution has depends on how wide vectors are.
        let are_one = |a: &ConvWeights<f16>, b: &ConvWeights<f16>| match (&a.form, &b.form) {
            (Form::Blocks(a), Form::Blocks(b)) => Arc::ptr_eq(a, b),
            (Form::Panels(a), Form::Panels(b)) => a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b)),
            forms => panic!("{forms:?}"),
        };
        for conv in [large, small] {
            assert!(are_one(&one(&conv), &one(&conv)), "{conv:?}");
        }
        // Another weight, among those by which they are not looked for.
        let mut other = weights[..128 * 64].to_vec();
        other[200] = f16::from_f32(9.0);
        assert!(!are_one(&one(&large), &ConvWeights::new::<f16>(&other, &large)));
    }

    fn check<T: Float>(conv: &Conv) {
        let w = &conv.window;
        assert!(fits_tiles(conv) || conv.group_out() < 8);
        let x = testing::floats::<T>(conv.batch * conv.in_channels * w.input_len(), 1);
        let weights = testing::floats::<T>(conv.out_channels * conv.group_in() * w.kernel_len(), 2);
        let bias = testing::floats::<f32>(conv.out_channels, 3);
        let mut exact = vec![0.0f32; conv.batch * conv.out_channels * w.output_len()];
        let wide: [Vec<f32>; 2] = [&x, &weights].map(|v| v.iter().map(|v| v.to_f32()).collect());
        super::super::conv(1, &mut exact, &wide[0], &wide[1], Finish::bias(Some(&bias)), conv);
        let ready = ConvWeights::new::<T>(&weights, conv);
        let given = [1, 3].map(|threads| {
            let mut y = vec![T::from_f32(f32::NAN); exact.len()];
            conv_tiles(threads, &mut y, &x, &ready, Finish::bias(Some(&bias)), conv);
            y
        });
        assert_eq!(
            bytemuck::cast_slice::<T, u8>(&given[0]),
            bytemuck::cast_slice::<T, u8>(&given[1]),
            "{conv:?}"
        );
        let bound = (conv.group_in() * w.kernel_len()) as f64 * 2f64.powi(-22);
        for (i, (&y, &exact)) in given[0].iter().zip(&exact).enumerate() {
            close(y, exact.into(), bound, &format!("{conv:?}: {i}"));
        }
        let other = testing::floats::<T>(exact.len(), 4);
        let add = Stage::Binary { f: Binary::Add, other: &other, swapped: false };
        let relu = Stage::Unary(Unary::Relu);
        for stages in
            [&[relu][..], &[Stage::Unary(Unary::Clip { low: 0.0, high: 0.1 })], &[add], &[relu, add, relu]]
        {
            let mut fused = vec![T::from_f32(f32::NAN); exact.len()];
            conv_tiles(1, &mut fused, &x, &ready, Finish { bias: Some(&bias), stages }, conv);
            let mut apart = given[0].clone();
            Finish { bias: None, stages }.after(1, &mut apart);
            assert_eq!(fused, apart, "{stages:?} of {conv:?}");
        }
    }

    #[test]
    fn tiles_give_what_the_other_ways_give() {
        for (input, kernel, strides, dilations, before, after) in [
            ([1, 7, 9], [1, 1, 1], [1, 1, 1], [1; 3], [0; 3], [0; 3]),
            ([1, 30, 33], [1, 1, 1], [1, 1, 1], [1; 3], [0; 3], [0; 3]),
            ([1, 7, 9], [1, 3, 3], [1, 1, 1], [1; 3], [0, 1, 1], [0, 1, 1]),
            ([1, 20, 33], [1, 3, 5], [1, 1, 1], [1; 3], [0, 0, 2], [0, 3, 1]),
            ([1, 14, 14], [1, 3, 3], [1, 2, 2], [1; 3], [0, 1, 1], [0, 1, 1]),
            ([1, 15, 11], [1, 7, 7], [1, 2, 1], [1; 3], [0, 3, 3], [0, 3, 3]),
            ([1, 12, 12], [1, 3, 3], [1, 1, 1], [1, 2, 3], [0, 2, 3], [0, 2, 3]),
            ([1, 9, 9], [1, 2, 2], [1, 3, 2], [1; 3], [0; 3], [0; 3]),
            ([1, 1, 40], [1, 1, 4], [1, 1, 1], [1; 3], [0, 0, 3], [0, 0, 0]),
        ] {
            let window = Window::new(input, kernel, strides, dilations, before, after).unwrap();
            for (batch, in_channels, out_channels, groups) in
                [(1, 3, 8, 1), (2, 8, 24, 1), (1, 12, 32, 4), (1, 2, 400, 2), (1, 5, 13, 1)]
            {
                if in_channels % groups == 0 {
                    let conv = Conv { window, batch, in_channels, out_channels, groups };
                    check::<f32>(&conv);
                    check::<f16>(&conv);
                }
            }
        }
    }
}
