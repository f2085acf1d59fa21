//! A file of unknown size as it arrives, over as many responses and pulls as it takes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::digest::Expected;
use crate::disk::space::check_space;
use crate::engine::transfer::receive::Receiver;
use crate::error::{Error, IoContext, Result};
use crate::http::{Body, Failure, GetOptions};
use crate::manifest::ManifestFile;
use crate::relpath::RelPath;
use crate::store::journal::STEP_BYTES;
use crate::store::layout::file_in;
use crate::store::partial::{MeasuredFile, PartialWriter};
use crate::url::Url;

/// A larger file is left to the transfer: few enough bytes to be fetched one after another, and enough of them to make the
/// second request of such a file cheap.
const MEASURED_BYTES: u64 = 4 << 20;
/// After this much of a body of unknown length, the free space on the disk is checked again.
const SPACE_STEP_BYTES: u64 = 8 << 20;

/// What has arrived of a file.
#[derive(Debug)]
pub(super) struct ArrivingFile<'a> {
    index: usize,
    listed: &'a ManifestFile,
    partial: &'a PartialWriter,
    receiver: &'a Receiver<'a>,
    path: PathBuf,
    file: File,
    here_bytes: u64,
    /// Up to where the partial lists what has arrived.
    noted_bytes: u64,
    /// How much of it an earlier pull left.
    pub(super) resumed_bytes: u64,
}

impl<'a> ArrivingFile<'a> {
    /// Opens a file of which an earlier pull listed that many bytes.
    pub(super) fn open(
        (index, listed): (usize, &'a ManifestFile),
        begun_bytes: u64,
        partial: &'a PartialWriter,
        receiver: &'a Receiver<'a>,
    ) -> Result<Self> {
        let path = file_in(&partial.files_dir(), &listed.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).at("create", &path)?;
        let length = file.metadata().at("read", &path)?.len();
        // The last byte comes again, so that there is something to request.
        let here_bytes = begun_bytes.min(length).saturating_sub(1);
        Ok(Self {
            index,
            listed,
            partial,
            receiver,
            path,
            file,
            here_bytes,
            noted_bytes: here_bytes,
            resumed_bytes: here_bytes,
        })
    }

    /// Returns how much is here.
    pub(super) fn here_bytes(&self) -> u64 {
        self.here_bytes
    }

    /// Fetches what is missing, and verifies all of it. What has arrived when that fails is kept, unless it is wrong.
    pub(super) fn fetch(&mut self, url: &Url, buffer: &mut [u8]) -> Result<MeasuredFile, Failure> {
        let options = GetOptions {
            has_digest: self.listed.digest.is_some(),
            is_checked: true,
            ..GetOptions::default()
        };
        let mut body = match self.here_bytes {
            0 => self.receiver.get(url, &options)?,
            begin => self.receiver.get_range(url, begin..u64::MAX, &options)?,
        };
        if !body.is_range {
            (self.here_bytes, self.noted_bytes, self.resumed_bytes) = (0, 0, 0);
            if let Some(size_bytes) = body.length.filter(|length| *length > MEASURED_BYTES) {
                return Ok(MeasuredFile::missing(size_bytes));
            }
        }
        let size_bytes = self.here_bytes + body.length.unwrap_or_default();
        let mut expected = Expected::new(self.listed.digest, size_bytes);
        let taken = match self.hash_kept(&mut expected, buffer) {
            Ok(()) => self.take_in(url, &mut body, &mut expected, buffer),
            Err(error) => Err(Failure::last(error)),
        };
        if taken.is_err() {
            self.note(1).map_err(Failure::last)?;
        }
        let met = taken.and_then(|()| {
            let met = expected.met(|| format!("the response from {url}"));
            met.map_err(|error| match self.begin_anew() {
                Ok(()) => Failure::transient(error),
                Err(error) => Failure::last(error),
            })
        });
        met.map_err(|failure| self.receiver.explain(&mut body, failure))?;
        Ok(MeasuredFile {
            size_bytes: self.here_bytes,
            is_here: true,
        })
    }

    /// Hashes what is here, and drops what lies behind it.
    fn hash_kept(&mut self, expected: &mut Expected, buffer: &mut [u8]) -> Result<()> {
        self.file.set_len(self.here_bytes).at("write", &self.path)?;
        self.file.seek(SeekFrom::Start(0)).at("read", &self.path)?;
        loop {
            self.receiver.stop.check()?;
            match self.file.read(buffer).at("read", &self.path)? {
                0 => return Ok(()),
                read => expected.update(&buffer[..read]),
            }
            self.partial.touch();
        }
    }

    /// Writes a body behind what is here.
    fn take_in(
        &mut self,
        url: &Url,
        body: &mut Body,
        expected: &mut Expected,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let (receiver, space_step) = (self.receiver, body.length.unwrap_or(SPACE_STEP_BYTES));
        let mut room_bytes = 0;
        let mut take = |at: u64, piece: &[u8]| {
            if at >= room_bytes {
                check_space(self.partial.bulk_dir(), space_step)?;
                room_bytes = at + space_step;
            }
            if self.here_bytes == 0 && self.listed.digest.is_none() {
                refuse_pointer(url, &self.listed.path, piece)?;
            }
            expected.update(piece);
            self.file.write_all(piece).at("write", &self.path)?;
            self.here_bytes += piece.len() as u64;
            self.note(STEP_BYTES)
        };
        let received = receiver.receive_any(body, buffer, &mut take);
        received.map(|_| ())
    }

    /// Lists what is here if it is that much more than before.
    fn note(&mut self, step_bytes: u64) -> Result<()> {
        if self.here_bytes >= self.noted_bytes + step_bytes {
            self.partial.note_begun(self.index, self.here_bytes)?;
            self.noted_bytes = self.here_bytes;
        }
        Ok(())
    }

    /// Drops what is here.
    fn begin_anew(&mut self) -> Result<()> {
        (self.here_bytes, self.noted_bytes, self.resumed_bytes) = (0, 0, 0);
        self.partial.note_begun(self.index, 0)
    }
}

/// Refuses the pointer to a file in [Git LFS], which servers send instead of the file, if no digest would show it.
///
/// [Git LFS]: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
fn refuse_pointer(url: &Url, path: &RelPath, beginning: &[u8]) -> Result<()> {
    if beginning.starts_with(b"version https://git-lfs.github.com/spec/") {
        let message = format!("the server sent a Git LFS pointer instead of the file '{path}'");
        return Err(Error::registry(url, message));
    }
    Ok(())
}
