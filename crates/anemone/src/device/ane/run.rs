//! Loading and running on the engine: tensors to surfaces and back.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anemone_apple::neural::{self, Program, QualityOfService, StatisticsMask, Symbol};
use anemone_apple::{Framework, Surface};

use super::super::{Feature, Outputs};
use super::Error;
use super::source::{Interface, Source};
use crate::source::{Diagnostic, codes, suggest};
use crate::types::{DType, Tensor, TensorType, Type};
use crate::verify::Verified;

/// A program that the engine is ready to run. It is unloaded when it is dropped.
///
/// It can be shared between threads. Each of them that runs it at the same time as others gets surfaces of its own,
/// which are kept for later runs.
///
/// ```
/// use anemone::device::{Outputs, ane::{Error, Loaded}};
/// use anemone::types::{DType, Tensor};
/// fn names(model: &Loaded) -> Vec<String> {
///     let features = [model.inputs("main"), model.outputs("main")].into_iter().flatten().flatten();
///     println!("{}", model.model().identity());
///     features.map(|feature| feature.name.to_string()).collect()
/// }
/// fn zeros(model: &Loaded) -> Result<Outputs, Error> {
///     model.run("main", &[("x", Tensor::zeros(DType::Fp16, &[1, 4, 1, 64]).expect("it is small"))])
/// }
/// ```
#[derive(Debug)]
pub struct Loaded {
    model: neural::Loaded,
    functions: Vec<Bound>,
}

/// A function, and requests that nobody uses at the moment.
#[derive(Debug)]
struct Bound {
    interface: Interface,
    idle: Mutex<Vec<neural::Request>>,
}

/// How a program is to be compiled, loaded and run.
///
/// ```
/// use anemone::device::ane::{QualityOfService, Settings, StatisticsMask};
/// let settings = Settings { quality: QualityOfService::UserInteractive, ..Settings::default() };
/// assert_eq!((settings.quality.value(), settings.statistics), (33, None));
/// let counted = Settings { statistics: Some(StatisticsMask::ALL), ..settings };
/// assert_ne!(counted.statistics, settings.statistics);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The quality of service.
    pub quality: QualityOfService,
    /// Which statistics evaluations gather. Of a program of text only: nobody is known to have got any of a package.
    pub statistics: Option<StatisticsMask>,
}

/// A program that the system has compiled, or has found compiled in its cache.
///
/// ```
/// use anemone::device::ane::{Compiled, Error, Framework, Loaded, Settings, Source};
/// fn load(framework: &Framework, source: &Source) -> Result<Loaded, Error> {
///     Compiled::of_source(framework, source, Settings::default())?.load()
/// }
/// ```
#[derive(Debug)]
pub struct Compiled {
    model: System,
    functions: Vec<Interface>,
    quality: QualityOfService,
}

#[derive(Debug)]
enum System {
    Text(neural::Model<neural::Compiled>),
    Package(neural::Package<neural::Compiled>),
}

impl Compiled {
    /// Has the system compile a program; what its cache has compiled is not compiled again.
    ///
    /// # Errors
    ///
    /// [`Error::Apple`] when Apple's side refuses.
    pub fn of_source(framework: &Framework, source: &Source, settings: Settings) -> Result<Self, Error> {
        let weights: Vec<(&str, &[u8])> = source.weights().collect();
        let program = Program { text: source.text(), weights: &weights };
        let mut model = neural::Model::describe(framework, &program)?;
        if let Some(mask) = settings.statistics {
            model = model.with_statistics(mask)?;
        }
        let model = System::Text(model.compile(settings.quality)?);
        Ok(Self { model, functions: source.functions().to_vec(), quality: settings.quality })
    }

    /// Has the system compile the compiled model in a folder, whose program this is. The key is a part of what the
    /// system knows it by.
    ///
    /// ```
    /// use anemone::device::ane::{Compiled, Framework, Settings};
    /// use anemone::{bundle, verify};
    /// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/right/compiled.mlmodelc");
    /// let bundle = bundle::open(folder)?;
    /// let verified = verify::verify(&bundle.program, &bundle.weights).verified.expect("the program is right");
    /// if let Ok(framework) = Framework::open() {
    ///     // Only on a Mac with an engine.
    ///     Compiled::of_package(&framework, folder.as_ref(), "key", &verified, Settings::default())?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Apple`] when Apple's side refuses, or when statistics are wanted.
    pub fn of_package(
        framework: &Framework,
        folder: &Path,
        key: &str,
        verified: &Verified,
        settings: Settings,
    ) -> Result<Self, Error> {
        if settings.statistics.is_some() {
            let why = "statistics are gathered of programs of MIL text only: leave the mask 0 for a package";
            return Err(anemone_apple::Error::Invalid(why.into()).into());
        }
        let model = neural::Package::describe(framework, folder, key)?.compile(settings.quality)?;
        let functions = verified.functions().iter().map(Interface::of).collect();
        Ok(Self { model: System::Package(model), functions, quality: settings.quality })
    }

