//! Opening what is indexed: a folder in the archive of a repository, in a zip of a release, or on this machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use super::attributes::{self, Attributes};
use super::content::Content;
use super::staged::Staged;
use super::tree::{Archive, Tree};
use super::{MakeOptions, MakeOrigin, RepositoryRef};
use crate::archive::{Directory, MAX_ARCHIVE_BYTES};
use crate::disk::write::NewFile;
use crate::env::Environment;
use crate::error::{Error, ErrorKind, IoContext, Result, chain};
use crate::http::call::Call;
use crate::http::{Client, GetOptions};
use crate::progress::tally::Tally;
use crate::progress::{CancelToken, Silent, Step, Task};
use crate::project::work_tree::path_in_work_tree;
use crate::relpath::{RelPath, below, listed, shown};
use crate::settings::Settings;
use crate::source::Sources;
use crate::source::repository::discover::{ASSET_BYTES, Discovery};
use crate::source::repository::place::{RepositoryPlace, place_of};
use crate::url::Url;

/// A folder that is indexed.
pub(super) struct IndexedFolder {
    pub(super) tree: Tree,
    /// Its name in errors and reports: a URL, or a path.
    pub(super) location: String,
    /// Its path in the repository or zip; empty for the top, and when it is unknown.
    pub(super) root: String,
    /// The zip of a release that it is in.
    pub(super) asset: Option<String>,
    /// The name of a model at its top.
    pub(super) top: Option<String>,
    /// What the publisher should know about it, each as a sentence.
    pub(super) notes: Vec<String>,
    pub(super) server: Option<Server>,
    /// What git has staged of it, if that is known.
    pub(super) staged: Option<Staged>,
    /// By which its files may differ from those that the server serves.
    attributes: Attributes,
    /// For fetching files that differ, if they are in an archive.
    client: Option<Client>,
}

/// A repository that serves models at a ref.
#[derive(Debug)]
pub(super) struct Server {
    place: RepositoryPlace,
    reference: String,
}

impl Server {
    /// Finds how a repository is reached: by the source that names it, else by the environment.
    fn find(
        repository: &RepositoryRef,
        asset: Option<&str>,
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Self> {
        let reference = repository.reference.clone();
        let place = RepositoryPlace {
            refs: vec![reference.clone()],
            asset: asset.map(str::to_owned),
            ..place_of(&repository.repo, settings, environment)?
        };
        // What was configured is checked: this is what was given.
        let checked = place.check();
        checked.map_err(|error| Error::argument(error.to_string()))?;
        Ok(Self { place, reference })
    }

    /// Returns the URL of a file, by its path in the repository or zip.
    pub(super) fn url(&self, asset: Option<&str>, path: &str) -> Result<Url> {
        match asset {
            Some(asset) => Ok(self.place.release_url(&self.reference, asset)),
            None => self.place.raw_url(&self.reference, path),
        }
    }

    /// Reads the attributes of git in the repository's archive, whose files are all below `top`.
    ///
    /// Those for its top are asked for if the archive lacks them: they may say so themselves.
    fn attributes(
        &self,
        archive: &Archive,
        top: &str,
        client: &Client,
        cancel: &CancelToken,
    ) -> Result<Attributes> {
        let mut attributes = Attributes::default();
        let top = below(top, "");
        let names = archive.directory.names();
        let paths = names.filter_map(|name| name.strip_prefix(&*top));
        let mut paths: Vec<&str> = paths
            .filter(|path| path.rsplit('/').next() == Some(attributes::NAME))
            .collect();
        paths.sort_by_key(|path| path.len());
        if paths.first() != Some(&attributes::NAME) {
            let url = self.url(None, attributes::NAME)?;
            let accept = |_: &Url, text| Ok(text);
            match client.document(&[url], attributes::MAX_BYTES, cancel, accept) {
                Ok(text) => attributes.add_file(attributes::NAME, &text),
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) if error.status() == Some(404) => {}
                Err(error) => warn!(
                    error = %chain(&error),
                    "cannot read the attributes of the repository, by which its archive may differ from its files"
                ),
            }
        }
        for path in paths {
            let mut text = Vec::new();
            let read = archive.read(&format!("{top}{path}"), &mut [0; 4 << 10], &mut |piece| {
                cancel.check()?;
                let left = attributes::MAX_BYTES as usize - text.len();
                text.extend(&piece[..piece.len().min(left)]);
                Ok(())
            });
            read?;
            attributes.add_file(path, &text);
        }
        Ok(attributes)
    }

