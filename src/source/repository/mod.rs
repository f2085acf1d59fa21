//! Git-hosted repositories that publish a `models.toml`, under version control or with a release.
//!
//! What a repository offers is known from the registries that were synced, one for each ref; a lookup opens no socket. A
//! registry under version control belongs to one commit, and its files come from that commit whatever the branch does
//! meanwhile. Those of a release are members of one zip.

mod archives;
pub(crate) mod discover;
pub(crate) mod index;
mod kind;
mod lookup;
pub(crate) mod place;
pub(crate) mod refs;
mod sync;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::warn;

use crate::catalog::registry::{Example, RefInfo, RemoteListing, SourceInfo, SourceKind};
use crate::catalog::sync::{FailedRegistry, SyncReport};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::is_commit_id;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::relpath::below;
use crate::source::discovered::DiscoveredRegistry;
use crate::source::places::Places;
use crate::source::zips::{OpenedZips, Opening, drop_kept};
use crate::source::{Context, Identity, ListFilter, Prefetched, Route, Source, SyncRequest};

use index::Known;
use place::RepositoryPlace;

/// How repositories become sources.
pub(super) struct Kind;

#[derive(Debug)]
struct Repository {
    identity: Identity,
    /// Its refs are those that the configuration lists or, of one that is not configured, those that are cached.
    place: RepositoryPlace,
    /// Whether the repository is not the one that the configuration names here.
    is_fork: bool,
    /// Whether its server is unknown, so that what is cached is taken for its own wherever it came from.
    is_of_any_server: bool,
    cache_dir: PathBuf,
    zips: OpenedZips,
    /// What was read last of the registry of each ref to find a model.
    known: Mutex<HashMap<String, Arc<Known>>>,
}

impl Repository {
    fn new(identity: Identity, place: RepositoryPlace, is_fork: bool, context: &Context) -> Self {
        Self {
            identity,
            place,
            is_fork,
            is_of_any_server: false,
            cache_dir: context.cache_dir.clone(),
            zips: OpenedZips::default(),
            known: Mutex::default(),
        }
    }

    /// The same source with another repository in its place.
    fn for_repo(&self, repo: &str) -> Result<Self> {
        Ok(Self {
            identity: self.identity.clone(),
            place: self.place.with_repo(repo)?,
            is_fork: self.is_fork || self.place.repo != repo,
            is_of_any_server: self.is_of_any_server,
            cache_dir: self.cache_dir.clone(),
            zips: OpenedZips::default(),
            known: Mutex::default(),
        })
    }
}

