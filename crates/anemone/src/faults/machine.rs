//! The machine that is struck: what it counts, and what becomes of each call.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anemone_apple::{Clock, Error as Apple, Feature, Pace};

use super::{Call, Fault, Faults, Strike, When, answer};
use crate::error::{Doing, Error};

/// How many programs the driver has places for (source: ANEForge, of code 6 at the 128th load).
const PLACES: usize = 127;
/// How many strikes are kept.
const STRIKES: usize = 1 << 16;
/// How much longer a slow evaluation takes (source: the M6 study, of an engine that was switched off).
const LATE: Duration = Duration::from_millis(50);

/// A time that passes when it is waited for.
#[derive(Debug, Default)]
struct Hands(Mutex<Duration>);

impl Clock for Hands {
    fn now(&self) -> Duration {
        *lock(&self.0)
    }

    fn sleep(&self, time: Duration) {
        *lock(&self.0) += time;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What copies of [`Faults`] share.
pub(crate) struct Machine {
    state: Mutex<State>,
    releases: Mutex<Releases>,
    released: Condvar,
    clock: Arc<Hands>,
    /// Tries again and waits as it does over Apple's frameworks.
    pace: Pace,
}

#[derive(Default)]
struct Releases {
    /// How often what hangs was let go.
    count: u64,
    /// Whether nobody is left who could.
    abandoned: bool,
}

#[derive(Default)]
struct State {
    seed: u64,
    /// In the order of the table.
    plan: Vec<(Fault, When)>,
    calls: [u64; Call::ALL.len()],
    strikes: VecDeque<Strike>,
    compiled: usize,
    loaded: usize,
    /// How many places were lost.
    leaked: usize,
    /// Whether a program with `tile` has run that spoiled the engine.
    poisoned: bool,
    /// How often all that was loaded was lost.
    era: u64,
}

impl State {
    fn strike(&mut self, fault: Fault, call: Call) {
        if self.strikes.len() == STRIKES {
            self.strikes.pop_front();
        }
        self.strikes.push_back(Strike { fault, call, number: self.calls[call as usize] });
    }

    /// Counts a call, and gives what strikes it of what can: one that ends it, or some that are silent.
    fn call(&mut self, call: Call, can: impl Fn(Fault) -> bool) -> Vec<Fault> {
        self.calls[call as usize] += 1;
        let number = self.calls[call as usize];
        let struck = |(fault, when): &(Fault, When)| {
            fault.mode().call == call && can(*fault) && when.strikes(number, self.seed, *fault)
        };
        let mut struck: Vec<Fault> =
            self.plan.iter().filter(|p| struck(p)).map(|(fault, _)| *fault).collect();
        if struck.first().is_some_and(|f| f.mode().ends) {
            struck.truncate(1);
        }
        struck.iter().for_each(|&f| self.strike(f, call));
        struck
    }
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        let clock = Arc::new(Hands::default());
        Self {
            state: Mutex::new(State { seed, ..State::default() }),
            releases: Mutex::default(),
            released: Condvar::new(),
            pace: Pace::new(clock.clone()),
            clock,
        }
    }

    pub(super) fn plan(&self, fault: Fault, when: When) {
        let plan = &mut lock(&self.state).plan;
        plan.retain(|(f, _)| *f != fault);
        plan.push((fault, when));
        plan.sort_unstable_by_key(|(f, _)| *f);
    }

    pub(super) fn set_seed(&self, seed: u64) {
        lock(&self.state).seed = seed;
    }

    pub(super) fn planned(&self) -> (Vec<(Fault, When)>, u64) {
        let state = lock(&self.state);
        (state.plan.clone(), state.seed)
    }

    pub(super) fn strikes(&self) -> Vec<Strike> {
        lock(&self.state).strikes.iter().copied().collect()
    }

    pub(super) fn calls(&self, call: Call) -> u64 {
        lock(&self.state).calls[call as usize]
    }

    pub(super) fn waited(&self) -> Duration {
        self.clock.now()
    }

    /// Compiles: the faults that nobody hears of, of those that the program has a place for.
    pub(crate) fn compile(&self, can: impl Fn(Fault) -> bool) -> Result<Vec<Fault>, Error> {
        let silent = RefCell::new(Vec::new());
        let attempt = || {
            let mut state = lock(&self.state);
            let struck = state.call(Call::Compile, &can);
            let ending = struck.first().filter(|f| f.mode().ends);
            if ending != Some(&Fault::CompileBudget) {
                state.compiled += 1;
            }
            if let Some(&fault) = ending {
                return Err(answer::to(fault, state.compiled, state.loaded));
            }
            silent.replace(struck);
            Ok(())
        };
        let compiled = self.pace.compile(|| self.pace.patiently(Some(&|| Ok(())), attempt));
        compiled.map_err(|e| Error::from_apple(Doing::Compile, e))?;
        let silent = silent.into_inner();
        if silent.contains(&Fault::CompilerStalls) {
            self.wait();
        }
        Ok(silent)
    }

    /// Loads; what is loaded has a place from then on.
    fn load(&self) -> Result<u64, Error> {
        let era = RefCell::new(0);
        let attempt = || {
            let mut state = lock(&self.state);
            let mut struck = state.call(Call::Load, |_| true);
            if struck.is_empty() && state.leaked > 0 && state.loaded + state.leaked >= PLACES {
                state.strike(Fault::PlacesLeak, Call::Load);
                struck.push(Fault::PlacesLeak);
            }
            if let Some(&fault) = struck.first() {
                return Err(answer::to(fault, state.compiled, state.loaded));
            }
            state.loaded += 1;
            era.replace(state.era);
            Ok(())
        };
        let loaded = self.pace.patiently(Some(&|| Ok(())), attempt);
        loaded.map_err(|e| Error::from_apple(Doing::Load, e))?;
        Ok(era.into_inner())
    }

    fn unload(&self) {
        let mut state = lock(&self.state);
        let leaks = state.call(Call::Unload, |_| true).contains(&Fault::PlacesLeak);
        state.loaded -= 1;
        state.leaked += usize::from(leaks);
    }

    /// Makes a surface of so many bytes.
    pub(crate) fn surface(&self, bytes: usize) -> Result<(), Error> {
        match lock(&self.state).call(Call::Surface, |_| true).first() {
            None => Ok(()),
            Some(_) => Err(Error::Surface(format!("no surface of {bytes} bytes could be made"))),
        }
    }

    /// Waits until what hangs is let go.
    fn wait(&self) {
        let mut releases = lock(&self.releases);
        let before = releases.count;
        while releases.count == before && !releases.abandoned {
            releases = self.released.wait(releases).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("plan", &self.planned()).finish_non_exhaustive()
    }
}

/// Evaluations that hang, without a thread that waits for them.
pub(crate) struct Held {
    machine: Arc<Machine>,
    ends: Mutex<Vec<End>>,
}

/// What ends an evaluation that hangs.
type End = Box<dyn FnOnce(Error) + Send>;

impl Held {
    pub(super) fn new(machine: &Arc<Machine>) -> Self {
        Self { machine: machine.clone(), ends: Mutex::default() }
    }

    pub(super) fn release(&self) {
        lock(&self.machine.releases).count += 1;
        self.machine.released.notify_all();
        let ends = std::mem::take(&mut *lock(&self.ends));
        ends.into_iter().for_each(|end| end(given_up()));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.machine.releases).abandoned = true;
        self.release();
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("ends", &lock(&self.ends).len()).finish_non_exhaustive()
    }
}

/// What is said of an evaluation that hung.
fn given_up() -> Error {
    Error::from_apple(Doing::Evaluate, answer::to(Fault::Hangs, 0, 0))
}

/// How a program is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// Past the daemon, or below the model.
    Shortcut(Feature),
    /// With statistics.
    Timed,
    /// With shared events.
    Events,
}

