//! How near a result must be to one of the files below `golden/`.

use anemone::device;
use anemone::mil::op::Tolerance;
use anemone::types::{DType, Tensor};

/// How far the reference may be from what is wanted.
#[derive(Clone, Copy)]
pub(crate) enum Within {
    /// Equal, and zeros of the same sign.
    Exact,
    /// So many units in the last place.
    Ulp(f64),
    /// So many times the largest magnitude that is wanted.
    Relative(f64),
}

impl Within {
    pub(crate) fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            None if text == "exact" => Within::Exact,
            Some(("ulp", n)) => Within::Ulp(n.parse().unwrap()),
            Some(("rel", r)) => Within::Relative(r.parse().unwrap()),
            _ => panic!("`{text}` is not a tolerance"),
        }
    }
}

/// The bits of the significand behind the point, and the exponent of the smallest normal number.
fn precision(dtype: DType) -> (i32, i32) {
    match dtype {
        DType::Fp16 => (10, -14),
        DType::Bf16 => (7, -126),
        DType::Fp32 => (23, -126),
        _ => (52, -1022),
    }
}

/// The distance from a number to the next.
fn unit(dtype: DType, value: f64) -> f64 {
    let (digits, smallest) = precision(dtype);
    let exponent = (value.abs().to_bits() >> 52) as i32 - 1023;
    2f64.powi(exponent.max(smallest) - digits)
}

/// What a result has to be near to.
pub(crate) struct Wanted<'a> {
    pub(crate) tensor: &'a Tensor,
    pub(crate) within: Within,
    /// What the engine may add to that.
    pub(crate) tolerance: Tolerance,
}

impl Wanted<'_> {
    /// Nothing, or what is wrong with what was found.
    pub(crate) fn check(&self, found: &Tensor) -> Result<(), String> {
        let wanted = self.tensor;
        if found.ty() != wanted.ty() {
            return Err(format!("is a {}, wanted is a {}", found.ty(), wanted.ty()));
        }
        if !wanted.dtype().is_float() {
            let differs = |i: &usize| match (found.as_strings(), wanted.as_strings()) {
                (Some(f), Some(w)) => f[*i] != w[*i],
                _ => found.to_i64s()[*i] != wanted.to_i64s()[*i],
            };
            return match (0..wanted.len()).find(differs) {
                Some(i) => Err(self.differs(found, i)),
                None => Ok(()),
            };
        }
        let (f, w) = (found.to_f64s(), wanted.to_f64s());
        let largest = w.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
        match (0..w.len()).find(|&i| !self.near(f[i], w[i], largest)) {
            Some(i) => Err(self.differs(found, i)),
            None => Ok(()),
        }
    }

    fn near(&self, found: f64, wanted: f64, largest: f64) -> bool {
        if found.is_nan() || wanted.is_nan() {
            return found.is_nan() && wanted.is_nan();
        }
        if found == wanted {
            let strict = matches!((self.within, self.tolerance), (Within::Exact, Tolerance::Exact));
            return !strict || found.is_sign_negative() == wanted.is_sign_negative();
        }
        let dtype = self.tensor.dtype();
        let (digits, smallest) = precision(dtype);
        let epsilon = 2f64.powi(-digits);
        let own = match self.within {
            Within::Exact => 0.0,
            Within::Ulp(n) => n * unit(dtype, wanted),
            Within::Relative(r) => r * largest,
        };
        let engine = match self.tolerance {
            Tolerance::Exact => 0.0,
            Tolerance::Ulp(n) => f64::from(n) * epsilon * wanted.abs().max(2f64.powi(smallest)),
            Tolerance::Sum(n) => f64::from(n) * epsilon * largest,
        };
        // An infinity is at no finite distance from anything else.
        (found - wanted).abs() <= own + engine
    }

    fn differs(&self, found: &Tensor, index: usize) -> String {
        let at = device::compare::position(found.shape(), index);
        let one = |t: &Tensor| match t.as_strings() {
            Some(s) => format!("{:?}", s[index]),
            None if t.dtype().is_float() => format!("{:?}", t.to_f64s()[index]),
            None => t.to_i64s()[index].to_string(),
        };
        format!("at {at:?} is {}, wanted is {}", one(found), one(self.tensor))
    }
}
