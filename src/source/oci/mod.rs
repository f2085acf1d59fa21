//! OCI registries: the places of container images, which hold models as well ([distribution specification]).
//!
//! A version is a tag or a digest. A tag is resolved to the digest of its manifest once, and everything comes from that. Each
//! layer is a blob with a digest and a size that are known before its first byte.
//!
//! [distribution specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

mod artifact;
mod choice;
mod kind;
mod layout;
mod registry;
mod verbatim;

use std::borrow::Cow;
use std::sync::Arc;

use tracing::warn;

use crate::at_once::at_once;
use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::authority::Authority;
use crate::http::call::Call;
use crate::http::oci::RegistryAuthority;
use crate::manifest::Manifest;
use crate::oci::{
    Document, ImageManifest, Platform, RegistryPlace, blob_path, is_repository, missing_manifest,
};
use crate::relpath::listed;
use crate::source::cache::RegistryCache;
use crate::source::content_stores::content_stores;
use crate::source::places::{DigestPlaces, Elsewhere, Places};
use crate::source::verbatim::Verbatim;
use crate::source::{Context, Identity, ListFilter, LockedVersion, Route, Source, choose_version};
use crate::url::Scheme;

use artifact::Artifact;
use layout::Layout;
use registry::{Documents, Named, Reference, Registry};

/// A registry or a layout; lists of tags are fetched at once.
type Asked<'a> = dyn Documents + Sync + 'a;

/// How many tags an error names.
const SHOWN_TAGS: usize = 5;
/// The tag that is meant when none is named, where there is one.
const DEFAULT_TAG: &str = "latest";

/// How sources of OCI registries come to be.
pub(super) struct Kind;

/// A registry, or the repositories of one whose names begin alike.
#[derive(Debug)]
struct Oci {
    identity: Identity,
    place: RegistryPlace,
    is_configured: bool,
    /// Manifests and configurations.
    cache: RegistryCache,
    authority: Option<Arc<dyn Authority>>,
    /// Where other tools may have the same layers.
    content_stores: Vec<Elsewhere>,
}

impl Oci {
    fn new(
        identity: Identity,
        place: RegistryPlace,
        is_configured: bool,
        context: &Context,
    ) -> Self {
        let authority = (!place.is_layout()).then(|| -> Arc<dyn Authority> {
            Arc::new(RegistryAuthority::new(&place.api, &context.environment))
        });
        Self {
            cache: RegistryCache::of_documents(&context.cache_dir, &identity.key),
            authority,
            content_stores: content_stores(&context.environment),
            identity,
            place,
            is_configured,
        }
    }

    /// Hands out the registry, for one operation.
    fn with_registry<T>(&self, call: &Call, ask: impl FnOnce(&Asked<'_>) -> T) -> T {
        if self.place.is_layout() {
            return ask(&Layout {
                place: &self.place,
                call,
            });
        }
        if self.place.api.scheme() == Scheme::Http && !self.place.api.is_loopback() {
            let location = self.place.location();
            warn!(
                "{location} is asked over plain http: anybody on the way can read and change what comes"
            );
        }
        ask(&Registry {
            place: &self.place,
            cache: &self.cache,
            call: &call.authorized(self.authority.as_ref()),
        })
    }

    /// Finds what a version names, or the tag that is meant without one.
    fn resolve<'v>(
        &self,
        registry: &Asked<'_>,
        path: &str,
        repository: &str,
        version: Option<&'v str>,
    ) -> Result<(Cow<'v, str>, Named)> {
        let wanted = version.unwrap_or(DEFAULT_TAG);
        let reference = Reference::parse(wanted).map_err(|reason| {
            Error::invalid_ref(
                format!("{}@{wanted}", self.identity.full_name(path)),
                format!("has a version that cannot be read: {reason}"),
            )
        })?;
        let found = match reference {
            Some(reference) => registry.resolve(repository, reference)?,
            None => None,
        };
        if let Some(found) = found {
            return Ok((wanted.into(), found));
        }
        let tags = match registry.tags(repository) {
            Ok(Some(tags)) if version.is_none() && tags.is_empty() => None,
            Ok(tags) => tags,
            // Who may read a manifest need not be allowed to list tags.
            Err(error)
                if version.is_some()
                    && matches!(error.kind(), ErrorKind::Authentication { .. }) =>
            {
                Some(Vec::new())
            }
            Err(error) => return Err(error),
        };
        let Some(tags) = tags else {
            return Err(self.not_found(registry, path));
        };
        let offered: Vec<&str> = tags.iter().map(String::as_str).collect();
        let only = choose_version(&self.identity.full_name(path), &offered, version);
        let only = only.map_err(|error| self.with_tags(error, &offered))?;
        let found = registry.resolve(repository, Reference::Tag(only))?;
        let gone = || {
            Error::from(ErrorKind::VersionNotFound {
                model: self.identity.full_name(path),
                version: only.to_owned(),
                near: Vec::new(),
                is_revision: false,
            })
        };
        Ok((only.to_owned().into(), found.ok_or_else(gone)?))
    }

