//! How much longer a transfer takes, as fast as it went so far.
//!
//! Bytes of this machine and bytes of a server have a pace each, since one may be a hundred times the other: an update that takes
//! nearly all from the store does not take as long as the little that it fetches lets expect. Both come at the same time, so
//! that what takes longer tells when the transfer ends.

use std::time::{Duration, Instant};

/// How long progress is gathered before it counts: bytes come in bursts, a part at a time.
const WINDOW: Duration = Duration::from_millis(100);
/// What has no pace yet is taken for as fast as the rest if it is no more than this part of what is missing.
const NEGLIGIBLE: u64 = 10;

/// How far a transfer is. All are bytes of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) fetched: u64,
    pub(super) copied: u64,
    pub(super) to_fetch: u64,
    pub(super) to_copy: u64,
}

/// How fast a transfer went so far.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    /// Until when it is known; `None` before the transfer begins.
    known_until: Option<Instant>,
    network: Pace,
    disk: Pace,
}

/// How fast one kind of bytes came, while some did.
#[derive(Debug, Default)]
struct Pace {
    bytes: u64,
    time: Duration,
}

impl Estimate {
    /// Begins anew, as with each phase.
    pub(super) fn begin(&mut self, now: Instant) {
        *self = Self {
            known_until: Some(now),
            ..Self::default()
        };
    }

    /// Learns how far the transfer is; returns how much longer it takes, if that can be told.
    pub(super) fn at(&mut self, position: &Position, now: Instant) -> Option<Duration> {
        let since = *self.known_until.get_or_insert(now);
        let time = now.saturating_duration_since(since);
        if time >= WINDOW {
            self.known_until = Some(now);
            let fetched = self.network.advance(position.fetched, time);
            let copied = self.disk.advance(position.copied, time);
            if !fetched && !copied {
                // Nobody knows which of them is stuck.
                self.network.time += time;
                self.disk.time += time;
            }
        }
        self.remaining(position.to_fetch, position.to_copy)
    }

    fn remaining(&self, to_fetch: u64, to_copy: u64) -> Option<Duration> {
        let both = to_fetch.saturating_add(to_copy);
        let is_negligible = |bytes: u64| bytes <= both / NEGLIGIBLE;
        match (self.network.takes(to_fetch), self.disk.takes(to_copy)) {
            (Some(fetching), Some(copying)) => Some(fetching.max(copying)),
            (Some(_), None) if is_negligible(to_copy) => self.network.takes(both),
            (None, Some(_)) if is_negligible(to_fetch) => self.disk.takes(both),
            _ => None,
        }
    }
}

impl Pace {
    /// Learns how many bytes there are in all after some more time; returns whether there are more. What is thrown away and comes
    /// again takes time, but is no progress.
    fn advance(&mut self, bytes: u64, time: Duration) -> bool {
        let is_more = bytes > self.bytes;
        if is_more {
            self.bytes = bytes;
            self.time += time;
        }
        is_more
    }

