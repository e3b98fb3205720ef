//! A tensor in a surface.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::slices::{LockedSlice, LockedSliceMut};
use crate::client::{Access, Client};
use crate::error::Error;
use crate::graph::Shape;
use crate::surface::{Number, Port, Surface, TensorLayout, copy, within};
use crate::types::{DType, Element};

/// A tensor in memory that the engine reads and writes: fp16 in the surface, `f32` to the caller.
///
/// Numbers are counted without padding, in the order batch, channels, height, width. Each is rounded once when it is
/// written. Reading and writing lock the surface; nobody can read what somebody writes.
///
/// Calls whose names are those of the crate `ane` panic where that one reads and writes outside of the surface, or where
/// the surface is in use; each has a twin that begins with `try_` and gives an error.
///
/// ```
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::spatial(2, 1, 3));
/// data.copy_from_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// data.write_f32_at(4, 0.5);
/// data.write_f32_sparse(&[0, 5], &[-1.0, -6.0]);
/// assert_eq!(*data.read_f32(), [-1.0, 2.0, 3.0, 4.0, 0.5, -6.0]);
/// assert_eq!(data.surface().size(), 2 * 64); // rows of 64 bytes
/// ```
///
/// Each call that may panic has a twin that gives an error, and there are calls for other elements and for parts:
///
/// ```
/// use anemone::{Error, Shape, TensorData, types::f16};
/// let shape = Shape::spatial(2, 1, 3);
/// let data = TensorData::try_with_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], shape)?;
/// data.try_write_f32_at(0, -1.0)?;
/// data.try_write_f32_sparse(&[1, 5], &[-2.0, -6.0])?;
/// assert!(matches!(data.try_write_f32_at(6, 0.0), Err(Error::Invalid(_) | Error::Length { .. })));
/// data.try_as_f32_slice_mut()?[2] = -3.0;
/// assert_eq!(data.try_as_f32_slice()?[..3], [-1.0, -2.0, -3.0]);
/// let mut halves = [f16::ZERO; 6];
/// data.read_elements(&mut halves)?;
/// let other = TensorData::try_new(shape)?;
/// other.write_elements(&halves)?;
/// // The second channel of the one becomes the first of the other.
/// other.copy_channels_from(0, &data, 1..2)?;
/// assert_eq!(*other.try_read_f32()?, [4.0, 5.0, -6.0, 4.0, 5.0, -6.0]);
/// // Another tensor on the same memory.
/// let same = TensorData::from_surface(other.surface().clone(), shape)?;
/// same.write_f32_at(0, 0.5);
/// assert_eq!((other.read_f32()[0], other.layout().row_stride), (0.5, 64));
/// # Ok::<(), Error>(())
/// ```
///
/// On the memory of a client's engine:
///
/// ```
/// use anemone::{Client, Shape, TensorData, chip::Chip, types::DType};
/// let data = TensorData::on(&Client::software(Chip::M4), Shape::channels(3))?;
/// assert_eq!(data.dtype(), DType::Fp16);
/// # Ok::<(), anemone::Error>(())
/// ```
pub struct TensorData {
    port: Port,
    shape: Shape,
    surface: Surface,
    /// Memory for numbers, which the last slice has left behind.
    scratch: Mutex<Vec<f32>>,
}

/// The value, where the caller has asked for a panic and not for an error.
#[track_caller]
fn expect<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{e}"),
    }
}

/// What a tensor is called that no program has named.
const NAME: &str = "tensor";

impl TensorData {
    /// A tensor of fp16 numbers, all zero, on a surface of this machine.
    ///
    /// # Panics
    ///
    /// When it is empty, or larger than a surface can be: see [`TensorData::try_new`].
    #[track_caller]
    pub fn new(shape: Shape) -> Self {
        expect(Self::try_new(shape))
    }

    /// As [`TensorData::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it is empty, or larger than a surface can be.
    pub fn try_new(shape: Shape) -> Result<Self, Error> {
        Self::from_surface(Surface::for_layout(&layout(shape)?)?, shape)
    }

    /// A tensor of fp16 numbers, all zero, on a surface that the client's engine can reach.
    ///
    /// # Errors
    ///
    /// As [`TensorData::try_new`].
    pub fn on(client: &Client, shape: Shape) -> Result<Self, Error> {
        Self::from_surface(client.surface(&layout(shape)?)?, shape)
    }

