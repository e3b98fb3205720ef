//! Why a bundle cannot be opened or written.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::source::{Diagnostic, Diagnostics, Source};

/// Why a bundle cannot be opened or written.
///
/// ```
/// use anemone::bundle::{self, Error};
/// assert!(matches!(bundle::open("there is no such model"), Err(Error::Io { .. })));
/// ```
#[derive(Debug)]
pub enum Error {
    /// The bundle is at fault.
    Refused {
        /// What is wrong with it.
        diagnostics: Diagnostics,
        /// The text that the diagnostics point into.
        source: Option<Box<Source>>,
    },
    /// The world is at fault.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

impl Error {
    /// An error of the operating system at this path.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// A refusal to write at this path.
    pub(super) fn exists(path: &Path, why: &str) -> Error {
        Error::Io { path: path.to_path_buf(), source: io::Error::new(io::ErrorKind::AlreadyExists, why) }
    }
}

impl From<Diagnostic> for Error {
    fn from(d: Diagnostic) -> Self {
        Diagnostics::from(d).into()
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Error::Refused { diagnostics, source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused { diagnostics, .. } => diagnostics.fmt(f),
            Error::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Refused { diagnostics, .. } => Some(diagnostics),
            Error::Io { source, .. } => Some(source),
        }
    }
}

/// The bytes of a file; `None` if it is not a regular file, or larger than the limit.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let metadata = path.metadata().map_err(Error::io(path))?;
    if !metadata.is_file() || metadata.len() > limit {
        return Ok(None);
    }
    // The file may grow while it is read.
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(Some(bytes).filter(|b| b.len() as u64 <= limit))
}
