//! The index of a chunked registry: fetched, revalidated, checked against its signature, and cached.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use super::MAX_INDEX_BYTES;
use super::lookup::Known;
use super::shards::Shards;
use super::wire::Reading;
use crate::digest::{Digest, Hasher};
use crate::disk::write::{NewFile, replace_file};
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::http::call::Call;
use crate::http::{Answer, Body, Failure, GetOptions, Validators};
use crate::mutex::Mutex;
use crate::source::Identity;
use crate::source::cache::{CachedMeta, RegistryCache, Stamp};
use crate::source::compiled::{Compiled, Compiler};
use crate::source::signature::signature;
use crate::url::{Scheme, Url};

/// What a compiled index was compiled of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The name of the source, with which names of models begin.
    name: String,
    /// The cached copy; `None` where the system cannot tell it from another.
    document: Option<Stamp>,
}

/// Reads the shard with a digest.
type ReadShard<'a> = dyn Fn(&Digest) -> Result<Vec<u8>> + 'a;

#[derive(Debug)]
pub(super) struct Index {
    /// Of the source.
    pub(super) identity: Identity,
    /// The folder of the registry, followed by those of its mirrors; never empty.
    pub(super) bases: Vec<Url>,
    /// Where it is, at the registry itself and then at each mirror; never empty.
    urls: Vec<Url>,
    /// The variable, or the key of a file, that the first of them follows from.
    origin: String,
    /// The minisign key that it must be signed with. The signature is beside it, with `.minisig` appended to the name.
    public_key: Option<String>,
    pub(super) cache: RegistryCache,
    /// What was read last of the cached copy to find a model.
    known: Mutex<Option<Arc<Known>>>,
}

impl Index {
    pub(super) fn new(
        identity: &Identity,
        bases: &[Url],
        origin: String,
        public_key: Option<String>,
        cache_dir: &Path,
    ) -> Self {
        Self {
            identity: identity.clone(),
            bases: bases.to_vec(),
            urls: bases.iter().map(|base| base.join("models.json")).collect(),
            origin,
            public_key,
            cache: RegistryCache::of_source(cache_dir, &identity.key),
            known: Mutex::default(),
        }
    }

    /// Where it is at the registry itself.
    pub(super) fn url(&self) -> &Url {
        &self.urls[0]
    }

    /// Whether it is on this machine, or a mirror of it.
    pub(super) fn has_local(&self) -> bool {
        let is_local = |url: &Url| url.scheme() == Scheme::File;
        self.urls.iter().any(is_local)
    }

    /// When the cached copy was last known to be good; `None` when there is none.
    pub(super) fn fetched_at(&self) -> Option<SystemTime> {
        Some(self.cache.any_meta()?.fetched_at)
    }

    /// What is known of the cached copy; `None` when there is none that came from here and was checked with the configured key.
    pub(super) fn cached_meta(&self) -> Option<CachedMeta> {
        let url = self.urls[0].to_string();
        self.cache.meta(&url, self.public_key.as_deref())
    }

    /// Reads the cached copy in its compiled form, which is compiled anew unless it is of exactly this copy and whole.
    pub(super) fn read<T>(&self, read: impl Fn(&mut Compiled<Origin>) -> Result<T>) -> Result<T> {
        let document = self.cache.open()?;
        let path = self.cache.index_path();
        let origin = self.origin_of(&document);
        if let Some(mut compiled) = self.compiled(&origin) {
            match read(&mut compiled) {
                Err(error) if matches!(error.kind(), ErrorKind::DamagedCache { .. }) => {}
                result => return result,
            }
        }
        debug!(path = %path.display(), "compiling the index anew");
        let mut bytes = Vec::new();
        let mut write = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let shard = |digest: &Digest| self.cached_shard(digest);
        self.compile(document, origin, Some(&shard), &mut write)?;
        if let Err(error) = replace_file(&path, &bytes) {
            // A cache that cannot be written is read more slowly.
            debug!(%error, "the compiled index cannot be kept");
        }
        let compiled = Compiled::open(Cursor::new(bytes), &path)?;
        read(&mut compiled.ok_or_else(|| Error::internal("a compiled index cannot be read"))?)
    }

