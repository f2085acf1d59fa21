//! Digests of bytes that arrive in several pieces, and are hashed in order.
//!
//! A part that is fetched in ranges has such a digest, and so does a file of several chunks. Whoever brings a piece hashes it
//! if its turn has come. One that comes early is kept in memory, as far as there are blocks, and hashed from there by
//! whoever closes the gap before it. What found no block is read back from disk, where it is still in the system's cache, once
//! its range is complete. One thread hashes at a time, and no other waits for it: their pieces are kept, too.
//!
//! A range that is not complete may turn out wrong and come again. So hashing does not go on behind it before it is complete,
//! and goes back to where it began if it is withdrawn. Bytes of complete ranges must not be written again.

use std::ops::Range;
use std::sync::Arc;

use super::early::{Blocks, EarlyBytes};
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
    early: EarlyBytes,
}

#[derive(Debug)]
struct HashState {
    check: Check,
    until: u64,
    /// What was hashed of a range that was not complete.
    open: Option<OpenRange>,
}

/// A range that is hashed before it is complete.
#[derive(Debug)]
struct OpenRange {
    /// Where the range begins.
    range: u64,
    /// The state before.
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
    blocks: Blocks,
}

impl WrittenBytes {
    pub(crate) fn new(files: Arc<FileSet>, ranges: RangeSet, stop: CancelToken) -> Self {
        Self {
            files,
            ranges: Mutex::new(ranges),
            stop,
            blocks: Blocks::default(),
        }
    }
}

impl PiecewiseDigest {
    fn new(range: Range<u64>, expected: Checksum, subject: Subject) -> Self {
        let state = Mutex::new(HashState {
            check: Check::of(&expected, range.end - range.start),
            until: range.start,
            open: None,
        });
        Self {
            range,
            expected,
            subject,
            state,
            early: EarlyBytes::default(),
        }
    }

    /// Takes a piece of a range that begins at `range` and is not complete.
    fn arrived(&self, range: u64, at: u64, piece: &[u8], written: &WrittenBytes) {
        if let Some(mut state) = self.state.try_lock() {
            state.hash_early(&self.early, written);
            if state.until == at && state.may_hash(range, written) {
                state.hash(piece);
                return;
            }
        }
        self.early.keep(range, at, piece, &written.blocks);
    }

    /// Hashes on, unless another thread does: that one sees the new bytes too, or the end does.
    fn advance(&self, written: &WrittenBytes, buffer: &mut [u8]) -> Result<()> {
        match self.state.try_lock() {
            Some(mut state) => state.advance(self, written, buffer),
            None => Ok(()),
        }
    }

    /// Forgets what arrived of a range that is not complete.
    fn withdraw(&self, range: &Range<u64>, written: &WrittenBytes) {
        let mut state = self.state.lock();
        if let Some(open) = state.open.take_if(|open| open.range == range.start) {
            (state.check, state.until) = (open.check, open.until);
        }
        self.early.forget(range, &written.blocks);
    }

    /// Hashes the rest and returns the digest; `None` if bytes are missing.
    pub(crate) fn finish(
        &self,
        written: &WrittenBytes,
        buffer: &mut [u8],
    ) -> Result<Option<Checksum>> {
        let mut state = self.state.lock();
        state.advance(self, written, buffer)?;
        Ok((state.until == self.range.end).then(|| state.check.clone().finish()))
    }
}

impl HashState {
    fn hash(&mut self, piece: &[u8]) {
        self.check.update(piece);
        self.until += piece.len() as u64;
    }

    /// Returns whether what was hashed is of complete ranges.
    fn is_settled(&mut self, written: &WrittenBytes) -> bool {
        let until = self.until;
        let is_complete = |open: &mut OpenRange| {
            let ranges = written.ranges.lock();
            ranges.end_from(open.until) >= until
        };
        self.open.take_if(is_complete);
        self.open.is_none()
    }

    /// Returns whether bytes of this range may be hashed, and remembers where that begins.
    fn may_hash(&mut self, range: u64, written: &WrittenBytes) -> bool {
        if self.open.as_ref().is_some_and(|open| open.range == range) {
            return true;
        }
        let may = self.is_settled(written);
        if may {
            self.open = Some(OpenRange {
                range,
                check: self.check.clone(),
                until: self.until,
            });
        }
        may
    }

