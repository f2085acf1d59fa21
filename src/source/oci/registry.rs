//! What is asked of a registry ([distribution specification]).
//!
//! A tag is asked for by GET the first time, which brings its manifest; then by HEAD, which Docker Hub does not count against
//! its limit, and its manifest by digest if it is another. Manifests are kept: an unchanged tag costs one request.
//!
//! [distribution specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

use std::collections::BTreeSet;
use std::slice;

use serde::Deserialize;
use tracing::{debug, warn};

use crate::digest::{Digest, check_digest};
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::retry::Fault;
use crate::http::transport::Method;
use crate::http::{Failure, GetOptions};
use crate::oci::{
    ACCEPT, CONTENT_DIGEST, MAX_DOCUMENT_BYTES, RegistryPlace, Stated, blob_path, is_repository,
    is_tag, read_digest, stated_digest,
};
use crate::source::cache::RegistryCache;
use crate::url::Url;

/// What registries tell about the limits of requests.
const LIMITS: [&str; 3] = [
    "ratelimit-limit",
    "ratelimit-remaining",
    "docker-ratelimit-source",
];
/// How many names are asked for at once; registries have limits of their own, 1000 as a rule.
const PAGE_NAMES: usize = 1000;
/// How many pages of a list are read, and how many names: more are nothing that a person looks through.
const MAX_PAGES: usize = 100;
const MAX_NAMES: usize = PAGE_NAMES * MAX_PAGES;
/// Answers to HEAD that say nothing: it is not allowed, not known, or redirected; or it is refused, for a reason that is in the
/// body of another answer.
const WITHOUT_HEAD: [u16; 9] = [301, 302, 303, 307, 308, 400, 403, 405, 501];

/// A registry while one operation uses it.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    pub(super) place: &'a RegistryPlace,
    /// Where documents are kept.
    pub(super) cache: &'a RegistryCache,
    /// Authorized for the registry.
    pub(super) call: &'a Call,
}

/// A document, and the digest that names it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) digest: Digest,
    pub(super) json: Vec<u8>,
    /// Where it is from.
    pub(super) url: Url,
}

/// What a person may ask a repository for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reference<'a> {
    Tag(&'a str),
    Digest(Digest),
}

/// A page of a list: of tags, or of repositories.
#[derive(Deserialize)]
struct PageWire {
    #[serde(alias = "repositories")]
    tags: Option<Vec<String>>,
}

impl<'a> Reference<'a> {
    /// Reads a version; `None` if it can be neither a tag nor a digest.
    ///
    /// # Errors
    /// The reason, if it is a digest that cannot be read.
    pub(super) fn parse(version: &'a str) -> Result<Option<Self>, String> {
        match version.contains(':') {
            true => read_digest(version).map(|digest| Some(Self::Digest(digest))),
            false => Ok(is_tag(version).then_some(Self::Tag(version))),
        }
    }
}

/// What is asked of a registry, wherever that is.
pub(super) trait Documents {
    /// Fetches what a reference names; `None` if there is no such tag, manifest or repository.
    fn resolve(&self, repository: &str, reference: Reference<'_>) -> Result<Option<Named>> {
        match reference {
            Reference::Tag(tag) => self.tagged(repository, tag),
            Reference::Digest(digest) => self.manifest(repository, digest),
        }
    }

    /// Fetches what a tag names.
    fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Named>>;

    /// Fetches a manifest or an index.
    fn manifest(&self, repository: &str, digest: Digest) -> Result<Option<Named>>;

    /// Fetches a small blob, such as a configuration.
    fn blob(&self, repository: &str, digest: Digest, most_bytes: u64) -> Result<Option<Named>>;

    /// Lists the tags of a repository; `None` if there is no such repository.
    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>>;

    /// Lists the repositories; `None` if the registry has no catalogue.
    fn catalogue(&self) -> Result<Option<Vec<String>>>;
}

impl Documents for Registry<'_> {
    fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Named>> {
        let url = self.place.url(repository, &format!("manifests/{tag}"));
        let name = format!("{repository}:{tag}");
        // HEAD spares the manifest where that is here, and is one request more where it is not.
        let known = self.cache.named(&name);
        let known = known.filter(|digest| self.cache.document(digest).is_some());
        let found = match known.map(|_| self.head(&url)).transpose()? {
            Some(Stated::Digest(digest)) => self.manifest(repository, digest)?,
            Some(Stated::Missing) => return Ok(None),
            Some(Stated::Unknown) | None => None,
        };
        // The tag may have moved since, and what it named may be gone.
        let found = match found {
            Some(found) => Some(found),
            None => get(self.call, &url, MAX_DOCUMENT_BYTES, None)?.map(|json| {
                let digest = Digest::of(&json);
                self.cache.keep_document(&digest, &json);
                Named { digest, json, url }
            }),
        };
        if let Some(Named { digest, .. }) = found.as_ref().filter(|it| known != Some(it.digest)) {
            self.cache.keep_name(&name, digest);
        }
        Ok(found)
    }

    fn manifest(&self, repository: &str, digest: Digest) -> Result<Option<Named>> {
        let url = self
            .place
            .url(repository, &format!("manifests/sha256:{digest}"));
        self.document(url, digest, MAX_DOCUMENT_BYTES)
    }

    fn blob(&self, repository: &str, digest: Digest, most_bytes: u64) -> Result<Option<Named>> {
        let url = self.place.url(repository, &blob_path(&digest));
        self.document(url, digest, most_bytes)
    }

    fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let url = self.place.url(repository, "tags/list");
        missing_as_none(self.pages(&url, "the list of tags", |tag| {
            is_tag(tag) && !is_of_referrers(tag)
        }))
    }

    fn catalogue(&self) -> Result<Option<Vec<String>>> {
        if self.place.has_no_catalogue() {
            return Ok(None);
        }
        let url = self.place.api.join("_catalog");
        match self.pages(&url, "the catalogue", is_repository) {
            Err(error) if matches!(error.status(), Some(404 | 405 | 501)) => Ok(None),
            names => names.map(Some),
        }
    }
}

