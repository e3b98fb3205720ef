//! The threads of the software engine: they run what nobody waits for.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};

use super::sync::{Condvar, Mutex, lock, thread};

/// What a thread is to do.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that do jobs in the order in which they come.
///
/// One is started when there is a job and no thread is idle, until there are as many as the machine has processors. They
/// are not those of the kernels, which a waiting job would take from others. They end when the last that has the
/// workers is dropped.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    limit: usize,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// How many threads wait for a job.
    idle: usize,
    threads: Vec<thread::JoinHandle<()>>,
    closed: bool,
}

impl Workers {
    pub(super) fn new() -> Self {
        // Loom's orders are the same on every machine.
        let processors =
            if cfg!(loom) { 2 } else { std::thread::available_parallelism().map_or(1, usize::from) };
        Self::at_most(processors)
    }

    fn at_most(limit: usize) -> Self {
        let shared = Shared { state: Mutex::default(), work: Condvar::new() };
        Self { shared: Arc::new(shared), limit }
    }

    /// Has a job done; it is dropped when there is no thread for it.
    pub(super) fn submit(&self, job: Job) {
        let mut state = lock(&self.shared.state);
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads.len() < self.limit {
            let shared = self.shared.clone();
            let thread = thread::Builder::new().name("anemone evaluation".into());
            match thread.spawn(move || shared.work()) {
                Ok(handle) => state.threads.push(handle),
                Err(_) if state.threads.is_empty() => {
                    let job = state.jobs.pop_back();
                    // What the job lets go of may come back here.
                    drop(state);
                    drop(job);
                    return;
                }
                // Those that there are will come to it.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.work.notify_one();
    }
}

#[cfg(test)]
impl Workers {
    /// Workers without threads: a test does the jobs.
    pub(super) fn without_threads() -> Self {
        Self::at_most(0)
    }

    /// How many jobs there are to do.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.shared.state).jobs.len()
    }

    /// Does one of them.
    pub(super) fn step(&self, which: usize) {
        let job = lock(&self.shared.state).jobs.remove(which);
        job.expect("there is such a job")();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever wants to know of a panic has caught it before.
                let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
                state = lock(&self.state);
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Drop for Workers {
    /// Waits for the threads, which are idle: a job has what it runs on, and that has the workers.
    fn drop(&mut self) {
        let threads = {
            let mut state = lock(&self.shared.state);
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.shared.work.notify_all();
        let own = thread::current().id();
        for thread in threads {
            // The last may be let go by a job.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("limit", &self.limit).finish_non_exhaustive()
    }
}
