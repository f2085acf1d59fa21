//! `registry sync`: make the registry true to the files.

use clap::{ArgMatches, Command};

use crate::Error;
use crate::cli::args::{self, is_set};
use crate::cli::ending::CliResult;
use crate::cli::failure::INVALID_ARGUMENT;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::manifest::RelPath;
use crate::project::{Difference, Dropped, ItemChange, ResyncOptions, ResyncReport};

const DRY_RUN: &str = "modelrack_dry_run";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Update the registry from the files: register changes, drop what no longer exists")
        .arg(args::flag(
            DRY_RUN,
            "dry-run",
            "Only show what would change",
        ))
        .arg(args::flag(
            args::FORCE,
            "force",
            "Drop what no longer exists",
        ))
        .arg(super::project_arg())
        .args(super::limit_args())
        .after_help(args::examples(
            mount,
            &[
                ("registry sync --dry-run", "what would change"),
                ("registry sync", "refuses to drop anything"),
                ("registry sync --force", "drops what no longer exists"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut project = super::open(session, matches)?;
    let meter = session.meter();
    let dry_run = is_set(matches, DRY_RUN);
    let options = ResyncOptions::default()
        .force(is_set(matches, args::FORCE))
        .cancel(session.cancel.clone())
        .progress(meter.clone());
    let report = match dry_run {
        true => project.plan_resync(&options)?.report,
        false => project.resync(&options)?,
    };
    meter.clear();
    super::tell_changed(session, &project);
    if session.output.json {
        session.json(&report)?;
    } else {
        print(session, &report.difference)?;
        super::tell_failed(session, &report.failed);
        super::tell_empty(session, &project);
        session.say(outcome(session, &report))?;
    }
    if report.needs_force && !dry_run {
        if session.output.json {
            return Err(crate::cli::ending::CliError::Reported {
                exit: INVALID_ARGUMENT,
            });
        }
        let error = Error::argument("something would be dropped: pass --force to allow it");
        return Err(error.into());
    }
    super::end(&report.failed)
}

/// What became of it, in a sentence.
fn outcome(session: &Session, report: &ResyncReport) -> String {
    let is_true = report.failed.is_empty();
    match (report.difference.is_empty(), report.applied) {
        (true, _) if is_true => "The registry is up to date".to_owned(),
        (false, true) if is_true => "The registry is now up to date".to_owned(),
        (false, true) => "The registry is now up to date with the other files".to_owned(),
        (false, false) if report.dry_run => {
            let force = if report.needs_force { " --force" } else { "" };
            format!(
                "Nothing was changed. Run '{} registry sync{force}' to do it",
                session.path
            )
        }
        _ => "Nothing was changed".to_owned(),
    }
}

fn print(session: &Session, difference: &Difference) -> CliResult {
    if session.output.quiet {
        return Ok(());
    }
    for change in &difference.changed {
        print_change(session, change)?;
    }
    for dropped in &difference.dropped {
        session.console.print(render::safe(&line(dropped)))?;
    }
    Ok(())
}

fn print_change(session: &Session, change: &ItemChange) -> CliResult {
    let ItemChange { kind, id, .. } = change;
    session
        .console
        .print(render::safe(&format!("~ {} {id}", kind.as_str())))?;
    for field in &change.fields {
        session
            .console
            .print(render::safe(&format!("    {field}")))?;
    }
    let files: [(&str, &[RelPath]); 3] = [
        ("~", &change.files_changed),
        ("+", &change.files_added),
        ("-", &change.files_removed),
    ];
    for (sign, files) in files {
        for file in files {
            session
                .console
                .print(render::safe(&format!("    {sign} {file}")))?;
        }
    }
    Ok(())
}

fn line(dropped: &Dropped) -> String {
    let Dropped {
        kind, id, files, ..
    } = dropped;
    match files.len() {
        0 => format!("- {} {id}", kind.as_str()),
        files => format!(
            "- {} of {} {id}",
            render::count(files as u64, "file"),
            kind.as_str()
        ),
    }
}
