//! `registry import`: take over what another program registered.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::cli::args::{self, is_set};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{ImportOptions, ImportReport};

const FILE: &str = "modelrack_file";
const DRY_RUN: &str = "modelrack_dry_run";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Import an existing registry: registry.yaml of modelops, or model_registry.json")
        .arg(
            Arg::new(FILE)
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("registry.yaml or model_registry.json; its paths are relative to the project's folder"),
        )
        .arg(args::flag(
            DRY_RUN,
            "dry-run",
            "Only show what would be registered",
        ))
        .arg(super::project_arg())
        .args(super::limit_args())
        .after_help(args::examples(
            mount,
            &[
                ("registry import .modelops-bundle/registry.yaml", "models, targets and target sets"),
                ("registry import output/model_registry.json", "models with their versions"),
                ("registry import registry.yaml --dry-run", "show what it would register"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut project = super::open(session, matches)?;
    let meter = session.meter();
    let dry_run = is_set(matches, DRY_RUN);
    let options = ImportOptions::default()
        .cancel(session.cancel.clone())
        .progress(meter.clone());
    let file = matches.get_one::<PathBuf>(FILE);
    let file = file.map_or(Path::new(""), PathBuf::as_path);
    let report = match dry_run {
        true => project.plan_import(file, &options)?.report,
        false => project.import(file, &options)?,
    };
    meter.clear();
    super::tell_changed(session, &project);
    if session.output.json {
        session.json(&report)?;
    } else {
        print(session, &report)?;
    }
    super::end(&report.failed)
}

fn print(session: &Session, report: &ImportReport) -> CliResult {
    let (verb, done) = match report.dry_run {
        true => ("Would register", "to register"),
        false => ("Registered", "registered"),
    };
    super::tell_registered(session, verb, &report.registered)?;
    for set in &report.target_sets {
        session.say(render::safe(&format!("{verb} target set {set}")))?;
    }
    for note in &report.notes {
        let line = match &note.entity {
            Some(item) => format!("{item}: {}", note.message),
            None => note.message.clone(),
        };
        session.note(render::safe(&line));
    }
    super::tell_failed(session, &report.failed);
    session.say(format!(
        "Processed {}: {} {}, {} unchanged, {} failed",
        report.processed,
        report.registered.len(),
        done,
        report.unchanged.len(),
        report.failed.len()
    ))
}
