//! A limit of how many bytes a second come, for all who share it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mutex::Mutex;
use crate::progress::CancelToken;

/// How many bytes a second may be downloaded. Whoever has a clone shares the limit: all their connections together stay below
/// it, in one pull or in several at once.
///
/// ```
/// use modelrack::config::RateLimit;
/// use modelrack::{Config, Manager, PullOptions};
///
/// // For everything that a manager downloads:
/// let config = Config::new("tool").rate_limit(RateLimit::new(20_000_000));
///
/// // For what one part of a program downloads, whatever the manager's own limit is:
/// # let (_folder, manager) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/manager.rs"));
/// let background = RateLimit::new(5_000_000);
/// let options = PullOptions::default().rate_limit(background.clone());
/// manager.pull(&"digits/logistic v1".parse()?, &options)?;
/// assert_eq!(background.bytes_per_second(), 5_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes_per_second: u64,
    started: Instant,
    bucket: Mutex<Bucket>,
}

impl RateLimit {
    /// Limits to a number of bytes a second; 0 stands for no limit. [`RateLimit`] has an example.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self(Arc::new(Shared {
            bytes_per_second,
            started: Instant::now(),
            bucket: Mutex::default(),
        }))
    }

    /// Returns the number of bytes a second; 0 stands for no limit. [`RateLimit`] has an example.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        self.0.bytes_per_second
    }

    /// Returns whether there is a limit.
    pub(crate) fn is_limit(&self) -> bool {
        self.0.bytes_per_second > 0
    }

    /// Returns how much may be read at once: what comes in a twentieth of a second, so that no connection is silent for long
    /// while others have their turn.
    pub(crate) fn piece_bytes(&self) -> u64 {
        (self.0.bytes_per_second / 20).max(1)
    }

    /// Returns how many connections have something to do: one for each million bytes a second, and at least `least`.
    pub(crate) fn connections(&self, least: usize, most: usize) -> usize {
        let fed = usize::try_from(self.0.bytes_per_second / 1_000_000);
        fed.map_or(most, |fed| fed.clamp(least, most))
    }

    /// Returns the time by the clock of this limit.
    pub(crate) fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Takes bytes that were waited for since a time; returns until when nothing more may be read by whoever read them.
    pub(crate) fn take(&self, since: Duration, bytes: u64) -> Duration {
        let mut bucket = self.0.bucket.lock();
        bucket.take(since, bytes, self.0.bytes_per_second)
    }

    /// Waits until a time, or a cancellation; returns whether that took time.
    pub(crate) fn wait_until(&self, time: Duration, cancel: &CancelToken) -> bool {
        let wait = time.saturating_sub(self.now());
        // Whoever is cancelled sees that at the next read.
        let _ = wait.is_zero() || cancel.wait(wait);
        !wait.is_zero()
    }
}

/// A token bucket that holds nothing in reserve: bytes are paid for after they came, one after the other. It knows no clock.
///
/// Since reads are paid in turn, each reader is at most one read ahead.
#[derive(Debug, Default)]
struct Bucket {
    /// When everything that was taken is paid for.
    paid_until: Duration,
}

impl Bucket {
    /// Takes bytes that were waited for since a time; returns when they are paid for.
    fn take(&mut self, since: Duration, bytes: u64, bytes_per_second: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_until = self.paid_until.max(since).saturating_add(price);
        self.paid_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: u64 = 1000;
    const RATE: u64 = 100 * KB;

    #[test]
    fn bytes_are_paid_for_in_turn_and_idle_time_is_not_saved_up() {
        let mut bucket = Bucket::default();
        // When waiting for the bytes began, how many came, and when they are paid for, in milliseconds.
        for (since, bytes, expected) in [
            (0, 10 * KB, 100),
            // Others, meanwhile.
            (0, 10 * KB, 200),
            (50, 5 * KB, 250),
            // The server took longer than the price.
            (1000, 10 * KB, 1100),
            (1000, 0, 1100),
            (1100, 1, 1100),
            (1100, 999, 1110),
            // After a pause.
            (60_000, 10 * KB, 60_100),
        ] {
            let paid = bucket.take(Duration::from_millis(since), bytes, RATE);
            assert_eq!(paid.as_millis(), expected, "{since} {bytes}");
        }
        let paid = bucket.take(Duration::ZERO, u64::MAX, 1);
        assert!(paid > Duration::from_secs(u64::MAX / 1_000_000_000));
    }

    /// Reads as fast as the connections and the limit allow, by a clock that is a number; returns the bytes after each
    /// millisecond.
    fn run(connections: usize, each_per_milli: u64, piece: u64, millis: u64) -> Vec<u64> {
        let mut bucket = Bucket::default();
        let mut totals = Vec::new();
        let mut total = 0;
        // Since when each has waited for its bytes, how many have come, and until when it pays.
        let mut readers = vec![(0, 0, 0); connections];
        for now in 1..=millis {
            for (since, filled, paid_until) in &mut readers {
                if now <= *paid_until {
                    continue;
                }
                *filled += each_per_milli.min(piece - *filled);
                if *filled == piece {
                    let paid = bucket.take(Duration::from_millis(*since), piece, RATE);
                    *paid_until = u64::try_from(paid.as_millis()).unwrap();
                    total += piece;
                    *since = now.max(*paid_until);
                    *filled = 0;
                }
            }
            totals.push(total);
        }
        totals
    }

    #[test]
    fn all_connections_together_stay_below_the_limit_and_close_to_it() {
        let piece = RATE / 20;
        for connections in [1, 2, 4, 16] {
            let totals = run(connections, 1000, piece, 60_000);
            for (milli, total) in (1..).zip(&totals) {
                let most = RATE * milli / 1000 + piece * connections as u64;
                assert!(*total <= most, "{connections} {milli}: {total}");
            }
            let total = totals.last().unwrap();
            assert!(*total >= 60 * RATE * 95 / 100, "{connections}: {total}");
        }
    }

    #[test]
    fn connections_that_are_slower_than_the_limit_are_not_held_back() {
        // Four of 20 bytes a millisecond are below 100 together.
        let total = *run(4, 20, RATE / 20, 60_000).last().unwrap();
        assert!(total >= 4 * 20 * 60_000 * 99 / 100, "{total}");
    }

    #[test]
    fn a_limit_feeds_some_connections_and_is_read_in_pieces() {
        for (rate, piece, connections) in [
            (1, 1, 4),
            (200 * KB, 10 * KB, 4),
            (5_000 * KB, 250 * KB, 5),
            (20_000 * KB, 1_000 * KB, 16),
        ] {
            let limit = RateLimit::new(rate);
            assert_eq!(limit.piece_bytes(), piece, "{rate}");
            assert_eq!(limit.connections(4, 16), connections, "{rate}");
        }
        assert!(!RateLimit::new(0).is_limit());
    }

    #[test]
    fn a_cancellation_ends_the_wait() {
        let (limit, cancel) = (RateLimit::new(1), CancelToken::new());
        cancel.cancel();
        let paid_until = limit.take(limit.now(), 1_000_000);
        assert!(limit.wait_until(paid_until, &cancel));
        assert!(!limit.wait_until(Duration::ZERO, &cancel));
    }
}
