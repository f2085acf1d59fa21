//! `registry list`: what is registered.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use crate::cli::args::{self, is_set, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{ModelSummary, Project, RegistryListing, SelectOptions};

const TAG: &str = "modelrack_tag";
const TARGETS: &str = "modelrack_targets";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("List the registered models, or the targets")
        .arg(args::model_type())
        .arg(args::option(TAG, "tag", "TAG", "Only with this tag"))
        .arg(
            args::flag(TARGETS, "targets", "List the targets and their sets")
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
    let owned = |id| text(matches, id).map(str::to_owned);
    let mut options = SelectOptions::default();
    (options.model_type, options.tag) = (owned(args::TYPE), owned(TAG));
    let listing = project.list(&options);
    if session.output.json {
        return session.json(&listing);
    }
    if is_set(matches, TARGETS) {
        return print_targets(session, &project, &listing);
    }
    if listing.models.is_empty() {
        super::tell_empty(session, &project);
        match (project.registry().entries.len(), listing.targets.len()) {
            (0, 0) => {}
            (0, _) => session.note(format!(
                "No models are registered. '{} registry list --targets' lists the targets.",
                session.path
            )),
            _ => session.note("No registered model matches."),
        }
    }
    print_models(session, &listing.models)
}

/// Prints models as a table; with `--quiet` their ids.
pub(super) fn print_models(session: &Session, models: &[ModelSummary<'_>]) -> CliResult {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let rows = models.iter().map(|model| {
        vec![
            model.id.to_owned(),
            model.entry.current.clone(),
            or_dash(model.entry.model_type.as_deref().unwrap_or_default()),
            model.files.to_string(),
            render::size(model.total_bytes),
            or_dash(&model.entry.name),
            or_dash(&model.entry.description),
        ]
    });
    let head = [
        "MODEL",
        "VERSION",
        "TYPE",
        "FILES",
        "SIZE",
        "NAME",
        "DESCRIPTION",
    ];
    print_rows(session, &head, rows.collect())
}

fn print_targets(session: &Session, project: &Project, listing: &RegistryListing<'_>) -> CliResult {
    if listing.targets.is_empty() {
        super::tell_empty(session, project);
        if !project.registry().entries.is_empty() {
            session.note("No targets are registered.");
        }
    }
    let mut sets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (set, targets) in listing.target_sets {
        for target in targets {
            sets.entry(target).or_default().push(set);
        }
    }
    let rows = listing.targets.iter().map(|target| {
        let sets = sets.get(target.id).map(|sets| sets.join(" "));
        vec![
            target.id.to_owned(),
            target.entry.model_output.clone(),
            target.entry.entrypoint.clone(),
            sets.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let head = ["TARGET", "OUTPUT", "ENTRYPOINT", "SETS"];
    print_rows(session, &head, rows.collect())
}

/// Prints a table; with `--quiet` its first column.
fn print_rows(session: &Session, head: &[&str], rows: Vec<Vec<String>>) -> CliResult {
    if rows.is_empty() {
        return Ok(());
    }
    if session.output.quiet {
        for row in &rows {
            session.console.print(render::safe(&row[0]))?;
        }
        return Ok(());
    }
    let table = render::table_with_text(&session.console, head, rows);
    Ok(session.console.print(table)?)
}
