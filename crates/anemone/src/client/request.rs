//! Surfaces bound to a program, to be run as often as wanted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anemone_apple::{Feature, neural};

use super::engine::{Loaded, Running};
use super::evaluation::{self, Evaluation, Flight, of_apple};
use super::event_run::UnderWay;
use super::software::Software;
use super::sync::Mutex;
use crate::device::States;
use crate::error::{Doing, Error};
use crate::faults::Way;
use crate::surface::{Number, Port, ReadGuard, Surface, WriteGuard, gather, gather_as, scatter, scatter_as};
use crate::types::Element;

/// A program with surfaces for its inputs and outputs: what is run.
///
/// The inputs are written, the program is run, the outputs are read; then again. It keeps the program loaded. Inputs and
/// outputs are in the order of the program, whatever the order in which the engine has them; they are named by their
/// number or by their name.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// let model = model()?;
/// let mut request = model.new_request()?;
/// request.write_input_f32(0, &[1.0; 4])?;
/// request.run()?;
/// let mut y = [0.0; 4];
/// request.read_output_f32("y", &mut y)?;
/// assert_eq!((y, request.inputs()[0].name.as_str()), ([1.0; 4], "x"));
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// It is written and read in all the ways of a [`Model`](crate::Model), and run in several:
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
///
/// use std::time::Duration;
/// let model = model()?;
/// let mut request = model.new_request()?;
/// assert_ne!(request.input_surfaces()[0], request.output_surfaces()[0]);
/// request.write_input(0, &[0; 128])?; // bytes, with the padding of two rows
/// request.write_input_fp16(0, &[1.0; 8])?;
/// request.write_input_fp16_channels(0, 1, &[-2.0; 4])?;
/// request.with_locked_input(0, |bytes| bytes[..2].copy_from_slice(&0x4000u16.to_le_bytes()))?;
/// // On the software engine these are alike; on the hardware they go past the system's daemon, at real-time priority, or
/// // below the system's model.
/// request.run_direct()?;
/// request.run_real_time()?;
/// request.run_program()?;
/// request.run_within(Duration::from_secs(60))?;
/// let (mut y, mut second) = ([0.0; 8], [9.0; 4]);
/// request.read_output_fp16(0, &mut y)?;
/// request.read_output_fp16_channels(0, 1, &mut second)?;
/// assert_eq!((y, second), ([2.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], [0.0; 4]));
/// assert_eq!(request.with_locked_output(0, |bytes| bytes[3])?, 0x3c);
/// let (tell, told) = std::sync::mpsc::channel();
/// request.start_then(move |result| tell.send(result).unwrap());
/// told.recv().unwrap()?;
/// request.copy_output_range_to_input(0, 0..1, 0..4, &model.new_request()?, 0, (1, 0))?; // the first channel, elsewhere the second
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// ```
/// # use anemone::{Client, CompileOptions, chip::Chip};
/// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 4]> x) {
/// #     tensor<fp16, [1, 2, 1, 4]> y = relu(x = x); } -> (y); }";
/// # let client = Client::software(Chip::M4);
/// # let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
///
/// use anemone::Request;
/// let mut request: Request = model.new_request()?;
/// request.run()?;
/// let mut bytes = vec![0; request.outputs()[0].layout.alloc_size()];
/// request.read_output("y", &mut bytes)?;
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct Request {
    loaded: Loaded,
    pub(super) kind: Kind,
    inputs: Vec<Surface>,
    outputs: Vec<Surface>,
    /// The last evaluation with events.
    pub(super) under_way: Mutex<Option<UnderWay>>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Hardware(neural::Request),
    Software(Arc<Software>),
}

