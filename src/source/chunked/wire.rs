//! `models.json`, whose format [`crate::remote`] shows. A group may have several segments. The index may be large, so a
//! lookup skips everything that it does not need.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::catalog::{RemoteMetadata, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::{ModelName, ModelRef};
use crate::near::nearest;
use crate::relpath::{self, below, shown};
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
    /// Why it cannot be read.
    #[serde(skip)]
    fault: Option<String>,
}

type Versions = BTreeMap<String, Entry>;

/// Reads the versions of a model, each by itself.
fn read_versions(json: &RawValue) -> Result<Versions, serde_json::Error> {
    let versions: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
    let read = |json: &RawValue| serde_json::from_str(json.get());
    let versions = versions.into_iter().map(|(version, json)| {
        let entry = read(json).unwrap_or_else(|error| Entry {
            fault: Some(words(&error)),
            ..Entry::default()
        });
        (version, entry)
    });
    Ok(versions.collect())
}

/// What a parser says about a part of the index, without the place in that part.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or_default();
    words.to_owned()
}

/// The lower-case forms that several of these names have, which are distinct to the letter.
fn twins<N: AsRef<str>>(names: impl Iterator<Item = N> + Clone) -> HashSet<String> {
    // Only capitals, and letters beyond ASCII, could make two of them one.
    let may_meet = |b: u8| !b.is_ascii() || b.is_ascii_uppercase();
    let mut all = names.clone();
    if !all.any(|name| name.as_ref().bytes().any(may_meet)) {
        return HashSet::new();
    }
    relpath::twins(names)
}

const TWIN: &str = "differs from another only in case";

/// Follows aliases to the version that has a manifest.
fn manifest_of(versions: &Versions, version: &str) -> Result<Digest, String> {
    let mut name = version;
    for _ in 0..MAX_ALIASES {
        let missing = || {
            let version = shown(version);
            format!("version '{version}' is an alias of a version that does not exist")
        };
        let entry = versions.get(name).ok_or_else(missing)?;
        match (&entry.fault, &entry.alias_of, entry.hash) {
            (Some(fault), ..) => return Err(format!("version '{}': {fault}", shown(version))),
            (None, Some(target), _) => name = target,
            (None, None, Some(hash)) => return Ok(hash),
            (None, None, None) => {
                let name = shown(name);
                return Err(format!("version '{name}' has neither hash nor alias_of"));
            }
        }
    }
    let version = shown(version);
    Err(format!("the aliases of version '{version}' form a loop"))
}

/// A version that can be offered.
struct Judged {
    model: ModelRef,
    digest: Digest,
    /// For an alias without metadata, those of the version it names.
    of_target: Option<Box<RawValue>>,
}

fn judge(
    name: &ModelName,
    versions: &Versions,
    twins: &HashSet<String>,
    version: &str,
) -> Result<Judged, String> {
    let model = name.clone().version(version);
    let model = model.map_err(|error| error.to_string())?;
    if !twins.is_empty() && twins.contains(&version.to_lowercase()) {
        return Err(format!("version '{}' {TWIN}", shown(version)));
    }
    let digest = manifest_of(versions, version)?;
    let of_target = || {
        let entry = versions.get(version)?;
        let target = versions.get(entry.alias_of.as_deref()?)?;
        target.metadata.clone().filter(|_| entry.metadata.is_none())
    };
    Ok(Judged {
        model,
        digest,
        of_target: of_target(),
    })
}

fn remote(identity: &Identity, judged: Judged, entry: Entry) -> RemoteModel {
    let metadata = entry.metadata.or(judged.of_target);
    RemoteModel {
        alias_of: entry.alias_of,
        // What only describes may be of any type.
        metadata: metadata
            .and_then(RemoteMetadata::of_json)
            .unwrap_or_default(),
        ..RemoteModel::new(judged.model, &*identity.key, judged.digest)
    }
}

fn name_of(identity: &Identity, group: &str, model: &str) -> Result<ModelName, String> {
    let group = match (identity.name.as_str(), group) {
        ("", group) => group.to_owned(),
        (name, "") => name.to_owned(),
        (name, group) => format!("{name}/{group}"),
    };
    ModelName::new(&group, model).map_err(|error| error.to_string())
}

/// What an index offers.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of names.
    pub(super) models: Vec<RemoteModel>,
    /// What is wrong with the entries that are left out.
    pub(super) left_out: Vec<String>,
}

/// Reads everything; `location` names the index in errors.
///
/// # Errors
/// [`Registry`](crate::error::ErrorKind::Registry) when it is malformed, or has entries of which none can be offered.
pub(super) fn read_all(
    json: &[u8],
    identity: &Identity,
    location: impl Display,
) -> Result<Contents> {
    let malformed = |error| malformed(&location, error);
    let mut all = Contents::default();
    let groups = match serde_json::from_slice(json) {
        Ok(groups) => groups,
        Err(_) => read_each(json, &mut all.left_out).map_err(malformed)?,
    };
    all.judge(groups, identity);
    match all.left_out.first() {
        Some(reason) if all.models.is_empty() => {
            Err(Error::registry(location, format!("in the index, {reason}")))
        }
        _ => Ok(all),
    }
}

