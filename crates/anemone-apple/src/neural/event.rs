//! Shared events: values that the CPU, the GPU and the engine raise and wait for.

use std::mem::ManuallyDrop;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::options::EvaluateOptions;
use super::request::{Bound, Dispatched, Path, Request};
use crate::abi::Id;
use crate::encoding::BlockRef;
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;
use crate::surface::Share;
use crate::sync::{Mutex, MutexGuard, thread};

/// An `IOSurfaceSharedEvent`: a value that only grows, and that devices signal and wait for. Copies are the same event.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::SharedEvent;
/// use std::time::Duration;
/// let event = SharedEvent::new(&framework)?;
/// let same = SharedEvent::from_port(&framework, event.port())?;
/// event.signal(3)?;
/// assert!(same.value() == 3 && same.wait(3, Duration::ZERO));
/// assert!(event.signal(2).is_err(), "it only grows");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedEvent {
    object: Retained,
    /// The values that evaluations under way are to signal, from the lowest on.
    promised: Arc<Mutex<Vec<u64>>>,
}

// SAFETY: a shared event is made to be used by several threads and devices at once; its value changes atomically.
unsafe impl Send for SharedEvent {}
// SAFETY: as above.
unsafe impl Sync for SharedEvent {}

impl SharedEvent {
    /// Makes an event of value 0.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no shared events, [`Error::Unexpected`] when it makes none.
    pub fn new(framework: &Framework) -> Result<Self, Error> {
        framework.require(Feature::SharedEvents)?;
        let _pool = framework.pool();
        // SAFETY: `+new` gives an object with a count that is ours.
        let event = unsafe {
            let made = framework.send(NEW_SHARED_EVENT, framework.class(SHARED_EVENT).id(), ());
            Retained::own(framework, made)
        };
        Self::of(event, "+[IOSurfaceSharedEvent new]")
    }

    /// The event behind a Mach port, such as that of a Metal event, or one that another process has sent.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS has no shared events, [`Error::Unexpected`] when there is none behind the
    /// port.
    pub fn from_port(framework: &Framework, port: u32) -> Result<Self, Error> {
        framework.require(Feature::SharedEvents)?;
        let _pool = framework.pool();
        // SAFETY: the initialiser takes over the count that `+alloc` gives, and gives one of its own.
        let event = unsafe {
            let set_aside = framework.send(ALLOC_SHARED_EVENT, framework.class(SHARED_EVENT).id(), ());
            if set_aside.is_nil() {
                None
            } else {
                Retained::own(framework, framework.send(INIT_WITH_MACH_PORT, set_aside, (port,)))
            }
        };
        Self::of(event, "-[IOSurfaceSharedEvent initWithMachPort:]")
    }

    fn of(object: Option<Retained>, message: &'static str) -> Result<Self, Error> {
        let object = object.ok_or_else(|| Error::Unexpected { message, gave: "nil".into() })?;
        Ok(Self { object, promised: Arc::default() })
    }

    /// The Mach port by which Metal or another process opens the event. The event owns it.
    pub fn port(&self) -> u32 {
        let _pool = self.framework().pool();
        // SAFETY: the event is alive.
        unsafe { self.framework().send(EVENT_PORT, self.object.id(), ()) }
    }

    /// Its value now.
    pub fn value(&self) -> u64 {
        let _pool = self.framework().pool();
        // SAFETY: the event is alive.
        unsafe { self.framework().send(SIGNALED_VALUE, self.object.id(), ()) }
    }

    /// Raises the value.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the event has a higher value already, or when an evaluation that is under way is to signal
    /// this value or a lower one.
    pub fn signal(&self, value: u64) -> Result<(), Error> {
        let promised = self.promised();
        if let Some(promised) = promised.first().filter(|&&p| p <= value) {
            return Err(Error::Invalid(format!(
                "the event cannot be raised to {value}: an evaluation under way is to signal {promised}"
            )));
        }
        let now = self.value();
        if value < now {
            return Err(Error::Invalid(format!("the event cannot be lowered from {now} to {value}")));
        }
        let _pool = self.framework().pool();
        // SAFETY: the event is alive.
        unsafe { self.framework().send(SET_SIGNALED_VALUE, self.object.id(), (value,)) };
        Ok(())
    }

