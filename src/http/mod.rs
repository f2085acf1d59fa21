//! One client for everything that is fetched: offline mode, redirects, credentials, retries and size limits.
//!
//! The layers above say what they want and from which mirrors; this one hides how a server is talked to.

mod answer;
mod file;
mod resolver;
pub(crate) mod retry;
pub(crate) mod transport;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::config::RetryPolicy;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::progress::CancelToken;
use crate::secret::Secret;
use crate::settings::Token;
use crate::url::{Scheme, Url};

use retry::{Fault, decide};
use transport::{Request, Response, Transport, io_message};

/// How many redirects are followed, as browsers do it within an order of magnitude.
const MAX_REDIRECTS: usize = 10;

/// What is asked for beyond a URL.
#[derive(Debug, Clone, Default)]
pub(crate) struct GetOptions {
    /// Ask for these bytes only. The answer may still be the whole: see [`Body::is_range`].
    pub(crate) range: Option<Range<u64>>,
    /// Answer [`Answer::Unchanged`] when the entity tag is still this one.
    pub(crate) etag: Option<String>,
    /// Answer with the range only while the document's validator is this one; with the whole of another.
    pub(crate) if_range: Option<String>,
    /// The media type to ask for.
    pub(crate) accept: Option<&'static str>,
}

/// A body under way.
pub(crate) struct Body {
    /// Where the bytes came from in the end, after redirects.
    pub(crate) url: Url,
    /// Whether it is the range that was asked for; else it is the whole document.
    pub(crate) is_range: bool,
    /// The size of the body, when the server says it.
    pub(crate) length: Option<u64>,
    /// The size of the whole document, when it is a range and the server says it.
    pub(crate) total: Option<u64>,
    /// The validator of this state of the document.
    pub(crate) etag: Option<String>,
    /// Where the next page of a list is.
    pub(crate) next: Option<String>,
    reader: Box<dyn Read + Send>,
}

/// The answer to a conditional request.
pub(crate) enum Answer {
    Body(Box<Body>),
    Unchanged,
}

/// One failed request: the error, and whether to try again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) fault: Fault,
}

impl Failure {
    pub(crate) fn last(error: Error) -> Self {
        Self {
            error,
            fault: Fault::Final,
        }
    }

    pub(crate) fn transient(error: Error) -> Self {
        Self {
            error,
            fault: Fault::Transient,
        }
    }
}

/// Sends requests through a transport. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    policy: RetryPolicy,
    tokens: Arc<[Token]>,
    offline: bool,
}

impl Client {
    pub(crate) fn new(transport: Arc<dyn Transport>, policy: RetryPolicy, offline: bool) -> Self {
        Self {
            transport,
            policy,
            tokens: Arc::default(),
            offline,
        }
    }

    /// The same client with tokens, each for one origin; a URL that has a password of its own goes without.
    pub(crate) fn with_tokens(self, tokens: &[Token]) -> Self {
        Self {
            tokens: tokens.into(),
            ..self
        }
    }

    fn authorization(&self, url: &Url) -> Option<Secret> {
        let token = || {
            // A server may have its interface below its own URL, with a token of another form.
            let of_url = self
                .tokens
                .iter()
                .filter(|token| token.origin.is_above(url));
            let nearest = of_url.max_by_key(|token| token.origin.expose().len())?;
            Some(nearest.authorization.clone())
        };
        url.basic_authorization().or_else(token)
    }

