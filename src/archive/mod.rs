//! Archives, taken for hostile: zips, of which single members are read, and tars, of which everything is, see [`tar`].
//!
//! Zips are read with the `zip` crate behind a guard.
//!
//! A directory at the end of the archive describes every member, so that a few members of a large archive are read from
//! a few ranges of it. The crate reads the entries of the directory. The guard refuses:
//!
//! - archives that readers understand differently: two end records, a directory elsewhere or with more or fewer entries
//!   than stated, overlapping members. The crate would search the whole archive for a better directory. Up to 64 KiB that
//!   something appended to the archive are passed over, as by other readers.
//! - directories of more than 64 MiB or 1,000,000 entries
//! - members that occur more than once, are links or devices, are encrypted, use a compression other than deflate, have
//!   two names or one that is not UTF-8, or impossible sizes; they do not affect the other members
//! - members whose local header, size or checksum differs from the directory, or whose data continues past its end
//!
//! The format is described in [APPNOTE.TXT](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).

mod directory;
mod end;
mod format;
mod member;
pub(crate) mod tar;
#[cfg(test)]
mod tests;
#[cfg(feature = "zstd")]
mod zstd;

use std::fmt::Display;

pub(crate) use directory::Directory;
pub use format::ArchiveFormat;
pub(crate) use member::{Member, MemberError};

use crate::error::{BoxError, Error};
use crate::relpath::shown;

/// How much larger than what is stored an archive's content may be: deflate turns two bits into at most 258 bytes.
const MAX_RATIO: u64 = 1032;
/// The largest archive that is fetched whole, in bytes.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// Returns the error for an archive or member that cannot be read.
pub(crate) fn unreadable(location: &dyn Display, what: &str, reason: BoxError) -> Error {
    Error::registry_from(location, format!("{what} cannot be read"), reason)
}

/// Names a member in an error.
fn in_archive(name: &str) -> String {
    format!("'{}' in the archive", shown(name))
}

/// Reads a little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
