//! What threads share and hand over: the standard library's, or loom's, which tries every order in which threads may
//! meet (`cargo xtask loom`).

#[cfg(loom)]
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(loom)]
pub(super) use loom::thread;

#[cfg(not(loom))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool};
#[cfg(not(loom))]
pub(super) use std::thread;

use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Locks. What we keep behind a lock is whole at every point at which a panic may unwind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `ready` gives something, for ever or so long.
pub(super) fn wait_until<T, R>(
    mutex: &Mutex<T>,
    changed: &Condvar,
    time: Option<Duration>,
    mut ready: impl FnMut(&mut T) -> Option<R>,
) -> Option<R> {
    let begin = Instant::now();
    let mut state = lock(mutex);
    loop {
        if let Some(found) = ready(&mut state) {
            return Some(found);
        }
        state = match time.map(|t| t.saturating_sub(begin.elapsed())) {
            Some(Duration::ZERO) => return None,
            Some(left) => changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}
