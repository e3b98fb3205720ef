//! The engines: what runs a [`Verified`] program.
//!
//! | engine | is |
//! |---|---|
//! | [`Engine::Reference`] | the meaning: plain loops on one thread, sums carried in f64, each result rounded once |
//! | [`Engine::Cpu`] | the software ANE's fast engine: kernels and threads where an op has a fast way, else the meaning |
//!
//! Both run the same steps in the same order. [`load`] does once what does not depend on the inputs: it computes the
//! steps whose arguments are all constant, such as the decompression of weights, and finds out when each value is
//! last used. [`Loaded::run`] then runs as often as wanted, from several threads at once if need be.
//!
//! ```
//! use anemone::{bundle::Weights, device, text, types::Tensor, verify};
//! let program = text::parse(
//!     "program(1.3) { func main<ios18>(tensor<fp32, [3]> x) { tensor<fp32, [3]> y = relu(x = x); } -> (y); }",
//! )?;
//! let verified = verify::verify(&program, &Weights::none()).verified.unwrap();
//! let model = device::load(verified.main(), device::Engine::Cpu, &device::Options::default())?;
//! let x = Tensor::from_slice(&[3], &[-1.0f32, 0.0, 2.0])?;
//! let outputs = model.run(&[("x", x)], &model.new_states()?)?;
//! assert_eq!(outputs[0].1.as_tensor().unwrap().to_f64s(), [0.0, 0.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Verified`]: crate::verify::Verified

pub mod ane;
pub mod compare;
mod load;
mod observe;
mod run;
mod work;

use std::collections::BTreeMap;

pub use load::load;
pub use observe::Observed;
pub use run::Loaded;
pub use work::multiply_adds;

/// What the path to the hardware needs of this machine: see [`frameworks`].
pub use anemone_apple::{Probe, SystemLibrary};

use crate::mil::Name;
use crate::source::Diagnostic;
use crate::types::{Datum, State, Type};

/// Which of the libraries this machine has that the path to the engine needs.
///
/// ```
/// for f in anemone::device::frameworks() {
///     let found = f.error.as_deref().unwrap_or("present");
///     assert!(!f.library.name.is_empty() && !found.is_empty());
/// }
/// ```
pub fn frameworks() -> Vec<Probe> {
    anemone_apple::probe()
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The meaning of every op, in plain loops.
    Reference,
    /// Kernels and threads, within each op's tolerance of the meaning.
    Cpu,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Engine; 2] = [Engine::Reference, Engine::Cpu];

    /// Its name: `reference` or `cpu`.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Reference => "reference",
            Engine::Cpu => "cpu",
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many threads the cpu engine may use; by default as many as the machine has. The bits of the results do not
    /// depend on it.
    pub threads: usize,
    /// The most bytes that values may hold at one time, weights not counted: 8 GiB by default.
    pub memory: usize,
    /// The most turns of one loop: 1,000,000 by default.
    pub turns: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 8 << 30,
            turns: 1_000_000,
        }
    }
}

/// Why a program could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Diagnostic>);

impl Error {
    /// What is wrong, and where.
    pub fn diagnostic(&self) -> &Diagnostic {
        &self.0
    }
}

impl From<Diagnostic> for Error {
    fn from(d: Diagnostic) -> Self {
        Self(Box::new(d))
    }
}

/// What a function takes or gives: a name and a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The name.
    pub name: Name,
    /// The type.
    pub ty: Type,
}

/// The variables of a function, by name: they carry on from run to run.
pub type States = BTreeMap<Name, State>;

/// The results of a run, in the order that the function gives them.
pub type Outputs = Vec<(Name, Datum)>;
