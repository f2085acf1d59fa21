//! Messages that several commands share: about a project, and about what was and was not registered.

use std::path::Path;

use super::remedy;
use crate::cli::failure::CliResult;
use crate::cli::render;
use crate::cli::session::Session;
use crate::error::{chain, is_missing};
use crate::project::{FailedPath, ItemKind, Project, RegisteredItem};
use crate::{Error, ErrorKind};

/// Where modelops keeps the registry of a project.
const OF_MODELOPS: &str = ".modelops-bundle/registry.yaml";

/// Says what a change did to the registry besides what was asked for.
pub(super) fn note_changes(session: &Session, project: &Project) {
    if let Some(aside) = project.kept_aside() {
        let aside = aside.display();
        session.note(format!("the damaged registry was kept as {aside}"));
    }
    let dropped = project.dropped_versions().iter();
    let dropped: Vec<String> = dropped
        .map(|(id, version)| format!("{id} {version}"))
        .collect();
    if !dropped.is_empty() {
        session.note(format!(
            "dropped the oldest versions, as the registry would have been too large: {}",
            dropped.join(", ")
        ));
    }
}

/// If nothing is registered, says how to change that.
pub(super) fn note_empty(session: &Session, project: &Project) {
    let registry = project.registry();
    let is_empty = registry.entries.is_empty() && registry.targets.is_empty();
    if is_empty && !session.output.json {
        let (file, path) = (project.registry_path(), &session.path);
        let (command, does) = match project.root().join(OF_MODELOPS).is_file() {
            true => (
                format!("import {OF_MODELOPS}"),
                "takes over what modelops has",
            ),
            false => ("add PATH".to_owned(), "registers models"),
        };
        let (file, place) = (file.display(), remedy::place(project));
        session.note(format!(
            "Nothing is registered in {file}. '{path} registry {command}{place}' {does}."
        ));
    }
}

/// Prints what was registered; with `--quiet`, only the ids.
pub(super) fn print_registered(
    session: &Session,
    verb: &str,
    items: &[RegisteredItem],
) -> CliResult {
    items
        .iter()
        .try_for_each(|item| match session.output.quiet {
            true => session.print(&item.id),
            false => session.print(format!("{verb} {}", describe(item))),
        })
}

fn describe(item: &RegisteredItem) -> String {
    let what = match (item.kind, &item.version) {
        (ItemKind::Target, _) => format!("target {}", item.id),
        (_, Some(version)) => format!("{} {version}", item.id),
        (_, None) => item.id.clone(),
    };
    let before = match &item.previous {
        Some(before) if item.previous != item.version => format!(", after {before}"),
        _ => String::new(),
    };
    let files = render::count(item.files, "file");
    let size = render::size(item.total_bytes);
    format!("{what}{before}: {files}, {size}")
}

/// Says what could not be registered: its path, and then why.
pub(super) fn warn_failed(session: &Session, failed: &[FailedPath]) {
    for failed in failed {
        let (path, reason) = (path_of(failed), reason(&failed.error));
        session.warn(format!("Failed {path}: {reason}"));
    }
}

/// Returns the path that failed, or what the error names below it.
fn path_of(failed: &FailedPath) -> String {
    let below = failed.error.path().and_then(|named| {
        let mut above = named.ancestors();
        let above = above.find(|above| above.ends_with(&failed.path))?;
        named.strip_prefix(above).ok()
    });
    let below = below.unwrap_or(Path::new("")).components();
    let below = below.map(|component| component.as_os_str().to_string_lossy());
    below.fold(failed.path.clone(), |path, component| {
        format!("{path}/{component}")
    })
}

/// Describes an error without the path that it names.
fn reason(error: &Error) -> String {
    let what = match (error.kind(), error.path()) {
        (ErrorKind::Storage { source, .. }, _) if is_missing(source) => {
            "no such file or folder".to_owned()
        }
        (ErrorKind::Storage { action, source, .. }, _) => format!("cannot {action} it: {source}"),
        (ErrorKind::Permission { action, .. }, _) => format!("no permission to {action} it"),
        (
            ErrorKind::Registry {
                message, source, ..
            },
            Some(_),
        ) => match source {
            Some(source) => format!("{message}: {source}"),
            None => message.clone(),
        },
        (ErrorKind::InvalidArgument { message }, Some(named)) => {
            let named = named.display();
            let begins = [format!("'{named}' "), format!("{named} ")];
            let mut rest = begins
                .iter()
                .filter_map(|begin| message.strip_prefix(begin));
            rest.next().unwrap_or(message).to_owned()
        }
        _ => return chain(error),
    };
    let steps = error.steps().iter();
    steps.map(|step| format!("{step}: ")).collect::<String>() + &what
}
