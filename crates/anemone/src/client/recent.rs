//! Requests that are kept, so that running on the same surfaces again binds nothing anew.

use std::sync::{Mutex, PoisonError};

use super::engine::Loaded;
use super::request::Request;
use crate::error::Error;
use crate::surface::Surface;

/// How many requests are kept: enough for two sets of surfaces in turn, and for a few threads.
const KEPT: usize = 4;

/// A loaded program with the requests of its last runs.
///
/// A request is known by its surfaces, so that others are bound anew. What is kept keeps its surfaces alive.
#[derive(Debug)]
pub(crate) struct Recent {
    loaded: Loaded,
    /// Those that nobody runs at the moment, the last used at the end.
    idle: Mutex<Vec<Request>>,
}

impl Recent {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self { loaded, idle: Mutex::new(Vec::with_capacity(KEPT)) }
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Lends a request on these surfaces to a function: one that is kept, or a new one, which then is kept. The former
    /// allocates nothing.
    pub(crate) fn with<'a, R>(
        &self,
        inputs: impl ExactSizeIterator<Item = &'a Surface> + Clone,
        outputs: impl ExactSizeIterator<Item = &'a Surface> + Clone,
        run: impl FnOnce(&mut Request) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |r: &Request| {
                same(r.input_surfaces(), inputs.clone()) && same(r.output_surfaces(), outputs.clone())
            };
            idle.iter().rposition(fits).map(|at| idle.remove(at))
        };
        let mut request = match kept {
            Some(request) => request,
            None => self.loaded.bind(inputs.cloned().collect(), outputs.cloned().collect())?,
        };
        let result = run(&mut request);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The request that goes is dropped behind the lock.
        let _oldest = (idle.len() == KEPT).then(|| idle.remove(0));
        idle.push(request);
        drop(idle);
        result
    }
}

fn same<'a>(bound: &[Surface], given: impl ExactSizeIterator<Item = &'a Surface>) -> bool {
    bound.len() == given.len() && bound.iter().zip(given).all(|(a, b)| a.is(b))
}
