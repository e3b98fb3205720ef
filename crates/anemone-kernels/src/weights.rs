//! Compressed weights: packed codes, palettes, scales and masks.
//!
//! Codes of fewer than eight bits are packed without gaps, the first in the lowest bits.
//!
//! ```
//! use anemone_kernels::weights;
//! // A mask of five bits, three of which are set, and the values there.
//! let mut dense = [0u16; 5];
//! weights::expand(1, &mut dense, &[0b10110], &[7, 8, 9]);
//! let mut values = [0u16; 3];
//! weights::compress(&mut values, &[0b10110], &dense);
//! assert_eq!((weights::ones(&[0b10110], 5), dense, values), (3, [0, 7, 8, 0, 9], [7, 8, 9]));
//! ```

use bytemuck::Pod;
use half::f16;
use macro_rules_attribute::apply;

use crate::Float;
use crate::compiled::compiled_here;
use crate::simd::{self, Kernel, Simd};
use crate::threads::parallel_chunks;

/// How many elements are handled at a time. Codes of any number of bits start a block at a whole byte.
const BLOCK: usize = 1024;

/// How many blocks make it worth to use another thread.
const GRAIN: usize = 32;

/// Writes packed codes of `bits` bits to `to`, one in each byte.
///
/// ```
/// let mut codes = [0; 5];
/// anemone_kernels::weights::unpack(&mut codes, &[0b1101_0001, 0b0111_1000], 3);
/// assert_eq!(codes, [1, 2, 3, 4, 7]);
/// ```
///
/// # Panics
///
/// When there are fewer codes, or `bits` is not from 1 to 8.
pub fn unpack(to: &mut [u8], packed: &[u8], bits: usize) {
    assert!((1..=8).contains(&bits), "a code has one to eight bits");
    assert!(packed_len(to.len(), bits) <= packed.len(), "there are as many codes as are asked for");
    simd::dispatch(Unpack { to, packed, bits });
}

/// The bytes that so many codes take.
fn packed_len(codes: usize, bits: usize) -> usize {
    codes / 8 * bits + (codes % 8 * bits).div_ceil(8)
}

struct Unpack<'a> {
    to: &'a mut [u8],
    packed: &'a [u8],
    bits: usize,
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { to, packed, bits } = self;
        match bits {
            1 => unpack_bytes::<1, 8>(to, packed),
            2 => unpack_bytes::<2, 4>(to, packed),
            3 => unpack_eights::<3>(to, packed),
            4 => unpack_bytes::<4, 2>(to, packed),
            5 => unpack_eights::<5>(to, packed),
            6 => unpack_eights::<6>(to, packed),
            7 => unpack_eights::<7>(to, packed),
            _ => to.copy_from_slice(&packed[..to.len()]),
        }
    }
}

/// Codes that fill bytes, `PER_BYTE` each.
#[inline(always)]
fn unpack_bytes<const BITS: usize, const PER_BYTE: usize>(to: &mut [u8], packed: &[u8]) {
    let (whole, rest) = to.as_chunks_mut::<PER_BYTE>();
    let (bytes, last) = packed.split_at(whole.len());
    for (to, &byte) in whole.iter_mut().zip(bytes) {
        for (k, to) in to.iter_mut().enumerate() {
            *to = byte >> (k * BITS) & ((1 << BITS) - 1);
        }
    }
    for (k, to) in rest.iter_mut().enumerate() {
        *to = last[0] >> (k * BITS) & ((1 << BITS) - 1);
    }
}

/// Eight codes fill as many bytes as a code has bits.
#[inline(always)]
fn unpack_eights<const BITS: usize>(to: &mut [u8], packed: &[u8]) {
    let spread = |to: &mut [u8], from: &[u8]| {
        let mut word = [0; 8];
        word[..from.len()].copy_from_slice(from);
        let word = u64::from_le_bytes(word);
        for (k, to) in to.iter_mut().enumerate() {
            *to = (word >> (k * BITS)) as u8 & ((1 << BITS) - 1);
        }
    };
    let (whole, rest) = packed.split_at(to.len() / 8 * BITS);
    let mut eights = to.chunks_exact_mut(8);
    for (to, from) in (&mut eights).zip(whole.chunks_exact(BITS)) {
        spread(to, from);
    }
    spread(eights.into_remainder(), &rest[..rest.len().min(BITS)]);
}

