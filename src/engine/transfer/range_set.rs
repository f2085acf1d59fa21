//! Which bytes of a stream are there.

use std::collections::BTreeMap;
use std::ops::Range;

/// Stretches of a stream, none touching another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage(BTreeMap<u64, u64>);

impl Coverage {
    /// Adds a stretch.
    pub(crate) fn add(&mut self, range: &Range<u64>) {
        let Range { mut start, mut end } = *range;
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

    /// Takes a stretch away.
    pub(crate) fn remove(&mut self, gone: &Range<u64>) {
        let left = self.stretches().flat_map(|range| {
            let before = range.start..range.end.min(gone.start);
            let behind = range.start.max(gone.end)..range.end;
            [before, behind]
        });
        self.0 = left
            .filter(|range| range.start < range.end)
            .map(|range| (range.start, range.end))
            .collect();
    }

    /// How far the bytes are there without a gap, from a place on.
    pub(crate) fn end_from(&self, from: u64) -> u64 {
        self.last_before(from)
            .map_or(from, |(_, end)| end.max(from))
    }

    /// The stretches, in order.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(begin, end)| *begin..*end)
    }

    fn last_before(&self, from: u64) -> Option<(u64, u64)> {
        self.0.range(..=from).next_back().map(|(b, e)| (*b, *e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(ranges: [Range<u64>; N]) -> Coverage {
        let mut coverage = Coverage::default();
        for range in ranges {
            coverage.add(&range);
        }
        coverage
    }

    #[test]
    fn stretches_merge_wherever_they_touch() {
        assert_eq!(of([4..8, 0..2, 8..10, 20..30, 2..4, 9..25]), of([0..30]));
        assert_eq!(of([0..5, 1..2]), of([0..5]));
    }

    #[test]
    fn a_gap_ends_what_is_there() {
        let coverage = of([0..5, 7..9]);
        for (from, end) in [(0, 5), (5, 5), (6, 6), (8, 9), (20, 20)] {
            assert_eq!(coverage.end_from(from), end);
        }
    }

    #[test]
    fn taking_away_leaves_both_ends() {
        let mut coverage = of([0..10, 20..30]);
        coverage.remove(&(5..25));
        assert_eq!(coverage, of([0..5, 25..30]));
        coverage.remove(&(0..100));
        assert_eq!(coverage, Coverage::default());
    }
}
