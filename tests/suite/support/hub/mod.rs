//! A Hugging Face Hub on the loopback interface.
//!
//! Used by the test suite as `mod hub;` beside `mod server;`, and by the benches through
//! `#[path = "../tests/suite/support/hub/mod.rs"] mod hub;`, again beside `server`.
//!
//! | request | answer |
//! |---|---|
//! | `/api/models/{id}[/revision/{rev}]` | facts and files of a model; `blobs=true` adds sizes and hashes |
//! | `/api/models/{id}/tree/{rev}[/{folder}]` | the files of a folder with sizes and hashes, in pages |
//! | `/api/models/{id}/refs` | branches, tags, with `include_prs` pull requests, too |
//! | `/api/models` | models by `search`, `author`, `pipeline_tag` and `filter`, in pages |
//! | `/api/whoami-v2` | whom a token belongs to |
//! | `/{id}/resolve/{rev}/{path}` | a file, or for a large one a redirect to the storage |
//! | `/api/resolve-cache/models/{id}/{commit}/{path}` | a small file, see [`Hub::redirect_small_files`] |
//! | `/cdn/…` under another host name | a large file, in ranges |
//!
//! A revision is one segment of a path, so its slashes are encoded: `refs%2Fpr%2F1`.
//!
//! ```ignore
//! let hub = Hub::start();
//! let repo = hub.repo("openai/whisper-tiny");
//! let commit = repo.commit("main", [("config.json", "{}"), ("model.safetensors", bytes)]);
//! repo.tag("v1", &commit);
//! // … run the client against hub.url() …
//! assert_eq!(hub.api_requests(), 1);
//! ```
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary and bench uses its own part, and a fixture that fails ends the test"
)]

mod answer;
mod facts;
mod files;
mod listing;
mod refusal;
mod repository;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::server::{Page, Request, Rule, Server};
use repository::{Gate, Repository};

/// A running Hub; it stops when dropped.
///
/// Dropping it panics if a token was sent to the storage, which is no part of the Hub.
pub(crate) struct Hub {
    server: Server,
    shared: Arc<Mutex<Contents>>,
}

impl Hub {
    /// Starts a Hub without repositories.
    pub(crate) fn start() -> Self {
        Self::start_below("")
    }

    /// Starts a Hub below a path such as `/mirror`, as companies set up their mirrors; at the root there is nothing.
    pub(crate) fn start_below(path: &str) -> Self {
        let server = Server::start();
        let shared = Arc::new(Mutex::new(Contents::new(&server, path)));
        let contents = Arc::clone(&shared);
        server.program(move |request| Some(lock(&contents).answer(request)));
        Self { server, shared }
    }

    /// The repository `owner/name`, or `name` as the oldest ones are called, made empty where there is none.
    pub(crate) fn repo(&self, id: &str) -> HubRepo {
        let mut contents = lock(&self.shared);
        contents
            .repositories
            .entry(id.to_ascii_lowercase())
            .or_insert_with(|| Repository::new(id));
        HubRepo {
            shared: Arc::clone(&self.shared),
            id: id.to_owned(),
        }
    }

    /// The endpoint, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        lock(&self.shared).url.clone()
    }

    /// The server below: what it counted, and rules for what shall go wrong. The paths of a Hub that was started below
    /// a path begin with that.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// How many requests the API got, refused ones included, files left out.
    pub(crate) fn api_requests(&self) -> usize {
        let below = lock(&self.shared).below.clone();
        let files = self.server.count(&format!("{below}/api/resolve-cache/"));
        self.server.count(&format!("{below}/api/")) - files
    }

    /// Gives out a token that shows nothing but what everybody may see.
    pub(crate) fn token(&self, token: &str) {
        lock(&self.shared).tokens.insert(token.to_owned());
    }

    /// Redirects who asks for a small public file to a place on this host, where it is kept, as the Hub does for
    /// repositories with an owner.
    pub(crate) fn redirect_small_files(&self) {
        lock(&self.shared).redirects_small_files = true;
    }

    /// Says `RepoNotFound` to who asks without a token for what is not there or private, as other servers do that
    /// speak like the Hub. The Hub itself only says that the password is wrong.
    pub(crate) fn explain_refusals(&self) {
        lock(&self.shared).explains_refusals = true;
    }

    /// Answers the next `times` requests, those to the storage left out, with 429 and tells to come back after
    /// `seconds`.
    pub(crate) fn limit(&self, times: u64, seconds: u64) {
        let rule = Rule::when(|request| !request.path.starts_with(answer::STORAGE))
            .times(times)
            .status(429)
            .header("ratelimit", &format!("\"api\";r=0;t={seconds}"))
            .header("ratelimit-policy", "\"fixed window\";\"api\";q=500;w=300")
            .header("retry-after", &seconds.to_string());
        self.server.rule(rule);
    }
}

/// A repository of a [`Hub`]. Commits stay known after the branches that led to them have moved.
#[derive(Clone)]
pub(crate) struct HubRepo {
    shared: Arc<Mutex<Contents>>,
    id: String,
}