/// How a tensor is cut into blocks of equal size, which are counted in row-major order.
///
/// In memory a block is made of runs of neighbours; the runs of a line of blocks follow each other.
///
/// ```
/// use anemone_kernels::weights::Blocks;
/// // Rows of four weights, of which each pair has a scale.
/// let pairs = Blocks::new(&[3, 4], &[3, 2]);
/// # drop(pairs);
/// ```
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The length of a run.
    run: usize,
    /// How many runs make a line.
    line: usize,
    /// For each dimension before the line: its length, the length of a block along it, and how far apart the blocks
    /// along it are counted.
    outer: Vec<[usize; 3]>,
    /// How many blocks there are.
    count: usize,
}

impl Blocks {
    /// A tensor of this shape, cut into `counts` blocks along each dimension.
    ///
    /// # Panics
    ///
    /// When a dimension is not a multiple of its count.
    pub fn new(shape: &[usize], counts: &[usize]) -> Self {
        assert!(
            shape.len() == counts.len() && shape.iter().zip(counts).all(|(&n, &c)| c > 0 && n % c == 0),
            "each dimension is cut into equal blocks"
        );
        let axis = counts.iter().rposition(|&c| c > 1).unwrap_or(0);
        let (line, length) = (*counts.get(axis).unwrap_or(&1), *shape.get(axis).unwrap_or(&1));
        let behind: usize = shape.iter().skip(axis + 1).product();
        let mut apart = line;
        let mut outer: Vec<[usize; 3]> = (0..axis)
            .rev()
            .map(|d| {
                let each = [shape[d], (shape[d] / counts[d]).max(1), apart];
                apart *= counts[d];
                each
            })
            .collect();
        outer.reverse();
        Self { run: length / line * behind, line, outer, count: apart }
    }

    /// One block for each place along an axis.
    pub fn along(shape: &[usize], axis: usize) -> Self {
        let counts: Vec<usize> =
            (0..shape.len()).map(|d| if d == axis { shape[d].max(1) } else { 1 }).collect();
        if shape.contains(&0) { Self::one(0) } else { Self::new(shape, &counts) }
    }

    /// All of the elements as one block.
    pub fn one(elements: usize) -> Self {
        Self { run: elements, line: 1, outer: Vec::new(), count: 1 }
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many neighbours in memory are of one block at least.
    #[inline(always)]
    pub(crate) fn run(&self) -> usize {
        self.run
    }

    /// How many elements there are.
    pub(crate) fn reach(&self) -> usize {
        self.outer.iter().map(|&[length, ..]| length).product::<usize>() * self.line * self.run
    }

    /// Whether each row of `row` elements lies in one block, or is made of whole runs of blocks that follow each other; and
    /// whether runs are multiples of `step`.
    pub(crate) fn cut_rows(&self, row: usize, step: usize) -> bool {
        let Self { run, line, .. } = *self;
        let whole = |a: usize, b: usize| b > 0 && a.is_multiple_of(b);
        whole(run, step) && (whole(run, row) || whole(row, run) && whole(line, row / run))
    }

    /// The block of an element.
    #[inline(always)]
    pub(crate) fn block_at(&self, element: usize) -> usize {
        self.pieces(element, 1).next().map_or(0, |(.., block)| block)
    }

    /// The start, the length and the first block of runs, or of parts of them, that together are `count` elements from
    /// `start` on. Runs of one element that follow each other are handed over as one.
    #[inline(always)]
    fn pieces(&self, start: usize, count: usize) -> Pieces<'_> {
        Pieces { blocks: self, at: start, end: start + count, line_end: start, stop: 0, block: 0 }
    }

    /// Writes to each element the value of its block.
    #[inline(always)]
    fn spread(&self, to: &mut [f32], start: usize, values: &[f32]) {
        for (at, count, block) in self.pieces(start, to.len()) {
            let to = &mut to[at - start..][..count];
            if self.run == 1 {
                to.copy_from_slice(&values[block..][..count]);
            } else {
                to.fill(values[block]);
            }
        }
    }
}

/// The runs of [`Blocks::pieces`]. What is done with one is written in a loop and not in a closure, which would not be
/// compiled for this processor.
struct Pieces<'a> {
    blocks: &'a Blocks,
    at: usize,
    end: usize,
    /// Where the line ends, or what is asked for.
    line_end: usize,
    /// Where the run ends, and its block.
    stop: usize,
    block: usize,
}

