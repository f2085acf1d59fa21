//! A Hugging Face Hub on the loopback interface. What it answers is the table in `routes.rs`; `client.py` checks it with the
//! client of the Hub's makers.
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
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::git::{Commit, File, Handle, History, Host, object};
use super::server::{Rule, Server, lock};

/// Files larger than this must be in the large file storage.
const MOST_IN_GIT: usize = 10_000_000;
/// What the `.gitattributes` of a new repository put there whatever the size, for the most part.
const LARGE: &str = ".bin .ckpt .gguf .gz .h5 .model .msgpack .npy .npz .onnx .parquet .pb .pkl .pt .pth .safetensors .tflite .zip";

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
#[derive(Default)]
pub(crate) struct Contents {
    repositories: BTreeMap<String, Repository>,
    /// Former ids of repositories, and their present ones, in lower case.
    renamed: BTreeMap<String, String>,
    /// Tokens that somebody has.
    tokens: BTreeSet<String>,
    below: String,
    /// The roots of the Hub's host and of the storage's.
    root: String,
    storage: String,
    redirects_small_files: bool,
    explains_refusals: bool,
}

#[derive(Default)]
pub(crate) struct Repository {
    /// `owner/name`, or just `name`.
    id: String,
    history: History,
    private: bool,
    /// `auto` or `manual`, if clients need access.
    gate: Option<&'static str>,
    disabled: bool,
    /// Tokens that open what is private or gated.
    readers: BTreeSet<String>,
    facts: Facts,
}

/// What is said about a model.
#[derive(Default)]
pub(crate) struct Facts {
    /// What it is for, such as `automatic-speech-recognition`.
    pub(crate) pipeline_tag: Option<String>,
    /// What loads it, such as `transformers`.
    pub(crate) library: Option<String>,
    /// The tags beside those of library and pipeline.
    pub(crate) tags: Vec<&'static str>,
    /// The metadata at the head of the model card, a JSON object.
    pub(crate) card: Option<Value>,
    /// How often it was downloaded, which is the order of lists.
    pub(crate) downloads: u64,
    pub(crate) likes: u64,
}

impl Host for Contents {
    type Repository = Repository;

    fn repositories(&mut self) -> &mut BTreeMap<String, Repository> {
        &mut self.repositories
    }

    fn history(repository: &mut Repository) -> &mut History {
        &mut repository.history
    }

    /// A file of weights, known by its suffix, and any that is larger than 10 MB goes to the large file storage.
    fn file(name: &str, bytes: Vec<u8>) -> File {
        let weights = LARGE.split(' ').any(|suffix| name.ends_with(suffix));
        if weights || bytes.len() > MOST_IN_GIT {
            File::large(bytes)
        } else {
            File::small(bytes)
        }
    }
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
            below: path.to_owned(),
            root: server.url(),
            storage: server.localhost_url(),
            ..Contents::default()
        }));
        server.routes(&contents, Contents::route);
        let below = path.to_owned();
        Self {
            server,
            contents,
            below,
        }
    }

    /// The repository `owner/name`, or `name` as the oldest ones are called, made empty where there is none.
    pub(crate) fn repo(&self, id: &str) -> HubRepo {
        Handle::new(&self.contents, id, || Repository {
            id: id.to_owned(),
            ..Repository::default()
        })
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
        lock(&self.contents).tokens.insert(token.to_owned());
    }

    /// Redirects requests for a small public file to a place on this host, where it is kept, as the Hub does for
    /// repositories with an owner.
    pub(crate) fn redirect_small_files(&self) {
        lock(&self.contents).redirects_small_files = true;
    }

    /// Says `RepoNotFound` to requests without a token for what is missing or private, as other servers do that speak like
    /// the Hub. The Hub itself only says that the password is wrong.
    pub(crate) fn explain_refusals(&self) {
        lock(&self.contents).explains_refusals = true;
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
}

/// A repository of a [`Hub`].
pub(crate) type HubRepo = Handle<Contents>;

impl HubRepo {
    /// Changes what is said about the model.
    pub(crate) fn describe(&self, change: impl FnOnce(&mut Facts)) {
        self.change(|repository| change(&mut repository.facts));
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
        let (old, new) = (old.to_ascii_lowercase(), self.name().to_ascii_lowercase());
        lock(&self.host).renamed.insert(old, new);
    }

    fn restrict(&self, token: &str, change: impl FnOnce(&mut Repository)) {
        lock(&self.host).tokens.insert(token.to_owned());
        self.change(|repository| {
            repository.readers.insert(token.to_owned());
            change(repository);
        });
    }
}

impl Repository {
    /// The id that stays when the repository is renamed: 24 hexadecimal digits.
    fn key(&self) -> String {
        object("repository", self.id.as_bytes())[..24].to_owned()
    }

    /// The commit that a branch, a tag, a pull request or a whole id means, in this order.
    fn commit_at(&self, revision: &str) -> Option<&Commit> {
        let pull_request = || {
            let number = revision.strip_prefix("refs/pr/")?.parse().ok()?;
            let commit = self.history.pull_requests.get(&number)?;
            self.history.commits.get(commit)
        };
        self.history.commit_at(revision).or_else(pull_request)
    }

    /// Whether the bearer of a token may know about the repository.
    fn is_visible(&self, token: Option<&str>) -> bool {
        !self.private || self.is_reader(token)
    }

    fn is_reader(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.readers.contains(token))
    }
}
