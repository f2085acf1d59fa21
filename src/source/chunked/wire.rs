//! `models.json`.
//!
//! ```json
//! {"<group>": {"<model>": {"<version>": {"hash": "<sha256 of the manifest>", "metadata": {}, "alias_of": "<version>"}}}}
//! ```
//!
//! An entry with `alias_of` needs no hash: it is another name for that version of the same model. A group may have
//! several segments. The index may be large, so a lookup reads past everything it does not ask for.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::catalog::{RemoteMetadata, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::model::ModelName;
use crate::near::nearest;
use crate::relpath::{below, shown};
use crate::source::Identity;
use crate::url::Url;

/// How long a chain of aliases may be.
const MAX_ALIASES: usize = 16;

/// What is wrong with an index.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) message: String,
    pub(super) source: Option<serde_json::Error>,
}

impl Malformed {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Names the document in an error.
    pub(super) fn at(self, url: &Url) -> Error {
        ErrorKind::Registry {
            location: url.to_string(),
            message: self.message,
            source: self.source.map(Into::into),
        }
        .into()
    }

    fn json(error: serde_json::Error) -> Self {
        // What we said ourselves while reading comes back as the parser's word.
        Self {
            message: "the index is malformed".into(),
            source: Some(error),
        }
    }
}

/// One entry of the index.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(default)]
    hash: Option<Digest>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
    #[serde(default)]
    alias_of: Option<String>,
}

type Versions = BTreeMap<String, Entry>;

/// Follows aliases to the version that has a manifest.
fn manifest_of(versions: &Versions, version: &str) -> Result<Digest, Malformed> {
    let mut name = version;
    for _ in 0..MAX_ALIASES {
        let entry = versions.get(name).ok_or_else(|| {
            Malformed::new(format!(
                "version '{}' is an alias of a version that does not exist",
                shown(version)
            ))
        })?;
        match (&entry.alias_of, entry.hash) {
            (Some(target), _) => name = target,
            (None, Some(hash)) => return Ok(hash),
            (None, None) => {
                return Err(Malformed::new(format!(
                    "version '{}' has neither hash nor alias_of",
                    shown(name)
                )));
            }
        }
    }
    Err(Malformed::new(format!(
        "the aliases of version '{}' form a loop",
        shown(version)
    )))
}

/// One version of a model, its metadata being its own or, for an alias, that of the version it names.
fn remote(
    identity: &Identity,
    name: &ModelName,
    version: String,
    manifest_digest: Digest,
    alias_of: Option<String>,
    metadata: Option<Box<RawValue>>,
) -> Result<RemoteModel, Malformed> {
    let metadata = match metadata {
        Some(json) => RemoteMetadata::of_json(json).ok_or_else(|| {
            let version = shown(&version);
            Malformed::new(format!(
                "the metadata of version '{version}' is not an object"
            ))
        })?,
        None => RemoteMetadata::default(),
    };
    let model = name
        .clone()
        .version(version)
        .map_err(|error| Malformed::new(format!("in the index, {error}")))?;
    Ok(RemoteModel {
        alias_of,
        metadata,
        ..RemoteModel::new(model, &*identity.key, manifest_digest)
    })
}

fn metadata_of_target(versions: &Versions, entry: &Entry) -> Option<Box<RawValue>> {
    versions.get(entry.alias_of.as_deref()?)?.metadata.clone()
}

fn name_of(identity: &Identity, group: &str, model: &str) -> Result<ModelName, Malformed> {
    let group = match (identity.name.as_str(), group) {
        ("", group) => group.to_owned(),
        (name, "") => name.to_owned(),
        (name, group) => format!("{name}/{group}"),
    };
    ModelName::new(&group, model).map_err(|error| Malformed::new(format!("in the index, {error}")))
}

/// Reads everything, in the order of names.
pub(super) fn read_all(json: &[u8], identity: &Identity) -> Result<Vec<RemoteModel>, Malformed> {
    let groups: BTreeMap<String, BTreeMap<String, Versions>> =
        serde_json::from_slice(json).map_err(Malformed::json)?;
    let mut all = Vec::new();
    let mut names = HashSet::new();
    for (group, models) in groups {
        for (model, versions) in models {
            let name = name_of(identity, &group, &model)?;
            if !names.insert(name.to_string().to_lowercase()) {
                return Err(Malformed::new(format!(
                    "in the index, the name '{name}' differs from another only in case"
                )));
            }
            distinct_versions(&versions)?;
            // Aliases look at other entries, so they are followed before the entries are taken apart.
            let mut followed = Vec::with_capacity(versions.len());
            for (version, entry) in &versions {
                let borrowed = match entry.metadata {
                    Some(_) => None,
                    None => metadata_of_target(&versions, entry),
                };
                followed.push((manifest_of(&versions, version)?, borrowed));
            }
            for ((version, entry), (digest, borrowed)) in versions.into_iter().zip(followed) {
                let metadata = entry.metadata.or(borrowed);
                all.push(remote(
                    identity,
                    &name,
                    version,
                    digest,
                    entry.alias_of,
                    metadata,
                )?);
            }
        }
    }
    Ok(all)
}

