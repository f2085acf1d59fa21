//! `models.json`, whose format [`crate::remote`] shows. A group may have several segments. The index may be large, so a
//! lookup skips everything that it does not need.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::catalog::{RemoteMetadata, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::near::nearest;
use crate::relpath::{InvalidName, below, shown};
use crate::source::{Identity, choose_version};

/// How long a chain of aliases may be.
const MAX_ALIASES: usize = 16;

/// One entry of the index.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    hash: Option<Digest>,
    metadata: Option<Box<RawValue>>,
    alias_of: Option<String>,
}

type Versions = BTreeMap<String, Entry>;

/// Follows aliases to the version that has a manifest.
fn manifest_of(versions: &Versions, version: &str) -> Result<Digest, String> {
    let mut name = version;
    for _ in 0..MAX_ALIASES {
        let missing = || {
            let version = shown(version);
            format!("version '{version}' is an alias of a version that does not exist")
        };
        let entry = versions.get(name).ok_or_else(missing)?;
        match (&entry.alias_of, entry.hash) {
            (Some(target), _) => name = target,
            (None, Some(hash)) => return Ok(hash),
            (None, None) => {
                let name = shown(name);
                return Err(format!("version '{name}' has neither hash nor alias_of"));
            }
        }
    }
    let version = shown(version);
    Err(format!("the aliases of version '{version}' form a loop"))
}

/// The digest of a version's manifest and, for an alias without metadata, that of the version it names.
fn follow(versions: &Versions, version: &str) -> Result<(Digest, Option<Box<RawValue>>), String> {
    let digest = manifest_of(versions, version)?;
    let of_target = || {
        let entry = versions.get(version)?;
        let target = versions.get(entry.alias_of.as_deref()?)?;
        target.metadata.clone().filter(|_| entry.metadata.is_none())
    };
    Ok((digest, of_target()))
}

fn remote(
    identity: &Identity,
    name: &ModelName,
    version: String,
    entry: Entry,
    (digest, of_target): (Digest, Option<Box<RawValue>>),
) -> Result<RemoteModel, String> {
    let metadata = match entry.metadata.or(of_target) {
        Some(json) => RemoteMetadata::of_json(json).ok_or_else(|| {
            let version = shown(&version);
            format!("the metadata of version '{version}' is not an object")
        })?,
        None => RemoteMetadata::default(),
    };
    let model = name.clone().version(version).map_err(in_index)?;
    Ok(RemoteModel {
        alias_of: entry.alias_of,
        metadata,
        ..RemoteModel::new(model, &*identity.key, digest)
    })
}

