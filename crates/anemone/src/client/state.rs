//! Sequences: what a model keeps from one evaluation to the next, and how far it is.

use super::model::Model;
use super::request::{Request, Which};
use crate::device::States;
use crate::error::Error;
use crate::surface::Surface;
use crate::types::{Element, Tensor};

/// A sequence that a model works on: its state, such as the cache of an attention, and how many positions are taken.
///
/// It has states and surfaces of its own. Several sequences of one model do not know of each other, nor of the model's
/// own request; a [fork](StateHandle::fork) is a sequence with the same past. The state is what the program declares as
/// `state`, and on both engines what it takes and gives as [caches](StateHandle::with_caches).
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, StateHandle};
/// let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> sum, tensor<fp16, [2]> x) {
///     tensor<fp16, [2]> before = read_state(input = sum);
///     tensor<fp16, [2]> y = add(x = before, y = x);
///     write_state(input = sum, data = y); } -> (y); }";
/// let model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
/// let mut sequence = StateHandle::new(&model, 8)?;
/// sequence.write_input_f32("x", &[1.0, 2.0])?;
/// sequence.eval()?;
/// sequence.advance(1)?;
/// let mut other = sequence.fork()?;
/// sequence.eval()?;
/// let mut y = [0.0; 2];
/// sequence.read_output_f32("y", &mut y)?;
/// assert_eq!(y, [2.0, 4.0]);
/// other.reset()?;
/// assert_eq!((sequence.remaining(), other.remaining()), (7, 8));
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// A model outlives its sequences:
///
/// ```compile_fail,E0505
/// # fn unloaded(model: anemone::Model) -> Result<(), anemone::Error> {
/// let mut sequence = anemone::StateHandle::new(&model, 8)?;
/// model.close();
/// sequence.eval()
/// # }
/// ```
///
/// Inputs and outputs are written and read in all the ways of a [`Model`]:
///
/// ```
/// use anemone::{Chip, Client, StateHandle, mil::generate};
/// let built = generate::update_state("cache", [1, 2, 1, 2])?;
/// let client = Client::software(Chip::M4);
/// let model = client.compile_program(&built.program, &built.weights, &Default::default())?;
/// let mut sequence = StateHandle::new(&model, 8)?;
/// sequence.write_input("value", &[0; 128])?; // bytes, with the padding of two rows
/// sequence.write_input_fp16("value", &[1.0, 2.0, 3.0, 4.0])?;
/// sequence.write_input_fp16_channels("value", 1, &[5.0, 6.0])?;
/// sequence.eval()?;
/// let (mut y, mut second) = ([0.0; 4], [0.0; 2]);
/// sequence.read_output_fp16("y", &mut y)?;
/// sequence.read_output_fp16_channels("y", 1, &mut second)?;
/// assert_eq!((y, second, sequence.max_seq()), ([1.0, 2.0, 5.0, 6.0], [5.0, 6.0], 8));
/// assert_eq!(sequence.model().num_inputs(), 1);
/// sequence.close();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Elements and bytes go in and out as they do with a model:
///
/// ```
/// use anemone::{Client, CompileOptions, StateHandle, chip::Chip, mil::generate};
/// use half::f16;
/// let built = generate::update_state("cache", [1, 1, 1, 4])?;
/// let client = Client::software(Chip::M4);
/// let model = client.compile_program(&built.program, &built.weights, &CompileOptions::default())?;
/// let mut handle = StateHandle::new(&model, 8)?;
/// handle.write_input_elements(0, &[f16::ONE; 4])?;
/// handle.eval()?;
/// let (mut numbers, mut bytes) = ([f16::ZERO; 4], [0; 64]);
/// handle.read_output_elements(0, &mut numbers)?;
/// handle.read_output(0, &mut bytes)?; // with what lies between the rows
/// assert_eq!((numbers, &bytes[..2]), ([f16::ONE; 4], &f16::ONE.to_le_bytes()[..]));
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct StateHandle<'m> {
    model: &'m Model,
    /// One; with caches two that take turns, since what one gives the other takes.
    requests: Vec<Request>,
    /// Which of them runs next.
    next: usize,
    /// The inputs and outputs that carry the caches.
    caches: Vec<(usize, usize)>,
    max_seq: usize,
    position: usize,
}

