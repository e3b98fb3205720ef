//! An engine and another stage that take turns: the GPU, or the CPU.

use std::time::Duration;

use super::Client;
use super::event::{SharedEvent, SharedEventEvalOptions};
use super::metal::{MetalDevice, MetalEvent};
use super::model::Model;
use crate::error::Error;

/// Two events that keep an engine and another stage in order, with the count of turns.
///
/// The engine signals one event, and the other stage the other one: the GPU on a Mac, which is told by Metal to wait and to
/// signal, or the CPU anywhere ([`Pipeline::host_stage`]). The value of both is the number of the turn.
///
/// | call | the engine waits for | and signals | the counter |
/// |---|---|---|---|
/// | [`ane_to_metal`](Pipeline::ane_to_metal) | nothing | the next turn | goes on |
/// | [`wait_on_ane`](Pipeline::wait_on_ane) | the other stage's current turn | nothing | stays |
/// | [`bidirectional`](Pipeline::bidirectional) | the other stage's current turn | the next turn | goes on |
///
/// None of them waits: turns can be given ahead. Models come from packages, as for all events.
///
/// ```
/// use anemone::{Chip, Client, CompileOptions, ModelType, Pipeline};
/// use std::time::Duration;
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
/// let client = Client::software(Chip::M4);
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let mut model = client.compile(options)?;
/// let (long, mut pipeline) = (Duration::from_secs(60), Pipeline::on(&client)?);
/// pipeline.ane_to_metal(&mut model)?;
/// let mut results = Vec::new();
/// for turn in 1..=3 {
///     pipeline.host_stage(turn, long, || {
///         // What the engine has written is worked on here, and its next input is written.
///         let mut output = vec![0; model.output_alloc_size(0)?];
///         model.read_output(0, &mut output)?;
///         results.push(output);
///         Ok::<(), anemone::Error>(())
///     })??;
///     pipeline.bidirectional(&mut model)?;
/// }
/// model.finish(long)?;
/// assert_eq!((pipeline.counter(), results.len()), (4, 3));
/// # Ok::<(), anemone::Error>(())
/// ```
///
/// The other way round: the CPU works, and then the engine.
///
/// ```
/// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
///
/// use anemone::{Chip, Client, CompileOptions, ModelType, Pipeline};
/// let client = Client::software(Chip::M4);
/// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
/// let mut model = client.compile(options)?;
/// let long = std::time::Duration::from_secs(60);
/// let mut pipeline = Pipeline::on(&client)?;
/// assert!(pipeline.metal().is_none() && pipeline.events_of_metal().is_none(), "there is a GPU on a Mac only");
/// pipeline.ane_to_metal(&mut model)?; // turn 1 of the engine
/// assert!(pipeline.ane_event().wait(1, long));
/// pipeline.host_stage(1, long, || ())?; // turn 1 of the other stage
/// pipeline.wait_on_ane(&mut model)?; // runs once more, after that
/// model.finish(long)?;
/// assert_eq!((pipeline.metal_event().signaled_value(), pipeline.counter()), (1, 1));
/// pipeline.close();
/// # Ok::<(), anemone::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    ane: SharedEvent,
    metal: SharedEvent,
    gpu: Option<Gpu>,
    counter: u64,
}

/// The GPU, and the events as it has them.
#[derive(Debug)]
struct Gpu {
    device: MetalDevice,
    ane: MetalEvent,
    metal: MetalEvent,
}

/// What a turn that signals asks for: the stages are kept in order by events alone.
const SIGNALS: SharedEventEvalOptions =
    SharedEventEvalOptions { disable_io_fences_use_shared_events: true, enable_fw_to_fw_signal: false };
/// What a turn that only waits asks for: the GPU's firmware may signal the engine's.
const WAITS: SharedEventEvalOptions = SharedEventEvalOptions { enable_fw_to_fw_signal: true, ..SIGNALS };

impl Pipeline {
    /// A pipeline of the engine and the GPU of a Mac.
    ///
    /// # Errors
    ///
    /// As [`MetalDevice::new_metal_shared_event`].
    pub fn new(device: MetalDevice) -> Result<Self, Error> {
        let ((of_ane, ane), (of_metal, metal)) =
            (device.new_metal_shared_event()?, device.new_metal_shared_event()?);
        Ok(Self { ane, metal, gpu: Some(Gpu { device, ane: of_ane, metal: of_metal }), counter: 0 })
    }

    /// A pipeline of the client's engine and whatever stage waits for its events, and signals them.
    ///
    /// # Errors
    ///
    /// As [`SharedEvent::on`].
    pub fn on(client: &Client) -> Result<Self, Error> {
        Ok(Self { ane: SharedEvent::on(client)?, metal: SharedEvent::on(client)?, gpu: None, counter: 0 })
    }

    /// The event that the engine signals.
    pub fn ane_event(&self) -> &SharedEvent {
        &self.ane
    }

    /// The event that the other stage signals.
    pub fn metal_event(&self) -> &SharedEvent {
        &self.metal
    }

    /// The GPU, of a pipeline with one.
    pub fn metal(&self) -> Option<&MetalDevice> {
        self.gpu.as_ref().map(|gpu| &gpu.device)
    }

    /// Both events as the GPU has them: the one that it waits for, and the one that it signals.
    pub fn events_of_metal(&self) -> Option<(&MetalEvent, &MetalEvent)> {
        self.gpu.as_ref().map(|gpu| (&gpu.ane, &gpu.metal))
    }

    /// The number of the last turn that was given to the engine with a value to signal.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Has the engine run, and signal the next turn.
    ///
    /// # Errors
    ///
    /// As [`Model::eval_with_signal`]. The counter stays, then.
    pub fn ane_to_metal(&mut self, model: &mut Model) -> Result<(), Error> {
        let next = self.next()?;
        model.eval_with_signal(&self.ane, next, SIGNALS)?;
        self.counter = next;
        Ok(())
    }

    /// Has the engine run when the other stage has done the current turn.
    ///
    /// # Errors
    ///
    /// As [`Model::eval_with_wait`].
    pub fn wait_on_ane(&self, model: &mut Model) -> Result<(), Error> {
        model.eval_with_wait(&self.metal, self.counter, WAITS)
    }

    /// Has the engine run when the other stage has done the current turn, and signal the next one.
    ///
    /// # Errors
    ///
    /// As [`Model::eval_bidirectional_events`]. The counter stays, then.
    pub fn bidirectional(&mut self, model: &mut Model) -> Result<(), Error> {
        let next = self.next()?;
        model.eval_bidirectional_events(&self.metal, self.counter, &self.ane, next, SIGNALS)?;
        self.counter = next;
        Ok(())
    }

    /// The other stage on this CPU: waits until the engine has done a turn, does the work, and signals that it is done.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], with the event and the value that did not come; nothing was done then. As
    /// [`SharedEvent::signal`] when the turn was done before.
    pub fn host_stage<R>(&self, turn: u64, within: Duration, work: impl FnOnce() -> R) -> Result<R, Error> {
        if !self.ane.wait(turn, within) {
            let what = format!(
                "turn {turn} of the engine, whose shared event {} has reached {}",
                self.ane.port(),
                self.ane.signaled_value()
            );
            return Err(Error::TimedOut { what, within });
        }
        let result = work();
        self.metal.signal(turn)?;
        Ok(result)
    }

    /// Gives the events up, as dropping the pipeline does. What is under way goes on.
    pub fn close(self) {}

    fn next(&self) -> Result<u64, Error> {
        self.counter
            .checked_add(1)
            .ok_or_else(|| Error::Invalid("a pipeline has no turn after the last".into()))
    }
}
