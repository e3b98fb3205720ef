//! How fast the engines are, as data: the numbers that the model of [`place::cost`](crate::place::cost) is fed with.
//!
//! A number is measured where it was fitted to timings of that machine, and inferred where that of its nearest kin stands in.

use super::{Chip, Evidence};

/// A number, and how it is known.
///
/// ```
/// use anemone::chip::{Confidence, Rates};
/// let rate = Rates::find("M4").unwrap().multiply_adds;
/// assert!(rate.value > 5e12 && rate.evidence.confidence == Confidence::Measured);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The number, in the unit that its field states.
    pub value: f64,
    /// Who says so, and how sure it is.
    pub evidence: Evidence,
}

/// How fast the engine of one machine is.
///
/// ```
/// use anemone::{Chip, chip::Rates};
/// let (m4, max) = (Rates::of(Chip::M4), Rates::find("m4 max").unwrap());
/// assert_eq!((m4.name, max.name, max.chip), ("M4", "M4 Max", Chip::M4));
/// assert!(max.resident_weights.value > m4.resident_weights.value);
/// ```
#[derive(Debug)]
pub struct Rates {
    /// The machine: `M4`, `M4 Max`.
    pub name: &'static str,
    /// Its chip.
    pub chip: Chip,
    /// Seconds from the call to its return when there is nothing to compute and the surfaces are bound.
    pub dispatch: Figure,
    /// Seconds more for a run longer than [`WAKE_AFTER`], since the thread that waits has gone to sleep.
    pub wake: Figure,
    /// Bytes a second that are copied from arrays into surfaces, by a runtime that takes arrays.
    pub copy_in: Figure,
    /// Bytes a second that are copied from surfaces into arrays.
    pub copy_out: Figure,
    /// Multiply-adds a second of one engine, in fp16, as deep programs reach them.
    pub multiply_adds: Figure,
    /// How many times as many in int8.
    pub int8: Figure,
    /// How many times as many in convolutions of 3x3 and stride 1.
    pub winograd: Figure,
    /// Bytes a second of weights that fit into the cores' buffers, whose load hides behind the layer before.
    pub resident_weights: Figure,
    /// Bytes a second of weights that are loaded part by part while the layer runs.
    pub streamed_weights: Figure,
    /// Bytes a second of activations that one engine reads and writes outside of its own memory.
    pub activations: Figure,
    /// Elements a second of the second pass that softmax and normalisations make.
    pub second_pass: Figure,
    /// Watts while it computes.
    pub watts: Option<Figure>,
}

impl Rates {
    /// Those of the plain chip.
    pub fn of(chip: Chip) -> &'static Rates {
        // There is a row for each chip, which a test holds.
        RATES.iter().find(|r| r.name.eq_ignore_ascii_case(chip.name())).unwrap_or(&RATES[0])
    }

    /// Those of the machine of this name, such as `M4 Max`, in small or capital letters.
    pub fn find(name: &str) -> Option<&'static Rates> {
        RATES.iter().find(|r| r.name.eq_ignore_ascii_case(name))
    }

    /// Every number, with what it is and its unit.
    ///
    /// ```
    /// use anemone::chip::Rates;
    /// let m4 = Rates::find("M4").unwrap();
    /// let (_, unit, dispatch) = m4.figures().find(|(name, ..)| *name == "dispatch").unwrap();
    /// assert!(unit == "s" && dispatch.value > 50e-6 && !dispatch.evidence.source.is_empty());
    /// // Below so many operations a byte, memory is what limits.
    /// assert!(m4.peak_flops() > 10e12 && m4.ridge() > 10.0);
    /// ```
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, &'static str, Figure)> {
        [
            ("dispatch", "s", Some(self.dispatch)),
            ("wake", "s", Some(self.wake)),
            ("copy_in", "B/s", Some(self.copy_in)),
            ("copy_out", "B/s", Some(self.copy_out)),
            ("multiply_adds", "1/s", Some(self.multiply_adds)),
            ("int8", "times", Some(self.int8)),
            ("winograd", "times", Some(self.winograd)),
            ("resident_weights", "B/s", Some(self.resident_weights)),
            ("streamed_weights", "B/s", Some(self.streamed_weights)),
            ("activations", "B/s", Some(self.activations)),
            ("second_pass", "1/s", Some(self.second_pass)),
            ("watts", "W", self.watts),
        ]
        .into_iter()
        .filter_map(|(name, unit, figure)| Some((name, unit, figure?)))
    }

    /// The most operations a second, a multiply-add being two: what a roofline has at its top.
    pub fn peak_flops(&self) -> f64 {
        2.0 * self.multiply_adds.value * f64::from(self.chip.engines())
    }

    /// The operations for each byte of activations below which memory, and not arithmetic, is what limits.
    pub fn ridge(&self) -> f64 {
        self.peak_flops() / (self.activations.value * f64::from(self.chip.engines()))
    }
}

