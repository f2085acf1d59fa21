//! Artifacts of OCI registries, as the specifications have them: for who reads them, [`source::oci`](crate::source), and who
//! writes them, [`publish::oci`](crate::publish).
//!
//! Each layer of an artifact is a blob with a digest and a size. A [manifest](Document) names them, and a tag names the manifest.
//! A registry has repositories, each with its tags, and serves them by the [distribution specification]; a [`layout`] has the same
//! in a folder.
//!
//! [distribution specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

pub(crate) mod docker_hub;
mod document;
pub(crate) mod layout;
mod names;
mod place;
mod platform;
mod stated;
mod wire;

pub(crate) use document::{
    Annotations, Descriptor, Document, ImageManifest, Index, missing_manifest, nested,
};
pub(crate) use names::{is_repository, is_tag, read_digest};
pub(crate) use place::{LAYOUT_SCHEME, RegistryPlace};
pub(crate) use platform::Platform;
pub(crate) use stated::{CONTENT_DIGEST, Stated, stated_digest};

use crate::digest::Digest;

/// The largest manifest or index that is read, in bytes: what registries accept at least, and at most as a rule
/// (distribution specification 1.1, "Pushing Manifests").
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// How many layers a manifest may have, and manifests an index. It is what 4 MiB have room for at 512 bytes each, and a layer
/// with the annotations of ModelPack has about as many. Models that have a layer for each tensor have some thousand.
pub(crate) const MAX_DESCRIPTORS: usize = 8192;

/// Media types of manifests, in the order in which they are preferred.
pub(crate) const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Media types of indexes.
pub(crate) const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// The media types of all documents that can be read, for the header `Accept`: without them, a registry answers 404, or with
/// something older.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// The annotation that names the file that a layer is, for everybody; that of a manifest names what it is.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";
/// The same of ModelPack, which comes first.
pub(crate) const FILE_PATH: &str = "org.cncf.model.filepath";
/// The annotation in which artifacts that this crate published have everything that is known of the model, as JSON.
pub(crate) const METADATA: &str = "modelrack.metadata";
/// The annotation in which artifacts of a mirror have the state of the source that they are.
pub(crate) const SOURCE: &str = "modelrack.source";

/// Where a blob is in a registry, below its repository.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256:{digest}")
}
