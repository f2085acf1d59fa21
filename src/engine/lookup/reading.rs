//! From what a person typed to what it may mean, in the store or at a source.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::lookup::list::RemoteOptions;
use crate::engine::lookup::offer::Offer;
use crate::error::{Error, ErrorKind, Result};
use crate::glob::Glob;
use crate::http::call::Call;
use crate::model::{ModelAddress, ModelName, ModelPattern, ModelRef};
use crate::near::nearest;
use crate::source::{Identity, Source};
use crate::store::record::{ModelRecord, Records};

/// All that an address may mean with the sources there are. An address is read once, at the door.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) address: ModelAddress,
    /// The full names, each with its version when one is named; the likeliest first.
    names: Vec<(ModelName, Option<String>)>,
    /// Where they may be found, the likeliest first.
    candidates: Vec<Candidate>,
}

/// A path and a version at one source.
#[derive(Debug, Clone)]
struct Candidate {
    source: Arc<dyn Source>,
    path: String,
    version: Option<String>,
}

impl Candidate {
    /// Whether the source's configuration names the version.
    fn is_expected(&self) -> bool {
        let version = self.version.as_deref();
        version.is_some_and(|version| self.source.expects(version))
    }

    fn name(&self) -> Option<ModelName> {
        ModelName::parse(&self.source.identity().full_name(&self.path)).ok()
    }
}

