//! How the software engine misbehaves on request, as the real one is known to do: for tests of applications.
//!
//! [`Faults`] say which fault strikes which calls. A client is made with them, and what it compiles, loads and runs
//! fails as it does on hardware: by the same errors, with Apple's codes and words, or in silence. The library does
//! what it does on hardware too: it tries again what may pass, and waits after a failed compilation, in a time that
//! passes by itself. [`MODES`] is the list of faults, with what each one shows, what helps, and who has seen it.
//!
//! ```
//! use anemone::faults::{Fault, Faults, When};
//! use anemone::{Chip, Client, CompileOptions, Error, chip::Numerics};
//! let faults = Faults::none().with(Fault::EvaluateRefused, When::Nth(2));
//! let client = Client::software_with_faults(Chip::M4, Numerics::Ieee, &faults);
//!
//! let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y); }";
//! let mut model = client.compile(CompileOptions { mil_text: text.into(), ..Default::default() })?;
//! model.eval()?;
//! let Err(Error::Eval(said)) = model.eval() else { panic!("the second run is struck") };
//! assert!(said.to_string().contains("status=0x1d"));
//! model.eval()?;
//!
//! assert_eq!(faults.strikes()[0].to_string(), "evaluate 2: evaluate-refused");
//! # Ok::<(), anemone::Error>(())
//! ```

mod answer;
mod machine;
pub(crate) mod rewrite;
mod seed;
mod table;
mod when;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use machine::{Fate, Quirks, Troubled, Way};
use machine::{Held, Machine};
use seed::Random;
pub use table::{Call, Fault, MODES, Mode};
pub use when::When;

/// Which faults strike which calls, and the machine that they strike: what it has compiled and lost.
///
/// Copies are the same machine: clients that are made with them share its counts, as those of one process do. Whoever
/// has a copy can ask afterwards what has struck. The same faults strike the same calls in every run; when threads call
/// at once, which of their calls is the third is left to chance.
///
/// As text they are a seed, or a list of faults with the calls that they strike, and a seed if some are left to it:
///
/// ```
/// use anemone::faults::Faults;
/// let faults: Faults = "load-busy=..1,zero-outputs=1/10,seed=7".parse()?;
/// assert_eq!(faults.to_string(), "load-busy=..1,zero-outputs=1/10,seed=7");
/// assert_eq!("7".parse::<Faults>()?.to_string(), Faults::seeded(7).to_string());
/// assert_eq!("slow".parse::<Faults>()?.to_string(), "slow=always");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    machine: Arc<Machine>,
    /// What waits for `release`. What is loaded does not keep it, so that it ends when nobody has the faults any more.
    held: Arc<Held>,
}

/// A call that was struck.
///
/// ```
/// use anemone::faults::{Call, Fault, Strike};
/// let strike = Strike { fault: Fault::LoadBusy, call: Call::Load, number: 3 };
/// assert_eq!(strike.to_string(), "load 3: load-busy");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What has struck.
    pub fault: Fault,
    /// What was struck.
    pub call: Call,
    /// Which of these calls, from 1.
    pub number: u64,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.call, self.number, self.fault)
    }
}

impl Faults {
    /// A machine without faults, which counts what it is asked for.
    ///
    /// ```
    /// use anemone::faults::Faults;
    /// assert!(Faults::none().strikes().is_empty());
    /// ```
    pub fn none() -> Self {
        Self::of(0)
    }

    fn of(seed: u64) -> Self {
        let machine = Arc::new(Machine::new(seed));
        let held = Arc::new(Held::new(&machine));
        Self { machine, held }
    }

    /// A mix of faults, the same one for the same seed: each fault is there in one of eight mixes, at the first calls, at
    /// one, or at some that the seed scatters. Those that wait for [`Faults::release`] are in none, so that a test ends,
    /// and neither is the virtual machine, where nothing can be compiled.
    ///
    /// ```
    /// use anemone::faults::Faults;
    /// let mixes = |from| (from..from + 100).map(|seed| Faults::seeded(seed).to_string()).collect::<Vec<_>>();
    /// assert_eq!(mixes(0), mixes(0));
    /// assert_ne!(mixes(0), mixes(100));
    /// ```
    pub fn seeded(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut faults = Self::of(seed);
        for fault in Fault::ALL {
            let (there, kind, n) = (random.below(8), random.below(3), random.below(6));
            let left_out = [Fault::VirtualMachine, Fault::CompilerStalls, Fault::Hangs, Fault::EventsLost]
                .contains(&fault);
            if there != 0 || left_out {
                continue;
            }
            let when = match fault {
                Fault::CompileBudget => When::From(20 + 18 * n),
                // These are what a system is, and do not come and go.
                Fault::PlacesLeak
                | Fault::MaskIgnored
                | Fault::WeightsIgnored
                | Fault::ShortcutMissing
                | Fault::TilePoisons
                | Fault::Fp32Zeros
                | Fault::NoStatistics => When::Always,
                _ => match kind {
                    0 => When::First(1 + n / 2),
                    1 => When::Nth(1 + n),
                    _ => When::OneIn(2 + n),
                },
            };
            faults = faults.with(fault, when);
        }
        faults
    }

