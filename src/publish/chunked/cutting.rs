//! Cutting a stream where its content says, in one pass that has the digests of chunks and files, too.
//!
//! Three threads share a pass. One reads pieces and searches them for ends of chunks; behind it, one hashes them for their file,
//! and one for their chunk, which it hands on as soon as that is whole. So a large file takes little longer than hashing it once,
//! where there are processors for that, every piece is read once, and whoever takes the chunks works meanwhile.

use std::io::Read;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::content::Cutter;
use super::stream::{Part, SliceReader, Stream};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::tally::Tally;

/// How much is read at once: so much that whoever waits for a piece is seldom woken.
const PIECE_BYTES: usize = 1 << 20;
/// How many pieces wait for each of those who hash.
const PIECES_AHEAD: usize = 2;
/// How many passes there are at once at most: each has three threads, and up to seven pieces in memory.
const PASSES: usize = 4;

/// A chunk that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) range: Range<u64>,
    pub(super) digest: Digest,
}

/// Takes chunks, in any order.
pub(super) type TakeCut<'a> = dyn Fn(Cut) -> Result<()> + Sync + 'a;

impl Stream {
    /// Returns the chunks if all files are so short that their sizes tell: those that would be cut have to be read.
    pub(super) fn chunks_without_cuts(&self, chunk_bytes: u64) -> Option<Vec<Range<u64>>> {
        let least_bytes = Cutter::least_bytes(chunk_bytes);
        let ranges = self.runs(least_bytes).into_iter();
        let ranges = ranges.map(|run| range_of(&self.parts[run]));
        let ranges = ranges.filter(|range| !range.is_empty());
        let is_whole = |range: &Range<u64>| range.end - range.start <= least_bytes;
        ranges
            .map(|range| is_whole(&range).then_some(range))
            .collect()
    }

    fn runs(&self, least_bytes: u64) -> Vec<Range<usize>> {
        let sizes: Vec<u64> = self.parts.iter().map(|part| part.size_bytes).collect();
        runs(&sizes, least_bytes)
    }

    /// Cuts the stream where its content says, and hands on each chunk; returns the digests of the files.
    pub(super) fn cut_by_content(
        &self,
        chunk_bytes: u64,
        tally: &Tally<'_>,
        take: &TakeCut<'_>,
    ) -> Result<Vec<Digest>> {
        let runs = self.runs(Cutter::least_bytes(chunk_bytes));
        let next = AtomicUsize::new(0);
        // Each takes one run after another.
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(run) = runs.get(index) else {
                    return Ok(done);
                };
                let pass = Pass {
                    stream: self,
                    parts: &self.parts[run.clone()],
                    chunk_bytes,
                    tally,
                    take,
                };
                done.push((index, pass.run()?));
            }
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let passes = PASSES.min(processors).min(runs.len());
        let done: Vec<Result<Vec<_>>> = thread::scope(|scope| {
            let others: Vec<_> = (1..passes).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others = others
                .into_iter()
                .map(|it| it.join().unwrap_or_else(|_| Err(panicked())));
            [own].into_iter().chain(others).collect()
        });
        let mut digests = Vec::with_capacity(runs.len());
        for done in done {
            digests.extend(done?);
        }
        digests.sort_unstable_by_key(|(index, _)| *index);
        let digests = digests.into_iter();
        Ok(digests.flat_map(|(_, digests)| digests).collect())
    }
}

/// What stops because somebody is gone, who has an error of their own.
pub(super) fn gone() -> Error {
    ErrorKind::Cancelled.into()
}

fn panicked() -> Error {
    Error::internal("a thread that hashes files panicked")
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

/// Where files are that follow each other.
fn range_of(parts: &[Part]) -> Range<u64> {
    let begin = parts.first().map_or(0, |part| part.range().start);
    let end = parts.last().map_or(0, |part| part.range().end);
    begin..end
}

/// A pass over files of which the first begins a chunk.
struct Pass<'a> {
    stream: &'a Stream,
    parts: &'a [Part],
    chunk_bytes: u64,
    tally: &'a Tally<'a>,
    take: &'a TakeCut<'a>,
}

