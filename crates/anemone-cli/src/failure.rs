//! The ways in which a command ends badly.

use std::io;

use crate::terminal::Terminal;

/// Who is at fault, and thereby the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The program or model: exit code 1.
    Program,
    /// A file, the device or the usage: exit code 2.
    World,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Everything has been said.
    Told(Blame),
    /// This is to be said.
    Say(Blame, String),
    /// The reader of the output has gone away, which is its right: exit code 0.
    NobodyReads,
}

impl Failure {
    /// A fault of the program or model.
    pub(crate) fn program(message: impl Into<String>) -> Self {
        Failure::Say(Blame::Program, message.into())
    }

    /// A fault of the world.
    pub(crate) fn world(message: impl Into<String>) -> Self {
        Failure::Say(Blame::World, message.into())
    }

    /// Says what is left to say, and gives the exit code.
    pub(crate) fn report(self, terminal: &mut Terminal) -> u8 {
        // What was printed before comes first. Why it cannot be printed is of no interest any more.
        let _ = terminal.finish();
        let blame = match self {
            Failure::Told(blame) => blame,
            Failure::Say(blame, message) => {
                terminal.error(&message);
                blame
            }
            Failure::NobodyReads => return 0,
        };
        match blame {
            Blame::Program => 1,
            Blame::World => 2,
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of writing to the standard output: errors of files name the file, and are made by hand.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::NobodyReads;
        }
        Failure::world(format!("the output cannot be written: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
