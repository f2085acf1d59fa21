//! `list`: list installed models, or what the sources offer.

use std::cell::LazyCell;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{ArgMatches, Command};
use serde::Serialize;

use super::args::{self, flag, is_set, option, positional, string, text};
use super::failure::CliResult;
use super::offers::{Detail, Offers, SOURCES, note_not_shown, print_offers};
use super::render::or_dash;
use super::selection::{self, Selection};
use super::session::Session;
use super::table::Table;
use super::{Mount, render};
use crate::installed::{InstalledModel, Listing, PartialModel, Status};
use crate::remote::Example;
use crate::{ListOptions, ModelRef, RemoteOptions};

const STATUS: &str = "modelrack_status";
const EXAMPLES_FLAG: &str = "modelrack_examples";
const STATUSES: [Status; 6] = [
    Status::Available,
    Status::Pending,
    Status::Downloading,
    Status::Error,
    Status::Deleted,
    Status::Unverified,
];

/// The words of the table for pulls that are not running.
const INTERRUPTED: [&str; 2] = ["interrupted", "failed"];

pub(super) const EXAMPLES: &str = "
    list                                           installed models and unfinished pulls
    list --remote                                  models that can be pulled; many are summed up
    list --remote --all                            each of them
    list --remote --source mf6/test --ref develop  the models of one branch
    list --filter 'size>1GB' --filter 'age>30d'    large and old ones
    list --remote --sort size --limit 10           the ten largest
    list --quiet                                   only names
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let value = |status: Status| match status {
        Status::Error => PossibleValue::new(status.as_str()).aliases(INTERRUPTED),
        _ => PossibleValue::new(status.as_str()),
    };
    let statuses = PossibleValuesParser::new(STATUSES.map(value));
    command
        .about("List installed models, or the models that can be pulled")
        .args([
            positional(args::NAME, "NAME").help("Only this model, or the models of this group"),
            flag(args::REMOTE).help("List the models that the sources offer"),
            flag(args::ALL)
                .help("List each model on a terminal, however many there are")
                .requires(args::REMOTE),
            args::source(mount),
            args::reference(mount, "Only models of this ref"),
            args::model_type(),
            option(STATUS, "STATUS")
                .help("Only models with this status")
                .value_parser(statuses)
                .conflicts_with(args::REMOTE),
            flag(EXAMPLES_FLAG)
                .help("List the examples of the registries, with their models")
                .conflicts_with_all([STATUS, args::TYPE]),
        ])
        .args(selection::options().map(|option| option.conflicts_with(EXAMPLES_FLAG)))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let name = text(matches, args::NAME);
    let reference = string(matches, args::REF);
    let mut options = RemoteOptions::default()
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    options.source = string(matches, args::SOURCE);
    options.reference = reference.clone();
    options.model_type = string(matches, args::TYPE);
    if is_set(matches, EXAMPLES_FLAG) {
        let mut examples = session.manager.examples(&options)?;
        examples.retain(|example| is_below(&example.name, name));
        let print = || print_examples(session, &examples);
        return session.show_list("examples", &examples, print);
    }
    let mut selection = Selection::new(matches);
    if is_set(matches, args::REMOTE) {
        let mut listing = session.metered_as(SOURCES, |_| session.manager.list_remote(&options))?;
        let models = &mut listing.models;
        models.retain(|remote| is_named(&remote.model, name));
        selection.apply(models);
        let is_each = name.is_some() || is_set(matches, args::ALL) || selection.is_limited();
        let detail = match is_each {
            true => Detail::Each,
            false => Detail::SumsOfMany,
        };
        let offers = Offers {
            models,
            failures: &listing.failures,
            not_shown: selection.not_shown,
        };
        return print_offers(session, &offers, detail);
    }
    let status = text(matches, STATUS);
    let mut statuses = STATUSES.into_iter();
    let options = ListOptions {
        source: options.source,
        model_type: options.model_type,
        status: statuses.find(|known| {
            Some(known.as_str()) == status
                || (*known == Status::Error && status.is_some_and(|it| INTERRUPTED.contains(&it)))
        }),
        ..ListOptions::default()
    };
    let mut listing = session.manager.list(&options)?;
    let is_wanted = |model: &ModelRef| {
        let wanted = reference.as_deref();
        wanted.is_none_or(|wanted| model.version() == wanted) && is_named(model, name)
    };
    listing.models.retain(|model| is_wanted(&model.model));
    listing.partials.retain(|partial| is_wanted(&partial.model));
    selection.apply(&mut listing.models);
    selection.apply(&mut listing.partials);
    let filters = [args::NAME, args::SOURCE, args::REF, args::TYPE, STATUS];
    let is_filtered = filters.iter().any(|id| text(matches, id).is_some());
    let is_filtered = is_filtered || selection.is_filtered();
    let shown = Shown {
        listing: &listing,
        not_shown: selection.not_shown,
    };
    session.show(&shown, || {
        print_installed(session, &listing, is_filtered)?;
        note_not_shown(session, selection.not_shown);
        Ok(())
    })
}

/// What of the store is shown.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    listing: &'a Listing,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_shown: Option<usize>,
}

/// Returns whether a model has this name, or belongs to the group of this name.
fn is_named(model: &ModelRef, name: Option<&str>) -> bool {
    name.is_none() || is_below(&model.name().to_string(), name)
}

