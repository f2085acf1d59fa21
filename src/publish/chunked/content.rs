//! Cutting bytes where their content says, so that all chunks but one or two survive an insertion.
//!
//! This is [FastCDC](https://www.usenix.org/conference/atc16/technical-sessions/presentation/xia): a hash of the last 64 bytes
//! rolls over the content, and a chunk ends where it is small. Unlike there, how small does not depend on how long the chunk is
//! by then. That keeps sizes nearer to each other, but who begins in another place finds the old ends again later: of 400
//! insertions, the worst took nine chunks, and takes four.
//!
//! Where a registry was cut decides what its next versions share with it, so this never changes: it is ours, in a page, and
//! not that of a crate whose next version may cut elsewhere. It needs no more memory than the piece that it is given, where
//! the `fastcdc` crate needs all of the largest chunk at once, and cuts at 16 MiB at the latest.

use std::ops::Range;

/// How many of the last bytes the hash covers: one leaves it with each shift of its 64 bits.
const WINDOW_BYTES: u64 = 64;

/// How long the parts of a strip are that the hash is rolled over at once: each begins with a window that is hashed twice.
const LANE_BYTES: usize = 4 << 10;
/// How long a strip is. It is rolled over again where a chunk ends in it, and most have no end.
const STRIP_BYTES: usize = 4 * LANE_BYTES;

/// The sizes of chunks around the one that is asked for.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// No chunk but the last of a stream is shorter.
    least: u64,
    /// No chunk is longer.
    most: u64,
    /// A chunk ends behind a byte after which the hash is less.
    limit: u64,
}

impl Bounds {
    /// Six tenths of the size is the average. Then a change of a hundredth in one place of 256 such sizes costs 1.35 hundredths of
    /// the bytes, as with fixed cuts (1.38), and seldom two: of 1,500 changes, eight did.
    fn around(chunk_bytes: u64) -> Self {
        let least = (chunk_bytes / 4).max(WINDOW_BYTES);
        let beyond = chunk_bytes.saturating_mul(7) / 20;
        Self {
            least,
            most: chunk_bytes.saturating_mul(4),
            limit: u64::MAX / beyond.max(1),
        }
    }
}

/// Cuts one stream of bytes, which comes in pieces of any length: they make no difference.
#[derive(Debug)]
pub(super) struct Cutter {
    bounds: Bounds,
    hash: u64,
    /// Where the chunk begins, and where the next piece does.
    begin: u64,
    at: u64,
}

impl Cutter {
    /// Begins a stream of which the first byte has this number.
    pub(super) fn new(begin: u64, chunk_bytes: u64) -> Self {
        Self {
            bounds: Bounds::around(chunk_bytes),
            hash: 0,
            begin,
            at: begin,
        }
    }

    /// The size of the shortest chunks around this size.
    pub(super) fn least_bytes(chunk_bytes: u64) -> u64 {
        Bounds::around(chunk_bytes).least
    }

    /// Takes the next piece, and adds the chunks that end in it.
    pub(super) fn push(&mut self, mut piece: &[u8], chunks: &mut Vec<Range<u64>>) {
        let Bounds { least, most, limit } = self.bounds;
        while !piece.is_empty() {
            let length = self.at - self.begin;
            // Nothing is cut before the least size, so nothing is hashed that has left the window by then.
            let (until, limit) = match length {
                _ if length < least - WINDOW_BYTES => (least - WINDOW_BYTES, None),
                _ if length < least => (least, Some(0)),
                _ => (most, Some(limit)),
            };
            let left = usize::try_from(until - length).unwrap_or(usize::MAX);
            let (now, later) = piece.split_at(left.min(piece.len()));
            let end = limit.and_then(|limit| roll(&mut self.hash, now, limit));
            let taken = end.unwrap_or(now.len());
            self.at += taken as u64;
            piece = match end {
                Some(end) => &piece[end..],
                None => later,
            };
            if end.is_some() || self.at - self.begin == most {
                self.cut(chunks);
            }
        }
    }

