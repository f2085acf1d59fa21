//! Writing into a repository of a registry ([distribution specification], "Push").
//!
//! A blob is sent in one request, which all registries take; some refuse large ones, and then get pieces. Where pieces went
//! is known here, and not taken from what a registry answers: some answer with ranges that are wrong.
//!
//! [distribution specification]: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md

use std::io::{self, Read};
use std::ops::Range;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::debug;

use super::ArtifactWriter;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Failure;
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::retry::Fault;
use crate::http::transport::{Method, Payload, Response};
use crate::mutex::Mutex;
use crate::oci::{ACCEPT, CONTENT_DIGEST, MAX_DOCUMENT_BYTES, Stated, blob_path};
use crate::source::verbatim::TypedDocument;
use crate::url::{Scheme, Url};

/// How large a piece of a blob is that a registry does not take in one: what stands in front of some lets through requests of
/// 100 MB, and others expect pieces of at least 5 MiB.
const PIECE_BYTES: u64 = 16 << 20;
/// Answers to HEAD of a blob that is kept somewhere else: it is there.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Writes into one repository.
#[derive(Debug)]
pub(super) struct RepositoryWriter {
    /// Its address, such as `https://ghcr.io/v2/acme/llama`.
    pub(super) base: Url,
    /// What people call the registry: `ghcr.io`.
    pub(super) host: String,
    /// Its name: `acme/llama`.
    pub(super) name: String,
    /// Authorized for the registry.
    pub(super) call: Call,
    pub(super) registry: Arc<Pushed>,
}

/// What is known of a registry after something was written into one of its repositories.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// A repository that has each blob: another of the same registry can take it from there.
    blobs: Mutex<std::collections::HashMap<Digest, String>>,
    /// Whether it refuses large requests.
    wants_pieces: AtomicBool,
}

impl RepositoryWriter {
    /// Tries a request as often as it takes.
    fn retrying<T>(
        &self,
        url: &Url,
        mut attempt: impl FnMut(&Url) -> Result<T, Failure>,
    ) -> Result<T> {
        self.call
            .retrying(slice::from_ref(url), |_, url| attempt(url))
    }

    fn blob_url(&self, digest: &Digest) -> Url {
        self.base.join(&blob_path(digest))
    }

    /// Begins an upload; returns where it goes, or `None` if the registry took the blob from another repository.
    fn begin(&self, digest: &Digest) -> Result<Option<Url>, Failure> {
        let uploads = self.base.join("blobs/uploads/");
        let other = self.registry.blobs.lock().get(digest).cloned();
        if let Some(other) = other.filter(|other| *other != self.name) {
            let url = uploads.with_query(&format!("mount=sha256:{digest}&from={other}"));
            match self.call.send(&Outgoing::new(Method::Post, &url), &[]) {
                Ok(response) if is_mounted(&response) => return Ok(None),
                Ok(response) => return next_location(&url, &response).map(Some),
                // Who may write here need not be allowed to read there.
                Err(failure) if is_refusal(&failure) => {
                    debug!(%url, error = %failure.error, "not taken from another repository");
                }
                Err(failure) => return Err(failure),
            }
        }
        let response = self
            .call
            .send(&Outgoing::new(Method::Post, &uploads), &[])?;
        next_location(&uploads, &response).map(Some)
    }

