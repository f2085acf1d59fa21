//! Registries and manifests: fetched, revalidated and cached on behalf of a source.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use minisign_verify::{PublicKey, Signature};
use tracing::{debug, warn};

use crate::config::SourceConfig;
use crate::engine::Engine;
use crate::engine::pull::downloads::Meter;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Answer, Client, Failure, GetOptions};
use crate::manifest::Manifest;
use crate::progress::CancelToken;
use crate::source::cache::{CachedMeta, RegistryCache, cached_refs};
use crate::source::places::Zip;
use crate::source::repository::Cached;
use crate::source::zips::{Arrivals, ZipOpener};
use crate::source::{Document, Documents};
use crate::url::{Scheme, Url};

/// The largest signature that is read, in bytes; real ones have about 300.
const MAX_SIGNATURE_BYTES: u64 = 4096;

/// The documents of one source during one operation.
#[derive(Debug)]
pub(crate) struct SourceDocuments<'a> {
    engine: &'a Engine,
    client: Client,
    key: String,
    cache: RegistryCache,
    cancel: &'a CancelToken,
    archives: bool,
    meter: Option<&'a Meter>,
    replaced: AtomicBool,
}

impl<'a> SourceDocuments<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        source: &SourceConfig,
        offline: bool,
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            engine,
            client: engine.client_of(source, offline),
            key: source.key.clone(),
            cache: RegistryCache::of_source(&engine.settings.cache_dir, &source.key),
            cancel,
            archives: true,
            meter: None,
            replaced: AtomicBool::new(false),
        }
    }

    /// Leaves the archives of commits aside when `archives` is false.
    pub(crate) fn archives(self, archives: bool) -> Self {
        Self { archives, ..self }
    }

    /// Shows in the progress of a pull what comes for it.
    pub(crate) fn meter(self, meter: Option<&'a Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Returns whether another index came than the one that was cached.
    pub(crate) fn replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }

    fn cache_of(&self, reference: &str) -> RegistryCache {
        RegistryCache::of_ref(&self.engine.settings.cache_dir, &self.key, reference)
    }

    fn zips(&self) -> ZipOpener<'_> {
        ZipOpener {
            client: &self.client,
            cancel: self.cancel,
            opened: &self.engine.zips,
            meter: self.meter.map(|meter| meter as &dyn Arrivals),
        }
    }

    /// When the cached copy was last known to be good; `None` when there is none.
    pub(crate) fn fetched_at(&self) -> Option<SystemTime> {
        Some(self.cache.any_meta()?.fetched_at)
    }

    /// Fetches the index into the cache unless the server says that the copy there is still good.
    fn refresh(
        &self,
        document: &Document<'_>,
        cached: Option<&CachedMeta>,
        url: &Url,
    ) -> Result<(), Failure> {
        let options = GetOptions {
            etag: cached.and_then(|meta| meta.etag.clone()),
            ..GetOptions::default()
        };
        let mut body = match self.client.get(url, &options, self.cancel)? {
            Answer::Unchanged => {
                debug!(%url, "unchanged");
                let renewed = cached.map(|meta| CachedMeta {
                    fetched_at: SystemTime::now(),
                    ..meta.clone()
                });
                return renewed
                    .map_or(Ok(()), |meta| self.cache.write_meta(&meta))
                    .map_err(Failure::last);
            }
            Answer::Body(body) => body,
        };
        let signed = document
            .public_key
            .map(|key| self.signature(key, url))
            .transpose()?;
        let mismatch = || {
            Failure::last(Error::registry(
                url,
                "the index does not match its signature",
            ))
        };
        let mut check = match &signed {
            Some((key, signature)) => Some(key.verify_stream(signature).map_err(|_| mismatch())?),
            None => None,
        };
        let mut file = self.cache.begin().map_err(Failure::last)?;
        body.copy_to(document.max_bytes, self.cancel, &mut |piece| {
            if let Some(check) = &mut check {
                check.update(piece);
            }
            file.write(piece)
        })?;
        if let Some(mut check) = check {
            check.finalize().map_err(|_| mismatch())?;
        }
        (document.check)(url, file.reread().map_err(Failure::last)?).map_err(Failure::last)?;
        let etag = if url.scheme() == Scheme::File {
            None
        } else {
            body.etag.clone()
        };
        let meta = CachedMeta {
            url: document.urls[0].to_string(),
            etag,
            public_key: document.public_key.map(str::to_owned),
            fetched_at: SystemTime::now(),
        };
        self.replaced.store(true, Ordering::Relaxed);
        self.cache.commit(file, None, &meta).map_err(Failure::last)
    }

    /// Fetches the [minisign](https://jedisct1.github.io/minisign/) signature beside the index.
    fn signature(&self, key: &str, url: &Url) -> Result<(PublicKey, Signature), Failure> {
        let place = url.beside(".minisig");
        let unsigned = |reason: &str| {
            Failure::last(Error::registry(
                &place,
                format!("the index is not signed as configured: {reason}"),
            ))
        };
        let key = PublicKey::from_base64(key.trim()).map_err(|_| {
            Failure::last(Error::config(
                "the configured public_key is no minisign key",
            ))
        })?;
        let text = match self.client.get(&place, &GetOptions::default(), self.cancel) {
            Ok(Answer::Body(mut body)) => body.read_whole(MAX_SIGNATURE_BYTES, self.cancel)?,
            Ok(Answer::Unchanged) => return Err(unsigned("no signature")),
            Err(failure) if matches!(failure.error.status(), Some(404 | 410)) => {
                return Err(unsigned("no signature"));
            }
            Err(failure) => return Err(failure),
        };
        let text = String::from_utf8(text).map_err(|_| unsigned("the signature is no text"))?;
        let signature =
            Signature::decode(&text).map_err(|_| unsigned("the signature is malformed"))?;
        Ok((key, signature))
    }
}

