//! Work on several threads.
//!
//! Threads belong to one pool of the process, which starts when the first kernel asks for more than one. The calling
//! thread works too. Which thread gets which items is a matter of chance, so that a kernel must compute each item
//! alone: then its bits are the same for every number of threads.
//!
//! Handing over costs a few microseconds at most and allocates nothing: helpers that have just worked look for more work
//! for a while before they sleep. One kernel has the helpers at a time; another one that wants them meanwhile, or one
//! that is called by the work of the first, works alone, which gives the same bits.
//!
//! ```
//! use anemone_kernels::threads::parallel_chunks;
//! let mut squares = [0u64; 100];
//! parallel_chunks(2, &mut squares, 10, 1, |chunk, numbers| {
//!     numbers.iter_mut().enumerate().for_each(|(i, n)| *n = (chunk as u64 * 10 + i as u64).pow(2));
//! });
//! assert_eq!(squares[99], 99 * 99);
//! ```

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// How many threads this machine runs at the same time.
///
/// ```
/// assert!(anemone_kernels::threads::available() >= 1);
/// ```
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// How often a helper that has just worked looks for more before it sleeps: some tens of microseconds.
const LOOKS: u32 = if cfg!(miri) { 5 } else { 2_000 };

/// The most helpers; more threads than this are not of use to any kernel.
const MOST_HELPERS: usize = 63;

/// What the helpers do: a function that outlives the work, since its caller waits for all of them.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn() + Sync));

// SAFETY: the function is `Sync`, and the caller keeps it alive until every helper has ended.
unsafe impl Send for Work {}

/// The helpers, and what they are told.
struct Pool {
    helpers: usize,
    /// Whether a kernel has the helpers.
    taken: AtomicBool,
    /// Counts the works; a helper that sees another number than its last has work.
    round: AtomicU32,
    work: Mutex<Option<Work>>,
    /// How many helpers may still join the work of this round, and how many have not ended.
    join: AtomicUsize,
    running: AtomicUsize,
    /// How many helpers look for work at the moment.
    looking: AtomicUsize,
    asleep: Mutex<()>,
    wake: Condvar,
    panicked: AtomicBool,
}

thread_local! {
    /// Whether this thread is doing the work of a kernel, so that it may not ask for helpers.
    static WORKS: Cell<bool> = const { Cell::new(false) };
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<&'static Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        // At least three, so that tests meet several threads also on a small machine; those that are not asked sleep.
        let wanted = available().saturating_sub(1).clamp(3, MOST_HELPERS);
        let pool: &'static Pool = Box::leak(Box::new(Pool {
            helpers: wanted,
            taken: AtomicBool::new(false),
            round: AtomicU32::new(0),
            work: Mutex::new(None),
            join: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            looking: AtomicUsize::new(0),
            asleep: Mutex::new(()),
            wake: Condvar::new(),
            panicked: AtomicBool::new(false),
        }));
        for i in 0..wanted {
            // Fewer threads than wanted are no fault: who does not come is not waited for.
            let _ = std::thread::Builder::new().name(format!("anemone-{i}")).spawn(move || pool.help());
        }
        pool
    })
}

