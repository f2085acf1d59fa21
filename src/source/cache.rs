//! Registries as they were last fetched.
//!
//! ```text
//! <cache dir>/<app>/models/registries/<source>/
//! ├── models.json          a chunked registry's index, as served
//! ├── models.meta.json     where it came from, its validator, when
//! ├── models.index         the same in a form that reads fast
//! ├── %shards/<sha256>.json  the parts of an index that is in several
//! ├── %documents/
//! │   ├── <sha256>         what never changes, such as manifests
//! │   └── <sha256>.name    which of them a name stood for when it was last asked for; called by the digest of the name
//! └── <ref>/
//!     ├── models.toml      a repository's registry at that ref, as served
//!     ├── models.meta.json
//!     ├── models.index     the same in a form that reads fast
//!     └── archive-….zip    the files, when they were fetched for many models at once
//! ```

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::digest::Digest;
use crate::disk::names::encode;
use crate::disk::write::{NewFile, remove_tree, replace_file, replace_file_unsynced};
use crate::error::{Error, IoContext, Result};
use crate::http::Validators;
use crate::url::percent_decode;

/// The name of the folder of the source without a key. The encoding never gives a bare percent sign, so no key meets it.
const UNNAMED: &str = "%unnamed";
/// The name of the folder of shards, beside those of refs, which have no such names either.
const SHARDS: &str = "%shards";

/// The folder of documents that never change, and how many of them are kept: at some kilobytes each, a few megabytes.
const DOCUMENTS: &str = "%documents";
const MAX_DOCUMENTS: usize = 1000;

/// Where one registry is cached: a chunked source's, or a repository's at one ref.
#[derive(Debug, Clone)]
pub(crate) struct RegistryCache {
    dir: PathBuf,
    document: &'static str,
}

/// `models.meta.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CachedMeta {
    /// What it was asked from, without credentials: another URL makes the copy worthless.
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) validators: Validators,
    /// The digest of the copy: a server without validators may send the same again.
    #[serde(default)]
    pub(crate) digest: Option<Digest>,
    /// The key that it was signed with: a copy that was not checked with the configured one is worthless, too.
    #[serde(default)]
    pub(crate) public_key: Option<String>,
    /// Whether the copy announces shards instead of listing models.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_sharded: bool,
    #[serde(with = "crate::time")]
    pub(crate) fetched_at: SystemTime,
}

/// Tells a file from another that is put in its place later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    bytes: u64,
    /// In nanoseconds since 1970.
    modified: u64,
}

impl Stamp {
    /// `None` where the system does not tell.
    pub(crate) fn of(file: &File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self {
            bytes: metadata.len(),
            modified: modified.as_nanos().try_into().ok()?,
        })
    }
}

impl RegistryCache {
    /// Where the index of a chunked source is.
    pub(crate) fn of_source(cache_dir: &Path, key: &str) -> Self {
        Self {
            dir: source_dir(cache_dir, key),
            document: "models.json",
        }
    }

    /// Where the registry of a repository at a ref is.
    pub(crate) fn of_ref(cache_dir: &Path, key: &str, reference: &str) -> Self {
        Self {
            dir: source_dir(cache_dir, key).join(encode(reference)),
            document: "models.toml",
        }
    }

    /// Where a source keeps documents that never change.
    pub(crate) fn of_documents(cache_dir: &Path, key: &str) -> Self {
        Self {
            dir: source_dir(cache_dir, key).join(DOCUMENTS),
            document: DOCUMENTS,
        }
    }

