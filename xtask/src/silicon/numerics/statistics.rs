//! Statistics of sweeps over the inputs of activations.

use std::collections::BTreeSet;

use anemone::Chip;
use anemone::types::f16;

use super::{Cells, Outcome, compute, tensor};

/// Compares largest error, largest error in units of the last place, and where that is.
pub(super) fn compare(cells: &Cells<'_>, chip: Chip) -> Result<(String, Outcome), String> {
    let name = cells.of("function");
    let bound = |column: &str| {
        let text = cells.of(column);
        let power = text.strip_prefix("2^").and_then(|p| p.parse::<i32>().ok()).map(|p| 2f64.powi(p));
        power.or_else(|| text.parse().ok()).ok_or_else(|| format!("`{column}` is `{text}`"))
    };
    let (low, high) = (bound("lo")?, bound("hi")?);
    if exact(name, 1.0).is_none() {
        return Err(format!("there is no function `{name}`"));
    }
    let points = grid(low, high);
    let count = points.len().to_string();
    if count != cells.of("n_points") {
        return Ok((name.into(), Outcome::Missed(format!("{count} points for {}", cells.of("n_points")))));
    }
    let op = if name == "swish" { "silu" } else { name };
    let found = compute(chip, op, &[("x", tensor(&[points.len()], &points)?)])?;
    let (mut error, mut units, mut at) = (0f64, 0f64, 0f64);
    for (&x, &y) in points.iter().zip(&found) {
        let exact = exact(name, x.to_f64()).ok_or_else(|| format!("there is no function `{name}`"))?;
        let distance = (y.to_f64() - exact).abs();
        error = error.max(distance);
        // The unit of the last place of the exact value, as a half has it.
        let unit = 2f64.powf(exact.abs().max(2f64.powi(-14)).log2().floor() - 10.0);
        if distance / unit > units {
            (units, at) = (distance / unit, x.to_f64());
        }
    }
    let printed = [format!("{error:.3e}"), format!("{units:.1}"), significant(at)];
    let expected = ["ane_max_abs_err", "ane_max_ulp", "at_x"].map(|column| cells.of(column));
    let outcome = if printed == expected {
        Outcome::Reproduced
    } else {
        Outcome::Missed(format!("{} for {}; {}", printed.join(" "), expected.join(" "), cells.of("model")))
    };
    Ok((name.into(), outcome))
}

/// The halves nearest to many points, which are as far from each other, or in the same ratio.
fn grid(low: f64, high: f64) -> Vec<f16> {
    const POINTS: usize = 524_288;
    let at = |i: usize| {
        let share = i as f64 / (POINTS - 1) as f64;
        if low > 0.0 { low * (high / low).powf(share) } else { low + (high - low) * share }
    };
    // Ordered as numbers; the two zeros are one.
    let mut seen = BTreeSet::new();
    let mut points: Vec<f16> = (0..POINTS)
        .map(|i| f16::from_f64(at(i)))
        .filter(|x| seen.insert(if *x == f16::ZERO { 0 } else { x.to_bits() }))
        .collect();
    points.sort_by(|a, b| a.total_cmp(b));
    points
}

fn exact(name: &str, x: f64) -> Option<f64> {
    Some(match name {
        "sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "silu" => x / (1.0 + (-x).exp()),
        "tanh" => x.tanh(),
        "exp" => x.exp(),
        "log" => x.ln(),
        "sqrt" => x.sqrt(),
        "rsqrt" => 1.0 / x.sqrt(),
        // MIL's epsilon is a part of what was compared.
        "inverse" => 1.0 / x,
        "sin" => x.sin(),
        "cos" => x.cos(),
        "gelu" => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
        "erf" => erf(x),
        _ => return None,
    })
}

/// The error function: a series, and a continued fraction for its tail.
fn erf(x: f64) -> f64 {
    let magnitude = x.abs();
    let y = if magnitude < 2.5 {
        let mut term = magnitude;
        let mut sum = magnitude;
        for n in 1..200 {
            term *= -magnitude * magnitude / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..200).rev().fold(0.0, |f, n| f64::from(n) / 2.0 / (magnitude + f));
        1.0 - (-magnitude * magnitude).exp() / (magnitude + fraction) / std::f64::consts::PI.sqrt()
    };
    y.copysign(x)
}

/// As C prints with `%.4g`.
fn significant(x: f64) -> String {
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    let exponent = rounded.abs().log10().floor() as i32;
    if (-4..4).contains(&exponent) {
        return rounded.to_string();
    }
    let text = format!("{rounded:e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}
