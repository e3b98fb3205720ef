//! Chains: evaluations that the driver starts one after the other, without a return to the client.

use std::sync::Arc;
use std::time::Duration;

use super::event::SharedEvent;
use super::loaded::Loaded;
use super::request::{bind_all, dispatch_all, surface_object};
use crate::abi::{Bool, Id};
use crate::error::Error;
use crate::foundation;
use crate::framework::{Framework, Retained};
use crate::message::Feature;
use crate::messages::*;
use crate::surface::{Share, Surface};

/// A function of a loaded model as a chain, with surfaces for its inputs and outputs: a request of another kind.
///
/// Every report of a process without Apple's entitlements has the system refuse it, with error 15, whatever is asked.
/// Two models that share a surface, or one program in place of two, do what chains are for.
///
/// ```
/// # use anemone_apple::fake::{Fake, Machine};
/// # let fake = Fake::new(Machine { entitled: true, ..Machine::computing() });
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// use anemone_apple::neural::experimental::{Chain, PreparedChain};
/// use std::time::Duration;
/// let mut chain: PreparedChain = Chain::new(&model, "main", &[("x", &x)], &[("y", &y)])?.prepare()?;
/// chain.run(Duration::from_secs(60))?;
/// assert_eq!(chain.rounds(), 1);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct Chain(Parts);

/// A chain that the system has accepted.
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(anemone_apple::fake::Machine::computing());
/// # let framework = fake.open()?;
/// # use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// # let model = Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default)?;
/// # let main = model.procedure("main")?;
/// # let (x, y) = (model.surface(&main.inputs[0])?, model.surface(&main.outputs[0])?);
/// use anemone_apple::Error;
/// use anemone_apple::neural::experimental::{Chain, PreparedChain};
/// // A process without Apple's entitlements is refused.
/// let chain: Result<PreparedChain, Error> = Chain::new(&model, "main", &[("x", &x)], &[("y", &y)])?.prepare();
/// assert!(matches!(chain, Err(Error::Refused(_))));
/// # Ok::<(), anemone_apple::Error>(())
/// ```
#[derive(Debug)]
pub struct PreparedChain {
    // What the engine may still write must not be given up: it stays for ever then.
    parts: Arc<Parts>,
    round: u64,
    stuck: bool,
}

#[derive(Debug)]
struct Parts {
    model: Loaded,
    object: Retained,
    /// The number of the function.
    procedure: u32,
    /// The symbol indices of the inputs.
    symbols: Vec<u64>,
    /// Inputs, outputs, and what the driver writes statistics to.
    surfaces: Vec<Surface>,
    /// Signalled at the end of each round.
    event: SharedEvent,
}

// SAFETY: the object is not changed once it is made, and may be used from any thread, as those of a request.
unsafe impl Send for Parts {}
// SAFETY: as above.
unsafe impl Sync for Parts {}

/// What a buffer is for.
const INPUT: i64 = 0;
const OUTPUT: i64 = 1;
/// The bytes of the statistics that an output set must have.
const STATISTICS: usize = 64;

