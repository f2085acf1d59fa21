//! `registry show`: a registered model or target in detail.

use std::time::SystemTime;

use clap::{ArgMatches, Command};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::Metadata;
use crate::cli::args::{self, text};
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::manifest::RelPath;
use crate::project::{FileSummary, ItemDetail};

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show a registered model or target in detail")
        .arg(
            super::ids_arg("The model or target")
                .required(true)
                .num_args(1),
        )
        .arg(super::project_arg())
        .after_help(args::examples(
            mount,
            &[("registry show sir", "its metadata, files and versions")],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    let project = super::open(session, matches)?;
    let id = text(matches, super::IDS).unwrap_or_default();
    let detail = project.show(id)?;
    match session.output.json {
        true => session.json(&detail),
        false => Ok(session.console.print(shown(&detail))?),
    }
}

/// The fields of a model or target that are not empty, and what it consists of.
fn shown(detail: &ItemDetail<'_>) -> String {
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
                ("registered", utc(entry.registered_at)),
                ("data", paths(&entry.data)),
                ("sets", sets.join(", ")),
            ]
        }
    };
    fields.retain(|(_, value)| !value.is_empty());
    let mut text = render::fields(&fields);
    match detail {
        ItemDetail::Model {
            metadata,
            contents,
            versions,
            ..
        } => {
            push(
                &mut text,
                "Metadata",
                &metadata.map(self::metadata).unwrap_or_default(),
            );
            push(&mut text, "Files", &files(contents));
            let versions = versions.iter().rev().map(|version| {
                let digest = version.digest.to_string();
                let digest = digest.get(..12).unwrap_or_default();
                [
                    version.version.to_owned(),
                    utc(version.registered_at),
                    digest.to_owned(),
                ]
            });
            push(
                &mut text,
                "Versions",
                &aligned(&versions.collect::<Vec<_>>()),
            );
        }
        ItemDetail::Target { contents, .. } => push(&mut text, "Files", &files(contents)),
    }
    text
}

fn utc(time: SystemTime) -> String {
    format!("{} UTC", render::time(time))
}

fn push(text: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str("\n\n");
    text.push_str(head);
    text.push(':');
    for line in lines {
        text.push_str("\n  ");
        text.push_str(&render::safe(line));
    }
}

/// Lines with their columns below each other.
fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = " ".repeat(width - cell.width());
            format!("{cell}{padding}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn metadata(metadata: &Metadata) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    metadata
        .iter()
        .map(|(key, value)| format!("{key}: {}", shown(value)))
        .collect()
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
