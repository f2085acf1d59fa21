//! The journal of a partial: a line `<begin>-<end>.` for each range of the stream that is written.
//!
//! A line states that the bytes were complete when they were written, not that they still are: a pull that resumes verifies
//! them again. Bytes that the journal does not list are worth nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{IoContext, Result};
use crate::mutex::Mutex;
use crate::range_set::RangeSet;

/// How often a running pull touches its journal at least.
const TOUCH: Duration = Duration::from_secs(10);

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    touched: SystemTime,
}

impl Journal {
    /// Opens a journal, or creates it, and appends to what it has.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let file = append(&path)?;
        let open = Mutex::new(Open {
            file,
            touched: SystemTime::now(),
        });
        Ok(Self { path, open })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Records that a range is written.
    pub(super) fn note(&self, range: &Range<u64>) -> Result<()> {
        let line = line(range);
        let mut open = self.open.lock();
        open.touched = SystemTime::now();
        open.file.write_all(line.as_bytes()).at("write", &self.path)
    }

    /// Shows that it is in use; cheap enough to be called for every piece that is read.
    pub(super) fn touch(&self) {
        if let Some(mut open) = self.open.try_lock()
            && open.touched.elapsed().is_ok_and(|age| age > TOUCH)
        {
            open.touched = SystemTime::now();
            // Others would see the same from the lock, where locks work.
            let _ = open.file.set_modified(open.touched);
        }
    }

    /// Forgets all but these ranges.
    pub(super) fn reset(&self, keep: &RangeSet) -> Result<()> {
        let open = self.open.lock();
        open.file.set_len(0).at("write", &self.path)?;
        let lines: String = keep.iter().map(|range| line(&range)).collect();
        (&open.file)
            .write_all(lines.as_bytes())
            .at("write", &self.path)
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

/// The full stop distinguishes a whole line from one that a crash cut short.
fn line(range: &Range<u64>) -> String {
    format!("{}-{}.\n", range.start, range.end)
}

/// Reads the ranges of a journal; malformed lines are skipped.
pub(super) fn read(path: &Path) -> RangeSet {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let ranges = text.lines().filter_map(|line| {
        let (begin, end) = line.strip_suffix('.')?.split_once('-')?;
        Some(begin.parse().ok()?..end.parse().ok()?)
    });
    ranges.collect()
}

/// Empties a journal that may be open elsewhere, if possible.
pub(super) fn empty(path: &Path) {
    // If this fails too, the disk is lost anyway.
    let _ = OpenOptions::new().write(true).truncate(true).open(path);
}