    /// A tensor with these numbers.
    ///
    /// # Panics
    ///
    /// As [`TensorData::new`], and when there are more or fewer numbers than the shape has elements.
    #[track_caller]
    pub fn with_f32(numbers: &[f32], shape: Shape) -> Self {
        expect(Self::try_with_f32(numbers, shape))
    }

    /// As [`TensorData::with_f32`].
    ///
    /// # Errors
    ///
    /// As [`TensorData::try_new`], and [`Error::Length`] for another number of numbers.
    pub fn try_with_f32(numbers: &[f32], shape: Shape) -> Result<Self, Error> {
        let data = Self::try_new(shape)?;
        data.try_copy_from_f32(numbers)?;
        Ok(data)
    }

    /// A tensor of fp16 numbers on a surface that exists: both see the same memory.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the surface is too small for it, with rows that begin at multiples of 64 bytes;
    /// [`Error::Surface`] when no surface could hold it.
    pub fn from_surface(surface: Surface, shape: Shape) -> Result<Self, Error> {
        let layout = layout(shape)?;
        let (has, needs) = (surface.size(), layout.alloc_size());
        if has < needs {
            return Err(Error::Invalid(format!(
                "a tensor {shape} needs a surface of {needs} bytes, and this one has {has}: each row takes {} bytes",
                layout.row_stride
            )));
        }
        let port = Port { name: NAME.into(), dtype: DType::Fp16, shape: shape.dims().to_vec(), layout };
        Ok(Self { port, shape, surface, scratch: Mutex::default() })
    }

    /// A tensor for what a program takes or gives.
    pub(super) fn of_port(port: &Port, surface: Surface) -> Result<Self, Error> {
        Ok(Self { port: port.clone(), shape: shape_of(port), surface, scratch: Mutex::default() })
    }

    /// The shape. That of a tensor with fewer than four dimensions has ones before them; of one with more, what is before
    /// the last three is the batch.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The dtype of the elements in the surface.
    pub fn dtype(&self) -> DType {
        self.port.dtype
    }

    /// How the tensor lies in its surface.
    pub fn layout(&self) -> &TensorLayout {
        &self.port.layout
    }

