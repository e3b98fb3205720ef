//! Which engine runs, and how.

use anemone::device::{Engine, Options};

use crate::failure::Failure;

/// Where to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Device {
    /// The fastest engine that this machine has
    #[default]
    Auto,
    /// The Apple Neural Engine
    Ane,
    /// The software engine: kernels and threads
    Cpu,
    /// The meaning of every op, in plain loops
    Reference,
}

/// Whose arithmetic to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Numerics {
    /// Every result is rounded once to its dtype
    #[default]
    Ieee,
}

/// The arguments of every command that runs a program.
#[derive(clap::Args)]
pub(crate) struct EngineArgs {
    /// Where to run
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Device,
    /// Whose arithmetic to follow
    #[arg(long, value_name = "NUMERICS", default_value = "ieee")]
    numerics: Numerics,
    /// How many threads to use [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl EngineArgs {
    /// The engine that is asked for.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        match self.device {
            Device::Auto | Device::Cpu => Ok(Engine::Cpu),
            Device::Reference => Ok(Engine::Reference),
            Device::Ane => Err(Failure::world(
                "the Neural Engine itself needs Apple Silicon and is not in this build yet; use `--device cpu`",
            )),
        }
    }

    /// The options of the engine.
    pub(crate) fn options(&self) -> Options {
        // There is one arithmetic so far.
        let Numerics::Ieee = self.numerics;
        let default = Options::default();
        Options { threads: self.threads.map_or(default.threads, usize::from), ..default }
    }
}
