//! `registry add`: register models and targets.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::cli::Mount;
use crate::cli::args::{self, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::project::{AddOptions, AddReport};

const PATHS: &str = "modelrack_paths";
const ID: &str = "modelrack_id";
const NAME: &str = "modelrack_name";
const DESCRIPTION: &str = "modelrack_description";
const TAG: &str = "modelrack_tag";
const ENTRYPOINT: &str = "modelrack_entrypoint";
const OUTPUTS: &str = "modelrack_outputs";
const DATA: &str = "modelrack_data";
const CODE: &str = "modelrack_code";
const MODEL_OUTPUT: &str = "modelrack_model_output";
const TARGET_SET: &str = "modelrack_target_set";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let list = |id, long, value, help| {
        args::option(id, long, value, help)
            .action(ArgAction::Append)
            .value_delimiter(',')
    };
    let files = |id, long, help| {
        args::option(id, long, "PATH", help)
            .action(ArgAction::Append)
            .value_parser(value_parser!(PathBuf))
    };
    command
        .disable_version_flag(true)
        .about("Register new or changed models and targets of this project")
        .arg(
            Arg::new(PATHS)
                .value_name("PATH")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Files and folders; a folder that is not a model itself is searched for models"),
        )
        .arg(args::option(ID, "id", "ID", "The id [default: the file's name; a folder with an id is one model]"))
        .arg(args::option(args::VERSION, "version", "VERSION", "The version [default: the one in the file, else 1.0.0 and then the next patch version]"))
        .arg(args::option(NAME, "name", "NAME", "The display name [default: the one in the file]"))
        .arg(args::option(DESCRIPTION, "description", "TEXT", "A short description [default: the one in the file]"))
        .arg(args::option(args::TYPE, "type", "TYPE", "The type, such as classification"))
        .arg(list(TAG, "tag", "TAG", "A tag; may be repeated or separated by commas"))
        .arg(args::option(ENTRYPOINT, "entrypoint", "MODULE:NAME", "The class or function [default: the one that the code declares]"))
        .arg(list(OUTPUTS, "outputs", "NAME", "An output [default: those that the code declares]; may be repeated or separated by commas"))
        .arg(files(DATA, "data", "A file or folder of data that the model needs; may be repeated"))
        .arg(files(CODE, "code", "A file or folder of code that the model needs; may be repeated"))
        .arg(args::option(MODEL_OUTPUT, "model-output", "NAME", "Register a target that uses this output"))
        .arg(args::option(TARGET_SET, "target-set", "SET", "Add the targets to this set"))
        .arg(super::project_arg())
        .args(super::limit_args())
        .after_help(args::examples(
            mount,
            &[
                ("registry add models/", "all models and targets in it"),
                ("registry add weights/ --id tiny --type embedding", "a folder as one model"),
                ("registry add models/sir.py --data data/observed.csv", "code with its data"),
                ("registry add targets/incidence.py --model-output incidence", "a target"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut project = super::open(session, matches)?;
    let owned = |id: &str| text(matches, id).map(str::to_owned);
    let meter = session.meter();
    let mut options = AddOptions::default()
        .tags(super::many(matches, TAG))
        .outputs(super::many(matches, OUTPUTS))
        .data(super::paths(matches, DATA))
        .code(super::paths(matches, CODE))
        .cancel(session.cancel.clone())
        .progress(meter.clone());
    options.id = owned(ID);
    options.version = owned(args::VERSION);
    options.name = owned(NAME);
    options.description = owned(DESCRIPTION);
    options.model_type = owned(args::TYPE);
    options.entrypoint = owned(ENTRYPOINT);
    options.model_output = owned(MODEL_OUTPUT);
    options.target_set = owned(TARGET_SET);
    let report = project.add(&super::paths(matches, PATHS), &options)?;
    meter.clear();
    super::tell_changed(session, &project);
    if session.output.json {
        session.json(&report)?;
    } else {
        print(session, &report)?;
    }
    super::end(&report.failed)
}

fn print(session: &Session, report: &AddReport) -> CliResult {
    super::tell_registered(session, "Registered", &report.registered)?;
    super::tell_failed(session, &report.failed);
    session.say(format!(
        "Processed {}: {} registered, {} unchanged, {} failed",
        report.processed,
        report.registered.len(),
        report.unchanged.len(),
        report.failed.len()
    ))
}
