//! Folders of models, opened: of a repository's archive, of a release's zip, of this machine.

use std::path::Path;

use super::folder::Folder;
use super::tree::Tree;
use super::zip::Archive;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Client;
use crate::progress::CancelToken;
use crate::project::work_tree::path_in_work_tree;
use crate::relpath::{RelPath, below};
use crate::source::repository::place::RepositoryPlace;
use crate::url::Url;

/// A folder of models.
pub(super) struct Opened {
    pub(super) tree: Box<dyn Tree>,
    /// What it is called in errors and reports: a URL, or a folder.
    pub(super) location: String,
    /// Where it is in the repository or zip; empty for the top, and where that is not known.
    pub(super) root: String,
    /// The zip of a release that it is in.
    pub(super) asset: Option<String>,
    /// What a model at its top is called.
    pub(super) top: Option<String>,
    /// What is not as it may seem, in a sentence.
    pub(super) note: Option<&'static str>,
}

/// A repository that serves models at a ref.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) place: RepositoryPlace,
    pub(super) reference: String,
}

impl Served {
    /// Where a file is, by its path in the repository or zip.
    pub(super) fn url(&self, asset: Option<&str>, path: &str) -> Result<Url> {
        match asset {
            Some(asset) => Ok(self.place.release_url(&self.reference, asset)),
            None => self.place.raw_url(&self.reference, path),
        }
    }

    /// The repository's name without its owner's.
    fn name(&self) -> &str {
        let repo = &self.place.repo;
        repo.rsplit_once('/').map_or(repo, |(_, name)| name)
    }
}

/// What archives are fetched with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetching<'a> {
    pub(super) client: &'a Client,
    /// A path of the file system that has room; no file is left there.
    pub(super) beside: &'a Path,
    pub(super) cancel: &'a CancelToken,
}

impl Fetching<'_> {
    /// Opens a folder of the archive of a repository.
    pub(super) fn archive(&self, served: &Served, path: &str) -> Result<Opened> {
        let Served { place, reference } = served;
        let urls = place.archive_urls(reference)?;
        let archive = self.fetch(&urls, || {
            format!(
                "the repository '{}' has no ref '{}', or does not exist, or is private",
                place.repo,
                reference.escape_debug()
            )
        })?;
        let top = archive.top_folder()?;
        open(archive, &top, path, served)
    }

    /// Opens a folder of a zip of a release.
    pub(super) fn asset(&self, served: &Served, file: &str, path: &str) -> Result<Opened> {
        let Served { place, reference } = served;
        let url = place.release_url(reference, file);
        let archive = self.fetch(&[url], || {
            format!(
                "the repository '{}' has no release '{}' with a file '{}', or is private",
                place.repo,
                reference.escape_debug(),
                file.escape_debug()
            )
        })?;
        Ok(Opened {
            asset: Some(file.to_owned()),
            ..open(archive, "", path, served)?
        })
    }

    fn fetch(&self, urls: &[Url], missing: impl Fn() -> String) -> Result<Archive> {
        let fetched = Archive::fetch(self.client, urls, self.beside, self.cancel);
        fetched.map_err(|error| match error.kind() {
            ErrorKind::Network {
                url,
                status: Some(404 | 410),
                ..
            } => Error::registry(url, missing()),
            _ => error,
        })
    }
}

/// Opens a folder of an archive, by its path below the archive's own top folder.
fn open(archive: Archive, top: &str, path: &str, served: &Served) -> Result<Opened> {
    let root = match path.trim_end_matches('/') {
        "." => "",
        root => root,
    };
    if !root.is_empty() {
        RelPath::parse(root).map_err(|error| Error::argument(format!("the folder: {error}")))?;
    }
    let location = archive.url().to_string();
    let folder = below(top, root).trim_end_matches('/').to_owned();
    if !archive.has_folder(&folder) {
        return Err(Error::argument(format!(
            "there is no folder '{root}' in the archive ({location})"
        )));
    }
    let last = root.rsplit('/').next().filter(|last| !last.is_empty());
    Ok(Opened {
        tree: Box::new(archive.into_folder(folder)),
        location,
        root: root.to_owned(),
        asset: None,
        top: Some(last.unwrap_or_else(|| served.name()).to_owned()),
        note: None,
    })
}

/// Opens a folder of this machine; `own` is the registry that will be written.
pub(super) fn open_folder(
    path: &Path,
    served: Option<&Served>,
    own: &Path,
    cancel: &CancelToken,
) -> Result<Opened> {
    if path.is_file() {
        let path = path.display();
        return Err(Error::argument(format!("{path} is no folder")));
    }
    let folder = Folder::open(path, own, cancel)?;
    let in_work_tree = path_in_work_tree(folder.path())?;
    let note = in_work_tree.is_none().then_some(
        "the folder is in no work tree of git, so the registry names no root: it is right when \
         the files lie at the top of their repository",
    );
    let root = in_work_tree.unwrap_or_default();
    if !root.is_empty() {
        RelPath::parse(&root)
            .map_err(|error| Error::argument(format!("{}: {error}", path.display())))?;
    }
    let last = root.rsplit('/').next().filter(|last| !last.is_empty());
    let own_name = folder.path().file_name().and_then(|name| name.to_str());
    let top = last
        .or_else(|| served.map(Served::name))
        .or(own_name)
        .map(str::to_owned);
    Ok(Opened {
        location: folder.path().display().to_string(),
        tree: Box::new(folder),
        root,
        asset: None,
        top,
        note,
    })
}
