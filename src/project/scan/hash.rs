//! Hashing the files of a project, on all processors.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::digest::Hasher;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::modelstoml::FileFacts;
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::relpath::RelPath;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// How far the hashing of files is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashCounts {
    /// Files to hash.
    pub files_total: u64,
    /// Files that are hashed.
    pub files_done: u64,
    /// Bytes that were read.
    pub bytes_done: u64,
}

/// Receives the progress of hashing, after each file. It must be thread-safe and must not block: it runs on the threads that
/// hash.
pub trait HashProgress: Send + Sync + fmt::Debug {
    /// Takes how far the hashing is.
    fn on_hashed(&self, counts: HashCounts);
}

/// The facts of files, or why they cannot be read.
pub(crate) type FileHashes = BTreeMap<RelPath, Result<FileFacts>>;

impl Project {
    /// Hashes files, each of which succeeds or fails on its own.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub(crate) fn hash_files<'f>(
        &self,
        files: impl IntoIterator<Item = &'f RelPath>,
        cancel: &CancelToken,
        progress: Option<&dyn HashProgress>,
    ) -> Result<FileHashes> {
        let files: Vec<&RelPath> = files.into_iter().collect();
        let (files_done, bytes_done) = (AtomicU64::new(0), AtomicU64::new(0));
        let hashes = files
            .par_iter()
            .map_init(
                || vec![0_u8; BUFFER_BYTES],
                |buffer, file| {
                    let facts = self.hash(file, buffer, cancel);
                    let bytes = facts.as_ref().map_or(0, |facts| facts.size_bytes);
                    let counts = HashCounts {
                        files_total: files.len() as u64,
                        files_done: files_done.fetch_add(1, Relaxed) + 1,
                        bytes_done: bytes_done.fetch_add(bytes, Relaxed) + bytes,
                    };
                    if let Some(progress) = progress {
                        progress.on_hashed(counts);
                    }
                    ((*file).clone(), facts)
                },
            )
            .collect();
        match cancel.is_cancelled() {
            true => Err(ErrorKind::Cancelled.into()),
            false => Ok(hashes),
        }
    }

    fn hash(&self, path: &RelPath, buffer: &mut [u8], cancel: &CancelToken) -> Result<FileFacts> {
        let place = self.locate(path);
        let metadata = self.metadata_of(path).at("read", &place)?;
        if !metadata.is_file() {
            return Err(Error::argument(format!(
                "{} is not a file",
                place.display()
            )));
        }
        let mut file = File::open(&place).at("read", &place)?;
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        while !cancel.is_cancelled() {
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
