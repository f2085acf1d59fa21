//! Digests over bytes that come in several pieces, hashed in order as far as the bytes are there.
//!
//! A part that is fetched in ranges is a span, and so is a file of several chunks. Whoever completes a piece hashes on
//! from disk, where the bytes still are in the system's cache; what nobody got to is hashed at the end. Bytes that a span
//! has hashed must not be written again.

use std::ops::Range;

use crate::digest::{Check, Checksum};
use crate::error::Result;
use crate::manifest::Manifest;
use crate::mutex::Mutex;

/// What a span's digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A part that is fetched in ranges.
    Part(usize),
    /// A file whose parts have digests of their own.
    File(usize),
}

/// A stretch of the stream and the digest that it should have.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) range: Range<u64>,
    pub(crate) expected: Checksum,
    pub(crate) subject: Subject,
    progress: Mutex<Hashed>,
}

#[derive(Debug)]
struct Hashed {
    check: Check,
    until: u64,
}

/// What a span's bytes are read from, and how far they are there.
pub(crate) trait Stream {
    /// Returns how far the bytes are there without a gap, from a place on.
    fn end_from(&self, from: u64) -> u64;

    /// Reads bytes that are there.
    fn read(&self, from: u64, buffer: &mut [u8]) -> Result<()>;

    /// Returns whether nobody needs the result any more.
    fn is_stopped(&self) -> bool;
}

impl Span {
    fn new(range: Range<u64>, expected: Checksum, subject: Subject) -> Self {
        let progress = Mutex::new(Hashed {
            check: Check::of(&expected, range.end - range.start),
            until: range.start,
        });
        Self {
            range,
            expected,
            subject,
            progress,
        }
    }

    /// Hashes on, unless another thread is at it: that one sees the new bytes too, or the end does.
    fn advance(&self, stream: &impl Stream, buffer: &mut [u8]) -> Result<()> {
        match self.progress.try_lock() {
            Some(mut hashed) => hashed.advance(self.range.end, stream, buffer),
            None => Ok(()),
        }
    }

    /// Hashes the rest and returns the digest; `None` when bytes are missing.
    pub(crate) fn finish(
        &self,
        stream: &impl Stream,
        buffer: &mut [u8],
    ) -> Result<Option<Checksum>> {
        let mut hashed = self.progress.lock();
        hashed.advance(self.range.end, stream, buffer)?;
        Ok((hashed.until == self.range.end).then(|| hashed.check.clone().finish()))
    }
}

impl Hashed {
    fn advance(&mut self, limit: u64, stream: &impl Stream, buffer: &mut [u8]) -> Result<()> {
        loop {
            let end = stream.end_from(self.until).min(limit);
            if end <= self.until {
                return Ok(());
            }
            while self.until < end {
                if stream.is_stopped() {
                    return Ok(());
                }
                let length = usize::try_from(end - self.until)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                stream.read(self.until, &mut buffer[..length])?;
                self.check.update(&buffer[..length]);
                self.until += length as u64;
            }
        }
    }
}

/// The spans of one transfer.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    /// Each list is in order, and no span touches another of its list.
    parts: Vec<Span>,
    files: Vec<Span>,
}

impl Spans {
    /// Makes those of the parts that are fetched in ranges, and of all files that no single part vouches for.
    pub(crate) fn of(manifest: &Manifest, ranged_parts: impl Iterator<Item = usize>) -> Self {
        let mut spans = Self::default();
        for index in ranged_parts {
            let part = manifest.parts()[index];
            if let Some(digest) = part.digest {
                let span = Span::new(part.range(), digest, Subject::Part(index));
                spans.parts.push(span);
            }
        }
        spans.parts.sort_unstable_by_key(|span| span.range.start);
        for (index, file) in manifest.files().iter().enumerate() {
            let range = file.range();
            let Some(digest) = file.digest else { continue };
            let parts = manifest.parts_of(file);
            let covered =
                matches!(parts, [part] if part.range() == range && part.digest == Some(digest));
            if !covered {
                let span = Span::new(range, digest, Subject::File(index));
                spans.files.push(span);
            }
        }
        spans
    }

    /// Hashes on those that a new stretch belongs to.
    pub(crate) fn advance(
        &self,
        new: &Range<u64>,
        stream: &impl Stream,
        buffer: &mut [u8],
    ) -> Result<()> {
        for spans in [&self.parts, &self.files] {
            let first = spans.partition_point(|span| span.range.end <= new.start);
            for span in &spans[first..] {
                if span.range.start >= new.end {
                    break;
                }
                span.advance(stream, buffer)?;
            }
        }
        Ok(())
    }

    /// All of them, those of parts first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.parts.iter().chain(&self.files)
    }
}