/// Which tensor of a program: its number, or its name.
///
/// ```
/// # fn model() -> Result<anemone::Model, anemone::Error> {
/// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {
/// #     tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
/// #   let options = anemone::CompileOptions { mil_text: text.into(), ..Default::default() };
/// #   anemone::Client::software(anemone::Chip::M4).compile(options)
/// # }
/// let model = model()?;
/// assert_eq!(model.input_alloc_size(0)?, model.input_alloc_size("x")?);
/// assert!(model.input_alloc_size("z").is_err() && model.input_alloc_size(1).is_err());
/// # Ok::<(), anemone::Error>(())
/// ```
pub trait Which: sealed::Sealed {
    #[doc(hidden)]
    fn position(self, ports: &[Port], what: &str) -> Result<usize, Error>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for usize {}
    impl Sealed for &str {}
}

impl Which for usize {
    fn position(self, ports: &[Port], what: &str) -> Result<usize, Error> {
        if self < ports.len() {
            return Ok(self);
        }
        Err(Error::Invalid(format!("there is no {what} {self}: there are {}", ports.len())))
    }
}

impl Which for &str {
    fn position(self, ports: &[Port], what: &str) -> Result<usize, Error> {
        ports.iter().position(|p| p.name == self).ok_or_else(|| {
            let names: Vec<&str> = ports.iter().map(|p| &*p.name).collect();
            Error::Invalid(format!("there is no {what} `{self}`; there is `{}`", names.join("`, `")))
        })
    }
}

