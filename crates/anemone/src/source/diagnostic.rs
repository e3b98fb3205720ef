//! The one form in which anemone says that a program is wrong.

use std::panic::Location;

use super::{Code, LineColumn, Source, Span};

/// How bad it is.
///
/// ```
/// use anemone::source::{Severity, codes};
/// assert_eq!(codes::find("unknown-op").unwrap().severity, Severity::Error);
/// assert_eq!(Severity::Warning.word(), "warning");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program is refused.
    Error,
    /// The program is accepted, and probably not what its author meant.
    Warning,
    /// For information.
    Note,
}

impl Severity {
    /// The word: `error`, `warning` or `note`.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Where something is.
///
/// ```
/// use anemone::source::{Place, Span};
/// let wrong = anemone::text::parse("program(1.3) { ? }").unwrap_err();
/// let first = wrong.iter().next().unwrap();
/// assert!(matches!(first.labels[0].place, Place::Text(Span { start: 15, .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A range of the text.
    Text(Span),
    /// A line of the user's Rust program.
    Rust(&'static Location<'static>),
    /// A field of a file that has no text, such as `weights/weight.bin, record at 64`.
    Field(String),
}

/// A place, and what is to be said about it.
///
/// ```
/// use anemone::source::{Diagnostic, Place, Span, codes};
/// let d = Diagnostic::new(&codes::UNKNOWN_OP, "there is no op `rellu`").at(Span::new(0, 5), "not an op of MIL");
/// let label = &d.labels[0];
/// assert_eq!((&label.place, label.text.as_str()), (&Place::Text(Span::new(0, 5)), "not an op of MIL"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What is at this place.
    pub text: String,
}

/// When something is found out on the way to the engine.
///
/// ```
/// assert_eq!(anemone::source::Phase::Lower.word(), "lower");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The text or file is read.
    Parse,
    /// Ops, types and shapes are checked: the front end.
    Type,
    /// The engine's compiler makes its own program of it.
    Lower,
    /// The program is brought into memory.
    Load,
    /// The program runs.
    Run,
}

impl Phase {
    /// The word: `parse`, `type`, `lower`, `load` or `run`.
    pub const fn word(self) -> &'static str {
        ["parse", "type", "lower", "load", "run"][self as usize]
    }
}

/// A statement about a program: what is wrong, where, and what to do.
///
/// The message is one sentence in lower case with names in backticks; a label says what is at a place; the help is
/// an action. The first label is the primary one.
///
/// ```
/// use anemone::source::{Diagnostic, Span, codes};
/// let d = Diagnostic::new(&codes::SHAPE_MISMATCH, "`x` is of another shape")
///     .at(Span::new(4, 5), "4 elements")
///     .note("the engine checks every shape")
///     .help("reshape it");
/// assert_eq!((d.code.name, d.span()), ("shape-mismatch", Some(Span::new(4, 5))));
/// ```
///
/// It can point at a line of a Rust program, or at a field of a file without text:
///
/// ```
/// use anemone::source::{Diagnostic, Severity, codes};
/// use std::panic::Location;
/// let here = Location::caller();
/// let d = Diagnostic::new(&codes::UNUSED_VALUE, "`y` is computed and not used")
///     .at_rust(here, "made here")
///     .in_field("description.output[0]")
///     .fatal();
/// assert_eq!((d.location(), d.severity), (Some(here), Severity::Error));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind: a row of [`super::codes::ALL`].
    pub code: &'static Code,
    /// How bad it is.
    pub severity: Severity,
    /// When it shows: as a rule the phase of its kind.
    pub phase: Phase,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where; the first label is the primary one.
    pub labels: Vec<Label>,
    /// Further facts.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of this kind, with the severity that the code's row states.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity,
            phase: code.phase,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Adds a label at a place in the text.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { place: Place::Text(span), text: text.into() });
        self
    }

    /// Puts a label before the others, which makes it the primary one.
    #[must_use]
    pub(crate) fn first_at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.insert(0, Label { place: Place::Text(span), text: text.into() });
        self
    }

    /// Adds a label at a line of the user's Rust program.
    #[must_use]
    pub fn at_rust(mut self, location: &'static Location<'static>, text: impl Into<String>) -> Self {
        self.labels.push(Label { place: Place::Rust(location), text: text.into() });
        self
    }

    /// Adds a label at a field of a file that has no text.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.labels.push(Label { place: Place::Field(field.into()), text: String::new() });
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Sets the help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Says that it shows in another phase than others of its kind.
    #[must_use]
    pub(crate) fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Makes an error of it: what may be doubted in a program can be fatal to what is to be done with it.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.severity = Severity::Error;
        self
    }

    /// The span of the primary label, if it lies in a text.
    pub fn span(&self) -> Option<Span> {
        match self.labels.first()?.place {
            Place::Text(span) => Some(span),
            _ => None,
        }
    }

    /// The line of the user's Rust program that the primary label points at, if it points at one.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        match self.labels.first()?.place {
            Place::Rust(location) => Some(location),
            _ => None,
        }
    }
}

