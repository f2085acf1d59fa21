//! Parts that a server sends whole although a range was requested.
//!
//! One worker then receives the part once, for all of its ranges: those that nobody has begun, its own, and those that
//! others hand over before the stream has passed them. It writes these ranges and no others, so that bytes which are
//! complete, and may have been hashed, stay as they are.

use std::collections::HashMap;
use std::ops::Range;

use crate::mutex::Mutex;

/// The parts that are received whole.
#[derive(Debug, Default)]
pub(crate) struct FullResponses(Mutex<HashMap<usize, FullResponse>>);

#[derive(Debug, Default)]
struct FullResponse {
    is_active: bool,
    /// How far the stream is: ranges that begin before cannot be handed over any more.
    passed: u64,
    /// The ranges that the stream writes, by their ends: an unfinished one begins anywhere.
    owned: HashMap<u64, u64>,
    /// Ranges that came too late for this stream.
    deferred: Vec<Range<u64>>,
}

impl FullResponses {
    fn with<T>(&self, part: usize, act: impl FnOnce(&mut FullResponse) -> T) -> T {
        act(self.0.lock().entry(part).or_default())
    }

    /// Hands a range over if its part is being received whole; returns whether it is.
    pub(crate) fn hand_over(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |response| {
            if response.is_active && range.start >= response.passed {
                response.owned.insert(range.end, range.start);
            } else if response.is_active {
                response.deferred.push(range.clone());
            }
            response.is_active
        })
    }

    /// Decides who receives a part that the server sends whole: the caller if this returns `true`, else the worker that
    /// already does, to which the range is handed over.
    pub(crate) fn claim(&self, part: usize, range: &Range<u64>) -> bool {
        if self.hand_over(part, range) {
            return false;
        }
        self.with(part, |response| {
            response.is_active = true;
            response.owned.insert(range.end, range.start);
        });
        true
    }

    /// Adds a range to those that the stream writes.
    pub(crate) fn own(&self, part: usize, range: &Range<u64>) {
        self.with(part, |response| {
            response.owned.insert(range.end, range.start)
        });
    }

    /// Learns that a stream begins.
    pub(crate) fn begin(&self, part: usize) {
        self.with(part, |response| response.passed = 0);
    }

    /// Learns that the stream reaches a range; returns how much of it to write, up to its end.
    pub(crate) fn reach(&self, part: usize, range: &Range<u64>) -> Range<u64> {
        self.with(part, |response| {
            response.passed = range.end;
            response
                .owned
                .get(&range.end)
                .map_or(range.end, |begin| *begin)..range.end
        })
    }

    /// Learns that the stream ended well; returns the ranges that it left to do.
    pub(crate) fn end(&self, part: usize) -> Vec<Range<u64>> {
        self.with(part, |response| std::mem::take(response).deferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receives_and_the_others_hand_over() {
        let parts = FullResponses::default();
        assert!(!parts.hand_over(7, &(0..8)));
        assert!(parts.claim(7, &(11..16)), "some of it is here");
        assert!(!parts.claim(7, &(0..8)));
        parts.begin(7);
        assert_eq!(parts.reach(7, &(0..8)), 0..8);
        assert_eq!(parts.reach(7, &(8..16)), 11..16);
        assert!(
            parts.reach(7, &(16..24)).is_empty(),
            "nobody handed it over"
        );
        assert!(parts.hand_over(7, &(16..24)), "too late for this stream");
        assert!(parts.hand_over(7, &(24..32)));
        assert_eq!(parts.reach(7, &(24..32)), 24..32);
        assert_eq!(parts.end(7), [16..24]);
        assert!(!parts.hand_over(7, &(0..8)));
    }
}
