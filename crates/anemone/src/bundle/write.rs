//! Writing bundles.
//!
//! A bundle is written beside its place under another name and moved there when it is complete, so that a failure
//! leaves what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anemone_kernels::memory::Mapped;
use prost::Message;
use sha2::{Digest, Sha256};

use super::compiled::{self, CoreMlData};
use super::description::{self, Description};
use super::metadata::Metadata;
use super::model::{ModelFile, ModelKind, PIPELINE, PROGRAM};
use super::open::STAGE_FILE;
use super::package::{AUTHOR, Item, MANIFEST, Manifest};
use super::staging::Staging;
use super::weights::Weights;
use super::weights_out;
use super::{Bundle, Error, Stage, export, interface};
use crate::mil::{Program, Version};
use crate::source::{Diagnostic, codes};
use crate::text;

/// What was written.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use anemone::{Graph, Shape, bundle};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(2, 1, 64));
/// g.relu(x);
/// let path = folder.path().join("relu.mil");
/// let bundle::Written { path: written, notes } = bundle::write_mil(&g.build()?.bundle(), &path)?;
/// assert_eq!((written, notes.len()), (path, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Written {
    /// The file or folder.
    pub path: PathBuf,
    /// What its user should know, such as weights that were not there to be copied.
    pub notes: Vec<String>,
}

/// The parts of a model that all forms are made of.
struct Model<'a> {
    program: &'a Program,
    weights: &'a Weights,
    description: Description,
    /// The bytes of the description.
    message: Vec<u8>,
    specification_version: i32,
    updatable: bool,
}

impl<'a> Model<'a> {
    fn of(bundle: &'a Bundle) -> Result<Self, Error> {
        let stated = bundle.specification_version;
        Self::new(&bundle.program, &bundle.weights, bundle.description.as_ref(), &bundle.origin, stated)
    }

    /// The model of a stage; nothing for one that is not a program.
    fn of_stage(stage: &'a Stage) -> Result<Option<Self>, Error> {
        let Some(p) = &stage.program else { return Ok(None) };
        let stated = stage.specification_version;
        Self::new(&p.program, &p.weights, stage.description.as_ref(), &stage.origin, stated).map(Some)
    }

    fn new(
        program: &'a Program,
        weights: &'a Weights,
        description: Option<&Description>,
        origin: &super::Origin,
        stated: Option<i32>,
    ) -> Result<Self, Error> {
        let description = match description {
            Some(d) => d.clone(),
            None => interface::of(program)?,
        };
        Ok(Self {
            program,
            weights,
            message: message_of(&description, origin),
            specification_version: specification_version(program, stated, interface::is_named(&description)),
            description,
            updatable: origin.updatable,
        })
    }

    /// The bytes of the model file, with weights as the program names them.
    fn file(&self, program: &Program) -> Result<Vec<u8>, Error> {
        let program = export::program(program)?.encode_to_vec();
        // Protobuf readers, Apple's too, stop at a depth that text may go beyond.
        if let Err(e) = super::proto::Program::decode(&program[..]) {
            let message = format!("a package cannot hold the program: {e}");
            return Err(Diagnostic::new(&codes::NO_PACKAGE_FORM, message).into());
        }
        Ok(ModelFile {
            specification_version: self.specification_version,
            description: &self.message,
            updatable: self.updatable,
            kind: kind(PROGRAM),
            model: &program,
        }
        .encode())
    }
}

fn kind(number: u32) -> &'static ModelKind {
    ModelKind::of(number).expect("the number is that of a kind")
}

/// The bytes of a description: those it was read from, if it still says the same.
fn message_of(description: &Description, origin: &super::Origin) -> Vec<u8> {
    match &origin.description {
        Some(bytes) if description::decode(bytes).is_ok_and(|d| d == *description) => bytes.to_vec(),
        _ => description::encode(description, interface::is_named(description)),
    }
}

/// The specification version that a file of this program has: the one it had, unless the program needs a newer one.
fn specification_version(program: &Program, stated: Option<i32>, named: bool) -> i32 {
    let opsets = program.functions.iter().filter_map(|f| f.opset.known());
    let needed = opsets.map(|o| o.specification_version()).max().unwrap_or(6);
    // The dialect of the text follows from the version, and lists of functions came with version 9.
    let dialect = if program.version == Version::V1_3 || named { 9 } else { 6 };
    let stated = stated.filter(|&s| program.version == Version::V1_3 || s < 9);
    stated.unwrap_or(0).max(needed).max(dialect)
}

