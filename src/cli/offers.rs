//! Printing what sources offer, for `list --remote` and `search --remote`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::ending::{reported, show};
use super::failure::CliResult;
use super::render::{self, or_dash};
use super::session::Session;
use super::table::{Table, print_plain};
use crate::error::chain;
use crate::remote::{Facts, LocalState, RegistryFailure, RemoteModel};
use crate::{Error, ErrorKind};

/// What sources offer, and what could not be read of it.
#[derive(Serialize)]
pub(super) struct Offers<'a> {
    pub(super) models: &'a [RemoteModel],
    pub(super) failures: &'a [RegistryFailure],
    /// How many models a limit leaves out, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_shown: Option<usize>,
}

/// How much is printed of many offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// A row for each.
    Each,
    /// A row for each source and ref, on a terminal.
    SumsOfMany,
}

/// What is said while sources that take long are asked.
pub(super) const SOURCES: &str = "Looking up what the sources offer";

/// More offers than this are many.
const MANY: usize = 50;

/// Prints offers, and the registries that could not be read. A registry that failed decides how the command ends; one that
/// was never synced does not.
pub(super) fn print_offers(session: &Session, offers: &Offers<'_>, detail: Detail) -> CliResult {
    let Offers {
        models, failures, ..
    } = *offers;
    let errors = failures.iter().map(|failure| &failure.error);
    show(session, offers, errors.clone(), || {
        let is_for_people = session.console.out_is_terminal && !session.output.quiet;
        match detail == Detail::SumsOfMany && models.len() > MANY && is_for_people {
            true => print_sums(session, models),
            false => print_table(session, models),
        }?;
        note_not_shown(session, offers.not_shown);
        note_failures(session, failures);
        Ok(())
    })?;
    let is_unsynced =
        |error: &&Error| matches!(error.kind(), ErrorKind::NotSynced { source: None, .. });
    reported(errors.filter(|error| !is_unsynced(error)))
}

fn print_table(session: &Session, models: &[RemoteModel]) -> CliResult {
    // Versions of a model often share what is said about them.
    let (mut said, mut facts) = ("", Facts::default());
    let rows = models.iter().map(|remote| {
        let state = match remote.local {
            LocalState::Current => "installed",
            LocalState::Outdated => "update",
            _ => "-",
        };
        if !std::ptr::eq(said, remote.metadata.json()) {
            said = remote.metadata.json();
            facts = remote.metadata.facts();
        }
        let alias = remote.alias_of.as_ref().map(|target| format!("= {target}"));
        [
            remote.model.name().to_string(),
            remote.model.version().to_owned(),
            state.to_owned(),
            or_dash(remote.total_bytes.map(render::size).as_deref()),
            or_dash(facts.model_type.as_deref()),
            or_dash(alias.as_deref().or(facts.description.as_deref())),
        ]
    });
    let is_for_programs = session.output.quiet || !session.console.out_is_terminal;
    if is_for_programs && !models.is_empty() {
        return print_plain(session, 2, rows);
    }
    let head = ["MODEL", "VERSION", "STATE", "SIZE", "TYPE", "DESCRIPTION"];
    Table::new(head, rows)
        .named_by(2)
        .state(2)
        .cut()
        .or_note("No source offers such a model.")
        .print(session)?;
    match models {
        [] => Ok(()),
        models => session.sum_up(&[Sum::of(models).to_string()]),
    }
}

/// How many offers there are, and what is installed of them.
#[derive(Default)]
struct Sum {
    models: usize,
    installed: usize,
    updates: usize,
}

impl Sum {
    fn of(models: &[RemoteModel]) -> Self {
        let mut sum = Self::default();
        models.iter().for_each(|remote| sum.add(remote));
        sum
    }

    fn add(&mut self, remote: &RemoteModel) {
        self.models += 1;
        self.installed += usize::from(remote.local != LocalState::Absent);
        self.updates += usize::from(remote.local == LocalState::Outdated);
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render::count(self.models, "model"))?;
        if self.installed > 0 {
            write!(f, ", {} installed", self.installed)?;
        }
        if self.updates > 0 {
            write!(f, ", {} with an update", self.updates)?;
        }
        Ok(())
    }
}

/// Prints how much each source offers, by ref where it has refs.
fn print_sums(session: &Session, models: &[RemoteModel]) -> CliResult {
    let sources = session.manager.sources()?;
    let place = |key: &str| sources.iter().position(|source| source.key == key);
    let mut sums: BTreeMap<(Option<usize>, &str, Option<&str>), Sum> = BTreeMap::new();
    for remote in models {
        let place = place(&remote.source);
        let has_refs = place.is_some_and(|place| !sources[place].refs.is_empty());
        let reference = has_refs.then(|| remote.model.version());
        let sum = sums.entry((place, &remote.source, reference));
        sum.or_default().add(remote);
    }
    let or_none = |number: usize| {
        if number == 0 {
            "-".to_owned()
        } else {
            number.to_string()
        }
    };
    let rows = sums.iter().map(|((place, key, reference), sum)| {
        let label = place.map_or_else(|| (*key).to_owned(), |place| sources[place].label());
        [
            label,
            or_dash(*reference),
            sum.models.to_string(),
            or_none(sum.installed),
            or_none(sum.updates),
        ]
    });
    let head = ["SOURCE", "REF", "MODELS", "INSTALLED", "UPDATES"];
    Table::new(head, rows).named_by(1).print(session)?;
    let path = &session.path;
    session.sum_up(&[
        Sum::of(models).to_string(),
        format!("'{path} list --remote NAME' lists those of a group, and --all all of them"),
    ])
}

/// Says how many rows a limit leaves out.
pub(super) fn note_not_shown(session: &Session, number: Option<usize>) {
    if let Some(number @ 1..) = number {
        let models = render::count(number, "more model");
        session.note(format!("{models} not shown"));
    }
}

fn note_failures(session: &Session, failures: &[RegistryFailure]) {
    let mut unsynced = Vec::new();
    for failure in failures {
        match failure.error.kind() {
            ErrorKind::NotSynced {
                source_name,
                references,
                source: None,
            } if references.is_empty() => unsynced.push(source_name.clone()),
            ErrorKind::NotSynced {
                source_name,
                references,
                source: None,
            } => {
                let refs = references.iter();
                unsynced.extend(refs.map(|name| render::source_at_ref(source_name, Some(name))));
            }
            _ => session.warning(chain(&failure.error)),
        }
    }
    if !unsynced.is_empty() {
        let (unsynced, path) = (unsynced.join(", "), &session.path);
        session.note(format!(
            "Not synced: {unsynced}. Run '{path} sync' to fetch the registries."
        ));
    }
}
