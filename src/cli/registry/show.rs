//! `registry show`: a registered model or target in detail.

use std::array;

use clap::{ArgMatches, Command};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::project;
use crate::Metadata;
use crate::cli::Mount;
use crate::cli::failure::CliResult;
use crate::cli::render;
use crate::cli::session::Session;
use crate::manifest::RelPath;
use crate::project::{FileSummary, ItemDetail};

pub(super) const EXAMPLES: &str = "
    registry show sir  its metadata, files and versions
";

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show a registered model or target in detail")
        .arg(project::ids_arg(mount).help("The model or target"))
        .args(project::place())
}

pub(super) fn execute(session: &Session, matches: &ArgMatches) -> CliResult {
    let project = project::open(session, matches)?;
    let ids = project::ids(matches);
    let detail = project.show(ids.first().map_or("", String::as_str))?;
    session.show(&detail, || {
        session.print_fields(&fields(&detail))?;
        for (head, lines) in sections(&detail) {
            if !lines.is_empty() {
                session.console.print(format!("\n{head}:"))?;
                let mut lines = lines.iter();
                lines.try_for_each(|line| session.print(format!("  {line}")))?;
            }
        }
        Ok(())
    })
}

/// Returns the fields of a model or target that are not empty.
fn fields(detail: &ItemDetail<'_>) -> Vec<(&'static str, String)> {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut fields = match detail {
        ItemDetail::Model { summary, .. } => {
            let (id, entry) = (summary.id, summary.entry);
            let tags: Vec<&str> = entry.tags.iter().map(String::as_str).collect();
            vec![
                ("id", id.to_owned()),
                ("name", entry.name.clone()),
                ("description", entry.description.clone()),
                ("type", or_empty(&entry.model_type)),
                ("status", or_empty(&entry.status)),
                ("tags", tags.join(", ")),
                ("version", entry.current.clone()),
                ("path", entry.path.clone()),
                ("format", or_empty(&entry.format)),
                ("entrypoint", or_empty(&entry.entrypoint)),
                ("outputs", entry.outputs.join(", ")),
                ("data", paths(&entry.data)),
                ("code", paths(&entry.code)),
            ]
        }
        ItemDetail::Target { summary, sets, .. } => {
            let (id, entry) = (summary.id, summary.entry);
            vec![
                ("id", id.to_owned()),
                ("path", entry.path.to_string()),
                ("entrypoint", entry.entrypoint.clone()),
                ("output", entry.model_output.clone()),
                ("registered", render::utc(entry.registered_at)),
                ("data", paths(&entry.data)),
                ("sets", sets.join(", ")),
            ]
        }
    };
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

/// Returns the lines of what a model or target consists of, below their heads.
fn sections(detail: &ItemDetail<'_>) -> Vec<(&'static str, Vec<String>)> {
    match detail {
        ItemDetail::Model {
            metadata,
            contents,
            versions,
            ..
        } => {
            let versions = versions.iter().rev().map(|version| {
                let digest = version.digest.to_string();
                [
                    version.version.to_owned(),
                    render::utc(version.registered_at),
                    digest.get(..12).unwrap_or_default().to_owned(),
                ]
            });
            let versions: Vec<_> = versions.collect();
            vec![
                ("Metadata", metadata.map(describe).unwrap_or_default()),
                ("Files", files(contents)),
                ("Versions", aligned(&versions)),
            ]
        }
        ItemDetail::Target { contents, .. } => vec![("Files", files(contents))],
    }
}

fn describe(metadata: &Metadata) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let lines = metadata
        .iter()
        .map(|(key, value)| format!("{key}: {}", text(value)));
    lines.collect()
}

fn files(files: &[FileSummary<'_>]) -> Vec<String> {
    let rows = files
        .iter()
        .map(|file| [file.path.to_string(), render::size(file.size_bytes)]);
    aligned(&rows.collect::<Vec<_>>())
}

fn paths(paths: &[RelPath]) -> String {
    let paths: Vec<&str> = paths.iter().map(RelPath::as_str).collect();
    paths.join(", ")
}

/// Formats lines with their columns below each other.
fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths = widths(rows);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| cell.clone() + &" ".repeat(width - cell.width()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    array::from_fn(|column| width(column).unwrap_or_default())
}
