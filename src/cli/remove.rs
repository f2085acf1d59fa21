//! `remove`: remove installed models.

use clap::{ArgMatches, Command};

use super::args::{self, Which, flag, is_set, text};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::installed::{RemoveReport, Scope, Status};
use crate::{Error, ErrorKind, ListOptions, ModelAddress, ModelName, ModelRef};

pub(super) const EXAMPLES: &str = "
    remove fast-whisper/tiny fp16      one version
    remove fast-whisper/tiny --all -y  all versions, without confirmation
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let all = flag(args::ALL).help("Remove all versions of the model");
    command
        .about("Remove an installed model")
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
    let pulled = being_pulled(session, &address)?;
    if pulled.is_none() && versions.is_empty() {
        // Fails, with similar names.
        session.manager.path(&address)?;
    }
    let size = render::size(versions.iter().map(|model| model.total_bytes).sum());
    let number = render::count(versions.len(), "version");
    session.confirm(&format!("Remove {number} of {name} ({size})?"))?;
    tell_of_wait(session, pulled.as_ref());
    Ok(session.manager.remove_all(&name, &session.cancel)?)
}

fn remove_one(session: &Session, address: &ModelAddress) -> CliResult<RemoveReport> {
    let manager = &session.manager;
    let found = manager.path(address).and_then(|_| manager.get(address));
    let pulled = being_pulled(session, address)?;
    let question = match found {
        Ok(detail) => {
            let size = render::size(detail.installed.total_bytes);
            format!("Remove {} ({size})?", detail.installed.model)
        }
        Err(error) => match (error.kind(), &pulled) {
            (ErrorKind::NotInstalled { .. }, Some(model)) => {
                format!("Remove {model} once it has been pulled?")
            }
            // A pull that has not written anything yet, or that the address means in another form.
            (ErrorKind::NotInstalled { .. }, None) if session.is_confirmed() => {
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
    tell_of_wait(session, pulled.as_ref());
    Ok(manager.remove(address, &session.cancel)?)
}

fn tell_of_wait(session: &Session, pulled: Option<&ModelRef>) {
    if let Some(model) = pulled {
        session.note(format!("Waiting for the pull of {model} to end"));
    }
}

/// Returns the model of a pull that is running and that the removal waits for.
fn being_pulled(session: &Session, address: &ModelAddress) -> CliResult<Option<ModelRef>> {
    let options = ListOptions::default().status(Status::Downloading);
    let partials = session.manager.list(&options)?.partials.into_iter();
    let is_meant = |model: &ModelRef| {
        let (name, version) = (model.name(), model.version());
        *address == name.into()
            || *address == model.into()
            || format!("{name}@{version}")
                .parse()
                .is_ok_and(|typed: ModelAddress| typed == *address)
    };
    Ok(partials.map(|partial| partial.model).find(is_meant))
}
