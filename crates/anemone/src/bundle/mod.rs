//! Core ML files: packages, compiled models, model files, and the weight files beside programs.
//!
//! [`open`] takes a path of any of these and gives a [`Bundle`]: the program, where its weights are, and what the
//! model says of itself. `docs/formats.md` describes the formats and what each statement is known from.
//!
//! Nothing that a file holds can make this module panic, recurse or allocate without bound: protobuf limits the
//! nesting, lengths are compared with what is there before anything is allocated, and files are opened only inside
//! the folder of the model.
//!
//! ```
//! use anemone::bundle;
//! let bundle = bundle::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage"))?;
//! assert_eq!(bundle.description.unwrap().functions[0].inputs[0].name, "image");
//! # Ok::<(), bundle::Error>(())
//! ```

mod compiled;
mod description;
mod error;
mod export;
mod flexible;
mod import;
mod interface;
mod metadata;
mod model;
mod open;
mod package;
mod proto;
mod staging;
mod weights;
mod weights_out;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub use description::{
    ArrayFeature, Colour, Description, Feature, FeatureKind, Flexibility, ImageFeature, Interface, Key,
    Metadata, SizeRange,
};
pub use error::Error;
pub use model::ModelKind;
pub use open::{from_bytes, open};
pub use weights::{WeightFile, Weights};
pub use weights_out::blobs;
pub use write::{Written, write_mil, write_mlmodelc, write_mlpackage};

use error::read_limited;

use crate::mil::Program;
use crate::source::{Diagnostics, Source};

/// What was opened.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{self, Form};
/// let bundle = bundle::open(digits)?;
/// assert_eq!((bundle.form, bundle.stages.len()), (Form::Package, 0));
/// let description = bundle.description.unwrap();
/// assert_eq!(description.functions[0].inputs[0].name, "image");
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
///
/// ```
/// use anemone::bundle::{Bundle, Weights};
/// let program = anemone::text::parse("program(1.3) { }")?;
/// let bundle = Bundle::new(program, Weights::none());
/// assert!(bundle.program.functions.is_empty());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Debug)]
pub struct Bundle {
    /// The path it was opened from.
    pub path: PathBuf,
    /// The form that it has on the disk.
    pub form: Form,
    /// The program: that of the model, or of the first stage of a pipeline that is one.
    pub program: Program,
    /// The text of the program, where it was read from text.
    pub source: Option<Source>,
    /// The weights of the program.
    pub weights: Weights,
    /// What the model says of itself; program text alone says nothing.
    pub description: Option<Description>,
    /// The version of the file format, where it is stated.
    pub specification_version: Option<i32>,
    /// The stages of a pipeline, in order; empty for every other model.
    pub stages: Vec<Stage>,
    /// What is doubtful and no reason to refuse the bundle.
    pub warnings: Diagnostics,
    /// What a copy of the bundle needs and nobody else.
    origin: Origin,
}

impl Bundle {
    /// A program that was not read from anywhere, to be written.
    pub fn new(program: Program, weights: Weights) -> Self {
        Self {
            path: PathBuf::new(),
            form: Form::Text,
            program,
            source: None,
            weights,
            description: None,
            specification_version: None,
            stages: Vec::new(),
            warnings: Diagnostics::default(),
            origin: Origin::default(),
        }
    }
}

/// The form of a bundle on the disk.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{Form, open};
/// assert_eq!(open(digits)?.form, Form::Package);
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A file of MIL text.
    Text,
    /// A model file: `.mlmodel`.
    Model,
    /// A package: `.mlpackage`.
    Package,
    /// A compiled model: `.mlmodelc`.
    Compiled,
}

/// A model of a pipeline.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// // A model that is no pipeline has no stages.
/// assert!(anemone::bundle::open(digits)?.stages.is_empty());
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Debug)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: &'static ModelKind,
    /// What it says of itself, where that can be read.
    pub description: Option<Description>,
    /// The version of its file format, where it is stated.
    pub specification_version: Option<i32>,
    /// Its program, if it is one.
    pub program: Option<StageProgram>,
    origin: Origin,
}

/// The program of a stage.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// let model = anemone::bundle::open(digits)?;
/// // Only pipelines have stages, each with a program if it is one.
/// let programs = model.stages.iter().filter_map(|stage| stage.program.as_ref());
/// assert_eq!(programs.map(|p| p.program.functions.len()).sum::<usize>(), 0);
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
#[derive(Debug)]
pub struct StageProgram {
    /// The program.
    pub program: Program,
    /// The text of the program, where it was read from text.
    pub source: Option<Source>,
    /// The weights of the program.
    pub weights: Weights,
    /// What is doubtful and no reason to refuse the stage.
    pub warnings: Diagnostics,
}

/// The bytes that a model came from, as far as a copy of it should have the same.
#[derive(Clone, Debug, Default)]
struct Origin {
    /// The message of the description.
    description: Option<Arc<[u8]>>,
    /// The whole model file, for a stage that is not a program.
    model: Option<Arc<[u8]>>,
    updatable: bool,
    /// Where the model file is on the disk.
    model_file: Option<PathBuf>,
}
