//! fp16 numbers in bulk: conversion between the bits of fp16 and f32.
//!
//! ```
//! use anemone::fp16;
//! let mut halves = [0; 2];
//! fp16::cast_f32_f16(&mut halves, &[1.0, -2.0]);
//! assert_eq!((halves, fp16::fp16_to_f32(0x3c00)), ([0x3c00, 0xc000], 1.0));
//! ```

pub use anemone_kernels::fp16::{cast_f16_f32, cast_f32_f16, f32_to_fp16, fp16_to_f32};
