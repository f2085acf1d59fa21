//! Tar archives, read in one pass.
//!
//! Everything in such an archive is meant to be unpacked, so one entry that cannot be makes all of it unusable. Refused are:
//!
//! - links, devices, pipes, sparse files, parts of other volumes, and types that are not known
//! - names that no [`RelPath`] can be: absolute ones, `..`, what another system takes for something else. `./` at the
//!   beginning of a name is passed over, as all readers do.
//! - headers with a wrong checksum or malformed numbers, and an archive that ends inside an entry
//! - more than 300,000 headers, extended headers of more than 1 MiB, more content than the limit
//!
//! Which names are the same on some system shows only when all are known; see [`collisions`](crate::relpath::collisions).
//! Like in other readers, the first block of zeros is the end, whatever follows it, and so is the end of the stream between
//! two entries.
//!
//! The format is described in [pax](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html) and in the [manual of
//! GNU tar](https://www.gnu.org/software/tar/manual/html_node/Standard.html).

mod members;
mod write;

use std::fmt::Display;
use std::io::{self, Read};
use std::ops::Range;

pub(crate) use members::TarMembers;
pub(crate) use write::{END, TarEntry, filling};

use super::{in_archive, unreadable};
use crate::error::{BoxError, Result};
use crate::relpath::RelPath;
use crate::size::size;

const BLOCK_BYTES: usize = 512;
/// A million small files are no model, and their names would not fit into a manifest: room for 100,000 files in 100,000
/// folders of which each file has an extended header.
const MAX_HEADERS: usize = 300_000;
/// The largest extended header; Go's reader has the same limit.
const MAX_EXTENDED_BYTES: u64 = 1 << 20;

const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const MODIFIED: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const MAGIC: Range<usize> = 257..263;
const PREFIX: Range<usize> = 345..500;

/// Why an archive is refused.
const TRUNCATED: &str = "it is truncated";
const MALFORMED: &str = "it has a malformed extended header";

/// A tar archive that is read from a stream.
pub(crate) struct Tar<'s> {
    stream: &'s mut dyn Read,
    /// Names the archive in errors.
    location: &'s dyn Display,
    /// How many bytes its files and extended headers may have together.
    max_bytes: u64,
    total_bytes: u64,
    headers: usize,
    /// What has not been read of the current file, and the padding after it.
    left_bytes: u64,
    padding_bytes: u64,
}

/// A file of a tar archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TarFile {
    pub(crate) path: RelPath,
    pub(crate) size_bytes: u64,
}

/// What extended headers say of the entry that follows them.
#[derive(Debug, Default)]
struct Extended {
    /// Of GNU tar.
    long_name: Option<String>,
    path: Option<String>,
    size_bytes: Option<u64>,
}

impl<'s> Tar<'s> {
    /// `location` names the archive in errors; `max_bytes` is how much it may hold.
    pub(crate) fn new(stream: &'s mut dyn Read, location: &'s dyn Display, max_bytes: u64) -> Self {
        Self {
            stream,
            location,
            max_bytes,
            total_bytes: 0,
            headers: 0,
            left_bytes: 0,
            padding_bytes: 0,
        }
    }

