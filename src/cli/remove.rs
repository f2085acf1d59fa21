//! `remove`: remove installed models.

use std::fmt;

use clap::{ArgMatches, Command};

use super::args::{self, Which, flag, is_set};
use super::failure::CliResult;
use super::session::Session;
use super::several::{self, Failures, Word};
use super::{Mount, render, unfinished};
use crate::installed::{PartialModel, RemoveReport, Scope, Status};
use crate::{Error, ErrorKind, ListOptions, ModelAddress, ModelName};

pub(super) const EXAMPLES: &str = "
    remove fast-whisper/tiny fp16      one version
    remove whisper/tiny whisper/base   several models
    remove fast-whisper/tiny --all -y  all versions, without asking
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Remove installed models, or what unfinished pulls left")
        .args(several::models(mount, Which::Installed, true))
        .arg(flag(args::ALL).help("Remove all versions of each model"))
        .args(args::yes(mount))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let words = several::words(session, matches, Which::Installed)?;
    let is_all = is_set(matches, args::ALL);
    if is_all && words.iter().any(|word| word.version.is_some()) {
        return Err(Error::argument("--all removes all versions: name none").into());
    }
    let mut failures = Failures::of(&words);
    let mut removals: Vec<(&Word, Removal)> = Vec::new();
    for word in &words {
        let plan = || match is_all {
            true => plan_all(session, &word.name),
            false => plan_one(session, word.address()?),
        };
        let plan = failures.keep(word, plan())?;
        // Once, however often it is named.
        let is_new = |plan: &Removal| removals.iter().all(|(_, of)| of.subject != plan.subject);
        removals.extend(plan.filter(is_new).map(|plan| (word, plan)));
    }
    if !removals.is_empty() {
        let all = removals.iter().map(|(_, removal)| removal.to_string());
        let all: Vec<String> = all.collect();
        session.confirm(&format!("Remove {}?", all.join(", ")))?;
    }
    let mut report = RemoveReport::default();
    for (word, removal) in &removals {
        if let Some(removed) = failures.keep(word, removal.run(session))? {
            report.removed.extend(removed.removed);
            report.bytes_freed += removed.bytes_freed;
        }
    }
    failures.show(session, &report, || {
        for model in &report.removed {
            session.say(format!("Removed {model}"))?;
        }
        session.say(format!("Freed {}", render::size(report.bytes_freed)))
    })
}

/// What is to be removed.
struct Removal {
    target: Target,
    /// What the question calls it.
    subject: String,
    bytes: Option<u64>,
    pulls: Vec<PartialModel>,
}

enum Target {
    Version(ModelAddress),
    AllVersions(ModelName),
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject)?;
        match self.bytes {
            Some(bytes) => write!(f, " ({})", render::size(bytes)),
            None => Ok(()),
        }
    }
}

impl Removal {
    fn run(&self, session: &Session) -> CliResult<RemoveReport> {
        tell_of_wait(session, &self.pulls);
        let (manager, cancel) = (&session.manager, &session.cancel);
        Ok(match &self.target {
            Target::Version(address) => manager.remove(address, cancel),
            Target::AllVersions(name) => manager.remove_all(name, cancel),
        }?)
    }
}

fn plan_all(session: &Session, name: &str) -> CliResult<Removal> {
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
    Ok(Removal {
        subject: format!("{number} of {name}"),
        bytes: Some(bytes.sum()),
        target: Target::AllVersions(name),
        pulls,
    })
}

fn plan_one(session: &Session, address: ModelAddress) -> CliResult<Removal> {
    let manager = &session.manager;
    let found = manager.path(&address).and_then(|_| manager.get(&address));
    let pulls = unfinished::find(session, &address)?;
    let (subject, bytes) = match found {
        Ok(detail) => {
            let bytes = detail.installed.total_bytes;
            (detail.installed.model.to_string(), Some(bytes))
        }
        Err(error) => match (error.kind(), pulls.as_slice()) {
            (ErrorKind::NotInstalled { .. }, [pull]) if unfinished::is_running(pull) => {
                (format!("{} once it has been pulled", pull.model), None)
            }
            (ErrorKind::NotInstalled { .. }, [half]) => (
                format!("the unfinished pull of {}", half.model),
                Some(half.bytes_done),
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
                (address.to_string(), None)
            }
            (
                ErrorKind::NotInstalled { .. }
                | ErrorKind::InvalidRef { .. }
                | ErrorKind::Config { .. },
                _,
            ) => return Err(error.into()),
            // A damaged model can be removed, too.
            _ => (format!("{address}, which is damaged"), None),
        },
    };
    Ok(Removal {
        target: Target::Version(address),
        subject,
        bytes,
        pulls,
    })
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
