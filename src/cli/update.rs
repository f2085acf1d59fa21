//! `update`: what changed at the sources, and bringing it in.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::{CliError, CliResult};
use super::pull::describe;
use super::session::Session;
use super::{Mount, render};
use crate::error::chain;
use crate::installed::{Freshness, UpdateEntry};
use crate::{Progress, UpdateOptions};

const APPLY: &str = "modelrack_apply";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Tell what changed at the sources and what it costs; --apply brings it in")
        .args(args::model(mount, Which::Installed, false))
        .arg(args::flag(
            APPLY,
            "apply",
            "Bring the changes in; only what changed is fetched",
        ))
        .arg(args::concurrency())
        .after_help(args::examples(
            mount,
            &[
                ("update", "what changed"),
                ("update --apply", "bring it in"),
                ("update fast-whisper/tiny", "one model"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let apply = is_set(matches, APPLY);
    let meter = session.meter();
    let options = UpdateOptions::default()
        .model(args::optional_address(matches)?)
        .offline(session.output.offline)
        .concurrency(args::workers(matches))
        .cancel(session.cancel.clone())
        .progress(meter.clone() as std::sync::Arc<dyn Progress>);
    let report = if apply {
        session.manager.update(&options)
    } else {
        session.manager.check_update(&options)
    }?;
    meter.clear();
    if session.output.json {
        session.json(&report)?;
    } else {
        print(session, &report.entries, apply)?;
    }
    // What is gone or could not be told stands in the report; the exit code says that there is such a thing.
    let failed = report
        .entries
        .into_iter()
        .find_map(|entry| match entry.freshness {
            Freshness::Unknown(error) | Freshness::Gone(error) => Some(error),
            _ => None,
        });
    match failed {
        Some(error) if session.output.json => Err(CliError::reported(&error)),
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn print(session: &Session, entries: &[UpdateEntry], apply: bool) -> CliResult {
    let mut changed = 0;
    for entry in entries {
        let model = render::safe(&entry.model.to_string());
        match (&entry.freshness, &entry.applied) {
            (Freshness::UpToDate, _) => session.say(format!("{model}: up to date"))?,
            (Freshness::Gone(_), _) => session
                .console
                .print(format!("{model}: no longer offered by its source"))?,
            (Freshness::Unknown(error), _) => {
                session
                    .console
                    .print(format!("{model}: unknown: {}", render::safe(&chain(error))))?;
            }
            (Freshness::Changed(_), Some(applied)) => session.say(describe(applied))?,
            (Freshness::Changed(change), None) => {
                changed += 1;
                let unsized_files = match change.plan.files_unsized {
                    0 => String::new(),
                    files => format!(
                        ", and {} of unknown size",
                        render::count(files as u64, "file")
                    ),
                };
                session.console.print(format!(
                    "{model}: changed, {} of {} to fetch{unsized_files}",
                    render::size(change.plan.bytes_to_fetch),
                    render::size(change.plan.total_bytes)
                ))?;
                for (sign, files) in [
                    ('+', &change.added),
                    ('~', &change.changed),
                    ('-', &change.removed),
                ] {
                    for file in files {
                        session.say(format!("  {sign} {}", render::safe(file)))?;
                    }
                }
            }
        }
    }
    if entries.is_empty() {
        session.note("No model is installed.");
    } else if changed > 0 && !apply {
        session.note(format!(
            "'{} update --apply' brings the changes in",
            session.path
        ));
    }
    Ok(())
}
