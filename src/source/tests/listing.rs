//! A complete kind of source as an example: a folder of this machine whose sub-folders are models, each with one version.
//!
//! ```toml
//! [sources.local]
//! listing = "/srv/models"
//! ```
//!
//! The files are hashed when a model is found, so nothing has to be published. Everything that a kind needs is here; the
//! rest of the crate knows it by its line in [`KINDS`](source::KINDS).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::call::Call;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelName;
use crate::near::nearest;
use crate::relpath::{InvalidName, RelPath};
use crate::source::places::Places;
use crate::source::template::UrlTemplate;
use crate::source::{self, Context, Entry, Identity, ListFilter, Route, Source};
use crate::url::Url;

/// The one version of every model.
const VERSION: &str = "current";

pub(in crate::source) struct Kind;

#[derive(Debug)]
struct Listing {
    identity: Identity,
    folder: PathBuf,
}

#[derive(Deserialize)]
struct EntryWire {
    listing: PathBuf,
}

impl source::Kind for Kind {
    fn keys(&self) -> &'static [&'static str] {
        &["listing"]
    }

    fn source(&self, entry: Entry, _: &Context) -> Result<Arc<dyn Source>> {
        let wire: EntryWire = entry.read()?;
        Ok(Arc::new(Listing {
            identity: entry.identity,
            folder: wire.listing,
        }))
    }
}

impl Listing {
    fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)
            .at("read", &self.folder)?
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn remote(&self, name: &str) -> Result<RemoteModel> {
        let refuse = |error: InvalidName| Error::registry(self.folder.display(), error.to_string());
        let model = ModelName::parse(&self.identity.full_name(name))
            .and_then(|name| name.version(VERSION))
            .map_err(refuse)?;
        let folder = self.folder.join(name);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).at("read", &folder)?.flatten() {
            let bytes = fs::read(entry.path()).at("read", &entry.path())?;
            let path = RelPath::parse(&entry.file_name().to_string_lossy()).map_err(refuse)?;
            files.push(ManifestFile {
                size_bytes: Some(bytes.len() as u64),
                digest: Some(Digest::of(&bytes).into()),
                ..ManifestFile::new(path)
            });
        }
        let manifest = Manifest::of_files(files, VERSION, self.folder.display())?;
        Ok(RemoteModel {
            pin: Some(Pin::new(name, PinState::Commit(VERSION.into()), "")),
            contents: Some(Arc::new(manifest.clone())),
            ..RemoteModel::new(model, &*self.identity.key, manifest.digest())
        })
    }
}

impl Source for Listing {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::new("listing")
    }

    fn locations(&self) -> Vec<String> {
        vec![self.folder.display().to_string()]
    }

    fn find(&self, _: &Call, path: &str, version: Option<&str>) -> Result<RemoteModel> {
        let (names, model) = (self.names()?, self.identity.full_name(path));
        match version {
            _ if !names.iter().any(|name| name == path) => {
                let near = nearest(path, names.iter().map(String::as_str));
                Err(ErrorKind::ModelNotFound {
                    model,
                    near,
                    token_variable: None,
                }
                .into())
            }
            None | Some(VERSION) => self.remote(path),
            Some(version) => {
                let (version, near) = (version.to_owned(), vec![VERSION.to_owned()]);
                Err(ErrorKind::VersionNotFound {
                    model,
                    version,
                    near,
                    is_revision: false,
                }
                .into())
            }
        }
    }

    fn list(&self, _: &Call, filter: ListFilter<'_>) -> Result<RemoteListing> {
        let names = self.names()?.into_iter().filter(|_| filter.wants(VERSION));
        Ok(RemoteListing {
            models: names
                .map(|name| self.remote(&name))
                .collect::<Result<_>>()?,
            failures: Vec::new(),
        })
    }

    fn manifest(&self, call: &Call, model: &RemoteModel, _: Route) -> Result<Manifest> {
        let found = self.find(call, model.model.model(), None)?;
        let manifest = found.contents.map(Arc::unwrap_or_clone);
        manifest.ok_or_else(|| Error::internal("a listed model has no files"))
    }

    fn places(&self, _: &Call, pin: Option<&Pin>, _: Route) -> Result<Places> {
        let pin = pin.ok_or_else(|| source::no_pin(self))?;
        let invalid = |error| Error::config_from("listing is not a usable path".into(), error);
        let base = Url::from_path(&self.folder).map_err(invalid)?;
        let template = format!("{}/{{repo}}/{{path}}", base.expose().trim_end_matches('/'));
        Ok(Places::Files {
            url: UrlTemplate::parse(&template).map_err(invalid)?,
            repo: pin.repo.clone(),
            commit: VERSION.to_owned(),
            root: pin.root.clone(),
            elsewhere: None,
        })
    }
}
