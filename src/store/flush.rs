//! Syncs large files while they are still being written, so that little is left to sync at the end. A pull that does not wait
//! for the disk has none of this: the system begins to write in its own time.
//!
//! One thread syncs one file after the other, and nobody waits for it before the end: a file that is offered while it is
//! busy is offered again with its next bytes. It starts when enough of a file is written, so small files never need it.
//!
//! A system reports only once that it could not write, and then still shows the bytes that no disk has. So an error ends
//! the pull and empties the journal: what it listed must be fetched again. A pull that is cancelled does not wait for the
//! thread, which then empties the journal by itself.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::error::{Error, IoContext, Result};
use crate::mutex::Mutex;
use crate::platform;
use crate::store::journal::empty;

/// After this much of a file is written, a sync begins: enough to keep any disk busy, and little to be left at the end.
const FLUSH_BYTES: u64 = 64 << 20;

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// Held by whoever writes.
    turn: Mutex<()>,
    /// How much was written since the last sync began.
    unsynced_bytes: AtomicU64,
}

impl OpenFile {
    pub(crate) fn new(file: File, path: PathBuf) -> Self {
        Self {
            file,
            path,
            turn: Mutex::default(),
            unsynced_bytes: AtomicU64::new(0),
        }
    }

    /// Writes bytes to their place. Systems let one thread at a time write to a file, and Linux has those who wait burn
    /// processor time, which others need for hashing; here they sleep.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let _turn = self.turn.lock();
        platform::write_all_at(&self.file, bytes, offset).at("write", &self.path)
    }
}

/// Syncs the files of one pull.
#[derive(Debug)]
pub(crate) struct Flusher {
    journal: PathBuf,
    sync: fn(&File) -> io::Result<()>,
    failed: Arc<AtomicBool>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// Without a queue: it takes a file only when the thread is idle.
    offers: SyncSender<Arc<OpenFile>>,
    thread: JoinHandle<Result<()>>,
}

impl Flusher {
    /// `journal` is the journal of the files' partial.
    pub(crate) fn new(journal: PathBuf) -> Self {
        Self::with(journal, platform::sync_data)
    }

    fn with(journal: PathBuf, sync: fn(&File) -> io::Result<()>) -> Self {
        Self {
            journal,
            sync,
            failed: Arc::default(),
            running: Mutex::default(),
        }
    }

    /// Counts what was written of a file, and has it synced once that is enough. The error may be another file's.
    pub(crate) fn written(&self, open: &Arc<OpenFile>, bytes: u64) -> Result<()> {
        let before = open.unsynced_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= FLUSH_BYTES && self.offer(open)? {
            open.unsynced_bytes.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has a file synced; returns `false` if the thread is busy.
    fn offer(&self, file: &Arc<OpenFile>) -> Result<bool> {
        let mut running = self.running.lock();
        if running.is_none() && !self.failed.load(Ordering::Acquire) {
            *running = self.start().ok();
        }
        let offered = match &*running {
            Some(running) => running.offers.try_send(file.clone()),
            // It failed, which another caller knows by now, or it could not start.
            None => return Ok(false),
        };
        match offered {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => join(running.take()).map(|()| false),
        }
    }

    /// Waits for the sync that is running.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut running = self.running.lock();
        join(running.take())
    }

    fn start(&self) -> io::Result<Running> {
        let (offers, files) = sync_channel::<Arc<OpenFile>>(0);
        let (sync, failed, journal) = (self.sync, self.failed.clone(), self.journal.clone());
        let work = move || {
            let flushed = files
                .iter()
                .try_for_each(|open| sync(&open.file).at("sync", &open.path));
            if flushed.is_err() {
                failed.store(true, Ordering::Release);
                empty(&journal);
            }
            flushed
        };
        let thread = Builder::new()
            .name("modelrack-flush".to_owned())
            .spawn(work)?;
        Ok(Running { offers, thread })
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        // Workers may have recorded ranges before they learned of the failure.
        if self.failed.load(Ordering::Acquire) {
            empty(&self.journal);
        }
    }
}

fn join(running: Option<Running>) -> Result<()> {
    let Some(Running { offers, thread }) = running else {
        return Ok(());
    };
    drop(offers);
    let joined = thread.join();
    joined.unwrap_or_else(|_| Err(Error::internal("the thread that syncs panicked")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn opened(dir: &Path) -> Arc<OpenFile> {
        let path = dir.join("weights");
        Arc::new(OpenFile::new(File::create(&path).unwrap(), path))
    }

    fn refuse(_: &File) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Says that enough is written until the thread takes the file.
    fn write(flusher: &Flusher, file: &Arc<OpenFile>) -> Result<()> {
        loop {
            flusher.written(file, FLUSH_BYTES)?;
            if file.unsynced_bytes.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_file_that_is_taken_is_synced_before_the_end() {
        static SYNCED: AtomicUsize = AtomicUsize::new(0);
        let temp = tempfile::tempdir().unwrap();
        let flusher = Flusher::with(temp.path().join("journal"), |file| {
            SYNCED.fetch_add(1, Ordering::Relaxed);
            file.sync_data()
        });
        let file = opened(temp.path());
        write(&flusher, &file).unwrap();
        write(&flusher, &file).unwrap();
        flusher.finish().unwrap();
        assert_eq!(SYNCED.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_error_is_told_once_and_leaves_nothing_in_the_journal() {
        let temp = tempfile::tempdir().unwrap();
        let journal = temp.path().join("journal");
        fs::write(&journal, "0-8.\n").unwrap();
        let flusher = Flusher::with(journal.clone(), refuse);
        let file = opened(temp.path());
        write(&flusher, &file).unwrap();
        let error = write(&flusher, &file).unwrap_err().to_string();
        assert!(error.contains("weights"), "{error}");
        assert_eq!(fs::read_to_string(&journal).unwrap(), "");
        flusher.written(&file, FLUSH_BYTES).unwrap();
        flusher.finish().unwrap();
        fs::write(&journal, "8-16.\n").unwrap();
        drop(flusher);
        assert_eq!(fs::read_to_string(&journal).unwrap(), "");
    }

    #[test]
    fn an_error_that_nobody_met_is_told_at_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let flusher = Flusher::with(temp.path().join("journal"), refuse);
        write(&flusher, &opened(temp.path())).unwrap();
        flusher.finish().unwrap_err();
    }
}
