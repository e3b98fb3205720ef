//! Tensors in the memory of the host, and the other values that a program computes with.

use std::sync::Arc;

use anemone_kernels::memory::{Buffer, Mapped};
use half::{bf16, f16};

use super::dtype::{to_bf16, to_f16};
use super::{DType, MAX_ELEMENTS, Shape, State, TensorType, Type};

/// Why a tensor cannot be made.
///
/// ```
/// use anemone::types::{DType, Tensor};
/// assert!(Tensor::from_f64s(DType::Fp16, &[2, 2], &[1.0; 3]).is_err());
/// ```
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TensorError {
    /// The shape has more elements than [`MAX_ELEMENTS`], or the machine has no memory for them.
    #[error("a tensor of shape {shape:?} and dtype {dtype} is too large")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The dtype asked for.
        dtype: DType,
    },
    /// The data has another length than the shape.
    #[error("{found} bytes are given where shape {shape:?} and dtype {dtype} need {expected}")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// The dtype.
        dtype: DType,
        /// The bytes that the shape needs.
        expected: usize,
        /// The bytes that were given.
        found: usize,
    },
}

/// A Rust type that can be the element of a tensor.
///
/// ```
/// use anemone::types::{DType, Element, Tensor, f16};
/// assert_eq!((f16::DTYPE, <i8 as Element>::DTYPE), (DType::Fp16, DType::Int8));
/// let tensor = Tensor::from_slice(&[3], &[1i8, 2, 3])?;
/// assert_eq!(tensor.as_slice::<i8>(), Some(&[1, 2, 3][..]));
/// assert_eq!(tensor.as_slice::<u8>(), None);
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
pub trait Element: bytemuck::Pod {
    /// The dtype whose elements have this form.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),*) => { $(impl Element for $rust { const DTYPE: DType = DType::$dtype; })* };
}
elements!(f16 => Fp16, bf16 => Bf16, f32 => Fp32, f64 => Fp64, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    u8 => UInt8, u16 => UInt16, u32 => UInt32, u64 => UInt64);

/// A tensor: a dtype, a shape, and row-major elements. Cloning one shares the elements.
///
/// Elements smaller than a byte are packed, the first in the lowest bits. A bool is a byte, 0 or 1.
///
/// ```
/// use anemone::types::{DType, Tensor};
/// let t = Tensor::from_slice(&[2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
/// assert_eq!(t.dtype(), DType::Fp32);
/// assert_eq!(t.as_slice::<f32>().unwrap()[3], 4.0);
/// ```
///
/// Elements are shared until they are written, and can be looked at in other shapes:
///
/// ```
/// use anemone::types::{DType, Tensor};
/// use anemone_kernels::memory::Buffer;
/// let t = Tensor::from_slice(&[2, 3], &[1i32, 2, 3, 4, 5, 6])?;
/// let mut copy = t.clone();
/// assert!(copy.same_bits(&t) && t.clone().into_buffer().is_none(), "two hold the elements");
/// copy.as_mut_slice::<i32>().unwrap()[0] = 7;
/// copy.bytes_mut().unwrap()[4] = 8;
/// assert_eq!((copy.to_i64s()[..2].to_vec(), t.to_i64s()[0]), (vec![7, 8], 1));
/// assert_eq!(t.reshaped(&[3, 2])?.shape(), [3, 2]);
/// assert_eq!(t.pick(&[2], [5, 0])?.to_i64s(), [6, 1]); // elements 5 and 0
/// assert_eq!(copy.into_buffer().map(|bytes| bytes.len()), Some(24));
///
/// let flags = Tensor::from_bools(&[2], &[true, false])?;
/// let names = Tensor::from_strings(&[2], vec!["cat".into(), "dog".into()])?;
/// assert_eq!((flags.bytes(), &*names.as_strings().unwrap()[1]), (&[1, 0][..], "dog"));
/// let bytes = Tensor::from_buffer(DType::UInt4, &[3], Buffer::copy_of(&[0x21, 0x03]))?;
/// assert_eq!(bytes.to_i64s(), [1, 2, 3]);
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
///
/// ```
/// use anemone::types::{DType, Tensor};
/// let tensor = Tensor::from_bytes(DType::Int32, &[1, 1], &7i32.to_le_bytes())?;
/// assert!(tensor.rank() == 2 && !tensor.is_empty() && tensor.to_f64s() == [7.0]);
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone)]
enum Data {
    Owned(Arc<Buffer>),
    /// Bytes of a mapped file that start at a multiple of the element's size.
    Mapped(Arc<Mapped>, std::ops::Range<usize>),
    Strings(Arc<[Arc<str>]>),
}

