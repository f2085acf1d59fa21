//! A source that a wrong setting of the environment keeps from being reached: an error of what needs it, and of nothing
//! else. What is cached of it can be looked up.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::warn;

use crate::catalog::registry::{Example, RegistryFailure, RemoteListing, SourceInfo, SourceKind};
use crate::catalog::sync::{FailedRegistry, SkipReason, SkippedRegistry, SyncReport};
use crate::catalog::{Pin, RemoteModel};
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::source::places::Places;
use crate::source::{Identity, ListFilter, Route, Source, SyncRequest};

#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) identity: Identity,
    pub(super) kind: SourceKind,
    /// What stands for its URL.
    pub(super) location: String,
    /// Whether it would keep a registry; else it would be queried directly.
    pub(super) can_list: bool,
    pub(super) reason: Error,
    /// Knows what is cached of it, without reaching it.
    pub(super) cached: Option<Box<dyn Source>>,
}

impl Unusable {
    fn refuse<T>(&self) -> Result<T> {
        Err(self.error())
    }

    fn error(&self) -> Error {
        Error::config(chain(&self.reason))
    }

    /// What is not cached would have to be fetched.
    fn instead_of(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::NotSynced { .. } => self.error(),
            _ => error,
        }
    }
}

impl From<Unusable> for Arc<dyn Source> {
    fn from(source: Unusable) -> Self {
        Arc::new(source)
    }
}

impl Source for Unusable {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        self.kind
    }

    fn locations(&self) -> Vec<String> {
        vec![self.location.clone()]
    }

    fn expects(&self, version: &str) -> bool {
        let cached = self.cached.as_ref();
        cached.is_some_and(|cached| cached.expects(version))
    }

    fn is_same(&self, path: &str, pin: &Pin) -> bool {
        let cached = self.cached.as_ref();
        cached.is_some_and(|cached| cached.is_same(path, pin))
    }

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let Some(cached) = &self.cached else {
            return self.refuse();
        };
        let found = cached.find(&call.without_sync(), path, version);
        found.map_err(|error| self.instead_of(error))
    }

    fn can_list(&self) -> bool {
        self.can_list
    }

    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let Some(cached) = &self.cached else {
            return self.refuse();
        };
        let mut listing = cached.list(&call.without_sync(), filter)?;
        if listing.failures.is_empty() {
            let error = self.error();
            warn!(%error, "the registry of {} is listed as it was cached", self.label());
        }
        let failures = std::mem::take(&mut listing.failures).into_iter();
        let failures = failures.map(|failure| RegistryFailure {
            error: self.instead_of(failure.error),
            ..failure
        });
        listing.failures = failures.collect();
        Ok(listing)
    }

    fn examples(&self) -> Result<Vec<Example>> {
        let cached = self.cached.as_ref();
        cached.map_or(Ok(Vec::new()), |cached| cached.examples())
    }

    fn info(&self) -> SourceInfo {
        let Identity { key, name } = &self.identity;
        let bare = || SourceInfo {
            locations: self.locations(),
            ..SourceInfo::new(key, name, self.kind)
        };
        let cached = self.cached.as_ref();
        cached.map_or_else(bare, |cached| cached.info())
    }

    fn refresh(&self, _: &Call, versions: &BTreeSet<&str>) -> Vec<(String, Error)> {
        let versions = versions.iter().filter(|_| self.cached.is_some());
        let refused = versions.map(|version| ((*version).to_owned(), self.error()));
        refused.collect()
    }

    fn manifest(&self, _: &Call, _: &RemoteModel, _: Route) -> Result<Manifest> {
        self.refuse()
    }

    fn search(&self, _: &Call, _: &str) -> Result<Vec<RemoteModel>> {
        self.refuse()
    }

    fn places(&self, _: &Call, _: &RemoteModel, _: Route) -> Result<Places> {
        self.refuse()
    }

    fn sync(&self, call: &Call, request: &SyncRequest<'_>) -> SyncReport {
        let (key, label) = (&*self.identity.key, self.label());
        request.registry(call, &label, |_| {
            let mut report = SyncReport::default();
            if self.can_list {
                let failed = FailedRegistry::new(key, &label, self.error());
                report.failed.push(failed);
            } else {
                let skipped = SkippedRegistry::new(key, &label, SkipReason::QueriedDirectly);
                report.skipped.push(skipped);
            }
            report
        })
    }
}
