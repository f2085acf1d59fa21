//! The journal of a partial: a line `<begin>-<end>.` for each range of the stream that is written, and a line
//! `!<begin>-<end>.` for each that turned out to be wrong. A later line wins.
//!
//! A line is written after its bytes, without a sync, once a [`STEP_BYTES`] of what a worker receives and when it stops
//! receiving. So at each moment that a process may be killed:
//!
//! - before a write: nothing is known of its bytes, which come again;
//! - between a write and its line: the same, less than a step for each worker;
//! - after the line: the system has the bytes, and the next pull finds them;
//! - in the middle of a line: it lacks its full stop and is skipped.
//!
//! If the machine itself stops, a line may be on the disk and its bytes not. So a line states that the bytes were written,
//! not that they still are, and not that they are right: a pull that resumes hashes them again, along with the rest of
//! their part; those that no digest covers are forgotten first, see `partial`. Bytes that the journal does not list are worth
//! nothing.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::error::{IoContext, Result};
use crate::mutex::Mutex;
use crate::range_set::RangeSet;

/// The sign of a range that is wrong.
const WRONG: &str = "!";
/// How often a running pull touches its journal at least.
const TOUCH: Duration = Duration::from_secs(10);

/// How many bytes of one response are written before the journal lists them: few enough to be fetched again, and a line of
/// thirty bytes costs nothing beside them.
pub(crate) const STEP_BYTES: u64 = 1 << 20;

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// `None` once it is closed; the next line opens it again.
    file: Option<File>,
    touched: Instant,
}

impl Journal {
    /// Opens a journal, or creates it, and appends to what it has.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let file = append(&path)?;
        let open = Mutex::new(Open {
            file: Some(file),
            touched: Instant::now(),
        });
        Ok(Self { path, open })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Records that a range is written.
    pub(super) fn note(&self, range: &Range<u64>) -> Result<()> {
        self.append("", range)
    }

    /// Records that what was written of a range is wrong.
    pub(super) fn forget(&self, range: &Range<u64>) -> Result<()> {
        self.append(WRONG, range)
    }

    fn append(&self, sign: &str, range: &Range<u64>) -> Result<()> {
        // The full stop distinguishes a whole line from one that a crash cut short.
        let line = format!("{sign}{}-{}.\n", range.start, range.end);
        let mut open = self.open.lock();
        open.touched = Instant::now();
        let file = match &mut open.file {
            Some(file) => file,
            none => none.insert(append(&self.path)?),
        };
        file.write_all(line.as_bytes()).at("write", &self.path)
    }

    /// Closes the file: NFS and some FUSE programs do not remove the folder of a file that is open.
    pub(super) fn close(&self) {
        self.open.lock().file = None;
    }

    /// Shows that it is in use; cheap enough to be called for every piece that is read.
    pub(super) fn touch(&self) {
        if let Some(mut open) = self.open.try_lock()
            && open.touched.elapsed() > TOUCH
        {
            open.touched = Instant::now();
            // Others would see the same from the lock, where locks work.
            let now = SystemTime::now();
            let _ = open.file.as_ref().map(|file| file.set_modified(now));
        }
    }
}

/// Opens a file of lines to append to, on a line of its own: a crash may have cut the last one short.
pub(super) fn append(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).open(path);
    let mut file = opened.at("write", path)?;
    file.write_all(b"\n").at("write", path)?;
    Ok(file)
}

/// Reads the ranges of a journal; malformed lines are skipped.
pub(super) fn read(path: &Path) -> RangeSet {
    let mut ranges = RangeSet::default();
    let lines = File::open(path).map(|file| BufReader::new(file).split(b'\n'));
    for line in lines.into_iter().flatten().map_while(std::io::Result::ok) {
        let line = String::from_utf8_lossy(&line);
        match line.strip_prefix(WRONG) {
            Some(wrong) => range_of(wrong).map(|range| ranges.remove(&range)),
            None => range_of(&line).map(|range| ranges.insert(&range)),
        };
    }
    ranges
}

fn range_of(line: &str) -> Option<Range<u64>> {
    let (begin, end) = line.strip_suffix('.')?.split_once('-')?;
    Some(begin.parse().ok()?..end.parse().ok()?)
}

/// Empties a journal that may be open elsewhere, if possible.
pub(super) fn empty(path: &Path) {
    // If this fails too, the disk is lost anyway.
    let _ = OpenOptions::new().write(true).truncate(true).open(path);
}