    /// The same client, with or without the network.
    pub(crate) fn with_offline(&self, offline: bool) -> Self {
        Self {
            offline: self.offline || offline,
            ..self.clone()
        }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Sends one request and follows its redirects.
    pub(crate) fn get(
        &self,
        url: &Url,
        options: &GetOptions,
        cancel: &CancelToken,
    ) -> Result<Answer, Failure> {
        let mut url = url.clone();
        let mut authorization = self.authorization(&url);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, options, authorization.as_ref(), cancel)?;
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return answer::read(url, response, options, authorization.is_some());
            }
            let location = response.header("location").unwrap_or_default();
            let target = url.redirect(location).map_err(|error| {
                Failure::last(network(
                    &url,
                    Some(response.status),
                    "the server redirects to nowhere",
                    Some(error.into()),
                ))
            })?;
            if url.scheme() == Scheme::Https && target.scheme() != Scheme::Https {
                let message = "the server redirects from https to plain http";
                return Err(Failure::last(network(
                    &url,
                    Some(response.status),
                    message,
                    None,
                )));
            }
            if !url.same_origin(&target) {
                authorization = None;
            }
            url = target;
        }
        Err(Failure::last(network(
            &url,
            None,
            "the server redirects without end",
            None,
        )))
    }

    fn send(
        &self,
        url: &Url,
        options: &GetOptions,
        authorization: Option<&Secret>,
        cancel: &CancelToken,
    ) -> Result<Response, Failure> {
        if cancel.is_cancelled() {
            return Err(Failure::last(Error::from(ErrorKind::Cancelled)));
        }
        let mut headers = Vec::new();
        if let Some(range) = &options.range {
            headers.push((
                "range",
                Secret::new(format!(
                    "bytes={}-{}",
                    range.start,
                    range.end.saturating_sub(1)
                )),
            ));
        }
        if let Some(validator) = &options.if_range {
            headers.push(("if-range", Secret::new(validator.clone())));
        }
        if let Some(accept) = options.accept {
            headers.push(("accept", Secret::new(accept)));
        }
        if let Some(etag) = &options.etag {
            headers.push(("if-none-match", Secret::new(etag.clone())));
        }
        let request = |headers| Request::new(url, headers, cancel);
        let started = Instant::now();
        let result = if url.scheme() == Scheme::File {
            file::get(&request(&headers), options.range.as_ref())
        } else if self.offline {
            return Err(Failure::last(Error::from(ErrorKind::Offline {
                needed: url.to_string(),
            })));
        } else {
            if let Some(authorization) = authorization {
                if url.scheme() != Scheme::Https && !url.is_loopback() {
                    let message = "a password goes over https only";
                    return Err(Failure::last(Error::config(format!("{message} ({url})"))));
                }
                headers.push(("authorization", authorization.clone()));
            }
            self.transport.get(&request(&headers))
        };
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(response) => {
                debug!(%url, status = response.status, millis, "request");
                Ok(response)
            }
            Err(error) => {
                debug!(%url, error = %error.message, millis, "request failed");
                if cancel.is_cancelled() {
                    return Err(Failure::last(Error::from(ErrorKind::Cancelled)));
                }
                let fault = if error.transient {
                    Fault::Transient
                } else {
                    Fault::Final
                };
                Err(Failure {
                    error: network(url, None, &error.message, error.source),
                    fault,
                })
            }
        }
    }

    /// Tries each mirror in turn, and each as often as the policy says, until `attempt` succeeds. The first mirror's
    /// error is the one that is reported.
    ///
    /// `notify` learns of each wait: the number of the next try, how long, and why.
    pub(crate) fn with_retries<T>(
        &self,
        mirrors: &[Url],
        cancel: &CancelToken,
        notify: &dyn Fn(u32, Duration, &Error),
        mut attempt: impl FnMut(usize, &Url) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut first_error = None;
        for (mirror, url) in mirrors.iter().enumerate() {
            let mut tried = 0;
            loop {
                tried += 1;
                let Failure { error, fault } = match attempt(mirror, url) {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                };
                if cancel.is_cancelled() || error.is_cancelled() {
                    return Err(ErrorKind::Cancelled.into());
                }
                // A disk that is full, or a body that a registry may not send, is no fault of this mirror's line.
                if !is_of_the_server(&error) {
                    return Err(error);
                }
                let Some(wait) = decide(&self.policy, fault, tried, retry::random()) else {
                    first_error.get_or_insert(error);
                    break;
                };
                let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                debug!(%url, error = %error, attempt = tried + 1, wait_millis = millis, "retry");
                notify(tried + 1, wait, &error);
                if cancel.wait(wait) {
                    return Err(ErrorKind::Cancelled.into());
                }
            }
        }
        Err(first_error.unwrap_or_else(|| Error::internal("a request without a mirror")))
    }

    /// Fetches a document of any size from the first mirror that has it, into what `create` makes for each try. Returns
    /// that, how many bytes came, and from where.
    #[cfg(feature = "author")]
    pub(crate) fn fetch_into<T>(
        &self,
        mirrors: &[Url],
        max_bytes: u64,
        cancel: &CancelToken,
        create: impl Fn() -> Result<T>,
        write: impl Fn(&mut T, &[u8]) -> Result<()>,
    ) -> Result<(T, u64, Url)> {
        self.with_retries(mirrors, cancel, &|_, _, _| {}, |_, url| {
            match self.get(url, &GetOptions::default(), cancel)? {
                Answer::Body(mut body) => {
                    let mut target = create().map_err(Failure::last)?;
                    let mut take = |piece: &[u8]| write(&mut target, piece);
                    let bytes = body.copy_to(max_bytes, cancel, &mut take)?;
                    Ok((target, bytes, url.clone()))
                }
                Answer::Unchanged => Err(unasked(url)),
            }
        })
    }

    /// Fetches a small document whole, from the first mirror that has it.
    ///
    /// `accept` checks it; what it refuses as transient is fetched again.
    pub(crate) fn document<T>(
        &self,
        mirrors: &[Url],
        max_bytes: u64,
        cancel: &CancelToken,
        accept: impl Fn(&Url, Vec<u8>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.with_retries(mirrors, cancel, &|_, _, _| {}, |_, url| {
            match self.get(url, &GetOptions::default(), cancel)? {
                Answer::Body(mut body) => {
                    let bytes = body.read_whole(max_bytes, cancel)?;
                    accept(url, bytes)
                }
                Answer::Unchanged => Err(unasked(url)),
            }
        })
    }
}

