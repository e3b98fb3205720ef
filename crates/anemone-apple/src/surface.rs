//! Surfaces: memory that the CPU, the engine and other processes share.

mod claim;

use std::ffi::c_void;
use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::abi::SurfaceRef;
use crate::error::Error;
use crate::foundation;
use crate::framework::Framework;
use crate::host;
use crate::sync::AtomicI32;

pub use claim::{Claim, ClaimRead, ClaimWrite};

/// `kIOSurfaceLockReadOnly`.
const READ_ONLY: u32 = 1;

/// The most bytes of one surface: 256 MiB. No limit of the hardware is known; a larger tensor is a mistake more often
/// than not (source: rane's own cap).
///
/// ```
/// use anemone_apple::{MAX_BYTES, Surface};
/// assert!(Surface::host(MAX_BYTES + 1).is_err());
/// ```
pub const MAX_BYTES: usize = 256 << 20;

/// An `IOSurface`: bytes that the engine reads and writes where they are; or, where there is none, memory of the host
/// under the same rules ([`Surface::host`]).
///
/// Its bytes are reached through guards only, which hold the lock that keeps CPU and engine coherent. Copies are the
/// same surface.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::Surface;
/// // Three rows of 64 bytes, for elements of two.
/// let surface = Surface::rows(&framework, 3, 64, 2)?;
/// assert!(surface.size() == 192 && Surface::new(&framework, 192)?.id() != surface.id());
/// surface.write()?[64..66].copy_from_slice(&[1, 2]);
/// // What begins at its second row, another binding of the same bytes.
/// let row = surface.from_byte(64)?;
/// assert_eq!((row.start(), row.size(), row.read()?[..2].to_vec()), (64, 128, vec![1, 2]));
///
/// // Other processes have it by its number or by a port.
/// // SAFETY: nobody else writes it while it is read.
/// let (by_number, by_port) = unsafe {
///     (Surface::lookup(&framework, surface.id())?, Surface::from_port(&framework, surface.port()?.name())?)
/// };
/// assert_eq!((by_number.read()?[64], by_port.read()?[65]), (1, 2));
/// # #[cfg(target_os = "linux")]
/// # {
/// // Memory of the host is sent as a file.
/// let host = Surface::host(64)?;
/// // SAFETY: as above.
/// let same = unsafe { Surface::from_file(host.file()?.try_clone().unwrap())? };
/// host.write()?[0] = 9;
/// assert_eq!(same.read()?[0], 9);
/// # }
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone)]
pub struct Surface {
    inner: Arc<Inner>,
    /// Where it begins in the surface of the system.
    start: usize,
}

struct Inner {
    backing: Backing,
    bytes: usize,
    /// How the surface is in use: so many readers, -1 for a writer, [`DISPATCHED`] and below for the evaluations that
    /// share it, [`CLAIMED`] and below for those that claim it, or [`ALONE`] for one that does not share it.
    uses: AtomicI32,
    /// How those who have claims use it: so many readers, or -1 for a writer.
    turns: AtomicI32,
}

/// What the bytes lie in.
enum Backing {
    /// A surface of the system; the count of it is ours.
    System { framework: Framework, surface: SurfaceRef },
    /// Memory of the host.
    Host(host::Memory),
}

/// The use of a surface that one evaluation has; each further one counts one less.
const DISPATCHED: i32 = -2;
/// The use of a surface that one evaluation on the CPU claims; each further one counts one less.
const CLAIMED: i32 = i32::MIN / 2;
/// The use of a surface that an evaluation has for itself.
const ALONE: i32 = i32::MIN;

/// How an evaluation has a surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Together with other evaluations: those that read it, or that events keep in order.
    Shared,
    /// Alone, to write it.
    Alone,
}

