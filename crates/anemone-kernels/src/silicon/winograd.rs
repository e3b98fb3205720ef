//! Convolutions whose sums are shared between neighbours: the way `F(2, 3)` of Winograd, along the width.
//!
//! Two neighbouring results of a kernel of three weights `g` are made of four products instead of six. Of the weights and of
//! the four numbers under them four sums are made, each rounded half away from zero to a half; their products are summed
//! over the channels and the rows of the kernel, in fixed point; the results are sums and differences of those four sums.

use half::f16;

use super::number::{INFINITE, LIMIT, decode, on_grid, store_f64, store_sum};
use super::product::{Bias, Panels, ROWS, Starts, Terms, panel_width, sums_of};
use crate::conv::Conv;
use crate::gemm::Matrix;
use crate::scratch::scratch;
use crate::threads::{Shared, parallel_for};

/// Whether a convolution is of the kind that takes this way: a plane, with a kernel of 3 × 3, no stride and no dilation, in
/// one group. That kernels of one group and of these extents do is measured; where the compiler draws the line is not known.
///
/// ```
/// use anemone_kernels::{Window, conv::Conv, silicon::takes_winograd};
/// let window = Window::new([1, 4, 4], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
/// assert!(takes_winograd(&Conv { window, batch: 1, in_channels: 8, out_channels: 8, groups: 1 }));
/// ```
pub fn takes_winograd(conv: &Conv) -> bool {
    let window = &conv.window;
    let plane = window.input[0] == 1 && window.output[0] == 1 && window.before[0] == 0;
    plane
        && window.kernel == [1, 3, 3]
        && window.strides == [1; 3]
        && window.dilations == [1; 3]
        && conv.groups == 1
}

/// Computes a convolution of which [`takes_winograd`] is true.
///
/// The bias is added to the four sums' results, which is not measured.
///
/// ```
/// use anemone_kernels::{Window, conv::Conv, silicon::conv_winograd};
/// use half::f16;
/// let window = Window::new([1, 1, 4], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let x = [1.0, 2.0, 3.0, 4.0].map(f16::from_f32);
/// let w = [0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0].map(f16::from_f32);
/// let mut y = [f16::ZERO; 4];
/// conv_winograd(1, &mut y, &x, &w, Some(&[10.0]), &c);
/// assert_eq!(y.map(f16::to_f32), [8.0, 8.0, 8.0, 13.0]);
/// ```
///
/// # Panics
///
/// As [`crate::conv::conv`], and for other kernels.
pub fn conv_winograd(
    threads: usize,
    y: &mut [f16],
    x: &[f16],
    weights: &[f16],
    bias: Option<&[f32]>,
    conv: &Conv,
) {
    let window = &conv.window;
    assert!(takes_winograd(conv), "the kernel is of this kind");
    let (inputs, outputs) = (window.input_len(), window.output_len());
    conv.check(
        inputs,
        outputs,
        [x.len(), y.len(), weights.len()],
        [conv.out_channels, conv.in_channels],
        bias,
    );
    if y.is_empty() {
        return;
    }
    let depth = conv.in_channels * 3;
    let u = of_weights(weights);
    let none = Starts::of(Bias::None, 0, 0);
    let bias: Vec<i64> = bias.map_or(vec![0; conv.out_channels], |b| b.iter().map(|&b| on_grid(b)).collect());
    // The pairs of results: of each line so many.
    let [_, height, width] = window.output;
    let across = width.div_ceil(2);
    let pairs = height * across;
    let group = ((1 << 17) / (depth.max(1) * panel_width())).clamp(1, 8) * panel_width();
    let groups = pairs.div_ceil(group);
    let y = Shared::new(y);
    parallel_for(threads, conv.batch * groups, 1, |tasks| {
        let mut panels: [Panels; 4] = std::array::from_fn(|_| Panels::new(depth, group.min(pairs)));
        let mut written = scratch::<f16>(4 * depth * group.min(pairs));
        let mut terms = Terms::new(depth);
        let mut sums: [_; 4] = std::array::from_fn(|_| scratch::<i64>(ROWS * group));
        for task in tasks {
            let (n, first) = (task / groups, task % groups * group);
            let count = group.min(pairs - first);
            let x = &x[n * conv.in_channels * inputs..][..conv.in_channels * inputs];
            let size = depth * count;
            read(x, conv, first..first + count, &mut written[..4 * size]);
            for (panels, written) in panels.iter_mut().zip(written.chunks_exact(size)) {
                panels.write(Matrix::new(written, depth, count));
                panels.finish();
            }
            for row in (0..conv.out_channels).step_by(ROWS) {
                let last = conv.out_channels.min(row + ROWS);
                for ((u, panels), sums) in u.iter().zip(&panels).zip(&mut sums) {
                    terms.write(Matrix::new(u, conv.out_channels, depth).block(row..last, 0..depth));
                    sums_of(&terms, panels, &none, (0, 0), sums);
                }
                for r in row..last {
                    let plane = (n * conv.out_channels + r) * outputs;
                    for i in 0..count {
                        let m: [i64; 4] = std::array::from_fn(|j| sums[j][(r - row) * count + i]);
                        let (line, pair) = ((first + i) / across, (first + i) % across);
                        let both = [[m[0], m[1], m[2]], [m[1], -m[2], -m[3]]];
                        let start = plane + line * width + 2 * pair;
                        let here = 2.min(width - 2 * pair);
                        // SAFETY: a pair of results of a channel is in one task only.
                        let y = unsafe { y.slice(start..start + here) };
                        for (y, parts) in y.iter_mut().zip(both) {
                            *y = store_sum(joined(bias[r], parts));
                        }
                    }
                }
            }
        }
    });
}

