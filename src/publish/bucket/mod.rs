//! A registry in a bucket of an object store.
//!
//! Documents are named by their digests, so a request is signed with the name of what it carries, and the store refuses other
//! bytes. What the bucket has is listed once, instead of asked for one by one. The index is the one object that
//! changes: it is written on the condition that it is what was read, and whoever comes second reads it again.
//!
//! There are stores that ignore conditions. That is found out by writing a document twice, and then nothing is published
//! unless it is forced: a lease would not help, as it takes a condition as well to be the only one who has it.

mod changing;
mod documents;
mod presence;
#[cfg(feature = "author")]
mod prune;
mod word;

use std::slice;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::debug;

use super::hashing::hash;
use super::{IndexChange, RegistryWriter};
use crate::digest::Digest;
use crate::env::Environment;
use crate::error::{AuthFailure, Error, ErrorKind, Result};
use crate::http::Failure;
use crate::http::authority::Authority;
use crate::http::aws::list::{Listing, Object};
use crate::http::aws::{ObjectStore, StoreOptions};
use crate::http::call::Call;
use crate::http::network;
use crate::http::outgoing::Outgoing;
use crate::http::retry::random;
use crate::http::transport::{Method, Payload, Response};
use crate::mutex::Mutex;
use crate::source::chunked::MAX_INDEX_BYTES;
use crate::source::chunked::shards::shard_path;
use crate::url::Url;

use documents::Documents;
use word::Word;

/// How many documents are sent at once: half of what a pull fetches at most, as each is read and hashed on the way.
const WORKERS: usize = 8;
/// How often the index is written at most, when others are faster.
const INDEX_TRIES: u32 = 5;
/// How often a store is asked at most whether it honours conditions; twice is enough while nobody else asks.
const PROBES: usize = 8;
/// The name of a document never means other bytes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Written to find out whether a store honours conditions.
const PROBE: &str =
    "This document was written to find out whether the object store honours conditions.\n";

/// Writes a registry into a bucket.
#[derive(Debug)]
pub(super) struct BucketWriter {
    /// Such as `s3://bucket/prefix`.
    base: Url,
    /// Authorized for the store.
    call: Call,
    documents: Documents,
    /// Whether the store honours conditions, once that was asked.
    conditions: Mutex<Option<bool>>,
    /// Whether to publish even if the store does not.
    force: bool,
    /// What was said about the work here.
    word: Mutex<Option<Word>>,
}

/// What is written, and how others may keep it.
struct Document<'a> {
    payload: &'a dyn Payload,
    digest: Digest,
    media_type: &'static str,
    cache_control: &'static str,
}

impl<'a> Document<'a> {
    fn named(digest: &Digest, payload: &'a dyn Payload) -> Self {
        Self {
            payload,
            digest: *digest,
            media_type: "application/octet-stream",
            cache_control: FOREVER,
        }
    }
}

impl BucketWriter {
    pub(super) fn new(base: &Url, call: &Call, environment: &Environment, force: bool) -> Self {
        let store: Arc<dyn Authority> =
            Arc::new(ObjectStore::new(StoreOptions::default(), environment));
        Self {
            base: base.clone(),
            call: call.authorized(Some(&store)),
            documents: Documents::default(),
            conditions: Mutex::default(),
            force,
            word: Mutex::default(),
        }
    }

    fn data_url(&self, digest: &Digest) -> Url {
        self.base.join(&format!("data/{digest}"))
    }

    /// Whether writes can be made on conditions.
    ///
    /// # Errors
    /// [`Registry`](ErrorKind::Registry) if they cannot, unless that is accepted.
    fn has_conditions(&self) -> Result<bool> {
        // All wait for the answer.
        let mut known = self.conditions.lock();
        let honours = match *known {
            Some(honours) => honours,
            None => *known.insert(self.probe()?),
        };
        match honours || self.force {
            true => Ok(honours),
            false => Err(Error::registry(
                &self.base,
                "the object store ignores conditions, so of two who publish at once one would be lost: force it \
                 if nobody else publishes there",
            )),
        }
    }

    fn probe(&self) -> Result<bool> {
        let payload = PROBE.as_bytes().to_vec();
        let digest = Digest::of(PROBE.as_bytes());
        let url = self.data_url(&digest);
        let probe = Document {
            media_type: "text/plain",
            ..Document::named(&digest, &payload)
        };
        // It stays, so that the next who publishes asks once.
        let mut written = 0;
        for _ in 0..PROBES {
            let response = self.put_object(&url, &probe, Some(("if-none-match", "*")))?;
            match response.status {
                412 => return Ok(true),
                501 => break,
                // Somebody else asks the same right now.
                409 => {}
                _ if written == 1 => break,
                _ => written += 1,
            }
        }
        debug!(url = %self.base, "the object store ignores conditions");
        Ok(false)
    }

