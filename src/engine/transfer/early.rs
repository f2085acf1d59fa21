//! Bytes that arrive before their turn to be hashed has come, kept in memory that is bounded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::mutex::{Condvar, Mutex};

/// How much memory such bytes may take in one pull. A pull has 64 MiB for everything, and each of its up to sixteen
/// connections needs more than one of them for its buffers. Four connections that are as fast as each other, each with a
/// range of 8 MiB, are at most this far ahead.
const EARLY_BYTES: usize = 24 << 20;
/// The size of a block: half of what a worker receives at once, so that the last of a range wastes little.
const BLOCK_BYTES: usize = 256 << 10;

/// How long to wait for a block before looking again whether one is still to be expected.
const PATIENCE: Duration = Duration::from_millis(5);

/// The memory for the early bytes of one pull: so many blocks, which are used again and again.
#[derive(Debug)]
pub(super) struct Blocks {
    empty: Mutex<Vec<Vec<u8>>>,
    is_put_back: Condvar,
}

impl Default for Blocks {
    fn default() -> Self {
        Self::new(EARLY_BYTES / BLOCK_BYTES)
    }
}

impl Blocks {
    pub(super) fn new(count: usize) -> Self {
        Self {
            empty: Mutex::new(vec![Vec::new(); count]),
            is_put_back: Condvar::default(),
        }
    }

    /// Returns an empty block. If all are in use, it waits for one as long as `is_draining`.
    fn take(&self, is_draining: &AtomicBool) -> Option<Vec<u8>> {
        let mut empty = self.empty.lock();
        loop {
            if let Some(mut block) = empty.pop() {
                block.reserve_exact(BLOCK_BYTES);
                return Some(block);
            }
            if !is_draining.load(Ordering::Relaxed) {
                return None;
            }
            empty = self.is_put_back.wait_timeout(empty, PATIENCE);
        }
    }

    pub(super) fn put_back(&self, mut block: Vec<u8>) {
        block.clear();
        self.empty.lock().push(block);
        self.is_put_back.notify_one();
    }
}

/// The early bytes of one digest, by where they begin.
#[derive(Debug, Default)]
pub(super) struct EarlyBytes {
    pieces: Mutex<BTreeMap<u64, Early>>,
    /// Whether somebody hashes them, one after the other.
    is_draining: AtomicBool,
}

#[derive(Debug)]
struct Early {
    /// Where the range begins that they are of.
    range: u64,
    bytes: Vec<u8>,
}

impl EarlyBytes {
    /// Keeps a piece of a range, as far as there are blocks. Where they are all in use since hashing is slower than the
    /// network, it waits: what is not kept is read back, which costs more.
    pub(super) fn keep(&self, range: u64, mut at: u64, mut piece: &[u8], blocks: &Blocks) {
        let mut last = self.take_last(range, at);
        while !piece.is_empty() {
            let block = last
                .take()
                .or_else(|| Some((at, blocks.take(&self.is_draining)?)));
            let Some((begin, mut bytes)) = block else {
                return;
            };
            // Nothing is copied while others wait for the lock.
            let room = BLOCK_BYTES - bytes.len();
            let (now, later) = piece.split_at(room.min(piece.len()));
            bytes.extend_from_slice(now);
            self.pieces.lock().insert(begin, Early { range, bytes });
            (at, piece) = (at + now.len() as u64, later);
        }
    }

    /// Takes the block out that a piece continues, with where it begins.
    fn take_last(&self, range: u64, at: u64) -> Option<(u64, Vec<u8>)> {
        let mut pieces = self.pieces.lock();
        let (begin, last) = pieces.range(..at).next_back()?;
        let begin = *begin;
        let is_continued = last.range == range && begin + last.bytes.len() as u64 == at;
        let last = is_continued.then(|| pieces.remove(&begin))??;
        Some((begin, last.bytes))
    }