/// Every number that holds for all machines, with what it is and its unit.
///
/// ```
/// use anemone::chip::{self, SWITCH, WAKE_AFTER, WORKING_SET};
/// assert!(chip::common_figures().any(|(_, unit, figure)| unit == "B" && figure == WORKING_SET));
/// assert_eq!(WORKING_SET.value, 2.0 * 1024.0 * 1024.0);
/// assert!(SWITCH.value < WAKE_AFTER.value, "a switch between devices is shorter than what a thread waits awake");
/// ```
pub fn common_figures() -> impl Iterator<Item = (&'static str, &'static str, Figure)> {
    [
        ("operand that stays on the engine", "B", WORKING_SET),
        ("weights that a core buffers", "B", KERNEL_BUFFER),
        ("activations on the engine, against outside", "times", ON_CHIP),
        ("sparse weights", "B/s", SPARSE_WEIGHTS),
        ("bytes for each element of a shuffle", "B", GRANULE),
        ("a runtime that takes arrays", "s", ARRAYS),
        ("the waiting thread sleeps after", "s", WAKE_AFTER),
        ("weights of channels that are a multiple of 4096, on the M4", "times", BANK_CONFLICT),
        ("switch of devices", "s", SWITCH),
        ("operations of the CPU", "1/s", CPU[0]),
        ("bytes of the CPU", "B/s", CPU[1]),
        ("operations of the GPU", "1/s", GPU[0]),
        ("bytes of the GPU", "B/s", GPU[1]),
        ("transposed convolutions of the CPU", "1/s", CPU_TRANSPOSED),
        ("interpolations of the CPU", "B/s", CPU_UPSAMPLES),
        ("operations of the engine, as Core ML counts them", "1/s", ENGINE_COUNTED[0]),
        ("bytes of the engine, as Core ML counts them", "B/s", ENGINE_COUNTED[1]),
        ("convolutions of the engine, as Core ML counts them", "1/s", ENGINE_CONVOLVES),
        ("load", "s", LOAD[0]),
        ("first load", "s", LOAD[1]),
        ("first run after sleep", "s", COLD),
        ("compile a program", "s", COMPILE[0]),
        ("compile a step that multiplies", "s", COMPILE[1]),
        ("compile another step", "s", COMPILE[2]),
        ("compile weights", "B/s", COMPILE_WEIGHTS),
        ("compile for two engines", "times", COMPILE_FOR_TWO),
        ("divide a chain of 256 steps between two engines", "s", COMPILE_CHAIN[0]),
        ("power by which that grows", "", COMPILE_CHAIN[1]),
    ]
    .into_iter()
}

/// The bytes of one operand that stay on the engine: a larger one is read again for each part of the other operand.
///
/// ```
/// assert_eq!(anemone::chip::WORKING_SET.value, 2_097_152.0);
/// ```
pub const WORKING_SET: Figure = Figure {
    value: 2097152.0,
    evidence: Evidence::measured("the M6 study; the ANE guide; maderix/ANE: 2 MiB on M1, M4 and M6"),
};

/// The bytes of weights that each core buffers.
pub(crate) const KERNEL_BUFFER: Figure =
    Figure { value: 65536.0, evidence: Evidence::measured("the M6 study: 64 KiB a core") };

/// How many times faster activations move that stay on the engine.
pub(crate) const ON_CHIP: Figure = Figure {
    value: 5.0,
    evidence: Evidence::measured("the M6 study: 170 to 220 GB/s below 2 MiB, 35 to 40 GB/s above"),
};

/// Bytes a second of sparse weights, values and mask together, as they are unpacked.
pub(crate) const SPARSE_WEIGHTS: Figure =
    Figure { value: 66e9, evidence: Evidence::measured("the M6 study, on M4 and M6 alike") };

/// The bytes that the engine moves for each element that goes somewhere by itself, as in a shuffle of pixels.
pub(crate) const GRANULE: Figure =
    Figure { value: 16.0, evidence: Evidence::read("the ANE guide: the granule of DMA is 16 bytes") };

