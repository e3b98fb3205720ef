//! Evaluations that wait for shared events, and signal others.

use std::sync::Arc;
use std::time::Duration;

use anemone_apple::neural;

use super::evaluation::{Flight, of_apple};
use super::event::{self, SharedEvent, SharedEventEvalOptions, Watch};
use super::model::Model;
use super::request::{self, Request};
use super::sync::lock;
use super::timeline::Promise;
use crate::error::Error;

/// An evaluation with events that is under way, or whose end nobody has asked for.
#[derive(Debug)]
pub(super) struct UnderWay {
    run: Run,
    waits: Vec<(Watch, u64)>,
}

#[derive(Debug)]
enum Run {
    Hardware(neural::EventRun),
    Software(Arc<Flight>),
}

/// Events, and the values of them that are waited for or signalled.
type Values<'a> = [(&'a SharedEvent, u64)];

fn of_hardware<'a>(values: &Values<'a>) -> Result<Vec<(&'a neural::SharedEvent, u64)>, Error> {
    let one = |&(event, value): &(&'a SharedEvent, u64)| match &event.0 {
        event::Kind::Hardware(event) => Ok((event, value)),
        event::Kind::Software(_) => Err(other_engine(event)),
    };
    values.iter().map(one).collect()
}

fn other_engine(event: &SharedEvent) -> Error {
    Error::Invalid(format!(
        "the shared event {} is of another engine: make it by `SharedEvent::on` for the client of the model",
        event.port()
    ))
}

