//! Git-hosted repositories that publish a `models.toml`, under version control or with a release.
//!
//! What a repository offers is known from the registries that were synced, one for each ref; looking something up opens no
//! socket. A registry under version control is of one commit, and its files come from that commit whatever the branch does
//! meanwhile. Those of a release are members of one zip.

pub(crate) mod discover;
pub(crate) mod index;
pub(crate) mod refs;

use crate::catalog::{Pin, PinState, RemoteModel};
use crate::config::{RepositoryPlace, SourceConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::model::{ModelName, nearest};
use crate::relpath::below;
use crate::source::places::Places;
use crate::source::{Catalog, Documents, Examples, Source};

pub(crate) use index::Cached;
use index::{Entry, Head};

#[derive(Debug)]
pub(crate) struct Repository {
    config: SourceConfig,
    place: RepositoryPlace,
}

impl Repository {
    pub(crate) fn new(config: SourceConfig, place: RepositoryPlace) -> Self {
        Self { config, place }
    }

    /// Opens the cached registry of a ref, unless it is of another repository than the one configured now.
    fn cached(&self, documents: &dyn Documents, reference: &str) -> Result<Option<Cached>> {
        let cached = documents.cached(reference)?;
        Ok(cached.filter(|cached| is_of(&cached.head, &self.config, &self.place, reference)))
    }

    /// The refs whose registries are cached, and those that are configured and are not.
    fn refs(&self, documents: &dyn Documents) -> Vec<String> {
        let mut refs = documents.cached_refs();
        refs.extend(self.place.refs.iter().cloned());
        refs.sort_unstable();
        refs.dedup();
        refs
    }

    fn not_synced(&self, references: Vec<String>) -> Error {
        Error::from(ErrorKind::NotSynced {
            source_name: self.config.label(),
            references,
        })
    }

    fn remote(&self, head: &Head, entry: Entry) -> Result<RemoteModel> {
        let origin = &head.origin;
        let model = ModelName::parse(&below(&self.config.name, &entry.path))
            .and_then(|name| name.version(&*origin.reference))
            .map_err(|error| Error::registry(&self.config.key, error.to_string()))?;
        let pin = Pin {
            repo: origin.repo.clone(),
            state: origin.state.clone(),
            root: entry.root,
            include: Vec::new(),
            exclude: Vec::new(),
        };
        Ok(RemoteModel {
            commit: pin.state.commit().map(str::to_owned),
            files: Some(entry.files),
            total_bytes: entry.bytes,
            metadata: entry.about,
            pin: Some(pin),
            listing: Some(entry.place),
            ..RemoteModel::new(model, &*self.config.key, entry.digest)
        })
    }

    /// Finds a model in the registries of several refs: it may be in one of them only.
    fn find_anywhere(&self, documents: &dyn Documents, path: &str) -> Result<RemoteModel> {
        let (mut found, mut near, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for reference in self.refs(documents) {
            let Some(mut cached) = self.cached(documents, &reference)? else {
                if self.place.refs.contains(&reference) {
                    missing.push(reference);
                }
                continue;
            };
            match take(cached.models()?, path) {
                Ok(entry) => found.push(self.remote(&cached.head, entry)?),
                Err(names) => near.extend(names),
            }
        }
        match found.len() {
            0 if missing.is_empty() && !(near.is_empty() && self.place.refs.is_empty()) => {
                near.sort_unstable();
                near.dedup();
                Err(self.not_found(path, &near))
            }
            0 => Err(self.not_synced(missing)),
            1 => Ok(found.swap_remove(0)),
            _ => Err(ErrorKind::InvalidRef {
                input: below(&self.config.name, path),
                message: "is there at several refs".into(),
                choices: found
                    .iter()
                    .map(|remote| remote.model.to_string())
                    .collect(),
            }
            .into()),
        }
    }

    fn not_found(&self, path: &str, near: &[String]) -> Error {
        let full = |path: &str| below(&self.config.name, path);
        Error::from(ErrorKind::ModelNotFound {
            model: full(path),
            near: near.iter().map(|near| full(near)).collect(),
        })
    }
}

/// Whether a cached registry is of what a source says now, or of a repository that was asked for in its place.
pub(crate) fn is_of(
    head: &Head,
    config: &SourceConfig,
    place: &RepositoryPlace,
    reference: &str,
) -> bool {
    let origin = &head.origin;
    origin.reference == reference
        && origin.name == config.name
        && origin.server == place.server.to_string()
        && (origin.fork || origin.repo == place.repo)
}

/// Takes the entry of a name; else the names that come near.
fn take(mut entries: Vec<Entry>, path: &str) -> Result<Entry, Vec<String>> {
    match entries.binary_search_by(|entry| entry.path.as_str().cmp(path)) {
        Ok(at) => Ok(entries.swap_remove(at)),
        Err(_) => Err(nearest(
            path,
            entries.iter().map(|entry| entry.path.as_str()),
        )),
    }
}

impl Source for Repository {
    fn config(&self) -> &SourceConfig {
        &self.config
    }

    fn catalog(&self, documents: &dyn Documents) -> Result<Catalog> {
        let mut catalog = Catalog::default();
        let mut any = false;
        for reference in self.refs(documents) {
            let mut read = || -> Result<bool> {
                let Some(mut cached) = self.cached(documents, &reference)? else {
                    return Ok(false);
                };
                for entry in cached.models()? {
                    catalog.models.push(self.remote(&cached.head, entry)?);
                }
                Ok(true)
            };
            match read() {
                Ok(true) => any = true,
                Ok(false) if self.place.refs.contains(&reference) => {
                    let error = self.not_synced(vec![reference.clone()]);
                    catalog.failures.push((reference, error));
                }
                Ok(false) => {}
                Err(error) => catalog.failures.push((reference, error)),
            }
        }
        if !any && catalog.failures.is_empty() {
            let error = self.not_synced(Vec::new());
            catalog.failures.push((String::new(), error));
        }
        Ok(catalog)
    }

    fn examples(&self, documents: &dyn Documents) -> Result<Vec<Examples>> {
        let mut all = Vec::new();
        for reference in self.refs(documents) {
            let Some(mut cached) = self.cached(documents, &reference)? else {
                continue;
            };
            let full = |path: &str| below(&self.config.name, path);
            let examples = cached.examples()?.into_iter().map(|(example, models)| {
                // A model that no reference can name is none that could be pulled.
                let named = models.iter().filter_map(|model| {
                    ModelName::parse(&full(model))
                        .ok()?
                        .version(&*reference)
                        .ok()
                });
                (full(&example), named.collect())
            });
            let examples = examples.collect();
            all.push(Examples {
                reference,
                examples,
            });
        }
        Ok(all)
    }

    fn find(
        &self,
        documents: &dyn Documents,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel> {
        let Some(reference) = version else {
            return self.find_anywhere(documents, path);
        };
        let Some(mut cached) = self.cached(documents, reference)? else {
            return Err(self.not_synced(vec![reference.to_owned()]));
        };
        match take(cached.models()?, path) {
            Ok(entry) => self.remote(&cached.head, entry),
            Err(near) => Err(self.not_found(path, &near)),
        }
    }

    fn contents(&self, documents: &dyn Documents, model: &RemoteModel) -> Result<Manifest> {
        let reference = model.model.version();
        let Some(mut cached) = self.cached(documents, reference)? else {
            return Err(self.not_synced(vec![reference.to_owned()]));
        };
        let digest = model.manifest_digest;
        let known = model
            .listing
            .and_then(|place| cached.manifest(&place, digest).ok());
        let manifest = match known {
            Some(manifest) => manifest,
            // It was found in another state of the registry, or is installed.
            None => {
                let mut entries = cached.models()?.into_iter();
                let entry = entries
                    .find(|entry| entry.digest == digest)
                    .ok_or_else(|| {
                        let name = &model.model;
                        let message = format!("the registry has another state of {name} now");
                        Error::registry(self.config.label(), message)
                    })?;
                cached.manifest(&entry.place, digest)?
            }
        };
        let location = self.config.label();
        match self.places(documents, model.pin.as_ref())? {
            Places::Zip { zip, root } => {
                let sizes = manifest
                    .files()
                    .iter()
                    .map(|file| Ok(zip.member(&below(&root, file.path.as_str()))?.size_bytes));
                let sizes = sizes.collect::<Result<Vec<_>>>()?;
                manifest.measured(&sizes, location)
            }
            _ => Ok(manifest),
        }
    }

    fn places(&self, documents: &dyn Documents, pin: Option<&Pin>) -> Result<Places> {
        let pin = pin.ok_or_else(|| {
            let label = self.config.label();
            Error::registry(
                label,
                "it is not recorded where the files came from: pull the model again",
            )
        })?;
        let place = self.place.with_repo(&pin.repo)?;
        match &pin.state {
            PinState::Commit(commit) => {
                if let Some((zip, top)) = documents.kept_archive(commit)? {
                    let root = below(&top, &pin.root).trim_end_matches('/').to_owned();
                    return Ok(Places::Zip { zip, root });
                }
                Ok(Places::Files {
                    url: place.raw,
                    repo: place.repo,
                    commit: commit.clone(),
                    root: pin.root.clone(),
                    elsewhere: None,
                })
            }
            PinState::Release { tag, asset } => Ok(Places::Zip {
                zip: documents.zip(vec![place.release_url(tag, asset)], tag)?,
                root: pin.root.clone(),
            }),
        }
    }
}
