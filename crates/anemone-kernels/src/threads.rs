//! Work on several threads.
//!
//! Threads belong to one pool of the process, which starts when the first kernel asks for more than one. The calling
//! thread works too. Items fall into as many parts as threads, one behind the other, and each thread begins with the part
//! of its number, so that where kernels divide alike it reads what it wrote itself, from a cache of its own. Who is done
//! takes from the ends of what others have left. Which thread gets which items is so a matter of chance, and a kernel must
//! compute each item alone: then its bits are the same for every number of threads.
//!
//! Handing over costs about a microsecond and allocates nothing: a helper that has just worked looks for more for a while
//! before it sleeps, and lets other threads run meanwhile. Nobody waits for one that does not come: what it has not begun
//! is taken back, and the next time another one is asked. One kernel has the helpers at a time; another one that wants
//! them meanwhile, or one that is called by the work of the first, works alone, which gives the same bits.
//!
//! ```
//! use anemone_kernels::threads::parallel_chunks;
//! let mut squares = [0u64; 100];
//! parallel_chunks(2, &mut squares, 10, 1, |chunk, numbers| {
//!     numbers.iter_mut().enumerate().for_each(|(i, n)| *n = (chunk as u64 * 10 + i as u64).pow(2));
//! });
//! assert_eq!(squares[99], 99 * 99);
//! ```

#[cfg(all(loom, test))]
mod orders;
mod sync;

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sync::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Builder, Ordering, Thread, UnsafeCell, park, spin_loop,
    yield_now,
};

/// How many threads this machine runs at the same time.
///
/// ```
/// assert!(anemone_kernels::threads::available() >= 1);
/// ```
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether each look takes long, or is tried in every order.
const INTERPRETED: bool = cfg!(miri) || cfg!(all(loom, test));

/// How long a helper that has just worked looks for more before it sleeps: longer than what a model does on one thread at a
/// time, since a helper that must be woken comes tens of microseconds later.
const LOOKS: Duration = if INTERPRETED { Duration::ZERO } else { Duration::from_millis(1) };

/// How often who waits looks, which takes some microseconds, before it lets other threads run.
const AT_ONCE: u32 = if INTERPRETED { 2 } else { 1 << 10 };

/// How often it looks from then on, before it lets others run again.
const AGAIN: u32 = AT_ONCE.div_ceil(16);

/// After so many works in a row to which a helper does not come, another one is asked. A single one may have been too small.
const PATIENCE: usize = 3;

/// The most helpers; more threads than this are not of use to any kernel.
const MOST_HELPERS: usize = 63;

/// A function of the number of the thread that works.
type Work<'a> = &'a (dyn Fn(usize) + Sync);

/// What a helper does.
mod state {
    /// It looks whether there is work, or is about to.
    pub(super) const LOOKING: u8 = 0;
    /// It sleeps, and must be woken.
    pub(super) const ASLEEP: u8 = 1;
    /// It has been given work that it has not begun, and that may be taken back.
    pub(super) const GIVEN: u8 = 2;
    /// It works.
    pub(super) const WORKING: u8 = 3;
}

/// A helper, so far from others that what is said to one disturbs no other.
#[repr(align(128))]
struct Helper {
    state: AtomicU8,
    /// Its work, and its number there. Written by who has the pool while the helper looks or sleeps, read while it works.
    work: UnsafeCell<Option<(Work<'static>, usize)>>,
    thread: OnceLock<Thread>,
}

// SAFETY: all but `work` is `Sync`. That is written and read at different times, as is said there, which `state` tells
// apart and orders; what it holds is `Sync`, and so may be sent.
unsafe impl Sync for Helper {}

/// The helpers, and what is left of the part of each thread that works.
struct Pool {
    helpers: Box<[Helper]>,
    left: Box<[Left]>,
    /// The helper that is asked first, and how often in a row not all that were asked have come.
    first: AtomicUsize,
    missed: AtomicUsize,
    /// Whether a kernel has the helpers.
    taken: AtomicBool,
    panicked: AtomicBool,
}

thread_local! {
    /// Whether this thread is doing the work of a kernel, so that it may not ask for helpers.
    static WORKS: Cell<bool> = const { Cell::new(false) };
}

fn pool() -> &'static Pool {
    static POOL: OnceLock<&'static Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        // At least three, so that tests meet several threads also on a small machine, and that one can stand in for another.
        let wanted = available().saturating_sub(1).clamp(3, MOST_HELPERS);
        let pool: &'static Pool = Box::leak(Box::new(Pool::of(wanted)));
        for (i, helper) in pool.helpers.iter().enumerate() {
            let thread = Builder::new().name(format!("anemone-{i}"));
            // Fewer threads than wanted are no fault: what a helper does not begin is done by others.
            if let Ok(thread) = thread.spawn(move || helper.help(&pool.panicked)) {
                let _ = helper.thread.set(thread.thread().clone());
            }
        }
        pool
    })
}