    /// Returns whether the bytes were sent.
    fn upload(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool, Failure> {
        let Some(session) = self.begin(digest)? else {
            debug!(%digest, repository = self.name, "taken from another repository");
            return Ok(false);
        };
        let is_large = blob.size_bytes() > PIECE_BYTES;
        if is_large && self.registry.wants_pieces.load(Relaxed) {
            return self.upload_in_pieces(session, digest, blob).map(|()| true);
        }
        match self.finish(&session, digest, Some(blob)) {
            Err(failure) if is_large && is_too_large(&failure) => {
                debug!(url = %self.base, error = %failure.error, "sending pieces");
                self.upload_after(failure, digest, blob)
            }
            sent => sent.map(|()| true),
        }
    }

    /// Sends pieces after the whole blob failed.
    fn upload_after(
        &self,
        failure: Failure,
        digest: &Digest,
        blob: &dyn Payload,
    ) -> Result<bool, Failure> {
        let Some(session) = self.begin(digest)? else {
            return Ok(false);
        };
        self.registry.wants_pieces.store(true, Relaxed);
        match self.upload_in_pieces(session, digest, blob) {
            // A registry that takes no pieces may have lost a connection, which happens to whole blobs, too.
            Err(pieces) if is_refusal(&pieces) && failure.error.status().is_none() => {
                self.registry.wants_pieces.store(false, Relaxed);
                Err(failure)
            }
            sent => sent.map(|()| true),
        }
    }

    fn upload_in_pieces(
        &self,
        mut session: Url,
        digest: &Digest,
        blob: &dyn Payload,
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < blob.size_bytes() {
            let range = at..blob.size_bytes().min(at + PIECE_BYTES);
            let piece = Piece {
                whole: blob,
                range: range.clone(),
            };
            let request = Outgoing {
                payload: Some(&piece),
                ..Outgoing::new(Method::Patch, &session)
            };
            let request = request
                .header("content-type", "application/octet-stream")
                .header(
                    "content-range",
                    format!("{}-{}", range.start, range.end - 1),
                );
            let response = self.call.send(&request, &[])?;
            session = next_location(&session, &response)?;
            at = range.end;
        }
        self.finish(&session, digest, None)
    }

    /// Ends an upload, with the whole blob if nothing was sent yet.
    fn finish(
        &self,
        session: &Url,
        digest: &Digest,
        blob: Option<&dyn Payload>,
    ) -> Result<(), Failure> {
        let url = with_parameter(session, &format!("digest=sha256:{digest}"))?;
        let request = Outgoing {
            payload: blob,
            digest: blob.map(|_| *digest),
            ..Outgoing::new(Method::Put, &url)
        };
        let request = request.header("content-type", "application/octet-stream");
        self.call.send(&request, &[]).map(drop)
    }

    fn manifest_url(&self, reference: &str) -> Url {
        self.base.join(&format!("manifests/{reference}"))
    }

    /// Returns which manifest a tag names.
    fn named_by(&self, url: &Url) -> Result<Stated> {
        let found = self.retrying(url, |url| {
            let request = Outgoing::new(Method::Head, url).header("accept", ACCEPT);
            self.call.send(&request, &[404])
        })?;
        Ok(Stated::of(found.status, found.header(CONTENT_DIGEST)))
    }

    fn put(&self, url: &Url, manifest: &TypedDocument) -> Result<()> {
        self.retrying(url, |url| {
            let request = Outgoing {
                payload: Some(&manifest.json),
                ..Outgoing::new(Method::Put, url)
            };
            self.call
                .send(&request.header("content-type", manifest.media_type), &[])
        })
        .map(drop)
    }
}

impl ArtifactWriter for RepositoryWriter {
    fn repository(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn address(&self, tag: &str) -> Option<String> {
        Some(format!("oci://{}/{}:{tag}", self.host, self.name))
    }

    fn has_blob(&self, digest: &Digest, _: u64) -> Result<bool> {
        let url = self.blob_url(digest);
        let found = self.retrying(&url, |url| {
            let also = [&REDIRECTS[..], &[404]].concat();
            self.call.send(&Outgoing::new(Method::Head, url), &also)
        })?;
        Ok(found.status != 404)
    }

    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool> {
        let url = self.blob_url(digest);
        let sent = self.retrying(&url, |url| {
            let also = [&REDIRECTS[..], &[404]].concat();
            let found = self.call.send(&Outgoing::new(Method::Head, url), &also)?;
            if found.status != 404 {
                return Ok(false);
            }
            self.upload(digest, blob)
        })?;
        let mut blobs = self.registry.blobs.lock();
        blobs.entry(*digest).or_insert_with(|| self.name.clone());
        Ok(sent)
    }

    fn read_manifest(&self, tag: &str) -> Result<Option<Vec<u8>>> {
        let url = self.manifest_url(tag);
        self.retrying(&url, |url| {
            let request = Outgoing::new(Method::Get, url).header("accept", ACCEPT);
            let mut found = self.call.send(&request, &[404])?;
            match found.status {
                404 => Ok(None),
                _ => found.read_whole(MAX_DOCUMENT_BYTES, url).map(Some),
            }
        })
    }

    fn digest_of(&self, reference: &str) -> Result<Option<Digest>> {
        match self.named_by(&self.manifest_url(reference))? {
            Stated::Digest(digest) => Ok(Some(digest)),
            Stated::Missing => Ok(None),
            Stated::Unknown => {
                let manifest = self.read_manifest(reference)?;
                Ok(manifest.map(|json| Digest::of(&json)))
            }
        }
    }

    fn put_part(&self, manifest: &TypedDocument) -> Result<()> {
        let url = self.manifest_url(&format!("sha256:{}", manifest.digest));
        match self.named_by(&url)? {
            Stated::Digest(digest) if digest == manifest.digest => Ok(()),
            _ => self.put(&url, manifest),
        }
    }

    fn put_manifest(&self, manifest: &TypedDocument, tags: &[&str]) -> Result<Option<Digest>> {
        self.put_part(manifest)?;
        let is_it = |named: &Stated| *named == Stated::Digest(manifest.digest);
        let mut replaced = None;
        for (at, tag) in tags.iter().enumerate() {
            let url = self.manifest_url(tag);
            match self.named_by(&url)? {
                named if is_it(&named) => continue,
                Stated::Digest(before) if at == 0 => replaced = Some(before),
                _ => {}
            }
            if let Err(error) = self.put(&url, manifest) {
                // Tags may be kept from being moved: fine, if somebody else was faster with the same.
                return match self.named_by(&url) {
                    Ok(named) if is_it(&named) => continue,
                    _ => Err(error.step(format!("tag {tag}"))),
                };
            }
        }
        Ok(replaced)
    }
}

/// Whether a registry took a blob from another repository; otherwise, it began an upload. Some say 201 to both.
fn is_mounted(response: &Response) -> bool {
    let location = response.header("location").unwrap_or_default();
    response.status == 201 && !location.contains("/blobs/uploads/")
}

/// Whether a registry does not want a request, however often it is sent.
fn is_refusal(failure: &Failure) -> bool {
    match failure.error.kind() {
        ErrorKind::Authentication { .. } => true,
        ErrorKind::Network { status, .. } => {
            status.is_some_and(|status| matches!(status, 400..=407 | 409..=428 | 501))
        }
        _ => false,
    }
}

/// Where the next request of an upload goes.
fn next_location(url: &Url, response: &Response) -> Result<Url, Failure> {
    let refuse = |message: &str| Failure::last(Error::registry(url, message));
    let location = response.header("location");
    let location = location.ok_or_else(|| refuse("the registry does not say where to upload"))?;
    let next = url
        .resolve(location)
        .map_err(|_| refuse("the registry names an invalid place to upload to"))?;
    match next.same_origin(url) || next.scheme() == Scheme::Https {
        true => Ok(next),
        false => Err(refuse(
            "the registry names a place to upload to over plain http",
        )),
    }
}

/// Adds a parameter to a URL that may have some.
fn with_parameter(url: &Url, parameter: &str) -> Result<Url, Failure> {
    let text = url.expose();
    let separator = if text.contains('?') { '&' } else { '?' };
    Url::parse(&format!("{text}{separator}{parameter}"))
        .map_err(|error| Failure::last(Error::internal(error.to_string())))
}

/// Whether a registry, or what stands in front of it, does not take a large request: it says so, or hangs up.
fn is_too_large(failure: &Failure) -> bool {
    match failure.error.kind() {
        ErrorKind::Network { status: None, .. } => failure.fault != Fault::Final,
        ErrorKind::Network { status, .. } => *status == Some(413),
        _ => false,
    }
}

/// A piece of a payload.
#[derive(Debug)]
struct Piece<'a> {
    whole: &'a dyn Payload,
    range: Range<u64>,
}

impl Payload for Piece<'_> {
    fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn open_at(&self, start: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let reader = self.whole.open_at(self.range.start + start)?;
        Ok(Box::new(
            reader.take(self.size_bytes().saturating_sub(start)),
        ))
    }
}
