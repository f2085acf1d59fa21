//! The body of a response while it is received.
//!
//! TLS gives up one record of at most 16 KiB at a time, and a socket as little as a packet. Whoever reads would hash, write
//! and count each of these alone. So a read gathers: it goes on until the buffer is full, the body is complete, or
//! [`GATHERING`] is over, counted from when it began. Then
//!
//! - a slow connection fills no buffer: what took that long is passed on at once, several times a second;
//! - a failure, or a cancellation, waits until what came before it has been passed on;
//! - only what came within [`GATHERING`] before a fast connection stalls waits with it, and that is less than one buffer.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::builtin::io_message;
use super::page::PageSigns;
use super::resume::{Origin, ended_early};
use super::{Failure, Validators, network};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::CancelToken;
use crate::rate_limit::RateLimit;
use crate::size::size;
use crate::url::Url;

/// How long a read waits for more than the first bytes: unnoticed by those who watch the progress, and long enough to
/// fill a worker's 512 KiB on any connection of more than 5 MiB/s.
const GATHERING: Duration = Duration::from_millis(100);

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
    /// All headers, for a request that [wants them](super::GetOptions::wants_headers).
    pub(crate) headers: Vec<(String, String)>,
    /// How much has been read.
    pub(super) at: u64,
    /// What the connection failed with behind the bytes that were read last.
    pub(super) cut: Option<Failure>,
    /// How to request the rest; `None` if that is impossible.
    pub(super) origin: Option<Origin>,
    pub(super) page: PageSigns,
    /// How fast it may come, and until when nothing more may be read for that.
    pub(super) limit: Option<RateLimit>,
    pub(super) paid_until: Duration,
    pub(super) reader: Box<dyn Read + Send>,
}

