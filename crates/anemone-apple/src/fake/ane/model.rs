//! The fake's `_ANEModel`, `_ANEClient` and `_ANEProgramForEvaluation`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::super::{foundation, object};
use super::daemon::{self, LoadedProgram};
use super::request::evaluate_request;
use super::{Failure, Payload, answer, in_memory_model_of, model_of, program_of, replace, request_of};
use crate::abi::{Bool, Id, Sel};
use crate::fake::object::{Payload as ObjectPayload, World, entries_of, lock, number_of, retain, str_of};
use crate::fake::runtime::world_of;
use crate::fake::tables::Implementations;
use crate::fake::{Procedure, Tensor};
use crate::messages::*;

/// A model in a folder.
pub(in crate::fake) struct Model {
    /// What the daemon knows it by.
    pub(super) identity: String,
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    attributes: Id,
    program: Id,
    loaded: Option<Arc<LoadedProgram>>,
    mask: u32,
}

// SAFETY: the objects in it may be used from any thread, and the state is behind a lock.
unsafe impl Send for State {}

impl Model {
    pub(super) fn held(&self) -> Vec<Id> {
        let state = lock(&self.state);
        vec![state.attributes, state.program]
    }

    /// The inner model of a model in memory, with a count of one.
    pub(super) fn of_folder(world: &Arc<World>, folder: &Path, identity: &str) -> Id {
        let attributes = object::make(world, "NSDictionary", ObjectPayload::Dictionary(Mutex::default()));
        let state = State { attributes, program: Id::NIL, loaded: None, mask: 0 };
        let model =
            Model { identity: identity.to_string(), folder: folder.to_path_buf(), state: Mutex::new(state) };
        object::make(world, "_ANEModel", ObjectPayload::Ane(Payload::Model(model)))
    }

    pub(super) fn mask(&self) -> u32 {
        lock(&self.state).mask
    }

    pub(super) fn handle(&self) -> u64 {
        lock(&self.state).loaded.as_ref().map_or(0, |l| l.handle)
    }

    /// Takes in what a load gives; `told` is the mask of statistics that it was told.
    pub(super) fn loaded(&self, world: &Arc<World>, program: &Arc<LoadedProgram>, told: u32) {
        let attributes = attributes(world, program);
        let evaluation = ProgramForEvaluation { handle: program.handle, depth: 127 };
        let payload = ObjectPayload::Ane(Payload::Program(evaluation));
        let mut state = lock(&self.state);
        // SAFETY: both are new; the attributes are autoreleased, so that the model takes a count.
        unsafe {
            retain(attributes);
            replace(&mut state.attributes, attributes);
            replace(&mut state.program, object::make(world, "_ANEProgramForEvaluation", payload));
        }
        // The model of a load is a new one: its mask is 0 until it is set again.
        program.told_mask.store(daemon::is_mask(told) || daemon::is_mask(state.mask), Ordering::Relaxed);
        state.mask = 0;
        state.loaded = Some(program.clone());
    }

    /// Forgets what a load gave.
    pub(super) fn unloaded(&self) {
        let mut state = lock(&self.state);
        state.loaded = None;
        // SAFETY: the model held a count of the program.
        unsafe { replace(&mut state.program, Id::NIL) };
    }
}

/// The bytes that statistics take.
const STATISTICS_BYTES: usize = 0x400;

