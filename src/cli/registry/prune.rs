//! `registry prune`: remove what no version names from a published registry.

use clap::{ArgMatches, Command};

use crate::cli::args::{self, flag, is_set};
use crate::cli::failure::CliResult;
use crate::cli::registry::project::path_option;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::{Mount, render};
use crate::project::{
    Project, PublishTarget, RegistryPruneOptions, RegistryPrunePlan, RegistryPruneReport,
};

const TO: &str = "modelrack_to";
/// How many objects are shown on a terminal.
const MOST_ROWS: usize = 50;

pub(super) const EXAMPLES: &str = "
    registry prune --to ./public                            after confirmation
    registry prune --to s3://models-bucket/prefix --dry-run  show what would be removed
    registry prune --to s3://models-bucket/prefix -y         without asking
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove what no version names from a registry in a folder or a bucket")
        .args([
            path_option(TO, "DIR|URL")
                .help(
                    "The registry's folder, or s3://BUCKET/PREFIX; nothing younger than a day is removed, nor \
                     while somebody publishes there",
                )
                .required(true),
            flag(args::DRY_RUN).help("Only show what would be removed"),
        ])
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let to = PublishTarget::parse(args::path(matches, TO))?;
    let options = RegistryPruneOptions::default()
        .config(session.mount.config.clone())
        .environment(session.mount.open_environment())
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let plan = session.metered_as("Reading what the versions name", |_| {
        Project::plan_prune(to, &options)
    })?;
    if is_set(matches, args::DRY_RUN) {
        return session.show(&plan, || print_plan(session, &plan));
    }
    if plan.removed.is_empty() {
        let report = Project::prune(&plan, &options)?;
        return session.show(&report, || {
            session.say("There is nothing to remove.")?;
            note_young(session, &plan);
            Ok(())
        });
    }
    let (number, size) = (count(plan.removed.len()), render::size(plan.bytes_freed));
    let registry = &plan.registry;
    session.confirm(&format!(
        "Remove {number} ({size}) that no version names from {registry}?"
    ))?;
    let report = session.metered_as(&format!("Removing {number}"), |_| {
        Project::prune(&plan, &options)
    })?;
    session.show(&report, || print(session, &plan, &report))
}

fn print_plan(session: &Session, plan: &RegistryPrunePlan) -> CliResult {
    if plan.removed.is_empty() {
        session.say("There is nothing to remove.")?;
        note_young(session, plan);
        return Ok(());
    }
    let shown = match session.console.out_is_terminal {
        true => plan.removed.len().min(MOST_ROWS),
        false => plan.removed.len(),
    };
    let rows = plan.removed[..shown].iter().map(|object| {
        [
            object.path.clone(),
            render::size(object.bytes),
            session.when(object.modified_at),
        ]
    });
    Table::new(["OBJECT", "SIZE", "WRITTEN"], rows).print(session)?;
    let more = match plan.removed.len() - shown {
        0 => String::new(),
        more => format!("; {more} of them are not shown"),
    };
    session.sum_up(&[format!(
        "{} of {} would be removed, {}{more}",
        plan.removed.len(),
        count(plan.removed.len() + plan.kept + plan.young),
        render::size(plan.bytes_freed)
    )])?;
    note_young(session, plan);
    Ok(())
}

fn print(session: &Session, plan: &RegistryPrunePlan, report: &RegistryPruneReport) -> CliResult {
    session.say(format!(
        "Removed {}, {}, from {}; {} of {} remain",
        count(report.removed.len()),
        render::size(report.bytes_freed),
        report.registry,
        count(plan.kept),
        render::count(plan.versions, "version"),
    ))?;
    if !report.still_used.is_empty() {
        session.note(format!(
            "Kept {} that a version names by now, or somebody else has removed",
            count(report.still_used.len())
        ));
    }
    note_young(session, plan);
    Ok(())
}

/// Says what is kept although no version names it.
fn note_young(session: &Session, plan: &RegistryPrunePlan) {
    if plan.young > 0 {
        session.note(format!(
            "Kept {} ({}) that no version names: younger than a day, so somebody may be publishing",
            count(plan.young),
            render::size(plan.bytes_young)
        ));
    }
}

fn count(objects: usize) -> String {
    render::count(objects, "object")
}
