//! Convolutions: products of the weights with the windows written out.

use std::ops::Range;

use half::f16;
use smallvec::SmallVec;

use super::number::{decode, store_f64, store_sum};
use super::product::{Bias, Job, Panels, Starts, product_batched};
use crate::conv::Conv;
use crate::gemm::Matrix;
use crate::scratch::scratch;
use crate::threads::{Shared, parallel_for};

/// Computes the convolution of `x` with `weights`, as [`product_batched`] sums: over the channels of the input, and of each
/// over its kernel.
///
/// A kernel of one weight over one channel is a scale, and no sum (inferred from its results beyond 32768).
///
/// ```
/// use anemone_kernels::{Window, conv::Conv, silicon::conv};
/// use half::f16;
/// let window = Window::new([1, 1, 4], [1, 1, 3], [1; 3], [1; 3], [0, 0, 1], [0, 0, 1]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let (x, w) = ([1.0, 2.0, 3.0, 4.0].map(f16::from_f32), [1.0, 0.0, -1.0].map(f16::from_f32));
/// let mut y = [f16::ZERO; 4];
/// conv(1, &mut y, &x, &w, Some(&[10.0]), &c);
/// assert_eq!(y.map(f16::to_f32), [8.0, 8.0, 8.0, 13.0]);
/// ```
///
/// # Panics
///
/// As [`crate::conv::conv`].
pub fn conv(threads: usize, y: &mut [f16], x: &[f16], weights: &[f16], bias: Option<&[f32]>, conv: &Conv) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.input_len(), window.output_len(), window.kernel_len());
    conv.check(
        inputs,
        outputs,
        [x.len(), y.len(), weights.len()],
        [conv.out_channels, conv.group_in()],
        bias,
    );
    if y.is_empty() {
        return;
    }
    if conv.group_in() == 1 && taps == 1 {
        return scale(threads, y, x, weights, bias, conv);
    }
    if window.is_pointwise() && conv.groups == 1 {
        let w = Matrix::new(weights, conv.out_channels, conv.in_channels);
        let x = Matrix::new(x, conv.in_channels, inputs);
        let items: SmallVec<[_; 16]> = (0..conv.batch).map(|n| (0, n * conv.in_channels * inputs)).collect();
        return product_batched(threads, y, w, x, &items, bias.map_or(Bias::None, Bias::Rows));
    }
    let depth = conv.group_in() * taps;
    let rows = |group: usize| {
        let first = group * conv.group_out() * depth;
        Matrix::new(&weights[first..][..conv.group_out() * depth], conv.group_out(), depth)
    };
    let layer = Layer { conv, bias, depth, outputs };
    layer.written_out(threads, y, rows, |item, windows, to| {
        let x = &x[item * conv.group_in() * inputs..][..conv.group_in() * inputs];
        for (row, line) in to.chunks_exact_mut(windows.len()).enumerate() {
            let volume = &x[row / taps * inputs..][..inputs];
            window.read(line, volume, row % taps, windows.clone(), f16::ZERO);
        }
    });
}

/// Computes the transposed convolution of `x` with `weights`, in the same way: each result is a sum over the channels of the
/// input, and of each over its kernel.
///
/// ```
/// use anemone_kernels::{Window, conv::Conv, silicon::conv_transpose};
/// use half::f16;
/// // The convolution that is transposed gives 2 windows of 5 elements.
/// let window = Window::new([1, 1, 5], [1, 1, 3], [1, 1, 2], [1; 3], [0; 3], [0; 3]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 1, out_channels: 1, groups: 1 };
/// let (x, w) = ([1.0, 10.0].map(f16::from_f32), [1.0, 2.0, 3.0].map(f16::from_f32));
/// let mut y = [f16::ZERO; 5];
/// conv_transpose(1, &mut y, &x, &w, None, &c);
/// assert_eq!(y.map(f16::to_f32), [1.0, 2.0, 13.0, 20.0, 30.0]);
/// ```
///
/// # Panics
///
/// As [`crate::conv::conv`].
pub fn conv_transpose(
    threads: usize,
    y: &mut [f16],
    x: &[f16],
    weights: &[f16],
    bias: Option<&[f32]>,
    conv: &Conv,
) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.output_len(), window.input_len(), window.kernel_len());
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    conv.check(inputs, outputs, [x.len(), y.len(), weights.len()], [conv.in_channels, group_out], bias);
    if y.is_empty() {
        return;
    }
    // The weights of each result side by side.
    let depth = group_in * taps;
    let mut turned = scratch::<f16>(weights.len());
    for (at, &w) in weights.iter().enumerate() {
        let (channel, out, tap) = (at / (group_out * taps), at / taps % group_out, at % taps);
        turned[((channel / group_in * group_out + out) * group_in + channel % group_in) * taps + tap] = w;
    }
    let rows = |group: usize| {
        Matrix::new(&turned[group * group_out * depth..][..group_out * depth], group_out, depth)
    };
    let layer = Layer { conv, bias, depth, outputs };
    layer.written_out(threads, y, rows, |item, results, to| {
        let x = &x[item * group_in * inputs..][..group_in * inputs];
        for (row, line) in to.chunks_exact_mut(results.len()).enumerate() {
            let (volume, tap) = (&x[row / taps * inputs..][..inputs], window.tap(row % taps));
            for (to, at) in line.iter_mut().zip(results.clone()) {
                let [_, height, width] = window.input;
                let place = [at / (height * width), at / width % height, at % width];
                let from = (0..3).try_fold(0, |from, d| {
                    let shifted = (place[d] + window.before[d]).checked_sub(tap[d] * window.dilations[d])?;
                    let i = shifted / window.strides[d];
                    let there = shifted.is_multiple_of(window.strides[d]) && i < window.output[d];
                    there.then_some(from * window.output[d] + i)
                });
                *to = from.map_or(f16::ZERO, |from| volume[from]);
            }
        }
    });
}

