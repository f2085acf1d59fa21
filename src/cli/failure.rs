//! From an error to a message, a hint and an exit code: the one place that decides them.

use std::error::Error as _;

use clap::builder::styling::AnsiColor;
use serde_json::json;

use super::ending::{CliError, CliResult};
use super::render::safe;
use super::session::Session;
use crate::error::AuthFailure;
use crate::error::chain;
use crate::remote::SourceKind;
use crate::{Error, ErrorKind};

/// The exit code when something is invalid that was typed.
pub(super) const INVALID_ARGUMENT: u8 = 2;
/// The exit code when files are damaged.
const DAMAGED: u8 = 6;
/// The exit code when the disk or the output fails.
const STORAGE: u8 = 7;
/// The exit code when a project has errors.
pub(super) const NOT_PUBLISHABLE: u8 = 9;

/// Returns the exit code of a kind of error, as the documentation lists them.
pub(super) fn exit_code(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidRef { .. } | ErrorKind::InvalidArgument { .. } => INVALID_ARGUMENT,
        ErrorKind::ModelNotFound { .. }
        | ErrorKind::VersionNotFound { .. }
        | ErrorKind::NotRegistered { .. } => 3,
        ErrorKind::NotInstalled { .. } => 4,
        ErrorKind::Network { .. } | ErrorKind::Offline { .. } | ErrorKind::RateLimited { .. } => 5,
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

/// Prints how a run ended; returns its exit code.
pub(super) fn report(session: &Session, result: CliResult) -> u8 {
    let error = match result {
        Ok(()) | Err(CliError::ClosedPipe) => return 0,
        Err(CliError::Declined) => {
            session.console.note("Nothing was changed.");
            return 1;
        }
        Err(CliError::Reported { exit }) => return exit,
        Err(CliError::Damaged { models }) => {
            if !session.output.json {
                let path = &session.path;
                session.note(hint(
                    session,
                    &format!("{models} damaged: '{path} verify --repair' fetches what is wrong"),
                ));
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
            "'{question}' cannot be asked here: pass -y to answer yes"
        )),
        Err(CliError::Library(error)) => error,
    };
    let advice = advice(session, &error);
    if session.output.json {
        print_json(session, &error, advice.as_deref());
    } else {
        let label = label(session);
        let text = match error.kind() {
            // Each on a line of its own, as `status` has them.
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
            // The first stands in the line above.
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
    // The exit code says the rest when even this cannot be printed.
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

/// What holds for the commands that pull.
const KEPT: &str = "what was fetched is kept: the same command goes on from there";

/// What the user can do about it.
fn advice(session: &Session, error: &Error) -> Option<String> {
    let path = &session.path;
    let goes_on = matches!(session.verb, "pull" | "update" | "copy" | "verify");
    let near = |near: &[String]| {
        (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
    };
    match error.kind() {
        ErrorKind::ModelNotFound { model, .. } if is_of_hub(session, model) => Some(format!(
            "it does not exist, or is private: a token in HF_TOKEN opens what you may see; \
             '{path} search --remote WORDS' finds others"
        )),
        ErrorKind::ModelNotFound { near: names, .. } => {
            near(names).or_else(|| Some(format!("'{path} list --remote' shows what there is")))
        }
        ErrorKind::NotRegistered { near: ids, .. } => {
            near(ids).or_else(|| Some(format!("'{path} registry list' shows what is registered")))
        }
        ErrorKind::NotPublishable { .. } => Some(format!(
            "'{path} registry status' says how to mend it, and '{path} registry sync' takes over what changed"
        )),
        ErrorKind::RegistryTooLarge { .. } => Some(
            "--keep-versions N drops all but the N highest versions of each model, and \
                 --max-size allows more"
                .into(),
        ),
        ErrorKind::DamagedRegistry { .. } => Some(
            "version control or a copy may have a good one; to begin anew, move it and its \
                 backup away"
                .into(),
        ),
        ErrorKind::VersionNotFound { model, .. } if is_of_hub(session, model) => Some(
            "its versions are what the Hub calls a revision: a branch, a tag, a commit or a pull \
             request, as in refs/pr/1"
                .into(),
        ),
        ErrorKind::VersionNotFound {
            near: versions,
            model,
            ..
        } => near(versions)
            .or_else(|| Some(format!("'{path} list --remote {model}' shows its versions"))),
        ErrorKind::NotInstalled { near: names, model } => {
            near(names).or_else(|| Some(format!("'{path} pull {model}' brings it in")))
        }
        ErrorKind::FolderMissing { model, .. } => {
            Some(format!("'{path} pull {model}' brings it back"))
        }
        ErrorKind::InvalidRef { choices, .. } if !choices.is_empty() => {
            Some(format!("one of: {}", choices.join(", ")))
        }
        ErrorKind::InvalidRef { .. } => {
            Some("models are named group/model, and versions behind a space or an '@'".into())
        }
        ErrorKind::Offline { .. } => Some(format!(
            "without --offline, and without {}_MODELS_OFFLINE, it is fetched and kept for later",
            variable_prefix(&session.app)
        )),
        ErrorKind::NotSynced {
            source_name,
            references,
        } => {
            let reference = references.first().map(|name| format!(" --ref {name}"));
            let reference = reference.unwrap_or_default();
            Some(format!(
                "'{path} sync --source {source_name}{reference}' fetches it; with \
                 {}_MODELS_AUTO_SYNC=1 that is done when it is needed",
                variable_prefix(&session.app)
            ))
        }
        ErrorKind::Network {
            status: Some(404 | 410),
            url,
            ..
        } => Some(if url.to_string().ends_with("/models.json") {
            "is the source's URL right?".into()
        } else {
            "the registry lists what is not there: tell whoever runs it".into()
        }),
        ErrorKind::Network { .. } if goes_on => Some(KEPT.into()),
        ErrorKind::Network { .. } => Some("the same command may succeed later".into()),
        ErrorKind::RateLimited { url, .. } if url.to_string().contains("/repos/") => Some(
            "with a token in GITHUB_TOKEN the server answers more often; else the same command \
             goes on later"
                .into(),
        ),
        ErrorKind::RateLimited { .. } => {
            Some("the same command goes on later from where it is".into())
        }
        ErrorKind::HashMismatch { .. } | ErrorKind::SizeMismatch { .. } => {
            Some("the server's files are damaged or were changed: tell whoever runs it".into())
        }
        ErrorKind::InsufficientSpace { .. } if session.verb == "registry" => {
            Some("make room, and do it again: the registry is as it was".into())
        }
        ErrorKind::InsufficientSpace { .. } => Some(format!(
            "'{path} remove' and '{path} prune' make room; {}_MODELS_DIR names another place",
            variable_prefix(&session.app)
        )),
        ErrorKind::Permission { .. } if session.verb == "registry" => {
            Some("name a folder that you may write to".into())
        }
        ErrorKind::Permission { .. } => Some(format!(
            "{}_MODELS_DIR names a place that you may write to",
            variable_prefix(&session.app)
        )),
        ErrorKind::Locked { .. } => {
            Some("wait for the other process, or end it, and try again".into())
        }
        ErrorKind::Authentication { url, .. } if url.expose().ends_with("git-upload-pack") => Some(
            "the repository does not exist, or is private: a token in GITHUB_TOKEN opens those \
             that you may read"
                .into(),
        ),
        ErrorKind::Authentication {
            failure: AuthFailure::Gated,
            ..
        } => Some(
            "accept its terms on the Hub's page of the model, and set HF_TOKEN to a token of yours"
                .into(),
        ),
        ErrorKind::Authentication { url, .. } if is_hub_url(&url.to_string()) => {
            Some("set HF_TOKEN to a token that is valid and may see the model".into())
        }
        ErrorKind::Authentication {
            failure: AuthFailure::Missing,
            ..
        } => Some(
            "put a user and password into the source's URL: https://user:password@host/…".into(),
        ),
        ErrorKind::Authentication { .. } => Some("ask whoever runs the source for access".into()),
        ErrorKind::NoSource => Some(format!(
            "set {}_MODELS_REGISTRY_URL to a registry's URL",
            variable_prefix(&session.app)
        )),
        ErrorKind::Collision { .. } => Some(format!("'{path} remove' makes room for it")),
        ErrorKind::Cancelled if goes_on => Some(KEPT.into()),
        ErrorKind::Exists { .. } => Some("--force replaces it".into()),
        _ => None,
    }
}

/// Whether the first source whose name a model's begins with is the Hub.
fn is_of_hub(session: &Session, model: &str) -> bool {
    let sources = session.manager.sources().unwrap_or_default();
    sources.iter().any(|source| {
        source.kind == SourceKind::HUB
            && model
                .strip_prefix(source.name.as_str())
                .is_some_and(|path| path.starts_with('/'))
    })
}

fn is_hub_url(url: &str) -> bool {
    url.contains("/api/models") || url.contains("/resolve/")
}

fn variable_prefix(app: &str) -> String {
    crate::Config::new(app)
        .variable("")
        .trim_end_matches("_MODELS_")
        .to_owned()
}
