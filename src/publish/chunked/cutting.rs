//! Cutting a stream in one pass that has the digests of chunks and files, too.
//!
//! Three threads share a pass. One reads pieces and finds the ends of chunks in them; behind it, one hashes them for their file,
//! and one for their chunk, which it hands on as soon as that is whole. So a large file takes little longer than hashing it once,
//! where there are processors for that, every piece is read once, and whoever takes the chunks works meanwhile.

use std::mem;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::cuts::Cuts;
use super::search::{Piece, Search, range_of};
use super::stream::{Part, Stream};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::tally::Tally;

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
        let search = Search::new(self.stream, self.parts, self.cuts.ends(&range));
        match self.cuts.is_one(&range) {
            true => self.run_whole(search),
            false => self.run_together(search),
        }
    }

    /// Hashes what is one chunk, in this thread.
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
            // If no more chunks were taken, this error says why; the search knows only that its pieces went nowhere.
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
            // Until a chunk or file ends, both have the same bytes, and hashing the file does for the chunk, too.
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

    /// Hashes pieces for their chunks, and hands these on; returns the hasher of the last chunk, or `None` if that is a whole file and
    /// so has its digest.
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

    /// Counts a piece that was read, unless there is no use in going on.
    fn count(&self, piece: &Piece) -> Result<()> {
        if self.failure.get().is_some() {
            return Err(gone());
        }
        piece.file_ends.iter().for_each(|_| self.tally.complete());
        self.tally.advance(piece.length)
    }
}

/// Where pieces go that are searched.
struct Outlets {
    /// Where the chunk is no longer hashed with the file, also where the state of the hasher before that piece goes.
    to_files: SyncSender<(Arc<Piece>, Option<SyncSender<Hasher>>)>,
    /// The pieces from there on, and where that state comes from.
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

#[cfg(test)]
mod tests;
