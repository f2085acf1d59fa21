//! An OCI registry on the loopback interface, and the real one of Debian where it is installed.
//!
//! ```ignore
//! let registry = Registry::start();
//! let digest = registry.push("acme/llama", "q4", &Artifact::model_pack(&[("model.gguf", bytes)]));
//! // … run the client against registry.url() …
//! assert_eq!(registry.server().count("/v2/acme/llama/blobs/"), 1);
//! ```
//!
//! It answers as the distribution specification says; what else registries do is made by the rules of its server.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test binary and benchmark uses its own part, and a fixture that fails ends the test"
)]

mod artifact;
mod pushing;
pub(crate) mod real;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Page, Request, Server, lock};

pub(crate) use artifact::{Artifact, INDEX_TYPE, MANIFEST_TYPE, sha256};
pub(crate) use pushing::Pushing;

/// A running registry; it stops when dropped.
pub(crate) struct Registry {
    server: Server,
    contents: Arc<Mutex<Contents>>,
}

/// What a registry has, and how it behaves.
#[derive(Default)]
struct Contents {
    repositories: BTreeMap<String, Repository>,
    /// How many names a list has at most on a page.
    page_names: usize,
    has_no_catalogue: bool,
    /// Where blobs are redirected to, if they are.
    storage: Option<String>,
    /// How often each place in the storage is served; after that, its address has expired.
    serves: usize,
    served: BTreeMap<String, usize>,
    /// How many redirects lead to one place in the storage: a registry may remember what it told.
    shares: usize,
    redirects: usize,
    pushing: Pushing,
    /// Its own address.
    url: String,
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, String>,
    /// Media types and bytes, by digest.
    manifests: BTreeMap<String, (String, Arc<[u8]>)>,
    blobs: BTreeMap<String, Arc<[u8]>>,
}

impl Registry {
    /// Starts a registry without repositories.
    pub(crate) fn start() -> Self {
        let server = Server::start();
        let contents = Arc::new(Mutex::new(Contents {
            page_names: 100,
            url: server.url(),
            ..Contents::default()
        }));
        server.routes(&contents, Contents::route);
        Self { server, contents }
    }

    /// The address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The host and the port, as addresses with a scheme have them.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// The server below: what it counted, and rules for what is to go wrong.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Pushes an artifact, and names it by a tag; returns the digest of its manifest, with `sha256:` in front.
    pub(crate) fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> String {
        self.blobs(repository, artifact);
        self.put_manifest(
            repository,
            tag,
            MANIFEST_TYPE,
            artifact.manifest().to_string(),
        )
    }

    /// Pushes the blobs of an artifact only.
    pub(crate) fn blobs(&self, repository: &str, artifact: &Artifact) {
        let mut contents = lock(&self.contents);
        let repository = contents
            .repositories
            .entry(repository.to_owned())
            .or_default();
        for blob in artifact.blobs() {
            repository.blobs.insert(sha256(&blob), blob.into());
        }
    }

    /// Pushes a manifest, or anything that takes its place.
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        json: impl Into<Vec<u8>>,
    ) -> String {
        let json = json.into();
        let digest = sha256(&json);
        let mut contents = lock(&self.contents);
        let repository = contents
            .repositories
            .entry(repository.to_owned())
            .or_default();
        let manifest = (media_type.to_owned(), json.into());
        repository.manifests.insert(digest.clone(), manifest);
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// Serves other bytes for the manifest with this digest.
    pub(crate) fn forge_manifest(&self, repository: &str, digest: &str, json: &str) {
        let mut contents = lock(&self.contents);
        let repository = contents.repositories.get_mut(repository).unwrap();
        repository.manifests.get_mut(digest).unwrap().1 = json.as_bytes().into();
    }

    /// Has at most so many names on a page of a list.
    pub(crate) fn page_names(&self, names: usize) {
        lock(&self.contents).page_names = names;
    }

    /// Has no catalogue of its repositories.
    pub(crate) fn without_catalogue(&self) {
        lock(&self.contents).has_no_catalogue = true;
    }

    /// Redirects requests for blobs to another host, where each address works `serves` times. So many redirects in a row lead to the
    /// same address.
    pub(crate) fn redirect_blobs(&self, serves: usize, shares: usize) {
        let mut contents = lock(&self.contents);
        contents.storage = Some(self.server.localhost_url());
        (contents.serves, contents.shares) = (serves, shares);
    }

    /// Changes what it does with pushes.
    pub(crate) fn pushing(&self, change: impl FnOnce(&mut Pushing)) {
        change(&mut lock(&self.contents).pushing);
    }

    /// What a tag names, as the registry has it.
    pub(crate) fn manifest_of(&self, repository: &str, tag: &str) -> Option<String> {
        let contents = lock(&self.contents);
        contents
            .repositories
            .get(repository)?
            .tags
            .get(tag)
            .cloned()
    }

    /// The digests of the blobs that a repository has.
    pub(crate) fn blobs_of(&self, repository: &str) -> Vec<String> {
        let contents = lock(&self.contents);
        let repository = contents.repositories.get(repository);
        repository.map_or_else(Vec::new, |found| found.blobs.keys().cloned().collect())
    }

    /// Returns all tags, `repository:tag`, each of which names a manifest of which everything is there.
    pub(crate) fn assert_sound(&self) -> Vec<String> {
        let contents = lock(&self.contents);
        let mut tags = Vec::new();
        for (name, repository) in &contents.repositories {
            for (tag, digest) in &repository.tags {
                repository.assert_whole(digest);
                tags.push(format!("{name}:{tag}"));
            }
        }
        tags
    }

    /// How many blobs, manifests and tags it has.
    pub(crate) fn count(&self) -> usize {
        let contents = lock(&self.contents);
        let repositories = contents.repositories.values();
        let counts = repositories.map(|it| it.blobs.len() + it.manifests.len() + it.tags.len());
        counts.sum()
    }

    /// The requests since the last reset: method and path without the query, `/v2/` left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        let shown = requests.map(|request| {
            let path = request.path_only();
            format!(
                "{} {}",
                request.method,
                path.strip_prefix("/v2/").unwrap_or(path)
            )
        });
        shown.collect()
    }
}

