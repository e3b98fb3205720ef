//! Tensors as arrays of the crate `ndarray`, and tensors of such arrays.

use ndarray::{Array4, ArrayBase, ArrayView4, ArrayViewD, ArrayViewMut4, Data, Dimension, IxDyn};

use crate::client::Client;
use crate::error::Error;
use crate::executable::{LockedSlice, LockedSliceMut, TensorData};
use crate::graph::Shape;
use crate::types::{Element, Tensor, TensorError};

impl Tensor {
    /// The elements as an array, if the dtype is that of `T`. Nothing is copied. With the feature `ndarray`.
    ///
    /// ```
    /// use anemone::types::Tensor;
    /// let t = Tensor::from_slice(&[2, 3], &[1i32, 2, 3, 4, 5, 6])?;
    /// let array = t.as_array::<i32>().unwrap();
    /// assert_eq!((array[[1, 0]], array.sum()), (4, 21));
    /// assert!(t.as_array::<f32>().is_none());
    /// # Ok::<(), anemone::types::TensorError>(())
    /// ```
    pub fn as_array<T: Element>(&self) -> Option<ArrayViewD<'_, T>> {
        ArrayViewD::from_shape(IxDyn(self.shape()), self.as_slice::<T>()?).ok()
    }

    /// A tensor of the elements of an array, in row-major order however they lie there. With the feature `ndarray`.
    ///
    /// ```
    /// use anemone::types::Tensor;
    /// let t = Tensor::from_array(&ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].t())?;
    /// assert_eq!((t.shape(), t.as_slice::<f32>().unwrap()), (&[2, 2][..], &[1.0, 3.0, 2.0, 4.0][..]));
    /// # Ok::<(), anemone::types::TensorError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TensorError`] when the array has more elements than a tensor can have.
    pub fn from_array<T, S, D>(array: &ArrayBase<S, D>) -> Result<Self, TensorError>
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let array = array.as_standard_layout();
        let elements = array.as_slice().expect("an array in the standard layout is a slice");
        Tensor::from_slice(array.shape(), elements)
    }
}

impl TensorData {
    /// A tensor of fp16 numbers with those of an array of up to four dimensions; one of fewer has ones before them. Each is
    /// rounded once. With the feature `ndarray`.
    ///
    /// ```
    /// use anemone::{Shape, TensorData};
    /// let data = TensorData::from_array(&ndarray::array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]])?;
    /// assert_eq!(data.shape(), Shape::spatial(1, 2, 3));
    /// assert_eq!(data.as_f32_slice().as_array()[[0, 0, 1, 2]], 6.0);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for more dimensions, [`Error::Surface`] when the array is empty, or larger than a surface can be.
    pub fn from_array<S, D>(array: &ArrayBase<S, D>) -> Result<Self, Error>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let data = Self::try_new(shape_of(array.shape())?)?;
        data.copy_from_array(array)?;
        Ok(data)
    }

    /// As [`TensorData::from_array`], on a surface that the client's engine can reach. With the feature `ndarray`.
    ///
    /// # Errors
    ///
    /// As [`TensorData::from_array`].
    pub fn from_array_on<S, D>(client: &Client, array: &ArrayBase<S, D>) -> Result<Self, Error>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let data = Self::on(client, shape_of(array.shape())?)?;
        data.copy_from_array(array)?;
        Ok(data)
    }

    /// Sets every number to that of an array of the tensor's shape, and reads none. With the feature `ndarray`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the shapes differ; else as [`TensorData::try_copy_from_f32`].
    pub fn copy_from_array<S, D>(&self, array: &ArrayBase<S, D>) -> Result<(), Error>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let shape = shape_of(array.shape())?;
        if shape != self.shape() {
            return Err(Error::Invalid(format!("an array {shape} does not fit a tensor {}", self.shape())));
        }
        let array = array.as_standard_layout();
        self.try_copy_from_f32(array.as_slice().expect("an array in the standard layout is a slice"))
    }

    /// A copy of all numbers as an array. With the feature `ndarray`.
    ///
    /// ```
    /// use anemone::{Chip, Client, Shape, TensorData};
    /// use ndarray::{Array4, arr2};
    /// let data = TensorData::from_array_on(&Client::software(Chip::M4), &Array4::from_elem((1, 2, 1, 3), 1.5f32))?;
    /// data.copy_from_array(&arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    ///     .expect_err("it has another shape");
    /// data.copy_from_array(&Array4::from_elem((1, 2, 1, 3), 2.5f32))?;
    /// assert_eq!(data.to_array()?[[0, 1, 0, 2]], 2.5);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TensorData::try_read_f32`].
    pub fn to_array(&self) -> Result<Array4<f32>, Error> {
        let numbers = self.try_read_f32()?.into_vec();
        Ok(Array4::from_shape_vec(self.shape().dims(), numbers)
            .expect("a tensor has the numbers of its shape"))
    }
}

/// The shape of a tensor of four dimensions for an array of up to four.
fn shape_of(dims: &[usize]) -> Result<Shape, Error> {
    let mut all = [1; 4];
    let Some(first) = all.len().checked_sub(dims.len()) else {
        return Err(Error::Invalid(format!("an array of {} dimensions is no tensor of four", dims.len())));
    };
    all[first..].copy_from_slice(dims);
    Ok(Shape::from(all))
}

impl LockedSlice<'_> {
    /// The numbers as an array. With the feature `ndarray`.
    pub fn as_array(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.shape().dims(), self).expect("a tensor has the numbers of its shape")
    }
}

impl LockedSliceMut<'_> {
    /// The numbers as an array. With the feature `ndarray`.
    pub fn as_array(&self) -> ArrayView4<'_, f32> {
        ArrayView4::from_shape(self.shape().dims(), self).expect("a tensor has the numbers of its shape")
    }

    /// The numbers as an array, to be changed. With the feature `ndarray`.
    ///
    /// ```
    /// use anemone::{Shape, TensorData};
    /// let data = TensorData::new(Shape::spatial(2, 1, 3));
    /// data.as_f32_slice_mut().as_array_mut().slice_mut(ndarray::s![0, 1, 0, ..]).fill(2.0);
    /// assert_eq!(*data.read_f32(), [0.0, 0.0, 0.0, 2.0, 2.0, 2.0]);
    /// ```
    pub fn as_array_mut(&mut self) -> ArrayViewMut4<'_, f32> {
        let dims = self.shape().dims();
        ArrayViewMut4::from_shape(dims, self).expect("a tensor has the numbers of its shape")
    }
}
