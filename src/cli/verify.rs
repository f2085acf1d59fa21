//! `verify`: hash what is installed; repair what is damaged.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, render};
use crate::installed::VerifiedModel;
use crate::{Progress, VerifyOptions};

const REPAIR: &str = "modelrack_repair";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Hash installed models and compare them with their manifests")
        .args(args::model(mount, Which::Installed, false))
        .arg(args::flag(
            REPAIR,
            "repair",
            "Fetch what is damaged anew, and nothing else",
        ))
        .after_help(args::examples(
            mount,
            &[
                ("verify", "all models"),
                ("verify fast-whisper/tiny --repair", "one, and mend it"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let meter = session.meter();
    let options = VerifyOptions::default()
        .model(args::optional_address(matches)?)
        .repair(is_set(matches, REPAIR))
        .offline(session.output.offline)
        .cancel(session.cancel.clone())
        .progress(meter.clone() as std::sync::Arc<dyn Progress>);
    let report = session.manager.verify(&options)?;
    meter.clear();
    if session.output.json {
        session.json(&report)?;
    } else {
        for verified in &report.models {
            print(session, verified)?;
        }
        if report.models.is_empty() {
            session.note("No model is installed.");
        }
    }
    match report.models.iter().all(|verified| verified.is_whole()) {
        true => Ok(()),
        false => Err(CliError::Damaged),
    }
}

fn print(session: &Session, verified: &VerifiedModel) -> CliResult {
    let model = render::safe(&verified.model.to_string());
    if verified.damaged.is_empty() {
        return session.say(format!("{model}: ok, {}", render::size(verified.bytes)));
    }
    let state = match &verified.repaired {
        Some(repaired) => format!("repaired, {} fetched", render::size(repaired.bytes_fetched)),
        None => "damaged".to_owned(),
    };
    session.console.print(format!("{model}: {state}"))?;
    for file in &verified.damaged {
        session.console.print(format!(
            "  {}: {}",
            render::safe(&file.path),
            file.damage.as_str().replace('_', " ")
        ))?;
    }
    Ok(())
}
