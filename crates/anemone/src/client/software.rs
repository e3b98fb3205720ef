//! A request of the software engine.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use anemone_kernels::memory::Buffer;
use smallvec::SmallVec;

use super::engine::{Loaded, Running};
use super::sync::AtomicBool;
use super::workers::Workers;
use crate::device::{self, States};
use crate::error::Error;
use crate::plan::{Arena, Plan};
use crate::surface::{Port, ReadGuard, Surface, TensorLayout, WriteGuard, gather, scatter};
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
    /// What runs of the program's plan work in, if it has one.
    memory: Option<Mutex<Memory>>,
}

/// The memory of runs: allocated once.
#[derive(Debug)]
struct Memory {
    arena: Arena,
    /// The elements of inputs, and of outputs, without the padding that their surfaces have; empty where there is none.
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

impl Memory {
    fn new(plan: &Plan, loaded: &Loaded) -> Self {
        let staged = |ports: &[Port]| {
            let bytes = |l: &TensorLayout| if l.is_dense() { 0 } else { l.logical_bytes() };
            ports.iter().map(|p| Buffer::zeroed(bytes(&p.layout))).collect()
        };
        Self { arena: plan.arena(), inputs: staged(loaded.inputs()), outputs: staged(loaded.outputs()) }
    }
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
        let memory = model.plan().map(|plan| Mutex::new(Memory::new(plan, loaded)));
        Ok(Self { loaded: loaded.clone(), inputs, outputs, states, runs: AtomicBool::new(false), memory })
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
    inputs: SmallVec<[ReadGuard; 4]>,
    outputs: SmallVec<[WriteGuard; 4]>,
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
        let model = self.turn.0.engine().0;
        match (model.plan(), &self.turn.0.memory) {
            (Some(plan), Some(memory)) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let loaded = &self.turn.0.loaded;
                planned(plan, model.threads(), &mut memory, loaded, &self.inputs, &mut self.outputs)
            }
            _ => self.step_by_step(),
        }
    }

    /// Runs a program whose shapes are not all known, or that has states.
    fn step_by_step(&mut self) -> Result<(), Error> {
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

/// Runs the plan on the surfaces themselves, but for those that have padding. Nothing is allocated.
fn planned(
    plan: &Plan,
    threads: usize,
    memory: &mut Memory,
    loaded: &Loaded,
    inputs: &[ReadGuard],
    outputs: &mut [WriteGuard],
) -> Result<(), Error> {
    let Memory { arena, inputs: staged_inputs, outputs: staged_outputs } = memory;
    let given: SmallVec<[&[u8]; 8]> = loaded
        .inputs()
        .iter()
        .zip(inputs)
        .zip(staged_inputs)
        .map(|((port, held), staged)| {
            if port.layout.is_dense() {
                return &held[..port.layout.logical_bytes()];
            }
            gather(held, &port.layout, 0..port.layout.channels, staged.bytes_mut());
            staged.bytes()
        })
        .collect();
    let mut results: SmallVec<[&mut [u8]; 8]> = loaded
        .outputs()
        .iter()
        .zip(&mut *outputs)
        .zip(&mut *staged_outputs)
        .map(|((port, held), staged)| match port.layout.is_dense() {
            true => &mut held[..port.layout.logical_bytes()],
            false => staged.bytes_mut(),
        })
        .collect();
    let ran = plan.run(arena, &given, &mut results, threads);
    drop(results);
    ran?;
    for ((port, held), staged) in loaded.outputs().iter().zip(outputs).zip(staged_outputs) {
        if !port.layout.is_dense() {
            scatter(held, &port.layout, 0..port.layout.channels, staged.bytes());
        }
    }
    Ok(())
}
