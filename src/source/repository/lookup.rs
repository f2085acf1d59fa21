//! What is in the registries that were synced.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Repository;
use super::index::{self, Cached, Head, Known, Rest};
use crate::catalog::registry::{CachedRegistry, Example, RegistryMode, RemoteListing};
use crate::catalog::{Pin, RemoteModel};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::source::cache::{RegistryCache, cached_refs};
use crate::source::compiled::Row;
use crate::source::{ListFilter, Source};

impl Repository {
    pub(super) fn cache(&self, reference: &str) -> RegistryCache {
        RegistryCache::of_ref(&self.cache_dir, &self.identity.key, reference)
    }

    /// Opens the cached registry of a ref, unless it belongs to another repository than the one configured now.
    pub(super) fn cached(&self, reference: &str) -> Result<Option<Cached>> {
        let cached = index::open(&self.cache(reference))?;
        Ok(cached.filter(|cached| self.is_current(&cached.head, reference)))
    }

    /// Opens the cached registry of a ref, which must be there.
    pub(super) fn synced(&self, reference: &str) -> Result<Cached> {
        let missing = || self.not_synced(vec![reference.to_owned()]);
        self.cached(reference)?.ok_or_else(missing)
    }

    /// Reads what it takes to find models in a cached registry, unless it is known.
    fn known(&self, cached: &mut Cached) -> Result<Arc<Known>> {
        let mut kept = self.known.lock();
        // The head has the digests of all that is read, so that it tells every other registry apart.
        if let Some(known) = kept.get(&cached.head.origin.reference)
            && known.head == cached.head
        {
            return Ok(known.clone());
        }
        let known = Arc::new(Known::of(cached)?);
        kept.insert(cached.head.origin.reference.clone(), known.clone());
        Ok(known)
    }

    /// Whether a cached registry belongs to what the configuration says now, or to a repository that was synced in its
    /// place.
    pub(super) fn is_current(&self, head: &Head, reference: &str) -> bool {
        let origin = &head.origin;
        origin.reference == reference
            && origin.name == self.identity.name
            && (self.is_of_any_server || origin.server == self.place.server.to_string())
            && (origin.fork || origin.repo == self.place.repo)
    }

    /// The refs whose registries are cached, and those that are configured.
    pub(super) fn refs(&self) -> BTreeSet<String> {
        let mut refs: BTreeSet<String> = self.place.refs.iter().cloned().collect();
        refs.extend(cached_refs(&self.cache_dir, &self.identity.key));
        refs
    }

    fn not_synced(&self, references: Vec<String>) -> Error {
        ErrorKind::NotSynced {
            source_name: self.label(),
            references,
            source: None,
        }
        .into()
    }

    pub(super) fn remote(&self, head: &Head, row: Row) -> RemoteModel {
        let origin = &head.origin;
        let pin = Pin::new(&*origin.repo, origin.state.clone(), &*row.root);
        RemoteModel {
            commit: pin.state.commit().map(Arc::from),
            files: row.files,
            total_bytes: row.bytes,
            metadata: row.about,
            pin: Some(pin.into()),
            listing: row.place.map(Box::new),
            ..RemoteModel::new(row.model, &*self.identity.key, row.digest)
        }
    }

    pub(super) fn look_up(&self, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let Some(reference) = version else {
            return self.look_up_anywhere(path);
        };
        let known = self.known(&mut self.synced(reference)?)?;
        match self.row_of(&known, path)? {
            Some(row) => Ok(self.remote(&known.head, row)),
            None => {
                self.refuse_left_out(&known, path)?;
                Err(self.at_other_refs(path, reference, known.near(&self.identity, path)))
            }
        }
    }

    /// The error of a model that the registry of a ref lacks; those of other refs may have it.
    fn at_other_refs(&self, path: &str, reference: &str, near: Vec<String>) -> Error {
        let has_it = |reference: &String| {
            let cached = self.cached(reference).ok().flatten();
            let known = cached.and_then(|mut cached| self.known(&mut cached).ok());
            known.is_some_and(|known| matches!(self.row_of(&known, path), Ok(Some(_))))
        };
        let refs: Vec<String> = self.refs().into_iter().filter(has_it).collect();
        if refs.is_empty() {
            return self.identity.not_found(path, near);
        }
        Error::from(ErrorKind::VersionNotFound {
            model: self.identity.full_name(path),
            version: reference.to_owned(),
            near: refs,
            is_revision: true,
        })
    }

    /// Says why a registry does not offer a model that it lists.
    fn refuse_left_out(&self, known: &Known, path: &str) -> Result<()> {
        match known.rest.left_out.get(path) {
            Some(reason) => {
                let location = format!("{}@{}", self.label(), known.head.origin.reference);
                let message = format!("model '{}': {reason}", self.identity.full_name(path));
                Err(Error::registry(location, message))
            }
            None => Ok(()),
        }
    }

