//! When the next program may be compiled, and when what was refused is tried again.
//!
//! A compilation that fails makes the compiler's service start anew, which takes seconds. Failures that come faster keep it
//! from working for any process of the Mac, and spaced ones do no harm (source: sbryngelson/ane-guide, measured on M1).

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Again, Error};

/// How long after a compilation that failed the next one begins.
///
/// ```
/// use anemone_apple::AFTER_FAILURE;
/// use anemone_apple::fake::{Fake, Faults, Machine};
/// use anemone_apple::neural::{FIRST_DISPATCH, Loaded, QualityOfService};
/// let refuses = Faults { compile_error: Some("InvalidMILProgram".into()), ..Faults::default() };
/// let fake = Fake::with(Machine::computing(), refuses);
/// let framework = fake.open()?;
/// let begin = fake.clock().now();
/// for _ in 0..2 {
///     assert!(Loaded::new(&framework, &FIRST_DISPATCH, QualityOfService::Default).is_err());
/// }
/// // The second compilation waited until the compiler's service is there again. Time of the fake passes by itself.
/// assert_eq!(fake.clock().now() - begin, AFTER_FAILURE);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
pub const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// How long to wait before a load that was refused is tried again. A slot of the engine is given back a little after
/// the unload (source: tmc/apple).
const MOMENT: Duration = Duration::from_millis(100);

/// Time as whoever waits sees it; that of the fake passes by itself.
///
/// ```
/// use anemone_apple::Clock;
/// use std::time::Duration;
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let clock: std::sync::Arc<dyn Clock> = fake.clock();
/// let begin = clock.now();
/// clock.sleep(Duration::from_secs(3600)); // at once: time of the fake passes by itself
/// assert_eq!(clock.now() - begin, Duration::from_secs(3600));
/// ```
pub trait Clock: Send + Sync {
    /// The time since some moment, which never goes back.
    fn now(&self) -> Duration;
    /// Waits so long.
    fn sleep(&self, time: Duration);
}

/// The time of this machine.
struct System;

impl Clock for System {
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The time of this machine.
pub(crate) fn system() -> Arc<dyn Clock> {
    Arc::new(System)
}

/// Keeps compilations apart that follow a failure, and tries again what may pass.
///
/// ```
/// use anemone_apple::{AFTER_FAILURE, Error, Pace};
/// use std::time::Duration;
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// let clock = fake.clock(); // time of the fake passes by itself
/// let pace = Pace::new(clock.clone());
/// let late = || Err(Error::TimedOut { what: "the compiler".into(), within: Duration::from_secs(1) });
/// let begin = clock.now();
/// assert!(pace.compile::<()>(late).is_err());
/// // The next one waits for the compiler to be there again.
/// pace.compile(|| Ok(()))?;
/// assert_eq!(clock.now() - begin, AFTER_FAILURE);
/// // What does not pass is not asked for again.
/// assert!(pace.patiently(None, late).is_err());
/// # Ok::<(), Error>(())
/// ```
pub struct Pace {
    clock: Arc<dyn Clock>,
    /// When the next compilation may begin.
    next: Mutex<Duration>,
}

impl Pace {
    /// Waits in this time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, next: Mutex::default() }
    }

    /// Compiles, not sooner than a pause after the last failure.
    ///
    /// # Errors
    ///
    /// That of the compilation.
    pub fn compile<T>(&self, compile: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let left = next.saturating_sub(self.clock.now());
        if !left.is_zero() {
            self.clock.sleep(left);
        }
        compile().inspect_err(|e| {
            let failed = match e {
                Error::Refused(refusal) => refusal.is_of_the_compiler(),
                // A compiler that stalls has been ended by somebody, or still works.
                Error::TimedOut { .. } => true,
                _ => false,
            };
            if failed {
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now() + AFTER_FAILURE;
            }
        })
    }