impl Pass<'_> {
    /// Returns the digests of the files.
    fn run(&self) -> Result<Vec<Digest>> {
        let search = Search::new(self.stream, self.parts, self.chunk_bytes);
        match search.size_bytes() <= Cutter::least_bytes(self.chunk_bytes) {
            true => self.run_whole(search),
            false => self.run_together(search),
        }
    }

    /// Hashes what is too short to be cut, in this thread.
    fn run_whole(&self, mut search: Search<'_>) -> Result<Vec<Digest>> {
        let [mut files, mut chunk] = [(); 2].map(|()| Hashing::default());
        let mut piece = Piece::default();
        let is_one = self.parts.len() == 1;
        while search.next(&mut piece)? {
            files.update(&piece, &piece.file_ends);
            if !is_one {
                chunk.update(&piece, &[]);
            }
            self.count(&piece)?;
        }
        if let Some(range) = search.finish() {
            let digest = match (is_one, &files.digests[..]) {
                (true, [digest]) => *digest,
                _ => chunk.hasher.finish(),
            };
            (self.take)(Cut { range, digest })?;
        }
        Ok(files.digests)
    }

    fn run_together(&self, mut search: Search<'_>) -> Result<Vec<Digest>> {
        thread::scope(|scope| {
            let (to_files, pieces_of_files) = sync_channel(PIECES_AHEAD);
            let (to_chunks, pieces_of_chunks) = sync_channel(PIECES_AHEAD);
            let (give_back, spare) = channel();
            let give_back_too = give_back.clone();
            let files = scope.spawn(move || self.hash_files(&pieces_of_files, &give_back));
            let chunks = scope.spawn(move || self.hash_chunks(&pieces_of_chunks, &give_back_too));
            let searched = self.search(
                &mut search,
                &Outlets {
                    to_files,
                    to_chunks,
                },
                &spare,
            );
            let (files, chunks) = (files.join(), chunks.join());
            // Who takes no more knows why, and the search only that there is nobody.
            let chunks = chunks.map_err(|_| panicked())??;
            searched?;
            let files = files.map_err(|_| panicked())?;
            if let Some(range) = search.finish() {
                let digest = match (chunks, &files[..]) {
                    (Some(chunk), _) => chunk.finish(),
                    (None, [digest]) => *digest,
                    (None, _) => return Err(Error::internal("a chunk was not hashed")),
                };
                (self.take)(Cut { range, digest })?;
            }
            Ok(files)
        })
    }

    /// Reads all pieces, and sends each to those who hash it.
    fn search(
        &self,
        search: &mut Search<'_>,
        outlets: &Outlets,
        spare: &Receiver<Piece>,
    ) -> Result<()> {
        let mut is_forked = false;
        loop {
            let mut piece = spare.try_recv().unwrap_or_default();
            if !search.next(&mut piece)? {
                return Ok(());
            }
            self.count(&piece)?;
            let piece = Arc::new(piece);
            // As long as all bytes of the chunk are those of the file, one of them is hashed for both.
            let is_apart =
                !piece.chunks.is_empty() || self.parts.len() > 1 && !piece.file_ends.is_empty();
            let fork = (!is_forked && is_apart).then(|| sync_channel(1));
            let (fork, forked) = fork.unzip();
            is_forked |= fork.is_some();
            if is_forked {
                let sent = outlets.to_chunks.send((Arc::clone(&piece), forked));
                sent.map_err(|_| gone())?;
            }
            let sent = outlets.to_files.send((piece, fork));
            sent.map_err(|_| gone())?;
        }
    }

    /// Hashes pieces for their files.
    fn hash_files(
        &self,
        pieces: &Receiver<(Arc<Piece>, Option<SyncSender<Hasher>>)>,
        give_back: &Sender<Piece>,
    ) -> Vec<Digest> {
        let mut files = Hashing::default();
        for (piece, fork) in pieces {
            // Who hashes the chunk may be gone.
            let _ = fork.map(|fork| fork.send(files.hasher.clone()));
            files.update(&piece, &piece.file_ends);
            give(piece, give_back);
        }
        files.digests
    }

    /// Hashes pieces for their chunks, and hands these on; returns what is hashed of the last chunk, if it is not all of a file.
    fn hash_chunks(
        &self,
        pieces: &Receiver<(Arc<Piece>, Option<Receiver<Hasher>>)>,
        give_back: &Sender<Piece>,
    ) -> Result<Option<Hasher>> {
        let mut chunks: Option<Hashing> = None;
        for (piece, forked) in pieces {
            let chunks = chunks.get_or_insert_default();
            if let Some(forked) = forked {
                chunks.hasher = forked.recv().map_err(|_| panicked())?;
            }
            let ends = piece.chunks.iter();
            let ends: Vec<usize> = ends.map(|it| (it.end - piece.begin) as usize).collect();
            chunks.update(&piece, &ends);
            for (range, digest) in piece.chunks.iter().zip(chunks.digests.drain(..)) {
                let range = range.clone();
                (self.take)(Cut { range, digest })?;
            }
            give(piece, give_back);
        }
        Ok(chunks.map(|chunks| chunks.hasher))
    }

    fn count(&self, piece: &Piece) -> Result<()> {
        piece.file_ends.iter().for_each(|_| self.tally.complete());
        self.tally.advance(piece.length)
    }
}

