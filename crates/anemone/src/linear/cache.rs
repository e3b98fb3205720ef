//! What executors keep.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Stats;
use crate::error::Error;

/// Things by their keys, each made once. A key is compared as a whole: its hash only says where to look.
#[derive(Debug)]
pub(super) struct Cache<K, T, S = RandomState> {
    hasher: S,
    inner: Mutex<Inner<K, T>>,
}

#[derive(Debug)]
struct Inner<K, T> {
    slots: HashMap<u64, Vec<Arc<Slot<K, T>>>>,
    stats: Stats,
}

/// A thing, or the place of one that is being made. Who runs it, or makes it, has the lock.
#[derive(Debug)]
pub(super) struct Slot<K, T> {
    key: K,
    thing: Mutex<Option<T>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, T, S: BuildHasher> Cache<K, T, S> {
    pub(super) fn with_hasher(hasher: S) -> Self {
        let inner = Inner { slots: HashMap::new(), stats: Stats::default() };
        Self { hasher, inner: Mutex::new(inner) }
    }

    /// Lends the thing of a key to a function, and makes it before if there is none; whether it was made is told. Who
    /// wants the same thing meanwhile waits, and nobody else does.
    ///
    /// `key` is a form of the key that need not be owned, `is` compares it with one that is kept.
    pub(super) fn with<Q: Hash, R>(
        &self,
        key: Q,
        is: impl Fn(&K, &Q) -> bool,
        own: impl FnOnce(Q) -> K,
        make: impl FnOnce(&K) -> Result<T, Error>,
        run: impl FnOnce(&mut T, bool) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let hash = self.hasher.hash_one(&key);
        let slot = {
            let slots = &mut lock(&self.inner).slots;
            let near = slots.entry(hash).or_default();
            match near.iter().find(|slot| is(&slot.key, &key)) {
                Some(slot) => slot.clone(),
                None => {
                    let slot = Arc::new(Slot { key: own(key), thing: Mutex::new(None) });
                    near.push(slot.clone());
                    slot
                }
            }
        };
        let mut thing = lock(&slot.thing);
        let made = thing.is_none();
        let thing = match &mut *thing {
            Some(there) => there,
            none => match make(&slot.key) {
                Ok(new) => none.insert(new),
                Err(e) => {
                    self.forget(hash, &slot);
                    return Err(e);
                }
            },
        };
        {
            let mut inner = lock(&self.inner);
            let stats = &mut inner.stats;
            match made {
                true => (stats.compiles, stats.kernels) = (stats.compiles + 1, stats.kernels + 1),
                false => stats.cache_hits += 1,
            }
        }
        run(thing, made)
    }

    fn forget(&self, hash: u64, slot: &Arc<Slot<K, T>>) {
        let slots = &mut lock(&self.inner).slots;
        if let Some(near) = slots.get_mut(&hash) {
            near.retain(|s| !Arc::ptr_eq(s, slot));
            if near.is_empty() {
                slots.remove(&hash);
            }
        }
    }

    pub(super) fn stats(&self) -> Stats {
        lock(&self.inner).stats
    }

    /// Gives up everything; what runs at the moment ends first.
    pub(super) fn clear(&self) {
        let slots = {
            let mut inner = lock(&self.inner);
            inner.stats.kernels = 0;
            std::mem::take(&mut inner.slots)
        };
        drop(slots);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    /// Puts everything in the same place.
    struct Same;

    impl Hasher for Same {
        fn write(&mut self, _: &[u8]) {}
        fn finish(&self) -> u64 {
            0
        }
    }

    impl BuildHasher for Same {
        type Hasher = Same;
        fn build_hasher(&self) -> Same {
            Same
        }
    }

    fn with(cache: &Cache<Vec<u32>, Vec<u32>, Same>, key: &[u32]) -> Result<Vec<u32>, Error> {
        cache.with(
            key,
            |a, b| a == b,
            |k| k.to_vec(),
            |k| if k.is_empty() { Err(Error::NotLoaded) } else { Ok(k.clone()) },
            |thing, _| Ok(thing.clone()),
        )
    }

    /// Row P8: keys of the same hash are told apart, and what cannot be made is not kept.
    #[test]
    fn keys_are_compared_as_a_whole() {
        let cache = Cache::with_hasher(Same);
        for key in [&[1][..], &[1, 2], &[2], &[1], &[2]] {
            assert_eq!(with(&cache, key).unwrap(), key);
        }
        assert_eq!(cache.stats(), Stats { compiles: 3, cache_hits: 2, kernels: 3 });
        with(&cache, &[]).unwrap_err();
        assert_eq!(lock(&cache.inner).slots[&0].len(), 3);
        cache.clear();
        assert_eq!(cache.stats(), Stats { compiles: 3, cache_hits: 2, kernels: 0 });
        with(&cache, &[1]).unwrap();
        assert_eq!(cache.stats().compiles, 4);
    }
}
