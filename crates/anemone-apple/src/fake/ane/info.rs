//! The fake's device information, statistics, events of requests, hints, chaining.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::event::event_of;
use super::super::{foundation, object};
use super::daemon::{self, is_mask};
use super::request::{Request, evaluate_request};
use super::{Failure, Payload, answer, request_of, surface_object_of};
use crate::abi::{Bool, Id, Sel, SurfaceRef};
use crate::fake::object::{
    Kept, Payload as ObjectPayload, World, items_of, lock, number_of, release, retain, str_of,
};
use crate::fake::runtime::{on_a_thread, world_of};
use crate::fake::surface::FakeSurface;
use crate::fake::tables::Implementations;
use crate::messages::*;

/// A part of a request or of a chain: it has the class of its kind, and holds objects.
pub(in crate::fake) struct Part {
    pub(super) held: Vec<Id>,
    /// What it is about: a value, a kind, a function.
    pub(super) value: Mutex<u64>,
}

/// Makes an autoreleased part, which retains what it holds.
pub(super) unsafe fn part(world: &Arc<World>, class: &str, held: &[Id], value: u64) -> Id {
    // SAFETY: the caller gives live objects or nil.
    held.iter().for_each(|&h| unsafe { retain(h) });
    let part = Part { held: held.to_vec(), value: Mutex::new(value) };
    object::make_autoreleased(world, class, ObjectPayload::Ane(Payload::Part(part)))
}

/// A live part of this class.
pub(super) unsafe fn part_of<'a>(id: Id, class: &str) -> Option<&'a Part> {
    // SAFETY: the caller gives an object of ours or nil.
    let (o, p) = unsafe { super::any_part_of(id) }?;
    (o.class_name() == class).then_some(p)
}

// Device information.

unsafe extern "C" fn has_ane(this: Id, _: Sel) -> Bool {
    // SAFETY: the receiver is a class.
    (!unsafe { world_of(this) }.machine.virtual_machine).into()
}

unsafe extern "C" fn num_anes(this: Id, _: Sel) -> u32 {
    // SAFETY: the receiver is a class.
    unsafe { world_of(this) }.machine.engines
}

unsafe extern "C" fn num_ane_cores(this: Id, _: Sel) -> u32 {
    // SAFETY: the receiver is a class.
    unsafe { world_of(this) }.machine.cores
}

unsafe extern "C" fn ane_architecture_type(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    foundation::string(&world, &world.machine.architecture)
}

unsafe extern "C" fn ane_sub_type(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    let architecture = &world.machine.architecture;
    foundation::string(&world, architecture.trim_end_matches(|c: char| c.is_ascii_alphabetic()))
}

unsafe extern "C" fn ane_board_type(this: Id, _: Sel) -> i64 {
    // SAFETY: the receiver is a class.
    unsafe { world_of(this) }.machine.board
}

unsafe extern "C" fn product_name(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    foundation::string(&unsafe { world_of(this) }, "macOS")
}

unsafe extern "C" fn build_version(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    foundation::string(&world, &world.machine.build)
}

unsafe extern "C" fn is_virtual_machine(this: Id, _: Sel) -> Bool {
    // SAFETY: the receiver is a class.
    unsafe { world_of(this) }.machine.virtual_machine.into()
}

unsafe extern "C" fn is_internal_build(_: Id, _: Sel) -> Bool {
    Bool::NO
}

/// The queue of a quality of service, as `_ANEQoSMapper` maps it.
unsafe extern "C" fn queue_index_for_qos(_: Id, _: Sel, qos: u32) -> u64 {
    match qos {
        0 => 2,
        9 => 6,
        25 => 4,
        33 => 3,
        _ => 5,
    }
}

// Statistics.

/// What an evaluation of the fake is said to have taken on the engine.
const NANOSECONDS: u64 = 123_456;