/// Where pieces go that are searched.
struct Outlets {
    /// With where a copy of the hasher goes, as it is before the piece.
    to_files: SyncSender<(Arc<Piece>, Option<SyncSender<Hasher>>)>,
    /// With where that comes from, as the chunk has begun as the file has.
    to_chunks: SyncSender<(Arc<Piece>, Option<Receiver<Hasher>>)>,
}

/// Gives a piece back to be filled again, if nobody else has it.
fn give(piece: Arc<Piece>, spare: &Sender<Piece>) {
    if let Some(piece) = Arc::into_inner(piece) {
        // After the last piece, nobody needs it.
        let _ = spare.send(piece);
    }
}

/// Hashes one thing after another.
#[derive(Default)]
struct Hashing {
    hasher: Hasher,
    digests: Vec<Digest>,
}

impl Hashing {
    /// Takes a piece in which things end in these places.
    fn update(&mut self, piece: &Piece, ends: &[usize]) {
        let mut begin = 0;
        for end in ends {
            self.hasher.update(&piece.buffer[begin..*end]);
            self.digests.push(mem::take(&mut self.hasher).finish());
            begin = *end;
        }
        self.hasher.update(&piece.buffer[begin..piece.length]);
    }
}

/// Bytes of a stream, and where files and chunks end in them.
struct Piece {
    buffer: Vec<u8>,
    length: usize,
    /// Where it begins in the stream.
    begin: u64,
    file_ends: Vec<usize>,
    chunks: Vec<Range<u64>>,
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

/// Reads pieces and searches them for ends.
struct Search<'a> {
    /// The files from the one on whose end comes next.
    parts: &'a [Part],
    reader: SliceReader<'a>,
    range: Range<u64>,
    cutter: Cutter,
}

impl<'a> Search<'a> {
    fn new(stream: &'a Stream, parts: &'a [Part], chunk_bytes: u64) -> Self {
        let range = range_of(parts);
        Self {
            parts,
            reader: stream.slice(&range).reader(),
            cutter: Cutter::new(range.start, chunk_bytes),
            range,
        }
    }

    /// How much is left.
    fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Makes this the next piece; returns `false` if there is none.
    fn next(&mut self, piece: &mut Piece) -> Result<bool> {
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
        self.cutter
            .push(&piece.buffer[..piece.length], &mut piece.chunks);
        Ok(piece.length > 0 || !piece.file_ends.is_empty())
    }

    /// Returns what is left behind the last chunk.
    fn finish(self) -> Option<Range<u64>> {
        self.cutter.finish()
    }
}

#[cfg(test)]
mod tests;
