//! Pushing without writing: what would be sent.

use super::ArtifactWriter;
use crate::digest::Digest;
use crate::error::Result;
use crate::http::transport::Payload;
use crate::publish::rehearsal::Rehearsed;
use crate::source::verbatim::TypedDocument;

/// A repository that is read, and not written.
#[derive(Debug)]
pub(super) struct RehearsedRepository {
    repository: Box<dyn ArtifactWriter>,
    rehearsed: Rehearsed,
}

impl RehearsedRepository {
    pub(super) fn new(repository: Box<dyn ArtifactWriter>, rehearsed: &Rehearsed) -> Self {
        Self {
            repository,
            rehearsed: rehearsed.clone(),
        }
    }
}

impl ArtifactWriter for RehearsedRepository {
    fn repository(&self) -> Option<&str> {
        self.repository.repository()
    }

    fn address(&self, tag: &str) -> Option<String> {
        self.repository.address(tag)
    }

    fn has_blob(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.repository.has_blob(digest, size_bytes)
    }

    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool> {
        let is_there = self.has_blob(digest, blob.size_bytes())?;
        Ok(self.rehearsed.would_send(digest, is_there))
    }

    fn read_manifest(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        self.repository.read_manifest(tag)
    }

    fn digest_of(&self, reference: &str) -> Result<Option<Digest>> {
        self.repository.digest_of(reference)
    }

    fn put_part(&self, _: &TypedDocument) -> Result<()> {
        Ok(())
    }

    fn put_manifest(&self, _: &TypedDocument, _: &[&str]) -> Result<Option<Digest>> {
        Ok(None)
    }
}