/// Gives a request that asks for statistics those of its evaluation: as an object, and where they are to be written.
pub(super) fn note_stats(world: &Arc<World>, handle: u64, request: &Request) {
    let faults = lock(&world.faults).clone();
    let program = lock(&world.daemon).program(handle);
    let asked = program
        .is_some_and(|p| p.told_mask.load(Ordering::Relaxed) && is_mask(p.mask.load(Ordering::Relaxed)));
    if request.perf_stats_array().is_nil() || faults.no_counters || !asked {
        return;
    }
    // SAFETY: the request holds the array, that its statistics, those their surface objects, and those their surfaces.
    unsafe {
        for &statistics in items_of(request.perf_stats_array()).unwrap_or_default() {
            let surface = part_of(statistics, "_ANEPerformanceStatsIOSurface")
                .and_then(|p| surface_object_of(p.held[0]))
                .and_then(|(_, object)| FakeSurface::of(object.surface));
            let Some(surface) = surface else { continue };
            if surface.is_locked() {
                world.wrong("a surface was locked while statistics were written to it");
            }
            let counters = (0..27).map(|i| if world.machine.entitled { 100 + i } else { 0 });
            let numbers = [1, NANOSECONDS, 0].into_iter().chain(counters);
            let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
            if surface.bytes() < bytes.len() {
                world.wrong(format!("a surface of {} bytes is too small for statistics", surface.bytes()));
            } else {
                surface.copy_in(0, &bytes);
            }
        }
    }
    if faults.no_stats_object {
        return;
    }
    let part = Part { held: Vec::new(), value: Mutex::new(NANOSECONDS) };
    request.set_stats(object::make(world, "_ANEPerformanceStats", ObjectPayload::Ane(Payload::Part(part))));
}

/// Only masks of four bits mean something to the driver.
unsafe extern "C" fn driver_mask(_: Id, _: Sel, mask: u32) -> u32 {
    if mask > 0xf { 0 } else { (mask & 1) | (mask >> 2 & 2) | (mask << 1 & 0xc) }
}

unsafe extern "C" fn hw_execution_time(this: Id, _: Sel) -> u64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { part_of(this, "_ANEPerformanceStats") }.map_or(0, |p| *lock(&p.value))
}

/// Counters are not given by systems that are sold; the fake takes a machine with entitlements for another.
unsafe extern "C" fn perf_counter_data(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    if !world.machine.entitled {
        return Id::NIL;
    }
    let bytes: Vec<u8> = (0..27_u64).flat_map(|i| (200 + i).to_le_bytes()).collect();
    object::make_autoreleased(&world, "NSData", ObjectPayload::Data(bytes.into()))
}

unsafe extern "C" fn string_for_perf_counter(this: Id, _: Sel, index: i32) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    let name =
        if (0..0x18).contains(&index) { format!("kANE_COUNTER_{index}") } else { "kANE_UKNOWN".into() };
    foundation::string(&world, &name)
}

unsafe extern "C" fn stats_with_io_surface(this: Id, _: Sel, surface: Id, kind: i64) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live object.
    unsafe {
        let world = world_of(this);
        if surface_object_of(surface).is_none() {
            world.wrong("statistics are written to an _ANEIOSurfaceObject");
        }
        part(&world, "_ANEPerformanceStatsIOSurface", &[surface], kind as u64)
    }
}

// Events of requests.

unsafe extern "C" fn signal_event_with(this: Id, _: Sel, value: u64, _: u32, kind: i64, event: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live event.
    unsafe {
        let world = world_of(this);
        if !(0..=5).contains(&kind) || event_of(event).is_none() {
            world.wrong("an event that is signalled has a kind of 0 to 5 and a shared event");
        }
        part(&world, "_ANESharedSignalEvent", &[event], value)
    }
}

unsafe extern "C" fn wait_event_with(this: Id, _: Sel, value: u64, event: Id, kind: u64) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live event.
    unsafe {
        let world = world_of(this);
        if kind > 2 || event_of(event).is_none() {
            world.wrong("an event that is waited for has a kind of 0 to 2 and a shared event");
        }
        part(&world, "_ANESharedWaitEvent", &[event], value)
    }
}

unsafe extern "C" fn set_event_value(this: Id, _: Sel, value: u64) {
    // SAFETY: the runtime gives a receiver of ours.
    if let Some((_, p)) = unsafe { super::any_part_of(this) } {
        *lock(&p.value) = value;
    }
}

unsafe extern "C" fn shared_events_with(this: Id, _: Sel, signals: Id, waits: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives live arrays.
    unsafe {
        let world = world_of(this);
        let all =
            |array, class| items_of(array).is_some_and(|i| i.iter().all(|&e| part_of(e, class).is_some()));
        if !all(signals, "_ANESharedSignalEvent") || !all(waits, "_ANESharedWaitEvent") {
            world.wrong("shared events are two arrays, of events that are signalled and of events that are waited for");
        }
        part(&world, "_ANESharedEvents", &[signals, waits], 0)
    }
}

