//! Receiving the bodies of one pull: from the mirror that works, counted, and interrupted when the pull stops.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::engine::transfer::connections::Connections;
use crate::engine::transfer::tally::Tally;
use crate::error::{Error, ErrorKind, Result};
use crate::http::arrivals::Arrivals;
use crate::http::call::Call;
use crate::http::{Body, Failure, GetOptions};
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::store::partial::PartialWriter;
use crate::url::Url;

/// Takes a piece of a body, with where it begins.
pub(crate) type Take<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<()>;

/// Receives what the workers of one pull request.
#[derive(Debug)]
pub(crate) struct Receiver<'a> {
    call: Call,
    tally: &'a Tally,
    partial: &'a PartialWriter,
    pub(crate) connections: Connections,
    pub(crate) stop: CancelToken,
    /// The mirror that worked last.
    mirror: AtomicUsize,
    /// Documents that were served in ranges, by URL.
    ranged: Mutex<HashMap<String, RangeOrigin>>,
}

/// What the first range of a document revealed.
#[derive(Debug, Clone)]
struct RangeOrigin {
    /// Where redirects led: the next ranges are requested there.
    target: Url,
    /// The validator of the state that the range belongs to.
    validator: Option<String>,
}

impl<'a> Receiver<'a> {
    /// Receives over as many connections as wanted, or as help.
    pub(crate) fn new(
        call: &Call,
        tally: &'a Tally,
        partial: &'a PartialWriter,
        connections: Option<usize>,
    ) -> Self {
        let stop = call.cancel.child();
        Self {
            call: call.clone(),
            tally,
            partial,
            connections: Connections::new(connections, stop.clone()),
            stop,
            mirror: AtomicUsize::default(),
            ranged: Mutex::default(),
        }
    }

    /// Begins with this mirror, which comes first until another one works.
    pub(crate) fn beginning_at(self, number: usize) -> Self {
        self.mirror.store(number, Ordering::Relaxed);
        self
    }

    /// Returns how many bytes arrived, failed attempts included.
    pub(crate) fn network_bytes(&self) -> u64 {
        self.connections.bytes()
    }

    /// Tries the mirrors of a document, each as often as the client's policy says, until `attempt` succeeds.
    pub(crate) fn with_mirrors<T>(
        &self,
        mut mirrors: Vec<Url>,
        mut attempt: impl FnMut(&Url) -> Result<T, Failure>,
    ) -> Result<T> {
        if mirrors.is_empty() {
            return Err(Error::internal("a part has no location"));
        }
        let count = mirrors.len();
        // What worked last comes first; the order of the rest stays.
        let first = self.mirror.load(Ordering::Relaxed) % count;
        mirrors.rotate_left(first);
        let notify = |tries: u32, wait: Duration, error: &Error| {
            self.tally.retrying(tries, wait, error);
        };
        self.call
            .client
            .with_retries(&mirrors, &self.stop, &notify, |at, url| {
                let result = attempt(url);
                if result.is_ok() {
                    self.mirror.store((first + at) % count, Ordering::Relaxed);
                }
                result
            })
    }

    /// Requests a document, or a range of it, that is a part of a model: what has no digest is of a commit. Fails as if
    /// cancelled if the connection is one too many, see [`Receiver::is_withdrawn`].
    pub(crate) fn get(&self, url: &Url, options: &GetOptions) -> Result<Body, Failure> {
        let options = GetOptions {
            is_checked: true,
            ..options.clone()
        };
        let answer = self.connections.waiting(|cancel| {
            let call = Call {
                cancel: cancel.clone(),
                ..self.call.clone()
            };
            call.body(url, &options)
        });
        match &answer {
            Ok(_) => self.connections.answered(),
            Err(failure) if self.connections.failed(failure) => {
                return Err(Failure::last(ErrorKind::Cancelled));
            }
            Err(_) => {}
        }
        answer
    }

    /// Reads some bytes of a body; returns 0 at the end.
    pub(crate) fn read(&self, body: &mut Body, buffer: &mut [u8]) -> Result<usize, Failure> {
        let read = self
            .connections
            .waiting(|cancel| body.read(buffer, cancel))?;
        // It does not wait for the server now.
        if body.hold_back(&self.stop) {
            self.connections.held_back(read as u64);
        }
        Ok(read)
    }