// SAFETY: an IOSurface, as memory of the host, may be used from any thread; what its bytes may be used for is decided by
// `uses`.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Surface {
    /// Makes a surface of this many bytes, all zero.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it is empty, larger than [`MAX_BYTES`], or cannot be made.
    pub fn new(framework: &Framework, bytes: usize) -> Result<Self, Error> {
        Self::rows(framework, bytes, 1, 1)
    }

    /// Makes a surface of `rows` rows of `row_bytes` bytes, for elements of `element_bytes`.
    ///
    /// # Errors
    ///
    /// As [`Surface::new`].
    pub fn rows(
        framework: &Framework,
        row_bytes: usize,
        rows: usize,
        element_bytes: usize,
    ) -> Result<Self, Error> {
        let bytes = size_of_one(row_bytes, rows)?;
        let number = |n: usize| foundation::number(framework, n as u64);
        let width = number(row_bytes / element_bytes.max(1))?;
        let (height, element) = (number(rows)?, number(element_bytes.max(1))?);
        let (row, size, format) = (number(row_bytes)?, number(bytes)?, number(0)?);
        let properties = foundation::dictionary(
            framework,
            [
                ("IOSurfaceWidth", &width),
                ("IOSurfaceHeight", &height),
                ("IOSurfaceBytesPerElement", &element),
                ("IOSurfaceBytesPerRow", &row),
                ("IOSurfaceAllocSize", &size),
                ("IOSurfacePixelFormat", &format),
            ],
        )?;
        // SAFETY: a dictionary of the documented properties.
        let surface = unsafe { (framework.abi().io_surface_create)(properties.id()) };
        if surface.0.is_null() {
            return Err(Error::Surface(format!("no surface of {bytes} bytes could be made")));
        }
        // SAFETY: IOSurfaceCreate gave us a count.
        unsafe { Self::own(framework, surface, bytes) }
    }

    /// Makes a surface of memory of the host, all zero: what the software engine runs on where there is no `IOSurface`.
    ///
    /// On Linux it is a sealed memory file, which another process can open: see [`Surface::file`].
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it is empty, larger than [`MAX_BYTES`], or cannot be made.
    ///
    /// ```
    /// use anemone_apple::Surface;
    /// let surface = Surface::host(128)?;
    /// surface.write()?[..2].copy_from_slice(&[1, 2]);
    /// assert_eq!(surface.read()?[..3], [1, 2, 0]);
    /// # Ok::<(), anemone_apple::Error>(())
    /// ```
    pub fn host(bytes: usize) -> Result<Self, Error> {
        Self::of_host(host::Memory::new(size_of_one(bytes, 1)?)?)
    }

    /// The surface of memory of the host that another process has made, by the [`file`](Surface::file) that it sent.
    ///
    /// # Safety
    ///
    /// While a guard of the result is alive, no other holder of the surface writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when the file is none of those, or cannot be mapped.
    pub unsafe fn from_file(file: File) -> Result<Self, Error> {
        Self::of_host(host::Memory::from_file(file)?)
    }

    fn of_host(memory: host::Memory) -> Result<Self, Error> {
        let bytes = size_of_one(memory.bytes(), 1)?;
        let inner = Inner {
            backing: Backing::Host(memory),
            bytes,
            uses: AtomicI32::new(0),
            turns: AtomicI32::new(0),
        };
        Ok(Self { inner: Arc::new(inner), start: 0 })
    }

    /// The surface of this number, which another part of the system has made.
    ///
    /// # Safety
    ///
    /// While a guard of the result is alive, no other holder of the surface writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when there is none.
    pub unsafe fn lookup(framework: &Framework, id: u32) -> Result<Self, Error> {
        // SAFETY: any number may be asked for.
        let surface = unsafe { (framework.abi().io_surface_lookup)(id) };
        Self::found(framework, surface, || format!("there is no surface {id}"))
    }

    /// The surface behind a Mach port, which another process has sent.
    ///
    /// # Safety
    ///
    /// While a guard of the result is alive, no other holder of the surface writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when there is none.
    pub unsafe fn from_port(framework: &Framework, port: u32) -> Result<Self, Error> {
        // SAFETY: any port name may be asked for.
        let surface = unsafe { (framework.abi().io_surface_lookup_from_mach_port)(port) };
        Self::found(framework, surface, || format!("there is no surface behind port {port}"))
    }

    fn found(
        framework: &Framework,
        surface: SurfaceRef,
        what: impl FnOnce() -> String,
    ) -> Result<Self, Error> {
        if surface.0.is_null() {
            return Err(Error::Surface(what()));
        }
        // SAFETY: the surface exists, and looking it up gave us a count.
        unsafe { Self::own(framework, surface, (framework.abi().io_surface_get_alloc_size)(surface)) }
    }

    /// # Safety
    ///
    /// The surface exists, has at least so many bytes, and the count is ours.
    unsafe fn own(framework: &Framework, surface: SurfaceRef, bytes: usize) -> Result<Self, Error> {
        let backing = Backing::System { framework: framework.clone(), surface };
        let inner = Inner { backing, bytes, uses: AtomicI32::new(0), turns: AtomicI32::new(0) };
        // SAFETY: the surface exists.
        let allocated = unsafe { (framework.abi().io_surface_get_alloc_size)(surface) };
        if allocated < bytes {
            return Err(Error::Surface(format!("a surface of {bytes} bytes has only {allocated}")));
        }
        Ok(Self { inner: Arc::new(inner), start: 0 })
    }

    /// The same surface from one of its bytes on: with it a request binds a tensor that does not lie at the beginning.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when no byte is left, or when `start` is not a multiple of 64: rows begin at such places.
    pub fn from_byte(&self, start: usize) -> Result<Self, Error> {
        if start >= self.size() || !start.is_multiple_of(64) {
            return Err(Error::Surface(format!(
                "a surface of {} bytes has no part that begins at {start}: a part begins at a multiple of 64",
                self.size()
            )));
        }
        Ok(Self { inner: self.inner.clone(), start: self.start + start })
    }

    /// How many bytes it has. The system may have set aside more, which nobody may touch.
    pub fn size(&self) -> usize {
        self.inner.bytes - self.start
    }

    /// Where it begins in the surface of the system: 0 unless it was made with [`Surface::from_byte`].
    pub fn start(&self) -> usize {
        self.start
    }

    /// The number by which the whole system knows it; one of memory of the host is known to this process only.
    pub fn id(&self) -> u32 {
        match &self.inner.backing {
            // SAFETY: we hold a count.
            Backing::System { framework, surface } => unsafe {
                (framework.abi().io_surface_get_id)(*surface)
            },
            Backing::Host(memory) => memory.id(),
        }
    }

    /// The file that memory of the host lies in. Another process that gets it (it can be inherited, or sent through a
    /// socket) opens the surface by [`Surface::from_file`].
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it is a surface of the system, which is sent by its [`port`](Surface::port), or when this
    /// system has no such files.
    pub fn file(&self) -> Result<&File, Error> {
        let none = |why: &str| Error::Surface(format!("the surface has no file: {why}"));
        match &self.inner.backing {
            Backing::System { .. } => Err(none("it is sent to another process by its port")),
            Backing::Host(memory) => memory.file().ok_or_else(|| none("this system has none in memory")),
        }
    }

    /// A Mach port that another process can open the surface by. It is closed when the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when the system gives none.
    pub fn port(&self) -> Result<Port, Error> {
        let (framework, surface) = self.system()?;
        // SAFETY: we hold a count.
        let name = unsafe { (framework.abi().io_surface_create_mach_port)(surface) };
        if name == 0 {
            return Err(Error::Surface("no port for the surface could be made".into()));
        }
        Ok(Port { framework: framework.clone(), name })
    }

    /// Locks the surface to read it.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when an evaluation or a writer has it, or when the lock fails.
    pub fn read(&self) -> Result<ReadGuard, Error> {
        self.take(|uses| uses.checked_add(1).filter(|_| uses >= 0))?;
        match self.lock(READ_ONLY) {
            Ok(()) => Ok(ReadGuard { surface: self.clone() }),
            Err(e) => {
                self.inner.uses.fetch_sub(1, Ordering::Release);
                Err(e)
            }
        }
    }

    /// Locks the surface to read and write it.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when an evaluation, a reader or a writer has it, or when the lock fails.
    pub fn write(&self) -> Result<WriteGuard, Error> {
        self.take(|uses| (uses == 0).then_some(-1))?;
        match self.lock(0) {
            Ok(()) => Ok(WriteGuard { surface: self.clone() }),
            Err(e) => {
                self.inner.uses.store(0, Ordering::Release);
                Err(e)
            }
        }
    }

    /// Takes the surface for an evaluation: until it is given back nobody can lock it.
    pub(crate) fn dispatch(&self, share: Share) -> Result<(), Error> {
        self.take(|uses| match (share, uses) {
            (Share::Alone, 0) => Some(ALONE),
            (Share::Shared, 0) => Some(DISPATCHED),
            (Share::Shared, u) if CLAIMED + 1 < u && u <= DISPATCHED => Some(u - 1),
            _ => None,
        })
    }

    /// Gives the surface back after an evaluation.
    pub(crate) fn finish(&self) {
        let uses = &self.inner.uses;
        let _ = uses.fetch_update(Ordering::Release, Ordering::Relaxed, |u| {
            Some(if [DISPATCHED, CLAIMED, ALONE].contains(&u) { 0 } else { u + 1 })
        });
    }

    fn take(&self, next: impl FnMut(i32) -> Option<i32>) -> Result<(), Error> {
        let taken = self.inner.uses.fetch_update(Ordering::Acquire, Ordering::Relaxed, next);
        taken.map(drop).map_err(|uses| {
            Error::Surface(match uses {
                u if u <= DISPATCHED => "an evaluation has the surface: wait until it has ended".into(),
                -1 => "the surface is locked for writing: drop the guard, or wait for the evaluation, first"
                    .into(),
                _ => "the surface is locked for reading: drop the guards, or wait for the evaluation, first"
                    .to_string(),
            })
        })
    }

    fn lock(&self, options: u32) -> Result<(), Error> {
        let Backing::System { framework, surface } = &self.inner.backing else { return Ok(()) };
        // SAFETY: we hold a count; the seed is not wanted.
        let code = unsafe { (framework.abi().io_surface_lock)(*surface, options, std::ptr::null_mut()) };
        if code == 0 {
            return Ok(());
        }
        Err(Error::Surface(format!("the surface cannot be locked: {code:#x}")))
    }

    fn unlock(&self, options: u32) {
        if let Backing::System { framework, surface } = &self.inner.backing {
            // SAFETY: we hold a count and the lock. A failure to unlock cannot be acted upon in a drop.
            unsafe { (framework.abi().io_surface_unlock)(*surface, options, std::ptr::null_mut()) };
        }
    }

    fn address(&self) -> *mut u8 {
        let base: *mut u8 = match &self.inner.backing {
            // SAFETY: we hold a count and the lock.
            Backing::System { framework, surface } => unsafe {
                (framework.abi().io_surface_get_base_address)(*surface).cast()
            },
            Backing::Host(memory) => memory.address(),
        };
        // SAFETY: it begins within the bytes of the surface.
        unsafe { base.add(self.start) }
    }

    /// Where a surface of the system lies, and its size in whole pages.
    pub(crate) fn pages(&self, page: usize) -> Result<(*mut c_void, usize), Error> {
        let (framework, surface) = self.system()?;
        if self.start > 0 {
            return Err(Error::Surface(
                "a surface that begins within another one has no pages of its own".into(),
            ));
        }
        // The address is asked for under a lock.
        let held = self.read()?;
        // SAFETY: we hold a count.
        let bytes = unsafe { (framework.abi().io_surface_get_alloc_size)(surface) };
        let address = self.address().cast();
        drop(held);
        Ok((address, bytes.next_multiple_of(page)))
    }

    /// The surface of the system, to bind it to a request.
    pub(crate) fn raw(&self) -> Result<SurfaceRef, Error> {
        self.system().map(|(_, surface)| surface)
    }

    fn system(&self) -> Result<(&Framework, SurfaceRef), Error> {
        match &self.inner.backing {
            Backing::System { framework, surface } => Ok((framework, *surface)),
            Backing::Host(_) => Err(Error::Surface(
                "the surface is memory of the host, which the engine cannot reach: make it by `Surface::new`"
                    .into(),
            )),
        }
    }
}

