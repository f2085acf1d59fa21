//! Sources: the places that models come from. Each kind is one folder here, and knows everything about itself.
//!
//! A [`Source`] answers eight questions, and never writes to the store:
//!
//! | question | method |
//! |---|---|
//! | What is behind this name? | [`Source::find`] |
//! | What do you offer? | [`Source::list`] or, where that is too much to list, [`Source::search`]; [`Source::examples`] |
//! | What does this version consist of? | [`Source::manifest`] |
//! | Where are its bytes? | [`Source::places`] |
//! | What are its very documents, for others that shall have the same? | [`Source::verbatim`] |
//! | Can you serve what a lock says, whatever you offer now? | [`Source::locked_manifest`] |
//! | What do you know of your registries, and is it up to date? | [`Source::info`], [`Source::sync`], [`Source::refresh`] |
//! | May this be cheaper for many models at once? | [`Source::prefetch`] |
//!
//! The engine asks them through a [`Call`], moves the bytes, verifies them and commits them to the store, the same way for
//! every kind. It never asks which kind a source is of.
//!
//! # Adding a kind
//!
//! 1. A folder here with a type that implements [`Source`]. Formats of the other side go into its `wire.rs`.
//! 2. A unit struct that implements [`Kind`]: which keys an entry of `[sources]` may have, and how a source is made from
//!    one. Credentials of the environment belong here, too.
//! 3. One line in [`KINDS`].
//!
//! What is checked by a digest known in advance moves through [`Places`] without another line of code.
//! [`Identity::model`] and [`Identity::not_found`] add the source's prefix to names, [`choose_version`] picks a version or
//! says which there are, and [`RemoteModel::of_contents`] describes a version whose files are known. The module
//! `tests::listing`, compiled for tests only, is a complete kind in about a hundred lines.
//!
//! # Contract
//!
//! - A source is made by reading its configuration and opens no socket before a method with a [`Call`] is called.
//! - Every name it returns carries the prefix of the source ([`Identity::name`]); every path it is asked for does not.
//! - Names, sizes and digests from the other side are hostile until they are parsed into this crate's types.
//! - A version that was found stays what it is: [`RemoteModel::manifest_digest`] identifies its state, and the
//!   [`Pin`] says where exactly its files come from, even after the registry has moved on.
//! - Offline, a source answers from its cache or fails with [`ErrorKind::Offline`] or [`ErrorKind::NotSynced`].

pub(crate) mod by_hand;
pub(crate) mod cache;
pub(crate) mod chunked;
pub(crate) mod compiled;
mod content_stores;
pub(crate) mod discovered;
mod entry;
mod hub;
mod identity;
mod left_out;
pub(crate) mod location;
pub(crate) mod models_toml;
pub(crate) mod oci;
pub(crate) mod places;
pub(crate) mod repository;
pub(crate) mod signature;
mod sources;
pub(crate) mod stored;
pub(crate) mod syncing;
mod template;
#[cfg(test)]
mod tests;
mod unusable;
pub(crate) mod verbatim;
pub(crate) mod zips;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::registry::{Example, RemoteListing, SourceInfo, SourceKind, label};
use crate::catalog::sync::{SkipReason, SkippedRegistry, SyncReport};
use crate::catalog::{Pin, RemoteModel};
use crate::env::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::token::Token;
use crate::manifest::Manifest;

use crate::near::nearest;
use crate::source::discovered::DiscoveredRegistry;
use crate::source::places::Places;
use crate::source::syncing::Syncing;
use crate::source::verbatim::Verbatim;

pub(crate) use entry::Entry;
pub(crate) use identity::Identity;
use left_out::{LEFT_OUT_SHOWN, MAX_LEFT_OUT, warn_left_out};
pub(crate) use sources::Sources;

/// The kinds of source.
const KINDS: &[&dyn Kind] = &[
    &chunked::Kind,
    &repository::Kind,
    &hub::Kind,
    &oci::Kind,
    #[cfg(test)]
    &tests::listing::Kind,
];

