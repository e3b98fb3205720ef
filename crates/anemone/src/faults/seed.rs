//! Choices that a seed makes.

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below this one, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A number that depends on all three, and on nothing else.
pub(super) fn scatter(seed: u64, which: u64, number: u64) -> u64 {
    let mut random = Random(seed ^ which.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let start = random.below(u64::MAX);
    Random(start ^ number).below(u64::MAX)
}