/// The bytes of a surface of so many rows.
fn size_of_one(row_bytes: usize, rows: usize) -> Result<usize, Error> {
    row_bytes.checked_mul(rows).filter(|&b| 0 < b && b <= MAX_BYTES).ok_or_else(|| {
        Error::Surface(format!("a surface has 1 to {MAX_BYTES} bytes, not {rows} rows of {row_bytes}"))
    })
}

impl PartialEq for Surface {
    /// Whether both are the same surface of the system, wherever they begin in it.
    fn eq(&self, other: &Self) -> bool {
        match (&self.inner.backing, &other.inner.backing) {
            (Backing::System { surface: a, .. }, Backing::System { surface: b, .. }) => a == b,
            _ => Arc::ptr_eq(&self.inner, &other.inner),
        }
    }
}

impl std::fmt::Debug for Surface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surface({} bytes)", self.inner.bytes)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Backing::System { framework, surface } = &self.backing {
            // SAFETY: the count is ours, and is given up once.
            unsafe { (framework.abi().cf_release)(surface.0) }
        }
    }
}

/// The bytes of a surface that is locked to be read.
///
/// ```
/// use anemone_apple::{ReadGuard, Surface};
/// let surface = Surface::host(64)?;
/// let bytes: ReadGuard = surface.read()?;
/// assert_eq!((bytes.len(), bytes[0]), (64, 0));
/// assert!(surface.read().is_ok() && surface.write().is_err(), "several read, and meanwhile nobody writes");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadGuard {
    surface: Surface,
}

