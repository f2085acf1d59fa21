//! What the versions of a registry name.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use serde::Deserialize;

use super::models::{INDEX, Models, read_models};
use super::sharding::read_shard;
use crate::at_once::at_once;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::progress::CancelToken;
use crate::publish::RegistryWriter;
use crate::relpath::below;
use crate::source::chunked::shards::Shards;

/// What the index names, and what the manifests do that it names. What was named once stays so, even if the index has changed.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The index as it was read last.
    index: Vec<u8>,
    shards: HashSet<Digest>,
    manifests: HashSet<Digest>,
    chunks: HashSet<Digest>,
    /// The number of versions in the index.
    pub(crate) versions: usize,
}

/// The part of a manifest that names chunks. Some name empty ones, which nobody needs to pull.
#[derive(Deserialize)]
struct ChunksWire {
    #[serde(default)]
    chunks: Vec<Digest>,
}

/// A registry that is read from.
#[derive(Clone, Copy)]
pub(crate) struct ReadRegistry<'a> {
    pub(crate) registry: &'a dyn RegistryWriter,
    /// Names it in errors.
    pub(crate) location: &'a (dyn Display + Sync),
    pub(crate) cancel: &'a CancelToken,
}

impl Named {
    pub(crate) fn has_document(&self, digest: &Digest) -> bool {
        self.manifests.contains(digest) || self.chunks.contains(digest)
    }

    pub(crate) fn has_shard(&self, digest: &Digest) -> bool {
        self.shards.contains(digest)
    }

    /// Reads the index and, if it has changed, what is new of what it names.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) if there is no index, or anything that it names cannot be read.
    pub(crate) fn read(&mut self, from: ReadRegistry<'_>) -> Result<()> {
        let ReadRegistry {
            registry, location, ..
        } = from;
        let Some(json) = registry.read(INDEX)? else {
            let message = "there is no registry: it has no models.json, or none that may be read";
            return Err(Error::registry(location, message));
        };
        if json == self.index {
            return Ok(());
        }
        let mut manifests = HashMap::new();
        self.versions = 0;
        match Shards::announced(&json) {
            None => {
                let models = read_models(&json, (location, INDEX))?;
                self.versions = manifests_of(models, location, &mut manifests)?;
            }
            Some(shards) => {
                let shards: Vec<Digest> = shards.iter().map(|(_, digest)| digest).collect();
                let read = at_once(&shards, |digest| {
                    from.cancel.check()?;
                    read_shard(registry, location, digest)
                });
                for models in read {
                    self.versions += manifests_of(models?, location, &mut manifests)?;
                }
                self.shards.extend(shards);
            }
        }
        manifests.retain(|digest, _| !self.manifests.contains(digest));
        let manifests: Vec<(Digest, String)> = manifests.into_iter().collect();
        let chunks = at_once(&manifests, |(digest, model)| {
            from.cancel.check()?;
            from.chunks_of(digest, model)
        });
        for chunks in chunks {
            self.chunks.extend(chunks?);
        }
        self.manifests
            .extend(manifests.into_iter().map(|(digest, _)| digest));
        self.index = json;
        Ok(())
    }
}

impl ReadRegistry<'_> {
    /// Returns the chunks that the manifest of a model names.
    fn chunks_of(&self, digest: &Digest, model: &str) -> Result<Vec<Digest>> {
        let path = format!("data/{digest}");
        let refuse = |message: &str| {
            let message = format!("{path}, the manifest of {model}, {message}");
            Error::registry(self.location, message)
        };
        let json = self.registry.read(&path)?;
        let json = json.ok_or_else(|| refuse("is not there"))?;
        if Digest::of(&json) != *digest {
            return Err(refuse("has other bytes than its name says"));
        }
        let chunks = serde_json::from_slice(&json);
        let ChunksWire { chunks } = chunks.map_err(|_| refuse("is malformed"))?;
        // What is more than this program knows could name more.
        Manifest::parse_listing(json, self.location)
            .map_err(|error| error.step(format!("the manifest of {model}")))?;
        Ok(chunks)
    }
}

/// Adds the manifests of the versions of an index or a shard, each with one of its versions; returns the number of versions.
fn manifests_of(
    models: Models,
    location: &dyn Display,
    manifests: &mut HashMap<Digest, String>,
) -> Result<usize> {
    let mut count = 0;
    for (group, models) in models {
        for (model, versions) in models {
            for (version, entry) in versions.versions()? {
                if entry.has("alias_of") && !entry.has("hash") {
                    continue;
                }
                let name = format!("{} {version}", below(&group, &model));
                let Some(digest) = entry.digest("hash") else {
                    let message = format!("the index names no manifest of {name}");
                    return Err(Error::registry(location, message));
                };
                manifests.insert(digest, name);
                count += 1;
            }
        }
    }
    Ok(count)
}
