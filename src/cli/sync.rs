//! `sync`: update the cached registries of the sources.

use std::collections::HashSet;
use std::sync::Arc;

use clap::builder::styling::AnsiColor;
use clap::{ArgMatches, Command};

use super::args::{self, flag, is_set, option, string};
use super::console::Console;
use super::ending::show_and_end;
use super::failure::CliResult;
use super::meter::Meter;
use super::render::safe;
use super::session::Session;
use super::{Mount, Output, render};
use crate::error::chain;
use crate::mutex::Mutex;
use crate::progress::Step;
use crate::remote::{SkipReason, SyncReport};
use crate::{ModelRef, Progress, ProgressEvent, SyncOptions};

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
            // All are the default.
            flag(args::ALL)
                .hide(true)
                .conflicts_with_all([args::SOURCE, args::REF, args::REPO]),
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
    let printer = Arc::new(Printer::new(session));
    let report = session.metered(|meter| {
        let progress = Following {
            printer: printer.clone(),
            meter,
        };
        session.manager.sync(&options.progress(Arc::new(progress)))
    })?;
    let errors = report.failed.iter().map(|failed| &failed.error);
    show_and_end(session, &report, errors, || {
        printer.print(&report);
        sum_up(session, &report)
    })
}

/// Prints what became of registries: of each as soon as it is known, and once.
#[derive(Debug)]
struct Printer {
    console: Console,
    output: Output,
    failed: String,
    printed: Mutex<HashSet<String>>,
}

impl Printer {
    fn new(session: &Session) -> Self {
        Self {
            console: session.console.clone(),
            output: session.output,
            failed: session.paint(AnsiColor::Red, "Failed"),
            printed: Mutex::default(),
        }
    }

    fn print(&self, report: &SyncReport) {
        if self.output.json {
            return;
        }
        let name = render::source_at_ref;
        let synced = report.synced.iter().map(|it| {
            let commit = render::short_commit(it.commit.as_deref());
            let commit = commit.map(|commit| format!(" ({commit})"));
            let models = render::count(it.versions, "model");
            let name = name(&it.name, it.reference.as_deref());
            format!("Synced {name}{}: {models}", commit.unwrap_or_default())
        });
        let skipped = report.skipped.iter().map(|it| {
            let name = name(&it.name, it.reference.as_deref());
            format!("Skipped {name}: {}", it.reason.as_str())
        });
        for line in synced.chain(skipped).filter(|line| self.is_new(line)) {
            if !self.output.quiet {
                self.console.print_at_once(safe(&line));
            }
        }
        let failed = report.failed.iter().map(|it| {
            let name = name(&it.name, it.reference.as_deref());
            format!("{name}: {}", chain(&it.error))
        });
        for line in failed.filter(|line| self.is_new(line)) {
            let failed = &self.failed;
            self.console.note(format!("{failed} {}", safe(&line)));
        }
    }

    fn is_new(&self, line: &str) -> bool {
        self.printed.lock().insert(line.to_owned())
    }
}

/// Follows a sync: prints what is done, and draws the rest.
#[derive(Debug)]
struct Following {
    printer: Arc<Printer>,
    meter: Arc<Meter>,
}

impl Progress for Following {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        self.meter.on_event(model, event);
    }

    fn on_step(&self, step: &Step<'_>) {
        self.meter.on_step(step);
        step.synced.iter().for_each(|done| self.printer.print(done));
    }
}

/// Prints one sum of several registries.
fn sum_up(session: &Session, report: &SyncReport) -> CliResult {
    let up_to_date = report
        .skipped
        .iter()
        .filter(|it| it.reason == SkipReason::UpToDate);
    let up_to_date = up_to_date.count();
    let counts = [
        (report.synced.len(), "synced"),
        (up_to_date, SkipReason::UpToDate.as_str()),
        (report.skipped.len() - up_to_date, "skipped"),
        (report.failed.len(), "failed"),
    ];
    let all: usize = counts.iter().map(|(number, _)| number).sum();
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let counts: Vec<String> = counts
        .map(|(number, state)| format!("{number} {state}"))
        .collect();
    match all {
        0 | 1 => Ok(()),
        _ => session.say(counts.join(", ")),
    }
}
