//! What is to be done when a function runs, found out once: which kernels, on which bytes, in which order.
//!
//! A [`Plan`] is made of a function all of whose shapes are known. Each of its steps has a kernel that was prepared with
//! the constants (weights are packed there), and each value has a place: an input or output of the function, or a part of
//! the [`Arena`], where values that are not needed at the same time take turns. A run then allocates nothing, takes no
//! lock, looks at no name, and infers nothing.

mod build;
mod fuse;
mod shown;
#[cfg(test)]
mod tests;
mod work;

use std::time::{Duration, Instant};

use smallvec::SmallVec;

pub use work::multiply_adds;

use anemone_kernels::memory::Buffer;

use crate::mil::Name;
use crate::mil::op::{Fault, Op, Prepared, Run};
use crate::source::{Diagnostic, Span};
use crate::types::TensorType;

/// A function that is ready to run.
///
/// ```
/// use anemone::{Graph, Shape, device::{self, Engine, Options}};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 1, 4));
/// g.relu(x);
/// let built = g.build()?;
/// let model = device::load(built.verified.main(), Engine::Cpu, &Options::default())?;
/// let plan = model.plan().expect("every shape is known");
/// let mut arena = plan.arena();
/// let x: Vec<u8> = [0xbc00u16, 0x3c00, 0x4000, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
/// let mut y = [0; 8];
/// plan.run(&mut arena, &[&x], &mut [&mut y], 1).map_err(anemone::Error::from)?;
/// assert_eq!(y, [0, 0, 0x00, 0x3c, 0x00, 0x40, 0, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
    /// The bytes of each slot of the arena.
    slots: Vec<usize>,
    inputs: Vec<Io>,
    outputs: Vec<Io>,
    /// Results of the function that are no step's: inputs, constants, or results of steps under another name.
    copies: Vec<(Place, usize)>,
    constants: Vec<crate::types::Tensor>,
}

/// A tensor that a function takes or gives.
///
/// ```
/// use anemone::{Graph, Shape, device::{self, Engine, Options}};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 1, 4));
/// g.relu(x);
/// let built = g.build()?;
/// let model = device::load(built.verified.main(), Engine::Cpu, &Options::default())?;
/// let plan = model.plan().expect("every shape is known");
/// assert_eq!((plan.inputs()[0].name.as_str(), plan.inputs()[0].bytes), ("input_0", 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Io {
    /// Its name.
    pub name: Name,
    /// Its type, which is known in every dimension.
    pub ty: TensorType,
    /// Its bytes.
    pub bytes: usize,
}

/// What a step of a plan does.
///
/// ```
/// use anemone::device::{self, Engine, Options};
/// use anemone::{Graph, Shape};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(4, 1, 64));
/// let h = g.inner_product(x, &[0.5; 32], 4, 8);
/// g.relu(h);
/// let model = device::load(g.build()?.verified.main(), Engine::Cpu, &Options::default())?;
/// let step = model.plan().unwrap().steps().next().unwrap();
/// assert_eq!((step.op, step.after[0].name, step.multiply_adds), ("conv", "relu", 4 * 8 * 64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StepInfo<'p> {
    /// The name of its first result.
    pub name: &'p Name,
    /// The op.
    pub op: &'static str,
    /// The ops that the same kernel does after it, in order.
    pub after: &'p [&'static Op],
    /// Whether the op's meaning computes it, for lack of a kernel: slowly, on copies.
    pub by_meaning: bool,
    /// The multiplications with an addition that products need; 0 for other ops.
    pub multiply_adds: u64,
    /// The bytes that it reads, constants included.
    pub read: usize,
    /// The bytes that it writes.
    pub written: usize,
    /// The bytes of the arena that hold a value while it runs.
    pub live: usize,
}