impl Source for Repository {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::REPOSITORY
    }

    fn locations(&self) -> Vec<String> {
        vec![self.place.repo.clone()]
    }

    fn expects(&self, version: &str) -> bool {
        self.place.refs.iter().any(|reference| reference == version)
    }

    /// A path as it is in the repository.
    fn is_same(&self, path: &str, pin: &Pin) -> bool {
        pin.root == path
    }

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let error = match self.look_up(path, version) {
            Err(error) if call.may_sync() => error,
            result => return result,
        };
        let ErrorKind::NotSynced { references, .. } = error.kind() else {
            return Err(error);
        };
        let failed = self.sync_missing(call, references)?;
        let found = self.look_up(path, version);
        if found.is_ok() {
            for failed in &failed {
                let error = chain(&failed.error);
                warn!(%error, "a registry of {} cannot be synced", self.label());
            }
        }
        found.map_err(|error| because(error, failed.first()))
    }

    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let listing = self.list_cached(filter)?;
        let failures = listing.failures.iter();
        let missing = failures.filter_map(|failure| match failure.error.kind() {
            ErrorKind::NotSynced { references, .. } => Some(references.as_slice()),
            _ => None,
        });
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() || !call.may_sync() {
            return Ok(listing);
        }
        let failed = self
            .sync_refs(call, &missing.concat(), &SyncRequest::default())
            .failed;
        call.cancel.check()?;
        let mut listing = self.list_cached(filter)?;
        for failure in &mut listing.failures {
            let mut failed = failed.iter();
            let cause = failed.find(|failed| failed.reference == failure.reference);
            let error = std::mem::replace(&mut failure.error, ErrorKind::Cancelled.into());
            failure.error = because(error, cause);
        }
        Ok(listing)
    }

    fn examples(&self) -> Result<Vec<Example>> {
        self.cached_examples()
    }

    fn manifest(&self, call: &Call, model: &RemoteModel, route: Route) -> Result<Manifest> {
        let manifest = self.listed_manifest(model)?;
        let Places::Zip { zip, root, .. } = self.places(call, model, route)? else {
            return Ok(manifest);
        };
        let members = manifest
            .files()
            .iter()
            .map(|file| zip.member(&below(&root, file.path.as_str())));
        let sizes = members.map(|member| Ok(member?.size_bytes));
        manifest.measured(&sizes.collect::<Result<Vec<_>>>()?, self.label())
    }

    fn places(&self, call: &Call, model: &RemoteModel, route: Route) -> Result<Places> {
        let pin = model.pin.as_deref().ok_or_else(|| super::no_pin(self))?;
        let place = self.place.with_repo(&pin.repo)?;
        match &pin.state {
            PinState::Commit(commit) => {
                if route == Route::Shared {
                    match self.shared_archive(call, pin, commit) {
                        Ok(Some(places)) => return Ok(places),
                        Ok(None) => {}
                        Err(error) if error.is_cancelled() || call.is_offline() => {
                            return Err(error);
                        }
                        Err(error) => {
                            let (repo, error) = (&pin.repo, chain(&error));
                            warn!(%error, "the archive of {repo} at {commit} cannot be used; fetching each file instead");
                        }
                    }
                }
                Ok(Places::Files {
                    url: place.raw,
                    repo: place.repo,
                    commit: commit.clone(),
                    root: pin.root.clone(),
                    elsewhere: Vec::new(),
                })
            }
            PinState::Release { tag, asset } => {
                let cache = self.cache(tag);
                let revision = index::open(&cache)?.map(|cached| cached.head.origin.revision);
                let keep = cache.archive_path(revision.as_deref().unwrap_or(tag));
                Ok(match self.open_asset(call, &place, (tag, asset), &keep)? {
                    Opening::Open(zip) => Places::Zip {
                        zip,
                        root: pin.root.clone(),
                        is_shared: false,
                    },
                    Opening::OnlyWhole { size_bytes } => Places::WholeZip { size_bytes },
                })
            }
        }
    }

    fn distrust(&self, places: &Places, is_wrong: bool) {
        self.zips.forget();
        if let Places::Zip {
            zip,
            is_shared: false,
            ..
        } = places
            && let Some(kept) = zip.kept.as_deref().filter(|_| is_wrong)
        {
            drop_kept(kept);
        }
    }

    fn info(&self) -> SourceInfo {
        let Identity { key, name } = &self.identity;
        let refs = self.refs().into_iter().map(|reference| RefInfo {
            is_configured: !self.is_fork && self.expects(&reference),
            cached: self.cached_registry(&reference),
            reference,
        });
        let refs: Vec<RefInfo> = refs
            .filter(|it| it.is_configured || it.cached.is_some())
            .collect();
        let cached = || refs.iter().filter_map(|info| info.cached.as_ref());
        let fetched_at = cached().map(|cached| cached.fetched_at).min();
        SourceInfo {
            locations: self.locations(),
            fetched_at,
            versions: fetched_at.map(|_| cached().map(|cached| cached.versions).sum()),
            refs,
            ..SourceInfo::new(key, name, self.kind())
        }
    }

    fn sync(&self, call: &Call, request: &SyncRequest<'_>) -> SyncReport {
        match request.reference {
            Some(reference) => self.sync_refs(call, &[reference.to_owned()], request),
            None => self.sync_refs(call, &self.place.refs, request),
        }
    }

    fn registries(&self, request: &SyncRequest<'_>) -> usize {
        match request.reference {
            Some(_) => 1,
            // Without any, the default branch.
            None => self.place.refs.len().max(1),
        }
    }

    fn discover(&self, call: &Call, reference: Option<&str>) -> Result<DiscoveredRegistry> {
        self.discover_ref(call, reference)
    }

    fn refresh(&self, call: &Call, versions: &BTreeSet<&str>) -> Vec<(String, Error)> {
        let mut own = Vec::new();
        let (request, mut report) = (SyncRequest::default(), SyncReport::default());
        // A commit does not move.
        for reference in versions.iter().filter(|version| !is_commit_id(version)) {
            // What was synced from a fork is synced from there again.
            let fork = self.cached(reference).ok().flatten();
            let fork = fork.filter(|cached| cached.head.origin.fork);
            let fork = fork.and_then(|fork| self.for_repo(&fork.head.origin.repo).ok());
            match fork {
                Some(fork) => {
                    report.extend(fork.sync_refs(call, &[(*reference).to_owned()], &request));
                }
                None => own.push((*reference).to_owned()),
            }
        }
        if !own.is_empty() {
            report.extend(self.sync_refs(call, &own, &request));
        }
        let failed = report.failed.into_iter();
        failed
            .map(|failed| (failed.reference.unwrap_or_default(), failed.error))
            .collect()
    }

    fn prefetch(&self, call: &Call, models: &[&RemoteModel]) -> Result<Prefetched> {
        self.fetch_archives(call, models)
    }

    fn repo(&self) -> Option<&str> {
        Some(&self.place.repo)
    }

    fn with_repo(&self, repo: &str) -> Option<Result<Arc<dyn Source>>> {
        let fork = self.for_repo(repo);
        Some(fork.map(|fork| Arc::new(fork) as _))
    }
}

/// Adds to the error of a registry that is not synced why a sync failed.
fn because(error: Error, failed: Option<&FailedRegistry>) -> Error {
    error.map_kind(|mut kind| {
        if let (ErrorKind::NotSynced { source, .. }, Some(failed)) = (&mut kind, failed) {
            *source = Some(chain(&failed.error).into());
        }
        kind
    })
}

impl SourceKind {
    /// A Git-hosted repository that publishes a `models.toml`; [`SourceKind`] has an example.
    pub const REPOSITORY: Self = Self::new("repository");
}
