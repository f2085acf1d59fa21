//! Documents that several servers have: each is asked as often as the policy allows, and the next one then.

use std::time::{Duration, Instant};

use tracing::debug;

#[cfg(feature = "author")]
use super::GetOptions;
use super::failure::is_of_the_mirror;
use super::retry::{self, Fault, decide};
use super::{Client, Failure};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::CancelToken;
use crate::url::{Scheme, Url};

/// How long a server that could not be reached comes after its mirrors.
const AVOIDED: Duration = Duration::from_secs(60);

impl Client {
    /// Tries each mirror in turn, and each as often as the policy allows, until `attempt` succeeds. Returns the error of
    /// the first one tried if none does: the first mirror, unless it could not be reached lately, and another one could.
    ///
    /// `notify` is called before each wait with the number of the next try, the length of the wait and its cause.
    pub(crate) fn with_retries<T>(
        &self,
        mirrors: &[Url],
        cancel: &CancelToken,
        notify: &dyn Fn(u32, Duration, &Error),
        mut attempt: impl FnMut(usize, &Url) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut first_error = None;
        let mut mirrors: Vec<_> = mirrors.iter().enumerate().collect();
        mirrors.sort_by_cached_key(|(_, url)| self.is_avoided(url));
        for (mirror, url) in mirrors {
            let mut tried = 0;
            loop {
                tried += 1;
                let Failure { error, fault, .. } = match attempt(mirror, url) {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                };
                if cancel.is_cancelled() || error.is_cancelled() {
                    return Err(ErrorKind::Cancelled.into());
                }
                // A full disk, for example, would fail with every mirror.
                if !is_of_the_mirror(url, &error) {
                    return Err(error);
                }
                // What is on this machine stays what it is.
                let fault = match url.scheme() {
                    Scheme::File => Fault::Final,
                    _ => fault,
                };
                let Some(wait) = decide(&self.policy, fault, tried, retry::random()) else {
                    if fault == Fault::Transient
                        && matches!(error.kind(), ErrorKind::Network { .. })
                    {
                        let host = url.authority().to_owned();
                        self.unreachable.lock().insert(host, Instant::now());
                    }
                    first_error.get_or_insert(error);
                    break;
                };
                let wait_millis = wait.as_millis();
                debug!(%url, error = %error, attempt = tried + 1, wait_millis, "retry");
                notify(tried + 1, wait, &error);
                if cancel.wait(wait) {
                    return Err(ErrorKind::Cancelled.into());
                }
            }
        }
        Err(first_error.unwrap_or_else(|| Error::internal("no URL to request")))
    }

    fn is_avoided(&self, url: &Url) -> bool {
        let unreachable = self.unreachable.lock();
        let since = unreachable.get(url.authority());
        since.is_some_and(|since| since.elapsed() < AVOIDED)
    }

    /// Fetches a document of any size from the first mirror that has it, into a target that `create` makes for each try
    /// from the length that the server states. Returns the target, the number of bytes, and the mirror's URL.
    #[cfg(feature = "author")]
    pub(crate) fn fetch_into<T>(
        &self,
        mirrors: &[Url],
        options: &GetOptions,
        max_bytes: u64,
        cancel: &CancelToken,
        create: impl Fn(Option<u64>) -> Result<T>,
        write: impl Fn(&mut T, &[u8]) -> Result<()>,
    ) -> Result<(T, u64, Url)> {
        self.with_retries(mirrors, cancel, &|_, _, _| {}, |_, url| {
            let mut body = self.body(url, options, cancel)?;
            let mut target = create(body.length).map_err(Failure::last)?;
            let mut take = |piece: &[u8]| write(&mut target, piece);
            let bytes = body.copy_to(max_bytes, cancel, &mut take)?;
            Ok((target, bytes, url.clone()))
        })
    }

    /// Fetches a small document from the first mirror that has it.
    ///
    /// `accept` checks it; a document that it rejects with a transient failure is fetched again.
    #[cfg(feature = "author")]
    pub(crate) fn document<T>(
        &self,
        mirrors: &[Url],
        max_bytes: u64,
        cancel: &CancelToken,
        accept: impl Fn(&Url, Vec<u8>) -> Result<T, Failure>,
    ) -> Result<T> {
        self.with_retries(mirrors, cancel, &|_, _, _| {}, |_, url| {
            let mut body = self.body(url, &GetOptions::default(), cancel)?;
            accept(url, body.read_whole(max_bytes, cancel)?)
        })
    }
}
