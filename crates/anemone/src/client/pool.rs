//! Requests that are made once, and used by whoever has one to run.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::evaluation::Evaluation;
use super::model::Model;
use super::request::{Request, Which};
use super::sync::{Condvar, Mutex, lock, wait_until};
use crate::error::Error;
use crate::types::Element;

/// The most requests of one program that the hardware has in flight.
const MAX_DEPTH: usize = 127;

/// So many requests of one model, each with surfaces of its own, so that they can be in flight together. Copies are the
/// same pool.
///
/// The model's own request is not among them. On the software engine each has states of its own.
///
/// ```
/// use anemone::{Client, CompileOptions, RequestPool, chip::Chip};
/// let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// let model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// let pool = RequestPool::new(&model, 2)?;
/// std::thread::scope(|s| {
///     for worker in 0..4 {
///         let pool = &pool;
///         s.spawn(move || -> Result<(), anemone::Error> {
///             let mut request = pool.acquire()?; // at most two at once
///             request.write_input_f32("x", &[worker as f32; 4])?;
///             request.eval()?;
///             let mut y = [0.0; 4];
///             request.read_output_f32("y", &mut y)?;
///             assert_eq!(y, [worker as f32; 4]);
///             Ok(())
///         });
///     }
/// });
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Who does not want to wait says so; a pool that is closed lends nothing more:
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
///
/// use anemone::{Error, RequestPool};
/// use std::time::Duration;
/// let pool = RequestPool::new(&model()?, 1)?;
/// let taken = pool.acquire()?;
/// assert_eq!((pool.depth(), pool.try_acquire()?.is_none()), (1, true));
/// assert!(matches!(pool.acquire_within(Duration::ZERO), Err(Error::TimedOut { .. })));
/// taken.release();
/// pool.close();
/// assert!(pool.acquire().is_err());
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestPool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    depth: usize,
}

#[derive(Debug)]
struct State {
    free: VecDeque<Slot>,
    closed: bool,
}

/// A request of the pool.
#[derive(Debug)]
struct Slot {
    request: Request,
    flight: Arc<Mutex<Flight>>,
}

/// What is under way on a request.
#[derive(Debug, Default)]
struct Flight {
    /// How many evaluations were started whose end was not told: a second one is refused, and told of at once.
    under_way: usize,
    /// Where the request is to return to, if it was released meanwhile.
    returning: Option<(Slot, Arc<Shared>)>,
}

impl RequestPool {
    /// Makes the requests.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless there are 1 to 127, which is as many as the hardware has in flight;
    /// [`Error::Surface`] when surfaces cannot be made.
    pub fn new(model: &Model, depth: usize) -> Result<Self, Error> {
        if !(1..=MAX_DEPTH).contains(&depth) {
            return Err(Error::Invalid(format!("a pool has 1 to {MAX_DEPTH} requests, not {depth}")));
        }
        let slot = |_| {
            let mut request = model.new_request()?;
            request.map();
            Ok(Slot { request, flight: Arc::default() })
        };
        let free = (0..depth).map(slot).collect::<Result<_, Error>>()?;
        let state = Mutex::new(State { free, closed: false });
        Ok(Self(Arc::new(Shared { state, changed: Condvar::new(), depth })))
    }

    /// How many requests it has.
    pub fn depth(&self) -> usize {
        self.0.depth
    }

    /// Takes a request that nobody uses; waits for one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the pool is closed.
    pub fn acquire(&self) -> Result<PooledRequest, Error> {
        let slot = wait_until(&self.0.state, &self.0.changed, None, State::take);
        slot.unwrap_or_else(|| Err(closed())).map(|slot| self.lend(slot))
    }

    /// Takes a request that nobody uses; waits for one so long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and as [`RequestPool::acquire`].
    pub fn acquire_within(&self, time: Duration) -> Result<PooledRequest, Error> {
        let late = || Error::TimedOut { what: "the return of a request to its pool".into(), within: time };
        let slot = wait_until(&self.0.state, &self.0.changed, Some(time), State::take);
        slot.unwrap_or_else(|| Err(late())).map(|slot| self.lend(slot))
    }

    /// Takes a request that nobody uses; `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`RequestPool::acquire`].
    pub fn try_acquire(&self) -> Result<Option<PooledRequest>, Error> {
        let slot = lock(&self.0.state).take().transpose()?;
        Ok(slot.map(|slot| self.lend(slot)))
    }

    fn lend(&self, slot: Slot) -> PooledRequest {
        PooledRequest { slot: Some(slot), pool: self.0.clone() }
    }

    /// Closes the pool: who waits for a request is told, and requests are given up, those in use when they are released.
    /// Closing it again changes nothing.
    pub fn close(&self) {
        let free = {
            let mut state = lock(&self.0.state);
            state.closed = true;
            std::mem::take(&mut state.free)
        };
        self.0.changed.notify_all();
        drop(free);
    }
}

fn closed() -> Error {
    Error::Invalid("the pool of requests is closed".into())
}

impl State {
    fn take(&mut self) -> Option<Result<Slot, Error>> {
        if self.closed { Some(Err(closed())) } else { self.free.pop_front().map(Ok) }
    }
}

