//! The fake's parts of programs, instances of models, and what classes say by themselves.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::super::{foundation, object};
use super::info::{part, part_of};
use super::model::{Model, ProgramForEvaluation};
use super::request::is_valid;
use super::{Failure, Payload, answer, daemon, in_memory_model_of, model_of};
use crate::abi::{Bool, Id, Sel};
use crate::fake::object::{Payload as ObjectPayload, entries_of, items_of, lock, str_of};
use crate::fake::runtime::{autorelease, world_of};
use crate::fake::tables::Implementations;
use crate::messages::*;

const MAPPER: &str = "_ANEProgramIOSurfacesMapper";
const CONTROLLER: &str = "_ANEDeviceController";

unsafe extern "C" fn program_with_handle(this: Id, _: Sel, handle: u64, _: u64, depth: i8) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    if lock(&world.daemon).program(handle).is_none() || depth < 1 {
        world.wrong("a program for evaluation has the handle of a loaded program, and a queue of 1 to 127");
        return Id::NIL;
    }
    let program = Payload::Program(ProgramForEvaluation { handle, depth });
    object::make_autoreleased(&world, "_ANEProgramForEvaluation", ObjectPayload::Ane(program))
}

unsafe extern "C" fn intermediate_buffer_handle(_: Id, _: Sel) -> u64 {
    0
}

unsafe extern "C" fn controller_with_program_handle(this: Id, _: Sel, handle: u64) -> Id {
    // SAFETY: the receiver is a class.
    unsafe {
        let world = world_of(this);
        if lock(&world.faults).no_controllers { Id::NIL } else { part(&world, CONTROLLER, &[], handle) }
    }
}

unsafe extern "C" fn controller_program_handle(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { part_of(this, CONTROLLER) }.map_or(0, |c| *lock(&c.value))
}

unsafe extern "C" fn mapper_with_controller(this: Id, selector: Sel, controller: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live controller.
    unsafe {
        let handle = controller_program_handle(controller, selector);
        part(&world_of(this), MAPPER, &[controller], handle)
    }
}

unsafe extern "C" fn mapper_with_program_handle(this: Id, _: Sel, handle: u64) -> Id {
    // SAFETY: the receiver is a class.
    unsafe { part(&world_of(this), MAPPER, &[], handle) }
}

/// The mapper of a loaded model.
unsafe extern "C" fn model_mapper(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe {
        let handle = model_of(this).map_or(0, |(_, m)| m.handle());
        if handle == 0 { Id::NIL } else { part(&world_of(this), MAPPER, &[], handle) }
    }
}

unsafe extern "C" fn mapper_validate(this: Id, _: Sel, request: Id, model: Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects.
    unsafe {
        if in_memory_model_of(model).is_some() {
            world_of(this).wrong("a mapper was given an _ANEInMemoryModel, and not the one in it");
        }
        let of = part_of(this, MAPPER).map_or(0, |m| *lock(&m.value));
        (of != 0 && model_of(model).is_some_and(|(_, m)| m.handle() == of) && is_valid(request)).into()
    }
}

unsafe extern "C" fn mapper_map(
    this: Id,
    selector: Sel,
    model: Id,
    request: Id,
    cache: Bool,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for validating, and a place for the error.
    unsafe {
        let world = &world_of(this);
        let valid = mapper_validate(this, selector, request, model).get();
        let handle = model_of(model).filter(|_| valid).map_or(0, |(_, m)| m.handle());
        answer(world, super::request::map(world, handle, request, cache), error)
    }
}

unsafe extern "C" fn mapper_unmap(this: Id, _: Sel, _: Id, request: Id, error: *mut Id) -> Bool {
    // SAFETY: as for mapping.
    unsafe {
        let world = &world_of(this);
        if lock(&world.faults).unmapping_fails {
            return answer(world, Err(Failure::new(14, "Program IOSurfaces unmap failure (0x12)")), error);
        }
        super::request::unmap(world, request);
        Bool::YES
    }
}

// Instances of models.

unsafe extern "C" fn model_at_url_with_attributes(this: Id, _: Sel, url: Id, key: Id, attributes: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects.
    unsafe {
        let world = world_of(this);
        let (Some(path), Some(key), Some(_)) = (str_of(url), str_of(key), entries_of(attributes)) else {
            world.wrong("a model needs a URL, a key and a dictionary of attributes");
            return Id::NIL;
        };
        let model = Model::of_folder(&world, Path::new(path), &format!("{path}#{key}"));
        autorelease(&world, model);
        model
    }
}

/// A text that is asked of a model from a folder: its identity in two parts.
unsafe fn identity<'a>(this: Id) -> (&'a str, &'a str) {
    // SAFETY: the caller gives a receiver of ours.
    let identity = unsafe { model_of(this) }.map_or("", |(_, m)| m.identity.as_str());
    identity.split_once('#').unwrap_or((identity, ""))
}

unsafe extern "C" fn model_url(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { foundation::url(&world_of(this), identity(this).0) }
}

unsafe extern "C" fn model_key(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { foundation::string(&world_of(this), identity(this).1) }
}

unsafe extern "C" fn model_cache_identifier(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { foundation::string(&world_of(this), identity(this).0) }
}