    /// Waits until the value is reached, at most so long; whether it was.
    pub fn wait(&self, value: u64, time: Duration) -> bool {
        let milliseconds = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let _pool = self.framework().pool();
        // SAFETY: the event is alive.
        unsafe {
            self.framework().send(WAIT_UNTIL_SIGNALED_VALUE, self.object.id(), (value, milliseconds)).get()
        }
    }

    /// The `_ANESharedSignalEvent` that says: signal this value when the output of this symbol is written.
    pub(super) fn to_signal(&self, value: u64, symbol: u32) -> Result<Retained, Error> {
        let framework = self.framework();
        let class = framework.class(SHARED_SIGNAL_EVENT).id();
        let arguments = (value, symbol, SIGNAL_KIND, self.object.id());
        let _pool = framework.pool();
        // SAFETY: a live event; a factory gives nil or an autoreleased object, and the pool is open.
        unsafe {
            let made = framework.send(SIGNAL_EVENT_WITH, class, arguments);
            foundation::made(framework, made, "+[_ANESharedSignalEvent signalEventWithValue:…]")
        }
    }

    fn framework(&self) -> &Framework {
        self.object.framework()
    }

    fn promised(&self) -> MutexGuard<'_, Vec<u64>> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for SharedEvent {
    /// Whether both are the same object.
    fn eq(&self, other: &Self) -> bool {
        self.object.id() == other.object.id()
    }
}

/// The value that an evaluation is to signal; until this is dropped nobody else here raises the event so far.
#[derive(Debug)]
struct Promise {
    event: SharedEvent,
    value: u64,
}

impl Promise {
    /// Several evaluations may be under way that signal one event, each a higher value than those before it.
    fn new(event: &SharedEvent, value: u64) -> Result<Self, Error> {
        let mut promised = event.promised();
        if let Some(other) = promised.last().filter(|&&p| p >= value) {
            return Err(Error::Invalid(format!(
                "an evaluation cannot signal {value} of an event of which another one is to signal {other}"
            )));
        }
        let now = event.value();
        if value <= now {
            return Err(Error::Invalid(format!(
                "an evaluation cannot signal {value} of an event that has reached {now}"
            )));
        }
        promised.push(value);
        Ok(Self { event: event.clone(), value })
    }

    fn is_kept(&self) -> bool {
        self.event.value() >= self.value
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.event.promised().retain(|&p| p != self.value);
    }
}

/// The events of an evaluation.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # let folder = tempfile::tempdir().map_err(|e| anemone_apple::Error::Invalid(e.to_string()))?;
/// # std::fs::write(folder.path().join("model.mil"), anemone_apple::neural::FIRST_DISPATCH.text).unwrap();
/// # let folder = folder.path();
/// # use anemone_apple::neural::{Package, QualityOfService};
/// # let quality = QualityOfService::Default;
/// # let model = Package::describe(&framework, folder, Package::KEY)?.compile(quality)?.load(quality)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::{EvaluateOptions, Events, Request, SharedEvent};
/// use std::time::Duration;
/// let (before, after) = (SharedEvent::new(&framework)?, SharedEvent::new(&framework)?);
/// let events = Events { wait: &[(&before, 1)], signal: &[(&after, 1)] };
/// let request: &mut Request = &mut request;
/// let mut run = request.run_with_events(&events, EvaluateOptions::default())?;
/// before.signal(1)?;
/// run.wait(Duration::from_secs(60))?;
/// assert_eq!(after.value(), 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Events<'a> {
    /// What it waits for before it begins: events and the values that they must have reached.
    pub wait: &'a [(&'a SharedEvent, u64)],
    /// What it signals when it has ended: events and the values to which it raises them.
    pub signal: &'a [(&'a SharedEvent, u64)],
}

