//! What holds a thread of the driver up until a test lets it go on.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::object::lock;

/// Holds up whoever comes to it, until it is opened. Copies are one gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A gate that is closed.
    pub fn closed() -> Self {
        Self::default()
    }

    /// A gate that is open.
    pub fn opened() -> Self {
        let gate = Self::default();
        gate.open();
        gate
    }

    /// Opens it, for good.
    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Goes through it, once it is open.
    pub(super) fn pass(&self) {
        let open = lock(&self.0.0);
        drop(self.0.1.wait_while(open, |open| !*open).unwrap_or_else(PoisonError::into_inner));
    }
}
