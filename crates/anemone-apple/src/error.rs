//! What can go wrong at the border, in kinds that a caller can act on.

use crate::message::Feature;

/// Why something at the border failed.
///
/// Apple's domain, code and words are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A framework or one of its functions is not there: not a Mac, or a macOS that lacks it.
    #[error("{library} cannot be opened: {reason}")]
    NoFramework {
        /// The library.
        library: &'static str,
        /// Why, in the loader's words.
        reason: String,
    },
    /// A message that nothing works without is missing, or has another prototype: calling it would be undefined.
    #[error(
        "this macOS has changed: `{message}` is expected as `{expected}`, and is {}",
        found.as_ref().map_or("not there".to_string(), |f| format!("`{f}`"))
    )]
    Drift {
        /// The message, such as `-[_ANEModel key]`.
        message: String,
        /// The encoding with which it would be sent.
        expected: String,
        /// The encoding that the running system has; `None` when class or selector is missing.
        found: Option<String>,
    },
    /// This macOS does not have a feature; the rest works.
    #[error("this macOS has no {feature}: {because}")]
    Unavailable {
        /// The feature.
        feature: Feature,
        /// Which of its messages is missing or changed.
        because: String,
    },
    /// Apple's code said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The process has compiled as many programs as the system lets it.
    #[error(
        "{spent} programs were compiled and {loaded} are loaded in this process, and the system stops compiling, without \
         saying so, at about {limit}: compile in a worker process, reuse what is cached, or restart the process"
    )]
    CompileBudgetExhausted {
        /// How many programs this process has compiled.
        spent: usize,
        /// How many of them are loaded.
        loaded: usize,
        /// The limit.
        limit: usize,
    },
    /// A surface could not be made, or is not what the call needs.
    #[error("{0}")]
    Surface(String),
    /// The arguments of a call do not fit the model; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// What Apple's code gave back is not what it is known to give.
    #[error("{message} gave {gave}")]
    Unexpected {
        /// The message.
        message: &'static str,
        /// What it gave.
        gave: String,
    },
    /// Something was not done in time.
    #[error("{what} was not done within {within:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        within: std::time::Duration,
    },
    /// A file could not be written or removed.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The worker process failed.
    #[error("the worker process {0}")]
    Worker(String),
}

/// A `NO` of Apple's code, with its `NSError` when it gave one.
///
/// ```
/// use anemone_apple::{Again, Refusal, Reported};
/// let error = Reported { domain: "com.apple.appleneuralengine".into(), code: 6, description: "".into() };
/// let refusal = Refusal { message: "-[_ANEClient loadModel:options:qos:error:]".into(), error: Some(error) };
/// assert!(refusal.advice().is_some());
/// assert_eq!(refusal.again(), Again::Soon);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The message that was refused.
    pub message: String,
    /// Domain, code and description; `None` when there was no `NSError`.
    pub error: Option<Reported>,
}

/// What an `NSError` holds.
///
/// ```
/// use anemone_apple::Reported;
/// let description = "the connection is gone".into();
/// let error = Reported { domain: "NSCocoaErrorDomain".into(), code: 4097, description };
/// assert_eq!((error.domain.as_str(), error.code), ("NSCocoaErrorDomain", 4097));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The domain.
    pub domain: String,
    /// The code within the domain.
    pub code: i64,
    /// The description.
    pub description: String,
}

/// The domain of the framework's own errors.
const DOMAIN: &str = "com.apple.appleneuralengine";
/// The domain in which Foundation tells that the process at the other end of a connection is gone: 4097, 4099 and 4101.
const HELPERS: &str = "NSCocoaErrorDomain";

/// When a call that was refused is worth another try.
///
/// ```
/// use anemone_apple::{Again, Refusal};
/// // A `NO` without an error: the answer would be the same.
/// let refusal = Refusal { message: "-[_ANEModel key]".into(), error: None };
/// assert_eq!(refusal.again(), Again::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At once, when the files of the model are there: two processes that compile the same program share a folder, which
    /// the first to end removes.
    WithFiles,
    /// In a moment: a place was not free yet.
    Soon,
    /// After some seconds, if the program is not the reason: the compiler's process has ended.
    Later,
    /// Not at all: the answer would be the same.
    Never,
}

