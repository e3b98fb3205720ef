//! The fake's daemon and driver: compiled programs, loaded programs, evaluation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Failure;
use crate::abi::Id;
use crate::fake::object::{World, lock, release};
use crate::fake::surface::FakeSurface;
use crate::fake::{Instance, Procedure, Program, Tensor};
use crate::pace::{AFTER_FAILURE, Clock};

/// How many compilations one process may do before they fail without a word.
const COMPILES: usize = 119;
/// How many programs one process may have loaded.
const LOADED: usize = 127;
/// The row of a tensor takes a multiple of so many bytes.
const ROW: usize = 64;

/// What the daemon and the driver know.
#[derive(Default)]
pub(in crate::fake) struct Daemon {
    /// Compiled programs by identity: they outlive the models, as the cache on the disk does.
    cache: BTreeMap<String, Compiled>,
    /// Where they outlive the machine: a folder for each identity, with text and weights.
    shelf: Option<PathBuf>,
    /// Loaded programs by handle.
    programs: BTreeMap<u64, Arc<LoadedProgram>>,
    compiles: usize,
    /// When a compilation has failed.
    failed: Option<Duration>,
    next_handle: u64,
    /// Places that were lost to programs that were unloaded.
    leaked: usize,
    evaluations: usize,
    poisoned: bool,
    /// What chains were prepared, by handle of the program.
    pub(super) chains: BTreeMap<u64, Chain>,
    /// How many real-time tasks are begun.
    pub(super) real_time: usize,
    /// The folders of models that are there.
    folders: Vec<PathBuf>,
    /// Objects that there is one of, such as the shared client. They are never released.
    pub(in crate::fake) singletons: BTreeMap<&'static str, Id>,
}

/// A chain of a program.
pub(super) struct Chain {
    /// The request, of which it holds a count.
    pub(super) request: Id,
    /// The values of the output sets that are enqueued.
    pub(super) enqueued: Vec<u64>,
    /// How often inputs are ready that were not used.
    pub(super) ready: usize,
}

impl Chain {
    /// Gives the request up.
    pub(super) fn end(self) {
        // SAFETY: the chain has a count of it.
        unsafe { release(self.request) }
    }
}

/// A compiled program.
#[derive(Clone)]
struct Compiled {
    program: Arc<dyn Program>,
    /// Whether its text holds a `tile`.
    tiles: bool,
}

/// A loaded program.
pub(in crate::fake) struct LoadedProgram {
    pub(super) handle: u64,
    pub(super) procedures: Vec<Procedure>,
    /// The names of all inputs and outputs of all functions, in the order of their symbol index.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    instance: Mutex<Box<dyn Instance>>,
    tiles: bool,
    /// Whether the load was told to gather statistics, and the mask that its model has now: both are needed.
    pub(super) told_mask: AtomicBool,
    pub(super) mask: AtomicU32,
    /// Whether an evaluation had events: unloading it crashes.
    pub(super) had_events: AtomicBool,
}

// SAFETY: the instance is Send, and behind a lock.
unsafe impl Sync for LoadedProgram {}

impl Tensor {
    pub(super) fn row_stride(&self) -> usize {
        (self.extents[3] * self.element_bytes).next_multiple_of(ROW)
    }

    pub(super) fn plane_stride(&self) -> usize {
        self.extents[2] * self.row_stride()
    }

    pub(super) fn batch_stride(&self) -> usize {
        self.extents[1] * self.plane_stride()
    }

    /// The bytes that a surface of it needs.
    pub(super) fn bytes(&self) -> usize {
        self.extents[0] * self.batch_stride()
    }

    /// Visits its rows: where each begins in a surface.
    fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let [n, c, h, _] = self.extents;
        (0..n).flat_map(move |n| {
            (0..c).flat_map(move |c| {
                (0..h).map(move |h| n * self.batch_stride() + c * self.plane_stride() + h * self.row_stride())
            })
        })
    }

    fn row_bytes(&self) -> usize {
        self.extents[3] * self.element_bytes
    }
}

/// Whether a mask of statistics means something.
pub(super) fn is_mask(mask: u32) -> bool {
    (1..=0xf).contains(&mask)
}

