//! How anything gets a name in the store: written beside it, synced, renamed. What is easily made again is not synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracing::debug;

use crate::error::{IoContext, Result};
use crate::platform;

/// When nobody writes to a temporary file any more: between two pieces of one pass seconds, or a wait for a network at most, and
/// the clocks of machines that share a folder are less apart than this.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

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
        let path = &place_of(path);
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

/// Finds the temporary files that killed processes left in a folder, of files with such names. That nobody writes to one any
/// more is told by its age: others may write there right now, from this machine or another.
pub(crate) fn find_abandoned<F: Fn(&str) -> bool>(
    folder: &Path,
    is_name: F,
) -> impl Iterator<Item = (PathBuf, fs::Metadata)> + use<F> {
    find_temporary(folder, is_name).filter(|(_, metadata)| {
        // A time that has yet to come is of no age.
        let age = metadata.modified().ok().and_then(|it| it.elapsed().ok());
        age.is_some_and(|age| age > ABANDONED_AFTER)
    })
}

fn find_temporary<F: Fn(&str) -> bool>(
    folder: &Path,
    is_name: F,
) -> impl Iterator<Item = (PathBuf, fs::Metadata)> + use<F> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name();
        if !name
            .to_str()
            .and_then(name_of_temporary)
            .is_some_and(&is_name)
        {
            return None;
        }
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((entry.path(), metadata))
    })
}

/// Removes what [`find_abandoned`] finds.
pub(crate) fn remove_abandoned(folder: &Path, is_name: impl Fn(&str) -> bool) {
    remove_all(find_abandoned(folder, is_name));
}

/// Finds the temporary files that killed processes left of one file.
pub(crate) fn find_abandoned_of(
    path: &Path,
) -> impl Iterator<Item = (PathBuf, fs::Metadata)> + use<> {
    let path = place_of(path);
    find_abandoned(&folder_of(&path), move |name| {
        path.file_name() == Some(name.as_ref())
    })
}

/// Removes what [`find_abandoned_of`] finds.
pub(crate) fn remove_abandoned_of(path: &Path) {
    remove_all(find_abandoned_of(path));
}

/// Removes the temporary files of one file, of whatever age: for somebody who alone writes to it.
pub(crate) fn remove_temporary_of(path: &Path) {
    let path = place_of(path);
    remove_all(find_temporary(&folder_of(&path), move |name| {
        path.file_name() == Some(name.as_ref())
    }));
}

/// The folder that a file is in; the current one for a name alone.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn remove_all(abandoned: impl Iterator<Item = (PathBuf, fs::Metadata)>) {
    for (path, _) in abandoned {
        debug!(path = %path.display(), "removing what a killed process left");
        // It may be gone, and it is in nobody's way.
        let _ = fs::remove_file(path);
    }
}

/// Returns which file a name is the temporary one of, if it is one that [`NewFile`] gives: `<name>.<process>-<number>.tmp`.
pub(crate) fn name_of_temporary(name: &str) -> Option<&str> {
    let (name, numbers) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    (is_number(process) && is_number(number)).then_some(name)
}

/// Where a file is written: what a link leads to, or the path itself.
pub(crate) fn place_of(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let real = is_link.then(|| fs::canonicalize(path).ok()).flatten();
    real.unwrap_or_else(|| path.to_owned())
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_old_temporary_files_of_such_names_are_abandoned() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, hours: u64| {
            let file = File::create(dir.path().join(name)).unwrap();
            let time = SystemTime::now() - Duration::from_secs(hours * 3600);
            file.set_modified(time).unwrap();
        };
        write("a.bin.77-0.tmp", 25);
        write("a.bin.77-12.tmp", 48);
        for name in [
            "a.bin",
            "b.bin.77-0.tmp",
            "a.bin.tmp",
            "a.bin.77.tmp",
            "a.bin.77-.tmp",
            "a.bin.x-0.tmp",
            "a.bin.old.77-0.tmp",
            "a.bin.77-0.tmp.gz",
        ] {
            write(name, 48);
        }
        write("a.bin.78-0.tmp", 23);
        let later = File::create(dir.path().join("a.bin.79-0.tmp")).unwrap();
        let tomorrow = SystemTime::now() + ABANDONED_AFTER * 2;
        later.set_modified(tomorrow).unwrap();
        drop(later);
        fs::create_dir(dir.path().join("a.bin.80-0.tmp")).unwrap();

        let count = || fs::read_dir(dir.path()).unwrap().count();
        let before = count();
        remove_abandoned_of(&dir.path().join("a.bin"));
        assert_eq!(count(), before - 2);
        for gone in ["a.bin.77-0.tmp", "a.bin.77-12.tmp"] {
            assert!(!dir.path().join(gone).exists(), "{gone}");
        }
        remove_abandoned(dir.path(), |name| name == "b.bin");
        assert_eq!(count(), before - 3);
        // Who is alone need not wait until they are old.
        remove_temporary_of(&dir.path().join("a.bin"));
        assert_eq!(count(), before - 5);
        // A folder that is not there has nothing.
        remove_abandoned(&dir.path().join("none"), |_| true);
    }
}