    /// Looks a model up in the registries of all refs: it may be in only one of them.
    fn look_up_anywhere(&self, path: &str) -> Result<RemoteModel> {
        let (mut found, mut near, mut missing) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut left_out = Ok(());
        for reference in self.refs() {
            match self.cached(&reference)? {
                Some(mut cached) => {
                    let known = self.known(&mut cached)?;
                    match self.row_of(&known, path)? {
                        Some(row) => found.push(self.remote(&known.head, row)),
                        None => {
                            near.extend(known.near(&self.identity, path));
                            left_out = left_out.and_then(|()| self.refuse_left_out(&known, path));
                        }
                    }
                }
                None if self.expects(&reference) => missing.push(reference),
                None => {}
            }
        }
        if found.is_empty() {
            left_out?;
        }
        match found.len() {
            0 if missing.is_empty() && !(near.is_empty() && self.place.refs.is_empty()) => {
                Err(self.identity.not_found(path, near.into_iter().collect()))
            }
            0 => Err(self.not_synced(missing)),
            1 => Ok(found.swap_remove(0)),
            _ => Err(ErrorKind::InvalidRef {
                input: self.identity.full_name(path),
                message: "exists at several refs".into(),
                choices: found
                    .iter()
                    .map(|remote| remote.model.to_string())
                    .collect(),
            }
            .into()),
        }
    }

    /// Lists what the cached registries offer.
    pub(super) fn list_cached(&self, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let mut listing = RemoteListing::default();
        let mut is_any_known = false;
        for reference in self.refs() {
            let cached = self.cached(&reference);
            is_any_known |= self.expects(&reference) || !matches!(cached, Ok(None));
            if !filter.wants(&reference) {
                continue;
            }
            let is_missing = cached.and_then(|cached| {
                let Some(mut cached) = cached else {
                    return Ok(self.expects(&reference));
                };
                let rows = cached.rows()?.collect::<Result<Vec<Row>>>()?;
                for row in rows {
                    listing.models.push(self.remote(&cached.head, row));
                }
                Ok(false)
            });
            let error = match is_missing {
                Ok(false) => continue,
                Ok(true) => self.not_synced(vec![reference.clone()]),
                Err(error) => error,
            };
            let failure = self.identity.failure(Some(reference), error);
            listing.failures.push(failure);
        }
        if !is_any_known {
            let error = self.not_synced(Vec::new());
            listing.failures.push(self.identity.failure(None, error));
        }
        // Of a source that is named, a ref that the configuration does not list may be meant.
        if let Some(wanted) = filter.reference
            && filter.is_named
            && listing.failures.is_empty()
            && self.cached(wanted)?.is_none()
        {
            let error = self.not_synced(vec![wanted.to_owned()]);
            let failure = self.identity.failure(Some(wanted.to_owned()), error);
            listing.failures.push(failure);
        }
        Ok(listing)
    }

    /// The examples of all cached registries.
    pub(super) fn cached_examples(&self) -> Result<Vec<Example>> {
        let mut all = Vec::new();
        for reference in self.refs() {
            let Some(mut cached) = self.cached(&reference)? else {
                continue;
            };
            for (example, models) in cached.rest::<Rest>()?.examples {
                // A model that no reference can name could not be pulled either.
                let named = |path: &String| self.identity.model(path, &reference, "").ok();
                let name = self.identity.full_name(&example);
                all.push(Example {
                    models: models.iter().filter_map(named).collect(),
                    ..Example::new(name, &*self.identity.key, &*reference)
                });
            }
        }
        Ok(all)
    }

    /// The files of a model as its registry lists them, some perhaps without a size.
    pub(super) fn listed_manifest(&self, model: &RemoteModel) -> Result<Manifest> {
        let reference = model.model.version();
        let mut cached = self.synced(reference)?;
        let digest = model.manifest_digest;
        let known = model.listing.as_deref();
        if let Some(Ok(json)) = known.map(|place| cached.list(place, digest)) {
            return Manifest::parse_listing(json, cached.path().display());
        }
        // It was found in another state of the registry, or is installed.
        let row = self.known(&mut cached)?.names.with_digest(digest)?;
        let place = row.and_then(|row| row.place).ok_or_else(|| {
            let message = format!("the registry now has another state of {}", model.model);
            Error::registry(self.label(), message)
        })?;
        let json = cached.list(&place, digest)?;
        Manifest::parse_listing(json, cached.path().display())
    }

    /// What is known of the cached registry of a ref.
    pub(super) fn cached_registry(&self, reference: &str) -> Option<CachedRegistry> {
        let Cached { head, .. } = self.cached(reference).ok()??;
        Some(CachedRegistry {
            mode: RegistryMode::of(&head.origin.state),
            commit: head.origin.state.commit().map(str::to_owned),
            repo: head.origin.repo,
            fetched_at: self.cache(reference).any_meta()?.fetched_at,
            versions: head.models,
            path: self.cache(reference).document_path(),
        })
    }

    /// How many files the cached registry of a ref lists.
    pub(super) fn listed_files(&self, reference: &str) -> u64 {
        let cached = self.cached(reference).ok().flatten();
        cached.map_or(u64::MAX, |cached| cached.head.files as u64)
    }

    /// The row of a name, or of a path as it is in the repository.
    fn row_of(&self, known: &Known, path: &str) -> Result<Option<Row>> {
        let name = self.identity.full_name(path);
        let (group, model) = name.rsplit_once('/').unwrap_or(("", &name));
        // The registry of a ref has one version of each.
        match known.names.versions_of(group, model)?.pop() {
            None if !path.is_empty() => known.names.only_in(path),
            row => Ok(row),
        }
    }
}
