//! Cutting a stream where its content says, in one pass that has the digests of chunks and files, too.
//!
//! Three things are done with each piece of the stream: it is searched for ends of chunks, hashed for its file, and hashed for
//! its chunks. They are done at once, the search one piece ahead of the others, which must know what it finds. So a large file
//! takes little longer than hashing it once, where there are processors for that, and every piece is read once.

use std::io::Read;
use std::mem;
use std::ops::Range;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::content::Cutter;
use super::stream::{Part, SliceReader, Stream};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::progress::tally::Tally;

/// How much is read at once: so much that whoever waits for a piece is seldom woken.
const PIECE_BYTES: usize = 1 << 20;

/// A stream that was cut.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    pub(super) chunks: Vec<Range<u64>>,
    pub(super) chunk_digests: Vec<Digest>,
    pub(super) file_digests: Vec<Digest>,
}

impl Stream {
    /// Cuts the stream where its content says.
    pub(super) fn cut_by_content(&self, chunk_bytes: u64, tally: &Tally<'_>) -> Result<Cuts> {
        let sizes: Vec<u64> = self.parts.iter().map(|part| part.size_bytes).collect();
        let runs = runs(&sizes, Cutter::least_bytes(chunk_bytes));
        let cut = |run: &Range<usize>| {
            let parts = &self.parts[run.clone()];
            Pass::new(self, parts, chunk_bytes).run(tally)
        };
        let cut: Vec<Cuts> = runs.par_iter().map(cut).collect::<Result<_>>()?;
        let mut all = Cuts::default();
        for cuts in cut {
            all.chunks.extend(cuts.chunks);
            all.chunk_digests.extend(cuts.chunk_digests);
            all.file_digests.extend(cuts.file_digests);
        }
        Ok(all)
    }
}

/// Parts files with these sizes into those that begin a chunk of their own, each by itself, and runs of smaller ones.
fn runs(sizes: &[u64], least_bytes: u64) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if *size < least_bytes && sizes[run.start] < least_bytes => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// A pass over files of which the first begins a chunk.
struct Pass<'a> {
    search: Search<'a>,
    file: Hasher,
    /// `None` as long as all bytes of the chunk are those of the file, so that one of them is hashed for both.
    chunk: Option<Hasher>,
    file_digests: Vec<Digest>,
    chunk_digests: Vec<Digest>,
}

impl<'a> Pass<'a> {
    fn new(stream: &'a Stream, parts: &'a [Part], chunk_bytes: u64) -> Self {
        Self {
            search: Search::new(stream, parts, chunk_bytes),
            file: Hasher::default(),
            chunk: None,
            file_digests: Vec::with_capacity(parts.len()),
            chunk_digests: Vec::new(),
        }
    }

    fn run(mut self, tally: &Tally<'_>) -> Result<Cuts> {
        let (mut piece, mut ahead) = (Piece::default(), Piece::default());
        let mut is_more = self.search.next(&mut piece)?;
        while is_more {
            let found = self.take(&piece, &mut ahead);
            tally.advance(piece.length)?;
            piece.file_ends.iter().for_each(|_| tally.complete());
            is_more = found?;
            mem::swap(&mut piece, &mut ahead);
        }
        let mut chunks = self.search.chunks;
        self.search.cutter.finish(&mut chunks);
        if self.chunk_digests.len() < chunks.len() {
            let last = self.chunk.unwrap_or(self.file);
            self.chunk_digests.push(last.finish());
        }
        Ok(Cuts {
            chunks,
            chunk_digests: self.chunk_digests,
            file_digests: self.file_digests,
        })
    }

    /// Hashes a piece while the next one is searched; returns whether there is one.
    fn take(&mut self, piece: &Piece, ahead: &mut Piece) -> Result<bool> {
        if !piece.is_within_file() && self.chunk.is_none() {
            self.chunk = Some(self.file.clone());
        }
        let Self {
            search,
            file,
            chunk,
            file_digests,
            chunk_digests,
        } = self;
        let hash_chunks = || {
            if let Some(chunk) = chunk {
                hash(piece, &piece.chunk_ends, chunk, chunk_digests);
            }
        };
        let hash_files = || hash(piece, &piece.file_ends, file, file_digests);
        let ((), ((), found)) = rayon::join(hash_files, || {
            rayon::join(hash_chunks, || search.next(ahead))
        });
        found
    }
}

/// Hashes a piece, of which parts end in these places.
fn hash(piece: &Piece, ends: &[usize], hasher: &mut Hasher, digests: &mut Vec<Digest>) {
    let mut begin = 0;
    for end in ends {
        hasher.update(&piece.buffer[begin..*end]);
        digests.push(mem::take(hasher).finish());
        begin = *end;
    }
    hasher.update(&piece.buffer[begin..piece.length]);
}

