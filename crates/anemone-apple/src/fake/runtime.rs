//! The fake's Objective-C runtime: the classes of a machine, selectors, pools, and the [`Abi`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, Weak};

use super::object::{self, AtomicU64Mark, CLASS, Referent, World, lock, referent};
use super::surface;
use super::tables::{FakeMethod, Table, Tables};
use crate::abi::{Abi, Class, Id, Imp, Method, Sel};

/// A class of a world. It begins as an object does, so that the receiver of a message can be told.
#[repr(C)]
pub(super) struct FakeClass {
    mark: AtomicU64Mark,
    world: Weak<World>,
    table: Arc<Table>,
    /// Where the class above it is among the classes of the world.
    superclass: Option<usize>,
    /// How many of its objects are alive.
    pub(super) live: AtomicUsize,
}

impl FakeClass {
    pub(super) fn name(&self) -> &str {
        self.table.name.to_str().unwrap_or_default()
    }
}

/// The classes of a world, in the order of their names.
pub(super) struct Classes(Box<[FakeClass]>);

impl Classes {
    pub(super) fn new(tables: &Tables, world: &Weak<World>) -> Self {
        let tables: Vec<&Arc<Table>> = tables.classes().collect();
        let class = |table: &&Arc<Table>| FakeClass {
            mark: AtomicU64Mark::new(CLASS),
            world: world.clone(),
            table: Arc::clone(table),
            superclass: table.superclass.as_deref().and_then(|name| place(&tables, |t| t, name)),
            live: AtomicUsize::new(0),
        };
        Self(tables.iter().map(class).collect())
    }

