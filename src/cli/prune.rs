//! `prune`: remove the partial downloads of unfinished pulls.

use clap::{ArgMatches, Command};

use super::args;
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::installed::PruneReport;

pub(super) const EXAMPLES: &str = "
    prune     after confirmation
    prune -y  without confirmation
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove the partial downloads of unfinished pulls")
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, _: &ArgMatches) -> CliResult {
    let plan = session.manager.plan_prune()?;
    let number = plan.partials.len() + plan.leftovers.len();
    if number == 0 {
        return session.show(&PruneReport::default(), || {
            session.say("There is nothing to remove.")
        });
    }
    let pulls = render::count(number, "unfinished pull");
    session.confirm(&format!("Remove {pulls} ({})?", render::size(plan.bytes)))?;
    let report = session.manager.prune(&plan)?;
    session.show(&report, || print(session, &report))
}

fn print(session: &Session, report: &PruneReport) -> CliResult {
    for partial in &report.removed.partials {
        let size = render::size(partial.bytes);
        session.say(format!("Removed {size} of {}", partial.model))?;
    }
    for model in &report.in_use {
        session.note(format!("Kept {model}: it is being pulled"));
    }
    session.say(format!("Freed {}", render::size(report.removed.bytes)))
}
