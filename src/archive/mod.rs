//! Zip archives, read as hostile input: the directory first, then the members that are wanted.
//!
//! ```text
//! member:     local header (30 bytes, name, extra) · data · perhaps a data descriptor
//! …           one member after another
//! directory:  one entry per member (46 bytes, name, extra, comment)
//! end:        perhaps zip64 record (56) and locator (20) · end record (22, comment)
//! ```
//!
//! All of it is little-endian; [APPNOTE.TXT](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) describes it.
//! The directory is the only authority: it is at the end, tells everything about each member, and a local header that
//! contradicts it is refused. So a few members of a large archive come out of a few ranges of it.
//!
//! What makes an archive mean different things to different readers is refused: two ends, a directory that is not where
//! the end says, more or fewer entries than counted, members that overlap. So is data in front of an archive or behind
//! it, unless its offsets or its comment count it. A member that cannot be read (a link, encrypted, an unknown
//! compression, a name that is not UTF-8, whatever its language flag says) is refused when it is asked for, and does not
//! spoil the others.
//!
//! The `zip` crate does not fit: it searches the archive, which may be on the other side of a network, for a directory
//! that is not where it should be, falls back to an earlier end when the last one does not do, keeps one of several
//! entries of a name, and opens a member only where it can seek.

mod directory;
mod end;
mod member;
mod reader;
#[cfg(test)]
mod tests;

use crate::relpath::shown;

pub(crate) use directory::Directory;
pub(crate) use member::Member;
pub(crate) use reader::{MemberError, MemberReader};

/// The largest archive that is fetched whole, in bytes.
pub(crate) const MAX_ARCHIVE_BYTES: u64 = 64 << 30;

/// The fixed part of a local header, in bytes.
const LOCAL_HEADER_BYTES: u64 = 30;
/// The flags for encryption: of the data, strong, and of the directory.
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;

/// The little-endian fields of a record, one after another; `None` when the bytes are used up.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads the signature that a record begins with; `None` when it is another.
    fn signature(&mut self, expected: [u8; 4]) -> Option<()> {
        (self.array()? == expected).then_some(())
    }
}
