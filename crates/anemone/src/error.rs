//! The error of everything that compiles, loads and runs: what is wrong, in kinds that a caller can act on.

use std::path::PathBuf;
use std::time::Duration;

use crate::source::{Diagnostic, Diagnostics, Phase, Severity, Source};

/// What went wrong.
///
/// A program that is wrong is [`Error::Program`], with every reason and its place. Everything else is the world: the
/// words of Apple's code are kept as they came, in the [`AneError`] of a variant, and in [`source`](std::error::Error::source).
///
/// ```
/// use anemone::{Client, CompileOptions, Error};
/// let options = CompileOptions { mil_text: b"program(1.3) { }".to_vec(), qos: 5, ..Default::default() };
/// match Client::open()?.compile(options) {
///     Err(Error::Program(diagnostics)) => println!("the program is wrong: {diagnostics}"),
///     Err(Error::CompileBudgetExhausted(_)) => println!("start another process"),
///     Err(Error::Invalid(why)) => assert!(why.starts_with("5 is no quality of service")),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No engine can be reached from here: not a Mac with Apple silicon, or its frameworks are not there.
    #[error(
        "there is no Neural Engine to be reached from here: `anemone doctor` says why, and `Client::software` runs the same programs without one"
    )]
    NoAne,
    /// The program is wrong, or is not for this engine.
    #[error("{0}")]
    Program(Diagnostics),
    /// The process has compiled, or loaded, as many programs as the system lets it.
    #[error("{0}")]
    CompileBudgetExhausted(AneError),
    /// The system's compiler refused the program.
    #[error("{0}")]
    Compile(AneError),
    /// The program could not be loaded.
    #[error("{0}")]
    ModelLoad(AneError),
    /// The program could not be run.
    #[error("{0}")]
    Eval(AneError),
    /// Surfaces could not be mapped for the engine.
    #[error("{0}")]
    MapFailed(AneError),
    /// This macOS has changed, or lacks what the call needs.
    #[error("{0}")]
    UnsupportedSelector(AneError),
    /// There is no client for programs in a virtual machine.
    #[error("{0}")]
    VirtualClientUnavailable(AneError),
    /// A tensor cannot lie in a surface, or the compiled program lays it out in a way that is not known.
    #[error("`{name}` {reason}")]
    UnsupportedLayout {
        /// The tensor.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Shared events need a model that was compiled from a package.
    #[error(
        "shared events need a model from a package: with programs of MIL text they fail, hang or crash on the engine"
    )]
    SharedEventRequiresPackage,
    /// There is no GPU that Metal can reach from here.
    #[error("there is no Metal device here: a pipeline works with the CPU in its place, by `Pipeline::on`")]
    NoMetal,
    /// An evaluation waits for what nobody can signal any more.
    #[error(
        "an evaluation waits for {value} of the shared event {port}, which has reached {reached}, and which nobody has any more"
    )]
    NeverSignaled {
        /// The port of the event.
        port: u32,
        /// The value that is waited for.
        value: u64,
        /// The value that it has.
        reached: u64,
    },
    /// A surface could not be made, or is in use.
    #[error("{0}")]
    Surface(String),
    /// The program is not loaded.
    #[error("the program is not loaded: call `load` first")]
    NotLoaded,
    /// So many elements or bytes are needed, and another number was given.
    #[error("{what} takes {expected}, and {found} were given")]
    Length {
        /// What takes them, and in what they are counted.
        what: String,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An argument makes no sense; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// Something was not done in time.
    #[error("{what} was not done within {within:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
    },
    /// The call was cancelled before it ran.
    #[error("the call was cancelled before it ran")]
    Cancelled,
    /// A model could not be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The model.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// What Apple's code, or the software engine, said when it refused a call.
///
/// ```
/// use anemone::Error;
/// fn code(error: &Error) -> Option<i64> {
///     match error {
///         Error::Compile(said) | Error::ModelLoad(said) | Error::Eval(said) => Some(said.code),
///         _ => None,
///     }
/// }
/// assert_eq!(code(&Error::NotLoaded), None);
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{op}: {source}")]
pub struct AneError {
    /// What was done: `compile`, `load`, `evaluate`, `map`.
    pub op: &'static str,
    /// The domain of the error in Apple's words; empty if it has none.
    pub class: String,
    /// The code within the domain; 0 if it has none.
    pub code: i64,
    /// The error itself, with what is known of its cause and what to do.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What was being done when the engine refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Compile,
    Load,
    Evaluate,
}

/// The domain of the framework's own errors. In it 13 and 14 are of mapping, and 22 and 27 to 29 of a virtual machine.
const GENERIC: &str = "com.apple.appleneuralengine";

