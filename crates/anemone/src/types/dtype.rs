//! The element types of MIL.

use half::{bf16, f16};

/// The type of a tensor's elements.
///
/// ```
/// use anemone::types::DType;
/// assert_eq!((DType::Fp16.name(), DType::Fp16.bits(), DType::Int4.bytes_of(3)), ("fp16", 16, 2));
/// assert_eq!(DType::from_name("int8"), Some(DType::Int8));
/// assert_eq!(DType::Fp16.round(0.1), 0.0999755859375);
/// ```
///
/// What it is can be asked:
///
/// ```
/// use anemone::types::DType;
/// assert!(DType::Fp16.is_float() && DType::Int4.is_int() && DType::Int4.is_signed_int() && !DType::UInt4.is_signed_int());
/// assert_eq!((DType::Int4.int_range(), DType::Int4.is_sub_byte(), DType::Int8.is_sub_byte()), ((-8, 7), true, false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // The names are MIL's own.
pub enum DType {
    Bool,
    String,
    Fp16,
    Fp32,
    Fp64,
    Bf16,
    Fp8E4M3FN,
    Fp8E5M2,
    Int4,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt1,
    UInt2,
    UInt3,
    UInt4,
    UInt6,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
}

impl DType {
    /// Every dtype, in the order of the enumeration.
    pub const ALL: [DType; 22] = {
        use DType::*;
        [
            Bool, String, Fp16, Fp32, Fp64, Bf16, Fp8E4M3FN, Fp8E5M2, Int4, Int8, Int16, Int32, Int64, UInt1,
            UInt2, UInt3, UInt4, UInt6, UInt8, UInt16, UInt32, UInt64,
        ]
    };

    /// MIL's name of the dtype.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::String => "string",
            DType::Fp16 => "fp16",
            DType::Fp32 => "fp32",
            DType::Fp64 => "fp64",
            DType::Bf16 => "bf16",
            DType::Fp8E4M3FN => "fp8e4m3fn",
            DType::Fp8E5M2 => "fp8e5m2",
            DType::Int4 => "int4",
            DType::Int8 => "int8",
            DType::Int16 => "int16",
            DType::Int32 => "int32",
            DType::Int64 => "int64",
            DType::UInt1 => "uint1",
            DType::UInt2 => "uint2",
            DType::UInt3 => "uint3",
            DType::UInt4 => "uint4",
            DType::UInt6 => "uint6",
            DType::UInt8 => "uint8",
            DType::UInt16 => "uint16",
            DType::UInt32 => "uint32",
            DType::UInt64 => "uint64",
        }
    }

    /// The dtype of this name.
    pub fn from_name(name: &str) -> Option<DType> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// The number of bits of one element in memory; 0 for strings. A bool takes a byte.
    pub const fn bits(self) -> usize {
        match self {
            DType::String => 0,
            DType::UInt1 => 1,
            DType::UInt2 => 2,
            DType::UInt3 => 3,
            DType::Int4 | DType::UInt4 => 4,
            DType::UInt6 => 6,
            DType::Bool | DType::Int8 | DType::UInt8 | DType::Fp8E4M3FN | DType::Fp8E5M2 => 8,
            DType::Fp16 | DType::Bf16 | DType::Int16 | DType::UInt16 => 16,
            DType::Fp32 | DType::Int32 | DType::UInt32 => 32,
            DType::Fp64 | DType::Int64 | DType::UInt64 => 64,
        }
    }

    /// The number of bytes that `elements` of this dtype take; elements below a byte are packed without gaps.
    pub const fn bytes_of(self, elements: usize) -> usize {
        // Element counts are bounded by `MAX_ELEMENTS`, so that the product cannot overflow.
        (elements * self.bits()).div_ceil(8)
    }

    /// Whether elements are smaller than a byte.
    pub const fn is_sub_byte(self) -> bool {
        self.bits() > 0 && self.bits() < 8
    }

    /// Whether this is a floating-point dtype.
    pub const fn is_float(self) -> bool {
        matches!(
            self,
            DType::Fp16 | DType::Fp32 | DType::Fp64 | DType::Bf16 | DType::Fp8E4M3FN | DType::Fp8E5M2
        )
    }

    /// Whether this is a whole-number dtype, signed or not. A bool is not.
    pub const fn is_int(self) -> bool {
        !self.is_float() && !matches!(self, DType::Bool | DType::String)
    }

    /// Whether this is a signed whole-number dtype.
    pub const fn is_signed_int(self) -> bool {
        matches!(self, DType::Int4 | DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64)
    }

    /// The smallest and largest value of a whole-number dtype or bool.
    pub const fn int_range(self) -> (i128, i128) {
        if let DType::Bool = self {
            return (0, 1);
        }
        let bits = self.bits() as u32;
        if self.is_signed_int() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
    }
}

impl DType {
    /// The number that the dtype holds nearest to this one; see [`Tensor::from_f64s`](super::Tensor::from_f64s).
    pub fn round(self, value: f64) -> f64 {
        match self {
            DType::Fp16 => to_f16(value).to_f64(),
            DType::Bf16 => to_bf16(value).to_f64(),
            DType::Fp32 => (value as f32).into(),
            DType::Fp64 => value,
            DType::String => f64::NAN,
            _ => super::Tensor::scalar(self, value).to_f64s()[0],
        }
    }
}

/// The nearest fp16, of two equally near the even one.
pub(super) fn to_f16(value: f64) -> f16 {
    f16::from_f32(to_odd(value))
}

/// The nearest bf16, of two equally near the even one.
pub(super) fn to_bf16(value: f64) -> bf16 {
    bf16::from_f32(to_odd(value))
}

/// The number as fp32, rounded to odd, so that rounding it again to 16 bits is as good as rounding once. The
/// conversions of `half` from f64 overlook the lower half of the significand.
fn to_odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) == value || value.is_nan() {
        return near;
    }
    let away_from_zero = f64::from(near).abs() > value.abs();
    f32::from_bits((near.to_bits() - u32::from(away_from_zero)) | 1)
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of dtypes.
///
/// ```
/// use anemone::types::{DType, DTypes};
/// let floats = DTypes::of(&[DType::Fp16, DType::Fp32]);
/// assert!(floats.contains(DType::Fp16) && !floats.contains(DType::Int8));
/// assert_eq!(floats.iter().count(), 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DTypes(u32);

impl DTypes {
    /// Every dtype.
    pub const ANY: DTypes = DTypes(u32::MAX);

    /// The set of these.
    pub const fn of(dtypes: &[DType]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < dtypes.len() {
            bits |= 1 << dtypes[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    /// Whether the set holds this one.
    pub const fn contains(self, dtype: DType) -> bool {
        self.0 & (1 << dtype as u32) != 0
    }

    /// The members, in the order of [`DType::ALL`].
    pub fn iter(self) -> impl Iterator<Item = DType> {
        DType::ALL.into_iter().filter(move |&d| self.contains(d))
    }
}

impl std::fmt::Display for DTypes {
    /// The members' names: `fp16, fp32 or int32`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.iter().map(DType::name).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
            Some((last, _)) => f.write_str(last),
            None => f.write_str("nothing"),
        }
    }
}

impl std::fmt::Debug for DTypes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{self}}}")
    }
}
