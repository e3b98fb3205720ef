//! The fake's `_ANEInMemoryModelDescriptor` and `_ANEInMemoryModel`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::super::{foundation, object};
use super::daemon;
use super::model::Model;
use super::request::evaluate_request;
use super::{Failure, Payload, answer, descriptor_of, in_memory_model_of, replace, request_of};
use crate::abi::{Bool, Id, Sel};
use crate::fake::object::{
    Payload as ObjectPayload, World, data_of, entries_of, items_of, lock, number_of, retain,
};
use crate::fake::runtime::world_of;
use crate::fake::tables::Implementations;
use crate::messages::*;

/// A description of a program: text and weights.
pub(in crate::fake) struct Descriptor {
    text: Id,
    weights: Id,
    options: Id,
    identity: String,
}

impl Descriptor {
    pub(super) fn held(&self) -> Vec<Id> {
        vec![self.text, self.weights, self.options]
    }
}

fn hash(update: impl FnOnce(&mut Sha256)) -> String {
    let mut hash = Sha256::new();
    update(&mut hash);
    hash.finalize().iter().map(|b| format!("{b:02X}")).collect()
}

unsafe extern "C" fn model_with_mil_text(this: Id, _: Sel, text: Id, weights: Id, options: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects or nil.
    unsafe {
        let world = world_of(this);
        let Some(bytes) = data_of(text) else {
            world.wrong("MIL text must be NSData: a string crashes the real system");
            return Id::NIL;
        };
        let Some(entries) = entries_of(weights) else {
            world.wrong("weights must be a dictionary, an empty one if there are none");
            return Id::NIL;
        };
        if !options.is_nil() && data_of(options).is_none() {
            world.wrong("the options must be NSData or nil");
            return Id::NIL;
        }
        let mut blobs = Vec::new();
        for (name, entry) in entries {
            let Some(inner) = entries_of(entry) else {
                world.wrong(format!("the entry of {name} must be a dictionary"));
                return Id::NIL;
            };
            let find = |key: &str| inner.iter().find(|(n, _)| n == key).map(|&(_, v)| v);
            let offset = find("offset").and_then(|n| number_of(n));
            let (Some(data), Some(0)) = (find("data").and_then(|d| data_of(d)), offset) else {
                world.wrong(format!("the entry of {name} must have `offset` 0 and `data`"));
                return Id::NIL;
            };
            if !name.starts_with("@model_path/") {
                world.wrong(format!("the path {name} must begin with @model_path/"));
                return Id::NIL;
            }
            blobs.push((name, data));
        }
        let identity = [
            hash(|h| h.update(bytes)),
            hash(|h| blobs.iter().for_each(|(n, d)| (h.update(n.as_bytes()), h.update(d), ()).2)),
            hash(|h| h.update(data_of(options).unwrap_or_default())),
        ]
        .join("_");
        [text, weights, options].into_iter().for_each(|o| retain(o));
        let payload = Payload::Descriptor(Descriptor { text, weights, options, identity });
        object::make_autoreleased(&world, "_ANEInMemoryModelDescriptor", ObjectPayload::Ane(payload))
    }
}

/// A model of a description.
pub(in crate::fake) struct InMemoryModel {
    identity: String,
    state: Mutex<State>,
}

struct State {
    /// Dropped when the files are saved.
    descriptor: Id,
    /// The inner model, once it is compiled or loaded.
    model: Id,
    handle: u64,
    mask: u32,
    depth: i8,
    state: u64,
}

// SAFETY: the objects in it may be used from any thread, and the state is behind a lock.
unsafe impl Send for State {}

impl InMemoryModel {
    pub(super) fn held(&self) -> Vec<Id> {
        let state = lock(&self.state);
        vec![state.descriptor, state.model]
    }

    /// A model that ends does not unload its program: that leaks a place of the process.
    pub(super) fn dealloc(&self, world: &Arc<World>) {
        if lock(&self.state).handle != 0 {
            world.wrong("a model ended while its program was loaded");
        }
    }

    pub(super) fn handle(&self) -> u64 {
        lock(&self.state).handle
    }

    fn folder(&self, world: &World) -> PathBuf {
        world.machine.temporary.join(&self.identity)
    }

    /// Writes the description and the first value of each entry of the weights, as the framework does.
    unsafe fn save_files(&self, world: &World, state: &mut State) -> Result<(), ()> {
        if state.descriptor.is_nil() {
            return Ok(());
        }
        let folder = self.folder(world);
        // SAFETY: the model holds its descriptor, and that its parts.
        unsafe {
            let (_, descriptor) = descriptor_of(state.descriptor).ok_or(())?;
            let text = data_of(descriptor.text).ok_or(())?;
            std::fs::create_dir_all(&folder).map_err(drop)?;
            lock(&world.daemon).folder(&folder);
            std::fs::write(folder.join("net.plist"), text).map_err(drop)?;
            for (_, entry) in entries_of(descriptor.weights).ok_or(())? {
                for (key, value) in entries_of(entry).ok_or(())? {
                    if let Some(data) = data_of(value) {
                        std::fs::write(folder.join(key), data).map_err(drop)?;
                        break;
                    }
                }
            }
            replace(&mut state.descriptor, Id::NIL);
        }
        Ok(())
    }
}

