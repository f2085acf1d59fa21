//! `registry show`: a registered model or target in detail.

use clap::{ArgMatches, Command};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::shapes;
use crate::cli::args;
use crate::cli::ending::CliResult;
use crate::cli::session::Session;
use crate::cli::{Mount, render};
use crate::project::{Files, ModelEntry, TargetEntry};
use crate::{Metadata, RelPath};

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
    let (registry, id) = (project.registry(), super::id(matches));
    if let Some(entry) = registry.entries.get(&id) {
        return match session.output.json {
            true => session.json(&shapes::ModelDetail::new(&id, entry)),
            false => Ok(session.console.print(model(&id, entry))?),
        };
    }
    let Some(target) = registry.targets.get(&id) else {
        registry.kind_of(&id)?;
        return Ok(());
    };
    if session.output.json {
        return session.json(&shapes::TargetDetail::new(&id, target));
    }
    let sets = registry.target_sets.iter();
    let sets = sets.filter(|(_, targets)| targets.contains(&id));
    let sets: Vec<&str> = sets.map(|(set, _)| set.as_str()).collect();
    Ok(session.console.print(self::target(&id, target, &sets))?)
}

fn model(id: &str, entry: &ModelEntry) -> String {
    let list = |values: &[String]| values.join(", ");
    let tags: Vec<String> = entry.tags.iter().cloned().collect();
    let current = entry.current();
    let mut fields = vec![("id", id.to_owned()), ("name", entry.name.clone())];
    let optional = [
        ("description", entry.description.clone()),
        ("type", entry.model_type.clone().unwrap_or_default()),
        ("tags", list(&tags)),
        ("version", entry.current.clone()),
        ("path", entry.path.clone()),
        ("format", entry.format.clone().unwrap_or_default()),
        ("entrypoint", entry.entrypoint.clone().unwrap_or_default()),
        ("outputs", list(&entry.outputs)),
        ("data", paths(&entry.data)),
        ("code", paths(&entry.code)),
    ];
    fields.extend(optional.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut text = render::fields(&fields);
    if let Some(version) = current {
        push(&mut text, "Metadata", &metadata(&version.metadata));
        push(&mut text, "Files", &files(&version.files));
    }
    let history = entry
        .history()
        .into_iter()
        .rev()
        .map(|(version, registered)| {
            let (time, digest) = (
                format!("{} UTC", render::time(registered.registered_at)),
                registered.digest.to_string(),
            );
            let digest = digest.get(..12).unwrap_or_default();
            [version.to_owned(), time, digest.to_owned()]
        });
    push(
        &mut text,
        "Versions",
        &aligned(&history.collect::<Vec<_>>()),
    );
    text
}

fn target(id: &str, target: &TargetEntry, sets: &[&str]) -> String {
    let mut fields = vec![
        ("id", id.to_owned()),
        ("path", target.path.to_string()),
        ("entrypoint", target.entrypoint.clone()),
        ("output", target.model_output.clone()),
        (
            "registered",
            format!("{} UTC", render::time(target.registered_at)),
        ),
    ];
    if !target.data.is_empty() {
        fields.push(("data", paths(&target.data)));
    }
    if !sets.is_empty() {
        fields.push(("sets", sets.join(", ")));
    }
    let mut text = render::fields(&fields);
    push(&mut text, "Files", &files(&target.files));
    text
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

fn files(files: &Files) -> Vec<String> {
    let rows: Vec<[String; 2]> = files
        .iter()
        .map(|(path, facts)| [path.to_string(), render::size(facts.size_bytes)])
        .collect();
    aligned(&rows)
}

fn paths(paths: &[RelPath]) -> String {
    paths
        .iter()
        .map(RelPath::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
