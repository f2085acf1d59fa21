//! `copy`: copy a model's files into a folder.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, value_parser};

use super::args::{self, Which, complete, flag, is_set, positional, text, value};
use super::failure::CliResult;
use super::session::Session;
use super::several::is_known;
use super::{Mount, render};
use crate::installed::CopyReport;
use crate::{CopyOptions, Error, ModelAddress};

/// The version, or the folder if it is the last word.
const VERSION_OR_DESTINATION: &str = "modelrack_version-or-destination";
const DESTINATION: &str = "modelrack_destination";

pub(super) const EXAMPLES: &str = "
    copy fast-whisper/tiny ./workspace       the only version
    copy fast-whisper/tiny fp16 ./workspace  one of several
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, _] = args::model(mount, Which::Installed, true);
    let word = positional(VERSION_OR_DESTINATION, "VERSION|DEST")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The version; may be omitted if there is only one. Or the folder, if it is the last word");
    command
        .about("Copy a model's files into a folder, and pull the model first if necessary")
        .args([
            model,
            complete(word, mount, Which::InstalledVersionsOrFolders),
            // Not as the one that may be missing: clap would take the word before a flag for the last one.
            positional(DESTINATION, "DEST")
                .value_parser(value_parser!(PathBuf))
                .help("The folder, behind a version; it is created if it does not exist"),
            flag(args::FORCE).help("Replace files that differ"),
            args::concurrency(),
            args::limit_rate(),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let model = text(matches, args::MODEL).unwrap_or_default();
    let word = args::path(matches, VERSION_OR_DESTINATION);
    let (address, destination) = match value::<PathBuf>(matches, DESTINATION) {
        Some(destination) => {
            let version = word.to_string_lossy();
            (ModelAddress::parse(model, Some(&version))?, destination)
        }
        None => (ModelAddress::parse(model, None)?, &word),
    };
    if *destination == word {
        refuse_version(session, &address, destination)?;
    }
    let pull = session.pull_options(matches);
    let options = CopyOptions::default().force(is_set(matches, args::FORCE));
    let work = format!("Looking up {address}");
    let report = session.metered_as(&work, |meter| {
        let options = options.pull(pull.progress(meter));
        session.manager.copy(&address, destination, &options)
    })?;
    session.show(&report, || session.say(describe(&report)))
}

/// Refuses a folder that does not exist and is called like a version of the model: the folder was forgotten.
fn refuse_version(session: &Session, model: &ModelAddress, destination: &Path) -> CliResult {
    let (name, word) = (model.to_string(), destination.to_string_lossy());
    let Ok(version) = ModelAddress::parse(&name, Some(&word)) else {
        return Ok(());
    };
    let is_version = || {
        // What is installed is copied without asking its source.
        let offline = session.output.offline || is_known(session, model, Which::Installed, true);
        is_known(session, &version, Which::Installed, true)
            || is_known(session, &version, Which::Offered, offline)
    };
    if destination.exists() || !is_version() {
        return Ok(());
    }
    let path = &session.path;
    Err(Error::argument(format!(
        "'{word}' is a version of {name}, and there is no such folder: '{path} copy {name} {word} \
         DEST' copies that version, './{word}' creates the folder"
    ))
    .into())
}

fn describe(report: &CopyReport) -> String {
    let unchanged = match report.unchanged {
        0 => String::new(),
        unchanged => format!(", {unchanged} unchanged"),
    };
    format!(
        "Copied {} to {}: {}{unchanged}",
        report.model,
        report.destination.display(),
        render::count(report.copied, "file")
    )
}
