//! Bodies that are cut short go on where they were.
//!
//! A [`Body`] knows what was requested and how much of it has been read. If its connection fails in between, it requests the
//! rest, so nobody above notices. A try counts only if no byte has come since the last one: a network that cuts every body
//! short ends in success all the same, as long as each brings something new.
//!
//! Two responses may belong to different states of a document. They are joined only if a strong validator says that they do
//! not ([RFC 9110], section 13.1.5), or if it does not matter, see [`GetOptions::is_checked`].
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tracing::debug;

use super::arrivals::Arrivals;
use super::retry::{self, Fault, decide};
use super::{Body, Client, Failure, GetOptions, Validators, network};
use crate::error::{Error, ErrorKind};
use crate::progress::CancelToken;
use crate::url::Url;

/// What a body was requested with.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) client: Client,
    /// Before redirects: where they lead may be for a moment only.
    pub(super) url: Url,
    pub(super) options: GetOptions,
    arrivals: Option<Arc<dyn Arrivals>>,
    /// How much had been read when the body was cut last, and the number of tries since.
    reached: u64,
    tried: u32,
    /// Whether the server answered a validator of its own with the whole document.
    has_refuted: bool,
}

impl Origin {
    pub(super) fn new(client: &Client, url: &Url, options: &GetOptions) -> Self {
        Self {
            client: client.clone(),
            url: url.clone(),
            options: options.clone(),
            arrivals: None,
            reached: 0,
            tried: 0,
            has_refuted: false,
        }
    }

    fn retrying(&self, wait: Duration, error: &Error) {
        let (url, attempt, wait_millis) = (&self.url, self.tried + 1, wait.as_millis());
        debug!(%url, %error, attempt, wait_millis, "requesting the rest");
        if let Some(arrivals) = &self.arrivals {
            arrivals.retrying(attempt, wait, error);
        }
    }
}

impl Body {
    /// Has somebody told of the tries, and of what arrives.
    pub(super) fn watched_by(&mut self, arrivals: &Option<Arc<dyn Arrivals>>) {
        if let Some(origin) = &mut self.origin {
            origin.arrivals.clone_from(arrivals);
        }
    }

    /// Tells how much of it is here.
    pub(super) fn tell(&self, here: u64) {
        let origin = self.origin.as_ref();
        if let Some(arrivals) = origin.and_then(|origin| origin.arrivals.as_ref()) {
            arrivals.document(here, self.length.unwrap_or(0));
        }
    }

    /// Requests the rest after a failure, as often as the policy allows. What cannot go on fails: for good if the tries are
    /// used up, else so that the caller may start over.
    pub(super) fn go_on(
        &mut self,
        mut failure: Failure,
        cancel: &CancelToken,
    ) -> Result<(), Failure> {
        let may_go_on = |origin: &mut Origin| {
            let is_safe = origin.options.is_checked || strong(&self.validators).is_some();
            self.at > 0 && is_safe && failure.fault == Fault::Transient
        };
        let Some(mut origin) = self.origin.take_if(may_go_on) else {
            return Err(failure);
        };
        if self.at > origin.reached {
            (origin.reached, origin.tried) = (self.at, 0);
        }
        loop {
            origin.tried += 1;
            let policy = &origin.client.policy;
            let Some(wait) = decide(policy, failure.fault, origin.tried, retry::random()) else {
                let fault = Fault::Final;
                return Err(Failure { fault, ..failure });
            };
            origin.retrying(wait, &failure.error);
            if cancel.wait(wait) {
                return Err(Failure::last(ErrorKind::Cancelled));
            }
            match self.request_rest(&mut origin, cancel) {
                Ok(()) => {
                    self.origin = Some(origin);
                    return Ok(());
                }
                Err(refused) if decide(&origin.client.policy, refused.fault, 1, 0.0).is_none() => {
                    let is_cancelled = refused.error.is_cancelled();
                    return Err(if is_cancelled { refused } else { failure });
                }
                Err(next) => failure = next,
            }
        }
    }

    /// Requests what has not been read, and goes on with that response.
    fn request_rest(&mut self, origin: &mut Origin, cancel: &CancelToken) -> Result<(), Failure> {
        let asked = origin.options.range.as_ref().filter(|_| self.is_range);
        let begin = asked.map_or(0, |range| range.start);
        let end = self.length.map(|length| begin.saturating_add(length));
        let end = end.or(asked.map(|range| range.end)).unwrap_or(u64::MAX);
        let from = begin + self.at;
        // What is checked needs none, and the nodes of a server may have tags of their own.
        let is_needed = !origin.has_refuted && !origin.options.is_checked;
        let validator = strong(&self.validators).filter(|_| is_needed);
        let options = GetOptions {
            range: Some(from..end),
            if_range: validator.cloned(),
            known: Validators::default(),
            ..origin.options.clone()
        };
        let mut rest = origin.client.body(&origin.url, &options, cancel)?;
        let is_same = match (strong(&self.validators), strong(&rest.validators)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // A range in answer to a validator.
            _ => rest.is_range && validator.is_some(),
        };
        if !(is_same || origin.options.is_checked) {
            let message = "the document changed while it was received";
            return Err(Failure::last(network(&rest.url, None, message, None)));
        }
        // It must not go on by itself: what it would need to know is known here.
        rest.origin = None;
        self.url = rest.url.clone();
        if rest.is_range {
            let total = rest.total.filter(|_| end == u64::MAX);
            let length = total.and_then(|total| total.checked_sub(begin));
            self.length = self.length.or(length);
            self.reader = rest.reader;
        } else {
            // It knows no ranges, or takes what it has for another state.
            origin.has_refuted = true;
            rest.skip(from, cancel)?;
            self.reader = Box::new(rest.reader.take(end.saturating_sub(from)));
        }
        Ok(())
    }

    /// Reads past what is here already.
    fn skip(&mut self, mut bytes: u64, cancel: &CancelToken) -> Result<(), Failure> {
        let mut buffer = vec![0_u8; 64 << 10];
        while bytes > 0 {
            let length = usize::try_from(bytes).map_or(buffer.len(), |left| left.min(buffer.len()));
            match self.receive(&mut buffer[..length], cancel)? {
                0 => return Err(ended_early(&self.url)),
                read => bytes -= read as u64,
            }
            self.hold_back(cancel);
        }
        Ok(())
    }
}

/// Returns a validator that identifies the bytes of a document: a time does if it is the only one.
pub(super) fn strong(validators: &Validators) -> Option<&String> {
    match &validators.etag {
        Some(etag) => Some(etag).filter(|etag| !etag.starts_with("W/")),
        None => validators.last_modified.as_ref(),
    }
}

/// The failure of a body that ends before all of it is there.
pub(super) fn ended_early(url: &Url) -> Failure {
    Failure::transient(network(url, None, "the response ended early", None))
}
