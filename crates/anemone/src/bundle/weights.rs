//! Where the weights of a program are found.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anemone_kernels::memory::Mapped;

use crate::blob::{Reader, Record};
use crate::mil::BlobRef;
use crate::source::{Diagnostic, codes};
use crate::types::{MAX_ELEMENTS, Shape, Tensor};

/// What a program writes for the folder of its model.
const MODEL_PATH: &str = "@model_path";

/// The weight files of a program: those in a folder, and those held in memory.
///
/// A file is mapped when the first tensor of it is asked for, and tensors stand on the mapped bytes. A clone shares
/// the files.
///
/// ```
/// use anemone::bundle::Weights;
/// use anemone::mil::BlobRef;
/// use anemone::types::{DType, TensorType};
///
/// let weights = Weights::none();
/// weights.insert("@model_path/weights/w.bin", anemone::blob::pack_weights(&[0x3c00; 4])).unwrap();
/// let ty = TensorType::new(DType::Fp16, &[2, 2][..]);
/// let w = weights.get(&BlobRef { ty, path: "@model_path/weights/w.bin".into(), offset: 64 }).unwrap();
/// assert_eq!(w.to_f64s(), [1.0; 4]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Weights {
    folder: Option<Arc<Path>>,
    /// Where `weights/` is, if not in the folder: a package may say so.
    weights: Option<Arc<Path>>,
    files: Arc<Mutex<BTreeMap<String, File>>>,
}

/// The bytes of a weight file, mapped or in memory.
///
/// ```
/// use anemone::{blob, bundle::Weights};
/// let weights = Weights::none();
/// weights.insert("@model_path/weights/w.bin", blob::pack_weights(&[0x3c00; 4]))?;
/// assert_eq!(weights.bytes("@model_path/weights/w.bin")?.len(), 128 + 8);
/// # Ok::<(), anemone::source::Diagnostic>(())
/// ```
#[derive(Clone, Debug)]
pub struct WeightFile(File);

impl std::ops::Deref for WeightFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Clone, Debug)]
pub(super) enum File {
    Mapped(Arc<Mapped>),
    Memory(Arc<[u8]>),
}

/// Where a weight file is: in memory, or on the disk.
pub(super) enum Found {
    Open(File),
    Disk(PathBuf),
}

impl std::ops::Deref for File {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            File::Mapped(m) => m,
            File::Memory(b) => b,
        }
    }
}

impl Weights {
    /// No files; [`Weights::insert`] adds some.
    pub fn none() -> Self {
        Self::default()
    }

