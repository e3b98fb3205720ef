//! The fake's Objective-C runtime: classes with the method tables of a macOS, selectors, pools, and the [`Abi`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Arc, Mutex, OnceLock};

use super::object::{self, AtomicU64Mark, CLASS, Referent, World, lock, referent};
use super::{ane, event, foundation, surface};
use crate::abi::{Abi, Class, Id, Imp, Method, Sel};
use crate::encoding::{Arguments, Encode};
use crate::message::Message;
use crate::messages::{CLASSES, MESSAGES};
use crate::recording::Recording;

/// The method tables of one macOS: what a file of `fixtures/runtime` holds.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Tables {
    /// Which macOS, and its build.
    pub system: String,
    /// Where the tables come from.
    pub source: String,
    /// Classes by name.
    pub classes: BTreeMap<String, Table>,
}

/// The methods of one class: encodings by selector.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Table {
    /// The class above it.
    #[serde(default)]
    pub superclass: Option<String>,
    /// What the class receives.
    #[serde(rename = "+", default)]
    pub to_class: BTreeMap<String, String>,
    /// What its objects receive.
    #[serde(rename = "-", default)]
    pub to_object: BTreeMap<String, String>,
}

impl Tables {
    /// Reads tables in JSON.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    /// The tables of the system on which a log was recorded: those of the newest macOS, with what the recording says of
    /// each message.
    pub fn recorded(recording: &Recording) -> Self {
        let mut tables = Self::newest();
        tables.system = recording.header("system").unwrap_or_default().to_string();
        tables.source = recording.header("recorded").unwrap_or_default().to_string();
        for row in MESSAGES {
            let Some(found) = recording.found(&row.to_string()) else { continue };
            let class = CLASSES[row.class].name.to_string_lossy().into_owned();
            let selector = row.selector.to_string_lossy().into_owned();
            let table = tables.classes.entry(class).or_default();
            let methods = if row.to_class { &mut table.to_class } else { &mut table.to_object };
            match found {
                Some(encoding) => methods.insert(selector, encoding.to_string()),
                None => methods.remove(&selector),
            };
        }
        tables
    }

    /// The newest macOS that there are tables of.
    pub fn newest() -> Self {
        static NEWEST: OnceLock<Tables> = OnceLock::new();
        let parse = || Self::parse(include_str!("../../../../fixtures/runtime/macos-26.5.json"));
        NEWEST.get_or_init(|| parse().expect("the file is checked by a test")).clone()
    }
}

/// A class. It begins as an object does, so that the receiver of a message can be told.
#[repr(C)]
pub(super) struct FakeClass {
    mark: AtomicU64Mark,
    name: CString,
    superclass: Option<String>,
    to_class: HashMap<Sel, Box<FakeMethod>>,
    to_object: HashMap<Sel, Box<FakeMethod>>,
}

/// A method: where it is carried out, and what the macOS says about its types.
pub(super) struct FakeMethod {
    imp: Option<Imp>,
    encoding: CString,
}

impl FakeClass {
    pub(super) fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }
}

/// The classes of a world.
pub(super) struct ClassTable(BTreeMap<String, Box<FakeClass>>);

impl ClassTable {
    pub(super) fn new(tables: &Tables) -> Self {
        let implemented = implementations();
        let methods = |class: &str, to_class: bool, table: &BTreeMap<String, String>| {
            table
                .iter()
                .map(|(selector, encoding)| {
                    let imp = implemented.get(&(class.to_string(), to_class, selector.clone())).copied();
                    let encoding = CString::new(encoding.as_str()).expect("an encoding has no zero byte");
                    (intern(selector), Box::new(FakeMethod { imp, encoding }))
                })
                .collect()
        };
        let classes = tables.classes.iter().map(|(name, table)| {
            let class = FakeClass {
                mark: AtomicU64Mark::new(CLASS),
                name: CString::new(name.as_str()).expect("a name has no zero byte"),
                superclass: table.superclass.clone(),
                to_class: methods(name, true, &table.to_class),
                to_object: methods(name, false, &table.to_object),
            };
            (name.clone(), Box::new(class))
        });
        Self(classes.collect())
    }

    /// A class that an implementation of the fake makes objects of.
    pub(super) fn class(&self, name: &str) -> &FakeClass {
        self.0.get(name).unwrap_or_else(|| panic!("the tables of this macOS have no {name}"))
    }

    fn find(&self, name: &str) -> Option<&FakeClass> {
        self.0.get(name).map(|c| &**c)
    }

    fn method<'a>(&'a self, class: &'a FakeClass, to_class: bool, selector: Sel) -> Option<&'a FakeMethod> {
        let mut at = Some(class);
        while let Some(class) = at {
            let methods = if to_class { &class.to_class } else { &class.to_object };
            if let Some(method) = methods.get(&selector) {
                return Some(method);
            }
            at = class.superclass.as_deref().and_then(|s| self.find(s));
        }
        None
    }

    /// Whether a class is another or below it.
    pub(super) fn is_kind(&self, class: &FakeClass, of: &FakeClass) -> bool {
        let mut at = Some(class);
        while let Some(c) = at {
            if std::ptr::eq(c, of) {
                return true;
            }
            at = c.superclass.as_deref().and_then(|s| self.find(s));
        }
        false
    }
}

