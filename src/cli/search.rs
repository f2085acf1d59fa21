//! `search`: find models by their name, description, type and tags.

use clap::{ArgMatches, Command};

use super::Mount;
use super::args::{self, all, flag, is_set, positional, string};
use super::failure::CliResult;
use super::offers::{Detail, Offers, SOURCES, print_offers};
use super::render::{self, or_dash};
use super::session::Session;
use super::table::Table;
use crate::SearchOptions;
use crate::installed::InstalledModel;

pub(super) const EXAMPLES: &str = "
    search whisper             installed models
    search tiny fp16 --remote  models that can be pulled
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Find models by name, description, type and tags")
        .args([
            positional(args::QUERY, "WORD")
                .required(true)
                .num_args(1..)
                .help("Words that must all occur, in upper or lower case"),
            flag(args::REMOTE).help("Search the models that the sources offer"),
            args::source(mount).requires(args::REMOTE),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let is_remote = is_set(matches, args::REMOTE);
    let mut options = SearchOptions::default()
        .remote(is_remote)
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    options.source = string(matches, args::SOURCE);
    let query = all::<String>(matches, args::QUERY).join(" ");
    let work = if is_remote { SOURCES } else { "" };
    let report = session.metered_as(work, |_| session.manager.search(&query, &options))?;
    match is_remote {
        true => {
            let offers = Offers {
                models: &report.remote,
                failures: &report.failures,
                not_shown: None,
            };
            print_offers(session, &offers, Detail::Each)
        }
        false => session.show_list("models", &report.installed, || {
            print_installed(session, &report.installed)
        }),
    }
}

fn print_installed(session: &Session, models: &[InstalledModel]) -> CliResult {
    let path = &session.path;
    let nothing = format!("No installed model matches. '{path} search --remote' asks the sources.");
    let rows = models.iter().map(|model| {
        [
            model.model.name().to_string(),
            model.model.version().to_owned(),
            model.status.as_str().to_owned(),
            render::size(model.total_bytes),
            or_dash(model.model_type.as_deref()),
            or_dash(model.description().as_deref()),
        ]
    });
    let head = ["MODEL", "VERSION", "STATUS", "SIZE", "TYPE", "DESCRIPTION"];
    Table::new(head, rows)
        .named_by(2)
        .state(2)
        .cut()
        .or_note(nothing)
        .print(session)
}
