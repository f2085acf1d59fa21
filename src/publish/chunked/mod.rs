//! A chunked registry, written: the other side of [`crate::source::chunked`].
//!
//! The same files give the same bytes. Every file that is at least as large as a chunk starts a new chunk, so that a file
//! that grows does not shift the others; smaller files share chunks, in the order of names. Existing chunks are
//! kept, and shared between versions. The index is replaced last, in one step: consumers see the old state
//! or the new one.

mod index;
mod stream;
mod version;

use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::model::ModelRef;
use crate::progress::tally::Tally;
use crate::progress::{CancelToken, Progress, Step};

pub(crate) use index::add_to_index;
pub(crate) use stream::Stream;
pub(crate) use version::write_version;

/// How versions are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing<'a> {
    /// The size of a chunk, in bytes.
    pub(crate) chunk_bytes: u64,
    /// Aliases of each version.
    pub(crate) aliases: &'a [String],
    pub(crate) cancel: &'a CancelToken,
    pub(crate) progress: Option<&'a dyn Progress>,
}

impl<'a> Writing<'a> {
    fn begin(&self, step: Step<'a>) -> Tally<'a> {
        Tally::new(step, self.progress, self.cancel)
    }
}

/// A version whose chunks and manifest are in a registry, and what its index says of it.
#[derive(Debug)]
pub(crate) struct WrittenVersion {
    pub(crate) model: ModelRef,
    pub(crate) aliases: Vec<String>,
    pub(crate) metadata: Metadata,
    pub(crate) manifest_digest: Digest,
    /// The digest of the manifest that the version had before, once it is in the index; `None` if it is new or unchanged.
    pub(crate) replaced: Option<Digest>,
    pub(crate) files: usize,
    pub(crate) total_bytes: u64,
    pub(crate) chunks: usize,
    /// The number of chunks that the registry did not have, and their total size.
    pub(crate) chunks_written: usize,
    pub(crate) bytes_written: u64,
}