impl Error {
    /// The error for what the border to Apple's side has said.
    pub(crate) fn from_apple(doing: Doing, error: anemone_apple::Error) -> Self {
        use anemone_apple::{Error as Apple, Feature};
        let op = match doing {
            Doing::Compile => "compile",
            Doing::Load => "load",
            Doing::Evaluate => "evaluate",
        };
        let (class, code) = match &error {
            Apple::Refused(refusal) => {
                refusal.error.as_ref().map_or_else(Default::default, |e| (e.domain.clone(), e.code))
            }
            _ => Default::default(),
        };
        let kind = match error {
            Apple::NoFramework { .. } => return Error::NoAne,
            Apple::Surface(why) => return Error::Surface(why),
            Apple::Invalid(why) => return Error::Invalid(why),
            Apple::TimedOut { what, within } => return Error::TimedOut { what, within },
            Apple::Io { path, reason } => return Error::Io { path, reason },
            Apple::Unavailable { feature: Feature::VirtualClient, .. } => Error::VirtualClientUnavailable,
            Apple::Drift { .. } | Apple::Unavailable { .. } => Error::UnsupportedSelector,
            Apple::CompileBudgetExhausted { .. } => Error::CompileBudgetExhausted,
            _ if class == GENERIC && [22, 27, 28, 29].contains(&code) => Error::VirtualClientUnavailable,
            _ if class == GENERIC && [13, 14].contains(&code) => Error::MapFailed,
            _ => match doing {
                Doing::Compile => Error::Compile,
                Doing::Load => Error::ModelLoad,
                Doing::Evaluate => Error::Eval,
            },
        };
        kind(AneError { op, class, code, source: error.into() })
    }
}

impl Error {
    /// When on the way to the engine it showed: of a program that is wrong, the phase of the first of its errors.
    ///
    /// ```
    /// use anemone::{Error, source::Phase, text};
    /// let wrong = text::parse("program(1.3) { func main<ios18>(fp16 x) { fp16 y = relu(x = ); } -> (y); }");
    /// assert_eq!(Error::from(wrong.unwrap_err()).phase(), Some(Phase::Parse));
    /// assert_eq!(Error::NoAne.phase(), None);
    /// ```
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Error::Program(wrong) => {
                wrong.iter().filter(|d| d.severity == Severity::Error).map(|d| d.phase).min()
            }
            Error::Compile(_) | Error::CompileBudgetExhausted(_) => Some(Phase::Lower),
            Error::ModelLoad(_) | Error::MapFailed(_) => Some(Phase::Load),
            Error::Eval(_) | Error::NeverSignaled { .. } => Some(Phase::Run),
            _ => None,
        }
    }

    /// The same; what is wrong with a program is said with lines and columns of this text, which it was read from.
    pub(crate) fn in_text(self, text: &[u8]) -> Self {
        match (self, std::str::from_utf8(text)) {
            (Error::Program(wrong), Ok(text)) => Error::Program(wrong.in_source(Source::new("", text))),
            (other, _) => other,
        }
    }

    /// The error of an evaluation on the software engine that ended before the program did.
    pub(crate) fn of_engine(why: &str) -> Self {
        Error::Eval(AneError { op: "evaluate", class: String::new(), code: 0, source: why.into() })
    }

    /// The engine was asked how long it took, and does not say.
    pub(crate) fn no_time() -> Self {
        let why =
            "the engine ran, and did not say how long it took: this macOS gives no statistics of the program";
        Error::UnsupportedSelector(AneError {
            op: "evaluate",
            class: String::new(),
            code: 0,
            source: why.into(),
        })
    }
}

impl From<Diagnostics> for Error {
    fn from(diagnostics: Diagnostics) -> Self {
        Error::Program(diagnostics)
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error::Program(diagnostic.into())
    }
}

#[cfg(test)]
mod tests {
    use anemone_apple::{Error as Apple, Feature, Refusal, Reported};

    use super::*;

    fn refused(domain: &str, code: i64) -> Apple {
        let error = Reported { domain: domain.into(), code, description: "Apple's words".into() };
        Refusal { message: "-[_ANEClient …]".into(), error: Some(error) }.into()
    }

    fn missing(feature: Feature) -> Apple {
        Apple::Unavailable { feature, because: "a reason".into() }
    }

    /// Rows I6, T2, T3: the kind says what to do, the rest what was done, where the error is from, and its code.
    #[test]
    fn errors_of_apples_side_have_their_kind_and_keep_what_was_said() {
        let spent = Apple::CompileBudgetExhausted { spent: 110, loaded: 0, limit: 110 };
        let drift = Apple::Drift { message: "m".into(), expected: "e".into(), found: None };
        let compiler = "com.apple.appleneuralengine.compiler";
        let by_doing = ["Compile", "ModelLoad", "Eval"];
        for (error, kinds) in [
            (refused(compiler, 1), by_doing),
            (refused(GENERIC, 6), by_doing),
            (refused(compiler, 13), by_doing),
            (refused(GENERIC, 13), ["MapFailed"; 3]),
            (refused(GENERIC, 22), ["VirtualClientUnavailable"; 3]),
            (missing(Feature::VirtualClient), ["VirtualClientUnavailable"; 3]),
            (missing(Feature::Direct), ["UnsupportedSelector"; 3]),
            (drift, ["UnsupportedSelector"; 3]),
            (spent, ["CompileBudgetExhausted"; 3]),
        ] {
            let doings = [(Doing::Compile, "compile"), (Doing::Load, "load"), (Doing::Evaluate, "evaluate")];
            for ((doing, op), kind) in doings.into_iter().zip(kinds) {
                let ours = Error::from_apple(doing, error.clone());
                let shown = format!("{ours:?}");
                assert!(shown.starts_with(&format!("{kind}(AneError {{ op: \"{op}\"")), "{shown}");
                assert_eq!(ours.to_string(), format!("{op}: {error}"));
            }
        }
        let Error::Compile(inner) = Error::from_apple(Doing::Compile, refused(compiler, 1)) else { panic!() };
        assert_eq!((inner.class.as_str(), inner.code), (compiler, 1));
        let cause = std::error::Error::source(&inner).unwrap();
        assert_eq!(cause.downcast_ref(), Some(&refused(compiler, 1)));
    }
}
