//! Core ML files: packages, compiled models, weight files.

use crate::mil::BlobRef;
use crate::source::{Diagnostic, codes};
use crate::types::Tensor;

/// The weight files of a program.
pub struct Weights;

impl Weights {
    /// No weight files.
    pub fn none() -> Self {
        Self
    }

    /// The tensor that a program refers to.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be had.
    pub fn get(&self, blob: &BlobRef) -> Result<Tensor, Diagnostic> {
        Err(Diagnostic::new(&codes::BLOB_MISSING, format!("the weight file `{}` is not there", blob.path)))
    }
}
