//! Who is at work in a bucket.
//!
//! A publisher does not send again what is there, and until it writes the index, nothing names that. Whoever removed it meanwhile
//! would leave a version without its chunks. There are no locks, but there is an order: both say that they are at work before
//! they look at what is there, and only then look for the other.
//!
//! | object | says |
//! |---|---|
//! | `at-work/publish-<number>` | that somebody publishes, until a day after it was written |
//! | `at-work/prune` | that somebody removes what no version names, until an hour after |
//! | `at-work/index-<number>` | that somebody changes the index, see `changing` |
//!
//! Of two who begin at the same moment, at least one sees the other, as a store shows what was written to all who ask later.
//! Whoever sees the other stops. An object that a killed process left is passed over when its time is up; the error names
//! it, for those who know better. Times are compared by the clock of the store.

use std::slice;
use std::time::{Duration, SystemTime};

use tracing::debug;

use super::word::Word;
use super::{BucketWriter, Document};
use crate::digest::Digest;
use crate::error::{Error, Result, chain};
use crate::http::call::Call;
use crate::http::outgoing::Outgoing;
use crate::http::retry::{parse_http_date, random};
use crate::http::transport::Method;
use crate::progress::CancelToken;
use crate::time::rfc3339;
use crate::url::Url;

/// The folder of the objects.
pub(super) const AT_WORK: &str = "at-work";
pub(super) const PUBLISH: &str = "publish-";
const PRUNE: &str = "prune";
/// How long the word of a publisher counts: as long as what it sent is too young to be removed.
pub(super) const PUBLISHING_COUNTS: Duration = Duration::from_secs(24 * 60 * 60);
/// How long that of one who removes counts. It is renewed with each batch, which takes seconds.
const PRUNING_COUNTS: Duration = Duration::from_secs(60 * 60);

impl BucketWriter {
    /// Says that somebody publishes here, and makes sure that nobody removes anything.
    pub(super) fn say_publishing(&self) -> Result<()> {
        // All wait for the first.
        let mut word = self.word.lock();
        if let Some(word) = &mut *word {
            return self.repeat(word, PUBLISHING_COUNTS / 24);
        }
        let said = self.say(self.new_word(PUBLISH), PUBLISHING_COUNTS, None)?;
        let pruning = self.base.join(&format!("{AT_WORK}/{PRUNE}"));
        let error = match self.said_at(&pruning) {
            Ok(Some((said_at, age))) if age < PRUNING_COUNTS => Error::registry(
                &self.base,
                format!(
                    "somebody removes what no version names, since {}: publish when that is done, or an hour later if it was killed ({pruning} says so)",
                    rfc3339(said_at)
                ),
            ),
            Ok(_) => {
                *word = Some(said);
                return Ok(());
            }
            Err(error) => error,
        };
        self.take_back(&said);
        Err(error)
    }

    /// Says that what no version names is removed here. Who publishes is to be looked for next.
    #[cfg(feature = "author")]
    pub(super) fn say_pruning(&self) -> Result<()> {
        let mut word = self.word.lock();
        if let Some(word) = &mut *word {
            return self.repeat(word, Duration::ZERO);
        }
        let url = self.base.join(&format!("{AT_WORK}/{PRUNE}"));
        let busy = |since: String| {
            let message =
                format!("somebody else removes what no version names{since} ({url} says so)");
            Error::registry(&self.base, message)
        };
        let found = self.said_at(&url)?;
        if let Some((said_at, age)) = found
            && age < PRUNING_COUNTS
        {
            return Err(busy(format!(", since {}", rfc3339(said_at))));
        }
        let condition = found.is_none().then_some(("if-none-match", "*"));
        match self.say(url.clone(), PRUNING_COUNTS, condition) {
            Ok(said) => {
                *word = Some(said);
                Ok(())
            }
            Err(_) if self.said_at(&url).is_ok_and(|found| found.is_some()) => {
                Err(busy(String::new()))
            }
            Err(error) => Err(error),
        }
    }

    /// The place of a word that nobody else says.
    pub(super) fn new_word(&self, prefix: &str) -> Url {
        let number = (random() * u64::MAX as f64) as u64;
        self.base.join(&format!("{AT_WORK}/{prefix}{number:016x}"))
    }

    pub(super) fn say(
        &self,
        url: Url,
        counts: Duration,
        condition: Option<(&'static str, &str)>,
    ) -> Result<Word> {
        let said_at = SystemTime::now();
        let text = format!("process {}\n", std::process::id()).into_bytes();
        let document = Document {
            payload: &text,
            digest: Digest::of(&text),
            media_type: "text/plain",
            cache_control: "no-cache",
        };
        let response = self.put_object(&url, &document, condition)?;
        match response.status {
            409 | 412 => Err(Error::registry(&url, "it is there already")),
            // The store has no conditions.
            501 => self.say(url, counts, None),
            _ => Ok(Word {
                url,
                said_at,
                counts,
            }),
        }
    }

    /// Says the same again, if the last time is so long ago.
    fn repeat(&self, word: &mut Word, after: Duration) -> Result<()> {
        // The clock of the store is not this one, and what is said takes effect when it arrives.
        if word.age() > word.counts - word.counts / 6 {
            return Err(Error::registry(
                &self.base,
                "the work was interrupted for so long that others may have changed what is there: begin again",
            ));
        }
        if word.age() >= after {
            *word = self.say(word.url.clone(), word.counts, None)?;
        }
        Ok(())
    }

    /// When an object was written, and how long ago that is; `None` if there is none, or nobody may know.
    fn said_at(&self, url: &Url) -> Result<Option<(SystemTime, Duration)>> {
        let response = self.call.retrying(slice::from_ref(url), |_, url| {
            // Who may not list is told that what is not there is forbidden.
            self.call
                .send(&Outgoing::new(Method::Head, url), &[403, 404])
        })?;
        let date = |name: &str| response.header(name).and_then(parse_http_date);
        let Some(said_at) = date("last-modified").filter(|_| response.is_success()) else {
            return Ok(response
                .is_success()
                .then(|| (SystemTime::now(), Duration::ZERO)));
        };
        let now = date("date").unwrap_or_else(SystemTime::now);
        Ok(Some((
            said_at,
            now.duration_since(said_at).unwrap_or_default(),
        )))
    }

    /// Says no longer that somebody is at work, also when the work was cancelled.
    pub(super) fn take_back(&self, word: &Word) {
        let call = Call {
            cancel: CancelToken::new(),
            ..self.call.clone()
        };
        let removed = call.send(&Outgoing::new(Method::Delete, &word.url), &[404]);
        if let Err(failure) = removed {
            debug!(url = %word.url, error = %chain(&failure.error), "not removed");
        }
    }
}

impl Drop for BucketWriter {
    fn drop(&mut self) {
        let word = self.word.lock().take();
        word.iter().for_each(|word| self.take_back(word));
    }
}
