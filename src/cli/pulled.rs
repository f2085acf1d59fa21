//! What pulls did, in words.

use super::failure::CliResult;
use super::render;
use super::session::Session;
use crate::PullReport;
use crate::pull::PullOutcome;

/// Says what the pull of one model did.
pub(super) fn print_pulled(session: &Session, report: &PullReport) -> CliResult {
    warn_unverified(session, report);
    session.say(describe(report, "Installed"))
}

/// Describes what a pull did; `verb` says so of a model that was not there in this state.
pub(super) fn describe(report: &PullReport, verb: &str) -> String {
    let alias = report.alias_of.as_ref();
    let alias = alias.map(|target| format!(" (= {target})"));
    let model = format!("{}{}", report.model, alias.unwrap_or_default());
    if report.outcome == PullOutcome::AlreadyInstalled {
        return format!("{model} is already installed");
    }
    format!(
        "{verb} {model}: {}, {}; downloaded {} in {}",
        render::count(report.files, "file"),
        render::size(report.total_bytes),
        render::size(report.bytes_fetched),
        render::elapsed(report.elapsed)
    )
}

/// Warns of files whose source states no digest.
fn warn_unverified(session: &Session, report: &PullReport) {
    match report.files_unverified.as_slice() {
        [] => {}
        [file] => session.warning(format!(
            "'{file}' was not verified: its source states no digest"
        )),
        [first, ..] => session.warning(format!(
            "{} files, such as '{first}', were not verified: their source states no \
             digest",
            report.files_unverified.len()
        )),
    }
}
