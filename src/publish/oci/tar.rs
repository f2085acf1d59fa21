//! An image layout in a tar, as other tools copy from and to.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::ArtifactWriter;
use super::layout::{Tagging, address, empty_index, tagged, version};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::http::transport::Payload;
use crate::mutex::Mutex;
use crate::oci::MAX_DOCUMENT_BYTES;
use crate::oci::layout::{INDEX, LAYOUT, blob_path};
use crate::progress::CancelToken;
use crate::publish::tar::TarWriter;
use crate::source::verbatim::TypedDocument;

/// A layout in a tar that is open for writing.
#[derive(Debug)]
pub(super) struct TarLayout {
    tar: TarWriter,
    index: Mutex<Index>,
}

#[derive(Debug)]
struct Index {
    json: Value,
    is_new: bool,
}

/// Writes the artifacts of one model into a tar.
#[derive(Debug)]
pub(super) struct TarLayoutWriter {
    layout: Arc<TarLayout>,
    name: Option<String>,
}

impl TarLayout {
    /// Reads what is there, and keeps others from writing to it until the end, unless nothing will be written.
    pub(super) fn open(path: &Path, cancel: &CancelToken, is_rehearsal: bool) -> Result<Self> {
        let tar = TarWriter::open(path, INDEX, cancel, is_rehearsal)?;
        let json = match tar.read(INDEX, MAX_DOCUMENT_BYTES)? {
            Some(json) => serde_json::from_slice(&json).map_err(|error: serde_json::Error| {
                let index = format!("{}/{INDEX}", path.display());
                Error::damaged_target(index, Some(error.into()))
            })?,
            None if tar.is_new() => empty_index(),
            None => {
                let message = "it is no OCI layout: it has no index.json";
                return Err(Error::registry(path.display(), message));
            }
        };
        Ok(Self {
            tar,
            index: Mutex::new(Index {
                json,
                is_new: false,
            }),
        })
    }

    pub(super) fn writer(self: &Arc<Self>, name: Option<&str>) -> TarLayoutWriter {
        TarLayoutWriter {
            layout: self.clone(),
            name: name.map(str::to_owned),
        }
    }

    /// Says what it is before anything else.
    fn begin(&self) -> Result<()> {
        if self.tar.is_new() {
            let version = version().into_bytes();
            self.tar.put(LAYOUT, &Digest::of(&version), &version)?;
        }
        Ok(())
    }

    /// Puts the new tar in its place, if there is something new.
    pub(super) fn finish(&self) -> Result<()> {
        let mut index = self.index.lock();
        if !self.tar.is_begun() && !index.is_new {
            return Ok(());
        }
        self.begin()?;
        // Without a time, so that the same files give the same bytes.
        self.tar.finish(index.json.to_string().as_bytes(), 0)?;
        index.is_new = false;
        Ok(())
    }
}

impl ArtifactWriter for TarLayoutWriter {
    fn address(&self, tag: &str) -> Option<String> {
        match self.name {
            Some(_) => None,
            None => address(self.layout.tar.path(), tag),
        }
    }

    fn has_blob(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        Ok(self.layout.tar.has(&blob_path(digest), size_bytes))
    }

    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool> {
        self.layout.begin()?;
        self.layout.tar.put(&blob_path(digest), digest, blob)
    }

    fn read_manifest(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        match tagged(&self.layout.index.lock().json, self.name.as_deref(), tag) {
            Some(digest) => self
                .layout
                .tar
                .read(&blob_path(&digest), MAX_DOCUMENT_BYTES),
            None => Ok(None),
        }
    }

    fn digest_of(&self, reference: &str) -> Result<Option<Digest>> {
        let manifest = self.read_manifest(reference)?;
        Ok(manifest.map(|json| Digest::of(&json)))
    }

    fn put_part(&self, manifest: &TypedDocument) -> Result<()> {
        self.put_blob(&manifest.digest, &manifest.json).map(drop)
    }

    fn put_manifest(&self, manifest: &TypedDocument, tags: &[&str]) -> Result<Option<Digest>> {
        self.put_part(manifest)?;
        let tagging = Tagging {
            name: self.name.as_deref(),
            tags,
            location: self.layout.tar.path(),
        };
        let mut index = self.layout.index.lock();
        let replaced = tagging.replaced(&index.json, manifest);
        let json = tagging.apply(index.json.clone(), manifest)?;
        index.is_new |= json != index.json;
        index.json = json;
        Ok(replaced)
    }
}
