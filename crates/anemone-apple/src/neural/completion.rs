//! Evaluations that nobody waits for: their end is reported to a block.
//!
//! A block is an object that the compiler of C makes of a function and what it captures. Ours is written by hand, after
//! the published binary interface: a literal on the stack, with helpers that count what it captures when the runtime
//! copies the literal and gives the copy up.

use std::ffi::c_void;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::event::Attached;
use super::request::{Bound, Dispatched, Path, Request};
use crate::abi::{Bool, Id};
use crate::encoding::BlockRef;
use crate::error::{Error, Refusal};
use crate::foundation;
use crate::framework::Framework;
use crate::message::Feature;
use crate::messages::*;
use crate::surface::Share;
use crate::sync::{Condvar, Mutex, MutexGuard, thread};

/// An evaluation that is under way. It can be asked, waited for, or awaited as a future.
///
/// Dropping it does not stop the evaluation, and neither does dropping the request: what the engine uses is kept alive
/// until the evaluation has ended. If it never ends, that is for ever.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::{Pending, Request};
/// use std::time::Duration;
/// let request: &mut Request = &mut request;
/// let pending: Pending = request.start(); // a `Future` too
/// pending.wait_for(Duration::from_secs(60))?;
/// assert!(pending.is_done() && pending.result().is_some());
/// let (told, result) = std::sync::mpsc::channel();
/// let pending = request.start_then(move |result| told.send(result).unwrap());
/// assert!(pending.told() <= 1, "more would be a fault of the system");
/// pending.wait()?;
/// result.recv().unwrap()?;
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "how the evaluation has ended is said here only"]
pub struct Pending(Arc<Flight>);

/// What an evaluation and those who wait for it share.
struct Flight {
    framework: Framework,
    state: Mutex<State>,
    ended: Condvar,
}

/// What is called when the evaluation has ended.
type Callback = Box<dyn FnOnce(Result<(), Error>) + Send>;

struct State {
    /// The request and its surfaces, until the evaluation has ended.
    dispatched: Option<Dispatched<Arc<Bound>>>,
    callback: Option<Callback>,
    result: Option<Result<(), Error>>,
    waker: Option<Waker>,
    /// How often the engine has called the block.
    told: usize,
}

impl Request {
    /// Starts an evaluation and does not wait for it.
    ///
    /// While it is under way the request cannot be run, nor its surfaces locked. Every failure is told by the result,
    /// also that nothing was started.
    pub fn start(&mut self) -> Pending {
        self.start_then(|_| {})
    }

    /// Starts an evaluation, and calls `done` when it has ended: exactly once, whether it has succeeded, failed, or was
    /// not even started. When it is called the surfaces can be locked and the request can be run again.
    ///
    /// It is called on a thread of the system, on which it should do little, or on this one when nothing was started. If
    /// it panics, the panic ends there.
    pub fn start_then(&mut self, done: impl FnOnce(Result<(), Error>) + Send + 'static) -> Pending {
        let flight = Arc::new(Flight {
            framework: self.framework().clone(),
            state: Mutex::new(State {
                dispatched: None,
                callback: Some(Box::new(done)),
                result: None,
                waker: None,
                told: 0,
            }),
            ended: Condvar::new(),
        });
        if let Err(e) = self.launch(&flight) {
            flight.end(Err(e));
        }
        Pending(flight)
    }

    fn launch(&mut self, flight: &Arc<Flight>) -> Result<(), Error> {
        self.framework().require(Feature::Completion)?;
        let dispatched = Dispatched::new(self.bound.clone(), Share::Alone)?;
        if let Attached::Events(_) = self.attached {
            self.attached.remove(&dispatched);
        }
        let block = Literal::new(flight.clone());
        let object = self.bound.object.id();
        {
            let _pool = self.framework().pool();
            // SAFETY: the request is alive, and nothing runs on it; it copies the block.
            unsafe { self.framework().send(SET_COMPLETION_HANDLER, object, (block.reference(),)) };
        }
        self.attached = Attached::Handler;
        // The end may come before the call returns, and on this thread: the flight must have what ends by then.
        flight.lock().dispatched = Some(dispatched);
        // SAFETY: the flight has it dispatched until its end.
        unsafe { self.bound.send(Path::Model, self.bound.model.options()) }
    }
}

