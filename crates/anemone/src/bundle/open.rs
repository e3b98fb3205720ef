//! Opening bundles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anemone_kernels::memory::Mapped;
use prost::Message;

use super::compiled::{self, CoreMlData};
use super::description::{self, Description};
use super::model::{ModelFile, ModelKind, PIPELINE, PROGRAM, invalid};
use super::{Bundle, Error, Form, Origin, Stage, StageProgram, Weights};
use super::{flexible, import, package, proto, read_limited};
use crate::mil::{Program, Version};
use crate::source::{Diagnostic, Diagnostics, Severity, Source, codes};
use crate::text;

/// The largest program message that is decoded. Weights lie outside of it, so that real ones are far smaller; in
/// memory a message can be forty times as large as in the file.
const PROGRAM_LIMIT: usize = 256 << 20;
/// The model file of a stage of a compiled pipeline that is not a program, as anemone writes it.
pub(super) const STAGE_FILE: &str = "model.mlmodel";
/// The largest `coremldata.bin` that is read.
const DATA_LIMIT: u64 = 64 << 20;

/// Opens a bundle: a file of MIL text, a model file, or the folder of a package or compiled model.
///
/// The weights are not read: that they are there and fit is found by verification.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle;
/// let bundle = bundle::open(digits)?;
/// assert_eq!(bundle.program.functions[0].name, "main");
/// assert!(bundle::open("there is no such model").is_err());
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Io`] when the path cannot be read, [`Error::Refused`] when what it holds is at fault.
pub fn open(path: impl AsRef<Path>) -> Result<Bundle, Error> {
    let path = path.as_ref();
    let metadata = path.metadata().map_err(Error::io(path))?;
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let extension = extension.as_deref().unwrap_or_default();
    if metadata.is_dir() {
        let has = |name| path.join(name).exists();
        return if has(package::MANIFEST) || extension == "mlpackage" {
            open_package(path)
        } else if has("model.mil") || has("coremldata.bin") || extension == "mlmodelc" {
            open_compiled(path)
        } else {
            Err(unknown(path, "the folder is neither a package nor a compiled model")
                .help("name a `.mil` file, or a `.mlpackage` or `.mlmodelc` folder")
                .into())
        };
    }
    if !metadata.is_file() {
        return Err(unknown(path, "it is neither a file nor a folder").into());
    }
    let folder = match path.parent() {
        Some(p) if p != Path::new("") => p,
        _ => Path::new("."),
    };
    if extension == "mil" {
        return open_text(path, folder);
    }
    let mapped = Mapped::open(path).map_err(Error::io(path))?;
    if extension == "mlmodel" || ModelFile::new(&mapped).is_ok() {
        let weights = Weights::beside(folder);
        return open_model(path, &mapped, Form::Model, weights).map(|b| with_model_file(b, path));
    }
    if crate::blob::is_lfs_pointer(&mapped) {
        return Err(lfs_pointer("file").into());
    }
    if starts_as_program(&mapped) {
        drop(mapped);
        return open_text(path, folder);
    }
    let d = unknown(path, "it is neither MIL text nor a model file");
    Err(if mapped.starts_with(b"PK\x03\x04") {
        d.help("unpack the archive, and name the folder in it")
    } else if crate::blob::Reader::new(&mapped).is_ok() {
        d.note("it is a weight file").help("name the program or the bundle that it belongs to")
    } else {
        d.help("name a `.mil` or `.mlmodel` file, or a `.mlpackage` or `.mlmodelc` folder")
    }
    .into())
}

/// Opens a model from the bytes of its model file (`.mlmodel`), with weights from elsewhere.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle::{self, Weights};
/// use std::path::Path;
/// // The model file of a package, read by somebody else; its weights are beside it.
/// let folder = Path::new(digits).join("Data/com.apple.CoreML");
/// let bytes = std::fs::read(folder.join("model.mlmodel")).unwrap();
/// let bundle = bundle::from_bytes(&bytes, Weights::beside(folder))?;
/// assert_eq!(bundle.program.functions[0].name, "main");
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Refused`] when the bytes are not those of a program or of a pipeline that holds one.
pub fn from_bytes(bytes: &[u8], weights: Weights) -> Result<Bundle, Error> {
    open_model(Path::new(""), bytes, Form::Model, weights)
}

fn unknown(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::new(&codes::UNKNOWN_FILE, format!("`{}` cannot be opened: {why}", path.display()))
}

