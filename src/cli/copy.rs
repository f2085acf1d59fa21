//! `copy`: copy a model's files into a folder.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::args::{self, Which, flag, is_set, option};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::CopyOptions;

const DESTINATION: &str = "modelrack_destination";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, _] = args::model(mount, Which::Installed, true);
    let destination = Arg::new(DESTINATION)
        .value_name("DEST")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The folder; it is created if it does not exist");
    command
        // A parent may propagate its own `--version`, which would be a second one here.
        .disable_version_flag(true)
        .about("Copy a model's files into a folder, and pull the model first if necessary")
        .args([model, destination])
        .arg(option(
            args::VERSION,
            "version",
            "VERSION",
            "The version of the model",
        ))
        .arg(flag(args::FORCE, "force", "Replace files that differ"))
        .arg(args::concurrency())
        .after_help(args::examples(
            mount,
            &[("copy fast-whisper/tiny@fp16 ./workspace", "one version")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let address = args::address(matches)?;
    let destination = matches.get_one::<PathBuf>(DESTINATION).cloned();
    let (pull, meter) = session.pull_options(matches);
    let options = CopyOptions::default()
        .force(is_set(matches, args::FORCE))
        .pull(pull);
    let report = session
        .manager
        .copy(&address, &destination.unwrap_or_default(), &options)?;
    meter.clear();
    if session.output.json {
        return session.json(&report);
    }
    let unchanged = match report.unchanged {
        0 => String::new(),
        unchanged => format!(", {unchanged} unchanged"),
    };
    session.say(format!(
        "Copied {} to {}: {}{unchanged}",
        report.model,
        report.destination.display(),
        render::count(report.copied, "file")
    ))
}
