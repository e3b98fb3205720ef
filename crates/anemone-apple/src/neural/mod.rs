//! Programs on the engine: described, compiled, loaded, run.
//!
//! ```text
//! Program ─describe─▶ Model<Described> ───compile─▶ Model<Compiled> ───load─▶ Loaded ─request─▶ Request ─run─▶
//! folder ──describe─▶ Package<Described> ─compile─▶ Package<Compiled> ─load─▶ Loaded
//! ```
//!
//! A value of each type is in the state that its name says; what is loaded is unloaded, and its files are removed, when
//! the last [`Loaded`] and [`Request`] of it is dropped.
//!
//! ```
//! use anemone_apple::neural::{FIRST_DISPATCH, Model, QualityOfService};
//! # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
//! # let framework = fake.open()?;
//! let quality = QualityOfService::Default;
//! let described = Model::describe(&framework, &FIRST_DISPATCH)?;
//! let loaded = described.compile(quality)?.load(quality)?;
//! assert_eq!(loaded.procedure("main")?.outputs[0].name, "y");
//! # Ok::<(), anemone_apple::Error>(())
//! ```

mod attributes;
mod chaining;
mod completion;
mod device;
mod event;
pub mod experimental;
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
pub use first_dispatch::{FIRST_DISPATCH, FirstDispatch, first_dispatch};
pub use loaded::Loaded;
pub use model::{Compiled, Described, Model, Program};
pub use options::{EvaluateOptions, QualityOfService};
pub use package::Package;
pub use request::Request;
pub use session::{RealTimeTask, SessionHint, SessionReport};
pub use statistics::{Counter, Statistics, StatisticsMask};
