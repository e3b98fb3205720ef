//! Types: what a program says of a value.

use super::{DType, Shape};

/// The type of a tensor. A scalar is a tensor of rank 0.
///
/// ```
/// use anemone::types::{DType, TensorType};
/// let ty = TensorType::new(DType::Fp16, &[1, 64, 1, 32][..]);
/// assert_eq!((ty.to_string().as_str(), ty.rank()), ("tensor<fp16, [1, 64, 1, 32]>", 4));
/// ```
///
/// ```
/// use anemone::types::{DType, TensorType};
/// assert_eq!(TensorType::scalar(DType::Bool).rank(), 0);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// The type of the elements.
    pub dtype: DType,
    /// The dimensions.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor type.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Self {
        Self { dtype, shape: Shape::scalar() }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.rank() == 0 {
            write!(f, "{}", self.dtype)
        } else {
            write!(f, "tensor<{}, {}>", self.dtype, self.shape)
        }
    }
}

/// A strided view of an input or output, as the segmenter behind Core ML writes it.
///
/// ```
/// use anemone::types::{BufferType, DType, Shape};
/// let rows = BufferType {
///     dtype: DType::Fp16,
///     shape: [1u64, 5].into_iter().collect::<Shape>(),
///     // Rows that begin at multiples of 64 bytes.
///     strides: vec![32, 1],
///     interleave_factors: vec![1, 1],
/// };
/// assert_eq!(rows.strides[0] * 2, 64);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct BufferType {
    /// The type of the elements.
    pub dtype: DType,
    /// The dimensions.
    pub shape: Shape,
    /// The distance in elements between neighbours along each dimension.
    pub strides: Vec<u64>,
    /// How many neighbours along each dimension lie side by side.
    pub interleave_factors: Vec<u64>,
}

/// The type of a value.
///
/// ```
/// use anemone::types::{DType, Shape, Type};
/// let known = Type::tensor(DType::Fp16, &[1, 4][..]);
/// let open = Type::tensor(DType::Fp16, Shape::unknown(2));
/// assert!(known.is_known() && !open.is_known() && known.fits(&open));
/// assert_eq!(Type::scalar(DType::Bool).to_string(), "bool");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// A tensor, or a scalar.
    Tensor(TensorType),
    /// A list of values of one type.
    List {
        /// The type of each item.
        item: Box<Type>,
        /// How many there are, if it is known.
        length: Option<u64>,
    },
    /// Several values.
    Tuple(Vec<Type>),
    /// A map from keys to values.
    Dict(Box<Type>, Box<Type>),
    /// A variable that outlives a run.
    State(Box<Type>),
    /// A strided view of an input or output.
    Buffer(BufferType),
}

impl Type {
    /// The type of a tensor with these known dimensions.
    pub fn tensor(dtype: DType, shape: impl Into<Shape>) -> Self {
        Type::Tensor(TensorType::new(dtype, shape))
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Self {
        Type::Tensor(TensorType::scalar(dtype))
    }

    /// The tensor type, if it is one.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(t) => Some(t),
            _ => None,
        }
    }

    /// Whether nothing is left open: every dimension is a number. Of a list that cannot be said before it is there.
    pub fn is_known(&self) -> bool {
        match self {
            Type::Tensor(t) => t.shape.known().is_some(),
            Type::State(t) => t.is_known(),
            Type::Buffer(b) => b.shape.known().is_some(),
            Type::List { .. } | Type::Tuple(_) | Type::Dict(..) => false,
        }
    }

    /// Whether a value of one type can be a value of the other: equal, but for dimensions that are not known.
    pub fn fits(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Tensor(a), Type::Tensor(b)) => a.dtype == b.dtype && a.shape.fits(&b.shape),
            (Type::List { item: a, length: n }, Type::List { item: b, length: m }) => {
                a.fits(b) && (n.is_none() || m.is_none() || n == m)
            }
            (Type::Tuple(a), Type::Tuple(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.fits(b)),
            (Type::Dict(a, x), Type::Dict(b, y)) => a.fits(b) && x.fits(y),
            (Type::State(a), Type::State(b)) => a.fits(b),
            (Type::Buffer(a), Type::Buffer(b)) => a == b,
            _ => false,
        }
    }

    /// The type that knows what either of two fitting types knows.
    pub fn or(&self, other: &Type) -> Type {
        match (self, other) {
            (Type::Tensor(a), Type::Tensor(b)) => {
                Type::Tensor(TensorType { dtype: a.dtype, shape: a.shape.or(&b.shape) })
            }
            (Type::List { item: a, length: n }, Type::List { item: b, length: m }) => {
                Type::List { item: Box::new(a.or(b)), length: n.or(*m) }
            }
            _ => self.clone(),
        }
    }
}

impl From<TensorType> for Type {
    fn from(t: TensorType) -> Self {
        Type::Tensor(t)
    }
}

impl std::fmt::Display for Type {
    /// The type as `program(1.3)` writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Tensor(t) => t.fmt(f),
            Type::List { item, length: Some(n) } => write!(f, "list<{item}, {n}>"),
            Type::List { item, length: None } => write!(f, "list<{item}, ?>"),
            Type::Tuple(items) => {
                f.write_str("tuple<")?;
                for (i, t) in items.iter().enumerate() {
                    write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(">")
            }
            Type::Dict(k, v) => write!(f, "dict<{k}, {v}>"),
            Type::State(t) => write!(f, "state<{t}>"),
            Type::Buffer(b) => write!(
                f,
                "tensor_buffer<{}, shape={}, strides={:?}, interleave_factors={:?}>",
                b.dtype, b.shape, b.strides, b.interleave_factors
            ),
        }
    }
}
