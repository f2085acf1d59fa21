//! `lock`: write an exact set of models into a file, or tell whether it still holds.

use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Command, value_parser};

use super::args::{self, Which, all, flag, is_set, option};
use super::ending::{LOCK_STALE, failed, reported, show};
use super::failure::{CliError, CliResult};
use super::session::Session;
use super::several::{self, Named};
use super::{Mount, render};
use crate::error::chain;
use crate::lock::{DEFAULT_FILE, LockChange, LockEntry, LockOptions, LockReport, LockState};

const FILE: &str = "modelrack_file";
const CHECK: &str = "modelrack_check";
const UPDATE: &str = "modelrack_update";
const INCLUDE: &str = "modelrack_include";
const EXCLUDE: &str = "modelrack_exclude";

pub(super) const EXAMPLES: &str = "
    lock                             renew the lock, or lock all installed models
    lock fast-whisper/tiny@fp16      add a model
    lock 'fast-whisper/*'            add all that match
    lock --update fast-whisper/tiny  take what its source has now
    lock --check                     exit with 9 if the lock is stale
    pull --locked                    pull exactly that, on another machine
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let globs = |id| option(id, "GLOB").action(ArgAction::Append);
    let models = several::models(mount, Which::Offered, false);
    let update = option(UPDATE, "MODEL")
        .action(ArgAction::Append)
        .conflicts_with_all([args::MODEL, CHECK])
        .help("Take what the sources have now of this model of the lock; may be repeated");
    command
        .about("Write an exact set of models, each with its digests, into a file")
        .args(models)
        .args([
            option(FILE, "FILE")
                .value_parser(value_parser!(PathBuf))
                .default_value(DEFAULT_FILE)
                .help("The lock"),
            flag(CHECK).help("Only tell whether the sources still offer what is locked"),
            args::complete(update, mount, Which::Offered),
            globs(INCLUDE)
                .help("Only files that match, of models that are new in the lock; may be repeated"),
            globs(EXCLUDE)
                .help("No files that match, of models that are new in the lock; may be repeated"),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let updates = all::<String>(matches, UPDATE);
    let mut options = LockOptions::default()
        .file(args::path(matches, FILE))
        .update(!updates.is_empty())
        .include(all::<String>(matches, INCLUDE))
        .exclude(all::<String>(matches, EXCLUDE))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let named = match updates.is_empty() {
        true => Named::of(several::words(session, matches, Which::Offered)?)?,
        false => Named::of_names(updates)?,
    };
    options = options.models(named.models).patterns(named.patterns);
    let is_check = is_set(matches, CHECK);
    let report = session.metered_as("Looking up models", |meter| {
        let options = options.progress(meter);
        match is_check {
            true => session.manager.check_lock(&options),
            false => session.manager.lock(&options),
        }
    })?;
    let entries = report.entries.iter();
    let errors = entries.filter_map(|entry| match &entry.state {
        LockState::Gone(error) | LockState::Unknown(error) => Some(error),
        _ => None,
    });
    show(session, &report, errors, || {
        print(session, &report, is_check)
    })?;
    end(session, report, is_check)
}

/// Ends the command as the first model does that could not be looked up, or else as the lock is.
fn end(session: &Session, report: LockReport, is_check: bool) -> CliResult {
    let is_stale = report.is_stale();
    for entry in report.entries {
        match entry.state {
            LockState::Unknown(error) => return failed(session, error),
            LockState::Gone(error) if !is_check => return reported([&error]),
            _ => {}
        }
    }
    if is_check && is_stale {
        return Err(CliError::Reported { exit: LOCK_STALE });
    }
    Ok(())
}

/// Prints what is not as it is locked, and how much is.
fn print(session: &Session, report: &LockReport, is_check: bool) -> CliResult {
    let count =
        |is: fn(&LockState) -> bool| report.entries.iter().filter(|it| is(&it.state)).count();
    for entry in &report.entries {
        print_entry(session, entry, is_check)?;
    }
    let held = count(|state| matches!(state, LockState::Held)) + report.untouched;
    let sums = [
        (count(|state| matches!(state, LockState::Added)), "added"),
        (
            count(|state| matches!(state, LockState::Moved(_))),
            if is_check { "changed" } else { "renewed" },
        ),
        (held, if is_check { "as locked" } else { "kept" }),
        (
            count(|state| matches!(state, LockState::Gone(_))),
            "no longer offered",
        ),
        (
            count(|state| matches!(state, LockState::Unknown(_))),
            "unknown",
        ),
        (
            count(|state| matches!(state, LockState::NoSource)),
            "made by hand and not locked",
        ),
    ];
    let sums = sums.iter().filter(|(number, _)| *number > 0);
    let sums: Vec<String> = sums
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    let file = report.file.display();
    if sums.is_empty() {
        session.note(match report.file.exists() {
            true => format!(
                "{file} has no models. '{} lock MODEL' adds one.",
                session.path
            ),
            false => "No model is installed, so there is nothing to lock.".to_owned(),
        });
        return Ok(());
    }
    session.say(format!("{file}: {}", sums.join(", ")))?;
    if is_check && report.is_stale() {
        let path = &session.path;
        session.note(format!(
            "Run '{path} lock' to lock what the sources offer now."
        ));
    }
    Ok(())
}

fn print_entry(session: &Session, entry: &LockEntry, is_check: bool) -> CliResult {
    let model = &entry.model;
    match &entry.state {
        LockState::Moved(change) => {
            let verb = if is_check { "changed" } else { "renewed" };
            session.print(format!("{model}: {verb}"))?;
            print_files(session, change)
        }
        LockState::Gone(_) => session.print(format!("{model}: no source offers it any more")),
        LockState::Unknown(error) => session.print(format!("{model}: unknown: {}", chain(error))),
        LockState::Added | LockState::Held | LockState::NoSource => Ok(()),
    }
}

fn print_files(session: &Session, change: &LockChange) -> CliResult {
    let mut lines = render::changes(&change.added, &change.changed, &change.removed);
    lines.try_for_each(|line| session.say(line))
}