    /// Returns how long so many bytes take; `None` if none of their kind has come.
    fn takes(&self, bytes: u64) -> Option<Duration> {
        if bytes == 0 {
            return Some(Duration::ZERO);
        }
        let millis = u128::from(bytes) * self.time.as_millis();
        let millis = millis.checked_div(u128::from(self.bytes))?;
        Some(Duration::from_millis(
            u64::try_from(millis).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// A transfer of so many bytes from a server and from the disk, on a clock of its own.
    struct Transfer {
        estimate: Estimate,
        start: Instant,
        millis: u64,
        position: Position,
    }

    impl Transfer {
        fn new(to_fetch: u64, to_copy: u64) -> Self {
            let start = Instant::now();
            let mut estimate = Estimate::default();
            estimate.begin(start);
            let position = Position {
                to_fetch,
                to_copy,
                ..Position::default()
            };
            Self {
                estimate,
                start,
                millis: 0,
                position,
            }
        }

        /// Goes on for so many tenths of a second, with so many bytes in each; returns the estimates in milliseconds.
        fn go_on(&mut self, tenths: u64, fetched: u64, copied: u64) -> Vec<Option<u64>> {
            let step = |_| {
                self.millis += 100;
                let position = &mut self.position;
                (position.fetched, position.copied) =
                    (position.fetched + fetched, position.copied + copied);
                position.to_fetch -= fetched;
                position.to_copy -= copied;
                let now = self.start + Duration::from_millis(self.millis);
                let remaining = self.estimate.at(&self.position, now);
                remaining.map(|remaining| u64::try_from(remaining.as_millis()).unwrap())
            };
            (0..tenths).map(step).collect()
        }
    }

    #[test]
    fn an_update_from_this_machine_takes_as_long_as_the_disk() {
        // 7 MB of 2 GB come from a server, at 100 KB/s in the beginning: at that, all would take hours.
        let mut update = Transfer::new(7 * MB, 1_400 * MB);
        let early = update.go_on(10, MB / 100, 20 * MB);
        assert_eq!(early[0], Some(69_900));
        let update_only = update.go_on(1, 6_900_000, 20 * MB);
        assert_eq!(update_only, [Some(5_900)]);
        let rest = update.go_on(59, 0, 20 * MB);
        let expected: Vec<_> = (0..59).rev().map(|tenths| Some(tenths * 100)).collect();
        assert_eq!(rest, expected, "every second takes a second off");
    }

    #[test]
    fn one_kind_after_the_other_keeps_its_pace() {
        let mut pull = Transfer::new(100 * MB, 100 * MB);
        assert_eq!(
            pull.go_on(5, 0, 10 * MB),
            [None; 5],
            "half is to be fetched, and nobody knows how fast"
        );
        assert_eq!(pull.go_on(1, MB, 10 * MB), [Some(9_900)]);
        pull.go_on(4, 0, 10 * MB);
        // The time in which the disk alone was busy slows the network no more.
        assert_eq!(pull.go_on(2, MB, 0), [Some(9_800), Some(9_700)]);
    }

    #[test]
    fn little_that_has_not_begun_is_taken_for_as_fast_as_the_rest() {
        let mut pull = Transfer::new(10 * MB, 990 * MB);
        assert_eq!(pull.go_on(1, 0, 10 * MB), [Some(9_900)]);
        let mut pull = Transfer::new(990 * MB, 10 * MB);
        assert_eq!(pull.go_on(1, 10 * MB, 0), [Some(9_900)]);
        let mut pull = Transfer::new(500 * MB, 500 * MB);
        assert_eq!(pull.go_on(1, 10 * MB, 0), [None]);
    }

    #[test]
    fn a_stall_makes_it_take_longer_and_what_came_before_the_first_window_is_unknown() {
        let mut pull = Transfer::new(10 * MB, 0);
        let now = pull.start + WINDOW / 2;
        assert_eq!(pull.estimate.at(&pull.position, now), None);
        assert_eq!(pull.go_on(1, MB, 0), [Some(900)]);
        assert_eq!(pull.go_on(2, 0, 0), [Some(1_800), Some(2_700)]);
    }

    #[test]
    fn bytes_that_come_again_are_no_progress() {
        let mut pull = Transfer::new(10 * MB, 0);
        pull.go_on(2, MB, 0);
        (pull.position.fetched, pull.position.to_fetch) = (MB, 9 * MB);
        assert_eq!(pull.go_on(1, 0, 0), [Some(1_350)]);
        assert_eq!(pull.go_on(1, MB, 0), [Some(1_600)]);
    }

    #[test]
    fn clocks_and_numbers_may_be_extreme() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        let position = Position {
            fetched: 1,
            to_fetch: u64::MAX,
            to_copy: u64::MAX,
            copied: u64::MAX,
        };
        assert_eq!(estimate.at(&position, start), None, "it did not begin");
        let before = start.checked_sub(Duration::from_secs(1)).unwrap_or(start);
        assert_eq!(estimate.at(&position, before), None);
        let later = start + Duration::from_secs(1 << 40);
        assert!(estimate.at(&position, later).is_some());
        assert_eq!(
            estimate.at(&Position::default(), later),
            Some(Duration::ZERO)
        );
    }
}
