//! A strict stand-in for what lies behind the seam: the Objective-C runtime, Foundation, IOSurface and the engine's
//! classes.
//!
//! It behaves as the facts about the real system say, and is stricter where the real one is silent: it counts every
//! object, notices a message to one that has died, an unlocked access, an evaluation of a locked surface, bytes written
//! where none belong, files that are left behind. [`Fake::finish`] says what was wrong.
//!
//! It computes through an [`Engine`] that is plugged in, and misbehaves on request: see [`Faults`].
//!
//! ```
//! use anemone_apple::fake::{Fake, Machine};
//! let fake = Fake::new(Machine::default());
//! let framework = fake.open()?;
//! assert!(framework.require(anemone_apple::Feature::Direct).is_ok());
//! drop(framework);
//! fake.finish().check();
//! # Ok::<(), anemone_apple::Error>(())
//! ```

// An implementation of a message has the arguments that the message has.
#![allow(clippy::too_many_arguments)]

mod ane;
mod event;
mod foundation;
mod gate;
mod metal;
mod object;
mod one;
mod runtime;
mod surface;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use gate::Gate;
use object::{World, lock};
pub use one::OneProgram;
pub use tables::Tables;

use crate::abi::Abi;
use crate::error::Error;
use crate::framework::Framework;
use crate::log::Log;
use crate::pace::Clock;

/// What compiles programs, in place of Apple's compiler.
pub trait Engine: Send + Sync {
    /// Compiles MIL text. `weights` gives the bytes of a weight file by the path with which the text names it.
    ///
    /// # Errors
    ///
    /// Why the text is refused; Apple's compiler would only say `InvalidMILProgram`.
    fn compile(
        &self,
        text: &str,
        weights: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Arc<dyn Program>, String>;
}

/// A compiled program.
///
/// ```
/// use anemone_apple::fake::{Engine, OneProgram, Program};
/// use anemone_apple::neural::FIRST_DISPATCH;
/// let program: std::sync::Arc<dyn Program> = OneProgram.compile(FIRST_DISPATCH.text, &|_| None)?;
/// assert_eq!(program.procedures()[0].name, "main");
/// # Ok::<(), String>(())
/// ```
pub trait Program: Send + Sync {
    /// Its functions, in order.
    fn procedures(&self) -> Vec<Procedure>;
    /// Makes it ready to run, with states of its own.
    ///
    /// # Errors
    ///
    /// Why it cannot be.
    fn load(&self) -> Result<Box<dyn Instance>, String>;
}

/// A loaded program.
pub trait Instance: Send {
    /// Runs a function on elements in row-major order, without padding; gives its results in the same form.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    fn run(&mut self, procedure: usize, inputs: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String>;
}

/// A function of a compiled program.
///
/// ```
/// use anemone_apple::fake::Procedure;
/// let empty = Procedure { name: "main".into(), inputs: Vec::new(), outputs: Vec::new() };
/// assert!(empty.inputs.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Procedure {
    /// Its name.
    pub name: String,
    /// What it takes, in the order in which the program states it.
    pub inputs: Vec<Tensor>,
    /// What it gives, in the order in which the program states it.
    pub outputs: Vec<Tensor>,
}

/// An input or output of a function.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// The element as the attributes name it: `Float16`, `Float32`, `Int8`, `UInt8`, `Int32`.
    pub element: &'static str,
    /// The bytes of an element.
    pub element_bytes: usize,
    /// Batches, channels, height, width.
    pub extents: [usize; 4],
}

/// The machine that is stood in for.
#[derive(Clone)]
pub struct Machine {
    /// The method tables of its macOS.
    pub tables: Tables,
    /// The engine's architecture, such as `h16g`.
    pub architecture: String,
    /// The engine's number of the board.
    pub board: i64,
    /// How many engines there are.
    pub engines: u32,
    /// How many cores all engines have.
    pub cores: u32,
    /// The build of macOS.
    pub build: String,
    /// Whether Metal gives a GPU.
    pub has_gpu: bool,
    /// Whether it is a virtual machine, which has no engine.
    pub virtual_machine: bool,
    /// Whether the process has Apple's entitlements.
    pub entitled: bool,
    /// What compiles programs; without one every program is refused.
    pub engine: Option<Arc<dyn Engine>>,
    /// The folder below which models have their files, `NSTemporaryDirectory()` of a Mac.
    pub temporary: PathBuf,
    /// The folder in which compiled programs are kept. Machines with one folder share what they have compiled, also
    /// from process to process, as all processes of a Mac do. Without one the cache ends with the machine.
    pub cache: Option<PathBuf>,
}

/// What the name of a temporary directory begins with that ends with its machine.
const OWN_FOLDER: &str = "anemone-fake-";