/// The attributes of a loaded program.
fn attributes(world: &Arc<World>, program: &LoadedProgram) -> Id {
    let number = |n: usize| foundation::number(world, n as i64);
    let string = |s: &str| foundation::string(world, s);
    let numbers =
        |range: std::ops::Range<usize>| foundation::array(world, &range.map(number).collect::<Vec<_>>());
    let tensor = |t: &Tensor, suffix: &str| {
        let [batches, channels, height, width] = t.extents;
        foundation::dictionary(
            world,
            &[
                ("Name", string(&t.name)),
                ("Symbol", string(&format!("{}{suffix}", t.name))),
                ("Type", string(t.element)),
                ("Batches", number(batches)),
                ("Channels", number(channels)),
                ("Depth", number(1)),
                ("Height", number(height)),
                ("Width", number(width)),
                ("BatchStride", number(t.batch_stride())),
                ("DepthStride", number(t.batch_stride())),
                ("PlaneStride", number(t.plane_stride())),
                ("RowStride", number(t.row_stride())),
                ("PlaneCount", number(t.extents[1])),
                ("Interleave", number(1)),
            ],
        )
    };
    let tensors = |of: &[Tensor], suffix: &str| {
        foundation::array(world, &of.iter().map(|t| tensor(t, suffix)).collect::<Vec<_>>())
    };
    let symbols = |names: &[String], suffix: &str| {
        foundation::array(world, &names.iter().map(|n| string(&format!("{n}{suffix}"))).collect::<Vec<_>>())
    };
    let functions: Vec<(usize, &Procedure)> = program.procedures.iter().enumerate().collect();
    let procedures: Vec<Id> = functions
        .iter()
        .map(|&(i, _)| {
            foundation::dictionary(
                world,
                &[
                    ("ANEFModelProcedureID", number(i)),
                    ("ANEFModelInputSymbolIndexArray", numbers(program.symbols(i, |p| &p.inputs))),
                    ("ANEFModelOutputSymbolIndexArray", numbers(program.symbols(i, |p| &p.outputs))),
                ],
            )
        })
        .collect();
    let names: Vec<(&str, Id)> = functions.iter().map(|&(i, p)| (p.name.as_str(), number(i))).collect();
    let sizes: Vec<(&str, Id)> =
        functions.iter().map(|&(_, p)| (p.name.as_str(), number(STATISTICS_BYTES))).collect();
    let description = foundation::dictionary(
        world,
        &[
            ("ANEFModelProcedures", foundation::array(world, &procedures)),
            ("kANEFModelInputSymbolsArrayKey", symbols(&program.inputs, "")),
            ("kANEFModelOutputSymbolsArrayKey", symbols(&program.outputs, "@output")),
            ("kANEFModelProcedureNameToIDMapKey", foundation::dictionary(world, &names)),
            ("kANEFModelProcedureNameToStatsSizeMapKey", foundation::dictionary(world, &sizes)),
            (
                "ANEFModelInput16KAlignmentArray",
                foundation::array(world, &vec![number(0); program.inputs.len()]),
            ),
            (
                "ANEFModelOutput16KAlignmentArray",
                foundation::array(world, &vec![number(0); program.outputs.len()]),
            ),
        ],
    );
    let networks: Vec<Id> = functions
        .iter()
        .map(|&(_, p)| {
            foundation::dictionary(
                world,
                &[
                    ("Name", string(&p.name)),
                    ("LiveInputList", tensors(&p.inputs, "")),
                    ("LiveOutputList", tensors(&p.outputs, "@output")),
                ],
            )
        })
        .collect();
    foundation::dictionary(
        world,
        &[("ANEFModelDescription", description), ("NetworkStatusList", foundation::array(world, &networks))],
    )
}

unsafe extern "C" fn model_at_url(this: Id, _: Sel, url: Id, key: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live URL and string.
    unsafe {
        let world = world_of(this);
        let (Some(path), Some(key)) = (str_of(url), str_of(key)) else {
            world.wrong("a model needs a URL and a key");
            return Id::NIL;
        };
        let model = Model::of_folder(&world, Path::new(path), &format!("{path}#{key}"));
        super::super::runtime::autorelease(&world, model);
        model
    }
}

unsafe extern "C" fn model_attributes(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { model_of(this) }.map_or(Id::NIL, |(_, m)| lock(&m.state).attributes)
}

/// The symbol indices of a function as a set.
unsafe fn indices(this: Id, procedure: u32, of: fn(&Procedure) -> &[Tensor]) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let Some((o, m)) = (unsafe { model_of(this) }) else { return Id::NIL };
    let state = lock(&m.state);
    let Some(program) = state.loaded.as_ref().filter(|p| (procedure as usize) < p.procedures.len()) else {
        return Id::NIL;
    };
    let other = usize::from(lock(&o.world.faults).other_symbols);
    let set = program.symbols(procedure as usize, of).map(|i| (i + other) as u64).collect();
    object::make_autoreleased(&o.world, "NSIndexSet", ObjectPayload::IndexSet(set))
}

unsafe extern "C" fn input_symbol_indices(this: Id, _: Sel, procedure: u32) -> Id {
    // SAFETY: as the function asks.
    unsafe { indices(this, procedure, |p| &p.inputs) }
}

unsafe extern "C" fn output_symbol_indices(this: Id, _: Sel, procedure: u32) -> Id {
    // SAFETY: as the function asks.
    unsafe { indices(this, procedure, |p| &p.outputs) }
}

unsafe extern "C" fn set_perf_stats_mask(this: Id, _: Sel, mask: u32) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some((_, m)) = unsafe { model_of(this) } {
        let mut state = lock(&m.state);
        state.mask = mask;
        if let Some(program) = &state.loaded {
            program.mask.store(mask, Ordering::Relaxed);
        }
    }
}

