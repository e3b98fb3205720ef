//! Weights that are made and not learned, and files of weights.
//!
//! ```
//! use anemone::mil::generate::weights;
//! assert_eq!(weights::identity(2)?, [1.0, 0.0, 0.0, 1.0]);
//! assert_eq!(weights::transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
//! let file = weights::blob(&weights::causal_mask(4)?)?;
//! assert_eq!(file.len(), 64 + 64 + 16 * 2);
//! # Ok::<(), anemone::Error>(())
//! ```

use crate::blob::pack_weights;
use crate::error::Error;
use crate::fp16::cast_f32_f16;

/// The base of the angles of rotary embeddings, where a model says nothing else.
///
/// ```
/// use anemone::mil::generate::weights::ROPE_THETA;
/// // The angles of a head of 4 numbers at position 1: one for each pair.
/// let angles = [0, 1].map(|pair| ROPE_THETA.powf(-2.0 * f64::from(pair) / 4.0));
/// assert_eq!(angles, [1.0, 0.01]);
/// ```
pub const ROPE_THETA: f64 = 10_000.0;

/// What hides a score in a causal mask: the lowest number of fp16.
///
/// ```
/// use anemone::{mil::generate::weights::HIDDEN, types::f16};
/// assert_eq!(f16::from_f32(HIDDEN), f16::MIN);
/// ```
pub const HIDDEN: f32 = -65504.0;

/// The most numbers that are made at once: a gigabyte of them.
const MOST: usize = 1 << 28;

fn elements(rows: usize, columns: usize) -> Result<usize, Error> {
    rows.checked_mul(columns)
        .filter(|&n| n <= MOST)
        .ok_or_else(|| Error::Invalid(format!("[{rows}, {columns}] are more than {MOST} numbers")))
}

/// A file of one fp16 tensor of these numbers, each rounded once; its record stands at offset 64.
///
/// ```
/// use anemone::mil::generate::weights;
/// let file = weights::blob(&[1.0, 2.0])?;
/// assert_eq!(file[128..], [0x00, 0x3c, 0x00, 0x40]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Invalid`] when there are none.
pub fn blob(values: &[f32]) -> Result<Vec<u8>, Error> {
    if values.is_empty() {
        return Err(Error::Invalid("a weight file without a number cannot be read".into()));
    }
    let mut halves = vec![0; values.len()];
    cast_f32_f16(&mut halves, values);
    Ok(pack_weights(&halves))
}

/// `[channels, channels]`, ones on the diagonal and zeros elsewhere.
///
/// ```
/// use anemone::mil::generate::weights;
/// assert_eq!(weights::identity(2)?, [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Invalid`] when they are too many.
pub fn identity(channels: usize) -> Result<Vec<f32>, Error> {
    let mut values = vec![0.0; elements(channels, channels)?];
    values.iter_mut().step_by(channels.saturating_add(1)).for_each(|v| *v = 1.0);
    Ok(values)
}

/// `[seq, seq]`, to be added to scores: 0 where a query sees a key, and [`HIDDEN`] for keys behind it.
///
/// ```
/// use anemone::mil::generate::weights;
/// assert_eq!(weights::causal_mask(2)?, [0.0, weights::HIDDEN, 0.0, 0.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Invalid`] when they are too many.
pub fn causal_mask(seq: usize) -> Result<Vec<f32>, Error> {
    let mut values = vec![0.0; elements(seq, seq)?];
    for (query, row) in values.chunks_exact_mut(seq.max(1)).enumerate() {
        row[query + 1..].fill(HIDDEN);
    }
    Ok(values)
}

/// The cosines and sines of rotary embeddings, `[seq, head_dim]` each: the angle of the position `p` and the numbers `2i`
/// and `2i + 1` of a head is `p / theta^(2i / head_dim)`.
///
/// ```
/// use anemone::mil::generate::weights;
/// let (cos, sin) = weights::rope(2, 4, weights::ROPE_THETA)?;
/// assert_eq!((&cos[..4], &sin[..4]), (&[1.0; 4][..], &[0.0; 4][..]));
/// assert_eq!((cos[4], cos[5], sin[6], sin[7]), (1f32.cos(), 1f32.cos(), 0.01f32.sin(), 0.01f32.sin()));
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Invalid`] when `head_dim` is odd or 0, `theta` is not a positive number, or they are too many.
pub fn rope(seq: usize, head_dim: usize, theta: f64) -> Result<(Vec<f32>, Vec<f32>), Error> {
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(Error::Invalid(format!("a head of {head_dim} numbers has no pairs to rotate")));
    }
    if !(theta.is_finite() && theta > 0.0) {
        return Err(Error::Invalid(format!("{theta} is no base of angles: it must be above 0")));
    }
    let all = elements(seq, head_dim)?;
    let (mut cosines, mut sines) = (Vec::with_capacity(all), Vec::with_capacity(all));
    for position in 0..seq {
        for pair in 0..head_dim / 2 {
            let angle = position as f64 / theta.powf(2.0 * pair as f64 / head_dim as f64);
            cosines.extend([angle.cos() as f32; 2]);
            sines.extend([angle.sin() as f32; 2]);
        }
    }
    Ok((cosines, sines))
}

/// A matrix `[rows, columns]` turned: `[columns, rows]`.
///
/// ```
/// use anemone::mil::generate::weights;
/// assert_eq!(weights::transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Length`] when there are not as many numbers.
pub fn transposed(values: &[f32], rows: usize, columns: usize) -> Result<Vec<f32>, Error> {
    let expected = rows.saturating_mul(columns);
    if values.len() != expected {
        let what = format!("a matrix [{rows}, {columns}]");
        return Err(Error::Length { what, expected, found: values.len() });
    }
    Ok(super::transpose(values, columns))
}
