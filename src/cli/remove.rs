//! `remove`: remove installed models.

use clap::{ArgMatches, Command};

use super::args::{self, Which, flag, is_set, text};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render, unfinished};
use crate::installed::{PartialModel, RemoveReport, Scope, Status};
use crate::{Error, ErrorKind, ListOptions, ModelAddress, ModelName};

pub(super) const EXAMPLES: &str = "
    remove fast-whisper/tiny fp16      one version
    remove fast-whisper/tiny --all -y  all versions, without confirmation
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let all = flag(args::ALL).help("Remove all versions of the model");
    command
        .about("Remove an installed model, or what an unfinished pull left")
        .args(args::model(mount, Which::Installed, true))
        .arg(all.conflicts_with(args::VERSION))
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let report = match is_set(matches, args::ALL) {
        true => remove_all(session, text(matches, args::MODEL).unwrap_or_default()),
        false => remove_one(session, &args::address(matches)?),
    }?;
    session.show(&report, || {
        for model in &report.removed {
            session.say(format!("Removed {model}"))?;
        }
        session.say(format!("Freed {}", render::size(report.bytes_freed)))
    })
}

fn remove_all(session: &Session, name: &str) -> CliResult<RemoveReport> {
    let name: ModelName = name.parse().map_err(Error::from)?;
    let options = ListOptions::default().scope(Scope::Model(name.clone()));
    let versions = session.manager.list(&options)?.models;
    let address = ModelAddress::from(&name);
    let pulls = unfinished::find(session, &address)?;
    if pulls.is_empty() && versions.is_empty() {
        // Fails, with similar names.
        session.manager.path(&address)?;
    }
    let is_installed = |pull: &&PartialModel| versions.iter().any(|of| of.model == pull.model);
    let halves = pulls
        .iter()
        .filter(|pull| !unfinished::is_running(pull) && !is_installed(pull));
    let halves: Vec<&PartialModel> = halves.collect();
    let mut number = render::count(versions.len(), "version");
    match (versions.len(), halves.len()) {
        (_, 0) => {}
        (0, halves) => number = render::count(halves, "unfinished pull"),
        (_, halves) => number += &format!(" and {}", render::count(halves, "unfinished pull")),
    }
    let bytes = versions.iter().map(|model| model.total_bytes);
    let bytes = bytes.chain(halves.iter().map(|half| half.bytes_done));
    let size = render::size(bytes.sum());
    session.confirm(&format!("Remove {number} of {name} ({size})?"))?;
    tell_of_wait(session, &pulls);
    Ok(session.manager.remove_all(&name, &session.cancel)?)
}

fn remove_one(session: &Session, address: &ModelAddress) -> CliResult<RemoveReport> {
    let manager = &session.manager;
    let found = manager.path(address).and_then(|_| manager.get(address));
    let pulls = unfinished::find(session, address)?;
    let question = match found {
        Ok(detail) => {
            let size = render::size(detail.installed.total_bytes);
            format!("Remove {} ({size})?", detail.installed.model)
        }
        Err(error) => match (error.kind(), pulls.as_slice()) {
            (ErrorKind::NotInstalled { .. }, [pull]) if unfinished::is_running(pull) => {
                format!("Remove {} once it has been pulled?", pull.model)
            }
            (ErrorKind::NotInstalled { .. }, [half]) => format!(
                "Remove the unfinished pull of {} ({})?",
                half.model,
                render::size(half.bytes_done)
            ),
            (ErrorKind::NotInstalled { .. }, [_, _, ..]) => {
                return Err(Error::from(ErrorKind::InvalidRef {
                    input: address.to_string(),
                    message: "has unfinished pulls of several versions".into(),
                    choices: pulls.iter().map(|pull| pull.model.to_string()).collect(),
                })
                .into());
            }
            // A pull that has not written anything yet.
            (ErrorKind::NotInstalled { .. }, []) if session.is_confirmed() => {
                return Ok(manager.remove(address, &session.cancel)?);
            }
            (
                ErrorKind::NotInstalled { .. }
                | ErrorKind::InvalidRef { .. }
                | ErrorKind::Config { .. },
                _,
            ) => return Err(error.into()),
            // A damaged model can be removed, too.
            _ => format!("Remove {address}, which is damaged?"),
        },
    };
    session.confirm(&question)?;
    tell_of_wait(session, &pulls);
    Ok(manager.remove(address, &session.cancel)?)
}

/// Says which pull a removal waits for.
fn tell_of_wait(session: &Session, pulls: &[PartialModel]) {
    let mut running = pulls
        .iter()
        .filter(|pull| pull.status == Status::Downloading);
    if let Some(pull) = running.next() {
        session.note(format!("Waiting for the pull of {} to end", pull.model));
    }
}
