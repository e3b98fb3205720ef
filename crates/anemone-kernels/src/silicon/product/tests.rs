use half::f16;

use super::*;
use crate::Window;
use crate::conv::Conv;
use crate::silicon::{conv, conv_transpose, conv_winograd};

/// Numbers that are the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Halves of exponents around this one; some are zero, subnormal, infinite or NaN.
    fn halves(&mut self, count: usize, exponent: u64) -> Vec<f16> {
        let mut one = || match self.next() % 32 {
            0 => 0,
            1 => self.next() as u16 & 0x83ff,
            2 if exponent > 20 => self.next() as u16 | 0x7c00,
            _ => (self.next() & 0x83ff | (exponent + self.next() % 6) << 10) as u16,
        };
        (0..count).map(|_| f16::from_bits(one())).collect()
    }
}

/// A half as an exact fraction: its significand, and its exponent as the unit counts it; infinity is 65536.
fn plain_parts(x: f16) -> (i64, i32) {
    let bits = i64::from(x.to_bits());
    let (exponent, mut fraction) = ((bits >> 10 & 31) as i32, bits & 0x3ff);
    if exponent == 31 && fraction != 0 {
        fraction |= 0x200;
    }
    let significand = if exponent == 0 { fraction } else { fraction + 1024 };
    (if bits & 0x8000 == 0 { significand } else { -significand }, exponent.max(1) - 15)
}

/// A product on the grid, in whole numbers alone.
fn plain_product(x: f16, w: f16) -> i128 {
    let ((a, i), (b, j)) = (plain_parts(x), plain_parts(w));
    if i + j <= -17 {
        return 0;
    }
    // The product is a · b · 2^(i + j − 20); in units of 2^−16 that is a · b · 2^(i + j − 4).
    let (product, shift) = (i128::from(a) * i128::from(b), i + j - 4);
    if shift >= 0 {
        return product << shift;
    }
    let half = 1i128 << (-shift - 1);
    let magnitude = (product.abs() + half) >> -shift;
    if product < 0 { -magnitude } else { magnitude }
}

/// The sum of products in order, from a bias on, as an element of the result.
fn plain_sum(bias: i128, products: impl Iterator<Item = i128>) -> u16 {
    let limit = 1i128 << 31;
    let mut sum = bias;
    for product in std::iter::once(0).chain(products) {
        sum += product;
        if sum.abs() >= limit {
            return if sum < 0 { 0xfc00 } else { 0x7c00 };
        }
    }
    plain_store(sum)
}

/// A number of units as the nearest half, of two the one further from zero.
fn plain_store(sum: i128) -> u16 {
    let magnitude = sum.unsigned_abs();
    let bits = 127 - (magnitude | 1).leading_zeros();
    // Halves from 2^−16 to 2^−14 are multiples of the unit or finer.
    let half = if bits <= 10 {
        f16::from_f64(magnitude as f64 / 65536.0)
    } else {
        let shift = bits - 10;
        let rounded = (magnitude + (1 << (shift - 1))) >> shift << shift;
        f16::from_f64(rounded as f64 / 65536.0)
    };
    half.to_bits() | if sum < 0 && magnitude > 0 { 0x8000 } else { 0 }
}

fn check_product(m: usize, k: usize, n: usize, exponents: [u64; 2], bias: Option<u64>) {
    let mut random = Random((m * 1000 + k * 10 + n) as u64 + exponents[0]);
    let (a, b) = (random.halves(m * k, exponents[0]), random.halves(k * n, exponents[1]));
    let bias: Option<Vec<f32>> =
        bias.map(|e| random.halves(n, e).into_iter().map(super::super::decode).collect());
    let start = |j: usize| bias.as_ref().map_or(0, |b| i128::from(on_grid(b[j])));
    let kind = bias.as_deref().map_or(Bias::None, Bias::Columns);
    for threads in [1, 3] {
        let mut c = vec![f16::NAN; m * n];
        product(threads, &mut c, Matrix::new(&a, m, k), Matrix::new(&b, k, n), kind);
        let transposed: Vec<f16> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
        let mut again = vec![f16::NAN; m * n];
        product(
            threads,
            &mut again,
            Matrix::new(&a, m, k),
            Matrix::new(&transposed, n, k).transposed(),
            kind,
        );
        for i in 0..m {
            for j in 0..n {
                let products = (0..k).map(|l| plain_product(a[i * k + l], b[l * n + j]));
                let expected = plain_sum(start(j), products);
                let found = [c[i * n + j], again[i * n + j]].map(f16::to_bits);
                assert_eq!(found, [expected; 2], "[{i}, {j}] of {m} × {k} × {n}, {exponents:?}");
            }
        }
    }
}

