//! Reading files piece by piece, and finding where chunks end in them.

use std::io::Read;
use std::ops::Range;

use super::content::Cutter;
use super::stream::{Part, SliceReader, Stream};
use crate::error::{Error, Result};

/// How much is read at once: so much that whoever waits for a piece is seldom woken.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Bytes of a stream, and where files and chunks end in them.
pub(super) struct Piece {
    pub(super) buffer: Vec<u8>,
    pub(super) length: usize,
    /// Where it begins in the stream.
    pub(super) begin: u64,
    pub(super) file_ends: Vec<usize>,
    pub(super) chunks: Vec<Range<u64>>,
}

impl Default for Piece {
    fn default() -> Self {
        Self {
            buffer: vec![0; PIECE_BYTES],
            length: 0,
            begin: 0,
            file_ends: Vec::new(),
            chunks: Vec::new(),
        }
    }
}

/// Reads pieces of files of which the first begins a chunk.
pub(super) struct Search<'a> {
    /// The files from the one on whose end comes next.
    parts: &'a [Part],
    reader: SliceReader<'a>,
    /// What is still to be read.
    range: Range<u64>,
    ends: Ends<'a>,
}

impl<'a> Search<'a> {
    pub(super) fn new(stream: &'a Stream, parts: &'a [Part], ends: Ends<'a>) -> Self {
        let range = range_of(parts);
        Self {
            parts,
            reader: stream.slice(&range).reader(),
            ends,
            range,
        }
    }

    /// Makes this the next piece; returns `false` if there is none.
    pub(super) fn next(&mut self, piece: &mut Piece) -> Result<bool> {
        piece.length = 0;
        piece.begin = self.range.start;
        piece.file_ends.clear();
        piece.chunks.clear();
        while let [part, rest @ ..] = self.parts {
            if self.range.start == part.range().end {
                piece.file_ends.push(piece.length);
                self.parts = rest;
                continue;
            }
            if piece.length == PIECE_BYTES {
                break;
            }
            let read = self.reader.read(&mut piece.buffer[piece.length..]);
            let read = read.map_err(Error::of_payload)?;
            piece.length += read;
            self.range.start += read as u64;
        }
        self.ends
            .push(&piece.buffer[..piece.length], &mut piece.chunks);
        Ok(piece.length > 0 || !piece.file_ends.is_empty())
    }

    /// Returns what is left behind the last chunk.
    pub(super) fn finish(self) -> Option<Range<u64>> {
        self.ends.finish()
    }
}

/// Where files are that follow each other.
pub(super) fn range_of(parts: &[Part]) -> Range<u64> {
    let begin = parts.first().map_or(0, |part| part.range().start);
    let end = parts.last().map_or(0, |part| part.range().end);
    begin..end
}

/// Finds where chunks end.
pub(super) enum Ends<'a> {
    Content(Cutter),
    Known(KnownEnds<'a>),
}

impl Ends<'_> {
    fn push(&mut self, bytes: &[u8], chunks: &mut Vec<Range<u64>>) {
        match self {
            Self::Content(cutter) => cutter.push(bytes, chunks),
            Self::Known(known) => known.push(bytes.len() as u64, chunks),
        }
    }

    fn finish(self) -> Option<Range<u64>> {
        match self {
            Self::Content(cutter) => cutter.finish(),
            Self::Known(known) => known.chunks.first().cloned(),
        }
    }
}

/// Chunks of which all but the last end before the files do.
pub(super) struct KnownEnds<'a> {
    /// Those that have not ended.
    chunks: &'a [Range<u64>],
    at: u64,
}

impl<'a> KnownEnds<'a> {
    pub(super) fn new(chunks: &'a [Range<u64>]) -> Self {
        Self {
            chunks,
            at: chunks.first().map_or(0, |first| first.start),
        }
    }

    fn push(&mut self, length: u64, ended: &mut Vec<Range<u64>>) {
        self.at += length;
        while let [first, rest @ ..] = self.chunks
            && !rest.is_empty()
            && first.end <= self.at
        {
            ended.push(first.clone());
            self.chunks = rest;
        }
    }
}
