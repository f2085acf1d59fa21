//! A model's files, read and written as the one stream of bytes that its manifest cuts into them.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::check_openable;
use crate::error::{Error, IoContext, Result};
use crate::manifest::Manifest;
use crate::mutex::Mutex;
use crate::platform;
use crate::store::flush::{Flusher, OpenFile};
use crate::store::layout::file_in;

/// The files of a model's folder. Each is opened once, and as many stay open as a process may well have.
#[derive(Debug)]
pub(crate) struct FileSet {
    manifest: Arc<Manifest>,
    root: PathBuf,
    is_writable: bool,
    /// `None` if nobody waits for the disk.
    flusher: Option<Flusher>,
    open: Mutex<HashMap<usize, Arc<OpenFile>>>,
}

/// Half of the usual limit of 256 open files on macOS.
const MAX_OPEN_FILES: usize = 128;

impl FileSet {
    /// Creates a set of files that are only read.
    pub(crate) fn new(manifest: Arc<Manifest>, root: PathBuf) -> Self {
        Self {
            manifest,
            root,
            is_writable: false,
            flusher: None,
            open: Mutex::default(),
        }
    }

    /// Creates a set of files that are written too, with what brings them to the disk, if somebody waits for that.
    pub(crate) fn writable(
        manifest: Arc<Manifest>,
        root: PathBuf,
        flusher: Option<Flusher>,
    ) -> Self {
        Self {
            is_writable: true,
            flusher,
            ..Self::new(manifest, root)
        }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn open(&self, file: usize) -> Result<Arc<OpenFile>> {
        if let Some(open) = self.open.lock().get(&file) {
            return Ok(open.clone());
        }
        let path = file_in(&self.root, &self.manifest.files()[file].path);
        if !self.is_writable {
            check_openable(&path).at("open", &path)?;
        }
        let opened = OpenOptions::new()
            .read(true)
            .write(self.is_writable)
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
    pub(crate) fn write(&self, begin: u64, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for segment in self.manifest.segments(begin..begin + bytes.len() as u64) {
            let size = usize::try_from(segment.size_bytes)
                .map_err(|_| Error::internal("a segment exceeds its buffer"))?;
            let (now, later) = rest.split_at(size);
            let open = self.open(segment.file)?;
            open.write(now, segment.offset)?;
            if let Some(flusher) = &self.flusher {
                flusher.written(&open, segment.size_bytes)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Reads bytes from their place in the stream.
    pub(crate) fn read(&self, begin: u64, bytes: &mut [u8]) -> Result<()> {
        let mut at = 0;
        for segment in self.manifest.segments(begin..begin + bytes.len() as u64) {
            let size = usize::try_from(segment.size_bytes)
                .map_err(|_| Error::internal("a segment exceeds its buffer"))?;
            let open = self.open(segment.file)?;
            platform::read_exact_at(&open.file, &mut bytes[at..at + size], segment.offset)
                .at("read", &open.path)?;
            at += size;
        }
        Ok(())
    }

    /// Closes all files, so that the folder can be renamed on systems that mind, and waits for the sync that is running.
    pub(crate) fn close(&self) -> Result<()> {
        self.open.lock().clear();
        self.flusher.as_ref().map_or(Ok(()), Flusher::finish)
    }
}
