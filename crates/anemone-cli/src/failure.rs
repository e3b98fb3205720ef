//! The ways in which a command ends badly.

use std::io;

use crate::terminal::Terminal;

/// Why a command failed, and thereby with which exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The program or model is at fault, and everything has been said: exit code 1.
    Told,
    /// The program or model is at fault: exit code 1.
    Program(String),
    /// A file, the device or the usage is at fault: exit code 2.
    World(String),
    /// The usage is wrong, and everything has been said: exit code 2.
    Usage,
    /// The reader of the output has gone away, which is its right: exit code 0.
    NobodyReads,
}

impl Failure {
    /// A fault of the program or model.
    pub(crate) fn program(message: impl Into<String>) -> Self {
        Failure::Program(message.into())
    }

    /// A fault of the world.
    pub(crate) fn world(message: impl Into<String>) -> Self {
        Failure::World(message.into())
    }

    /// Says what is left to say, and gives the exit code.
    pub(crate) fn report(self, terminal: &mut Terminal) -> u8 {
        // What was printed before comes first.
        let _ = terminal.finish();
        match self {
            Failure::Told => 1,
            Failure::Program(message) => {
                terminal.error(&message);
                1
            }
            Failure::World(message) => {
                terminal.error(&message);
                2
            }
            Failure::Usage => 2,
            Failure::NobodyReads => 0,
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of writing to the standard output: errors of files are [`Failure::World`] with the file's name.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::NobodyReads;
        }
        Failure::World(format!("the output cannot be written: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