type Groups = BTreeMap<String, BTreeMap<String, Versions>>;

/// Reads an index of which some entry cannot be read, each entry by itself.
fn read_each(json: &[u8], left_out: &mut Vec<String>) -> Result<Groups, serde_json::Error> {
    let groups: BTreeMap<String, BTreeMap<String, &RawValue>> = serde_json::from_slice(json)?;
    let mut read = Groups::new();
    for (group, models) in groups {
        let mut readable = BTreeMap::new();
        for (model, json) in models {
            match read_versions(json) {
                Ok(versions) => _ = readable.insert(model, versions),
                Err(error) => {
                    let name = shown(&below(&group, &model));
                    left_out.push(format!("the model '{name}': {}", words(&error)));
                }
            }
        }
        read.insert(group, readable);
    }
    Ok(read)
}

impl Contents {
    fn judge(&mut self, groups: Groups, identity: &Identity) {
        let pair = |group: &str, model: &str| format!("{group}\0{model}");
        let names = groups.iter().flat_map(|(group, models)| {
            let models = models.keys();
            models.map(move |model| pair(group, model))
        });
        let may_meet = twins(names);
        let versions = groups.values().flat_map(BTreeMap::values);
        self.models.reserve(versions.map(BTreeMap::len).sum());
        for (group, models) in groups {
            for (model, versions) in models {
                let is_twin = || may_meet.contains(&pair(&group, &model).to_lowercase());
                let name = match name_of(identity, &group, &model) {
                    Ok(name) if may_meet.is_empty() || !is_twin() => name,
                    Ok(name) => {
                        self.left_out.push(format!("the name '{name}' {TWIN}"));
                        continue;
                    }
                    Err(reason) => {
                        self.left_out.push(reason);
                        continue;
                    }
                };
                let twins = twins(versions.keys());
                // Aliases look at other entries, so all are judged before they are taken apart.
                let judged = versions.keys();
                let judged = judged.map(|version| judge(&name, &versions, &twins, version));
                let judged: Vec<_> = judged.collect();
                for (judged, entry) in judged.into_iter().zip(versions.into_values()) {
                    match judged {
                        Ok(judged) => self.models.push(remote(identity, judged, entry)),
                        Err(reason) => self.left_out.push(format!("{name}: {reason}")),
                    }
                }
            }
        }
    }
}

/// Checks everything, before an index is published; `location` names it in errors.
#[cfg(feature = "author")]
pub(super) fn check(json: &[u8], location: impl Display) -> Result<()> {
    let contents = read_all(json, &Identity::default(), &location)?;
    match contents.left_out.first() {
        Some(reason) => Err(Error::registry(location, format!("in the index, {reason}"))),
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
        has_twin: false,
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
    if search.has_twin {
        let name = below(group, model);
        let message = format!("in the index, the name '{name}' {TWIN}");
        return Err(Error::registry(location, message));
    }
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
    let refuse = |reason| Error::registry(&location, format!("in the index, {reason}"));
    let name = name_of(identity, group, model).map_err(refuse)?;
    let twins = twins(versions.keys());
    let judge = |version: &str| judge(&name, &versions, &twins, version);
    let wanted = version.filter(|version| versions.contains_key(*version));
    let chosen = match wanted.map(&judge) {
        Some(judged) => judged.map_err(refuse)?,
        None => {
            // What is left out of listings is no choice.
            let (mut offered, mut faults) = (Vec::new(), Vec::new());
            for version in versions.keys() {
                match judge(version) {
                    Ok(_) => offered.push(version.as_str()),
                    Err(fault) => faults.push(fault),
                }
            }
            if offered.is_empty() && !faults.is_empty() {
                return Err(refuse(faults.swap_remove(0)));
            }
            let is_real = |version: &&&str| versions[**version].alias_of.is_none();
            let mut real = offered.iter().filter(is_real);
            let only = match (real.next(), real.next()) {
                (Some(only), None) => Some(*only),
                _ => None,
            };
            let version = choose_version(&name.to_string(), &offered, version.or(only))?;
            judge(version).map_err(refuse)?
        }
    };
    let entry = versions.remove(chosen.model.version());
    Ok(remote(identity, chosen, entry.unwrap_or_default()))
}

/// A model that is looked for while an index is read.
struct Search<'a> {
    group: &'a str,
    model: &'a str,
    found: Option<Versions>,
    /// Whether another name differs from it only in case.
    has_twin: bool,
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
                map.next_value_seed(Members {
                    group: Some(&name),
                    search: self.search.as_deref_mut(),
                })?;
                continue;
            };
            match &mut self.search {
                Some(search) if (group, name.as_str()) == (search.group, search.model) => {
                    let json: Box<RawValue> = map.next_value()?;
                    search.found = Some(read_versions(&json).map_err(A::Error::custom)?);
                }
                Some(search) => {
                    map.next_value::<IgnoredAny>()?;
                    search.has_twin |= is_twin(group, search.group) && is_twin(&name, search.model);
                    search.others.push(below(group, &name));
                }
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// Whether a system that ignores case takes both names for one.
fn is_twin(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

#[cfg(test)]
mod tests;
