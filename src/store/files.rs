//! A model's files, read and written as the one stream of bytes that its manifest cuts them from.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, IoContext, Result};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::platform;
use crate::store::flush::{Flusher, OpenFile};
use crate::store::layout::file_in;

/// Opens each file of a model's folder once, and keeps as many open as a process may well have.
#[derive(Debug)]
pub(crate) struct FileSet {
    root: PathBuf,
    /// Where nothing is written, there is none.
    flusher: Option<Flusher>,
    open: Mutex<HashMap<usize, Arc<OpenFile>>>,
}

/// Half of the usual limit of 256 open files on macOS.
const MAX_OPEN_FILES: usize = 128;

impl FileSet {
    /// Of files that are read only.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            flusher: None,
            open: Mutex::default(),
        }
    }

    /// Of files that are written, too, with what brings them to the disk.
    pub(crate) fn writable(root: PathBuf, flusher: Flusher) -> Self {
        Self {
            flusher: Some(flusher),
            ..Self::new(root)
        }
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn open(&self, manifest: &Manifest, file: usize) -> Result<Arc<OpenFile>> {
        if let Some(open) = self.open.lock().get(&file) {
            return Ok(open.clone());
        }
        let path = file_in(&self.root, &manifest.files()[file].path);
        let opened = OpenOptions::new()
            .read(true)
            .write(self.flusher.is_some())
            .open(&path)
            .at("open", &path)?;
        let opened = Arc::new(OpenFile::new(opened, path));
        let mut open = self.open.lock();
        if open.len() >= MAX_OPEN_FILES {
            open.clear();
        }
        open.insert(file, opened.clone());
        Ok(opened)
    }

    /// Writes bytes to their place in the stream.
    pub(crate) fn write(&self, manifest: &Manifest, begin: u64, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for segment in manifest.segments(begin..begin + bytes.len() as u64) {
            let size = usize::try_from(segment.size_bytes)
                .map_err(|_| Error::internal("a segment beyond a buffer"))?;
            let (now, later) = rest.split_at(size);
            let open = self.open(manifest, segment.file)?;
            platform::write_all_at(&open.file, now, segment.offset).at("write", &open.path)?;
            if let Some(flusher) = &self.flusher {
                flusher.written(&open, segment.size_bytes)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Reads bytes from their place in the stream.
    pub(crate) fn read(&self, manifest: &Manifest, begin: u64, bytes: &mut [u8]) -> Result<()> {
        let mut at = 0;
        for segment in manifest.segments(begin..begin + bytes.len() as u64) {
            let size = usize::try_from(segment.size_bytes)
                .map_err(|_| Error::internal("a segment beyond a buffer"))?;
            let open = self.open(manifest, segment.file)?;
            platform::read_exact_at(&open.file, &mut bytes[at..at + size], segment.offset)
                .at("read", &open.path)?;
            at += size;
        }
        Ok(())
    }

    /// Drops all files, so that the folder can be renamed on systems that mind; waits for the sync that is under way.
    pub(crate) fn close(&self) -> Result<()> {
        self.open.lock().clear();
        self.flusher.as_ref().map_or(Ok(()), Flusher::finish)
    }
}