unsafe extern "C" fn weight_with(this: Id, _: Sel, symbol: Id, url: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects.
    unsafe {
        let world = world_of(this);
        if str_of(symbol).is_none() || str_of(url).is_none() {
            world.wrong("a weight has a symbol and a URL");
        }
        part(&world, "_ANEWeight", &[symbol, url], 0)
    }
}

/// Whether an object is an array of parts of a class.
unsafe fn are(array: Id, class: &str) -> bool {
    // SAFETY: the caller gives a live object.
    unsafe { items_of(array) }.is_some_and(|i| i.iter().all(|&p| unsafe { part_of(p, class) }.is_some()))
}

unsafe extern "C" fn procedure_data_with(this: Id, _: Sel, symbol: Id, weights: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects.
    unsafe {
        let world = world_of(this);
        if str_of(symbol).is_none() || !are(weights, "_ANEWeight") {
            world.wrong("what a function has is a symbol and an array of weights");
        }
        part(&world, "_ANEProcedureData", &[symbol, weights], 0)
    }
}

unsafe extern "C" fn instance_parameters_with(this: Id, _: Sel, name: Id, procedures: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects.
    unsafe {
        let world = world_of(this);
        if str_of(name).is_none() || !are(procedures, "_ANEProcedureData") {
            world.wrong("an instance has a name and an array of what its functions have");
        }
        part(&world, "_ANEModelInstanceParameters", &[name, procedures], 0)
    }
}

unsafe extern "C" fn load_new_instance(
    this: Id,
    _: Sel,
    model: Id,
    options: Id,
    parameters: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects, and a place for the error.
    unsafe {
        let world = &world_of(this);
        let told = entries_of(options).unwrap_or_default();
        let based = told.iter().any(|(k, v)| k == "kANEFBaseModelIdentifierKey" && str_of(*v).is_some());
        let result = match (model_of(model), part_of(parameters, "_ANEModelInstanceParameters")) {
            (Some(_), Some(_)) if !world.machine.entitled => Err(Failure::new(
                1,
                "loadModelNewInstance: requires restricted access connection and \
                 (com.apple.aned.private.adapterWeight.allow) entitlement",
            )),
            (Some(_), Some(_)) if !based => Err(Failure::new(18, "base model identifier not found")),
            (Some((_, m)), Some(_)) => {
                daemon::load(world, &m.identity).map(|program| m.loaded(world, &program, 0))
            }
            _ => Err(Failure::new(20, "invalid model instance")),
        };
        answer(world, result, error)
    }
}

// What classes and models say by themselves.

unsafe extern "C" fn model_uuid(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let Some((o, m)) = (unsafe { model_of(this) }) else { return Id::NIL };
    let text = format!("00000000-0000-4000-8000-{:012X}", m.handle());
    object::make_autoreleased(&o.world, "NSUUID", ObjectPayload::String(foundation::c_string(&text)))
}

unsafe extern "C" fn uuid_string(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { foundation::string(&world_of(this), str_of(this).unwrap_or_default()) }
}

unsafe extern "C" fn model_cache_directory(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    foundation::string(&world, &format!("/Library/Caches/com.apple.aned/{}", world.machine.build))
}

unsafe extern "C" fn stats_with_nanoseconds(this: Id, _: Sel, nanoseconds: u64) -> Id {
    // SAFETY: the receiver is a class.
    unsafe { part(&world_of(this), "_ANEPerformanceStats", &[], nanoseconds) }
}

/// Nothing on systems that are sold.
unsafe extern "C" fn performance_counters(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    if !world.machine.entitled {
        return Id::NIL;
    }
    let in_flight = world.in_flight.load(Ordering::Relaxed) as i64;
    foundation::dictionary(&world, &[("kANE_IN_FLIGHT", foundation::number(&world, in_flight))])
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(PROGRAM_WITH_HANDLE, program_with_handle);
    all.add(INTERMEDIATE_BUFFER_HANDLE, intermediate_buffer_handle);
    all.add(CONTROLLER_WITH_PROGRAM_HANDLE, controller_with_program_handle);
    all.add(CONTROLLER_PROGRAM_HANDLE, controller_program_handle);
    all.add(MAPPER_WITH_CONTROLLER, mapper_with_controller);
    all.add(MAPPER_WITH_PROGRAM_HANDLE, mapper_with_program_handle);
    all.add(MODEL_MAPPER, model_mapper);
    all.add(MAPPER_VALIDATE, mapper_validate);
    all.add(MAPPER_MAP, mapper_map);
    all.add(MAPPER_UNMAP, mapper_unmap);
    all.add(MODEL_AT_URL_WITH_ATTRIBUTES, model_at_url_with_attributes);
    all.add(MODEL_URL, model_url);
    all.add(MODEL_KEY, model_key);
    all.add(MODEL_CACHE_IDENTIFIER, model_cache_identifier);
    all.add(WEIGHT_WITH, weight_with);
    all.add(PROCEDURE_DATA_WITH, procedure_data_with);
    all.add(INSTANCE_PARAMETERS_WITH, instance_parameters_with);
    all.add(LOAD_NEW_INSTANCE, load_new_instance);
    all.add(MODEL_UUID, model_uuid);
    all.add(UUID_STRING, uuid_string);
    all.add(MODEL_CACHE_DIRECTORY, model_cache_directory);
    all.add(STATS_WITH_NANOSECONDS, stats_with_nanoseconds);
    all.add(PERFORMANCE_COUNTERS, performance_counters);
}
