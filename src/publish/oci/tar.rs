//! Writing an image layout into a tar, as other tools copy from and to.
//!
//! A tar is written anew in one pass, beside the place where it will be, and takes that place when it is whole: first what is
//! there already, then what is new, the index last. Nobody sees half of it, and a failure leaves what was there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::ArtifactWriter;
use super::layout::{LAYOUT, Tagging, address, empty_index, version};
use crate::archive::tar::{END, TarMembers, filling, header};
use crate::digest::Digest;
use crate::disk::space::check_space;
use crate::disk::write::{NewFile, remove_abandoned_of};
use crate::error::{Error, IoContext, Result, is_missing};
use crate::http::transport::Payload;
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::publish::hashing::hash;
use crate::store::lock::{FileLock, RECORD_LIMIT};

const INDEX: &str = "index.json";
/// The largest index that is read: as large as that of a registry may be.
const MAX_INDEX_BYTES: u64 = 4 << 20;

/// A tar that is open for writing. Many threads use it at once, and one writes.
#[derive(Debug)]
pub(super) struct TarLayout {
    path: PathBuf,
    writing: Mutex<Writing>,
    _lock: FileLock,
}

#[derive(Debug)]
struct Writing {
    /// What is at the place so far.
    before: Option<(File, TarMembers)>,
    index: Value,
    is_index_new: bool,
    /// The new tar, from the first change on.
    new: Option<NewFile>,
    written: Vec<Digest>,
    /// Whether the new tar had to be given up, with what was written.
    is_broken: bool,
    cancel: CancelToken,
}

/// Writes the artifacts of one model into a tar.
#[derive(Debug)]
pub(super) struct TarWriter {
    tar: Arc<TarLayout>,
    name: Option<String>,
}

impl TarLayout {
    /// Reads what is there, and keeps others from writing to it until the end.
    pub(super) fn open(path: &Path, cancel: &CancelToken) -> Result<Self> {
        let mut lock = std::ffi::OsString::from(".");
        lock.push(path.file_name().unwrap_or_default());
        lock.push(".lock");
        let lock = path.with_file_name(lock);
        let lock = FileLock::acquire(&lock, true, Some(RECORD_LIMIT), cancel, &|_| {})?;
        let before = match File::open(path) {
            Ok(file) => {
                let members = TarMembers::read(&file, path)?;
                Some((file, members))
            }
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(error).at("read", path),
        };
        let index = match &before {
            Some((file, members)) => read_index(file, members, path)?,
            None => empty_index(),
        };
        Ok(Self {
            path: path.to_owned(),
            writing: Mutex::new(Writing {
                before,
                index,
                is_index_new: false,
                new: None,
                written: Vec::new(),
                is_broken: false,
                cancel: cancel.clone(),
            }),
            _lock: lock,
        })
    }

    pub(super) fn writer(self: &Arc<Self>, name: Option<&str>) -> TarWriter {
        TarWriter {
            tar: self.clone(),
            name: name.map(str::to_owned),
        }
    }

    /// Puts the new tar in its place, if there is something new. What is written from then on comes behind that.
    pub(super) fn finish(&self) -> Result<()> {
        let mut writing = self.writing.lock();
        if writing.new.is_none() && !writing.is_index_new {
            return Ok(());
        }
        let index = writing.index.to_string();
        writing.append(&self.path, INDEX, &index.into_bytes(), None)?;
        let Some(mut new) = writing.new.take() else {
            return Err(Error::internal("a tar that was written is gone"));
        };
        writing.is_broken = true;
        new.write(&END)?;
        // Windows replaces no file that is open.
        writing.before = None;
        new.commit()?;
        let file = File::open(&self.path).at("read", &self.path)?;
        let members = TarMembers::read(&file, &self.path)?;
        writing.before = Some((file, members));
        (writing.is_index_new, writing.is_broken) = (false, false);
        writing.written.clear();
        Ok(())
    }
}

impl ArtifactWriter for TarWriter {
    fn address(&self, tag: &str) -> Option<String> {
        match self.name {
            Some(_) => None,
            None => address(&self.tar.path, tag),
        }
    }

    fn put_blob(&self, digest: &Digest, blob: &dyn Payload) -> Result<bool> {
        let mut writing = self.tar.writing.lock();
        if writing.has(digest, blob.size_bytes()) {
            return Ok(false);
        }
        writing.append(&self.tar.path, &blob_path(digest), blob, Some(digest))?;
        writing.written.push(*digest);
        Ok(true)
    }