impl Request {
    pub(super) fn new(loaded: Loaded, inputs: Vec<Surface>, outputs: Vec<Surface>) -> Result<Self, Error> {
        let kind = match loaded.running() {
            Running::Hardware { model } => {
                fn named<'a>(
                    ports: &'a [Port],
                    surfaces: &'a [Surface],
                ) -> Vec<(&'a str, &'a anemone_apple::Surface)> {
                    ports.iter().zip(surfaces).map(|(p, s)| (&*p.name, s.as_apple())).collect()
                }
                let (i, o) = (named(loaded.inputs(), &inputs), named(loaded.outputs(), &outputs));
                let request = model.model().request(loaded.function(), &i, &o);
                Kind::Hardware(request.map_err(|e| Error::from_apple(Doing::Load, e))?)
            }
            Running::Software { model, .. } => {
                Kind::Software(Arc::new(Software::new(&loaded, model, &inputs, &outputs)?))
            }
        };
        Ok(Self { loaded, kind, inputs, outputs, under_way: Mutex::new(None) })
    }

    /// Runs the program, and returns when the outputs are written.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] when somebody has one of the surfaces locked, [`Error::Eval`] when the engine refuses, and
    /// [`Error::Program`] for what an op finds out when it runs, such as an index outside a tensor.
    pub fn run(&mut self) -> Result<(), Error> {
        self.through(Way::Plain, neural::Request::run)
    }

    /// Runs the program past the system's daemon, as [`Request::run`] else. On the software engine there is no daemon,
    /// and this is the same.
    ///
    /// # Errors
    ///
    /// As [`Request::run`], and [`Error::UnsupportedSelector`] when this macOS has no such way.
    pub fn run_direct(&mut self) -> Result<(), Error> {
        self.through(Way::Shortcut(Feature::Direct), neural::Request::run_direct)
    }

    /// Runs the program at real-time priority, which one report has nearly twice as fast for tiny programs and slower for
    /// others. On the software engine it is as [`Request::run`].
    ///
    /// # Errors
    ///
    /// As [`Request::run_direct`].
    pub fn run_real_time(&mut self) -> Result<(), Error> {
        self.through(Way::Shortcut(Feature::RealTime), neural::Request::run_real_time)
    }

    /// Runs the program below the system's model, as a request that its driver processes. On the software engine it is as
    /// [`Request::run`].
    ///
    /// # Errors
    ///
    /// As [`Request::run_direct`].
    pub fn run_program(&mut self) -> Result<(), Error> {
        self.through(Way::Shortcut(Feature::ProcessRequest), neural::Request::run_program)
    }

    fn through(
        &mut self,
        way: Way,
        run: impl FnOnce(&mut neural::Request) -> Result<(), anemone_apple::Error>,
    ) -> Result<(), Error> {
        self.settle();
        match &mut self.kind {
            Kind::Hardware(request) => run(request).map_err(of_apple),
            Kind::Software(software) => software.run(way).map(drop),
        }
    }

    /// Starts an evaluation and does not wait for it. Every failure is told by its end, also that nothing was started.
    ///
    /// ```
    /// use anemone::{Client, CompileOptions, Error, chip::Chip};
    /// # fn model() -> Result<anemone::Model, Error> {
    /// #   let text = "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) { tensor<fp16, [4]> y = relu(x = x); } -> (y); }";
    /// #   Client::software(Chip::M4).compile(CompileOptions { mil_text: text.into(), ..Default::default() })
    /// # }
    /// async fn two_at_once() -> Result<(), Error> {
    ///     let model = model()?;
    ///     let (mut a, mut b) = (model.new_request()?, model.new_request()?);
    ///     let (first, second) = (a.start(), b.start());
    ///     first.await?;
    ///     second.await
    /// }
    /// ```
    ///
    /// Until it has ended, nothing of the request is written or read:
    ///
    /// ```compile_fail,E0502
    /// # fn read(request: &mut anemone::Request) -> Result<(), anemone::Error> {
    /// let evaluation = request.start();
    /// request.read_output_f32(0, &mut [0.0; 4])?;
    /// evaluation.wait()
    /// # }
    /// ```
    pub fn start(&mut self) -> Evaluation<'_> {
        self.start_and(|| ())
    }

    /// Starts an evaluation, and calls `before` at its end before anybody else hears of it.
    pub(super) fn start_and(&mut self, before: impl FnOnce() + Send + 'static) -> Evaluation<'_> {
        self.settle();
        let kind = match &mut self.kind {
            Kind::Hardware(request) => evaluation::Kind::Hardware(request.start_then(move |_| before())),
            Kind::Software(software) => {
                let flight = Flight::new();
                let told = flight.clone();
                software.start(move |result| {
                    before();
                    told.end(result);
                });
                evaluation::Kind::Software(flight)
            }
        };
        Evaluation::new(kind, self.loaded.function())
    }

    /// Starts an evaluation, and calls `done` when it has ended: exactly once, whether it has succeeded, failed, or was
    /// not even started. When it is called the surfaces can be locked and the request can be run again.
    ///
    /// It is called on a thread of the engine, on which it should do little, or on this one when nothing was started. If
    /// it panics, the panic ends there.
    pub fn start_then(&mut self, done: impl FnOnce(Result<(), Error>) + Send + 'static) {
        self.settle();
        match &mut self.kind {
            Kind::Hardware(request) => {
                drop(request.start_then(move |result| done(result.map_err(of_apple))));
            }
            Kind::Software(software) => software.start(done),
        }
    }

    /// Runs the program, and waits for its end only so long.
    ///
    /// Nothing stops an evaluation that was not done in time: until it has ended the request is busy, and every call
    /// says so by [`Error::Surface`]. Then it can be used as before.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and as [`Evaluation::wait`].
    pub fn run_within(&mut self, time: Duration) -> Result<(), Error> {
        self.start().wait_within(time)
    }

    /// Runs the program, and says how many nanoseconds the engine took: what the hardware has counted, if it was asked to
    /// and says so, and what the wall clock says of the software engine.
    pub(crate) fn run_timed(&mut self) -> Result<Option<u64>, Error> {
        match &mut self.kind {
            Kind::Hardware(request) => request.run().and_then(|()| request.nanoseconds()).map_err(of_apple),
            Kind::Software(software) => {
                let begin = Instant::now();
                let told = software.run(Way::Timed)?;
                Ok(told.then(|| u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)))
            }
        }
    }

    /// What the hardware has gathered of the last run, if it was asked to.
    pub(crate) fn statistics(&self) -> Result<Option<neural::Statistics>, Error> {
        match &self.kind {
            Kind::Hardware(request) => request.statistics().map_err(of_apple),
            Kind::Software(_) => Ok(None),
        }
    }

    /// How the queues of the hardware's model are.
    pub(crate) fn diagnostics(&self) -> Option<neural::Diagnostics> {
        match &self.kind {
            Kind::Hardware(request) => Some(request.model().diagnostics()),
            Kind::Software(_) => None,
        }
    }

    /// What the program takes, in its order.
    pub fn inputs(&self) -> &[Port] {
        self.loaded.inputs()
    }

    /// What the program gives, in its order.
    pub fn outputs(&self) -> &[Port] {
        self.loaded.outputs()
    }

    /// The surfaces of the inputs.
    pub fn input_surfaces(&self) -> &[Surface] {
        &self.inputs
    }

    /// The surfaces of the outputs.
    pub fn output_surfaces(&self) -> &[Surface] {
        &self.outputs
    }

    /// Maps the surfaces ahead of the evaluations, if the engine does such a thing; it runs without as well.
    pub(super) fn map(&mut self) {
        if let Kind::Hardware(request) = &mut self.kind {
            let _ = request.map();
        }
    }

    /// The states of a request of the software engine.
    pub(super) fn states(&self) -> Option<&States> {
        match &self.kind {
            Kind::Hardware(_) => None,
            Kind::Software(software) => Some(software.states()),
        }
    }

    /// Takes over the states of another request. Nothing was run on this one.
    pub(super) fn share_states(&mut self, other: &Request) {
        if let (Kind::Software(software), Some(states)) = (&mut self.kind, other.states())
            && let Some(software) = Arc::get_mut(software)
        {
            software.set_states(states.clone());
        }
    }

    pub(super) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn input(&self, which: impl Which) -> Result<Access<'_>, Error> {
        self.settle();
        let i = which.position(self.loaded.inputs(), "input")?;
        Ok(Access { port: &self.loaded.inputs()[i], surface: &self.inputs[i] })
    }

    fn output(&self, which: impl Which) -> Result<Access<'_>, Error> {
        self.settle();
        let i = which.position(self.loaded.outputs(), "output")?;
        Ok(Access { port: &self.loaded.outputs()[i], surface: &self.outputs[i] })
    }

    /// Writes all bytes of an input's surface, padding included.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless there are exactly [`alloc_size`](crate::TensorLayout::alloc_size) of them,
    /// [`Error::Invalid`] when there is no such input, [`Error::Surface`] when its surface is in use.
    pub fn write_input(&mut self, input: impl Which, bytes: &[u8]) -> Result<(), Error> {
        self.input(input)?.write_bytes(bytes)
    }

    /// Writes an input: as many numbers as it has elements, each rounded once to the input's fp16, or kept as fp32.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for another number of them, [`Error::Invalid`] when there is no such input or it has other
    /// elements, [`Error::Surface`] when its surface is in use.
    pub fn write_input_f32(&mut self, input: impl Which, values: &[f32]) -> Result<(), Error> {
        self.input(input)?.write_numbers(0, None, values)
    }

    /// Writes an input of fp16 elements: each number is rounded once.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_f32`].
    pub fn write_input_fp16(&mut self, input: impl Which, values: &[f32]) -> Result<(), Error> {
        let input = self.input(input)?;
        input.only_fp16()?;
        input.write_numbers(0, None, values)
    }

    /// Writes some channels of an input of fp16 elements, from this one on: whole channels, each number rounded once.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such channel, [`Error::Length`] when the numbers are not those of whole
    /// channels or are more than there are; else as [`Request::write_input_f32`].
    pub fn write_input_fp16_channels(
        &mut self,
        input: impl Which,
        channel: usize,
        values: &[f32],
    ) -> Result<(), Error> {
        let input = self.input(input)?;
        input.only_fp16()?;
        let channels = input.whole_channels(channel, values.len())?;
        input.write_numbers(channel, Some(channels), values)
    }

    /// Writes an input whose elements are of exactly this type.
    ///
    /// ```
    /// use anemone::{Client, CompileOptions, chip::Chip};
    /// use half::f16;
    /// let client = Client::software(Chip::M4);
    /// let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y); }";
    /// let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
    /// model.write_input_elements("x", &[f16::NEG_ONE, f16::ONE])?;
    /// model.eval()?;
    /// let mut y = [f16::ZERO; 2];
    /// model.read_output_elements("y", &mut y)?;
    /// assert_eq!(y, [f16::ZERO, f16::ONE]);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_f32`].
    pub fn write_input_elements<T: Element>(
        &mut self,
        input: impl Which,
        elements: &[T],
    ) -> Result<(), Error> {
        self.input(input)?.write_elements(elements)
    }

    /// Reads all bytes of an output's surface, padding included.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input`].
    pub fn read_output(&self, output: impl Which, bytes: &mut [u8]) -> Result<(), Error> {
        self.output(output)?.read_bytes(bytes)
    }

    /// Reads an output of fp16 or fp32 elements: as many numbers as it has elements.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_f32`].
    pub fn read_output_f32(&self, output: impl Which, values: &mut [f32]) -> Result<(), Error> {
        self.output(output)?.read_numbers(0, None, values)
    }

    /// Reads an output of fp16 elements.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_f32`].
    pub fn read_output_fp16(&self, output: impl Which, values: &mut [f32]) -> Result<(), Error> {
        let output = self.output(output)?;
        output.only_fp16()?;
        output.read_numbers(0, None, values)
    }

    /// Reads some channels of an output of fp16 elements, from this one on.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_fp16_channels`].
    pub fn read_output_fp16_channels(
        &self,
        output: impl Which,
        channel: usize,
        values: &mut [f32],
    ) -> Result<(), Error> {
        let output = self.output(output)?;
        output.only_fp16()?;
        let channels = output.whole_channels(channel, values.len())?;
        output.read_numbers(channel, Some(channels), values)
    }

    /// Reads an output whose elements are of exactly this type.
    ///
    /// # Errors
    ///
    /// As [`Request::write_input_f32`].
    pub fn read_output_elements<T: Element>(
        &self,
        output: impl Which,
        elements: &mut [T],
    ) -> Result<(), Error> {
        self.output(output)?.read_elements(elements)
    }
}