/// Bytes of a stream, and where files and chunks end in them.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    file_ends: Vec<usize>,
    chunk_ends: Vec<usize>,
}

impl Default for Piece {
    fn default() -> Self {
        Self {
            buffer: vec![0; PIECE_BYTES],
            length: 0,
            file_ends: Vec::new(),
            chunk_ends: Vec::new(),
        }
    }
}

impl Piece {
    fn is_within_file(&self) -> bool {
        self.file_ends.is_empty() && self.chunk_ends.is_empty()
    }
}

/// Reads pieces and searches them for ends.
struct Search<'a> {
    /// The files from the one on whose end comes next.
    parts: &'a [Part],
    reader: SliceReader<'a>,
    at: u64,
    cutter: Cutter,
    chunks: Vec<Range<u64>>,
}

impl<'a> Search<'a> {
    fn new(stream: &'a Stream, parts: &'a [Part], chunk_bytes: u64) -> Self {
        let begin = parts.first().map_or(0, |part| part.range().start);
        let end = parts.last().map_or(0, |part| part.range().end);
        Self {
            parts,
            reader: stream.slice(&(begin..end)).reader(),
            at: begin,
            cutter: Cutter::new(begin, chunk_bytes),
            chunks: Vec::new(),
        }
    }

    /// Makes this the next piece; returns `false` if there is none.
    fn next(&mut self, piece: &mut Piece) -> Result<bool> {
        piece.length = 0;
        piece.file_ends.clear();
        piece.chunk_ends.clear();
        let begin = self.at;
        while let [part, rest @ ..] = self.parts {
            if self.at == part.range().end {
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
            self.at += read as u64;
        }
        let known = self.chunks.len();
        self.cutter
            .push(&piece.buffer[..piece.length], &mut self.chunks);
        let new = self.chunks[known..].iter();
        piece
            .chunk_ends
            .extend(new.map(|chunk| (chunk.end - begin) as usize));
        Ok(piece.length > 0 || !piece.file_ends.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::progress::{CancelToken, Step, Task};
    use crate::relpath::RelPath;

    #[test]
    fn small_files_run_into_one_stream_and_others_have_their_own() {
        assert_eq!(
            runs(&[3, 3, 10, 12, 0, 9, 10], 10),
            [0..2, 2..3, 3..4, 4..6, 6..7]
        );
        assert!(runs(&[], 10).is_empty());
    }

    #[test]
    fn one_pass_has_the_digests_of_all_files_and_chunks() {
        let chunk_bytes = 64 << 10;
        let piece = PIECE_BYTES;
        let mut random = fastrand::Rng::with_seed(6);
        for sizes in [
            vec![],
            vec![0],
            vec![0, 0, 3, 0],
            vec![1],
            // One chunk, and then some in one piece, or in several that end where pieces do.
            vec![30_000],
            vec![piece - 1, piece, piece + 1, 3 * piece, 1_500_000],
            // Small ones that share chunks, and end in the middle of pieces.
            [vec![999; 700], vec![0, 400_000], vec![16_383; 40]].concat(),
        ] {
            let temp = tempfile::tempdir().unwrap();
            let (mut files, mut all, mut file_digests) = (BTreeMap::new(), Vec::new(), Vec::new());
            for (number, size) in sizes.iter().enumerate() {
                let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                    .take(*size)
                    .collect();
                let path = temp.path().join(number.to_string());
                fs::write(&path, &bytes).unwrap();
                files.insert(RelPath::parse(&format!("{number:04}")).unwrap(), path);
                file_digests.push(Digest::of(&bytes));
                all.extend(bytes);
            }
            let stream = Stream::of(files).unwrap();
            let cancel = CancelToken::new();
            let tally = Tally::new(Step::new(Task::Hashing, 0), None, &cancel);
            let cuts = stream.cut_by_content(chunk_bytes, &tally).unwrap();
            assert_eq!(cuts.file_digests, file_digests, "{sizes:?}");
            let mut end = 0;
            for (chunk, digest) in cuts.chunks.iter().zip(&cuts.chunk_digests) {
                assert_eq!(chunk.start, end);
                end = chunk.end;
                let bytes = &all[chunk.start as usize..end as usize];
                assert_eq!(Digest::of(bytes), *digest, "{chunk:?} of {sizes:?}");
            }
            assert_eq!(end, all.len() as u64, "{sizes:?}");
            assert_eq!(cuts.chunks.len(), cuts.chunk_digests.len());
        }
    }
}
