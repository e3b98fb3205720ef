//! What a graph is compiled to: run on tensors of the caller's.
//!
//! [`Graph::compile`](crate::Graph::compile) makes an [`Executable`], and [`TensorData`] is what it reads and writes.

mod data;
mod slices;

use std::sync::OnceLock;

pub use data::TensorData;
pub use slices::{LockedSlice, LockedSliceMut};

use crate::client::engine::{Checked, Loaded};
use crate::client::recent::Recent;
use crate::client::{Client, CompileOptions, Request, Which};
use crate::device::ane::{QualityOfService, StatisticsMask};
use crate::error::Error;
use crate::graph::Graph;
use crate::surface::{Port, Surface};

/// A compiled and loaded program that is run on [`TensorData`]. It is unloaded when it is dropped.
///
/// Tensors are given in the order of the placeholders and of the outputs.
///
/// ```
/// use anemone::{Graph, QualityOfService, Shape, TensorData};
/// let shape = Shape::spatial(2, 1, 64);
/// let mut g = Graph::new();
/// let x = g.placeholder(shape);
/// let y = g.inner_product(x, &[1.0, 1.0, 1.0, -1.0], 2, 2);
/// let exe = g.compile(QualityOfService::UserInteractive)?;
///
/// let input = TensorData::with_f32(&[[3.0; 64], [1.0; 64]].concat(), shape);
/// let output = TensorData::new(shape);
/// exe.run(&[&input], &[&output])?;
/// assert_eq!(*output.as_f32_slice(), [[4.0; 64], [2.0; 64]].concat());
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// A run ends before its call does, and nothing else can be left behind: what is locked cannot be run on, and what runs
/// cannot be locked. [`Error::Surface`] says so in both cases.
///
/// It makes the tensors that it takes and gives, and runs in several ways:
///
/// ```
/// use anemone::{Graph, QualityOfService, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 1, 64));
/// g.relu(x);
/// let exe = g.compile(QualityOfService::Default)?;
/// assert_eq!((exe.inputs()[0].name.as_str(), exe.outputs()[0].shape.as_slice()), ("input_0", &[1, 1, 1, 64][..]));
/// let (x, y) = (exe.new_input("input_0")?, exe.new_output(0)?);
/// x.copy_from_f32(&[2.0; 64]);
/// exe.run_cached_direct(&[&x], &[&y])?; // past the system's daemon, where there is one
/// let nanoseconds = exe.run_cached_with_stats(&[&x], &[&y])?;
/// assert!(nanoseconds > 0 && *y.read_f32() == [2.0; 64]);
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct Executable {
    client: Client,
    checked: Checked,
    options: CompileOptions,
    recent: Recent,
    /// The same program with statistics, which cost time: loaded when they are first asked for.
    measured: OnceLock<Recent>,
}

impl Graph {
    /// Compiles and loads the graph for the engine of [`Client::open`].
    ///
    /// # Errors
    ///
    /// [`Error::Program`] with everything that was wrong with the calls that wrote the graph, each at its line, as
    /// [`Graph::build`]; else as [`Client::compile`].
    #[track_caller]
    pub fn compile(&self, quality: QualityOfService) -> Result<Executable, Error> {
        let built = self.build()?;
        let options = CompileOptions { qos: quality.value(), ..CompileOptions::default() };
        Executable::new(&Client::open()?, Checked::of_built(built), options)
    }

