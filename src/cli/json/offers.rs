//! What sources offer.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Name;
use crate::Digest;
use crate::manifest::ManifestFile;
use crate::remote::{RegistryFailure, RemoteDetail, RemoteMetadata, RemoteModel};

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Remote<'a> {
    #[serde(flatten)]
    name: Name<'a>,
    source: &'a str,
    manifest_hash: Digest,
    commit: Option<&'a str>,
    total_bytes: Option<u64>,
    files: Option<u64>,
    alias_of: Option<&'a str>,
    installed: bool,
    #[serde(rename = "type")]
    model_type: Option<&'a RawValue>,
    description: Option<&'a RawValue>,
    tags: Tags<'a>,
    metadata: &'a RemoteMetadata,
}

impl<'a> Remote<'a> {
    pub(in crate::cli) fn new(remote: &'a RemoteModel, installed: bool) -> Self {
        // As the index has them: of 100,000 versions, none is read and written again.
        let facts = remote.metadata.raw_facts();
        Self {
            name: Name::from(&remote.model),
            source: &remote.source,
            manifest_hash: remote.manifest_digest,
            commit: remote.commit.as_deref(),
            total_bytes: remote.total_bytes,
            files: remote.files,
            alias_of: remote.alias_of.as_deref(),
            installed,
            model_type: facts.model_type,
            description: facts.description,
            tags: Tags(facts.tags),
            metadata: &remote.metadata,
        }
    }
}

/// A list as it is written, or an empty one.
#[derive(Debug)]
struct Tags<'a>(Option<&'a RawValue>);

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(list) => list.serialize(serializer),
            None => serializer.collect_seq([(); 0]),
        }
    }
}

/// A document with what sources offer.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Offered<'a> {
    pub(in crate::cli) models: Vec<Remote<'a>>,
    pub(in crate::cli) failures: &'a [RegistryFailure],
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct RemoteInfo<'a> {
    #[serde(flatten)]
    model: Remote<'a>,
    chunks: usize,
    content: &'a [ManifestFile],
}

impl<'a> RemoteInfo<'a> {
    pub(in crate::cli) fn new(detail: &'a RemoteDetail, installed: bool) -> Self {
        Self {
            model: Remote {
                total_bytes: detail.total_bytes,
                files: Some(detail.files.len() as u64),
                ..Remote::new(&detail.remote, installed)
            },
            chunks: detail.parts,
            content: &detail.files,
        }
    }
}
