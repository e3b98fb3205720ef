//! The fake's `_ANERequest` and `_ANEIOSurfaceObject`, and what is done with them.

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::super::{foundation, object, surface};
use super::daemon::{self, View, Work};
use super::memory::all_are;
use super::{Failure, Payload, request_of, surface_object_of};
use crate::abi::{Bool, Id, Sel, SurfaceRef};
use crate::encoding::BlockRef;
use crate::fake::object::{Kept, Payload as ObjectPayload, World, items_of, lock, number_of, retain};
use crate::fake::runtime::{on_a_thread, world_of};
use crate::fake::surface::FakeSurface;
use crate::fake::tables::Implementations;
use crate::messages::*;

/// A request: surfaces bound to symbols.
pub(in crate::fake) struct Request {
    inputs: Id,
    input_indices: Id,
    outputs: Id,
    output_indices: Id,
    weights: Id,
    perf_stats: Id,
    procedure: Id,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    events: Option<Id>,
    stats: Option<Id>,
    handler: Option<Block>,
    mapped: bool,
    /// Whether a thread of the driver has it.
    in_flight: bool,
}

// SAFETY: the objects and the block in it may be used from any thread, and they are behind a lock.
unsafe impl Send for Changing {}

impl Request {
    pub(super) fn held(&self) -> Vec<Id> {
        let changing = lock(&self.changing);
        let fixed = [self.inputs, self.input_indices, self.outputs, self.output_indices, self.weights];
        let more = [
            self.perf_stats,
            self.procedure,
            changing.events.unwrap_or(Id::NIL),
            changing.stats.unwrap_or(Id::NIL),
        ];
        fixed.into_iter().chain(more).collect()
    }

    pub(super) fn dealloc(&self, world: &World) {
        let mut changing = lock(&self.changing);
        if changing.mapped {
            world.wrong("a request ended while its surfaces were mapped");
        }
        changing.handler = None;
    }

    pub(super) fn shared_events(&self) -> Id {
        lock(&self.changing).events.unwrap_or(Id::NIL)
    }

    pub(super) fn perf_stats_array(&self) -> Id {
        self.perf_stats
    }

    /// Sets the statistics of the last evaluation; it takes over a count.
    pub(super) fn set_stats(&self, stats: Id) {
        let old = lock(&self.changing).stats.replace(stats);
        // SAFETY: the request held a count of the old ones.
        old.into_iter().for_each(|o| unsafe { object::release(o) });
    }

    /// Whether it is complete: as many indices as surfaces, and a procedure.
    unsafe fn is_valid(&self) -> bool {
        // SAFETY: the request holds its parts.
        unsafe {
            let surfaces = |a| all_are(a, |i| surface_object_of(i).is_some());
            let numbers = |a| all_are(a, |i| number_of(i).is_some());
            let inputs = surfaces(self.inputs);
            let outputs = surfaces(self.outputs);
            inputs.is_some()
                && inputs == numbers(self.input_indices)
                && outputs.is_some()
                && outputs == numbers(self.output_indices)
                && number_of(self.procedure).is_some()
                && (1..=128).contains(&(inputs.unwrap_or(0) + outputs.unwrap_or(0)))
        }
    }

    /// What it asks for.
    unsafe fn work<'a>(&self) -> Work<'a> {
        // SAFETY: the request is valid and holds its parts, and those their surfaces.
        unsafe {
            let bound = |surfaces: Id, indices: Id| {
                let surfaces = items_of(surfaces).unwrap_or_default();
                let indices = items_of(indices).unwrap_or_default();
                surfaces
                    .iter()
                    .zip(indices)
                    .filter_map(|(&s, &i)| {
                        let (_, object) = surface_object_of(s)?;
                        Some((number_of(i)? as u64, object.view()?))
                    })
                    .collect()
            };
            Work {
                procedure: number_of(self.procedure).unwrap_or(0) as u64,
                inputs: bound(self.inputs, self.input_indices),
                outputs: bound(self.outputs, self.output_indices),
            }
        }
    }
}

