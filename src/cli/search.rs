//! `search`: find models by name, description, tags and type.

use clap::{Arg, ArgMatches, Command};

use super::args::{self, is_set, text};
use super::ending::CliResult;
use super::list::{print_names, print_remote};
use super::session::Session;
use super::{Mount, render};
use crate::SearchOptions;

const QUERY: &str = "modelrack_query";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Find models by name, description, tags and type")
        .arg(
            Arg::new(QUERY)
                .value_name("QUERY")
                .required(true)
                .help("Words that all must occur, in any case"),
        )
        .arg(args::remote("Search what the sources offer"))
        .arg(args::source(mount).requires(args::REMOTE))
        .after_help(args::examples(
            mount,
            &[
                ("search whisper", "among what is installed"),
                ("search 'tiny fp16' --remote", "among what there is to pull"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let remote = is_set(matches, args::REMOTE);
    let options = SearchOptions::default()
        .remote(remote)
        .source(text(matches, args::SOURCE).map(str::to_owned))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let report = session
        .manager
        .search(text(matches, QUERY).unwrap_or_default(), &options)?;
    if remote {
        return print_remote(session, &report.remote, &report.failures);
    }
    if session.output.json {
        return session.json_list("models", &report.installed);
    }
    if session.output.quiet {
        return print_names(session, report.installed.iter().map(|model| &model.model));
    }
    if report.installed.is_empty() {
        let path = &session.path;
        session.note(format!(
            "No installed model matches. '{path} search --remote' looks at what there is to pull."
        ));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = report
        .installed
        .iter()
        .map(|model| {
            vec![
                model.model.name().to_string(),
                model.model.version().to_owned(),
                model.model_type.clone().unwrap_or_else(|| "-".into()),
                model.description().unwrap_or("-").to_owned(),
            ]
        })
        .collect();
    let head = ["MODEL", "VERSION", "TYPE", "DESCRIPTION"];
    session
        .console
        .print(render::table_with_text(&session.console, &head, rows))?;
    Ok(())
}
