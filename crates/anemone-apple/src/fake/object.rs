//! The fake's heap: objects with a class and a count, and what is wrong when one is misused.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ane::{self, daemon::Daemon};
use super::runtime::{Classes, FakeClass};
use super::{Faults, Machine};
use crate::abi::{Id, SurfaceRef};
use crate::pace::Clock;

/// What an object begins with while it is alive, after it has died, and what a class begins with.
pub(super) const ALIVE: u64 = 0xa11e_0bec_7000_0001;
const DEAD: u64 = 0xdead_0bec_7000_0002;
pub(super) const CLASS: u64 = 0xc1a5_50bc_7000_0003;

/// How many dead objects are kept before their memory is given back, so that a message to one is noticed.
const QUARANTINE: usize = 512;

/// An object.
#[repr(C)]
pub(super) struct Object {
    mark: AtomicU64Mark,
    count: AtomicUsize,
    pub(super) class: *const FakeClass,
    pub(super) world: Arc<World>,
    pub(super) payload: Payload,
}

/// The mark at the beginning of an object or class.
#[repr(transparent)]
pub(super) struct AtomicU64Mark(std::sync::atomic::AtomicU64);

impl AtomicU64Mark {
    pub(super) const fn new(mark: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(mark))
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What an object holds. Objects that it holds are counted: they are released when it dies.
pub(super) enum Payload {
    String(CString),
    Data(Box<[u8]>),
    Number(i64),
    Array(Vec<Id>),
    Dictionary(Mutex<Vec<(Id, Id)>>),
    Url(CString),
    IndexSet(Vec<u64>),
    Error { domain: Id, code: i64, description: Id },
    Ane(ane::Payload),
}

impl Payload {
    /// The objects that it holds a count of.
    fn held(&self) -> Vec<Id> {
        match self {
            Payload::Array(items) => items.clone(),
            Payload::Dictionary(entries) => lock(entries).iter().flat_map(|&(k, v)| [k, v]).collect(),
            Payload::Error { domain, description, .. } => vec![*domain, *description],
            Payload::Ane(p) => p.held(),
            _ => Vec::new(),
        }
    }
}

/// Everything that one test has: a machine, its daemon, its objects.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) faults: Mutex<Faults>,
    pub(super) classes: Classes,
    pub(super) daemon: Mutex<Daemon>,
    pub(super) clock: Arc<VirtualClock>,
    /// How many surfaces and ports are alive.
    pub(super) surfaces: AtomicUsize,
    pub(super) ports: AtomicUsize,
    /// How many evaluations are under way that nobody waits for.
    pub(super) in_flight: AtomicUsize,
    /// How many objects, surfaces and threads of the driver have begun and have to end.
    alive: Mutex<usize>,
    all_ended: Condvar,
    /// The dead whose memory is kept.
    quarantine: Mutex<VecDeque<*mut Object>>,
    wrong: Mutex<Vec<String>>,
}

// SAFETY: the pointers in it are to objects of its heap, which any thread may use: all that changes in an object is
// behind a lock or atomic.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

/// A time that passes when somebody waits.
#[derive(Default)]
pub(super) struct VirtualClock(Mutex<Duration>);

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        *lock(&self.0)
    }

    fn sleep(&self, time: Duration) {
        *lock(&self.0) += time;
    }
}

