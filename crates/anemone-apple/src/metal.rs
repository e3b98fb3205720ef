//! Metal, as far as it shares events and memory with the engine.
//!
//! Its objects are known by protocols: which class they are of is the system's business. So their messages are compared
//! with the class of the object when they are sent, and not when the framework is opened.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;

use crate::abi::Id;
use crate::encoding::{Arguments, BlockRef, Encode, of_method};
use crate::error::Error;
use crate::framework::{Framework, Retained};
use crate::neural::SharedEvent;
use crate::surface::Surface;

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

/// Documented.
pub(crate) const DEVICE_NEW_BUFFER: ProtocolMessage<(*mut c_void, u64, u64, BlockRef), Id> =
    ProtocolMessage::new(
        "-[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:]",
        c"newBufferWithBytesNoCopy:length:options:deallocator:",
    );
/// Documented.
pub(crate) const BUFFER_CONTENTS: ProtocolMessage<(), *mut c_void> =
    ProtocolMessage::new("-[MTLBuffer contents]", c"contents");

/// `MTLResourceStorageModeShared`.
const SHARED: u64 = 0;
/// Buffers over memory that exists are of whole pages: those of Apple silicon.
const PAGE: usize = 16 << 10;

/// The GPU that the system prefers, as an `id<MTLDevice>`.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::{MetalDevice, Surface, neural::SharedEvent};
/// let device = MetalDevice::open(&framework).expect("a Mac has a GPU");
/// let event = SharedEvent::new(device.framework())?;
/// let same = device.open_event(&event)?; // for `encodeWaitForEvent:value:`
/// event.signal(1)?;
/// assert_eq!(same.value()?, 1);
/// assert!(!device.as_ptr().is_null()); // for bindings of Metal
/// # Ok::<(), anemone_apple::Error>(())
/// ```
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

    /// A buffer over the memory of a surface, of whole pages: the GPU reads and writes it where it is.
    ///
    /// Nothing keeps the GPU from it while somebody has the surface locked, or while an evaluation uses it: that is for
    /// events to do.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when the surface is memory of the host, begins within another one, or is in use;
    /// [`Error::Drift`] when this macOS has no such message, [`Error::Unexpected`] when it makes none.
    pub fn buffer(&self, surface: &Surface) -> Result<MetalBuffer, Error> {
        let framework = self.0.framework();
        let _pool = framework.pool();
        let (address, bytes) = surface.pages(PAGE)?;
        let arguments = (address, bytes as u64, SHARED, BlockRef(std::ptr::null()));
        // SAFETY: the device is alive, and gives nil or an object with a count that is ours: the selector begins with
        // `new`. The pages stay for as long as the buffer, which keeps the surface, and no block is called at its end.
        let buffer = unsafe {
            let made = framework.send_to_protocol(DEVICE_NEW_BUFFER, self.0.id(), arguments)?;
            Retained::own(framework, made)
        };
        let none = || Error::Unexpected { message: DEVICE_NEW_BUFFER.name, gave: "nil".into() };
        Ok(MetalBuffer { buffer: buffer.ok_or_else(none)?, surface: surface.clone() })
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
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::MetalDevice;
/// # let device = MetalDevice::open(&framework).unwrap();
/// use anemone_apple::{MetalEvent, neural::SharedEvent};
/// let event: MetalEvent = device.new_event()?;
/// let same = SharedEvent::from_port(&framework, event.port()?)?;
/// event.signal(7)?; // as the GPU does
/// assert_eq!((event.value()?, same.value()), (7, 7));
/// assert!(!event.as_ptr().is_null());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
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

/// A buffer of Metal over the memory of a surface: an `id<MTLBuffer>`. It keeps the surface.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::MetalDevice;
/// # let device = MetalDevice::open(&framework).unwrap();
/// use anemone_apple::{MetalBuffer, Surface};
/// let surface = Surface::new(&framework, 16384)?;
/// let buffer: MetalBuffer = device.buffer(&surface)?;
/// surface.write()?[0] = 5;
/// // SAFETY: nobody has the surface locked, which the buffer keeps.
/// assert_eq!(unsafe { buffer.contents()?.cast::<u8>().read() }, 5);
/// assert!(*buffer.surface() == surface && !buffer.as_ptr().is_null());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MetalBuffer {
    // The object goes before the memory.
    buffer: Retained,
    surface: Surface,
}

// SAFETY: Apple documents buffers as safe to be used from any thread; what their bytes may be used for is decided by who
// has the GPU use them.
unsafe impl Send for MetalBuffer {}
// SAFETY: as above.
unsafe impl Sync for MetalBuffer {}

impl MetalBuffer {
    /// The surface whose memory it is.
    pub fn surface(&self) -> &Surface {
        &self.surface
    }

    /// Where the CPU sees the memory, as Metal says.
    ///
    /// # Errors
    ///
    /// [`Error::Drift`] when this macOS has no such message.
    pub fn contents(&self) -> Result<*mut c_void, Error> {
        let framework = self.buffer.framework();
        let _pool = framework.pool();
        // SAFETY: the buffer is alive.
        unsafe { framework.send_to_protocol(BUFFER_CONTENTS, self.buffer.id(), ()) }
    }

    /// The object, for bindings of Metal; it is alive while this is, which has to be kept until the GPU is done with it.
    pub fn as_ptr(&self) -> *mut c_void {
        self.buffer.id().0
    }
}
