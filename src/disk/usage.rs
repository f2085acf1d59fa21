//! What files take on a disk.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::PathBuf;

use crate::error::{IoContext, Result};
use crate::platform::{FileId, disk_blocks};

/// What the files below some folders take.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Each file once, however many names it has there.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// Those of them that have several names, wherever these are.
    pub(crate) linked: BTreeMap<FileId, u64>,
}

impl Usage {
    /// Adds a file, or all files below a folder; what is not there, or leaves meanwhile, takes nothing. Links are not followed.
    pub(crate) fn add(&mut self, path: PathBuf) -> Result<()> {
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            let Some(metadata) = if_there(fs::symlink_metadata(&path)).at("read", &path)? else {
                continue;
            };
            if !metadata.is_dir() {
                self.count(&metadata);
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

    fn count(&mut self, metadata: &Metadata) {
        let (bytes, id) = disk_blocks(metadata);
        let is_known = id.is_some_and(|id| self.linked.insert(id, bytes).is_some());
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
