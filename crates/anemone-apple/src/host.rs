//! Memory of the host that takes the place of an `IOSurface` where there is none.
//!
//! On Linux it lies in a file in memory, which another process can map. Such a file is sealed: nobody can shorten it, so
//! that what is mapped stays there.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::Error;

/// So many bytes, all zero at first, that begin at a page.
pub(crate) struct Memory {
    map: MmapRaw,
    file: Option<File>,
    id: u32,
}

/// Numbers of surfaces; 0 is none.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl Memory {
    /// Makes so many bytes.
    pub(crate) fn new(bytes: usize) -> Result<Self, Error> {
        let failed =
            |e: std::io::Error| Error::Surface(format!("no memory of {bytes} bytes could be made: {e}"));
        match sealed::new(bytes) {
            Some(file) => Self::from_file(file.map_err(failed)?),
            None => Ok(Self::of(MmapOptions::new().len(bytes).map_anon().map_err(failed)?.into(), None)),
        }
    }

    /// Maps the file of another process.
    pub(crate) fn from_file(file: File) -> Result<Self, Error> {
        if !sealed::is(&file) {
            return Err(Error::Surface(
                "the file is not that of a surface: it is not sealed against being shortened".into(),
            ));
        }
        let map = MmapOptions::new().map_raw(&file);
        let map =
            map.map_err(|e| Error::Surface(format!("the file of the surface cannot be mapped: {e}")))?;
        Ok(Self::of(map, Some(file)))
    }

    fn of(map: MmapRaw, file: Option<File>) -> Self {
        Self { map, file, id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn address(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

/// Files in memory that cannot be shortened.
#[cfg(all(target_os = "linux", not(miri)))]
mod sealed {
    use std::fs::File;
    use std::io;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};

    /// A file of so many zeros.
    pub(super) fn new(bytes: usize) -> Option<io::Result<File>> {
        Some(make(bytes))
    }

    fn make(bytes: usize) -> io::Result<File> {
        let file = memfd_create(c"anemone surface", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, bytes as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(file.into())
    }

    pub(super) fn is(file: &File) -> bool {
        fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
    }
}

/// Neither other systems nor the interpreter have such files: memory belongs to the process.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod sealed {
    use std::fs::File;
    use std::io;

    pub(super) fn new(_: usize) -> Option<io::Result<File>> {
        None
    }

    pub(super) fn is(_: &File) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Surface;

    #[test]
    #[cfg_attr(miri, ignore = "the interpreter has no files in memory")]
    fn another_mapping_of_the_file_is_the_same_memory() {
        let surface = Surface::host(100).unwrap();
        assert_eq!(surface.size(), 100);
        let file = surface.file().unwrap().try_clone().unwrap();
        // SAFETY: no guard of the other is alive while one of this is.
        let other = unsafe { Surface::from_file(file) }.unwrap();
        assert_ne!(surface.id(), other.id());
        surface.write().unwrap()[99] = 7;
        assert_eq!(other.read().unwrap()[99], 7);
    }

    #[test]
    #[cfg_attr(miri, ignore = "the interpreter has no files in memory")]
    fn a_file_that_can_be_shortened_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        assert!(Memory::from_file(file).is_err());
        let sealed = Surface::host(64).unwrap();
        assert!(sealed.file().unwrap().set_len(1).is_err());
    }

    #[test]
    fn the_rules_are_those_of_a_surface_of_the_system() {
        for bytes in [0, crate::MAX_BYTES + 1] {
            assert!(matches!(Surface::host(bytes), Err(Error::Surface(_))), "{bytes}");
        }
        let surface = Surface::host(64).unwrap();
        assert_eq!(*surface.read().unwrap(), [0; 64]);
        let reader = surface.read().unwrap();
        assert!(surface.read().is_ok() && surface.write().is_err());
        drop(reader);
        let mut writer = surface.write().unwrap();
        writer[0] = 1;
        assert!(surface.read().is_err() && surface.write().is_err());
        drop(writer);
        assert_eq!(surface.read().unwrap()[0], 1);
        assert!(surface.port().is_err());
    }
}
