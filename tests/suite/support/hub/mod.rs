//! A Hugging Face Hub on the loopback interface. What it answers is the table in `routes.rs`; `client.py` checks it with the
//! client of the Hub's makers.
//!
//! The suite has it as `mod hub;` beside `git` and `server`, the benchmarks through
//! `#[path = "../tests/suite/support/hub/mod.rs"]`.
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
    reason = "each test binary and benchmark uses its own part, and a fixture that fails ends the test"
)]

#[cfg(test)]
mod client;
mod documents;
mod refusal;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::git::{Commit, File, History, Tree, object};
use super::server::{Rule, Server};

/// Files larger than this must be in the large file storage.
const MOST_IN_GIT: usize = 10_000_000;
/// What the `.gitattributes` of a new repository put there whatever the size, for the most part.
const LARGE: [&str; 18] = [
    ".bin",
    ".ckpt",
    ".gguf",
    ".gz",
    ".h5",
    ".model",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".parquet",
    ".pb",
    ".pkl",
    ".pt",
    ".pth",
    ".safetensors",
    ".tflite",
    ".zip",
];

/// A running Hub; it stops when dropped.
///
/// Dropping it panics if a token was sent to the storage, which is another host.
pub(crate) struct Hub {
    server: Server,
    contents: Arc<Mutex<Contents>>,
    /// The path everything is below, empty or beginning with a slash.
    below: String,
}

/// What a Hub has, and how it behaves.
struct Contents {
    /// By id in lower case, which is how ids are compared.
    repositories: BTreeMap<String, Repository>,
    /// Former ids of repositories, and their present ones, in lower case.
    renamed: BTreeMap<String, String>,
    /// Tokens that somebody has.
    tokens: BTreeSet<String>,
    below: String,
    /// The endpoint.
    url: String,
    /// The root of the storage's host.
    storage: String,
    redirects_small_files: bool,
    explains_refusals: bool,
}

#[derive(Default)]
struct Repository {
    /// `owner/name`, or just `name`.
    id: String,
    /// The id that stays when the repository is renamed: 24 hexadecimal digits.
    key: String,
    history: History,
    private: bool,
    /// `auto` or `manual`, if clients need access.
    gate: Option<&'static str>,
    disabled: bool,
    /// Tokens that open what is private or gated.
    readers: BTreeSet<String>,
    pipeline_tag: Option<String>,
    library: Option<String>,
    tags: Vec<String>,
    card: Option<Value>,
    downloads: u64,
    likes: u64,
}

impl Hub {
    /// Starts a Hub without repositories.
    pub(crate) fn start() -> Self {
        Self::start_below("")
    }

    /// Starts a Hub below a path such as `/mirror`, as companies set up their mirrors; at the root there is nothing.
    pub(crate) fn start_below(path: &str) -> Self {
        let server = Server::start();
        let contents = Arc::new(Mutex::new(Contents {
            repositories: BTreeMap::new(),
            renamed: BTreeMap::new(),
            tokens: BTreeSet::new(),
            below: path.to_owned(),
            url: server.url() + path,
            storage: server.localhost_url(),
            redirects_small_files: false,
            explains_refusals: false,
        }));
        server.routes(&contents, Contents::route);
        Self {
            server,
            contents,
            below: path.to_owned(),
        }
    }

    /// The repository `owner/name`, or `name` as the oldest ones are called, made empty where there is none.
    pub(crate) fn repo(&self, id: &str) -> HubRepo {
        let repository = || Repository {
            id: id.to_owned(),
            key: object("repository", id.as_bytes())[..24].to_owned(),
            ..Repository::default()
        };
        let key = id.to_ascii_lowercase();
        self.lock()
            .repositories
            .entry(key)
            .or_insert_with(repository);
        HubRepo {
            contents: Arc::clone(&self.contents),
            id: id.to_owned(),
        }
    }

    /// The endpoint, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.server.url() + &self.below
    }

    /// The server below: what it counted, and rules for what is to go wrong. The paths of a Hub that was started below a
    /// path begin with that.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// How many requests the API received, refused ones included, files left out.
    pub(crate) fn api_requests(&self) -> usize {
        let count = |path: &str| self.server.count(&format!("{}{path}", self.below));
        count("/api/") - count("/api/resolve-cache/")
    }

    /// Issues a token that shows nothing but what everybody may see.
    pub(crate) fn token(&self, token: &str) {
        self.lock().tokens.insert(token.to_owned());
    }

    /// Redirects requests for a small public file to a place on this host, where it is kept, as the Hub does for
    /// repositories with an owner.
    pub(crate) fn redirect_small_files(&self) {
        self.lock().redirects_small_files = true;
    }

    /// Says `RepoNotFound` to requests without a token for what is missing or private, as other servers do that speak like
    /// the Hub. The Hub itself only says that the password is wrong.
    pub(crate) fn explain_refusals(&self) {
        self.lock().explains_refusals = true;
    }

    /// Answers the next `times` requests, those of the storage left out, with 429 and a wait of `seconds`.
    pub(crate) fn limit(&self, times: u64, seconds: u64) {
        let rule = Rule::when(|request| !request.path.starts_with("/cdn/"))
            .times(times)
            .status(429)
            .header("ratelimit", &format!("\"api\";r=0;t={seconds}"))
            .header("ratelimit-policy", "\"fixed window\";\"api\";q=500;w=300")
            .header("retry-after", &seconds.to_string());
        self.server.rule(rule);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        super::server::lock(&self.contents)
    }
}

