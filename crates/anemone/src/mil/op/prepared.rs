//! Prepared kernels: what a step is when its shapes and constants are known.

use anemone_kernels::fours::{Fours, Numbers};
use anemone_kernels::weights::Blocks;
use smallvec::SmallVec;

use super::Fault;
use crate::types::{Datum, Tensor, Type};

/// A step that is ready to run, as often as wanted, on any thread: what depends on types and constants is done.
///
/// ```
/// use anemone::mil::op::Prepared;
/// use anemone::types::{DType, Type};
/// let ones = Prepared::sure(|run| run.write::<f32>(0).fill(1.0));
/// let y = ones.results(&[], &[Type::tensor(DType::Fp32, &[2][..])], 1).unwrap();
/// assert_eq!(y[0].as_tensor().unwrap().to_f64s(), [1.0, 1.0]);
/// ```
pub struct Prepared {
    run: Box<Runs>,
    /// Whether it can refuse.
    sure: bool,
}

type Runs = dyn Fn(&mut Run<'_, '_>) -> Result<(), Fault> + Send + Sync;

impl Prepared {
    /// Wraps what computes every element of the results. It does so alone, and allocates nothing that it can keep.
    pub fn new(run: impl Fn(&mut Run<'_, '_>) -> Result<(), Fault> + Send + Sync + 'static) -> Self {
        Self { run: Box::new(run), sure: false }
    }

    /// As [`Prepared::new`], of what cannot fail.
    pub fn sure(run: impl Fn(&mut Run<'_, '_>) + Send + Sync + 'static) -> Self {
        let run = move |r: &mut Run<'_, '_>| {
            run(r);
            Ok(())
        };
        Self { run: Box::new(run), sure: true }
    }

    /// Whether it cannot refuse, whatever the elements are.
    pub(crate) fn is_sure(&self) -> bool {
        self.sure
    }

    /// The same on results that hold anything, of kernels that find the elements of an argument in their result: they are
    /// copied there first.
    pub(crate) fn copying(self, from: Reader) -> Self {
        let Self { run, sure } = self;
        let copying = move |to: &mut Run<'_, '_>| {
            to.copy(&from);
            run(to)
        };
        Self { run: Box::new(copying), sure }
    }

    /// Computes the results.
    ///
    /// # Errors
    ///
    /// What the op finds out only when it sees the elements, such as an index outside of a tensor.
    pub fn run(&self, run: &mut Run<'_, '_>) -> Result<(), Fault> {
        (self.run)(run)
    }

    /// Computes the results on tensors of their own; `given` is as for [`Run::new`].
    ///
    /// # Errors
    ///
    /// As [`Prepared::run`], and `tensor-too-large`.
    pub fn results(&self, given: &[&[u8]], types: &[Type], threads: usize) -> Result<Vec<Datum>, Fault> {
        let zeros = |ty: &Type| {
            let ty = ty.as_tensor().expect("kernels give tensors");
            Tensor::zeros(ty.dtype, &ty.shape.known().unwrap_or_default())
        };
        let mut tensors = types.iter().map(zeros).collect::<Result<Vec<_>, _>>()?;
        let mut bytes: Vec<&mut [u8]> =
            tensors.iter_mut().map(|t| t.bytes_mut().expect("kernels give no strings")).collect();
        // As in an arena; in tests a kernel that does not write all of its results is found out.
        if cfg!(debug_assertions) {
            bytes.iter_mut().for_each(|b| b.fill(0xff));
        }
        self.run(&mut Run::new(threads, given, &mut bytes))?;
        Ok(tensors.into_iter().map(Datum::from).collect())
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

/// A constant that is stored small, and of which any part can be made by itself.
///
/// ```
/// use anemone::mil::op::Parts;
/// let squares = Parts::new(|start, to: &mut [u32]| {
///     to.iter_mut().zip(start as u32..).for_each(|(to, i)| *to = i * i);
/// });
/// let mut some = [0; 2];
/// squares.make(8, bytemuck::cast_slice_mut::<u32, u8>(&mut some));
/// assert_eq!(some, [64, 81]);
/// ```
pub struct Parts {
    make: Box<Makes>,
    fours: Option<(Tensor, Blocks, Numbers)>,
}

type Makes = dyn Fn(usize, &mut [u8]) + Send + Sync;

impl Parts {
    /// Wraps what writes the elements from a place on, which is a multiple of 8.
    pub fn new<T: bytemuck::Pod>(make: impl Fn(usize, &mut [T]) + Send + Sync + 'static) -> Self {
        let make: Box<Makes> = Box::new(move |start, to| make(start, bytemuck::cast_slice_mut(to)));
        Self { make, fours: None }
    }

    /// The same elements, told as what codes of four bits stand for, so that a kernel can look them up in registers.
    pub(crate) fn of_fours(self, codes: Tensor, blocks: Blocks, numbers: Numbers) -> Self {
        Self { fours: Some((codes, blocks, numbers)), ..self }
    }

    /// The codes, and how rows of `inputs` weights are looked up, where they are of four bits and lie as
    /// [`fours::row`](anemone_kernels::fours::row) takes them.
    pub(crate) fn fours(&self, inputs: usize) -> Option<(Tensor, Fours)> {
        let (codes, blocks, numbers) = self.fours.clone()?;
        Some((codes, Fours::new(blocks, numbers, inputs)?))
    }

    /// Writes the elements from `start` on, a multiple of 8, to memory that is aligned for them.
    pub fn make(&self, start: usize, to: &mut [u8]) {
        (self.make)(start, to);
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// Where a kernel finds the elements of an argument.
///
/// ```
/// use anemone::mil::op::{Reader, Run};
/// let run = Run::new(1, &[&[1, 2], &[3]], &mut []);
/// assert_eq!(run.read::<u8>(&Reader::Given(1)), [3]);
/// ```
#[derive(Clone, Debug)]
pub enum Reader {
    /// Among what it is given when it runs, at this place.
    Given(usize),
    /// In a constant.
    Constant(Tensor),
}

/// One run of a [`Prepared`] step: the elements of its arguments, and where those of its results are to be written.
///
/// ```
/// use anemone::mil::op::{Prepared, Run};
/// let mut result = [0; 8];
/// Prepared::sure(|run| run.write::<u32>(0).fill(7)).run(&mut Run::new(1, &[], &mut [&mut result])).unwrap();
/// assert_eq!(result, [7, 0, 0, 0, 7, 0, 0, 0]);
/// ```
///
/// A step with several results writes all of them at once:
///
/// ```
/// use anemone::mil::op::{Prepared, Run};
/// let numbers = Prepared::sure(|run| run.write_all::<u8>().zip(1..).for_each(|(result, n)| result.fill(n)));
/// let (mut a, mut b) = ([0; 2], [0; 3]);
/// numbers.run(&mut Run::new(1, &[], &mut [&mut a, &mut b])).unwrap();
/// assert_eq!((a, b), ([1; 2], [2; 3]));
/// ```
pub struct Run<'r, 'd> {
    /// How many threads the kernel may use; its bits do not depend on it.
    pub threads: usize,
    given: &'r [&'d [u8]],
    results: &'r mut [&'d mut [u8]],
}

impl<'r, 'd> Run<'r, 'd> {
    /// A run on these bytes: those of each argument, in the order of the op's parameters (of constants none are looked
    /// at), and those of each result, which hold anything.
    pub fn new(threads: usize, given: &'r [&'d [u8]], results: &'r mut [&'d mut [u8]]) -> Self {
        Self { threads, given, results }
    }