impl Iterator for Pieces<'_> {
    type Item = (usize, usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize, usize)> {
        if self.at >= self.end {
            return None;
        }
        let Blocks { run, line, outer, .. } = self.blocks;
        if self.at >= self.line_end {
            let number = self.at / (run * line);
            let (mut rest, mut first) = (number, 0);
            for &[length, block, apart] in outer.iter().rev() {
                first += rest % length / block * apart;
                rest /= length;
            }
            self.line_end = self.end.min((number + 1) * run * line);
            self.block = first + self.at / run % line;
            self.stop = (self.at / run + 1) * run;
        }
        let stop = if *run == 1 { self.line_end } else { self.stop.min(self.line_end) };
        let piece = (self.at, stop - self.at, self.block);
        (self.at, self.stop, self.block) = (stop, stop + run, self.block + 1);
        Some(piece)
    }
}

/// Numbers that stand for weights.
///
/// ```
/// use anemone_kernels::weights::Codes;
/// // 4-bit codes 1 and 15, and the same bits with a sign: 1 and -1.
/// let (unsigned, signed) = (Codes::Unsigned(&[0xf1], 4), Codes::Signed(&[0xf1], 4));
/// # drop((unsigned, signed));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Codes<'a> {
    /// Whole numbers from 0 on, packed with so many bits each.
    Unsigned(&'a [u8], usize),
    /// Whole numbers in two's complement, packed with so many bits each.
    Signed(&'a [u8], usize),
    /// Halves.
    Halves(&'a [f16]),
    /// Floats.
    Singles(&'a [f32]),
}

impl Codes<'_> {
    /// Whether there are at least so many.
    fn reach(&self, count: usize) -> bool {
        match *self {
            Codes::Unsigned(bytes, bits) | Codes::Signed(bytes, bits) => {
                (1..=8).contains(&bits) && packed_len(count, bits) <= bytes.len()
            }
            Codes::Halves(all) => count <= all.len(),
            Codes::Singles(all) => count <= all.len(),
        }
    }

    /// Packed ones: their bytes, the bits of each, and the bit that is the sign, if there is one.
    fn packed(&self) -> Option<(&[u8], usize, u8)> {
        match *self {
            Codes::Unsigned(bytes, bits) => Some((bytes, bits, 0)),
            Codes::Signed(bytes, bits) => Some((bytes, bits, 1 << (bits - 1))),
            Codes::Halves(_) | Codes::Singles(_) => None,
        }
    }

    /// Writes those from `start` on, which is a multiple of 8.
    #[inline(always)]
    fn widen(&self, to: &mut [f32], start: usize) {
        match *self {
            Codes::Unsigned(bytes, bits) | Codes::Signed(bytes, bits) => {
                let mut codes = [0; BLOCK];
                let codes = &mut codes[..to.len()];
                unpack(codes, &bytes[start / 8 * bits..], bits);
                let sign = self.packed().map_or(0, |(_, _, sign)| sign);
                simd::dispatch(Number { to, codes, sign });
            }
            Codes::Halves(all) => f16::widen(to, &all[start..][..to.len()]),
            Codes::Singles(all) => to.copy_from_slice(&all[start..][..to.len()]),
        }
    }
}

struct Number<'a> {
    to: &'a mut [f32],
    codes: &'a [u8],
    sign: u8,
}

impl Kernel for Number<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, &code) in self.to.iter_mut().zip(self.codes) {
            *to = number(code, self.sign);
        }
    }
}

/// The number of a code in two's complement, whose sign is this bit; of one without a sign that is 0.
#[inline(always)]
pub(crate) fn number(code: u8, sign: u8) -> f32 {
    f32::from(code ^ sign) - f32::from(sign)
}

/// Writes `scale · (code - shift)`, where each block has its scale and its shift.
///
/// The arithmetic is that of `f32`, rounded once; with `halved` the differences are rounded to halves.
///
/// ```
/// use anemone_kernels::weights::{Blocks, Codes, shift_scale};
/// let mut weights = [0.0f32; 4];
/// let blocks = Blocks::along(&[2, 2], 0);
/// let codes = Codes::Unsigned(&[0x21, 0xf3], 4);
/// shift_scale(1, &mut weights, codes, &blocks, &[0.5, 2.0], Some(&[0.0, 1.0]), false);
/// assert_eq!(weights, [0.5, 1.0, 4.0, 28.0]);
/// ```
///
/// # Panics
///
/// When there are fewer codes than weights, or not as many scales or shifts as blocks.
#[apply(compiled_here)]
pub fn shift_scale<T: Float>(
    threads: usize,
    weights: &mut [T],
    codes: Codes<'_>,
    blocks: &Blocks,
    scale: &[f32],
    shift: Option<&[f32]>,
    halved: bool,
) {
    parallel_chunks(threads, weights, BLOCK, GRAIN, |i, weights| {
        shift_scale_from(weights, i * BLOCK, codes, blocks, scale, shift, halved);
    });
}

