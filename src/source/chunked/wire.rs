//! `models.json`, whose format [`crate::remote`] shows. A group may have several segments. The index may be large, so it
//! is read one model at a time, and compiled. It may be in several documents, see [`shards`](super::shards).

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};
use std::io::Read;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::shards::{ANNOUNCEMENT, Shards, place};
use crate::catalog::RawMetadata;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::model::ModelName;
use crate::relpath::{self, below, shown};
use crate::source::compiled::{Compiler, Row};
use crate::source::{Identity, MAX_LEFT_OUT};

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

/// Reads the versions of a model, each by itself if one of them cannot be read.
fn read_versions(json: &RawValue) -> Result<Versions, serde_json::Error> {
    if let Ok(versions) = serde_json::from_str(json.get()) {
        return Ok(versions);
    }
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

fn judge(
    name: &ModelName,
    versions: &Versions,
    twins: &HashSet<String>,
    version: &str,
) -> Result<Row, String> {
    let model = name.clone().version(version);
    let model = model.map_err(|error| error.to_string())?;
    if !twins.is_empty() && twins.contains(&version.to_lowercase()) {
        return Err(format!("version '{}' {TWIN}", shown(version)));
    }
    let digest = manifest_of(versions, version)?;
    let entry = versions.get(version);
    let alias_of = entry.and_then(|entry| entry.alias_of.as_deref());
    // An alias without metadata has those of the version it names.
    let target = alias_of.and_then(|target| versions.get(target));
    let mut metadata = [entry, target].into_iter().flatten();
    let metadata = metadata.find_map(|entry| entry.metadata.clone());
    Ok(Row {
        model,
        digest,
        alias_of: alias_of.map(Arc::from),
        root: Arc::default(),
        files: None,
        bytes: None,
        place: None,
        // What only describes may be of any type.
        about: metadata.and_then(RawMetadata::of_json).unwrap_or_default(),
    })
}

fn name_of(identity: &Identity, group: &str, model: &str) -> Result<ModelName, String> {
    let group = match (identity.name.as_str(), group) {
        ("", group) => group.to_owned(),
        (name, "") => name.to_owned(),
        (name, group) => format!("{name}/{group}"),
    };
    ModelName::new(&group, model).map_err(|error| error.to_string())
}

/// An entry that is not offered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// The model as the index names it: `group/model`.
    pub(super) path: String,
    /// `None` for all versions.
    pub(super) version: Option<String>,
    pub(super) reason: String,
}

/// What an index has beside what it offers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rest {
    /// The first entries that are left out.
    pub(super) left_out: Vec<LeftOut>,
    /// How many there are.
    pub(super) count: usize,
}