    /// No command lists the tags where nobody configured a source: the error of one that is not there names the last ones.
    fn with_tags(&self, error: Error, offered: &[&str]) -> Error {
        match error.kind() {
            ErrorKind::VersionNotFound {
                model,
                version,
                near,
                ..
            } if near.is_empty() && !self.is_configured => {
                let last = offered.iter().rev().take(SHOWN_TAGS);
                Error::from(ErrorKind::VersionNotFound {
                    model: model.clone(),
                    version: version.clone(),
                    near: last.map(|tag| (*tag).to_owned()).collect(),
                    is_revision: false,
                })
            }
            _ => error,
        }
    }

    fn not_found(&self, registry: &Asked<'_>, path: &str) -> Error {
        if self.place.is_layout() && !self.is_configured {
            let location = self.place.location();
            let names = registry.catalogue().ok().flatten().unwrap_or_default();
            return match names.as_slice() {
                [] => Error::registry(location, "the OCI layout has no manifest with a tag"),
                names => Error::argument(format!(
                    "the OCI layout has several models, {}: a source names one of them, with oci = \"{location}\" in \
                     the configuration",
                    listed(names)
                )),
            };
        }
        let host = (!self.place.is_layout()).then(|| self.place.host.clone());
        Error::from(ErrorKind::ModelNotFound {
            model: self.identity.full_name(path),
            near: Vec::new(),
            sources: Vec::new(),
            token_variable: None,
            registry: host,
        })
    }

    /// What a tag or digest offers.
    fn remote(
        &self,
        registry: &Asked<'_>,
        repository: &str,
        (path, version): (&str, &str),
        found: &Named,
    ) -> Result<RemoteModel> {
        let full = self.identity.full_name(path);
        let manifest = self.image_manifest(registry, repository, &full, found)?;
        let config = config(registry, repository, &manifest)?;
        let config = config.as_ref().map(|config| &*config.json);
        let artifact = Artifact::read(&manifest, config, &found.url)?;
        let model = self.identity.model(path, version, &self.place.api)?;
        let contents = artifact.listing(&found.url)?;
        let commit = format!("sha256:{}", found.digest);
        let mut metadata = artifact.metadata;
        metadata.insert("artifact".into(), artifact.kind.name().into());
        Ok(RemoteModel {
            commit: Some(commit.as_str().into()),
            metadata: (&metadata).into(),
            pin: Some(Pin::new(repository, PinState::Commit(commit), "").into()),
            ..RemoteModel::of_contents(model, &self.identity.key, contents)
        })
    }

    /// The one manifest that is meant, of an index or found at once.
    fn image_manifest(
        &self,
        registry: &Asked<'_>,
        repository: &str,
        full: &str,
        found: &Named,
    ) -> Result<ImageManifest> {
        let index = match Document::parse(&found.json, &found.url)? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => index,
        };
        let chosen = index.choose(&Platform::current(), full)?;
        let missing = || missing_manifest(&found.url);
        let chosen = registry
            .manifest(repository, chosen.digest)?
            .ok_or_else(missing)?;
        Document::parse(&chosen.json, &chosen.url)?.into_manifest(&chosen.url)
    }

    /// The repository that is called like a model; `None` if none can be.
    fn repository_of(&self, model: &RemoteModel) -> Option<String> {
        self.place.repository(&self.identity.path_of(&model.model))
    }

    /// A version of which only the name is known.
    fn named_only(&self, repository: &str, tag: &str) -> Option<RemoteModel> {
        let path = self.place.path_of(repository)?;
        let model = self.identity.model(path, tag, &self.place.api).ok()?;
        Some(RemoteModel {
            is_named_only: true,
            ..RemoteModel::new(model, &*self.identity.key, Digest::of(tag.as_bytes()))
        })
    }
}

