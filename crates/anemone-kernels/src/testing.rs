//! What the tests of the kernels share.

use crate::Float;

/// `count` numbers between -1 and 1, the same for the same seed.
pub(crate) fn floats<T: Float>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            T::from_f32((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect()
}

/// Checks a result against the exact one: within `bound`, and one rounding to the dtype.
#[track_caller]
pub(crate) fn close<T: Float>(found: T, exact: f64, bound: f64, what: &str) {
    let rounding = if T::as_f32s(&[]).is_some() {
        exact.abs() * 2f64.powi(-24)
    } else {
        (exact.abs() * 2f64.powi(-11)).max(2f64.powi(-25))
    };
    let found_wide = f64::from(found.to_f32());
    if found_wide == exact || found_wide.is_nan() && exact.is_nan() {
        return; // Infinities among them.
    }
    let error = (f64::from(found.to_f32()) - exact).abs();
    assert!(
        error <= bound + rounding * 1.0001,
        "{what}: {found:?} is {error:e} from {exact}, more than {bound:e}"
    );
}
