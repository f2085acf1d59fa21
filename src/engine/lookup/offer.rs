//! A version at its source: what it consists of, and where the bytes are.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::{Pin, RemoteModel};
use crate::engine::Engine;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::source::places::Places;
use crate::source::{LockedVersion, Route, Source};
use crate::store::record::Records;

/// A version at its source.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) remote: RemoteModel,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) route: Route,
    /// Where else its bytes may be, if it is what a lock says.
    pub(crate) locked: Option<Arc<LockedOrigin>>,
}

/// How a version of a lock can come from other sources than the first one.
#[derive(Debug, Clone)]
pub(crate) struct LockedOrigin {
    /// The kind of the source that it was locked from.
    pub(crate) kind: String,
    /// Its files, as the lock has them.
    pub(crate) listed: Manifest,
    /// The sources that have not been tried, the likeliest first.
    pub(crate) others: Vec<Arc<dyn Source>>,
    pub(crate) unreachable: Unreachable,
}

/// The sources that could not be reached while a lock is pulled. For each of its models they would be waited for again, so that
/// they come after those that may have the bytes as well. Clones share the memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unreachable(Arc<Mutex<BTreeSet<String>>>);

impl Unreachable {
    /// Puts those that could not be reached after the others, whose order stays.
    pub(crate) fn put_last(&self, sources: &mut [impl Borrow<Arc<dyn Source>>]) {
        let unreachable = self.0.lock();
        sources.sort_by_key(|source| unreachable.contains(&source.borrow().identity().key));
    }

    /// Learns how a source failed.
    pub(crate) fn learn(&self, source: &dyn Source, error: &Error) {
        let is_unreachable = matches!(
            error.kind(),
            ErrorKind::Network { status: None, .. }
                | ErrorKind::Certificate { .. }
                | ErrorKind::Tls { .. }
                | ErrorKind::Proxy { .. }
                | ErrorKind::Offline { .. }
        );
        if is_unreachable {
            self.0.lock().insert(source.identity().key.clone());
        }
    }
}

impl LockedOrigin {
    /// Returns the offer of a source that can serve the version; `None` if it cannot.
    pub(crate) fn offer(
        &self,
        source: &Arc<dyn Source>,
        remote: &RemoteModel,
        call: &Call,
    ) -> Result<Option<Offer>> {
        let version = LockedVersion {
            kind: &self.kind,
            remote,
            listed: &self.listed,
        };
        let manifest = source.locked_manifest(&call.offline(source.offline_by()), &version)?;
        let offer = |manifest| Offer::new(remote.clone(), source.clone()).with_contents(manifest);
        Ok(manifest.map(offer))
    }
}

impl Offer {
    pub(crate) fn new(remote: RemoteModel, source: Arc<dyn Source>) -> Self {
        Self {
            remote,
            source,
            route: Route::Shared,
            locked: None,
        }
    }

    /// The same with the files that it consists of.
    pub(crate) fn with_contents(mut self, contents: Manifest) -> Self {
        self.remote.contents = Some(Arc::new(contents));
        self
    }

    /// The same under the name that it is installed by.
    pub(crate) fn named(mut self, model: &ModelRef) -> Self {
        self.remote.model = model.clone();
        self
    }

    /// The same with what a lock says of the place and the selection of its files.
    pub(crate) fn pinned(mut self, pin: Option<&Pin>) -> Self {
        self.remote.pin = pin.cloned().map(Box::new);
        self
    }

    /// The call as its source allows it.
    pub(crate) fn call(&self, call: &Call) -> Call {
        call.offline(self.source.offline_by())
    }

    /// Returns where the bytes are.
    pub(crate) fn places(&self, call: &Call) -> Result<Places> {
        self.source.places(call, &self.remote, self.route)
    }
}

impl Engine {
    /// Returns what a version consists of: as installed, else as its source says.
    ///
    /// # Errors
    /// [`ErrorKind::UnusableFiles`] if it has files that cannot be installed.
    pub(crate) fn manifest(
        &self,
        records: &Records,
        offer: &Offer,
        call: &Call,
    ) -> Result<Manifest> {
        let manifest = self.listed_manifest(records, offer, call)?;
        self.refuse_faults(offer, &manifest)?;
        Ok(manifest)
    }