/// The number of elements of a shape, if a tensor may have it.
fn elements(dtype: DType, shape: &[usize]) -> Result<usize, TensorError> {
    let extent = Shape::from(shape).extent();
    if extent > MAX_ELEMENTS {
        return Err(TensorError::TooLarge { shape: shape.to_vec(), dtype });
    }
    Ok(if shape.contains(&0) { 0 } else { extent as usize })
}

impl Tensor {
    /// A tensor of zeros (of `false`, of empty strings).
    ///
    /// # Errors
    ///
    /// [`TensorError::TooLarge`].
    pub fn zeros(dtype: DType, shape: &[usize]) -> Result<Self, TensorError> {
        let n = elements(dtype, shape)?;
        if dtype == DType::String {
            return Self::from_strings(shape, vec![Arc::from(""); n]);
        }
        Ok(Self {
            dtype,
            shape: shape.to_vec(),
            data: Data::Owned(Arc::new(Buffer::zeroed(dtype.bytes_of(n)))),
        })
    }

    /// A tensor on these bytes.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] when they are not as many as the shape needs.
    pub fn from_buffer(dtype: DType, shape: &[usize], buffer: Buffer) -> Result<Self, TensorError> {
        let expected = dtype.bytes_of(elements(dtype, shape)?);
        if buffer.len() != expected || dtype == DType::String {
            return Err(TensorError::Length { shape: shape.to_vec(), dtype, expected, found: buffer.len() });
        }
        Ok(Self { dtype, shape: shape.to_vec(), data: Data::Owned(Arc::new(buffer)) })
    }

    /// A tensor that holds a copy of these bytes.
    ///
    /// # Errors
    ///
    /// As [`Tensor::from_buffer`].
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> Result<Self, TensorError> {
        Self::from_buffer(dtype, shape, Buffer::copy_of(bytes))
    }