/// A repository of a [`Hub`]. Commits stay known after the branches that led to them have moved.
#[derive(Clone)]
pub(crate) struct HubRepo {
    contents: Arc<Mutex<Contents>>,
    id: String,
}

impl HubRepo {
    /// `owner/name`, or just `name`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Commits just these files to a branch, made where there is none; returns the commit's id.
    ///
    /// A file of weights, known by its suffix, and any that is larger than 10 MB goes to the large file storage.
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

    /// Points a tag at a commit.
    pub(crate) fn tag(&self, tag: &str, commit: &str) {
        self.change(|repository| repository.history.tag(tag, commit));
    }

    /// Points a pull request, `refs/pr/{number}`, at a commit.
    pub(crate) fn pull_request(&self, number: u64, commit: &str) {
        self.change(|repository| {
            repository
                .history
                .pull_requests
                .insert(number, commit.into())
        });
    }

    /// Says what the model is for, such as `automatic-speech-recognition`.
    pub(crate) fn pipeline_tag(&self, tag: &str) {
        self.change(|repository| repository.pipeline_tag = Some(tag.to_owned()));
    }

    /// Says which library loads the model, such as `transformers`.
    pub(crate) fn library(&self, name: &str) {
        self.change(|repository| repository.library = Some(name.to_owned()));
    }

    /// Replaces the tags beside those of library and pipeline.
    pub(crate) fn tags(&self, tags: &[&str]) {
        let tags = tags.iter().copied().map(str::to_owned).collect();
        self.change(|repository| repository.tags = tags);
    }

    /// Replaces the metadata at the head of the model card, a JSON object.
    pub(crate) fn card(&self, card: Value) {
        self.change(|repository| repository.card = Some(card));
    }

    /// Says how often the model was downloaded, which is the order of lists, and liked.
    pub(crate) fn popularity(&self, downloads: u64, likes: u64) {
        self.change(|repository| (repository.downloads, repository.likes) = (downloads, likes));
    }

    /// Gives the files only to those who agreed to terms, as the owner of this token has; all may still list them.
    pub(crate) fn gate(&self, token: &str) {
        self.restrict(token, |repository| repository.gate = Some("auto"));
    }

    /// As [`HubRepo::gate`], where a person decides who gets the files.
    pub(crate) fn gate_by_hand(&self, token: &str) {
        self.restrict(token, |repository| repository.gate = Some("manual"));
    }

    /// Hides the repository from clients that do not send this token, or another one issued so.
    pub(crate) fn make_private(&self, token: &str) {
        self.restrict(token, |repository| repository.private = true);
    }

    /// Closes the repository: its facts can be read, its files cannot.
    pub(crate) fn disable(&self) {
        self.change(|repository| repository.disabled = true);
    }

    /// Redirects from the id that the repository had before.
    pub(crate) fn rename_from(&self, old: &str) {
        let (old, new) = (old.to_ascii_lowercase(), self.id.to_ascii_lowercase());
        super::server::lock(&self.contents).renamed.insert(old, new);
    }

    fn restrict(&self, token: &str, change: impl FnOnce(&mut Repository)) {
        super::server::lock(&self.contents)
            .tokens
            .insert(token.to_owned());
        self.change(|repository| {
            repository.readers.insert(token.to_owned());
            change(repository);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Repository) -> T) -> T {
        let mut contents = super::server::lock(&self.contents);
        let repository = contents.repositories.get_mut(&self.id.to_ascii_lowercase());
        change(repository.unwrap())
    }
}

fn tree<N: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (N, B)>) -> Tree {
    let files = files.into_iter().map(|(name, bytes)| {
        let (name, bytes) = (name.into(), bytes.into());
        let is_large =
            bytes.len() > MOST_IN_GIT || LARGE.iter().any(|suffix| name.ends_with(suffix));
        let file = if is_large {
            File::large(bytes)
        } else {
            File::small(bytes)
        };
        (name, file)
    });
    files.collect()
}

impl Repository {
    /// The commit that a branch, a tag, a pull request or a whole id means, in this order.
    fn commit_at(&self, revision: &str) -> Option<&Commit> {
        let pull_request = || {
            let number = revision.strip_prefix("refs/pr/")?.parse().ok()?;
            self.history
                .commits
                .get(self.history.pull_requests.get(&number)?)
        };
        self.history.commit_at(revision).or_else(pull_request)
    }

    /// Whether the bearer of a token may know about the repository.
    fn is_visible(&self, token: Option<&str>) -> bool {
        !self.private || self.is_reader(token)
    }

    /// Whether the bearer of a token may have the files.
    fn is_open(&self, token: Option<&str>) -> bool {
        self.gate.is_none() || self.is_reader(token)
    }

    fn is_reader(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.readers.contains(token))
    }
}