    /// The files in this folder, for which programs write `@model_path`.
    pub fn beside(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(Arc::from(folder.into())), ..Self::default() }
    }

    /// Takes `weights/…` from this folder instead.
    pub(super) fn with_weights_in(mut self, folder: PathBuf) -> Self {
        self.weights = Some(Arc::from(folder));
        self
    }

    /// The folder for which programs write `@model_path`.
    ///
    /// ```
    /// use anemone::bundle::Weights;
    /// assert_eq!(Weights::beside("models/small").folder(), Some("models/small".as_ref()));
    /// assert_eq!(Weights::none().folder(), None);
    /// ```
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Adds a file that is held in memory; it takes the place of one of the same path.
    ///
    /// # Errors
    ///
    /// `blob-path`.
    pub fn insert(&self, path: &str, bytes: impl Into<Arc<[u8]>>) -> Result<(), Diagnostic> {
        let path = path_in_model(path)?;
        self.files().insert(path, File::Memory(bytes.into()));
        Ok(())
    }

    /// The tensor that a program names.
    ///
    /// Where the type leaves the only dimension open, it is as long as the file says.
    ///
    /// # Errors
    ///
    /// `blob-path`, `blob-missing`, `blob-header`, `lfs-pointer`, `blob-record`, `blob-bounds`, `blob-dtype` and
    /// `blob-size`; where the file is named is for the caller to say.
    pub fn get(&self, blob: &BlobRef) -> Result<Tensor, Diagnostic> {
        let file = self.file(&blob.path)?;
        let place = format!("{}, record at {}", blob.path, blob.offset);
        let named = |d: Diagnostic| d.note(format!("the weight file is {place}"));
        let record = Reader::new(&file).and_then(|r| r.record(blob.offset)).map_err(named)?;
        let shape = shape_of(blob, &record).map_err(named)?;
        let tensor = match &file {
            File::Mapped(mapped) => Tensor::from_mapped(record.dtype, &shape, mapped, record.data),
            File::Memory(bytes) => Tensor::from_bytes(record.dtype, &shape, &bytes[record.data]),
        };
        tensor.map_err(|e| named(Diagnostic::new(&codes::BLOB_SIZE, e.to_string())))
    }

    /// The bytes of the file at this path.
    ///
    /// # Errors
    ///
    /// `blob-path` and `blob-missing`.
    pub fn bytes(&self, path: &str) -> Result<WeightFile, Diagnostic> {
        self.file(path).map(WeightFile)
    }

    /// As [`Weights::bytes`].
    pub(super) fn file(&self, path: &str) -> Result<File, Diagnostic> {
        let inside = path_in_model(path)?;
        if let Some(file) = self.files().get(&inside) {
            return Ok(file.clone());
        }
        let file = match self.find(path)? {
            Found::Open(file) => file,
            Found::Disk(on_disk) => {
                File::Mapped(Arc::new(Mapped::open(&on_disk).map_err(|e| unreadable(path, &e))?))
            }
        };
        Ok(self.files().entry(inside).or_insert(file).clone())
    }

    /// Where the file at this path is.
    ///
    /// # Errors
    ///
    /// `blob-path` and `blob-missing`.
    pub(super) fn find(&self, path: &str) -> Result<Found, Diagnostic> {
        let inside = path_in_model(path)?;
        if let Some(file @ File::Memory(_)) = self.files().get(&inside) {
            return Ok(Found::Open(file.clone()));
        }
        let on_disk = self.on_disk(&inside).ok_or_else(|| {
            missing(path, &"the program has no folder")
                .help("open the program from its file, or insert the weights")
        })?;
        // Opening a pipe would wait for somebody to write to it.
        let metadata = on_disk.metadata().map_err(|e| unreadable(path, &e))?;
        if !metadata.is_file() {
            return Err(missing(path, &"it is not a file"));
        }
        self.check_links(path, &inside, &on_disk)?;
        Ok(Found::Disk(on_disk))
    }

    /// Where a file of the model is on the disk.
    fn on_disk(&self, inside: &str) -> Option<PathBuf> {
        match (&self.weights, inside.strip_prefix("weights/")) {
            (Some(weights), Some(rest)) => Some(weights.join(rest)),
            _ => self.folder.as_ref().map(|f| f.join(inside)),
        }
    }

    /// Refuses a link that leads out of the folder.
    fn check_links(&self, path: &str, inside: &str, on_disk: &Path) -> Result<(), Diagnostic> {
        let root = match &self.weights {
            Some(weights) if inside.starts_with("weights/") => Some(weights),
            _ => self.folder.as_ref(),
        };
        let real = |p: &Path| p.canonicalize().ok();
        match (root.and_then(|r| real(r)), real(on_disk)) {
            (Some(root), Some(file)) if file.starts_with(&root) => Ok(()),
            _ => Err(escapes(path, "it is a link that leads out of the folder of the model")
                .help("copy the model with its links resolved, as `cp -RL` does")),
        }
    }

    fn files(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shape of the tensor: the program's, if the record holds as much.
fn shape_of(blob: &BlobRef, record: &Record) -> Result<Vec<usize>, Diagnostic> {
    let wanted = blob.ty.dtype;
    if record.dtype != wanted {
        return Err(Diagnostic::new(
            &codes::BLOB_DTYPE,
            format!("the weight file holds `{}` where the program says `{wanted}`", record.dtype),
        ));
    }
    let wrong = |message: String| Err(Diagnostic::new(&codes::BLOB_SIZE, message));
    let shape = match (blob.ty.shape.rank(), blob.ty.shape.elements()) {
        (1, None) => [record.elements()].into_iter().collect::<Shape>(),
        (_, None) => return wrong(format!("the type `{}` leaves the size of the tensor open", blob.ty)),
        _ => blob.ty.shape.clone(),
    };
    match (shape.elements(), shape.known()) {
        (Some(n), Some(shape)) if n <= MAX_ELEMENTS && n == record.elements() => {
            if record.data.len() != wanted.bytes_of(n as usize) {
                return wrong(format!(
                    "{} bytes are not {n} elements of dtype `{wanted}`",
                    record.data.len()
                ));
            }
            Ok(shape)
        }
        (n, _) => wrong(format!(
            "the weight file holds {} elements where the type `{}` has {}",
            record.elements(),
            blob.ty,
            n.unwrap_or_default()
        )),
    }
}

/// The path of a weight file inside the model, with `/` between its parts.
///
/// # Errors
///
/// `blob-path`.
pub(super) fn path_in_model(path: &str) -> Result<String, Diagnostic> {
    let rest = match path.strip_prefix(MODEL_PATH) {
        Some("") => "",
        Some(rest) => rest.strip_prefix('/').unwrap_or(path),
        None => path,
    };
    if rest.contains('\0') {
        return Err(escapes(path, "it holds a zero byte"));
    }
    let mut parts = Vec::new();
    for part in Path::new(rest).components() {
        match part {
            Component::Normal(p) => parts.push(p.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return Err(escapes(path, "it holds `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(escapes(path, "it is absolute")),
        }
    }
    if parts.is_empty() {
        return Err(escapes(path, "it names no file"));
    }
    Ok(parts.join("/"))
}

/// Says that the operating system does not give a file.
fn unreadable(path: &str, e: &std::io::Error) -> Diagnostic {
    match e.kind() {
        std::io::ErrorKind::NotFound => {
            Diagnostic::new(&codes::BLOB_MISSING, format!("the weight file `{path}` is not there"))
        }
        _ => missing(path, e),
    }
}

fn missing(path: &str, why: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::new(&codes::BLOB_MISSING, format!("the weight file `{path}` cannot be read: {why}"))
}

fn escapes(path: &str, why: &str) -> Diagnostic {
    Diagnostic::new(&codes::BLOB_PATH, format!("the weight file `{path}` is not opened: {why}"))
        .help("write `@model_path/weights/` and the name of the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{Writer, pack_weights};
    use crate::types::{DType, Dim, TensorType};

    fn blob(ty: TensorType, path: &str, offset: u64) -> BlobRef {
        BlobRef { ty, path: path.into(), offset }
    }

    fn fp16(shape: &[usize]) -> TensorType {
        TensorType::new(DType::Fp16, shape)
    }

    #[test]
    fn a_tensor_of_a_file_stands_on_the_mapped_bytes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("weights")).unwrap();
        std::fs::write(folder.path().join("weights/w.bin"), pack_weights(&[0x3c00; 6])).unwrap();
        let weights = Weights::beside(folder.path());
        let a = weights.get(&blob(fp16(&[2, 3]), "@model_path/weights/w.bin", 64)).unwrap();
        let b = weights.clone().get(&blob(fp16(&[6]), "weights/./w.bin", 64)).unwrap();
        assert_eq!(a.to_f64s(), [1.0; 6]);
        assert_eq!(a.bytes().as_ptr(), b.bytes().as_ptr());
    }

    #[test]
    fn an_open_dimension_is_as_long_as_the_file_says() {
        let weights = Weights::none();
        let t = Tensor::from_i64s(DType::UInt3, &[5], &[1, 2, 3, 4, 5]).unwrap();
        let mut writer = Writer::new(std::io::Cursor::new(Vec::new())).unwrap();
        writer.append(&t).unwrap();
        weights.insert("w.bin", writer.finish().unwrap().into_inner()).unwrap();
        let ty = |rank| TensorType { dtype: DType::UInt3, shape: Shape::unknown(rank) };
        assert!(weights.get(&blob(ty(1), "@model_path/w.bin", 64)).unwrap().same_bits(&t));
        assert_eq!(weights.get(&blob(ty(2), "@model_path/w.bin", 64)).unwrap_err().code, &codes::BLOB_SIZE);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let weights = Weights::none();
        weights.insert("w.bin", pack_weights(&[0; 4])).unwrap();
        let code = |ty: TensorType, offset| weights.get(&blob(ty, "w.bin", offset)).unwrap_err().code.name;
        assert_eq!(code(fp16(&[5]), 64), "blob-size");
        assert_eq!(code(fp16(&[3]), 64), "blob-size");
        assert_eq!(code(fp16(&[]), 64), "blob-size");
        assert_eq!(code(fp16(&[usize::MAX, usize::MAX]), 64), "blob-size");
        assert_eq!(code(TensorType::new(DType::Bf16, &[4][..]), 64), "blob-dtype");
        assert_eq!(code(fp16(&[4]), 128), "blob-record");
        assert_eq!(code(fp16(&[4]), u64::MAX), "blob-record");
        let open =
            TensorType { dtype: DType::Fp16, shape: [Dim::Unknown, 2u64.into()].into_iter().collect() };
        assert_eq!(code(open, 64), "blob-size");
        assert_eq!(weights.get(&blob(fp16(&[4]), "v.bin", 64)).unwrap_err().code.name, "blob-missing");
    }

    #[test]
    fn paths_that_lead_out_of_the_model_are_refused() {
        let weights = Weights::beside("/");
        for path in [
            "../w.bin",
            "@model_path/../w.bin",
            "@model_path/a/../../w.bin",
            "/etc/passwd",
            "@model_path//etc/passwd",
            "@model_path",
            "@model_path/",
            "@model_pathetic/w.bin/..",
            "",
            ".",
            "a\0b",
        ] {
            assert_eq!(
                weights.get(&blob(fp16(&[1]), path, 64)).unwrap_err().code.name,
                "blob-path",
                "{path:?}"
            );
            assert!(weights.insert(path, Vec::new()).is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_may_stay_inside_and_not_lead_out() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("w.bin"), pack_weights(&[0; 4])).unwrap();
        std::fs::write(folder.path().join("w.bin"), pack_weights(&[0; 4])).unwrap();
        std::os::unix::fs::symlink(outside.path().join("w.bin"), folder.path().join("out.bin")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("w.bin", folder.path().join("in.bin")).unwrap();
        let weights = Weights::beside(folder.path());
        let code = |path: &str| weights.get(&blob(fp16(&[4]), path, 64)).err().map(|d| d.code.name);
        assert_eq!(code("@model_path/in.bin"), None);
        assert_eq!(code("@model_path/out.bin"), Some("blob-path"));
        assert_eq!(code("@model_path/out/w.bin"), Some("blob-path"));
    }

    #[test]
    fn a_folder_or_an_empty_file_is_no_weight_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("e"), []).unwrap();
        let weights = Weights::beside(folder.path());
        assert_eq!(weights.get(&blob(fp16(&[4]), "d", 64)).unwrap_err().code.name, "blob-missing");
        assert_eq!(weights.get(&blob(fp16(&[4]), "e", 64)).unwrap_err().code.name, "blob-header");
    }
}
