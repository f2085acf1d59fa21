//! An unfinished pull, kept for resuming.
//!
//! ```text
//! cache/<model key>-<manifest>/
//! ├── partial.json     which model, who writes it, why it stopped
//! ├── manifest.json    the manifest it is of
//! ├── journal          a line "<begin>-<end>." for each stretch of the stream that is written
//! ├── sizes            a line "<file> <size> <0 or 1>." for each file whose size turned out, and whether it is there
//! ├── clone            only while a file that is here already is cloned, see `clone`
//! ├── intent.json      only while it moves into its place, see `store`
//! └── files/           the model's folder to be
//! ```
//!
//! A line of the journal says that the bytes were complete when they were written, not that they still are: whoever
//! resumes checks them again. Bytes beyond the journal are worth nothing.
//!
//! One process writes a partial at a time. Where the file system's locks lie, two processes may pull one model at once;
//! then the second sees that the first still touches its journal, and makes a partial of its own.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::digest::Digest;
use crate::disk::write::{remove_tree, replace_file};
use crate::error::{IoContext, Result};
use crate::manifest::{Manifest, ManifestFile};
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::platform;
use crate::store::clone::clone_over;
use crate::store::files::FileSet;
use crate::store::flush::Flusher;
use crate::store::journal::{self, Journal};
use crate::store::layout::{Layout, file_in};

/// A journal that was not touched for this long belongs to nobody any more.
const ABANDONED: Duration = Duration::from_secs(60);

/// `partial.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartialRecord {
    pub(crate) group: String,
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) manifest_hash: Digest,
    /// `None` as long as sizes are missing.
    pub(crate) total_size: Option<u64>,
    pub(crate) file_count: u64,
    #[serde(with = "crate::time")]
    pub(crate) started_at: SystemTime,
    #[serde(default)]
    pub(crate) source: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) model_type: Option<String>,
    pub(crate) process: u32,
    pub(crate) host: String,
    /// Why the last pull ended, when it said so.
    #[serde(default)]
    pub(crate) last_error: Option<String>,
}

impl PartialRecord {
    pub(crate) fn model_ref(&self) -> Option<ModelRef> {
        ModelRef::new(&self.group, &self.model, &self.version).ok()
    }
}

/// A partial as it lies on disk, without claiming it.
#[derive(Debug, Clone)]
pub(crate) struct FoundPartial {
    pub(crate) dir: PathBuf,
    pub(crate) record: PartialRecord,
    pub(crate) touched_at: SystemTime,
}

impl FoundPartial {
    /// Finds that of a model in a state, by the digest under which it is offered.
    pub(crate) fn of(layout: &Layout, model: &ModelRef, offered: &Digest) -> Option<Self> {
        Self::read(&layout.partial(model, offered, 0))
    }

    fn read(dir: &Path) -> Option<Self> {
        let record = serde_json::from_slice(&fs::read(dir.join("partial.json")).ok()?).ok()?;
        let touched_at = fs::metadata(dir.join("journal"))
            .and_then(|metadata| metadata.modified())
            .ok()?;
        Some(Self {
            dir: dir.to_owned(),
            record,
            touched_at,
        })
    }

    pub(crate) fn files_dir(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// The bytes that are there, as the journal says; before there is one, as the files say that came for their sizes.
    pub(crate) fn bytes(&self) -> u64 {
        if self.record.total_size.is_none() {
            let measured = self.measured().into_iter().collect::<HashMap<_, _>>();
            let here = measured.values().filter(|measured| measured.is_here);
            return here.map(|measured| measured.size_bytes).sum();
        }
        let journal = self.journal().into_iter();
        journal.map(|range| range.end - range.start).sum()
    }

    pub(crate) fn journal(&self) -> Vec<Range<u64>> {
        journal::read(&self.dir.join("journal"))
    }

    /// What turned out of files whose sizes the registry leaves out.
    pub(crate) fn measured(&self) -> Vec<(usize, Measured)> {
        read_sizes(&self.dir)
    }

    /// The manifest it is of; `None` as long as sizes are missing.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        let path = self.dir.join("manifest.json");
        let manifest = Manifest::parse(fs::read(&path).ok()?, path.display()).ok()?;
        manifest.is_measured().then_some(manifest)
    }

    /// Whether nobody seems to write it.
    pub(crate) fn is_idle(&self) -> bool {
        !self.may_be_in_use()
    }

    /// Whether its writer may still be at it, whatever the locks say.
    fn may_be_in_use(&self) -> bool {
        let elsewhere = self.record.host != platform::host_name();
        let lives = elsewhere
            || (self.record.process != std::process::id()
                && platform::may_be_alive(self.record.process));
        lives && self.touched_at.elapsed().is_ok_and(|age| age < ABANDONED)
    }
}

