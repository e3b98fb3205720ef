//! Convolutions of planes with weights that were made ready once, as products of matrices that are never written out.
//!
//! A panel is so many windows side by side: for each tap of each channel the elements that the windows read there. With
//! strides of 1 these lie side by side in the (padded) plane, also across the ends of rows, so that a panel is copied with
//! a few instructions a tap; the results of windows that hang over the end of a row are computed and left. Each panel
//! then meets all rows of weights.

use smallvec::SmallVec;

use super::Conv;
use crate::Float;
use crate::finish::Finish;
use crate::scratch::{Scratch, floats, scratch};
use crate::simd::{self, Simd};
use crate::threads::{Shared, parallel_chunks, parallel_for};
use crate::tile::{Band, Ends, Lines, MOST_COLUMNS, Panels, panel_width};

/// The weights of a convolution, widened: a row for each output channel.
#[derive(Debug)]
pub struct ConvWeights(Vec<f32>);

impl ConvWeights {
    /// Makes weights `[out, in / groups, kernel]` ready.
    pub fn new<W: Float>(weights: &[W]) -> Self {
        let mut rows = vec![0.0; weights.len()];
        W::widen(&mut rows, weights);
        Self(rows)
    }
}

/// Whether [`conv_tiles`] computes it: a convolution of planes, with enough output channels in each group for a panel to
/// be worth its making.
pub fn fits_tiles(conv: &Conv) -> bool {
    let w = &conv.window;
    w.kernel[0] == 1 && w.input[0] == 1 && w.output[0] == 1 && w.before[0] == 0 && conv.group_out() >= 8
}

/// Where windows lie in padded planes of single precision.
struct Planes {
    /// The elements from a row to the next, and from a plane to the next.
    row: usize,
    plane: usize,
    /// Where the element of each tap of each channel lies, counted from that of the first.
    taps: Scratch<usize>,
    /// The number of windows that are computed, those that are left included.
    windows: usize,
}

/// A part of a panel: columns, and the results that they are.
struct Part {
    from: usize,
    len: usize,
    result: usize,
}

impl Planes {
    fn new(conv: &Conv, row: usize, plane: usize) -> Self {
        let w = &conv.window;
        let mut taps = scratch(conv.group_in() * w.kernel_len());
        let mut lines = taps.chunks_exact_mut(w.kernel[2].max(1));
        for channel in 0..conv.group_in() {
            for (y, line) in lines.by_ref().take(w.kernel[1]).enumerate() {
                let first = channel * plane + y * w.dilations[1] * row;
                line.iter_mut().enumerate().for_each(|(x, place)| *place = first + x * w.dilations[2]);
            }
        }
        let [_, height, width] = w.output;
        let side_by_side = w.strides == [w.strides[0], 1, 1];
        let windows = if side_by_side { (height - 1) * row + width } else { height * width };
        Self { row, plane, taps, windows }
    }
}

/// Computes the convolution of planes, each result with the bias of its channel, rounded, and put through stages.
///
/// ```
/// use anemone_kernels::{Window, conv::{Conv, ConvWeights, conv_tiles}};
/// use anemone_kernels::{finish::{Finish, Stage}, math::Unary};
/// let window = Window::new([1, 1, 4], [1, 1, 3], [1; 3], [1; 3], [0, 0, 1], [0, 0, 1]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let weights = ConvWeights::new(&[1.0f32, 0.0, -1.0]);
/// let mut y = [0.0f32; 4];
/// let finish = Finish { bias: Some(&[1.5]), stages: &[Stage::Unary(Unary::Relu)] };
/// conv_tiles(1, &mut y, &[1.0, 2.0, 3.0, 4.0], &weights, finish, &c);
/// assert_eq!(y, [0.0, 0.0, 0.0, 4.5]);
/// ```
///
/// # Panics
///
/// As [`conv`](super::conv), and when the convolution is one of volumes.
pub fn conv_tiles<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[T],
    weights: &ConvWeights,
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let w = &conv.window;
    assert!(w.input[0] == 1 && w.kernel[0] == 1 && w.output[0] == 1, "the convolution is one of planes");
    let (inputs, outputs) = (w.input_len(), w.output_len());
    let lengths = [x.len(), y.len(), weights.0.len()];
    conv.check(inputs, outputs, lengths, [conv.out_channels, conv.group_in()], finish.bias);
    finish.check(y.len());
    if y.is_empty() || conv.group_in() == 0 {
        return bare(y, finish, conv);
    }
    let threads = conv.threads(threads);
    let [_, height, width] = w.input;
    let reach = |d: usize| (w.output[d] - 1) * w.strides[d] + (w.kernel[d] - 1) * w.dilations[d] + 1;
    let (rows, row) = (reach(1), reach(2));
    let as_it_is = w.before == [0; 3] && rows <= height && row <= width;
    if let (true, Some(x)) = (as_it_is, T::as_f32s(x)) {
        let planes = Planes::new(conv, width, height * width);
        return panels(threads, y, x, &planes, &weights.0, finish, conv);
    }
    // Rows are as long as windows reach; what they do not reach is left out.
    let planes = Planes::new(conv, row, rows * row);
    let mut padded = floats(conv.batch * conv.in_channels * planes.plane + MOST_COLUMNS);
    let (left, above) = (w.before[2].min(row), w.before[1].min(rows));
    let (taken, lines) = (width.min(row - left), height.min(rows - above));
    parallel_chunks(threads, &mut padded, planes.plane, (1 << 14) / planes.plane + 1, |i, plane| {
        let Some(x) = x.get(i * inputs..(i + 1) * inputs) else { return plane.fill(0.0) };
        plane[..above * row].fill(0.0);
        for (line, to) in plane[above * row..].chunks_exact_mut(row).enumerate() {
            if line >= lines {
                to.fill(0.0);
                continue;
            }
            to[..left].fill(0.0);
            T::widen(&mut to[left..left + taken], &x[line * width..][..taken]);
            to[left + taken..].fill(0.0);
        }
    });
    panels(threads, y, &padded, &planes, &weights.0, finish, conv);
}