    /// Fetches the repository's archive, or the zip `asset` of a release, into a temporary file beside `own`.
    fn fetch(
        &self,
        asset: Option<&str>,
        client: &Client,
        own: &Path,
        options: &MakeOptions,
    ) -> Result<Archive> {
        let Self { place, reference } = self;
        let at = reference.escape_debug();
        let (urls, what) = match asset {
            Some(asset) => {
                let what = format!("release '{at}' with a file '{}'", asset.escape_debug());
                (vec![place.release_url(reference, asset)], what)
            }
            None => (place.archive_urls(reference)?, format!("ref '{at}'")),
        };
        let path = own.with_file_name("archive.zip");
        let (cancel, progress) = (&options.cancel, options.progress.as_deref());
        let create = |length: Option<u64>| {
            let step = Step {
                total_bytes: length.unwrap_or_default(),
                ..Step::new(Task::Downloading, 1).at(asset.unwrap_or(&place.repo), 0)
            };
            Ok((NewFile::create(&path)?, Tally::new(step, progress, cancel)))
        };
        let write = |(file, tally): &mut (NewFile, Tally<'_>), piece: &[u8]| {
            file.write(piece)?;
            tally.advance(piece.len())
        };
        let fetch = |urls: &[Url], accept| {
            let options = GetOptions {
                accept,
                ..GetOptions::default()
            };
            client.fetch_into(urls, &options, MAX_ARCHIVE_BYTES, cancel, create, write)
        };
        let mut fetched = fetch(&urls, None);
        if let (Err(error), Some(asset)) = (&fetched, asset)
            && error.status() == Some(404)
        {
            let discovery = Discovery {
                call: &Call::new(client.clone(), cancel.clone(), Arc::new(Silent)),
                place,
                label: &place.repo,
            };
            if let Some(url) = discovery.asset(reference, asset)? {
                fetched = fetch(&[url], Some(ASSET_BYTES));
            }
        }
        let ((file, _), _, url) = fetched.map_err(|error| match error.kind() {
            ErrorKind::Network {
                url,
                status: Some(404 | 410),
                ..
            } => {
                let message = format!("repository '{}' has no {what}, or is private", place.repo);
                Error::registry(url, message)
            }
            _ => error,
        })?;
        let directory = Directory::of_file(&url, &file.reread()?, &path)?;
        Ok(Archive {
            url,
            directory,
            file,
        })
    }
}

impl IndexedFolder {
    /// Fetches a file as the server serves it, if that may be in another form than it is packed. `path` is its path in the
    /// repository.
    ///
    /// # Errors
    /// Those of the network; [`ErrorKind::Cancelled`].
    pub(super) fn fetch_served(&self, path: &str, tally: &Tally<'_>) -> Result<Option<Content>> {
        let (Some(server), Some(client)) = (&self.server, &self.client) else {
            return Ok(None);
        };
        if !self.attributes.may_change(path) {
            return Ok(None);
        }
        let urls = [server.url(None, path)?];
        let create = |_| Ok(Content::default());
        let write = |content: &mut Content, piece: &[u8]| {
            content.update(piece);
            tally.advance(piece.len())
        };
        let (options, cancel) = (GetOptions::default(), tally.cancel);
        let (content, ..) =
            client.fetch_into(&urls, &options, MAX_ARCHIVE_BYTES, cancel, create, write)?;
        Ok(Some(content))
    }

    /// Says in a sentence which of these files git may have changed when it checked them out, if what it has staged is not known.
    pub(super) fn note_of_changes(&self, names: &BTreeSet<&str>) -> Option<String> {
        let may_change = |name: &&&str| self.attributes.may_change(&below(&self.root, name));
        let mut changed = names.iter().filter(may_change);
        let first = changed
            .next()
            .filter(|_| self.client.is_none() && self.staged.is_none())?;
        let (first, count) = (shown(first), 1 + changed.count());
        Some(format!(
            "git may have changed {count} of the files, such as '{first}', when it checked them out, as {} says; a \
             server serves them as they were committed",
            attributes::NAME
        ))
    }
}

impl MakeOptions {
    /// Opens the folder of the models; `own` is the registry that will be written.
    pub(super) fn open(&self, own: &Path) -> Result<IndexedFolder> {
        match &self.origin {
            MakeOrigin::Archive { repository, path } => {
                self.open_archive(repository, None, path, own)
            }
            MakeOrigin::Asset {
                repository,
                file,
                path,
            } => self.open_archive(repository, Some(file), path, own),
            MakeOrigin::Folder { path, repository } => {
                self.open_folder(path, repository.as_ref(), own)
            }
        }
    }

    /// Says that an archive or a folder is read.
    fn reads(&self, what: &str) {
        if let Some(progress) = &self.progress {
            progress.on_step(&Step::new(Task::Reading, 1).at(what, 0));
        }
    }

    fn settings(&self) -> Result<(Settings, Environment)> {
        let environment = self.environment.clone();
        let environment = environment.unwrap_or_else(Environment::of_process);
        Ok((Settings::read(&self.config, &environment)?, environment))
    }

