//! The client for everything that is fetched: offline mode, redirects, credentials, retries and size limits.
//!
//! The layers above name a document and its mirrors; this one hides how to talk to a server.

mod answer;
pub(crate) mod arrivals;
pub(crate) mod authority;
mod authorized;
pub(crate) mod aws;
mod body;
pub(crate) mod builtin;
pub(crate) mod call;
mod coding;
pub(crate) mod exchange;
mod failure;
mod file;
mod mirrors;
pub(crate) mod oci;
pub(crate) mod outgoing;
mod page;
pub(crate) mod reason;
mod resume;
pub(crate) mod retry;
mod tars;
pub(crate) mod token;
pub(crate) mod transport;
pub(crate) mod waiting;
mod xml;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::config::RetryPolicy;
use crate::error::{Error, ErrorKind, Result};
use crate::mutex::Mutex;
use crate::progress::CancelToken;
use crate::rate_limit::RateLimit;
use crate::secret::Secret;
use crate::settings::{ConfiguredRate, Offline};
use crate::url::{Scheme, Url};

pub(crate) use body::Body;
pub(crate) use failure::{Failure, network};

use answer::Access;
use authority::{Authority, Authorization};
use outgoing::Outgoing;
use resume::Origin;
use tars::Tars;
use token::Token;
use transport::{Method, Request, Response, Transport, TransportError};

/// How many redirects are followed; browsers allow about 20.
const MAX_REDIRECTS: usize = 10;

/// What to request beyond a URL.
#[derive(Debug, Clone, Default)]
pub(crate) struct GetOptions {
    /// Request these bytes only, or all from the first one on if the end is `u64::MAX`. The response may still be the whole
    /// document: see [`Body::is_range`].
    pub(crate) range: Option<Range<u64>>,
    /// Return [`Answer::Unchanged`] if the document still has these validators.
    pub(crate) known: Validators,
    /// Request the range only if the document still has this validator, and the whole document otherwise.
    pub(crate) if_range: Option<String>,
    /// The media type to request.
    pub(crate) accept: Option<&'static str>,
    /// Whether it is an ordinary answer that there is no such document.
    pub(crate) may_be_missing: bool,
    /// Whether the bytes of several responses may be put together even if nothing shows that they belong to one state of
    /// the document: it never changes, or what arrives is verified.
    pub(crate) is_checked: bool,
    /// Whether what comes is compared with a digest. Otherwise, a web page is refused: no document of a registry is one.
    pub(crate) has_digest: bool,
    /// Return the response of a redirect, too, if it has this header, in lower case.
    pub(crate) until: Option<&'static str>,
    /// Whether the headers of the response are wanted; those of a request with `until` always are.
    pub(crate) wants_headers: bool,
    /// The size of the document, if known: if it comes in this size, it is not decoded, whatever the server says.
    pub(crate) size_bytes: Option<u64>,
}

/// What tells one state of a document from another. A server may have either or both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    /// Only if the document cannot have changed again within the same second.
    pub(crate) last_modified: Option<String>,
}

impl Validators {
    /// Whether the server can be asked for changes.
    pub(crate) fn is_some(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

/// The response to a request that may be conditional.
pub(crate) enum Answer {
    Body(Box<Body>),
    Unchanged,
}

/// Sends requests through a transport. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    transport: Arc<dyn Transport>,
    policy: RetryPolicy,
    tokens: Arc<[Token]>,
    authority: Option<Arc<dyn Authority>>,
    offline: Offline,
    rate: ConfiguredRate,
    /// Which servers could not be reached with all tries, and when.
    unreachable: Arc<Mutex<HashMap<String, Instant>>>,
    tars: Arc<Tars>,
}

impl Client {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        policy: RetryPolicy,
        offline: Offline,
    ) -> Self {
        Self {
            transport,
            policy,
            tokens: Arc::default(),
            authority: None,
            offline,
            rate: Ok(None),
            unreachable: Arc::default(),
            tars: Arc::default(),
        }
    }

    /// Returns the client with tokens, each for one origin. A URL with a password of its own is requested without one, and
    /// a token is only sent over https or to this machine.
    pub(crate) fn with_tokens(self, mut tokens: Vec<Token>) -> Self {
        tokens.retain(Token::is_safe);
        Self {
            tokens: tokens.into(),
            ..self
        }
    }

    #[cfg(test)]
    pub(crate) fn token_origins(&self) -> Vec<String> {
        let tokens = self.tokens.iter();
        tokens.map(|token| token.origin().to_string()).collect()
    }

    fn token(&self, url: &Url) -> Option<&Token> {
        // The API of a server may be below its own URL, with a token of a different form.
        let tokens = self.tokens.iter();
        let for_url = tokens.filter(|token| token.is_for(url));
        for_url.max_by_key(|token| (token.origin().expose().len(), token.credential.is_some()))
    }

    /// Returns the client, offline if either it or `offline` is.
    pub(crate) fn with_offline(&self, offline: impl Into<Offline>) -> Self {
        let offline = match (offline.into(), &self.offline) {
            (Offline::No, own) | (_, own @ Offline::Variable(_)) => own.clone(),
            (offline, _) => offline,
        };
        Self {
            offline,
            ..self.clone()
        }
    }

