//! Git-hosted repositories that publish a `models.toml`, under version control or with a release.
//!
//! What a repository offers is known from the registries that were synced, one for each ref; a lookup opens no socket. A
//! registry under version control belongs to one commit, and its files come from that commit whatever the branch does
//! meanwhile. Those of a release are members of one zip.

pub(crate) mod discover;
pub(crate) mod index;
pub(crate) mod place;
pub(crate) mod refs;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use tracing::{info, warn};

use crate::catalog::registry::{
    CachedRegistry, Example, RefInfo, RegistryMode, RemoteListing, SourceInfo, SourceKind,
    SyncReport,
};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::is_commit_id;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result, chain};
use crate::http::Token;
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::near::nearest;
use crate::relpath::below;
use crate::source::cache::{RegistryCache, cached_refs};
use crate::source::places::Places;
use crate::source::zips::{OpenedZips, ZipOpener, drop_kept};
use crate::source::{Context, Entry, Identity, ListFilter, Prefetched, Route, Source, SyncRequest};
use crate::url::Url;

pub(crate) use index::Cached;
use index::{Head, Row};
use place::{Host, RepositoryPlace};

/// From so many files on, an archive is worth asking for: a server takes seconds to make one that does not exist yet.
const MIN_ARCHIVE_FILES: u64 = 64;
/// Which share of a repository's files must be wanted: an archive has all of them, and what lies beside them.
const MIN_ARCHIVE_SHARE: u64 = 3;

/// How repositories become sources.
pub(super) struct Kind;

#[derive(Debug)]
struct Repository {
    identity: Identity,
    /// Its refs are those that the configuration lists or, of one that is not configured, those that are cached.
    place: RepositoryPlace,
    /// Whether the repository is not the one that the configuration names here.
    is_fork: bool,
    cache_dir: PathBuf,
    zips: OpenedZips,
}

impl super::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &place::KEYS
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let host = Host::read(&context.environment)?;
        let place = RepositoryPlace::of_entry(&entry, &host)?;
        Ok(Arc::new(Repository::new(
            entry.identity,
            place,
            false,
            context,
        )))
    }

    fn tokens(&self, env: &Environment) -> Result<Vec<Token>> {
        let Host { server, api } = Host::read(env)?;
        // The order of GitHub's own command-line tool.
        let token = env.first(&["GH_TOKEN", "GITHUB_TOKEN"]);
        let bearer = token.map(|token| format!("Bearer {token}"));
        // Git itself knows only passwords.
        let basic = token.map(|token| {
            let password = format!("x-access-token:{token}");
            let password = base64::engine::general_purpose::STANDARD.encode(password);
            format!("Basic {password}")
        });
        let token = |url: &Url, value| Token::new(url, "GITHUB_TOKEN", value);
        let mut tokens = vec![token(&server, basic), token(&api, bearer.clone())];
        if place::is_github(&server) {
            let raw = Url::parse("https://raw.githubusercontent.com");
            tokens.extend(raw.map(|raw| token(&raw, bearer)));
        }
        Ok(tokens)
    }

    fn adopt(&self, repo: &str, context: &Context) -> Option<Result<Arc<dyn Source>>> {
        let place = Host::read(&context.environment).and_then(|host| host.place(repo));
        let identity = Identity {
            key: repo.to_owned(),
            name: repo.to_owned(),
        };
        Some(place.map(|place| {
            Arc::new(Repository::new(identity, place, true, context)) as Arc<dyn Source>
        }))
    }

    fn recover(&self, key: &str, context: &Context) -> Option<Arc<dyn Source>> {
        let refs = cached_refs(&context.cache_dir, key);
        let mut place = Host::read(&context.environment).ok()?.place(key).ok()?;
        let server = place.server.to_string();
        let heads = refs.iter().filter_map(|reference| {
            let cache = RegistryCache::of_ref(&context.cache_dir, key, reference);
            Some(Cached::open(&cache).ok()??.head)
        });
        let mut origins = heads.map(|head| head.origin);
        origins.find(|origin| origin.fork && origin.repo == key && origin.server == server)?;
        place.refs = refs;
        let identity = Identity {
            key: key.to_owned(),
            name: key.to_owned(),
        };
        Some(Arc::new(Repository::new(identity, place, true, context)))
    }
}

impl Repository {
    fn new(identity: Identity, place: RepositoryPlace, is_fork: bool, context: &Context) -> Self {
        Self {
            identity,
            place,
            is_fork,
            cache_dir: context.cache_dir.clone(),
            zips: OpenedZips::default(),
        }
    }

