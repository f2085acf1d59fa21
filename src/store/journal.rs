//! The journal of a partial: a line `<begin>-<end>.` for each stretch of the stream that is written.
//!
//! A line says that the bytes were complete when they were written, not that they still are: whoever resumes checks them
//! again. Bytes beyond the journal are worth nothing.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{IoContext, Result};
use crate::mutex::Mutex;

/// How often a pull under way touches its journal at least.
const TOUCH: Duration = Duration::from_secs(10);

/// A journal that is written.
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
    /// Opens a journal, made when it is not there, and goes on behind what it has.
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

    /// Notes that a stretch is written.
    pub(super) fn note(&self, range: &Range<u64>) -> Result<()> {
        let line = line(range);
        let mut open = self.open.lock();
        open.touched = SystemTime::now();
        open.file.write_all(line.as_bytes()).at("write", &self.path)
    }

    /// Shows that somebody is at it; cheap enough to be called for every piece that is read.
    pub(super) fn touch(&self) {
        if let Some(mut open) = self.open.try_lock()
            && open.touched.elapsed().is_ok_and(|age| age > TOUCH)
        {
            open.touched = SystemTime::now();
            // It only helps others to see what they would also see from the lock.
            let _ = open.file.set_modified(open.touched);
        }
    }

    /// Forgets all but these stretches.
    pub(super) fn reset(&self, keep: &[Range<u64>]) -> Result<()> {
        let open = self.open.lock();
        open.file.set_len(0).at("write", &self.path)?;
        let lines: String = keep.iter().map(line).collect();
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

/// The full stop tells a whole line from one that a crash cut short.
fn line(range: &Range<u64>) -> String {
    format!("{}-{}.\n", range.start, range.end)
}

/// Reads the stretches of a journal, in order and merged; lines that are none are passed over.
pub(super) fn read(path: &Path) -> Vec<Range<u64>> {
    let text = fs::read(path).unwrap_or_default();
    let mut ranges: Vec<Range<u64>> = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let (begin, end) = line.strip_suffix('.')?.split_once('-')?;
            let range = begin.parse().ok()?..end.parse().ok()?;
            (range.start < range.end).then_some(range)
        })
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Empties a journal that may be open elsewhere, as far as that is possible.
pub(super) fn empty(path: &Path) {
    // Where this fails, too, the disk is lost anyway.
    let _ = OpenOptions::new().write(true).truncate(true).open(path);
}
