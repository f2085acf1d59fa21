//! Digests of bytes that arrive in several pieces, hashed in order as far as the bytes are there.
//!
//! A part that is fetched in ranges has such a digest, and so does a file of several chunks. Whoever completes a piece
//! hashes on from disk, where the bytes are still in the system's cache; the rest is hashed at the end. Bytes that have been
//! hashed must not be written again.

use std::ops::Range;
use std::sync::Arc;

use crate::digest::{Check, Checksum};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::range_set::RangeSet;
use crate::store::files::FileSet;

/// What a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A part that is fetched in ranges.
    Part(usize),
    /// A file whose parts have digests of their own.
    File(usize),
}

/// The expected digest of a range of the stream, and how far it has been hashed.
#[derive(Debug)]
pub(crate) struct PiecewiseDigest {
    pub(crate) range: Range<u64>,
    pub(crate) expected: Checksum,
    pub(crate) subject: Subject,
    state: Mutex<HashState>,
}

#[derive(Debug)]
struct HashState {
    check: Check,
    until: u64,
}

/// The bytes of the stream that are written.
#[derive(Debug)]
pub(crate) struct WrittenBytes {
    pub(crate) files: Arc<FileSet>,
    /// Which they are; right as far as digests of their own tell.
    pub(crate) ranges: Mutex<RangeSet>,
    pub(crate) stop: CancelToken,
}

impl PiecewiseDigest {
    fn new(range: Range<u64>, expected: Checksum, subject: Subject) -> Self {
        let state = Mutex::new(HashState {
            check: Check::of(&expected, range.end - range.start),
            until: range.start,
        });
        Self {
            range,
            expected,
            subject,
            state,
        }
    }

    /// Hashes on, unless another thread does: that one sees the new bytes too, or the end does.
    fn advance(&self, written: &WrittenBytes, buffer: &mut [u8]) -> Result<()> {
        match self.state.try_lock() {
            Some(mut state) => state.advance(self.range.end, written, buffer),
            None => Ok(()),
        }
    }

    /// Hashes the rest and returns the digest; `None` if bytes are missing.
    pub(crate) fn finish(
        &self,
        written: &WrittenBytes,
        buffer: &mut [u8],
    ) -> Result<Option<Checksum>> {
        let mut state = self.state.lock();
        state.advance(self.range.end, written, buffer)?;
        Ok((state.until == self.range.end).then(|| state.check.clone().finish()))
    }
}

impl HashState {
    fn advance(&mut self, limit: u64, written: &WrittenBytes, buffer: &mut [u8]) -> Result<()> {
        loop {
            let end = written.ranges.lock().end_from(self.until).min(limit);
            if end <= self.until {
                return Ok(());
            }
            while self.until < end {
                if written.stop.is_cancelled() {
                    return Ok(());
                }
                let length = usize::try_from(end - self.until).unwrap_or(usize::MAX);
                let piece_bytes = length.min(buffer.len());
                let piece = &mut buffer[..piece_bytes];
                written.files.read(self.until, piece)?;
                self.check.update(piece);
                self.until += piece.len() as u64;
            }
        }
    }
}

/// The piecewise digests of one transfer.
#[derive(Debug, Default)]
pub(crate) struct PiecewiseDigests {
    /// Each list is in order, and no ranges of a list touch.
    parts: Vec<PiecewiseDigest>,
    files: Vec<PiecewiseDigest>,
}

impl PiecewiseDigests {
    /// Makes those of the parts that are fetched in ranges, and of all files that no single part vouches for.
    pub(crate) fn of(manifest: &Manifest, ranged_parts: &[usize]) -> Self {
        let parts = ranged_parts.iter().filter_map(|index| {
            let part = manifest.parts()[*index];
            let subject = Subject::Part(*index);
            Some(PiecewiseDigest::new(part.range(), part.digest?, subject))
        });
        let files = manifest.files().iter().enumerate();
        let files = files.filter_map(|(index, file)| {
            let (range, digest) = (file.range(), file.digest?);
            let is_part = matches!(
                manifest.parts_of(file),
                [part] if part.range() == range && part.digest == Some(digest)
            );
            (!is_part).then(|| PiecewiseDigest::new(range, digest, Subject::File(index)))
        });
        let mut digests = Self {
            parts: parts.collect(),
            files: files.collect(),
        };
        digests
            .parts
            .sort_unstable_by_key(|digest| digest.range.start);
        digests
    }

    /// Hashes on those that a new range belongs to.
    pub(crate) fn advance(
        &self,
        new: &Range<u64>,
        written: &WrittenBytes,
        buffer: &mut [u8],
    ) -> Result<()> {
        for digests in [&self.parts, &self.files] {
            let first = digests.partition_point(|digest| digest.range.end <= new.start);
            let touched = digests[first..].iter();
            for digest in touched.take_while(|digest| digest.range.start < new.end) {
                digest.advance(written, buffer)?;
            }
        }
        Ok(())
    }

    /// Returns all of them, those of parts first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PiecewiseDigest> {
        self.parts.iter().chain(&self.files)
    }
}
