//! `registry list`: what is registered.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use super::shapes;
use crate::cli::args::{self, is_set, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{ModelEntry, Project, RegisteredVersion};

const TAG: &str = "modelrack_tag";
const TARGETS: &str = "modelrack_targets";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("List the models that are registered, or the targets")
        .arg(args::model_type())
        .arg(args::option(TAG, "tag", "TAG", "Only with this tag"))
        .arg(
            args::flag(TARGETS, "targets", "The targets, and the sets they are in")
                .conflicts_with_all([args::TYPE, TAG]),
        )
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[
                ("registry list", "the models"),
                ("registry list --type embedding", "some of them"),
                ("registry list --targets", "the targets"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let project = super::open(session, matches)?;
    let registry = project.registry();
    if is_set(matches, TARGETS) && !session.output.json {
        return print_targets(session, &project);
    }
    let is_wanted = |entry: &ModelEntry| {
        let of_type =
            text(matches, args::TYPE).is_none_or(|of| entry.model_type.as_deref() == Some(of));
        of_type && text(matches, TAG).is_none_or(|tag| entry.tags.contains(tag))
    };
    let entries = registry
        .entries
        .iter()
        .filter(|(_, entry)| is_wanted(entry));
    let models: Vec<_> = entries.map(|(id, entry)| (id.as_str(), entry)).collect();
    if session.output.json {
        return session.json(&shapes::Registered::new(&models, registry));
    }
    if models.is_empty() {
        super::tell_empty(session, &project);
        match (registry.entries.len(), registry.targets.len()) {
            (0, 0) => {}
            (0, _) => session.note(format!(
                "No model is registered. '{} registry list --targets' lists the targets.",
                session.path
            )),
            _ => session.note("No registered model matches."),
        }
    }
    print_models(session, &models)
}

/// Prints models as a table; with `--quiet` their ids.
pub(super) fn print_models(session: &Session, models: &[(&str, &ModelEntry)]) -> CliResult {
    if models.is_empty() {
        return Ok(());
    }
    if session.output.quiet {
        for (id, _) in models {
            session.console.print(render::safe(id))?;
        }
        return Ok(());
    }
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|(id, entry)| {
            let current = entry.current();
            vec![
                (*id).to_owned(),
                entry.current.clone(),
                or_dash(entry.model_type.as_deref().unwrap_or_default()),
                current.map_or(0, |version| version.files.len()).to_string(),
                render::size(current.map_or(0, RegisteredVersion::total_bytes)),
                or_dash(&entry.name),
                or_dash(&entry.description),
            ]
        })
        .collect();
    let head = [
        "MODEL",
        "VERSION",
        "TYPE",
        "FILES",
        "SIZE",
        "NAME",
        "DESCRIPTION",
    ];
    Ok(session
        .console
        .print(render::table_with_text(&session.console, &head, rows))?)
}

fn print_targets(session: &Session, project: &Project) -> CliResult {
    let registry = project.registry();
    if registry.targets.is_empty() {
        super::tell_empty(session, project);
        if !registry.entries.is_empty() {
            session.note("No target is registered.");
        }
        return Ok(());
    }
    let mut sets: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (set, targets) in &registry.target_sets {
        for target in targets {
            sets.entry(target).or_default().push(set);
        }
    }
    let rows: Vec<Vec<String>> = registry
        .targets
        .iter()
        .map(|(id, target)| {
            let sets = sets.get(id).map(|sets| sets.join(" "));
            vec![
                id.clone(),
                target.model_output.clone(),
                target.entrypoint.clone(),
                sets.unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    if session.output.quiet {
        for row in &rows {
            session.console.print(render::safe(&row[0]))?;
        }
        return Ok(());
    }
    let head = ["TARGET", "OUTPUT", "ENTRYPOINT", "SETS"];
    Ok(session
        .console
        .print(render::table(&session.console, &head, &rows))?)
}