impl Body {
    /// Reads what comes within a short time, or fills the buffer; returns 0 at the end. If the connection fails, the rest is
    /// requested, see `resume`.
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
        let most = self.limit.as_ref().map(RateLimit::piece_bytes);
        let most = most.and_then(|most| usize::try_from(most).ok());
        let length = buffer.len().min(most.unwrap_or(usize::MAX));
        let read = self.gather(&mut buffer[..length], cancel, GATHERING)?;
        self.page.passed(&buffer[..read]);
        Ok(read)
    }

    /// Waits until what has been read is within the limit of how fast it may come; returns whether that took time.
    pub(crate) fn hold_back(&self, cancel: &CancelToken) -> bool {
        let limit = self.limit.as_ref();
        limit.is_some_and(|limit| limit.wait_until(self.paid_until, cancel))
    }

    fn gather(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancelToken,
        time: Duration,
    ) -> Result<usize, Failure> {
        let begun = Instant::now();
        let mut filled = self.receive(buffer, cancel)?;
        while (1..buffer.len()).contains(&filled) && !self.is_complete() && begun.elapsed() < time {
            match self.read_once(&mut buffer[filled..], cancel) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(failure) => {
                    self.cut = Some(failure);
                    break;
                }
            }
        }
        Ok(filled)
    }

    /// Reads what comes first; if the connection fails, of what is requested again.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancelToken,
    ) -> Result<usize, Failure> {
        loop {
            let read = match self.cut.take() {
                Some(failure) => Err(failure),
                None => self.read_once(buffer, cancel),
            };
            match read {
                Ok(read) => return Ok(read),
                Err(failure) => self.go_on(failure, cancel)?,
            }
        }
    }

    fn read_once(&mut self, buffer: &mut [u8], cancel: &CancelToken) -> Result<usize, Failure> {
        let since = self.limit.as_ref().map(RateLimit::now);
        let read = loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            _ if cancel.is_cancelled() => Err(Failure::last(ErrorKind::Cancelled)),
            // All is here, however the connection ends.
            Err(_) if self.is_complete() => Ok(0),
            Ok(0) if self.length.is_some_and(|length| self.at < length) => {
                Err(ended_early(&self.url))
            }
            Ok(read) => {
                self.at += read as u64;
                if let (Some(limit), Some(since)) = (&self.limit, since) {
                    self.paid_until = limit.take(since, read as u64);
                }
                Ok(read)
            }
            Err(error) => {
                let message = io_message(&error);
                let error = network(&self.url, None, message, Some(error.into()));
                Err(Failure::transient(error))
            }
        }
    }

    /// Returns whether all is read that the server announced.
    fn is_complete(&self) -> bool {
        self.length.is_some_and(|length| self.at >= length)
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
                let message = format!("the document is larger than {}", size(max_bytes));
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
            self.tell(total);
            self.hold_back(cancel);
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::PageSigns;

    /// What TLS gives up at once.
    const RECORD: usize = 16 << 10;
    const FOREVER: Duration = Duration::MAX;

    /// Gives up a record for each read, and then does what it is told.
    struct Records<F> {
        left: usize,
        end: F,
    }

    impl<F: FnMut() -> io::Result<usize>> Read for Records<F> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return (self.end)();
            }
            self.left -= 1;
            let length = RECORD.min(buffer.len());
            buffer[..length].fill(7);
            Ok(length)
        }
    }

    fn body(
        records: usize,
        length: Option<usize>,
        end: impl FnMut() -> io::Result<usize> + Send + 'static,
    ) -> Body {
        let url = Url::parse("https://models.example.org/data/x").unwrap();
        Body {
            is_range: false,
            length: length.map(|length| length as u64),
            total: None,
            validators: Validators::default(),
            next: None,
            headers: Vec::new(),
            at: 0,
            cut: None,
            origin: None,
            page: PageSigns::new(&url, None, None),
            limit: None,
            paid_until: Duration::ZERO,
            reader: Box::new(Records { left: records, end }),
            url,
        }
    }

    /// Reads to the end, or up to a failure; returns the size of each piece.
    fn pieces(
        body: &mut Body,
        cancel: &CancelToken,
        time: Duration,
    ) -> (Vec<usize>, Result<(), Failure>) {
        let mut buffer = vec![0; 256 << 10];
        let mut pieces = Vec::new();
        loop {
            match body.gather(&mut buffer, cancel, time) {
                Ok(0) => return (pieces, Ok(())),
                Ok(read) => pieces.push(read),
                Err(failure) => return (pieces, Err(failure)),
            }
        }
    }

    #[test]
    fn records_are_passed_on_by_the_buffer_and_not_one_by_one() {
        for length in [None, Some(128 * RECORD)] {
            let mut body = body(128, length, || Ok(0));
            let (pieces, end) = pieces(&mut body, &CancelToken::new(), FOREVER);
            assert_eq!(pieces, [16 * RECORD; 8]);
            end.unwrap();
        }
    }

    #[test]
    fn nothing_is_waited_for_once_the_time_is_over_or_all_is_here() {
        let mut slow = body(5, None, || Ok(0));
        let (passed, _) = pieces(&mut slow, &CancelToken::new(), Duration::ZERO);
        assert_eq!(passed, [RECORD; 5]);
        let mut whole = body(5, Some(5 * RECORD), || panic!("it would wait"));
        let mut buffer = vec![0; 256 << 10];
        let read = whole.gather(&mut buffer, &CancelToken::new(), FOREVER);
        assert_eq!(read.unwrap(), 5 * RECORD);
    }

    #[test]
    fn what_came_before_a_failure_or_the_end_of_a_stall_is_passed_on_first() {
        type End = fn() -> io::Result<usize>;
        let ends: [(End, &str); 3] = [
            (
                || Err(io::ErrorKind::ConnectionReset.into()),
                "connection lost",
            ),
            (|| Err(io::ErrorKind::TimedOut.into()), "timed out"),
            (|| Ok(0), "ended early"),
        ];
        for (end, words) in ends {
            let mut body = body(18, Some(100 * RECORD), end);
            let (pieces, failed) = pieces(&mut body, &CancelToken::new(), FOREVER);
            assert_eq!(pieces, [16 * RECORD, 2 * RECORD], "{words}");
            let error = failed.unwrap_err().error.to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_came_before_a_cancellation_is_passed_on_and_nothing_is_read_after_it() {
        let cancel = CancelToken::new();
        let (stop, mut reads) = (cancel.clone(), 0);
        let mut body = body(3, None, move || {
            reads += 1;
            assert_eq!(reads, 1);
            stop.cancel();
            Err(io::ErrorKind::NotConnected.into())
        });
        let (pieces, failed) = pieces(&mut body, &cancel, FOREVER);
        assert_eq!(pieces, [3 * RECORD]);
        assert!(failed.unwrap_err().error.is_cancelled());
    }
}
