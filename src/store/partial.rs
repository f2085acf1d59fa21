//! An unfinished pull, kept for resuming.
//!
//! ```text
//! cache/<model key>-<manifest>/
//! ├── partial.json     which model, who writes it, why it stopped
//! ├── manifest.json    the manifest that it is of
//! ├── journal          which ranges of the stream are written, see `journal`
//! ├── sizes            a line "<file> <size> <0 or 1>." for each measured file, and whether its bytes are here, and lines
//! │                    "<file> <bytes>." for one that is being measured, of which that much has come
//! ├── intent.json      only while it moves into its place, see `change`
//! ├── beside           only if the model's place is on another disk: where the rest is, see `staging`
//! ├── clone            only while a file is cloned, see `clone`
//! ├── members/         only of a zip: what has come of its large members, see `raw_members`
//! └── files/           the model's future folder
//! ```
//!
//! One process writes a partial at a time. Whoever holds the lock of its model takes it over at once if that lock would be
//! held by any other writer, however that may have ended. Where locks do not work, or may not reach other machines, two
//! processes may pull one model at once: then the second sees that the first still touches its journal, makes a partial of
//! its own, and begins with a copy of what the first has.
//!
//! Neither its records nor its journal are synced, see `durability`. After a power cut, the journal may list bytes that the
//! disk never got, so of a partial that another boot of the system left, only what digests or the checksums of a zip cover is
//! used: they show what is wrong. Where nothing names the boots, all of it is.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::catalog::RemoteModel;
use crate::digest::Digest;
use crate::disk::write::replace_file_unsynced;
use crate::error::{Error, IoContext, Result};
use crate::manifest::{Manifest, ManifestFile, Part};
use crate::model::ModelRef;
use crate::mutex::Mutex;
use crate::platform;
use crate::progress::CancelToken;
use crate::range_set::RangeSet;
use crate::store::clone::clone_over;
use crate::store::files::FileSet;
use crate::store::flush::Flusher;
use crate::store::journal::{self, Journal};
use crate::store::layout::{Layout, file_in};
use crate::store::raw_members::RawMembers;
use crate::store::staging;

/// A journal that has not been touched for this long is abandoned.
const ABANDONED: Duration = Duration::from_secs(60);

/// How much is copied at once of another partial.
const COPY_BYTES: usize = 256 << 10;

/// `partial.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartialRecord {
    pub(crate) group: String,
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) manifest_hash: Digest,
    /// `None` as long as the sizes of some files are unknown.
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
    /// The boot of the system under which it was written last, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boot: Option<String>,
    /// Why the last pull ended, if it could still record that.
    #[serde(default)]
    pub(crate) last_error: Option<String>,
}

impl PartialRecord {
    pub(crate) fn model_ref(&self) -> Option<ModelRef> {
        ModelRef::new(&self.group, &self.model, &self.version).ok()
    }
}

/// What a pull learned about a file whose size the registry does not state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MeasuredFile {
    pub(crate) size_bytes: u64,
    /// Whether its bytes are in the partial.
    pub(crate) is_here: bool,
}

impl MeasuredFile {
    /// A file of which only the size is known.
    pub(crate) fn missing(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            is_here: false,
        }
    }
}

/// A partial on disk, whether or not a process is writing it.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    pub(crate) dir: PathBuf,
    bulk: PathBuf,
    pub(crate) record: PartialRecord,
    pub(crate) touched_at: SystemTime,
}

impl Partial {
    /// Finds the partial of a model in the state that is offered under this digest.
    pub(crate) fn find(layout: &Layout, model: &ModelRef, offered: &Digest) -> Option<Self> {
        Self::read(&layout.partial(model, offered, 0))
    }

