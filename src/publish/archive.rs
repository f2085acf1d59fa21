//! A registry in a tar, which is served once it is unpacked, or read from where it is.

use std::path::Path;
use std::time::SystemTime;

use super::tar::TarWriter;
use super::{IndexChange, RegistryWriter};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::transport::Payload;
use crate::progress::CancelToken;
use crate::source::chunked::MAX_INDEX_BYTES;
use crate::source::chunked::shards::shard_path;
use crate::time::now;

const INDEX: &str = "models.json";

/// Writes a registry into a tar.
#[derive(Debug)]
pub(super) struct ArchiveWriter(TarWriter);

impl ArchiveWriter {
    /// Reads what is there, and keeps others from writing to it until the end, unless nothing will be written.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if there is something else.
    pub(super) fn open(path: &Path, cancel: &CancelToken, is_rehearsal: bool) -> Result<Self> {
        let tar = TarWriter::open(path, INDEX, cancel, is_rehearsal)?;
        if !tar.is_new() && tar.read(INDEX, MAX_INDEX_BYTES)?.is_none() {
            let message = "it is no registry: it has no models.json";
            return Err(Error::registry(path.display(), message));
        }
        Ok(Self(tar))
    }
}

impl RegistryWriter for ArchiveWriter {
    fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool> {
        self.0.put(&format!("data/{digest}"), digest, document)
    }

    fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        Ok(self.0.has(&format!("data/{digest}"), size_bytes))
    }

    fn put_shard(&self, digest: &Digest, json: &[u8]) -> Result<()> {
        let payload = json.to_vec();
        self.0.put(&shard_path(digest), digest, &payload).map(drop)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.0.read(path, MAX_INDEX_BYTES)
    }

    fn change_index(&self, change: &mut IndexChange<'_>) -> Result<()> {
        let before = self.read(INDEX)?;
        let json = change(before.as_deref())?;
        if before.as_ref() == Some(&json) && !self.0.is_begun() {
            return Ok(());
        }
        // A web server tells by the time and the size whether what it serves has changed.
        let modified = now().duration_since(SystemTime::UNIX_EPOCH);
        self.0
            .finish(&json, modified.map_or(0, |since| since.as_secs()))
    }

    fn is_in_one_pass(&self) -> bool {
        true
    }
}