/// Checks everything, before an index is published.
#[cfg(feature = "author")]
pub(super) fn check(json: &[u8]) -> Result<(), Malformed> {
    let identity = Identity {
        key: String::new(),
        name: String::new(),
    };
    read_all(json, &identity).map(drop)
}

fn distinct_versions(versions: &Versions) -> Result<(), Malformed> {
    // Keys are distinct to the letter: only capitals, and letters beyond ASCII, could make two of them one.
    let may_meet = |version: &String| {
        version
            .bytes()
            .any(|b| !b.is_ascii() || b.is_ascii_uppercase())
    };
    if !versions.keys().any(may_meet) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(versions.len());
    match versions
        .keys()
        .find(|version| !seen.insert(version.to_lowercase()))
    {
        Some(version) => Err(Malformed::new(format!(
            "in the index, the version '{}' differs from another only in case",
            shown(version)
        ))),
        None => Ok(()),
    }
}

/// Checks that it is an object of groups of models, whatever is said of them; nothing is kept.
pub(super) fn check_shape(reader: impl Read) -> Result<(), Malformed> {
    serde_json::from_reader::<_, Passed<Passed<IgnoredAny>>>(reader)
        .map(drop)
        .map_err(Malformed::json)
}

/// An object that is read past.
struct Passed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Passed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Passed<T> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of groups of models")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, T>()?.is_some() {}
        Ok(self)
    }
}

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Lookup {
    Found(Versions),
    /// Names (`group/model`) that come near.
    Near(Vec<String>),
}

/// Reads the versions of one model.
pub(super) fn read_model(reader: impl Read, group: &str, model: &str) -> Result<Lookup, Malformed> {
    let mut found = None;
    let mut names = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    deserializer
        .deserialize_map(Groups {
            group,
            model,
            found: &mut found,
            names: &mut names,
        })
        .and_then(|()| deserializer.end())
        .map_err(Malformed::json)?;
    match found {
        Some(versions) => {
            distinct_versions(&versions)?;
            Ok(Lookup::Found(versions))
        }
        None => {
            let names = names.iter().map(String::as_str);
            Ok(Lookup::Near(nearest(&below(group, model), names)))
        }
    }
}

/// Picks the version asked for, or the only one; `url` names the index in errors.
pub(super) fn choose(
    versions: &Versions,
    identity: &Identity,
    (group, model): (&str, &str),
    version: Option<&str>,
    url: &Url,
) -> Result<RemoteModel> {
    let name = name_of(identity, group, model).map_err(|error| error.at(url))?;
    let mut real = versions
        .iter()
        .filter(|(_, entry)| entry.alias_of.is_none());
    let wanted = match (version, real.next(), real.next()) {
        (Some(version), ..) => version,
        (None, Some((only, _)), None) => only,
        _ => {
            return Err(Error::from(ErrorKind::InvalidRef {
                input: name.to_string(),
                message: "has several versions".into(),
                choices: versions
                    .keys()
                    .map(|version| format!("{name} {version}"))
                    .collect(),
            }));
        }
    };
    let Some(entry) = versions.get(wanted) else {
        let mut near = nearest(wanted, versions.keys().map(String::as_str));
        if near.is_empty() && versions.len() <= 10 {
            near = versions.keys().cloned().collect();
        }
        return Err(Error::from(ErrorKind::VersionNotFound {
            model: name.to_string(),
            version: wanted.to_owned(),
            near,
            is_revision: false,
        }));
    };
    let metadata = entry.metadata.clone();
    let metadata = metadata.or_else(|| metadata_of_target(versions, entry));
    let alias_of = entry.alias_of.clone();
    manifest_of(versions, wanted)
        .and_then(|digest| {
            remote(
                identity,
                &name,
                wanted.to_owned(),
                digest,
                alias_of,
                metadata,
            )
        })
        .map_err(|error| error.at(url))
}

/// Reads group → model → versions, keeping the versions of one model and, for suggestions, the names of all.
struct Groups<'a> {
    group: &'a str,
    model: &'a str,
    found: &'a mut Option<Versions>,
    names: &'a mut Vec<String>,
}

impl<'de> Visitor<'de> for Groups<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of groups")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(group) = map.next_key::<String>()? {
            refuse_other_case(&group, self.group)?;
            map.next_value_seed(Models {
                group: &group,
                model: (group == self.group).then_some(self.model),
                found: &mut *self.found,
                names: &mut *self.names,
            })?;
        }
        Ok(())
    }
}

/// Reads model → versions of one group.
struct Models<'a> {
    group: &'a str,
    model: Option<&'a str>,
    found: &'a mut Option<Versions>,
    names: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Models<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Models<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of models")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(model) = map.next_key::<String>()? {
            if let Some(wanted) = self.model {
                refuse_other_case(&model, wanted)?;
            }
            if self.model == Some(model.as_str()) {
                *self.found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                self.names.push(below(self.group, &model));
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
