//! Allocations, told apart by the side of the seam on which they are made.
//!
//! A counting allocator counts for each thread. The functions of the seam through which a run of a request goes are
//! wrapped, so that while one of them runs the allocations are those of the fake, and else ours.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;

use anemone_apple::{Abi, Bool, Id, Imp, Sel};

struct Counting;

thread_local! {
    /// How deep this thread is below the seam.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static ABOVE: Cell<usize> = const { Cell::new(0) };
    static BELOW: Cell<usize> = const { Cell::new(0) };
    /// The functions of the fake that are wrapped.
    static ABI: Cell<Option<Abi>> = const { Cell::new(None) };
    static EVALUATE: Cell<Option<Imp>> = const { Cell::new(None) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that ends has no counters any more; nobody asks for them.
    let _ = DEPTH.try_with(|depth| {
        let counter = if depth.get() == 0 { &ABOVE } else { &BELOW };
        counter.try_with(|c| c.set(c.get() + 1))
    });
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Does something, and counts what is allocated above the seam on this thread.
pub(crate) fn above<T>(what: impl FnOnce() -> T) -> (T, usize) {
    let before = ABOVE.get();
    let result = what();
    (result, ABOVE.get() - before)
}

/// How much was allocated below the seam on this thread.
pub(crate) fn below() -> usize {
    BELOW.get()
}

/// Goes below the seam for as long as something lasts.
fn cross<T>(what: impl FnOnce(&Abi) -> T) -> T {
    let abi = ABI.get().expect("the functions were wrapped on this thread");
    DEPTH.set(DEPTH.get() + 1);
    let result = what(&abi);
    DEPTH.set(DEPTH.get() - 1);
    result
}

unsafe extern "C" fn push() -> *mut c_void {
    // SAFETY: as the wrapped function asks.
    cross(|abi| unsafe { (abi.objc_autorelease_pool_push)() })
}

unsafe extern "C" fn pop(token: *mut c_void) {
    // SAFETY: as the wrapped function asks.
    cross(|abi| unsafe { (abi.objc_autorelease_pool_pop)(token) })
}

unsafe extern "C" fn lookup(receiver: Id, selector: Sel) -> Imp {
    cross(|abi| {
        // SAFETY: as the wrapped function asks.
        let found = unsafe { (abi.lookup)(receiver, selector) };
        // SAFETY: a C string.
        let evaluating =
            unsafe { (abi.sel_register_name)(c"evaluateWithQoS:options:request:error:".as_ptr()) };
        if selector != evaluating {
            return found;
        }
        EVALUATE.set(Some(found));
        // SAFETY: a function pointer, which is cast back to its type before it is called.
        unsafe { std::mem::transmute::<Evaluate, Imp>(evaluate) }
    })
}

type Evaluate = unsafe extern "C" fn(Id, Sel, u32, Id, Id, *mut Id) -> Bool;

unsafe extern "C" fn evaluate(
    this: Id,
    selector: Sel,
    quality: u32,
    options: Id,
    request: Id,
    error: *mut Id,
) -> Bool {
    let imp = EVALUATE.get().expect("it was looked up");
    // SAFETY: the function that was found for this selector, which has this type.
    let imp = unsafe { std::mem::transmute::<Imp, Evaluate>(imp) };
    // SAFETY: as the wrapped function asks.
    cross(|_| unsafe { imp(this, selector, quality, options, request, error) })
}

/// Functions of a fake, with those wrapped through which a run of a request goes. They are used on this thread.
pub(crate) fn beneath(abi: Abi) -> Abi {
    ABI.set(Some(abi));
    Abi { objc_autorelease_pool_push: push, objc_autorelease_pool_pop: pop, lookup, ..abi }
}
