//! Choices, and tensors of numbers that are worth a try.

use anemone::types::{DType, Tensor};
use arbitrary::Unstructured;

/// Choices that the bytes make. Without bytes, each is the first.
pub(crate) struct Dice<'u, 'b> {
    bytes: &'u mut Unstructured<'b>,
}

impl<'u, 'b> Dice<'u, 'b> {
    pub(crate) fn new(bytes: &'u mut Unstructured<'b>) -> Self {
        Self { bytes }
    }

    /// Whether no bytes are left.
    pub(crate) fn is_spent(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A number below `n`, or 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.bytes.int_in_range(0..=n.saturating_sub(1)).unwrap_or(0)
    }

    /// A number of this range, both ends included.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        self.bytes.int_in_range(low..=high.max(low)).unwrap_or(low)
    }

    /// True so many times of a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) + percent >= 100
    }

    /// One of these.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// An extent of a dimension: mostly small, sometimes beyond the blocks of kernels, sometimes 0.
    pub(crate) fn extent(&mut self) -> usize {
        match self.below(20) {
            0..12 => 1 + self.below(5),
            12..19 => self.one(&[6, 7, 8, 9, 15, 16, 17, 24, 33, 40, 65]),
            _ => 0,
        }
    }

    /// A shape of this rank with at most so many elements.
    pub(crate) fn shape(&mut self, rank: usize, elements: u64) -> Vec<usize> {
        let mut left = elements as usize;
        (0..rank)
            .map(|_| {
                let extent = self.extent().min(left.max(1));
                left /= extent.max(1);
                extent
            })
            .collect()
    }

    /// A generator that these bytes seed: contents of tensors are not worth a byte for each element.
    pub(crate) fn numbers(&mut self) -> Numbers {
        Numbers::new(self.bytes.arbitrary::<u32>().unwrap_or(0).into())
    }

    /// A tensor with elements of many kinds.
    pub(crate) fn tensor(&mut self, dtype: DType, shape: &[usize]) -> Option<Tensor> {
        let wild = self.chance(12);
        let mut numbers = self.numbers();
        let n: usize = shape.iter().product();
        if dtype == DType::String {
            let words = (0..n).map(|_| WORDS[numbers.below(WORDS.len())].into()).collect();
            return Tensor::from_strings(shape, words).ok();
        }
        if dtype.is_int() || dtype == DType::Bool {
            let values: Vec<i64> = (0..n).map(|_| numbers.whole(dtype, wild)).collect();
            return Tensor::from_i64s(dtype, shape, &values).ok();
        }
        let grid = self.chance(40);
        let values: Vec<f64> = (0..n)
            .map(|_| {
                if wild && numbers.below(3) == 0 {
                    numbers.special(dtype)
                } else if grid {
                    // Many of these are halves, and equal to each other: ties.
                    (numbers.below(33) as f64 - 16.0) / 4.0
                } else {
                    numbers.uniform() * 6.0 - 3.0
                }
            })
            .collect();
        Tensor::from_f64s(dtype, shape, &values).ok()
    }
}

const WORDS: &[&str] = &["cat", "dog", "", "a \"quoted\" word", "fp16", "zwei Wörter"];

/// Numbers that look random: an xorshift generator.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike, and the state must not be 0.
        Self(seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn uniform(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 48) as f64
    }

    fn whole(&mut self, dtype: DType, wild: bool) -> i64 {
        let (low, high) = dtype.int_range();
        let (low, high) = (low.max(i64::MIN.into()) as i64, high.min(i64::MAX.into()) as i64);
        if wild && self.below(3) == 0 {
            return [low, high, 0, high / 2 + 1, low / 2][self.below(5)];
        }
        if dtype.is_sub_byte() || self.below(4) == 0 && high < 1 << 16 {
            return low + self.below((high - low + 1) as usize) as i64;
        }
        self.below(13) as i64 - if low < 0 { 5 } else { 0 }
    }

    fn special(&mut self, dtype: DType) -> f64 {
        let (largest, smallest, digits) = match dtype {
            DType::Fp16 => (65504.0, 2f64.powi(-24), 10),
            DType::Bf16 => (2f64.powi(127), 2f64.powi(-133), 7),
            DType::Fp32 => (f32::MAX.into(), 2f64.powi(-149), 23),
            DType::Fp64 => (f64::MAX, f64::MIN_POSITIVE, 52),
            DType::Fp8E4M3FN => (448.0, 2f64.powi(-9), 3),
            _ => (57344.0, 2f64.powi(-16), 2),
        };
        let magnitude = match self.below(10) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => return f64::NAN,
            3 => largest,
            4 => smallest,
            5 => smallest * 3.0,
            6 => 1.0 + 2f64.powi(-digits),
            7 => 2f64.powi(digits + 1) - 0.5,
            8 => 0.5,
            _ => 2f64.powi(self.below(31) as i32 - 15),
        };
        if self.below(2) == 0 { magnitude } else { -magnitude }
    }
}
