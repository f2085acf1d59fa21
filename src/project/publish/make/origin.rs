//! Opening what is indexed: a folder in the archive of a repository, in a zip of a release, or on this machine.

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

/// A folder that is indexed.
pub(super) struct IndexedFolder {
    pub(super) tree: Box<dyn Tree>,
    /// Its name in errors and reports: a URL, or a path.
    pub(super) location: String,
    /// Its path in the repository or zip; empty for the top, and when it is unknown.
    pub(super) root: String,
    /// The zip of a release that it is in.
    pub(super) asset: Option<String>,
    /// The name of a model at its top.
    pub(super) top: Option<String>,
    /// What the publisher should know about it, in a sentence.
    pub(super) note: Option<&'static str>,
    pub(super) server: Option<Server>,
}

/// A repository that serves models at a ref.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: RepositoryPlace,
    pub(super) reference: String,
}

impl Server {
    /// Returns the URL of a file, by its path in the repository or zip.
    pub(super) fn url(&self, asset: Option<&str>, path: &str) -> Result<Url> {
        match asset {
            Some(asset) => Ok(self.place.release_url(&self.reference, asset)),
            None => self.place.raw_url(&self.reference, path),
        }
    }
}

/// How archives are fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArchiveFetch<'a> {
    pub(super) client: &'a Client,
    /// A path on a file system with room; no file is left there.
    pub(super) beside: &'a Path,
    pub(super) cancel: &'a CancelToken,
}

impl ArchiveFetch<'_> {
    /// Opens a folder of the repository's archive, or of the zip `asset` of a release.
    pub(super) fn open(
        &self,
        server: Server,
        asset: Option<&str>,
        path: &str,
    ) -> Result<IndexedFolder> {
        let root = match path.trim_end_matches('/') {
            "." => "",
            root => root,
        };
        if !root.is_empty() {
            RelPath::parse(root).map_err(|error| Error::argument(format!("folder: {error}")))?;
        }
        let mut archive = self.fetch(&server, asset)?;
        let top = match asset {
            Some(_) => String::new(),
            None => archive.top_folder()?,
        };
        let location = archive.url().to_string();
        if !archive.select(below(&top, root).trim_end_matches('/')) {
            let message = format!("the archive has no folder '{root}' ({location})");
            return Err(Error::argument(message));
        }
        Ok(IndexedFolder {
            tree: Box::new(archive),
            location,
            root: root.to_owned(),
            asset: asset.map(str::to_owned),
            top: name_of(root).or(name_of(&server.place.repo)),
            note: None,
            server: Some(server),
        })
    }

    fn fetch(&self, server: &Server, asset: Option<&str>) -> Result<Archive> {
        let Server { place, reference } = server;
        let at = reference.escape_debug();
        let (urls, what) = match asset {
            Some(asset) => {
                let what = format!("release '{at}' with a file '{}'", asset.escape_debug());
                (vec![place.release_url(reference, asset)], what)
            }
            None => (place.archive_urls(reference)?, format!("ref '{at}'")),
        };
        let archive = Archive::fetch(self.client, &urls, self.beside, self.cancel);
        archive.map_err(|error| match error.kind() {
            ErrorKind::Network {
                url,
                status: Some(404 | 410),
                ..
            } => {
                let message = format!("repository '{}' has no {what}, or is private", place.repo);
                Error::registry(url, message)
            }
            _ => error,
        })
    }
}

/// Opens a folder of this machine; `own` is the registry that will be written.
pub(super) fn open_folder(
    path: &Path,
    server: Option<Server>,
    own: &Path,
    cancel: &CancelToken,
) -> Result<IndexedFolder> {
    if path.is_file() {
        let message = format!("{} is not a folder", path.display());
        return Err(Error::argument(message));
    }
    let folder = Folder::open(path, own, cancel)?;
    let in_work_tree = path_in_work_tree(folder.path())?;
    let note = in_work_tree.is_none().then_some(
        "the folder is not in a work tree of git, so the registry has no root: its files have to be at the top of their \
         repository",
    );
    let root = in_work_tree.unwrap_or_default();
    if !root.is_empty() {
        RelPath::parse(&root)
            .map_err(|error| Error::argument(format!("{}: {error}", path.display())))?;
    }
    let of_server = || name_of(&server.as_ref()?.place.repo);
    let location = folder.path().display().to_string();
    let own_name = folder.path().file_name().and_then(|name| name.to_str());
    Ok(IndexedFolder {
        top: name_of(&root)
            .or_else(of_server)
            .or(own_name.map(str::to_owned)),
        location,
        tree: Box::new(folder),
        root,
        asset: None,
        note,
        server,
    })
}

/// The last segment of a path.
fn name_of(path: &str) -> Option<String> {
    let last = path.rsplit('/').next().filter(|last| !last.is_empty());
    last.map(str::to_owned)
}
