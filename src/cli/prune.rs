//! `prune`: remove the partial downloads of unfinished pulls.

use clap::{ArgMatches, Command};

use super::args;
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::installed::PruneReport;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove the partial downloads of unfinished pulls")
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[
                ("prune", "after confirmation"),
                ("prune -y", "without confirmation"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, _: &ArgMatches) -> CliResult {
    let plan = session.manager.plan_prune()?;
    if plan.partials.is_empty() && plan.leftovers.is_empty() {
        return match session.output.json {
            true => session.json(&PruneReport::default()),
            false => session.say("There is nothing to remove."),
        };
    }
    let number = plan.partials.len() + plan.leftovers.len();
    let pulls = render::count(number as u64, "unfinished pull");
    session.confirm(&format!("Remove {pulls} ({})?", render::size(plan.bytes)))?;
    let report = session.manager.prune(&plan)?;
    if session.output.json {
        return session.json(&report);
    }
    for partial in &report.removed.partials {
        let size = render::size(partial.bytes);
        session.say(format!("Removed {size} of {}", partial.model))?;
    }
    for model in &report.in_use {
        session.note(format!("Kept {model}: it is being pulled"));
    }
    session.say(format!("Freed {}", render::size(report.removed.bytes)))
}