impl Helper {
    /// What a helper does, for ever.
    fn help(&self, panicked: &AtomicBool) {
        WORKS.set(true);
        // One that has not worked yet sleeps at once; and where threads take turns, one that looks keeps others from work.
        let longest = if available() > 1 { LOOKS } else { Duration::ZERO };
        let mut looks = Duration::ZERO;
        loop {
            self.turn(looks, panicked);
            looks = longest;
        }
    }

    /// Waits for work, which it looks for so long before it sleeps, and does it.
    fn turn(&self, looks: Duration, panicked: &AtomicBool) {
        self.wait(looks);
        // SAFETY: this helper works, so that nobody writes; and who gave the work waits for its end.
        if let Some((work, number)) = self.work.with(|given| unsafe { *given })
            && catch_unwind(AssertUnwindSafe(|| work(number))).is_err()
        {
            panicked.store(true, Ordering::Relaxed);
        }
        self.state.store(state::LOOKING, Ordering::Release);
    }

    /// Waits for work, and begins it: looks for it so long, and then sleeps.
    fn wait(&self, looks: Duration) {
        loop {
            let begin = Instant::now();
            let given = || {
                self.state.load(Ordering::Relaxed) == state::GIVEN
                    && self.change(state::GIVEN, state::WORKING)
            };
            if until(given, || begin.elapsed() >= looks) {
                return;
            }
            if self.change(state::LOOKING, state::ASLEEP) {
                while self.state.load(Ordering::Relaxed) == state::ASLEEP {
                    park();
                }
            }
        }
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives it work.
    ///
    /// # Safety
    ///
    /// The caller has the pool, the helper has no work, and `work` lives until [`end`](Self::end) has returned.
    unsafe fn begin(&self, work: Work<'static>, number: usize) {
        // SAFETY: a helper that looks or sleeps does not read it, and nobody else has the pool.
        self.work.with_mut(|given| unsafe { *given = Some((work, number)) });
        if self.state.swap(state::GIVEN, Ordering::AcqRel) == state::ASLEEP
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Takes back what it has not begun, or else waits for the end; says whether it had begun.
    fn end(&self) -> bool {
        if self.change(state::GIVEN, state::LOOKING) {
            return false;
        }
        until(|| self.state.load(Ordering::Acquire) != state::WORKING, || false)
    }
}

/// Looks whether something is so, until it is or has been waited for enough; says which.
fn until(so: impl Fn() -> bool, enough: impl Fn() -> bool) -> bool {
    let mut times = AT_ONCE;
    loop {
        for _ in 0..times {
            if so() {
                return true;
            }
            spin_loop();
        }
        if enough() {
            return false;
        }
        // Who is waited for may be waiting for this processor.
        yield_now();
        times = AGAIN;
    }
}

impl Pool {
    /// So many helpers, which nobody is yet.
    fn of(helpers: usize) -> Self {
        let helper = |_| Helper {
            state: AtomicU8::new(state::LOOKING),
            work: UnsafeCell::new(None),
            thread: OnceLock::new(),
        };
        Self {
            helpers: (0..helpers).map(helper).collect(),
            left: (0..=helpers).map(|_| Left::default()).collect(),
            first: AtomicUsize::new(0),
            missed: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        }
    }

    /// Has `work` done with the number 0 by this thread, and with the next numbers by so many helpers, each of which may come
    /// or not; returns when all that have come have ended. The caller has the pool, and gives it back so.
    fn together(&self, helpers: usize, work: Work<'_>) {
        // SAFETY: only the lifetime is left out; `end` below waits until no helper has the function any more.
        let erased = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        let first = self.first.load(Ordering::Relaxed);
        let asked = || (0..helpers).map(|i| &self.helpers[(first + i) % self.helpers.len()]);
        for (helper, number) in asked().zip(1..) {
            // SAFETY: this thread has the pool, whose helpers had all ended when it was given back; what `work` borrows
            // outlives this call, which neither returns nor unwinds before `end`.
            unsafe { helper.begin(erased, number) };
        }
        WORKS.set(true);
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        WORKS.set(false);
        // Every one is waited for, also behind one that has not come.
        let came = asked().filter(|helper| helper.end()).count() == helpers;
        let missed = if came { 0 } else { self.missed.load(Ordering::Relaxed) + 1 };
        self.missed.store(missed % PATIENCE, Ordering::Relaxed);
        if missed == PATIENCE {
            // It may wait for a processor that others have, even this thread, while another helper would be put elsewhere.
            self.first.store((first + 1) % self.helpers.len(), Ordering::Relaxed);
        }
        let panicked = self.panicked.swap(false, Ordering::Relaxed);
        self.taken.store(false, Ordering::Release);
        match own {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!panicked, "a kernel has panicked on another thread"),
        }
    }
}

/// What is left of a part: its first unit and its end, in the halves of a number.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Left(AtomicU64);

impl Left {
    fn set(&self, units: Range<u32>) {
        self.0.store(u64::from(units.start) | u64::from(units.end) << 32, Ordering::Relaxed);
    }

