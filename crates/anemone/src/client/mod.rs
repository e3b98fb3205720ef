//! Models on an engine: compiled, loaded, and run on surfaces.
//!
//! A [`Client`] compiles MIL text or packages into [`Model`]s, for the hardware or for the software engine; the same
//! calls work on both.
//!
//! ```text
//! MIL text + weights ─┐
//! .mlmodelc folder  ──┼─▶ gate ─▶ compile ─▶ load ─▶ Model: surfaces, bound ─▶ eval
//! mil::Program      ──┘
//! ```
//!
//! ```
//! use anemone::{Chip, Client, CompileOptions};
//! let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y); }";
//! let client = Client::software(Chip::M4); // `Client::open` takes the hardware where there is some
//! let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
//! model.write_input_f32("x", &[-1.0, 1.0])?;
//! model.eval()?;
//! let mut y = [0.0; 2];
//! model.read_output_f32("y", &mut y)?;
//! assert_eq!(y, [0.0, 1.0]);
//! # Ok::<(), anemone::Error>(())
//! ```

pub(crate) mod engine;
mod evaluation;
mod event;
mod event_run;
mod info;
pub(crate) mod kernel;
mod launch;
mod metal;
mod model;
mod options;
mod parts;
mod pipeline;
mod pool;
pub(crate) mod recent;
mod request;
#[cfg(test)]
mod simulation;
mod software;
mod state;
mod sync;
mod timeline;
mod workers;

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anemone_apple::{Framework, neural};

pub use evaluation::Evaluation;
pub use event::{SharedEvent, SharedEventEvalOptions};
pub use info::{DeviceInfo, probe};
pub use metal::{MetalBuffer, MetalDevice, MetalEvent};
pub use model::Model;
pub use options::{CompileOptions, CompileStats, MetricSink, ModelType, WeightFile};
pub use pipeline::Pipeline;
pub use pool::{PooledRequest, RequestPool};
pub(crate) use request::Access;
pub use request::{Request, Which};
pub use state::{StateHandle, StateSnapshot};

use crate::bundle::{self, Form, Weights};
use crate::chip::{Chip, Numerics};
use crate::device::ane::{QualityOfService, Settings, StatisticsMask};
use crate::error::{Doing, Error};
use crate::faults::Faults;
use crate::mil::Program;
use crate::surface::{Surface, TensorLayout, frameworks};
use engine::{Checked, Compiled, Engine, How, Software};
use workers::Workers;

/// What compiles programs for an engine: the hardware's, or the software engine, which stands for a chip.
///
/// Copies are the same client; its models outlive it.
///
/// ```
/// use anemone::{Client, chip::Chip};
/// let client = Client::software(Chip::M4);
/// assert_eq!((client.info().architecture.as_str(), client.info().has_ane), ("h16g", false));
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    info: DeviceInfo,
    compiled: AtomicU64,
}

impl Client {
    /// The client of the hardware where it is, and else of the software engine, standing for an M4.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedSelector`] on a Mac whose frameworks are not those that anemone knows.
    pub fn open() -> Result<Self, Error> {
        match Self::hardware() {
            Err(Error::NoAne) => Ok(Self::software(Chip::default())),
            other => other,
        }
    }

    /// The client of the hardware.
    ///
    /// # Errors
    ///
    /// [`Error::NoAne`] when there is none, [`Error::UnsupportedSelector`] when this macOS has changed.
    pub fn hardware() -> Result<Self, Error> {
        let framework = frameworks().map_err(|e| Error::from_apple(Doing::Load, e.clone()))?;
        let client = Self::over(framework);
        // A Mac without the engine has the frameworks all the same.
        if neural::DeviceInfo::read(framework).has_engine == Some(false) {
            return Err(Error::NoAne);
        }
        Ok(client)
    }

    /// The client of the software engine, which stands for this chip: what it says of itself is of it. It computes with the
    /// arithmetic of IEEE; [`software_with`](Client::software_with) has it compute as the chip does.
    pub fn software(chip: Chip) -> Self {
        Self::software_with(chip, Numerics::Ieee)
    }