/// A step of a plan.
#[derive(Debug)]
struct Step {
    op: &'static Op,
    /// The ops that the kernel does after it.
    after: Vec<&'static Op>,
    /// The name of its first result.
    name: Name,
    span: Span,
    kernel: Prepared,
    /// Whether the kernel is the op's meaning, on copies of its arguments.
    by_meaning: bool,
    multiply_adds: u64,
    /// The bytes of the constants that the kernel has taken in.
    constants: usize,
    /// The bytes of all slots that hold a value while it runs.
    live: usize,
    /// Where each argument is; of a constant that the kernel has taken in nothing is read.
    reads: Vec<Option<Bytes>>,
    writes: Vec<Bytes>,
}

/// Where a value is, and how many bytes it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    place: Place,
    len: usize,
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Input(usize),
    Output(usize),
    Slot(usize),
    Constant(usize),
}

/// The memory of a run: what lies between inputs and outputs. It can be used again, by one run at a time.
///
/// ```
/// use anemone::{Graph, Shape, device::{self, Engine, Options}};
/// let mut g = Graph::new();
/// let x = g.placeholder(Shape::spatial(1, 1, 4));
/// g.relu(x);
/// let built = g.build()?;
/// let model = device::load(built.verified.main(), Engine::Cpu, &Options::default())?;
/// let plan = model.plan().expect("every shape is known");
/// // One for each thread that runs the plan.
/// let arenas = [plan.arena(), plan.arena()];
/// assert!(plan.arena_bytes() < 1024);
/// # drop(arenas);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Arena {
    slots: Vec<Buffer>,
}

/// What a step writes, while it does: taken from where it lies, and put back.
enum Taken<'o> {
    Slot(usize, Buffer),
    Output(usize, &'o mut [u8]),
}

impl Plan {
    /// What the function takes, in its order.
    pub fn inputs(&self) -> &[Io] {
        &self.inputs
    }

    /// What the function gives, in its order.
    pub fn outputs(&self) -> &[Io] {
        &self.outputs
    }