impl Request {
    /// Starts an evaluation that begins when events have reached their values, and that signals others at its end; does
    /// not wait for it. [`Request::finish`] waits, and says how it ended.
    ///
    /// Until its end nobody can lock its surfaces, but further evaluations with events may use them: the events keep them
    /// in order. When the events are signalled the surfaces are free. The events of an evaluation that fails do not come.
    ///
    /// ```
    /// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
    ///
    /// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent};
    /// use std::time::Duration;
    /// let client = Client::software(Chip::M4);
    /// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
    /// let mut request = client.compile(options)?.new_request()?;
    /// let (go, done) = (SharedEvent::on(&client)?, SharedEvent::on(&client)?);
    /// request.run_with_events(&[(&go, 1)], &[(&done, 1)], Default::default())?;
    /// go.signal(1)?;
    /// assert!(done.wait(1, Duration::from_secs(60)));
    /// request.finish(Duration::from_secs(60))?;
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::SharedEventRequiresPackage`] for a model of MIL text; [`Error::Invalid`] when the evaluation would wait
    /// for itself, when an event has reached the value that is to be signalled, or another evaluation is to signal it or
    /// a higher one, or when an event is of another engine; [`Error::Surface`] when somebody has a surface locked, or the
    /// request runs already; [`Error::UnsupportedSelector`] when this macOS has no shared events.
    pub fn run_with_events(
        &mut self,
        wait: &[(&SharedEvent, u64)],
        signal: &[(&SharedEvent, u64)],
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        if !self.loaded().is_package() {
            return Err(Error::SharedEventRequiresPackage);
        }
        self.settle();
        let run = match &mut self.kind {
            request::Kind::Hardware(request) => {
                let (wait, signal) = (of_hardware(wait)?, of_hardware(signal)?);
                let options = neural::EvaluateOptions {
                    disable_io_fences_use_shared_events: options.disable_io_fences_use_shared_events,
                    enable_fw_to_fw_signal: options.enable_fw_to_fw_signal,
                };
                let events = neural::Events { wait: &wait, signal: &signal };
                Run::Hardware(request.run_with_events(&events, options).map_err(of_apple)?)
            }
            request::Kind::Software(software) => {
                let handle = |event: &SharedEvent| match &event.0 {
                    event::Kind::Software(handle) => Ok(handle.clone()),
                    event::Kind::Hardware(_) => Err(other_engine(event)),
                };
                let mut waits = Vec::with_capacity(wait.len());
                for &(event, value) in wait {
                    let waited = handle(event)?;
                    for &(other, own) in signal {
                        if own <= value && Arc::ptr_eq(&waited, &handle(other)?) {
                            return Err(Error::Invalid(format!(
                                "the evaluation would wait for {value} of an event of which it signals {own} itself"
                            )));
                        }
                    }
                    waits.push((event.watch(), value));
                }
                let promise = |&(event, value): &(&SharedEvent, u64)| Promise::new(&handle(event)?, value);
                let promises = signal.iter().map(promise).collect::<Result<_, _>>()?;
                let flight = Flight::new();
                let told = flight.clone();
                software.start_with_events(waits, promises, move |result| told.end(result))?;
                Run::Software(flight)
            }
        };
        let waits = wait.iter().map(|&(event, value)| (event.watch(), value)).collect();
        *lock(&self.under_way) = Some(UnderWay { run, waits });
        Ok(())
    }

    /// Waits, so long, for the end of the last evaluation with events, and says how it ended. If there was none, or this
    /// was said before, there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], which names the events that have not come; [`Error::NeverSignaled`] when nobody can signal
    /// one of them any more; as [`Request::run`]. The hardware says nothing of an evaluation that fails: it is late.
    pub fn finish(&mut self, time: Duration) -> Result<(), Error> {
        let mut under_way = lock(&self.under_way);
        let Some(last) = &mut *under_way else { return Ok(()) };
        let in_time = match &mut last.run {
            Run::Hardware(run) => match run.wait(time) {
                Err(anemone_apple::Error::TimedOut { .. }) => None,
                other => Some(other.map_err(of_apple)),
            },
            Run::Software(flight) => flight.wait_within(time),
        };
        if let Some(result) = in_time {
            *under_way = None;
            return result;
        }
        let missing = last.waits.iter().filter_map(|(watch, value)| {
            let reached = watch.value();
            let words = || {
                format!(
                    " waits for {value} of the shared event {}, which has reached {reached}",
                    watch.port()
                )
            };
            (reached < *value).then(words)
        });
        let missing: Vec<String> = missing.collect();
        let function = self.loaded().function();
        let what = match missing.as_slice() {
            [] => format!("an evaluation of `{function}`"),
            some => format!("an evaluation of `{function}` that{}", some.join(" and")),
        };
        Err(Error::TimedOut { what, within: time })
    }

    /// Takes surfaces back from an evaluation with events, if it has ended. On the software engine it gives them back.
    pub(super) fn settle(&self) {
        let mut under_way = lock(&self.under_way);
        if let Some(UnderWay { run: Run::Hardware(run), .. }) = &mut *under_way
            && run.is_done()
        {
            *under_way = None;
        }
    }
}

impl Model {
    /// The event behind a port, of the model's engine.
    fn event(&self, port: u32) -> Result<SharedEvent, Error> {
        SharedEvent::opened(self.request().loaded().framework(), port)
    }

    /// Starts an evaluation on the model's surfaces that signals the event behind a port when it has ended; does not wait
    /// for it. [`Model::finish`] does.
    ///
    /// ```
    /// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent, SharedEventEvalOptions};
    /// use std::time::Duration;
    /// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
    /// let client = Client::software(Chip::M4);
    /// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
    /// let mut model = client.compile(options)?;
    /// let done = SharedEvent::on(&client)?;
    /// model.eval_with_signal_event(done.port(), 1, SharedEventEvalOptions::default())?;
    /// assert!(done.wait(1, Duration::from_secs(60)));
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// ```
    /// # let package_path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/digits.mlpackage").into();
    ///
    /// use anemone::{Chip, Client, CompileOptions, ModelType, SharedEvent, SharedEventEvalOptions};
    /// use std::time::Duration;
    /// let client = Client::software(Chip::M4);
    /// let options = CompileOptions { model_type: ModelType::Package, package_path, ..Default::default() };
    /// let mut model = client.compile(options)?;
    /// let (go, done, how) = (SharedEvent::on(&client)?, SharedEvent::on(&client)?, SharedEventEvalOptions::default());
    /// let long = Duration::from_secs(60);
    /// // By the port of an event, and by the event.
    /// model.eval_with_signal_event(done.port(), 1, how)?;
    /// assert!(done.wait(1, long));
    /// model.finish(long)?;
    /// model.eval_with_signal(&done, 2, how)?;
    /// model.finish(long)?;
    /// // Begins when `go` has come, and then signals.
    /// model.eval_bidirectional(go.port(), 1, done.port(), 3, how)?;
    /// assert!(!done.wait(3, Duration::ZERO));
    /// go.signal(1)?;
    /// assert!(done.wait(3, long));
    /// model.finish(long)?;
    /// model.eval_bidirectional_events(&go, 1, &done, 4, how)?;
    /// model.finish(long)?;
    /// // Begins when an event has come that is there already.
    /// model.eval_with_wait_event(done.port(), 4, how)?;
    /// model.finish(long)?;
    /// model.eval_with_wait(&done, 4, how)?;
    /// model.finish(long)?;
    /// assert_eq!(done.signaled_value(), 4);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Request::run_with_events`], and [`Error::Invalid`] when there is no event behind the port.
    pub fn eval_with_signal_event(
        &mut self,
        signal_port: u32,
        signal_value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        let event = self.event(signal_port)?;
        self.eval_with_signal(&event, signal_value, options)
    }