/// Locks, also after another thread has panicked: the fake's data stays consistent between statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(machine: Machine, faults: Faults) -> Arc<Self> {
        Arc::new_cyclic(|world| Self {
            faults: Mutex::new(faults),
            classes: Classes::new(&machine.tables, world),
            daemon: Mutex::new(Daemon::new(machine.cache.clone())),
            machine,
            clock: Arc::default(),
            surfaces: AtomicUsize::new(0),
            ports: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            alive: Mutex::default(),
            all_ended: Condvar::new(),
            quarantine: Mutex::default(),
            wrong: Mutex::default(),
        })
    }

    /// Notes that somebody has broken a rule.
    pub(super) fn wrong(&self, what: impl Into<String>) {
        lock(&self.wrong).push(what.into());
    }

    pub(super) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.wrong))
    }

    /// How many objects are alive, by class.
    pub(super) fn live(&self) -> BTreeMap<String, usize> {
        let live = self.classes.iter().map(|c| (c.name().to_string(), c.live.load(Ordering::Relaxed)));
        live.filter(|(_, n)| *n > 0).collect()
    }

    /// Something begins that has to end.
    pub(super) fn begun(&self) {
        *lock(&self.alive) += 1;
    }

    /// It has ended, or nobody waits for its end.
    pub(super) fn ended(&self) {
        let mut alive = lock(&self.alive);
        *alive -= 1;
        if *alive == 0 {
            self.all_ended.notify_all();
        }
    }

    /// Waits until all has ended; whether it was in time.
    pub(super) fn settle(&self, time: Duration) -> bool {
        let result = self.all_ended.wait_timeout_while(lock(&self.alive), time, |alive| *alive > 0);
        *result.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// Gives back the memory of dead objects.
    pub(super) fn empty_quarantine(&self) {
        let dead: Vec<_> = lock(&self.quarantine).drain(..).collect();
        for object in dead {
            // SAFETY: it came from a box, is dead, and only the quarantine had its address.
            drop(unsafe { Box::from_raw(object) });
        }
    }
}

/// Makes an object with a count of one. It takes over the counts of what the payload holds.
pub(super) fn make(world: &Arc<World>, class: &str, payload: Payload) -> Id {
    let class = world.classes.class(class);
    class.live.fetch_add(1, Ordering::Relaxed);
    world.begun();
    let object = Object {
        mark: AtomicU64Mark::new(ALIVE),
        count: AtomicUsize::new(1),
        class,
        world: world.clone(),
        payload,
    };
    Id(Box::into_raw(Box::new(object)).cast())
}

/// Makes an object that the innermost pool of this thread releases.
pub(super) fn make_autoreleased(world: &Arc<World>, class: &str, payload: Payload) -> Id {
    let id = make(world, class, payload);
    super::runtime::autorelease(world, id);
    id
}

