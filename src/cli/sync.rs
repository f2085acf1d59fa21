//! `sync`: bring the registries of the sources up to date.

use clap::{ArgMatches, Command};

use super::args::{self, is_set, text};
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, render};
use crate::SyncOptions;
use crate::error::chain;
use crate::remote::SyncReport;

const REPO: &str = "modelrack_repo";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Bring the registries of the sources up to date")
        .arg(args::source(mount))
        .arg(args::reference(mount, "Only this branch, tag, release or commit"))
        .arg(args::option(
            REPO,
            "repo",
            "OWNER/NAME",
            "From this repository: one that no source names, or a fork in place of the source's own",
        ))
        .arg(args::flag(
            args::FORCE,
            "force",
            "Fetch even what is unchanged",
        ))
        .after_help(args::examples(
            mount,
            &[
                ("sync", "all of them"),
                ("sync --source mf6/test --ref develop", "one branch"),
                ("sync --repo OWNER/NAME --ref v1.0", "a repository that no source names"),
                ("sync --source mf6/test --repo ME/FORK --ref fix", "a fork"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let owned = |id: &str| text(matches, id).map(str::to_owned);
    let options = SyncOptions::default()
        .source(owned(args::SOURCE))
        .reference(owned(args::REF))
        .repo(owned(REPO))
        .force(is_set(matches, args::FORCE))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let report = session.manager.sync(&options)?;
    if session.output.json {
        session.json(&report)?;
    } else {
        print(session, &report)?;
    }
    match report.failed.first() {
        Some(failed) => Err(CliError::reported(&failed.error)),
        None => Ok(()),
    }
}

fn print(session: &Session, report: &SyncReport) -> CliResult {
    for registry in &report.synced {
        let commit = registry
            .commit
            .as_deref()
            .and_then(|commit| commit.get(..12));
        let commit = commit
            .map(|commit| format!(" ({commit})"))
            .unwrap_or_default();
        let models = render::count(registry.versions as u64, "model");
        let name = name(&registry.name, registry.reference.as_deref());
        session.say(format!("Synced {name}{commit}: {models}"))?;
    }
    for registry in &report.skipped {
        let name = name(&registry.name, registry.reference.as_deref());
        session.say(format!("Skipped {name}: {}", registry.reason))?;
    }
    for registry in &report.failed {
        let name = name(&registry.name, registry.reference.as_deref());
        let reason = render::safe(&chain(&registry.error));
        session.console.note(format!("Failed {name}: {reason}"));
    }
    Ok(())
}

/// How people write a source and its ref.
fn name(source: &str, reference: Option<&str>) -> String {
    render::safe(&match reference {
        Some(reference) => format!("{source}@{reference}"),
        None => source.to_owned(),
    })
}
