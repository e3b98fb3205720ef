//! What is to be done when a function runs, found out once: which kernels, on which bytes, in which order.
//!
//! A [`Plan`] is made of a function all of whose shapes are known. Each of its steps has a kernel that was prepared with
//! the constants (weights are packed there), and each value has a place: an input, output or state of the function, or a
//! part of the [`Arena`], where values that are not needed at the same time take turns. A run then allocates nothing, takes
//! no lock, looks at no name, and infers nothing.
//!
//! Small planes may lie with their channels last between steps: `layout` says which. A tensor that the function takes or gives never does.
//!
//! States are read where they lie, and what they become is computed there, where that is right: of a write into a cache
//! only what changes is written. `states` says when it is.
//!
//! ```
//! use anemone::{Graph, Shape, device::{self, Engine, Options}};
//! let mut g = Graph::new();
//! let x = g.placeholder(Shape::spatial(4, 1, 64));
//! let y = g.inner_product(x, &[0.5; 16], 4, 4);
//! g.relu(y);
//! let model = device::load(g.build()?.verified.main(), Engine::Cpu, &Options::default())?;
//! println!("{}", model.plan().unwrap()); // its steps, with their fusions, and the arena
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bands;
mod blocks;
mod build;
mod fuse;
mod layout;
mod meaning;
mod shown;
mod states;
#[cfg(test)]
mod tests;
mod views;

use std::time::{Duration, Instant};

pub use crate::work::multiply_adds;

use anemone_kernels::memory::Buffer;

use blocks::{Blocks, Turns};
pub(crate) use build::Known;

use crate::mil::Name;
use crate::mil::op::{Fault, Op, Prepared, Run, recycled};
use crate::source::{Diagnostic, Span, codes};
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
/// assert_eq!((plan.inputs()[0].bytes, plan.outputs()[0].bytes), (8, 8));
/// let mut arena = plan.arena();
/// let x: Vec<u8> = [0xbc00u16, 0x3c00, 0x4000, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
/// let mut y = [0; 8];
/// plan.run(&mut arena, &[&x], &mut [&mut y], &mut [], 1).map_err(anemone::Error::from)?;
/// assert_eq!(y, [0, 0, 0x00, 0x3c, 0x00, 0x40, 0, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It says what it does, and how long each step took; states are given as the tensors are:
///
/// ```
/// use anemone::{Graph, device::{self, Engine, Options}, types::DType};
/// use std::time::Duration;
/// let mut g = Graph::new();
/// let row = g.input("row", DType::Fp16, &[1, 2]);
/// let cache = g.state("cache", &[3, 2]);
/// let old = g.read_state(cache);
/// let new = g.slice_update(old, row, [1, 0], [2, 2], ());
/// g.write_state(cache, new);
/// let sum = g.mil_reduce_sum(new, anemone::with! { axes: [0], keep_dims: false });
/// g.output("sum", sum);
/// let model = device::load(g.build()?.verified.main(), Engine::Cpu, &Options::default())?;
/// let plan = model.plan().unwrap();
/// // The row is written where the cache lies, and the sum is read from there.
/// assert_eq!((plan.steps().len(), plan.states()[0].bytes, plan.arena_bytes()), (2, 12, 0));
/// println!("{plan}, {} bytes of weights", plan.constant_bytes());
/// let (mut sum, mut cache, mut times) = ([0; 4], [0; 12], [Duration::ZERO; 2]);
/// plan.run_timed(&mut plan.arena(), &[&[0, 0x3c, 0, 0x40]], &mut [&mut sum], &mut [&mut cache], 1, &mut times)
///     .map_err(anemone::Error::from)?;
/// assert_eq!((sum, &cache[4..8]), ([0, 0x3c, 0, 0x40], &[0, 0x3c, 0, 0x40][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    steps: Vec<Step>,
    /// The bytes of each slot of the arena.
    slots: Vec<usize>,
    inputs: Vec<Io>,
    outputs: Vec<Io>,
    states: Vec<Io>,
    /// Results of the function that are no step's: inputs, constants, or results of steps under another name.
    copies: Vec<(Place, usize)>,
    constants: Vec<crate::types::Tensor>,
    /// How many steps have blocks.
    controls: usize,
}