/// As [`shift_scale`], of the weights from `start` on, which is a multiple of 8, on this thread.
///
/// ```
/// use anemone_kernels::weights::{Blocks, Codes, shift_scale_from};
/// let mut weights = [0.0f32; 2];
/// let codes = Codes::Signed(&[0, 0, 0, 0, 0, 0, 0, 0, 3, 0xff], 8);
/// shift_scale_from(&mut weights, 8, codes, &Blocks::one(10), &[0.5], None, false);
/// assert_eq!(weights, [1.5, -0.5]);
/// ```
///
/// # Panics
///
/// As [`shift_scale`], and when `start` is no multiple of 8.
#[apply(compiled_here)]
pub fn shift_scale_from<T: Float>(
    weights: &mut [T],
    start: usize,
    codes: Codes<'_>,
    blocks: &Blocks,
    scale: &[f32],
    shift: Option<&[f32]>,
    halved: bool,
) {
    assert!(start.is_multiple_of(8), "codes are reached in eights");
    assert!(codes.reach(start + weights.len()), "there is a code for each weight");
    assert!(
        scale.len() == blocks.count && shift.is_none_or(|s| s.len() == blocks.count),
        "there is a scale for each block"
    );
    for (i, weights) in weights.chunks_mut(BLOCK).enumerate() {
        let start = start + i * BLOCK;
        if let Some((bytes, bits, sign)) = codes.packed()
            && !halved
            && blocks.run >= simd::MAX_LANES
        {
            let mut codes = [0; BLOCK];
            let codes = if bits == 8 {
                &bytes[start..][..weights.len()]
            } else {
                unpack(&mut codes[..weights.len()], &bytes[start / 8 * bits..], bits);
                &codes[..weights.len()]
            };
            simd::dispatch(Runs { weights, codes, sign, start, blocks, scale, shift });
            continue;
        }
        let (mut x, mut factors) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (x, factors) = (&mut x[..weights.len()], &mut factors[..weights.len()]);
        codes.widen(x, start);
        if let Some(shift) = shift {
            blocks.spread(factors, start, shift);
            simd::dispatch(Apply { x, y: factors, f: |x, y| x - y });
            if halved {
                let mut halves = [f16::ZERO; BLOCK];
                f16::narrow(&mut halves[..x.len()], x);
                f16::widen(x, &halves[..x.len()]);
            }
        }
        blocks.spread(factors, start, scale);
        simd::dispatch(Apply { x, y: factors, f: |x, y| x * y });
        T::narrow(weights, x);
    }
}

/// Codes of a byte each, shifted and scaled run by run.
struct Runs<'a, T> {
    weights: &'a mut [T],
    codes: &'a [u8],
    sign: u8,
    start: usize,
    blocks: &'a Blocks,
    scale: &'a [f32],
    shift: Option<&'a [f32]>,
}

impl<T: Float> Kernel for Runs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { weights, codes, sign, start, blocks, scale, shift } = self;
        // `x + -y` is `x - y`, and `x · y + -0` has the sign of `x · y` also when that is 0.
        let (bias, zero) = (simd.splat(-f32::from(sign)), simd.splat(-0.0));
        for (at, count, block) in blocks.pieces(start, weights.len()) {
            let (scale, shift) = (scale[block], shift.map_or(0.0, |shift| shift[block]));
            let (to, codes) = (&mut weights[at - start..][..count], &codes[at - start..][..count]);
            let (wide, less) = (simd.splat(scale), simd.splat(-shift));
            let whole = count / S::LANES * S::LANES;
            for i in (0..whole).step_by(S::LANES) {
                let difference = simd.add(simd.add(simd.load_u8(&codes[i..], sign), bias), less);
                T::store(simd, &mut to[i..], simd.mul_add(difference, wide, zero));
            }
            for (to, &code) in to[whole..].iter_mut().zip(&codes[whole..]) {
                *to = T::from_f32((number(code, sign) - shift) * scale);
            }
        }
    }
}

