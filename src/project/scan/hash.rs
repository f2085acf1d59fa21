//! Hashing the files of a project, on all processors.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::modelstoml::FileFacts;
use crate::progress::CancelToken;
use crate::project::change::enter::HashedFiles;
use crate::project::home::Project;
use crate::relpath::RelPath;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// How far the hashing of files is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hashed {
    /// Files to hash.
    pub files_total: u64,
    /// Files that are hashed.
    pub files_done: u64,
    /// Bytes that were read.
    pub bytes_done: u64,
}

/// Learns how far the hashing of files is, after each. It must be thread-safe and must not block: it runs on the threads
/// that hash.
pub trait HashProgress: Send + Sync + fmt::Debug {
    /// Takes how far it is.
    fn on_hashed(&self, hashed: Hashed);
}

/// What hashing works with.
#[derive(Debug, Clone, Copy)]
pub(in crate::project) struct Hashing<'a> {
    pub(in crate::project) project: &'a Project,
    pub(in crate::project) cancel: &'a CancelToken,
    pub(in crate::project) progress: Option<&'a dyn HashProgress>,
}

impl Hashing<'_> {
    /// Hashes files, and keeps the facts by their paths.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub(in crate::project) fn by_path<'f>(
        &self,
        files: impl IntoIterator<Item = &'f RelPath>,
    ) -> Result<HashedFiles> {
        let files: Vec<&RelPath> = files.into_iter().collect();
        let facts = self.run(&files)?;
        Ok(files.into_iter().cloned().zip(facts).collect())
    }

    /// Hashes files; each on its own succeeds or fails.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub(in crate::project) fn run(&self, files: &[&RelPath]) -> Result<Vec<Result<FileFacts>>> {
        let (files_done, bytes_done) = (AtomicU64::new(0), AtomicU64::new(0));
        let facts = files
            .par_iter()
            .map_init(
                || vec![0_u8; BUFFER_BYTES],
                |buffer, file| {
                    let facts = self.hash(file, buffer);
                    let bytes = facts.as_ref().map_or(0, |facts| facts.size_bytes);
                    let hashed = Hashed {
                        files_total: files.len() as u64,
                        files_done: files_done.fetch_add(1, Relaxed) + 1,
                        bytes_done: bytes_done.fetch_add(bytes, Relaxed) + bytes,
                    };
                    if let Some(progress) = self.progress {
                        progress.on_hashed(hashed);
                    }
                    facts
                },
            )
            .collect();
        match self.cancel.is_cancelled() {
            true => Err(ErrorKind::Cancelled.into()),
            false => Ok(facts),
        }
    }

    fn hash(&self, path: &RelPath, buffer: &mut [u8]) -> Result<FileFacts> {
        let place = self.project.locate(path);
        let metadata = self.project.metadata_of(path).at("read", &place)?;
        if !metadata.is_file() {
            return Err(Error::argument(format!("{} is no file", place.display())));
        }
        let mut file = File::open(&place).at("read", &place)?;
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        while !self.cancel.is_cancelled() {
            match file.read(buffer).at("read", &place)? {
                0 => {
                    return Ok(FileFacts {
                        digest: hasher.finish(),
                        size_bytes,
                    });
                }
                read => {
                    hasher.update(&buffer[..read]);
                    size_bytes += read as u64;
                }
            }
        }
        Err(ErrorKind::Cancelled.into())
    }
}
