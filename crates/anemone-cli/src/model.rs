//! Opening what PATH names, and saying what is wrong with it.

use std::io::Read;
use std::path::Path;

use anemone::bundle::{self, Description, Weights};
use anemone::mil::Program;
use anemone::source::{Diagnostic, Diagnostics, Place, Severity, Source, render, suggest};
use anemone::text;
use anemone::verify::{self, Report, Verified};

use crate::engine::Refusal;
use crate::failure::{Blame, Failure};
use crate::terminal::Terminal;

/// A program that was read, with what belongs to it.
pub(crate) struct Model {
    /// The path as it was given.
    pub(crate) path: String,
    pub(crate) program: Program,
    /// The text that spans point into: that of the file, or the program as anemone prints it.
    pub(crate) source: Option<Source>,
    pub(crate) weights: Weights,
    pub(crate) description: Option<Description>,
    /// What opening found doubtful.
    pub(crate) warnings: Diagnostics,
    /// The further programs of a pipeline, with the names of their stages.
    pub(crate) stages: Vec<(String, Model)>,
}

/// What cannot be read as a program, although the file can be read.
pub(crate) struct Refused {
    pub(crate) diagnostics: Diagnostics,
    pub(crate) source: Option<Source>,
}

impl Model {
    /// Reads the program at a path; `-` is MIL text on the standard input.
    ///
    /// The outer error is the world's, the inner one the program's.
    pub(crate) fn open(path: &str) -> Result<Result<Self, Refused>, Failure> {
        if path == "-" {
            return Ok(Self::from_text("standard input", &standard_input()?));
        }
        match bundle::open(Path::new(path)) {
            Ok(bundle) => Ok(Ok(Self::from_bundle(path, bundle))),
            Err(bundle::Error::Refused { diagnostics, source }) => {
                Ok(Err(Refused { diagnostics, source: source.map(|s| *s) }))
            }
            Err(bundle::Error::Io { path, source }) => {
                Err(Failure::world(format!("`{}` cannot be read: {source}", path.display())))
            }
        }
    }

    fn from_text(name: &str, text: &str) -> Result<Self, Refused> {
        let mut diagnostics = Diagnostics::default();
        let source = Some(Source::new(name, text));
        match text::parse_with(text, &mut diagnostics) {
            Some(program) if !diagnostics.has_errors() => Ok(Self {
                path: name.to_string(),
                program,
                source,
                weights: Weights::none(),
                description: None,
                warnings: diagnostics,
                stages: Vec::new(),
            }),
            _ => Err(Refused { diagnostics, source }),
        }
    }

    fn from_bundle(path: &str, bundle: bundle::Bundle) -> Self {
        let stages = bundle.stages.into_iter().filter_map(|stage| {
            let p = stage.program?;
            let model = Self {
                path: format!("{path} ({})", stage.name),
                program: p.program,
                source: p.source,
                weights: p.weights,
                description: stage.description,
                warnings: Diagnostics::default(),
                stages: Vec::new(),
            };
            Some((stage.name, model))
        });
        Self {
            path: path.to_string(),
            program: bundle.program,
            source: bundle.source,
            weights: bundle.weights,
            description: bundle.description,
            warnings: bundle.warnings,
            stages: stages.collect(),
        }
    }

    /// Verifies the program. Where it has no text and something is wrong, it is printed first, so that the
    /// diagnostics have a text to point into.
    pub(crate) fn verify(&mut self) -> Report {
        let report = verify::verify(&self.program, &self.weights);
        let placeless =
            |d: &Diagnostic| d.labels.iter().any(|l| matches!(l.place, Place::Text(s) if s.is_none()));
        if self.source.is_none() && report.diagnostics.iter().any(placeless) && self.give_text() {
            return verify::verify(&self.program, &self.weights);
        }
        report
    }

    /// Makes the printed program the program's text, unless it has one. A program with names that no text can
    /// hold stays without.
    pub(crate) fn give_text(&mut self) -> bool {
        if self.source.is_some() {
            return false;
        }
        let printed = text::print(&self.program);
        let Ok(program) = text::parse(&printed) else { return false };
        self.program = program;
        self.source = Some(Source::new(format!("{} (printed)", self.path), printed));
        true
    }

