//! `list`: what is installed, or what the sources offer.

use std::collections::HashMap;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};

use super::args::{self, is_set, text};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, json, render};
use crate::{Digest, ListOptions, Listing, ModelRef, RemoteModel, RemoteOptions, Status};

const NAME: &str = "modelrack_name";
const STATUS: &str = "modelrack_status";
const STATUSES: [Status; 3] = [Status::Available, Status::Downloading, Status::Error];

pub(super) fn command(mount: &Mount) -> Command {
    Command::new("list")
        .visible_alias("ls")
        .about("List installed models, or what there is to pull")
        .arg(
            Arg::new(NAME)
                .value_name("NAME")
                .help("Only this model, or the models of this group"),
        )
        .arg(args::remote("List what the sources offer"))
        .arg(args::source())
        .arg(args::model_type())
        .arg(
            args::option(STATUS, "status", "STATUS", "Only with this status")
                .value_parser(PossibleValuesParser::new(STATUSES.map(Status::as_str)))
                .conflicts_with(args::REMOTE),
        )
        .after_help(args::examples(
            mount,
            &[
                ("list", "what is installed, and unfinished pulls"),
                ("list --remote", "what there is to pull"),
                ("list --quiet", "names only"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let source = text(matches, args::SOURCE).map(str::to_owned);
    let model_type = text(matches, args::TYPE).map(str::to_owned);
    let name = text(matches, NAME);
    if is_set(matches, args::REMOTE) {
        let options = RemoteOptions::default()
            .source(source)
            .model_type(model_type)
            .offline(session.output.offline)
            .cancel(session.cancel.clone());
        let mut remote = session.manager.list_remote(&options)?;
        remote.retain(|remote| is_named(&remote.model, name));
        return print_remote(session, &remote);
    }
    let wanted = text(matches, STATUS);
    let status = STATUSES
        .into_iter()
        .find(|status| Some(status.as_str()) == wanted);
    let options = ListOptions::default()
        .source(source)
        .model_type(model_type)
        .status(status);
    let mut listing = session.manager.list(&options)?;
    listing.models.retain(|model| is_named(&model.model, name));
    listing
        .partials
        .retain(|partial| is_named(&partial.model, name));
    print_installed(session, &listing, matches)
}

/// Whether a model is the one named, or belongs to the group named.
fn is_named(model: &ModelRef, name: Option<&str>) -> bool {
    let Some(name) = name else { return true };
    let full = model.name().to_string();
    full == name
        || full
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('/'))
}

fn print_installed(session: &Session, listing: &Listing, matches: &ArgMatches) -> CliResult {
    if session.output.json {
        return session.json(&json::List::from(listing));
    }
    if session.output.quiet {
        return print_names(session, listing.models.iter().map(|model| &model.model));
    }
    if listing.models.is_empty() && listing.partials.is_empty() {
        let filtered = [NAME, args::SOURCE, args::TYPE, STATUS]
            .iter()
            .any(|id| text(matches, id).is_some());
        let path = &session.path;
        let what = if filtered {
            "No installed model matches."
        } else {
            "No model is installed."
        };
        session.note(format!(
            "{what} '{path} list --remote' shows what there is."
        ));
        return Ok(());
    }
    let mut rows: Vec<Vec<String>> = listing
        .models
        .iter()
        .map(|model| {
            vec![
                model.model.name().to_string(),
                model.model.version().to_owned(),
                Status::Available.as_str().to_owned(),
                render::size(model.total_bytes),
                render::time(model.installed_at),
            ]
        })
        .collect();
    rows.extend(listing.partials.iter().map(|partial| {
        vec![
            partial.model.name().to_string(),
            partial.model.version().to_owned(),
            partial.status.as_str().to_owned(),
            format!(
                "{} of {}",
                render::size(partial.bytes_done),
                render::size(partial.total_bytes)
            ),
            render::time(partial.touched_at),
        ]
    }));
    session.console.print(render::table(
        &session.console,
        &["MODEL", "VERSION", "STATUS", "SIZE", "SINCE"],
        &rows,
    ))?;
    Ok(())
}

/// Prints offers; those that are installed in just that state are marked.
pub(super) fn print_remote(session: &Session, remote: &[RemoteModel]) -> CliResult {
    if session.output.quiet && !session.output.json {
        return print_names(session, remote.iter().map(|remote| &remote.model));
    }
    let installed: HashMap<ModelRef, Digest> = session
        .manager
        .list(&ListOptions::default())?
        .models
        .into_iter()
        .map(|model| (model.model, model.manifest_digest))
        .collect();
    let state = |remote: &RemoteModel| {
        installed
            .get(&remote.model)
            .map(|digest| *digest == remote.manifest_digest)
    };
    if session.output.json {
        let models = remote
            .iter()
            .map(|remote| json::Remote::new(remote, state(remote).is_some()))
            .collect();
        return session.json(&json::Models { models });
    }
    if remote.is_empty() {
        session.note("The sources offer no such model.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = remote
        .iter()
        .map(|remote| {
            let state = match state(remote) {
                Some(true) => "installed",
                Some(false) => "update",
                None => "-",
            };
            let facts = remote.metadata.facts();
            let alias = remote.alias_of.as_ref().map(|target| format!("= {target}"));
            vec![
                remote.model.name().to_string(),
                remote.model.version().to_owned(),
                state.to_owned(),
                facts.model_type.unwrap_or_else(|| "-".into()),
                alias.or(facts.description).unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    let head = ["MODEL", "VERSION", "STATE", "TYPE", "DESCRIPTION"];
    session
        .console
        .print(render::table(&session.console, &head, &rows))?;
    Ok(())
}

/// Prints `group/model version`, one a line and nothing else.
pub(super) fn print_names<'a>(
    session: &Session,
    models: impl Iterator<Item = &'a ModelRef>,
) -> CliResult {
    session.console.with_out(|out| {
        for model in models {
            writeln!(out, "{}", render::safe(&model.to_string()))?;
        }
        Ok(())
    })?;
    Ok(())
}