fn is_below(full: &str, name: Option<&str>) -> bool {
    let rest = name.map_or(Some(""), |name| full.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Prints examples, each with its models in the order in which they are run.
fn print_examples(session: &Session, examples: &[Example]) -> CliResult {
    let rows = examples.iter().map(|example| {
        let models = example.models.iter().map(|model| model.name().to_string());
        let models: Vec<String> = models.collect();
        [
            example.name.clone(),
            example.reference.clone(),
            models.join(" "),
        ]
    });
    Table::new(["EXAMPLE", "REF", "MODELS"], rows)
        .named_by(1)
        .cut()
        .or_note("No cached registry has examples.")
        .print(session)
}

pub(super) fn print_installed(
    session: &Session,
    listing: &Listing,
    is_filtered: bool,
) -> CliResult {
    let what = match is_filtered {
        true => "No installed model matches.",
        false => "No model is installed.",
    };
    let path = &session.path;
    let nothing = format!("{what} '{path} list --remote' shows what is offered.");
    // A configuration that cannot be read does not keep the store from being listed.
    let sources = LazyCell::new(|| session.manager.sources().unwrap_or_default());
    let name_of = |key: &str| {
        let source = sources.iter().find(|source| source.key == key);
        source.map_or_else(|| key.to_owned(), |source| source.name.clone())
    };
    let row = |model: &ModelRef, status: String, size, time, source: &Option<String>| {
        [
            model.name().to_string(),
            model.version().to_owned(),
            status,
            size,
            session.when(time),
            or_dash(source.as_deref().map(name_of).as_deref()),
        ]
    };
    let installed = listing.models.iter().map(|of| {
        let size = render::size(of.total_bytes);
        let is_selection = !(of.include.is_empty() && of.exclude.is_empty());
        let status = match (of.status.as_str(), is_selection) {
            (status, false) => status.to_owned(),
            // On a terminal, room for the size.
            ("available", true) if session.console.out_is_terminal => "some files".to_owned(),
            (status, true) => format!("{status} (some files)"),
        };
        row(&of.model, status, size, of.installed_at, &of.source)
    });
    // What an update left is no model of its own.
    let is_installed = |model: &ModelRef| listing.models.iter().any(|of| of.model == *model);
    let is_row = |of: &&PartialModel| of.status != Status::Error || !is_installed(&of.model);
    let partials = listing.partials.iter().filter(|_| !session.output.quiet);
    let partials: Vec<&PartialModel> = partials.filter(is_row).collect();
    let unfinished = partials.iter().map(|of| {
        let status = state(of).to_owned();
        row(&of.model, status, downloaded(of), of.touched_at, &of.source)
    });
    let head = ["MODEL", "VERSION", "STATUS", "SIZE", "SINCE", "SOURCE"];
    Table::new(head, installed.chain(unfinished))
        .named_by(2)
        .state(2)
        .cut()
        .or_note(nothing)
        .print(session)?;
    session.sum_up(&sums(path, listing, &partials))
}

/// Describes how many models there are, and how to complete those that are not whole.
fn sums(path: &str, listing: &Listing, partials: &[&PartialModel]) -> Vec<String> {
    let mut counts = Vec::new();
    if !listing.models.is_empty() {
        let size = listing.models.iter().map(|of| of.total_bytes).sum();
        let models = render::count(listing.models.len(), "model");
        counts.push(format!("{models}, {}", render::size(size)));
    }
    let (unfinished, running): (Vec<&PartialModel>, Vec<_>) =
        partials.iter().partition(|of| of.status == Status::Error);
    for (number, state) in [
        (running.len(), "being pulled"),
        (unfinished.len(), "unfinished"),
    ] {
        if number > 0 {
            counts.push(format!("{number} {state}"));
        }
    }
    let mut lines = Vec::new();
    if !counts.is_empty() {
        lines.push(counts.join("; "));
    }
    // What somebody made by hand is at no source.
    let unfinished = unfinished.iter().filter(|of| of.source.is_some());
    let unfinished = unfinished.map(|of| &of.model);
    lines.extend(remedy(path, unfinished, "resumes", "unfinished pull"));
    let is_deleted = |of: &&InstalledModel| of.status == Status::Deleted && !of.made_by_hand;
    let deleted = listing.models.iter().filter(is_deleted);
    let deleted = deleted.map(|of| &of.model);
    lines.extend(remedy(path, deleted, "restores", "deleted folder"));
    lines
}

/// Says which command makes models whole that are not.
fn remedy<'a>(
    path: &str,
    mut models: impl Iterator<Item = &'a ModelRef>,
    does: &str,
    what: &str,
) -> Option<String> {
    let first = models.next()?;
    Some(match models.next() {
        None => format!("'{path} pull {first}' {does} the {what}"),
        Some(_) => format!("'{path} pull MODEL VERSION' {does} one of the {what}s"),
    })
}

/// Returns the word for how a pull is getting on. Nothing is wrong with one that was stopped, or killed.
fn state(partial: &PartialModel) -> &'static str {
    match (partial.status, &partial.last_error) {
        (Status::Error, None) => "interrupted",
        (Status::Error, Some(_)) => "failed",
        (status, _) => status.as_str(),
    }
}

/// Describes how much of an unfinished pull is downloaded.
pub(super) fn downloaded(partial: &PartialModel) -> String {
    let done = render::size(partial.bytes_done);
    match (partial.total_bytes, partial.files) {
        (Some(total), _) => format!("{done} of {}", render::size(total)),
        (None, Some(files)) => format!("{done} of {}", render::count(files, "file")),
        (None, None) => done,
    }
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
            assert_eq!(downloaded(&partial), expected);
        }
    }
}
