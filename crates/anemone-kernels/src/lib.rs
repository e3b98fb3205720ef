//! The numeric kernels of anemone: slices in, slices out.
//!
//! This crate knows no graph, no MIL and no Apple framework. It is one of the two crates of the workspace in
//! which `unsafe` is allowed; every block states why it is sound.

pub mod memory;
