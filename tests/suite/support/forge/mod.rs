//! A Git host on the loopback interface, which speaks like GitHub Enterprise with its API at `/api/v3`. What it answers is
//! the table in `routes.rs`.
//!
//! The suite has it as `mod forge;` beside `git` and `server`, the benchmarks through
//! `#[path = "../tests/suite/support/forge/mod.rs"]`.
//!
//! ```ignore
//! let forge = Forge::start();
//! let repo = forge.repo("owner/models");
//! let commit = repo.commit("develop", [(".registry/models.toml", toml), ("mf6/a/mfsim.nam", bytes)]);
//! repo.tag("v1", &commit);
//! repo.release("current", [("models.toml", toml), ("models.zip", zip(&files))]);
//! // … run the client against forge.url() …
//! assert_eq!(forge.api_requests(), 0);
//! ```
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary and benchmark uses its own part, and a fixture that fails ends the test"
)]

pub(crate) mod models;
mod routes;
mod zips;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::git::{File, History, Tag, Tree, object};
use super::server::Server;
pub(crate) use zips::{zip, zip_stored};

/// A running Git host; it stops when dropped.
///
/// Dropping it panics if a token was sent to the storage of assets, which is another host.
pub(crate) struct Forge {
    server: Server,
    contents: Arc<Mutex<Contents>>,
}

/// What a host has, and how it behaves.
struct Contents {
    /// By name in lower case, which is how names are compared.
    repositories: BTreeMap<String, Repository>,
    /// Requests that the API will still answer.
    api_left: u64,
    asks_to_sign_in: bool,
    keeps_archives: bool,
    /// The root of the storage's host.
    storage: String,
}

struct Repository {
    /// `owner/name`.
    name: String,
    history: History,
    releases: BTreeMap<String, Tree>,
    /// What clients must send, if not everybody may read.
    token: Option<String>,
    /// Zips that were requested, by commit and top folder.
    zips: BTreeMap<(String, String), File>,
}

impl Forge {
    /// Starts a host without repositories.
    pub(crate) fn start() -> Self {
        let server = Server::start();
        let contents = Arc::new(Mutex::new(Contents {
            repositories: BTreeMap::new(),
            api_left: u64::MAX,
            asks_to_sign_in: false,
            keeps_archives: false,
            storage: server.localhost_url(),
        }));
        server.routes(&contents, Contents::route);
        Self { server, contents }
    }

    /// The repository `owner/name`, made empty where there is none.
    pub(crate) fn repo(&self, name: &str) -> Repo {
        let key = name.to_ascii_lowercase();
        let repository = || Repository {
            name: name.to_owned(),
            history: History::default(),
            releases: BTreeMap::new(),
            token: None,
            zips: BTreeMap::new(),
        };
        self.lock()
            .repositories
            .entry(key)
            .or_insert_with(repository);
        Repo {
            contents: Arc::clone(&self.contents),
            name: name.to_owned(),
        }
    }

    /// The root, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The server below: what it counted, and rules for what is to go wrong.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// How many requests the API received, refused ones included.
    pub(crate) fn api_requests(&self) -> usize {
        self.server.count("/api/v3/")
    }

    /// Lets the API answer `left` more requests, and refuse those behind them with 403 until the hour is over.
    pub(crate) fn limit_api(&self, left: u64) {
        self.lock().api_left = left;
    }

    /// Answers 401 instead of 404 to requests for the refs of a repository that is unknown or private, as GitHub does in
    /// the hope that the client signs in.
    pub(crate) fn ask_to_sign_in(&self) {
        self.lock().asks_to_sign_in = true;
    }

    /// Serves archives of trees with a length and in ranges, as hosts do that keep them.
    pub(crate) fn keep_archives(&self) {
        self.lock().keeps_archives = true;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        super::server::lock(&self.contents)
    }
}

/// A repository of a [`Forge`]. Commits stay known after the branches that led to them are gone.
#[derive(Clone)]
pub(crate) struct Repo {
    contents: Arc<Mutex<Contents>>,
    name: String,
}

impl Repo {
    /// `owner/name`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Commits a tree of just these files to a branch, made where there is none; returns the commit's id.
    pub(crate) fn commit<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| repository.history.commit(branch, tree(files)))
    }

    /// Commits these files beside, or in place of, those that the branch has.
    pub(crate) fn commit_with<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| {
            let mut all = repository.history.tree_of(branch);
            all.extend(tree(files));
            repository.history.commit(branch, all)
        })
    }

    /// Points a branch at a commit, wherever it pointed before.
    pub(crate) fn set_branch(&self, branch: &str, commit: &str) {
        self.change(|repository| repository.history.set_branch(branch, commit));
    }

    pub(crate) fn delete_branch(&self, branch: &str) {
        self.change(|repository| repository.history.branches.remove(branch));
    }

    pub(crate) fn set_default_branch(&self, branch: &str) {
        self.change(|repository| repository.history.default_branch = Some(branch.to_owned()));
    }

    /// Points a lightweight tag at a commit.
    pub(crate) fn tag(&self, tag: &str, commit: &str) {
        self.change(|repository| repository.history.tag(tag, commit));
    }

    /// Points a tag with a message at a commit; returns the id of the tag itself.
    pub(crate) fn annotated_tag(&self, tag: &str, commit: &str) -> String {
        let id = object("tag", format!("{tag} {commit}").as_bytes());
        let annotated = Tag {
            commit: commit.to_owned(),
            object: Some(id.clone()),
        };
        self.change(|repository| repository.history.tags.insert(tag.to_owned(), annotated));
        id
    }

    pub(crate) fn delete_tag(&self, tag: &str) {
        self.change(|repository| repository.history.tags.remove(tag));
    }

    /// Points the head of a pull request at a commit.
    pub(crate) fn pull_request(&self, number: u64, commit: &str) {
        self.change(|repository| {
            repository
                .history
                .pull_requests
                .insert(number, commit.into())
        });
    }

    /// Publishes a release with just these assets, in place of one with the same tag. A tag that is missing is set to
    /// the default branch, if that has a commit.
    pub(crate) fn release<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        tag: &str,
        assets: impl IntoIterator<Item = (N, B)>,
    ) {
        self.change(|repository| {
            let head = repository.history.head().map(str::to_owned);
            if let (false, Some(head)) = (repository.history.tags.contains_key(tag), head) {
                repository.history.tag(tag, &head);
            }
            repository.releases.insert(tag.to_owned(), tree(assets));
        });
    }

    /// Takes a release back; its tag stays.
    pub(crate) fn delete_release(&self, tag: &str) {
        self.change(|repository| repository.releases.remove(tag));
    }

    /// Hides the repository from clients that do not send this token.
    pub(crate) fn require_token(&self, token: &str) {
        self.change(|repository| repository.token = Some(token.to_owned()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut contents = super::server::lock(&self.contents);
        let repository = contents
            .repositories
            .get_mut(&self.name.to_ascii_lowercase());
        change(repository.unwrap())
    }
}

fn tree<N: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (N, B)>) -> Tree {
    let files = files.into_iter();
    files
        .map(|(name, bytes)| (name.into(), File::small(bytes.into())))
        .collect()
}