    fn cache(&self, reference: &str) -> RegistryCache {
        RegistryCache::of_ref(&self.cache_dir, &self.identity.key, reference)
    }

    /// Opens the cached registry of a ref, unless it belongs to another repository than the one configured now.
    fn cached(&self, reference: &str) -> Result<Option<Cached>> {
        let cached = Cached::open(&self.cache(reference))?;
        Ok(cached.filter(|cached| self.is_current(&cached.head, reference)))
    }

    /// Opens the cached registry of a ref, which must be there.
    fn synced(&self, reference: &str) -> Result<Cached> {
        let missing = || self.not_synced(vec![reference.to_owned()]);
        self.cached(reference)?.ok_or_else(missing)
    }

    /// Whether a cached registry belongs to what the configuration says now, or to a repository that was synced in its
    /// place.
    fn is_current(&self, head: &Head, reference: &str) -> bool {
        let origin = &head.origin;
        origin.reference == reference
            && origin.name == self.identity.name
            && origin.server == self.place.server.to_string()
            && (origin.fork || origin.repo == self.place.repo)
    }

    /// The refs whose registries are cached, and those that are configured.
    fn refs(&self) -> BTreeSet<String> {
        let mut refs: BTreeSet<String> = self.place.refs.iter().cloned().collect();
        refs.extend(cached_refs(&self.cache_dir, &self.identity.key));
        refs
    }

    fn not_synced(&self, references: Vec<String>) -> Error {
        ErrorKind::NotSynced {
            source_name: self.label(),
            references,
        }
        .into()
    }

    fn remote(&self, head: &Head, row: Row) -> Result<RemoteModel> {
        let (origin, key) = (&head.origin, &self.identity.key);
        let model = self.identity.model(&row.path, &origin.reference, key)?;
        let pin = Pin::new(&*origin.repo, origin.state.clone(), row.root);
        Ok(RemoteModel {
            commit: pin.state.commit().map(str::to_owned),
            files: Some(row.files),
            total_bytes: row.bytes,
            metadata: row.about,
            pin: Some(pin),
            listing: Some(row.place),
            ..RemoteModel::new(model, key, row.digest)
        })
    }

    fn look_up(&self, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let Some(reference) = version else {
            return self.look_up_anywhere(path);
        };
        let mut cached = self.synced(reference)?;
        match take(cached.models()?, path) {
            Ok(row) => self.remote(&cached.head, row),
            Err(near) => Err(self.identity.not_found(path, near)),
        }
    }