    /// Loads the program.
    ///
    /// # Errors
    ///
    /// [`Error::Apple`] when Apple's side refuses, or when the loaded model's tensors are not those of the program.
    pub fn load(self) -> Result<Loaded, Error> {
        let model = match self.model {
            System::Text(model) => model.load(self.quality)?,
            System::Package(model) => model.load(self.quality)?,
        };
        for f in &self.functions {
            let procedure =
                model.attributes().procedure(&f.name).ok_or_else(|| unlike(&f.name, "is not there"))?;
            for (features, symbols) in [(&f.inputs, &procedure.inputs), (&f.outputs, &procedure.outputs)] {
                for feature in features {
                    let symbol = symbols.iter().find(|s| feature.name == *s.name);
                    let symbol = symbol.ok_or_else(|| unlike(&feature.name, "is not there"))?;
                    let fits = feature.ty.as_tensor().is_some_and(|ty| holds(symbol, ty));
                    if !fits {
                        let what = format!("is {}, and the program says `{}`", shown(symbol), feature.ty);
                        return Err(unlike(&feature.name, &what));
                    }
                }
            }
        }
        let functions =
            self.functions.into_iter().map(|interface| Bound { interface, idle: Mutex::default() }).collect();
        Ok(Loaded { model, functions })
    }
}

/// The model that Apple's side has made is not that of the program.
fn unlike(name: &str, what: &str) -> Error {
    let gave = format!("attributes in which `{name}` {what}");
    anemone_apple::Error::Unexpected { message: "-[_ANEModel modelAttributes]", gave }.into()
}

/// The type of a feature of a [`Source`], which are all tensors.
fn tensor_type(ty: &Type) -> &TensorType {
    ty.as_tensor().expect("a source takes and gives tensors only")
}

/// Whether a symbol holds tensors of this type: its extents, without those that are 1, are those of the shape.
fn holds(symbol: &Symbol, ty: &TensorType) -> bool {
    let element = match ty.dtype {
        DType::Fp16 => "Float16",
        DType::Fp32 => "Float32",
        DType::Int8 => "Int8",
        DType::UInt8 => "UInt8",
        DType::Int32 => "Int32",
        _ => return false,
    };
    let extents = [symbol.batches, symbol.channels, symbol.height, symbol.width];
    let shape = ty.shape.known().unwrap_or_default();
    let beyond_one = |n: &&usize| **n != 1;
    symbol.element == element && extents.iter().filter(beyond_one).eq(shape.iter().filter(beyond_one))
}

fn shown(s: &Symbol) -> String {
    format!("{} [{}, {}, {}, {}]", s.element, s.batches, s.channels, s.height, s.width)
}

/// Visits the rows of a symbol: where each lies in the surface, and in the tensor.
fn rows(symbol: &Symbol, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
    let row = symbol.width * symbol.element_bytes;
    let mut at = 0;
    for batch in 0..symbol.batches {
        for channel in 0..symbol.channels {
            for line in 0..symbol.height {
                let start =
                    batch * symbol.batch_stride + channel * symbol.plane_stride + line * symbol.row_stride;
                each(start, at..at + row);
                at += row;
            }
        }
    }
}

impl Loaded {
    /// The loaded model below: it makes requests on surfaces of the caller's.
    pub fn model(&self) -> &neural::Loaded {
        &self.model
    }

    /// What a function takes.
    pub fn inputs(&self, function: &str) -> Option<&[Feature]> {
        self.function(function).map(|f| &f.interface.inputs[..])
    }

    /// What a function gives.
    pub fn outputs(&self, function: &str) -> Option<&[Feature]> {
        self.function(function).map(|f| &f.interface.outputs[..])
    }

