//! Dense layers that are run again and again: `y = x · wᵀ`, row by row, with programs that are kept.
//!
//! An [`Executor`] bakes weights into its programs and keeps one for each shape and matrix; a [`DynamicExecutor`] keeps one
//! for each shape and is given weights whenever it runs. Matrices are row by row: `x [batch, inputs]`, `w [outputs,
//! inputs]` as PyTorch's `nn.Linear` has them, `y [batch, outputs]`. Numbers are rounded to fp16 on the way to the engine.
//!
//! ```
//! use anemone::{Chip, Client, linear::{Executor, Options}};
//! let executor = Executor::new(&Client::software(Chip::M4), Options::default())?;
//! let w = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0]; // [2, 3]
//! assert_eq!(executor.linear(&[1.0, 2.0, 3.0], &w, 1, 3, 2)?, [1.0, 5.0]);
//! let (y, call) = executor.linear_with_stats(&[4.0, 5.0, 6.0], &w, 1, 3, 2)?;
//! assert_eq!((y, call.compiled), (vec![4.0, 11.0], false));
//! assert_eq!(executor.stats().compiles, 1);
//! # Ok::<(), anemone::Error>(())
//! ```

mod cache;
mod dynamic;
mod executor;
mod programs;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use dynamic::DynamicExecutor;
pub use executor::Executor;

use crate::error::Error;

/// How programs are compiled.
///
/// ```
/// use anemone::{Chip, Client, linear::{Executor, Options}};
/// let executor = Executor::new(&Client::software(Chip::M4), Options { qos: 33, ..Options::default() })?;
/// assert_eq!(executor.linear(&[2.0], &[3.0], 1, 1, 1)?, [6.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The quality of service in Apple's numbers: 9, 17, 21, 25 or 33; 0 is 21.
    pub qos: u32,
}

impl Options {
    /// Refuses what is no quality of service.
    fn check(self) -> Result<u32, Error> {
        crate::client::CompileOptions { qos: self.qos, ..Default::default() }.quality()?;
        Ok(self.qos)
    }
}

/// What an executor has done so far, and what it keeps.
///
/// ```
/// use anemone::{Chip, Client, linear::{Executor, Options}};
/// let executor = Executor::new(&Client::software(Chip::M4), Options::default())?;
/// for x in [1.0, 2.0] {
///     executor.linear(&[x], &[3.0], 1, 1, 1)?;
/// }
/// let stats = executor.stats();
/// assert_eq!((stats.compiles, stats.cache_hits, stats.kernels), (1, 1, 1));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many programs were compiled.
    pub compiles: u64,
    /// How many calls found theirs.
    pub cache_hits: u64,
    /// How many programs are kept.
    pub kernels: usize,
}

/// What is known of a call.
///
/// ```
/// use anemone::{Chip, Client, linear::{Executor, Options}};
/// let executor = Executor::new(&Client::software(Chip::M4), Options::default())?;
/// let (y, call) = executor.linear_with_stats(&[2.0], &[3.0], 1, 1, 1)?;
/// assert_eq!((y, call.compiled), (vec![6.0], true));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Whether a program was compiled for it.
    pub compiled: bool,
    /// The nanoseconds that the engine took, if it says so. The software engine's are those of the wall clock.
    pub hw_execution_ns: Option<u64>,
}

/// Ends calls that have not run yet: a copy that is kept elsewhere is [cancelled](Cancel::cancel), and from then on the
/// calls of the executors that were made with it give [`Error::Cancelled`].
///
/// What the engine has begun it ends.
///
/// ```
/// use anemone::{Chip, Client, Error, linear::{Cancel, Executor, Options}};
/// let executor = Executor::new(&Client::software(Chip::M4), Options::default())?;
/// let cancel = Cancel::new();
/// let request = executor.with_cancel(&cancel);
/// assert_eq!(request.linear(&[2.0], &[3.0], 1, 1, 1)?, [6.0]);
/// cancel.cancel();
/// assert!(matches!(request.linear(&[2.0], &[3.0], 1, 1, 1), Err(Error::Cancelled)));
/// assert_eq!(executor.linear(&[2.0], &[3.0], 1, 1, 1)?, [6.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// One that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels all calls that have this one. There is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is cancelled.
    ///
    /// ```
    /// use anemone::linear::Cancel;
    /// let (cancel, same) = { let cancel = Cancel::new(); (cancel.clone(), cancel) };
    /// same.cancel();
    /// assert!(cancel.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The batch, inputs and outputs of a layer, none of which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    batch: usize,
    inputs: usize,
    outputs: usize,
}

impl Shape {
    fn new(batch: usize, inputs: usize, outputs: usize) -> Result<Self, Error> {
        if [batch, inputs, outputs].contains(&0) {
            return Err(Error::Invalid(format!(
                "a layer of {inputs} inputs and {outputs} outputs on a batch of {batch} has no elements"
            )));
        }
        Ok(Self { batch, inputs, outputs })
    }

    /// The shape, if these are its matrices.
    fn of(
        y: &[f32],
        x: &[f32],
        w: &[f32],
        batch: usize,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, Error> {
        let shape = Self::new(batch, inputs, outputs)?;
        shape.check(x, w)?;
        length("y", shape.results(), y.len())?;
        Ok(shape)
    }

    fn weights(self) -> usize {
        self.inputs.saturating_mul(self.outputs)
    }

    fn check(self, x: &[f32], w: &[f32]) -> Result<(), Error> {
        length("x", self.batch.saturating_mul(self.inputs), x.len())?;
        length("w", self.weights(), w.len())
    }

    fn results(self) -> usize {
        self.batch.saturating_mul(self.outputs)
    }
}

fn length(what: &str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Length { what: format!("`{what}` of this layer"), expected, found })
}
