//! One file of an archive: what the directory says of it, and its bytes out of a stream.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, Read};
use std::ops::Range;

use zip::read::{ZipFileEntry, read_zipfile_from_stream_with_options};
use zip::{CompressionMethod, ZipReadOptions};

use super::{number, unreadable};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::relpath::shown;

/// The fixed part of a local header, in bytes.
const LOCAL_HEADER_BYTES: u64 = 30;
/// Where an entry of the directory has the length of its name, the disk of its member, and its name.
const NAME_LENGTH: Range<usize> = 28..30;
const DISK: Range<usize> = 34..36;
const NAME_START: usize = 46;
/// The flags for encryption: of the data, strong, and of the directory.
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;
/// The type of a file in its Unix mode, and that of a regular one; zero when the archive was made elsewhere.
const MODE_TYPE: u32 = 0o170_000;
const MODE_REGULAR: u32 = 0o100_000;
/// Deflate makes at most 258 bytes of two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Why a member could not be decoded.
#[derive(Debug)]
pub(crate) enum MemberError {
    /// The stream failed, or ended too early.
    Read(io::Error),
    /// The bytes are not those that the directory promises: [`ErrorKind::HashMismatch`] or [`ErrorKind::SizeMismatch`]
    /// of the member, or [`ErrorKind::Registry`] when they do not inflate.
    Damaged(Error),
    /// The archive contradicts itself: [`ErrorKind::Registry`].
    Refused(Error),
    /// What takes the bytes failed.
    Taken(Error),
}

/// A file of an archive.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// The name, with `/` between components; as the archive has it, so hostile.
    pub(crate) name: Box<str>,
    /// The number of bytes that it holds.
    pub(crate) size_bytes: u64,
    /// The number of bytes in the archive that they are made from.
    pub(crate) compressed_bytes: u64,
    crc32: u32,
    method: CompressionMethod,
    pub(super) header_offset: u64,
    /// Where it ends at the latest.
    pub(super) end: u64,
    /// Why it cannot be read.
    pub(super) fault: Option<&'static str>,
}

impl Member {
    /// Takes what is needed of an entry; `raw` begins with the entry as it stands in the directory.
    ///
    /// The member ends as if its local header had no extra field.
    pub(super) fn new(entry: &ZipFileEntry<'_>, raw: &[u8]) -> Result<Self, BoxError> {
        if number(&raw[DISK]) != 0 {
            return Err("it is part of a multi-part archive".into());
        }
        let name_bytes = number(&raw[NAME_LENGTH]);
        let header_name = &raw[NAME_START..][..name_bytes as usize];
        let end = (LOCAL_HEADER_BYTES + name_bytes)
            .checked_add(entry.compressed_size())
            .and_then(|bytes| entry.header_start().checked_add(bytes))
            .ok_or("it has members that lie outside it")?;
        // One that is not UTF-8 comes in the code page of MS-DOS.
        let name = entry.name()?;
        Ok(Self {
            fault: fault(entry, name.as_bytes() == header_name),
            name: name.into(),
            size_bytes: entry.size(),
            compressed_bytes: entry.compressed_size(),
            crc32: entry.crc32(),
            method: entry.compression(),
            header_offset: entry.header_start(),
            end,
        })
    }

    /// Returns the bytes of the archive that hold it, from its local header on.
    ///
    /// Its data may end earlier: how long the local header is, is known once it is read.
    pub(crate) fn range(&self) -> Range<u64> {
        self.header_offset..self.end
    }

    /// Decodes it from a stream that stands at its local header, and takes nothing from behind it.
    ///
    /// `take` gets the bytes piece by piece, never more than [`Member::size_bytes`]; they are right once this returns.
    /// `location` names the archive in errors.
    pub(crate) fn decode(
        &self,
        stream: &mut dyn Read,
        location: &dyn Display,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), MemberError> {
        let span = Span {
            stream: RefCell::new(stream),
            left: Cell::new(self.end - self.header_offset),
            failure: Cell::default(),
        };
        let decoded = self.decode_span(&span, location, buffer, take);
        let failure = span.failure.take().map(MemberError::Read);
        failure.map_or(decoded, Err)
    }

