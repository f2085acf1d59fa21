//! Chunked registries: static files named by their digests, which any web server or bucket serves.
//!
//! | path | holds |
//! |---|---|
//! | `models.json` | the index, see `wire` |
//! | `models.json.minisig` | its signature, when there is one |
//! | `models/<sha256>.json` | a part of the index, when that is in several, see [`shards`] |
//! | `data/<sha256>` | a manifest, see [`crate::manifest`], or a chunk |
//!
//! The index states the digest of each manifest, and a manifest that of each chunk, so trusting the index is enough.

mod index;
mod lookup;
mod sharded;
pub(crate) mod shards;
mod wire;

use std::fmt::Display;
use std::sync::Arc;

use serde::Deserialize;
use tracing::debug;

use crate::catalog::RemoteModel;
use crate::catalog::registry::{RegistryMode, RemoteListing, SourceInfo, SourceKind};
use crate::catalog::sync::{
    FailedRegistry, SkipReason, SkippedRegistry, SyncReport, SyncedRegistry,
};
use crate::digest::{Digest, check_digest};
use crate::env::Environment;
use crate::error::{Error, Result};
use crate::http::authority::Authority;
use crate::http::aws::{ObjectStore, StoreOptions};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::manifest::{MAX_MANIFEST_BYTES, Manifest};
use crate::size::sizes_apart;
use crate::source::places::{DigestPlaces, Places};
use crate::source::unusable::Unusable;
use crate::source::{
    Context, Entry, Identity, ListFilter, LockedVersion, Route, Source, SyncRequest, warn_left_out,
};
use crate::url::{Scheme, Url};

use index::Index;
use wire::Rest;

/// The largest index, or shard of one, that is read, in bytes: about half a million versions.
pub(crate) const MAX_INDEX_BYTES: u64 = 64 << 20;

/// How chunked sources come to be.
pub(super) struct Kind;

#[derive(Debug)]
struct Chunked {
    identity: Identity,
    /// The registry's folder, followed by those of its mirrors; never empty.
    bases: Vec<Url>,
    /// Signs the requests for those that are in buckets.
    authority: Option<Arc<dyn Authority>>,
    index: Index,
}

#[derive(Deserialize)]
struct EntryWire {
    url: String,
    #[serde(default)]
    mirrors: Vec<String>,
    public_key: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    anonymous: Option<bool>,
}

impl super::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &[
            "url",
            "mirrors",
            "public_key",
            "region",
            "endpoint",
            "anonymous",
        ]
    }

    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>> {
        let mut wire: EntryWire = entry.read()?;
        let base = match entry.url_or_bucket("url", &wire.url) {
            // That of a variable, which only what needs the registry depends on.
            Err(reason) if entry.identity.key.is_empty() => {
                let unusable = Unusable {
                    location: entry.at("url"),
                    identity: entry.identity,
                    kind: SourceKind::CHUNKED,
                    can_list: true,
                    reason,
                    cached: None,
                };
                return Ok(unusable.into());
            }
            base => base?,
        };
        let mut bases = vec![base];
        for (index, mirror) in wire.mirrors.iter().enumerate() {
            bases.push(entry.url_or_bucket(&format!("mirrors[{index}]"), mirror)?);
        }
        let public_key = wire.public_key.take();
        let authority = wire.object_store(&entry, &bases, &context.environment)?;
        let (identity, cache_dir) = (&entry.identity, &context.cache_dir);
        let (at, key) = (entry.at("url"), public_key);
        Ok(Arc::new(Chunked {
            index: Index::new(identity, &bases, at, key, cache_dir),
            identity: entry.identity,
            bases,
            authority,
        }))
    }
}

impl EntryWire {
    /// Makes the object store of a source if anything of it is in a bucket.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) for keys that only an object store has a use for.
    fn object_store(
        self,
        entry: &Entry,
        bases: &[Url],
        environment: &Environment,
    ) -> Result<Option<Arc<dyn Authority>>> {
        if !bases.iter().any(|base| base.scheme() == Scheme::S3) {
            let keys = [
                ("region", self.region.is_some()),
                ("endpoint", self.endpoint.is_some()),
                ("anonymous", self.anonymous.is_some()),
            ];
            return match keys.iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(Error::config(format!(
                    "{} applies to buckets only, whose URLs begin with s3://",
                    entry.at(key)
                ))),
                None => Ok(None),
            };
        }
        let endpoint = self.endpoint.map(|url| (url, entry.at("endpoint")));
        let options = StoreOptions {
            region: self.region,
            endpoint,
            anonymous: self.anonymous.unwrap_or_default(),
        };
        Ok(Some(Arc::new(ObjectStore::new(options, environment))))
    }
}

impl Chunked {
    /// The call with what authorizes requests for this source.
    fn call(&self, call: &Call) -> Call {
        call.authorized(self.authority.as_ref())
    }

    fn index_url(&self) -> Url {
        self.bases[0].join("models.json")
    }

    /// Where manifests and chunks are.
    fn data(&self) -> DigestPlaces {
        DigestPlaces {
            bases: self.bases.clone(),
            path: |digest| format!("data/{digest}"),
            authority: self.authority.clone(),
            elsewhere: Vec::new(),
        }
    }
}