/// The options must be a dictionary; with nil the framework's own keys would be lost.
unsafe fn check_options(world: &World, options: Id) {
    // SAFETY: the caller gives a live object or nil.
    if options.is_nil() || unsafe { entries_of(options) }.is_none() {
        world.wrong("options must be a dictionary, an empty one if there are none");
    }
}

unsafe extern "C" fn in_memory_model_with_descriptor(this: Id, _: Sel, descriptor: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live descriptor.
    unsafe {
        let world = world_of(this);
        let Some((_, d)) = descriptor_of(descriptor) else {
            world.wrong("a model was asked for without a descriptor");
            return Id::NIL;
        };
        retain(descriptor);
        let state = State { descriptor, model: Id::NIL, handle: 0, mask: 0, depth: 0, state: 0 };
        let model = InMemoryModel { identity: d.identity.clone(), state: Mutex::new(state) };
        object::make_autoreleased(
            &world,
            "_ANEInMemoryModel",
            ObjectPayload::Ane(Payload::InMemoryModel(model)),
        )
    }
}

unsafe extern "C" fn hex_string_identifier(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(Id::NIL, |(o, m)| foundation::string(&o.world, &m.identity))
}

unsafe extern "C" fn local_model_path(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(Id::NIL, |(o, m)| {
        let folder = m.folder(&o.world);
        lock(&o.world.daemon).folder(&folder);
        foundation::string(&o.world, &folder.to_string_lossy())
    })
}

unsafe extern "C" fn compile(this: Id, _: Sel, _: u32, options: Id, error: *mut Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live options, and a place for the error.
    unsafe {
        let Some((o, m)) = in_memory_model_of(this) else { return Bool::NO };
        let world = &o.world;
        check_options(world, options);
        let mut state = lock(&m.state);
        // A failure to write the files is one of which nothing is said.
        if m.save_files(world, &mut state).is_err() {
            return Bool::NO;
        }
        let model = Model::of_folder(world, &m.folder(world), &m.identity);
        replace(&mut state.model, model);
        vanish(world, &m.folder(world));
        match daemon::compile(world, &m.identity, &m.folder(world)) {
            Ok(true) => Bool::YES,
            Ok(false) => Bool::NO,
            Err(f) => answer(world, Err(f), error),
        }
    }
}

unsafe extern "C" fn load(this: Id, _: Sel, _: u32, options: Id, error: *mut Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live options, and a place for the error.
    unsafe {
        let Some((o, m)) = in_memory_model_of(this) else { return Bool::NO };
        let world = &o.world;
        check_options(world, options);
        let mut state = lock(&m.state);
        if state.handle != 0 {
            world.wrong("a model was loaded twice");
        }
        if !lock(&world.daemon).is_cached(&m.identity) {
            if m.save_files(world, &mut state).is_err() {
                return Bool::NO;
            }
            vanish(world, &m.folder(world));
            match daemon::compile(world, &m.identity, &m.folder(world)) {
                Ok(true) => {}
                Ok(false) => return Bool::NO,
                Err(f) => return answer(world, Err(f), error),
            }
        }
        if state.model.is_nil() {
            state.model = Model::of_folder(world, &m.folder(world), &m.identity);
        }
        let program = match daemon::load(world, &m.identity) {
            Ok(program) => program,
            Err(f) => return answer(world, Err(f), error),
        };
        if let Some((_, inner)) = super::model_of(state.model) {
            let told = [state.mask, super::model::mask_of(options)].into_iter().find(|&m| daemon::is_mask(m));
            inner.loaded(world, &program, told.unwrap_or(0));
            // The mask of the inner model takes the place of the one that was set here.
            state.mask = inner.mask();
        }
        state.handle = program.handle;
        (state.depth, state.state) = (127, 3);
        Bool::YES
    }
}

unsafe extern "C" fn evaluate(this: Id, _: Sel, _: u32, options: Id, request: Id, error: *mut Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects, and a place for the error.
    unsafe {
        let Some((o, m)) = in_memory_model_of(this) else { return Bool::NO };
        check_options(&o.world, options);
        let result = match request_of(request) {
            Some((_, r)) if !r.shared_events().is_nil() => {
                Err(Failure::new(25, "shared events are not supported for this model"))
            }
            Some(_) => evaluate_request(&o.world, m.handle(), request),
            None => Err(Failure::new(26, "the request is nil")),
        };
        answer(&o.world, result, error)
    }
}