/// A tensor that a function takes, gives or keeps.
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
/// assert_eq!((step.results.len(), step.results.last()), (2, Some(step.name)));
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
    /// The names of the first results of all of them, in order.
    pub results: &'p [Name],
    /// Whether the op's meaning computes it, for lack of a kernel: slowly, on copies.
    pub by_meaning: bool,
    /// Whether anything that it reads or writes lies with its channels last.
    pub channels_last: bool,
    /// The multiplications with an addition that products need; 0 for other ops.
    pub multiply_adds: u64,
    /// The bytes that it reads, constants included. Of a table of which it takes some rows, these rows.
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
    /// The names of the first results of its ops.
    results: Vec<Name>,
    span: Span,
    kernel: Kernel,
    /// Whether the kernel is the op's meaning, on copies of its arguments.
    by_meaning: bool,
    /// Whether anything that it reads or writes lies with its channels last.
    channels_last: bool,
    /// How many bands of rows its ops go through, one after the other.
    bands: usize,
    multiply_adds: u64,
    /// The bytes of the constants that the kernel has taken in.
    constants: usize,
    /// The bytes that it reads, as far as it looks at what it is given.
    read: usize,
    /// The bytes of all slots that hold a value while it runs.
    live: usize,
    /// Where each argument is; of a constant that the kernel has taken in nothing is read.
    reads: Vec<Option<Bytes>>,
    /// Of each, the ops that would have moved its elements, and that the kernel goes by strides for.
    through: Vec<Vec<&'static str>>,
    writes: Vec<Bytes>,
}

/// What does a step.
#[derive(Debug)]
enum Kernel {
    Prepared(Prepared),
    Blocks(Box<Blocks>),
}

impl Kernel {
    /// The bytes of constants in its blocks.
    fn constant_bytes(&self) -> usize {
        match self {
            Kernel::Prepared(_) => 0,
            Kernel::Blocks(blocks) => blocks.plans.iter().map(Plan::constant_bytes).sum(),
        }
    }
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
    State(usize),
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
    /// Room for what a step reads and writes, empty between steps.
    reads: Vec<&'static [u8]>,
    taken: Vec<Taken<'static, 'static>>,
    writes: Vec<&'static mut [u8]>,
    /// The memory of each step with blocks.
    turns: Vec<Turns>,
}

