//! Printing the sources and their state, for `info` without a model.

use super::ending::CliResult;
use super::render::{self, or_dash};
use super::session::Session;
use super::table::Table;
use crate::remote::{RefInfo, SourceInfo, SourceKind};

const HEAD: [&str; 10] = [
    "SOURCE", "NAME", "KIND", "LOCATION", "REF", "STATE", "MODE", "COMMIT", "VERSIONS", "CACHED",
];

pub(super) fn print(session: &Session) -> CliResult {
    let sources = session.manager.sources()?;
    session.show_list("sources", &sources, || {
        Table::new(HEAD, sources.iter().flat_map(rows))
            .or_note("No source is configured.")
            .print(session)
    })
}

/// Returns a row for each ref of a source, or one for a source without refs.
fn rows(source: &SourceInfo) -> Vec<[String; 10]> {
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
