//! What a builder hands out: shapes, and handles of values.

/// The shape of a tensor of four dimensions: batch, channels, height, width (NCHW).
///
/// ```
/// use anemone::Shape;
/// assert_eq!(Shape::spatial(3, 4, 5), Shape { batch: 1, channels: 3, height: 4, width: 5 });
/// assert_eq!(Shape::channels(7).total_elements(), 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How many samples.
    pub batch: usize,
    /// How many channels each sample has.
    pub channels: usize,
    /// Rows of each channel.
    pub height: usize,
    /// Elements of each row.
    pub width: usize,
}

impl Shape {
    /// One sample of this many channels, rows and columns.
    pub const fn spatial(channels: usize, height: usize, width: usize) -> Self {
        Self { batch: 1, channels, height, width }
    }

    /// One sample of one number in each of these channels: `[1, channels, 1, 1]`.
    pub const fn channels(channels: usize) -> Self {
        Self::spatial(channels, 1, 1)
    }

    /// The product of the four. It does not overflow: it stops at [`usize::MAX`].
    pub const fn total_elements(self) -> usize {
        self.batch.saturating_mul(self.channels).saturating_mul(self.height).saturating_mul(self.width)
    }

    /// The four in their order.
    ///
    /// ```
    /// use anemone::Shape;
    /// assert_eq!(Shape::spatial(3, 4, 5).dims(), [1, 3, 4, 5]);
    /// ```
    pub const fn dims(self) -> [usize; 4] {
        [self.batch, self.channels, self.height, self.width]
    }
}

impl From<[usize; 4]> for Shape {
    fn from([batch, channels, height, width]: [usize; 4]) -> Self {
        Self { batch, channels, height, width }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {}, {}, {}]", self.batch, self.channels, self.height, self.width)
    }
}

/// A value of a [`Graph`](super::Graph): a handle that is copied, and holds no data.
///
/// It belongs to the graph that made it; another graph refuses it. The handle that a refused call gives stands for
/// nothing: what takes it is refused in silence, so that one fault is reported once.
///
/// ```
/// use anemone::{Graph, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// let y = g.transpose(x, [0, 3, 2, 1]);
/// assert_eq!(y.shape(), Some(Shape::spatial(64, 1, 4)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor {
    pub(super) graph: u64,
    pub(super) value: ValueOf,
    pub(super) shape: Option<Shape>,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ValueOf {
    /// The value of this number.
    Value(u32),
    /// What a refused call would have given.
    Refused,
    /// A result that its op does not have.
    Missing,
}

impl Tensor {
    /// The shape, if the value is a tensor of four known dimensions.
    /// [`Graph::type_of`](super::Graph::type_of) gives the type of any.
    pub fn shape(self) -> Option<Shape> {
        self.shape
    }
}

/// The results of an op whose number depends on its arguments, such as `split`.
///
/// A result that is not there is a handle that is refused where it is used.
///
/// ```
/// use anemone::{Graph, Shape, with};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(6, 1, 64));
/// let [a, b] = g.split(x, 1, with! { num_splits: 2 }).into();
/// let y = g.addition(a, b);
/// assert_eq!(y.shape(), Some(Shape::spatial(3, 1, 64)));
/// ```
///
/// ```
/// use anemone::{Graph, Shape, Tensor, graph::Tensors, with};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// let halves: Tensors = g.split(x, 1, with! { num_splits: 2 });
/// assert!(halves.len() == 2 && !halves.is_empty());
/// assert!(halves.iter().all(|half: &Tensor| half.shape() == Some(Shape::spatial(2, 1, 64))));
/// ```
#[derive(Clone, Debug)]
pub struct Tensors {
    pub(super) all: Vec<Tensor>,
    /// What stands for every result that is not there.
    pub(super) rest: Tensor,
}

impl Tensors {
    /// How many there are; of a refused call none.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those that there are, in the order of the op.
    pub fn iter(&self) -> std::slice::Iter<'_, Tensor> {
        self.all.iter()
    }

    /// The first result.
    pub(super) fn first(&self) -> Tensor {
        self[0]
    }
}

impl std::ops::Index<usize> for Tensors {
    type Output = Tensor;
    fn index(&self, index: usize) -> &Tensor {
        self.all.get(index).unwrap_or(&self.rest)
    }
}

impl IntoIterator for Tensors {
    type Item = Tensor;
    type IntoIter = std::vec::IntoIter<Tensor>;
    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<const N: usize> From<Tensors> for [Tensor; N] {
    fn from(tensors: Tensors) -> Self {
        std::array::from_fn(|i| tensors[i])
    }
}

/// The one result.
impl From<Tensors> for Tensor {
    fn from(tensors: Tensors) -> Self {
        tensors[0]
    }
}

/// No result.
impl From<Tensors> for () {
    fn from(_: Tensors) -> Self {}
}