    /// Reads what it takes to find models in the cached copy, unless it is known.
    pub(super) fn known(&self) -> Result<Arc<Known>> {
        let origin = self.origin_of(&self.cache.open()?);
        let mut kept = self.known.lock();
        if let Some(known) = &*kept
            && known.head.origin == origin
            && origin.document.is_some()
        {
            return Ok(known.clone());
        }
        let known = Arc::new(self.read(Known::of)?);
        *kept = Some(known.clone());
        Ok(known)
    }

    fn origin_of(&self, document: &File) -> Origin {
        Origin {
            name: self.identity.name.clone(),
            document: Stamp::of(document),
        }
    }

    /// Opens the compiled form of the cached copy; `None` when there is none of exactly this copy.
    fn compiled(&self, origin: &Origin) -> Option<Compiled<Origin>> {
        let file = self.cache.open_index().ok()??;
        let compiled = Compiled::open(file, &self.cache.index_path()).ok()??;
        (compiled.head.origin == *origin && origin.document.is_some()).then_some(compiled)
    }

    /// Whether the cached copy is the document with this digest, in both forms.
    fn is_kept(&self, meta: &CachedMeta, digest: Digest) -> bool {
        let document = self.cache.open().ok();
        let origin = document.map(|document| self.origin_of(&document));
        meta.digest == Some(digest) && origin.is_some_and(|it| self.compiled(&it).is_some())
    }

    /// Compiles a document; one that offers nothing of what it lists is refused. Where it announces shards, it is compiled
    /// with them if `shard` reads them; else they are returned.
    fn compile(
        &self,
        document: File,
        origin: Origin,
        shard: Option<&ReadShard<'_>>,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<Shards>> {
        let mut compiler = Compiler::new(out);
        let mut reading = Reading::new(&self.identity, self.url(), &mut compiler);
        let document = BufReader::with_capacity(256 << 10, document);
        if let Some(shards) = reading.index(document)? {
            let Some(shard) = shard else {
                return Ok(Some(shards));
            };
            for (prefix, digest) in shards.iter() {
                reading.shard(prefix, shard(&digest)?.as_slice())?;
            }
        }
        let rest = reading.finish()?;
        compiler.finish(origin, 0, &rest)?;
        Ok(None)
    }

    /// Brings the cached copy up to date, unless offline; returns whether another index came than the one that was cached.
    /// With `force`, it is fetched in any case.
    pub(super) fn refresh(&self, call: &Call, force: bool) -> Result<bool> {
        let cached = self.cached_meta();
        if call.is_offline() && !self.has_local() {
            let needed = || format!("the index {}", self.urls[0]);
            return match cached {
                Some(_) => Ok(false),
                None => Err(call.client.offline_error(needed())),
            };
        }
        let mut is_new = false;
        call.retrying(&self.urls, |mirror, url| {
            // A validator means something only to the server that gave it.
            let known = cached.as_ref().filter(|_| mirror == 0 && !force);
            let fetched = self.fetch(call, known, url)?;
            let before = cached.as_ref().and_then(|meta| meta.digest);
            is_new = fetched.is_some() && (force || fetched != before);
            if is_new {
                // A clock may not tell two copies apart that come at once.
                *self.known.lock() = None;
            }
            if mirror > 0 {
                let first = &self.urls[0];
                warn!("the index {first} cannot be fetched; it comes from the mirror {url}");
            }
            Ok(())
        })
        .map_err(|error| {
            error.map_kind(|kind| match kind {
                ErrorKind::Network {
                    url,
                    status: Some(404 | 410),
                    server_code,
                    ..
                } if server_code.as_deref() != Some("NoSuchBucket") => ErrorKind::IndexNotFound {
                    url,
                    origin: Some(self.origin.clone()),
                },
                kind => kind,
            })
        })?;
        Ok(is_new)
    }

