//! Where a stream is cut.

use std::ops::Range;

use super::Chunking;
use super::content::Cutter;
use super::search::{Ends, KnownEnds};
use super::stream::{Part, Stream};

/// Where a stream is cut.
#[derive(Debug)]
pub(super) enum Cuts {
    /// Into these chunks, one after the other.
    At(Vec<Range<u64>>),
    /// Where the content says, around a size in bytes.
    Content(u64),
}

impl Cuts {
    pub(super) fn new(stream: &Stream, chunking: Chunking, chunk_bytes: u64) -> Self {
        match chunking {
            Chunking::Fixed => Self::At(stream.chunks(chunk_bytes)),
            Chunking::Content => Self::Content(chunk_bytes),
        }
    }

    /// How many chunks there are; zero if that is not known.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::At(chunks) => chunks.len(),
            Self::Content(_) => 0,
        }
    }

    /// Parts files into runs of which the first file begins a chunk.
    pub(super) fn runs(&self, parts: &[Part]) -> Vec<Range<usize>> {
        let chunks = match self {
            Self::At(chunks) => chunks,
            Self::Content(chunk_bytes) => {
                let sizes: Vec<u64> = parts.iter().map(|part| part.size_bytes).collect();
                return runs(&sizes, Cutter::least_bytes(*chunk_bytes));
            }
        };
        let begins_chunk = |part: &Part| {
            let begin = part.range().start;
            part.size_bytes > 0 && chunks.binary_search_by_key(&begin, |it| it.start).is_ok()
        };
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if !begins_chunk(part) => run.end += 1,
                _ => runs.push(index..index + 1),
            }
        }
        runs
    }

    pub(super) fn ends(&self, run: &Range<u64>) -> Ends<'_> {
        match self {
            Self::Content(chunk_bytes) => Ends::Content(Cutter::new(run.start, *chunk_bytes)),
            Self::At(_) => Ends::Known(KnownEnds::new(self.known(run))),
        }
    }

    /// Whether a run is surely one chunk.
    pub(super) fn is_one(&self, run: &Range<u64>) -> bool {
        match self {
            Self::Content(chunk_bytes) => run.end - run.start <= Cutter::least_bytes(*chunk_bytes),
            Self::At(_) => self.known(run).len() <= 1,
        }
    }

    /// The chunks of a run that are known.
    fn known(&self, run: &Range<u64>) -> &[Range<u64>] {
        let Self::At(chunks) = self else {
            return &[];
        };
        let [first, last] =
            [run.start, run.end].map(|at| chunks.partition_point(|it| it.start < at));
        &chunks[first..last]
    }
}

/// Parts files with these sizes into those that begin a chunk of their own, each by itself, and runs of smaller ones.
pub(super) fn runs(sizes: &[u64], least_bytes: u64) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if *size < least_bytes && sizes[run.start] < least_bytes => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}