fn name_of(identity: &Identity, group: &str, model: &str) -> Result<ModelName, String> {
    let group = match (identity.name.as_str(), group) {
        ("", group) => group.to_owned(),
        (name, "") => name.to_owned(),
        (name, group) => format!("{name}/{group}"),
    };
    ModelName::new(&group, model).map_err(in_index)
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
fn in_index(error: InvalidName) -> String {
    format!("in the index, {error}")
}

/// Reads everything, in the order of names; `location` names the index in errors.
pub(super) fn read_all(
    json: &[u8],
    identity: &Identity,
    location: impl Display,
) -> Result<Vec<RemoteModel>> {
    let groups = serde_json::from_slice(json).map_err(|error| malformed(&location, error))?;
    all_of(groups, identity).map_err(|message| Error::registry(location, message))
}

fn all_of(
    groups: BTreeMap<String, BTreeMap<String, Versions>>,
    identity: &Identity,
) -> Result<Vec<RemoteModel>, String> {
    let versions = groups.values().flat_map(BTreeMap::values);
    let mut all = Vec::with_capacity(versions.map(BTreeMap::len).sum());
    let mut names = HashSet::new();
    for (group, models) in groups {
        for (model, versions) in models {
            let name = name_of(identity, &group, &model)?;
            if !names.insert(name.to_string().to_lowercase()) {
                return Err(format!(
                    "in the index, the name '{name}' differs from another only in case"
                ));
            }
            distinct_versions(&versions)?;
            // Aliases look at other entries, so they are followed before the entries are taken apart.
            let followed = versions.keys().map(|version| follow(&versions, version));
            let followed = followed.collect::<Result<Vec<_>, _>>()?;
            for ((version, entry), followed) in versions.into_iter().zip(followed) {
                all.push(remote(identity, &name, version, entry, followed)?);
            }
        }
    }
    Ok(all)
}

/// Checks everything, before an index is published; `location` names it in errors.
#[cfg(feature = "author")]
pub(super) fn check(json: &[u8], location: impl Display) -> Result<()> {
    read_all(json, &Identity::default(), location).map(drop)
}

fn distinct_versions(versions: &Versions) -> Result<(), String> {
    // Keys are distinct to the letter: only capitals, and letters beyond ASCII, could make two of them one.
    let may_meet = |b: u8| !b.is_ascii() || b.is_ascii_uppercase();
    if !versions.keys().any(|version| version.bytes().any(may_meet)) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(versions.len());
    let mut names = versions.keys();
    match names.find(|version| !seen.insert(version.to_lowercase())) {
        Some(version) => Err(format!(
            "in the index, the version '{}' differs from another only in case",
            shown(version)
        )),
        None => Ok(()),
    }
}

fn malformed(location: impl Display, error: serde_json::Error) -> Error {
    // What was said here while reading comes back as the parser's word.
    Error::registry_from(location, "the index is malformed", error)
}

/// Checks that it is an object of groups of models, whatever is said of them; nothing is kept.
pub(super) fn check_shape(reader: impl Read, location: impl Display) -> Result<()> {
    visit(reader, Members::default(), location)
}

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Lookup {
    Found(Versions),
    /// Names (`group/model`) that come near.
    Near(Vec<String>),
}

/// Reads the versions of one model; `location` names the index in errors.
pub(super) fn read_model(
    reader: impl Read,
    group: &str,
    model: &str,
    location: impl Display,
) -> Result<Lookup> {
    let mut search = Search {
        group,
        model,
        found: None,
        others: Vec::new(),
    };
    let members = Members {
        group: None,
        search: Some(&mut search),
    };
    visit(reader, members, &location)?;
    let Some(versions) = search.found else {
        let names = search.others.iter().map(String::as_str);
        return Ok(Lookup::Near(nearest(&below(group, model), names)));
    };
    distinct_versions(&versions).map_err(|message| Error::registry(location, message))?;
    Ok(Lookup::Found(versions))
}

/// Picks the version asked for, or the only one; `location` names the index in errors.
pub(super) fn choose(
    mut versions: Versions,
    identity: &Identity,
    (group, model): (&str, &str),
    version: Option<&str>,
    location: impl Display,
) -> Result<RemoteModel> {
    let refuse = |message| Error::registry(&location, message);
    let name = name_of(identity, group, model).map_err(refuse)?;
    let names: Vec<&str> = versions.keys().map(String::as_str).collect();
    let mut real = versions.iter().filter(|(_, it)| it.alias_of.is_none());
    let only = match (real.next(), real.next()) {
        (Some((only, _)), None) => Some(only.as_str()),
        _ => None,
    };
    let version = choose_version(&name.to_string(), &names, version.or(only))?.to_owned();
    let followed = follow(&versions, &version).map_err(refuse)?;
    let entry = versions.remove(&version).unwrap_or_default();
    remote(identity, &name, version, entry, followed).map_err(refuse)
}

/// A model that is looked for while an index is read.
struct Search<'a> {
    group: &'a str,
    model: &'a str,
    found: Option<Versions>,
    /// The names of all other models, for suggestions.
    others: Vec<String>,
}

/// Reads past an object of groups of models, or of the models of a group.
#[derive(Default)]
struct Members<'m, 'a> {
    /// The group that the models are of; `None` for the object of groups.
    group: Option<&'m str>,
    search: Option<&'m mut Search<'a>>,
}

fn visit(reader: impl Read, members: Members<'_, '_>, location: impl Display) -> Result<()> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = members.deserialize(&mut deserializer);
    let read = read.and_then(|()| deserializer.end());
    read.map_err(|error| malformed(location, error))
}

impl<'de> DeserializeSeed<'de> for Members<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.search, self.group) {
            (None, _) => "an object of groups of models",
            (Some(_), None) => "an object of groups",
            (Some(_), Some(_)) => "an object of models",
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let Some(group) = self.group else {
                if let Some(search) = &self.search {
                    refuse_other_case(&name, search.group)?;
                }
                map.next_value_seed(Members {
                    group: Some(&name),
                    search: self.search.as_deref_mut(),
                })?;
                continue;
            };
            match &mut self.search {
                None => _ = map.next_value::<IgnoredAny>()?,
                Some(search) => {
                    if group == search.group {
                        refuse_other_case(&name, search.model)?;
                    }
                    if (group, name.as_str()) == (search.group, search.model) {
                        search.found = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        search.others.push(below(group, &name));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A system that ignores case would keep both in one folder.
fn refuse_other_case<E: serde::de::Error>(name: &str, wanted: &str) -> Result<(), E> {
    if name != wanted && name.to_lowercase() == wanted.to_lowercase() {
        return Err(E::custom(format!(
            "the name '{}' differs from '{wanted}' only in case",
            shown(name)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
