//! `list`: what is installed, or what the sources offer.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use super::args::{self, is_set, text};
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, render};
use crate::error::chain;
use crate::installed::{Listing, PartialModel, Status};
use crate::remote::{Example, LocalState, RegistryFailure, RemoteModel};
use crate::{ErrorKind, ListOptions, ModelRef, RemoteOptions};

const NAME: &str = "modelrack_name";
const STATUS: &str = "modelrack_status";
const EXAMPLES: &str = "modelrack_examples";
const STATUSES: [Status; 5] = [
    Status::Available,
    Status::Pending,
    Status::Downloading,
    Status::Error,
    Status::Deleted,
];

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("List installed models, or what there is to pull")
        .arg(
            Arg::new(NAME)
                .value_name("NAME")
                .help("Only this model, or the models of this group"),
        )
        .arg(args::remote("List what the sources offer"))
        .arg(args::source(mount))
        .arg(args::reference(mount, "Only of this ref, as version"))
        .arg(args::model_type())
        .arg(
            args::option(STATUS, "status", "STATUS", "Only with this status")
                .value_parser(PossibleValuesParser::new(STATUSES.map(Status::as_str)))
                .conflicts_with(args::REMOTE),
        )
        .arg(
            args::flag(
                EXAMPLES,
                "examples",
                "List models that belong together, as their registries say",
            )
            .conflicts_with_all([STATUS, args::TYPE]),
        )
        .after_help(args::examples(
            mount,
            &[
                ("list", "what is installed, and unfinished pulls"),
                ("list --remote", "what there is to pull"),
                (
                    "list --remote --source mf6/test --ref develop",
                    "of one branch",
                ),
                ("list --quiet", "names only"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let source = text(matches, args::SOURCE).map(str::to_owned);
    let model_type = text(matches, args::TYPE).map(str::to_owned);
    let reference = text(matches, args::REF).map(str::to_owned);
    let name = text(matches, NAME);
    if is_set(matches, args::REMOTE) || is_set(matches, EXAMPLES) {
        let options = RemoteOptions::default()
            .source(source)
            .reference(reference)
            .model_type(model_type)
            .offline(session.output.offline)
            .cancel(session.cancel.clone());
        if is_set(matches, EXAMPLES) {
            let mut examples = session.manager.examples(&options)?;
            examples.retain(|example| is_below(&example.name, name));
            return print_examples(session, &examples);
        }
        let mut listing = session.manager.list_remote(&options)?;
        listing
            .models
            .retain(|remote| is_named(&remote.model, name));
        return print_remote(session, &listing.models, &listing.failures);
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
    let wanted = |model: &ModelRef| {
        let of_ref = reference
            .as_deref()
            .is_none_or(|reference| model.version() == reference);
        of_ref && is_named(model, name)
    };
    listing.models.retain(|model| wanted(&model.model));
    listing.partials.retain(|partial| wanted(&partial.model));
    print_installed(session, &listing, matches)
}

/// A document with offers, and the registries that could not be read.
#[derive(Serialize)]
struct Offers<'a> {
    models: &'a [RemoteModel],
    failures: &'a [RegistryFailure],
}

/// Whether a model is the one named, or belongs to the group named.
fn is_named(model: &ModelRef, name: Option<&str>) -> bool {
    name.is_none() || is_below(&model.name().to_string(), name)
}

fn is_below(full: &str, name: Option<&str>) -> bool {
    let Some(name) = name else { return true };
    full == name
        || full
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Prints examples, each with its models in the order to run them.
fn print_examples(session: &Session, examples: &[Example]) -> CliResult {
    if session.output.json {
        return session.json_list("examples", examples);
    }
    if session.output.quiet {
        let names = examples.iter().map(|example| render::safe(&example.name));
        let names: Vec<String> = names.collect();
        return Ok(session.console.print(names.join("\n"))?);
    }
    if examples.is_empty() {
        session.note("No synced registry names examples.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = examples
        .iter()
        .map(|example| {
            let models = example.models.iter().map(|model| model.name().to_string());
            let models: Vec<String> = models.collect();
            vec![
                example.name.clone(),
                example.reference.clone(),
                models.join(" "),
            ]
        })
        .collect();
    let head = ["EXAMPLE", "REF", "MODELS"];
    session
        .console
        .print(render::table(&session.console, &head, &rows))?;
    Ok(())
}

fn print_installed(session: &Session, listing: &Listing, matches: &ArgMatches) -> CliResult {
    if session.output.json {
        return session.json(listing);
    }
    if session.output.quiet {
        return print_names(session, listing.models.iter().map(|model| &model.model));
    }
    if listing.models.is_empty() && listing.partials.is_empty() {
        let filtered = [NAME, args::SOURCE, args::REF, args::TYPE, STATUS]
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
                model.status.as_str().to_owned(),
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
            how_far(partial),
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

/// How much of an unfinished pull is there, as far as its sizes are known.
fn how_far(partial: &PartialModel) -> String {
    let done = render::size(partial.bytes_done);
    match (partial.total_bytes, partial.files) {
        (Some(total), _) => format!("{done} of {}", render::size(total)),
        (None, Some(files)) => format!("{done} of {}", render::count(files, "file")),
        (None, None) => done,
    }
}

/// Prints offers, those that are installed marked, and what could not be read. A registry that failed decides how the
/// command ends; one that was merely never synced does not.
pub(super) fn print_remote(
    session: &Session,
    remote: &[RemoteModel],
    failures: &[RegistryFailure],
) -> CliResult {
    print_offers(session, remote, failures)?;
    if !session.output.json {
        note_failures(session, failures);
    }
    let is_unsynced = |error: &crate::Error| matches!(error.kind(), ErrorKind::NotSynced { .. });
    let mut errors = failures.iter().map(|failure| &failure.error);
    match errors.find(|error| !is_unsynced(error)) {
        Some(error) => Err(CliError::reported(error)),
        None => Ok(()),
    }
}

fn note_failures(session: &Session, failures: &[RegistryFailure]) {
    let mut unsynced = Vec::new();
    for failure in failures {
        match failure.error.kind() {
            ErrorKind::NotSynced {
                source_name,
                references,
            } => {
                let names = references
                    .iter()
                    .map(|name| format!("{source_name}@{name}"));
                unsynced.extend(names);
                if references.is_empty() {
                    unsynced.push(source_name.clone());
                }
            }
            _ => {
                let text = render::safe(&chain(&failure.error));
                session.note(format!("warning: {text}"));
            }
        }
    }
    if !unsynced.is_empty() {
        session.note(format!(
            "Not synced: {}. '{} sync' fetches what they list.",
            render::safe(&unsynced.join(", ")),
            session.path
        ));
    }
}

fn print_offers(
    session: &Session,
    remote: &[RemoteModel],
    failures: &[RegistryFailure],
) -> CliResult {
    if session.output.quiet && !session.output.json {
        return print_names(session, remote.iter().map(|remote| &remote.model));
    }
    if session.output.json {
        return session.json(&Offers {
            models: remote,
            failures,
        });
    }
    if remote.is_empty() {
        session.note("The sources offer no such model.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = remote
        .iter()
        .map(|remote| {
            let state = match remote.local {
                LocalState::Current => "installed",
                LocalState::Outdated => "update",
                _ => "-",
            };
            let facts = remote.metadata.facts();
            let alias = remote.alias_of.as_ref().map(|target| format!("= {target}"));
            vec![
                remote.model.name().to_string(),
                remote.model.version().to_owned(),
                state.to_owned(),
                remote.total_bytes.map_or_else(|| "-".into(), render::size),
                facts.model_type.unwrap_or_else(|| "-".into()),
                alias.or(facts.description).unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    let head = ["MODEL", "VERSION", "STATE", "SIZE", "TYPE", "DESCRIPTION"];
    session
        .console
        .print(render::table_with_text(&session.console, &head, rows))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_pull_shows_what_is_known() {
        let model = ModelRef::new("g", "m", "v").unwrap();
        let mut partial = PartialModel::new(model, Status::Error);
        for (bytes_done, total_bytes, files, expected) in [
            (2048, Some(5120), Some(3), "2.0 KB of 5.1 KB"),
            (2048, None, Some(3), "2.0 KB of 3 files"),
            (0, None, Some(1), "0 B of 1 file"),
            (0, None, None, "0 B"),
        ] {
            partial.bytes_done = bytes_done;
            partial.total_bytes = total_bytes;
            partial.files = files;
            assert_eq!(how_far(&partial), expected);
        }
    }
}