    /// Opens and verifies a program that is to be run; what is wrong with it is said here.
    pub(crate) fn open_verified(path: &str, terminal: &mut Terminal) -> Result<(Self, Verified), Failure> {
        let progress = terminal.progress(&format!("reading {path}"), None);
        let opened = Self::open(path)?.map(|mut model| {
            let report = model.verify();
            (model, report)
        });
        drop(progress);
        match opened {
            Err(refused) => {
                tell(&refused.diagnostics, refused.source.as_ref(), terminal);
                Err(Failure::Told(Blame::Program))
            }
            Ok((model, Report { verified: Some(verified), .. })) => {
                if let Some((stage, _)) = model.stages.first() {
                    terminal.note(&format!(
                        "`{path}` is a pipeline; of its stages only the program of `{stage}` is taken"
                    ));
                }
                Ok((model, verified))
            }
            Ok((model, report)) => {
                tell(&report.diagnostics, model.source.as_ref(), terminal);
                Err(Failure::Told(Blame::Program))
            }
        }
    }

    /// The function of this name, or the one that runs when none is named.
    pub(crate) fn function<'v>(
        &self,
        verified: &'v Verified,
        name: Option<&str>,
    ) -> Result<&'v verify::Function, Failure> {
        let Some(name) = name else {
            let default = self.description.as_ref().and_then(|d| d.default_function.as_deref());
            return Ok(default.and_then(|n| verified.function(n)).unwrap_or_else(|| verified.main()));
        };
        verified.function(name).ok_or_else(|| {
            let names: Vec<&str> = verified.functions().iter().map(|f| &*f.name).collect();
            Failure::world(match suggest(name, names.iter().copied()) {
                Some(near) => format!("`{}` has no function `{name}`; did you mean `{near}`?", self.path),
                None => format!("`{}` has no function `{name}`; it has `{}`", self.path, names.join("`, `")),
            })
        })
    }
}

/// What is on the standard input, as text.
pub(crate) fn standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let limit = text::MAX_BYTES as u64 + 1;
    std::io::stdin()
        .lock()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::world(format!("the standard input cannot be read: {e}")))?;
    text::decode(bytes).map_err(|d| Failure::program(d.to_string()))
}

/// Says the errors among the diagnostics on the standard error.
pub(crate) fn tell(diagnostics: &Diagnostics, source: Option<&Source>, terminal: &mut Terminal) {
    for d in diagnostics.iter().filter(|d| d.severity == Severity::Error) {
        let drawn = draw(d, source, terminal.colour_err());
        terminal.say(&drawn);
    }
    if diagnostics.more() > 0 {
        terminal.say(&format!("and {} more", diagnostics.more()));
    }
}

/// Draws a diagnostic. A label that points at nothing is left out.
pub(crate) fn draw(diagnostic: &Diagnostic, source: Option<&Source>, colour: bool) -> String {
    let mut d = diagnostic.clone();
    d.labels.retain(|l| !matches!(l.place, Place::Text(span) if span.is_none() || source.is_none()));
    render(&d, source, colour)
}

/// Says why an engine refused, and whose fault it is: inputs and files are the world's.
pub(crate) fn refused_by_engine(
    refusal: &Refusal,
    source: Option<&Source>,
    terminal: &mut Terminal,
) -> Failure {
    use anemone::source::codes;
    let d = match refusal {
        Refusal::Program(e) => e.diagnostic(),
        Refusal::Form(wrong) => {
            tell(wrong, source, terminal);
            return Failure::Told(Blame::Program);
        }
        Refusal::World(why) => return Failure::world(why.clone()),
    };
    let drawn = draw(d, source, terminal.colour_err());
    terminal.say(&drawn);
    let of_the_world =
        [&codes::INPUT_MISSING, &codes::INPUT_TYPE, &codes::INPUT_UNKNOWN, &codes::BLOB_MISSING];
    Failure::Told(if of_the_world.contains(&d.code) { Blame::World } else { Blame::Program })
}