/// The results of a convolution without input channels.
fn bare<T: Float>(y: &mut [T], finish: Finish<'_, T>, conv: &Conv) {
    let len = conv.window.output_len().max(1);
    for (i, y) in y.chunks_mut(len).enumerate() {
        let mut sums = vec![finish.bias.map_or(0.0, |b| b[i % conv.out_channels]); y.len()];
        finish.write(y, &mut sums, i * len);
    }
}

/// How many output channels a task computes at least: so many that the making of a panel does not matter.
const CHANNELS: usize = 192;

fn panels<T: Float>(
    threads: usize,
    y: &mut [T],
    x: &[f32],
    planes: &Planes,
    weights: &[f32],
    finish: Finish<'_, T>,
    conv: &Conv,
) {
    let (width, outputs) = (panel_width(), conv.window.output_len());
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    let count = planes.windows.div_ceil(width);
    let images = conv.batch * conv.groups;
    // Few panels are shared by several tasks.
    let parts = if images * count >= 8 { 1 } else { group_out.div_ceil(CHANNELS) };
    let channels = group_out.div_ceil(parts).next_multiple_of(4);
    let inputs = planes.taps.len();
    let whole = finish;
    let (finish, left) = whole.split();
    let all = Shared::new(&mut *y);
    parallel_for(threads, images * count * parts, 1, |tasks| {
        let mut panel = floats(inputs * width);
        let mut held = None;
        let mut cover: SmallVec<[Part; MOST_COLUMNS]> = SmallVec::new();
        for task in tasks {
            let (image, at) = (task / (count * parts), task / parts % count);
            let first = task % parts * channels;
            let last = group_out.min(first + channels);
            if first >= last {
                continue;
            }
            let (sample, group) = (image / conv.groups, image % conv.groups);
            if held != Some((image, at)) {
                let planes_at = (sample * conv.in_channels + group * group_in) * planes.plane;
                fill(&mut panel, width, &x[planes_at..], planes, conv, at * width);
                cover.clear();
                cover.extend(covered(planes, conv, at * width, width));
                held = Some((image, at));
            }
            let channel = group * group_out + first;
            simd::dispatch(Band {
                x: Lines { data: weights, stride: inputs }.from(channel),
                rows: last - first,
                inputs,
                panels: Panels::written(&panel, inputs, width, width),
                ends: Windows {
                    finish,
                    channel,
                    cover: &cover,
                    place: |row: usize, part: &Part| {
                        (sample * conv.out_channels + channel + row) * outputs + part.result
                    },
                    // SAFETY: a window and a channel are in one task only.
                    write: |from, len| unsafe { all.slice(from..from + len) },
                },
            });
        }
    });
    if left {
        whole.after(threads, y);
    }
}

/// A bias for each row, and results that lie apart.
struct Windows<'a, T, P, F> {
    finish: Finish<'a, T>,
    /// The channel of the first row.
    channel: usize,
    cover: &'a [Part],
    /// Where the results of a part of a row lie.
    place: P,
    /// So many results from a place on.
    write: F,
}

