//! Requests: surfaces bound to the symbols of a function, run as often as wanted.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attributes::{Procedure, Symbol};
use super::event::Attached;
use super::loaded::Loaded;
use super::options::EvaluateOptions;
use super::statistics::{self, Gathered, Statistics};
use crate::abi::{Bool, Id};
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;
use crate::surface::{Share, Surface};
use crate::sync::AtomicBool;

/// A function of a loaded model with surfaces for its inputs and outputs.
///
/// While it runs nobody can lock its surfaces, and no other evaluation can write the same ones. It keeps the model
/// loaded.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService, Request};
/// use std::time::Duration;
/// let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// let main = model.procedure("main")?;
/// let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// let mut request: Request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// x.write()?[..2].copy_from_slice(&0x4200u16.to_le_bytes()); // 3
/// request.run()?;
/// assert_eq!(y.read()?[..2], 0x4700u16.to_le_bytes()); // 2 · 3 + 1
///
/// // Other ways to the engine, where the system has them; all give the same.
/// request.run_direct()?;
/// request.run_program()?;
/// request.run_real_time()?;
/// request.map()?;
/// assert!(request.is_mapped());
/// request.unmap()?;
/// assert_eq!((request.inputs(), request.outputs()), (&[x][..], &[y][..]));
/// assert_eq!((request.procedure().name.as_str(), request.model().identity()), ("main", model.identity()));
/// // A wait that ends, and takes the request with it when the engine does not answer.
/// let request = request.run_within(Duration::from_secs(60))?;
/// assert!(request.statistics()?.is_none() && request.nanoseconds()?.is_none(), "none were asked for");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Request {
    pub(super) bound: Arc<Bound>,
    /// What its object has from an evaluation that did not wait.
    pub(super) attached: Attached,
}

/// What an evaluation needs, and keeps alive until it has ended.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) model: Loaded,
    pub(super) object: Retained,
    procedure: usize,
    /// Inputs, outputs, and what statistics are written to.
    surfaces: Vec<Surface>,
    inputs: usize,
    outputs: usize,
    /// Whether an evaluation is under way.
    runs: AtomicBool,
    pub(super) mapped: AtomicBool,
}

// SAFETY: the object is changed by the owner of the request only, while nothing runs; the rest of it may be used from
// any thread, as the model.
unsafe impl Send for Bound {}
// SAFETY: as above.
unsafe impl Sync for Bound {}

/// How a request reaches the engine. All give the same results; for programs of practical size they take the same time
/// (source: dev-erik/ANE).
#[derive(Clone, Copy)]
pub(super) enum Path {
    Model,
    Direct,
    /// The program of the model, or another one.
    Program(Option<Id>),
    RealTime,
}

impl Loaded {
    /// Makes a surface of the size that a symbol needs, all zero.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it cannot be made.
    pub fn surface(&self, symbol: &Symbol) -> Result<Surface, Error> {
        let rows = symbol.bytes() / symbol.row_stride.max(1);
        Surface::rows(self.framework(), symbol.row_stride, rows, symbol.element_bytes)
    }

    /// The function of this name; the only one has any name.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the model has no such function.
    pub fn procedure(&self, name: &str) -> Result<&Procedure, Error> {
        self.attributes().procedure(name).ok_or_else(|| {
            let names: Vec<&str> = self.attributes().procedures.iter().map(|p| p.name.as_str()).collect();
            Error::Invalid(format!("the model has no function `{name}`; it has `{}`", names.join("`, `")))
        })
    }

