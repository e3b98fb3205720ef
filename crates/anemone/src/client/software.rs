//! A request of the software engine.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use anemone_kernels::memory::Buffer;

use super::engine::{Loaded, Running};
use super::sync::AtomicBool;
use super::workers::Workers;
use crate::device::{self, Held, States};
use crate::error::Error;
use crate::faults::{Quirks, Troubled};
use crate::mil::op::recycled;
use crate::plan::{Arena, Plan};
use crate::surface::{Port, ReadGuard, Surface, TensorLayout, WriteGuard, gather, scatter};
use crate::types::{DType, Tensor};

/// What the software engine needs to run.
#[derive(Debug)]
pub(super) struct Software {
    loaded: Loaded,
    pub(super) inputs: Vec<Surface>,
    pub(super) outputs: Vec<Surface>,
    states: States,
    /// Whether an evaluation is under way.
    pub(super) runs: AtomicBool,
    /// Room for the locks of the surfaces, empty between runs.
    pub(super) guards: Mutex<(Vec<ReadGuard>, Vec<WriteGuard>)>,
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
    states: Held,
    rooms: Rooms,
}

/// Room for what a run is given, empty between runs.
#[derive(Debug, Default)]
struct Rooms {
    given: Vec<&'static [u8]>,
    results: Vec<&'static mut [u8]>,
    variables: Vec<&'static mut [u8]>,
}

impl Memory {
    fn new(plan: &Plan, loaded: &Loaded, states: Held) -> Self {
        let staged = |ports: &[Port]| {
            let bytes = |l: &TensorLayout| if l.is_dense() { 0 } else { l.logical_bytes() };
            ports.iter().map(|p| Buffer::zeroed(bytes(&p.layout))).collect()
        };
        let (inputs, outputs) = (staged(loaded.inputs()), staged(loaded.outputs()));
        Self { arena: plan.arena(), inputs, outputs, states, rooms: Rooms::default() }
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
        let mut software = Self {
            loaded: loaded.clone(),
            inputs,
            outputs,
            states: States::new(),
            runs: AtomicBool::new(false),
            guards: Mutex::default(),
            memory: None,
        };
        software.set_states(states);
        Ok(software)
    }

    pub(super) fn states(&self) -> &States {
        &self.states
    }

    pub(super) fn set_states(&mut self, states: States) {
        let plan = self.engine().0.plan();
        let memory = plan.and_then(|plan| Some(Memory::new(plan, &self.loaded, Held::new(plan, &states)?)));
        (self.states, self.memory) = (states, memory.map(Mutex::new));
    }

    pub(super) fn workers(&self) -> &Workers {
        self.engine().1
    }

    /// The faults of the machine that it is loaded on, if there are some.
    pub(super) fn troubled(&self) -> Option<&Troubled> {
        match self.loaded.running() {
            Running::Software { troubled, .. } => troubled.as_ref(),
            Running::Hardware { .. } => None,
        }
    }

    fn engine(&self) -> (&device::Loaded, &Workers) {
        match self.loaded.running() {
            Running::Software { model, workers, .. } => (model, workers),
            Running::Hardware { .. } => {
                unreachable!("a request of the software engine is of a program on it")
            }
        }
    }

    /// Computes as [`Software::compute`], with what is wrong with it.
    pub(super) fn compute_oddly<R: Deref<Target = [u8]>, W: DerefMut<Target = [u8]>>(
        &self,
        inputs: &[R],
        outputs: &mut [W],
        quirks: Quirks,
    ) -> Result<(), Error> {
        if let Some(late) = quirks.late {
            std::thread::sleep(late);
        }
        let before: Vec<Vec<u8>> =
            outputs.iter().filter(|_| quirks.stale_outputs).map(|o| o.to_vec()).collect();
        if quirks.fp32_zeros {
            let zeroed = |(port, bytes): (&Port, &R)| match port.dtype {
                DType::Fp32 => vec![0; bytes.len()],
                _ => bytes.to_vec(),
            };
            let inputs: Vec<Vec<u8>> = self.loaded.inputs().iter().zip(inputs).map(zeroed).collect();
            self.compute(&inputs, outputs)?;
        } else {
            self.compute(inputs, outputs)?;
        }
        if quirks.zero_outputs {
            for (port, bytes) in self.loaded.outputs().iter().zip(&mut *outputs) {
                let zeros = vec![0; port.layout.logical_bytes()];
                scatter(bytes, &port.layout, 0..port.layout.channels, &zeros);
            }
        }
        for (bytes, before) in outputs.iter_mut().zip(before) {
            bytes.copy_from_slice(&before);
        }
        if let Some(troubled) = self.troubled() {
            troubled.ran(quirks);
        }
        Ok(())
    }

