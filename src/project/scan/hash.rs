//! Hashes the files of a project, on all processors.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::digest::Hasher;
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::FileFacts;
use crate::progress::CancelToken;
use crate::project::home::Project;
use crate::project::scan::pointer::PointerCheck;
use crate::relpath::RelPath;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// How far the hashing of files is; [`HashProgress`] has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashCounts {
    /// The number of files to hash.
    pub files_total: u64,
    /// The number of files that have been hashed.
    pub files_done: u64,
    /// The number of bytes that have been read.
    pub bytes_done: u64,
}

/// Receives the progress of hashing, after each file. It is called on the threads that hash, several at once, and must not
/// block.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use modelrack::project::{AddOptions, HashCounts, HashProgress, Project, ProjectOptions};
///
/// /// Keeps the largest counts: several threads may report out of order.
/// #[derive(Debug, Default)]
/// struct Bar(Mutex<(u64, u64, u64)>);
///
/// impl HashProgress for Bar {
///     fn on_hashed(&self, counts: HashCounts) {
///         let mut largest = self.0.lock().unwrap();
///         *largest = (*largest).max((counts.files_done, counts.files_total, counts.bytes_done));
///     }
/// }
///
/// # let folder = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/project.rs"));
/// let mut project = Project::open(folder.path(), &ProjectOptions::default())?;
/// let bar = Arc::new(Bar::default());
/// project.add(&[folder.path().join("models")], &AddOptions::default().progress(bar.clone()))?;
/// let (done, total, bytes) = *bar.0.lock().unwrap();
/// assert!(done == total && bytes > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait HashProgress: Send + Sync + fmt::Debug {
    /// Receives how far the hashing is; [`HashProgress`] has an example.
    fn on_hashed(&self, counts: HashCounts);
}

/// The size and digest of each file, or why it cannot be read.
pub(crate) type FileHashes = BTreeMap<RelPath, Result<FileFacts>>;

impl Project {
    /// Hashes files. One that cannot be read, or is a pointer to the file that is meant, does not affect the others.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub(crate) fn hash_files<'f>(
        &self,
        files: impl IntoIterator<Item = &'f RelPath>,
        cancel: &CancelToken,
        progress: Option<&dyn HashProgress>,
    ) -> Result<FileHashes> {
        let files: Vec<&RelPath> = files.into_iter().collect();
        let (files_done, bytes_done) = (AtomicU64::new(0), AtomicU64::new(0));
        let hash = |buffer: &mut Vec<u8>, file: &&RelPath| {
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
        };
        let buffer = || vec![0_u8; BUFFER_BYTES];
        let hashes = files.par_iter().map_init(buffer, hash).collect();
        cancel.check()?;
        Ok(hashes)
    }

    fn hash(&self, path: &RelPath, buffer: &mut [u8], cancel: &CancelToken) -> Result<FileFacts> {
        let place = self.locate(path);
        let metadata = self.metadata_of(path).at("read", &place)?;
        if !metadata.is_file() {
            let message = format!("{} is not a file", place.display());
            return Err(Error::argument(message));
        }
        let mut file = File::open(&place).at("read", &place)?;
        let (mut hasher, mut size_bytes) = (Hasher::default(), 0);
        let mut pointer = PointerCheck::default();
        loop {
            cancel.check()?;
            let read = file.read(buffer).at("read", &place)?;
            if read == 0 {
                pointer.finish(path)?;
                let digest = hasher.finish();
                return Ok(FileFacts { digest, size_bytes });
            }
            hasher.update(&buffer[..read]);
            pointer.update(&buffer[..read]);
            size_bytes += read as u64;
        }
    }
}
