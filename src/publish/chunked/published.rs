//! What a registry offers before something is published in it.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::value::RawValue;

use super::index::{Models, Versions};
use super::sharding::read_shard;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::publish::RegistryWriter;
use crate::source::chunked::shards::Shards;

/// A registry that versions are written to.
pub(crate) struct Registry<'a> {
    pub(super) writer: &'a dyn RegistryWriter,
    /// Names it in errors.
    pub(super) location: &'a dyn Display,
    pub(super) published: Published,
}

impl<'a> Registry<'a> {
    /// Reads what it offers.
    pub(crate) fn read(writer: &'a dyn RegistryWriter, location: &'a dyn Display) -> Result<Self> {
        Ok(Self {
            writer,
            location,
            published: Published::read(writer, location)?,
        })
    }
}

/// The index as it was read once, of which few models are looked up.
#[derive(Debug)]
pub(super) enum Published {
    Models(BTreeMap<String, BTreeMap<String, Box<RawValue>>>),
    Shards(Shards),
}

impl Published {
    fn read(registry: &dyn RegistryWriter, location: &dyn Display) -> Result<Self> {
        let Some(json) = registry.read("models.json")? else {
            return Ok(Self::Models(BTreeMap::new()));
        };
        if let Some(shards) = Shards::announced(&json) {
            return Ok(Self::Shards(shards));
        }
        let models = serde_json::from_slice(&json);
        models
            .map(Self::Models)
            .map_err(|error| Error::registry_from(location, "the index is malformed", error))
    }

    /// Returns the manifest of a version; `None` if there is none that can be used.
    pub(super) fn manifest(
        &self,
        model: &ModelRef,
        registry: &Registry<'_>,
    ) -> Result<Option<Manifest>> {
        let Some(digest) = self.digest(model, registry)? else {
            return Ok(None);
        };
        let json = registry.writer.read(&format!("data/{digest}"))?;
        let json = json.filter(|json| Digest::of(json) == digest);
        Ok(json.and_then(|json| Manifest::parse(json, registry.location).ok()))
    }

    fn digest(&self, model: &ModelRef, registry: &Registry<'_>) -> Result<Option<Digest>> {
        let hash = |versions: &Versions| {
            let hash = versions.get(model.version())?.get("hash")?.as_str()?;
            hash.parse().ok()
        };
        let (group, name) = (model.group(), model.model());
        match self {
            Self::Models(models) => {
                let json = models.get(group).and_then(|models| models.get(name));
                let versions = json.and_then(|json| serde_json::from_str(json.get()).ok());
                Ok(versions.as_ref().and_then(hash))
            }
            Self::Shards(shards) => {
                let Some((_, digest)) = shards.of_model(&model.name().to_string()) else {
                    return Ok(None);
                };
                let models: Models = read_shard(registry.writer, registry.location, &digest)?;
                let versions = models.get(group).and_then(|models| models.get(name));
                Ok(versions.and_then(hash))
            }
        }
    }
}