    /// Takes half of it, or the last unit, from the front or from the end.
    fn take(&self, front: bool) -> Option<Range<u32>> {
        let mut taken = 0..0;
        let after = |left: u64| {
            let (start, end) = (left as u32, (left >> 32) as u32);
            let count = end.checked_sub(start)?.div_ceil(2);
            taken = if front { start..start + count } else { end - count..end };
            let left = if front { start + count..end } else { start..end - count };
            (count > 0).then_some(u64::from(left.start) | u64::from(left.end) << 32)
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        Some(taken)
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
    parallel_ranges(threads, items, grain, |ranges| ranges.for_each(&work));
}

/// As [`parallel_for`] with a grain of 1, and calls `work` once on each thread with the items that come to it, so that what
/// it has made for one item is at hand for those that follow.
pub(crate) fn parallel_tasks(
    threads: usize,
    items: usize,
    work: impl Fn(&mut dyn Iterator<Item = usize>) + Sync,
) {
    parallel_ranges(threads, items, 1, |ranges| work(&mut ranges.flatten()));
}

/// Calls `work` on each thread with the ranges that come to it.
fn parallel_ranges(
    threads: usize,
    items: usize,
    grain: usize,
    work: impl Fn(&mut dyn Iterator<Item = Range<usize>>) + Sync,
) {
    let alone = || work(&mut std::iter::once(0..items).filter(|all| !all.is_empty()));
    // What is divided are units of a grain, which are not more than 32 bits can count.
    let grain = grain.max(1).max(items.div_ceil(u32::MAX as usize));
    let units = items.div_ceil(grain);
    if threads <= 1 || units <= 1 || WORKS.get() {
        return alone();
    }
    let pool = pool();
    if pool.taken.swap(true, Ordering::Acquire) {
        return alone();
    }
    let workers = threads.min(units).min(pool.left.len());
    let left = &pool.left[..workers];
    // The first parts are the larger ones: their threads need not be told.
    let border = |part: usize| (part as u64 * units as u64).div_ceil(workers as u64) as u32;
    left.iter().enumerate().for_each(|(part, left)| left.set(border(part)..border(part + 1)));
    pool.together(workers - 1, &|number| {
        let own = std::iter::from_fn(|| left[number].take(true));
        let others = left[number + 1..].iter().chain(&left[..number]);
        let others = others.flat_map(|other| std::iter::from_fn(|| other.take(false)));
        let items = |units: Range<u32>| units.start as usize * grain..items.min(units.end as usize * grain);
        work(&mut own.chain(others).map(items));
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
    #[inline(always)] // Kernels ask for each row: in front of a call they would lay down all of their vectors.
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