    /// Reads the partial in a folder of the cache; `None` if it has none.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let record = serde_json::from_slice(&fs::read(dir.join("partial.json")).ok()?).ok()?;
        let journal = fs::metadata(dir.join("journal")).ok()?;
        let bulk = staging::bulk(dir);
        bulk.is_dir().then_some(())?;
        Some(Self {
            dir: dir.to_owned(),
            bulk,
            record,
            touched_at: journal.modified().ok()?,
        })
    }

    /// Returns whether it is of this model with this manifest.
    pub(crate) fn is_of(&self, model: &ModelRef, manifest: &Manifest) -> bool {
        self.record.manifest_hash == manifest.digest()
            && self.record.model_ref().as_ref() == Some(model)
    }

    pub(crate) fn files_dir(&self) -> PathBuf {
        self.bulk.join("files")
    }

    /// Returns the number of bytes that are here: as the journal says or, as long as files are being measured, what has come
    /// of them.
    pub(crate) fn bytes(&self) -> u64 {
        if self.record.total_size.is_none() {
            let mut bytes = read_begun(&self.dir);
            for (index, file) in self.measured() {
                bytes.insert(index, if file.is_here { file.size_bytes } else { 0 });
            }
            return bytes.values().sum();
        }
        self.journal().bytes()
    }

    pub(crate) fn journal(&self) -> RangeSet {
        journal::read(&self.dir.join("journal"))
    }

    /// Returns what is here of the members of a zip in this state.
    pub(crate) fn raw_members(&self, state: &Digest) -> RawMembers {
        RawMembers::of(&self.bulk, state)
    }

    /// Returns the files that were measured, by their indexes.
    pub(crate) fn measured(&self) -> Vec<(usize, MeasuredFile)> {
        read_sizes(&self.dir)
    }

    /// Returns the manifest that it is of; `None` as long as the sizes of some files are unknown.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        let path = self.dir.join("manifest.json");
        let manifest = Manifest::parse(fs::read(&path).ok()?, path.display()).ok()?;
        manifest.is_measured().then_some(manifest)
    }

    /// Returns whether it was written last under this boot of the system, as far as boots have names.
    fn is_of_boot(&self, boot: Option<&str>) -> bool {
        boot.is_none() || self.record.boot.as_deref() == boot
    }

    /// Returns whether nobody seems to be writing it, without the help of a lock.
    pub(crate) fn is_idle(&self) -> bool {
        let process = self.record.process;
        let may_be_alive = self.record.host != platform::host_name()
            || (process != std::process::id() && platform::may_be_alive(process));
        !(may_be_alive && self.touched_at.elapsed().is_ok_and(|age| age < ABANDONED))
    }
}

/// Whose partial to take over or make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) remote: &'a RemoteModel,
    pub(crate) manifest: &'a Manifest,
    pub(crate) model_type: Option<&'a str>,
    /// Whether the model's lock keeps everybody else off.
    pub(crate) is_alone: bool,
    /// What names this run of the system, if anything does.
    pub(crate) boot: Option<&'a str>,
    /// The same, if the files may be left to the system, which writes them in its own time.
    pub(crate) unsettled: Option<&'a str>,
}

/// A partial that this process writes.
#[derive(Debug)]
pub(crate) struct PartialWriter {
    dir: PathBuf,
    /// Where the files and clones are.
    bulk: PathBuf,
    record: PartialRecord,
    journal: Journal,
    /// The boot to record if the files are left to the system; `None` if they are to be synced.
    unsettled: Option<String>,
    /// What the journal had at first.
    resumed: RangeSet,
    sizes: Mutex<Option<File>>,
}

impl PartialWriter {
    /// Takes over the partial of this model in this state, or makes one. The caller holds the model's lock.
    pub(crate) fn claim(layout: &Layout, claim: &Claim<'_>) -> Result<Self> {
        let dir = claim_dir(layout, claim.remote, claim.is_alone)?;
        Self::begin(dir.clone(), claim).inspect_err(|_| {
            // As on a full disk: without its record it is of no use.
            if Partial::read(&dir).is_none() {
                let _ = staging::remove(&dir);
            }
        })
    }