/// The longest that the driver waits for an event.
const PATIENCE: Duration = Duration::from_secs(10);

/// Evaluates when the events that are waited for have come, and signals the others; the call does not wait for it.
///
/// # Safety
///
/// Request and events are ours and alive.
pub(super) unsafe fn evaluate_with_events(
    world: &Arc<World>,
    handle: u64,
    request: Id,
    events: Id,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(all) = part_of(events, "_ANESharedEvents") else {
            return Err(Failure::new(26, "these are not shared events"));
        };
        let list = |array: Id| -> Vec<(Arc<super::super::event::Event>, u64)> {
            items_of(array)
                .unwrap_or_default()
                .iter()
                .filter_map(|&e| {
                    let (_, p) = super::any_part_of(e)?;
                    Some((event_of(*p.held.first()?)?.event.clone(), *lock(&p.value)))
                })
                .collect()
        };
        let (signals, waits) = (list(all.held[0]), list(all.held[1]));
        if request_of(request).is_none() {
            return Err(Failure::new(26, "the request is nil"));
        }
        if let Some(program) = lock(&world.daemon).program(handle) {
            program.had_events.store(true, Ordering::Relaxed);
        }
        world.in_flight.fetch_add(1, Ordering::Relaxed);
        // Not the objects of the request are held, but what they stand for: whoever starts an evaluation with events
        // has to keep them. They are looked at again when it ends.
        retain(request);
        let kept = [Kept(events), Kept(request)];
        on_a_thread(world, move |world| {
            let [events, request] = { kept }.map(|k| k.0);
            let in_time = waits.iter().all(|(event, value)| event.wait(*value, PATIENCE));
            if !in_time || evaluate_request(world, handle, request).is_err() {
                world.wrong("an evaluation with events failed, and those who wait will not hear of it");
            }
            if part_of(events, "_ANESharedEvents").is_none() {
                world.wrong("the events of an evaluation ended before it did");
            }
            world.in_flight.fetch_sub(1, Ordering::Relaxed);
            release(request);
            signals.iter().for_each(|(event, value)| event.signal(*value));
        });
    }
    Ok(())
}

// Real time and hints.

unsafe extern "C" fn begin_real_time_task(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    if world.machine.entitled {
        lock(&world.daemon).real_time += 1;
    }
    world.machine.entitled.into()
}

unsafe extern "C" fn end_real_time_task(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    let mut daemon = lock(&world.daemon);
    if daemon.real_time == 0 {
        drop(daemon);
        world.wrong("a real-time task was ended that was not begun");
        return Bool::NO;
    }
    daemon.real_time -= 1;
    Bool::YES
}

unsafe extern "C" fn session_hint(
    this: Id,
    _: Sel,
    model: Id,
    hint: Id,
    _: Id,
    report: Id,
    error: *mut Id,
) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects or nil, and a place for the error.
    unsafe {
        let world = world_of(this);
        let result = match (super::model_of(model), str_of(hint)) {
            (None, _) => Err(Failure::new(10, "invalid model")),
            (_, Some("2")) => {
                let pages = foundation::number(&world, 64);
                foundation::set(report, "kANEFHintReportTotalPagesKey", pages);
                foundation::set(report, "kANEFHintReportResidentPagesKey", pages);
                Ok(())
            }
            (_, Some("5")) => {
                let status = foundation::number(&world, 1);
                foundation::set(report, "kANEFHintReportSessionStatusKey", status);
                Ok(())
            }
            (_, Some("3" | "4")) => Ok(()),
            _ => Err(Failure::new(26, "bad argument")),
        };
        answer(&world, result, error)
    }
}

// Chaining.

unsafe extern "C" fn buffer_with(this: Id, _: Sel, surface: Id, symbol: Id, source: i64) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects.
    unsafe {
        let world = world_of(this);
        if surface_object_of(surface).is_none() || number_of(symbol).is_none() || !(0..=2).contains(&source) {
            world.wrong("a buffer has a surface object, the number of a symbol, and a source of 0 to 2");
        }
        part(&world, "_ANEBuffer", &[surface, symbol], source as u64)
    }
}

unsafe extern "C" fn output_sets_with(this: Id, _: Sel, stats: SurfaceRef, buffers: Id) -> Id {
    // SAFETY: the receiver is a class; the caller gives a live surface and array.
    unsafe {
        let world = world_of(this);
        if FakeSurface::of(stats).is_none_or(|s| s.bytes() < 64) {
            return Id::NIL;
        }
        part(&world, "_ANEIOSurfaceOutputSets", &[buffers], 0)
    }
}

