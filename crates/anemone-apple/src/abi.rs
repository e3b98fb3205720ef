//! The seam: every C function through which this crate reaches Apple.
//!
//! [`Abi`] is filled by [`Abi::system`] from the system's libraries, or by the fake. Everything above it is the same
//! code in both cases, and has no `cfg` of a target.

use std::ffi::{c_char, c_void};

/// An Objective-C object or class; null is nil.
///
/// ```
/// use anemone_apple::Id;
/// assert!(Id::NIL.is_nil());
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(pub *mut c_void);

impl Id {
    /// No object.
    pub const NIL: Id = Id(std::ptr::null_mut());

    /// Whether there is no object.
    pub fn is_nil(self) -> bool {
        self.0.is_null()
    }
}

/// An Objective-C class; null when there is none.
///
/// ```
/// use anemone_apple::Class;
/// assert!(Class(std::ptr::null_mut()).id().is_nil());
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(pub *mut c_void);

impl Class {
    /// The class as the receiver of a message.
    pub fn id(self) -> Id {
        Id(self.0)
    }
}

/// A registered selector.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// fake.raw(|abi| {
///     // SAFETY: a name that ends with a zero; selectors live for ever.
///     let key: anemone_apple::Sel = unsafe { (abi.sel_register_name)(c"key".as_ptr()) };
///     assert!(!key.0.is_null());
/// });
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sel(pub *const c_void);

/// A method of a class; null when there is none.
///
/// ```
/// use anemone_apple::Sel;
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// fake.raw(|abi| unsafe {
///     // SAFETY: names that end with a zero, a class that there is.
///     let class = (abi.objc_get_class)(c"_ANEModel".as_ptr());
///     let none: Sel = (abi.sel_register_name)(c"noSuchMessage".as_ptr());
///     assert!((abi.class_get_instance_method)(class, none).0.is_null());
/// });
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(pub *const c_void);

/// A function that carries out a message. It is cast to its exact prototype before it is called: on Apple's arm64
/// variadic arguments are passed otherwise than fixed ones.
///
/// ```
/// use anemone_apple::{Id, Imp, Sel, encoding::Arguments};
/// unsafe extern "C" fn double(_: Id, _: Sel, n: i64) -> i64 {
///     2 * n
/// }
/// let imp: Imp = <(i64,)>::erase::<i64>(double);
/// // SAFETY: it has this prototype, and looks at neither receiver nor selector.
/// assert_eq!(unsafe { (21,).call::<i64>(imp, Id::NIL, Sel(std::ptr::null())) }, 42);
/// ```
pub type Imp = unsafe extern "C" fn();

/// An `IOSurfaceRef`.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// fake.raw(|abi| {
///     // SAFETY: any number may be asked for.
///     let none: anemone_apple::SurfaceRef = unsafe { (abi.io_surface_lookup)(0) };
///     assert!(none.0.is_null());
/// });
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SurfaceRef(pub *mut c_void);

/// Objective-C's `BOOL` on arm64. It is a byte, and not Rust's `bool`, since only zero and not zero are promised.
///
/// ```
/// use anemone_apple::Bool;
/// assert!(Bool::YES.get() && !Bool::NO.get() && Bool(2).get());
/// assert_eq!(Bool::from(true), Bool::YES);
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bool(pub u8);

impl Bool {
    /// `NO`.
    pub const NO: Bool = Bool(0);
    /// `YES`.
    pub const YES: Bool = Bool(1);

    /// Whether it is not `NO`.
    pub fn get(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Bool {
    fn from(b: bool) -> Self {
        Bool(u8::from(b))
    }
}

/// Every C function through which this crate reaches Apple.
///
/// The names are those of the C functions; see Apple's documentation of the Objective-C runtime and of IOSurface.
///
/// ```
/// use anemone_apple::{Abi, Framework};
/// # #[cfg(not(target_vendor = "apple"))]
/// assert!(Abi::system().is_err()); // off a Mac
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let framework = fake.raw(|abi| Framework::over(abi, None))?;
/// // SAFETY: it takes nothing, and gives a number.
/// assert_ne!(unsafe { (framework.abi().mach_task_self)() }, 0);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Abi {
    // The Objective-C runtime.
    pub objc_get_class: unsafe extern "C" fn(*const c_char) -> Class,
    pub sel_register_name: unsafe extern "C" fn(*const c_char) -> Sel,
    pub class_get_class_method: unsafe extern "C" fn(Class, Sel) -> Method,
    pub class_get_instance_method: unsafe extern "C" fn(Class, Sel) -> Method,
    pub method_get_type_encoding: unsafe extern "C" fn(Method) -> *const c_char,
    pub object_get_class: unsafe extern "C" fn(Id) -> Class,
    pub object_get_class_name: unsafe extern "C" fn(Id) -> *const c_char,
    pub objc_retain: unsafe extern "C" fn(Id) -> Id,
    pub objc_release: unsafe extern "C" fn(Id),
    pub objc_autorelease_pool_push: unsafe extern "C" fn() -> *mut c_void,
    pub objc_autorelease_pool_pop: unsafe extern "C" fn(*mut c_void),
    /// What carries out a message to this receiver. Apple's is `objc_msgSend`, whatever is asked; the fake's is the
    /// method itself, so that an interpreter such as Miri compares prototypes at every call.
    pub lookup: unsafe extern "C" fn(Id, Sel) -> Imp,
    /// The class of a block on the stack, `_NSConcreteStackBlock`.
    pub stack_block: *const c_void,

    // CoreFoundation.
    pub cf_retain: unsafe extern "C" fn(*const c_void) -> *const c_void,
    pub cf_release: unsafe extern "C" fn(*const c_void),

    // IOSurface.
    pub io_surface_create: unsafe extern "C" fn(Id) -> SurfaceRef,
    pub io_surface_lock: unsafe extern "C" fn(SurfaceRef, u32, *mut u32) -> i32,
    pub io_surface_unlock: unsafe extern "C" fn(SurfaceRef, u32, *mut u32) -> i32,
    pub io_surface_get_base_address: unsafe extern "C" fn(SurfaceRef) -> *mut c_void,
    pub io_surface_get_alloc_size: unsafe extern "C" fn(SurfaceRef) -> usize,
    pub io_surface_get_id: unsafe extern "C" fn(SurfaceRef) -> u32,
    pub io_surface_lookup: unsafe extern "C" fn(u32) -> SurfaceRef,
    pub io_surface_create_mach_port: unsafe extern "C" fn(SurfaceRef) -> u32,
    pub io_surface_lookup_from_mach_port: unsafe extern "C" fn(u32) -> SurfaceRef,

    // Metal. What has no such library gives nil.
    pub mtl_create_system_default_device: unsafe extern "C" fn() -> Id,

    // Mach.
    pub mach_task_self: unsafe extern "C" fn() -> u32,
    pub mach_port_deallocate: unsafe extern "C" fn(u32, u32) -> i32,
}

// SAFETY: the fields are functions that any thread may call, and the address of a constant of the system.
unsafe impl Send for Abi {}
// SAFETY: as above; nothing is written through them.
unsafe impl Sync for Abi {}

impl std::fmt::Debug for Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Abi")
    }
}