#[test]
fn products_are_those_of_whole_numbers() {
    // Exponents of factors: around 1, small so that products vanish, and large so that sums overflow.
    for exponents in [[13, 12], [6, 8], [0, 14], [4, 9], [20, 18], [25, 10]] {
        for (m, k, n) in [(1, 7, 1), (3, 40, 33), (9, 64, 40), (17, 5, 70), (8, 300, 8)] {
            check_product(m, k, n, exponents, None);
            check_product(m, k, n, exponents, Some(10));
            check_product(m, k, n, exponents, Some(25));
        }
    }
    check_product(40, 24, 600, [13, 13], None);
    check_product(3, 0, 4, [13, 13], Some(12));
}

#[test]
fn every_half_meets_every_exponent() {
    let factors: Vec<f16> =
        (0..32u16).flat_map(|e| [e << 10, e << 10 | 0x155, e << 10 | 0x83ff]).map(f16::from_bits).collect();
    let all: Vec<f16> = (0..=u16::MAX).step_by(7).map(f16::from_bits).collect();
    let mut c = vec![f16::NAN; factors.len() * all.len()];
    product(4, &mut c, Matrix::new(&factors, factors.len(), 1), Matrix::new(&all, 1, all.len()), Bias::None);
    for (found, (x, w)) in c.iter().zip(factors.iter().flat_map(|x| all.iter().map(move |w| (x, w)))) {
        assert_eq!(found.to_bits(), plain_sum(0, [plain_product(*x, *w)].into_iter()), "{x:?} · {w:?}");
    }
}

/// Each window of a convolution, as the sums of its products.
fn check_conv(
    input: [usize; 3],
    kernel: [usize; 3],
    strides: usize,
    dilations: usize,
    pad: usize,
    groups: usize,
) {
    let each = |v: usize| kernel.map(|k| if k == 1 { 1 } else { v });
    let padding = kernel.map(|k| if k == 1 { 0 } else { pad });
    let window = Window::new(input, kernel, each(strides), each(dilations), padding, padding).unwrap();
    let c = Conv { window, batch: 2, in_channels: 3 * groups, out_channels: 2 * groups, groups };
    let (inputs, outputs, taps) = (window.input_len(), window.output_len(), window.kernel_len());
    let mut random = Random(7 + taps as u64);
    let x = random.halves(2 * c.in_channels * inputs, 14);
    let w = random.halves(c.out_channels * 3 * taps, 12);
    let bias: Vec<f32> = random.halves(c.out_channels, 14).into_iter().map(|b| b.to_f32()).collect();
    let mut y = vec![f16::NAN; 2 * c.out_channels * outputs];
    conv(3, &mut y, &x, &w, Some(&bias), &c);
    let volume = |n: usize, o: usize, i: usize| &x[(n * c.in_channels + o / 2 * 3 + i) * inputs..][..inputs];
    let place = |at: usize, [_, h, w]: [usize; 3]| [at / (h * w), at / w % h, at % w];
    for (at, found) in y.iter().enumerate() {
        let (n, o, to) = (at / outputs / c.out_channels, at / outputs % c.out_channels, at % outputs);
        let mut products = Vec::new();
        for i in 0..3 {
            for tap in 0..taps {
                let (p, t) = (place(to, window.output), window.tap(tap));
                let from: Option<Vec<usize>> = (0..3).map(|d| window.source(d, p[d], t[d])).collect();
                let number =
                    from.map_or(f16::ZERO, |f| volume(n, o, i)[(f[0] * input[1] + f[1]) * input[2] + f[2]]);
                products.push(plain_product(number, w[(o * 3 + i) * taps + tap]));
            }
        }
        let expected = plain_sum(i128::from(on_grid(bias[o])), products.into_iter());
        assert_eq!(found.to_bits(), expected, "{at} of {input:?} {kernel:?} / {strides}");
    }
}

#[test]
fn convolutions_are_sums_over_their_windows() {
    check_conv([1, 5, 9], [1, 3, 3], 1, 1, 1, 1);
    check_conv([1, 6, 11], [1, 3, 2], 2, 1, 0, 2);
    check_conv([1, 1, 40], [1, 1, 5], 1, 2, 4, 1);
    check_conv([3, 4, 5], [2, 2, 3], 1, 1, 1, 1);
    check_conv([1, 4, 5], [1, 1, 1], 1, 1, 0, 1);
}

