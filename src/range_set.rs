//! Sets of byte ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither overlap nor touch, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a range; an empty one changes nothing.
    pub(crate) fn insert(&mut self, range: &Range<u64>) {
        let Range { mut start, mut end } = *range;
        if range.is_empty() {
            return;
        }
        if let Some((before, until)) = self.last_before(start)
            && until >= start
        {
            start = before;
            end = end.max(until);
        }
        while let Some((next, until)) = self.0.range(start..=end).next().map(|(b, u)| (*b, *u)) {
            self.0.remove(&next);
            end = end.max(until);
        }
        self.0.insert(start, end);
    }

    /// Takes a range away.
    pub(crate) fn remove(&mut self, gone: &Range<u64>) {
        let left = self.iter().flat_map(|range| {
            let before = range.start..range.end.min(gone.start);
            let behind = range.start.max(gone.end)..range.end;
            [before, behind]
        });
        *self = left.collect();
    }

    /// Returns whether all of a range is in the set.
    pub(crate) fn contains(&self, range: &Range<u64>) -> bool {
        self.end_from(range.start) >= range.end
    }

    /// Returns where the first gap from a place on begins.
    pub(crate) fn end_from(&self, from: u64) -> u64 {
        self.last_before(from)
            .map_or(from, |(_, end)| end.max(from))
    }

    /// Returns the number of bytes in all ranges together.
    pub(crate) fn bytes(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// Returns the ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(begin, end)| *begin..*end)
    }

    /// Returns what is in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let (mut one, mut two) = (self.iter().peekable(), other.iter().peekable());
        let mut both = Self::default();
        while let (Some(x), Some(y)) = (one.peek(), two.peek()) {
            both.insert(&(x.start.max(y.start)..x.end.min(y.end)));
            if x.end < y.end {
                one.next()
            } else {
                two.next()
            };
        }
        both
    }

    fn last_before(&self, from: u64) -> Option<(u64, u64)> {
        self.0.range(..=from).next_back().map(|(b, e)| (*b, *e))
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::default();
        ranges.into_iter().for_each(|range| set.insert(&range));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(ranges: [Range<u64>; N]) -> RangeSet {
        ranges.into_iter().collect()
    }

    #[test]
    fn ranges_merge_wherever_they_touch() {
        assert_eq!(
            of([4..8, 0..2, 8..10, 20..30, 2..4, 9..25, 50..50]),
            of([0..30])
        );
        assert_eq!(of([0..5, 1..2]), of([0..5]));
    }

    #[test]
    fn a_gap_ends_what_is_there() {
        let set = of([0..5, 7..9]);
        for (from, end) in [(0, 5), (5, 5), (6, 6), (8, 9), (20, 20)] {
            assert_eq!(set.end_from(from), end);
        }
        for (range, is_there) in [
            (1..5, true),
            (4..6, false),
            (5..7, false),
            (7..9, true),
            (6..6, true),
        ] {
            assert_eq!(set.contains(&range), is_there, "{range:?}");
        }
    }

    #[test]
    fn taking_away_leaves_both_ends() {
        let mut set = of([0..10, 20..30]);
        set.remove(&(5..25));
        assert_eq!(set, of([0..5, 25..30]));
        set.remove(&(0..100));
        assert_eq!(set, RangeSet::default());
    }

    #[test]
    fn what_is_in_both() {
        let both = of([0..10, 20..30, 40..41]).intersection(&of([5..22, 28..41]));
        assert_eq!(both, of([5..10, 20..22, 28..30, 40..41]));
    }
}
