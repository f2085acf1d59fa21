//! `mirror`: copy models of any source into one registry.

use std::path::PathBuf;

use clap::{ArgGroup, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::args::{self, LOCKED, Which, flag, is_set, option, value};
use super::failure::CliResult;
use super::session::Session;
use super::several::{self, Failures, Named};
use super::table::Table;
use super::{Mount, chunking, render};
use crate::ModelRef;
use crate::lock::DEFAULT_FILE;
use crate::mirror::{MirrorOptions, MirrorReport, MirrorState, MirroredVersion, PublishTarget};
use crate::relpath::listed;

const TO: &str = "modelrack_to";
const WHICH: &str = "modelrack_which";

pub(super) const EXAMPLES: &str = "
    mirror --locked --to /media/models           all models of models.lock
    mirror fast-whisper/tiny@fp16 --to ./mirror  one model
    mirror 'mf6/test@develop/*' --to ./mirror    all models of a branch
    mirror --locked --to models.tar              all in one file, for `tar -x`
    mirror 'hf/*' --to ./mirror --dry-run        show what it would take
";

/// The document without what failed: what is in the mirror, and what is not for that reason.
#[derive(Serialize)]
struct Document<'a> {
    registry: &'a PublishTarget,
    models: &'a [MirroredVersion],
    not_tried: &'a [ModelRef],
    bytes_archives: u64,
}

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let [model, more] = several::models(mount, Which::Offered, false);
    command
        .about("Copy models of any source into one registry, for places without a network")
        .args([model, more])
        .args([
            option(TO, "DIR|FILE.tar|URL")
                .value_parser(value_parser!(PathBuf))
                .help("Where the mirror is: a folder, a tar, or what else `registry publish` takes; what it has already is not copied again")
                .required(true),
            option(LOCKED, "FILE")
                .value_parser(value_parser!(PathBuf))
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(DEFAULT_FILE)
                .help(
                    "Exactly what a lock says, all of it or the models named; fail if the sources \
                     offer something else [default: models.lock]",
                ),
            flag(args::DRY_RUN).help("Only show what would be downloaded and written"),
        ])
        // An error names both ways to say what.
        .group(ArgGroup::new(WHICH).args([args::MODEL, LOCKED]).required(true).multiple(true))
        .args(chunking::flags(
            "The size of a chunk of models that are not in chunks, such as 8MiB",
            "Where to cut these: content, where the content says, or fixed, at equal distances [default: as \
             the model was cut before, else content]",
            "Put the index into parts, for very many models; older readers do not know them",
        ))
        .args([
            flag(args::FORCE).help(
                "Write into a bucket whose store ignores conditions; nobody else may write there meanwhile",
            ),
            args::concurrency(),
            args::limit_rate(),
        ])
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let to = PublishTarget::parse(args::path(matches, TO))?;
    let chunks = chunking::read(matches, &to)?;
    let mut options = MirrorOptions::default()
        .chunk_bytes(chunks.chunk_bytes)
        .chunking(chunks.chunking)
        .shards(chunks.shards)
        .force(is_set(matches, args::FORCE))
        .concurrency(args::workers(matches))
        .rate_limit(args::rate_limit(matches))
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let mut is_one = false;
    let named = match value::<PathBuf>(matches, LOCKED) {
        Some(file) => {
            options = options.locked(file);
            several::locked(matches, file)?
        }
        None => {
            let words = several::words(session, matches, Which::Offered)?;
            is_one = words.len() < 2 && !words.iter().any(several::Word::is_pattern);
            Named::of(words)?
        }
    };
    options = options.models(named.models).patterns(named.patterns);
    let is_dry_run = is_set(matches, args::DRY_RUN);
    let report = session.metered_as("Looking up models", |meter| {
        let options = options.progress(meter);
        match is_dry_run {
            true => session.manager.check_mirror(&to, &options),
            false => session.manager.mirror(&to, &options),
        }
    })?;
    show(session, report, is_one, is_dry_run)
}

fn show(session: &Session, mut report: MirrorReport, is_one: bool, is_dry_run: bool) -> CliResult {
    let mut failed = std::mem::take(&mut report.failed);
    if is_one && report.versions.is_empty() && failed.len() == 1 {
        return Err(failed.swap_remove(0).error.into());
    }
    let mut failures = Failures::of_many();
    for failed in failed {
        failures.push_address(failed.address, failed.error);
    }
    let document = Document {
        registry: &report.registry,
        models: &report.versions,
        not_tried: &report.not_tried,
        bytes_archives: report.bytes_archives,
    };
    failures.show(session, &document, || {
        match is_dry_run {
            true => print_plan(session, &report),
            false => print(session, &report),
        }?;
        if !report.not_tried.is_empty() {
            let models = report.not_tried.iter().map(ModelRef::to_string);
            let models = listed(&models.collect::<Vec<_>>());
            session.warn(format!("Not tried after what failed: {models}"));
        }
        Ok(())
    })
}

fn print_plan(session: &Session, report: &MirrorReport) -> CliResult {
    let rows = report.versions.iter().map(|version| {
        [
            version.model.name().to_string(),
            version.model.version().to_owned(),
            word(version.state).to_owned(),
            render::size(version.bytes_fetched),
            render::size(version.bytes_written),
        ]
    });
    let head = ["MODEL", "VERSION", "STATE", "TO DOWNLOAD", "TO WRITE"];
    Table::new(head, rows).named_by(2).state(2).print(session)?;
    session.sum_up(&[format!(
        "{}: {} to download, {} to write",
        render::count(report.versions.len(), "model"),
        render::size(report.bytes_fetched()),
        render::size(report.bytes_written())
    )])
}

/// Prints what is new, and how much that was.
fn print(session: &Session, report: &MirrorReport) -> CliResult {
    for version in &report.versions {
        if version.state == MirrorState::Unchanged {
            continue;
        }
        session.say(format!(
            "Mirrored {}: {}, {} ({} downloaded, {} written)",
            version.model,
            render::count(version.files, "file"),
            render::size(version.total_bytes),
            render::size(version.bytes_fetched),
            render::size(version.bytes_written)
        ))?;
    }
    let unchanged = report.versions.iter();
    let unchanged = unchanged.filter(|version| version.state == MirrorState::Unchanged);
    let unchanged = match unchanged.count() {
        0 => String::new(),
        number => format!(", {number} of them unchanged"),
    };
    session.say(format!(
        "{}: {}{unchanged}; {} downloaded, {} written",
        report.registry,
        render::count(report.versions.len(), "model"),
        render::size(report.bytes_fetched()),
        render::size(report.bytes_written())
    ))
}

fn word(state: MirrorState) -> &'static str {
    match state {
        MirrorState::New => "new",
        MirrorState::Changed => "changed",
        MirrorState::Unchanged => "unchanged",
    }
}
