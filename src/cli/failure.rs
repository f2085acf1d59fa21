//! Why a command did not succeed.

use std::io;

use serde_json::Value;

use crate::Error;

pub(super) type CliResult<T = ()> = Result<T, CliError>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum CliError {
    Library(Error),
    /// Part of the work failed; `--json` says beside the error what became of the rest.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers do work in parts")
    )]
    Partly {
        error: Error,
        document: Value,
    },
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

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Output(error),
        }
    }
}
