//! The engines that there are, as data: what each is, what it takes, and how that is known.
//!
//! Every fact carries its [`Evidence`]. Where sources contradict each other, both are kept, and a [`Profile`] chooses.
//!
//! ```
//! use anemone::chip::Chip;
//! assert_eq!((Chip::M4.name(), Chip::M4.cores()), ("m4", 16));
//! ```

mod cost;
mod evidence;
mod hardware;
mod limits;
mod numerics;

use std::str::FromStr;

pub(crate) use cost::{
    ARRAYS, BANK_CHANNELS, BANK_CONFLICT, COMPILE, COMPILE_CHAIN, COMPILE_FOR_TWO, COMPILE_WEIGHTS, CPU,
    CPU_TRANSPOSED, CPU_UPSAMPLES, ENGINE_CONVOLVES, ENGINE_COUNTED, GPU, GRANULE, KERNEL_BUFFER, LOAD,
    ON_CHIP, SPARSE_WEIGHTS,
};
pub use cost::{Figure, RATES, Rates, SWITCH, WAKE_AFTER, WORKING_SET, common_figures};
pub use evidence::{Confidence, Evidence, Profile};
pub use hardware::{Encoding, HARDWARE, Hardware};
pub use limits::{LIMITS, Limit, LimitRow, Quantity};
pub use numerics::Numerics;

/// A chip with a Neural Engine that runs MIL programs: a Mac's, or the iPhone's of the same generation.
///
/// The `n`th Mac chip has the engine of family `H(n + 12)` (sources: ANEForge, maderix/ANE and others).
///
/// ```
/// use anemone::Chip;
/// let chip: Chip = "m4".parse()?;
/// assert_eq!((chip, chip.architecture(), chip.cores()), (Chip::M4, "h16g", 16));
/// # Ok::<(), String>(())
/// ```
///
/// ```
/// use anemone::chip::Chip;
/// assert!(Chip::M1.index() < Chip::M4.index(), "the number of its column in the tables");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Chip {
    /// M1, and A14: H13.
    M1,
    /// M2, and A15: H14.
    M2,
    /// M3, and A16: H15.
    M3,
    /// M4, and A17 Pro: H16. Most has been measured on it.
    #[default]
    M4,
    /// M5, and A18: H17.
    M5,
    /// M6, and A19: H18.
    M6,
}

impl Chip {
    /// Every chip, oldest first.
    pub const ALL: [Chip; 6] = [Chip::M1, Chip::M2, Chip::M3, Chip::M4, Chip::M5, Chip::M6];

    /// Its name: `m1` to `m6`.
    pub const fn name(self) -> &'static str {
        ["m1", "m2", "m3", "m4", "m5", "m6"][self as usize]
    }

    /// The architecture of the plain chip's engine, as Apple's compiler names it: `h13g` to `h18g`.
    pub const fn architecture(self) -> &'static str {
        ["h13g", "h14g", "h15g", "h16g", "h17g", "h18g"][self as usize]
    }

    /// The family of its engine, as Apple's compiler counts: 13 to 18.
    ///
    /// ```
    /// assert_eq!(anemone::Chip::M4.family(), 16);
    /// ```
    pub const fn family(self) -> u32 {
        self as u32 + 13
    }

    /// Its place in tables that have a column for each chip, oldest first.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The cores of one engine: 16 on all of them.
    pub const fn cores(self) -> u32 {
        16
    }

    /// How many engines the plain chip has: the M6 has two (source: the M6 study), others one.
    ///
    /// ```
    /// use anemone::Chip;
    /// assert_eq!((Chip::M4.engines(), Chip::M6.engines()), (1, 2));
    /// ```
    pub const fn engines(self) -> u32 {
        if matches!(self, Chip::M6) { 2 } else { 1 }
    }
}

impl std::fmt::Display for Chip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Chip {
    type Err = String;

    /// The chip of this name, in small or capital letters.
    fn from_str(name: &str) -> Result<Self, String> {
        Chip::ALL
            .into_iter()
            .find(|c| c.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("there is no chip `{name}`; there is m1 to m6"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row I2: the ladder of chips.
    #[test]
    fn names_are_read_again() {
        for (i, chip) in Chip::ALL.into_iter().enumerate() {
            assert_eq!(chip.to_string().parse(), Ok(chip));
            assert_eq!(chip.name().to_uppercase().parse(), Ok(chip));
            assert_eq!(chip.architecture(), format!("h{}g", i + 13));
        }
        assert!("m7".parse::<Chip>().unwrap_err().contains("m1 to m6"));
    }
}
