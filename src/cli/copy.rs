//! `copy`: a model's files into a workspace.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::args::{self, Which, is_set};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::{CopyOptions, ModelAddress};

const DESTINATION: &str = "modelrack_destination";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, _] = args::model(mount, Which::Installed, true);
    command
        // A parent may pass its own `--version` on, which would be a second one here.
        .disable_version_flag(true)
        .about(
            "Copy a model's files into a folder, with its folders kept; pulls it first if need be",
        )
        .arg(model)
        .arg(
            Arg::new(DESTINATION)
                .value_name("DEST")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder; it is made when it is not there"),
        )
        .arg(args::option(
            args::VERSION,
            "version",
            "VERSION",
            "The model's version",
        ))
        .arg(args::flag(
            args::FORCE,
            "force",
            "Replace files there that have other bytes",
        ))
        .arg(args::concurrency())
        .after_help(args::examples(
            mount,
            &[("copy fast-whisper/tiny@fp16 ./workspace", "one version")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let address: ModelAddress = args::address(matches)?;
    let destination = matches
        .get_one::<PathBuf>(DESTINATION)
        .cloned()
        .unwrap_or_default();
    let (pull, meter) = session.pull_options(matches);
    let options = CopyOptions::default()
        .force(is_set(matches, args::FORCE))
        .pull(pull);
    let report = session.manager.copy(&address, &destination, &options)?;
    meter.clear();
    if session.output.json {
        return session.json(&report);
    }
    let unchanged = match report.unchanged {
        0 => String::new(),
        unchanged => format!(", {unchanged} there already"),
    };
    session.say(format!(
        "Copied {} to {}: {}{unchanged}",
        render::safe(&report.model.to_string()),
        Session::show_path(&report.destination),
        render::count(report.copied, "file")
    ))
}
