//! The engine of Apple Silicon, through Apple's private frameworks.
//!
//! A program goes in as MIL text in the form that the system's compiler takes ([`Source`]), is compiled and loaded by
//! the system, and runs on surfaces whose layout the loaded model states. What is known of the way there, and how sure it
//! is, is in `docs/apple.md`.
//!
//! Not yet run on hardware: tests run all of it over a stand-in for Apple's side, whose compiler is this library.
//!
//! ```no_run
//! use anemone::device::ane::{self, Framework};
//! use anemone::{bundle, verify};
//! let bundle = bundle::open("model.mlpackage")?;
//! let verified = verify::verify(&bundle.program, &bundle.weights).verified.expect("the program is right");
//! let source = ane::Source::of(&bundle.program, &verified, &bundle.weights)?;
//! let compiled = ane::Compiled::of_source(&Framework::open()?, &source, ane::Settings::default())?;
//! let model = compiled.load()?;
//! # let image = anemone::types::Tensor::scalar(anemone::types::DType::Fp16, 0.0);
//! let outputs = model.run("main", &[("image", image)])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where the way is not there, what is missing is said:
//!
//! ```
//! if let Err(missing) = anemone::device::ane::Framework::open() {
//!     assert!(!missing.to_string().is_empty());
//! }
//! ```

mod run;
mod source;

pub use anemone_apple::Framework;
pub use anemone_apple::neural::{QualityOfService, StatisticsMask};
pub use run::{Compiled, Loaded, Settings};
pub use source::Source;

use crate::source::Diagnostic;

/// Why a program could not be loaded or run on the engine.
///
/// ```
/// use anemone::device::ane::Error;
/// fn is_of_the_program(error: &Error) -> bool {
///     matches!(error, Error::Program(_))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program, or what it is given, is not what the engine takes.
    #[error("{0}")]
    Program(Box<Diagnostic>),
    /// Apple's side refused, or is not there.
    #[error(transparent)]
    Apple(#[from] anemone_apple::Error),
}

impl From<Diagnostic> for Error {
    fn from(d: Diagnostic) -> Self {
        Self::Program(Box::new(d))
    }
}
