//! `registry import`: take over what another program registered.

use std::path::PathBuf;

use clap::{ArgMatches, Command, value_parser};

use super::{READING, notes, project};
use crate::cli::Mount;
use crate::cli::args::{self, flag, is_set, positional};
use crate::cli::ending::show_and_end;
use crate::cli::failure::CliResult;
use crate::cli::session::Session;
use crate::project::{ImportOptions, ImportReport};

const FILE: &str = "modelrack_file";

pub(super) const EXAMPLES: &str = "
    registry import .modelops-bundle/registry.yaml  models, targets and target sets
    registry import output/model_registry.json      models with their versions
    registry import registry.yaml --dry-run         show what it would register
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    command
        .about("Import an existing registry: registry.yaml of modelops, or model_registry.json")
        .args([
            positional(FILE, "FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help(
                    "registry.yaml or model_registry.json; its paths are relative to the project's \
                     folder",
                ),
            flag(args::DRY_RUN).help("Only show what would be registered"),
        ])
        .args(project::place())
        .args(project::changes())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut project = project::open(session, matches)?;
    let options = ImportOptions::default().cancel(session.cancel.clone());
    let file = args::path(matches, FILE);
    let report = session.metered_as(READING, |meter| {
        let options = options.progress(meter);
        match is_set(matches, args::DRY_RUN) {
            true => Ok(project.plan_import(&file, &options)?.report),
            false => project.import(&file, &options),
        }
    })?;
    notes::note_changes(session, &project);
    let errors = report.failed.iter().map(|failed| &failed.error);
    show_and_end(session, &report, errors, || print(session, &report))
}

fn print(session: &Session, report: &ImportReport) -> CliResult {
    let (verb, done) = match report.dry_run {
        true => ("Would register", "to register"),
        false => ("Registered", "registered"),
    };
    notes::print_registered(session, verb, &report.registered)?;
    for set in &report.target_sets {
        session.say(format!("{verb} target set {set}"))?;
    }
    for note in &report.notes {
        session.note(match &note.entity {
            Some(item) => format!("{item}: {}", note.message),
            None => note.message.clone(),
        });
    }
    session.note_left_out(&report.left_out);
    notes::warn_failed(session, &report.failed);
    session.say(format!(
        "Processed {}: {} {done}, {} unchanged, {} failed",
        report.processed,
        report.registered.len(),
        report.unchanged.len(),
        report.failed.len()
    ))
}