/// What an address stands for.
pub(super) enum Referent<'a> {
    Object(&'a Object),
    Class(&'a FakeClass),
    Dead(&'a Object),
    Nil,
}

/// What an address stands for.
///
/// # Safety
///
/// The address is nil, or was given by the fake, and is not of an object that died long ago.
pub(super) unsafe fn referent<'a>(id: Id) -> Referent<'a> {
    if id.is_nil() {
        return Referent::Nil;
    }
    // SAFETY: objects and classes both begin with a mark; the memory of the dead is kept in quarantine.
    let mark = unsafe { &*id.0.cast::<AtomicU64Mark>() }.get();
    // SAFETY: the mark says what it is.
    unsafe {
        match mark {
            ALIVE => Referent::Object(&*id.0.cast::<Object>()),
            CLASS => Referent::Class(&*id.0.cast::<FakeClass>()),
            DEAD => Referent::Dead(&*id.0.cast::<Object>()),
            other => panic!("{other:#x} is neither an object nor a class: the pointer was never ours"),
        }
    }
}

/// A live object; a message to nil or to a dead object is noted, and gives none.
///
/// # Safety
///
/// As [`referent`].
pub(super) unsafe fn object<'a>(id: Id) -> Option<&'a Object> {
    // SAFETY: the caller's promise.
    match unsafe { referent(id) } {
        Referent::Object(o) => Some(o),
        Referent::Dead(o) => {
            o.world.wrong(format!("a message was sent to a {} that was released", o.class_name()));
            None
        }
        Referent::Class(_) | Referent::Nil => None,
    }
}

impl Object {
    fn class(&self) -> &FakeClass {
        // SAFETY: classes live as long as their world, which the object holds.
        unsafe { &*self.class }
    }

    pub(super) fn class_name(&self) -> &str {
        self.class().name()
    }
}

/// `objc_retain`.
///
/// # Safety
///
/// As [`referent`].
pub(super) unsafe fn retain(id: Id) {
    // SAFETY: the caller's promise.
    match unsafe { referent(id) } {
        Referent::Object(o) => {
            o.count.fetch_add(1, Ordering::Relaxed);
        }
        Referent::Dead(o) => {
            o.world.wrong(format!("a {} was retained after it was released", o.class_name()))
        }
        Referent::Class(_) | Referent::Nil => {}
    }
}

/// `objc_release`: the last one ends the object.
///
/// # Safety
///
/// As [`referent`].
pub(super) unsafe fn release(id: Id) {
    // SAFETY: the caller's promise.
    let o = match unsafe { referent(id) } {
        Referent::Object(o) => o,
        Referent::Dead(o) => {
            o.world.wrong(format!("a {} was released too often", o.class_name()));
            return;
        }
        Referent::Class(_) | Referent::Nil => return,
    };
    if o.count.fetch_sub(1, Ordering::AcqRel) > 1 {
        return;
    }
    let world = o.world.clone();
    if let Payload::Ane(p) = &o.payload {
        p.dealloc(&world);
    }
    o.mark.0.store(DEAD, Ordering::Release);
    for held in o.payload.held() {
        // SAFETY: the object held a count of it.
        unsafe { release(held) };
    }
    o.class().live.fetch_sub(1, Ordering::Relaxed);
    world.ended();
    let overflow = {
        let mut quarantine = lock(&world.quarantine);
        quarantine.push_back(id.0.cast());
        (quarantine.len() > QUARANTINE).then(|| quarantine.pop_front()).flatten()
    };
    if let Some(oldest) = overflow {
        // SAFETY: it came from a box, is dead, and only the quarantine had its address.
        drop(unsafe { Box::from_raw(oldest) });
    }
}

/// An object or a surface that another thread may find.
#[derive(Clone, Copy)]
pub(super) struct Kept<T>(pub(super) T);

// SAFETY: objects of the fake may be used from any thread.
unsafe impl Send for Kept<Id> {}
// SAFETY: as above.
unsafe impl Send for Kept<SurfaceRef> {}

// Readers of payloads, for objects that the caller knows to be alive.

/// The text of a string or of a path.
pub(super) unsafe fn str_of<'a>(id: Id) -> Option<&'a str> {
    // SAFETY: the caller's promise.
    match &unsafe { object(id) }?.payload {
        Payload::String(s) | Payload::Url(s) => s.to_str().ok(),
        _ => None,
    }
}

/// The bytes of a data object.
pub(super) unsafe fn data_of<'a>(id: Id) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    match &unsafe { object(id) }?.payload {
        Payload::Data(bytes) => Some(bytes),
        _ => None,
    }
}

/// The value of a number.
pub(super) unsafe fn number_of(id: Id) -> Option<i64> {
    // SAFETY: the caller's promise.
    match unsafe { object(id) }?.payload {
        Payload::Number(n) => Some(n),
        _ => None,
    }
}

/// The objects of an array.
pub(super) unsafe fn items_of<'a>(id: Id) -> Option<&'a [Id]> {
    // SAFETY: the caller's promise.
    match &unsafe { object(id) }?.payload {
        Payload::Array(items) => Some(items),
        _ => None,
    }
}

/// The entries of a dictionary, by name.
pub(super) unsafe fn entries_of(id: Id) -> Option<Vec<(String, Id)>> {
    // SAFETY: the caller's promise.
    match &unsafe { object(id) }?.payload {
        Payload::Dictionary(entries) => {
            let entries = lock(entries);
            // SAFETY: a dictionary keeps its keys alive.
            let name = |key| unsafe { str_of(key) };
            entries.iter().map(|&(k, v)| Some((name(k)?.to_string(), v))).collect()
        }
        _ => None,
    }
}
