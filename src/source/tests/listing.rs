//! How to write a kind of source: a folder of this machine whose sub-folders are models, each with one version.
//!
//! ```toml
//! [sources.local]
//! listing = "/srv/models"
//! ```
//!
//! This is all of it. The rest of the crate knows the kind by its line in [`KINDS`](source::KINDS).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, IoContext, Result};
use crate::http::call::Call;
use crate::manifest::{Manifest, ManifestFile};
use crate::near::nearest;
use crate::relpath::RelPath;
use crate::source::places::Places;
use crate::source::template::UrlTemplate;
use crate::source::{self, Context, Entry, Identity, ListFilter, Route, Source, choose_version};
use crate::url::Url;

/// The one version of every model.
const VERSION: &str = "current";

// 1. A kind says which keys its entries in `[sources]` have, and makes a source of an entry.

pub(in crate::source) struct Kind;

#[derive(Deserialize)]
struct EntryWire {
    listing: PathBuf,
}

impl source::Kind for Kind {
    /// The first key is the one that makes an entry one of this kind.
    fn keys(&self) -> &'static [&'static str] {
        &["listing"]
    }

    /// Opens no socket: the configuration is read long before anybody asks the source.
    fn source(&self, entry: Entry, _: &Context) -> Result<Arc<dyn Source>> {
        let EntryWire { listing } = entry.read()?;
        let url = Url::from_path(&listing)
            .map_err(|error| Error::config_from(entry.at("listing"), error))?;
        Ok(Arc::new(Listing {
            identity: entry.identity,
            folder: listing,
            url,
        }))
    }
}

// 2. A source says what it is, what it offers, and where the bytes of that are. All else has a default.

#[derive(Debug)]
struct Listing {
    identity: Identity,
    folder: PathBuf,
    url: Url,
}

impl Source for Listing {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::new("listing")
    }

    fn locations(&self) -> Vec<String> {
        vec![self.url.to_string()]
    }

    /// Names what comes near, so that a person sees the mistake.
    fn find(&self, _: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let names = self.names()?;
        if !names.contains(path) {
            let near = nearest(path, names.iter().map(String::as_str));
            return Err(self.identity.not_found(path, near));
        }
        choose_version(&self.identity.full_name(path), &[VERSION], version)?;
        self.offer(path)
    }

    fn list(&self, _: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let names = self.names()?.into_iter().filter(|_| filter.wants(VERSION));
        let models = names.map(|name| self.offer(&name));
        Ok(RemoteListing {
            models: models.collect::<Result<_>>()?,
            failures: Vec::new(),
        })
    }

    /// Each file is a document of its own, which the engine fetches, verifies and resumes.
    fn places(&self, _: &Call, model: &RemoteModel, _: Route) -> Result<Places> {
        let pin = model.pin.as_deref().ok_or_else(|| source::no_pin(self))?;
        Ok(Places::Files {
            url: UrlTemplate::below(&self.url, "{repo}/{path}"),
            repo: pin.repo.clone(),
            commit: VERSION.to_owned(),
            root: pin.root.clone(),
            elsewhere: Vec::new(),
        })
    }
}

impl Listing {
    fn names(&self) -> Result<BTreeSet<String>> {
        let entries = fs::read_dir(&self.folder).at("read", &self.folder)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.collect())
    }

    /// Hashes the files, so that nothing has to be published. Whatever comes from outside is hostile until it is parsed:
    /// names of models, names of files, sizes that do not add up.
    fn offer(&self, name: &str) -> Result<RemoteModel> {
        let model = self.identity.model(name, VERSION, &self.url)?;
        let folder = self.folder.join(name);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).at("read", &folder)?.flatten() {
            let bytes = fs::read(entry.path()).at("read", &entry.path())?;
            let path = RelPath::parse(&entry.file_name().to_string_lossy());
            let path = path.map_err(|error| Error::registry(&self.url, error.to_string()))?;
            files.push(ManifestFile {
                size_bytes: Some(bytes.len() as u64),
                digest: Some(Digest::of(&bytes).into()),
                ..ManifestFile::new(path)
            });
        }
        let contents = Manifest::of_files(files, VERSION, &self.url)?;
        Ok(RemoteModel {
            pin: Some(Pin::new(name, PinState::Commit(VERSION.into()), "").into()),
            ..RemoteModel::of_contents(model, &self.identity.key, contents)
        })
    }
}