/// A configured place that offers models.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    /// Which source it is.
    fn identity(&self) -> &Identity;

    /// Which kind it is of.
    fn kind(&self) -> SourceKind;

    /// Where it is, followed by its mirrors, without credentials; never empty.
    fn locations(&self) -> Vec<String>;

    /// What people call it: its name, or where it is.
    fn label(&self) -> String {
        label(&self.identity().name, &self.locations())
    }

    /// The environment variable that keeps it off the network, if one does.
    fn offline_by(&self) -> Option<&str> {
        None
    }

    /// Whether it, or a mirror of it, is on this machine.
    fn is_here(&self) -> bool {
        false
    }

    /// Credentials for it, each for one origin.
    fn tokens(&self, _environment: &Environment) -> Vec<Token> {
        Vec::new()
    }

    /// The version that is meant when none is named, where that is always the same.
    fn default_version(&self) -> Option<&str> {
        None
    }

    /// Whether its configuration, or what was synced of it, names this version for all its models.
    fn expects(&self, _version: &str) -> bool {
        false
    }

    /// Whether a path is another name of the model that was pinned.
    fn is_same(&self, _path: &str, _pin: &Pin) -> bool {
        false
    }

    /// Finds one version of one model. `path` is the model's name without the source's prefix; without a version it is
    /// the only one there is, or the default.
    ///
    /// # Errors
    /// [`ErrorKind::ModelNotFound`] and [`ErrorKind::VersionNotFound`] with near names; [`ErrorKind::InvalidRef`] with the
    /// choices when the version is left out and there are several; [`ErrorKind::NotSynced`] when it may be in a registry
    /// that is not cached.
    fn find(&self, call: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel>;

    /// Whether it can list everything it offers. A source that cannot answers [`Source::search`] instead.
    fn can_list(&self) -> bool {
        true
    }

    /// Whether a model that it cannot list may be at this path.
    fn may_offer(&self, _path: &str) -> bool {
        false
    }

    /// Lists everything it offers, in the order of names.
    fn list(&self, call: &Call, filter: ListFilter<'_>) -> Result<RemoteListing>;

    /// Asks the other side what matches a query; only for sources that cannot list.
    fn search(&self, _call: &Call, _query: &str) -> Result<Vec<RemoteModel>> {
        Ok(Vec::new())
    }

    /// Lists models that belong together.
    fn examples(&self) -> Result<Vec<Example>> {
        Ok(Vec::new())
    }

    /// Returns the files of a version that was found, or is installed from here: unless the source knows better, those
    /// that [`Source::find`] states at the same commit.
    fn manifest(&self, call: &Call, model: &RemoteModel, _route: Route) -> Result<Manifest> {
        let commit = model.pin.as_ref().and_then(|pin| pin.state.commit());
        let path = self.identity().path_of(&model.model);
        let contents = self.find(call, &path, commit)?.contents;
        let missing = || Error::internal("a source found a model without its files");
        contents.map(Arc::unwrap_or_clone).ok_or_else(missing)
    }

    /// Returns the files of a version that a lock describes, with the parts that they come in, without asking what is offered
    /// now: whatever is fetched for it is named by a digest or a commit. `None` if it cannot serve the version that way.
    /// Unless the source knows better, the lock tells all there is to know if the version was locked from its kind.
    fn locked_manifest(
        &self,
        _call: &Call,
        locked: &LockedVersion<'_>,
    ) -> Result<Option<Manifest>> {
        let is_placed = locked.kind == self.kind().as_str() && locked.remote.pin.is_some();
        Ok(is_placed.then(|| locked.listed.clone()))
    }

    /// Returns where the bytes of those files are.
    fn places(&self, call: &Call, model: &RemoteModel, route: Route) -> Result<Places>;

    /// Returns the documents that a version consists of, which name each other by their digests; `None` if it is no such version,
    /// as of most kinds. The blobs among them are where [`Source::places`] says.
    fn verbatim(&self, _call: &Call, _model: &RemoteModel) -> Result<Option<Verbatim>> {
        Ok(None)
    }

    /// Learns that a pull from these places failed. `is_wrong` says that the bytes are to blame, and not this machine:
    /// the next pull must not find the same bytes in something that is kept here.
    fn distrust(&self, _places: &Places, _is_wrong: bool) {}

    /// Returns what is known of it on this machine.
    fn info(&self) -> SourceInfo {
        let Identity { key, name } = self.identity();
        SourceInfo {
            locations: self.locations(),
            ..SourceInfo::new(key, name, self.kind())
        }
    }

    /// How many registries a sync is about.
    fn registries(&self, _request: &SyncRequest<'_>) -> usize {
        1
    }

    /// Brings its registries up to date, each by [`SyncRequest::registry`]; one that fails does not keep the others from
    /// it. Nothing to do for a source that keeps none.
    fn sync(&self, call: &Call, request: &SyncRequest<'_>) -> SyncReport {
        let (key, label) = (&*self.identity().key, self.label());
        request.registry(call, &label, |_| SyncReport {
            skipped: vec![SkippedRegistry::new(
                key,
                &label,
                SkipReason::QueriedDirectly,
            )],
            ..SyncReport::default()
        })
    }

    /// Finds and reads the registry of a ref, or of its default one, and keeps nothing; only for repositories.
    fn discover(&self, _call: &Call, _reference: Option<&str>) -> Result<DiscoveredRegistry> {
        let label = self.label();
        let message = format!("the source '{}' is not a repository", label.escape_debug());
        Err(Error::argument(message))
    }

    /// Brings up to date what it knows of these versions before installed models are compared with it; returns those
    /// that failed. Nothing to do where [`Source::find`] always asks.
    fn refresh(&self, _call: &Call, _versions: &BTreeSet<&str>) -> Vec<(String, Error)> {
        Vec::new()
    }

    /// Fetches what makes pulling these models together cheaper than one by one.
    fn prefetch(&self, _call: &Call, _models: &[&RemoteModel]) -> Result<Prefetched> {
        Ok(Prefetched::default())
    }

    /// The repository it serves (`OWNER/NAME`), for sources that are one.
    fn repo(&self) -> Option<&str> {
        None
    }

    /// The same source for another repository, such as a fork; `None` for sources that are not repositories.
    fn with_repo(&self, _repo: &str) -> Option<Result<Arc<dyn Source>>> {
        None
    }
}

/// How sources of one kind come to be.
pub(crate) trait Kind: Sync {
    /// The keys that an entry may have beside `name`; the first says that the entry is of this kind.
    fn keys(&self) -> &'static [&'static str];

    /// Makes the source that an entry configures.
    fn source(&self, entry: Entry, context: &Context) -> Result<Arc<dyn Source>>;

    /// Credentials that the environment has for all sources of this kind, each for one origin.
    fn tokens(&self, _environment: &Environment) -> Vec<Token> {
        Vec::new()
    }

    /// Makes a source of a repository that the configuration does not name; `None` for other kinds.
    fn adopt(&self, _repo: &str, _context: &Context) -> Option<Result<Arc<dyn Source>>> {
        None
    }

    /// Makes the source of a place that an address names with its scheme (`SCHEME://HOST`); `None` for the schemes of other
    /// kinds. The place is its key.
    fn at(&self, _origin: &str, _context: &Context) -> Option<Result<Arc<dyn Source>>> {
        None
    }

    /// Makes the source that has this key, if one was made once that no configuration names.
    fn recover(&self, _key: &str, _context: &Context) -> Option<Arc<dyn Source>> {
        None
    }
}