    /// A tensor on the bytes of a mapped file, which are not copied unless they are badly aligned.
    ///
    /// ```
    /// use anemone::types::{DType, Tensor};
    /// use anemone_kernels::memory::Mapped;
    /// let file = std::sync::Arc::new(Mapped::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").as_ref())?);
    /// let t = Tensor::from_mapped(DType::UInt8, &[9], &file, 0..9)?; // nothing is copied
    /// assert_eq!(t.bytes(), b"[package]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] when the range lies outside the file or is not as long as the shape needs.
    pub fn from_mapped(
        dtype: DType,
        shape: &[usize],
        file: &Arc<Mapped>,
        range: std::ops::Range<usize>,
    ) -> Result<Self, TensorError> {
        let expected = dtype.bytes_of(elements(dtype, shape)?);
        match file.get(range.clone()) {
            Some(bytes) if bytes.len() == expected && dtype != DType::String => {
                if bytes.as_ptr().addr() % (dtype.bits() / 8).max(1) != 0 {
                    return Self::from_bytes(dtype, shape, bytes);
                }
                Ok(Self { dtype, shape: shape.to_vec(), data: Data::Mapped(Arc::clone(file), range) })
            }
            found => Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype,
                expected,
                found: found.map_or(0, <[u8]>::len),
            }),
        }
    }

    /// A tensor that holds a copy of these elements.
    ///
    /// # Errors
    ///
    /// As [`Tensor::from_buffer`].
    pub fn from_slice<T: Element>(shape: &[usize], elements: &[T]) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, shape, bytemuck::cast_slice(elements))
    }

    /// A tensor of bools.
    ///
    /// # Errors
    ///
    /// As [`Tensor::from_buffer`].
    pub fn from_bools(shape: &[usize], values: &[bool]) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = values.iter().map(|&b| u8::from(b)).collect();
        Self::from_bytes(DType::Bool, shape, &bytes)
    }

    /// A tensor of strings.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`].
    pub fn from_strings(shape: &[usize], values: Vec<Arc<str>>) -> Result<Self, TensorError> {
        let expected = elements(DType::String, shape)?;
        if values.len() != expected {
            let (shape, found) = (shape.to_vec(), values.len());
            return Err(TensorError::Length { shape, dtype: DType::String, expected, found });
        }
        Ok(Self { dtype: DType::String, shape: shape.to_vec(), data: Data::Strings(values.into()) })
    }

    /// A tensor of any dtype but string from numbers, each rounded once: floats to nearest even, whole numbers
    /// toward zero and held to the range of the dtype, bools to "is not zero".
    ///
    /// # Errors
    ///
    /// As [`Tensor::from_buffer`].
    pub fn from_f64s(dtype: DType, shape: &[usize], values: &[f64]) -> Result<Self, TensorError> {
        let n = elements(dtype, shape)?;
        if values.len() != n || dtype == DType::String {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype,
                expected: n,
                found: values.len(),
            });
        }
        let mut buffer = Buffer::zeroed(dtype.bytes_of(n));
        macro_rules! fill {
            ($t:ty, $f:expr) => {
                for (to, &from) in
                    bytemuck::cast_slice_mut::<u8, $t>(buffer.bytes_mut()).iter_mut().zip(values)
                {
                    *to = ($f)(from);
                }
            };
        }
        match dtype {
            DType::Fp16 => fill!(f16, to_f16),
            DType::Bf16 => fill!(bf16, to_bf16),
            DType::Fp32 => fill!(f32, |v| v as f32),
            DType::Fp64 => fill!(f64, |v| v),
            DType::Int8 => fill!(i8, |v| v as i8),
            DType::Int16 => fill!(i16, |v| v as i16),
            DType::Int32 => fill!(i32, |v| v as i32),
            DType::Int64 => fill!(i64, |v| v as i64),
            DType::UInt8 => fill!(u8, |v| v as u8),
            DType::UInt16 => fill!(u16, |v| v as u16),
            DType::UInt32 => fill!(u32, |v| v as u32),
            DType::UInt64 => fill!(u64, |v| v as u64),
            DType::Bool => fill!(u8, |v: f64| u8::from(v != 0.0)),
            DType::Fp8E4M3FN | DType::Fp8E5M2 => fill!(u8, |v| fp8::from_f64(dtype, v)),
            _ => {
                let (low, high) = dtype.int_range();
                for (i, &v) in values.iter().enumerate() {
                    put_bits(buffer.bytes_mut(), dtype.bits(), i, (v as i128).clamp(low, high) as u8);
                }
            }
        }
        Self::from_buffer(dtype, shape, buffer)
    }

    /// A tensor of a whole-number dtype or bool from numbers; bits above the dtype are dropped, as processors do.
    ///
    /// # Errors
    ///
    /// As [`Tensor::from_buffer`]. Floating-point dtypes round to nearest even.
    pub fn from_i64s(dtype: DType, shape: &[usize], values: &[i64]) -> Result<Self, TensorError> {
        let n = elements(dtype, shape)?;
        if values.len() != n {
            return Err(TensorError::Length {
                shape: shape.to_vec(),
                dtype,
                expected: n,
                found: values.len(),
            });
        }
        let mut buffer = Buffer::zeroed(dtype.bytes_of(n));
        macro_rules! fill {
            ($t:ty) => {
                for (to, &from) in
                    bytemuck::cast_slice_mut::<u8, $t>(buffer.bytes_mut()).iter_mut().zip(values)
                {
                    *to = from as $t;
                }
            };
        }
        match dtype {
            DType::Int8 | DType::UInt8 => fill!(u8),
            DType::Int16 | DType::UInt16 => fill!(u16),
            DType::Int32 | DType::UInt32 => fill!(u32),
            DType::Int64 | DType::UInt64 => fill!(u64),
            DType::Bool => {
                for (to, &from) in buffer.bytes_mut().iter_mut().zip(values) {
                    *to = u8::from(from != 0);
                }
            }
            d if d.is_sub_byte() => {
                for (i, &v) in values.iter().enumerate() {
                    put_bits(buffer.bytes_mut(), d.bits(), i, v as u8);
                }
            }
            _ => return Self::from_f64s(dtype, shape, &values.iter().map(|&v| v as f64).collect::<Vec<_>>()),
        }
        Self::from_buffer(dtype, shape, buffer)
    }

    /// A scalar of any numeric dtype or bool.
    pub fn scalar(dtype: DType, value: f64) -> Self {
        Self::from_f64s(dtype, &[], &[value]).expect("a scalar of a numeric dtype always fits")
    }

    /// A scalar string.
    pub fn string(value: impl Into<Arc<str>>) -> Self {
        Self { dtype: DType::String, shape: Vec::new(), data: Data::Strings(Arc::new([value.into()])) }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type.
    pub fn ty(&self) -> TensorType {
        TensorType { dtype: self.dtype, shape: Shape::from(self.shape.as_slice()) }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as bytes; none for strings.
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Owned(b) => b.bytes(),
            Data::Mapped(m, range) => &m[range.clone()],
            Data::Strings(_) => &[],
        }
    }

    /// The elements, if the dtype is that of `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        if self.dtype != T::DTYPE { None } else { bytemuck::try_cast_slice(self.bytes()).ok() }
    }

    /// The elements to write, if the dtype is that of `T`; a copy is made first if they are shared.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        if self.dtype != T::DTYPE { None } else { bytemuck::try_cast_slice_mut(self.bytes_mut()?).ok() }
    }

    /// The bytes to write, unless the elements are strings; a copy is made first if they are shared.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if let Data::Mapped(m, range) = &self.data {
            self.data = Data::Owned(Arc::new(Buffer::copy_of(&m[range.clone()])));
        }
        match &mut self.data {
            Data::Owned(b) => Some(Arc::make_mut(b).bytes_mut()),
            _ => None,
        }
    }

    /// The owned bytes, if nothing else shares them: an engine uses them for its next result.
    pub fn into_buffer(self) -> Option<Buffer> {
        match self.data {
            Data::Owned(b) => Arc::into_inner(b),
            _ => None,
        }
    }

    /// The strings, if the dtype is string.
    pub fn as_strings(&self) -> Option<&[Arc<str>]> {
        match &self.data {
            Data::Strings(s) => Some(s),
            _ => None,
        }
    }

    /// Every element as a number; whole numbers above 2^53 are rounded. Strings give nothing.
    pub fn to_f64s(&self) -> Vec<f64> {
        macro_rules! all {
            ($t:ty, $f:expr) => {
                bytemuck::cast_slice::<u8, $t>(self.bytes()).iter().map($f).collect()
            };
        }
        match self.dtype {
            DType::String => Vec::new(),
            DType::Fp16 => all!(f16, |v| v.to_f64()),
            DType::Bf16 => all!(bf16, |v| v.to_f64()),
            DType::Fp32 => all!(f32, |&v| f64::from(v)),
            DType::Fp64 => all!(f64, |&v| v),
            DType::Fp8E4M3FN | DType::Fp8E5M2 => {
                self.bytes().iter().map(|&b| fp8::to_f64(self.dtype, b)).collect()
            }
            _ => self.to_i64s().into_iter().map(|v| v as f64).collect(),
        }
    }

    /// Every element as a whole number; floats are cut toward zero. Strings give nothing.
    pub fn to_i64s(&self) -> Vec<i64> {
        macro_rules! all {
            ($t:ty) => {
                bytemuck::cast_slice::<u8, $t>(self.bytes()).iter().map(|&v| v as i64).collect()
            };
        }
        match self.dtype {
            DType::String => Vec::new(),
            DType::Bool => all!(u8),
            DType::Int8 => all!(i8),
            DType::Int16 => all!(i16),
            DType::Int32 => all!(i32),
            DType::Int64 => all!(i64),
            DType::UInt8 => all!(u8),
            DType::UInt16 => all!(u16),
            DType::UInt32 => all!(u32),
            DType::UInt64 => all!(u64),
            d if d.is_sub_byte() => (0..self.len())
                .map(|i| {
                    let v = i64::from(get_bits(self.bytes(), d.bits(), i));
                    if d == DType::Int4 && v > 7 { v - 16 } else { v }
                })
                .collect(),
            _ => self.to_f64s().into_iter().map(|v| v as i64).collect(),
        }
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] when the shape has another number of elements.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Tensor, TensorError> {
        let n = elements(self.dtype, shape)?;
        if n != self.len() {
            let (dtype, expected, found) = (self.dtype, n, self.len());
            return Err(TensorError::Length { shape: shape.to_vec(), dtype, expected, found });
        }
        Ok(Tensor { dtype: self.dtype, shape: shape.to_vec(), data: self.data.clone() })
    }

    /// A tensor of the elements at these indices (row-major, counted from 0), in this shape. Elements of any dtype
    /// are moved as they are.
    ///
    /// # Errors
    ///
    /// [`TensorError::Length`] when there are not as many indices as the shape has elements.
    ///
    /// # Panics
    ///
    /// When an index lies outside the tensor.
    pub fn pick(
        &self,
        shape: &[usize],
        indices: impl IntoIterator<Item = usize>,
    ) -> Result<Tensor, TensorError> {
        let n = elements(self.dtype, shape)?;
        if let Some(strings) = self.as_strings() {
            let picked = indices.into_iter().take(n).map(|i| Arc::clone(&strings[i]));
            return Self::from_strings(shape, picked.collect());
        }
        let mut out = Buffer::zeroed(self.dtype.bytes_of(n));
        let from = self.bytes();
        let mut count = 0;
        macro_rules! copy {
            ($t:ty) => {{
                let from = bytemuck::cast_slice::<u8, $t>(from);
                let to = bytemuck::cast_slice_mut::<u8, $t>(out.bytes_mut());
                for (to, i) in to.iter_mut().zip(indices) {
                    *to = from[i];
                    count += 1;
                }
            }};
        }
        match self.dtype.bits() {
            8 => copy!(u8),
            16 => copy!(u16),
            32 => copy!(u32),
            64 => copy!(u64),
            bits => {
                for i in indices.into_iter().take(n) {
                    put_bits(out.bytes_mut(), bits, count, get_bits(from, bits, i));
                    count += 1;
                }
            }
        }
        if count != n {
            let (shape, dtype) = (shape.to_vec(), self.dtype);
            return Err(TensorError::Length { shape, dtype, expected: n, found: count });
        }
        Self::from_buffer(self.dtype, shape, out)
    }

    /// Whether two tensors have the same dtype, shape and bits.
    pub fn same_bits(&self, other: &Tensor) -> bool {
        self.dtype == other.dtype
            && self.shape == other.shape
            && self.bytes() == other.bytes()
            && self.as_strings() == other.as_strings()
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.ty())?;
        let mut list = f.debug_list();
        match self.as_strings() {
            Some(s) => list.entries(s.iter().take(8)),
            None if self.len() > 1 << 16 => &mut list,
            None => list.entries(self.to_f64s().iter().take(8)),
        };
        list.finish()
    }
}