    /// The surface.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Locks the tensor and shows its numbers. Several threads and several guards can do so at once.
    ///
    /// # Panics
    ///
    /// When somebody writes the surface at the moment, or the elements are not fp16 or fp32: see
    /// [`TensorData::try_as_f32_slice`].
    #[track_caller]
    pub fn as_f32_slice(&self) -> LockedSlice<'_> {
        expect(self.try_as_f32_slice())
    }

    /// As [`TensorData::as_f32_slice`].
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody writes the surface, [`Error::Invalid`] when the elements are not fp16 or fp32.
    pub fn try_as_f32_slice(&self) -> Result<LockedSlice<'_>, Error> {
        LockedSlice::new(self)
    }

    /// Locks the tensor and shows its numbers to be changed. They are written when the guard is dropped.
    ///
    /// Where every number is set anew, [`TensorData::write_f32_with`] and [`TensorData::copy_from_f32`] do not read what
    /// was there.
    ///
    /// # Panics
    ///
    /// When somebody reads or writes the surface at the moment, or the elements are not fp16 or fp32: see
    /// [`TensorData::try_as_f32_slice_mut`].
    #[track_caller]
    pub fn as_f32_slice_mut(&self) -> LockedSliceMut<'_> {
        expect(self.try_as_f32_slice_mut())
    }

    /// As [`TensorData::as_f32_slice_mut`].
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody reads or writes the surface, [`Error::Invalid`] when the elements are not fp16 or
    /// fp32.
    pub fn try_as_f32_slice_mut(&self) -> Result<LockedSliceMut<'_>, Error> {
        LockedSliceMut::new(self)
    }

    /// Sets every number, and reads none.
    ///
    /// # Panics
    ///
    /// When there are more or fewer than the tensor has elements, or as [`TensorData::as_f32_slice_mut`]: see
    /// [`TensorData::try_copy_from_f32`].
    #[track_caller]
    pub fn copy_from_f32(&self, numbers: &[f32]) {
        expect(self.try_copy_from_f32(numbers));
    }

    /// As [`TensorData::copy_from_f32`].
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when there are more or fewer than the tensor has elements; else as
    /// [`TensorData::try_as_f32_slice_mut`].
    pub fn try_copy_from_f32(&self, numbers: &[f32]) -> Result<(), Error> {
        self.access().write_numbers(0, None, numbers)
    }

    /// Sets every number, and reads none: to what a function gives for its index. No other memory is needed for it.
    ///
    /// ```
    /// use anemone::{Shape, TensorData};
    /// let data = TensorData::new(Shape::spatial(2, 1, 2));
    /// data.write_f32_with(|i| i as f32 / 2.0)?;
    /// assert_eq!(*data.read_f32(), [0.0, 0.5, 1.0, 1.5]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TensorData::try_as_f32_slice_mut`].
    pub fn write_f32_with(&self, mut number: impl FnMut(usize) -> f32) -> Result<(), Error> {
        let kind = self.number()?;
        let mut held = self.surface.lock_mut()?;
        for i in 0..self.layout().logical_elements() {
            kind.put(&mut held[self.layout().offset_of(i)..], number(i));
        }
        Ok(())
    }

    /// Sets one number.
    ///
    /// # Panics
    ///
    /// When the tensor has no number of this index, or as [`TensorData::as_f32_slice_mut`]: see
    /// [`TensorData::try_write_f32_at`].
    #[track_caller]
    pub fn write_f32_at(&self, index: usize, value: f32) {
        expect(self.try_write_f32_at(index, value));
    }

    /// As [`TensorData::write_f32_at`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the tensor has no number of this index; else as [`TensorData::try_as_f32_slice_mut`].
    pub fn try_write_f32_at(&self, index: usize, value: f32) -> Result<(), Error> {
        self.try_write_f32_sparse(&[index], &[value])
    }

    /// Sets some numbers, with one lock. Of an index that is given twice the last value counts.
    ///
    /// # Panics
    ///
    /// When there are more indices than values or fewer, when the tensor has no number of one of them, or as
    /// [`TensorData::as_f32_slice_mut`]: see [`TensorData::try_write_f32_sparse`].
    #[track_caller]
    pub fn write_f32_sparse(&self, indices: &[usize], values: &[f32]) {
        expect(self.try_write_f32_sparse(indices, values));
    }

    /// As [`TensorData::write_f32_sparse`].
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when there are more indices than values or fewer, [`Error::Invalid`] when the tensor has no
    /// number of one of them; else as [`TensorData::try_as_f32_slice_mut`]. Then nothing is written.
    pub fn try_write_f32_sparse(&self, indices: &[usize], values: &[f32]) -> Result<(), Error> {
        if indices.len() != values.len() {
            let what = format!("a write to {} indices, in values,", indices.len());
            return Err(Error::Length { what, expected: indices.len(), found: values.len() });
        }
        let elements = self.layout().logical_elements();
        if let Some(index) = indices.iter().find(|&&i| i >= elements) {
            return Err(Error::Invalid(format!(
                "a tensor {} has {elements} elements, and none of the index {index}",
                self.shape
            )));
        }
        let kind = self.number()?;
        let mut held = self.surface.lock_mut()?;
        for (&index, &value) in indices.iter().zip(values) {
            kind.put(&mut held[self.layout().offset_of(index)..], value);
        }
        Ok(())
    }

    /// A copy of all numbers.
    ///
    /// # Panics
    ///
    /// As [`TensorData::as_f32_slice`]: see [`TensorData::try_read_f32`].
    #[track_caller]
    pub fn read_f32(&self) -> Box<[f32]> {
        expect(self.try_read_f32())
    }

    /// As [`TensorData::read_f32`].
    ///
    /// # Errors
    ///
    /// As [`TensorData::try_as_f32_slice`].
    pub fn try_read_f32(&self) -> Result<Box<[f32]>, Error> {
        let mut numbers = vec![0.0; self.layout().logical_elements()].into_boxed_slice();
        self.access().read_numbers(0, None, &mut numbers)?;
        Ok(numbers)
    }

    /// Sets every element, of exactly this type.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when there are more or fewer than the tensor has, [`Error::Invalid`] when its elements are of
    /// another type, [`Error::Surface`] when somebody reads or writes the surface.
    pub fn write_elements<T: Element>(&self, elements: &[T]) -> Result<(), Error> {
        self.access().write_elements(elements)
    }

    /// Reads every element, of exactly this type.
    ///
    /// # Errors
    ///
    /// As [`TensorData::write_elements`].
    pub fn read_elements<T: Element>(&self, elements: &mut [T]) -> Result<(), Error> {
        self.access().read_elements(elements)
    }

    /// Some channels of the tensor, as a tensor of their own in the same memory. It can be bound by itself: as the input of
    /// one program while the rest is that of another.
    ///
    /// Who locks one of both locks the whole surface.
    ///
    /// ```
    /// use anemone::{Shape, TensorData};
    /// let data = TensorData::with_f32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], Shape::spatial(3, 1, 2));
    /// let last = data.channels(1..3)?;
    /// assert_eq!((last.shape(), &*last.read_f32()), (Shape::spatial(2, 1, 2), &[3.0, 4.0, 5.0, 6.0][..]));
    /// last.write_f32_at(0, 0.5);
    /// assert_eq!(data.read_f32()[2], 0.5);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the tensor has no such channels, or several batches; [`Error::Surface`] when they are none,
    /// or do not begin at a multiple of 64 bytes.
    pub fn channels(&self, channels: Range<usize>) -> Result<Self, Error> {
        if self.shape.batch != 1 {
            return Err(Error::Invalid(format!(
                "the channels of a tensor {} do not lie together: it has {} batches",
                self.shape, self.shape.batch
            )));
        }
        within(&self.port, "channels", &channels, self.shape.channels)?;
        if channels.is_empty() {
            return Err(Error::Surface("a tensor without channels has no memory".into()));
        }
        let surface = self.surface.from_byte(channels.start * self.layout().plane_stride)?;
        let shape = Shape { channels: channels.len(), ..self.shape };
        let layout = TensorLayout { channels: channels.len(), ..*self.layout() };
        let port = Port { shape: shape.dims().to_vec(), layout, ..self.port.clone() };
        Ok(Self { port, shape, surface, scratch: Mutex::default() })
    }

    /// Copies some channels of another tensor of the same dtype, height and width to the channels from `channel` on. No
    /// element is converted. Batches count as channels.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when dtypes, heights or widths differ, when channels lie outside of a tensor, or when both are
    /// in one surface; [`Error::Surface`] when a surface is in use.
    pub fn copy_channels_from(
        &self,
        channel: usize,
        from: &TensorData,
        channels: Range<usize>,
    ) -> Result<(), Error> {
        if from.shape.width != self.shape.width {
            return Err(Error::Invalid(format!(
                "channels of a tensor {} are no channels of a tensor {}",
                from.shape, self.shape
            )));
        }
        let (source, target) = ((&from.port, &from.surface), (&self.port, &self.surface));
        copy(source, channels, 0..from.shape.width, target, (channel, 0))
    }

    fn access(&self) -> Access<'_> {
        Access { port: &self.port, surface: &self.surface }
    }

    pub(super) fn number(&self) -> Result<Number, Error> {
        self.access().number()
    }

    /// Memory for all numbers; what it contains is of no meaning.
    pub(super) fn scratch(&self) -> Vec<f32> {
        let mut scratch = std::mem::take(&mut *self.scratch.lock().unwrap_or_else(PoisonError::into_inner));
        scratch.resize(self.layout().logical_elements(), 0.0);
        scratch
    }

    /// Takes memory back for the next slice.
    pub(super) fn keep_scratch(&self, scratch: Vec<f32>) {
        *self.scratch.lock().unwrap_or_else(PoisonError::into_inner) = scratch;
    }

    /// Whether the tensor is what a program takes or gives.
    pub(super) fn fits(&self, what: &str, port: &Port) -> Result<(), Error> {
        let same = self.dtype() == port.dtype && self.shape == shape_of(port);
        if same && *self.layout() == port.layout {
            return Ok(());
        }
        let name = &port.name;
        Err(Error::Invalid(if same {
            format!(
                "the tensor of the {what} `{name}` has rows of {} bytes, and the engine wants {}: make it by `new_{what}`",
                self.layout().row_stride,
                port.layout.row_stride
            )
        } else {
            format!(
                "the {what} `{name}` is {} {}, and the tensor is {} {}",
                port.dtype,
                shape_of(port),
                self.dtype(),
                self.shape
            )
        }))
    }
}

impl std::fmt::Debug for TensorData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TensorData({} {}, {:?})", self.dtype(), self.shape, self.surface)
    }
}

/// How a tensor of fp16 lies in a surface.
fn layout(shape: Shape) -> Result<TensorLayout, Error> {
    TensorLayout::new(shape.batch.saturating_mul(shape.channels), shape.height, shape.width, 2)
}

/// The shape of a port, in four dimensions.
fn shape_of(port: &Port) -> Shape {
    let (rest, last) = port.shape.split_at(port.shape.len().saturating_sub(3));
    let at = |from_end: usize| last.len().checked_sub(from_end).map_or(1, |i| last[i]);
    Shape { batch: rest.iter().product(), channels: at(3), height: at(2), width: at(1) }
}
