//! Products with a matrix that is given when the program runs: compiled once, whatever the weights.
//!
//! ```
//! use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
//! let client = Client::software(Chip::M4);
//! let mut product = DynamicMatmul::new(&client, 2, 3, 1, Options::default())?;
//! let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [2, 3]
//! assert_eq!(product.eval(&x, &[1.0, 10.0, 100.0])?, [321.0, 654.0]);
//! assert_eq!(product.eval(&x, &[1.0, 0.0, -1.0])?, [-2.0, -2.0]);
//! assert_eq!(client.compile_count(), 1);
//! # Ok::<(), anemone::Error>(())
//! ```

mod tiles;

use crate::client::{Client, Request, Which};
use crate::error::Error;
use crate::surface::{gather_transposed, scatter_transposed};
use anemone_kernels::fp16::{cast_f16_f32, cast_f32_f16};
use tiles::Tile;

/// How a [`DynamicMatmul`] is compiled.
///
/// ```
/// use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
/// let options = Options { tile_out: 32, ..Options::default() };
/// let product = DynamicMatmul::new(&Client::software(Chip::M4), 1, 8, 64, options)?;
/// assert_eq!(product.tiles().collect::<Vec<_>>(), [32, 32]);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The quality of service in Apple's numbers: 9, 17, 21, 25 or 33; 0 is 21.
    pub qos: u32,
    /// The most columns of the weights that one program takes. 0 is all of them, and fewer when the engine refuses a
    /// program of that width.
    pub tile_out: usize,
}

/// What is known of an evaluation.
///
/// ```
/// use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
/// let mut product = DynamicMatmul::new(&Client::software(Chip::M4), 1, 2, 1, Options::default())?;
/// let (y, stats) = product.eval_with_stats(&[1.0, 2.0], &[3.0, 4.0])?;
/// assert_eq!(y, [11.0]);
/// println!("{:?} ns", stats.hw_execution_ns);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvalStats {
    /// The nanoseconds that the engine took, of all tiles together. The software engine's are those of the wall clock;
    /// the hardware counts them only for programs that are loaded with statistics.
    pub hw_execution_ns: Option<u64>,
}

/// `y = x · w`, with `x [batch, inputs]`, `w [inputs, outputs]` and `y [batch, outputs]`, row by row.
///
/// The numbers lie as fp16 in surfaces of the engine: `[1, inputs, 1, batch + outputs]`, in each channel a column of `x`
/// and behind it a row of `w`. What was written stays there: weights until others are given, so that a step of a model
/// writes its activations alone, and outputs until the next evaluation.
///
/// The forms with `cf` in their names take and give *channel-first* matrices, `x [inputs, batch]` and `y [outputs,
/// batch]`, as they lie in the surfaces. Those with `io` go on with weights that are there; such weights are
/// `[inputs, outputs]`.
///
/// ```
/// use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
/// let mut embed = DynamicMatmul::new(&Client::software(Chip::M4), 2, 3, 2, Options::default())?;
/// embed.prime_weights_io(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let mut y = [0.0; 4];
/// embed.eval_one_hot_io_into(&mut y, &[2, 0])?; // the rows 2 and 0
/// assert_eq!(y, [5.0, 6.0, 1.0, 2.0]);
/// embed.update_weights_io_rows(&[0.0, 0.0, 0.0, 0.0, 7.0, 8.0], &[2])?;
/// embed.eval_one_hot_io_into(&mut y, &[2, 2])?;
/// assert_eq!(y, [7.0, 8.0, 7.0, 8.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Evaluations that write into memory of the caller's allocate nothing on this side of the engine.
///
/// Whole products, the time of the engine, and what was written:
///
/// ```
/// use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
/// let client = Client::software(Chip::M4);
/// let mut product = DynamicMatmul::new(&client, 1, 2, 2, Options::default())?;
/// let mut y = [0.0; 2];
/// product.eval_into(&mut y, &[1.0, 2.0], &[1.0, 0.0, 0.0, 10.0])?;
/// assert_eq!(y, [1.0, 20.0]);
/// let before = product.bytes_written();
/// product.eval_cf_io_into(&mut y, &[3.0, 4.0])?; // the weights stay, and x is a column for each row
/// assert_eq!((y, product.bytes_written() - before), ([3.0, 40.0], 4));
/// let nanoseconds = product.eval_cf_hw(&[3.0, 4.0])?;
/// assert!(nanoseconds > 0 && product.eval_cf_io_into_hw(&mut y, &[3.0, 4.0])? > 0);
/// assert!(product.eval_one_hot_io_into_hw(&mut y, &[1])? > 0);
/// assert_eq!(y, [0.0, 10.0]); // the second row of the weights
/// // What comes out goes on to the input of another program, without a copy in f32.
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 1]> x) {
///     tensor<fp16, [1, 2, 1, 1]> y = relu(x = x); } -> (y); }";
/// let next = client.compile(anemone::CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// let mut request = next.new_request()?;
/// product.copy_output_to_input(&mut request, "x", 0)?;
/// request.run()?;
/// request.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [0.0, 10.0]);
/// product.close();
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// use anemone::{Client, chip::Chip, dynamic_matmul::{DynamicMatmul, Options}};
/// let product = DynamicMatmul::new(&Client::software(Chip::M4), 2, 3, 40, Options::default())?;
/// assert_eq!(product.shape(), [2, 3, 40]); // rows, inputs, outputs
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct DynamicMatmul {
    batch: usize,
    inputs: usize,
    outputs: usize,
    /// From the first column of the weights to the last; none once it is closed.
    tiles: Vec<Tile>,
    /// Whether there are weights.
    primed: bool,
    activations: Activations,
    /// The input that is 1 in each row, while the activations are one-hot.
    hot: Vec<Option<usize>>,
    written: u64,
}

/// What lies in the surfaces in front of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activations {
    /// Zeros, but for the ones that are noted.
    OneHot,
    /// Anything.
    Dense,
}