    /// Starts an evaluation on the model's surfaces when the event behind a port has reached a value.
    ///
    /// # Errors
    ///
    /// As [`Model::eval_with_signal_event`].
    pub fn eval_with_wait_event(
        &mut self,
        wait_port: u32,
        wait_value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        let event = self.event(wait_port)?;
        self.eval_with_wait(&event, wait_value, options)
    }

    /// Starts an evaluation on the model's surfaces when the event behind a port has reached a value, and signals that
    /// behind another when it has ended.
    ///
    /// # Errors
    ///
    /// As [`Model::eval_with_signal_event`].
    pub fn eval_bidirectional(
        &mut self,
        wait_port: u32,
        wait_value: u64,
        signal_port: u32,
        signal_value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        let wait = self.event(wait_port)?;
        // One port is one event, which it can see then.
        let signal = if signal_port == wait_port { wait.clone() } else { self.event(signal_port)? };
        self.eval_bidirectional_events(&wait, wait_value, &signal, signal_value, options)
    }

    /// As [`Model::eval_with_signal_event`], with the event itself.
    ///
    /// # Errors
    ///
    /// As [`Request::run_with_events`].
    pub fn eval_with_signal(
        &mut self,
        event: &SharedEvent,
        value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        self.request_mut().run_with_events(&[], &[(event, value)], options)
    }

    /// As [`Model::eval_with_wait_event`], with the event itself.
    ///
    /// # Errors
    ///
    /// As [`Request::run_with_events`].
    pub fn eval_with_wait(
        &mut self,
        event: &SharedEvent,
        value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        self.request_mut().run_with_events(&[(event, value)], &[], options)
    }

    /// As [`Model::eval_bidirectional`], with the events themselves.
    ///
    /// # Errors
    ///
    /// As [`Request::run_with_events`].
    pub fn eval_bidirectional_events(
        &mut self,
        wait: &SharedEvent,
        wait_value: u64,
        signal: &SharedEvent,
        signal_value: u64,
        options: SharedEventEvalOptions,
    ) -> Result<(), Error> {
        self.request_mut().run_with_events(&[(wait, wait_value)], &[(signal, signal_value)], options)
    }

    /// Waits, so long, for the end of the last evaluation with events, and says how it ended.
    ///
    /// # Errors
    ///
    /// As [`Request::finish`].
    pub fn finish(&mut self, time: Duration) -> Result<(), Error> {
        self.request_mut().finish(time)
    }
}