    /// Writes an object; returns the response if that tells that a condition is not met, too.
    fn put_object(
        &self,
        url: &Url,
        document: &Document<'_>,
        condition: Option<(&'static str, &str)>,
    ) -> Result<Response> {
        let also: &[u16] = match condition {
            // What should be there may be gone.
            Some(("if-match", _)) => &[404, 409, 412, 429],
            Some(_) => &[409, 412, 501],
            None => &[],
        };
        self.call.retrying(slice::from_ref(url), |_, url| {
            let request = Outgoing {
                payload: Some(document.payload),
                digest: Some(document.digest),
                ..Outgoing::new(Method::Put, url)
            };
            let mut request = request
                .header("content-type", document.media_type)
                .header("cache-control", document.cache_control);
            if let Some((name, value)) = condition {
                request = request.header(name, value);
            }
            let sent = self.call.send(&request, also);
            sent.map_err(|failure| self.explain(failure, document))
        })
    }

    /// Finds out what is wrong with bytes that a store takes for others than they should be.
    fn explain(&self, failure: Failure, document: &Document<'_>) -> Failure {
        let ErrorKind::Network {
            server_code: Some(code),
            ..
        } = failure.error.kind()
        else {
            return failure;
        };
        if !matches!(
            code.as_str(),
            "XAmzContentSHA256Mismatch" | "BadDigest" | "IncompleteBody" | "RequestTimeout"
        ) {
            return failure;
        }
        match digest_of(document.payload) {
            Ok(digest) if digest == document.digest => Failure::transient(failure.error),
            Ok(_) => Failure::last(Error::argument("a file changed while it was published")),
            Err(error) => Failure::last(error),
        }
    }

    /// Writes what has a name of its own, unless it is there; returns whether it was written.
    fn put_named(&self, url: &Url, document: &Document<'_>) -> Result<bool> {
        let condition = self.has_conditions()?.then_some(("if-none-match", "*"));
        self.call.retrying(slice::from_ref(url), |_, url| {
            let response = self
                .put_object(url, document, condition)
                .map_err(Failure::last)?;
            match response.status {
                412 => Ok(false),
                // Somebody else writes it right now, and may not end.
                409 => {
                    let message = "somebody else writes the same";
                    Err(Failure::transient(network(url, Some(409), message, None)))
                }
                _ => Ok(true),
            }
        })
    }

    /// Reads an object and its tag.
    fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Option<String>)>> {
        let url = self.base.join(path);
        let read = self.call.retrying(slice::from_ref(&url), |_, url| {
            let mut response = self.call.send(&Outgoing::new(Method::Get, url), &[])?;
            let bytes = response.read_whole(MAX_INDEX_BYTES, url)?;
            let tag = response.header("etag").map(str::to_owned);
            Ok(Some((bytes, tag)))
        });
        match read {
            Err(error) if is_missing(&error) => Ok(None),
            read => read,
        }
    }

    /// Writes the index if it is still what was read, or with this tag; returns whether it was written.
    fn put_index(&self, json: &[u8], tag: Option<Option<&str>>) -> Result<bool> {
        let payload = json.to_vec();
        let document = Document {
            payload: &payload,
            digest: Digest::of(json),
            media_type: "application/json",
            cache_control: "no-cache",
        };
        let url = self.base.join("models.json");
        if !self.has_conditions()? {
            self.put_object(&url, &document, None)?;
            // Who writes between the two is noticed.
            let now = self.read("models.json")?;
            return Ok(now.as_deref() == Some(json));
        }
        let condition = match tag {
            None => ("if-none-match", "*"),
            Some(Some(tag)) => ("if-match", tag),
            Some(None) => {
                let message = "the object store states no etag of the index";
                return Err(Error::registry(&url, message));
            }
        };
        let response = self.put_object(&url, &document, Some(condition))?;
        Ok(response.is_success())
    }

    /// Passes on what is in a folder, with the time of the store.
    fn list_folder(
        &self,
        folder: &str,
        take: &mut dyn FnMut(Object, SystemTime) -> Result<()>,
    ) -> Result<()> {
        let url = self.base.join(folder);
        let mut listing = Listing::new(&self.call, &url);
        while !listing.is_complete() {
            self.call.cancel.check()?;
            let page = listing.next_page()?;
            let now = listing.date().unwrap_or_else(SystemTime::now);
            page.into_iter().try_for_each(|object| take(object, now))?;
        }
        Ok(())
    }