unsafe extern "C" fn chaining_request_with(
    this: Id,
    _: Sel,
    inputs: Id,
    output_sets: Id,
    loop_inputs: Id,
    loop_outputs: Id,
    procedure: Id,
    signals: Id,
    transaction: Id,
    delay: Id,
    pool: Id,
) -> Id {
    // SAFETY: the receiver is a class; the caller gives live objects or nil.
    unsafe {
        let world = world_of(this);
        let held =
            [inputs, output_sets, loop_inputs, loop_outputs, procedure, signals, transaction, delay, pool];
        part(&world, "_ANEChainingRequest", &held, 0)
    }
}

unsafe extern "C" fn chaining_validate(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours, which holds its parts.
    unsafe {
        let Some(p) = part_of(this, "_ANEChainingRequest") else { return Bool::NO };
        let all = |array, class| {
            items_of(array).is_some_and(|i| !i.is_empty() && i.iter().all(|&e| part_of(e, class).is_some()))
        };
        let number = |id: Id| id.is_nil() || number_of(id).is_some();
        let array = |id: Id| id.is_nil() || items_of(id).is_some();
        let parts = &p.held;
        (all(parts[0], "_ANEBuffer")
            && all(parts[1], "_ANEIOSurfaceOutputSets")
            && array(parts[2])
            && array(parts[3])
            && number(parts[4])
            && items_of(parts[5]).is_some()
            && parts[6..].iter().all(|&n| number(n)))
        .into()
    }
}

unsafe extern "C" fn prepare_chaining(
    this: Id,
    _: Sel,
    model: Id,
    _: Id,
    request: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: the runtime gives a receiver of ours; the caller gives live objects, and a place for the error.
    unsafe {
        let world = world_of(this);
        let valid = part_of(request, "_ANEChainingRequest").is_some();
        let result = match super::model_of(model) {
            None => {
                world.wrong("chaining is prepared with the inner model");
                Err(Failure::new(10, "invalid model"))
            }
            // Every report of an unentitled process has this error, whatever the arguments.
            Some(_) if !valid || !world.machine.entitled => {
                Err(Failure::new(15, "Program chaining prepare error"))
            }
            Some((_, m)) => {
                retain(request);
                let chain = daemon::Chain { request, enqueued: Vec::new(), ready: 0 };
                let old = lock(&world.daemon).chains.insert(m.handle(), chain);
                old.into_iter().for_each(daemon::Chain::end);
                Ok(())
            }
        };
        answer(&world, result, error)
    }
}

/// Takes in what a chain is told, and runs a round when it has outputs and inputs.
unsafe fn advance(
    world: &Arc<World>,
    model: Id,
    told: bool,
    tell: impl FnOnce(&mut daemon::Chain),
) -> Result<(), Failure> {
    // SAFETY: the caller gives a live model.
    let handle = unsafe { super::model_of(model) }.map_or(0, |(_, m)| m.handle());
    let (request, value) = {
        let mut daemon = lock(&world.daemon);
        let Some(chain) = daemon.chains.get_mut(&handle).filter(|_| told) else {
            return Err(Failure::status(0x15));
        };
        tell(chain);
        if chain.ready == 0 || chain.enqueued.is_empty() {
            return Ok(());
        }
        chain.ready -= 1;
        (chain.request, chain.enqueued.remove(0))
    };
    // SAFETY: the daemon holds the chain, that its parts, and those their surfaces.
    unsafe {
        let Some(chain) = part_of(request, "_ANEChainingRequest") else {
            return Err(Failure::status(0x15));
        };
        let views = |buffers: Id| -> Vec<(u64, daemon::View<'_>)> {
            let one = |&b: &Id| {
                let buffer = part_of(b, "_ANEBuffer")?;
                let (_, object) = surface_object_of(buffer.held[0])?;
                Some((number_of(buffer.held[1])? as u64, object.view()?))
            };
            items_of(buffers).unwrap_or_default().iter().filter_map(one).collect()
        };
        let set = items_of(chain.held[1]).and_then(|s| part_of(*s.first()?, "_ANEIOSurfaceOutputSets"));
        let work = daemon::Work {
            procedure: number_of(chain.held[4]).unwrap_or(0) as u64,
            inputs: views(chain.held[0]),
            outputs: set.map(|s| views(s.held[0])).unwrap_or_default(),
        };
        daemon::evaluate(world, handle, &work)?;
        for &signal in items_of(chain.held[5]).unwrap_or_default() {
            if let Some(event) =
                part_of(signal, "_ANESharedSignalEvent").and_then(|p| event_of(*p.held.first()?))
            {
                event.event.signal(value);
            }
        }
    }
    Ok(())
}

