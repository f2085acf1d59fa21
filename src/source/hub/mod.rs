//! The Hugging Face Hub, or a mirror of it, through its public interface.
//!
//! A revision is resolved to a commit once, and every file comes from that commit. The Hub says of each file its size and
//! what it is checked by. It has too many models to list: they are found by name, or by a search.

mod wire;

use std::sync::Arc;

use crate::catalog::{Pin, PinState, RemoteModel};
use crate::config::{SourceConfig, UrlTemplate};
use crate::error::{AuthFailure, Error, ErrorKind, Result};
use crate::manifest::Manifest;
use crate::model::{ModelName, ModelRef};
use crate::relpath::below;
use crate::source::places::Places;
use crate::source::{Catalog, Documents, Source};
use crate::url::{Url, encode_component, encode_path};

use wire::{MAX_ANSWER_BYTES, ModelInfo};

/// The revision that counts when none is named.
const DEFAULT_REVISION: &str = "main";
/// `OWNER/NAME`, or `NAME` alone.
const MAX_ID_SEGMENTS: usize = 2;
/// How many pages of a search are read at most, and how many results come with each.
const MAX_PAGES: usize = 2;
const PAGE_RESULTS: usize = 100;

#[derive(Debug)]
pub(crate) struct Hub {
    config: SourceConfig,
    endpoint: Url,
}

impl Hub {
    pub(crate) fn new(config: SourceConfig, endpoint: Url) -> Self {
        Self { config, endpoint }
    }

    fn base(&self) -> String {
        self.endpoint.expose().trim_end_matches('/').to_owned()
    }

    fn url(&self, path_and_query: &str) -> Result<Url> {
        let text = format!("{}/{path_and_query}", self.base());
        Url::parse(&text).map_err(|error| Error::internal(error.to_string()))
    }

    fn name(&self, id: &str) -> Result<ModelName> {
        ModelName::parse(&below(&self.config.name, id))
            .map_err(|error| Error::registry(&self.endpoint, error.to_string()))
    }

    fn remote(
        &self,
        info: &ModelInfo,
        model: ModelRef,
        id: &str,
        url: &Url,
    ) -> Result<RemoteModel> {
        let commit = info
            .sha
            .clone()
            .filter(|sha| ModelRef::new("", "m", sha).is_ok());
        let commit = commit
            .ok_or_else(|| Error::registry(url, "the Hub does not say which commit it is"))?;
        let manifest = info.manifest(&commit, url)?;
        let files = manifest.files();
        let remote = RemoteModel {
            files: Some(files.len() as u64),
            total_bytes: files.iter().map(|file| file.size_bytes).sum(),
            commit: Some(commit.clone()),
            metadata: info.metadata(),
            pin: Some(Pin {
                repo: id.to_owned(),
                state: PinState::Commit(commit),
                root: String::new(),
                include: Vec::new(),
                exclude: Vec::new(),
            }),
            ..RemoteModel::new(model, &*self.config.key, manifest.digest())
        };
        Ok(RemoteModel {
            contents: Some(Arc::new(manifest)),
            ..remote
        })
    }
}

impl Source for Hub {
    fn config(&self) -> &SourceConfig {
        &self.config
    }

    fn default_version(&self) -> Option<&str> {
        Some(DEFAULT_REVISION)
    }

    fn catalog(&self, _: &dyn Documents) -> Result<Catalog> {
        Err(Error::argument(format!(
            "'{}' has too many models to list: search it",
            self.config.label()
        )))
    }

