//! Zip archives, read as hostile input by the `zip` crate, with a guard in front of it.
//!
//! ```text
//! member:     local header (30 bytes, name, extra) · data · perhaps a data descriptor
//! …           one member after another
//! directory:  one entry per member (46 bytes, name, extra, comment)
//! end:        perhaps zip64 record (56) and locator (20) · end record (22, comment)
//! ```
//!
//! All numbers are little-endian; see [APPNOTE.TXT](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
//! The directory describes every member, so a few members of a large archive can be read from a few ranges of it.
//!
//! The crate reads the entries of the directory and decodes the members. The guard refuses what the crate accepts:
//!
//! - archives that different readers understand differently: two end records, a directory elsewhere or with more or
//!   fewer entries than stated, overlapping members. The crate would search for a better directory further to the front,
//!   which over a network means the whole archive.
//! - directories of more than 64 MiB or 1,000,000 entries
//! - members that occur more than once, are links or devices, are encrypted, use a compression other than deflate, have
//!   two names or one that is not UTF-8, or impossible sizes; they do not affect the other members
//! - members whose local header, size or checksum differs from the directory, or whose data continues past its end

mod directory;
mod end;
mod member;
#[cfg(test)]
mod tests;

use std::fmt::Display;

pub(crate) use directory::Directory;
pub(crate) use member::{Member, MemberError};

use crate::error::{BoxError, Error, ErrorKind};

/// The largest archive that is fetched whole, in bytes.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// Returns the error for an archive or member that cannot be read.
pub(crate) fn unreadable(location: &dyn Display, what: &str, reason: BoxError) -> Error {
    Error::from(ErrorKind::Registry {
        location: location.to_string(),
        message: format!("{what} cannot be read"),
        source: Some(reason),
    })
}

/// Reads a little-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
