//! From what a person typed to one version of one model, at a source or in the store.

use std::sync::Arc;

use crate::config::{SourceConfig, SourcePlace};
use crate::engine::Engine;
use crate::engine::documents::SourceDocuments;
use crate::engine::offer::Offer;
use crate::engine::pull::downloads::Asked;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ModelAddress, ModelName, ModelRef, nearest};
use crate::progress::CancelToken;
use crate::relpath::below;
use crate::source::{self, Source};
use crate::store::record::{ModelRecord, Records};

/// One way to read an address: a path and a version at one source.
#[derive(Debug, PartialEq)]
struct Reading<'a> {
    source: &'a SourceConfig,
    path: String,
    version: Option<String>,
}

impl PartialEq for SourceConfig {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// All ways to read an address, the likeliest first.
fn readings<'a>(sources: &'a [SourceConfig], address: &ModelAddress) -> Result<Vec<Reading<'a>>> {
    // `source@ref/subpath`: the longest ref that the source knows wins.
    if let Some(tail) = &address.tail
        && let Some(source) = sources
            .iter()
            .find(|source| !source.name.is_empty() && source.name == address.head)
    {
        if address.version.is_some() {
            return Err(ErrorKind::InvalidRef {
                input: address.to_string(),
                message: "has a version, and another is given".into(),
                choices: Vec::new(),
            }
            .into());
        }
        let splits = tail
            .rmatch_indices('/')
            .map(|(at, _)| (&tail[..at], &tail[at + 1..]));
        let readings: Vec<_> = splits
            .map(|(version, path)| Reading {
                source,
                path: path.to_owned(),
                version: Some(version.to_owned()),
            })
            .collect();
        if readings.is_empty() {
            return Err(ErrorKind::InvalidRef {
                input: address.to_string(),
                message: "names no model behind the ref: expected source@ref/model".into(),
                choices: Vec::new(),
            }
            .into());
        }
        return Ok(readings);
    }
    let (name, version) = address.as_model()?;
    let path = name.to_string();
    let version = version.map(str::to_owned);
    let mut readings: Vec<_> = sources
        .iter()
        .filter_map(|source| {
            let path = match source.name.as_str() {
                "" => path.as_str(),
                name => path.strip_prefix(name)?.strip_prefix('/')?,
            };
            Some(Reading {
                source,
                path: path.to_owned(),
                version: version.clone(),
            })
        })
        .collect();
    readings.sort_by_key(|reading| std::cmp::Reverse(reading.source.name.len()));
    Ok(readings)
}

