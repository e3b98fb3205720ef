//! Layers whose weights are given when they run.

use super::programs::Programs;
use super::{CallStats, Cancel, Options, Shape, Stats, length};
use crate::client::Client;
use crate::dynamic_matmul::{self, DynamicMatmul, EvalStats};
use crate::error::Error;

/// Runs dense layers with weights that each call gives, by a program for each shape, which is kept.
///
/// Copies are the same executor. Threads share it: calls of one shape wait for each other, calls of several do not.
///
/// Calls with `io` in their names take weights `[inputs, outputs]`, as they lie in the surface of the program. They stay
/// there until others are given for that shape.
///
/// ```
/// use anemone::{Chip, Client, linear::{DynamicExecutor, Options}};
/// let executor = DynamicExecutor::new(&Client::software(Chip::M4), Options::default())?;
/// assert_eq!(executor.linear(&[1.0, 2.0], &[3.0, 4.0], 1, 2, 1)?, [11.0]);
/// assert_eq!(executor.linear(&[1.0, 2.0], &[5.0, 6.0], 1, 2, 1)?, [17.0]);
/// assert_eq!(executor.stats().compiles, 1);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Weights that are there are used again, by numbers and by one-hot activations:
///
/// ```
/// use anemone::{Chip, Client, linear::{DynamicExecutor, Options}};
/// let executor = DynamicExecutor::new(&Client::software(Chip::M4), Options::default())?;
/// let (mut y, weights) = ([0.0; 2], [1.0, 0.0, 0.0, 10.0]); // [inputs, outputs]
/// executor.linear_io_into_with_stats(&mut y, &[1.0, 2.0], &weights, 1, 2, 2)?;
/// assert_eq!(y, [1.0, 20.0]);
/// executor.linear_one_hot_io_into_with_stats(&mut y, &[1], 1, 2, 2)?;
/// assert_eq!(y, [0.0, 10.0]);
/// executor.close();
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// use anemone::linear::{Cancel, DynamicExecutor, Options};
/// use anemone::{Client, Error, chip::Chip};
/// let cancel = Cancel::new();
/// let layers = DynamicExecutor::new(&Client::software(Chip::M4), Options::default())?.with_cancel(&cancel);
/// layers.prepare(1, 2, 3)?; // the program for such layers
/// let (y, stats) = layers.linear_with_stats(&[1.0, 2.0], &[0.5; 6], 1, 2, 3)?;
/// assert_eq!((y, stats.compiled), (vec![1.5; 3], false));
/// let mut y = [0.0; 3];
/// layers.linear_into_with_stats(&mut y, &[1.0, 2.0], &[1.0; 6], 1, 2, 3)?;
/// // Weights `[inputs, outputs]` that stay, of which one row changes.
/// layers.prime_weights_io(1, 2, 3, &[1.0; 6])?;
/// layers.update_weights_io_rows(1, 2, 3, &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0], &[1])?;
/// cancel.cancel();
/// assert!(matches!(layers.prepare(1, 4, 4), Err(Error::Cancelled)));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DynamicExecutor(Programs<Shape, DynamicMatmul>);

impl DynamicExecutor {
    /// An executor for a client's engine.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the quality of service is none.
    pub fn new(client: &Client, options: Options) -> Result<Self, Error> {
        Programs::new(client, options).map(Self)
    }

    /// The same executor, whose calls can be cancelled.
    #[must_use]
    pub fn with_cancel(&self, cancel: &Cancel) -> Self {
        Self(self.0.with_cancel(cancel))
    }

    /// `x · wᵀ`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a dimension is 0, [`Error::Length`] when `x` is not `[batch, inputs]` or `w` not
    /// `[outputs, inputs]`, [`Error::Cancelled`], and as [`DynamicMatmul::new`] and [`DynamicMatmul::eval`].
    pub fn linear(
        &self,
        x: &[f32],
        w: &[f32],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Vec<f32>, Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        self.rows(shape, x, w, false).map(|(_, y)| y)
    }

    /// `x · wᵀ`, and what is known of the call. On hardware the first such call of a shape loads the program once more,
    /// with statistics.
    ///
    /// # Errors
    ///
    /// As [`DynamicExecutor::linear`], and [`Error::ModelLoad`] when the system does not load the program with
    /// statistics.
    pub fn linear_with_stats(
        &self,
        x: &[f32],
        w: &[f32],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<(Vec<f32>, CallStats), Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        self.rows(shape, x, w, true).map(|(stats, y)| (y, stats))
    }

