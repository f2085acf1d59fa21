//! How many connections a transfer has: more while each addition brings more bytes a second, fewer where a server refuses.
//!
//! ```text
//!                all are answered               it brings more
//! ┌▶ Opening ──────────────────────▶ Measuring ────────────────▶ twice as many ──▶ Opening …
//! │                                      │ it does not, a server refuses, or the processors are busy
//! └──────────── the rest is over ── Resting
//! ```
//!
//! Where the processors are busy, it tries once whether two connections are enough. It rests, too, once a limit of the rate is
//! reached. It decides from what it is told: nothing in here knows a clock, a thread or a socket.

use std::time::Duration;

use tracing::debug;

use crate::rate_limit::RateLimit;

/// Returns how many connections a transfer has that cannot find out how many help.
pub(crate) fn fixed_connections(limit: Option<&RateLimit>) -> usize {
    limit.map_or(MAX_CONNECTIONS, |limit| {
        limit.connections(FIRST_CONNECTIONS, MAX_CONNECTIONS)
    })
}

/// How many connections a transfer begins with, and how many it has at most.
pub(crate) const FIRST_CONNECTIONS: usize = 4;
pub(crate) const MAX_CONNECTIONS: usize = 16;
/// How many it keeps when this machine is slower than the server: while one works, the other brings something.
const FEWEST_CONNECTIONS: usize = 2;
/// How long bytes are counted before a decision, unless the answers of the server take longer: long enough to even out
/// what comes in bursts, so short that beginning with few connections costs a quarter of a second.
const WINDOW: Duration = Duration::from_millis(200);
const LONGEST_WINDOW: Duration = Duration::from_secs(1);
/// After how many windows an addition has failed that has not brought more by then.
const WINDOWS: u32 = 4;
/// How much more an addition that doubles the connections must bring: more than a window differs from the next by chance.
const GAIN_PERCENT: u128 = 115;
/// How much of the bytes the fewest connections must still bring where the processors are busy. If the connections were what
/// limits, it would be half; and more of them look faster than they are until what came early is hashed.
const KEPT_PERCENT: u128 = 75;
/// How busy the workers must keep the processors for that to be tried: a server on this machine needs them, too.
const BUSY_PERCENT: u32 = 75;
/// How long nothing is added after an addition that failed; twice as long each time.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How many connections a server may have to refuse within how long.
const MAX_REFUSALS: usize = 3;
const REFUSALS_TIME: Duration = Duration::from_secs(60);
/// After how long without a byte a connection is replaced while others bring some; twice as long each time.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// What a transfer looks like at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Since its beginning.
    pub(super) at: Duration,
    /// What has arrived, and what of it a limit of the rate has held back.
    pub(super) bytes: u64,
    pub(super) held_back: u64,
    /// For how long all of its workers have waited for the server.
    pub(super) waited: Duration,
    /// How many connections there are.
    pub(super) open: usize,
    /// How many of them have been answered.
    pub(super) answered: usize,
}

/// How a server refused a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// On a connection that has not been answered before.
    pub(super) is_first: bool,
    /// With a status that says so; otherwise, the connection failed.
    pub(super) has_status: bool,
    pub(super) retry_after: Option<Duration>,
}

/// Decides how many connections there are.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many workers this machine can have busy at once.
    processors: usize,
    limit: usize,
    /// How many the server has taken at once.
    proven: usize,
    /// What there was before the addition that is on trial: connections, and bytes a second.
    before: Option<(usize, u64)>,
    fewer: Fewer,
    step: Step,
    rest: Duration,
    /// The times of the last refusals.
    refusals: Vec<Duration>,
    patience: Duration,
}

/// Whether as few connections as may be are enough where the processors are busy.
#[derive(Debug, Clone, Copy)]
enum Fewer {
    Untried,
    /// There are so few; before, there were more connections, and as many bytes a second.
    OnTrial {
        connections: usize,
        rate: u64,
    },
    Tried,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Until all connections are answered, or have had the time.
    Opening { since: Duration },
    /// Until a window is over.
    Measuring {
        since: Duration,
        bytes: u64,
        held_back: u64,
        waited: Duration,
        window: Duration,
    },
    /// For good if there is no end.
    Resting { until: Option<Duration> },
}

