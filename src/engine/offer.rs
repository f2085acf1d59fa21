//! A version at its source: what it consists of, and where the bytes are.

use std::path::Path;
use std::sync::Arc;

use crate::catalog::{Pin, RemoteModel};
use crate::config::SourceKind;
use crate::engine::Engine;
use crate::engine::documents::SourceDocuments;
use crate::engine::pull::downloads::Meter;
use crate::engine::pull::selection::Selection;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::progress::CancelToken;
use crate::relpath::RelPath;
use crate::source::places::{Elsewhere, Places};
use crate::source::{Documents, Source};
use crate::store::layout::file_in;

/// A version at its source.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) remote: RemoteModel,
    pub(crate) source: Arc<dyn Source>,
    /// Whether files may come from an archive of their commit that was fetched for many models.
    pub(crate) archives: bool,
}

/// How a source is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) offline: bool,
    pub(crate) cancel: &'a CancelToken,
    /// Of the pull that it is for.
    pub(crate) meter: Option<&'a Meter>,
}

impl<'a> Asking<'a> {
    /// For no pull.
    pub(crate) fn new(offline: bool, cancel: &'a CancelToken) -> Self {
        Self {
            offline,
            cancel,
            meter: None,
        }
    }
}

impl Offer {
    pub(crate) fn new(remote: RemoteModel, source: Arc<dyn Source>) -> Self {
        Self {
            remote,
            source,
            archives: true,
        }
    }

    /// The commit that its files are of, where there are commits.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.remote.pin.as_ref()?.state.commit()
    }

    /// What its source reads documents with.
    fn documents<'a>(&self, engine: &'a Engine, asking: Asking<'a>) -> SourceDocuments<'a> {
        SourceDocuments::new(engine, self.source.config(), asking.offline, asking.cancel)
            .archives(self.archives)
            .meter(asking.meter)
    }
}

impl Engine {
    /// What a version consists of: as installed, else as its source says.
    pub(crate) fn contents(&self, offer: &Offer, asking: Asking<'_>) -> Result<Manifest> {
        let manifest = match self.installed_manifest(&offer.remote) {
            Some(manifest) => manifest,
            None => match &offer.remote.contents {
                Some(manifest) => Manifest::clone(manifest),
                None => {
                    let documents = offer.documents(self, asking);
                    offer.source.contents(&documents, &offer.remote)?
                }
            },
        };
        let layout = self.store.layout();
        let mut files = manifest.files().iter();
        if let Some(file) = files.find(|file| layout.is_own(&file.path)) {
            return Err(Error::registry(
                offer.source.config().label(),
                format!(
                    "the manifest has the file '{}', where the store keeps its own",
                    file.path
                ),
            ));
        }
        Ok(manifest)
    }

    /// Leaves the files of an offer that match none of the patterns to include, or one of those to exclude.
    pub(crate) fn select(
        &self,
        offer: Offer,
        selection: &Selection,
        offline: bool,
        cancel: &CancelToken,
    ) -> Result<Offer> {
        if selection.is_everything() {
            return Ok(offer);
        }
        let Some(pin) = offer.remote.pin.clone() else {
            return Err(Error::argument(
                "the files of a chunked registry come together: --include and --exclude are for \
                 repositories and the Hub",
            ));
        };
        let manifest = self.contents(&offer, Asking::new(offline, cancel))?;
        let location = offer.source.config().label();
        let revision = offer.remote.commit.clone().unwrap_or_default();
        let selected = manifest.select(&revision, &location, |path| selection.wants(path))?;
        if selected.files().is_empty() {
            return Err(Error::argument(format!(
                "no file of {} matches what is to be included",
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

    fn installed_manifest(&self, remote: &RemoteModel) -> Option<Manifest> {
        let records = self.records().ok()?;
        let record = records.get(&remote.model)?;
        if record.offered() != remote.manifest_digest {
            return None;
        }
        self.store
            .manifest(&remote.model, record.manifest_hash)
            .ok()
    }

    /// Where the bytes of a version are.
    pub(crate) fn places(&self, offer: &Offer, asking: Asking<'_>) -> Result<Places> {
        let documents = offer.documents(self, asking);
        let mut places = offer.source.places(&documents, offer.remote.pin.as_ref())?;
        if let Places::Files {
            elsewhere,
            repo,
            commit,
            ..
        } = &mut places
            && offer.source.config().kind() == SourceKind::Hub
        {
            let cache = self.settings.hub_cache.as_deref();
            *elsewhere = cache.and_then(|cache| hub_folders(cache, repo, commit));
        }
        Ok(places)
    }

    /// Whether the files of a version are about to come from an archive of their commit.
    pub(crate) fn is_archived(&self, offer: &Offer, cancel: &CancelToken) -> bool {
        let documents = offer.documents(self, Asking::new(true, cancel));
        offer
            .commit()
            .is_some_and(|commit| !matches!(documents.kept_archive(commit), Ok(None)))
    }
}

/// Where the Hub's own tools keep what they have of a commit.
fn hub_folders(cache: &Path, repo: &str, commit: &str) -> Option<Elsewhere> {
    let name = format!("models--{}", repo.replace('/', "--"));
    let folder = |below: &str| {
        let path = RelPath::parse(&format!("{name}/{below}")).ok()?;
        Some(file_in(cache, &path))
    };
    Some(Elsewhere {
        blobs: folder("blobs")?,
        snapshot: folder(&format!("snapshots/{commit}"))?,
    })
}