    /// Opens a folder of the repository's archive, or of the zip `asset` of a release.
    fn open_archive(
        &self,
        repository: &RepositoryRef,
        asset: Option<&str>,
        path: &str,
        own: &Path,
    ) -> Result<IndexedFolder> {
        let (settings, environment) = self.settings()?;
        let server = Server::find(repository, asset, &settings, &environment)?;
        let sources = Sources::open(&settings, &environment, self.transport.clone())?;
        let root = match path.trim_end_matches('/') {
            "." => "",
            root => root,
        };
        if !root.is_empty() {
            RelPath::parse(root).map_err(|error| Error::argument(format!("folder: {error}")))?;
        }
        let client = sources.client.with_offline(self.offline);
        let archive = server.fetch(asset, &client, own, self)?;
        self.reads(asset.unwrap_or(&repository.repo));
        let top = match asset {
            Some(_) => "",
            None => archive.directory.top_folder().ok_or_else(|| {
                let message = "the archive has no folder that contains everything";
                Error::registry(&archive.url, message)
            })?,
        };
        let attributes = match asset {
            Some(_) => Attributes::default(),
            None => server.attributes(&archive, top, &client, &self.cancel)?,
        };
        let folder = below(top, root).trim_end_matches('/').to_owned();
        let location = archive.url.to_string();
        let folders = folders_of(&archive.directory, top);
        let tree = Tree::of_archive(archive, &folder).ok_or_else(|| {
            let others = match &*folders {
                [] => String::new(),
                folders => format!(", but {}", listed(folders)),
            };
            Error::argument(format!(
                "the archive has no folder '{root}'{others} ({location})"
            ))
        })?;
        Ok(IndexedFolder {
            tree,
            location,
            root: root.to_owned(),
            asset: asset.map(str::to_owned),
            top: name_of(root).or(name_of(&server.place.repo)),
            notes: attributes.note().into_iter().collect(),
            server: Some(server),
            staged: None,
            attributes,
            client: Some(client),
        })
    }

    /// Opens a folder of this machine.
    fn open_folder(
        &self,
        path: &Path,
        repository: Option<&RepositoryRef>,
        own: &Path,
    ) -> Result<IndexedFolder> {
        let server = |repository| {
            let (settings, environment) = self.settings()?;
            Server::find(repository, None, &settings, &environment)
        };
        let server = repository.map(server).transpose()?;
        if server.is_none() && self.urls {
            let message = "URLs need a repository and a ref, and none is given";
            return Err(Error::argument(message));
        }
        if path.is_file() {
            let message = format!("{} is not a folder", path.display());
            return Err(Error::argument(message));
        }
        self.reads(&path.display().to_string());
        let folder = std::path::absolute(path).at("read", path)?;
        let tree = Tree::of_folder(&folder, own, &self.cancel)?;
        let in_work_tree = path_in_work_tree(&folder)?;
        let note = in_work_tree.is_none().then_some(
            "the folder is not in a work tree of git, so the registry has no root: its files have to be at the top of \
             their repository",
        );
        let (mut staged, mut attributes) = (None, Attributes::default());
        if let Some(root) = &in_work_tree {
            let top = top_of_work_tree(&folder, root)?;
            staged = Staged::read(&top, root);
            attributes = Attributes::of_work_tree(&top, root, &tree.names);
        }
        let root = in_work_tree.unwrap_or_default();
        if !root.is_empty() {
            RelPath::parse(&root)
                .map_err(|error| Error::argument(format!("{}: {error}", path.display())))?;
        }
        let of_server = || name_of(&server.as_ref()?.place.repo);
        let own_name = folder.file_name().and_then(|name| name.to_str());
        Ok(IndexedFolder {
            top: name_of(&root)
                .or_else(of_server)
                .or(own_name.map(str::to_owned)),
            location: folder.display().to_string(),
            tree,
            root,
            asset: None,
            notes: note.map(str::to_owned).into_iter().collect(),
            server,
            staged,
            attributes,
            client: None,
        })
    }
}

/// Returns the top of the work tree in which a folder has the path `root`.
fn top_of_work_tree(folder: &Path, root: &str) -> Result<PathBuf> {
    let folder = fs::canonicalize(folder).at("read", folder)?;
    let depth = root.split('/').filter(|it| !it.is_empty()).count();
    Ok(folder.ancestors().nth(depth).unwrap_or(&folder).to_owned())
}

/// Returns the names of the folders in a folder of an archive.
fn folders_of(directory: &Directory, folder: &str) -> Vec<String> {
    let prefix = below(folder, "");
    let inside = directory
        .names()
        .filter_map(|name| name.strip_prefix(&*prefix));
    let folders: BTreeSet<&str> = inside
        .filter_map(|name| Some(name.split_once('/')?.0))
        .collect();
    folders.into_iter().map(str::to_owned).collect()
}

/// Returns the last segment of a path.
fn name_of(path: &str) -> Option<String> {
    let last = path.rsplit('/').next().filter(|last| !last.is_empty());
    last.map(str::to_owned)
}
