//! A partial that this process writes.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tracing::debug;

use super::sizes::{MeasuredFile, read_begun, read_sizes};
use super::{ABANDONED, Partial, PartialRecord, find_partials};
use crate::catalog::RemoteModel;
use crate::digest::Digest;
use crate::disk::write::replace_file_unsynced;
use crate::error::{Error, IoContext, Result};
use crate::manifest::{Manifest, ManifestFile, Part};
use crate::mutex::Mutex;
use crate::platform;
use crate::progress::CancelToken;
use crate::range_set::RangeSet;
use crate::stamp::FileStamp;
use crate::store::clone::{ClonePair, clone_over, read_clones, write_clones};
use crate::store::files::FileSet;
use crate::store::flush::Flusher;
use crate::store::journal::{self, Journal};
use crate::store::layout::{Layout, file_in};
use crate::store::raw_members::RawMembers;
use crate::store::staging;

/// How much is copied at once of another partial.
const COPY_BYTES: usize = 256 << 10;

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
    layout: Layout,
    pub(super) record: PartialRecord,
    pub(super) journal: Journal,
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
        Self::begin(layout, dir.clone(), claim).inspect_err(|_| {
            // As on a full disk: without its record it is of no use.
            if Partial::read(&dir).is_none() {
                let _ = staging::remove(&dir);
            }
        })
    }

    fn begin(layout: &Layout, dir: PathBuf, claim: &Claim<'_>) -> Result<Self> {
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
                source: remote.source_key(),
                model_type: claim.model_type.map(str::to_owned),
                process: std::process::id(),
                host: platform::host_name(),
                boot: claim.boot.map(str::to_owned),
                last_error: None,
            },
            unsettled: claim.unsettled.filter(|_| is_fixed).map(str::to_owned),
            resumed: journal::read(journal.path()),
            bulk,
            layout: layout.clone(),
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

    /// Replaces one of the model's files by a clone of another file. It must be laid out and not open. Returns what to write
    /// down of it, where files can be told apart.
    pub(crate) fn clone_from(
        &self,
        from: &Path,
        file: &ManifestFile,
    ) -> io::Result<Option<ClonePair>> {
        let to = file_in(&self.files_dir(), &file.path);
        let size_bytes = file.size_bytes.unwrap_or(0);
        let original = FileStamp::of(&fs::metadata(from)?);
        clone_over(from, &self.bulk.join("clone"), &to, size_bytes)?;
        Ok(FileStamp::of(&fs::metadata(&to)?).zip(original))
    }

    /// Returns which files of a folder are clones; none where no store of this app wrote it down.
    pub(crate) fn clones_of(&self, folder: &Path) -> Vec<ClonePair> {
        read_clones(&self.layout.clones_in(folder))
    }

    /// Writes down clones, with those of an earlier attempt.
    pub(crate) fn note_clones(&self, clones: Vec<ClonePair>) -> Result<()> {
        let files = self.files_dir();
        let mut all = self.clones_of(&files);
        all.extend(clones);
        write_clones(&self.layout.clones_in(&files), &all)
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

    pub(super) fn write_record(&self) -> Result<()> {
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

fn is_older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age))
}
