//! Packed weights that are there once, however many models have them.

use std::any::{Any, TypeId};
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;

use super::{Packed, write_panel};
use crate::{Float, scratch};

/// What packed weights are looked for by: what they are packed as, how many there are and how many outputs they have, and a
/// few of their bytes.
type Key = (TypeId, usize, usize, u64);

/// The packed weights that somebody has.
static KEPT: Mutex<Vec<(Key, Weak<dyn Any + Send + Sync>)>> = Mutex::new(Vec::new());

/// Fewer bytes are not worth being looked for.
const SMALL: usize = 1 << 14;

impl<W: Float> Packed<W> {
    /// As [`Packed::new`]; those that somebody in this process has of the same weights, if there are any. All weights are
    /// compared.
    ///
    /// ```
    /// use anemone_kernels::packed::Packed;
    /// let weights = vec![0.5f32; 1 << 14];
    /// let (one, other) = (Packed::shared(&weights, 64), Packed::shared(&weights, 64));
    /// assert!(std::sync::Arc::ptr_eq(&one, &other));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Packed::new`].
    pub fn shared(weights: &[W], outputs: usize) -> Arc<Self> {
        shared(weights, outputs, |packed: &Self| packed.holds(weights), || Self::new(weights, outputs))
    }

    /// Whether these are the weights that were packed, bit for bit.
    fn holds(&self, weights: &[W]) -> bool {
        let rows = weights.chunks((self.width * self.inputs).max(1));
        let mut panel = scratch::scratch::<W>(self.width * self.inputs);
        rows.enumerate().all(|(i, rows)| {
            panel.fill(W::zeroed());
            write_panel(&mut panel, rows, self.inputs);
            bytemuck::cast_slice::<W, u8>(&panel) == bytemuck::cast_slice::<W, u8>(self.panels(i..i + 1))
        })
    }
}

/// What somebody in this process has packed of the same weights, for so many outputs: what holds them, or else what is made
/// now.
pub(crate) fn shared<P: Any + Send + Sync, W: Pod>(
    weights: &[W],
    outputs: usize,
    holds: impl Fn(&P) -> bool,
    make: impl FnOnce() -> P,
) -> Arc<P> {
    if size_of_val(weights) < SMALL {
        return Arc::new(make());
    }
    let key = (TypeId::of::<P>(), weights.len(), outputs, sample(bytemuck::cast_slice(weights)));
    // They are compared, and packed, without the lock: who packs the same at the same time has its own.
    if let Some(found) = kept(&key).into_iter().find(|kept: &Arc<P>| holds(kept)) {
        return found;
    }
    let packed = Arc::new(make());
    let shared: Arc<dyn Any + Send + Sync> = packed.clone();
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(_, kept)| kept.strong_count() > 0);
    all.push((key, Arc::downgrade(&shared)));
    packed
}

/// What is packed with this key.
fn kept<P: Any + Send + Sync>(key: &Key) -> Vec<Arc<P>> {
    let all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let same = all.iter().filter(|(of, _)| of == key);
    same.filter_map(|(_, kept)| kept.upgrade()?.downcast().ok()).collect()
}

/// A number that the same bytes have, made of some of them, which lie all over.
fn sample(bytes: &[u8]) -> u64 {
    const PARTS: usize = 64;
    let mut hasher = DefaultHasher::new();
    let apart = bytes.len().div_ceil(PARTS).max(1);
    bytes.chunks(apart).for_each(|part| hasher.write(&part[..part.len().min(64)]));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::floats;

    #[test]
    fn the_same_weights_are_packed_once() {
        let weights = floats::<f16>(100 * 330, 1);
        let one = Packed::shared(&weights, 100);
        assert!(Arc::ptr_eq(&one, &Packed::shared(&weights, 100)));
        assert!(Arc::ptr_eq(&one, &Packed::shared(&weights.clone(), 100)), "wherever they lie");
        assert!(!Arc::ptr_eq(&one, &Packed::shared(&weights, 50)), "other rows");
        // None of the bytes by which they are looked for.
        let mut other = weights.clone();
        other[200] = f16::from_f32(9.0);
        assert_eq!(sample(bytemuck::cast_slice(&weights)), sample(bytemuck::cast_slice(&other)));
        let another = Packed::shared(&other, 100);
        assert!(!Arc::ptr_eq(&one, &another) && another.holds(&other) && !another.holds(&weights));
        // Zeros are equal whatever their sign, and not the same.
        let (zeros, mut minus) = (vec![0.0f32; 1 << 13], vec![0.0f32; 1 << 13]);
        minus[100] = -0.0;
        let zero = Packed::shared(&zeros, 64);
        assert!(zero.holds(&zeros) && !zero.holds(&minus));
    }

    #[test]
    fn nobody_keeps_what_nobody_has() {
        let weights = floats::<f32>(64 * 128, 7);
        let packed = Arc::downgrade(&Packed::shared(&weights, 64));
        assert!(packed.upgrade().is_none());
        assert!(Packed::shared(&weights, 64).holds(&weights));
        let few = &weights[..64];
        assert!(!Arc::ptr_eq(&Packed::shared(few, 8), &Packed::shared(few, 8)), "too few to look for");
    }
}
