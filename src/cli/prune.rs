//! `prune`: remove what unfinished pulls left.

use clap::{ArgMatches, Command};

use super::args;
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::installed::PruneReport;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove what unfinished pulls left")
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[("prune", "asks first"), ("prune -y", "does not")],
        ))
}

pub(super) fn execute(session: &mut Session, _: &ArgMatches) -> CliResult {
    let plan = session.manager.plan_prune()?;
    if plan.partials.is_empty() && plan.leftovers.is_empty() {
        if session.output.json {
            return session.json(&PruneReport::default());
        }
        return session.say("There is nothing to remove.");
    }
    let number = render::count(
        (plan.partials.len() + plan.leftovers.len()) as u64,
        "unfinished pull",
    );
    session.confirm(&format!("Remove {number} ({})?", render::size(plan.bytes)))?;
    let report = session.manager.prune(&plan)?;
    if session.output.json {
        return session.json(&report);
    }
    for partial in &report.removed.partials {
        let model = render::safe(&partial.model.to_string());
        session.say(format!(
            "Removed {} of {model}",
            render::size(partial.bytes)
        ))?;
    }
    for model in &report.in_use {
        session.note(format!(
            "{} is being pulled, and stays",
            render::safe(&model.to_string())
        ));
    }
    session.say(format!("{} freed", render::size(report.removed.bytes)))
}