    /// What it does, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|step| StepInfo {
            name: &step.name,
            op: step.op.name,
            after: &step.after,
            by_meaning: step.by_meaning,
            multiply_adds: step.multiply_adds,
            read: step.constants + step.reads.iter().flatten().map(|at| at.len).sum::<usize>(),
            written: step.writes.iter().map(|at| at.len).sum(),
            live: step.live,
        })
    }

    /// How many bytes the arena of a run has.
    pub fn arena_bytes(&self) -> usize {
        self.slots.iter().sum()
    }

    /// How many bytes of constants the steps read: weights above all.
    pub fn constant_bytes(&self) -> usize {
        self.steps.iter().map(|step| step.constants).sum()
    }

    /// Makes the memory for runs.
    pub fn arena(&self) -> Arena {
        let slot = |&bytes: &usize| {
            let mut slot = Buffer::zeroed(bytes);
            // Kernels write all of their results; in tests one that does not is found out.
            if cfg!(debug_assertions) {
                slot.bytes_mut().fill(0xff);
            }
            slot
        };
        Arena { slots: self.slots.iter().map(slot).collect() }
    }

    /// Runs the function: reads the elements of its inputs, writes those of its outputs.
    ///
    /// # Errors
    ///
    /// What an op finds out only when it sees the elements, such as an index outside of a tensor; then the outputs hold
    /// anything.
    ///
    /// # Panics
    ///
    /// When inputs or outputs are not as many, not as long, or not as aligned as their types say, or when the arena is
    /// that of another plan.
    pub fn run(
        &self,
        arena: &mut Arena,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        threads: usize,
    ) -> Result<(), Diagnostic> {
        self.go(arena, inputs, outputs, threads, |_| {})
    }

    /// As [`run`](Plan::run), and says how long each step took, in the order of [`steps`](Plan::steps).
    ///
    /// # Errors
    ///
    /// As [`run`](Plan::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Plan::run), and when there are not as many times as steps.
    pub fn run_timed(
        &self,
        arena: &mut Arena,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        threads: usize,
        times: &mut [Duration],
    ) -> Result<(), Diagnostic> {
        assert_eq!(times.len(), self.steps.len(), "there is a time for each step");
        let mut begin = Instant::now();
        self.go(arena, inputs, outputs, threads, |step| {
            let end = Instant::now();
            times[step] = end - begin;
            begin = end;
        })
    }

    /// Runs the function, and tells of each step when it has been done.
    fn go(
        &self,
        arena: &mut Arena,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        threads: usize,
        mut done: impl FnMut(usize),
    ) -> Result<(), Diagnostic> {
        assert_eq!(arena.slots.len(), self.slots.len(), "the arena is that of this plan");
        for (what, ios, lengths) in [
            ("inputs", &self.inputs, inputs.iter().map(|b| b.len()).collect::<SmallVec<[usize; 8]>>()),
            ("outputs", &self.outputs, outputs.iter().map(|b| b.len()).collect()),
        ] {
            assert!(ios.iter().map(|io| io.bytes).eq(lengths), "the {what} are as long as their types say");
        }
        for (i, step) in self.steps.iter().enumerate() {
            self.step(step, &mut arena.slots, inputs, outputs, threads)?;
            done(i);
        }
        for &(from, to) in &self.copies {
            let to_bytes = std::mem::take(&mut outputs[to]);
            to_bytes.copy_from_slice(self.bytes(
                Bytes { place: from, len: to_bytes.len() },
                &arena.slots,
                inputs,
                outputs,
            ));
            outputs[to] = to_bytes;
        }
        Ok(())
    }

    fn bytes<'b>(
        &'b self,
        at: Bytes,
        slots: &'b [Buffer],
        inputs: &[&'b [u8]],
        outputs: &'b [&mut [u8]],
    ) -> &'b [u8] {
        let whole = match at.place {
            Place::Input(i) => inputs[i],
            Place::Output(i) => &*outputs[i],
            Place::Slot(i) => slots[i].bytes(),
            Place::Constant(i) => self.constants[i].bytes(),
        };
        &whole[..at.len]
    }

    fn step<'d>(
        &self,
        step: &Step,
        slots: &mut [Buffer],
        inputs: &[&[u8]],
        outputs: &mut [&'d mut [u8]],
        threads: usize,
    ) -> Result<(), Diagnostic> {
        let mut taken: SmallVec<[Taken<'d>; 8]> = SmallVec::new();
        for at in &step.writes {
            taken.push(match at.place {
                Place::Slot(i) => Taken::Slot(i, std::mem::take(&mut slots[i])),
                Place::Output(i) => Taken::Output(i, std::mem::take(&mut outputs[i])),
                Place::Input(_) | Place::Constant(_) => unreachable!("no step writes what is given"),
            });
        }
        let result = {
            let reads: SmallVec<[&[u8]; 16]> = step
                .reads
                .iter()
                .map(|at| at.map_or(&[][..], |at| self.bytes(at, slots, inputs, outputs)))
                .collect();
            let mut writes: SmallVec<[&mut [u8]; 8]> = taken
                .iter_mut()
                .zip(&step.writes)
                .map(|(taken, at)| match taken {
                    Taken::Slot(_, buffer) => &mut buffer.bytes_mut()[..at.len],
                    Taken::Output(_, bytes) => &mut bytes[..at.len],
                })
                .collect();
            step.kernel.run(&mut Run::new(threads, &reads, &mut writes))
        };
        for taken in taken {
            match taken {
                Taken::Slot(i, buffer) => slots[i] = buffer,
                Taken::Output(i, bytes) => outputs[i] = bytes,
            }
        }
        result.map_err(|fault| step.diagnostic(fault))
    }
}

impl Step {
    fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let mut d =
            Diagnostic::new(fault.code, fault.message).at(self.span, format!("in this `{}`", self.op.name));
        d.help = fault.help;
        d
    }
}