/// Fetches the configuration of an artifact, if it says something about the model.
fn config(
    registry: &Asked<'_>,
    repository: &str,
    manifest: &ImageManifest,
) -> Result<Option<Named>> {
    match manifest.config_to_fetch() {
        Some(config) => registry.blob(repository, config.digest, config.size_bytes),
        None => Ok(None),
    }
}

impl Source for Oci {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::OCI
    }

    fn locations(&self) -> Vec<String> {
        vec![self.place.location()]
    }

    fn is_here(&self) -> bool {
        self.place.is_layout()
    }

    fn is_same(&self, path: &str, pin: &Pin) -> bool {
        self.place.repository(path).as_deref() == Some(&pin.repo)
    }

    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let Some(repository) = self.place.repository(path) else {
            return Err(self.identity.not_found(path, Vec::new()));
        };
        self.with_registry(call, |registry| {
            let (version, found) = self.resolve(registry, path, &repository, version)?;
            self.remote(registry, &repository, (path, &version), &found)
        })
    }

    /// What nobody configured is not listed either.
    fn can_list(&self) -> bool {
        self.is_configured
    }

    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        self.with_registry(call, |registry| {
            let Some(mut repositories) = registry.catalogue()? else {
                return Err(Error::argument(format!(
                    "'{}' has no catalogue of its models: name one of them",
                    self.label()
                )));
            };
            repositories.retain(|name| self.place.path_of(name).is_some());
            let tags = at_once(&repositories, |repository| registry.tags(repository));
            call.cancel.check()?;
            let mut listing = RemoteListing::default();
            for (repository, tags) in repositories.iter().zip(tags) {
                match tags {
                    Ok(tags) => {
                        let tags = tags.unwrap_or_default().into_iter();
                        let wanted = tags.filter(|tag| filter.wants(tag));
                        let models = wanted.filter_map(|tag| self.named_only(repository, &tag));
                        listing.models.extend(models);
                    }
                    Err(error) => {
                        let failure = self.identity.failure(Some(repository.clone()), error);
                        listing.failures.push(failure);
                    }
                }
            }
            Ok(listing)
        })
    }

    /// Blobs are named by their digests: in the repository that the lock names, or that is called like the model, as in a mirror; a
    /// layout has one place for all.
    fn locked_manifest(&self, _: &Call, locked: &LockedVersion<'_>) -> Result<Option<Manifest>> {
        let is_named = locked.kind == self.kind().as_str() && locked.remote.pin.is_some();
        let has_place = is_named || self.repository_of(locked.remote).is_some();
        let can_serve = locked.listed.has_sha256() && has_place;
        Ok(can_serve.then(|| locked.listed.clone()))
    }

    fn verbatim(&self, call: &Call, model: &RemoteModel) -> Result<Option<Verbatim>> {
        let Some(pin) = model.pin.as_deref() else {
            return Ok(None);
        };
        let Some(digest) = pin.state.digest() else {
            return Ok(None);
        };
        self.with_registry(call, |registry| {
            verbatim::read(registry, &pin.repo, model, digest).map(Some)
        })
    }

    /// What was locked elsewhere is in the repository that is called like the model here, as in a mirror, or like that one.
    fn places(&self, _: &Call, model: &RemoteModel, _: Route) -> Result<Places> {
        let (bases, path): (Vec<_>, fn(&Digest) -> String) = match self.place.is_layout() {
            true => (vec![self.place.api.clone()], crate::oci::layout::blob_path),
            false => {
                let own = self.repository_of(model);
                let pinned = model.pin.as_deref().map(|pin| pin.repo.clone());
                // Other kinds name theirs otherwise.
                let pinned = pinned.filter(|it| is_repository(it) && own.as_ref() != Some(it));
                let repositories = own.into_iter().chain(pinned);
                let bases = repositories.map(|repository| self.place.api.join(&repository));
                (bases.collect(), blob_path)
            }
        };
        if bases.is_empty() {
            return Err(super::no_pin(self));
        }
        Ok(Places::ByDigest(DigestPlaces {
            bases,
            path,
            authority: self.authority.clone(),
            elsewhere: self.content_stores.clone(),
        }))
    }
}

impl SourceKind {
    /// A registry of OCI artifacts; [`SourceKind`] has an example.
    pub const OCI: Self = Self::new("oci");
}