/// One line; a place in the user's Rust program is named, since nobody needs a text to find it.
impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.word(), self.code.name, self.message)?;
        match self.location() {
            Some(location) => write!(f, " ({location})"),
            None => Ok(()),
        }
    }
}

/// Diagnostics, collected. After [`Diagnostics::LIMIT`] of them the rest is only counted.
///
/// ```
/// use anemone::source::{Diagnostic, Diagnostics, codes};
/// let mut wrong = Diagnostics::default();
/// wrong.push(Diagnostic::new(&codes::UNKNOWN_OP, "there is no op `rellu`"));
/// assert!(wrong.has_errors());
/// for d in wrong.iter() {
///     assert_eq!(d.severity.word(), "error");
/// }
/// assert!(wrong.to_string().contains("`rellu`"));
/// ```
///
/// They are sorted by their places; of very many only the first are kept:
///
/// ```
/// use anemone::source::{Diagnostic, Diagnostics, Span, codes};
/// let mut all = Diagnostics::default();
/// for start in [7, 3] {
///     all.push(Diagnostic::new(&codes::UNDEFINED_NAME, "nothing defines `x`").at(Span::new(start, start + 1), "here"));
/// }
/// all.sort();
/// assert_eq!((all.iter().next().unwrap().span(), all.more()), (Some(Span::new(3, 4)), 0));
/// ```
///
/// ```
/// use anemone::source::{Diagnostic, Diagnostics, codes};
/// let mut all = Diagnostics::default();
/// all.append(Diagnostic::new(&codes::UNKNOWN_OP, "there is no op `rellu`").into());
/// assert_eq!(all.errors(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    more: usize,
    source: Option<Box<Source>>,
}

impl Diagnostics {
    /// How many are kept. A hostile file can hold millions of faults, and nobody reads the second hundred.
    pub const LIMIT: usize = 200;

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        if self.list.len() < Self::LIMIT {
            self.list.push(diagnostic);
        } else {
            self.more += 1;
        }
    }

    /// Adds a label to the one at this position, if it is there and of this kind: the same fault, seen again.
    pub(crate) fn also(
        &mut self,
        i: usize,
        code: &'static Code,
        span: Span,
        text: impl Into<String>,
    ) -> bool {
        let Some(d) = self.list.get_mut(i).filter(|d| d.code == code) else { return false };
        // A fault in a million places is shown in a few of them.
        if d.labels.len() < Self::LABELS {
            d.labels.push(Label { place: Place::Text(span), text: text.into() });
        }
        true
    }

    /// Puts a label before the others of the one at this position.
    pub(crate) fn first_at(&mut self, i: usize, span: Span, text: &'static str) {
        if let Some(d) = self.list.get_mut(i) {
            d.labels.insert(0, Label { place: Place::Text(span), text: text.into() });
        }
    }

    /// How many places one fault is shown in.
    const LABELS: usize = 8;

    /// Where the next one will stand.
    pub(crate) fn next(&self) -> usize {
        self.list.len()
    }

    /// Adds all of another collection.
    pub fn append(&mut self, other: Diagnostics) {
        self.more += other.more;
        self.errors += other.errors - other.list.iter().filter(|d| d.severity == Severity::Error).count();
        for d in other.list {
            self.push(d);
        }
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are, those that were not kept included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many were only counted.
    pub fn more(&self) -> usize {
        self.more
    }

    /// Those that were kept, in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Notes the text that the places are of: written, they have its lines and columns.
    ///
    /// ```
    /// use anemone::source::Source;
    /// let text = "program(1.3)\n{ ? }";
    /// let wrong = anemone::text::parse(text).unwrap_err().in_source(Source::new("layer.mil", text));
    /// assert!(wrong.to_string().ends_with("(layer.mil:2:3)"), "{wrong}");
    /// assert_eq!(wrong.text().unwrap().name, "layer.mil");
    /// ```
    #[must_use]
    pub fn in_source(mut self, source: Source) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The text that the places are of, if it was noted.
    pub fn text(&self) -> Option<&Source> {
        self.source.as_deref()
    }

    /// Sorts by place in the text; those without one come last.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|d| d.span().map_or(u32::MAX, |s| s.start));
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(d: Diagnostic) -> Self {
        let mut all = Self::default();
        all.push(d);
        all
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, d) in self.list.iter().enumerate() {
            write!(f, "{}{d}", if i > 0 { "\n" } else { "" })?;
            if let (Some(source), Some(span)) = (&self.source, d.span().filter(|span| !span.is_none())) {
                let LineColumn { line, column } = source.line_column(span.start);
                match source.name.as_str() {
                    "" => write!(f, " (line {line}, column {column})")?,
                    name => write!(f, " ({name}:{line}:{column})")?,
                }
            }
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
