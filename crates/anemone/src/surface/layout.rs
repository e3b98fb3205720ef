//! How a tensor lies in a surface.

use crate::error::Error;
use crate::types::{DType, TensorType};

/// Rows begin at multiples of this many bytes (sources: tmc/apple, the M3 Ultra notes).
///
/// ```
/// use anemone::surface::{ROW_ALIGNMENT, row_stride_for};
/// assert_eq!(row_stride_for(1, 2), ROW_ALIGNMENT);
/// ```
pub const ROW_ALIGNMENT: usize = 64;

/// The bytes from the begin of a row to that of the next, for so many elements of so many bytes: the row, filled up to a
/// multiple of 64.
///
/// ```
/// use anemone::row_stride_for;
/// assert_eq!([1, 32, 33].map(|width| row_stride_for(width, 2)), [64, 64, 128]);
/// ```
pub fn row_stride_for(width: usize, elem_size: usize) -> usize {
    width.saturating_mul(elem_size).checked_next_multiple_of(ROW_ALIGNMENT).unwrap_or(usize::MAX)
}

/// How a tensor lies in a surface: channels of planes, planes of rows, rows of elements, in bytes.
///
/// The element at channel `c`, row `h` and column `x` begins at byte `c * plane_stride + h * row_stride + x *
/// elem_size`. What lies between rows is padding, which nothing reads or writes. Of a tensor with several batches the
/// channels of all of them follow one another.
///
/// ```
/// use anemone::TensorLayout;
/// let layout = TensorLayout::new(3, 2, 5, 2)?;
/// assert_eq!((layout.row_stride, layout.plane_stride), (64, 128));
/// assert_eq!((layout.alloc_size(), layout.logical_bytes(), layout.logical_elements()), (384, 60, 30));
/// assert_eq!(layout.offset(2, 1, 4), 2 * 128 + 64 + 8);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Elements can be counted without padding:
///
/// ```
/// use anemone::TensorLayout;
/// let rows = TensorLayout::new(3, 2, 5, 2)?; // 3 channels of 2 rows of 5 elements of 2 bytes
/// assert_eq!((rows.channel_elements(), rows.is_dense(), rows.is_valid()), (10, false, true));
/// assert_eq!(rows.offset_of(10), rows.plane_stride); // the first of the second channel
/// assert!(TensorLayout::new(1, 1, 32, 2)?.is_dense(), "rows of 64 bytes have no padding");
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// use anemone::{TensorLayout, types::{DType, TensorType}};
/// let layout = TensorLayout::of("x", &TensorType::new(DType::Fp16, &[1, 2, 1, 40][..]))?;
/// assert_eq!((layout.row_stride, layout.alloc_size()), (128, 256));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorLayout {
    /// How many planes there are.
    pub channels: usize,
    /// How many elements a row has.
    pub width: usize,
    /// How many rows a plane has.
    pub height: usize,
    /// The bytes of an element.
    pub elem_size: usize,
    /// The bytes from a row to the next.
    pub row_stride: usize,
    /// The bytes from a plane to the next.
    pub plane_stride: usize,
}

impl TensorLayout {
    /// The layout that the engine gives a tensor: rows filled up to 64 bytes, planes and channels without gaps.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when a number is 0, or when the surface would be larger than one can be.
    pub fn new(channels: usize, height: usize, width: usize, elem_size: usize) -> Result<Self, Error> {
        let row_stride = row_stride_for(width, elem_size);
        let plane_stride = row_stride.checked_mul(height);
        let all = plane_stride.and_then(|p| p.checked_mul(channels));
        let fits = all.is_some_and(|n| 0 < n && n <= anemone_apple::MAX_BYTES) && width > 0 && elem_size > 0;
        match plane_stride {
            Some(plane_stride) if fits => {
                Ok(Self { channels, width, height, elem_size, row_stride, plane_stride })
            }
            _ => Err(Error::Surface(format!(
                "{channels} channels of {height} rows of {width} elements of {elem_size} bytes do not fit a surface of 1 to {} bytes",
                anemone_apple::MAX_BYTES
            ))),
        }
    }

