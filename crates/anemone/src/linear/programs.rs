//! What the executors have in common.

use std::hash::{Hash, RandomState};
use std::sync::Arc;

use super::cache::Cache;
use super::{CallStats, Cancel, Options, Stats};
use crate::client::Client;
use crate::error::Error;

/// Programs for a client's engine, each made when it is first called and then kept. Copies are the same programs.
#[derive(Debug)]
pub(super) struct Programs<K, T> {
    inner: Arc<Inner<K, T>>,
    cancel: Cancel,
}

#[derive(Debug)]
struct Inner<K, T> {
    client: Client,
    qos: u32,
    kept: Cache<K, T>,
}

impl<K, T> Clone for Programs<K, T> {
    fn clone(&self) -> Self {
        self.with_cancel(&self.cancel)
    }
}

impl<K, T> Programs<K, T> {
    pub(super) fn new(client: &Client, options: Options) -> Result<Self, Error> {
        let kept = Cache::with_hasher(RandomState::new());
        let inner = Inner { client: client.clone(), qos: options.check()?, kept };
        Ok(Self { inner: Arc::new(inner), cancel: Cancel::new() })
    }

    /// The same programs, whose calls can be cancelled.
    pub(super) fn with_cancel(&self, cancel: &Cancel) -> Self {
        Self { inner: self.inner.clone(), cancel: cancel.clone() }
    }

    pub(super) fn stats(&self) -> Stats {
        self.inner.kept.stats()
    }

    pub(super) fn clear(&self) {
        self.inner.kept.clear();
    }

    /// Lends the program of a key, as [`Cache::with`] does. What runs it says how many nanoseconds the engine took, if it
    /// knows, and what it gives.
    pub(super) fn call<Q: Hash, R>(
        &self,
        key: Q,
        is: impl Fn(&K, &Q) -> bool,
        own: impl FnOnce(Q) -> K,
        make: impl FnOnce(&K, &Client, u32) -> Result<T, Error>,
        run: impl FnOnce(&mut T) -> Result<(Option<u64>, R), Error>,
    ) -> Result<(CallStats, R), Error> {
        self.cancel.check()?;
        let Inner { client, qos, kept } = &*self.inner;
        kept.with(
            key,
            is,
            own,
            |key| make(key, client, *qos),
            |program, compiled| {
                // Another call may have had the program for long.
                self.cancel.check()?;
                let (hw_execution_ns, result) = run(program)?;
                Ok((CallStats { compiled, hw_execution_ns }, result))
            },
        )
    }
}
