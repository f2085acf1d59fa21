//! The directory of an archive: what it holds and where.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::end::{self, END_BYTES, TAIL_BYTES};
use super::member::{Member, in_archive};
use super::unreadable;
use crate::error::{BoxError, Error, ErrorKind, IoContext, Result};
use crate::platform;

/// How many entries the crate reads at once. It takes three times the memory of a [`Member`] for each, and twice the
/// time when it gets 100,000.
const PIECE_ENTRIES: usize = 64;

/// The central directory of a zip archive.
#[derive(Debug)]
pub(crate) struct Directory {
    location: String,
    /// The files, in the order of the archive.
    members: Vec<Member>,
    /// Their indices by the hash of the name: sorting the names would take as long as reading the entries.
    by_name: HashMap<u64, usize>,
}

impl Directory {
    /// Reads the directory in at most two ranges: the last 64 KiB of the archive, then whatever precedes them.
    ///
    /// `location` names the archive in errors, `size_bytes` is its size, and `read` returns a range of it.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if it is not a zip archive, is malformed or contradicts itself, or has a directory of
    /// more than 64 MiB or 1,000,000 entries; [`ErrorKind::SizeMismatch`] if `read` returns too few or too many bytes;
    /// and the errors of `read`.
    pub(crate) fn read(
        location: &dyn Display,
        size_bytes: u64,
        read: &mut dyn FnMut(Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let mut read = |range: Range<u64>| {
            let bytes = read(range.clone())?;
            if bytes.len() as u64 == range.end - range.start {
                return Ok(bytes);
            }
            Err(Error::from(ErrorKind::SizeMismatch {
                what: location.to_string(),
                expected_bytes: range.end - range.start,
                actual_bytes: bytes.len() as u64,
            }))
        };
        let refused = |reason| unreadable(location, "the archive", reason);
        let tail_start = size_bytes.saturating_sub(TAIL_BYTES);
        let tail = read(tail_start..size_bytes)?;
        let (entries, directory) = end::read(&tail, tail_start).map_err(refused)?;
        let mut bytes = Vec::new();
        if directory.start < tail_start {
            bytes = read(directory.start..tail_start)?;
        }
        let at = |offset: u64| offset.saturating_sub(tail_start) as usize;
        let in_tail = &tail[at(directory.start)..at(directory.end)];
        bytes.reserve_exact(in_tail.len() + END_BYTES);
        bytes.extend_from_slice(in_tail);
        let mut members = read_entries(bytes, entries).map_err(refused)?;
        place(&mut members, directory.start).map_err(|reason| refused(reason.into()))?;
        members.retain(|member| !member.name.ends_with('/'));
        Ok(Self {
            location: location.to_string(),
            by_name: index(&mut members),
            members,
        })
    }

    /// Reads the directory of an archive on disk. `location` names the archive in errors.
    ///
    /// # Errors
    /// Those of [`Directory::read`], and storage errors.
    pub(crate) fn of_file(location: &dyn Display, file: &File, path: &Path) -> Result<Self> {
        let size_bytes = file.metadata().at("read", path)?.len();
        Self::read(location, size_bytes, &mut |range| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            platform::read_exact_at(file, &mut bytes, range.start).at("read", path)?;
            Ok(bytes)
        })
    }

    /// Finds a file by its name.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] if it exists but cannot be read; see [the module](super).
    pub(crate) fn member(&self, name: &str) -> Result<Option<&Member>> {
        let hash = self.by_name.hasher().hash_one(name);
        let member = self.by_name.get(&hash).map(|index| &self.members[*index]);
        let member = member.filter(|member| *member.name == *name);
        match member.and_then(|member| member.fault) {
            None => Ok(member),
            Some(fault) => Err(unreadable(&self.location, &in_archive(name), fault.into())),
        }
    }

    /// Returns the unchecked names of all files, in any order.
    #[cfg(any(test, feature = "author"))]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// Returns the top folder if all files are in the same one, as in the archives of Git hosts.
    pub(crate) fn top_folder(&self) -> Option<&str> {
        let top = |index: usize| Some(self.members.get(index)?.name.split_once('/')?.0);
        let folder = top(0).filter(|folder| !folder.is_empty());
        folder.filter(|_| (1..self.members.len()).all(|index| top(index) == folder))
    }
}

/// Reads the entries, which have to fill the directory.
///
/// The crate gets them in pieces, each as an archive of its own: the directory, with an end record that makes it begin
/// where the last piece ended. It keeps one entry per name, so a piece in which two share a name is read in halves.
fn read_entries(mut bytes: Vec<u8>, entries: usize) -> Result<Vec<Member>, BoxError> {
    const NO_ENTRY: &str = "it has a malformed or missing entry";
    let archive_offset = ArchiveOffset::Known(0);
    let end = bytes.len();
    let (mut start, mut piece) = (0, PIECE_ENTRIES);
    let mut members = Vec::with_capacity(entries);
    while members.len() < entries && start < end {
        let count = piece.min(entries - members.len());
        bytes.truncate(end);
        bytes.extend(end::record(count, start..end));
        let archive = ZipArchive::with_config(Config { archive_offset }, Cursor::new(&*bytes))
            .map_err(|error| format!("{NO_ENTRY}: {error}"))?;
        // If no entry begins there, the crate goes on to earlier end records, such as one in a name or a comment.
        if archive.central_directory_start() != start as u64 {
            break;
        }
        if archive.has_duplicate_names() {
            piece = count / 2;
            continue;
        }
        for index in 0..count {
            let entry = archive.by_index_data(index)?;
            let raw = &bytes[entry.central_header_start() as usize..];
            members.push(Member::new(&entry, raw)?);
        }
        start = archive.into_inner().position() as usize;
        piece = PIECE_ENTRIES.min(2 * count);
    }
    if members.len() < entries || start > end {
        return Err(NO_ENTRY.into());
    }
    if start < end {
        return Err("its directory has more entries than its end record says".into());
    }
    Ok(members)
}

/// Sorts members by offset, and refuses those that overlap each other or the directory.
///
/// Zip bombs have overlapping members: <https://www.usenix.org/conference/woot19/presentation/fifield>.
fn place(members: &mut [Member], directory_start: u64) -> Result<(), &'static str> {
    members.sort_unstable_by_key(|member| member.header_offset);
    let (mut limit, mut total_bytes) = (directory_start, 0_u64);
    for member in members.iter_mut().rev() {
        if member.end > limit {
            return Err("it has members that overlap, or that lie outside it");
        }
        // Only the local header says how long its extra field is.
        member.end = member.end.saturating_add(u16::MAX.into()).min(limit);
        limit = member.header_offset;
        let total = total_bytes.checked_add(member.size_bytes);
        total_bytes = total.ok_or("it holds more bytes than can be counted")?;
    }
    Ok(())
}

/// Indexes members by the hash of the name, and marks those that share one.
fn index(members: &mut [Member]) -> HashMap<u64, usize> {
    let mut by_name = HashMap::with_capacity(members.len());
    for index in 0..members.len() {
        let hash = by_name.hasher().hash_one(&*members[index].name);
        if let Some(other) = by_name.insert(hash, index) {
            for same in [other, index] {
                members[same].fault = Some("it occurs more than once");
            }
        }
    }
    by_name
}