fn lfs_pointer(what: &str) -> Diagnostic {
    // Where the model itself is a pointer, there is nothing that could be checked.
    let severity = Severity::Error;
    let message = format!("the {what} is a Git LFS pointer, not the data");
    Diagnostic { severity, ..Diagnostic::new(&codes::LFS_POINTER, message) }
        .help("run `git lfs pull` where the model was cloned")
        .fatal()
}

/// Whether the first word is `program`, comments aside.
fn starts_as_program(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        rest = rest.trim_ascii_start();
        if rest.starts_with(b"//") {
            rest = rest.iter().position(|&b| b == b'\n').map_or(&[], |i| &rest[i..]);
        } else if rest.starts_with(b"/*") {
            rest = rest.windows(2).skip(2).position(|w| w == b"*/").map_or(&[], |i| &rest[i + 4..]);
        } else {
            return rest.starts_with(b"program");
        }
    }
}

fn with_model_file(mut bundle: Bundle, path: &Path) -> Bundle {
    bundle.origin.model_file = Some(path.to_path_buf());
    bundle
}

fn open_package(path: &Path) -> Result<Bundle, Error> {
    let parts = package::find(path)?;
    let folder = parts.model.parent().unwrap_or(path);
    let mut weights = Weights::beside(folder);
    if let Some(w) = parts.weights.filter(|w| *w != folder.join("weights")) {
        weights = weights.with_weights_in(w);
    }
    let mapped = Mapped::open(&parts.model).map_err(Error::io(&parts.model))?;
    open_model(path, &mapped, Form::Package, weights).map(|b| with_model_file(b, &parts.model))
}

/// Opens a bundle from the bytes of its model file.
pub(super) fn open_model(path: &Path, bytes: &[u8], form: Form, weights: Weights) -> Result<Bundle, Error> {
    let file = ModelFile::new(bytes)?;
    let mut warnings = Diagnostics::default();
    let stages = if file.kind.is_pipeline() {
        let (models, names) = file.stages()?;
        stages_of(&models, &names, &weights)?
    } else {
        Vec::new()
    };
    let (program, description) = if file.kind.is_pipeline() {
        (None, description::decode(file.description)?)
    } else {
        let (program, description) = program_of(&file, &mut warnings)?;
        (Some(program), description)
    };
    let origin = Origin {
        description: Some(file.description.into()),
        model: None,
        updatable: file.updatable,
        model_file: None,
    };
    assemble(Bundle {
        path: path.to_path_buf(),
        form,
        program: program.unwrap_or_else(empty_program),
        source: None,
        weights,
        description: Some(description),
        specification_version: Some(file.specification_version),
        stages,
        warnings,
        origin,
    })
}