/// What a request's object has from an evaluation that did not wait.
#[derive(Debug)]
pub(super) enum Attached {
    Nothing,
    /// A completion handler.
    Handler,
    /// Shared events.
    Events(Arc<Attachment>),
}

impl Attached {
    /// Takes it away, so that the next evaluation waits for its end again.
    pub(super) fn remove(&mut self, bound: &Bound) {
        let framework = bound.model.framework();
        let object = bound.object.id();
        // SAFETY: the request is alive, and nothing runs on it; both may be nil.
        unsafe {
            match self {
                Attached::Nothing => return,
                Attached::Handler => {
                    let _pool = framework.pool();
                    framework.send(SET_COMPLETION_HANDLER, object, (BlockRef(std::ptr::null()),));
                }
                Attached::Events(_) => {
                    let _pool = framework.pool();
                    framework.send(SET_REQUEST_SHARED_EVENTS, object, (Id::NIL,));
                }
            }
        }
        *self = Attached::Nothing;
    }
}

/// The objects that stand for the events of a request.
#[derive(Debug)]
pub(super) struct Attachment {
    /// The first is ours.
    signals: Vec<(SharedEvent, Retained)>,
    waits: Vec<(SharedEvent, Retained)>,
    /// The `_ANESharedEvents` that the request has.
    all: Retained,
}

// SAFETY: the objects are changed by the owner of the request only, while nothing runs.
unsafe impl Send for Attachment {}
// SAFETY: as above.
unsafe impl Sync for Attachment {}

/// The kind of an event that is signalled: the one that working programs use (source: tmc/apple). What the numbers 0
/// to 5 mean is not known.
const SIGNAL_KIND: i64 = 5;
/// The kind of an event that is waited for.
const WAIT_KIND: u64 = 0;

impl Attachment {
    fn new(
        framework: &Framework,
        symbol: u64,
        signals: &[(SharedEvent, u64)],
        waits: &[(&SharedEvent, u64)],
    ) -> Result<Self, Error> {
        let symbol = u32::try_from(symbol).map_err(|_| Error::Invalid(format!("the symbol {symbol}")))?;
        let _pool = framework.pool();
        let signal =
            |(event, value): &(SharedEvent, u64)| Ok((event.clone(), event.to_signal(*value, symbol)?));
        let wait = |(event, value): &(&SharedEvent, u64)| {
            let class = framework.class(SHARED_WAIT_EVENT).id();
            // SAFETY: a live event; a factory gives nil or an autoreleased object, and the pool is open.
            let object = unsafe {
                let made = framework.send(WAIT_EVENT_WITH, class, (*value, event.object.id(), WAIT_KIND));
                foundation::made(framework, made, "+[_ANESharedWaitEvent waitEventWithValue:…]")?
            };
            Ok(((*event).clone(), object))
        };
        let signals = signals.iter().map(signal).collect::<Result<Vec<_>, Error>>()?;
        let waits = waits.iter().map(wait).collect::<Result<Vec<_>, Error>>()?;
        let first = foundation::array(framework, signals.iter().map(|(_, o)| o))?;
        let second = foundation::array(framework, waits.iter().map(|(_, o)| o))?;
        let class = framework.class(SHARED_EVENTS).id();
        // SAFETY: two arrays of the right objects; as above.
        let all = unsafe {
            let made = framework.send(SHARED_EVENTS_WITH, class, (first.id(), second.id()));
            foundation::made(framework, made, "+[_ANESharedEvents sharedEventsWithSignalEvents:waitEvents:]")?
        };
        Ok(Self { signals, waits, all })
    }

    /// Whether it stands for these events, whatever the values.
    fn is_of(&self, signals: &[(SharedEvent, u64)], waits: &[(&SharedEvent, u64)]) -> bool {
        let (s, w) = (self.signals.iter().map(|(e, _)| e), self.waits.iter().map(|(e, _)| e));
        s.eq(signals.iter().map(|(e, _)| e)) && w.eq(waits.iter().map(|(e, _)| *e))
    }

