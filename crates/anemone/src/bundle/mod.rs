//! Core ML files: packages, compiled models, weight files.

mod weights;

pub use weights::Weights;