    /// Returns the document with this digest, if it is here unharmed.
    pub(crate) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.dir.join(digest.to_string())).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Keeps a document. That it cannot be kept is no failure: it can be fetched again.
    pub(crate) fn keep_document(&self, digest: &Digest, bytes: &[u8]) {
        let path = self.dir.join(digest.to_string());
        let kept = replace_file_unsynced(&path, bytes);
        if let Err(error) = kept.and_then(|()| self.drop_old_documents()) {
            debug!(%error, "a document is not kept");
        }
    }

    /// Returns which document a name stood for when it was last asked for.
    pub(crate) fn named(&self, name: &str) -> Option<Digest> {
        let digest = fs::read_to_string(self.name_path(name)).ok()?;
        digest.parse().ok()
    }

    /// Keeps which document a name stands for.
    pub(crate) fn keep_name(&self, name: &str, digest: &Digest) {
        let kept = replace_file_unsynced(&self.name_path(name), digest.to_string().as_bytes());
        if let Err(error) = kept {
            debug!(%error, "a name is not kept");
        }
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.dir
            .join(format!("{}.name", Digest::of(name.as_bytes())))
    }

    /// Removes the documents that were kept first, when there are too many.
    fn drop_old_documents(&self) -> Result<()> {
        let entries = fs::read_dir(&self.dir).at("read", &self.dir)?.flatten();
        let mut kept: Vec<_> = entries
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        kept.sort_unstable();
        let surplus = kept.len().saturating_sub(MAX_DOCUMENTS);
        kept.iter()
            .take(surplus)
            .try_for_each(|(_, path)| remove_file(path).at("remove", path))
    }

    pub(crate) fn document_path(&self) -> PathBuf {
        self.dir.join(self.document)
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.dir.join("models.index")
    }

    fn meta_path(&self) -> PathBuf {
        self.dir.join("models.meta.json")
    }

    /// Where the files of a state of a repository are kept.
    pub(crate) fn archive_path(&self, revision: &str) -> PathBuf {
        let digest = Digest::of(revision.as_bytes()).to_string();
        self.dir.join(format!("archive-{}.zip", &digest[..16]))
    }

    /// Returns what is known of the cached copy; `None` when there is none, it came from elsewhere, or it was not checked with
    /// this key.
    pub(crate) fn meta(&self, url: &str, public_key: Option<&str>) -> Option<CachedMeta> {
        self.any_meta()
            .filter(|meta| meta.url == url)
            .filter(|meta| public_key.is_none() || meta.public_key.as_deref() == public_key)
    }

    /// What is known of the cached copy, wherever it came from.
    pub(crate) fn any_meta(&self) -> Option<CachedMeta> {
        let meta: CachedMeta = serde_json::from_slice(&fs::read(self.meta_path()).ok()?).ok()?;
        self.document_path().is_file().then_some(meta)
    }

    pub(crate) fn open(&self) -> Result<File> {
        let path = self.document_path();
        File::open(&path).at("read", &path)
    }

    /// Opens the form that reads fast; `None` when there is none.
    pub(crate) fn open_index(&self) -> Result<Option<File>> {
        let path = self.index_path();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.at("read", &path).map(Some),
        }
    }

    /// Begins to replace the copy; nothing changes before [`RegistryCache::commit`].
    pub(crate) fn begin(&self) -> Result<NewFile> {
        NewFile::create(&self.document_path())
    }

    /// Begins to replace the form that reads fast.
    pub(crate) fn begin_index(&self) -> Result<NewFile> {
        NewFile::create(&self.index_path())
    }

    /// Replaces the copy, with the form that reads fast.
    pub(crate) fn commit(
        &self,
        document: NewFile,
        index: Option<NewFile>,
        meta: &CachedMeta,
    ) -> Result<()> {
        // Between the writes there must be no validator that vouches for another copy.
        remove_file(&self.meta_path()).at("write", &self.meta_path())?;
        document.commit()?;
        index.map_or(Ok(()), NewFile::commit)?;
        self.write_meta(meta)
    }

    fn shards_dir(&self) -> PathBuf {
        self.dir.join(SHARDS)
    }

    fn shard_path(&self, digest: &Digest) -> PathBuf {
        self.shards_dir().join(format!("{digest}.json"))
    }

    pub(crate) fn has_shard(&self, digest: &Digest) -> bool {
        self.shard_path(digest).is_file()
    }

    /// Reads a shard; `None` when it is not cached, or not as it was fetched.
    pub(crate) fn shard(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.shard_path(digest)).ok()?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Keeps a shard. Its digest tells when it is read whether it is whole.
    pub(crate) fn write_shard(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        replace_file_unsynced(&self.shard_path(digest), bytes)
    }

    /// Removes all shards but these; one that somebody still reads may stay.
    pub(crate) fn drop_shards(&self, keep: &HashSet<Digest>) {
        for entry in fs::read_dir(self.shards_dir())
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let digest = digest.and_then(|name| name.parse().ok());
            if digest.is_some_and(|digest| !keep.contains(&digest)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes a shard, if it can be removed.
    pub(crate) fn drop_shard(&self, digest: &Digest) {
        let _ = fs::remove_file(self.shard_path(digest));
    }

    pub(crate) fn write_meta(&self, meta: &CachedMeta) -> Result<()> {
        let json = serde_json::to_vec(meta).map_err(|error| Error::internal(error.to_string()))?;
        replace_file(&self.meta_path(), &json)
    }

    /// Removes the archives of other states than this; one that somebody still reads may stay.
    pub(crate) fn drop_archives(&self, revision: &str) {
        let keep = self.archive_path(revision);
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let is_archive = entry.file_name().to_string_lossy().starts_with("archive-");
            if is_archive && entry.path() != keep {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The bytes of all that is cached of it; `None` when nothing is.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let has_documents = self.document == DOCUMENTS && self.dir.is_dir();
        if !(has_documents || self.document_path().is_file() || self.index_path().is_file()) {
            return None;
        }
        let files = fs::read_dir(&self.dir).ok()?.flatten();
        let shards = match self.document {
            "models.json" => fs::read_dir(self.shards_dir()).ok(),
            _ => None,
        };
        let files = files.chain(shards.into_iter().flatten().flatten());
        let sizes = files.filter_map(|entry| entry.metadata().ok().filter(fs::Metadata::is_file));
        Some(sizes.map(|metadata| metadata.len()).sum())
    }

    /// Removes it from the cache.
    pub(crate) fn remove(&self) -> Result<()> {
        if self.document != "models.json" {
            return remove_tree(&self.dir);
        }
        let paths = [self.meta_path(), self.index_path(), self.document_path()];
        let mut paths = paths.iter();
        paths.try_for_each(|path| remove_file(path).at("remove", path))?;
        remove_tree(&self.shards_dir())
    }
}

/// Removes a file; one that is not there is fine.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn source_dir(cache_dir: &Path, key: &str) -> PathBuf {
    let folder = match key {
        "" => UNNAMED.to_owned(),
        key => encode(key),
    };
    cache_dir.join("registries").join(folder)
}

/// The keys of the sources of which something is cached, in the order of names.
pub(crate) fn cached_sources(cache_dir: &Path) -> Vec<String> {
    let mut keys = folders(&cache_dir.join("registries"));
    keys.retain(|key| !key.is_empty());
    keys
}

/// The refs whose registries are cached, in the order of names.
pub(crate) fn cached_refs(cache_dir: &Path, key: &str) -> Vec<String> {
    folders(&source_dir(cache_dir, key))
}

/// The names that the folders in a folder stand for.
fn folders(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let decoded = String::from_utf8(percent_decode(&name)).ok()?;
            (encode(&decoded) == name).then_some(decoded)
        })
        .collect();
    names.sort_unstable();
    names
}