/// The `index`th element of `bits` bits of a packed stream.
fn get_bits(bytes: &[u8], bits: usize, index: usize) -> u8 {
    let at = index * bits;
    let low = u16::from(bytes[at / 8]);
    let high = u16::from(bytes.get(at / 8 + 1).copied().unwrap_or(0));
    (((low | high << 8) >> (at % 8)) & ((1 << bits) - 1)) as u8
}

/// Writes the `index`th element of `bits` bits of a packed stream whose bits there are zero.
fn put_bits(bytes: &mut [u8], bits: usize, index: usize, value: u8) {
    let at = index * bits;
    let word = (u16::from(value) & ((1 << bits) - 1)) << (at % 8);
    bytes[at / 8] |= word as u8;
    if word >> 8 != 0 {
        bytes[at / 8 + 1] |= (word >> 8) as u8;
    }
}

/// The two 8-bit floating-point formats of the OCP 8-bit specification.
mod fp8 {
    use super::DType;

    /// (bits of the exponent, bits of the significand, whether the top exponent holds infinities)
    fn form(dtype: DType) -> (i32, i32, bool) {
        if dtype == DType::Fp8E5M2 { (5, 2, true) } else { (4, 3, false) }
    }

    pub(super) fn to_f64(dtype: DType, byte: u8) -> f64 {
        let (e, m, ieee) = form(dtype);
        let sign = if byte & 0x80 != 0 { -1.0 } else { 1.0 };
        let exponent = i32::from(byte & 0x7f) >> m;
        let fraction = i32::from(byte) & ((1 << m) - 1);
        let bias = (1 << (e - 1)) - 1;
        if ieee && exponent == (1 << e) - 1 {
            return if fraction == 0 { sign * f64::INFINITY } else { f64::NAN };
        }
        if !ieee && byte & 0x7f == 0x7f {
            return f64::NAN;
        }
        let (whole, exponent) = if exponent == 0 { (0, 1) } else { (1 << m, exponent) };
        sign * f64::from(whole + fraction) * 2f64.powi(exponent - bias - m)
    }