impl Contents {
    fn route(&mut self, request: &Request) -> Page {
        if let Some(page) = self.write(request) {
            return page;
        }
        let path = request.path_only();
        if let Some(place) = path.strip_prefix("/storage/") {
            return self.stored(place);
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return error(404, "UNSUPPORTED");
        };
        if rest == "_catalog" {
            if self.has_no_catalogue {
                return error(404, "UNSUPPORTED");
            }
            let names = self.repositories.keys().cloned().collect();
            return self.list(request, "repositories", names, "/v2/_catalog");
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            let Some(repository) = self.repositories.get(name) else {
                return error(404, "NAME_UNKNOWN");
            };
            let tags = repository.tags.keys().cloned().collect();
            return self.list(request, "tags", tags, path);
        }
        if let Some((name, reference)) = rest.split_once("/manifests/") {
            return match self.repositories.get(name) {
                Some(repository) => repository.manifest(request, reference),
                None => error(404, "NAME_UNKNOWN"),
            };
        }
        match rest.split_once("/blobs/") {
            Some((name, digest)) => self.blob(name, digest),
            None => error(404, "UNSUPPORTED"),
        }
    }

    fn list(&self, request: &Request, key: &str, names: Vec<String>, path: &str) -> Page {
        let wanted = request.value("n").and_then(|n| n.parse().ok());
        let length = self.page_names.min(wanted.unwrap_or(usize::MAX));
        let last = request.value("last").unwrap_or_default();
        let mut rest = names.into_iter().filter(|name| *name > last);
        let page: Vec<String> = rest.by_ref().take(length).collect();
        let next = page.last().filter(|_| rest.next().is_some());
        let link = next.map(|last| format!("<{path}?n={length}&last={last}>; rel=\"next\""));
        let page = Page::new(200, json!({ key: page }).to_string().into_bytes());
        match link {
            Some(link) => page.header("link", &link),
            None => page,
        }
    }

    fn blob(&mut self, name: &str, digest: &str) -> Page {
        let repository = self.repositories.get(name);
        let Some(blob) = repository.and_then(|repository| repository.blobs.get(digest)) else {
            return error(404, "BLOB_UNKNOWN");
        };
        match &self.storage {
            Some(storage) => {
                let place = self.redirects / self.shares;
                self.redirects += 1;
                let location =
                    format!("{storage}/storage/{place}/{name}/{digest}?signature=s3cret");
                Page::new(307, []).header("location", &location)
            }
            None => Page::of(blob.clone()),
        }
    }

    /// A blob at an address of the storage.
    fn stored(&mut self, place: &str) -> Page {
        let (ticket, rest) = place.split_once('/').unwrap();
        let served = self.served.entry(ticket.to_owned()).or_default();
        *served += 1;
        if *served > self.serves {
            return Page::new(403, *b"<Error><Code>AccessDenied</Code></Error>");
        }
        let (name, digest) = rest.rsplit_once('/').unwrap();
        Page::of(self.repositories[name].blobs[digest].clone())
    }
}

impl Repository {
    fn assert_whole(&self, digest: &str) {
        let (_, json) = &self.manifests[digest];
        assert_eq!(sha256(json), digest);
        let json: Value = serde_json::from_slice(json).unwrap();
        let digest_of = |it: &Value| it["digest"].as_str().unwrap().to_owned();
        for manifest in json["manifests"].as_array().into_iter().flatten() {
            self.assert_whole(&digest_of(manifest));
        }
        let layers = json["layers"].as_array().into_iter().flatten();
        for blob in layers.chain(json.get("config")).map(digest_of) {
            assert_eq!(sha256(&self.blobs[&blob]), blob);
        }
    }

    /// A manifest, for clients that say which types they read.
    fn manifest(&self, request: &Request, reference: &str) -> Page {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        let Some((media_type, json)) = self.manifests.get(digest) else {
            return error(404, "MANIFEST_UNKNOWN");
        };
        if !request
            .header("accept")
            .is_some_and(|types| types.contains(media_type.as_str()))
        {
            return error(404, "MANIFEST_UNKNOWN");
        }
        Page::new(200, json.clone())
            .header("content-type", media_type)
            .header("docker-content-digest", digest)
    }
}

fn error(status: u16, code: &str) -> Page {
    let json = json!({"errors": [{"code": code, "message": "it cannot be", "detail": {}}]});
    Page::new(status, json.to_string().into_bytes()).header("content-type", "application/json")
}