#[test]
fn transposed_convolutions_are_sums_over_what_reaches_a_result() {
    let window = Window::new([1, 5, 8], [1, 3, 2], [1, 2, 3], [1, 1, 2], [0, 1, 0], [0, 1, 1]).unwrap();
    let c = Conv { window, batch: 2, in_channels: 4, out_channels: 6, groups: 2 };
    let (inputs, outputs, taps) = (window.output_len(), window.input_len(), window.kernel_len());
    let mut random = Random(3);
    let (x, w) = (random.halves(2 * 4 * inputs, 14), random.halves(4 * 3 * taps, 12));
    let mut y = vec![f16::NAN; 2 * 6 * outputs];
    conv_transpose(2, &mut y, &x, &w, None, &c);
    let mut sums = vec![0i128; y.len()];
    for (n, i) in (0..2).flat_map(|n| (0..4).map(move |i| (n, i))) {
        for (o, tap, at) in
            (0..3).flat_map(|o| (0..taps).flat_map(move |t| (0..inputs).map(move |at| (o, t, at))))
        {
            let place = [0, at / window.output[2], at % window.output[2]];
            let to: Option<Vec<usize>> =
                (0..3).map(|d| window.source(d, place[d], window.tap(tap)[d])).collect();
            if let Some(to) = to {
                let product = plain_product(x[(n * 4 + i) * inputs + at], w[(i * 3 + o) * taps + tap]);
                sums[(n * 6 + i / 2 * 3 + o) * outputs + to[1] * 8 + to[2]] += product;
            }
        }
    }
    for (y, sum) in y.iter().zip(sums) {
        assert_eq!(y.to_bits(), plain_store(sum));
    }
}

#[test]
fn pairs_of_results_share_four_sums() {
    let window = Window::new([1, 4, 7], [1, 3, 3], [1; 3], [1; 3], [0, 1, 1], [0, 1, 1]).unwrap();
    let c = Conv { window, batch: 2, in_channels: 5, out_channels: 9, groups: 1 };
    let mut random = Random(11);
    let (x, w) = (random.halves(2 * 5 * 28, 15), random.halves(9 * 5 * 9, 12));
    let bias: Vec<f32> = random.halves(9, 14).into_iter().map(|b| b.to_f32()).collect();
    let mut y = vec![f16::NAN; 2 * 9 * 28];
    conv_winograd(3, &mut y, &x, &w, Some(&bias), &c);
    let short = |x: f64| super::super::store_f64(x);
    let wide = |x: f16| f64::from(super::super::decode(x));
    for n in 0..2 {
        for (o, line, pair) in (0..9).flat_map(|o| (0..4).flat_map(move |l| (0..4).map(move |p| (o, l, p)))) {
            let mut m = [0i128; 4];
            for (i, row) in (0..5).flat_map(|i| (0..3usize).map(move |row| (i, row))) {
                let number = |k: usize| {
                    let (h, at) = ((line + row).checked_sub(1), (2 * pair + k).checked_sub(1));
                    let there = h.zip(at).filter(|&(h, at)| h < 4 && at < 7);
                    there.map_or(0.0, |(h, at)| wide(x[((n * 5 + i) * 4 + h) * 7 + at]))
                };
                let [a, b, c, d] = std::array::from_fn(number);
                let g: [f64; 3] = std::array::from_fn(|k| wide(w[(o * 5 + i) * 9 + row * 3 + k]));
                let u = [g[0], (g[0] + g[1] + g[2]) / 2.0, (g[0] - g[1] + g[2]) / 2.0, g[2]].map(short);
                let v = [a - c, b + c, c - b, b - d].map(short);
                (0..4).for_each(|j| m[j] += plain_product(v[j], u[j]));
            }
            let start = i128::from(on_grid(bias[o]));
            let both = [start + m[0] + m[1] + m[2], start + m[1] - m[2] - m[3]];
            for (k, sum) in both.into_iter().enumerate().take(7 - 2 * pair) {
                let found = y[((n * 9 + o) * 4 + line) * 7 + 2 * pair + k];
                assert_eq!(found.to_bits(), plain_store(sum), "{k} of {n} {o} {line} {pair}");
            }
        }
    }
}