impl Engine {
    /// Finds a model at the sources; syncs a registry that is missing for it, when that is asked for.
    pub(crate) fn find_remote(
        &self,
        address: &ModelAddress,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<Offer> {
        match self.find_offer(address, offline, cancel) {
            Err(error)
                if self.settings.auto_sync
                    && matches!(error.kind(), ErrorKind::NotSynced { .. }) =>
            {
                if !self.sync_for(address, &error, offline, cancel)? {
                    return Err(error);
                }
                self.find_offer(address, offline, cancel)
            }
            result => result,
        }
    }

    /// Syncs what a lookup lacks: of an address that can be read with several refs, the first that exists.
    fn sync_for(
        &self,
        address: &ModelAddress,
        missing: &Error,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<bool> {
        let synced = self.sync_missing(missing, offline, cancel);
        let Err(error) = synced else { return synced };
        let sources = self.sources();
        for reading in readings(&sources, address)? {
            let missing = Error::from(ErrorKind::NotSynced {
                source_name: reading.source.label(),
                references: reading.version.into_iter().collect(),
            });
            if let Ok(true) = self.sync_missing(&missing, offline, cancel) {
                return Ok(true);
            }
        }
        Err(error)
    }

    fn find_offer(
        &self,
        address: &ModelAddress,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<Offer> {
        let sources = self.sources();
        let readings = readings(&sources, address)?;
        let mut not_found: Option<(u8, Error)> = None;
        for reading in &readings {
            let source = source::new(reading.source)?;
            let documents = SourceDocuments::new(self, reading.source, offline, cancel);
            match source.find(&documents, &reading.path, reading.version.as_deref()) {
                Ok(remote) => return Ok(Offer::new(remote, source)),
                // The first reading is the likeliest, unless another tells more.
                Err(error) if readings.len() > 1 && telling(&error, reading) > 0 => {
                    let tells = telling(&error, reading);
                    if not_found.as_ref().is_none_or(|(told, _)| tells > *told) {
                        not_found = Some((tells, error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(not_found.map_or_else(|| self.no_source(address), |(_, error)| error))
    }

    fn no_source(&self, address: &ModelAddress) -> Error {
        let sources = self.sources();
        if sources.is_empty() {
            return ErrorKind::NoSource.into();
        }
        let names = sources
            .iter()
            .map(|source| source.name.as_str())
            .filter(|name| !name.is_empty());
        let first = address.head.split('/').next().unwrap_or_default();
        Error::from(ErrorKind::ModelNotFound {
            model: address.head.clone(),
            near: nearest(first, names),
        })
    }

    /// What an address may mean, as far as that can be told without looking it up; nothing for one that means nothing.
    pub(crate) fn asked_for(&self, address: &ModelAddress) -> Asked {
        let sources = self.sources();
        let readings = readings(&sources, address).unwrap_or_default();
        let named = readings.into_iter().filter_map(|reading| {
            let name = ModelName::parse(&below(&reading.source.name, &reading.path)).ok()?;
            let source = source::new(reading.source).ok()?;
            let default = || source.default_version().map(str::to_owned);
            Some((name, reading.version.or_else(default)))
        });
        Asked {
            address: address.clone(),
            names: named.collect(),
        }
    }

    /// Finds the source that serves an installed model.
    pub(crate) fn source_of(
        &self,
        model: &ModelRef,
        record: &ModelRecord,
    ) -> Result<Arc<dyn Source>> {
        let sources = self.sources();
        let by_key = sources
            .iter()
            .find(|source| record.source.as_deref() == Some(source.key.as_str()));
        let source = match by_key {
            Some(source) => source,
            None => {
                let address = ModelAddress::from(model);
                let first = readings(&sources, &address)?.into_iter().next();
                first.ok_or_else(|| self.no_source(&address))?.source
            }
        };
        source::new(source)
    }
}

/// How much an error of one reading says about what was meant; nothing when another reading cannot be better.
fn telling(error: &Error, reading: &Reading<'_>) -> u8 {
    let is_configured = match &reading.source.place {
        SourcePlace::Repository(place) => reading
            .version
            .as_ref()
            .is_some_and(|version| place.refs.contains(version)),
        _ => false,
    };
    match error.kind() {
        ErrorKind::VersionNotFound { .. } => 4,
        ErrorKind::ModelNotFound { .. } => 3,
        ErrorKind::NotSynced { .. } if is_configured => 2,
        ErrorKind::NotSynced { .. } => 1,
        _ => 0,
    }
}

/// Finds the one installed version that an address names.
pub(crate) fn find_installed(
    sources: &[SourceConfig],
    records: &Records,
    address: &ModelAddress,
) -> Result<ModelRef> {
    let versions = match_installed(sources, records, address)?;
    match versions.as_slice() {
        [only] => Ok(only.clone()),
        several => Err(ErrorKind::InvalidRef {
            input: address.to_string(),
            message: "is installed in several versions".into(),
            choices: several.iter().map(ToString::to_string).collect(),
        }
        .into()),
    }
}

/// The full names that an address may mean, each with its version when one is named; the likeliest first.
pub(crate) fn names(
    sources: &[SourceConfig],
    address: &ModelAddress,
) -> Result<Vec<(ModelName, Option<String>)>> {
    Ok(match &address.tail {
        Some(_)
            if sources
                .iter()
                .any(|source| !source.name.is_empty() && source.name == address.head) =>
        {
            let named = readings(sources, address)?.into_iter();
            named
                .filter_map(|reading| {
                    let path = format!("{}/{}", reading.source.name, reading.path);
                    Some((ModelName::parse(&path).ok()?, reading.version))
                })
                .collect()
        }
        _ => {
            let (name, version) = address.as_model()?;
            vec![(name, version.map(str::to_owned))]
        }
    })
}

/// Finds all installed versions that an address names; never empty.
pub(crate) fn match_installed(
    sources: &[SourceConfig],
    records: &Records,
    address: &ModelAddress,
) -> Result<Vec<ModelRef>> {
    let readings = names(sources, address)?;
    for (name, version) in &readings {
        let matches: Vec<ModelRef> = records
            .iter()
            .map(|(model, _)| model)
            .filter(|model| {
                model.name() == name
                    && version
                        .as_deref()
                        .is_none_or(|version| model.version() == version)
            })
            .collect();
        if !matches.is_empty() {
            return Ok(matches);
        }
    }
    let installed: Vec<ModelRef> = records.iter().map(|(model, _)| model).collect();
    let same_name = installed
        .iter()
        .filter(|model| readings.iter().any(|(name, _)| model.name() == name));
    let mut near: Vec<String> = same_name.map(ToString::to_string).collect();
    if near.is_empty() {
        let names: Vec<String> = installed
            .iter()
            .map(|model| model.name().to_string())
            .collect();
        near = nearest(&address.head, names.iter().map(String::as_str));
    }
    Err(ErrorKind::NotInstalled {
        model: address.to_string(),
        near,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourcePlace;
    use crate::url::Url;

    fn source(name: &str) -> SourceConfig {
        let urls = vec![Url::parse("https://models.example.org").unwrap()];
        let place = SourcePlace::Chunked {
            urls,
            public_key: None,
        };
        SourceConfig {
            key: format!("key-{name}"),
            name: name.into(),
            place,
            origin: String::new(),
        }
    }

    #[test]
    fn an_address_is_read_by_the_sources_there_are() {
        let sources = [source(""), source("mf6/test"), source("mf6")];
        let read =
            |text: &str, version: Option<&str>| -> Result<Vec<(String, String, Option<String>)>> {
                let address = ModelAddress::parse(text, version)?;
                let readings = readings(&sources, &address)?;
                Ok(readings
                    .into_iter()
                    .map(|r| (r.source.name.clone(), r.path, r.version))
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
        assert_eq!(
            read("mf6/test@develop", None).unwrap_err().code(),
            "INVALID_REF"
        );
        assert_eq!(
            read("mf6/test@develop/m", Some("v")).unwrap_err().code(),
            "INVALID_REF"
        );
    }
}
