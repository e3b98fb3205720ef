//! What a shared event of the software engine is: a value that only grows, and those who wait for it.

use std::sync::Arc;
use std::time::Duration;

use super::sync::{Condvar, Mutex, lock, wait_until};
use crate::error::Error;

/// What is called when a value is reached, or when nobody can raise it so far any more.
pub(super) type Then = Box<dyn FnOnce(bool) + Send>;

/// A value that only grows.
#[derive(Default)]
pub(super) struct Timeline {
    state: Mutex<State>,
    raised: Condvar,
}

#[derive(Default)]
struct State {
    value: u64,
    /// The values that evaluations under way are to signal, from the lowest on.
    promised: Vec<u64>,
    waiting: Vec<(u64, Then)>,
}

impl Timeline {
    pub(super) fn value(&self) -> u64 {
        lock(&self.state).value
    }

    /// Raises the value, unless an evaluation under way is to raise it so far.
    pub(super) fn signal(&self, value: u64) -> Result<(), Error> {
        let state = lock(&self.state);
        if let Some(promised) = state.promised.first().filter(|&&p| p <= value) {
            return Err(Error::Invalid(format!(
                "the event cannot be raised to {value}: an evaluation under way is to signal {promised}"
            )));
        }
        if value < state.value {
            let now = state.value;
            return Err(Error::Invalid(format!("the event cannot be lowered from {now} to {value}")));
        }
        drop(state);
        self.raise(value);
        Ok(())
    }

    /// Raises the value; a lower one is no change.
    fn raise(&self, value: u64) {
        let mut state = lock(&self.state);
        state.value = value.max(state.value);
        let value = state.value;
        let reached: Vec<_> = state.waiting.extract_if(.., |(v, _)| *v <= value).collect();
        drop(state);
        self.raised.notify_all();
        // Called where nothing is locked: they may raise this value, or another.
        reached.into_iter().for_each(|(_, then)| then(true));
    }

    /// Waits until the value is reached, so long; whether it was.
    pub(super) fn wait(&self, value: u64, time: Duration) -> bool {
        wait_until(&self.state, &self.raised, Some(time), |s| (s.value >= value).then_some(())).is_some()
    }

    /// Has something called when the value is reached; now, if it is.
    pub(super) fn when(&self, value: u64, then: Then) {
        let mut state = lock(&self.state);
        if state.value >= value {
            drop(state);
            then(true);
        } else {
            state.waiting.push((value, then));
        }
    }

    /// Tells those who wait that nobody can raise the value any more.
    pub(super) fn abandon(&self) {
        let waiting = std::mem::take(&mut lock(&self.state).waiting);
        waiting.into_iter().for_each(|(_, then)| then(false));
    }

    fn promise(&self, value: u64) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if let Some(other) = state.promised.last().filter(|&&p| p >= value) {
            return Err(Error::Invalid(format!(
                "an evaluation cannot signal {value} of an event of which another one is to signal {other}"
            )));
        }
        let now = state.value;
        if value <= now {
            return Err(Error::Invalid(format!(
                "an evaluation cannot signal {value} of an event that has reached {now}"
            )));
        }
        state.promised.push(value);
        Ok(())
    }

    fn release(&self, value: u64) {
        lock(&self.state).promised.retain(|&p| p != value);
    }
}

impl std::fmt::Debug for Timeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Timeline({})", self.value())
    }
}

/// A timeline that somebody can raise. When the last handle is gone nobody can, and those who wait are told.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) timeline: Arc<Timeline>,
    /// The number by which this process knows it.
    pub(super) port: u32,
}

impl Drop for Handle {
    fn drop(&mut self) {
        super::event::close_port(self.port);
        self.timeline.abandon();
    }
}

/// The value that an evaluation is to signal; until this is kept or dropped nobody else raises the event so far.
#[derive(Debug)]
pub(super) struct Promise {
    event: Arc<Handle>,
    value: u64,
}

impl Promise {
    /// Several evaluations may be under way that signal one event, each a higher value than those before it.
    pub(super) fn new(event: &Arc<Handle>, value: u64) -> Result<Self, Error> {
        event.timeline.promise(value)?;
        Ok(Self { event: event.clone(), value })
    }

    /// Lets others raise the event; it is given back, so that those who wait are not yet told that nobody has it.
    pub(super) fn give_up(self) -> Arc<Handle> {
        self.event.clone()
    }

    /// Signals the value.
    pub(super) fn keep(self) {
        self.event.timeline.release(self.value);
        self.event.timeline.raise(self.value);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.event.timeline.release(self.value);
    }
}
