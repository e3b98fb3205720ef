//! Evaluations of the software engine: at once, on a thread of its own, or when events have come.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use anemone_apple::Claim;

use super::event::Watch;
use super::software::Software;
use super::timeline::Promise;
use crate::error::Error;
use crate::faults::{Fate, Quirks, Way};
use crate::surface::{ReadGuard, Surface, WriteGuard};

impl Software {
    /// Runs; whether it is said how long it took.
    pub(super) fn run(&self, way: Way) -> Result<bool, Error> {
        let mut taken = Taken::new(self)?;
        let quirks = match self.troubled().map(|t| (t, t.fate(way))) {
            None => None,
            Some((_, Fate::Runs(quirks))) => Some(quirks),
            Some((_, Fate::Refused(error))) => return Err(error),
            Some((troubled, Fate::Hangs)) => return Err(troubled.hang()),
        };
        taken.run(quirks)?;
        Ok(quirks.is_none_or(|q| !q.no_statistics))
    }

    /// Starts an evaluation, and calls `done` when it has ended: exactly once, also when nothing was started. By then the
    /// surfaces are free, and what runs has let go of the request.
    pub(super) fn start(self: &Arc<Self>, done: impl FnOnce(Result<(), Error>) + Send + 'static) {
        let end = End(Some(done));
        let mut taken = match Taken::new(self.clone()) {
            Ok(taken) => taken,
            Err(e) => return end.tell(Err(e)),
        };
        let quirks = match self.troubled().map(|t| (t, t.fate(Way::Plain))) {
            None => None,
            Some((_, Fate::Runs(quirks))) => Some(quirks),
            Some((_, Fate::Refused(error))) => {
                drop(taken);
                return end.tell(Err(error));
            }
            Some((troubled, Fate::Hangs)) => {
                return troubled.hold(move |error| {
                    drop(taken);
                    end.tell(Err(error));
                });
            }
        };
        self.workers().submit(Box::new(move || {
            let run = AssertUnwindSafe(|| taken.run(quirks));
            let result = std::panic::catch_unwind(run).unwrap_or_else(|_| Err(panicked()));
            drop(taken);
            end.tell(result);
        }));
    }

    /// Starts an evaluation that begins when events have come, and signals others at its end. Calls `done` as
    /// [`Software::start`] does, if it was started; by then the events were signalled. No thread waits for events.
    pub(super) fn start_with_events(
        self: &Arc<Self>,
        waits: Vec<(Watch, u64)>,
        signals: Vec<Promise>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let turn = Turn::new(self.clone())?;
        let claim = |s: &Surface| s.as_apple().claim().map_err(|e| Error::Surface(e.to_string()));
        let all = |surfaces: &[Surface]| surfaces.iter().map(claim).collect::<Result<_, _>>();
        let claims = Claims { inputs: all(&self.inputs)?, outputs: all(&self.outputs)? };
        Waiting { waits, claims, turn, signals, end: End(Some(done)) }.go_on();
        Ok(())
    }
}

fn panicked() -> Error {
    Error::of_engine("the software engine has panicked")
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

impl<S: Deref<Target = Software>> Turn<S> {
    fn new(software: S) -> Result<Self, Error> {
        if software.runs.swap(true, Ordering::Acquire) {
            return Err(Error::Surface("the request runs already: wait until it has ended".into()));
        }
        Ok(Self(software))
    }
}

impl<S: Deref<Target = Software>> Drop for Turn<S> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Release);
    }
}

impl<S: Deref<Target = Software>> Taken<S> {
    /// What somebody has locked is found before anything is computed.
    fn new(software: S) -> Result<Self, Error> {
        let turn = Turn::new(software)?;
        let (inputs, outputs) =
            std::mem::take(&mut *turn.0.guards.lock().unwrap_or_else(PoisonError::into_inner));
        let mut taken = Self { inputs, outputs, turn };
        for surface in &taken.turn.0.outputs {
            taken.outputs.push(surface.lock_mut()?);
        }
        for surface in &taken.turn.0.inputs {
            taken.inputs.push(surface.lock()?);
        }
        Ok(taken)
    }