unsafe extern "C" fn unload(this: Id, _: Sel, _: u32, error: *mut Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours, and the caller a place for the error.
    unsafe {
        let Some((o, m)) = in_memory_model_of(this) else { return Bool::NO };
        let world = &o.world;
        let mut state = lock(&m.state);
        let was = daemon::unload(world, std::mem::take(&mut state.handle));
        (state.depth, state.state) = (0, 1);
        if let Some((_, inner)) = super::model_of(state.model) {
            inner.unloaded();
        }
        // The folder goes with the model, whoever else uses it.
        remove_folder(world, &m.folder(world));
        if was {
            Bool::YES
        } else {
            answer(world, Err(Failure::new(23, "model was not loaded by the client")), error)
        }
    }
}

/// Another process that has the same program removes its folder, or a file of it, if that is a fault of the machine.
fn vanish(world: &World, folder: &Path) {
    let mut faults = lock(&world.faults);
    if faults.vanishing_folders > 0 {
        faults.vanishing_folders -= 1;
        // It may not be there: what matters is that it is gone.
        let _ = match faults.vanishing_folders % 2 {
            0 => std::fs::remove_dir_all(folder),
            _ => std::fs::remove_file(folder.join("model.mil")),
        };
    }
}

fn remove_folder(world: &World, folder: &Path) {
    // It may not be there: what matters is that it is gone.
    let _ = std::fs::remove_dir_all(folder);
    lock(&world.daemon).forget_folder(folder);
}

unsafe extern "C" fn inner_model(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(Id::NIL, |(_, m)| lock(&m.state).model)
}

unsafe extern "C" fn program(this: Id, selector: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours, and the model holds its inner one.
    unsafe { super::model::model_program(inner_model(this, selector), selector) }
}

unsafe extern "C" fn compiled_model_exists(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }
        .is_some_and(|(o, m)| lock(&o.world.daemon).is_cached(&m.identity))
        .into()
}

unsafe extern "C" fn purge_compiled_model(this: Id, _: Sel) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some((o, m)) = unsafe { in_memory_model_of(this) } {
        lock(&o.world.daemon).purge(&m.identity);
    }
}

unsafe extern "C" fn map_io_surfaces(this: Id, _: Sel, request: Id, cache: Bool, error: *mut Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives a live request, and a place for the error.
    unsafe {
        let Some((o, m)) = in_memory_model_of(this) else { return Bool::NO };
        answer(&o.world, super::request::map(&o.world, m.handle(), request, cache), error)
    }
}

unsafe extern "C" fn unmap_io_surfaces(this: Id, _: Sel, request: Id) {
    // SAFETY: the runtime gives a receiver of ours, and the caller a live request.
    unsafe {
        if let Some((o, _)) = in_memory_model_of(this) {
            super::request::unmap(&o.world, request);
        }
    }
}

unsafe extern "C" fn set_perf_stats_mask(this: Id, _: Sel, mask: u32) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some((_, m)) = unsafe { in_memory_model_of(this) } {
        lock(&m.state).mask = mask;
    }
}

unsafe extern "C" fn perf_stats_mask(this: Id, _: Sel) -> u32 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(0, |(_, m)| lock(&m.state).mask)
}

unsafe extern "C" fn set_queue_depth(this: Id, _: Sel, depth: i8) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some((_, m)) = unsafe { in_memory_model_of(this) } {
        lock(&m.state).depth = depth;
    }
}

unsafe extern "C" fn queue_depth(this: Id, _: Sel) -> i8 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(0, |(_, m)| lock(&m.state).depth)
}

unsafe extern "C" fn state(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(0, |(_, m)| lock(&m.state).state)
}

unsafe extern "C" fn program_handle(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { in_memory_model_of(this) }.map_or(0, |(_, m)| m.handle())
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(MODEL_WITH_MIL_TEXT, model_with_mil_text);
    all.add(IN_MEMORY_MODEL_WITH_DESCRIPTOR, in_memory_model_with_descriptor);
    all.add(HEX_STRING_IDENTIFIER, hex_string_identifier);
    all.add(LOCAL_MODEL_PATH, local_model_path);
    all.add(COMPILE, compile);
    all.add(LOAD, load);
    all.add(EVALUATE, evaluate);
    all.add(UNLOAD, unload);
    all.add(INNER_MODEL, inner_model);
    all.add(PROGRAM, program);
    all.add(COMPILED_MODEL_EXISTS, compiled_model_exists);
    all.add(PURGE_COMPILED_MODEL, purge_compiled_model);
    all.add(MAP_IO_SURFACES, map_io_surfaces);
    all.add(UNMAP_IO_SURFACES, unmap_io_surfaces);
    all.add(SET_PERF_STATS_MASK, set_perf_stats_mask);
    all.add(PERF_STATS_MASK, perf_stats_mask);
    all.add(SET_QUEUE_DEPTH, set_queue_depth);
    all.add(QUEUE_DEPTH, queue_depth);
    all.add(STATE, state);
    all.add(PROGRAM_HANDLE, program_handle);
}

/// Whether every object of an array is of a kind.
pub(super) unsafe fn all_are(array: Id, kind: impl Fn(Id) -> bool) -> Option<usize> {
    // SAFETY: the caller gives a live array or nil.
    let items = unsafe { items_of(array) }?;
    items.iter().all(|&i| kind(i)).then_some(items.len())
}
