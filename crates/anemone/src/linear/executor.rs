//! Layers whose weights are baked in.

use super::programs::Programs;
use super::{CallStats, Cancel, Options, Shape, Stats, length};
use crate::client::Client;
use crate::client::kernel::{Kernel, RowProgram};
use crate::error::Error;
use crate::mil::generate;
use crate::surface::{gather_transposed, scatter_transposed};

/// Runs dense layers with weights that are baked into programs, one for each shape and matrix, which are kept.
///
/// Copies are the same executor. Threads share it: calls of one program wait for each other, calls of several do not. A
/// matrix is known by all of its numbers, so that two are never taken for one another; what is kept stays until
/// [`Executor::close`].
///
/// ```
/// use anemone::{Chip, Client, linear::{Executor, Options, Stats}};
/// let executor = Executor::new(&Client::software(Chip::M4), Options::default())?;
/// executor.prepare(&[2.0, 0.0, 0.0, 2.0], 1, 2, 2)?;
/// let mut y = [0.0; 2];
/// executor.linear_into_with_stats(&mut y, &[3.0, 4.0], &[2.0, 0.0, 0.0, 2.0], 1, 2, 2)?;
/// assert_eq!(y, [6.0, 8.0]);
/// assert_eq!(executor.stats(), Stats { compiles: 1, cache_hits: 1, kernels: 1 });
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// use anemone::{Client, chip::Chip, linear::{Executor, Options}};
/// let layers = Executor::new(&Client::software(Chip::M4), Options::default())?;
/// layers.linear(&[1.0], &[2.0], 1, 1, 1)?;
/// layers.close(); // what is kept is given back
/// assert_eq!(layers.stats().kernels, 0);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Executor(Programs<Key, Kernel>);

/// What a program is made for.
#[derive(Debug)]
struct Key {
    shape: Shape,
    weights: Box<[f32]>,
}

impl Executor {
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
    /// `[outputs, inputs]`, [`Error::Cancelled`], and as [`Client::compile`] and [`Request::run`](crate::Request::run).
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

    /// `x · wᵀ`, and what is known of the call. On hardware the first such call of a program loads it once more, with
    /// statistics.
    ///
    /// # Errors
    ///
    /// As [`Executor::linear`], and [`Error::ModelLoad`] when the system does not load the program with statistics.
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
        // What does not fit into memory has no program either: then nothing is made here.
        self.call(shape, w, |kernel| {
            let mut y = vec![0.0; shape.results()];
            Ok((run(kernel, shape, x, &mut y, measure)?, y))
        })
    }

    /// As [`Executor::linear_with_stats`], into memory of the caller's. A call that finds its program allocates nothing
    /// on this side of the engine.
    ///
    /// # Errors
    ///
    /// As [`Executor::linear_with_stats`], and [`Error::Length`] when `y` is not `[batch, outputs]`.
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
        self.call(shape, w, |kernel| Ok((run(kernel, shape, x, y, true)?, ()))).map(|(stats, ())| stats)
    }

    /// Compiles and keeps the program of a shape and matrix.
    ///
    /// # Errors
    ///
    /// As [`Executor::linear`].
    pub fn prepare(&self, w: &[f32], batch: usize, inputs: usize, outputs: usize) -> Result<(), Error> {
        let shape = Shape::new(batch, inputs, outputs)?;
        length("w", shape.weights(), w.len())?;
        self.call(shape, w, |_| Ok((None, ()))).map(drop)
    }

    /// What was done so far, and what is kept.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Unloads all programs. Calls afterwards compile theirs anew.
    pub fn close(&self) {
        self.0.clear();
    }

    /// Lends the program of a shape and matrix.
    fn call<R>(
        &self,
        shape: Shape,
        w: &[f32],
        run: impl FnOnce(&mut Kernel) -> Result<(Option<u64>, R), Error>,
    ) -> Result<(CallStats, R), Error> {
        let bits: &[u32] = bytemuck::cast_slice(w);
        self.0.call(
            (shape, bits),
            |key, (shape, bits)| key.shape == *shape && bytemuck::cast_slice::<_, u32>(&key.weights) == *bits,
            |_| Key { shape, weights: w.into() },
            |key, client, qos| {
                let Shape { batch, inputs, outputs } = key.shape;
                let built = generate::conv_fp16_io(inputs, outputs, batch, &key.weights)?;
                RowProgram::new(client, built, qos)?.kernel()
            },
            run,
        )
    }
}

fn run(
    kernel: &mut Kernel,
    shape: Shape,
    x: &[f32],
    y: &mut [f32],
    measure: bool,
) -> Result<Option<u64>, Error> {
    scatter_transposed(&mut kernel.input()?, kernel.input_layout(), 0, x);
    let nanoseconds = kernel.run(measure)?;
    gather_transposed(&kernel.output()?, kernel.output_layout(), y, shape.outputs, 0);
    Ok(nanoseconds)
}
