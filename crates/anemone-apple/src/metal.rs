//! Metal, as far as it shares events with the engine.
//!
//! Its objects are known by protocols: which class they are of is the system's business. So their messages are compared
//! with the class of the object when they are sent, and not when the framework is opened.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;

use crate::abi::Id;
use crate::encoding::{Arguments, Encode, of_method};
use crate::error::Error;
use crate::framework::{Framework, Retained};
use crate::neural::SharedEvent;

/// A message to objects that have a protocol, typed where it is written down.
pub(crate) struct ProtocolMessage<A, R> {
    /// As messages of classes are written.
    pub(crate) name: &'static str,
    pub(crate) selector: &'static CStr,
    types: PhantomData<fn(A) -> R>,
}

impl<A: Arguments, R: Encode> ProtocolMessage<A, R> {
    const fn new(name: &'static str, selector: &'static CStr) -> Self {
        Self { name, selector, types: PhantomData }
    }

    pub(crate) fn encoding(&self) -> String {
        of_method::<A, R>()
    }
}

/// Documented.
pub(crate) const DEVICE_NEW_SHARED_EVENT: ProtocolMessage<(), Id> =
    ProtocolMessage::new("-[MTLDevice newSharedEvent]", c"newSharedEvent");
/// Working programs send it (tmc/apple, and one more).
pub(crate) const DEVICE_NEW_SHARED_EVENT_WITH_MACH_PORT: ProtocolMessage<(u32,), Id> =
    ProtocolMessage::new("-[MTLDevice newSharedEventWithMachPort:]", c"newSharedEventWithMachPort:");
/// Working programs send it (tmc/apple, and two more).
pub(crate) const METAL_EVENT_PORT: ProtocolMessage<(), u32> =
    ProtocolMessage::new("-[MTLSharedEvent eventPort]", c"eventPort");
/// Documented.
pub(crate) const METAL_SIGNALED_VALUE: ProtocolMessage<(), u64> =
    ProtocolMessage::new("-[MTLSharedEvent signaledValue]", c"signaledValue");
/// Documented.
pub(crate) const METAL_SET_SIGNALED_VALUE: ProtocolMessage<(u64,), ()> =
    ProtocolMessage::new("-[MTLSharedEvent setSignaledValue:]", c"setSignaledValue:");

/// The GPU that the system prefers, as an `id<MTLDevice>`.
#[derive(Clone, Debug)]
pub struct MetalDevice(Retained);

// SAFETY: Apple documents devices as safe to be used from any thread.
unsafe impl Send for MetalDevice {}
// SAFETY: as above.
unsafe impl Sync for MetalDevice {}

impl MetalDevice {
    /// Opens it; `None` if there is none.
    pub fn open(framework: &Framework) -> Option<Self> {
        let _pool = framework.pool();
        // SAFETY: the function needs nothing, and gives nil or an object with a count that is ours.
        let device =
            unsafe { Retained::own(framework, (framework.abi().mtl_create_system_default_device)()) };
        device.map(Self)
    }

    /// Makes an event of value 0, as Metal has it.
    ///
    /// # Errors
    ///
    /// [`Error::Drift`] when this macOS has no such message, [`Error::Unexpected`] when it makes none.
    pub fn new_event(&self) -> Result<MetalEvent, Error> {
        self.event(DEVICE_NEW_SHARED_EVENT, ())
    }

    /// An event that the engine has, as Metal has it: both are one.
    ///
    /// # Errors
    ///
    /// As [`MetalDevice::new_event`].
    pub fn open_event(&self, event: &SharedEvent) -> Result<MetalEvent, Error> {
        self.event(DEVICE_NEW_SHARED_EVENT_WITH_MACH_PORT, (event.port(),))
    }

    fn event<A: Arguments>(
        &self,
        message: ProtocolMessage<A, Id>,
        arguments: A,
    ) -> Result<MetalEvent, Error> {
        let framework = self.0.framework();
        let _pool = framework.pool();
        let name = message.name;
        // SAFETY: the device is alive, and gives nil or an object with a count that is ours: the selectors begin with
        // `new`.
        let event = unsafe {
            let made = framework.send_to_protocol(message, self.0.id(), arguments)?;
            Retained::own(framework, made)
        };
        event.map(MetalEvent).ok_or_else(|| Error::Unexpected { message: name, gave: "nil".into() })
    }

    /// The framework that it was opened with.
    pub fn framework(&self) -> &Framework {
        self.0.framework()
    }

    /// The object, for bindings of Metal; it is alive while this is.
    pub fn as_ptr(&self) -> *mut c_void {
        self.0.id().0
    }
}

/// A shared event as Metal has it: an `id<MTLSharedEvent>`.
#[derive(Clone, Debug)]
pub struct MetalEvent(Retained);

// SAFETY: shared events are made to be used by several threads and devices at once.
unsafe impl Send for MetalEvent {}
// SAFETY: as above.
unsafe impl Sync for MetalEvent {}

impl MetalEvent {
    /// The Mach port by which the engine opens it. The event owns it.
    ///
    /// # Errors
    ///
    /// [`Error::Drift`] when this macOS has no such message.
    pub fn port(&self) -> Result<u32, Error> {
        let framework = self.0.framework();
        let _pool = framework.pool();
        // SAFETY: the event is alive.
        unsafe { framework.send_to_protocol(METAL_EVENT_PORT, self.0.id(), ()) }
    }

    /// Its value now.
    ///
    /// # Errors
    ///
    /// As [`MetalEvent::port`].
    pub fn value(&self) -> Result<u64, Error> {
        let framework = self.0.framework();
        let _pool = framework.pool();
        // SAFETY: the event is alive.
        unsafe { framework.send_to_protocol(METAL_SIGNALED_VALUE, self.0.id(), ()) }
    }

    /// Raises the value, as the GPU does by `encodeSignalEvent:value:`.
    ///
    /// # Errors
    ///
    /// As [`MetalEvent::port`].
    pub fn signal(&self, value: u64) -> Result<(), Error> {
        let framework = self.0.framework();
        let _pool = framework.pool();
        // SAFETY: the event is alive.
        unsafe { framework.send_to_protocol(METAL_SET_SIGNALED_VALUE, self.0.id(), (value,)) }
    }

    /// The object, for bindings of Metal; it is alive while this is.
    pub fn as_ptr(&self) -> *mut c_void {
        self.0.id().0
    }
}
