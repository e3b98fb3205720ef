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
