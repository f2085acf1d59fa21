//! `registry list`: what is registered.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};

use super::{STATUS, notes, project};
use crate::cli::Mount;
use crate::cli::args::{self, flag, is_set};
use crate::cli::failure::CliResult;
use crate::cli::render::{self, or_dash};
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::project::{ModelSummary, Project, RegistryListing};

const TARGETS: &str = "modelrack_targets";

pub(super) const EXAMPLES: &str = "
    registry list                   the models
    registry list --type embedding  some of them
    registry list --status draft    those that are not ready
    registry list --targets         the targets
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    command
        .about("List the registered models, or the targets")
        .args(project::selection())
        .arg(
            flag(TARGETS)
                .help("List the targets and their sets")
                .conflicts_with_all([args::TYPE, STATUS, args::TAG]),
        )
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let project = project::open(session, matches)?;
    let listing = project.list(&project::selected(matches));
    session.show(&listing, || match is_set(matches, TARGETS) {
        true => print_targets(session, &project, &listing),
        false => {
            if listing.models.is_empty() {
                note_no_models(session, &project, &listing);
            }
            print_models(session, &listing.models)
        }
    })
}

fn note_no_models(session: &Session, project: &Project, listing: &RegistryListing<'_>) {
    match (project.registry().entries.len(), listing.targets.len()) {
        (0, 0) => notes::note_empty(session, project),
        (0, _) => session.note(format!(
            "No models are registered. '{} registry list --targets' lists the targets.",
            session.path
        )),
        _ => session.note("No registered model matches."),
    }
}

/// Prints models as a table, if there are any.
pub(super) fn print_models(session: &Session, models: &[ModelSummary<'_>]) -> CliResult {
    let rows = models.iter().map(|model| {
        [
            model.id.to_owned(),
            model.entry.current.clone(),
            or_dash(model.entry.model_type.as_deref()),
            or_dash(model.entry.status.as_deref()),
            model.files.to_string(),
            render::size(model.total_bytes),
            or_dash(Some(&model.entry.name)),
            or_dash(Some(&model.entry.description)),
        ]
    });
    let head = [
        "MODEL",
        "VERSION",
        "TYPE",
        "STATUS",
        "FILES",
        "SIZE",
        "NAME",
        "DESCRIPTION",
    ];
    Table::new(head, rows).named_by(1).cut().print(session)
}

fn print_targets(session: &Session, project: &Project, listing: &RegistryListing<'_>) -> CliResult {
    if listing.targets.is_empty() {
        notes::note_empty(session, project);
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
        [
            target.id.to_owned(),
            target.entry.model_output.clone(),
            target.entry.entrypoint.clone(),
            or_dash(sets.as_deref()),
        ]
    });
    let head = ["TARGET", "OUTPUT", "ENTRYPOINT", "SETS"];
    Table::new(head, rows).named_by(1).cut().print(session)
}