impl<'y, T: Float, P: Fn(usize, &Part) -> usize, F: Fn(usize, usize) -> &'y mut [T]> Ends
    for Windows<'_, T, P, F>
{
    #[inline(always)]
    fn bias<S: Simd>(&self, simd: S, row: usize, _: usize) -> [S::V; 2] {
        [simd.splat(self.finish.bias.map_or(0.0, |bias| bias[self.channel + row])); 2]
    }

    #[inline(always)]
    fn end<S: Simd>(&mut self, simd: S, row: usize, _: usize, sums: [S::V; 2]) {
        if let [part @ Part { from: 0, .. }] = self.cover {
            let at = (self.place)(row, part);
            return self.finish.write_vectors(simd, (self.write)(at, part.len), sums, at);
        }
        let mut all = [T::zeroed(); MOST_COLUMNS];
        let of = |other: &[T], to: &mut [T; MOST_COLUMNS]| {
            for part in self.cover {
                let at = (self.place)(row, part);
                to[part.from..part.from + part.len].copy_from_slice(&other[at..at + part.len]);
            }
        };
        self.finish.vectors(simd, sums, of, &mut all);
        for part in self.cover {
            let at = (self.place)(row, part);
            (self.write)(at, part.len).copy_from_slice(&all[part.from..part.from + part.len]);
        }
    }
}

/// Writes the elements that the windows from this one on read, tap by tap.
fn fill(panel: &mut [f32], width: usize, x: &[f32], planes: &Planes, conv: &Conv, from: usize) {
    let w = &conv.window;
    let rows = panel.chunks_exact_mut(width).zip(&*planes.taps);
    if w.strides[1..] == [1, 1] {
        for (to, &tap) in rows {
            match x.get(tap + from..tap + from + width) {
                Some(x) => to.copy_from_slice(x),
                // The last windows of the last plane; what lies behind it is left.
                None => {
                    let x = &x[(tap + from).min(x.len())..];
                    to[..x.len()].copy_from_slice(x);
                    to[x.len()..].fill(0.0);
                }
            }
        }
        return;
    }
    let mut places = [0; MOST_COLUMNS];
    for (i, place) in places[..width].iter_mut().enumerate() {
        // Windows behind the last one read what the last one reads.
        let window = (from + i).min(planes.windows - 1);
        let (line, column) = (window / w.output[2], window % w.output[2]);
        *place = line * w.strides[1] * planes.row + column * w.strides[2];
    }
    for (to, &tap) in rows {
        let x = &x[tap..];
        for (to, &place) in to.iter_mut().zip(&places) {
            *to = x[place];
        }
    }
}

/// Which results the columns of a panel are.
fn covered(planes: &Planes, conv: &Conv, from: usize, width: usize) -> SmallVec<[Part; MOST_COLUMNS]> {
    let w = &conv.window;
    let end = planes.windows.min(from + width);
    let line_of = if w.strides[1..] == [1, 1] { planes.row } else { w.output[2] };
    if line_of == w.output[2] {
        return SmallVec::from_iter([Part { from: 0, len: end - from, result: from }]);
    }
    let mut parts = SmallVec::new();
    let mut at = from;
    while at < end {
        let (line, column) = (at / line_of, at % line_of);
        let next = end.min((line + 1) * line_of);
        let len = (line * line_of + w.output[2]).min(end).saturating_sub(at);
        if len > 0 {
            parts.push(Part { from: at - from, len, result: line * w.output[2] + column });
        }
        at = next;
    }
    parts
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::Window;
    use crate::finish::Stage;
    use crate::math::Unary;
    use crate::testing::{self, close};

    fn check<T: Float>(conv: &Conv) {
        let w = &conv.window;
        assert!(fits_tiles(conv) || conv.group_out() < 8);
        let x = testing::floats::<T>(conv.batch * conv.in_channels * w.input_len(), 1);
        let weights = testing::floats::<T>(conv.out_channels * conv.group_in() * w.kernel_len(), 2);
        let bias = testing::floats::<f32>(conv.out_channels, 3);
        let mut exact = vec![0.0f32; conv.batch * conv.out_channels * w.output_len()];
        let wide: [Vec<f32>; 2] = [&x, &weights].map(|v| v.iter().map(|v| v.to_f32()).collect());
        super::super::conv(1, &mut exact, &wide[0], &wide[1], Finish::bias(Some(&bias)), conv);
        let ready = ConvWeights::new(&weights);
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
        let mut active = vec![T::from_f32(0.0); exact.len()];
        let finish = Finish { bias: Some(&bias), stages: &[Stage::Unary(Unary::Relu)] };
        conv_tiles(1, &mut active, &x, &ready, finish, conv);
        let mut apart = active.clone();
        crate::math::unary(1, &mut apart, &given[0], Unary::Relu, &[]);
        assert_eq!(active, apart);
    }

    #[test]
    fn tiles_give_what_the_other_ways_give() {
        for (input, kernel, strides, dilations, before, after) in [
            ([1, 7, 9], [1, 1, 1], [1, 1, 1], [1; 3], [0; 3], [0; 3]),
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