impl HubRepo {
    /// `owner/name`, or just `name`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Commits just these files to a branch, made where there is none; returns the hash, which follows from the files
    /// and the commit before.
    ///
    /// A file of weights, told by its suffix, and any that is larger than 10 MB goes to the large file storage.
    pub(crate) fn commit<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| repository.commit(branch, files, false))
    }

    /// Commits these files beside, or in place of, those that the branch has.
    pub(crate) fn commit_with<N: Into<String>, B: Into<Vec<u8>>>(
        &self,
        branch: &str,
        files: impl IntoIterator<Item = (N, B)>,
    ) -> String {
        self.change(|repository| repository.commit(branch, files, true))
    }

    /// Puts files with this suffix, whatever their size, into the large file storage from the next commit on.
    pub(crate) fn track(&self, suffix: &str) {
        self.change(|repository| repository.tracked.push(suffix.to_owned()));
    }

    /// Points a branch at a commit, wherever it pointed before.
    pub(crate) fn set_branch(&self, branch: &str, commit: &str) {
        self.change(|repository| repository.branches.insert(branch.into(), commit.into()));
    }

    pub(crate) fn delete_branch(&self, branch: &str) {
        self.change(|repository| repository.branches.remove(branch));
    }

    /// Points a tag at a commit.
    pub(crate) fn tag(&self, tag: &str, commit: &str) {
        self.change(|repository| repository.tags.insert(tag.into(), commit.into()));
    }

    /// Points a pull request, `refs/pr/{number}`, at a commit.
    pub(crate) fn pull_request(&self, number: u64, commit: &str) {
        self.change(|repository| repository.pull_requests.insert(number, commit.into()));
    }

    /// Says what the model is for, such as `automatic-speech-recognition`.
    pub(crate) fn pipeline_tag(&self, tag: &str) {
        self.change(|repository| repository.facts.pipeline_tag = Some(tag.to_owned()));
    }

    /// Says which library loads the model, such as `transformers`.
    pub(crate) fn library(&self, name: &str) {
        self.change(|repository| repository.facts.library = Some(name.to_owned()));
    }

    /// Replaces the tags beside those of library and pipeline.
    pub(crate) fn tags(&self, tags: &[&str]) {
        let tags = tags.iter().copied().map(str::to_owned).collect();
        self.change(|repository| repository.facts.tags = tags);
    }

    /// Replaces what the head of the model card says, a JSON object.
    pub(crate) fn card(&self, card: Value) {
        self.change(|repository| repository.facts.card = Some(card));
    }

    /// Says how often the model was downloaded, which is the order of lists, and liked.
    pub(crate) fn popularity(&self, downloads: u64, likes: u64) {
        self.change(|repository| {
            repository.facts.downloads = downloads;
            repository.facts.likes = likes;
        });
    }

    /// Gives the files only to who agreed to terms, as the owner of this token has; all may still list them.
    pub(crate) fn gate(&self, token: &str) {
        self.restrict(token, |repository| repository.gate = Some(Gate::Automatic));
    }

    /// As [`HubRepo::gate`], where a person decides who gets the files.
    pub(crate) fn gate_by_hand(&self, token: &str) {
        self.restrict(token, |repository| repository.gate = Some(Gate::Manual));
    }

    /// Hides the repository from whoever does not send this token, or another one given so.
    pub(crate) fn make_private(&self, token: &str) {
        self.restrict(token, |repository| repository.private = true);
    }

    /// Closes the repository: its facts can be read, its files cannot.
    pub(crate) fn disable(&self) {
        self.change(|repository| repository.disabled = true);
    }

    /// Redirects from the id that the repository had before.
    pub(crate) fn rename_from(&self, old: &str) {
        let mut contents = lock(&self.shared);
        let old = old.to_ascii_lowercase();
        contents.renamed.insert(old, self.id.to_ascii_lowercase());
    }

    fn restrict(&self, token: &str, change: impl FnOnce(&mut Repository)) {
        lock(&self.shared).tokens.insert(token.to_owned());
        self.change(|repository| {
            repository.readers.insert(token.to_owned());
            change(repository);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut contents = lock(&self.shared);
        let repository = contents.repositories.get_mut(&self.id.to_ascii_lowercase());
        change(repository.unwrap())
    }
}

/// What a Hub has, and how it behaves.
struct Contents {
    /// By id in lower case, as ids are the same in either.
    repositories: BTreeMap<String, Repository>,
    /// Ids that repositories had, and those they have now, in lower case.
    renamed: BTreeMap<String, String>,
    /// Tokens that somebody has.
    tokens: BTreeSet<String>,
    /// The path everything is below, empty or beginning with a slash.
    below: String,
    /// The endpoint.
    url: String,
    /// The root of the storage's host.
    storage: String,
    redirects_small_files: bool,
    explains_refusals: bool,
}

impl Contents {
    fn new(server: &Server, below: &str) -> Self {
        Self {
            repositories: BTreeMap::new(),
            renamed: BTreeMap::new(),
            tokens: BTreeSet::new(),
            below: below.to_owned(),
            url: server.url() + below,
            storage: server.localhost_url(),
            redirects_small_files: false,
            explains_refusals: false,
        }
    }
}

/// Locks even when the program panicked elsewhere; the server reports that panic.
fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}
