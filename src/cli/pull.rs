//! `pull`: download a model.

use clap::{ArgAction, ArgMatches, Command};

use super::args::{self, Which, flag, is_set, option, string, strings, text};
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, render};
use crate::error::chain;
use crate::pull::{MatchingReport, PullOutcome};
use crate::{ModelPattern, PullPlan, PullReport};

const DRY_RUN: &str = "modelrack_dry_run";
const INCLUDE: &str = "modelrack_include";
const EXCLUDE: &str = "modelrack_exclude";
const REQUIRE_HASHES: &str = "modelrack_require_hashes";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    let globs = |id, long, help| option(id, long, "GLOB", help).action(ArgAction::Append);
    command
        .about("Download and verify a model, or resume an interrupted pull")
        .args(args::model(mount, Which::Offered, true))
        .arg(flag(
            args::FORCE,
            "force",
            "Replace a model that is already installed with a new copy",
        ))
        .arg(flag(
            DRY_RUN,
            "dry-run",
            "Only show what would be downloaded",
        ))
        .arg(globs(
            INCLUDE,
            "include",
            "Only files that match; may be repeated",
        ))
        .arg(globs(
            EXCLUDE,
            "exclude",
            "No files that match; may be repeated",
        ))
        .arg(option(
            args::TYPE,
            "type",
            "TYPE",
            "Record this type instead of the source's, such as text-generation",
        ))
        .arg(flag(
            REQUIRE_HASHES,
            "require-hashes",
            "Refuse a model if a file has no digest",
        ))
        .arg(args::concurrency())
        .after_help(args::examples(
            mount,
            &[
                ("pull fast-whisper/tiny fp16", "one version"),
                ("pull fast-whisper/tiny@fp16", "the same"),
                (
                    "pull fast-whisper/tiny --dry-run",
                    "show how much it would download",
                ),
                (
                    "pull mf6/test@develop/test001a",
                    "from a branch of a repository",
                ),
                (
                    "pull hf/openai/whisper-tiny --include '*.json'",
                    "some of the files",
                ),
                ("pull 'mf6/test@develop/*'", "all models of a branch"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let (options, meter) = session.pull_options(matches);
    let mut options = options
        .include(strings(matches, INCLUDE))
        .exclude(strings(matches, EXCLUDE))
        .force(is_set(matches, args::FORCE))
        .require_hashes(is_set(matches, REQUIRE_HASHES));
    options.model_type = string(matches, args::TYPE);
    let (manager, is_dry_run) = (&session.manager, is_set(matches, DRY_RUN));
    let model = text(matches, args::MODEL).unwrap_or_default();
    if ModelPattern::is_pattern(model) {
        let pattern = ModelPattern::parse(model, text(matches, args::VERSION))?;
        if is_dry_run {
            return print_plans(session, &manager.plan_matching(&pattern, &options)?);
        }
        let report = manager.pull_matching(&pattern, &options)?;
        meter.clear();
        return print_matching(session, &report);
    }
    let address = args::address(matches)?;
    if is_dry_run {
        return print_plan(session, &manager.plan_pull(&address, &options)?);
    }
    let report = manager.pull(&address, &options)?;
    meter.clear();
    if session.output.json {
        return session.json(&report);
    }
    print_pulled(session, &report)
}

/// Prints what the pulls of several models did. Models that failed decide how the command ends.
fn print_matching(session: &Session, report: &MatchingReport) -> CliResult {
    if session.output.json {
        session.json(report)?;
    } else {
        for pulled in &report.pulled {
            print_pulled(session, pulled)?;
        }
        for failed in &report.failed {
            session.warn(format!("Failed: {}", chain(&failed.error)));
        }
        session.say(sum(report))?;
    }
    let failed = report.failed.first();
    failed.map_or(Ok(()), |failed| Err(CliError::reported(&failed.error)))
}

fn sum(report: &MatchingReport) -> String {
    let models = render::count(report.pulled.len() as u64, "model");
    let failed = match report.failed.len() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let files = report.pulled.iter().map(|pulled| pulled.bytes_fetched);
    let fetched = render::size(report.bytes_archives + files.sum::<u64>());
    let archives = match report.bytes_archives {
        0 => String::new(),
        bytes => format!(", {} of it as archives", render::size(bytes)),
    };
    format!("{models}{failed}: {fetched} downloaded{archives}")
}

fn print_plans(session: &Session, plans: &[PullPlan]) -> CliResult {
    if session.output.json {
        return session.json_list("models", plans);
    }
    let row = |plan: &PullPlan| {
        vec![
            plan.model.name().to_string(),
            plan.model.version().to_owned(),
            if plan.installed { "installed" } else { "-" }.to_owned(),
            render::count(plan.files as u64, "file"),
            render::size(plan.bytes_to_fetch),
        ]
    };
    let rows: Vec<_> = plans.iter().map(row).collect();
    session.table(
        &["MODEL", "VERSION", "STATE", "FILES", "TO DOWNLOAD"],
        &rows,
    )
}

fn print_plan(session: &Session, plan: &PullPlan) -> CliResult {
    if session.output.json {
        return session.json(plan);
    }
    if plan.installed {
        return session.print(format!("{} is already installed", plan.model));
    }
    let size = |bytes, count: usize, noun| {
        format!(
            "{} in {}",
            render::size(bytes),
            render::count(count as u64, noun)
        )
    };
    let fields = [
        ("model", plan.model.to_string()),
        ("size", size(plan.total_bytes, plan.files, "file")),
        (
            "to download",
            size(plan.bytes_to_fetch, plan.requests, "request"),
        ),
        ("from this store", render::size(plan.bytes_reused)),
        ("from an unfinished pull", render::size(plan.bytes_resumed)),
        ("files without a digest", plan.files_unverified.to_string()),
        ("files of unknown size", plan.files_unsized.to_string()),
    ];
    Ok(session.console.print(render::fields(&fields))?)
}

fn print_pulled(session: &Session, report: &PullReport) -> CliResult {
    warn_unverified(session, report);
    session.say(describe(report))
}

/// Describes what a pull did.
pub(super) fn describe(report: &PullReport) -> String {
    let alias = report
        .alias_of
        .as_ref()
        .map(|target| format!(" (= {target})"));
    let model = format!("{}{}", report.model, alias.unwrap_or_default());
    if report.outcome == PullOutcome::AlreadyInstalled {
        return format!("{model} is already installed");
    }
    format!(
        "Installed {model}: {}, {}; downloaded {} in {}",
        render::count(report.files, "file"),
        render::size(report.total_bytes),
        render::size(report.bytes_fetched),
        render::duration(report.elapsed)
    )
}

/// Warns of files whose source states no digest.
pub(super) fn warn_unverified(session: &Session, report: &PullReport) {
    match report.files_unverified.as_slice() {
        [] => {}
        [file] => session.note(format!(
            "warning: '{file}' was not verified: its source states no digest"
        )),
        [first, ..] => session.note(format!(
            "warning: {} files, such as '{first}', were not verified: their source states no digest",
            report.files_unverified.len()
        )),
    }
}