struct Apply<'a, F> {
    x: &'a mut [f32],
    y: &'a [f32],
    f: F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for Apply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (x, &y) in self.x.iter_mut().zip(self.y) {
            *x = (self.f)(*x, y);
        }
    }
}

/// Writes `x / scale`, rounded to the nearest whole number (of two to the even one), plus the zero point and held to
/// the range of a byte, which is signed or not. A NaN becomes 0.
///
/// Quotients are those of `f64`, so that none is rounded to the middle between two whole numbers.
///
/// ```
/// use anemone_kernels::weights::{Blocks, quantize};
/// let mut codes = [0; 3];
/// quantize(1, &mut codes, &[1.25f32, -0.75, 1000.0], &Blocks::one(3), &[0.5], None, true);
/// assert_eq!(codes, [2, 0xfe, 127]);
/// ```
///
/// # Panics
///
/// When there is not a code for each element, or not as many scales or zero points as blocks.
#[apply(compiled_here)]
pub fn quantize<T: Float>(
    threads: usize,
    codes: &mut [u8],
    x: &[T],
    blocks: &Blocks,
    scale: &[f32],
    zero: Option<&[f32]>,
    signed: bool,
) {
    assert_eq!(codes.len(), x.len(), "there is a code for each element");
    assert!(
        scale.len() == blocks.count && zero.is_none_or(|z| z.len() == blocks.count),
        "there is a scale for each block"
    );
    let (low, high) = if signed { (-128.0, 127.0) } else { (0.0, 255.0) };
    parallel_chunks(threads, codes, BLOCK, GRAIN, |i, codes| {
        let n = codes.len();
        let (mut wide, mut scales, mut zeros) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        T::widen(&mut wide[..n], &x[i * BLOCK..][..n]);
        blocks.spread(&mut scales[..n], i * BLOCK, scale);
        if let Some(zero) = zero {
            blocks.spread(&mut zeros[..n], i * BLOCK, zero);
        }
        simd::dispatch(Quantize { codes, x: &wide, scales: &scales, zeros: &zeros, low, high });
    });
}

struct Quantize<'a> {
    codes: &'a mut [u8],
    x: &'a [f32],
    scales: &'a [f32],
    zeros: &'a [f32],
    low: f64,
    high: f64,
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let operands = self.x.iter().zip(self.scales).zip(self.zeros);
        for (code, ((&x, &scale), &zero)) in self.codes.iter_mut().zip(operands) {
            let v = (f64::from(x) / f64::from(scale)).round_ties_even() + f64::from(zero);
            let v = if v < self.low { self.low } else { v };
            let v = if v > self.high { self.high } else { v };
            *code = v as i32 as u8;
        }
    }
}

/// Writes the entries of palettes that codes of `bits` bits name. Each block has its table of 2^bits entries.
///
/// ```
/// use anemone_kernels::weights::{Blocks, look_up};
/// let mut weights = [0i8; 3];
/// look_up(1, &mut weights, &[0b1101], 2, &Blocks::one(3), &[10, 20, 30, 40]);
/// assert_eq!(weights, [20, 40, 10]);
/// ```
///
/// # Panics
///
/// When there are fewer codes than weights, `bits` is not from 1 to 8, or there is not a table for each block.
pub fn look_up<E: Pod + Send + Sync>(
    threads: usize,
    weights: &mut [E],
    codes: &[u8],
    bits: usize,
    blocks: &Blocks,
    tables: &[E],
) {
    parallel_chunks(threads, weights, BLOCK, GRAIN, |i, weights| {
        look_up_from(weights, i * BLOCK, codes, bits, blocks, tables);
    });
}

