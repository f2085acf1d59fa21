//! The project that a command works on, and the arguments that select it and its items.

use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use clap::{Arg, ArgMatches, value_parser};

use super::STATUS;
use crate::Result;
use crate::cli::Mount;
use crate::cli::args::{self, Which, complete, option, positional, string, value};
use crate::cli::session::Session;
use crate::project::{Project, ProjectOptions, SelectOptions};
use crate::quantity::ByteSize;

const PROJECT: &str = "modelrack_project";
const MAX_SIZE: &str = "modelrack_max-size";
const KEEP_VERSIONS: &str = "modelrack_keep-versions";
const IDS: &str = "modelrack_ids";

/// Creates the option that names the project's folder.
pub(super) fn folder() -> Arg {
    path_option(PROJECT, "DIR").help(
        "The project's folder [default: the nearest parent with a .registry folder, else this \
         folder]",
    )
}

/// Creates the options that limit the size of the registry.
pub(super) fn limits() -> [Arg; 2] {
    [
        option(MAX_SIZE, "SIZE")
            .help("The largest registry to write, such as 10MB [default: 64MiB]")
            .value_parser(value_parser!(ByteSize)),
        option(KEEP_VERSIONS, "N")
            .help("If it would be larger, keep only the N highest versions of each model")
            .value_parser(value_parser!(u16).range(1..).map(usize::from)),
    ]
}

/// Creates the options that select registered models.
pub(super) fn selection() -> [Arg; 3] {
    [
        args::model_type(),
        option(STATUS, "STATUS").help("Only with this status, such as deprecated"),
        option(args::TAG, "TAG").help("Only with this tag"),
    ]
}

/// Returns which registered models are selected.
pub(super) fn selected(matches: &ArgMatches) -> SelectOptions {
    SelectOptions {
        model_type: string(matches, args::TYPE),
        status: string(matches, STATUS),
        tag: string(matches, args::TAG),
    }
}

/// Creates an argument for ids of models and targets.
pub(super) fn ids_arg(mount: &Mount) -> Arg {
    let ids = positional(IDS, "ID").required(true);
    complete(ids, mount, Which::Registered)
}

pub(super) fn ids(matches: &ArgMatches) -> Vec<String> {
    args::all(matches, IDS)
}

/// Creates an option whose value is a path.
pub(super) fn path_option(id: &'static str, value: &'static str) -> Arg {
    option(id, value).value_parser(value_parser!(PathBuf))
}

/// Opens the project, and says so if its registry was read from the backup.
pub(super) fn open(session: &Session, matches: &ArgMatches) -> Result<Project> {
    let options = ProjectOptions::default()
        .max_bytes(value(matches, MAX_SIZE).map(|ByteSize(bytes)| *bytes))
        .keep_versions(value(matches, KEEP_VERSIONS).copied());
    let project = match value::<PathBuf>(matches, PROJECT) {
        Some(folder) => Project::open(folder, &options)?,
        None => Project::find(".", &options)?,
    };
    if let Some(damage) = project.recovered() {
        // Even with --quiet.
        session.warn(format!(
            "the registry was read from its backup, and the next change repairs it: {damage}"
        ));
    }
    Ok(project)
}
