//! Zip archives, read as hostile input by the `zip` crate, with a guard in front of it.
//!
//! ```text
//! member:     local header (30 bytes, name, extra) · data · perhaps a data descriptor
//! …           one member after another
//! directory:  one entry per member (46 bytes, name, extra, comment)
//! end:        perhaps zip64 record (56) and locator (20) · end record (22, comment)
//! ```
//!
//! All of it is little-endian; [APPNOTE.TXT](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) describes it.
//! The directory is the only authority: it is at the end, describes every member, and a local header that contradicts
//! it is refused. So a few members of a large archive come out of a few ranges of it.
//!
//! The crate reads the entries of the directory and decodes the members. The guard refuses what the crate lets pass:
//!
//! - archives that readers understand differently: two ends, a directory elsewhere than stated, more or fewer entries,
//!   members that overlap. The crate would look further to the front, which over a network is all of the archive.
//! - directories of more than 64 MiB or 1,000,000 entries
//! - members that cannot be read, each when it is asked for: one of several with its name, a link or a device, an
//!   encrypted one, a compression other than deflate, a name that is not UTF-8 or one of two, impossible sizes
//! - members that differ from the directory in their local header, size or checksum, or go on behind their end

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

/// Returns the error for an archive, or a member of one, that cannot be read.
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