/// Runs a request: at once, or on a thread of the driver when it has a completion handler.
///
/// # Safety
///
/// The request is ours and alive.
pub(super) unsafe fn evaluate_request(world: &Arc<World>, handle: u64, request: Id) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let Some((_, r)) = (unsafe { request_of(request) }) else {
        return Err(Failure::new(26, "the request is nil"));
    };
    // SAFETY: as above.
    if !unsafe { r.is_valid() } {
        return Err(Failure::new(8, "the request is not valid"));
    }
    let handler = lock(&r.changing).handler.clone();
    let Some(handler) = handler else {
        // SAFETY: the request is alive during the call.
        let result = daemon::evaluate(world, handle, &unsafe { r.work() });
        if result.is_ok() {
            super::info::note_stats(world, handle, r);
        }
        return result;
    };
    if std::mem::replace(&mut lock(&r.changing).in_flight, true) {
        world.wrong("a request was evaluated while it was under way");
    }
    world.in_flight.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller's promise; the thread gives the count up.
    unsafe { retain(request) };
    let held = Kept(request);
    on_a_thread(world, move |world| {
        let Kept(request) = { held };
        // SAFETY: the thread holds a count of the request.
        let Some((_, r)) = (unsafe { request_of(request) }) else { return };
        // SAFETY: as above.
        let result = daemon::evaluate(world, handle, &unsafe { r.work() });
        if result.is_ok() {
            super::info::note_stats(world, handle, r);
        }
        lock(&r.changing).in_flight = false;
        world.in_flight.fetch_sub(1, Ordering::Relaxed);
        let (yes, error) = match result {
            Ok(()) => (Bool::YES, Id::NIL),
            Err(f) => (Bool::NO, foundation::error(world, f.domain, f.code, &f.description)),
        };
        handler.call(yes, error);
        // SAFETY: the count that was taken above.
        unsafe { object::release(request) };
        let again = lock(&world.faults).completes_twice.clone();
        if let Some(gate) = again {
            gate.pass();
            handler.call(yes, error);
        }
    });
    Ok(())
}

/// Whether a request is complete.
///
/// # Safety
///
/// The request is nil or ours.
pub(super) unsafe fn is_valid(request: Id) -> bool {
    // SAFETY: the caller's promise.
    unsafe { request_of(request).is_some_and(|(_, r)| r.is_valid()) }
}

/// Maps the surfaces of a request.
///
/// # Safety
///
/// The request is nil or ours.
pub(super) unsafe fn map(world: &Arc<World>, handle: u64, request: Id, cache: Bool) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let Some((_, r)) = (unsafe { request_of(request) }) else {
        return Err(Failure::new(26, "the request is nil"));
    };
    let faults = lock(&world.faults).clone();
    // SAFETY: as above.
    let valid = handle != 0 && unsafe { r.is_valid() };
    if faults.mapping_fails || (faults.cached_mapping_fails && cache.get()) || !valid {
        return Err(Failure::new(13, "Program IOSurfaces map failure (0x12)"));
    }
    if std::mem::replace(&mut lock(&r.changing).mapped, true) {
        world.wrong("a request was mapped twice");
    }
    Ok(())
}

/// Ends the mapping of a request.
///
/// # Safety
///
/// The request is nil or ours.
pub(super) unsafe fn unmap(world: &Arc<World>, request: Id) {
    // SAFETY: the caller's promise.
    if let Some((_, r)) = unsafe { request_of(request) }
        && !std::mem::take(&mut lock(&r.changing).mapped)
    {
        world.wrong("a request was unmapped that was not mapped");
    }
}