/// As [`look_up`], of the weights from `start` on, which is a multiple of 8, on this thread.
///
/// ```
/// use anemone_kernels::weights::{Blocks, look_up_from};
/// let mut weights = [0i8; 2];
/// look_up_from(&mut weights, 8, &[0, 0b10], 1, &Blocks::one(10), &[5, 6]);
/// assert_eq!(weights, [5, 6]);
/// ```
///
/// # Panics
///
/// As [`look_up`], and when `start` is no multiple of 8.
pub fn look_up_from<E: Pod>(
    weights: &mut [E],
    start: usize,
    codes: &[u8],
    bits: usize,
    blocks: &Blocks,
    tables: &[E],
) {
    assert!(start.is_multiple_of(8), "codes are reached in eights");
    assert!(Codes::Unsigned(codes, bits).reach(start + weights.len()), "there is a code for each weight");
    assert_eq!(blocks.count.checked_mul(1 << bits), Some(tables.len()), "there is a table for each block");
    match bits {
        1 => look_up_of::<E, 2, 1>(weights, start, codes, blocks, tables),
        2 => look_up_of::<E, 4, 2>(weights, start, codes, blocks, tables),
        3 => look_up_of::<E, 8, 3>(weights, start, codes, blocks, tables),
        4 => look_up_of::<E, 16, 4>(weights, start, codes, blocks, tables),
        5 => look_up_of::<E, 32, 5>(weights, start, codes, blocks, tables),
        6 => look_up_of::<E, 64, 6>(weights, start, codes, blocks, tables),
        7 => look_up_of::<E, 128, 7>(weights, start, codes, blocks, tables),
        _ => look_up_of::<E, 256, 8>(weights, start, codes, blocks, tables),
    }
}

fn look_up_of<E: Pod, const ENTRIES: usize, const BITS: usize>(
    weights: &mut [E],
    start: usize,
    codes: &[u8],
    blocks: &Blocks,
    tables: &[E],
) {
    let (tables, _) = tables.as_chunks::<ENTRIES>();
    for (i, weights) in weights.chunks_mut(BLOCK).enumerate() {
        let mut unpacked = [0; BLOCK];
        let start = start + i * BLOCK;
        unpack(&mut unpacked[..weights.len()], &codes[start / 8 * BITS..], BITS);
        if size_of::<E>() == 2
            && ENTRIES <= 16
            && blocks.run > 1
            && let Ok(halves) = bytemuck::try_cast_slice_mut::<E, u16>(weights)
        {
            let codes = &unpacked[..halves.len()];
            let tables: &[u16] = bytemuck::cast_slice(tables);
            simd::dispatch(Tables { weights: halves, codes, entries: ENTRIES, start, blocks, tables });
            continue;
        }
        for (at, count, block) in blocks.pieces(start, weights.len()) {
            let part = at - start..at - start + count;
            let pairs = weights[part.clone()].iter_mut().zip(&unpacked[part]);
            if blocks.run == 1 {
                for ((weight, &code), table) in pairs.zip(&tables[block..]) {
                    *weight = table[usize::from(code) % ENTRIES];
                }
            } else {
                let table = &tables[block];
                pairs.for_each(|(weight, &code)| *weight = table[usize::from(code) % ENTRIES]);
            }
        }
    }
}

/// Codes of a byte each, looked up in tables of at most 16 numbers, run by run.
struct Tables<'a> {
    weights: &'a mut [u16],
    codes: &'a [u8],
    entries: usize,
    start: usize,
    blocks: &'a Blocks,
    tables: &'a [u16],
}

impl Kernel for Tables<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { weights, codes, entries, start, blocks, tables } = self;
        for (at, count, block) in blocks.pieces(start, weights.len()) {
            let table = &tables[block * entries..][..entries];
            let mut halves = [[0; 16]; 2];
            for (i, entry) in table.iter().enumerate() {
                [halves[0][i], halves[1][i]] = entry.to_le_bytes();
            }
            let (to, left) = weights[at - start..][..count].as_chunks_mut::<16>();
            let (codes, codes_left) = codes[at - start..][..count].as_chunks::<16>();
            for (to, codes) in to.iter_mut().zip(codes) {
                simd.look_up(to, codes, &halves);
            }
            for (to, &code) in left.iter_mut().zip(codes_left) {
                *to = table[usize::from(code) % entries];
            }
        }
    }
}