/// A tensor in a surface, to read or write.
pub(crate) struct Access<'a> {
    pub(crate) port: &'a Port,
    pub(crate) surface: &'a Surface,
}

impl Access<'_> {
    fn lock(&self) -> Result<ReadGuard, Error> {
        self.surface.lock()
    }

    fn lock_mut(&self) -> Result<WriteGuard, Error> {
        self.surface.lock_mut()
    }

    fn length(&self, counted: &str, expected: usize, found: usize) -> Result<(), Error> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Length { what: format!("`{}`, in {counted},", self.port.name), expected, found })
    }

    fn only_fp16(&self) -> Result<(), Error> {
        if self.port.dtype == crate::types::DType::Fp16 {
            return Ok(());
        }
        Err(Error::Invalid(format!("`{}` has {} elements, not fp16", self.port.name, self.port.dtype)))
    }

    pub(crate) fn number(&self) -> Result<Number, Error> {
        Number::of(self.port.dtype).ok_or_else(|| {
            Error::Invalid(format!(
                "`{}` has {} elements, not fp16 or fp32: read and write them by their own type",
                self.port.name, self.port.dtype
            ))
        })
    }

    /// How many channels so many numbers are, that begin at this one.
    fn whole_channels(&self, channel: usize, numbers: usize) -> Result<usize, Error> {
        let layout = &self.port.layout;
        // As of a slice, nothing may be taken behind the last one.
        if channel > layout.channels || channel == layout.channels && numbers > 0 {
            let (name, has) = (&self.port.name, layout.channels);
            return Err(Error::Invalid(format!("`{name}` has no channel {channel}: it has {has}")));
        }
        let left = layout.channels - channel;
        let channels = numbers / layout.channel_elements();
        if numbers.is_multiple_of(layout.channel_elements()) && channels <= left {
            return Ok(channels);
        }
        let what = format!(
            "`{}` from channel {channel} on, in whole channels of {},",
            self.port.name,
            layout.channel_elements()
        );
        Err(Error::Length { what, expected: left * layout.channel_elements(), found: numbers })
    }

    fn write_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let all = self.port.layout.alloc_size();
        self.length("bytes", all, bytes.len())?;
        self.lock_mut()?[..all].copy_from_slice(bytes);
        Ok(())
    }

    fn read_bytes(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let all = self.port.layout.alloc_size();
        self.length("bytes", all, bytes.len())?;
        bytes.copy_from_slice(&self.lock()?[..all]);
        Ok(())
    }

    pub(crate) fn write_numbers(
        &self,
        channel: usize,
        channels: Option<usize>,
        values: &[f32],
    ) -> Result<(), Error> {
        let (number, layout) = (self.number()?, &self.port.layout);
        let channels = channels.unwrap_or(layout.channels);
        self.length("elements", channels * layout.channel_elements(), values.len())?;
        scatter_as(number, &mut self.lock_mut()?, layout, channel..channel + channels, values);
        Ok(())
    }

    pub(crate) fn read_numbers(
        &self,
        channel: usize,
        channels: Option<usize>,
        values: &mut [f32],
    ) -> Result<(), Error> {
        let (number, layout) = (self.number()?, &self.port.layout);
        let channels = channels.unwrap_or(layout.channels);
        self.length("elements", channels * layout.channel_elements(), values.len())?;
        gather_as(number, &self.lock()?, layout, channel..channel + channels, values);
        Ok(())
    }

    fn only<T: Element>(&self, elements: usize) -> Result<(), Error> {
        if self.port.dtype != T::DTYPE {
            return Err(Error::Invalid(format!(
                "`{}` has {} elements, not {}",
                self.port.name,
                self.port.dtype,
                T::DTYPE
            )));
        }
        self.length("elements", self.port.layout.logical_elements(), elements)
    }

    pub(crate) fn write_elements<T: Element>(&self, elements: &[T]) -> Result<(), Error> {
        self.only::<T>(elements.len())?;
        let layout = &self.port.layout;
        scatter(&mut self.lock_mut()?, layout, 0..layout.channels, bytemuck::cast_slice(elements));
        Ok(())
    }

    pub(crate) fn read_elements<T: Element>(&self, elements: &mut [T]) -> Result<(), Error> {
        self.only::<T>(elements.len())?;
        let layout = &self.port.layout;
        gather(&self.lock()?, layout, 0..layout.channels, bytemuck::cast_slice_mut(elements));
        Ok(())
    }
}

