//! The opened framework: classes and selectors resolved, prototypes compared, messages sent.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::abi::{Abi, Bool, Class, Id, Sel};
use crate::budget::{Budget, COMPILES, LOADED};
use crate::connection::Connection;
use crate::encoding::{Arguments, Encode, plain};
use crate::error::{Error, Refusal};
use crate::foundation;
use crate::log::Log;
use crate::message::{ClassRef, Feature, Message, Row};
use crate::messages::{CLASSES, MESSAGES};
use crate::metal::ProtocolMessage;
use crate::pace::{self, Clock, Pace};

/// The opened framework. Copies share one.
///
/// When it is opened, every row of [`MESSAGES`] is compared with the running system: a class or selector that is
/// missing or has another prototype turns off the [`Feature`] that needs it, and only that. Without
/// [`Feature::Core`] it does not open.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// use anemone_apple::{Feature, Finding};
/// // let framework = Framework::open()?; on a Mac
/// assert!(framework.require(Feature::Package).is_ok());
/// assert!(framework.findings().all(|(_, finding)| *finding == Finding::Found));
/// assert_eq!(framework.spent(), (0, 0)); // nothing compiled, nothing loaded
/// assert!(framework.left().0 > 0);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone)]
pub struct Framework(Arc<Inner>);

struct Inner {
    abi: Abi,
    classes: Vec<Option<Class>>,
    selectors: Vec<Sel>,
    findings: Vec<Finding>,
    log: Option<Log>,
    budget: Budget,
    pace: Pace,
    client: OnceLock<Option<Connection>>,
}

// SAFETY: classes, selectors and the client are constants of the process once they are there; the rest is Send.
unsafe impl Send for Inner {}
// SAFETY: as above; nothing is written after the framework was opened.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(Some(Connection { client, is_ours: true })) = self.client.get() {
            // SAFETY: the count is ours, and is given up once; whoever used the client had the framework.
            unsafe { (self.abi.objc_release)(*client) }
        }
    }
}

/// Gives what is there, or makes it: once, however many threads ask. What could not be made is asked for again.
fn once<T: Clone, E>(slot: &Mutex<Option<T>>, make: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    match &*slot {
        Some(made) => Ok(made.clone()),
        None => Ok(slot.insert(make()?).clone()),
    }
}

/// What the running system has of one row of the table.
///
/// ```
/// use anemone_apple::fake::{Fake, Machine, Tables};
/// use anemone_apple::{Finding, Framework};
/// let lacking = Tables::newest().without("-[_ANEModel getUUID]");
/// let fake = Fake::new(Machine { tables: lacking, ..Machine::default() });
/// let framework: Framework = fake.open()?;
/// let missing = framework.findings().filter(|(_, f)| **f == Finding::NoSelector);
/// assert_eq!(missing.count(), 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The message, with the expected prototype.
    Found,
    /// No such class.
    NoClass,
    /// The class does not have the selector.
    NoSelector,
    /// The message, with this prototype.
    Drifted(String),
}

/// The table as the running system has it.
struct Resolved {
    classes: Vec<Option<Class>>,
    selectors: Vec<Sel>,
    findings: Vec<Finding>,
}

impl Resolved {
    fn of(abi: &Abi) -> Self {
        let classes: Vec<Option<Class>> = CLASSES
            .iter()
            .map(|row| {
                // SAFETY: the name is a C string.
                let class = unsafe { (abi.objc_get_class)(row.name.as_ptr()) };
                (!class.0.is_null()).then_some(class)
            })
            .collect();
        let selectors: Vec<Sel> = MESSAGES
            .iter()
            // SAFETY: the selector is a C string.
            .map(|row| unsafe { (abi.sel_register_name)(row.selector.as_ptr()) })
            .collect();
        let findings = MESSAGES
            .iter()
            .zip(&selectors)
            .map(|(row, &selector)| {
                classes[row.class].map_or(Finding::NoClass, |c| find(abi, c, selector, row))
            })
            .collect();
        Self { classes, selectors, findings }
    }
}