/// What a step writes, while it does: taken from where it lies, and put back.
#[derive(Debug)]
enum Taken<'o, 's> {
    Slot(usize, Buffer),
    Output(usize, &'o mut [u8]),
    State(usize, &'s mut [u8]),
}

impl Taken<'_, '_> {
    /// The first so many bytes.
    fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        match self {
            Taken::Slot(_, buffer) => &mut buffer.bytes_mut()[..len],
            Taken::Output(_, bytes) => &mut bytes[..len],
            Taken::State(_, bytes) => &mut bytes[..len],
        }
    }
}

/// Most steps read no more values than these.
const FEW: usize = 8;

/// The memory of all values while a plan runs.
struct Memory<'r, 'o, 's> {
    plan: &'r Plan,
    arena: &'r mut Arena,
    inputs: &'r [&'r [u8]],
    outputs: &'r mut [&'o mut [u8]],
    states: &'r mut [&'s mut [u8]],
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

    /// The variables that it reads and writes, in the order in which the function declares them.
    pub fn states(&self) -> &[Io] {
        &self.states
    }

    /// What it does, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = StepInfo<'_>> {
        self.steps.iter().map(|step| StepInfo {
            name: &step.name,
            op: step.op.name,
            after: &step.after,
            results: &step.results,
            by_meaning: step.by_meaning,
            channels_last: step.channels_last,
            multiply_adds: step.multiply_adds,
            read: step.read,
            written: step.writes.iter().map(|at| at.len).sum(),
            live: step.live,
        })
    }

    /// How many bytes the arena of a run has.
    pub fn arena_bytes(&self) -> usize {
        self.slots.iter().sum::<usize>() + self.blocks().map(Blocks::arena_bytes).sum::<usize>()
    }

    /// The blocks of the steps that have some, in order.
    fn blocks(&self) -> impl Iterator<Item = &Blocks> {
        self.steps.iter().filter_map(|step| match &step.kernel {
            Kernel::Blocks(blocks) => Some(&**blocks),
            Kernel::Prepared(_) => None,
        })
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
        let turns = self.blocks().map(Blocks::turns).collect();
        Arena { slots: self.slots.iter().map(slot).collect(), turns, ..Arena::default() }
    }

    /// Runs the function: reads the elements of its inputs, writes those of its outputs, and of its states those that
    /// change.
    ///
    /// # Errors
    ///
    /// What an op finds out only when it sees the elements, such as an index outside of a tensor; then the outputs hold
    /// anything, and the states what the steps before have written.
    ///
    /// # Panics
    ///
    /// When inputs, outputs or states are not as many, not as long, or not as aligned as their types say, or when the
    /// arena is that of another plan.
    pub fn run(
        &self,
        arena: &mut Arena,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        states: &mut [&mut [u8]],
        threads: usize,
    ) -> Result<(), Diagnostic> {
        Memory { plan: self, arena, inputs, outputs, states }.go(threads, |_| {})
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
        states: &mut [&mut [u8]],
        threads: usize,
        times: &mut [Duration],
    ) -> Result<(), Diagnostic> {
        assert_eq!(times.len(), self.steps.len(), "there is a time for each step");
        let mut begin = Instant::now();
        Memory { plan: self, arena, inputs, outputs, states }.go(threads, |step| {
            let end = Instant::now();
            times[step] = end - begin;
            begin = end;
        })
    }
}