    /// Returns the client with a limit of how fast bytes come.
    pub(crate) fn with_rate(&self, rate: ConfiguredRate) -> Self {
        Self {
            rate,
            ..self.clone()
        }
    }

    /// Returns how fast bytes may come, if that is limited.
    pub(crate) fn rate_limit(&self) -> Option<&RateLimit> {
        let limit = self.rate.as_ref().ok()?.as_ref();
        limit.filter(|limit| limit.is_limit())
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline != Offline::No
    }

    /// The error of what has to be fetched while the network may not be used.
    pub(crate) fn offline_error(&self, needed: impl Into<String>) -> Error {
        Error::from(ErrorKind::Offline {
            needed: needed.into(),
            variable: match &self.offline {
                Offline::Variable(variable) => Some(variable.clone()),
                _ => None,
            },
        })
    }

    /// Sends a request and follows its redirects. If a range was requested, and the server refuses it or sends another
    /// one, the whole document is requested: such servers may know no ranges, or just not how to label them.
    pub(crate) fn get(
        &self,
        url: &Url,
        options: &GetOptions,
        cancel: &CancelToken,
    ) -> Result<Answer, Failure> {
        if let Some(answer) = self.request(url, options, cancel)? {
            return Ok(answer);
        }
        debug!(%url, "the server does not send the range, requesting the whole document");
        let whole = GetOptions {
            range: None,
            if_range: None,
            ..options.clone()
        };
        let answer = self.request(url, &whole, cancel)?;
        answer.ok_or_else(|| Failure::last(Error::internal("a response without a range has one")))
    }

    /// Sends a request with the token that is for it; `None` if the response is not the requested range. What a server
    /// refuses with the token is requested once more without it: one that has expired does not close what is public.
    fn request(
        &self,
        url: &Url,
        options: &GetOptions,
        cancel: &CancelToken,
    ) -> Result<Option<Answer>, Failure> {
        // An authority knows the credentials of the URL, too.
        let is_ours = self.authority_for(url).is_none();
        let authorization = url.basic_authorization().filter(|_| is_ours);
        let token = self
            .token(url)
            .filter(|_| is_ours && authorization.is_none());
        let access = Access {
            authorization,
            origin: url.setting().map(AsRef::as_ref),
            token_variable: token.map(|token| token.variable),
        };
        let credential = token.and_then(|token| Some((token, token.credential.as_ref()?)));
        let (Some((token, credential)), false) = (credential, self.is_offline()) else {
            return self.follow(url, options, &access, cancel);
        };
        let without = || self.follow(url, options, &access, cancel);
        let with = || {
            let access = Access {
                authorization: Some(token.authorization(credential).map_err(Failure::last)?),
                origin: Some(credential.origin()),
                ..access
            };
            self.follow(url, options, &access, cancel)
        };
        if credential.is_refused() {
            return match without() {
                Err(failure) if failure.is_denial() => {
                    with().map_err(|denied| denied.or(failure, options))
                }
                result => result,
            };
        }
        match with() {
            Err(denied) if denied.blames_token(options) => match without() {
                Ok(answer) => {
                    credential.refused(url);
                    Ok(answer)
                }
                Err(failure) => Err(denied.or(failure, options)),
            },
            result => result,
        }
    }