/// As [`look_up`], with entries that are vectors of `vector` elements and codes of a byte each.
///
/// The codes are lines of `inner`, and each line becomes `vector` lines: the first elements, the second, and so on.
///
/// ```
/// use anemone_kernels::weights::{Blocks, look_up_vectors};
/// // One table of two vectors of two numbers; codes 1 and 0.
/// let mut weights = [0u16; 4];
/// look_up_vectors(1, &mut weights, &[1, 0], &Blocks::new(&[2], &[1]), &[1, 2, 3, 4], [2, 2, 1]);
/// assert_eq!(weights, [3, 4, 1, 2]);
/// ```
///
/// # Panics
///
/// When there is not a vector for each code, or not a table of `entries` vectors for each block; when a code has no
/// entry.
pub fn look_up_vectors<E: Pod + Send + Sync>(
    threads: usize,
    weights: &mut [E],
    codes: &[u8],
    blocks: &Blocks,
    tables: &[E],
    [entries, vector, inner]: [usize; 3],
) {
    assert_eq!(codes.len().checked_mul(vector), Some(weights.len()), "there is a vector for each code");
    assert_eq!(blocks.count * entries * vector, tables.len(), "there is a table for each block");
    if weights.is_empty() {
        return;
    }
    parallel_chunks(
        threads,
        weights,
        vector * inner,
        BLOCK * GRAIN / (vector * inner) + 1,
        |line, weights| {
            for (at, count, block) in blocks.pieces(line * inner, inner) {
                for k in 0..count {
                    let table = block + if blocks.run == 1 { k } else { 0 };
                    let entry = (table * entries + usize::from(codes[at + k])) * vector;
                    let to = weights[at - line * inner + k..].iter_mut().step_by(inner);
                    to.zip(&tables[entry..entry + vector]).for_each(|(to, &value)| *to = value);
                }
            }
        },
    );
}

/// How many of the first `bits` bits of a mask are set.
///
/// ```
/// assert_eq!(anemone_kernels::weights::ones(&[0b1111_0110], 5), 3); // of the lowest five
/// ```
pub fn ones(mask: &[u8], bits: usize) -> usize {
    let whole: usize = mask[..bits / 8].iter().map(|b| b.count_ones() as usize).sum();
    let rest = bits % 8;
    whole + if rest > 0 { (mask[bits / 8] & ((1 << rest) - 1)).count_ones() as usize } else { 0 }
}

/// Writes the values, in order, where the bits of a mask are set, and zeros elsewhere.
///
/// ```
/// let mut dense = [0u16; 5];
/// anemone_kernels::weights::expand(1, &mut dense, &[0b10110], &[7, 8, 9]);
/// assert_eq!(dense, [0, 7, 8, 0, 9]);
/// ```
///
/// # Panics
///
/// When not as many bits are set as there are values, or the mask has fewer bits than there are elements.
pub fn expand<E: Pod + Send + Sync>(threads: usize, dense: &mut [E], mask: &[u8], values: &[E]) {
    let mut before = 0;
    let starts: Vec<usize> = (0..dense.len())
        .step_by(BLOCK)
        .map(|start| {
            let first = before;
            before += ones(&mask[start / 8..], BLOCK.min(dense.len() - start));
            first
        })
        .collect();
    assert_eq!(before, values.len(), "there is a value for each bit that is set");
    parallel_chunks(threads, dense, BLOCK, GRAIN, |i, dense| {
        let mut next = starts[i];
        for (dense, &bits) in dense.chunks_mut(8).zip(&mask[i * (BLOCK / 8)..]) {
            match (bits, values.get(next..next + 8)) {
                (0, _) => dense.fill(E::zeroed()),
                // Without a branch for each bit, since masks are as good as random.
                (_, Some(eight)) => {
                    let mut taken = 0;
                    for (k, dense) in dense.iter_mut().enumerate() {
                        let set = usize::from(bits >> k & 1);
                        *dense = [E::zeroed(), eight[taken % 8]][set];
                        taken += set;
                    }
                    next += taken;
                }
                (_, None) => {
                    for (k, dense) in dense.iter_mut().enumerate() {
                        let set = bits >> k & 1 == 1;
                        *dense = if set { values[next] } else { E::zeroed() };
                        next += usize::from(set);
                    }
                }
            }
        }
    });
}

/// The elements, in order, where the bits of a mask are set: the inverse of [`expand`].
///
/// ```
/// let mut values = [0u16; 3];
/// anemone_kernels::weights::compress(&mut values, &[0b10110], &[0, 7, 8, 0, 9]);
/// assert_eq!(values, [7, 8, 9]);
/// ```
///
/// # Panics
///
/// When the mask has fewer bits than there are elements, or more are set than there is room for.
pub fn compress<E: Pod>(values: &mut [E], mask: &[u8], dense: &[E]) {
    let mut next = 0;
    for (i, eight) in dense.chunks(8).enumerate() {
        let mut bits = mask[i];
        while bits != 0 {
            let k = bits.trailing_zeros() as usize;
            if k >= eight.len() {
                break;
            }
            values[next] = eight[k];
            next += 1;
            bits &= bits - 1;
        }
    }
}

#[cfg(test)]
mod tests;