    /// Fetches the index into the cache unless the server says that the copy there is still current; returns its digest if
    /// it fetched one.
    fn fetch(
        &self,
        call: &Call,
        known: Option<&CachedMeta>,
        url: &Url,
    ) -> Result<Option<Digest>, Failure> {
        let options = GetOptions {
            known: known.map_or_else(Validators::default, |meta| meta.validators.clone()),
            ..GetOptions::default()
        };
        let mut body = match call.get(url, &options)? {
            Answer::Unchanged => {
                debug!(%url, "unchanged");
                if let Some(meta) = self.cached_meta() {
                    let renewed = CachedMeta {
                        fetched_at: SystemTime::now(),
                        ..meta
                    };
                    self.cache.write_meta(&renewed).map_err(Failure::last)?;
                }
                return Ok(None);
            }
            Answer::Body(body) => body,
        };
        let mut file = self.cache.begin().map_err(Failure::last)?;
        let digest = self.receive(call, url, &mut body, &mut file)?;
        // A folder, and many a server, has nothing that tells its states apart, and compiling takes long.
        if let Some(meta) = known.filter(|meta| self.is_kept(meta, digest)) {
            debug!(%url, "the same again");
            let renewed = CachedMeta {
                validators: body.validators,
                fetched_at: SystemTime::now(),
                ..meta.clone()
            };
            self.cache.write_meta(&renewed).map_err(Failure::last)?;
            return Ok(Some(digest));
        }
        // A document that is not an index does not replace the cached copy.
        let document = file.reread().map_err(Failure::last)?;
        let origin = self.origin_of(&document);
        let mut index = self.cache.begin_index().map_err(Failure::last)?;
        let shards = self
            .compile(document, origin, None, &mut |piece| index.write(piece))
            .map_err(Failure::last)?;
        let meta = CachedMeta {
            url: self.urls[0].to_string(),
            validators: body.validators,
            digest: Some(digest),
            public_key: self.public_key.clone(),
            is_sharded: shards.is_some(),
            fetched_at: SystemTime::now(),
        };
        // Shards are compiled when all of them are needed.
        let index = shards.is_none().then_some(index);
        self.cache
            .commit(file, index, &meta)
            .map_err(Failure::last)?;
        let shards = shards.unwrap_or_default();
        let digests = shards.iter().map(|(_, digest)| digest);
        self.cache.drop_shards(&digests.collect());
        Ok(Some(digest))
    }

    /// Receives an index into a file, and checks its signature if it must have one; returns its digest.
    fn receive(
        &self,
        call: &Call,
        url: &Url,
        body: &mut Body,
        file: &mut NewFile,
    ) -> Result<Digest, Failure> {
        let key = self.public_key.as_ref();
        let signed = key.map(|key| signature(call, key, url)).transpose()?;
        let refused = |error: minisign_verify::Error| {
            let message = match error {
                minisign_verify::Error::UnexpectedKeyId => {
                    "the index is signed with another key than the configured public_key"
                }
                _ => "the index does not match its signature",
            };
            Failure::last(Error::registry(url, message))
        };
        let check = signed.as_ref();
        let check = check.map(|(key, signature)| key.verify_stream(signature));
        let mut check = match check.transpose() {
            // The older form signs the bytes themselves and not their digest, so all of them are needed at once.
            Err(minisign_verify::Error::UnsupportedLegacyMode) => None,
            check => check.map_err(refused)?,
        };
        let mut hasher = Hasher::default();
        body.copy_to(MAX_INDEX_BYTES, &call.cancel, &mut |piece| {
            if let Some(check) = &mut check {
                check.update(piece);
            }
            hasher.update(piece);
            file.write(piece)
        })?;
        match (check, &signed) {
            (Some(mut check), _) => check.finalize().map_err(refused)?,
            (None, Some((key, signature))) => {
                let mut index = Vec::new();
                let mut file = file.reread().map_err(Failure::last)?;
                let read = file.read_to_end(&mut index);
                read.at("read", Path::new("models.json"))
                    .map_err(Failure::last)?;
                key.verify(&index, signature, true).map_err(refused)?;
            }
            (None, None) => {}
        }
        Ok(hasher.finish())
    }
}