/// What all sources of an app have in common.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    /// Where registries are cached.
    pub(crate) cache_dir: PathBuf,
}

/// What is installed without a record of its origin cannot be fetched again.
fn no_pin(source: &dyn Source) -> Error {
    let source_name = source.label();
    ErrorKind::OriginUnknown { source_name }.into()
}

/// Picks the version that is asked for, or the only one there is; `model` is the full name.
///
/// # Errors
/// [`ErrorKind::VersionNotFound`] and [`ErrorKind::InvalidRef`] as for [`Source::find`].
fn choose_version<'v>(model: &str, versions: &[&'v str], wanted: Option<&str>) -> Result<&'v str> {
    let (model, all) = (model.to_owned(), versions.iter().copied());
    let Some(wanted) = wanted else {
        return match versions {
            [only] => Ok(only),
            _ => Err(Error::from(ErrorKind::InvalidRef {
                message: "has several versions".into(),
                choices: all.map(|version| format!("{model} {version}")).collect(),
                input: model,
            })),
        };
    };
    if let Some(found) = all.clone().find(|version| *version == wanted) {
        return Ok(found);
    }
    let mut near = nearest(wanted, all.clone());
    if near.is_empty() && versions.len() <= 10 {
        near = all.map(str::to_owned).collect();
    }
    Err(Error::from(ErrorKind::VersionNotFound {
        model,
        version: wanted.to_owned(),
        near,
        is_revision: false,
    }))
}

/// Which part of a listing is wanted.
#[derive(Clone, Copy, Default)]
pub(crate) struct ListFilter<'a> {
    /// Only this ref.
    pub(crate) reference: Option<&'a str>,
    /// Whether the source was asked for by name: then a ref that the configuration does not list may be meant.
    pub(crate) is_named: bool,
    /// Only offers for which it returns `true`. Whoever asks sorts out the others once more: this is for sources that have very
    /// many, so that they are not all there at once.
    pub(crate) is_wanted: Option<&'a (dyn Fn(&RemoteModel) -> bool + Sync)>,
}

/// What to sync.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SyncRequest<'a> {
    /// Only this ref.
    pub(crate) reference: Option<&'a str>,
    /// Fetch even what is unchanged.
    pub(crate) force: bool,
    /// Who follows it, if anybody does.
    pub(crate) syncing: Option<&'a Arc<Syncing>>,
}

impl SyncRequest<'_> {
    /// Syncs one registry, which people call `name`.
    pub(crate) fn registry(
        &self,
        call: &Call,
        name: &str,
        sync: impl FnOnce(&Call) -> SyncReport,
    ) -> SyncReport {
        match self.syncing {
            Some(syncing) => syncing.follow(call, name, sync),
            None => sync(call),
        }
    }
}

/// Which way bytes may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Through something that was fetched for many models, when it is here.
    Shared,
    /// As if this model were the only one.
    Direct,
}

/// A version as a lock describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedVersion<'a> {
    /// The kind of the source that it was locked from.
    pub(crate) kind: &'a str,
    /// The digest of its manifest, and where its files are.
    pub(crate) remote: &'a RemoteModel,
    /// Its files, each of which is one part.
    pub(crate) listed: &'a Manifest,
}

/// What was fetched for several models at once.
#[derive(Debug, Default)]
pub(crate) struct Prefetched {
    pub(crate) bytes: u64,
    /// Files that are of no use once the models are installed.
    pub(crate) files: Vec<PathBuf>,
}

impl Prefetched {
    /// Removes the files, because the models are installed.
    pub(crate) fn drop_files(&self) {
        self.files.iter().for_each(|file| zips::drop_kept(file));
    }
}

impl ListFilter<'_> {
    pub(crate) fn wants(self, reference: &str) -> bool {
        self.reference.is_none_or(|wanted| wanted == reference)
    }
}
