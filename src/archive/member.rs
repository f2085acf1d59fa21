//! A file of an archive: its entry in the directory, and its content.

use std::fmt::Display;
use std::io::{self, Cursor, Read};
use std::ops::Range;

use flate2::read::DeflateDecoder;
use zip::read::{ArchiveOffset, Config, ZipFileEntry};
use zip::{CompressionMethod, ZipArchive};

use super::{MAX_RATIO, in_archive, number, unreadable};
use crate::digest::{check_digest, check_size};
use crate::error::{BoxError, Error, Result};
use crate::relpath::shown;

/// The fixed part of an entry in the directory, in bytes.
pub(super) const ENTRY_BYTES: usize = 46;
/// The fixed part of a local header, in bytes.
const LOCAL_HEADER_BYTES: u64 = 30;
/// The numbers of the compressions in a header.
const STORED: u64 = 0;
const DEFLATED: u64 = 8;
/// The flags for encrypted data, strong encryption, and an encrypted directory.
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;
/// The file type in a Unix mode.
const MODE_TYPE: u32 = 0o170_000;
/// Those of content: unknown, a regular file, and the pipe or socket that an archiver read it from.
const MODES_OF_CONTENT: [u32; 4] = [0, 0o100_000, 0o010_000, 0o140_000];

pub(super) const NO_ENTRY: &str = "its directory has a malformed entry";

/// Why a member could not be decoded.
#[derive(Debug)]
pub(crate) enum MemberError {
    /// The stream failed or ended early.
    Read(io::Error),
    /// The data is not what the directory promises: `HashMismatch` or `SizeMismatch`, or `Registry` if it does not inflate.
    Damaged(Error),
    /// The archive contradicts itself: `Registry`.
    Refused(Error),
    /// The receiver of the content failed.
    Taken(Error),
}

/// A file of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The unchecked name, with `/` between components and without `./` at its beginning.
    pub(crate) name: Box<str>,
    /// The size of the content.
    pub(crate) size_bytes: u64,
    /// The size of the compressed content.
    pub(crate) compressed_bytes: u64,
    crc32: u32,
    method: CompressionMethod,
    pub(super) header_offset: u64,
    /// The largest offset at which it may end.
    pub(super) end: u64,
    /// Why it cannot be read.
    pub(super) fault: Option<&'static str>,
}

impl Member {
    /// Reads a member from its entry in the directory. Its end is that of a local header without an extra field.
    ///
    /// The crate gets the entry as an archive of its own. Of a whole directory it would keep one entry for each name, in
    /// three times the memory of a [`Member`], and what it cannot read would make it search for another end record.
    pub(super) fn read(raw: &[u8]) -> Result<Self, BoxError> {
        let size = (raw.len() as u32).to_le_bytes();
        let archive = [raw, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &size, &[0; 6]].concat();
        let archive_offset = ArchiveOffset::Known(0);
        let archive = ZipArchive::with_config(Config { archive_offset }, Cursor::new(archive))
            .map_err(|error| format!("{NO_ENTRY}: {error}"))?;
        let entry = &archive.by_index_data(0)?;
        let [name_bytes, disk] = [28..30, 34..36].map(|field| number(&raw[field]));
        if disk != 0 {
            return Err("it is part of a multi-part archive".into());
        }
        let header_name = &raw[ENTRY_BYTES..][..name_bytes as usize];
        let end = (LOCAL_HEADER_BYTES + name_bytes)
            .checked_add(entry.compressed_size())
            .and_then(|bytes| entry.header_start().checked_add(bytes))
            .ok_or("it has members that lie outside it")?;
        // Names that are not UTF-8 are decoded as code page 437.
        let name = entry.name()?;
        Ok(Self {
            fault: fault(entry, name.as_bytes() == header_name),
            name: below_itself(&name).into(),
            size_bytes: entry.size(),
            compressed_bytes: entry.compressed_size(),
            crc32: entry.crc32(),
            method: entry.compression(),
            header_offset: entry.header_start(),
            end,
        })
    }

    /// Returns the range of the archive that holds the member, from its local header on.
    ///
    /// The data may end before the range does: only the local header says how long it is.
    pub(crate) fn range(&self) -> Range<u64> {
        self.header_offset..self.end
    }

    /// Returns whether its data is the content as it is.
    pub(crate) fn is_stored(&self) -> bool {
        self.method == CompressionMethod::Stored
    }

    /// Reads the local header, and compares it with the directory; returns all of it.
    pub(crate) fn read_header(
        &self,
        stream: &mut dyn Read,
        location: &dyn Display,
    ) -> Result<Vec<u8>, MemberError> {
        let refused = |reason: &str| Err(MemberError::Refused(self.error(location, reason.into())));
        let mut header = vec![0; LOCAL_HEADER_BYTES as usize];
        stream.read_exact(&mut header).map_err(MemberError::Read)?;
        if !header.starts_with(b"PK\x03\x04") {
            return refused("it is not where the directory says");
        }
        let [flags, method, name_bytes, extra_bytes] =
            [6..8, 8..10, 26..28, 28..30].map(|field| number(&header[field]));
        let bytes = LOCAL_HEADER_BYTES + name_bytes + extra_bytes;
        if bytes + self.compressed_bytes > self.end - self.header_offset {
            return refused("it overlaps what follows");
        }
        header.resize(bytes as usize, 0);
        let variable = &mut header[LOCAL_HEADER_BYTES as usize..];
        stream.read_exact(variable).map_err(MemberError::Read)?;
        let (name, extra) = variable.split_at(name_bytes as usize);
        let is_same = str::from_utf8(name).is_ok_and(|name| below_itself(name) == &*self.name)
            && !has_other_name(extra, name)
            && method == if self.is_stored() { STORED } else { DEFLATED }
            && flags & u64::from(ENCRYPTED) == 0;
        match is_same {
            true => Ok(header),
            false => refused("its local header differs from the directory"),
        }
    }

