//! Numbers: from text and to text.

use std::fmt::{self, Write};

use half::{bf16, f16};

use super::lexer::is_hexadecimal;
use crate::types::{DType, Tensor};

/// Why a text is not the number that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no number at all.
    Malformed,
    /// It has a fraction or exponent, and a whole number is wanted.
    NotWhole,
    /// It does not fit.
    Range,
}

/// What became of a number when it was rounded to its dtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounded {
    /// It is the nearest that the dtype holds.
    Near,
    /// It was finite and is not any more.
    Overflow,
    /// It was not zero and is now.
    Underflow,
}

/// Reads a whole number of a whole-number dtype, decimal or hexadecimal. Those of uint64 above the range of i64 come
/// as the i64 of the same bits.
pub(super) fn int(text: &str, dtype: DType) -> Result<i64, Fault> {
    let (negative, digits) = sign(text);
    let magnitude = whole(digits)?;
    let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    let (low, high) = dtype.int_range();
    if (low..=high).contains(&value) { Ok(value as i64) } else { Err(Fault::Range) }
}

/// Reads a whole number without sign, decimal or hexadecimal.
fn whole(digits: &str) -> Result<u64, Fault> {
    let (digits, base) = match is_hexadecimal(digits.as_bytes()) {
        true => (&digits[2..], 16),
        false => (digits, 10),
    };
    let mut value: Option<u64> = Some(0);
    for b in digits.bytes() {
        let Some(digit) = char::from(b).to_digit(base) else {
            let is_float =
                float(digits, DType::Fp64).is_ok() || base == 16 && matches!(b, b'.' | b'p' | b'P');
            return Err(if is_float { Fault::NotWhole } else { Fault::Malformed });
        };
        value = value.and_then(|v| v.checked_mul(base.into())?.checked_add(digit.into()));
    }
    if digits.is_empty() { Err(Fault::Malformed) } else { value.ok_or(Fault::Range) }
}

/// Reads a number of a floating-point dtype: decimal, hexadecimal with an exponent or fraction, `inf`, `nan`, or the
/// bit pattern of the number as a hexadecimal whole number. The result is a number that the dtype holds.
pub(super) fn float(text: &str, dtype: DType) -> Result<(f64, Rounded), Fault> {
    let (negative, digits) = sign(text);
    let exact = match digits {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        _ if is_hexadecimal(digits.as_bytes()) => {
            if digits[2..].bytes().all(|b| b.is_ascii_hexdigit()) {
                return if negative {
                    Err(Fault::Malformed)
                } else {
                    Ok((from_bits(digits, dtype)?, Rounded::Near))
                };
            }
            hex_float(&digits[2..], dtype)?
        }
        _ => decimal(digits, dtype)?,
    };
    let value = dtype.round(if negative { -exact } else { exact });
    // The text is asked whether the number was zero or infinite, as it may be out of the range of f64 itself.
    let rounded = if !value.is_finite() && digits != "inf" && digits != "nan" {
        Rounded::Overflow
    } else if value == 0.0 && has_digits_but_zero(digits) {
        Rounded::Underflow
    } else {
        Rounded::Near
    };
    Ok((value, rounded))
}

fn sign(text: &str) -> (bool, &str) {
    text.strip_prefix('-').map_or((false, text), |rest| (true, rest))
}

/// Whether the significand has a digit other than zero.
fn has_digits_but_zero(digits: &str) -> bool {
    let (significand, exponent) = match is_hexadecimal(digits.as_bytes()) {
        true => (&digits[2..], ['p', 'P']),
        false => (digits, ['e', 'E']),
    };
    let significand = significand.split(exponent).next().unwrap_or("");
    significand.bytes().any(|b| b != b'0' && b.is_ascii_hexdigit())
}

fn decimal(digits: &str, dtype: DType) -> Result<f64, Fault> {
    // The standard library also takes words and signs, which MIL does not.
    let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_decimal {
        return Err(Fault::Malformed);
    }
    // Read as fp32 where this is wanted: rounding to f64 first would round twice.
    match dtype {
        DType::Fp32 => digits.parse::<f32>().map(f64::from).map_err(|_| Fault::Malformed),
        _ => digits.parse().map_err(|_| Fault::Malformed),
    }
}

