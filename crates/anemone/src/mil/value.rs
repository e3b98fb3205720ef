//! Literals.

use std::sync::Arc;

use super::Name;
use crate::types::{DType, Tensor, TensorType, Type};

/// A literal: a value that the program states, with its type.
///
/// A tensor of numbers, bools or strings is immediate or lies in a weight file. Scalars, of which programs are full,
/// are kept without an allocation; [`Value::from`] a tensor of rank 0 gives one.
///
/// ```
/// use anemone::{mil::Value, types::DType};
/// assert_eq!(Value::Float(DType::Fp16, 0.5).ty().to_string(), "fp16");
/// assert_eq!(Value::int32(3).to_tensor().unwrap().to_i64s(), [3]);
/// assert_eq!(Value::string("valid").as_str(), Some("valid"));
/// ```
///
/// ```
/// use anemone::mil::Value;
/// assert!(Value::bool(true).to_tensor().is_some());
/// ```
#[derive(Clone, Debug)]
pub enum Value {
    /// A whole number or bool.
    Int(DType, i64),
    /// A floating-point number, exactly as the dtype holds it.
    Float(DType, f64),
    /// A string.
    String(Arc<str>),
    /// An immediate tensor of rank 1 or more (or a scalar of dtype `uint64` above the range of `Int`).
    Tensor(Tensor),
    /// A tensor in a weight file.
    Blob(BlobRef),
    /// A list; its type gives the type of its items.
    List(Type, Vec<Value>),
    /// A tuple; its type gives the types of its items.
    Tuple(Type, Vec<Value>),
    /// A dict, in the order it is written; its type gives the types of keys and values.
    Dict(Type, Vec<(Value, Value)>),
}

/// Where a tensor lies in a weight file.
///
/// ```
/// use anemone::mil::BlobRef;
/// use anemone::types::{DType, TensorType};
/// let ty = TensorType::new(DType::Fp16, &[64, 64][..]);
/// let weight = BlobRef { ty, path: "@model_path/weights/weight.bin".into(), offset: 64 };
/// assert!(anemone::bundle::Weights::none().get(&weight).is_err(), "no file, no weight");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BlobRef {
    /// The type of the tensor.
    pub ty: TensorType,
    /// The path, with `@model_path` for the folder of the model.
    pub path: Name,
    /// The offset of the tensor's record in the file, in bytes.
    pub offset: u64,
}

impl Value {
    /// A scalar string.
    pub fn string(s: impl Into<Arc<str>>) -> Self {
        Value::String(s.into())
    }

    /// A scalar bool.
    pub fn bool(b: bool) -> Self {
        Value::Int(DType::Bool, i64::from(b))
    }

    /// A scalar of dtype int32.
    pub fn int32(i: i32) -> Self {
        Value::Int(DType::Int32, i64::from(i))
    }

    /// The type.
    pub fn ty(&self) -> Type {
        match self {
            Value::Int(d, _) | Value::Float(d, _) => Type::scalar(*d),
            Value::String(_) => Type::scalar(DType::String),
            Value::Tensor(t) => t.ty().into(),
            Value::Blob(b) => b.ty.clone().into(),
            Value::List(ty, _) | Value::Tuple(ty, _) | Value::Dict(ty, _) => ty.clone(),
        }
    }

    /// The tensor, if the literal is an immediate one.
    pub fn to_tensor(&self) -> Option<Tensor> {
        match self {
            Value::Int(d, v) => Tensor::from_i64s(*d, &[], &[*v]).ok(),
            Value::Float(d, v) => Tensor::from_f64s(*d, &[], &[*v]).ok(),
            Value::String(s) => Some(Tensor::string(Arc::clone(s))),
            Value::Tensor(t) => Some(t.clone()),
            _ => None,
        }
    }

    /// The string, if the literal is a scalar string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }
}

impl From<Tensor> for Value {
    fn from(t: Tensor) -> Self {
        if t.rank() > 0 {
            return Value::Tensor(t);
        }
        match t.dtype() {
            DType::String => Value::String(Arc::clone(&t.as_strings().expect("the dtype is string")[0])),
            d if d.is_float() => Value::Float(d, t.to_f64s()[0]),
            DType::UInt64 if t.to_i64s()[0] < 0 => Value::Tensor(t),
            d => Value::Int(d, t.to_i64s()[0]),
        }
    }
}

impl PartialEq for Value {
    /// Equal types and equal bits, so that a NaN equals itself and the two zeros differ.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Int(d, a), Value::Int(e, b)) => d == e && a == b,
            (Value::Float(d, a), Value::Float(e, b)) => {
                d == e && (a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
            }
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Tensor(a), Value::Tensor(b)) => a.same_bits(b),
            (Value::Blob(a), Value::Blob(b)) => a == b,
            (Value::List(t, a), Value::List(u, b)) | (Value::Tuple(t, a), Value::Tuple(u, b)) => {
                t == u && a == b
            }
            (Value::Dict(t, a), Value::Dict(u, b)) => t == u && a == b,
            _ => false,
        }
    }
}
