//! Numbers and texts from the beginning of a file, one behind the other.

use super::super::file::ModelFile;
use crate::error::{Error, Result};

/// How far into a file the tables are read, in bytes: the largest vocabularies fill a quarter of it.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// How much is read at once, in bytes.
const WINDOW_BYTES: u64 = 64 << 10;

/// A place in a file, from which is read onwards.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    file: &'a ModelFile,
    at: u64,
    /// Nothing from here on is read: the end of the file, or of what a table may be.
    end: u64,
    /// Some bytes of the file, and where they begin.
    window: (Vec<u8>, u64),
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a ModelFile) -> Self {
        Self {
            file,
            at: 0,
            end: file.size_bytes().min(MAX_TABLE_BYTES),
            window: (Vec::new(), 0),
        }
    }

    /// Where it is, in bytes from the beginning.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How large the whole file is, in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    pub(super) fn malformed(&self, message: impl Into<String>) -> Error {
        self.file.malformed(message)
    }

    /// Checks that so many entries of at least so many bytes can still come.
    pub(super) fn check_count(&self, count: u64, least_bytes: u64, what: &str) -> Result<()> {
        let room = self.end - self.at;
        if count > room / least_bytes {
            return Err(self.malformed(format!(
                "the file announces {count} {what}, for which it has no room"
            )));
        }
        Ok(())
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<()> {
        match self.at.checked_add(bytes) {
            Some(at) if at <= self.end => {
                self.at = at;
                Ok(())
            }
            _ if self.end < self.size_bytes() => Err(self.malformed(format!(
                "the tables have more than {MAX_TABLE_BYTES} bytes, which are not read"
            ))),
            _ => Err(self.malformed("the file ends within its tables")),
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// Reads an unsigned number of so many bytes, 8 at most.
    pub(super) fn unsigned(&mut self, bytes: u64) -> Result<u64> {
        match bytes {
            1 => self.take().map(u8::from_le_bytes).map(u64::from),
            2 => self.take().map(u16::from_le_bytes).map(u64::from),
            4 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }

    /// Reads a text, no more of it than a cap, and goes behind all of it. A character that the cap cuts is left out.
    pub(super) fn text(&mut self, max_bytes: u64) -> Result<String> {
        let length = self.u64()?;
        let from = self.at;
        self.skip(length)?;
        let kept = usize::try_from(length.min(max_bytes));
        let kept = kept.map_err(|_| self.malformed("a text is too long"))?;
        let mut bytes = vec![0; kept];
        self.copy(from, &mut bytes)?;
        if let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
            && length > max_bytes
        {
            bytes.truncate(error.valid_up_to());
        }
        String::from_utf8(bytes).map_err(|_| self.malformed("a string in the tables is not UTF-8"))
    }

    /// Goes behind a text.
    pub(super) fn skip_text(&mut self) -> Result<()> {
        let length = self.u64()?;
        self.skip(length)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let from = self.at;
        self.skip(N as u64)?;
        let mut bytes = [0; N];
        self.copy(from, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies bytes that are known to be in the file: from the window, which is moved there when they are not in it.
    fn copy(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        if bytes.len() as u64 > WINDOW_BYTES {
            return self.file.read_at(from, bytes);
        }
        let within = |(window, at): &(Vec<u8>, u64)| {
            let start = usize::try_from(from.checked_sub(*at)?).ok()?;
            let end = start.checked_add(bytes.len())?;
            (end <= window.len()).then_some(start..end)
        };
        let mut range = within(&self.window);
        if range.is_none() {
            let length = WINDOW_BYTES.min(self.end - from);
            let mut window = vec![0; usize::try_from(length).unwrap_or_default()];
            self.file.read_at(from, &mut window)?;
            self.window = (window, from);
            range = within(&self.window);
        }
        let found = range.and_then(|range| self.window.0.get(range));
        let found = found.ok_or_else(|| self.malformed("the file ends within its tables"))?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}
