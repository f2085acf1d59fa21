//! Printing sources and their state, for `info`.

use std::path::Path;
use std::time::SystemTime;

use clap::builder::styling::AnsiColor;
use unicode_width::UnicodeWidthStr;

use super::failure::CliResult;
use super::render::{self, or_dash, safe};
use super::session::Session;
use super::table::Table;
use crate::remote::{RefInfo, SourceInfo, SourceKind};

const HEAD: [&str; 10] = [
    "SOURCE", "NAME", "KIND", "LOCATION", "REF", "STATE", "MODE", "COMMIT", "VERSIONS", "CACHED",
];

/// Returns whether a source has this name or key.
pub(super) fn is_any_called(session: &Session, name: &str) -> CliResult<bool> {
    let sources = session.manager.sources()?;
    Ok(sources.iter().any(|source| is_called(source, name)))
}

fn is_called(source: &SourceInfo, name: &str) -> bool {
    !name.is_empty() && (source.name == name || source.key == name)
}

/// Prints all sources, or the one with a name or key.
pub(super) fn print(session: &Session, wanted: Option<&str>) -> CliResult {
    let mut sources = session.manager.sources()?;
    if let Some(wanted) = wanted {
        sources.retain(|source| is_called(source, wanted));
    }
    session.show_list("sources", &sources, || {
        if session.console.out_is_terminal && !session.output.quiet {
            if wanted.is_none() {
                print_folders(session)?;
            }
            for source in &sources {
                if wanted.is_none() {
                    session.console.print("")?;
                }
                print_block(session, source)?;
            }
        } else if !sources.is_empty() {
            return Table::new(
                HEAD,
                sources.iter().flat_map(|source| rows(session, source)),
            )
            .print(session);
        }
        print_advice(session, &sources)
    })
}

/// Prints where everything is, if the manager is one of the configuration.
fn print_folders(session: &Session) -> CliResult {
    let Some(settings) = session.settings() else {
        return Ok(());
    };
    let file = &settings.config_file;
    let missing = if file.exists() {
        ""
    } else {
        " (does not exist)"
    };
    let show = |path: &Path| path.display().to_string();
    session.print_fields(&[
        ("models", show(&settings.store_dir)),
        ("registries", show(&settings.cache_dir)),
        ("sources", format!("{}{missing}", show(file))),
    ])
}

/// Prints a source on a terminal: its name and place, and below it a line for each ref.
fn print_block(session: &Session, source: &SourceInfo) -> CliResult {
    const INDENT: &str = "  ";
    let console = &session.console;
    let room = console.room();
    let (label, kind) = (safe(&source.label()), source.kind);
    let place = match source.name.as_str() {
        "" => format!("({kind})"),
        _ => safe(&format!("({}, {kind})", source.locations.join(" "))),
    };
    let label = room.cut(&label);
    let left = room.columns.saturating_sub(label.width() + INDENT.len());
    let place = room.of(left).cut(&place);
    let label = session.paint_result(AnsiColor::Cyan, &label);
    console.print(format!("{label}{INDENT}{place}"))?;
    let rows: Vec<_> = match source.refs.is_empty() {
        true => vec![row_of_all(source)],
        false => source
            .refs
            .iter()
            .map(|of| row_of_ref(source, of))
            .collect(),
    };
    let table = Table::new([""; 5], rows).state(1).cut();
    let room = room.of(room.columns.saturating_sub(INDENT.len()));
    let lines = table.aligned(false, room, session.results_coloured);
    let mut lines = lines.iter();
    Ok(lines.try_for_each(|line| console.print(format!("{INDENT}{line}")))?)
}

/// Returns the ref, the commit or state, the number of models, the age and what is unusual of a registry.
fn row_of_ref(source: &SourceInfo, of: &RefInfo) -> [String; 5] {
    let Some(cached) = &of.cached else {
        let [models, age, unusual] = [""; 3].map(str::to_owned);
        return [
            of.reference.clone(),
            "not synced".to_owned(),
            models,
            age,
            unusual,
        ];
    };
    let state = render::short_commit(cached.commit.as_deref());
    let mut unusual = Vec::new();
    if !source.locations.contains(&cached.repo) {
        unusual.push(format!("of {}", cached.repo));
    }
    if !of.is_configured {
        unusual.push("not configured".to_owned());
    }
    [
        of.reference.clone(),
        state.unwrap_or(cached.mode.as_str()).to_owned(),
        render::count(cached.versions, "model"),
        format!(
            "synced {}",
            render::age(cached.fetched_at, SystemTime::now())
        ),
        unusual.join(", "),
    ]
}

/// The same of a source without refs.
fn row_of_all(source: &SourceInfo) -> [String; 5] {
    let models = source
        .versions
        .map(|versions| render::count(versions, "model"));
    let state = match (source.kind, source.fetched_at) {
        (SourceKind::HUB | SourceKind::OCI, _) => "asked whenever it is needed".to_owned(),
        (_, None) => "not synced".to_owned(),
        (_, Some(time)) => format!("synced {}", render::age(time, SystemTime::now())),
    };
    let [commit, age, unusual] = [""; 3].map(str::to_owned);
    [models.unwrap_or_default(), state, commit, age, unusual]
}

/// Says what to do about sources that are missing or not synced.
fn print_advice(session: &Session, sources: &[SourceInfo]) -> CliResult {
    if sources.is_empty() {
        session.note(format!(
            "No source is configured: {}.",
            session.how_to_add_a_source()
        ));
        if !session.output.quiet {
            session.print_example_source();
        }
    }
    let is_missing = |of: &RefInfo| of.is_configured && of.cached.is_none();
    match sources
        .iter()
        .any(|source| source.refs.iter().any(is_missing))
    {
        true => session.sum_up(&[format!(
            "'{} sync' fetches what is not synced",
            session.path
        )]),
        false => Ok(()),
    }
}

/// Returns a row for each ref of a source, or one for a source without refs.
fn rows(session: &Session, source: &SourceInfo) -> Vec<[String; 10]> {
    let location = source.locations.join(" ");
    let row =
        |location: &str,
         [reference, state, mode, commit, versions, cached]: [Option<String>; 6]| {
            let start = [&source.key, &source.name, source.kind.as_str(), location];
            let [key, name, kind, location] = start.map(|cell| Some(cell.to_owned()));
            let cells = [
                key, name, kind, location, reference, state, mode, commit, versions, cached,
            ];
            cells.map(|cell| or_dash(cell.as_deref()))
        };
    let of_ref = |of: &RefInfo| {
        let reference = Some(of.reference.clone());
        let Some(cached) = &of.cached else {
            let missing = Some("missing".to_owned());
            return row(&location, [reference, missing, None, None, None, None]);
        };
        let state = match of.is_configured {
            true => "cached",
            false => "cached, not configured",
        };
        let cells = [
            reference,
            Some(state.to_owned()),
            Some(cached.mode.as_str().replace('_', " ")),
            render::short_commit(cached.commit.as_deref()).map(str::to_owned),
            Some(cached.versions.to_string()),
            Some(session.when(cached.fetched_at)),
        ];
        row(&cached.repo, cells)
    };
    if !source.refs.is_empty() {
        return source.refs.iter().map(of_ref).collect();
    }
    let state = match (source.kind, source.fetched_at) {
        (SourceKind::HUB | SourceKind::OCI, _) => None,
        (_, Some(_)) => Some("cached".to_owned()),
        (_, None) => Some("not cached".to_owned()),
    };
    let versions = source.versions.map(|versions| versions.to_string());
    let age = source.fetched_at.map(|time| session.when(time));
    vec![row(&location, [None, state, None, None, versions, age])]
}