    fn decode_span(
        &self,
        mut span: &Span<'_>,
        location: &dyn Display,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), MemberError> {
        let error = |reason| unreadable(location, &in_archive(&self.name), reason);
        let left = &span.left;
        let options = ZipReadOptions::new()
            .override_compressed_size(self.compressed_bytes)
            .ignore_encryption_flag(true)
            // Both are counted below, to report how they differ.
            .override_uncompressed_size(u64::MAX)
            .ignore_crc32(true);
        let opened: Result<_, BoxError> =
            match read_zipfile_from_stream_with_options(&mut span, options) {
                Ok(file) => file.ok_or_else(|| "it is not where the directory says".into()),
                Err(_) if left.get() == 0 => Err(REACHES_ON.into()),
                Err(error) => Err(error.into()),
            };
        let mut file = opened.map_err(|reason| MemberError::Refused(error(reason)))?;
        let contradiction = if file.name_raw() != self.name.as_bytes() {
            Some("its name differs from the one in the directory")
        } else if file.compression() != self.method
            || file.compressed_size() != self.compressed_bytes
            || file.flags().as_u16() & ENCRYPTED != 0
        {
            Some("its compression differs from the one in the directory")
        } else {
            (self.compressed_bytes > left.get()).then_some(REACHES_ON)
        };
        let decoded = match contradiction {
            Some(reason) => Err(MemberError::Refused(error(reason.into()))),
            None => {
                left.set(self.compressed_bytes);
                self.copy(&mut file, &error, buffer, take)
            }
        };
        // A reader of the crate that is dropped would take what is left of the member from the stream.
        match (decoded, left.replace(0)) {
            (Ok(()), 1..) => {
                let reason = "its data continues past its end";
                Err(MemberError::Damaged(error(reason.into())))
            }
            (decoded, _) => decoded,
        }
    }

    /// Copies the bytes and checks how many they are, and which.
    fn copy(
        &self,
        file: &mut dyn Read,
        error: &dyn Fn(BoxError) -> Error,
        buffer: &mut [u8],
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), MemberError> {
        let mut crc32 = crc32fast::Hasher::new();
        let mut done_bytes = 0;
        let total_bytes = loop {
            // After the last byte another one is asked for, to see that there is none.
            let left_bytes = self.size_bytes - done_bytes;
            let wanted = left_bytes.clamp(1, buffer.len() as u64) as usize;
            let piece = match file.read(&mut buffer[..wanted]) {
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) => return Err(MemberError::Damaged(error(reason.into()))),
            };
            if piece.is_empty() || left_bytes == 0 {
                break done_bytes + piece.len() as u64;
            }
            crc32.update(piece);
            take(piece).map_err(MemberError::Taken)?;
            done_bytes += piece.len() as u64;
        };
        let (what, crc32) = (shown(&self.name), crc32.finalize());
        let kind = if total_bytes != self.size_bytes {
            ErrorKind::SizeMismatch {
                what,
                expected_bytes: self.size_bytes,
                actual_bytes: total_bytes,
            }
        } else if crc32 != self.crc32 {
            ErrorKind::HashMismatch {
                what,
                expected: format!("{:08x}", self.crc32),
                actual: format!("{crc32:08x}"),
            }
        } else {
            return Ok(());
        };
        Err(MemberError::Damaged(kind.into()))
    }
}

const REACHES_ON: &str = "it overlaps what follows";

/// Names a member in an error.
pub(super) fn in_archive(name: &str) -> String {
    format!("'{}' in the archive", shown(name))
}

/// Returns why a member cannot be read.
fn fault(entry: &ZipFileEntry<'_>, has_one_name: bool) -> Option<&'static str> {
    let file_type = entry.external_attributes() >> 16 & MODE_TYPE;
    let (size, compressed) = (entry.size(), entry.compressed_size());
    if file_type != 0 && file_type != MODE_REGULAR {
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

/// The bytes of a stream up to where a member ends.
struct Span<'s> {
    stream: RefCell<&'s mut dyn Read>,
    left: Cell<u64>,
    /// What went wrong with the stream.
    failure: Cell<Option<io::Error>>,
}

impl Read for &Span<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left_bytes = self.left.get();
        // The last byte comes alone: data that inflates without it goes on behind its end.
        let wanted = left_bytes
            .saturating_sub(1)
            .max(left_bytes.min(1))
            .min(buffer.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        match self.stream.borrow_mut().read(&mut buffer[..wanted]) {
            Ok(count) if count > 0 => {
                self.left.set(left_bytes - count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            failed => {
                let early = || io::ErrorKind::UnexpectedEof.into();
                self.failure.set(Some(failed.err().unwrap_or_else(early)));
                Err(io::Error::other("the stream failed"))
            }
        }
    }
}
