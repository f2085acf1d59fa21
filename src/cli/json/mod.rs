//! The shapes of `--json`, apart from the library's own types. Keys are only ever added.

mod offers;
mod registries;

use serde::Serialize;

use crate::error::chain;
use crate::{Error, ModelRef};

pub(super) use offers::{Offered, Remote, RemoteInfo};
pub(super) use registries::{Sources, Synced};

/// What every model carries.
#[derive(Debug, Serialize)]
pub(super) struct Name<'a> {
    group: &'a str,
    model: &'a str,
    version: &'a str,
}

impl<'a> From<&'a ModelRef> for Name<'a> {
    fn from(model: &'a ModelRef) -> Self {
        Self {
            group: model.group(),
            model: model.model(),
            version: model.version(),
        }
    }
}

/// A document with a list of anything.
#[derive(Debug, Serialize)]
pub(super) struct Models<'a, T> {
    pub(super) models: &'a [T],
}

/// An error inside a report.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    code: &'static str,
    message: String,
}

impl From<&Error> for Failed {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            message: chain(error),
        }
    }
}
