//! The fake's shared events: a value that only grows, and those who wait for it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::ane;
use super::object::{Payload, lock, make, object};
use super::runtime::world_of;
use super::surface::{Target, close_port, open_port, ports};
use super::tables::Implementations;
use crate::abi::{Bool, Id, Sel};
use crate::messages::*;

/// The value of a shared event.
#[derive(Default)]
pub(super) struct Event {
    value: Mutex<u64>,
    changed: Condvar,
}

impl Event {
    pub(super) fn value(&self) -> u64 {
        *lock(&self.value)
    }

    /// Raises the value; a lower one is no change.
    pub(super) fn signal(&self, value: u64) {
        let mut now = lock(&self.value);
        *now = value.max(*now);
        self.changed.notify_all();
    }

    /// Waits until the value is reached; whether it was in time.
    pub(super) fn wait(&self, value: u64, time: Duration) -> bool {
        let now = lock(&self.value);
        let (now, _) = self
            .changed
            .wait_timeout_while(now, time, |now| *now < value)
            .unwrap_or_else(PoisonError::into_inner);
        *now >= value
    }
}

/// An object of `IOSurfaceSharedEvent`.
pub(super) struct SharedEvent {
    pub(super) event: Arc<Event>,
    port: Mutex<Option<u32>>,
}

impl Drop for SharedEvent {
    fn drop(&mut self) {
        if let Some(port) = *lock(&self.port) {
            close_port(port);
        }
    }
}

/// The event of an object.
///
/// # Safety
///
/// The object is nil or ours.
pub(super) unsafe fn event_of<'a>(id: Id) -> Option<&'a SharedEvent> {
    // SAFETY: the caller's promise.
    match &unsafe { object(id) }?.payload {
        Payload::Ane(ane::Payload::SharedEvent(e)) => Some(e),
        _ => None,
    }
}

pub(super) fn shared(event: Arc<Event>) -> Payload {
    Payload::Ane(ane::Payload::SharedEvent(SharedEvent { event, port: Mutex::new(None) }))
}

unsafe extern "C" fn new(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    make(&unsafe { world_of(this) }, "IOSurfaceSharedEvent", shared(Arc::default()))
}

/// `initWithMachPort:` gives another object than the one that was set aside, as initialisers may.
unsafe extern "C" fn init_with_mach_port(this: Id, _: Sel, port: u32) -> Id {
    // SAFETY: the receiver is an object that was set aside, and its count is ours.
    let world = unsafe {
        let world = world_of(this);
        super::object::release(this);
        world
    };
    behind(port).map_or(Id::NIL, |event| make(&world, "IOSurfaceSharedEvent", shared(event)))
}

/// The event behind a port.
pub(super) fn behind(port: u32) -> Option<Arc<Event>> {
    match lock(ports()).get(&port).map(|p| &p.target) {
        Some(Target::Event(e)) => Some(e.clone()),
        _ => None,
    }
}

pub(super) unsafe extern "C" fn event_port(this: Id, _: Sel) -> u32 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe {
        let Some(e) = event_of(this) else { return 0 };
        *lock(&e.port).get_or_insert_with(|| open_port(&world_of(this), Target::Event(e.event.clone())))
    }
}

pub(super) unsafe extern "C" fn signaled_value(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { event_of(this) }.map_or(0, |e| e.event.value())
}

pub(super) unsafe extern "C" fn set_signaled_value(this: Id, _: Sel, value: u64) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some(e) = unsafe { event_of(this) } {
        e.event.signal(value);
    }
}

unsafe extern "C" fn wait_until_signaled_value(this: Id, _: Sel, value: u64, milliseconds: u64) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { event_of(this) }.is_some_and(|e| e.event.wait(value, Duration::from_millis(milliseconds))).into()
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(NEW_SHARED_EVENT, new);
    all.add(ALLOC_SHARED_EVENT, new);
    all.add(INIT_WITH_MACH_PORT, init_with_mach_port);
    all.add(EVENT_PORT, event_port);
    all.add(SIGNALED_VALUE, signaled_value);
    all.add(SET_SIGNALED_VALUE, set_signaled_value);
    all.add(WAIT_UNTIL_SIGNALED_VALUE, wait_until_signaled_value);
}
