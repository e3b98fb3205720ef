//! Places in a text.

use std::ops::Range;

/// A range of bytes in a text.
///
/// ```
/// # use anemone::source::Span;
/// assert_eq!(Span::new(2, 5).of("program"), "ogr");
/// ```
///
/// ```
/// use anemone::source::Span;
/// assert!(Span::default().is_none() && !Span::new(3, 5).is_none());
/// assert_eq!(&"a = b"[Span::new(4, 5).range()], "b");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both.
    ///
    /// ```
    /// use anemone::source::Span;
    /// assert_eq!(Span::new(2, 5).to(Span::new(9, 12)), Span::new(2, 12));
    /// ```
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Whether this is the empty span at 0, which nodes carry that did not come from a text.
    pub fn is_none(self) -> bool {
        self == Span::default()
    }

    /// The bytes as a range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part of `text` that this span names; empty when the span lies outside.
    pub fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or("")
    }
}

/// A line and a column, both counted from 1; columns count characters.
///
/// ```
/// use anemone::source::{LineColumn, Source};
/// let LineColumn { line, column } = Source::new("layer.mil", "one\ntwo").line_column(4);
/// assert_eq!((line, column), (2, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A text with its name, for rendering diagnostics.
///
/// ```
/// use anemone::source::{LineColumn, Source};
/// let source = Source::new("layer.mil", "one\ntwo");
/// assert_eq!(source.line_column(5), LineColumn { line: 2, column: 2 });
/// assert_eq!(source.byte_of(2, 2), Some(5));
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    /// What to call the text: usually its path.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text and its name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The line and column of a byte.
    pub fn line_column(&self, byte: u32) -> LineColumn {
        let mut byte = (byte as usize).min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = &self.text[..byte];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        LineColumn {
            line: before.bytes().filter(|&b| b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The byte at a line and column, both counted from 1, if the text has them.
    pub fn byte_of(&self, line: usize, column: usize) -> Option<usize> {
        let line_start = match line.checked_sub(2) {
            None => 0,
            Some(breaks) => self.text.match_indices('\n').nth(breaks)?.0 + 1,
        };
        let text = self.text[line_start..].split('\n').next()?;
        let (byte, _) = text.char_indices().nth(column.checked_sub(1)?)?;
        Some(line_start + byte)
    }
}
