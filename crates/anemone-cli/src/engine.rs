//! Which engine runs, and how.

use anemone::chip::Numerics;
use anemone::device::ane::{self, Framework};
use anemone::device::{self, Engine, Options, Outputs, States};
use anemone::source::Diagnostics;
use anemone::types::Tensor;
use anemone::verify::{Function, Verified};

use crate::failure::Failure;
use crate::model::Model;

/// Where to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Device {
    /// The software engine; the Neural Engine is taken only when it is asked for, until it has run on hardware
    #[default]
    Auto,
    /// The Apple Neural Engine
    Ane,
    /// The software engine: kernels and threads
    Cpu,
    /// The meaning of every op, in plain loops
    Reference,
}

/// The arguments of every command that runs a program.
#[derive(clap::Args)]
pub(crate) struct EngineArgs {
    /// Where to run
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Device,
    /// Whose arithmetic to follow: ieee, or that of a chip, m1 to m6
    #[arg(long, value_name = "NUMERICS", default_value = "ieee")]
    numerics: Numerics,
    /// How many threads to use [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl EngineArgs {
    /// The engine that is asked for.
    pub(crate) fn engine(&self) -> Result<Chosen, Failure> {
        match self.device {
            Device::Auto | Device::Cpu => Ok(Chosen::Software(Engine::Cpu)),
            Device::Reference => Ok(Chosen::Software(Engine::Reference)),
            Device::Ane if self.numerics != Numerics::Ieee => Err(Failure::world(
                "the Neural Engine has its own arithmetic; leave out `--numerics`, or use `--device cpu`",
            )),
            Device::Ane => Framework::open().map(Chosen::Ane).map_err(|e| {
                Failure::world(format!("there is no Neural Engine here: {e}; use `--device cpu`"))
            }),
        }
    }

    /// The options of the engine.
    pub(crate) fn options(&self) -> Options {
        let default = Options::default();
        let threads = self.threads.map_or(default.threads, usize::from);
        Options { threads, numerics: self.numerics, ..default }
    }
}

/// The engine that runs.
#[derive(Clone)]
pub(crate) enum Chosen {
    /// One of the software ANE.
    Software(Engine),
    /// The one of this Mac.
    Ane(Framework),
}

impl Chosen {
    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Chosen::Software(engine) => engine.name(),
            Chosen::Ane(_) => "ane",
        }
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, engine: Engine) -> bool {
        matches!(self, Chosen::Software(e) if *e == engine)
    }

    /// Makes a function ready to run.
    pub(crate) fn load(
        &self,
        function: &Function,
        verified: &Verified,
        model: &Model,
        options: &Options,
    ) -> Result<Ready, Refusal> {
        let framework = match self {
            Chosen::Software(engine) => {
                return Ok(Ready::Software(Box::new(device::load(function, *engine, options)?)));
            }
            Chosen::Ane(framework) => framework,
        };
        let source = ane::Source::of(&model.program, verified, &model.weights).map_err(Refusal::Form)?;
        let loaded = ane::Compiled::of_source(framework, &source, ane::Settings::default())?.load()?;
        Ok(Ready::Ane { model: loaded, function: function.name.to_string() })
    }
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A function that an engine is ready to run.
pub(crate) enum Ready {
    /// On the software ANE.
    Software(Box<device::Loaded>),
    /// On the engine of this Mac.
    Ane {
        /// The program that holds it.
        model: ane::Loaded,
        /// Its name.
        function: String,
    },
}

impl Ready {
    /// The states of the function, all zero; the path to the engine takes no functions with states.
    pub(crate) fn new_states(&self) -> Result<States, Refusal> {
        match self {
            Ready::Software(loaded) => Ok(loaded.new_states()?),
            Ready::Ane { .. } => Ok(States::new()),
        }
    }

    /// Runs the function once.
    pub(crate) fn run(&self, inputs: &[(&str, Tensor)], states: &States) -> Result<Outputs, Refusal> {
        match self {
            Ready::Software(loaded) => Ok(loaded.run(inputs, states)?),
            Ready::Ane { model, function } => Ok(model.run(function, inputs)?),
        }
    }
}

/// Why an engine refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// What is wrong with the program, or with what it was given.
    Program(device::Error),
    /// What the path to the Neural Engine does not take.
    Form(Diagnostics),
    /// What is wrong with the machine.
    World(String),
}

impl From<device::Error> for Refusal {
    fn from(e: device::Error) -> Self {
        Refusal::Program(e)
    }
}

impl From<ane::Error> for Refusal {
    fn from(e: ane::Error) -> Self {
        match e {
            ane::Error::Program(d) => Refusal::Program((*d).into()),
            ane::Error::Apple(e) => Refusal::World(e.to_string()),
        }
    }
}
