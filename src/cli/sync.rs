//! `sync`: update the cached registries of the sources.

use clap::builder::styling::AnsiColor;
use clap::{ArgMatches, Command};

use super::args::{self, flag, is_set, option, string};
use super::ending::{CliResult, reported};
use super::render::safe;
use super::session::Session;
use super::{Mount, render};
use crate::SyncOptions;
use crate::error::chain;
use crate::remote::SyncReport;

pub(super) const EXAMPLES: &str = "
    sync                                             all registries
    sync --source mf6/test --ref develop             one branch
    sync --repo OWNER/NAME --ref v1.0                a repository that is not configured
    sync --source mf6/test --repo ME/FORK --ref fix  a fork
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Update the cached registries of the sources")
        .arg(args::source(mount))
        .arg(args::reference(
            mount,
            "Only this branch, tag, release or commit",
        ))
        .args([
            option(args::REPO, "OWNER/NAME").help(
                "Read this repository: one that is not configured, or a fork of the source's own",
            ),
            flag(args::FORCE).help("Fetch registries that have not changed, too"),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut options = SyncOptions::default()
        .force(is_set(matches, args::FORCE))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    options.source = string(matches, args::SOURCE);
    options.reference = string(matches, args::REF);
    options.repo = string(matches, args::REPO);
    let report = session.metered(|meter| session.manager.sync(&options.progress(meter)))?;
    session.show(&report, || print(session, &report))?;
    reported(report.failed.iter().map(|failed| &failed.error))
}

fn print(session: &Session, report: &SyncReport) -> CliResult {
    for registry in &report.synced {
        let name = render::source_at_ref(&registry.name, registry.reference.as_deref());
        let commit = render::short_commit(registry.commit.as_deref());
        let commit = commit.map(|commit| format!(" ({commit})"));
        let models = render::count(registry.versions, "model");
        session.say(format!(
            "Synced {name}{}: {models}",
            commit.unwrap_or_default()
        ))?;
    }
    for registry in &report.skipped {
        let name = render::source_at_ref(&registry.name, registry.reference.as_deref());
        session.say(format!("Skipped {name}: {}", registry.reason))?;
    }
    for registry in &report.failed {
        let name = render::source_at_ref(&registry.name, registry.reference.as_deref());
        let failed = session.paint(AnsiColor::Red, "Failed");
        let failure = safe(&format!("{name}: {}", chain(&registry.error)));
        session.console.note(format!("{failed} {failure}"));
    }
    let counts = [
        (report.synced.len(), "synced"),
        (report.skipped.len(), "skipped"),
        (report.failed.len(), "failed"),
    ];
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let counts: Vec<String> = counts
        .map(|(number, state)| format!("{number} {state}"))
        .collect();
    match report.synced.len() + report.skipped.len() + report.failed.len() {
        0 | 1 => Ok(()),
        _ => session.sum_up(&[counts.join(", ")]),
    }
}