    /// Reads the index, and writes it with a change.
    fn change_once(&self, change: &mut IndexChange<'_>) -> Result<Changed> {
        let (before, forbidden) = match self.get("models.json") {
            // Who may not list is told so of what is not there; the condition tells.
            Err(error) if is_forbidden(&error) && self.has_conditions()? => (None, Some(error)),
            before => (before?, None),
        };
        let json = change(before.as_ref().map(|(json, _)| json.as_slice()))?;
        // Also when it was written, and the answer got lost.
        if before.as_ref().is_some_and(|(before, _)| *before == json) {
            return Ok(Changed::Before);
        }
        let tag = before.as_ref().map(|(_, tag)| tag.as_deref());
        match (self.put_index(&json, tag)?, forbidden) {
            (true, _) => Ok(Changed::Now),
            (false, Some(forbidden)) => Err(forbidden),
            (false, None) => Ok(Changed::TooLate),
        }
    }
}

/// What came of a change of the index.
enum Changed {
    /// It is in there already.
    Before,
    /// It was written now.
    Now,
    /// Somebody else wrote something else meanwhile.
    TooLate,
}

impl RegistryWriter for BucketWriter {
    fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool> {
        self.say_publishing()?;
        let url = self.data_url(digest);
        let size_bytes = document.size_bytes();
        if self
            .documents
            .is_there(digest, size_bytes, &self.base, &self.call)?
        {
            return Ok(false);
        }
        let document = Document::named(digest, document);
        let is_new = match self.documents.is_damaged(digest) {
            // It has another size, so a condition would keep it as it is.
            true => self.put_object(&url, &document, None).map(|_| true)?,
            false => self.put_named(&url, &document)?,
        };
        self.documents.add(digest, size_bytes);
        Ok(is_new)
    }

    fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        self.documents
            .is_there(digest, size_bytes, &self.base, &self.call)
    }

    fn put_shard(&self, digest: &Digest, json: &[u8]) -> Result<()> {
        let url = self.base.join(&shard_path(digest));
        let payload = json.to_vec();
        let document = Document {
            media_type: "application/json",
            ..Document::named(digest, &payload)
        };
        self.put_named(&url, &document).map(drop)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.get(path) {
            // If the index is there after all, it is not replaced.
            Err(error) if is_forbidden(&error) => Ok(None),
            read => Ok(read?.map(|(bytes, _)| bytes)),
        }
    }

    fn change_index(&self, change: &mut IndexChange<'_>) -> Result<()> {
        self.say_publishing()?;
        let mut lost = 0;
        while lost < INDEX_TRIES {
            let changing = self.say_changing()?;
            let changed = self.change_once(change);
            self.take_back(&changing);
            match changed? {
                Changed::Before => return Ok(()),
                Changed::Now => {
                    self.wait_for_changes()?;
                    if self.has_change(change)? {
                        return Ok(());
                    }
                    debug!(url = %self.base, "somebody else wrote over the index");
                }
                Changed::TooLate => {
                    lost += 1;
                    debug!(url = %self.base, lost, "somebody else was faster with the index");
                    // Twice as many find a moment of their own each time; a store may take one write a second.
                    let longest = self.call.client.retry_base().saturating_mul(1 << lost) / 4;
                    if self.call.cancel.wait(longest.mul_f64(random())) {
                        return Err(ErrorKind::Cancelled.into());
                    }
                }
            }
        }
        Err(Error::registry(
            &self.base,
            format!(
                "others changed the index each of the {INDEX_TRIES} times that it was read and written: publish \
                 again, what was sent is there"
            ),
        ))
    }

    fn workers(&self) -> usize {
        WORKERS
    }
}

/// Whether an object is not there, though its bucket is.
fn is_missing(error: &Error) -> bool {
    let ErrorKind::Network {
        status: Some(404),
        server_code,
        ..
    } = error.kind()
    else {
        return false;
    };
    server_code.as_deref() != Some("NoSuchBucket")
}

/// Whether an object may be there or not: whoever may not list the bucket is not told.
fn is_forbidden(error: &Error) -> bool {
    let ErrorKind::Authentication { failure, .. } = error.kind() else {
        return false;
    };
    *failure == AuthFailure::Forbidden
}

fn digest_of(payload: &dyn Payload) -> Result<Digest> {
    let mut reader = payload.open_at(0).map_err(Error::of_payload)?;
    hash(&mut reader, &mut |_| Ok(()))
}
