//! Requests: surfaces bound to the symbols of a function, run as often as wanted.

use super::attributes::{Procedure, Symbol};
use super::model::Loaded;
use super::options::EvaluateOptions;
use crate::abi::Id;
use crate::error::Error;
use crate::foundation;
use crate::framework::Retained;
use crate::message::Feature;
use crate::messages::*;
use crate::surface::Surface;

/// A function of a loaded model with surfaces for its inputs and outputs.
///
/// While it runs nobody can lock its surfaces. It keeps the model loaded.
#[derive(Debug)]
pub struct Request {
    pub(super) model: Loaded,
    pub(super) object: Retained,
    pub(super) procedure: usize,
    pub(super) surfaces: Vec<Surface>,
    inputs: usize,
}

/// How a request reaches the engine. All give the same results; for programs of practical size they take the same time
/// (source: dev-erik/ANE).
#[derive(Clone, Copy)]
enum Path {
    Model,
    Direct,
    Program,
}

// SAFETY: a request is used by one thread at a time; its objects may be used on any thread, as those of the model.
unsafe impl Send for Request {}

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
        let framework = self.framework().clone();
        let function = self.attributes().procedure(procedure).ok_or_else(|| {
            let names: Vec<&str> = self.attributes().procedures.iter().map(|p| p.name.as_str()).collect();
            Error::Invalid(format!(
                "the model has no function `{procedure}`; it has `{}`",
                names.join("`, `")
            ))
        })?;
        let bound_inputs = bind("input", &function.inputs, inputs)?;
        let bound_outputs = bind("output", &function.outputs, outputs)?;
        for (i, (symbol, surface)) in bound_outputs.iter().enumerate() {
            let twice = bound_outputs[..i].iter().chain(&bound_inputs).any(|(_, s)| s == surface);
            if twice {
                let name = &symbol.name;
                return Err(Error::Invalid(format!(
                    "the surface of the output `{name}` is bound a second time"
                )));
            }
        }
        let _pool = framework.pool();
        let lists = |bound: &[(&Symbol, &Surface)]| {
            let mut objects = Vec::new();
            let mut indices = Vec::new();
            for (symbol, surface) in bound {
                let class = framework.class(IO_SURFACE_OBJECT).id();
                // SAFETY: a live surface, which the object retains.
                objects.push(unsafe {
                    let made = framework.send(OBJECT_WITH_IO_SURFACE, class, (surface.raw(),));
                    foundation::made(&framework, made, "+[_ANEIOSurfaceObject objectWithIOSurface:]")?
                });
                indices.push(foundation::number(&framework, symbol.index)?);
            }
            Ok::<_, Error>((
                foundation::array(&framework, &objects)?,
                foundation::array(&framework, &indices)?,
            ))
        };
        let (input_objects, input_indices) = lists(&bound_inputs)?;
        let (output_objects, output_indices) = lists(&bound_outputs)?;
        let index = foundation::number(&framework, function.index)?;
        let arguments = (
            input_objects.id(),
            input_indices.id(),
            output_objects.id(),
            output_indices.id(),
            Id::NIL,
            Id::NIL,
            index.id(),
        );
        let class = framework.class(REQUEST).id();
        // SAFETY: arrays of surface objects and of as many numbers, a number, and nil where it is allowed.
        let object = unsafe {
            let made = framework.send(REQUEST_WITH, class, arguments);
            let object = foundation::made(&framework, made, "+[_ANERequest requestWithInputs:…]")?;
            if !framework.send(VALIDATE, object.id(), ()).get() {
                return Err(Error::Unexpected { message: "-[_ANERequest validate]", gave: "NO".into() });
            }
            object
        };
        let surfaces = bound_inputs.iter().chain(&bound_outputs).map(|(_, s)| (*s).clone()).collect();
        let procedure =
            self.attributes().procedures.iter().position(|p| std::ptr::eq(p, function)).unwrap_or(0);
        let inputs = bound_inputs.len();
        Ok(Request { model: self.clone(), object, procedure, surfaces, inputs })
    }
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

