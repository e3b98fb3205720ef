//! The seam on a Mac: functions found in the system's libraries when they are needed.
//!
//! Nothing is linked: a binary that uses this crate starts on any macOS, and on other systems.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use libloading::Library;

use crate::abi::{Abi, Id, Imp, Sel};
use crate::error::Error;

/// A library that the path to the engine needs.
///
/// ```
/// use anemone_apple::{LIBRARIES, SystemLibrary};
/// let SystemLibrary { name, path, purpose } = LIBRARIES[0];
/// assert_eq!(name, "AppleNeuralEngine");
/// println!("{path}: {purpose}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemLibrary {
    /// Its name.
    pub name: &'static str,
    /// Where the loader finds it. Private frameworks live in the shared cache: the path can be opened although no
    /// file is there.
    pub path: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// The libraries, the engine's own first.
///
/// ```
/// for library in anemone_apple::LIBRARIES {
///     println!("{}: {}", library.name, library.purpose);
/// }
/// ```
pub const LIBRARIES: [SystemLibrary; 5] = [
    SystemLibrary {
        name: "AppleNeuralEngine",
        path: "/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine",
        purpose: "compiles, loads and runs programs",
    },
    SystemLibrary {
        name: "IOSurface",
        path: "/System/Library/Frameworks/IOSurface.framework/IOSurface",
        purpose: "holds inputs and outputs",
    },
    SystemLibrary {
        name: "Foundation",
        path: "/System/Library/Frameworks/Foundation.framework/Foundation",
        purpose: "carries arguments and errors",
    },
    SystemLibrary {
        name: "CoreFoundation",
        path: "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
        purpose: "counts references",
    },
    SystemLibrary { name: "libobjc", path: "/usr/lib/libobjc.A.dylib", purpose: "sends messages" },
];

/// `libSystem`, which every process has.
const SYSTEM: SystemLibrary =
    SystemLibrary { name: "libSystem", path: "/usr/lib/libSystem.B.dylib", purpose: "ports and blocks" };

/// What a pipeline with the GPU needs.
const METAL: SystemLibrary = SystemLibrary {
    name: "Metal",
    path: "/System/Library/Frameworks/Metal.framework/Metal",
    purpose: "shares events with the GPU",
};

/// What was found of one library.
///
/// ```
/// use anemone_apple::{Probe, probe};
/// for Probe { library, error } in probe() {
///     println!("{}: {}", library.name, error.as_deref().unwrap_or("opens"));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The library.
    pub library: SystemLibrary,
    /// Why it could not be opened, in the loader's words; `None` if it could.
    pub error: Option<String>,
}

/// Opens each of [`LIBRARIES`] and says what came of it.
///
/// ```
/// let probes = anemone_apple::probe();
/// assert_eq!(probes.len(), anemone_apple::LIBRARIES.len());
/// # #[cfg(not(target_vendor = "apple"))]
/// assert!(probes.iter().all(|p| p.error.is_some()));
/// ```
pub fn probe() -> Vec<Probe> {
    LIBRARIES
        .into_iter()
        .map(|library| Probe { library, error: open(library).err().map(|e| e.to_string()) })
        .collect()
}

fn open(library: SystemLibrary) -> Result<Library, Error> {
    if cfg!(miri) {
        let reason = "the interpreter opens no libraries".into();
        return Err(Error::NoFramework { library: library.name, reason });
    }
    // SAFETY: loading a library runs its initialisers. The paths are constants that lie in the sealed system volume
    // or the shared cache of macOS, whose libraries are meant to be loaded by any process; on other systems there is
    // nothing at these paths.
    unsafe { Library::new(library.path) }
        .map_err(|e| Error::NoFramework { library: library.name, reason: e.to_string() })
}

/// The address of a symbol. The library stays open for the rest of the process.
fn symbol(library: SystemLibrary, name: &CStr) -> Result<*mut c_void, Error> {
    // Libraries of the system cannot be unloaded; what is counted here is never given back.
    let open = std::mem::ManuallyDrop::new(open(library)?);
    let missing = |e: libloading::Error| Error::NoFramework { library: library.name, reason: e.to_string() };
    // SAFETY: only the address is taken; it is cast to the function's type where it is stored.
    let found = unsafe { open.get::<*mut c_void>(name.to_bytes_with_nul()) }.map_err(missing)?;
    // SAFETY: the address of the symbol itself is wanted, and the library stays open.
    let address = unsafe { found.try_as_raw_ptr() };
    address
        .filter(|p| !p.is_null())
        .ok_or_else(|| Error::NoFramework { library: library.name, reason: format!("it has no {name:?}") })
}