    /// Compiles and loads the graph for a client's engine. What the options say of text, weights and packages is not
    /// looked at.
    ///
    /// ```
    /// use anemone::{Chip, Client, CompileOptions, Graph, Shape};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(4, 1, 64));
    /// g.relu(x);
    /// let one_thread = CompileOptions { threads: 1, ..CompileOptions::default() };
    /// let exe = g.compile_on(&Client::software(Chip::M4), one_thread)?;
    /// assert_eq!(exe.inputs()[0].name, "input_0");
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Graph::compile`], and [`Error::Invalid`] when the options make no sense.
    #[track_caller]
    pub fn compile_on(&self, client: &Client, options: CompileOptions) -> Result<Executable, Error> {
        let built = self.build()?;
        Executable::new(client, Checked::of_built(built), options)
    }
}

impl Executable {
    fn new(client: &Client, checked: Checked, options: CompileOptions) -> Result<Self, Error> {
        if let Some(state) = checked.function(&options.function)?.states().next() {
            return Err(Error::Invalid(format!(
                "an executable keeps nothing from run to run, and `{}` is a state: compile the program by `Client::compile_program`",
                state.name
            )));
        }
        let loaded = load(client, &checked, &options)?;
        let client = client.clone();
        Ok(Self { client, checked, options, recent: Recent::new(loaded), measured: OnceLock::new() })
    }

    /// What it takes, in the order of the placeholders.
    pub fn inputs(&self) -> &[Port] {
        self.recent.loaded().inputs()
    }

    /// What it gives, in the order of the outputs.
    pub fn outputs(&self) -> &[Port] {
        self.recent.loaded().outputs()
    }

    /// A tensor for an input, all zero: of its dtype, on a surface of this engine, laid out as the engine wants it.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input, [`Error::Surface`] when no surface can be made.
    pub fn new_input(&self, input: impl Which) -> Result<TensorData, Error> {
        self.tensor(&self.inputs()[input.position(self.inputs(), "input")?])
    }

    /// A tensor for an output, as [`Executable::new_input`] makes one for an input.
    ///
    /// # Errors
    ///
    /// As [`Executable::new_input`].
    pub fn new_output(&self, output: impl Which) -> Result<TensorData, Error> {
        self.tensor(&self.outputs()[output.position(self.outputs(), "output")?])
    }

    fn tensor(&self, port: &Port) -> Result<TensorData, Error> {
        TensorData::of_port(port, self.recent.loaded().surface(port)?)
    }

    /// Runs the program, with a binding that is made for this run.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] when the tensors are too few or too many; [`Error::Invalid`] when one is not as the program
    /// wants it, or one of an output is bound twice; [`Error::Surface`] when somebody has one locked; [`Error::Eval`]
    /// when the engine refuses; [`Error::Program`] for what an op finds out when it runs.
    pub fn run(&self, inputs: &[&TensorData], outputs: &[&TensorData]) -> Result<(), Error> {
        self.check(inputs, outputs)?;
        let surfaces = |data: &[&TensorData]| data.iter().map(|d| d.surface().clone()).collect();
        self.recent.loaded().bind(surfaces(inputs), surfaces(outputs))?.run()
    }

    /// Runs the program with the binding of the last run on the same tensors, or makes and keeps one.
    ///
    /// The bindings of the last four sets of tensors are kept, and with them their surfaces. A run on the same ones
    /// allocates nothing on this side of the system: on hardware, and on the software engine for programs that have a
    /// [plan](crate::plan), states, choices and loops included. A program has none, and is run step by step with values
    /// of its own, when it has lists or strings, a shape that depends on the elements (`non_zero`, a `reshape` to a shape
    /// that is computed), or a block that reads or writes a state.
    ///
    /// ```
    /// use anemone::{Graph, QualityOfService, Shape, TensorData};
    /// let mut g = Graph::new();
    /// let x = g.placeholder(Shape::spatial(1, 1, 64));
    /// g.relu(x);
    /// let exe = g.compile(QualityOfService::Default)?;
    /// let (x, y) = (TensorData::with_f32(&[-1.0; 64], Shape::spatial(1, 1, 64)), TensorData::new(Shape::spatial(1, 1, 64)));
    /// for turn in 0..3 {
    ///     x.write_f32_at(turn, 2.0);
    ///     exe.run_cached(&[&x], &[&y])?;
    /// }
    /// assert_eq!(y.read_f32()[..4], [2.0, 2.0, 2.0, 0.0]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Executable::run`].
    pub fn run_cached(&self, inputs: &[&TensorData], outputs: &[&TensorData]) -> Result<(), Error> {
        self.with(&self.recent, inputs, outputs, Request::run)
    }

    /// As [`Executable::run_cached`], and says how many nanoseconds the engine took.
    ///
    /// The hardware's are those that the engine counts itself, without the way to it and back; the first call compiles
    /// and loads the program once more, with statistics, unless [`CompileOptions::perf_stats_mask`] has asked for them.
    /// The software engine's are those of the wall clock, with the moving of tensors in and out of surfaces.
    ///
    /// # Errors
    ///
    /// As [`Executable::run`]; [`Error::ModelLoad`] when the system does not load the program with statistics;
    /// [`Error::UnsupportedSelector`] when the engine does not say how long it took. Then the outputs are written all
    /// the same.
    pub fn run_cached_with_stats(
        &self,
        inputs: &[&TensorData],
        outputs: &[&TensorData],
    ) -> Result<u64, Error> {
        self.with(self.measured()?, inputs, outputs, Request::run_timed)?.ok_or_else(Error::no_time)
    }

    /// As [`Executable::run_cached`], past the system's daemon. On the software engine there is no daemon, and this is
    /// the same.
    ///
    /// # Errors
    ///
    /// As [`Executable::run`], and [`Error::UnsupportedSelector`] when this macOS has no such way.
    pub fn run_cached_direct(&self, inputs: &[&TensorData], outputs: &[&TensorData]) -> Result<(), Error> {
        self.with(&self.recent, inputs, outputs, Request::run_direct)
    }

    fn with<R>(
        &self,
        recent: &Recent,
        inputs: &[&TensorData],
        outputs: &[&TensorData],
        run: impl FnOnce(&mut Request) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.check(inputs, outputs)?;
        fn surfaces<'a>(
            data: &'a [&TensorData],
        ) -> impl ExactSizeIterator<Item = &'a Surface> + Clone + use<'a> {
            data.iter().map(|d| d.surface())
        }
        recent.with(surfaces(inputs), surfaces(outputs), run)
    }

    /// The program with statistics.
    fn measured(&self) -> Result<&Recent, Error> {
        if !self.client.is_hardware() || self.options.perf_stats_mask != 0 {
            return Ok(&self.recent);
        }
        if let Some(measured) = self.measured.get() {
            return Ok(measured);
        }
        let options = CompileOptions { perf_stats_mask: StatisticsMask::ALL.bits(), ..self.options.clone() };
        // Who is second to load it drops what it loaded.
        let loaded = load(&self.client, &self.checked, &options)?;
        Ok(self.measured.get_or_init(|| Recent::new(loaded)))
    }

    /// Compares tensors with what the program wants. How many there are is for the binding to say.
    fn check(&self, inputs: &[&TensorData], outputs: &[&TensorData]) -> Result<(), Error> {
        for (what, ports, data) in [("input", self.inputs(), inputs), ("output", self.outputs(), outputs)] {
            if ports.len() != data.len() {
                let what = format!("the list of {what}s");
                return Err(Error::Length { what, expected: ports.len(), found: data.len() });
            }
            ports.iter().zip(data).try_for_each(|(port, data)| data.fits(what, port))?;
        }
        Ok(())
    }
}

fn load(client: &Client, checked: &Checked, options: &CompileOptions) -> Result<Loaded, Error> {
    client.compile_checked(checked, options.how()?)?.load()
}
