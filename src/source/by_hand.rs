//! The files of one model in a folder of this machine, which somebody made by hand: a source that nobody configures.

use std::path::{Path, PathBuf};

use super::places::{Elsewhere, Naming, Places};
use super::template::UrlTemplate;
use super::{Identity, ListFilter, Route, Source};
use crate::catalog::RemoteModel;
use crate::catalog::registry::{RemoteListing, SourceKind};
use crate::error::{Error, Result};
use crate::http::call::Call;
use crate::url::Url;

#[derive(Debug)]
pub(crate) struct MadeByHand {
    identity: Identity,
    folder: PathBuf,
    url: Url,
}

impl MadeByHand {
    /// The files below a folder, whose path is absolute.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let url = Url::from_path(folder);
        let unusable = |error| Error::argument(format!("cannot use {}: {error}", folder.display()));
        Ok(Self {
            identity: Identity::default(),
            url: url.map_err(unusable)?,
            folder: folder.to_owned(),
        })
    }
}

impl Source for MadeByHand {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn kind(&self) -> SourceKind {
        SourceKind::new("folder")
    }

    fn locations(&self) -> Vec<String> {
        vec![self.url.to_string()]
    }

    /// Whoever has it knows what is in it.
    fn find(&self, _: &Call, path: &str, _: Option<&str>) -> Result<RemoteModel> {
        Err(self.identity.not_found(path, Vec::new()))
    }

    fn list(&self, _: &Call, _: ListFilter<'_>) -> Result<RemoteListing> {
        Ok(RemoteListing::default())
    }

    /// What can be cloned or copied is. The URL is for a file that has changed since it was hashed: the pull says so.
    fn places(&self, _: &Call, _: &RemoteModel, _: Route) -> Result<Places> {
        Ok(Places::Files {
            url: UrlTemplate::below(&self.url, "{path}"),
            repo: String::new(),
            commit: String::new(),
            root: String::new(),
            elsewhere: vec![Elsewhere {
                folder: self.folder.clone(),
                naming: Naming::ByPath,
            }],
        })
    }
}
