//! Opsets: the dated vocabularies of MIL.

use super::Name;

/// A vocabulary of ops that anemone knows.
///
/// ```
/// use anemone::mil::Opset;
/// assert_eq!(Opset::from_name("ios18"), Some(Opset::Ios18));
/// assert!(Opset::Ios16 < Opset::Ios18 && Opset::Ios18.specification_version() == 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opset {
    /// Core ML 5: iOS 15, macOS 12.
    Ios15,
    /// Core ML 6: iOS 16, macOS 13.
    Ios16,
    /// Core ML 7: iOS 17, macOS 14.
    Ios17,
    /// Core ML 8: iOS 18, macOS 15.
    Ios18,
    /// Core ML 9: iOS 26, macOS 26. coremltools 9.0 writes `CoreML9` into such programs, and its registry has no op that
    /// is new in it. That MIL text calls it `ios26` is our reading: no such text has been seen.
    Ios26,
}

impl Opset {
    /// Every opset, oldest first.
    pub const ALL: [Opset; 5] = [Opset::Ios15, Opset::Ios16, Opset::Ios17, Opset::Ios18, Opset::Ios26];

    /// The name in MIL text: `ios16`.
    pub const fn name(self) -> &'static str {
        match self {
            Opset::Ios15 => "ios15",
            Opset::Ios16 => "ios16",
            Opset::Ios17 => "ios17",
            Opset::Ios18 => "ios18",
            Opset::Ios26 => "ios26",
        }
    }

    /// The name in the protobuf form: `CoreML6`.
    ///
    /// ```
    /// use anemone::mil::Opset;
    /// assert_eq!((Opset::Ios18.name(), Opset::Ios18.core_ml_name()), ("ios18", "CoreML8"));
    /// ```
    pub const fn core_ml_name(self) -> &'static str {
        match self {
            Opset::Ios15 => "CoreML5",
            Opset::Ios16 => "CoreML6",
            Opset::Ios17 => "CoreML7",
            Opset::Ios18 => "CoreML8",
            Opset::Ios26 => "CoreML9",
        }
    }

    /// The opset of this name, in either form.
    pub fn from_name(name: &str) -> Option<Opset> {
        Self::ALL.into_iter().find(|o| o.name() == name || o.core_ml_name() == name)
    }

    /// The specification version of the Core ML file format that came with it.
    pub const fn specification_version(self) -> i32 {
        match self {
            Opset::Ios15 => 6,
            Opset::Ios16 => 7,
            Opset::Ios17 => 8,
            Opset::Ios18 => 9,
            Opset::Ios26 => 10,
        }
    }
}

impl std::fmt::Display for Opset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An opset as a program names it: known or not.
///
/// ```
/// use anemone::{mil::Opset, text};
/// let program = text::parse("program(1.3) { func main<ios99>(fp16 x) { } -> (x); }")?;
/// let opset = &program.functions[0].opset;
/// assert_eq!((opset.as_str(), opset.known(), Opset::ALL.len()), ("ios99", None, 5));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpsetName {
    /// One that anemone knows.
    Known(Opset),
    /// One that it does not; the program can still be printed.
    Other(Name),
}

impl OpsetName {
    /// The opset, if it is known.
    pub fn known(&self) -> Option<Opset> {
        match self {
            OpsetName::Known(o) => Some(*o),
            OpsetName::Other(_) => None,
        }
    }

    /// The name in MIL text.
    pub fn as_str(&self) -> &str {
        match self {
            OpsetName::Known(o) => o.name(),
            OpsetName::Other(n) => n,
        }
    }
}

impl From<&str> for OpsetName {
    fn from(name: &str) -> Self {
        Opset::from_name(name).map_or_else(|| OpsetName::Other(name.into()), OpsetName::Known)
    }
}

impl From<Opset> for OpsetName {
    fn from(o: Opset) -> Self {
        OpsetName::Known(o)
    }
}
