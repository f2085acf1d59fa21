//! Removing what no version names from a chunked registry.
//!
//! # Why nobody loses anything
//!
//! A publisher sends what the registry does not have, and names it in the index at the end. Until then, nothing says that it
//! will be named: neither what is new, nor what was there already and is old. So three rules keep what may be named:
//!
//! 1. **Nothing younger than a day is removed**, whoever put it there: other programs copy registries, too.
//! 2. **The index is read again before each batch**, and what it names by then stays. Whatever of the index, its shards and the
//!    manifests cannot be read ends the work before anything is removed.
//! 3. **Publishers and whoever removes keep out of each other's way** from that reading to the end of the batch. In a folder,
//!    the lock of the index does that: a publisher who gets it afterwards looks whether everything is there that it counts
//!    on, before it writes the index. In a bucket, [`presence`](super::bucket) does it.
//!
//! Pulls of a version that was replaced, and locks that name it, are not asked: they find their chunks gone.

use std::time::{Duration, SystemTime};

use super::RegistryWriter;
use super::chunked::{Named, ReadRegistry};
use super::folder::is_document;
use crate::at_once::several_at_once;
use crate::digest::Digest;
use crate::disk::write::name_of_temporary;
use crate::error::{Error, Result};
use crate::source::chunked::shards::{SHARDS, shard_named};
use crate::store::lock::FileLock;

/// What is younger is kept.
pub(crate) const LEAST_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many objects are removed before the index is read again: in a folder, others wait meanwhile for its lock, and give up after
/// 30 s.
const BATCH: usize = 256;

/// A place of a registry that objects are removed from. Many threads use it at once.
pub(crate) trait PrunedRegistry: RegistryWriter {
    /// Passes on all that is there and could be without a name: documents, shards, and what killed publishers left.
    fn list(&self, take: &mut dyn FnMut(StoredObject)) -> Result<()>;

    /// Keeps publishers off, or fails if there are some; at least until what is returned is dropped. It is called again and again.
    fn keep_off(&self) -> Result<Option<FileLock>>;

    /// Removes an object at a path of the registry; returns whether it was there and old enough.
    fn remove(&self, path: &str) -> Result<bool>;
}

/// Something that is stored in a registry.
#[derive(Debug)]
pub(crate) struct StoredObject {
    /// Its path in the registry.
    pub(crate) path: String,
    pub(crate) size_bytes: u64,
    pub(crate) modified_at: SystemTime,
    /// By the clock of the place.
    pub(crate) is_old: bool,
}

/// What a path of a registry is.
enum Kind {
    Document(Digest),
    Shard(Digest),
    /// What a killed publisher left.
    Temporary,
}

impl Kind {
    /// `None` for what is nothing of a registry.
    fn of(path: &str) -> Option<Self> {
        let is_index = |name: &str| name == "models.json";
        let is_shard = |name: &str| shard_named(name).is_some();
        let temporary = |name: &str, is_name: &dyn Fn(&str) -> bool| {
            let is_one = name_of_temporary(name).is_some_and(is_name);
            is_one.then_some(Self::Temporary)
        };
        match path.split_once('/') {
            None => temporary(path, &is_index),
            Some(("data", name)) if is_document(name) => name.parse().ok().map(Self::Document),
            Some(("data", name)) => temporary(name, &is_document),
            Some((SHARDS, name)) => {
                let shard = shard_named(name).map(Self::Shard);
                shard.or_else(|| temporary(name, &is_shard))
            }
            Some(_) => None,
        }
    }

    fn is_named(&self, named: &Named) -> bool {
        match self {
            Self::Document(digest) => named.has_document(digest),
            Self::Shard(digest) => named.has_shard(digest),
            Self::Temporary => false,
        }
    }
}

/// What a registry has, and what of it may go.
#[derive(Debug, Default)]
pub(crate) struct Unnamed {
    pub(crate) versions: usize,
    /// What is named: how many objects, of which size.
    pub(crate) kept: (usize, u64),
    /// What is not, but too young.
    pub(crate) young: (usize, u64),
    pub(crate) objects: Vec<StoredObject>,
}

/// Finds what no version names.
pub(crate) fn find(place: &dyn PrunedRegistry, from: ReadRegistry<'_>) -> Result<Unnamed> {
    let mut named = Named::default();
    named.read(from)?;
    let mut found = Unnamed {
        versions: named.versions,
        ..Unnamed::default()
    };
    place.list(&mut |object| {
        let Some(kind) = Kind::of(&object.path) else {
            return;
        };
        let sum = match (kind.is_named(&named), object.is_old) {
            (true, _) => &mut found.kept,
            (false, false) => &mut found.young,
            (false, true) => return found.objects.push(object),
        };
        sum.0 += 1;
        sum.1 += object.size_bytes;
    })?;
    found.objects.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes objects at these paths, unless a version names them by now; returns those that are gone by it.
pub(crate) fn remove<'p>(
    place: &dyn PrunedRegistry,
    paths: &[&'p str],
    from: ReadRegistry<'_>,
) -> Result<Vec<&'p str>> {
    let mut named = Named::default();
    let (mut removed, threads) = (Vec::new(), place.workers().max(1));
    for batch in paths.chunks(BATCH) {
        from.cancel.check()?;
        // Most is read before anybody has to wait.
        named.read(from)?;
        let _kept_off = place.keep_off()?;
        named.read(from)?;
        // Who plans need not be this program.
        let may_go = |path: &&&str| Kind::of(path).is_some_and(|kind| !kind.is_named(&named));
        let batch: Vec<&'p str> = batch.iter().filter(may_go).copied().collect();
        let results = several_at_once(threads, &batch, |path| {
            from.cancel.check()?;
            place.remove(path).map_err(|error| error.step(*path))
        });
        let mut failed = None;
        for (path, result) in batch.into_iter().zip(results) {
            match result {
                Ok(true) => removed.push(path),
                Ok(false) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(only_some(error, removed.len(), paths.len()));
        }
    }
    Ok(removed)
}

fn only_some(error: Error, removed: usize, of: usize) -> Error {
    error.step(format!("{removed} of {of} objects are removed"))
}
