//! What one process may compile and load.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// How many programs a process may compile before we stop. At about 119 the system stops compiling, without saying
/// so; others stop at 100 to 120 (sources: maderix/ANE, Orion, mlx-rs).
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// # let framework = fake.open()?;
/// let (compilations, _) = framework.left();
/// assert_eq!(compilations, anemone_apple::COMPILES);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
pub const COMPILES: usize = 110;

/// How many programs a process may have loaded. At 127 or 128 a load fails with code 6 (source: ANEForge).
///
/// ```
/// # let fake = anemone_apple::fake::Fake::new(Default::default());
/// # let framework = fake.open()?;
/// let (_, places) = framework.left();
/// assert_eq!(places, anemone_apple::LOADED);
/// # Ok::<(), anemone_apple::Error>(())
/// ```
pub const LOADED: usize = 120;

/// Counts what this process has compiled and loaded.
///
/// Reports disagree on whether programs that were unloaded count. Both are counted: compilations, whatever became of
/// them, and programs that are loaded.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    compiled: AtomicUsize,
    loaded: AtomicUsize,
}

impl Budget {
    pub(crate) fn spent(&self) -> (usize, usize) {
        (self.compiled.load(Ordering::Relaxed), self.loaded.load(Ordering::Relaxed))
    }

    fn take(&self, counter: &AtomicUsize, limit: usize) -> Result<(), Error> {
        let taken =
            counter.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (n < limit).then_some(n + 1));
        taken.map(drop).map_err(|_| {
            let (spent, loaded) = self.spent();
            Error::CompileBudgetExhausted { spent, loaded, limit }
        })
    }

    /// Counts a compilation that is about to begin.
    pub(crate) fn compile(&self) -> Result<(), Error> {
        self.take(&self.compiled, COMPILES)
    }

    /// Counts a load that is about to begin.
    pub(crate) fn load(&self) -> Result<(), Error> {
        self.take(&self.loaded, LOADED)
    }

    /// Gives a load back.
    pub(crate) fn unload(&self) {
        self.loaded.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_given_back_and_compilations_are_not() {
        let b = Budget::default();
        for _ in 0..3 * LOADED {
            b.load().unwrap();
            b.unload();
        }
        (0..COMPILES).for_each(|_| b.compile().unwrap());
        let e = b.compile().unwrap_err();
        assert!(
            matches!(e, Error::CompileBudgetExhausted { spent: COMPILES, loaded: 0, limit: COMPILES }),
            "{e}"
        );
    }
}
