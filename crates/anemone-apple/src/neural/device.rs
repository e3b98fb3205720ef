//! What the machine, the client, the cache and a model say about themselves.

use super::loaded::Loaded;
use crate::abi::{Bool, Id};
use crate::encoding::Encode;
use crate::error::Error;
use crate::foundation;
use crate::framework::Framework;
use crate::message::{Feature, Message};
use crate::messages::*;

/// What the machine says about its engine. Each field is asked for by itself: what this macOS does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Whether there is an engine.
    pub has_engine: Option<bool>,
    /// How many engines there are: two on an Ultra.
    pub engines: Option<u32>,
    /// How many cores all engines have.
    pub cores: Option<u32>,
    /// The architecture, such as `h16g`.
    pub architecture: Option<String>,
    /// The family, such as `h16`.
    pub sub_type: Option<String>,
    /// The number of the board: 128 for M2, 256 for M4, 512 for M5.
    pub board: Option<i64>,
    /// The system, such as `macOS`.
    pub product: Option<String>,
    /// The build of the system, such as `25F84`.
    pub build: Option<String>,
    /// Whether it is a virtual machine. There is no engine to be reached in one, and a compilation has been seen to hang
    /// for half an hour.
    pub is_virtual_machine: Option<bool>,
    /// Whether it is a build of Apple's own.
    pub is_internal_build: Option<bool>,
}

impl DeviceInfo {
    /// Asks the machine.
    pub fn read(framework: &Framework) -> Self {
        let _pool = framework.pool();
        let yes = |message: Message<(), Bool>| ask(framework, message).map(Bool::get);
        let text = |message: Message<(), Id>| {
            // SAFETY: the class gives a string or nil, and the pool is open.
            let text = unsafe { foundation::read_string(framework, ask(framework, message)?) };
            (!text.is_empty()).then_some(text)
        };
        Self {
            has_engine: yes(HAS_ANE),
            engines: ask(framework, NUM_ANES),
            cores: ask(framework, NUM_ANE_CORES),
            architecture: text(ANE_ARCHITECTURE_TYPE),
            sub_type: text(ANE_SUB_TYPE),
            board: ask(framework, ANE_BOARD_TYPE),
            product: text(PRODUCT_NAME),
            build: text(BUILD_VERSION),
            is_virtual_machine: yes(IS_VIRTUAL_MACHINE),
            is_internal_build: yes(IS_INTERNAL_BUILD),
        }
    }
}

/// Asks `_ANEDeviceInfo`, if this macOS has the message.
fn ask<R: Encode>(framework: &Framework, message: Message<(), R>) -> Option<R> {
    // SAFETY: the class has the message, with this prototype.
    framework.has(message).then(|| unsafe { framework.send(message, framework.class(DEVICE_INFO).id(), ()) })
}

/// What the client says about itself; what this macOS does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Whether it passes everything on to the host of a virtual machine.
    pub is_virtual: Option<bool>,
    /// Whether the daemon answers.
    pub answers: Option<bool>,
}

impl ClientInfo {
    /// Asks the client, and the daemon through it.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] when there is no client.
    pub fn read(framework: &Framework) -> Result<Self, Error> {
        let client = framework.client()?;
        let text = foundation::string(framework, "anemone")?;
        let _pool = framework.pool();
        // SAFETY: the client is alive, and has the messages; the daemon sends a string back.
        unsafe {
            Ok(Self {
                is_virtual: framework
                    .has(IS_VIRTUAL_CLIENT)
                    .then(|| framework.send(IS_VIRTUAL_CLIENT, client, ()).get()),
                answers: framework.has(ECHO).then(|| framework.send(ECHO, client, (text.id(),)).get()),
            })
        }
    }
}

/// The system's cache of compiled programs. It outlives the process.
#[derive(Debug)]
pub struct Cache<'a> {
    framework: &'a Framework,
    client: Id,
}