/// A function of a library, by its C name, as the type of the field it is for.
macro_rules! function {
    ($library:expr, $name:literal) => {{
        let address = symbol($library, $name)?;
        #[allow(clippy::missing_transmute_annotations, reason = "the field states the type")]
        // SAFETY: the symbol is the C function of this name, whose prototype Apple documents as the field's type.
        let function = unsafe { std::mem::transmute::<*mut c_void, _>(address) };
        function
    }};
}

static OBJC_MSG_SEND: OnceLock<Imp> = OnceLock::new();

/// Whatever is asked for, `objc_msgSend` finds it.
unsafe extern "C" fn objc_msg_send(_: Id, _: Sel) -> Imp {
    *OBJC_MSG_SEND.get().expect("it is set before the Abi is made")
}

impl Abi {
    /// Finds every function in the libraries of this Mac.
    ///
    /// # Errors
    ///
    /// [`Error::NoFramework`] with the first library or function that is missing.
    pub fn system() -> Result<Self, Error> {
        let [ane, surface, foundation, core, objc] = LIBRARIES;
        // Their classes are registered when they are loaded; none of their functions is called.
        std::mem::forget(open(ane)?);
        std::mem::forget(open(foundation)?);
        let send: Imp = function!(objc, c"objc_msgSend");
        let _ = OBJC_MSG_SEND.set(send);
        Ok(Self {
            objc_get_class: function!(objc, c"objc_getClass"),
            sel_register_name: function!(objc, c"sel_registerName"),
            class_get_class_method: function!(objc, c"class_getClassMethod"),
            class_get_instance_method: function!(objc, c"class_getInstanceMethod"),
            method_get_type_encoding: function!(objc, c"method_getTypeEncoding"),
            object_get_class: function!(objc, c"object_getClass"),
            object_get_class_name: function!(objc, c"object_getClassName"),
            objc_retain: function!(objc, c"objc_retain"),
            objc_release: function!(objc, c"objc_release"),
            objc_autorelease_pool_push: function!(objc, c"objc_autoreleasePoolPush"),
            objc_autorelease_pool_pop: function!(objc, c"objc_autoreleasePoolPop"),
            lookup: objc_msg_send,
            stack_block: symbol(SYSTEM, c"_NSConcreteStackBlock")?,
            cf_retain: function!(core, c"CFRetain"),
            cf_release: function!(core, c"CFRelease"),
            io_surface_create: function!(surface, c"IOSurfaceCreate"),
            io_surface_lock: function!(surface, c"IOSurfaceLock"),
            io_surface_unlock: function!(surface, c"IOSurfaceUnlock"),
            io_surface_get_base_address: function!(surface, c"IOSurfaceGetBaseAddress"),
            io_surface_get_alloc_size: function!(surface, c"IOSurfaceGetAllocSize"),
            io_surface_get_id: function!(surface, c"IOSurfaceGetID"),
            io_surface_lookup: function!(surface, c"IOSurfaceLookup"),
            io_surface_create_mach_port: function!(surface, c"IOSurfaceCreateMachPort"),
            io_surface_lookup_from_mach_port: function!(surface, c"IOSurfaceLookupFromMachPort"),
            mtl_create_system_default_device,
            mach_task_self,
            mach_port_deallocate: function!(SYSTEM, c"mach_port_deallocate"),
        })
    }
}

/// Metal is loaded by those who ask for it: opening it takes time.
unsafe extern "C" fn mtl_create_system_default_device() -> Id {
    static CREATE: OnceLock<Option<unsafe extern "C" fn() -> Id>> = OnceLock::new();
    let create = CREATE.get_or_init(|| {
        let address = symbol(METAL, c"MTLCreateSystemDefaultDevice").ok()?;
        // SAFETY: the symbol is the C function of this name, which Apple documents so.
        Some(unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> Id>(address) })
    });
    // SAFETY: the function needs nothing.
    create.map_or(Id::NIL, |create| unsafe { create() })
}

/// C's `mach_task_self()` is a macro that reads a variable.
unsafe extern "C" fn mach_task_self() -> u32 {
    static TASK: OnceLock<u32> = OnceLock::new();
    *TASK.get_or_init(|| {
        symbol(SYSTEM, c"mach_task_self_")
            // SAFETY: the symbol is a variable of type mach_port_t that is set before the process starts.
            .map_or(0, |address| unsafe { *address.cast::<u32>() })
    })
}