impl Deref for ReadGuard {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the surface has `size` bytes at its base address; they stay while we hold a count, and nobody writes
        // them while there are readers.
        unsafe { std::slice::from_raw_parts(self.surface.address(), self.surface.size()) }
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.surface.unlock(READ_ONLY);
        self.surface.inner.uses.fetch_sub(1, Ordering::Release);
    }
}

/// The bytes of a surface that is locked to be written.
///
/// ```
/// use anemone_apple::{Surface, WriteGuard};
/// let surface = Surface::host(64)?;
/// let mut bytes: WriteGuard = surface.write()?;
/// bytes.fill(1);
/// assert!(surface.read().is_err(), "while somebody writes, nobody reads");
/// drop(bytes);
/// assert_eq!(surface.read()?[63], 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct WriteGuard {
    surface: Surface,
}

impl Deref for WriteGuard {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as for a reader; the writer is alone.
        unsafe { std::slice::from_raw_parts(self.surface.address(), self.surface.size()) }
    }
}

impl DerefMut for WriteGuard {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the surface has `size` bytes at its base address, and while there is a writer nobody else has a
        // slice of them.
        unsafe { std::slice::from_raw_parts_mut(self.surface.address(), self.surface.size()) }
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.surface.unlock(0);
        self.surface.inner.uses.store(0, Ordering::Release);
    }
}

/// A Mach port of a surface.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::{Port, Surface};
/// let surface = Surface::new(&framework, 64)?;
/// let port: Port = surface.port()?; // given back when it is dropped
/// assert_ne!(port.name(), 0);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Port {
    framework: Framework,
    name: u32,
}

impl Port {
    /// Its name in this process.
    pub fn name(&self) -> u32 {
        self.name
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let abi = self.framework.abi();
        // SAFETY: the port is ours.
        unsafe { (abi.mach_port_deallocate)((abi.mach_task_self)(), self.name) };
    }
}