impl Documents for SourceDocuments<'_> {
    fn index(&self, document: &Document<'_>) -> Result<File> {
        let url = document.urls[0].to_string();
        let cached = self.cache.meta(&url, document.public_key);
        if self.client.is_offline() && document.urls.iter().all(|url| url.scheme() != Scheme::File)
        {
            return match cached {
                Some(_) => self.cache.open(),
                None => Err(ErrorKind::Offline {
                    needed: format!("the index of {url}"),
                }
                .into()),
            };
        }
        let notify = |_: u32, _, error: &Error| debug!(%error, "the index is asked for again");
        self.client
            .with_retries(document.urls, self.cancel, &notify, |mirror, url| {
                if mirror > 0 {
                    warn!(%url, "the index comes from a mirror");
                }
                // A validator means something to the server that gave it only.
                self.refresh(document, cached.as_ref().filter(|_| mirror == 0), url)
            })?;
        self.cache.open()
    }

    fn fetch(
        &self,
        urls: &[Url],
        max_bytes: u64,
        read: &dyn Fn(&Url, Vec<u8>) -> Result<Manifest>,
    ) -> Result<Manifest> {
        self.client
            .document(urls, max_bytes, self.cancel, |url, bytes| {
                read(url, bytes).map_err(|error| match error.kind() {
                    ErrorKind::HashMismatch { .. } => Failure::transient(error),
                    _ => Failure::last(error),
                })
            })
    }

    fn ask(&self, url: &Url, max_bytes: u64) -> Result<(Vec<u8>, Option<String>)> {
        let notify = |_: u32, _, error: &Error| debug!(%error, "asked for again");
        let urls = std::slice::from_ref(url);
        self.client
            .with_retries(urls, self.cancel, &notify, |_, url| {
                match self.client.get(url, &GetOptions::default(), self.cancel)? {
                    Answer::Body(mut body) => {
                        let bytes = body.read_whole(max_bytes, self.cancel)?;
                        Ok((bytes, body.next.take()))
                    }
                    Answer::Unchanged => {
                        Err(Failure::last(Error::internal("304 without a validator")))
                    }
                }
            })
    }

    fn cached_refs(&self) -> Vec<String> {
        cached_refs(&self.engine.settings.cache_dir, &self.key)
    }

    fn cached(&self, reference: &str) -> Result<Option<Cached>> {
        let cache = self.cache_of(reference);
        match cache.open_index()? {
            Some(file) => Cached::open(file, &cache.index_path()),
            None => Ok(None),
        }
    }

    fn zip(&self, urls: Vec<Url>, tag: &str) -> Result<Arc<Zip>> {
        let revision = self.cached(tag)?.map(|cached| cached.head.origin.revision);
        let keep = self
            .cache_of(tag)
            .archive_path(revision.as_deref().unwrap_or(tag));
        self.zips().open(&urls, &keep)
    }

    fn kept_archive(&self, commit: &str) -> Result<Option<(Arc<Zip>, String)>> {
        if !self.archives {
            return Ok(None);
        }
        for reference in self.cached_refs() {
            let path = self.cache_of(&reference).archive_path(commit);
            if path.is_file() {
                let zip = self.zips().open_kept(&path)?;
                let top = zip.directory.top_folder().unwrap_or_default().to_owned();
                return Ok(Some((zip, top)));
            }
        }
        Ok(None)
    }
}
