//! Files that are written: under another name until they are whole.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Writes a file. Nobody sees it half written, and one that was there stays if something fails.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // Devices and pipes are written as they are.
    let special = path.metadata().is_ok_and(|m| !m.is_file());
    let temporary = if special { path.to_path_buf() } else { beside(path) };
    let written = File::create(&temporary).and_then(|mut file| file.write_all(bytes));
    let written = if special { written } else { written.and_then(|()| std::fs::rename(&temporary, path)) };
    written.map_err(|e| {
        if !special {
            // What is not whole is of no use, and that it cannot be removed is no news.
            let _ = std::fs::remove_file(&temporary);
        }
        Failure::world(format!("`{}` cannot be written: {e}", path.display()))
    })
}

/// A name of this process's own in the same folder.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    PathBuf::from(name)
}