    /// Hashes what came early and whose turn it is.
    fn hash_early(&mut self, early: &EarlyBytes, written: &WrittenBytes) {
        while let Some(range) = early.range_at(self.until)
            && !written.stop.is_cancelled()
            && self.may_hash(range, written)
            && let Some(bytes) = early.take(self.until)
        {
            early.set_draining(true);
            self.hash(&bytes);
            written.blocks.put_back(bytes);
        }
        early.set_draining(false);
    }

    /// Hashes what came early and what is on disk, as far as there is no gap.
    fn advance(
        &mut self,
        digest: &PiecewiseDigest,
        written: &WrittenBytes,
        buffer: &mut [u8],
    ) -> Result<()> {
        loop {
            self.hash_early(&digest.early, written);
            if written.stop.is_cancelled() || !self.is_settled(written) {
                return Ok(());
            }
            let complete = written.ranges.lock().end_from(self.until);
            let next = digest.early.first_from(self.until);
            let end = complete
                .min(next.unwrap_or(digest.range.end))
                .min(digest.range.end);
            if end <= self.until {
                return Ok(());
            }
            let length = usize::try_from(end - self.until).unwrap_or(usize::MAX);
            let piece_bytes = length.min(buffer.len());
            let piece = &mut buffer[..piece_bytes];
            written.files.read(self.until, piece)?;
            self.hash(piece);
        }
    }
}

/// The piecewise digests of one transfer.
#[derive(Debug)]
pub(crate) struct PiecewiseDigests {
    /// Each list is in order, and no ranges of a list touch.
    parts: Vec<PiecewiseDigest>,
    files: Vec<PiecewiseDigest>,
    /// The ids that git gives files which have another checksum, too. A lock may know a file by that id alone.
    git_blobs: Vec<PiecewiseDigest>,
    written: Arc<WrittenBytes>,
}

impl PiecewiseDigests {
    /// Makes those of the parts that are fetched in ranges, and of all that the manifest states of files and no single part
    /// vouches for.
    pub(crate) fn of(
        manifest: &Manifest,
        ranged_parts: &[usize],
        written: Arc<WrittenBytes>,
    ) -> Self {
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
        let git_blobs = manifest.files().iter().enumerate();
        let git_blobs = git_blobs.filter_map(|(index, file)| {
            let id = Checksum::GitBlob(file.git_blob?);
            Some(PiecewiseDigest::new(file.range(), id, Subject::File(index)))
        });
        let mut digests = Self {
            parts: parts.collect(),
            files: files.collect(),
            git_blobs: git_blobs.collect(),
            written,
        };
        digests
            .parts
            .sort_unstable_by_key(|digest| digest.range.start);
        digests
    }

    /// Returns those that a range belongs to.
    fn of_range(&self, range: Range<u64>) -> impl Iterator<Item = &PiecewiseDigest> {
        [&self.parts, &self.files, &self.git_blobs]
            .into_iter()
            .flat_map(move |digests| {
                let first = digests.partition_point(|digest| digest.range.end <= range.start);
                let following = digests[first..].iter();
                following.take_while(move |digest| digest.range.start < range.end)
            })
    }

    /// Takes a piece that is written at this place of the stream, of a range that is not complete.
    pub(crate) fn arrived(&self, range: &Range<u64>, at: u64, piece: &[u8]) {
        let end = at + piece.len() as u64;
        let place = |offset: u64| usize::try_from(offset - at).unwrap_or(piece.len());
        for digest in self.of_range(at..end) {
            let begin = at.max(digest.range.start);
            let own = &piece[place(begin)..place(end.min(digest.range.end))];
            digest.arrived(range.start, begin, own, &self.written);
        }
    }

    /// Hashes on those that a range belongs to which is complete now.
    pub(crate) fn advance(&self, new: &Range<u64>, buffer: &mut [u8]) -> Result<()> {
        let mut digests = self.of_range(new.clone());
        digests.try_for_each(|digest| digest.advance(&self.written, buffer))
    }

    /// Forgets what arrived of a range that is not complete: it comes again.
    pub(crate) fn withdraw(&self, range: &Range<u64>) {
        self.of_range(range.clone())
            .for_each(|digest| digest.withdraw(range, &self.written));
    }

    /// Returns all of them, those of parts first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PiecewiseDigest> {
        let of_files = self.files.iter().chain(&self.git_blobs);
        self.parts.iter().chain(of_files)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::digest::Digest;
    use crate::manifest::ManifestFile;
    use crate::relpath::RelPath;