/// A partial that this process writes.
#[derive(Debug)]
pub(crate) struct Partial {
    dir: PathBuf,
    record: PartialRecord,
    journal: Journal,
    /// What the journal said when it was claimed, merged and in order.
    found: Vec<Range<u64>>,
    sizes: Mutex<Option<File>>,
}

/// What turned out of a file whose size the registry leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) size_bytes: u64,
    /// Whether its bytes are in the partial.
    pub(crate) is_here: bool,
}

/// What a partial is to become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed<'a> {
    pub(crate) model: &'a ModelRef,
    /// The key of the source.
    pub(crate) source: &'a str,
    /// What tells its state from others: the digest under which it is offered.
    pub(crate) offered: Digest,
    /// What is said of its files: a manifest, or an outline.
    pub(crate) json: &'a [u8],
    /// `None` when sizes are missing.
    pub(crate) total_bytes: Option<u64>,
    pub(crate) files: u64,
    pub(crate) model_type: Option<&'a str>,
}

impl Partial {
    /// Takes over the partial of this model in this state, or makes one. The caller holds the model's lock.
    pub(crate) fn claim(layout: &Layout, claimed: &Claimed<'_>) -> Result<Self> {
        let model = claimed.model;
        let mut copy = 0;
        let (dir, found) = loop {
            let dir = layout.partial(model, &claimed.offered, copy);
            match fs::create_dir(&dir) {
                Ok(()) => break (dir, false),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let cache = layout.cache();
                    fs::create_dir_all(&cache).at("create", &cache)?;
                    continue;
                }
                Err(error) => return Err(error).at("create", &dir),
            }
            match FoundPartial::read(&dir) {
                Some(found) if !found.may_be_in_use() => break (dir, true),
                None if is_older_than(&dir, ABANDONED) => break (dir, true),
                _ => copy += 1,
            }
        };
        let record = PartialRecord {
            group: model.group().to_owned(),
            model: model.model().to_owned(),
            version: model.version().to_owned(),
            manifest_hash: claimed.offered,
            total_size: claimed.total_bytes,
            file_count: claimed.files,
            started_at: SystemTime::now(),
            source: Some(claimed.source.to_owned()),
            model_type: claimed.model_type.map(str::to_owned),
            process: std::process::id(),
            host: platform::host_name(),
            last_error: None,
        };
        let journal = Journal::open(dir.join("journal"))?;
        let found = match found {
            true => journal::read(journal.path()),
            false => Vec::new(),
        };
        let partial = Self {
            dir,
            record,
            journal,
            found,
            sizes: Mutex::default(),
        };
        partial.write_record()?;
        replace_file(&partial.dir.join("manifest.json"), claimed.json)?;
        debug!(path = %partial.dir.display(), resumed_bytes = partial.found.iter().map(|r| r.end - r.start).sum::<u64>(), "partial");
        Ok(partial)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn files_dir(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// The files, to be written once they are laid out.
    pub(crate) fn files(&self) -> FileSet {
        FileSet::writable(
            self.files_dir(),
            Flusher::new(self.journal.path().to_owned()),
        )
    }

    /// Puts a clone of a file that is elsewhere in the place of one of the model's, which must be laid out and not open.
    pub(crate) fn clone_from(&self, from: &Path, file: &ManifestFile) -> io::Result<()> {
        let to = file_in(&self.files_dir(), &file.path);
        clone_over(
            from,
            &self.dir.join("clone"),
            &to,
            file.size_bytes.unwrap_or(0),
        )
    }

    /// The stretches that the journal had when it was claimed, as far as the files reach: in order, none touching another.
    ///
    /// Of a file without a digest nothing else tells that its bytes are gone.
    pub(crate) fn found(&self, manifest: &Manifest) -> Vec<Range<u64>> {
        if self.found.is_empty() {
            return Vec::new();
        }
        let root = self.files_dir();
        let mut there: Vec<Range<u64>> = Vec::new();
        for file in manifest.files() {
            let length = fs::metadata(file_in(&root, &file.path)).map_or(0, |found| found.len());
            let end = file.range().end.min(file.offset + length);
            match there.last_mut() {
                Some(last) if last.end == file.offset => last.end = end,
                _ => there.push(file.offset..end),
            }
        }
        common(&self.found, &there)
    }

    /// Notes that a stretch is written.
    pub(crate) fn note(&self, range: &Range<u64>) -> Result<()> {
        self.journal.note(range)
    }

    /// Shows that somebody is at it; cheap enough to be called for every piece that is read.
    pub(crate) fn touch(&self) {
        self.journal.touch();
    }

    /// Forgets what the journal had: the bytes turned out not to be there.
    pub(crate) fn reset_journal(&self, keep: &[Range<u64>]) -> Result<()> {
        self.journal.reset(keep)
    }

    /// What turned out of files in earlier pulls, and in this one.
    pub(crate) fn measured(&self) -> Vec<(usize, Measured)> {
        read_sizes(&self.dir)
    }

    /// Notes what turned out of a file.
    pub(crate) fn note_measured(&self, index: usize, measured: &Measured) -> Result<()> {
        let path = self.dir.join("sizes");
        let Measured {
            size_bytes,
            is_here,
        } = measured;
        let mut sizes = self.sizes.lock();
        let file = match &mut *sizes {
            Some(file) => file,
            empty => {
                let mut options = OpenOptions::new();
                let mut file = options
                    .append(true)
                    .create(true)
                    .open(&path)
                    .at("write", &path)?;
                // A line that a crash cut short must not run into the next one.
                file.write_all(b"\n").at("write", &path)?;
                empty.insert(file)
            }
        };
        let line = format!("{index} {size_bytes} {}.\n", u8::from(*is_here));
        file.write_all(line.as_bytes()).at("write", &path)
    }

    /// Takes the manifest that turned out, of which these files are there whole.
    pub(crate) fn settle(&mut self, manifest: &Manifest, here: &[usize]) -> Result<()> {
        *self.sizes.lock() = None;
        self.record.manifest_hash = manifest.digest();
        self.record.total_size = manifest.total_bytes();
        self.write_record()?;
        replace_file(&self.dir.join("manifest.json"), manifest.json())?;
        for index in here {
            let file = &manifest.files()[*index];
            if !file.range().is_empty() {
                self.note(&file.range())?;
            }
        }
        self.found = journal::read(&self.dir.join("journal"));
        Ok(())
    }

    /// Makes every file of the model, at its size, with the folders above it.
    pub(crate) fn lay_out(&self, manifest: &Manifest) -> Result<()> {
        let root = self.files_dir();
        fs::create_dir_all(&root).at("create", &root)?;
        let mut last_parent = root.clone();
        for file in manifest.files() {
            let path = file_in(&root, &file.path);
            if let Some(parent) = path.parent()
                && parent != last_parent
            {
                fs::create_dir_all(parent).at("create", parent)?;
                parent.clone_into(&mut last_parent);
            }
            let made = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .at("create", &path)?;
            if let Some(size_bytes) = file.size_bytes.filter(|size_bytes| *size_bytes > 0) {
                made.set_len(size_bytes).at("write", &path)?;
            }
        }
        Ok(())
    }

    /// Notes why the pull ended; the partial stays.
    pub(crate) fn fail(&mut self, error: String) {
        self.record.last_error = Some(error);
        if let Err(error) = self.write_record() {
            debug!(%error, "cannot note why the pull ended");
        }
    }

    fn write_record(&self) -> Result<()> {
        let json = serde_json::to_vec(&self.record)
            .map_err(|error| crate::Error::internal(error.to_string()))?;
        replace_file(&self.dir.join("partial.json"), &json)
    }
}

/// The partials that lie in the store, in no order.
pub(crate) fn find_partials(layout: &Layout) -> Vec<FoundPartial> {
    let Ok(entries) = fs::read_dir(layout.cache()) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| FoundPartial::read(&entry.ok()?.path()))
        .collect()
}

pub(crate) fn remove_partial(dir: &Path) -> Result<()> {
    // Without its record it is no partial any more, should this be cut short.
    let _ = fs::remove_file(dir.join("partial.json"));
    remove_tree(dir)?;
    debug!(path = %dir.display(), "removed");
    Ok(())
}

pub(crate) fn is_older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Reads what turned out of files; lines that say nothing are passed over.
fn read_sizes(dir: &Path) -> Vec<(usize, Measured)> {
    let text = fs::read_to_string(dir.join("sizes")).unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.strip_suffix('.')?.split(' ');
        let index = words.next()?.parse().ok()?;
        let size_bytes = words.next()?.parse().ok()?;
        let is_here = words.next()? == "1";
        Some((
            index,
            Measured {
                size_bytes,
                is_here,
            },
        ))
    };
    text.lines().filter_map(line).collect()
}

/// What is in both of two lists of stretches that are in order.
fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut a, mut b) = (one.iter().peekable(), other.iter().peekable());
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let range = x.start.max(y.start)..x.end.min(y.end);
        if range.start < range.end {
            both.push(range);
        }
        if x.end < y.end {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

#[cfg(test)]
mod tests;
