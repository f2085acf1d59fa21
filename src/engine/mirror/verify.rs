//! Verifying a registry: whether all that its index names is there, and right.
//!
//! Every version's manifest is read, and every document that one of them names is hashed once, however many versions share it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::at_once::{at_once, several_at_once};
use crate::catalog::RemoteModel;
use crate::digest::{Digest, Hasher, check_digest, check_size};
use crate::disk::write::remove_tree;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::progress::tally::Tally;
use crate::progress::{CancelToken, Progress, Step, Task};
use crate::rate_limit::RateLimit;
use crate::setters::setters;
use crate::source::location::RegistryLocation;
use crate::source::places::{DigestPlaces, Places};
use crate::source::signature::public_key;
use crate::source::{ListFilter, Route, Source};
use crate::url::Url;

/// How many documents are hashed at once if nobody says: as many as a mirror copies.
const DOCUMENTS_AT_ONCE: usize = 8;
/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// How to verify a registry. [`RegistryReport`] has an example.
///
/// ```
/// use std::sync::Arc;
///
/// use modelrack::CancelToken;
/// use modelrack::config::RateLimit;
/// use modelrack::mirror::VerifyRegistryOptions;
/// use modelrack::progress::Silent;
///
/// let options = VerifyRegistryOptions::default()
///     .public_key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")
///     .concurrency(4)
///     .rate_limit(RateLimit::new(20_000_000))
///     .offline(false)
///     .cancel(CancelToken::new())
///     .progress(Arc::new(Silent));
/// assert_eq!(options.concurrency, Some(4));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyRegistryOptions {
    /// The minisign key that the index must be signed with. Default: that of the source if it is a configured one, else none.
    pub public_key: Option<String>,
    /// How many documents are read at once, from 1 to 16. Default: [`Config::concurrency`](crate::Config::concurrency).
    pub concurrency: Option<usize>,
    /// Limits how fast bytes come. Default: as configured.
    pub rate_limit: Option<RateLimit>,
    /// Open no socket. Default: as configured.
    pub offline: bool,
    /// Cancels the operation.
    pub cancel: CancelToken,
    /// Receives steps. Default: the manager's own handler.
    pub progress: Option<Arc<dyn Progress>>,
}

setters!(VerifyRegistryOptions {
    public_key: Some(impl Into<String>),
    concurrency: impl Into<Option<usize>>,
    rate_limit: impl Into<Option<RateLimit>>,
    offline: bool,
    cancel: CancelToken,
    progress: Some(Arc<dyn Progress>),
});

/// What verifying a registry found.
///
/// ```
/// use modelrack::Manager;
/// use modelrack::mirror::{MirrorOptions, PublishTarget, RegistryLocation, VerifyRegistryOptions};
///
/// # let (folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// # let media = folder.path().join("media");
/// let options = MirrorOptions::default().models(["digits/logistic v1".parse()?]);
/// manager.mirror(&PublishTarget::from(&media), &options)?;
///
/// let registry = RegistryLocation::from(&media);
/// let report = manager.verify_registry(&registry, &VerifyRegistryOptions::default())?;
/// assert!(report.is_whole());
/// println!("{} versions, {} documents, {} bytes", report.versions.len(), report.documents, report.bytes);
///
/// # let name = std::fs::read_dir(media.join("data"))?.next().unwrap()?.path();
/// std::fs::write(name, "something else")?;
/// let report = manager.verify_registry(&registry, &VerifyRegistryOptions::default())?;
/// for damaged in &report.damaged {
///     println!("{:?}, which {:?} need: {}", damaged.digest, damaged.models, damaged.error);
/// }
/// assert!(!report.versions[0].ok);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct RegistryReport {
    /// Where it is.
    pub registry: RegistryLocation,
    /// Its versions, in the order of names; an alias is none of its own.
    #[serde(rename = "models")]
    pub versions: Vec<VerifiedVersion>,
    /// How many documents were read: manifests, and chunks or layers, each once.
    pub documents: usize,
    /// How many bytes were hashed.
    pub bytes: u64,
    /// What is wrong or missing: what has other bytes first, then in the order of digests.
    pub damaged: Vec<DamagedDocument>,
}

/// A version of a registry. [`RegistryReport`] has an example.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifiedVersion {
    /// The version.
    #[serde(flatten)]
    pub model: ModelRef,
    /// The digest of its manifest.
    #[serde(rename = "manifest_hash")]
    pub manifest_digest: Digest,
    /// Whether all of it is there, and right.
    pub ok: bool,
    /// The number of its files; 0 if its manifest cannot be read.
    pub files: usize,
    /// The size of all files together; 0 if its manifest cannot be read.
    pub total_bytes: u64,
}

