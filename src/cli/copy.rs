//! `copy`: copy a model's files into a folder.

use std::path::PathBuf;

use clap::{ArgMatches, Command, value_parser};

use super::args::{self, Which, flag, is_set, option, positional};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::CopyOptions;
use crate::installed::CopyReport;

const DESTINATION: &str = "modelrack_destination";

pub(super) const EXAMPLES: &str = "
    copy fast-whisper/tiny@fp16 ./workspace  one version
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, _] = args::model(mount, Which::Installed, true);
    command
        // A parent may propagate its own `--version`, which would be a second one here.
        .disable_version_flag(true)
        .about("Copy a model's files into a folder, and pull the model first if necessary")
        .args([
            model,
            positional(DESTINATION, "DEST")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder; it is created if it does not exist"),
            option(args::VERSION, "VERSION").help("The version of the model"),
            flag(args::FORCE).help("Replace files that differ"),
            args::concurrency(),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let address = args::address(matches)?;
    let destination = args::path(matches, DESTINATION);
    let pull = session.pull_options(matches);
    let options = CopyOptions::default().force(is_set(matches, args::FORCE));
    let work = format!("Looking up {address}");
    let report = session.metered_as(&work, |meter| {
        let options = options.pull(pull.progress(meter));
        session.manager.copy(&address, &destination, &options)
    })?;
    session.show(&report, || session.say(describe(&report)))
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
