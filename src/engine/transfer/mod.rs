//! Brings the bytes of a plan into a partial: from the network, this machine or the partial itself, each verified.
//!
//! Whole files that this machine has are cloned first where that works, see `clones`.
//!
//! What arrives of a part is listed as it comes, see `intake` and the journal of the store, so that a pull which failed or was
//! killed goes on in the middle of it. For that, large members of a zip are kept as they came, see `raw_members` of the store.
//!
//! Workers on a rayon pool of the pull's own take one job after the other, as `queue` says, as many as there are connections;
//! `pace` decides how many help. A job reads with one buffer, hashes what it reads and writes it to its place in the files at once, so
//! memory does not grow with the model. A digest that covers more than one job is hashed in order, see `hashing`.

mod clones;
pub(crate) mod connections;
mod early;
mod estimate;
mod full_response;
mod hashing;
mod intake;
mod jobs;
pub(crate) mod local_copies;
pub(crate) mod members;
pub(crate) mod pace;
pub(crate) mod plan;
mod queue;
mod ranged_parts;
pub(crate) mod receive;
pub(crate) mod tally;
mod whole_parts;
pub(crate) mod workers;

use std::sync::Arc;

use tracing::debug;

use crate::engine::transfer::jobs::Round;
use crate::engine::transfer::plan::{Origin, Task, TransferPlan, ranges_of};
use crate::engine::transfer::tally::Tally;
use crate::engine::transfer::workers::work_off;
use crate::error::Result;
use crate::http::call::Call;
use crate::manifest::Manifest;
use crate::range_set::RangeSet;
use crate::source::places::Places;
use crate::store::partial::PartialWriter;
use crate::store::raw_members::RawMembers;

/// How often a part is fetched again whose ranges are all there but wrong together.
const MAX_ROUNDS: usize = 3;

/// What a transfer works with.
pub(crate) struct Transfer<'a> {
    pub(crate) manifest: &'a Arc<Manifest>,
    pub(crate) partial: &'a PartialWriter,
    /// Where large members of a zip are kept while they come.
    pub(crate) members: Option<&'a RawMembers>,
    pub(crate) places: &'a Places,
    pub(crate) call: &'a Call,
    pub(crate) tally: &'a Tally,
    /// How many connections the user wants; `None` for as many as help.
    pub(crate) connections: Option<usize>,
}

impl Transfer<'_> {
    /// Runs the plan; returns how many bytes came over the network.
    pub(crate) fn run(&self, plan: TransferPlan) -> Result<u64> {
        let mut tasks = plan.tasks;
        clones::clone_files(self, &mut tasks)?;
        let files = Arc::new(self.partial.files(self.manifest));
        let mut network_bytes = 0;
        let mut written = RangeSet::default();
        for number in 0.. {
            let round = Round::new(self, files.clone(), tasks, written, number)?;
            let done = work_off(&round.jobs, &round.receiver.connections, |job, buffer| {
                round.run(job, buffer)
            });
            network_bytes += round.receiver.network_bytes();
            self.call.cancel.check()?;
            done?;
            let mut wrong = round.finish_digests()?;
            if wrong.is_empty() {
                break;
            }
            if number >= MAX_ROUNDS {
                return Err(wrong.swap_remove(0).1);
            }
            // None of a wrong part's ranges can be trusted: all of them come again.
            let parts: Vec<usize> = wrong.iter().map(|(part, _)| *part).collect();
            debug!(?parts, number, "fetching parts again");
            written = round.written.ranges.lock().clone();
            tasks = self.again(&parts, &mut written)?;
        }
        files.close()?;
        Ok(network_bytes)
    }

    /// Takes back what is written of some parts; returns the tasks that fetch them again.
    fn again(&self, parts: &[usize], written: &mut RangeSet) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for part in parts {
            let range = self.manifest.parts()[*part].range();
            written.remove(&range);
            tasks.push(Task {
                part: *part,
                twins: Vec::new(),
                origin: Origin::Ranges(ranges_of(&range).collect()),
            });
            self.partial.forget(&range)?;
            self.tally.undo(self.manifest, range, 1);
        }
        Ok(tasks)
    }
}