impl Reading {
    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRef`] when it names two versions, or a source without a model.
    pub(crate) fn new(sources: &[Arc<dyn Source>], address: &ModelAddress) -> Result<Self> {
        let (names, candidates) = match (named_source(sources, address), &address.tail) {
            (Some(source), Some(tail)) => {
                refuse_second_version(address)?;
                let candidate = |(version, path): (&str, &str)| Candidate {
                    source: source.clone(),
                    path: path.to_owned(),
                    version: Some(version.to_owned()),
                };
                let cuts = cut_behind_ref(address, tail, tail.len())?;
                let candidates: Vec<_> = cuts.into_iter().map(candidate).collect();
                let named = candidates.iter();
                let named = named.filter_map(|at| Some((at.name()?, at.version.clone())));
                (named.collect(), candidates)
            }
            _ => {
                let (name, version) = address.as_model()?;
                let (path, version) = (name.to_string(), version.map(str::to_owned));
                let at = |source: &Arc<dyn Source>, path: &str| Candidate {
                    source: source.clone(),
                    path: path.to_owned(),
                    version: version.clone(),
                };
                let below = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix('/');
                let by_name = |source: &Arc<dyn Source>| match source.identity().name.as_str() {
                    "" => Some(at(source, &path)),
                    name => Some(at(source, below(name)?)),
                };
                let by_key = |source: &Arc<dyn Source>| {
                    let Identity { key, name } = source.identity();
                    let path = below(key).filter(|_| !key.is_empty() && key != name)?;
                    Some(at(source, path))
                };
                let mut candidates: Vec<_> = sources.iter().filter_map(by_name).collect();
                candidates.sort_by_key(|at| Reverse(at.source.identity().name.len()));
                let by_key: Vec<_> = sources.iter().filter_map(by_key).collect();
                let mut names = vec![(name, version)];
                let named = by_key.iter();
                names.extend(named.filter_map(|at| Some((at.name()?, at.version.clone()))));
                candidates.extend(by_key);
                (names, candidates)
            }
        };
        Ok(Self {
            address: address.clone(),
            names,
            candidates,
        })
    }

    /// The reading of a model that is known.
    pub(crate) fn of_model(model: &ModelRef) -> Self {
        Self {
            address: ModelAddress::from(model),
            names: vec![(model.name().clone(), Some(model.version().to_owned()))],
            candidates: Vec::new(),
        }
    }

    /// The full names that the address may mean, each with its version when one is named.
    pub(crate) fn names(&self) -> &[(ModelName, Option<String>)] {
        &self.names
    }

    /// Whether a version has a name that the address may mean, and the version if one is named.
    pub(crate) fn is_of(&self, model: &ModelRef) -> bool {
        self.names.iter().any(|(name, version)| {
            let version = version.as_deref();
            name == model.name() && version.is_none_or(|version| version == model.version())
        })
    }

    /// The full names that sources may have, each with its version when that can be told without asking.
    pub(crate) fn expected(&self) -> impl Iterator<Item = (ModelName, Option<&str>)> {
        self.candidates.iter().filter_map(|at| {
            let version = at.version.as_deref();
            Some((at.name()?, version.or_else(|| at.source.default_version())))
        })
    }

    /// Finds all installed versions that the address names; never empty.
    pub(crate) fn match_installed(&self, records: &Records) -> Result<Vec<ModelRef>> {
        for (name, version) in &self.names {
            let version = version.as_deref();
            let is_named =
                |model: &ModelRef| version.is_none_or(|version| model.version() == version);
            let matches: Vec<_> = records.versions_of(name).filter(is_named).collect();
            if !matches.is_empty() {
                return Ok(matches);
            }
        }
        let renamed = self.match_renamed(records);
        if !renamed.is_empty() {
            return Ok(renamed);
        }
        let names = self.names.iter();
        let same_name = names.flat_map(|(name, _)| records.versions_of(name));
        let mut near: Vec<String> = same_name.map(|model| model.to_string()).collect();
        if near.is_empty() {
            let installed = records.iter();
            let names: Vec<String> = installed
                .map(|(model, _)| model.name().to_string())
                .collect();
            let typed = self.names.first().map(|(name, _)| name.to_string());
            let typed = typed.as_ref().unwrap_or(&self.address.head);
            near = nearest(typed, names.iter().map(String::as_str));
        }
        Err(ErrorKind::NotInstalled {
            model: self.address.to_string(),
            near,
        }
        .into())
    }

    /// Finds the installed versions that the address names in another way that their source has for them.
    pub(crate) fn match_renamed(&self, records: &Records) -> Vec<ModelRef> {
        let is_at = |at: &Candidate, model: &ModelRef, record: &ModelRecord| {
            let version = at.version.as_deref();
            record.source.as_ref() == Some(&at.source.identity().key)
                && version.is_none_or(|version| model.version() == version)
                && (record.pin.as_deref()).is_some_and(|pin| at.source.is_same(&at.path, pin))
        };
        let installed = records.iter();
        let named = installed.filter(|(model, record)| {
            let mut candidates = self.candidates.iter();
            candidates.any(|at| is_at(at, model, record))
        });
        named.map(|(model, _)| model).collect()
    }

    /// Finds the one installed version that the address names.
    pub(crate) fn find_installed(&self, records: &Records) -> Result<ModelRef> {
        let mut versions = self.match_installed(records)?;
        match versions.len() {
            1 => Ok(versions.swap_remove(0)),
            _ => Err(ErrorKind::InvalidRef {
                input: self.address.to_string(),
                message: "is installed in several versions".into(),
                choices: versions.iter().map(ToString::to_string).collect(),
            }
            .into()),
        }
    }
}

/// Returns the sources whose names resemble the beginning of what was typed.
fn near_sources(sources: &[Arc<dyn Source>], typed: &str) -> Vec<String> {
    let resembles = |name: &&str| {
        let last = name.matches('/').count();
        let end = typed.match_indices('/').nth(last);
        let beginning = end.map_or(typed, |(end, _)| &typed[..end]);
        !nearest(beginning, [*name]).is_empty()
    };
    let names = sources.iter().map(|source| source.identity().name.as_str());
    let names = names.filter(|name| !name.is_empty()).filter(resembles);
    names.map(str::to_owned).collect()
}

/// The names under which sources that cannot list their models may offer what was typed without their name.
fn unlisted(sources: &[Arc<dyn Source>], typed: &str) -> Vec<String> {
    let sources = sources.iter().filter(|source| source.may_offer(typed));
    sources
        .map(|source| source.identity().full_name(typed))
        .collect()
}

/// All ways to read a pattern, the likeliest first: the pattern of full names, and the version when one is named.
pub(crate) fn read_pattern(
    sources: &[Arc<dyn Source>],
    pattern: &ModelPattern,
) -> Result<Vec<(Glob, Option<String>)>> {
    let address = &pattern.address;
    let Some(tail) = &address.tail else {
        return Ok(vec![(Glob::new(&address.head), address.version.clone())]);
    };
    refuse_second_version(address)?;
    let Some(source) = named_source(sources, address) else {
        return Ok(vec![(Glob::new(&address.head), Some(tail.clone()))]);
    };
    // A ref ends before the first segment with a pattern.
    let plain = tail.find(['*', '?', '[']).unwrap_or(tail.len());
    let cuts = cut_behind_ref(address, tail, plain)?.into_iter();
    Ok(cuts
        .map(|(version, path)| {
            let glob = Glob::new(&source.identity().full_name(path));
            (glob, Some(version.to_owned()))
        })
        .collect())
}

/// Finds the source that stands before `@`: by its name, or else by its key.
pub(crate) fn named_source<'s>(
    sources: &'s [Arc<dyn Source>],
    address: &ModelAddress,
) -> Option<&'s Arc<dyn Source>> {
    let find = |word: fn(&Identity) -> &str| {
        let mut all = sources.iter();
        all.find(|source| address.is_of(word(source.identity())))
    };
    find(|source| &source.name).or_else(|| find(|source| &source.key))
}

fn refuse_second_version(address: &ModelAddress) -> Result<()> {
    match address.version {
        Some(_) => Err(Error::invalid_ref(address, "names two versions")),
        None => Ok(()),
    }
}

/// Cuts `ref/path` at each slash before `end`, the longest ref first.
fn cut_behind_ref<'a>(
    address: &ModelAddress,
    tail: &'a str,
    end: usize,
) -> Result<Vec<(&'a str, &'a str)>> {
    let slashes = tail[..end].rmatch_indices('/');
    let cuts: Vec<_> = slashes
        .map(|(at, _)| (&tail[..at], &tail[at + 1..]))
        .collect();
    if cuts.is_empty() {
        let message = "has no model after the ref: expected source@ref/model";
        return Err(Error::invalid_ref(address, message));
    }
    Ok(cuts)
}

impl Engine {
    /// Reads an address with the sources there are, or with the one that it names by its scheme and host.
    pub(crate) fn reading(&self, address: &ModelAddress) -> Result<Reading> {
        match &address.origin {
            Some(origin) => Reading::new(&[self.sources.at(origin)?], address),
            None => Reading::new(&self.sources.all(), address),
        }
    }

    /// The reading of a model from the source with this key, which need not be configured.
    pub(crate) fn reading_of(&self, model: &ModelRef, key: Option<&str>) -> Result<Reading> {
        Reading::new(&self.sources.and(key), &ModelAddress::from(model))
    }

    /// Finds a model at the sources; syncs a registry that is missing for it, where the app wants that.
    pub(crate) fn find_remote(&self, reading: &Reading, call: &Call) -> Result<Offer> {
        let mut candidates: Vec<&Candidate> = reading.candidates.iter().collect();
        let found = self.find_offer(&reading.address, &candidates, &call.without_sync());
        match found {
            Err(error) if matches!(error.kind(), ErrorKind::NotSynced { .. }) && call.auto_sync => {
                if call.is_offline() {
                    let needed = "registries that have not been synced";
                    return Err(call.client.offline_error(needed));
                }
                candidates.sort_by_key(|at| !at.is_expected());
                self.find_offer(&reading.address, &candidates, call)
            }
            result => result,
        }
    }

    /// Asks one source after another. The first reading is the likeliest, unless the error of another tells more.
    fn find_offer(
        &self,
        address: &ModelAddress,
        candidates: &[&Candidate],
        call: &Call,
    ) -> Result<Offer> {
        let mut best: Option<(u8, Error)> = None;
        for at in candidates {
            let error = match at.source.find(call, &at.path, at.version.as_deref()) {
                Ok(remote) => return Ok(Offer::new(remote, at.source.clone())),
                Err(error) => error,
            };
            let tells = match error.kind() {
                // Another one may be on this machine.
                ErrorKind::Offline { .. } => 5,
                ErrorKind::VersionNotFound { .. } => 4,
                ErrorKind::ModelNotFound { .. } => 3,
                ErrorKind::NotSynced { .. } if at.is_expected() => 2,
                ErrorKind::NotSynced { .. } => 1,
                // A ref that does not exist: a shorter one may.
                ErrorKind::Registry { .. } if call.may_sync() => 1 + u8::from(at.is_expected()),
                _ => return Err(error),
            };
            if best.as_ref().is_none_or(|(told, _)| tells > *told) {
                best = Some((tells, error));
            }
        }
        Err(best.map_or_else(|| self.no_source(address), |(_, error)| error))
    }

    fn no_source(&self, address: &ModelAddress) -> Error {
        let sources = self.sources.all();
        if sources.is_empty() {
            return ErrorKind::NoSource.into();
        }
        let (near, sources) = match sources
            .iter()
            .find(|it| it.identity().is_called(&address.head))
        {
            Some(source) if source.can_list() => (Vec::new(), vec![source.identity().name.clone()]),
            Some(_) => (Vec::new(), Vec::new()),
            None => {
                let mut near = self.near_models(&address.head);
                let near_sources = near_sources(&sources, &address.head);
                if near.is_empty() && near_sources.is_empty() {
                    near = unlisted(&sources, &address.head);
                }
                (near, near_sources)
            }
        };
        ErrorKind::ModelNotFound {
            model: address.head.clone(),
            near,
            sources,
            token_variable: None,
            registry: None,
        }
        .into()
    }

    /// Returns the models in cached registries whose names resemble what was typed.
    fn near_models(&self, typed: &str) -> Vec<String> {
        let cached = RemoteOptions::default().offline(true);
        let offered = self.list_offers(&cached).unwrap_or_default().models;
        let names = offered.iter().map(|remote| remote.model.name().to_string());
        let names: BTreeSet<String> = names.collect();
        nearest(typed, names.iter().map(String::as_str))
    }

    /// Finds the source that serves an installed model.
    pub(crate) fn source_of(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
    ) -> Result<Arc<dyn Source>> {
        let recorded = record.source.as_deref();
        if let Some(source) = recorded.and_then(|key| self.sources.by_key(key)) {
            return Ok(source);
        }
        let reading = self.reading(&ModelAddress::from(model))?;
        let first = reading.candidates.into_iter().next();
        first.map_or_else(|| Err(self.no_source(&reading.address)), |at| Ok(at.source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::env::Environment;
    use crate::platform::System;
    use crate::settings::Settings;
    use crate::source::Sources;

    #[test]
    fn an_address_is_read_by_the_sources_there_are() {
        let config = Config::new("app")
            .registry_url("https://a.example")
            .bootstrap("[sources.b]\nurl = \"https://b.example\"\nname = \"mf6/test\"\n[sources.c]\nurl = \"https://c.example\"\nname = \"mf6\"\n");
        let env = Environment::empty(System::Linux, "/no-such-home");
        let settings = Settings::read(&config, &env).unwrap();
        let sources = Sources::open(&settings, &env, None).unwrap().all();
        let read = |text: &str, version: Option<&str>| -> Result<Vec<_>> {
            let reading = Reading::new(&sources, &ModelAddress::parse(text, version)?)?;
            let rows = reading.candidates.into_iter();
            Ok(rows
                .map(|at| (at.source.identity().name.clone(), at.path, at.version))
                .collect())
        };
        let row = |name: &str, path: &str, version: Option<&str>| {
            (name.to_owned(), path.to_owned(), version.map(str::to_owned))
        };
        assert_eq!(
            read("mf6/test@feature/x/model", None).unwrap(),
            [
                row("mf6/test", "model", Some("feature/x")),
                row("mf6/test", "x/model", Some("feature"))
            ]
        );
        assert_eq!(
            read("mf6/test/model@develop", None).unwrap(),
            [
                row("mf6/test", "model", Some("develop")),
                row("mf6", "test/model", Some("develop")),
                row("", "mf6/test/model", Some("develop")),
            ]
        );
        assert_eq!(
            read("other/model", Some("v1")).unwrap(),
            [row("", "other/model", Some("v1"))]
        );
        // By its key, where no source has that name.
        assert_eq!(
            read("b@develop/x/model", None).unwrap(),
            [
                row("mf6/test", "model", Some("develop/x")),
                row("mf6/test", "x/model", Some("develop"))
            ]
        );
        assert_eq!(
            read("b/model", Some("develop")).unwrap(),
            [
                row("", "b/model", Some("develop")),
                row("mf6/test", "model", Some("develop")),
            ]
        );
        for (text, version) in [
            ("mf6/test@develop", None),
            ("mf6/test@develop/m", Some("v")),
        ] {
            let error = read(text, version).unwrap_err();
            assert_eq!(error.code(), "INVALID_REF");
        }
    }
}
