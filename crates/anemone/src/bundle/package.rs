//! The folder form of a model: `.mlpackage`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, read_limited};
use crate::source::{Diagnostic, codes};

/// The name of the file that lists what a package holds.
pub(super) const MANIFEST: &str = "Manifest.json";
/// The author that Core ML's own items carry, and the folder that they lie in.
pub(super) const AUTHOR: &str = "com.apple.CoreML";
/// No manifest is near as large.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// The list of what a package holds. Paths are relative to its folder `Data`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    #[serde(rename = "fileFormatVersion")]
    pub(super) version: String,
    #[serde(rename = "itemInfoEntries")]
    pub(super) items: BTreeMap<String, Item>,
    #[serde(rename = "rootModelIdentifier")]
    pub(super) root: String,
}

/// One item of a package.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Item {
    #[serde(default)]
    pub(super) author: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) path: String,
}

/// Where a package keeps its parts.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) model: PathBuf,
    pub(super) weights: Option<PathBuf>,
}

/// Finds the parts of a package by its manifest.
///
/// # Errors
///
/// `manifest-missing`, `manifest-invalid`, `path-escape`, `model-missing`, `lfs-pointer`.
pub(super) fn find(folder: &Path) -> Result<Package, Error> {
    let path = folder.join(MANIFEST);
    if !path.exists() {
        return Err(refuse(&codes::MANIFEST_MISSING, "the package has no `Manifest.json`".into())
            .help("copy the whole folder of the package")
            .into());
    }
    let bytes = read_limited(&path, MANIFEST_LIMIT)?.ok_or_else(|| {
        refuse(&codes::MANIFEST_INVALID, "`Manifest.json` is not a file of less than a megabyte".into())
    })?;
    if crate::blob::is_lfs_pointer(&bytes) {
        return Err(refuse(&codes::LFS_POINTER, "`Manifest.json` is a Git LFS pointer, not the data".into())
            .help("run `git lfs pull` where the model was cloned")
            .fatal()
            .into());
    }
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|e| refuse(&codes::MANIFEST_INVALID, format!("`Manifest.json` cannot be read: {e}")))?;
    let root = manifest.items.get(&manifest.root).ok_or_else(|| {
        refuse(&codes::MANIFEST_INVALID, "`Manifest.json` names a root model that it does not list".into())
    })?;
    let data = folder.join("Data");
    let model = inside(&data, &root.path)?;
    if !model.is_file() {
        let message = format!("the model file `{}` of the package is not there", root.path);
        return Err(refuse(&codes::MODEL_MISSING, message).into());
    }
    let weights = manifest.items.values().find(|i| i.author == AUTHOR && i.name == "weights");
    let weights = weights.map(|i| inside(&data, &i.path)).transpose()?;
    Ok(Package { model, weights })
}

/// A path of the manifest, refused if it or a link on it leads out of the package.
fn inside(data: &Path, path: &str) -> Result<PathBuf, Diagnostic> {
    let escape =
        |why: &str| refuse(&codes::PATH_ESCAPE, format!("the path `{path}` leads out of the package: {why}"));
    if path.contains('\0') {
        return Err(escape("it holds a zero byte"));
    }
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(escape("it holds `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(escape("it is absolute")),
        }
    }
    let joined = data.join(path);
    match (data.canonicalize(), joined.canonicalize()) {
        (Ok(data), Ok(real)) if !real.starts_with(&data) => {
            Err(escape("it is a link").help("copy the package with its links resolved, as `cp -RL` does"))
        }
        _ => Ok(joined),
    }
}

fn refuse(code: &'static crate::source::Code, message: String) -> Diagnostic {
    Diagnostic::new(code, message)
}
