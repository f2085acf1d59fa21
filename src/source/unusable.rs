//! A source that a wrong setting of the environment keeps from being reached: an error of what needs it, and of nothing
//! else.

use std::sync::Arc;

use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::catalog::sync::{FailedRegistry, SkippedRegistry, SyncReport};
use crate::catalog::{Pin, RemoteModel};
use crate::error::{Error, Result, chain};
use crate::http::call::Call;
use crate::source::places::Places;
use crate::source::{Identity, ListFilter, QUERIED_DIRECTLY, Route, Source, SyncRequest};

#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) identity: Identity,
    pub(super) kind: SourceKind,
    /// What stands for its URL.
    pub(super) location: String,
    /// Whether it would keep a registry; else it would be queried directly.
    pub(super) can_list: bool,
    pub(super) reason: Error,
}

impl Unusable {
    fn refuse<T>(&self) -> Result<T> {
        Err(self.error())
    }

    fn error(&self) -> Error {
        Error::config(chain(&self.reason))
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

    fn find(&self, _: &Call, _: &str, _: Option<&str>) -> Result<RemoteModel> {
        self.refuse()
    }

    fn can_list(&self) -> bool {
        self.can_list
    }

    fn list(&self, _: &Call, _: ListFilter<'_>) -> Result<RemoteListing> {
        self.refuse()
    }

    fn search(&self, _: &Call, _: &str) -> Result<Vec<RemoteModel>> {
        self.refuse()
    }

    fn places(&self, _: &Call, _: Option<&Pin>, _: Route) -> Result<Places> {
        self.refuse()
    }

    fn sync(&self, _: &Call, _: &SyncRequest<'_>) -> SyncReport {
        let (key, label) = (&*self.identity.key, self.label());
        let mut report = SyncReport::default();
        if self.can_list {
            let failed = FailedRegistry::new(key, label, self.error());
            report.failed.push(failed);
        } else {
            let skipped = SkippedRegistry::new(key, label, QUERIED_DIRECTLY);
            report.skipped.push(skipped);
        }
        report
    }
}