    /// The layout of a tensor of this type: its last dimension lies in rows, the one before in planes, all others in
    /// channels.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedLayout`] when a dimension is not known, when the tensor is empty or too large, or when its
    /// elements are not whole bytes.
    pub fn of(name: &str, ty: &TensorType) -> Result<Self, Error> {
        let unsupported = |reason: String| Error::UnsupportedLayout { name: name.into(), reason };
        let shape = ty.shape.known().ok_or_else(|| {
            unsupported(format!(
                "is `{ty}`, and a surface needs to know every dimension: write a function for each shape"
            ))
        })?;
        if ty.dtype.is_sub_byte() || ty.dtype == DType::String {
            return Err(unsupported(format!("is `{ty}`, whose elements do not lie in a surface")));
        }
        let (rest, width) = shape.split_at(shape.len().saturating_sub(1));
        let (rest, height) = rest.split_at(rest.len().saturating_sub(1));
        let channels = rest.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        let one = |d: &[usize]| d.first().copied().unwrap_or(1);
        Self::new(channels, one(height), one(width), ty.dtype.bits() / 8)
            .map_err(|e| unsupported(format!("is `{ty}`: {e}")))
    }

    /// How the engine says that a tensor lies.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedLayout`] when its batches do not follow one another without a gap, or when elements begin at
    /// odd places.
    pub(crate) fn of_symbol(symbol: &anemone_apple::neural::Symbol) -> Result<Self, Error> {
        let s = symbol;
        let layout = Self {
            channels: s.batches * s.channels,
            width: s.width,
            height: s.height,
            elem_size: s.element_bytes,
            row_stride: s.row_stride,
            plane_stride: s.plane_stride,
        };
        let follow = s.batches == 1 || s.batch_stride == s.channels * s.plane_stride;
        let aligned = [s.row_stride, s.plane_stride].iter().all(|n| n.is_multiple_of(s.element_bytes));
        if follow && aligned && layout.is_valid() {
            return Ok(layout);
        }
        Err(Error::UnsupportedLayout {
            name: s.name.clone(),
            reason: format!(
                "has {} batches {} bytes apart, of {} channels {} bytes apart, of {} rows {} bytes apart, of {} elements of {} bytes",
                s.batches,
                s.batch_stride,
                s.channels,
                s.plane_stride,
                s.height,
                s.row_stride,
                s.width,
                s.element_bytes
            ),
        })
    }

    /// The bytes of the surface, padding included.
    pub fn alloc_size(&self) -> usize {
        self.channels.saturating_mul(self.plane_stride)
    }

    /// The bytes of the elements alone.
    pub fn logical_bytes(&self) -> usize {
        self.logical_elements().saturating_mul(self.elem_size)
    }

