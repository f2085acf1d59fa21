//! What to do about a registry or a lock that is not as it should be.

use std::path::Path;

use super::shell_quoted;
use crate::ErrorKind;
use crate::cli::session::Session;
use crate::error::LockProblem;
use crate::lock::DEFAULT_FILE;

/// About registries, of a source or of the user's own, and what they should have.
pub(super) fn about_registries(session: &Session, kind: &ErrorKind) -> Option<String> {
    let path = &session.path;
    let variable = |suffix| session.mount.config.variable(suffix);
    Some(match kind {
        ErrorKind::NotPublishable { .. } => format!(
            "'{path} registry status' shows how to fix it; '{path} registry sync' registers what \
             has changed"
        ),
        ErrorKind::RegistryTooLarge { .. } => "keep only the N highest versions of each model \
             with --keep-versions N, or raise the limit with --max-size"
            .into(),
        ErrorKind::DamagedRegistry { .. } => "restore it from version control or a copy; to \
             start over, move it and its backup away"
            .into(),
        ErrorKind::DamagedTarget { .. } => {
            "restore it from a copy, or publish everything again at another place".into()
        }
        ErrorKind::DamagedCache { .. } => format!("'{path} sync' replaces it"),
        ErrorKind::OriginUnknown { .. } => {
            format!("pull the model again with '{path} pull --force MODEL'")
        }
        ErrorKind::NotSynced {
            source_name,
            references,
            source,
        } => {
            let reference = references.first().map(|name| format!(" --ref {name}"));
            let reference = reference.unwrap_or_default();
            let sync = format!("'{path} sync --source {source_name}{reference}'");
            match source {
                Some(_) => format!("once that is corrected, fetch it with {sync}"),
                None => format!(
                    "fetch it with {sync}, or set {}=1 to sync whenever it is necessary",
                    variable("AUTO_SYNC")
                ),
            }
        }
        ErrorKind::IndexNotFound { origin, .. } => match origin {
            Some(origin) => format!("check the URL in {origin}"),
            None => "check the folder or URL that was given: a registry has a models.json there; a layout of \
                 artifacts is written oci-layout:DIR"
                .into(),
        },
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. } => match &session.lock {
            Some(lock) => lock_or_source(path, lock),
            None => "the files on the server are damaged or have changed: tell the operator of the source"
                .into(),
        },
        ErrorKind::NoSource => session.how_to_add_a_source(),
        _ => return None,
    })
}

/// About locks.
pub(super) fn about_locks(session: &Session, kind: &ErrorKind) -> Option<String> {
    let path = &session.path;
    Some(match kind {
        ErrorKind::LockStale { .. } => format!(
            "'{path} lock --check' tells what has changed, '{path} lock' locks that; '{path} pull \
             --frozen' pulls what is locked"
        ),
        ErrorKind::UnusableLock { problem, .. } => match problem {
            LockProblem::Missing => format!(
                "'{path} lock' writes one of all that is installed, '{path} lock MODEL' one of a model"
            ),
            LockProblem::Unmerged => format!(
                "resolve the conflict, or keep one side and add what the other has with '{path} lock MODEL'"
            ),
            LockProblem::LaterVersion => format!(
                "use the version of the program that wrote it, or a later one; or move it away and lock again with \
                 '{path} lock MODEL'"
            ),
            LockProblem::Malformed => format!(
                "restore it from version control, or move it away and lock again with '{path} lock MODEL'"
            ),
        },
        _ => return None,
    })
}

/// What to do where bytes are not what a lock says.
fn lock_or_source(path: &str, lock: &Path) -> String {
    let (lock, file) = (lock.display(), lock != Path::new(DEFAULT_FILE));
    let file = match file {
        true => format!(" --file {}", shell_quoted(&lock.to_string())),
        false => String::new(),
    };
    format!(
        "the digest in {lock} is wrong, or the files on the server are: '{path} lock --check{file}' tells whether they are \
         offered as they are locked; if so, tell the operator of the source"
    )
}
