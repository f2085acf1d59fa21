//! The directory of an archive: what it holds and where.

use std::cmp::Ordering;
use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use super::end::{self, TAIL_BYTES};
use super::member::{ENTRY_BYTES, Member, NO_ENTRY};
use super::{in_archive, number, unreadable};
use crate::digest::{Digest, check_size};
use crate::error::{BoxError, IoContext, Result};
use crate::platform;
use crate::relpath::common_folder;

/// The central directory of a zip archive.
#[derive(Debug)]
pub(crate) struct Directory {
    location: String,
    /// Everything from the directory to the end of the archive, and what that hashes to: it identifies the archive, as it
    /// says where every member is, and the checksum of each.
    pub(crate) range: Range<u64>,
    pub(crate) digest: Digest,
    /// The files, in the order of their names.
    members: Vec<Member>,
}

impl Directory {
    /// Reads the directory in at most two ranges: the last 64 KiB of the archive and, if it begins before them, everything
    /// from its beginning on, so that all of it is of one state of the archive.
    ///
    /// `location` names the archive in errors, `size_bytes` is its size, and `read` returns a range of it.
    ///
    /// # Errors
    /// [`Registry`] if it is not a zip archive, is malformed or contradicts itself, or has a directory of more than
    /// 64 MiB or 1,000,000 entries; [`SizeMismatch`] if `read` returns too few or too many bytes; and the errors of
    /// `read`.
    ///
    /// [`Registry`]: crate::error::ErrorKind::Registry
    /// [`SizeMismatch`]: crate::error::ErrorKind::SizeMismatch
    pub(crate) fn read(
        location: &dyn Display,
        size_bytes: u64,
        read: &mut dyn FnMut(Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        let mut read = |range: Range<u64>| -> Result<_> {
            let expected_bytes = range.end - range.start;
            let bytes = read(range)?;
            check_size(|| location.to_string(), expected_bytes, bytes.len() as u64)?;
            Ok(bytes)
        };
        let refused = |reason| unreadable(location, "the archive", reason);
        let tail_start = size_bytes.saturating_sub(TAIL_BYTES);
        let tail = read(tail_start..size_bytes)?;
        let (entries, directory) = end::read(&tail, tail_start).map_err(refused)?;
        let range = directory.start..size_bytes;
        let bytes = match directory.start.checked_sub(tail_start) {
            Some(before) => tail[before as usize..].to_vec(),
            None => Some(read(range.clone())?)
                .filter(|bytes| bytes.ends_with(&tail))
                .ok_or_else(|| refused("it changed while it was read".into()))?,
        };
        let entries_bytes = (directory.end - directory.start) as usize;
        let mut members = read_entries(&bytes[..entries_bytes], entries).map_err(refused)?;
        place(&mut members, directory.start).map_err(|reason| refused(reason.into()))?;
        members.retain(|member| !member.name.ends_with('/'));
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let namesakes = members.chunk_by_mut(|a, b| a.name == b.name);
        for member in namesakes.filter(|same| same.len() > 1).flatten() {
            member.fault = Some("it occurs more than once");
        }
        Ok(Self {
            location: location.to_string(),
            range,
            digest: Digest::of(&bytes),
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

    /// Returns how many bytes there are from the directory on.
    pub(crate) fn bytes(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    /// Finds a file by its name.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if it exists but cannot be read; see [the module](super).
    pub(crate) fn member(&self, name: &str) -> Result<Option<&Member>> {
        let found = self.members.binary_search_by(|it| (*it.name).cmp(name));
        let member = found.ok().map(|index| &self.members[index]);
        match member.and_then(|member| member.fault) {
            None => Ok(member),
            Some(fault) => Err(unreadable(&self.location, &in_archive(name), fault.into())),
        }
    }

    /// Returns the unchecked names of all files, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }

    /// Returns the top folder if all files are in the same one, as in the archives of Git hosts.
    pub(crate) fn top_folder(&self) -> Option<&str> {
        let top = common_folder(self.names()).split('/').next();
        top.filter(|folder| !folder.is_empty())
    }
}

/// Reads the entries, which have to fill the directory.
fn read_entries(mut rest: &[u8], entries: usize) -> Result<Vec<Member>, BoxError> {
    let mut members = Vec::with_capacity(entries.min(rest.len() / ENTRY_BYTES));
    while !rest.is_empty() {
        let header = rest.first_chunk::<ENTRY_BYTES>();
        let header = header.filter(|header| header.starts_with(b"PK\x01\x02"));
        let header = header.ok_or(NO_ENTRY)?;
        let [name, extra, comment] = [28..30, 30..32, 32..34].map(|field| number(&header[field]));
        let bytes = ENTRY_BYTES + (name + extra + comment) as usize;
        let (entry, behind) = rest.split_at_checked(bytes).ok_or(NO_ENTRY)?;
        members.push(Member::read(entry)?);
        rest = behind;
    }
    match members.len().cmp(&entries) {
        Ordering::Equal => Ok(members),
        Ordering::Less => Err("its directory has fewer entries than its end record says".into()),
        Ordering::Greater => Err("its directory has more entries than its end record says".into()),
    }
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