    fn begin(dir: PathBuf, claim: &Claim<'_>) -> Result<Self> {
        let Claim {
            remote, manifest, ..
        } = *claim;
        let left = Partial::read(&dir);
        let journal = Journal::open(dir.join("journal"))?;
        let bulk = staging::bulk(&dir);
        let is_fixed = File::open(&bulk).is_ok_and(|folder| platform::is_fixed(&folder));
        let mut writer = Self {
            record: PartialRecord {
                group: remote.model.group().to_owned(),
                model: remote.model.model().to_owned(),
                version: remote.model.version().to_owned(),
                manifest_hash: remote.manifest_digest,
                total_size: manifest.total_bytes(),
                file_count: manifest.files().len() as u64,
                started_at: SystemTime::now(),
                source: Some(remote.source.to_string()),
                model_type: claim.model_type.map(str::to_owned),
                process: std::process::id(),
                host: platform::host_name(),
                boot: claim.boot.map(str::to_owned),
                last_error: None,
            },
            unsettled: claim.unsettled.filter(|_| is_fixed).map(str::to_owned),
            resumed: journal::read(journal.path()),
            bulk,
            dir,
            journal,
            sizes: Mutex::default(),
        };
        if !left.is_some_and(|left| left.is_of_boot(claim.boot)) {
            writer.forget_unproven(manifest)?;
        }
        writer.write_record()?;
        replace_file_unsynced(&writer.dir.join("manifest.json"), manifest.json())?;
        let resumed_bytes = writer.resumed.bytes();
        debug!(path = %writer.dir.display(), resumed_bytes, "partial");
        Ok(writer)
    }