/// What the fake implements: functions by class, kind and selector.
pub(super) struct Implementations(HashMap<(String, bool, String), Imp>);

impl Implementations {
    /// Adds a function as what carries out a message; its prototype is the one with which the message is sent.
    pub(super) fn add<A: Arguments, R: Encode>(&mut self, message: Message<A, R>, function: A::Function<R>) {
        let row = &MESSAGES[message.index()];
        let name = |c: &CStr| c.to_string_lossy().into_owned();
        let key = (name(CLASSES[row.class].name), row.to_class, name(row.selector));
        let old = self.0.insert(key, A::erase(function));
        assert!(old.is_none(), "{row} is implemented twice");
    }
}

fn implementations() -> &'static HashMap<(String, bool, String), Imp> {
    static ALL: OnceLock<HashMap<(String, bool, String), Imp>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Implementations(HashMap::new());
        foundation::implement(&mut all);
        ane::implement(&mut all);
        event::implement(&mut all);
        all.0
    })
}

/// The rows of the message table that the fake does not implement.
pub(super) fn unimplemented() -> Vec<String> {
    let implemented = implementations();
    MESSAGES
        .iter()
        .filter(|row| {
            let name = |c: &CStr| c.to_string_lossy().into_owned();
            !implemented.contains_key(&(name(CLASSES[row.class].name), row.to_class, name(row.selector)))
        })
        .map(ToString::to_string)
        .collect()
}

/// Selectors: one address for each name, for the whole process.
fn intern(name: &str) -> Sel {
    static SELECTORS: OnceLock<Mutex<HashMap<String, &'static CStr>>> = OnceLock::new();
    let mut selectors = lock(SELECTORS.get_or_init(Mutex::default));
    let known = selectors.entry(name.to_string()).or_insert_with(|| {
        let name = CString::new(name).expect("a selector has no zero byte");
        // Selectors are never forgotten, here as in the real runtime.
        Box::leak(name.into_boxed_c_str())
    });
    Sel(known.as_ptr().cast())
}

/// The text of a selector.
///
/// # Safety
///
/// It was given by [`intern`].
unsafe fn selector_text(selector: Sel) -> String {
    // SAFETY: a selector is a C string that lives for ever.
    unsafe { CStr::from_ptr(selector.0.cast()) }.to_string_lossy().into_owned()
}

thread_local! {
    /// The world in which classes are looked up on this thread.
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
    /// The pools of this thread: what each has to release.
    static POOLS: RefCell<Vec<Vec<Id>>> = const { RefCell::new(Vec::new()) };
}

/// Does something with a world as that of this thread.
pub(super) fn within<T>(world: &Arc<World>, action: impl FnOnce() -> T) -> T {
    let outer = WORLD.with(|w| w.replace(Some(world.clone())));
    let result = action();
    WORLD.with(|w| *w.borrow_mut() = outer);
    result
}

/// The world of a receiver of a message.
///
/// # Safety
///
/// The receiver is a live object or class.
pub(super) unsafe fn world_of(receiver: Id) -> Arc<World> {
    // SAFETY: the caller's promise.
    match unsafe { referent(receiver) } {
        Referent::Object(o) | Referent::Dead(o) => o.world.clone(),
        // A class has no world of its own: its messages are sent by the framework that was opened in one.
        Referent::Class(c) => lock(world_of_classes())
            .get(&(std::ptr::from_ref(c) as usize))
            .and_then(std::sync::Weak::upgrade)
            .expect("classes live in a world"),
        Referent::Nil => panic!("nil has no world"),
    }
}

type Worlds = HashMap<usize, std::sync::Weak<World>>;

fn world_of_classes() -> &'static Mutex<Worlds> {
    static WORLDS: OnceLock<Mutex<Worlds>> = OnceLock::new();
    WORLDS.get_or_init(Mutex::default)
}

/// Makes the classes of a world known as its own.
pub(super) fn register(world: &Arc<World>) {
    let mut worlds = lock(world_of_classes());
    worlds.retain(|_, w| w.strong_count() > 0);
    for class in world.classes.0.values() {
        worlds.insert(std::ptr::from_ref(&**class) as usize, Arc::downgrade(world));
    }
}

/// Leaves an object to the innermost pool of this thread. Without a pool it leaks, as it does on a Mac.
pub(super) fn autorelease(world: &Arc<World>, id: Id) {
    let pooled = POOLS.with(|p| p.borrow_mut().last_mut().map(|pool| pool.push(id)).is_some());
    if !pooled {
        world.wrong("an object was autoreleased on a thread without a pool: it leaks");
    }
}

unsafe extern "C" fn objc_get_class(name: *const c_char) -> Class {
    // SAFETY: the caller gives a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    WORLD.with(|w| {
        let world = w.borrow();
        let class = world.as_ref().and_then(|w| w.classes.find(&name));
        Class(class.map_or(std::ptr::null_mut(), |c| std::ptr::from_ref(c).cast_mut().cast()))
    })
}

