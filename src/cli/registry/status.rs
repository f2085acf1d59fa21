//! `registry status`: what is stale or broken.

use std::fs;

use clap::builder::styling::AnsiColor;
use clap::{ArgMatches, Command};

use super::shapes;
use crate::cli::args::{self, is_set};
use crate::cli::ending::{CliError, CliResult};
use crate::cli::failure::NOT_PUBLISHABLE;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{Finding, Project, Severity, StatusOptions, StatusReport};

const DEEP: &str = "modelrack_deep";
const STRICT: &str = "modelrack_strict";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Say what is stale or broken, and how to mend it; nothing is changed")
        .arg(args::flag(
            DEEP,
            "deep",
            "Hash every file, not only those whose size or time differs",
        ))
        .arg(args::flag(STRICT, "strict", "Fail for warnings, too"))
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
    if session.output.json {
        let quote = |text: &str| super::quoted(session, text);
        session.json(&shapes::Status::new(&report, quote))?;
    } else {
        print(session, &project, &report)?;
    }
    let fails = report.count(Severity::Error) > 0
        || is_set(matches, STRICT) && report.count(Severity::Warning) > 0;
    match fails {
        true => Err(CliError::Reported {
            exit: NOT_PUBLISHABLE,
        }),
        false => Ok(()),
    }
}

fn print(session: &Session, project: &Project, report: &StatusReport) -> CliResult {
    for (severity, head) in [
        (Severity::Error, "Errors:"),
        (Severity::Warning, "Warnings:"),
        (Severity::Note, "Notes:"),
    ] {
        let of = |finding: &&Finding| finding.severity == severity;
        let findings: Vec<&Finding> = report.findings.iter().filter(of).collect();
        let is_essential = severity == Severity::Error || !session.output.quiet;
        if findings.is_empty() || !is_essential {
            continue;
        }
        session
            .console
            .print(session.paint(colour(severity), head))?;
        for finding in findings {
            print_finding(session, finding)?;
        }
    }
    super::tell_empty(session, project);
    let is_elsewhere = fs::canonicalize(".").ok() != fs::canonicalize(project.root()).ok();
    if !report.findings.is_empty() && is_elsewhere {
        let root = project.root().display().to_string();
        session.note(format!("Paths are those from {}.", render::safe(&root)));
    }
    let (errors, warnings) = (
        report.count(Severity::Error),
        report.count(Severity::Warning),
    );
    session.say(format!(
        "{}, {}, {}: {}",
        render::count(report.models as u64, "model"),
        render::count(report.targets as u64, "target"),
        render::count(report.files as u64, "file"),
        match (errors, warnings) {
            (0, 0) => "all is well".to_owned(),
            _ => format!(
                "{}, {}",
                render::count(errors as u64, "error"),
                render::count(warnings as u64, "warning")
            ),
        }
    ))
}

fn print_finding(session: &Session, finding: &Finding) -> CliResult {
    let entity = match &finding.entity {
        Some((kind, id)) => format!("{} {id}: ", kind.as_str()),
        None => String::new(),
    };
    let line = format!("{entity}{}", finding.message);
    session
        .console
        .print(format!("  {}", render::safe(&line)))?;
    if let Some(suggestion) = finding
        .suggestion
        .as_ref()
        .filter(|_| !session.output.quiet)
    {
        let suggestion = super::quoted(session, suggestion);
        session
            .console
            .print(format!("      {}", render::safe(&suggestion)))?;
    }
    Ok(())
}

fn colour(severity: Severity) -> AnsiColor {
    match severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Cyan,
    }
}
