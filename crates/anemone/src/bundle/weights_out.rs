//! The weight files of a bundle that is written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;

use super::Error;
use super::weights::{Found, Weights, path_in_model};
use crate::blob::{Reader, Writer};
use crate::mil::{Attribute, Binding, BlobRef, Block, Operand, Program, Value};
use crate::source::{Diagnostic, Severity, codes};

/// The weight files that a program refers to, by their paths in the model; those that are not there are noted.
pub(super) fn referenced(
    program: &Program,
    weights: &Weights,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Found>, Error> {
    let mut files = BTreeMap::new();
    let mut paths: Vec<&str> = blobs(program).into_iter().map(|b| &*b.path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        match weights.find(path) {
            Ok(found) => drop(files.insert(path_in_model(path)?, found)),
            Err(d) if d.code == &codes::BLOB_MISSING => {
                notes.push(format!("{}; it was not copied", d.message))
            }
            Err(d) => return Err(d.into()),
        }
    }
    Ok(files)
}

/// Copies a weight file to its place in a bundle that is being made.
pub(super) fn copy(source: &Found, to: &Path) -> Result<(), Error> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    match source {
        // The operating system copies the bytes, or shares them; permissions stay behind.
        Found::Disk(from) => {
            let mut input = fs::File::open(from).map_err(Error::io(from))?;
            let mut output = fs::File::create(to).map_err(Error::io(to))?;
            io::copy(&mut input, &mut output).map(drop).map_err(Error::io(to))
        }
        Found::Open(bytes) => fs::write(to, &bytes[..]).map_err(Error::io(to)),
    }
}

/// Copies a weight file beside a text file. One that is there already must be the same, unless the text file whose
/// weight it is is `replaced` too.
pub(super) fn copy_beside(source: &Found, to: &Path, replaced: bool) -> Result<(), Error> {
    if to.exists() {
        if same(source, to)? {
            return Ok(());
        }
        if !replaced {
            return Err(Error::exists(to, "another weight file is there already"));
        }
    }
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let staging = super::staging::Staging::file(to)?;
    copy(source, staging.path())?;
    staging.commit()
}

fn same(source: &Found, to: &Path) -> Result<bool, Error> {
    let found = anemone_kernels::memory::Mapped::open(to).map_err(Error::io(to))?;
    match source {
        Found::Disk(from) => {
            let wanted = anemone_kernels::memory::Mapped::open(from).map_err(Error::io(from))?;
            Ok(wanted[..] == found[..])
        }
        Found::Open(bytes) => Ok(bytes[..] == found[..]),
    }
}

/// Puts the weights of a program into the folder of a package, as one file, and gives the program that names them
/// there.
pub(super) fn place(
    program: &Program,
    weights: &Weights,
    name: &str,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Result<Program, Error> {
    let mut blobs: Vec<(String, u64)> =
        blobs(program).into_iter().map(|b| (b.path.to_string(), b.offset)).collect();
    blobs.sort();
    blobs.dedup();
    let mut program = program.clone();
    let inside = format!("weights/{name}");
    let path = format!("@model_path/{inside}");
    let mut files: Vec<&str> = blobs.iter().map(|b| b.0.as_str()).collect();
    files.dedup();
    if let [_, _, ..] = files[..] {
        let offsets = merge(&blobs, weights, &folder.join(&inside))?;
        change(&mut program, &mut |blob| {
            if let Some(offset) = offsets.get(&(blob.path.to_string(), blob.offset)) {
                blob.offset = *offset;
                blob.path = path.as_str().into();
            }
        });
        return Ok(program);
    }
    for (_, source) in referenced(&program, weights, notes)? {
        copy(&source, &folder.join(&inside))?;
    }
    change(&mut program, &mut |blob| blob.path = path.as_str().into());
    Ok(program)
}

/// Writes the records of several files into one and gives their new offsets.
fn merge(
    blobs: &[(String, u64)],
    weights: &Weights,
    to: &Path,
) -> Result<BTreeMap<(String, u64), u64>, Error> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let file = fs::File::create(to).map_err(Error::io(to))?;
    let mut writer = Writer::new(BufWriter::new(file)).map_err(Error::io(to))?;
    let mut offsets = BTreeMap::new();
    for (path, offset) in blobs {
        let refuse = |d: Diagnostic| {
            // What can be done without to check a program cannot be done without here.
            Error::from(Diagnostic {
                severity: Severity::Error,
                ..d.in_field(format!("{path}, record at {offset}"))
            })
        };
        let file = weights.file(path).map_err(refuse)?;
        let record = Reader::new(&file).and_then(|r| r.record(*offset)).map_err(refuse)?;
        let elements = usize::try_from(record.elements()).unwrap_or(usize::MAX);
        let appended = writer.append_elements(record.dtype, elements, &file[record.data.clone()]);
        let appended = appended.map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => refuse(Diagnostic::new(&codes::BLOB_SIZE, e.to_string())),
            _ => Error::io(to)(e),
        })?;
        offsets.insert((path.clone(), *offset), appended);
    }
    writer.finish().map_err(Error::io(to))?;
    Ok(offsets)
}

