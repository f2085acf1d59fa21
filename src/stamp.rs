//! Telling whether a file is still what it was.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::platform::file_number;

/// A file as it was at a moment, under whatever name: its number on its file system, when it was written last in nanoseconds,
/// and its length. The device is not part of it, because some file systems have another one after each start of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct FileStamp(u64, u64, u64);

impl FileStamp {
    /// Returns `None` where files have no numbers.
    pub(crate) fn of(file: &Metadata) -> Option<Self> {
        let written = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let written = u64::try_from(written.as_nanos()).ok()?;
        Some(Self(file_number(file)?, written, file.len()))
    }
}
