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
//! ├── unpacked/        only while archives are unpacked, see `unpack`
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

mod sizes;
mod unpack;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::model::ModelRef;
use crate::platform;
use crate::range_set::RangeSet;
use crate::store::journal;
use crate::store::layout::Layout;
use crate::store::raw_members::RawMembers;
use crate::store::staging;

use sizes::{read_begun, read_sizes};

pub(crate) use sizes::MeasuredFile;
pub(crate) use unpack::UnpackOptions;
pub(crate) use writer::{Claim, PartialWriter};

/// A journal that has not been touched for this long is abandoned.
const ABANDONED: Duration = Duration::from_secs(60);

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

    /// Returns the folders that it consists of: two if its files are on another disk.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.dir.clone(), self.bulk.clone()];
        folders.dedup();
        folders
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
        // A clock may have been set back since.
        let touched = self.touched_at.elapsed();
        let apart = touched.unwrap_or_else(|ahead| ahead.duration());
        !(may_be_alive && apart < ABANDONED)
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

#[cfg(test)]
mod tests;