/// Every reference of a program to a weight file.
///
/// ```
/// # let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage");
/// use anemone::bundle;
/// let bundle = bundle::open(digits)?;
/// for blob in bundle::blobs(&bundle.program) {
///     assert!(bundle.weights.get(blob).is_ok());
/// }
/// # Ok::<(), anemone::bundle::Error>(())
/// ```
pub fn blobs(program: &Program) -> Vec<&BlobRef> {
    fn value<'a>(v: &'a Value, out: &mut Vec<&'a BlobRef>) {
        match v {
            Value::Blob(blob) => out.push(blob),
            Value::List(_, items) | Value::Tuple(_, items) => items.iter().for_each(|v| value(v, out)),
            Value::Dict(_, pairs) => pairs.iter().for_each(|(k, v)| {
                value(k, out);
                value(v, out);
            }),
            Value::Int(..) | Value::Float(..) | Value::String(_) | Value::Tensor(_) => {}
        }
    }
    fn attributes<'a>(all: &'a [Attribute], out: &mut Vec<&'a BlobRef>) {
        all.iter().for_each(|a| value(&a.value, out));
    }
    fn block<'a>(b: &'a Block, out: &mut Vec<&'a BlobRef>) {
        attributes(&b.attributes, out);
        for call in &b.calls {
            attributes(&call.attributes, out);
            for operand in call.arguments.iter().flat_map(|a| a.binding.operands()) {
                if let Operand::Value(v, _) = operand {
                    value(v, out);
                }
            }
            call.blocks.iter().for_each(|b| block(b, out));
        }
    }
    let mut out = Vec::new();
    attributes(&program.attributes, &mut out);
    for function in &program.functions {
        attributes(&function.attributes, &mut out);
        block(&function.body, &mut out);
    }
    out
}

/// Lets `f` change every reference to a weight file.
fn change(program: &mut Program, f: &mut dyn FnMut(&mut BlobRef)) {
    fn value(v: &mut Value, f: &mut dyn FnMut(&mut BlobRef)) {
        match v {
            Value::Blob(blob) => f(blob),
            Value::List(_, items) | Value::Tuple(_, items) => items.iter_mut().for_each(|v| value(v, f)),
            Value::Dict(_, pairs) => pairs.iter_mut().for_each(|(k, v)| {
                value(k, f);
                value(v, f);
            }),
            Value::Int(..) | Value::Float(..) | Value::String(_) | Value::Tensor(_) => {}
        }
    }
    fn attributes(all: &mut [Attribute], f: &mut dyn FnMut(&mut BlobRef)) {
        all.iter_mut().for_each(|a| value(&mut a.value, f));
    }
    fn block(b: &mut Block, f: &mut dyn FnMut(&mut BlobRef)) {
        attributes(&mut b.attributes, f);
        for call in &mut b.calls {
            attributes(&mut call.attributes, f);
            for argument in &mut call.arguments {
                let operands = match &mut argument.binding {
                    Binding::One(o) => std::slice::from_mut(o),
                    Binding::Many(o) => o,
                };
                for operand in operands {
                    if let Operand::Value(v, _) = operand {
                        value(v, f);
                    }
                }
            }
            call.blocks.iter_mut().for_each(|b| block(b, f));
        }
    }
    attributes(&mut program.attributes, f);
    for function in &mut program.functions {
        attributes(&mut function.attributes, f);
        block(&mut function.body, f);
    }
}