impl Source for Chunked {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::CHUNKED
    }

    fn locations(&self) -> Vec<String> {
        self.bases.iter().map(Url::to_string).collect()
    }

    fn is_here(&self) -> bool {
        self.index.has_local()
    }

    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let call = &self.call(call);
        self.index.refresh(call, false)?;
        let (models, rest) = self.index.read_all(call, |compiled| {
            let rows = compiled.rows()?;
            let source = Arc::from(self.identity.key.as_str());
            let mut models = Vec::with_capacity(rows.size_hint().0);
            for row in rows {
                let row = row?;
                if filter.wants(row.model.version()) {
                    let offer = lookup::remote(&source, row);
                    let is_wanted = filter.is_wanted.is_none_or(|is_wanted| is_wanted(&offer));
                    models.extend(is_wanted.then_some(offer));
                }
            }
            models.shrink_to_fit();
            let rest: Rest = compiled.rest()?;
            Ok((models, rest))
        })?;
        warn_left_out(self.index_url(), &rest.left_out, rest.count);
        Ok(RemoteListing {
            models,
            failures: Vec::new(),
        })
    }

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let call = &self.call(call);
        let refresh = || self.index.refresh(call, false).map(drop);
        call.once(&self.index_url().to_string(), refresh)?;
        self.index.find(call, path, version)
    }

    fn manifest(&self, call: &Call, model: &RemoteModel, _: Route) -> Result<Manifest> {
        let expected = model.manifest_digest;
        let read = |url: &Url, json: Vec<u8>| {
            let what = || format!("the manifest ({url})");
            check_digest(what, &expected, &Digest::of(&json)).map_err(Failure::transient)?;
            let manifest = Manifest::parse(json, url).map_err(Failure::last)?;
            let has_digests = manifest.parts().iter().all(|part| part.digest.is_some());
            if !manifest.is_measured() || !has_digests {
                let error = Error::registry(url, "the manifest lists no chunks");
                return Err(Failure::last(error));
            }
            Ok(manifest)
        };
        let (call, urls) = (&self.call(call), self.data().urls(&expected));
        call.retrying(&urls, |_, url| {
            let mut body = call.body(url, &GetOptions::default())?;
            read(url, body.read_whole(MAX_MANIFEST_BYTES, &call.cancel)?)
        })
    }

    /// Manifests and chunks are documents that their digests name. Files that another kind of source had are in chunks which the
    /// index leads to, as in a mirror, or documents themselves: those that are one chunk.
    fn locked_manifest(&self, call: &Call, locked: &LockedVersion<'_>) -> Result<Option<Manifest>> {
        if locked.kind == self.kind().as_str() {
            return match self.manifest(call, locked.remote, Route::Direct) {
                // Of a mirror, what was unpacked may be known by the state of the source that it was locked from.
                Err(error) if locked.listed.archives().next().is_some() => {
                    self.mirrored(call, locked).map(Some).ok_or(error)
                }
                manifest => manifest.map(Some),
            };
        }
        if let Some(manifest) = self.mirrored(call, locked) {
            return Ok(Some(manifest));
        }
        Ok(locked.listed.has_sha256().then(|| locked.listed.clone()))
    }

    fn places(&self, _: &Call, _: &RemoteModel, _: Route) -> Result<Places> {
        Ok(Places::ByDigest(self.data()))
    }

    fn info(&self) -> SourceInfo {
        let cached = self.index.cached_meta();
        let Identity { key, name } = &self.identity;
        SourceInfo {
            locations: self.locations(),
            fetched_at: self.index.fetched_at(),
            versions: cached.and_then(|_| self.index.versions()),
            ..SourceInfo::new(key, name, self.kind())
        }
    }

    fn sync(&self, call: &Call, request: &SyncRequest<'_>) -> SyncReport {
        request.registry(call, &self.label(), |call| {
            self.sync_index(call, request.force)
        })
    }
}

impl Chunked {
    /// Returns the manifest of the version that has the name of a locked one, if that has exactly the files that are locked.
    fn mirrored(&self, call: &Call, locked: &LockedVersion<'_>) -> Option<Manifest> {
        let model = &locked.remote.model;
        let path = self.identity.path_of(model);
        let found = self.find(call, &path, Some(model.version()));
        let found = found.inspect_err(|error| debug!(%error, "no mirror of {model}"));
        let manifest = self.manifest(call, &found.ok()?, Route::Direct).ok()?;
        manifest.has_files_of(locked.listed).then_some(manifest)
    }

    fn sync_index(&self, call: &Call, force: bool) -> SyncReport {
        let (call, key, label) = (&self.call(call), &*self.identity.key, self.label());
        let synced = self.index.refresh(call, force).and_then(|is_new| {
            let is_new = self.index.complete(call)? || is_new;
            let (versions, rest) = self.index.read_all(call, |compiled| {
                let rest: Rest = compiled.rest()?;
                Ok((compiled.head.models, rest))
            })?;
            warn_left_out(self.index_url(), &rest.left_out, rest.count);
            Ok((is_new, versions))
        });
        let mut report = SyncReport::default();
        match synced {
            Ok((true, versions)) => report.synced.push(SyncedRegistry {
                versions,
                ..SyncedRegistry::new(key, label, RegistryMode::Chunked)
            }),
            Ok((false, _)) => {
                let skipped = SkippedRegistry::new(key, label, SkipReason::UpToDate);
                report.skipped.push(skipped);
            }
            Err(error) => report.failed.push(FailedRegistry::new(key, label, error)),
        }
        report
    }
}

impl SourceKind {
    /// A static, content-addressed registry; [`SourceKind`] has an example.
    pub const CHUNKED: Self = Self::new("chunked");
}

/// Checks an index the way consumers will, or the shard of one with this prefix; `location` names it in errors.
pub(crate) fn check_index(json: &[u8], prefix: Option<&str>, location: impl Display) -> Result<()> {
    let bytes = json.len() as u64;
    if bytes > MAX_INDEX_BYTES {
        let [bytes, most] = sizes_apart(bytes, MAX_INDEX_BYTES);
        let message = format!("the index would have {bytes}; at most {most} are allowed");
        return Err(Error::registry(location, message));
    }
    wire::check(json, prefix, location)
}