    /// Computes outputs of inputs, which are locked.
    pub(super) fn compute<R: Deref<Target = [u8]>, W: DerefMut<Target = [u8]>>(
        &self,
        inputs: &[R],
        outputs: &mut [W],
    ) -> Result<(), Error> {
        let model = self.engine().0;
        match (model.plan(), &self.memory) {
            (Some(plan), Some(memory)) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                planned(plan, model.threads(), &mut memory, &self.loaded, inputs, outputs)
            }
            _ => self.step_by_step(inputs, outputs),
        }
    }

    /// Runs a program that has no plan.
    fn step_by_step<R: Deref<Target = [u8]>, W: DerefMut<Target = [u8]>>(
        &self,
        inputs: &[R],
        outputs: &mut [W],
    ) -> Result<(), Error> {
        let mut tensors = Vec::with_capacity(inputs.len());
        for (port, held) in self.loaded.inputs().iter().zip(inputs) {
            let mut tensor =
                Tensor::zeros(port.dtype, &port.shape).map_err(|e| Error::Surface(e.to_string()))?;
            let elements = tensor.bytes_mut().expect("a new tensor is nobody else's");
            gather(held, &port.layout, 0..port.layout.channels, elements);
            tensors.push((&*port.name, tensor));
        }
        let model = self.engine().0;
        let results =
            model.run(&tensors, &self.states).map_err(|e| Error::Program(e.diagnostic().clone().into()))?;
        for ((port, held), (_, datum)) in self.loaded.outputs().iter().zip(outputs).zip(&results) {
            let tensor = datum.as_tensor().expect("a port is a tensor");
            scatter(held, &port.layout, 0..port.layout.channels, tensor.bytes());
        }
        Ok(())
    }
}

/// Runs the plan on the surfaces themselves, but for those that have padding. Nothing is allocated.
fn planned<R: Deref<Target = [u8]>, W: DerefMut<Target = [u8]>>(
    plan: &Plan,
    threads: usize,
    memory: &mut Memory,
    loaded: &Loaded,
    inputs: &[R],
    outputs: &mut [W],
) -> Result<(), Error> {
    let Memory { arena, inputs: staged_inputs, outputs: staged_outputs, states, rooms } = memory;
    let room = std::mem::take(rooms);
    let mut given: Vec<&[u8]> = recycled(room.given);
    given.extend(loaded.inputs().iter().zip(inputs).zip(staged_inputs).map(|((port, held), staged)| {
        if port.layout.is_dense() {
            return &held[..port.layout.logical_bytes()];
        }
        gather(held, &port.layout, 0..port.layout.channels, staged.bytes_mut());
        staged.bytes()
    }));
    let mut results: Vec<&mut [u8]> = recycled(room.results);
    let ports = loaded.outputs().iter().zip(&mut *outputs).zip(&mut *staged_outputs);
    results.extend(ports.map(|((port, held), staged)| match port.layout.is_dense() {
        true => &mut held[..port.layout.logical_bytes()],
        false => staged.bytes_mut(),
    }));
    let mut taken = states.take();
    let mut variables: Vec<&mut [u8]> = recycled(room.variables);
    variables.extend(taken.bytes_mut());
    let ran = plan.run(arena, &given, &mut results, &mut variables, threads);
    *rooms = Rooms { given: recycled(given), results: recycled(results), variables: recycled(variables) };
    drop(taken);
    ran?;
    for ((port, held), staged) in loaded.outputs().iter().zip(outputs).zip(staged_outputs) {
        if !port.layout.is_dense() {
            scatter(held, &port.layout, 0..port.layout.channels, staged.bytes());
        }
    }
    Ok(())
}
