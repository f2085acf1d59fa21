//! One operation's use of the network.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::http::arrivals::Arrivals;
use crate::http::authority::Authority;
use crate::http::outgoing::Outgoing;
use crate::http::transport::Response;
use crate::http::{Answer, Body, Client, Failure, GetOptions};
use crate::mutex::Mutex;
use crate::progress::{CancelToken, Progress};
use crate::rate_limit::RateLimit;
use crate::settings::Offline;
use crate::url::Url;

/// What an operation needs from first to last, made once at the door and handed down: the client, which knows whether it
/// is offline, what cancels the operation, and who follows its progress.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) client: Client,
    pub(crate) cancel: CancelToken,
    pub(crate) progress: Arc<dyn Progress>,
    /// Whether a lookup may sync a registry that it needs and that is not cached.
    pub(crate) auto_sync: bool,
    /// Whether an archive may be fetched whole to learn what is in it.
    pub(crate) whole_archives: bool,
    /// Follows archives that arrive before the files of a pull are known.
    pub(crate) arrivals: Option<Arc<dyn Arrivals>>,
    /// What was brought up to date already, if that is good enough for the whole operation.
    pub(crate) refreshed: Option<Arc<Mutex<HashSet<String>>>>,
}

impl Call {
    pub(crate) fn new(client: Client, cancel: CancelToken, progress: Arc<dyn Progress>) -> Self {
        Self {
            client,
            cancel,
            progress,
            auto_sync: false,
            whole_archives: true,
            arrivals: None,
            refreshed: None,
        }
    }

    /// The same call with another handler of progress, when there is one.
    pub(crate) fn with_progress(self, progress: Option<&Arc<dyn Progress>>) -> Self {
        let progress = progress.cloned().unwrap_or(self.progress);
        Self { progress, ..self }
    }

    /// The same call, limited by this instead of what is configured, when there is something.
    pub(crate) fn with_rate_limit(self, limit: Option<&RateLimit>) -> Self {
        match limit {
            Some(limit) => Self {
                client: self.client.with_rate(Ok(Some(limit.clone()))),
                ..self
            },
            None => self,
        }
    }

    /// Keeps the call off the network when `offline` says so.
    pub(crate) fn offline(&self, offline: impl Into<Offline>) -> Self {
        Self {
            client: self.client.with_offline(offline),
            ..self.clone()
        }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.client.is_offline()
    }

    /// The same call, without syncing what a lookup needs.
    pub(crate) fn without_sync(&self) -> Self {
        Self {
            auto_sync: false,
            ..self.clone()
        }
    }

    /// The same call, which fetches no archive whole.
    pub(crate) fn without_archives(&self) -> Self {
        Self {
            whole_archives: false,
            ..self.clone()
        }
    }

    /// The same call, which asks once whether something is up to date, however often it is needed.
    pub(crate) fn remembering(self) -> Self {
        Self {
            refreshed: Some(Arc::default()),
            ..self
        }
    }

    /// Brings something up to date, unless this call remembers that it has. Others that need it wait meanwhile.
    pub(crate) fn once(&self, what: &str, refresh: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(refreshed) = &self.refreshed else {
            return refresh();
        };
        let mut refreshed = refreshed.lock();
        if !refreshed.contains(what) {
            refresh()?;
            refreshed.insert(what.to_owned());
        }
        Ok(())
    }

    pub(crate) fn may_sync(&self) -> bool {
        self.auto_sync && !self.is_offline()
    }

    pub(crate) fn get(&self, url: &Url, options: &GetOptions) -> Result<Answer, Failure> {
        let mut answer = self.client.get(url, options, &self.cancel)?;
        if let Answer::Body(body) = &mut answer {
            body.watched_by(&self.arrivals);
        }
        Ok(answer)
    }

    /// The same call, whose requests this authorizes, if there is something.
    pub(crate) fn authorized(&self, authority: Option<&Arc<dyn Authority>>) -> Self {
        match authority {
            Some(authority) => Self {
                client: self.client.with_authority(authority),
                ..self.clone()
            },
            None => self.clone(),
        }
    }

    /// Sends a request of any method once; returns the response if it is a success, or has one of these statuses. No
    /// redirect is followed.
    pub(crate) fn send(&self, request: &Outgoing<'_>, also: &[u16]) -> Result<Response, Failure> {
        let (mut response, sent) = self.client.exchange(request, &self.cancel)?;
        response.refuse_page(request)?;
        match response.is_success() || also.contains(&response.status) {
            true => Ok(response),
            false => Err(self
                .client
                .refusal(request.url, response, sent.origin.as_deref())),
        }
    }

    /// Sends an unconditional request.
    pub(crate) fn body(&self, url: &Url, options: &GetOptions) -> Result<Body, Failure> {
        let mut body = self.client.body(url, options, &self.cancel)?;
        body.watched_by(&self.arrivals);
        Ok(body)
    }

    /// Tries each mirror as [`Client::with_retries`] does; `attempt` gets the number of the mirror and its URL.
    pub(crate) fn retrying<T>(
        &self,
        mirrors: &[Url],
        attempt: impl FnMut(usize, &Url) -> Result<T, Failure>,
    ) -> Result<T> {
        let notify = |attempt: u32, wait, error: &Error| {
            if let Some(arrivals) = &self.arrivals {
                arrivals.retrying(attempt, wait, error);
            }
        };
        self.client
            .with_retries(mirrors, &self.cancel, &notify, attempt)
    }
}
