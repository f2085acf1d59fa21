//! `pull`: bring a model in.

use clap::{ArgAction, ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::{CliError, CliResult};
use super::session::Session;
use super::{Mount, render};
use crate::error::chain;
use crate::pull::{MatchingReport, PullOutcome};
use crate::{ModelPattern, PullOptions, PullPlan, PullReport};

const DRY_RUN: &str = "modelrack_dry_run";
const INCLUDE: &str = "modelrack_include";
const EXCLUDE: &str = "modelrack_exclude";
const REQUIRE_HASHES: &str = "modelrack_require_hashes";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Bring a model in, verified; an interrupted pull goes on where it was")
        .args(args::model(mount, Which::Offered, true))
        .arg(args::flag(
            args::FORCE,
            "force",
            "Build a new copy even when the model is installed, and swap it in",
        ))
        .arg(args::flag(
            DRY_RUN,
            "dry-run",
            "Say what would be fetched, and fetch nothing",
        ))
        .arg(
            args::option(
                INCLUDE,
                "include",
                "GLOB",
                "Only files that match; may be given several times",
            )
            .action(ArgAction::Append),
        )
        .arg(
            args::option(
                EXCLUDE,
                "exclude",
                "GLOB",
                "No files that match; may be given several times",
            )
            .action(ArgAction::Append),
        )
        .arg(args::option(
            args::TYPE,
            "type",
            "TYPE",
            "Record this type instead of what the source says, as in text-generation",
        ))
        .arg(args::flag(
            REQUIRE_HASHES,
            "require-hashes",
            "Refuse files that no digest vouches for",
        ))
        .arg(args::concurrency())
        .after_help(args::examples(
            mount,
            &[
                ("pull fast-whisper/tiny fp16", "one version"),
                ("pull fast-whisper/tiny@fp16", "the same"),
                ("pull fast-whisper/tiny --dry-run", "what it would cost"),
                ("pull mf6/test@develop/test001a", "from a branch"),
                (
                    "pull hf/openai/whisper-tiny --include '*.json'",
                    "some of its files",
                ),
                ("pull 'mf6/test@develop/*'", "all of it"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let model = args::text(matches, args::MODEL).unwrap_or_default();
    if ModelPattern::is_pattern(model) {
        return pull_matching(session, matches, model);
    }
    let address = args::address(matches)?;
    let (options, meter) = session.pull_options(matches);
    let options = chosen(options, matches);
    if is_set(matches, DRY_RUN) {
        let plan = session.manager.plan_pull(&address, &options)?;
        return if session.output.json {
            session.json(&plan)
        } else {
            print_plan(session, &plan)
        };
    }
    let report = session.manager.pull(&address, &options)?;
    meter.clear();
    if session.output.json {
        return session.json(&report);
    }
    warn_unverified(session, &report);
    session.say(describe(&report))
}

fn chosen(options: PullOptions, matches: &ArgMatches) -> PullOptions {
    let globs = |id: &str| -> Vec<String> {
        let globs = matches.get_many::<String>(id).into_iter().flatten();
        globs.cloned().collect()
    };
    options
        .include(globs(INCLUDE))
        .exclude(globs(EXCLUDE))
        .model_type(args::text(matches, args::TYPE).map(str::to_owned))
        .force(is_set(matches, args::FORCE))
        .require_hashes(is_set(matches, REQUIRE_HASHES))
}

/// Pulls all models that a pattern names; one that fails does not keep the others from it.
fn pull_matching(session: &Session, matches: &ArgMatches, model: &str) -> CliResult {
    let pattern = ModelPattern::parse(model, args::text(matches, args::VERSION))?;
    let (options, meter) = session.pull_options(matches);
    let options = chosen(options, matches);
    if is_set(matches, DRY_RUN) {
        let plans = session.manager.plan_matching(&pattern, &options)?;
        return print_plans(session, &plans);
    }
    let report = session.manager.pull_matching(&pattern, &options)?;
    meter.clear();
    if session.output.json {
        session.json(&report)?;
    } else {
        print_matching(session, &report)?;
    }
    match report.failed.first() {
        Some(failed) => Err(CliError::reported(&failed.error)),
        None => Ok(()),
    }
}

fn print_matching(session: &Session, report: &MatchingReport) -> CliResult {
    for pulled in &report.pulled {
        warn_unverified(session, pulled);
        session.say(describe(pulled))?;
    }
    for failed in &report.failed {
        let reason = render::safe(&chain(&failed.error));
        session.console.note(format!("Failed: {reason}"));
    }
    let models = render::count(report.pulled.len() as u64, "model");
    let files = report.pulled.iter().map(|pulled| pulled.bytes_fetched);
    let bytes = report.bytes_archives + files.sum::<u64>();
    let archive = match report.bytes_archives {
        0 => String::new(),
        bytes => format!(", {} of it as archives", render::size(bytes)),
    };
    let failed = match report.failed.len() {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    session.say(format!(
        "{models}{failed}: {} fetched{archive}",
        render::size(bytes)
    ))
}

/// A row for each model, and what they cost together.
fn print_plans(session: &Session, plans: &[PullPlan]) -> CliResult {
    if session.output.json {
        return session.json_list("models", plans);
    }
    let rows: Vec<Vec<String>> = plans
        .iter()
        .map(|plan| {
            vec![
                plan.model.name().to_string(),
                plan.model.version().to_owned(),
                if plan.installed { "installed" } else { "-" }.to_owned(),
                render::count(plan.files as u64, "file"),
                render::size(plan.bytes_to_fetch),
            ]
        })
        .collect();
    let head = ["MODEL", "VERSION", "STATE", "FILES", "TO FETCH"];
    session
        .console
        .print(render::table(&session.console, &head, &rows))?;
    Ok(())
}

fn print_plan(session: &Session, plan: &PullPlan) -> CliResult {
    if plan.installed {
        session.console.print(format!(
            "{} is installed already",
            render::safe(&plan.model.to_string())
        ))?;
        return Ok(());
    }
    let fields = [
        ("model", plan.model.to_string()),
        (
            "size",
            format!(
                "{} in {}",
                render::size(plan.total_bytes),
                render::count(plan.files as u64, "file")
            ),
        ),
        (
            "to fetch",
            format!(
                "{} in {}",
                render::size(plan.bytes_to_fetch),
                render::count(plan.requests as u64, "request")
            ),
        ),
        ("from this store", render::size(plan.bytes_reused)),
        ("from an unfinished pull", render::size(plan.bytes_resumed)),
        ("files without a digest", plan.files_unverified.to_string()),
        ("files of unknown size", plan.files_unsized.to_string()),
    ];
    session.console.print(render::fields(&fields))?;
    Ok(())
}

/// Says that a model is there and what it took.
pub(super) fn describe(report: &PullReport) -> String {
    let model = render::safe(&report.model.to_string());
    let alias = report
        .alias_of
        .as_ref()
        .map(|target| format!(" (= {})", render::safe(target)))
        .unwrap_or_default();
    if report.outcome == PullOutcome::AlreadyInstalled {
        return format!("{model}{alias} is installed already");
    }
    let files = render::count(report.files, "file");
    let fetched = render::size(report.bytes_fetched);
    let elapsed = render::duration(report.elapsed);
    format!(
        "Installed {model}{alias}: {files}, {}; {fetched} fetched in {elapsed}",
        render::size(report.total_bytes)
    )
}

pub(super) fn warn_unverified(session: &Session, report: &PullReport) {
    if let Some(first) = report.files_unverified.first() {
        let number = report.files_unverified.len() as u64;
        let files = render::count(number, "file");
        session.note(format!(
            "warning: no digest vouches for {files}, '{}' the first of them",
            render::safe(first)
        ));
    }
}