/// Reads a C99 hexadecimal float behind its `0x`.
fn hex_float(digits: &str, dtype: DType) -> Result<f64, Fault> {
    let (significand, exponent) = match digits.split_once(['p', 'P']) {
        Some((significand, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Fault::Malformed);
            }
            // An exponent beyond the range of i32 is as good as a million.
            let magnitude = digits.parse::<i32>().map_or(1_000_000, |e| e.min(1_000_000));
            (significand, if exponent.starts_with('-') { -magnitude } else { magnitude })
        }
        None => (digits, 0),
    };
    let mut exponent = i64::from(exponent);
    let mut bits: u64 = 0;
    let mut lost = false;
    let (mut seen_digit, mut seen_point) = (false, false);
    for b in significand.bytes() {
        if b == b'.' && !seen_point {
            seen_point = true;
            continue;
        }
        let Some(digit) = char::from(b).to_digit(16) else { return Err(Fault::Malformed) };
        seen_digit = true;
        if bits >> 60 == 0 {
            bits = bits << 4 | u64::from(digit);
            exponent -= if seen_point { 4 } else { 0 };
        } else {
            lost |= digit != 0;
            exponent += if seen_point { 0 } else { 4 };
        }
    }
    if !seen_digit {
        return Err(Fault::Malformed);
    }
    Ok(scale(bits, lost, exponent.clamp(-1_000_000, 1_000_000) as i32, dtype))
}

/// `bits` × 2^`exponent`, where `lost` says that digits below `bits` are missing.
///
/// For fp64 this rounds to nearest even. For the smaller dtypes it rounds to odd: an inexact result gets its last bit
/// set, so that rounding it again to the dtype gives what rounding once would have given.
fn scale(bits: u64, lost: bool, exponent: i32, dtype: DType) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    // The significand has 53 bits, or fewer where the number is subnormal.
    let top = exponent.saturating_add(63 - bits.leading_zeros() as i32);
    let unit = (top - 52).max(-1074);
    let shift = unit - exponent;
    let (mut significand, rest, half) = match shift {
        ..=0 => (bits << -shift, 0, 1),
        1..=63 => (bits >> shift, bits & ((1 << shift) - 1), 1 << (shift - 1)),
        64 => (0, bits, 1 << 63),
        _ => (0, 1, u64::MAX),
    };
    if dtype == DType::Fp64 {
        let up = rest > half || rest == half && (lost || significand & 1 == 1);
        significand += u64::from(up && shift > 0);
    } else if rest != 0 || lost {
        significand |= 1;
    }
    let mut value = significand as f64;
    let mut unit = unit;
    // Powers of two in steps that are themselves normal; only the last one can leave the range of normal numbers,
    // and there nothing is left to round.
    while unit > 1000 && value.is_finite() {
        value *= 2f64.powi(1000);
        unit -= 1000;
    }
    while unit < -1000 {
        value *= 2f64.powi(-1000);
        unit += 1000;
    }
    value * 2f64.powi(unit)
}

/// Reads the bit pattern of a floating-point number.
fn from_bits(digits: &str, dtype: DType) -> Result<f64, Fault> {
    let bits = whole(digits)?;
    if dtype.bits() < 64 && bits >> dtype.bits() != 0 {
        return Err(Fault::Range);
    }
    Ok(match dtype {
        DType::Fp16 => f16::from_bits(bits as u16).to_f64(),
        DType::Bf16 => bf16::from_bits(bits as u16).to_f64(),
        DType::Fp32 => f32::from_bits(bits as u32).into(),
        DType::Fp64 => f64::from_bits(bits),
        _ => Tensor::from_bytes(dtype, &[], &[bits as u8]).map_or(f64::NAN, |t| t.to_f64s()[0]),
    })
}