/// Every row of the table with what lies behind an [`Abi`] of it, also when a framework would not open over it.
///
/// ```
/// use anemone_apple::{Finding, survey};
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let rows = fake.raw(|abi| survey(&abi));
/// assert!(rows.iter().all(|(row, finding)| *finding == Finding::Found && !row.class_name().is_empty()));
/// ```
pub fn survey(abi: &Abi) -> Vec<(&'static Row, Finding)> {
    MESSAGES.iter().zip(Resolved::of(abi).findings).collect()
}

impl Framework {
    /// Opens the frameworks of this Mac. The process has one budget of compilations: whoever opens them again gets what was
    /// opened first.
    ///
    /// # Errors
    ///
    /// [`Error::NoFramework`] off a Mac, [`Error::Drift`] when this macOS has changed what everything needs.
    ///
    /// ```
    /// # #[cfg(not(target_vendor = "apple"))]
    /// assert!(matches!(anemone_apple::Framework::open(), Err(anemone_apple::Error::NoFramework { .. })));
    /// ```
    pub fn open() -> Result<Self, Error> {
        static OPENED: Mutex<Option<Framework>> = Mutex::new(None);
        once(&OPENED, || Self::over(Abi::system()?, None))
    }

    /// Opens what lies behind an [`Abi`], with a log of every message if there is to be one.
    ///
    /// # Errors
    ///
    /// [`Error::Drift`] when a message of [`Feature::Core`] is missing or has another prototype.
    pub fn over(abi: Abi, log: Option<Log>) -> Result<Self, Error> {
        Self::over_in(abi, log, pace::system())
    }