impl Request {
    /// The model.
    pub fn model(&self) -> &Loaded {
        &self.model
    }

    /// The function.
    pub fn procedure(&self) -> &Procedure {
        &self.model.attributes().procedures[self.procedure]
    }

    /// The surfaces of the inputs, in the order of the function's symbols.
    pub fn inputs(&self) -> &[Surface] {
        &self.surfaces[..self.inputs]
    }

    /// The surfaces of the outputs, in the order of the function's symbols.
    pub fn outputs(&self) -> &[Surface] {
        &self.surfaces[self.inputs..]
    }

    /// Runs the function, and returns when the outputs are written. One message is sent, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody holds a lock of one of the surfaces, [`Error::Refused`] when the engine refuses.
    pub fn run(&mut self) -> Result<(), Error> {
        self.evaluate(Path::Model, self.model.options().id())
    }

    /// Runs the function through the client, without the model.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Unavailable`] when this macOS cannot.
    pub fn run_direct(&mut self) -> Result<(), Error> {
        self.model.framework().require(Feature::Direct)?;
        self.evaluate(Path::Direct, self.model.options().id())
    }

    /// Runs the function through the program, below the model.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::Unavailable`] when this macOS cannot.
    pub fn run_program(&mut self) -> Result<(), Error> {
        self.model.framework().require(Feature::ProcessRequest)?;
        self.evaluate(Path::Program, self.model.options().id())
    }

    /// Runs the function with options.
    ///
    /// # Errors
    ///
    /// As [`Request::run`].
    pub fn run_with(&mut self, options: EvaluateOptions) -> Result<(), Error> {
        let dictionary = options.dictionary(self.model.framework())?;
        self.evaluate(Path::Model, dictionary.id())
    }

    fn evaluate(&mut self, path: Path, options: Id) -> Result<(), Error> {
        let _dispatched = Dispatched::new(&self.surfaces)?;
        let model = &self.model;
        let framework = model.framework();
        let _pool = framework.pool();
        let quality = model.quality().value();
        let request = self.object.id();
        // SAFETY: live objects of the right classes; the surfaces of the request are not locked, and nobody can lock
        // them until `_dispatched` is dropped.
        unsafe {
            match path {
                Path::Model => framework
                    .try_send(EVALUATE, model.object().id(), |error| (quality, options, request, error)),
                Path::Direct => {
                    let client = client(framework);
                    framework.try_send(EVALUATE_DIRECT, client, |error| {
                        (model.inner().id(), options, request, quality, error)
                    })
                }
                Path::Program => {
                    let mut value = 0;
                    let queue =
                        framework.send(QUEUE_INDEX_FOR_QOS, framework.class(QOS_MAPPER).id(), (quality,));
                    let program = framework.send(PROGRAM, model.object().id(), ());
                    if program.is_nil() {
                        return Err(Error::Unexpected {
                            message: "-[_ANEInMemoryModel program]",
                            gave: "nil".into(),
                        });
                    }
                    framework.try_send(PROCESS_REQUEST, program, |error| {
                        (request, model.inner().id(), quality, queue, 0, options, &raw mut value, error)
                    })
                }
            }
        }
    }
}

/// The shared client, which lives as long as the process.
///
/// # Safety
///
/// A feature with messages of the client was required.
pub(super) unsafe fn client(framework: &crate::framework::Framework) -> Id {
    // SAFETY: the caller's promise.
    unsafe { framework.send(SHARED_CONNECTION, framework.class(CLIENT).id(), ()) }
}

/// Surfaces that an evaluation has; dropped, they can be locked again.
pub(super) struct Dispatched<'a>(&'a [Surface]);

impl<'a> Dispatched<'a> {
    pub(super) fn new(surfaces: &'a [Surface]) -> Result<Self, Error> {
        for (i, surface) in surfaces.iter().enumerate() {
            if let Err(e) = surface.dispatch() {
                surfaces[..i].iter().for_each(Surface::finish);
                return Err(e);
            }
        }
        Ok(Self(surfaces))
    }
}

impl Drop for Dispatched<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Surface::finish);
    }
}
