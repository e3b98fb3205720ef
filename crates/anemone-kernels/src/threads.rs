//! Work on several threads.
//!
//! Threads come from rayon's global pool, which starts when the first kernel asks for more than one. The calling
//! thread works too. Which thread gets which items is a matter of chance, so that a kernel must compute each item
//! alone: then its bits are the same for every number of threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads this machine runs at the same time.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Calls `work` with ranges that together are `0..items`, on at most `threads` threads.
///
/// A range has at least `grain` items, but for the last. With one thread, or not more than one grain of items,
/// everything runs here and now.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let sum = AtomicUsize::new(0);
/// anemone_kernels::threads::parallel_for(2, 1000, 10, |range| {
///     sum.fetch_add(range.sum(), Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 999 * 1000 / 2);
/// ```
pub fn parallel_for(threads: usize, items: usize, grain: usize, work: impl Fn(Range<usize>) + Sync) {
    let grain = grain.max(1);
    let workers = threads.min(items.div_ceil(grain));
    if workers <= 1 {
        if items > 0 {
            work(0..items);
        }
        return;
    }
    // A few ranges for each thread: enough to even out threads of different speed, not so many that taking them
    // costs.
    let step = items.div_ceil(workers * 4).max(grain);
    let next = AtomicUsize::new(0);
    let take_all = || {
        loop {
            let start = next.fetch_add(step, Ordering::Relaxed);
            if start >= items {
                return;
            }
            work(start..items.min(start + step));
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|_| take_all());
        }
        take_all();
    });
}

/// Cuts `data` into chunks of `chunk` elements (the last may be shorter) and calls `work` with the index of each and
/// the chunk, on at most `threads` threads, at least `grain` chunks at a time.
///
/// # Panics
///
/// When `chunk` is 0.
///
/// ```
/// let mut data = [0; 7];
/// anemone_kernels::threads::parallel_chunks(2, &mut data, 3, 1, |i, chunk| chunk.fill(i));
/// assert_eq!(data, [0, 0, 0, 1, 1, 1, 2]);
/// ```
pub fn parallel_chunks<T: Send>(
    threads: usize,
    data: &mut [T],
    chunk: usize,
    grain: usize,
    work: impl Fn(usize, &mut [T]) + Sync,
) {
    assert!(chunk > 0, "a chunk has elements");
    let len = data.len();
    let shared = Shared::new(data);
    parallel_for(threads, len.div_ceil(chunk), grain, |range| {
        for i in range {
            let start = i * chunk;
            // SAFETY: chunks with different indices do not overlap, and each index is in one range only.
            work(i, unsafe { shared.slice(start..len.min(start + chunk)) });
        }
    });
}

/// A slice that several threads write to, each its own elements.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    data: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: a `Shared` gives out mutable slices only through `slice`, whose callers promise
// that no element is reached by two threads; so sharing it sends elements to other threads, no more.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), data: std::marker::PhantomData }
    }

    /// These elements, to write.
    ///
    /// # Safety
    ///
    /// While the slice lives, no other reference to any of its elements may be made.
    ///
    /// # Panics
    ///
    /// When the range lies outside.
    #[allow(clippy::mut_from_ref)] // The caller promises what the borrow checker cannot see.
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a thread writes within the result");
        // SAFETY: the range lies within the slice that `new` borrowed for `'a`; the caller promises that nothing
        // else refers to its elements.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_visited_once() {
        for threads in [0, 1, 2, 3, 8] {
            for items in [0, 1, 2, 7, 100, 1001] {
                for grain in [0, 1, 3, 64, 5000] {
                    let seen: Vec<_> = (0..items).map(|_| AtomicUsize::new(0)).collect();
                    parallel_for(threads, items, grain, |range| {
                        for i in range {
                            seen[i].fetch_add(1, Ordering::Relaxed);
                        }
                    });
                    assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == 1), "{threads} {items} {grain}");
                }
            }
        }
    }

    #[test]
    fn kernels_may_be_called_from_kernels() {
        let sum = AtomicUsize::new(0);
        parallel_for(4, 8, 1, |outer| {
            for _ in outer {
                parallel_for(4, 8, 1, |inner| {
                    sum.fetch_add(inner.len(), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(sum.into_inner(), 64);
    }
}