impl<'o, 's> Memory<'_, 'o, 's> {
    /// Runs the function, and tells of each step when it has been done.
    fn go(&mut self, threads: usize, mut done: impl FnMut(usize)) -> Result<(), Diagnostic> {
        let plan = self.plan;
        assert_eq!(self.arena.slots.len(), plan.slots.len(), "the arena is that of this plan");
        let fit =
            |ios: &[Io], found: &mut dyn Iterator<Item = usize>| ios.iter().map(|io| io.bytes).eq(found);
        assert!(
            fit(&plan.inputs, &mut self.inputs.iter().map(|b| b.len()))
                && fit(&plan.outputs, &mut self.outputs.iter().map(|b| b.len()))
                && fit(&plan.states, &mut self.states.iter().map(|b| b.len())),
            "inputs, outputs and states are as long as their types say"
        );
        for (i, step) in plan.steps.iter().enumerate() {
            self.step(step, threads)?;
            done(i);
        }
        for &(from, to) in &plan.copies {
            let bytes = std::mem::take(&mut self.outputs[to]);
            bytes.copy_from_slice(self.bytes(Bytes { place: from, len: bytes.len() }));
            self.outputs[to] = bytes;
        }
        Ok(())
    }

    fn bytes(&self, at: Bytes) -> &[u8] {
        let whole = match at.place {
            Place::Input(i) => self.inputs[i],
            Place::Output(i) => &*self.outputs[i],
            Place::State(i) => &*self.states[i],
            Place::Slot(i) => self.arena.slots[i].bytes(),
            Place::Constant(i) => self.plan.constants[i].bytes(),
        };
        &whole[..at.len]
    }

    fn step(&mut self, step: &Step, threads: usize) -> Result<(), Diagnostic> {
        match (&step.kernel, &step.writes[..]) {
            (Kernel::Prepared(kernel), &[to]) if step.reads.len() <= FEW => {
                self.single(step, kernel, to, threads)
            }
            _ => self.any(step, threads),
        }
    }

    /// A step that writes one value and reads a few, as most do: what any step needs takes a part of the shortest calls.
    fn single(
        &mut self,
        step: &Step,
        kernel: &Prepared,
        to: Bytes,
        threads: usize,
    ) -> Result<(), Diagnostic> {
        let mut taken = self.take(to.place);
        let mut reads = [&[][..]; FEW];
        for (read, at) in reads.iter_mut().zip(&step.reads) {
            *read = at.map_or(&[], |at| self.bytes(at));
        }
        let (reads, mut writes) = (&reads[..step.reads.len()], [taken.bytes_mut(to.len)]);
        let result = kernel.run(&mut Run::new(threads, reads, &mut writes));
        self.put(taken);
        result.map_err(|f| step.diagnostic(f))
    }

    /// Takes what a step writes from where it lies.
    fn take(&mut self, place: Place) -> Taken<'o, 's> {
        match place {
            Place::Slot(i) => Taken::Slot(i, std::mem::take(&mut self.arena.slots[i])),
            Place::Output(i) => Taken::Output(i, std::mem::take(&mut self.outputs[i])),
            Place::State(i) => Taken::State(i, std::mem::take(&mut self.states[i])),
            Place::Input(_) | Place::Constant(_) => unreachable!("no step writes what is given"),
        }
    }

    /// Puts it back.
    fn put(&mut self, taken: Taken<'o, 's>) {
        match taken {
            Taken::Slot(i, buffer) => self.arena.slots[i] = buffer,
            Taken::Output(i, bytes) => self.outputs[i] = bytes,
            Taken::State(i, bytes) => self.states[i] = bytes,
        }
    }

    fn any(&mut self, step: &Step, threads: usize) -> Result<(), Diagnostic> {
        let mut taken: Vec<Taken<'o, 's>> = recycled(std::mem::take(&mut self.arena.taken));
        let mut rooms = (std::mem::take(&mut self.arena.reads), std::mem::take(&mut self.arena.writes));
        taken.extend(step.writes.iter().map(|at| self.take(at.place)));
        // The blocks' own memory is taken out too, while they read what else lies in the arena.
        let mut turns = match &step.kernel {
            Kernel::Blocks(blocks) => std::mem::take(&mut self.arena.turns[blocks.at]),
            Kernel::Prepared(_) => Turns::default(),
        };
        let result = {
            let mut reads: Vec<&[u8]> = recycled(rooms.0);
            reads.extend(step.reads.iter().map(|at| at.map_or(&[][..], |at| self.bytes(at))));
            let mut writes: Vec<&mut [u8]> = recycled(rooms.1);
            writes.extend(taken.iter_mut().zip(&step.writes).map(|(taken, at)| taken.bytes_mut(at.len)));
            let result = match &step.kernel {
                Kernel::Blocks(blocks) => blocks.run(&mut turns, threads, &reads, &mut writes),
                Kernel::Prepared(kernel) => {
                    kernel.run(&mut Run::new(threads, &reads, &mut writes)).map_err(|f| step.diagnostic(f))
                }
            };
            rooms = (recycled(reads), recycled(writes));
            result
        };
        (self.arena.reads, self.arena.writes) = rooms;
        taken.drain(..).for_each(|taken| self.put(taken));
        self.arena.taken = recycled(taken);
        if let Kernel::Blocks(blocks) = &step.kernel {
            self.arena.turns[blocks.at] = turns;
        }
        result
    }
}

/// What is said of a loop that does not end.
pub(crate) fn endless(turns: u64, span: Span) -> Diagnostic {
    Diagnostic::new(&codes::RUN_LIMIT, format!("a loop has not ended after {turns} turns"))
        .at(span, "this loop")
        .help("if it is meant to run longer, raise `Options::turns`")
}

impl Step {
    fn diagnostic(&self, fault: Fault) -> Diagnostic {
        let mut d =
            Diagnostic::new(fault.code, fault.message).at(self.span, format!("in this `{}`", self.op.name));
        d.help = fault.help;
        d
    }
}
