//! The numbers of a tensor behind a lock.

use std::ops::{Deref, DerefMut};

use super::TensorData;
use crate::error::Error;
use crate::graph::Shape;
use crate::surface::{Number, ReadGuard, WriteGuard, gather_as, scatter_as};

/// The numbers of a [`TensorData`], which is locked for reading until this is dropped.
///
/// They are a copy as `f32`, without padding, in the order batch, channels, height, width.
///
/// ```
/// use anemone::{Shape, TensorData};
/// let data = TensorData::with_f32(&[1.0, 2.0, 3.0], Shape::channels(3));
/// let (first, second) = (data.as_f32_slice(), data.as_f32_slice());
/// assert_eq!((first[2], second.len(), first.shape()), (3.0, 3, Shape::channels(3)));
/// assert!(data.try_copy_from_f32(&[0.0; 3]).is_err(), "it is read");
/// ```
///
/// Nothing is written by it:
///
/// ```compile_fail,E0594
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::channels(3));
/// let mut locked = data.as_f32_slice();
/// locked[0] = 1.0;
/// ```
///
/// and the numbers live no longer than the lock:
///
/// ```compile_fail,E0505
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::channels(3));
/// let locked = data.as_f32_slice();
/// let numbers: &[f32] = &locked;
/// drop(locked);
/// assert_eq!(numbers[0], 0.0);
/// ```
#[derive(Debug)]
pub struct LockedSlice<'a> {
    data: &'a TensorData,
    values: Vec<f32>,
    _held: ReadGuard,
}

impl<'a> LockedSlice<'a> {
    pub(super) fn new(data: &'a TensorData) -> Result<Self, Error> {
        let number = data.number()?;
        let held = data.surface().lock()?;
        let mut values = data.scratch();
        gather_as(number, &held, data.layout(), 0..data.layout().channels, &mut values);
        Ok(Self { data, values, _held: held })
    }
}

impl LockedSlice<'_> {
    /// The shape of the tensor.
    pub fn shape(&self) -> Shape {
        self.data.shape()
    }
}

impl Deref for LockedSlice<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl Drop for LockedSlice<'_> {
    fn drop(&mut self) {
        self.data.keep_scratch(std::mem::take(&mut self.values));
    }
}

/// The numbers of a [`TensorData`], which is locked for writing until this is dropped. Then they are written, each
/// rounded once.
///
/// What is there is there to be changed: numbers that are not set stay as they are.
///
/// ```
/// use anemone::{Shape, TensorData};
/// let data = TensorData::with_f32(&[1.0, 2.0, 3.0], Shape::channels(3));
/// data.as_f32_slice_mut()[1] *= 10.0;
/// assert_eq!(*data.as_f32_slice(), [1.0, 20.0, 3.0]);
/// ```
///
/// One lock gives one slice to write:
///
/// ```compile_fail,E0499
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::channels(3));
/// let mut locked = data.as_f32_slice_mut();
/// let (a, b): (&mut [f32], &mut [f32]) = (&mut locked, &mut locked);
/// a[0] = b[0];
/// ```
///
/// and lives no longer than the tensor:
///
/// ```compile_fail,E0505
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::channels(3));
/// let locked = data.as_f32_slice_mut();
/// drop(data);
/// assert_eq!(locked[0], 0.0);
/// ```
///
/// As an array of the crate `ndarray`, with that feature:
///
/// ```
/// # #[cfg(feature = "ndarray")]
/// # {
/// use anemone::{Shape, TensorData};
/// let data = TensorData::new(Shape::spatial(2, 1, 4));
/// let mut numbers = data.as_f32_slice_mut();
/// numbers.as_array_mut()[[0, 1, 0, 3]] = 2.0;
/// assert_eq!((numbers.as_array()[[0, 1, 0, 3]], numbers.shape().channels), (2.0, 2));
/// drop(numbers);
/// let numbers: anemone::LockedSlice<'_> = data.as_f32_slice();
/// assert_eq!(numbers.as_array()[[0, 1, 0, 3]], 2.0);
/// # }
/// ```
#[derive(Debug)]
pub struct LockedSliceMut<'a> {
    data: &'a TensorData,
    number: Number,
    values: Vec<f32>,
    held: WriteGuard,
    /// Whether somebody could write.
    touched: bool,
}

impl<'a> LockedSliceMut<'a> {
    pub(super) fn new(data: &'a TensorData) -> Result<Self, Error> {
        let number = data.number()?;
        let held = data.surface().lock_mut()?;
        let mut values = data.scratch();
        gather_as(number, &held, data.layout(), 0..data.layout().channels, &mut values);
        Ok(Self { data, number, values, held, touched: false })
    }
}

impl LockedSliceMut<'_> {
    /// The shape of the tensor.
    pub fn shape(&self) -> Shape {
        self.data.shape()
    }
}

impl Deref for LockedSliceMut<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for LockedSliceMut<'_> {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.touched = true;
        &mut self.values
    }
}

impl Drop for LockedSliceMut<'_> {
    fn drop(&mut self) {
        if self.touched {
            let layout = self.data.layout();
            scatter_as(self.number, &mut self.held, layout, 0..layout.channels, &self.values);
        }
        self.data.keep_scratch(std::mem::take(&mut self.values));
    }
}
