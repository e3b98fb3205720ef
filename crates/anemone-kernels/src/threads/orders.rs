//! The pool in every order in which its threads may meet.

use std::sync::Arc;

use super::sync::{AtomicBool, AtomicUsize, Ordering, UnsafeCell};
use super::*;

/// Works that are handed to a helper which may be looking, asleep, late or on its way to sleep.
fn check(works: usize, panics: bool) {
    let mut orders = loom::model::Builder::new();
    orders.preemption_bound = Some(3);
    orders.check(move || {
        let pool = Arc::new(Pool::of(1));
        let stop = Arc::new(AtomicBool::new(false));
        let helping = {
            let (pool, stop) = (pool.clone(), stop.clone());
            loom::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    pool.helpers[0].turn(Duration::ZERO, &pool.panicked);
                }
            })
        };
        let _ = pool.helpers[0].thread.set(helping.thread().clone());
        for _ in 0..works {
            // What a work writes belongs to the caller, who reads it as soon as the call has returned.
            let cells = [UnsafeCell::new(0), UnsafeCell::new(0)];
            let cells = Own(&cells);
            let done = AtomicUsize::new(0);
            pool.taken.store(true, Ordering::Relaxed);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.together(1, &|number| {
                    // SAFETY: each number is done once, by one thread, and read behind the end of all.
                    cells.get(number).with_mut(|cell| unsafe { *cell += 1 });
                    done.fetch_add(1, Ordering::Relaxed);
                    assert!(!panics || number == 0, "on purpose");
                });
            }));
            // SAFETY: nobody works any more, or loom says so.
            let counts = [0, 1].map(|number| cells.get(number).with(|cell| unsafe { *cell }));
            assert_eq!(counts[0], 1, "the caller works too");
            assert!(counts[1] <= 1 && done.load(Ordering::Relaxed) == 1 + counts[1]);
            assert_eq!(
                outcome.is_err(),
                panics && counts[1] == 1,
                "a panic is told to the caller whose work it was"
            );
            assert!(!pool.taken.load(Ordering::Relaxed), "the pool is given back");
        }
        let last = {
            let stop = stop.clone();
            Box::new(move |_| stop.store(true, Ordering::Relaxed))
        };
        let last: Work<'_> = &*last;
        // SAFETY: only the lifetime is left out; the helper is joined before what is borrowed ends, and has no work.
        unsafe { pool.helpers[0].begin(std::mem::transmute::<Work<'_>, Work<'static>>(last), 1) };
        helping.join().unwrap();
    });
}

/// Cells of which each thread has its own.
struct Own<'a>(&'a [UnsafeCell<usize>]);

// SAFETY: loom finds two threads that have one cell at the same time.
unsafe impl Sync for Own<'_> {}

impl Own<'_> {
    fn get(&self, number: usize) -> &UnsafeCell<usize> {
        &self.0[number]
    }
}

#[test]
fn a_work_is_done_once_or_taken_back() {
    check(2, false);
}

#[test]
fn a_panic_is_told_to_the_caller_whose_work_it_was() {
    check(2, true);
}

#[test]
fn a_part_is_taken_once_by_two_at_its_ends() {
    loom::model(|| {
        let left = Arc::new(Left::default());
        left.set(3..8);
        let other = {
            let left = left.clone();
            loom::thread::spawn(move || std::iter::from_fn(|| left.take(false)).flatten().collect::<Vec<_>>())
        };
        let mut units: Vec<u32> = std::iter::from_fn(|| left.take(true)).flatten().collect();
        units.extend(other.join().unwrap());
        units.sort_unstable();
        assert_eq!(units, [3, 4, 5, 6, 7]);
    });
}
