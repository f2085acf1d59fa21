//! Members of a zip as they are in it, as far as they have come: the files `members/<state>/<part>` of a partial.
//!
//! What a decoder needs to go on in the middle of a member goes with its process. So what has come of a large member that is
//! compressed is kept as it came, and decoded once more after a kill, until all of it is there. Of a member that is stored as
//! it is, the header is enough: the rest is in its file, as far as the journal lists it.
//!
//! The state is that of the zip, by the digest of its directory: bytes of two states are never joined. Nothing else vouches
//! for a file here: a member that began with it passes the same checks as any other, and is fetched from its beginning if it
//! does not.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tracing::debug;

use crate::digest::Digest;
use crate::disk::write::remove_tree;
use crate::error::{IoContext, Result};

/// How many digits of a state name its folder: enough to tell it from others, and few on systems that limit paths.
const STATE_DIGITS: usize = 16;

/// What a partial has of the members of a zip in one state.
#[derive(Debug, Clone)]
pub(crate) struct RawMembers {
    all: PathBuf,
    dir: PathBuf,
    /// Whether the disk has room for more.
    pub(crate) has_room: bool,
}

impl RawMembers {
    pub(super) fn of(partial: &Path, state: &Digest) -> Self {
        let all = partial.join("members");
        Self {
            dir: all.join(&state.to_string()[..STATE_DIGITS]),
            all,
            has_room: true,
        }
    }

    /// Returns whether the zip was in this state when the last pull began.
    pub(super) fn is_begun(&self) -> bool {
        self.dir.is_dir()
    }

    /// Begins with this state; what is here of another one goes.
    pub(super) fn begin(&self) -> Result<()> {
        remove_tree(&self.all)?;
        fs::create_dir_all(&self.dir).at("create", &self.dir)
    }

    pub(super) fn path(&self, part: usize) -> PathBuf {
        self.dir.join(part.to_string())
    }

    /// Returns how much is here of a part.
    pub(crate) fn bytes(&self, part: usize) -> u64 {
        fs::metadata(self.path(part)).map_or(0, |found| found.len())
    }

    /// Opens what is here of a part.
    pub(crate) fn open(&self, part: usize) -> Result<File> {
        let path = self.path(part);
        File::open(&path).at("open", &path)
    }

    /// Opens what is here of a part, to go on behind that many bytes. Without it, the part begins anew after a kill, and
    /// nothing else is lost: so no error is one of the pull.
    pub(crate) fn extend(&self, part: usize, begin: u64) -> Option<File> {
        let extend = || {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false);
            let mut file = options.open(self.path(part))?;
            file.set_len(begin)?;
            file.seek(SeekFrom::Start(begin))?;
            Ok(file)
        };
        let extended: io::Result<File> = self.has_room.then(extend)?;
        let failed = |error: &io::Error| debug!(%error, part, "cannot keep what comes of a member");
        extended.inspect_err(failed).ok()
    }

    /// Keeps these bytes of a part, which are all that is here of it.
    pub(crate) fn keep(&self, part: usize, bytes: &[u8]) {
        if let Some(mut file) = self.extend(part, 0)
            && file.write_all(bytes).is_err()
        {
            self.remove(part);
        }
    }

    /// Removes what is here of a part; what cannot be removed goes with the partial.
    pub(crate) fn remove(&self, part: usize) {
        let _ = fs::remove_file(self.path(part));
    }
}