/// What becomes of an evaluation.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It runs, and something may be wrong with it.
    Runs(Quirks),
    /// It fails.
    Refused(Error),
    /// It hangs.
    Hangs,
}

/// What nobody is told of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quirks {
    /// How much longer it takes.
    pub(crate) late: Option<Duration>,
    pub(crate) zero_outputs: bool,
    pub(crate) stale_outputs: bool,
    pub(crate) fp32_zeros: bool,
    pub(crate) no_statistics: bool,
    poisons: bool,
}

/// A program that is loaded on a machine with faults.
#[derive(Debug)]
pub(crate) struct Troubled {
    machine: Arc<Machine>,
    held: Weak<Held>,
    /// Of which of the machine's lives it is.
    era: u64,
    /// Whether it repeats tensors.
    tiles: bool,
    /// Whether it takes numbers of fp32.
    takes_fp32: bool,
}

impl Troubled {
    /// Loads.
    pub(crate) fn new(faults: &Faults, tiles: bool, takes_fp32: bool) -> Result<Self, Error> {
        let era = faults.machine().load()?;
        let (machine, held) = (faults.machine().clone(), Arc::downgrade(faults.held()));
        Ok(Self { machine, held, era, tiles, takes_fp32 })
    }

    /// Makes a surface of so many bytes for what it takes or gives.
    pub(crate) fn surface(&self, bytes: usize) -> Result<(), Error> {
        self.machine.surface(bytes)
    }