    /// Looks a model up in the registries of all refs: it may be in only one of them.
    fn look_up_anywhere(&self, path: &str) -> Result<RemoteModel> {
        let (mut found, mut near, mut missing) = (Vec::new(), BTreeSet::new(), Vec::new());
        for reference in self.refs() {
            match self.cached(&reference)? {
                Some(mut cached) => match take(cached.models()?, path) {
                    Ok(row) => found.push(self.remote(&cached.head, row)?),
                    Err(names) => near.extend(names),
                },
                None if self.expects(&reference) => missing.push(reference),
                None => {}
            }
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
    fn list_cached(&self, filter: ListFilter<'_>) -> Result<RemoteListing> {
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
                for row in cached.models()? {
                    listing.models.push(self.remote(&cached.head, row)?);
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

    /// Syncs what a lookup lacks, where the app wants that.
    fn sync_missing(&self, call: &Call, references: &[String]) -> Result<()> {
        info!(
            source = self.label(),
            refs = references.join(", "),
            "syncing what is missing"
        );
        let report = self.sync_refs(call, references, false);
        match report.failed.into_iter().next() {
            Some(failure) if report.synced.is_empty() && report.skipped.is_empty() => {
                Err(failure.error)
            }
            _ => Ok(()),
        }
    }

    fn opener<'a>(&'a self, call: &'a Call) -> ZipOpener<'a> {
        ZipOpener {
            call,
            opened: &self.zips,
        }
    }

    /// Opens the archive of a commit that was fetched for many models, at the folder that everything in it is in.
    fn shared_archive(&self, call: &Call, pin: &Pin, commit: &str) -> Result<Option<Places>> {
        for reference in cached_refs(&self.cache_dir, &self.identity.key) {
            let path = self.cache(&reference).archive_path(commit);
            if path.is_file() {
                let zip = self.opener(call).open_kept(&path)?;
                let top = zip.directory.top_folder().unwrap_or_default();
                let root = below(top, &pin.root).trim_end_matches('/').to_owned();
                return Ok(Some(Places::Zip {
                    zip,
                    root,
                    is_shared: true,
                }));
            }
        }
        Ok(None)
    }

    /// How many files the cached registry of a ref lists.
    fn listed_files(&self, reference: &str) -> u64 {
        let cached = self.cached(reference).ok().flatten();
        cached.map_or(u64::MAX, |cached| cached.head.files as u64)
    }
}

/// Takes the row of a name; else the names that come near.
fn take(mut rows: Vec<Row>, path: &str) -> Result<Row, Vec<String>> {
    match rows.binary_search_by(|row| row.path.as_str().cmp(path)) {
        Ok(at) => Ok(rows.swap_remove(at)),
        Err(_) => Err(nearest(path, rows.iter().map(|row| row.path.as_str()))),
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

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let error = match self.look_up(path, version) {
            Err(error) if call.may_sync() => error,
            result => return result,
        };
        let ErrorKind::NotSynced { references, .. } = error.kind() else {
            return Err(error);
        };
        self.sync_missing(call, references)?;
        self.look_up(path, version)
    }

    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let listing = self.list_cached(filter)?;
        let mut missing = Vec::new();
        let mut is_missing = false;
        for failure in &listing.failures {
            if let ErrorKind::NotSynced { references, .. } = failure.error.kind() {
                is_missing = true;
                missing.extend_from_slice(references);
            }
        }
        if !is_missing || !call.may_sync() {
            return Ok(listing);
        }
        match self.sync_missing(call, &missing) {
            Ok(()) => self.list_cached(filter),
            Err(error) if error.is_cancelled() => Err(error),
            Err(error) => {
                warn!(error = %chain(&error), "cannot sync");
                Ok(listing)
            }
        }
    }

    fn examples(&self) -> Result<Vec<Example>> {
        let mut all = Vec::new();
        for reference in self.refs() {
            let Some(mut cached) = self.cached(&reference)? else {
                continue;
            };
            for (example, models) in cached.examples()? {
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

    fn manifest(&self, call: &Call, model: &RemoteModel, route: Route) -> Result<Manifest> {
        let reference = model.model.version();
        let mut cached = self.synced(reference)?;
        let digest = model.manifest_digest;
        let known = model
            .listing
            .and_then(|place| cached.manifest(&place, digest).ok());
        let manifest = match known {
            Some(manifest) => manifest,
            // It was found in another state of the registry, or is installed.
            None => {
                let mut rows = cached.models()?.into_iter();
                let row = rows.find(|row| row.digest == digest).ok_or_else(|| {
                    let message = format!("the registry now has another state of {}", model.model);
                    Error::registry(self.label(), message)
                })?;
                cached.manifest(&row.place, digest)?
            }
        };
        let location = self.label();
        match self.places(call, model.pin.as_ref(), route)? {
            Places::Zip { zip, root, .. } => {
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

    fn places(&self, call: &Call, pin: Option<&Pin>, route: Route) -> Result<Places> {
        let pin = pin.ok_or_else(|| super::no_pin(self))?;
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
                        Err(error) => warn!(error = %chain(&error), "the archive cannot be used"),
                    }
                }
                Ok(Places::Files {
                    url: place.raw,
                    repo: place.repo,
                    commit: commit.clone(),
                    root: pin.root.clone(),
                    elsewhere: None,
                })
            }
            PinState::Release { tag, asset } => {
                let cache = self.cache(tag);
                let revision = Cached::open(&cache)?.map(|cached| cached.head.origin.revision);
                let keep = cache.archive_path(revision.as_deref().unwrap_or(tag));
                Ok(Places::Zip {
                    zip: self
                        .opener(call)
                        .open(&[place.release_url(tag, asset)], &keep)?,
                    root: pin.root.clone(),
                    is_shared: false,
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
        let mut info = SourceInfo {
            locations: self.locations(),
            ..SourceInfo::new(key, name, self.kind())
        };
        for reference in self.refs() {
            let cached = self.cached(&reference).ok().flatten();
            let cached = cached.and_then(|Cached { head, .. }| {
                let fetched_at = self.cache(&reference).any_meta()?.fetched_at;
                Some(CachedRegistry {
                    mode: RegistryMode::of(&head.origin.state),
                    commit: head.origin.state.commit().map(str::to_owned),
                    repo: head.origin.repo,
                    fetched_at,
                    versions: head.models,
                })
            });
            let is_configured = !self.is_fork && self.expects(&reference);
            if is_configured || cached.is_some() {
                info.refs.push(RefInfo {
                    reference,
                    is_configured,
                    cached,
                });
            }
        }
        let cached = || info.refs.iter().filter_map(|info| info.cached.as_ref());
        info.fetched_at = cached().map(|cached| cached.fetched_at).min();
        info.versions = info
            .fetched_at
            .map(|_| cached().map(|cached| cached.versions).sum());
        info
    }

    fn sync(&self, call: &Call, request: &SyncRequest<'_>) -> SyncReport {
        match request.reference {
            Some(reference) => self.sync_refs(call, &[reference.to_owned()], request.force),
            None => self.sync_refs(call, &self.place.refs, request.force),
        }
    }

    fn refresh(&self, call: &Call, versions: &BTreeSet<&str>) -> Vec<(String, Error)> {
        let mut own = Vec::new();
        let mut report = SyncReport::default();
        // A commit does not move.
        for reference in versions.iter().filter(|version| !is_commit_id(version)) {
            // What was synced from a fork is synced from there again.
            let fork = self.cached(reference).ok().flatten();
            let fork = fork.filter(|cached| cached.head.origin.fork);
            let fork = fork.and_then(|fork| self.for_repo(&fork.head.origin.repo).ok());
            match fork {
                Some(fork) => {
                    report.extend(fork.sync_refs(call, &[(*reference).to_owned()], false));
                }
                None => own.push((*reference).to_owned()),
            }
        }
        if !own.is_empty() {
            report.extend(self.sync_refs(call, &own, false));
        }
        let failed = report.failed.into_iter();
        failed
            .map(|failed| (failed.reference.unwrap_or_default(), failed.error))
            .collect()
    }

    /// Fetches the archive of each commit that enough files are wanted of.
    fn prefetch(&self, call: &Call, models: &[&RemoteModel]) -> Result<Prefetched> {
        let mut wanted: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
        for remote in models {
            if let (Some(commit), Some(files), Some(pin)) =
                (&remote.commit, remote.files, &remote.pin)
            {
                let of_commit = wanted.entry((remote.model.version(), commit.as_str()));
                of_commit.or_insert((0, &pin.repo)).0 += files;
            }
        }
        let mut prefetched = Prefetched::default();
        for ((reference, commit), (files, repo)) in wanted {
            let keep = self.cache(reference).archive_path(commit);
            if keep.is_file() {
                prefetched.files.push(keep);
                continue;
            }
            let is_cheaper = files >= MIN_ARCHIVE_FILES
                && files.saturating_mul(MIN_ARCHIVE_SHARE) >= self.listed_files(reference);
            if !is_cheaper || call.is_offline() {
                continue;
            }
            let urls = self.place.with_repo(repo)?.archive_urls(commit)?;
            info!(commit, files, "fetching an archive for many models");
            let opener = self.opener(call);
            let fetched = opener.fetch(&urls, &keep);
            match fetched.and_then(|bytes| opener.open_kept(&keep).map(|_| bytes)) {
                Ok(bytes) => {
                    prefetched.bytes += bytes;
                    prefetched.files.push(keep);
                }
                Err(error) if error.is_cancelled() => return Err(error),
                // The files come one by one then.
                Err(error) => warn!(error = %chain(&error), "the archive cannot be used"),
            }
        }
        Ok(prefetched)
    }

    fn repo(&self) -> Option<&str> {
        Some(&self.place.repo)
    }

    fn with_repo(&self, repo: &str) -> Option<Result<Arc<dyn Source>>> {
        let fork = self.for_repo(repo);
        Some(fork.map(|fork| Arc::new(fork) as Arc<dyn Source>))
    }
}

impl Repository {
    /// The same source with another repository in its place.
    fn for_repo(&self, repo: &str) -> Result<Self> {
        Ok(Self {
            identity: self.identity.clone(),
            place: self.place.with_repo(repo)?,
            is_fork: self.is_fork || self.place.repo != repo,
            cache_dir: self.cache_dir.clone(),
            zips: OpenedZips::default(),
        })
    }
}

impl SourceKind {
    /// A Git-hosted repository that publishes a `models.toml`; [`SourceKind`] has an example.
    pub const REPOSITORY: Self = Self::new("repository");
}
