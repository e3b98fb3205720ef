//! Elements in and out of surfaces: rows are visited, padding is left alone.

use std::ops::Range;

use super::TensorLayout;
use crate::types::DType;
use anemone_kernels::fp16::{cast_f16_f32, cast_f32_f16, f32_to_fp16};

/// Copies elements, which follow one another, into some channels.
pub(crate) fn scatter(surface: &mut [u8], layout: &TensorLayout, channels: Range<usize>, elements: &[u8]) {
    let row = layout.width * layout.elem_size;
    for (at, from) in layout.rows(channels).zip(elements.chunks_exact(row)) {
        surface[at..at + row].copy_from_slice(from);
    }
}

/// Copies the elements of some channels, so that they follow one another.
pub(crate) fn gather(surface: &[u8], layout: &TensorLayout, channels: Range<usize>, elements: &mut [u8]) {
    let row = layout.width * layout.elem_size;
    for (at, to) in layout.rows(channels).zip(elements.chunks_exact_mut(row)) {
        to.copy_from_slice(&surface[at..at + row]);
    }
}

/// The dtypes of surfaces whose elements are read and written as `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Fp16,
    Fp32,
}

impl Number {
    /// That of a dtype, if it is one.
    pub(crate) fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::Fp16 => Some(Number::Fp16),
            DType::Fp32 => Some(Number::Fp32),
            _ => None,
        }
    }

    /// Writes one number, rounded once, at the beginning of these bytes.
    pub(crate) fn put(self, bytes: &mut [u8], value: f32) {
        match self {
            Number::Fp16 => bytes[..2].copy_from_slice(&f32_to_fp16(value).to_ne_bytes()),
            Number::Fp32 => bytes[..4].copy_from_slice(&value.to_ne_bytes()),
        }
    }
}

/// Writes numbers into some channels, rounded once to the surface's elements.
pub(crate) fn scatter_as(
    number: Number,
    surface: &mut [u8],
    layout: &TensorLayout,
    channels: Range<usize>,
    values: &[f32],
) {
    let row = layout.width * layout.elem_size;
    for (at, from) in layout.rows(channels).zip(values.chunks_exact(layout.width)) {
        let to = &mut surface[at..at + row];
        match number {
            Number::Fp16 => cast_f32_f16(bytemuck::cast_slice_mut(to), from),
            Number::Fp32 => to.copy_from_slice(bytemuck::cast_slice(from)),
        }
    }
}

/// Reads the numbers of some channels.
pub(crate) fn gather_as(
    number: Number,
    surface: &[u8],
    layout: &TensorLayout,
    channels: Range<usize>,
    values: &mut [f32],
) {
    let row = layout.width * layout.elem_size;
    for (at, to) in layout.rows(channels).zip(values.chunks_exact_mut(layout.width)) {
        let from = &surface[at..at + row];
        match number {
            Number::Fp16 => cast_f16_f32(to, bytemuck::cast_slice(from)),
            Number::Fp32 => to.copy_from_slice(bytemuck::cast_slice(from)),
        }
    }
}

/// How many numbers are converted at a time.
const CHUNK: usize = 64;

/// Writes a matrix of row-major numbers, a column for each channel, into a surface of fp16 with one row a channel: the
/// number at row `r` and column `c` goes to channel `c` and place `place + r`.
pub(crate) fn scatter_transposed(surface: &mut [u8], layout: &TensorLayout, place: usize, values: &[f32]) {
    let mut numbers = [0.0; CHUNK];
    for channel in 0..layout.channels {
        let mut column = values.iter().skip(channel).step_by(layout.channels);
        let mut at = layout.offset(channel, 0, place);
        loop {
            let count = numbers.iter_mut().zip(&mut column).map(|(n, v)| *n = *v).count();
            if count == 0 {
                break;
            }
            let to = &mut surface[at..at + 2 * count];
            cast_f32_f16(bytemuck::cast_slice_mut(to), &numbers[..count]);
            at += 2 * count;
        }
    }
}

/// Reads a surface of fp16 with one row a channel into some columns of a matrix of row-major numbers, `columns` wide: the
/// number of channel `c` and place `r` goes to row `r` and column `first + c`. The places are as many as the matrix has
/// rows.
pub(crate) fn gather_transposed(
    surface: &[u8],
    layout: &TensorLayout,
    values: &mut [f32],
    columns: usize,
    first: usize,
) {
    let mut numbers = [0.0; CHUNK];
    for channel in 0..layout.channels {
        for (chunk, rows) in values.chunks_mut(columns * CHUNK).enumerate() {
            let count = rows.len() / columns;
            let at = layout.offset(channel, 0, chunk * CHUNK);
            cast_f16_f32(&mut numbers[..count], bytemuck::cast_slice(&surface[at..at + 2 * count]));
            for (row, number) in rows.chunks_exact_mut(columns).zip(&numbers) {
                row[first + channel] = *number;
            }
        }
    }
}
