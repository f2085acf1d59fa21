//! Turns an error into a message, a hint and an exit code.

use std::error::Error as _;

use clap::builder::styling::AnsiColor;
use serde_json::json;

use super::ending::{CliError, CliResult};
use super::render::safe;
use super::session::Session;
use crate::error::{AuthFailure, chain};
use crate::{Error, ErrorKind};

/// The exit code for invalid arguments.
pub(super) const INVALID_ARGUMENT: u8 = 2;
/// The exit code for damaged files.
const DAMAGED: u8 = 6;
/// The exit code for a failing disk or output.
const STORAGE: u8 = 7;
/// The exit code for a project with errors.
pub(super) const NOT_PUBLISHABLE: u8 = 9;

/// Returns the exit code of a kind of error, as the documentation lists them.
pub(super) fn exit_code(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidRef { .. } | ErrorKind::InvalidArgument { .. } => INVALID_ARGUMENT,
        ErrorKind::ModelNotFound { .. }
        | ErrorKind::VersionNotFound { .. }
        | ErrorKind::NotRegistered { .. } => 3,
        ErrorKind::NotInstalled { .. } => 4,
        ErrorKind::Network { .. }
        | ErrorKind::IndexNotFound { .. }
        | ErrorKind::Offline { .. }
        | ErrorKind::RateLimited { .. } => 5,
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. } => DAMAGED,
        ErrorKind::Storage { .. }
        | ErrorKind::FolderMissing { .. }
        | ErrorKind::Exists { .. }
        | ErrorKind::Collision { .. }
        | ErrorKind::InsufficientSpace { .. }
        | ErrorKind::Permission { .. } => STORAGE,
        ErrorKind::Authentication { .. } => 8,
        ErrorKind::NotPublishable { .. } => NOT_PUBLISHABLE,
        ErrorKind::Cancelled => 130,
        ErrorKind::Several { errors, .. } => {
            errors.first().map_or(1, |first| exit_code(first.kind()))
        }
        _ => 1,
    }
}

/// Prints how a command ended, and returns its exit code.
pub(super) fn report(session: &Session, result: CliResult) -> u8 {
    let error = match result {
        Ok(()) | Err(CliError::ClosedPipe) => return 0,
        Err(CliError::Declined) => {
            session.console.note("Nothing was changed.");
            return 1;
        }
        Err(CliError::Reported { exit }) => return exit,
        Err(CliError::Damaged) => {
            if !session.output.json {
                let advice = format!("repair them with '{} verify --repair'", session.path);
                if !session.output.quiet {
                    session.console.note(hint(session, &advice));
                }
            }
            return DAMAGED;
        }
        Err(CliError::Output(error)) => {
            session
                .console
                .note(format!("{}: cannot print: {error}", session.app));
            return STORAGE;
        }
        Err(CliError::Unconfirmed { question }) => Error::argument(format!(
            "cannot ask '{question}' without a terminal: pass -y to answer yes"
        )),
        Err(CliError::Library(error)) => error,
    };
    let advice = advice(session, &error);
    if session.output.json {
        print_json(session, &error, advice.as_deref());
    } else {
        let label = label(session);
        let text = match error.kind() {
            // One on each line, as `status` prints them.
            ErrorKind::NotPublishable { findings } if findings.len() > 1 => {
                let lines = findings
                    .iter()
                    .map(|finding| format!("\n  {}", safe(finding)));
                format!("cannot publish the project:{}", lines.collect::<String>())
            }
            _ => safe(&chain(&error)),
        };
        session.console.note(format!("{label} {text}"));
        if let ErrorKind::Several { errors, .. } = error.kind() {
            // The first is in the line above.
            for error in errors.iter().skip(1) {
                session
                    .console
                    .note(format!("{label} {}", safe(&chain(error))));
            }
        }
        if let Some(advice) = advice {
            session.console.note(hint(session, &advice));
        }
    }
    exit_code(error.kind())
}

fn label(session: &Session) -> String {
    let name = session.path.rsplit(' ').next().unwrap_or("models");
    session.paint(AnsiColor::Red, &format!("{name}:"))
}

fn hint(session: &Session, advice: &str) -> String {
    let label = session.paint(AnsiColor::Cyan, "hint:");
    format!("{label} {}", safe(advice))
}

fn print_json(session: &Session, error: &Error, hint: Option<&str>) {
    let document = json!({
        "error": {
            "code": error.code(),
            "message": chain(error),
            "causes": causes(error),
            "hint": hint,
            "retry_after": error.retry_after().map(|wait| wait.as_secs()),
        }
    });
    // If even this cannot be printed, the exit code has to do.
    let _ = session
        .json(&document)
        .and_then(|()| Ok(session.console.flush()?));
}

/// Lists what `message` joins to one line: the steps below the first, what went wrong, and its causes.
fn causes(error: &Error) -> Vec<String> {
    let mut causes = match error.kind() {
        ErrorKind::NotPublishable { findings } => findings.clone(),
        _ => Vec::new(),
    };
    if let [_, below @ ..] = error.steps() {
        causes.extend_from_slice(below);
        causes.push(error.kind().to_string());
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        match inner.downcast_ref::<Error>() {
            Some(error) => {
                causes.extend_from_slice(error.steps());
                causes.push(error.kind().to_string());
            }
            None => causes.push(inner.to_string()),
        }
        cause = inner.source();
    }
    causes
}