unsafe extern "C" fn sel_register_name(name: *const c_char) -> Sel {
    // SAFETY: the caller gives a C string.
    intern(&unsafe { CStr::from_ptr(name) }.to_string_lossy())
}

fn method(class: Class, to_class: bool, selector: Sel) -> Method {
    // SAFETY: a class that was given by `objc_get_class` lives as long as its world.
    let class = unsafe { &*class.0.cast::<FakeClass>() };
    // SAFETY: as above.
    let world = unsafe { world_of(Id(std::ptr::from_ref(class).cast_mut().cast())) };
    let found = world.classes.method(class, to_class, selector);
    Method(found.map_or(std::ptr::null(), |m| std::ptr::from_ref(m).cast()))
}

unsafe extern "C" fn class_get_class_method(class: Class, selector: Sel) -> Method {
    method(class, true, selector)
}

unsafe extern "C" fn class_get_instance_method(class: Class, selector: Sel) -> Method {
    method(class, false, selector)
}

unsafe extern "C" fn method_get_type_encoding(method: Method) -> *const c_char {
    // SAFETY: a method that was given above lives as long as its class.
    unsafe { &*method.0.cast::<FakeMethod>() }.encoding.as_ptr()
}

unsafe extern "C" fn object_get_class_name(id: Id) -> *const c_char {
    // SAFETY: the caller gives an object of ours.
    match unsafe { referent(id) } {
        // SAFETY: classes live as long as their world.
        Referent::Object(o) | Referent::Dead(o) => unsafe { &*o.class }.name.as_ptr(),
        Referent::Class(c) => c.name.as_ptr(),
        Referent::Nil => c"nil".as_ptr(),
    }
}

unsafe extern "C" fn objc_retain(id: Id) -> Id {
    // SAFETY: the caller gives an object of ours.
    unsafe { object::retain(id) };
    id
}

unsafe extern "C" fn objc_release(id: Id) {
    // SAFETY: the caller gives an object of ours.
    unsafe { object::release(id) }
}

unsafe extern "C" fn objc_autorelease_pool_push() -> *mut c_void {
    POOLS.with(|p| {
        let mut pools = p.borrow_mut();
        pools.push(Vec::new());
        std::ptr::without_provenance_mut(pools.len())
    })
}

unsafe extern "C" fn objc_autorelease_pool_pop(token: *mut c_void) {
    loop {
        let pool = POOLS.with(|p| {
            let mut pools = p.borrow_mut();
            (pools.len() >= token.addr()).then(|| pools.pop()).flatten()
        });
        let Some(pool) = pool else { return };
        for id in pool.into_iter().rev() {
            // SAFETY: the pool has a count of each.
            unsafe { object::release(id) };
        }
    }
}

/// Finds the function that carries out a message. What a Mac answers with an exception ends the test.
unsafe extern "C" fn lookup(receiver: Id, selector: Sel) -> Imp {
    // SAFETY: the caller gives an object or class of ours.
    let (to_class, class, world) = match unsafe { referent(receiver) } {
        // SAFETY: classes live as long as their world.
        Referent::Object(o) | Referent::Dead(o) => (false, unsafe { &*o.class }, o.world.clone()),
        // SAFETY: it is a live class.
        Referent::Class(c) => (true, c, unsafe { world_of(receiver) }),
        Referent::Nil => panic!("a message to nil"),
    };
    // SAFETY: selectors were given by `intern`.
    let text = || unsafe { selector_text(selector) };
    let sign = if to_class { '+' } else { '-' };
    let found = world.classes.method(class, to_class, selector);
    let method = found.unwrap_or_else(|| panic!("unrecognized selector {sign}[{} {}]", class.name(), text()));
    method.imp.unwrap_or_else(|| panic!("the fake does not implement {sign}[{} {}]", class.name(), text()))
}

/// Stands for the class of blocks on the stack.
static STACK_BLOCK: u8 = 0;

/// The functions of the fake.
pub(super) fn abi() -> Abi {
    Abi {
        objc_get_class,
        sel_register_name,
        class_get_class_method,
        class_get_instance_method,
        method_get_type_encoding,
        object_get_class_name,
        objc_retain,
        objc_release,
        objc_autorelease_pool_push,
        objc_autorelease_pool_pop,
        lookup,
        stack_block: (&raw const STACK_BLOCK).cast(),
        cf_retain: surface::cf_retain,
        cf_release: surface::cf_release,
        io_surface_create: surface::io_surface_create,
        io_surface_lock: surface::io_surface_lock,
        io_surface_unlock: surface::io_surface_unlock,
        io_surface_get_base_address: surface::io_surface_get_base_address,
        io_surface_get_alloc_size: surface::io_surface_get_alloc_size,
        io_surface_get_id: surface::io_surface_get_id,
        io_surface_lookup: surface::io_surface_lookup,
        io_surface_create_mach_port: surface::io_surface_create_mach_port,
        io_surface_lookup_from_mach_port: surface::io_surface_lookup_from_mach_port,
        mach_task_self: surface::mach_task_self,
        mach_port_deallocate: surface::mach_port_deallocate,
    }
}