    /// What becomes of an evaluation that begins.
    pub(crate) fn fate(&self, way: Way) -> Fate {
        let mut state = lock(&self.machine.state);
        let spoiled = if state.poisoned {
            Some(Fault::TilePoisons)
        } else {
            (self.era < state.era).then_some(Fault::ProgramLost)
        };
        let can = |fault| match fault {
            _ if spoiled.is_some() => false,
            Fault::ShortcutMissing => matches!(way, Way::Shortcut(_)),
            Fault::NoStatistics => way == Way::Timed,
            Fault::EventsLost => way == Way::Events,
            Fault::TilePoisons => self.tiles,
            Fault::Fp32Zeros => self.takes_fp32,
            _ => true,
        };
        let mut struck = state.call(Call::Evaluate, can);
        if let Some(fault) = spoiled {
            state.strike(fault, Call::Evaluate);
            struck.push(fault);
        }
        let refused = |apple: Apple| Fate::Refused(Error::from_apple(Doing::Evaluate, apple));
        let has = |fault| struck.contains(&fault);
        match (struck.first(), way) {
            (Some(Fault::Hangs | Fault::EventsLost), _) => Fate::Hangs,
            (Some(Fault::ShortcutMissing), Way::Shortcut(feature)) => refused(answer::shortcut(feature)),
            (Some(&fault), _) if fault.mode().ends || spoiled.is_some() => {
                if spoiled.is_none() && fault == Fault::ProgramLost {
                    state.era += 1;
                }
                refused(answer::to(fault, state.compiled, state.loaded))
            }
            _ => Fate::Runs(Quirks {
                late: has(Fault::Slow).then_some(LATE),
                zero_outputs: has(Fault::ZeroOutputs),
                stale_outputs: has(Fault::StaleOutputs),
                fp32_zeros: has(Fault::Fp32Zeros),
                no_statistics: has(Fault::NoStatistics),
                poisons: has(Fault::TilePoisons),
            }),
        }
    }

    /// What an evaluation leaves behind that has ended.
    pub(crate) fn ran(&self, quirks: Quirks) {
        if quirks.poisons {
            lock(&self.machine.state).poisoned = true;
        }
    }

    /// Waits until what hangs is let go, and says what is said of it then.
    pub(crate) fn hang(&self) -> Error {
        self.machine.wait();
        given_up()
    }

    /// Has this called with what is said of an evaluation that hung, when it is let go.
    pub(crate) fn hold(&self, end: impl FnOnce(Error) + Send + 'static) {
        match self.held.upgrade() {
            Some(held) => lock(&held.ends).push(Box::new(end)),
            None => end(given_up()),
        }
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        self.machine.unload();
    }
}
