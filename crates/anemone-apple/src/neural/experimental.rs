//! What is not known to work for anybody outside of Apple.
//!
//! ```
//! use anemone_apple::Error;
//! use anemone_apple::neural::experimental::Chain;
//! # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
//! # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
//! # let framework = fake.open()?;
//! # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
//! # let main = model.procedure("main")?;
//! # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
//! // A process without Apple's entitlements is refused.
//! let refused = Chain::new(&model, "main", &[("x", &x)], &[("y", &y)])?.prepare();
//! assert!(matches!(refused, Err(Error::Refused(_))));
//! # Ok::<(), Error>(())
//! ```

pub use super::chaining::{Chain, PreparedChain};
pub use super::instance::{ProcedureWeights, instance};
pub use super::parts::{Mapped, ProgramParts};
