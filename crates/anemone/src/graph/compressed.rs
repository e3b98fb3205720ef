//! Constants that are stored compressed, and decompressed when the program is compiled or loaded.

use super::{Graph, Shape, Tensor};
use crate::mil::{Name, Opset};
use crate::source::{Diagnostic, Span, codes};
use crate::types::{self, DType, f16};

/// The dtypes of indices into a palette, narrow ones first.
const INDICES: [DType; 6] =
    [DType::UInt1, DType::UInt2, DType::UInt3, DType::UInt4, DType::UInt6, DType::UInt8];

/// The arguments of an op that decompresses.
type Parts = Vec<(&'static str, Result<types::Tensor, types::TensorError>)>;

impl Graph {
    /// A constant of fp16 stored in 8 bits: `scale * (data - zero_point)`.
    ///
    /// `scale` and `zero_point` are one number each, or one for each place along `axis`; no zero point at all is 0.
    ///
    /// ```
    /// use anemone::{Graph, Shape};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(2, 1, 64));
    /// let w = g.constant_affine(&[127, -127, 64, 0], &[0.01, 0.02], &[], 0, Shape { batch: 2, ..Shape::channels(2) });
    /// g.convolution_2d_1x1(x, w, None);
    /// # g.build()?;
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    #[track_caller]
    pub fn constant_affine(
        &mut self,
        data: &[i8],
        scale: &[f32],
        zero_point: &[i8],
        axis: usize,
        shape: Shape,
    ) -> Tensor {
        let at = self.place();
        if !self.fits(data.len(), shape, 1, "numbers", at) {
            return self.refused();
        }
        let zero_point = if zero_point.is_empty() { &[0] } else { zero_point };
        let parts = vec![
            ("quantized_data", types::Tensor::from_slice(&shape.dims(), data)),
            ("scale", halves(&vector_dims(scale), scale)),
            ("zero_point", types::Tensor::from_slice(&vector_dims(zero_point), zero_point)),
            ("axis", Ok(types::Tensor::scalar(DType::Int32, axis as f64))),
        ];
        self.compressed(at, "constexpr_affine_dequantize", parts)
    }

    /// A constant of fp16 stored in blocks of 4 or 8 bits: `scale * data`, as of iOS 18.
    ///
    /// `dtype` is [`DType::Int4`] or [`DType::Int8`]. `blocks` says into how many blocks each dimension is cut; each block
    /// has a scale, in row-major order.
    #[track_caller]
    pub fn constant_blockwise(
        &mut self,
        data: &[i8],
        dtype: DType,
        scale: &[f32],
        blocks: [usize; 4],
        shape: Shape,
    ) -> Tensor {
        let at = self.place();
        let scales = Shape::from(blocks);
        if !self.fits(data.len(), shape, 1, "numbers", at) || !self.fits(scale.len(), scales, 1, "scales", at)
        {
            return self.refused();
        }
        if !matches!(dtype, DType::Int4 | DType::Int8) {
            let message = format!("a constant in blocks is of int4 or int8, and {dtype} is asked for");
            self.refuse(Diagnostic::new(&codes::WRONG_DTYPE, message), at, "this constant");
            return self.refused();
        }
        let (low, high) = dtype.int_range();
        if let Some(wrong) = data.iter().find(|&&v| !(low..=high).contains(&i128::from(v))) {
            let message = format!("the constant has a {wrong}, and {dtype} holds {low} to {high}");
            self.refuse(Diagnostic::new(&codes::VALUE_RANGE, message), at, "this constant");
            return self.refused();
        }
        let numbers: Vec<i64> = data.iter().map(|&v| v.into()).collect();
        let data = types::Tensor::from_i64s(dtype, &shape.dims(), &numbers);
        let parts = vec![("data", data), ("scale", halves(&blocks, scale))];
        self.compressed(at, "constexpr_blockwise_shift_scale", parts)
    }

    /// A constant of fp16 stored as indices into a palette of at most 256 numbers, in as few bits as the palette needs.
    ///
    /// ```
    /// use anemone::{Graph, Shape};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(4, 1, 64));
    /// let w = g.constant_palette(&[0, 1, 2, 1], &[-0.5, 0.0, 0.5], Shape::channels(4));
    /// g.convolution_2d_1x1(x, w, None);
    /// # g.build()?;
    /// # Ok::<(), anemone::source::Diagnostics>(())
    /// ```
    #[track_caller]
    pub fn constant_palette(&mut self, indices: &[u8], palette: &[f32], shape: Shape) -> Tensor {
        let at = self.place();
        if !self.fits(indices.len(), shape, 1, "indices", at) {
            return self.refused();
        }
        let newer = self.opset() >= Opset::Ios18;
        // Before iOS 18 there was no palette of 8.
        let mut widths = INDICES.into_iter().filter(|&d| newer || d != DType::UInt3);
        let dtype = widths.find(|d| palette.len() <= 1 << d.bits());
        let Some(dtype) = dtype.filter(|_| !palette.is_empty()) else {
            let message = format!("the palette has {} numbers, and 1 to 256 can be named", palette.len());
            self.refuse(Diagnostic::new(&codes::BAD_VALUE, message), at, "this constant");
            return self.refused();
        };
        if let Some(wrong) = indices.iter().find(|&&i| usize::from(i) >= palette.len()) {
            let message = format!("an index is {wrong}, and the palette has {} numbers", palette.len());
            self.refuse(Diagnostic::new(&codes::INDEX_OUT_OF_RANGE, message), at, "this constant");
            return self.refused();
        }
        let mut entries = palette.to_vec();
        entries.resize(1 << dtype.bits(), 0.0);
        let numbers: Vec<i64> = indices.iter().map(|&i| i.into()).collect();
        let packed = types::Tensor::from_i64s(dtype, &shape.dims(), &numbers);
        let parts = if newer {
            vec![("indices", packed), ("lut", halves(&[1, 1, 1, 1, entries.len(), 1], &entries))]
        } else {
            let lut = halves(&[entries.len()], &entries);
            vec![("indices", packed.and_then(bytes_of)), ("lut", lut), ("shape", shape_tensor(shape))]
        };
        self.compressed(at, "constexpr_lut_to_dense", parts)
    }

    /// A constant of fp16 of which only the elements that are not 0 are stored, and a bit for each element.
    #[track_caller]
    pub fn constant_sparse(&mut self, data: &[f32], shape: Shape) -> Tensor {
        let at = self.place();
        if !self.fits(data.len(), shape, 1, "numbers", at) {
            return self.refused();
        }
        let bits: Vec<i64> = data.iter().map(|&v| i64::from(v != 0.0)).collect();
        let stored: Vec<f32> = data.iter().copied().filter(|&v| v != 0.0).collect();
        let newer = self.opset() >= Opset::Ios18;
        let mask = types::Tensor::from_i64s(DType::UInt1, &shape.dims(), &bits);
        let stored = ("nonzero_data", halves(&[stored.len()], &stored));
        let parts = if newer {
            vec![stored, ("mask", mask)]
        } else {
            vec![stored, ("mask", mask.and_then(bytes_of)), ("shape", shape_tensor(shape))]
        };
        self.compressed(at, "constexpr_sparse_to_dense", parts)
    }

    /// Calls an op that decompresses.
    fn compressed(&mut self, at: Span, op: &str, parts: Parts) -> Tensor {
        let given =
            parts.into_iter().map(|(name, part)| (Name::from(name), self.constant_at(part, at).into()));
        let given = given.collect();
        self.call(at, op, given).first()
    }
}

/// The bytes of packed elements.
fn bytes_of(packed: types::Tensor) -> Result<types::Tensor, types::TensorError> {
    types::Tensor::from_slice(&[packed.bytes().len()], packed.bytes())
}

/// Numbers of fp16.
fn halves(dims: &[usize], values: &[f32]) -> Result<types::Tensor, types::TensorError> {
    types::Tensor::from_slice(dims, &values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>())
}

/// One number is a scalar.
fn vector_dims<T>(values: &[T]) -> Vec<usize> {
    if values.len() == 1 { Vec::new() } else { vec![values.len()] }
}

fn shape_tensor(shape: Shape) -> Result<types::Tensor, types::TensorError> {
    types::Tensor::from_i64s(DType::UInt32, &[4], &shape.dims().map(|d| d as i64))
}