    pub(super) fn from_f64(dtype: DType, value: f64) -> u8 {
        // 256 candidates: the nearest, of two equally near the even one. Values past the largest become infinite,
        // or NaN where the format has no infinity.
        let sign = if value.is_sign_negative() { 0x80 } else { 0 };
        let (_, _, ieee) = form(dtype);
        let a = value.abs();
        let nan = if ieee { 0x7e } else { 0x7f };
        if a.is_nan() {
            return nan;
        }
        let top = if ieee { 0x7b } else { 0x7e };
        let largest = to_f64(dtype, top);
        let step = largest - to_f64(dtype, top - 1);
        if a >= largest + step / 2.0 {
            return sign | if ieee { 0x7c } else { nan };
        }
        let mut best = 0;
        for b in 0..=top {
            let (d, e) = ((to_f64(dtype, b) - a).abs(), (to_f64(dtype, best) - a).abs());
            if d < e || (d == e && b % 2 == 0) {
                best = b;
            }
        }
        sign | best
    }
}

/// A value that a running program holds.
///
/// ```
/// use anemone::types::{DType, Datum, Tensor};
/// let datum = Datum::from(Tensor::scalar(DType::Int32, 3.0));
/// assert_eq!(datum.as_tensor().unwrap().to_i64s(), [3]);
/// assert_eq!(datum.ty().to_string(), "int32");
/// ```
///
/// ```
/// use anemone::types::{Datum, Tensor};
/// assert_eq!(Datum::from(Tensor::from_slice(&[3], &[1.0f32; 3])?).size(), 12); // bytes
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
#[derive(Clone, Debug)]
pub enum Datum {
    /// A tensor, or a scalar.
    Tensor(Tensor),
    /// A list of tensors; items that were not written yet are `None`.
    List {
        /// The type of each item, as far as it is known.
        item: Box<Type>,
        /// The items.
        items: Vec<Option<Tensor>>,
    },
    /// A map from keys to values, in the order of the keys' list.
    Dict(Vec<(Tensor, Tensor)>),
    /// A variable that outlives the run.
    State(State),
}

