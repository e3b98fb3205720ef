//! anemone from C. `include/anemone.h` says what each function does; this file is its border, where pointers become slices
//! and panics end.
//!
//! A kernel is a number that looks like a pointer: it is looked up and never followed, so that one that was freed is an
//! error and no access to freed memory.

mod failure;
mod kernels;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use failure::Failure;

/// A kernel, to C: `ane_kernel`. There is none behind a pointer to it.
#[repr(C)]
pub struct Kernel {
    _opaque: [u8; 0],
}

/// A weight file, to C: `ane_weight`.
#[repr(C)]
#[derive(Debug)]
pub struct Weight {
    path: *const c_char,
    data: *const c_void,
    size: usize,
}

/// Does what a function does, and gives its code. A panic ends here: none may cross into C.
fn code(what: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let result = catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Err(Failure::internal(said))
    });
    match result {
        Ok(()) => 0,
        Err(failure) => failure.remember(),
    }
}

/// # Safety
///
/// `text` is NULL, or a text that ends with a zero byte and does not change while the result is used.
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map_err(|e| Failure::argument(format!("{what} is not UTF-8 from byte {} on", e.valid_up_to())))
}

/// # Safety
///
/// `data` is NULL, or `length` elements begin there that do not change while the result is used.
unsafe fn slice<'a, T>(data: *const T, length: usize, what: &str) -> Result<&'a [T], Failure> {
    if length == 0 {
        return Ok(&[]);
    }
    check(data, length, what)?;
    // SAFETY: the caller's promise, and it is not NULL, aligned, and no longer than an object can be.
    Ok(unsafe { std::slice::from_raw_parts(data, length) })
}

/// # Safety
///
/// `data` is NULL, or there is memory for `length` elements, which nobody else reads or writes while the result is used.
unsafe fn slice_mut<'a, T>(
    data: *mut T,
    length: usize,
    what: &str,
) -> Result<&'a mut [MaybeUninit<T>], Failure> {
    if length == 0 {
        return Ok(&mut []);
    }
    check(data, length, what)?;
    // SAFETY: as above; what is there may not have been written yet.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), length) })
}

fn check<T>(data: *const T, length: usize, what: &str) -> Result<(), Failure> {
    if data.is_null() {
        return Err(Failure::null(what));
    }
    if !data.is_aligned() {
        return Err(Failure::argument(format!("{what} does not begin where its elements may")));
    }
    match length.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Failure::argument(format!("{what} has {length} elements, which is more than there can be"))),
    }
}

/// # Safety
///
/// `to` is NULL, or may be written.
unsafe fn put<T>(to: *mut T, value: T, what: &str) -> Result<(), Failure> {
    // SAFETY: the caller's promise.
    let to = unsafe { slice_mut(to, 1, what)? };
    to[0].write(value);
    Ok(())
}

/// The number of a kernel.
fn number(kernel: *mut Kernel) -> Result<usize, Failure> {
    if kernel.is_null() { Err(Failure::null("the kernel")) } else { Ok(kernel.addr()) }
}

/// Opens the engine.
#[unsafe(no_mangle)]
pub extern "C" fn ane_init() -> c_int {
    code(kernels::init)
}

/// Compiles and loads a program.
///
/// # Safety
///
/// The pointers are NULL, or point at what the header says: a place for a kernel, a text, so many weights.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_compile(
    kernel: *mut *mut Kernel,
    mil_text: *const c_char,
    weights: *const Weight,
    weight_count: usize,
) -> c_int {
    code(|| {
        check(kernel, 1, "the place for the kernel")?;
        // SAFETY: the caller's promise.
        let program = unsafe { text(mil_text, "the program's text")? };
        // SAFETY: the caller's promise.
        let weights = unsafe { slice(weights, weight_count, "the list of weights")? };
        let file = |w: &Weight| {
            // SAFETY: the caller's promise, for each of the weights.
            let path = unsafe { text(w.path, "the path of a weight file")? };
            // SAFETY: as above.
            let bytes = unsafe { slice(w.data.cast::<u8>(), w.size, "a weight file")? };
            Ok((path, bytes))
        };
        let files = weights.iter().map(file).collect::<Result<Vec<_>, Failure>>()?;
        let number = kernels::compile(program, &files)?;
        // SAFETY: the caller's promise; it was looked at above, so that nothing is compiled for nobody.
        unsafe { put(kernel, std::ptr::without_provenance_mut(number), "the place for the kernel") }
    })
}

