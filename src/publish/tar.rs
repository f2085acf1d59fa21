//! Writing what others pull from into a tar.
//!
//! A tar is written anew in one pass, beside the place where it will be, and takes that place when it is whole: first what is
//! there already, then what is new, the index last. Nobody sees half of it, and a failure leaves what was there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hashing::hash;
use crate::archive::tar::{END, TarEntry, TarMembers, filling};
use crate::digest::Digest;
use crate::disk::check_openable;
use crate::disk::space::check_space;
use crate::disk::write::{NewFile, place_of, remove_abandoned_of, remove_temporary_of};
use crate::error::{Error, IoContext, Result, is_missing};
use crate::http::transport::Payload;
use crate::mutex::{Condvar, Mutex};
use crate::progress::CancelToken;
use crate::store::lock::{FileLock, RECORD_LIMIT};

/// How much is in memory at most of documents that come at the same time, while one of them is written: the largest that a chunk
/// may be as a rule, twice.
const ROOM_BYTES: u64 = 64 << 20;
/// Who waits for room looks again after this, whether or not somebody said that there is some.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the names of packed files end with that nobody means a folder by.
const PACKED: [&str; 9] = [
    ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tar.lz4", ".tgz", ".tzst", ".txz", ".zip",
];

/// Whether a place is that of a tar, and not a folder: there is a file, or nothing yet, and the name ends so.
pub(super) fn is_tar(path: &Path) -> bool {
    let ends_so = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("tar"));
    path.is_file() || ends_so && !path.is_dir()
}