    /// Returns which range the bytes at a place are of, if they are here.
    pub(super) fn range_at(&self, at: u64) -> Option<u64> {
        self.pieces.lock().get(&at).map(|early| early.range)
    }

    /// Takes the bytes at a place; `None`, too, while more are added to them.
    pub(super) fn take(&self, at: u64) -> Option<Vec<u8>> {
        self.pieces.lock().remove(&at).map(|early| early.bytes)
    }

    /// Says whether they are being hashed, one after the other, by the calling thread.
    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::Relaxed);
    }

    /// Returns where the first of them from a place on begin.
    pub(super) fn first_from(&self, at: u64) -> Option<u64> {
        self.pieces
            .lock()
            .range(at..)
            .next()
            .map(|(begin, _)| *begin)
    }

    /// Drops those of a range.
    pub(super) fn forget(&self, range: &Range<u64>, blocks: &Blocks) {
        let mut pieces = self.pieces.lock();
        while let Some((begin, _)) = pieces.range(range.clone()).next() {
            let begin = *begin;
            let gone = pieces.remove(&begin).into_iter();
            gone.for_each(|early| blocks.put_back(early.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(blocks: &Blocks) -> usize {
        blocks.empty.lock().len()
    }

    #[test]
    fn small_pieces_share_a_block_and_large_ones_take_several() {
        let (early, blocks) = (EarlyBytes::default(), Blocks::new(4));
        for at in [100, 103, 106] {
            early.keep(100, at, b"abc", &blocks);
        }
        // It is of another range, although it continues the bytes before it.
        early.keep(109, 109, &[7; BLOCK_BYTES + 5], &blocks);
        assert_eq!(left(&blocks), 1);
        assert_eq!(
            (early.range_at(100), early.range_at(103)),
            (Some(100), None)
        );
        assert_eq!(early.take(100).unwrap(), b"abcabcabc");
        assert_eq!(early.first_from(0), Some(109));
        assert_eq!(early.take(109).unwrap().len(), BLOCK_BYTES);
        assert_eq!(early.take(109 + BLOCK_BYTES as u64).unwrap(), [7; 5]);
    }

    #[test]
    fn no_more_is_kept_than_there_are_blocks() {
        let (early, blocks) = (EarlyBytes::default(), Blocks::new(2));
        for at in 0..100 {
            early.keep(0, at * BLOCK_BYTES as u64, &[1; BLOCK_BYTES], &blocks);
        }
        let kept = early.pieces.lock();
        let kept: usize = kept.values().map(|early| early.bytes.capacity()).sum();
        assert_eq!((kept, left(&blocks)), (2 * BLOCK_BYTES, 0));
    }

    #[test]
    fn what_is_taken_or_forgotten_makes_room() {
        let (early, blocks) = (EarlyBytes::default(), Blocks::new(2));
        early.keep(0, 5, b"abc", &blocks);
        early.keep(10, 10, b"def", &blocks);
        early.keep(20, 20, b"nothing is kept of it", &blocks);
        early.forget(&(0..10), &blocks);
        blocks.put_back(early.take(10).unwrap());
        assert_eq!((early.first_from(0), left(&blocks)), (None, 2));
    }

    #[test]
    fn pieces_wait_for_blocks_while_others_are_hashed() {
        const PIECES: u64 = 10_000;
        let (early, blocks) = (EarlyBytes::default(), Blocks::new(2));
        early.set_draining(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 0..PIECES {
                    // Each is of a range of its own, and so in a block of its own.
                    early.keep(at, at, b"x", &blocks);
                }
                early.set_draining(false);
            });
            let mut hashed = 0;
            while hashed < PIECES {
                let is_over = !early.is_draining.load(Ordering::Relaxed);
                match early.take(hashed) {
                    Some(bytes) => {
                        blocks.put_back(bytes);
                        hashed += 1;
                    }
                    None => assert!(!is_over, "piece {hashed} was not kept"),
                }
            }
        });
    }
}