    fn put_manifest(&self, digest: &Digest, manifest: &[u8], tags: &[&str]) -> Result<()> {
        self.put_blob(digest, &manifest.to_vec())?;
        let tagging = Tagging {
            name: self.name.as_deref(),
            tags,
            location: &self.tar.path,
        };
        let mut writing = self.tar.writing.lock();
        let index = tagging.apply(writing.index.clone(), digest, manifest)?;
        writing.is_index_new |= index != writing.index;
        writing.index = index;
        Ok(())
    }
}

impl Writing {
    /// Whether a blob is there, with the bytes that its name promises.
    fn has(&self, digest: &Digest, size_bytes: u64) -> bool {
        let Some((file, members)) = &self.before else {
            return self.written.contains(digest);
        };
        let is_right = |content: Range<u64>| {
            content.end - content.start == size_bytes
                && piece(file, &content).is_ok_and(|mut it| {
                    hash(&mut it, &mut |_| Ok(())).is_ok_and(|it| it == *digest)
                })
        };
        self.written.contains(digest) || members.get(&blob_path(digest)).is_some_and(is_right)
    }

    /// Writes a file behind all others, with the digest that it has to have. One that fails leaves nothing in the tar.
    fn append(
        &mut self,
        path: &Path,
        name: &str,
        content: &dyn Payload,
        expected: Option<&Digest>,
    ) -> Result<()> {
        self.begin(path)?;
        let Some(new) = &mut self.new else {
            return Err(Error::internal("a tar that was begun is gone"));
        };
        let position = new.position()?;
        let appended = content.open_at(0).map_err(Error::of_payload);
        let appended = appended
            .and_then(|mut reader| append(new, path, name, content.size_bytes(), &mut reader))
            .and_then(
                |actual| match expected.is_none_or(|digest| *digest == actual) {
                    true => Ok(()),
                    false => Err(Error::argument("a file changed while it was published")),
                },
            );
        if appended.is_err() && new.go_back(position).is_err() {
            (self.new, self.is_broken) = (None, true);
        }
        appended
    }

    /// Begins the new tar with what is there.
    fn begin(&mut self, path: &Path) -> Result<()> {
        if self.is_broken {
            return Err(Error::registry(path.display(), "the new tar is broken"));
        }
        if self.new.is_some() {
            return Ok(());
        }
        // It may need the space that one which was killed has taken.
        remove_abandoned_of(path);
        let mut new = NewFile::create(path)?;
        match &self.before {
            None => {
                let version = version();
                append(
                    &mut new,
                    path,
                    LAYOUT,
                    version.len() as u64,
                    &mut version.as_bytes(),
                )?;
            }
            Some((file, members)) => {
                let size_bytes = file.metadata().at("read", path)?.len();
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
                check_space(folder.unwrap_or(Path::new(".")), size_bytes)?;
                for (name, content) in members.iter().filter(|(name, _)| *name != INDEX) {
                    self.cancel.check()?;
                    let size_bytes = content.end - content.start;
                    let mut piece = piece(file, &content).at("read", path)?;
                    append(&mut new, path, name, size_bytes, &mut piece)?;
                }
            }
        }
        self.new = Some(new);
        Ok(())
    }
}

fn append(
    new: &mut NewFile,
    path: &Path,
    name: &str,
    size_bytes: u64,
    content: &mut dyn Read,
) -> Result<Digest> {
    let header = header(name, size_bytes).ok_or_else(|| {
        let message = format!("it cannot be extended: the name '{name}' in it is too long");
        Error::registry(path.display(), message)
    })?;
    new.write(&header)?;
    let mut written = 0;
    let digest = hash(content, &mut |piece| {
        written += piece.len() as u64;
        new.write(piece)
    })?;
    new.write(filling(size_bytes))?;
    match written == size_bytes {
        true => Ok(digest),
        false => Err(Error::argument("a file changed while it was published")),
    }
}

fn read_index(file: &File, members: &TarMembers, path: &Path) -> Result<Value> {
    let refuse = |message| Error::registry(path.display(), message);
    let content = members.get(INDEX);
    let content = content.ok_or_else(|| refuse("it is no OCI layout: it has no index.json"))?;
    if content.end - content.start > MAX_INDEX_BYTES {
        return Err(refuse("the index is too large"));
    }
    let mut json = Vec::new();
    let mut piece = piece(file, &content).at("read", path)?;
    piece.read_to_end(&mut json).at("read", path)?;
    serde_json::from_slice(&json)
        .map_err(|error| Error::registry_from(path.display(), "the index is malformed", error))
}

fn piece<'f>(mut file: &'f File, content: &Range<u64>) -> std::io::Result<impl Read + use<'f>> {
    file.seek(SeekFrom::Start(content.start))?;
    Ok(file.take(content.end - content.start))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}
