//! What is said of a value in one line.

use anemone::types::{Datum, Tensor};
use serde::Serialize;

/// The most elements of which all are shown.
pub(crate) const FEW: usize = 16;

/// The least, largest and mean of the finite elements, and how many are not finite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Statistics {
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) mean: Option<f64>,
    pub(crate) finite: bool,
    pub(crate) nan: usize,
    pub(crate) inf: usize,
}

impl Statistics {
    /// Of a tensor.
    pub(crate) fn of(tensor: &Tensor) -> Self {
        let values = tensor.to_f64s();
        let nan = values.iter().filter(|v| v.is_nan()).count();
        let inf = values.iter().filter(|v| v.is_infinite()).count();
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let count = values.len() - nan - inf;
        Self {
            dtype: tensor.dtype().name(),
            shape: tensor.shape().to_vec(),
            min: finite().reduce(f64::min),
            max: finite().reduce(f64::max),
            mean: (count > 0).then(|| finite().sum::<f64>() / count as f64).filter(|m| m.is_finite()),
            finite: nan + inf == 0,
            nan,
            inf,
        }
    }
}

/// All elements of a value that has few, as JSON; numbers that JSON does not have are null.
pub(crate) fn few(datum: &Datum) -> Option<Vec<serde_json::Value>> {
    let tensor = datum.as_tensor().filter(|t| t.len() <= FEW)?;
    Some(elements(tensor))
}

/// The elements of a tensor as JSON.
pub(crate) fn elements(tensor: &Tensor) -> Vec<serde_json::Value> {
    match tensor.as_strings() {
        Some(strings) => strings.iter().map(|s| (**s).into()).collect(),
        None if tensor.dtype().is_float() => tensor.to_f64s().into_iter().map(Into::into).collect(),
        None if tensor.dtype() == anemone::types::DType::Bool => {
            tensor.to_i64s().into_iter().map(|v| (v != 0).into()).collect()
        }
        None => tensor.to_i64s().into_iter().map(Into::into).collect(),
    }
}

/// A number with six significant digits at most.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs();
    if value.fract() == 0.0 && magnitude < 1e9 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e6).contains(&magnitude) {
        return format!("{value:.4e}");
    }
    let digits = (5 - magnitude.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if digits == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_string() }
}

/// A time, given in milliseconds, with three significant digits.
pub(crate) fn duration(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 1.0 => (ms * 1e3, "µs"),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let digits = usize::from(value < 100.0) + usize::from(value < 10.0);
    format!("{value:.digits$} {unit}")
}

/// A count with three significant digits, in thousands, millions or billions where it is large.
pub(crate) fn count(n: u64) -> String {
    let n = n as f64;
    let (value, unit) = match n {
        n if n < 1e3 => return format!("{n}"),
        n if n < 1e6 => (n / 1e3, "thousand"),
        n if n < 1e9 => (n / 1e6, "million"),
        n => (n / 1e9, "billion"),
    };
    let digits = usize::from(value < 100.0) + usize::from(value < 10.0);
    format!("{value:.digits$} {unit}")
}

/// An amount of memory with three significant digits.
pub(crate) fn bytes(n: usize) -> String {
    let (value, unit) = match n as f64 {
        n if n < 1e3 => return format!("{n} bytes"),
        n if n < 1e6 => (n / 1e3, "kB"),
        n if n < 1e9 => (n / 1e6, "MB"),
        n => (n / 1e9, "GB"),
    };
    let digits = usize::from(value < 100.0) + usize::from(value < 10.0);
    format!("{value:.digits$} {unit}")
}

/// An element of a tensor, as people read it.
pub(crate) fn element(tensor: &Tensor, index: usize) -> String {
    let one = tensor.pick(&[], [index]).ok();
    one.as_ref().map_or_else(String::new, |t| match t.as_strings() {
        Some(s) => format!("{:?}", s[0]),
        None if t.dtype().is_float() => short(t.to_f64s()[0]),
        None if t.dtype() == anemone::types::DType::Bool => (t.to_i64s()[0] != 0).to_string(),
        None => t.to_i64s()[0].to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-12.5, "-12.5"),
            (0.333_333_333, "0.333333"),
            (1_234.567_89, "1234.57"),
            (1e-7, "1.0000e-7"),
            (3e38, "3.0000e38"),
            (f64::NAN, "NaN"),
            (99999.99999, "100000"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn times_and_counts_have_a_fitting_unit() {
        let times = [0.0018, 0.5, 1.234, 12.34, 123.4, 1234.0].map(duration);
        assert_eq!(times, ["1.80 µs", "500 µs", "1.23 ms", "12.3 ms", "123 ms", "1.23 s"]);
        assert_eq!(
            [8, 12_345, 2_144_130, 5_000_000_000].map(count),
            ["8", "12.3 thousand", "2.14 million", "5.00 billion"]
        );
    }

    #[test]
    fn statistics_leave_out_what_is_not_finite() {
        let t = Tensor::from_slice(&[4], &[1.0f32, f32::NAN, 3.0, f32::INFINITY]).unwrap();
        let s = Statistics::of(&t);
        assert_eq!(
            (s.min, s.max, s.mean, s.nan, s.inf, s.finite),
            (Some(1.0), Some(3.0), Some(2.0), 1, 1, false)
        );
        let none = Statistics::of(&Tensor::zeros(anemone::types::DType::Fp16, &[0]).unwrap());
        assert_eq!((none.min, none.mean, none.finite), (None, None, true));
    }
}
