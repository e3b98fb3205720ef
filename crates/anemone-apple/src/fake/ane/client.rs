//! The fake's connections: `_ANEClient`, and the `_ANEVirtualClient` of a virtual machine.

use std::sync::Arc;

use super::super::{foundation, object};
use super::{Payload, client_of};
use crate::abi::{Bool, Id, Sel};
use crate::fake::object::{Payload as ObjectPayload, World, lock, release};
use crate::fake::runtime::world_of;
use crate::fake::tables::Implementations;
use crate::messages::*;

/// A connection to the daemon.
pub(in crate::fake) struct Client {
    /// Whether it is the restricted one.
    restricted: bool,
    /// Whether the daemon talks to it.
    heard: bool,
}

/// A client with a count of one.
fn make(world: &Arc<World>, restricted: bool, heard: bool) -> Id {
    object::make(world, "_ANEClient", ObjectPayload::Ane(Payload::Client(Client { restricted, heard })))
}

/// An object that there is one of, and that nobody releases.
fn singleton(world: &Arc<World>, name: &'static str, make: impl FnOnce() -> Id) -> Id {
    *lock(&world.daemon).singletons.entry(name).or_insert_with(|| {
        let made = make();
        // Nobody waits for its end.
        world.ended();
        made
    })
}

unsafe extern "C" fn shared_private_connection(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    let mute = lock(&world.faults).mute_private_client;
    if !mute && !world.machine.entitled {
        return Id::NIL;
    }
    singleton(&world, "private", || make(&world, true, !mute))
}

unsafe extern "C" fn shared_connection(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    if lock(&world.faults).no_shared_client {
        return Id::NIL;
    }
    singleton(&world, "shared", || make(&world, false, true))
}

unsafe extern "C" fn alloc_client(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    make(&world, false, false)
}

unsafe extern "C" fn init_with_restricted_access(this: Id, _: Sel, restricted: Bool) -> Id {
    // SAFETY: the runtime gives a receiver of ours, of which the caller gives up its count.
    unsafe {
        let world = world_of(this);
        let fails = lock(&world.faults).no_own_client;
        release(this);
        if fails { Id::NIL } else { make(&world, restricted.get(), true) }
    }
}

/// Most classes of the engine answer `new` with nil: they want their designated initializers.
unsafe extern "C" fn new_client(_: Id, _: Sel) -> Id {
    Id::NIL
}

unsafe extern "C" fn allow_restricted_access(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { client_of(this) }.is_some_and(|(_, c)| c.restricted).into()
}

unsafe extern "C" fn echo(this: Id, _: Sel, object: Id) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    (unsafe { client_of(this) }.is_some_and(|(_, c)| c.heard) && !object.is_nil()).into()
}

unsafe extern "C" fn is_virtual_client(this: Id, _: Sel) -> Bool {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { world_of(this) }.machine.virtual_machine.into()
}

// The host of a virtual machine: the machine that is stood in for has the engine that its host has.

unsafe extern "C" fn virtual_connection(this: Id, _: Sel) -> Id {
    // SAFETY: the receiver is a class.
    let world = unsafe { world_of(this) };
    if !world.machine.virtual_machine {
        return Id::NIL;
    }
    singleton(&world, "host", || {
        let host = Client { restricted: false, heard: true };
        object::make(&world, "_ANEVirtualClient", ObjectPayload::Ane(Payload::Client(host)))
    })
}

unsafe extern "C" fn host_has_ane(_: Id, _: Sel) -> Bool {
    Bool::YES
}

unsafe extern "C" fn host_num_anes(this: Id, _: Sel) -> u32 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { world_of(this) }.machine.engines
}

unsafe extern "C" fn host_num_ane_cores(this: Id, _: Sel) -> u32 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { world_of(this) }.machine.cores
}

unsafe extern "C" fn host_architecture(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    foundation::string(&world, &world.machine.architecture)
}

unsafe extern "C" fn host_board_type(this: Id, _: Sel) -> i64 {
    // SAFETY: the runtime gives a receiver of ours.
    unsafe { world_of(this) }.machine.board
}

unsafe extern "C" fn host_build(this: Id, _: Sel) -> Id {
    // SAFETY: the runtime gives a receiver of ours.
    let world = unsafe { world_of(this) };
    foundation::string(&world, &world.machine.build)
}

unsafe extern "C" fn host_capability_mask(_: Id, _: Sel) -> u64 {
    0x1f
}

unsafe extern "C" fn host_data_interface_version(_: Id, _: Sel) -> u32 {
    3
}

unsafe extern "C" fn host_takes_precompiled(_: Id, _: Sel) -> Bool {
    Bool::NO
}

pub(super) fn implement(all: &mut Implementations) {
    all.add(SHARED_PRIVATE_CONNECTION, shared_private_connection);
    all.add(SHARED_CONNECTION, shared_connection);
    all.add(ALLOC_CLIENT, alloc_client);
    all.add(INIT_WITH_RESTRICTED_ACCESS, init_with_restricted_access);
    all.add(NEW_CLIENT, new_client);
    all.add(ALLOW_RESTRICTED_ACCESS, allow_restricted_access);
    all.add(ECHO, echo);
    all.add(IS_VIRTUAL_CLIENT, is_virtual_client);
    all.add(VIRTUAL_CONNECTION, virtual_connection);
    all.add(HOST_HAS_ANE, host_has_ane);
    all.add(HOST_NUM_ANES, host_num_anes);
    all.add(HOST_NUM_ANE_CORES, host_num_ane_cores);
    all.add(HOST_ARCHITECTURE, host_architecture);
    all.add(HOST_BOARD_TYPE, host_board_type);
    all.add(HOST_BUILD, host_build);
    all.add(HOST_CAPABILITY_MASK, host_capability_mask);
    all.add(HOST_DATA_INTERFACE_VERSION, host_data_interface_version);
    all.add(HOST_TAKES_PRECOMPILED, host_takes_precompiled);
}