/// Refuses the name of a packed file where there is nothing yet: models hardly become smaller, and a tar is read as it is.
pub(super) fn refuse_packed(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    match PACKED.iter().find(|end| name.ends_with(**end)) {
        Some(end) if !path.exists() => Err(Error::argument(format!(
            "cannot write {}: name a folder, or a tar that is not compressed ('.tar' instead of '{end}')",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// A tar that is open for writing. Many threads use it at once, and one writes.
#[derive(Debug)]
pub(super) struct TarWriter {
    path: PathBuf,
    /// The file that is written last, and says what is there.
    index: &'static str,
    state: Mutex<State>,
    room: Room,
    /// `None` where nothing will be written.
    lock: Option<FileLock>,
}

#[derive(Debug)]
struct State {
    /// What is at the place so far.
    before: Option<(File, TarMembers)>,
    /// The new tar, from the first change on.
    new: Option<NewFile>,
    /// Where the files are that were written into it.
    written: HashMap<String, Range<u64>>,
    /// Whether the new tar had to be given up, with what was written.
    is_broken: bool,
    cancel: CancelToken,
}

impl TarWriter {
    /// Reads what is there, and keeps others from writing to it until the end, unless nothing will be written.
    pub(super) fn open(
        path: &Path,
        index: &'static str,
        cancel: &CancelToken,
        is_rehearsal: bool,
    ) -> Result<Self> {
        // A link and what it leads to are one tar.
        let place = place_of(path);
        let mut lock = OsString::from(".");
        lock.push(place.file_name().unwrap_or_default());
        lock.push(".lock");
        let lock = place.with_file_name(lock);
        let acquire = || FileLock::acquire(&lock, true, Some(RECORD_LIMIT), cancel, &|_| {});
        // The lock is a file as well, and may be the first in its folder.
        let lock = (!is_rehearsal).then(acquire).transpose()?;
        let before = match check_openable(path).and_then(|()| File::open(path)) {
            Ok(file) => {
                let members = TarMembers::read(&file, path)?;
                Some((file, members))
            }
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error).at("read", path),
        };
        Ok(Self {
            path: path.to_owned(),
            index,
            state: Mutex::new(State {
                before,
                new: None,
                written: HashMap::new(),
                is_broken: false,
                cancel: cancel.clone(),
            }),
            room: Room::default(),
            lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no tar yet.
    pub(super) fn is_new(&self) -> bool {
        self.state.lock().before.is_none()
    }

    /// Whether something was written that is not in its place yet.
    pub(super) fn is_begun(&self) -> bool {
        self.state.lock().new.is_some()
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// [`Registry`](crate::ErrorKind::Registry) if it has more than `most_bytes`.
    pub(super) fn read(&self, name: &str, most_bytes: u64) -> Result<Option<Vec<u8>>> {
        let state = self.state.lock();
        let Some((file, content)) = state.find(name, &self.path)? else {
            return Ok(None);
        };
        if content.end - content.start > most_bytes {
            let message = format!("{name} in it is too large");
            return Err(Error::registry(self.path.display(), message));
        }
        let mut bytes = Vec::new();
        let mut piece = piece(&file, &content).at("read", &self.path)?;
        piece.read_to_end(&mut bytes).at("read", &self.path)?;
        Ok(Some(bytes))
    }

    /// Whether there is a file of this name and size.
    pub(super) fn has(&self, name: &str, size_bytes: u64) -> bool {
        let found = self.state.lock().range(name);
        found.is_some_and(|content| content.end - content.start == size_bytes)
    }

    /// Writes the file with a digest, unless it is there with the right bytes; returns whether it was written.
    pub(super) fn put(&self, name: &str, digest: &Digest, content: &dyn Payload) -> Result<bool> {
        if self.is_intact(name, digest, content.size_bytes()) {
            return Ok(false);
        }
        // What comes over a network does not keep the others waiting.
        let size_bytes = content.size_bytes();
        let taken = self.room.take(size_bytes);
        let buffered = taken.as_ref().map(|_| {
            let mut bytes = Vec::with_capacity(size_bytes as usize);
            let mut reader = content.open_at(0).map_err(Error::of_payload)?;
            reader.read_to_end(&mut bytes).map_err(Error::of_payload)?;
            Ok::<_, Error>(bytes)
        });
        let buffered = buffered.transpose()?;
        let mut state = self.state.lock();
        // Another thread may have had the same.
        if state.written.contains_key(name) {
            return Ok(false);
        }
        let mut reader: Box<dyn Read + '_> = match &buffered {
            Some(bytes) => Box::new(Cursor::new(bytes)),
            None => content.open_at(0).map_err(Error::of_payload)?,
        };
        let entry = TarEntry::new(name, size_bytes);
        state.append(self, &entry, &mut *reader, Some(digest))?;
        Ok(true)
    }

    /// Puts the new tar in its place, with this index and the time in seconds when that changed, as it is told to those who
    /// unpack. What is written from then on comes behind that.
    pub(super) fn finish(&self, index: &[u8], modified: u64) -> Result<()> {
        let mut state = self.state.lock();
        let entry = TarEntry {
            modified,
            ..TarEntry::new(self.index, index.len() as u64)
        };
        state.append(self, &entry, &mut Cursor::new(index), None)?;
        let Some(mut new) = state.new.take() else {
            return Err(Error::internal("a tar that was written is gone"));
        };
        state.is_broken = true;
        new.write(&END)?;
        // Windows replaces no file that is open.
        state.before = None;
        new.commit()?;
        let file = File::open(&self.path).at("read", &self.path)?;
        let members = TarMembers::read(&file, &self.path)?;
        state.before = Some((file, members));
        state.written.clear();
        state.is_broken = false;
        Ok(())
    }

    /// Whether a file is there, with the bytes of a digest.
    fn is_intact(&self, name: &str, digest: &Digest, size_bytes: u64) -> bool {
        let state = self.state.lock();
        if state.written.contains_key(name) {
            return true;
        }
        let Ok(Some((file, content))) = state.find(name, &self.path) else {
            return false;
        };
        let has_digest = |mut it| hash(&mut it, &mut |_| Ok(())).is_ok_and(|it| it == *digest);
        content.end - content.start == size_bytes && piece(&file, &content).is_ok_and(has_digest)
    }
}

impl State {
    fn range(&self, name: &str) -> Option<Range<u64>> {
        let before = || self.before.as_ref()?.1.get(name);
        self.written.get(name).cloned().or_else(before)
    }

    /// Opens the tar that has a file, and returns where in it the content is; `path` names the tar in errors.
    fn find(&self, name: &str, path: &Path) -> Result<Option<(File, Range<u64>)>> {
        if let (Some(content), Some(new)) = (self.written.get(name), &self.new) {
            return Ok(Some((new.reread()?, content.clone())));
        }
        let Some((file, members)) = &self.before else {
            return Ok(None);
        };
        let Some(content) = members.get(name) else {
            return Ok(None);
        };
        Ok(Some((file.try_clone().at("read", path)?, content)))
    }

    /// Writes a file behind all others, with the digest that it has to have. One that fails leaves nothing in the tar.
    fn append(
        &mut self,
        tar: &TarWriter,
        entry: &TarEntry<'_>,
        content: &mut dyn Read,
        expected: Option<&Digest>,
    ) -> Result<()> {
        self.begin(tar)?;
        let Some(new) = &mut self.new else {
            return Err(Error::internal("a tar that was begun is gone"));
        };
        let begin = new.position()?;
        let appended = append(new, &tar.path, entry, content);
        let appended = appended.and_then(|(range, actual)| {
            match expected.is_none_or(|digest| *digest == actual) {
                true => Ok(range),
                false => Err(changed()),
            }
        });
        match appended {
            Ok(range) => {
                self.written.insert(entry.name.to_owned(), range);
                Ok(())
            }
            Err(error) => {
                if new.go_back(begin).is_err() {
                    (self.new, self.is_broken) = (None, true);
                }
                Err(error)
            }
        }
    }

    /// Begins the new tar with what is there.
    fn begin(&mut self, tar: &TarWriter) -> Result<()> {
        let path = &tar.path;
        if self.is_broken {
            return Err(Error::registry(path.display(), "the new tar is broken"));
        }
        if self.new.is_some() {
            return Ok(());
        }
        // It may need the space that one which was killed has taken.
        match tar.lock.as_ref().is_some_and(FileLock::is_real) {
            true => remove_temporary_of(path),
            false => remove_abandoned_of(path),
        }
        let mut new = NewFile::create(path)?;
        if let Some((file, members)) = &self.before {
            let size_bytes = file.metadata().at("read", path)?.len();
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            check_space(folder.unwrap_or(Path::new(".")), size_bytes)?;
            for (name, content) in members.iter().filter(|(name, _)| *name != tar.index) {
                self.cancel.check()?;
                let entry = TarEntry::new(name, content.end - content.start);
                let mut piece = piece(file, &content).at("read", path)?;
                append(&mut new, path, &entry, &mut piece)?;
            }
        }
        self.new = Some(new);
        Ok(())
    }
}

/// Writes a file behind all others; returns where its content is, and the digest of that.
fn append(
    new: &mut NewFile,
    path: &Path,
    entry: &TarEntry<'_>,
    content: &mut dyn Read,
) -> Result<(Range<u64>, Digest)> {
    let header = entry.header().ok_or_else(|| {
        let message = format!(
            "it cannot be extended: the name '{}' in it is too long",
            entry.name
        );
        Error::registry(path.display(), message)
    })?;
    new.write(&header)?;
    let begin = new.position()?;
    let mut written = 0;
    let digest = hash(content, &mut |piece| {
        written += piece.len() as u64;
        new.write(piece)
    })?;
    new.write(filling(entry.size_bytes))?;
    match written == entry.size_bytes {
        true => Ok((begin..begin + written, digest)),
        false => Err(changed()),
    }
}

fn changed() -> Error {
    Error::argument("a file changed while it was published")
}

fn piece<'f>(mut file: &'f File, content: &Range<u64>) -> io::Result<impl Read + use<'f>> {
    file.seek(SeekFrom::Start(content.start))?;
    Ok(file.take(content.end - content.start))
}

/// How much may still be taken into memory.
#[derive(Debug)]
struct Room {
    left_bytes: Mutex<u64>,
    freed: Condvar,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            left_bytes: Mutex::new(ROOM_BYTES),
            freed: Condvar::default(),
        }
    }
}

impl Room {
    /// Waits until there is room; `None` for what there is never room for.
    fn take(&self, bytes: u64) -> Option<Taken<'_>> {
        if bytes > ROOM_BYTES / 2 {
            return None;
        }
        let mut left = self.left_bytes.lock();
        while *left < bytes {
            left = self.freed.wait_timeout(left, LOOK_AGAIN);
        }
        *left -= bytes;
        Some(Taken { room: self, bytes })
    }
}

/// Room that is given back in the end.
struct Taken<'r> {
    room: &'r Room,
    bytes: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.room.left_bytes.lock() += self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_tar_a_folder_or_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["m.tar", "m.TAR", "a.b.tar"] {
            assert!(
                is_tar(&path(name)) && refuse_packed(&path(name)).is_ok(),
                "{name}"
            );
        }
        for name in ["m", "tar", "m.v1.0", "m.gz"] {
            assert!(
                !is_tar(&path(name)) && refuse_packed(&path(name)).is_ok(),
                "{name}"
            );
        }
        for name in ["m.tar.gz", "M.TGZ", "m.tar.zst", "m.zip"] {
            assert!(refuse_packed(&path(name)).is_err(), "{name}");
            std::fs::create_dir(path(name)).unwrap();
            assert!(refuse_packed(&path(name)).is_ok(), "{name} is a folder");
        }
    }
}