unsafe extern "C" fn buffers_ready(
    this: Id,
    _: Sel,
    model: Id,
    ready: Id,
    _: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for preparing.
    unsafe {
        let world = world_of(this);
        let told = part_of(ready, "_ANEInputBuffersReady").is_some();
        answer(&world, advance(&world, model, told, |chain| chain.ready += 1), error)
    }
}

unsafe extern "C" fn enqueue_sets(
    this: Id,
    _: Sel,
    model: Id,
    set: Id,
    _: Id,
    _: u32,
    error: *mut Id,
) -> Bool {
    // SAFETY: as for preparing.
    unsafe {
        let world = world_of(this);
        let set = part_of(set, "_ANEOutputSetEnqueue");
        let value = set.map_or(0, |s| *lock(&s.value));
        answer(&world, advance(&world, model, set.is_some(), |chain| chain.enqueued.push(value)), error)
    }
}

unsafe extern "C" fn input_buffers_with(
    this: Id,
    _: Sel,
    procedure: u32,
    indices: Id,
    free: Id,
    _: u64,
) -> Id {
    // SAFETY: the receiver is a class; the caller gives live arrays.
    unsafe {
        let world = world_of(this);
        if items_of(indices).map(<[Id]>::len) != items_of(free).map(<[Id]>::len) {
            world.wrong("buffers that are ready have as many indices as values");
        }
        part(&world, "_ANEInputBuffersReady", &[indices, free], u64::from(procedure))
    }
}

unsafe extern "C" fn output_set_with(this: Id, _: Sel, _: u32, _: u32, value: u64, _: Bool, _: Bool) -> Id {
    // SAFETY: the receiver is a class.
    unsafe { part(&world_of(this), "_ANEOutputSetEnqueue", &[], value) }
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(HAS_ANE, has_ane);
    all.add(NUM_ANES, num_anes);
    all.add(NUM_ANE_CORES, num_ane_cores);
    all.add(ANE_ARCHITECTURE_TYPE, ane_architecture_type);
    all.add(ANE_SUB_TYPE, ane_sub_type);
    all.add(ANE_BOARD_TYPE, ane_board_type);
    all.add(PRODUCT_NAME, product_name);
    all.add(BUILD_VERSION, build_version);
    all.add(IS_VIRTUAL_MACHINE, is_virtual_machine);
    all.add(IS_INTERNAL_BUILD, is_internal_build);
    all.add(QUEUE_INDEX_FOR_QOS, queue_index_for_qos);
    all.add(DRIVER_MASK_FOR_ANEF_MASK, driver_mask);
    all.add(HW_EXECUTION_TIME, hw_execution_time);
    all.add(PERF_COUNTER_DATA, perf_counter_data);
    all.add(STRING_FOR_PERF_COUNTER, string_for_perf_counter);
    all.add(STATS_WITH_IO_SURFACE, stats_with_io_surface);
    all.add(SIGNAL_EVENT_WITH, signal_event_with);
    all.add(SET_SIGNAL_EVENT_VALUE, set_event_value);
    all.add(WAIT_EVENT_WITH, wait_event_with);
    all.add(SET_WAIT_EVENT_VALUE, set_event_value);
    all.add(SHARED_EVENTS_WITH, shared_events_with);
    all.add(BEGIN_REAL_TIME_TASK, begin_real_time_task);
    all.add(END_REAL_TIME_TASK, end_real_time_task);
    all.add(SESSION_HINT, session_hint);
    all.add(BUFFER_WITH, buffer_with);
    all.add(OUTPUT_SETS_WITH, output_sets_with);
    all.add(CHAINING_REQUEST_WITH, chaining_request_with);
    all.add(CHAINING_VALIDATE, chaining_validate);
    all.add(PREPARE_CHAINING, prepare_chaining);
    all.add(BUFFERS_READY, buffers_ready);
    all.add(ENQUEUE_SETS, enqueue_sets);
    all.add(INPUT_BUFFERS_WITH, input_buffers_with);
    all.add(OUTPUT_SET_WITH, output_set_with);
}