/// A document that has other bytes than its digest says, or is not there. [`RegistryReport`] has an example.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct DamagedDocument {
    /// The digest that names it.
    pub digest: Digest,
    /// The versions that need it, in the order of names.
    pub models: Vec<ModelRef>,
    /// What is wrong.
    pub error: Error,
}

impl RegistryReport {
    /// Creates the report of an empty registry; for [implementations of `Manager`](crate::Manager#managers-of-your-own).
    #[must_use]
    pub fn new(registry: RegistryLocation) -> Self {
        Self {
            registry,
            versions: Vec::new(),
            documents: 0,
            bytes: 0,
            damaged: Vec::new(),
        }
    }

    /// Returns whether everything is there, and right.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }
}

/// A document that some versions consist of.
struct Document {
    digest: Digest,
    size_bytes: u64,
    places: Arc<DigestPlaces>,
    /// The indexes of the versions.
    needed_by: Vec<usize>,
}

/// A folder that is removed in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // It has nothing that is of use, wherever it stays.
        let _ = remove_tree(&self.0);
    }
}

impl Engine {
    /// Verifies all versions of a registry. Damage is not an error; it is in the report.
    pub(crate) fn verify_registry(
        &self,
        place: &RegistryLocation,
        options: &VerifyRegistryOptions,
    ) -> Result<RegistryReport> {
        if let Some(key) = &options.public_key {
            public_key(key)?;
        }
        let call = self.call(options.offline, &options.cancel);
        let call = call.with_progress(options.progress.as_ref());
        let call = call
            .with_rate_limit(options.rate_limit.as_ref())
            .remembering();
        // An index that was kept says nothing about the place.
        let cache = self.sources.cache_dir();
        let scratch = Scratch(cache.join(format!("verifying-{}", std::process::id())));
        let configured = self.configured_as(place, options);
        let is_given = configured.is_none();
        let source = match configured {
            Some(source) => source,
            None => self.registry_at(place, options, &scratch.0)?,
        };
        let call = call.offline(source.offline_by());
        let listing = source.list(&call, ListFilter::default());
        let listing = listing.map_err(|error| if is_given { given(error) } else { error })?;
        if let Some(failed) = listing.failures.into_iter().next() {
            return Err(failed.error);
        }
        let mut offered = listing.models;
        offered.retain(|remote| remote.alias_of.is_none());
        let mut report = RegistryReport::new(place.clone());
        let documents = self.read_manifests(&*source, offered, &call, &mut report)?;
        let threads = options.concurrency.or(self.settings.concurrency);
        let threads = threads.unwrap_or(DOCUMENTS_AT_ONCE);
        let step = Step {
            // A registry may state any sizes.
            total_bytes: documents
                .iter()
                .fold(0, |sum: u64, it| sum.saturating_add(it.size_bytes)),
            ..Step::new(Task::Verifying, documents.len() as u64)
        };
        let subject = place.to_string();
        let tally = Tally::new(step.at(&subject, 0), Some(&*call.progress), &options.cancel);
        let checked = several_at_once(threads, &documents, |document| {
            options.cancel.check()?;
            let checked = check(document, &call, &tally);
            tally.complete();
            checked
        });
        options.cancel.check()?;
        for (document, checked) in documents.iter().zip(checked) {
            report.documents += 1;
            match checked {
                Ok(()) => report.bytes += document.size_bytes,
                Err(error) if error.is_cancelled() => return Err(error),
                Err(error) => report.damage(document.digest, &document.needed_by, error),
            }
        }
        report
            .damaged
            .sort_by_key(|it| (!it.error.is_of_content(), it.digest));
        Ok(report)
    }

    /// The configured source that a place names.
    fn configured_as(
        &self,
        place: &RegistryLocation,
        options: &VerifyRegistryOptions,
    ) -> Option<Arc<dyn Source>> {
        let name = place.name().filter(|_| options.public_key.is_none());
        self.sources.named(name?).ok()
    }

    /// The source that a place is which nothing configures.
    fn registry_at(
        &self,
        place: &RegistryLocation,
        options: &VerifyRegistryOptions,
        cache_dir: &Path,
    ) -> Result<Arc<dyn Source>> {
        match place.artifacts() {
            Some(origin) => self.sources.at(origin),
            None => {
                let url = place.url()?;
                let key = options.public_key.as_deref();
                self.sources.registry_at(&url, key, cache_dir)
            }
        }
    }

