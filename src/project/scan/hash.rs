//! Hashes the files of a project, on all processors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::digest::Hasher;
use crate::disk::pointer::PointerCheck;
use crate::error::{Error, IoContext, Result};
use crate::modelstoml::FileFacts;
use crate::progress::tally::Tally;
use crate::progress::{CancelToken, Progress, Step, Task};
use crate::project::home::Project;
use crate::relpath::RelPath;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

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
        progress: Option<&dyn Progress>,
    ) -> Result<FileHashes> {
        let files: Vec<&RelPath> = files.into_iter().collect();
        let tally = Tally::new(
            Step::new(Task::Hashing, files.len() as u64),
            progress,
            cancel,
        );
        let hash = |buffer: &mut Vec<u8>, file: &&RelPath| {
            let facts = self.hash(file, buffer, &tally);
            tally.complete();
            ((*file).clone(), facts)
        };
        let buffer = || vec![0_u8; BUFFER_BYTES];
        let hashes = files.par_iter().map_init(buffer, hash).collect();
        cancel.check()?;
        Ok(hashes)
    }

    fn hash(&self, path: &RelPath, buffer: &mut [u8], tally: &Tally<'_>) -> Result<FileFacts> {
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
            let read = file.read(buffer).at("read", &place)?;
            tally.advance(read)?;
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