impl Machine {
    /// The default one, which computes the program of a first dispatch.
    ///
    /// ```
    /// use anemone_apple::fake::{Fake, Machine};
    /// use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
    /// let fake = Fake::new(Machine::computing());
    /// let framework = fake.open()?;
    /// let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
    /// assert_eq!(model.attributes().procedures[0].outputs[0].name, "y");
    /// # Ok::<(), anemone_apple::Error>(())
    /// ```
    pub fn computing() -> Self {
        static MACHINES: AtomicUsize = AtomicUsize::new(0);
        let number = MACHINES.fetch_add(1, Ordering::Relaxed);
        // Another one unloads the same program, and removes its files.
        let own = format!("{OWN_FOLDER}{}-{number}", std::process::id());
        let temporary = std::env::temp_dir().join(own);
        Self { engine: Some(Arc::new(OneProgram)), temporary, ..Self::default() }
    }
}

impl Default for Machine {
    /// An M4 with the newest macOS that there are tables of.
    fn default() -> Self {
        Self {
            tables: Tables::newest(),
            architecture: "h16g".into(),
            board: 256,
            engines: 1,
            cores: 16,
            build: "25F84".into(),
            has_gpu: true,
            virtual_machine: false,
            entitled: false,
            engine: None,
            temporary: std::env::temp_dir(),
            cache: None,
        }
    }
}

/// How the fake misbehaves. All of it has been seen on real machines, or is documented for them, but for
/// [`Faults::completes_twice`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Compilations are refused with this description.
    pub compile_error: Option<String>,
    /// So many compilations end the compiler's process.
    pub dying_compiler: usize,
    /// So many times another process removes a model's folder before the compiler reads it.
    pub vanishing_folders: usize,
    /// Compilations answer `NO` without an error.
    pub compile_silently_fails: bool,
    /// So many loads are refused with code 6 before one succeeds.
    pub busy_loads: usize,
    /// So many evaluations, after `after_evaluations`, are refused with this driver status.
    pub evaluate_status: Option<u32>,
    /// How many evaluations succeed before faults of evaluation begin.
    pub after_evaluations: usize,
    /// Performance statistics are not there.
    pub no_counters: bool,
    /// An evaluation is held up here; then the driver gives it up.
    pub hang: Option<Gate>,
    /// A completion handler is called a second time, once it has come through here. The request may have ended by then.
    pub completes_twice: Option<Gate>,
    /// Results are zero, and nothing says so.
    pub zero_outputs: bool,
    /// Unloading does not give the program's place back.
    pub budget_leaks: bool,
    /// After an evaluation of a program with a `tile`, every later one is refused.
    pub tile_poisons: bool,
    /// Surfaces of more bytes cannot be made.
    pub surface_limit: Option<usize>,
    /// Surfaces cannot be locked.
    pub lock_fails: bool,
    /// Mapping is refused, as some report for programs of MIL text.
    pub mapping_fails: bool,
    /// A mapper refuses to end a mapping.
    pub unmapping_fails: bool,
    /// Mapping is refused with the cache of the inference.
    pub cached_mapping_fails: bool,
    /// Statistics are written to the surface, and there is no object with them.
    pub no_stats_object: bool,
    /// There are no controllers of programs.
    pub no_controllers: bool,
    /// There is no shared client.
    pub no_shared_client: bool,
    /// No client can be made.
    pub no_own_client: bool,
    /// A process without entitlements is given a private client, to which the daemon does not talk.
    pub mute_private_client: bool,
    /// A model gives other symbol indices than its attributes have.
    pub other_symbols: bool,
}

impl Faults {
    /// A mix of faults, the same one for the same seed. Each fault is there in a quarter of all mixes, but for a handler that
    /// is called twice; nothing takes long.
    pub fn seeded(seed: u64) -> Self {
        // SplitMix64.
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let mut some = |most: u64| {
            let n = next();
            (n & 3 == 0).then(|| 1 + (n >> 2) % most)
        };
        Self {
            compile_error: some(1).map(|_| "_ANECompiler : ANECCompile() FAILED: err=()".into()),
            compile_silently_fails: some(1).is_some(),
            busy_loads: some(3).unwrap_or(0) as usize,
            evaluate_status: some(4).map(|n| [0x1d, 0x12, 0x2, 0x15][n as usize - 1]),
            after_evaluations: some(3).unwrap_or(0) as usize,
            no_counters: some(1).is_some(),
            hang: some(1).map(|_| Gate::opened()),
            completes_twice: None,
            zero_outputs: some(1).is_some(),
            budget_leaks: some(1).is_some(),
            tile_poisons: some(1).is_some(),
            surface_limit: some(1000).map(|n| n as usize),
            lock_fails: some(1).is_some(),
            mapping_fails: some(1).is_some(),
            cached_mapping_fails: some(1).is_some(),
            no_stats_object: some(1).is_some(),
            dying_compiler: some(2).unwrap_or(0) as usize,
            vanishing_folders: some(2).unwrap_or(0) as usize,
            other_symbols: some(1).is_some(),
            unmapping_fails: some(1).is_some(),
            no_controllers: some(1).is_some(),
            no_shared_client: some(1).is_some(),
            no_own_client: some(1).is_some(),
            mute_private_client: some(1).is_some(),
        }
    }
}

