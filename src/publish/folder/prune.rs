//! Removing what no version names from a folder.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::{FolderWriter, is_document};
use crate::disk::write::{find_abandoned, find_abandoned_of};
use crate::error::{IoContext, Result, is_missing};
use crate::publish::prune::{LEAST_AGE, PrunedRegistry, StoredObject};
use crate::source::chunked::shards::{SHARDS, shard_named};
use crate::store::lock::FileLock;

impl PrunedRegistry for FolderWriter {
    fn list(&self, take: &mut dyn FnMut(StoredObject)) -> Result<()> {
        let is_shard = |name: &str| shard_named(name).is_some();
        for (path, metadata) in find_abandoned_of(&self.folder.join("models.json")) {
            pass_on("", &path, &metadata, take);
        }
        for (folder, is_name) in [
            ("data", &is_document as &dyn Fn(&str) -> bool),
            (SHARDS, &is_shard),
        ] {
            let path = self.folder.join(folder);
            let prefix = format!("{folder}/");
            for (path, metadata) in find_abandoned(&path, is_name) {
                pass_on(&prefix, &path, &metadata, take);
            }
            let entries = match fs::read_dir(&path) {
                Err(error) if is_missing(&error) => continue,
                entries => entries.at("read", &path)?,
            };
            for entry in entries {
                let entry = entry.at("read", &path)?;
                if !entry.file_name().to_str().is_some_and(is_name) {
                    continue;
                }
                match entry.metadata() {
                    Ok(metadata) if metadata.is_file() => {
                        pass_on(&prefix, &entry.path(), &metadata, take);
                    }
                    Ok(_) => {}
                    Err(error) if is_missing(&error) => {}
                    Err(error) => return Err(error).at("read", &entry.path()),
                }
            }
        }
        Ok(())
    }

    fn keep_off(&self) -> Result<Option<FileLock>> {
        self.lock_index().map(Some)
    }

    fn remove(&self, path: &str) -> Result<bool> {
        let path = path
            .split('/')
            .fold(self.folder.clone(), |at, part| at.join(part));
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            metadata => metadata.at("remove", &path)?,
        };
        if !metadata.is_file() || !is_old(&metadata) {
            return Ok(false);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.at("remove", &path).map(|()| true),
        }
    }
}

fn pass_on(prefix: &str, path: &Path, metadata: &Metadata, take: &mut dyn FnMut(StoredObject)) {
    if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
        take(StoredObject {
            path: format!("{prefix}{name}"),
            size_bytes: metadata.len(),
            modified_at: metadata.modified().unwrap_or_else(|_| SystemTime::now()),
            is_old: is_old(metadata),
        });
    }
}

/// A time that has yet to come is of no age.
fn is_old(metadata: &Metadata) -> bool {
    let modified = metadata.modified().ok();
    modified.is_some_and(|time| time.elapsed().is_ok_and(|age| age > LEAST_AGE))
}