/// Writes a number in the minimal hexadecimal form: `0x1.8p+0`, `-inf`, `nan`.
pub(super) fn write_hex(out: &mut impl Write, value: f64) -> fmt::Result {
    if write_special(out, value)? {
        return Ok(());
    }
    if value.is_sign_negative() {
        out.write_char('-')?;
    }
    if value == 0.0 {
        return out.write_str("0x0p+0");
    }
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let (exponent, mut fraction) = match (bits >> 52) as i32 & 0x7ff {
        // A subnormal number is written as if it were normal.
        0 => {
            let shift = fraction.leading_zeros() - 11;
            (-1022 - shift as i32, fraction << shift & ((1 << 52) - 1))
        }
        e => (e - 1023, fraction),
    };
    out.write_str("0x1")?;
    if fraction != 0 {
        out.write_char('.')?;
    }
    while fraction != 0 {
        let digit = (fraction >> 48) as usize;
        out.write_char(char::from(b"0123456789abcdef"[digit]))?;
        fraction = fraction << 4 & ((1 << 52) - 1);
    }
    write!(out, "p{exponent:+}")
}

/// Writes a number as C's `%.17g` does, which Apple uses for the numbers in dicts.
pub(super) fn write_decimal(out: &mut impl Write, value: f64) -> fmt::Result {
    const DIGITS: i32 = 17;
    if write_special(out, value)? {
        return Ok(());
    }
    let scientific = format!("{value:.*e}", DIGITS as usize - 1);
    let (significand, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let short = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => digits.to_string(),
    };
    if (-4..DIGITS).contains(&exponent) {
        out.write_str(&short(&format!("{value:.*}", (DIGITS - 1 - exponent) as usize)))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{}e{sign}{:02}", short(significand), exponent.unsigned_abs())
    }
}

