//! A Git host on the loopback interface, which speaks like GitHub Enterprise with its API at `/api/v3`.
//!
//! Used by the test suite as `mod forge;` beside `mod server;`, and by the benches through
//! `#[path = "../tests/suite/support/forge/mod.rs"] mod forge;`, again beside `server`.
//!
//! | request | answer |
//! |---|---|
//! | `/{repo}/info/refs?service=git-upload-pack` | git's advertisement of refs, protocol version 0 |
//! | `/{repo}/raw/{ref}/{path}` | a file |
//! | `/{repo}/archive/{ref}.zip` | the tree as a zip, streamed: no length, no ranges |
//! | `/{repo}/releases/download/{tag}/{asset}` | a redirect to the storage |
//! | `/storage/…` under another host name | an asset, in ranges |
//! | `/api/v3/repos/{repo}/releases/tags/{tag}` | the names of a release's assets |
//! | `/api/v3/repos/{repo}/commits/{ref}` | the commit that a ref or the start of a hash means |
//! | `/api/v3/repos/{repo}/zipball/{ref}` | the tree as a zip, below another top folder |
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
    reason = "each test binary and bench uses its own part, and a fixture that fails ends the test"
)]

mod advertisement;
mod answer;
pub(crate) mod models;
mod repository;
#[cfg(test)]
mod tests;
mod zips;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::server::{Page, Request, Server};
use repository::Repository;
pub(crate) use zips::{zip, zip_stored};

/// Where the API begins.
const API: &str = "/api/v3/";
/// What an unknown caller is allowed in an hour.
const API_LIMIT: u64 = 60;

/// A running Git host; it stops when dropped.
///
/// Dropping it panics if a token was sent to the storage, which is no part of the host.
pub(crate) struct Forge {
    server: Server,
    shared: Arc<Mutex<Contents>>,
}

impl Forge {
    /// Starts a host without repositories.
    pub(crate) fn start() -> Self {
        let server = Server::start();
        let shared = Arc::new(Mutex::new(Contents::new(server.localhost_url())));
        let contents = Arc::clone(&shared);
        server.program(move |request| Some(lock(&contents).answer(request)));
        Self { server, shared }
    }

    /// The repository `owner/name`, made empty where there is none.
    pub(crate) fn repo(&self, name: &str) -> Repo {
        let mut contents = lock(&self.shared);
        contents
            .repositories
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Repository::new(name));
        Repo {
            shared: Arc::clone(&self.shared),
            name: name.to_owned(),
        }
    }

    /// The root, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The root of the API, without a slash at the end.
    pub(crate) fn api_url(&self) -> String {
        format!("{}{}", self.url(), API.trim_end_matches('/'))
    }

    /// The server below: what it counted, and rules for what shall go wrong.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// How many requests the API got, refused ones included.
    pub(crate) fn api_requests(&self) -> usize {
        self.server.count(API)
    }

    /// Lets the API answer `left` requests more, and refuse those behind them with 403 until the hour is over.
    pub(crate) fn limit_api(&self, left: u64) {
        lock(&self.shared).api_left = left;
    }

    /// Answers 401 in place of 404 to who asks for the refs of a repository that is unknown or private, as GitHub does
    /// in the hope that the caller signs in.
    pub(crate) fn ask_to_sign_in(&self) {
        lock(&self.shared).asks_to_sign_in = true;
    }

    /// Serves archives of trees with a length and in ranges, as hosts do that keep them.
    pub(crate) fn keep_archives(&self) {
        lock(&self.shared).keeps_archives = true;
    }
}

/// A repository of a [`Forge`]. Commits and hashes stay known after the branches that led to them have gone.
#[derive(Clone)]
pub(crate) struct Repo {
    shared: Arc<Mutex<Contents>>,
    name: String,
}

impl Repo {
    /// `owner/name`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Commits a tree of just these files to a branch, made where there is none; returns the hash, which follows from
    /// the files and the commit before. The first branch ever is the default one.
    pub(crate) fn commit<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| repository.commit(branch, repository::tree(files)))
    }

    /// Commits these files beside, or in place of, those that the branch has.
    pub(crate) fn commit_with<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| {
            let mut tree = repository.tree_of(branch);
            tree.extend(repository::tree(files));
            repository.commit(branch, tree)
        })
    }

    /// Commits what the branch has, without these files.
    pub(crate) fn commit_without(&self, branch: &str, names: &[&str]) -> String {
        self.change(|repository| {
            let mut tree = repository.tree_of(branch);
            tree.retain(|name, _| !names.contains(&name.as_str()));
            repository.commit(branch, tree)
        })
    }

    /// Points a branch at a commit, wherever it pointed before.
    pub(crate) fn set_branch(&self, branch: &str, commit: &str) {
        self.change(|repository| repository.set_branch(branch, commit));
    }

    pub(crate) fn delete_branch(&self, branch: &str) {
        self.change(|repository| repository.branches.remove(branch));
    }

    pub(crate) fn set_default_branch(&self, branch: &str) {
        self.change(|repository| repository.default_branch = Some(branch.to_owned()));
    }

    /// Points a lightweight tag at a commit.
    pub(crate) fn tag(&self, tag: &str, commit: &str) {
        self.change(|repository| repository.tag(tag, commit));
    }

    /// Points a tag with a message at a commit; returns the hash of the tag itself.
    pub(crate) fn annotated_tag(&self, tag: &str, commit: &str) -> String {
        self.change(|repository| repository.annotated_tag(tag, commit))
    }

    pub(crate) fn delete_tag(&self, tag: &str) {
        self.change(|repository| repository.tags.remove(tag));
    }

    /// Points the head of a pull request at a commit.
    pub(crate) fn pull_request(&self, number: u64, commit: &str) {
        self.change(|repository| repository.pull_requests.insert(number, commit.to_owned()));
    }

    /// Publishes a release with just these assets, in place of one with the same tag. A tag that is missing is set to
    /// the default branch, if that has a commit.
    pub(crate) fn release<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        tag: &str,
        assets: impl IntoIterator<Item = (N, B)>,
    ) {
        self.change(|repository| repository.release(tag, repository::tree(assets)));
    }

    /// Takes a release back; its tag stays.
    pub(crate) fn delete_release(&self, tag: &str) {
        self.change(|repository| repository.releases.remove(tag));
    }

    /// Hides the repository from whoever does not send this token.
    pub(crate) fn require_token(&self, token: &str) {
        self.change(|repository| repository.token = Some(token.to_owned()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut contents = lock(&self.shared);
        let repository = contents
            .repositories
            .get_mut(&self.name.to_ascii_lowercase());
        change(repository.unwrap())
    }
}

/// What a host has, and how it behaves.
struct Contents {
    /// By name in lower case, as names of repositories are the same in either.
    repositories: BTreeMap<String, Repository>,
    /// Requests that the API will still answer.
    api_left: u64,
    asks_to_sign_in: bool,
    keeps_archives: bool,
    /// The root of the storage's host.
    storage: String,
}

impl Contents {
    fn new(storage: String) -> Self {
        Self {
            repositories: BTreeMap::new(),
            api_left: u64::MAX,
            asks_to_sign_in: false,
            keeps_archives: false,
            storage,
        }
    }
}

/// Locks even when the program panicked elsewhere; the server reports that panic.
fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}
