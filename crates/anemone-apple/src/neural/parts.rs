//! The parts of a loaded program that the framework makes when it loads it, made anew.

use std::sync::atomic::Ordering;

use super::loaded::Loaded;
use super::request::{Path, Request};
use crate::abi::{Bool, Id};
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;

/// A program with a queue of its own, and what maps surfaces for it, beside those that the model has.
///
/// The framework makes them in this way when it loads a model (source: decompilations of its client). What it is good for to
/// have others is not known; one report has mappers answer for models from folders only.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::experimental::ProgramParts;
/// let parts = ProgramParts::new(&model, 4)?; // for a queue of four
/// parts.run(&mut request)?;
/// parts.map(&mut request)?.unmap()?;
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct ProgramParts {
    model: Loaded,
    program: Retained,
    mapper: Retained,
}

// SAFETY: as the program and the mapper of a model, they may be used from any thread (sources: D:InMem, D:Mapper, which
// show that evaluations go to the driver on the caller's thread, and that mappings go through one queue).
unsafe impl Send for ProgramParts {}
// SAFETY: as above.
unsafe impl Sync for ProgramParts {}

impl ProgramParts {
    /// Makes the parts, with a queue of so many evaluations.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] unless that is 1 to 127, [`Error::Unavailable`] when this macOS has no such parts,
    /// [`Error::Unexpected`] when it makes none, or others than were asked for.
    pub fn new(model: &Loaded, queue: usize) -> Result<Self, Error> {
        let framework = model.framework();
        framework.require(Feature::ProgramParts)?;
        framework.require(Feature::ProcessRequest)?;
        framework.require(Feature::Diagnostics)?;
        let depth = i8::try_from(queue).ok().filter(|&d| d > 0);
        let depth = depth
            .ok_or_else(|| Error::Invalid(format!("a queue holds 1 to 127 evaluations, not {queue}")))?;
        let _pool = framework.pool();
        // SAFETY: the model is alive and loaded, so that its handles are those of a program of the driver; factories give
        // nil or autoreleased objects, and the pool is open.
        unsafe {
            let handle = framework.send(MODEL_PROGRAM_HANDLE, model.inner(), ());
            let buffer = framework.send(INTERMEDIATE_BUFFER_HANDLE, model.inner(), ());
            let class = framework.class(PROGRAM_FOR_EVALUATION).id();
            let made = framework.send(PROGRAM_WITH_HANDLE, class, (handle, buffer, depth));
            let program =
                foundation::made(framework, made, "+[_ANEProgramForEvaluation programWithHandle:…]")?;
            let mapper = mapper(framework, handle)?;
            Ok(Self { model: model.clone(), program, mapper })
        }
    }

    /// Runs a request of the model through the program.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Invalid`] when the request is of another model.
    pub fn run(&self, request: &mut Request) -> Result<(), Error> {
        self.check(request)?;
        let options = self.model.options();
        request.evaluate(Path::Program(Some(self.program.id())), options)
    }

    /// Maps the surfaces of a request, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the request is of another model, is mapped already, or is not valid for the mapper;
    /// [`Error::Refused`] when the driver does not want to; [`Error::Surface`] when an evaluation is under way.
    pub fn map<'a>(&'a self, request: &'a mut Request) -> Result<Mapped<'a>, Error> {
        self.check(request)?;
        request.bound.idle()?;
        if request.is_mapped() {
            return Err(Error::Invalid("the request is mapped already".into()));
        }
        let framework = self.model.framework();
        let (object, inner, mapper) = (request.bound.object.id(), self.model.inner(), self.mapper.id());
        let _pool = framework.pool();
        // SAFETY: live objects of the right classes.
        unsafe {
            if !framework.send(MAPPER_VALIDATE, mapper, (object, inner)).get() {
                return Err(Error::Invalid(
                    "the mapper does not find the request valid for its model".into(),
                ));
            }
            framework.try_send(MAPPER_MAP, mapper, |error| (inner, object, Bool::YES, error))?;
        }
        request.bound.mapped.store(true, Ordering::Relaxed);
        Ok(Mapped { parts: self, request })
    }

    fn check(&self, request: &Request) -> Result<(), Error> {
        if request.model().inner() != self.model.inner() {
            return Err(Error::Invalid("the request is of another model than the parts".into()));
        }
        Ok(())
    }
}

/// Makes a mapper of a controller of its own, as the framework does, and looks that both are of the program.
///
/// # Safety
///
/// The handle is that of a loaded program, and a pool is open.
unsafe fn mapper(framework: &Framework, handle: u64) -> Result<Retained, Error> {
    // SAFETY: the caller's promise; factories give nil or autoreleased objects.
    unsafe {
        let class = framework.class(DEVICE_CONTROLLER).id();
        let controller = framework.send(CONTROLLER_WITH_PROGRAM_HANDLE, class, (handle,));
        let class = framework.class(PROGRAM_IO_SURFACES_MAPPER).id();
        let made = if controller.is_nil() {
            framework.send(MAPPER_WITH_PROGRAM_HANDLE, class, (handle,))
        } else {
            let found = framework.send(CONTROLLER_PROGRAM_HANDLE, controller, ());
            if found != handle {
                let gave = format!("{found} of a controller that was made of {handle}");
                return Err(Error::Unexpected { message: "-[_ANEDeviceController programHandle]", gave });
            }
            framework.send(MAPPER_WITH_CONTROLLER, class, (controller,))
        };
        foundation::made(framework, made, "+[_ANEProgramIOSurfacesMapper mapperWithController:]")
    }
}

/// A request whose surfaces are mapped; dropped, they are no more.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// # let mut request = model.request("main", &[("x", &x)], &[("y", &y)])?;
/// use anemone_apple::neural::experimental::{Mapped, ProgramParts};
/// let parts = ProgramParts::new(&model, 4)?;
/// let mut mapped: Mapped<'_> = parts.map(&mut request)?;
/// mapped.request().run()?;
/// mapped.unmap()?; // or by dropping it, without an answer
/// assert!(!request.is_mapped());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the mapping ends when it is dropped"]
pub struct Mapped<'a> {
    parts: &'a ProgramParts,
    request: &'a mut Request,
}

impl Mapped<'_> {
    /// The request.
    pub fn request(&mut self) -> &mut Request {
        self.request
    }

    /// Ends the mapping, and says whether that went well.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when an evaluation is under way, [`Error::Refused`] when the driver does not want to. The
    /// request ends the mapping then when it is dropped.
    pub fn unmap(self) -> Result<(), Error> {
        self.end()
    }

    fn end(&self) -> Result<(), Error> {
        let bound = &*self.request.bound;
        bound.idle()?;
        if !bound.mapped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let framework = self.parts.model.framework();
        let (object, inner): (Id, Id) = (bound.object.id(), self.parts.model.inner());
        let _pool = framework.pool();
        // SAFETY: live objects of the right classes; the request was mapped, and knows its mapping.
        unsafe {
            framework.try_send(MAPPER_UNMAP, self.parts.mapper.id(), |error| (inner, object, error))?;
        }
        bound.mapped.store(false, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // Where it fails, the request has the mapping still, and ends it at its own end.
        let _ = self.end();
    }
}
