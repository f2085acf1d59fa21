//! `registry search`: find registered models.

use clap::{ArgMatches, Command};

use super::list::print_models;
use super::{notes, project};
use crate::cli::Mount;
use crate::cli::args::{self, positional, text};
use crate::cli::failure::CliResult;
use crate::cli::session::Session;

pub(super) const EXAMPLES: &str = "
    registry search 'active inference'    with both words
    registry search agent --status stable  those that are ready
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    let query = positional(args::QUERY, "QUERY")
        .required(true)
        .help("The words to find; all must occur, in upper or lower case");
    command
        .about("Find registered models by id, name, description, tags, type, status and metadata")
        .arg(query)
        .args(project::selection())
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let project = project::open(session, matches)?;
    let query = text(matches, args::QUERY).unwrap_or_default();
    let select = project::selected(matches);
    let mut models = project.search(query);
    models.retain(|model| select.selects(model.entry));
    session.show_list("models", &models, || {
        let registry = project.registry();
        if registry.entries.is_empty() && registry.targets.is_empty() {
            notes::note_empty(session, &project);
        } else if models.is_empty() {
            session.note(format!("No registered model matches '{query}'."));
        }
        print_models(session, &models)
    })
}
