//! The parameters of the engines as Apple's compiler has them in its tables.

use super::{Chip, Confidence, Evidence};

/// A parameter of the compiler's table of engines.
///
/// ```
/// use anemone::{Chip, chip::Hardware};
/// assert_eq!(Hardware::find("max tensor W / H").unwrap().value(Chip::M1), "16384");
/// assert_eq!(Hardware::find("texture engine").unwrap().value(Chip::M2), "yes");
/// ```
#[derive(Debug)]
pub struct Hardware {
    /// What it is.
    pub name: &'static str,
    /// Its value for M1, M2, M3, and M4 and later.
    values: [&'static str; 4],
    /// Which of the four were read in the compiler; others are inferred.
    read: [bool; 4],
}

impl Hardware {
    /// The parameter of this name.
    pub fn find(name: &str) -> Option<&'static Hardware> {
        HARDWARE.iter().find(|h| h.name == name)
    }

    /// Its value.
    pub fn value(&self, chip: Chip) -> &'static str {
        self.values[chip.index().min(3)]
    }

    /// How that is known.
    ///
    /// ```
    /// use anemone::{Chip, chip::Confidence};
    /// let cores = &anemone::chip::HARDWARE[0];
    /// let known = cores.evidence(Chip::M1).confidence;
    /// assert!(matches!(known, Confidence::Read | Confidence::Inferred) && !cores.value(Chip::M1).is_empty());
    /// ```
    pub fn evidence(&self, chip: Chip) -> Evidence {
        let confidence = if self.read[chip.index().min(3)] { Confidence::Read } else { Confidence::Inferred };
        Evidence::new("the ANE guide", confidence)
    }
}

const ALL: [bool; 4] = [true; 4];

const fn row(name: &'static str, values: [&'static str; 4], read: [bool; 4]) -> Hardware {
    Hardware { name, values, read }
}

/// A unit or form that an engine has from a chip on.
const fn from(name: &'static str, first: usize, read: [bool; 4]) -> Hardware {
    let mut values = ["no"; 4];
    let mut i = first;
    while i < 4 {
        values[i] = "yes";
        i += 1;
    }
    Hardware { name, values, read }
}

/// Every parameter, in the order of the compiler's tables.
pub static HARDWARE: &[Hardware] = &[
    row("max kernel W (default format, large)", ["29", "32", "32", "32"], [true, false, false, true]),
    row("max kernel W (fp16, large)", ["13", "16", "16", "16"], [true, false, true, true]),
    row(
        "min kernel W (default / fp16, large)",
        ["16 / 8", "1 / 1", "1 / 1", "1 / 1"],
        [true, true, true, false],
    ),
    row("max kernel W (default, small)", ["15", "16", "16", "16"], ALL),
    row("max kernel W (fp16, small)", ["7", "8", "8", "8"], [true, true, false, false]),
    row(
        "max kernel H (large / small)",
        ["29 / 15", "32 / 16", "32 / 16", "32 / 16"],
        [false, false, true, false],
    ),
    row("max kernel D (large / small)", ["16 / 8"; 4], [false, true, true, true]),
    row("max patch W / H / D", ["28 / 28 / 15", "31 / 31 / 15", "31 / 31 / 15", "31 / 31 / 15"], ALL),
    row("max tensor W / H", ["16384", "16384", "16384", "65536"], [true, true, false, true]),
    row("max tensor D", ["16384", "16384", "16384", "65536"], [true, true, false, true]),
    row("max tensor C", ["65536"; 4], [true, true, true, false]),
    row("max tensor N (batch)", ["65536"; 4], [true, false, true, false]),
    row("max transpose W / H", ["16384", "16384", "16384", "65536"], [false, false, true, false]),
    row("reduction-to-transpose threshold", ["192", "192", "384", "384"], [true, false, false, true]),
    row("group-conv decompose limit (Cin·kW·kH)", ["2048"; 4], [false, true, false, false]),
    row("stride factor list", ["[2,3,4,8]"; 4], [true, false, true, false]),
    row("matmul SRAM working set", ["2 MB"; 4], [false, false, false, true]),
    row("DMA width granule", ["16 B"; 4], [true, true, true, false]),
    row("patch-width floor / max", ["16 / 512"; 4], [true, false, true, true]),
    row("instruction alignment", ["256 B", "16 B", "16 B", "16 B"], [true, false, true, false]),
    row("kernel-memory budget", ["64 KB"; 4], [false, true, false, true]),
    row("activation-LUT budget", ["86 B"; 4], [false, true, true, false]),
    row("context-switch live-tensor limit", ["2", "∞", "∞", "∞"], [true, false, true, false]),
    from("softmax", 0, [false, true, true, false]),
    from("instance normalization", 0, [false, true, true, false]),
    from("argument-maximum, hardware form", 2, [false, false, true, false]),
    from("square-after-reduction fusion", 1, [true, true, true, false]),
    from("texture engine", 1, ALL),
    from("sin, cos", 2, [true, true, false, true]),
    from("dropout and random", 2, [true, true, true, true]),
    from("kernel-memory streaming select", 0, [true, true, true, false]),
    from("3D conv capability byte", 0, [true, false, false, true]),
];

/// How weights are stored.
///
/// ```
/// use anemone::{Chip, chip::Encoding};
/// assert!(Chip::M1.streams(Encoding::Palette).0 && !Chip::M1.streams(Encoding::Int8).0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Indices into a table of 16 numbers or fewer.
    Palette,
    /// Only numbers that are not 0.
    Sparse,
    /// Whole numbers of 8 bits with a scale for the tensor or for each channel.
    Int8,
    /// Whole numbers with a scale for each block.
    Blockwise,
}

impl Chip {
    /// Whether the engine reads weights in this encoding as they are, and how that is known. If not, the compiler makes fp16
    /// of them, which saves nothing when the program runs.
    pub const fn streams(self, encoding: Encoding) -> (bool, Evidence) {
        let first = match encoding {
            Encoding::Palette | Encoding::Sparse => Chip::M1,
            Encoding::Int8 => Chip::M2,
            Encoding::Blockwise => Chip::M3,
        };
        let confidence = match self {
            Chip::M1 | Chip::M2 | Chip::M5 => Confidence::Measured,
            _ => Confidence::Predicted,
        };
        (self as usize >= first as usize, Evidence::new("the ANE guide", confidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_units_stay() {
        for (i, row) in HARDWARE.iter().enumerate() {
            assert!(HARDWARE[..i].iter().all(|r| r.name != row.name), "{} stands twice", row.name);
            let gone = row.values.windows(2).any(|v| (v[0], v[1]) == ("yes", "no"));
            assert!(!gone, "{} is lost on a later chip", row.name);
        }
        assert_eq!(Hardware::find("texture engine").unwrap().value(Chip::M6), "yes");
        assert!(Hardware::find("texture").is_none());
    }
}
