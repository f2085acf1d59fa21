//! `prune`: remove the partial downloads of unfinished pulls.

use clap::{ArgMatches, Command, value_parser};

use super::args::{self, flag, is_set, option, value};
use super::failure::CliResult;
use super::session::Session;
use super::table::Table;
use super::{Mount, render};
use crate::installed::{PruneOptions, PrunePlan, PruneReport};
use crate::quantity::TimeSpan;

const OLDER_THAN: &str = "modelrack_older-than";

pub(super) const EXAMPLES: &str = "
    prune                   after confirmation
    prune --older-than 30d  only what no pull wrote to for 30 days
    prune --dry-run         show what would be removed
    prune -y                without asking
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove the partial downloads of unfinished pulls")
        .args([
            option(OLDER_THAN, "TIME")
                .help("Only what no pull has written to for so long, such as 12h or 30d")
                .value_parser(value_parser!(TimeSpan)),
            flag(args::DRY_RUN).help("Only show what would be removed"),
        ])
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let older_than = value(matches, OLDER_THAN).map(|TimeSpan(span)| *span);
    let options = PruneOptions::default().older_than(older_than);
    let plan = session.manager.plan_prune(&options)?;
    let number = plan.partials.len() + plan.leftovers.len();
    if number == 0 {
        return session.show(&PruneReport::default(), || {
            session.say("There is nothing to remove.")
        });
    }
    if is_set(matches, args::DRY_RUN) {
        return session.show(&plan, || print_plan(session, &plan));
    }
    let pulls = render::count(number, "unfinished pull");
    session.confirm(&format!("Remove {pulls} ({})?", render::size(plan.bytes)))?;
    let report = session.manager.prune(&plan)?;
    session.show(&report, || print(session, &report))
}

/// Prints what would be removed.
fn print_plan(session: &Session, plan: &PrunePlan) -> CliResult {
    let partials = plan.partials.iter().map(|partial| {
        [
            partial.model.name().to_string(),
            partial.model.version().to_owned(),
            render::size(partial.bytes),
            session.when(partial.touched_at),
        ]
    });
    Table::new(["MODEL", "VERSION", "SIZE", "SINCE"], partials)
        .named_by(2)
        .print(session)?;
    for folder in &plan.leftovers {
        session.say(format!(
            "{}: what an interrupted operation left",
            folder.display()
        ))?;
    }
    session.sum_up(&[format!("{} would be freed", render::size(plan.bytes))])
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
