//! A request of the software engine.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::{Loaded, Running};
use super::sync::AtomicBool;
use super::workers::Workers;
use crate::device::{self, States};
use crate::error::Error;
use crate::surface::{ReadGuard, Surface, WriteGuard, gather, scatter};
use crate::types::Tensor;

/// What the software engine needs to run.
#[derive(Debug)]
pub(super) struct Software {
    loaded: Loaded,
    inputs: Vec<Surface>,
    outputs: Vec<Surface>,
    states: States,
    /// Whether an evaluation is under way.
    runs: AtomicBool,
}

impl Software {
    pub(super) fn new(
        loaded: &Loaded,
        model: &device::Loaded,
        inputs: &[Surface],
        outputs: &[Surface],
    ) -> Result<Self, Error> {
        let states = model.new_states().map_err(|e| Error::Program(e.diagnostic().clone().into()))?;
        let (inputs, outputs) = (inputs.to_vec(), outputs.to_vec());
        Ok(Self { loaded: loaded.clone(), inputs, outputs, states, runs: AtomicBool::new(false) })
    }

    fn engine(&self) -> (&device::Loaded, &Workers) {
        match self.loaded.running() {
            Running::Software { model, workers } => (model, workers),
            Running::Hardware { .. } => {
                unreachable!("a request of the software engine is of a program on it")
            }
        }
    }

    pub(super) fn run(&self) -> Result<(), Error> {
        Taken::new(self)?.run()
    }

    /// Starts an evaluation, and calls `done` when it has ended: exactly once, also when nothing was started. By then the
    /// surfaces are free, and what runs has let go of the request.
    pub(super) fn start(self: &Arc<Self>, done: impl FnOnce(Result<(), Error>) + Send + 'static) {
        let end = End(Some(done));
        match Taken::new(self.clone()) {
            Ok(mut taken) => self.engine().1.submit(Box::new(move || {
                let run = AssertUnwindSafe(|| taken.run());
                let result = std::panic::catch_unwind(run)
                    .unwrap_or_else(|_| Err(Error::of_engine("the software engine has panicked")));
                drop(taken);
                end.tell(result);
            })),
            Err(e) => end.tell(Err(e)),
        }
    }
}

/// Who is to be told of the end of an evaluation, whatever becomes of it.
struct End<D: FnOnce(Result<(), Error>)>(Option<D>);

impl<D: FnOnce(Result<(), Error>)> End<D> {
    fn tell(mut self, result: Result<(), Error>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl<D: FnOnce(Result<(), Error>)> Drop for End<D> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(Error::of_engine("no thread could be started for it")));
        }
    }
}

/// A request that an evaluation has, with its surfaces locked. Dropped, they can be locked again, and the request can be
/// run.
struct Taken<S: Deref<Target = Software>> {
    // Given back before the turn is.
    inputs: Vec<ReadGuard>,
    outputs: Vec<WriteGuard>,
    turn: Turn<S>,
}

/// The turn of an evaluation of a request.
struct Turn<S: Deref<Target = Software>>(S);

impl<S: Deref<Target = Software>> Drop for Turn<S> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Release);
    }
}

impl<S: Deref<Target = Software>> Taken<S> {
    /// What somebody has locked is found before anything is computed.
    fn new(software: S) -> Result<Self, Error> {
        if software.runs.swap(true, Ordering::Acquire) {
            return Err(Error::Surface("the request runs already: wait until it has ended".into()));
        }
        let turn = Turn(software);
        let outputs = turn.0.outputs.iter().map(Surface::lock_mut).collect::<Result<_, _>>()?;
        let inputs = turn.0.inputs.iter().map(Surface::lock).collect::<Result<_, _>>()?;
        Ok(Self { inputs, outputs, turn })
    }

    fn run(&mut self) -> Result<(), Error> {
        let software = &*self.turn.0;
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (port, held) in software.loaded.inputs().iter().zip(&self.inputs) {
            let mut tensor =
                Tensor::zeros(port.dtype, &port.shape).map_err(|e| Error::Surface(e.to_string()))?;
            let elements = tensor.bytes_mut().expect("a new tensor is nobody else's");
            gather(held, &port.layout, 0..port.layout.channels, elements);
            inputs.push((&*port.name, tensor));
        }
        let results = software
            .engine()
            .0
            .run(&inputs, &software.states)
            .map_err(|e| Error::Program(e.diagnostic().clone().into()))?;
        for ((port, held), (_, datum)) in
            software.loaded.outputs().iter().zip(&mut self.outputs).zip(&results)
        {
            let tensor = datum.as_tensor().expect("a port is a tensor");
            scatter(held, &port.layout, 0..port.layout.channels, tensor.bytes());
        }
        Ok(())
    }
}