    /// Whether the calling worker has to leave what is left of its job to another one, although nothing has failed for good.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.connections.is_withdrawn()
    }

    /// Requests a range, directly from where redirects led the first time as long as that works. The response is the whole
    /// document if the server does not support ranges, or if the document has changed since the first range. Where something
    /// else shows that, the nodes of a server may have tags of their own.
    pub(crate) fn get_range(
        &self,
        url: &Url,
        range: Range<u64>,
        options: &GetOptions,
    ) -> Result<Body, Failure> {
        let key = url.expose();
        let known = self.ranged.lock().get(&key).cloned();
        let options = GetOptions {
            range: Some(range),
            if_range: known
                .as_ref()
                .filter(|_| !options.is_checked)
                .and_then(|known| known.validator.clone()),
            ..options.clone()
        };
        if let Some(known) = known.filter(|known| known.target != *url) {
            match self.get(&known.target, &options) {
                // A signed URL expires.
                Err(failure) if !failure.error.is_cancelled() => {
                    self.ranged.lock().remove(&key);
                }
                result => return result,
            }
        }
        let body = self.get(url, &options)?;
        if body.is_range {
            let is_strong = |etag: &String| !etag.starts_with("W/");
            let ranged = RangeOrigin {
                target: body.url.clone(),
                validator: body.validators.etag.clone().filter(is_strong),
            };
            self.ranged.lock().entry(key).or_insert(ranged);
        } else {
            self.ranged.lock().remove(&key);
        }
        Ok(body)
    }

    /// Explains why the bytes of a body are wrong.
    pub(crate) fn explain(&self, body: &mut Body, failure: Failure) -> Failure {
        body.explain(failure, &self.stop)
    }

    /// Passes a body of this size on; it is an error if the body is shorter or longer.
    pub(crate) fn receive(
        &self,
        body: &mut Body,
        size_bytes: u64,
        buffer: &mut [u8],
        take: Take<'_>,
    ) -> Result<(), Failure> {
        let length = *body.length.get_or_insert(size_bytes);
        if length != size_bytes {
            return Err(wrong_length(body, size_bytes, length));
        }
        match self.pass_on(body, Some(size_bytes), buffer, take)? {
            received if received == size_bytes => Ok(()),
            received => Err(wrong_length(body, size_bytes, received)),
        }
    }

    /// Passes the next bytes of a body on, which must have as many.
    pub(crate) fn receive_some(
        &self,
        body: &mut Body,
        size_bytes: u64,
        buffer: &mut [u8],
        take: Take<'_>,
    ) -> Result<(), Failure> {
        match self.pass_on_until(body, size_bytes, buffer, take)? {
            received if received == size_bytes => Ok(()),
            received => Err(wrong_length(body, size_bytes, received)),
        }
    }

    /// Passes a body of any size on; returns its size.
    pub(crate) fn receive_any(
        &self,
        body: &mut Body,
        buffer: &mut [u8],
        take: Take<'_>,
    ) -> Result<u64, Failure> {
        let length = body.length;
        self.pass_on(body, length, buffer, take)
    }

    /// Passes a body on until it ends, or one byte beyond the expected size.
    fn pass_on(
        &self,
        body: &mut Body,
        expected_bytes: Option<u64>,
        buffer: &mut [u8],
        take: Take<'_>,
    ) -> Result<u64, Failure> {
        let at = self.pass_on_until(body, expected_bytes.unwrap_or(u64::MAX), buffer, take)?;
        match expected_bytes {
            // Once all is there, one more read ends the body, so that the connection can be reused, or shows a surplus.
            Some(expected) if at == expected => Ok(at + self.read(body, &mut buffer[..1])? as u64),
            _ => Ok(at),
        }
    }

    /// Passes a body on until it ends, or up to so many bytes.
    fn pass_on_until(
        &self,
        body: &mut Body,
        most_bytes: u64,
        buffer: &mut [u8],
        take: Take<'_>,
    ) -> Result<u64, Failure> {
        let mut at = 0;
        let result = loop {
            let left = usize::try_from(most_bytes - at).unwrap_or(usize::MAX);
            let length = left.min(buffer.len());
            if length == 0 {
                break Ok(at);
            }
            let read = match self.read(body, &mut buffer[..length]) {
                Ok(0) => break Ok(at),
                Ok(read) => read,
                Err(failure) => break Err(failure),
            };
            self.count(read as u64);
            let taken = take(at, &buffer[..read]);
            at += read as u64;
            if let Err(error) = taken {
                break Err(Failure::last(error));
            }
        };
        self.tally.landed(at);
        result
    }

    /// Counts bytes that arrived.
    pub(crate) fn count(&self, bytes: u64) {
        self.tally.received(bytes);
        self.connections.count(bytes);
        self.partial.touch();
    }

    /// Counts bytes that were written or discarded.
    pub(crate) fn landed(&self, bytes: u64) {
        self.tally.landed(bytes);
    }
}

fn wrong_length(body: &Body, expected_bytes: u64, actual_bytes: u64) -> Failure {
    Failure::transient(Error::from(ErrorKind::SizeMismatch {
        what: format!("the response from {}", body.url),
        expected_bytes,
        actual_bytes,
    }))
}