impl Chain {
    /// Binds surfaces to the inputs and outputs of a function, by name.
    ///
    /// # Errors
    ///
    /// As [`Loaded::request`], [`Error::Unavailable`] when this macOS has no chains, [`Error::Unexpected`] when the
    /// framework finds the chain not valid.
    pub fn new(
        model: &Loaded,
        procedure: &str,
        inputs: &[(&str, &Surface)],
        outputs: &[(&str, &Surface)],
    ) -> Result<Self, Error> {
        let framework = model.framework();
        framework.require(Feature::Chaining)?;
        let event = SharedEvent::new(framework)?;
        let function = model.procedure(procedure)?;
        let number = |n: u64| foundation::number(framework, n);
        let index = u32::try_from(function.index).map_err(|_| {
            Error::Invalid(format!("the function `{procedure}` has the index {}", function.index))
        })?;
        let (inputs, outputs) = bind_all(function, inputs, outputs)?;
        let _pool = framework.pool();
        let buffers = |bound: &[(&super::Symbol, &Surface)], source: i64| {
            let one = |(symbol, surface): &(&super::Symbol, &Surface)| {
                let (object, symbol) = (surface_object(framework, surface)?, number(symbol.index)?);
                let arguments = (object.id(), symbol.id(), source);
                // SAFETY: a surface object and a number; a factory gives nil or an autoreleased object, and the pool
                // is open.
                unsafe {
                    let made = framework.send(BUFFER_WITH, framework.class(BUFFER).id(), arguments);
                    foundation::made(framework, made, "+[_ANEBuffer bufferWithIOSurfaceObject:…]")
                }
            };
            let all = bound.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            foundation::array(framework, &all)
        };
        let input_buffers = buffers(&inputs, INPUT)?;
        let output_buffers = buffers(&outputs, OUTPUT)?;
        let statistics = Surface::new(framework, STATISTICS)?;
        // SAFETY: a live surface and an array of buffers; as above.
        let set = unsafe {
            let class = framework.class(OUTPUT_SETS).id();
            let made = framework.send(OUTPUT_SETS_WITH, class, (statistics.raw()?, output_buffers.id()));
            foundation::made(framework, made, "+[_ANEIOSurfaceOutputSets objectWithstatsSurRef:…]")?
        };
        let sets = foundation::array(framework, [&set])?;
        let symbol = outputs.first().map_or(0, |(s, _)| s.index) as u32;
        let signal = event.to_signal(1, symbol)?;
        let signals = foundation::array(framework, [&signal])?;
        let (procedure, zero) = (number(function.index)?, number(0)?);
        let arguments = (
            input_buffers.id(),
            sets.id(),
            Id::NIL,
            Id::NIL,
            procedure.id(),
            signals.id(),
            zero.id(),
            zero.id(),
            zero.id(),
        );
        // SAFETY: arrays of the right objects, nil where it is allowed, numbers; as above.
        let object = unsafe {
            let class = framework.class(CHAINING_REQUEST).id();
            let made = framework.send(CHAINING_REQUEST_WITH, class, arguments);
            let object =
                foundation::made(framework, made, "+[_ANEChainingRequest chainingRequestWithInputs:…]")?;
            if !framework.send(CHAINING_VALIDATE, object.id(), ()).get() {
                return Err(Error::Unexpected {
                    message: "-[_ANEChainingRequest validate]",
                    gave: "NO".into(),
                });
            }
            object
        };
        Ok(Self(Parts {
            model: model.clone(),
            object,
            procedure: index,
            symbols: inputs.iter().map(|(s, _)| s.index).collect(),
            surfaces: inputs.iter().chain(&outputs).map(|(_, s)| (*s).clone()).chain([statistics]).collect(),
            event,
        }))
    }

    /// Asks the system to accept the chain.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with error 15, as far as is known always without an entitlement.
    pub fn prepare(self) -> Result<PreparedChain, Error> {
        let parts = self.0;
        let framework = parts.model.framework();
        {
            let options = foundation::dictionary(framework, [])?;
            let quality = parts.model.quality().value();
            let (inner, request) = (parts.model.inner(), parts.object.id());
            let _pool = framework.pool();
            // SAFETY: live objects of the right classes. The model is the `_ANEModel`: the client asks it for `getUUID`,
            // which an `_ANEInMemoryModel` does not have.
            unsafe {
                framework.try_send(PREPARE_CHAINING, framework.client()?, |error| {
                    (inner, options.id(), request, quality, error)
                })?;
            }
        }
        Ok(PreparedChain { parts: Arc::new(parts), round: 0, stuck: false })
    }
}

impl PreparedChain {
    /// How many rounds have ended.
    pub fn rounds(&self) -> u64 {
        self.round
    }