    /// Forgets what no digest covers. It is written to the journal before the record says that it is of this boot.
    fn forget_unproven(&mut self, manifest: &Manifest) -> Result<()> {
        let proven = proven(&self.resumed, manifest);
        if proven != self.resumed {
            self.journal.forget(&(0..u64::MAX))?;
            proven
                .iter()
                .try_for_each(|range| self.journal.note(&range))?;
        }
        let has_digest = |index: usize| {
            let file = manifest.files().get(index);
            file.is_some_and(|file| file.digest.is_some())
        };
        for index in self.begun().into_keys() {
            if !has_digest(index) {
                self.note_begun(index, 0)?;
            }
        }
        for (index, file) in self.measured() {
            if file.is_here && !has_digest(index) {
                self.note_measured(index, &MeasuredFile::missing(file.size_bytes))?;
            }
        }
        self.resumed = proven;
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the folder on whose disk the files will be.
    pub(crate) fn bulk_dir(&self) -> &Path {
        &self.bulk
    }

    pub(crate) fn files_dir(&self) -> PathBuf {
        self.bulk.join("files")
    }

    /// Returns the files, to be written once they are laid out.
    pub(crate) fn files(&self, manifest: &Arc<Manifest>) -> FileSet {
        let is_synced = self.unsettled.is_none();
        let flusher = is_synced.then(|| Flusher::new(self.journal.path().to_owned()));
        FileSet::writable(manifest.clone(), self.files_dir(), flusher)
    }

    /// Returns the boot to record, because the files are left to the system; `None` if they are to be synced.
    pub(crate) fn unsettled(&self) -> Option<&str> {
        self.unsettled.as_deref()
    }

    /// Replaces one of the model's files by a clone of another file. It must be laid out and not open.
    pub(crate) fn clone_from(&self, from: &Path, file: &ManifestFile) -> io::Result<()> {
        let to = file_in(&self.files_dir(), &file.path);
        let size_bytes = file.size_bytes.unwrap_or(0);
        clone_over(from, &self.bulk.join("clone"), &to, size_bytes)
    }

    /// Returns the ranges that the journal had at first, as far as the files reach. In a file without a digest, nothing else
    /// shows that bytes are gone.
    pub(crate) fn resumed(&self, manifest: &Manifest) -> RangeSet {
        if self.resumed.is_empty() {
            return RangeSet::default();
        }
        let root = self.files_dir();
        let there = manifest.files().iter().map(|file| {
            let length = fs::metadata(file_in(&root, &file.path)).map_or(0, |found| found.len());
            file.offset..file.range().end.min(file.offset + length)
        });
        self.resumed.intersection(&there.collect())
    }

    /// Copies what partials have that others may be writing; it is verified like anything that an unfinished pull left.
    pub(crate) fn take_from_others(
        &mut self,
        layout: &Layout,
        manifest: &Arc<Manifest>,
        cancel: &CancelToken,
    ) -> Result<()> {
        let Some(model) = self.record.model_ref() else {
            return Ok(());
        };
        let others = find_partials(layout).into_iter();
        for other in others.filter(|other| other.dir != self.dir && other.is_of(&model, manifest)) {
            let mut new = other.journal();
            if !other.is_of_boot(self.record.boot.as_deref()) {
                new = proven(&new, manifest);
            }
            self.resumed.iter().for_each(|own| new.remove(&own));
            if new.is_empty() {
                continue;
            }
            debug!(from = %other.dir.display(), bytes = new.bytes(), "copying an unfinished pull");
            self.lay_out(manifest)?;
            let theirs = FileSet::new(manifest.clone(), other.files_dir());
            let own = self.files(manifest);
            let mut buffer = vec![0; COPY_BYTES];
            for range in new.iter() {
                let mut at = range.start;
                while at < range.end {
                    cancel.check()?;
                    let length = usize::try_from(range.end - at).unwrap_or(usize::MAX);
                    let piece_bytes = length.min(buffer.len());
                    let piece = &mut buffer[..piece_bytes];
                    if let Err(error) = theirs.read(at, piece) {
                        debug!(%error, "cannot copy an unfinished pull");
                        break;
                    }
                    own.write(at, piece)?;
                    at += piece.len() as u64;
                }
                if at > range.start {
                    self.note(&(range.start..at))?;
                }
            }
            own.close()?;
            self.resumed = journal::read(self.journal.path());
        }
        Ok(())
    }

    /// Prepares for members of a zip in this state. What is here of another state goes, but members that are complete and
    /// have a digest.
    pub(crate) fn begin_members(
        &mut self,
        state: &Digest,
        manifest: &Manifest,
    ) -> Result<RawMembers> {
        let members = RawMembers::of(&self.bulk, state);
        if !members.is_begun() {
            let is_unsure =
                |part: &&Part| part.digest.is_none() || !self.resumed.contains(&part.range());
            let unsure = manifest.parts().iter().filter(is_unsure);
            let unsure: RangeSet = unsure.map(Part::range).collect();
            for range in self.resumed.intersection(&unsure).iter() {
                self.forget(&range)?;
                self.resumed.remove(&range);
            }
            members.begin()?;
        }
        Ok(members)
    }

    /// Records that a range is written.
    pub(crate) fn note(&self, range: &Range<u64>) -> Result<()> {
        self.journal.note(range)
    }

    /// Shows other processes that this one is at work; cheap enough to be called for every piece that is read.
    pub(crate) fn touch(&self) {
        self.journal.touch();
    }

    /// Closes what records its progress; more can still be recorded.
    pub(crate) fn close(&self) {
        self.journal.close();
        *self.sizes.lock() = None;
    }

    /// Records that what was written of a range turned out to be wrong.
    pub(crate) fn forget(&self, range: &Range<u64>) -> Result<()> {
        self.journal.forget(range)
    }

    /// Returns the files that earlier pulls and this one measured, by their indexes.
    pub(crate) fn measured(&self) -> Vec<(usize, MeasuredFile)> {
        read_sizes(&self.dir)
    }

    /// Returns how much has come of each file that earlier pulls began to measure, by index.
    pub(crate) fn begun(&self) -> HashMap<usize, u64> {
        read_begun(&self.dir)
    }

    /// Records that a file was measured.
    pub(crate) fn note_measured(&self, index: usize, file: &MeasuredFile) -> Result<()> {
        let is_here = u8::from(file.is_here);
        self.note_size(&format!("{index} {} {is_here}.\n", file.size_bytes))
    }

    /// Records how much has come of a file that is being measured.
    pub(crate) fn note_begun(&self, index: usize, bytes: u64) -> Result<()> {
        self.note_size(&format!("{index} {bytes}.\n"))
    }

    fn note_size(&self, line: &str) -> Result<()> {
        let path = self.dir.join("sizes");
        let mut sizes = self.sizes.lock();
        let out = match &mut *sizes {
            Some(out) => out,
            none => none.insert(journal::append(&path)?),
        };
        out.write_all(line.as_bytes()).at("write", &path)
    }

    /// Takes the manifest that measuring gave, and records the files that have arrived whole.
    pub(crate) fn set_manifest(&mut self, manifest: &Manifest, here: &[usize]) -> Result<()> {
        *self.sizes.lock() = None;
        self.record.manifest_hash = manifest.digest();
        self.record.total_size = manifest.total_bytes();
        self.write_record()?;
        replace_file_unsynced(&self.dir.join("manifest.json"), manifest.json())?;
        let ranges = here.iter().map(|index| manifest.files()[*index].range());
        for range in ranges.filter(|range| !range.is_empty()) {
            self.note(&range)?;
        }
        self.resumed = journal::read(self.journal.path());
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
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false);
            let made = options.open(&path).at("create", &path)?;
            if let Some(size_bytes) = file.size_bytes.filter(|size_bytes| *size_bytes > 0) {
                platform::make_room(&made, size_bytes).at("write", &path)?;
            }
        }
        Ok(())
    }

    /// Records why the pull ended; the partial stays.
    pub(crate) fn fail(&mut self, error: String) {
        self.record.last_error = Some(error);
        if let Err(error) = self.write_record() {
            debug!(%error, "cannot record why the pull ended");
        }
    }

    fn write_record(&self) -> Result<()> {
        let json = serde_json::to_vec(&self.record);
        let json = json.map_err(|error| Error::internal(error.to_string()))?;
        replace_file_unsynced(&self.dir.join("partial.json"), &json)
    }
}