impl Datum {
    /// The tensor, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Datum::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// The type of this value.
    pub fn ty(&self) -> Type {
        match self {
            Datum::Tensor(t) => t.ty().into(),
            Datum::List { item, items } => {
                Type::List { item: item.clone(), length: Some(items.len() as u64) }
            }
            Datum::Dict(pairs) => {
                let of =
                    |t: Option<&Tensor>, or: DType| Box::new(t.map_or(Type::scalar(or), |t| t.ty().into()));
                let first = pairs.first();
                Type::Dict(of(first.map(|p| &p.0), DType::String), of(first.map(|p| &p.1), DType::Fp32))
            }
            Datum::State(s) => Type::State(Box::new(s.read().ty().into())),
        }
    }

    /// The bytes that this value holds in memory.
    pub fn size(&self) -> usize {
        match self {
            Datum::Tensor(t) => t.bytes().len(),
            Datum::List { items, .. } => items.iter().flatten().map(|t| t.bytes().len()).sum(),
            _ => 0,
        }
    }
}

impl From<Tensor> for Datum {
    fn from(t: Tensor) -> Self {
        Datum::Tensor(t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_byte_elements_are_one_stream_with_the_first_in_the_lowest_bits() {
        let t = Tensor::from_i64s(DType::UInt3, &[5], &[1, 2, 3, 4, 7]).unwrap();
        assert_eq!(t.bytes(), [0b1101_0001, 0b0111_1000]);
        assert_eq!(t.to_i64s(), [1, 2, 3, 4, 7]);
        let t = Tensor::from_i64s(DType::Int4, &[3], &[-8, 7, -1]).unwrap();
        assert_eq!(t.to_i64s(), [-8, 7, -1]);
    }

    #[test]
    fn numbers_are_rounded_once_to_nearest_even() {
        let t = Tensor::from_f64s(DType::Fp16, &[4], &[2049.0, 65519.99, 65520.0, 2f64.powi(-25)]).unwrap();
        assert_eq!(t.to_f64s(), [2048.0, 65504.0, f64::INFINITY, 0.0]);
        // Just above the middle between two numbers: by less than f32 can tell.
        let above = 2049.0 + 2f64.powi(-40);
        assert_eq!(Tensor::scalar(DType::Fp16, above).to_f64s(), [2050.0]);
        assert_eq!(Tensor::scalar(DType::Fp16, -above).to_f64s(), [-2050.0]);
        assert_eq!(Tensor::scalar(DType::Bf16, 257.0 + 2f64.powi(-40)).to_f64s(), [258.0]);
    }

    #[test]
    fn fp8_codes_survive() {
        for dtype in [DType::Fp8E4M3FN, DType::Fp8E5M2] {
            for b in 0..=255u8 {
                let v = fp8::to_f64(dtype, b);
                if !v.is_nan() {
                    assert_eq!(fp8::from_f64(dtype, v), b, "{dtype} {b:#x} {v}");
                }
            }
        }
        assert_eq!(fp8::to_f64(DType::Fp8E4M3FN, 0x7e), 448.0);
        assert_eq!(fp8::to_f64(DType::Fp8E5M2, 0x7b), 57344.0);
    }

    #[test]
    fn a_shape_of_two_to_the_sixty_is_refused_before_anything_is_allocated() {
        assert!(matches!(Tensor::zeros(DType::Fp16, &[1 << 60]), Err(TensorError::TooLarge { .. })));
        for shape in [[1 << 40, 1 << 40, 1], [0, 1 << 40, 1 << 40], [1 << 40, 1 << 40, 0]] {
            assert!(matches!(Tensor::zeros(DType::Fp16, &shape), Err(TensorError::TooLarge { .. })));
        }
    }
}
