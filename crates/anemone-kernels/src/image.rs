//! Images: samples between pixels, whose places were computed before.
//!
//! ```
//! use anemone_kernels::image::{Tap, stretch};
//! // A line of two pixels becomes one of three: the new one lies halfway.
//! let taps = [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]].map(|weights| Tap { between: [0, 1], weights });
//! let mut y = [0.0f32; 3];
//! stretch(1, &mut y, &[2.0, 6.0], [1, 2, 1], &taps);
//! assert_eq!(y, [2.0, 4.0, 6.0]);
//! ```

use macro_rules_attribute::apply;

use crate::Float;
use crate::compiled::compiled_here;
use crate::threads::parallel_chunks;

/// How many elements make it worth to use another thread.
const TASK: usize = 1 << 14;

/// A sample between two pixels of a line.
///
/// ```
/// use anemone_kernels::image::Tap;
/// // A quarter of the way from pixel 3 to pixel 4.
/// let quarter = Tap { between: [3, 4], weights: [0.75, 0.25] };
/// assert_eq!(quarter.weights[0] * 8.0 + quarter.weights[1] * 16.0, 10.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// The pixel before, and the one behind.
    pub between: [usize; 2],
    /// Their weights. A pixel behind of no weight has no say, whatever it is.
    pub weights: [f32; 2],
}

/// Samples the lines along the middle dimension of `x`, which is `[outer, n, inner]`, into `[outer, taps, inner]`.
///
/// ```
/// use anemone_kernels::image::{Tap, stretch};
/// let taps = [0.0, 0.5, 1.0].map(|w| Tap { between: [0, 1], weights: [1.0 - w, w] });
/// let mut y = [0.0; 3];
/// stretch(1, &mut y, &[2.0, 4.0], [1, 2, 1], &taps);
/// assert_eq!(y, [2.0, 3.0, 4.0]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or a pixel lies outside of its line.
pub fn stretch(threads: usize, y: &mut [f32], x: &[f32], [outer, n, inner]: [usize; 3], taps: &[Tap]) {
    let product = |n: usize| outer.checked_mul(n)?.checked_mul(inner);
    assert_eq!(product(n), Some(x.len()), "there are as many pixels as the sizes say");
    assert_eq!(product(taps.len()), Some(y.len()), "there is room for the samples");
    assert!(taps.iter().all(|t| t.between.iter().all(|&p| p < n)), "samples lie between pixels of the line");
    if y.is_empty() {
        return;
    }
    let mix = |a: f32, b: f32, [v, w]: [f32; 2]| if w == 0.0 { a } else { a * v + b * w };
    if inner == 1 {
        parallel_chunks(threads, y, taps.len(), TASK.div_ceil(taps.len()), |o, y| {
            let line = &x[o * n..][..n];
            let pairs = y.iter_mut().zip(taps);
            pairs.for_each(|(y, tap)| *y = mix(line[tap.between[0]], line[tap.between[1]], tap.weights));
        });
        return;
    }
    parallel_chunks(threads, y, inner, TASK.div_ceil(inner), |row, y| {
        let (o, tap) = (row / taps.len(), taps[row % taps.len()]);
        let [a, b] = tap.between.map(|pixel| &x[(o * n + pixel) * inner..][..inner]);
        if tap.weights[1] == 0.0 {
            y.copy_from_slice(a);
        } else {
            let pixels = a.iter().zip(b);
            y.iter_mut().zip(pixels).for_each(|(y, (&a, &b))| *y = a * tap.weights[0] + b * tap.weights[1]);
        }
    });
}

/// A sample of four pixels of an image, and of a constant.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Sample {
    /// The pixels.
    pub pixels: [u32; 4],
    /// Their weights. A pixel of no weight has no say, whatever it is, and need not be there.
    pub weights: [f32; 4],
    /// What is added.
    pub constant: f32,
}

/// Samples every channel of an image: `x` is `[channels, pixels]`, and `y` is `[channels, samples]`.
///
/// ```
/// use anemone_kernels::image::{Sample, sample};
/// let between = Sample { pixels: [0, 1, 0, 0], weights: [0.5, 0.25, 0.0, 0.0], constant: 1.0 };
/// let mut y = [0.0f32; 2];
/// sample(1, &mut y, &[2.0, 4.0, 6.0, 8.0], 2, &[between]);
/// assert_eq!(y, [3.0, 6.0]);
/// ```
///
/// # Panics
///
/// When a slice has another length than the sizes say, or a pixel that has a weight is not there.
#[apply(compiled_here)]
pub fn sample<T: Float>(threads: usize, y: &mut [T], x: &[T], channels: usize, samples: &[Sample]) {
    assert_eq!(channels.checked_mul(samples.len()), Some(y.len()), "there is room for the samples");
    assert!(x.len().checked_rem(channels).is_none_or(|rest| rest == 0), "every channel has as many pixels");
    if y.is_empty() {
        return;
    }
    let pixels = x.len() / channels;
    parallel_chunks(threads, y, samples.len(), TASK.div_ceil(samples.len()), |channel, y| {
        let x = &x[channel * pixels..][..pixels];
        for (y, sample) in y.iter_mut().zip(samples) {
            let mut sum = sample.constant;
            for (&pixel, &weight) in sample.pixels.iter().zip(&sample.weights) {
                if weight != 0.0 {
                    sum += weight * x[pixel as usize].to_f32();
                }
            }
            *y = T::from_f32(sum);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_of_no_weight_has_no_say() {
        let taps = [Tap { between: [0, 1], weights: [1.0, 0.0] }];
        for inner in [1, 3] {
            let x = [vec![7.0; inner], vec![f32::NAN; inner]].concat();
            let mut y = vec![0.0; inner];
            stretch(2, &mut y, &x, [1, 2, inner], &taps);
            assert_eq!(y, vec![7.0; inner]);
        }
        let samples = [Sample { pixels: [0, 1, 9, 9], weights: [2.0, 0.0, 0.0, 0.0], constant: 0.5 }];
        let mut y = [0.0f32; 1];
        sample(2, &mut y, &[1.0, f32::INFINITY], 1, &samples);
        assert_eq!(y, [2.5]);
    }

    #[test]
    #[should_panic(expected = "samples lie between pixels")]
    fn a_pixel_that_is_not_there_is_refused() {
        stretch(1, &mut [0.0], &[0.0], [1, 1, 1], &[Tap { between: [0, 1], weights: [1.0, 0.0] }]);
    }
}
