//! How a command ends.

use std::io;

use super::failure::exit_code;
use crate::Error;

pub(super) type CliResult<T = ()> = Result<T, CliError>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum CliError {
    Library(Error),
    /// The reader of our output closed the pipe.
    ClosedPipe,
    /// Our output could not be written.
    Output(io::Error),
    /// A question could not be asked.
    Unconfirmed {
        question: String,
    },
    /// A question was answered with no.
    Declined,
    /// Part of the work failed, and the printed report says so.
    Reported {
        exit: u8,
    },
    /// Models are damaged, and the printed report says so.
    Damaged,
}

impl CliError {
    /// Ends a command whose printed report contains the error.
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
