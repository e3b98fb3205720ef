//! Sums as the M1 adds them: tiles of four, whose terms are aligned to the larger of two, and then exactly.
//!
//! The guide's cancellation points on an M1 follow, and its sum of 4096 and 1024 ones. Which tiles there are in longer
//! sums, and whether what is cut off is rounded, the points do not tell: another rule may fit as well.

use anemone_kernels::silicon::{decode, multiply, store_f64};

use super::halves::Halves;
use crate::ops::fast::{Ready, ready};
use crate::ops::lanes::{Lanes, axes_of};
use crate::ops::linear::Matmul;
use crate::ops::loops::shape_of;
use crate::ops::row::*;
use crate::types::f16;

/// The terms that are added before the exact sum.
const TILE: usize = 4;

/// The significant bits of the larger of two terms, to the last of which the other is aligned.
const BITS: i32 = 12;

/// `reduce_sum`; `None` where the shape is not known before the run.
pub(super) fn reduce(args: &Args<'_>) -> Ready {
    let ty = args.ty("x")?;
    let Some(shape) = ty.shape.known() else { return Ok(None) };
    let lanes = Lanes::along(&shape, &axes_of(args, ty.rank())?)?;
    let x = args.reader("x")?;
    Ok(Some(Prepared::new(move |run| {
        let sums = lanes.reduce(run.read::<f16>(&x), |lane| store_f64(sum(lane.iter().copied())))?;
        run.write(0).copy_from_slice(&sums);
        Ok(())
    })))
}

/// A row times a column, which is a product of each and then a sum; `None` for other products.
pub(super) fn dot(args: &Args<'_>, types: &[Type]) -> Ready {
    let (Some(x), Some(y)) = (Halves::of(args, "x")?, Halves::of(args, "y")?) else { return Ok(None) };
    let products = Matmul::of(args)?;
    if (products.m, products.n) != (1, 1) || shape_of(&types[0]).iter().product::<usize>() != 1 {
        return Ok(None);
    }
    ready(move |run| {
        let (x, y) = (x.read(run), y.read(run));
        let terms = x.iter().zip(y).map(|(&x, &y)| multiply(x, y));
        let sum = store_f64(sum(terms));
        run.write::<f16>(0)[0] = sum;
    })
}

fn sum(terms: impl Iterator<Item = f16>) -> f64 {
    let (mut all, mut tile) = (0.0, 0.0);
    for (i, term) in terms.enumerate() {
        // Numbers below the least normal half are nothing here.
        let term = f64::from(decode(term));
        let term = if term.abs() < f64::from(f16::MIN_POSITIVE) { 0.0 } else { term };
        tile = aligned(tile, term);
        if i % TILE == TILE - 1 {
            all += std::mem::take(&mut tile);
        }
    }
    all + tile
}

/// The sum of two numbers, of which the smaller loses what lies below the last bit of the larger.
fn aligned(a: f64, b: f64) -> f64 {
    let most = a.abs().max(b.abs());
    if most == 0.0 {
        return 0.0;
    }
    // The exponent of a normal number of double precision.
    let exponent = (most.to_bits() >> 52) as i32 - 1023;
    let unit = 2f64.powi(exponent - BITS + 1);
    ((a / unit).trunc() + (b / unit).trunc()) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(terms: impl IntoIterator<Item = f64>) -> f64 {
        store_f64(sum(terms.into_iter().map(f16::from_f64))).to_f64()
    }

    /// The guide's points on an M1: `[+B, -B, +1]` sixteen times, in both orders, and 4096 with 1024 ones.
    #[test]
    fn points_of_an_m1_come_out() {
        for (large, expected) in
            [(1024.0, 16.0), (3000.0, 16.0), (4000.0, 16.0), (4096.0, 4.0), (8000.0, 4.0), (30000.0, 4.0)]
        {
            for triple in [[large, -large, 1.0], [large, 1.0, -large]] {
                assert_eq!(of((0..48).map(|i| triple[i % 3])), expected, "{triple:?}");
            }
        }
        assert_eq!(of(std::iter::once(4096.0).chain(std::iter::repeat_n(1.0, 1024))), 5116.0);
        assert_eq!(of(std::iter::repeat_n(1.0, 16000)), 16000.0);
        assert_eq!(of([2.0f64.powi(-24); 2]), 0.0);
        assert_eq!(of([1000.0, 1000.0, 49.0]), 2050.0, "2049 is rounded half away");
    }
}
