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
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// let info = anemone_apple::neural::DeviceInfo::read(&framework);
/// assert_eq!((info.cores, info.architecture.as_deref()), (Some(16), Some("h16g")));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
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
            let class = framework.has(message).then(|| framework.class(DEVICE_INFO).id());
            tell_text(framework, message, class)
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
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// let info = anemone_apple::neural::ClientInfo::read(&framework)?;
/// assert_eq!(info.is_virtual, Some(false));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Whether it passes everything on to the host of a virtual machine.
    pub is_virtual: Option<bool>,
    /// Whether the daemon answers.
    pub answers: Option<bool>,
    /// Whether the connection is the restricted one, which entitled processes have.
    pub is_restricted: Option<bool>,
}

impl ClientInfo {
    /// Asks the client, and the daemon through it.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`] when there is no client.
    pub fn read(framework: &Framework) -> Result<Self, Error> {
        let client = framework.client()?;
        let _pool = framework.pool();
        Ok(Self {
            is_virtual: tell(framework, IS_VIRTUAL_CLIENT, Some(client)).map(Bool::get),
            answers: framework.has(ECHO).then(|| framework.answers(client)),
            is_restricted: tell(framework, ALLOW_RESTRICTED_ACCESS, Some(client)).map(Bool::get),
        })
    }
}

/// What the host of a virtual machine says about its engine; what it does not say is `None`.
///
/// It is asked through a client that only a guest has. Nothing else here uses that client: the framework itself sends
/// compilations and evaluations through it.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::HostInfo;
/// assert!(HostInfo::read(&framework).is_err(), "this is no virtual machine");
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// Whether there is an engine.
    pub has_engine: Option<bool>,
    /// How many engines there are.
    pub engines: Option<u32>,
    /// How many cores all engines have.
    pub cores: Option<u32>,
    /// The architecture, such as `h16g`.
    pub architecture: Option<String>,
    /// The number of the board.
    pub board: Option<i64>,
    /// The build of the host's system.
    pub build: Option<String>,
    /// What guest and host can both do, a bit each.
    pub capabilities: Option<u64>,
    /// The version of the form in which they send each other data.
    pub data_interface: Option<u32>,
    /// Whether programs can be given that are compiled already.
    pub takes_precompiled: Option<bool>,
}

impl HostInfo {
    /// Asks the host.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with [`Feature::VirtualClient`] when this is no guest, or when this macOS has no such client.
    pub fn read(framework: &Framework) -> Result<Self, Error> {
        let feature = Feature::VirtualClient;
        if !framework.has(VIRTUAL_CONNECTION) {
            framework.require(feature)?;
        }
        let _pool = framework.pool();
        let class = framework.class(VIRTUAL_CLIENT).id();
        // SAFETY: the class has the message.
        let host = unsafe { framework.send(VIRTUAL_CONNECTION, class, ()) };
        if host.is_nil() {
            let because =
                "there is none, since this is not a virtual machine or its host gives it no engine".into();
            return Err(Error::Unavailable { feature, because });
        }
        let host = Some(host);
        Ok(Self {
            has_engine: tell(framework, HOST_HAS_ANE, host).map(Bool::get),
            engines: tell(framework, HOST_NUM_ANES, host),
            cores: tell(framework, HOST_NUM_ANE_CORES, host),
            architecture: tell_text(framework, HOST_ARCHITECTURE, host),
            board: tell(framework, HOST_BOARD_TYPE, host),
            build: tell_text(framework, HOST_BUILD, host),
            capabilities: tell(framework, HOST_CAPABILITY_MASK, host),
            data_interface: tell(framework, HOST_DATA_INTERFACE_VERSION, host),
            takes_precompiled: tell(framework, HOST_TAKES_PRECOMPILED, host).map(Bool::get),
        })
    }
}

/// The system's cache of compiled programs. It outlives the process.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::neural::{Cache, FIRST_DISPATCH, Model};
/// let cache = Cache::new(&framework)?;
/// let identity = Model::describe(&framework, &FIRST_DISPATCH)?.identity().to_string();
/// assert!(!cache.has(&identity)?);
/// cache.purge(&identity)?; // also where there is nothing
/// println!("{:?}", cache.folder());
/// # Ok::<(), anemone_apple::Error>(())
/// ```
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

    /// The folder in which the daemon keeps what this build of macOS has compiled, if it says. The daemon alone can read it.
    pub fn folder(&self) -> Option<String> {
        let _pool = self.framework.pool();
        let has = self.framework.has(MODEL_CACHE_DIRECTORY);
        tell_text(self.framework, MODEL_CACHE_DIRECTORY, has.then(|| self.framework.class(STRINGS).id()))
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
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// use anemone_apple::neural::Diagnostics;
/// let diagnostics: Diagnostics = model.diagnostics();
/// assert!(diagnostics.model_program_handle.is_some_and(|handle| handle != 0));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
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
    /// Whether the model has what maps its surfaces, as a loaded one does.
    pub has_mapper: Option<bool>,
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
            has_mapper: tell(framework, MODEL_MAPPER, Some(self.inner())).map(|m| !m.is_nil()),
        }
    }

    /// What the daemon knows this loaded model by, if this macOS says.
    pub fn uuid(&self) -> Option<String> {
        let framework = self.framework();
        let _pool = framework.pool();
        let uuid = tell(framework, MODEL_UUID, Some(self.inner())).filter(|u| !u.is_nil());
        tell_text(framework, UUID_STRING, uuid)
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

/// Asks a class or an object for a text; none when it gives nothing.
fn tell_text(framework: &Framework, message: Message<(), Id>, object: Option<Id>) -> Option<String> {
    // SAFETY: it gives a string or nil, and callers have opened a pool.
    let text = unsafe { foundation::read_string(framework, tell(framework, message, object)?) };
    (!text.is_empty()).then_some(text)
}

/// Asks a class or an object, if there is one and this macOS has the message.
fn tell<R: Encode>(framework: &Framework, message: Message<(), R>, object: Option<Id>) -> Option<R> {
    let object = object.filter(|_| framework.has(message))?;
    // SAFETY: callers give the message's class or a live object of it, and it has the message with this prototype.
    Some(unsafe { framework.send(message, object, ()) })
}
