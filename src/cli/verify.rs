//! `verify`: check installed models, and repair damaged ones.

use clap::{ArgMatches, Command};

use super::args;
use super::args::{Which, flag, is_set};
use super::ending::DAMAGED;
use super::failure::{CliError, CliResult};
use super::session::Session;
use super::several::{self, Failures};
use super::{Mount, render};
use crate::VerifyOptions;
use crate::installed::{VerifiedModel, VerifyReport};

const REPAIR: &str = "modelrack_repair";

pub(super) const EXAMPLES: &str = "
    verify                             all models
    verify fast-whisper/tiny --repair  repair one model
    verify whisper/tiny whisper/base   several models
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Verify the files of installed models against their manifests")
        .args(several::models(mount, Which::Installed, false))
        .arg(flag(REPAIR).help("Download damaged parts again, and nothing else"))
        .arg(args::limit_rate())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let words = several::words(session, matches, Which::Installed)?;
    let options = VerifyOptions::default()
        .repair(is_set(matches, REPAIR))
        .offline(session.output.offline)
        .rate_limit(args::rate_limit(matches))
        .cancel(session.cancel.clone());
    let mut failures = Failures::of(&words);
    let report = session.metered(|meter| -> CliResult<_> {
        let options = options.clone().progress(meter);
        if words.is_empty() {
            return Ok(session.manager.verify(&options)?);
        }
        let mut report = VerifyReport::default();
        for word in &words {
            let verify = |address| session.manager.verify(&options.clone().model(address));
            let verified = word.address().and_then(verify).map_err(CliError::from);
            let verified = failures.keep(word, verified)?.unwrap_or_default();
            for model in verified.models {
                // Once, however often it is named.
                if report.models.iter().all(|of| of.model != model.model) {
                    report.models.push(model);
                }
            }
        }
        Ok(report)
    })?;
    failures.show(session, &report, || {
        if report.models.is_empty() && words.is_empty() {
            session.note("No model is installed.");
        }
        let mut models = report.models.iter();
        models.try_for_each(|verified| print(session, verified))?;
        match report.models.len() {
            0 | 1 => Ok(()),
            _ => session.sum_up(&[sum(&report)]),
        }
    })?;
    let mut damaged = report.models.iter().filter(|of| !of.is_whole()).peekable();
    match damaged.peek() {
        None => Ok(()),
        Some(_) if options.repair => {
            for VerifiedModel { model, .. } in damaged {
                session.note(format!("{model} was made by hand: no source has its files"));
            }
            Err(CliError::Reported { exit: DAMAGED })
        }
        Some(_) => Err(CliError::Damaged),
    }
}

/// Describes how many models are as they should be.
fn sum(report: &VerifyReport) -> String {
    let models = render::count(report.models.len(), "model");
    let bytes = report.models.iter().map(|verified| verified.bytes).sum();
    let damaged = report
        .models
        .iter()
        .filter(|verified| !verified.is_whole())
        .count();
    match damaged {
        0 => format!("{models} ok, {}", render::size(bytes)),
        number => format!("{number} of {models} damaged"),
    }
}

fn print(session: &Session, verified: &VerifiedModel) -> CliResult {
    let model = &verified.model;
    match verified.unchecked.as_slice() {
        [] => {}
        [file] => session.warning(format!(
            "{model}: '{file}' was compared by its size only: no digest of it is known"
        )),
        [first, ..] => session.warning(format!(
            "{model}: {} files, such as '{first}', were compared by their sizes only: no digests of \
             them are known",
            verified.unchecked.len()
        )),
    }
    if verified.damaged.is_empty() {
        return session.say(format!("{model}: ok, {}", render::size(verified.bytes)));
    }
    match &verified.repaired {
        None => session.print(format!("{model}: damaged")),
        Some(repaired) => {
            let fetched = render::size(repaired.bytes_fetched);
            session.print(format!("{model}: repaired, downloaded {fetched}"))
        }
    }?;
    for file in &verified.damaged {
        let damage = file.damage.as_str().replace('_', " ");
        session.print(format!("  {}: {damage}", file.path))?;
    }
    Ok(())
}
