//! The fake's classes of the engine.

mod client;
pub(super) mod daemon;
mod info;
mod memory;
mod model;
mod parts;
mod request;

use std::sync::Arc;

use super::event::SharedEvent;
use super::foundation;
use super::object::{Object, World, object, release};
use super::tables::Implementations;
use crate::abi::Id;

/// What an object of the engine holds.
pub(super) enum Payload {
    Descriptor(memory::Descriptor),
    InMemoryModel(memory::InMemoryModel),
    Model(model::Model),
    Client(client::Client),
    Program(model::ProgramForEvaluation),
    Request(request::Request),
    SurfaceObject(request::SurfaceObject),
    SharedEvent(SharedEvent),
    Part(info::Part),
}

impl Payload {
    /// The objects that it holds a count of.
    pub(super) fn held(&self) -> Vec<Id> {
        match self {
            Payload::Descriptor(d) => d.held(),
            Payload::InMemoryModel(m) => m.held(),
            Payload::Model(m) => m.held(),
            Payload::Request(r) => r.held(),
            Payload::Part(p) => p.held.clone(),
            Payload::Client(_)
            | Payload::Program(_)
            | Payload::SurfaceObject(_)
            | Payload::SharedEvent(_) => Vec::new(),
        }
    }

    /// What happens before the object ends.
    pub(super) fn dealloc(&self, world: &Arc<World>) {
        match self {
            Payload::InMemoryModel(m) => m.dealloc(world),
            Payload::Request(r) => r.dealloc(world),
            Payload::SurfaceObject(s) => s.dealloc(),
            _ => {}
        }
    }
}

/// Defines the accessor of a payload of this kind.
macro_rules! payload_of {
    ($name:ident, $kind:ident, $type:ty) => {
        /// The payload of a live object of this kind.
        ///
        /// # Safety
        ///
        /// The object is nil or ours.
        pub(super) unsafe fn $name<'a>(id: Id) -> Option<(&'a Object, &'a $type)> {
            // SAFETY: the caller's promise.
            let o = unsafe { object(id) }?;
            match &o.payload {
                super::object::Payload::Ane(Payload::$kind(p)) => Some((o, p)),
                _ => None,
            }
        }
    };
}

payload_of!(descriptor_of, Descriptor, memory::Descriptor);
payload_of!(in_memory_model_of, InMemoryModel, memory::InMemoryModel);
payload_of!(model_of, Model, model::Model);
payload_of!(client_of, Client, client::Client);
payload_of!(program_of, Program, model::ProgramForEvaluation);
payload_of!(request_of, Request, request::Request);
payload_of!(any_part_of, Part, info::Part);
payload_of!(surface_object_of, SurfaceObject, request::SurfaceObject);

/// The generic domain of errors.
const DOMAIN: &str = "com.apple.appleneuralengine";

/// A failure as the framework reports it.
pub(super) struct Failure {
    pub(super) domain: &'static str,
    pub(super) code: i64,
    pub(super) description: String,
}

impl Failure {
    pub(super) fn new(code: i64, description: impl Into<String>) -> Self {
        Self { domain: DOMAIN, code, description: description.into() }
    }

    /// What the driver says when a request is refused.
    pub(super) fn status(status: u32) -> Self {
        Self::new(
            8,
            format!("ANEProgramProcessRequestDirect() Failed with status=0x{status:x} : statusType=0x9"),
        )
    }
}

/// Answers `YES`, or `NO` with the failure as an `NSError`.
///
/// # Safety
///
/// `error` is null or may be written.
pub(super) unsafe fn answer(
    world: &Arc<World>,
    result: Result<(), Failure>,
    error: *mut Id,
) -> crate::abi::Bool {
    match result {
        Ok(()) => crate::abi::Bool::YES,
        Err(f) => {
            if !error.is_null() {
                let object = foundation::error(world, f.domain, f.code, &f.description);
                // SAFETY: the caller's promise.
                unsafe { *error = object };
            }
            crate::abi::Bool::NO
        }
    }
}

/// Takes the place of an object that is held, which is released.
///
/// # Safety
///
/// Both are nil or ours, and `new` has a count that is taken over.
pub(super) unsafe fn replace(slot: &mut Id, new: Id) {
    let old = std::mem::replace(slot, new);
    // SAFETY: the slot held a count.
    unsafe { release(old) };
}

pub(super) fn implement(all: &mut Implementations) {
    memory::implement(all);
    model::implement(all);
    request::implement(all);
    info::implement(all);
    client::implement(all);
    parts::implement(all);
}
