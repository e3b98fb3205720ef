//! Memory that a kernel needs while it runs.
//!
//! Fresh memory costs a page fault for every 4 KiB, which for small layers is more than their arithmetic. So each
//! thread keeps the few buffers that its last kernels used.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::memory::Buffer;

/// How many buffers a thread keeps.
const KEPT: usize = 6;

/// Larger buffers than this many bytes are given back to the system.
const LARGEST_KEPT: usize = 64 << 20;

thread_local! {
    static FREE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Some floats to work on; dropping them gives them back to the thread.
pub(crate) struct Floats {
    buffer: Buffer,
    len: usize,
}

/// `len` floats that hold anything.
pub(crate) fn floats(len: usize) -> Floats {
    let bytes = len.checked_mul(4).expect("scratch memory is a part of what the tensors take");
    let kept = FREE.with_borrow_mut(|free| {
        let fitting = (0..free.len()).filter(|&i| free[i].len() >= bytes);
        fitting.min_by_key(|&i| free[i].len()).map(|i| free.swap_remove(i))
    });
    Floats { buffer: kept.unwrap_or_else(|| Buffer::zeroed(bytes.next_multiple_of(4096))), len }
}

impl Deref for Floats {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(self.buffer.bytes())[..self.len]
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(self.buffer.bytes_mut())[..self.len]
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        let buffer = std::mem::replace(&mut self.buffer, Buffer::zeroed(0));
        if buffer.len() > LARGEST_KEPT {
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