    fn find(
        &self,
        documents: &dyn Documents,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel> {
        let revision = version.unwrap_or(DEFAULT_REVISION);
        let full = below(&self.config.name, path);
        if path.split('/').count() > MAX_ID_SEGMENTS {
            return Err(ErrorKind::ModelNotFound {
                model: full,
                near: Vec::new(),
            }
            .into());
        }
        let url = self.url(&format!(
            "api/models/{}/revision/{}?blobs=true",
            encode_path(path),
            encode_component(revision)
        ))?;
        let (json, _) = documents
            .ask(&url, MAX_ANSWER_BYTES)
            .map_err(|error| not_found(error, &full, revision))?;
        let info = ModelInfo::parse(&json, &url)?;
        let model = self
            .name(path)?
            .version(revision)
            .map_err(|error| Error::registry(&url, error.to_string()))?;
        self.remote(&info, model, path, &url)
    }

    fn search(&self, documents: &dyn Documents, query: &str) -> Result<Option<Vec<RemoteModel>>> {
        let mut url = self.url(&format!(
            "api/models?search={}&sort=downloads&direction=-1&limit={PAGE_RESULTS}&full=true",
            encode_component(query)
        ))?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let (json, next) = documents.ask(&url, MAX_ANSWER_BYTES)?;
            for info in ModelInfo::parse_list(&json, &url)? {
                // A name that could be no folder here could not be pulled either.
                let model = self
                    .name(&info.id)
                    .ok()
                    .and_then(|name| name.version(DEFAULT_REVISION).ok());
                if let (Some(model), Some(sha)) = (model, &info.sha) {
                    let digest = crate::digest::Digest::of(sha.as_bytes());
                    found.push(RemoteModel {
                        commit: Some(sha.clone()),
                        metadata: info.metadata(),
                        ..RemoteModel::new(model, &*self.config.key, digest)
                    });
                }
            }
            match next.map(|next| url.redirect(&next)) {
                Some(Ok(next)) if next.same_origin(&url) => url = next,
                _ => break,
            }
        }
        Ok(Some(found))
    }

    fn contents(&self, documents: &dyn Documents, model: &RemoteModel) -> Result<Manifest> {
        // An offer carries what it consists of; what is installed is asked for by its commit.
        let commit = model.pin.as_ref().and_then(|pin| pin.state.commit());
        let name = model.model.name().to_string();
        let path = match self.config.name.as_str() {
            "" => name.as_str(),
            source => name
                .strip_prefix(source)
                .map_or("", |path| path.trim_start_matches('/')),
        };
        let found = self.find(documents, path, commit)?;
        found
            .contents
            .map(Arc::unwrap_or_clone)
            .ok_or_else(|| Error::internal("an offer of the Hub without its files"))
    }

    fn places(&self, _: &dyn Documents, pin: Option<&Pin>) -> Result<Places> {
        let commit = pin.and_then(|pin| Some((pin, pin.state.commit()?)));
        let (pin, commit) = commit.ok_or_else(|| {
            Error::registry(
                self.config.label(),
                "it is not recorded where the files came from: pull the model again",
            )
        })?;
        let url = UrlTemplate::parse(&format!(
            "{}/{{repo}}/resolve/{{ref}}/{{path}}",
            self.base()
        ))
        .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Places::Files {
            url,
            repo: pin.repo.clone(),
            commit: commit.to_owned(),
            root: pin.root.clone(),
            elsewhere: None,
        })
    }
}

/// Reads from the Hub's refusal what it is that is not there. To somebody without a token it answers that for everything
/// that is not public, whether it exists or not.
fn not_found(error: Error, model: &str, revision: &str) -> Error {
    let model = model.to_owned();
    match error.kind() {
        ErrorKind::Network {
            server_code: Some(code),
            ..
        } if code == "RevisionNotFound" => Error::from(ErrorKind::VersionNotFound {
            model,
            version: revision.to_owned(),
            near: Vec::new(),
        }),
        ErrorKind::Network {
            server_code: Some(_),
            ..
        }
        | ErrorKind::Authentication {
            failure: AuthFailure::Missing,
            ..
        } => Error::from(ErrorKind::ModelNotFound {
            model,
            near: Vec::new(),
        }),
        _ => error,
    }
}
