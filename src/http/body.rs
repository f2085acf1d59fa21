//! The body of a response while it is received.

use std::io::{self, Read};

use super::builtin::io_message;
use super::page::PageSigns;
use super::resume::{Origin, ended_early};
use super::{Failure, Validators, network};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::CancelToken;
use crate::url::Url;

/// A response body that is being received.
pub(crate) struct Body {
    /// Where the bytes come from, after redirects.
    pub(crate) url: Url,
    /// Whether this is the requested range and not the whole document.
    pub(crate) is_range: bool,
    /// The size of the body, if the server announces it.
    pub(crate) length: Option<u64>,
    /// The size of the whole document, for a range and if the server announces it.
    pub(crate) total: Option<u64>,
    pub(crate) validators: Validators,
    /// The reference to the next page of a list.
    pub(crate) next: Option<String>,
    /// All headers, for a request with [`GetOptions::until`](super::GetOptions::until).
    pub(crate) headers: Vec<(String, String)>,
    /// How much has been read.
    pub(super) at: u64,
    /// How to request the rest; `None` if that is impossible.
    pub(super) origin: Option<Origin>,
    pub(super) page: PageSigns,
    pub(super) reader: Box<dyn Read + Send>,
}

impl Body {
    /// Reads some bytes; returns 0 at the end. If the connection fails, the rest is requested, see `resume`.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancelToken,
    ) -> Result<usize, Failure> {
        self.refuse_page(cancel)?;
        match self.page.replay(buffer) {
            0 => {}
            replayed => return Ok(replayed),
        }
        let read = self.receive(buffer, cancel)?;
        self.page.passed(&buffer[..read]);
        Ok(read)
    }

    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancelToken,
    ) -> Result<usize, Failure> {
        loop {
            let failure = match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ if cancel.is_cancelled() => return Err(Failure::last(ErrorKind::Cancelled)),
                // All is here, however the connection ends.
                Err(_) if self.length.is_some_and(|length| self.at >= length) => return Ok(0),
                Ok(0) if self.length.is_some_and(|length| self.at < length) => {
                    ended_early(&self.url)
                }
                Ok(read) => {
                    self.at += read as u64;
                    return Ok(read);
                }
                Err(error) => {
                    let message = io_message(&error);
                    let error = network(&self.url, None, message, Some(error.into()));
                    Failure::transient(error)
                }
            };
            self.go_on(failure, cancel)?;
        }
    }

    /// Reads the whole body, up to `max_bytes`.
    pub(crate) fn read_whole(
        &mut self,
        max_bytes: u64,
        cancel: &CancelToken,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        self.copy_to(max_bytes, cancel, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Passes the whole body on in pieces, up to `max_bytes`; returns its size.
    pub(crate) fn copy_to(
        &mut self,
        max_bytes: u64,
        cancel: &CancelToken,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64, Failure> {
        let check = |size_bytes: u64, url: &Url| match size_bytes > max_bytes {
            true => {
                let message = format!("the document is larger than {max_bytes} bytes");
                Err(Failure::last(Error::registry(url, message)))
            }
            false => Ok(()),
        };
        check(self.length.unwrap_or_default(), &self.url)?;
        let mut buffer = vec![0_u8; 64 << 10];
        let mut total = 0_u64;
        loop {
            let read = self.read(&mut buffer, cancel)?;
            if read == 0 {
                break;
            }
            total += read as u64;
            check(total, &self.url)?;
            take(&buffer[..read]).map_err(Failure::last)?;
        }
        Ok(total)
    }
}
