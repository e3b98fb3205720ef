//! Variables that outlive a run.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Tensor;

/// A variable that outlives a run: what a state parameter of a function is bound to. Copies are the same variable.
///
/// A run that writes it in place has it alone: who reads or writes it meanwhile waits for the end of the run.
///
/// ```
/// use anemone::types::{DType, State, Tensor};
/// let state = State::new(Tensor::zeros(DType::Fp16, &[2])?);
/// let same = state.clone();
/// same.write(Tensor::from_f64s(DType::Fp16, &[2], &[1.0, 2.0])?);
/// assert_eq!(state.read().to_f64s(), [1.0, 2.0]);
/// # Ok::<(), anemone::types::TensorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Nothing while a run has it.
    value: Mutex<Option<Tensor>>,
    back: Condvar,
}

impl State {
    /// A variable with this value.
    pub fn new(value: Tensor) -> Self {
        Self(Arc::new(Shared { value: Mutex::new(Some(value)), back: Condvar::new() }))
    }

    /// The value. It is shared until the next run, not copied.
    pub fn read(&self) -> Tensor {
        let held = self.wait();
        held.clone().expect("it was waited for")
    }

    /// Sets the value.
    pub fn write(&self, value: Tensor) {
        *self.wait() = Some(value);
    }

    /// Takes the value, which others wait for until it is given back.
    pub(crate) fn take(&self) -> Tensor {
        self.wait().take().expect("it was waited for")
    }

    /// Gives back a value that was taken.
    pub(crate) fn give_back(&self, value: Tensor) {
        *self.0.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.0.back.notify_all();
    }

    /// A number by which variables are told apart, and can be put in order.
    pub(crate) fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn wait(&self) -> MutexGuard<'_, Option<Tensor>> {
        let held = self.0.value.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.back.wait_while(held, |value| value.is_none()).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::DType;

    #[test]
    fn who_reads_waits_for_what_was_taken() {
        let state = State::new(Tensor::scalar(DType::Int32, 1.0));
        let taken = state.take();
        let reader = std::thread::spawn({
            let state = state.clone();
            move || state.read().to_i64s()
        });
        drop(taken);
        state.give_back(Tensor::scalar(DType::Int32, 2.0));
        assert_eq!(reader.join().unwrap(), [2]);
        assert_eq!(state.place(), state.clone().place());
    }
}