    /// A class that an implementation of the fake makes objects of.
    pub(super) fn class(&self, name: &str) -> &FakeClass {
        self.find(name).unwrap_or_else(|| panic!("the tables of this macOS have no {name}"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FakeClass> {
        self.0.iter()
    }

    fn find(&self, name: &str) -> Option<&FakeClass> {
        place(&self.0, |c| &c.table, name).map(|i| &self.0[i])
    }

    /// A class and those above it.
    fn lineage<'a>(&'a self, class: &'a FakeClass) -> impl Iterator<Item = &'a FakeClass> {
        std::iter::successors(Some(class), |c| c.superclass.map(|i| &self.0[i]))
    }

    fn method<'a>(&'a self, class: &'a FakeClass, to_class: bool, selector: &CStr) -> Option<&'a FakeMethod> {
        self.lineage(class).find_map(|c| c.table.method(to_class, selector))
    }

    /// Whether a class is another or below it.
    pub(super) fn is_kind(&self, class: &FakeClass, of: &FakeClass) -> bool {
        self.lineage(class).any(|c| std::ptr::eq(c, of))
    }
}

/// Where the class of this name is.
fn place<T>(classes: &[T], table: impl Fn(&T) -> &Arc<Table>, name: &str) -> Option<usize> {
    classes.binary_search_by(|c| table(c).name.to_bytes().cmp(name.as_bytes())).ok()
}

/// Selectors: one address for each name, for the whole process.
fn intern(name: &CStr) -> Sel {
    // With the zero byte at their end.
    static SELECTORS: Mutex<BTreeSet<&[u8]>> = Mutex::new(BTreeSet::new());
    let mut selectors = lock(&SELECTORS);
    let known = selectors.get(name.to_bytes_with_nul()).copied().unwrap_or_else(|| {
        // Selectors are never forgotten, here as in the real runtime.
        let name: &'static [u8] = Vec::leak(name.to_bytes_with_nul().to_vec());
        selectors.insert(name);
        name
    });
    Sel(known.as_ptr().cast())
}

/// The text of a selector.
///
/// # Safety
///
/// It was given by [`intern`].
unsafe fn selector_text(selector: Sel) -> &'static CStr {
    // SAFETY: a selector is a C string that lives for ever.
    unsafe { CStr::from_ptr(selector.0.cast()) }
}

thread_local! {
    /// The world in which classes are looked up on this thread.
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
    /// The world in which they were looked up last.
    static LAST: RefCell<Weak<World>> = const { RefCell::new(Weak::new()) };
    /// The pools of this thread: what each has to release.
    static POOLS: RefCell<Vec<Vec<Id>>> = const { RefCell::new(Vec::new()) };
}

/// Does something with a world as that of this thread.
pub(super) fn within<T>(world: &Arc<World>, action: impl FnOnce() -> T) -> T {
    let outer = WORLD.with(|w| w.replace(Some(world.clone())));
    LAST.with(|w| w.replace(Arc::downgrade(world)));
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
        Referent::Class(c) => c.world.upgrade().expect("classes live in a world"),
        Referent::Nil => panic!("nil has no world"),
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
    intern(unsafe { CStr::from_ptr(name) })
}

/// # Safety
///
/// Class and selector were given by the functions above, and the world of the class is there.
unsafe fn method(class: Class, to_class: bool, selector: Sel) -> Method {
    // SAFETY: the caller's promise.
    let (class, selector) = unsafe { (&*class.0.cast::<FakeClass>(), selector_text(selector)) };
    let world = class.world.upgrade().expect("classes live in a world");
    let found = world.classes.method(class, to_class, selector);
    Method(found.map_or(std::ptr::null(), |m| std::ptr::from_ref(m).cast()))
}

unsafe extern "C" fn class_get_class_method(class: Class, selector: Sel) -> Method {
    // SAFETY: the caller gives what the runtime has given.
    unsafe { method(class, true, selector) }
}

unsafe extern "C" fn class_get_instance_method(class: Class, selector: Sel) -> Method {
    // SAFETY: the caller gives what the runtime has given.
    unsafe { method(class, false, selector) }
}

unsafe extern "C" fn method_get_type_encoding(method: Method) -> *const c_char {
    // SAFETY: a method that was given above lives as long as its class.
    unsafe { &*method.0.cast::<FakeMethod>() }.encoding.as_ptr()
}

unsafe extern "C" fn object_get_class(id: Id) -> Class {
    // SAFETY: the caller gives an object of ours.
    match unsafe { referent(id) } {
        Referent::Object(o) | Referent::Dead(o) => Class(o.class.cast_mut().cast()),
        Referent::Class(_) | Referent::Nil => Class(std::ptr::null_mut()),
    }
}

/// A function without a receiver: the GPU is that of the machine that was opened last on this thread.
unsafe extern "C" fn mtl_create_system_default_device() -> Id {
    let world = LAST.with(|w| w.borrow().upgrade());
    world.filter(|w| w.machine.has_gpu).map_or(Id::NIL, |w| super::metal::device(&w))
}

unsafe extern "C" fn object_get_class_name(id: Id) -> *const c_char {
    // SAFETY: the caller gives an object of ours.
    match unsafe { referent(id) } {
        // SAFETY: classes live as long as their world.
        Referent::Object(o) | Referent::Dead(o) => unsafe { &*o.class }.table.name.as_ptr(),
        Referent::Class(c) => c.table.name.as_ptr(),
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

/// Does something on a thread of the driver, within a pool.
pub(super) fn on_a_thread(world: &Arc<World>, work: impl FnOnce(&Arc<World>) + Send + 'static) {
    world.begun();
    let world = world.clone();
    crate::sync::thread::spawn(move || {
        // SAFETY: it is popped below, on this thread.
        let pool = unsafe { objc_autorelease_pool_push() };
        work(&world);
        // SAFETY: it was pushed above.
        unsafe { objc_autorelease_pool_pop(pool) };
        world.ended();
    });
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
    let selector = unsafe { selector_text(selector) };
    let message = || {
        let sign = if to_class { '+' } else { '-' };
        format!("{sign}[{} {}]", class.name(), selector.to_string_lossy())
    };
    let found = world.classes.method(class, to_class, selector);
    let method = found.unwrap_or_else(|| panic!("unrecognized selector {}", message()));
    method.imp.unwrap_or_else(|| panic!("the fake does not implement {}", message()))
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
        object_get_class,
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
        mtl_create_system_default_device,
        mach_task_self: surface::mach_task_self,
        mach_port_deallocate: surface::mach_port_deallocate,
    }
}