impl<'a> Cache<'a> {
    /// The cache.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when this macOS does not let it be asked.
    pub fn new(framework: &'a Framework) -> Result<Self, Error> {
        framework.require(Feature::Cache)?;
        Ok(Self { framework, client: framework.client()? })
    }

    /// Whether it has the program of this [identity](super::Model::identity).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the identity contains a zero byte.
    pub fn has(&self, identity: &str) -> Result<bool, Error> {
        let hash = foundation::string(self.framework, identity)?;
        let _pool = self.framework.pool();
        // SAFETY: a live client and a live string.
        let has =
            unsafe { self.framework.send(COMPILED_MODEL_EXISTS_MATCHING_HASH, self.client, (hash.id(),)) };
        Ok(has.get())
    }

    /// Removes the program of this identity.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the identity contains a zero byte.
    pub fn purge(&self, identity: &str) -> Result<(), Error> {
        let hash = foundation::string(self.framework, identity)?;
        let _pool = self.framework.pool();
        // SAFETY: a live client and a live string.
        unsafe { self.framework.send(PURGE_COMPILED_MODEL_MATCHING_HASH, self.client, (hash.id(),)) };
        Ok(())
    }
}

/// What a loaded model says about its queues; what this macOS or this kind of model does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// How many evaluations may wait, as the model of MIL text has it.
    pub queue_depth: Option<i8>,
    /// The same, as the model in it has it.
    pub model_queue_depth: Option<i8>,
    /// The same, as the program has it.
    pub program_queue_depth: Option<i8>,
    /// The state of the model of MIL text: 0 created, 1 unloaded, 3 loaded, 5 ended.
    pub state: Option<u64>,
    /// The state of the model in it.
    pub model_state: Option<u64>,
    /// What the driver knows the program by, as the model of MIL text has it.
    pub program_handle: Option<u64>,
    /// The same, as the model in it has it.
    pub model_program_handle: Option<u64>,
    /// How many evaluations that nobody waits for are under way.
    pub async_in_flight: Option<i64>,
    /// The mask of statistics that the model of MIL text has.
    pub statistics_mask: Option<u32>,
}

impl Loaded {
    /// Asks the model about its queues.
    pub fn diagnostics(&self) -> Diagnostics {
        let framework = self.framework();
        let _pool = framework.pool();
        let program = self.program();
        Diagnostics {
            queue_depth: tell(framework, QUEUE_DEPTH, self.text()),
            model_queue_depth: tell(framework, MODEL_QUEUE_DEPTH, Some(self.inner())),
            program_queue_depth: tell(framework, PROGRAM_QUEUE_DEPTH, program),
            state: tell(framework, STATE, self.text()),
            model_state: tell(framework, MODEL_STATE, Some(self.inner())),
            program_handle: tell(framework, PROGRAM_HANDLE, self.text()),
            model_program_handle: tell(framework, MODEL_PROGRAM_HANDLE, Some(self.inner())),
            async_in_flight: tell(framework, ASYNC_REQUESTS_IN_FLIGHT, program),
            statistics_mask: tell(framework, PERF_STATS_MASK, self.text()),
        }
    }

    /// The `_ANEProgramForEvaluation`, which the model keeps alive.
    pub(super) fn program(&self) -> Option<Id> {
        let framework = self.framework();
        let program = match self.text() {
            Some(model) => tell(framework, PROGRAM, Some(model)),
            None => tell(framework, MODEL_PROGRAM, Some(self.inner())),
        };
        program.filter(|p| !p.is_nil())
    }
}

/// Asks an object of a loaded model, if there is one and this macOS has the message.
fn tell<R: Encode>(framework: &Framework, message: Message<(), R>, object: Option<Id>) -> Option<R> {
    let object = object.filter(|_| framework.has(message))?;
    // SAFETY: callers give live objects of the message's class, which have the message with this prototype.
    Some(unsafe { framework.send(message, object, ()) })
}