impl Pace {
    pub(super) fn new(processors: usize) -> Self {
        Self {
            processors,
            limit: FIRST_CONNECTIONS,
            proven: FIRST_CONNECTIONS,
            before: None,
            fewer: Fewer::Untried,
            step: Step::Opening {
                since: Duration::ZERO,
            },
            rest: FIRST_REST,
            refusals: Vec::new(),
            patience: FIRST_PATIENCE,
        }
    }

    /// Returns how many connections there may be.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether one more connection may be opened: only a few beyond what is proven wait for their first answer at once, so
    /// that a server which takes no more has few to refuse.
    pub(super) fn may_open(&self, now: Moment) -> bool {
        now.open < self.limit
            && (now.open < self.proven || now.open - now.answered < self.room(now.at))
    }

    /// Returns how many more refusals the server may be put to.
    fn room(&self, at: Duration) -> usize {
        let recent = self.refusals.iter();
        let recent = recent.filter(|refused| at.saturating_sub(**refused) < REFUSALS_TIME);
        MAX_REFUSALS.saturating_sub(recent.count())
    }

    /// Looks at the transfer; to be called several times in each window.
    pub(super) fn look(&mut self, now: Moment) {
        self.proven = self.proven.max(now.answered.min(self.limit));
        match self.step {
            Step::Opening { since } => {
                let latency = now.at.saturating_sub(since);
                if now.answered < self.limit && latency < LONGEST_WINDOW {
                    return;
                }
                self.measure(now, latency.clamp(WINDOW, LONGEST_WINDOW));
            }
            Step::Measuring {
                since,
                bytes,
                held_back,
                waited,
                window,
            } => {
                let waited = now.waited.saturating_sub(waited);
                let time = now.at.saturating_sub(since);
                let bytes = now.bytes.saturating_sub(bytes);
                let held_back = now.held_back.saturating_sub(held_back);
                if time >= window && bytes == 0 {
                    // The workers are busy with this machine.
                    self.measure(now, window);
                } else if time >= window && held_back.saturating_mul(2) >= bytes {
                    self.keep(now, per_second(bytes, time));
                } else if time >= window
                    && let Fewer::OnTrial {
                        connections,
                        rate: before,
                    } = self.fewer
                {
                    self.judge_fewer(now, per_second(bytes, time), connections, before);
                } else if time >= window
                    && self.before.is_none()
                    && self.judge_busy(now, per_second(bytes, time), time, waited)
                {
                    // It is decided.
                } else if time >= window {
                    self.judge(now, per_second(bytes, time), time >= window * WINDOWS);
                }
            }
            Step::Resting { until } => {
                if until.is_some_and(|until| now.at >= until) {
                    self.step = Step::Opening { since: now.at };
                }
            }
        }
    }

    fn measure(&mut self, now: Moment, window: Duration) {
        self.step = Step::Measuring {
            since: now.at,
            bytes: now.bytes,
            held_back: now.held_back,
            waited: now.waited,
            window,
        };
    }

    /// Stays with as many as keep the processors busy, if they are what limits: more only take turns on them, and wait for each
    /// other. What else is busy may be the server, if it is on this machine, so that the fewest are tried first. Returns whether
    /// there is anything to decide.
    fn judge_busy(&mut self, now: Moment, rate: u64, time: Duration, waited: Duration) -> bool {
        let all = time * count(now.open);
        let busy = all.saturating_sub(waited);
        let is_untried = matches!(self.fewer, Fewer::Untried) && self.limit > FEWEST_CONNECTIONS;
        let percent = match is_untried {
            true => BUSY_PERCENT,
            false => 100,
        };
        if busy * 100 < time * count(self.processors) * percent {
            return false;
        }
        let needed = all.as_micros() * self.processors as u128;
        let needed = needed.div_ceil(busy.as_micros().max(1));
        let needed = usize::try_from(needed).unwrap_or(MAX_CONNECTIONS);
        let connections = needed.clamp(FEWEST_CONNECTIONS, self.limit);
        if is_untried && connections > FEWEST_CONNECTIONS {
            self.fewer = Fewer::OnTrial { connections, rate };
            self.limit = FEWEST_CONNECTIONS;
            self.decided(
                rate,
                "the processors are busy: trying whether fewer are enough",
            );
            self.measure(now, WINDOW);
        } else {
            self.limit = connections;
            self.decided(rate, "the processors are busy");
            self.rest(now.at, None);
        }
        true
    }