/// Seconds that a runtime which takes arrays adds to each call.
pub(crate) const ARRAYS: Figure =
    Figure { value: 25e-6, evidence: Evidence::measured("the ANE guide, on the M1: binding and runtime") };

/// The seconds after which the thread that waits for a run has gone to sleep.
///
/// ```
/// assert_eq!(anemone::chip::WAKE_AFTER.value, 300e-6);
/// ```
pub const WAKE_AFTER: Figure =
    Figure { value: 300e-6, evidence: Evidence::inferred("the M6 study: chains of 8 to 384 layers") };

/// How many times longer weights take when the channels are a multiple of [`BANK_CHANNELS`].
pub(crate) const BANK_CONFLICT: Figure =
    Figure { value: 2.7, evidence: Evidence::measured("dev-erik/ANE: 4096 and 8192 channels on the M4 Max") };

/// The channels whose multiples meet in the same banks of memory, on the M4.
pub(crate) const BANK_CHANNELS: u64 = 4096;

/// Operations and bytes a second of the CPU, as Core ML counts them, on an M4.
pub(crate) const CPU: [Figure; 2] = [
    Figure { value: 750e9, evidence: Evidence::read("the M6 study: Core ML's estimates of convolutions") },
    Figure { value: 60.84e9, evidence: Evidence::read("the M6 study: Core ML's estimates of small ops") },
];

/// Operations a second of the CPU in transposed convolutions, as Core ML counts them.
pub(crate) const CPU_TRANSPOSED: Figure =
    Figure { value: 80e9, evidence: Evidence::inferred("the M6 study: where Core ML puts them") };

/// Bytes a second of the CPU where it interpolates, as Core ML counts them.
pub(crate) const CPU_UPSAMPLES: Figure =
    Figure { value: 1.3e9, evidence: Evidence::inferred("the M6 study: where Core ML puts them") };

/// Operations and bytes a second of the GPU, as Core ML counts them, on an M4.
pub(crate) const GPU: [Figure; 2] = [
    Figure { value: 3000e9, evidence: Evidence::inferred("the M6 study: what Core ML prefers where") },
    Figure { value: 100e9, evidence: Evidence::inferred("the M6 study: what Core ML prefers where") },
];

/// Operations and bytes a second of the engine, as Core ML counts them, on an M4: what it weighs against the other devices,
/// and not what the engine was measured to do.
pub(crate) const ENGINE_COUNTED: [Figure; 2] = [
    Figure { value: 3750e9, evidence: Evidence::inferred("the M6 study: what Core ML prefers where") },
    Figure { value: 73.01e9, evidence: Evidence::read("the M6 study: Core ML's estimates of small ops") },
];

/// Operations a second of the engine in convolutions, as Core ML counts them.
pub(crate) const ENGINE_CONVOLVES: Figure =
    Figure { value: 16_000e9, evidence: Evidence::inferred("the M6 study: what Core ML prefers where") };

/// Seconds from one device to another, as Core ML counts them.
///
/// ```
/// assert_eq!(anemone::chip::SWITCH.value, 125e-6);
/// ```
pub const SWITCH: Figure =
    Figure { value: 125e-6, evidence: Evidence::measured("the M6 study, which reproduces Core ML's choice") };

/// Seconds that a program takes to load, when its like was loaded before, and the first time.
pub(crate) const LOAD: [Figure; 2] = [
    Figure { value: 1.7e-3, evidence: Evidence::measured("maderix/ANE, on the M5") },
    Figure { value: 15.6e-3, evidence: Evidence::measured("maderix/ANE, on the M5") },
];

/// Seconds that the first run takes more after the engine went to sleep, which it does when idle for 5.7 seconds.
pub(crate) const COLD: Figure = Figure { value: 50e-3, evidence: Evidence::measured("the M6 study") };

/// What compiling takes: seconds for the program, for each step that multiplies, and for each other step.
pub(crate) const COMPILE: [Figure; 3] = [
    Figure {
        value: 12e-3,
        evidence: Evidence::measured("maderix/ANE and others: 11 to 25 ms for a convolution"),
    },
    Figure {
        value: 2.6e-3,
        evidence: Evidence::measured("the M6 study: 256 convolutions in 0.67 s for h16g"),
    },
    Figure { value: 1.5e-3, evidence: Evidence::measured("the M6 study: 256 steps in 0.39 s for h18") },
];

