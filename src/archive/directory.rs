//! The directory of an archive: what is in it and where.

use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use super::end::{End, TAIL_BYTES};
use super::member::Member;
use super::{Fields, shown};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::platform;

/// The central directory of a zip archive.
#[derive(Debug)]
pub(crate) struct Directory {
    location: String,
    /// In the order of names; no folders.
    members: Vec<Member>,
}

impl Directory {
    /// Reads it in at most two ranges: the archive's last 64 KiB or so, then what of the directory lies before them.
    ///
    /// `location` names the archive in errors, `size_bytes` is the archive's size, and `read` gives a range of it.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when the archive as a whole is no zip archive, is malformed or contradicts itself, or has a
    /// directory of more than 64 MiB or 1,000,000 entries; [`ErrorKind::SizeMismatch`] when `read` gives another number of
    /// bytes; and what `read` fails with.
    pub(crate) fn read(
        location: &dyn Display,
        size_bytes: u64,
        read: &mut dyn FnMut(Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let mut read = |range: Range<u64>| {
            let expected_bytes = range.end - range.start;
            let bytes = read(range)?;
            if bytes.len() as u64 != expected_bytes {
                return Err::<Vec<u8>, Error>(
                    ErrorKind::SizeMismatch {
                        what: location.to_string(),
                        expected_bytes,
                        actual_bytes: bytes.len() as u64,
                    }
                    .into(),
                );
            }
            Ok(bytes)
        };
        let malformed = |message| Error::registry(location, format!("the archive {message}"));

        let tail_start = size_bytes.saturating_sub(TAIL_BYTES);
        let tail = read(tail_start..size_bytes)?;
        let end = End::read(&tail, tail_start).map_err(malformed)?;
        let in_tail = end.tail_index.saturating_sub(end.directory_bytes)..end.tail_index;
        let mut directory = Vec::new();
        if end.directory_start < tail_start {
            directory = read(end.directory_start..tail_start)?;
            directory.reserve_exact(in_tail.len());
        }
        directory.extend_from_slice(&tail[in_tail]);
        let members = parse(&directory, &end).map_err(malformed)?;
        Ok(Self {
            location: location.to_string(),
            members,
        })
    }

    /// Reads that of an archive on disk. `location` names the archive in errors, `path` where the file is.
    ///
    /// # Errors
    /// As [`Directory::read`], and the storage errors.
    pub(crate) fn of_file(location: &dyn Display, file: &File, path: &Path) -> Result<Self> {
        let size_bytes = file.metadata().at("read", path)?.len();
        Self::read(location, size_bytes, &mut |range| {
            let length = usize::try_from(range.end - range.start)
                .map_err(|_| Error::internal("a directory beyond memory"))?;
            let mut bytes = vec![0; length];
            platform::read_exact_at(file, &mut bytes, range.start).at("read", path)?;
            Ok(bytes)
        })
    }

    /// Finds a file by its name; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when it is there and cannot be read: there twice, no regular file, encrypted, of another
    /// compression than none and deflate, or with sizes that cannot be.
    pub(crate) fn member(&self, name: &str) -> Result<Option<&Member>> {
        let found = self
            .members
            .binary_search_by(|member| member.name.as_str().cmp(name));
        match found {
            Ok(index) => self.check(&self.members[index]).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Returns the names of all files in order, as the archive has them, so hostile; one that is there twice comes twice.
    #[cfg(any(test, feature = "author"))]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// Returns the folder that all files are in, as in the archives that Git hosts make; `None` when there is none.
    pub(crate) fn top_folder(&self) -> Option<&str> {
        let (folder, _) = self.members.first()?.name.split_once('/')?;
        // What lies between two names in order begins as they do.
        let (of_last, _) = self.members.last()?.name.split_once('/')?;
        (folder == of_last && !folder.is_empty()).then_some(folder)
    }

    fn check<'a>(&self, member: &'a Member) -> Result<&'a Member> {
        match member.fault {
            None => Ok(member),
            Some(fault) => Err(Error::registry(
                &self.location,
                format!("'{}' in the archive {fault}", shown(&member.name)),
            )),
        }
    }
}

/// Reads all entries, and holds them against each other.
fn parse(directory: &[u8], end: &End) -> Result<Vec<Member>, &'static str> {
    let mut members = Vec::with_capacity(end.entries);
    let mut fields = Fields(directory);
    for _ in 0..end.entries {
        members.push(Member::parse(&mut fields)?);
    }
    if !fields.0.is_empty() {
        return Err("has more in its directory than its end says");
    }
    place(&mut members, end.directory_start)?;
    members.retain(|member| !member.name.ends_with('/'));
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for same in members.chunk_by_mut(|a, b| a.name == b.name) {
        if let [_, _, ..] = same {
            for member in same {
                member.fault = Some("is there more than once");
            }
        }
    }
    let mut sizes = members.iter().map(|member| member.size_bytes);
    sizes
        .try_fold(0_u64, u64::checked_add)
        .ok_or("holds more bytes than can be counted")?;
    Ok(members)
}

/// Says of each member where it ends at the latest, and refuses those that overlap each other or the directory.
///
/// Bombs are made of members that share their data: <https://www.usenix.org/conference/woot19/presentation/fifield>.
fn place(members: &mut [Member], directory_start: u64) -> Result<(), &'static str> {
    members.sort_unstable_by_key(|member| member.header_offset);
    let mut limit = directory_start;
    for member in members.iter_mut().rev() {
        if member.end > limit {
            return Err("has members that overlap, or that lie outside it");
        }
        // The local header's extra field may be as long as its length can say.
        member.end = member.end.saturating_add(u16::MAX.into()).min(limit);
        limit = member.header_offset;
    }
    Ok(())
}