impl Refusal {
    /// What is known of the cause and what to do, from [`CODES`] and [`STATUSES`].
    pub fn advice(&self) -> Option<&'static str> {
        let Some(e) = &self.error else {
            return Some(
                "no error was given: the model's files could not be written, or the process has compiled too many programs",
            );
        };
        if let Some(status) = STATUSES.iter().find(|s| e.description.contains(s.sign)) {
            return Some(status.advice);
        }
        if self.again() == Again::Later {
            return Some(
                "the compiler's process has ended, perhaps of this program; it is there again after some seconds",
            );
        }
        CODES.iter().find(|c| e.domain == DOMAIN && c.code == e.code).map(|c| c.advice)
    }

    /// When the same call is worth another try.
    pub fn again(&self) -> Again {
        match self.error.as_ref().map(|e| (e.domain.as_str(), e.code)) {
            Some((DOMAIN, 9 | 16)) => Again::WithFiles,
            Some((DOMAIN, 3 | 6)) => Again::Soon,
            Some((HELPERS, 4097 | 4099 | 4101)) => Again::Later,
            _ => Again::Never,
        }
    }

    /// Whether the compiler has failed, and not what comes before or after it: its service starts anew then.
    pub(crate) fn is_of_the_compiler(&self) -> bool {
        let compilers =
            |d: &str| d.strip_prefix(DOMAIN).is_some_and(|d| [".compiler", ".espresso"].contains(&d));
        self.again() == Again::Later || self.error.as_ref().is_some_and(|e| compilers(&e.domain))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was refused", self.message)?;
        match &self.error {
            Some(e) => write!(f, ": {} ({} {})", e.description, e.domain, e.code)?,
            None => f.write_str(" without a reason")?,
        }
        self.advice().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for Refusal {}

/// An error code of the domain `com.apple.appleneuralengine`.
///
/// ```
/// use anemone_apple::{CODES, ErrorCode};
/// let code: &ErrorCode = CODES.iter().find(|c| c.code == 15).unwrap();
/// println!("{}: {}", code.meaning, code.advice);
/// ```
#[derive(Debug)]
pub struct ErrorCode {
    /// The code.
    pub code: i64,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub advice: &'static str,
}

macro_rules! codes {
    ($($code:literal $meaning:literal, $advice:literal;)*) => {
        /// The codes of the domain `com.apple.appleneuralengine`, as the factories of `_ANEErrors` name them.
        pub static CODES: &[ErrorCode] = &[$(ErrorCode { code: $code, meaning: $meaning, advice: $advice }),*];
    };
}

codes! {
    1 "entitlement missing", "the call needs an entitlement that only Apple's own processes have";
    2 "real-time entitlement missing", "load and run without real-time priority";
    3 "timeout", "too many requests wait: at most two calls of one priority run through the client at once";
    4 "program creation failure", "load again; if it persists, purge the compiled model and compile anew";
    5 "inference overflow", "scale the inputs";
    6 "program load failure", "too many programs are loaded: unload some, about 127 fit one process; if few are, places were lost, and a new process has them again";
    7 "code-signing identity missing", "sign the binary, ad hoc at least";
    8 "inference error", "compare sizes and order of the surfaces with the model's attributes";
    9 "file access failure", "the model's folder under the temporary directory could not be read";
    10 "invalid model", "the folder lacks files that this kind of model has";
    11 "invalid model key", "give a key that is not empty";
    12 "purge of a system model", "models of the system cannot be purged";
    13 "map failure", "compare the symbol indices with the model's attributes, or evaluate without mapping";
    14 "unmap failure", "map and unmap with the same request";
    15 "chaining could not be prepared", "chaining is not available to this process: share a surface between two models instead";
    16 "file not found", "the model's folder under the temporary directory is gone: another model with the same program may have removed it";
    17 "model identifier not found", "compile before the load";
    18 "base model not found", "load the base model first";
    19 "cache identifier must be absent", "leave the cache identifier out";
    20 "invalid model instance", "adapters need an entitlement";
    21 "instance could not be loaded", "adapters need an entitlement";
    22 "host too old", "inside of a virtual machine the engine cannot be reached: run on the host";
    23 "program not found", "the program was unloaded: load it again";
    24 "data not found", "give a hint that exists";
    25 "not supported", "leave the option out";
    26 "bad argument", "give a hint: start, stop, abort or info";
    27 "virtualization data error", "run outside of the virtual machine";
    28 "virtualization kernel error", "run outside of the virtual machine";
    29 "virtualization host error", "run outside of the virtual machine";
}

/// A status of the driver, as it shows in descriptions.
///
/// ```
/// use anemone_apple::{STATUSES, Status};
/// let status: &Status = &STATUSES[0];
/// println!("{}: {}", status.sign, status.advice);
/// ```
#[derive(Debug)]
pub struct Status {
    /// What the description contains.
    pub sign: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// The statuses that have been explained.
pub static STATUSES: &[Status] = &[
    Status {
        sign: "status=0x1d",
        advice: "a surface is too small, or surfaces are bound in the wrong order: symbols are in alphabetical order, and each row takes a multiple of 64 bytes; if it ran before, a program with a `tile` may have spoiled the engine for this process",
    },
    Status { sign: "status=0x12", advice: "mapping failed: evaluate without it" },
    Status { sign: "status=0x2 ", advice: "the symbol indices are not those of this procedure" },
    Status {
        sign: "0xe00002c2",
        advice: "an argument is bad: widths of one or two elements are known to cause it",
    },
    Status { sign: "0xe00002e2", advice: "the compiled program is not signed by Apple: compile from source" },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: i64, description: &str) -> Refusal {
        let domain = "com.apple.appleneuralengine".to_string();
        Refusal {
            message: "-[_ANEInMemoryModel evaluateWithQoS:options:request:error:]".into(),
            error: Some(Reported { domain, code, description: description.into() }),
        }
    }

    #[test]
    fn a_status_says_more_than_its_code() {
        let r = refusal(8, "ANEProgramProcessRequestDirect() Failed with status=0x1d : statusType=0x9");
        assert!(r.to_string().contains("multiple of 64 bytes"), "{r}");
        assert!(refusal(8, "other").to_string().contains("compare sizes"));
    }

    #[test]
    fn foreign_domains_get_no_advice_of_ours() {
        let mut r = refusal(6, "x");
        assert!(r.again() == Again::Soon && r.advice().is_some());
        r.error.as_mut().unwrap().domain = "com.apple.appleneuralengine.compiler".into();
        assert!(r.again() == Again::Never && r.advice().is_none());
        r.error = Some(Reported { domain: HELPERS.into(), code: 4097, description: String::new() });
        assert!(r.again() == Again::Later && r.to_string().contains("perhaps of this program"), "{r}");
    }

    #[test]
    fn codes_are_in_order_and_advise() {
        assert!(CODES.is_sorted_by_key(|c| c.code));
        assert!(CODES.iter().all(|c| !c.meaning.is_empty() && !c.advice.ends_with('.')));
    }
}
