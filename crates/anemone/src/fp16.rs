//! fp16 numbers in bulk: conversion between the bits of fp16 and f32.

pub use anemone_kernels::fp16::{cast_f16_f32, cast_f32_f16, f32_to_fp16, fp16_to_f32};
