//! `du`: show what takes space on the disk.

use std::cmp::Reverse;

use clap::{ArgMatches, Command};

use super::args::Which;
use super::failure::CliResult;
use super::render::or_dash;
use super::session::Session;
use super::table::Table;
use super::{Mount, render, several};
use crate::installed::{ModelUsage, UsageOptions, UsageReport};

pub(super) const EXAMPLES: &str = "
    du                            everything, the largest models first
    du fast-whisper/tiny          all versions of a model
    du whisper/tiny whisper/base  several models
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show what models, unfinished pulls and cached registries take on the disk")
        .args(several::models(mount, Which::Installed, false))
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let words = several::words(session, matches, Which::Installed)?;
    let models = words.iter().map(several::Word::address);
    let options = UsageOptions::default().models(models.collect::<crate::Result<Vec<_>>>()?);
    let report = session.manager.disk_usage(&options)?;
    session.show(&report, || print(session, &report))
}

fn print(session: &Session, report: &UsageReport) -> CliResult {
    let rows = |kind: &'static str, entries: &[ModelUsage]| {
        let mut entries: Vec<ModelUsage> = entries.to_vec();
        entries.sort_by_key(|entry| Reverse(entry.bytes));
        entries.into_iter().map(move |entry| {
            let shared = Some(entry.shared_bytes).filter(|bytes| *bytes > 0);
            [
                entry.model.name().to_string(),
                entry.model.version().to_owned(),
                kind.to_owned(),
                render::size(entry.bytes),
                or_dash(shared.map(render::size).as_deref()),
            ]
        })
    };
    let registries = report.registries.iter().map(|registry| {
        [
            registry.name.clone(),
            or_dash(registry.reference.as_deref()),
            "registry".to_owned(),
            render::size(registry.bytes),
            or_dash(None),
        ]
    });
    let models = rows("model", &report.models);
    let rows = models.chain(rows("unfinished", &report.partials));
    Table::new(
        ["NAME", "VERSION", "KIND", "SIZE", "SHARED"],
        rows.chain(registries),
    )
    .named_by(2)
    .or_note("No model is installed, and no registry is cached.")
    .print(session)?;
    let mut sum = format!("{} on the disk", render::size(report.bytes));
    if report.other_bytes > 0 {
        sum += &format!(
            ", {} of it for records and leftovers",
            render::size(report.other_bytes)
        );
    }
    session.sum_up(&[sum])
}
