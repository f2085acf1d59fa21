//! How anything gets a name in the store: written beside it, synced, renamed. What is easily made again is not synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracing::debug;

use crate::error::{IoContext, Result};
use crate::platform;

/// Replaces a file by one with these bytes: a reader sees the old ones or the new ones, whatever happens.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut new = NewFile::create(path)?;
    new.write(bytes)?;
    new.commit()
}

/// Replaces a file in the same way, but without waiting for the disk: after a power cut, it may be any file, or none.
pub(crate) fn replace_file_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut new = NewFile::create(path)?;
    new.write(bytes)?;
    new.put_in_place()
}

/// A file that is written under another name first. Dropped without [`NewFile::commit`], it is gone.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// A link is kept, and what it leads to is replaced.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        let real = is_link.then(|| fs::canonicalize(path).ok()).flatten();
        let path = real.as_deref().unwrap_or(path);
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{number}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .at("write", path)?;
        Ok(Self {
            file: Some(file),
            temporary,
            path: path.to_owned(),
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).at("write", &self.path),
            None => Ok(()),
        }
    }

    /// How much was written so far.
    pub(crate) fn position(&mut self) -> Result<u64> {
        match &mut self.file {
            Some(file) => file.stream_position().at("write", &self.path),
            None => Ok(0),
        }
    }

    /// Takes back what was written from there on.
    pub(crate) fn go_back(&mut self, position: u64) -> Result<()> {
        match &mut self.file {
            Some(file) => file
                .set_len(position)
                .and_then(|()| file.seek(io::SeekFrom::Start(position)).map(drop))
                .at("write", &self.path),
            None => Ok(()),
        }
    }

    /// Opens what was written so far for reading.
    pub(crate) fn reread(&self) -> Result<File> {
        File::open(&self.temporary).at("read", &self.path)
    }

    pub(crate) fn commit(mut self) -> Result<()> {
        if let Some(file) = &self.file {
            platform::sync_file(file).at("sync", &self.path)?;
        }
        self.put_in_place()?;
        if let Some(parent) = self.path.parent() {
            // A name alone is one in the current folder.
            let is_current = parent.as_os_str().is_empty();
            let parent = if is_current { Path::new(".") } else { parent };
            platform::sync_folder(parent).at("sync", parent)?;
        }
        Ok(())
    }

    fn put_in_place(&mut self) -> Result<()> {
        drop(self.file.take());
        rename(&self.temporary, &self.path).at("write", &self.path)?;
        debug!(path = %self.path.display(), "written");
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        drop(self.file.take());
        // After a commit there is nothing to remove; before it, a leftover is harmless.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Renames a file, and waits up to 10 s while another program has it open (a virus scanner, an indexer).
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let mut wait = Duration::from_millis(10);
    loop {
        match fs::rename(from, to) {
            Err(error) if platform::is_transient(&error) && wait < Duration::from_secs(5) => {
                std::thread::sleep(wait);
                wait *= 2;
            }
            result => return result,
        }
    }
}

/// Removes a folder with everything in it; one that is not there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.at("remove", path),
    }
}