    /// The number of elements.
    pub fn logical_elements(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// The elements of one channel.
    pub fn channel_elements(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// The byte at which an element begins.
    pub fn offset(&self, channel: usize, row: usize, column: usize) -> usize {
        channel * self.plane_stride + row * self.row_stride + column * self.elem_size
    }

    /// The byte at which the element of this number begins, counted without padding.
    pub fn offset_of(&self, element: usize) -> usize {
        let (row, column) = (element / self.width, element % self.width);
        self.offset(row / self.height, row % self.height, column)
    }

    /// Whether there is no padding, so that the elements follow one another.
    pub fn is_dense(&self) -> bool {
        let row = self.width * self.elem_size;
        (row == self.row_stride || self.height * self.channels == 1)
            && (self.height * self.row_stride == self.plane_stride || self.channels == 1)
    }

    /// Whether the numbers agree with one another: every element lies within [`TensorLayout::alloc_size`], and no two
    /// share a byte.
    pub fn is_valid(&self) -> bool {
        let row = self.width.checked_mul(self.elem_size).is_some_and(|row| 0 < row && row <= self.row_stride);
        let plane = self
            .height
            .checked_mul(self.row_stride)
            .is_some_and(|plane| 0 < plane && plane <= self.plane_stride);
        row && plane && self.channels.checked_mul(self.plane_stride).is_some_and(|all| all > 0)
    }

    /// Visits the rows of some channels: the byte at which each begins in the surface, in order.
    pub(crate) fn rows(&self, channels: std::ops::Range<usize>) -> impl Iterator<Item = usize> + use<> {
        let Self { height, row_stride, plane_stride, .. } = *self;
        channels.flat_map(move |c| (0..height).map(move |h| c * plane_stride + h * row_stride))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rows A4, A7, A8, A9, A10: places of elements are apart from one another, in order, and within the surface.
        #[test]
        fn elements_have_places_of_their_own(c in 1usize..5, h in 1usize..5, w in 1usize..70, log in 0u32..3) {
            let elem = 1usize << log;
            let l = TensorLayout::new(c, h, w, elem).unwrap();
            prop_assert!(l.is_valid());
            prop_assert!(l.row_stride.is_multiple_of(64) && l.row_stride >= w * elem && l.row_stride < w * elem + 64);
            prop_assert_eq!((l.logical_elements(), l.logical_bytes()), (c * h * w, c * h * w * elem));
            prop_assert!(l.alloc_size() >= l.logical_bytes());
            let places: Vec<usize> = (0..l.logical_elements()).map(|i| l.offset_of(i)).collect();
            prop_assert!(places.windows(2).all(|p| p[0] + elem <= p[1]));
            prop_assert!(places.last().unwrap() + elem <= l.alloc_size());
            let mut by_index = Vec::new();
            for channel in 0..c {
                for row in 0..h {
                    by_index.extend((0..w).map(|x| l.offset(channel, row, x)));
                }
            }
            prop_assert_eq!(&places, &by_index);
            let rows: Vec<usize> = places.iter().copied().step_by(w).collect();
            prop_assert_eq!(l.rows(0..c).collect::<Vec<_>>(), rows);
            prop_assert_eq!(l.is_dense(), places.iter().enumerate().all(|(i, &p)| p == i * elem));
        }
    }

    #[test]
    fn the_last_dimension_lies_in_rows() {
        let of = |shape: &[usize]| {
            let l = TensorLayout::of("x", &TensorType::new(DType::Fp16, shape)).unwrap();
            (l.channels, l.height, l.width)
        };
        assert_eq!(of(&[]), (1, 1, 1));
        assert_eq!(of(&[7]), (1, 1, 7));
        assert_eq!(of(&[5, 7]), (1, 5, 7));
        assert_eq!(of(&[3, 5, 7]), (3, 5, 7));
        assert_eq!(of(&[2, 3, 5, 7]), (6, 5, 7));
        assert_eq!(of(&[4, 2, 3, 5, 7]), (24, 5, 7));
    }

    #[test]
    fn what_does_not_fit_a_surface_is_refused() {
        for (c, h, w, e) in [
            (0, 1, 1, 2),
            (1, 0, 1, 2),
            (1, 1, 0, 2),
            (1, 1, 1, 0),
            (usize::MAX, 2, 64, 2),
            (1, 1, usize::MAX, 4),
        ] {
            assert!(matches!(TensorLayout::new(c, h, w, e), Err(Error::Surface(_))), "{c} {h} {w} {e}");
        }
        for ty in [
            TensorType::new(DType::Int4, &[4usize, 4][..]),
            TensorType::new(DType::Fp16, &[0usize, 4][..]),
            TensorType::new(DType::Fp16, crate::types::Shape::unknown(2)),
        ] {
            let e = TensorLayout::of("x", &ty).unwrap_err();
            assert!(matches!(&e, Error::UnsupportedLayout { name, .. } if name == "x"), "{ty}: {e}");
        }
    }
}