    fn run(&mut self, quirks: Option<Quirks>) -> Result<(), Error> {
        let software = &*self.turn.0;
        match quirks {
            None => software.compute(&self.inputs, &mut self.outputs),
            Some(quirks) => software.compute_oddly(&self.inputs, &mut self.outputs, quirks),
        }
    }
}

impl<S: Deref<Target = Software>> Drop for Taken<S> {
    fn drop(&mut self) {
        self.inputs.clear();
        self.outputs.clear();
        let rooms = (std::mem::take(&mut self.inputs), std::mem::take(&mut self.outputs));
        *self.turn.0.guards.lock().unwrap_or_else(PoisonError::into_inner) = rooms;
    }
}

/// An evaluation that waits for events, and signals others.
struct Waiting<D: FnOnce(Result<(), Error>)> {
    /// What is still waited for.
    waits: Vec<(Watch, u64)>,
    // In the order in which they are given up if nothing comes of it: who is told can lock the surfaces.
    claims: Claims,
    turn: Turn<Arc<Software>>,
    signals: Vec<Promise>,
    end: End<D>,
}

struct Claims {
    inputs: Vec<Claim>,
    outputs: Vec<Claim>,
}

impl<D: FnOnce(Result<(), Error>) + Send + 'static> Waiting<D> {
    /// Waits for the next event; runs when there is none left.
    fn go_on(mut self) {
        let Some((watch, value)) = self.waits.pop() else { return self.submit() };
        let Watch::Software(timeline, port) = watch else {
            unreachable!("the events of the software engine are of its own kind")
        };
        let event = timeline.clone();
        timeline.when(
            value,
            Box::new(move |reached| {
                if reached {
                    self.go_on();
                } else {
                    let reached = event.value();
                    self.fail(Error::NeverSignaled { port, value, reached });
                }
            }),
        );
    }

    fn submit(self) {
        let software = self.turn.0.clone();
        let quirks = match software.troubled().map(|t| (t, t.fate(Way::Events))) {
            None => None,
            Some((_, Fate::Runs(quirks))) => Some(quirks),
            Some((_, Fate::Refused(error))) => return self.fail(error),
            Some((troubled, Fate::Hangs)) => return troubled.hold(move |error| self.fail(error)),
        };
        software.workers().submit(Box::new(move || {
            let run = AssertUnwindSafe(|| self.run(quirks));
            match std::panic::catch_unwind(run).unwrap_or_else(|_| Err(panicked())) {
                Ok(()) => {
                    let Self { claims, turn, signals, end, .. } = self;
                    drop((claims, turn));
                    signals.into_iter().for_each(Promise::keep);
                    end.tell(Ok(()));
                }
                Err(e) => self.fail(e),
            }
        }));
    }

    fn run(&self, quirks: Option<Quirks>) -> Result<(), Error> {
        let of_claim = |e: anemone_apple::Error| Error::Surface(e.to_string());
        let Claims { inputs, outputs } = &self.claims;
        let mut outputs =
            outputs.iter().map(Claim::write).collect::<Result<Vec<_>, _>>().map_err(of_claim)?;
        let inputs = inputs.iter().map(Claim::read).collect::<Result<Vec<_>, _>>().map_err(of_claim)?;
        match quirks {
            None => self.turn.0.compute(&inputs, &mut outputs),
            Some(quirks) => self.turn.0.compute_oddly(&inputs, &mut outputs, quirks),
        }
    }

    /// As on the hardware, the events of what fails do not come.
    fn fail(self, error: Error) {
        let Self { claims, turn, signals, end, .. } = self;
        drop((claims, turn));
        let events: Vec<_> = signals.into_iter().map(Promise::give_up).collect();
        // Whoever waits for the events, and is told that nobody has them any more, should know this first.
        end.tell(Err(error));
        drop(events);
    }
}
