//! The fake's GPU: a device that makes events, and buffers over surfaces.

use std::ffi::c_void;
use std::sync::Arc;

use super::event;
use super::object::{Payload, World, make, object};
use super::runtime::world_of;
use super::surface::address_of;
use super::tables::{FakeMethod, Table};
use crate::abi::{Id, Sel};
use crate::encoding::BlockRef;
use crate::metal::*;

const DEVICE: &str = "AGXFakeDevice";
const EVENT: &str = "AGXFakeSharedEvent";
const BUFFER: &str = "AGXFakeBuffer";

/// The classes of its objects.
pub(super) fn classes() -> [Table; 3] {
    [
        Table::secret(
            DEVICE,
            [
                FakeMethod::of(&DEVICE_NEW_SHARED_EVENT, new_shared_event),
                FakeMethod::of(&DEVICE_NEW_SHARED_EVENT_WITH_MACH_PORT, new_shared_event_with_mach_port),
                FakeMethod::of(&DEVICE_NEW_BUFFER, new_buffer),
            ],
        ),
        Table::secret(BUFFER, [FakeMethod::of(&BUFFER_CONTENTS, contents)]),
        Table::secret(
            EVENT,
            [
                FakeMethod::of(&METAL_EVENT_PORT, event::event_port),
                FakeMethod::of(&METAL_SIGNALED_VALUE, event::signaled_value),
                FakeMethod::of(&METAL_SET_SIGNALED_VALUE, event::set_signaled_value),
            ],
        ),
    ]
}

/// Makes a device of a machine, with a count of one.
pub(super) fn device(world: &Arc<World>) -> Id {
    make(world, DEVICE, Payload::Number(0))
}

unsafe extern "C" fn new_shared_event(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    make(&unsafe { world_of(this) }, EVENT, event::shared(Arc::default()))
}

unsafe extern "C" fn new_shared_event_with_mach_port(this: Id, _: Sel, port: u32) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    event::behind(port).map_or(Id::NIL, |event| make(&world, EVENT, event::shared(event)))
}

/// A buffer over a surface, known by its number; nil where Metal makes none: over anything but whole pages.
unsafe extern "C" fn new_buffer(
    this: Id,
    _: Sel,
    address: *mut c_void,
    length: u64,
    _options: u64,
    _deallocator: BlockRef,
) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    match super::surface::behind(&world, address, length) {
        Some(surface) => make(&world, BUFFER, Payload::Number(i64::from(surface))),
        None => Id::NIL,
    }
}

unsafe extern "C" fn contents(this: Id, _: Sel) -> *mut c_void {
    // SAFETY: the runtime gives a receiver of ours.
    let payload = unsafe { object(this) }.map(|o| &o.payload);
    match payload {
        Some(&Payload::Number(surface)) => address_of(surface),
        _ => std::ptr::null_mut(),
    }
}
