//! A version at its source: what it consists of, and where the bytes are.

use std::sync::Arc;

use crate::catalog::{Pin, RemoteModel};
use crate::engine::Engine;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::source::places::Places;
use crate::source::{Route, Source};
use crate::store::record::Records;

/// A version at its source.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) remote: RemoteModel,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) route: Route,
}

impl Offer {
    pub(crate) fn new(remote: RemoteModel, source: Arc<dyn Source>) -> Self {
        Self {
            remote,
            source,
            route: Route::Shared,
        }
    }

    /// The call as its source allows it.
    pub(crate) fn call(&self, call: &Call) -> Call {
        call.offline(self.source.offline_by())
    }

    /// Returns where the bytes are.
    pub(crate) fn places(&self, call: &Call) -> Result<Places> {
        let pin = self.remote.pin.as_ref();
        self.source.places(call, pin, self.route)
    }
}

impl Engine {
    /// Returns what a version consists of: as installed, else as its source says.
    pub(crate) fn manifest(
        &self,
        records: &Records,
        offer: &Offer,
        call: &Call,
    ) -> Result<Manifest> {
        let remote = &offer.remote;
        let manifest = match (self.installed_manifest(records, remote), &remote.contents) {
            (Some(manifest), _) => manifest,
            (None, Some(manifest)) => Manifest::clone(manifest),
            (None, None) => offer.source.manifest(call, remote, offer.route)?,
        };
        let layout = self.store.layout();
        let mut files = manifest.files().iter();
        if let Some(file) = files.find(|file| layout.is_own(&file.path)) {
            return Err(Error::registry(
                offer.source.label(),
                format!(
                    "the manifest lists the file '{}', whose place the store reserves",
                    file.path
                ),
            ));
        }
        Ok(manifest)
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
        let Some(pin) = offer.remote.pin.clone() else {
            return Err(Error::argument(format!(
                "'{location}' offers only whole models, so files cannot be included or excluded"
            )));
        };
        let manifest = self.manifest(records, &offer, call)?;
        let revision = offer.remote.commit.clone().unwrap_or_default();
        let selected = manifest.select(&revision, &location, |path| selection.wants(path))?;
        if selected.files().is_empty() {
            return Err(Error::argument(format!(
                "no file of {} matches the patterns to include and exclude",
                offer.remote.model
            )));
        }
        let remote = RemoteModel {
            manifest_digest: selected.digest(),
            files: Some(selected.files().len() as u64),
            total_bytes: selected.total_bytes(),
            pin: Some(Pin {
                include: selection.include.clone(),
                exclude: selection.exclude.clone(),
                ..pin
            }),
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
        manifest.ok()
    }
}
