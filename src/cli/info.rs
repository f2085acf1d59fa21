//! `info`: a model in detail, or the sources and their state.

use clap::{ArgMatches, Command};

use super::args::{self, Which, is_set};
use super::ending::CliResult;
use super::session::Session;
use super::{Mount, render};
use crate::manifest::{Checksum, RelPath};
use crate::remote::{LocalState, RefInfo, SourceInfo, SourceKind};
use crate::{Metadata, ModelAddress, RemoteOptions};

pub(super) fn command(command: Command, mount: &Mount) -> Command {
    command
        .about("Show a model in detail; without one, the sources and their state")
        .args(args::model(mount, Which::Installed, false))
        .arg(args::remote("Show what the source offers, without fetching it").requires(args::MODEL))
        .after_help(args::examples(
            mount,
            &[
                ("info", "the sources"),
                ("info fast-whisper/tiny fp16", "an installed model"),
                ("info fast-whisper/tiny fp16 --remote", "one to pull"),
            ],
        ))
}

pub(super) fn execute(session: &mut Session, matches: &ArgMatches) -> CliResult {
    match args::optional_address(matches)? {
        None => print_sources(session),
        Some(address) if is_set(matches, args::REMOTE) => print_remote(session, &address),
        Some(address) => print_installed(session, &address),
    }
}

fn print_sources(session: &Session) -> CliResult {
    let infos = session.manager.sources()?;
    if session.output.json {
        return session.json_list("sources", &infos);
    }
    if infos.is_empty() {
        session.note("No source is configured.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = infos.iter().flat_map(source_rows).collect();
    let head = [
        "SOURCE", "NAME", "KIND", "LOCATION", "REF", "STATE", "MODE", "COMMIT", "VERSIONS",
        "CACHED",
    ];
    session
        .console
        .print(render::table(&session.console, &head, &rows))?;
    Ok(())
}

/// A row for each ref of a source; one for a source without refs.
fn source_rows(info: &SourceInfo) -> Vec<Vec<String>> {
    let or_dash = |text: &str| {
        let text = if text.is_empty() { "-" } else { text };
        text.to_owned()
    };
    let row = |location: String, cells: [String; 6]| {
        let kind = info.kind.to_string();
        let mut row = vec![or_dash(&info.key), or_dash(&info.name), kind, location];
        row.extend(cells);
        row
    };
    let dash = || "-".to_owned();
    let count = |versions: Option<usize>| versions.map_or_else(dash, |count| count.to_string());
    let location = info.locations.join(" ");
    if info.refs.is_empty() {
        let state = match (info.kind, info.fetched_at) {
            (kind, _) if kind == SourceKind::HUB => "-",
            (_, Some(_)) => "cached",
            (_, None) => "not cached",
        };
        let age = info.fetched_at.map_or_else(dash, render::age);
        let cells = [
            dash(),
            state.into(),
            dash(),
            dash(),
            count(info.versions),
            age,
        ];
        return vec![row(location, cells)];
    }
    let of_ref = |reference: &RefInfo| {
        let Some(cached) = &reference.cached else {
            let cells = [
                reference.reference.clone(),
                "missing".into(),
                dash(),
                dash(),
                dash(),
                dash(),
            ];
            return row(location.clone(), cells);
        };
        let state = if reference.is_configured {
            "cached"
        } else {
            "cached, not configured"
        };
        let commit = cached.commit.as_deref();
        let commit = commit
            .and_then(|commit| commit.get(..12))
            .map_or_else(dash, str::to_owned);
        let cells = [
            reference.reference.clone(),
            state.to_owned(),
            cached.mode.as_str().replace('_', " "),
            commit,
            cached.versions.to_string(),
            render::age(cached.fetched_at),
        ];
        row(cached.repo.clone(), cells)
    };
    info.refs.iter().map(of_ref).collect()
}

fn print_installed(session: &Session, address: &ModelAddress) -> CliResult {
    let detail = session.manager.get(address)?;
    if session.output.json {
        return session.json(&detail);
    }
    let model = &detail.installed;
    let mut fields = vec![
        ("model", model.model.name().to_string()),
        ("version", model.model.version().to_owned()),
        ("path", Session::show_path(&model.path)),
        ("size", render::size(model.total_bytes)),
        (
            "installed",
            format!("{} UTC", render::time(model.installed_at)),
        ),
        (
            "source",
            model
                .source
                .clone()
                .filter(|source| !source.is_empty())
                .unwrap_or_else(|| "-".into()),
        ),
        ("manifest", model.manifest_digest.to_string()),
    ];
    if let Some(commit) = &model.commit {
        fields.push(("commit", commit.clone()));
    }
    add_metadata(&mut fields, &model.metadata);
    let rows = detail
        .files()
        .iter()
        .map(|file| row(&file.path, file.size_bytes, file.digest.as_ref()));
    print_fields(session, &fields, &rows.collect::<Vec<_>>())
}

fn print_remote(session: &Session, address: &ModelAddress) -> CliResult {
    let options = RemoteOptions::default()
        .offline(session.output.offline)
        .cancel(session.cancel.clone());
    let detail = session.manager.remote_detail(address, &options)?;
    if session.output.json {
        return session.json(&detail);
    }
    let remote = &detail.remote;
    let installed = match remote.local {
        LocalState::Absent => "no",
        _ => "yes",
    };
    let mut fields = vec![
        ("model", remote.model.name().to_string()),
        ("version", remote.model.version().to_owned()),
        ("installed", installed.to_owned()),
        (
            "size",
            remote
                .total_bytes
                .map_or_else(|| "not stated".into(), render::size),
        ),
        ("chunks", detail.parts.to_string()),
        ("manifest", remote.manifest_digest.to_string()),
    ];
    if let Some(target) = &remote.alias_of {
        fields.push(("alias of", target.clone()));
    }
    let metadata = remote.metadata.to_map();
    add_metadata(&mut fields, &metadata);
    if let Some(commit) = &remote.commit {
        fields.push(("commit", commit.clone()));
    }
    let rows = detail
        .files
        .iter()
        .map(|file| row(&file.path, file.size_bytes, file.digest.as_ref()));
    print_fields(session, &fields, &rows.collect::<Vec<_>>())
}

fn add_metadata<'a>(fields: &mut Vec<(&'a str, String)>, metadata: &'a Metadata) {
    for (key, value) in metadata {
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        fields.push((key.as_str(), shown));
    }
}

/// What the table says of a file.
fn row(path: &RelPath, size_bytes: Option<u64>, digest: Option<&Checksum>) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        path.to_string(),
        size_bytes.map_or_else(dash, render::size),
        digest.map_or_else(dash, Checksum::to_string),
    ]
}

fn print_fields(session: &Session, fields: &[(&str, String)], files: &[Vec<String>]) -> CliResult {
    // Keys of metadata are as hostile as values.
    let safe: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| (render::safe(name), value.clone()))
        .collect();
    let fields: Vec<(&str, String)> = safe
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    session.console.print(render::fields(&fields))?;
    if session.output.quiet {
        return Ok(());
    }
    session.console.print(format!(
        "\n{}",
        render::table(&session.console, &["FILE", "SIZE", "DIGEST"], files)
    ))?;
    Ok(())
}
