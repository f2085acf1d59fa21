//! `registry`: the publisher's side, one verb a file.

mod add;
mod counter;
mod import;
mod list;
mod make;
mod publish;
mod remove;
mod report;
mod search;
mod show;
mod status;
mod sync;

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::args::{self, text};
use super::ending::{CliError, CliResult};
use super::json::project as shapes;
use super::session::Session;
use super::{Mount, Verb, render};
use crate::error::chain;
use crate::project::{FailedPath, ItemKind, Limits, Project, RegisteredItem};
use crate::{Error, Result};

const PROJECT: &str = "modelrack_project";
const MAX_SIZE: &str = "modelrack_max_size";
const KEEP_VERSIONS: &str = "modelrack_keep_versions";
const IDS: &str = "modelrack_ids";

/// All verbs, in the order of help texts.
const VERBS: &[(&str, Verb)] = &[
    (
        "add",
        Verb {
            command: add::command,
            execute: add::execute,
        },
    ),
    (
        "remove",
        Verb {
            command: remove::command,
            execute: remove::execute,
        },
    ),
    (
        "list",
        Verb {
            command: list::command,
            execute: list::execute,
        },
    ),
    (
        "show",
        Verb {
            command: show::command,
            execute: show::execute,
        },
    ),
    (
        "search",
        Verb {
            command: search::command,
            execute: search::execute,
        },
    ),
    (
        "status",
        Verb {
            command: status::command,
            execute: status::execute,
        },
    ),
    (
        "sync",
        Verb {
            command: sync::command,
            execute: sync::execute,
        },
    ),
    (
        "make",
        Verb {
            command: make::command,
            execute: make::execute,
        },
    ),
    (
        "import",
        Verb {
            command: import::command,
            execute: import::execute,
        },
    ),
    (
        "publish",
        Verb {
            command: publish::command,
            execute: publish::execute,
        },
    ),
    (
        "report",
        Verb {
            command: report::command,
            execute: report::execute,
        },
    ),
];

pub(super) fn command(mount: &Mount) -> Command {
    let group = Command::new("registry")
        .about("Publish models for others to pull")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let flags = args::tree_flags(mount);
    let verbs = VERBS
        .iter()
        .map(|(_, verb)| (verb.command)(mount).args(flags.clone()));
    group.subcommands(verbs)
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let verb = VERBS.iter().find(|(verb, _)| *verb == name)?;
        Some((&verb.1, matches))
    });
    match chosen {
        Some((verb, matches)) => (verb.execute)(session, matches),
        None => Err(Error::argument("a command is missing").into()),
    }
}

/// The project that a verb works on.
fn project_arg() -> Arg {
    args::option(
        PROJECT,
        "project",
        "DIR",
        "The project's folder [default: the nearest one upwards with a .registry, else this one]",
    )
    .value_parser(value_parser!(PathBuf))
}

/// How large the registry may become.
fn limit_args() -> [Arg; 2] {
    [
        args::option(
            MAX_SIZE,
            "max-size",
            "SIZE",
            "The largest registry to write, as in 10MB [default: 64MiB]",
        )
        .value_parser(publish::parse_size),
        args::option(
            KEEP_VERSIONS,
            "keep-versions",
            "N",
            "Where it would be larger, keep only the N highest versions of each model",
        )
        .value_parser(value_parser!(u16).range(1..)),
    ]
}

fn ids_arg(help: &'static str) -> Arg {
    Arg::new(IDS).value_name("ID").num_args(1..).help(help)
}

fn ids(matches: &ArgMatches) -> Vec<String> {
    many(matches, IDS)
}

/// All values of an option.
fn many(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.get_many::<String>(id);
    values.into_iter().flatten().cloned().collect()
}

fn paths(matches: &ArgMatches, id: &str) -> Vec<PathBuf> {
    let values = matches.get_many::<PathBuf>(id);
    values.into_iter().flatten().cloned().collect()
}

/// Opens the project, and says when its registry was read from the backup.
fn open(session: &Session, matches: &ArgMatches) -> Result<Project> {
    let project = match matches.get_one::<PathBuf>(PROJECT) {
        Some(folder) => Project::open(folder)?,
        None => Project::find(".")?,
    };
    let mut limits = Limits::default();
    if let Ok(Some(bytes)) = matches.try_get_one::<u64>(MAX_SIZE) {
        limits = limits.max_bytes(*bytes);
    }
    if let Ok(Some(keep)) = matches.try_get_one::<u16>(KEEP_VERSIONS) {
        limits = limits.keep_versions(usize::from(*keep));
    }
    if let Some(damage) = project.recovered() {
        session.note(format!(
            "the registry is read from its backup, and put right by the next change: {}",
            render::safe(damage)
        ));
    }
    Ok(project.limits(limits))
}

/// A message of the library, with the command as it was typed.
fn quoted(session: &Session, text: &str) -> String {
    text.replace("'registry ", &format!("'{} registry ", session.path))
}

/// The id that a verb is about.
fn id(matches: &ArgMatches) -> String {
    text(matches, IDS).unwrap_or_default().to_owned()
}

/// What was registered, for people.
fn registered(item: &RegisteredItem) -> String {
    let what = match (item.kind, &item.version) {
        (ItemKind::Target, _) => format!("target {}", item.id),
        (_, Some(version)) => format!("{} {version}", item.id),
        (_, None) => item.id.clone(),
    };
    let before = match &item.previous {
        Some(before) if item.previous != item.version => format!(", after {before}"),
        _ => String::new(),
    };
    let files = render::count(item.files as u64, "file");
    format!(
        "{what}{before}: {files}, {}",
        render::size(item.total_bytes)
    )
}

/// What cannot be registered, for people.
fn tell_failed(session: &Session, failed: &[FailedPath]) {
    for failed in failed {
        let line = format!("{}: {}", failed.path, chain(&failed.error));
        session
            .console
            .note(format!("Failed {}", render::safe(&line)));
    }
}

/// The end of a verb that reported failures.
fn end(failed: &[FailedPath]) -> CliResult {
    match failed.first() {
        Some(first) => Err(CliError::Reported {
            code: first.error.code(),
        }),
        None => Ok(()),
    }
}
