//! `remove`: remove installed models.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set, text};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::installed::Scope;
use crate::{Error, ErrorKind, ListOptions, ModelAddress, ModelName};

const ALL: &str = "modelrack_all";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove an installed model")
        .args(args::model(mount, Which::Installed, true))
        .arg(args::flag(ALL, "all", "Remove all its versions").conflicts_with(args::VERSION))
        .args(args::yes(mount))
        .after_help(args::examples(
            mount,
            &[
                ("remove fast-whisper/tiny fp16", "one version"),
                ("remove fast-whisper/tiny --all -y", "all of them, unasked"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let report = if is_set(matches, ALL) {
        let text = text(matches, args::MODEL).unwrap_or_default();
        let name: ModelName = text.parse().map_err(|error: crate::error::InvalidName| {
            Error::from(ErrorKind::InvalidRef {
                input: text.to_owned(),
                message: error.reason().to_owned(),
                choices: Vec::new(),
            })
        })?;
        let versions = session
            .manager
            .list(&ListOptions::default().scope(Scope::Model(name.clone())))?
            .models;
        if versions.is_empty() {
            // Says so, with near names.
            session.manager.path(&ModelAddress::from(&name))?;
        }
        let bytes: u64 = versions.iter().map(|model| model.total_bytes).sum();
        let number = render::count(versions.len() as u64, "version");
        session.confirm(&format!(
            "Remove {number} of {name} ({})?",
            render::size(bytes)
        ))?;
        session.manager.remove_all(&name, &session.cancel)?
    } else {
        let address = args::address(matches)?;
        let installed = session
            .manager
            .path(&address)
            .and_then(|_| session.manager.get(&address));
        let question = match &installed {
            Ok(detail) => format!(
                "Remove {} ({})?",
                detail.installed.model,
                render::size(detail.installed.total_bytes)
            ),
            // Not there is an error; damaged is all the more reason to remove it.
            Err(error)
                if matches!(
                    error.code(),
                    "NOT_INSTALLED" | "INVALID_REF" | "CONFIG_ERROR"
                ) =>
            {
                return Err(installed
                    .err()
                    .unwrap_or(Error::from(ErrorKind::Cancelled))
                    .into());
            }
            Err(_) => format!("Remove {address}, which is damaged?"),
        };
        session.confirm(&question)?;
        session.manager.remove(&address, &session.cancel)?
    };
    if session.output.json {
        return session.json(&report);
    }
    for model in &report.removed {
        session.say(format!("Removed {}", render::safe(&model.to_string())))?;
    }
    session.say(format!("{} freed", render::size(report.bytes_freed)))
}