    /// Decodes the member from a stream that is behind its local header, see [`Member::read_header`], and reads nothing
    /// past its data.
    ///
    /// `take` receives the content piece by piece, at most [`Member::size_bytes`] of it, before it is verified.
    /// `location` names the archive in errors.
    pub(crate) fn decode(
        &self,
        stream: &mut dyn Read,
        location: &dyn Display,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), MemberError> {
        let error = |reason| self.error(location, reason);
        let mut data = Data {
            data: stream.take(self.compressed_bytes),
            failure: None,
        };
        let (copied, read_bytes) = if self.is_stored() {
            let copied = self.copy(&mut data, &error, buffer, take);
            (copied, self.compressed_bytes)
        } else {
            let mut content = DeflateDecoder::new(&mut data);
            let copied = self.copy(&mut content, &error, buffer, take);
            (copied, content.total_in())
        };
        match (data.failure, copied) {
            (Some(failure), _) => Err(MemberError::Read(failure)),
            (None, Ok(())) if read_bytes < self.compressed_bytes => {
                let error = error("its data continues past its end".into());
                Err(MemberError::Damaged(error))
            }
            (None, copied) => copied,
        }
    }

    fn error(&self, location: &dyn Display, reason: BoxError) -> Error {
        unreadable(location, &in_archive(&self.name), reason)
    }

    /// Copies the content, and checks its size and checksum.
    fn copy(
        &self,
        file: &mut dyn Read,
        error: &dyn Fn(BoxError) -> Error,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), MemberError> {
        let mut crc32 = crc32fast::Hasher::new();
        let mut copied_bytes = 0;
        let surplus_bytes = loop {
            let left_bytes = self.size_bytes - copied_bytes;
            // Once all is there, asks for a byte that should not be.
            let wanted = left_bytes.clamp(1, buffer.len() as u64) as usize;
            let piece = fill(file, &mut buffer[..wanted]);
            let piece = piece.map_err(|reason| MemberError::Damaged(error(reason.into())))?;
            if piece.is_empty() || left_bytes == 0 {
                break piece.len() as u64;
            }
            crc32.update(piece);
            take(piece).map_err(MemberError::Taken)?;
            copied_bytes += piece.len() as u64;
        };
        let what = || shown(&self.name);
        let [expected, actual] = [self.crc32, crc32.finalize()].map(|it| format!("{it:08x}"));
        check_size(what, self.size_bytes, copied_bytes + surplus_bytes)
            .and_then(|()| check_digest(what, &expected, &actual))
            .map_err(MemberError::Damaged)
    }
}

/// Reads until the buffer is full or the content ends: a decoder gives what it has of its input.
fn fill<'b>(content: &mut dyn Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(&buffer[..filled])
}

/// Returns a name without the folder itself at its beginning, which some tools write for all names.
fn below_itself(name: &str) -> &str {
    let below = name.strip_prefix("./").filter(|below| !below.is_empty());
    below.unwrap_or(name)
}

/// Returns whether an extra field of a local header gives another name, see section 4.6.9 of the format.
fn has_other_name(mut extra: &[u8], name: &[u8]) -> bool {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let (field, behind) = rest.split_at(rest.len().min(number(&head[2..]) as usize));
        if head.starts_with(b"up") && field.get(5..) != Some(name) {
            return true;
        }
        extra = behind;
    }
    false
}

/// Returns why a member cannot be read, if so.
fn fault(entry: &ZipFileEntry<'_>, has_one_name: bool) -> Option<&'static str> {
    let file_type = entry.external_attributes() >> 16 & MODE_TYPE;
    let (size, compressed) = (entry.size(), entry.compressed_size());
    if !MODES_OF_CONTENT.contains(&file_type) {
        return Some("it is a link, or something else that is not a regular file");
    }
    if entry.flags().as_u16() & ENCRYPTED != 0 {
        return Some("it is encrypted");
    }
    if !has_one_name {
        return Some("its name is not UTF-8, or it has another one in an extra field");
    }
    let is_possible = match entry.compression() {
        CompressionMethod::Stored => size == compressed,
        CompressionMethod::Deflated => size <= compressed.saturating_mul(MAX_RATIO),
        _ => return Some("its compression is not deflate"),
    };
    (!is_possible).then_some("its sizes are impossible")
}

/// The data of a member, which ends too early only if the stream does.
struct Data<'s> {
    data: io::Take<&'s mut dyn Read>,
    /// The error of the stream, which a decoder may replace.
    failure: Option<io::Error>,
}

impl Read for Data<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failure = match self.data.read(buffer) {
            Ok(0) if self.data.limit() > 0 && !buffer.is_empty() => {
                io::ErrorKind::UnexpectedEof.into()
            }
            Err(error) => error,
            read => return read,
        };
        self.failure = Some(failure);
        Err(io::Error::other("the stream failed"))
    }
}
