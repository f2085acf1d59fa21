//! The directory of an archive: what is in it and where.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
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

/// How many entries the crate reads at once: it needs several times the memory of a [`Member`] for each, and is slower
/// the more of them it has.
const PIECE_ENTRIES: usize = 64;

/// The central directory of a zip archive.
#[derive(Debug)]
pub(crate) struct Directory {
    location: String,
    /// The files, as they lie in the archive.
    members: Vec<Member>,
    /// Which one has a name, by the hash of the name: sorting names would take as long as reading all entries.
    by_name: HashMap<u64, usize>,
}

impl Directory {
    /// Reads it in at most two ranges: the archive's last 64 KiB or so, then what of the directory lies before them.
    ///
    /// `location` names the archive in errors, `size_bytes` is the archive's size, and `read` gives a range of it.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when the archive as a whole is not a zip archive, is malformed or contradicts itself, or
    /// has a directory of more than 64 MiB or 1,000,000 entries; [`ErrorKind::SizeMismatch`] when `read` gives another
    /// number of bytes; and what `read` fails with.
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

    /// Reads that of an archive on disk. `location` names the archive in errors, `path` where the file is.
    ///
    /// # Errors
    /// As [`Directory::read`], and the storage errors.
    pub(crate) fn of_file(location: &dyn Display, file: &File, path: &Path) -> Result<Self> {
        let size_bytes = file.metadata().at("read", path)?.len();
        Self::read(location, size_bytes, &mut |range| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            platform::read_exact_at(file, &mut bytes, range.start).at("read", path)?;
            Ok(bytes)
        })
    }

    /// Finds a file by its name; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Registry`] when it is there and cannot be read: there twice, not a regular file, encrypted, of
    /// another compression than none and deflate, or with impossible sizes.
    pub(crate) fn member(&self, name: &str) -> Result<Option<&Member>> {
        let member = self
            .by_name
            .get(&hash(name))
            .map(|index| &self.members[*index]);
        let member = member.filter(|member| *member.name == *name);
        match member.and_then(|member| member.fault) {
            None => Ok(member),
            Some(fault) => Err(unreadable(&self.location, &in_archive(name), fault.into())),
        }
    }

    /// Returns the names of all files in any order, as the archive has them, so hostile.
    #[cfg(any(test, feature = "author"))]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// Returns the folder that all files are in, as in the archives that Git hosts make; `None` when there is none.
    pub(crate) fn top_folder(&self) -> Option<&str> {
        let mut folders = self
            .members
            .iter()
            .map(|member| member.name.split_once('/'));
        let (folder, _) = folders.next()??;
        let is_the_same =
            |other: Option<(&str, _)>| other.is_some_and(|(other, _)| other == folder);
        (!folder.is_empty() && folders.all(is_the_same)).then_some(folder)
    }
}

/// Reads as many entries as there should be, and nothing else.
///
/// The crate gets them in pieces, each as an archive of its own: the directory with an end record that begins where the
/// last piece ended. It keeps one entry of each name, so a piece in which two share a name is read again in halves.
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
        // Where it finds no entry, the crate looks for another end, which may stand in a name or a comment.
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

/// Sorts members as they lie in the archive, and refuses those that overlap each other or the directory.
///
/// Bombs are made of members that share their data: <https://www.usenix.org/conference/woot19/presentation/fifield>.
fn place(members: &mut [Member], directory_start: u64) -> Result<(), &'static str> {
    members.sort_unstable_by_key(|member| member.header_offset);
    let (mut limit, mut total_bytes) = (directory_start, 0_u64);
    for member in members.iter_mut().rev() {
        if member.end > limit {
            return Err("it has members that overlap, or that lie outside it");
        }
        // The local header's extra field may be as long as its length can say.
        member.end = member.end.saturating_add(u16::MAX.into()).min(limit);
        limit = member.header_offset;
        let total = total_bytes.checked_add(member.size_bytes);
        total_bytes = total.ok_or("it holds more bytes than can be counted")?;
    }
    Ok(())
}

/// Finds members by the hash of their names, and marks those whose names are not their own.
fn index(members: &mut [Member]) -> HashMap<u64, usize> {
    let mut by_name = HashMap::with_capacity(members.len());
    for index in 0..members.len() {
        if let Some(other) = by_name.insert(hash(&members[index].name), index) {
            for same in [other, index] {
                members[same].fault = Some("it occurs more than once");
            }
        }
    }
    by_name
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