    /// Ends the stream: what is left is the last chunk.
    pub(super) fn finish(self) -> Option<Range<u64>> {
        (self.begin < self.at).then_some(self.begin..self.at)
    }

    fn cut(&mut self, chunks: &mut Vec<Range<u64>>) {
        chunks.push(self.begin..self.at);
        (self.begin, self.hash) = (self.at, 0);
    }
}

/// Rolls the hash over bytes, up to and with the first after which it is less than the limit; returns how many these are.
fn roll(hash: &mut u64, bytes: &[u8], limit: u64) -> Option<usize> {
    let (strips, rest) = bytes.as_chunks::<STRIP_BYTES>();
    for (index, strip) in strips.iter().enumerate() {
        if !skip(hash, strip, limit)
            && let Some(end) = roll_in_order(hash, strip, limit)
        {
            return Some(index * STRIP_BYTES + end);
        }
    }
    let end = roll_in_order(hash, rest, limit)?;
    Some(bytes.len() - rest.len() + end)
}

fn roll_in_order(hash: &mut u64, bytes: &[u8], limit: u64) -> Option<usize> {
    let mut rolled = *hash;
    for (index, byte) in bytes.iter().enumerate() {
        rolled = next(rolled, *byte);
        if rolled < limit {
            return Some(index + 1);
        }
    }
    *hash = rolled;
    None
}

#[inline]
fn next(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(GEAR[usize::from(byte)])
}

/// Rolls the hash over a strip if it is less than the limit nowhere; returns `false`, and leaves the hash, if it is somewhere.
///
/// Each step waits for the one before, so the processor is idle for most of the time: it takes steps in four places at once.
/// Where a lane begins, the hash is known from the window before it.
fn skip(hash: &mut u64, strip: &[u8; STRIP_BYTES], limit: u64) -> bool {
    let (lanes, _) = strip.as_chunks::<LANE_BYTES>();
    let [first, second, third, fourth] = lanes else {
        return false;
    };
    let behind = |lane: &[u8; LANE_BYTES]| {
        let window = &lane[LANE_BYTES - WINDOW_BYTES as usize..];
        window.iter().fold(0, |hash, byte| next(hash, *byte))
    };
    let [mut a, mut b, mut c, mut d] = [*hash, behind(first), behind(second), behind(third)];
    for step in 0..LANE_BYTES {
        a = next(a, first[step]);
        b = next(b, second[step]);
        c = next(c, third[step]);
        d = next(d, fourth[step]);
        if (a < limit) | (b < limit) | (c < limit) | (d < limit) {
            return false;
        }
    }
    *hash = d;
    true
}

/// A number for each byte that tells nothing about the others.
const GEAR: [u64; 256] = gear();