    fn follow(
        &self,
        url: &Url,
        options: &GetOptions,
        access: &Access<'_>,
        cancel: &CancelToken,
    ) -> Result<Option<Answer>, Failure> {
        let origin = Origin::new(self, url, options);
        let mut url = url.clone();
        let mut access = access.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = access.authorization.as_ref();
            let (response, sent) = self.send(&url, options, authorization, cancel)?;
            let is_found = options
                .until
                .is_some_and(|name| response.header(name).is_some());
            // An object store says in the body why it redirects, and not always to where.
            let is_final = is_found
                || !matches!(response.status, 301 | 302 | 303 | 307 | 308)
                || sent.url.is_some() && response.header("location").is_none();
            if is_final {
                let signer = sent.origin.as_deref();
                let access = Access {
                    authorization: access.authorization.or(signer.map(Secret::new)),
                    origin: access.origin.or(signer),
                    ..access
                };
                let is_elsewhere = !url.same_origin(&origin.url);
                let answer = answer::read(url, response, origin, &access);
                return answer.map_err(|failure| match is_elsewhere {
                    true => failure.behind_redirect(),
                    false => failure,
                });
            }
            let location = response.header("location").unwrap_or_default();
            let refuse = |message, source| {
                Failure::last(network(&url, Some(response.status), message, source))
            };
            let target = url.redirect(location).map_err(|error| {
                refuse("the server sent an invalid redirect", Some(error.into()))
            })?;
            // The scheme of a bucket does not tell how its store is reached.
            let sent_to = sent.url.as_ref().unwrap_or(&url);
            if sent_to.scheme() == Scheme::Https && target.scheme() != Scheme::Https {
                let message = "the server redirects from https to plain http";
                return Err(refuse(message, None));
            }
            if !url.same_origin(&target) {
                access = Access {
                    token_variable: self.token(&target).map(|token| token.variable),
                    ..Access::default()
                };
            }
            url = target;
        }
        let error = network(&url, None, "too many redirects", None);
        Err(Failure::last(error))
    }

    /// Sends an unconditional request.
    pub(crate) fn body(
        &self,
        url: &Url,
        options: &GetOptions,
        cancel: &CancelToken,
    ) -> Result<Body, Failure> {
        match self.get(url, options, cancel)? {
            Answer::Body(body) => Ok(*body),
            Answer::Unchanged => {
                let error = network(url, Some(304), "unexpected response", None);
                Err(Failure::last(error))
            }
        }
    }

    /// Sends a GET request; also returns what an authority sent it with.
    fn send(
        &self,
        url: &Url,
        options: &GetOptions,
        authorization: Option<&Secret>,
        cancel: &CancelToken,
    ) -> Result<(Response, Authorization), Failure> {
        let bytes = |range: &Range<u64>| {
            let last = range.end.checked_sub(1).filter(|_| range.end < u64::MAX);
            let last = last.map_or_else(String::new, |last| last.to_string());
            format!("bytes={}-{last}", range.start)
        };
        let headers = [
            ("range", options.range.as_ref().map(bytes)),
            ("if-range", options.if_range.clone()),
            ("accept", options.accept.map(str::to_owned)),
            ("if-none-match", options.known.etag.clone()),
            ("if-modified-since", options.known.last_modified.clone()),
        ];
        let headers = headers.into_iter();
        let mut headers: Vec<_> = headers
            .filter_map(|(name, value)| Some((name, Secret::new(value?))))
            .collect();
        if url.scheme() == Scheme::File {
            let request = Request::new(url, &headers, cancel);
            let opened = file::get(&request, options.range.as_ref(), &self.tars);
            let response = self.outcome(&request, Instant::now(), opened)?;
            return Ok((response, Authorization::default()));
        }
        headers.extend(authorization.map(|value| ("authorization", value.clone())));
        let request = Outgoing {
            headers,
            ..Outgoing::new(Method::Get, url)
        };
        self.exchange(&request, cancel)
    }

    /// Sends a request as it stands, with what authorizes it.
    fn transmit(
        &self,
        outgoing: &Outgoing<'_>,
        authorization: Option<&Authorization>,
        cancel: &CancelToken,
    ) -> Result<Response, Failure> {
        let elsewhere = authorization.and_then(|authorization| authorization.url.as_ref());
        let url = elsewhere.unwrap_or(outgoing.url);
        if cancel.is_cancelled() {
            return Err(Failure::last(ErrorKind::Cancelled));
        }
        if self.is_offline() {
            return Err(Failure::last(self.offline_error(url.to_string())));
        }
        if let Err(message) = &self.rate {
            return Err(Failure::last(Error::config(&**message)));
        }
        let mut headers = outgoing.headers.clone();
        headers.extend(authorization.into_iter().flat_map(|it| it.headers.clone()));
        let is_authorized = headers.iter().any(|(name, _)| *name == "authorization");
        let is_signature = authorization.is_some_and(|authorization| authorization.is_signature);
        if is_authorized && !is_signature && url.scheme() != Scheme::Https && !url.is_loopback() {
            let message = "refusing to send credentials over plain http";
            return Err(Failure::last(Error::config(format!("{message} ({url})"))));
        }
        let request = Request {
            method: outgoing.method,
            payload: outgoing.payload,
            ..Request::new(url, &headers, cancel)
        };
        let started = Instant::now();
        let result = match request.method {
            Method::Get => self.transport.get(&request),
            _ => self.transport.send(&request),
        };
        self.outcome(&request, started, result)
    }

    /// Logs how a request ended, and makes an error of a failure.
    fn outcome(
        &self,
        request: &Request<'_>,
        started: Instant,
        result: Result<Response, TransportError>,
    ) -> Result<Response, Failure> {
        let (url, method) = (request.url, request.method);
        let millis = started.elapsed().as_millis();
        match result {
            Ok(response) => {
                debug!(%method, %url, status = response.status, millis, "request");
                Ok(response)
            }
            Err(error) => {
                debug!(%method, %url, error = %error.message, millis, "request failed");
                if request.cancel.is_cancelled() {
                    return Err(Failure::last(ErrorKind::Cancelled));
                }
                let failed = match error.source {
                    Some(source) => match source.downcast::<Error>() {
                        Ok(known) => *known,
                        Err(source) => network(url, None, &error.message, Some(source)),
                    },
                    None => network(url, None, &error.message, None),
                };
                Err(match error.transient {
                    true => Failure::transient(failed),
                    false => Failure::last(failed),
                })
            }
        }
    }

    /// Returns the wait before a request is made for the second time.
    pub(crate) fn retry_base(&self) -> std::time::Duration {
        self.policy.base
    }

    /// Returns how often a request is made at most.
    pub(crate) fn attempts(&self) -> u32 {
        self.policy.retries.saturating_add(1)
    }
}
