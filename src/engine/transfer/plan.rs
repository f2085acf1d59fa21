//! Deciding where the bytes of a pull come from, without touching anything.

use std::collections::HashMap;
use std::ops::Range;

use crate::engine::transfer::local_copies::{LocalCopies, LocalCopy};
use crate::manifest::Manifest;
use crate::range_set::RangeSet;
use crate::store::raw_members::RawMembers;

/// A part larger than this is fetched in ranges, so that several connections share it and a restart keeps what is there.
const SPLIT_BYTES: u64 = 2 * RANGE_BYTES;
/// The length of such a range: small enough that the last ones end at about the same time on sixteen connections, large
/// enough that requests are cheap.
pub(super) const RANGE_BYTES: u64 = 8 << 20;
/// The maximum number of ranges in a plan, which bounds its memory whatever a manifest states: 2 TiB of large parts. Further
/// parts are fetched whole.
const MAX_RANGES: u64 = 1 << 18;

/// Where the bytes of a part come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// An unfinished pull wrote all of them.
    Partial,
    /// This machine has them elsewhere.
    Local(LocalCopy),
    /// The source, in one piece; as many bytes of its beginning may be in the partial. Of a member of a zip, these are bytes
    /// of the zip.
    Network { kept_bytes: u64 },
    /// The source, in these ranges of the stream, in order; the rest is in the partial.
    Ranges(Vec<Range<u64>>),
}

/// What an unfinished pull left.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// The ranges that its journal lists.
    pub(crate) ranges: RangeSet,
    /// What it has of members of the very zip that they come from now.
    pub(crate) members: Option<RawMembers>,
}

/// A part to bring in, and all the places where its bytes belong.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// The index of the part.
    pub(crate) part: usize,
    /// Other parts with the same digest.
    pub(crate) twins: Vec<usize>,
    pub(crate) origin: Origin,
}

/// Where all bytes of a manifest come from.
#[derive(Debug)]
pub(crate) struct TransferPlan {
    pub(crate) tasks: Vec<Task>,
    pub(crate) bytes_to_fetch: u64,
    pub(crate) bytes_reused: u64,
    pub(crate) bytes_resumed: u64,
    pub(crate) requests: usize,
}

impl TransferPlan {
    /// Returns how many bytes are read on this machine and verified, counting each place that they belong in.
    pub(crate) fn bytes_to_copy(&self, manifest: &Manifest) -> u64 {
        let is_copied = |task: &&Task| match task.origin {
            Origin::Partial | Origin::Local(_) => manifest.parts()[task.part].digest.is_some(),
            Origin::Network { .. } | Origin::Ranges(_) => false,
        };
        let copied = self.tasks.iter().filter(is_copied);
        let bytes =
            |task: &Task| manifest.parts()[task.part].size_bytes * (task.twins.len() as u64 + 1);
        copied.map(bytes).sum()
    }
}

/// Plans a transfer. `found` are the ranges that the journal of its partial has; `has_ranges` is whether parts can be
/// fetched in ranges.
pub(crate) fn plan(
    manifest: &Manifest,
    found: &RangeSet,
    copies: &LocalCopies,
    has_ranges: bool,
) -> TransferPlan {
    let mut plan = TransferPlan {
        tasks: Vec::new(),
        bytes_to_fetch: 0,
        bytes_reused: 0,
        bytes_resumed: 0,
        requests: 0,
    };
    let mut first_of = HashMap::new();
    let mut ranges_left = MAX_RANGES;
    for (index, part) in manifest.parts().iter().enumerate() {
        if let Some(digest) = part.digest {
            if let Some(task) = first_of.get(&digest) {
                let task: &mut Task = &mut plan.tasks[*task];
                task.twins.push(index);
                // Written again along with the first, whatever is there.
                plan.bytes_reused += part.size_bytes;
                continue;
            }
            first_of.insert(digest, plan.tasks.len());
        }
        let range = part.range();
        let origin = if found.contains(&range) {
            plan.bytes_resumed += part.size_bytes;
            Origin::Partial
        } else if let Some(copy) = copies.of_part(manifest, index) {
            plan.bytes_reused += part.size_bytes;
            Origin::Local(copy)
        } else if has_ranges
            && part.size_bytes > SPLIT_BYTES
            && let Some(left) = ranges_left.checked_sub(part.size_bytes.div_ceil(RANGE_BYTES))
        {
            ranges_left = left;
            let missing: Vec<Range<u64>> = ranges_of(&range)
                .map(|piece| found.end_from(piece.start)..piece.end)
                .filter(|missing| !missing.is_empty())
                .collect();
            let bytes: u64 = missing.iter().map(|piece| piece.end - piece.start).sum();
            plan.bytes_to_fetch += bytes;
            plan.bytes_resumed += part.size_bytes - bytes;
            plan.requests += missing.len();
            Origin::Ranges(missing)
        } else {
            let kept_bytes = match has_ranges {
                true => found.end_from(range.start) - range.start,
                false => 0,
            };
            plan.bytes_to_fetch += part.size_bytes - kept_bytes;
            plan.bytes_resumed += kept_bytes;
            plan.requests += 1;
            Origin::Network { kept_bytes }
        };
        plan.tasks.push(Task {
            part: index,
            twins: Vec::new(),
            origin,
        });
    }
    // Bytes that belong in several places are written to all of them as they arrive, so they are not fetched in ranges.
    for task in plan.tasks.iter_mut().filter(|task| !task.twins.is_empty()) {
        if let Origin::Ranges(ranges) = &task.origin {
            let part = manifest.parts()[task.part];
            let missing: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            let kept_bytes = ranges.first().map_or(0, |range| range.start - part.offset);
            let lost_bytes = part.size_bytes - kept_bytes - missing;
            plan.bytes_to_fetch += lost_bytes;
            plan.bytes_resumed -= lost_bytes;
            plan.requests -= ranges.len() - 1;
            task.origin = Origin::Network { kept_bytes };
        }
    }
    plan
}

