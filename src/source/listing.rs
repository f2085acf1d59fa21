//! A complete kind of source as an example: a folder of this machine whose sub-folders are models, each with one version.
//!
//! ```toml
//! [sources.local]
//! listing = "/srv/models"
//! ```
//!
//! The files are hashed when a model is found, so nothing has to be published. Everything that a kind needs is here; the
//! rest of the crate knows it by its line in [`KINDS`](super::KINDS).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::catalog::registry::{
    RemoteListing, SourceInfo, SourceKind, SyncReport, UnsyncedRegistry,
};
use crate::catalog::{Pin, PinState, RemoteModel};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::call::Call;
use crate::manifest::{Manifest, ManifestFile};
use crate::model::{ModelName, nearest};
use crate::relpath::RelPath;
use crate::source::places::Places;
use crate::source::template::UrlTemplate;
use crate::source::{Context, Entry, Identity, ListFilter, Route, Source, SyncRequest};
use crate::url::Url;

/// The one version of every model.
const VERSION: &str = "current";

pub(super) struct Kind;

#[derive(Debug)]
struct Listing {
    identity: Identity,
    folder: PathBuf,
}

#[derive(Deserialize)]
struct EntryWire {
    listing: PathBuf,
}

impl super::Kind for Kind {
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
        let entries = fs::read_dir(&self.folder).at("read", &self.folder)?;
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> = folders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn remote(&self, name: &str) -> Result<RemoteModel> {
        let refuse = |reason: String| Error::registry(self.folder.display(), reason);
        let model = ModelName::parse(&self.identity.full_name(name))
            .and_then(|name| name.version(VERSION))
            .map_err(|error| refuse(error.to_string()))?;
        let folder = self.folder.join(name);
        let mut files = Vec::new();
        for entry in fs::read_dir(&folder).at("read", &folder)?.flatten() {
            let bytes = fs::read(entry.path()).at("read", &entry.path())?;
            let path = RelPath::parse(&entry.file_name().to_string_lossy());
            files.push(ManifestFile {
                size_bytes: Some(bytes.len() as u64),
                digest: Some(Digest::of(&bytes).into()),
                ..ManifestFile::new(path.map_err(|error| refuse(error.to_string()))?)
            });
        }
        let manifest = Manifest::of_files(files, VERSION, self.folder.display())?;
        Ok(RemoteModel {
            files: Some(manifest.files().len() as u64),
            total_bytes: manifest.total_bytes(),
            pin: Some(Pin {
                repo: name.to_owned(),
                state: PinState::Commit(VERSION.to_owned()),
                root: String::new(),
                include: Vec::new(),
                exclude: Vec::new(),
            }),
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
        if !names.iter().any(|name| name == path) {
            let near = nearest(path, names.iter().map(String::as_str));
            return Err(ErrorKind::ModelNotFound { model, near }.into());
        }
        match version {
            None | Some(VERSION) => self.remote(path),
            Some(version) => Err(ErrorKind::VersionNotFound {
                model,
                version: version.to_owned(),
                near: vec![VERSION.to_owned()],
            }
            .into()),
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
        manifest.ok_or_else(|| Error::internal("a listed model without its files"))
    }

    fn places(&self, _: &Call, pin: Option<&Pin>, _: Route) -> Result<Places> {
        let pin = pin.ok_or_else(|| super::no_pin(self))?;
        let invalid = |error: crate::url::InvalidUrl| Error::internal(error.to_string());
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

    fn info(&self) -> SourceInfo {
        SourceInfo {
            locations: self.locations(),
            ..SourceInfo::new(&*self.identity.key, &*self.identity.name, self.kind())
        }
    }

    fn sync(&self, _: &Call, _: &SyncRequest<'_>) -> SyncReport {
        let skipped = UnsyncedRegistry::new(&*self.identity.key, self.label(), "always current");
        SyncReport {
            skipped: vec![skipped],
            ..SyncReport::default()
        }
    }
}

#[test]
fn a_kind_of_source_is_one_module() {
    use crate::{Config, Environment, Manager, ModelManager, PullOptions, System};

    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("models");
    fs::create_dir_all(folder.join("tiny")).unwrap();
    fs::write(folder.join("tiny/weights.bin"), b"weights").unwrap();
    let listing = toml::Value::String(folder.display().to_string());
    let config = Config::new("app")
        .bootstrap(format!("[sources.local]\nlisting = {listing}\n"))
        .data_dir(temp.path().join("store"))
        .cache_dir(temp.path().join("cache"));
    let environment = Environment::empty(System::Linux, temp.path());
    let manager = ModelManager::builder(config)
        .environment(environment)
        .build();
    let pulled = manager
        .pull(&"local/tiny".parse().unwrap(), &PullOptions::default())
        .unwrap();
    assert_eq!(pulled.model.to_string(), "local/tiny current");
    assert_eq!(
        fs::read(pulled.path.join("weights.bin")).unwrap(),
        b"weights"
    );
    assert_eq!(manager.sources().unwrap()[0].kind.as_str(), "listing");
    let error = manager
        .pull(&"local/tine".parse().unwrap(), &PullOptions::default())
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ModelNotFound { near, .. } if near == &["tiny"]));
}