    /// The bytes of all arguments.
    pub(crate) fn given(&self) -> &'r [&'d [u8]] {
        self.given
    }

    /// The elements of an argument.
    ///
    /// # Panics
    ///
    /// When they are no elements of this type: whoever prepared the step has chosen it by the dtype.
    pub fn read<'b, T: bytemuck::Pod>(&self, reader: &'b Reader) -> &'b [T]
    where
        'd: 'b,
    {
        let bytes: &'b [u8] = match reader {
            Reader::Given(i) => self.given[*i],
            Reader::Constant(tensor) => tensor.bytes(),
        };
        bytemuck::try_cast_slice(bytes)
            .expect("the type was chosen by the dtype, and values are aligned for it")
    }

    /// The elements of a result, to write: all of them, since they hold anything.
    ///
    /// # Panics
    ///
    /// As [`Run::read`].
    pub fn write<T: bytemuck::Pod>(&mut self, result: usize) -> &mut [T] {
        bytemuck::try_cast_slice_mut(self.results[result])
            .expect("the type was chosen by the dtype, and values are aligned for it")
    }

    /// Writes the first result: the elements of an argument.
    pub(crate) fn copy(&mut self, from: &Reader) {
        let from: &[u8] = self.read(from);
        self.write(0).copy_from_slice(from);
    }

    /// Runs something that is given other bytes in the place of those of one argument.
    pub(crate) fn with<R>(
        &mut self,
        given: usize,
        bytes: &[u8],
        run: impl FnOnce(&mut Run<'_, '_>) -> R,
    ) -> R {
        let mut all: SmallVec<[&[u8]; 16]> = self.given.iter().copied().collect();
        all[given] = bytes;
        // What is written is lent on, for as long as that runs.
        let mut results: SmallVec<[&mut [u8]; 2]> = self.results.iter_mut().map(|r| &mut **r).collect();
        run(&mut Run::new(self.threads, &all, &mut results))
    }

    /// The elements of all results, to write at once.
    ///
    /// # Panics
    ///
    /// As [`Run::read`].
    pub fn write_all<T: bytemuck::Pod>(&mut self) -> impl Iterator<Item = &mut [T]> {
        self.results.iter_mut().map(|bytes| {
            bytemuck::try_cast_slice_mut(bytes)
                .expect("the type was chosen by the dtype, and values are aligned for it")
        })
    }
}

/// An empty vector of another type, such as another lifetime, in the memory of this one: where both have elements of one
/// layout the standard library collects in place, and nothing is allocated.
pub(crate) fn recycled<A, B>(mut room: Vec<A>) -> Vec<B> {
    room.clear();
    room.into_iter().map(|_| unreachable!("it is empty")).collect()
}
