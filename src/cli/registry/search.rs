//! `registry search`: find registered models.

use clap::{Arg, ArgMatches, Command};

use super::list::print_models;
use crate::cli::args::{self, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};

const QUERY: &str = "modelrack_query";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Find registered models by id, name, description, tags, type and metadata")
        .arg(
            Arg::new(QUERY)
                .value_name("QUERY")
                .required(true)
                .help("The words to find; all must occur, in upper or lower case"),
        )
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[("registry search 'active inference'", "with both words")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let project = super::open(session, matches)?;
    let query = text(matches, QUERY).unwrap_or_default();
    let models = project.search(query);
    if session.output.json {
        return session.json_list("models", &models);
    }
    let registry = project.registry();
    if registry.entries.is_empty() && registry.targets.is_empty() {
        super::tell_empty(session, &project);
    } else if models.is_empty() {
        let query = render::safe(query);
        session.note(format!("No registered model matches '{query}'."));
    }
    print_models(session, &models)
}
