//! One kernel at a time, bytes in and out: a text is compiled, loaded, run on two surfaces, unloaded.
//!
//! ```text
//! Source ─compile─▶ Program ─load─▶ run, run, … ─unload─▶ load again, or dropped
//! ```
//!
//! A kernel takes one tensor `[1, channels, 1, spatial]` of fp16 numbers and gives one. [`Client`](crate::Client) runs
//! programs with several, of any dtype.
//!
//! ```
//! use anemone::driver::{Program, Source, Surface};
//! use anemone::fp16::{cast_f32_f16, fp16_to_f32};
//!
//! // 2 channels of 32 numbers, and behind them the 32 columns of a matrix of 2 rows.
//! let source = Source::matmul(2, 32, 32);
//! let mut program = Program::compile(&source, &[])?;
//! program.load()?;
//!
//! let (channels, spatial) = source.input_shape();
//! let input = Surface::with_shape(channels, spatial)?;
//! input.write(|numbers| {
//!     let (first, second) = numbers.split_at_mut(spatial);
//!     cast_f32_f16(&mut first[..32], &[3.0; 32]); // x[0] = 3
//!     cast_f32_f16(&mut second[..32], &[1.0; 32]); // x[1] = 1
//!     cast_f32_f16(&mut first[32..], &[2.0; 32]); // w[0] = 2
//!     cast_f32_f16(&mut second[32..], &[0.5; 32]); // w[1] = 0.5
//! });
//! let output = Surface::new(source.output_size())?;
//! program.run(&input, &output)?;
//! assert_eq!(output.read(|numbers| fp16_to_f32(numbers[0])), 6.5);
//! # Ok::<(), anemone::Error>(())
//! ```

mod program;
mod source;

pub use crate::surface::Surface;
pub use program::Program;
pub use source::Source;