    /// The same in another time.
    ///
    /// # Errors
    ///
    /// As [`Framework::over`].
    pub(crate) fn over_in(abi: Abi, log: Option<Log>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let Resolved { classes, selectors, findings } = Resolved::of(&abi);
        for (row, finding) in MESSAGES.iter().zip(&findings) {
            if row.feature == Feature::Core && *finding != Finding::Found {
                let found = match finding {
                    Finding::Drifted(found) => Some(found.clone()),
                    _ => None,
                };
                return Err(Error::Drift {
                    message: row.to_string(),
                    expected: plain(&(row.encoding)()),
                    found,
                });
            }
        }
        let inner = Inner {
            abi,
            classes,
            selectors,
            findings,
            log,
            budget: Budget::default(),
            pace: Pace::new(clock),
            client: OnceLock::new(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The functions behind it.
    pub fn abi(&self) -> &Abi {
        &self.0.abi
    }

    /// Every row of the table with what the running system has of it.
    pub fn findings(&self) -> impl Iterator<Item = (&'static Row, &Finding)> {
        MESSAGES.iter().zip(&self.0.findings)
    }

    /// Whether this macOS has a feature.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the first message that is missing or changed.
    pub fn require(&self, feature: Feature) -> Result<(), Error> {
        let lacking =
            self.findings().find(|(row, finding)| row.feature == feature && **finding != Finding::Found);
        lacking.map_or(Ok(()), |(row, finding)| {
            let because = match finding {
                Finding::Drifted(found) => {
                    format!("`{row}` is `{found}`, not `{}`", plain(&(row.encoding)()))
                }
                Finding::NoClass => format!("there is no class of `{row}`"),
                _ => format!("there is no `{row}`"),
            };
            Err(Error::Unavailable { feature, because })
        })
    }

    /// Whether this macOS has a message, for what is asked as far as there are answers.
    pub(crate) fn has<A: Arguments, R: Encode>(&self, message: Message<A, R>) -> bool {
        self.0.findings[message.index()] == Finding::Found
    }

    /// The client, which lives as long as the framework. It is asked for once.
    pub(crate) fn client(&self) -> Result<Id, Error> {
        let connection = self.0.client.get_or_init(|| self.connect());
        let nothing = || Error::Unexpected { message: "+[_ANEClient sharedConnection]", gave: "nil".into() };
        connection.map(|c| c.client).ok_or_else(nothing)
    }

    /// How many programs were compiled, and how many are loaded.
    pub fn spent(&self) -> (usize, usize) {
        self.0.budget.spent()
    }

    /// How many programs this process may still compile, and how many more it may have loaded.
    pub fn left(&self) -> (usize, usize) {
        let (compiled, loaded) = self.spent();
        (COMPILES - compiled, LOADED - loaded)
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(crate) fn class(&self, class: ClassRef) -> Class {
        self.0.classes[class.0].expect("a class is asked for after its feature was required")
    }

    /// Opens an autorelease pool, which empties when it is dropped.
    pub(crate) fn pool(&self) -> Pool<'_> {
        // SAFETY: a push needs nothing; it is popped by the drop of the pool, on this thread, since a pool is not Send.
        let token = unsafe { (self.0.abi.objc_autorelease_pool_push)() };
        Pool { framework: self, token, thread: PhantomData }
    }

    /// Sends a message to an object.
    ///
    /// # Safety
    ///
    /// The receiver is an object of the message's class (or the class, for a message to the class), alive, and the
    /// arguments are what the method asks for: objects of the right classes, buffers of the stated sizes. The feature
    /// of the message was required, so that its prototype was compared.
    pub(crate) unsafe fn send<A: Arguments, R: Encode>(
        &self,
        message: Message<A, R>,
        receiver: Id,
        arguments: A,
    ) -> R {
        let inner = &*self.0;
        debug_assert!(!receiver.is_nil(), "a message to nil");
        debug_assert_eq!(inner.findings[message.index()], Finding::Found, "{}", MESSAGES[message.index()]);
        let selector = inner.selectors[message.index()];
        // SAFETY: the receiver is alive and responds to the selector.
        let imp = unsafe { (inner.abi.lookup)(receiver, selector) };
        // SAFETY: the prototype was compared when the framework was opened; the rest is the caller's promise.
        let result = unsafe { arguments.call::<R>(imp, receiver, selector) };
        if let Some(log) = &inner.log {
            log.sent(self, &MESSAGES[message.index()], arguments, result);
        }
        result
    }

    /// Sends a message that answers `NO` and perhaps an `NSError` when it fails.
    ///
    /// # Safety
    ///
    /// As [`Framework::send`]. `arguments` puts the address that it is given where the method wants its `NSError **`.
    pub(crate) unsafe fn try_send<A: Arguments>(
        &self,
        message: Message<A, Bool>,
        receiver: Id,
        arguments: impl FnOnce(*mut Id) -> A,
    ) -> Result<(), Error> {
        let mut error = Id::NIL;
        // SAFETY: the caller's promise; `error` outlives the call and is nil before it.
        let yes = unsafe { self.send(message, receiver, arguments(&mut error)) };
        if yes.get() {
            return Ok(());
        }
        let refusal = Refusal {
            message: MESSAGES[message.index()].to_string(),
            // SAFETY: an error that was written is an autoreleased NSError.
            error: (!error.is_nil()).then(|| unsafe { foundation::reported(self, error) }),
        };
        Err(refusal.into())
    }

    /// Sends a message to an object that has a protocol, if its class has the message with this prototype.
    ///
    /// # Safety
    ///
    /// As [`Framework::send`].
    pub(crate) unsafe fn send_to_protocol<A: Arguments, R: Encode>(
        &self,
        message: ProtocolMessage<A, R>,
        receiver: Id,
        arguments: A,
    ) -> Result<R, Error> {
        let abi = &self.0.abi;
        // SAFETY: the selector is a C string.
        let selector = unsafe { (abi.sel_register_name)(message.selector.as_ptr()) };
        // SAFETY: the receiver is alive; class and selector are the runtime's.
        let method = unsafe { (abi.class_get_instance_method)((abi.object_get_class)(receiver), selector) };
        // SAFETY: a method that exists has an encoding, which lives as long as the class.
        let found =
            (!method.0.is_null()).then(|| plain(&unsafe { text((abi.method_get_type_encoding)(method)) }));
        let expected = plain(&message.encoding());
        if found.as_ref() != Some(&expected) {
            return Err(Error::Drift { message: message.name.into(), expected, found });
        }
        // SAFETY: the receiver is alive and responds to the selector.
        let imp = unsafe { (abi.lookup)(receiver, selector) };
        // SAFETY: the prototype was compared; the rest is the caller's promise.
        Ok(unsafe { arguments.call::<R>(imp, receiver, selector) })
    }

    /// The name of an object's class.
    ///
    /// # Safety
    ///
    /// The object is alive.
    pub(crate) unsafe fn class_name(&self, object: Id) -> String {
        // SAFETY: the object is alive; the name lives as long as the class.
        unsafe { text((self.0.abi.object_get_class_name)(object)) }
    }
}

/// The text at this address; empty when there is none.
///
/// # Safety
///
/// The address is null, or that of a C string that nobody changes during the call.
pub(crate) unsafe fn text(address: *const std::ffi::c_char) -> String {
    if address.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(address) }.to_string_lossy().into_owned()
}

fn find(abi: &Abi, class: Class, selector: Sel, row: &Row) -> Finding {
    // SAFETY: class and selector were given by the runtime.
    let method = unsafe {
        if row.to_class {
            (abi.class_get_class_method)(class, selector)
        } else {
            (abi.class_get_instance_method)(class, selector)
        }
    };
    if method.0.is_null() {
        return Finding::NoSelector;
    }
    // SAFETY: the method exists; its encoding lives as long as the class.
    let found = unsafe { text((abi.method_get_type_encoding)(method)) };
    let expected = (row.encoding)();
    if found == expected || plain(&found) == plain(&expected) {
        return Finding::Found;
    }
    Finding::Drifted(plain(&found))
}

impl std::fmt::Debug for Framework {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Framework")
    }
}

/// An autorelease pool. It stays on its thread.
pub(crate) struct Pool<'a> {
    framework: &'a Framework,
    token: *mut c_void,
    thread: PhantomData<*mut ()>,
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        // SAFETY: the token is of this pool, on this thread; guards are dropped in the reverse order of their making.
        unsafe { (self.framework.0.abi.objc_autorelease_pool_pop)(self.token) }
    }
}