    /// Reads the manifests of all versions; returns the documents that they name.
    fn read_manifests(
        &self,
        source: &dyn Source,
        offered: Vec<RemoteModel>,
        call: &Call,
        report: &mut RegistryReport,
    ) -> Result<Vec<Document>> {
        let done = Tally::new(
            Step::new(Task::Checking, offered.len() as u64),
            Some(&*call.progress),
            &call.cancel,
        );
        let read = at_once(&offered, |remote| {
            call.cancel.check()?;
            let read = contents(source, remote, call);
            done.complete();
            read
        });
        call.cancel.check()?;
        let mut documents: BTreeMap<Digest, Document> = BTreeMap::new();
        for (number, (remote, read)) in offered.into_iter().zip(read).enumerate() {
            let mut version = VerifiedVersion {
                model: remote.model,
                manifest_digest: remote.manifest_digest,
                ok: true,
                files: 0,
                total_bytes: 0,
            };
            let (manifest, places) = match read {
                Ok(read) => read,
                Err(error) if is_refusal(&error) => return Err(error),
                Err(error) => {
                    let digest = version.manifest_digest;
                    report.versions.push(version);
                    report.damage(digest, &[number], error);
                    continue;
                }
            };
            version.manifest_digest = manifest.digest();
            version.files = manifest.files().len();
            version.total_bytes = manifest.known_bytes();
            report.versions.push(version);
            if manifest.chunk_bytes().is_some() {
                report.documents += 1;
                report.bytes += manifest.json().len() as u64;
            }
            let places = Arc::new(places);
            for part in manifest.parts() {
                let digest = part.digest.and_then(|digest| digest.sha256());
                let digest = digest.ok_or_else(|| Error::internal("a part has no digest"))?;
                let document = documents.entry(digest).or_insert_with(|| Document {
                    digest,
                    size_bytes: part.size_bytes,
                    places: places.clone(),
                    needed_by: Vec::new(),
                });
                if document.needed_by.last() != Some(&number) {
                    document.needed_by.push(number);
                }
            }
        }
        Ok(documents.into_values().collect())
    }
}

impl RegistryReport {
    /// Notes that a document is not as it should be.
    fn damage(&mut self, digest: Digest, needed_by: &[usize], error: Error) {
        for number in needed_by {
            self.versions[*number].ok = false;
        }
        let models = needed_by.iter();
        let models = models.map(|number| self.versions[*number].model.clone());
        self.damaged.push(DamagedDocument {
            digest,
            models: models.collect(),
            error,
        });
    }
}

/// The error of a place that the caller named, and no configuration.
fn given(error: Error) -> Error {
    error.map_kind(|kind| match kind {
        ErrorKind::IndexNotFound { url, .. } => ErrorKind::IndexNotFound { url, origin: None },
        kind => kind,
    })
}

/// Learns what a version consists of, and where that is.
fn contents(
    source: &dyn Source,
    remote: &RemoteModel,
    call: &Call,
) -> Result<(Manifest, DigestPlaces)> {
    let found;
    let remote = match remote.is_named_only {
        true => {
            let path = source.identity().path_of(&remote.model);
            found = source.find(call, &path, Some(remote.model.version()))?;
            &found
        }
        false => remote,
    };
    let manifest = match &remote.contents {
        Some(manifest) => Manifest::clone(manifest),
        None => source.manifest(call, remote, Route::Direct)?,
    };
    match source.places(call, remote, Route::Direct)? {
        Places::ByDigest(places) if manifest.has_sha256() || manifest.chunk_bytes().is_some() => {
            Ok((manifest, places))
        }
        _ => Err(Error::argument(format!(
            "'{}' has no documents that their digests name: only registries in chunks, or of artifacts, can be verified",
            source.label()
        ))),
    }
}

/// Reads a document, and compares it with its digest.
fn check(document: &Document, call: &Call, tally: &Tally<'_>) -> Result<()> {
    let call = &call.authorized(document.places.authority.as_ref());
    let urls = document.places.urls(&document.digest);
    call.retrying(&urls, |_, url| hash(document, url, call, tally))
}

fn hash(document: &Document, url: &Url, call: &Call, tally: &Tally<'_>) -> Result<(), Failure> {
    let size_bytes = document.size_bytes;
    let options = GetOptions {
        is_checked: true,
        has_digest: true,
        size_bytes: Some(size_bytes),
        ..GetOptions::default()
    };
    let mut body = call.body(url, &options)?;
    let (mut hasher, mut length) = (Hasher::default(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    // One byte more shows that there is more.
    while length <= size_bytes {
        match body.read(&mut buffer, &call.cancel)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                length += read as u64;
                body.hold_back(&call.cancel);
                tally.advance(read).map_err(Failure::last)?;
            }
        }
    }
    let what = || format!("the document ({url})");
    check_size(what, size_bytes, length).map_err(Failure::transient)?;
    check_digest(what, &document.digest, &hasher.finish()).map_err(Failure::transient)
}

/// Whether an error is not about what is at a place, but about asking for it.
fn is_refusal(error: &Error) -> bool {
    error.is_cancelled()
        || matches!(
            error.kind(),
            ErrorKind::InvalidArgument { .. }
                | ErrorKind::Internal { .. }
                | ErrorKind::Offline { .. }
        )
}
