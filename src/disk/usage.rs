//! What files take on a disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::PathBuf;

use crate::error::{IoContext, Result};
use crate::platform::{FileId, disk_blocks};
use crate::stamp::FileStamp;

/// What several files have in common, or several names of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlocksId {
    /// The blocks of a file that has several names.
    Linked(FileId),
    /// The blocks of a file as it was when it was cloned.
    Cloned(FileStamp),
}

/// Which files are clones, as whoever made them wrote down: each with the file whose blocks it shares. A file that was written
/// since then has another stamp.
#[derive(Debug, Default)]
pub(crate) struct Clones {
    originals: BTreeMap<FileStamp, FileStamp>,
    cloned: BTreeSet<FileStamp>,
}

impl Clones {
    pub(crate) fn of(clones: Vec<(FileStamp, FileStamp)>) -> Self {
        let mut known = Self::default();
        known.learn(clones);
        known
    }

    pub(crate) fn learn(&mut self, clones: Vec<(FileStamp, FileStamp)>) {
        self.cloned
            .extend(clones.iter().map(|(_, original)| *original));
        self.originals.extend(clones);
    }

    /// Returns the file that had these blocks first, if several files may have them.
    pub(crate) fn original(&self, file: FileStamp) -> Option<FileStamp> {
        let itself = || self.cloned.get(&file);
        self.originals.get(&file).or_else(itself).copied()
    }
}

/// What the files below some folders take.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Each file once, however many names it has there, and blocks that clones share once.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// What there is of that under several names or in several files, wherever these are.
    pub(crate) shared: BTreeMap<BlocksId, u64>,
}

impl Usage {
    /// Adds a file, or all files below a folder; what is not there, or leaves meanwhile, takes nothing. Links are not followed.
    pub(crate) fn add(&mut self, path: PathBuf, clones: &Clones) -> Result<()> {
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            let Some(metadata) = if_there(fs::symlink_metadata(&path)).at("read", &path)? else {
                continue;
            };
            if !metadata.is_dir() {
                self.count(&metadata, clones);
                continue;
            }
            for entry in if_there(fs::read_dir(&path))
                .at("read", &path)?
                .into_iter()
                .flatten()
            {
                left.push(entry.at("read", &path)?.path());
            }
        }
        Ok(())
    }

    fn count(&mut self, metadata: &Metadata, clones: &Clones) {
        let (bytes, linked) = disk_blocks(metadata);
        let original = FileStamp::of(metadata).and_then(|file| clones.original(file));
        let linked = linked.map(BlocksId::Linked);
        let id = original.map(BlocksId::Cloned).or(linked);
        let is_known = id.is_some_and(|id| self.shared.insert(id, bytes).is_some());
        if !is_known {
            self.bytes += bytes;
        }
        self.files += 1;
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_clones_share_are_counted_once_until_one_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        let stamp = |name: &str| FileStamp::of(&fs::metadata(path(name)).unwrap());
        for name in ["original", "one", "two"] {
            fs::write(path(name), [7; 100_000]).unwrap();
        }
        let usage = |clones: &Clones| {
            let mut usage = Usage::default();
            usage.add(temp.path().to_owned(), clones).unwrap();
            assert_eq!(usage.files, 3);
            (usage.bytes, usage.shared.len())
        };
        let (all, _) = usage(&Clones::default());
        let Some(original) = stamp("original") else {
            return;
        };
        let mut clones = Clones::default();
        clones.learn(vec![(stamp("one").unwrap(), original)]);
        clones.learn(vec![(stamp("two").unwrap(), original)]);
        assert_eq!(usage(&clones), (all / 3, 1));
        fs::remove_file(path("original")).unwrap();
        fs::write(path("original"), [7; 100_001]).unwrap();
        assert_eq!(usage(&clones).1, 1, "the clones still share");
        fs::write(path("one"), [8; 100_002]).unwrap();
        assert!(usage(&clones).0 >= all);
    }
}
