//! Bytes that tensors stand on: aligned buffers and mapped files.
//!
//! ```
//! use anemone_kernels::memory::Buffer;
//! let b = Buffer::copy_of(&[1, 2, 3]);
//! assert_eq!((b.len(), b.is_empty(), b.bytes()), (3, false, &[1, 2, 3][..]));
//! ```

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::MmapMut;

/// One cache line. Buffers are made of these, so that every buffer starts on a 64-byte border.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Owned bytes that start on a 64-byte border.
///
/// ```
/// use anemone_kernels::memory::Buffer;
/// let mut b = Buffer::zeroed(6);
/// b.bytes_mut().copy_from_slice(b"abcdef");
/// assert_eq!(b.bytes().as_ptr() as usize % 64, 0);
/// assert_eq!(b.bytes(), b"abcdef");
/// ```
#[derive(Clone, Default)]
pub struct Buffer {
    memory: Memory,
    len: usize,
}

/// What holds the bytes of a buffer.
enum Memory {
    Lines(Vec<Line>),
    /// Whole pages, for which the system is asked for large ones: bytes that are read from one end to the other wait for
    /// the look-up of small ones.
    Pages(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.bytes().len());
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

/// From so many bytes on a buffer has pages of its own, and a file is mapped in large ones: as many as one of those has.
const PAGES: usize = 2 << 20;

impl Memory {
    fn zeroed(len: usize) -> Self {
        if len >= PAGES
            && let Ok(pages) = MmapMut::map_anon(len)
        {
            // A system that has no large pages gives small ones.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Self::Pages(pages);
        }
        // The system gives zeroed pages, so that a large buffer is not written twice.
        Self::Lines(bytemuck::zeroed_vec(len.div_ceil(64)))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Lines(lines) => bytemuck::cast_slice(lines),
            Self::Pages(pages) => pages,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Lines(lines) => bytemuck::cast_slice_mut(lines),
            Self::Pages(pages) => pages,
        }
    }
}

impl Buffer {
    /// A buffer of `len` bytes, all zero.
    pub fn zeroed(len: usize) -> Self {
        Self { memory: Memory::zeroed(len), len }
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.bytes_mut().copy_from_slice(bytes);
        buffer
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len]
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

/// A file mapped into memory, to read.
///
/// The pages are loaded when they are first read and belong to the page cache, so that weights are not copied.
///
/// ```
/// use anemone_kernels::memory::Mapped;
/// let file = Mapped::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").as_ref())?;
/// assert!(file.starts_with(b"[package]"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps the whole file at `path`.
    ///
    /// The file must not be shortened while it is mapped: the operating system then ends the process with a bus
    /// error at the next read behind the new end. `docs/security.md` says what that means for callers.
    ///
    /// # Errors
    ///
    /// Whatever opening or mapping the file gives.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the mapping is private and read-only, and all that is ever made of it is `&[u8]`, for which every
        // bit pattern is valid. Another process that writes to the file can change bytes under us; readers of this
        // crate treat them as untrusted values and never derive a length from them twice.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(&file)? };
        // What comes from the disk from now on is kept in large pages, where the file system can.
        #[cfg(target_os = "linux")]
        if map.len() >= PAGES {
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "large buffers are mapped by the system")]
    fn buffers_of_every_size_are_zeroed_aligned_and_copied() {
        for len in [0, 1, 64, 65, PAGES - 1, PAGES, PAGES + 4097] {
            let mut buffer = Buffer::zeroed(len);
            assert_eq!((buffer.len(), buffer.is_empty()), (len, len == 0));
            assert!(buffer.bytes().len() == len && buffer.bytes().iter().all(|&b| b == 0));
            assert!(buffer.bytes().as_ptr().addr().is_multiple_of(64));
            if let Some(last) = buffer.bytes_mut().last_mut() {
                *last = 7;
            }
            let copy = buffer.clone();
            assert!(copy.bytes() == buffer.bytes() && Buffer::copy_of(copy.bytes()).bytes() == copy.bytes());
            assert!(len == 0 || copy.bytes().as_ptr() != buffer.bytes().as_ptr());
        }
    }
}
