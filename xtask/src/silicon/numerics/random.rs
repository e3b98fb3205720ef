//! NumPy's `default_rng(seed).standard_normal()`: PCG64, and the ziggurat of 256 layers.

use super::ziggurat::WIDTHS;

/// The tail begins here.
const TAIL: f64 = 3.654_152_885_361_009;

/// A generator of normal numbers.
pub(super) struct Normal {
    state: u128,
    increment: u128,
    bounds: Vec<u64>,
    heights: Vec<f64>,
}

impl Normal {
    /// `numpy.random.default_rng(seed)`.
    pub(super) fn new(seed: u32) -> Self {
        let words = seed_words(seed);
        let wide = |i: usize| u128::from(words[i]) << 64 | u128::from(words[i + 1]);
        let increment = wide(2) << 1 | 1;
        let widths: Vec<f64> = WIDTHS.iter().map(|&bits| f64::from_bits(bits) * 2f64.powi(52)).collect();
        // The first layer has the tail; its width is that of a box of the same area.
        let bounds = (0..256)
            .map(|i| match i {
                0 => TAIL / widths[0],
                1 => 0.0,
                _ => widths[i - 1] / widths[i],
            })
            .map(|share| (share * 2f64.powi(52)) as u64)
            .collect();
        let heights =
            (0..256).map(|i| if i == 0 { 1.0 } else { (-0.5 * widths[i] * widths[i]).exp() }).collect();
        let mut new = Self { state: 0, increment, bounds, heights };
        new.step();
        new.state = new.state.wrapping_add(wide(0));
        new.step();
        new
    }

    fn step(&mut self) {
        const FACTOR: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self.state.wrapping_mul(FACTOR).wrapping_add(self.increment);
    }

    fn bits(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 2f64.powi(53)
    }

    /// The next number.
    pub(super) fn next(&mut self) -> f64 {
        loop {
            let bits = self.bits();
            let (layer, bits) = ((bits & 0xff) as usize, bits >> 8);
            let (negative, place) = (bits & 1 == 1, bits >> 1 & 0x000f_ffff_ffff_ffff);
            let x = place as f64 * f64::from_bits(WIDTHS[layer]);
            let x = if negative { -x } else { x };
            if place < self.bounds[layer] {
                return x;
            }
            if layer == 0 {
                loop {
                    let (x, y) = (-(-self.share()).ln_1p() / TAIL, -(-self.share()).ln_1p());
                    if y + y > x * x {
                        return if place >> 8 & 1 == 1 { -(TAIL + x) } else { TAIL + x };
                    }
                }
            }
            let (upper, lower) = (self.heights[layer - 1], self.heights[layer]);
            if (upper - lower) * self.share() + lower < (-0.5 * x * x).exp() {
                return x;
            }
        }
    }

    /// So many numbers, rounded to single precision.
    pub(super) fn singles(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next() as f32).collect()
    }
}

/// The eight words of a `SeedSequence`, as four of 64 bits.
fn seed_words(seed: u32) -> [u64; 4] {
    let mut hash = 0x43b0_d7e5u32;
    let mut mixed = |mut value: u32| {
        value ^= hash;
        hash = hash.wrapping_mul(0x931e_8875);
        value = value.wrapping_mul(hash);
        value ^ value >> 16
    };
    let mut pool = [seed, 0, 0, 0].map(&mut mixed);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                let met = pool[to]
                    .wrapping_mul(0xca01_f9dd)
                    .wrapping_sub(mixed(pool[from]).wrapping_mul(0x4973_f715));
                pool[to] = met ^ met >> 16;
            }
        }
    }
    let mut hash = 0x8b51_f9ddu32;
    let words: [u32; 8] = std::array::from_fn(|i| {
        let mut value = pool[i % 4] ^ hash;
        hash = hash.wrapping_mul(0x58f3_8ded);
        value = value.wrapping_mul(hash);
        value ^ value >> 16
    });
    std::array::from_fn(|i| u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NumPy 2 prints them.
    #[test]
    fn numbers_are_those_of_numpy() {
        let mut normal = Normal::new(0);
        let first = [0.125_730_221_093_393_3, -0.132_104_863_291_301_9, 0.640_422_650_443_282_1];
        assert_eq!(first, std::array::from_fn(|_| normal.next()));
        let mut normal = Normal::new(11);
        let last = (0..1_000_000).map(|_| normal.next()).last();
        assert_eq!(last, Some(0.267_832_206_398_670_8));
    }
}
