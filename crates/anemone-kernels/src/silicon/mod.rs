//! The arithmetic of the Neural Engine, bit for bit where it is known.
//!
//! Numbers are halves whose exponent 31 is an exponent like any other ([`decode`]), and results are rounded half away from
//! zero ([`store`]). Products of matrices and convolutions are summed in fixed point ([`product()`], [`conv()`]); on some chips
//! convolutions take another way to their sums ([`conv_winograd`]). Functions of one number are tables ([`Lookup`]), of which
//! many are what the activation unit makes of 33 knots ([`activation`]).
//!
//! What is computed depends on the operands alone: all processors and numbers of threads give the same bits.
//!
//! ```
//! use anemone_kernels::silicon;
//! use half::f16;
//! // Infinity is a number like any other.
//! assert_eq!(silicon::decode(f16::INFINITY), 65536.0);
//! ```

pub mod activation;
mod conv;
mod elementwise;
mod grid;
mod int8;
mod number;
mod product;
mod winograd;

pub use conv::{conv, conv_transpose};
pub use elementwise::{Lookup, add, decode_all, maximum, minimum, multiply, store_all, subtract};
pub(crate) use grid::Grid;
pub use int8::conv_int8;
pub use number::{decode, store, store_f64};
pub use product::{Bias, product, product_batched};
pub use winograd::{conv_winograd, takes_winograd};