impl Flight {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the evaluation: gives the surfaces back, tells who wants to know, lets go of the request. Only the first
    /// call does something.
    fn end(&self, result: Result<(), Error>) {
        let (dispatched, callback) = {
            let mut state = self.lock();
            (state.dispatched.take(), state.callback.take())
        };
        let Some(callback) = callback else { return };
        let bound = dispatched.map(Dispatched::into_bound);
        // What a callback panics with must not reach the system's code below us.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| callback(result.clone())));
        // Let go before anybody hears of the end, so that who has the request is the last to have it. If nobody has it,
        // the model is unloaded now; not on a thread of the system, which might be the one that the unloading waits for.
        if let Some(last) = bound.and_then(Arc::into_inner) {
            let _ = thread::Builder::new().spawn(move || drop(last));
        }
        let waker = {
            let mut state = self.lock();
            state.result = Some(result);
            state.waker.take()
        };
        self.ended.notify_all();
        if let Some(waker) = waker {
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flight").field(&self.lock().result).finish()
    }
}

impl Pending {
    /// Whether the evaluation has ended.
    pub fn is_done(&self) -> bool {
        self.0.lock().result.is_some()
    }

    /// How the evaluation has ended; `None` while it has not.
    pub fn result(&self) -> Option<Result<(), Error>> {
        self.0.lock().result.clone()
    }

    /// How often the engine has told the end. Only the first time counts; more than one is a fault of the system, which
    /// harms nobody.
    pub fn told(&self) -> usize {
        self.0.lock().told
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// Why the evaluation failed, or was not started: as [`Request::run`], and [`Error::Unavailable`] when this macOS has
    /// no asynchronous evaluation.
    pub fn wait(self) -> Result<(), Error> {
        let mut state = self.0.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            state = self.0.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the end, so long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when it has not come, and as [`Pending::wait`].
    pub fn wait_for(&self, time: Duration) -> Result<(), Error> {
        let begin = Instant::now();
        let mut state = self.0.lock();
        loop {
            if let Some(result) = &state.result {
                return result.clone();
            }
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(Error::TimedOut { what: "an evaluation".into(), within: time });
            }
            (state, _) = self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Pending {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match &state.result {
            Some(result) => Poll::Ready(result.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A block `void (^)(BOOL success, NSError *error)`, as the published binary interface lays it out.
#[repr(C)]
struct Literal {
    isa: *const c_void,
    flags: i32,
    reserved: i32,
    invoke: unsafe extern "C" fn(*const Literal, Bool, Id),
    descriptor: *const Descriptor,
    /// What the block captures: a count of the flight.
    flight: *const Flight,
}

#[repr(C)]
struct Descriptor {
    reserved: u64,
    size: u64,
    copy: unsafe extern "C" fn(*mut Literal, *const Literal),
    dispose: unsafe extern "C" fn(*const Literal),
}

/// The block has helpers to copy and to give up what it captures.
const HAS_COPY_DISPOSE: i32 = 1 << 25;

static DESCRIPTOR: Descriptor = Descriptor { reserved: 0, size: size_of::<Literal>() as u64, copy, dispose };

impl Literal {
    fn new(flight: Arc<Flight>) -> Self {
        Self {
            isa: flight.framework.abi().stack_block,
            flags: HAS_COPY_DISPOSE,
            reserved: 0,
            invoke,
            descriptor: &raw const DESCRIPTOR,
            flight: Arc::into_raw(flight),
        }
    }

    /// The block as an argument; it must be copied by whoever keeps it.
    fn reference(&self) -> BlockRef {
        BlockRef(std::ptr::from_ref(self).cast())
    }
}

impl Drop for Literal {
    fn drop(&mut self) {
        // SAFETY: the literal has the count that `new` took.
        unsafe { Arc::decrement_strong_count(self.flight) }
    }
}

/// The runtime has copied the bytes of a block: the copy counts what it captures.
unsafe extern "C" fn copy(_: *mut Literal, from: *const Literal) {
    // SAFETY: the runtime gives a block that has a count of its flight.
    unsafe { Arc::increment_strong_count((*from).flight) }
}

/// The runtime gives a copy up.
unsafe extern "C" fn dispose(block: *const Literal) {
    // SAFETY: the runtime gives a copy that has a count of its flight, once.
    unsafe { Arc::decrement_strong_count((*block).flight) }
}

/// The evaluation has ended.
unsafe extern "C" fn invoke(block: *const Literal, success: Bool, error: Id) {
    // The block may be given up while this runs, since the request can be run again: from here on we have our own count.
    // SAFETY: the caller has a block that has a count of its flight.
    let flight = unsafe {
        Arc::increment_strong_count((*block).flight);
        Arc::from_raw((*block).flight)
    };
    flight.lock().told += 1;
    let result = if success.get() {
        Ok(())
    } else {
        let framework = &flight.framework;
        let _pool = framework.pool();
        // SAFETY: the error is nil or an NSError that the caller keeps alive.
        let error = (!error.is_nil()).then(|| unsafe { foundation::reported(framework, error) });
        Err(Refusal { message: "an asynchronous evaluation".into(), error }.into())
    };
    flight.end(result);
}
