//! Mirrors: models of any source in one registry, for places that the sources cannot be reached from.
//!
//! | name | what it is |
//! |---|---|
//! | [`PublishTarget`] | where a mirror is |
//! | [`MirrorOptions`] | which models, and how |
//! | [`MirrorReport`], [`MirroredVersion`], [`MirrorState`], [`FailedMirror`] | what was done, or would be |
//! | [`RegistryLocation`], [`VerifyRegistryOptions`] | a registry that is to be verified |
//! | [`RegistryReport`], [`VerifiedVersion`], [`DamagedDocument`] | what of it is there, and right |
//! | [`Chunking`], [`DEFAULT_CHUNK_BYTES`] | where files are cut that come from no chunked registry |
//!
//! [`Manager::mirror`](crate::Manager::mirror) writes one, and [`MirrorReport`] has an example;
//! [`Manager::verify_registry`](crate::Manager::verify_registry) verifies one. A mirror is a chunked registry like
//! any other: in a folder, it is served as it is, or read from there:
//!
//! ```toml
//! [sources.mirror]
//! url = "file:///media/models"
//! name = ""
//! ```
//!
//! In a tar (`models.tar`), it is one file, which is written in one pass, unpacked with `tar`, or read from where it is
//! (`url = "file:///media/models.tar"`).
//!
//! The empty name says that the names in the registry are whole: a mirror has the models of several sources under the names that
//! they have outside. The variable `<APP>_MODELS_REGISTRY_URL` does the same for an app whose sources are built in.
//!
//! # What stays the same
//!
//! Names, versions, metadata and files. A version of a chunked registry keeps its manifest and its chunks. Versions of other sources
//! are cut into chunks, and the index says under `source_hash` which state of the source they are, so that the next run knows what it
//! has. Their files keep their digests, which is what a [lock](crate::lock) goes by: one that was made outside holds inside.
//!
//! # Interruptions
//!
//! Chunks are written first, manifests then, and the index last: whatever happens, it names only what is there. The next run goes on
//! with what is missing, and a run that finds nothing new asks the sources for no data, and writes nothing. A tar is written beside
//! its place, and takes that when it is whole: a run that is killed leaves the one of before.

pub use crate::engine::mirror::{
    DamagedDocument, FailedMirror, MirrorOptions, MirrorReport, MirrorState, MirroredVersion,
    RegistryReport, VerifiedVersion, VerifyRegistryOptions,
};
pub use crate::publish::{Chunking, DEFAULT_CHUNK_BYTES, PublishTarget};
pub use crate::source::location::RegistryLocation;
