//! Writing registries that others pull from.
//!
//! What a registry consists of is one thing, and where it is written another. The first is a folder here: [`chunked`] or
//! [`oci`]. The second is a [`RegistryWriter`], which puts documents into a [`folder`], an [`archive`] or a [`bucket`], or an
//! [`ArtifactWriter`].

mod archive;
mod bucket;
pub(crate) mod chunked;
mod counted;
mod destination;
mod folder;
mod hashing;
pub(crate) mod oci;
#[cfg(feature = "author")]
pub(crate) mod prune;
#[cfg(feature = "author")]
mod rehearsal;
mod tar;
mod target;

use std::fmt;

use crate::digest::Digest;
use crate::error::Result;
use crate::http::transport::Payload;

pub use chunked::{Chunking, DEFAULT_CHUNK_BYTES};
pub(crate) use chunked::{Registry, Stream, Writing, WrittenVersion, check_chunk_bytes};
#[cfg(feature = "author")]
pub(crate) use destination::Destination;
pub(crate) use destination::{Opened, Opening};
pub(crate) use oci::ArtifactWriter;
pub use target::PublishTarget;

/// Makes the index anew: of what it is, or of `None` while there is none.
pub(crate) type IndexChange<'a> = dyn FnMut(Option<&[u8]>) -> Result<Vec<u8>> + 'a;

/// Puts the documents of one registry where it is. Many threads use it at once.
pub(crate) trait RegistryWriter: Send + Sync + fmt::Debug {
    /// Writes the document of a digest, unless it is there; returns whether it was written. Whoever reads the registry sees it
    /// whole or not at all.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the document has another digest.
    fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool>;

    /// Returns whether the document of a digest seems to be there, for a plan: [`put`](Self::put) makes sure.
    fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool>;

    /// Writes a part of the index, `models/<sha256>.json`, unless it is there. Nobody reads it before the index names it.
    fn put_shard(&self, digest: &Digest, json: &[u8]) -> Result<()>;

    /// Reads a document at a path of the registry, such as `models.json`; `None` when there is none, or none that can be read
    /// again.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// Replaces the index in one step, after everything that it names. Where somebody else was faster, `change` is called
    /// again with what they wrote.
    fn change_index(&self, change: &mut IndexChange<'_>) -> Result<()>;

    /// Whether all is written in one pass, at whose end others see it: replacing the index several times takes as many passes.
    fn is_in_one_pass(&self) -> bool {
        false
    }

    /// How many documents are written at once; zero for as many as there are processors.
    fn workers(&self) -> usize {
        0
    }
}
