//! What to do about this machine: its disks, and other processes.

use std::path::Path;

use crate::ErrorKind;
use crate::cli::session::Session;
use crate::settings::Settings;

/// About places to write to.
pub(super) fn about_machine(session: &Session, kind: &ErrorKind) -> Option<String> {
    let path = &session.path;
    let variable = |suffix| session.mount.config.variable(suffix);
    let folder = format!(
        "{} or, for cached registries, {}",
        variable("DIR"),
        variable("CACHE_DIR")
    );
    let is_registry = session.verb == "registry";
    Some(match kind {
        ErrorKind::InsufficientSpace { .. } if is_registry => {
            "free some space and try again: the registry is unchanged".into()
        }
        ErrorKind::InsufficientSpace { path, .. } if is_of_user(session, path) => {
            "free some space there and try again, or choose another place".into()
        }
        ErrorKind::InsufficientSpace { .. } => format!(
            "free some space with '{path} remove' or '{path} prune', or set {folder} to another place"
        ),
        ErrorKind::Permission { action, path, .. }
            if *action == "read" && !is_ours(session, path) =>
        {
            "ask whoever owns it for permission to read it".into()
        }
        ErrorKind::Permission { path, .. } if is_registry || is_of_user(session, path) => {
            "choose a folder that you may write to".into()
        }
        ErrorKind::Permission { .. } => {
            format!("set {folder} to a folder that you may write to")
        }
        ErrorKind::Locked { .. } => "wait for the other process, or stop it, and try again".into(),
        _ => return None,
    })
}

/// Whether a path is one that the user named to write to.
fn is_of_user(session: &Session, path: &Path) -> bool {
    matches!(session.verb, "copy" | "lock" | "mirror") && !is_ours(session, path)
}

/// Whether a path is one of the store or of the cached registries, which variables move.
fn is_ours(session: &Session, path: &Path) -> bool {
    let is_ours = |settings: Settings| {
        path.starts_with(settings.store_dir) || path.starts_with(settings.cache_dir)
    };
    session.settings().is_some_and(is_ours)
}
