//! The GPU, as far as it shares events and memory with the engine.

pub use anemone_apple::{MetalBuffer, MetalEvent};

use super::Client;
use super::event::{Kind, SharedEvent};
use super::model::Model;
use super::request::Which;
use crate::error::{Doing, Error};
use crate::surface::{Surface, frameworks};

/// The GPU that the system prefers: what shares events and memory with the engine. What it does with them is told to Metal, by any of
/// its bindings.
///
/// ```
/// use anemone::{Error, MetalDevice};
/// match MetalDevice::open() {
///     Ok(device) => {
///         let (of_metal, event) = device.new_metal_shared_event()?;
///         of_metal.signal(1)?; // as the GPU does it by `encodeSignalEvent:value:`
///         assert_eq!(event.signaled_value(), 1);
///     }
///     Err(e) => assert!(matches!(e, Error::NoMetal)), // not a Mac
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What it has of events and surfaces is what any binding of Metal takes:
///
/// ```
/// use anemone::{MetalDevice, SharedEvent, Surface};
/// if let Ok(device) = MetalDevice::open() {
///     let event = device.metal_shared_event(&SharedEvent::new()?)?;
///     event.signal(1)?;
///     let buffer = device.buffer(&Surface::new(4096)?)?; // the same memory, as an `MTLBuffer`
///     assert!(!device.as_apple().as_ptr().is_null() && !buffer.as_ptr().is_null());
///     device.close();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
/// use anemone::{Client, Error, MetalDevice, chip::Chip};
/// // The software engine has no memory that Metal could reach.
/// assert!(matches!(MetalDevice::on(&Client::software(Chip::M4)), Err(Error::NoMetal)));
/// ```
#[derive(Clone, Debug)]
pub struct MetalDevice(anemone_apple::MetalDevice);

fn of_metal(error: anemone_apple::Error) -> Error {
    Error::from_apple(Doing::Evaluate, error)
}

impl MetalDevice {
    /// Opens the GPU of this machine.
    ///
    /// # Errors
    ///
    /// [`Error::NoMetal`] when there is none, or this is not a Mac.
    pub fn open() -> Result<Self, Error> {
        Self::opened(frameworks().ok())
    }

    /// Opens the GPU of the machine of a client of hardware.
    ///
    /// # Errors
    ///
    /// [`Error::NoMetal`] when there is none, and for the software engine.
    pub fn on(client: &Client) -> Result<Self, Error> {
        Self::opened(client.framework())
    }

    fn opened(framework: Option<&anemone_apple::Framework>) -> Result<Self, Error> {
        framework.and_then(anemone_apple::MetalDevice::open).map(Self).ok_or(Error::NoMetal)
    }

    /// Makes an event of value 0: as Metal has it, and as the engine has it.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedSelector`] when this macOS cannot share events.
    pub fn new_metal_shared_event(&self) -> Result<(MetalEvent, SharedEvent), Error> {
        let of_gpu = self.0.new_event().map_err(of_metal)?;
        let port = of_gpu.port().map_err(of_metal)?;
        Ok((of_gpu, SharedEvent::opened(Some(self.0.framework()), port)?))
    }

    /// An event as Metal has it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the event is of the software engine; as [`MetalDevice::new_metal_shared_event`] else.
    pub fn metal_shared_event(&self, event: &SharedEvent) -> Result<MetalEvent, Error> {
        match &event.0 {
            Kind::Hardware(event) => self.0.open_event(event).map_err(of_metal),
            Kind::Software(_) => {
                Err(Error::Invalid("the GPU cannot see events of the software engine".into()))
            }
        }
    }

    /// A buffer of Metal over the memory of a surface: the GPU reads and writes it where it is.
    ///
    /// Nothing keeps the GPU from it while somebody has the surface locked: [`Pipeline`](crate::Pipeline) keeps both in
    /// order.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when the surface is memory of the host, begins within another one, or is in use;
    /// [`Error::UnsupportedSelector`] when Metal makes no such buffer.
    pub fn buffer(&self, surface: &Surface) -> Result<MetalBuffer, Error> {
        self.0.buffer(surface.as_apple()).map_err(of_metal)
    }

    /// Gives the device up, as dropping it does.
    pub fn close(self) {}

    /// The object, an `id<MTLDevice>`, for bindings of Metal; it is alive while this is.
    pub fn as_apple(&self) -> &anemone_apple::MetalDevice {
        &self.0
    }
}

impl Model {
    /// A buffer of Metal over the memory of an input: see [`MetalDevice::buffer`].
    ///
    /// ```
    /// use anemone::{Error, MetalBuffer, MetalDevice, Model};
    /// fn buffers(model: &Model, device: &MetalDevice) -> Result<[MetalBuffer; 2], Error> {
    ///     Ok([model.metal_input_buffer(device, "x")?, model.metal_output_buffer(device, "y")?])
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input; else as [`MetalDevice::buffer`].
    pub fn metal_input_buffer(&self, device: &MetalDevice, input: impl Which) -> Result<MetalBuffer, Error> {
        device.buffer(self.input_surface(input)?)
    }

    /// A buffer of Metal over the memory of an output: see [`MetalDevice::buffer`].
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such output; else as [`MetalDevice::buffer`].
    pub fn metal_output_buffer(
        &self,
        device: &MetalDevice,
        output: impl Which,
    ) -> Result<MetalBuffer, Error> {
        device.buffer(self.output_surface(output)?)
    }
}