unsafe extern "C" fn request_with(
    this: Id,
    _: Sel,
    inputs: Id,
    input_indices: Id,
    outputs: Id,
    output_indices: Id,
    weights: Id,
    perf_stats: Id,
    procedure: Id,
) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects or nil.
    unsafe {
        let world = world_of(this);
        if !perf_stats.is_nil() && items_of(perf_stats).is_none() {
            world.wrong("the performance statistics of a request must be an array or nil");
        }
        let parts = [inputs, input_indices, outputs, output_indices, weights, perf_stats, procedure];
        parts.into_iter().for_each(|p| retain(p));
        let changing = Mutex::default();
        let request = Request {
            inputs,
            input_indices,
            outputs,
            output_indices,
            weights,
            perf_stats,
            procedure,
            changing,
        };
        object::make_autoreleased(&world, "_ANERequest", ObjectPayload::Ane(Payload::Request(request)))
    }
}

unsafe extern "C" fn request_with_events(
    this: Id,
    selector: Sel,
    inputs: Id,
    input_indices: Id,
    outputs: Id,
    output_indices: Id,
    weights: Id,
    perf_stats: Id,
    procedure: Id,
    events: Id,
    transaction: Id,
) -> Id {
    // SAFETY: as for the older form; events and transaction are live or nil.
    unsafe {
        if !transaction.is_nil() && number_of(transaction).is_none() {
            world_of(this).wrong("the transaction of a request is a number or nil");
        }
        let request = request_with(
            this,
            selector,
            inputs,
            input_indices,
            outputs,
            output_indices,
            weights,
            perf_stats,
            procedure,
        );
        if !events.is_nil() {
            set_shared_events(request, selector, events);
        }
        request
    }
}

unsafe extern "C" fn validate(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { is_valid(this) }.into()
}

unsafe extern "C" fn set_completion_handler(this: Id, _: Sel, block: BlockRef) {
    // SAFETY: the runtime gives a receiver of ours, and the caller a block or none.
    if let Some((_, r)) = unsafe { request_of(this) } {
        // SAFETY: as above.
        lock(&r.changing).handler = unsafe { Block::copy(block) };
    }
}

unsafe extern "C" fn set_shared_events(this: Id, _: Sel, events: Id) {
    // SAFETY: the runtime gives a receiver of ours, and the caller a live object or nil.
    unsafe {
        if let Some((_, r)) = request_of(this) {
            retain(events);
            let old = lock(&r.changing).events.replace(events);
            old.into_iter().for_each(|o| object::release(o));
        }
    }
}

unsafe extern "C" fn perf_stats(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { request_of(this) }.and_then(|(_, r)| lock(&r.changing).stats).unwrap_or(Id::NIL)
}

unsafe extern "C" fn perf_stats_array(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { request_of(this) }.map_or(Id::NIL, |(_, r)| r.perf_stats_array())
}

/// A surface as an object.
pub(in crate::fake) struct SurfaceObject {
    pub(super) surface: SurfaceRef,
    /// The byte from which on it is meant.
    start: usize,
}

impl SurfaceObject {
    /// What it stands for.
    ///
    /// # Safety
    ///
    /// The result is not used after the object has ended.
    pub(super) unsafe fn view<'a>(&self) -> Option<View<'a>> {
        // SAFETY: the object holds a count of the surface; the rest is the caller's promise.
        Some(View { surface: unsafe { FakeSurface::of(self.surface) }?, start: self.start })
    }

    pub(super) fn dealloc(&self) {
        // SAFETY: the object held a count of the surface.
        unsafe { surface::cf_release(self.surface.0) }
    }
}

unsafe extern "C" fn object_with_io_surface(this: Id, selector: Sel, surface: SurfaceRef) -> Id {
    // SAFETY: the receiver is a class, and the caller gives a live surface.
    unsafe { object_with_io_surface_at(this, selector, surface, Id::NIL) }
}