    /// The digests of one file, of which bytes are in this folder, and with as many blocks.
    fn digests(bytes: &[u8], expected: &Checksum, dir: &Path, blocks: usize) -> PiecewiseDigests {
        let mut file = ManifestFile::new(RelPath::parse("weights").unwrap());
        file.size_bytes = Some(bytes.len() as u64);
        file.digest = Some(*expected);
        let manifest = Arc::new(Manifest::of_files(vec![file], "", "here").unwrap());
        let files = Arc::new(FileSet::new(manifest.clone(), dir.to_owned()));
        let written = WrittenBytes {
            blocks: Blocks::new(blocks),
            ..WrittenBytes::new(files, RangeSet::default(), CancelToken::new())
        };
        PiecewiseDigests::of(&manifest, &[0], Arc::new(written))
    }

    fn sha256(bytes: &[u8]) -> Checksum {
        Digest::of(bytes).into()
    }

    /// Has the bytes of a range arrive in pieces of this size.
    fn arrive(digests: &PiecewiseDigests, bytes: &[u8], range: Range<usize>, piece_bytes: usize) {
        let whole = range.start as u64..range.end as u64;
        for (number, piece) in bytes[range].chunks(piece_bytes).enumerate() {
            digests.arrived(&whole, whole.start + (number * piece_bytes) as u64, piece);
        }
    }

    fn complete(digests: &PiecewiseDigests, range: Range<usize>) {
        let range = range.start as u64..range.end as u64;
        digests.written.ranges.lock().insert(&range);
        digests.advance(&range, &mut [0; 7]).unwrap();
    }

    fn finish(digests: &PiecewiseDigests) -> Checksum {
        let digest = digests.iter().next().unwrap();
        let finished = digest.finish(&digests.written, &mut [0; 7]).unwrap();
        finished.expect("all is there")
    }

    #[test]
    fn what_arrives_in_any_order_is_hashed_from_memory() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut git = Check::of(
            &Checksum::GitBlob("3ab313fff6f41bb35969cd359e9ddfb8033b3ac2".parse().unwrap()),
            100,
        );
        git.update(&bytes);
        let nowhere = Path::new("/there/is/nothing/to/read/back");
        for expected in [sha256(&bytes), git.finish()] {
            for order in [[0..30, 30..60, 60..100], [60..100, 30..60, 0..30]] {
                let digests = digests(&bytes, &expected, nowhere, 8);
                for range in order {
                    arrive(&digests, &bytes, range.clone(), 9);
                    complete(&digests, range);
                }
                assert_eq!(finish(&digests), expected);
            }
        }
    }

    #[test]
    fn what_finds_no_block_is_read_back() {
        let bytes: Vec<u8> = (0..100).collect();
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("weights"), &bytes).unwrap();
        for blocks in [0, 1] {
            let digests = digests(&bytes, &sha256(&bytes), temp.path(), blocks);
            for range in [60..80, 30..60, 0..30, 80..100] {
                arrive(&digests, &bytes, range.clone(), 4);
                complete(&digests, range);
            }
            assert_eq!(finish(&digests), sha256(&bytes));
        }
    }

    #[test]
    fn what_is_withdrawn_leaves_no_trace() {
        let bytes: Vec<u8> = (0..100).collect();
        let nowhere = Path::new("/there/is/nothing/to/read/back");
        let digests = digests(&bytes, &sha256(&bytes), nowhere, 8);
        arrive(&digests, &bytes, 0..10, 10);
        complete(&digests, 0..10);
        // Kept, and then hashed at once, although what follows is here.
        for range in [60..100, 10..60] {
            arrive(&digests, &[0xff; 100], range.clone(), 25);
            digests.withdraw(&(range.start as u64..range.end as u64));
            arrive(&digests, &bytes, range, 25);
        }
        complete(&digests, 10..60);
        complete(&digests, 60..100);
        assert_eq!(finish(&digests), sha256(&bytes));
    }

    #[test]
    fn a_thread_that_hashes_holds_up_no_other() {
        let bytes: Vec<u8> = (0..100).collect();
        let nowhere = Path::new("/there/is/nothing/to/read/back");
        let digests = digests(&bytes, &sha256(&bytes), nowhere, 8);
        let hashing = digests.parts[0].state.lock();
        arrive(&digests, &bytes, 0..100, 30);
        complete(&digests, 0..100);
        drop(hashing);
        assert_eq!(finish(&digests), sha256(&bytes));
    }
}