    /// The client of the software engine, which stands for this chip and computes with this arithmetic.
    ///
    /// ```
    /// use anemone::{Client, CompileOptions, chip::{Chip, Numerics}};
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 1, 1, 2]> x) {
    ///     tensor<fp16, [1, 1, 1, 2]> y = add(x = x, y = x); } -> (y); }";
    /// let options = CompileOptions { mil_text: text.into(), ..CompileOptions::default() };
    /// let mut model = Client::software_with(Chip::M4, Numerics::Chip(Chip::M4)).compile(&options)?;
    /// model.write_input_f32(0, &[1.0, f32::INFINITY])?;
    /// model.eval()?;
    /// let mut y = [0.0; 2];
    /// model.read_output_f32(0, &mut y)?;
    /// assert_eq!(y, [2.0, f32::INFINITY]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    pub fn software_with(chip: Chip, numerics: Numerics) -> Self {
        Self::of_software(chip, numerics, None)
    }

    /// The client of the software engine, which misbehaves as these faults say: for tests of applications.
    ///
    /// ```
    /// use anemone::faults::{Fault, Faults, When};
    /// use anemone::{Chip, Client, CompileOptions, Error, Graph, Shape, chip::Numerics};
    /// let faults = Faults::none().with(Fault::CompilerDies, When::First(1));
    /// let client = Client::software_with_faults(Chip::M4, Numerics::Ieee, &faults);
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(1, 1, 64));
    /// g.relu(x);
    /// assert!(matches!(g.compile_on(&client, CompileOptions::default()), Err(Error::Compile(_))));
    /// assert!(g.compile_on(&client, CompileOptions::default()).is_ok(), "an application tries once more");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn software_with_faults(chip: Chip, numerics: Numerics, faults: &Faults) -> Self {
        Self::of_software(chip, numerics, Some(faults.clone()))
    }

    fn of_software(chip: Chip, numerics: Numerics, faults: Option<Faults>) -> Self {
        let software = Software { workers: Arc::new(Workers::new()), numerics, faults };
        Self::of(Engine::Software(software), DeviceInfo::software(chip))
    }

    /// The client over opened frameworks: those of a system, or those of a stand-in in tests.
    ///
    /// ```
    /// use anemone::Client;
    /// use anemone_apple::Framework;
    /// // Who has opened the frameworks, to log what is sent or over a stand-in, has a client of that.
    /// if let Ok(framework) = Framework::open() {
    ///     assert!(Client::over(&framework).is_hardware());
    /// }
    /// ```
    pub fn over(framework: &Framework) -> Self {
        let info = DeviceInfo::of(&neural::DeviceInfo::read(framework));
        Self::of(Engine::Hardware(framework.clone()), info)
    }

    fn of(engine: Engine, info: DeviceInfo) -> Self {
        Self(Arc::new(Inner { engine, info, compiled: AtomicU64::new(0) }))
    }

    /// Gives the client up, as dropping it does. Its models stay.
    ///
    /// ```compile_fail,E0382
    /// # fn closed(client: anemone::Client) {
    /// client.close();
    /// client.info();
    /// # }
    /// ```
    pub fn close(self) {}

    /// What the client's engine says about itself.
    pub fn info(&self) -> &DeviceInfo {
        &self.0.info
    }

    /// Whether programs run on hardware.
    ///
    /// ```
    /// use anemone::{Chip, Client};
    /// assert!(!Client::software(Chip::M4).is_hardware());
    /// ```
    pub fn is_hardware(&self) -> bool {
        matches!(self.0.engine, Engine::Hardware(_))
    }

    /// Makes a surface that the client's engine can reach, for a tensor that lies so.
    ///
    /// ```
    /// use anemone::{Client, TensorLayout, chip::Chip};
    /// let layout = TensorLayout::new(2, 1, 40, 2)?;
    /// assert_eq!(Client::software(Chip::M4).surface(&layout)?.size(), 256);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when it cannot be made.
    pub fn surface(&self, layout: &TensorLayout) -> Result<Surface, Error> {
        if let Engine::Software(Software { faults: Some(faults), .. }) = &self.0.engine {
            faults.machine().surface(layout.alloc_size())?;
        }
        let framework = self.framework().or_else(|| frameworks().ok());
        Surface::laid_out(framework, layout)
    }

    /// The frameworks, of a client of hardware.
    pub(crate) fn framework(&self) -> Option<&Framework> {
        match &self.0.engine {
            Engine::Hardware(framework) => Some(framework),
            Engine::Software(_) => None,
        }
    }

    /// How many programs the client has compiled.
    pub fn compile_count(&self) -> u64 {
        self.0.compiled.load(Ordering::Relaxed)
    }

    /// Compiles and loads a model.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with everything that is wrong with the program; [`Error::Invalid`] when the options contradict
    /// each other; [`Error::Open`] when a package cannot be opened; [`Error::Compile`], [`Error::ModelLoad`] and
    /// [`Error::CompileBudgetExhausted`] when the engine refuses; [`Error::UnsupportedLayout`] when an input or output
    /// cannot lie in a surface.
    pub fn compile(&self, options: impl Borrow<CompileOptions>) -> Result<Model, Error> {
        self.compile_with_stats(options).map(|(model, _)| model)
    }

    /// Compiles and loads a model, and says how long both took.
    ///
    /// ```
    /// use anemone::{Chip, Client, CompileOptions};
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
    /// let client = Client::software(Chip::M4);
    /// let (model, stats) = client.compile_with_stats(CompileOptions { mil_text: text.into(), ..Default::default() })?;
    /// assert_eq!((client.compile_count(), model.num_outputs()), (1, 1));
    /// println!("{stats:?}");
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Client::compile`].
    pub fn compile_with_stats(
        &self,
        options: impl Borrow<CompileOptions>,
    ) -> Result<(Model, CompileStats), Error> {
        let options = options.borrow();
        let how = options.how()?;
        let begin = Instant::now();
        let compiled = match options.model_type {
            ModelType::Mil => options
                .checked()
                .and_then(|checked| self.compile_checked(&checked, how))
                .map_err(|e| e.in_text(&options.mil_text))?,
            ModelType::Package => self.compile_package(options, how)?,
        };
        self.finish(compiled, options, begin)
    }

    /// Compiles and loads a program that is there as such, with its weights; what the options say of text, weights and
    /// packages is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Client::compile`].
    pub fn compile_program(
        &self,
        program: &Program,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Model, Error> {
        let how = options.how()?;
        let begin = Instant::now();
        let checked = Checked::new(program.clone(), weights.clone())?;
        let compiled = self.compile_checked(&checked, how)?;
        self.finish(compiled, options, begin).map(|(model, _)| model)
    }

    pub(crate) fn compile_checked(&self, checked: &Checked, how: How<'_>) -> Result<Compiled, Error> {
        let compiled = Compiled::new(&self.0.engine, checked, how)?;
        self.0.compiled.fetch_add(1, Ordering::Relaxed);
        Ok(compiled)
    }

    fn compile_package(&self, options: &CompileOptions, how: How<'_>) -> Result<Compiled, Error> {
        let path = &options.package_path;
        if path.as_os_str().is_empty() {
            return Err(Error::Invalid("there is no package to open: give `package_path`".into()));
        }
        if !options.mil_text.is_empty() {
            return Err(Error::Invalid(
                "MIL text is given, and a package is to be opened: set `model_type` to `ModelType::Mil`"
                    .into(),
            ));
        }
        let bundle = bundle::open(path).map_err(|e| {
            let source: Box<dyn std::error::Error + Send + Sync> = match e {
                bundle::Error::Io { path: of, source } if of == *path => source.into(),
                e => e.into(),
            };
            Error::Open { path: path.clone(), source }
        })?;
        let form = bundle.form;
        let checked = Checked::new(bundle.program, bundle.weights)?;
        let Engine::Hardware(framework) = &self.0.engine else {
            return self.compile_checked(&checked, how).map(Compiled::into_package);
        };
        if form != Form::Compiled {
            return Err(Error::Invalid(format!(
                "{} is not a compiled model, which is what the system takes: `anemone convert` makes an .mlmodelc of it",
                path.display()
            )));
        }
        let key = if options.model_key.is_empty() { "s" } else { &options.model_key };
        let compiled = Compiled::of_package(framework, path, key, &checked, how)?;
        self.0.compiled.fetch_add(1, Ordering::Relaxed);
        Ok(compiled)
    }

    fn finish(
        &self,
        compiled: Compiled,
        options: &CompileOptions,
        begin: Instant,
    ) -> Result<(Model, CompileStats), Error> {
        let compiled_at = Instant::now();
        let loaded = compiled.load()?;
        let loaded_at = Instant::now();
        let model = Model::new(&loaded, options.model_type, options.perf_stats_mask)?;
        let ns = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX).max(1);
        let stats = CompileStats {
            compile_ns: ns(compiled_at - begin),
            load_ns: ns(loaded_at - compiled_at),
            total_ns: ns(begin.elapsed()),
        };
        Ok((model, stats))
    }
}

