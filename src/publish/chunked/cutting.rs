//! Cutting a stream in one pass that has the digests of chunks and files, too.
//!
//! Two threads share a pass. One reads pieces and finds the ends of chunks in them; behind it, the other hashes them for their file
//! and their chunk at once, and hands on each chunk as soon as it is whole. So every piece is read once, and whoever takes the
//! chunks works meanwhile.

use std::mem;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::cuts::Cuts;
use super::search::{Piece, Search, range_of};
use super::stream::{Part, Stream};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::tally::Tally;

/// How many pieces wait for who hashes them.
const PIECES_AHEAD: usize = 2;
/// How many passes there are at once at most: each has two threads, and up to four pieces in memory.
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
    /// Cuts the stream, and hands on each chunk; returns the digests of the files. The first error ends all passes.
    pub(super) fn cut(
        &self,
        cuts: &Cuts,
        tally: &Tally<'_>,
        take: &TakeCut<'_>,
    ) -> Result<Vec<Digest>> {
        let runs = cuts.runs(&self.parts);
        let next = AtomicUsize::new(0);
        let failure = OnceLock::new();
        // Each takes one run after another.
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(run) = runs.get(index) else {
                    return done;
                };
                let pass = Pass {
                    stream: self,
                    parts: &self.parts[run.clone()],
                    cuts,
                    tally,
                    take,
                    failure: &failure,
                };
                match pass.run() {
                    Ok(digests) => done.push((index, digests)),
                    Err(error) => {
                        // The others end because of the first.
                        let _ = failure.set(error);
                        return done;
                    }
                }
            }
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let passes = PASSES.min(processors).min(runs.len());
        let mut done = thread::scope(|scope| {
            let others: Vec<_> = (1..passes).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                match other.join() {
                    Ok(others) => done.extend(others),
                    Err(_) => drop(failure.set(panicked())),
                }
            }
            done
        });
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        done.sort_unstable_by_key(|(index, _)| *index);
        let digests = done.into_iter();
        Ok(digests.flat_map(|(_, digests)| digests).collect())
    }
}

/// The error of a thread that ends because of another one, whose own error says why.
pub(super) fn gone() -> Error {
    ErrorKind::Cancelled.into()
}

fn panicked() -> Error {
    Error::internal("a thread that hashes files panicked")
}

/// A pass over files of which the first begins a chunk.
struct Pass<'a> {
    stream: &'a Stream,
    parts: &'a [Part],
    cuts: &'a Cuts,
    tally: &'a Tally<'a>,
    take: &'a TakeCut<'a>,
    /// Why a pass failed: there is no use in going on with the others.
    failure: &'a OnceLock<Error>,
}

impl Pass<'_> {
    /// Returns the digests of the files.
    fn run(&self) -> Result<Vec<Digest>> {
        let range = range_of(self.parts);
        let mut search = Search::new(self.stream, self.parts, self.cuts.ends(&range));
        let mut hashing = Hashing::default();
        match self.cuts.is_one(&range) {
            true => self.run_in_turn(&mut search, &mut hashing)?,
            false => self.run_together(&mut search, &mut hashing)?,
        }
        if let Some(range) = search.finish() {
            let digest = hashing.end_chunk();
            (self.take)(Cut { range, digest })?;
        }
        Ok(hashing.files)
    }

    /// Reads and hashes one piece after the other.
    fn run_in_turn(&self, search: &mut Search<'_>, hashing: &mut Hashing) -> Result<()> {
        let mut piece = Piece::default();
        while self.read(search, &mut piece)? {
            self.hash(hashing, &piece)?;
        }
        Ok(())
    }

    /// Reads the next pieces while one is hashed.
    fn run_together(&self, search: &mut Search<'_>, hashing: &mut Hashing) -> Result<()> {
        thread::scope(|scope| {
            let (sender, pieces) = sync_channel(PIECES_AHEAD);
            let (give_back, spare) = channel::<Piece>();
            let reading = scope.spawn(move || {
                loop {
                    let mut piece = spare.try_recv().unwrap_or_default();
                    if !self.read(search, &mut piece)? {
                        return Ok(());
                    }
                    sender.send(piece).map_err(|_| gone())?;
                }
            });
            let hashed = pieces.into_iter().try_for_each(|piece| {
                self.hash(hashing, &piece)?;
                // After the last piece, nobody needs it.
                let _ = give_back.send(piece);
                Ok(())
            });
            let read = reading.join().map_err(|_| panicked())?;
            // If no more chunks were taken, this error says why; the one who reads knows only that the pieces went nowhere.
            hashed.and(read)
        })
    }

    /// Makes this the next piece, unless there is no use in going on; returns `false` if there is none.
    fn read(&self, search: &mut Search<'_>, piece: &mut Piece) -> Result<bool> {
        if !search.next(piece)? {
            return Ok(false);
        }
        if self.failure.get().is_some() {
            return Err(gone());
        }
        piece.file_ends.iter().for_each(|_| self.tally.complete());
        self.tally.advance(piece.length)?;
        Ok(true)
    }

    /// Hashes a piece, and hands on the chunks that end in it.
    fn hash(&self, hashing: &mut Hashing, piece: &Piece) -> Result<()> {
        let mut files = piece.file_ends.iter().copied().peekable();
        let ends = piece.chunks.iter();
        let mut chunks = ends.map(|it| (it.end - piece.begin, it)).peekable();
        let mut begin = 0;
        loop {
            let file_end = files.peek().copied();
            let chunk_end = chunks.peek().map(|(end, _)| *end as usize);
            let end = file_end.into_iter().chain(chunk_end).min();
            hashing.update(&piece.buffer[begin..end.unwrap_or(piece.length)]);
            let Some(end) = end else {
                return Ok(());
            };
            begin = end;
            let is_at_end = |it: Option<usize>| it == Some(end);
            if is_at_end(file_end) {
                hashing.end_file();
                files.next();
            }
            if let Some((_, range)) = chunks.next_if(|_| is_at_end(chunk_end)) {
                let digest = hashing.end_chunk();
                let range = range.clone();
                (self.take)(Cut { range, digest })?;
            }
        }
    }
}

/// Hashes one file after the other, and one chunk after the other, of the same bytes.
#[derive(Default)]
struct Hashing {
    file: Hasher,
    /// `None` as long as the chunk has the same bytes as the file.
    chunk: Option<Hasher>,
    files: Vec<Digest>,
}

impl Hashing {
    fn update(&mut self, bytes: &[u8]) {
        match &mut self.chunk {
            Some(chunk) => Hasher::update_both(&mut self.file, chunk, bytes),
            None => self.file.update(bytes),
        }
    }

    fn end_file(&mut self) {
        let file = mem::take(&mut self.file);
        self.chunk.get_or_insert_with(|| file.clone());
        self.files.push(file.finish());
    }

    fn end_chunk(&mut self) -> Digest {
        let chunk = self.chunk.replace(Hasher::default());
        chunk.unwrap_or_else(|| self.file.clone()).finish()
    }
}

#[cfg(test)]
mod tests;
