//! The project that a command works on, and the arguments that select it and its items.

use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use clap::{Arg, ArgMatches, value_parser};

use super::STATUS;
use crate::Result;
use crate::cli::Mount;
use crate::cli::args::{self, Which, complete, flag, is_set, option, positional, string, value};
use crate::cli::session::Session;
use crate::project::{Project, ProjectOptions, SelectOptions};
use crate::quantity::ByteSize;

const PROJECT: &str = "modelrack_project";
const MAX_SIZE: &str = "modelrack_max-size";
const KEEP_VERSIONS: &str = "modelrack_keep-versions";
const REGISTRY: &str = "modelrack_registry";
const NO_BACKUP: &str = "modelrack_no-backup";
const NO_AUTO_VERSION: &str = "modelrack_no-auto-version";
const NO_METADATA: &str = "modelrack_no-metadata";
const IDS: &str = "modelrack_ids";

/// Creates the options that name the project's folder and its registry.
pub(super) fn place() -> [Arg; 2] {
    let folder = path_option(PROJECT, "DIR").help(
        "The project's folder [default: the nearest parent with a .registry folder, else this \
         folder]",
    );
    [
        folder,
        registry().help(
            "The file of the registry, for another place or several registries [default: \
         .registry/models.toml in the project's folder]",
        ),
    ]
}

/// Creates the option that names the file of a registry.
pub(super) fn registry() -> Arg {
    path_option(REGISTRY, "FILE")
}

/// Returns the file of the registry, if it is named.
pub(super) fn registry_path(matches: &ArgMatches) -> Option<PathBuf> {
    value(matches, REGISTRY).cloned()
}

/// Creates the options of changes.
pub(super) fn changes() -> [Arg; 3] {
    [
        no_backup(),
        option(MAX_SIZE, "SIZE")
            .help("The largest registry to write, such as 10MB [default: 64MiB]")
            .value_parser(value_parser!(ByteSize)),
        option(KEEP_VERSIONS, "N")
            .help("If it would be larger, keep only the N highest versions of each model")
            .value_parser(value_parser!(u16).range(1..).map(usize::from)),
    ]
}

/// Creates the option of changes that need no backup.
pub(super) fn no_backup() -> Arg {
    flag(NO_BACKUP).help("Do not keep the registry that is replaced, as models.toml.bak")
}

/// Creates the options that say what is registered of files.
pub(super) fn facts() -> [Arg; 2] {
    [
        flag(NO_AUTO_VERSION).help(
            "Replace the current version of a model that changed, instead of adding the next one",
        ),
        flag(NO_METADATA)
            .help("Do not register what files say about models, such as names and descriptions"),
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
    let mut options = ProjectOptions::default()
        .backup(!is_set(matches, NO_BACKUP))
        .auto_version(!is_set(matches, NO_AUTO_VERSION))
        .extract_metadata(!is_set(matches, NO_METADATA))
        .max_bytes(value(matches, MAX_SIZE).map(|ByteSize(bytes)| *bytes))
        .keep_versions(value(matches, KEEP_VERSIONS).copied());
    options.registry_path = registry_path(matches);
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