    fn rows(
        &self,
        shape: Shape,
        x: &[f32],
        w: &[f32],
        measure: bool,
    ) -> Result<(CallStats, Vec<f32>), Error> {
        shape.check(x, w)?;
        let mut y = Vec::new();
        let stats = self.call(shape, |product| {
            // What does not fit into memory has been refused when it was compiled.
            y = vec![0.0; shape.results()];
            product.eval_oi(&mut y, x, w, measure)
        })?;
        Ok((stats, y))
    }

    /// `x · wᵀ` into memory of the caller's, and what is known of the call. A call that finds its program allocates
    /// nothing on this side of the engine.
    ///
    /// # Errors
    ///
    /// As [`DynamicExecutor::linear`], and [`Error::Length`] when `y` is not `[batch, outputs]`.
    pub fn linear_into_with_stats(
        &self,
        y: &mut [f32],
        x: &[f32],
        w: &[f32],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<CallStats, Error> {
        let shape = Shape::of(y, x, w, batch, inputs, outputs)?;
        self.call(shape, |product| product.eval_oi(y, x, w, true))
    }

    /// `x · w` with weights `[inputs, outputs]`, into memory of the caller's.
    ///
    /// # Errors
    ///
    /// As [`DynamicExecutor::linear_into_with_stats`].
    pub fn linear_io_into_with_stats(
        &self,
        y: &mut [f32],
        x: &[f32],
        w: &[f32],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<CallStats, Error> {
        let shape = Shape::of(y, x, w, batch, inputs, outputs)?;
        self.call(shape, |product| product.eval_rows(y, x, w, true))
    }

    /// The rows of the weights that `xs` names, as [`DynamicMatmul::eval_one_hot_io_into`]: with the weights that
    /// [`DynamicExecutor::prime_weights_io`] gave.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::eval_one_hot_io_into`], and [`Error::Cancelled`].
    pub fn linear_one_hot_io_into_with_stats(
        &self,
        y: &mut [f32],
        xs: &[usize],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<CallStats, Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        self.call(shape, |product| product.eval_one_hot(y, xs, true))
    }

    /// Puts weights `[inputs, outputs]` into the program of a shape.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::new`] and [`DynamicMatmul::prime_weights_io`], and [`Error::Cancelled`].
    pub fn prime_weights_io(
        &self,
        batch: usize,
        inputs: usize,
        outputs: usize,
        w: &[f32],
    ) -> Result<(), Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        length("w", shape.weights(), w.len())?;
        self.call(shape, |product| product.prime_weights_io(w).map(|()| EvalStats::default())).map(drop)
    }

    /// Writes some rows of the weights of a shape, as [`DynamicMatmul::update_weights_io_rows`].
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::new`] and [`DynamicMatmul::update_weights_io_rows`], and [`Error::Cancelled`].
    pub fn update_weights_io_rows(
        &self,
        batch: usize,
        inputs: usize,
        outputs: usize,
        w: &[f32],
        rows: &[usize],
    ) -> Result<(), Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        length("w", shape.weights(), w.len())?;
        let update = |product: &mut DynamicMatmul| product.update_weights_io_rows(w, rows);
        self.call(shape, |product| update(product).map(|()| EvalStats::default())).map(drop)
    }

    /// Compiles and keeps the program of a shape.
    ///
    /// # Errors
    ///
    /// As [`DynamicMatmul::new`], and [`Error::Cancelled`].
    pub fn prepare(&self, batch: usize, inputs: usize, outputs: usize) -> Result<(), Error> {
        self.call(Shape::new(batch, inputs, outputs)?, |_| Ok(EvalStats::default())).map(drop)
    }

    /// What was done so far, and what is kept.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Unloads all programs. Calls afterwards compile theirs anew.
    pub fn close(&self) {
        self.0.clear();
    }

    /// Lends the program of a shape.
    fn call(
        &self,
        shape: Shape,
        run: impl FnOnce(&mut DynamicMatmul) -> Result<EvalStats, Error>,
    ) -> Result<CallStats, Error> {
        let called = self.0.call(
            shape,
            |key, shape| key == shape,
            |shape| shape,
            |&Shape { batch, inputs, outputs }, client, qos| {
                let options = dynamic_matmul::Options { qos, tile_out: 0 };
                DynamicMatmul::new(client, batch, inputs, outputs, options)
            },
            |product| run(product).map(|EvalStats { hw_execution_ns }| (hw_execution_ns, ())),
        );
        called.map(|(stats, ())| stats)
    }
}