impl DynamicMatmul {
    /// Compiles and loads the program of this shape.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a dimension is 0 or the quality of service is none; else as
    /// [`Client::compile`]. When tiles are refused as well, the error is that of the full width.
    pub fn new(
        client: &Client,
        batch: usize,
        inputs: usize,
        outputs: usize,
        options: Options,
    ) -> Result<Self, Error> {
        if [batch, inputs, outputs].contains(&0) {
            return Err(Error::Invalid(format!(
                "a product of [{batch}, {inputs}] and [{inputs}, {outputs}] has no elements"
            )));
        }
        let tiles = tiles::compile(client, [batch, inputs, outputs], options)?;
        // New surfaces are zero.
        let activations = Activations::OneHot;
        let hot = vec![None; batch];
        Ok(Self { batch, inputs, outputs, tiles, primed: false, activations, hot, written: 0 })
    }

    /// The batch, the inputs and the outputs.
    pub fn shape(&self) -> [usize; 3] {
        [self.batch, self.inputs, self.outputs]
    }

    /// How many columns of the weights each program takes, in order.
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.tiles.iter().map(|t| t.width)
    }

    /// How many bytes were written into the surfaces of the inputs since it was made.
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// `x · w`. The weights stay for evaluations that give none.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when `x` is not `[batch, inputs]` or `w` not `[inputs, outputs]`, [`Error::Invalid`] when it is
    /// closed, else as [`Request::run`].
    pub fn eval(&mut self, x: &[f32], w: &[f32]) -> Result<Vec<f32>, Error> {
        let mut y = self.output();
        self.eval_into(&mut y, x, w)?;
        Ok(y)
    }

    /// As [`DynamicMatmul::eval`], with the time that the engine took. On hardware the first call loads the program once
    /// more, with statistics.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval`], and [`Error::ModelLoad`] when the system does not load the program with statistics.
    pub fn eval_with_stats(&mut self, x: &[f32], w: &[f32]) -> Result<(Vec<f32>, EvalStats), Error> {
        let mut y = self.output();
        let stats = self.eval_rows(&mut y, x, w, true)?;
        Ok((y, stats))
    }

    /// As [`DynamicMatmul::eval`], into memory of the caller's.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval`], and [`Error::Length`] when `y` is not `[batch, outputs]`.
    pub fn eval_into(&mut self, y: &mut [f32], x: &[f32], w: &[f32]) -> Result<EvalStats, Error> {
        self.eval_rows(y, x, w, false)
    }

    pub(crate) fn eval_rows(
        &mut self,
        y: &mut [f32],
        x: &[f32],
        w: &[f32],
        measure: bool,
    ) -> Result<EvalStats, Error> {
        self.open()?;
        length("x", [self.batch, self.inputs], x.len())?;
        length("w", [self.inputs, self.outputs], w.len())?;
        length("y", [self.batch, self.outputs], y.len())?;
        self.write_rows(x)?;
        self.write_weights(w)?;
        let stats = self.run(measure)?;
        self.read_rows(y)?;
        Ok(stats)
    }

    /// As [`DynamicMatmul::eval_into`], with weights `[outputs, inputs]`.
    pub(crate) fn eval_oi(
        &mut self,
        y: &mut [f32],
        x: &[f32],
        w: &[f32],
        measure: bool,
    ) -> Result<EvalStats, Error> {
        self.open()?;
        length("x", [self.batch, self.inputs], x.len())?;
        length("w", [self.outputs, self.inputs], w.len())?;
        length("y", [self.batch, self.outputs], y.len())?;
        self.write_rows(x)?;
        self.primed = false;
        for tile in &self.tiles {
            let of_tile = &w[tile.first * self.inputs..(tile.first + tile.width) * self.inputs];
            let layout = *tile.kernel.input_layout();
            scatter_transposed(&mut tile.kernel.input()?, &layout, self.batch, of_tile);
            self.written += 2 * of_tile.len() as u64;
        }
        self.primed = true;
        let stats = self.run(measure)?;
        self.read_rows(y)?;
        Ok(stats)
    }

    /// Evaluates channel-first activations `[inputs, batch]` with the weights that are there. The outputs stay in their
    /// surfaces, for [`DynamicMatmul::read_output_cf`] and [`DynamicMatmul::copy_output_to_input`].
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for another number of them, [`Error::Invalid`] when there are no weights yet or it is closed,
    /// else as [`Request::run`].
    pub fn eval_cf(&mut self, x: &[f32]) -> Result<EvalStats, Error> {
        self.eval_columns(x, false)
    }

    /// As [`DynamicMatmul::eval_cf`]: the nanoseconds that the engine took. On hardware the first call loads the program
    /// once more, with statistics.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_cf`]; [`Error::UnsupportedSelector`] when the engine does not say how long it took.
    pub fn eval_cf_hw(&mut self, x: &[f32]) -> Result<u64, Error> {
        self.eval_columns(x, true)?.hw_execution_ns.ok_or_else(Error::no_time)
    }

    fn eval_columns(&mut self, x: &[f32], measure: bool) -> Result<EvalStats, Error> {
        self.ready()?;
        length("x", [self.inputs, self.batch], x.len())?;
        self.activations = Activations::Dense;
        for tile in &self.tiles {
            let mut surface = tile.kernel.input()?;
            for (channel, column) in x.chunks_exact(self.batch).enumerate() {
                cast_f32_f16(tile.row_mut(&mut surface, channel, 0, self.batch), column);
            }
            self.written += 2 * x.len() as u64;
        }
        self.run(measure)
    }

    /// Evaluates what lies in the surfaces: what another product has put there by [`DynamicMatmul::copy_output_to`].
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_cf`].
    pub fn eval_resident(&mut self) -> Result<EvalStats, Error> {
        self.ready()?;
        self.run(false)
    }

    /// Reads the outputs of the last evaluation channel-first, `[outputs, batch]`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for another number of them, [`Error::Invalid`] when it is closed.
    pub fn read_output_cf(&self, y: &mut [f32]) -> Result<(), Error> {
        self.open()?;
        length("y", [self.outputs, self.batch], y.len())?;
        let mut columns = y.chunks_exact_mut(self.batch);
        for tile in &self.tiles {
            let surface = tile.kernel.output()?;
            for (channel, column) in columns.by_ref().take(tile.width).enumerate() {
                cast_f16_f32(column, tile.output_row(&surface, channel, self.batch));
            }
        }
        Ok(())
    }

    /// As [`DynamicMatmul::eval_cf`], and reads the outputs channel-first.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_cf`] and [`DynamicMatmul::read_output_cf`].
    pub fn eval_cf_io_into(&mut self, y: &mut [f32], x: &[f32]) -> Result<EvalStats, Error> {
        length("y", [self.outputs, self.batch], y.len())?;
        let stats = self.eval_cf(x)?;
        self.read_output_cf(y)?;
        Ok(stats)
    }

    /// As [`DynamicMatmul::eval_cf_hw`], and reads the outputs channel-first.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_cf_hw`] and [`DynamicMatmul::read_output_cf`].
    pub fn eval_cf_io_into_hw(&mut self, y: &mut [f32], x: &[f32]) -> Result<u64, Error> {
        length("y", [self.outputs, self.batch], y.len())?;
        let nanoseconds = self.eval_cf_hw(x)?;
        self.read_output_cf(y)?;
        Ok(nanoseconds)
    }

    /// Writes all weights, `[inputs, outputs]`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for another number of them, [`Error::Invalid`] when it is closed.
    pub fn prime_weights_io(&mut self, w: &[f32]) -> Result<(), Error> {
        self.open()?;
        length("w", [self.inputs, self.outputs], w.len())?;
        self.write_weights(w)
    }

    /// Writes some rows of the weights, those of these inputs, and leaves all others alone. `w` is the whole matrix
    /// `[inputs, outputs]`; a row that is named twice is written twice.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for another number of weights, [`Error::Invalid`] when a row is not there, when there are no
    /// weights yet or it is closed. Then nothing was written.
    pub fn update_weights_io_rows(&mut self, w: &[f32], rows: &[usize]) -> Result<(), Error> {
        self.ready()?;
        length("w", [self.inputs, self.outputs], w.len())?;
        rows.iter().try_for_each(|&row| self.is_input("row", row))?;
        for tile in &self.tiles {
            let mut surface = tile.kernel.input()?;
            for &row in rows {
                let from = &w[row * self.outputs + tile.first..][..tile.width];
                cast_f32_f16(tile.row_mut(&mut surface, row, self.batch, tile.width), from);
                self.written += 2 * from.len() as u64;
            }
        }
        Ok(())
    }

    /// Evaluates activations that are 1 at one input of each row and else 0: the rows of the weights that `xs` names,
    /// as an embedding looks them up. Of a batch that is longer the remaining rows are 0.
    ///
    /// `y` is `[batch, outputs]`, or has a row for each of `xs`. After another one-hot evaluation only the ones that
    /// have moved are written.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when there are more than the batch, or for another `y`; [`Error::Invalid`] when an input is not
    /// there, when there are no weights yet or it is closed; else as [`Request::run`].
    pub fn eval_one_hot_io_into(&mut self, y: &mut [f32], xs: &[usize]) -> Result<EvalStats, Error> {
        self.eval_one_hot(y, xs, false)
    }

    /// As [`DynamicMatmul::eval_one_hot_io_into`]: the nanoseconds that the engine took. On hardware the first call loads
    /// the program once more, with statistics.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_one_hot_io_into`]; [`Error::UnsupportedSelector`] when the engine does not say how long
    /// it took.
    pub fn eval_one_hot_io_into_hw(&mut self, y: &mut [f32], xs: &[usize]) -> Result<u64, Error> {
        self.eval_one_hot(y, xs, true)?.hw_execution_ns.ok_or_else(Error::no_time)
    }

    pub(crate) fn eval_one_hot(
        &mut self,
        y: &mut [f32],
        xs: &[usize],
        measure: bool,
    ) -> Result<EvalStats, Error> {
        self.ready()?;
        if xs.len() > self.batch {
            let what = format!("a batch of {}, and no more, ", self.batch);
            return Err(Error::Length { what, expected: self.batch, found: xs.len() });
        }
        if y.len() != xs.len() * self.outputs {
            length("y", [self.batch, self.outputs], y.len())?;
        }
        xs.iter().try_for_each(|&x| self.is_input("input", x))?;
        self.write_one_hot(xs)?;
        let stats = self.run(measure)?;
        self.read_rows(y)?;
        Ok(stats)
    }

    /// Copies the outputs of the last evaluation into an input of another request, from this channel on. They go there as
    /// they are, from surface to surface.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input, when it does not have fp16 rows of this batch, one a channel, or
    /// when it is closed; [`Error::Length`] when there are too few channels; [`Error::Surface`] when the input is in use.
    pub fn copy_output_to_input(
        &self,
        target: &mut Request,
        input: impl Which,
        channel: usize,
    ) -> Result<(), Error> {
        self.open()?;
        let input = input.position(target.inputs(), "input")?;
        let port = &target.inputs()[input];
        let layout = port.layout;
        if (port.dtype, layout.height, layout.width) != (crate::types::DType::Fp16, 1, self.batch) {
            return Err(Error::Invalid(format!(
                "`{}` has {} rows of {} {} numbers a channel, and the output has one of {} fp16 numbers",
                port.name, layout.height, layout.width, port.dtype, self.batch
            )));
        }
        let free = layout.channels.saturating_sub(channel);
        if self.outputs > free {
            let what = format!("`{}`, from channel {channel} on, in channels,", port.name);
            return Err(Error::Length { what, expected: free, found: self.outputs });
        }
        let mut to = target.input_surfaces()[input].lock_mut()?;
        self.each_output(|output, row| {
            let at = layout.offset(channel + output, 0, 0);
            to[at..at + 2 * self.batch].copy_from_slice(bytemuck::cast_slice(row));
        })
    }

    /// Copies the outputs of the last evaluation into the activations of another product, which
    /// [`DynamicMatmul::eval_resident`] evaluates.
    ///
    /// ```
    /// use anemone::{Chip, Client, dynamic_matmul::{DynamicMatmul, Options}};
    /// let client = Client::software(Chip::M4);
    /// let mut a = DynamicMatmul::new(&client, 1, 2, 2, Options::default())?;
    /// let mut b = DynamicMatmul::new(&client, 1, 2, 1, Options::default())?;
    /// a.prime_weights_io(&[1.0, 2.0, 3.0, 4.0])?;
    /// b.prime_weights_io(&[1.0, 10.0])?;
    /// a.eval_cf(&[1.0, 1.0])?; // 4, 6
    /// a.copy_output_to(&mut b)?;
    /// b.eval_resident()?;
    /// let mut y = [0.0];
    /// b.read_output_cf(&mut y)?;
    /// assert_eq!(y, [64.0]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the other has another batch, has not as many inputs as this one has outputs, or when one
    /// of them is closed.
    pub fn copy_output_to(&self, next: &mut DynamicMatmul) -> Result<(), Error> {
        self.open()?;
        next.open()?;
        if (next.batch, next.inputs) != (self.batch, self.outputs) {
            return Err(Error::Invalid(format!(
                "the output is [{}, {}], and the next product takes [{}, {}]",
                self.batch, self.outputs, next.batch, next.inputs
            )));
        }
        next.activations = Activations::Dense;
        for tile in &next.tiles {
            let mut to = tile.kernel.input()?;
            self.each_output(|output, row| {
                tile.row_mut(&mut to, output, 0, self.batch).copy_from_slice(row);
            })?;
            next.written += 2 * (self.batch * self.outputs) as u64;
        }
        Ok(())
    }

    /// Unloads the programs and gives up the surfaces, as dropping it does. Closing it again changes nothing; every other
    /// call is refused.
    pub fn close(&mut self) {
        self.tiles = Vec::new();
    }

    fn output(&self) -> Vec<f32> {
        // What does not fit into memory has been refused when it was compiled; what is closed has no output.
        let rows = if self.tiles.is_empty() { 0 } else { self.batch };
        vec![0.0; rows * self.outputs]
    }

    fn open(&self) -> Result<(), Error> {
        if self.tiles.is_empty() {
            return Err(Error::Invalid("the product is closed".into()));
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), Error> {
        self.open()?;
        if !self.primed {
            return Err(Error::Invalid("there are no weights yet: call `prime_weights_io` first".into()));
        }
        Ok(())
    }

    fn is_input(&self, what: &str, index: usize) -> Result<(), Error> {
        if index >= self.inputs {
            return Err(Error::Invalid(format!("there is no {what} {index}: there are {}", self.inputs)));
        }
        Ok(())
    }

    fn write_rows(&mut self, x: &[f32]) -> Result<(), Error> {
        self.activations = Activations::Dense;
        for tile in &self.tiles {
            scatter_transposed(&mut tile.kernel.input()?, tile.kernel.input_layout(), 0, x);
            self.written += 2 * x.len() as u64;
        }
        Ok(())
    }

    fn write_weights(&mut self, w: &[f32]) -> Result<(), Error> {
        self.primed = false;
        for tile in &self.tiles {
            let mut surface = tile.kernel.input()?;
            for (channel, row) in w.chunks_exact(self.outputs).enumerate() {
                let from = &row[tile.first..tile.first + tile.width];
                cast_f32_f16(tile.row_mut(&mut surface, channel, self.batch, tile.width), from);
                self.written += 2 * from.len() as u64;
            }
        }
        self.primed = true;
        Ok(())
    }

    /// Writes activations of zeros and ones: only those that differ from what lies there, if that is known.
    fn write_one_hot(&mut self, xs: &[usize]) -> Result<(), Error> {
        let known = self.activations == Activations::OneHot;
        self.activations = Activations::Dense;
        let next = || xs.iter().copied().map(Some).chain(std::iter::repeat(None));
        for tile in &self.tiles {
            let mut surface = tile.kernel.input()?;
            if !known {
                for channel in 0..self.inputs {
                    tile.row_mut(&mut surface, channel, 0, self.batch).fill(0);
                }
                self.written += 2 * (self.inputs * self.batch) as u64;
            }
            for (place, (was, is)) in self.hot.iter().zip(next()).enumerate() {
                let was = was.filter(|_| known);
                for (input, number) in [(was, 0), (is, ONE)] {
                    if was != is
                        && let Some(input) = input
                    {
                        tile.row_mut(&mut surface, input, place, 1)[0] = number;
                        self.written += 2;
                    }
                }
            }
        }
        self.hot.iter_mut().zip(next()).for_each(|(hot, is)| *hot = is);
        self.activations = Activations::OneHot;
        Ok(())
    }

    fn run(&mut self, measure: bool) -> Result<EvalStats, Error> {
        let mut all = Some(0u64);
        for tile in &mut self.tiles {
            let one = tile.kernel.run(measure)?;
            all = all.zip(one).map(|(all, one)| all.saturating_add(one));
        }
        Ok(EvalStats { hw_execution_ns: all })
    }

    /// Reads as many rows as there is room for.
    fn read_rows(&self, y: &mut [f32]) -> Result<(), Error> {
        for tile in &self.tiles {
            let layout = tile.kernel.output_layout();
            gather_transposed(&tile.kernel.output()?, layout, y, self.outputs, tile.first);
        }
        Ok(())
    }

    /// Visits the outputs with the numbers of the batch, as bits.
    fn each_output(&self, mut visit: impl FnMut(usize, &[u16])) -> Result<(), Error> {
        for tile in &self.tiles {
            let surface = tile.kernel.output()?;
            for channel in 0..tile.width {
                visit(tile.first + channel, tile.output_row(&surface, channel, self.batch));
            }
        }
        Ok(())
    }
}

/// 1 in fp16.
const ONE: u16 = 0x3c00;

fn length(name: &str, shape: [usize; 2], found: usize) -> Result<(), Error> {
    let expected = shape[0].saturating_mul(shape[1]);
    if expected == found {
        return Ok(());
    }
    Err(Error::Length { what: format!("`{name}` of [{}, {}]", shape[0], shape[1]), expected, found })
}