/// The state of a sequence at some time.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, StateHandle, mil::generate};
/// let built = generate::update_state("cache", [1, 1, 1, 2])?;
/// let client = Client::software(Chip::M4);
/// let model = client.compile_program(&built.program, &built.weights, &CompileOptions::default())?;
/// let mut sequence = StateHandle::new(&model, 8)?;
/// sequence.advance(3)?;
/// let there = sequence.snapshot()?;
/// sequence.advance(2)?;
/// sequence.restore(&there)?;
/// assert_eq!((there.position(), sequence.position()), (3, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateSnapshot {
    states: Vec<(crate::mil::Name, Tensor)>,
    caches: Vec<Vec<u8>>,
    position: usize,
}

impl StateSnapshot {
    /// How many positions were taken.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'m> StateHandle<'m> {
    /// A sequence of at most `max_seq` positions, of which none is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when no surface can be made.
    pub fn new(model: &'m Model, max_seq: usize) -> Result<Self, Error> {
        let requests = vec![model.new_request()?];
        Ok(Self { model, requests, next: 0, caches: Vec::new(), max_seq, position: 0 })
    }

    /// The same, of a model that takes its state as inputs and gives it as outputs: each pair names an input and the
    /// output that is this input of the next evaluation. Nothing is copied for it.
    ///
    /// ```
    /// use anemone::{Chip, Client, CompileOptions, StateHandle};
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> sum, tensor<fp16, [2]> x) {
    ///     tensor<fp16, [2]> sum_out = add(x = sum, y = x); } -> (sum_out); }";
    /// let model = Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
    /// let mut sequence = StateHandle::with_caches(&model, 8, &[("sum", "sum_out")])?;
    /// sequence.write_input_f32("x", &[1.0, 2.0])?;
    /// sequence.eval()?;
    /// sequence.eval()?;
    /// let mut sum = [0.0; 2];
    /// sequence.read_output_f32("sum_out", &mut sum)?;
    /// assert_eq!(sum, [2.0, 4.0]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such input or output, when one is named twice, or when the two of a pair are
    /// of different types; [`Error::Surface`] when no surface can be made.
    pub fn with_caches(model: &'m Model, max_seq: usize, caches: &[(&str, &str)]) -> Result<Self, Error> {
        let mut places = Vec::with_capacity(caches.len());
        for &(input, output) in caches {
            let i = input.position(model.inputs(), "input")?;
            let o = output.position(model.outputs(), "output")?;
            if let Some(twice) = places
                .iter()
                .find_map(|&(a, b)| if a == i { Some(input) } else { (b == o).then_some(output) })
            {
                return Err(Error::Invalid(format!("`{twice}` is named twice among the caches")));
            }
            let (taken, given) = (&model.inputs()[i], &model.outputs()[o]);
            if (taken.dtype, &taken.shape, taken.layout) != (given.dtype, &given.shape, given.layout) {
                return Err(Error::Invalid(format!(
                    "`{output}` cannot be `{input}` of the next evaluation: they are of different types"
                )));
            }
            places.push((i, o));
        }
        if places.is_empty() {
            return Self::new(model, max_seq);
        }
        let first = model.new_request()?;
        let (mut inputs, mut outputs) = (first.input_surfaces().to_vec(), first.output_surfaces().to_vec());
        for &(i, o) in &places {
            std::mem::swap(&mut inputs[i], &mut outputs[o]);
        }
        let mut second = first.loaded().bind(inputs, outputs)?;
        second.share_states(&first);
        Ok(Self { model, requests: vec![first, second], next: 0, caches: places, max_seq, position: 0 })
    }

    /// The model.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// How many positions there are.
    pub fn max_seq(&self) -> usize {
        self.max_seq
    }

    /// How many positions are taken.
    pub fn position(&self) -> usize {
        self.position
    }

    /// How many positions are left.
    pub fn remaining(&self) -> usize {
        self.max_seq - self.position
    }

    /// Runs the program on the sequence. How far it advances by that is for the caller to say.
    ///
    /// # Errors
    ///
    /// As [`Request::run`]. The caches are those of before, then; what the program has written to its states stays.
    pub fn eval(&mut self) -> Result<(), Error> {
        self.requests[self.next].run()?;
        self.next = (self.next + 1) % self.requests.len();
        Ok(())
    }

    /// Takes so many further positions.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when so many are not left; none is taken then.
    pub fn advance(&mut self, positions: usize) -> Result<(), Error> {
        if positions > self.remaining() {
            return Err(Error::Invalid(format!(
                "a sequence that has {} of {} positions cannot advance by {positions}",
                self.position, self.max_seq
            )));
        }
        self.position += positions;
        Ok(())
    }

    /// Begins anew: clears states and caches, and gives all positions back.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody has the surface of a cache locked; nothing is changed then.
    pub fn reset(&mut self) -> Result<(), Error> {
        let mut caches = Vec::with_capacity(self.caches.len());
        for cache in self.cache_surfaces() {
            caches.push(cache.lock_mut()?);
        }
        caches.iter_mut().for_each(|cache| cache.fill(0));
        for state in self.states().into_iter().flat_map(|s| s.values()) {
            let now = state.read();
            let zeros = Tensor::zeros(now.dtype(), now.shape()).map_err(|e| Error::Surface(e.to_string()))?;
            state.write(zeros);
        }
        self.position = 0;
        Ok(())
    }

    /// What the sequence is now, to return to.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody writes the surface of a cache.
    pub fn snapshot(&self) -> Result<StateSnapshot, Error> {
        let caches =
            self.cache_surfaces().map(|cache| Ok(cache.lock()?.to_vec())).collect::<Result<_, Error>>()?;
        let states = self.states().into_iter().flatten().map(|(n, s)| (n.clone(), s.read())).collect();
        Ok(StateSnapshot { states, caches, position: self.position })
    }

    /// Returns to a snapshot of this sequence, or of another one of the same model.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the snapshot is of another model, or of a longer sequence; [`Error::Surface`] when
    /// somebody has the surface of a cache locked. Nothing is changed then.
    pub fn restore(&mut self, snapshot: &StateSnapshot) -> Result<(), Error> {
        let mut caches = Vec::with_capacity(self.caches.len());
        for cache in self.cache_surfaces() {
            caches.push(cache.lock_mut()?);
        }
        let states: Vec<_> = self.states().into_iter().flatten().collect();
        let alike = states.len() == snapshot.states.len()
            && states.iter().zip(&snapshot.states).all(|((n, s), (m, t))| *n == m && s.read().ty() == t.ty())
            && caches.iter().map(|c| c.len()).eq(snapshot.caches.iter().map(Vec::len));
        if !alike {
            return Err(Error::Invalid("the snapshot is of a sequence of another model".into()));
        }
        if snapshot.position > self.max_seq {
            return Err(Error::Invalid(format!(
                "the snapshot has {} positions, and the sequence has {}",
                snapshot.position, self.max_seq
            )));
        }
        caches.iter_mut().zip(&snapshot.caches).for_each(|(cache, bytes)| cache.copy_from_slice(bytes));
        for ((_, state), (_, value)) in states.into_iter().zip(&snapshot.states) {
            state.write(value.clone());
        }
        self.position = snapshot.position;
        Ok(())
    }

    /// A further sequence with the same past, which goes on by itself. What else its surfaces have is not copied.
    ///
    /// # Errors
    ///
    /// As [`StateHandle::new`] and [`StateHandle::snapshot`].
    pub fn fork(&self) -> Result<Self, Error> {
        let name = |&(i, o): &(usize, usize)| (&*self.model.inputs()[i].name, &*self.model.outputs()[o].name);
        let caches: Vec<_> = self.caches.iter().map(name).collect();
        let mut fork = Self::with_caches(self.model, self.max_seq, &caches)?;
        fork.restore(&self.snapshot()?)?;
        Ok(fork)
    }

    /// Ends the sequence, as dropping it does.
    pub fn close(self) {}

    /// The states that the program declares.
    fn states(&self) -> Option<&States> {
        self.requests[0].states()
    }

    /// The caches that the next evaluation takes.
    fn cache_surfaces(&self) -> impl Iterator<Item = &Surface> {
        self.caches.iter().map(|&(input, _)| &self.requests[self.next].input_surfaces()[input])
    }

    /// The request that has run last.
    fn last(&self) -> &Request {
        &self.requests[(self.next + self.requests.len() - 1) % self.requests.len()]
    }
}

super::request::delegate! { StateHandle<'_>, |this| this.requests[this.next];
    fn write_input(&mut self, input: impl Which, bytes: &[u8]);
    fn write_input_f32(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16(&mut self, input: impl Which, values: &[f32]);
    fn write_input_fp16_channels(&mut self, input: impl Which, channel: usize, values: &[f32]);
    fn write_input_elements<T: Element>(&mut self, input: impl Which, elements: &[T]);
}

super::request::delegate! { ref StateHandle<'_>, |this| this.last();
    fn read_output(&self, output: impl Which, bytes: &mut [u8]);
    fn read_output_f32(&self, output: impl Which, values: &mut [f32]);
    fn read_output_fp16(&self, output: impl Which, values: &mut [f32]);
    fn read_output_fp16_channels(&self, output: impl Which, channel: usize, values: &mut [f32]);
    fn read_output_elements<T: Element>(&self, output: impl Which, elements: &mut [T]);
}