/// A fake machine.
pub struct Fake {
    world: Arc<World>,
}

impl Fake {
    /// A machine that works.
    pub fn new(machine: Machine) -> Self {
        Self::with(machine, Faults::default())
    }

    /// A machine that misbehaves.
    pub fn with(machine: Machine, faults: Faults) -> Self {
        Self { world: World::new(machine, faults) }
    }

    /// Opens its framework.
    ///
    /// # Errors
    ///
    /// As [`Framework::over`].
    pub fn open(&self) -> Result<Framework, Error> {
        runtime::within(&self.world, || Framework::over_in(runtime::abi(), None, self.clock()))
    }

    /// Opens its framework with a log of every message.
    ///
    /// # Errors
    ///
    /// As [`Framework::over`].
    pub fn open_logged(&self, log: &Log) -> Result<Framework, Error> {
        runtime::within(&self.world, || Framework::over_in(runtime::abi(), Some(log.clone()), self.clock()))
    }

    /// Its time, which passes when somebody waits, and only then. Its framework is opened in this time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.world.clock.clone()
    }

    /// Does something with the bare functions of the machine, as whoever goes around the types of this crate would.
    /// Classes are looked up in this machine for as long as it lasts, on this thread.
    pub fn raw<T>(&self, action: impl FnOnce(Abi) -> T) -> T {
        runtime::within(&self.world, || action(runtime::abi()))
    }

    /// Changes how it misbehaves.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.world.faults) = faults;
    }

    /// What is there and what was wrong so far.
    pub fn report(&self) -> Report {
        let daemon = lock(&self.world.daemon);
        let mut live = self.world.live();
        // Apple never releases its singletons; neither does the fake.
        for &singleton in daemon.singletons.values() {
            // SAFETY: the daemon holds a count of it.
            if let Some(object) = unsafe { object::object(singleton) } {
                let left = live.get(object.class_name()).map_or(0, |n| n - 1);
                live.insert(object.class_name().to_string(), left);
            }
        }
        live.retain(|_, n| *n > 0);
        Report {
            wrong: self.world.take_wrong(),
            live,
            surfaces: self.world.surfaces.load(Ordering::Relaxed),
            ports: self.world.ports.load(Ordering::Relaxed),
            loaded: daemon.loaded(),
            compiled: daemon.compiled(),
            files: daemon.files(),
        }
    }

    /// Waits until all objects, surfaces and threads of the driver have ended but for the singletons; whether that was in
    /// time. What ends last may end on other threads, which need a moment.
    pub fn settle(&self, time: Duration) -> bool {
        self.world.settle(time)
    }

    /// What is left and what was wrong, at the end.
    pub fn finish(self) -> Report {
        let tasks = lock(&self.world.daemon).real_time();
        if tasks > 0 {
            self.world.wrong(format!("{tasks} real-time tasks were not ended"));
        }
        self.report()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let singletons = std::mem::take(&mut lock(&self.world.daemon).singletons);
        for singleton in singletons.into_values() {
            self.world.begun();
            // SAFETY: the daemon held a count of it.
            unsafe { object::release(singleton) };
        }
        self.world.empty_quarantine();
        let folder = &self.world.machine.temporary;
        if folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(OWN_FOLDER)) {
            // What is left in it has been reported.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// What a fake machine has at some time.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The rules that were broken.
    pub wrong: Vec<String>,
    /// How many objects are alive, by class.
    pub live: BTreeMap<String, usize>,
    /// How many surfaces are alive.
    pub surfaces: usize,
    /// How many ports are open.
    pub ports: usize,
    /// How many programs are loaded.
    pub loaded: usize,
    /// How many programs were compiled.
    pub compiled: usize,
    /// The folders of models that are left.
    pub files: Vec<PathBuf>,
}

impl Report {
    /// Ends the test unless nothing was wrong and nothing is left.
    ///
    /// # Panics
    ///
    /// With what was wrong or is left.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.wrong.is_empty(), "rules were broken: {:#?}", self.wrong);
        assert!(self.live.is_empty(), "objects are left: {:?}", self.live);
        let left = (self.surfaces, self.ports, self.loaded, self.files.len());
        assert_eq!(
            left,
            (0, 0, 0, 0),
            "surfaces, ports, loaded programs, folders are left: {:?}",
            self.files
        );
    }
}

/// The rows of the message table that the fake does not implement: none, as a test holds.
pub fn unimplemented() -> Vec<String> {
    tables::unimplemented()
}