    /// Sets other values.
    fn set(&self, signals: &[(SharedEvent, u64)], waits: &[(&SharedEvent, u64)]) {
        let framework = self.all.framework();
        let _pool = framework.pool();
        // SAFETY: the objects are alive, and nothing runs on the request that has them.
        unsafe {
            for ((_, object), (_, value)) in self.signals.iter().zip(signals) {
                framework.send(SET_SIGNAL_EVENT_VALUE, object.id(), (*value,));
            }
            for ((_, object), (_, value)) in self.waits.iter().zip(waits) {
                framework.send(SET_WAIT_EVENT_VALUE, object.id(), (*value,));
            }
        }
    }
}

impl Request {
    /// Starts an evaluation that waits for events and signals others, and does not wait for it.
    ///
    /// The model must be [from a folder](super::Package): with programs of MIL text events are said to fail, to hang or
    /// to crash. The surfaces are mapped first, if they can be. After such an evaluation the model is never unloaded,
    /// since that is known to crash: its place in the process is lost.
    ///
    /// When the engine waits for the GPU, set
    /// [`enable_fw_to_fw_signal`](EvaluateOptions::enable_fw_to_fw_signal); when the GPU waits for the engine,
    /// [`disable_io_fences_use_shared_events`](EvaluateOptions::disable_io_fences_use_shared_events).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the model is not from a folder, when an event has reached the value that is to be
    /// signalled, or another evaluation is to signal it or a higher one, or when the evaluation would wait for itself;
    /// [`Error::Unavailable`] when this macOS has no shared events; as [`Request::run`] else.
    pub fn run_with_events(
        &mut self,
        events: &Events<'_>,
        options: EvaluateOptions,
    ) -> Result<EventRun, Error> {
        if !self.model().is_package() {
            return Err(Error::Invalid(
                "events need a model from a folder: with programs of MIL text they fail, hang or crash"
                    .into(),
            ));
        }
        self.framework().require(Feature::SharedEvents)?;
        self.bound.idle()?;
        for (event, value) in events.wait {
            if let Some((_, own)) = events.signal.iter().find(|(e, v)| e == event && v <= value) {
                return Err(Error::Invalid(format!(
                    "the evaluation would wait for {value} of an event of which it signals {own} itself"
                )));
            }
        }
        // An event that nobody else can raise tells the end: what the engine may still write is not taken for free because
        // somebody has raised an event of the caller's.
        let end = match &self.attached {
            Attached::Events(a) => (a.signals[0].0.clone(), a.signals[0].0.value().saturating_add(1)),
            _ => (SharedEvent::new(self.framework())?, 1),
        };
        let own = events.signal.iter().map(|&(event, value)| (event.clone(), value));
        let signals: Vec<(SharedEvent, u64)> = std::iter::once(end).chain(own).collect();
        let promises = signals.iter().map(|(e, v)| Promise::new(e, *v)).collect::<Result<Vec<_>, Error>>()?;
        // Reports disagree on whether mapping works; the evaluation does without.
        let _ = self.map();
        let model = self.bound.model.clone();
        let options = options.dictionary(model.framework(), model.statistics())?;
        let dispatched = Dispatched::new(self.bound.clone(), Share::Shared)?;
        let attachment = self.attach(&dispatched, &signals, events.wait)?;
        model.note_events();
        // SAFETY: it is dispatched until every event was signalled, which is when the evaluation has ended.
        unsafe { dispatched.send(Path::Model, options.id()) }?;
        Ok(EventRun(Some(Held { dispatched, promises, attachment })))
    }