/// Bytes a second of weights that the compiler packs.
pub(crate) const COMPILE_WEIGHTS: Figure =
    Figure { value: 0.29e9, evidence: Evidence::measured("skyfallsin: 60 ms for 2560 by 2560 channels") };

/// How many times longer the compiler takes for a convolution when it divides the program between two engines.
pub(crate) const COMPILE_FOR_TWO: Figure =
    Figure { value: 1.8, evidence: Evidence::measured("the M6 study: 256 convolutions in 1.19 s for h18g") };

/// What dividing between two engines adds, in seconds for a chain of 256 elementwise steps, and the power by which it
/// grows with their number.
pub(crate) const COMPILE_CHAIN: [Figure; 2] = [
    Figure { value: 178.0, evidence: Evidence::measured("the M6 study, for h18g") },
    Figure { value: 3.65, evidence: Evidence::measured("the M6 study: 32 to 256 steps for h18g") },
];

const ROOFLINES: &str = "ANEForge's rooflines, fitted";
const GUIDE: &str = "the ANE guide, fitted";
const STUDY: &str = "the M6 study, fitted";
const MADERIX: &str = "maderix/ANE, fitted";
const DEV: &str = "dev-erik/ANE, fitted";

const fn seen(value: f64, source: &'static str) -> Figure {
    Figure { value, evidence: Evidence::measured(source) }
}

const fn like(value: f64, kin: &'static str) -> Figure {
    Figure { value, evidence: Evidence::inferred(kin) }
}

const US: f64 = 1e-6;
const G: f64 = 1e9;
const T: f64 = 1e12;

