//! Programs on the engine: described, compiled, loaded, run.
//!
//! ```text
//! Program ─describe─▶ Model<Described> ───compile─▶ Model<Compiled> ───load─▶ Loaded ─request─▶ Request ─run─▶
//! folder ──describe─▶ Package<Described> ─compile─▶ Package<Compiled> ─load─▶ Loaded
//! ```
//!
//! A value of each type is in the state that its name says; what is loaded is unloaded, and its files are removed, when
//! the last [`Loaded`] and [`Request`] of it is dropped.

mod attributes;
mod chaining;
mod completion;
mod device;
mod event;
mod first_dispatch;
mod instance;
mod loaded;
mod model;
mod options;
mod package;
mod parts;
mod patience;
mod request;
mod session;
mod statistics;

pub use attributes::{Attributes, Procedure, Symbol};
pub use completion::Pending;
pub use device::{Cache, ClientInfo, DeviceInfo, Diagnostics, HostInfo};
pub use event::{EventRun, Events, SharedEvent};
pub use first_dispatch::{FIRST_DISPATCH, FirstDispatch, first_dispatch, first_dispatch_values};
pub use loaded::Loaded;
pub use model::{Compiled, Described, Model, Program};
pub use options::{EvaluateOptions, QualityOfService};
pub use package::Package;
pub use request::Request;
pub use session::{RealTimeTask, SessionHint, SessionReport};
pub use statistics::{Counter, Statistics, StatisticsMask};

/// What is not known to work for anybody outside of Apple.
pub mod experimental {
    pub use super::chaining::{Chain, PreparedChain};
    pub use super::instance::{ProcedureWeights, instance};
    pub use super::parts::{Mapped, ProgramParts};
}
