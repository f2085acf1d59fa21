//! `registry remove`: drop models and targets from the registry.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use crate::cli::args;
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::ItemKind;

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove models and targets from the registry, but keep their files")
        .arg(super::ids_arg("Models and targets").required(true))
        .arg(super::project_arg())
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[("registry remove sir", "with its history, but not its files")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let mut project = super::open(session, matches)?;
    let mut ids = super::ids(matches);
    ids.sort_unstable();
    ids.dedup();
    let registry = project.registry();
    let mut named = Vec::new();
    for id in &ids {
        let kind = registry.kind_of(id)?;
        let versions = match (kind, registry.entries.get(id)) {
            (ItemKind::Model, Some(entry)) if entry.versions.len() > 1 => {
                format!(" with all its {} versions", entry.versions.len())
            }
            _ => String::new(),
        };
        named.push(format!("{} {id}{versions}", kind.as_str()));
    }
    session.confirm(&format!(
        "Drop {} from the registry?",
        render::safe(&named.join(", "))
    ))?;
    let removed = project.remove(&ids, &session.cancel)?;
    super::tell_changed(session, &project);
    if session.output.json {
        return session.json(&BTreeMap::from([("removed", &removed)]));
    }
    for item in &removed {
        session.say(format!("Dropped {}", render::safe(&item.to_string())))?;
    }
    Ok(())
}
