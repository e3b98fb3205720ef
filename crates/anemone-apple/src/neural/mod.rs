//! Programs on the engine: described, compiled, loaded, run.
//!
//! ```text
//! Program ─describe─▶ Model<Described> ─compile─▶ Model<Compiled> ─load─▶ Loaded ─request─▶ Request ─run─▶
//! ```
//!
//! A value of each type is in the state that its name says; what is loaded is unloaded, and its files are removed, when
//! the last [`Loaded`] and [`Request`] of it is dropped.

mod attributes;
mod first_dispatch;
mod model;
mod options;
mod patience;
mod request;

pub use attributes::{Attributes, Procedure, Symbol};
pub use first_dispatch::{FIRST_DISPATCH, FirstDispatch, first_dispatch, first_dispatch_values};
pub use model::{Compiled, Described, Loaded, Model, Program};
pub use options::{EvaluateOptions, QualityOfService};
pub use request::Request;
