//! Evaluations that are under way while the caller does something else.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anemone_apple::neural;

use super::request::Request;
use super::sync::{Condvar, Mutex, lock, wait_until};
use crate::error::{Doing, Error};

/// An evaluation that is under way: it can be awaited, waited for, or left alone.
///
/// It is a plain future, which needs no runtime. While it is there the request cannot be touched; when it is dropped the
/// evaluation goes on: its surfaces stay locked, and its program loaded, until it has ended.
///
/// ```
/// use anemone::{Client, CompileOptions, chip::Chip};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// let mut model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// model.write_input_f32("x", &[-1.0, 0.0, 1.0, 2.0])?;
/// let evaluation = model.eval_async();
/// // Something else is done meanwhile.
/// evaluation.wait()?;
/// let mut y = [0.0; 4];
/// model.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [0.0, 0.0, 1.0, 2.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// What is under way is neither read nor run again:
///
/// ```compile_fail,E0502
/// # fn read(model: &mut anemone::Model) -> Result<(), anemone::Error> {
/// let evaluation = model.eval_async();
/// model.read_output_f32(0, &mut [0.0; 4])?;
/// evaluation.wait()
/// # }
/// ```
///
/// ```compile_fail,E0499
/// # fn twice(model: &mut anemone::Model) -> Result<(), anemone::Error> {
/// let evaluation = model.eval_async();
/// model.eval()?;
/// evaluation.wait()
/// # }
/// ```
///
/// It can be asked, and waited for only so long:
///
/// ```
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// # let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// # let mut model = anemone::Client::software(anemone::Chip::M4).compile(options)?;
/// let evaluation = model.eval_async();
/// while !evaluation.is_done() {
///     std::thread::yield_now();
/// }
/// evaluation.wait_within(std::time::Duration::ZERO)?; // it has ended
/// # Ok::<(), anemone::Error>(())
/// ```
#[must_use = "how the evaluation has ended is said here only"]
#[derive(Debug)]
pub struct Evaluation<'a> {
    kind: Kind,
    /// For messages.
    function: crate::mil::Name,
    request: PhantomData<&'a mut Request>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Hardware(neural::Pending),
    Software(Arc<Flight>),
}

impl Evaluation<'_> {
    pub(super) fn new(kind: Kind, function: &crate::mil::Name) -> Self {
        Self { kind, function: function.clone(), request: PhantomData }
    }

    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        match &self.kind {
            Kind::Hardware(pending) => pending.is_done(),
            Kind::Software(flight) => flight.is_done(),
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::UnsupportedSelector`] when this macOS tells nobody of the end.
    pub fn wait(self) -> Result<(), Error> {
        match self.kind {
            Kind::Hardware(pending) => pending.wait().map_err(of_apple),
            Kind::Software(flight) => flight.wait(),
        }
    }

    /// Waits for the end, so long. Nothing stops an evaluation that was not done in time: until it has ended its request
    /// is busy, and says so by [`Error::Surface`].
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and as [`Evaluation::wait`].
    pub fn wait_within(self, time: Duration) -> Result<(), Error> {
        let late = || Error::TimedOut { what: format!("an evaluation of `{}`", self.function), within: time };
        match &self.kind {
            Kind::Hardware(pending) => pending.wait_for(time).map_err(|e| match e {
                anemone_apple::Error::TimedOut { .. } => late(),
                e => of_apple(e),
            }),
            Kind::Software(flight) => flight.wait_within(time).unwrap_or_else(|| Err(late())),
        }
    }
}

impl Future for Evaluation<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.kind {
            Kind::Hardware(pending) => Pin::new(pending).poll(context).map_err(of_apple),
            Kind::Software(flight) => flight.poll(context),
        }
    }
}

pub(super) fn of_apple(error: anemone_apple::Error) -> Error {
    Error::from_apple(Doing::Evaluate, error)
}

/// What an evaluation of the software engine and those who wait for it share.
pub(super) struct Flight {
    state: Mutex<State>,
    ended: Condvar,
}

enum State {
    UnderWay(Option<Waker>),
    Ended(Result<(), Error>),
    /// Somebody has taken the result.
    Told,
}

impl Flight {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::UnderWay(None)), ended: Condvar::new() })
    }

    /// Says how the evaluation has ended.
    pub(super) fn end(&self, result: Result<(), Error>) {
        let before = std::mem::replace(&mut *lock(&self.state), State::Ended(result));
        self.ended.notify_all();
        if let State::UnderWay(Some(waker)) = before {
            waker.wake();
        }
    }

    pub(super) fn is_done(&self) -> bool {
        !matches!(*lock(&self.state), State::UnderWay(_))
    }

    pub(super) fn wait(&self) -> Result<(), Error> {
        wait_until(&self.state, &self.ended, None, State::take).unwrap_or(Ok(()))
    }

    /// Waits so long; `None` when the end has not come.
    pub(super) fn wait_within(&self, time: Duration) -> Option<Result<(), Error>> {
        wait_until(&self.state, &self.ended, Some(time), State::take)
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = lock(&self.state);
        match state.take() {
            Some(result) => Poll::Ready(result),
            None => {
                *state = State::UnderWay(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl State {
    fn take(&mut self) -> Option<Result<(), Error>> {
        match self {
            State::UnderWay(_) => None,
            State::Ended(_) => match std::mem::replace(self, State::Told) {
                State::Ended(result) => Some(result),
                _ => unreachable!("it was looked at just now"),
            },
            State::Told => Some(Err(Error::Invalid("how the evaluation has ended was told before".into()))),
        }
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_done() { "Ended" } else { "UnderWay" })
    }
}