/// Writes an infinity or NaN; says whether the number is one.
fn write_special(out: &mut impl Write, value: f64) -> Result<bool, fmt::Error> {
    match value {
        v if v.is_nan() => out.write_str("nan")?,
        f64::INFINITY => out.write_str("inf")?,
        f64::NEG_INFINITY => out.write_str("-inf")?,
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a number of a dtype and compares how it is written.
    fn check(dtype: DType, text: &str, expected: Result<&str, Fault>) {
        let found = if dtype.is_float() {
            float(text, dtype).map(|(value, _)| hex(value))
        } else {
            int(text, dtype).map(|v| v.to_string())
        };
        assert_eq!(found.as_deref().map_err(|f| *f), expected, "{dtype} {text}");
    }

    fn hex(value: f64) -> String {
        let mut out = String::new();
        write_hex(&mut out, value).unwrap();
        out
    }

    fn decimal_text(value: f64) -> String {
        let mut out = String::new();
        write_decimal(&mut out, value).unwrap();
        out
    }

    #[test]
    fn whole_numbers() {
        check(DType::Int8, "-128", Ok("-128"));
        check(DType::Int8, "128", Err(Fault::Range));
        check(DType::UInt4, "15", Ok("15"));
        check(DType::UInt4, "-1", Err(Fault::Range));
        check(DType::UInt64, "18446744073709551615", Ok("-1"));
        check(DType::UInt64, "18446744073709551616", Err(Fault::Range));
        check(DType::Int32, "0x10", Ok("16"));
        check(DType::Int32, "1.5", Err(Fault::NotWhole));
        check(DType::Int32, "1e3", Err(Fault::NotWhole));
        check(DType::Int32, "0x1p+0", Err(Fault::NotWhole));
        check(DType::Int32, "12abc", Err(Fault::Malformed));
        check(DType::Int32, "0x", Err(Fault::Malformed));
    }

    /// Row B7: decimal and hexadecimal.
    #[test]
    fn floats_take_every_form() {
        check(DType::Fp32, "0x1.010102p-8", Ok("0x1.010102p-8"));
        check(DType::Fp16, "0x1.1000000000000p-20", Ok("0x1.1p-20"));
        check(DType::Fp16, "0.5", Ok("0x1p-1"));
        check(DType::Fp16, "-0x0p+0", Ok("-0x0p+0"));
        check(DType::Fp16, "-0.5", Ok("-0x1p-1"));
        check(DType::Fp64, "6.3110803182750176e-06", Ok("0x1.a78788c66c12bp-18"));
        check(DType::Fp64, "0", Ok("0x0p+0"));
        check(DType::Fp16, "-inf", Ok("-inf"));
        check(DType::Fp16, "nan", Ok("nan"));
        check(DType::Fp32, "0x1.8", Ok("0x1.8p+0"));
        check(DType::Fp8E4M3FN, "448", Ok("0x1.cp+8"));
        check(DType::Fp32, "infinity", Err(Fault::Malformed));
        check(DType::Fp32, "0x1p", Err(Fault::Malformed));
        check(DType::Fp32, "0x.p1", Err(Fault::Malformed));
        check(DType::Fp32, "1.2.3", Err(Fault::Malformed));
    }

    #[test]
    fn a_hexadecimal_whole_number_is_a_bit_pattern() {
        check(DType::Fp16, "0x3c00", Ok("0x1p+0"));
        check(DType::Fp16, "0x8001", Ok("-0x1p-24"));
        check(DType::Fp16, "0x13c00", Err(Fault::Range));
        check(DType::Bf16, "0x3f80", Ok("0x1p+0"));
        check(DType::Fp32, "0x7f800000", Ok("inf"));
        check(DType::Fp8E5M2, "0x3c", Ok("0x1p+0"));
        check(DType::Fp16, "-0x3c00", Err(Fault::Malformed));
    }

    #[test]
    fn hexadecimal_floats_are_rounded_once() {
        // A tie in fp16 but for a bit far below what f64 holds.
        check(DType::Fp16, "0x1.00200000000000000000001p+0", Ok("0x1.004p+0"));
        check(DType::Fp16, "0x1.002p+0", Ok("0x1p+0"));
        check(DType::Fp16, "1.00048828125000000001", Ok("0x1p+0"));
        check(DType::Fp16, "1.0004882812500009", Ok("0x1.004p+0"));
        check(DType::Bf16, "-0x1.01000000000008p+0", Ok("-0x1.02p+0"));
        check(DType::Fp64, "0x1.00000000000008p+0", Ok("0x1p+0"));
        check(DType::Fp64, "0x1.000000000000080001p+0", Ok("0x1.0000000000001p+0"));
        check(DType::Fp64, "0x1p-1074", Ok("0x1p-1074"));
        check(DType::Fp64, "0x1.8p-1074", Ok("0x1p-1073"));
        check(DType::Fp64, "0x1p-1075", Ok("0x0p+0"));
        check(DType::Fp64, "0x1p+1023", Ok("0x1p+1023"));
        check(DType::Fp64, "0x1p+999999999999", Ok("inf"));
    }

    #[test]
    fn numbers_that_leave_their_dtype_are_noticed() {
        let rounded = |text, dtype| float(text, dtype).unwrap().1;
        assert_eq!(rounded("0.1", DType::Fp16), Rounded::Near);
        assert_eq!(rounded("65520", DType::Fp16), Rounded::Overflow);
        assert_eq!(rounded("1e-9", DType::Fp16), Rounded::Underflow);
        assert_eq!(rounded("1e999", DType::Fp64), Rounded::Overflow);
        assert_eq!(rounded("1e-999", DType::Fp32), Rounded::Underflow);
        assert_eq!(rounded("0x1p-2000", DType::Fp64), Rounded::Underflow);
        assert_eq!(rounded("0e9", DType::Fp16), Rounded::Near);
        assert_eq!(rounded("-inf", DType::Fp16), Rounded::Near);
        assert_eq!(rounded("500", DType::Fp8E4M3FN), Rounded::Overflow);
    }

    #[test]
    fn decimals_are_written_as_c_writes_them() {
        for text in ["0", "0.0046742807655237523", "6.3110803182750176e-06", "0.125", "100", "1e+17", "-2.5"]
        {
            assert_eq!(decimal_text(text.parse().unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bits: u64) {
            let value = f64::from_bits(bits);
            for text in [hex(value), decimal_text(value)] {
                let (again, _) = float(&text, DType::Fp64).unwrap();
                prop_assert!(again.to_bits() == bits || value.is_nan() && again.is_nan(), "{}", text);
            }
        }

        /// Row B7: written and read.
        #[test]
        fn every_fp16_survives(bits: u16) {
            let value = f16::from_bits(bits).to_f64();
            let (again, _) = float(&hex(value), DType::Fp16).unwrap();
            prop_assert!(again.to_bits() == value.to_bits() || value.is_nan() && again.is_nan());
        }
    }
}