    /// Refuses what cannot be installed whole.
    pub(crate) fn refuse_faults(&self, offer: &Offer, manifest: &Manifest) -> Result<()> {
        let mut faults = manifest.faults();
        let layout = self.store.layout();
        let own = manifest.files().iter();
        for file in own.filter(|file| layout.is_own(&file.path)) {
            faults.insert(
                file.path.to_string(),
                "has a place that the store reserves".into(),
            );
        }
        let Some(reason) = faults.values().next().cloned() else {
            return Ok(());
        };
        Err(Error::from(ErrorKind::UnusableFiles {
            model: offer.remote.model.to_string(),
            files: faults.into_keys().collect(),
            reason,
            can_exclude: offer.remote.pin.is_some(),
        }))
    }

    /// Returns what a version consists of, whether or not all of it can be installed.
    pub(crate) fn listed_manifest(
        &self,
        records: &Records,
        offer: &Offer,
        call: &Call,
    ) -> Result<Manifest> {
        let remote = &offer.remote;
        match (self.installed_manifest(records, remote), &remote.contents) {
            (Some(manifest), _) => Ok(manifest),
            (None, Some(manifest)) => Ok(Manifest::clone(manifest)),
            (None, None) => offer.source.manifest(call, remote, offer.route),
        }
    }

    /// Narrows an offer to the files that are wanted.
    pub(crate) fn select(
        &self,
        records: &Records,
        offer: Offer,
        selection: &Selection,
        call: &Call,
    ) -> Result<Offer> {
        if selection.is_everything() {
            return Ok(offer);
        }
        let location = offer.source.label();
        let Some(pin) = offer.remote.pin.as_deref().cloned() else {
            return Err(Error::argument(format!(
                "'{location}' offers only whole models, so files cannot be included or excluded"
            )));
        };
        let manifest = self.listed_manifest(records, &offer, call)?;
        let mut revision = offer
            .remote
            .commit
            .as_deref()
            .unwrap_or_default()
            .to_owned();
        if manifest.archives().next().is_some() {
            // What will be unpacked of them is part of the state.
            revision = format!("{revision} {selection:?}");
        }
        let selected = manifest.select(&revision, &location, |path, archive| match archive {
            // What is in it shows when it is here.
            Some(archive) if archive.is_tar() => !selection.excludes(path),
            _ => selection.wants(path),
        })?;
        self.refuse_faults(&offer, &selected)?;
        if selected.files().is_empty() {
            return Err(nothing_selected(&offer.remote.model));
        }
        let remote = RemoteModel {
            manifest_digest: selected.digest(),
            files: Some(selected.files().len() as u64),
            total_bytes: selected.total_bytes(),
            pin: Some(Box::new(Pin {
                include: selection.include.clone(),
                exclude: selection.exclude.clone(),
                ..pin
            })),
            contents: Some(Arc::new(selected)),
            ..offer.remote
        };
        Ok(Offer { remote, ..offer })
    }

    fn installed_manifest(&self, records: &Records, remote: &RemoteModel) -> Option<Manifest> {
        let record = records.get(&remote.model)?;
        if record.offered() != remote.manifest_digest {
            return None;
        }
        let manifest = self.store.manifest(&remote.model, record.manifest_hash);
        let manifest = manifest.ok()?;
        let is_unpacked = manifest.has_unpacked();
        let manifest = manifest.stated("the installed manifest").ok()?;
        // What it says of archives that were unpacked need not be how they come: they may be in chunks.
        let is_offered = !is_unpacked || manifest.digest() == remote.manifest_digest;
        is_offered.then_some(manifest)
    }
}

/// The error of a selection that leaves nothing of a model.
pub(crate) fn nothing_selected(model: &ModelRef) -> Error {
    Error::argument(format!(
        "no file of {model} matches the patterns to include and exclude"
    ))
}
