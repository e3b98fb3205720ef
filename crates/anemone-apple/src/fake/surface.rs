//! The fake's IOSurface, and its Mach ports.
//!
//! A surface knows whether it is locked. Memory is set aside in pages, as on a Mac, and what lies behind the bytes that
//! were asked for is filled with a pattern, so that a write beyond them is noticed when the surface ends.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::event::Event;
use super::object::{Kept, World, entries_of, lock, number_of, object};
use crate::abi::{Id, SurfaceRef};

/// The page of the system.
const PAGE: usize = 16 << 10;
/// What lies behind the bytes of a surface.
const PATTERN: u8 = 0xa5;

/// A surface.
pub(super) struct FakeSurface {
    id: u32,
    count: AtomicUsize,
    world: Arc<World>,
    address: *mut u8,
    bytes: usize,
    allocated: usize,
    locks: Mutex<Locks>,
}

#[derive(Default)]
struct Locks {
    readers: usize,
    writers: usize,
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, PAGE).expect("a surface is small")
}

/// Surfaces by number, for the whole process; each is alive.
fn numbered() -> &'static Mutex<HashMap<u32, Kept<SurfaceRef>>> {
    static NUMBERED: OnceLock<Mutex<HashMap<u32, Kept<SurfaceRef>>>> = OnceLock::new();
    NUMBERED.get_or_init(Mutex::default)
}

/// The number of the surface of a world that lies at an address and has these pages.
pub(super) fn behind(world: &Arc<World>, address: *mut c_void, length: u64) -> Option<u32> {
    let numbered = lock(numbered());
    let surfaces = numbered.values().filter_map(|kept| {
        // SAFETY: who has a number is alive while the list is held.
        unsafe { FakeSurface::of(kept.0) }
    });
    let found = surfaces.filter(|s| Arc::ptr_eq(&s.world, world) && s.address.cast() == address);
    found.filter(|s| s.allocated as u64 == length).map(|s| s.id).next()
}

/// Where the surface of a number lies.
pub(super) fn address_of(number: i64) -> *mut c_void {
    let numbered = lock(numbered());
    let kept = u32::try_from(number).ok().and_then(|n| numbered.get(&n));
    // SAFETY: who has a number is alive while the list is held.
    let surface = kept.and_then(|kept| unsafe { FakeSurface::of(kept.0) });
    surface.map_or(std::ptr::null_mut(), |s| s.address.cast())
}

/// What a port leads to.
pub(super) enum Target {
    Surface(Kept<SurfaceRef>),
    Event(Arc<Event>),
}

/// A port of this process, and the world that has to close it.
pub(super) struct FakePort {
    world: Arc<World>,
    pub(super) target: Target,
}

/// Ports by name, for the whole process.
pub(super) fn ports() -> &'static Mutex<HashMap<u32, FakePort>> {
    static PORTS: OnceLock<Mutex<HashMap<u32, FakePort>>> = OnceLock::new();
    PORTS.get_or_init(Mutex::default)
}

/// Opens a port.
pub(super) fn open_port(world: &Arc<World>, target: Target) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0x1003);
    let name = NEXT.fetch_add(4, Ordering::Relaxed);
    // An event owns its port for as long as it lives; the port of a surface is the caller's to close.
    if let Target::Surface(_) = target {
        world.ports.fetch_add(1, Ordering::Relaxed);
    }
    lock(ports()).insert(name, FakePort { world: world.clone(), target });
    name
}

/// Closes a port.
pub(super) fn close_port(name: u32) -> bool {
    let Some(port) = lock(ports()).remove(&name) else { return false };
    if let Target::Surface(surface) = port.target {
        port.world.ports.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the port held a count of the surface.
        unsafe { cf_release(surface.0.0) };
    }
    true
}

