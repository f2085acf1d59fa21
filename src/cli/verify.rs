//! `verify`: check installed models, and repair damaged ones; or check a registry.

use clap::{ArgMatches, Command};

use super::args;
use super::args::{REGISTRY, REPAIR, Which, flag, is_set, option, text};
use super::ending::{DAMAGED, print_hint, show_and_end};
use super::failure::{CliError, CliResult};
use super::session::Session;
use super::several::{self, Failures};
use super::{Mount, render};
use crate::error::chain;
use crate::installed::{VerifiedModel, VerifyReport};
use crate::mirror::{DamagedDocument, RegistryLocation, RegistryReport, VerifyRegistryOptions};
use crate::source::signature::public_key;
use crate::{ModelRef, VerifyOptions};

const PUBLIC_KEY: &str = "modelrack_public-key";

/// What is done about damage in a registry by whoever writes it.
const MEND: &str = "to mend a mirror, remove its index (models.json, or index.json of a layout) and mirror again: only what is \
    wrong is copied; to mend a published registry, publish again";
/// How many of the models are named that need a damaged document.
const SHOWN: usize = 3;

pub(super) const EXAMPLES: &str = "
    verify                             all models
    verify fast-whisper/tiny --repair  repair one model
    verify whisper/tiny whisper/base   several models
    verify --registry /media/models    a mirror, before it is carried away
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let registry = option(REGISTRY, "DIR|URL|SOURCE")
        .help(
            "Verify a registry instead: a folder or tar, a URL (https://, s3://, file://, oci-layout:, oci://) or \
             a configured source; all that its index names is read once",
        )
        .conflicts_with_all([args::MODEL, args::VERSION]);
    command
        .about("Verify the files of installed models against their manifests")
        .args(several::models(mount, Which::Installed, false))
        .arg(
            flag(REPAIR)
                .help("Download damaged parts again, and nothing else")
                .conflicts_with(REGISTRY),
        )
        .arg(args::complete(registry, mount, Which::SourcesOrPaths))
        .arg(
            option(PUBLIC_KEY, "KEY")
                .help("The minisign key that the index of the registry must be signed with")
                .value_parser(|key: &str| public_key(key).map(|_| key.to_owned()))
                .requires(REGISTRY),
        )
        .arg(args::concurrency().requires(REGISTRY))
        .arg(args::limit_rate())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    if let Some(registry) = text(matches, REGISTRY) {
        return execute_registry(session, matches, &RegistryLocation::parse(registry)?);
    }
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

/// What failed of how many is in one line, and each document that is damaged in one of its own.
fn execute_registry(
    session: &Session,
    matches: &ArgMatches,
    registry: &RegistryLocation,
) -> CliResult {
    let mut options = VerifyRegistryOptions::default()
        .concurrency(args::workers(matches))
        .rate_limit(args::rate_limit(matches))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    if let Some(key) = text(matches, PUBLIC_KEY) {
        options = options.public_key(key);
    }
    let report = session.metered_as("Reading the index", |meter| {
        let options = options.progress(meter);
        session.manager.verify_registry(registry, &options)
    })?;
    let errors = report.damaged.iter().map(|damaged| &damaged.error);
    show_and_end(session, &report, errors, || {
        session.say(sum_of_registry(&report))?;
        for damaged in &report.damaged {
            session.warn(describe(damaged));
        }
        if !report.damaged.is_empty() {
            print_hint(session, MEND);
        }
        Ok(())
    })
}

fn sum_of_registry(report: &RegistryReport) -> String {
    let models = render::count(report.versions.len(), "model");
    let damaged = report.versions.iter().filter(|version| !version.ok).count();
    let state = match damaged {
        0 => format!("{models} ok"),
        number => format!("{number} of {models} damaged"),
    };
    format!(
        "{}: {state}, {}, {}",
        report.registry,
        render::count(report.documents, "document"),
        render::size(report.bytes)
    )
}

fn describe(damaged: &DamagedDocument) -> String {
    let models = damaged.models.iter().take(SHOWN).map(ModelRef::to_string);
    let mut models = models.collect::<Vec<_>>().join(", ");
    let more = damaged.models.len().saturating_sub(SHOWN);
    if more > 0 {
        models.push_str(&format!(" and {more} more"));
    }
    let (digest, reason) = (damaged.digest.to_string(), chain(&damaged.error));
    // Most errors name it, in a URL.
    match reason.contains(&digest) {
        true => format!("Failed: {models}: {reason}"),
        false => format!("Failed: {models}: {digest}: {reason}"),
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
