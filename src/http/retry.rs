//! Decides whether a failed request is tried again, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use crate::config::RetryPolicy;
use crate::time::of_timestamp;

/// The aspect of a failure that decides whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A failed connection, a truncated body, a stall or a wrong digest.
    Transient,
    /// The server responded with this status, and may have asked to wait.
    Status {
        status: u16,
        retry_after: Option<Duration>,
    },
    /// Another try cannot help.
    Final,
}

/// Returns how long to wait before the next try, or `None` to give up. `tried` is the number of tries so far, from 1.
///
/// `jitter`, from 0.0 to 1.0, shortens the wait by up to half, so that many clients do not come back at once.
pub(crate) fn decide(
    policy: &RetryPolicy,
    fault: Fault,
    tried: u32,
    jitter: f64,
) -> Option<Duration> {
    if tried > policy.retries {
        return None;
    }
    let backoff = policy
        .base
        .saturating_mul(2_u32.saturating_pow(tried.saturating_sub(1)));
    let jittered = backoff.mul_f64(1.0 - jitter / 2.0);
    match fault {
        Fault::Final => None,
        // Whoever asks too soon is refused again, and may be kept out for longer.
        Fault::Status {
            status: 429,
            retry_after: Some(wait),
        } if wait > policy.longest_wait => None,
        Fault::Transient => Some(jittered),
        Fault::Status {
            status: 429 | 503,
            retry_after: Some(wait),
        } => Some(wait.min(policy.longest_wait)),
        // Rate limited without a time to wait: back off as usual, but more patiently.
        Fault::Status {
            status: 429,
            retry_after: None,
        } => Some(jittered.saturating_mul(2).min(policy.longest_wait)),
        Fault::Status {
            status: 408 | 500..,
            ..
        } => Some(jittered),
        Fault::Status { .. } => None,
    }
}

/// Returns a number from 0.0 to 1.0, another each time; hash maps have their seeds from there.
pub(crate) fn random() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

/// Parses a `Retry-After` header: seconds or an HTTP date ([RFC 9110], section 10.2.3). A past date means zero.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
pub(crate) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // What a system cannot represent is long past.
    let date = of_timestamp(http_timestamp(value)?);
    let wait = date.and_then(|date| date.duration_since(now).ok());
    Some(wait.unwrap_or_default())
}

/// Parses an HTTP date (section 5.6.7).
pub(crate) fn parse_http_date(value: &str) -> Option<SystemTime> {
    of_timestamp(http_timestamp(value)?)
}

fn http_timestamp(value: &str) -> Option<jiff::Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_by_fault_and_try() {
        let policy = RetryPolicy::default();
        let status = |status, wait| Fault::Status {
            status,
            retry_after: wait,
        };
        let s = Duration::from_secs;
        for (fault, tried, jitter, expected) in [
            (Fault::Transient, 1, 0.0, Some(s(1))),
            (Fault::Transient, 2, 0.0, Some(s(2))),
            (Fault::Transient, 3, 0.0, Some(s(4))),
            (Fault::Transient, 3, 1.0, Some(s(2))),
            (Fault::Transient, 4, 0.0, None),
            (Fault::Final, 1, 0.0, None),
            (status(500, None), 1, 0.0, Some(s(1))),
            (status(503, Some(s(7))), 1, 0.5, Some(s(7))),
            (status(429, Some(s(60))), 1, 0.5, Some(s(60))),
            (status(429, Some(s(61))), 1, 0.5, None),
            (status(503, Some(s(7000))), 1, 0.5, Some(s(60))),
            (status(429, None), 1, 0.0, Some(s(2))),
            (status(429, Some(s(7))), 4, 0.0, None),
            (status(404, None), 1, 0.0, None),
            (status(403, Some(s(1))), 1, 0.0, None),
        ] {
            assert_eq!(
                decide(&policy, fault, tried, jitter),
                expected,
                "{fault:?} {tried}"
            );
        }
    }

    #[test]
    fn a_host_that_never_answers_is_given_up_before_a_user_is() {
        let http = crate::config::HttpConfig::default();
        let wait = |tried| decide(&http.retry, Fault::Transient, tried, 0.0);
        let waits: Vec<Duration> = (1..).map_while(wait).collect();
        let tries = u32::try_from(waits.len()).unwrap() + 1;
        let total = http.connect_timeout * tries + waits.iter().sum::<Duration>();
        assert_eq!(total, Duration::from_secs(47));
    }

    #[test]
    fn retry_after_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("Sat, 01 Jan 1200 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:49:47 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("-1"), None);
        assert_eq!(parse("soon"), None);
    }
}