/// Cuts a large part into the ranges that it is fetched in, always at the same places, so that a restart goes on with each.
pub(crate) fn ranges_of(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = *range;
    let count = (end - start).div_ceil(RANGE_BYTES);
    (0..count)
        .map(move |index| start + index * RANGE_BYTES..(start + (index + 1) * RANGE_BYTES).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE_BYTES: u64 = 4 * RANGE_BYTES + 1;

    fn manifest(sizes: &[(u64, &str)]) -> Manifest {
        let total: u64 = sizes.iter().map(|(size, _)| size).sum();
        let chunks: Vec<String> = sizes
            .iter()
            .map(|(_, c)| format!("\"{}\"", c.repeat(64)))
            .collect();
        let chunk_sizes: Vec<String> = sizes.iter().map(|(size, _)| size.to_string()).collect();
        let json = format!(
            r#"{{"total_size":{total},"chunk_size":1,"chunks":[{}],"chunk_sizes":[{}],"files":[{{"path":"x","size":{total}}}]}}"#,
            chunks.join(","),
            chunk_sizes.join(",")
        );
        Manifest::parse(json.into_bytes(), "here").unwrap()
    }

    #[test]
    fn fetches_each_digest_once_and_keeps_what_is_there() {
        let manifest = manifest(&[(4, "a"), (4, "b"), (4, "a"), (4, "c")]);
        let plan = plan(
            &manifest,
            &RangeSet::from_iter([4..8, 12..15]),
            &LocalCopies::default(),
            true,
        );
        let shown: Vec<_> = plan
            .tasks
            .iter()
            .map(|t| (t.part, t.twins.clone(), matches!(t.origin, Origin::Partial)))
            .collect();
        assert_eq!(
            shown,
            [(0, vec![2], false), (1, vec![], true), (3, vec![], false)]
        );
        assert_eq!(
            (
                plan.bytes_to_fetch,
                plan.bytes_resumed,
                plan.bytes_reused,
                plan.requests
            ),
            (5, 7, 4, 2)
        );
        assert_eq!(
            plan.bytes_to_copy(&manifest),
            4,
            "what comes over the network for two places is not copied"
        );
    }

    #[test]
    fn a_large_part_comes_in_ranges() {
        let manifest = manifest(&[(5, "a"), (LARGE_BYTES, "b")]);
        let plan = plan(
            &manifest,
            &RangeSet::from_iter([5 + RANGE_BYTES..5 + 2 * RANGE_BYTES]),
            &LocalCopies::default(),
            true,
        );
        let Origin::Ranges(ranges) = &plan.tasks[1].origin else {
            panic!("{plan:?}")
        };
        assert_eq!(ranges.len(), 4);
        assert_eq!(ranges[0], 5..5 + RANGE_BYTES);
        assert_eq!(ranges[3], 4 + LARGE_BYTES..5 + LARGE_BYTES);
        assert_eq!(plan.bytes_resumed, RANGE_BYTES);
    }

    #[test]
    fn what_an_unfinished_range_or_part_has_is_not_fetched_again() {
        let manifest = manifest(&[(40, "a"), (LARGE_BYTES, "b")]);
        let second = 40 + RANGE_BYTES;
        let found = RangeSet::from_iter([0..30, 40..second + 5, second + 7..second + 9]);
        let planned = |has_ranges| plan(&manifest, &found, &LocalCopies::default(), has_ranges);
        let plan = planned(true);
        let Origin::Network { kept_bytes: 30 } = plan.tasks[0].origin else {
            panic!("{plan:?}")
        };
        let Origin::Ranges(ranges) = &plan.tasks[1].origin else {
            panic!("{plan:?}")
        };
        assert_eq!(ranges[0], second + 5..second + RANGE_BYTES);
        assert_eq!(ranges.len(), 4);
        assert_eq!(plan.bytes_resumed, 30 + RANGE_BYTES + 5);
        assert_eq!(plan.bytes_to_fetch + plan.bytes_resumed, 40 + LARGE_BYTES);
        assert_eq!(
            planned(false).bytes_resumed,
            0,
            "what is here of members of a zip is planned with them"
        );
    }

    #[test]
    fn a_large_part_that_occurs_twice_keeps_its_beginning() {
        let manifest = manifest(&[(LARGE_BYTES, "a"), (LARGE_BYTES, "a")]);
        let found = RangeSet::from_iter([0..RANGE_BYTES + 3, 3 * RANGE_BYTES..4 * RANGE_BYTES]);
        let plan = plan(&manifest, &found, &LocalCopies::default(), true);
        let Origin::Network { kept_bytes } = plan.tasks[0].origin else {
            panic!("{plan:?}")
        };
        assert_eq!(
            (kept_bytes, plan.bytes_resumed),
            (RANGE_BYTES + 3, RANGE_BYTES + 3)
        );
        assert_eq!(plan.bytes_to_fetch, LARGE_BYTES - kept_bytes);
        assert_eq!(plan.requests, 1);
    }
}
