//! Publishing without writing: what would be sent.

use std::collections::HashSet;
use std::sync::Arc;

use super::{IndexChange, RegistryWriter};
use crate::digest::Digest;
use crate::error::Result;
use crate::http::transport::Payload;
use crate::mutex::Mutex;

/// What would have been sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Rehearsed(Arc<Mutex<HashSet<Digest>>>);

impl Rehearsed {
    /// Whether a document would be sent, which is there afterwards.
    pub(super) fn would_send(&self, digest: &Digest, is_there: bool) -> bool {
        !is_there && self.0.lock().insert(*digest)
    }
}

/// A registry that is read, and not written.
#[derive(Debug)]
pub(super) struct RehearsedRegistry {
    registry: Box<dyn RegistryWriter>,
    rehearsed: Rehearsed,
}

impl RehearsedRegistry {
    pub(super) fn new(registry: Box<dyn RegistryWriter>) -> Self {
        Self {
            registry,
            rehearsed: Rehearsed::default(),
        }
    }
}

impl RegistryWriter for RehearsedRegistry {
    fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool> {
        let is_there = self.registry.has(digest, document.size_bytes())?;
        Ok(self.rehearsed.would_send(digest, is_there))
    }

    fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.registry.has(digest, size_bytes)
    }

    fn put_shard(&self, _: &Digest, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.registry.read(path)
    }

    /// Finds out what the index says against it.
    fn change_index(&self, change: &mut IndexChange<'_>) -> Result<()> {
        let before = self.registry.read("models.json")?;
        change(before.as_deref()).map(drop)
    }

    fn is_in_one_pass(&self) -> bool {
        self.registry.is_in_one_pass()
    }

    fn workers(&self) -> usize {
        self.registry.workers()
    }
}