impl Rest {
    fn leave_out(&mut self, path: String, version: Option<&str>, reason: String) {
        self.count += 1;
        if self.left_out.len() < MAX_LEFT_OUT {
            let version = version.map(str::to_owned);
            self.left_out.push(LeftOut {
                path,
                version,
                reason,
            });
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(_) => write!(f, "{}: {}", shown(&self.path), self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Reads the documents of an index, and passes on what they offer; `location` names the index in errors.
pub(super) struct Reading<'a, 'o, L> {
    contents: Contents<'a, 'o>,
    location: L,
}

impl<'a, 'o, L: Display> Reading<'a, 'o, L> {
    pub(super) fn new(identity: &'a Identity, location: L, compiler: &'a mut Compiler<'o>) -> Self {
        let contents = Contents {
            identity,
            compiler,
            rest: Rest::default(),
            without_versions: Vec::new(),
            failure: Ok(()),
            prefix: None,
            shards: None,
            has_models: false,
        };
        Self { contents, location }
    }

    /// Reads an index; returns the shards that it announces instead of models, if it does.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when it is malformed; whatever the compiler fails with.
    pub(super) fn index(&mut self, reader: impl Read) -> Result<Option<Shards>> {
        self.contents.prefix = None;
        self.document(reader)?;
        let shards = self.contents.shards.take();
        match shards {
            Some(_) if self.contents.has_models => Err(self.error("has shards and models")),
            shards => Ok(shards),
        }
    }

    /// Reads the shard with this prefix.
    ///
    /// # Errors
    /// Those of [`Reading::index`].
    pub(super) fn shard(&mut self, prefix: &str, reader: impl Read) -> Result<()> {
        self.contents.prefix = Some(prefix.to_owned());
        self.document(reader)?;
        match self.contents.shards.take() {
            Some(_) => Err(self.error("has shards in a shard")),
            None => Ok(()),
        }
    }

    fn document(&mut self, reader: impl Read) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_reader(reader);
        let read = Members {
            group: None,
            contents: &mut self.contents,
        };
        let read = read.deserialize(&mut deserializer);
        let read = read.and_then(|()| deserializer.end());
        std::mem::replace(&mut self.contents.failure, Ok(()))?;
        read.map_err(|error| Error::registry_from(&self.location, "the index is malformed", error))
    }

    /// Ends reading, when all documents were read.
    ///
    /// # Errors
    /// [`Registry`](crate::error::ErrorKind::Registry) when there are entries of which none can be offered.
    pub(super) fn finish(self) -> Result<Rest> {
        let Contents {
            identity,
            compiler,
            mut rest,
            without_versions,
            ..
        } = self.contents;
        for name in compiler.remove_twins(without_versions) {
            let reason = format!("the name '{name}' {TWIN}");
            let path = name.strip_prefix(&identity.name).unwrap_or(&name);
            rest.leave_out(path.trim_start_matches('/').to_owned(), None, reason);
        }
        match rest.left_out.first() {
            Some(first) if compiler.is_empty() => {
                let message = format!("in the index, {first}");
                Err(Error::registry(self.location, message))
            }
            _ => Ok(rest),
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::registry(&self.location, format!("the index {what}"))
    }
}

/// Checks everything, before an index or a shard of it is published; `location` names it in errors.
pub(super) fn check(json: &[u8], prefix: Option<&str>, location: impl Display) -> Result<()> {
    let mut nowhere = |_: &[u8]| Ok(());
    let mut compiler = Compiler::new(&mut nowhere);
    let identity = Identity::default();
    let mut reading = Reading::new(&identity, &location, &mut compiler);
    match prefix {
        Some(prefix) => reading.shard(prefix, json)?,
        None => _ = reading.index(json)?,
    }
    match reading.finish()?.left_out.first() {
        Some(first) => Err(Error::registry(location, format!("in the index, {first}"))),
        None => Ok(()),
    }
}

/// What is read of an index.
struct Contents<'a, 'o> {
    identity: &'a Identity,
    compiler: &'a mut Compiler<'o>,
    rest: Rest,
    /// The names of models of which no version is offered.
    without_versions: Vec<String>,
    /// Why it could not be written.
    failure: Result<()>,
    /// The prefix of the shard that is read; `None` for an index.
    prefix: Option<String>,
    /// The shards that the document announces.
    shards: Option<Shards>,
    /// Whether the index has anything beside them.
    has_models: bool,
}

impl Contents<'_, '_> {
    fn model(&mut self, group: &str, model: &str, json: &RawValue) {
        let path = below(group, model);
        if let Some(prefix) = &self.prefix
            && !place(&path).starts_with(prefix)
        {
            let reason = format!(
                "the model '{}' is in the shard '{prefix}', where nobody looks for it",
                shown(&path)
            );
            return self.rest.leave_out(path, None, reason);
        }
        let named = read_versions(json).map_err(|error| {
            let name = shown(&path);
            format!("the model '{name}': {}", words(&error))
        });
        let named =
            named.and_then(|versions| Ok((name_of(self.identity, group, model)?, versions)));
        let (name, versions) = match named {
            Ok(named) => named,
            Err(reason) => return self.rest.leave_out(path, None, reason),
        };
        let twins = twins(versions.keys());
        let mut is_offered = false;
        for version in versions.keys() {
            match judge(&name, &versions, &twins, version) {
                Ok(row) if self.failure.is_ok() => {
                    self.failure = self.compiler.add(&row);
                    is_offered = true;
                }
                Ok(_) => {}
                Err(reason) => self.rest.leave_out(path.clone(), Some(version), reason),
            }
        }
        if !is_offered {
            self.without_versions.push(name.to_string());
        }
    }
}

/// Reads an object of groups of models, or of the models of a group.
struct Members<'m, 'a, 'o> {
    /// The group that the models are of; `None` for the object of groups.
    group: Option<&'m str>,
    contents: &'m mut Contents<'a, 'o>,
}

impl<'de> DeserializeSeed<'de> for Members<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.group {
            None => "an object of groups of models",
            Some(_) => "an object of models",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match self.group {
                None if name == ANNOUNCEMENT => {
                    let shards = &mut self.contents.shards;
                    if shards.replace(map.next_value()?).is_some() {
                        return Err(A::Error::duplicate_field(ANNOUNCEMENT));
                    }
                }
                None => map.next_value_seed(Members {
                    group: Some(&name),
                    contents: &mut *self.contents,
                })?,
                Some(group) => {
                    self.contents.has_models = true;
                    let json: Box<RawValue> = map.next_value()?;
                    self.contents.model(group, &name, &json);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
