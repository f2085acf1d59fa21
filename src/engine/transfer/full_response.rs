//! Parts that a server sends whole although a range was requested.
//!
//! One worker then receives the part once, for all of its ranges that no answer has come for: its own, those that others have
//! requested, whose answers are dropped unread, and those that nobody has begun. It writes these ranges and no others, so
//! that bytes which are complete, and may have been hashed, stay as they are.

use std::collections::HashMap;
use std::ops::Range;

use crate::mutex::Mutex;

/// The parts that come in ranges, unless a server sends them whole.
#[derive(Debug, Default)]
pub(crate) struct FullResponses(Mutex<HashMap<usize, PartResponses>>);

#[derive(Debug, Default)]
struct PartResponses {
    /// The ranges that no answer has come for, by their ends: an unfinished one begins anywhere.
    open: HashMap<u64, u64>,
    /// What receives the part whole.
    stream: Option<Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// How far it is: ranges that begin before cannot be handed over any more.
    passed: u64,
    /// The ranges that it writes, by their ends.
    owned: HashMap<u64, u64>,
    /// Ranges that came too late for it.
    deferred: Vec<Range<u64>>,
}

impl PartResponses {
    /// Hands a range over if the part is being received whole; returns whether it is.
    fn hand_over(&mut self, range: &Range<u64>) -> bool {
        match &mut self.stream {
            Some(stream) if range.start >= stream.passed => {
                stream.owned.insert(range.end, range.start);
            }
            Some(stream) => stream.deferred.push(range.clone()),
            None => return false,
        }
        true
    }
}

impl FullResponses {
    fn with<T>(&self, part: usize, act: impl FnOnce(&mut PartResponses) -> T) -> T {
        act(self.0.lock().entry(part).or_default())
    }

    /// Adds a range that is going to be requested.
    pub(crate) fn open(&self, part: usize, range: &Range<u64>) {
        self.with(part, |responses| {
            responses.open.insert(range.end, range.start)
        });
    }

    /// Returns whether to request a range: not if whoever receives its part whole has it, or takes it over now.
    pub(crate) fn is_wanted(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |responses| {
            if !responses.open.contains_key(&range.end) {
                return false;
            }
            let is_handed_over = responses.hand_over(range);
            if is_handed_over {
                responses.open.remove(&range.end);
            }
            !is_handed_over
        })
    }

    /// Learns that a request for a range is answered with that range, or failed for good. Returns whether it is still wanted.
    pub(crate) fn answered(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |responses| {
            responses.open.remove(&range.end).is_some()
        })
    }

    /// Decides who receives a part that the server sends whole in answer to a request for a range that is open: the caller if
    /// this returns `true`, else the worker that already does, which has the range or takes it over now.
    pub(crate) fn claim(&self, part: usize, range: &Range<u64>) -> bool {
        self.with(part, |responses| {
            let is_wanted = responses.open.remove(&range.end).is_some();
            if !is_wanted || responses.hand_over(range) {
                return false;
            }
            let mut owned = std::mem::take(&mut responses.open);
            owned.insert(range.end, range.start);
            responses.stream = Some(Stream {
                owned,
                ..Stream::default()
            });
            true
        })
    }

    /// Learns that a stream begins.
    pub(crate) fn begin(&self, part: usize) {
        self.with_stream(part, |stream| stream.passed = 0);
    }

    /// Learns that the stream reaches a range; returns how much of it to write, up to its end.
    pub(crate) fn reach(&self, part: usize, range: &Range<u64>) -> Range<u64> {
        self.with_stream(part, |stream| {
            stream.passed = range.end;
            let begin = stream.owned.get(&range.end);
            begin.map_or(range.end, |begin| *begin)..range.end
        })
    }

    /// Learns that the stream ended well; returns the ranges that it left to do, which are going to be requested.
    pub(crate) fn end(&self, part: usize) -> Vec<Range<u64>> {
        self.with(part, |responses| {
            let deferred = responses.stream.take().unwrap_or_default().deferred;
            let open = deferred.iter().map(|range| (range.end, range.start));
            responses.open.extend(open);
            deferred
        })
    }

    fn with_stream<T>(&self, part: usize, act: impl FnOnce(&mut Stream) -> T) -> T {
        self.with(part, |responses| {
            act(responses.stream.get_or_insert_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(ranges: &[Range<u64>]) -> FullResponses {
        let parts = FullResponses::default();
        ranges.iter().for_each(|range| parts.open(7, range));
        parts
    }

    #[test]
    fn one_receives_what_no_answer_has_come_for() {
        let parts = opened(&[3..8, 8..16, 16..24, 24..32]);
        assert!(parts.is_wanted(7, &(3..8)));
        assert!(parts.answered(7, &(16..24)));
        assert!(parts.claim(7, &(8..16)));
        assert!(!parts.claim(7, &(3..8)), "it has that already");
        assert!(!parts.is_wanted(7, &(3..8)), "it was requested");
        assert!(!parts.is_wanted(7, &(24..32)), "nobody has begun it");
        parts.begin(7);
        assert_eq!(parts.reach(7, &(0..8)), 3..8, "some of it is here");
        assert_eq!(parts.reach(7, &(8..16)), 8..16);
        let answered = parts.reach(7, &(16..24));
        assert!(answered.is_empty(), "it comes as the range that it is");
        assert_eq!(parts.reach(7, &(24..32)), 24..32);
        assert!(parts.end(7).is_empty());
        assert!(!parts.answered(7, &(3..8)), "its answer comes too late");
        assert!(!parts.is_wanted(7, &(24..32)));
    }

    #[test]
    fn ranges_whose_answers_failed_are_handed_over() {
        let parts = opened(&[0..8, 8..16, 16..24, 24..32]);
        for range in [8..16, 16..24, 24..32] {
            assert!(parts.answered(7, &range));
        }
        assert!(parts.claim(7, &(0..8)));
        parts.begin(7);
        assert_eq!(parts.reach(7, &(0..8)), 0..8);
        assert!(parts.reach(7, &(8..16)).is_empty());
        for range in [8..16, 16..24, 24..32] {
            parts.open(7, &range);
        }
        assert!(!parts.claim(7, &(8..16)), "too late for this stream");
        assert!(!parts.is_wanted(7, &(16..24)));
        assert!(!parts.claim(7, &(24..32)));
        assert_eq!(parts.reach(7, &(16..24)), 16..24);
        assert_eq!(parts.reach(7, &(24..32)), 24..32);
        assert_eq!(parts.end(7), [8..16]);
        assert!(parts.is_wanted(7, &(8..16)), "it is left to do");
    }
}