    /// Goes to the next file, past what was not read of the one before.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if the archive cannot be read; see [the module](self).
    pub(crate) fn next_file(&mut self) -> Result<Option<TarFile>> {
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.next_header().map_err(|error| self.refused(error))? else {
                return Ok(None);
            };
            let kind = header[TYPE];
            if matches!(kind, b'x' | b'X' | b'g' | b'L' | b'K') {
                let read = self.read_extended(kind, &header, &mut extended);
                read.map_err(|error| self.refused(error))?;
                continue;
            }
            let name = extended.name(&header);
            let name = name.map_err(|error| self.refused(error))?;
            let file = self.entry(kind, &header, &name, &extended);
            match file.map_err(|error| unreadable(self.location, &in_archive(&name), error))? {
                Some(file) => return Ok(Some(file)),
                None => extended = Extended::default(),
            }
        }
    }

    /// Reads a piece of the current file; an empty one is its end.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if the archive cannot be read.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let wanted = self.left_bytes.min(buffer.len() as u64) as usize;
        let piece = &mut buffer[..wanted];
        match self.stream.read_exact(piece) {
            Ok(()) => self.left_bytes -= wanted as u64,
            Err(error) => return Err(self.refused(truncated(error))),
        }
        Ok(piece)
    }

    /// Takes the rest of the current file for read, which the caller passes over in the stream; returns how many bytes to go
    /// from where its content begins.
    fn pass_over(&mut self) -> u64 {
        let rest = self.left_bytes.saturating_add(self.padding_bytes);
        (self.left_bytes, self.padding_bytes) = (0, 0);
        rest
    }

    fn refused(&self, reason: BoxError) -> crate::error::Error {
        unreadable(self.location, "the archive", reason)
    }

    /// Reads the next header; `None` at the end.
    fn next_header(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, BoxError> {
        let rest = self.left_bytes + self.padding_bytes;
        let passed = io::copy(&mut self.stream.take(rest), &mut io::sink()).map_err(truncated)?;
        if passed < self.left_bytes {
            return Err(TRUNCATED.into());
        }
        (self.left_bytes, self.padding_bytes) = (0, 0);
        let mut header = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.stream.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TRUNCATED.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(truncated(error)),
            }
        }
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        self.headers += 1;
        if self.headers > MAX_HEADERS {
            return Err("it has too many entries".into());
        }
        check_header(&header)?;
        Ok(Some(header))
    }

    /// Reads an entry that describes the one that follows it.
    fn read_extended(
        &mut self,
        kind: u8,
        header: &[u8],
        extended: &mut Extended,
    ) -> Result<(), BoxError> {
        let size_bytes = number(&header[SIZE])?;
        if size_bytes > MAX_EXTENDED_BYTES {
            return Err("it has an extended header that is too large".into());
        }
        self.count(size_bytes)?;
        let mut content = vec![0; size_bytes as usize];
        self.stream.read_exact(&mut content).map_err(truncated)?;
        self.padding_bytes = padding(size_bytes);
        match kind {
            b'L' => extended.long_name = Some(text(&content)?),
            // The target of a link, which is refused.
            b'K' => {}
            // What is said of all entries is a comment, as of git; a name or size of all makes no sense.
            b'g' => {
                let mut of_all = Extended::default();
                of_all.read_records(&content)?;
                if of_all.path.is_some() || of_all.size_bytes.is_some() {
                    return Err(MALFORMED.into());
                }
            }
            _ => extended.read_records(&content)?,
        }
        Ok(())
    }

    /// Counts what an entry will take.
    fn count(&mut self, size_bytes: u64) -> Result<(), BoxError> {
        let total_bytes = self.total_bytes.checked_add(size_bytes);
        let total_bytes = total_bytes.filter(|total| *total <= self.max_bytes);
        self.total_bytes = total_bytes.ok_or_else(|| {
            let most = size(self.max_bytes);
            format!("it takes the archive to more than {most}, so that it is truncated or a bomb")
        })?;
        Ok(())
    }

    /// Reads an entry that describes no other; `None` for a folder.
    fn entry(
        &mut self,
        kind: u8,
        header: &[u8],
        name: &str,
        extended: &Extended,
    ) -> Result<Option<TarFile>, BoxError> {
        let below = below_itself(name);
        let is_folder = match kind {
            b'0' | b'\0' | b'7' => kind == b'\0' && name.ends_with('/'),
            b'5' => true,
            b'1' | b'2' => return Err("it is a link".into()),
            b'3' | b'4' | b'6' => return Err("it is a device or a pipe".into()),
            b'S' => return Err("it is a sparse file".into()),
            _ => return Err("it is not a regular file".into()),
        };
        if is_folder {
            let below = below.trim_end_matches('/');
            if !matches!(below, "" | ".") {
                RelPath::parse(below)?;
            }
            // Some writers state what the folder holds; no content follows.
            return Ok(None);
        }
        let path = RelPath::parse(below)?;
        let size_bytes = extended
            .size_bytes
            .map_or_else(|| number(&header[SIZE]), Ok)?;
        self.count(size_bytes)?;
        (self.left_bytes, self.padding_bytes) = (size_bytes, padding(size_bytes));
        Ok(Some(TarFile { path, size_bytes }))
    }
}

