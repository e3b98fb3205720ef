//! Memory that is needed while something runs.
//!
//! Fresh memory costs a page fault for every 4 KiB, which for small layers is more than their arithmetic. So each
//! thread keeps the few buffers that it used last.
//!
//! ```
//! use anemone_kernels::scratch::scratch;
//! let place = scratch::<f32>(1000).as_ptr();
//! assert_eq!(scratch::<f32>(900).as_ptr(), place, "the memory of the first is used again");
//! ```

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;

use crate::memory::Buffer;

/// How many buffers a thread keeps.
const KEPT: usize = 8;

/// Larger buffers than this many bytes are given back to the system.
const LARGEST_KEPT: usize = 64 << 20;

thread_local! {
    static FREE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Some elements to work on; dropping them gives them back to the thread.
///
/// ```
/// use anemone_kernels::scratch::{Scratch, scratch};
/// let mut halves: Scratch<u16> = scratch(4); // holds anything
/// halves.fill(0);
/// assert_eq!(halves.len(), 4);
/// ```
pub struct Scratch<T> {
    buffer: Buffer,
    len: usize,
    elements: PhantomData<T>,
}

/// Floats to work on.
pub(crate) type Floats = Scratch<f32>;

/// `len` floats that hold anything.
pub(crate) fn floats(len: usize) -> Floats {
    scratch(len)
}

/// `len` elements that hold anything.
///
/// ```
/// let mut sums = anemone_kernels::scratch::scratch::<f64>(3);
/// sums.fill(0.0);
/// assert_eq!(*sums, [0.0; 3]);
/// ```
///
/// # Panics
///
/// When so many elements do not fit into memory.
pub fn scratch<T: Pod>(len: usize) -> Scratch<T> {
    let bytes = len.checked_mul(size_of::<T>()).expect("scratch memory is a part of what the tensors take");
    let buffer = if bytes == 0 { Buffer::default() } else { taken(bytes) };
    Scratch { buffer, len, elements: PhantomData }
}

/// The smallest kept buffer of at least so many bytes, or a new one.
fn taken(bytes: usize) -> Buffer {
    let kept = FREE.with_borrow_mut(|free| {
        let fitting = (0..free.len()).filter(|&i| free[i].len() >= bytes);
        fitting.min_by_key(|&i| free[i].len()).map(|i| free.swap_remove(i))
    });
    kept.unwrap_or_else(|| Buffer::zeroed(bytes.next_multiple_of(4096)))
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.buffer.bytes()[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.buffer.bytes_mut()[..self.len * size_of::<T>()])
    }
}

impl<T> Drop for Scratch<T> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() || buffer.len() > LARGEST_KEPT {
            return;
        }
        // While a thread ends its kept buffers are gone already, and this one simply goes too.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            free.push(buffer);
            if free.len() > KEPT
                && let Some(smallest) = (0..free.len()).min_by_key(|&i| free[i].len())
            {
                free.swap_remove(smallest);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_its_memory_again() {
        let first = scratch::<u16>(5000);
        let place = first.as_ptr() as usize;
        drop(first);
        let second = scratch::<f64>(100);
        assert_eq!((second.as_ptr() as usize, second.len()), (place, 100));
        let third = scratch::<u8>(1);
        assert_ne!(third.as_ptr() as usize, place, "what is in use is not given again");
        assert!(scratch::<f32>(0).is_empty());
    }
}
