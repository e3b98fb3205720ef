//! How a fact is known.

use std::fmt;

/// How sure a fact is.
///
/// ```
/// use anemone::chip::Confidence;
/// assert!(Confidence::Measured < Confidence::Inferred);
/// assert_eq!(Confidence::Read.word(), "read");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Somebody ran it on this chip and wrote down what happened.
    Measured,
    /// It stands in the compiler's own tables or messages.
    Read,
    /// It follows from the compiler's tables, and was not run on this chip.
    Predicted,
    /// It was seen on another chip or path, and is taken to hold here.
    Inferred,
    /// One report says so, without a record.
    Claimed,
}

impl Confidence {
    /// The word: `measured`, `read`, `predicted`, `inferred` or `claimed`.
    pub const fn word(self) -> &'static str {
        ["measured", "read", "predicted", "inferred", "claimed"][self as usize]
    }
}

/// Where a fact is from, and how sure it is.
///
/// ```
/// use anemone::chip::{Confidence, Evidence};
/// let seen = Evidence::measured("the M6 study").on("macOS 27");
/// assert_eq!(seen.to_string(), "measured (the M6 study, macOS 27)");
/// assert_eq!(seen.at_most(Confidence::Inferred).confidence, Confidence::Inferred);
/// assert!(Evidence::inferred("kin").confidence < Evidence::claimed("a forum").confidence);
/// ```
///
/// ```
/// use anemone::chip::{Confidence, Evidence};
/// assert_eq!(Evidence::read("the compiler"), Evidence::new("the compiler", Confidence::Read));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Who says so.
    pub source: &'static str,
    /// How sure it is.
    pub confidence: Confidence,
    /// The system that it was seen on, where that matters.
    pub os: Option<&'static str>,
}

impl Evidence {
    /// Of this source, as sure as this.
    pub const fn new(source: &'static str, confidence: Confidence) -> Self {
        Self { source, confidence, os: None }
    }

    /// Measured by this source.
    pub const fn measured(source: &'static str) -> Self {
        Self::new(source, Confidence::Measured)
    }

    /// Read in the compiler by this source.
    pub const fn read(source: &'static str) -> Self {
        Self::new(source, Confidence::Read)
    }

    /// Taken over from what this source saw elsewhere.
    pub const fn inferred(source: &'static str) -> Self {
        Self::new(source, Confidence::Inferred)
    }

    /// Said by this source, without a record.
    pub const fn claimed(source: &'static str) -> Self {
        Self::new(source, Confidence::Claimed)
    }

    /// Seen on this system.
    #[must_use]
    pub const fn on(mut self, os: &'static str) -> Self {
        self.os = Some(os);
        self
    }

    /// The same fact, no surer than this.
    #[must_use]
    pub fn at_most(mut self, confidence: Confidence) -> Self {
        self.confidence = self.confidence.max(confidence);
        self
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.confidence.word(), self.source)?;
        match self.os {
            Some(os) => write!(f, ", {os})"),
            None => f.write_str(")"),
        }
    }
}

/// Which side to take where sources contradict each other.
///
/// ```
/// use anemone::chip::Profile;
/// assert_eq!("strict".parse(), Ok(Profile::Strict));
/// assert_eq!(Profile::default().name(), "permissive");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// What any careful measurement saw work, works.
    #[default]
    Permissive,
    /// What any report saw fail, fails.
    Strict,
}

impl Profile {
    /// Its name: `permissive` or `strict`.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Permissive => "permissive",
            Profile::Strict => "strict",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    /// The profile of this name.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "permissive" => Ok(Profile::Permissive),
            "strict" => Ok(Profile::Strict),
            _ => Err(format!("there is no profile `{name}`; there is permissive and strict")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fact that is carried over never gets surer.
    #[test]
    fn evidence_only_weakens() {
        let claimed = Evidence::claimed("one report");
        assert_eq!(claimed.at_most(Confidence::Measured), claimed);
        assert_eq!("lenient".parse::<Profile>().unwrap_err().matches('`').count(), 2);
    }
}