    /// Asks for something; once more when it was refused for a reason that may pass. `files` writes what the system reads
    /// while it does what it is asked for, where that is ours to write.
    ///
    /// # Errors
    ///
    /// That of the last attempt.
    pub fn patiently(
        &self,
        files: Option<&dyn Fn() -> Result<(), Error>>,
        ask: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let attempt = || files.map_or(Ok(()), |write| write()).and_then(|()| ask());
        let result = attempt();
        let Err(Error::Refused(refusal)) = &result else { return result };
        match refusal.again() {
            Again::Soon => self.clock.sleep(MOMENT),
            Again::WithFiles if files.is_some() => {}
            Again::WithFiles | Again::Later | Again::Never => return result,
        }
        attempt()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::error::{Refusal, Reported};

    /// A time that passes when it is waited for.
    #[derive(Default)]
    struct Hands(Mutex<Duration>);

    impl Clock for Hands {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    fn refused(domain: &str, code: i64) -> Error {
        let error = Reported { domain: domain.into(), code, description: String::new() };
        Refusal { message: String::new(), error: Some(error) }.into()
    }

    const GENERIC: &str = "com.apple.appleneuralengine";
    const COMPILER: &str = "com.apple.appleneuralengine.compiler";

    /// Row O8: a failure of the compiler, and nothing else, keeps the next compilation waiting.
    #[test]
    fn a_compilation_waits_for_the_service_that_another_has_ended() {
        let late = Error::TimedOut { what: String::new(), within: Duration::ZERO };
        let silent = Refusal { message: String::new(), error: None };
        for (error, pause) in [
            (refused(COMPILER, 1), AFTER_FAILURE),
            (refused("NSCocoaErrorDomain", 4097), AFTER_FAILURE),
            (late, AFTER_FAILURE),
            (refused(GENERIC, 9), Duration::ZERO),
            (silent.into(), Duration::ZERO),
            (Error::Invalid(String::new()), Duration::ZERO),
        ] {
            let clock = Arc::new(Hands::default());
            let pace = Pace::new(clock.clone());
            pace.compile(|| Ok(())).unwrap();
            assert_eq!(clock.now(), Duration::ZERO, "the first one waits for nothing");
            assert!(pace.compile(|| Err::<(), _>(error.clone())).is_err());
            pace.compile(|| Ok(())).unwrap();
            assert_eq!(clock.now(), pause, "{error:?}");
            pace.compile(|| Ok(())).unwrap();
            assert_eq!(clock.now(), pause, "one failure costs one pause");
        }
        // Time that has passed otherwise counts.
        let clock = Arc::new(Hands::default());
        let pace = Pace::new(clock.clone());
        assert!(pace.compile(|| Err::<(), _>(refused(COMPILER, 1))).is_err());
        clock.sleep(AFTER_FAILURE * 2);
        pace.compile(|| Ok(())).unwrap();
        assert_eq!(clock.now(), AFTER_FAILURE * 2);
    }

    /// Rows H4, O8: what may pass is asked for once more, and what may not is not.
    #[test]
    fn what_may_pass_is_asked_for_once_more() {
        let check = |error: Error, has_files: bool, attempts: u32, writes: u32, waited: Duration| {
            let clock = Arc::new(Hands::default());
            let (asked, written) = (Cell::new(0), Cell::new(0));
            let write = || {
                written.set(written.get() + 1);
                Ok(())
            };
            let files = has_files.then_some(&write as &dyn Fn() -> Result<(), Error>);
            let result = Pace::new(clock.clone()).patiently(files, || {
                asked.set(asked.get() + 1);
                Err(error.clone())
            });
            assert_eq!(result, Err(error.clone()));
            assert_eq!((asked.get(), written.get(), clock.now()), (attempts, writes, waited), "{error:?}");
        };
        for code in [9, 16] {
            check(refused(GENERIC, code), true, 2, 2, Duration::ZERO);
            check(refused(GENERIC, code), false, 1, 0, Duration::ZERO);
        }
        for code in [3, 6] {
            check(refused(GENERIC, code), true, 2, 2, MOMENT);
            check(refused(GENERIC, code), false, 2, 0, MOMENT);
        }
        for error in [refused(GENERIC, 15), refused(COMPILER, 1), refused("NSCocoaErrorDomain", 4099)] {
            check(error, true, 1, 1, Duration::ZERO);
        }
        check(Error::Invalid("no".into()), true, 1, 1, Duration::ZERO);
    }
}