impl Shared {
    /// Takes a request back.
    fn put(&self, slot: Slot) {
        let mut state = lock(&self.state);
        if state.closed {
            // It may be the last that has its program.
            drop(state);
            drop(slot);
        } else {
            state.free.push_back(slot);
            drop(state);
            self.changed.notify_one();
        }
    }
}

/// A request of a pool, until it is [released](PooledRequest::release) or dropped.
///
/// Its outputs are read as those of any [`Request`].
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// use anemone::RequestPool;
/// let pool = RequestPool::new(&model()?, 2)?;
/// let mut request = pool.acquire()?;
/// request.write_input_f32("x", &[-1.0, 0.0, 1.0, 2.0])?;
/// request.eval()?;
/// let mut y = [0.0; 4];
/// request.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [0.0, 0.0, 1.0, 2.0]);
/// request.release();
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// Its inputs are written in all the ways of a [`Request`]:
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
///
/// use anemone::RequestPool;
/// let pool = RequestPool::new(&model()?, 1)?;
/// let mut request = pool.acquire()?;
/// request.write_input(0, &[0; 128])?; // bytes, with the padding of two rows
/// request.write_input_fp16(0, &[1.0; 8])?;
/// request.write_input_fp16_channels(0, 1, &[-1.0; 4])?;
/// request.eval_within(std::time::Duration::from_secs(60))?;
/// let (tell, told) = std::sync::mpsc::channel();
/// request.eval_async_with_callback(move |result| tell.send(result).unwrap());
/// told.recv().unwrap()?;
/// let mut y = [9.0; 8];
/// request.read_output_f32(0, &mut y)?;
/// assert_eq!(y, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// # use anemone::{Client, CompileOptions, chip::Chip};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// # let client = Client::software(Chip::M4);
/// # let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
///
/// use anemone::RequestPool;
/// use half::f16;
/// let pool = RequestPool::new(&model, 2)?;
/// let mut request = pool.acquire()?;
/// request.write_input_elements("x", &[f16::ONE; 8])?;
/// request.eval_async().wait()?;
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct PooledRequest {
    /// There until it is dropped.
    slot: Option<Slot>,
    pool: Arc<Shared>,
}

impl PooledRequest {
    fn slot(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("a request is there until it is dropped")
    }

    /// What is called at the end of an evaluation that begins now.
    fn begin(&mut self) -> (&mut Request, impl FnOnce() + Send + use<>) {
        let slot = self.slot();
        let flight = slot.flight.clone();
        lock(&flight).under_way += 1;
        let end = move || {
            let mut flight = lock(&flight);
            flight.under_way -= 1;
            let returning = if flight.under_way == 0 { flight.returning.take() } else { None };
            drop(flight);
            if let Some((slot, pool)) = returning {
                pool.put(slot);
            }
        };
        (&mut slot.request, end)
    }

    /// Runs the program, and returns when the outputs are written.
    ///
    /// # Errors
    ///
    /// As [`Request::run`].
    pub fn eval(&mut self) -> Result<(), Error> {
        self.slot().request.run()
    }

    /// Starts an evaluation and does not wait for it: as [`Request::start`].
    ///
    /// When the request is released before its evaluation has ended, it returns to the pool at the end. Its outputs are not
    /// read before:
    ///
    /// ```compile_fail,E0502
    /// # fn read(request: &mut anemone::PooledRequest) -> Result<(), anemone::Error> {
    /// let evaluation = request.eval_async();
    /// request.read_output_f32(0, &mut [0.0; 4])?;
    /// evaluation.wait()
    /// # }
    /// ```
    pub fn eval_async(&mut self) -> Evaluation<'_> {
        let (request, end) = self.begin();
        request.start_and(end)
    }

    /// Starts an evaluation, and calls `done` when it has ended: as [`Request::start_then`].
    pub fn eval_async_with_callback(&mut self, done: impl FnOnce(Result<(), Error>) + Send + 'static) {
        let (request, end) = self.begin();
        request.start_then(move |result| {
            end();
            done(result);
        });
    }

    /// Runs the program, and waits for its end only so long: as [`Request::run_within`].
    ///
    /// # Errors
    ///
    /// As [`Request::run_within`].
    pub fn eval_within(&mut self, time: Duration) -> Result<(), Error> {
        self.eval_async().wait_within(time)
    }

    /// Gives the request back to the pool, as dropping it does.
    ///
    /// ```compile_fail,E0382
    /// # fn released(mut request: anemone::PooledRequest) -> Result<(), anemone::Error> {
    /// request.release();
    /// request.eval()
    /// # }
    /// ```
    pub fn release(self) {}
}

impl Drop for PooledRequest {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let flight = slot.flight.clone();
        let mut flight = lock(&flight);
        if flight.under_way > 0 {
            flight.returning = Some((slot, self.pool.clone()));
        } else {
            drop(flight);
            self.pool.put(slot);
        }
    }
}

impl Deref for PooledRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.slot.as_ref().expect("a request is there until it is dropped").request
    }
}

super::request::delegate! { PooledRequest, |this| this.slot().request;
    fn write_input(&mut self, input: impl Which, bytes: &[u8]);
    fn write_input_f32(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16_channels(&mut self, input: impl Which, channel: usize, values: &[f32]);
    fn write_input_elements<T: Element>(&mut self, input: impl Which, elements: &[T]);
}
