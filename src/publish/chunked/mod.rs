//! A chunked registry, written: the other side of [`crate::source::chunked`].
//!
//! The same files give the same bytes. Every file that is large enough starts a new chunk, so that a file that grows does not
//! shift the others; smaller files share chunks, in the order of names. Existing chunks are kept, and shared between versions,
//! which are cut as those of their model before. A version that is published again with the same files keeps its manifest, however
//! they would be cut now. The index is replaced last, in one step: consumers see the old state or the new one.

mod chunks;
mod content;
mod cuts;
mod cutting;
mod earlier;
mod index;
mod models;
#[cfg(feature = "author")]
mod named;
mod published;
mod search;
mod sharding;
mod stream;
mod version;

use std::fmt;
use std::str::FromStr;

use crate::catalog::{Metadata, RawMetadata};
use crate::digest::Digest;
use crate::error::{Error, Result as CrateResult};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::progress::tally::Tally;
use crate::progress::{CancelToken, Progress, Step};

pub(crate) use index::add_to_index;
#[cfg(feature = "author")]
pub(crate) use named::{Named, ReadRegistry};
pub(crate) use published::{PublishedVersion, Registry};
pub(crate) use stream::Stream;

/// The default size of a chunk, in bytes: 8 MiB. Larger chunks take fewer requests; smaller ones are more often shared by
/// versions, and fetched again after an error in less time.
///
/// ```
/// use modelrack::mirror::{DEFAULT_CHUNK_BYTES, MirrorOptions};
///
/// assert_eq!(MirrorOptions::default().chunk_bytes, DEFAULT_CHUNK_BYTES);
/// assert_eq!(DEFAULT_CHUNK_BYTES, 8 << 20);
/// ```
pub const DEFAULT_CHUNK_BYTES: u64 = 8 << 20;

/// Where a version is cut into chunks.
///
/// ```
/// use modelrack::mirror::{Chunking, MirrorOptions};
///
/// let options = MirrorOptions::default().chunking(Chunking::Fixed);
/// assert_eq!(options.chunking, Some(Chunking::Fixed));
/// assert_eq!(Chunking::Fixed.to_string(), "fixed");
/// assert_eq!("content".parse(), Ok(Chunking::Content));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunking {
    /// At equal distances: what is inserted into a file shifts all that comes after it.
    Fixed,
    /// Where the content says (in the manner of FastCDC), so that all chunks but a few survive an insertion. They have from a
    /// quarter to four times the size that is asked for, and six tenths of it on average.
    Content,
}

impl Chunking {
    /// All of them, with what they are called.
    pub(crate) const ALL: [(Self, &str); 2] = [(Self::Fixed, "fixed"), (Self::Content, "content")];
}

impl fmt::Display for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(chunking, _)| chunking == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Chunking {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.iter().find(|(_, name)| *name == text);
        let unknown = || format!("'{}' is neither fixed nor content", text.escape_debug());
        named.map(|(chunking, _)| *chunking).ok_or_else(unknown)
    }
}

/// How versions are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing<'a> {
    /// The size of a chunk, in bytes.
    pub(crate) chunk_bytes: u64,
    /// `None` to cut as the versions of a model before.
    pub(crate) chunking: Option<Chunking>,
    /// Aliases of each version.
    pub(crate) aliases: &'a [String],
    /// What is known of the files: they must be that, and keep the names that git has for them.
    pub(crate) known: Option<&'a Manifest>,
    /// The state of a source that the files are, in a mirror.
    pub(crate) source: Option<Digest>,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) progress: Option<&'a dyn Progress>,
}

impl<'a> Writing<'a> {
    pub(crate) fn begin(&self, step: Step<'a>) -> Tally<'a> {
        Tally::new(step, self.progress, self.cancel)
    }
}

/// A version whose chunks and manifest are in a registry, and what its index says of it.
#[derive(Debug)]
pub(crate) struct WrittenVersion {
    pub(crate) model: ModelRef,
    /// What one pulls to get it; `None` if that depends on where the registry is served.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers are told")
    )]
    pub(crate) address: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) metadata: RawMetadata,
    pub(crate) manifest_digest: Digest,
    /// The state of the source that a mirror has the files of, if that is another one.
    pub(crate) source: Option<Digest>,
    /// The digest of the manifest that the version had before, once it is in the index; `None` if it is new or unchanged.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers are told")
    )]
    pub(crate) replaced: Option<Digest>,
    pub(crate) files: usize,
    pub(crate) total_bytes: u64,
    pub(crate) chunks: usize,
    /// The number of chunks that the registry did not have, and their total size.
    pub(crate) chunks_written: usize,
    pub(crate) bytes_written: u64,
    /// The number of chunks that it had, and their total size.
    #[cfg_attr(
        not(feature = "author"),
        allow(dead_code, reason = "only publishers are told")
    )]
    pub(crate) there: (usize, u64),
}

impl WrittenVersion {
    /// A version that was there, of which nothing more is known.
    pub(crate) fn new(model: ModelRef, metadata: &Metadata, manifest_digest: Digest) -> Self {
        Self {
            model,
            address: None,
            aliases: Vec::new(),
            metadata: metadata.into(),
            manifest_digest,
            source: None,
            replaced: None,
            files: 0,
            total_bytes: 0,
            chunks: 0,
            chunks_written: 0,
            bytes_written: 0,
            there: (0, 0),
        }
    }
}

/// Refuses chunks that would be nothing but requests.
pub(crate) fn check_chunk_bytes(bytes: u64) -> CrateResult<()> {
    match bytes {
        ..1024 => Err(Error::argument(format!(
            "the chunk size is {bytes} bytes, and must be 1024 or more"
        ))),
        _ => Ok(()),
    }
}
