//! With which arithmetic the software engine computes.

use std::str::FromStr;

use super::Chip;

/// With which arithmetic the software engine computes: IEEE's, or that of a chip's engine.
///
/// [`ops::silicon`](crate::ops::silicon) says for each op what is known of a chip's arithmetic, and how well.
///
/// ```
/// use anemone::chip::{Chip, Numerics};
/// assert_eq!("m4".parse(), Ok(Numerics::Chip(Chip::M4)));
/// assert_eq!(Numerics::default().to_string(), "ieee");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// Every result is rounded once to its dtype, to nearest even.
    #[default]
    Ieee,
    /// As this chip's engine computes, as far as that is known; the rest as [`Ieee`](Numerics::Ieee), stored as the chip
    /// stores. Values of other dtypes than fp16 are none of the engine's, and computed as [`Ieee`](Numerics::Ieee).
    Chip(Chip),
}

impl Numerics {
    /// Every one: IEEE's, then the chips, oldest first.
    ///
    /// ```
    /// use anemone::chip::Numerics;
    /// let names: Vec<_> = Numerics::all().map(|n| n.to_string()).collect();
    /// assert_eq!(names.join(" "), "ieee m1 m2 m3 m4 m5 m6");
    /// ```
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Ieee).chain(Chip::ALL.into_iter().map(Self::Chip))
    }
}

impl std::fmt::Display for Numerics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Numerics::Ieee => f.write_str("ieee"),
            Numerics::Chip(chip) => chip.fmt(f),
        }
    }
}

impl FromStr for Numerics {
    type Err = String;

    /// `ieee`, or the chip of this name.
    fn from_str(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("ieee") {
            return Ok(Self::Ieee);
        }
        let chip = name
            .parse()
            .map_err(|_| format!("there is no arithmetic `{name}`; there is ieee, and m1 to m6"))?;
        Ok(Self::Chip(chip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_again() {
        for numerics in Numerics::all() {
            assert_eq!(numerics.to_string().to_uppercase().parse(), Ok(numerics));
        }
        assert!("fp32".parse::<Numerics>().unwrap_err().contains("ieee, and m1 to m6"));
    }
}
