//! A file of an archive: its entry in the directory, and its content.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, Cursor, Read};
use std::ops::Range;

use zip::read::{ArchiveOffset, Config, ZipFileEntry, read_zipfile_from_stream_with_options};
use zip::{CompressionMethod, ZipArchive, ZipReadOptions};

use super::{number, unreadable};
use crate::digest::{check_digest, check_size};
use crate::error::{BoxError, Error, Result};
use crate::relpath::shown;

/// The fixed part of an entry in the directory, in bytes.
pub(super) const ENTRY_BYTES: usize = 46;
/// The fixed part of a local header, in bytes.
const LOCAL_HEADER_BYTES: u64 = 30;
/// The flags for encrypted data, strong encryption, and an encrypted directory.
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;
/// The file type in a Unix mode.
const MODE_TYPE: u32 = 0o170_000;
/// Those of content: unknown, a regular file, and the pipe or socket that an archiver read it from.
const MODES_OF_CONTENT: [u32; 4] = [0, 0o100_000, 0o010_000, 0o140_000];
/// Deflate turns two bits into at most 258 bytes.
const MAX_DEFLATE_RATIO: u64 = 1032;

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

    /// Decodes the member from a stream that is at its local header, and reads nothing past its data.
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
        let error = |reason| unreadable(location, &in_archive(&self.name), reason);
        let refused = |reason: BoxError| Err(MemberError::Refused(error(reason)));
        let span = Span {
            data: RefCell::new(stream.take(self.end - self.header_offset)),
            failure: Cell::default(),
        };
        let options = ZipReadOptions::new()
            .override_compressed_size(self.compressed_bytes)
            .ignore_encryption_flag(true)
            // `copy` checks these two, and reports what they are instead.
            .override_uncompressed_size(u64::MAX)
            .ignore_crc32(true);
        let decoded = match read_zipfile_from_stream_with_options(&mut &span, options) {
            Ok(None) => refused("it is not where the directory says".into()),
            Err(reason) => refused(reason.into()),
            Ok(Some(mut file)) => {
                let name = str::from_utf8(file.name_raw());
                let is_same = name.is_ok_and(|name| below_itself(name) == &*self.name)
                    && file.compression() == self.method
                    && file.compressed_size() == self.compressed_bytes
                    && file.flags().as_u16() & ENCRYPTED == 0;
                let decoded = if !is_same {
                    refused("its local header differs from the directory".into())
                } else if self.compressed_bytes > span.left() {
                    refused("it overlaps what follows".into())
                } else {
                    span.set_left(self.compressed_bytes);
                    self.copy(&mut file, &error, buffer, take)
                };
                let left = span.left();
                // When dropped, the crate's reader reads the rest of the member from the stream.
                span.set_left(0);
                let continues = || error("its data continues past its end".into());
                match decoded {
                    Ok(()) if left > 0 => Err(MemberError::Damaged(continues())),
                    decoded => decoded,
                }
            }
        };
        let failure = span.failure.take().map(MemberError::Read);
        failure.map_or(decoded, Err)
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

/// Reads until the buffer is full or the content ends: the crate decodes at most 8 KiB of data at once.
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

/// Names a member in an error.
pub(super) fn in_archive(name: &str) -> String {
    format!("'{}' in the archive", shown(name))
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
        CompressionMethod::Deflated => size <= compressed.saturating_mul(MAX_DEFLATE_RATIO),
        _ => return Some("its compression is not deflate"),
    };
    (!is_possible).then_some("its sizes are impossible")
}

/// A stream up to the end of a member.
struct Span<'s> {
    data: RefCell<io::Take<&'s mut dyn Read>>,
    /// The error of the stream, which its reader may have replaced.
    failure: Cell<Option<io::Error>>,
}

impl Span<'_> {
    fn left(&self) -> u64 {
        self.data.borrow().limit()
    }

    fn set_left(&self, bytes: u64) {
        self.data.borrow_mut().set_limit(bytes);
    }
}

impl Read for &Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut data = self.data.borrow_mut();
        // The last byte comes alone, so that it stays if the data ends before it.
        let wanted = match data.limit() {
            0 => return Ok(0),
            left => (left - 1).clamp(1, buffer.len() as u64) as usize,
        };
        let failure = match data.read(&mut buffer[..wanted]) {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error,
            read => return read,
        };
        self.failure.set(Some(failure));
        Err(io::Error::other("the stream failed"))
    }
}
