//! Writing an index in shards: what a change touches, and the announcement.

use std::collections::BTreeMap;
use std::fmt::Display;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::WrittenVersion;
use super::models::{Models, add_version, document, read_models};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::publish::RegistryWriter;
use crate::relpath::below;
use crate::source::chunked::check_index;
use crate::source::chunked::shards::{PLACE_DIGITS, Shards, place, shard_path};

/// A larger shard is cut in two. A look-up fetches the announcement, of about 80 bytes a shard, and one shard: at this size,
/// of a million versions with 130 bytes each, 100 KB of the first and as many of the second.
const FULL_BYTES: usize = 128 << 10;

/// An index in shards that is being changed. Shards are only added, so nobody sees the change before the announcement.
pub(super) struct Sharding<'a> {
    pub(super) registry: &'a dyn RegistryWriter,
    /// Names the registry in errors.
    pub(super) location: &'a (dyn Display + Sync),
    pub(super) shards: Shards,
}

/// A shard that is to be written: its prefix, and the document.
type NewShard = (String, Vec<u8>);

impl Sharding<'_> {
    /// Adds versions to the shards that they belong to.
    pub(super) fn add(&mut self, versions: &mut [WrittenVersion]) -> Result<()> {
        let mut touched: BTreeMap<String, Vec<&mut WrittenVersion>> = BTreeMap::new();
        for version in versions {
            let prefix = self.shards.prefix_for(&version.model.name().to_string());
            touched.entry(prefix).or_default().push(version);
        }
        let mut new = Vec::new();
        for (prefix, versions) in touched {
            let mut models = match self.shards.remove(&prefix) {
                Some(digest) => self.read(&digest)?,
                None => Models::new(),
            };
            for version in versions {
                add_version(&mut models, version)?;
            }
            cut(prefix, models, &mut new)?;
        }
        self.write(new)
    }

    /// Puts all models of an index into shards.
    pub(super) fn split(&mut self, models: Models) -> Result<()> {
        let mut new = Vec::new();
        // At once, instead of one digit after another.
        let digits = (document(&models)?.len() / FULL_BYTES)
            .next_power_of_two()
            .ilog2();
        for (prefix, models) in partition(models, digits as usize) {
            cut(prefix, models, &mut new)?;
        }
        self.write(new)
    }

    /// Returns the index that announces the shards.
    pub(super) fn announcement(&self) -> Result<Vec<u8>> {
        let json = self.shards.announcement()?;
        check_index(&json, None, self.location)?;
        Ok(json)
    }

    fn read(&self, digest: &Digest) -> Result<Models> {
        read_shard(self.registry, self.location, digest)
    }

    fn write(&mut self, new: Vec<NewShard>) -> Result<()> {
        let (registry, location) = (self.registry, self.location.to_string());
        let write = |(prefix, json): NewShard| {
            check_index(&json, Some(&prefix), &location)?;
            let digest = Digest::of(&json);
            registry.put_shard(&digest, &json)?;
            Ok((prefix, digest))
        };
        let written: Vec<_> = new.into_par_iter().map(write).collect::<Result<_>>()?;
        for (prefix, digest) in written {
            self.shards.insert(prefix, digest);
        }
        Ok(())
    }
}

/// Reads the models of a shard that is announced.
pub(super) fn read_shard(
    registry: &dyn RegistryWriter,
    location: &(dyn Display + Sync),
    digest: &Digest,
) -> Result<Models> {
    let path = shard_path(digest);
    match registry.read(&path)? {
        Some(json) if Digest::of(&json) == *digest => read_models(&json, (location, &path)),
        Some(_) => Err(Error::registry(
            location,
            format!("{path} has other bytes than announced"),
        )),
        None => Err(Error::registry(
            location,
            format!("{path}, a part of the index, is not there"),
        )),
    }
}

/// Cuts the models of a shard until none is too large. All versions of a model stay together.
fn cut(prefix: String, models: Models, new: &mut Vec<NewShard>) -> Result<()> {
    let json = document(&models)?;
    let is_one = models.values().map(BTreeMap::len).sum::<usize>() <= 1;
    if json.len() <= FULL_BYTES || is_one || prefix.len() >= PLACE_DIGITS {
        new.push((prefix, json));
        return Ok(());
    }
    let mut halves = partition(models, prefix.len() + 1).into_iter();
    halves.try_for_each(|(prefix, models)| cut(prefix, models, new))
}

/// Parts models by the first digits of their places.
fn partition(models: Models, digits: usize) -> BTreeMap<String, Models> {
    let mut parts: BTreeMap<String, Models> = BTreeMap::new();
    for (group, models) in models {
        for (model, versions) in models {
            let place = place(&below(&group, &model));
            let part = parts.entry(place[..digits].to_owned()).or_default();
            let of_group = part.entry(group.clone()).or_default();
            of_group.insert(model, versions);
        }
    }
    parts
}
