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
mod departure;
mod held;
mod load;
mod observe;
mod run;
mod survey;

use std::collections::BTreeMap;

pub use departure::{Cause, Departure, departures};
pub(crate) use held::Held;
pub use load::load;
pub use observe::Observed;
pub use run::Loaded;
pub use survey::{Spread, Survey, survey};

/// What the path to the hardware needs of this machine: see [`frameworks`].
pub use anemone_apple::{Probe, SystemLibrary};

use crate::chip::Numerics;
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

/// What this machine can do at most: see [`limits`].
///
/// ```
/// use anemone::device::Limits;
/// // A step that multiplies 1e9 times and reads 1 MB takes at least as long as either takes.
/// let limits = Limits { operations: 200e9, read: 40e9 };
/// let least = (2e9 / limits.operations).max(1e6 / limits.read);
/// assert_eq!(least, 0.01);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Operations on single precision in a second, in registers: two for each multiplication with an addition.
    pub operations: f64,
    /// Bytes that are read in a second from memory which no cache holds.
    pub read: f64,
}

/// Measures what this machine can do at most with so many threads. It takes about a tenth of a second.
///
/// ```
/// let limits = anemone::device::limits(1);
/// assert!(limits.operations > 1e8 && limits.read > 1e8);
/// ```
pub fn limits(threads: usize) -> Limits {
    Limits {
        operations: anemone_kernels::limits::operations(threads),
        read: anemone_kernels::limits::read(threads),
    }
}

/// An engine.
///
/// ```
/// use anemone::device::Engine;
/// assert_eq!(Engine::ALL.map(Engine::name), ["reference", "cpu"]);
/// ```
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
///
/// ```
/// use anemone::device::Options;
/// let small = Options { threads: 1, memory: 1 << 20, ..Options::default() };
/// assert_eq!(small.turns, 1_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// How many threads the cpu engine may use; by default as many as the machine has. The bits of the results do not
    /// depend on it.
    pub threads: usize,
    /// The most bytes that values may hold at one time, weights not counted: 8 GiB by default.
    pub memory: usize,
    /// The most turns of one loop: 1,000,000 by default.
    pub turns: u64,
    /// With which arithmetic steps are computed: IEEE's by default. What is computed once, when a function is loaded, is
    /// always computed with IEEE's, as by the compiler of the chip's programs. With a chip's both engines compute the same
    /// bits wherever its rule is known.
    pub numerics: Numerics,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: 8 << 30,
            turns: 1_000_000,
            numerics: Numerics::Ieee,
        }
    }
}

/// Why a program could not be loaded or run.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let wrong = Tensor::from_f64s(DType::Fp16, &[3], &[0.0; 3])?;
/// let error = model.run(&[("x", wrong)], &model.new_states()?).unwrap_err();
/// assert!(error.diagnostic().message.contains("`x`"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let (x, y) = (&model.inputs()[0], &model.outputs()[0]);
/// assert_eq!((x.name.as_str(), y.ty.to_string()), ("x", "tensor<fp16, [4]>".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The name.
    pub name: Name,
    /// The type.
    pub ty: Type,
}

/// The variables of a function, by name: they carry on from run to run.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> s) {
/// #     tensor<fp16, [2]> y = read_state(input = s); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let states = model.new_states()?; // all zero, kept from run to run
/// assert_eq!(states["s"].read().to_f64s(), [0.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type States = BTreeMap<Name, State>;

/// The results of a run, in the order that the function gives them.
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// use anemone::{bundle::Weights, device::{self, Engine, Options}, text, types::{DType, Tensor}, verify};
/// let report = verify::verify(&text::parse(text)?, &Weights::none());
/// let verified = report.verified.ok_or(report.diagnostics)?;
/// let model = device::load(verified.main(), Engine::Cpu, &Options::default())?;
/// let x = Tensor::from_f64s(DType::Fp16, &[4], &[-1.0, 0.0, 1.0, 2.0])?;
/// let outputs = model.run(&[("x", x)], &model.new_states()?)?;
/// let (name, value) = &outputs[0];
/// assert_eq!((name.as_str(), value.as_tensor().unwrap().shape()), ("y", &[4][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Outputs = Vec<(Name, Datum)>;
