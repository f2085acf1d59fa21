//! `update`: show and apply what changed at the sources.

use std::fmt;

use clap::{ArgMatches, Command};

use super::args::{self, Which, flag, is_set};
use super::ending::{failed, reported, show};
use super::failure::CliResult;
use super::pulled::describe;
use super::session::Session;
use super::{Mount, render};
use crate::error::chain;
use crate::installed::{Change, Freshness, UpdateEntry};
use crate::{Error, ErrorKind, UpdateOptions};

const APPLY: &str = "modelrack_apply";

pub(super) const EXAMPLES: &str = "
    update                    show what changed
    update --apply            update all models
    update fast-whisper/tiny  show what changed in one model
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show what changed at the sources; --apply updates the installed models")
        .args(args::model(mount, Which::Installed, false))
        .arg(flag(APPLY).help("Download what changed, and nothing else"))
        .args([args::concurrency(), args::limit_rate()])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let apply = is_set(matches, APPLY);
    let mut options = UpdateOptions::default()
        .offline(session.output.offline)
        .concurrency(args::workers(matches))
        .rate_limit(args::rate_limit(matches))
        .cancel(session.cancel.clone());
    options.model = args::optional_address(matches)?;
    let report = session.metered(|meter| {
        let options = options.progress(meter);
        match apply {
            true => session.manager.update(&options),
            false => session.manager.check_update(&options),
        }
    })?;
    if let Some(entry) = report
        .entries
        .iter()
        .find(|entry| entry.installed_digest.is_none())
    {
        let (model, near) = (entry.model.to_string(), Vec::new());
        return Err(Error::from(ErrorKind::NotInstalled { model, near }).into());
    }
    let entries = report.entries.iter();
    let errors = entries.filter_map(|entry| match &entry.freshness {
        Freshness::Gone(error) | Freshness::Unknown(error) => Some(error),
        _ => None,
    });
    show(session, &report, errors, || {
        print(session, &report.entries, apply)
    })?;
    // The report has all models that could not be compared; the first of them decides how the command ends.
    let mut entries = report.entries.into_iter();
    let error = entries.find_map(|entry| match entry.freshness {
        // There is nothing to say beyond that.
        Freshness::Gone(error) => Some(reported([&error])),
        Freshness::Unknown(error) => Some(failed(session, error)),
        _ => None,
    });
    error.unwrap_or(Ok(()))
}

/// Prints what is not up to date, and how much is.
fn print(session: &Session, entries: &[UpdateEntry], apply: bool) -> CliResult {
    let mut sum = Sum::default();
    for entry in entries {
        let model = &entry.model;
        sum.add(entry);
        match (&entry.freshness, &entry.applied) {
            // Said above.
            (Freshness::Absent(_), _) => Ok(()),
            (Freshness::UpToDate, _) if entries.len() > 1 => Ok(()),
            (Freshness::UpToDate, _) => session.say(format!("{model}: up to date")),
            (Freshness::Gone(_), _) => {
                session.print(format!("{model}: no source offers it any more"))
            }
            (Freshness::Unknown(error), _) => {
                session.print(format!("{model}: unknown: {}", chain(error)))
            }
            (Freshness::NoSource, _) if entries.len() > 1 => Ok(()),
            (Freshness::NoSource, _) => session.say(format!(
                "{model}: made by hand, so there is no source to ask"
            )),
            (Freshness::Changed(change), Some(applied)) => {
                session.say(describe(applied, "Updated"))?;
                print_files(session, change)
            }
            (Freshness::Changed(change), None) => print_change(session, &model.to_string(), change),
        }?;
    }
    if entries.len() > 1 {
        session.say(&sum)?;
    }
    if entries.is_empty() {
        session.note("No model is installed.");
    } else if sum.changed > 0 && !apply {
        let path = &session.path;
        session.note(format!("Run '{path} update --apply' to apply the changes."));
    }
    Ok(())
}

/// How many models are in which state.
#[derive(Default)]
struct Sum {
    up_to_date: usize,
    changed: usize,
    updated: usize,
    gone: usize,
    unknown: usize,
    made_by_hand: usize,
    /// To download of what has changed, and downloaded of what is updated.
    bytes: u64,
}

impl Sum {
    fn add(&mut self, entry: &UpdateEntry) {
        let count = match (&entry.freshness, &entry.applied) {
            (Freshness::Changed(_), Some(applied)) => {
                self.bytes += applied.bytes_fetched;
                &mut self.updated
            }
            (Freshness::Changed(change), None) => {
                self.bytes += change.plan.bytes_to_fetch;
                &mut self.changed
            }
            (Freshness::UpToDate, _) => &mut self.up_to_date,
            (Freshness::Gone(_), _) => &mut self.gone,
            (Freshness::NoSource, _) => &mut self.made_by_hand,
            (Freshness::Unknown(_) | Freshness::Absent(_), _) => &mut self.unknown,
        };
        *count += 1;
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = render::size(self.bytes);
        let states = [
            (self.up_to_date, "up to date".to_owned()),
            (self.changed, format!("changed ({bytes} to download)")),
            (self.updated, format!("updated ({bytes} downloaded)")),
            (self.gone, "no longer offered".to_owned()),
            (self.unknown, "unknown".to_owned()),
            (self.made_by_hand, "made by hand".to_owned()),
        ];
        let states = states.iter().filter(|(number, _)| *number > 0);
        let states: Vec<String> = states
            .map(|(number, state)| format!("{number} {state}"))
            .collect();
        f.write_str(&states.join(", "))
    }
}

fn print_change(session: &Session, model: &str, change: &Change) -> CliResult {
    let plan = &change.plan;
    let unsized_files = match plan.files_unsized {
        0 => String::new(),
        files => format!(" and {} of unknown size", render::count(files, "file")),
    };
    session.print(format!(
        "{model}: changed, {} of {}{unsized_files} to download",
        render::size(plan.bytes_to_fetch),
        render::size(plan.total_bytes)
    ))?;
    print_files(session, change)
}

fn print_files(session: &Session, change: &Change) -> CliResult {
    let mut lines = render::changes(&change.added, &change.changed, &change.removed);
    lines.try_for_each(|line| session.say(line))
}