/// The first numbers of [SplitMix64](https://prng.di.unimi.it/splitmix64.c) with the seed 0.
const fn gear() -> [u64; 256] {
    let mut numbers = [0; 256];
    let mut state = 0_u64;
    let mut index = 0;
    while index < numbers.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        numbers[index] = mixed ^ (mixed >> 31);
        index += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::digest::Digest;

    fn bytes(count: usize, seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..))
            .take(count)
            .collect()
    }

    fn cut(bytes: &[u8], chunk_bytes: u64, piece: usize) -> Vec<Range<u64>> {
        let (mut cutter, mut chunks) = (Cutter::new(0, chunk_bytes), Vec::new());
        for piece in bytes.chunks(piece) {
            cutter.push(piece, &mut chunks);
        }
        chunks.extend(cutter.finish());
        chunks
    }

    fn digests(bytes: &[u8], chunks: &[Range<u64>]) -> HashSet<Digest> {
        let chunk = |range: &Range<u64>| &bytes[range.start as usize..range.end as usize];
        chunks
            .iter()
            .map(|range| Digest::of(chunk(range)))
            .collect()
    }

    #[test]
    fn the_cuts_are_those_of_every_other_version() {
        assert_eq!(
            GEAR[0], 0xe220_a839_7b1d_cdaf,
            "as the generator is published"
        );
        let digests = (0_u32..1000).map(|number| Digest::of(&number.to_le_bytes()));
        let bytes: Vec<u8> = digests.flat_map(|digest| *digest.as_bytes()).collect();
        let chunks = cut(&bytes, 4096, 5000);
        let ends: Vec<u64> = chunks.iter().map(|chunk| chunk.end).collect();
        assert_eq!(
            ends,
            [
                1998, 3502, 5580, 8906, 10936, 13837, 17801, 21869, 24950, 26450, 30166, 32000
            ]
        );
    }

    #[test]
    fn chunks_are_whole_within_bounds_and_six_tenths_of_what_is_asked_for() {
        let bytes = bytes(4 << 20, 2);
        let chunks = cut(&bytes, 4096, 1 << 16);
        assert_eq!(
            (chunks[0].start, chunks[chunks.len() - 1].end),
            (0, 4 << 20)
        );
        assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
        let sizes = || chunks.iter().map(|range| range.end - range.start);
        assert!(
            sizes()
                .rev()
                .skip(1)
                .all(|size| (1024..=16384).contains(&size))
        );
        let average = (4 << 20) / chunks.len();
        assert!((2350..2550).contains(&average), "{average}");
        // However it comes.
        for piece in [1, 63, 64, 65, 1000, 4 << 20] {
            assert_eq!(
                cut(&bytes[..1 << 18], 4096, piece),
                cut(&bytes[..1 << 18], 4096, 1 << 16)
            );
        }
    }

    #[test]
    fn where_chunks_end_is_the_same_in_one_place_or_four() {
        let bytes = bytes(1 << 20, 5);
        let mut ends = Vec::new();
        for often in [100, 5_000, 40_000] {
            let limit = u64::MAX / often;
            let mut at = 0;
            while at < bytes.len() {
                let [mut lanes, mut order] = [0, 0];
                let end = roll(&mut lanes, &bytes[at..], limit);
                assert_eq!(end, roll_in_order(&mut order, &bytes[at..], limit));
                assert!(end.is_some() || lanes == order);
                at += end.unwrap_or(bytes.len());
                ends.extend(end);
            }
        }
        assert!(ends.iter().any(|end| *end < LANE_BYTES));
        assert!(ends.iter().any(|end| *end > 3 * STRIP_BYTES));
    }

    #[test]
    fn what_does_not_change_is_cut_at_the_longest_chunk() {
        let chunks = cut(&[0; 40_000], 2048, 999);
        let sizes: Vec<u64> = chunks.iter().map(|range| range.end - range.start).collect();
        assert_eq!(sizes, [8192, 8192, 8192, 8192, 7232]);
        assert_eq!(cut(&[], 2048, 1), []);
        assert_eq!(cut(&[7; 3], 2048, 1), [0..3]);
    }

    #[test]
    fn chunks_behind_a_change_stay_the_same() {
        let before = bytes(1 << 20, 3);
        let old = digests(&before, &cut(&before, 8192, 1 << 16));
        for (what, at, removed, added) in [
            ("an insertion at the front", 0, 0, 1024),
            ("a byte in the middle", 500_000, 0, 1),
            ("a removal", 300_000, 777, 0),
            ("another text", 700_001, 50, 60),
            ("more at the end", 1 << 20, 0, 5000),
        ] {
            let mut after = before.clone();
            after.splice(at..at + removed, bytes(added, 4));
            let new = digests(&after, &cut(&after, 8192, 1 << 16));
            let changed = new.difference(&old).count();
            assert!(
                (1..=3).contains(&changed),
                "{what}: {changed} of {}",
                new.len()
            );
        }
    }
}