/// Returns the ranges that parts with digests cover: none as long as sizes are unknown, and so where the parts are.
fn proven(ranges: &RangeSet, manifest: &Manifest) -> RangeSet {
    let parts = manifest.parts().iter();
    let covered = parts.filter(|part| part.digest.is_some());
    ranges.intersection(&covered.map(Part::range).collect())
}

/// Makes a partial's folder, or takes over one that nobody is writing.
fn claim_dir(layout: &Layout, remote: &RemoteModel, is_alone: bool) -> Result<PathBuf> {
    let mut copy = 0;
    loop {
        let dir = layout.partial(&remote.model, &remote.manifest_digest, copy);
        if staging::create(layout, &remote.model, &dir)? {
            return Ok(dir);
        }
        let is_free = match Partial::read(&dir) {
            _ if is_alone => true,
            Some(partial) => partial.is_idle(),
            None => is_older_than(&dir, ABANDONED),
        };
        // Its model may have got its place on another disk since.
        if is_free && staging::fits(layout, &remote.model, &dir)? {
            return Ok(dir);
        }
        copy += 1;
    }
}

/// Returns the partials in the store, in no order.
pub(crate) fn find_partials(layout: &Layout) -> Vec<Partial> {
    let entries = fs::read_dir(layout.cache()).into_iter().flatten();
    entries
        .filter_map(|entry| Partial::read(&entry.ok()?.path()))
        .collect()
}

pub(crate) fn remove_partial(dir: &Path) -> Result<()> {
    // Without its record it is no longer a partial, should this be interrupted.
    let _ = fs::remove_file(dir.join("partial.json"));
    staging::remove(dir)?;
    debug!(path = %dir.display(), "removed");
    Ok(())
}

fn is_older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Reads the measured files.
fn read_sizes(dir: &Path) -> Vec<(usize, MeasuredFile)> {
    let lines = read_numbers(dir).into_iter();
    let measured = lines.filter_map(|line| match line[..] {
        [index, size_bytes, is_here] => Some((
            usize::try_from(index).ok()?,
            MeasuredFile {
                size_bytes,
                is_here: is_here == 1,
            },
        )),
        _ => None,
    });
    measured.collect()
}

/// Reads how much has come of files that are being measured; a later line wins.
fn read_begun(dir: &Path) -> HashMap<usize, u64> {
    let lines = read_numbers(dir).into_iter();
    let begun = lines.filter_map(|line| match line[..] {
        [index, bytes] => Some((usize::try_from(index).ok()?, bytes)),
        _ => None,
    });
    begun.collect()
}

/// Reads the lines about sizes; malformed ones are skipped.
fn read_numbers(dir: &Path) -> Vec<Vec<u64>> {
    let text = fs::read_to_string(dir.join("sizes")).unwrap_or_default();
    let numbers = |line: &str| {
        let words = line.strip_suffix('.')?.split(' ');
        words.map(|word| word.parse().ok()).collect()
    };
    text.lines().filter_map(numbers).collect()
}

#[cfg(test)]
mod tests;
