//! What is where in an OCI layout: the documents of a registry in a folder or a tar, for places without a network, and for
//! interchange with `oras`, `skopeo` and `podman` ([image layout]).
//!
//! ```text
//! ├── oci-layout           says that it is one
//! ├── index.json           the manifests, each with its tag as an annotation
//! └── blobs/sha256/<hex>   manifests, configurations and layers
//! ```
//!
//! [image layout]: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md

use crate::digest::Digest;

/// The file that says that a folder is a layout.
pub(crate) const LAYOUT: &str = "oci-layout";
/// The file with the manifests.
pub(crate) const INDEX: &str = "index.json";
/// The annotation with the tag of a manifest.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a blob is, below the folder.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}
