//! A version as the documents that it consists of at its source, to be passed on as they are.

use crate::digest::Digest;
use crate::manifest::Manifest;

/// A version whose name stands for a document that names all others by their digests.
#[derive(Debug, Clone)]
pub(crate) struct Verbatim {
    /// What the name of the version stands for.
    pub(crate) root: TypedDocument,
    /// The documents that the root names, if it is a list of such.
    pub(crate) parts: Vec<TypedDocument>,
    /// Blobs that are here already, because they are small, each once.
    pub(crate) known: Vec<(Digest, Vec<u8>)>,
    /// All other blobs, as files that are called by their digests; where they are, [`Source::places`](super::Source::places) says.
    pub(crate) blobs: Manifest,
}

/// A document with the media type that it has to have wherever it is.
#[derive(Debug, Clone)]
pub(crate) struct TypedDocument {
    pub(crate) digest: Digest,
    pub(crate) media_type: &'static str,
    pub(crate) json: Vec<u8>,
}
