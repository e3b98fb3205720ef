//! The numeric kernels of anemone: slices in, slices out.
//!
//! This crate knows no graph, no MIL and no Apple framework. It is one of the three crates of the workspace in
//! which `unsafe` is allowed; every block states why it is sound.
//!
//! Every kernel takes `f32` or [`f16`](half::f16) elements ([`Float`]), computes in `f32`, and rounds each result once; those of
//! [`silicon`] compute as the Neural Engine does. A
//! kernel that takes a number of threads gives the same bits for every number: what is added in which order depends
//! on shapes alone. Lengths that do not agree are a mistake of the caller, and a panic that says so.
//!
//! ```
//! use anemone_kernels::math::{Unary, unary};
//! use half::f16;
//! let mut y = [f16::ZERO; 2];
//! unary(1, &mut y, &[f16::NEG_ONE, f16::ONE], Unary::Abs, &[]); // on one thread, and nothing after it
//! assert_eq!(y, [f16::ONE; 2]);
//! ```

pub mod attention;
pub mod binary;
mod compiled;
pub mod conv;
pub mod finish;
mod float;
pub mod fours;
pub mod fp16;
pub mod gemm;
pub mod image;
pub mod layout;
pub mod limits;
pub mod math;
pub mod memory;
pub mod norm;
pub mod packed;
pub mod pool;
pub mod scratch;
pub mod silicon;
mod simd;
pub mod sort;
#[cfg(test)]
mod testing;
pub mod threads;
mod tile;
pub mod weights;
mod window;

pub use float::Float;
pub use window::Window;