unsafe extern "C" fn object_with_io_surface_at(this: Id, _: Sel, surface: SurfaceRef, offset: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live surface, and a number or nil.
    unsafe {
        let world = world_of(this);
        if surface.0.is_null() {
            world.wrong("a surface object was asked for without a surface");
            return Id::NIL;
        }
        let start = if offset.is_nil() { Some(0) } else { number_of(offset) };
        let bytes = FakeSurface::of(surface).map_or(0, FakeSurface::bytes);
        let Some(start) = start.and_then(|n| usize::try_from(n).ok()).filter(|&n| n < bytes) else {
            world.wrong("a surface object begins outside of its surface");
            return Id::NIL;
        };
        surface::cf_retain(surface.0);
        let payload = Payload::SurfaceObject(SurfaceObject { surface, start });
        object::make_autoreleased(&world, "_ANEIOSurfaceObject", ObjectPayload::Ane(payload))
    }
}

/// A copy of a block, made and given up by the helpers that the block brings.
pub(super) struct Block(Arc<Copied>);

struct Copied {
    bytes: Box<[u64]>,
}

// SAFETY: a block that is set as a completion handler is called on another thread, and made for that.
unsafe impl Send for Copied {}
// SAFETY: its captured state is only reached through its own functions.
unsafe impl Sync for Copied {}

/// The head of a block, as the published specification of its binary interface has it.
#[repr(C)]
struct Head {
    isa: *const c_void,
    flags: i32,
    reserved: i32,
    invoke: unsafe extern "C" fn(*const c_void, Bool, Id),
    descriptor: *const Descriptor,
}

#[repr(C)]
struct Descriptor {
    reserved: u64,
    size: u64,
    copy: unsafe extern "C" fn(*mut c_void, *const c_void),
    dispose: unsafe extern "C" fn(*const c_void),
}

/// The block has functions to copy and to dispose of what it captures.
const HAS_COPY_DISPOSE: i32 = 1 << 25;

impl Block {
    /// Copies a block.
    ///
    /// # Safety
    ///
    /// The reference is null or that of a block.
    unsafe fn copy(block: BlockRef) -> Option<Self> {
        // SAFETY: the caller's promise.
        let head = unsafe { block.0.cast::<Head>().as_ref() }?;
        // SAFETY: a block points to its descriptor.
        let descriptor = unsafe { &*head.descriptor };
        let words = (descriptor.size as usize).div_ceil(8);
        let mut bytes = vec![0u64; words].into_boxed_slice();
        let size = descriptor.size as usize;
        // SAFETY: a block has as many bytes as its descriptor says.
        unsafe { std::ptr::copy_nonoverlapping(block.0.cast::<u8>(), bytes.as_mut_ptr().cast::<u8>(), size) };
        if head.flags & HAS_COPY_DISPOSE != 0 {
            // SAFETY: the copy has the bytes of the block; the helper counts what it captures.
            unsafe { (descriptor.copy)(bytes.as_mut_ptr().cast(), block.0) };
        }
        Some(Self(Arc::new(Copied { bytes })))
    }

    fn call(&self, success: Bool, error: Id) {
        let head: *const Head = self.0.bytes.as_ptr().cast();
        // SAFETY: the copy is a block that takes a bool and an error.
        unsafe { ((*head).invoke)(head.cast(), success, error) }
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        let head: *const Head = self.bytes.as_ptr().cast();
        // SAFETY: the copy is a block; its helper is called once for each copy.
        unsafe {
            if (*head).flags & HAS_COPY_DISPOSE != 0 {
                ((*(*head).descriptor).dispose)(head.cast());
            }
        }
    }
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(REQUEST_WITH, request_with);
    all.add(REQUEST_WITH_EVENTS, request_with_events);
    all.add(VALIDATE, validate);
    all.add(SET_COMPLETION_HANDLER, set_completion_handler);
    all.add(SET_REQUEST_SHARED_EVENTS, set_shared_events);
    all.add(REQUEST_PERF_STATS, perf_stats);
    all.add(REQUEST_PERF_STATS_ARRAY, perf_stats_array);
    all.add(OBJECT_WITH_IO_SURFACE, object_with_io_surface);
    all.add(OBJECT_WITH_IO_SURFACE_AT, object_with_io_surface_at);
}
