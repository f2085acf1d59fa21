//! Reads numbers and strings from the start of a file, one after the other.

use std::fs::File;
use std::io::{BufReader, Read};

use super::super::file::ModelFile;
use crate::error::Result;

/// How much of a file may be tables, in bytes: those with the largest vocabularies have a quarter of it.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// A position in a file, which moves forward with everything that is read.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) file: &'a ModelFile,
    reader: BufReader<File>,
    /// The position, in bytes from the start of the file.
    pub(super) at: u64,
    /// Nothing from here on is read: the end of the file, or the most that tables may have.
    end: u64,
    /// Whether numbers begin with their highest byte.
    pub(super) is_big_endian: bool,
    /// The size of counts and lengths, in bytes.
    pub(super) length_bytes: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a ModelFile) -> Result<Self> {
        Ok(Self {
            file,
            reader: BufReader::with_capacity(BUFFER_BYTES, file.reopen()?),
            at: 0,
            end: file.size_bytes().min(MAX_TABLE_BYTES),
            is_big_endian: false,
            length_bytes: 8,
        })
    }

    /// Checks that the file has room for `count` entries of at least `min_bytes` each.
    pub(super) fn check_count(&self, count: u64, min_bytes: u64, what: &str) -> Result<()> {
        let room = (self.end - self.at) / min_bytes;
        let message = format_args!("the file announces {count} {what}, for which it has no room");
        self.file.ensure(count <= room, message)
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<()> {
        self.advance(bytes)?;
        let skipped = self.reader.seek_relative(bytes.cast_signed());
        self.file.at(skipped)
    }

    /// Reads an unsigned number of at most 8 bytes.
    pub(super) fn number(&mut self, bytes: u64) -> Result<u64> {
        let mut number = [0; 8];
        self.fill(&mut number[..bytes as usize])?;
        if self.is_big_endian {
            number[..bytes as usize].reverse();
        }
        Ok(u64::from_le_bytes(number))
    }

    /// Reads a count, a length or a dimension.
    pub(super) fn length(&mut self) -> Result<u64> {
        self.number(self.length_bytes)
    }

    /// Reads a string, of which at most `max_bytes` are kept. A character that this would cut is omitted.
    pub(super) fn string(&mut self, max_bytes: u64) -> Result<String> {
        let length = self.length()?;
        let mut bytes = vec![0; length.min(max_bytes) as usize];
        self.fill(&mut bytes)?;
        self.skip(length - bytes.len() as u64)?;
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
            && length > max_bytes
        {
            bytes.truncate(error.valid_up_to());
        }
        let text = String::from_utf8(bytes);
        text.map_err(|_| self.file.malformed("a string in the tables is not UTF-8"))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.advance(buffer.len() as u64)?;
        let filled = self.reader.read_exact(buffer);
        self.file.at(filled)
    }

    /// Moves the position forward, if the tables may extend that far.
    fn advance(&mut self, bytes: u64) -> Result<()> {
        let (file, fits) = (self.file, bytes <= self.end - self.at);
        let message =
            format_args!("the tables have more than {MAX_TABLE_BYTES} bytes, which are not read");
        file.ensure(fits || self.end == file.size_bytes(), message)?;
        file.ensure(fits, "the file ends within its tables")?;
        self.at += bytes;
        Ok(())
    }
}