/// Writes the program as text, to a file if the path ends in `.mil`, else to `model.mil` in a folder; its weight
/// files go beside it, under the paths that the program gives.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use anemone::{Graph, Shape, bundle};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(2, 1, 64));
/// g.inner_product(x, &[0.5; 8], 2, 4);
/// let written = bundle::write_mil(&g.build()?.bundle(), folder.path().join("layer.mil"))?;
/// assert_eq!(bundle::open(written.path)?.program.functions.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] when it cannot be written, and when another weight file is already in the place of one;
/// [`Error::Refused`] for a weight file that may not be read.
pub fn write_mil(bundle: &Bundle, path: impl AsRef<Path>) -> Result<Written, Error> {
    let path = path.as_ref();
    let is_file = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mil")) && !path.is_dir();
    let file = if is_file { path.to_path_buf() } else { path.join("model.mil") };
    let folder = match file.parent() {
        Some(p) if p != Path::new("") => p.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut notes = Vec::new();
    if !bundle.stages.is_empty() {
        notes.push("only the program of the first stage was written: text holds no pipeline".into());
    }
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let replaced = file.exists();
    for (inside, source) in weights_out::referenced(&bundle.program, &bundle.weights, &mut notes)? {
        weights_out::copy_beside(&source, &folder.join(inside), replaced)?;
    }
    let staging = Staging::file(&file)?;
    fs::write(staging.path(), text::print(&bundle.program)).map_err(Error::io(&file))?;
    staging.commit()?;
    Ok(Written { path: file, notes })
}

/// Writes a compiled model: the folder that Core ML loads.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use anemone::{Graph, Shape, bundle};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(2, 1, 64));
/// g.inner_product(x, &[0.5; 8], 2, 4);
/// let written = bundle::write_mlmodelc(&g.build()?.bundle(), folder.path().join("layer.mlmodelc"))?;
/// assert_eq!(bundle::open(written.path)?.program.functions.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] when it cannot be written, and when something else than a bundle is in its place;
/// [`Error::Refused`] when the program has no such form, or a weight file may not be read.
pub fn write_mlmodelc(bundle: &Bundle, path: impl AsRef<Path>) -> Result<Written, Error> {
    let path = path.as_ref();
    let staging = Staging::folder(path)?;
    let folder = staging.path();
    let mut notes = Vec::new();
    if bundle.stages.is_empty() {
        let model = Model::of(bundle)?;
        write_compiled(&model, folder, &mut notes)?;
        let hash = model_hash(bundle, &mut || model.file(model.program))?;
        put(folder, "analytics/coremldata.bin", compiled::analytics_of_program(Some(&hash)))?;
        let metadata = Metadata {
            name: &stem(path),
            kind: kind(PROGRAM),
            specification_version: model.specification_version,
            updatable: model.updatable,
            description: &model.description,
            programs: vec![model.program],
            stages: Vec::new(),
        };
        put(folder, "metadata.json", metadata.text())?;
    } else {
        write_compiled_pipeline(bundle, folder, &stem(path), &mut notes)?;
    }
    staging.commit()?;
    Ok(Written { path: path.to_path_buf(), notes })
}

/// Writes what a compiled model and a stage of a compiled pipeline have in common.
fn write_compiled(model: &Model<'_>, folder: &Path, notes: &mut Vec<String>) -> Result<(), Error> {
    put(folder, "model.mil", text::print(model.program))?;
    for (inside, source) in weights_out::referenced(model.program, model.weights, notes)? {
        weights_out::copy(&source, &folder.join(inside))?;
    }
    let data = CoreMlData {
        kind: kind(PROGRAM),
        specification_version: model.specification_version,
        description: &model.message,
    };
    put(folder, "coremldata.bin", data.of_program(model.program.functions.len()))
}

fn write_compiled_pipeline(
    bundle: &Bundle,
    folder: &Path,
    name: &str,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let mut programs = Vec::new();
    let mut forms = Vec::new();
    for (i, stage) in bundle.stages.iter().enumerate() {
        let inner = folder.join(format!("model{i}"));
        match Model::of_stage(stage)? {
            Some(model) => {
                write_compiled(&model, &inner, notes)?;
                put(&inner, "analytics/coremldata.bin", compiled::analytics_of_program(None))?;
                forms.push((stage.kind, model.specification_version));
                programs.push(model.program);
            }
            None => {
                let bytes = stage_file(stage)?;
                put(&inner, STAGE_FILE, bytes)?;
                notes.push(format!(
                    "stage `{}` is {}; its compiled form is not known, so that its model file was copied",
                    stage.name,
                    stage.kind.in_full()
                ));
                forms.push((stage.kind, 1));
            }
        }
    }
    let description = bundle.description.clone().unwrap_or_default();
    let message = message_of(&description, &bundle.origin);
    let stated = bundle.specification_version.unwrap_or(6);
    let data = CoreMlData { kind: kind(PIPELINE), specification_version: stated, description: &message };
    put(folder, "coremldata.bin", data.of_pipeline(&forms))?;
    let names: Vec<&str> = bundle.stages.iter().map(|s| s.name.as_str()).collect();
    put(folder, "modelNames/coremldata.bin", compiled::model_names(&names))?;
    let hash = model_hash(bundle, &mut || pipeline_file(bundle, &message, &mut |m| m.file(m.program)))?;
    put(folder, "analytics/coremldata.bin", compiled::analytics_of_pipeline(names.len(), &hash))?;
    let metadata = Metadata {
        name,
        kind: kind(PIPELINE),
        specification_version: stated,
        updatable: bundle.origin.updatable,
        description: &description,
        programs,
        stages: bundle.stages.iter().map(|s| s.kind).collect(),
    };
    put(folder, "metadata.json", metadata.text())
}

/// Writes a package: the folder that Core ML compiles.
///
/// Weight files that are more than one are merged into one, since a package is known to have one only.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use anemone::{Graph, Shape, bundle};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(2, 1, 64));
/// g.inner_product(x, &[0.5; 8], 2, 4);
/// let written = bundle::write_mlpackage(&g.build()?.bundle(), folder.path().join("layer.mlpackage"))?;
/// assert_eq!(bundle::open(written.path)?.program.functions.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As [`write_mlmodelc`]; also [`Error::Refused`] when a weight file that must be merged is not there.
pub fn write_mlpackage(bundle: &Bundle, path: impl AsRef<Path>) -> Result<Written, Error> {
    let path = path.as_ref();
    let staging = Staging::folder(path)?;
    let model_path = format!("{AUTHOR}/model.mlmodel");
    let data = staging.path().join("Data");
    let folder = data.join(AUTHOR);
    let mut notes = Vec::new();
    let bytes = if bundle.stages.is_empty() {
        let model = Model::of(bundle)?;
        let program = weights_out::place(model.program, model.weights, "weight.bin", &folder, &mut notes)?;
        model.file(&program)?
    } else {
        let description = bundle.description.clone().unwrap_or_default();
        let message = message_of(&description, &bundle.origin);
        let mut stage = 0;
        pipeline_file(bundle, &message, &mut |model| {
            let name = format!("{stage}-weight.bin");
            stage += 1;
            let program = weights_out::place(model.program, model.weights, &name, &folder, &mut notes)?;
            model.file(&program)
        })?
    };
    let mut items = BTreeMap::new();
    let root = identifier(&bytes, "model");
    put(&data, &model_path, bytes)?;
    let item = |description: &str, name: &str, path: String| Item {
        author: AUTHOR.into(),
        description: description.into(),
        name: name.into(),
        path,
    };
    items.insert(root.clone(), item("CoreML Model Specification", "model.mlmodel", model_path));
    if folder.join("weights").is_dir() {
        let weights = item("CoreML Model Weights", "weights", format!("{AUTHOR}/weights"));
        items.insert(identifier(root.as_bytes(), "weights"), weights);
    }
    let manifest = Manifest { version: "1.0.0".into(), items, root };
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
    serde::Serialize::serialize(&manifest, &mut serializer)
        .map_err(|e| Error::io(path)(io::Error::other(e)))?;
    text.push(b'\n');
    put(staging.path(), MANIFEST, text)?;
    staging.commit()?;
    Ok(Written { path: path.to_path_buf(), notes })
}

/// The bytes of the model file of a pipeline, given those of the stages that are programs.
fn pipeline_file(
    bundle: &Bundle,
    message: &[u8],
    program_file: &mut dyn FnMut(&Model<'_>) -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let mut files = Vec::new();
    for stage in &bundle.stages {
        files.push(match Model::of_stage(stage)? {
            Some(model) => program_file(&model)?,
            None => stage_file(stage)?,
        });
    }
    let names: Vec<&str> = bundle.stages.iter().map(|s| s.name.as_str()).collect();
    let model = ModelFile::encode_stages(&files, &names);
    Ok(ModelFile {
        specification_version: bundle.specification_version.unwrap_or(6),
        description: message,
        updatable: bundle.origin.updatable,
        kind: kind(PIPELINE),
        model: &model,
    }
    .encode())
}

/// The model file of a stage that is not a program.
fn stage_file(stage: &Stage) -> Result<Vec<u8>, Error> {
    let unknown = || {
        let message =
            format!("stage `{}` is {}, whose compiled form is not known", stage.name, stage.kind.in_full());
        Diagnostic::new(&codes::NO_PACKAGE_FORM, message)
            .help("convert the package that it was compiled from")
    };
    Ok(stage.origin.model.as_ref().ok_or_else(unknown)?.to_vec())
}

/// The hash of the model file that a bundle came from, or of one that it could have come from.
fn model_hash(bundle: &Bundle, made: &mut dyn FnMut() -> Result<Vec<u8>, Error>) -> Result<String, Error> {
    match &bundle.origin.model_file {
        Some(path) => Ok(compiled::model_hash(&Mapped::open(path).map_err(Error::io(path))?)),
        None => made().map(|bytes| compiled::model_hash(&bytes)),
    }
}

/// An identifier made of what it identifies, so that the same package has the same.
fn identifier(bytes: &[u8], what: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(what);
    hash.update(bytes);
    let mut id: Vec<u8> = hash.finalize().iter().copied().take(16).collect();
    // The marks of a UUID whose bits mean nothing to others: version 8.
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: Vec<String> = id.iter().map(|b| format!("{b:02X}")).collect();
    [&hex[..4], &hex[4..6], &hex[6..8], &hex[8..10], &hex[10..]].map(|part| part.concat()).join("-")
}

/// The name of a bundle without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "model".into(), |s| s.to_string_lossy().into_owned())
}

/// Writes a file of a bundle that is being made.
fn put(folder: &Path, inside: &str, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
    let path = folder.join(inside);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    fs::write(&path, bytes).map_err(Error::io(&path))
}
