//! The border between anemone and Apple's private frameworks.
//!
//! This crate knows no MIL and no graph. It is one of the two crates of the workspace in which `unsafe` is allowed;
//! every block states why it is sound.
//!
//! From below: [`Abi`] is the seam, one struct of C functions; [`messages`] is the table of every message that is
//! sent; [`Framework`] is the opened framework, with every prototype compared with the running system's; [`Surface`]
//! and the types of [`neural`] are what a program is compiled to and run on. With the feature `fake` there is
//! `fake`, which stands in for everything behind the seam.
//!
//! ```
//! use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
//! # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
//! let framework = fake.open()?; // Framework::open()? on a Mac
//! let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
//! let main = model.procedure("main")?;
//! let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
//! model.request("main", &[("x", &x)], &[("y", &y)])?.run()?;
//! assert_eq!(y.read()?[..2], 0x3c00u16.to_le_bytes()); // 2 · 0 + 1
//! # Ok::<(), anemone_apple::Error>(())
//! ```
//!
//! The examples of this crate run over the fake; the variable `framework` of an example is that of a fake machine where
//! nothing else is said, and `model` the program of a first dispatch.
//!
//! Nothing of this has run on hardware yet. What lies behind each message, and how sure that is, is said where it is
//! written.

mod abi;
mod budget;
mod connection;
pub mod doctor;
pub mod encoding;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod foundation;
mod framework;
mod host;
mod log;
mod message;
pub mod messages;
mod metal;
pub mod neural;
mod pace;
mod recording;
mod surface;
mod sync;
mod system;
pub mod worker;

pub use abi::{Abi, Bool, Class, Id, Imp, Method, Sel, SurfaceRef};
pub use budget::{COMPILES, LOADED};
pub use error::{Again, CODES, Error, ErrorCode, Refusal, Reported, STATUSES, Status};
pub use foundation::Plist;
pub use framework::{Finding, Framework, survey};
pub use log::{Log, Sent};
pub use message::{ClassRow, Confidence, Feature, Row};
pub use metal::{MetalBuffer, MetalDevice, MetalEvent};
pub use pace::{AFTER_FAILURE, Clock, Pace};
pub use recording::{Difference, Recording};
pub use surface::{Claim, ClaimRead, ClaimWrite, MAX_BYTES, Port, ReadGuard, Surface, WriteGuard};
pub use system::{LIBRARIES, Probe, SystemLibrary, probe};
