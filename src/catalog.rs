//! What sources offer.

use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;

/// Free-form facts that a registry states about a version: `description`, `type`, `tags` and whatever else.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// One version that a source offers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RemoteModel {
    /// Its name, with the source's name in front.
    pub model: ModelRef,
    /// The key of the source; empty for the one given by a plain registry URL.
    pub source: String,
    /// The digest of its manifest, which tells whether it changed.
    pub manifest_digest: Digest,
    /// The version that this one is another name for.
    pub alias_of: Option<String>,
    /// What the registry says about it; may be empty.
    pub metadata: Metadata,
}

impl RemoteModel {
    /// Makes the offer of a source, with no alias and no metadata.
    #[must_use]
    pub fn new(model: ModelRef, source: impl Into<String>, manifest_digest: Digest) -> Self {
        Self {
            model,
            source: source.into(),
            manifest_digest,
            alias_of: None,
            metadata: Metadata::new(),
        }
    }
}

impl RemoteModel {
    /// Returns the `description` of the metadata.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        description(&self.metadata)
    }

    /// Returns the `type` of the metadata.
    #[must_use]
    pub fn model_type(&self) -> Option<&str> {
        self.metadata.get("type")?.as_str()
    }

    /// Returns the `tags` of the metadata; may be empty.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        tags(&self.metadata)
    }
}

/// One version that a source offers, with its files.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteDetail {
    /// What the index says.
    pub remote: RemoteModel,
    /// The files, with sizes and digests.
    pub manifest: Manifest,
}

impl RemoteDetail {
    /// Joins an offer and its manifest.
    #[must_use]
    pub fn new(remote: RemoteModel, manifest: Manifest) -> Self {
        Self { remote, manifest }
    }
}

impl RemoteDetail {
    /// Returns the files.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        self.manifest.files()
    }
}

pub(crate) fn description(metadata: &Metadata) -> Option<&str> {
    metadata.get("description")?.as_str()
}

pub(crate) fn tags(metadata: &Metadata) -> impl Iterator<Item = &str> {
    metadata
        .get("tags")
        .and_then(|tags| tags.as_array())
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.as_str())
}
