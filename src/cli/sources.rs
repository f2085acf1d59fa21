//! Printing the sources and their state, for `info` without a model.

use super::ending::CliResult;
use super::render::{self, or_dash};
use super::session::Session;
use crate::remote::{RefInfo, SourceInfo, SourceKind};

const HEAD: [&str; 10] = [
    "SOURCE", "NAME", "KIND", "LOCATION", "REF", "STATE", "MODE", "COMMIT", "VERSIONS", "CACHED",
];

pub(super) fn print(session: &Session) -> CliResult {
    let sources = session.manager.sources()?;
    if session.output.json {
        return session.json_list("sources", &sources);
    }
    if sources.is_empty() {
        session.note("No source is configured.");
        return Ok(());
    }
    let rows: Vec<_> = sources.iter().flat_map(rows).collect();
    session.table(&HEAD, &rows)
}

/// Returns a row for each ref of a source, or one for a source without refs.
fn rows(source: &SourceInfo) -> Vec<Vec<String>> {
    let location = source.locations.join(" ");
    let row = |location: &str, cells: [Option<String>; 6]| {
        let start = [&source.key, &source.name, source.kind.as_str(), location];
        let start = start.map(|cell| or_dash(Some(cell)));
        let cells = cells.map(|cell| or_dash(cell.as_deref()));
        [&start[..], &cells[..]].concat()
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
        let commit = cached.commit.as_deref().and_then(|commit| commit.get(..12));
        let cells = [
            reference,
            Some(state.to_owned()),
            Some(cached.mode.as_str().replace('_', " ")),
            commit.map(str::to_owned),
            Some(cached.versions.to_string()),
            Some(render::age(cached.fetched_at)),
        ];
        row(&cached.repo, cells)
    };
    if !source.refs.is_empty() {
        return source.refs.iter().map(of_ref).collect();
    }
    let state = match (source.kind, source.fetched_at) {
        (SourceKind::HUB, _) => None,
        (_, Some(_)) => Some("cached".to_owned()),
        (_, None) => Some("not cached".to_owned()),
    };
    let versions = source.versions.map(|versions| versions.to_string());
    let age = source.fetched_at.map(render::age);
    vec![row(&location, [None, state, None, None, versions, age])]
}