impl Registry<'_> {
    /// Returns a document, which is fetched if it is not here yet.
    fn document(&self, url: Url, digest: Digest, most_bytes: u64) -> Result<Option<Named>> {
        let json = match self.cache.document(&digest) {
            Some(json) => Some(json),
            None => {
                let fetched = get(self.call, &url, most_bytes, Some(&digest))?;
                if let Some(json) = &fetched {
                    self.cache.keep_document(&digest, json);
                }
                fetched
            }
        };
        Ok(json.map(|json| Named { digest, json, url }))
    }

    /// Asks which document a tag names, without fetching it; nothing is known of that if the request cannot be sent.
    fn head(&self, url: &Url) -> Result<Stated> {
        let also = [&WITHOUT_HEAD[..], &[404]].concat();
        let answered = self.call.retrying(slice::from_ref(url), |_, url| {
            let request = Outgoing::new(Method::Head, url).header("accept", ACCEPT);
            match self.call.send(&request, &also) {
                // A transport of another program may know nothing but GET.
                Err(failure) if is_unsent(&failure) => Ok(None),
                sent => sent.map(Some),
            }
        })?;
        let Some(response) = answered else {
            return Ok(Stated::Unknown);
        };
        tell_limits(url, &response.headers);
        let stated = response.header(CONTENT_DIGEST);
        Ok(Stated::of(response.status, stated))
    }

    /// Reads a list that comes in pages; returns the names in it that can be such, sorted.
    fn pages(&self, list: &Url, what: &str, is_name: fn(&str) -> bool) -> Result<Vec<String>> {
        let mut url = list.with_query(&format!("n={PAGE_NAMES}"));
        let mut names = BTreeSet::new();
        for _ in 0..MAX_PAGES {
            let (json, next) = self.call.retrying(slice::from_ref(&url), |_, url| {
                let mut body = self.call.body(url, &GetOptions::default())?;
                let json = body.read_whole(MAX_DOCUMENT_BYTES, &self.call.cancel)?;
                Ok((json, body.next.take()))
            })?;
            let page: PageWire = serde_json::from_slice(&json).map_err(|error| {
                Error::registry_from(&url, format!("{what} is malformed"), error)
            })?;
            let page = page.tags.unwrap_or_default().into_iter();
            names.extend(page.filter(|name| is_name(name)));
            let Some(next) = next else {
                return Ok(names.into_iter().collect());
            };
            if names.len() >= MAX_NAMES {
                break;
            }
            let next = url.resolve(&next);
            let next = next.map_err(|error| Error::registry(&url, error.to_string()))?;
            if !next.same_origin(&url) || next == url {
                let message = "the next page of a list is at another registry, or the same page";
                return Err(Error::registry(&url, message));
            }
            url = next;
        }
        let read = names.len();
        warn!("a list goes on after {read} names, and the rest is left out ({url})");
        Ok(names.into_iter().collect())
    }
}

/// Fetches a document, and compares it with the digest, or with the one that the server states; `None` if it does not exist.
pub(super) fn get(
    call: &Call,
    url: &Url,
    most_bytes: u64,
    digest: Option<&Digest>,
) -> Result<Option<Vec<u8>>> {
    let options = GetOptions {
        accept: Some(ACCEPT),
        may_be_missing: true,
        wants_headers: digest.is_none(),
        ..GetOptions::default()
    };
    let fetched = call.retrying(slice::from_ref(url), |_, url| {
        let mut body = call.body(url, &options)?;
        tell_limits(url, &body.headers);
        let stated = header(&body.headers, CONTENT_DIGEST).and_then(stated_digest);
        let bytes = body.read_whole(most_bytes, &call.cancel)?;
        if let Some(digest) = digest.or(stated.as_ref()) {
            let what = || format!("the document ({url})");
            check_digest(what, digest, &Digest::of(&bytes)).map_err(Failure::transient)?;
        }
        Ok(bytes)
    });
    missing_as_none(fetched)
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let mut headers = headers.iter();
    headers.find_map(|(other, value)| (other == name).then_some(value.as_str()))
}

/// Whether a tag only holds what refers to a manifest, where a registry has no interface for that: `sha256-<hex>`, perhaps with
/// an ending, such as that of a signature.
fn is_of_referrers(tag: &str) -> bool {
    let hex = tag.strip_prefix("sha256-").and_then(|rest| rest.get(..64));
    hex.is_some_and(|hex| hex.parse::<Digest>().is_ok())
}

fn missing_as_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.status() == Some(404) => Ok(None),
        result => result.map(Some),
    }
}

/// Whether a request was not even sent, for a reason that lasts.
fn is_unsent(failure: &Failure) -> bool {
    let kind = failure.error.kind();
    matches!(kind, ErrorKind::Network { status: None, .. }) && failure.fault == Fault::Final
}

/// Says how many requests are left.
fn tell_limits(url: &Url, headers: &[(String, String)]) {
    let limits = LIMITS.iter();
    let limits = limits.filter_map(|name| Some(format!("{name}: {}", header(headers, name)?)));
    let limits: Vec<String> = limits.collect();
    if !limits.is_empty() {
        debug!(%url, "{}", limits.join(", "));
    }
}
