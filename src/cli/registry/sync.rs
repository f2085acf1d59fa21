//! `registry sync`: bring the registry up to date with the files.

use clap::{ArgMatches, Command};

use super::{READING, notes, project, remedy};
use crate::Error;
use crate::cli::args::{self, flag, is_set};
use crate::cli::ending::{failed, reported, show};
use crate::cli::failure::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{Difference, Dropped, ItemChange, Project, ResyncOptions, ResyncReport};

pub(super) const EXAMPLES: &str = "
    registry sync --dry-run  what would change
    registry sync            refuses to drop anything
    registry sync --force    drops what no longer exists
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    command
        .about("Update the registry from the files: register changes, drop what no longer exists")
        .args([
            flag(args::DRY_RUN).help("Only show what would change"),
            flag(args::FORCE).help("Drop what no longer exists"),
        ])
        .args(project::facts())
        .args(project::place())
        .args(project::changes())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut project = project::open(session, matches)?;
    let options = ResyncOptions::default()
        .force(is_set(matches, args::FORCE))
        .cancel(session.cancel.clone());
    let report = session.metered_as(READING, |meter| {
        let options = options.progress(meter);
        match is_set(matches, args::DRY_RUN) {
            true => project.preview_resync(&options),
            false => project.resync(&options),
        }
    })?;
    notes::note_changes(session, &project);
    let errors = report.failed.iter().map(|failed| &failed.error);
    show(session, &report, errors.clone(), || {
        print(session, &report.difference)?;
        session.note_left_out(&report.left_out);
        notes::warn_failed(session, &report.failed);
        notes::note_empty(session, &project);
        if report.processed > 0 {
            session.say(sum(&report))?;
        }
        session.say(outcome(session, &project, &report))
    })?;
    if report.needs_force && !report.dry_run {
        let message = "something would be dropped: pass --force to allow it";
        return failed(session, Error::argument(message));
    }
    reported(errors)
}

/// Counts what became, or would become, of all that was registered.
fn sum(report: &ResyncReport) -> String {
    let Difference {
        changed,
        dropped,
        unchanged,
        ..
    } = &report.difference;
    let whole = dropped.iter().filter(|dropped| dropped.files.is_empty());
    let failed = report.failed.len();
    let (change, drop) = match report.dry_run || report.needs_force {
        true => ("to change", "to drop"),
        false => ("changed", "dropped"),
    };
    format!(
        "Processed {}: {} {change}, {} {drop}, {} unchanged, {failed} failed",
        report.processed,
        changed.len(),
        whole.count(),
        unchanged.saturating_sub(failed),
    )
}

/// Describes the outcome in one sentence.
fn outcome(session: &Session, project: &Project, report: &ResyncReport) -> String {
    let is_true = report.failed.is_empty();
    match (report.difference.is_empty(), report.applied) {
        (true, _) if is_true => "The registry is up to date".to_owned(),
        (false, true) if is_true => "The registry is now up to date".to_owned(),
        (false, true) => "The registry is now up to date with the other files".to_owned(),
        (false, false) if report.dry_run => {
            let force = if report.needs_force { " --force" } else { "" };
            let (path, place) = (&session.path, remedy::place(project));
            format!("Nothing was changed. Run '{path} registry sync{force}{place}' to do it")
        }
        _ => "Nothing was changed".to_owned(),
    }
}

fn print(session: &Session, difference: &Difference) -> CliResult {
    let mut changed = difference.changed.iter();
    changed.try_for_each(|change| print_change(session, change))?;
    let mut dropped = difference.dropped.iter();
    dropped.try_for_each(|dropped| session.say(describe(dropped)))
}

fn print_change(session: &Session, change: &ItemChange) -> CliResult {
    session.say(format!("~ {} {}", change.kind.as_str(), change.id))?;
    for field in &change.fields {
        session.say(format!("    {field}"))?;
    }
    let files = [
        ('~', &change.files_changed),
        ('+', &change.files_added),
        ('-', &change.files_removed),
    ];
    for (sign, files) in files {
        for file in files {
            session.say(format!("    {sign} {file}"))?;
        }
    }
    Ok(())
}

fn describe(dropped: &Dropped) -> String {
    let (kind, id) = (dropped.kind.as_str(), &dropped.id);
    match dropped.files.len() {
        0 => format!("- {kind} {id}"),
        files => format!("- {} of {kind} {id}", render::count(files, "file")),
    }
}
