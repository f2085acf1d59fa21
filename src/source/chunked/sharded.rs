//! Reading an index that may be in shards: one of them for a lookup, all of them for a list.

use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;

use super::MAX_INDEX_BYTES;
use super::index::{Index, Origin};
use super::lookup::Known;
use super::shards::{AnnouncementWire, Shards, shard_urls};
use super::wire::Reading;
use crate::at_once::at_once;
use crate::catalog::RemoteModel;
use crate::digest::{Digest, check_digest};
use crate::error::{Error, ErrorKind, Result};
use crate::http::call::Call;
use crate::http::{Failure, GetOptions};
use crate::source::compiled::{Compiled, Compiler};

impl Index {
    /// Finds a version in the cached copy. If that is in shards, the one that the model may be in is fetched unless it is
    /// cached.
    pub(super) fn find(
        &self,
        call: &Call,
        path: &str,
        version: Option<&str>,
    ) -> Result<RemoteModel> {
        let find = |known: &Known| known.find(&self.identity, path, version, self.url());
        let Some(shards) = self.shards()? else {
            return find(&*self.known()?);
        };
        let found = match shards.of_model(path) {
            Some((prefix, digest)) => {
                let shard = match self.cache.shard(&digest) {
                    Some(shard) => shard,
                    None => self.fetch_shard(call, &digest)?,
                };
                find(&Known::of(&mut self.compile_shard(prefix, &shard)?)?)
            }
            None => Err(self.identity.not_found(path, Vec::new())),
        };
        match found {
            // Names that come near are in other shards.
            Err(error)
                if matches!(error.kind(), ErrorKind::ModelNotFound { .. })
                    && self.missing(&shards).is_empty() =>
            {
                find(&*self.known()?)
            }
            found => found,
        }
    }

    /// Fetches the shards that are not cached; returns whether there were any.
    pub(super) fn complete(&self, call: &Call) -> Result<bool> {
        let Some(shards) = self.shards()? else {
            return Ok(false);
        };
        let missing = self.missing(&shards);
        debug!(
            all = shards.iter().count(),
            missing = missing.len(),
            "shards"
        );
        let has_failed = AtomicBool::new(false);
        let fetch = |digest: &Digest| {
            if has_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let fetched = self.fetch_shard(call, digest).map(|_| ());
            has_failed.fetch_or(fetched.is_err(), Ordering::Relaxed);
            fetched
        };
        at_once(&missing, fetch)
            .into_iter()
            .collect::<Result<()>>()?;
        Ok(!missing.is_empty())
    }

    /// Reads all that the cached copy offers, once its shards are cached, too.
    pub(super) fn read_all<T>(
        &self,
        call: &Call,
        read: impl Fn(&mut Compiled<Origin>) -> Result<T>,
    ) -> Result<T> {
        self.complete(call)?;
        match self.read(&read) {
            // A shard that was damaged on this disk is no longer there.
            Err(error) if matches!(error.kind(), ErrorKind::DamagedCache { .. }) => {
                self.complete(call)?;
                self.read(read)
            }
            result => result,
        }
    }

    /// How many versions the cached copy offers; `None` when parts of it are not cached.
    pub(super) fn versions(&self) -> Option<usize> {
        let shards = self.shards().ok()?.unwrap_or_default();
        let is_complete = self.missing(&shards).is_empty();
        is_complete.then(|| self.read(|compiled| Ok(compiled.head.models)).ok())?
    }

    /// What the cached copy announces; `None` when it lists the models itself.
    fn shards(&self) -> Result<Option<Shards>> {
        if !self.cached_meta().is_some_and(|meta| meta.is_sharded) {
            return Ok(None);
        }
        let document = BufReader::new(self.cache.open()?);
        let announcement: AnnouncementWire =
            serde_json::from_reader(document).map_err(|error| {
                Error::from(ErrorKind::DamagedCache {
                    path: self.cache.document_path(),
                    source: Some(error.into()),
                })
            })?;
        Ok(Some(announcement.shards))
    }

    /// The shards that are not cached.
    fn missing(&self, shards: &Shards) -> Vec<Digest> {
        let digests = shards.iter().map(|(_, digest)| digest);
        digests.filter(|it| !self.cache.has_shard(it)).collect()
    }

    fn fetch_shard(&self, call: &Call, digest: &Digest) -> Result<Vec<u8>> {
        if call.is_offline() && !self.has_local() {
            let needed = format!("a part of the index {}", self.url());
            return Err(call.client.offline_error(needed));
        }
        let urls = shard_urls(&self.bases, digest);
        let shard = call.retrying(&urls, |_, url| {
            let mut body = call.body(url, &GetOptions::default())?;
            let shard = body.read_whole(MAX_INDEX_BYTES, &call.cancel)?;
            let what = || format!("a part of the index ({url})");
            check_digest(what, digest, &Digest::of(&shard)).map_err(Failure::transient)?;
            Ok(shard)
        });
        let shard = shard.map_err(|error| match error.is_missing() {
            true => error.step("a part of the index is not there"),
            false => error,
        })?;
        if let Err(error) = self.cache.write_shard(digest, &shard) {
            // A cache that cannot be written makes lookups slower.
            debug!(%error, "a shard cannot be kept");
        }
        Ok(shard)
    }

    fn compile_shard(&self, prefix: &str, shard: &[u8]) -> Result<Compiled<Origin>> {
        let mut bytes = Vec::new();
        let mut write = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        let mut compiler = Compiler::new(&mut write);
        let mut reading = Reading::new(&self.identity, self.url(), &mut compiler);
        reading.shard(prefix, shard)?;
        let rest = reading.finish()?;
        compiler.finish(Origin::default(), 0, &rest)?;
        let compiled = Compiled::open(Cursor::new(bytes), Path::new("models.index"))?;
        compiled.ok_or_else(|| Error::internal("a compiled index cannot be read"))
    }

    /// Reads a shard from the cache, for compiling all of them.
    pub(super) fn cached_shard(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.cache.shard(digest).ok_or_else(|| {
            self.cache.drop_shard(digest);
            let path = self.cache.document_path();
            ErrorKind::DamagedCache { path, source: None }.into()
        })
    }
}
