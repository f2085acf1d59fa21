//! A part or range as it arrives: hashed, and noted in the journal, over as many responses as it takes.
//!
//! Its bytes are counted into the digests of what it is a piece of as soon as they are written, and taken back from them when
//! they are dropped.

use std::ops::Range;

use super::hashing::PiecewiseDigests;
use crate::digest::{Checksum, Expected};
use crate::error::{Error, ErrorKind, Result};
use crate::store::journal::STEP_BYTES;
use crate::store::partial::PartialWriter;

/// What has arrived of a range of the stream.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    partial: &'a PartialWriter,
    /// Those that cover more than this range.
    digests: &'a PiecewiseDigests,
    range: Range<u64>,
    digest: Option<Checksum>,
    expected: Expected,
    /// Where in the stream the next byte belongs.
    until: u64,
    /// Up to where the journal lists what has arrived, and whether it lists anything of the range.
    noted: u64,
    is_listed: bool,
}

impl<'a> Intake<'a> {
    /// Begins a range; without a digest, what arrives is taken as it is.
    pub(super) fn new(
        range: Range<u64>,
        digest: Option<Checksum>,
        partial: &'a PartialWriter,
        digests: &'a PiecewiseDigests,
    ) -> Self {
        Self {
            partial,
            digests,
            expected: Expected::new(digest, range.end - range.start),
            digest,
            until: range.start,
            noted: range.start,
            is_listed: false,
            range,
        }
    }

    /// Returns how much is here.
    pub(super) fn here_bytes(&self) -> u64 {
        self.until - self.range.start
    }

    /// Returns what is missing.
    pub(super) fn missing(&self) -> Range<u64> {
        self.until..self.range.end
    }

    /// Adds bytes that an unfinished pull has written and listed.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        self.add(piece);
        (self.noted, self.is_listed) = (self.until, true);
    }

    /// Adds bytes that are written now.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.add(piece);
        match self.until - self.noted >= STEP_BYTES {
            true => self.note(),
            false => Ok(()),
        }
    }

    fn add(&mut self, piece: &[u8]) {
        self.expected.update(piece);
        self.digests.arrived(&self.range, self.until, piece);
        self.until += piece.len() as u64;
    }

    fn note(&mut self) -> Result<()> {
        if self.noted < self.until {
            self.partial.note(&(self.noted..self.until))?;
            (self.noted, self.is_listed) = (self.until, true);
        }
        Ok(())
    }

    /// Keeps what has arrived of a response that failed, unless it is another than the one that was expected.
    pub(super) fn interrupted(&mut self, error: &Error) -> Result<()> {
        match is_unfit(error) {
            true => self.drop_all(),
            false => self.note(),
        }
    }

    /// Compares what has arrived with the digest; what is wrong is dropped.
    pub(super) fn finish(&mut self, what: impl FnOnce() -> String) -> Result<()> {
        let unchecked = Expected::new(None, 0);
        let met = std::mem::replace(&mut self.expected, unchecked).met(what);
        if met.is_err() {
            self.drop_all()?;
        }
        met
    }

    /// Begins again, with the same bytes.
    pub(super) fn restart(&mut self) {
        let is_listed = self.is_listed;
        self.empty();
        self.is_listed = is_listed;
    }

    /// Begins again, and takes back what the journal lists.
    pub(super) fn drop_all(&mut self) -> Result<()> {
        if self.is_listed {
            self.partial.forget(&self.range)?;
        }
        self.empty();
        Ok(())
    }

    fn empty(&mut self) {
        // It waits for whoever is hashing, as the beginning of a response must not.
        if self.here_bytes() > 0 {
            self.digests.withdraw(&self.range);
        }
        *self = Self::new(self.range.clone(), self.digest, self.partial, self.digests);
    }
}

/// Returns whether a response does not fit with the bytes that it was to follow.
pub(super) fn is_unfit(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. }
    )
}