    /// Binds surfaces to the inputs and outputs of a function, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the model has no such function, when a name is missing, unknown or given twice, when a
    /// surface is too small, or when one surface would be both written and used otherwise.
    pub fn request(
        &self,
        procedure: &str,
        inputs: &[(&str, &Surface)],
        outputs: &[(&str, &Surface)],
    ) -> Result<Request, Error> {
        let framework = self.framework();
        let function = self.procedure(procedure)?;
        let (bound_inputs, bound_outputs) = bind_all(function, inputs, outputs)?;
        let _pool = framework.pool();
        let lists = |bound: &[(&Symbol, &Surface)]| {
            let mut objects = Vec::new();
            let mut indices = Vec::new();
            for (symbol, surface) in bound {
                objects.push(surface_object(framework, surface)?);
                indices.push(foundation::number(framework, symbol.index)?);
            }
            Ok::<_, Error>((foundation::array(framework, &objects)?, foundation::array(framework, &indices)?))
        };
        let (input_objects, input_indices) = lists(&bound_inputs)?;
        let (output_objects, output_indices) = lists(&bound_outputs)?;
        let index = foundation::number(framework, function.index)?;
        let gathered = self.statistics().map(|_| Gathered::new(framework, function)).transpose()?;
        let statistics = gathered.as_ref().map_or(Id::NIL, |g| g.array.id());
        let class = framework.class(REQUEST).id();
        let (i, ii, o, oi) =
            (input_objects.id(), input_indices.id(), output_objects.id(), output_indices.id());
        // SAFETY: arrays of surface objects and of as many numbers, an array or nil, a number; events and transaction
        // may be nil.
        let object = unsafe {
            let made = if framework.has(REQUEST_WITH_EVENTS) {
                let arguments = (i, ii, o, oi, Id::NIL, statistics, index.id(), Id::NIL, Id::NIL);
                framework.send(REQUEST_WITH_EVENTS, class, arguments)
            } else {
                framework.send(REQUEST_WITH, class, (i, ii, o, oi, Id::NIL, statistics, index.id()))
            };
            let object = foundation::made(framework, made, "+[_ANERequest requestWithInputs:…]")?;
            if !framework.send(VALIDATE, object.id(), ()).get() {
                return Err(Error::Unexpected { message: "-[_ANERequest validate]", gave: "NO".into() });
            }
            object
        };
        let bound = Bound {
            model: self.clone(),
            object,
            procedure: self
                .attributes()
                .procedures
                .iter()
                .position(|p| std::ptr::eq(p, function))
                .unwrap_or(0),
            inputs: bound_inputs.len(),
            outputs: bound_outputs.len(),
            surfaces: bound_inputs
                .iter()
                .chain(&bound_outputs)
                .map(|(_, s)| (*s).clone())
                .chain(gathered.map(|g| g.surface))
                .collect(),
            runs: AtomicBool::new(false),
            mapped: AtomicBool::new(false),
        };
        Ok(Request { bound: Arc::new(bound), attached: Attached::Nothing })
    }
}

/// Symbols with their surfaces, in the order of the symbols.
pub(super) type Bindings<'a> = Vec<(&'a Symbol, &'a Surface)>;

