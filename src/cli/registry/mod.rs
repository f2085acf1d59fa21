//! `registry`: the publisher's side, one verb a file.

mod add;
mod import;
mod list;
mod make;
mod publish;
mod remedy;
mod remove;
mod report;
mod search;
mod show;
mod status;
mod sync;
mod values;

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::args;
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, Verb, render};
use crate::Result;
use crate::error::chain;
use crate::project::{FailedPath, ItemKind, Limits, Project, ProjectOptions, RegisteredItem};

const PROJECT: &str = "modelrack_project";
const MAX_SIZE: &str = "modelrack_max_size";
const KEEP_VERSIONS: &str = "modelrack_keep_versions";
const IDS: &str = "modelrack_ids";

/// The commands, in the order of the help.
const VERBS: &[Verb] = &[
    verb!(add),
    verb!(remove, "rm"),
    verb!(list, "ls"),
    verb!(show),
    verb!(search),
    verb!(status),
    verb!(sync),
    verb!(make),
    verb!(import),
    verb!(publish),
    verb!(report),
];

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let group = command
        .about("Publish models for others to pull")
        .subcommand_required(true)
        .arg_required_else_help(true);
    Verb::add_all(VERBS, group, mount)
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let (verb, matches) = Verb::chosen(VERBS, matches.subcommand())?;
    (verb.execute)(session, matches)
}

/// The project that a verb works on.
fn project_arg() -> Arg {
    args::option(
        PROJECT,
        "project",
        "DIR",
        "The project's folder [default: the nearest parent with a .registry folder, else this folder]",
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
            "The largest registry to write, such as 10MB [default: 64MiB]",
        )
        .value_parser(values::size),
        args::option(
            KEEP_VERSIONS,
            "keep-versions",
            "N",
            "If it would be larger, keep only the N highest versions of each model",
        )
        .value_parser(value_parser!(u16).range(1..)),
    ]
}

fn ids_arg(help: &'static str) -> Arg {
    complete(Arg::new(IDS).value_name("ID").num_args(1..).help(help))
}

#[cfg(not(feature = "unstable-completion"))]
fn complete(arg: Arg) -> Arg {
    arg
}

/// Completes the ids of the project that the shell is in.
#[cfg(feature = "unstable-completion")]
fn complete(arg: Arg) -> Arg {
    use clap_complete::engine::ArgValueCompleter;

    arg.add(ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        candidates(Path::new("."), current)
    }))
}

#[cfg(not(feature = "unstable-completion"))]
fn complete_or_path(arg: Arg) -> Arg {
    arg
}

/// Completes ids of the project that the shell is in, and paths.
#[cfg(feature = "unstable-completion")]
fn complete_or_path(arg: Arg) -> Arg {
    use clap_complete::engine::{ArgValueCompleter, PathCompleter, ValueCompleter as _};

    arg.add(ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let mut all = candidates(Path::new("."), current);
        all.extend(PathCompleter::any().complete(current));
        all
    }))
}

#[cfg(feature = "unstable-completion")]
fn candidates(
    folder: &Path,
    current: &std::ffi::OsStr,
) -> Vec<clap_complete::engine::CompletionCandidate> {
    let current = current.to_string_lossy();
    let Ok(project) = Project::find(folder, &ProjectOptions::default()) else {
        return Vec::new();
    };
    let registry = project.registry();
    let ids = registry.entries.keys().chain(registry.targets.keys());
    ids.filter(|id| id.starts_with(&*current))
        .map(Into::into)
        .collect()
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
    let mut limits = Limits::default();
    if let Ok(Some(bytes)) = matches.try_get_one::<u64>(MAX_SIZE) {
        limits = limits.max_bytes(*bytes);
    }
    if let Ok(Some(keep)) = matches.try_get_one::<u16>(KEEP_VERSIONS) {
        limits = limits.keep_versions(usize::from(*keep));
    }
    let options = ProjectOptions::default().limits(limits);
    let project = match matches.get_one::<PathBuf>(PROJECT) {
        Some(folder) => Project::open(folder, &options)?,
        None => Project::find(".", &options)?,
    };
    if let Some(damage) = project.recovered() {
        // Not for --quiet either to keep silent about.
        session.console.note(format!(
            "the registry was read from its backup, and the next change repairs it: {}",
            render::safe(damage)
        ));
    }
    Ok(project)
}

/// Says what a change did to the registry beside what it was asked for.
fn tell_changed(session: &Session, project: &Project) {
    let shown = |path: &Path| render::safe(&path.display().to_string());
    if let Some(aside) = project.kept_aside() {
        session.note(format!("the damaged registry was kept as {}", shown(aside)));
    }
    let dropped: Vec<String> = project
        .dropped_versions()
        .iter()
        .map(|(id, version)| format!("{id} {version}"))
        .collect();
    if !dropped.is_empty() {
        session.note(format!(
            "dropped the oldest versions, as the registry would have been too large: {}",
            render::safe(&dropped.join(", "))
        ));
    }
}

/// Where nothing is registered, says how that is changed.
fn tell_empty(session: &Session, project: &Project) {
    let registry = project.registry();
    let is_empty = registry.entries.is_empty() && registry.targets.is_empty();
    if is_empty && !session.output.json {
        let (folder, path) = (project.root().display().to_string(), &session.path);
        session.note(format!(
            "Nothing is registered in {}. '{path} registry add PATH' registers models.",
            render::safe(&folder)
        ));
    }
}

/// Says what was registered: its ids only, for `--quiet`.
fn tell_registered(session: &Session, verb: &str, items: &[RegisteredItem]) -> CliResult {
    for item in items {
        match session.output.quiet {
            true => session.console.print(render::safe(&item.id))?,
            false => session.say(render::safe(&format!("{verb} {}", registered(item))))?,
        }
    }
    Ok(())
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
        let message = chain(&failed.error);
        // A path of this machine may have other separators than one of the project.
        let plain = |text: &str| text.replace('\\', "/");
        let line = match plain(&message).contains(&plain(&failed.path)) {
            true => message,
            false => format!("{}: {message}", failed.path),
        };
        session
            .console
            .note(format!("Failed {}", render::safe(&line)));
    }
}

/// The end of a verb that reported failures.
fn end(failed: &[FailedPath]) -> CliResult {
    match failed.first() {
        Some(first) => Err(CliError::reported(&first.error)),
        None => Ok(()),
    }
}

#[cfg(all(test, feature = "unstable-completion"))]
mod tests {
    use super::*;
    use crate::project::AddOptions;

    #[test]
    fn ids_of_the_project_complete() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let completed = |current: &str| -> Vec<String> {
            let candidates = candidates(&below, current.as_ref()).into_iter();
            candidates
                .map(|candidate| candidate.get_value().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(completed(""), Vec::<String>::new());
        for id in ["sir", "seir", "tiny"] {
            let file = below.join(format!("{id}.bin"));
            std::fs::write(&file, id).unwrap();
            let mut project = Project::open(&folder, &ProjectOptions::default()).unwrap();
            project.add(&[file], &AddOptions::default()).unwrap();
        }
        assert_eq!(completed(""), ["seir", "sir", "tiny"]);
        assert_eq!(completed("s"), ["seir", "sir"]);
        assert_eq!(completed("x"), Vec::<String>::new());
    }
}
