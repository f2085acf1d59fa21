//! Pulling models of repositories: what comes over the network, and what is on disk then.

mod addresses;
mod archives;
mod hostile;
mod locks;
mod members;
mod repairs;
mod resuming;
mod unsized_files;
mod updating;
mod versioned;
mod zips;

use modelrack::cli::Mount;
use modelrack::config::HttpConfig;
use modelrack::{
    Config, Manager, ModelManager, PullOptions, PullReport, RemoteOptions, Result, SyncOptions,
};

use crate::sources::repository::models::{ModelsToml, NamedFile, below};
use crate::support::address;
use crate::support::forge::{Forge, Repo};
use crate::support::rack::{Rack, quick_http};
use crate::support::server::Request;

/// One machine, and one repository of models that it knows as `mf6/test`.
pub(super) struct Site {
    pub(super) forge: Forge,
    pub(super) repo: Repo,
    pub(super) rack: Rack,
}

impl Site {
    /// An empty repository.
    pub(super) fn new() -> Self {
        let forge = Forge::start();
        let repo = forge.repo("o/models");
        let rack = Rack::new();
        Self { forge, repo, rack }
    }

    /// With these files below `mf6` on the branch `develop`, listed as `change` says, and synced.
    pub(super) fn of(files: &[NamedFile], change: fn(ModelsToml) -> ModelsToml) -> Self {
        let site = Self::new();
        site.commit("develop", files, change(ModelsToml::of(files)));
        site.sync();
        site.forge.server().reset_counts();
        site
    }

    /// Commits files below `mf6`, and a registry that lists files by the names they have there.
    pub(super) fn commit(&self, branch: &str, files: &[NamedFile], toml: ModelsToml) -> String {
        let mut tree = below("mf6", files);
        tree.push((".registry/models.toml".to_owned(), toml.root("mf6").into()));
        self.repo.commit(branch, tree)
    }

    pub(super) fn config(&self) -> Config {
        self.config_of(&["develop"], quick_http())
    }

    pub(super) fn config_of(&self, refs: &[&str], http: HttpConfig) -> Config {
        self.rack.bare_config().http(http).bootstrap(format!(
            "[sources.testmodels]\nrepo = \"o/models\"\nname = \"mf6/test\"\nrefs = {refs:?}\nserver = \"{}\"\n",
            self.forge.url()
        ))
    }

    pub(super) fn manager(&self) -> ModelManager {
        self.rack.manager_of(self.config())
    }

    /// The command of this machine.
    pub(super) fn mount(&self) -> Mount {
        Mount::new(self.config()).environment(self.rack.environment())
    }

    /// A manager of a source with these refs.
    pub(super) fn manager_at(&self, refs: &[&str]) -> ModelManager {
        self.rack.manager_of(self.config_of(refs, quick_http()))
    }

    /// Syncs the configured ref.
    #[track_caller]
    pub(super) fn sync(&self) {
        self.sync_at(&["develop"]);
    }

    /// Syncs these refs.
    #[track_caller]
    pub(super) fn sync_at(&self, refs: &[&str]) {
        let report = self.manager_at(refs).sync(&SyncOptions::default()).unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
    }

    /// Pulls with a manager of its own.
    pub(super) fn pull(&self, model: &str) -> Result<PullReport> {
        self.pull_with(model, &PullOptions::default())
    }

    pub(super) fn pull_with(&self, model: &str, options: &PullOptions) -> Result<PullReport> {
        self.manager().pull(&address(model), options)
    }

    /// The requests for files since the last reset, each as the commit and the path in it, in order of both.
    pub(super) fn raw_requests(&self) -> Vec<(String, String)> {
        let mut paths: Vec<_> = self
            .raw()
            .iter()
            .map(|request| {
                let rest = request.path_only().strip_prefix("/o/models/raw/").unwrap();
                let (commit, path) = rest.split_once('/').unwrap();
                (commit.to_owned(), path.to_owned())
            })
            .collect();
        paths.sort();
        paths
    }

    /// The paths of those requests, below `mf6`.
    pub(super) fn fetched(&self) -> Vec<String> {
        let paths = self.raw_requests().into_iter();
        paths
            .map(|(_, path)| path.strip_prefix("mf6/").unwrap_or(&path).to_owned())
            .collect()
    }

    /// The requests for files since the last reset, in order of arrival.
    pub(super) fn raw(&self) -> Vec<Request> {
        self.asked("/o/models/raw/")
    }

    /// The requests for one file since the last reset, in order of arrival.
    pub(super) fn asked_for(&self, end: &str) -> Vec<Request> {
        let mut requests = self.raw();
        requests.retain(|request| request.path.ends_with(end));
        requests
    }

    /// The requests with a path that begins so.
    pub(super) fn asked(&self, prefix: &str) -> Vec<Request> {
        let mut requests = self.forge.server().requests();
        requests.retain(|request| request.path.starts_with(prefix));
        requests
    }

    /// The commit that the cached registry of `develop` is of.
    pub(super) fn synced_commit(&self) -> String {
        let found = self.manager().list_remote(&RemoteOptions::default());
        found.unwrap().models[0]
            .commit
            .as_deref()
            .unwrap()
            .to_owned()
    }

    /// Asserts that a version's files are those below a folder of these, and that nothing is left of pulling it.
    #[track_caller]
    pub(super) fn assert_installed(&self, model: &str, folder: &str, files: &[NamedFile]) {
        self.rack.assert_files(model, &inside(folder, files));
        assert!(self.rack.listed().0.contains(&model.to_owned()), "{model}");
        assert_eq!(self.rack.cache(), Vec::<String>::new());
    }
}

/// The files below a folder, named as in it.
pub(super) fn inside<'a>(folder: &str, files: &'a [NamedFile]) -> Vec<(&'a str, &'a [u8])> {
    let inside = files.iter().filter_map(|(name, bytes)| {
        let name = name.strip_prefix(folder)?.strip_prefix('/')?;
        Some((name, bytes.as_slice()))
    });
    inside.collect()
}

/// A model in a folder: its name file, and these.
pub(super) fn model(folder: &str, files: &[(&str, Vec<u8>)]) -> Vec<NamedFile> {
    let name_file = (
        format!("{folder}/mfsim.nam"),
        format!("# {folder}\n").into(),
    );
    let files = files
        .iter()
        .map(|(name, bytes)| (format!("{folder}/{name}"), bytes.clone()));
    [name_file].into_iter().chain(files).collect()
}

/// The same files, one of them with other bytes.
pub(super) fn changed(files: &[NamedFile], name: &str, bytes: &[u8]) -> Vec<NamedFile> {
    let mut files = files.to_vec();
    let file = files.iter_mut().find(|(other, _)| other == name).unwrap();
    file.1 = bytes.to_vec();
    files
}