impl LoadedProgram {
    /// The index of a symbol: symbols are in alphabetical order within a function, functions one after the other.
    fn new(handle: u64, procedures: Vec<Procedure>, instance: Box<dyn Instance>, tiles: bool) -> Self {
        let symbols = |of: fn(&Procedure) -> &[Tensor]| -> Vec<String> {
            procedures
                .iter()
                .flat_map(|p| {
                    let mut names: Vec<String> = of(p).iter().map(|t| t.name.clone()).collect();
                    names.sort();
                    names
                })
                .collect()
        };
        let (inputs, outputs) = (symbols(|p| &p.inputs), symbols(|p| &p.outputs));
        Self {
            handle,
            procedures,
            inputs,
            outputs,
            instance: Mutex::new(instance),
            tiles,
            told_mask: AtomicBool::new(false),
            mask: AtomicU32::new(0),
            had_events: AtomicBool::new(false),
        }
    }

    /// The symbol indices of a function: its first one and how many there are.
    pub(super) fn symbols(
        &self,
        procedure: usize,
        of: fn(&Procedure) -> &[Tensor],
    ) -> std::ops::Range<usize> {
        let first: usize = self.procedures[..procedure].iter().map(|p| of(p).len()).sum();
        first..first + of(&self.procedures[procedure]).len()
    }

    /// The tensor behind a symbol index of a function.
    fn tensor(
        &self,
        procedure: usize,
        of: fn(&Procedure) -> &[Tensor],
        index: u64,
    ) -> Option<(usize, &Tensor)> {
        let range = self.symbols(procedure, of);
        let position = usize::try_from(index).ok()?.checked_sub(range.start)?;
        let mut sorted: Vec<(usize, &Tensor)> = of(&self.procedures[procedure]).iter().enumerate().collect();
        sorted.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        sorted.get(position).copied()
    }
}

/// What an evaluation is asked for.
pub(super) struct Work<'a> {
    pub(super) procedure: u64,
    pub(super) inputs: Vec<(u64, View<'a>)>,
    pub(super) outputs: Vec<(u64, View<'a>)>,
}

/// A surface from a byte on.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) surface: &'a FakeSurface,
    pub(super) start: usize,
}

impl Daemon {
    pub(in crate::fake) fn new(shelf: Option<PathBuf>) -> Self {
        Self { shelf, ..Self::default() }
    }

    pub(in crate::fake) fn loaded(&self) -> usize {
        self.programs.len()
    }

    pub(in crate::fake) fn compiled(&self) -> usize {
        self.compiles
    }

    pub(in crate::fake) fn real_time(&self) -> usize {
        self.real_time
    }

    pub(in crate::fake) fn files(&self) -> Vec<PathBuf> {
        self.folders.iter().filter(|f| f.exists()).cloned().collect()
    }

    /// The folder in which a compiled program is or would be kept.
    fn shelved(&self, identity: &str) -> Option<PathBuf> {
        // The identity of a model in a folder is a path.
        self.shelf.as_ref().map(|s| s.join(identity.replace(['/', '#'], "_")))
    }

    pub(super) fn is_cached(&self, identity: &str) -> bool {
        // What another process has removed from the folder is gone here as well.
        match self.shelved(identity) {
            Some(folder) => folder.exists(),
            None => self.cache.contains_key(identity),
        }
    }

