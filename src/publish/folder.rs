//! A registry in a folder, which any static server can serve as it is.

#[cfg(feature = "author")]
mod prune;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::hashing::hash;
use super::{IndexChange, RegistryWriter};
use crate::digest::Digest;
use crate::disk::check_openable;
use crate::disk::write::{NewFile, remove_abandoned, remove_abandoned_of, replace_file};
use crate::error::{Error, IoContext, Result, is_missing};
use crate::http::transport::Payload;
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::source::chunked::shards::{SHARDS, shard_named, shard_path};
use crate::store::lock::{FileLock, RECORD_LIMIT};

/// Writes a registry into a folder.
#[derive(Debug)]
pub(super) struct FolderWriter {
    folder: PathBuf,
    /// Where documents are named by their digests.
    data: PathBuf,
    /// Whether what killed publishers left was removed.
    tidied: Once,
    /// The documents that the next index may name, with their sizes.
    counted_on: Mutex<HashMap<Digest, u64>>,
}

impl FolderWriter {
    /// The folder is created with the first document.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            data: folder.join("data"),
            tidied: Once::new(),
            counted_on: Mutex::default(),
        }
    }

    fn is_there(&self, digest: &Digest, size_bytes: u64) -> bool {
        has_size(&self.data.join(digest.to_string()), size_bytes)
    }

    fn lock_index(&self) -> Result<FileLock> {
        FileLock::acquire(
            &self.folder.join(".models.json.lock"),
            true,
            Some(RECORD_LIMIT),
            &CancelToken::new(),
            &|_| {},
        )
    }

    /// Makes sure that nobody has removed, as no version named it, what an index is about to name.
    fn check_counted_on(&self) -> Result<()> {
        let counted_on = self.counted_on.lock();
        let gone = counted_on.iter();
        let gone = gone.filter(|(digest, size_bytes)| !self.is_there(digest, **size_bytes));
        match gone.count() {
            0 => Ok(()),
            gone => Err(Error::registry(
                self.folder.display(),
                format!(
                    "{gone} of the documents were removed while this was published, as no version named them: \
                     publish again"
                ),
            )),
        }
    }
}

impl RegistryWriter for FolderWriter {
    fn put(&self, digest: &Digest, document: &dyn Payload) -> Result<bool> {
        let is_new = put_document(&self.data, digest, document)?;
        let mut counted_on = self.counted_on.lock();
        counted_on.insert(*digest, document.size_bytes());
        Ok(is_new)
    }

    fn has(&self, digest: &Digest, size_bytes: u64) -> Result<bool> {
        Ok(self.is_there(digest, size_bytes))
    }

    fn put_shard(&self, digest: &Digest, json: &[u8]) -> Result<()> {
        let path = self.folder.join(shard_path(digest));
        match is_intact(&path, digest, json.len() as u64) {
            true => Ok(()),
            false => replace_file(&path, json),
        }
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = self.folder.join(path);
        match check_openable(&path).and_then(|()| fs::read(&path)) {
            Err(error) if is_missing(&error) => Ok(None),
            result => result.at("read", &path).map(Some),
        }
    }

    fn change_index(&self, change: &mut IndexChange<'_>) -> Result<()> {
        let path = self.folder.join("models.json");
        let _lock = self.lock_index()?;
        self.check_counted_on()?;
        let before = self.read("models.json")?;
        replace_file(&path, &change(before.as_deref())?)?;
        // The index names it now.
        self.counted_on.lock().clear();
        // Once: a mirror changes the index again and again, and the folder may have very many documents.
        self.tidied.call_once(|| {
            remove_abandoned_of(&path);
            let is_shard = |name: &str| shard_named(name).is_some();
            remove_abandoned(&self.folder.join(SHARDS), is_shard);
            remove_abandoned(&self.data, is_document);
        });
        Ok(())
    }
}

/// Writes the document of a digest into a folder, under its name, unless it is there; returns whether it was written.
pub(super) fn put_document(folder: &Path, digest: &Digest, document: &dyn Payload) -> Result<bool> {
    let path = folder.join(digest.to_string());
    if is_intact(&path, digest, document.size_bytes()) {
        return Ok(false);
    }
    let mut file = NewFile::create(&path)?;
    let mut reader = document.open_at(0).map_err(Error::of_payload)?;
    let actual = hash(&mut reader, &mut |piece| file.write(piece))?;
    if actual != *digest {
        return Err(Error::argument("a file changed while it was published"));
    }
    file.commit()?;
    Ok(true)
}

/// Whether a name is that of a document: a digest.
pub(super) fn is_document(name: &str) -> bool {
    let digest = name.parse::<Digest>();
    digest.is_ok_and(|digest| digest.to_string() == name)
}

/// Whether there is a file of this size.
pub(super) fn has_size(path: &Path, size_bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size_bytes)
}

/// Returns whether a document exists, with the bytes that its name promises.
fn is_intact(path: &Path, digest: &Digest, size_bytes: u64) -> bool {
    has_size(path, size_bytes)
        && File::open(path)
            .is_ok_and(|mut file| hash(&mut file, &mut |_| Ok(())).is_ok_and(|it| it == *digest))
}
