//! What the user can do about an error.

mod access;
mod machine;
mod names;
mod network;
mod registries;

use super::session::Session;
use crate::{Error, ErrorKind};

/// What says something about errors of some kinds.
type About = fn(&Session, &ErrorKind) -> Option<String>;

/// Each has kinds of its own.
const ABOUT: [About; 7] = [
    names::about_names,
    registries::about_registries,
    registries::about_locks,
    network::about_requests,
    network::about_connections,
    access::about_access,
    machine::about_machine,
];

/// Returns what the user can do about an error.
pub(super) fn hint(session: &Session, error: &Error) -> Option<String> {
    ABOUT.iter().find_map(|about| about(session, error.kind()))
}

/// Quotes a word that a shell would take apart.
pub(in crate::cli) fn shell_quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}
