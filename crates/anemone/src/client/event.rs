//! Shared events: values that the CPU, the GPU and the engine raise and wait for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anemone_apple::neural;

use super::Client;
use super::timeline::{Handle, Timeline};
use crate::error::{Doing, Error};
use crate::surface::frameworks;

/// A value that only grows, which the engine, the GPU and the CPU signal and wait for. Copies are the same event.
///
/// On the hardware it is an `IOSurfaceSharedEvent`. On the software engine it is known to this process only, and when
/// the last copy is gone, those who wait for it are told that nobody can signal it any more.
///
/// ```
/// use anemone::{Chip, Client, SharedEvent};
/// use std::time::Duration;
/// let event = SharedEvent::on(&Client::software(Chip::M4))?;
/// let other = event.clone();
/// let thread = std::thread::spawn(move || other.signal(3));
/// assert!(event.wait(2, Duration::from_secs(60)));
/// thread.join().unwrap()?;
/// assert_eq!(event.signaled_value(), 3);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// A closed event is gone:
///
/// ```compile_fail,E0382
/// # fn closed(event: anemone::SharedEvent) -> Result<(), anemone::Error> {
/// event.close();
/// event.signal(1)
/// # }
/// ```
///
/// It has a port, by which it can be found again as long as it is there:
///
/// ```
/// use anemone::{Chip, Client, SharedEvent};
/// use std::time::Duration;
/// let client = Client::software(Chip::M4);
/// let event = SharedEvent::on(&client)?;
/// let same = SharedEvent::from_port_on(&client, event.port())?;
/// let (reached, waited) = same.time_wait(1, Duration::from_millis(1));
/// assert!(!reached && waited >= Duration::from_millis(1));
/// same.signal(1)?;
/// assert!(event.time_wait(1, Duration::ZERO).0);
/// let port = event.port();
/// same.close();
/// event.close();
/// assert!(SharedEvent::from_port_on(&client, port).is_err() && SharedEvent::from_port(0).is_err());
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedEvent(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Hardware(neural::SharedEvent),
    Software(Arc<Handle>),
}

/// How an evaluation with shared events is to be made. The software engine has neither fences nor firmware: there both
/// are the same as their defaults.
///
/// ```
/// use anemone::SharedEventEvalOptions;
/// let to_gpu = SharedEventEvalOptions { disable_io_fences_use_shared_events: true, ..Default::default() };
/// assert!(!to_gpu.enable_fw_to_fw_signal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedEventEvalOptions {
    /// Use shared events in place of the fences of the driver: wanted when the GPU waits for the engine.
    pub disable_io_fences_use_shared_events: bool,
    /// Let the firmware of one device signal that of another: wanted when the engine waits for the GPU, and not when
    /// the GPU waits for the engine.
    pub enable_fw_to_fw_signal: bool,
}

/// The events of this process by their ports.
static PORTS: Mutex<(BTreeMap<u32, Weak<Handle>>, u32)> = Mutex::new((BTreeMap::new(), 0));

pub(super) fn close_port(port: u32) {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&port);
}

impl SharedEvent {
    /// Makes an event of value 0, for the engine that [`Client::open`] takes.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedSelector`] when this macOS has no shared events.
    pub fn new() -> Result<Self, Error> {
        match frameworks() {
            Ok(framework) => Self::of_hardware(neural::SharedEvent::new(framework)),
            Err(_) => Ok(Self::software()),
        }
    }

    /// Makes an event of value 0 for the client's engine.
    ///
    /// # Errors
    ///
    /// As [`SharedEvent::new`].
    pub fn on(client: &Client) -> Result<Self, Error> {
        match client.framework() {
            Some(framework) => Self::of_hardware(neural::SharedEvent::new(framework)),
            None => Ok(Self::software()),
        }
    }

    /// The event behind a port, of the engine that [`Client::open`] takes: a Mach port of the hardware's, which Metal or
    /// another process has given, or the port of an event of this process.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is none behind the port, [`Error::UnsupportedSelector`] when this macOS has no
    /// shared events.
    pub fn from_port(port: u32) -> Result<Self, Error> {
        Self::opened(frameworks().ok(), port)
    }