/// The sum of some sums: infinite where one of them is, with the sign of the first such.
fn joined(bias: i64, parts: [i64; 3]) -> i64 {
    if let Some(infinite) = parts.into_iter().find(|part| part.abs() >= LIMIT) {
        return INFINITE * infinite.signum();
    }
    bias + parts.into_iter().sum::<i64>()
}

/// What each row of three weights becomes: of each of the four, row after row.
fn of_weights(weights: &[f16]) -> [Vec<f16>; 4] {
    let mut u: [Vec<f16>; 4] = std::array::from_fn(|_| Vec::with_capacity(weights.len() / 3));
    for g in weights.chunks_exact(3) {
        let [a, b, c] = [g[0], g[1], g[2]].map(|g| f64::from(decode(g)));
        for (u, x) in u.iter_mut().zip([a, (a + b + c) / 2.0, (a - b + c) / 2.0, c]) {
            u.push(store_f64(x));
        }
    }
    u
}

/// What the four numbers under each of some pairs of results become: of each of the four, of each channel and row of the
/// kernel, pair after pair.
fn read(x: &[f16], conv: &Conv, pairs: std::ops::Range<usize>, to: &mut [f16]) {
    let window = &conv.window;
    let width = window.input[2];
    let (inputs, count) = (window.input_len(), pairs.len());
    let across = window.output[2].div_ceil(2);
    let size = to.len() / 4;
    let (to, last) = to.split_at_mut(3 * size);
    let (to, third) = to.split_at_mut(2 * size);
    let (first, second) = to.split_at_mut(size);
    for row in 0..conv.in_channels * 3 {
        let (volume, tap) = (&x[row / 3 * inputs..][..inputs], row % 3);
        for (i, pair) in pairs.clone().enumerate() {
            let (line, column) = (pair / across, pair % across * 2);
            let source = window.source(1, line, tap).map(|h| &volume[h * width..][..width]);
            let number = |k: usize| {
                let at = (column + k).checked_sub(window.before[2]);
                f64::from(at.and_then(|at| source?.get(at)).map_or(0.0, |&x| decode(x)))
            };
            let d: [f64; 4] = [number(0), number(1), number(2), number(3)];
            let at = row * count + i;
            first[at] = store_f64(d[0] - d[2]);
            second[at] = store_f64(d[1] + d[2]);
            third[at] = store_f64(d[2] - d[1]);
            last[at] = store_f64(d[1] - d[3]);
        }
    }
}
