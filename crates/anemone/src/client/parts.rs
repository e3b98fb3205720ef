//! Parts of tensors: copied from model to model, and reached as bytes.

use std::ops::Range;

use super::{Model, Request, Which};
use crate::error::Error;
use crate::surface::copy;

impl Request {
    /// Copies some channels of an output to an input of the same elements and extent, from a channel on. No element is
    /// converted. The target may be this request.
    ///
    /// ```
    /// use anemone::{Client, CompileOptions, chip::Chip};
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 4, 1, 8]> x) {
    ///     tensor<fp16, [1, 4, 1, 8]> y = add(x = x, y = fp16(1)); } -> (y); }";
    /// let client = Client::software(Chip::M4);
    /// let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
    /// model.eval()?; // every y is 1
    /// model.copy_output_channels_to_input("y", 0..2, &model, "x", 2)?;
    /// model.eval()?;
    /// let mut y = [0.0; 32];
    /// model.read_output_f32("y", &mut y)?;
    /// assert_eq!(y, [[1.0; 16], [2.0; 16]].concat()[..]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input or output, when dtypes, heights or widths differ, when channels lie
    /// outside of a tensor, or when both tensors lie in one surface; [`Error::Surface`] when a surface is in use.
    pub fn copy_output_channels_to_input(
        &self,
        output: impl Which,
        channels: Range<usize>,
        to: &Request,
        input: impl Which,
        channel: usize,
    ) -> Result<(), Error> {
        let output = output.position(self.outputs(), "output")?;
        let input = input.position(to.inputs(), "input")?;
        let (from, target) = (&self.outputs()[output], &to.inputs()[input]);
        if from.layout.width != target.layout.width {
            return Err(Error::Invalid(format!(
                "`{}` has rows of {} elements, and `{}` of {}: copy a range of the columns",
                from.name, from.layout.width, target.name, target.layout.width
            )));
        }
        self.copy_output_range_to_input(output, channels, 0..from.layout.width, to, input, (channel, 0))
    }

    /// Copies of some channels of an output the columns in a range, of every row, to an input of the same elements and
    /// heights: to the channel and column `at`. No element is converted.
    ///
    /// # Errors
    ///
    /// As [`Request::copy_output_channels_to_input`], where widths may differ.
    pub fn copy_output_range_to_input(
        &self,
        output: impl Which,
        channels: Range<usize>,
        columns: Range<usize>,
        to: &Request,
        input: impl Which,
        at: (usize, usize),
    ) -> Result<(), Error> {
        let output = output.position(self.outputs(), "output")?;
        let input = input.position(to.inputs(), "input")?;
        let from = (&self.outputs()[output], &self.output_surfaces()[output]);
        copy(from, channels, columns, (&to.inputs()[input], &to.input_surfaces()[input]), at)
    }

    /// Shows the bytes of an input, padding included, to be written in place.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input, [`Error::Surface`] when its surface is in use.
    pub fn with_locked_input<R>(
        &mut self,
        input: impl Which,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, Error> {
        let input = input.position(self.inputs(), "input")?;
        let mut held = self.input_surfaces()[input].lock_mut()?;
        Ok(write(&mut held[..self.inputs()[input].layout.alloc_size()]))
    }

    /// Shows the bytes of an output, padding included, where they are.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such output, [`Error::Surface`] when its surface is in use.
    pub fn with_locked_output<R>(
        &self,
        output: impl Which,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let output = output.position(self.outputs(), "output")?;
        let held = self.output_surfaces()[output].lock()?;
        Ok(read(&held[..self.outputs()[output].layout.alloc_size()]))
    }
}

impl Model {
    /// As [`Request::copy_output_channels_to_input`], from the surfaces of a model to those of another or the same.
    ///
    /// # Errors
    ///
    /// As [`Request::copy_output_channels_to_input`].
    pub fn copy_output_channels_to_input(
        &self,
        output: impl Which,
        channels: Range<usize>,
        to: &Model,
        input: impl Which,
        channel: usize,
    ) -> Result<(), Error> {
        self.request().copy_output_channels_to_input(output, channels, to.request(), input, channel)
    }

    /// As [`Request::copy_output_range_to_input`], from the surfaces of a model to those of another or the same.
    ///
    /// # Errors
    ///
    /// As [`Request::copy_output_range_to_input`].
    pub fn copy_output_range_to_input(
        &self,
        output: impl Which,
        channels: Range<usize>,
        columns: Range<usize>,
        to: &Model,
        input: impl Which,
        at: (usize, usize),
    ) -> Result<(), Error> {
        self.request().copy_output_range_to_input(output, channels, columns, to.request(), input, at)
    }

    /// As [`Request::with_locked_input`], on the model's surfaces.
    ///
    /// # Errors
    ///
    /// As [`Request::with_locked_input`].
    pub fn with_locked_input<R>(
        &mut self,
        input: impl Which,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, Error> {
        self.request_mut().with_locked_input(input, write)
    }

    /// As [`Request::with_locked_output`], on the model's surfaces.
    ///
    /// # Errors
    ///
    /// As [`Request::with_locked_output`].
    pub fn with_locked_output<R>(
        &self,
        output: impl Which,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        self.request().with_locked_output(output, read)
    }
}
