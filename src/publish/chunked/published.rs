//! What a registry offers before something is published in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::value::RawValue;

use super::models::{INDEX, Models, VersionText, Versions, read_models};
use super::sharding::read_shard;
use crate::catalog::Metadata;
use crate::digest::Digest;
use crate::error::Result;
use crate::http::transport::Payload;
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::publish::RegistryWriter;
use crate::source::chunked::shards::Shards;

/// A registry that versions are written to.
pub(crate) struct Registry<'a> {
    pub(super) writer: &'a dyn RegistryWriter,
    /// Names it in errors.
    pub(super) location: &'a (dyn Display + Sync),
    published: Published,
}

impl<'a> Registry<'a> {
    /// Reads what it offers.
    pub(crate) fn read(
        writer: &'a dyn RegistryWriter,
        location: &'a (dyn Display + Sync),
    ) -> Result<Self> {
        Ok(Self {
            writer,
            location,
            published: Published::read(writer, location)?,
        })
    }

    /// Returns what it offered of a version when it was read; `None` if there was no such version, or only an alias of that name.
    pub(crate) fn version(&self, model: &ModelRef) -> Result<Option<PublishedVersion>> {
        let versions = self.versions(model)?.unwrap_or_default();
        let Some(entry) = versions.get(model.version()) else {
            return Ok(None);
        };
        let Some(manifest) = entry.digest("hash") else {
            return Ok(None);
        };
        let is_alias = |entry: &VersionText| {
            entry.get::<String>("alias_of").as_deref() == Some(model.version())
        };
        let aliases = versions.iter().filter(|(_, entry)| is_alias(entry));
        Ok(Some(PublishedVersion {
            manifest,
            source: entry.digest("source_hash"),
            metadata: entry.get("metadata").unwrap_or_default(),
            aliases: aliases.map(|(alias, _)| alias.clone()).collect(),
        }))
    }

    /// Returns what it offered of a model when it was read, by version.
    pub(super) fn versions(&self, model: &ModelRef) -> Result<Option<Versions>> {
        self.published.versions(model, self)
    }

    /// Returns the manifest of one of these versions; `None` if there is none that can be used.
    pub(super) fn manifest(&self, versions: &Versions, version: &str) -> Result<Option<Manifest>> {
        let entry = versions.get(version);
        let Some(digest) = entry.and_then(|entry| entry.digest("hash")) else {
            return Ok(None);
        };
        let json = self.writer.read(&format!("data/{digest}"))?;
        let json = json.filter(|json| Digest::of(json) == digest);
        Ok(json.and_then(|json| Manifest::parse(json, self.location).ok()))
    }

    /// Writes the document of a digest, as [`RegistryWriter::put`] does.
    pub(crate) fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool> {
        self.writer.put(digest, document)
    }

    /// Whether all is written in one pass, as [`RegistryWriter::is_in_one_pass`] says.
    pub(crate) fn is_in_one_pass(&self) -> bool {
        self.writer.is_in_one_pass()
    }

    /// Returns whether the document of a digest seems to be there, as [`RegistryWriter::has`] does.
    pub(crate) fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.writer.has(digest, size_bytes)
    }
}

/// What the index says of a version.
#[derive(Debug)]
pub(crate) struct PublishedVersion {
    pub(crate) manifest: Digest,
    /// The state of the source that it is, if it is a mirror's and not that very state.
    pub(crate) source: Option<Digest>,
    pub(crate) metadata: Metadata,
    /// Its other names.
    pub(crate) aliases: BTreeSet<String>,
}

/// The index as it was read once, of which few models are looked up.
#[derive(Debug)]
enum Published {
    Models(BTreeMap<String, BTreeMap<String, Box<RawValue>>>),
    Shards(Shards),
}

impl Published {
    fn read(registry: &dyn RegistryWriter, location: &(dyn Display + Sync)) -> Result<Self> {
        let Some(json) = registry.read(INDEX)? else {
            return Ok(Self::Models(BTreeMap::new()));
        };
        if let Some(shards) = Shards::announced(&json) {
            return Ok(Self::Shards(shards));
        }
        read_models(&json, (location, INDEX)).map(Self::Models)
    }

    /// Returns all versions of a model.
    fn versions(&self, model: &ModelRef, registry: &Registry<'_>) -> Result<Option<Versions>> {
        let (group, name) = (model.group(), model.model());
        match self {
            Self::Models(models) => {
                let json = models.get(group).and_then(|models| models.get(name));
                Ok(json.and_then(|json| serde_json::from_str(json.get()).ok()))
            }
            Self::Shards(shards) => {
                let Some((_, digest)) = shards.of_model(&model.name().to_string()) else {
                    return Ok(None);
                };
                let mut models: Models = read_shard(registry.writer, registry.location, &digest)?;
                let text = models.get_mut(group).and_then(|models| models.remove(name));
                text.map(|text| text.versions()).transpose()
            }
        }
    }
}
