//! How a command ends.

use std::io;

use super::failure::exit_code;
use crate::Error;

pub(super) type CliResult = Result<(), CliError>;

/// Why a command ends otherwise than well.
#[derive(Debug)]
pub(super) enum CliError {
    Library(Error),
    /// Who reads our output has had enough.
    ClosedPipe,
    /// Our output cannot be written.
    Output(io::Error),
    /// A question could not be asked.
    Unconfirmed {
        question: String,
    },
    /// A question was answered with no.
    Declined,
    /// Something failed on the way; the report says so, and is printed already.
    Reported {
        exit: u8,
    },
    /// Models are damaged; the report is printed already.
    Damaged,
}

impl CliError {
    /// The end of a command whose printed report contains the error.
    pub(super) fn reported(error: &Error) -> Self {
        Self::Reported {
            exit: exit_code(error.kind()),
        }
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::Output(error)
        }
    }
}
