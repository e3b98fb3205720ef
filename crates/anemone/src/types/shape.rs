//! Shapes: what a program says of the extent of a tensor.

use smallvec::SmallVec;

/// The most elements that a tensor may have: 2^40. A larger one is refused before anything is allocated.
///
/// ```
/// use anemone::types::{DType, MAX_ELEMENTS, Tensor};
/// assert!(Tensor::zeros(DType::Fp16, &[MAX_ELEMENTS as usize + 1]).is_err());
/// ```
pub const MAX_ELEMENTS: u64 = 1 << 40;

/// The most dimensions that a tensor may have. Core ML's ops take at most 5; a few reshapes in the wild reach more.
///
/// ```
/// assert!(anemone::types::MAX_RANK >= 5, "as many dimensions as Core ML has");
/// ```
pub const MAX_RANK: usize = 64;

/// One dimension.
///
/// ```
/// use anemone::types::Dim;
/// let known = Dim::from(4u64);
/// assert_eq!((known.known(), Dim::Unknown.known()), (Some(4), None));
/// assert!(known.fits(Dim::Unknown) && !known.fits(Dim::from(5u64)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number of elements that is known when the program is read.
    Known(u64),
    /// A number that is known when the program runs: `?`.
    Unknown,
}

impl Dim {
    /// The number, if it is known.
    pub fn known(self) -> Option<u64> {
        match self {
            Dim::Known(n) => Some(n),
            Dim::Unknown => None,
        }
    }

    /// Whether the two can be the same number.
    pub fn fits(self, other: Dim) -> bool {
        match (self, other) {
            (Dim::Known(a), Dim::Known(b)) => a == b,
            _ => true,
        }
    }

    /// The known one of two dims that fit.
    pub fn or(self, other: Dim) -> Dim {
        if self == Dim::Unknown { other } else { self }
    }

    /// Applies a function to the number, if it is known.
    pub fn map(self, f: impl FnOnce(u64) -> u64) -> Dim {
        self.known().map_or(Dim::Unknown, |n| Dim::Known(f(n)))
    }
}

impl From<u64> for Dim {
    fn from(n: u64) -> Self {
        Dim::Known(n)
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim::Known(n as u64)
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

impl std::fmt::Debug for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The dimensions of a tensor, outermost first.
///
/// ```
/// use anemone::types::{Dim, Shape};
/// let s: Shape = [2u64, 3].into_iter().collect();
/// assert_eq!(s.to_string(), "[2, 3]");
/// assert_eq!(s.elements(), Some(6));
/// ```
///
/// Two shapes of which each knows something make one that knows both:
///
/// ```
/// use anemone::types::{DType, Dim, Shape, Type};
/// let (rows, columns) = (Shape::from_iter([Dim::Known(2), Dim::Unknown]), Shape::from_iter([Dim::Unknown, Dim::Known(3)]));
/// assert_eq!(rows.or(&columns).known(), Some(vec![2, 3]));
/// assert_eq!(Dim::Unknown.or(Dim::Known(3)), Dim::Known(3));
/// let [a, b] = [rows, columns].map(|shape| Type::tensor(DType::Fp16, shape));
/// assert_eq!(a.or(&b).to_string(), "tensor<fp16, [2, 3]>");
/// ```
///
/// ```
/// use anemone::types::Shape;
/// let shape = Shape::from_iter([2usize, 3]);
/// assert_eq!((shape.rank(), shape.extent()), (2, 6));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[Dim; 5]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// A shape of unknown dimensions.
    pub fn unknown(rank: usize) -> Self {
        std::iter::repeat_n(Dim::Unknown, rank).collect()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimensions, if all are known.
    pub fn known(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|d| d.known().map(|n| n as usize)).collect()
    }

    /// The number of elements, if it is known. It does not overflow: it stops at [`u64::MAX`].
    pub fn elements(&self) -> Option<u64> {
        let extent = self.extent();
        let mut zero = false;
        for d in &self.0 {
            zero |= d.known()? == 0;
        }
        Some(if zero { 0 } else { extent })
    }

    /// The product of the known dimensions that are not 0. It does not overflow: it stops at [`u64::MAX`].
    ///
    /// No tensor may have more than [`MAX_ELEMENTS`] of it, even if it has no elements, so that strides and offsets
    /// never overflow.
    pub fn extent(&self) -> u64 {
        self.0.iter().filter_map(|d| d.known()).filter(|&d| d > 0).fold(1, u64::saturating_mul)
    }

    /// Whether the two can be the same shape.
    pub fn fits(&self, other: &Shape) -> bool {
        self.rank() == other.rank() && self.iter().zip(other.iter()).all(|(a, b)| a.fits(*b))
    }

    /// The shape that knows what either of two fitting shapes knows.
    pub fn or(&self, other: &Shape) -> Shape {
        self.iter().zip(other.iter()).map(|(a, b)| a.or(*b)).collect()
    }
}

impl std::ops::Deref for Shape {
    type Target = [Dim];
    fn deref(&self) -> &[Dim] {
        &self.0
    }
}

impl std::ops::DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [Dim] {
        &mut self.0
    }
}

impl<D: Into<Dim>> FromIterator<D> for Shape {
    fn from_iter<I: IntoIterator<Item = D>>(dims: I) -> Self {
        Self(dims.into_iter().map(Into::into).collect())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        dims.iter().copied().collect()
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, d) in self.0.iter().enumerate() {
            write!(f, "{}{d}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
