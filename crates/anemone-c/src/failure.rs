//! What a call that failed gives: a code, and words.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};

use anemone::Error;

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    words: String,
}

/// The codes of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Argument = 1,
    NotInitialized = 2,
    NoEngine = 3,
    Program = 4,
    Compile = 5,
    Budget = 6,
    Load = 7,
    Run = 8,
    Memory = 9,
    Internal = 10,
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// What the last call of this thread that failed says.
pub(crate) fn last() -> *const c_char {
    // A thread that ends has no texts any more.
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

impl Failure {
    pub(crate) fn argument(words: String) -> Self {
        Self { code: Code::Argument, words }
    }

    pub(crate) fn null(what: &str) -> Self {
        Self::argument(format!("{what} is NULL"))
    }

    pub(crate) fn not_initialized() -> Self {
        Self { code: Code::NotInitialized, words: "there is no engine yet: call `ane_init` first".into() }
    }

    pub(crate) fn internal(said: &str) -> Self {
        Self { code: Code::Internal, words: format!("anemone has a fault, please report it: {said}") }
    }

    /// Keeps the words for `ane_last_error`, and gives the code.
    pub(crate) fn remember(self) -> c_int {
        // What Apple's code says may hold any byte.
        let words = CString::new(self.words.replace('\0', "\\0")).unwrap_or_default();
        let _ = LAST.try_with(|last| last.replace(words));
        self.code as c_int
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoAne | Error::VirtualClientUnavailable(_) | Error::UnsupportedSelector(_) => {
                Code::NoEngine
            }
            Error::Program(_) | Error::UnsupportedLayout { .. } => Code::Program,
            Error::CompileBudgetExhausted(_) => Code::Budget,
            Error::Compile(_) | Error::Io { .. } => Code::Compile,
            Error::ModelLoad(_) | Error::NotLoaded => Code::Load,
            Error::Eval(_) | Error::TimedOut { .. } => Code::Run,
            Error::Surface(_) | Error::MapFailed(_) => Code::Memory,
            Error::Length { .. } | Error::Invalid(_) => Code::Argument,
            _ => Code::Internal,
        };
        Self { code, words: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Code, &str); 10] = [
        (Code::Argument, "ARGUMENT"),
        (Code::NotInitialized, "NOT_INITIALIZED"),
        (Code::NoEngine, "NO_ENGINE"),
        (Code::Program, "PROGRAM"),
        (Code::Compile, "COMPILE"),
        (Code::Budget, "BUDGET"),
        (Code::Load, "LOAD"),
        (Code::Run, "RUN"),
        (Code::Memory, "MEMORY"),
        (Code::Internal, "INTERNAL"),
    ];

    #[test]
    fn codes_are_those_of_the_header() {
        let header = include_str!("../include/anemone.h");
        for (code, name) in ALL {
            let line = format!("ANE_ERROR_{name} = {}", code as c_int);
            assert!([",", " "].iter().any(|end| header.contains(&format!("{line}{end}"))), "{line}");
        }
        assert_eq!(header.matches("ANE_ERROR_").count(), ALL.len());
    }

    #[test]
    fn words_end_at_their_end() {
        let failure = Failure::argument("a\0b".into());
        assert_eq!(failure.remember(), 1);
        LAST.with(|last| assert_eq!(last.borrow().to_str(), Ok("a\\0b")));
    }
}
