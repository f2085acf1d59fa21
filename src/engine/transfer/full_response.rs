//! Parts that a server sends whole, though a range was asked for.
//!
//! One worker then receives the part once, for everybody: the ranges that nobody has begun, its own, and those that
//! others hand over while the stream has not passed them. It writes these ranges and no other, so that bytes which are
//! complete, and may have been hashed, stay as they are.

use crate::mutex::Mutex;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The parts that are received whole.
#[derive(Debug, Default)]
pub(crate) struct WholeParts(Mutex<HashMap<usize, Whole>>);

#[derive(Debug, Default)]
struct Whole {
    active: bool,
    /// Where the stream is: ranges that begin before cannot be handed over any more.
    passed: u64,
    owned: HashSet<u64>,
    /// Ranges that came too late for the stream under way.
    deferred: Vec<Range<u64>>,
}

/// What becomes of a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The caller receives the part, with this range and those that it adds.
    Receive,
    /// Another worker takes care of the range.
    HandedOver,
}

impl WholeParts {
    fn with<T>(&self, part: usize, act: impl FnOnce(&mut Whole) -> T) -> T {
        let mut parts = self.0.lock();
        act(parts.entry(part).or_default())
    }

    /// Whether a part is being received whole, in which case the range is handed over.
    pub(crate) fn hand_over(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |whole| {
            if !whole.active {
                return false;
            }
            if range.start >= whole.passed {
                whole.owned.insert(range.start);
            } else {
                whole.deferred.push(range.clone());
            }
            true
        })
    }

    /// Decides who receives a part of which the server sends the whole.
    pub(crate) fn claim(&self, part: usize, range: &Range<u64>) -> Claim {
        if self.hand_over(part, range) {
            return Claim::HandedOver;
        }
        self.with(part, |whole| {
            whole.active = true;
            whole.owned.insert(range.start);
        });
        Claim::Receive
    }

    /// Adds a range to those that the stream is to write.
    pub(crate) fn own(&self, part: usize, range: &Range<u64>) {
        self.with(part, |whole| whole.owned.insert(range.start));
    }

    /// A stream begins.
    pub(crate) fn begin(&self, part: usize) {
        self.with(part, |whole| whole.passed = 0);
    }

    /// The stream reaches a range: whether it is to be written.
    pub(crate) fn reach(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |whole| {
            whole.passed = range.end;
            whole.owned.contains(&range.start)
        })
    }

    /// The stream ended well: returns the ranges that it left to do.
    pub(crate) fn end(&self, part: usize) -> Vec<Range<u64>> {
        self.with(part, |whole| std::mem::take(whole).deferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_receives_and_the_others_hand_over() {
        let parts = WholeParts::default();
        assert!(!parts.hand_over(7, &(0..8)));
        assert_eq!(parts.claim(7, &(8..16)), Claim::Receive);
        assert_eq!(parts.claim(7, &(0..8)), Claim::HandedOver);
        parts.begin(7);
        assert!(parts.reach(7, &(0..8)));
        assert!(parts.reach(7, &(8..16)));
        assert!(!parts.reach(7, &(16..24)), "nobody handed it over");
        assert!(parts.hand_over(7, &(16..24)), "too late for this stream");
        assert!(parts.hand_over(7, &(24..32)));
        assert!(parts.reach(7, &(24..32)));
        assert_eq!(parts.end(7), [16..24]);
        assert!(!parts.hand_over(7, &(0..8)));
    }
}