/// Finds the surfaces of a function's inputs and outputs.
pub(super) fn bind_all<'a>(
    function: &'a Procedure,
    inputs: &[(&str, &'a Surface)],
    outputs: &[(&str, &'a Surface)],
) -> Result<(Bindings<'a>, Bindings<'a>), Error> {
    let inputs = bind("input", &function.inputs, inputs)?;
    let outputs = bind("output", &function.outputs, outputs)?;
    for (i, (symbol, surface)) in outputs.iter().enumerate() {
        if outputs[..i].iter().chain(&inputs).any(|(_, s)| s == surface) {
            let name = &symbol.name;
            return Err(Error::Invalid(format!("the surface of the output `{name}` is bound a second time")));
        }
    }
    Ok((inputs, outputs))
}

/// Finds the surface of each symbol.
fn bind<'a>(
    what: &str,
    symbols: &'a [Symbol],
    given: &[(&str, &'a Surface)],
) -> Result<Vec<(&'a Symbol, &'a Surface)>, Error> {
    for (i, (name, _)) in given.iter().enumerate() {
        if given[..i].iter().any(|(n, _)| n == name) {
            return Err(Error::Invalid(format!("the {what} `{name}` is given twice")));
        }
        if !symbols.iter().any(|s| s.name == *name) {
            let names: Vec<&str> = symbols.iter().map(|s| s.name.as_str()).collect();
            return Err(Error::Invalid(format!(
                "there is no {what} `{name}`; there is `{}`",
                names.join("`, `")
            )));
        }
    }
    let one = |symbol: &'a Symbol| {
        let name = &symbol.name;
        let (_, surface) = given
            .iter()
            .find(|(n, _)| n == name)
            .ok_or_else(|| Error::Invalid(format!("the {what} `{name}` has no surface")))?;
        let (has, needs) = (surface.size(), symbol.bytes());
        if has < needs {
            return Err(Error::Invalid(format!(
                "the surface of the {what} `{name}` has {has} bytes, and it needs {needs}: each row takes {} bytes",
                symbol.row_stride
            )));
        }
        Ok((symbol, *surface))
    };
    symbols.iter().map(one).collect()
}

/// A surface as an object, which retains it.
pub(super) fn surface_object(framework: &Framework, surface: &Surface) -> Result<Retained, Error> {
    let class = framework.class(IO_SURFACE_OBJECT).id();
    let _pool = framework.pool();
    if surface.start() == 0 {
        // SAFETY: a live surface; a factory gives nil or an autoreleased object, and the pool is open.
        return unsafe {
            let made = framework.send(OBJECT_WITH_IO_SURFACE, class, (surface.raw()?,));
            foundation::made(framework, made, "+[_ANEIOSurfaceObject objectWithIOSurface:]")
        };
    }
    framework.require(Feature::Parts)?;
    let start = foundation::number(framework, surface.start() as u64)?;
    // SAFETY: as above, and a number.
    unsafe {
        let made = framework.send(OBJECT_WITH_IO_SURFACE_AT, class, (surface.raw()?, start.id()));
        foundation::made(framework, made, "+[_ANEIOSurfaceObject objectWithIOSurface:startOffset:]")
    }
}

impl Request {
    /// The model.
    pub fn model(&self) -> &Loaded {
        &self.bound.model
    }

    /// The function.
    pub fn procedure(&self) -> &Procedure {
        self.bound.procedure()
    }

    /// The surfaces of the inputs, in the order of the function's symbols.
    pub fn inputs(&self) -> &[Surface] {
        &self.bound.surfaces[..self.bound.inputs]
    }

    /// The surfaces of the outputs, in the order of the function's symbols.
    pub fn outputs(&self) -> &[Surface] {
        &self.bound.surfaces[self.bound.inputs..][..self.bound.outputs]
    }

    /// Runs the function, and returns when the outputs are written. One message is sent, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody holds a lock of one of the surfaces, or another evaluation writes one,
    /// [`Error::Refused`] when the engine refuses.
    pub fn run(&mut self) -> Result<(), Error> {
        self.evaluate(Path::Model, self.bound.model.options())
    }

    /// Runs the function through the client, without the model.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Unavailable`] when this macOS cannot.
    pub fn run_direct(&mut self) -> Result<(), Error> {
        self.framework().require(Feature::Direct)?;
        self.evaluate(Path::Direct, self.bound.model.options())
    }

    /// Runs the function through the program, below the model.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Unavailable`] when this macOS cannot.
    pub fn run_program(&mut self) -> Result<(), Error> {
        self.framework().require(Feature::ProcessRequest)?;
        self.evaluate(Path::Program(None), self.bound.model.options())
    }

    /// Runs the function at real-time priority. One report has it nearly twice as fast for tiny functions, and slower
    /// for larger ones (source: dev-erik/ANE). It works without a [`RealTimeTask`](super::RealTimeTask), which needs an
    /// entitlement.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Unavailable`] when this macOS cannot.
    pub fn run_real_time(&mut self) -> Result<(), Error> {
        self.framework().require(Feature::RealTime)?;
        self.evaluate(Path::RealTime, self.bound.model.options())
    }

    /// Runs the function with options.
    ///
    /// # Errors
    ///
    /// As [`Request::run`].
    pub fn run_with(&mut self, options: EvaluateOptions) -> Result<(), Error> {
        let model = &self.bound.model;
        let dictionary = options.dictionary(model.framework(), model.statistics())?;
        self.evaluate(Path::Model, dictionary.id())
    }

    pub(super) fn evaluate(&mut self, path: Path, options: Id) -> Result<(), Error> {
        let dispatched = Dispatched::new(&*self.bound, Share::Alone)?;
        self.attached.remove(&dispatched);
        // SAFETY: it is dispatched until the call has returned, and with it the evaluation.
        unsafe { dispatched.send(path, options) }
    }

    /// Maps the surfaces ahead of the evaluations, until [`Request::unmap`] or the end of the request.
    ///
    /// It is not needed, and reports disagree on whether it works for programs of MIL text: where it fails, the request
    /// runs all the same, so that the error may be ignored. It is tried with the cache of the inference, and without.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS cannot, [`Error::Refused`] when it does not want to, [`Error::Surface`]
    /// when an evaluation is under way.
    pub fn map(&mut self) -> Result<(), Error> {
        let framework = self.framework();
        framework.require(Feature::Mapping)?;
        let bound = &*self.bound;
        bound.idle()?;
        if bound.mapped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _pool = framework.pool();
        let map = |cache: Bool| {
            let (request, inner) = (bound.object.id(), bound.model.inner());
            // SAFETY: live objects of the right classes.
            unsafe {
                match bound.model.text() {
                    Some(model) => {
                        framework.try_send(MAP_IO_SURFACES, model, |error| (request, cache, error))
                    }
                    None => framework.try_send(CLIENT_MAP_IO_SURFACES, framework.client()?, |error| {
                        (inner, request, cache, error)
                    }),
                }
            }
        };
        map(Bool::YES).or_else(|_| map(Bool::NO))?;
        bound.mapped.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the mapping of the surfaces, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when an evaluation is under way.
    pub fn unmap(&mut self) -> Result<(), Error> {
        self.bound.idle()?;
        self.bound.unmap();
        Ok(())
    }

    /// Whether the surfaces are mapped.
    pub fn is_mapped(&self) -> bool {
        self.bound.mapped.load(Ordering::Relaxed)
    }

    /// The statistics of the last evaluation; `None` if the system gave none. The model must have been described
    /// [with statistics](super::Model::with_statistics).
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when an evaluation is under way.
    pub fn statistics(&self) -> Result<Option<Statistics>, Error> {
        let bound = &*self.bound;
        bound.idle()?;
        let surface = bound.surfaces.get(bound.inputs + bound.outputs);
        surface.map_or(Ok(None), |s| statistics::read(bound.model.framework(), bound.object.id(), s))
    }

    /// How many nanoseconds the engine took for the last evaluation, as [`Request::statistics`] has it; nothing is
    /// allocated for it.
    ///
    /// # Errors
    ///
    /// As [`Request::statistics`].
    pub fn nanoseconds(&self) -> Result<Option<u64>, Error> {
        let bound = &*self.bound;
        bound.idle()?;
        let surface = bound.surfaces.get(bound.inputs + bound.outputs);
        surface.map_or(Ok(None), |s| statistics::nanoseconds(bound.model.framework(), bound.object.id(), s))
    }

    pub(super) fn framework(&self) -> &Framework {
        self.bound.model.framework()
    }
}

impl Bound {
    /// Whether no evaluation is under way.
    pub(super) fn idle(&self) -> Result<(), Error> {
        if self.runs.load(Ordering::Acquire) {
            return Err(Error::Surface("the request runs already: wait until it has ended".into()));
        }
        Ok(())
    }

    pub(super) fn procedure(&self) -> &Procedure {
        &self.model.attributes().procedures[self.procedure]
    }

    /// The symbol index of the first output.
    pub(super) fn first_output(&self) -> u64 {
        self.procedure().outputs.first().map_or(0, |s| s.index)
    }

    /// Sends the request to the engine.
    ///
    /// # Safety
    ///
    /// It is dispatched, until the evaluation has ended.
    pub(super) unsafe fn send(&self, path: Path, options: Id) -> Result<(), Error> {
        let loaded = &self.model;
        let framework = loaded.framework();
        let _pool = framework.pool();
        let quality = loaded.quality().value();
        let (request, inner) = (self.object.id(), loaded.inner());
        // SAFETY: live objects of the right classes; the caller's promise: the surfaces are not locked, and nobody can
        // lock them.
        unsafe {
            match (path, loaded.text()) {
                (Path::Model, Some(model)) => {
                    framework.try_send(EVALUATE, model, |error| (quality, options, request, error))
                }
                (Path::Model, None) => framework.try_send(CLIENT_EVALUATE, framework.client()?, |error| {
                    (inner, options, request, quality, error)
                }),
                (Path::Direct, _) => framework.try_send(EVALUATE_DIRECT, framework.client()?, |error| {
                    (inner, options, request, quality, error)
                }),
                (Path::RealTime, _) => framework.try_send(EVALUATE_REAL_TIME, framework.client()?, |error| {
                    (inner, options, request, error)
                }),
                (Path::Program(other), _) => {
                    let mut value = 0;
                    let mapper = framework.class(QOS_MAPPER).id();
                    let queue = framework.send(QUEUE_INDEX_FOR_QOS, mapper, (quality,));
                    let nothing =
                        || Error::Unexpected { message: "-[_ANEModel program]", gave: "nil".into() };
                    let program = other.or_else(|| loaded.program()).ok_or_else(nothing)?;
                    framework.try_send(PROCESS_REQUEST, program, |error| {
                        (request, inner, quality, queue, 0, options, &raw mut value, error)
                    })
                }
            }
        }
    }

    fn unmap(&self) {
        if !self.mapped.swap(false, Ordering::Relaxed) {
            return;
        }
        let framework = self.model.framework();
        let _pool = framework.pool();
        let (request, inner) = (self.object.id(), self.model.inner());
        // SAFETY: live objects of the right classes; the request was mapped, and it is the one that knows its mapping.
        unsafe {
            match (self.model.text(), framework.client()) {
                (Some(model), _) => framework.send(UNMAP_IO_SURFACES, model, (request,)),
                (None, Ok(client)) => framework.send(CLIENT_UNMAP_IO_SURFACES, client, (inner, request)),
                // It was mapped through the client, which stays.
                (None, Err(_)) => {}
            }
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.unmap();
    }
}

/// Takes surfaces for an evaluation: so many inputs, which are shared, and outputs. All, or none.
pub(super) fn dispatch_all(surfaces: &[Surface], inputs: usize, outputs: Share) -> Result<(), Error> {
    for (i, surface) in surfaces.iter().enumerate() {
        if let Err(e) = surface.dispatch(if i < inputs { Share::Shared } else { outputs }) {
            surfaces[..i].iter().for_each(Surface::finish);
            return Err(e);
        }
    }
    Ok(())
}

/// A request whose surfaces an evaluation has; dropped, they can be locked again, and the request can be run.
#[derive(Debug)]
pub(super) struct Dispatched<B: Deref<Target = Bound>> {
    bound: B,
}

impl<B: Deref<Target = Bound>> Dispatched<B> {
    pub(super) fn new(bound: B, outputs: Share) -> Result<Self, Error> {
        if bound.runs.swap(true, Ordering::Acquire) {
            return Err(Error::Surface("the request runs already: wait until it has ended".into()));
        }
        match dispatch_all(&bound.surfaces, bound.inputs, outputs) {
            Ok(()) => Ok(Self { bound }),
            Err(e) => {
                bound.runs.store(false, Ordering::Release);
                Err(e)
            }
        }
    }

    /// Gives the surfaces back, and what has them.
    pub(super) fn into_bound(self) -> B
    where
        B: Clone,
    {
        self.bound.clone()
    }
}

impl<B: Deref<Target = Bound>> Deref for Dispatched<B> {
    type Target = Bound;

    fn deref(&self) -> &Bound {
        &self.bound
    }
}

impl<B: Deref<Target = Bound>> Drop for Dispatched<B> {
    fn drop(&mut self) {
        self.bound.surfaces.iter().for_each(Surface::finish);
        self.bound.runs.store(false, Ordering::Release);
    }
}
