//! A place beside the target, where a file or folder is made before it takes the place of what was there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;
use super::package::MANIFEST;

/// What is being made. It is removed unless it is committed.
#[derive(Debug)]
pub(super) struct Staging {
    temporary: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// A folder that will be at `target`. What is there now must be a bundle, or an empty folder.
    pub(super) fn folder(target: &Path) -> Result<Self, Error> {
        if target.symlink_metadata().is_ok() {
            let is = |name| target.join(name).exists();
            let empty = || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
            if !(is(MANIFEST) || is("coremldata.bin") || is("model.mil") || empty()) {
                return Err(Error::exists(
                    target,
                    "it is there already, and is no bundle that could be replaced",
                ));
            }
        }
        Self::new(target, |temporary| fs::create_dir(temporary))
    }

    /// A file that will be at `target`.
    pub(super) fn file(target: &Path) -> Result<Self, Error> {
        if target.is_dir() {
            return Err(Error::exists(target, "a folder is there already"));
        }
        Self::new(target, |temporary| fs::File::create_new(temporary).map(drop))
    }

    fn new(target: &Path, create: impl Fn(&Path) -> io::Result<()>) -> Result<Self, Error> {
        loop {
            let temporary = sibling(target)?;
            match create(&temporary) {
                Ok(()) => return Ok(Self { temporary, target: target.to_path_buf() }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(target)(e)),
            }
        }
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Moves what was made to its place.
    pub(super) fn commit(self) -> Result<(), Error> {
        // A file takes the place of another in one step; a folder cannot, so that the old one is moved aside first.
        let failed = Error::io(&self.target);
        if !self.target.is_dir() {
            return fs::rename(&self.temporary, &self.target).map_err(failed);
        }
        let old = sibling(&self.target)?;
        fs::rename(&self.target, &old).map_err(Error::io(&self.target))?;
        if let Err(e) = fs::rename(&self.temporary, &self.target) {
            fs::rename(&old, &self.target).map_err(Error::io(&old))?;
            return Err(failed(e));
        }
        fs::remove_dir_all(&old).map_err(Error::io(&old))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing is there after a commit. What cannot be removed is left: there is nobody to tell.
        if self.temporary.is_dir() {
            let _ = fs::remove_dir_all(&self.temporary);
        } else {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A name beside the target that nothing has.
fn sibling(target: &Path) -> Result<PathBuf, Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().ok_or_else(|| Error::exists(target, "the path names no file or folder"))?;
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut sibling = std::ffi::OsString::from(".");
        sibling.push(name);
        sibling.push(format!(".{}-{n}.tmp", std::process::id()));
        let sibling = target.with_file_name(sibling);
        if sibling.symlink_metadata().is_err() {
            return Ok(sibling);
        }
    }
}