unsafe extern "C" fn queue_depth(this: Id, _: Sel) -> i8 {
    // SAFETY: the runtime gives a receiver of ours.
    if unsafe { model_of(this) }.is_some_and(|(_, m)| m.handle() != 0) { 127 } else { 0 }
}

unsafe extern "C" fn state(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    if unsafe { model_of(this) }.is_some_and(|(_, m)| m.handle() != 0) { 3 } else { 1 }
}

unsafe extern "C" fn program_handle(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { model_of(this) }.map_or(0, |(_, m)| m.handle())
}

pub(super) unsafe extern "C" fn model_program(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { model_of(this) }.map_or(Id::NIL, |(_, m)| lock(&m.state).program)
}

/// What is needed to evaluate around a model.
pub(in crate::fake) struct ProgramForEvaluation {
    pub(super) handle: u64,
    /// How many evaluations may wait.
    pub(super) depth: i8,
}

unsafe extern "C" fn process_request(
    this: Id,
    _: Sel,
    request: Id,
    model: Id,
    _: u32,
    queue: u64,
    _: u64,
    options: Id,
    value: *mut u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects or nil, and places to write to.
    unsafe {
        let Some((o, p)) = program_of(this) else { return Bool::NO };
        if entries_of(options).is_none() || queue > 7 || (!model.is_nil() && model_of(model).is_none()) {
            o.world.wrong("processRequest: wants options, a queue of 0 to 7, and a model or nil");
        }
        let result = evaluate_request(&o.world, p.handle, request);
        if !value.is_null() {
            *value = u32::from(result.is_err());
        }
        answer(&o.world, result, error)
    }
}

unsafe extern "C" fn async_requests_in_flight(this: Id, _: Sel) -> i64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { world_of(this) }.in_flight.load(Ordering::Relaxed) as i64
}

unsafe extern "C" fn program_queue_depth(this: Id, _: Sel) -> i8 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { program_of(this) }.map_or(0, |(_, p)| p.depth)
}

/// The model that the client is given must be the inner one: the wrapper lacks what the client sends to it.
unsafe fn inner<'a>(world: &World, model: Id) -> Option<&'a Model> {
    // SAFETY: the caller gives a live object or nil.
    unsafe {
        if in_memory_model_of(model).is_some() {
            world.wrong("the client was given an _ANEInMemoryModel, which does not answer getUUID");
        }
        model_of(model).map(|(_, m)| m)
    }
}

unsafe extern "C" fn client_compile(
    this: Id,
    _: Sel,
    model: Id,
    options: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects, and a place for the error.
    unsafe {
        let world = &world_of(this);
        let Some(m) = inner(world, model) else { return Bool::NO };
        // What is known of packages contradicts itself; the fake takes the form that holds MIL text, and wants to be
        // told so.
        let told = entries_of(options).unwrap_or_default();
        let mil = told.iter().any(|(k, v)| k == "kANEFModelType" && str_of(*v) == Some("kANEFModelMIL"));
        if !mil && !m.folder.join("model.espresso.net").exists() {
            let description = format!(
                "_ANEEspressoIRTranslator : error Cannot load network '{}/model.espresso.net'",
                m.folder.display()
            );
            let domain = "com.apple.appleneuralengine.espresso";
            return answer(world, Err(Failure { domain, code: -1, description }), error);
        }
        match daemon::compile(world, &m.identity, &m.folder) {
            Ok(yes) => yes.into(),
            Err(f) => answer(world, Err(f), error),
        }
    }
}

/// The mask of statistics in the options of a load.
///
/// # Safety
///
/// The options are ours or nil.
pub(super) unsafe fn mask_of(options: Id) -> u32 {
    // SAFETY: the caller's promise.
    let entries = unsafe { entries_of(options) }.unwrap_or_default();
    let mask = entries.into_iter().find(|(key, _)| key == "kANEFPerformanceStatsMask");
    // SAFETY: the dictionary keeps its values alive.
    mask.and_then(|(_, value)| unsafe { number_of(value) }).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

unsafe extern "C" fn client_load(this: Id, _: Sel, model: Id, options: Id, _: u32, error: *mut Id) -> Bool {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        let Some(m) = inner(world, model) else { return Bool::NO };
        let result =
            daemon::load(world, &m.identity).map(|program| m.loaded(world, &program, mask_of(options)));
        answer(world, result, error)
    }
}