    fn function(&self, name: &str) -> Option<&Bound> {
        self.functions.iter().find(|f| f.interface.name == *name)
    }

    /// Runs a function once.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with `input-missing`, `input-unknown` or `input-type`; [`Error::Apple`] when there is no such
    /// function, or when the engine refuses.
    pub fn run(&self, function: &str, inputs: &[(&str, Tensor)]) -> Result<Outputs, Error> {
        let f = self.function(function).ok_or_else(|| {
            let names: Vec<&str> = self.functions.iter().map(|f| &*f.interface.name).collect();
            let message = format!("there is no function `{function}`; there is `{}`", names.join("`, `"));
            anemone_apple::Error::Invalid(message)
        })?;
        check_inputs(&f.interface, inputs)?;
        let idle = f.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut request = idle.map_or_else(|| self.request(function), Ok)?;
        let result = exchange(&mut request, &f.interface, inputs);
        f.idle.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        result
    }

    /// A request with surfaces of its own.
    fn request(&self, function: &str) -> Result<neural::Request, Error> {
        let procedure =
            self.model.attributes().procedure(function).expect("loading has found every function");
        let make =
            |symbols: &[Symbol]| symbols.iter().map(|s| self.model.surface(s)).collect::<Result<Vec<_>, _>>();
        let (inputs, outputs) = (make(&procedure.inputs)?, make(&procedure.outputs)?);
        fn named<'a>(symbols: &'a [Symbol], surfaces: &'a [Surface]) -> Vec<(&'a str, &'a Surface)> {
            symbols.iter().map(|s| s.name.as_str()).zip(surfaces).collect()
        }
        let (i, o) = (named(&procedure.inputs, &inputs), named(&procedure.outputs, &outputs));
        Ok(self.model.request(function, &i, &o)?)
    }
}

/// Writes the inputs, runs, and reads the outputs.
fn exchange(
    request: &mut neural::Request,
    interface: &Interface,
    inputs: &[(&str, Tensor)],
) -> Result<Outputs, Error> {
    for (symbol, surface) in request.procedure().inputs.iter().zip(request.inputs()) {
        let (_, tensor) = inputs.iter().find(|(n, _)| *n == symbol.name).expect("the inputs were compared");
        let bytes = tensor.bytes();
        let mut held = surface.write()?;
        rows(symbol, |at, row| held[at..at + row.len()].copy_from_slice(&bytes[row]));
    }
    request.run()?;
    let mut outputs = Outputs::new();
    for feature in &interface.outputs {
        let procedure = request.procedure();
        let at =
            procedure.outputs.iter().position(|s| feature.name == *s.name).expect("loading has found it");
        let symbol = &procedure.outputs[at];
        let held = request.outputs()[at].read()?;
        let mut bytes = vec![0; symbol.elements() * symbol.element_bytes];
        rows(symbol, |at, row| bytes[row.clone()].copy_from_slice(&held[at..at + row.len()]));
        let ty = tensor_type(&feature.ty);
        let tensor = Tensor::from_bytes(ty.dtype, &ty.shape.known().unwrap_or_default(), &bytes)
            .map_err(|e| Diagnostic::new(&codes::TENSOR_TOO_LARGE, e.to_string()))?;
        outputs.push((feature.name.clone(), tensor.into()));
    }
    Ok(outputs)
}

fn check_inputs(interface: &Interface, inputs: &[(&str, Tensor)]) -> Result<(), Diagnostic> {
    for (name, _) in inputs {
        if !interface.inputs.iter().any(|f| f.name == *name) {
            let d = Diagnostic::new(&codes::INPUT_UNKNOWN, format!("the function has no input `{name}`"));
            let near = suggest(name, interface.inputs.iter().map(|f| &*f.name));
            return Err(near.map_or(d.clone(), |near| d.help(format!("did you mean `{near}`?"))));
        }
    }
    for f in &interface.inputs {
        let Some((_, tensor)) = inputs.iter().find(|(n, _)| f.name == *n) else {
            return Err(Diagnostic::new(
                &codes::INPUT_MISSING,
                format!("the input `{}` is not given", f.name),
            ));
        };
        let found = Type::from(tensor.ty());
        if !found.fits(&f.ty) {
            let message = format!("`{}` is `{found}`, and the function takes `{}`", f.name, f.ty);
            return Err(Diagnostic::new(&codes::INPUT_TYPE, message));
        }
    }
    Ok(())
}