impl CompileOptions {
    /// The quality of service.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the number is none.
    pub fn quality(&self) -> Result<QualityOfService, Error> {
        QualityOfService::from_value(self.qos).ok_or_else(|| {
            let numbers: Vec<String> = QualityOfService::ALL.iter().map(|q| q.value().to_string()).collect();
            Error::Invalid(format!("{} is no quality of service: those are {}", self.qos, numbers.join(", ")))
        })
    }

    pub(crate) fn how(&self) -> Result<How<'_>, Error> {
        let statistics = match self.perf_stats_mask {
            0 => None,
            mask => Some(StatisticsMask::new(mask).map_err(|e| Error::from_apple(Doing::Compile, e))?),
        };
        let settings = Settings { quality: self.quality()?, statistics };
        Ok(How { function: &self.function, settings, threads: self.threads })
    }

    /// The program and the weights of [`ModelType::Mil`].
    fn checked(&self) -> Result<Checked, Error> {
        if self.mil_text.is_empty() {
            return Err(Error::Invalid("there is no MIL text to compile: give `mil_text`".into()));
        }
        if !self.package_path.as_os_str().is_empty() {
            return Err(Error::Invalid(
                "a package is given, and MIL text is to be compiled: set `model_type` to `ModelType::Package`".into(),
            ));
        }
        let text = std::str::from_utf8(&self.mil_text).map_err(|e| {
            Error::Invalid(format!("the MIL text is not UTF-8 from byte {} on", e.valid_up_to()))
        })?;
        let program = crate::text::parse(text)?;
        let first = if self.weight_path.is_empty() { options::WEIGHT_PATH } else { &self.weight_path };
        let first = (!self.weight_blob.is_empty()).then_some((first, self.weight_blob.as_slice()));
        let files = self.weight_files.iter().map(|f| (f.path.as_str(), f.blob.as_slice()));
        Checked::new(program, weights(first.into_iter().chain(files))?)
    }
}

/// The weight files of a program, by the paths with which its text names them.
pub(crate) fn weights<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Weights, Error> {
    let weights = Weights::none();
    let mut paths: Vec<&str> = Vec::new();
    for (path, blob) in files {
        if blob.is_empty() {
            return Err(Error::Invalid(format!("the weight file `{path}` is empty")));
        }
        if paths.contains(&path) {
            return Err(Error::Invalid(format!("the weight file `{path}` is given twice")));
        }
        weights.insert(path, blob)?;
        paths.push(path);
    }
    Ok(weights)
}
