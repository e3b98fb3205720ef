//! Watts, as the system's own tool prints them.

use std::time::Duration;

use serde::Serialize;

/// What a sample of `powermetrics` says of the power that parts of the chip take, in watts. What it does not say is
/// `None`: some chips have no figure for the engine. The figures are the system's estimates.
///
/// ```
/// use anemone::telemetry::parse_powermetrics;
/// let text = "*** Sampled system activity (now) (1000.00ms elapsed) ***\nCPU Power: 500 mW\nANE Power: 1500 mW\n";
/// let sample = &parse_powermetrics(text)[0];
/// assert_eq!((sample.ane_watts, sample.gpu_watts), (Some(1.5), None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PowerSample {
    /// How long was measured.
    pub elapsed: Option<Duration>,
    /// That of the processor's cores.
    pub cpu_watts: Option<f64>,
    /// That of the GPU.
    pub gpu_watts: Option<f64>,
    /// That of the neural engine.
    pub ane_watts: Option<f64>,
    /// That of the three together.
    pub combined_watts: Option<f64>,
}

/// Reads what `sudo powermetrics --samplers cpu_power,gpu_power,ane_power -i 1000` prints, sample by sample. Lines that say
/// something else are passed over.
///
/// ```
/// use anemone::telemetry::parse_powermetrics;
/// let samples = parse_powermetrics(
///     "*** Sampled system activity (Wed Jan  7 12:00:00 2026 +0100) (1004.21ms elapsed) ***\nANE Power: 2310 mW\n",
/// );
/// assert_eq!(samples[0].ane_watts, Some(2.31));
/// ```
pub fn parse_powermetrics(text: &str) -> Vec<PowerSample> {
    let mut samples: Vec<PowerSample> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("*** Sampled system activity") {
            samples.push(PowerSample { elapsed: elapsed(line), ..PowerSample::default() });
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let field: fn(&mut PowerSample) -> &mut Option<f64> = match name {
            "CPU Power" => |s| &mut s.cpu_watts,
            "GPU Power" => |s| &mut s.gpu_watts,
            "ANE Power" => |s| &mut s.ane_watts,
            "Combined Power (CPU + GPU + ANE)" | "Combined Power" | "Package Power" => {
                |s| &mut s.combined_watts
            }
            _ => continue,
        };
        let Some(watts) = watts(value) else { continue };
        // A text may be cut off before its first heading.
        if samples.is_empty() {
            samples.push(PowerSample::default());
        }
        // The GPU's stands in two sections of a sample.
        if let Some(sample) = samples.last_mut() {
            field(sample).get_or_insert(watts);
        }
    }
    samples
}

/// `(1004.21ms elapsed)`.
fn elapsed(line: &str) -> Option<Duration> {
    let (before, _) = line.split_once("ms elapsed")?;
    let ms: f64 = before.rsplit('(').next()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(ms / 1000.0).ok()
}

/// `2310 mW`.
fn watts(value: &str) -> Option<f64> {
    let value = value.trim();
    let split = value.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = value.split_at(split);
    let number: f64 = number.trim().parse().ok()?;
    let per_watt = match unit.trim() {
        "W" => 1.0,
        "mW" => 1000.0,
        "uW" => 1_000_000.0,
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number / per_watt)
}
