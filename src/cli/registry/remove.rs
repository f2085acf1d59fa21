//! `registry remove`: drop models and targets from the registry.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use super::{notes, project};
use crate::cli::args;
use crate::cli::failure::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::ItemKind;

pub(super) const EXAMPLES: &str = "
    registry remove sir  with its history, but not its files
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let ids = project::ids_arg(mount).num_args(1..);
    command
        .about("Remove models and targets from the registry, but keep their files")
        .arg(ids.help("Models and targets"))
        .args(project::place())
        .arg(project::no_backup())
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let mut project = project::open(session, matches)?;
    let ids = project::ids(matches);
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let registry = project.registry();
    let mut named = Vec::new();
    for id in &ids {
        let kind = registry.kind_of(id)?;
        let versions = match (kind, registry.entries.get(*id)) {
            (ItemKind::Model, Some(entry)) if entry.versions.len() > 1 => {
                format!(" with all its {} versions", entry.versions.len())
            }
            _ => String::new(),
        };
        named.push(format!("{} {id}{versions}", kind.as_str()));
    }
    let named = render::safe(&named.join(", "));
    session.confirm(&format!("Drop {named} from the registry?"))?;
    let removed = project.remove(&ids, &session.cancel)?;
    notes::note_changes(session, &project);
    session.show(&BTreeMap::from([("removed", &removed)]), || {
        let mut removed = removed.iter();
        removed.try_for_each(|item| session.say(format!("Dropped {item}")))
    })
}