/// The program of a model file, and its description.
fn program_of(file: &ModelFile<'_>, warnings: &mut Diagnostics) -> Result<(Program, Description), Error> {
    if !file.kind.is_program() {
        return Err(file.kind.refuse().into());
    }
    if file.model.len() > PROGRAM_LIMIT {
        let message =
            format!("its program takes {} bytes, and at most {PROGRAM_LIMIT} are read", file.model.len());
        return Err(invalid(message).into());
    }
    let description = description::decode(file.description)?;
    let message = proto::Program::decode(file.model).map_err(|e| match e.to_string() {
        // The text is prost's; a test holds it.
        s if s.contains("recursion limit") => {
            Diagnostic::new(&codes::TOO_DEEP, "the program of the model file is nested too deeply")
        }
        s => invalid(s),
    })?;
    let mut diagnostics = Diagnostics::default();
    let mut program = import::program(&message, file.specification_version, &mut diagnostics);
    drop(message);
    if program.functions.is_empty() && !diagnostics.has_errors() {
        diagnostics
            .push(Diagnostic::new(&codes::NO_FUNCTION, "the program of the model file has no function"));
    }
    if !diagnostics.has_errors() {
        // A function that could not be read is not missing.
        describe(&mut program, &description, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        return Err(diagnostics.into());
    }
    warnings.append(diagnostics);
    Ok((program, description))
}

/// Compares the functions with their descriptions, and gives them the shapes that the descriptions state.
fn describe(program: &mut Program, description: &Description, diagnostics: &mut Diagnostics) {
    // A model of one function describes it without its name.
    let only = program.functions.len() == 1 && description.functions.len() == 1;
    for interface in &description.functions {
        let function = match &mut program.functions[..] {
            [function] if only => function,
            functions => match functions.iter_mut().find(|f| f.name == interface.name.as_str()) {
                Some(function) => function,
                None => {
                    let message = format!(
                        "the model describes a function `{}` that its program does not have",
                        interface.name
                    );
                    diagnostics.push(Diagnostic::new(&codes::INTERFACE_MISMATCH, message));
                    continue;
                }
            },
        };
        let params: BTreeSet<&str> = function.params.iter().map(|p| p.name.as_str()).collect();
        let outputs: BTreeSet<&str> = function.body.outputs.iter().map(|o| o.name.as_str()).collect();
        let inputs = interface.inputs.iter().map(|f| (f, &params, "input"));
        let states = interface.states.iter().map(|f| (f, &params, "state"));
        let outputs = interface.outputs.iter().map(|f| (f, &outputs, "output"));
        for (feature, known, what) in inputs.chain(states).chain(outputs) {
            if !known.contains(feature.name.as_str()) {
                let message = format!(
                    "the model describes an {what} `{}` that function `{}` does not have",
                    feature.name, function.name
                );
                diagnostics.push(Diagnostic::new(
                    &codes::INTERFACE_MISMATCH,
                    message.replace("an state", "a state"),
                ));
            }
        }
        if let Some(attribute) = flexible::attribute(interface, function) {
            function.attributes.retain(|a| a.name != flexible::ATTRIBUTE);
            let at = function.attributes.partition_point(|a| a.name < attribute.name);
            function.attributes.insert(at, attribute);
        }
    }
}

fn stages_of(models: &[&[u8]], names: &[String], weights: &Weights) -> Result<Vec<Stage>, Error> {
    let stage = |(i, bytes): (usize, &&[u8])| {
        let file = ModelFile::new(bytes)?;
        let mut origin = Origin {
            description: Some(file.description.into()),
            updatable: file.updatable,
            ..Origin::default()
        };
        let (program, description) = if file.kind.is_program() {
            let mut warnings = Diagnostics::default();
            let (program, description) = program_of(&file, &mut warnings)?;
            let program = StageProgram { program, source: None, weights: weights.clone(), warnings };
            (Some(program), Some(description))
        } else {
            origin.model = Some(Arc::from(*bytes));
            (None, description::decode(file.description).ok())
        };
        Ok(Stage {
            name: names.get(i).cloned().unwrap_or_else(|| format!("model{i}")),
            kind: file.kind,
            description,
            specification_version: Some(file.specification_version),
            program,
            origin,
        })
    };
    models.iter().enumerate().map(stage).collect()
}

/// The place of a program that a stage will give.
fn empty_program() -> Program {
    Program { version: Version::V1_3, attributes: Vec::new(), functions: Vec::new() }
}

/// Gives a pipeline the program of its first stage that has one.
fn assemble(mut bundle: Bundle) -> Result<Bundle, Error> {
    if bundle.program.functions.is_empty() {
        let Some(first) = bundle.stages.iter().find_map(|s| s.program.as_ref()) else {
            let kinds: Vec<String> = bundle.stages.iter().map(|s| s.kind.in_full()).collect();
            let mut d = Diagnostic::new(&codes::NOT_A_PROGRAM, "the model is a pipeline without a program");
            if !kinds.is_empty() {
                d = d.note(format!("its stages are {}", kinds.join(", ")));
            }
            return Err(d.into());
        };
        bundle.program = first.program.clone();
        bundle.source = first.source.clone();
        bundle.weights = first.weights.clone();
        bundle.warnings = first.warnings.clone();
    }
    Ok(bundle)
}

/// Reads a program from a file of text.
fn read_text(path: &Path) -> Result<(Program, Source, Diagnostics), Error> {
    let name = path.display().to_string();
    let bytes = read_limited(path, text::MAX_BYTES as u64)?.ok_or_else(|| {
        let message = format!("`{name}` is not a file of at most {} bytes", text::MAX_BYTES);
        Diagnostic::new(&codes::TEXT_TOO_LARGE, message)
    })?;
    if crate::blob::is_lfs_pointer(&bytes) {
        return Err(lfs_pointer("program text").into());
    }
    let text = text::decode(bytes)?;
    let mut diagnostics = Diagnostics::default();
    let program = text::parse_with(&text, &mut diagnostics);
    let source = Source::new(name, text);
    match program {
        Some(program) if !diagnostics.has_errors() => Ok((program, source, diagnostics)),
        _ => Err(Error::Refused { diagnostics, source: Some(Box::new(source)) }),
    }
}

fn open_text(path: &Path, folder: &Path) -> Result<Bundle, Error> {
    let (program, source, warnings) = read_text(path)?;
    Ok(Bundle {
        path: path.to_path_buf(),
        form: Form::Text,
        program,
        source: Some(source),
        weights: Weights::beside(folder),
        description: None,
        specification_version: None,
        stages: Vec::new(),
        warnings,
        origin: Origin::default(),
    })
}

/// What the folder of a compiled model holds.
struct Compiled {
    kind: &'static ModelKind,
    specification_version: Option<i32>,
    description: Option<Description>,
    program: Option<(Program, Source, Diagnostics)>,
    origin: Origin,
}

fn read_compiled(folder: &Path) -> Result<Compiled, Error> {
    let data = folder.join("coremldata.bin");
    let bytes = if data.exists() { read_limited(&data, DATA_LIMIT)? } else { None };
    // A compiled model runs without its description: one that cannot be read is left out.
    let read = bytes.as_deref().and_then(|b| CoreMlData::new(b).ok());
    let description = read.as_ref().and_then(|d| description::decode(d.description).ok());
    let number = bytes.as_deref().and_then(CoreMlData::kind_number);
    let text = folder.join("model.mil");
    let kind = match number.and_then(ModelKind::of) {
        _ if text.exists() => PROGRAM,
        Some(kind) => kind.number,
        None if folder.join("model0").is_dir() => PIPELINE,
        None => {
            let message =
                "the compiled model holds neither `model.mil` nor a `coremldata.bin` that says what it is";
            return Err(Diagnostic::new(&codes::MODEL_MISSING, message).into());
        }
    };
    let kind = ModelKind::of(kind).expect("the number is that of a kind");
    if kind.is_program() && !text.exists() {
        let message = "the compiled model does not hold its program, `model.mil`";
        return Err(Diagnostic::new(&codes::MODEL_MISSING, message).into());
    }
    Ok(Compiled {
        kind,
        specification_version: read.as_ref().map(|d| d.specification_version),
        program: kind.is_program().then(|| read_text(&text)).transpose()?,
        origin: Origin {
            description: read.filter(|_| description.is_some()).map(|d| d.description.into()),
            ..Origin::default()
        },
        description,
    })
}

fn open_compiled(path: &Path) -> Result<Bundle, Error> {
    let mut compiled = read_compiled(path)?;
    let mut stages = Vec::new();
    if compiled.kind.is_pipeline() {
        let names = path.join("modelNames/coremldata.bin");
        let names = if names.exists() { read_limited(&names, DATA_LIMIT)? } else { None };
        let mut names = compiled::read_model_names(&names.unwrap_or_default()).into_iter();
        for (i, folder) in stage_folders(path).into_iter().enumerate() {
            let name = names.next().unwrap_or_else(|| format!("model{i}"));
            stages.push(compiled_stage(&folder, name)?);
        }
    } else if !compiled.kind.is_program() {
        return Err(compiled.kind.refuse().into());
    }
    let (program, source, warnings) = match compiled.program.take() {
        Some((program, source, warnings)) => (program, Some(source), warnings),
        None => (empty_program(), None, Diagnostics::default()),
    };
    assemble(Bundle {
        path: path.to_path_buf(),
        form: Form::Compiled,
        program,
        source,
        weights: Weights::beside(path),
        description: compiled.description,
        specification_version: compiled.specification_version,
        stages,
        warnings,
        origin: compiled.origin,
    })
}

/// The folders `model0`, `model1`, … of a compiled pipeline, as far as they are there.
fn stage_folders(path: &Path) -> Vec<PathBuf> {
    (0..).map(|i| path.join(format!("model{i}"))).take_while(|p| p.is_dir()).collect()
}

fn compiled_stage(folder: &Path, name: String) -> Result<Stage, Error> {
    let copied = folder.join(STAGE_FILE);
    if copied.is_file() {
        return copied_stage(name, &copied);
    }
    let compiled = read_compiled(folder)?;
    Ok(Stage {
        name,
        kind: compiled.kind,
        description: compiled.description,
        specification_version: compiled.specification_version,
        program: compiled.program.map(|(program, source, warnings)| StageProgram {
            program,
            source: Some(source),
            weights: Weights::beside(folder),
            warnings,
        }),
        origin: compiled.origin,
    })
}

/// A stage that was not compiled, since its compiled form is not known: see [`write_mlmodelc`](super::write_mlmodelc).
fn copied_stage(name: String, path: &Path) -> Result<Stage, Error> {
    let bytes = Mapped::open(path).map_err(Error::io(path))?;
    let file = ModelFile::new(&bytes)?;
    Ok(Stage {
        name,
        kind: file.kind,
        description: description::decode(file.description).ok(),
        specification_version: Some(file.specification_version),
        program: None,
        origin: Origin {
            description: Some(file.description.into()),
            model: Some(Arc::from(&bytes[..])),
            updatable: file.updatable,
            model_file: None,
        },
    })
}
