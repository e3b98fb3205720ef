//! Texts, places in them, and what is to be said about them.
//!
//! A [`Diagnostic`] says that the *program* is wrong: it is data, collected and never thrown, and points at one or
//! more [`Place`]s. The kinds of diagnostics are the rows of [`codes::ALL`].
//!
//! ```
//! use anemone::{source::codes, text};
//! let faults = text::parse("program(1.3) { func main").unwrap_err();
//! let first = faults.iter().next().unwrap();
//! assert!(first.span().is_some() && codes::find(first.code.name).is_some());
//! ```

pub mod codes;
mod diagnostic;
mod render;
mod span;

pub use codes::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Label, Phase, Place, Severity};
pub use render::{escape, render, suggest};
pub use span::{LineColumn, Source, Span};
