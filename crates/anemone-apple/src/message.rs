//! Messages: a selector with the types of its arguments and of its result.

use std::marker::PhantomData;

use crate::encoding::{Arguments, Encode};
use crate::messages::CLASSES;

/// A message, typed where it is written down: the one place that states its arguments.
///
/// It is the index of its [`Row`] in the table of [`messages`](crate::messages).
pub(crate) struct Message<A, R> {
    index: usize,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Clone for Message<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Message<A, R> {}

impl<A: Arguments, R: Encode> Message<A, R> {
    pub(crate) const fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    /// Its place in the table.
    pub(crate) const fn index(self) -> usize {
        self.index
    }
}

/// What a missing or changed message turns off.
///
/// ```
/// use anemone_apple::Feature;
/// println!("{}: {} features", Feature::Direct.name(), Feature::ALL.len());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// Compiling, loading and running a program: without it nothing works.
    Core,
    /// Compiled models from a folder.
    Package,
    /// Looking into and emptying the daemon's cache of compiled programs.
    Cache,
    /// What the machine says about its engine.
    DeviceInfo,
    /// Evaluation through the client, around the model.
    Direct,
    /// Evaluation at real-time priority.
    RealTime,
    /// Evaluation through the program, around the model.
    ProcessRequest,
    /// Evaluation that reports its end to a block.
    Completion,
    /// Mapping of surfaces before the evaluation.
    Mapping,
    /// Tensors that do not lie at the beginning of their surface.
    Parts,
    /// Hardware time and counters.
    PerformanceStats,
    /// Waiting for and signalling events that other devices share.
    SharedEvents,
    /// Chains of evaluations without a return to the CPU; experimental.
    Chaining,
    /// Hints about what a session needs.
    SessionHints,
    /// Depth of queues and what is in flight.
    Diagnostics,
    /// Requests made with their events and transaction; without it they are made as before.
    NewerRequests,
    /// Connections to the daemon other than the shared one.
    RestrictedAccess,
    /// What the host of a virtual machine says about its engine.
    VirtualClient,
    /// Programs, controllers and mappers of our own; experimental.
    ProgramParts,
    /// Instances of a model with other weights; experimental.
    Instances,
}

impl Feature {
    /// Every feature.
    pub const ALL: &[Feature] = &[
        Feature::Core,
        Feature::Package,
        Feature::Cache,
        Feature::DeviceInfo,
        Feature::Direct,
        Feature::RealTime,
        Feature::ProcessRequest,
        Feature::Completion,
        Feature::Mapping,
        Feature::Parts,
        Feature::PerformanceStats,
        Feature::SharedEvents,
        Feature::Chaining,
        Feature::SessionHints,
        Feature::Diagnostics,
        Feature::NewerRequests,
        Feature::RestrictedAccess,
        Feature::VirtualClient,
        Feature::ProgramParts,
        Feature::Instances,
    ];

    /// What it is, in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Core => "compile, load and run",
            Feature::Package => "compiled models from a folder",
            Feature::Cache => "the cache of compiled programs",
            Feature::DeviceInfo => "device information",
            Feature::Direct => "direct evaluation",
            Feature::RealTime => "real-time evaluation",
            Feature::ProcessRequest => "evaluation through the program",
            Feature::Completion => "asynchronous evaluation",
            Feature::Mapping => "mapping of surfaces",
            Feature::Parts => "surfaces from a byte on",
            Feature::PerformanceStats => "performance statistics",
            Feature::SharedEvents => "shared events",
            Feature::Chaining => "chaining",
            Feature::SessionHints => "session hints",
            Feature::Diagnostics => "diagnostics",
            Feature::NewerRequests => "requests of the newer form",
            Feature::RestrictedAccess => "restricted connections",
            Feature::VirtualClient => "the host of a virtual machine",
            Feature::ProgramParts => "parts of programs",
            Feature::Instances => "instances of models",
        }
    }
}

impl std::fmt::Display for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How sure the encoding of a message is.
///
/// ```
/// use anemone_apple::{Confidence, messages::MESSAGES};
/// let documented = MESSAGES.iter().filter(|row| row.confidence == Confidence::Documented);
/// assert!(documented.count() < MESSAGES.len());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Apple documents it.
    Documented,
    /// Two or more independent working programs agree.
    High,
    /// One working program, or generated from the runtime of a Mac.
    Medium,
    /// A single report.
    Low,
}

/// A message as a row of the table.
///
/// ```
/// use anemone_apple::{Row, messages::MESSAGES};
/// let row: &Row = MESSAGES.iter().find(|row| row.selector == c"validate").unwrap();
/// assert_eq!((row.class_name(), (row.encoding)().as_str(), row.to_class), ("_ANERequest", "B@:", false));
/// ```
#[derive(Debug)]
pub struct Row {
    /// The class, as an index into [`CLASSES`](crate::messages::CLASSES).
    pub class: usize,
    /// Whether the class itself receives it, and not its objects.
    pub to_class: bool,
    /// The selector.
    pub selector: &'static std::ffi::CStr,
    /// The encoding, made of the types with which it is sent.
    pub encoding: fn() -> String,
    /// What it is needed for.
    pub feature: Feature,
    /// How sure the encoding is.
    pub confidence: Confidence,
}

impl Row {
    /// The name of the class.
    pub fn class_name(&self) -> &'static str {
        CLASSES[self.class].name.to_str().expect("the table is ASCII")
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.to_class { '+' } else { '-' };
        write!(f, "{sign}[{} {}]", self.class_name(), self.selector.to_string_lossy())
    }
}

/// A class as a row of the table.
///
/// ```
/// use anemone_apple::{ClassRow, messages::CLASSES};
/// assert!(CLASSES.iter().any(|ClassRow { name, .. }| *name == c"_ANERequest"));
/// ```
#[derive(Debug)]
pub struct ClassRow {
    /// The name.
    pub name: &'static std::ffi::CStr,
}

/// A class of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassRef(pub(crate) usize);