/// A convolution whose columns are written out.
struct Layer<'a> {
    conv: &'a Conv,
    bias: Option<&'a [f32]>,
    /// How many products a sum has.
    depth: usize,
    /// The elements of a channel of the result.
    outputs: usize,
}

impl Layer<'_> {
    /// The products of the weights of each group with columns: `read` writes some of them, of each of the batch and of its
    /// groups, input after input.
    fn written_out<'w>(
        &self,
        threads: usize,
        y: &mut [f16],
        rows: impl Fn(usize) -> Matrix<'w, f16> + Sync,
        read: impl Fn(usize, Range<usize>, &mut [f16]) + Sync,
    ) {
        let &Self { conv, bias, depth, outputs } = self;
        let (items, rows_of_item) = (conv.batch * conv.groups, conv.group_out());
        let job = Job { items, rows: rows_of_item, inputs: depth, columns: outputs };
        let starts = starts_of_groups(bias, conv);
        let fill = |item: usize, columns: Range<usize>, panels: &mut Panels| {
            let mut written = scratch::<f16>(depth * columns.len());
            read(item, columns.clone(), &mut written);
            panels.write(Matrix::new(&written, depth, columns.len()));
        };
        let y = Shared::new(y);
        job.run(
            threads,
            |item| rows(item % conv.groups),
            fill,
            |item| &starts[item % conv.groups],
            |item, row, column, sums| {
                let start = (item * rows_of_item + row) * outputs + column;
                // SAFETY: some columns of a row are in one task only.
                let y = unsafe { y.slice(start..start + sums.len()) };
                y.iter_mut().zip(sums).for_each(|(y, &sum)| *y = store_sum(sum));
            },
        );
    }
}

/// Where the sums of each group start.
fn starts_of_groups(bias: Option<&[f32]>, conv: &Conv) -> Vec<Starts> {
    let out = conv.group_out();
    let of = |group: usize| bias.map_or(Bias::None, |bias| Bias::Rows(&bias[group * out..][..out]));
    (0..conv.groups).map(|group| Starts::of(of(group), out, 0)).collect()
}

/// Each channel times a number of its own.
fn scale(threads: usize, y: &mut [f16], x: &[f16], weights: &[f16], bias: Option<&[f32]>, conv: &Conv) {
    let (inputs, outputs) = (conv.window.input_len(), conv.window.output_len());
    let all = Shared::new(y);
    parallel_for(threads, conv.batch * conv.out_channels, 1 + (1 << 14) / outputs, |planes| {
        for plane in planes {
            let (n, channel) = (plane / conv.out_channels, plane % conv.out_channels);
            let source = n * conv.in_channels + channel / conv.group_out();
            // SAFETY: a plane is in one task only.
            let y = unsafe { all.slice(plane * outputs..(plane + 1) * outputs) };
            conv.window.read(y, &x[source * inputs..][..inputs], 0, 0..outputs, f16::ZERO);
            let (w, b) = (f64::from(decode(weights[channel])), f64::from(bias.map_or(0.0, |b| b[channel])));
            y.iter_mut().for_each(|y| *y = store_f64(f64::from(decode(*y)) * w + b));
        }
    });
}
