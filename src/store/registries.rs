//! Registries as they were last fetched.
//!
//! ```text
//! <cache dir>/<app>/models/registries/<source>/
//! ├── models.json      the registry's index, as served
//! └── models.meta.json where it came from, its validator, when
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Result};
use crate::store::layout::encode;
use crate::store::write::{NewFile, replace_file};

/// Where one source's registry is cached.
#[derive(Debug, Clone)]
pub(crate) struct RegistryCache {
    dir: PathBuf,
}

/// `models.meta.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CachedMeta {
    /// What it was asked from, without credentials: another URL makes the copy worthless.
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) etag: Option<String>,
    /// The key that it was signed with: a copy that was not checked with the configured one is worthless, too.
    #[serde(default)]
    pub(crate) public_key: Option<String>,
    #[serde(with = "crate::time")]
    pub(crate) fetched_at: SystemTime,
}

impl RegistryCache {
    pub(crate) fn new(cache_dir: &Path, source_key: &str) -> Self {
        // The encoding never gives a bare percent sign, so no key meets the source without one.
        let folder = if source_key.is_empty() {
            "%unnamed".to_owned()
        } else {
            encode(source_key)
        };
        Self {
            dir: cache_dir.join("registries").join(folder),
        }
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.dir.join("models.json")
    }

    fn meta_path(&self) -> PathBuf {
        self.dir.join("models.meta.json")
    }

    /// What is known of the cached copy; `None` when there is none, or it came from elsewhere or was not checked with
    /// this key.
    pub(crate) fn meta(&self, url: &str, public_key: Option<&str>) -> Option<CachedMeta> {
        self.any_meta()
            .filter(|meta| meta.url == url)
            .filter(|meta| public_key.is_none() || meta.public_key.as_deref() == public_key)
    }

    /// What is known of the cached copy, wherever it came from.
    pub(crate) fn any_meta(&self) -> Option<CachedMeta> {
        let meta: CachedMeta = serde_json::from_slice(&fs::read(self.meta_path()).ok()?).ok()?;
        self.index_path().is_file().then_some(meta)
    }

    pub(crate) fn open(&self) -> Result<File> {
        let path = self.index_path();
        File::open(&path).at("read", &path)
    }

    /// Begins to replace the copy; nothing changes before [`RegistryCache::commit`].
    pub(crate) fn begin(&self) -> Result<NewFile> {
        NewFile::create(&self.index_path())
    }

    pub(crate) fn commit(&self, index: NewFile, meta: &CachedMeta) -> Result<()> {
        // Between the two writes there must be no validator that vouches for another copy.
        match fs::remove_file(self.meta_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).at("write", &self.meta_path());
            }
            _ => index.commit()?,
        }
        self.write_meta(meta)
    }

    pub(crate) fn write_meta(&self, meta: &CachedMeta) -> Result<()> {
        let json = serde_json::to_vec(meta).map_err(|error| Error::internal(error.to_string()))?;
        replace_file(&self.meta_path(), &json)
    }
}
