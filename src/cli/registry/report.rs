//! `registry report`: write what is registered for other tools.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, value_parser};

use crate::cli::args;
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};

const OUTPUT: &str = "modelrack_output";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Write model_registry.json for other tools")
        .arg(
            args::option(
                OUTPUT,
                "output",
                "DIR",
                "The folder for model_registry.json, its summary and one folder for each model",
            )
            .required(true)
            .value_parser(value_parser!(PathBuf)),
        )
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[
                (
                    "registry report --output build/registry",
                    "replaces an existing report",
                ),
                (
                    "registry import build/registry/model_registry.json",
                    "imports it elsewhere",
                ),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let project = super::open(session, matches)?;
    let output = matches.get_one::<PathBuf>(OUTPUT);
    let report = project.report(output.map_or(Path::new("."), PathBuf::as_path))?;
    if session.output.json {
        return session.json(&report);
    }
    session.say(format!(
        "Wrote {}: {}, {}, {}",
        render::safe(&report.path.display().to_string()),
        render::count(report.models as u64, "model"),
        render::count(report.targets as u64, "target"),
        render::count(report.files as u64, "file"),
    ))?;
    for file in &report.removed {
        let file = file.display().to_string();
        session.say(format!("Removed {}", render::safe(&file)))?;
    }
    Ok(())
}
