//! `registry add`: register models and targets.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::project::{self, path_option};
use super::{PATHS, READING, STATUS, notes};
use crate::cli::Mount;
use crate::cli::args::{self, all, list, option, positional, string};
use crate::cli::ending::show_and_end;
use crate::cli::failure::CliResult;
use crate::cli::session::Session;
use crate::project::{AddOptions, AddReport};

const ID: &str = "modelrack_id";
const DESCRIPTION: &str = "modelrack_description";
const ENTRYPOINT: &str = "modelrack_entrypoint";
const OUTPUTS: &str = "modelrack_outputs";
const DATA: &str = "modelrack_data";
const CODE: &str = "modelrack_code";
const MODEL_OUTPUT: &str = "modelrack_model-output";
const TARGET_SET: &str = "modelrack_target-set";

pub(super) const EXAMPLES: &str = "
    registry add models/                                        all models and targets in it
    registry add weights/ --id tiny --type embedding            a folder as one model
    registry add models/sir.py --data data/observed.csv         code with its data
    registry add targets/incidence.py --model-output incidence  a target
    registry add models/sir.py --status deprecated              the life of a model
    registry add models/sir.py --registry drafts.toml           a registry of its own
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    let several = |option: Arg| option.action(ArgAction::Append);
    let files = |id| several(path_option(id, "PATH"));
    command
        .disable_version_flag(true)
        .about("Register new or changed models and targets of this project")
        .args([
            positional(PATHS, "PATH")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help(
                    "Files and folders; a folder that is not a model itself is searched for \
                     models",
                ),
            option(ID, "ID")
                .help("The id [default: the file's name; a folder with an id is one model]"),
            option(args::VERSION, "VERSION").help(
                "The version [default: the one in the file, else 1.0.0 and then the next \
                 patch version]",
            ),
            option(args::NAME, "NAME").help("The display name [default: the one in the file]"),
            option(DESCRIPTION, "TEXT").help("A short description [default: the one in the file]"),
            option(args::TYPE, "TYPE").help("The type, such as classification"),
            option(STATUS, "STATUS")
                .help("Where it is in its life, such as draft, stable, deprecated or archived"),
            list(args::TAG, "TAG").help("A tag; may be repeated or separated by commas"),
            option(ENTRYPOINT, "MODULE:NAME")
                .help("The class or function [default: the one that the code declares]"),
            list(OUTPUTS, "NAME").help(
                "An output [default: those that the code declares]; may be repeated or \
                 separated by commas",
            ),
            files(DATA).help("A file or folder of data that the model needs; may be repeated"),
            files(CODE).help("A file or folder of code that the model needs; may be repeated"),
            option(MODEL_OUTPUT, "NAME").help("Register a target that uses this output"),
            option(TARGET_SET, "SET").help("Add the targets to this set"),
        ])
        .args(project::facts())
        .args(project::place())
        .args(project::changes())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut project = project::open(session, matches)?;
    let mut options = AddOptions::default()
        .tags(all::<String>(matches, args::TAG))
        .outputs(all::<String>(matches, OUTPUTS))
        .data(all::<PathBuf>(matches, DATA))
        .code(all::<PathBuf>(matches, CODE))
        .cancel(session.cancel.clone());
    options.id = string(matches, ID);
    options.version = string(matches, args::VERSION);
    options.name = string(matches, args::NAME);
    options.description = string(matches, DESCRIPTION);
    options.model_type = string(matches, args::TYPE);
    options.status = string(matches, STATUS);
    options.entrypoint = string(matches, ENTRYPOINT);
    options.model_output = string(matches, MODEL_OUTPUT);
    options.target_set = string(matches, TARGET_SET);
    let paths: Vec<PathBuf> = all(matches, PATHS);
    let report = session.metered_as(READING, |meter| {
        project.add(&paths, &options.progress(meter))
    })?;
    notes::note_changes(session, &project);
    let errors = report.failed.iter().map(|failed| &failed.error);
    show_and_end(session, &report, errors, || print(session, &report))
}

fn print(session: &Session, report: &AddReport) -> CliResult {
    notes::print_registered(session, "Registered", &report.registered)?;
    session.note_left_out(&report.left_out);
    notes::warn_failed(session, &report.failed);
    session.say(format!(
        "Processed {}: {} registered, {} unchanged, {} failed",
        report.processed,
        report.registered.len(),
        report.unchanged.len(),
        report.failed.len()
    ))
}