impl Pool {
    /// What a helper does, for ever.
    fn help(&self) {
        WORKS.set(true);
        let (mut seen, mut looks) = (0, 0);
        loop {
            seen = self.next_round(seen, looks);
            looks = 0;
            // A helper that comes too late, or that one too many is, finds no place, and sleeps again.
            if self.join.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| n.checked_sub(1)).is_err() {
                continue;
            }
            looks = LOOKS;
            let work = *self.work.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Work(work)) = work {
                // SAFETY: this helper has a place, and the caller waits until those that have one have ended.
                let work = unsafe { &*work };
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    self.panicked.store(true, Ordering::Relaxed);
                }
            }
            self.running.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits for another round than this one: looks for it so often, and then sleeps.
    fn next_round(&self, seen: u32, looks: u32) -> u32 {
        self.looking.fetch_add(1, Ordering::SeqCst);
        for _ in 0..looks {
            let round = self.round.load(Ordering::Acquire);
            if round != seen {
                self.looking.fetch_sub(1, Ordering::Relaxed);
                return round;
            }
            std::hint::spin_loop();
        }
        let mut asleep = self.asleep.lock().unwrap_or_else(PoisonError::into_inner);
        // From here on whoever has work sees that this helper must be woken, or this helper sees the work.
        self.looking.fetch_sub(1, Ordering::SeqCst);
        loop {
            let round = self.round.load(Ordering::SeqCst);
            if round != seen {
                return round;
            }
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has `work` done by this thread and by up to so many helpers; returns when all of them have ended.
    fn together(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        let free = !WORKS.get()
            && self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !free {
            work();
            return;
        }
        let helpers = helpers.min(self.helpers);
        // SAFETY: only the lifetime is left out; `end` below waits until no helper has the function any more.
        let erased = unsafe {
            std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync + 'static)>(work)
        };
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(Work(erased));
        self.running.store(helpers, Ordering::Relaxed);
        self.join.store(helpers, Ordering::Release);
        self.round.fetch_add(1, Ordering::SeqCst);
        let asleep = helpers.saturating_sub(self.looking.load(Ordering::SeqCst));
        if asleep > 0 {
            // A helper that is about to sleep holds the lock until it waits.
            drop(self.asleep.lock().unwrap_or_else(PoisonError::into_inner));
            (0..asleep).for_each(|_| self.wake.notify_one());
        }
        WORKS.set(true);
        let own = catch_unwind(AssertUnwindSafe(work));
        WORKS.set(false);
        // Who has not come by now need not come: the work is done.
        let absent = self.join.swap(0, Ordering::AcqRel);
        self.running.fetch_sub(absent, Ordering::AcqRel);
        let mut looks = 0;
        while self.running.load(Ordering::Acquire) > 0 {
            looks += 1;
            if looks < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let panicked = self.panicked.swap(false, Ordering::Relaxed);
        self.taken.store(false, Ordering::Release);
        match own {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!panicked, "a kernel has panicked on another thread"),
        }
    }
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
    let workers = if threads <= 1 { 1 } else { threads.min(items.div_ceil(grain)) };
    if workers <= 1 {
        if items > 0 {
            work(0..items);
        }
        return;
    }
    // Large ranges first and small ones last: these even out threads of different speed, and those keep them few.
    let next = AtomicUsize::new(0);
    let take = || {
        let end = |start: usize| start + ((items - start) / (workers * 2)).max(grain).min(items - start);
        let taken = |start| (start < items).then(|| end(start));
        let start = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).ok()?;
        Some(start..end(start))
    };
    pool().together(workers - 1, &|| {
        while let Some(range) = take() {
            work(range);
        }
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
        // An interpreter gets through a few of them.
        let few = cfg!(miri);
        for threads in if few { &[2, 8][..] } else { &[0, 1, 2, 3, 8] } {
            for items in if few { &[0, 7, 100][..] } else { &[0, 1, 2, 7, 100, 1001] } {
                for grain in if few { &[0, 3][..] } else { &[0, 1, 3, 64, 5000] } {
                    let (&threads, &items, &grain) = (threads, items, grain);
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

    #[test]
    fn kernels_of_several_threads_work_beside_each_other() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..if cfg!(miri) { 3 } else { 200 } {
                        let sum = AtomicUsize::new(0);
                        parallel_for(3, 100, 1, |r| {
                            sum.fetch_add(r.sum(), Ordering::Relaxed);
                        });
                        assert_eq!(sum.into_inner(), 4950);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        for _ in 0..if cfg!(miri) { 2 } else { 20 } {
            let result = catch_unwind(|| parallel_for(4, 64, 1, |r| assert!(!r.contains(&33), "on purpose")));
            assert!(result.is_err());
            every_item_is_visited_once();
        }
    }
}
