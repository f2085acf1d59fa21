//! A Git host on the loopback interface, which speaks like GitHub Enterprise with its API at `/api/v3`. What it answers is
//! the table in `routes.rs`.
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

mod routes;
mod zips;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::git::{File, Handle, History, Host, Tree, object};
use super::server::{Rule, Server, lock};
pub(crate) use zips::{zip, zip_stored};

/// A running Git host; it stops when dropped.
///
/// Dropping it panics if a token was sent to the storage of assets, which is another host.
pub(crate) struct Forge {
    server: Server,
    contents: Arc<Mutex<Contents>>,
}

/// What a host has, and how it behaves.
#[derive(Default)]
pub(crate) struct Contents {
    repositories: BTreeMap<String, Repository>,
    keeps_archives: bool,
    /// The root of the storage's host.
    storage: String,
}

#[derive(Default)]
pub(crate) struct Repository {
    /// `owner/name`.
    name: String,
    history: History,
    releases: BTreeMap<String, Tree>,
    /// What clients must send, if not everybody may read.
    token: Option<String>,
    /// Whether the pages of releases have no files, as GitHub's have none of private releases for a token.
    hides_downloads: bool,
    /// Zips that were requested, by commit and top folder.
    zips: BTreeMap<(String, String), File>,
}

impl Host for Contents {
    type Repository = Repository;

    fn repositories(&mut self) -> &mut BTreeMap<String, Repository> {
        &mut self.repositories
    }

    fn history(repository: &mut Repository) -> &mut History {
        &mut repository.history
    }

    fn file(_: &str, bytes: Vec<u8>) -> File {
        File::small(bytes)
    }
}

impl Forge {
    /// Starts a host without repositories.
    pub(crate) fn start() -> Self {
        let server = Server::start();
        let storage = server.localhost_url();
        let contents = Contents {
            storage,
            ..Contents::default()
        };
        let contents = Arc::new(Mutex::new(contents));
        server.routes(&contents, Contents::route);
        Self { server, contents }
    }

    /// The repository `owner/name`, made empty where there is none.
    pub(crate) fn repo(&self, name: &str) -> Repo {
        let name = name.to_owned();
        Handle::new(&self.contents, &name.clone(), || Repository {
            name,
            ..Default::default()
        })
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

    /// Lets the API refuse all requests, as GitHub does for the rest of an hour after 60 of them.
    pub(crate) fn limit_api(&self) {
        let reset = SystemTime::now() + Duration::from_secs(600);
        let reset = reset
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            .to_string();
        let rule = Rule::path_starts("/api/v3/").status(403);
        let rule = rule.header("x-ratelimit-remaining", "0");
        self.server.rule(rule.header("x-ratelimit-reset", &reset));
    }

    /// Serves archives of trees with a length and in ranges, as hosts do that keep them.
    pub(crate) fn keep_archives(&self) {
        lock(&self.contents).keeps_archives = true;
    }
}

/// A repository of a [`Forge`].
pub(crate) type Repo = Handle<Contents>;

impl Repo {
    pub(crate) fn set_default_branch(&self, branch: &str) {
        self.change(|repository| repository.history.default_branch = Some(branch.to_owned()));
    }

    /// Points a tag with a message at a commit; returns the id of the tag itself.
    pub(crate) fn annotated_tag(&self, tag: &str, commit: &str) -> String {
        let id = object("tag", format!("{tag} {commit}").as_bytes());
        let target = (commit.to_owned(), Some(id.clone()));
        self.change(|repository| repository.history.tags.insert(tag.to_owned(), target));
        id
    }

    pub(crate) fn delete_tag(&self, tag: &str) {
        self.change(|repository| repository.history.tags.remove(tag));
    }

    /// Publishes a release with just these assets, in place of one with the same tag. A tag that is missing is set to
    /// the default branch, if that has a commit.
    pub(crate) fn release<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        tag: &str,
        assets: impl IntoIterator<Item = (N, B)>,
    ) {
        let assets = Contents::tree(assets);
        self.change(|repository| {
            repository.releases.insert(tag.to_owned(), assets);
            if let Some(head) = repository.history.head().map(str::to_owned) {
                let tags = &mut repository.history.tags;
                tags.entry(tag.to_owned()).or_insert((head, None));
            }
        });
    }

    /// Takes a release back; its tag stays.
    pub(crate) fn delete_release(&self, tag: &str) {
        self.change(|repository| repository.releases.remove(tag));
    }

    /// Leaves the interface as the only way to the assets of releases.
    pub(crate) fn hide_downloads(&self) {
        self.change(|repository| repository.hides_downloads = true);
    }

    /// Hides the repository from clients that do not send this token.
    pub(crate) fn require_token(&self, token: &str) {
        self.change(|repository| repository.token = Some(token.to_owned()));
    }
}