/// An object that we hold one count of.
pub(crate) struct Retained {
    framework: Framework,
    id: NonNull<c_void>,
}

impl Retained {
    /// Takes a count of an object, such as an autoreleased one; `None` for nil.
    ///
    /// # Safety
    ///
    /// The object is nil or alive.
    pub(crate) unsafe fn retain(framework: &Framework, id: Id) -> Option<Self> {
        let id = NonNull::new(id.0)?;
        // SAFETY: the object is alive.
        unsafe { (framework.0.abi.objc_retain)(Id(id.as_ptr())) };
        Some(Self { framework: framework.clone(), id })
    }

    /// Takes over a count that the caller has, such as that of a `+new`; `None` for nil.
    ///
    /// # Safety
    ///
    /// The object is nil, or alive with a count that nobody else releases.
    pub(crate) unsafe fn own(framework: &Framework, id: Id) -> Option<Self> {
        Some(Self { framework: framework.clone(), id: NonNull::new(id.0)? })
    }

    pub(crate) fn id(&self) -> Id {
        Id(self.id.as_ptr())
    }

    pub(crate) fn framework(&self) -> &Framework {
        &self.framework
    }
}

impl Clone for Retained {
    fn clone(&self) -> Self {
        // SAFETY: we hold a count, so it is alive.
        unsafe { (self.framework.0.abi.objc_retain)(self.id()) };
        Self { framework: self.framework.clone(), id: self.id }
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        // SAFETY: the count is ours, and is given up once.
        unsafe { (self.framework.0.abi.objc_release)(self.id()) }
    }
}

impl std::fmt::Debug for Retained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: we hold a count, so it is alive.
        write!(f, "<{}>", unsafe { self.framework.class_name(self.id()) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Row H24: however many threads open it.
    #[test]
    fn what_is_made_once_is_made_once() {
        let (slot, made) = (Mutex::new(None), AtomicUsize::new(0));
        assert_eq!(once(&slot, || Err::<usize, _>("not now")), Err("not now"));
        let make = || Ok::<_, &str>(made.fetch_add(1, Ordering::SeqCst) + 7);
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..8).map(|_| s.spawn(|| once(&slot, make))).collect();
            assert!(threads.into_iter().all(|t| t.join().unwrap() == Ok(7)));
        });
        assert_eq!(once(&slot, || Err("too late")), Ok(7));
    }

    /// Rows H24, P13: off a Mac each attempt says so.
    #[test]
    #[cfg(not(target_vendor = "apple"))]
    fn off_a_mac_nothing_opens() {
        for _ in 0..2 {
            assert!(matches!(
                Framework::open(),
                Err(Error::NoFramework { library: "AppleNeuralEngine", .. })
            ));
        }
    }
}