impl Extended {
    /// Reads the records of a pax header, each `<length> <key>=<value>` and a line end.
    fn read_records(&mut self, mut rest: &[u8]) -> Result<(), BoxError> {
        // Some writers fill the block with zeros.
        while rest.first().is_some_and(|byte| *byte != 0) {
            let space = rest.iter().position(|byte| *byte == b' ');
            let space = space.filter(|at| *at <= 8).ok_or(MALFORMED)?;
            let length: usize = str::from_utf8(&rest[..space])?.parse()?;
            let (record, behind) = rest.split_at_checked(length).ok_or(MALFORMED)?;
            let record = record.get(space + 1..).ok_or(MALFORMED)?;
            let record = record.strip_suffix(b"\n").ok_or(MALFORMED)?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let (key, value) = record.split_at(equals.ok_or(MALFORMED)?);
            let value = &value[1..];
            match key {
                b"path" => {
                    self.path = Some(text(value)?).filter(|path| !path.is_empty());
                }
                b"size" => self.size_bytes = Some(str::from_utf8(value)?.parse()?),
                _ if key.starts_with(b"GNU.sparse.") => return Err("it has a sparse file".into()),
                _ => {}
            }
            rest = behind;
        }
        Ok(())
    }

    /// Returns the name of the entry that follows.
    fn name(&self, header: &[u8]) -> Result<String, BoxError> {
        if let Some(name) = self.path.as_ref().or(self.long_name.as_ref()) {
            return Ok(name.clone());
        }
        let name = text(&header[NAME])?;
        // GNU tar has other fields there.
        let is_posix = &header[MAGIC] == b"ustar\0";
        match text(&header[PREFIX]) {
            Ok(prefix) if is_posix && !prefix.is_empty() => Ok(format!("{prefix}/{name}")),
            Err(error) if is_posix => Err(error),
            _ => Ok(name),
        }
    }
}

/// Checks that a block is a header: the bytes of it add up to its checksum.
fn check_header(header: &[u8; BLOCK_BYTES]) -> Result<(), BoxError> {
    let counted = header.iter().enumerate().map(|(at, byte)| match at {
        at if CHECKSUM.contains(&at) => b' ',
        _ => *byte,
    });
    let stated = number(&header[CHECKSUM]).unwrap_or(u64::MAX);
    let sum: u64 = counted.clone().map(u64::from).sum();
    // Old writers added signed bytes.
    let signed: i64 = counted.map(|byte| i64::from(byte.cast_signed())).sum();
    match stated == sum || i64::try_from(stated) == Ok(signed) {
        true => Ok(()),
        false => Err("it is not a tar archive, or is damaged".into()),
    }
}

/// Reads a number: in octal digits or, where these do not suffice, in binary behind a byte of 0x80.
fn number(field: &[u8]) -> Result<u64, BoxError> {
    const BAD: &str = "it has a malformed number";
    if field[0] & 0x80 != 0 {
        let (head, digits) = field.split_at(field.len().saturating_sub(8));
        let is_positive = head.first() == Some(&0x80);
        if !is_positive || head[1..].iter().any(|byte| *byte != 0) {
            return Err(BAD.into());
        }
        let number = digits.iter().fold(0, |it, byte| it << 8 | u64::from(*byte));
        return Ok(number);
    }
    let digits = str::from_utf8(field)?.trim_matches([' ', '\0']);
    match digits.is_empty() {
        true => Ok(0),
        // The parser also takes a sign.
        false if digits.starts_with('+') => Err(BAD.into()),
        false => u64::from_str_radix(digits, 8).map_err(|_| BAD.into()),
    }
}

/// Reads text up to its first zero.
fn text(field: &[u8]) -> Result<String, BoxError> {
    let end = field.iter().position(|byte| *byte == 0);
    let text = str::from_utf8(&field[..end.unwrap_or(field.len())]);
    let text = text.map_err(|_| "it has a name that is not UTF-8")?;
    Ok(text.to_owned())
}

/// Content is filled up to a whole block.
fn padding(size_bytes: u64) -> u64 {
    let over = size_bytes % BLOCK_BYTES as u64;
    if over == 0 {
        0
    } else {
        BLOCK_BYTES as u64 - over
    }
}

/// Returns a name without `./` at its beginning, however often.
fn below_itself(mut name: &str) -> &str {
    while let Some(below) = name.strip_prefix("./") {
        name = below.trim_start_matches('/');
    }
    name
}

fn truncated(error: io::Error) -> BoxError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TRUNCATED.into(),
        _ => error.into(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
