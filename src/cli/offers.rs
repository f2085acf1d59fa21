//! Printing what sources offer, for `list --remote` and `search --remote`.

use serde::Serialize;

use super::ending::{CliResult, reported};
use super::render::{self, or_dash};
use super::session::Session;
use super::table::Table;
use crate::ErrorKind;
use crate::error::chain;
use crate::remote::{LocalState, RegistryFailure, RemoteModel};

#[derive(Serialize)]
struct Offers<'a> {
    models: &'a [RemoteModel],
    failures: &'a [RegistryFailure],
}

/// Prints offers, and the registries that could not be read. A registry that failed decides how the command ends; one that
/// was never synced does not.
pub(super) fn print_offers(
    session: &Session,
    models: &[RemoteModel],
    failures: &[RegistryFailure],
) -> CliResult {
    session.show(&Offers { models, failures }, || {
        print_table(session, models)?;
        note_failures(session, failures);
        Ok(())
    })?;
    let errors = failures.iter().map(|failure| &failure.error);
    reported(
        errors.filter(|error| !matches!(error.kind(), ErrorKind::NotSynced { source: None, .. })),
    )
}

fn print_table(session: &Session, models: &[RemoteModel]) -> CliResult {
    let rows = models.iter().map(|remote| {
        let state = match remote.local {
            LocalState::Current => "installed",
            LocalState::Outdated => "update",
            _ => "-",
        };
        let facts = remote.metadata.facts();
        let alias = remote.alias_of.as_ref().map(|target| format!("= {target}"));
        [
            remote.model.name().to_string(),
            remote.model.version().to_owned(),
            state.to_owned(),
            or_dash(remote.total_bytes.map(render::size).as_deref()),
            or_dash(facts.model_type.as_deref()),
            or_dash(alias.or(facts.description).as_deref()),
        ]
    });
    let head = ["MODEL", "VERSION", "STATE", "SIZE", "TYPE", "DESCRIPTION"];
    Table::new(head, rows)
        .named_by(2)
        .cut()
        .or_note("No source offers such a model.")
        .print(session)
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
