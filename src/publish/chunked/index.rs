//! The index of a chunked registry, `models.json`, and its shards.

use super::models::{INDEX, Models, add_version, document, read_models};
use super::sharding::Sharding;
use super::{Registry, WrittenVersion};
use crate::error::Result;
use crate::source::chunked::shards::Shards;
use crate::source::chunked::{MAX_INDEX_BYTES, check_index};

/// Adds versions and their aliases to the index, all at once, and learns which digests they had before.
///
/// An index that is in shards stays so, and another is put into shards if `in_shards` says so, or if no reader would take it
/// in one document: a reader of before shards cannot read the one and could not have read the other.
pub(crate) fn add_to_index(
    registry: &Registry<'_>,
    in_shards: bool,
    versions: &mut [WrittenVersion],
) -> Result<()> {
    let (registry, location) = (registry.writer, registry.location);
    registry.change_index(&mut |before| {
        let mut sharding = Sharding {
            registry,
            location,
            shards: Shards::default(),
        };
        if let Some(shards) = before.and_then(Shards::announced) {
            sharding.shards = shards;
            sharding.add(versions)?;
            return sharding.announcement();
        }
        let mut models = before.map_or(Ok(Models::new()), |json| {
            read_models(json, (location, INDEX))
        })?;
        for version in &mut *versions {
            add_version(&mut models, version)?;
        }
        let json = document(&models)?;
        if in_shards || json.len() as u64 > MAX_INDEX_BYTES {
            sharding.split(models)?;
            return sharding.announcement();
        }
        check_index(&json, None, format_args!("{location}/{INDEX}"))?;
        Ok(json)
    })
}
