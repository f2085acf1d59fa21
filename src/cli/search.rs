//! `search`: find models by their name, description, type and tags.

use clap::{Arg, ArgMatches, Command};

use super::args::{self, is_set, string, text};
use super::ending::CliResult;
use super::offers::print_offers;
use super::session::Session;
use super::{Mount, render};
use crate::SearchOptions;
use crate::installed::InstalledModel;

const QUERY: &str = "modelrack_query";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Find models by name, description, type and tags")
        .arg(
            Arg::new(QUERY)
                .value_name("QUERY")
                .required(true)
                .help("Words that must all occur, in upper or lower case"),
        )
        .arg(args::remote("Search the models that the sources offer"))
        .arg(args::source(mount).requires(args::REMOTE))
        .after_help(args::examples(
            mount,
            &[
                ("search whisper", "installed models"),
                ("search 'tiny fp16' --remote", "models that can be pulled"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let is_remote = is_set(matches, args::REMOTE);
    let mut options = SearchOptions::default()
        .remote(is_remote)
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    options.source = string(matches, args::SOURCE);
    let query = text(matches, QUERY).unwrap_or_default();
    let report = session.manager.search(query, &options)?;
    match is_remote {
        true => print_offers(session, &report.remote, &report.failures),
        false => print_installed(session, &report.installed),
    }
}

fn print_installed(session: &Session, models: &[InstalledModel]) -> CliResult {
    if session.output.json {
        return session.json_list("models", models);
    }
    if session.output.quiet {
        return session.names(models.iter().map(|model| &model.model));
    }
    if models.is_empty() {
        let path = &session.path;
        session.note(format!(
            "No installed model matches. Run '{path} search --remote' to search the sources."
        ));
        return Ok(());
    }
    let row = |model: &InstalledModel| {
        vec![
            model.model.name().to_string(),
            model.model.version().to_owned(),
            render::or_dash(model.model_type.as_deref()),
            render::or_dash(model.description()),
        ]
    };
    let head = ["MODEL", "VERSION", "TYPE", "DESCRIPTION"];
    session.table_with_text(&head, models.iter().map(row).collect())
}