/// What the commands that pull have in common.
const KEPT: &str = "the same command resumes where this one stopped";

/// Returns what the user can do about an error.
fn advice(session: &Session, error: &Error) -> Option<String> {
    let path = &session.path;
    let prefix = variable_prefix(&session.app);
    let goes_on = matches!(session.verb, "pull" | "update" | "copy" | "verify");
    let is_registry = session.verb == "registry";
    let or_near = |near: &[String], otherwise: String| match near {
        [] => otherwise,
        near => format!("did you mean {}?", near.join(" or ")),
    };
    Some(match error.kind() {
        ErrorKind::ModelNotFound {
            token_variable: Some(variable),
            ..
        } => format!(
            "the model does not exist or is private: set {variable} to a token that may read it, \
             or find others with '{path} search --remote WORDS'"
        ),
        ErrorKind::ModelNotFound { near, .. } => {
            or_near(near, format!("list all models with '{path} list --remote'"))
        }
        ErrorKind::NotRegistered { near, .. } => or_near(
            near,
            format!("list what is registered with '{path} registry list'"),
        ),
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
        ErrorKind::DamagedCache { .. } => format!("'{path} sync' replaces it"),
        ErrorKind::OriginUnknown { .. } => {
            format!("pull the model again with '{path} pull --force MODEL'")
        }
        ErrorKind::VersionNotFound {
            is_revision: true, ..
        } => "versions of this model are branches, tags, commits and pull requests, such as \
             refs/pr/1"
            .into(),
        ErrorKind::VersionNotFound { near, model, .. } => or_near(
            near,
            format!("list its versions with '{path} list --remote {model}'"),
        ),
        ErrorKind::NotInstalled { near, model } => {
            or_near(near, format!("install it with '{path} pull {model}'"))
        }
        ErrorKind::FolderMissing { model, .. } => {
            format!("restore it with '{path} pull {model}'")
        }
        ErrorKind::InvalidRef { choices, .. } if !choices.is_empty() => {
            format!("choose one of: {}", choices.join(", "))
        }
        ErrorKind::InvalidRef { .. } => {
            "name a model as group/model, with a version after a space or '@'".into()
        }
        ErrorKind::Offline { .. } => {
            format!("run the command without --offline, and with {prefix}_MODELS_OFFLINE unset")
        }
        ErrorKind::NotSynced {
            source_name,
            references,
        } => {
            let reference = references.first().map(|name| format!(" --ref {name}"));
            let reference = reference.unwrap_or_default();
            format!(
                "fetch it with '{path} sync --source {source_name}{reference}', or set \
                 {prefix}_MODELS_AUTO_SYNC=1 to sync whenever it is necessary"
            )
        }
        ErrorKind::IndexNotFound { .. } => "check the URL of the source".into(),
        ErrorKind::Network {
            status: Some(404 | 410),
            ..
        } => {
            "the registry lists a file that does not exist: tell the operator of the source".into()
        }
        ErrorKind::Network { .. } if goes_on => KEPT.into(),
        ErrorKind::Network { .. } => "try again later".into(),
        ErrorKind::RateLimited {
            token_variable: Some(variable),
            ..
        } => format!("set {variable} to a token to raise the limit, or try again later"),
        ErrorKind::RateLimited { .. } if goes_on => format!("try again later: {KEPT}"),
        ErrorKind::RateLimited { .. } => "try again later".into(),
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. } => {
            "the files on the server are damaged or have changed: tell the operator of the source"
                .into()
        }
        ErrorKind::InsufficientSpace { .. } if is_registry => {
            "free some space and try again: the registry is unchanged".into()
        }
        ErrorKind::InsufficientSpace { .. } => format!(
            "free some space with '{path} remove' or '{path} prune', or set {prefix}_MODELS_DIR \
             to another place"
        ),
        ErrorKind::Permission { .. } if is_registry => {
            "choose a folder that you may write to".into()
        }
        ErrorKind::Permission { .. } => {
            format!("set {prefix}_MODELS_DIR to a folder that you may write to")
        }
        ErrorKind::Locked { .. } => "wait for the other process, or stop it, and try again".into(),
        ErrorKind::Authentication {
            failure: AuthFailure::Gated,
            token_variable: Some(variable),
            ..
        } => format!(
            "accept the terms on the web page of the model, and set {variable} to your token"
        ),
        ErrorKind::Authentication {
            failure: AuthFailure::Gated,
            ..
        } => "accept the terms on the web page of the model".into(),
        ErrorKind::Authentication {
            token_variable: Some(variable),
            ..
        } => format!("set {variable} to a valid token with access"),
        ErrorKind::Authentication {
            failure: AuthFailure::Missing,
            ..
        } => {
            "add a user and password to the URL of the source: https://user:password@host/…".into()
        }
        ErrorKind::Authentication { .. } => "ask the operator of the source for access".into(),
        ErrorKind::NoSource => format!("set {prefix}_MODELS_REGISTRY_URL to the URL of a registry"),
        ErrorKind::Collision { .. } => format!("remove the other one first with '{path} remove'"),
        ErrorKind::Cancelled if goes_on => KEPT.into(),
        ErrorKind::Exists { .. } => "replace it with --force".into(),
        _ => return None,
    })
}

fn variable_prefix(app: &str) -> String {
    crate::Config::new(app)
        .variable("")
        .trim_end_matches("_MODELS_")
        .to_owned()
}