    /// The event behind a port, of the client's engine.
    ///
    /// # Errors
    ///
    /// As [`SharedEvent::from_port`].
    pub fn from_port_on(client: &Client, port: u32) -> Result<Self, Error> {
        Self::opened(client.framework(), port)
    }

    pub(super) fn opened(framework: Option<&anemone_apple::Framework>, port: u32) -> Result<Self, Error> {
        let none = || Error::Invalid(format!("there is no shared event behind the port {port}"));
        match framework {
            Some(framework) => match neural::SharedEvent::from_port(framework, port) {
                Err(anemone_apple::Error::Unexpected { .. }) => Err(none()),
                other => Self::of_hardware(other),
            },
            None => {
                let ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
                let handle = ports.0.get(&port).and_then(Weak::upgrade);
                Ok(Self(Kind::Software(handle.ok_or_else(none)?)))
            }
        }
    }

    fn of_hardware(event: Result<neural::SharedEvent, anemone_apple::Error>) -> Result<Self, Error> {
        event.map(|e| Self(Kind::Hardware(e))).map_err(|e| Error::from_apple(Doing::Evaluate, e))
    }

    fn software() -> Self {
        let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, last) = &mut *ports;
        // Numbers come around after four thousand million events; those in use are passed over.
        let port = loop {
            *last = last.wrapping_add(1);
            if *last != 0 && !open.contains_key(last) {
                break *last;
            }
        };
        let handle = Arc::new(Handle { timeline: Arc::new(Timeline::default()), port });
        open.insert(port, Arc::downgrade(&handle));
        Self(Kind::Software(handle))
    }

    /// The port by which Metal or another process opens an event of the hardware, and this process one of the software
    /// engine. It is that of the event while there is a copy of it.
    pub fn port(&self) -> u32 {
        match &self.0 {
            Kind::Hardware(event) => event.port(),
            Kind::Software(handle) => handle.port,
        }
    }

    /// Raises the value. The one that it has is no change.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the event has a higher value already, or when an evaluation that is under way is to signal
    /// this value or a lower one.
    pub fn signal(&self, value: u64) -> Result<(), Error> {
        match &self.0 {
            Kind::Hardware(event) => event.signal(value).map_err(|e| Error::from_apple(Doing::Evaluate, e)),
            Kind::Software(handle) => handle.timeline.signal(value),
        }
    }

    /// Its value now.
    pub fn signaled_value(&self) -> u64 {
        match &self.0 {
            Kind::Hardware(event) => event.value(),
            Kind::Software(handle) => handle.timeline.value(),
        }
    }

    /// Waits until the value is reached, at most so long; whether it was.
    pub fn wait(&self, value: u64, timeout: Duration) -> bool {
        match &self.0 {
            Kind::Hardware(event) => event.wait(value, timeout),
            Kind::Software(handle) => handle.timeline.wait(value, timeout),
        }
    }

    /// As [`SharedEvent::wait`], and how long it took.
    pub fn time_wait(&self, value: u64, timeout: Duration) -> (bool, Duration) {
        let begin = Instant::now();
        (self.wait(value, timeout), begin.elapsed())
    }

    /// Gives this copy up, as dropping it does.
    pub fn close(self) {}

    /// What can be seen of it without keeping it from being abandoned.
    pub(super) fn watch(&self) -> Watch {
        match &self.0 {
            Kind::Hardware(event) => Watch::Hardware(event.clone()),
            Kind::Software(handle) => Watch::Software(handle.timeline.clone(), handle.port),
        }
    }
}

/// An event to look at.
#[derive(Debug)]
pub(super) enum Watch {
    Hardware(neural::SharedEvent),
    Software(Arc<Timeline>, u32),
}

impl Watch {
    pub(super) fn value(&self) -> u64 {
        match self {
            Watch::Hardware(event) => event.value(),
            Watch::Software(timeline, _) => timeline.value(),
        }
    }

    pub(super) fn port(&self) -> u32 {
        match self {
            Watch::Hardware(event) => event.port(),
            Watch::Software(_, port) => *port,
        }
    }
}