unsafe extern "C" fn client_unload(this: Id, _: Sel, model: Id, _: Id, _: u32, error: *mut Id) -> Bool {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        let Some(m) = inner(world, model) else { return Bool::NO };
        let was = daemon::unload(world, m.handle());
        m.unloaded();
        let result = if was { Ok(()) } else { Err(Failure::new(23, "model was not loaded by the client")) };
        answer(world, result, error)
    }
}

unsafe extern "C" fn client_evaluate(
    this: Id,
    _: Sel,
    model: Id,
    options: Id,
    request: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        let Some(m) = inner(world, model) else { return Bool::NO };
        if entries_of(options).is_none() {
            world.wrong("options must be a dictionary, an empty one if there are none");
        }
        let events = request_of(request).map_or(Id::NIL, |(_, r)| r.shared_events());
        let result = if events.is_nil() {
            evaluate_request(world, m.handle(), request)
        } else if m.identity.contains('#') {
            super::info::evaluate_with_events(world, m.handle(), request, events)
        } else {
            Err(Failure::new(25, "shared events are not supported for this model"))
        };
        answer(world, result, error)
    }
}

unsafe extern "C" fn evaluate_real_time(
    this: Id,
    selector: Sel,
    model: Id,
    options: Id,
    request: Id,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for the other evaluations.
    unsafe { client_evaluate(this, selector, model, options, request, 0, error) }
}

unsafe extern "C" fn client_map(
    this: Id,
    _: Sel,
    model: Id,
    request: Id,
    cache: Bool,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        let Some(m) = inner(world, model) else { return Bool::NO };
        answer(world, super::request::map(world, m.handle(), request, cache), error)
    }
}

unsafe extern "C" fn client_unmap(this: Id, _: Sel, _: Id, request: Id) {
    // SAFETY: as for compiling.
    unsafe { super::request::unmap(&world_of(this), request) }
}

unsafe extern "C" fn exists_for(this: Id, _: Sel, model: Id) -> Bool {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        inner(world, model).is_some_and(|m| lock(&world.daemon).is_cached(&m.identity)).into()
    }
}

unsafe extern "C" fn exists_matching_hash(this: Id, _: Sel, hash: Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours, and the caller a live string.
    unsafe { str_of(hash).is_some_and(|h| lock(&world_of(this).daemon).is_cached(h)) }.into()
}

unsafe extern "C" fn purge_of(this: Id, _: Sel, model: Id) {
    // SAFETY: as for compiling.
    unsafe {
        let world = &world_of(this);
        if let Some(m) = inner(world, model) {
            lock(&world.daemon).purge(&m.identity);
        }
    }
}

unsafe extern "C" fn purge_matching_hash(this: Id, _: Sel, hash: Id) {
    // SAFETY: the runtime gives a receiver of ours, and the caller a live string.
    unsafe {
        if let Some(h) = str_of(hash) {
            lock(&world_of(this).daemon).purge(h);
        }
    }
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(MODEL_AT_URL, model_at_url);
    all.add(MODEL_ATTRIBUTES, model_attributes);
    all.add(INPUT_SYMBOL_INDICES, input_symbol_indices);
    all.add(OUTPUT_SYMBOL_INDICES, output_symbol_indices);
    all.add(MODEL_SET_PERF_STATS_MASK, set_perf_stats_mask);
    all.add(MODEL_QUEUE_DEPTH, queue_depth);
    all.add(MODEL_STATE, state);
    all.add(MODEL_PROGRAM_HANDLE, program_handle);
    all.add(MODEL_PROGRAM, model_program);
    all.add(PROCESS_REQUEST, process_request);
    all.add(ASYNC_REQUESTS_IN_FLIGHT, async_requests_in_flight);
    all.add(PROGRAM_QUEUE_DEPTH, program_queue_depth);
    all.add(CLIENT_COMPILE, client_compile);
    all.add(CLIENT_LOAD, client_load);
    all.add(CLIENT_UNLOAD, client_unload);
    all.add(CLIENT_EVALUATE, client_evaluate);
    all.add(EVALUATE_DIRECT, client_evaluate);
    all.add(EVALUATE_REAL_TIME, evaluate_real_time);
    all.add(CLIENT_MAP_IO_SURFACES, client_map);
    all.add(CLIENT_UNMAP_IO_SURFACES, client_unmap);
    all.add(COMPILED_MODEL_EXISTS_FOR, exists_for);
    all.add(COMPILED_MODEL_EXISTS_MATCHING_HASH, exists_matching_hash);
    all.add(PURGE_COMPILED_MODEL_OF, purge_of);
    all.add(PURGE_COMPILED_MODEL_MATCHING_HASH, purge_matching_hash);
}
