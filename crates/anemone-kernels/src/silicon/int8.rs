//! Convolutions of bytes: whole numbers, summed in 32 bits.

use half::f16;

use super::number::store_f64;
use crate::conv::Conv;
use crate::scratch::scratch;
use crate::simd::{self, Kernel, Simd};
use crate::threads::{Shared, parallel_for};

/// The least magnitude of a sum that is infinite.
const LIMIT: i64 = 1 << 31;

/// Computes the convolution of bytes with bytes: products and sums are exact, a sum that reaches 2³¹ on its way is infinite
/// from there on; it is scaled by the number of its channel, and rounded half away from zero once.
///
/// `zero` is what stands for zero in `x`, as which padding is read. The bias is added to the scaled sum, which is not measured.
///
/// ```
/// use anemone_kernels::{Window, conv::Conv, silicon::conv_int8};
/// use half::f16;
/// let window = Window::new([1, 1, 2], [1; 3], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
/// let c = Conv { window, batch: 1, in_channels: 2, out_channels: 1, groups: 1 };
/// let mut y = [f16::ZERO; 2];
/// conv_int8(1, &mut y, (&[1, 2, 3, 4], 0), &[10, -1], &[0.5], None, &c);
/// assert_eq!(y.map(f16::to_f32), [3.5, 8.0]);
/// ```
///
/// # Panics
///
/// As [`crate::conv::conv`], and when there is not one scale for each output channel.
pub fn conv_int8(
    threads: usize,
    y: &mut [f16],
    (x, zero): (&[i8], i8),
    weights: &[i8],
    scales: &[f64],
    bias: Option<&[f32]>,
    conv: &Conv,
) {
    let window = &conv.window;
    let (inputs, outputs, taps) = (window.input_len(), window.output_len(), window.kernel_len());
    let (group_in, group_out) = (conv.group_in(), conv.group_out());
    conv.check(inputs, outputs, [x.len(), y.len(), weights.len()], [conv.out_channels, group_in], bias);
    assert_eq!(scales.len(), conv.out_channels, "there is a scale for each channel");
    if y.is_empty() {
        return;
    }
    let depth = group_in * taps;
    let columns = outputs.min(64);
    let across = outputs.div_ceil(columns);
    let y = Shared::new(y);
    parallel_for(threads, conv.batch * conv.groups * across, 1, |tasks| {
        let mut written = scratch::<i8>(depth * columns);
        let mut sums = scratch::<i32>(columns);
        for task in tasks {
            let (item, first) = (task / across, task % across * columns);
            let windows = first..outputs.min(first + columns);
            let written = &mut written[..depth * windows.len()];
            let x = &x[item * group_in * inputs..][..group_in * inputs];
            for (row, line) in written.chunks_exact_mut(windows.len()).enumerate() {
                window.read(line, &x[row / taps * inputs..][..inputs], row % taps, windows.clone(), zero);
            }
            let sums = &mut sums[..windows.len()];
            for out in 0..group_out {
                let channel = item % conv.groups * group_out + out;
                let row = &weights[channel * depth..][..depth];
                let overflow = simd::dispatch(Sums { row, written, zero, sums });
                let start = ((item / conv.groups) * conv.out_channels + channel) * outputs + first;
                // SAFETY: some columns of a channel are in one task only.
                let y = unsafe { y.slice(start..start + sums.len()) };
                let b = bias.map_or(0.0, |b| f64::from(b[channel]));
                for (i, (y, &sum)) in y.iter_mut().zip(&*sums).enumerate() {
                    let sum = if overflow {
                        carried(row, written[i..].iter().step_by(sums.len()), zero)
                    } else {
                        f64::from(sum)
                    };
                    *y = store_f64(sum * scales[channel] + b);
                }
            }
        }
    });
}

/// The sums of a row of weights with columns; gives whether one may have overflown on its way.
struct Sums<'a> {
    row: &'a [i8],
    written: &'a [i8],
    zero: i8,
    sums: &'a mut [i32],
}

impl Kernel for Sums<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        let Self { row, written, zero, sums } = self;
        sums.fill(0);
        let mut most = 0i64;
        for (&w, line) in row.iter().zip(written.chunks_exact(sums.len())) {
            let w = i32::from(w);
            most += i64::from(w.abs()) * 256;
            for (sum, &x) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(w * (i32::from(x) - i32::from(zero)));
            }
        }
        most >= LIMIT
    }
}

/// A sum whose overflow on its way is seen.
fn carried<'x>(row: &[i8], column: impl Iterator<Item = &'x i8>, zero: i8) -> f64 {
    let mut sum = 0i64;
    for (&w, &x) in row.iter().zip(column) {
        sum += i64::from(w) * (i64::from(x) - i64::from(zero));
        if sum.abs() >= LIMIT {
            return f64::INFINITY * sum.signum() as f64;
        }
    }
    sum as f64
}
