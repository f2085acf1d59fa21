//! `registry report`: write what is registered for other tools.

use clap::{ArgMatches, Command};

use super::OUTPUT;
use super::project::{self, path_option};
use crate::cli::args;
use crate::cli::ending::NOT_PUBLISHABLE;
use crate::cli::failure::{CliError, CliResult};
use crate::cli::session::Session;
use crate::cli::{Mount, render};

pub(super) const EXAMPLES: &str = "
    registry report --output build/registry             replaces an existing report
    registry import build/registry/model_registry.json  imports it elsewhere
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    let output = path_option(OUTPUT, "DIR")
        .required(true)
        .help("The folder for model_registry.json, its summary and one folder for each model");
    command
        .about("Write model_registry.json for other tools")
        .arg(output)
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let project = project::open(session, matches)?;
    let output = args::path(matches, OUTPUT);
    let report = session.metered_as("Writing the report", |_| project.report(&output))?;
    session.show(&report, || {
        for finding in &report.failed {
            session.warn(format!("Failed {finding}"));
        }
        let errors = match report.failed.len() {
            0 => String::new(),
            errors => format!("; {}", render::count(errors, "error")),
        };
        let mut removed = report.removed.iter();
        removed.try_for_each(|file| session.say(format!("Removed {}", file.display())))?;
        session.say(format!(
            "Wrote {}: {}, {}, {}{errors}",
            report.path.display(),
            render::count(report.models, "model"),
            render::count(report.targets, "target"),
            render::count(report.files, "file"),
        ))
    })?;
    match report.failed.is_empty() {
        true => Ok(()),
        false => Err(CliError::Reported {
            exit: NOT_PUBLISHABLE,
        }),
    }
}