    /// Gives the request's object its events: new ones, or other values of those that it has.
    fn attach(
        &mut self,
        bound: &Bound,
        signals: &[(SharedEvent, u64)],
        waits: &[(&SharedEvent, u64)],
    ) -> Result<Arc<Attachment>, Error> {
        if let Attached::Events(attachment) = &self.attached
            && attachment.is_of(signals, waits)
        {
            attachment.set(signals, waits);
            return Ok(attachment.clone());
        }
        self.attached.remove(bound);
        let framework = bound.model.framework();
        let attachment = Arc::new(Attachment::new(framework, bound.first_output(), signals, waits)?);
        let _pool = framework.pool();
        // SAFETY: the request is alive, and nothing runs on it; the events are too.
        unsafe { framework.send(SET_REQUEST_SHARED_EVENTS, bound.object.id(), (attachment.all.id(),)) };
        self.attached = Attached::Events(attachment.clone());
        Ok(attachment)
    }
}

/// An evaluation with events that is under way.
///
/// Its surfaces can be locked, and its request can be run again, when it was seen here to have ended. If it is dropped
/// before, all that the engine uses is kept alive until it has; if an event does not come, that is for ever.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # let folder = tempfile::tempdir().map_err(|e| anemone_apple::Error::Invalid(e.to_string()))?;
/// # std::fs::write(folder.path().join("model.mil"), anemone_apple::neural::FIRST_DISPATCH.text).unwrap();
/// # let folder = folder.path();
/// # use anemone_apple::neural::{Package, QualityOfService};
/// # let quality = QualityOfService::Default;
/// # let model = Package::describe(&framework, folder, Package::KEY)?.compile(quality)?.load(quality)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::{EvaluateOptions, EventRun, Events, SharedEvent};
/// use std::time::Duration;
/// let event = SharedEvent::new(&framework)?;
/// let events = Events { wait: &[(&event, 1)], signal: &[] };
/// let mut run: EventRun = request.run_with_events(&events, EvaluateOptions::default())?;
/// assert!(!run.is_done(), "it waits for the event");
/// event.signal(1)?;
/// run.wait(Duration::from_secs(60))?;
/// assert!(run.is_done());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct EventRun(Option<Held>);

/// What the engine uses.
#[derive(Debug)]
struct Held {
    // Given back before others may raise the events.
    dispatched: Dispatched<Arc<Bound>>,
    promises: Vec<Promise>,
    #[expect(dead_code, reason = "the engine uses the events, and nobody else holds them for sure")]
    attachment: Arc<Attachment>,
}

/// How long a thread waits for the events of an evaluation that nobody waits for any more.
const PATIENCE: Duration = Duration::from_secs(60);

impl Held {
    fn is_done(&self) -> bool {
        self.promises.iter().all(Promise::is_kept)
    }

    /// Waits until all events were signalled; whether they were in time.
    fn wait(&self, time: Duration) -> bool {
        let begin = Instant::now();
        self.promises.iter().all(|p| p.event.wait(p.value, time.saturating_sub(begin.elapsed())))
    }
}

impl EventRun {
    /// Whether every event was signalled.
    pub fn is_done(&mut self) -> bool {
        if self.0.as_ref().is_some_and(Held::is_done) {
            self.0 = None;
        }
        self.0.is_none()
    }

    /// Waits until every event was signalled.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when that was not so in time. The engine says nothing of an evaluation that fails: its events
    /// do not come.
    pub fn wait(&mut self, time: Duration) -> Result<(), Error> {
        if let Some(held) = &self.0 {
            if !held.wait(time) {
                let what = format!("an evaluation of `{}`", held.dispatched.procedure().name);
                return Err(Error::TimedOut { what, within: time });
            }
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for EventRun {
    fn drop(&mut self) {
        if self.is_done() {
            return;
        }
        // The thread may not come into being, or give up: then what the engine uses stays for ever.
        let held = ManuallyDrop::new(self.0.take());
        let _ = thread::Builder::new().spawn(move || {
            if held.as_ref().is_some_and(|h| h.wait(PATIENCE)) {
                drop(ManuallyDrop::into_inner(held));
            }
        });
    }
}