    /// The same machine, which a fault strikes at these calls, and at no others.
    ///
    /// ```
    /// use anemone::faults::{Fault, Faults, When};
    /// let faults = Faults::none().with(Fault::CompileBudget, When::From(111)).with(Fault::LoadBusy, When::Nth(1));
    /// assert_eq!(faults.to_string(), "compile-budget=111..,load-busy=1");
    /// ```
    #[must_use]
    pub fn with(self, fault: Fault, when: When) -> Self {
        self.machine.plan(fault, when);
        self
    }

    /// The same machine, with this seed for what strikes [`When::OneIn`].
    ///
    /// ```
    /// use anemone::faults::{Fault, Faults, When};
    /// let faults = Faults::none().with(Fault::Slow, When::OneIn(9)).with_seed(3);
    /// assert_eq!(faults.to_string(), "slow=1/9,seed=3");
    /// ```
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.machine.set_seed(seed);
        self
    }

    /// What has struck, in order: the last 65,536.
    pub fn strikes(&self) -> Vec<Strike> {
        self.machine.strikes()
    }

    /// How many such calls were made.
    ///
    /// ```
    /// use anemone::faults::{Call, Faults};
    /// use anemone::{Chip, Client, chip::Numerics, driver::{Program, Source}};
    /// let faults = Faults::none();
    /// let client = Client::software_with_faults(Chip::M4, Numerics::Ieee, &faults);
    /// Program::compile_on(&client, &Source::matmul(4, 32, 32), &[])?.load()?;
    /// assert_eq!(Call::ALL.map(|call| faults.calls(call)), [1, 1, 1, 0, 0]); // the driver is given its surfaces
    /// # Ok::<(), anemone::Error>(())
    /// ```
    pub fn calls(&self, call: Call) -> u64 {
        self.machine.calls(call)
    }

    /// How long the library has waited for the engine, before it tried again what may pass and after compilations that
    /// failed. On hardware this time passes; here it does by itself.
    ///
    /// ```
    /// use anemone::faults::{Fault, Faults, When};
    /// use anemone::{Chip, Client, chip::Numerics, driver::{Program, Source}};
    /// let faults = Faults::none().with(Fault::LoadBusy, When::First(1));
    /// let client = Client::software_with_faults(Chip::M4, Numerics::Ieee, &faults);
    /// Program::compile_on(&client, &Source::matmul(4, 32, 32), &[])?.load()?;
    /// assert_eq!(faults.waited().as_millis(), 100);
    /// # Ok::<(), anemone::Error>(())
    /// ```
    pub fn waited(&self) -> Duration {
        self.machine.waited()
    }

    /// Lets go of what hangs: evaluations fail, compilations go on. It happens too when nobody has these faults any more.
    ///
    /// ```
    /// use anemone::faults::{Fault, Faults, When};
    /// use anemone::{Chip, Client, CompileOptions, Error, chip::Numerics};
    /// use std::time::Duration;
    /// let faults = Faults::none().with(Fault::Hangs, When::Nth(1));
    /// let client = Client::software_with_faults(Chip::M4, Numerics::Ieee, &faults);
    /// # let text = "program(1.3) { func main<ios18>(tensor<fp16, [2]> x) { tensor<fp16, [2]> y = relu(x = x); } -> (y); }";
    /// # let options = CompileOptions { mil_text: text.into(), ..Default::default() };
    /// let mut request = client.compile(options)?.new_request()?;
    /// assert!(matches!(request.run_within(Duration::ZERO), Err(Error::TimedOut { .. })));
    /// assert!(matches!(request.run(), Err(Error::Surface(_))), "it is busy");
    /// faults.release();
    /// request.run()?;
    /// # Ok::<(), anemone::Error>(())
    /// ```
    pub fn release(&self) {
        self.held.release();
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.held
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plan, seed) = self.machine.planned();
        let faults = plan.iter().map(|(fault, when)| format!("{fault}={when}"));
        let seed = (seed != 0).then(|| format!("seed={seed}"));
        f.write_str(&faults.chain(seed).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seed) = text.parse() {
            return Ok(Self::seeded(seed));
        }
        let mut faults = Self::none();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (name, when) = part.split_once('=').unwrap_or((part, "always"));
            faults = match name {
                "seed" => {
                    let seed =
                        when.parse().map_err(|_| format!("`{when}` is no seed: it is a whole number"))?;
                    faults.with_seed(seed)
                }
                _ => faults.with(name.parse()?, when.parse()?),
            };
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed of a mix is the mix.
    #[test]
    fn mixes_are_read_as_they_are_written() {
        for seed in 0..500 {
            let faults = Faults::seeded(seed);
            let again: Faults = faults.to_string().parse().unwrap();
            assert_eq!(again.machine.planned(), faults.machine.planned(), "{faults}");
        }
        for wrong in ["load-bus", "load-busy=x", "seed=x", "seed=-1", "slow=0"] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
    }

    /// Each fault is in about an eighth of the mixes, but for those that would keep a test from ending.
    #[test]
    fn each_fault_is_in_some_mixes() {
        let mixes: Vec<_> = (0..2000).map(|seed| Faults::seeded(seed).machine.planned().0).collect();
        for fault in Fault::ALL {
            let n = mixes.iter().filter(|m| m.iter().any(|(f, _)| *f == fault)).count();
            let waits = [Fault::VirtualMachine, Fault::CompilerStalls, Fault::Hangs, Fault::EventsLost]
                .contains(&fault);
            assert!(if waits { n == 0 } else { (150..350).contains(&n) }, "{fault}: {n}");
        }
    }
}