/// Runs a program.
#[unsafe(no_mangle)]
pub extern "C" fn ane_run(kernel: *mut Kernel) -> c_int {
    code(|| kernels::run(number(kernel)?))
}

/// Unloads a program.
#[unsafe(no_mangle)]
pub extern "C" fn ane_free(kernel: *mut Kernel) -> c_int {
    code(|| if kernel.is_null() { Ok(()) } else { kernels::free(number(kernel)?) })
}

/// What the last call of this thread that failed says.
#[unsafe(no_mangle)]
pub extern "C" fn ane_last_error() -> *const c_char {
    failure::last()
}

/// How many inputs there are.
///
/// # Safety
///
/// `count` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_input_count(kernel: *mut Kernel, count: *mut usize) -> c_int {
    code(|| {
        let n = kernels::with(number(kernel)?, |model| Ok(model.num_inputs()))?;
        // SAFETY: the caller's promise.
        unsafe { put(count, n, "the place for the count") }
    })
}

/// How many outputs there are.
///
/// # Safety
///
/// `count` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_output_count(kernel: *mut Kernel, count: *mut usize) -> c_int {
    code(|| {
        let n = kernels::with(number(kernel)?, |model| Ok(model.num_outputs()))?;
        // SAFETY: the caller's promise.
        unsafe { put(count, n, "the place for the count") }
    })
}

/// The bytes of an input.
///
/// # Safety
///
/// `size` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_input_size(kernel: *mut Kernel, input: usize, size: *mut usize) -> c_int {
    code(|| {
        let n = kernels::with(number(kernel)?, |model| Ok(model.input_layout(input)?.logical_bytes()))?;
        // SAFETY: the caller's promise.
        unsafe { put(size, n, "the place for the size") }
    })
}

/// The bytes of an output.
///
/// # Safety
///
/// `size` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_output_size(kernel: *mut Kernel, output: usize, size: *mut usize) -> c_int {
    code(|| {
        let n = kernels::with(number(kernel)?, |model| Ok(model.output_layout(output)?.logical_bytes()))?;
        // SAFETY: the caller's promise.
        unsafe { put(size, n, "the place for the size") }
    })
}

/// Writes an input.
///
/// # Safety
///
/// `data` is NULL, or points at so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_write_input(
    kernel: *mut Kernel,
    input: usize,
    data: *const c_void,
    size: usize,
) -> c_int {
    code(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice(data.cast::<u8>(), size, "the data")? };
        kernels::write(number(kernel)?, input, bytes)
    })
}

/// Reads an output.
///
/// # Safety
///
/// `data` is NULL, or points at memory for so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_read_output(
    kernel: *mut Kernel,
    output: usize,
    data: *mut c_void,
    size: usize,
) -> c_int {
    code(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice_mut(data.cast::<u8>(), size, "the place for the data")? };
        kernels::read(number(kernel)?, output, bytes)
    })
}

/// Writes an input of fp16 or fp32.
///
/// # Safety
///
/// `values` is NULL, or points at so many numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_write_input_f32(
    kernel: *mut Kernel,
    input: usize,
    values: *const f32,
    length: usize,
) -> c_int {
    code(|| {
        // SAFETY: the caller's promise.
        let values = unsafe { slice(values, length, "the values")? };
        kernels::with(number(kernel)?, |model| model.write_input_f32(input, values))
    })
}

/// Reads an output of fp16 or fp32.
///
/// # Safety
///
/// `values` is NULL, or points at memory for so many numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_read_output_f32(
    kernel: *mut Kernel,
    output: usize,
    values: *mut f32,
    length: usize,
) -> c_int {
    code(|| {
        // SAFETY: the caller's promise.
        let values = unsafe { slice_mut(values, length, "the place for the values")? };
        kernels::read_f32(number(kernel)?, output, values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(code(|| panic!("on purpose: {}", 1)), 10);
        // SAFETY: it is a text of this thread, and no call fails meanwhile.
        let said = unsafe { CStr::from_ptr(ane_last_error()) }.to_str().unwrap();
        assert!(said.ends_with("on purpose: 1"), "{said}");
    }
}
