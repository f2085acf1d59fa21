//! Members of a zip: fetched over byte ranges, several that lie one behind the other with one request.
//!
//! A large member is kept as it comes, so that it goes on where it was after a kill; see `raw_members` of the store. Here is
//! what to request; `run` does it.

mod run;
mod stream;

use std::ops::Range;

use super::plan::{Leftovers, Origin, Task, TransferPlan};
use crate::archive::Member;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::source::places::{Location, Places};
use crate::store::journal::STEP_BYTES;
use crate::store::raw_members::RawMembers;

pub(super) use run::fetch;

/// Bytes between two members that are fetched along rather than asked around: about what a request costs in time.
const MAX_GAP_BYTES: u64 = 64 << 10;
/// How much one request fetches, unless a single member is larger: small enough that several connections share the work.
const RUN_BYTES: u64 = 4 << 20;
/// A larger member is kept while it comes, so that it goes on where it was.
const SMALL_MEMBER_BYTES: u64 = STEP_BYTES;

/// Sorts members as they lie in the zip, and gathers those that one request fetches.
pub(crate) fn runs(
    places: &Places,
    manifest: &Manifest,
    tasks: Vec<Task>,
) -> Result<Vec<Vec<Task>>> {
    let mut located = tasks
        .into_iter()
        .map(|task| {
            let range = member(places, manifest, task.part)?.range();
            Ok((range.start + kept_bytes(&task)..range.end, task))
        })
        .collect::<Result<Vec<_>>>()?;
    located.sort_by_key(|(range, _)| range.start);
    let mut runs: Vec<(Range<u64>, Vec<Task>)> = Vec::new();
    for (range, task) in located {
        match runs.last_mut() {
            Some((run, tasks))
                if range.start.saturating_sub(run.end) <= MAX_GAP_BYTES
                    && range.end - run.start <= RUN_BYTES =>
            {
                run.end = range.end;
                tasks.push(task);
            }
            _ => runs.push((range, vec![task])),
        }
    }
    Ok(runs.into_iter().map(|(_, tasks)| tasks).collect())
}

/// Completes the plan of a transfer out of a zip: what is here of large members, how many requests fetch what is missing,
/// and how many bytes that is.
pub(crate) fn plan(
    places: &Places,
    manifest: &Manifest,
    left: &Leftovers,
    plan: &mut TransferPlan,
) -> Result<()> {
    let mut missing = Vec::new();
    plan.bytes_to_fetch = 0;
    for task in &mut plan.tasks {
        let Origin::Network { kept_bytes } = &mut task.origin else {
            continue;
        };
        let member = member(places, manifest, task.part)?;
        let content = manifest.parts()[task.part].offset;
        let content_bytes = left.ranges.end_from(content) - content;
        *kept_bytes = here_bytes(left.members.as_ref(), &member, task.part, content_bytes);
        plan.bytes_resumed += *kept_bytes;
        plan.bytes_to_fetch += member.compressed_bytes.saturating_sub(*kept_bytes);
        missing.push(task.clone());
    }
    plan.requests = runs(places, manifest, missing)?.len();
    Ok(())
}

/// Returns the size of the largest member that is kept whole while it comes.
pub(crate) fn largest_member(places: &Places, manifest: &Manifest, tasks: &[Task]) -> Result<u64> {
    let missing = tasks
        .iter()
        .filter(|task| matches!(task.origin, Origin::Network { .. }));
    let mut members = missing.map(|task| member(places, manifest, task.part));
    members.try_fold(0, |largest, member| {
        let member = member?;
        let bytes = if member.is_stored() {
            0
        } else {
            member.compressed_bytes
        };
        Ok(largest.max(bytes))
    })
}

fn member(places: &Places, manifest: &Manifest, part: usize) -> Result<Member> {
    match places.of_part(manifest, part)? {
        Location::Member(member) => Ok(member),
        Location::Document(_) => Err(Error::internal(
            "a document was requested as a member of a zip",
        )),
    }
}

/// Returns how much is here of a member, from its header on; `content_bytes` is how much is in its file.
fn here_bytes(
    members: Option<&RawMembers>,
    member: &Member,
    part: usize,
    content_bytes: u64,
) -> u64 {
    let members = members.filter(|_| is_kept(member));
    let here = match members.map_or(0, |members| members.bytes(part)) {
        header if header > 0 && member.is_stored() => header + content_bytes,
        here => here,
    };
    // A request is for one byte at least.
    here.min(member.range().end - member.range().start - 1)
}

/// Returns how much a plan has found of a member.
fn kept_bytes(task: &Task) -> u64 {
    match task.origin {
        Origin::Network { kept_bytes } => kept_bytes,
        _ => 0,
    }
}

/// Returns whether what comes of a member is kept until all of it is there.
fn is_kept(member: &Member) -> bool {
    member.compressed_bytes > SMALL_MEMBER_BYTES
}
