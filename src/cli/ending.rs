//! How a command ends: its exit code, and what is printed if it failed.

use clap::builder::styling::AnsiColor;
use serde::Serialize;
use serde_json::{Value, json};

use super::failure::{CliError, CliResult};
use super::hint::hint;
use super::render::safe;
use super::session::Session;
use crate::error::{LockProblem, chain};
use crate::{Error, ErrorKind};

/// Prints a report with what failed in it, and ends the command: the first failure determines the exit code.
pub(super) fn show_and_end<'a>(
    session: &Session,
    report: &impl Serialize,
    failures: impl IntoIterator<Item = &'a Error> + Clone,
    print: impl FnOnce() -> CliResult,
) -> CliResult {
    show(session, report, failures.clone(), print)?;
    reported(failures)
}

/// Prints a report. The errors in it have hints with `--json`, as one on its own has.
pub(super) fn show<'a>(
    session: &Session,
    report: &impl Serialize,
    failures: impl IntoIterator<Item = &'a Error>,
    print: impl FnOnce() -> CliResult,
) -> CliResult {
    if session.output.json {
        advise(session, failures);
    }
    session.show(report, print)
}

/// Gives errors the hints that their documents have.
pub(super) fn advise<'a>(session: &Session, errors: impl IntoIterator<Item = &'a Error>) {
    let errors = errors.into_iter();
    errors.for_each(|error| error.advise(&|error| hint(session, error)));
}

/// Ends a command after an error that `--json` has already printed in a report, but that is still to be printed as text.
pub(super) fn failed(session: &Session, error: Error) -> CliResult {
    match session.output.json {
        true => reported([&error]),
        false => Err(error.into()),
    }
}

/// Ends a command whose printed report contains the failures. The first one determines the exit code.
pub(super) fn reported<'a>(failures: impl IntoIterator<Item = &'a Error>) -> CliResult {
    match failures.into_iter().next() {
        Some(error) => Err(CliError::Reported {
            exit: exit_code(error.kind()),
        }),
        None => Ok(()),
    }
}

/// The exit code for damaged files.
pub(super) const DAMAGED: u8 = 6;
/// The exit code for a failing disk or output.
const STORAGE: u8 = 7;
/// The exit code for a project with errors.
pub(super) const NOT_PUBLISHABLE: u8 = 9;
/// The exit code for a lock that is not what the sources offer.
pub(super) const LOCK_STALE: u8 = 9;

/// Returns the exit code of a kind of error, as the documentation lists them.
fn exit_code(kind: &ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidRef { .. }
        | ErrorKind::InvalidArgument { .. }
        | ErrorKind::UnusableLock {
            problem: LockProblem::Missing,
            ..
        } => 2,
        ErrorKind::ModelNotFound { .. }
        | ErrorKind::VersionNotFound { .. }
        | ErrorKind::NotRegistered { .. } => 3,
        ErrorKind::NotInstalled { .. } => 4,
        ErrorKind::Proxy {
            status: 401 | 407, ..
        }
        | ErrorKind::Authentication { .. } => 8,
        ErrorKind::Network { .. }
        | ErrorKind::Certificate { .. }
        | ErrorKind::Tls { .. }
        | ErrorKind::Proxy { .. }
        | ErrorKind::IndexNotFound { .. }
        | ErrorKind::Offline { .. }
        | ErrorKind::RateLimited { .. } => 5,
        ErrorKind::HashMismatch { .. }
        | ErrorKind::SizeMismatch { .. }
        | ErrorKind::Damaged { .. } => DAMAGED,
        ErrorKind::Storage { .. }
        | ErrorKind::FolderMissing { .. }
        | ErrorKind::Exists { .. }
        | ErrorKind::Collision { .. }
        | ErrorKind::InsufficientSpace { .. }
        | ErrorKind::Permission { .. } => STORAGE,
        ErrorKind::WebPage { .. } if kind.as_str() == "AUTHENTICATION_ERROR" => 8,
        ErrorKind::NotPublishable { .. } => NOT_PUBLISHABLE,
        ErrorKind::LockStale { .. } => LOCK_STALE,
        ErrorKind::Cancelled => 130,
        ErrorKind::Several { errors, .. } => {
            errors.first().map_or(1, |first| exit_code(first.kind()))
        }
        _ => 1,
    }
}

/// Prints how a command ended, and returns its exit code.
pub(super) fn report(session: &Session, result: CliResult) -> u8 {
    let mut document = json!({});
    let error = match result {
        Ok(()) | Err(CliError::ClosedPipe) => return 0,
        Err(CliError::Declined) => {
            session.console.note("Nothing was changed.");
            return 1;
        }
        Err(CliError::Reported { exit }) => return exit,
        Err(CliError::Damaged) => {
            if !session.output.json && !session.output.quiet {
                let repair = format!("repair them with '{} verify --repair'", session.path);
                print_hint(session, &repair);
            }
            return DAMAGED;
        }
        Err(CliError::Output(error)) => {
            let app = session.mount.config.app();
            session
                .console
                .note(format!("{app}: cannot print: {error}"));
            return STORAGE;
        }
        Err(CliError::Unconfirmed { question }) => Error::argument(format!(
            "cannot ask '{question}' without a terminal: pass -y to answer yes"
        )),
        Err(CliError::Library(error)) => error,
        Err(CliError::Partly {
            error,
            document: of,
        }) => {
            document = of;
            error
        }
    };
    if session.output.json {
        print_json(session, &error, document);
    } else {
        print(session, &error);
        hint(session, &error)
            .iter()
            .for_each(|hint| print_hint(session, hint));
        if let ErrorKind::NoSource = error.kind() {
            session.print_example_source();
        }
    }
    exit_code(error.kind())
}

fn print(session: &Session, error: &Error) {
    let name = session.path.rsplit(' ').next().unwrap_or("models");
    let label = session.paint(AnsiColor::Red, &format!("{name}:"));
    let print = |text: &str| session.console.note(format!("{label} {text}"));
    match error.kind() {
        // One per line, as `status` prints them.
        ErrorKind::NotPublishable { findings } if findings.len() > 1 => {
            let findings = findings.iter().map(|finding| safe(finding));
            let findings: Vec<String> = findings.collect();
            print(&format!(
                "cannot publish the project:\n  {}",
                findings.join("\n  ")
            ));
        }
        _ => print(&safe(&chain(error))),
    }
    if let ErrorKind::Several { errors, .. } = error.kind() {
        // The first is in the line above.
        let others = errors.iter().skip(1);
        others.for_each(|error| print(&safe(&chain(error))));
    }
}

pub(super) fn print_hint(session: &Session, hint: &str) {
    let label = session.paint(AnsiColor::Cyan, "hint:");
    session.console.note(format!("{label} {}", safe(hint)));
}

/// Prints an error in a document that may have more beside it.
fn print_json(session: &Session, error: &Error, mut document: Value) {
    advise(session, [error]);
    document["error"] = json!(error);
    // If this cannot be printed either, only the exit code tells.
    let _ = session.json(&document);
}