/// An answer that only a conditional request may get.
fn unasked(url: &Url) -> Failure {
    let message = "an answer to a question nobody asked";
    Failure::last(network(url, Some(304), message, None))
}

fn is_of_the_server(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Network { .. }
            | ErrorKind::RateLimited { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::HashMismatch { .. }
            | ErrorKind::SizeMismatch { .. }
            | ErrorKind::Registry { .. }
    )
}

impl Body {
    /// Reads some bytes; 0 at the end.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        cancel: &CancelToken,
    ) -> Result<usize, Failure> {
        loop {
            return match self.reader.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                _ if cancel.is_cancelled() => Err(Failure::last(Error::from(ErrorKind::Cancelled))),
                Ok(read) => Ok(read),
                Err(error) => Err(Failure::transient(network(
                    &self.url,
                    None,
                    &io_message(&error),
                    Some(error.into()),
                ))),
            };
        }
    }

    /// Reads everything, unless it is more than `max_bytes`.
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

    /// Passes everything on in pieces, unless it is more than `max_bytes`; returns how much it was.
    pub(crate) fn copy_to(
        &mut self,
        max_bytes: u64,
        cancel: &CancelToken,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64, Failure> {
        let too_large = || {
            Failure::last(Error::registry(
                &self.url,
                format!("the document is larger than {max_bytes} bytes"),
            ))
        };
        if self.length.is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let mut buffer = vec![0_u8; 64 << 10];
        let mut total = 0_u64;
        loop {
            let read = self.read(&mut buffer, cancel)?;
            if read == 0 {
                break;
            }
            total += read as u64;
            if total > max_bytes {
                return Err(Failure::last(Error::registry(
                    &self.url,
                    format!("the document is larger than {max_bytes} bytes"),
                )));
            }
            take(&buffer[..read]).map_err(Failure::last)?;
        }
        match self.length {
            Some(length) if length != total => Err(Failure::transient(network(
                &self.url,
                None,
                "the body ended early",
                None,
            ))),
            _ => Ok(total),
        }
    }
}

pub(crate) fn network(
    url: &Url,
    status: Option<u16>,
    message: &str,
    source: Option<BoxError>,
) -> Error {
    Error::from(ErrorKind::Network {
        url: Box::new(url.clone()),
        status,
        message: message.to_owned(),
        server_code: None,
        source,
    })
}