    /// Decides whether the fewest are enough.
    fn judge_fewer(&mut self, now: Moment, rate: u64, connections: usize, before: u64) {
        self.fewer = Fewer::Tried;
        if u128::from(rate) * 100 < u128::from(before) * KEPT_PERCENT {
            self.limit = connections;
            self.decided(rate, "fewer bring fewer bytes");
            self.measure(now, WINDOW);
        } else {
            self.decided(rate, "fewer bring as many bytes");
            self.rest(now.at, None);
        }
    }

    /// Stays with what there is while more connections would only share the limit of the rate.
    fn keep(&mut self, now: Moment, rate: u64) {
        self.decided(rate, "the limit of the rate is reached");
        self.rest(now.at, None);
    }

    /// Decides after a window, or after the last one.
    fn judge(&mut self, now: Moment, rate: u64, is_last: bool) {
        match self.before {
            Some((connections, before))
                if u128::from(rate) * 100 < u128::from(before) * GAIN_PERCENT =>
            {
                if is_last {
                    self.limit = connections;
                    self.decided(rate, "more bring no more bytes");
                    self.rest(now.at, None);
                }
            }
            _ if self.limit < MAX_CONNECTIONS && self.room(now.at) > 0 => {
                self.before = Some((self.limit, rate));
                self.limit = (self.limit * 2).min(MAX_CONNECTIONS);
                self.decided(rate, "trying whether more bring more bytes");
                self.step = Step::Opening { since: now.at };
            }
            _ if self.limit < MAX_CONNECTIONS => self.rest(now.at, None),
            _ => {
                self.decided(rate, "all there may be bring more bytes");
                self.before = None;
                self.step = Step::Resting { until: None };
            }
        }
    }

    /// Learns that the server refused a request. Returns whether that connection is one too many: whoever has it gives it
    /// up. Otherwise, the request is repeated as one that failed for another reason.
    pub(super) fn refused(&mut self, now: Moment, refusal: Refusal) -> bool {
        if now.open <= 1 {
            return false;
        }
        let is_on_trial = refusal.is_first || self.before.is_some();
        // A server that refused an addition may have taken a part of it, and refuse that next.
        let was_cut = matches!(self.step, Step::Resting { until: Some(_) });
        let is_enough = was_cut && now.open <= self.limit && self.room(now.at) == 0;
        if !is_on_trial && (!refusal.has_status || is_enough) {
            return false;
        }
        self.refusals
            .retain(|refused| now.at.saturating_sub(*refused) < REFUSALS_TIME);
        self.refusals.push(now.at);
        // Otherwise, it is among those that go anyway.
        if now.open <= self.limit {
            self.limit = match is_on_trial {
                true => now.open - 1,
                false => now.open / 2,
            };
            self.decided(0, "the server refuses connections");
            self.rest(now.at, refusal.retry_after);
        }
        self.proven = self.limit;
        true
    }

    /// Whether a connection is stalled that has brought nothing for so long, while others have.
    pub(super) fn is_stalled(&mut self, silence: Duration) -> bool {
        let is_stalled = silence >= self.patience;
        if is_stalled {
            self.patience *= 2;
        }
        is_stalled
    }

    fn rest(&mut self, at: Duration, at_least: Option<Duration>) {
        self.before = None;
        if matches!(self.fewer, Fewer::OnTrial { .. }) {
            self.fewer = Fewer::Tried;
        }
        let rest = self.rest.max(at_least.unwrap_or_default());
        self.step = Step::Resting {
            until: Some(at + rest),
        };
        self.rest = (self.rest * 2).min(LONGEST_REST);
    }

    fn decided(&self, bytes_per_second: u64, why: &str) {
        debug!(
            connections = self.limit,
            bytes_per_second, why, "connections"
        );
    }
}

fn count(workers: usize) -> u32 {
    u32::try_from(workers).unwrap_or(u32::MAX)
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
