//! Diagnostics as text for people.

use std::panic::Location;

use super::{Diagnostic, Place, Severity, Source};

/// Draws a diagnostic with the lines it points at and carets under them.
///
/// `colour` adds ANSI escapes. Lines are cut around the carets when they are long, and control characters of the
/// text are made visible. A line of the user's Rust program is drawn where its file is found: its path is relative to
/// the folder that the program was built in, which is looked for at the current folder and above.
///
/// ```
/// use anemone::source::{Source, render};
/// let source = Source::new("layer.mil", "program(1.3) { func main<ios18>(fp16 x) { } -> (x) }");
/// let wrong = anemone::text::parse(&source.text).unwrap_err();
/// let drawn = render(wrong.iter().next().unwrap(), Some(&source), false);
/// assert!(drawn.contains("--> layer.mil:1:"), "{drawn}");
/// ```
pub fn render(diagnostic: &Diagnostic, source: Option<&Source>, colour: bool) -> String {
    use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let message = escape(&diagnostic.message);
    let mut windows: Vec<Window> = Vec::new();
    let mut fields = Vec::new();
    let mut origin = None;
    for (i, label) in diagnostic.labels.iter().enumerate() {
        let primary = i == 0;
        let drawn = match (&label.place, source) {
            (Place::Text(span), Some(source)) => {
                let (text, line, range) = window(source, span.range());
                Some((source.name.clone(), text, line, range))
            }
            (Place::Text(span), None) => {
                fields.push(format!("at bytes {}..{}", span.start, span.end));
                None
            }
            (Place::Rust(location), _) => {
                let drawn = rust_window(location);
                match drawn {
                    None if primary => origin = Some(*location),
                    None if label.text.is_empty() => fields.push(format!("at {location}")),
                    None => fields.push(format!("{} (at {location})", escape(&label.text))),
                    Some(_) => {}
                }
                drawn
            }
            (Place::Field(field), _) => {
                fields.push(format!("in {}", escape(field)));
                None
            }
        };
        if let Some((path, text, line, range)) = drawn {
            let mark = Mark { range, text: escape(&label.text), primary };
            match windows.iter_mut().find(|w| w.path == path && w.line == line && w.text == text) {
                Some(w) => w.marks.push(mark),
                None => windows.push(Window { path, text, line, marks: vec![mark] }),
            }
        }
    }
    let notes: Vec<String> = diagnostic.notes.iter().map(|n| escape(n)).collect();
    let help = diagnostic.help.as_ref().map(|h| escape(h));
    let mut group = Group::with_title(level.primary_title(&message).id(diagnostic.code.name));
    if let Some(at) = origin {
        group =
            group.element(Origin::path(at.file()).line(at.line() as usize).char_column(at.column() as usize));
    }
    for Window { path, text, line, marks } in &windows {
        let mut snippet = Snippet::source(text).line_start(*line).path(path);
        for mark in marks {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(mark.range.clone());
            snippet = snippet.annotation(match mark.text.as_str() {
                "" => annotation,
                text => annotation.label(text),
            });
        }
        group = group.element(snippet);
    }
    for field in &fields {
        group = group.element(Level::NOTE.message(field.as_str()));
    }
    for note in &notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// The part of the text around one or more labels.
struct Window {
    /// What to call the text.
    path: String,
    text: String,
    /// The number of its line.
    line: usize,
    marks: Vec<Mark>,
}

/// A label, relative to its window.
struct Mark {
    range: std::ops::Range<usize>,
    text: String,
    primary: bool,
}

/// The line of a Rust program and the range of the name at its column, if the file is here and is as it was built.
fn rust_window(at: &Location<'_>) -> Option<(String, String, usize, std::ops::Range<usize>)> {
    const LARGEST: u64 = 8 << 20;
    let folder = std::env::current_dir().ok()?;
    let path = folder.ancestors().map(|a| a.join(at.file())).find(|p| p.is_file())?;
    if path.metadata().ok()?.len() > LARGEST {
        return None;
    }
    let source = Source::new(at.file(), std::fs::read_to_string(path).ok()?);
    let start = source.byte_of(at.line() as usize, at.column() as usize)?;
    let name = source.text[start..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
    let end = name.map_or(source.text.len(), |n| start + n.max(1));
    let (text, line, range) = window(&source, start..end);
    Some((source.name, text, line, range))
}

/// The line around a range (at most 200 bytes before and after it), the number of the first, and the range in them.
fn window(source: &Source, range: std::ops::Range<usize>) -> (String, usize, std::ops::Range<usize>) {
    const MARGIN: usize = 200;
    let text = &source.text;
    let back = |mut i: usize| {
        i = i.min(text.len());
        while !text.is_char_boundary(i) {
            i -= 1;
        }
        i
    };
    let start = back(range.start);
    // Only the first line of a long range is drawn.
    let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    let end = back(range.end.max(range.start)).clamp(start, line_end).min(back(start + MARGIN));
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let from = if start - line_start > MARGIN { back(start - MARGIN) } else { line_start };
    let to = if line_end - end > MARGIN { back(end + MARGIN) } else { line_end };
    let line = source.line_column(start as u32).line;
    let mut shown = String::new();
    let (mut a, mut b) = (0, 0);
    for (i, c) in text[from..to].char_indices() {
        if from + i == start {
            a = shown.len();
        }
        if from + i == end {
            b = shown.len();
        }
        shown.push_str(&escape(c.encode_utf8(&mut [0; 4])));
    }
    if start == to {
        a = shown.len();
    }
    if end == to {
        b = shown.len();
    }
    (shown, line, a..b.max(a))
}

/// Makes control characters and characters that change the direction of text visible.
///
/// ```
/// assert_eq!(anemone::source::escape("a\u{7}b"), "a\\u{7}b");
/// assert_eq!(anemone::source::escape("plain"), "plain");
/// ```
pub fn escape(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return text.to_string();
    }
    text.chars()
        .flat_map(|c| {
            let s = if c == '\t' {
                " ".to_string()
            } else if hidden(c) {
                c.escape_unicode().to_string()
            } else {
                c.to_string()
            };
            s.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// The candidate that is nearest to `word`, if it is near enough to be what was meant.
///
/// ```
/// assert_eq!(anemone::source::suggest("rellu", ["relu", "add"]), Some("relu"));
/// assert_eq!(anemone::source::suggest("zzz", ["relu", "add"]), None);
/// ```
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A single letter is near to every other.
    let limit = if word.len() < 2 { 0 } else { (word.len() / 3).clamp(1, 4) };
    candidates
        .into_iter()
        .filter(|c| c.len().abs_diff(word.len()) <= limit)
        .map(|c| (distance(word, c), c))
        .filter(|&(d, _)| d <= limit)
        .min_by_key(|&(d, _)| d)
        .map(|(_, c)| c)
}

/// How many letters must be inserted, removed or changed to make `b` of `a`; a swap of neighbours counts once.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, d) in rows[0].iter_mut().enumerate() {
        *d = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut d = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                d = d.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = d;
        }
    }
    rows[a.len()][b.len()]
}