/// Every machine that somebody timed, and the plain chips.
pub static RATES: [Rates; 14] = [
    Rates {
        name: "M1",
        chip: Chip::M1,
        dispatch: seen(194.0 * US, ROOFLINES),
        wake: like(0.0, "no record shows one"),
        copy_in: seen(10.0 * G, ROOFLINES),
        copy_out: seen(4.3 * G, ROOFLINES),
        multiply_adds: seen(4.6 * T, ROOFLINES),
        int8: like(1.0, "the ANE guide: int8 weights become fp16"),
        winograd: like(1.0, "the ANE guide: convolutions are no faster than products"),
        resident_weights: seen(51.0 * G, "the ANE guide"),
        streamed_weights: seen(51.0 * G, "the ANE guide"),
        activations: seen(35.0 * G, ROOFLINES),
        second_pass: seen(7.9 * G, ROOFLINES),
        watts: Some(seen(1.78, "the ANE guide: convolutions")),
    },
    Rates {
        name: "M1 Pro",
        chip: Chip::M1,
        dispatch: seen(156.0 * US, "rane, fitted"),
        wake: like(0.0, "no record shows one"),
        copy_in: like(10.0 * G, "M1"),
        copy_out: like(4.3 * G, "M1"),
        multiply_adds: seen(4.6 * T, "rane, fitted"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: like(51.0 * G, "M1"),
        streamed_weights: like(51.0 * G, "M1"),
        activations: like(35.0 * G, "M1"),
        second_pass: like(7.9 * G, "M1"),
        watts: None,
    },
    Rates {
        name: "M2",
        chip: Chip::M2,
        dispatch: seen(147.0 * US, GUIDE),
        wake: like(0.0, "no record shows one"),
        copy_in: like(11.4 * G, "M2 Max"),
        copy_out: like(6.1 * G, "M2 Max"),
        multiply_adds: like(6.6 * T, "M2 Max"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: like(58.0 * G, "M2: weights that are streamed"),
        streamed_weights: seen(58.0 * G, GUIDE),
        activations: like(31.0 * G, "M2 Max"),
        second_pass: like(7.9 * G, "M2 Max"),
        watts: Some(seen(5.9, "the ANE guide: large products")),
    },
    Rates {
        name: "M2 Max",
        chip: Chip::M2,
        dispatch: seen(189.0 * US, ROOFLINES),
        wake: like(0.0, "no record shows one"),
        copy_in: seen(11.4 * G, ROOFLINES),
        copy_out: seen(6.1 * G, ROOFLINES),
        multiply_adds: seen(7.2 * T, ROOFLINES),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: like(75.0 * G, "M2"),
        streamed_weights: like(75.0 * G, "M2"),
        activations: seen(31.0 * G, ROOFLINES),
        second_pass: seen(7.9 * G, ROOFLINES),
        watts: None,
    },
    Rates {
        name: "M3",
        chip: Chip::M3,
        dispatch: like(108.0 * US, "M3 Pro, M3 Max and M3 Ultra"),
        wake: like(0.0, "no record shows one"),
        copy_in: like(11.0 * G, "M2 Max and M4"),
        copy_out: like(6.5 * G, "M2 Max and M4"),
        multiply_adds: like(8.4 * T, "M3 Pro"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: like(150.0 * G, "M3 Ultra"),
        streamed_weights: like(64.0 * G, "M3 Max"),
        activations: like(33.0 * G, "M2 Max and M4"),
        second_pass: like(7.5 * G, "M2 Max and M4"),
        watts: None,
    },
    Rates {
        name: "M3 Pro",
        chip: Chip::M3,
        dispatch: seen(104.0 * US, MADERIX),
        wake: like(0.0, "no record shows one"),
        copy_in: like(11.0 * G, "M2 Max and M4"),
        copy_out: like(6.5 * G, "M2 Max and M4"),
        multiply_adds: seen(8.4 * T, "maderix/ANE: 16.8 TFLOPS in rows of 2048"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: seen(204.0 * G, MADERIX),
        streamed_weights: like(64.0 * G, "M3 Max"),
        activations: like(33.0 * G, "M2 Max and M4"),
        second_pass: like(7.5 * G, "M2 Max and M4"),
        watts: None,
    },
    Rates {
        name: "M3 Max",
        chip: Chip::M3,
        dispatch: seen(113.0 * US, "skyfallsin, fitted"),
        wake: like(0.0, "no record shows one"),
        copy_in: like(11.0 * G, "M2 Max and M4"),
        copy_out: like(6.5 * G, "M2 Max and M4"),
        multiply_adds: like(8.4 * T, "M3 Pro"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: like(200.0 * G, "M3 Pro"),
        streamed_weights: seen(64.0 * G, "skyfallsin, fitted"),
        activations: like(33.0 * G, "M2 Max and M4"),
        second_pass: like(7.5 * G, "M2 Max and M4"),
        watts: None,
    },
    Rates {
        name: "M3 Ultra",
        chip: Chip::M3,
        dispatch: seen(109.0 * US, DEV),
        wake: like(0.0, "no record shows one"),
        copy_in: like(11.0 * G, "M2 Max and M4"),
        copy_out: like(6.5 * G, "M2 Max and M4"),
        multiply_adds: like(8.4 * T, "M3 Pro"),
        int8: like(1.0, "M1"),
        winograd: like(1.0, "M1"),
        resident_weights: seen(157.0 * G, DEV),
        streamed_weights: like(64.0 * G, "M3 Max"),
        activations: like(33.0 * G, "M2 Max and M4"),
        second_pass: like(7.5 * G, "M2 Max and M4"),
        watts: None,
    },
    Rates {
        name: "M4",
        chip: Chip::M4,
        dispatch: seen(72.0 * US, ROOFLINES),
        wake: like(0.0, "no record shows one"),
        copy_in: seen(12.0 * G, ROOFLINES),
        copy_out: seen(7.3 * G, ROOFLINES),
        multiply_adds: seen(8.0 * T, MADERIX),
        int8: seen(1.88, "maderix/ANE"),
        winograd: like(1.0, "the M6 study: M5 and later"),
        resident_weights: seen(124.0 * G, DEV),
        streamed_weights: seen(100.0 * G, MADERIX),
        activations: seen(31.0 * G, ROOFLINES),
        second_pass: like(7.5 * G, "M2 Max and M5"),
        watts: Some(seen(4.57, "the M6 study")),
    },
    Rates {
        name: "M4 Pro",
        chip: Chip::M4,
        dispatch: seen(85.0 * US, MADERIX),
        wake: like(0.0, "no record shows one"),
        copy_in: like(12.0 * G, "M4"),
        copy_out: like(7.3 * G, "M4"),
        multiply_adds: like(8.0 * T, "M4"),
        int8: like(1.88, "M4"),
        winograd: like(1.0, "M4"),
        resident_weights: seen(250.0 * G, MADERIX),
        streamed_weights: like(108.0 * G, "M4 Max"),
        activations: like(31.0 * G, "M4"),
        second_pass: like(7.5 * G, "M2 Max and M5"),
        watts: None,
    },
    Rates {
        name: "M4 Max",
        chip: Chip::M4,
        dispatch: seen(121.0 * US, DEV),
        wake: like(0.0, "no record shows one"),
        copy_in: like(12.0 * G, "M4"),
        copy_out: like(7.3 * G, "M4"),
        multiply_adds: seen(7.1 * T, DEV),
        int8: like(1.88, "M4"),
        winograd: like(1.0, "M4"),
        resident_weights: seen(221.0 * G, DEV),
        streamed_weights: seen(108.0 * G, DEV),
        activations: like(31.0 * G, "M4"),
        second_pass: like(7.5 * G, "M2 Max and M5"),
        watts: None,
    },
    Rates {
        name: "M5",
        chip: Chip::M5,
        dispatch: seen(70.0 * US, MADERIX),
        wake: like(0.0, "no record shows one"),
        copy_in: seen(31.0 * G, ROOFLINES),
        copy_out: seen(26.0 * G, ROOFLINES),
        multiply_adds: seen(8.0 * T, ROOFLINES),
        int8: like(1.88, "M4"),
        winograd: seen(1.5, ROOFLINES),
        resident_weights: seen(238.0 * G, MADERIX),
        streamed_weights: seen(145.0 * G, "the ANE guide"),
        activations: seen(33.4 * G, ROOFLINES),
        second_pass: seen(6.9 * G, ROOFLINES),
        watts: None,
    },
    Rates {
        name: "M5 Pro",
        chip: Chip::M5,
        dispatch: seen(47.5 * US, "ANEForge's table of costs, fitted"),
        wake: like(0.0, "no record shows one"),
        copy_in: seen(25.6 * G, "ANEForge's table of costs, fitted"),
        copy_out: seen(25.1 * G, "ANEForge's table of costs, fitted"),
        multiply_adds: seen(8.8 * T, "ANEForge's table of costs, fitted"),
        int8: like(1.88, "M4"),
        winograd: seen(1.5, "ANEForge's table of costs, fitted"),
        resident_weights: like(235.0 * G, "M5"),
        streamed_weights: seen(150.0 * G, "ANEForge's table of costs, fitted"),
        activations: like(34.0 * G, "M5"),
        second_pass: seen(9.5 * G, "ANEForge's table of costs, fitted"),
        watts: None,
    },
    Rates {
        name: "M6",
        chip: Chip::M6,
        dispatch: seen(172.0 * US, STUDY),
        wake: seen(180.0 * US, STUDY),
        copy_in: seen(27.0 * G, ROOFLINES),
        copy_out: seen(20.5 * G, ROOFLINES),
        multiply_adds: seen(9.8 * T, STUDY),
        int8: seen(2.0, "the M6 study"),
        winograd: seen(1.5, STUDY),
        resident_weights: seen(145.0 * G, STUDY),
        streamed_weights: seen(145.0 * G, STUDY),
        activations: seen(36.0 * G, STUDY),
        second_pass: seen(14.0 * G, ROOFLINES),
        watts: Some(seen(10.8, "the M6 study: both engines")),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Confidence;

    #[test]
    fn each_chip_has_rates_of_its_own() {
        for chip in Chip::ALL {
            let rates = Rates::of(chip);
            assert_eq!((rates.chip, rates.name.to_lowercase()), (chip, chip.name().to_string()));
        }
        assert!(Rates::find("M7").is_none());
    }

    #[test]
    fn rates_are_what_they_can_be() {
        for r in &RATES {
            let all = [r.copy_in, r.copy_out, r.multiply_adds, r.resident_weights, r.streamed_weights];
            assert!(all.iter().all(|f| f.value >= 1e9), "{}", r.name);
            assert!((20e-6..1e-3).contains(&r.dispatch.value) && r.wake.value < 1e-3, "{}", r.name);
            assert!(
                (1.0..=2.0).contains(&r.int8.value) && (1.0..=2.25).contains(&r.winograd.value),
                "{}",
                r.name
            );
            // A machine is in the table because somebody timed it; of the M3 nobody timed the plain chip.
            let fitted = [r.dispatch, r.streamed_weights, r.multiply_adds, r.resident_weights];
            let timed = fitted.iter().any(|f| f.evidence.confidence == Confidence::Measured);
            assert_eq!(timed, r.name != "M3", "{}", r.name);
            assert!(r.ridge() > 100.0, "{}", r.name);
        }
    }
}
