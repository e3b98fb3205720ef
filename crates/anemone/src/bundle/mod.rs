//! Core ML files: packages, compiled models, weight files.