/// Reading and writing, which another type leaves to its request.
macro_rules! delegate {
    (ref $owner:ty, |$this:ident| $request:expr;
        $(fn $name:ident$(<$t:ident: $bound:ident>)?(&self, $($arg:ident: $ty:ty),*);)*) => {
        impl $owner { $(
            #[doc = concat!("As [`Request::", stringify!($name), "`].")]
            ///
            /// # Errors
            ///
            #[doc = concat!("As [`Request::", stringify!($name), "`].")]
            pub fn $name$(<$t: $bound>)?(&self, $($arg: $ty),*) -> Result<(), Error> {
                let $this = self;
                $request.$name($($arg),*)
            }
        )* }
    };
    ($owner:ty, |$this:ident| $request:expr;
        $(fn $name:ident$(<$t:ident: $bound:ident>)?(&mut self, $($arg:ident: $ty:ty),*);)*) => {
        impl $owner { $(
            #[doc = concat!("As [`Request::", stringify!($name), "`].")]
            ///
            /// # Errors
            ///
            #[doc = concat!("As [`Request::", stringify!($name), "`].")]
            pub fn $name$(<$t: $bound>)?(&mut self, $($arg: $ty),*) -> Result<(), Error> {
                let $this = self;
                $request.$name($($arg),*)
            }
        )* }
    };
}
pub(super) use delegate;