    pub(super) fn purge(&mut self, identity: &str) {
        self.cache.remove(identity);
        if let Some(folder) = self.shelved(identity) {
            // It may not be there: what matters is that it is gone.
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    pub(super) fn program(&self, handle: u64) -> Option<Arc<LoadedProgram>> {
        self.programs.get(&handle).cloned()
    }

    /// Notes a folder in which a model's files are or should be.
    pub(super) fn folder(&mut self, folder: &Path) {
        if !self.folders.iter().any(|f| f == folder) {
            self.folders.push(folder.to_path_buf());
        }
    }

    pub(super) fn forget_folder(&mut self, folder: &Path) {
        self.folders.retain(|f| f != folder);
    }
}

/// Compiles what lies in a folder. `Ok(false)` is a failure of which nothing is said.
pub(super) fn compile(world: &World, identity: &str, folder: &Path) -> Result<bool, Failure> {
    let now = world.clock.now();
    if lock(&world.daemon).failed.is_some_and(|failed| now < failed + AFTER_FAILURE) {
        world.wrong(
            "a compilation followed one that had failed while the compiler's service was starting anew",
        );
    }
    let result = compile_now(world, identity, folder);
    if result.as_ref().is_err_and(|f| f.domain != super::DOMAIN) {
        lock(&world.daemon).failed = Some(now);
    }
    result
}

fn compile_now(world: &World, identity: &str, folder: &Path) -> Result<bool, Failure> {
    let faults = lock(&world.faults).clone();
    {
        let mut daemon = lock(&world.daemon);
        daemon.compiles += 1;
        if faults.compile_silently_fails || daemon.compiles > COMPILES {
            return Ok(false);
        }
    }
    let failure = |description: &str| Failure {
        domain: "com.apple.appleneuralengine.compiler",
        code: 1,
        description: description.to_string(),
    };
    if faults.dying_compiler > 0 {
        lock(&world.faults).dying_compiler -= 1;
        let description = "Couldn’t communicate with a helper application.".to_string();
        return Err(Failure { domain: "NSCocoaErrorDomain", code: 4097, description });
    }
    if let Some(description) = &faults.compile_error {
        return Err(failure(description));
    }
    if !folder.exists() {
        return Err(Failure::new(16, format!("there is no {}", folder.display())));
    }
    let text = std::fs::read_to_string(folder.join("model.mil"))
        .map_err(|_| Failure::new(9, format!("cannot read {}", folder.join("model.mil").display())))?;
    if world.machine.engine.is_none() {
        return Err(failure("_ANECompiler : ANECCompile() FAILED: err=()"));
    }
    // Apple's compiler does not say why; the fake does, after its words, for the sake of whoever debugs a test.
    let compiled = compiled(world, &text, folder).map_err(|why| {
        failure(&format!("_ANECompiler : ANECCompile() FAILED: err=(InvalidMILProgram): {why}"))
    })?;
    let mut daemon = lock(&world.daemon);
    if let Some(kept) = daemon.shelved(identity) {
        keep(folder, &kept).map_err(|e| Failure::new(9, format!("cannot write {}: {e}", kept.display())))?;
    }
    daemon.cache.insert(identity.to_string(), compiled);
    Ok(true)
}

/// Compiles a text with the weight files of a folder.
fn compiled(world: &World, text: &str, folder: &Path) -> Result<Compiled, String> {
    let engine = world.machine.engine.as_ref().ok_or("there is no engine")?;
    let weights = |path: &str| std::fs::read(folder.join(path.strip_prefix("@model_path/")?)).ok();
    let program = engine.compile(text, &weights)?;
    Ok(Compiled { program, tiles: text.contains("= tile(") })
}

/// Keeps a copy of a folder under a name. It appears there whole, or not at all; of two processes that keep the same
/// program one comes second, which is no matter.
fn keep(folder: &Path, kept: &Path) -> std::io::Result<()> {
    let making = kept.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    copy_folder(folder, &making)?;
    if std::fs::rename(&making, kept).is_err() {
        std::fs::remove_dir_all(&making)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Loads a compiled program.
pub(super) fn load(world: &World, identity: &str) -> Result<Arc<LoadedProgram>, Failure> {
    {
        let mut faults = lock(&world.faults);
        if faults.busy_loads > 0 {
            faults.busy_loads -= 1;
            return Err(Failure::new(6, "Program load failure (0x1)"));
        }
    }
    let mut daemon = lock(&world.daemon);
    let unknown = || Failure::new(17, "model identifier not found");
    if !daemon.is_cached(identity) {
        return Err(unknown());
    }
    if !daemon.cache.contains_key(identity) {
        // Another process has compiled it. What it kept is the source; a binary is nothing that the fake has.
        let kept = daemon.shelved(identity).ok_or_else(unknown)?;
        let text = std::fs::read_to_string(kept.join("model.mil")).map_err(|_| unknown())?;
        let again = compiled(world, &text, &kept).map_err(|why| Failure::new(4, why))?;
        daemon.cache.insert(identity.to_string(), again);
    }
    let Some(Compiled { program, tiles }) = daemon.cache.get(identity).cloned() else {
        return Err(unknown());
    };
    if daemon.programs.len() + daemon.leaked >= LOADED {
        return Err(Failure::new(6, "Program load failure (0x50004)"));
    }
    let instance =
        program.load().map_err(|why| Failure::new(4, format!("Program creation failure: {why}")))?;
    daemon.next_handle += 1;
    let handle = daemon.next_handle;
    let loaded = Arc::new(LoadedProgram::new(handle, program.procedures(), instance, tiles));
    daemon.programs.insert(handle, loaded.clone());
    Ok(loaded)
}

/// Unloads a program; whether it was loaded.
pub(super) fn unload(world: &World, handle: u64) -> bool {
    let leaks = lock(&world.faults).budget_leaks;
    let mut daemon = lock(&world.daemon);
    let program = daemon.programs.remove(&handle);
    if program.as_ref().is_some_and(|p| p.had_events.load(Ordering::Relaxed)) {
        world.wrong("a program was unloaded that had shared events: that crashes");
    }
    let was = program.is_some();
    daemon.leaked += usize::from(was && leaks);
    let chain = daemon.chains.remove(&handle);
    drop(daemon);
    chain.into_iter().for_each(Chain::end);
    was
}

/// Runs a loaded program on surfaces.
pub(super) fn evaluate(world: &World, handle: u64, work: &Work<'_>) -> Result<(), Failure> {
    let faults = lock(&world.faults).clone();
    let program = {
        let mut daemon = lock(&world.daemon);
        let Some(program) = daemon.program(handle) else {
            return Err(Failure::new(23, "program not found (status=0xe)"));
        };
        daemon.evaluations += 1;
        if daemon.poisoned {
            return Err(Failure::status(0x1d));
        }
        if let Some(status) = faults.evaluate_status
            && daemon.evaluations > faults.after_evaluations
        {
            return Err(Failure::status(status));
        }
        program
    };
    if let Some(gate) = faults.hang {
        gate.pass();
        return Err(Failure::new(3, "timeout"));
    }
    // The procedure does not matter for a program that has one.
    let last = program.procedures.len() - 1;
    let procedure = if last == 0 { 0 } else { work.procedure as usize };
    if procedure > last {
        return Err(Failure::status(0x2));
    }
    let function = &program.procedures[procedure];
    let bound = |of: fn(&Procedure) -> &[Tensor], given: &[(u64, View<'_>)]| -> Result<Vec<usize>, Failure> {
        let wanted = of(function).len();
        let mut at = vec![usize::MAX; wanted];
        for (i, (index, View { surface, start })) in given.iter().enumerate() {
            let (position, tensor) =
                program.tensor(procedure, of, *index).ok_or_else(|| Failure::status(0x2))?;
            if surface.bytes() - start < tensor.bytes() {
                return Err(Failure::status(0x1d));
            }
            if surface.is_locked() {
                world.wrong("a surface was locked while it was evaluated");
                return Err(Failure::status(0x1d));
            }
            at[position] = i;
        }
        // A symbol without a surface, or bound twice.
        if at.contains(&usize::MAX) || given.len() != wanted { Err(Failure::status(0x1d)) } else { Ok(at) }
    };
    let (sources, sinks) = (bound(|p| &p.inputs, &work.inputs)?, bound(|p| &p.outputs, &work.outputs)?);
    let inputs: Vec<Vec<u8>> = function
        .inputs
        .iter()
        .zip(&sources)
        .map(|(tensor, &i)| {
            let View { surface, start } = work.inputs[i].1;
            let bytes = surface.copy_out(start, tensor.bytes());
            tensor.rows().flat_map(|at| bytes[at..at + tensor.row_bytes()].iter().copied()).collect()
        })
        .collect();
    let results = lock(&program.instance).run(procedure, &inputs);
    let results = results.map_err(|why| Failure::new(8, format!("inference error: {why}")))?;
    for ((tensor, &i), result) in function.outputs.iter().zip(&sinks).zip(&results) {
        let zeros = vec![0; tensor.row_bytes()];
        for (at, row) in tensor.rows().zip(result.chunks_exact(tensor.row_bytes().max(1))) {
            let View { surface, start } = work.outputs[i].1;
            surface.copy_in(start + at, if faults.zero_outputs { &zeros } else { row });
        }
    }
    if faults.tile_poisons && program.tiles {
        lock(&world.daemon).poisoned = true;
    }
    Ok(())
}
