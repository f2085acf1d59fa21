//! `registry status`: what is stale or broken.

use std::fs;

use clap::builder::styling::AnsiColor;
use clap::{ArgMatches, Command};
use serde::Serialize;

use super::remedy::suggestion;
use crate::cli::args::{self, is_set};
use crate::cli::ending::{CliError, CliResult};
use crate::cli::failure::NOT_PUBLISHABLE;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{Finding, Project, Severity, StatusOptions, StatusReport};

const DEEP: &str = "modelrack_deep";
const STRICT: &str = "modelrack_strict";

/// The severities in the order in which they are shown, each with its heading.
const SEVERITIES: [(Severity, &str, AnsiColor); 3] = [
    (Severity::Error, "Errors:", AnsiColor::Red),
    (Severity::Warning, "Warnings:", AnsiColor::Yellow),
    (Severity::Note, "Notes:", AnsiColor::Cyan),
];

/// A finding with what is suggested, as `--json` has it.
#[derive(Serialize)]
struct WithSuggestion<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    suggestion: Option<String>,
}

/// The report as `--json` has it.
#[derive(Serialize)]
struct Document<'a> {
    models: usize,
    targets: usize,
    files: usize,
    files_hashed: usize,
    errors: usize,
    warnings: usize,
    findings: Vec<WithSuggestion<'a>>,
}

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Check for what is stale or broken; nothing is changed")
        .arg(args::flag(
            DEEP,
            "deep",
            "Hash every file, not only those whose size or time differs",
        ))
        .arg(args::flag(STRICT, "strict", "Fail on warnings as well"))
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[
                ("registry status", "exit code 9 for errors"),
                ("registry status --deep --strict", "before a release"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let project = super::open(session, matches)?;
    let meter = session.meter();
    let options = StatusOptions::default()
        .deep(is_set(matches, DEEP))
        .cancel(session.cancel.clone())
        .progress(meter.clone());
    let report = project.status(&options)?;
    meter.clear();
    match session.output.json {
        true => session.json(&document(session, &report))?,
        false => print(session, &project, &report)?,
    }
    match report.errors > 0 || is_set(matches, STRICT) && report.warnings > 0 {
        true => Err(CliError::Reported {
            exit: NOT_PUBLISHABLE,
        }),
        false => Ok(()),
    }
}

fn document<'a>(session: &Session, report: &'a StatusReport) -> Document<'a> {
    let findings = report.findings.iter().map(|finding| WithSuggestion {
        finding,
        suggestion: finding
            .remedy
            .as_ref()
            .map(|remedy| suggestion(session, remedy)),
    });
    Document {
        models: report.models,
        targets: report.targets,
        files: report.files,
        files_hashed: report.files_hashed,
        errors: report.errors,
        warnings: report.warnings,
        findings: findings.collect(),
    }
}

fn print(session: &Session, project: &Project, report: &StatusReport) -> CliResult {
    let (console, quiet) = (&session.console, session.output.quiet);
    for (severity, head, colour) in SEVERITIES {
        let of = |finding: &&Finding| finding.severity == severity;
        let findings: Vec<&Finding> = report.findings.iter().filter(of).collect();
        if findings.is_empty() || quiet && severity != Severity::Error {
            continue;
        }
        console.print(session.paint(colour, head))?;
        for finding in findings {
            console.print(format!("  {}", render::safe(&finding.to_string())))?;
            if let Some(remedy) = finding.remedy.as_ref().filter(|_| !quiet) {
                let suggestion = render::safe(&suggestion(session, remedy));
                console.print(format!("      {suggestion}"))?;
            }
        }
    }
    super::tell_empty(session, project);
    let is_elsewhere = fs::canonicalize(".").ok() != fs::canonicalize(project.root()).ok();
    if !report.findings.is_empty() && is_elsewhere {
        let root = project.root().display().to_string();
        session.note(format!("Paths are relative to {}.", render::safe(&root)));
    }
    let outcome = match (report.errors, report.warnings) {
        (0, 0) => "no errors or warnings".to_owned(),
        (errors, warnings) => format!(
            "{}, {}",
            render::count(errors as u64, "error"),
            render::count(warnings as u64, "warning")
        ),
    };
    session.say(format!(
        "{}, {}, {}: {outcome}",
        render::count(report.models as u64, "model"),
        render::count(report.targets as u64, "target"),
        render::count(report.files as u64, "file"),
    ))
}
