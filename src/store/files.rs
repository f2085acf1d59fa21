//! A model's files, read and written as the one stream of bytes that its manifest cuts them from.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, IoContext, Result};
use crate::manifest::Manifest;
use crate::platform;
use crate::store::layout::file_in;

/// Opens each file of a model's folder once, and keeps as many open as a process may well have.
#[derive(Debug)]
pub(crate) struct FileSet {
    root: PathBuf,
    writable: bool,
    open: Mutex<HashMap<usize, Arc<File>>>,
}

/// Half of the usual limit of 256 open files on macOS.
const MAX_OPEN_FILES: usize = 128;

impl FileSet {
    pub(crate) fn new(root: PathBuf, writable: bool) -> Self {
        Self {
            root,
            writable,
            open: Mutex::default(),
        }
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn open(&self, manifest: &Manifest, file: usize) -> Result<Arc<File>> {
        if let Some(open) = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&file)
        {
            return Ok(open.clone());
        }
        let path = file_in(&self.root, &manifest.files()[file].path);
        let opened = OpenOptions::new()
            .read(true)
            .write(self.writable)
            .open(&path)
            .at("open", &path)?;
        let opened = Arc::new(opened);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
            let file = self.open(manifest, segment.file)?;
            platform::write_all_at(&file, now, segment.offset).at(
                "write",
                &file_in(&self.root, &manifest.files()[segment.file].path),
            )?;
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
            let file = self.open(manifest, segment.file)?;
            platform::read_exact_at(&file, &mut bytes[at..at + size], segment.offset).at(
                "read",
                &file_in(&self.root, &manifest.files()[segment.file].path),
            )?;
            at += size;
        }
        Ok(())
    }

    /// Drops all files, so that the folder can be renamed on systems that mind.
    pub(crate) fn close(&self) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