    /// Runs the function once: names the outputs, says that the inputs are ready, and waits, at most so long.
    ///
    /// A round that was not done in time is never taken for done: its surfaces stay as they are for ever.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when the engine refuses, [`Error::TimedOut`], [`Error::Surface`] when a surface is locked or
    /// an earlier round has not ended.
    pub fn run(&mut self, time: Duration) -> Result<(), Error> {
        if self.stuck {
            return Err(Error::Surface("an earlier round of the chain has not ended".into()));
        }
        let parts = self.parts.clone();
        dispatch_all(&parts.surfaces, parts.symbols.len(), Share::Alone)?;
        if let Err(e) = parts.enqueue(self.round + 1) {
            parts.surfaces.iter().for_each(Surface::finish);
            return Err(e);
        }
        // From here on the engine may write.
        self.stuck = true;
        parts.inputs_ready()?;
        if !parts.event.wait(self.round + 1, time) {
            return Err(Error::TimedOut { what: "a round of a chain".into(), within: time });
        }
        parts.surfaces.iter().for_each(Surface::finish);
        (self.round, self.stuck) = (self.round + 1, false);
        Ok(())
    }
}

impl Drop for PreparedChain {
    fn drop(&mut self) {
        if self.stuck {
            std::mem::forget(self.parts.clone());
        }
    }
}

impl Parts {
    /// Gives the driver the outputs of a round, and the value that is signalled at its end.
    fn enqueue(&self, value: u64) -> Result<(), Error> {
        let framework = self.model.framework();
        let _pool = framework.pool();
        // SAFETY: the class makes an object of numbers; a factory gives nil or an autoreleased object, and the pool is
        // open.
        let set = unsafe {
            let class = framework.class(OUTPUT_SET_ENQUEUE).id();
            let made = framework.send(OUTPUT_SET_WITH, class, (self.procedure, 0, value, Bool::NO, Bool::NO));
            foundation::made(framework, made, "+[_ANEOutputSetEnqueue outputSetWithProcedureIndex:…]")?
        };
        // SAFETY: the class answers with this prototype, and the set is alive.
        unsafe { self.tell(framework, ENQUEUE_SETS, &set) }
    }

    /// Tells the driver that the inputs are there.
    fn inputs_ready(&self) -> Result<(), Error> {
        let framework = self.model.framework();
        let _pool = framework.pool();
        let numbers = |values: &mut dyn Iterator<Item = u64>| {
            let all = values.map(|n| foundation::number(framework, n)).collect::<Result<Vec<_>, _>>()?;
            foundation::array(framework, &all)
        };
        let indices = numbers(&mut self.symbols.iter().copied())?;
        let free = numbers(&mut self.symbols.iter().map(|_| 0))?;
        // SAFETY: two arrays of as many numbers; as above.
        let ready = unsafe {
            let class = framework.class(INPUT_BUFFERS_READY).id();
            let arguments = (self.procedure, indices.id(), free.id(), 0);
            let made = framework.send(INPUT_BUFFERS_WITH, class, arguments);
            foundation::made(framework, made, "+[_ANEInputBuffersReady inputBuffersWithProcedureIndex:…]")?
        };
        // SAFETY: as for the outputs.
        unsafe { self.tell(framework, BUFFERS_READY, &ready) }
    }

    /// # Safety
    ///
    /// The message takes an object of this class.
    unsafe fn tell(
        &self,
        framework: &Framework,
        message: crate::message::Message<(Id, Id, Id, u32, *mut Id), Bool>,
        what: &Retained,
    ) -> Result<(), Error> {
        let options = foundation::dictionary(framework, [])?;
        let quality = self.model.quality().value();
        let inner = self.model.inner();
        // SAFETY: live objects; the rest is the caller's promise.
        unsafe {
            framework.try_send(message, framework.client()?, |error| {
                (inner, what.id(), options.id(), quality, error)
            })
        }
    }
}