impl FakeSurface {
    /// # Safety
    ///
    /// The surface is alive.
    pub(super) unsafe fn of<'a>(surface: SurfaceRef) -> Option<&'a FakeSurface> {
        // SAFETY: the caller's promise.
        unsafe { surface.0.cast::<FakeSurface>().as_ref() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_locked(&self) -> bool {
        let locks = lock(&self.locks);
        locks.readers + locks.writers > 0
    }

    /// Copies bytes out, as the engine reads them.
    pub(super) fn copy_out(&self, at: usize, bytes: usize) -> Vec<u8> {
        assert!(at + bytes <= self.bytes, "the caller has compared the sizes");
        let mut copy = vec![0; bytes];
        // SAFETY: so many bytes lie at the address; the engine reads while nobody has the surface locked.
        unsafe { std::ptr::copy_nonoverlapping(self.address.add(at), copy.as_mut_ptr(), copy.len()) };
        copy
    }

    /// Copies bytes in, as the engine writes them.
    pub(super) fn copy_in(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.bytes, "the caller has compared the sizes");
        // SAFETY: so many bytes lie at the address; the engine writes while nobody has the surface locked.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.add(at), bytes.len()) };
    }
}

pub(super) unsafe extern "C" fn io_surface_create(properties: Id) -> SurfaceRef {
    const NONE: SurfaceRef = SurfaceRef(std::ptr::null_mut());
    // SAFETY: the caller gives a live dictionary.
    let (Some(o), Some(entries)) = (unsafe { object(properties) }, unsafe { entries_of(properties) }) else {
        return NONE;
    };
    let property = |name: &str| {
        let value = entries.iter().find(|(n, _)| n == name).map(|&(_, v)| v)?;
        // SAFETY: the dictionary keeps its values alive.
        usize::try_from(unsafe { number_of(value) }?).ok()
    };
    let (Some(width), Some(height)) = (property("IOSurfaceWidth"), property("IOSurfaceHeight")) else {
        o.world.wrong("a surface was asked for without a width and a height");
        return NONE;
    };
    let element = property("IOSurfaceBytesPerElement").unwrap_or(1);
    let row = property("IOSurfaceBytesPerRow").unwrap_or(width * element);
    if row < width * element {
        o.world.wrong(format!("a surface's row of {width} elements of {element} bytes has only {row} bytes"));
        return NONE;
    }
    let bytes = property("IOSurfaceAllocSize").unwrap_or(row * height);
    if bytes == 0 || bytes < row * height || lock(&o.world.faults).surface_limit.is_some_and(|l| bytes > l) {
        return NONE;
    }
    let allocated = bytes.next_multiple_of(PAGE);
    // SAFETY: the layout has a size.
    let address = unsafe { alloc_zeroed(layout(allocated)) };
    if address.is_null() {
        return NONE;
    }
    // SAFETY: the memory was just set aside.
    unsafe { address.add(bytes).write_bytes(PATTERN, allocated - bytes) };
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    o.world.surfaces.fetch_add(1, Ordering::Relaxed);
    o.world.begun();
    let surface = Box::into_raw(Box::new(FakeSurface {
        id,
        count: AtomicUsize::new(1),
        world: o.world.clone(),
        address,
        bytes,
        allocated,
        locks: Mutex::default(),
    }));
    lock(numbered()).insert(id, Kept(SurfaceRef(surface.cast())));
    SurfaceRef(surface.cast())
}

pub(super) unsafe extern "C" fn cf_retain(cf: *const c_void) -> *const c_void {
    // SAFETY: surfaces are the only objects that are counted this way here.
    if let Some(s) = unsafe { FakeSurface::of(SurfaceRef(cf.cast_mut())) } {
        s.count.fetch_add(1, Ordering::Relaxed);
    }
    cf
}

pub(super) unsafe extern "C" fn cf_release(cf: *const c_void) {
    // SAFETY: as in `cf_retain`.
    let Some(s) = (unsafe { FakeSurface::of(SurfaceRef(cf.cast_mut())) }) else { return };
    {
        // While it is held nobody can find the surface, and count it, between its last count and its end.
        let mut numbered = lock(numbered());
        if s.count.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        numbered.remove(&s.id);
    }
    if s.is_locked() {
        s.world.wrong("a surface was released while it was locked");
    }
    // SAFETY: the memory behind the bytes is the surface's own.
    let behind = unsafe { std::slice::from_raw_parts(s.address.add(s.bytes), s.allocated - s.bytes) };
    if behind != &[PATTERN; PAGE][..behind.len()] {
        s.world.wrong("something was written behind the bytes of a surface");
    }
    s.world.surfaces.fetch_sub(1, Ordering::Relaxed);
    s.world.ended();
    // SAFETY: this was the last count; the memory was set aside with this layout.
    unsafe {
        dealloc(s.address, layout(s.allocated));
        drop(Box::from_raw(cf.cast_mut().cast::<FakeSurface>()));
    }
}

pub(super) unsafe extern "C" fn io_surface_lock(surface: SurfaceRef, options: u32, _: *mut u32) -> i32 {
    // SAFETY: the caller gives a live surface.
    let Some(s) = (unsafe { FakeSurface::of(surface) }) else { return -1 };
    if lock(&s.world.faults).lock_fails {
        return 0xe00002d6_u32 as i32;
    }
    let mut locks = lock(&s.locks);
    if options & 1 == 0 {
        locks.writers += 1
    } else {
        locks.readers += 1
    }
    0
}

pub(super) unsafe extern "C" fn io_surface_unlock(surface: SurfaceRef, options: u32, _: *mut u32) -> i32 {
    // SAFETY: the caller gives a live surface.
    let Some(s) = (unsafe { FakeSurface::of(surface) }) else { return -1 };
    let mut locks = lock(&s.locks);
    let held = if options & 1 == 0 { &mut locks.writers } else { &mut locks.readers };
    if *held == 0 {
        s.world.wrong("a surface was unlocked that was not locked that way");
        return -1;
    }
    *held -= 1;
    0
}

pub(super) unsafe extern "C" fn io_surface_get_base_address(surface: SurfaceRef) -> *mut c_void {
    // SAFETY: the caller gives a live surface.
    let Some(s) = (unsafe { FakeSurface::of(surface) }) else { return std::ptr::null_mut() };
    if !s.is_locked() {
        s.world.wrong("the bytes of a surface were asked for while it was not locked");
    }
    s.address.cast()
}

pub(super) unsafe extern "C" fn io_surface_get_alloc_size(surface: SurfaceRef) -> usize {
    // SAFETY: the caller gives a live surface.
    unsafe { FakeSurface::of(surface) }.map_or(0, |s| s.allocated)
}

pub(super) unsafe extern "C" fn io_surface_get_id(surface: SurfaceRef) -> u32 {
    // SAFETY: the caller gives a live surface.
    unsafe { FakeSurface::of(surface) }.map_or(0, |s| s.id)
}

/// A surface with a count more.
fn counted(surface: Kept<SurfaceRef>) -> Kept<SurfaceRef> {
    // SAFETY: the tables hold surfaces that are alive.
    unsafe { cf_retain(surface.0.0) };
    surface
}

pub(super) unsafe extern "C" fn io_surface_lookup(id: u32) -> SurfaceRef {
    let numbered = lock(numbered());
    numbered.get(&id).map_or(SurfaceRef(std::ptr::null_mut()), |&s| counted(s).0)
}

pub(super) unsafe extern "C" fn io_surface_create_mach_port(surface: SurfaceRef) -> u32 {
    // SAFETY: the caller gives a live surface; the port holds a count of it.
    let Some(s) = (unsafe { FakeSurface::of(surface) }) else { return 0 };
    open_port(&s.world, Target::Surface(counted(Kept(surface))))
}

pub(super) unsafe extern "C" fn io_surface_lookup_from_mach_port(port: u32) -> SurfaceRef {
    match lock(ports()).get(&port) {
        Some(FakePort { target: Target::Surface(s), .. }) => counted(*s).0,
        _ => SurfaceRef(std::ptr::null_mut()),
    }
}

pub(super) unsafe extern "C" fn mach_task_self() -> u32 {
    0x103
}

pub(super) unsafe extern "C" fn mach_port_deallocate(_: u32, name: u32) -> i32 {
    if close_port(name) { 0 } else { 15 }
}
