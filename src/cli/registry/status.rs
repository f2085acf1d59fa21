//! `registry status`: what is stale or broken.

use std::fs;

use clap::builder::styling::AnsiColor;
use clap::{ArgMatches, Command};
use serde::Serialize;

use super::remedy::suggestion;
use super::{READING, notes, project};
use crate::cli::args::{flag, is_set};
use crate::cli::ending::NOT_PUBLISHABLE;
use crate::cli::failure::{CliError, CliResult};
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{Finding, Project, Severity, StatusOptions, StatusReport};

const DEEP: &str = "modelrack_deep";
const STRICT: &str = "modelrack_strict";

/// The severities in the order of the output, each with its heading.
const SEVERITIES: [(Severity, &str, AnsiColor); 3] = [
    (Severity::Error, "Errors:", AnsiColor::Red),
    (Severity::Warning, "Warnings:", AnsiColor::Yellow),
    (Severity::Note, "Notes:", AnsiColor::Cyan),
];

/// A finding with its suggestion, as in `--json`.
#[derive(Serialize)]
struct WithSuggestion<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    suggestion: Option<String>,
}

/// The report, as in `--json`.
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

pub(super) const EXAMPLES: &str = "
    registry status                  exit code 9 for errors
    registry status --deep --strict  before a release
";

pub(super) fn command(command: Command, _: &Mount) -> Command {
    command
        .about("Check for what is stale or broken; nothing is changed")
        .args([
            flag(DEEP)
                .alias("check-staleness")
                .help("Hash every file, not only those whose size or time differs"),
            flag(STRICT).help("Fail on warnings as well"),
        ])
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let project = project::open(session, matches)?;
    let options = StatusOptions::default()
        .deep(is_set(matches, DEEP))
        .cancel(session.cancel.clone());
    let report = session.metered_as(READING, |meter| project.status(&options.progress(meter)))?;
    session.show(&document(session, &project, &report), || {
        print(session, &project, &report)
    })?;
    match report.errors > 0 || is_set(matches, STRICT) && report.warnings > 0 {
        true => Err(CliError::Reported {
            exit: NOT_PUBLISHABLE,
        }),
        false => Ok(()),
    }
}

fn document<'a>(session: &Session, project: &Project, report: &'a StatusReport) -> Document<'a> {
    let suggestion = |remedy| suggestion(session, project, remedy);
    let findings = report.findings.iter().map(|finding| WithSuggestion {
        finding,
        suggestion: finding.remedy.as_ref().map(suggestion),
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
    let quiet = session.output.quiet;
    for (severity, head, colour) in SEVERITIES {
        let of = |finding: &&Finding| finding.severity == severity;
        let findings: Vec<&Finding> = report.findings.iter().filter(of).collect();
        if findings.is_empty() || quiet && severity != Severity::Error {
            continue;
        }
        session.console.print(session.paint_result(colour, head))?;
        for finding in findings {
            session.print(format!("  {finding}"))?;
            if let Some(remedy) = &finding.remedy {
                session.say(format!("      {}", suggestion(session, project, remedy)))?;
            }
        }
    }
    notes::note_empty(session, project);
    let is_elsewhere = fs::canonicalize(".").ok() != fs::canonicalize(project.root()).ok();
    if !report.findings.is_empty() && is_elsewhere {
        let root = project.root().display();
        session.note(format!("Paths are relative to {root}."));
    }
    let errors = render::count(report.errors, "error");
    let warnings = render::count(report.warnings, "warning");
    let outcome = match (report.errors, report.warnings) {
        (0, 0) => "no errors or warnings".to_owned(),
        _ => format!("{errors}, {warnings}"),
    };
    session.say(format!(
        "{}, {}, {}: {outcome}",
        render::count(report.models, "model"),
        render::count(report.targets, "target"),
        render::count(report.files, "file"),
    ))
}
